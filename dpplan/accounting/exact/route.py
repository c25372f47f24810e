"""Which contour for which plan: where to put it, what to cut, and how much accuracy to ask for.

Nothing here is certified and nothing needs to be: a contour placed badly is wide, not wrong.

plain   the whole law, at the saddle of T·K(t) - ε·t; a far cut where the tilt would reach for absurd losses.
jump    where the plain sum would need too many frequencies: the paths without a jump are subtracted, at the tilt
        where Chernoff is best for those with one.
"""

import math

import numpy as np

from dpplan.accounting.exact import jump
from dpplan.accounting.exact.contour import Accuracy, Chernoff, Contour
from dpplan.accounting.exact.law import Array, Cut, Direction, Steps
from dpplan.accounting.exact.measure import Measure, cut_at, far_limit
from dpplan.accounting.exact.tilt import Landscape, Saddle

LOG_REMOVED = math.log(1e-12)
FAR_WIDTH = 1.0 / 3.0  # of σ
PLAIN = Accuracy(aliases=math.log(1e-14), rest=math.log(1e-13), most=512)
PLAIN_LONG = Accuracy(aliases=math.log(1e-14), rest=math.log(1e-13), most=8192)
# In units of 8 / (standard deviation of the tilted loss): where moments are taken to bound the aliases.
ALIAS_TILTS = (-1.0, -0.5, -0.25, 0.06, 0.12, 0.25, 0.5, 1.0, 2.0)
# In the jump regime, the error each part may add to delta, best first.
JUMP_LEVELS = (1e-9, 1e-6, 1e-4, 1e-3)
JUMP_MOST = 4096
THRESHOLDS = (0.9, 0.6, 0.4, 0.27, 0.18, 0.12, 0.08, 0.05, 0.03)  # where the bulk may end, in ε
REFINED = (0.7, 0.8, 0.88, 0.94, 0.97, 1.0, 1.03, 1.06, 1.12, 1.2, 1.3)


def landscape(steps: Steps, direction: Direction, log_delta: float) -> Landscape:
    return Landscape(steps, direction, far_limit(steps, log_delta + LOG_REMOVED, FAR_WIDTH) + 3.0 * steps.sigma)


def contour(steps: Steps, direction: Direction, saddle: Saddle, epsilon: float, log_delta: float) -> Contour:
    """The best contour for delta near this ε."""
    plain = _plain(steps, direction, saddle, epsilon, log_delta, PLAIN)
    if plain.reached:
        return plain
    if direction is Direction.REMOVE and epsilon > 0.0:
        for level in JUMP_LEVELS:
            found = _jump(steps, epsilon, log_delta, level)
            if found is not None:
                return found
    return _plain(steps, direction, saddle, epsilon, log_delta, PLAIN_LONG)


def _plain(
    steps: Steps, direction: Direction, saddle: Saddle, epsilon: float, log_delta: float, accuracy: Accuracy
) -> Contour:
    tilt = saddle.tilt
    gap = 8.0 / math.sqrt(saddle.spread)
    tilts = np.array([tilt + factor * gap for factor in ALIAS_TILTS if factor * gap > -tilt])
    far = None
    limit = far_limit(steps, log_delta + LOG_REMOVED, FAR_WIDTH)
    if direction is Direction.ADD:
        # Its loss falls without end far right, where e^{iuL} grows off the real line as r^u does on it.
        far = cut_at(steps, limit, 12.0 / math.sqrt(saddle.spread), FAR_WIDTH)
    elif np.any(direction.exponent(tilt) + 3.0 * steps.sigma > limit):
        far = cut_at(steps, limit, float(tilts[-1]), FAR_WIDTH)
    measure = Measure(steps, direction, far)
    return Contour(measure, tilt, tilts, measure.log_moments(tilts), saddle.spread, epsilon, log_delta, accuracy)


def _jump(steps: Steps, epsilon: float, log_delta: float, level: float) -> Contour | None:
    """A contour over paths with a jump that keeps every error below `level` of delta, if there is one."""
    log_level = math.log(level)
    limit = far_limit(steps, log_delta + log_level, jump.CUT_WIDTH)
    for threshold in THRESHOLDS:
        end = jump.bulk_end(steps, threshold * epsilon, limit)
        tilts = np.geomspace(2.0, 100.0 / threshold, 12) / epsilon
        bulk = cut_at(steps, end, float(tilts[-1]), jump.CUT_WIDTH)
        alone = Chernoff.of(tilts, Measure(steps, Direction.REMOVE, bulk).log_moments(tilts))
        if alone.log_delta(epsilon) > log_delta + log_level:
            continue
        # Both cuts of one width: then the far one lies above the bulk's everywhere, and their difference is a
        # positive weight.
        tilts = np.geomspace(1.0, 4.0 * (10.0 - log_delta), 24) / epsilon
        far = cut_at(steps, limit, float(tilts[-1]), jump.CUT_WIDTH)
        width = np.minimum(far.width, bulk.width)
        measure = Measure(steps, Direction.REMOVE, Cut(limit, width), Cut(end, width))
        alone = Chernoff.of(alone.tilts, Measure(steps, Direction.REMOVE, measure.bulk).log_moments(alone.tilts))
        tilt, tilts, moments, spread = _best_tilt(measure, epsilon, tilts)
        if not math.isfinite(spread):
            continue
        accuracy = Accuracy(aliases=log_level, rest=log_level, most=JUMP_MOST)
        found = Contour(measure, tilt, tilts, moments, spread, epsilon, log_delta, accuracy, alone)
        if found.reached:
            return found
    return None


def _best_tilt(measure: Measure, epsilon: float, tilts: Array) -> tuple[float, Array, Array, float]:
    """The tilt where Chernoff is best for this measure, a table of moments around it, and the variance there."""
    moments = np.nan_to_num(measure.log_moments(tilts), nan=math.inf)
    tilt = float(tilts[np.argmin(moments - tilts * epsilon)])
    near = tilt * np.array(REFINED)
    finer = np.nan_to_num(measure.log_moments(near), nan=math.inf)
    best = int(np.clip(np.argmin(finer - near * epsilon), 2, len(near) - 3))
    left, middle, right = best - 2, best, best + 2
    rise = (finer[right] - finer[middle]) / (near[right] - near[middle])
    fall = (finer[middle] - finer[left]) / (near[middle] - near[left])
    spread = max(2.0 * (rise - fall) / (near[right] - near[left]), 1e-300) + float(near[best]) ** -2
    return float(near[best]), np.append(tilts, near), np.append(moments, finer), float(spread)


def log_chernoff(steps: Steps, saddle: Saddle, epsilon: float) -> float:
    """log of a proven bound on the add direction's delta, at one tilt."""
    tilts = np.array([saddle.tilt])
    return Chernoff.of(tilts, Measure(steps, Direction.ADD).log_moments(tilts)).log_delta(epsilon)


def total_variation_above(steps: Steps) -> float:
    """An upper bound on delta at ε = 0, either direction: the steps' own total variations add up."""
    shifts = [math.erf(0.5 / (float(sigma) * math.sqrt(2.0))) for sigma in steps.sigma[:, 0]]
    return float((steps.count[:, 0] * steps.q[:, 0] * np.array(shifts)).sum()) * (1.0 + 1e-13)


def largest_added_loss(steps: Steps) -> float:
    """The add direction's loss never exceeds -Σ log(1 - q); inf when a step samples everything. Rounded up."""
    if np.any(steps.q >= 1.0):
        return math.inf
    return float(-(steps.count * np.log1p(-steps.q)).sum()) * (1.0 + 1e-14 * len(steps.q))
