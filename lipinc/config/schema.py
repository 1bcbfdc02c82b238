"""Every knob of the project, as frozen dataclasses, with its unit, its source and the reason of its default.

``config.py`` in the repository root (the FakeAVCeleb experiment) and the files in ``configs/`` are instances of
`Config`. Any field can be overridden on the command line: ``--train.epochs 5``.
"""

import dataclasses
import importlib.util
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import tyro

from lipinc.errors import UserError
from lipinc.synthesis.perturbations import expand_conditions


@dataclass(frozen=True)
class DataConfig:
    """Which videos there are, and what they are labelled."""

    kind: Literal["fakeavceleb", "folder", "csv"] = "fakeavceleb"
    """fakeavceleb: its meta_data.csv; folder: <root>/real and <root>/fake; csv: an index with a path and a label."""
    root: str = "data/FakeAVCeleb_v1.2"
    """Dataset root. Cache entries are keyed by a video's path relative to it."""
    index: str = ""
    """The CSV of `fakeavceleb` and `csv`; empty: <root>/meta_data.csv and <root>/index.csv."""
    columns: tuple[tuple[str, str], ...] = ()
    """csv only: pairs of our column and the file's, for path, label, identity, generator, split, pair, family, ...:
    (("path", "file"),), or {"path": "file"} in a config file, reads the path from the column "file". An unmapped column
    is looked up under its own name."""
    fake_methods: tuple[str, ...] = ("wav2lip",)
    """fakeavceleb only: the methods that count as lip-sync fakes. Rows of the other fake methods are left out."""
    include_rtvc: bool = False
    """fakeavceleb only: also take category B (rtvc), whose video is real and whose audio is cloned."""
    conditions: tuple[str, ...] = ()
    """Take every video once more under each of these conditions (lipinc/synthesis/perturbations.py): crf28 is re-encoded by
    H.264 at that constant rate factor, as a platform would send it (0 lossless to 51; 23 is x264's default, 28 is
    visibly worse), blur3 is a perturbation and its level, `compression` means crf23 crf28 crf35. Training data against
    the first thing that destroys residues, and metrics for each condition. Each costs about as much as extraction."""
    forgeries: int = 0
    """Pseudo-fakes to make of every real video (lipinc/synthesis/pseudo_fakes.py), for training only: generators that there are no
    videos of."""
    max_missing: float = 0.05
    """Share of indexed videos that may be absent from the disk; more is an error (a wrong root), not a data set."""
    note: str = ""
    """What to know of this data before its numbers are read; printed with them and drawn below every picture."""

    def __post_init__(self):
        if isinstance(self.columns, dict):
            object.__setattr__(self, "columns", tuple(self.columns.items()))


@dataclass(frozen=True)
class MouthConfig:
    """From a frame to a mouth."""

    working_width: int = 800
    """Frames at least twice as wide are reduced by the largest whole factor that leaves them so wide, in px. The
    published code scales every frame to 800; enlarging a small one adds cost and no information, and an exact width
    costs more than decoding (docs/performance.md)."""
    face: str = "largest"
    """`largest` (by area summed over the video), `all`, or the rank of one face by that area: 0, 1, ..."""
    max_faces: int = 4
    """How many faces are followed where there are several."""
    refine_landmarks: bool = True
    """MediaPipe's attention mesh: more exact lips, for some 10-40 % more time a frame."""
    cut: Literal["aligned", "native"] = "aligned"
    """aligned (published): turned upright by the eyes and scaled to height x width. native: the pixels of the frame
    itself, never resampled, in a box around the lips of one size a window, at its own size. Interpolation blurs what
    the camera left and a generator did not (docs/experiments.md). For model.name statistics alone: the networks want
    one size."""
    aligned_size: int = 256
    """Side of the aligned face, in px (published)."""
    eye: tuple[float, float] = (0.40, 0.40)
    """Where the eye at the left of the picture lies in the aligned face, as a share of its side (published); the
    other eye mirrors it."""
    margin: float = 0.0
    """Added on each side of the tight lip box, as a share of that side of the box. Published: none."""
    height: int = 64
    """Height of a mouth in px (published)."""
    width: int = 144
    """Width of a mouth in px (published)."""
    residue: Literal["wrapped", "absolute"] = "wrapped"
    """wrapped: difference of adjacent mouths modulo 256, as the published uint8 code computes it; absolute: its
    absolute value. Wrapped keeps the sign of tiny changes at full contrast: it detects better, and a codec destroys
    it first (see docs/results.md)."""


