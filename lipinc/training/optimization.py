"""Random seeds, optimizer and learning-rate schedule, as stateless functions so that resuming needs no extra state."""

import math
import os

import numpy as np
import torch
from torch import nn

from lipinc.config import TrainConfig
from lipinc.ddp import rank
from lipinc.training.keras_adam import KerasAdam


def seed_torch(config: TrainConfig, epoch: int) -> None:
    """Seed torch for the initial weights (epoch 0) or for the dropout of an epoch.

    Dropout differs between processes. Seeding each epoch makes it unnecessary to save the random state.
    """
    entropy = (config.seed, epoch, rank()) if rank() else (config.seed, epoch)
    torch.manual_seed(int(np.random.SeedSequence(entropy).generate_state(1)[0]))


def use_deterministic_kernels(device: torch.device) -> None:
    """Use deterministic kernels where torch has them. Call it before the first matrix product on CUDA."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    if device.type == "cuda":
        # With `warn_only`, the fused kernels still sum their gradients in any order.
        torch.backends.cuda.enable_flash_sdp(False)
        torch.backends.cuda.enable_mem_efficient_sdp(False)
        torch.backends.cuda.enable_cudnn_sdp(False)


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """Create the optimizer of the config, with fused kernels."""
    shared = {"lr": config.learning_rate, "fused": True}
    if config.optimizer == "keras_adam":
        return KerasAdam(model.parameters(), epsilon=config.adam_epsilon, **shared)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(
            model.parameters(), eps=config.adam_epsilon, weight_decay=config.weight_decay, **shared
        )
    return torch.optim.Adam(model.parameters(), eps=config.adam_epsilon, **shared)


def learning_rate(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of a step.

    Args:
        config: the training settings.
        step: number of the step since the start of training, from 0.
        steps_per_epoch: number of steps per epoch.
    """
    warmup = round(config.warmup * steps_per_epoch)
    if step < warmup:
        return config.learning_rate * (step + 1) / warmup
    if config.schedule == "constant":
        return config.learning_rate
    total = config.epochs * steps_per_epoch
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
