"""The training loop: one epoch, prediction, checkpoints, resume."""

import hashlib
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from lipinc.calibration import calibrate
from lipinc.checkpoint import identity_digest, load_checkpoint, load_state, model_for, save_checkpoint, save_state
from lipinc.config import Config, LossConfig, TrainConfig
from lipinc.data.cache import Cache, ManifestRow
from lipinc.data.dataset import ClipDataset, evaluation_loader, training_loader
from lipinc.data.measured import clips_for
from lipinc.distributed import gather, is_main, parallelise, processes, rank, total
from lipinc.errors import UserError
from lipinc.losses import total_loss
from lipinc.metrics import Predictions, auc
from lipinc.run import Run

log = logging.getLogger(__name__)

COMPILER = "inductor"
"""Of torch's compiling backends."""

REPORT_EVERY = 10
"""Steps between two looks at the losses: each waits for the device."""


def choose_device(config: TrainConfig) -> torch.device:
    """CUDA where there is one, unless the config says otherwise; one for each process of this machine. Raises UserError
    if it asks for one in vain."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UserError("train.device is cuda, but torch sees no CUDA device; use --train.device auto")
    if config.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    number, devices = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= devices:
        raise UserError(f"more processes than CUDA devices; use torchrun --nproc_per_node={devices}")
    device = torch.device("cuda", number)
    torch.cuda.set_device(device)  # pinned memory of every process would otherwise open a context on the first GPU
    return device


def seed_torch(config: TrainConfig, epoch: int) -> None:
    """Initial weights (epoch 0) and dropout of an epoch follow from the seed: there is no state to resume.

    Each process drops out for itself."""
    entropy = (config.seed, epoch, rank()) if rank() else (config.seed, epoch)
    torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))


def be_deterministic(device: torch.device) -> None:
    """Ask for deterministic kernels, where torch has them. Call it before the first matrix product on CUDA."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    if device.type == "cuda":
        # The gradients of the fused kernels add up in any order as long as `warn_only` is set.
        torch.backends.cuda.enable_flash_sdp(False)
        torch.backends.cuda.enable_mem_efficient_sdp(False)
        torch.backends.cuda.enable_cudnn_sdp(False)


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Adam or AdamW of the config, fused."""
    shared = {"lr": config.learning_rate, "eps": config.adam_epsilon, "fused": True}
    if config.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), weight_decay=config.weight_decay, **shared)
    return torch.optim.Adam(model.parameters(), **shared)


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step, counted from 0: a function of nothing else, so that there is no state to resume."""
    warmup = round(config.warmup * steps_per_epoch)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    if config.schedule == "constant":
        return config.learning_rate
    total = config.epochs * steps_per_epoch
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


@dataclass(frozen=True)
class EpochLoss:
    """Means over the clips of an epoch."""

    total: float
    classification: float
    inconsistency: float


def train_one_epoch(
    model: nn.Module,
    loader: DataLoader,
    optimizer: torch.optim.Optimizer,
    config: Config,
    *,
    epoch: int,
    device: torch.device,
) -> EpochLoss:
    """One pass over the loader. Raises UserError, naming the videos, if the loss of a step is not finite."""
    model.train()
    sums, clips, losses = torch.zeros(3, device=device), len(loader.batch_sampler.sampler), []
    progress = tqdm(loader, desc=f"epoch {epoch}", unit="step", leave=False, disable=not is_main())
    for position, batch in enumerate(progress):
        rate = learning_rate(config.train, (epoch - 1) * len(loader) + position, len(loader))
        for group in optimizer.param_groups:
            group["lr"] = rate
        videos, batch = batch.videos, batch.to(device)
        with _autocast(config.train, device):
            logits, features = _forward(model, batch, config.loss)
        loss = total_loss(logits, features, batch.labels, config.loss)
        optimizer.zero_grad(set_to_none=True)
        whole = min(config.train.batch_size, clips - position * config.train.batch_size)
        (loss.total * (processes() * len(videos) / whole)).backward()  # of unequal shares, the mean over all clips
        if config.train.clip_gradient:
            nn.utils.clip_grad_norm_(model.parameters(), config.train.clip_gradient)
        optimizer.step()
        sums += torch.stack([loss.total, loss.classification, loss.inconsistency]).detach() * len(videos)
        losses.append((loss.total.detach(), videos))
        if position % REPORT_EVERY == 0 or position + 1 == len(loader):
            _check_finite(losses, loader.dataset, epoch)
            losses.clear()
            progress.set_postfix(loss=f"{loss.total.item():.3f}")
    return EpochLoss(*(total(sums) / clips).tolist())


