"""Scoring: applies a model to the clips of videos."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from lipinc.batches.clip_dataset import MIXED, ClipDataset
from lipinc.batches.feature_dataset import FeatureDataset
from lipinc.batches.loaders import evaluation_loader
from lipinc.cache.manifest import ManifestRow
from lipinc.config import TrainConfig
from lipinc.datasets.records import Label
from lipinc.ddp import all_gather, is_main
from lipinc.evaluation.predictions import Predictions
from lipinc.models.registry import MouthModel, margin
from lipinc.progress import progress_bar
from lipinc.video.quality import QUALITY_NAMES


@dataclass(frozen=True)
class ClipScores:
    """The scores of C clips."""

    video: np.ndarray
    """(C,) int64: index of each clip's video in the rows of the dataset."""
    score: np.ndarray
    """(C,) float64: logit(fake) - logit(real)."""
    label: np.ndarray
    """(C,) int64: 1 = fake; MIXED clips have none."""
    loss: np.ndarray
    """(C,) float32: cross-entropy; 0 for MIXED clips."""

    def by_video(self, rows: Sequence[ManifestRow]) -> Predictions:
        """Return the predictions of the videos: the mean score of the windows of each."""
        sums, counts = np.zeros(len(rows)), np.zeros(len(rows))
        np.add.at(sums, self.video, self.score)
        np.add.at(counts, self.video, 1)
        order = np.argsort(self.video, kind="stable")
        windows = np.split(self.score[order], np.cumsum(counts)[:-1].astype(int))
        records = [row.record for row in rows]
        return Predictions(records, sums / counts, counts, quality=_quality(rows), window_scores=windows)

    def by_window(self, rows: Sequence[ManifestRow]) -> Predictions:
        """Return each window that is not MIXED as if it were a video with the label of the window, without a pair."""
        labelled = self.label != MIXED
        videos = self.video[labelled]
        records = [
            replace(rows[video].record, label=Label(label), pair="")
            for video, label in zip(videos.tolist(), self.label[labelled].tolist(), strict=True)
        ]
        return Predictions(records, self.score[labelled], np.ones(len(records)), quality=_quality(rows)[videos])


def _quality(rows: Sequence[ManifestRow]) -> np.ndarray:
    return np.array([row.quality() for row in rows]).reshape(-1, len(QUALITY_NAMES))


@torch.inference_mode()
def score_clips(
    model: MouthModel,
    dataset: ClipDataset | FeatureDataset,
    config: TrainConfig,
    device: torch.device,
    *,
    description: str,
) -> ClipScores:
    """Score the clips of a dataset.

    Args:
        model: the model; it is set to eval mode.
        dataset: clips or features.
        config: data loading settings.
        device: device of the model.
        description: label of the progress bar.
    """
    model.eval()
    scored = []
    loader = evaluation_loader(dataset, config, pin=device.type == "cuda")
    for batch in progress_bar(loader, desc=description, unit="step", leave=False, disable=not is_main()):
        batch = batch.to(device)
        logits = model(*batch.inputs)  # no autocast: bf16 scores would have many ties
        margins = margin(logits).double()
        losses = nn.functional.cross_entropy(logits, batch.labels, reduction="none", ignore_index=MIXED)
        scored.append(tuple(values.cpu().numpy() for values in (batch.videos, margins, batch.labels, losses)))
    return ClipScores(*(np.concatenate(values) for values in zip(*all_gather(scored), strict=True)))


def predict(
    model: MouthModel,
    dataset: ClipDataset | FeatureDataset,
    config: TrainConfig,
    device: torch.device,
    *,
    description: str,
) -> tuple[Predictions, float]:
    """Score the videos of a dataset. The arguments are those of `score_clips`.

    Returns:
        The predictions, and the mean cross-entropy of the clips. The score of a video is the mean of
        logit(fake) - logit(real) over its windows.
    """
    scores = score_clips(model, dataset, config, device, description=description)
    return scores.by_video(dataset.rows), float(scores.loss[scores.label != MIXED].mean())
