"""One step's law on a lattice of losses, from above and from below.

A pair (P, Q) is known through its curve H(α) = ∫(dP - α·dQ)₊. Composition keeps H₁ <= H₂, for all positive measures:
composed with (P', Q') the curve is ∫ H(α·dQ'/dP') dP'. So a law on lattice points whose curve lies above (below) the
true one gives a delta above (below) the true one after any number of steps.

up    the polygon through H at the lattice points: a loss goes to the two around it, keeping its P- and its Q-mass
      (connect the dots: Doroshenko et al. 2022, arXiv:2207.04380). What lies above the lattice goes to loss +inf.
down  a polygon nowhere above H (lower_polygon.py). An atom goes to the lattice point at or just below it; the lattice
      is laid through atoms where it can be (atom_spacing.py). Where much of the law is within a cell's width, that is
      merged into one outcome first, and the lattice laid through it. What lies above the lattice is left out.

Every rounding is taken outward here, mass by mass; only the losses themselves are known to `moved`.

Symbols: y_i = origin + i·h; w_i = e^(r·(i - lump) - shift)·Q-mass, r = (1 + t)·h with t the tilt; lump: the heaviest.
"""

import math

import numpy as np

from dpplan.accounting.exact.general_lattice.lower_polygon import Cells, lowered, spread
from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs.law import EPS, ROUNDING, Array, Law, log_ratio
from dpplan.quick_dataclass import dataclass

# Smaller masses have lost digits: they count as nothing below, and above as loss +inf, or where it is Q that has so
# little, as the largest loss that they may have.
LEAST_MASS = 1e-290
ALIGNED = 0.02  # of a cell: an atom that is this near to a lattice point belongs to it
LUMPED = 0.3  # of the law: with less within a cell's width, the polygon does better without merging it
STEEP, MOST_STEEP = 2.0, 12  # what from one half of a cell to the next is a fall off, and how many it may take
# Where that gave no polygon: less of a fall; attempts to lay a window's ends on the lattice, and how near, in cells.
LESS_STEEP, ALIGNMENTS, ALIGNED_ENDS = 1.6, 8, 1e-3
OTHER_STEPS = np.array((1.0, 1.05, 1.13, 1.22))  # of a lattice, where one has no polygon; relative
FEW_ATOMS = 8  # at a lattice point: the sum of so many is counted with the rounding of its weight
CROWDED = 0.05  # of the law: so much without atoms within a cell of the heaviest one is merged with it


@dataclass(frozen=True)
class Side:
    """Masses w on the lattice points first, first + 1, ... from the lump, whose loss is `loss`.

    added: how much of the masses should not be there.
    """

    loss: float
    first: int
    masses: Array
    added: float = 0.0


@dataclass(frozen=True)
class DiscretisedLaw:
    """One step's law, tilted, on both sides; P-mass at loss +inf, likewise; how far a loss may be off. failed: whether
    all losses were moved down for want of a polygon."""

    up: Side
    down: Side
    shift: float
    infinite: tuple[float, float]
    moved: float
    failed: bool = False


@dataclass(frozen=True)
class Lattice:
    """The step h of all laws that are composed, and r = (1 + t)·h."""

    h: float
    r: float

    @property
    def growth(self) -> float:
        return math.expm1(self.h)

    @property
    def lift(self) -> float:
        return math.exp(self.r)


@dataclass(frozen=True)
class _Halves:
    """P- and Q-masses of the halves of cells, and bounds on their relative error; [cell, 2]. lump: those of the window
    that is merged, taken out of `below` and not out of `above`."""

    above: tuple[Array, Array]
    below: tuple[Array, Array]
    relative: Array
    outside: tuple[float, float]  # P-mass below the lattice and above it
    lump: tuple[float, float]
    moved: float


