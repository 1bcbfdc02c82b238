"""Checkpoints: weights as .safetensors with their config, and the training state to go on from.

Nothing here unpickles: weights are .safetensors, the training state is read with weights_only=True.
"""

import hashlib
import io
import json
import pickle
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from lipinc.cache.store import ManifestRow
from lipinc.config import Config, from_json, to_json
from lipinc.errors import UserError
from lipinc.files.atomic import write_atomically
from lipinc.models import build_model
from lipinc.models.calibration import Calibration
from lipinc.video.mouth import MIN_NATIVE_SIDE

CLIP_FIELDS = {
    "mouth": ("aligned_size", "eye", "margin", "height", "width", "residue"),
    "sampling": ("local_frames", "global_frames"),
}
"""Settings that decide what a clip shows. Which frames of a video become clips is the evaluation's own affair."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained detector."""

    file: Path
    sha256: str
    """Of the file."""
    model: nn.Module
    config: Config
    """Of the run that trained it: it says how clips must be made for this model."""
    epoch: int
    calibration: Calibration
    """How its scores read; fitted to the validation split."""
    trained_on: tuple[str, ...]
    """Digests of the identities of its train and validation splits: none of them may be tested on."""

    @property
    def about(self) -> dict[str, str]:
        """What a result says of the checkpoint it is of."""
        return {
            "checkpoint": self.file.name,
            "checkpoint_sha256": self.sha256,
            "model": self.config.model.name,
        }

    def check_fits(self, config: Config, rows: Sequence[ManifestRow]) -> None:
        """Raise UserError if its clips were made otherwise than those of `config`, or if it knows people of `rows`."""
        if self.config.model.name != config.model.name:
            raise UserError(
                f"the checkpoint is a {self.config.model.name}, the config asks for {config.model.name}; "
                f"give --model.name {self.config.model.name} and a --name of its own"
            )
        for name, mine, theirs in clip_differences(self.config, config):
            raise UserError(
                f"the checkpoint was trained on clips with {name} {mine!r}; "
                f"the cache has {theirs!r}. Use a cache made with the checkpoint's"
            )
        shared = sorted(self.known_people(rows))
        if shared:
            raise UserError(
                f"the checkpoint was trained on {len(shared)} of the people it is to be tested on, {shared[0]} first; "
                "use the split that it was trained with (its run's splits.csv as --split.file). "
                "If they are others of the same names, rename them"
            )

    def known_people(self, rows: Sequence[ManifestRow]) -> set[str]:
        """The identities among the videos `rows` that it was trained on."""
        known = set(self.trained_on)
        return {name for name in {row.record.identity for row in rows} if identity_digest(name) in known}


def clip_differences(mine: Config, theirs: Config) -> Iterator[tuple[str, Any, Any]]:
    """Name and both values of each setting by which two configs make different clips."""
    for section, names in CLIP_FIELDS.items():
        for name in names:
            a, b = (getattr(getattr(config, section), name) for config in (mine, theirs))
            if a != b:
                yield f"{section}.{name}", a, b


def save_checkpoint(
    file: Path,
    model: nn.Module,
    config: Config,
    *,
    epoch: int,
    calibration: Calibration,
    trained_on: Sequence[str],
    half: bool = False,
) -> None:
    """Write a checkpoint, atomically. trained_on: identity digests; half: weights in float16, at half the size."""
    about = {
        "config": json.loads(to_json(config)),
        "epoch": epoch,
        "calibration": asdict(calibration),
        "trained_on": trained_on,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if half:
        tensors = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    write_atomically(file, save(tensors, {"lipinc": json.dumps(about)}))


def load_checkpoint(file: str | Path, device: torch.device) -> Checkpoint:
    """Read what `save_checkpoint` wrote, the model in eval mode on `device`.

    Raises UserError if it is anything else: a pickle, another program's file, weights of another network.
    """
    file = Path(file)
    try:
        with safe_open(file, framework="pt") as stored:
            about = json.loads((stored.metadata() or {})["lipinc"])
            config = from_json(about["config"])
            with torch.device("meta"):  # sizes are compared before anything of these sizes is allocated
                model = model_for(config)
            _check_sizes(model, {name: stored.get_slice(name).get_shape() for name in stored.keys()})  # noqa: SIM118
            weights = {name: stored.get_tensor(name) for name in model.state_dict()}
        floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
        broken = [name for name, tensor in floats.items() if not tensor.isfinite().all()]
        if broken:
            raise UserError(f"weights that are no numbers ({broken[0]}); use another checkpoint")
        model.load_state_dict(floats, assign=True)
        return Checkpoint(
            file,
            hashlib.sha256(file.read_bytes()).hexdigest(),
            model.to(device).eval(),
            config,
            int(about["epoch"]),
            _calibration(about["calibration"]),
            tuple(map(str, about["trained_on"])),
        )
    except FileNotFoundError:
        raise UserError(
            f"no checkpoint {file}; runs keep theirs in outputs/<name>/checkpoints/best.safetensors"
        ) from None
    except UserError as error:
        raise UserError(f"{file}: {error}") from error
    except (SafetensorError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(
            f"{file} is not a .safetensors checkpoint ({reason}); pickled .pt/.pth files are not read"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(f"{file} holds weights, but not those of a checkpoint of this project") from error
    except RuntimeError as error:  # sizes beyond all bounds, weights that are no floats
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{file} does not fit the network its config names: {reason}") from error


def _check_sizes(model: nn.Module, found: dict[str, Sequence[int]]) -> None:
    """Raise UserError unless a file's tensors are those of the network."""
    expected = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in sorted(expected.keys() | found.keys()):
        here, there = expected.get(name, "none"), found.get(name, "none")
        if here != there:
            raise UserError(f"it does not fit the network its config names: {name!r:.80} is {there}, not {here}")


def _calibration(values: dict[str, Any]) -> Calibration:
    """Raises ValueError or TypeError if it is none."""
    low, high = map(float, values["uncertain"])
    found = Calibration(float(values["threshold"]), float(values["temperature"]), (low, high))
    if not (np.isfinite([found.threshold, low, high]).all() and 0 < found.temperature < np.inf):
        raise ValueError(f"{found} is no calibration")
    return found


def identity_digest(identity: str) -> str:
    """What a checkpoint keeps of a person: enough to know them again, and no name."""
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def model_for(config: Config) -> nn.Module:
    """A fresh network for the clips of a config."""
    frames = {name: getattr(config.sampling, name) for name in ("local_frames", "global_frames")}
    native = config.mouth.cut == "native"
    height, width = (MIN_NATIVE_SIDE, MIN_NATIVE_SIDE) if native else (config.mouth.height, config.mouth.width)
    return build_model(config.model, **frames, height=height, width=width)


def save_state(file: Path, state: dict[str, Any]) -> None:
    """Write a training state (tensors, numbers, texts, lists and dicts of them), atomically."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(file, buffer.getbuffer())


def load_state(file: Path) -> dict[str, Any]:
    """Read what `save_state` wrote, on the CPU. Raises UserError if it is damaged or something else."""
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:  # torch writes checksums and does not look at them
                raise ValueError("a checksum does not fit")
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (
        *(OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, struct.error),
        *(ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError),
    ) as error:
        raise UserError(f"{file} cannot be read; delete it to start over") from error
    if not isinstance(state, dict) or not {"model", "optimizer", "history", "fingerprint"} <= state.keys():
        raise UserError(f"{file} is not a training state of this project; delete it to start over")
    return state
