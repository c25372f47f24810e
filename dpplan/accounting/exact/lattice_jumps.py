"""Laws of any kind where large losses are rare: paths with a jump, on a lattice, and those without one by Chernoff.

When one step (or a few) brings nearly all of the loss, the composed law has no tilt that suits it: the paths on which
nothing happens weigh 1, and what a transform rounds of them may be more than all of delta. So each step's masses on the
lattice are parted at a loss: below lies the bulk B, from there on the jumps J. Both are positive measures, and so is

    (B + J)^n - B^n = B^n·((1 + J/B)^n - 1)

the law of the paths with at least one jump, which is computed as it stands on the right: nothing of size 1 cancels.
Delta is linear in the law. From above it is that of the upper lattice law's paths with a jump and a bound on that of
its bulk: 0 where the largest losses of the bulk together stay below ε, else Chernoff's at tilts of its own. From below
the lower law's paths with a jump are enough.

Symbols: as in general_lattice; c the loss from which on a step jumps; n the steps.
"""

import math

import numpy as np

from dpplan.accounting.exact.contour import chernoff
from dpplan.accounting.exact.contour.delta_interval import SAFE, Chernoff, DeltaInterval
from dpplan.accounting.exact.contour.privacy_loss import grown_error, log_characteristic
from dpplan.accounting.exact.general_lattice import Composition, Laid, atom_spacing, outside
from dpplan.accounting.exact.general_lattice.coarse_pld import CoarseMasses, Sketch
from dpplan.accounting.exact.general_lattice.composed import Composed, ComposedMasses
from dpplan.accounting.exact.general_lattice.discretise import DiscretisedLaw, Lattice, Side, discretise
from dpplan.accounting.exact.general_one_step import some_step_beyond
from dpplan.accounting.exact.proven_ends import Ends
from dpplan.accounting.numerics import QUIET, Array, outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.complex_log import complex_expm1, complex_log1p
from dpplan.accounting.numerics.logspace import log_sum
from dpplan.accounting.pairs.law import EPS
from dpplan.quick_dataclass import dataclass

METHOD = "lattice of jumps"
SHARES = np.array((0.95, 0.85, 0.75, 0.62, 0.5, 0.4, 0.3, 0.2, 0.13, 0.08, 0.05))  # where jumps may begin, in ε
# Tilts at which a bulk is bounded and a measure looked at, in units of 1/ε; and around the best.
BULK_TILTS, TILTS = np.geomspace(2.0, 2000.0, 28), np.geomspace(0.3, 400.0, 48)
ALIAS_FACTORS = (0.4, 0.6, 0.8, 0.9, 1.1, 1.25, 1.5, 2.0)
CUT, LEFT, ALIASED = 1e-9, 1e-7, 1e-8  # of delta: cut away, left to the bulk, aliases
COARSEST = 0.05  # a cell, in units of 1/(1 + tilt)
FEWEST, MOST, MOST_CELLS = 2**11, 2**17, 2**17
MERGED = 2e-5  # of delta: what it may cost from below that small losses are one outcome
MOST_APART = 0.02  # of the sum of total variations: beyond it other engines do better, or are quicker
NUDGE = 0.01  # of ε, for a slope
MOST_JUMPS = 0.5  # on average, of all steps
NOTHING, LONGEST = 1e-100, 1e4  # a delta that is not looked into; a period
FARTHEST, SEARCHED = 12.0, 14  # of a search for ε: how far down in log ε, and how many questions
START = -60.0  # of log delta
# Relative widths: that a lattice is laid for, and that is good enough.
ENOUGH, GOOD = 4e-6, 8e-5
LEAST, ROUNDS, CLOSE = 1e-120, 3, 1.0
NEAREST = 0.05  # a lattice is laid anew where ε turns out to be farther off than this, relative
HUGE = 690.0


