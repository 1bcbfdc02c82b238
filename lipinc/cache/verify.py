"""Cache verification: compares the checksums of all clip files with the manifest."""

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from lipinc.cache.clip_file import check_clips
from lipinc.cache.manifest import OK, ManifestRow, read_manifest, write_manifest
from lipinc.cache.store import Cache
from lipinc.config import Config
from lipinc.cores import available_cores
from lipinc.errors import UserError
from lipinc.progress import progress_bar
from lipinc.video.rejection import Reason

log = logging.getLogger(__name__)


def verify_with_progress(config: Config) -> int:
    """Read every clip file of a cache and compare its checksum with the manifest.

    Returns:
        The number of clip files.

    Raises:
        UserError: clip files are damaged. Each is logged and marked in the manifest, so that training skips it and the
            next extraction run recreates it.
    """
    cache = Cache.of(config)
    cache.check()
    with cache.locked():
        if cache.journal_file.exists():
            raise UserError(f"the last run on {cache.path} is unfinished; run the same command without --verify first")
        rows = read_manifest(cache.manifest_file)

        def checked(row: ManifestRow) -> ManifestRow:
            try:
                if row.status == OK:
                    check_clips(cache.clips_file(row.record.key), row)
            except UserError as error:
                return replace(row, status=Reason.DAMAGED.value, detail=str(error).partition(";")[0], windows=0)
            return row

        with ThreadPoolExecutor(config.cache.workers or available_cores()) as threads:
            found = list(progress_bar(threads.map(checked, rows), total=len(rows), unit="video", desc="verify"))
        damaged = [row for row in found if row.status == Reason.DAMAGED.value]
        for row in damaged:
            log.error("%s", row.detail or row.record.key)
        if damaged:
            write_manifest(cache.manifest_file, found)
            raise UserError(
                f"{len(damaged)} clip files are damaged, listed above and in {cache.manifest_file}; run the same "
                "command without --verify to recreate them"
            )
    return sum(row.status == OK for row in rows)
