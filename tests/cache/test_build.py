"""The cache of real video files: every video gets its row, whatever happens, and the bytes depend on nothing else."""

import errno
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest

from lipinc.cache import build, workers
from lipinc.cache.build import build_cache, count_line, extraction_rates
from lipinc.cache.clip_file import read_clips
from lipinc.cache.manifest import OK, Journal, ManifestRow, read_manifest
from lipinc.cache.store import Cache
from lipinc.cache.verify import verify_with_progress
from lipinc.config import CacheConfig, Config, SamplingConfig, parse_command_line
from lipinc.datasets import CsvIndex, Folder
from lipinc.datasets.dataset import load_videos
from lipinc.datasets.records import Label
from lipinc.demo.videos import render_video, talking_frames, write_video
from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically
from lipinc.synthesis.compression import reencode
from lipinc.synthesis.perturbations import Encoding
from lipinc.video.clips import extract
from tests.processes import heed_interrupts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def videos(tmp_path_factory) -> Path:
    """real/ and fake/ with one video of each ending."""
    root = tmp_path_factory.mktemp("videos")
    render_video(root / "real" / "ann.mp4", number=0, frames=40)
    render_video(root / "fake" / "ann.mp4", number=0, frames=40, forged="mouth")
    render_video(root / "fake" / "bob's [1].mp4", number=1, frames=40, forged="mouth")
    render_video(root / "real" / "short.mp4", number=2, frames=12)
    render_video(root / "real" / "silent.mp4", number=4, frames=40, silent=True)
    write_video(root / "real" / "empty room.mp4", iter(noise(40)))
    (root / "real" / "text.mp4").write_text("not a video")
    (root / "fake" / "truncated.mp4").write_bytes((root / "fake" / "ann.mp4").read_bytes()[:4000])
    return root


def noise(frames: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (frames, 64, 64, 3), dtype=np.uint8)


def config_of(videos: Path, cache: Path, **changes) -> Config:
    return Config(
        data=Folder(root=str(videos)),
        sampling=SamplingConfig(windows=3),
        cache=CacheConfig(path=str(cache), **{"workers": 2, **changes}),
    )


def run(config: Config) -> tuple[dict[str, str], list[tuple[str, bool]]]:
    """Build; returns the status of each key, and (key, whether done before) in the order of reporting."""
    seen = []
    manifest = build_cache(
        config, load_videos(config.data), lambda row, earlier: seen.append((row.record.key, earlier))
    )
    return {row.record.key: row.status for row in manifest}, seen


