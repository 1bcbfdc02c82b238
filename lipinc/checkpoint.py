"""Checkpoints: weights as .safetensors with their config, and the training state to go on from.

Nothing here unpickles: weights are .safetensors, the training state is read with weights_only=True.
"""

import hashlib
import io
import json
import pickle
import struct
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from lipinc.calibration import Calibration
from lipinc.config import Config, from_json, to_json
from lipinc.data.cache import ManifestRow, write_atomically
from lipinc.errors import UserError
from lipinc.models import build_model

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
            weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - not a dict
        config = from_json(about["config"])
        with torch.device("meta"):  # nothing is allocated for sizes that the weights do not have
            model = model_for(config)
        floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
        model.load_state_dict(floats, assign=True)
        return Checkpoint(
            file,
            hashlib.sha256(file.read_bytes()).hexdigest(),
            model.to(device).eval(),
            config,
            about["epoch"],
            Calibration(**{name: tuple(v) if isinstance(v, list) else v for name, v in about["calibration"].items()}),
            tuple(about["trained_on"]),
        )
    except FileNotFoundError:
        raise UserError(
            f"no checkpoint {file}; runs keep theirs in outputs/<name>/checkpoints/best.safetensors"
        ) from None
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"{file} is not a .safetensors checkpoint ({error}); pickled .pt/.pth files are not read"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{file} holds weights, but not those of a checkpoint of this project") from error
    except RuntimeError as error:  # load_state_dict
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{file} does not fit the network its config names: {reason}") from error


def identity_digest(identity: str) -> str:
    """What a checkpoint keeps of a person: enough to know them again, and no name."""
    return hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def model_for(config: Config) -> nn.Module:
    """A fresh network for the clips of a config."""
    frames = {name: getattr(config.sampling, name) for name in ("local_frames", "global_frames")}
    return build_model(config.model, **frames, height=config.mouth.height, width=config.mouth.width)


def save_state(file: Path, state: dict[str, Any]) -> None:
    """Write a training state (tensors, numbers, texts, lists and dicts of them), atomically."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(file, buffer.getbuffer())


def load_state(file: Path) -> dict[str, Any]:
    """Read what `save_state` wrote, on the CPU. Raises UserError if it is damaged or something else."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError, struct.error) as error:
        raise UserError(f"{file} cannot be read; delete it to start over") from error
    if not isinstance(state, dict) or not {"model", "optimizer", "history", "fingerprint"} <= state.keys():
        raise UserError(f"{file} is not a training state of this project; delete it to start over")
    return state
