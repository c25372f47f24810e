"""Replacements by two removals: held against figures known otherwise, and a normal law where rates are tiny."""

import math
from dataclasses import replace

import pytest
from mpmath import mp, mpf
from scipy import optimize, special

from dpplan import solve
from dpplan.accounting import exact, rdp
from dpplan.accounting.exact import removed_then_added
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.exact.proven_ends import Ends
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT
from dpplan.errors import NotCertified
from dpplan.mechanism import Gaussian, Laplace
from dpplan.plan import Phase, Plan, Settings
from dpplan.sampling import FixedSize, Poisson

DELTA = 1e-9


def replacing(sample_rate: float, steps: int, noise: float = 1.64) -> Plan:
    return Plan((Phase(Gaussian(noise), Poisson(sample_rate), steps),), REPLACE_ONE)


def normal_epsilon(mu: float, delta: float) -> float:
    """Of a loss that is normal with variance mu²."""

    def gap(x: float) -> float:
        return special.ndtr(mu / 2 - x / mu) - math.exp(x) * special.ndtr(-mu / 2 - x / mu) - delta

    return optimize.brentq(gap, 0.0, 20.0 * mu, xtol=1e-18)


@pytest.mark.parametrize(("rate", "steps"), [(1e-5, 300_000), (1e-4, 30_000), (1e-3, 2_000)])
def test_figures_that_a_contour_knows_lie_between_them(rate, steps):
    plan = replacing(rate, steps)
    alone = removed_then_added.removal(plan)
    assert alone is not None and alone.adjacency == ADD_REMOVE

    def ends(ask):
        return lambda at: ((found := ask(alone, at)).lower, found.upper)

    known = exact.epsilon(plan, DELTA)
    lower, upper = removed_then_added.epsilon_between(DELTA, ends(exact.epsilon))
    assert lower <= known.lower <= known.upper <= upper <= 2.4 * lower
    known = exact.delta(plan, 0.02)
    lower, upper = removed_then_added.delta_between(0.02, ends(exact.delta))
    assert lower <= known.lower <= known.upper <= upper


@pytest.mark.parametrize(("rate", "steps"), [(1.0904633576031e-11, 2_799_909_702), (1e-10, 10**10), (1e-9, 10**9)])
def test_many_steps_of_tiny_rates_hold_the_normal_law(monkeypatch, rate, steps):
    """And no lattice is asked, which takes seconds to prove next to nothing."""
    monkeypatch.delattr(Composition, "epsilon")
    mu = rate * math.sqrt(4.0 * steps * math.sinh(1.64**-2))
    found = exact.epsilon(replacing(rate, steps), DELTA)
    assert found.lower <= normal_epsilon(mu, DELTA) <= found.upper <= 2.5 * found.lower
    assert "removed" in found.why


@pytest.mark.slow
def test_a_budget_of_tiny_rates_lasts_for_all_steps_that_are_tried():
    settings = Settings(noise_multiplier=1.64, sample_rate=1e-11, adjacency=REPLACE_ONE)
    found = solve.steps(settings, 3.0, DELTA)
    assert found.value == solve.MOST_STEPS and found.spent.upper < 0.2
    assert "not exhausted" in found.remarks[0]


def test_a_removal_that_costs_much_proves_nothing():
    assert removed_then_added.epsilon_between(DELTA, lambda delta: (0.5, 0.7)) == (0.5, math.inf)
    assert removed_then_added.epsilon_between(DELTA, lambda delta: (0.0, math.inf)) == (0.0, math.inf)
    assert removed_then_added.delta_between(3.0, lambda epsilon: (0.1, 0.2)) == (0.1, 1.0)


def test_what_two_removals_prove_is_what_group_privacy_says():
    """A removal that is (ε, δ/(1 + e^ε)) makes a replacement (2ε, δ); the cost at less than that is not taken."""
    asked: list[float] = []

    def ask(delta: float) -> tuple[float, float]:
        asked.append(delta)
        return 0.1, 0.1 if delta == DELTA else 0.12

    assert removed_then_added.epsilon_between(DELTA, ask) == (0.1, 0.24)
    assert (1.0 + math.exp(0.12)) * asked[-1] <= DELTA
    assert removed_then_added.delta_between(0.2, lambda _: (0.0, 1e-3))[1] == pytest.approx(
        (1.0 + math.exp(0.1)) * 1e-3
    )


def test_other_plans_are_not_seen_as_removals():
    plan = replacing(0.1, 5)
    assert removed_then_added.removal(replace(plan, adjacency=ZERO_OUT)) is None
    assert removed_then_added.removal(Plan((Phase(Gaussian(1.0), FixedSize(10, 100), 5),), REPLACE_ONE)) is None
    assert removed_then_added.removal(Plan((Phase(Laplace(1.0), Poisson(0.1), 5),), REPLACE_ONE)) is None
    assert removed_then_added.removal(replace(plan, privacy_unit="user", max_per_user=2)) is None


@pytest.mark.parametrize("module", ["exact", "rdp"])
def test_who_knows_nothing_of_a_removal_takes_no_figure_away(module):
    def refused(*_: object) -> object:
        raise NotCertified("nothing")

    plan = replacing(1e-11, 10**8)
    ends = Ends(0.0, 7.0, "before")
    asked = (removed_then_added.epsilon_between, refused, refused if module == "rdp" else rdp.epsilon)
    found = exact._without_lattice(ends, plan, DELTA, asked)
    assert found.upper == 7.0 if module == "rdp" else found.upper < 1.0


def one_step(means: tuple[int, int], rate: float, epsilon: float) -> mpf:
    """H of one sampled step of σ = 1, whose outputs go to these means where the record is drawn, in mpmath: the ratio
    of the two mixtures rises with the output, or falls."""
    q, level = mpf(rate), mp.e ** mpf(epsilon)
    one, other = means

    def density(x: mpf, mean: int) -> mpf:
        return (1 - q) * mp.npdf(x) + q * mp.npdf(x - mean)

    sign = 1 if one > other else -1

    def above(x: mpf) -> bool:
        return density(sign * x, one) > level * density(sign * x, other)

    low, high = mpf(-30), mpf(30)
    if not above(high):
        return mpf(0)
    for _ in range(120):
        middle = (low + high) / 2
        low, high = (low, middle) if above(middle) else (middle, high)

    def tail(mean: int) -> mpf:
        return (1 - q) * mp.ncdf(-high) + q * mp.ncdf(sign * mean - high)

    return tail(one) - level * tail(other)


@pytest.mark.parametrize(("rate", "epsilon"), [(0.01, 0.02), (0.1, 0.3), (1e-4, 1e-3)])
def test_a_step_by_mpmath_lies_between_what_mpmath_says_of_removals(rate, epsilon):
    with mp.workdps(40):

        def removal(at: float) -> tuple[float, float]:
            found = float(max(one_step((1, 0), rate, at), one_step((0, 1), rate, at)))
            return found * (1.0 - 1e-12), found * (1.0 + 1e-12)

        truth = one_step((1, -1), rate, epsilon)
        lower, upper = removed_then_added.delta_between(epsilon, removal)
        assert 0 < lower <= truth <= upper

        def epsilon_of(delta: float) -> tuple[float, float]:
            low, high = 0.0, 5.0
            for _ in range(60):
                middle = 0.5 * (low + high)
                low, high = (middle, high) if removal(middle)[0] > delta else (low, middle)
            return low * (1.0 - 1e-9), high * (1.0 + 1e-9)

        lower, upper = removed_then_added.epsilon_between(float(truth), epsilon_of)
        assert 0 < lower <= epsilon <= upper
