"""Sums on graded lattices: held against all pairs of points, the other way of averaging, and closed forms."""

import math
from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan import accounting
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.pairs import allocated_rounds
from dpplan.accounting.pairs.allocation import Mean, convex_order, graded_lattice, lower_polygon
from dpplan.accounting.pairs.allocation import graded_sum as graded_sum_module
from dpplan.accounting.pairs.allocation.graded_lattice import GradedLattice, MassRun
from dpplan.accounting.pairs.allocation.graded_sum import (
    GradedSum,
    graded_lognormal,
    graded_sum,
    landed,
    lattice_for,
)
from dpplan.accounting.pairs.dominating import Resolution
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import BallsInBins

LATTICE = GradedLattice(-2, 16, 8, 3)


def calls(law: GradedSum, strikes: np.ndarray) -> np.ndarray:
    """E[(S - strike)₊] of the sum less its mean."""
    return np.array([float((law.masses * np.maximum(law.lattice.values - each, 0.0)).sum()) for each in strikes])


def random_sum(rng: np.random.Generator, lattice: GradedLattice, count: int) -> GradedSum:
    """Of mean 0 nearly, with all of the lattice in use."""
    values = lattice.values
    masses = rng.random(lattice.size) * np.exp(-0.05 * np.abs(values) / 2.0**lattice.exponent)
    return GradedSum(lattice, count, masses / masses.sum(), 0.0)


def test_points_are_those_of_a_body_and_of_octaves():
    values = LATTICE.values
    assert LATTICE.size == len(values) == 16 + 8 + 1 + 3 * 4
    assert values[:2].tolist() == [-4.0, -3.75] and values[24:30].tolist() == [2.0, 2.5, 3.0, 3.5, 4.0, 5.0]
    assert values[-1] == 16.0
    assert LATTICE.up_to(16.0).octaves == 3 and LATTICE.up_to(16.1).octaves == 4


@pytest.mark.parametrize("exponent", [-2, -1, 0])
@pytest.mark.parametrize("other", [LATTICE, GradedLattice(-2, 16, 8, 1), GradedLattice(-1, 16, 8, 2)])
@pytest.mark.parametrize("same", [True, False])
def test_a_sum_is_that_of_all_pairs_of_points(exponent, other, same):
    """By brute force: above, below and the truth in the same order at every strike, and near; mass and mean are kept.
    What falls off on the left is little: a body reaches far there."""
    rng = np.random.default_rng(3)
    one = random_sum(rng, LATTICE, 12)
    two = one if same else random_sum(rng, other, 20)
    values = np.add.outer(one.lattice.values, two.lattice.values).ravel()
    masses = np.multiply.outer(one.masses, two.masses).ravel()
    strikes = np.linspace(values.min() - 1.0, values.max() + 1.0, 161)
    exact = np.array([float((masses * np.maximum(values - each, 0.0)).sum()) for each in strikes])
    lattice = GradedLattice(exponent, 64, 16)
    high, low = (calls(one.plus(two, lattice, side, 1e-30), strikes) for side in ("above", "below"))
    assert (low <= exact * (1.0 + 1e-12)).all() and (exact <= high * (1.0 + 1e-12)).all()
    steps = [each.lattice.exponent for each in (one, two)]
    assert (high - low <= 4.0 * 4.0 ** max(exponent, *steps) + 0.02 * exact).all()
    above, below = (one.plus(two, lattice, side, 1e-30) for side in ("above", "below"))
    assert above.masses.sum() == pytest.approx(1.0, abs=1e-11) and below.masses.sum() == pytest.approx(1.0, abs=1e-11)
    mean = float((values * masses).sum())
    for law in (above, below):
        assert float((law.masses * law.lattice.values).sum()) == pytest.approx(mean, abs=1e-10)


def test_points_of_one_body_add_up_to_points():
    """Nothing is put back where no octave is left: both laws are the convolution itself."""
    rng = np.random.default_rng(5)
    lattice = GradedLattice(-3, 64, 16)
    one = random_sum(rng, lattice, 4)
    exact = np.convolve(one.masses, one.masses)
    for side in ("above", "below"):
        law = one.plus(one, GradedLattice(-3, 256, 64), side, 0.0)
        start = 256 - 128
        assert law.masses[start : start + len(exact)] == pytest.approx(exact, rel=1e-9, abs=1e-15)


