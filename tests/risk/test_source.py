"""Where trade-offs come from: both ends of δ on both sides of 0, the larger of two directions, what is certified."""

import math

import mpmath as mp
import numpy as np
import pytest

from dpplan import accounting, risk
from dpplan.accounting.bound import Guarantee
from dpplan.accounting.exact.proven_deltas import KNOWN, NARROWEST, Width
from dpplan.accounting.numerics import Array
from dpplan.mechanism import BestOfTrials, Exponential, Gaussian, Laplace
from dpplan.plan import Phase, Plan
from dpplan.risk import source as sources
from dpplan.risk.source import (
    ManyEnds,
    OtherDeltas,
    Source,
    lessened,
    source_of_figure,
    source_of_gdp,
    source_of_plan,
    source_of_stated,
)
from dpplan.sampling import Poisson

# δ of each direction where its e^ε is 1, 2, 4 and 8: neither is the larger everywhere.
EPSILONS = np.log([1.0, 2.0, 4.0, 8.0])
DELTAS = (np.array([0.5, 0.3, 0.02, 0.01]), np.array([0.5, 0.2, 0.1, 0.001]))


def two_directions(direction: int, epsilons: Array, enough: Width) -> ManyEnds:
    """Where no more than what is known is asked for, that is a wide interval."""
    found = np.interp(epsilons, EPSILONS, DELTAS[direction])
    return (np.zeros(len(epsilons)), 1.2 * found) if enough is KNOWN else (found, found)


SOURCE = Source(two_directions, Guarantee.CERTIFIED, "made up", "nothing")


def test_of_two_directions_the_larger_counts_wherever_it_is_the_larger() -> None:
    low, high = SOURCE.larger(EPSILONS)
    assert low.tolist() == high.tolist() == np.maximum(*DELTAS).tolist()
    low, high = SOURCE.larger(-EPSILONS[1:])
    ends = [SOURCE.deltas(direction, -EPSILONS[1:]) for direction in (0, 1)]
    assert low.tolist() == np.maximum(ends[0][0], ends[1][0]).tolist()
    assert high.tolist() == np.maximum(ends[0][1], ends[1][1]).tolist()


@pytest.mark.parametrize("direction", [0, 1])
def test_below_zero_the_other_direction_says_both_ends_whatever_the_roundings(direction: int) -> None:
    xs = np.random.default_rng(5).uniform(0.0, 2.0, 300)
    with mp.workdps(40):
        known = two_directions(1 - direction, xs, NARROWEST)[0]
        low, high = SOURCE.deltas(direction, -xs)
        for x, other, below, above in zip(xs.tolist(), known.tolist(), low.tolist(), high.tolist(), strict=True):
            truth = 1 - mp.exp(-mp.mpf(x)) * (1 - mp.mpf(other))
            assert below <= truth <= above
            assert above - below < 1e-14


def test_what_is_implied_is_an_upper_end_whatever_the_roundings() -> None:
    """Closed forms in many digits."""
    for x in np.random.default_rng(6).uniform(0.0, 1.9, 100).tolist():
        with mp.workdps(40):
            stated, tail = mp.mpf(1e-5), lambda at: mp.erfc(at / mp.sqrt(2)) / 2
            rest = (mp.exp(2) - mp.exp(mp.mpf(x))) / (1 + mp.exp(2))
            truth = stated + (1 - stated) * rest
            gaussian = tail(mp.mpf(x) / 1.5 - 0.75) - mp.exp(mp.mpf(x)) * tail(mp.mpf(x) / 1.5 + 0.75)
        for source, least in ((source_of_stated(2.0, 1e-5), truth), (source_of_gdp(1.5), gaussian)):
            low, high = source.delta(0, x)
            assert low == 0.0 and least <= high <= least * (1 + 1e-8)
            assert source.guarantee is Guarantee.UPPER


