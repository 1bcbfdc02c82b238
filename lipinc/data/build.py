"""A catalogue to a cache: extraction of every video on worker processes, continued where it was interrupted."""

import errno
import json
import logging
import os
import signal
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from lipinc.config import Config, MouthConfig, SamplingConfig
from lipinc.data.cache import (
    OK,
    Cache,
    Journal,
    ManifestRow,
    catalogue_settings,
    index_digest,
    read_manifest,
    read_summary,
    summary_of,
    versions,
    write_atomically,
    write_clips,
    write_manifest,
)
from lipinc.data.catalog import Label, VideoRecord, check_present, forgery_seed, seed_of
from lipinc.errors import UserError
from lipinc.video.conditions import crf_of, perturb
from lipinc.video.extract import Clips, extract
from lipinc.video.forge import forge_video
from lipinc.video.landmarks import quiet_native_logs
from lipinc.video.reader import Unreadable
from lipinc.video.reencode import reencode
from lipinc.video.rejection import Reason, Rejection

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

log = logging.getLogger(__name__)

FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENOMEM)
"""Errors of the machine, not of a video: they end the run."""
SCHEDULER_TIMEOUT = 10
"""Seconds to wait for the scheduler of a cluster."""


def build_cache(
    config: Config, records: list[VideoRecord], on_row: Callable[[ManifestRow, bool], None]
) -> list[ManifestRow]:
    """Bring the cache of `config` up to date with `records`; returns the manifest, a row for each record, in order.

    on_row is called once for each video, with its row and whether it was done before. Interrupted at any moment, the
    next call continues. Raises UserError (cache of other settings, disk full, cluster out of reach).
    """
    cache = Cache.of(config)
    cache.prepare()
    if cache.versions() != versions():
        log.warning("the cache was begun with %s, this is %s: mouths may differ slightly", cache.versions(), versions())
    missing = check_present(records, config.data)
    earlier = _earlier_rows(cache, retry=(*config.cache.retry, Reason.MISSING.value))

    rows: dict[str, ManifestRow] = {}
    todo: list[VideoRecord] = []
    for record in records:
        if record.key in missing:
            rows[record.key] = ManifestRow(record, Reason.MISSING.value, "no such file")
            continue
        row = earlier.get(record.key)
        if row is None or row.status == OK:
            row = _ok_row(cache, record)  # the clips on the disk decide; labels follow the catalogue
        if row is not None and row.size == _size(config, record):
            rows[record.key] = replace(row, record=record)
        else:
            todo.append(record)
    for row in rows.values():
        on_row(row, True)

    if todo:
        journal = Journal(cache.journal_file)
        try:
            for row in _extract_all(config, cache, todo):
                journal.add(row)
                rows[row.record.key] = row
                on_row(row, False)
        finally:
            journal.close()
    manifest = [rows[record.key] for record in records]
    write_manifest(cache.manifest_file, manifest)
    about = {**catalogue_settings(config.data), "index_sha256": index_digest(config.data)}
    write_atomically(cache.path / "catalogue.json", json.dumps(about, indent=2).encode() + b"\n")
    cache.journal_file.unlink(missing_ok=True)
    return manifest


def build_with_progress(config: Config, records: list[VideoRecord]) -> list[ManifestRow]:
    """`build_cache` with a progress bar: videos a second, time left, and how many of each refusal."""
    refused: Counter[str] = Counter()
    with tqdm(total=len(records), unit="video", desc="extract", smoothing=0.05) as progress:

        def show(row: ManifestRow, earlier: bool) -> None:
            if row.status != OK:
                refused[row.status] += 1
                progress.set_postfix(refused, refresh=False)
            if earlier:
                progress.initial += 1
            progress.update()

        return build_cache(config, records, show)


@dataclass(frozen=True)
class Coverage:
    """How many videos of one label became clips. A refusal that favours one label is a bias."""

    label: Label
    videos: int
    ok: int
    windows: int


def coverage(manifest: list[ManifestRow]) -> list[Coverage]:
    """Coverage of each label that occurs, reals first."""
    return [
        Coverage(
            label,
            videos=sum(row.record.label == label for row in manifest),
            ok=sum(row.record.label == label and row.status == OK for row in manifest),
            windows=sum(row.windows for row in manifest if row.record.label == label),
        )
        for label in Label
        if any(row.record.label == label for row in manifest)
    ]


def count_line(manifest: list[ManifestRow]) -> str:
    """For a person: "21 544 videos: 21 310 ok, 120 no_similar_pose, ..."."""
    counts = Counter(row.status for row in manifest)
    order = [OK, *(reason.value for reason in Reason)]
    return f"{_thousands(len(manifest))} videos: " + ", ".join(
        f"{_thousands(counts[status])} {status}" for status in order if counts[status] or status == OK
    )


def extract_to_cache(
    record: VideoRecord, video: Path, file: Path, mouth: MouthConfig, sampling: SamplingConfig, settings: dict
) -> ManifestRow:
    """Extract one video and write its clips: the work of a worker. Raises what is not the video's fault: a disk
    that is full or read-only, a library that is missing."""
    size = os.path.getsize(video) if os.path.exists(video) else 0
    try:
        clips = _extract_version(record, video, mouth, sampling)
        if isinstance(clips, Rejection):
            return ManifestRow(record, clips.reason.value, clips.detail, size, clips.frames, clips.face_frames)
        write_clips(file, clips, settings, record.key, size)
    except Exception as error:
        if isinstance(error, ImportError | MemoryError) or getattr(error, "errno", None) in FATAL:
            raise  # not the video's fault: the next one would fail too
        return ManifestRow(
            record, Reason.CRASHED.value, f"{type(error).__name__}: {' '.join(str(error).split())}", size
        )
    return ManifestRow(record, OK, **summary_of(clips, size))


