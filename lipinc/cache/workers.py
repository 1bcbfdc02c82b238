"""Videos to manifest rows on many workers: those of this machine, or of a dask cluster.

A worker is a thread, here or of a dask worker, that has a process of its own for the videos (lipinc/video/subprocesses.py).
A video that kills or hangs this process costs itself alone, whatever the cluster was started with.
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

from lipinc.cache.clip_file import write_clips
from lipinc.cache.manifest import OK, ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import Config, MouthConfig, SamplingConfig
from lipinc.datasets.records import VideoRecord, forgery_seed, seed_of
from lipinc.errors import UserError, one_line
from lipinc.synthesis.compression import reencode
from lipinc.synthesis.perturbations import make_perturbation, parse_crf
from lipinc.synthesis.pseudo_fakes import forge_video
from lipinc.video.clips import Clips, extract
from lipinc.video.landmarks import quiet_native_logs
from lipinc.video.reader import Unreadable
from lipinc.video.rejection import Reason, Rejection
from lipinc.video.subprocesses import ProcessDied, TimeLimitExceeded, isolated_thread_pool, thread_process

FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE)
"""Errors of the machine, not of a video: they end the run."""
SCHEDULER_TIMEOUT = 10
"""Seconds to wait for the scheduler of a cluster."""
WORKERS_TIMEOUT = 60
"""Seconds to wait for its first worker."""
MEMORY = 300
"""MB of resident memory after a video from which on its process makes way for a fresh one. (FaceMesh: 160.)"""


@dataclass(frozen=True)
class Workers:
    """Who makes the rows."""

    executor: Executor
    count: int
    lost: tuple[type[Exception], ...] = ()
    """Errors of a future whose worker was lost, machine and all."""


def extract_all(config: Config, cache: Cache, todo: list[VideoRecord]) -> Iterator[ManifestRow]:
    """The row of each video, as they are done; its clips are then in the cache.

    Raises UserError for what would fail the next video too: a full disk, a cluster out of reach, a worker that does not
    see the files.
    """
    tried: set[str] = set()
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
                work_apart, work, record, video, cache.settings_file.absolute(), config.cache.time_limit
            )

        waiting = iter(todo)
        # Two a worker: none waits for its next video, and a scheduler never holds a whole data set.
        running = {submit(record): record for record in islice(waiting, 2 * workers.count)}
        while running:
            done = wait(running, return_when=FIRST_COMPLETED).done
            for future in sorted(done, key=lambda future: future.cancelled() or future.exception() is not None):
                record = running.pop(future)
                try:
                    row = future.result()
                except CancelledError:
                    raise UserError(f"the scheduler {config.cache.scheduler} is lost; what is done is kept") from None
                except (OSError, ImportError, MemoryError) as error:
                    file, why = cache.clips_file(record.key), getattr(error, "strerror", None) or error
                    raise UserError(
                        f"a worker cannot go on with {file}: {why}; mend that, what is done is kept"
                    ) from error
                except workers.lost:
                    if record.key not in tried:  # whoever died, it was not the process of the video
                        tried.add(record.key)
                        running[submit(record)] = record
                        continue
                    row = ManifestRow(record, Reason.CRASHED.value, "its workers are lost, one after another")
                yield row
                running |= {submit(record): record for record in islice(waiting, 1)}


def work_apart(
    work: Callable[[], ManifestRow], record: VideoRecord, video: Path, settings_file: Path, time_limit: float
) -> ManifestRow:
    """The row that `work` makes of a video in a process of its own.

    A dask worker runs it, or a thread. settings_file: of the cache, which every worker must see.
    """
    if not settings_file.exists():
        raise UserError(
            f"a worker on {socket.gethostname()} does not see {settings_file}: all machines must share the cache and "
            "the videos, under the same paths"
        )
    try:
        return thread_process(max_memory_mb=MEMORY).call(work, time_limit=time_limit)
    except ProcessDied as death:
        return ManifestRow(record, Reason.CRASHED.value, f"the process that reads it dies ({death})", _size(video))
    except TimeLimitExceeded:
        return ManifestRow(record, Reason.TIME_LIMIT.value, f"not done after {time_limit:g} s", _size(video))


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
    """Extract one video and write its clips. Raises what is not the video's fault: a disk that is full or read-only, a
    library that is missing."""
    size = _size(video)
    try:
        if not os.path.exists(video):
            return ManifestRow(record, Reason.MISSING.value, "no such file")
        clips = _extract_version(record, video, mouth, sampling)
        if _size(video) != size:  # else what could be read before would pass for the whole video
            return ManifestRow(record, Reason.MISSING.value, "it vanished or changed while it was read", size)
        if isinstance(clips, Rejection):
            return ManifestRow(record, clips.reason.value, clips.detail, size, clips.frames, clips.face_frames)
        return ManifestRow(record, OK, **write_clips(file, clips, settings, record.key, size, with_residues=with_residues))
    except Exception as error:
        if isinstance(error, ImportError) or getattr(error, "errno", None) in FATAL:
            raise  # not the video's fault: the next one would fail too
        detail = one_line(error)
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            detail = "needs more memory than there is"
        return ManifestRow(record, Reason.CRASHED.value, detail, size)


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
                crf = parse_crf(record.condition)
                if crf is not None:
                    reencoded = Path(folder, "reencoded.mp4")
                    reencode(video, reencoded, crf=crf)
                    video = reencoded
        except Unreadable as error:
            return Rejection(Reason.UNREADABLE, str(error))
        return extract(video, mouth, sampling, perturb=make_perturbation(record.condition, seed_of(record.key)))


def _size(video: Path) -> int:
    return os.path.getsize(video) if os.path.exists(video) else 0


@contextmanager
def _threads(config: Config, videos: int) -> Iterator[Workers]:
    count = min(config.cache.workers or os.cpu_count() or 1, videos)
    with isolated_thread_pool(count, max_memory_mb=MEMORY) as executor:
        yield Workers(executor, count)


@contextmanager
def _cluster(scheduler: str) -> Iterator[Workers]:
    from distributed import Client, KilledWorker  # a second to import

    for name in ("distributed", "distributed.client"):  # importing it has given both levels of their own
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(scheduler, timeout=SCHEDULER_TIMEOUT)
    except (OSError, ValueError) as error:
        raise UserError(f"no dask scheduler answers at {scheduler}: {error}") from error
    with client:
        try:
            client.wait_for_workers(1, timeout=WORKERS_TIMEOUT)
        except TimeoutError as error:
            raise UserError(f"{scheduler} has no worker; start some, see docs/cluster.md") from error
        yield Workers(client.get_executor(pure=False), sum(client.nthreads().values()), lost=(KilledWorker,))