def _check_finite(losses: list[tuple[torch.Tensor, torch.Tensor]], dataset: ClipDataset, epoch: int) -> None:
    """Raise UserError if one of some steps' losses is not finite. losses: of each step, and its videos."""
    finite = torch.stack([loss for loss, _ in losses]).isfinite().tolist()
    bad = len(finite) if all(finite) else finite.index(False)
    # A step later, all processes have what one of them got first.
    found = gather([(bad, [dataset.rows[video].record.key for _, videos in losses[bad : bad + 1] for video in videos])])
    first = min(step for step, _ in found)
    names = sorted({name for step, keys in found if step == first for name in keys})
    if names:
        raise UserError(
            f"the loss of epoch {epoch} is not finite at a step on {', '.join(names)}; the checkpoints of the epochs "
            "before are kept. Look at these videos, or lower train.learning_rate"
        )


@torch.inference_mode()
def predict(
    model: nn.Module, dataset: ClipDataset, config: TrainConfig, device: torch.device, *, description: str
) -> tuple[Predictions, float]:
    """Scores of the dataset's videos, and the mean cross-entropy of its clips.

    The score of a video is the mean of logit(fake) - logit(real) over its windows.
    """
    model.eval()
    scored = []
    loader = evaluation_loader(dataset, config, pin=device.type == "cuda")
    for batch in tqdm(loader, desc=description, unit="step", leave=False, disable=not is_main()):
        batch = batch.to(device)
        logits = model(batch.frames, batch.residues)  # float32: bf16 scores would tie
        margins = (logits[:, 1] - logits[:, 0]).double()
        losses = nn.functional.cross_entropy(logits, batch.labels, reduction="none")
        scored.append(tuple(values.cpu().numpy() for values in (batch.videos, margins, losses)))
    videos, margins, losses = (np.concatenate(values) for values in zip(*gather(scored), strict=True))
    sums, counts = np.zeros(len(dataset.rows)), np.zeros(len(dataset.rows))
    np.add.at(sums, videos, margins)
    np.add.at(counts, videos, 1)
    records = [row.record for row in dataset.rows]
    predictions = Predictions(
        key=[record.key for record in records],
        label=[int(record.label) for record in records],
        score=sums / counts,
        windows=counts,
        identity=[record.identity for record in records],
        generator=[record.generator for record in records],
        race=[record.race for record in records],
        gender=[record.gender for record in records],
        family=[record.family for record in records],
        audio=[record.audio for record in records],
        pair=[record.pair for record in records],
        condition=[record.condition for record in records],
    )
    return predictions, float(losses.mean())


def train(config: Config, cache: Cache, rows: dict[str, Sequence[ManifestRow]], run: Run) -> list[dict]:
    """Train until the epochs or the patience are used up; returns the history, a dict an epoch.

    rows: the videos of the splits `train` and `validation`. If the run has a training state, it goes on from there with
    the numbers of an uninterrupted run.
    """
    device = choose_device(config.train)
    if config.train.deterministic:
        be_deterministic(device)
    seed_torch(config.train, epoch=0)
    model = model_for(config).to(device)
    known = {row.record.identity for split in ("train", "validation") for row in rows[split]}
    trained_on = sorted(identity_digest(identity) for identity in known)
    fingerprint = _fingerprint(rows)
    optimizer = make_optimizer(model, config.train)
    history: list[dict] = []
    if run.last.exists():
        history = _restore(run, model, optimizer, fingerprint)
        if is_main():
            run.write_results(history)  # the last start may have been killed before it could
        log.info("%s: going on after epoch %d", run.folder, len(history))
    if _is_over(history, config.train):
        return history
    training, validation = _datasets(config, cache, rows, model, device)
    if config.train.compile:
        model.compile(backend=_compiled_or_as_it_is)
    parallel = parallelise(model)

    while not _is_over(history, config.train):
        started = time.perf_counter()
        epoch = len(history) + 1
        training.batch_sampler.set_epoch(epoch)
        seed_torch(config.train, epoch)
        loss = train_one_epoch(parallel, training, optimizer, config, epoch=epoch, device=device)
        seconds = time.perf_counter() - started
        predictions, validation_loss = predict(model, validation, config.train, device, description="validation")
        if not (math.isfinite(validation_loss) and np.isfinite(predictions.score).all()):
            raise UserError(
                f"the weights after epoch {epoch} give scores that are not finite; the checkpoints of the epochs "
                "before are kept. Lower train.learning_rate"
            )
        history.append(
            {
                "epoch": epoch,
                "train_loss": loss.total,
                "train_classification": loss.classification,
                "train_inconsistency": loss.inconsistency,
                "validation_loss": validation_loss,
                "validation_auc": auc(predictions.label, predictions.score),
                "seconds": round(seconds, 2),
                "clips_per_second": round(len(training.batch_sampler.sampler) / seconds, 1),
            }
        )
        kept = best_epoch(history, config.train.select) == epoch
        if is_main():
            if kept:
                calibration = calibrate(predictions.label, predictions.score)
                save_checkpoint(run.best, model, config, epoch=epoch, calibration=calibration, trained_on=trained_on)
            _save(run, model, optimizer, history, fingerprint)
            run.write_results(history)
        log.info(_progress_line(history, kept))
    return history


