"""Clips as their statistics: measured once before training, since nothing about them changes from epoch to epoch."""

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from lipinc.data.dataset import ClipDataset, Draw
from lipinc.distributed import gather, is_main, share
from lipinc.models import MouthStatistics

AT_ONCE = 32
"""Clips measured together."""


class MeasuredDataset(Dataset):
    """The clips of a ClipDataset, each as statistics (F,) in place of its frames, and without residues."""

    def __init__(self, clips: ClipDataset, model: MouthStatistics, *, device: torch.device, bag: int = 1):
        """bag: windows of one video, the drawn one among them, whose statistics are averaged where a draw has a seed:
        a training example says less of one window and more of its video."""
        self.rows, self.clips, self.labels, self.groups = clips.rows, clips.clips, clips.labels, clips.groups
        self._bag = bag
        videos = np.array([video for video, _ in self.clips])
        self._first = np.searchsorted(videos, np.arange(len(self.rows)))  # clips of a video follow each other
        self._windows = np.bincount(videos, minlength=len(self.rows))
        found = []
        with torch.inference_mode():
            starts = share(range(0, len(clips), AT_ONCE))
            for start in tqdm(starts, desc="measure", unit="step", leave=False, disable=not is_main()):
                some = [clips[Draw(clip, ())][0] for clip in range(start, min(start + AT_ONCE, len(clips)))]
                found.append(model.statistics(torch.stack(some).to(device)).cpu())
        self.statistics = torch.cat(gather(found)).clone()  # a tensor of inference mode could not be trained on

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, draw: Draw) -> tuple[torch.Tensor, torch.Tensor, int, int]:
        """Statistics, nothing, label, video of one clip."""
        video, _ = self.clips[draw.clip]
        statistics = self.statistics[draw.clip]
        if self._bag > 1 and draw.seed:
            others = np.random.default_rng(draw.seed).integers(self._windows[video], size=self._bag - 1)
            statistics = self.statistics[[draw.clip, *(self._first[video] + others)]].mean(dim=0)
        return statistics, torch.empty(0), int(self.labels[draw.clip]), video
