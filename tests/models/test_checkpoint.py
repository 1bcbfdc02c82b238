import json
import pickle
import resource
import struct
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lipinc.config import ModelConfig, to_json
from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import identity_digest, load_checkpoint, load_state, save_checkpoint, save_state
from lipinc.models.registry import build_model
from tests.tiny import tiny_config

CPU = torch.device("cpu")
CALIBRATION = Calibration(temperature=2.5, threshold=-0.25, uncertain=(-1.0, 0.5))
TRAINED_ON = (identity_digest("id00"), identity_digest("id01"))


@pytest.fixture
def config(tmp_path):
    config = tiny_config(tmp_path)
    return replace(config, model=ModelConfig("lipinc_v2", batch_norm_momentum=0.1, hidden=64))


def save(file, model, config):
    save_checkpoint(file, model, config, epoch=3, calibration=CALIBRATION, trained_on=TRAINED_ON)


def test_round_trip(tmp_path, config):
    model = build_model(config)
    save(tmp_path / "c.safetensors", model, config)
    checkpoint = load_checkpoint(tmp_path / "c.safetensors", CPU)
    assert checkpoint.config == config
    assert (checkpoint.epoch, checkpoint.calibration, checkpoint.trained_on) == (3, CALIBRATION, TRAINED_ON)
    assert not checkpoint.model.training
    for (name, mine), theirs in zip(model.state_dict().items(), checkpoint.model.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name


def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path, config):
    (tmp_path / "text.safetensors").write_text("hello")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    torch.save(build_model(config).state_dict(), tmp_path / "pickle.pt")
    save_file({"weight": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    save(tmp_path / "other.safetensors", build_model(config), replace(config, model=ModelConfig("lipinc", hidden=64)))
    save_file(
        {"weight": torch.zeros(2)},
        tmp_path / "newer.safetensors",
        {"lipinc": json.dumps({"config": {"colour": "mauve"}, "epoch": 1, "calibration": {}, "trained_on": []})},
    )
    cases = {
        "text.safetensors": "not a .safetensors checkpoint",
        "empty.safetensors": "not a .safetensors checkpoint",
        "pickle.pt": "pickled",
        "foreign.safetensors": "is not a checkpoint of lipinc",
        "other.safetensors": "does not match the network",
        "newer.safetensors": "colour",
        "absent.safetensors": "no checkpoint",
        ".": "is a folder: give a checkpoint file$",
    }
    for name, message in cases.items():
        with pytest.raises(UserError, match=message) as caught:
            load_checkpoint(tmp_path / name, CPU)
        assert "\n" not in str(caught.value)


def written(file: Path, header: dict | bytes, data: bytes = b"\0" * 16, length: int | None = None) -> Path:
    """A .safetensors file by hand, whatever its header says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return file


@pytest.mark.parametrize(
    ("header", "length"),
    [
        ({}, 2**62),
        ({}, 10**8),
        (b"[" * 100_000, None),
        ({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 16]}}, None),
        ({"a": {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 2**64 - 1]}}, None),
        ({"a": {"dtype": "F32", "shape": [4], "data_offsets": [-16, 0]}}, None),
        ({"a": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}, None),
        ({"a": {"dtype": "F99", "shape": [4], "data_offsets": [0, 16]}}, None),
        ({name: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for name in "ab"}, None),
    ],
)
def test_a_hostile_header_is_refused(tmp_path, header, length):
    with pytest.raises(UserError, match="not a .safetensors checkpoint") as caught:
        load_checkpoint(written(tmp_path / "h.safetensors", header, length=length), CPU)
    assert "\n" not in str(caught.value)


@pytest.fixture
def memory_limit():
    """No more than 1 GB above what is in use."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 10**9, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, limits)


@pytest.mark.parametrize(
    "setting",
    [
        *("model.hidden=30000", f"model.hidden={10**9}", f"model.hidden={10**18}", f"model.hidden={10**40}"),
        *("model.hidden=-1", "model.hidden=0.5", "model.hidden=[1]", "model.dropout=2", "model.name=[]", "model=7"),
        *("mouth.height=1000000", f"mouth.width={10**12}", "mouth.eye=[1]", 'mouth.residue="\\n"', "name={}"),
        *(f"sampling.local_frames={10**12}", "sampling.global_frames=null"),
    ],
)
def test_a_config_of_absurd_sizes_is_refused_and_allocates_nothing(tmp_path, config, memory_limit, setting):
    config = replace(config, model=ModelConfig("lipinc", hidden=64, loss_features="pooled"))
    path, _, value = setting.partition("=")
    values = json.loads(to_json(config))
    *section, name = path.split(".")
    (values[section[0]] if section else values)[name] = json.loads(value)
    about = {"config": values, "epoch": 1, "calibration": asdict(CALIBRATION), "trained_on": []}
    save_file(build_model(config).state_dict(), tmp_path / "c.safetensors", {"lipinc": json.dumps(about)})
    with pytest.raises(UserError, match="c.safetensors") as caught:
        load_checkpoint(tmp_path / "c.safetensors", CPU)
    assert "\n" not in str(caught.value)


def test_tensors_that_are_not_the_networks_are_refused(tmp_path, config):
    weights = build_model(config).state_dict()
    name = "head.dense.4.weight"
    changed = {
        "is none, not": {key: tensor for key, tensor in weights.items() if key != name},
        "'more' is": {**weights, "more": torch.zeros(2)},
        r"is \[2, 3\], not": {**weights, name: torch.zeros(2, 3)},
        "not finite": {**weights, name: torch.full_like(weights[name], float("nan"))},
        "does not match the network": {**weights, name: torch.zeros_like(weights[name], dtype=torch.int64)},
    }
    about = {"config": json.loads(to_json(config)), "epoch": 1, "calibration": asdict(CALIBRATION), "trained_on": []}
    for message, tensors in changed.items():
        save_file(tensors, tmp_path / "c.safetensors", {"lipinc": json.dumps(about)})
        with pytest.raises(UserError, match=message):
            load_checkpoint(tmp_path / "c.safetensors", CPU)
    for calibration in ({**asdict(CALIBRATION), "temperature": 0}, {"threshold": 0}, [], {"threshold": "x"}):
        save_file(weights, tmp_path / "c.safetensors", {"lipinc": json.dumps({**about, "calibration": calibration})})
        with pytest.raises(UserError, match="is not a checkpoint of lipinc"):
            load_checkpoint(tmp_path / "c.safetensors", CPU)


def test_bits_that_flipped_in_a_training_state_are_noticed(tmp_path):
    state = {"model": {"a": torch.arange(1000)}, "optimizer": {}, "history": [{"epoch": 1}], "fingerprint": "f"}
    save_state(tmp_path / "s.pt", state)
    content = bytearray((tmp_path / "s.pt").read_bytes())
    content[len(content) // 2] ^= 1  # in the middle of the numbers
    (tmp_path / "s.pt").write_bytes(content)
    with pytest.raises(UserError, match="s.pt cannot be read; delete it"):
        load_state(tmp_path / "s.pt")


def test_nothing_is_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    (tmp_path / "last.pt").write_bytes(pickle.dumps(Bomb()))
    torch.save(Bomb(), tmp_path / "zip.pt")
    for name in ("last.pt", "zip.pt"):
        with pytest.raises(UserError, match="cannot be read"):
            load_state(tmp_path / name)


def test_training_state_round_trip(tmp_path):
    state = {
        "model": {"a": torch.arange(3)},
        "optimizer": {},
        "history": [{"epoch": 1, "auc": 0.5}],
        "fingerprint": "f",
    }
    save_state(tmp_path / "s.pt", state)
    state = load_state(tmp_path / "s.pt")
    assert state["history"] == [{"epoch": 1, "auc": 0.5}]
    assert torch.equal(state["model"]["a"], torch.arange(3))
    assert [path.name for path in tmp_path.iterdir()] == ["s.pt"]


def test_a_checkpoint_is_not_tested_on_its_own_people_nor_on_other_clips(tmp_path, config):
    save(tmp_path / "c.safetensors", build_model(config), config)
    checkpoint = load_checkpoint(tmp_path / "c.safetensors", CPU)
    rows = make_cache(config, people=4)
    checkpoint.check_fits(config, rows[4:])
    with pytest.raises(UserError, match="trained on 1 of the people in the test split, the first is id01"):
        checkpoint.check_fits(config, rows[2:])
    more_windows = replace(config, sampling=replace(config.sampling, windows=30, fallback="nearest"))
    checkpoint.check_fits(replace(more_windows, mouth=replace(config.mouth, face="all")), rows[4:])


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("mouth", "residue", "absolute"),
        ("mouth", "cut", "native"),
        ("mouth", "working_width", 400),
        ("mouth", "refine_landmarks", False),
        ("sampling", "tolerance", 9),
        ("sampling", "published_quirks", True),
    ],
)
def test_a_checkpoint_is_not_tested_on_clips_made_otherwise(tmp_path, config, section, name, value):
    save(tmp_path / "c.safetensors", build_model(config), config)
    checkpoint = load_checkpoint(tmp_path / "c.safetensors", CPU)
    settings = getattr(config, section)
    other = replace(config, **{section: replace(settings, **{name: value})})
    with pytest.raises(UserError) as caught:
        checkpoint.check_fits(other, [])
    assert f"{section}.{name} {getattr(settings, name)!r}, the cache has {value!r}" in str(caught.value)


@pytest.mark.parametrize("given", ["run", "run/checkpoints"])
def test_a_folder_in_place_of_a_checkpoint_names_the_file_in_it(tmp_path, config, given):
    file = tmp_path / "run" / "checkpoints" / "best.safetensors"
    save(file, build_model(config), config)
    with pytest.raises(UserError, match=f"{given} is a folder: give a checkpoint file, such as {file}$"):
        load_checkpoint(tmp_path / given, CPU)
    with pytest.raises(UserError, match="no checkpoint lipinc_v3; .* those shipped are lipinc_v2, mouth_noise"):
        load_checkpoint("lipinc_v3", CPU)
