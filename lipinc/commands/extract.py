"""Extract mouth clips from videos into a cache: frames, residues and a manifest row for every video.

Usage:

    python preprocess_extract_lips.py --config config.py --data.root /data/FakeAVCeleb_v1.2
"""

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from lipinc.cache.build import build_with_progress, count_line, extraction_rates
from lipinc.cache.contact_sheet import write_contact_sheet
from lipinc.cache.manifest import OK
from lipinc.cache.store import Cache
from lipinc.cache.verify import verify_with_progress
from lipinc.config import Config, experiment, parse_command_line
from lipinc.datasets import load_videos
from lipinc.datasets.labels import label_line
from lipinc.errors import UserError

SECTIONS = ("name", "data", "mouth", "sampling", "cache")
"""The config sections that determine a cache."""


@dataclass(frozen=True)
class Arguments(Config):
    """Arguments of extract: a config and the mode."""

    verify: tyro.conf.UseCounterAction[int] = 0
    """Do not extract; read all clip files of the cache and compare their checksums with the manifest."""


def main(argv: Sequence[str], prog: str) -> None:
    """Run the command."""
    arguments = parse_command_line(Arguments, argv, prog=prog, description=__doc__, sections=SECTIONS)
    config = experiment(arguments)
    if arguments.verify:
        print(f"verified {verify_with_progress(config)} clip files: all checksums match")
        return
    records = load_videos(config.data)
    print(label_line(records), flush=True)  # before the work, so that inverted labels are seen in time
    manifest = build_with_progress(config, records)
    cache = Cache.of(config)
    sheet = write_contact_sheet(cache, manifest, config)
    for rate in extraction_rates(manifest):
        print(
            f"extracted {rate.label.name.lower()}: {rate.ok} of {rate.videos} videos "
            f"({rate.ok / rate.videos:.1%}), {rate.windows} clips, for example {rate.example}"
        )
    print(f"{cache.manifest_file}" + (f", {sheet}" if sheet else ""))
    print(count_line(manifest))
    if not any(row.status == OK for row in manifest):
        raise UserError(f"no video has clips: see the rejection reasons in {cache.manifest_file}")