def test_a_wrong_law_below_would_be_found(monkeypatch):
    monkeypatch.setattr(lower_polygon, "_falls", lambda cells, *_: np.zeros(len(cells.wider)))
    with pytest.raises(AssertionError):
        test_a_sum_is_that_of_all_pairs_of_points(-1, LATTICE, True)


def test_outcomes_merged_in_the_law_above_would_be_found(monkeypatch):
    """A half cell that is wider than where it lands is known by its mean alone: it must be spread for the law above."""
    land = graded_lattice.GradedLanding._land_finer

    def merging(self, *args):
        self.side = "below"
        land(self, *args)
        self.side = "above"

    monkeypatch.setattr(graded_lattice.GradedLanding, "_land_finer", merging)
    with pytest.raises(AssertionError):
        test_a_sum_is_that_of_all_pairs_of_points(-2, LATTICE, True)


@pytest.mark.parametrize("exponent", [-2, -1, 0])
@pytest.mark.parametrize("same", [True, False])
def test_sums_of_all_octaves_at_once_land_as_they_do_one_by_one(monkeypatch, exponent, same):
    """To the last bit: each place gets what it gets in the same order."""
    rng = np.random.default_rng(7)
    one, two = (random_sum(rng, lattice, 12) for lattice in (LATTICE, GradedLattice(-2, 16, 8, 5)))
    two = one if same else two
    at_once = [one.plus(two, GradedLattice(exponent, 64, 8), side, 1e-30) for side in ("above", "below")]

    def one_by_one(self, first, kinds):
        for runs in zip(*kinds, strict=True):
            for run in runs:
                self.add(run)

    monkeypatch.setattr(graded_lattice.GradedLanding, "add_sums", one_by_one)
    for law in at_once:
        side = "above" if law is at_once[0] else "below"
        assert one.plus(two, GradedLattice(exponent, 64, 8), side, 1e-30).masses.tolist() == law.masses.tolist()


@pytest.mark.parametrize("used", [0, 1, 3])
def test_octaves_without_mass_change_nothing(used):
    rng = np.random.default_rng(8)
    full, more = GradedLattice(-2, 16, 8, used), GradedLattice(-2, 16, 8, 6)
    one = random_sum(rng, full, 12)
    padded = GradedSum(more, 12, np.append(one.masses, np.zeros(more.size - full.size)), 0.0)
    for lattice in (GradedLattice(-2, 64, 8), GradedLattice(0, 64, 8)):
        for other, others in ((one, padded), (random_sum(rng, full, 20),) * 2):
            found = padded.plus(others, lattice, "above", 1e-30).masses.tolist()
            assert found == one.plus(other, lattice, "above", 1e-30).masses.tolist()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.04, 0.5])
def test_heights_are_those_of_a_plain_loop(share):
    """To the last bit, whether few of the widths that follow one another differ or many do."""
    rng = np.random.default_rng(4)
    low, high, points = rng.random(499), rng.random(499), rng.random(500)
    wider = np.where(rng.random(500) < share, rng.uniform(0.4, 2.0, 500), 1.0)
    cells = lower_polygon.CornerCells(low, high, (low, low, low), wider, low)
    mass = depth = 0.0
    depths, masses = [0.0], [0.0]
    for i in range(499):
        mass += points[i]
        depth = (depth + mass + low[i]) / wider[i + 1]
        mass += low[i] + high[i]
        depths.append(depth)
        masses.append(mass)
    assert [each.tolist() for each in lower_polygon._from_left(cells, points)] == [masses, depths]
    mass = height = 0.0
    heights, masses = [0.0], [0.0]
    for i in reversed(range(499)):
        mass += points[i + 1]
        height = height * wider[i + 1] + mass + high[i]
        mass += low[i] + high[i]
        heights.append(height)
        masses.append(mass)
    assert [each.tolist()[::-1] for each in lower_polygon._from_right(cells, points)] == [masses, heights]


def test_a_run_in_coarser_cells_keeps_mass_and_mean():
    rng = np.random.default_rng(1)
    run = MassRun.of_points(0, -3, rng.random(9))
    coarse = run.coarser().coarser()
    assert coarse.exponent == 2 and coarse.cells is not None
    at = 4.0 * np.arange(coarse.start, coarse.end)
    mass = coarse.points + coarse.cells[0] + coarse.cells[2]
    assert mass.sum() == pytest.approx(run.points.sum(), rel=1e-14)
    found = float((mass * at).sum() + 4.0 * (coarse.cells[1] + coarse.cells[3]).sum())
    assert found == pytest.approx(float((run.points * np.arange(-3, 6)).sum()), rel=1e-13)