def discretise(
    law: Law, lattice: Lattice, kept: tuple[float, float], merged: tuple[float, float] | None = None
) -> DiscretisedLaw:
    """The law between the two losses `kept`, on a lattice. merged: between which losses all is one outcome from below;
    chosen here where nothing is said, and again where no polygon begins beside it."""
    found, window = _discretised(law, lattice, kept, merged)
    if merged is None and window is not None and found.failed:
        other, _ = _discretised(law, lattice, kept, _aligned(law, window, lattice.h))
        return max(found, other, key=lambda each: _log_moment_below(each, lattice))
    return found


def discretise_all(
    terms: list[tuple[Law, float]], ranges: list[tuple[float, float]], tilt: float, h: float
) -> tuple[Lattice, list[tuple[DiscretisedLaw, float]]]:
    """All laws between the losses of `ranges`, on a lattice of the step h; or, where none has atoms that it is laid
    through, of one a little wider where that has a polygon from below and this has none: whether there is one goes by
    where the densest place of a law lies between the points."""
    best: tuple[Lattice, list[tuple[DiscretisedLaw, float]]] | None = None
    smooth, fewest = not any(len(law.atoms.loss) for law, _ in terms), len(terms) + 1
    for step in (h * OTHER_STEPS[: None if smooth else 1]).tolist():
        lattice = Lattice(step, (1.0 + tilt) * step)
        laws = [(discretise(law, lattice, kept), count) for (law, count), kept in zip(terms, ranges, strict=True)]
        failed = sum(each.failed for each, _ in laws)
        if best is None or failed < fewest:
            best, fewest = (lattice, laws), failed
        if not failed:
            break
    assert best is not None
    return best


def _log_moment_below(found: DiscretisedLaw, lattice: Lattice) -> float:
    """About log of the lower law's moment at the lattice's tilt: of two laws that bound one from below, that of the
    larger is better."""
    total = float(found.down.masses.sum())
    return math.log(total) + found.shift + lattice.r / lattice.h * found.down.loss if total > 0.0 else -math.inf


def _discretised(
    law: Law, lattice: Lattice, kept: tuple[float, float], merged: tuple[float, float] | None
) -> tuple[DiscretisedLaw, tuple[float, float] | None]:
    """`discretise`, and what is merged."""
    h = lattice.h
    origin, window = _origin(law, lattice, kept) if merged is None else (log_ratio(*_merged(law, merged)), merged)
    first, last = math.floor((kept[0] - origin) / h) - 1, math.ceil((kept[1] - origin) / h) + 1
    index = np.arange(first, last + 1, dtype=np.float64)
    y = origin + h * index
    ends = origin + 0.5 * h * np.arange(2 * first, 2 * last + 1, dtype=np.float64)
    if window is not None:  # what is merged lies on the lattice; what lies beyond counts as beyond
        window = (max(window[0], float(ends[0])), min(window[1], float(ends[-1])))
        if window[0] >= window[1] or not first <= 0 <= last:  # all of it lies beyond, or the one outcome would
            window = None
    halves = _halves(law, ends, window)
    atoms = _Placed.of(law, y, h, window)
    # The heaviest point under the tilt is the lump.
    tilted = (lattice.r - h) * index
    with np.errstate(divide="ignore"):
        heights = np.log(np.append(halves.above[0].sum(axis=1), 0.0) + atoms.at_points) + tilted
    lump = int(np.argmax(heights))
    unit, steps = float(heights[lump]) - float(tilted[lump]), index - index[lump]
    places = _Placing(lattice, y, steps, np.exp(np.minimum((lattice.r - h) * steps - unit, 700.0)))
    below = halves.outside[0] + atoms.outside[0]
    up = places.up(halves, atoms)
    up[0] += outward.up(below * float(places.weight[0]), outward.MANY)
    down, added, guard, failed = places.down(halves, atoms, -first)
    moved = halves.moved + 8.0 * EPS * (float(np.max(np.abs(y))) + abs(origin) + h * max(abs(first), abs(last)))
    certain, beyond = law.infinite, halves.outside[1] + atoms.outside[1]
    above = certain * (1.0 + ROUNDING) + outward.up(beyond, outward.MANY) + LEAST_MASS * len(y)
    at = float(y[lump])
    found = DiscretisedLaw(
        Side(at, -lump, up),
        Side(at - guard, -lump, down, added),
        unit - at,
        (certain * (1.0 - ROUNDING), above),
        moved + 4.0 * EPS * abs(at) + law.loss_off * float(np.max(np.abs(law.atoms.loss), initial=0.0)),
        failed,
    )
    return found, window


