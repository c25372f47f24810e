"""The test of the noise: right noise passes from wherever it is seen, and noise of another covariance is found."""

from typing import Any

import numpy as np
import pytest
import torch

from dpplan.accounting.pairs.participation_sensitivity import square_root_coefficients
from dpplan.errors import NotApplicable
from dpplan.mechanism import Gaussian, Laplace, ToeplitzNoise, TreeAggregation
from dpplan.plan import Phase
from dpplan.sampling import Poisson, Shuffle
from dpplan.train.added_noise import noise_ledger_for
from dpplan.train.clipping import BatchFacts, ClippedSum
from dpplan.train.step.correlated_noise import CorrelatedNoise
from dpplan.train.tree_weights import from_left, new, variance

STEPS, SIZE, SIGMA = 64, 200, 2.0
MECHANISMS = {
    "tree": TreeAggregation(SIGMA),
    "bands": ToeplitzNoise(SIGMA, bands=4),
    "one band": ToeplitzNoise(SIGMA, bands=1),
    "many bands": ToeplitzNoise(SIGMA, bands=40),
}


def phase(name: str) -> Phase:
    return Phase(MECHANISMS[name], Shuffle(8, "once"), STEPS)


def added(name: str, seed: int = 1) -> list[torch.Tensor]:
    """What is added to sums of sensitivity 3."""
    noise = CorrelatedNoise(phase(name), [(0, f"{seed:032x}")])
    zeros = ClippedSum(torch.zeros(SIZE, dtype=torch.float64), 3.0, BatchFacts.none())
    return [noise.add(zeros) for _ in range(STEPS)]


def agrees(name: str, noise: Any, first: int = 0, level: float = 1e-6) -> bool:
    ledger = noise_ledger_for(phase(name))
    for step, each in enumerate(noise):
        if step >= first:
            ledger.saw(step, each, SIGMA * 3.0)
    return ledger.agrees(level)


@pytest.mark.parametrize("name", MECHANISMS)
@pytest.mark.parametrize("first", [0, 1, 6, 31, 63])
def test_right_noise_agrees_also_after_an_interruption(name: str, first: int) -> None:
    assert agrees(name, added(name), first, level=1e-3)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.slow] * (each == "many bands")) for each in MECHANISMS]
)
def test_right_noise_fails_no_more_often_than_the_level(name: str) -> None:
    assert sum(not agrees(name, added(name, seed), level=0.2) for seed in range(2, 17)) <= 9  # of 15 at 0.2: 1e-4


@pytest.mark.parametrize("name", ["tree", "bands", "many bands"])
@pytest.mark.parametrize("first", [0, 3])
def test_noise_of_another_covariance_is_found(name: str, first: int) -> None:
    rng, right = np.random.default_rng(5), added(name)
    independent = [torch.from_numpy(rng.standard_normal(SIZE)) * SIGMA * 3.0 for _ in range(STEPS)]
    matched = [each * float(torch.linalg.vector_norm(torch.stack(right)) / (SIGMA * 3.0 * (STEPS * SIZE) ** 0.5))
               for each in independent]  # fmt: skip
    others = {
        "independent": independent,
        "independent, of the same size": matched,
        "too small": [0.9 * each for each in right],
        "other bands": added("bands" if name != "bands" else "tree"),
        "in another order": [right[at] for at in rng.permutation(STEPS)],
        "a step twice": [*right[:51], right[50], *right[52:]],
        "none at last": [*right[:40], *[each * 0.3 for each in right[40:]]],
    }
    assert {what for what, noise in others.items() if agrees(name, noise, first)} == set()


def test_ties_that_leave_the_size_alone_are_found_by_their_lag() -> None:
    """New parts that depend on the step before, each as long as planned: squares do not see it."""
    rng, column = np.random.default_rng(6), square_root_coefficients(4)
    parts, tie = [rng.standard_normal(SIZE)], 0.2
    for _ in range(STEPS - 1):
        parts.append(tie * parts[-1] + np.sqrt(1 - tie**2) * rng.standard_normal(SIZE))
    last: list[np.ndarray] = []
    noise = []
    for part in parts:
        last = [(part - sum(c * w for c, w in zip(column[1:], last, strict=False))) / column[0], *last][:3]
        noise.append(torch.from_numpy(last[0]) * SIGMA * 3.0)
    assert not agrees("bands", noise)


def test_weights_of_a_tree_are_those_of_their_definitions() -> None:
    assert [variance(level) for level in range(3)] == pytest.approx([1, 2 / 3, 4 / 7])
    assert from_left(0) == () and from_left(2) == pytest.approx((1 / 3 * 3 / 7, 3 / 7))
    assert new(0) == 1.0 and new(1) == pytest.approx((5 / 9) ** 0.5)


def test_noise_that_nobody_could_test_is_refused() -> None:
    with pytest.raises(NotApplicable, match="no verdict is known for noise of mechanism=laplace"):
        noise_ledger_for(Phase(Laplace(1.0), Poisson(0.1), 3))
    assert noise_ledger_for(Phase(Gaussian(1.0), Poisson(0.1), 3)).law == "std 1 × sensitivity"
