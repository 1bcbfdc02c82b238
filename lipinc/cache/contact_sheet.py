"""A picture of what was extracted, so that a person sees at a glance whether the crops are right."""

from pathlib import Path

import numpy as np

from lipinc.cache.store import OK, Cache, ManifestRow, read_clips
from lipinc.config import Config
from lipinc.datasets.records import Label
from lipinc.evaluation.plots import contact_sheet

VIDEOS_PER_LABEL = 6


def write_contact_sheet(cache: Cache, manifest: list[ManifestRow], config: Config) -> Path | None:
    """<cache>/contact_sheet.png: the first window of some real and some fake videos, spread over the manifest.

    None if no video has clips.
    """
    items = []
    for label in Label:
        rows = [row for row in manifest if row.status == OK and row.record.label == label]
        for position in np.unique(np.linspace(0, len(rows) - 1, min(len(rows), VIDEOS_PER_LABEL)).round().astype(int)):
            key = rows[position].record.key
            clips = read_clips(cache.clips_file(key))
            items.append((f"{label.name.lower()}  {key}  window 0", *clips.window(0)))
    if not items:
        return None
    path = cache.path / "contact_sheet.png"
    contact_sheet(
        items, path, f"mouths and {config.mouth.residue} residues", config.sampling.local_frames, config.data.note
    )
    return path