@dataclass(frozen=True)
class SamplingConfig:
    """Which frames of a video become windows."""

    local_frames: int = 5
    """L: adjacent frames with an open mouth (published)."""
    global_frames: int = 3
    """G: frames of a similar pose elsewhere (published)."""
    windows: int = 1
    """K: windows a video at most, spread over it. Published: 1. One window of all FakeAVCeleb lip-sync videos makes a
    cache of about 4 GB; more windows are more training data and a steadier video score."""
    min_frames: int = 31
    """Fewer frames with a face, and the video is refused (published)."""
    min_openness: float = 0.01
    """A mouth counts as open from here, as a share of the face height (published)."""
    tolerance: int = 3
    """Global frames differ from the last local frame by at most this in each pose ratio, in whole percent
    (published)."""
    min_gap: int = 4
    """Global frames are at least this many frames apart, from each other and from the local frames (published: from
    each other; the paper says 0.09 s)."""
    fallback: Literal["refuse", "nearest"] = "refuse"
    """Fewer than G frames within the tolerance: refuse the video, or take the nearest poses and mark the window."""
    published_quirks: bool = False
    """Sample as the published code does, faults included (see lipinc/video/sampling.py), for use with its weights."""


@dataclass(frozen=True)
class CacheConfig:
    """Where the mouths go, and who computes them."""

    path: str = "cache/fakeavceleb"
    """Folder of the cache and of its manifest.csv."""
    workers: int = 0
    """Worker processes; 0: one for each core."""
    scheduler: Annotated[str, tyro.conf.arg(aliases=("--scheduler",))] = ""
    """tcp://host:8786 of a dask cluster that shares the file system (docs/cluster.md); empty: a local one is
    started."""
    time_limit: float = 1800
    """Seconds that one video may take, after which its process is killed and it is refused; 0: no limit. An hour of
    1080p takes about 20 minutes on one core."""
    retry: tuple[str, ...] = ()
    """Reasons of refusal to try again on this run, e.g. crashed time_limit. `missing` and `damaged` are always tried
    again."""


@dataclass(frozen=True)
class SplitConfig:
    """Who is trained on, who is tested on. No identity is ever in two splits."""

    seed: int = 0
    """Of the draw."""
    train: float = 0.7
    """Share of the identities that is trained on."""
    validation: float = 0.1
    """Share that chooses the epoch and the threshold."""
    test: float = 0.2
    """Share that is judged."""
    target_disjoint: bool = False
    """Leave out the fakes whose driving identity (target1, target2) belongs to another split than their source."""
    file: str = ""
    """A CSV with path,split or identity,split (train, validation, test) instead; empty: the index's own split column
    if it has one, else a stratified draw."""
    folds: int = 0
    """k: cross-validation by identity in k folds instead of the shares above; 0: no."""
    fold: int = 0
    """With folds: which one is tested on; the next one validates, the others train."""
    unseen: tuple[str, ...] = ()
    """Generators whose fakes are neither trained nor validated on, and are the only ones tested on. `all`: every
    generator is unseen, and pseudo-fakes (data.forgeries) are what is trained and validated on."""


