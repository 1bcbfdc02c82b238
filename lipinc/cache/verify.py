"""A finished cache against its own manifest: is every clip file still what was written?"""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tqdm import tqdm

from lipinc.cache.clip_file import check_clips
from lipinc.cache.manifest import OK, ManifestRow, read_manifest, write_manifest
from lipinc.cache.store import Cache
from lipinc.config import Config
from lipinc.errors import UserError
from lipinc.video.rejection import Reason

log = logging.getLogger(__name__)


def verify_with_progress(config: Config) -> int:
    """Read every clip file of a cache and compare its checksum; returns how many there are.

    Raises UserError if one is damaged. It names each in the log and marks them in the manifest, so that nobody trains
    on them and the next run of extraction makes them again.
    """
    cache = Cache.of(config)
    cache.check()
    with cache.locked():
        if cache.journal_file.exists():
            raise UserError(f"the last run on {cache.path} has not ended; let the same command without --verify finish")
        rows = read_manifest(cache.manifest_file)

        def checked(row: ManifestRow) -> ManifestRow:
            try:
                if row.status == OK:
                    check_clips(cache.clips_file(row.record.key), row)
            except UserError as error:
                return replace(row, status=Reason.DAMAGED.value, detail=str(error).partition(";")[0], windows=0)
            return row

        with ThreadPoolExecutor(config.cache.workers or os.cpu_count()) as threads:
            found = list(tqdm(threads.map(checked, rows), total=len(rows), unit="video", desc="verify"))
        damaged = [row for row in found if row.status == Reason.DAMAGED.value]
        for row in damaged:
            log.error("%s", row.detail or row.record.key)
        if damaged:
            write_manifest(cache.manifest_file, found)
            raise UserError(
                f"{len(damaged)} clip files are damaged, named above and in {cache.manifest_file}; the same command "
                "without --verify makes them again"
            )
    return sum(row.status == OK for row in rows)
