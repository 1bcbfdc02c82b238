"""Parallel extraction on the cores of this machine or on a dask cluster.

Each worker is a local thread or a thread of a dask worker, and runs videos in its own subprocess
(lipinc/video/subprocesses.py). A video that crashes or hangs the subprocess does not affect the other videos, whatever
the configuration of the cluster.
"""

import errno
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import cv2

from lipinc.cache.clip_file import write_clips
from lipinc.cache.manifest import OK, ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import Config, MouthConfig, SamplingConfig
from lipinc.cores import available_cores
from lipinc.datasets.records import VideoRecord, forgery_seed, seed_from_name
from lipinc.errors import UserError, one_line
from lipinc.synthesis.compression import reencode
from lipinc.synthesis.perturbations import encodings_of, make_perturbation
from lipinc.synthesis.pseudo_fakes import forge_video
from lipinc.video.clips import Clips, extract
from lipinc.video.native_logs import quiet_native_logs
from lipinc.video.reader import Unreadable
from lipinc.video.rejection import Reason, Rejection
from lipinc.video.subprocesses import ProcessDied, TimeLimitExceeded, isolated_thread_pool, thread_process
from lipinc.video.video_files import video_size

FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE)
"""Errors caused by the machine, not by a video; they end the run."""
SCHEDULER_TIMEOUT = 10
"""Maximum time to wait for the scheduler of a cluster, in s."""
WORKERS_TIMEOUT = 60
"""Maximum time to wait for the first worker of a cluster, in s."""
MAX_MEMORY = 300
"""Resident memory of a subprocess after a video, in MB, above which the subprocess is restarted. (FaceMesh: 160 MB.)"""


@dataclass(frozen=True)
class Workers:
    """The workers of a run."""

    executor: Executor
    count: int
    lost_errors: tuple[type[Exception], ...] = ()
    """Exceptions of a future that mean that its worker was lost, for example with its machine."""


def extract_all(config: Config, cache: Cache, todo: list[VideoRecord]) -> Iterator[ManifestRow]:
    """Extract videos in parallel and yield the row of each one as soon as it is finished.

    Args:
        config: the experiment.
        cache: receives the clips.
        todo: the videos to extract.

    Raises:
        UserError: a problem that affects all videos: a full disk, an unreachable cluster, or a worker that cannot
            access the files.
    """
    retried: set[str] = set()
    with _cluster(config.cache.scheduler) if config.cache.scheduler else _threads(config, len(todo)) as workers:

        def submit(record: VideoRecord) -> Future:
            video = Path(config.data.root, record.path).absolute()
            file = cache.clips_file(record.key).absolute()
            work = partial(
                extract_to_cache,
                *(record, video, file, config.mouth, config.sampling, cache.settings),
                with_residues=config.cache.residues,
            )
            return workers.executor.submit(
                extract_isolated, work, record, video, cache.settings_file.absolute(), config.cache.time_limit
            )

        waiting = iter(todo)
        # Two videos per worker: no worker idles, and the scheduler does not have to hold the whole data set.
        running = {submit(record): record for record in islice(waiting, 2 * workers.count)}
        while running:
            done = wait(running, return_when=FIRST_COMPLETED).done
            for future in sorted(done, key=lambda future: future.cancelled() or future.exception() is not None):
                record = running.pop(future)
                try:
                    row = future.result()
                except CancelledError:
                    raise UserError(
                        f"lost the connection to the scheduler {config.cache.scheduler}; progress is saved"
                    ) from None
                except (OSError, ImportError, MemoryError) as error:
                    file, why = cache.clips_file(record.key), getattr(error, "strerror", None) or error
                    raise UserError(
                        f"a worker failed on {file}: {why}; fix this and run the same command again, progress is saved"
                    ) from error
                except workers.lost_errors:
                    if record.key not in retried:  # the worker was lost, but not necessarily because of the video
                        retried.add(record.key)
                        running[submit(record)] = record
                        continue
                    row = ManifestRow(record, Reason.CRASHED.value, "two workers were lost while processing it")
                yield row
                running |= {submit(record): record for record in islice(waiting, 1)}