def content(cache: Path) -> dict[str, str]:
    files = [path for path in cache.rglob("*") if path.is_file()]
    return {str(path.relative_to(cache)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="session")
def built(videos, tmp_path_factory) -> tuple[Path, dict[str, str]]:
    cache = tmp_path_factory.mktemp("built") / "cache"
    status, _ = run(config_of(videos, cache))
    return cache, status


def test_every_video_ends_in_the_manifest_with_its_reason(built):
    assert built[1] == {
        "fake/ann.mp4": "ok",
        "fake/bob's [1].mp4": "ok",
        "fake/truncated.mp4": "unreadable",
        "real/ann.mp4": "ok",
        "real/empty room.mp4": "no_face",
        "real/short.mp4": "too_short",
        "real/silent.mp4": "mouth_closed",
        "real/text.mp4": "unreadable",
    }
    for row in read_manifest(built[0] / "manifest.csv"):
        assert (row.detail == "") == (row.status == OK)
        assert (row.windows > 0) == (row.status == OK)


def test_counts_and_extraction_rates(built):
    manifest = read_manifest(built[0] / "manifest.csv")
    assert count_line(manifest) == "8 videos: 3 ok, 2 unreadable, 1 too_short, 1 no_face, 1 mouth_closed"
    assert [(c.label, c.videos, c.ok) for c in extraction_rates(manifest)] == [(Label.REAL, 5, 1), (Label.FAKE, 3, 2)]


def test_clips_have_the_shapes_of_the_paper(built):
    clips = read_clips(built[0] / "clips" / "fake" / "bob's [1].mp4.safetensors")
    windows = len(clips.frames)
    assert clips.frames.shape == (windows, 8, 64, 144, 3)
    assert clips.residues.shape == (windows, 7, 64, 144, 3)


def test_bytes_depend_neither_on_the_number_of_workers_nor_on_order(built, videos, tmp_path, monkeypatch):
    backwards = load_videos(Folder(root=str(videos)))[::-1]
    config = config_of(videos, tmp_path / "cache", workers=1)
    build_cache(config, backwards, lambda *_: None)
    first, second = content(built[0]), content(tmp_path / "cache")
    del first["manifest.csv"], second["manifest.csv"]  # in catalogue order, which this test turned round
    assert first == second
    rows = [read_manifest(cache / "manifest.csv") for cache in (built[0], tmp_path / "cache")]
    assert rows[0] == rows[1][::-1]


def test_a_second_run_does_nothing_and_changes_nothing(built, videos, monkeypatch):
    before = content(built[0])
    monkeypatch.setattr(build, "extract_all", None)
    status, seen = run(config_of(videos, built[0]))
    assert status == built[1]
    assert all(earlier for _, earlier in seen)
    assert content(built[0]) == before


def test_interrupted_and_started_again_it_continues_to_the_same_bytes(built, videos, tmp_path):
    config = config_of(videos, tmp_path / "cache")
    seen = []

    def stop_after_three(row, earlier):
        seen.append(row.record.key)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(config, load_videos(config.data), stop_after_three)
    assert not (tmp_path / "cache" / "manifest.csv").exists()
    assert (tmp_path / "cache" / "manifest.unfinished.csv").exists()
    _, second = run(config)
    # A worker may have ended a video that was not reported any more: it is not made again either.
    assert {key for key, earlier in second if earlier} >= set(seen)
    assert content(tmp_path / "cache") == content(built[0])


def test_a_clip_file_that_is_gone_and_a_video_that_changed_are_made_again(videos, tmp_path):
    root = tmp_path / "videos"
    for name in ("real/ann.mp4", "fake/ann.mp4"):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes((videos / name).read_bytes())
    config = config_of(root, tmp_path / "cache")
    run(config)
    Cache.of(config).clips_file("real/ann.mp4").unlink()
    (root / "fake" / "ann.mp4").write_bytes((videos / "fake" / "bob's [1].mp4").read_bytes())
    status, seen = run(config)
    assert [earlier for _, earlier in seen] == [False, False]
    assert set(status.values()) == {"ok"}


def test_a_missing_file_is_a_row_and_is_tried_again(videos, tmp_path):
    index = tmp_path / "index.csv"
    index.write_text("path,label,identity\nreal/ann.mp4,real,ann\nfake/late.mp4,fake,late\n")
    root = tmp_path / "videos"
    (root / "real").mkdir(parents=True)
    (root / "fake").mkdir()
    (root / "real" / "ann.mp4").write_bytes((videos / "real" / "ann.mp4").read_bytes())
    config = config_of(root, tmp_path / "cache")
    config = replace(config, data=CsvIndex(root=str(root), index=str(index), max_missing=0.6))
    assert run(config)[0] == {"real/ann.mp4": "ok", "fake/late.mp4": "missing"}
    (root / "fake" / "late.mp4").write_bytes((videos / "fake" / "ann.mp4").read_bytes())
    assert run(config)[0] == {"real/ann.mp4": "ok", "fake/late.mp4": "ok"}


def test_a_catalogue_that_shrinks_and_grows_again_extracts_nothing_anew(videos, built, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(built[0], cache)
    config = config_of(videos, cache)
    few = [record for record in load_videos(config.data) if "ann" in record.key]
    build_cache(config, few, lambda *_: None)
    assert len(read_manifest(cache / "manifest.csv")) == 2
    _, seen = run(config)
    assert {key for key, earlier in seen if earlier} == {"real/ann.mp4", "fake/ann.mp4", "fake/bob's [1].mp4"}
    assert read_manifest(cache / "manifest.csv") == read_manifest(built[0] / "manifest.csv")


def test_a_half_written_clip_file_is_made_again(videos, built, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(built[0], cache)
    file = cache / "clips" / "real" / "ann.mp4.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    _, seen = run(config_of(videos, cache))
    assert [key for key, earlier in seen if not earlier] == ["real/ann.mp4"]
    assert content(cache) == content(built[0])


@pytest.mark.parametrize("error", [ImportError("libEGL.so.1: cannot open"), OSError(28, "No space")])
def test_what_is_not_the_videos_fault_is_not_its_row(videos, tmp_path, monkeypatch, error):
    monkeypatch.setattr(workers, "extract", Mock(side_effect=error))
    record = load_videos(Folder(root=str(videos)))[0]
    config = config_of(videos, tmp_path)
    with pytest.raises(type(error)):
        workers.extract_to_cache(record, videos / record.key, tmp_path / "x", config.mouth, config.sampling, {})


def test_a_reason_can_be_tried_again(videos, built, tmp_path):
    config = config_of(videos, built[0], retry=("unreadable",))
    _, seen = run(config)
    assert {key for key, earlier in seen if not earlier} == {"fake/truncated.mp4", "real/text.mp4"}


def _die_on_bob(record, video, file, mouth, sampling, settings, **options):
    if "bob" in record.key:
        os.kill(os.getpid(), signal.SIGKILL)
    return _extract_to_cache(record, video, file, mouth, sampling, settings, **options)


def _fail_on_bob(record, video, file, mouth, sampling, settings, **options):
    if "bob" in record.key:
        raise OSError(28, "No space left on device")
    return _extract_to_cache(record, video, file, mouth, sampling, settings, **options)


_extract_to_cache = workers.extract_to_cache


@pytest.mark.slow
def test_a_worker_that_dies_costs_its_video_alone(videos, built, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "extract_to_cache", _die_on_bob)
    config = config_of(videos, tmp_path / "cache")
    status, _ = run(config)
    assert status == {**built[1], "fake/bob's [1].mp4": "crashed"}
    assert "its subprocess died (SIGKILL)" in Cache.of(config).manifest_file.read_text()


def test_a_bug_is_a_row_that_says_so(videos, tmp_path, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("division\nby zero")

    monkeypatch.setattr(workers, "extract", broken)
    record = load_videos(Folder(root=str(videos)))[0]
    config = config_of(videos, tmp_path)
    row = workers.extract_to_cache(record, videos / record.key, tmp_path / "x", config.mouth, config.sampling, {})
    assert (row.status, row.detail) == ("crashed", "ZeroDivisionError: division by zero")


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.ENOMEM, "Cannot allocate memory")])
def test_a_video_that_needs_too_much_memory_is_a_row_that_says_so(videos, tmp_path, monkeypatch, error):
    monkeypatch.setattr(workers, "extract", Mock(side_effect=error))
    record = load_videos(Folder(root=str(videos)))[0]
    config = config_of(videos, tmp_path)
    row = workers.extract_to_cache(record, videos / record.key, tmp_path / "x", config.mouth, config.sampling, {})
    assert (row.status, row.detail) == ("crashed", "out of memory")


def test_a_full_disk_stops_the_run_and_keeps_what_is_done(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "extract_to_cache", _fail_on_bob)
    config = config_of(videos, tmp_path / "cache", workers=1)
    with pytest.raises(UserError, match="failed on .*bob.*No space left on device"):
        run(config)
    assert "fake/ann.mp4" in {row.record.key for row in read_manifest(Cache.of(config).journal_file)}


def _hang_on_bob(record, video, file, mouth, sampling, settings, **options):
    if "bob" in record.key:
        time.sleep(3600)
    return ManifestRow(record, "no_face", "not looked at")


@pytest.mark.slow
def test_a_video_that_never_ends_costs_itself_alone(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "extract_to_cache", _hang_on_bob)
    config = config_of(videos, tmp_path / "cache", time_limit=15)  # the others take seconds, on a busy machine more
    status, _ = run(config)
    assert status.pop("fake/bob's [1].mp4") == "time_limit"
    assert set(status.values()) == {"no_face"}
    assert "not finished after 15 s" in Cache.of(config).manifest_file.read_text()


def test_a_journal_that_takes_no_more_is_named(videos, tmp_path):
    record = load_videos(Folder(root=str(videos)))[0]
    journal = Journal(tmp_path / "journal.csv")
    journal.add(ManifestRow(record, OK))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "journal.csv").stat().st_size + 5, before[1]))
    try:
        with pytest.raises(OSError, match="File too large.*journal.csv"):
            journal.add(ManifestRow(record, OK))
        journal.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(read_manifest(tmp_path / "journal.csv")) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_an_output_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "fsync", Mock(side_effect=OSError(number, os.strerror(number))))
    with pytest.raises(OSError, match="clips.*x.safetensors"):
        write_atomically(tmp_path / "clips" / "x.safetensors", b"content")
    assert not list((tmp_path / "clips").iterdir())


