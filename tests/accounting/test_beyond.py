"""Paths taken apart by their largest step: those beyond a cut against integrals in many digits, the bulk's own contour
against the whole law's, and plans that were wide in every regime of small deltas."""

import math

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan.accounting import delta, epsilon
from dpplan.accounting.exact import invert, prove
from dpplan.accounting.exact.contour.delta_interval import Aim
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.rare_jumps import cut_choice
from dpplan.accounting.exact.contour.rare_jumps.beyond_cut import Beyond, Falling, log_falling_moments
from dpplan.accounting.exact.contour.rare_jumps.jump_free_paths import Bulk
from dpplan.accounting.exact.contour.rare_jumps.step_law import RareLaw, Window
from dpplan.plan import Plan


def density(x: mpf, sigma: float) -> mpf:
    return mp.exp(-((x / mpf(sigma)) ** 2) / 2) / (mpf(sigma) * mp.sqrt(2 * mp.pi))


def ratio(x: mpf, sigma: float, q: float) -> mpf:
    return 1 + mpf(q) * mp.expm1((2 * x - 1) / (2 * mpf(sigma) ** 2))


@pytest.mark.sweep(every=2, slow=("29.5",))
@pytest.mark.parametrize(
    ("sigma", "q", "tilt"),
    [(1.5, 1e-7, 1e7), (0.5, 1e-9, 3e2), (29.5, 2.67e-9, 8e10), (200.0, 3e-12, 6e14), (0.4, 0.3, 5.0)],
)
def test_a_falling_moment_is_bounded_from_above_and_closely(sigma, q, tilt):
    with mp.workdps(20):
        places = [mpf(sigma) * k for k in range(-24, 33, 4)]

        def excess(x: mpf) -> mpf:
            r = ratio(x, sigma, q)
            return density(x, sigma) * (r ** (-mpf(tilt)) - 1 + mpf(tilt) * (r - 1))

        truth = mp.log1p(mp.quad(excess, places))
        found = float(log_falling_moments(sigma, q, np.array([tilt]))[0])
        assert truth <= found <= truth * mpf("1.25")


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("sigma", "q", "place", "room", "epsilon"),
    [(1.2, 1e-3, 4.0, 10.0, 0.006), (0.6, 1e-4, 5.0, 30.0, 0.03), (1.2, 1e-3, 4.0, 10.0, 0.02)],
)
def test_two_steps_beyond_a_cut_are_counted(sigma, q, place, room, epsilon):
    """F(ε) of two steps, by a double integral; the first factor is done by halves at its kink."""
    end = place * sigma
    power = end + room * sigma
    tilts = np.geomspace(2.0, 300.0, 12) / epsilon
    found = Beyond(
        Steps.of([(sigma, q, 2)]), np.array([power]), np.array([end]), Falling(Steps.of([(sigma, q, 2)]), tilts)
    )
    low, high, _ = found.at(epsilon)
    with mp.workdps(20):
        step = mpf(sigma) / 40
        nodes = [step * k for k in range(-9 * 40, int((place + 9) * 40))]
        mass = [step * density(x, sigma) for x in nodes]
        cut = [mp.exp(-mp.exp(mpf(power) * (x - mpf(end)) / mpf(sigma) ** 2)) for x in nodes]
        r = np.array([float(ratio(x, sigma, q) - 1) for x in nodes])
        m, c = np.array([float(v) for v in mass]), np.array([float(v) for v in cut])
        gone = np.array([float(1 - v) for v in cut])
    # (r·r' - e^ε)₊ with r - 1 known, and 1 - c·c' = (1 - c) + c·(1 - c'), so that nothing cancels.
    gain = np.maximum(r[:, None] + r + r[:, None] * r - math.expm1(epsilon), 0.0)
    truth = float((m[:, None] * m * gain * (gone[:, None] + c[:, None] * gone)).sum())
    assert low <= truth * (1.0 + 2e-3) and truth * (1.0 - 2e-3) <= high  # the kink costs the sum that much
    # Little is known where ε is near the loss at the cut.
    assert epsilon == 0.02 or high - low <= 0.05 * high


def test_the_variation_right_of_the_nodes_is_a_bound():
    sigma, q, a = 1.3, 1e-6, 500.0
    law = RareLaw(sigma, q, Window(22.0 * sigma, 12.0 * sigma), np.array([a]))
    x = np.linspace(law.high, law.high + 3.0 * sigma, 20_001)
    with mp.workdps(20):
        logs = [
            float(
                mpf(a) * mp.log(ratio(mpf(v), sigma, q))
                + mp.log(density(mpf(v), sigma))
                + 2 * mp.log(mpf(sigma))
                - mp.log(1 - (1 - mpf(q)) / ratio(mpf(v), sigma, q))
                - mp.exp(mpf(22.0) / mpf(sigma) * (mpf(v) - 12 * mpf(sigma)))
            )
            for v in x[::50]
        ]
    values = np.exp(np.array(logs))
    assert math.log(values[0] + np.abs(np.diff(values)).sum()) <= law.log_variation(a) + 1e-9