def extract_isolated(
    work: Callable[[], ManifestRow], record: VideoRecord, video: Path, settings_file: Path, time_limit: float
) -> ManifestRow:
    """Run the extraction of one video in the subprocess of the current thread.

    Args:
        work: extracts the video.
        record: the video.
        video: its file.
        settings_file: settings of the cache, which every worker must be able to access.
        time_limit: in s.

    Returns:
        The row that `work` returned, or a rejection if the subprocess died or exceeded the time limit.

    Raises:
        UserError: the worker cannot access the cache.
    """
    if not settings_file.exists():
        raise UserError(
            f"a worker on {socket.gethostname()} cannot see {settings_file}: all machines must share the cache and "
            "the videos under the same paths"
        )
    try:
        return thread_process(max_memory_mb=MAX_MEMORY).call(work, time_limit=time_limit)
    except ProcessDied as death:
        return ManifestRow(record, Reason.CRASHED.value, f"its subprocess died ({death})", video_size(video))
    except TimeLimitExceeded:
        return ManifestRow(record, Reason.TIME_LIMIT.value, f"not finished after {time_limit:g} s", video_size(video))


def extract_to_cache(
    record: VideoRecord,
    video: Path,
    file: Path,
    mouth: MouthConfig,
    sampling: SamplingConfig,
    settings: dict,
    *,
    with_residues: bool = True,
) -> ManifestRow:
    """Extract one video and write its clips.

    Args:
        record: the video or version.
        video: the video file.
        file: the clip file to write.
        mouth: mouth settings.
        sampling: sampling settings.
        settings: extraction settings, stored in the clip file.
        with_residues: whether to store the residues.

    Returns:
        The manifest row, with status ok or a rejection reason.

    Raises:
        OSError: the disk is full or read-only.
        ImportError: a library is missing.
    """
    size = video_size(video)
    try:
        if not os.path.exists(video):
            return ManifestRow(record, Reason.MISSING.value, "no such file")
        clips = _extract_version(record, video, mouth, sampling)
        if video_size(video) != size:  # otherwise a partial read would count as the whole video
            return ManifestRow(record, Reason.MISSING.value, "it disappeared or changed while it was read", size)
        if isinstance(clips, Rejection):
            counts = (clips.frames, clips.face_frames, clips.repeats)
            return ManifestRow(record, clips.reason.value, clips.detail, size, *counts)
        summary = write_clips(file, clips, settings, record.key, size, with_residues=with_residues)
        return ManifestRow(record, OK, **summary)
    except Exception as error:
        if isinstance(error, ImportError) or getattr(error, "errno", None) in FATAL:
            raise  # a problem of the machine: all other videos would fail too
        detail = one_line(error)
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            detail = "out of memory"
        return ManifestRow(record, Reason.CRASHED.value, detail, size)


def _extract_version(
    record: VideoRecord, video: Path, mouth: MouthConfig, sampling: SamplingConfig
) -> Clips | Rejection:
    """Apply the forgery and the condition of a record to its file, then extract the clips."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with quiet_native_logs():
                if record.forgery is not None:
                    forged = Path(folder, "forged.mp4")
                    forge_video(video, forged, seed=forgery_seed(record.path, record.forgery))
                    video = forged
                encodings = encodings_of(record.condition)
                if encodings:
                    reencoded = Path(folder, "reencoded.mp4")
                    reencode(video, reencoded, *encodings)
                    video = reencoded
        except Unreadable as error:
            return Rejection(Reason.UNREADABLE, str(error))
        return extract(video, mouth, sampling, perturb=make_perturbation(record.condition, seed_from_name(record.key)))


@contextmanager
def _threads(config: Config, videos: int) -> Iterator[Workers]:
    count = min(config.cache.workers or available_cores(), videos)
    threads = max(1, available_cores() // count)
    with isolated_thread_pool(
        count, initializer=partial(_limit_threads, threads), max_memory_mb=MAX_MEMORY
    ) as executor:
        yield Workers(executor, count)


def _limit_threads(count: int) -> None:
    cv2.setNumThreads(count)


@contextmanager
def _cluster(scheduler: str) -> Iterator[Workers]:
    from distributed import Client, KilledWorker  # slow to import (1 s)

    for name in ("distributed", "distributed.client"):  # the import sets the level of both
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout=SCHEDULER_TIMEOUT)
    except (OSError, ValueError) as error:
        raise UserError(f"no dask scheduler answers at {scheduler}: {error}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKERS_TIMEOUT)
        except TimeoutError as error:
            raise UserError(f"{scheduler} has no workers; start some, see docs/guide.md") from error
        yield Workers(client.get_executor(pure=False), sum(client.nthreads().values()), lost_errors=(KilledWorker,))
