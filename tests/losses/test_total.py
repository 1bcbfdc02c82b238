"""The total loss: its terms and weights, and terms that others register."""

import csv
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.plain_ssim import similar_maps
from lipinc.config import Config, LossConfig, parse_command_line
from lipinc.demo.synthetic_cache import make_cache
from lipinc.errors import UserError
from lipinc.evaluation.plots import plot_learning_curves
from lipinc.losses.inconsistency import inconsistency_loss
from lipinc.losses.total import TERMS, LossInputs, loss_terms, register_loss_term, total_loss
from tests.tiny import tiny_config
from tests.training.test_loop import run_training, with_train

LOGITS, LABELS = torch.tensor([[2.0, -1.0], [0.5, 1.5]]), torch.tensor([0, 1])


def test_total_loss_weighs_its_parts_as_published():
    logits = torch.tensor([[2.0, -1.0], [0.5, 1.5], [0.0, 0.0]])
    labels = torch.tensor([0, 1, 1])
    maps = similar_maps(3, 4, 2, 10, 12).float()
    chances = torch.softmax(logits, dim=1)[torch.arange(3), labels]
    loss = total_loss(LossInputs(logits, maps, labels, LossConfig()))
    assert loss["classification"].item() == pytest.approx(-chances.log().mean().item())
    assert loss["inconsistency"].item() == pytest.approx(inconsistency_loss(maps, labels).item())
    assert loss["total"].item() == pytest.approx(loss["classification"].item() + 5 * loss["inconsistency"].item())
    other = total_loss(LossInputs(logits, maps, labels, LossConfig(classification=2.0, inconsistency=0.5)))
    expected = 2 * loss["classification"].item() + 0.5 * loss["inconsistency"].item()
    assert other["total"].item() == pytest.approx(expected)


def test_total_loss_without_the_inconsistency_loss():
    logits = torch.tensor([[2.0, -1.0], [0.5, 1.5]], dtype=torch.bfloat16)
    loss = total_loss(LossInputs(logits, None, torch.tensor([0, 1]), LossConfig(inconsistency=0)))
    assert loss.keys() == {"total", "classification"}  # a term of weight 0 is not computed
    assert loss["total"].item() == loss["classification"].item() > 0
    assert loss["total"].dtype == loss["classification"].dtype == torch.float32


def test_ranking_loss_compares_fakes_with_their_own_reals():
    logits = torch.tensor([[0.0, 2.0], [0.0, 1.0], [0.0, -3.0], [0.0, 9.0]], requires_grad=True)
    labels, config = torch.tensor([1, 1, 0, 0]), LossConfig(classification=0, inconsistency=0, ranking=2.0)
    pairs = torch.tensor([[0, 2], [1, 2]])
    loss = total_loss(LossInputs(logits, None, labels, config, pairs))
    expected = (math.log1p(math.exp(-5)) + math.log1p(math.exp(-4))) / 2
    assert loss["ranking"].item() == pytest.approx(expected) and loss["total"].item() == pytest.approx(2 * expected)
    loss["total"].backward()
    assert logits.grad[:3].all() and not logits.grad[3].any()  # the last one is nobody's own real
    assert total_loss(LossInputs(logits, None, labels, config, pairs[:0]))["ranking"].item() == 0


def test_ranking_needs_pairs():
    config = Config(loss=LossConfig(ranking=1.0))
    with pytest.raises(UserError, match="--train.pairs 0.7"):
        config.check()
    replace(config, train=replace(config.train, pairs=0.7)).check()
    with pytest.raises(UserError, match="--train.balanced True"):
        replace(config, train=replace(config.train, pairs=0.7, balanced=False)).check()


def test_label_smoothing():
    logits, labels = torch.tensor([[2.0, -1.0], [0.5, 1.5]]), torch.tensor([0, 1])
    loss = total_loss(LossInputs(logits, None, labels, LossConfig(inconsistency=0, label_smoothing=0.1)))
    targets = torch.tensor([[0.95, 0.05], [0.05, 0.95]])
    assert loss["total"].item() == pytest.approx(-(targets * logits.log_softmax(dim=1)).sum(dim=1).mean().item())


@pytest.fixture
def registered() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    before = dict(TERMS)
    yield
    TERMS.clear()
    TERMS.update(before)


def logit_size(inputs: LossInputs) -> torch.Tensor:
    return inputs.logits.float().square().mean()


