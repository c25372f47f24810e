"""Proofs in ball arithmetic: against mpmath, published digits, and each other; and each error bound by itself.

Nothing in _Plain comes from dpplan: the same integral by trapezoid rules in mpmath, without any bound.
"""

import csv
import math
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import oracle
import pytest
from flint import acb, arb, ctx
from mpmath import mp, mpc, mpf

from dpplan.accounting import Bound, Guarantee, exact
from dpplan.accounting.exact import prove
from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.exact.prove import (
    aliasing,
    contour_plan,
    dominant_direction,
    float_moments,
    path_search,
    quadrature_error,
    tail_decay,
    transform,
)
from dpplan.accounting.exact.prove.balls import working_precision
from dpplan.accounting.exact.prove.contour import BallContour
from dpplan.errors import InternalError, UsageError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

DATA = Path(__file__).parents[1] / "data"
BITS = 160


def _plan(*rows: tuple[float, float, int]) -> Plan:
    """From (noise multiplier, sample rate, steps)."""
    return Plan(tuple(Phase(Gaussian(sigma), Poisson(q), steps) for sigma, q, steps in rows))


def _truth_rows() -> list[tuple[float, float, int, float, float]]:
    with open(DATA / "sgm_truth.csv", encoding="utf-8") as file:
        names = ("sigma", "q", "steps", "delta", "eps")
        rows = [{name: float(row[name]) for name in names} for row in csv.DictReader(file)]
    return [(row["sigma"], row["q"], int(row["steps"]), row["delta"], row["eps"]) for row in rows]


def _published_rows() -> list[tuple[float, float, int, float, str]]:
    with open(DATA / "published_points.csv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if "contour" in row["accountant"]]
    return [
        (float(row["sigma"]), float(row["q"]), int(row["steps"]), float(row["delta"]), row["value"]) for row in rows
    ]


ROWS = _truth_rows()
# Rows that take seconds: a jump decides, and thousands of frequencies are needed.
LONG = {(0.614, 1e-05, 100000), (0.3, 0.05, 100)}
QUICK = [row for row in ROWS if row[:3] not in LONG]
TRUTH_ERROR = {(8.0, 0.001, 1000): 1e-8, (0.614, 1e-05, 100000): 2e-7}  # of the file's last column


def _holds(proof: prove.Proof, value: mpf) -> bool:
    return mpf(proof.lower_digits) <= value <= mpf(proof.upper_digits)


class _Plain:
    """delta(ε) in mpmath, in the remove direction (sign = 1) or the add direction (-1)."""

    def __init__(self, row: tuple[float, float, int], tilt: float, period: float, last: float, sign: int = 1) -> None:
        sigma, q, steps = mpf(row[0]), mpf(row[1]), row[2]
        self.h = 2 * mp.pi / mpf(period)
        a = 1 + mpf(tilt) if sign > 0 else -mpf(tilt)
        # e^(-2π·(πσ²)/step) is far below the digits compared, and so is the Gaussian 16 deviations out
        step = min(sigma, sigma**2) / 8
        low, high = min(a, 0) - 16 * sigma, max(a, 0) + 16 * sigma
        x = [low + k * step for k in range(int((high - low) / step) + 1)]
        loss = [mp.log(1 - q + q * mp.exp((2 * v - 1) / (2 * sigma**2))) for v in x]
        unit = step / (sigma * mp.sqrt(2 * mp.pi))
        terms = [mpc(unit * mp.exp(a * y - v * v / (2 * sigma**2))) for v, y in zip(x, loss, strict=True)]
        turns = [mp.expj(sign * self.h * y) for y in loss]
        self.z, self.weights = [], []
        for k in range(int(last / self.h) + 1):
            z = mpc(tilt, k * self.h)
            self.z.append(z)
            self.weights.append(sum(terms) ** steps / (z * (z + 1)) * self.h / mp.pi / (2 if k == 0 else 1))
            terms = [term * turn for term, turn in zip(terms, turns, strict=True)]

    def delta(self, epsilon: mpf) -> mpf:
        return sum(w * mp.exp(-epsilon * z) for w, z in zip(self.weights, self.z, strict=True)).real

    def epsilon(self, delta: float, start: float) -> mpf:
        return mp.findroot(lambda e: mp.log(self.delta(e) / mpf(delta)), (mpf(start), mpf(start) * (1 + mpf("1e-9"))))


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize(
    ("row", "delta", "tilt", "period", "last"),
    [
        ((1.1, 0.004266666666666667, 14063), 1e-05, 6.0, 18.0, 26.0),
        ((4.0, 0.01, 10000), 1e-05, 18.0, 5.5, 62.0),
        ((0.8, 0.001, 1000000), 1e-08, 2.8, 45.0, 8.0),
        ((2.0, 0.02, 2000), 1e-50, 22.0, 11.0, 24.0),
    ],
)
def test_twenty_digits_agree_with_mpmath_on_another_contour(row, delta, tilt, period, last):
    proof = prove.epsilon(_plan(row), delta, digits=20)
    assert proof.digits >= 20
    with mp.workdps(45):
        truth = _Plain(row, tilt, period, last).epsilon(delta, float(mpf(proof.lower_digits)))
        assert _holds(proof, truth)
        assert mpf(proof.upper_digits) - mpf(proof.lower_digits) < truth * mpf("1e-20")


@pytest.mark.slow
def test_the_add_directions_delta_agrees_with_mpmath():
    row, epsilon = (1.5, 0.05, 400), 2.0
    with mp.workdps(40):
        truth = _Plain(row, 8.0, 24.0, 60.0, sign=-1).delta(mpf(epsilon))
        maker = dominant_direction.Maker(float_moments.phases_of(_plan(row)), Direction.ADD, lambda sentence: None)
        bits, chosen = maker.plan(epsilon, float(mp.log(truth)), math.log(1e-20))
        with working_precision(bits):
            ball = maker.curve(chosen).delta(arb(epsilon))
            assert ball.contains(arb(mp.nstr(truth, 40)))
            assert ball.rel_accuracy_bits() > 60


@pytest.mark.sweep(every=2, slow=("(8.0",))
@pytest.mark.parametrize("row", QUICK[::3], ids=lambda row: f"{row[:3]}")
def test_proof_has_the_digits_and_lies_inside_the_fast_interval(row):
    _check_row(*row)


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in ROWS if row not in QUICK[::3]], ids=lambda row: f"{row[:3]}")
def test_all_other_proofs_lie_inside_the_fast_interval(row):
    _check_row(*row)


