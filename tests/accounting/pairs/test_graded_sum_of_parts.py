"""Sums of a few ratios of one noise and many of another: the same bins after a part of an epoch."""

import math

import numpy as np
import pytest
from mpmath import mp, mpf
from scipy import special

from dpplan import accounting
from dpplan.accounting.pairs.allocation.graded_sum import graded_sum_of_parts
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import BallsInBins

SIDES = {"above": 1.0, "below": -1.0}


def test_a_few_of_other_noise_beside_many_lie_between_their_laws():
    """One of the noise σ/√2 and two of σ: the last in closed form, the others by the trapezoid rule."""
    noise = 1.5
    z = np.linspace(-10.0, 12.0, 2201)
    weight = np.exp(-0.5 * z * z) * (z[1] - z[0]) / math.sqrt(2.0 * math.pi)
    one, other = (np.exp(z / each - 0.5 / each**2) for each in (noise / math.sqrt(2.0), noise))
    rest, weights = np.add.outer(one, other), np.multiply.outer(weight, weight)
    laws = {side: graded_sum_of_parts(((noise, 2), (noise / math.sqrt(2.0), 1)), 2, side, 1e-18) for side in SIDES}
    for strike in (3.0, 4.5, 12.0):
        left = np.maximum(strike - rest, 1e-300)
        d = (0.5 / noise**2 - np.log(left)) * noise
        calls_on = special.ndtr(d) - left * special.ndtr(d - 1.0 / noise)
        exact = float((weights * np.where(strike > rest, calls_on, 1.0 - (strike - rest))).sum())
        for side, sign in SIDES.items():
            law = laws[side]
            found = float((law.masses * np.maximum(law.lattice.values + 3.0 - strike, 0.0)).sum()) + 3.0 * law.beyond
            assert sign * (found - exact) >= -1e-11
            assert abs(found - exact) <= 1e-3 * exact


@pytest.mark.parametrize(("few", "many"), [((2.0, 10, 1), (2.0, 9, 999)), ((2.0, 9, 1), (2.0, 10, 999))])
@pytest.mark.parametrize("halvings", [0, 2])
def test_moments_of_one_beside_many_lie_on_either_side_of_the_closed_form(few, many, halvings):
    """The fourth looks at tails. Of each: σ, in how many epochs its bins were reached, and how many bins."""
    parts = [(noise / math.sqrt(times), count) for noise, times, count in (many, few)]
    with mp.workdps(30):
        second, fourth = mpf(0), mpf(0)
        for noise, count in parts:
            w = mp.exp(1 / mpf(noise) ** 2)
            second += count * (w - 1)
            fourth += count * ((w - 1) ** 2 * (w**4 + 2 * w**3 + 3 * w**2 - 3) - 3 * (w - 1) ** 2)
        fourth += 3 * second**2
        for side, sign in SIDES.items():
            law = graded_sum_of_parts(parts, halvings, side, 1e-20)
            for power, exact in ((2, second), (4, fourth)):
                moment = mpf(float((law.masses * law.lattice.values**power).sum()))
                assert 0.0 <= sign * (moment / exact - 1) <= 0.02 / 4**halvings


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("noise", [2.0, 2.5])
@pytest.mark.parametrize("reached", [9001, 9999, 999])
def test_a_bin_that_is_reached_once_more_or_once_less_than_all_others_has_a_figure(noise, reached):
    """It costs no less than a step fewer and no more than a step more, and is known as well."""
    plans = [Plan((Phase(Gaussian(noise), BallsInBins(1000, "same"), reached + more),)) for more in (-1, 0, 1)]
    fewer, found, more = (accounting.epsilon(plan, 1e-5) for plan in plans)
    assert fewer.lower <= found.upper and found.lower <= more.upper
    assert found.relative_width <= 1.2 * max(fewer.relative_width, more.relative_width)