def _origin(law: Law, lattice: Lattice, kept: tuple[float, float]) -> tuple[float, tuple[float, float] | None]:
    """A loss to lay the lattice through: the heaviest atom's; or the mean of a cell's width around it or, without
    atoms, around the densest place. Then with the two ends of what is merged."""
    h, atoms = lattice.h, law.atoms
    inside = (atoms.loss >= kept[0]) & (atoms.loss <= kept[1])
    if inside.any():
        tilted = np.log(atoms.p) + (lattice.r / h - 1.0) * atoms.loss
        centre = float(atoms.loss[np.argmax(np.where(inside, tilted, -math.inf))])
        window = (centre - 0.5 * h, centre + 0.5 * h)
        if float(law.masses(np.array(window)).p[0]) <= CROWDED:
            return centre, None
    else:
        low, high = kept
        while high - low > 0.25 * h:
            edges = np.linspace(low, high, 130)
            k = int(np.argmax(law.masses(edges).p))
            low, high = float(edges[k]), float(edges[k + 1])
        centre = 0.5 * (low + high)
        window = (centre - 0.5 * h, centre + 0.5 * h)
    p, q = _merged(law, window)
    if min(p, q) < (CROWDED if inside.any() else LUMPED):
        return centre, None
    window = _extended(law, window, h)
    return log_ratio(*_merged(law, window)), window


def _aligned(law: Law, window: tuple[float, float], h: float) -> tuple[float, float]:
    """The window with what falls off less steeply too, and both ends moved outward onto the lattice through its own
    mean, which moves with them a little.

    The polygon begins beside it with what the first cell holds. One of which most is merged holds much less than the
    next, and one that holds much more than the next leaves it nothing to fall by: then there is no polygon, and all
    that is not merged is moved down by half a cell, which is of first order in the step.
    """
    window = _extended(law, window, h, LESS_STEEP)
    origin = log_ratio(*_merged(law, window))
    below, above = math.ceil((origin - window[0]) / h), math.ceil((window[1] - origin) / h)
    for _ in range(ALIGNMENTS):
        window = (origin - below * h, origin + above * h)
        moved, origin = origin, log_ratio(*_merged(law, window))
        if abs(origin - moved) <= ALIGNED_ENDS * h:
            break
    return window


def _extended(law: Law, window: tuple[float, float], h: float, steep: float = STEEP) -> tuple[float, float]:
    """The window with what falls off steeply on either side: no polygon follows that on this lattice."""
    steps = 0.5 * h * np.arange(MOST_STEEP + 2)
    right = law.masses(np.asarray(window[1] + steps, dtype=np.float64)).p
    left = law.masses(np.asarray(window[0] - steps[::-1], dtype=np.float64)).p[::-1]
    ends = (int(np.argmin(side[:-1] > steep * side[1:])) for side in (left, right))
    below, above = (steps[end] for end in ends)
    return window[0] - float(below), window[1] + float(above)


def _merged(law: Law, window: tuple[float, float]) -> tuple[float, float]:
    """P- and Q-mass between two losses, both rounded."""
    found, atoms = law.masses(np.array(window)), law.atoms
    inside = (atoms.loss >= window[0]) & (atoms.loss <= window[1])
    return float(found.p[0] + atoms.p[inside].sum()), float(found.q[0] + atoms.q[inside].sum())


