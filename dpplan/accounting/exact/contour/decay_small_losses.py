"""Stage 2, compose: how fast the characteristic function falls by the many small losses, for many plans at once.

tail_decay.py takes 1 - cos z to be at least a part of z². Nearer to it is P(z) = z²/2 - z⁴/24, which it is never below,
and which rises with |z| up to √6. So for the losses of any one window, no wider than √6/u,

    1 - |φ(u)|² = E[1 - cos u(L - L')] >= E[P(u(L - L')); both in the window],

which rises with u, and takes nothing but the window's moments up to the fourth. Here it begins at the left end of the
losses, where most of them lie when few count. A bound from less than the whole law is one too: where a cell's mass is
only known to be at least m, so much of it is taken.

A cell's losses lie within e of its middle. With d the distance of two middles, t = e + e', and any B, C > 0,
(L - L')² >= (1 - B)·d² - (1/B - 1)·t² and (L - L')⁴ <= (1 + C)³·d⁴ + (1 + 1/C)³·t⁴, by the convexity of powers;
t² <= 2(e² + e'²), t⁴ <= 8(e⁴ + e'⁴). Sums over pairs then follow from sums over cells.

Symbols: as in tail_decay.py. Arrays are [row, cell] or [row, edge].
"""

import math

import numpy as np

from dpplan.accounting.exact.contour.many_plans_transform import PlainRule
from dpplan.accounting.exact.contour.privacy_loss import log_ratio
from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.normal import LOG_SQRT_2PI

CELLS = 160
LEFT = 4.0  # standard deviations left of the mode, where cells begin
BLUR, BLUR_4 = 0.1, 0.1
WINDOWS = (1.5, 2.2, math.sqrt(6.0))
ROUNDING = 16.0 * CELLS * 2.0**-53  # of sums of terms of one sign, and of their products, relative
SAFE = 1e-9


def log_bounds(law: PlainRule, edges: Array) -> Array:
    """log of a bound on |φ(u)|^count from each edge to the next, [row, edge], of each row by itself; 0 for the last."""
    a, log_g, error = law.own
    sigma, q = law.steps.sigma, law.steps.q
    low = np.maximum(law.low, -LEFT * sigma)
    reach = WINDOWS[-1] / edges[:, :1]
    end = 0.5 + sigma**2 * (np.log(np.expm1(np.minimum(reach, 30.0)) + q) - np.log(q))
    high = np.clip(end, low + 0.1 * sigma, law.high)
    width = (high - low) / CELLS
    x = low + width * np.arange(CELLS + 1)
    loss = log_ratio((2.0 * x - 1.0) / (2.0 * sigma**2), q)
    log_p = a * loss - 0.5 * (x / sigma) ** 2 - np.log(sigma) - LOG_SQRT_2PI - log_g
    s_right = np.exp(np.log(q) + (2.0 * x[:, 1:] - 1.0) / (2.0 * sigma**2) - loss[:, 1:])
    # (log p)'' is a·s(1 - s)/σ⁴ - 1/σ²: p is at least its lesser end, less this much.
    bend = np.maximum(a * np.minimum(s_right, 0.25) / sigma**4 - 1.0 / sigma**2, 0.0) * width**2 / 8.0
    mass = np.exp(np.minimum(log_p[:, 1:], log_p[:, :-1]) - bend - 2.0 * error - SAFE) * width
    middle, half = 0.5 * (loss[:, 1:] + loss[:, :-1]) - loss[:, :1], 0.5 * np.diff(loss, axis=1)
    powers = [mass]
    for _ in range(4):
        powers.append(powers[-1] * middle)
    sums = [np.cumsum(each, axis=1) for each in (*powers, mass * half**2, mass * half**4)]
    best = np.zeros_like(edges)
    for span in WINDOWS:
        wide = loss[:, :1] + span / edges[:, 1:] * (1.0 - SAFE)
        cells = np.stack([np.searchsorted(*each, side="right") for each in zip(loss, wide, strict=True)]) - 2
        m = [np.take_along_axis(each, np.maximum(cells, 0), axis=1) for each in sums]
        found = _pairs(m, edges[:, :-1])
        best[:, :-1] = np.where(cells >= 0, np.maximum(best[:, :-1], found), best[:, :-1])
    return np.asarray(0.5 * law.steps.count * np.log1p(-np.clip(best, 0.0, 1.0 - 1e-15)))


def _pairs(m: list[Array], u: Array) -> Array:
    """A lower bound on E[P(u(L - L'))] from the moments of a window."""
    square = 2.0 * (m[0] * m[2] - m[1] * m[1]) - ROUNDING * m[0] * m[2]
    fourth = 2.0 * (m[0] * m[4] - 4.0 * m[1] * m[3] + 3.0 * m[2] * m[2])
    fourth = fourth + ROUNDING * (m[0] * m[4] + 4.0 * m[1] * m[3] + 3.0 * m[2] * m[2])
    least = (1.0 - BLUR) * square - (1.0 / BLUR - 1.0) * 4.0 * m[0] * m[5]
    most = (1.0 + BLUR_4) ** 3 * fourth + (1.0 + 1.0 / BLUR_4) ** 3 * 16.0 * m[0] * m[6]
    return np.asarray(u**2 / 2.0 * least - u**4 / 24.0 * most)
