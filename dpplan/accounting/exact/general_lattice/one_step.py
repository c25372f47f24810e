"""One step needs no lattice: delta(ε) = P[L > ε] - e^ε·Q[L > ε], the optimal event (Neyman, Pearson)."""

import math

import numpy as np

from dpplan.accounting.pairs.law import EPS, ROUNDING, Law


def delta_ends(law: Law, epsilon: float) -> tuple[float, float, float]:
    """(lower, upper) around delta(ε) of one step, any finite ε; and -d/dε of it."""
    found, atoms = law.masses(np.array([epsilon, math.inf])), law.atoms
    p, q = float(found.p[0]), math.exp(min(epsilon, 700.0)) * float(found.q[0])
    beyond = atoms.loss > epsilon
    gain = atoms.p[beyond] * -np.expm1(epsilon - atoms.loss[beyond])
    total = math.fsum([p, -q, *gain.tolist()])
    relative = float(found.relative[0]) + EPS * (8.0 + 2.0 * abs(epsilon)) if p > 0.0 else 0.0
    # An event that begins a little off is the optimal one but for losses that are that near to ε.
    error = (relative + math.expm1(float(found.moved[0]))) * (p + q) + 1e-300
    # An atom's loss is a float; what it is off by moves 1 - e^(ε - loss) by as much.
    off = atoms.relative + 8.0 * EPS
    error += off * float(gain.sum()) + EPS * float((atoms.p[beyond] * (4.0 * np.abs(atoms.loss[beyond]))).sum())
    infinite = law.infinite
    lower = infinite * (1.0 - ROUNDING) + max(total - error, 0.0)
    fall = q + float((atoms.p[beyond] * np.exp(epsilon - atoms.loss[beyond])).sum())
    return lower, min(infinite * (1.0 + ROUNDING) + max(total, 0.0) + error, 1.0), fall