def _extract_version(
    record: VideoRecord, video: Path, mouth: MouthConfig, sampling: SamplingConfig
) -> Clips | Rejection:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with quiet_native_logs():
                if record.forgery is not None:
                    forged = Path(folder, "forged.mp4")
                    forge_video(video, forged, seed=forgery_seed(record.path, record.forgery))
                    video = forged
                crf = crf_of(record.condition)
                if crf is not None:
                    reencoded = Path(folder, "reencoded.mp4")
                    reencode(video, reencoded, crf=crf)
                    video = reencoded
        except Unreadable as error:
            return Rejection(Reason.UNREADABLE, str(error))
        return extract(video, mouth, sampling, perturb=perturb(record.condition, seed_of(record.key)))


def _extract_all(config: Config, cache: Cache, todo: list[VideoRecord]) -> Iterator[ManifestRow]:
    with _cluster(config, len(todo)) as client:
        # Two a worker: none waits for its next file, and the scheduler never holds a whole data set.
        width = 2 * max(1, sum(client.nthreads().values()))
        suspects = []
        for record, row in _run(client, config, cache, todo, width):
            if row is None:
                suspects.append(record)
            else:
                yield row
        # A worker that dies takes those queued behind its video along: each is tried once more, alone.
        for suspect in suspects:
            for record, row in _run(client, config, cache, [suspect], 1):
                died = ManifestRow(
                    record, Reason.CRASHED.value, "the process that reads it dies", _size(config, record)
                )
                yield row or died


def _run(
    client: "Client", config: Config, cache: Cache, todo: list[VideoRecord], width: int
) -> Iterator[tuple[VideoRecord, ManifestRow | None]]:
    """Extract on the workers, `width` videos at a time. The row is None where a worker died."""
    from distributed import KilledWorker, as_completed  # a second to import: only when there is work

    records: dict[str, VideoRecord] = {}

    def submit(record: VideoRecord) -> "Future":
        video = Path(config.data.root, record.path).absolute()
        file = cache.clips_file(record.key).absolute()
        future = client.submit(
            extract_to_cache, record, video, file, config.mouth, config.sampling, cache.settings, pure=False
        )
        records[future.key] = record
        return future

    waiting = iter(todo)
    running = as_completed([submit(record) for record in islice(waiting, width)])
    for future in running:
        record = records.pop(future.key)
        error = future.exception()
        if isinstance(error, OSError | ImportError | MemoryError):
            file = cache.clips_file(record.key)
            raise UserError(f"a worker cannot go on with {file}: {error}; mend that, what is done is kept") from error
        if error is not None and not isinstance(error, KilledWorker):
            raise error
        yield record, None if error else future.result()
        future.release()
        following = next(waiting, None)
        if following is not None:
            running.add(submit(following))


@contextmanager
def _cluster(config: Config, videos: int) -> Iterator:
    """A dask client: of a cluster that runs already, or of one on this machine for as long as it is needed."""
    import dask
    from distributed import Client

    settings = {
        "distributed.scheduler.allowed-failures": 0,
        "distributed.worker.multiprocessing-method": "spawn",  # FaceMesh hangs after a fork
        "distributed.scheduler.work-stealing": False,
    }
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # importing it has set INFO
    with dask.config.set(settings), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a port in use: the dashboard is off
        if config.cache.scheduler:
            try:
                client = Client(config.cache.scheduler, timeout=SCHEDULER_TIMEOUT)
            except (OSError, ValueError) as error:
                raise UserError(f"no dask scheduler answers at {config.cache.scheduler}: {error}") from error
            with client:
                yield client
            return
        with (
            _local_cluster(min(config.cache.workers or os.cpu_count() or 1, videos)) as cluster,
            Client(cluster) as client,
        ):
            yield client


def _local_cluster(workers: int) -> "LocalCluster":
    from distributed import LocalCluster

    # The terminal sends Ctrl-C to the workers too. Started while it is ignored, they leave it to this process.
    main = threading.current_thread() is threading.main_thread()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN) if main else None
    try:
        return LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
    finally:
        if main:
            signal.signal(signal.SIGINT, handler)


def _earlier_rows(cache: Cache, retry: tuple[str, ...]) -> dict[str, ManifestRow]:
    rows: dict[str, ManifestRow] = {}
    for file in (cache.manifest_file, cache.journal_file):
        if file.exists():
            rows |= {row.record.key: row for row in read_manifest(file) if row.status not in retry}
    return rows


def _ok_row(cache: Cache, record: VideoRecord) -> ManifestRow | None:
    """The row of a video whose clips are there and whole."""
    about = read_summary(cache.clips_file(record.key))
    return None if about is None else ManifestRow(record, OK, **about)


def _size(config: Config, record: VideoRecord) -> int:
    return Path(config.data.root, record.path).stat().st_size


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", " ")
