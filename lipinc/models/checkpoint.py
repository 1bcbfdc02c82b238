"""Checkpoints: model weights with their config as .safetensors, and training states for resuming.

Nothing is unpickled: weights are .safetensors, and training states are read with weights_only=True.
"""

import hashlib
import io
import json
import pickle
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from lipinc.cache.manifest import ManifestRow
from lipinc.config import Config, from_json, to_json
from lipinc.config.loading import PACKAGE
from lipinc.config.registry import MODELS, source_file
from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically
from lipinc.models.calibration import Calibration
from lipinc.models.registry import MouthModel, build_model, check_shapes

MAY_DIFFER = {"mouth": ("face", "max_faces"), "sampling": ("windows", "min_frames", "fallback")}
"""Clip settings in which a cache may differ from a checkpoint: they decide which faces, how many windows and which
videos are used. All others decide the pixels of a clip."""
SHIPPED = PACKAGE / "detection" / "weights"
"""Folder of the checkpoints shipped with the package; README.md in it is the model card."""
BEST = Path("checkpoints", "best.safetensors")
"""The checkpoint of a run, in its folder."""
DEFAULT_CHECKPOINT = SHIPPED / "mouth_noise.safetensors"
"""The default detector."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained detector."""

    file: Path
    sha256: str
    """SHA-256 of the file."""
    model: MouthModel
    config: Config
    """Config of the training run; it defines how clips for this model are made."""
    epoch: int
    calibration: Calibration
    """Calibration fitted to the validation split."""
    trained_on: tuple[str, ...]
    """Digests of the identities in its train and validation splits, which must not be used for testing."""

    @property
    def provenance(self) -> dict[str, str]:
        """Provenance for metrics.json: file name, SHA-256 and model name."""
        return {
            "checkpoint": self.file.name,
            "checkpoint_sha256": self.sha256,
            "model": self.config.model.name,
        }

    def check_fits(self, config: Config, rows: Sequence[ManifestRow]) -> None:
        """Check that the checkpoint can be tested on a cache.

        Args:
            config: the config of the cache.
            rows: the test videos.

        Raises:
            UserError: the model or the clip settings differ, or the checkpoint was trained on people in `rows`.
        """
        if self.config.model.name != config.model.name:
            raise UserError(
                f"the checkpoint contains the model {self.config.model.name}, but the config has {config.model.name}; "
                f"use --model.name {self.config.model.name} and a separate --name"
            )
        self.check_clips(config)
        shared = sorted(self.known_people(rows))
        if shared:
            raise UserError(
                f"the checkpoint was trained on {len(shared)} of the people in the test split, the first is "
                f"{shared[0]}; use the split of its training run (its splits.csv as --split.file). "
                "If these are different people with the same names, rename them"
            )

    def check_clips(self, config: Config) -> None:
        """Raise UserError if the clips of the cache of a config are not like those that the model was trained on."""
        differences = [
            f"{name} {mine!r}, the cache has {theirs!r}" for name, mine, theirs in clip_differences(self.config, config)
        ]
        if differences:
            raise UserError(
                f"the checkpoint was trained on clips with {'; '.join(differences)}. Use a cache made with the "
                "settings of the checkpoint; lipinc evaluate makes one"
            )

    def check_embeds(self) -> None:
        """Raise UserError if the model has no embeddings, or its `classifier` is wrong."""
        check_shapes(self.model, self.config)
        if not self.model.has_embedding:
            raise UserError(
                f"{self.file}: the model {self.config.model.name} has no embeddings; define classifier(self), which "
                "returns its last layer, or use another checkpoint"
            )

    def known_people(self, rows: Sequence[ManifestRow]) -> set[str]:
        """Return the identities in `rows` that the checkpoint was trained on."""
        known = set(self.trained_on)
        return {name for name in {row.record.identity for row in rows} if identity_digest(name) in known}


def clip_differences(mine: Config, theirs: Config) -> Iterator[tuple[str, Any, Any]]:
    """Yield name and both values of each clip setting that differs between two configs."""
    for section, may_differ in MAY_DIFFER.items():
        a, b = (asdict(getattr(config, section)) for config in (mine, theirs))
        for name in a:
            if name not in may_differ and a[name] != b[name]:
                yield f"{section}.{name}", a[name], b[name]