def _halves(law: Law, halves: Array, window: tuple[float, float] | None) -> _Halves:
    edges = np.union1d(halves, window) if window else halves
    edges = np.concatenate(([-math.inf], edges, [math.inf]))
    found = law.masses(edges)
    inner = slice(1, len(edges) - 2)
    p, q, low, high = found.p[inner], found.q[inner], edges[1:-2], edges[2:-1]
    cells, merged = len(halves) - 1, np.zeros(len(p), dtype=bool)
    where = np.clip(np.searchsorted(halves, 0.5 * (low + high), side="right") - 1, 0, cells - 1)
    if window:
        merged = (low >= window[0]) & (high <= window[1])

    def summed(values: Array) -> Array:
        return np.asarray(np.bincount(where, values, cells), dtype=np.float64).reshape(-1, 2)

    relative = np.zeros(cells)
    np.maximum.at(relative, where, np.where(p + q > 0.0, found.relative[inner], 0.0))
    lump = (float(p[merged].sum()), float(q[merged].sum()))
    # Of what has next to no mass much is not known, and matters as little; of what has none, nothing.
    products = (np.where(merged, side * found.relative[inner], 0.0) for side in (p, q))
    off = (float(np.where(np.isnan(each), np.inf, each).sum()) for each in products)
    rounding = max(part / max(whole, LEAST_MASS) for part, whole in zip(off, lump, strict=True)) + 64.0 * EPS
    if window:
        atoms = law.atoms
        inside = (atoms.loss >= window[0]) & (atoms.loss <= window[1])
        lump = (lump[0] + float(atoms.p[inside].sum()), lump[1] + float(atoms.q[inside].sum()))
        rounding += atoms.relative + EPS * int(merged.sum() + inside.sum())  # a unit for each that is added up
    lump = (lump[0] * (1.0 - rounding), lump[1] * (1.0 + rounding))
    return _Halves(
        (summed(p), summed(q)),
        (summed(np.where(merged, 0.0, p)), summed(np.where(merged, 0.0, q))),
        relative.reshape(-1, 2) + 8.0 * EPS,
        (float(found.p[0]), float(found.p[-1])),
        lump,
        float(np.max(found.moved)),
    )


@dataclass(frozen=True)
class _Placed:
    """Atoms by lattice cell: index of the point at or below each, and how far above it, in losses. aligned: whether it
    is on a point but for rounding or `ALIGNED`; then `cell` is that point. merged: whether it is in the window."""

    loss: Array
    p: Array
    relative: float
    cell: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    above: Array
    aligned: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    merged: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]
    outside: tuple[float, float]
    points: int

    @classmethod
    def of(cls, law: Law, y: Array, h: float, window: tuple[float, float] | None) -> "_Placed":
        atoms = law.atoms
        inside = (atoms.loss >= y[0]) & (atoms.loss < y[-1])
        loss, p = atoms.loss[inside], atoms.p[inside] * (1.0 + atoms.relative)
        nearest = np.rint((loss - y[0]) / h).astype(np.int64)
        aligned = np.abs(loss - y[nearest]) <= ALIGNED * h
        cell = np.where(aligned, nearest, np.floor((loss - y[0]) / h).astype(np.int64))
        lower, higher = (float(atoms.p[side].sum()) for side in (atoms.loss < y[0], atoms.loss >= y[-1]))
        merged = (loss >= window[0]) & (loss <= window[1]) if window else np.zeros(len(loss), dtype=bool)
        return cls(loss, p, atoms.relative, cell, loss - y[cell], aligned, merged, (lower, higher), len(y))

    @property
    def at_points(self) -> Array:
        """P-masses, roughly where they are; [lattice point]."""
        return np.asarray(np.bincount(self.cell, self.p, self.points), dtype=np.float64)


