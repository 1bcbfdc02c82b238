"""TensorBoard log of a run: losses, learning rate, validation metrics, and mouth strips of training videos."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lipinc.batches.clip_dataset import ClipDataset
from lipinc.cache.contact_sheet import mouth_strip
from lipinc.cache.manifest import ManifestRow
from lipinc.cache.store import Cache
from lipinc.datasets.records import Label
from lipinc.errors import UserError

FOLDER = "tensorboard"
"""In the run folder."""
STRIPS = 4
"""Number of real and of fake videos that are shown."""
TAGS = {
    "train_loss": "loss/train",
    "validation_loss": "loss/validation",
    "validation_auc": "validation/auc",
    "learning_rate": "learning_rate",
    "clips_per_second": "clips_per_second",
}
"""Column of results.csv -> its name in TensorBoard. Loss terms are "loss/train_<term>"."""


def check_tensorboard() -> None:
    """Check that the package is installed.

    Raises:
        UserError: it is not.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"train.tensorboard needs the package tensorboard ({error}): pip install 'lipinc[tensorboard]' (in the "
            "repository: pip install '.[tensorboard]'), or train without it"
        ) from None


class EventLog:
    """The log of one run. Use it in the main process only."""

    def __init__(self, run_folder: Path, history: Sequence[dict[str, Any]]):
        """Open the log, and write what is known of the finished epochs.

        Args:
            run_folder: the run folder.
            history: the finished epochs of a run that is resumed. Earlier events of these and of later epochs are
                superseded: a killed process may have logged an epoch whose training state it did not save, and the run
                may have been continued without TensorBoard.
        """
        from torch.utils.tensorboard import SummaryWriter  # the package is optional

        self._writer = SummaryWriter(log_dir=str(run_folder / FOLDER), purge_step=0)
        for row in history:
            self.write(row)

    def write(self, row: dict[str, Any]) -> None:
        """Log an epoch: a row of results.csv. Values that are not finite are left out."""
        for column, value in row.items():
            tag = TAGS.get(column, f"loss/{column}" if column.startswith("train_") else "")
            if tag and math.isfinite(value):
                self._writer.add_scalar(tag, value, row["epoch"])
        self._writer.flush()

    def write_strips(self, cache: Cache, rows: Sequence[ManifestRow]) -> None:
        """Log the first clip of some real and fake videos, spread over the rows: see `mouth_strip`.

        Raises:
            UserError: a clip file is damaged.
        """
        local_frames = cache.settings["sampling"]["local_frames"]
        for label in Label:
            own = [row for row in rows if row.record.label is label]
            positions = np.unique(np.linspace(0, len(own) - 1, min(len(own), STRIPS)).round().astype(int))
            clips = ClipDataset(cache, [own[position] for position in positions])
            for video, row in enumerate(clips.rows):
                frames, residues = (part.numpy() for part in clips.read_windows(video)[0])
                strip = mouth_strip(frames, residues, local_frames)[:, :, ::-1]
                self._writer.add_image(f"{label.name.lower()}/{row.record.key}", strip.copy(), 0, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
