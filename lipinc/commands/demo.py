"""Render the demo corpus: python -m lipinc.demo --out data/demo"""

import argparse
import sys
import time
from pathlib import Path

from lipinc.demo.corpus import render
from lipinc.errors import UserError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lipinc.demo", description="Render the demo corpus.")
    parser.add_argument("--out", type=Path, default=Path("data/demo"), help="dataset root (default: %(default)s)")
    parser.add_argument("--identities", type=int, default=16, help="synthetic identities (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other faces (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one for each core (default)")
    options = parser.parse_args()
    started = time.monotonic()
    try:
        corpus = render(options.out, identities=options.identities, seed=options.seed, workers=options.workers)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    rest = corpus.videos - corpus.reals - corpus.fakes - corpus.broken
    how = "reused" if corpus.reused else f"rendered in {time.monotonic() - started:.0f} s"
    print(
        f"{corpus.root}: {corpus.videos} videos {how}: {corpus.reals} real, {corpus.fakes} wav2lip-like, "
        f"{rest} of other methods, {corpus.broken} broken on purpose. "
        "They prove the machinery and say nothing about real deepfakes."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