@pytest.mark.parametrize("side", ["above", "below"])
@pytest.mark.parametrize("noise", [0.6, 1.0, 20.0])
def test_one_lognormal_is_the_gaussian(noise, side):
    law = graded_lognormal(noise, 2, side, 1e-20)
    assert float(law.masses.sum()) == pytest.approx(1.0, abs=1e-9)
    for place in (-1.0, 0.0, 0.5, 2.0):
        strike = math.exp(0.5 / noise**2 + place / noise)
        d = (0.5 / noise**2 - math.log(strike)) * noise
        exact = 0.5 * math.erfc(-d / math.sqrt(2.0)) - strike * 0.5 * math.erfc(-(d - 1.0 / noise) / math.sqrt(2.0))
        found = float(calls(law, np.array([strike - 1.0]))[0])
        assert found == pytest.approx(exact, rel=1e-2)
        assert (found - exact) * (1.0 if side == "above" else -1.0) >= -1e-11 * exact


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(("noise", "count"), [(0.6, 60), (1.0, 9), (1.0, 200), (3.0, 1000)])
def test_variances_lie_on_either_side_and_near(noise, count):
    exact = count * math.expm1(noise**-2)
    for side, sign in (("above", 1.0), ("below", -1.0)):
        law = graded_sum(noise, count, 2, side, 1e-17)
        variance = float((law.masses * law.lattice.values**2).sum())
        assert variance == pytest.approx(exact, rel=1e-3)
        assert sign * (variance - exact) > 0.0


@pytest.mark.parametrize("total", [9, 90])
def test_what_is_cut_off_a_law_above_keeps_the_mean(total):
    """Of R, some of whose steps may not be taken: where a part is moved to 0, the rest goes to +inf."""
    law = landed(graded_sum(1.0, 9, 1, "above", 1e-3), total, 7, 1)
    found = convex_order.above(law, 1e-12)
    assert found.zero > 1e-4
    mean = float((found.masses * np.exp(found.losses)).sum()) + found.beyond
    assert mean >= 1.0 - 1e-9


def test_the_lattice_of_a_sum_becomes_coarser_as_it_grows():
    lattices = [lattice_for(1.0, 4**k, 0, 1e-20) for k in range(2, 6)]
    assert [each.exponent - lattices[0].exponent for each in lattices] == [0, 1, 2, 3]


