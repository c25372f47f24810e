"""Optimisers, schedules and the moving average: what torch makes of the same gradients."""

from typing import Any

import pytest
import torch
from torch import nn

from dpplan.recipe import Training
from dpplan.train.step.optimizer import Optimization, factor_of


def training(**changes: Any) -> Training:
    return Training(**{"batch_size": 10, "steps": 10, "optimizer": "sgd", "learning_rate": 0.5, **changes})


def parameters() -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.zeros(4))]


GRADIENTS = torch.randn(6, 10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(
    ("changes", "theirs"),
    [
        ({"momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.5, momentum=0.9)),
        ({"weight_decay": 0.1}, lambda p: torch.optim.SGD(p, 0.5, weight_decay=0.1)),
        ({"optimizer": "adam"}, lambda p: torch.optim.Adam(p, 0.5)),
        ({"optimizer": "adamw", "weight_decay": 0.1}, lambda p: torch.optim.AdamW(p, 0.5, weight_decay=0.1)),
        ({"optimizer": "adamw"}, lambda p: torch.optim.AdamW(p, 0.5, weight_decay=0.0)),
    ],
)
def test_a_flat_gradient_does_what_torch_does_with_its_parts(changes: dict[str, Any], theirs: Any) -> None:
    mine, other = parameters(), parameters()
    optimization, reference = Optimization(mine, training(**changes), 6), theirs(other)
    for flat in GRADIENTS:
        optimization.step(flat)
        other[0].grad, other[1].grad = flat[:6].view(2, 3).float(), flat[6:].float()
        reference.step()
    assert all(torch.allclose(p, q, rtol=1e-6, atol=1e-6) for p, q in zip(mine, other, strict=True))
    assert optimization.steps == 6


def test_rates_rise_linearly_and_fall_as_a_cosine() -> None:
    rates = [factor_of(training(schedule="cosine", warmup_steps=3), 11)(step) for step in range(11)]
    assert rates[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert rates[7] == pytest.approx(0.5)
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert 0 < rates[10] < 0.05
    assert [factor_of(training(warmup_steps=1), 5)(step) for step in range(5)] == [0.5, 1, 1, 1, 1]
    assert factor_of(training(schedule="cosine", warmup_steps=50), 20)(19) == pytest.approx(20 / 51)


def test_the_schedule_is_what_the_optimiser_uses() -> None:
    weight, asked = nn.Parameter(torch.zeros(1)), training(schedule="cosine", warmup_steps=1)
    optimization = Optimization([weight], asked, 5)
    for step in range(5):
        before = weight.item()
        optimization.step(torch.ones(1))
        assert before - weight.item() == pytest.approx(0.5 * factor_of(asked, 5)(step), abs=1e-6)


def test_the_average_follows_its_formula_and_steps_aside() -> None:
    made = parameters()
    optimization = Optimization(made, training(ema=0.5), 6)
    average = [p.detach().clone() for p in made]
    for number, flat in enumerate(GRADIENTS, start=1):
        optimization.step(flat)
        decay = min(0.5, (1 + number) / (10 + number))
        average = [decay * a + (1 - decay) * p.detach() for a, p in zip(average, made, strict=True)]
    trained = [p.detach().clone() for p in made]
    with optimization.averaged():
        assert all(torch.allclose(p, a) for p, a in zip(made, average, strict=True))
        assert not torch.equal(made[0], trained[0])
    assert all(torch.equal(p, t) for p, t in zip(made, trained, strict=True))


def test_without_an_average_parameters_are_themselves() -> None:
    made = parameters()
    optimization = Optimization(made, training(), 1)
    with optimization.averaged():
        assert torch.equal(made[0], torch.ones(2, 3))
