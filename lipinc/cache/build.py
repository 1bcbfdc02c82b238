"""Cache construction: resumable extraction of all videos of a data set on worker processes."""

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from lipinc.cache.clip_file import has_expected_size, read_summary
from lipinc.cache.manifest import OK, Journal, ManifestRow, read_manifest
from lipinc.cache.store import Cache
from lipinc.cache.workers import extract_all
from lipinc.config import Config
from lipinc.datasets.dataset import check_present, is_present
from lipinc.datasets.records import Label, VideoRecord
from lipinc.errors import UserError
from lipinc.progress import progress_bar
from lipinc.versions import mouth_versions
from lipinc.video.landmarks.installed import require_landmarks
from lipinc.video.published_faces import landmarks_caveat
from lipinc.video.rejection import Reason
from lipinc.video.video_files import video_size

log = logging.getLogger(__name__)


def build_cache(
    config: Config, records: list[VideoRecord], on_row: Callable[[ManifestRow, bool], None]
) -> list[ManifestRow]:
    """Update the cache of `config` so that it contains all `records`. An interrupted call can be repeated to continue.

    Args:
        config: the experiment.
        records: all videos and versions of the data set.
        on_row: called once per video with its row and whether it was extracted by an earlier run.

    Returns:
        The manifest: one row per record, in the order of `records`.

    Raises:
        UserError: the cache has other settings or is in use, the disk is full, the cluster is unreachable, videos have
            disappeared, or dlib or mediapipe is needed and not installed.
    """
    if not config.cache.scheduler:  # the workers of a cluster may have what is missing here
        require_landmarks(config.mouth.landmarks)
    if caveat := landmarks_caveat(config.mouth, config.sampling):
        log.warning("%s: %s", config.name, caveat)
    cache = Cache.of(config)
    with cache.locked():
        before, now = cache.versions(), mouth_versions(cache.settings["mouth"])
        if before != now:
            log.warning("the cache was created with %s, but %s are installed: mouths may differ slightly", before, now)
        missing = check_present(records, config.data)
        rows, todo = _find_finished(config, cache, records, missing)
        for row in rows.values():
            on_row(row, True)
        if todo:
            journal = Journal(cache.journal_file)
            try:
                with closing(extract_all(config, cache, todo)) as extracted:  # stop workers before releasing the lock
                    for row in extracted:
                        if row.status == Reason.MISSING.value:
                            missing.add(row.record.key)
                            _check_still_there(config, records, row, len(missing))
                        journal.add(row)
                        rows[row.record.key] = row
                        on_row(row, False)
            finally:
                journal.close()
        manifest = [rows[record.key] for record in records]
        cache.finish(manifest, config.data)
        cache.journal_file.unlink(missing_ok=True)
    return manifest


def build_with_progress(config: Config, records: list[VideoRecord]) -> list[ManifestRow]:
    """Run `build_cache` with a progress bar that shows videos per second, time left and rejections by reason."""
    rejected: Counter[str] = Counter()
    with progress_bar(total=len(records), unit="video", desc="extract", smoothing=0.05) as progress:

        def show(row: ManifestRow, earlier: bool) -> None:
            if row.status != OK:
                rejected[row.status] += 1
                progress.set_postfix(rejected, refresh=False)
            if earlier:
                progress.initial += 1
            progress.update()

        return build_cache(config, records, show)


@dataclass(frozen=True)
class ExtractionRate:
    """Extraction success of the videos of one label. Rates that differ between the labels are a bias of the data."""

    label: Label
    videos: int
    ok: int
    windows: int
    example: str
    """Key of the first video, in which inverted labels show."""


def extraction_rates(manifest: list[ManifestRow]) -> list[ExtractionRate]:
    """Return the extraction rate of each label that occurs, reals first."""
    return [
        ExtractionRate(
            label,
            videos=sum(row.record.label == label for row in manifest),
            ok=sum(row.record.label == label and row.status == OK for row in manifest),
            windows=sum(row.windows for row in manifest if row.record.label == label),
            example=next(row.record.key for row in manifest if row.record.label == label),
        )
        for label in Label
        if any(row.record.label == label for row in manifest)
    ]


def count_line(manifest: list[ManifestRow]) -> str:
    """Return a summary of the manifest: "21 544 videos: 21 310 ok, 120 no_similar_pose, ..."."""
    counts = Counter(row.status for row in manifest)
    order = [OK, *(reason.value for reason in Reason)]
    return f"{_group_digits(len(manifest))} videos: " + ", ".join(
        f"{_group_digits(counts[status])} {status}" for status in order if counts[status] or status == OK
    )


def _find_finished(
    config: Config, cache: Cache, records: list[VideoRecord], missing: set[str]
) -> tuple[dict[str, ManifestRow], list[VideoRecord]]:
    """Return the rows of videos that are finished, by key, and the list of videos to extract."""
    earlier: dict[str, ManifestRow] = {}
    for file in (cache.manifest_file, cache.journal_file):
        if file.exists():
            earlier |= {row.record.key: row for row in read_manifest(file)}
    retry = {*config.cache.retry, Reason.DAMAGED.value}
    rows: dict[str, ManifestRow] = {}
    todo: list[VideoRecord] = []
    for record in records:
        if record.key in missing:
            rows[record.key] = ManifestRow(record, Reason.MISSING.value, "no such file")
            continue
        row = earlier.get(record.key)
        if row is not None and row.status in retry:
            row = None
        elif row is None or row.status in (OK, Reason.MISSING.value):
            row = _ok_row(cache, record, row)  # the clip file on disk decides
        if row is not None and row.size == video_size(Path(config.data.root, record.path)):
            rows[record.key] = replace(row, record=record)  # use the labels of the current index
        else:
            todo.append(record)
    return rows, todo


def _ok_row(cache: Cache, record: VideoRecord, row: ManifestRow | None) -> ManifestRow | None:
    """Return the row of a video with an intact clip file, else None. Reads the file only if `row` does not match it."""
    file = cache.clips_file(record.key)
    if row is not None and has_expected_size(file, row):
        return row
    summary = read_summary(file)
    return None if summary is None else ManifestRow(record, OK, **summary)


def _check_still_there(config: Config, records: list[VideoRecord], row: ManifestRow, missing: int) -> None:
    """Raise UserError if a video is missing because the data set disappeared or the worker cannot access it."""
    video = Path(config.data.root, row.record.path)
    if not Path(config.data.root).is_dir():
        raise UserError(f"data.root {config.data.root} has disappeared; progress is saved, the same command continues")
    if row.size == 0 and is_present(video):  # the file exists on this machine only
        raise UserError(f"a worker cannot see {video}: all machines must share it under the same path")
    if missing > config.data.max_missing * len(records):
        check_present(records, config.data)


def _group_digits(number: int) -> str:
    return f"{number:,}".replace(",", " ")