@dataclass(frozen=True)
class ModelConfig:
    """Which network. Its sizes follow from the mouths and windows of the cache."""

    name: Literal["lipinc", "lipinc_v2", "statistics"] = "lipinc"
    """V1 (3D convolutions, 42 M parameters), V2 (vision temporal transformers, 4.6 M), or measured inconsistencies and
    a small network that reads them (20 thousand; not in the papers, see lipinc/models/noise_features.py)."""
    attention: Literal["published", "projected"] = "published"
    """lipinc_v2 only. published: no projections, no heads; projected: learned projections and real heads."""
    dropout: float = 0.5
    """lipinc (published) and statistics; lipinc_v2 has none."""
    noise: float = 0.3
    """statistics only: standard deviation of what training adds to each, in its own standard deviations."""
    input_dropout: float = 0.3
    """statistics only: share of them that training hides."""
    levels: int = 4
    """statistics only: bands of the pyramid that is measured, each at half the size; 3 at most for mouth.cut native."""
    hidden: int = 0
    """Width of the dense layers at the end; 0: as published, 4096 (lipinc) and 1024 (lipinc_v2); 64 (statistics)."""
    batch_norm_momentum: float = 0.01
    """Weight of a new batch in the running statistics (Keras' 0.99, said the PyTorch way). Runs of a few hundred
    steps need more: 0.1."""
    input_scale: float = 1.0
    """Multiplies the 0..255 input of the published networks (published: 1.0); 1 / 255 brings it to unit range."""


@dataclass(frozen=True)
class LossConfig:
    """Total loss = classification x cross-entropy + inconsistency x inconsistency loss."""

    classification: float = 1.0
    """Weight of the cross-entropy (published)."""
    inconsistency: float = 5.0
    """Weight of the inconsistency loss (published); 0: off, and not computed."""
    features: Literal["full", "pooled"] = "full"
    """Which maps of the frame branch the inconsistency loss compares. full: the convolution output, as intended;
    pooled: after the network's own 2 x 2 x 2 max pooling, at a part of the cost (docs/performance.md).
    lipinc_v2 has token maps of one size: `pooled` is refused there. SSIM's constants presume features of about unit
    range, which model.input_scale 1 / 255 gives; at 1.0 they vanish beside V1's features."""
    label_smoothing: float = 0.0
    """Of the cross-entropy."""


@dataclass(frozen=True)
class AugmentConfig:
    """Training augmentation: one draw a clip, the same for all its frames, before the residue is formed."""

    flip: float = 0.5
    """Probability of a horizontal flip."""
    shift: float = 0.0
    """Largest shift, as a share of the mouth's height (up and down) and width; the edge is repeated. Mouths are cut
    tightly: without it a network that reads fixed places learns people."""
    brightness: float = 0.0
    """Factor drawn from 1 -+ this. 0: off."""
    contrast: float = 0.0
    """Factor drawn from 1 -+ this. 0: off."""
    compression: float = 0.0
    """Probability of a JPEG round trip of each frame."""
    jpeg_quality: tuple[int, int] = (30, 95)
    """Range of its quality."""
    blur: float = 0.0
    """Probability of a Gaussian blur."""
    blur_sigma: tuple[float, float] = (0.5, 2.0)
    """Range of its sigma, in px."""
    rescale: float = 0.0
    """Probability of scaling down and up again."""
    rescale_range: tuple[float, float] = (0.4, 0.9)
    """Range of its factor."""


