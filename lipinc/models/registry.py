"""Model base class, registration and construction.

To add a model, write a subclass of `MouthModel` in a separate file and register it:

    @register_model("mine")
    class Mine(MouthModel):
        Options = MineOptions          # a frozen dataclass
        input_kind = "clips"

See docs/extending.md for a complete example.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, is_dataclass
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import nn

from lipinc.config import Config
from lipinc.config.registry import MODELS, source_file
from lipinc.errors import UserError
from lipinc.models.discriminant import VideoFeatures
from lipinc.video.mouth import MIN_NATIVE_SIDE

Kind = TypeVar("Kind", bound=type)


@dataclass(frozen=True)
class ClipShape:
    """Shape of the clips that a model will process."""

    local_frames: int
    global_frames: int
    height: int
    """Mouth height in px. For features of native mouths, which vary in size, the minimum."""
    width: int
    """Mouth width in px, likewise."""

    @property
    def frames(self) -> int:
        """Number of frames per clip, N."""
        return self.local_frames + self.global_frames

    @classmethod
    def of(cls, config: Config) -> "ClipShape":
        """Return the shape of the clips that a config produces."""
        varying = config.mouth.cut == "native" and MODELS.get(config.model.name).input_kind == "features"
        height, width = (MIN_NATIVE_SIDE, MIN_NATIVE_SIDE) if varying else (config.mouth.height, config.mouth.width)
        return cls(config.sampling.local_frames, config.sampling.global_frames, height, width)


@dataclass(frozen=True)
class NoOptions:
    """Options of a model without options."""


class MouthModel(nn.Module):
    """Base class of all models: clips, or features of clips, -> logits (B, 2), class 1 = fake."""

    Options: ClassVar[type] = NoOptions
    """A frozen dataclass of the model's options, `--model.<field>` on the command line."""
    input_kind: ClassVar[Literal["clips", "features"]] = "clips"
    """clips: `forward(frames, residues)` takes (B, N, H, W, 3) and (B, N - 1, H, W, 3) uint8 BGR. features:
    `forward(features)` takes (B, F) float32 from `extract_features`, which are computed once per clip."""
    closed_form: ClassVar[bool] = False
    """Whether `solve` computes the weights at once from the features of all training videos: one epoch without steps,
    losses and learning rate."""
    standard_contrast: ClassVar[bool] = False
    """Whether `contrast` has a standard deviation of 1 among the windows of a real video. Otherwise it is divided by
    what it has in each video."""
    has_loss_features: ClassVar[bool] = False
    """Whether `forward(..., loss_features=True)` also returns maps (B, N, C, H, W) for the inconsistency loss."""

    @classmethod
    def from_options(cls, options: Any, clip: ClipShape) -> "MouthModel":
        """Create a model with fresh weights.

        Args:
            options: an instance of `Options`.
            clip: shape of the clips.

        Raises:
            ValueError: the model does not support clips of this shape.
        """
        return cls(options, clip)

    @classmethod
    def validate(cls, config: Config) -> list[str]:
        """Return one message for each problem of a config with this model that no range of a field expresses.

        Subclasses extend it: `[*super().validate(config), ...]`.
        """
        name, problems = config.model.name, []
        if config.loss.inconsistency and not cls.has_loss_features:
            problems.append(f"{name} has no feature maps for the inconsistency loss; use --loss.inconsistency 0")
        if cls.closed_form:
            if config.train.epochs != 1:
                problems.append(f"{name} is solved at once; use --train.epochs 1")
            if config.train.bag != 1:
                problems.append(f"{name} averages all windows of a video; use --train.bag 1")
        if cls.input_kind == "features":
            if augmented := config.augment.active():
                problems.append(
                    f"{name} computes its features once, without augmentation; use --augment.{augmented[0]} 0"
                )
        elif config.train.bag > 1:
            problems.append(f"train.bag averages features, but {name} takes clips; use --train.bag 1")
        return problems

    def extract_features(self, frames: torch.Tensor, residues: torch.Tensor) -> torch.Tensor:
        """Compute features of clips, for models with `input_kind` "features".

        The heat maps of the report need a differentiable implementation.

        Args:
            frames: (B, N, H, W, 3) uint8 or float, BGR, 0..255; any mouth size.
            residues: (B, N - 1, H, W, 3) uint8 or float, 0..255.

        Returns:
            (B, F) float32. Those of all training clips are kept in memory.
        """
        raise NotImplementedError

    def classifier(self) -> nn.Module | None:
        """Return the last layer, whose input (B, F) is the embedding of a clip.

        None: the features are the embedding. A model with `input_kind` "clips" then has none, and `lipinc features`
        rejects it.
        """
        return None

    def feature_names(self) -> list[str] | None:
        """Return the names of the F values of an embedding, in order; None: they have no names."""
        return None

    def solve(self, videos: VideoFeatures) -> None:
        """Compute the weights, for models with a `closed_form`.

        Args:
            videos: the training videos; both classes are present.
        """
        raise NotImplementedError

    def feature_key(self) -> Hashable:
        """Identify the features: models of this class with equal keys extract equal features from equal clips.

        They are then computed once per process, however many folds are trained. None: they are computed each time.
        """
        return None

    def score_clips(self, frames: torch.Tensor, residues: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 2) of clips for either `input_kind`; arguments as in `extract_features`."""
        return self.judge_clips(frames, residues)[0]

    def contrast(self, logits: torch.Tensor, features: torch.Tensor | None) -> torch.Tensor:
        """Score windows for a comparison with others of the same scene of the same video, to find forged stretches.

        By default that is the logit. A model may do better: what differs from video to video does not matter here.

        Args:
            logits: (B, 2) float, from `forward`.
            features: (B, F) float32, from `extract_features`; None for models with `input_kind` "clips".

        Returns:
            (B,) float, higher for what a forgery changes.
        """
        return margin(logits)

    def judge_clips(self, frames: torch.Tensor, residues: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (B, 2) and contrasts (B,) of clips for either `input_kind`; arguments as in
        `extract_features`."""
        features = self.extract_features(frames, residues) if self.input_kind == "features" else None
        logits = self(frames, residues) if features is None else self(features)
        return logits, self.contrast(logits, features)

    @property
    def has_embedding(self) -> bool:
        """Whether `embed_clips` works."""
        return self.input_kind == "features" or self.classifier() is not None

    def embed_clips(self, frames: torch.Tensor, residues: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return embeddings (B, F) float32 and logits (B, 2) of clips; arguments as in `extract_features`."""
        features = self.extract_features(frames, residues) if self.input_kind == "features" else None
        if self.classifier() is None:
            return features, self(features)
        inputs: list[torch.Tensor] = []
        hook = self.classifier().register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
        try:
            logits = self(frames, residues) if features is None else self(features)
        finally:
            hook.remove()
        if not inputs:
            raise ValueError("forward does not call the layer that classifier() returns")
        return inputs[-1].flatten(1).float(), logits


def margin(logits: torch.Tensor) -> torch.Tensor:
    """Return logit(fake) - logit(real) (B,) of logits (B, 2)."""
    return logits[:, 1] - logits[:, 0]


def register_model(name: str) -> Callable[[Kind], Kind]:
    """Class decorator that registers a model for `--model.name NAME`.

    Raises:
        UserError: the class is not a valid model; the message names what is missing.
    """

    def register(kind: Kind) -> Kind:
        where = f"{source_file(kind)}: the model {name!r}"
        if not (isinstance(kind, type) and issubclass(kind, MouthModel)):
            raise UserError(f"{where} must derive from lipinc.models.MouthModel")
        if not is_dataclass(kind.Options):
            raise UserError(f"{where} must define Options, a frozen dataclass of its options")
        if kind.input_kind not in ("clips", "features"):
            raise UserError(f"{where}: input_kind must be 'clips' or 'features', not {kind.input_kind!r}")
        if kind.forward is nn.Module.forward:
            inputs = "frames, residues" if kind.input_kind == "clips" else "features"
            raise UserError(f"{where} must define forward(self, {inputs}) -> logits (B, 2)")
        if kind.input_kind == "features" and kind.extract_features is MouthModel.extract_features:
            raise UserError(f"{where} must define extract_features(self, frames, residues) -> features (B, F)")
        if kind.closed_form and (kind.input_kind != "features" or kind.solve is MouthModel.solve):
            raise UserError(
                f"{where} has a closed form: it must have features as input, and define solve(self, videos)"
            )
        MODELS.add(name, kind)
        return kind

    return register


def build_model(config: Config) -> MouthModel:
    """Create the model of a config with fresh weights.

    Raises:
        UserError: there is no such model, or it does not support the clips of the config.
    """
    kind, options, clip = MODELS.get(config.model.name), config.model.options, ClipShape.of(config)
    try:
        return kind.from_options(options, clip)
    except ValueError as error:
        raise UserError(
            f"model {config.model.name} does not support {clip.frames} mouths of {clip.height} x {clip.width} px: "
            f"{error}"
        ) from error


@torch.no_grad()
def check_shapes(model: MouthModel, config: Config) -> None:
    """Check the output shapes of a model on two black clips. Weights, statistics and random state are not changed.

    Raises:
        UserError: a method fails or returns the wrong shape; the message says what is expected.
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
            if model.input_kind == "clips" and model.has_embedding:
                embeddings, _ = model.embed_clips(frames, residues)
                wanted = "a layer whose input is an embedding (B, F)"
                _check(config, "classifier()", wanted, embeddings, (2, None))
    except (RuntimeError, TypeError, AttributeError, IndexError, ValueError, NotImplementedError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise UserError(
            f"model {config.model.name} fails on two clips of {tuple(shape[1:])} uint8 frames: {reason}"
        ) from error
    finally:
        model.train(training)


def _check(config: Config, call: str, wanted: str, found: Any, shape: tuple[int | None, ...]) -> None:
    """Raise UserError unless `found` is a float tensor of a shape; None stands for any size."""
    actual = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
    same_rank = isinstance(actual, tuple) and len(actual) == len(shape)
    if not (same_rank and all(want in (None, have) for want, have in zip(shape, actual, strict=True))):
        raise UserError(f"model {config.model.name}: {call} must return {wanted}; for B = 2 it returns {actual}")
    if not found.dtype.is_floating_point:
        raise UserError(f"model {config.model.name}: {call} must return floats, not {found.dtype}")