def _check_row(sigma: float, q: float, steps: int, delta: float, truth: float) -> None:
    plan = _plan((sigma, q, steps))
    proof, fast = prove.epsilon(plan, delta), exact.epsilon(plan, delta)
    assert proof.digits >= 12
    assert fast.lower <= proof.bound.lower <= proof.bound.upper <= fast.upper
    assert proof.bound.value == pytest.approx(truth, rel=TRUTH_ERROR.get((sigma, q, steps), 3e-10))


@pytest.mark.parametrize("row", _published_rows()[::5], ids=lambda row: f"{row[2]}")
def test_published_twenty_digit_values_are_met_to_the_last_digit_printed(row):
    _check_published(row)


@pytest.mark.slow
@pytest.mark.parametrize("row", _published_rows(), ids=lambda row: f"{row[2]}")
def test_all_published_twenty_digit_values_are_met(row):
    _check_published(row)


def _check_published(row: tuple[float, float, int, float, str]) -> None:
    sigma, q, steps, delta, printed = row
    plan = _plan((sigma, q, steps))
    proof, fast = prove.epsilon(plan, delta), exact.epsilon(plan, delta)
    last_place = mpf(10) ** -len(printed.split(".")[1])
    assert abs(mpf(proof.lower_digits) - mpf(printed)) <= last_place
    assert fast.lower <= proof.bound.lower <= proof.bound.upper <= fast.upper


@pytest.mark.slow
def test_more_digits_are_a_narrower_interval_inside_the_wider_one():
    plan = _plan((1.0, 0.01, 10000))
    few, more, most = (prove.epsilon(plan, 1e-20, digits=digits) for digits in (4, 12, 60))
    for wide, narrow in ((few, more), (more, most)):
        assert Fraction(wide.lower_digits) <= Fraction(narrow.lower_digits)
        assert Fraction(narrow.upper_digits) <= Fraction(wide.upper_digits)
    assert (few.digits < 12, most.digits >= 60) == (True, True)


def test_delta_at_a_proven_end_is_proven_on_its_side():
    plan = _plan((1.0, 0.02, 300))
    found = prove.epsilon(plan, 1e-6, digits=9)
    assert prove.delta(plan, found.bound.upper).bound.upper <= 1e-6
    assert prove.delta(plan, found.bound.lower).bound.lower >= 1e-6


def test_ends_are_rounded_outward():
    proof = prove.epsilon(_plan((2.0, 0.01, 500)), 1e-5, digits=20)
    lower, upper = Fraction(proof.lower_digits), Fraction(proof.upper_digits)
    assert Fraction(proof.bound.lower) < lower < upper < Fraction(proof.bound.upper)
    assert proof.bound.upper == math.nextafter(proof.bound.lower, math.inf)
    assert proof.bound.guarantee is Guarantee.CERTIFIED