@dataclass(frozen=True)
class _Placing:
    """Puts masses on the lattice; weight: what P-mass at a lattice point is multiplied by to become w; steps: from the
    lump, [lattice point]."""

    lattice: Lattice
    y: Array
    steps: Array
    weight: Array

    @property
    def _rounding(self) -> Array:
        """Of the weights, relative: their exponents' and that of e^y."""
        return np.asarray(EPS * (24.0 + 4.0 * np.abs(self.steps) * self.lattice.r + 2.0 * np.abs(self.y)))

    def _cells(self, p: Array, q: Array) -> Cells:
        """From P- and Q-masses of halves, [cell, 2]; e^(y - loss) is q·e^y/p in the mean, and is kept in its half."""
        whole, half = math.exp(-self.lattice.h), math.exp(-0.5 * self.lattice.h)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            fall = q * np.exp(self.y[:-1, None]) / p
        fall = np.clip(np.where(p > 0.0, fall, 1.0), (half, whole), (1.0, half))
        mass = np.asarray(p * fall * self.weight[:-1, None])
        return Cells(mass, np.clip((1.0 / fall - 1.0) / self.lattice.growth, 0.0, 1.0))

    def up(self, halves: _Halves, atoms: _Placed) -> Array:
        p, q = halves.above
        q = np.where(q > LEAST_MASS, q, 0.0)  # then all of it counts as where its half ends
        cells = self._cells(p * (1.0 + halves.relative), q * (1.0 - halves.relative))
        masses = spread(cells, self.lattice.lift)
        cell = np.maximum(np.where(atoms.above < 0.0, atoms.cell - 1, atoms.cell), 0)
        beyond = np.clip(atoms.loss - self.y[cell], 0.0, self.lattice.h)
        q_weight = atoms.p * np.exp(-beyond) * self.weight[cell]
        right = q_weight * np.expm1(beyond) / self.lattice.growth
        masses += np.bincount(cell, q_weight - right, len(masses))
        masses += np.bincount(cell + 1, self.lattice.lift * right, len(masses))
        crowded = _crowded(np.concatenate((cell, cell + 1)), len(masses))
        return np.asarray(np.maximum(masses, 0.0) * (1.0 + self._rounding + crowded))

    def down(self, halves: _Halves, atoms: _Placed, origin: int) -> tuple[Array, float, float, bool]:
        """The masses, what of them should not be there, and by how much all losses are lower than the lattice says:
        enough for aligned atoms and the lump not to be moved up. And whether they are all moved down to the lattice."""
        p, q = (np.where(side > LEAST_MASS, side, 0.0) for side in halves.below)
        p, q = p * (1.0 - halves.relative), q * (1.0 + halves.relative)
        cells = self._cells(p, np.where(q > 0.0, q, 1.0))
        masses, added, failed = lowered(cells, 1.0 + self.lattice.growth, self.lattice.lift)
        guard = float(np.max(-atoms.above[atoms.aligned & ~atoms.merged], initial=0.0))
        kept = np.where(atoms.merged, 0.0, atoms.p * ((1.0 - atoms.relative) / (1.0 + atoms.relative) - 4.0 * EPS))
        masses += np.bincount(atoms.cell, kept * np.exp(-atoms.above) * self.weight[atoms.cell], len(masses))
        if halves.lump[0] > 0.0:
            loss = log_ratio(*halves.lump)
            guard = max(guard, float(self.y[origin]) - loss)
            masses[origin] += halves.lump[0] * math.exp(float(self.y[origin]) - loss) * self.weight[origin]
        rounding = self._rounding + _crowded(atoms.cell, len(masses))
        return np.asarray(masses * (1.0 - rounding)), added, outward.up(max(guard, 0.0), outward.MANY), failed


def _crowded(cell: np.ndarray[tuple[int, ...], np.dtype[np.int64]], points: int) -> Array:
    """A unit for each of many atoms at a lattice point, which are added up one by one, beyond what is counted of a few;
    relative, [point]."""
    return np.asarray(outward.UNIT * np.maximum(np.bincount(cell, minlength=points) - FEW_ATOMS, 0), dtype=np.float64)
