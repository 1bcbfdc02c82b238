"""Plug-ins by name."""

from dataclasses import dataclass

import pytest

from lipinc.config import Config, ModelConfig
from lipinc.config.registry import DATASETS, MODELS, Registry, suggest
from lipinc.datasets import Dataset, register_dataset
from lipinc.errors import UserError


def test_those_that_come_with_the_package():
    assert MODELS.names() == ["lipinc", "lipinc_v2", "noise_discriminant", "noise_features", "noise_maps"]
    assert DATASETS.names() == [
        *("avlips", "celebdf", "csv", "dfdc", "faceforensics", "fakeavceleb", "folder", "kodf", "lavdf"),
        *("lipsynctimit", "polyglotfake"),
    ]
    assert [DATASETS.get(name).kind for name in DATASETS.names()] == DATASETS.names()


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("alhpa", ["alpha", "beta"], "did you mean alpha?"),
        ("ALPHA", ["alpha", "beta"], "did you mean alpha?"),
        ("gamma rays", ["alpha", "beta"], "choose one of alpha, beta"),
        ("x", [], "there are none"),
    ],
)
def test_the_nearest_name_or_all_of_them(name, known, hint):
    assert suggest(name, known) == hint


def test_unknown_names_and_options_are_named_with_the_nearest():
    with pytest.raises(UserError, match=r"there is no model 'lipnic': did you mean lipinc\?"):
        Config(model=ModelConfig("lipnic")).check()
    with pytest.raises(UserError, match=r"there is no data set 'cvs': did you mean csv\?"):
        DATASETS.get("cvs")
    with pytest.raises(UserError, match=r"model lipinc has no option 'droput': did you mean dropout\?"):
        Config(model=ModelConfig("lipinc", droput=0.3)).check()
    with pytest.raises(UserError, match=r"model lipinc_v2 has no option 'colour': choose one of attention, hidden, "):
        Config(model=ModelConfig("lipinc_v2", colour="mauve")).check()


def test_two_files_cannot_take_one_name():
    registry = Registry("thing", "lipinc.versions")
    classes = [UserError, Registry]  # of two files
    registry.add("mine", classes[0])
    registry.add("mine", classes[0])  # a file that is run again, as in every worker process
    message = "registry.py: the thing 'mine' is already defined in .*errors.py; choose another name"
    with pytest.raises(UserError, match=message):
        registry.add("mine", classes[1])
    assert registry.get("mine") is classes[0]


def test_what_is_no_data_set_is_refused_where_it_is_defined():
    class Other:
        pass

    with pytest.raises(UserError, match="test_registry.py: the data set 'x' must be a dataclass derived from"):
        register_dataset("x")(Other)

    @dataclass(frozen=True)
    class NoLoad(Dataset):
        pass

    with pytest.raises(UserError, match=r"test_registry.py: the data set 'x' must define load\(self\)"):
        register_dataset("x")(NoLoad)
    assert "x" not in DATASETS.names()
