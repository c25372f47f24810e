"""In how many steps a record may be: the order that the search goes along, its ends, and what is said of them."""

import dataclasses
import functools
import itertools
from collections.abc import Callable

import numpy as np
import pytest

from dpplan import accounting
from dpplan.accounting.pairs import correlated, participation_sensitivity, strategy_matrix, tree_sensitivity
from dpplan.adjacency import ZERO_OUT
from dpplan.errors import NotApplicable, Unreachable
from dpplan.mechanism import Gaussian, Mechanism
from dpplan.mechanism.correlated import (
    BufferedNoise,
    Correlated,
    MatrixNoise,
    ToeplitzNoise,
    TreeAggregation,
)
from dpplan.plan import Phase, Plan
from dpplan.sampling import CyclicPoisson, FixedSize, Poisson, Sampling, Shuffle
from dpplan.solve import participations, phase_setting
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


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("separation", [1, 2, 4, 7, 30])
def test_no_sensitivity_falls_as_participations_rise(
    name: str, separation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where quicker bounds take over from some number on."""
    for most_work in (None, 40.0, 4000.0, 1e5):
        if most_work is not None:
            monkeypatch.setattr(tree_sensitivity, "MOST_WORK", most_work)
            monkeypatch.setattr(strategy_matrix, "MOST_WORK", most_work)
        _forget()
        found = [correlated.sensitivity(NOISES[name], STEPS, most, separation) for most in range(1, STEPS + 3)]
        assert len({each.exponent for each in found}) == 1
        capped = -(-STEPS // separation)  # so many steps are so far apart, and more participations are no others
        assert {each.squared for each in found[capped - 1 :]} == {found[capped - 1].squared}
        assert all(one.squared <= more.squared * (1 + 1e-15) for one, more in itertools.pairwise(found))
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    tree_sensitivity.tree.cache_clear()
    tree_sensitivity.regular_tree.cache_clear()
    strategy_matrix._any_pattern.cache_clear()


def solved(mechanism: Mechanism, target: float, steps: int = STEPS, sampling: Sampling | None = None) -> Allocation:
    plan = Plan((Phase(mechanism, sampling or Poisson(1.0), steps, ZERO_OUT),), adjacency=ZERO_OUT)
    budget = Budget(functools.cache(lambda each: accounting.epsilon(each, DELTA)), target)
    return phase_setting.found(plan, (0, "train"), None, participations.PARTICIPATIONS, budget)


@pytest.mark.parametrize("name", NOISES)
def test_the_largest_number_that_meets_the_target_is_found(name: str) -> None:
    """The same as by trying all, from whichever number the phase says."""
    mechanism = dataclasses.replace(NOISES[name], separation=2)
    said = [dataclasses.replace(mechanism, participations=most) for most in range(1, 12)]
    costs = [upper(each) for each in said]
    for most in (1, 4, 10):
        target = costs[most - 1] * (1 + 1e-6)  # met by so many, and by those that cost no more
        expected = max(at for at, cost in enumerate(costs, 1) if cost <= target)
        for begin in (1, 5, 11):
            made = solved(said[begin - 1], target)
            assert made.alone is not None and made.alone.value == expected
            assert made.spent.upper == upper(made.plan.phases[0].mechanism) <= target
            assert made.plan.phases[0].mechanism == said[expected - 1]
            if expected < 11:
                assert made.alone.beyond == expected + 1 and made.alone.spends is not None
                assert made.alone.spends.upper == costs[expected] > target


def upper(mechanism: Mechanism) -> float:
    plan = Plan((Phase(mechanism, Poisson(1.0), STEPS, ZERO_OUT),), adjacency=ZERO_OUT)
    found = accounting.epsilon(plan, DELTA).upper
    assert found is not None
    return found


def test_one_that_is_too_many_is_said() -> None:
    with pytest.raises(Unreachable, match=r"ε = 0.5 is not met at one participation of train, and the plan still"):
        solved(TreeAggregation(9.0), 0.5)


@pytest.mark.parametrize(
    ("separation", "most", "told"),
    [
        (4, 6, "no record can be in more: 6 of 21 steps are 4 apart"),
        (1, 21, "no record can be in more: 21 of 21 steps are 1 apart"),
        (50, 1, "no record can be in more: 1 of 21 steps are 50 apart"),
    ],
)
def test_as_many_as_the_steps_allow_are_the_most(separation: int, most: int, told: str) -> None:
    """Whatever more the phase says."""
    made = solved(TreeAggregation(200.0, participations=9_999, separation=separation), 50.0)
    assert made.alone is not None
    assert (made.alone.value, made.alone.beyond, made.alone.spends) == (most, None, None)
    assert told in made.alone.remark


def test_no_more_are_tried_than_a_mechanism_takes() -> None:
    made = solved(ToeplitzNoise(1e6, bands=1), 50.0, steps=30_000)
    assert made.alone is not None and (made.alone.value, made.alone.beyond) == (10_000, None)
    assert made.alone.remark == "the target is met at all participations that are tried, up to 10000"


def test_where_nothing_is_known_of_more_than_one_that_is_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """No target is known to be met there, and nothing is said of what it spends."""
    monkeypatch.setattr(participation_sensitivity, "LONGEST", 10)
    made = solved(ToeplitzNoise(9.0, bands=STEPS), 50.0)
    assert made.alone is not None
    assert (made.alone.value, made.alone.beyond, made.alone.spends) == (1, 2, None)


def test_where_there_is_no_figure_at_all_why_is_said() -> None:
    with pytest.raises(NotApplicable, match="the strategy is for 21 steps"):
        solved(matrix(4, signed=False), 5.0, steps=22)


def test_a_tree_is_not_added_up_for_more_than_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the longer the more participations there are."""
    tried: list[int] = []
    tree: Callable[..., participation_sensitivity.Sensitivity] = tree_sensitivity.tree
    monkeypatch.setattr(
        tree_sensitivity,
        "tree",
        lambda *given: tried.append(given[1]) or tree(*given),  # type: ignore[func-returns-value]
    )
    made = solved(TreeAggregation(50.0), 9.0, steps=4096)
    assert made.alone is not None and made.alone.beyond is not None
    assert made.alone.value > 20 and max(tried) <= 1.5 * made.alone.value


@pytest.mark.parametrize(
    ("mechanism", "sampling", "told"),
    [
        (Gaussian(2.0), Poisson(0.1), "only noise that steps share (tree, toeplitz, matrix, blt) has participations"),
        (TreeAggregation(2.0), CyclicPoisson(0.1, 4, "place"), "one of every groups=4 steps at most. Ask for steps."),
        (TreeAggregation(2.0), Shuffle(10, "once"), "every epoch, which has 10. Ask for steps."),
        (TreeAggregation(2.0), Shuffle(10, "fresh"), "every epoch, which has 10. Ask for steps."),
        (TreeAggregation(2.0), Poisson(0.1), "none hold under sampling=poisson"),
        (TreeAggregation(2.0), FixedSize(10, 100), "none hold under sampling=fixed-size"),
        (TreeAggregation(2.0), Poisson(1.0), ""),
    ],
)
def test_they_are_asked_for_where_a_phase_declares_them(mechanism: Mechanism, sampling: Sampling, told: str) -> None:
    phase = Phase(mechanism, sampling, STEPS)
    why = phase_setting.refusal(phase, participations.PARTICIPATIONS)
    assert told in why and bool(why) is bool(told)
    assert (participations.PARTICIPATIONS in phase_setting.known(phase, None)) is (not told)
