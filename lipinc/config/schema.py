"""Config schema: every setting of an experiment as frozen dataclasses, with units, sources and reasons for defaults.

`config.py` in the repository root (the FakeAVCeleb experiment) and the files in `configs/` are instances of `Config`.
Any field can be overridden on the command line: `--train.epochs 5`. The valid range is part of each field's type;
`Config.check` reports all invalid values at once. The options of data sets and models are defined with them, in
`lipinc/datasets/` and `lipinc/models/`.

"(published)" marks values of the papers or of the authors' code. A sentence that begins with "Kept:" says why a setting
exists although no shipped config changes it.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

import tyro

from lipinc.config.ranges import Increasing, Range, UnitInterval, range_problems, type_problems
from lipinc.config.registry import DATASETS, MODELS, suggest
from lipinc.errors import UserError


@dataclass(frozen=True)
class DataConfig:
    """The videos and their labels: the options that all data sets share.

    Each data set in `lipinc.datasets` is a subclass with further options; `--data.kind` chooses one.
    """

    root: str = "data"
    """Data set root. Cache entries are keyed by the path of a video relative to it."""
    conditions: tuple[str, ...] = ()
    """Conditions under which every video is used in addition to the original (lipinc/synthesis/perturbations.py).
    crf28: re-encoded with H.264 at this constant rate factor (0 lossless to 51; 23 is x264's default, 28 is visibly
    worse). blur3: a perturbation and its level. `compression`: crf23 crf28 crf35. Compression destroys the residues
    before the picture. Conditions therefore serve as training data for robustness, and metrics are reported for each of
    them. Extraction time grows in proportion to the number of conditions."""
    forgeries: Annotated[int, Range(0)] = 0
    """Number of pseudo-fakes made from every real video (lipinc/synthesis/pseudo_fakes.py). They are used for training
    only and simulate generators without available videos."""
    splits: tuple[str, ...] = ()
    """Official splits to use, of those that the data set names: `test` for the usual cross-dataset protocol. Empty: all
    videos."""
    max_missing: float = 0.05
    """Fraction of the indexed videos that may be missing on disk. If more are missing, the root is probably wrong, and
    extraction stops with an error."""
    other_kinds: tuple[str, ...] = ()
    """Generators that forge in another way than the detector is made for, such as heads driven from one photo. Their
    fakes are neither trained on nor part of the overall metrics; a table shows them apart."""
    note: str = ""
    """A caveat about this data, printed with its metrics and drawn below every plot."""

    kind: ClassVar[str] = ""
    """Name under which the data set is registered."""

    def validate(self) -> list[str]:
        """Return one message for each problem with these options that no range of a single field expresses."""
        return []


@dataclass(frozen=True)
class MouthConfig:
    """Face tracking and mouth crops."""

    working_width: Annotated[int, Range(16)] = 800
    """Frames at least twice this width, in px, are downscaled by the largest integer factor that keeps this width. With
    dlib, every frame is scaled to this width, as in the published code. Upscaling a small frame takes time and adds no
    information, and rescaling to an exact width takes longer than decoding (docs/performance.md). Kept: small faces in
    large frames need a larger value."""
    face: str = "largest"
    """`largest` (by area summed over the video), `all`, or the rank of one face by this area: 0, 1, ... Kept: data sets
    with several speakers need `all`; detection sets it from --face."""
    max_faces: Annotated[int, Range(1)] = 4
    """Maximum number of faces to track. Kept: the time per frame grows with it."""
    landmarks: Literal["litert", "mediapipe", "dlib"] = "litert"
    """What finds the landmarks. litert: MediaPipe's face models on LiteRT (lipinc/video/landmarks/).
    mediapipe: the same by MediaPipe's own runtime, on Python 3.10 to 3.12 only: the same landmarks to the bit, more
    slowly. Kept: the reference that litert is tested against. dlib (published): the extraction of the authors' code,
    which their weights expect (lipinc/video/published_faces.py): the first face of each frame, with landmarks in whole
    px that are found again on the aligned face. Slower; needs the packages dlib-bin and face_recognition_models."""
    refine_landmarks: bool = True
    """Use MediaPipe's attention mesh: more accurate lips for 10 to 40 % more time per frame. Kept: the plain mesh is
    faster on very large data sets."""
    repeats: Literal["skip", "keep"] = "skip"
    """skip: frames that repeat the picture before them, exactly or but for the noise of a codec, do not count
    (lipinc/video/repeats.py). keep (published): every decoded frame is a new picture."""
    cut: Literal["aligned", "native"] = "aligned"
    """aligned (published): the face is rotated upright by the eyes, and the mouth is scaled to height x width. native:
    the original pixels in a box around the lips, never resampled; the box has one size per window. Interpolation blurs
    camera noise, which generated mouths lack (docs/results.md). Native mouths vary in size; models with clip input get
    their middle, height x width px: larger mouths lose their margins, smaller ones are extended by their mirror image.
    """
    aligned_size: Annotated[int, Range(16)] = 256
    """Side of the aligned face, in px (published)."""
    eye: Annotated[tuple[float, float], Range(0, 0.5, open=True)] = (0.40, 0.40)
    """Position (x, y) of the eye at the left of the picture in the aligned face, as fractions of its side (published).
    The other eye is at the mirrored position."""
    margin: UnitInterval = 0.0
    """Margin on each side of the tight lip box, as a fraction of its width or height. Published: 0."""
    height: Annotated[int, Range(8)] = 64
    """Height of a mouth in px (published). For native mouths, of what models with clip input see of them."""
    width: Annotated[int, Range(8)] = 144
    """Width of a mouth in px (published). For native mouths, as the height."""
    residue: Literal["wrapped", "absolute"] = "wrapped"
    """wrapped: difference of adjacent mouths modulo 256, as in the published uint8 code. absolute: its absolute value.
    Wrapped residues show the sign of tiny changes at full contrast. They detect better, but compression destroys them
    first (docs/results.md)."""

    def __post_init__(self) -> None:
        if isinstance(self.face, int) and not isinstance(self.face, bool):
            object.__setattr__(self, "face", str(self.face))

    def validate(self) -> list[str]:
        """See `DataConfig.validate`."""
        problems = []
        if not (self.face in ("largest", "all") or (self.face.isdecimal() and int(self.face) < self.max_faces)):
            problems.append(f"mouth.face must be largest, all or a rank below mouth.max_faces, not {self.face!r}")
        if self.landmarks == "dlib" and (self.repeats, self.cut) != ("keep", "aligned"):
            problems.append(
                "mouth.landmarks dlib is the published extraction, which knows neither repeats nor native mouths; "
                "use --mouth.repeats keep --mouth.cut aligned"
            )
        return problems


@dataclass(frozen=True)
class SamplingConfig:
    """Sampling of windows: the frames that make up each clip."""

    local_frames: Annotated[int, Range(1)] = 5
    """L: adjacent frames with an open mouth (published)."""
    global_frames: Annotated[int, Range(1)] = 3
    """G: frames with a similar pose from elsewhere in the video (published)."""
    windows: Annotated[int, Range(1)] = 1
    """K: maximum number of windows per video, spread over its length. Published: 1. With one window of aligned
    mouths per FakeAVCeleb lip-sync video the cache takes about 4 GB. More windows give more training data and a more
    stable video score."""
    min_frames: int = 31
    """Minimum number of frames with a face; shorter videos are rejected (published). Kept: short clips need a smaller
    value."""
    min_openness: float = 0.01
    """Minimum height of the lip opening for an open mouth, as a fraction of the face height (published). Kept: for
    ablations of the papers' sampling rule."""
    min_movement: Annotated[float, Range(0)] = 0.015
    """Minimum movement of the lips in a video: the range of the lip opening, without its lowest and highest 5 %, as a
    fraction of the face height. A mouth that moves less does not speak: a photograph, even if it is shaken or zoomed.
    Published: 0."""
    tolerance: Annotated[int, Range(0)] = 3
    """Maximum difference of each pose ratio between a global frame and the last local frame, in whole percent
    (published). Kept: for ablations of the papers' sampling rule."""
    min_gap: Annotated[int, Range(1)] = 4
    """Minimum distance of global frames from each other and from the local frames, in frames. Published: from each
    other only; the paper says 0.09 s. Kept: the right value depends on the frame rate."""
    fallback: Literal["refuse", "nearest"] = "refuse"
    """What to do if fewer than G frames lie within the tolerance. refuse: reject the video. nearest: take the frames
    with the nearest poses and mark the window."""
    published_quirks: bool = False
    """Sample exactly as the published code does, including its bugs (lipinc/video/sampling.py); the published weights
    need this."""

    def validate(self) -> list[str]:
        """See `DataConfig.validate`."""
        if self.published_quirks and self.fallback != "refuse":
            return ["sampling.published_quirks supports no fallback; use --sampling.fallback refuse"]
        return []


