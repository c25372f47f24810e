"""δ of the remove direction at every ε, where large losses are rare: they are kept apart from a lattice of the others.

A loss that lies between two points of a lattice goes to both, and of T steps that adds up: where nearly all losses are
far below a lattice's step, and few far above, none is fine and long enough. Here a step's law is parted at a loss b,

    bulk B: losses up to b, on a lattice of its own, which is short;    jump J: those above.

Paths with k jumps are B^(T-k)·J^k, C(T, k) times, told apart by which steps jump: δ is the sum over all of them of
H(A) = ∫_A (dP - e^ε·dQ)₊. With p, q the P- and Q-mass of B, and δ_n that of B^n, measures of less than 1:

From above, whoever is shown k outcomes more of (P_B/p, Q_B/q), independent of all others, is told no less, so that

    H(B^(T-k)·J^k) <= p^(-k)·Σ_J^k w·δ_T(ε + k·log(p/q) - ℓ),

ℓ being the loss of all k jumps together and w their P-mass. Of one jump each cell of losses goes to its two ends,
keeping both masses (as discretise.py), of two each to its upper end. Three or more are no more than their P-mass,
which is (T·(1 - p))³/6 at most.

From below, whoever forgets outcomes is told no more. H(B^(T-k)·J^k) >= p^m·Σ_J^k w·δ_(T-k-m)(ε + m·log(q/p) - ℓ), by
which paths with up to two jumps have T - 2 outcomes of B, those with more count as nothing, and a cell is one outcome,
of the loss that its own masses have.

δ_n is asked of the lattice at places that lie evenly. It falls, and δ_n(y) + q^n·e^y rises, from p^n on: so between
two places, g <= y <= g', it is no more than δ_n(g) and δ_n(g') + q^n·(e^g' - e^y), and no less than δ_n(g') and
δ_n(g) - q^n·(e^y - e^g).
"""

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np

from dpplan.accounting.exact.contour.composed_loss import LOG_HUGE
from dpplan.accounting.exact.contour.delta_interval import SAFE, Chernoff
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.exact.general_lattice.composed import Composed, ComposedMasses, SuffixSums
from dpplan.accounting.exact.general_lattice.discretise import DiscretisedLaw, Lattice, Side, discretise
from dpplan.accounting.numerics import QUIET, Array, outward
from dpplan.accounting.pairs.law import Law
from dpplan.quick_dataclass import dataclass

# Losses where the bulk may end, and from which on so few are larger that they count as infinite: jumps, on average. Of
# three and more jumps there are 5e-12.
LOSSES, JUMPS, NEGLIGIBLE = np.append(np.geomspace(1e-8, 100.0, 400), math.inf), 3e-4, 1e-15
FEWEST, MOST_JUMPS = 5, 0.5  # steps; jumps, on average, of which anything is claimed
# Where all that is narrow enough for a curve: the largest end of the bulk; what the lattice adds to the variance of its
# losses, as a share of that; and the variance of what is forgotten, in units of b². By a grid of 156 plans: beyond,
# some had to make another place besides, and took longer than without.
LARGEST_END, ROUGH, FORGOTTEN = 0.4, 0.01, 3e-4
FEW, LEFT_OUT = 200, 2  # steps, of so few a forgotten one is seen where none jumps; steps from below
TILT, ALIASES = 6.0, (0.4, 1.5, 2.0, 2.4)  # in units of 1/b; where aliases are bounded, in units of that
PERIOD, POINTS = 6.0, 2**15  # in units of b
REACH, PLACES = 3.0, 512  # of δ_n: so many b on either side of 0
ONE_CELLS, TWO_CELLS = 1280, 40  # of the loss of a jump, where it is the only one and of two
# Of losses and of e^loss: a few roundings, of numbers up to 100. Where a law's losses are farther off, none is made.
OFF = 1e-12
LOST = 1e-250  # more than what a lattice counts as infinite for want of digits
Ends = tuple[Array, Array]