@dataclass(frozen=True)
class _Picture:
    """What is kept of each law for deltas near one, and about how large its parts are."""

    composition: Composition
    reaches: list[CoarseMasses]
    sketch: Sketch
    goal: float

    @classmethod
    def near(cls, composition: Composition, log_delta: float) -> "_Picture":
        terms = [(law, float(count)) for law, count in composition.terms]
        goal = log_delta + math.log(CUT / math.fsum(count for _, count in terms))
        reaches = [CoarseMasses.of(law) for law, _ in terms]
        return cls(composition, reaches, Sketch.of(terms, [reach.kept(goal) for reach in reaches]), goal)

    def parts(self, tilts: Array, loss: float) -> tuple[Array, Array]:
        """log of the moments of paths without a jump and with one, [tilt]."""
        y, log_mass, count = self.sketch.y, self.sketch.log_mass, self.sketch.count
        bulk, rise = np.zeros(len(tilts)), np.zeros(len(tilts))
        for row in range(len(count)):
            terms = log_mass[row] + tilts[:, None] * y[row]
            below = log_sum(np.where(y[row] < loss, terms, -np.inf))
            bulk += count[row] * below
            rise += count[row] * np.log1p(
                np.exp(np.minimum(log_sum(np.where(y[row] < loss, -np.inf, terms)) - below, HUGE))
            )
        return bulk, bulk + np.where(rise > 30.0, rise, np.log(np.expm1(np.minimum(rise, 30.0)) + 1e-300))

    def place(self, epsilon: float, log_delta: float) -> "_JumpPlace | None":
        """The largest place for jumps to begin at which the bulk still is negligible, and the best tilt for them."""
        bulk_tilts, tilts = BULK_TILTS / epsilon, TILTS / epsilon
        for share in SHARES:
            loss = float(share) * epsilon
            if self.expected(loss) > MOST_JUMPS:
                return None
            bulk, _ = self.parts(bulk_tilts, loss)
            bounds = bulk + chernoff.log_factors(bulk_tilts) - bulk_tilts * epsilon
            if float(np.min(bounds)) <= log_delta + math.log(LEFT):
                _, logs = self.parts(tilts, loss)
                best = float(tilts[np.argmin(logs - tilts * epsilon)])
                fall = self.log_delta(epsilon * (1.0 - NUDGE)) - self.log_delta(epsilon * (1.0 + NUDGE))
                steep = max(best, 0.5 * fall / (NUDGE * epsilon))
                return _JumpPlace(epsilon, loss, best, float(bulk_tilts[np.argmin(bounds)]), steep)
        return None

    def laid(self, place: "_JumpPlace", log_delta: float, error: float) -> Laid | None:
        """A lattice there, so fine that about this relative error of delta is to be expected. None where losses are so
        far apart that a period of it, for this tilt, would be a few cells."""
        tilts = place.tilt * np.append(np.array(ALIAS_FACTORS), [1.0, 0.0])
        table = Chernoff.of(tilts, self.parts(tilts, place.loss)[1])
        period = 8.0 / place.tilt
        while table.log_aliases(place.tilt, period, place.epsilon) > log_delta + math.log(ALIASED) and period < LONGEST:
            period *= 1.15
        ranges = [reach.kept(self.goal, place.tilt) for reach in self.reaches]
        least = max(period / MOST, max(high - low for low, high in ranges) / MOST_CELLS)
        if period < 0.5 * FEWEST * least:
            return None
        h = min(COARSEST / (1.0 + place.tilt), period / FEWEST)
        while h > least and self.error(place, h) > error:
            h *= 0.5
        terms = [(law, float(count)) for law, count in self.composition.terms]
        h = atom_spacing.step(terms, place.tilt, max(h, least))
        lattice = Lattice(h, (1.0 + place.tilt) * h)
        laws = [
            (discretise(law, lattice, bounds, self.merged(row, place, h, max(0.25 * error, MERGED))), count)
            for row, ((law, count), bounds) in enumerate(zip(terms, ranges, strict=True))
        ]
        composed = JumpPaths(laws, lattice, 2 ** math.ceil(math.log2(period / h)), place)
        return Laid(composed, outside([(law.infinite, count) for law, count in laws]))

    def error(self, place: "_JumpPlace", h: float) -> float:
        """What a step h of the lattice may cost of delta, relative: a loss goes to the two points around it, which adds
        to the variance of the sum, and jumps likewise."""
        off, t = np.abs(self.sketch.y), place.steep
        added = np.where(self.sketch.y < place.loss, np.minimum(off * h, 0.25 * h * h), 0.0) * self.sketch.mass
        return 0.5 * t * (1.0 + t) * (float((self.sketch.count[:, None] * added).sum()) + 0.25 * h * h)

    def merged(self, row: int, place: "_JumpPlace", h: float, error: float) -> tuple[float, float] | None:
        """The losses of a law that may be one outcome from below for this error; None where a cell is as wide."""
        y, t = self.sketch.y[row], place.steep
        each = 0.5 * t * (1.0 + t) * float(self.sketch.count.sum())
        good = (each * np.cumsum(self.sketch.mass[row] * y * y) <= error) & (y < place.loss - h)
        most = float(y[good][-1]) if good.any() else 0.0
        return (float(y[0]) - h, most) if most > 2.0 * h else None

    def epsilon(self, log_delta: float) -> float:
        """About the ε at which log delta is this; 0 where there is nothing to go by."""
        most = float(np.max(np.where(np.isfinite(self.sketch.log_mass), self.sketch.y, -np.inf)))
        if not most > 0.0:
            return 0.0
        ends = math.log(most) - FARTHEST, math.log(most) + 2.0
        turn = first_true(lambda at: self.log_delta(math.exp(at)) <= log_delta, *ends, most=SEARCHED)
        return math.exp(turn.true)

    @property
    def rare(self) -> bool:
        """Whether the neighbours' outputs are hardly apart: the sum of the steps' total variations is small."""
        apart = self.sketch.mass * -np.expm1(-np.maximum(self.sketch.y, 0.0))
        return float((self.sketch.count[:, None] * apart).sum()) <= MOST_APART

    def expected(self, loss: float) -> float:
        """How many steps jump on average, where jumps begin at this loss."""
        masses = np.where(self.sketch.y < loss, 0.0, self.sketch.mass)
        return float((self.sketch.count[:, None] * masses).sum())

    def log_delta(self, epsilon: float) -> float:
        """About log delta at this ε: by steps that decide alone, or by the best place for jumps where those are
        more."""
        with np.errstate(over="ignore"):
            beyond = np.where(self.sketch.y > epsilon, -np.expm1(epsilon - self.sketch.y), 0.0)
        gains = beyond * self.sketch.mass
        best = 0.0
        tilts = TILTS[::3]
        for share in SHARES[1::3]:
            bulk, jumps = self.parts(tilts / epsilon, float(share) * epsilon)
            factors = chernoff.log_factors(tilts / epsilon) - tilts - np.log1p(0.25 * tilts)
            best = min(best, max(float(np.min(bulk + factors)), float(np.min(jumps + factors))))
        alone = float((self.sketch.count[:, None] * gains).sum())
        return min(max(best, math.log(max(alone, 1e-300))), 0.0)


