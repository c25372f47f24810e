"""Rare jumps: the cut laws against integrals in many digits, their contour against proofs, and plans that were wide."""

import math
import tracemalloc

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan.accounting import delta, epsilon, rdp
from dpplan.accounting.exact import event_lower_bound, invert, prove
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.rare_jumps import cut_choice
from dpplan.accounting.exact.contour.rare_jumps.step_law import AT_ONCE, RareLaw, Window
from dpplan.accounting.exact.contour.transform_quadrature import MOST_VALUES, SERIES_BELOW, drop_and_lag
from dpplan.plan import Plan

# σ, q, power over σ, x₀ over σ, x₁ over σ, 1 + tilt, u
LAWS = [
    (2.0, 1e-8, 30.0, 19.0, 22.0, 5e4, 3e5),
    (1.3, 1e-6, 22.0, 12.0, 14.5, 900.0, 5e3),
    (0.6, 1e-5, 15.0, 5.0, 8.0, 7.0, 60.0),
    (0.4, 3e-7, 32.0, 11.0, 23.0, 5.5, 40.0),
    (20.0, 1e-3, 14.0, 3.0, 7.0, 40.0, 2e4),
]


def integrals(sigma: float, q: float, window: Window, w: list[mp.mpc]) -> list[mp.mpc]:
    """E_Q[(c₁ - c₀)·r^w], or with no start E_Q[c₁·r^w] - 1 in its cancellation-free form: by a trapezoid rule ten
    times finer than the law's."""
    s, step = mpf(sigma), mpf(sigma) / 200
    rate, totals = mpf(window.power) / s**2, [mp.mpc(0)] * len(w)
    low = -13.0 if window.start is None else window.start / sigma - 9.0
    high = window.end / sigma + 1.0
    for k in range(int(200 * low), int(200 * (high if window.start is not None else max(high, 12.0)))):
        x = k * step
        mass = step * mp.exp(-((x / s) ** 2) / 2) / (s * mp.sqrt(2 * mp.pi))
        r = 1 + mpf(q) * mp.expm1((2 * x - 1) / (2 * s**2))
        cut = mp.exp(-mp.exp(rate * (x - mpf(window.end))))
        other = 0 if window.start is None else mp.exp(-mp.exp(rate * (x - mpf(window.start))))
        for n, exponent in enumerate(w):
            value = (cut - other) * mp.exp(exponent * mp.log(r))
            totals[n] += mass * (value if window.start is not None else value - 1 - exponent * (r - 1))
    return totals


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sigma", "q", "power", "start", "end", "a", "u"),
    [LAWS[2], *(pytest.param(*law, marks=pytest.mark.slow) for law in LAWS if law != LAWS[2])],
)
def test_a_cut_law_is_its_integral_within_the_error_it_states(sigma, q, power, start, end, a, u):
    power, start, end = power * sigma, start * sigma, end * sigma
    for window in (Window(power, start), Window(power, end, start)):
        law = RareLaw(sigma, q, window, np.array([a]), u)
        drop, lag = law.line(np.array([0.0, u]))
        error = [mpf(float(value)) for value in law.relative_error(np.array([0.0, u]))[0]]
        assert error[0] < 1e-9
        with mp.workdps(40):
            still, turned = integrals(sigma, q, window, [mp.mpc(a), mp.mpc(a, u)])
            still = mp.re(still)
            log_g = mpf(float(law.log_g[0]))
            if window.start is None:
                off = abs(mp.expm1(log_g) - still)
                still, turned = 1 + still, 1 + turned
            else:
                off = abs(mp.expm1(log_g - mp.log(still)))
            assert off <= error[0] * (still if window.start is None else 1)
            found = mp.mpc(1 - mpf(float(drop[1])), mpf(u * float(law.slope[0])) - mpf(float(lag[1])))
            assert abs(found * mp.exp(log_g) - turned) <= (error[0] + error[1]) * mp.exp(log_g) * (1 + mpf(10) ** -9)