@dataclass(frozen=True)
class CacheConfig:
    """Location of the clip cache, and how it is built."""

    path: str = "cache/fakeavceleb"
    """Folder of the cache and of its manifest.csv."""
    residues: bool = True
    """Store the residues in addition to the frames. False halves the cache size; the residues are then computed from
    the frames when clips are read. Kept: for data sets that would fill the disk."""
    workers: Annotated[int, Range(0)] = 0
    """Worker processes; 0: one per usable core. Kept: for shared machines and machines with little memory."""
    scheduler: Annotated[str, tyro.conf.arg(aliases=("--scheduler",))] = ""
    """Address of a dask scheduler, tcp://host:8786, whose workers share the file system (docs/guide.md); empty: this
    machine only. Kept: the address differs at every site."""
    time_limit: Annotated[float, Range(0)] = 1800
    """Time limit per video in s; 0: none. At the limit the process is killed and the video is rejected. An hour of
    1080p video takes about 20 minutes on one core. Kept: for long videos and slow disks."""
    retry: tuple[str, ...] = ()
    """Rejection reasons to retry in this run, for example crashed time_limit. `missing` and `damaged` are always
    retried. Kept: a command-line option for single runs."""


@dataclass(frozen=True)
class SplitConfig:
    """Identity-disjoint train, validation and test splits."""

    seed: int = 0
    """Random seed of the split, or number of the split in a split list. Kept: other seeds show how much the metrics
    depend on the split."""
    train: float = 0.7
    """Fraction of the identities in the train split."""
    validation: float = 0.1
    """Fraction of the identities in the validation split, which selects the epoch and the threshold. 0: none, for
    models and recipes that select no epoch (train.select last). The threshold then comes from a cross-validation
    (lipinc crossval --calibration out-of-fold); until then it is a score of 0."""
    test: float = 0.2
    """Fraction of the identities in the test split."""
    target_disjoint: bool = False
    """Exclude fakes with a target (target1, target2) from a different split than their source. FakeAVCeleb's wav2lip
    takes the sound of its target alone: nobody of another split is seen, and a visual detector gains nothing from it.
    It matters for detectors that hear, and for face swaps (fsgan, faceswap and their wav2lip variants), which mix two
    faces. Kept: for comparisons with them."""
    apart: str = ""
    """A column of the index, such as `family`, whose values are never in two splits, in addition to people, so that the
    test videos come from sources that were not trained on. Who appears in several sources is left out of all splits but
    one, test first."""
    file: str = ""
    """A CSV with the columns path,split or identity,split (train, validation, test), or a list with the columns
    identity,split_0,split_1,..., of which `seed` chooses one; or `fakeavceleb`, the list that is shipped
    (docs/fakeavceleb.md). Empty: use the split column of the index if it has one, else draw a stratified split. Kept:
    for comparisons on a published split."""
    official: bool = True
    """Use the split column of the index, if it has one. False: draw splits by person all the same. Kept: some official
    splits share people (Celeb-DF), and folds need a draw."""
    folds: int = 0
    """k of k-fold cross-validation by identity, which replaces the fractions above, except for a validation of 0; 0:
    off. Kept: for `lipinc crossval`."""
    fold: int = 0
    """With folds: index of the test fold, from 0. The next fold is used for validation (unless `validation` is 0), the
    others for training. Kept: set by `lipinc crossval`."""
    train_conditions: tuple[str, ...] = ()
    """Conditions of the training and validation videos, of those in data.conditions and raw; empty: all. Test videos
    are used under every condition, which shows what carries over to conditions that were not trained on."""
    unseen: tuple[str, ...] = ()
    """Held-out generators: their fakes are the only fakes in test, and are neither in train nor in validation. `all`:
    every generator is held out; training and validation use pseudo-fakes (data.forgeries). Kept: set by `lipinc
    crossval --leave-out`."""


