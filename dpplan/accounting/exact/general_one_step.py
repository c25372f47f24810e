"""One step needs no lattice: delta(ε) = P[L > ε] - e^ε·Q[L > ε], the optimal event (Neyman, Pearson)."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dpplan.accounting.exact import group_one_step
from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs.gaussian_mixtures import GroupLoss
from dpplan.accounting.pairs.law import EPS, LOSS_OFF, ROUNDING, Array, Law

FARTHEST = 600.0  # beyond, Q's masses leave the range of floats, and e^ε times them cannot be told
LEAST = 1e-305
TINY = 1e-300  # above what a float loses of a mass


def delta_ends(law: Law, epsilon: float) -> tuple[float, float, float]:
    """(lower, upper) around delta(ε) of one step, any finite ε; and -d/dε of it."""
    found = law.masses(np.array([epsilon, math.inf]))
    relative, moved = float(found.relative[0]), float(found.moved[0])
    if epsilon > FARTHEST:
        if type(law) is GroupLoss:
            return group_one_step.delta_ends(law, epsilon)
        return _too_far(law, epsilon, float(found.p[0]) * (1.0 + relative))
    # An event that begins a little off is the optimal one but for losses that are that near to ε.
    near = law.masses(np.array([epsilon - 3.0 * moved, epsilon + 3.0 * moved])) if moved > 0.0 else None
    between = 0.0 if near is None else float(near.p[0]) * (1.0 + float(near.relative[0]))
    beyond = _Beyond(float(found.p[0]), float(found.q[0]), relative, moved, between)
    return _ends(law, epsilon, beyond)


def delta_ends_of_many(law: Law, epsilons: Array) -> tuple[Array, Array]:
    """lower and upper as by `delta_ends` at each of these ε, but for a little more rounding: all masses in one call,
    which are added up from the far end."""
    at, back = np.unique(epsilons, return_inverse=True)
    found = law.masses(np.append(at, math.inf))
    (p, off_p), (q, off_q) = (_from_above(masses, found.relative) for masses in (found.p, found.q))
    relative = np.maximum(off_p, off_q) + EPS * len(at)
    moved, gaps = found.moved[:-1], np.diff(at, prepend=-math.inf)
    # What lies near ε is no more than all that lies beyond the place before.
    before = np.append(1.0, p[:-1] * (1.0 + relative[:-1]))
    between = np.where(6.0 * (moved + np.append(0.0, moved[:-1])) < gaps, before, 1.0)
    low, high = np.empty(len(at)), np.empty(len(at))
    for k, epsilon in enumerate(at.tolist()):
        if epsilon > FARTHEST:
            low[k], high[k], _ = _too_far(law, epsilon, float(p[k]) * (1.0 + float(relative[k])))
            continue
        near = float(moved[k]), float(between[k]), len(at)
        beyond = _Beyond(float(p[k]), float(q[k]), float(relative[k]), *near)
        low[k], high[k], _ = _ends(law, epsilon, beyond)
    return low[back], high[back]


def _from_above(masses: Array, relative: Array) -> tuple[Array, Array]:
    """The sums of each mass and all that follow, and how far they are off, relative, but for their own rounding."""
    sums = np.cumsum(masses[::-1])[::-1]
    off = np.cumsum(np.where(masses > 0.0, masses * relative, 0.0)[::-1])[::-1]
    return sums, np.divide(off, sums, out=np.zeros(len(sums)), where=sums > 0.0)


class _Beyond(NamedTuple):
    """P- and Q-mass of the losses beyond an ε but for atoms, how far they may be off, relative, and how far the loss
    at which they begin; the P-mass that lies so near; and of how many parts the masses are made."""

    p: float
    q: float
    relative: float
    moved: float
    between: float
    parts: int = 1


def _ends(law: Law, epsilon: float, found: _Beyond) -> tuple[float, float, float]:
    """As `delta_ends`."""
    infinite, atoms = law.infinite, law.atoms
    p, q = found.p, math.exp(epsilon) * found.q
    beyond = atoms.loss > epsilon
    gain = atoms.p[beyond] * -np.expm1(epsilon - atoms.loss[beyond])
    total = math.fsum([p, -q, *gain.tolist()])
    relative = found.relative + EPS * (8.0 + 2.0 * abs(epsilon)) if p > 0.0 else 0.0
    moved = math.inf  # where losses are so large that floats do not tell one from another
    if found.moved < FARTHEST / 3.0:
        moved = 2.0 * math.expm1(3.0 * found.moved) * (p + q + found.between)
    error = relative * (p + q) + moved + found.parts * TINY
    # A mass of Q that floats hardly hold is off by more than `relative` of itself, but by no more than this.
    error += found.parts * (math.exp(epsilon) * LEAST)
    # What an atom's loss is off by moves 1 - e^(ε - loss) by as much, also that of one which may lie beyond ε.
    off, sizes = atoms.relative + 8.0 * EPS, law.loss_off * np.abs(atoms.loss)
    maybe = atoms.loss + 2.0 * sizes > epsilon
    error += off * float(gain.sum()) + float((atoms.p[maybe] * sizes[maybe]).sum())
    lower = infinite * (1.0 - ROUNDING) + max(total - error, 0.0)
    fall = q + float((atoms.p[beyond] * np.exp(epsilon - atoms.loss[beyond])).sum())
    return lower, min(infinite * (1.0 + ROUNDING) + max(total, 0.0) + error, 1.0), fall


def _too_far(law: Law, epsilon: float, p: float) -> tuple[float, float, float]:
    """What is known without Q: delta is at least the mass at infinity, and at most all mass with a loss above ε."""
    atoms = law.atoms
    beyond = atoms.loss * (1.0 + law.loss_off + LOSS_OFF) > epsilon
    most = law.infinite * (1.0 + ROUNDING) + p + float(atoms.p[beyond].sum()) * (1.0 + atoms.relative) + 1e-300
    return law.infinite * (1.0 - ROUNDING), min(most * (1.0 + ROUNDING), 1.0), 0.0


def mass_at_the_top(law: Law, within: float) -> float:
    """The probability, from above, of a finite loss that is less than this below the largest that there may be."""
    top = law.bounds[1]
    edge = top - within - (law.loss_off + LOSS_OFF) * (abs(top) + within)
    moved = float(law.masses(np.array([edge, math.inf])).moved[0])
    found, atoms = law.masses(np.array([edge - 3.0 * moved, math.inf])), law.atoms
    smooth = float(found.p[0]) * (1.0 + float(found.relative[0]))
    held = float(atoms.p[atoms.loss >= edge].sum()) * (1.0 + atoms.relative)
    return min((smooth + held) * (1.0 + ROUNDING * (1.0 + len(atoms.loss))) + 1e-300, 1.0)


def epsilon_end(
    value: Callable[[float], tuple[float, float]], start: float, goal: float, scale: float, sign: float, most: float
) -> float:
    """About the least ε >= 0 where a falling function, given with its rate of fall, is at most `goal` (sign 1), inf if
    none is found; or the largest where it is at least that (-1), 0 if none is. Newton's rule for the logarithm, between
    0 and `most`, and by halves where it leaves what is known: beyond a bulk that falls off steeply there may be a tail
    that does not."""
    epsilon, last, low, high = start, math.inf, -math.inf, math.inf
    for _ in range(60):
        found, fall = value(epsilon)
        low, high = (max(low, epsilon), high) if found > goal else (low, min(high, epsilon))
        ready = found > 0.0 and fall > 0.0 and math.isfinite(found) and math.isfinite(fall)
        move = math.log(found / goal) * found / fall if ready else math.copysign(scale, found - goal)
        moved = min(max(epsilon + max(min(move, 3.0 * scale), -3.0 * scale), 0.0), most)
        if not low < moved < high:
            moved = 0.5 * (max(low, 0.0) + min(high, most))
        if moved == epsilon or abs(move) <= 1e-14 * epsilon or 1e-7 * epsilon > abs(move) > 0.1 * last:
            break
        last, epsilon = abs(move), moved
    width = 1e-15 * epsilon
    for _ in range(90):
        found, _ = value(epsilon)
        if found <= goal if sign > 0.0 else found >= goal:
            return epsilon
        if sign < 0.0 and epsilon <= 0.0:
            return 0.0
        epsilon, width = max(epsilon + sign * width, 0.0), 2.0 * width + 1e-300
    return math.inf if sign > 0.0 else 0.0


def some_step_beyond(terms: Sequence[tuple[Law, int]], epsilon: float) -> float:
    """A bound on delta(ε) of steps without losses at +inf: the probability that any of them loses more than its share
    of ε > 0, without which all lose less together."""
    share, total = (1.0 - 1e-6) * epsilon / sum(count for _, count in terms), 0.0
    for law, count in terms:
        found, atoms = law.masses(np.array([share, math.inf])), law.atoms
        if not float(found.moved[0]) < 1e-7 * share:  # how far off the share may be
            return 1.0
        beyond = float(found.p[0]) * (1.0 + float(found.relative[0])) + float(atoms.p[atoms.loss > share].sum())
        total += count * (outward.up(beyond, outward.MANY) + TINY)
    return outward.up(total, outward.SERIES)
