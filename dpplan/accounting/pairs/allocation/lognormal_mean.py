"""The law of a weighted mean of independent lognormals of mean 1, above or below in convex order, from one to many.

Few are averaged on a lattice of logarithms, by halves; many are summed on graded lattices.
"""

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from dpplan.accounting.numerics import outward
from dpplan.accounting.numerics.normal import log_normal_tails
from dpplan.accounting.pairs.allocation import convex_order
from dpplan.accounting.pairs.allocation.averaging import Landed, averaged
from dpplan.accounting.pairs.allocation.graded_sum import graded_sum_of_parts, landed
from dpplan.accounting.pairs.allocation.lattice_measure import LatticeMeasure, Side, step
from dpplan.accounting.pairs.allocation.lower_polygon import LEAST_MASS
from dpplan.accounting.pairs.law import EPS, Array
from dpplan.accounting.pairs.unsampled_gaussian import GaussianLoss
from dpplan.errors import NotCertified

# What is averaged first is reduced most afterwards: where a mean of n is one of N in the end, its lattice may be
# coarser by (N/n)^COARSER.
COARSER = 0.25
LEAST_SUMMED, MOST_VARIANCE = 8, 0.5  # of R
FEWEST = 6.0  # lattice steps to a standard deviation of the logarithm, at least, before any halving
REACH = 1.02  # of the tails of a lognormal, beyond what Chernoff's bound needs
LARGEST_LOSS = 600.0  # beyond it, masses leave the range of floats
KEPT = 64  # laws that are remembered
SMALLEST_NOISE, LARGEST_NOISE = 1e-150, 1e150  # of what has a square, with room for sums of such
MOST_POINTS = 4e6  # of a lattice over all that one lognormal may be: more do not fit, where few of many steps are taken


def check_noise(noise: float) -> None:
    """Raises NotCertified for noise whose square is no float."""
    if not SMALLEST_NOISE < noise < LARGEST_NOISE:
        raise NotCertified(
            f"noise_multiplier={noise:g} is not between {SMALLEST_NOISE:g} and {LARGEST_NOISE:g}: floats do not hold "
            "its square, and nothing is proven of such allocations. Look for noise far from the usual."
        )


@dataclass(frozen=True, slots=True)
class Mean:
    """R = (1/total)·(Σ of `count` lognormals exp((2x - 1)/(2σ²)) for each (σ, count) of parts, and 1 for the rest)."""

    parts: tuple[tuple[float, int], ...]
    total: int

    def __post_init__(self) -> None:
        for noise, _ in self.parts:
            check_noise(noise)

    @property
    def within_reach(self) -> bool:
        """Whether all losses that matter lie in the range of floats, for deltas down to 1e-60 or so."""
        return self._farthest < 0.75 * LARGEST_LOSS

    @property
    def fits(self) -> bool:
        """Whether a lattice over all that one lognormal may be is laid at a price."""
        return 2.0 * self._farthest < MOST_POINTS * step(self.level(0))

    @property
    def drawn(self) -> int:
        """How many of all steps are taken."""
        return sum(count for _, count in self.parts)

    @property
    def _farthest(self) -> float:
        return max(_ends(noise, 1e-80)[1] for noise, _ in self.parts)

    @property
    def by_sums(self) -> bool:
        """Whether the law is one of sums on graded lattices, which are for many: those of few reach near 0."""
        return self.drawn >= LEAST_SUMMED and self.variance <= MOST_VARIANCE

    def level(self, halvings: int) -> int:
        """Of a lattice with FEWEST steps to a standard deviation of log R, or of one lognormal, and as often halved."""
        return max(_level_for(noise, self.variance) for noise, _ in self.parts) + halvings

    def log_one_beyond(self, excess: float) -> float:
        """log of about the P-mass where one of them alone takes R beyond 1 + excess."""
        large = math.log(self.total * excess)
        places = np.array([noise * (large - 0.5 / noise**2) for noise, _ in self.parts])
        return float(np.max(log_normal_tails(places)))

    @property
    def variance(self) -> float:
        """Of R under Q."""
        variances = (count * math.expm1(min(noise**-2, LARGEST_LOSS)) for noise, count in self.parts)
        return math.fsum(variances) / self.total**2


def _level_for(noise: float, variance: float) -> int:
    spread = min(1.0 / noise, math.sqrt(math.log1p(variance)))
    return math.ceil(math.log2(FEWEST * math.log(2.0) / spread))


@functools.lru_cache(maxsize=KEPT)
def mean_law(mean: Mean, side: Side, halvings: int, reach: int) -> LatticeMeasure:
    """The law of R above or below. halvings: of the lattice's step. reach: mass of e^-reach at either end may be cut
    off, a few times."""
    level, least = mean.level(halvings), math.exp(-reach)
    if mean.by_sums:
        return _summed(mean, side, halvings, least)
    whole: LatticeMeasure | None = None
    counted = 0
    for noise, count in mean.parts:
        each = _Chain(noise, count, level, side, least).mean()
        if whole is None:
            whole, counted = each, count
        else:
            whole = _put_back(whole, each, Fraction(counted, counted + count), level, (side, least))
            counted += count
    assert whole is not None  # a mean has at least one part
    if counted < mean.total:  # in the rest, the record is not drawn
        one = LatticeMeasure(whole.level, 0, np.ones(1), 0.0)
        whole = _put_back(whole, one, Fraction(counted, mean.total), level, (side, least))
    return whole


