"""Configs as JSON, of this version and of the one before."""

import dataclasses
import json
from pathlib import Path

import pytest

from lipinc.config import (
    AugmentConfig,
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    MouthConfig,
    SamplingConfig,
    TrainConfig,
    from_json,
    load_config,
    to_json,
)
from lipinc.datasets import CsvIndex
from lipinc.errors import UserError
from lipinc.models.lipinc_v2 import LIPINCV2Options


def test_an_unknown_saved_field_is_named():
    with pytest.raises(UserError, match="hue"):
        from_json({"train": {"hue": 3}})


def test_columns_may_be_a_dict_and_survive_json():
    config = Config(data=CsvIndex(columns={"path": "file", "identity": "person"}))
    assert config.data.columns == (("path", "file"), ("identity", "person"))
    assert from_json(json.loads(to_json(config))) == config


EARLIER = {
    "fakeavceleb": {
        "sampling": SamplingConfig(),
        "model": ModelConfig("lipinc"),
        "loss": LossConfig(),
        "augment": AugmentConfig(flip=0.5, brightness=0.2, contrast=0.2, compression=0.3, blur=0.1, rescale=0.1),
        "train": TrainConfig(),
    },
    "demo": {
        "model": ModelConfig("lipinc", batch_norm_momentum=0.1, input_scale=1 / 255, loss_features="pooled"),
        "loss": LossConfig(),
        "augment": AugmentConfig(flip=0.5),
        "train": TrainConfig(
            epochs=6,
            optimizer="adamw",
            learning_rate=1e-4,
            adam_epsilon=1e-8,
            clips_per_epoch=192,
            loader_workers=0,
        ),
    },
    "own_clips_v2": {
        "mouth": MouthConfig(aligned_size=512),
        "sampling": SamplingConfig(windows=16, fallback="nearest"),
        "model": ModelConfig("lipinc_v2", batch_norm_momentum=0.1, input_scale=1 / 16),
        "loss": LossConfig(inconsistency=0.0),
        "augment": AugmentConfig(flip=0.5, shift=0.06, brightness=0.2, contrast=0.2),
        "train": TrainConfig(
            epochs=2,
            select="last",
            batch_size=16,
            optimizer="adamw",
            learning_rate=1e-4,
            adam_epsilon=1e-8,
            weight_decay=0.01,
            schedule="cosine",
            warmup=0.3,
            clips_per_epoch=576,
            loader_workers=0,
        ),
    },
}
"""Sections of shipped configs that had other values in version 1."""


@pytest.mark.parametrize("name", EARLIER)
def test_the_config_of_an_earlier_run_is_read(name):
    assert from_json(version_1(name)) == dataclasses.replace(
        load_config(name), **{"mouth": MouthConfig()} | EARLIER[name]
    )


def test_the_config_of_an_earlier_run_of_the_default_detector_is_read():
    """It had another name then."""
    saved, now = from_json(version_1("robust")), load_config("noise_features")
    assert saved.model == now.model
    assert saved == dataclasses.replace(now, name="robust", cache=dataclasses.replace(now.cache, path="cache/robust"))


def test_options_of_version_1_find_their_places():
    values = version_1("robust")
    values["model"] |= {"noise": 0.7, "hidden": 32, "dropout": 0.25, "attention": "projected"}
    model = from_json(values).model
    assert model == ModelConfig(
        "noise_features", levels=3, batch_norm_momentum=0.05, input_noise=0.7, hidden=32, dropout=0.25
    )
    values = version_1("demo")
    assert values["loss"]["features"] == "pooled"
    assert from_json(values).model.options.loss_features == "pooled"
    values = version_1("own_clips_v2")
    values["model"] |= {"attention": "projected"}
    assert from_json(values).model.options.attention == "projected"


def test_what_neither_version_knows_is_refused():
    for section in ("data", "mouth", "train", "loss"):
        values = version_1("demo")
        values[section]["colour"] = "mauve"
        with pytest.raises(UserError, match="unknown fields: 'colour'"):
            from_json(values)
    values = version_1("demo")
    values["model"]["colour"] = "mauve"
    with pytest.raises(UserError, match="model lipinc has no option 'colour'"):
        from_json(values).check()
    with pytest.raises(UserError, match="written by a newer version of lipinc; upgrade lipinc"):
        from_json({**json.loads(to_json(Config())), "version": 3})
    values = json.loads(to_json(Config()))
    values["mouth"]["residue"] = "squared"
    with pytest.raises(UserError, match="the saved config has an invalid residue: 'squared'"):
        from_json(values)


def test_a_saved_config_is_complete():
    """With every option of the model and of the data set, so that a later default changes nothing."""
    values = json.loads(to_json(Config(data=CsvIndex(index="i.csv"), model=ModelConfig("lipinc_v2", hidden=8))))
    assert values["version"] == 2
    assert values["model"] == {"name": "lipinc_v2", **dataclasses.asdict(LIPINCV2Options(hidden=8))}
    assert values["data"].keys() == {"kind", *(field.name for field in dataclasses.fields(CsvIndex))}


def test_a_data_set_that_is_not_registered_here_is_read_as_what_all_have():
    values = json.loads(to_json(Config()))
    values["data"] = {"kind": "somebody else's", "root": "r", "note": "n", "colour": "mauve"}
    data = from_json(values).data
    assert type(data) is DataConfig and (data.root, data.note) == ("r", "n")


def version_1(name: str) -> dict:
    return json.loads((Path(__file__).parent / "version_1" / f"{name}.json").read_text())
