"""Clips a second that detection scores, beside the floors: windows that are cut already, from the host and back."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu.cases import synchronize
from benchmarks.gpu.floors import Rates, work_of_detection
from benchmarks.gpu.outcomes import Measurement
from lipinc.config import REPOSITORY
from lipinc.detection.detector import CLIPS_AT_ONCE, Detector
from lipinc.video.mouth import residues


def detection_rates(
    device: torch.device,
    rates: Rates,
    *,
    checkpoints: Sequence[Path] = (),
    batches: Sequence[int] = (1, CLIPS_AT_ONCE, 256),
    seconds: float = 0.5,
) -> Iterator[Measurement]:
    """Of each checkpoint at each batch. The detector takes one window at a time where mouths are cut natively, and
    CLIPS_AT_ONCE else; other batches say what more at once would be worth.

    checkpoints: by default those in weights/.
    """
    random = np.random.default_rng(0)
    for file in checkpoints or sorted((REPOSITORY / "weights").glob("*.safetensors")):
        detector = Detector(file, device=device.type)
        config = detector.checkpoint.config
        own = 1 if config.mouth.cut == "native" else CLIPS_AT_ONCE
        frames = config.sampling.local_frames + config.sampling.global_frames
        for batch in batches:
            clips = random.integers(
                256, size=(batch, frames, config.mouth.height, config.mouth.width, 3), dtype=np.uint8
            )
            residue = residues(clips, config.mouth.residue)
            tensors = [torch.from_numpy(array).to(device) for array in (clips, residue)]
            work = work_of_detection(detector.checkpoint.model, *tensors)
            for _ in range(3):
                detector._score(clips, residue)
            synchronize(device)
            started, passes = time.perf_counter(), 0
            while not passes or time.perf_counter() - started < seconds:
                detector._score(clips, residue)  # its scores are on the host: it has waited
                passes += 1
            taken = (time.perf_counter() - started) / passes
            operations = work.seconds_of_operations(rates, batch, bf16=False)
            yield Measurement(
                f"{file.stem}, {batch} at once" + (" (as detect.py does)" if batch == own else ""),
                {
                    "clips/s": batch / taken,
                    "ms": 1000 * taken,
                    "/ operations": taken / operations if operations else None,
                    "/ bytes": taken / work.seconds_of_bytes(rates, batch),
                },
            )
