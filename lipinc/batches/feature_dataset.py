"""Features of cached clips: computed once before training, since they do not change from epoch to epoch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from lipinc.batches.batch import FeatureBatch
from lipinc.batches.clip_dataset import ClipDataset, Draw
from lipinc.cache.manifest import ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import AugmentConfig
from lipinc.ddp import all_gather, is_main, shard
from lipinc.models.registry import MouthModel


class FeatureDataset(Dataset):
    """The clips of a ClipDataset, each as the features (F,) that a model extracts from it."""

    def __init__(self, clips: ClipDataset, model: MouthModel, *, device: torch.device, bag: int = 1):
        """bag: windows of one video, the drawn one among them, whose features are averaged where a draw has a seed: a
        training example then says less of one window and more of its video."""
        self.rows, self.clips, self.labels, self.groups = clips.rows, clips.clips, clips.labels, clips.groups
        self._bag = bag
        self._videos = np.array([video for video, _ in self.clips])
        self._first = np.searchsorted(self._videos, np.arange(len(self.rows)))  # clips of a video follow each other
        self._windows = np.bincount(self._videos, minlength=len(self.rows))
        found = []
        with torch.inference_mode():
            videos = shard(range(len(self.rows)))
            for video in tqdm(videos, desc="features", unit="video", leave=False, disable=not is_main()):
                windows = [
                    model.extract_features(frames[None].to(device), residues[None].to(device))
                    for frames, residues in clips.windows_of(video)
                ]
                found.append(torch.cat(windows).cpu())
        self.features = torch.cat(all_gather(found)).clone()  # a tensor of inference mode could not be trained on

    def __len__(self) -> int:
        return len(self.clips)

    def __getitems__(self, draws: Sequence[Draw]) -> FeatureBatch:
        """The features of some clips."""
        clips = [draw.clip for draw in draws]
        features = torch.stack([self._bagged(draw) for draw in draws]) if self._bag > 1 else self.features[clips]
        videos = torch.from_numpy(self._videos[clips])
        return FeatureBatch(torch.from_numpy(self.labels[clips]), videos, features)

    def _bagged(self, draw: Draw) -> torch.Tensor:
        if not draw.seed:
            return self.features[draw.clip]
        video = self._videos[draw.clip]
        others = np.random.default_rng(draw.seed).integers(self._windows[video], size=self._bag - 1)
        return self.features[[draw.clip, *(self._first[video] + others)]].mean(dim=0)


def dataset_for(
    model: MouthModel,
    cache: Cache,
    rows: Sequence[ManifestRow],
    device: torch.device,
    *,
    augmentation: AugmentConfig | None = None,
    bag: int = 1,
) -> ClipDataset | FeatureDataset:
    """The clips of some videos as a model takes them, by its `input_kind`. augmentation, bag: for training."""
    clips = ClipDataset(cache, rows, augmentation)
    return FeatureDataset(clips, model, device=device, bag=bag) if model.input_kind == "features" else clips
