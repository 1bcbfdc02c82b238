"""Training loop: epochs, validation, checkpoints and resuming."""

import hashlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from lipinc.batches.clip_dataset import ClipDataset
from lipinc.batches.feature_dataset import FeatureDataset, dataset_for
from lipinc.batches.loaders import training_loader
from lipinc.cache.manifest import ManifestRow
from lipinc.cache.store import Cache
from lipinc.config import Config, LossConfig, TrainConfig
from lipinc.ddp import all_gather, all_reduce_sum, is_main, world_size, wrap_ddp
from lipinc.errors import UserError
from lipinc.evaluation.metrics import auc
from lipinc.evaluation.predictions import Predictions
from lipinc.evaluation.scoring import predict
from lipinc.losses.total import LossInputs, loss_terms, total_loss
from lipinc.models.calibration import Calibration, calibrate
from lipinc.models.checkpoint import identity_digest, load_checkpoint, load_state, save_checkpoint, save_state
from lipinc.models.registry import MouthModel
from lipinc.progress import progress_bar
from lipinc.training.optimization import learning_rate, make_optimizer, seed_torch
from lipinc.training.run_folder import Run
from lipinc.training.tensorboard import EventLog

log = logging.getLogger(__name__)

COMPILER = "inductor"
"""Backend of torch.compile."""

REPORT_EVERY = 10
"""Steps between two reads of the losses; each read synchronises with the device."""