@dataclass(frozen=True)
class _JumpPlace:
    """Near which ε a lattice of jumps is to be good; the loss from which on a step jumps; the tilts of both parts;
    about how steep log delta falls there."""

    epsilon: float
    loss: float
    tilt: float
    bulk_tilt: float
    steep: float


class JumpPaths(Composed):
    """delta(ε) of composed steps with at least one jump, and a bound on that of the others."""

    def __init__(
        self, laws: list[tuple[DiscretisedLaw, float]], lattice: Lattice, points: int, place: _JumpPlace
    ) -> None:
        self.place = place
        others = place.tilt * np.array(ALIAS_FACTORS)
        super().__init__(laws, lattice, points, lattice.r / lattice.h - 1.0, others)
        self._bulk = self._bulk_bounds(place.bulk_tilt * np.array((0.5, 0.8, 1.0, 1.25, 2.0)))
        self._most = math.fsum(
            count * (law.up.loss + lattice.h * (self._begin(law.up) - 1 + law.up.first) + law.moved)
            for law, count in laws
        )

    def _begin(self, side: Side) -> int:
        """The index of the first mass that is a jump: above the lump."""
        return max(math.ceil((self.place.loss - side.loss) / self.lattice.h), 1) - side.first

    def _without_jump(self, epsilon: float) -> float:
        """A bound on what the paths without a jump add to delta at this ε."""
        if self._most + 64.0 * EPS * (abs(self._most) + abs(epsilon)) < epsilon:
            return 0.0
        return chernoff.probability(self._bulk.log_delta(epsilon))

    def above(self, epsilon: float) -> tuple[float, float]:
        """As of `Composed`."""
        found, fall = super().above(epsilon)
        return outward.up(found + self._without_jump(epsilon), outward.FEW), fall

    def at(self, epsilon: float) -> DeltaInterval:
        """As of `Composed`."""
        above, high, fall = self._upper.delta(epsilon, self.lattice, self._kernel, 1.0)
        below, low, _ = self._lower.delta(epsilon, self.lattice, self._kernel, -1.0)
        aliases, rest = self._aliases(epsilon), self._without_jump(epsilon)
        upper = outward.up(above + rest, outward.FEW) if above == above else math.inf
        return DeltaInterval(
            lower=max(below - aliases, 0.0),
            upper=min(upper, 1.0),
            estimate=high,
            slope=-fall,
            terms=(
                ("lattice", max(high - low, 0.0)),
                ("aliases", aliases),
                ("transform and rounding", max(above - high, low - below)),
                ("paths without a jump", rest),
            ),
        )

    def ends(self, epsilons: Array) -> tuple[Array, Array]:
        """As of `Composed`."""
        low, high = super().ends(epsilons)
        rest = np.array([self._without_jump(float(each)) for each in epsilons])
        return low, np.minimum(outward.up(high + rest, outward.FEW), 1.0)

    def _compose(self, sides: list[tuple[Side, DiscretisedLaw, float]]) -> ComposedMasses:
        """The masses of the paths with a jump; errors as in contour.rare_jumps.runs_with_a_jump."""
        size = len(self._angles)
        bulk, rise = np.zeros(size, complex), np.zeros(size, complex)
        bulk_off, rise_off = np.zeros(size), np.zeros(size)
        log_unit = unit_error = loss = moved = 0.0
        for side, law, count in sides:
            begin = self._begin(side)
            index = np.arange(len(side.masses))
            low, high = np.where(index < begin, side.masses, 0.0), np.where(index < begin, 0.0, side.masses)
            total = math.fsum(low)
            if not 0.0 < total < math.inf or not np.isfinite(high).all():
                return ComposedMasses(np.zeros(self.points), 0.0, 0.0, 0.0, 0.0, 0.0)
            drop, turn, error = self._characteristic(side, low / total)
            log_phi, lost = log_characteristic(drop, turn)
            size_phi = np.maximum(np.exp(log_phi.real), 1e-300)
            own = (error + lost + 2.0 * side.added / total) / size_phi
            if not float(np.max(own)) < 0.25:  # what follows divides by it
                return ComposedMasses(np.zeros(self.points), 0.0, 0.0, 0.0, 0.0, 0.0)
            jump = np.fft.rfft(np.bincount((side.first + index) % self.points, high / total, self.points))
            jump_off = (2.0 * self._transformed + self.wrapped(len(high))) * float(high.sum()) / total
            jump_off += 2.0 * side.added / total
            bulk += count * log_phi
            bulk_off += count * (np.log1p(own) + 8.0 * EPS * np.abs(log_phi))
            ratio = jump / size_phi * np.exp(-1j * log_phi.imag)
            step = complex_log1p(ratio)
            off = (jump_off + np.abs(jump) * (2.0 * own + 16.0 * EPS * (1.0 + np.abs(log_phi)))) / size_phi
            rise += count * step
            rise_off += count * (off / np.maximum(np.abs(1.0 + ratio) - off, 1e-300) + 8.0 * EPS * np.abs(step))
            log_unit += count * (math.log(total) + law.shift)
            unit_error += count * EPS * (8.0 + 2.0 * abs(math.log(total)) + 2.0 * abs(law.shift))
            loss += count * side.loss
            moved += count * (law.moved + 4.0 * EPS * abs(side.loss))
        bulk_off += EPS * (64.0 + np.abs(bulk))
        values = np.exp(bulk) * complex_expm1(rise)
        off = np.where(bulk_off < HUGE, np.expm1(np.minimum(bulk_off, HUGE)), np.inf)
        error = np.abs(values) * (off + 32.0 * EPS)
        error += np.exp(bulk.real) * grown_error(rise.real, rise_off) * (1.0 + off) + 1e-305
        weights = np.full(len(values), 2.0 / self.points)
        weights[[0, -1]] = 1.0 / self.points
        each = float((weights * error).sum()) + self._transformed * float((weights * np.abs(values)).sum())
        if not math.isfinite(each):
            return ComposedMasses(np.zeros(self.points), 0.0, 0.0, 0.0, 0.0, 0.0)
        masses = np.fft.irfft(values, self.points)
        return ComposedMasses(masses, outward.up(each, outward.MANY), log_unit, unit_error, loss, moved)

    def _log_moments(self, side: Side, law: DiscretisedLaw, s: float) -> tuple[float, float]:
        """log of one step's moments of the bulk and of the jumps at a tilt, each rounded up."""
        begin = self._begin(side)
        low, high = (self.log_moment(side, law, s, part) for part in (slice(begin), slice(begin, None)))
        return low + s * law.moved, high + s * law.moved

    def _bounds(self, tilts: Array) -> Chernoff:
        """Upper bounds on the moments of the paths with a jump, of the upper law and of the lower one."""
        ups, downs = (
            [(law.up, law, count) for law, count in self.laws],
            [(law.down, law, count) for law, count in self.laws],
        )
        logs = [max(self._log_jumps(ups, s), self._log_jumps(downs, s)) for s in tilts.tolist()]
        return Chernoff.of(tilts, np.nan_to_num(np.array(logs), nan=math.inf, posinf=math.inf, neginf=-1e300))

    def _log_jumps(self, sides: list[tuple[Side, DiscretisedLaw, float]], s: float) -> float:
        """log of the moment at a tilt of the paths with a jump, rounded up."""
        bulk, rises = 0.0, []
        for side, law, count in sides:
            low, high = self._log_moments(side, law, s)
            bulk += count * low
            share = min(high - low, HUGE) + 4.0 * EPS * (abs(high) + abs(low)) if high > -math.inf else -math.inf
            rises.append(math.log(count) + (share if share < -30.0 else math.log(math.log1p(math.exp(share)))))
        log_rise = float(np.logaddexp.reduce(rises)) + SAFE
        if log_rise < -30.0:
            risen = log_rise + math.exp(-30.0)  # expm1(x) <= x·(1 + x) for x <= 1
        else:
            grown = math.exp(min(log_rise, math.log(HUGE)))
            risen = math.exp(min(log_rise, HUGE)) if grown > 30.0 else math.log(math.expm1(grown))
        return bulk + risen + SAFE + 16.0 * EPS * (abs(bulk) + abs(risen))

    def _bulk_bounds(self, tilts: Array) -> Chernoff:
        """Upper bounds on the moments of the upper law's paths without one."""
        each = np.array(
            [[count * self._log_moments(law.up, law, s)[0] for law, count in self.laws] for s in tilts.tolist()]
        )
        return Chernoff.of(tilts, each.sum(axis=1) + 16.0 * EPS * np.abs(each).sum(axis=1) + SAFE)


