"""Noise that steps share, of every kind, and a search for one setting of it: what tests of each setting begin with."""

import functools
import itertools
from collections.abc import Callable, Iterable

import numpy as np
import pytest

from dpplan import accounting
from dpplan.accounting.pairs import strategy_matrix, tree_sensitivity
from dpplan.accounting.pairs.participation_sensitivity import Sensitivity
from dpplan.adjacency import ZERO_OUT
from dpplan.mechanism import Mechanism
from dpplan.mechanism.correlated import (
    BufferedNoise,
    Correlated,
    MatrixNoise,
    ToeplitzNoise,
    TreeAggregation,
)
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson, Sampling
from dpplan.solve import phase_setting
from dpplan.solve.allocation import Allocation, Budget

STEPS, DELTA = 21, 1e-5


def matrix(bands: int, signed: bool) -> MatrixNoise:
    """Any strategy for STEPS steps, of columns that differ."""
    drawn = np.random.default_rng(bands).uniform(-1.0 if signed else 0.1, 1.0, (STEPS, bands))
    drawn[:, -1] = 1.0
    for row in range(min(bands - 1, STEPS)):
        drawn[row, : bands - 1 - row] = 0.0
    return MatrixNoise(9.0, tuple(drawn.ravel().tolist()), bands)


NOISES: dict[str, Correlated] = {
    "tree": TreeAggregation(9.0),
    "bands": ToeplitzNoise(9.0, bands=5),
    "whole": ToeplitzNoise(9.0, bands=STEPS),
    "signed": ToeplitzNoise(9.0, coefficients=(1.0, -0.5, 0.7, 0.0, -0.9)),
    "rising": ToeplitzNoise(9.0, coefficients=(0.1, 0.5, 2.0)),
    "blt": BufferedNoise(9.0, (0.9, 0.3), (0.3, 0.1)),
    "blt of both signs": BufferedNoise(9.0, (0.9, 0.3), (-0.3, 0.1)),
    "matrix": matrix(4, signed=False),
    "signed matrix": matrix(6, signed=True),
}


def in_order(
    sensitivities: Callable[[], Iterable[Sensitivity]], monkeypatch: pytest.MonkeyPatch
) -> Iterable[list[float]]:
    """The squares, that must not fall: exactly, and where quicker bounds take over beyond some work."""
    for most_work in (None, 40.0, 4000.0, 1e5):
        if most_work is not None:
            monkeypatch.setattr(tree_sensitivity, "MOST_WORK", most_work)
            monkeypatch.setattr(strategy_matrix, "MOST_WORK", most_work)
        _forget()
        found = list(sensitivities())
        assert len({each.exponent for each in found}) == 1
        squares = [each.squared for each in found]
        assert all(one <= more * (1 + 1e-15) for one, more in itertools.pairwise(squares))
        yield squares
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    tree_sensitivity.tree.cache_clear()
    tree_sensitivity.regular_tree.cache_clear()
    strategy_matrix._any_pattern.cache_clear()


def solved(setting: str, mechanism: Mechanism, target: float, steps: int = STEPS) -> Allocation:
    """The plan of one phase, train, with the value of the setting that spends the most of the target."""
    plan = Plan((Phase(mechanism, Poisson(1.0), steps, ZERO_OUT),), adjacency=ZERO_OUT)
    budget = Budget(functools.cache(lambda each: accounting.epsilon(each, DELTA)), target)
    return phase_setting.found(plan, (0, "train"), None, setting, budget)


def upper(mechanism: Mechanism) -> float:
    plan = Plan((Phase(mechanism, Poisson(1.0), STEPS, ZERO_OUT),), adjacency=ZERO_OUT)
    found = accounting.epsilon(plan, DELTA).upper
    assert found is not None
    return found


def found_from_anywhere(
    setting: str, said: list[Correlated], costs: list[float], target: float, expected: int, beyond: int | None
) -> None:
    """Whichever value the phase says, the same is found; said and costs: of the values 1, 2, ... beyond: the next one
    the other way, None where there is none."""
    for begin in (1, 5, len(said)):
        made = solved(setting, said[begin - 1], target)
        assert made.alone is not None and made.alone.value == expected
        assert made.spent.upper == upper(made.plan.phases[0].mechanism) <= target
        assert made.plan.phases[0].mechanism == said[expected - 1]
        if beyond is not None:
            assert made.alone.beyond == beyond and made.alone.spends is not None
            assert made.alone.spends.upper == costs[beyond - 1] > target


def asked_for(setting: str, mechanism: Mechanism, sampling: Sampling, told: str) -> None:
    """Whether a phase has the setting to be asked for, and what is told where it has not."""
    phase = Phase(mechanism, sampling, STEPS)
    why = phase_setting.refusal(phase, setting)
    assert told in why and bool(why) is bool(told)
    assert (setting in phase_setting.known(phase, None)) is (not told)