def test_a_registered_term_is_weighed_in(registered):
    register_loss_term("logit_size")(logit_size)
    config = LossConfig(inconsistency=0, other=(("logit_size", 0.5),))
    assert loss_terms(config) == ["classification", "logit_size"]
    loss = total_loss(LossInputs(LOGITS, None, LABELS, config))
    assert list(loss) == ["total", "classification", "logit_size"]
    assert loss["logit_size"].item() == pytest.approx((4 + 1 + 0.25 + 2.25) / 4)
    assert loss["total"].item() == pytest.approx(loss["classification"].item() + 0.5 * loss["logit_size"].item())


def test_a_term_alone_has_its_gradient_and_one_of_weight_0_is_not_computed(registered):
    register_loss_term("logit_size")(logit_size)
    register_loss_term("never")(lambda inputs: pytest.fail("it was computed"))
    config = LossConfig(classification=0, inconsistency=0, other=(("logit_size", 2.0), ("never", 0.0)))
    logits = LOGITS.clone().requires_grad_()
    loss = total_loss(LossInputs(logits, None, LABELS, config))
    assert list(loss) == ["total", "logit_size"]
    loss["total"].backward()
    torch.testing.assert_close(logits.grad, logits.detach())  # 2 * 2 x / 4


def test_a_registered_term_is_in_history_and_results(registered, tmp_path, caplog):
    register_loss_term("logit_size")(logit_size)
    config = tiny_config(tmp_path)
    config = with_train(replace(config, loss=LossConfig(other=(("logit_size", 0.5),))), "term", epochs=2)
    make_cache(config, people=10)
    with caplog.at_level("INFO"):
        history = run_training(config)
    for row in history:
        terms = row["train_classification"] + 5 * row["train_inconsistency"] + 0.5 * row["train_logit_size"]
        assert row["train_loss"] == pytest.approx(terms, rel=1e-5)
        assert row["train_logit_size"] > 0
    with Path(config.output, "term", "results.csv").open(newline="") as file:
        results = list(csv.DictReader(file))
    assert [float(row["train_logit_size"]) for row in results] == [row["train_logit_size"] for row in history]
    assert list(results[0]) == [
        *("epoch", "train_loss", "train_classification", "train_inconsistency", "train_logit_size"),
        *("learning_rate", "validation_loss", "validation_auc", "seconds", "clips_per_second"),
    ]
    assert f"logit_size {history[-1]['train_logit_size']:.4f}" in caplog.text
    plot_learning_curves(history, 1, tmp_path / "curves.png", "title")
    assert (tmp_path / "curves.png").stat().st_size > 0


def test_results_list_only_the_terms_of_the_run(tmp_path):
    """As before there was a registry, but for a column of zeros where the inconsistency loss is off."""
    config = with_train(tiny_config(tmp_path, loss=LossConfig(inconsistency=0)), "plain", epochs=1)
    make_cache(config, people=10)
    (row,) = run_training(config)
    assert [name for name in row if name.startswith("train_")] == ["train_loss", "train_classification"]
    assert row["train_loss"] == row["train_classification"]


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (lambda inputs: inputs.logits, r"the loss term 'wrong' must return a scalar tensor, not \(2, 2\)"),
        (lambda inputs: 0.5, "the loss term 'wrong' must return a scalar tensor, not float"),
        (lambda inputs: None, "the loss term 'wrong' must return a scalar tensor, not NoneType"),
    ],
)
def test_a_term_that_is_no_scalar_is_refused(registered, term, message):
    register_loss_term("wrong")(term)
    with pytest.raises(UserError, match=message):
        total_loss(LossInputs(LOGITS, None, LABELS, LossConfig(inconsistency=0, other=(("wrong", 1.0),))))


@pytest.mark.parametrize("name", ["total", ""])
def test_names_that_a_term_cannot_have(name):
    with pytest.raises(UserError, match="a loss term cannot be named"):
        register_loss_term(name)(logit_size)


def test_a_weight_of_no_term_is_named_with_the_nearest():
    config = LossConfig(other=(("clasification", 1.0),))
    message = r"loss.other names the unknown loss term 'clasification': did you mean classification\?"
    with pytest.raises(UserError, match=message):
        total_loss(LossInputs(LOGITS, None, LABELS, config))


def test_without_any_weight_there_is_nothing_to_train():
    with pytest.raises(UserError, match="every loss term has weight 0"):
        total_loss(LossInputs(LOGITS, None, LABELS, LossConfig(classification=0, inconsistency=0)))


def test_other_terms_are_given_on_the_command_line():
    config = parse_command_line(Config, ["--loss.other", "logit_size", "0.5", "smoothness", "2"])
    assert config.loss.weights() == {"classification": 1.0, "ranking": 1.0, "logit_size": 0.5, "smoothness": 2.0}
