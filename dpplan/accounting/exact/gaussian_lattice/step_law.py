"""Stage 1, another way: one step's law on a lattice of losses, from above and from below.

A pair (A, B) with likelihood ratio ρ = dA/dB is known through its curve H(α) = ∫(dA - α·dB)₊, convex in α.
Composition keeps H₁ <= H₂, for all positive measures: composed with (A', B') the curve is ∫ H(α·dB'/dA') dA'. So a
law on the points α_i = e^{y_i} whose curve lies above (below) the true one gives a delta above (below) the true
one after any number of steps.

up    the polygon through H(α_i): a loss goes to the two lattice points around it, keeping its A- and its B-mass
      (connect the dots: Doroshenko et al. 2022, arXiv:2207.04380).
down  a polygon nowhere above H: through H(α_i) - max(D_{i-1}, D_i), with D_i a bound on the height of cell i's chord
      above H. One cell's worth of losses around the most common one is lumped into a point first, which can only
      lower H, and the lattice is laid so that this point is on it.
floor another below the true one, of first order: every loss goes to the point at or below it and keeps its B-mass, so
      that A loses some and H falls. It serves where the law is too steep for the polygon.

Symbols: y_i = origin + i·h; a = 1 + t: B-masses are kept as e^{a·y - shift}·B, so that nothing over- or underflows;
s = q·e^e/r. Arrays are [lattice point], [cell], [interval] or [interval, Gauss node].
"""

import math

import numpy as np
import numpy.typing as npt

from dpplan.accounting.exact.contour.privacy_loss import Direction, log_ratio, loss_rounding
from dpplan.accounting.exact.contour.transform_quadrature import EPS
from dpplan.accounting.numerics import Array
from dpplan.quick_dataclass import dataclass

Places = npt.NDArray[np.int64]

# Gauss's rule with m nodes on an interval of half-width l errs by 2·l·(64/15)·M·ρ^-2m / (1 - ρ^-2) or less, M a bound
# on the modulus within the ellipse whose half-axes add up to ρ·l (Trefethen 2013, Approximation Theory and
# Approximation Practice, Thm 19.3). An ellipse with (ρ + 1/ρ)/2 = R/l fits into the disc of radius R = min(σ, σ²)/4
# around the interval's middle. There, relative to its value at the middle, the density is at most e^(reach/4 + 1/2)
# for a middle `reach` standard deviations out (the Gaussian e^(reach/4 + 1/32); r, for the other neighbour, e^(1/4)),
# and ρ_AB·e^-floor - 1, which is integrated for `excess`, at most s/2 + growth: it is below `growth` in its cell, and
# log ρ_AB moves by R·|s|/σ² at most, where |s(z)| is at most 1.3 s on the disc. Widths are in units of min(σ, σ²): both
# kinds of intervals have ρ^-2m·64/15 below 1e-24.
NARROW, NARROW_NODES = 1.0 / 512.0, 5
WIDE, WIDE_NODES = 1.0 / 8.0, 14
WEIGHTS = 15.0  # times EPS: the error of numpy's weights, relative, held by a test
GAUSS = 2e-24
CROWDED = 8  # intervals in a cell, beyond which their sum would be off by more than what is counted
CLEAR = 1.0 - 1e-6  # ends of the polygon are chosen by sums that are off by a far smaller share
MENDS = 60  # sweeps; what takes more is a lattice too coarse for its law


@dataclass(frozen=True)
class GaussianLatticeLaw:
    """One step's law, tilted, on origin + h·(first, first + 1, ...).

    up, down, floor: e^{a·y - shift}·B-masses; relative: bounds on the relative error of each; moved: on that of its
    loss; all [lattice point]. added: how much of `down` should not be there. The point at index -first is the lump's.
    """

    origin: float
    first: int
    up: Array
    down: Array
    shift: float
    relative: Array
    moved: Array
    added: float
    floor: Array

    @property
    def losses(self) -> Array:
        """Of the lattice points, from the lump's."""
        return np.arange(self.first, self.first + len(self.up), dtype=np.float64)


