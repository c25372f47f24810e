"""Which contour for which plan: where to put it, what to cut, and how much accuracy to ask for.

Nothing here is certified and nothing needs to be: a contour placed badly is wide, not wrong.

plain   the whole law, at the saddle of T·K(t) - ε·t; a far cut where the tilt would reach for absurd losses.
jump    where the plain sum would need too many frequencies: the paths without a jump are subtracted, at the tilt
        where Chernoff is best for those with one.

Where neither will do, invert.py takes a grid (gaussian_lattice/composition.py).
"""

import math

import numpy as np

from dpplan.accounting.exact.contour import composed_jumps, many_plans
from dpplan.accounting.exact.contour.composed_loss import MANY, Measure, Moments, cut_at, far_limit
from dpplan.accounting.exact.contour.delta_interval import Aim, Chernoff, Contour, ContourTolerance, LossMoments
from dpplan.accounting.exact.contour.privacy_loss import Cut, Direction, Steps
from dpplan.accounting.exact.contour.rare_jumps.beyond_cut import Falling
from dpplan.accounting.exact.contour.saddle_point import PlanSaddles, Saddle, log_chernoff_factor
from dpplan.accounting.exact.contour.transform_quadrature import MOST_VALUES
from dpplan.accounting.numerics import Array, outward
from dpplan.quick_dataclass import dataclass

LOG_REMOVED = math.log(1e-12)
FAR_WIDTH = 1.0 / 3.0  # of σ
PLAIN = ContourTolerance(aliases=math.log(1e-14), rest=math.log(1e-13), most=8192)
# Values a plain contour's quadrature may hold, and for each phase where there are many: a sharp cut would take more
# than a grid or a contour over rare jumps, and 100 MiB for every 100,000.
PLAIN_VALUES, PLAIN_EACH = 200_000, 1000
# In units of 8 / (standard deviation of the tilted loss): where moments are taken to bound the aliases.
ALIAS_TILTS = (-0.5, 0.25, 1.0)  # of many phases without the first: that of 0 is known
LONG, SHORT_JUMPS = 5000, 0.75  # frequencies; the noise below which a contour over rare jumps takes long itself
LEAST_TURN = 0.05  # of 535 plans from (σ 0.5, q 1e-6, 3 steps) to (8, 0.3, 1e5) that turn less, 3 are reached
TAME = 0.5  # σ below which losses spread by much more than q/σ, so that a contour may be reached all the same
# In the jump regime, the error each part may add to delta, best first.
JUMP_LEVELS = (1e-9, 1e-6)
JUMP_MOST, JUMP_VALUES = 4096, 100_000  # frequencies; values a quadrature may hold: a grid is cheaper than more
THRESHOLDS = (0.9, 0.5, 0.27, 0.14, 0.07, 0.03)  # where the bulk may end, in ε
WIDTHS = (0.15, 0.06, 0.025, 0.01)  # of the cuts, in σ; a sharper cut costs more than a grid
MISSING_TILTS = (0.05, 0.2, 0.5, 0.8)  # of the other tail, where delta is nearly 1
ROUNDED = 1e-9  # of logarithms that are subtracted, relative, and more than enough
LEAK = 1.3  # the cuts have to hold at this multiple of the tilt
REFINED = (0.4, 0.55, 0.7, 0.8, 0.88, 0.94, 0.97, 1.0, 1.03, 1.06, 1.12, 1.2, 1.3, 1.5, 1.8)


def plan_saddles(steps: Steps, direction: Direction, log_delta: float) -> PlanSaddles:
    return PlanSaddles(steps, direction, far_limit(steps, log_delta + LOG_REMOVED, FAR_WIDTH) + 3.0 * steps.sigma)


def plain(steps: Steps, direction: Direction, saddle: Saddle, epsilon: float, log_delta: float) -> Contour:
    """A contour over the whole law at this saddle."""
    tilts = alias_tilts(saddle, len(steps.sigma))
    measure = plain_measure(steps, direction, saddle, float(tilts[-1]), log_delta)
    moments: LossMoments
    if len(steps.sigma) > MANY and measure.far is None and float(steps.q.max()) <= many_plans.LARGEST_RATE:
        moments = QuickerAliases.of(measure, tilts)
    else:
        moments = measure.moments(tilts)
    return Contour(moments, 0, saddle.spread, Aim(epsilon, log_delta), PLAIN)


