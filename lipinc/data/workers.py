"""Videos to manifest rows on many workers: those of this machine, or of a dask cluster.

A worker is a thread of a dask worker that has a process of its own for the videos (lipinc/data/isolation.py). A video
that kills or hangs this process costs itself alone, whatever the cluster was started with.
"""

import errno
import logging
import os
import socket
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from lipinc.config import Config, MouthConfig, SamplingConfig
from lipinc.data.cache import OK, Cache, ManifestRow, write_clips
from lipinc.data.catalog import VideoRecord, forgery_seed, seed_of
from lipinc.data.isolation import Isolated, ProcessDied, TimeLimitExceeded
from lipinc.errors import UserError
from lipinc.video.conditions import crf_of, perturb
from lipinc.video.extract import Clips, extract
from lipinc.video.forge import forge_video
from lipinc.video.landmarks import quiet_native_logs
from lipinc.video.reader import Unreadable
from lipinc.video.reencode import reencode
from lipinc.video.rejection import Reason, Rejection

if TYPE_CHECKING:
    from distributed import Client, Future

FATAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENOMEM)
"""Errors of the machine, not of a video: they end the run."""
SCHEDULER_TIMEOUT = 10
"""Seconds to wait for the scheduler of a cluster."""
WORKERS_TIMEOUT = 60
"""Seconds to wait for its first worker."""
DIED = "the process that reads it dies"


def extract_all(config: Config, cache: Cache, todo: list[VideoRecord]) -> Iterator[ManifestRow]:
    """The row of each video, as they are done; its clips are then in the cache.

    Raises UserError for what would fail the next video too: a full disk, a cluster out of reach, a worker that does not
    see the files.
    """
    from distributed import KilledWorker, as_completed  # a second to import: only when there is work
    from distributed.client import FutureCancelledError

    records: dict[str, VideoRecord] = {}
    tried: set[str] = set()

    def submit(record: VideoRecord) -> "Future":
        video = Path(config.data.root, record.path).absolute()
        file = cache.clips_file(record.key).absolute()
        work = partial(extract_to_cache, record, video, file, config.mouth, config.sampling, cache.settings)
        future = client.submit(
            work_apart, work, record, video, cache.settings_file.absolute(), config.cache.time_limit, pure=False
        )
        records[future.key] = record
        return future

    with _cluster(config, len(todo)) as client:
        # Two a worker: none waits for its next video, and the scheduler never holds a whole data set.
        width = 2 * sum(client.nthreads().values())
        waiting = iter(todo)
        running = as_completed([submit(record) for record in islice(waiting, width)])
        for future in running:
            record = records.pop(future.key)
            error = future.exception()
            if isinstance(error, UserError):
                raise error
            if isinstance(error, FutureCancelledError):
                raise UserError(f"{config.cache.scheduler} is lost ({error.reason}); what is done is kept") from error
            if isinstance(error, OSError | ImportError | MemoryError):
                file = cache.clips_file(record.key)
                raise UserError(
                    f"a worker cannot go on with {file}: {error}; mend that, what is done is kept"
                ) from error
            if isinstance(error, KilledWorker) and record.key not in tried:
                tried.add(record.key)  # of a machine that is lost, not of the video: its worker would have survived
                running.add(submit(record))
                continue
            if error is not None and not isinstance(error, KilledWorker):
                raise error
            yield ManifestRow(record, Reason.CRASHED.value, DIED) if error else future.result()
            future.release()
            following = next(waiting, None)
            if following is not None:
                running.add(submit(following))


def work_apart(
    work: Callable[[], ManifestRow], record: VideoRecord, video: Path, settings_file: Path, time_limit: float
) -> ManifestRow:
    """The row that `work` makes of a video in a process of its own: what a dask worker runs.

    settings_file: of the cache, which every worker must see. A process that dies may have been killed for another's
    sake (the memory of the machine, a person), so that the video is tried once more.
    """
    if not settings_file.exists():
        raise UserError(
            f"a worker on {socket.gethostname()} does not see {settings_file}: all machines must share the cache and "
            "the videos, under the same paths"
        )
    for _ in range(2):
        try:
            return _process().call(work, time_limit=time_limit)
        except ProcessDied:
            continue
        except TimeLimitExceeded:
            return ManifestRow(record, Reason.TIME_LIMIT.value, f"not done after {time_limit:g} s", _size(video))
    return ManifestRow(record, Reason.CRASHED.value, DIED, _size(video))


def extract_to_cache(
    record: VideoRecord, video: Path, file: Path, mouth: MouthConfig, sampling: SamplingConfig, settings: dict
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
        return ManifestRow(record, OK, **write_clips(file, clips, settings, record.key, size))
    except Exception as error:
        if isinstance(error, ImportError | MemoryError) or getattr(error, "errno", None) in FATAL:
            raise  # not the video's fault: the next one would fail too
        return ManifestRow(
            record, Reason.CRASHED.value, f"{type(error).__name__}: {' '.join(str(error).split())}", size
        )


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


def _size(video: Path) -> int:
    return os.path.getsize(video) if os.path.exists(video) else 0


_mine = threading.local()
_processes: list[Isolated] = []
"""Of all threads."""


def _process() -> Isolated:
    if not hasattr(_mine, "process"):
        _mine.process = Isolated()
        _processes.append(_mine.process)
    return _mine.process


@contextmanager
def _cluster(config: Config, videos: int) -> Iterator["Client"]:
    """A dask client with at least one worker: of a cluster that runs already, or of threads of this process."""
    import dask
    from distributed import Client, LocalCluster

    settings = {
        "distributed.scheduler.work-stealing": False,
        "distributed.scheduler.worker-ttl": None,  # a clock that jumps would make its worker look lost
        "distributed.worker.profile.enabled": False,
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
                try:
                    client.wait_for_workers(1, timeout=WORKERS_TIMEOUT)
                except TimeoutError as error:
                    raise UserError(
                        f"{config.cache.scheduler} has no worker; start some, see docs/cluster.md"
                    ) from error
                yield client
            return
        workers = min(config.cache.workers or os.cpu_count() or 1, videos)
        with (
            LocalCluster(
                n_workers=1,
                threads_per_worker=workers,
                processes=False,
                memory_limit=None,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster) as client,
        ):
            try:
                yield client
            finally:  # what still runs is nobody's any more, and the threads would wait for it
                while _processes:
                    _processes.pop().close()