class ModelConfig:
    """The model name, and the options that differ from their defaults: ModelConfig("lipinc", dropout=0.3).

    The models and their options are defined in `lipinc.models`. They are looked up lazily, because importing a model
    imports torch.
    """

    def __init__(self, name: str = "lipinc", **given: Any):
        """Store the name and the given options. `options` reports unknown names and options."""
        self.name = name
        self.given = given

    @property
    def options(self) -> Any:
        """All options of the model, an instance of its options dataclass.

        Raises:
            UserError: no model has this name, or the model has no such option.
        """
        kind = MODELS.get(self.name).Options
        for option in self.given:
            if option not in kind.__dataclass_fields__:
                hint = suggest(option, kind.__dataclass_fields__)
                raise UserError(f"model {self.name} has no option {option!r}: {hint}")
        return kind(**self.given)

    def replace(self, **changes: Any) -> "ModelConfig":
        """Return a copy with changed options."""
        return ModelConfig(self.name, **{**self.given, **changes})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelConfig) and (self.name, self.options) == (other.name, other.options)

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"ModelConfig({', '.join([repr(self.name), *(f'{k}={v!r}' for k, v in self.given.items())])})"


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms. Total loss = sum of weight x term over all registered terms.

    The terms are defined in lipinc/losses/total.py.
    """

    classification: Annotated[float, Range(0)] = 1.0
    """Weight of the cross-entropy (published). Kept: 0 trains on the other terms only, for ablations."""
    inconsistency: Annotated[float, Range(0)] = 5.0
    """Weight of the inconsistency loss (published); at 0 it is not computed."""
    ranking: Annotated[float, Range(0)] = 0.0
    """Weight of the ranking loss: a fake should score above its own real video. Needs `train.pairs`."""
    label_smoothing: UnitInterval = 0.0
    """Label smoothing of the cross-entropy."""
    other: tuple[tuple[str, float], ...] = ()
    """Weights of additional registered terms, for example (("smoothness", 0.1),). Kept: for plug-ins
    (docs/extending.md)."""

    def weights(self) -> dict[str, float]:
        """Return term name -> weight for all terms with a nonzero weight."""
        own = {name: getattr(self, name) for name in ("classification", "inconsistency", "ranking")}
        return {name: weight for name, weight in {**own, **dict(self.other)}.items() if weight}


@dataclass(frozen=True)
class AugmentConfig:
    """Training augmentation: drawn once per clip, applied equally to all its frames before residues are computed."""

    flip: UnitInterval = 0.5
    """Probability of a horizontal flip."""
    shift: UnitInterval = 0.0
    """Maximum shift, as a fraction of the mouth height and width; edge pixels are repeated. Mouth crops are tight:
    without shifts, a network without translation invariance memorises people."""
    brightness: UnitInterval = 0.0
    """Half-width of the uniform range of the factor around 1; 0: off."""
    contrast: UnitInterval = 0.0
    """Half-width of the uniform range of the factor around 1; 0: off."""
    compression: UnitInterval = 0.0
    """Probability of a JPEG round trip of each frame."""
    jpeg_quality: Annotated[tuple[int, int], Increasing()] = (30, 95)
    """Range of the JPEG quality. Kept: sets the strength of this augmentation."""
    blur: UnitInterval = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: Annotated[tuple[float, float], Increasing()] = (0.5, 2.0)
    """Range of the blur's standard deviation, in px. Kept: sets the strength of this augmentation."""
    rescale: UnitInterval = 0.0
    """Probability of downscaling followed by upscaling to the original size."""
    rescale_range: Annotated[tuple[float, float], Increasing()] = (0.4, 0.9)
    """Range of the downscaling factor. Kept: sets the strength of this augmentation."""

    def active(self) -> list[str]:
        """Return the names of the enabled augmentations. Each of them changes pixels."""
        names = ("flip", "shift", "brightness", "contrast", "compression", "blur", "rescale")
        return [name for name in names if getattr(self, name)]


