"""The lattice engine: delta(ε) and ε(delta) of any laws of the privacy loss, composed, as certified intervals.

    Composition.of([(law, steps), ...]).delta(1.0)

    lower_polygon    a step from below
    discretise       a step from above and below, on a lattice
    atom_spacing     the lattice's step, so that atoms lie on its points
    coarse_pld       where to look
    composed         one transform to the power of the steps
    top_event        steps lose the most they can: a bound from below that needs no lattice

Both laws are of second order in the lattice's step; both are tilted, so that errors are relative to delta, however
small. Mass at loss +inf is composed exactly.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np

from dpplan.accounting.exact import group_one_step
from dpplan.accounting.exact.contour.delta_interval import Chernoff
from dpplan.accounting.exact.contour.saddle_point import Saddle
from dpplan.accounting.exact.general_lattice import atom_spacing, top_event
from dpplan.accounting.exact.general_lattice.coarse_pld import CoarseMasses, Sketch
from dpplan.accounting.exact.general_lattice.composed import Composed
from dpplan.accounting.exact.general_lattice.discretise import discretise_all
from dpplan.accounting.exact.general_one_step import FARTHEST, delta_ends, epsilon_end, mass_at_the_top
from dpplan.accounting.numerics import QUIET, outward
from dpplan.accounting.pairs.gaussian_mixtures import GroupLoss
from dpplan.accounting.pairs.law import EPS, LOSS_OFF, ROUNDING, Array, Law
from dpplan.quick_dataclass import dataclass

# How much of delta may be cut away as absurd losses, and what aliases may add to it, relative to the width asked for.
CUT, ALIASED = 1e-3, 1e-2
FEWEST, MOST, LEAST_SHARE = 2**10, 2**18, 2**14
MOST_CELLS = 2**19  # of one step's law
MOST_PERIOD = 1e5
# A cell is to weigh at most e^20 more at one end than at the other, with this many cells to a step's law: a larger tilt
# is that of an ε within a rounding of the largest loss.
STEEPEST, STEEP_CELLS = 20.0, 2**12
# Tilts at which aliases are bounded: in units of 8 / (standard deviation of the tilted loss), and of t.
ALIAS_STEPS, ALIAS_FACTORS = (-0.25, 0.25, 0.5, 1.0, 2.0), (0.3, 0.7, 1.2, 1.5, 2.0)
REFINEMENTS = 3
AT_THE_END = 4.0  # times what the largest loss is off: where `largest` may be one that is ε itself, rounded up
NEARLY = 1e-12  # of ε: so near to the largest loss nothing else has to be asked
LOWERED = 0.9  # of an ε, where a lattice is laid for the lower end, if it has none yet
MISPLACED = 1.0  # a lattice is laid anew where its place is off by more than this, in log delta
HURRIED = 2.0
LEAST_LOG = -550.0  # log of the smallest delta that is told from 0


@dataclass(frozen=True, slots=True)
class Interval:
    """lower <= truth <= upper, proven. Both may be infinite, of an epsilon that is."""

    lower: float
    upper: float

    @property
    def relative_width(self) -> float:
        """0 for a single point, which may be 0 or infinite."""
        if self.lower == self.upper:
            return 0.0
        return (self.upper - self.lower) / self.upper if math.isfinite(self.upper) else math.inf


@dataclass(frozen=True)
class Accuracy:
    """The relative width asked for, and the most lattice points to a period, of all laws together, to spend on it.

    hurried: whether to lay none where about HURRIED times as many would be needed.
    """

    width: float = 1e-6
    most: int = MOST
    hurried: bool = False


@dataclass(frozen=True)
class Composition:
    """Steps of one direction: laws with how often each is taken, none of them twice."""

    terms: tuple[tuple[Law, int], ...]

    @classmethod
    def of(cls, terms: Iterable[tuple[Law, int]]) -> "Composition":
        merged: dict[Law, int] = {}
        for law, count in terms:
            if count < 1:
                raise ValueError(f"count={count} of {law} is not at least 1")
            merged[law] = merged.get(law, 0) + count
        if not merged:
            raise ValueError("a composition needs at least one law")
        return cls(tuple(merged.items()))

    @property
    def steps(self) -> int:
        return sum(count for _, count in self.terms)

    @property
    def log_finite(self) -> float:
        """log of the probability that every loss is finite."""
        return sum(count * math.log1p(-law.infinite) if law.infinite < 1.0 else -math.inf for law, count in self.terms)

    @property
    def infinite(self) -> Interval:
        """The probability that any loss is infinite: delta for ε -> inf."""
        missing = 0.0 - math.expm1(self.log_finite)
        return Interval(missing * (1.0 - 4.0 * ROUNDING), min(missing * (1.0 + 4.0 * ROUNDING), 1.0))

    @property
    def largest(self) -> float:
        """No finite loss of all steps is larger."""
        total = math.fsum(count * law.bounds[1] for law, count in self.terms)
        return total + math.fsum(count * (law.loss_off + LOSS_OFF) * abs(law.bounds[1]) for law, count in self.terms)

    @property
    def _off(self) -> float:
        """How far `largest` may be off, relative: what goes into it, and its own rounding."""
        return LOSS_OFF + max(law.loss_off for law, _ in self.terms)

    def delta(self, epsilon: float, accuracy: Accuracy | None = None) -> Interval:
        """delta at this ε, any finite number."""
        with np.errstate(**QUIET):
            return self._delta(epsilon, self._shared(accuracy or Accuracy()))

    def around(self, place: float, accuracy: Accuracy | None = None) -> Callable[[Array], tuple[Array, Array]]:
        """Ends of delta at any ε, by one lattice that is laid near `place`: proven everywhere, and narrow near it."""
        beyond, largest = self.infinite, self.largest
        within = min(place, 0.999 * largest) if largest > 0.0 else place
        engine = None
        if self.steps > 1:
            with np.errstate(**QUIET):
                engine = self._nearest(within, self._shared(accuracy or Accuracy()))

        def at(epsilons: Array) -> tuple[Array, Array]:
            if self.steps == 1:
                rows = [self.delta(float(each)) for each in epsilons]
                return np.array([row.lower for row in rows]), np.array([row.upper for row in rows])
            low, high = np.full(len(epsilons), beyond.lower), np.ones(len(epsilons))
            if engine is not None:
                with np.errstate(**QUIET):
                    low, high = engine.ends(epsilons)
                sound = low <= high  # not where either is NaN
                low, high = np.where(sound, low, 0.0), np.where(sound, np.minimum(high, 1.0), 1.0)
            past = epsilons >= largest
            return np.where(past, beyond.lower, low), np.where(past, beyond.upper, high)

        return at

    def epsilon(self, delta: float, accuracy: Accuracy | None = None) -> Interval:
        """The least ε >= 0 with delta(ε) <= delta, for a delta in (0, 1)."""
        with np.errstate(**QUIET):
            return self._epsilon(delta, self._shared(accuracy or Accuracy()))

    def _shared(self, accuracy: Accuracy) -> Accuracy:
        """Points are shared by the laws: each has a transform of its own."""
        return Accuracy(
            accuracy.width,
            max(accuracy.most >> ((len(self.terms) - 1) // 4).bit_length(), min(accuracy.most, LEAST_SHARE)),
            accuracy.hurried,
        )

    def _delta(self, epsilon: float, accuracy: Accuracy) -> Interval:
        beyond = self.infinite
        if epsilon >= self.largest:
            return beyond
        if self.steps == 1:
            return Interval(*delta_ends(self.terms[0][0], epsilon)[:2])
        over, least = self.largest - epsilon, max(beyond.lower, top_event.delta_below(self.terms, epsilon))
        if math.isfinite(over) and over <= AT_THE_END * self._off * self.largest:
            # All of those beyond ε are at their largest but for `over`, and 1 - e^(ε - L) <= L - ε <= over.
            log_mass = sum(count * math.log(mass_at_the_top(law, over)) for law, count in self.terms)
            most = over * math.exp(outward.up(log_mass, outward.SUM))
            return Interval(least, min(outward.up(beyond.upper + most, outward.FEW), 1.0))
        plan, saddle, log_delta = self._sketched(epsilon)
        best, points = Interval(least, 1.0), 0
        if not _usable(saddle):
            return best
        for _ in range(REFINEMENTS):
            engine = plan.laid(saddle, _Aim(epsilon, log_delta, accuracy.width), accuracy, points)
            lower, upper = engine.delta(epsilon)
            best = Interval(max(best.lower, lower), min(best.upper, upper))
            if best.relative_width <= accuracy.width or engine.composed.points >= accuracy.most:
                break
            points = _more(engine.composed.points, best.relative_width / accuracy.width)
        return best

    def _sketched(self, epsilon: float) -> "tuple[_Plan, Saddle, float]":
        """What to keep of each law, where to look, and log delta there, for delta at this ε."""
        log_delta = -30.0
        for _ in range(3):  # the range depends on delta, and delta's estimate on the range
            plan = _Plan.near(self, log_delta)
            saddle = plan.sketch.for_epsilon(epsilon)
            found = max(min(saddle.log_delta, 0.0), LEAST_LOG)
            settled, log_delta = abs(found - log_delta) < 3.0, found
            if settled:
                break
        return plan, saddle, log_delta

    def _nearest(self, epsilon: float, accuracy: Accuracy) -> "Laid | None":
        """The finest lattice that a question about delta at this ε would lay."""
        plan, saddle, log_delta = self._sketched(epsilon)
        if not _usable(saddle):
            return None
        points, engine, aim = 0, None, _Aim(epsilon, log_delta, accuracy.width)
        if accuracy.hurried and plan.points(saddle, aim) > HURRIED * accuracy.most:
            return None
        for _ in range(REFINEMENTS):
            engine = plan.laid(saddle, aim, accuracy, points)
            width = Interval(*engine.delta(epsilon)).relative_width
            if width <= accuracy.width or engine.composed.points >= accuracy.most:
                break
            points = _more(engine.composed.points, width / accuracy.width)
        return engine

    def _epsilon(self, delta: float, accuracy: Accuracy) -> Interval:
        beyond = self.infinite
        if beyond.lower > delta:
            return Interval(math.inf, math.inf)
        if self.steps == 1:
            return self._single(delta)
        best, points = Interval(top_event.epsilon_below(self.terms, delta), math.inf), 0
        if beyond.upper <= delta:
            best = Interval(best.lower, max(self.largest, 0.0))
        if best.relative_width <= NEARLY:
            return best
        log_goal = math.log(max(delta - beyond.upper, delta * 1e-3))
        plan = _Plan.near(self, log_goal)
        saddle = plan.sketch.for_log_delta(log_goal)
        if saddle.epsilon < 0.0:
            saddle = plan.sketch.for_epsilon(0.0)
        for _ in range(2 * REFINEMENTS if _usable(saddle) else 0):
            place = max(saddle.epsilon, 0.0)
            width = accuracy.width * min(max(saddle.tilt * place, 0.1), 1.0 / accuracy.width)
            engine = plan.laid(saddle, _Aim(place, log_goal, width), accuracy, points)
            found = engine.epsilon(place, delta, max(self.largest, 0.0))
            best = Interval(max(best.lower, found.lower), min(best.upper, found.upper))
            middle = found.lower if math.isinf(found.upper) else 0.5 * (found.lower + found.upper)
            if found.lower <= 0.0:  # none is found from here
                middle = LOWERED * min(place, found.upper)
            moved = abs(middle - place) * saddle.tilt
            if engine.composed.tilt < 0.99 * saddle.tilt:
                break  # as near to the largest loss as a lattice comes
            if moved > MISPLACED:
                saddle = plan.sketch.for_epsilon(middle)
            elif best.relative_width <= accuracy.width or not engine.composed.improves(accuracy.most, max(middle, 0.0)):
                break
            else:
                points = _more(engine.composed.points, best.relative_width / accuracy.width)
        return best

    def _single(self, delta: float) -> Interval:
        """`epsilon` of one step."""
        law = self.terms[0][0]
        if type(law) is GroupLoss and delta_ends(law, FARTHEST)[1] > delta:
            return Interval(*group_one_step.epsilon_ends(law, delta))

        def above(epsilon: float) -> tuple[float, float]:
            _, upper, fall = delta_ends(law, epsilon)
            return (upper, fall) if epsilon < self.largest else (self.infinite.upper, 0.0)

        def below(epsilon: float) -> tuple[float, float]:
            lower, _, fall = delta_ends(law, epsilon)
            return lower, fall

        sketched = _Plan.near(self, math.log(delta)).sketch.for_log_delta(math.log(delta)).epsilon
        start = max(min(sketched, outward.down(self.largest, outward.MANY)), 0.0) if math.isfinite(sketched) else 0.0
        lower, upper = (
            epsilon_end(value, start, delta, 1.0, sign, max(self.largest, 0.0))
            for value, sign in ((below, -1.0), (above, 1.0))
        )
        # Where there is no picture to begin from, nothing may have been found: then nothing is said.
        lower, upper = 0.0 if math.isnan(lower) else lower, math.inf if math.isnan(upper) else upper
        return Interval(lower, min(upper, max(self.largest, 0.0)) if self.infinite.upper <= delta else upper)


def _usable(saddle: Saddle) -> bool:
    """Whether there is a picture: not where all losses are beyond what is kept."""
    return all(math.isfinite(value) for value in (saddle.log_moment, saddle.slope, saddle.curvature))


def _more(points: int, excess: float) -> int:
    """The width falls as the square of the number of points."""
    return points * 2 ** max(1, math.ceil(0.5 * math.log2(min(max(excess, 1.0), 1e6)))) if math.isfinite(excess) else 0


@dataclass(frozen=True)
class Laid:
    """A lattice that has been laid near some ε, with what it leaves to loss +inf."""

    composed: Composed
    outside: Interval

    def delta(self, epsilon: float) -> tuple[float, float]:
        """Ends of delta at this ε, the mass at loss +inf included."""
        value = self.composed.at(epsilon)
        lower = self.outside.lower + max(value.lower, 0.0) * (1.0 - 4.0 * EPS)
        upper = self.outside.upper + value.upper * (1.0 + 4.0 * EPS)
        return math.nextafter(lower, 0.0), math.nextafter(upper, 2.0)

    def ends(self, epsilons: Array) -> tuple[Array, Array]:
        """As `delta`, at each of these ε."""
        low, high = self.composed.ends(epsilons)
        lower = self.outside.lower + low * (1.0 - 4.0 * EPS)
        upper = self.outside.upper + high * (1.0 + 4.0 * EPS)
        return np.nextafter(lower, 0.0), np.nextafter(upper, 2.0)

    def epsilon(self, start: float, delta: float, most: float) -> Interval:
        """Each end is proven by its own inequality, wherever it came from."""
        slack, tilt = 16.0 * EPS, self.composed.tilt
        above = (delta * (1.0 - slack) - self.outside.upper) * (1.0 - slack)
        below = max((delta * (1.0 + slack) - self.outside.lower) * (1.0 + slack), delta * slack)
        upper = epsilon_end(self.composed.above, start, above, 1.0 / tilt, 1.0, most) if above > 0.0 else math.inf
        return Interval(epsilon_end(self.composed.below, start, below, 1.0 / tilt, -1.0, most), upper)


@dataclass(frozen=True)
class _Aim:
    """The ε near which a lattice is to be good, log delta there, and the relative width of delta that will do."""

    epsilon: float
    log_delta: float
    width: float


@dataclass(frozen=True)
class _Plan:
    """What is kept of each law for deltas near one, and the picture of what is kept."""

    composition: Composition
    reaches: list[CoarseMasses]
    goal: float  # log of the P-mass that may be cut off a step
    sketch: Sketch

    @classmethod
    def near(cls, composition: Composition, log_delta: float) -> "_Plan":
        terms = [(law, float(count)) for law, count in composition.terms]
        total = math.fsum(count for _, count in terms)
        goal = log_delta + math.log(CUT * 1e-6 / total)
        reaches = [CoarseMasses.of(law) for law, _ in terms]
        return cls(composition, reaches, goal, Sketch.of(terms, [reach.kept(goal) for reach in reaches]))

    def laid(self, saddle: Saddle, aim: "_Aim", accuracy: Accuracy, points: int) -> Laid:
        """A lattice for this ε with at least so many points; fewer than `accuracy` asks for where they would not do."""
        widest = max(high - low for low, high in (reach.kept(self.goal) for reach in self.reaches))
        steepest = STEEPEST * STEEP_CELLS / max(widest, 1e-12)
        saddle = self.sketch.at(steepest) if saddle.tilt > steepest else saddle
        others, period = self._period(saddle, aim)
        ranges = [reach.kept(self.goal, saddle.tilt) for reach in self.reaches]
        h = min(self._coarsest(saddle, aim), period / max(points, FEWEST))
        h = max(h, period / accuracy.most, max(high - low for low, high in ranges) / MOST_CELLS)
        h = min(h, STEEPEST / (1.0 + saddle.tilt))
        terms = [(law, float(count)) for law, count in self.composition.terms]
        h = atom_spacing.step(terms, saddle.tilt, h)
        lattice, laws = discretise_all(terms, ranges, saddle.tilt, h)
        size = 2 ** math.ceil(math.log2(period / lattice.h))
        composed = Composed(laws, lattice, size, lattice.r / lattice.h - 1.0, others)
        return Laid(composed, outside([(law.infinite, count) for law, count in laws]))

    def points(self, saddle: Saddle, aim: "_Aim") -> float:
        """About how many points a lattice for this ε would have."""
        return self._period(saddle, aim)[1] / self._coarsest(saddle, aim)

    def _coarsest(self, saddle: Saddle, aim: "_Aim") -> float:
        """About the largest step of a lattice that does."""
        rough = self.sketch.roughness(saddle.tilt)
        return math.sqrt(0.5 * aim.width / rough) if rough > 0.0 else math.inf

    def _period(self, saddle: Saddle, aim: "_Aim") -> tuple[Array, float]:
        """Tilts at which aliases are bounded, and the least period that makes them small enough."""
        goal = aim.log_delta + math.log(ALIASED * aim.width)
        steps = np.array(ALIAS_STEPS) * 8.0 / math.sqrt(saddle.spread)
        others = np.append(saddle.tilt + steps, saddle.tilt * np.array(ALIAS_FACTORS))
        others = others[others > 0.0]
        logs = [self.sketch.at(float(s)).log_moment for s in others]
        table = Chernoff.of(np.append(others, [saddle.tilt, 0.0]), np.append(logs, [saddle.log_moment, 0.0]))
        period = min(4.0 * math.sqrt(saddle.spread), MOST_PERIOD)
        while table.log_aliases(saddle.tilt, period, aim.epsilon) > goal and period < MOST_PERIOD:
            period *= 1.1
        return others, period


def outside(masses: list[tuple[tuple[float, float], float]]) -> Interval:
    """The probability of any loss at +inf, from below and with all that was cut away."""
    low = 0.0 - math.expm1(sum(count * math.log1p(-certain) for (certain, _), count in masses))
    high = 0.0 - math.expm1(sum(count * math.log1p(-min(all_, 1.0 - EPS)) for (_, all_), count in masses))
    return Interval(max(low * (1.0 - ROUNDING), 0.0), min(high * (1.0 + ROUNDING), 1.0))


__all__ = ["Accuracy", "Composition", "Interval", "Laid", "outside"]
