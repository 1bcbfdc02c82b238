"""A catalogue to a cache: extraction of every video on worker processes, continued where it was interrupted."""

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from lipinc.cache.clip_file import has_expected_size, read_summary
from lipinc.cache.manifest import OK, Journal, ManifestRow, read_manifest
from lipinc.cache.store import Cache
from lipinc.cache.workers import extract_all
from lipinc.config import Config
from lipinc.datasets.dataset import check_present
from lipinc.datasets.records import Label, VideoRecord
from lipinc.errors import UserError
from lipinc.versions import MOUTH_LIBRARIES, library_versions
from lipinc.video.rejection import Reason

log = logging.getLogger(__name__)


def build_cache(
    config: Config, records: list[VideoRecord], on_row: Callable[[ManifestRow, bool], None]
) -> list[ManifestRow]:
    """Bring the cache of `config` up to date with `records`; returns the manifest, a row for each record, in order.

    on_row is called once for each video, with its row and whether it was done before. Interrupted at any moment, the
    next call continues. Raises UserError (cache of other settings or in use, disk full, cluster out of reach, videos
    gone).
    """
    cache = Cache.of(config)
    with cache.locked():
        before, now = cache.versions(), library_versions(MOUTH_LIBRARIES)
        if before != now:
            log.warning("the cache was begun with %s, this is %s: mouths may differ slightly", before, now)
        missing = check_present(records, config.data)
        rows, todo = _done_before(config, cache, records, missing)
        for row in rows.values():
            on_row(row, True)
        if todo:
            journal = Journal(cache.journal_file)
            try:
                with closing(extract_all(config, cache, todo)) as extracted:  # workers end before the lock does
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
class ExtractionRate:
    """How many videos of one label became clips. A refusal that favours one label is a bias."""

    label: Label
    videos: int
    ok: int
    windows: int


def extraction_rates(manifest: list[ManifestRow]) -> list[ExtractionRate]:
    """ExtractionRate of each label that occurs, reals first."""
    return [
        ExtractionRate(
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


def _done_before(
    config: Config, cache: Cache, records: list[VideoRecord], missing: set[str]
) -> tuple[dict[str, ManifestRow], list[VideoRecord]]:
    """The rows of videos that need no work, by key, and the videos that do."""
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
            row = _ok_row(cache, record, row)  # the clips on the disk decide
        if row is not None and row.size == Path(config.data.root, record.path).stat().st_size:
            rows[record.key] = replace(row, record=record)  # labels follow the catalogue
        else:
            todo.append(record)
    return rows, todo


def _ok_row(cache: Cache, record: VideoRecord, row: ManifestRow | None) -> ManifestRow | None:
    """The row of a video whose clips are there and whole. They are read only where its earlier row does not tell."""
    file = cache.clips_file(record.key)
    if row is not None and has_expected_size(file, row):
        return row
    about = read_summary(file)
    return None if about is None else ManifestRow(record, OK, **about)


def _check_still_there(config: Config, records: list[VideoRecord], row: ManifestRow, missing: int) -> None:
    """Raise UserError if a worker misses a video because the data set is gone, or because this worker never saw it."""
    video = Path(config.data.root, row.record.path)
    if not Path(config.data.root).is_dir():
        raise UserError(f"data.root {config.data.root} is gone; what is done is kept, the same command continues")
    if row.size == 0 and video.is_file():  # not one byte was seen of what is here
        raise UserError(f"a worker does not see {video}: all machines must share it under the same path")
    if missing > config.data.max_missing * len(records):
        check_present(records, config.data)


def _thousands(number: int) -> str:
    return f"{number:,}".replace(",", " ")
