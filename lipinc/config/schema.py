"""Every setting of an experiment, with its unit, its source and the reason for its default, as frozen dataclasses.

`config.py` in the repository root (the FakeAVCeleb experiment) and the files in `configs/` are instances of `Config`.
Any field can be overridden on the command line: `--train.epochs 5`. Ranges stand beside the fields; `Config.check`
reports every value that makes no sense at once. The options of a data set or of a model stand with it, in
`lipinc/datasets/` and `lipinc/models/`.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import tyro

from lipinc.config.ranges import Increasing, Range, Share, range_problems
from lipinc.config.registry import DATASETS, MODELS, nearest
from lipinc.errors import UserError


@dataclass(frozen=True)
class DataConfig:
    """Which videos there are, and their labels: what every data set has. `lipinc.datasets` has the data sets, each a
    subclass with options of its own; `--data.kind` chooses one."""

    root: str = "data"
    """Dataset root. Cache entries are keyed by the path of a video relative to it."""
    conditions: tuple[str, ...] = ()
    """Also take every video under each of these conditions (lipinc/synthesis/perturbations.py): crf28 is re-encoded by
    H.264 at that constant rate factor (0 lossless to 51; 23 is x264's default, 28 is visibly worse), blur3 is a
    perturbation and its level, `compression` means crf23 crf28 crf35. Compression destroys residues first, so this is
    training data against it, and metrics under each condition. Each condition costs about as much as extraction."""
    forgeries: Annotated[int, Range(0)] = 0
    """Pseudo-fakes to make of every real video (lipinc/synthesis/pseudo_fakes.py), for training only: they stand for
    generators of which there are no videos."""
    max_missing: float = 0.05
    """Share of the indexed videos that may be absent from the disk. More is an error: the root is probably wrong."""
    note: str = ""
    """What a reader must know about this data; printed with its numbers and drawn below every picture."""

    kind: ClassVar[str] = ""
    """Name that the data set is registered by."""

    def validate(self) -> list[str]:
        """Problems with these options that no single range can express, each a sentence."""
        return []


@dataclass(frozen=True)
class MouthConfig:
    """From a frame to a mouth."""

    working_width: Annotated[int, Range(16)] = 800
    """Frames at least twice as wide are reduced by the largest whole factor that keeps this width, in px. The published
    code scales every frame to 800; enlarging a small frame costs time and adds no information, and an exact width costs
    more than decoding (docs/performance.md). Kept: large frames in data sets of small faces need a larger one."""
    face: str = "largest"
    """`largest` (by area summed over the video), `all`, or the rank of one face by that area: 0, 1, ... Kept: data sets
    with several speakers need `all`; detection sets it for every video."""
    max_faces: Annotated[int, Range(1)] = 4
    """How many faces are tracked where there are several. Kept: the cost of a frame grows with it."""
    refine_landmarks: bool = True
    """Use MediaPipe's attention mesh: more exact lips, for 10 to 40 % more time a frame. Kept: the plain mesh is the
    faster choice for very large data sets."""
    cut: Literal["aligned", "native"] = "aligned"
    """aligned (published): rotated upright by the eyes and scaled to height x width. native: the pixels of the frame
    itself, never resampled, in a box around the lips of one size per window. Interpolation blurs the noise that the
    camera left and a generator did not (docs/results.md). Only models that take features accept native mouths, whose
    size varies."""
    aligned_size: Annotated[int, Range(16)] = 256
    """Side of the aligned face, in px (published)."""
    eye: Annotated[tuple[float, float], Range(0, 0.5, open=True)] = (0.40, 0.40)
    """Where the eye at the left of the picture lies in the aligned face, as a share of its side (published); the
    other eye mirrors it."""
    margin: Share = 0.0
    """Margin on each side of the tight lip box, as a share of that side of the box. Published: none."""
    height: Annotated[int, Range(8)] = 64
    """Height of a mouth in px (published)."""
    width: Annotated[int, Range(8)] = 144
    """Width of a mouth in px (published)."""
    residue: Literal["wrapped", "absolute"] = "wrapped"
    """wrapped: difference of adjacent mouths modulo 256, as the published uint8 code computes it; absolute: its
    absolute value. Wrapped shows the sign of tiny changes at full contrast: it detects better, and a codec destroys it
    first (docs/results.md)."""

    def validate(self) -> list[str]:
        """As `DataConfig.validate`."""
        if self.face in ("largest", "all") or (self.face.isdecimal() and int(self.face) < self.max_faces):
            return []
        return [f"mouth.face must be largest, all or a rank below mouth.max_faces, not {self.face!r}"]


@dataclass(frozen=True)
class SamplingConfig:
    """Which frames of a video become windows."""

    local_frames: Annotated[int, Range(1)] = 5
    """L: adjacent frames with an open mouth (published)."""
    global_frames: Annotated[int, Range(1)] = 3
    """G: frames of a similar pose elsewhere (published)."""
    windows: Annotated[int, Range(1)] = 1
    """K: windows per video at most, spread over it. Published: 1. One window of each FakeAVCeleb lip-sync video makes a
    cache of about 4 GB; more windows are more training data and a steadier score per video."""
    min_frames: int = 31
    """Videos with fewer frames that show a face are rejected (published). Kept: short clips need a smaller one."""
    min_openness: float = 0.01
    """A mouth counts as open from this share of the face height (published). Kept: an ablation of the papers' rule."""
    tolerance: Annotated[int, Range(0)] = 3
    """Global frames differ from the last local frame by at most this in each pose ratio, in whole percent (published).
    Kept: an ablation of the papers' rule."""
    min_gap: Annotated[int, Range(1)] = 4
    """Global frames are at least this many frames apart, from each other and from the local frames (published: from
    each other; the paper says 0.09 s). Kept: it has to follow the frame rate."""
    fallback: Literal["refuse", "nearest"] = "refuse"
    """Where fewer than G frames lie within the tolerance: reject the video, or take the nearest poses and mark the
    window."""
    published_quirks: bool = False
    """Sample as the published code does, including its faults (lipinc/video/sampling.py), for use with its weights."""

    def validate(self) -> list[str]:
        """As `DataConfig.validate`."""
        if self.published_quirks and self.fallback != "refuse":
            return ["sampling.published_quirks has no fallback; use refuse"]
        return []


@dataclass(frozen=True)
class CacheConfig:
    """Where the clips are cached, and how they are computed."""

    path: str = "cache/fakeavceleb"
    """Folder of the cache and of its manifest.csv."""
    residues: bool = True
    """Store the residues beside the frames. False halves the cache; they are then computed from the frames when clips
    are read. Kept: for data sets that would fill the disk."""
    workers: Annotated[int, Range(0)] = 0
    """Worker processes; 0: one per core. Kept: for machines that are shared or short of memory."""
    scheduler: Annotated[str, tyro.conf.arg(aliases=("--scheduler",))] = ""
    """tcp://host:8786 of a dask cluster that shares the file system (docs/guide.md); empty: this machine alone. Kept:
    no shipped experiment can know the address."""
    time_limit: Annotated[float, Range(0)] = 1800
    """Seconds per video, after which its process is killed and the video is rejected; 0: no limit. An hour of 1080p
    takes about 20 minutes on one core. Kept: for long videos and slow disks."""
    retry: tuple[str, ...] = ()
    """Reasons of rejection to try again on this run, e.g. crashed time_limit. `missing` and `damaged` are always tried
    again. Kept: it is given for one run, on the command line."""


@dataclass(frozen=True)
class SplitConfig:
    """Train, validation and test split. No identity is ever in two splits."""

    seed: int = 0
    """Seed of the draw. Kept: another draw shows how much a number depends on it."""
    train: float = 0.7
    """Share of the identities in the train split."""
    validation: float = 0.1
    """Share of the identities in the validation split, which chooses the epoch and the threshold."""
    test: float = 0.2
    """Share of the identities in the test split."""
    target_disjoint: bool = False
    """Exclude fakes whose driving identity (target1, target2) is in another split than their source. Kept: for
    FakeAVCeleb, whose source-disjoint split shares driving identities."""
    file: str = ""
    """A CSV with path,split or identity,split (train, validation, test) instead; empty: the split column of the index
    if it has one, else a stratified draw. Kept: to compare with a published split."""
    folds: int = 0
    """k: cross-validation by identity in k folds instead of the shares above; 0: none. Kept: `lipinc crossval`."""
    fold: int = 0
    """With folds: the test fold; the next one validates, the others train. Kept: `lipinc crossval` sets it."""
    unseen: tuple[str, ...] = ()
    """Held-out generators: their fakes are neither in train nor in validation, and are the only fakes in test. `all`:
    every generator is held out, and pseudo-fakes (data.forgeries) are trained and validated on. Kept: `lipinc crossval
    --leave-out` sets it."""


class ModelConfig:
    """Which model, and those of its options that differ from their defaults: ModelConfig("lipinc", dropout=0.3).

    `lipinc.models` has the models, each with its options. They are looked up when they are first read, because
    importing a model imports torch.
    """

    def __init__(self, name: str = "lipinc", **given: Any):
        """Raises nothing: unknown names and options are reported by `options`."""
        self.name = name
        self.given = given

    @property
    def options(self) -> Any:
        """All options of the model, as the dataclass that it declares. Raises UserError on a name of no model and on
        options that it does not have."""
        kind = MODELS.get(self.name).Options
        for option in self.given:
            if option not in kind.__dataclass_fields__:
                hint = nearest(option, kind.__dataclass_fields__)
                raise UserError(f"model {self.name} has no option {option!r}: {hint}")
        return kind(**self.given)

    def replace(self, **changes: Any) -> "ModelConfig":
        """A copy with other options."""
        return ModelConfig(self.name, **{**self.given, **changes})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelConfig) and (self.name, self.options) == (other.name, other.options)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"ModelConfig({', '.join([repr(self.name), *(f'{k}={v!r}' for k, v in self.given.items())])})"


