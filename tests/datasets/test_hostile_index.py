"""Whatever an index says, nothing is written outside the cache, the run folder and the report."""

import csv
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lipinc.cache import workers
from lipinc.cache.clip_file import read_clips
from lipinc.cache.manifest import OK, read_manifest, write_manifest
from lipinc.cache.store import Cache
from lipinc.datasets import CsvIndex
from lipinc.datasets.dataset import load_videos
from lipinc.datasets.splits import write_splits
from lipinc.demo.synthetic_cache import make_clips
from lipinc.detection.page import page_name
from lipinc.errors import UserError
from lipinc.evaluation.predictions import Predictions
from lipinc.files.csv_table import read_table, unguard_formula
from lipinc.models.calibration import Calibration
from tests.tiny import tiny_config

PARTS = (
    *("..", ".", "", "/", "\\", "~", "a.mp4", "A.MP4", "b", "b.mp4.safetensors", "a.mp4@crf28", "@forged0", "con"),
    *("a.", " a ", "C:", "\\\\host\\share", "file:", "http://h/a.mp4", "=1+1", "-rf", "$(touch x)", "`x`", "%s%n"),
    *("\u202egpj", "\u2028", "e\u0301", "\u00e9", "\x00", "a\nb", "a\rb", "\t", "\x1b[2J", "x" * 250, "x" * 5000),
)
HOSTILE = st.lists(st.sampled_from(PARTS) | st.text(max_size=4), min_size=1, max_size=5)
PATHS = st.builds(lambda parts, joint: joint.join(parts), HOSTILE, st.sampled_from(("/", "\\", "")))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "path": PATHS,
            "label": st.sampled_from(("real", "fake")),
            **dict.fromkeys(("identity", "generator", "pair", "family"), PATHS),
        }
    ),
    min_size=1,
    max_size=3,
)

_written: list[str] | None = None


def _watch(event: str, arguments: tuple) -> None:
    if _written is None:
        return
    if event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
        _written.append(os.fsdecode(arguments[0]) if isinstance(arguments[0], str | bytes) else "")
    elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.symlink", "os.link"):
        _written.append(os.fsdecode(arguments[0]))
    elif event == "os.rename":
        _written.extend(os.fsdecode(name) for name in arguments[:2])


sys.addaudithook(_watch)


@contextmanager
def writes() -> Iterator[list[str]]:
    """What Python writes, makes, renames and removes meanwhile, on the whole machine."""
    global _written
    _written = noted = []
    try:
        yield noted
    finally:
        _written = None


@settings(max_examples=300, deadline=None)
@given(rows=ROWS)
def test_nothing_is_written_outside_the_folders_asked_for(tmp_path_factory, rows) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    data, ours = folder / "data", folder / "ours"
    data.mkdir()
    (ours / "tmp").mkdir(parents=True)
    with open(data / "index.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    config = tiny_config(ours)
    clips = make_clips(np.random.default_rng(0), fake=True, config=config, windows=1)
    with (
        writes() as written,
        patch.object(tempfile, "tempdir", str(ours / "tmp")),
        patch.object(workers, "extract", lambda *_, **__: clips),
    ):
        try:
            records = load_videos(CsvIndex(root=str(data)))
        except UserError as error:
            assert len(str(error)) > 10
            return
        cache = Cache.of(config)
        cache.prepare()
        manifest = [
            workers.extract_to_cache(
                record, data / record.path, cache.clips_file(record.key), config.mouth, config.sampling, cache.settings
            )
            for record in records
        ]
        write_manifest(cache.manifest_file, manifest)
        write_splits(ours / "splits.csv", records, {record.key: "train" for record in records})
        predictions = Predictions(records, score=[0.0] * len(records), windows=[1] * len(records))
        predictions.write(ours / "predictions.csv", Calibration())
    outside = [name for name in written if not Path(os.path.abspath(name)).is_relative_to(ours)]
    assert written and set(outside) <= {os.devnull}
    # And nothing is lost: every row has its status, every clip is that of its video, all texts come back.
    assert read_manifest(cache.manifest_file) == manifest
    for row in manifest:
        assert row.status == OK or row.detail
        assert row.status != OK or read_clips(cache.clips_file(row.record.key)).video_frames == 100
    saved = read_table(ours / "predictions.csv")
    assert [unguard_formula(row["key"]) for _, row in saved.rows] == [record.key for record in records]
    assert all(Path(page_name(record.path)).name == page_name(record.path) for record in records)
