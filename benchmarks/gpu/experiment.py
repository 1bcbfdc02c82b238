"""What the GPU check trains: the demo experiment on a cache of its own, small enough to be copied to another machine.

python -m lipinc demo --out data/demo
python preprocess_extract_lips.py --config benchmarks/gpu/experiment.py
"""

from dataclasses import replace

from lipinc.config import load_config

demo = load_config("demo")

config = replace(
    demo,
    name="gpu_check",
    sampling=replace(demo.sampling, windows=2),
    cache=replace(demo.cache, path="cache/gpu_check", residues=False),
)
