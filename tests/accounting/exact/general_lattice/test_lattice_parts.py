"""The general lattice's parts by themselves: one step, the polygons around a cell's masses, the coarse picture."""

import math

import numpy as np
import oracle
import pair_oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting import pairs
from dpplan.accounting.exact.general_lattice import Accuracy, Composition, _Plan
from dpplan.accounting.exact.general_lattice.coarse_pld import LOG_TILTS, CoarseMasses, Sketch
from dpplan.accounting.exact.general_lattice.composed import Composed, ComposedMasses, DeltaKernel, SuffixSums
from dpplan.accounting.exact.general_lattice.discretise import Lattice, Side, discretise
from dpplan.accounting.exact.general_lattice.lower_polygon import Cells, lowered, spread
from dpplan.accounting.exact.general_one_step import FARTHEST, delta_ends, mass_at_the_top
from dpplan.accounting.pairs import GaussianLoss, LaplaceLoss, Resolution, allocated_rounds
from dpplan.accounting.pairs.allocation import Mean
from dpplan.accounting.pairs.finite import Finite

SAMPLED = pairs.subsampled(pairs.gaussian(0.9), 0.1).remove
STEPS = {
    "sampled": (SAMPLED, lambda e: oracle.step_delta(0.1, 0.9, mpf(e))),
    "gaussian": (pairs.gaussian(0.4).remove, lambda e: oracle.step_delta(1.0, 0.4, mpf(e))),
    "laplace": (pairs.laplace(0.7).remove, lambda e: pair_oracle.one_laplace_delta(0.7, e)),
    "stated": (pairs.stated(0.7, 1e-3).remove, lambda e: pair_oracle.stated_delta(0.7, 1e-3, 1, e)),
}


@pytest.mark.parametrize("name", STEPS)
def test_one_step_is_held_between_two_figures_that_are_nearly_one(name: str) -> None:
    law, truth = STEPS[name]
    for epsilon in (-0.5, 0.0, 0.3, 0.69, 1.4, 3.0):
        lower, upper, _ = delta_ends(law, epsilon)
        with mp.workdps(40):
            delta = truth(epsilon)
            assert lower <= delta <= upper
            assert upper - lower <= mpf("1e-12") * (delta + mpf("1e-3"))


def test_one_step_falls_as_fast_as_it_says() -> None:
    _, _, fall = delta_ends(SAMPLED, 1.0)
    width = 1e-5
    apart = delta_ends(SAMPLED, 1.0 - width)[0] - delta_ends(SAMPLED, 1.0 + width)[0]
    assert fall == pytest.approx(apart / (2.0 * width), rel=1e-6)


def test_beyond_floats_one_step_is_bounded_by_what_is_known() -> None:
    lower, upper, fall = delta_ends(pairs.stated(700.0, 0.25).remove, FARTHEST + 1.0)
    assert lower <= 0.25 <= upper <= 1.0
    assert fall == 0.0
    assert delta_ends(SAMPLED, FARTHEST + 1.0)[:2] == pytest.approx((0.0, 0.0), abs=1e-290)


def cells(seed: int, count: int) -> Cells:
    rng = np.random.default_rng(seed)
    mass = rng.exponential(1.0, (count, 2)) * np.exp(-0.5 * ((np.arange(count) - count / 2) / 4.0) ** 2)[:, None]
    place = np.sort(rng.uniform(0.0, 1.0, (count, 2)), axis=1)
    return Cells(mass, place)


def curve(masses: np.ndarray, ratios: np.ndarray, at: np.ndarray) -> np.ndarray:
    """∫(dP - α·dQ)₊ of outcomes with these Q-masses and likelihood ratios."""
    return np.array([float((masses * np.maximum(ratios - alpha, 0.0)).sum()) for alpha in at])