@pytest.mark.slow
def test_a_bulk_keeps_its_digits_where_the_exponent_is_as_large_as_one_over_the_sample_rate():
    sigma, q, a = 0.88, 1.16e-9, 7.4e8
    window = Window(30.0 * sigma, 2.0 * sigma)
    law = RareLaw(sigma, q, window, np.array([a]), 3.0 * a)
    error = float(law.relative_error(np.zeros(1))[0, 0])
    assert error <= 1e-11
    with mp.workdps(40):
        (still,) = integrals(sigma, q, window, [mp.mpc(a)])
        assert abs(mp.expm1(mpf(float(law.log_g[0]))) - mp.re(still)) <= error * (1 + mp.re(still))


@pytest.mark.parametrize(("sigma", "q", "power", "start", "end", "a", "u"), LAWS)
def test_no_frequency_beyond_exceeds_the_modulus_bound(sigma, q, power, start, end, a, u):
    law = RareLaw(sigma, q, Window(power * sigma, end * sigma, start * sigma), np.array([a]), 60.0 * u)
    frequencies = np.linspace(0.0, 60.0 * u, 400)
    drop, lag = law.line(frequencies)
    modulus = np.hypot(1.0 - drop, frequencies * law.slope[0] - lag)
    error = law.relative_error(frequencies)[0]
    bound = np.exp(law.log_modulus(frequencies))
    assert np.all(np.maximum.accumulate((modulus - error)[::-1])[::-1] <= bound * (1.0 + 1e-9))
    assert bound[-1] < 0.9  # it does fall


# Two steps have a proof that needs no contour.
PAIRS = [
    (1.4673901335703758, 2.104336979225364e-9, 2, 1.364882295840553e-45),
    (1.4673901335703758, 3.582791933029099e-7, 2, 1.9595786445035933e-27),
    (0.7629, 5.02e-9, 2, 1.75e-70),
]


@pytest.mark.parametrize(
    ("sigma", "q", "steps", "asked"),
    [PAIRS[2], *(pytest.param(*pair, marks=pytest.mark.slow) for pair in PAIRS[:2])],
)
def test_two_steps_hold_their_proof(sigma, q, steps, asked):
    plan = Plan.from_rate(sigma, q, steps)
    bound, proof = epsilon(plan, asked), prove.epsilon(plan, asked, digits=6).bound
    assert bound.lower <= proof.upper
    assert proof.lower <= bound.upper
    assert bound.relative_width < 1e-5


# Were up to the whole of the interval wide.
WIDE = [
    (1.9599843151133964, 1.1944816641898913e-08, 873, 3.4603344315504557e-94),
    (1.3043550008379663, 1.7421567501935128e-08, 289807, 3.2431941367117414e-49),
    (2.2771537977786793, 3.2539754003074726e-07, 110781, 1.550234427315164e-96),
    (0.7834375055567542, 4.360075696838494e-09, 163738047, 2.4747287833503728e-42),
    (0.3298, 8.37e-9, 432473936, 1.14e-74),
    (0.4265, 1.15e-9, 5393, 1.38e-94),
]


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize(("sigma", "q", "steps", "asked"), WIDE)
def test_plans_whose_loss_one_step_brings_are_narrow(sigma, q, steps, asked):
    plan = Plan.from_rate(sigma, q, steps)
    bound = epsilon(plan, asked)
    assert bound.relative_width < 2e-4
    assert bound.upper <= rdp.epsilon(plan, asked).value
    assert bound.lower >= event_lower_bound.EventBound(Steps.of([(sigma, q, steps)])).epsilon(asked)


