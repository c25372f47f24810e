"""The score of a canary where steps share noise: the ratio of two densities, by the covariance of all steps."""

import itertools
import math

import numpy as np
import pytest
import torch
from small_recipe import small

from dpplan import train
from dpplan.mechanism import Correlation, Gaussian, ToeplitzNoise, TreeAggregation
from dpplan.plan import Phase
from dpplan.sampling import CyclicPoisson, Poisson, Shuffle
from dpplan.train.canaries import Audited, Canaries, audited
from dpplan.train.canaries.likelihood import independent, likelihood
from dpplan.train.step.correlated_noise import CorrelatedNoise, memory_of

SIGMA, STEPS = 1.7, 11
FIXED = {"privacy_sampling": "shuffle", "privacy_order": "once", "privacy_adjacency": "zero_out"}
TURNS = {"privacy_sampling": "cyclic-poisson", "privacy_groups": 4, "privacy_adjacency": "zero_out"}
FEW = Canaries(gradient=1500, mislabelled=0)


def covariance(phase: Phase) -> np.ndarray:
    """Of what is added to the steps, by the memory of the trainer."""
    memory = memory_of(phase)
    made = np.array([memory.next(torch.eye(STEPS, dtype=torch.float64)[t].clone()).numpy() for t in range(STEPS)])
    return SIGMA**2 * made @ made.T


def log_density(seen: np.ndarray, moved: np.ndarray, covered: np.ndarray) -> float:
    """Of seen, up to a constant, where the mean is `moved`."""
    return float(-0.5 * (seen - moved) @ np.linalg.solve(covered, seen - moved))


@pytest.mark.parametrize("mechanism", [TreeAggregation(SIGMA), ToeplitzNoise(SIGMA, bands=4)], ids=["tree", "banded"])
def test_known_steps_are_scored_by_the_densities_of_all_of_them_together(mechanism: object) -> None:
    phase, rng = Phase(mechanism, Shuffle(3, "once"), STEPS), np.random.default_rng(1)  # type: ignore[arg-type]
    covered, seen = covariance(phase), rng.normal(size=(STEPS, 5))
    taking = np.arange(STEPS)[:, None] % 3 == np.arange(5) % 3
    found = likelihood(seen, taking, phase)
    for canary in range(5):
        one, moved = seen[:, canary], taking[:, canary].astype(float)
        expected = log_density(one, moved, covered) - log_density(one, np.zeros(STEPS), covered)
        assert found[canary] == pytest.approx(expected, rel=1e-10)
    new = np.linalg.inv(np.linalg.cholesky(covered / SIGMA**2)) @ seen
    assert independent(seen, phase) == pytest.approx(new, rel=1e-9, abs=1e-12)


def test_turns_are_scored_by_all_that_the_coins_may_have_been() -> None:
    rate, phase = 0.3, Phase(ToeplitzNoise(SIGMA, bands=3), CyclicPoisson(0.3, 4, "place"), STEPS)
    covered, seen = covariance(phase), np.random.default_rng(2).normal(size=(STEPS, 4))
    taking = np.arange(STEPS)[:, None] % 4 == np.arange(4)
    found = likelihood(seen, taking, phase)
    for canary in range(4):
        one, turns = seen[:, canary], np.flatnonzero(taking[:, canary])
        total = 0.0
        for coins in itertools.product((0, 1), repeat=len(turns)):
            moved = np.zeros(STEPS)
            moved[turns] = coins
            chance = math.prod(rate if coin else 1.0 - rate for coin in coins)
            total += chance * math.exp(log_density(one, moved, covered) - log_density(one, np.zeros(STEPS), covered))
        assert found[canary] == pytest.approx(math.log(total), rel=1e-10)


def test_independent_noise_is_left_as_it_is() -> None:
    seen = np.random.default_rng(3).normal(size=(STEPS, 2))
    phase, anywhere = Phase(Gaussian(SIGMA), Poisson(0.3), STEPS), np.ones((STEPS, 2), dtype=bool)
    assert independent(seen, phase) is seen
    ratio = np.log(0.7 + 0.3 * np.exp((2 * seen - 1) / (2 * SIGMA**2))).sum(0)
    assert likelihood(seen, anywhere, phase) == pytest.approx(ratio)


def found(noise: Correlation, drawn: dict[str, object], seed: int = 3) -> Audited:
    """At ε = 6, on 359 images."""
    told = {"privacy_noise_multiplier": None, "privacy_target_epsilon": 6, "data_held_out": 0.8, **drawn}
    size = {"training_batch_size": 80, "training_steps": 12, "privacy_noise": noise}
    return audited(train.plan(small(**told, **size), seed=seed), FEW)


@pytest.mark.parametrize(
    ("noise", "drawn"),
    [(Correlation("tree"), FIXED), pytest.param(Correlation("banded", 4), TURNS, marks=pytest.mark.slow)],
    ids=["tree, fixed order", "banded, by turns"],
)
def test_a_sound_run_is_consistent_and_a_third_of_the_noise_is_none(
    noise: Correlation, drawn: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = found(noise, drawn)
    assert not sound.violation
    assert 0.25 * 6 < sound.white_box < 6
    made = CorrelatedNoise.__init__

    def too_little(self: CorrelatedNoise, *told: object) -> None:
        made(self, *told)  # type: ignore[arg-type]
        self.noise_multiplier /= 3

    monkeypatch.setattr(CorrelatedNoise, "__init__", too_little)
    broken = found(noise, drawn)
    assert broken.findings["gradient, by likelihood"].violation
    assert {each.name for each in broken.measured if not each.agrees} == {"noise"}


@pytest.mark.slow
def test_sound_runs_of_shared_noise_raise_no_more_false_alarms_than_stated() -> None:
    """60 runs, of which 5 % may be called broken."""
    kinds = ((Correlation("tree"), FIXED), (Correlation("banded", 4), TURNS), (Correlation("banded", 8), FIXED))
    alarms = sum(found(*kinds[seed % 3], seed=seed).violation for seed in range(60))
    assert alarms <= 8  # of Binomial(60, 0.05) more with chance 0.004
