"""Benchmarks, one file a question: `python -m benchmarks.NAME --help`. docs/performance.md has their tables."""

from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
