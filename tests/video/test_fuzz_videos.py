"""A short run of the fuzzer. Long runs: `python -m tests.video.fuzz_videos`."""

from collections import Counter

import pytest

from tests.video import fuzz_videos


@pytest.mark.slow
def test_damaged_videos_have_a_known_outcome_and_do_not_crash(tmp_path) -> None:
    files = fuzz_videos.make_inputs(tmp_path, inputs=40, seed=1)
    found = list(fuzz_videos.outcomes(files, limit_mb=3000, seconds=20, workers=1))
    assert Counter(one.file for one in found) == Counter(files)
    assert all(one.is_known for one in found), fuzz_videos.table(found)
    assert not [one for one in found if one.verdict in ("died", "crashed")]