@dataclass(frozen=True)
class LossConfig:
    """Total loss = sum of weight x term over the registered terms (lipinc/losses/total.py)."""

    classification: Annotated[float, Range(0)] = 1.0
    """Weight of the cross-entropy (published). Kept: 0 trains on the other terms alone, to study them."""
    inconsistency: Annotated[float, Range(0)] = 5.0
    """Weight of the inconsistency loss (published); 0: not computed."""
    label_smoothing: Share = 0.0
    """Label smoothing of the cross-entropy."""
    other: tuple[tuple[str, float], ...] = ()
    """Weights of further registered terms, e.g. (("smoothness", 0.1),). Kept: for plug-ins (docs/extending.md)."""

    def weights(self) -> dict[str, float]:
        """Weight of each term by name, without those of weight 0."""
        weights = {"classification": self.classification, "inconsistency": self.inconsistency, **dict(self.other)}
        return {name: weight for name, weight in weights.items() if weight}


@dataclass(frozen=True)
class AugmentConfig:
    """Training augmentation: one draw per clip, the same for all its frames, before the residue is computed."""

    flip: Share = 0.5
    """Probability of a horizontal flip."""
    shift: Share = 0.0
    """Largest shift, as a share of the height and width of the mouth; the edge is repeated. Mouths are cut tightly:
    without it a network that reads fixed places memorises people."""
    brightness: Share = 0.0
    """Factor drawn from 1 -+ this. 0: off."""
    contrast: Share = 0.0
    """Factor drawn from 1 -+ this. 0: off."""
    compression: Share = 0.0
    """Probability of a JPEG round trip of each frame."""
    jpeg_quality: Annotated[tuple[int, int], Increasing()] = (30, 95)
    """Range of its quality. Kept: the strength of this augmentation."""
    blur: Share = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: Annotated[tuple[float, float], Increasing()] = (0.5, 2.0)
    """Range of its standard deviation, in px. Kept: the strength of this augmentation."""
    rescale: Share = 0.0
    """Probability of scaling down and up again."""
    rescale_range: Annotated[tuple[float, float], Increasing()] = (0.4, 0.9)
    """Range of its factor. Kept: the strength of this augmentation."""

    def active(self) -> list[str]:
        """The augmentations that are switched on. Each of them changes pixels."""
        names = ("flip", "shift", "brightness", "contrast", "compression", "blur", "rescale")
        return [name for name in names if getattr(self, name)]


