"""Scoring: applies a model to the clips of videos."""

import numpy as np
import torch
from torch import nn

from lipinc.batches.clip_dataset import ClipDataset
from lipinc.batches.feature_dataset import FeatureDataset
from lipinc.batches.loaders import evaluation_loader
from lipinc.config import TrainConfig
from lipinc.ddp import all_gather, is_main
from lipinc.evaluation.predictions import Predictions
from lipinc.models.registry import MouthModel
from lipinc.progress import progress_bar
from lipinc.video.quality import QUALITY_NAMES


@torch.inference_mode()
def predict(
    model: MouthModel,
    dataset: ClipDataset | FeatureDataset,
    config: TrainConfig,
    device: torch.device,
    *,
    description: str,
) -> tuple[Predictions, float]:
    """Score the videos of a dataset.

    Args:
        model: the model; it is set to eval mode.
        dataset: clips or features.
        config: data loading settings.
        device: device of the model.
        description: label of the progress bar.

    Returns:
        The predictions, and the mean cross-entropy of the clips. The score of a video is the mean of
        logit(fake) - logit(real) over its windows.
    """
    model.eval()
    scored = []
    loader = evaluation_loader(dataset, config, pin=device.type == "cuda")
    for batch in progress_bar(loader, desc=description, unit="step", leave=False, disable=not is_main()):
        batch = batch.to(device)
        logits = model(*batch.inputs)  # no autocast: bf16 scores would have many ties
        margins = (logits[:, 1] - logits[:, 0]).double()
        losses = nn.functional.cross_entropy(logits, batch.labels, reduction="none")
        scored.append(tuple(values.cpu().numpy() for values in (batch.videos, margins, losses)))
    videos, margins, losses = (np.concatenate(values) for values in zip(*all_gather(scored), strict=True))
    sums, counts = np.zeros(len(dataset.rows)), np.zeros(len(dataset.rows))
    np.add.at(sums, videos, margins)
    np.add.at(counts, videos, 1)
    quality = np.array([row.quality() for row in dataset.rows]).reshape(-1, len(QUALITY_NAMES))
    records = [row.record for row in dataset.rows]
    order = np.argsort(videos, kind="stable")
    windows = np.split(margins[order], np.cumsum(counts)[:-1].astype(int))
    found = Predictions(records, sums / counts, counts, quality=quality, window_scores=windows)
    return found, float(losses.mean())
