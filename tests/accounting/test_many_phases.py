"""Plans of many distinct phases: what is done for all of them together, against what is done one by one."""

import math
import random
from itertools import pairwise

import numpy as np
import pytest

from dpplan.accounting import rdp
from dpplan.accounting.exact import event_lower_bound, invert, rdp_cross_check
from dpplan.accounting.exact.contour import composed_loss, many_plans, placement, tail_decay, transform_quadrature
from dpplan.accounting.exact.contour.composed_loss import Measure
from dpplan.accounting.exact.contour.delta_interval import Chernoff
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.tail_decay import Decay, Known
from dpplan.accounting.exact.event_lower_bound import EventBound
from dpplan.accounting.plan_pairs import SampledGaussian, dominating_pairs
from dpplan.plan import Plan

PHASES = 60


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"):
        yield


def _rows(count: int = PHASES) -> list[tuple[float, float, int]]:
    rng = random.Random(3)
    return [(rng.uniform(0.7, 4.0), 10.0 ** rng.uniform(-4.0, -1.0), rng.randint(1, 40)) for _ in range(count)]


def test_the_interval_meets_that_of_phases_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps.of(_rows())
    together = invert.epsilon_ends(steps, Direction.REMOVE, 1e-5)
    for module in (composed_loss, tail_decay, event_lower_bound):
        monkeypatch.setattr(module, "MANY", 10**6)
    monkeypatch.setattr(transform_quadrature, "MANY_ROWS", 10**6)
    apart = invert.epsilon_ends(steps, Direction.REMOVE, 1e-5)
    assert max(together.lower, apart.lower) <= min(together.upper, apart.upper)
    assert together.relative_width <= 1e-9


def test_lines_are_the_lines_of_the_rows() -> None:
    law, _ = Measure(Steps.of(_rows()), Direction.REMOVE).laws(np.array([2.0]), 40.0)
    u = np.linspace(0.0, 40.0, 90)
    modulus, lag = law.lines(u)
    for row in range(0, PHASES, 7):
        expected = law.row_line(row, u)
        assert modulus[row] == pytest.approx(expected[0], rel=1e-10, abs=1e-14)
        assert lag[row] == pytest.approx(expected[1], rel=1e-10, abs=1e-13)


@pytest.mark.slow
def test_decay_of_all_is_above_the_characteristic_function() -> None:
    steps = Steps.of(_rows())
    law, _ = Measure(steps, Direction.REMOVE).laws(np.array([2.0]), 500.0)
    known = Known(law.log_g, law.relative_error(np.zeros(1)), law.low, law.high, law.strip.log_variation(law.range))
    bounds = Decay(steps, 3.0, known, None)
    edges = np.geomspace(0.5, 400.0, 40)
    u = np.arange(0.0, 500.0, 0.25)
    modulus, lag = law.lines(u)
    size = np.log(np.maximum(np.hypot(1.0 - modulus, u * law.slope - lag), 1e-300))
    near, far = bounds._near_of_all(edges[:-1], edges[1:]), bounds._far_of_all(edges)
    assert near.min() < -0.02 and far.min() < -0.02  # they say something
    for k, (low, high) in enumerate(pairwise(edges)):
        within = size[:, (u >= low) & (u <= high)]
        assert np.all(within <= near[:, [k]] + 1e-9)
        assert np.all(size[:, u >= low] <= far[:, [k]] + 1e-9)


def test_event_of_all_is_that_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps.of(_rows())
    together = EventBound(steps).epsilon(1e-5)
    monkeypatch.setattr(event_lower_bound, "MANY", 10**6)
    assert together == pytest.approx(EventBound(steps).epsilon(1e-5), rel=1e-12)


def test_phases_taken_as_one_spend_no_less_at_any_order() -> None:
    phases = tuple(SampledGaussian(sigma, q, steps) for sigma, q, steps in _rows(400))
    fewer, orders = rdp_cross_check._fewer(phases), np.array([1.01, 2.0, 7.5, 40.0])
    assert len(fewer) <= rdp_cross_check.MANY
    assert sum(phase.steps for phase in fewer) == sum(phase.steps for phase in phases)
    spent, held = (sum(phase.steps * rdp.divergence(phase, orders) for phase in kind) for kind in (phases, fewer))
    assert np.all(held >= spent * (1.0 - 1e-12))
    assert rdp_cross_check._fewer(phases[:50]) == phases[:50]


def test_moments_by_the_quicker_rule_are_bounds_and_near() -> None:
    steps = Steps.of(_rows())
    for direction in Direction:
        tilts = np.array((0.3, 2.0, 9.0))
        bounds = many_plans.log_moments_together(steps, direction, tilts)
        known = Measure(steps, direction).moments(tilts).rough
        assert np.all(bounds >= known)
        assert np.all(bounds <= known + 1e-3 * (1.0 + known))


def test_only_aliases_go_by_the_quicker_rule() -> None:
    steps = Steps.of(_rows())
    saddle = placement.plan_saddles(steps, Direction.REMOVE, math.log(1e-5)).for_log_delta(math.log(1e-5))
    contour = placement.plain(steps, Direction.REMOVE, saddle, saddle.epsilon, math.log(1e-5))
    tilts = contour.table.tilts[:-1]  # and 0
    own = Measure(steps, Direction.REMOVE).moments(tilts)
    assert len(tilts) > 1
    assert contour.table.log_tops[0] == pytest.approx(Chernoff.of(tilts, own.logs).log_tops[0], rel=1e-12)
    assert np.all(contour.table.log_tops[1:-1] >= Chernoff.of(tilts, own.rough).log_tops[1:])


def test_a_pair_of_many_phases_is_made_once() -> None:
    plan = Plan.from_rate(1.1, 0.01, 5)
    (first, _), (second, _) = (dominating_pairs(plan, "exact")[0] for _ in range(2))
    assert first is second