@dataclass(frozen=True)
class _Step:
    """One step's losses as a function of its output x, and the density of B there."""

    sigma: float
    q: float
    direction: Direction

    def loss(self, x: Array) -> Array:
        return self.direction.value * log_ratio((2.0 * x - 1.0) / (2.0 * self.sigma**2), np.array(self.q))

    def place(self, y: Array) -> Array:
        """x where the loss is y; -inf where every loss is on the other side."""
        log_r = self.direction.value * y
        with np.errstate(divide="ignore"):
            near = np.log1p(np.maximum(np.expm1(np.minimum(log_r, 40.0)) / self.q, -1.0))
        return np.asarray(0.5 + self.sigma**2 * np.where(log_r > 40.0, log_r - math.log(self.q), near))

    def log_density(self, x: Array) -> Array:
        log_q = -0.5 * (x / self.sigma) ** 2 - math.log(self.sigma * math.sqrt(2.0 * math.pi))
        return log_q if self.direction is Direction.REMOVE else log_q - self.loss(x)

    def sampled(self, x: Array) -> Array:
        e = (2.0 * x - 1.0) / (2.0 * self.sigma**2)
        return np.exp(np.minimum(math.log(self.q) + e - log_ratio(e, np.array(self.q)), 0.0))


@dataclass(frozen=True)
class _Layout:
    """The lattice losses y = origin + h·(first, ...) with their places x, and the two ends in x of the lump."""

    origin: float
    first: int
    y: Array
    at: Array
    lump: Array

    @classmethod
    def of(cls, step: _Step, h: float, ends: Array) -> "_Layout":
        """The lump is the cell's worth of losses around that of x = 0, or of the end that is nearest to it where full
        batches leave none there; its mean is the origin. Any cell may be merged into its mean."""
        centre = float(step.loss(np.clip(np.zeros(1), *ends))[0])
        lump = np.clip(np.sort(step.place(np.array([centre - 0.5 * h, centre + 0.5 * h]))), *ends)
        unit = WIDE * min(step.sigma, step.sigma**2)
        pieces = lump[0] + (lump[1] - lump[0]) * np.linspace(0.0, 1.0, 2 + int((lump[1] - lump[0]) / unit))
        flat = np.full(len(pieces) - 1, centre)
        mass, excess = _integrals(step, pieces[:-1], np.diff(pieces), flat, 0.0 * flat)
        whole = math.fsum(mass)
        origin = centre + (math.log1p(math.fsum(excess) / whole) if whole > 0.0 else 0.0)
        least, most = np.sort(step.loss(ends))
        first, last = math.floor((least - origin) / h) - 1, math.ceil((most - origin) / h) + 1
        y = origin + h * np.arange(first, last + 1, dtype=np.float64)
        return cls(origin, first, y, np.clip(step.place(y), *ends), lump)