class BulkSteps(Composed):
    """B^T from above, and B^(T-2) from below."""

    def _compose(self, sides: list[tuple[Side, DiscretisedLaw, float]]) -> ComposedMasses:
        return super()._compose(
            [(side, law, count if side is law.up else count - LEFT_OUT) for side, law, count in sides]
        )

    def _bounds(self, tilts: Array) -> Chernoff:
        """Of either number of steps: B has less than all P-mass, and its moments may be below 1."""
        ((law, count),) = self.laws
        each = np.array([self.log_moment(law.up, law, s, slice(None)) + s * law.moved for s in tilts.tolist()])
        return Chernoff.of(tilts, np.maximum(count * each, (count - LEFT_OUT) * each))

    @cached_property
    def _whole(self) -> tuple[ComposedMasses, SuffixSums]:
        found = super()._compose([(law.down, law, count) for law, count in self.laws])
        return found, SuffixSums(found.masses, self._kernel)

    def whole_below(self, epsilons: Array) -> Array:
        """δ of B^T from below."""
        masses, sums = self._whole
        log_aliases = self._chernoff.at_many(self.tilt, self.period, epsilons)[1]
        aliases = outward.up(np.exp(np.minimum(log_aliases, LOG_HUGE)), SAFE)
        return np.asarray(masses.many(epsilons, self.lattice, sums, -1.0) - aliases)


@dataclass(frozen=True)
class PlacedJumps:
    """Where jumps are put: their losses, rising, and how many there are on average, [node]."""

    loss: Array
    mass: Array

    @classmethod
    def of(cls, losses: list[Array], masses: list[Array]) -> "PlacedJumps":
        loss = np.concatenate(losses)
        order = np.argsort(loss)
        return cls(loss[order], np.concatenate(masses)[order])

    @cached_property
    def fallen(self) -> Array:
        return np.exp(-self.loss)

    @cached_property
    def beyond(self) -> Ends:
        """Of the masses, and of w·e^(-ℓ), what there is from each node on and, last, beyond all."""
        whole, fallen = (np.append(np.cumsum(each[::-1])[::-1], 0.0) for each in (self.mass, self.mass * self.fallen))
        return whole, fallen


class Parted(NamedTuple):
    """What B is: its largest loss; p from below; q from above; steps."""

    end: float
    p: float
    q: float
    steps: float

    def masses(self, forgotten: int) -> tuple[float, float]:
        """p^n from below and q^n from above, n being so many steps less."""
        n = self.steps - forgotten
        return math.exp(n * math.log(self.p)) * (1.0 - OFF), min(math.exp(n * math.log(self.q)) * (1.0 + OFF), 1.0)