def test_a_data_set_that_vanishes_ends_the_run_and_the_next_one_continues(videos, built, tmp_path):
    root = tmp_path / "videos"
    shutil.copytree(videos, root)
    config = config_of(root, tmp_path / "cache", workers=1)

    def unmount(row, earlier):
        if root.exists():
            root.rename(tmp_path / "elsewhere")

    with pytest.raises(UserError, match=r"data.root .* has disappeared"):
        build_cache(config, load_videos(config.data), unmount)
    (tmp_path / "elsewhere").rename(root)
    status, seen = run(config)
    assert any(earlier for _, earlier in seen)
    assert status == built[1]


def test_a_video_that_changes_while_it_is_read_is_not_taken(videos, tmp_path, monkeypatch):
    video = tmp_path / "ann.mp4"
    shutil.copy(videos / "real" / "ann.mp4", video)
    monkeypatch.setattr(workers, "extract", lambda *_, **__: os.truncate(video, 1000))
    config = config_of(videos, tmp_path)
    record = load_videos(config.data)[0]
    row = workers.extract_to_cache(record, video, tmp_path / "x", config.mouth, config.sampling, {})
    assert (row.status, row.detail) == ("missing", "it disappeared or changed while it was read")


def test_a_second_run_on_the_same_cache_is_refused(videos, tmp_path):
    config = config_of(videos, tmp_path / "cache")
    with Cache.of(config).locked(), pytest.raises(UserError, match="another process is writing to"):
        run(config)