def discretise(
    sigma: float, q: float, direction: Direction, tilt: float, h: float, kept: tuple[float, float]
) -> GaussianLatticeLaw:
    """One step's law for outputs x between the two ends `kept`, on a lattice of step h."""
    step, a, ends = _Step(sigma, q, direction), 1.0 + tilt, np.array(kept)
    layout = _Layout.of(step, h, ends)
    y, at, lump = layout.y, layout.at, layout.lump
    spaced = np.arange(kept[0], kept[1], WIDE * min(sigma, sigma * sigma))
    breaks = np.unique(np.concatenate((at, lump, spaced, ends)))
    low, width = breaks[:-1], np.diff(breaks)
    middle = low + 0.5 * width
    cell = np.clip(np.floor((step.loss(middle) - layout.origin) / h).astype(np.int64) - layout.first, 0, len(y) - 2)
    floor = y[cell]
    shift = float(np.max(a * floor + step.log_density(middle)))
    mass, excess = _integrals(step, low, width, floor, a * floor - shift)
    lumped = (low >= lump[0]) & (breaks[1:] <= lump[1])  # not low + width, which may round to beyond
    lump_mass = math.fsum((mass * np.exp(a * (layout.origin - floor)))[lumped])
    growth, lift = math.expm1(h), math.exp(a * h)
    e, sampled = (2.0 * at - 1.0) / (2.0 * sigma**2), step.sampled(at)

    def per_cell(values: Array) -> Array:
        return _per_cell(cell, values, len(y) - 1)

    up = np.maximum(_spread(per_cell(mass), per_cell(excess), growth, lift), 0.0)  # which only adds
    rest, above = per_cell(np.where(lumped, 0.0, mass)), per_cell(np.where(lumped, 0.0, excess))
    gap = 0.25 * rest
    if direction is Direction.REMOVE:
        gap = np.minimum(gap, 0.125 * growth * _densest(step, at, y[:-1], a * y[:-1] - shift))
    down, added = _lowered(rest, above, gap, growth, lift)
    down[-layout.first] += lump_mass
    # An error in `excess` moves mass between neighbours, as a share of growth.
    share = 2.0 + np.append(sampled[1:], sampled[-1]) / growth
    gauss = GAUSS * np.exp(np.abs(at) / (4.0 * sigma) + 1.0) * share
    relative = EPS * (WEIGHTS + 9.0 + 2.0 * (at / sigma) ** 2 + 2.0 * a * np.abs(y)) + gauss
    reach = np.array(max(abs(kept[0]), abs(kept[1])))
    moved = EPS * loss_rounding(at, e, y, sigma, np.array(q), reach)
    moved[-layout.first] += 2.0 * h * relative[-layout.first]  # the lump's own mean, of losses within one cell
    lowest = np.append(per_cell(mass), 0.0)
    return GaussianLatticeLaw(layout.origin, layout.first, up, down, shift, relative, moved, added, lowest)


def _integrals(step: _Step, low: Array, width: Array, floor: Array, log_tilt: Array) -> tuple[Array, Array]:
    """e^log_tilt·∫dB and e^log_tilt·∫(ρ·e^-floor - 1)dB over each interval, [interval]."""
    mass, excess = np.empty_like(low), np.empty_like(low)
    narrow = width <= NARROW * min(step.sigma, step.sigma**2)
    for nodes, chosen in ((NARROW_NODES, narrow), (WIDE_NODES, ~narrow)):
        points, weights = np.polynomial.legendre.leggauss(nodes)
        half = 0.5 * width[chosen, None]
        x = low[chosen, None] + half * (1.0 + points)
        density = np.exp(step.log_density(x) + log_tilt[chosen, None]) * (half * weights)
        mass[chosen] = density.sum(axis=1)
        excess[chosen] = (density * np.expm1(step.loss(x) - floor[chosen, None])).sum(axis=1)
    return mass, excess


def _per_cell(cell: Places, values: Array, cells: int) -> Array:
    """Sums of what lies in each cell: without a rounding for each where that is more than CROWDED intervals, as all of
    the bulk may be in one cell where jumps are rare."""
    sums = np.asarray(np.bincount(cell, values, cells), dtype=np.float64)
    order, ends = np.argsort(cell, kind="stable"), np.cumsum(np.bincount(cell, minlength=cells))
    counts = np.diff(ends, prepend=0)
    for k in np.flatnonzero(counts > CROWDED).tolist():
        sums[k] = math.fsum(values[order[ends[k] - counts[k] : ends[k]]].tolist())
    return sums


def _spread(mass: Array, excess: Array, growth: float, lift: float) -> Array:
    """Masses at the lattice points from those in the cells, keeping both measures: excess/growth goes to the cell's
    upper end. They may come out negative where losses round to just outside their cell."""
    higher = excess / growth
    points = np.append(mass - higher, 0.0)
    points[1:] += lift * higher
    return points


def _densest(step: _Step, at: Array, y: Array, log_tilt: Array) -> Array:
    """The largest density of B in log α over each cell, at most; remove direction only.

    As a density in α it is Q/r', whose logarithm is a parabola in x with its top at -1.
    """
    top = np.clip(-1.0, at[:-1], at[1:])
    log_rise = math.log(step.q) + (2.0 * top - 1.0) / (2.0 * step.sigma**2) - 2.0 * math.log(step.sigma)
    return np.asarray(np.exp(step.log_density(top) - log_rise + y + log_tilt))


