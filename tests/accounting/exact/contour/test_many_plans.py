"""Many plans' contours at once, row by row against one plan's own, and where noise is large against a Gaussian."""

import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpf

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


@pytest.mark.parametrize(
    ("row", "factor"),
    [pytest.param(1, 1.0, marks=pytest.mark.slow), (3, 1.0), pytest.param(3, 1.1, marks=pytest.mark.slow)],
)
def test_the_sums_hold_a_contour_in_mpmath(row: int, factor: float) -> None:
    """A plain trapezoid sum along the same line, in 30 digits; at the ε it was made for and beyond."""
    steps, aim = many_plans.rows_of(STEPS, np.array([row])), AIM[[row]]
    tilt, spread = many_plans.saddles(steps, Direction.REMOVE, aim, math.log(DELTA))
    sigma, q, count = ROWS[row]
    (part,) = many_plans.sums(steps, Direction.REMOVE, (tilt, spread), (aim, math.log(DELTA)), math.log(1e-8))
    found = part.at(factor * aim)
    with mp.workdps(30):
        epsilon = float(factor * aim[0])
        truth = oracle.contour_delta(q, sigma, count, epsilon, float(tilt[0]), math.sqrt(float(spread[0])))
        assert found.lower[0] <= truth <= found.upper[0]
        assert found.upper[0] - found.lower[0] <= 1e-6 * truth
        assert mp.log(truth) <= many_plans.log_chernoff(steps, Direction.REMOVE, tilt, factor * aim)[0]


@pytest.mark.parametrize(("factor", "sign"), [(1.02, -1.0), pytest.param(0.9, 1.0, marks=pytest.mark.slow)])
def test_sums_that_are_made_rough_say_by_how_much(factor: float, sign: float) -> None:
    """As before, of so few frequencies that the estimate is off by thousandths: above at one ε, below at another."""
    steps, aim, (sigma, q, count) = many_plans.rows_of(STEPS, np.array([0])), AIM[[0]], ROWS[0]
    place = many_plans.saddles(steps, Direction.REMOVE, aim, math.log(DELTA))
    (part,) = many_plans.sums(steps, Direction.REMOVE, place, (aim, math.log(DELTA)), math.log(0.1))
    found = part.at(factor * aim)
    with mp.workdps(25):
        tilt, scale = float(place[0][0]), math.sqrt(float(place[1][0]))
        truth = oracle.contour_delta(q, sigma, count, float(factor * aim[0]), tilt, scale)
        assert found.lower[0] <= truth <= found.upper[0]
        assert sign * (found.estimate[0] / truth - 1) >= 1e-3
        assert found.upper[0] <= 1.2 * truth and found.lower[0] >= 0.8 * truth


def test_moments_of_several_rows_together_are_their_sums_in_mpmath() -> None:
    """Of whole tilts, by the binomial theorem: above, by a rounding or little more; and Chernoff's bound with them."""
    tilts = [1.0, 3.0, 12.0]
    found = many_plans.log_moments_together(STEPS, Direction.REMOVE, np.array(tilts))
    for tilt, above in zip(tilts, found.tolist(), strict=True):
        with mp.workdps(40):
            each = [count * mp.log1p(oracle.whole_excess_moment(q, s, int(tilt) + 1)) for s, q, count in ROWS]
            truth = mp.fsum(each)
            assert truth <= above <= truth * (1 + mpf(10) ** -7)
            # δ <= M(t)·e^(-t·ε)·t^t / (1 + t)^(1 + t), Chernoff's with the best e^(ε - y) in it.
            bound = truth - tilt * 60 + tilt * mp.log(mpf(tilt)) - (1 + tilt) * mp.log(1 + mpf(tilt))
            assert (
                bound
                <= many_plans.log_chernoff_together(STEPS, Direction.REMOVE, tilt, 60.0)
                <= bound + 1e-7 * truth + 1e-9
            )


def test_the_largest_loss_is_the_logarithm_in_mpmath() -> None:
    """Of the add direction, -T·log(1 - q): above it, by a rounding."""
    with mp.workdps(25):
        for (_, q, count), most in zip(ROWS, many_plans.largest_added_losses(STEPS).tolist(), strict=True):
            largest = -count * mp.log1p(-mpf(q))
            assert largest <= most <= largest * (1 + mpf(10) ** -13)


@pytest.mark.slow
@pytest.mark.parametrize("row", [(5.0, 0.2, 2), (0.5, 1e-3, 2)])
def test_what_bounds_delta_at_0_holds_two_steps_in_mpmath(row: tuple[float, float, int]) -> None:
    with mp.workdps(25):
        truth = oracle.two_step_delta(row[1], row[0], 0.0)
        assert truth <= many_plans.deltas_at_zero_above(Steps.of([row]))[0] <= 2 * truth
