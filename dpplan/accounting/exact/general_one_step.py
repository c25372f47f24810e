"""One step needs no lattice: delta(ε) = P[L > ε] - e^ε·Q[L > ε], the optimal event (Neyman, Pearson)."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs.law import EPS, ROUNDING, Law

FARTHEST = 600.0  # beyond, Q's masses leave the range of floats, and e^ε times them cannot be told
LEAST = 1e-305
TINY = 1e-300  # above what a float loses of a mass


def delta_ends(law: Law, epsilon: float) -> tuple[float, float, float]:
    """(lower, upper) around delta(ε) of one step, any finite ε; and -d/dε of it."""
    found, atoms = law.masses(np.array([epsilon, math.inf])), law.atoms
    if epsilon > FARTHEST:
        return _too_far(law, epsilon, float(found.p[0]) * (1.0 + float(found.relative[0])))
    p, q = float(found.p[0]), math.exp(epsilon) * float(found.q[0])
    beyond = atoms.loss > epsilon
    gain = atoms.p[beyond] * -np.expm1(epsilon - atoms.loss[beyond])
    total = math.fsum([p, -q, *gain.tolist()])
    relative = float(found.relative[0]) + EPS * (8.0 + 2.0 * abs(epsilon)) if p > 0.0 else 0.0
    # An event that begins a little off is the optimal one but for losses that are that near to ε.
    moved = float(found.moved[0])
    near = law.masses(np.array([epsilon - 3.0 * moved, epsilon + 3.0 * moved])) if moved > 0.0 else None
    between = 0.0 if near is None else float(near.p[0]) * (1.0 + float(near.relative[0]))
    error = relative * (p + q) + 2.0 * math.expm1(3.0 * moved) * (p + q + between) + 1e-300
    # A mass of Q that floats hardly hold is off by more than `relative` of itself, but by no more than this.
    error += math.exp(epsilon) * LEAST
    # An atom's loss is a float; what it is off by moves 1 - e^(ε - loss) by as much.
    off = atoms.relative + 8.0 * EPS
    error += off * float(gain.sum()) + EPS * float((atoms.p[beyond] * (4.0 * np.abs(atoms.loss[beyond]))).sum())
    infinite = law.infinite
    lower = infinite * (1.0 - ROUNDING) + max(total - error, 0.0)
    fall = q + float((atoms.p[beyond] * np.exp(epsilon - atoms.loss[beyond])).sum())
    return lower, min(infinite * (1.0 + ROUNDING) + max(total, 0.0) + error, 1.0), fall


def _too_far(law: Law, epsilon: float, p: float) -> tuple[float, float, float]:
    """What is known without Q: delta is at least the mass at infinity, and at most all mass with a loss above ε."""
    atoms = law.atoms
    beyond = atoms.loss > epsilon * (1.0 - ROUNDING)
    most = law.infinite * (1.0 + ROUNDING) + p + float(atoms.p[beyond].sum()) * (1.0 + atoms.relative) + 1e-300
    return law.infinite * (1.0 - ROUNDING), min(most * (1.0 + ROUNDING), 1.0), 0.0


def mass_at_the_top(law: Law, within: float) -> float:
    """The probability, from above, of a finite loss that is less than this below the largest that there may be."""
    top = law.bounds[1]
    edge = top - within - ROUNDING * abs(top)
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
