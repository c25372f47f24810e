"""Many plans' contours at once, row by row against one plan's own, and where noise is large against a Gaussian."""

import math

import numpy as np
import pytest

from dpplan.accounting import exact
from dpplan.accounting.exact.contour import many_plans
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.plan import Plan

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

ROWS = [(0.8, 0.01, 300), (1.0, 0.02, 1000), (1.5, 0.05, 800), (3.0, 0.1, 4000)]
STEPS = Steps.of(ROWS)
DELTA = 1e-6
AIM = np.array([exact.epsilon(Plan.from_rate(*row), DELTA).value for row in ROWS])


def test_rows_are_taken_as_asked() -> None:
    some = many_plans.rows_of(STEPS, np.array([2, 0]))
    assert some.sigma[:, 0].tolist() == [1.5, 0.8]
    assert some.q[:, 0].tolist() == [0.05, 0.01]
    assert some.count[:, 0].tolist() == [800.0, 300.0]


def test_where_noise_is_large_the_saddle_is_that_of_a_gaussian() -> None:
    """T·K'(t) = ε + 1/t + 1/(1 + t); of many small losses K' = (2t + 1)·μ²/2, μ² = T·q²·(e^(1/σ²) - 1)."""
    small = Steps.of([(20.0, 0.01, 400_000), (40.0, 0.02, 400_000)])
    mus = np.sqrt(small.count * small.q**2 * np.expm1(small.sigma**-2.0))[:, 0]
    epsilon = 5.0 * mus
    tilt, spread = many_plans.saddles(small, Direction.REMOVE, epsilon, math.log(DELTA))
    for t, s, mu, e in zip(tilt, spread, mus, epsilon, strict=True):
        assert abs((2.0 * t + 1.0) * mu * mu / 2.0 - (e + 1.0 / t + 1.0 / (1.0 + t))) <= 0.3 * math.sqrt(s)
        assert s == pytest.approx(mu * mu + t**-2 + (1.0 + t) ** -2, rel=0.03)


@pytest.mark.parametrize("direction", Direction)
def test_chernoff_is_an_upper_bound_and_not_far(direction: Direction) -> None:
    tilt, _ = many_plans.saddles(STEPS, direction, AIM, math.log(DELTA))
    found = many_plans.log_chernoff(STEPS, direction, tilt, AIM)
    if direction is Direction.REMOVE:  # the larger of the two
        assert np.all(found >= math.log(DELTA) - 1e-6)
    assert np.all(found <= math.log(DELTA) + 4.0)


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.1])
def test_the_sums_hold_the_delta_of_each_plan(factor: float) -> None:
    """In the direction that costs more, at the ε they were made for and around it."""
    place = many_plans.saddles(STEPS, Direction.REMOVE, AIM, math.log(DELTA))
    seen = set()
    for part in many_plans.sums(STEPS, Direction.REMOVE, place, (AIM, math.log(DELTA)), math.log(1e-8)):
        epsilon = factor * AIM[part.rows]
        found, beside = part.at(epsilon), part.at(epsilon * (1.0 + 1e-5))
        for at, row in enumerate(part.rows.tolist()):
            alone = exact.delta(Plan.from_rate(*ROWS[row]), float(epsilon[at]))
            assert alone.lower is not None
            assert alone.upper is not None
            assert found.lower[at] <= alone.upper
            assert alone.lower <= found.upper[at]
            if factor == 1.0:
                assert found.upper[at] - found.lower[at] <= 1e-6 * alone.value
            slope = (beside.estimate[at] - found.estimate[at]) / (1e-5 * epsilon[at])
            assert found.slope[at] == pytest.approx(slope, rel=1e-2)
            seen.add(row)
    assert seen == {0, 1, 2, 3}
