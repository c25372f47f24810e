"""In how many steps a record may be: the order that the search goes along, its ends, and what is said of them."""

import dataclasses
from collections.abc import Callable

import pytest
from shared_noise import NOISES, STEPS, asked_for, found_from_anywhere, in_order, matrix, solved, upper

from dpplan.accounting.pairs import correlated, participation_sensitivity, tree_sensitivity
from dpplan.accounting.pairs.participation_sensitivity import Sensitivity
from dpplan.errors import NotApplicable, Unreachable
from dpplan.mechanism import Gaussian, Mechanism
from dpplan.mechanism.correlated import ToeplitzNoise, TreeAggregation
from dpplan.sampling import CyclicPoisson, FixedSize, Poisson, Sampling, Shuffle
from dpplan.solve.participations import PARTICIPATIONS


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("separation", [1, 2, 4, 7, 30])
def test_no_sensitivity_falls_as_participations_rise(
    name: str, separation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor where quicker bounds take over from some number on."""
    capped = -(-STEPS // separation)  # so many steps are so far apart, and more participations are no others

    def rising() -> list[Sensitivity]:
        return [correlated.sensitivity(NOISES[name], STEPS, most, separation) for most in range(1, STEPS + 3)]

    for squares in in_order(rising, monkeypatch):
        assert {*squares[capped - 1 :]} == {squares[capped - 1]}


@pytest.mark.parametrize("name", NOISES)
def test_the_largest_number_that_meets_the_target_is_found(name: str) -> None:
    """The same as by trying all, from whichever number the phase says."""
    mechanism = dataclasses.replace(NOISES[name], separation=2)
    said = [dataclasses.replace(mechanism, participations=most) for most in range(1, 12)]
    costs = [upper(each) for each in said]
    for most in (1, 4, 10):
        target = costs[most - 1] * (1 + 1e-6)  # met by so many, and by those that cost no more
        expected = max(at for at, cost in enumerate(costs, 1) if cost <= target)
        beyond = expected + 1 if expected < 11 else None
        found_from_anywhere(PARTICIPATIONS, said, costs, target, expected, beyond)


def test_one_that_is_too_many_is_said() -> None:
    with pytest.raises(Unreachable, match=r"ε = 0.5 is not met at one participation of train, and the plan still"):
        solved(PARTICIPATIONS, TreeAggregation(9.0), 0.5)


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
    made = solved(PARTICIPATIONS, TreeAggregation(200.0, participations=9_999, separation=separation), 50.0)
    assert made.alone is not None
    assert (made.alone.value, made.alone.beyond, made.alone.spends) == (most, None, None)
    assert told in made.alone.remark


def test_no_more_are_tried_than_a_mechanism_takes() -> None:
    made = solved(PARTICIPATIONS, ToeplitzNoise(1e6, bands=1), 50.0, steps=30_000)
    assert made.alone is not None and (made.alone.value, made.alone.beyond) == (10_000, None)
    assert made.alone.remark == "the target is met at all participations that are tried, up to 10000"


def test_where_nothing_is_known_of_more_than_one_that_is_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """No target is known to be met there, and nothing is said of what it spends."""
    monkeypatch.setattr(participation_sensitivity, "LONGEST", 10)
    made = solved(PARTICIPATIONS, ToeplitzNoise(9.0, bands=STEPS), 50.0)
    assert made.alone is not None
    assert (made.alone.value, made.alone.beyond, made.alone.spends) == (1, 2, None)


def test_where_there_is_no_figure_at_all_why_is_said() -> None:
    with pytest.raises(NotApplicable, match="the strategy is for 21 steps"):
        solved(PARTICIPATIONS, matrix(4, signed=False), 5.0, steps=22)


def test_a_tree_is_not_added_up_for_more_than_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes the longer the more participations there are."""
    tried: list[int] = []
    tree: Callable[..., participation_sensitivity.Sensitivity] = tree_sensitivity.tree
    monkeypatch.setattr(
        tree_sensitivity,
        "tree",
        lambda *given: tried.append(given[1]) or tree(*given),  # type: ignore[func-returns-value]
    )
    made = solved(PARTICIPATIONS, TreeAggregation(50.0), 9.0, steps=4096)
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
    asked_for(PARTICIPATIONS, mechanism, sampling, told)
