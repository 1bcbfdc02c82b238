"""Ranges beside the fields, and the walker that checks them all."""

import math
from dataclasses import dataclass, field
from typing import Annotated

import pytest

from lipinc.config import AugmentConfig, Config, MouthConfig, SamplingConfig, TrainConfig
from lipinc.config.ranges import Increasing, Range, UnitInterval, range_problems
from lipinc.datasets import FakeAVCeleb
from lipinc.errors import UserError
from tests.tiny import tiny_config


@dataclass
class Inner:
    share: UnitInterval = 0.5
    pair: Annotated[tuple[float, float], Increasing()] = (1.0, 2.0)


@dataclass
class Outer:
    count: Annotated[int, Range(1)] = 1
    rate: Annotated[float, Range(0, 1, open=True)] = 0.5
    both: Annotated[tuple[float, float], Range(0, 1)] = (0.0, 1.0)
    free: float = -7.0
    inner: Inner = field(default_factory=Inner)


def test_what_is_in_range_is_no_problem():
    assert list(range_problems(Outer())) == []
    assert list(range_problems(Outer(count=10**9, inner=Inner(share=1.0, pair=(3.0, 3.0))))) == []


def test_the_walker_reports_every_problem_with_its_place():
    wrong = Outer(count=0, rate=1.0, both=(0.5, 1.5), inner=Inner(share=-0.1, pair=(2.0, 1.0)))
    assert list(range_problems(wrong, "x.")) == [
        "x.count must be at least 1, not 0",
        "x.rate must lie between 0 and 1, not 1.0",
        "x.both must be between 0 and 1, not (0.5, 1.5)",
        "x.inner.share must be between 0 and 1, not -0.1",
        "x.inner.pair must be two positive numbers, the smaller first, not (2.0, 1.0)",
    ]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_out_of_range(value):
    (problem,) = range_problems(Outer(rate=value))
    assert problem.startswith("rate must lie between 0 and 1")
    assert list(range_problems(Inner(share=value)))


def test_a_config_reports_all_its_errors_at_once():
    config = Config(
        name="a/b",
        data=FakeAVCeleb(forgeries=-1, conditions=("crf99",)),
        mouth=MouthConfig(face="biggest", margin=2.0, eye=(0.4, 0.6)),
        sampling=SamplingConfig(windows=0, fallback="nearest", published_quirks=True),
        augment=AugmentConfig(flip=-0.5, jpeg_quality=(90, 30)),
        train=TrainConfig(epochs=0, learning_rate=math.nan, bag=2),
    )
    config = Config(**{**config.__dict__, "model": config.model.replace(dropout=1.5, hidden=0)})
    with pytest.raises(UserError) as caught:
        config.check()
    problems = str(caught.value).split("; ")
    for word in (
        *("data.forgeries", "data.conditions", "mouth.face", "mouth.margin", "mouth.eye", "sampling.windows"),
        *("sampling.published_quirks", "augment.flip", "augment.jpeg_quality", "train.epochs", "train.learning_rate"),
        *("train.bag", "model.dropout", "model.hidden", "name must be"),
    ):
        assert sum(problem.startswith(word) for problem in problems) == 1, word
    assert "\n" not in str(caught.value)


def test_a_config_is_checked_without_its_model_where_nobody_asks_for_one(tmp_path):
    config = tiny_config(tmp_path)
    config = Config(**{**config.__dict__, "model": config.model.replace(dropout=2.0)})
    config.check(with_model=False)
    with pytest.raises(UserError, match="^model.dropout must be between 0 and 1, not 2.0$"):
        config.check()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(train=TrainConfig(epochs="5")), "train.epochs must be a whole number, not '5'"),
        (Config(train=TrainConfig(device="gpu")), "train.device must be one of auto, cuda, cpu, not 'gpu'"),
        (Config(mouth=MouthConfig(eye=0.4)), "mouth.eye must be a tuple, not 0.4"),
        (Config(mouth=MouthConfig(face=1.5)), "mouth.face must be a text, not 1.5"),
        (Config(mouth=None), "mouth must be a MouthConfig, not None"),
        (Config(data=FakeAVCeleb(conditions="crf28")), "data.conditions must be a tuple, not 'crf28'"),
    ],
)
def test_a_value_of_a_wrong_type_is_named(config, message):
    with pytest.raises(UserError) as caught:
        config.check(with_model=False)
    assert str(caught.value) == message


def test_a_rank_may_be_a_number_and_a_list_may_be_given_for_a_tuple():
    config = Config(mouth=MouthConfig(face=0), data=FakeAVCeleb(conditions=["crf28"]))
    config.check(with_model=False)
    assert config.mouth == MouthConfig(face="0")
