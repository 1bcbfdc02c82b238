# make demo: the complete pipeline on the demo corpus.
# make test: fast tests.   make test-slow: slow tests.   make bench: all benchmarks.
# make gpu-check: correctness and speed on one CUDA device, in at most six minutes.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.14 python3.10 python3,$(shell command -v $(name))))
VENV := .venv
RUN := $(VENV)/bin/python
CLIPS ?= data/clips
# MediaPipe where this Python has it.
IMPORT := import cv2, importlib.util as u; u.find_spec('mediapipe') and __import__('mediapipe')

.PHONY: demo test test-slow bench gpu-check own clean

demo: $(VENV)/.ready
	$(RUN) -m lipinc demo --out data/demo
	$(RUN) preprocess_extract_lips.py --config configs/demo.py
	$(RUN) train_pipeline.py --config configs/demo.py --resume auto
	@echo 'activate the environment for further commands: source $(VENV)/bin/activate'

test: $(VENV)/.ready
	$(RUN) -m ruff check .
	OMP_NUM_THREADS=1 $(RUN) -m pytest --numprocesses auto --dist worksteal -m "not slow"

test-slow: $(VENV)/.ready
	OMP_NUM_THREADS=1 $(RUN) -m pytest --numprocesses auto --dist worksteal -m slow

# Takes about an hour on 2 cores. To run a single benchmark: .venv/bin/python -m benchmarks.loss (for example).
bench: $(VENV)/.ready
	$(RUN) -m lipinc demo --out data/demo
	video=$$(find data/demo/RealVideo-RealAudio -name '*.mp4' | sort | head -1) \
		&& $(RUN) -m benchmarks.extraction --video "$$video" \
		&& $(RUN) -m benchmarks.detection --video "$$video"
	$(RUN) -m benchmarks.loader
	$(RUN) -m benchmarks.loss
	$(RUN) -m benchmarks.scaling --config configs/lipinc_v2.py
	$(RUN) -m benchmarks.growth
	$(RUN) -m benchmarks.restart
	$(RUN) -m benchmarks.steady_state
	$(RUN) -m benchmarks.shortcuts --config configs/demo.py

# At most six minutes on one CUDA device; without one it says so and exits. Creates its own cache (26 MB) if absent.
gpu-check: $(VENV)/.ready
	$(RUN) -m benchmarks.gpu_check --probe True
	test -f cache/gpu_check/manifest.csv || ($(RUN) -m lipinc demo --out data/demo \
		&& $(RUN) preprocess_extract_lips.py --config benchmarks/gpu/experiment.py)
	$(RUN) -m benchmarks.gpu_check

# Your own videos: CLIPS=folder with a clips.csv (columns file, label, person). Trains V1 and V2 on the same splits.
own: $(VENV)/.ready
	$(RUN) preprocess_extract_lips.py --config configs/own_clips.py --data.root $(CLIPS) --data.index $(CLIPS)/clips.csv
	$(RUN) train_pipeline.py --config configs/own_clips.py --resume auto
	$(RUN) train_pipeline.py --config configs/own_clips_v2.py --resume auto

# The tested versions, and the package itself. What Debian's Python lacks for an environment, and system libraries that
# the wheels of OpenCV and MediaPipe need, are installed where they are missing and where apt may be used.
$(VENV)/.ready: requirements.txt pyproject.toml
	@"$(PYTHON)" -c "import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))" \
		|| (echo "error: needs Python 3.10 to 3.14; choose one with make PYTHON=..." >&2; exit 2)
	@"$(PYTHON)" -c "import ensurepip, venv" 2>/dev/null \
		|| (apt-get update -qq && apt-get install -y -qq python3-venv) \
		|| (echo "error: this Python has no venv; install python3-venv" >&2; exit 2)
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --requirement requirements.txt
	$(RUN) -m pip install --quiet --no-deps --editable .
	$(RUN) -c "$(IMPORT)" 2>/dev/null \
		|| (apt-get update -qq && apt-get install -y -qq libgl1 libglib2.0-0 libegl1 libgles2) \
		|| (echo "error: OpenCV or MediaPipe cannot be imported; install libgl1 libglib2.0-0 libegl1 libgles2" >&2; exit 2)
	$(RUN) -c "$(IMPORT)"
	touch $@

clean:
	rm -rf data/demo cache/demo cache/gpu_check outputs/demo outputs/gpu_check