def test_the_bulk_alone_is_the_whole_law_where_no_step_reaches_its_cut():
    steps, asked = Steps.of([(4.0, 0.01, 10_000)]), 1e-8
    with np.errstate(all="ignore"):
        ends = invert.epsilon_ends(steps, Direction.REMOVE, asked)
    aim = Aim(ends.upper, math.log(asked))
    survey = cut_choice.SplitMoments(steps, aim.log_delta, 1e-10, np.array([[14.0 * 4.0]]))
    cut = cut_choice.far(Falling(steps, cut_choice.FAR_TILTS / aim.epsilon), aim, 1e-10)
    contour = cut_choice.build(steps, aim, cut_choice.CutChoice(0.0, cut, (), survey.over_bulk(aim.epsilon, 100.0)))
    assert contour is not None and isinstance(contour.measure, Bulk)
    again = invert.ends_around(contour, asked)
    assert again.relative_width < 1e-8
    assert again.lower <= ends.upper and ends.lower <= again.upper


# σ, q, steps, δ: what was not known to 1e-3, and why.
WIDE = [
    (1.9187695675125809, 4.6948765087057263e-07, 129672271, 1.9690136530047432e-98),  # bulk and jumps alike
    (2.3795300974684, 1.1232307740068095e-07, 1142935, 1.7480761007708517e-94),
    (1.4539417488214526, 4.177703237512177e-07, 64088249, 1.646e-40),
    (1.530037445358023, 9.256445119216545e-11, 764623182, 5.041133280217862e-42),  # ordinary paths alone
    (0.6989875314920989, 1.717223375308545e-12, 4, 9.175437947845626e-36),  # one large step
    (0.8405829869659828, 1.5501785793556337e-09, 48471046, 1.7197e-26),
    (1.6302394918838905, 3.908418103076584e-09, 64823, 1.8231e-39),
    (3.6289107617972043, 3.0080647229774935e-11, 5, 1.1455241972399732e-79),
    (2.190643983585232, 1.3250863208234801e-12, 156, 2.658061593587163e-95),
    (3.8736353495674942, 9.170311673807404e-10, 934, 3.927986089619181e-91),
    (0.5957101957741701, 2.223627640410632e-11, 1337257, 7.488517032572288e-27),
    (29.5, 2.67e-9, 2, 6e-60),  # the add direction, far left
    (273.06758797273454, 2.732159869821481e-07, 2, 3.6633781449423697e-96),
    (0.37838081641866644, 2.1684904879573158e-07, 63931, 2.361678594499879e-85),  # more frequencies than are taken
    (0.37928860243290874, 4.5783150841807656e-08, 8, 3.6419795396957154e-90),
]


@pytest.mark.sweep(every=2, slow=("0.37928",))
@pytest.mark.parametrize(("sigma", "q", "steps", "asked"), WIDE)
def test_plans_that_were_wide_are_narrow(sigma, q, steps, asked):
    found = epsilon(Plan.from_rate(sigma, q, steps), asked)
    assert (found.upper - found.lower) / found.upper < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "q", "steps", "asked"), WIDE[2::4])
def test_what_is_spent_does_not_fall_when_a_plan_gets_harder(sigma, q, steps, asked):
    here = epsilon(Plan.from_rate(sigma, q, steps), asked).upper
    for harder, tighter in (
        (Plan.from_rate(sigma, 1.02 * q, steps), asked),
        (Plan.from_rate(sigma, q, max(steps + 1, int(1.02 * steps))), asked),
        (Plan.from_rate(sigma, q, steps), asked / 1.5),
    ):
        assert epsilon(harder, tighter).upper >= here


@pytest.mark.sweep(every=5)
@pytest.mark.parametrize(("sigma", "q", "steps", "asked"), WIDE[:12:3])
def test_delta_comes_back(sigma, q, steps, asked):
    plan = Plan.from_rate(sigma, q, steps)
    spent = epsilon(plan, asked)
    assert delta(plan, spent.upper).lower <= asked <= delta(plan, spent.lower).upper


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sigma", "q", "steps", "asked"),
    [WIDE[9], *(pytest.param(*WIDE[k], marks=pytest.mark.slow) for k in (0, 2, 5, 8))],
)
def test_wherever_the_paths_are_taken_apart_delta_is_the_same(sigma, q, steps, asked):
    """Other cuts, other tilts, other parts: every interval must meet every other."""
    steps_, log_delta, found = Steps.of([(sigma, q, steps)]), math.log(asked), []
    with np.errstate(all="ignore"):
        aim = Aim(cut_choice.guess_epsilon(steps_, log_delta), log_delta)
        for level in (1e-10, 1e-6):
            cut = cut_choice.far(Falling(steps_, cut_choice.FAR_TILTS / aim.epsilon), aim, level)
            survey = cut_choice.SplitMoments(steps_, log_delta, level, cut.end[:, None])
            choices = cut_choice._ranked(cut_choice._split(survey, aim.epsilon, cut))[:4]
            contours = [cut_choice.build(steps_, aim, choice) for choice in choices]
            found += [contour.at(aim.epsilon) for contour in contours if contour is not None]
    assert len(found) >= 3
    assert max(interval.lower for interval in found) <= min(interval.upper for interval in found)


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "q", "steps", "asked"), [WIDE[2], WIDE[11]])
def test_the_proof_agrees(sigma, q, steps, asked):
    proof = prove.epsilon(Plan.from_rate(sigma, q, steps), asked, digits=8)  # raises where it contradicts
    assert proof.digits >= 8