def test_a_worker_without_the_shared_folder_ends_the_run(videos, tmp_path):
    with pytest.raises(UserError, match="cannot see .*settings.json"):
        workers.extract_isolated(Mock(), Mock(), videos, tmp_path / "settings.json", 0)


def test_what_a_killed_run_left_half_written_goes(videos, built, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(built[0], cache)
    (cache / "clips" / "real" / "0123456789abcdef.tmp").write_bytes(b"half a fi")
    run(config_of(videos, cache))
    assert content(cache) == content(built[0])


def test_damaged_clips_are_named_marked_and_made_again(videos, built, tmp_path, caplog):
    cache = tmp_path / "cache"
    shutil.copytree(built[0], cache)
    config = config_of(videos, cache)
    assert verify_with_progress(config) == 3
    file = cache / "clips" / "real" / "ann.mp4.safetensors"
    flipped = bytearray(file.read_bytes())
    flipped[-1] ^= 1
    file.write_bytes(flipped)
    with pytest.raises(UserError, match="1 clip files are damaged"):
        verify_with_progress(config)
    assert "real/ann.mp4.safetensors is damaged" in caplog.text
    assert [row.record.key for row in read_manifest(cache / "manifest.csv") if row.status == "damaged"] == [
        "real/ann.mp4"
    ]
    _, seen = run(config)
    assert [key for key, earlier in seen if not earlier] == ["real/ann.mp4"]
    assert content(cache) == content(built[0])


def test_neither_clocks_nor_times_of_files_decide_anything(videos, built, tmp_path, monkeypatch):
    root = tmp_path / "videos"
    shutil.copytree(videos, root)
    jumps = random.Random(0)

    def jumping() -> float:
        return 1.7e9 + jumps.choice((-1, 0, 1)) * 86_400

    monkeypatch.setattr(time, "time", jumping)
    config = config_of(root, tmp_path / "cache")
    assert run(config)[0] == built[1]
    assert content(tmp_path / "cache") == content(built[0])
    for number, file in enumerate(path for path in tmp_path.rglob("*") if path.is_file()):
        os.utime(file, (number * 1e8, number * 1e8))
    monkeypatch.setattr(build, "extract_all", None)
    assert all(earlier for _, earlier in run(config)[1])


def test_no_scheduler_there(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "SCHEDULER_TIMEOUT", 1)
    scheduler = parse_command_line(Config, ["--scheduler", "tcp://127.0.0.1:9"]).cache.scheduler
    with pytest.raises(UserError, match="tcp://127.0.0.1:9"):
        run(config_of(videos, tmp_path / "cache", scheduler=scheduler))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[str]:
    """The address of a dask scheduler with two workers, all of default settings, on this machine."""
    folder = tmp_path_factory.mktemp("cluster")
    about = folder / "scheduler.json"

    def start(*words: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "dask", *words, "--scheduler-file", str(about), "--no-dashboard"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # its workers know this test
        return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)

    processes = [start("scheduler", "--host", "127.0.0.1", "--port", "0")]
    processes += [start("worker", "--nthreads", "1") for _ in range(2)]
    deadline = time.monotonic() + 60
    while not about.exists():
        assert time.monotonic() < deadline, "the scheduler does not start"
        time.sleep(0.05)
    yield json.loads(about.read_text())["address"]
    for process in reversed(processes):
        process.terminate()
    for process in processes:
        process.wait(timeout=30)


@pytest.mark.slow
def test_a_cluster_makes_the_same_bytes(videos, built, cluster, tmp_path):
    run(config_of(videos, tmp_path / "cache", scheduler=cluster))
    assert content(tmp_path / "cache") == content(built[0])


@pytest.mark.slow
def test_a_video_that_kills_or_hangs_costs_itself_alone_on_a_foreign_cluster(videos, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "extract_to_cache", _die_on_bob_and_hang_on_ann)
    status, _ = run(config_of(videos, tmp_path / "cache", scheduler=cluster, time_limit=15))
    assert status.pop("fake/bob's [1].mp4") == "crashed"
    assert status.pop("fake/ann.mp4") == "time_limit"
    assert set(status.values()) == {"no_face"}


def _die_on_bob_and_hang_on_ann(record, video, file, mouth, sampling, settings, **options):
    if "bob" in record.key:
        os.kill(os.getpid(), signal.SIGKILL)
    if record.key == "fake/ann.mp4":
        time.sleep(3600)
    return ManifestRow(record, "no_face", "not looked at")


@pytest.mark.slow
def test_ctrl_c_of_the_script_ends_in_one_line_and_can_be_continued(videos, tmp_path, built):
    command = [
        *(sys.executable, "preprocess_extract_lips.py", "--config", "config.py"),
        *("--data.kind", "folder", "--data.root", str(videos), "--sampling.windows", "3"),
        *("--mouth.cut", "aligned", "--mouth.margin", "0", "--mouth.height", "64", "--mouth.width", "144"),
        *("--cache.path", str(tmp_path / "cache"), "--cache.workers", "2"),
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=heed_interrupts
    )
    journal = tmp_path / "cache" / "manifest.unfinished.csv"
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.read_text().count("\n") > 1) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the script and its workers
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    done = content(tmp_path / "cache")
    assert done.pop("contact_sheet.png")
    assert done == content(built[0])
    verified = subprocess.run([*command, "--verify"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    assert verified.stdout == "verified 3 clip files: all checksums match\n"


def test_reencoded_versions_are_videos_of_their_own(videos, tmp_path):
    config = config_of(videos, tmp_path / "levels")
    config = replace(config, data=replace(config.data, conditions=("crf23", "crf40")))
    statuses, _ = run(config)
    for key in ("real/ann.mp4", "fake/truncated.mp4"):
        assert {statuses[f"{key}@crf{crf}"] for crf in (23, 40)} == {statuses[key]}
    cache = Cache.of(config)
    raw, light, heavy = (
        read_clips(cache.clips_file(f"real/ann.mp4{level}")).frames[0, 0].astype(int)
        for level in ("", "@crf23", "@crf40")
    )
    assert 0 < abs(light - raw).mean() < abs(heavy - raw).mean()
    reencode(videos / "real" / "ann.mp4", tmp_path / "ann.mp4", Encoding(40))
    np.testing.assert_array_equal(extract(tmp_path / "ann.mp4", config.mouth, config.sampling).frames[0, 0], heavy)
    again, seen = run(config)
    assert again == statuses and all(earlier for _, earlier in seen)
    rows = read_manifest(cache.manifest_file)
    assert {(row.record.path, row.record.condition) for row in rows if row.record.condition != "raw"} == {
        (row.record.path, condition) for row in rows for condition in ("crf23", "crf40")
    }


@pytest.mark.slow
def test_folders_of_frames_are_extracted_and_made_again_when_they_change(tmp_path):
    for number, name in enumerate(("real/ann/talk", "fake/bob")):
        folder = tmp_path / "set" / name
        folder.mkdir(parents=True)
        for index, image in enumerate(talking_frames(number=number, frames=40)):
            cv2.imwrite(str(folder / f"{index}.png"), image)
    config = config_of(tmp_path / "set", tmp_path / "cache", workers=1)
    assert run(config)[0] == {"fake/bob": "ok", "real/ann/talk": "ok"}
    assert [earlier for _, earlier in run(config)[1]] == [True, True]
    (tmp_path / "set/fake/bob/7.png").write_bytes(b"no picture")
    status, seen = run(config)
    assert status == {"fake/bob": "unreadable", "real/ann/talk": "ok"} and ("fake/bob", False) in seen
    row = read_manifest(tmp_path / "cache" / "manifest.csv")[0]
    assert row.detail == "the picture 7.png is damaged"
