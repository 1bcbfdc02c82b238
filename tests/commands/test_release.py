import json
from dataclasses import asdict

import pytest
import torch

from lipinc.commands import detect, release
from lipinc.config import to_json
from lipinc.errors import UserError
from lipinc.models.calibration import Calibration
from lipinc.models.checkpoint import DEFAULT_CHECKPOINT, SHIPPED, load_checkpoint, save_checkpoint
from lipinc.models.registry import build_model
from tests.tiny import tiny_config

CPU = torch.device("cpu")


def run(*words) -> None:
    release.main([str(word) for word in words], "lipinc release")


def test_a_released_checkpoint_is_half_as_large_and_says_the_same(tmp_path, capsys):
    config = tiny_config(tmp_path)
    source, target = tmp_path / "best.safetensors", tmp_path / "weights" / "small.safetensors"
    torch.manual_seed(0)  # random weights and pixels of 0 to 255 can put a logit beyond what half precision holds
    model = build_model(config).eval()
    calibration = Calibration(0.5, 2.0, (0.25, 1.0))
    save_checkpoint(source, model, config, epoch=3, calibration=calibration, trained_on=("0123456789abcdef",))
    run(source, "--out", target)
    assert target.stat().st_size < 0.55 * source.stat().st_size
    small = load_checkpoint(target, CPU)
    assert (small.calibration, small.epoch, small.trained_on) == (calibration, 3, ("0123456789abcdef",))
    assert str(tmp_path) not in to_json(small.config)
    assert (small.config.model, small.config.mouth, small.config.sampling) == (
        config.model,
        config.mouth,
        config.sampling,
    )
    size, n = config.mouth, config.sampling.local_frames + config.sampling.global_frames
    frames = torch.randint(0, 256, (4, n, size.height, size.width, 3))
    residues = torch.randint(0, 256, (4, n - 1, size.height, size.width, 3))
    with torch.inference_mode():
        torch.testing.assert_close(small.model(frames, residues), model(frames, residues), atol=2e-2, rtol=2e-2)
    assert "kB" in capsys.readouterr().out


def test_a_calibration_of_a_cross_validation_replaces_that_of_the_run(tmp_path):
    config = tiny_config(tmp_path)
    source, target = tmp_path / "best.safetensors", tmp_path / "a.safetensors"
    save_checkpoint(source, build_model(config), config, epoch=1, calibration=Calibration(), trained_on=())
    fitted = Calibration(0.5, 2.0, (0.25, 1.0))
    (tmp_path / "calibration.json").write_text(json.dumps(asdict(fitted)))
    run(source, "--out", target, "--calibration", tmp_path / "calibration.json")
    assert load_checkpoint(target, CPU).calibration == fitted
    for content in ("{}", "no JSON", '{"threshold": 1}'):
        (tmp_path / "calibration.json").write_text(content)
        with pytest.raises(UserError, match="is no calibration.json"):
            run(source, "--out", target, "--calibration", tmp_path / "calibration.json")


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(UserError, match="safetensors"):
        run(tmp_path / "a.safetensors", "--out", tmp_path / "b.pt")


@pytest.mark.parametrize(("name", "size"), [("mouth_noise", 1e6), ("lipinc_v2", 10e6)])
def test_the_shipped_checkpoints_are_small_calibrated_and_have_their_model_card(name, size):
    file = SHIPPED / f"{name}.safetensors"
    checkpoint = load_checkpoint(file, CPU)
    assert file.stat().st_size <= size
    assert checkpoint.config.name == name or checkpoint.config.model.name == name
    assert checkpoint.calibration != Calibration()
    assert checkpoint.config.data.note
    assert checkpoint.config == release.without_paths(checkpoint.config)
    assert checkpoint.sha256 in (SHIPPED / "README.md").read_text()


def test_the_default_checkpoint_is_shipped():
    assert DEFAULT_CHECKPOINT.stem == detect.DEFAULT_CHECKPOINT
    assert DEFAULT_CHECKPOINT.is_file()