class RareJumpsSum:
    """Built once, by `over`; `ends` at any ε."""

    method = "lattice beside rare jumps"

    def __init__(self, bulk: BulkSteps, parted: Parted, above: PlacedJumps, below: PlacedJumps, rest: float) -> None:
        """above, below: jumps, from either side. rest: what is added from above at every ε."""
        self.bulk, self.parted, self.above, self.below, self.rest = bulk, parted, above, below, rest
        self._spacing = 2.0 * REACH * parted.end / PLACES
        self._places = self._spacing * np.arange(-PLACES // 2, PLACES // 2 + 1, dtype=np.float64)
        self._grown = np.exp(self._places)
        (self._least, fewer), (_, more) = parted.masses(LEFT_OUT), parted.masses(0)
        self._other = fewer, more
        low, high = self._of_bulk(self._places)
        # δ_n falls, and δ_n + q^n·e^y rises.
        low, high = np.maximum.accumulate(low[::-1])[::-1], np.minimum.accumulate(high)
        low = np.maximum.accumulate(np.maximum(low + fewer * self._grown, self._least)) - fewer * self._grown - OFF
        self._high = np.minimum.accumulate((high + more * self._grown)[::-1])[::-1] - more * self._grown + OFF
        self._low = np.maximum(low, 0.0)

    def ends(self, epsilons: Array) -> Ends:
        """lower <= δ <= upper of the remove direction at each of these ε, which may be negative."""
        with np.errstate(**QUIET):
            low, high = self._without_jump(epsilons)
            high = outward.up(high + self._with_jumps_above(epsilons) + self.rest, outward.SUM)
            low = outward.down(low + self._with_jumps_below(epsilons), outward.SUM)
        sound = low <= high  # not where either is NaN
        return np.where(sound, np.maximum(low, 0.0), 0.0), np.where(sound, np.minimum(high, 1.0), 1.0)

    def _of_bulk(self, epsilons: Array) -> Ends:
        """Of B^(T-2) from below, and of B^T from above."""
        with np.errstate(**QUIET):
            low, high = self.bulk.ends(epsilons)
        return np.where(low <= 1.0, low, 0.0), np.where(high <= 1.0, high, 1.0)

    def _without_jump(self, epsilons: Array) -> Ends:
        high = self._of_bulk(epsilons)[1]
        if self.parted.steps < FEW:
            low = self.bulk.whole_below(epsilons)
            return np.where(low > 0.0, low, 0.0), high
        shift = -LEFT_OUT * math.log(self.parted.p) * (1.0 + outward.SUM)
        low = self._of_bulk(epsilons + shift + outward.FEW * (np.abs(epsilons) + shift))[0]
        return low * self.parted.p**LEFT_OUT, high

    def _with_jumps_above(self, epsilons: Array) -> Array:
        """Σ w·δ_T(ε - ℓ) from above."""
        near, other = _Near.of(self.above, epsilons, self._places), self._other[1]
        rise = np.maximum(self._grown[near.at + 1] - near.grown, 0.0)
        found = np.minimum(self._high[near.at], self._high[near.at + 1] + other * rise)
        before = (self._high[0] + other * self._grown[0]) * near.before[0] - other * near.before[1]
        after = self._high[-1] * near.after
        return near.summed(found + OFF) + before + after + OFF * (near.before[0] + near.before[1])

    def _with_jumps_below(self, epsilons: Array) -> Array:
        """Σ w·δ_(T-2)(ε - ℓ) from below."""
        near, other = _Near.of(self.below, epsilons, self._places), self._other[0]
        rise = np.maximum(near.grown - self._grown[near.at], 0.0)
        found = np.maximum(self._low[near.at + 1], self._low[near.at] - other * rise - OFF)
        before = self._least * near.before[0] - other * near.before[1] - OFF * (near.before[0] + near.before[1])
        return near.summed(found) + np.maximum(before, 0.0)


class _Near(NamedTuple):
    """The pairs of an ε and a node whose y = ε - ℓ is among the places: the number of the ε, that of the place at or
    below y, e^y and the node's mass, [pair]. before, after: of the nodes whose y is below or above all places, Σ w,
    for those below with Σ w·e^y, [ε]."""

    row: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    at: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    grown: Array
    mass: Array
    before: Ends
    after: Array

    @classmethod
    def of(cls, nodes: PlacedJumps, epsilons: Array, places: Array) -> "_Near":
        begin = np.searchsorted(nodes.loss, epsilons - places[-1])
        end = np.searchsorted(nodes.loss, epsilons - places[0])
        size, rise = end - begin, np.exp(np.minimum(epsilons, 700.0))
        row = np.repeat(np.arange(len(epsilons)), size)
        node = np.arange(len(row)) - np.repeat(np.cumsum(size) - size - begin, size)
        y, spacing = epsilons[row] - nodes.loss[node], places[1] - places[0]
        at = np.clip(np.floor((y - places[0]) / spacing).astype(np.int64), 0, len(places) - 2)
        whole, fallen = nodes.beyond
        before = whole[end], rise * fallen[end]
        return cls(row, at, rise[row] * nodes.fallen[node], nodes.mass[node], before, whole[0] - whole[begin] + OFF)

    def summed(self, values: Array) -> Array:
        """By ε, each value with its mass."""
        return np.asarray(np.bincount(self.row, self.mass * values, len(self.after)), dtype=np.float64)


def over(run: Composition) -> RareJumpsSum | None:
    """The sum for a plan whose remove direction is this run; None where large losses are not as rare as that, or the
    others not as small, and for laws with atoms or infinite losses."""
    if len(run.terms) != 1 or run.steps < FEWEST:
        return None
    ((law, steps),) = run.terms
    if len(law.atoms.loss) or law.infinite or law.vanishing:
        return None
    p = law.masses(LOSSES).p
    jumps = steps * np.cumsum(p[::-1])[::-1]
    begin, last = int(np.argmax(jumps <= JUMPS)), int(np.argmax(jumps <= NEGLIGIBLE))
    if not (jumps[last] <= NEGLIGIBLE and 0 < begin < last and LOSSES[begin] <= LARGEST_END):
        return None
    end, mean, square = float(LOSSES[begin]), p[:begin] @ LOSSES[:begin], p[:begin] @ LOSSES[:begin] ** 2
    if not (0.5 * PERIOD / POINTS * end * mean <= ROUGH * square and 4.0 * square <= FORGOTTEN * end * end):
        return None
    return beside(law, steps, (end, float(LOSSES[last])))


def beside(law: Law, steps: int, ends: tuple[float, float]) -> RareJumpsSum | None:
    """ends: about b, and the loss from which on all count as infinite. None where nothing could be proven."""
    h, tilt, count = PERIOD * ends[0] / POINTS, TILT / ends[0], float(steps)
    lattice = Lattice(h, (1.0 + tilt) * h)
    step = discretise(law, lattice, (max(law.bounds[0], -0.5 * PERIOD * ends[0]), ends[0]))
    end = step.up.loss + h * (step.up.first + len(step.up.masses) - 1)
    margin = OFF * (1.0 + ends[1])
    found = law.masses(np.array([end - margin, end + margin, math.inf]))
    one, beyond = _to_both_ends(law, _cells(end - margin, ends[1], ONE_CELLS), margin)
    jump = outward.up(float(one.mass.sum()) + beyond, outward.SERIES)
    if not (count * jump <= MOST_JUMPS and max(step.moved, float(np.max(found.moved[:2]))) <= 0.1 * margin):
        return None
    p, q = outward.down(1.0 - jump, outward.FEW), 1.0 - float(found.q[1] * (1.0 - found.relative[1]))
    parted, shift = Parted(end, p, outward.up(q, outward.FEW), count), -math.log(p) * (1.0 + outward.SUM)
    two = _two(_to_upper_ends(law, _cells(end - margin, ends[1], TWO_CELLS), margin))
    above = PlacedJumps.of(
        [one.loss + shift, two.loss + 2.0 * shift],
        [outward.up(one.mass * (count / p), outward.SUM), outward.up(two.mass * (count / p) ** 2, outward.SUM)],
    )
    one = _as_one_outcome(law, _cells(end + margin, ends[1], ONE_CELLS), margin)
    two = _two(_as_one_outcome(law, _cells(end + margin, ends[1], TWO_CELLS), margin))
    below = PlacedJumps.of(
        [one.loss - shift, two.loss],
        [outward.down(one.mass * count * p, outward.SUM), outward.down(two.mass * count * (count - 1.0), outward.SUM)],
    )
    bulk = BulkSteps([(step, count)], lattice, POINTS, lattice.r / h - 1.0, tilt * np.array(ALIASES))
    rest = outward.up(count * beyond + (count * jump) ** 3 / 6.0 + count * LOST, outward.SUM)
    return RareJumpsSum(bulk, parted, above, below, rest)


def _cells(low: float, high: float, number: int) -> Array:
    return np.asarray(np.geomspace(low, high, number + 1), dtype=np.float64)


def _to_both_ends(law: Law, edges: Array, margin: float) -> tuple[PlacedJumps, float]:
    """Each cell at its two ends, keeping both masses, and the P-mass beyond all, from above.

    Both ends are taken a margin farther out than the edges, and both nodes a margin higher.
    """
    found = law.masses(np.append(edges, math.inf))
    more = np.where(found.p > 0.0, found.p * (1.0 + found.relative), 0.0)
    p, q = more[:-1], found.q[:-1] * (1.0 - found.relative[:-1])
    low, high = np.exp(-(edges[1:] + margin)), np.exp(-(edges[:-1] - margin))
    fall = np.clip(np.divide(q, p, out=high.copy(), where=p > 0.0), low, high)
    share = np.minimum((high - fall) / (high - low) + OFF, 1.0)  # at the upper end
    return PlacedJumps(edges + margin, np.append((1.0 - share) * p, 0.0) + np.append(0.0, share * p)), float(more[-1])


def _to_upper_ends(law: Law, edges: Array, margin: float) -> PlacedJumps:
    """Each cell at its upper end, from above."""
    found = law.masses(edges)
    return PlacedJumps(edges[1:] + margin, np.where(found.p > 0.0, found.p * (1.0 + found.relative), 0.0))


def _as_one_outcome(law: Law, edges: Array, margin: float) -> PlacedJumps:
    """Each cell one outcome, from below."""
    found = law.masses(edges)
    p, q = found.p * (1.0 - found.relative), found.q * (1.0 + found.relative)
    sound = (p > 0.0) & (q > 0.0)
    return PlacedJumps(np.log(p[sound] / q[sound]) - margin, p[sound])


def _two(jump: PlacedJumps) -> PlacedJumps:
    """Of two jumps, in units of how many ordered pairs of steps there are, each pair of nodes once."""
    one, two = np.triu_indices(len(jump.loss))
    return PlacedJumps(
        jump.loss[one] + jump.loss[two], np.where(one == two, 0.5, 1.0) * jump.mass[one] * jump.mass[two]
    )