@pytest.mark.parametrize("tilt", [0.0, 1.5])
@pytest.mark.parametrize("seed", range(6))
def test_the_polygons_lie_on_either_side_of_the_curve(seed: int, tilt: float) -> None:
    h, count = 0.2, 40
    given = cells(seed, count)
    corners = np.exp(h * np.arange(count + 1))
    inside = corners[:-1, None] + given.place * np.diff(corners)[:, None]
    at = np.concatenate((corners, inside.ravel(), np.linspace(0.5, corners[-1] + 1.0, 301)))
    truth = curve(given.mass.ravel(), inside.ravel(), at)
    lift = math.exp(tilt * h)
    scale = lift ** np.arange(count + 1)
    tilted = Cells(given.mass * scale[:-1, None], given.place)
    upper = curve(spread(tilted, lift) / scale, corners, at)
    low, added, _ = lowered(tilted, math.exp(h), lift)
    lower = curve(low / scale, corners, at)
    rounding = 1e-12 * truth[0]
    assert np.all(upper >= truth - rounding)
    assert np.all(lower <= truth + rounding + added * corners[-1])
    assert np.all(low >= 0.0)
    assert upper[0] == pytest.approx(truth[0])  # far below, both keep both measures
    if tilt == 0.0:  # then every loss to the point below is what it does at worst
        assert np.all(lower >= curve(given.mass.sum(axis=1), corners[:-1], at) * (1.0 - 1e-9))


def test_of_a_smooth_law_the_lower_polygon_is_as_near_as_the_upper_one() -> None:
    """Both of second order: four times nearer where the cells are half as wide."""
    excess = []
    for count in (40, 80):
        h = 8.0 / count
        corners = np.exp(h * np.arange(count + 1) - 4.0)
        halves = np.exp(h * (np.arange(2 * count) * 0.5 + 0.25) - 4.0).reshape(count, 2)
        mass = np.exp(-0.5 * np.log(halves) ** 2) * h
        scale = np.exp(
            0.5 * h * np.arange(count + 1)
        )  # without a tilt the first-order law is as good by its own measure
        smooth = Cells(mass * scale[:-1, None], (halves - corners[:-1, None]) / np.diff(corners)[:, None])
        lift, truth = float(scale[1]), curve(mass.ravel(), halves.ravel(), corners)
        upper = curve(spread(smooth, lift) / scale, corners, corners)
        lower = curve(lowered(smooth, math.exp(h), lift)[0] / scale, corners, corners)
        assert upper == pytest.approx(truth, rel=1e-12)  # it goes through the curve at the corners
        excess.append(float(np.max(truth - lower)))
    assert 3.0 < excess[0] / excess[1] < 5.0


def test_the_chord_of_a_cell_is_above_its_halves_by_what_is_stated() -> None:
    one = Cells(np.array([[2.0, 3.0]]), np.array([[0.25, 0.5]]))
    chord = curve(spread(one, 1.0), np.array([1.0, 2.0]), np.array([1.25, 1.5]))
    halves = curve(one.mass.ravel(), np.array([1.25, 1.5]), np.array([1.25, 1.5]))
    assert one.gap.tolist() == pytest.approx([float(np.max(chord - halves))])
    assert [side.tolist() for side in one.ends] == [[3.0], [2.0]]


def test_empty_cells_part_the_mass_into_blocks() -> None:
    mass = np.zeros((9, 2))
    mass[1], mass[7] = (0.3, 0.1), (0.2, 0.2)
    masses, added, failed = lowered(Cells(mass, np.full((9, 2), 0.5)), 1.1, 1.0)
    assert masses[3:7].tolist() == [0.0] * 4
    assert masses.sum() <= 0.8
    assert masses.sum() == pytest.approx(0.8, rel=1e-12)  # every loss fell to the point below: the measures are kept
    assert added >= 0.0
    assert not failed  # of one cell each: no polygon is missed


@pytest.mark.parametrize(("sigma", "rate", "steps"), [(0.5, 1e-4, (1e-3, 5e-4, 2e-4, 1e-4)), (0.5, 1e-3, (5e-3, 1e-3))])
def test_a_finer_lattice_is_no_worse_where_a_lump_is_merged(
    sigma: float, rate: float, steps: tuple[float, ...]
) -> None:
    """Where what is merged ended within a cell, no polygon began there, and all losses beside it were moved down."""
    law, tilt, gaps = pairs.subsampled(pairs.gaussian(sigma), rate).remove, 4.0, []
    for h in steps:
        found = discretise(law, Lattice(h, (1.0 + tilt) * h), (-2.0 * rate, 12.0))
        up, down = (math.log(side.masses.sum()) + (1.0 + tilt) * side.loss for side in (found.up, found.down))
        assert not found.failed and down < up
        gaps.append(up - down)
    assert np.all(np.diff(gaps) < 0.0)