def fit(
    model: MouthModel,
    config: Config,
    cache: Cache,
    rows: dict[str, Sequence[ManifestRow]],
    run: Run,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Train a model until the maximum number of epochs or early stopping.

    If the run has a training state, training resumes from it, with the same results as an uninterrupted run.

    Args:
        model: the model, on `device`.
        config: the experiment.
        cache: the cache with the clips.
        rows: the videos of the splits `train` and `validation`.
        run: the run folder, which receives checkpoints and results.
        device: the device to train on.

    Returns:
        The history: one dict per epoch, the row of results.csv.

    Raises:
        UserError: the loss or the scores are not finite, or the training state does not match the videos or the model.
    """
    identities = {row.record.identity for split in ("train", "validation") for row in rows[split]}
    trained_on = sorted(identity_digest(identity) for identity in identities)
    fingerprint = _fingerprint(rows)
    optimizer = make_optimizer(model, config.train)
    history: list[dict[str, Any]] = []
    if run.last.exists():
        history = _restore(run, model, optimizer, fingerprint, config.train)
        if is_main():
            run.write_results(history)  # the previous process may have been killed before writing it
        log.info("%s: resuming after epoch %d", run.folder, len(history))
    if _is_finished(history, config.train):
        return history
    clips = dataset_for(model, cache, rows["train"], device, augmentation=config.augment, bag=config.train.bag)
    training = training_loader(clips, config.train, pin=device.type == "cuda")
    validation = dataset_for(model, cache, rows["validation"], device) if rows["validation"] else None
    if config.train.compile:
        model.compile(backend=_compile_or_fall_back)
    parallel = wrap_ddp(model)
    earlier, begin = len(history), time.perf_counter()
    events = EventLog(run.folder, history) if config.train.tensorboard and is_main() else None
    if events:
        events.write_strips(cache, rows["train"])

    while not _is_finished(history, config.train):
        started = time.perf_counter()
        epoch = len(history) + 1
        training.batch_sampler.set_epoch(epoch)
        seed_torch(config.train, epoch)
        if model.closed_form:
            losses = _solve(model, clips, config.train, device)
        else:
            losses = train_one_epoch(
                parallel, training, optimizer, config.train, config.loss, epoch=epoch, device=device
            )
        seconds = time.perf_counter() - started
        predictions, validation_loss = _validate(model, validation, config.train, device)
        if predictions and not (math.isfinite(validation_loss) and np.isfinite(predictions.score).all()):
            raise UserError(
                f"the weights after epoch {epoch} give scores that are not finite; the checkpoints of earlier epochs "
                "are kept. Lower train.learning_rate"
            )
        history.append(
            {
                "epoch": epoch,
                "train_loss": losses.pop("total"),
                **{f"train_{name}": value for name, value in losses.items()},
                # at the last step of the epoch
                "learning_rate": 0.0
                if model.closed_form
                else learning_rate(config.train, epoch * len(training) - 1, len(training)),
                "validation_loss": validation_loss,
                "validation_auc": auc(predictions.label, predictions.score) if predictions else math.nan,
                "seconds": round(seconds, 2),
                "clips_per_second": round(len(training.batch_sampler.sampler) / seconds, 1),
            }
        )
        kept = best_epoch(history, config.train.select) == epoch
        if is_main():
            if kept:
                calibration = Calibration()
                if predictions:
                    calibration = calibrate(predictions.label, predictions.score, quality=predictions.quality)
                save_checkpoint(run.best, model, config, epoch=epoch, calibration=calibration, trained_on=trained_on)
            _save(run, model, optimizer, history, fingerprint)
            run.write_results(history)
            if events:
                events.write(history[-1])
        seconds_left = (time.perf_counter() - begin) / (epoch - earlier) * (config.train.epochs - epoch)
        log.info(_progress_line(history, kept, 0.0 if _is_finished(history, config.train) else seconds_left))
    if events:
        events.close()
    return history


def drop_training_state(run: Run) -> None:
    """Delete weights and optimiser state of a finished run, so that its training state takes kilobytes."""
    save_state(run.last, {**load_state(run.last), "model": None, "optimizer": None})


def train_one_epoch(
    model: nn.Module,
    loader: DataLoader,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    loss_config: LossConfig,
    *,
    epoch: int,
    device: torch.device,
) -> dict[str, float]:
    """Train for one pass over the loader.

    Args:
        model: the model, possibly wrapped for DDP.
        loader: the training loader.
        optimizer: the optimizer.
        config: the training settings.
        loss_config: the weights of the loss terms.
        epoch: number of the epoch, from 1.
        device: device of the model.

    Returns:
        The total loss and its terms by name, as means over the clips of the epoch.

    Raises:
        UserError: the loss of a step is not finite; the message names the videos.
    """
    model.train()
    names = ["total", *loss_terms(loss_config)]
    sums, clips, recent = torch.zeros(len(names), device=device), len(loader.batch_sampler.sampler), []
    progress = progress_bar(loader, desc=f"epoch {epoch}", unit="step", leave=False, disable=not is_main())
    for position, batch in enumerate(progress):
        rate = learning_rate(config, (epoch - 1) * len(loader) + position, len(loader))
        for group in optimizer.param_groups:
            group["lr"] = rate
        videos, labels, batch = batch.videos, batch.labels, batch.to(device)
        with _autocast(config, device):
            logits, features = _forward(model, batch.inputs, loss_config)
        pairs = loader.dataset.pairs_in(videos, labels).to(device) if loss_config.ranking else None
        losses = total_loss(LossInputs(logits, features, batch.labels, loss_config, pairs))
        optimizer.zero_grad(set_to_none=True)
        batch_clips = min(config.batch_size, clips - position * config.batch_size)  # over all processes
        # DDP averages gradients over processes. The weight makes this the mean over clips if shards differ in size.
        (losses["total"] * (world_size() * len(videos) / batch_clips)).backward()
        if config.clip_gradient:
            nn.utils.clip_grad_norm_(model.parameters(), config.clip_gradient)
        optimizer.step()
        sums += torch.stack([losses[name].float() for name in names]).detach() * len(videos)
        recent.append((losses["total"].detach(), videos))
        if position % REPORT_EVERY == 0 or position + 1 == len(loader):
            _check_finite(recent, loader.dataset, epoch)
            recent.clear()
            progress.set_postfix(loss=f"{losses['total'].item():.3f}", refresh=False)
    return dict(zip(names, (all_reduce_sum(sums) / clips).tolist(), strict=True))


def _validate(
    model: MouthModel, videos: ClipDataset | FeatureDataset | None, config: TrainConfig, device: torch.device
) -> tuple[Predictions | None, float]:
    """Return predictions and loss on the validation videos; None and nan if there are none."""
    return (None, math.nan) if videos is None else predict(model, videos, config, device, description="validation")


def _solve(model: MouthModel, videos: FeatureDataset, config: TrainConfig, device: torch.device) -> dict[str, float]:
    """Compute the weights of a model with a closed form. Returns the losses as `train_one_epoch` does."""
    model.solve(videos.by_video())
    _, loss = predict(model, videos, config, device, description="training videos")
    return {"total": loss, "classification": loss}


def _check_finite(
    losses: list[tuple[torch.Tensor, torch.Tensor]], dataset: ClipDataset | FeatureDataset, epoch: int
) -> None:
    """Raise UserError if a loss is not finite.

    Args:
        losses: total loss and video indices of each step since the last call.
        dataset: names the videos.
        epoch: number of the epoch, for the message.
    """
    finite = torch.stack([loss for loss, _ in losses]).isfinite().tolist()
    bad = len(finite) if all(finite) else finite.index(False)
    # In the following step the bad weights reach all processes, so only the earliest step names the videos.
    keys = [dataset.rows[video].record.key for _, videos in losses[bad : bad + 1] for video in videos]
    found = all_gather([(bad, keys)])
    first = min(step for step, _ in found)
    names = sorted({name for step, step_keys in found if step == first for name in step_keys})
    if names:
        raise UserError(
            f"the loss of epoch {epoch} is not finite at a step on {', '.join(names)}; the checkpoints of earlier "
            "epochs are kept. Inspect these videos, or lower train.learning_rate"
        )


def _compile_or_fall_back(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable:
    """Backend of torch.compile that warns and runs the network uncompiled if the machine has no working compiler."""
    try:
        return torch._dynamo.lookup_backend(COMPILER)(graph, inputs)
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()
        log.warning("train.compile: the network runs uncompiled (%s)", reason[0] if reason else type(error).__name__)
        return graph.forward


def _progress_line(history: list[dict[str, Any]], kept: bool, seconds_left: float) -> str:
    row = history[-1]
    terms = [name.removeprefix("train_") for name in row if name.startswith("train_") and name != "train_loss"]
    return (
        f"epoch {row['epoch']:3d}  loss {row['train_loss']:.4f} ("
        + ", ".join(f"{name} {row[f'train_{name}']:.4f}" for name in terms)
        + f")  validation loss {row['validation_loss']:.4f}, AUC {row['validation_auc']:.4f}"
        + f"{' kept' if kept else '':5s}  {row['clips_per_second']:.0f} clips/s"
        + (f"  up to {tqdm.format_interval(seconds_left)} left" if seconds_left else "")  # it may stop early
    )


def best_epoch(history: list[dict], select: str = "auc") -> int:
    """Return the epoch with the highest validation AUC (ties: lowest validation loss), or the last one.

    Args:
        history: one dict per epoch.
        select: `train.select`, "auc" or "last".
    """
    if select == "last":
        return history[-1]["epoch"]
    return max(history, key=lambda row: (row["validation_auc"], -row["validation_loss"]))["epoch"]


def _is_finished(history: list[dict], config: TrainConfig) -> bool:
    out_of_patience = bool(history) and len(history) - best_epoch(history, config.select) >= config.patience
    return len(history) >= config.epochs or out_of_patience


def _forward(
    model: nn.Module, inputs: tuple[torch.Tensor, ...], config: LossConfig
) -> tuple[torch.Tensor, torch.Tensor | None]:
    return model(*inputs, loss_features=True) if config.inconsistency else (model(*inputs), None)


def _autocast(config: TrainConfig, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=config.amp and device.type == "cuda")


def _fingerprint(rows: dict[str, Sequence[ManifestRow]]) -> str:
    """Hash the training and validation videos, so that a run is not resumed on other videos."""
    lines = [
        f"{split} {row.record.key} {row.record.label} {row.record.identity} {row.windows}"
        f"{row.record.fake_periods and ' ' + row.record.fake_periods}\n"
        for split in ("train", "validation")
        for row in rows[split]
    ]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _save(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, history: list[dict], fingerprint: str) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    save_state(run.last, {**state, "history": history, "fingerprint": fingerprint})


def _restore(
    run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str, config: TrainConfig
) -> list[dict]:
    state = load_state(run.last)
    if state["fingerprint"] != fingerprint:
        raise UserError(
            f"{run.folder} was trained on other videos: the split, the labels or the cache have changed since, "
            "so training people may now be in the test split. Give another --name"
        )
    try:
        best_epoch(state["history"])
        if state["model"] is not None:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
        elif not _is_finished(state["history"], config):
            raise UserError(
                f"{run.folder} has finished with train.keep_last False: without its training state it cannot be "
                "continued for more epochs; give another --name"
            )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        raise UserError(f"{run.last} does not match this network; delete it to start over") from error
    load_checkpoint(run.best, torch.device("cpu"))  # fail now rather than after the last epoch
    return state["history"]
