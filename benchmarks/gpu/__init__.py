"""The parts of the GPU check (benchmarks/gpu_check.py), one file a question.

numerics: do models and losses give the same numbers on CUDA as on the CPU and in float64?
runs: do training runs on CUDA give what they should: bf16, resume, checkpoints across devices, deterministic?
own_process: checks that need a process of their own: deterministic kernels, torchrun, a process group with nccl.
speed, floors: clips per second of training and detection, relative to what the device could do at best.
waiting: does the host wait for the device in a training step, and how busy is the device?
loading: does the data loader keep up with training?
cases: models, clips and helpers that these share. experiment: the experiment that is trained.
plan, sections, report, requirements: order, isolation and deadlines, the JSON file and the table, missing packages.
"""