@dataclass(frozen=True)
class TrainConfig:
    """How it is trained."""

    epochs: int = 40
    """The papers do not say; early stopping ends it."""
    patience: int = 10
    """Epochs without a better validation AUC before it stops."""
    select: Literal["auc", "last"] = "auc"
    """Which epoch is kept: that of the best validation AUC, or the last one, without early stopping: the end of a
    cosine schedule, where the validation split is too small to choose by (an AUC of 20 videos moves by 0.1 by
    chance)."""
    batch_size: int = 32
    """Clips a step. (The papers do not say.)"""
    optimizer: Literal["adam", "adamw"] = "adam"
    """Published: adam, with the next two."""
    learning_rate: float = 1e-3
    """Published; adamw with epsilon 1e-8 wants some 1e-4."""
    adam_epsilon: float = 0.1
    """Published. So large an epsilon damps small gradients: do not clip the gradient beside it."""
    weight_decay: float = 0.0
    """adamw only."""
    schedule: Literal["constant", "cosine"] = "constant"
    """cosine: down to zero over all epochs, after `warmup` of them."""
    warmup: float = 0.0
    """Epochs of linear warm-up."""
    clip_gradient: float = 0.0
    """Largest norm of the gradient; 0: off (published)."""
    clips_per_epoch: int = 0
    """Clips drawn an epoch, half of them real; 0: as many as there are training clips."""
    bag: int = 1
    """model.name statistics only: windows of one video whose statistics are averaged into one training example."""
    balanced: bool = True
    """Draw reals and fakes equally often (FakeAVCeleb: 500 against 9 602), and pseudo-fakes as often as other fakes."""
    amp: bool = True
    """bf16 autocast on CUDA. Never used on the CPU."""
    compile: bool = False
    """torch.compile the network. Pays from some hundreds of steps on, on CUDA."""
    deterministic: bool = False
    """Ask torch for deterministic kernels, where it has them (on CUDA not for the max pooling of lipinc); slower.
    Data order, augmentation and dropout depend on `seed` and the epoch anyway."""
    seed: int = 0
    """Of initial weights, dropout, data order and augmentation."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """auto: CUDA where there is one."""
    loader_workers: int = 2
    """Processes that read and augment clips; 0: in this one."""


@dataclass(frozen=True)
class EvaluateConfig:
    """How the test split is judged."""

    bootstrap: int = 1000
    """Resamples of the identities behind each 95 % interval."""
    seed: int = 0
    """Of the resamples."""


@dataclass(frozen=True)
class Config:
    """One experiment."""

    name: str = "fakeavceleb_lipinc"
    """Run folder: <output>/<name>/."""
    output: str = "outputs"
    """Where run folders go."""
    data: DataConfig = field(default_factory=DataConfig)
    mouth: MouthConfig = field(default_factory=MouthConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    split: SplitConfig = field(default_factory=SplitConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)


Arguments = TypeVar("Arguments", bound=Config)
AUGMENTATIONS = ("flip", "shift", "brightness", "contrast", "compression", "blur", "rescale")
"""The fields of AugmentConfig that turn something on."""
REPOSITORY = Path(__file__).resolve().parent.parent.parent
DEFAULT_CHECKPOINT = REPOSITORY / "lipinc" / "detection" / "weights" / "robust.safetensors"
"""The detector in the box; weights/README.md says what it is worth."""


def load_config(path: str | Path) -> Config:
    """The `config` of a Python file. Raises UserError if there is none."""
    file = Path(path)
    if not file.is_file():
        raise UserError(f"no config file {file}; the experiments shipped are config.py and configs/*.py")
    spec = importlib.util.spec_from_file_location(f"lipinc_config_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise UserError(f"{file} is not a Python file; a config is a .py file that sets `config`")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(REPOSITORY))  # a config may build on another: `from config import config`
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise UserError(f"{file} does not run: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(str(REPOSITORY))
    config = getattr(module, "config", None)
    if not isinstance(config, Config):
        raise UserError(f"{file} sets no `config` that is a lipinc.config.Config")
    return config


def parse_command_line(arguments_type: type[Arguments], argv: list[str] | None = None) -> Arguments:
    """--config FILE, whose values are the defaults of all other flags, and then those flags.

    arguments_type: Config, or a dataclass that adds a script's own fields to it. Exits with status 2 on a misspelt flag
    (naming the nearest) and raises UserError on a value that makes no sense.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    file = str(REPOSITORY / "config.py")
    for position, word in enumerate(argv):
        if word == "--config" or word.startswith("--config="):
            value = word.partition("=")[2] if "=" in word else (argv[position + 1 : position + 2] or [""])[0]
            file = value or file
            del argv[position : position + (1 if "=" in word else 2)]
            break
    base = load_config(file)
    values = {field.name: getattr(base, field.name) for field in dataclasses.fields(Config)}
    arguments = tyro.cli(
        arguments_type,
        default=arguments_type(**values),
        args=argv,
        config=(tyro.conf.FlagConversionOff,),  # --train.amp False, as all other flags take a value
        description=f"{sys.modules['__main__'].__doc__ or ''}\n\n--config FILE gives the defaults below; now: {file}",
    )
    check(arguments)
    return arguments


