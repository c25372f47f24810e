"""The law of a mean of many lognormals, by sums on graded lattices: exact where two points of the body add up.

What is averaged on a lattice of logarithms is put back there at each doubling, and what that adds to the variance
weighs most at the last ones: the more there are, the finer has such a lattice to be, and it takes (points) x (cells) to
average two laws. Sums of the body of a graded lattice stay on it; it only becomes coarser by two at every second
doubling. So the work of a doubling is that of one convolution, whatever the count.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs.allocation.averaging import UNDERFLOW, Landed
from dpplan.accounting.pairs.allocation.convex_order import lowered
from dpplan.accounting.pairs.allocation.graded_lattice import GradedLanding, GradedLattice, added
from dpplan.accounting.pairs.allocation.lattice_measure import Side, step
from dpplan.accounting.pairs.allocation.lower_polygon import LEAST_MASS, PointScale
from dpplan.accounting.pairs.law import EPS, Array
from dpplan.accounting.pairs.unsampled_gaussian import GaussianLoss

# Steps of the body to a standard deviation of the sum, at least, before any halving; standard deviations to its right
# end, and how much further it reaches on the left, where it holds all that matters of a tail: 18 standard deviations,
# or 10 of a sum with as much of other noise, and twice as many where less than e^-TAIL is to be cut off.
FEWEST, RIGHT, LEFT, TAIL = 14, 5, 4, 110.0
MOST_SHARE = 0.25  # of the sum, for what counts as its standard deviation: of few, some are far from their mean
HUGE = 700.0


@dataclass(frozen=True, eq=False)
class GradedSum:
    """Of `count` ratios of mean 1: masses on the points of a lattice for the sum less its mean, under Q.

    As in LatticeMeasure: an upper law's masses are at least, and a lower one's at most, those of a law above or below
    that of such a sum of r·(1 + θ), |θ| <= moved. zero: Q-mass of an upper law where the whole sum that this is a part
    of is 0; beyond: what is at +inf, as a share of the mean. Moving all of a sum of which one part is 0 to 0 and
    +inf is a spread.
    """

    lattice: GradedLattice
    count: int
    masses: Array
    moved: float
    zero: float = 0.0
    beyond: float = 0.0

    @property
    def total(self) -> float:
        """All mass, rounded up; about that times their mean is the mean."""
        return outward.up(float(self.masses.sum()) + self.zero, outward.MANY)

    @property
    def largest(self) -> float:
        filled = np.flatnonzero(self.masses)
        return float(self.lattice.values[filled[-1]]) if len(filled) else 0.0

    def plus(self, other: "GradedSum", lattice: GradedLattice, side: Side, least: float) -> "GradedSum":
        """The law of the sum, on this lattice or one as coarse as the two. least: what may be cut off at either end."""
        body = max(self.lattice.exponent, other.lattice.exponent)
        same, one = other is self, self.regraded(body, side)
        other = one if same else other.regraded(body, side)
        lattice = replace(lattice, exponent=max(lattice.exponent, body))
        count = one.count + other.count
        most = math.nextafter(one.largest + other.largest, math.inf)  # rounded, it might be an end that is passed
        landing = added(
            (one.lattice, one.masses),
            (other.lattice, other.masses),
            lattice.up_to(most),
            side,
        )
        shares, totals = (one.count / count, other.count / count), (one.total, other.total)
        lost = UNDERFLOW * len(one.masses) * len(other.masses)
        beyond = shares[0] * (one.beyond * totals[1] + other.zero * totals[0])
        beyond += shares[1] * (other.beyond * totals[0] + one.zero * totals[1]) + lost * (1.0 + most)
        zero = one.zero * totals[1] + other.zero * totals[0] + lost
        ends = (outward.up(zero, outward.MANY), outward.up(beyond, outward.MANY))
        moved = max(one.moved, other.moved) + 4.0 * EPS
        if side == "below":
            return _below(landing, count, moved, least)
        return _above(landing, count, moved, ends).cut(side, least)

    def regraded(self, exponent: int, side: Side) -> "GradedSum":
        """On a lattice whose body has this step, which is no smaller."""
        if exponent == self.lattice.exponent:
            return self
        landing = GradedLanding.empty(replace(self.lattice, exponent=exponent).up_to(self.largest), side)
        for octave in range(self.lattice.octaves + 1):
            landing.add(self.lattice.piece(self.masses, octave))
        if side == "below":
            return _below(landing, self.count, self.moved, 0.0)
        return _above(landing, self.count, self.moved, (self.zero, self.beyond))

    def cut(self, side: Side, least: float) -> "GradedSum":
        """Without ends of Q-mass and of P-mass `least` at most: dropped from a lower law, spread in an upper one, to 0
        and the first point that is kept and to the last one and +inf."""
        values = self.lattice.values
        ratio = np.maximum((self.count + values) / self.count, 0.0)
        start, end = _kept(self.masses, values, self.count, least)
        masses = self.masses.copy()
        masses[:start] = masses[end:] = 0.0
        if side == "below":
            return GradedSum(self.lattice, self.count, masses, self.moved)
        zero = outward.up(float(self.masses[:start].sum()), outward.MANY)
        masses[start] += outward.up(zero, outward.MANY)
        masses[end - 1] += outward.up(float(self.masses[end:].sum()), outward.MANY)
        beyond = outward.up(float((self.masses * ratio)[end:].sum()), outward.MANY)
        return GradedSum(self.lattice, self.count, masses, self.moved, self.zero + zero, self.beyond + beyond)


def _below(landing: GradedLanding, count: int, moved: float, least: float) -> GradedSum:
    """A law below what landed, but for ends of Q-mass and P-mass `least`."""
    values, mass, right = landing.lattice.values, landing.cells[::2], landing.cells[1::2]
    start, end = _kept(mass.sum(axis=0) + landing.points[:-1], values[:-1], count, least)
    inner = slice(start, end)
    landed_inside = (mass[:, inner], np.clip(right, 0.0, mass)[:, inner], landing.points[start : end + 1])
    masses = np.zeros(len(values))
    masses[start : end + 1] = lowered(landed_inside, landing.rounding[inner], PointScale(values[start : end + 1]))
    return GradedSum(landing.lattice, count, masses, moved)


def _kept(masses: Array, values: Array, count: int, least: float) -> tuple[int, int]:
    low, high = np.cumsum(masses), np.cumsum((masses * np.maximum((count + values) / count, 0.0))[::-1])
    start = int(np.searchsorted(low, least, side="right"))
    end = len(values) - int(np.searchsorted(high, least, side="right"))
    return (start, end) if start < end else (0, len(values))


def _above(landing: GradedLanding, count: int, moved: float, ends: tuple[float, float]) -> GradedSum:
    mass, right = landing.cells[::2], landing.cells[1::2]
    inner = np.clip(right, 0.0, mass).sum(axis=0)
    total = mass.sum(axis=0)
    off = 2.0 * landing.rounding * total
    worst = 1.0 + 2.0 * float(landing.rounding.max())
    masses = landing.points * worst
    masses[:-1] += np.maximum(total - inner, 0.0) + off
    masses[1:] += inner + off
    masses[0] += landing.below * worst
    masses *= 1.0 + 8.0 * EPS
    zero, beyond = ends
    zero += landing.below * worst
    values = landing.lattice.values
    first = int(np.searchsorted(values, -count))
    if first and values[first] > -count:
        # No sum is less than -count, where the ratio is 0: what landed in the cell around it goes to its right end, as
        # before, and to -count. The right end would then get less, which is left aside.
        share = (values[first] - values[first - 1]) / (values[first] + count)
        zero += outward.up(float(masses[first - 1]) * share, outward.FEW)
        masses[first - 1] = 0.0
    return GradedSum(landing.lattice, count, masses, moved, zero, beyond)


def lattice_for(noise: float, count: int, halvings: int, least: float) -> GradedLattice:
    """For sums of so many, of which `least` may be cut off; without octaves."""
    spread = min(math.sqrt(count * math.expm1(min(noise**-2, HUGE))), MOST_SHARE * count)
    fewest = FEWEST * 2**halvings
    right = 2 ** math.ceil(math.log2(RIGHT * fewest))
    left = LEFT * right * (1 if least >= math.exp(-TAIL) else 2)
    return GradedLattice(math.floor(math.log2(spread / fewest)), left, right)


def graded_lognormal(noise: float, halvings: int, side: Side, least: float) -> GradedSum:
    """One of them: log r is normal under Q and under P, so that both masses of a cell are known."""
    centre, tail = 0.5 / noise**2, 1.02 * math.sqrt(-2.0 * math.log(least)) / noise
    lattice = lattice_for(noise, 1, halvings, least).up_to(math.exp(min(centre + tail, HUGE)))
    values = lattice.values
    first = int(np.searchsorted(values, -1.0))  # where r is 0
    points = 1.0 + values[first:]
    edges = np.empty(2 * len(points) - 1)
    edges[::2], edges[1::2] = points, 0.5 * (points[1:] + points[:-1])
    with np.errstate(divide="ignore"):
        losses = np.log(edges)
    found = GaussianLoss(noise).masses(np.concatenate(([-np.inf], losses, [np.inf])))
    p, q, relative = (each[1:-1].reshape(-1, 2).T for each in (found.p, found.q, found.relative))
    lost = (p < LEAST_MASS) | (q < LEAST_MASS)
    kept_p, kept_q = np.where(lost, 0.0, p), np.where(lost, 0.0, q)
    width = np.diff(points)
    with np.errstate(invalid="ignore", divide="ignore"):
        place = np.where(lost, 0.0, (kept_p / kept_q - points[:-1]) / width)
    landing = GradedLanding.empty(lattice, side)
    landing.cells[::2, first:] = kept_q
    landing.cells[1::2, first:] = kept_q * np.clip(place, 0.0, 1.0)
    known = np.where(lost, 0.0, relative).max(axis=0)
    landing.rounding[first:] += known
    # With much noise, the lattice begins above 0: what lies before it is spread like what is lost, to 0 and its start.
    zero = outward.up(float(found.q[0]) + float(q[lost].sum()), outward.MANY)
    beyond = outward.up(float(found.p[-1]) + float(p[lost].sum()), outward.MANY)
    if side == "above":
        landing.points[-1] += outward.up(float(found.q[-1]), outward.MANY)
        landing.points[first] += zero
    moved = found.moved[np.isfinite(found.moved)].max()
    values_off = 2.0 * float(known.max()) + 2.0 * float(moved) + EPS * (32.0 + 8.0 * (centre + tail))
    if side == "below":
        return _below(landing, 1, values_off, least)
    return _above(landing, 1, values_off, (zero, beyond)).cut(side, least)


def graded_sum(noise: float, count: int, halvings: int, side: Side, least: float) -> GradedSum:
    """Of `count` of them, by halves; what is cut off at either end of the whole is `least` at most, some times over."""
    return _by_halves(noise, count, halvings, (side, least))[count]


def graded_sum_of_parts(parts: Sequence[tuple[float, int]], halvings: int, side: Side, least: float) -> GradedSum:
    """Of so many of each noise. least: as above, of each part.

    On the lattice of many, a sum of a few would lie in a cell or two, of which little is known. So it is added to about
    as many of the others, on their lattice, and that sum is what grows with the halves of the rest.
    """
    (noise, count), *more = sorted(parts, key=operator.itemgetter(1))
    whole = graded_sum(noise, count, halvings, side, least)
    for noise, count in more:
        known = _by_halves(noise, count, halvings, (side, least))
        path = [count]
        while path[-1] > 1 and known[path[-1] // 2].lattice.exponent >= whole.lattice.exponent:
            path.append(path[-1] // 2)
        first = path.pop()
        whole = whole.plus(known[first], known[first].lattice, side, least)
        for n in reversed(path):
            share = least * n / count
            whole = whole.plus(known[n - n // 2], lattice_for(noise, n, halvings, share), side, share)
    return whole


def _by_halves(noise: float, count: int, halvings: int, end: tuple[Side, float]) -> dict[int, GradedSum]:
    """Sums of `count` of them and of each number that halving it leads to."""
    side, least = end
    rows = [{count}]
    while rows[-1] != {1}:
        rows.append({half for n in rows[-1] for half in (n // 2, n - n // 2) if half > 0})
    known = {1: graded_lognormal(noise, halvings, side, least / count)}
    for n in sorted(set().union(*rows) - {1}):
        one, other = known[n // 2], known[n - n // 2]
        share = least * n / count
        known[n] = one.plus(other, lattice_for(noise, n, halvings, share), side, share)
    return known


def landed(found: GradedSum, total: int, level: int, parts: int) -> Landed:
    """R = 1 + (sum less its mean) / total on the lattice of logarithms of this level; nothing of a law without mass."""
    filled = np.flatnonzero(found.masses)
    values, masses = found.lattice.values[filled], found.masses[filled]
    ratio = (total + values) / total  # near 0 the sum is exact (Sterbenz), where 1 + values / total is not
    g = step(level)
    positive = ratio > 0.0
    zero = outward.up(found.zero + float(masses[~positive].sum()), outward.SERIES)
    place = np.log(ratio[positive]) / g
    masses = masses[positive]
    cell = np.floor(place).astype(np.int64)
    first = int(cell[0]) - 1 if len(cell) else 0
    size = int(cell[-1]) + 3 - first if len(cell) else 3
    inside = np.clip(np.expm1((place - cell) * g) / np.expm1(g), 0.0, 1.0)
    part = ((place - cell) * parts).astype(np.int64) if parts > 1 else np.zeros(len(cell), dtype=np.int64)
    part = np.minimum(part, parts - 1)
    index = part * (size - 1) + cell - first
    mass = np.asarray(np.bincount(index, masses, parts * (size - 1)), dtype=np.float64).reshape(parts, size - 1)
    right = np.asarray(np.bincount(index, masses * inside, parts * (size - 1)), dtype=np.float64).reshape(
        parts, size - 1
    )
    off = EPS * (32.0 + 8.0 * float(np.max(np.abs(place), initial=0.0)) * g)
    rounding = np.full(size - 1, EPS * (32.0 + len(values)))
    # Where the sum is moved to 0 and +inf, so are the steps that are not taken.
    beyond = outward.up(found.beyond + found.zero, outward.FEW)
    return Landed(level, first, mass, right, np.zeros(size), rounding, found.moved + off, zero, beyond)