@pytest.mark.slow
def test_phases_in_any_order_and_split_anyhow_prove_the_same():
    whole = prove.epsilon(_plan((1.0, 0.01, 300), (3.0, 0.05, 100)), 1e-6)
    split = prove.epsilon(_plan((3.0, 0.05, 40), (1.0, 0.01, 300), (3.0, 0.05, 60)), 1e-6)
    fast = exact.epsilon(_plan((1.0, 0.01, 300), (3.0, 0.05, 100)), 1e-6)
    assert max(whole.bound.lower, split.bound.lower) <= min(whole.bound.upper, split.bound.upper)
    assert whole.digits >= 12
    assert fast.lower <= whole.bound.lower <= whole.bound.upper <= fast.upper


def test_a_phase_without_sampling_joins_sampled_ones():
    plan = _plan((20.0, 1.0, 10), (1.5, 0.02, 500))
    proof, fast = prove.epsilon(plan, 1e-6), exact.epsilon(plan, 1e-6)
    assert proof.digits >= 12
    assert fast.lower <= proof.bound.lower <= proof.bound.upper <= fast.upper


def test_unsampled_steps_are_the_gaussian_closed_form():
    proof = prove.delta(_plan((2.0, 1.0, 9), (1.0, 1.0, 4)), 3.0, digits=25)
    mu = mp.sqrt(mpf(9) / 4 + 4)  # exactly 5/2
    assert mu == 2.5
    with mp.workdps(60):
        assert _holds(proof, mp.exp(oracle.gaussian_log_delta(2.5, 3.0)))
    assert proof.digits >= 25


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(("sigma", "q", "epsilon"), [(1.0, 0.1, 0.05), (0.3, 0.01, 14.0), (5.0, 0.7, 0.0)])
def test_one_step_is_the_integral_of_what_exceeds_it(sigma, q, epsilon):
    proof = prove.delta(_plan((sigma, q, 1)), epsilon, digits=20)
    with mp.workdps(70):
        s, odds = mpf(sigma), mp.exp(mpf(epsilon))

        def ratio(x: mpf) -> mpf:
            return 1 - mpf(q) + mpf(q) * mp.exp((2 * x - 1) / (2 * s**2))

        start = mpf(1) / 2 + s**2 * mp.log((odds - 1 + mpf(q)) / mpf(q))
        excess = mp.quad(
            lambda x: (ratio(x) - odds) * mp.npdf(x, 0, s), [start + k * s for k in (0, 0.25, 0.5, 1, 2, 4, 8, 16, 24)]
        )
        assert _holds(proof, excess)


@pytest.mark.slow
def test_two_steps_agree_with_a_contour_through_mpmath():
    rows, epsilon = ((5.0, 0.5, 1), (6.0, 0.4, 1)), 0.3
    proof = prove.delta(_plan(*rows), epsilon, digits=15)
    with mp.workdps(40):

        def second(kept: mpf) -> mpf:  # delta of the second step alone where e^ε' = kept
            s, q = mpf(6), mpf(0.4)
            if kept <= 1 - q:
                return 1 - kept
            at = mpf(1) / 2 + s**2 * mp.log((kept - 1 + q) / q)
            return q * mp.ncdf((1 - at) / s) - (kept - 1 + q) * mp.ncdf(-at / s)

        def integrand(x: mpf) -> mpf:
            ratio = mpf(0.5) + mpf(0.5) * mp.exp((2 * x - 1) / 50)
            return mp.npdf(x, 0, 5) * ratio * second(mp.exp(mpf(epsilon)) / ratio)

        truth = mp.quad(integrand, [5 * k for k in range(-12, 14)])
        assert _holds(proof, truth)
    assert proof.digits >= 15


@pytest.mark.slow
def test_epsilon_is_exactly_0_from_the_total_variation_on():
    plan = _plan((1.0, 0.001, 300))
    variation = prove.delta(plan, 0.0)
    assert variation.digits >= 12
    above = prove.epsilon(plan, variation.bound.upper * 1.2)
    assert (above.lower_digits, above.upper_digits, above.bound.upper) == ("0", "0", 0.0)
    assert prove.epsilon(plan, variation.bound.lower * 0.9).bound.lower > 0.0