@dataclass(frozen=True)
class TrainConfig:
    """How it is trained."""

    epochs: Annotated[int, Range(1)] = 40
    """The papers do not say; early stopping ends it."""
    patience: Annotated[int, Range(1)] = 10
    """Epochs without a better validation AUC before training stops."""
    select: Literal["auc", "last"] = "auc"
    """Which epoch is kept: that of the best validation AUC, or the last one, without early stopping. The last one is
    the end of a cosine schedule, for validation splits too small to choose by: an AUC of 20 videos moves by 0.1 by
    chance."""
    batch_size: Annotated[int, Range(2)] = 32
    """Clips per step, over all processes. (The papers do not say.)"""
    optimizer: Literal["adam", "adamw"] = "adam"
    """Published: adam, with the next two."""
    learning_rate: Annotated[float, Range(0, float("inf"), open=True)] = 1e-3
    """Published; adamw with epsilon 1e-8 needs about 1e-4."""
    adam_epsilon: Annotated[float, Range(0)] = 0.1
    """Published. So large an epsilon damps small gradients: do not clip the gradient as well."""
    weight_decay: Annotated[float, Range(0)] = 0.0
    """adamw only."""
    schedule: Literal["constant", "cosine"] = "constant"
    """cosine: down to zero over all epochs, after `warmup` of them."""
    warmup: Annotated[float, Range(0)] = 0.0
    """Epochs of linear warm-up."""
    clip_gradient: Annotated[float, Range(0)] = 0.0
    """Largest norm of the gradient; 0: off (published). Kept: for models whose loss spikes."""
    clips_per_epoch: Annotated[int, Range(0)] = 0
    """Clips drawn per epoch, half of them real; 0: as many as there are training clips."""
    bag: Annotated[int, Range(1)] = 1
    """For models that take features: windows of one video whose features are averaged into one training example."""
    balanced: bool = True
    """Draw reals and fakes equally often (FakeAVCeleb: 500 against 9 602), and pseudo-fakes as often as other fakes.
    Kept: to train on the frequencies of the data set."""
    amp: bool = True
    """bf16 autocast on CUDA, never on the CPU. Kept: float32 tells whether a difference is due to rounding."""
    compile: bool = False
    """torch.compile the model. Kept: on CUDA it pays after some hundred steps."""
    deterministic: bool = False
    """Ask torch for deterministic kernels where it has them (on CUDA not for the max pooling of lipinc); slower. Data
    order, augmentation and dropout depend on `seed` and the epoch anyway. Kept: for bit-exact reruns on CUDA."""
    seed: Annotated[int, Range(0)] = 0
    """Seed of initial weights, dropout, data order and augmentation. Kept: results need several seeds."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """auto: CUDA where there is one. Kept: it depends on the machine."""
    loader_workers: Annotated[int, Range(0)] = 2
    """Processes that read and augment clips; 0: in the training process."""


@dataclass(frozen=True)
class EvaluateConfig:
    """How predictions are evaluated."""

    bootstrap: Annotated[int, Range(1)] = 1000
    """Resamples of the identities behind each 95 % interval. Kept: fewer make large comparisons faster."""
    seed: Annotated[int, Range(0)] = 0
    """Seed of the resamples. Kept: another seed shows the error of the interval itself."""


@dataclass(frozen=True)
class Config:
    """One experiment."""

    name: str = "fakeavceleb_lipinc"
    """Run folder: <output>/<name>/."""
    output: str = "outputs"
    """Where run folders go."""
    data: DataConfig = field(default_factory=lambda: DATASETS.get("fakeavceleb")())
    mouth: MouthConfig = field(default_factory=MouthConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)

    def check(self, *, with_model: bool = True) -> None:
        """Raise UserError with every value that makes no sense, all at once.

        with_model: also check the options of the model and what they rule out, which imports torch.
        """
        problems = [*range_problems(self), *self.data.validate(), *self.mouth.validate(), *self.sampling.validate()]
        if not self.name or "/" in self.name or self.name in (".", ".."):
            problems.append(f"name must be the name of a folder, not {self.name!r}")
        if with_model:
            problems += range_problems(self.model.options, "model.")
            problems += MODELS.get(self.model.name).validate(self)
        if problems:
            raise UserError("; ".join(problems))
