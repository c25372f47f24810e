"""The pair behind points of a privacy profile: it lies above whatever passes through them, and is a pair of laws."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan.accounting.exact.general_one_step import delta_ends
from dpplan.accounting.gdp import delta_interval
from dpplan.accounting.pairs.profile_points import LEAST_MASS, MOST_LOSS, ProfileLoss

PLACES = tuple(np.linspace(0.3, 4.0, 23).tolist())


def gaussian(mu: float) -> ProfileLoss:
    return ProfileLoss(PLACES, tuple(delta_interval(mu, each).upper for each in PLACES))


@pytest.mark.parametrize("mu", [0.3, 1.0, 3.0])
def test_it_dominates_what_passes_through_the_points_both_ways_round(mu: float) -> None:
    law = gaussian(mu)
    for epsilon in np.linspace(-4.5, 6.0, 211).tolist():
        if epsilon >= 0:
            true = delta_interval(mu, epsilon).lower
        else:
            true = 1.0 - math.exp(epsilon) * (1.0 - delta_interval(mu, -epsilon).lower)
        assert delta_ends(law, epsilon)[1] >= true * (1 - 1e-12)
    for place, delta in zip(PLACES, law.deltas, strict=True):
        assert delta_ends(law, place)[1] == pytest.approx(delta, rel=1e-9)  # and is no more than what was said


def test_it_is_a_pair_of_laws() -> None:
    law = gaussian(1.0)
    atoms = law.atoms
    assert math.fsum([law.infinite, *atoms.p.tolist()]) == pytest.approx(1.0, abs=1e-14)
    assert math.fsum([law.vanishing, *atoms.q.tolist()]) == pytest.approx(1.0, abs=1e-14)
    assert np.all(np.diff(atoms.loss) > 0) and np.all(atoms.p > 0)
    assert atoms.p == pytest.approx(atoms.q * np.exp(atoms.loss), rel=1e-12)
    assert law.infinite == law.vanishing == law.deltas[-1]
    assert atoms.loss == pytest.approx(-atoms.loss[::-1], rel=1e-12) and atoms.p == pytest.approx(atoms.q[::-1])


def test_points_that_say_nothing_change_nothing() -> None:
    """Above 1, above the chord of others, above an earlier one, or farther than floats go."""
    sure = ProfileLoss((0.5, 1.0), (0.2, 0.1))
    more = ProfileLoss((0.1, 0.5, 0.7, 1.0, 1.5, MOST_LOSS + 1), (1.7, 0.2, 0.199, 0.1, 0.11, 0.0))
    assert more.atoms.rows == sure.atoms.rows and more.infinite == sure.infinite


def test_without_a_point_all_is_revealed() -> None:
    law = ProfileLoss((0.5,), (1.0,))
    assert (law.infinite, law.vanishing, law.atoms.rows) == (1.0, 1.0, [])


def test_a_pure_promise_is_randomized_response() -> None:
    law = ProfileLoss((0.7,), (0.0,))
    high = 1 / (1 + math.exp(-0.7))
    assert (law.infinite, law.vanishing) == (0.0, 0.0)
    ((a, p, q), (b, r, s)) = law.atoms.rows
    assert (a, b) == pytest.approx((-0.7, 0.7)) and (r, q, p, s) == pytest.approx((high, high, 1 - high, 1 - high))


def test_masses_that_floats_do_not_hold_reveal_all() -> None:
    law = ProfileLoss((1.0, 2.0, 2.1), (1e-3, 1e-285, 1e-290))
    assert float(LEAST_MASS) == 1e-280
    assert law.atoms.loss[-1] == pytest.approx(2.0) and law.infinite > 1e-285


@pytest.mark.parametrize(
    ("epsilons", "deltas"), [((1.0,), ()), ((-1.0,), (0.1,)), ((1.0,), (-0.1,)), ((1.0,), (math.nan,))]
)
def test_what_is_no_profile_is_refused(epsilons: tuple[float, ...], deltas: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="one delta for each epsilon"):
        ProfileLoss(epsilons, deltas)


def hull(law: ProfileLoss, factor: Fraction) -> Fraction:
    """The lower convex hull of (0, 1), the points and their mirror images, at an α: the least over all chords that span
    it and, beyond, over all points before it. Fractions throughout, but for α = e^ε."""
    known = [(Fraction(math.exp(e)), Fraction(d)) for e, d in zip(law.epsilons, law.deltas, strict=True) if d < 1]
    points = [(Fraction(0), Fraction(1)), *known, *((1 / a, 1 - (1 - d) / a) for a, d in known)]
    before = [(a, d) for a, d in points if a <= factor]
    after = [(a, d) for a, d in points if a >= factor]
    chords = [d + (e - d) * (factor - a) / (b - a) for a, d in before for b, e in after if b > a]
    return min([*chords, *(d for _, d in before)])


@pytest.mark.parametrize(
    ("epsilons", "deltas"),
    [
        ((0.5, 1.0, 2.0), (0.3, 0.1, 1e-9)),
        ((0.0, 0.1, 0.2, 3.0), (0.9, 0.89, 0.2, 0.1999)),
        ((1e-9, 30.0), (1e-3, 0.0)),
        ((0.3, 0.4, 0.5, 0.6), (0.2, 0.25, 0.19, 0.0)),
    ],
)
def test_its_curve_is_the_hull_of_the_points_in_exact_fractions(
    epsilons: tuple[float, ...], deltas: tuple[float, ...]
) -> None:
    """Σ (p - α·q)₊ and what is at loss inf, of the masses that are made, at every corner, between and beyond: above the
    hull but for the rounding of masses to floats, and no more than another such rounding above it."""
    law = ProfileLoss(epsilons, deltas)
    corners = sorted(Fraction(math.exp(sign * each)) for each in epsilons for sign in (-1, 1))
    between = [(a + b) / 2 for a, b in pairwise(corners)]
    for factor in (Fraction(0), corners[0] / 2, *corners, *between, 2 * corners[-1]):
        rows = [(Fraction(p), Fraction(q)) for _, p, q in law.atoms.rows]
        claimed = Fraction(law.infinite) + sum(max(p - factor * q, 0) for p, q in rows)
        exact = hull(law, factor)
        room = Fraction(1, 10**15) * (1 + factor) + exact / 10**12
        assert -room <= claimed - exact <= room


def test_losses_are_logarithms_of_their_masses_in_mpmath() -> None:
    """log(p / q) of each atom, in 40 digits, lies within what the losses are said to be off."""
    law = gaussian(1.0)
    with mp.workdps(40):
        for loss, p, q in zip(law.atoms.loss.tolist(), law.atoms.p.tolist(), law.atoms.q.tolist(), strict=True):
            assert abs(mp.log(mpf(p) / mpf(q)) - mpf(loss)) <= 1e-14 * (1.0 + abs(loss))