def test_a_coarse_range_keeps_all_but_what_was_asked() -> None:
    law = pairs.gaussian(1.0).remove  # the loss is N(1/2, 1) under P
    low, high = CoarseMasses.of(law).kept(math.log(1e-6))
    tail = 4.753424308  # standard deviations of 1e-6
    assert high == pytest.approx(0.5 + tail, abs=0.4)
    assert low == pytest.approx(0.5 - tail, abs=0.4)
    assert CoarseMasses.of(pairs.laplace(2.0).remove).kept(-30.0) == (-0.5, 0.5)


@pytest.mark.parametrize("tilt", [0.1, 1.0, 8.0])
def test_a_sketch_knows_its_moments_to_a_few_parts_in_a_thousand(tilt: float) -> None:
    law, count = pairs.gaussian(2.0).remove, 12.0
    saddle = Sketch.of([(law, count)], [(-4.0, 5.0)]).at(tilt)
    assert saddle.log_moment == pytest.approx(count * tilt * (tilt + 1.0) / 8.0, rel=2e-3)
    assert saddle.slope == pytest.approx(count * (2.0 * tilt + 1.0) / 8.0, rel=2e-3)
    assert saddle.curvature == pytest.approx(count / 4.0, rel=5e-3)


def test_a_sketch_finds_the_place_of_an_epsilon_and_of_a_delta() -> None:
    with np.errstate(divide="ignore"):  # as the engine calls it
        sketch = Sketch.of(
            [(SAMPLED, 50.0), (pairs.laplace(3.0).remove, 4.0)], [(SAMPLED.bounds[0], 6.0), (-0.34, 0.34)]
        )
    assert sketch.for_epsilon(3.0).epsilon == pytest.approx(3.0, rel=1e-4)
    assert sketch.for_log_delta(-12.0).log_delta == pytest.approx(-12.0, rel=1e-4)
    assert math.exp(LOG_TILTS[0]) < sketch.for_epsilon(3.0).tilt < math.exp(LOG_TILTS[1])
    assert sketch.largest == pytest.approx(50 * 6.0 + 4 / 3, rel=0.01)
    # All of the sampled Gaussian is smooth, and of Laplace's all but its atoms.
    assert sketch.roughness(1.0) == pytest.approx(0.25 * (50.0 + 4.0 * (1.0 - 0.5 - 0.5 * math.exp(-1 / 3))), rel=1e-3)


def test_the_mass_at_the_top_is_that_of_losses_near_the_largest() -> None:
    top = mass_at_the_top(pairs.laplace(2.0).remove, 0.0)
    assert 0.5 <= top <= 0.5 * (1.0 + 1e-12)  # the atom
    near = mass_at_the_top(pairs.laplace(2.0).remove, 0.1)
    with mp.workdps(30):  # P[x < 0.1] - its loss is (1 - 2x)/2 on [0, 1], x ~ Laplace(0, 2) - is 1 - e^(-0.05)/2
        truth = 1 - mp.exp(-mpf("0.05")) / 2
    assert truth <= near <= truth * (1 + mpf("1e-12"))
    stated = mass_at_the_top(pairs.stated(0.7, 1e-3).remove, 0.0)
    kept = 0.999 * math.exp(0.7) / (1.0 + math.exp(0.7))
    assert kept * (1.0 - 1e-14) <= stated <= kept * (1.0 + 1e-12)