@pytest.mark.parametrize("row", [(1.0, 0.1, 2), pytest.param((0.9, 0.05, 40), marks=pytest.mark.slow)])
def test_both_directions_have_the_same_total_variation(row):
    found = []
    for direction in Direction:
        maker = dominant_direction.Maker(float_moments.phases_of(_plan(row)), direction, lambda sentence: None)
        bits, chosen = maker.plan(0.0, math.log(0.05), math.log(1e-18))
        with working_precision(bits):
            found.append(maker.curve(chosen).delta(arb(0)))
    assert found[0].overlaps(found[1])
    assert min(ball.rel_accuracy_bits() for ball in found) > 50


# Each error source by itself: bounds hold whatever was chosen.

STEP = float_moments.ComposedSteps(0.9, 0.05, 40)
EXPONENTS = [1.5, 4.0, -2.0, -9.0]


@cache  # of few places, at one precision
def _transform(a: float, u: float) -> acb:
    """G(a + iu) by acb.integral over a range whose tails are below 1e-60."""
    law = tail_decay.StepLaw.of(STEP)

    def integrand(x: acb, analytic: bool) -> acb:
        return (acb(a, u) * law.ratio(x).log(analytic)).exp() * law.density(x)

    low, high = float_moments.span(STEP, a, 17.0)
    return sum((acb.integral(integrand, low + k, low + k + 1) for k in range(int(high - low) + 1)), acb(0))


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("a", EXPONENTS)
@pytest.mark.parametrize(("low", "step", "count", "height"), [
    (-8.0, 0.25, 80, 1.5), (-3.0, 0.25, 30, 1.5), (-8.0, 1.0, 20, 0.5), (-8.0, 0.125, 160, 2.4),
])  # fmt: skip
def test_transform_balls_hold_the_truth_on_good_nodes_and_bad_ones(a, low, step, count, height):
    with working_precision(BITS):
        for far in (low + step * (count - 1), 30.0):
            nodes = transform.TrapezoidNodes(low, step, count, height, far)
            values = transform.evaluate(STEP, arb(a), arb(0.75), 6, nodes).balls
            assert all(value.overlaps(_transform(a, 0.75 * k)) for k, value in enumerate(values))


@pytest.mark.parametrize("a", EXPONENTS)
def test_chosen_nodes_reach_the_accuracy_asked_for(a):
    nodes = transform.choose_nodes(STEP, a, 30.0, math.log(1e-18))
    with working_precision(BITS):
        values = transform.evaluate(STEP, arb(a), arb(1), 30, nodes).balls
        assert all(float(value.real.rad()) < 1e-18 * float(values[0].real) for value in values)


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize("a", EXPONENTS)
@pytest.mark.parametrize("path", [
    path_search.Path(0.0), path_search.Path(1.0), path_search.Path(2.4),
    path_search.Path(1.5, 1.0, 0.7), path_search.Path(0.4, -2.0, 2.0),
])  # fmt: skip
def test_no_frequency_beyond_u_exceeds_the_bound_there(a, path):
    with working_precision(BITS):
        for u in (0.0, 2.0, 15.0):
            bound = tail_decay.bound(STEP, arb(a), arb(u), path, 30)
            assert bound.is_finite()
            for further in (u, 1.3 * u + 0.1, 4.0 * u + 3.0):
                assert not abs(_transform(a, further)) > bound


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("a", EXPONENTS)
@pytest.mark.parametrize("height", [0.0, 0.5, 1.5, 2.4])
def test_growth_bounds_the_integral_of_the_modulus_and_is_not_far_above_it(a, height):
    x = [-14.0 + 0.01 * k for k in range(2800)]
    theta = height / STEP.sigma**2
    for u in (0.0, 3.0, 20.0):
        with working_precision(BITS):
            bound = float(quadrature_error.integral(STEP, arb(a), arb(u), height))
        total = 0.0
        for v in x:
            b = STEP.q * math.exp((2 * v - 1) / (2 * STEP.sigma**2))
            real, imaginary = 1 - STEP.q + b * math.cos(theta), b * math.sin(theta)
            log_f = a * math.log(math.hypot(real, imaginary)) + u * math.atan2(imaginary, real)
            total += 0.01 * math.exp(log_f - (v * v - height**2) / (2 * STEP.sigma**2))
        total /= STEP.sigma * math.sqrt(2 * math.pi)
        assert total * 0.999 <= bound <= 5.0 * total