def hardly_reached(steps: Steps, saddle: Saddle) -> bool:
    """Whether a plain contour there would need more frequencies than it may have, in all but one of a hundred plans.

    Then few steps jump, and the losses of others, which spread by about q/σ, turn too slowly at the tilt.
    """
    tame = float(np.min(steps.sigma)) >= TAME
    return tame and math.sqrt(float((steps.count * (steps.q / steps.sigma) ** 2).sum())) * saddle.tilt < LEAST_TURN


def too_long(steps: Steps, contour: Contour) -> bool:
    """Whether a plain contour takes more time than one over rare jumps, and is wider."""
    return contour.reached and len(contour.u) > LONG and float(np.min(steps.sigma)) > SHORT_JUMPS


@dataclass(frozen=True)
class QuickerAliases:
    """Moments of many phases, of which only the contour's has to be known to the last digit. Serves as Moments.

    own: the measure's at the first tilt. logs: bounds on log M at all tilts; those of aliases by a quicker rule.
    """

    own: Moments
    tilts: Array
    logs: Array

    @classmethod
    def of(cls, measure: Measure, tilts: Array) -> "QuickerAliases":
        own = measure.moments(tilts[:1])
        others = many_plans.log_moments_together(measure.steps, measure.direction, tilts[1:])
        return cls(own, tilts, np.concatenate((own.logs, others)))

    @property
    def measure(self) -> Measure:
        return self.own.measure

    def log_unit(self, index: int) -> float:
        return self.own.log_unit(index)

    def log_decay(self, index: int, edges: Array) -> Array:
        return self.own.log_decay(index, edges)


def alias_tilts(saddle: Saddle, phases: int) -> Array:
    """The saddle's tilt, and those at which the aliases of a contour there are bounded."""
    tilt, gap = saddle.tilt, 8.0 / math.sqrt(saddle.spread)
    factors = ALIAS_TILTS if phases <= MANY else ALIAS_TILTS[1:]
    return np.array([tilt] + [tilt + factor * gap for factor in factors if factor * gap > -tilt])


def plain_measure(steps: Steps, direction: Direction, saddle: Saddle, largest_tilt: float, log_delta: float) -> Measure:
    """The whole law, but for losses that are absurd at this delta where the tilt would reach for them."""
    far = None
    limit = far_limit(steps, log_delta + LOG_REMOVED, FAR_WIDTH)
    if direction is Direction.ADD:
        # Its loss falls without end far right, where e^{iuL} grows off the real line as r^u does on it.
        far = cut_at(steps, limit, 12.0 / math.sqrt(saddle.spread), FAR_WIDTH)
    elif np.any(direction.exponent(saddle.tilt) + 3.0 * steps.sigma > limit):
        far = cut_at(steps, limit, largest_tilt, FAR_WIDTH)
    most = min(max(PLAIN_VALUES, PLAIN_EACH * len(steps.sigma)), MOST_VALUES)
    return Measure(steps, direction, far, most=most)


def over_jumps(steps: Steps, epsilon: float, log_delta: float) -> Contour | None:
    """A contour over paths with a jump (remove direction only), as accurate as can be had near this ε > 0."""
    for level in JUMP_LEVELS:
        found = _over_jumps(steps, epsilon, log_delta, math.log(level))
        if found is not None:
            return found
    return None


def _over_jumps(steps: Steps, epsilon: float, log_delta: float, log_level: float) -> Contour | None:
    """A contour over paths with a jump that keeps every error below e^log_level of delta, if there is one."""
    place = _place(steps, epsilon, log_delta, log_level)
    if place is None or not math.isfinite(place.spread):
        return None
    accuracy = ContourTolerance(aliases=log_level, rest=log_level, most=JUMP_MOST)
    bulk = Chernoff.of(place.bulk.tilts, place.bulk.logs)
    found = Contour(place.moments, place.index, place.spread, Aim(epsilon, log_delta), accuracy, bulk)
    return found if found.reached else None


@dataclass(frozen=True)
class ContourPlacement:
    """Where to put a contour over paths with a jump: moments around its tilt (number `index` of them), the variance
    there, and the moments of the bulk that is left out."""

    moments: Moments
    index: int
    spread: float
    bulk: Moments

    @property
    def tilt(self) -> float:
        return float(self.moments.tilts[self.index])