def test_a_plan_with_a_search_is_known_from_above_alone() -> None:
    train = Phase(Gaussian(2.0), Poisson(1.0), 1)
    assert source_of_plan(Plan((train,))).guarantee is Guarantee.CERTIFIED
    best = Phase(BestOfTrials("geometric", 3.0, (train,)), Poisson(1.0), 1)
    assert source_of_plan(Plan((best,))).guarantee is Guarantee.UPPER


CHOICES = Plan((Phase(Exponential(0.1), Poisson(1.0), 20),))


def test_where_another_proof_of_delta_is_less_it_is_that_and_the_lower_end_stays() -> None:
    source = source_of_figure(CHOICES, accounting.epsilon(CHOICES, 1e-5, accounting.LEAST))
    xs = np.array([0.0])
    (low, high), (own_low, own_high) = lessened(source).larger(xs), source.larger(xs)
    assert low.tolist() == own_low.tolist()
    least = [accounting.delta(CHOICES, x, accounting.LEAST).upper for x in xs.tolist()]
    rdp = [accounting.delta(CHOICES, x, "rdp").upper for x in xs.tolist()]
    assert high.tolist() == np.minimum(own_high, rdp).tolist()
    assert least[0] == high[0] < own_high[0]


@pytest.mark.slow
def test_chances_of_an_attacker_are_by_the_lesser_proof_at_every_epsilon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_ASKED", 40)
    bound = accounting.epsilon(CHOICES, 1e-5, accounting.LEAST)
    question = risk.AttackQuestion(rates=(0.01,))
    by_exact = risk.assess(source_of_plan(CHOICES), question)
    found = risk.assess(source_of_figure(CHOICES, bound), question)
    assert found.advantage.upper == accounting.delta(CHOICES, 0.0, accounting.LEAST).upper
    assert found.advantage.lower == by_exact.advantage.lower
    assert found.accuracy.upper < by_exact.accuracy.upper
    assert found.rates[0].upper < by_exact.rates[0].upper
    assert found.mu is not None and by_exact.mu is not None and found.mu < by_exact.mu
    assert found.trade_off.source.name == "the plan's certified profile, and δ by rdp where that is less"


@pytest.mark.parametrize("mechanism", [Gaussian(2.0), Laplace(0.5)])
def test_what_is_known_closely_stays_to_the_last_bit(mechanism: Gaussian | Laplace) -> None:
    plan, question = Plan((Phase(mechanism, Poisson(1.0), 1),)), risk.AttackQuestion(rates=(0.01,))
    found = risk.assess(source_of_figure(plan, accounting.epsilon(plan, 1e-5, accounting.LEAST)), question)
    alone = risk.assess(source_of_plan(plan), question)
    assert (found.advantage, found.rates, found.mu) == (alone.advantage, alone.rates, alone.mu)
    assert found.trade_off.source.name == "the plan's certified profile"


def test_a_chord_keeps_its_digits_next_to_a_place_far_below_the_one_before() -> None:
    """Where one end is 3.1e-2, the other 4.9e-20, and ε one unit in the last place before it."""
    other = OtherDeltas(Plan.from_rate(1.0, 1.0, 1), "")
    left, right = 0.5, 0.5878546485645438
    other._places = [left, right]
    other._found = {left: 0.030956699607749272, right: 4.915174579190469e-20}
    epsilon = math.nextafter(right, 0.0)
    with mp.workdps(60):
        share = mp.expm1(mp.mpf(epsilon) - left) / mp.expm1(mp.mpf(right) - left)
        exact = (1 - share) * mp.mpf(other._found[left]) + share * mp.mpf(other._found[right])
    assert exact <= other._between(epsilon) <= exact * (1 + mp.mpf(1e-11))


def test_between_the_places_that_were_asked_for_a_chord_is_above(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_ASKED", 4)
    plan = Plan((Phase(Laplace(0.5), Poisson(1.0), 5),))
    other = OtherDeltas(plan, "")
    for x in (0.5, 0.0, 2.4, 1.5):
        other(x)
    for x in (0.1, 1.0, 1.9, 2.3, 3.0):
        truth = accounting.delta(plan, x).lower
        assert truth is not None and truth <= other(x) <= other(0.0)
    assert other(1.0) < other(0.5)
