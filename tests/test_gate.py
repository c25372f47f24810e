"""Limits and claims: what passes, and that nothing unproven does."""

import math

import pytest

from dpplan.accounting.bound import Bound, Guarantee
from dpplan.plan import Plan, Settings
from dpplan.render import limits
from dpplan.solve import candidate_values
from dpplan.solve.search import Evaluator
from dpplan.verdict import Passage, Standing, hold, judge

ASSUMED = Plan.from_rate(1.0, 0.1, 1).assumptions


def certified(lower: float, upper: float) -> Bound:
    return Bound("epsilon", lower, upper, Guarantee.CERTIFIED, "exact", ASSUMED)


UPPER = Bound("epsilon", None, 2.0, Guarantee.UPPER, "rdp", ASSUMED)
LOWER = Bound("epsilon", 2.0, None, Guarantee.LOWER, "some", ASSUMED)
ESTIMATE = Bound("epsilon", None, None, Guarantee.ESTIMATE, "gdp", ASSUMED, estimate=2.0)
NO_NUMBER = Bound("epsilon", None, None, Guarantee.ESTIMATE, "gdp", ASSUMED, estimate=math.nan)


@pytest.mark.parametrize(
    ("bound", "limit", "accepted", "passage"),
    [
        (certified(1.9, 2.0), 2.0, False, Passage.WITHIN),
        (certified(1.9, 2.0), 1.95, False, Passage.EXCEEDS),
        (certified(1.9, 2.0), 1.5, False, Passage.EXCEEDS),
        (certified(1.9, math.inf), 1e300, False, Passage.EXCEEDS),
        (UPPER, 2.0, False, Passage.WITHIN),
        (UPPER, 1.9, True, Passage.EXCEEDS),
        (LOWER, 2.1, False, Passage.UNPROVEN),
        (LOWER, 2.1, True, Passage.UNPROVEN),
        (LOWER, 1.9, True, Passage.EXCEEDS),
        (ESTIMATE, 2.1, False, Passage.UNPROVEN),
        (ESTIMATE, 2.0, False, Passage.UNPROVEN),
        (ESTIMATE, 2.1, True, Passage.WITHIN),
        (ESTIMATE, 1.9, False, Passage.EXCEEDS),
        (ESTIMATE, 1.9, True, Passage.EXCEEDS),
        (NO_NUMBER, 2.1, True, Passage.EXCEEDS),
    ],
)
def test_a_limit_is_met_by_what_is_proven_and_nothing_else(
    bound: Bound, limit: float, accepted: bool, passage: Passage
) -> None:
    assert hold(bound, limit, accepted) is passage


@pytest.mark.parametrize(
    ("claimed", "bound", "standing"),
    [
        (2.0, certified(1.9, 2.0), Standing.STANDS),
        (math.nextafter(2.0, 0), certified(1.9, 2.0), Standing.UNCERTAIN),
        (1.9, certified(1.9, 2.0), Standing.UNCERTAIN),
        (math.nextafter(1.9, 0), certified(1.9, 2.0), Standing.REFUTED),
        (math.nan, certified(1.9, 2.0), Standing.UNCERTAIN),
        (2.0, UPPER, Standing.STANDS),
        (0.1, UPPER, Standing.UNCERTAIN),
        (9.0, LOWER, Standing.UNCERTAIN),
        (1.9, LOWER, Standing.REFUTED),
        (9.0, ESTIMATE, Standing.UNCERTAIN),
        (0.1, ESTIMATE, Standing.UNCERTAIN),
    ],
)
def test_a_claim_stands_or_falls_by_what_is_proven(claimed: float, bound: Bound, standing: Standing) -> None:
    assert judge(claimed, bound) is standing


@pytest.mark.parametrize("limit", [1.0, 2.3, 2.38168, 2.3816897, 2.38168972612, 2.3816897261299])
def test_what_exceeds_a_limit_is_shown_above_it(limit: float) -> None:
    said = limits.exceeded(certified(2.38168972613, 2.38168972615), 1e-5, limit)
    assert limit < float(said.split()[2]) <= 2.38169
    if said.startswith("ε ≥"):
        assert float(said.split()[2]) <= 2.38168972613


def test_a_limit_inside_the_interval_is_shown_inside_it() -> None:
    said = limits.exceeded(certified(2.38168972613, 2.38168972615), 1e-5, 2.38168972614)
    assert "nor to exceed it: 2.38168972613 ≤ ε ≤ 2.38168972615." in said


def test_a_search_is_not_ended_by_a_lower_bound() -> None:
    candidates = candidate_values.noise(Settings(sample_rate=0.1, steps=1))
    assert Evaluator(candidates, lambda index: LOWER, 3.0).gap(0) == math.inf
    assert Evaluator(candidates, lambda index: UPPER, 3.0).gap(0) <= 0