def _summed(mean: Mean, side: Side, halvings: int, least: float) -> LatticeMeasure:
    whole = graded_sum_of_parts(mean.parts, halvings, side, least)
    level = mean.level(halvings) + 1  # this rounding alone is for good
    if side == "above":
        return convex_order.above(landed(whole, mean.total, level, 1), least)
    return convex_order.below(landed(whole, mean.total, level, 2), least)


def _put_back(
    one: LatticeMeasure, other: LatticeMeasure, weight: Fraction, level: int, end: tuple[Side, float]
) -> LatticeMeasure:
    side, least = end
    if side == "above":
        return convex_order.above(averaged(one, other, weight, level, 1), least)
    return convex_order.below(averaged(one, other, weight, level, 2), least)


@dataclass(frozen=True, slots=True)
class _Chain:
    """The mean of `count` lognormals by halves: that of n is one of n // 2 and of the rest, so that each halving needs
    two means at most."""

    noise: float
    count: int
    level: int
    side: Side
    least: float  # of the mean; of what is averaged, what is cut off is so often less

    def mean(self) -> LatticeMeasure:
        rows = [{self.count}]
        while rows[-1] != {1}:
            rows.append({half for n in rows[-1] for half in (n // 2, n - n // 2) if half > 0})
        known = {1: lognormal(self.noise, self.level_of(1), self.side, self._least(1))}
        for n in sorted(set().union(*rows) - {1}):
            one, other = known[n // 2], known[n - n // 2]
            level = max(self.level_of(n), one.level, other.level)
            known[n] = _put_back(one, other, Fraction(n // 2, n), level, (self.side, self._least(n)))
        return known[self.count]

    def _least(self, n: int) -> float:
        return self.least * n / self.count

    def level_of(self, n: int) -> int:
        return self.level - math.floor(COARSER * math.log2(self.count / n) + 1e-9)


def lognormal(noise: float, level: int, side: Side, least: float) -> LatticeMeasure:
    """The law of one: log R is normal under Q and under P, so that both masses of a cell are known."""
    h, parts = step(level), 1 if side == "above" else 2
    low, high = _ends(noise, least)
    first, last = math.floor(low / h), math.ceil(high / h)
    edges = h / parts * np.arange(parts * first, parts * last + 1, dtype=np.float64)
    found = GaussianLoss(noise).masses(np.concatenate(([-math.inf], edges, [math.inf])))
    p, q = (_by_part(values, parts) for values in (found.p, found.q))
    # Where P's or Q's mass has underflown, so has all of both that matters; above, it counts as being at the ends.
    lost = (p < LEAST_MASS) | (q < LEAST_MASS)
    kept_p, kept_q = np.where(lost, 0.0, p), np.where(lost, 0.0, q)
    with np.errstate(invalid="ignore", divide="ignore"):
        place = (kept_p / kept_q * np.exp(-h * np.arange(first, last, dtype=np.float64)) - 1.0) / math.expm1(h)
    right = kept_q * np.clip(np.where(lost, 0.0, place), 0.0, 1.0)
    relative = _by_part(found.relative, parts).max(axis=0)
    moved = np.maximum(found.moved[1:-2], found.moved[2:-1]).max()
    values = 2.0 * float(np.max(np.where(lost.any(axis=0), 0.0, relative))) + 2.0 * float(moved)
    points = np.zeros(last - first + 1)
    zero = outward.up(float(found.q[0]) + float(q[lost].sum()), outward.MANY)
    beyond = outward.up(float(found.p[-1]) + float(p[lost].sum()), outward.MANY)
    if side == "above":
        points[0] += outward.up(float(found.p[0]) * math.exp(-h * first), outward.MANY)
        points[-1] += outward.up(float(found.q[-1]), outward.MANY)
    landed = Landed(
        level,
        first,
        kept_q,
        right,
        points,
        relative + 16.0 * EPS,
        values + EPS * (32.0 + 8.0 * max(abs(low), abs(high))),
        zero,
        beyond,
    )
    return convex_order.above(landed, least) if side == "above" else convex_order.below(landed, least)


def _by_part(values: Array, parts: int) -> Array:
    """Of the cells between the two ends, [part, cell]."""
    return values[1:-1].reshape(-1, parts).T


def _ends(noise: float, least: float) -> tuple[float, float]:
    """Losses below which Q, and above which P, has about the mass `least` at most: Chernoff's bound."""
    centre, reach = 0.5 / noise**2, REACH * math.sqrt(-2.0 * math.log(least)) / noise
    return -centre - reach, centre + reach