@pytest.mark.parametrize(("sigma", "q", "steps"), [(1.0, 0.01, 3), (0.5, 0.3, 4), (2.0, 0.3, 6)])
def test_a_few_steps_need_no_grid_where_rare_jumps_serve(monkeypatch, sigma, q, steps):
    found = epsilon(Plan.from_rate(sigma, q, steps), 1e-5)
    monkeypatch.setattr(invert.composition, "near", None)
    again = epsilon(Plan.from_rate(sigma, q, steps), 1e-5)
    assert (found.lower, found.upper) == (again.lower, again.upper)
    assert again.relative_width is not None
    assert again.relative_width < 3e-9


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize(
    ("sigma", "q", "steps", "asked"),
    [
        (0.534, 1.4e-9, 8, 4.9e-11),
        (0.377, 7.2e-9, 7, 4.5e-9),
        (0.529, 1.3e-7, 29, 4.5e-7),
        (0.5, 1e-8, 40, 1e-8),
    ],
)
def test_where_a_picture_shows_nothing_a_plain_event_shows_where_to_look(sigma, q, steps, asked):
    """A few steps with rare jumps: ε is far below the losses that a saddle point sees, and was known within 1 only."""
    assert epsilon(Plan.from_rate(sigma, q, steps), asked).proven_width <= 1e-4


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize(
    ("sigma", "q", "steps", "asked"),
    [
        (1000.0, 0.1, 4, 1e-4),
        (1886.3, 7.95e-6, 4, 4.14e-9),
        pytest.param(0.615, 3.63e-7, 4, 7.42e-7, marks=pytest.mark.slow),  # by the add direction, after all else
    ],
)
def test_where_delta_at_zero_is_enough_epsilon_is_zero(sigma, q, steps, asked):
    plan = Plan.from_rate(sigma, q, steps)
    found = epsilon(plan, asked)
    assert found.proven == (0.0, 0.0)
    assert delta(plan, 0.0).lower <= asked


def test_waves_are_sums_of_turns_to_the_units_there_is_room_for():
    """Frequencies as a contour has them, whose turns are products of several."""
    law = RareLaw(1.0, 1e-3, Window(6.0, 5.0, 1.5), np.array([8.0]), 400.0)
    u = np.arange(500) * 0.8
    drop, lag = law.line(u)
    assert drop[0] == lag[0] == 0.0
    mass, loss = law.mass[0], law.loss
    for k in (1, 37, 499):
        turned = u[k] * loss
        assert drop[k] == pytest.approx(float((mass * (1.0 - np.cos(turned))).sum()), abs=2e-13)
        assert lag[k] == pytest.approx(float((mass * (turned - np.sin(turned))).sum()), abs=1e-12)