def epsilon_ends(run: Composition, delta: float, near: float | None = None) -> Ends | None:
    """Certified ends for the least ε >= 0 with delta(ε) <= delta; None where large losses are not rare.

    near: about where it is, where that is known: then it is not searched for, and outputs may be farther apart.
    """
    left = delta - run.infinite.upper
    if run.steps == 1 or not left > 0.5 * delta:
        return None
    with np.errstate(**QUIET):
        picture = _Picture.near(run, math.log(left))
        epsilon = near or 0.0
        if near is None and picture.rare:
            epsilon = picture.epsilon(math.log(left))
        best, error, found = Ends(0.0, math.inf, METHOD), ENOUGH, None
        for _ in range(ROUNDS):
            place = picture.place(epsilon, math.log(left)) if epsilon > 0.0 else None
            if place is None:
                break
            laid = picture.laid(place, math.log(left), error * max(place.steep * epsilon, 1.0))
            if laid is None:
                break
            found = laid.epsilon(epsilon, delta, max(run.largest, 0.0))
            best = best.narrowed(Ends(found.lower, found.upper, METHOD))
            middle = 0.5 * (found.lower + found.upper) if math.isfinite(found.upper) else found.lower
            if not middle > 0.0 or best.relative_width <= GOOD:
                break
            moved, epsilon = abs(middle - epsilon), middle
            error *= 1.0 if moved > NEAREST * middle else 0.25
    return best if found is not None and best.lower <= best.upper else None


