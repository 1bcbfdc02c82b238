"""Render the demo corpus: videos of talking synthetic people in the layout of FakeAVCeleb.

    lipinc demo --out data/demo

The demo corpus is for testing the pipeline. Results on it say nothing about real deepfakes.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lipinc.config.command_line import parse_arguments
from lipinc.demo.corpus import render


@dataclass(frozen=True)
class Arguments:
    """Arguments of demo."""

    out: Path = Path("data/demo")
    """Data set root to write."""
    identities: int = 16
    """Number of synthetic identities."""
    seed: int = 0
    """Random seed of the faces."""
    workers: int = 0
    """Number of processes; 0: one per core that may be used."""


def main(argv: Sequence[str], prog: str) -> None:
    """Run the command."""
    arguments = parse_arguments(Arguments, argv, prog=prog, description=__doc__)
    started = time.monotonic()
    corpus = render(arguments.out, identities=arguments.identities, seed=arguments.seed, workers=arguments.workers)
    rest = corpus.videos - corpus.reals - corpus.fakes - corpus.broken
    how = "reused" if corpus.reused else f"rendered in {time.monotonic() - started:.0f} s"
    print(
        f"{corpus.root}: {corpus.videos} videos {how}: {corpus.reals} real, {corpus.fakes} wav2lip-like, "
        f"{rest} of other methods, {corpus.broken} deliberately broken. "
        "They are for testing the pipeline; results say nothing about real deepfakes."
    )
