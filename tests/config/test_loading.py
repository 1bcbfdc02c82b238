"""Config files: those that are shipped, and what a bad one says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lipinc.config import from_json, load_config, to_json
from lipinc.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


SHIPPED = [ROOT / "config.py", *sorted((ROOT / "configs").glob("*.py"))]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_every_shipped_config_loads_makes_sense_and_survives_json(file):
    config = load_config(file)
    config.check()
    assert from_json(json.loads(to_json(config))) == config


def test_shipped_configs_have_names_of_their_own():
    names = [load_config(file).name for file in SHIPPED]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = 1\n", "must define `config`"),
        ("config = 3\n", "must define `config`"),
        ("import nonsense_module\n", "cannot be imported: ModuleNotFoundError"),
        ("config = (\n", "cannot be imported: SyntaxError"),
        ("from lipinc.config import Config\nconfig = Config(epochs=3)\n", "epochs"),
    ],
)
def test_a_bad_config_file_is_named(tmp_path, content, message):
    (tmp_path / "bad.py").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        load_config(tmp_path / "bad.py")
    assert "bad.py" in str(caught.value)


def test_a_shipped_config_is_found_by_its_name():
    assert [load_config(file.stem) for file in SHIPPED[1:]] == [load_config(file) for file in SHIPPED[1:]]
    assert load_config("fakeavceleb") == load_config(ROOT / "config.py")
    with pytest.raises(UserError, match="no config file own_clip; the shipped experiments are fakeavceleb, avlips, "):
        load_config("own_clip")


def test_a_config_file_imports_plug_ins_that_lie_beside_it(tmp_path):
    (tmp_path / "beside.py").write_text("NAME = 'from beside'\n")
    (tmp_path / "mine.py").write_text(
        "from beside import NAME\nfrom lipinc.config import Config\nconfig = Config(name=NAME)\n"
    )
    assert load_config(tmp_path / "mine.py").name == "from beside"


def test_a_config_file_costs_no_torch():
    """The commands say what is wrong with a config before they load the libraries that take seconds."""
    program = "import sys; from lipinc.config import load_config; load_config('noise_features'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "ai_edge_litert", "mediapipe", "matplotlib"} & set(done.stdout.split())


@pytest.mark.parametrize("version", [1, 2])
def test_the_published_recipe_is_that_of_the_papers(version):
    config, official = load_config(f"published_v{version}"), load_config(f"official_v{version}")
    assert (config.mouth, config.sampling, config.cache) == (official.mouth, official.sampling, official.cache)
    assert (config.mouth.residue, config.model.options.input_scale, config.augment.active()) == ("wrapped", 1.0, [])
    assert config.loss.weights() == {"classification": 1.0, "inconsistency": 5.0}
    assert getattr(config.model.options, "loss_features", "full") == "full"
    train = config.train
    assert (train.optimizer, train.learning_rate, train.adam_epsilon) == ("keras_adam", 1e-3, 0.1)
