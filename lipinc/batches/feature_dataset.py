"""Clips as their statistics: measured once before training, since nothing about them changes from epoch to epoch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset
from tqdm import tqdm

from lipinc.batches.clip_dataset import Batch, ClipDataset, Draw
from lipinc.cache.store import Cache, ManifestRow
from lipinc.config import AugmentConfig
from lipinc.ddp import all_gather, is_main, shard
from lipinc.models import MouthStatistics


class MeasuredDataset(Dataset):
    """The clips of a ClipDataset, each as statistics (F,) in place of its frames, and without residues."""

    def __init__(self, clips: ClipDataset, model: MouthStatistics, *, device: torch.device, bag: int = 1):
        """bag: windows of one video, the drawn one among them, whose statistics are averaged where a draw has a seed:
        a training example says less of one window and more of its video."""
        self.rows, self.clips, self.labels, self.groups = clips.rows, clips.clips, clips.labels, clips.groups
        self._bag = bag
        self._videos = np.array([video for video, _ in self.clips])
        self._first = np.searchsorted(self._videos, np.arange(len(self.rows)))  # clips of a video follow each other
        self._windows = np.bincount(self._videos, minlength=len(self.rows))
        found = []
        with torch.inference_mode():
            videos = shard(range(len(self.rows)))
            for video in tqdm(videos, desc="measure", unit="video", leave=False, disable=not is_main()):
                windows = [model.statistics(window[None].to(device)) for window in clips.of_video(video)]
                found.append(torch.cat(windows).cpu())
        self.statistics = torch.cat(all_gather(found)).clone()  # a tensor of inference mode could not be trained on

    def __len__(self) -> int:
        return len(self.clips)

    def __getitems__(self, draws: Sequence[Draw]) -> Batch:
        """Statistics (B, F) for frames, and nothing for residues."""
        clips = [draw.clip for draw in draws]
        statistics = torch.stack([self._bagged(draw) for draw in draws]) if self._bag > 1 else self.statistics[clips]
        videos = torch.from_numpy(self._videos[clips])
        return Batch(statistics, torch.empty(0), torch.from_numpy(self.labels[clips]), videos)

    def _bagged(self, draw: Draw) -> torch.Tensor:
        if not draw.seed:
            return self.statistics[draw.clip]
        video = self._videos[draw.clip]
        others = np.random.default_rng(draw.seed).integers(self._windows[video], size=self._bag - 1)
        return self.statistics[[draw.clip, *(self._first[video] + others)]].mean(dim=0)


def clips_for(
    model: nn.Module,
    cache: Cache,
    rows: Sequence[ManifestRow],
    device: torch.device,
    *,
    augmentation: AugmentConfig | None = None,
    bag: int = 1,
) -> ClipDataset | MeasuredDataset:
    """The clips of some videos as a network takes them: pixels, or what was measured of them. augmentation, bag: as the
    datasets have them, to train on."""
    clips = ClipDataset(cache, rows, augmentation)
    return MeasuredDataset(clips, model, device=device, bag=bag) if isinstance(model, MouthStatistics) else clips