@pytest.mark.parametrize(
    ("size", "h", "tilt"), [(1024, 1e-2, 0.5), (4096, 2e-3, 3.0), (2048, 0.4, 40.0), (1024, 1e-9, 1.0)]
)
def test_sums_from_any_point_on_are_those_that_are_added_up_there(size: int, h: float, tilt: float) -> None:
    """Over one period and what is left of the one before."""
    kernel = DeltaKernel.of(Lattice(h, (1.0 + tilt) * h), size)
    masses = np.random.default_rng(size).exponential(size=size) ** 4
    sums = SuffixSums(masses, kernel)
    points = [0, 1, size - 1, sums.block, sums.block + 1, -1, -3 * size + 5, 7 * size + sums.block - 1]
    first, near = sums.at(points)
    for k, point in enumerate(points):
        start = point % size
        weights = np.tile(masses, 2)[start:]
        j = np.arange(len(weights))
        fade = np.exp(-tilt * h * j)
        assert near[k] == pytest.approx(math.fsum(weights * fade), rel=1e-12)
        assert first[k] == pytest.approx(math.fsum(weights * fade * -np.expm1(-h * j)), rel=1e-12)


@pytest.mark.parametrize(("size", "h", "tilt"), [(1024, 1e-2, 0.5), (4096, 2e-3, 3.0), (2048, 1e-3, 0.4)])
def test_whole_sums_are_those_over_all_periods(size: int, h: float, tilt: float) -> None:
    kernel = DeltaKernel.of(Lattice(h, (1.0 + tilt) * h), size)
    masses = np.random.default_rng(size).exponential(size=size) ** 4
    sums = SuffixSums(masses, kernel, whole=True)
    points = [0, 1, size - 1, sums.block, -3, 7 * size + sums.block + 1]
    first, near = sums.at(points)
    for k, point in enumerate(points):
        weights = np.tile(masses, 64)[point % size :]
        j = np.arange(len(weights))
        fade = np.exp(-tilt * h * j)
        assert near[k] == pytest.approx(math.fsum(weights * fade), rel=1e-11)
        assert first[k] == pytest.approx(math.fsum(weights * fade * -np.expm1(-h * j)), rel=1e-11)


def test_sums_with_aliases_are_those_of_delta_a_period_apart() -> None:
    """Where the period is so short that they count; beside a lattice whose period is long."""
    law, count = pairs.laplace(1.0).remove, 3
    short, long = (
        Composed([(discretise(law, lattice, (-1.1, 1.1)), float(count))], lattice, points, 0.7, np.array([1.5]))
        for points in (1024, 8192)
        for lattice in [Lattice(4.0 / 1024, 1.7 * 4.0 / 1024)]
    )
    epsilons = np.array([-2.0, -0.3, 0.0, 0.6, 1.9])
    low, high = short.with_aliases(epsilons)
    shifts = short.period * np.arange(-8, 3)
    ends = np.array([long.ends(epsilons + shift) for shift in shifts])  # [period, side, ε]
    weights = np.exp(0.7 * shifts)[:, None]
    assert np.all(low <= (weights * ends[:, 1]).sum(axis=0) * (1.0 + 1e-9) + 1e-9)
    assert np.all((weights * ends[:, 0]).sum(axis=0) * (1.0 - 1e-9) <= high)
    assert np.all(high - low <= 1e-3 * high)


@pytest.mark.parametrize("over_a_period", [1e-2, 2.0, 5.0, 10.0, 30.0])
def test_masses_that_may_be_errors_alone_prove_nothing_from_below(over_a_period: float) -> None:
    """However little the weights fall over a period: a sum covers up to two of them. Also if all errors are alike."""
    size, h = 1024, 1e-2
    lattice = Lattice(h, h + over_a_period / size)
    kernel = DeltaKernel.of(lattice, size)
    epsilons = h * np.arange(0.5, size, 37.0)
    for off, sign in ((1e-9, -1.0), (-1e-9, 1.0)):
        masses = ComposedMasses(np.full(size, off), 1e-9, 0.0, 0.0, 0.0, 0.0)
        for whole in (False, True):
            found = masses.many(epsilons, lattice, SuffixSums(masses.masses, kernel, whole=whole), sign)
            assert np.all(sign * found >= 0.0)  # the truth may be none


@pytest.mark.slow
@pytest.mark.parametrize("place", [300.0, 30.0, 5.0])
def test_a_lattice_far_out_does_not_bound_what_is_near_by_masses_that_underflowed(place: float) -> None:
    """Laid where δ is e^-10^7, it holds nothing of the losses at which nearly all of the mass is."""
    run = Composition.of([(LaplaceLoss(1.0), 2), (GaussianLoss(20.0), 2)])
    lower, upper = run.around(place)(np.array([0.0, 1.0, place]))
    assert lower[1] <= 0.2423103 < 0.2423104 <= upper[1]
    assert upper[0] > 0.3