@pytest.mark.parametrize(("bins", "reach"), [(8, 210), (10, 140), (10, 210), (20, 320), (32, 180)])
def test_the_lattice_reaches_as_far_as_was_asked_at_much_noise(bins, reach):
    """Its left end was 10 to 18 standard deviations off, and what lies beyond counts as an infinite loss."""
    parts = ((500.0 / math.sqrt(2.0), bins // 2), (500.0, bins - bins // 2))
    pair = allocated_rounds.allocated(Mean(parts, bins), Resolution(0, reach))
    for law in (pair.remove, pair.add):
        assert 0.0 < law.infinite < math.exp(5.0 - reach)


def test_a_tiny_delta_of_few_bins_that_are_kept_is_known():
    plan = Plan((Phase(Gaussian(500.0), BallsInBins(10, "same"), 15),))
    found = accounting.epsilon(plan, 1e-80)
    # By the other way of averaging, on a lattice of logarithms: [0.01430647, 0.01430718].
    assert found.relative_width is not None and found.relative_width < 2e-4
    assert found.lower <= 0.01430718 and found.upper >= 0.01430647


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize(("noise", "count", "total"), [(1.0, 40, 40), (0.7, 90, 90), (2.0, 25, 31)])
@pytest.mark.parametrize("direction", ["remove", "add"])
def test_both_ways_to_a_mean_prove_intervals_that_meet(monkeypatch, noise, count, total, direction):
    mean, found = Mean(((noise, count),), total), []
    assert mean.by_sums
    for by_sums, halvings in ((True, 2), (False, 2)):
        monkeypatch.setattr(Mean, "by_sums", by_sums)
        pair = allocated_rounds.allocated(mean, Resolution(halvings, 41 + by_sums))
        for epsilon in (0.1, 1.0):
            above, below = (Composition.of([(getattr(each, direction), 3)]) for each in (pair, pair.realised[0]))
            found.append((below.delta(epsilon).lower, above.delta(epsilon).upper))
    for (low, high), (other_low, other_high) in zip(found[:2], found[2:], strict=True):
        assert low <= high <= 1.03 * low and low <= other_high and other_low <= high


@pytest.mark.sweep(every=2, slow=("1.0-1000",))
@pytest.mark.parametrize(("noise", "per_epoch", "count"), [(1.0, 1000, 10), (2.0, 10_000, 1), (0.6, 60, 3)])
def test_widths_do_not_grow_with_the_steps_of_an_epoch(noise, per_epoch, count):
    plan = Plan((Phase(Gaussian(noise), BallsInBins(per_epoch), per_epoch * count),))
    assert accounting.epsilon(plan, 1e-6).relative_width <= 2e-4


@pytest.mark.slow
@pytest.mark.parametrize("per_epoch", [10, 100, 1000, 10_000, 100_000])
@pytest.mark.parametrize("noise", [0.4, 0.5, 0.7, 1.0, 2.0, 4.0])
def test_widths_over_a_table(noise, per_epoch):
    for count, delta in ((1, 1e-5), (1, 1e-8), (10, 1e-6), (100, 1e-5)):
        plan = Plan((Phase(Gaussian(noise), BallsInBins(per_epoch), per_epoch * count),))
        assert accounting.epsilon(plan, delta).relative_width <= 2e-4, (noise, per_epoch, count, delta)


def test_with_much_noise_what_lies_below_the_lattice_is_counted(monkeypatch):
    noise = 100.0
    monkeypatch.setattr(graded_sum_module, "LEFT", 2)  # at 4 a float holds nothing of what lies below
    found = graded_lognormal(noise, 0, "above", 1e-250)
    start = 1.0 + found.lattice.values[0]
    assert start > 0.5  # the lattice does not reach a ratio of 0
    x = noise**2 * math.log(start) + 0.5
    assert found.zero >= 0.5 * math.erfc(-x / noise / math.sqrt(2.0)) > 0.0


def test_no_sum_above_lies_left_of_a_ratio_of_0():
    """In a cell around -count, what goes to its left end would be moved to 0, and what adding costs be understated."""
    lattice = GradedLattice(2, 16, 4)  # steps of 4, and a count of 14: the sum may lie in the cell from -16 to -12
    one, two = (GradedSum(GradedLattice(0, 8, 8), 7, np.zeros(17), 0.0) for _ in range(2))
    one.masses[[1, 15]] = two.masses[[2, 14]] = 0.5  # sums of -7 or 7, and of -6 or 6
    found = one.plus(two, lattice, "above", 1e-30)
    ratio = np.maximum(1.0 + found.lattice.values / 14.0, 0.0)
    for factor in (1.0, 2.0, 6.9, 20.0):
        exact = sum(0.25 * max(1.0 - factor * (1.0 + total / 14.0), 0.0) for total in (-13.0, -1.0, 1.0, 13.0))
        claimed = float((found.masses * np.maximum(1.0 - factor * ratio, 0.0)).sum()) + found.zero
        assert claimed >= exact


def exact_calls(outcomes: list[tuple[Fraction, Fraction]], strikes: list[Fraction]) -> list[Fraction]:
    """E[(S - strike)₊] and E[(strike - S)₊], in order, of (value, mass)."""
    gains = [[(value - each, mass) for value, mass in outcomes] for each in strikes]
    return [sum(max(sign * gap, 0) * mass for gap, mass in row) for row in gains for sign in (1, -1)]


@pytest.mark.parametrize("exponent", [-2, 0])
@pytest.mark.parametrize("same", [True, False])
def test_laws_of_a_sum_are_on_either_side_in_exact_fractions(exponent, same):
    """Of all pairs of points, at points of the lattice and between them, both ways: with no room for any rounding. What
    falls to the left end is counted at a ratio of 0, where the sum is -count."""
    rng = np.random.default_rng(9)
    one = random_sum(rng, LATTICE, 12)
    two = one if same else random_sum(rng, GradedLattice(-2, 16, 8, 1), 20)
    points = [
        [(Fraction(value), Fraction(mass)) for value, mass in zip(law.lattice.values, law.masses, strict=True)]
        for law in (one, two)
    ]
    sums: dict[Fraction, Fraction] = defaultdict(Fraction)
    for value, mass in points[0]:
        for other, others in points[1]:
            sums[value + other] += mass * others
    strikes = [Fraction(each) for each in (-8, -4.125, -1, 0, 0.125, 0.25, 3, 5.0625, 12, 31)]
    truth = exact_calls(list(sums.items()), strikes)
    lattice = GradedLattice(exponent, 64, 16)
    for side, sign in (("above", 1), ("below", -1)):
        law = one.plus(two, lattice, side, 1e-30)
        rows = [(Fraction(v), Fraction(mass)) for v, mass in zip(law.lattice.values, law.masses, strict=True)]
        rows.append((Fraction(-law.count), Fraction(law.zero)))
        found = exact_calls(rows, strikes)
        for claimed, exact in zip(found, truth, strict=True):
            assert sign * (claimed - exact) >= 0
            assert abs(claimed - exact) <= Fraction(2) * Fraction(4) ** exponent + exact / 25


def call_on_two(noise: float, strike: float) -> mpf:
    """E[(r + r' - strike)₊] of two independent ratios: over the one, of the call on the other in closed form."""
    s, k = mpf(noise), mpf(strike)

    def of_one(left: mpf) -> mpf:
        if left <= 0:
            return 1 - left
        d = (1 / (2 * s * s) - mp.log(left)) * s
        return mp.ncdf(d) - left * mp.ncdf(d - 1 / s)

    def over(y: mpf) -> mpf:
        return mp.npdf(y) * of_one(k - mp.exp(y / s - 1 / (2 * s * s)))

    kink = (mp.log(k) + 1 / (2 * s * s)) * s
    panels = sorted([mpf(-11), mpf(-3), mpf(0), mpf(3), 11 + 1 / s, kink, kink - mpf(1) / 8, kink - 1])
    return mp.quad(over, [each for each in panels if -11 <= each <= 11 + 1 / s], maxdegree=4)


@pytest.mark.parametrize("noise", [pytest.param(0.6, marks=pytest.mark.slow), 3.0])
def test_two_lognormals_are_held_by_an_integral_in_mpmath(noise):
    """Above, the truth, below, at the mean and far out; P-mass that was cut off is at +inf, as a
    share of the mean."""
    laws = {side: graded_sum(noise, 2, 2, side, 1e-18) for side in ("above", "below")}
    with mp.workdps(20):
        for strike in (2.0, 2.0 + 4.0 / noise):
            exact = call_on_two(noise, strike)
            for side, sign in (("above", 1), ("below", -1)):
                law = laws[side]
                gains = np.maximum(law.lattice.values + (2.0 - strike), 0.0)
                found = math.fsum((law.masses * gains).tolist()) + 2.0 * law.beyond
                assert sign * (found - exact) >= -1e-14 * exact
                assert abs(found - exact) <= 2e-4 * exact


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(("noise", "count"), [(1.0, 9), (1.0, 200), (3.0, 1000)])
def test_fourth_moments_lie_on_either_side_of_the_closed_form(noise, count):
    """n·μ₄ + 3n(n - 1)·μ₂² of the lognormal's own: a convex function of the sum, which looks at its tails."""
    with mp.workdps(30):
        w = mp.exp(1 / mpf(noise) ** 2)
        second, fourth = w - 1, (w - 1) ** 2 * (w**4 + 2 * w**3 + 3 * w**2 - 3)
        exact = count * fourth + 3 * count * (count - 1) * second**2
        for side, sign in (("above", 1.0), ("below", -1.0)):
            law = graded_sum(noise, count, 2, side, 1e-18)
            moment = mpf(float((law.masses * law.lattice.values**4).sum()))
            assert 0.0 <= sign * (moment / exact - 1) <= 1e-3


def test_what_lies_where_the_sum_is_0_is_added_up_from_above() -> None:
    lattice = GradedLattice(0, 4096, 64)
    masses = np.where(lattice.values <= -8.0, 2.0**-55, np.where(lattice.values == 8.0, 0.5, 0.0))
    masses[0] = 0.5  # beside which each of the others is lost
    found = landed(GradedSum(lattice, 8, masses, 0.0), 8, 6, 1)
    true = sum(Fraction(each) for each in masses[lattice.values <= -8.0].tolist())
    assert true <= Fraction(found.zero) <= true * Fraction(1.0 + 1e-11)


def test_a_law_without_mass_lands_nowhere():
    law = landed(GradedSum(GradedLattice(0, 8, 8), 7, np.zeros(17), 0.0), 7, 6, 2)
    assert not convex_order.below(law, 1e-12).masses.any()