def delta_ends(run: Composition, epsilon: float) -> Ends | None:
    """Certified ends for delta(ε); None likewise."""
    if run.steps == 1 or not 0.0 < epsilon < run.largest:
        return None
    log_delta, best = START, None
    with np.errstate(**QUIET):
        most = run.infinite.upper + some_step_beyond(run.terms, epsilon)
        if most <= NOTHING:
            return Ends(run.infinite.lower, most, METHOD)
        for _ in range(ROUNDS):  # what is cut away depends on delta, and delta's estimate on what is
            picture = _Picture.near(run, log_delta)
            if not picture.rare:
                return None
            found = max(picture.log_delta(epsilon), math.log(LEAST))
            settled, log_delta = abs(found - log_delta) < CLOSE, found
            if settled:
                break
        for error in (ENOUGH, 0.25 * ENOUGH):
            place = picture.place(epsilon, log_delta)
            laid = None if place is None else picture.laid(place, log_delta, error)
            if laid is None:
                break
            lower, upper = laid.delta(epsilon)
            new = Ends(max(lower, run.infinite.lower), min(upper, 1.0), METHOD)
            best = new if best is None else best.narrowed(new)
            if best.relative_width <= GOOD:
                break
            log_delta = math.log(max(upper, LEAST))
            picture = _Picture.near(run, log_delta)
    return best if best is not None and best.lower <= best.upper else None