def _compiled_or_as_it_is(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable:
    """A backend of torch.compile for machines that may lack a compiler: it warns, and leaves the network as it is."""
    try:
        return torch._dynamo.lookup_backend(COMPILER)(graph, inputs)
    except (RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()
        log.warning("train.compile: the network runs uncompiled (%s)", reason[0] if reason else type(error).__name__)
        return graph.forward


def _progress_line(history: list[dict], kept: bool) -> str:
    row = history[-1]
    return (
        f"epoch {row['epoch']:3d}  loss {row['train_loss']:.4f} (classification {row['train_classification']:.4f}, "
        f"inconsistency {row['train_inconsistency']:.4f})  validation loss {row['validation_loss']:.4f}, "
        f"AUC {row['validation_auc']:.4f}{' kept' if kept else '':5s}  "
        f"{row['clips_per_second']:.0f} clips/s"
    )


def best_epoch(history: list[dict], select: str = "auc") -> int:
    """The epoch of the highest validation AUC, of the lowest validation loss among equals; or the last one."""
    if select == "last":
        return history[-1]["epoch"]
    return max(history, key=lambda row: (row["validation_auc"], -row["validation_loss"]))["epoch"]


def _is_over(history: list[dict], config: TrainConfig) -> bool:
    out_of_patience = bool(history) and len(history) - best_epoch(history, config.select) >= config.patience
    return len(history) >= config.epochs or out_of_patience


def _datasets(
    config: Config, cache: Cache, rows: dict[str, Sequence[ManifestRow]], model: nn.Module, device: torch.device
) -> tuple[DataLoader, Dataset]:
    """The loader that is trained from, and the clips that are validated on."""
    clips = clips_for(model, cache, rows["train"], device, augmentation=config.augment, bag=config.train.bag)
    training = training_loader(clips, config.train, pin=device.type == "cuda")
    return training, clips_for(model, cache, rows["validation"], device)


def _forward(model: nn.Module, batch, config: LossConfig) -> tuple[torch.Tensor, torch.Tensor | None]:
    if not config.inconsistency:
        return model(batch.frames, batch.residues), None
    return model(batch.frames, batch.residues, features=config.features)


def _autocast(config: TrainConfig, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=config.amp and device.type == "cuda")


def _fingerprint(rows: dict[str, Sequence[ManifestRow]]) -> str:
    lines = [
        f"{split} {row.record.key} {row.record.label} {row.record.identity} {row.windows}\n"
        for split in ("train", "validation")
        for row in rows[split]
    ]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _save(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, history: list[dict], fingerprint: str) -> None:
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    save_state(run.last, {**state, "history": history, "fingerprint": fingerprint})


def _restore(run: Run, model: nn.Module, optimizer: torch.optim.Optimizer, fingerprint: str) -> list[dict]:
    state = load_state(run.last)
    if state["fingerprint"] != fingerprint:
        raise UserError(
            f"{run.folder} was trained on other videos: the split, the labels or the cache have changed since, "
            "and people it knows may now be tested on. Give another --name"
        )
    try:
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        best_epoch(state["history"])
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        raise UserError(f"{run.last} does not fit this network; delete it to start over") from error
    load_checkpoint(run.best, torch.device("cpu"))  # else it would be missed when all epochs are done
    return state["history"]