@dataclass(frozen=True)
class TrainConfig:
    """Training: schedule, optimiser, data loading and hardware."""

    epochs: Annotated[int, Range(1)] = 40
    """Maximum number of epochs; training usually stops early. The papers do not specify it."""
    patience: Annotated[int, Range(1)] = 10
    """Early stopping: epochs without an improved validation AUC before training stops."""
    select: Literal["auc", "last"] = "auc"
    """Checkpoint selection. auc: the epoch with the best validation AUC. last: the last epoch, without early stopping;
    combine it with a cosine schedule if the validation split is too small for selection. The AUC of 20 videos varies by
    0.1 by chance."""
    batch_size: Annotated[int, Range(2)] = 32
    """Clips per step, summed over all processes. The papers do not specify it."""
    optimizer: Literal["adam", "adamw", "keras_adam"] = "adam"
    """keras_adam (published, with the next two settings): Adam with epsilon where Keras has it, before the bias
    correction (lipinc/training/keras_adam.py). adam, adamw: torch's, whose first steps are up to 32 times larger at
    the published epsilon."""
    learning_rate: Annotated[float, Range(0, float("inf"), open=True)] = 1e-3
    """Published; adamw with epsilon 1e-8 needs about 1e-4."""
    adam_epsilon: Annotated[float, Range(0)] = 0.1
    """Published, for keras_adam. This large epsilon damps small gradients; do not combine it with gradient clipping."""
    weight_decay: Annotated[float, Range(0)] = 0.0
    """Weight decay, for adamw only."""
    schedule: Literal["constant", "cosine"] = "constant"
    """cosine: after `warmup`, the learning rate decays to zero at the last epoch."""
    warmup: Annotated[float, Range(0)] = 0.0
    """Epochs of linear warm-up."""
    clip_gradient: Annotated[float, Range(0)] = 0.0
    """Gradient clipping: maximum norm; 0: off (published). Kept: for models with unstable training."""
    clips_per_epoch: Annotated[int, Range(0)] = 0
    """Clips drawn per epoch; 0: the number of training clips."""
    bag: Annotated[int, Range(1)] = 1
    """For models with feature input: number of windows of one video that are averaged into one training example."""
    balanced: bool = True
    """Draw reals and fakes equally often (FakeAVCeleb has 500 and 9 602), and among the fakes, pseudo-fakes and others
    equally often. Kept: False trains on the class frequencies of the data set."""
    pairs: UnitInterval = 0.0
    """Probability that a fake is drawn together with the real video that it was made from, into the same batch. Person,
    camera and codec then say nothing about the label (docs/results.md). Other fakes are drawn with any real video.
    Needs `balanced`, and pairs in the index."""
    amp: bool = True
    """bf16 autocast on CUDA; never used on the CPU. Kept: float32 runs show whether a difference is due to rounding."""
    compile: bool = False
    """Compile the model with torch.compile. Kept: saves time on CUDA in runs of more than a few hundred steps."""
    deterministic: bool = False
    """Use deterministic torch kernels where available; slower. (CUDA has none for the max pooling of lipinc.) Data
    order, augmentation and dropout always depend on `seed` and the epoch only. Kept: for bit-exact reruns on CUDA."""
    seed: Annotated[int, Range(0)] = 0
    """Random seed of initial weights, dropout, data order and augmentation. Kept: results are reported over several
    seeds."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """auto: CUDA if available, else the CPU. Kept: depends on the machine."""
    keep_last: bool = True
    """Keep the training state (last.pt, two thirds of a run's size) at the end of the run. False: its weights and
    optimiser state are deleted after the evaluation; `--resume auto` still recognises the run as finished, but cannot
    train more epochs. An interrupted run always keeps it. Kept: many runs would fill the disk."""
    tensorboard: bool = False
    """Write losses, learning rate, validation metrics and mouth strips of some training videos for TensorBoard to
    <output>/<name>/tensorboard; needs the extra `tensorboard`. results.csv has the same numbers. Kept: for watching
    long runs."""
    loader_workers: Annotated[int, Range(0)] = 2
    """Data loader processes, which read and augment clips; 0: load in the training process."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Evaluation of predictions."""

    bootstrap: Annotated[int, Range(1)] = 1000
    """Bootstrap resamples of the identities for each 95 % interval. Kept: fewer make large comparisons faster."""
    seed: Annotated[int, Range(0)] = 0
    """Random seed of the bootstrap. Kept: other seeds show the sampling error of the interval itself."""
    frame_level: bool = False
    """Report the AUC of frames, too, in which every frame of a window has the score of its window. It is higher or
    lower than the AUC of videos, and not comparable to it. Kept: for papers that report frames."""


@dataclass(frozen=True)
class Config:
    """All settings of one experiment."""

    name: str = "fakeavceleb_lipinc"
    """Name of the run folder, <output>/<name>/."""
    output: str = "outputs"
    """Parent folder of the run folders."""
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
        """Validate all settings.

        Args:
            with_model: also validate the model options and their combination with other settings. Imports torch.

        Raises:
            UserError: some values are invalid; the message lists all of them.
        """
        problems = [*type_problems(self), *(type_problems(self.model.options, "model.") if with_model else ())]
        if problems:  # the checks below compute with the values
            raise UserError("; ".join(problems))
        problems = [*range_problems(self), *self.data.validate(), *self.mouth.validate(), *self.sampling.validate()]
        if not self.name or "/" in self.name or self.name in (".", ".."):
            problems.append(f"name must be a valid folder name, not {self.name!r}")
        if not (self.split.validation or self.split.file or self.train.select == "last"):
            problems.append("without a validation split no epoch can be selected; use --train.select last")
        if self.train.pairs and not self.train.balanced:
            problems.append("train.pairs draws a real video for each fake: use --train.balanced True")
        if self.loss.ranking and not self.train.pairs:
            problems.append("loss.ranking compares fakes with their own real videos: use --train.pairs 0.7")
        if with_model:
            problems += range_problems(self.model.options, "model.")
            problems += MODELS.get(self.model.name).validate(self)
        if problems:
            raise UserError("; ".join(problems))
