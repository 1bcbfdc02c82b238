"""What a model is, and where it is found by its name.

To add one, write a subclass of `MouthModel` in a file of its own and register it:

    @register_model("mine")
    class Mine(MouthModel):
        Options = MineOptions          # a frozen dataclass
        input_kind = "clips"

docs/extending.md has a whole example.
"""

from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import nn

from lipinc.config import Config
from lipinc.config.registry import MODELS, source_file
from lipinc.errors import UserError
from lipinc.video.mouth import MIN_NATIVE_SIDE

Kind = TypeVar("Kind", bound=type)


@dataclass(frozen=True)
class ClipShape:
    """What a model is told of the clips that it will see."""

    local_frames: int
    global_frames: int
    height: int
    """Of a mouth, in px. Of mouths cut natively, whose size varies: the least that occurs."""
    width: int

    @property
    def frames(self) -> int:
        """N: mouths of a clip."""
        return self.local_frames + self.global_frames

    @classmethod
    def of(cls, config: Config) -> "ClipShape":
        """The clips that a config makes."""
        native = config.mouth.cut == "native"
        height, width = (MIN_NATIVE_SIDE, MIN_NATIVE_SIDE) if native else (config.mouth.height, config.mouth.width)
        return cls(config.sampling.local_frames, config.sampling.global_frames, height, width)


@dataclass(frozen=True)
class NoOptions:
    """The options of a model that has none."""


class MouthModel(nn.Module):
    """Base of all models: clips, or features of clips, to logits (B, 2), class 1 = fake."""

    Options: ClassVar[type] = NoOptions
    """A frozen dataclass: `--model.<field>` on the command line."""
    input_kind: ClassVar[Literal["clips", "features"]] = "clips"
    """clips: `forward(frames, residues)`, (B, N, H, W, 3) and (B, N - 1, H, W, 3) uint8 BGR. features:
    `forward(features)`, (B, F) float32, which `extract_features` gave; they are computed once per clip."""
    has_loss_features: ClassVar[bool] = False
    """Whether `forward(..., loss_features=True)` also returns maps (B, N, C, H, W) for the inconsistency loss."""

    @classmethod
    def from_options(cls, options: Any, clip: ClipShape) -> "MouthModel":
        """A fresh model. Raises ValueError, saying why, if it cannot take such clips."""
        return cls(options, clip)

    @classmethod
    def validate(cls, config: Config) -> list[str]:
        """Problems of a config for this model that no single range can express, each a sentence. Extend it by
        `[*super().validate(config), ...]`."""
        name, problems = config.model.name, []
        if config.loss.inconsistency and not cls.has_loss_features:
            problems.append(f"{name} has no feature maps for the inconsistency loss; give --loss.inconsistency 0")
        if cls.input_kind == "features":
            if augmented := config.augment.active():
                problems.append(
                    f"{name} computes its features once, before augmentation; give --augment.{augmented[0]} 0"
                )
        else:
            if config.mouth.cut == "native":
                problems.append(f"mouth.cut native gives mouths of varying size, which {name} cannot take")
            if config.train.bag > 1:
                problems.append(f"train.bag averages features, which {name} does not take; give --train.bag 1")
        return problems

    def extract_features(self, frames: torch.Tensor, residues: torch.Tensor) -> torch.Tensor:
        """Features of clips, where `input_kind` is "features": (B, N, H, W, 3) and (B, N - 1, H, W, 3) uint8 or float
        BGR, mouths of any one size, to (B, F) float32. Differentiable, if the report is to show where a score comes
        from."""
        raise NotImplementedError

    def score_clips(self, frames: torch.Tensor, residues: torch.Tensor) -> torch.Tensor:
        """Logits (B, 2) of clips, whatever kind of input the model takes."""
        if self.input_kind == "features":
            return self(self.extract_features(frames, residues))
        return self(frames, residues)


def register_model(name: str) -> Callable[[Kind], Kind]:
    """Class decorator: the model that `--model.name NAME` chooses. Raises UserError on a class that is none."""

    def register(kind: Kind) -> Kind:
        where = f"{source_file(kind)}: the model {name!r}"
        if not (isinstance(kind, type) and issubclass(kind, MouthModel)):
            raise UserError(f"{where} must derive from lipinc.models.MouthModel")
        if not is_dataclass(kind.Options):
            raise UserError(f"{where} needs Options, a frozen dataclass of its options")
        if kind.input_kind not in ("clips", "features"):
            raise UserError(f"{where}: input_kind must be 'clips' or 'features', not {kind.input_kind!r}")
        if kind.forward is nn.Module.forward:
            inputs = "frames, residues" if kind.input_kind == "clips" else "features"
            raise UserError(f"{where} lacks forward(self, {inputs}) -> logits (B, 2)")
        if kind.input_kind == "features" and kind.extract_features is MouthModel.extract_features:
            raise UserError(f"{where} lacks extract_features(self, frames, residues) -> features (B, F)")
        MODELS.add(name, kind)
        return kind

    return register


def build_model(config: Config) -> MouthModel:
    """A fresh model for the clips of a config. Raises UserError if there is no such model, or if it cannot take them."""
    kind, options, clip = MODELS.get(config.model.name), config.model.options, ClipShape.of(config)
    try:
        return kind.from_options(options, clip)
    except ValueError as error:
        raise UserError(
            f"model {config.model.name} cannot take {clip.frames} mouths of {clip.height} x {clip.width} px: {error}"
        ) from error


@torch.no_grad()
def check_shapes(model: MouthModel, config: Config) -> None:
    """Raise UserError if a model does not give what training needs: a trial with two black clips.

    Weights, running statistics and random numbers stay as they are.
    """
    clip, device = ClipShape.of(config), next((p.device for p in model.parameters()), torch.device("cpu"))
    shape = (2, clip.frames, clip.height, clip.width, 3)
    frames = torch.zeros(shape, dtype=torch.uint8, device=device)
    residues = frames[:, 1:]
    training = model.training
    model.eval()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            if model.input_kind == "features":
                features = model.extract_features(frames, residues)
                _check(config, "extract_features(frames, residues)", "features (B, F)", features, (2, None))
                _check(config, "forward(features)", "logits (B, 2)", model(features), (2, 2))
            elif config.loss.inconsistency:
                found = model(frames, residues, loss_features=True)
                if not (isinstance(found, tuple) and len(found) == 2):
                    raise UserError(
                        f"model {config.model.name}: forward(..., loss_features=True) must return logits and maps"
                    )
                _check(config, "forward(...)", "logits (B, 2)", found[0], (2, 2))
                maps = (2, *[None] * 4)
                _check(config, "forward(..., loss_features=True)", "maps (B, N, C, H, W)", found[1], maps)
            else:
                _check(config, "forward(frames, residues)", "logits (B, 2)", model(frames, residues), (2, 2))
    except (RuntimeError, TypeError, AttributeError, IndexError, ValueError, NotImplementedError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UserError(
            f"model {config.model.name} fails on two clips of {tuple(shape[1:])} uint8 frames: {reason}"
        ) from error
    finally:
        model.train(training)


def _check(config: Config, call: str, wanted: str, found: Any, shape: tuple[int | None, ...]) -> None:
    here = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
    fits = isinstance(here, tuple) and len(here) == len(shape)
    if not (fits and all(want in (None, have) for want, have in zip(shape, here, strict=True))):
        raise UserError(f"model {config.model.name}: {call} must return {wanted}; for B = 2 it returns {here}")
    if not found.dtype.is_floating_point:
        raise UserError(f"model {config.model.name}: {call} must return floats, not {found.dtype}")
