"""Render the demo corpus: talking synthetic people, laid out and indexed like FakeAVCeleb.

    lipinc demo --out data/demo

It proves that the machinery works and says nothing about real deepfakes.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lipinc.config.command_line import parse_arguments
from lipinc.demo.corpus import render


@dataclass(frozen=True)
class Arguments:
    """What to render."""

    out: Path = Path("data/demo")
    """Dataset root."""
    identities: int = 16
    """Synthetic identities."""
    seed: int = 0
    """Another seed, other faces."""
    workers: int = 0
    """Processes; 0: one per core."""


def main(words: Sequence[str], prog: str) -> None:
    """Render."""
    arguments = parse_arguments(Arguments, words, prog=prog, description=__doc__)
    started = time.monotonic()
    corpus = render(
        arguments.out, identities=arguments.identities, seed=arguments.seed, workers=arguments.workers
    )
    rest = corpus.videos - corpus.reals - corpus.fakes - corpus.broken
    how = "reused" if corpus.reused else f"rendered in {time.monotonic() - started:.0f} s"
    print(
        f"{corpus.root}: {corpus.videos} videos {how}: {corpus.reals} real, {corpus.fakes} wav2lip-like, "
        f"{rest} of other methods, {corpus.broken} broken on purpose. "
        "They prove the machinery and say nothing about real deepfakes."
    )