def _place(steps: Steps, epsilon: float, log_delta: float, log_level: float) -> ContourPlacement | None:
    """The widest bulk whose own delta is small enough, and the best tilt for what it leaves, with cuts as wide as
    that tilt allows: wide cuts let the sum end early."""
    for width in WIDTHS:
        limit = far_limit(steps, log_delta + log_level, width)
        for threshold in THRESHOLDS:
            # Both cuts of one width: then their difference is a positive weight.
            bulk = Cut(composed_jumps.bulk_end(steps, threshold * epsilon, limit, width), width * steps.sigma)
            alone = Measure(steps, Direction.REMOVE, bulk, most=JUMP_VALUES).moments(
                np.geomspace(2.0, 100.0 / threshold, 12) / epsilon
            )
            if Chernoff.of(alone.tilts, alone.rough).log_delta(epsilon) <= log_delta + log_level:
                break
        else:
            continue
        measure = Measure(steps, Direction.REMOVE, Cut(limit, width * steps.sigma), bulk, JUMP_VALUES)
        moments, index, spread = _best_tilt(measure, epsilon, log_delta)
        holds = cut_at(steps, limit, LEAK * float(moments.tilts[index]), width).width
        if np.all(holds >= outward.down(width * steps.sigma, outward.MANY)):
            return ContourPlacement(moments, index, spread, alone)
    return None


def _best_tilt(measure: Measure, epsilon: float, log_delta: float) -> tuple[Moments, int, float]:
    """Moments around the tilt where Chernoff is best for this measure, its place among them, the variance there."""
    tilts = np.geomspace(1.0, 4.0 * (10.0 - log_delta), 20) / epsilon
    tilt = float(tilts[np.argmin(measure.moments(tilts).rough - tilts * epsilon)])
    near = tilt * np.array(REFINED)
    finer = measure.moments(near)
    best = int(np.clip(np.argmin(finer.rough - near * epsilon), 2, len(near) - 3))
    left, middle, right = best - 2, best, best + 2
    rise = (finer.rough[right] - finer.rough[middle]) / (near[right] - near[middle])
    fall = (finer.rough[middle] - finer.rough[left]) / (near[middle] - near[left])
    spread = max(2.0 * (rise - fall) / (near[right] - near[left]), 1e-300) + float(near[best]) ** -2
    return finer, best, float(spread)


def log_chernoff(steps: Steps, direction: Direction, saddle: Saddle, epsilon: float) -> float:
    """log of a proven bound on one direction's delta, at one tilt."""
    tilts = np.array([saddle.tilt])
    return Chernoff.of(tilts, Measure(steps, direction).moments(tilts).logs).log_delta(epsilon)


def log_added(steps: Steps, tilt: float, epsilon: float) -> float:
    """log of another proven bound on the add direction's delta, which serves any tilt: a moment by Riemann sums."""
    top = float(Falling(steps, np.array([tilt])).logs[0]) + log_chernoff_factor(tilt)
    return top - tilt * epsilon + ROUNDED * (abs(top) + tilt * epsilon)


def log_missing(steps: Steps, epsilon: float) -> float:
    """log of an upper bound on 1 - delta, remove direction: it is E[min(1, e^(ε-S))] <= e^(sε)·M(-s), 0 <= s <= 1."""
    moments = Measure(steps, Direction.REMOVE).moments(-np.array(MISSING_TILTS))
    return float(np.min(np.nan_to_num(moments.logs, nan=math.inf) + np.array(MISSING_TILTS) * epsilon))


def total_variation_above(steps: Steps) -> float:
    """An upper bound on delta at ε = 0, either direction: the steps' own total variations add up."""
    shifts = [math.erf(0.5 / (float(sigma) * math.sqrt(2.0))) for sigma in steps.sigma[:, 0]]
    return outward.up(float((steps.count[:, 0] * steps.q[:, 0] * np.array(shifts)).sum()), 10 * outward.SUM)


def delta_at_zero_above(steps: Steps) -> float:
    """An upper bound on delta at ε = 0, either direction: the sum above, or half the root of the χ² divergence, which
    is Π(1 + q²·(e^(1/σ²) - 1))^T - 1 of all steps (Cauchy and Schwarz) and counts many small steps as they add up."""
    with np.errstate(over="ignore"):
        grown = float((steps.count * np.log1p(steps.q**2 * np.expm1(steps.sigma**-2.0))).sum())
    half = outward.up(0.5 * math.sqrt(math.expm1(grown)), outward.SERIES) if grown < 1.0 else math.inf
    return min(total_variation_above(steps), half)


def largest_added_loss(steps: Steps) -> float:
    """The add direction's loss never exceeds -Σ log(1 - q); inf when a step samples everything. Rounded up."""
    if np.any(steps.q >= 1.0):
        return math.inf
    return outward.up(float(-(steps.count * np.log1p(-steps.q)).sum()), outward.SUM * len(steps.q))
