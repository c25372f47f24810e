"""The likelihood ratio of an allocation, between its two laws: held against integrals of another make."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from mpmath import mp, mpf
from scipy import special

from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.pairs import allocated_rounds
from dpplan.accounting.pairs.allocation import Mean, convex_order, lower_polygon
from dpplan.accounting.pairs.allocation.averaging import averaged
from dpplan.accounting.pairs.allocation.lattice_measure import LatticeMeasure, step
from dpplan.accounting.pairs.allocation.lognormal_mean import lognormal, mean_law
from dpplan.accounting.pairs.dominating import Resolution

# σ, T (steps reached, steps in all), ε of removal and of addition.
FEW = [(1.0, (2, 2), 0.5), (0.5, (2, 2), 3.0), (3.0, (3, 3), 0.05), (0.8, (3, 3), 1.0), (1.0, (2, 5), 0.3)]


def lognormal_call(noise: float, strike: np.ndarray, sign: float) -> np.ndarray:
    """E[(sign·(r - strike))₊] of a lognormal of mean 1."""
    safe = np.maximum(strike, 1e-300)
    d = (np.log(1.0 / safe) + 0.5 / noise**2) * noise
    found = sign * (special.ndtr(sign * d) - safe * special.ndtr(sign * (d - 1.0 / noise)))
    return np.where(strike > 0.0, found, np.maximum(sign * (1.0 - strike), 0.0))


def truth(noise: float, counts: tuple[int, int], epsilon: float, sign: float) -> float:
    """delta(ε) of removing (1) or adding (-1): the last lognormal in closed form, the others by the trapezoid rule."""
    reached, total = counts
    z = np.linspace(-12.0, 12.0, 1501)
    weight = np.exp(-0.5 * z * z) * (z[1] - z[0]) / math.sqrt(2.0 * math.pi)
    ratio = np.exp(z / noise - 0.5 / noise**2)
    others, weights = ratio, weight
    if reached == 3:
        others, weights = np.add.outer(ratio, ratio), np.multiply.outer(weight, weight)
    level = math.exp(sign * epsilon)
    strike = level * total - (total - reached) - others
    found = float((weights * lognormal_call(noise, strike, sign)).sum()) / total
    return found if sign > 0 else found / level


@pytest.mark.sweep(every=2, slow=("remove-3.0",))
@pytest.mark.parametrize(("noise", "counts", "epsilon"), FEW)
@pytest.mark.parametrize("direction", ["remove", "add"])
def test_a_mean_of_two_or_three_lies_between_its_laws(noise, counts, epsilon, direction):
    pair = allocated_rounds.allocated(Mean(((noise, counts[0]),), counts[1]), Resolution(3, 40))
    exact = truth(noise, counts, epsilon, 1.0 if direction == "remove" else -1.0)
    above = Composition.of([(getattr(pair, direction), 1)]).delta(epsilon).upper
    below = Composition.of([(getattr(pair.realised[0], direction), 1)]).delta(epsilon).lower
    assert below <= exact <= above
    assert above - below <= 2e-3 * above


@pytest.mark.parametrize("direction", ["remove", "add"])
def test_bins_that_were_reached_twice_and_once(direction):
    """Of the same bins, after one epoch and a half: (r₁ with noise σ/√2 + r₂ with σ) / 2."""
    noise, epsilon, sign = 1.2, 0.6, 1.0 if direction == "remove" else -1.0
    ((pair, count),) = allocated_rounds.same_bins(noise, 2, 3)
    assert count == 1
    z = np.linspace(-12.0, 12.0, 6001)
    weight = np.exp(-0.5 * z * z) * (z[1] - z[0]) / math.sqrt(2.0 * math.pi)
    twice = np.exp(z * math.sqrt(2.0) / noise - 1.0 / noise**2)
    level = math.exp(sign * epsilon)
    exact = float((weight * lognormal_call(noise, 2.0 * level - twice, sign)).sum()) / 2.0
    exact = exact if sign > 0 else exact / level
    fine = pair.resolved(Resolution(3, 40))
    above = Composition.of([(getattr(fine, direction), 1)]).delta(epsilon).upper
    below = Composition.of([(getattr(fine.realised[0], direction), 1)]).delta(epsilon).lower
    assert below <= exact <= above
    assert above - below <= 2e-3 * above


def test_the_oracle_is_that_of_mpmath():
    with mp.workdps(20):

        def inner(z):
            r, sigma = mp.e ** (z / mpf(0.8) - 0.5 / mpf(0.8) ** 2), mpf(0.8)
            strike = 2 * mp.e ** mpf(0.7) - r
            if strike <= 0:
                return mp.npdf(z) * (1 - strike)
            d = (-mp.log(strike) + 0.5 / sigma**2) * sigma
            return mp.npdf(z) * (mp.ncdf(d) - strike * mp.ncdf(d - 1 / sigma))

        kink = mpf(0.8) * (mp.log(2) + mpf(0.7) + 0.5 / mpf(0.8) ** 2)
        exact = mp.quad(inner, [-12, -4, -2, 0, 1, kink - 0.3, kink - 0.1, kink, kink + 1, 4, 12]) / 2
    assert truth(0.8, (2, 2), 0.7, 1.0) == pytest.approx(float(exact), rel=1e-7)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("side", ["above", "below"])
@pytest.mark.parametrize("noise", [0.1, 0.4, 1.0, 7.0, 50.0])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 24])
def test_mass_and_mean_are_kept(side, noise, count):
    """Of R: to roundings and what was cut off. The variance is that of R from above, or from below."""
    mean = Mean(((noise, count),), count)
    found = mean_law(mean, side, 1, 40)
    ratio = np.exp(found.losses)
    slack = 1e-9 if side == "above" else -1e-9
    assert found.total == pytest.approx(1.0, abs=abs(slack))
    assert (found.masses * ratio).sum() + found.beyond == pytest.approx(1.0, abs=2e-8)
    assert (found.total - 1.0) * slack >= 0.0
    if noise >= 1.0:
        variance = math.expm1(noise**-2) / count
        square = float((found.masses * (ratio - 1.0) ** 2).sum())
        assert square == pytest.approx(variance, rel=0.1)
        assert (square - variance) * slack >= 0.0 or abs(square - variance) < 1e-6 * variance


@pytest.mark.slow
def test_finer_lattices_narrow_the_interval_by_the_square_of_their_step():
    def width(halvings):
        pair = allocated_rounds.allocated(Mean(((1.0, 20),), 20), Resolution(halvings, 40))
        above = Composition.of([(pair.remove, 1)]).delta(0.5)
        below = Composition.of([(pair.realised[0].remove, 1)]).delta(0.5)
        assert below.lower <= above.upper
        return above.upper - below.lower

    widths = [width(halvings) for halvings in range(4)]
    assert all(3.0 < before / after < 5.0 for before, after in pairwise(widths))


def random_measure(rng, level: int, points: int) -> LatticeMeasure:
    masses = rng.random(points) * np.exp(-0.2 * np.abs(np.arange(points) - points / 2))
    return LatticeMeasure(level, int(rng.integers(-points, 1)), masses / masses.sum(), 0.0)


def calls(values: np.ndarray, masses: np.ndarray, strikes: np.ndarray) -> np.ndarray:
    return np.array([float((masses * np.maximum(values - strike, 0.0)).sum()) for strike in strikes])


@pytest.mark.parametrize("weight", [Fraction(1, 2), Fraction(1, 3), Fraction(5, 11), Fraction(1, 40)])
@pytest.mark.parametrize("finer", [0, 1])
def test_an_averaging_is_that_of_all_pairs_of_points(weight, finer):
    """By brute force over all pairs: above, below and the truth in the same order at every strike, and near."""
    rng = np.random.default_rng(7)
    one, other = random_measure(rng, 4, 60), random_measure(rng, 4, 45)
    for left, right in ((one, other), (one, one)):
        values = np.add.outer(float(weight) * np.exp(left.losses), float(1 - weight) * np.exp(right.losses)).ravel()
        masses = np.multiply.outer(left.masses, right.masses).ravel()
        above = convex_order.above(averaged(left, right, weight, 4 + finer, 1), 0.0)
        below = convex_order.below(averaged(left, right, weight, 4 + finer, 2), 0.0)
        strikes = np.exp(np.linspace(np.log(values.min()) - 0.1, np.log(values.max()) + 0.1, 97))
        exact = calls(values, masses, strikes)
        high, low = (calls(np.exp(law.losses), law.masses, strikes) for law in (above, below))
        room = 0.5 * step(4) ** 2 * float((values * masses).sum())
        assert (low <= exact * (1.0 + 1e-12) + 1e-300).all() and (exact <= high * (1.0 + 1e-12)).all()
        assert (high - low <= room * 2.0).all()
        assert below.masses.sum() > 1.0 - 1e-9


def test_a_wrong_law_below_would_be_found(monkeypatch):
    """The comparison by brute force fails where corners fall by nothing."""
    between = lower_polygon.CornerCells.between

    def without_gaps(*args):
        cells = between(*args)
        falls = tuple(0.0 * fall for fall in cells.falls)
        return lower_polygon.CornerCells(cells.low, cells.high, falls, cells.wider, cells.rounding)

    monkeypatch.setattr(convex_order.CornerCells, "between", without_gaps)
    with pytest.raises(AssertionError):
        test_an_averaging_is_that_of_all_pairs_of_points(Fraction(1, 3), 0)


def test_masses_that_alternate_in_a_tail_have_a_law_below(monkeypatch):
    """Single large outcomes of a coarser lattice: corners between them are left out, and nothing is lost."""
    monkeypatch.setattr(Mean, "by_sums", False)
    law = mean_law.__wrapped__(Mean(((0.834432, 500),), 500), "below", 2, 60)
    assert law.masses.sum() > 1.0 - 1e-8
    assert law.losses[-1] > 6.0


def test_corners_with_a_negative_mass_are_left_out_at_the_expense_of_their_neighbours():
    """Mass and mean are kept, and the polygon lies below the one before."""
    x = np.array([0.0, 1.0, 3.0, 4.0, 6.0, 7.0])
    masses = np.array([0.5, 0.1, -0.2, -0.1, 0.3, 0.4])
    wider = np.append(1.0, np.append(np.diff(x)[1:] / np.diff(x)[:-1], 1.0))
    found, off = lower_polygon._without_negative(masses, wider)
    assert found is not None and (found >= 0.0).all() and (found == 0.0).any()
    assert found.sum() == pytest.approx(masses.sum()) and (found * x).sum() == pytest.approx((masses * x).sum())
    assert (calls(x, found, x) <= calls(x, masses, x) + 1e-15).all()
    assert 0.0 < off.max() < 1e-14
    assert lower_polygon._without_negative(np.array([0.1, -0.5, 0.2]), np.ones(3))[0] is None


@pytest.mark.parametrize(("delta", "place"), [(1e-6, 0.0458), (1e-8, 0.0605), (1e-11, 0.103)])
def test_the_tail_behind_a_steep_bulk_is_found(delta, place):
    """Newton's rule for log delta leaves the bulk for the tail, and comes back below 0: halves find the place."""
    law = allocated_rounds.allocated(Mean(((1.0, 10_000),), 10_000)).remove
    found = Composition.of([(law, 1)]).epsilon(delta)
    assert found.upper - found.lower < 1e-9 and found.upper == pytest.approx(place, rel=0.02)