def _lowered(mass: Array, excess: Array, gap: Array, growth: float, lift: float) -> tuple[Array, float]:
    """The polygon's masses when corner i falls by F_i cell widths, at least the D on either side (`gap`, likewise).

    Left of some corner `begin` the polygon is H's own tangent at 0, which lies far enough below H from there on; from
    some corner `end` it is 0. So it stays convex without giving away mass. Mass i is its change of slope at corner i;
    one that comes out negative is mended by lowering that corner onto the chord of its neighbours. Zeros, the trivial
    lower bound, if that does not end. And how much mass was added where a loss rounds to just outside its cell, which
    raises the curve and is to be counted as an error.
    """
    wider = 1.0 + growth  # cell i over cell i - 1
    fall = np.maximum(np.append(0.0, gap) * lift / wider, np.append(gap, 0.0))
    untilted = np.power(lift, -np.arange(len(fall), dtype=np.float64))
    points, clipped = _clipped(_spread(mass, excess, growth, lift))
    left, depth = _tangent(points * untilted, wider)
    normal = untilted > 1e-290  # beyond, masses without their tilt lose digits
    begins = np.nonzero((CLEAR * depth >= fall * untilted) & (depth > 0.0) & normal)[0]
    ends = np.nonzero((CLEAR * excess >= np.append(0.0, gap)[:-1] * lift * growth / wider) & (mass > 0.0))[0]
    if not len(begins) or not len(ends) or ends[-1] <= begins[0] + 1:
        return np.zeros_like(fall), 0.0
    begin, end = int(begins[0]), int(ends[-1])
    inside = np.arange(len(mass)) < end
    masses, more = _clipped(_spread(np.where(inside, mass, 0.0), np.where(inside, excess, 0.0), growth, lift))
    added = float(more.sum()) + float((clipped[: begin + 1] * untilted[: begin + 1]).sum() / untilted[begin])
    # What lies left of `begin` moves there; the tangent has no corner before it, so only one of its two falls counts.
    masses[begin] = (left[begin] - wider * depth[begin]) / untilted[begin]
    fall[begin] = depth[begin] / untilted[begin]
    fall[:begin], fall[end:] = 0.0, 0.0
    masses += (2.0 + growth) * fall
    masses[:-1] -= wider / lift * fall[1:]
    masses[1:] -= lift * fall[:-1]
    masses[:begin] = 0.0
    for _ in range(MENDS):
        owed = np.maximum(-masses, 0.0)
        if not owed.any():
            return (masses, added) if np.isfinite(masses).all() else (np.zeros_like(masses), 0.0)
        if not (owed[0] == 0.0 and owed[-1] == 0.0):
            break
        masses += owed
        masses[:-1] -= owed[1:] / lift * (wider / (1.0 + wider))
        masses[1:] -= owed[:-1] * lift / (1.0 + wider)
    return np.zeros_like(masses), 0.0


def _clipped(points: Array) -> tuple[Array, Array]:
    """Masses without negative ones, and what that added."""
    return np.maximum(points, 0.0), np.maximum(-points, 0.0)


def _tangent(points: Array, wider: float) -> tuple[Array, Array]:
    """B-mass up to each corner, and how far H's tangent at 0 lies below H there, in widths of the cell that follows."""
    left = np.cumsum(points)
    widths = np.power(wider, -np.arange(len(points), dtype=np.float64))
    depth = np.zeros_like(points)
    depth[1:] = np.cumsum(left[:-1] / widths[:-1]) * widths[1:]
    # Running sums err by a rounding per term. Both to the lower side: less mass, and a tangent further down.
    rounding = EPS * (4.0 * np.arange(len(points)) + 16.0)
    return left * (1.0 - rounding), depth * (1.0 + rounding)
