"""Killed without warning at any moment, extraction goes on to the same bytes."""

import hashlib
import os
import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import pytest

from lipinc import commands
from lipinc.demo.videos import render_video
from tests.cache.test_build import content
from tests.processes import start
from tests.video.test_subprocesses import wait_until_gone

ROOT = Path(__file__).resolve().parents[2]
KILLS = 20


@pytest.mark.slow
def test_killed_at_twenty_moments_it_ends_with_the_bytes_of_an_undisturbed_run(tmp_path):
    root = tmp_path / "videos"
    for number, label in enumerate(("real", "fake")):
        first = root / label / "0.mp4"
        render_video(first, number=number, frames=40)
        for copy in range(1, 4):
            os.link(first, first.with_name(f"{copy}.mp4"))
    (root / "real" / "text.mp4").write_text("not a video")

    start(os.getpid).join()  # the first one waits for all that is imported
    started = time.monotonic()
    assert status(start(extract, root, tmp_path / "undisturbed")) == 0
    duration = time.monotonic() - started
    expected = content(tmp_path / "undisturbed")

    moments = random.Random(0)
    kills = rounds = 0
    while kills < KILLS:
        cache = tmp_path / f"cache {rounds}"
        process = start(extract, root, cache)
        while kills < KILLS and process.exitcode is None:
            process.join(moments.uniform(0, duration / 2))
            if process.exitcode is None:
                try:
                    workers = psutil.Process(process.pid).children()
                except psutil.NoSuchProcess:  # it has ended since
                    continue
                if workers and moments.random() < 0.5:
                    moments.choice(workers).kill()
                else:
                    process.kill()
                    process.join()
                    for worker in workers:
                        wait_until_gone(worker.pid)
                kills += 1
                assert whole_files(cache).items() <= expected.items()
        if status(process) == 0:
            rounds += 1  # it came to its end before the next kill: another round, from the beginning
    for number in range(rounds + 1):
        # A video whose process was killed twice cannot be told from one that kills: its row can be tried again.
        assert status(start(extract, root, tmp_path / f"cache {number}", "--cache.retry", "crashed")) == 0
        assert content(tmp_path / f"cache {number}") == expected


def extract(root: Path, cache: Path, *words: str) -> None:
    """The command, in this process."""
    words = ("--config", str(ROOT / "config.py"), "--cache.workers", "2", "--data.kind", "folder", *words)
    commands.run("extract", [*words, "--data.root", str(root), "--cache.path", str(cache)], prog="lipinc extract")


def status(process: BaseProcess) -> int:
    """The exit status of a process, when it has ended."""
    process.join()
    return process.exitcode


def whole_files(cache: Path) -> dict[str, str]:
    """What a reader could take for clips, by name and digest, while others write."""
    files = cache.rglob("*.safetensors")
    return {str(file.relative_to(cache)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