@pytest.mark.parametrize("noise", [0.2, 1.0, 20.0])
@pytest.mark.parametrize("side", ["above", "below"])
def test_one_lognormal_is_the_gaussian(noise, side):
    law = lognormal(noise, Mean(((noise, 1),), 1).level(3), side, 1e-20)
    for place in (-1.0, 0.0, 0.5, 2.0):
        strike = math.exp(0.5 / noise**2 + place / noise)
        exact = float(lognormal_call(noise, np.array(strike), 1.0))
        found = float((law.masses * np.maximum(np.exp(law.losses) - strike, 0.0)).sum())
        assert found == pytest.approx(exact, rel=2e-2)
        assert (found - exact) * (1.0 if side == "above" else -1.0) >= -1e-12 * exact


def test_how_likely_one_ratio_alone_is_to_take_the_mean_beyond():
    mean = Mean(((1.0, 600), (2.0, 400)), 1000)
    found = mean.log_one_beyond(0.05)
    whole = [special.log_ndtr(-noise * (math.log(50.0) - 0.5 / noise**2)) for noise in (1.0, 2.0)]
    assert found == pytest.approx(max(whole), rel=1e-12)
    assert mean.variance == pytest.approx((600 * math.expm1(1.0) + 400 * math.expm1(0.25)) / 1e6, rel=1e-12)


def test_losses_beyond_floats_are_left_to_other_bounds():
    mean = Mean(((0.02, 10),), 10)
    assert not mean.within_reach
    assert allocated_rounds.allocated(mean).resolved is None


def test_the_exponentials_of_a_window_are_counted_for_all_of_it_and_for_its_parts() -> None:
    """Each argument is off by half a unit of 2^-52 for each 1 in it, three of them for the whole width."""
    law = LatticeMeasure(1, -800, np.full(1601, 1.0 / 1601.0), 0.0)
    found = averaged(law, law, Fraction(1, 2), law.level, 1)
    reach = step(law.level) * len(law.masses)
    assert reach > 500.0 and float(found.rounding.min()) >= 2.0**-52 * (1.5 * reach + 40.0)