@pytest.mark.parametrize("count", [3000, 7000, 9999])
def test_many_atoms_at_one_point_are_held_between_both_laws(count: int) -> None:
    """They are added up one by one, each with a rounding: from above there was less than all, from below more."""
    law = discretise(Finite(((1.0 / count, 1.0 / count),) * count), Lattice(0.1, 0.2), (-1.0, 1.0))
    whole = math.fsum([1.0 / count] * count)
    above, below = (math.fsum(side.masses) * math.exp(law.shift) for side in (law.up, law.down))
    assert (1.0 - 1e-11) * whole < below < (1.0 - 1e-14) * whole < (1.0 + 1e-14) * whole < above < (1.0 + 1e-11) * whole


def test_masses_that_a_period_lays_over_each_other_are_counted_as_so_many() -> None:
    """All of it at odd places, and half a turn to a place: a half first, beside which each of a thousand is lost."""
    composed = Composed.__new__(Composed)
    composed.points, composed._angles = 4, math.pi / 2 * np.arange(3)
    share = np.zeros(4100)
    share[101::4], share[101] = 2.0**-55, 0.5
    drop, _, off = composed._characteristic(Side(0.0, 0, share), share)
    true = 2.0 * math.fsum(share.tolist())  # φ there is minus all of it, and 1 - φ counts from all of it
    assert 1e-14 < abs(float(drop[2]) - true) <= off[2]


def test_where_all_that_is_not_known_is_rounding_no_finer_lattice_is_laid(monkeypatch):
    """It would be wider, and around this one: it adds nothing to the interval."""
    pair = allocated_rounds.allocated(Mean(((1.0, 20_000),), 20_000), Resolution(0, 70))
    run, laid, points = Composition.of([(pair.remove, 10)]), _Plan.laid, []

    def counted(*asked):
        found = laid(*asked)
        points.append(found.composed.points)
        return found

    monkeypatch.setattr(_Plan, "laid", counted)
    found = run.epsilon(1e-20, Accuracy(5e-4))
    assert found.relative_width > 5e-4
    assert len(set(points)) == 1
    monkeypatch.setattr(Composed, "improves", lambda own, most, epsilon: own.points < most)
    assert run.epsilon(1e-20, Accuracy(5e-4, 2**16)) == found
    assert len(set(points)) == 2


@pytest.mark.parametrize("period", [1e-10, 1e-7, 1e-4, 1.0, 30.0])
@pytest.mark.parametrize("turned", [0.8, 3.0, 15.0])
def test_sums_over_all_periods_keep_their_digits_where_a_period_is_tiny(period: float, turned: float) -> None:
    """1 - e^(-Λ) lost them: what was told was off by up to 1e-11, and no bound counted it."""
    points = 1024
    h = period / points
    lattice = Lattice(h, (1.0 + turned / period) * h)
    kernel = DeltaKernel.of(lattice, points)
    masses = np.random.default_rng(5).random(points)
    found, sums = ComposedMasses(masses, 0.0, 0.0, 0.0, 0.0, 0.0), SuffixSums(masses, kernel, whole=True)
    epsilons = np.array([0.0, 0.3 * period, -0.4 * period, 0.5 * h])
    low, high = (found.many(epsilons, lattice, sums, side) for side in (-1.0, 1.0))
    with mp.workdps(50):
        r, step = mpf(lattice.r), mpf(lattice.h)
        for at, epsilon in enumerate(map(mpf, epsilons.tolist())):
            first = int(mp.floor(epsilon / step)) + 1
            own = [(mpf(float(masses[n % points])), n) for n in range(first, first + points)]
            gain = sum(mass * mp.exp(-(r - step) * n) for mass, n in own) / (1 - mp.exp(-(r - step) * points))
            lost = sum(mass * mp.exp(-r * n) for mass, n in own) / (1 - mp.exp(-r * points))
            assert low[at] <= gain - mp.exp(epsilon) * lost <= high[at]