@pytest.mark.parametrize("at_once", [1, 64, 700, 1024])
def test_waves_that_are_added_up_in_parts_are_off_by_no_more_than_is_counted(at_once):
    law = RareLaw(0.39, 0.01, Window(33.0, 1.3), np.array([1.65]), 60.0)
    u = np.arange(60.0)
    mass, loss = law.mass[0].astype(np.longdouble), law.loss.astype(np.longdouble)
    assert law.nodes > 1024
    assert law.nodes % 700
    _, whole = drop_and_lag(law.loss, law.mass[0], u)
    drop, lag = drop_and_lag(law.loss, law.mass[0], u, at_once)
    # As _rounding counts them: sums, turns of log2 factors, and the turns' angles.
    units = 4.0 * (min(at_once, law.nodes) + -(-law.nodes // at_once)) + 128.0
    at_zero, beside = law._rounding(np.array([0.0, 1e-300]))[0]
    large = mass[np.abs(law.loss) * 60.0 >= SERIES_BELOW].sum()
    assert at_once != AT_ONCE or beside - at_zero >= 2.0**-53 * units * float(large)
    for k in (1, 7, 59):
        off = 2.0**-53 * float((mass * (units + 4.0 * k * abs(loss))).sum())
        assert abs(float((mass * (1.0 - np.cos(k * loss))).sum() - drop[k])) <= off
        assert lag[k] == pytest.approx(whole[k], abs=1e-13)


def test_waves_of_tables_too_large_to_hold_are_the_same():
    loss, u = np.linspace(-0.3, 9.0, 5000), np.arange(60_000) * 0.03
    mass = np.exp(-0.5 * (loss - 2.0) ** 2) / 1400.0
    assert len(loss) * math.isqrt(len(u)) > MOST_VALUES
    drop, lag = drop_and_lag(loss, mass, u, 256)
    for k in (1, 4321, 59_999):
        turned = u[k] * loss
        assert drop[k] == pytest.approx(float((mass * (1.0 - np.cos(turned))).sum()), abs=1e-12)
        assert lag[k] == pytest.approx(float((mass * (turned - np.sin(turned))).sum()), abs=1e-11)


def test_no_interval_of_delta_is_wider_than_it_was_by_the_other_contour_over_jumps():
    """By that one δ was proven to 4.3e-9 of itself."""
    plan = Plan.from_rate(0.39066894531249996, 0.01020408163265306, 50)
    found, was = delta(plan, 11.041120486784049), (9.999999866328364e-06, 9.999999908957666e-06)
    assert was[0] <= found.lower <= found.upper <= was[1]


def test_a_harder_plan_never_costs_less():
    sigma, q, steps, asked = WIDE[1]
    here = epsilon(Plan.from_rate(sigma, q, steps), asked)
    harder = [
        (sigma / 1.00068, q, steps, asked),
        (sigma, q * 1.00068, steps, asked),
        (sigma, q, steps + 200, asked),
        (sigma, q, steps, asked / 1.00068),
    ]
    for s, rate, count, wanted in harder:
        there = epsilon(Plan.from_rate(s, rate, count), wanted)
        assert here.upper <= there.upper
        assert here.lower <= there.lower


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_it_meets_the_other_contour_over_jumps():
    """Same plan, other cuts, other transform, other bounds."""
    steps, asked = Steps.of([(0.614, 1e-5, 100000)]), 1e-12
    rare = invert._by_rare(steps, asked, cut_choice.guess_epsilon(steps, math.log(asked)))
    other = invert.epsilon_ends(steps, Direction.REMOVE, asked)
    assert max(rare.lower, other.lower) <= min(rare.upper, other.upper)
    assert rare.relative_width < 1e-6
    assert other.relative_width < 1e-6


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_two_kinds_of_steps_at_once():
    """Split by a change that does not matter, and by one that does."""
    sigma, q, steps, asked = WIDE[0]
    whole = epsilon(Plan.from_rate(sigma, q, steps), asked)
    rows = [(sigma, q, steps - 400), (sigma * (1 + 1e-9), q, 400)]
    split = invert.epsilon_ends(Steps.of(rows), Direction.REMOVE, asked)
    assert split.relative_width < 1e-5
    assert split.lower <= whole.upper
    assert whole.lower * (1 - 1e-6) <= split.upper


def test_delta_comes_back_from_epsilon():
    sigma, q, steps, asked = WIDE[2]
    plan = Plan.from_rate(sigma, q, steps)
    spent = epsilon(plan, asked)
    assert delta(plan, spent.upper).lower <= asked
    assert delta(plan, spent.lower).upper >= asked


def test_an_average_of_losses_far_out_needs_no_gigabyte():
    tracemalloc.start()
    bound = epsilon(Plan.from_rate(6.789723443610874, 7.791537636884285e-8, 18), 3.153420666835571e-45)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 300 * 2**20
    assert bound.relative_width < 1e-6


def test_where_there_is_nothing_to_hope_for_it_says_so():
    assert cut_choice.contour(Steps.of([(1.0, 0.7, 100)]), 5.0, math.log(1e-5)) is None
    assert cut_choice.contour(Steps.of([(1.0, 1e-3, 100)]), 0.0, math.log(1e-5)) is None


@pytest.mark.slow
def test_a_sweep_of_rare_jumps():
    """delta below 1e-25 and q below 1e-6: nearly always narrow, and no upper end falls as a plan grows harder."""
    draw = np.random.default_rng(20261128)
    narrow = total = 0
    for _ in range(150):
        q, sigma = 10 ** draw.uniform(-9, -6), 10 ** draw.uniform(math.log10(0.3), 1)
        steps, asked = int(10 ** draw.uniform(0.5, 9)), 10 ** draw.uniform(-100, -25)
        here = epsilon(Plan.from_rate(sigma, q, steps), asked)
        there = epsilon(Plan.from_rate(sigma, q * 1.00068, steps), asked)
        assert here.lower <= there.upper
        assert here.upper <= there.upper * (1.0 + here.relative_width + 1e-12)
        total += 1
        narrow += here.relative_width < 1e-3
    assert narrow >= 0.9 * total
