import json
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from lipinc.calibration import Calibration
from lipinc.checkpoint import identity_digest, load_checkpoint, load_state, model_for, save_checkpoint, save_state
from lipinc.errors import UserError
from tests.synthetic_cache import make_cache, tiny_config

CPU = torch.device("cpu")
CALIBRATION = Calibration(temperature=2.5, threshold=-0.25, uncertain=(-1.0, 0.5))
TRAINED_ON = (identity_digest("id00"), identity_digest("id01"))


@pytest.fixture
def config(tmp_path):
    config = tiny_config(tmp_path)
    return replace(config, model=replace(config.model, name="lipinc_v2"), loss=replace(config.loss, features="full"))


def save(file, model, config):
    save_checkpoint(file, model, config, epoch=3, calibration=CALIBRATION, trained_on=TRAINED_ON)


def test_round_trip(tmp_path, config):
    model = model_for(config)
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
    torch.save(model_for(config).state_dict(), tmp_path / "pickle.pt")
    save_file({"weight": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    save(tmp_path / "other.safetensors", model_for(config), replace(config, model=replace(config.model, name="lipinc")))
    save_file(
        {"weight": torch.zeros(2)},
        tmp_path / "newer.safetensors",
        {"lipinc": json.dumps({"config": {"colour": "mauve"}, "epoch": 1, "calibration": {}, "trained_on": []})},
    )
    cases = {
        "text.safetensors": "not a .safetensors checkpoint",
        "empty.safetensors": "not a .safetensors checkpoint",
        "pickle.pt": "pickled",
        "foreign.safetensors": "not those of a checkpoint of this project",
        "other.safetensors": "does not fit the network",
        "newer.safetensors": "colour",
        "absent.safetensors": "no checkpoint",
        ".": "not a .safetensors checkpoint",
    }
    for name, message in cases.items():
        with pytest.raises(UserError, match=message) as caught:
            load_checkpoint(tmp_path / name, CPU)
        assert "\n" not in str(caught.value)


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
    save(tmp_path / "c.safetensors", model_for(config), config)
    checkpoint = load_checkpoint(tmp_path / "c.safetensors", CPU)
    rows = make_cache(config, people=4)
    checkpoint.check_fits(config, rows[4:])
    with pytest.raises(UserError, match="trained on 1 of the people it is to be tested on, id01 first"):
        checkpoint.check_fits(config, rows[2:])
    with pytest.raises(UserError, match="mouth.residue 'wrapped'; the cache has 'absolute'"):
        checkpoint.check_fits(replace(config, mouth=replace(config.mouth, residue="absolute")), rows[4:])
    more_windows = replace(config, sampling=replace(config.sampling, windows=30, fallback="nearest"))
    checkpoint.check_fits(more_windows, rows[4:])
