"""Dataset of clip features, computed once before training because they are the same in every epoch."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from lipinc.batches.batch import FeatureBatch
from lipinc.batches.clip_dataset import MIXED, ClipDataset, Draw
from lipinc.cache.manifest import ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import AugmentConfig
from lipinc.datasets.records import paired_reals
from lipinc.ddp import all_gather, is_main, shard
from lipinc.models.discriminant import VideoFeatures
from lipinc.models.registry import MouthModel
from lipinc.progress import progress_bar

_computed: dict[tuple, torch.Tensor] = {}
"""Features of the videos of this process, in the folds of a cross-validation computed once: see
`MouthModel.feature_key`. Noise maps of 10 000 videos of 12 windows take 260 MB."""


class FeatureDataset(Dataset):
    """The features (F,) float32 that a model extracts from each clip of a ClipDataset."""

    def __init__(self, clips: ClipDataset, model: MouthModel, *, device: torch.device, bag: int = 1):
        """Extract the features of all clips.

        Args:
            clips: the clips.
            model: the model, with `input_kind` "features".
            device: where the features are computed.
            bag: number of windows of one video and label, including the drawn one, that are averaged into one training
                example.
                Averaging reduces the influence of single windows. Draws without a seed are not averaged.
        """
        self.rows, self.clips, self.labels, self.groups = clips.rows, clips.clips, clips.labels, clips.groups
        self.partners, self.pairs_in = clips.partners, clips.pairs_in
        self._bag, self._clips = bag, clips
        self._videos = np.array([video for video, _ in self.clips])
        # The windows of one label in one video; most videos have one label.
        part = 3 * self._videos + self.labels - MIXED
        self._order = np.argsort(part, kind="stable")
        self._first, self._windows = np.searchsorted(part[self._order], part), np.bincount(part)[part]
        found = []
        with torch.inference_mode():
            videos = shard(range(len(self.rows)))
            for video in progress_bar(videos, desc="features", unit="video", leave=False, disable=not is_main()):
                found.append(self._of_video(video, model, device))
        self.features = torch.cat(all_gather(found))  # outside inference mode, so that training can use it

    def _of_video(self, video: int, model: MouthModel, device: torch.device) -> torch.Tensor:
        """Return the features (windows, F) of a video; from memory, if a dataset of this process has computed them."""
        key, checksum = model.feature_key(), self.rows[video].clips_sha256
        name = (type(model), key, checksum, device.type)
        if key is not None and checksum and name in _computed:
            return _computed[name]
        windows = [
            model.extract_features(frames[None].to(device), residues[None].to(device))
            for frames, residues in self._clips.read_windows(video)
        ]
        features = torch.cat(windows).cpu()
        if key is not None and checksum:
            _computed[name] = features
        return features

    def __len__(self) -> int:
        return len(self.clips)

    def __getitems__(self, draws: Sequence[Draw]) -> FeatureBatch:
        """Return a batch of features."""
        clips = [draw.clip for draw in draws]
        features = torch.stack([self._bagged(draw) for draw in draws]) if self._bag > 1 else self.features[clips]
        videos = torch.from_numpy(self._videos[clips])
        return FeatureBatch(torch.from_numpy(self.labels[clips]), videos, features)

    def by_video(self) -> VideoFeatures:
        """Return the mean features of each video, with what a closed-form classifier needs to know about it.

        Of a video that is forged in part, only the forged windows count; without any, the video is left out.
        """
        own = self.labels == np.array([row.record.label for row in self.rows], dtype=np.int64)[self._videos]
        windows = np.bincount(self._videos[own], minlength=len(self.rows))
        used = windows > 0
        records = [row.record for row, one in zip(self.rows, used, strict=True) if one]
        groups = [f"{record.generator}\0{record.family}" for record in records]
        video, features = torch.from_numpy(self._videos[own]), self.features[torch.from_numpy(own)].double()
        means = torch.zeros(len(self.rows), features.shape[1], dtype=torch.float64).index_add_(0, video, features)
        means /= torch.from_numpy(windows).clamp(min=1)[:, None]
        deviations = features - means[video]
        return VideoFeatures(
            features=means.numpy()[used],
            label=np.array([record.label for record in records], dtype=np.int64),
            real=paired_reals(records),
            condition=np.array([record.condition for record in records]),
            group=np.unique(groups, return_inverse=True)[1],
            within=(deviations.T @ deviations / max(1, len(features) - len(records))).numpy(),
        )

    def _bagged(self, draw: Draw) -> torch.Tensor:
        if not draw.seed:
            return self.features[draw.clip]
        others = np.random.default_rng(draw.seed).integers(self._windows[draw.clip], size=self._bag - 1)
        return self.features[[draw.clip, *self._order[self._first[draw.clip] + others]]].mean(dim=0)


def dataset_for(
    model: MouthModel,
    cache: Cache,
    rows: Sequence[ManifestRow],
    device: torch.device,
    *,
    augmentation: AugmentConfig | None = None,
    bag: int = 1,
) -> ClipDataset | FeatureDataset:
    """Create the dataset that a model needs: clips or features, depending on its `input_kind`.

    Args:
        model: the model.
        cache: the cache with the clips.
        rows: the videos.
        device: where features are computed.
        augmentation: for training with clips; None: no augmentation.
        bag: for training with features (see `FeatureDataset`).
    """
    clips = ClipDataset(cache, rows, augmentation)
    return FeatureDataset(clips, model, device=device, bag=bag) if model.input_kind == "features" else clips