def save_checkpoint(
    file: Path,
    model: MouthModel,
    config: Config,
    *,
    epoch: int,
    calibration: Calibration,
    trained_on: Sequence[str],
    half: bool = False,
) -> None:
    """Write a checkpoint atomically.

    Args:
        file: the checkpoint file.
        model: the model.
        config: the config of its training run.
        epoch: the epoch of the weights.
        calibration: fitted to the validation split.
        trained_on: identity digests of the train and validation splits.
        half: store weights as float16, at half the size.
    """
    metadata = {
        "config": json.loads(to_json(config)),
        "epoch": epoch,
        "calibration": calibration.to_values(),
        "trained_on": trained_on,
        "defined_in": Path(source_file(type(model))).name,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if half:
        tensors = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    write_atomically(file, save(tensors, {"lipinc": json.dumps(metadata)}))


def load_checkpoint(file: str | Path, device: torch.device) -> Checkpoint:
    """Load a checkpoint written by `save_checkpoint`.

    Args:
        file: a path, or the name of a shipped checkpoint ("lipinc_v2").
        device: device of the model.

    Returns:
        The checkpoint, with its model in eval mode on `device`.

    Raises:
        UserError: the file is anything else: a pickle, a file of another program, weights that do not match the model,
            or a model whose plug-in is not loaded.
    """
    file = checkpoint_file(file)
    if file.is_dir():
        inside = next((best for best in (file / "best.safetensors", file / BEST) if best.is_file()), None)
        raise UserError(f"{file} is a folder: give a checkpoint file" + (f", such as {inside}" if inside else ""))
    try:
        with safe_open(file, framework="pt") as stored:
            metadata = json.loads((stored.metadata() or {})["lipinc"])
            config = from_json(metadata["config"])
            with torch.device("meta"):  # compare shapes before allocating memory for them
                model = _build(config, metadata)
            _check_sizes(model, {name: stored.get_slice(name).get_shape() for name in stored.keys()})  # noqa: SIM118
            weights = {name: stored.get_tensor(name) for name in model.state_dict()}
        floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
        broken = [name for name, tensor in floats.items() if not tensor.isfinite().all()]
        if broken:
            raise UserError(f"it contains weights that are not finite ({broken[0]}); use another checkpoint")
        model.load_state_dict(floats, assign=True)
        return Checkpoint(
            file,
            hashlib.sha256(file.read_bytes()).hexdigest(),
            model.to(device).eval(),
            config,
            int(metadata["epoch"]),
            Calibration.from_values(metadata["calibration"]),
            tuple(map(str, metadata["trained_on"])),
        )
    except FileNotFoundError:
        shipped = sorted(one.stem for one in SHIPPED.glob("*.safetensors"))
        raise UserError(
            f"no checkpoint {file}; the checkpoint of a run is outputs/<name>/{BEST}, those shipped are "
            + ", ".join(shipped)
        ) from None
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except (SafetensorError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(
            f"{file} is not a .safetensors checkpoint ({reason}); pickled .pt/.pth files are not supported"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(f"{file} contains weights, but is not a checkpoint of lipinc") from error
    except RuntimeError as error:  # for example absurd sizes, or weights that are not floats
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{file} does not match the network in its config: {reason}") from error


def checkpoint_file(file: str | Path) -> Path:
    """Resolve a path or the name of a shipped checkpoint to a file."""
    shipped = SHIPPED / f"{file}.safetensors"
    return shipped if Path(file).name == str(file) and shipped.is_file() and not Path(file).exists() else Path(file)


def _build(config: Config, metadata: dict[str, Any]) -> MouthModel:
    if config.model.name not in MODELS.names() and "defined_in" in metadata:
        file = Path(str(metadata["defined_in"])).name
        raise UserError(
            f"its model {config.model.name!r} is a plug-in that is not loaded; it was defined in {file!r:.80}: "
            "give this file with --plugin, or a --config that imports it"
        )
    return build_model(config)


def _check_sizes(model: MouthModel, found: dict[str, Sequence[int]]) -> None:
    """Raise UserError if the names and shapes of the stored tensors differ from those of the model.

    Args:
        model: the model.
        found: tensor name -> shape in the file.
    """
    expected = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in sorted(expected.keys() | found.keys()):
        wanted, stored = expected.get(name, "none"), found.get(name, "none")
        if wanted != stored:
            raise UserError(f"it does not match the network in its config: {name!r:.80} is {stored}, not {wanted}")


def identity_digest(identity: str) -> str:
    """Hash an identity, so that a checkpoint can recognise people without storing their names."""
    return hashlib.sha256(unicodedata.normalize("NFC", identity).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def save_state(file: Path, state: dict[str, Any]) -> None:
    """Write a training state atomically: tensors, numbers, strings, and lists and dicts of them."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(file, buffer.getbuffer())


def load_state(file: Path) -> dict[str, Any]:
    """Load a training state written by `save_state`, to the CPU.

    Raises:
        UserError: the file is damaged or not a training state.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:  # torch writes checksums but does not verify them
                raise ValueError("checksum mismatch")
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (
        *(OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, struct.error),
        *(ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError),
    ) as error:
        raise UserError(f"{file} cannot be read; delete it to start over") from error
    if not isinstance(state, dict) or not {"model", "optimizer", "history", "fingerprint"} <= state.keys():
        raise UserError(f"{file} is not a training state of lipinc; delete it to start over")
    return state