def test_what_the_trapezoid_sum_counts_too_much_is_below_the_alias_bound():
    phases, epsilon = (STEP,), 1.0
    fine = contour_plan.design(phases, Direction.REMOVE, epsilon, -9.0, math.log(1e-20))
    with working_precision(fine.bits):
        truth = BallContour(phases, Direction.REMOVE, fine).delta(arb(epsilon))
        for period in (2.0, 4.0, 7.0):
            count = int(fine.count * period / fine.placement.period) + 1
            coarse = replace(fine, count=count, placement=replace(fine.placement, period=period))
            contour = BallContour(phases, Direction.REMOVE, coarse)
            bound = contour.aliases.at(arb(epsilon))
            excess = contour.delta(arb(epsilon)).mid() + bound / 2 - truth
            assert excess > 0
            assert excess < bound


@pytest.mark.slow
@pytest.mark.parametrize("direction", Direction)
def test_a_bad_design_is_wide_and_never_wrong(direction):
    phases, epsilon = (STEP, float_moments.ComposedSteps(2.0, 0.3, 20)), arb(1.5)
    good = contour_plan.design(phases, direction, 1.5, -6.0, math.log(1e-20))
    place = good.placement
    bad = [
        replace(good, count=max(good.count // 3, 2)),
        replace(good, placement=replace(place, period=place.period / 3)),
        replace(good, placement=replace(place, alias_tilts=(place.tilt * 0.9, place.tilt * 1.1))),
        replace(good, paths=tuple(path_search.Path(0.3, 0.0, 1.0) for _ in phases)),
        replace(good, nodes=tuple(replace(nodes, count=nodes.count // 2) for nodes in good.nodes)),
        replace(good, nodes=tuple(replace(nodes, height=nodes.height / 4) for nodes in good.nodes)),
    ]
    with working_precision(good.bits):
        truth = BallContour(phases, direction, good).delta(epsilon)
        assert truth.rel_accuracy_bits() > 60
        for worse in bad:
            value = BallContour(phases, direction, worse).delta(epsilon)
            assert value.overlaps(truth)
            assert not value.rel_accuracy_bits() > truth.rel_accuracy_bits()


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize("direction", Direction)
def test_chernoff_at_any_tilt_lies_above_delta(direction):
    phases = (STEP,)
    found = float_moments.FloatMoments(phases, direction)
    with working_precision(BITS):
        tops = {tilt: aliasing.chernoff(phases, direction, tilt) for tilt in (0.0, 0.1, 1.0, 5.0, 12.0)}
        for epsilon in (0.2, 1.0, 1.7):
            chosen = contour_plan.design(phases, direction, epsilon, found.log_estimate(epsilon), math.log(1e-6))
            value = BallContour(phases, direction, chosen).delta(arb(epsilon))
            assert all(value < top * (-arb(tilt) * arb(epsilon)).exp() for tilt, top in tops.items())


# What is refused, and what is left behind.


def test_what_would_take_too_long_is_not_proved_and_named():
    plan = _plan((0.25, 1e-8, 3000))
    with pytest.raises(prove.NotProved, match="no proof: frequencies left out") as caught:
        prove.epsilon(plan, 1e-9)
    assert caught.value.term == "frequencies left out (remove direction)"
    assert caught.value.exit_code == 3


def test_digits_out_of_range_are_refused():
    with pytest.raises(UsageError, match="digits=0 is not a whole number"):
        prove.epsilon(_plan((1.0, 0.1, 10)), 1e-5, digits=0)
    with pytest.raises(UsageError, match="digits=101 is more than 100"):
        prove.delta(_plan((1.0, 0.1, 10)), 1.0, digits=101)


def test_precision_is_restored_and_the_work_is_told():
    before, told = ctx.prec, []
    prove.epsilon(_plan((1.0, 0.01, 1000)), 1e-6, progress=told.append)
    with pytest.raises(prove.NotProved):
        prove.epsilon(_plan((0.25, 1e-8, 3000)), 1e-9)
    assert ctx.prec == before
    assert told[0].startswith("remove direction: ")


def test_a_fast_interval_that_does_not_meet_the_proof_is_an_internal_error(monkeypatch):
    plan = _plan((1.0, 0.01, 1000))
    fast = exact.epsilon(plan, 1e-6)
    wrong = Bound("epsilon", fast.upper * 1.01, fast.upper * 1.02, fast.guarantee, "exact", fast.assumptions)
    monkeypatch.setattr(exact, "epsilon", lambda plan, delta: wrong)
    with pytest.raises(InternalError, match="which do not meet"):
        prove.epsilon(plan, 1e-6)


def test_without_flint_the_extra_is_named():
    code = "import sys; sys.modules['flint'] = None; import dpplan.accounting.exact.prove"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "--prove needs the extra 'prove': pip install 'dpplan[prove]'" in done.stderr


def test_the_exact_accountant_does_not_load_flint():
    code = "import sys, dpplan.accounting.exact; print('flint' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
