from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import segments
from benchmarks.segments import Arguments, main, read_index
from benchmarks.splicing import Windows
from lipinc.errors import UserError
from lipinc.files.csv_table import read_table, write_table
from lipinc.models.calibration import Calibration
from lipinc.video.quality import QUALITY_NAMES

COLUMNS = ("file", "label", "person", "generator", "pair", "source_repo")


@pytest.fixture
def clips(tmp_path):
    rows = [(f"real/{n}.mp4", "real", f"p{n}", "-", "", "source") for n in range(5)]
    rows += [(f"fake/{n}.mp4", "fake", f"p{n}", "wav2lip", str(n), "source") for n in (0, 1)]
    rows += [("fake/x.mp4", "fake", "px", "wav2lip", "absent", "source")]
    write_table(tmp_path / "clips.csv", COLUMNS, [dict(zip(COLUMNS, row, strict=True)) for row in rows])
    return tmp_path


class NoDetectors:
    """Real clips have noise at their level, and fakes score far higher."""

    calibration = Calibration(uncertain=(-1.0, 1.0))

    def __init__(self, arguments):
        pass

    def score_clip(self, clip):
        start = np.arange(0, 5.8, 0.2)
        contrast = np.random.default_rng(len(clip.file)).normal(5, 0.5, len(start)) + 4 * clip.fake
        scene, quality = np.zeros(len(start), dtype=int), np.zeros((len(start), len(QUALITY_NAMES)))
        return Windows(start, start + 0.16, contrast - 6.4, contrast, scene, quality, 6.0)


def test_clear_forgeries_are_found_and_steady_videos_not_flagged(clips, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(segments, "Detectors", NoDetectors)
    main(replace(Arguments(clips=clips), videos=0, out=tmp_path / "out"))
    printed = capsys.readouterr().out
    assert "7 clips" in printed
    rows = [SimpleNamespace(**cells) for _, cells in read_table(tmp_path / "out" / "segments.csv").rows]
    assert {row.kind for row in rows} == {"one scene", "many scenes", "spliced", "forged"}
    for row in rows:
        if row.kind != "spliced":
            assert row.segments == ""
            continue
        (found,) = row.segments.split()
        ends = [float(value) for value in found.partition(":")[0].split("-")]
        assert ends == pytest.approx([float(row.forged_start), float(row.forged_end)], abs=0.5)
    assert (tmp_path / "out" / "segments.png").stat().st_size > 5000


def test_fakes_without_their_real_clip_are_left_out(clips):
    assert [clip.file for clip in read_index(clips) if clip.fake] == ["fake/0.mp4", "fake/1.mp4"]


def test_an_index_without_columns_or_real_clips_is_named(clips):
    write_table(clips / "clips.csv", ("file", "label"), [{"file": "a.mp4", "label": "real"}])
    with pytest.raises(UserError, match=r"clips\.csv has no column person"):
        read_index(clips)
    write_table(clips / "clips.csv", COLUMNS, [dict.fromkeys(COLUMNS, "fake")])
    with pytest.raises(UserError, match="no clips with the label real"):
        read_index(clips)
