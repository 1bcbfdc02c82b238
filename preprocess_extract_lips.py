"""Videos -> cache: mouths by MediaPipe landmarks, clips and residues on disk, a manifest row for every video.

python preprocess_extract_lips.py --config config.py --data.root /data/FakeAVCeleb_v1.2
"""

from collections import Counter

from tqdm import tqdm

from lipinc.config import Config, parse_command_line
from lipinc.data.build import build_cache, count_line, coverage
from lipinc.data.cache import OK, Cache, ManifestRow
from lipinc.data.catalog import load_catalog
from lipinc.data.contact_sheet import write_contact_sheet
from lipinc.errors import UserError
from lipinc.scripts import run_script


def main() -> None:
    config = parse_command_line(Config)
    records = load_catalog(config.data)
    refused: Counter[str] = Counter()
    with tqdm(total=len(records), unit="video", desc="extract", smoothing=0.05) as progress:

        def show(row: ManifestRow, earlier: bool) -> None:
            if row.status != OK:
                refused[row.status] += 1
                progress.set_postfix(refused, refresh=False)
            if earlier:
                progress.initial += 1
            progress.update()

        manifest = build_cache(config, records, show)
    cache = Cache.of(config)
    sheet = write_contact_sheet(cache, manifest, config)
    for label in coverage(manifest):
        print(
            f"coverage {label.label.name.lower()}: {label.ok} of {label.videos} videos "
            f"({label.ok / label.videos:.1%}), {label.windows} clips"
        )
    print(f"{cache.manifest_file}" + (f", {sheet}" if sheet else ""))
    print(count_line(manifest))
    if not any(row.status == OK for row in manifest):
        raise UserError(f"not one video gave clips: see the reasons in {cache.manifest_file}")


if __name__ == "__main__":
    run_script(main)