def experiment(arguments: Config) -> Config:
    """The config that a script's arguments hold, without the script's own fields."""
    return Config(**{field.name: getattr(arguments, field.name) for field in dataclasses.fields(Config)})


def check(config: Config) -> None:
    """Raise UserError with every value that makes no sense, all at once."""
    m, s, t, a = config.mouth, config.sampling, config.train, config.augment
    shares = {
        **{f"augment.{k}": getattr(a, k) for k in AUGMENTATIONS},
        "loss.label_smoothing": config.loss.label_smoothing,
        "mouth.margin": m.margin,
        "model.dropout": config.model.dropout,
        "model.noise": config.model.noise,
        "model.input_dropout": config.model.input_dropout,
        "model.batch_norm_momentum": config.model.batch_norm_momentum,
    }
    problems = [
        *(f"{name} must be between 0 and 1, not {value}" for name, value in shares.items() if not 0 <= value <= 1),
        *(
            f"augment.{name} must be two positive numbers, the smaller first, not {getattr(a, name)}"
            for name in ("jpeg_quality", "blur_sigma", "rescale_range")
            if not 0 < getattr(a, name)[0] <= getattr(a, name)[1]
        ),
        *(
            f"{name} must be at least {least}, not {value}"
            for name, value, least in (
                ("mouth.working_width", m.working_width, 16),
                ("mouth.max_faces", m.max_faces, 1),
                ("model.levels", config.model.levels, 1),
                ("mouth.aligned_size", m.aligned_size, 16),
                ("mouth.height", m.height, 8),
                ("mouth.width", m.width, 8),
                ("sampling.local_frames", s.local_frames, 1),
                ("sampling.global_frames", s.global_frames, 1),
                ("sampling.windows", s.windows, 1),
                ("sampling.tolerance", s.tolerance, 0),
                ("sampling.min_gap", s.min_gap, 1),
                ("data.forgeries", config.data.forgeries, 0),
                ("cache.workers", config.cache.workers, 0),
                ("cache.time_limit", config.cache.time_limit, 0),
                ("train.epochs", t.epochs, 1),
                ("train.patience", t.patience, 1),
                ("train.batch_size", t.batch_size, 2),
                ("train.bag", t.bag, 1),
                ("train.loader_workers", t.loader_workers, 0),
                ("train.clips_per_epoch", t.clips_per_epoch, 0),
                ("evaluate.bootstrap", config.evaluate.bootstrap, 1),
                ("evaluate.seed", config.evaluate.seed, 0),
                ("train.seed", t.seed, 0),
                ("train.weight_decay", t.weight_decay, 0),
                ("train.warmup", t.warmup, 0),
                ("train.clip_gradient", t.clip_gradient, 0),
                ("train.adam_epsilon", t.adam_epsilon, 0),
                ("model.hidden", config.model.hidden, 0),
                ("loss.classification", config.loss.classification, 0),
                ("loss.inconsistency", config.loss.inconsistency, 0),
            )
            if not value >= least  # so that nan is caught
        ),
    ]
    if not (m.face in ("largest", "all") or (m.face.isdecimal() and int(m.face) < m.max_faces)):
        problems.append(f"mouth.face must be largest, all or a rank below mouth.max_faces, not {m.face!r}")
    if not all(0 < share < 0.5 for share in m.eye):
        problems.append(f"mouth.eye must lie between 0 and 0.5, not {m.eye}")
    if not 0 < t.learning_rate < float("inf"):
        problems.append(f"train.learning_rate must be above 0, not {t.learning_rate}")
    if config.model.name != "lipinc_v2" and config.model.attention != "published":
        problems.append("model.attention is a setting of lipinc_v2; the others have no learned one")
    if config.model.name == "statistics" and config.loss.inconsistency:
        problems.append("the statistics have no feature maps for the inconsistency loss; give --loss.inconsistency 0")
    augmented = [name for name in AUGMENTATIONS if getattr(a, name)]
    if config.model.name == "statistics" and augmented:
        problems.append(f"statistics are measured once, before augmentation; give --augment.{augmented[0]} 0")
    if config.model.name != "statistics" and m.cut == "native":
        problems.append("mouth.cut native gives mouths of any size, which model.name statistics alone can take")
    if config.model.name != "statistics" and t.bag > 1:
        problems.append("train.bag is a setting of model.name statistics")
    if config.model.name == "lipinc_v2" and config.loss.features != "full":
        problems.append("loss.features pooled is a setting of lipinc; lipinc_v2 has token maps of one size")
    if s.published_quirks and s.fallback != "refuse":
        problems.append("sampling.published_quirks knows no fallback; use refuse")
    frames = s.local_frames + s.global_frames
    if config.model.name == "lipinc_v2":
        maps = (frames, m.height // 8, m.width // 8)
    else:
        pooling = 2 if config.loss.features == "pooled" else 1
        maps = (frames // pooling, m.height // pooling, m.width // pooling)
    if config.loss.inconsistency and (maps[0] < 2 or min(maps[1:]) < 7):
        problems.append(
            f"the inconsistency loss needs 2 maps of 7 x 7 or more, and these mouths give {maps[0]} of {maps[1]} x "
            f"{maps[2]}; take larger mouths, loss.features full, or loss.inconsistency 0"
        )
    try:
        expand_conditions(config.data.conditions)
    except ValueError as error:
        problems.append(f"data.conditions: {error}")
    if not config.name or "/" in config.name or config.name in (".", ".."):
        problems.append(f"name must be the name of a folder, not {config.name!r}")
    if problems:
        raise UserError("; ".join(problems))


def to_json(config: Config) -> str:
    """The resolved config as JSON, as it is saved with every run."""
    return json.dumps(dataclasses.asdict(config), indent=2)


def from_json(values: dict[str, Any]) -> Config:
    """A config from what `to_json` wrote. Raises UserError on fields and values that this version does not know."""

    def build(kind: type, given: dict[str, Any]) -> Any:
        known = {item.name: item for item in dataclasses.fields(kind)}
        unknown = sorted(given.keys() - known.keys())
        if unknown:
            raise UserError(f"the saved config has fields that this version does not know: {str(unknown)[1:-1]:.80}")
        arguments = {}
        for name, value in given.items():
            if dataclasses.is_dataclass(known[name].type):
                arguments[name] = build(known[name].type, value)
            else:
                arguments[name] = _as_tuple(value)
        built = kind(**arguments)
        for name in arguments:
            if not _fits(value := getattr(built, name), known[name].type):
                raise UserError(f"the saved config has a {name} that this version does not know: {str(value)[:80]!r}")
        return built

    return build(Config, values)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of the type that a field is annotated with."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _fits(value, inner[0])
    if origin is Literal:
        return value in inner
    if origin is tuple:
        kinds = inner[:1] * len(value) if isinstance(value, tuple) and inner[-1] is Ellipsis else inner
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_fits, value, kinds))
    return isinstance(value, int | float if kind is float else kind)


def _as_tuple(value: Any) -> Any:
    """Lists, which JSON made of tuples, as tuples again."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value
