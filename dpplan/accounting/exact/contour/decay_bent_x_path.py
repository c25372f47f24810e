"""Stage 2, compose: how fast the composed characteristic function falls where steps that count are rare.

There tail_decay.py finds too little: most losses lie in one window, and the few others have a density that is not
smooth at the scale of 1/u. Here the integration over x leaves the real line where losses begin to count. With z = x +
iy(x), y = 0 left of b and y >= 0 right of it, for u >= 0 and the tilted law p = r^a·Q / G(a),

    |φ(u)| <= ∫ p·e^(y²/2σ²)·|r(z)/r(x)|^a·e^(-u·arg r(z))·|1 + iy'| dx
           <= 1 - ∫_{x > b} p·(1 - |1 + iy'|·ρ^min(a, 0)·e^(y²/2σ² - u·s·sin θ)) dx,   θ = y/σ² in [0, π/2].

By Cauchy's theorem: r^w·Q is analytic for |Im z| < πσ² and falls like a Gaussian. |Q(z)| = Q(x)·e^(y²/2σ²); r(z) is
r(x)·(1 - s + s·e^(iθ)), whose factor has the modulus ρ <= 1, ρ² = 1 - 2s(1 - s)(1 - cos θ), and the imaginary part
s·sin θ, so that the sine of its argument is at least s·sin θ, and the argument no less. What stands right falls with u:
a bound at u holds for all beyond.

y rises on a straight line, over RAMP times σ², from where u·s is BEGUN; s grows e-fold in σ². In a cell of the integral
s and θ rise, so that the left end has the least of s·sin θ and the right end the most of y; log p has a second
derivative of a·s(1 - s)/σ⁴ - 1/σ², which bounds the mass of a cell by its ends from both sides. Right of the cells θ is
constant and s rises; -log ρ is at most 1.4·s·(1 - cos θ), as ρ² >= 1/2, and where -a times that rises more slowly than
u·s·sin θ, what is 1 at most at the cells' end is so from there on.

Symbols: as in tail_decay.py. Arrays are [row, cell], [row, edge] or [row, edge, cell].
"""

from typing import NamedTuple

import numpy as np

from dpplan.accounting.exact.contour.many_plans_transform import PlainRule
from dpplan.accounting.exact.contour.privacy_loss import log_ratio
from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.normal import LOG_SQRT_2PI

CELLS = 64
SPARED = 2  # every other edge is looked at, and serves for those up to the next
BEGUN, RAMP = 0.3, 3.0
STEEPEST = 1.3  # θ at most, and at most 1/σ
SAFE = 1e-9  # for the rounding of sums of a few hundred terms of one sign
ROWS = 32  # at a time: tables of edges and cells of more would leave a processor's memory


class _Laws(NamedTuple):
    """Some rows of the tilted law, and how many steps each takes, [row, 1]."""

    sigma: Array
    q: Array
    steps: Array
    a: Array
    log_g: Array
    error: Array
    low: Array
    high: Array


def log_bounds(law: PlainRule, edges: Array) -> Array:
    """log of a bound on |φ(u)|^count for every u >= edge, [row, edge], of each row by itself."""
    steps, looked_at = law.steps, edges[:, ::SPARED]
    laws = _Laws(steps.sigma, steps.q, steps.count, *law.own, law.low, law.high)
    parts = (slice(first, first + ROWS) for first in range(0, len(edges), ROWS))
    found = [_log_bounds(_Laws(*(each[rows] for each in laws)), looked_at[rows]) for rows in parts]
    return np.repeat(np.concatenate(found), SPARED, axis=1)[:, : edges.shape[1]]


def _log_bounds(law: _Laws, edges: Array) -> Array:
    sigma, q, a = law.sigma, law.q, law.a
    share = np.minimum(BEGUN / edges, 0.5)
    begin = 0.5 + sigma**2 * (np.log(share) - np.log1p(-share) + np.log1p(-q) - np.log(q))
    low = np.clip(begin.min(axis=1, keepdims=True), law.low, law.high - 0.1 * sigma)
    width = (law.high - low) / CELLS
    x = low + width * np.arange(CELLS + 1)
    e = (2.0 * x - 1.0) / (2.0 * sigma**2)
    loss = log_ratio(e, q)
    sampled = np.exp(np.log(q) + e - loss)
    log_p = a * loss - 0.5 * (x / sigma) ** 2 - np.log(sigma) - LOG_SQRT_2PI - law.log_g
    least, most = _masses(law, log_p, sampled, width)
    steepest = np.minimum(STEEPEST, 1.0 / sigma)
    slope = steepest / (RAMP * sigma**2)  # of θ in x; that of y is σ² times it
    turn = np.clip((x[:, None] - begin[..., None]) * slope[..., None], 0.0, steepest[..., None])
    moved = 0.5 * np.log1p((slope * sigma**2) ** 2)
    gained = sampled[:, None, :-1] * np.sin(turn[..., :-1])
    raised = 0.5 * (sigma[..., None] * turn[..., 1:]) ** 2
    if np.any(a < 0.0):
        spread = np.minimum(sampled[:, 1:] * (1.0 - sampled[:, :-1]), 0.25)  # s(1 - s) at most
        shrunk = -0.5 * np.log1p(-2.0 * spread[:, None] * (1.0 - np.cos(turn[..., 1:])))
        raised = raised + np.maximum(-a, 0.0)[..., None] * shrunk
    left = -np.expm1(raised + moved[..., None] - edges[..., None] * gained)
    left = np.where(turn[..., 1:] > 0.0, left, 0.0)
    fallen = np.where(left > 0.0, least[:, None], most[:, None]) * left
    total = fallen.sum(axis=2) - SAFE * np.abs(fallen).sum(axis=2)
    # Right of the cells nothing is counted, which is safe where the bracket is not negative there.
    slower = edges * np.sin(steepest) - 1.4 * np.maximum(-a, 0.0) * (1.0 - np.cos(steepest))
    end = 0.5 * (sigma * steepest) ** 2 + moved - sampled[:, -1:] * slower
    good = (turn[..., -1] >= steepest) & (slower >= 0.0) & (end <= 0.0) & np.isfinite(total)
    return np.asarray(law.steps * np.where(good, np.log1p(-np.clip(total, 0.0, 1.0 - 1e-15)), 0.0))


def _masses(law: _Laws, log_p: Array, sampled: Array, width: Array) -> tuple[Array, Array]:
    """Ends for the law's mass in each cell."""
    sigma, a = law.sigma, law.a
    bent = np.minimum(sampled[:, 1:] * (1.0 - sampled[:, :-1]), 0.25) / sigma**4  # s(1 - s)/σ⁴ at most
    falls, rises = (
        np.maximum(1.0 / sigma**2 - np.minimum(a, 0.0) * bent, 0.0),
        np.maximum(a * bent - 1.0 / sigma**2, 0.0),
    )
    eighth, spare = width**2 / 8.0, 2.0 * law.error + SAFE
    least = np.minimum(log_p[:, 1:], log_p[:, :-1]) - rises * eighth - spare
    most = np.maximum(log_p[:, 1:], log_p[:, :-1]) + falls * eighth + spare
    return np.exp(least) * width, np.exp(most) * width
