"""Stage 2, compose: the jump regime, where paths on which nothing happens never decay in frequency.

When a few steps carry all the loss, the composed characteristic function has a floor, the tilted probability
that every step stays in the bulk. With a smooth cut c_bulk(x) = Φ((x_c - x)/w), the measure of those paths has
the transform M_bulk, and M - M_bulk is the transform of a positive measure that does decay:

    |M - M_bulk| <= Π(m + J)^T - Π m^T   (in units of M(t)),   m = G_bulk/G at the tilt, J(u) >= |G_jump(u)|/G,

J(u) by moving the integral to the line Im x = y, where |e^{iuL}| = e^{-u·arg r} and |c_far - c_bulk| grows at most
by e^(y²/2w²); any y in (0, πσ²) will do. What the bulk alone contributes to delta is bounded by Chernoff at tilts
far above t, where a law without jumps is still small.
"""

import math

import numpy as np

from dpplan.accounting.exact.law import Array, Cut, Steps, log_normal_tail, log_normal_tails, log_ratio
from dpplan.accounting.exact.quadrature import Quadrature

CUT_WIDTH = 0.15  # of σ: narrow enough that a large tilt does not leak past the bulk's cut
HEIGHTS = (0.03, 0.07, 0.14, 0.24, 0.36, 0.5, 0.65, 0.8, 0.92)
NODES = 256
LEFT = 8.5  # widths left of the cut where the nodes begin; 1 - c_bulk < 1e-17 there
SLACK = 4.0  # the integral of a modulus with at most three peaks against its trapezoid sum


def bulk_end(steps: Steps, loss: float, limit: Array) -> Array:
    """The x where a step's loss is `loss`, well inside the far limit; [phase, 1]."""
    e = np.log((np.expm1(loss) + steps.q) / steps.q)
    return np.minimum(0.5 + steps.sigma**2 * e, limit - 4.0 * CUT_WIDTH * steps.sigma)


def log_decay(steps: Steps, a: float, whole: Quadrature, log_bulk: Array, bulk: Cut, edges: Array) -> Array:
    """log of a bound on |M - M_bulk| / M(t) for every u >= edge, [edge].

    whole: the quadrature of the whole law at the real exponent a; log_bulk: log G_bulk there, [phase, 1].
    """
    log_share = log_bulk - whole.log_g
    total = np.zeros(len(edges))
    for row, count in enumerate(steps.count[:, 0]):
        total += count * np.log1p(_jump_modulus(whole, row, a, bulk, edges) * math.exp(-float(log_share[row, 0])))
    return float((steps.count * log_share).sum()) + np.log(np.expm1(np.minimum(total, 600.0)) + 1e-300)


def _jump_modulus(whole: Quadrature, row: int, a: float, bulk: Cut, edges: Array) -> Array:
    """J(u) for every u >= edge, one phase, [edge]."""
    sigma, q = float(whole.steps.sigma[row, 0]), float(whole.steps.q[row, 0])
    at, width = float(bulk.at[row, 0]), float(bulk.width[row, 0])
    x = np.linspace(at - LEFT * width, max(float(whole.high[row, 0]), at + LEFT * width), NODES)
    e = (2.0 * x - 1.0) / (2.0 * sigma * sigma)
    loss = log_ratio(e, np.array(q))
    upper = np.exp(log_normal_tails((at - x) / width))
    lift = 0.5 / sigma**2 + 0.5 / width**2
    if whole.cut is not None:
        far_at, far_width = float(whole.cut.at[row, 0]), float(whole.cut.width[row, 0])
        upper = np.minimum(upper, np.exp(log_normal_tails((x - far_at) / far_width)))
        lift = max(lift, 0.5 / sigma**2 + 0.5 / far_width**2)
    log_p = a * loss - x * x / (2.0 * sigma**2) - math.log(sigma * math.sqrt(2.0 * math.pi))
    log_p = log_p - float(whole.log_g[row, 0])
    sampled = np.exp(math.log(q) + e - loss)
    best = np.full(len(edges), np.inf)
    for fraction in HEIGHTS:
        height = fraction * min(math.pi * sigma * sigma, 6.0 * width)
        turn = height / sigma**2
        angle = np.arctan2(sampled * math.sin(turn), 1.0 - sampled + sampled * math.cos(turn))
        squeeze = np.log(np.maximum(1.0 - 2.0 * sampled * (1.0 - sampled) * (1.0 - math.cos(turn)), 1e-300))
        grown = log_p + 0.5 * a * squeeze + lift * height**2
        moved = np.exp(np.minimum(grown, 600.0)) * upper * ((x[1] - x[0]) * SLACK)
        left = 2.0 * math.exp(log_normal_tail(LEFT) + lift * height**2)
        best = np.minimum(best, np.exp(-np.multiply.outer(edges, angle)) @ moved + left)
    return best
