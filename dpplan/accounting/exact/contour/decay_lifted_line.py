"""Stage 2, compose: how fast one step's characteristic function falls, where few steps have to end a frequency sum.

tail_decay.py takes from 1 what it can, and decay_bent_x_path.py too: sums over cells that leave some hundredths, which
a few steps do not multiply to 1e-14. Here the whole integral over x is bounded from above, on a line above the real
one. For u >= 0, the tilted law p = r^a·Q / G(a) and θ in [0, π/2], on z = x + iσ²θ,

    |φ(u)| <= e^(σ²θ²/2)·∫ p(x)·ρ(x)^min(a, 0)·e^(-u·s(x)·sin θ) dx,   ρ² = 1 - 2s(1 - s)(1 - cos θ) >= cos²(θ/2).

By Cauchy's theorem: r^w·Q is analytic for |Im z| < πσ² and falls like a Gaussian, |Q(z)| = Q(x)·e^(σ²θ²/2).
r(z) = 1 - q + q·e^(e + iθ) is r(x)·ρ in modulus, ρ <= 1, and has an argument between 0 and π/2 whose sine is
q·e^e·sin θ / |r(z)| >= s(x)·sin θ, so that the argument is no less. What stands right falls with u: a bound at u holds
for all beyond. (With -u for u the bound is the same: φ(-u) is the conjugate.)

In a cell s rises, so that its left end has the least, and s(1 - s) is at most what its ends allow; log p has a second
derivative a·s(1 - s)/σ⁴ - 1/σ², which bounds p by its ends. Outside the cells, which reach from 0 or before to 1/2 and
a or beyond: on the left r <= 1, and r >= 1 - q; on the right r >= 1, and (log p)' <= (a - x)/σ² where a > 0.

With a cut c(x) = Φ((at - x)/width), p is r^a·Q·c / G(a), and c stands in the integral as the least of c·e^(η²/2) and
1 + (1 - c)·e^(η²/2), η = σ²θ/width: it is entire, and Φ(ξ + iη) is the integral of the normal density along the line
left of it, whose modulus there is e^(η²/2) times its own on the real line; likewise 1 - Φ. c falls with x.

Symbols: as in tail_decay.py. Arrays are [cell], or [edge, θ, cell].
"""

import math

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import log_ratio
from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.logspace import log_sum
from dpplan.accounting.numerics.normal import LOG_SQRT_2PI, log_normal_tails
from dpplan.quick_dataclass import dataclass

CELLS, REACH = 192, 9.0  # the cells reach so many standard deviations beyond a
SPARED = 2  # every other edge is looked at, and serves for those up to the next
# θ: shares of the best one for a law whose s is the mean one everywhere, and no more than STEEPEST, which is the last.
SHARES, STEEPEST = np.array((0.08, 0.16, 0.3, 0.5, 0.75, 1.0, 1.5, 3.0, math.inf)), 1.5
SAFE = 1e-9  # for the rounding of sums of a few hundred terms of one sign


@dataclass(frozen=True)
class TiltedStep:
    """One step's law at the exponent `a`, and its cut; an infinite `at` is none. log_g: log G(a), off by `error`. low,
    high: where most of it lies."""

    sigma: float
    q: float
    a: float
    log_g: float
    error: float
    low: float
    high: float
    at: float = math.inf
    width: float = 1.0


def log_bounds(law: TiltedStep, edges: Array) -> Array:
    """log of a bound on |φ(u)| for every u >= edge, [edge]."""
    if not law.error < 0.5:
        return np.zeros(len(edges))
    looked = edges[::SPARED]
    found = np.minimum.accumulate(np.minimum(_LawFromAbove.of(law).log_bounds(looked), 0.0))
    return np.repeat(found, SPARED)[: len(edges)]


@dataclass(frozen=True)
class _LawFromAbove:
    """The law from above, but for its cut. log_mass: [cell]; least: s at each cell's left end; spread: s(1 - s) at
    most; log_left, log_right: of the mass outside; kept, lost: log of c and of 1 - c at the cells' edges; mean: about
    the mean of s."""

    law: TiltedStep
    log_mass: Array
    least: Array
    spread: Array
    log_left: float
    log_right: float
    kept: Array
    lost: Array
    mean: float

    @classmethod
    def of(cls, law: TiltedStep) -> "_LawFromAbove":
        sigma, q, a = law.sigma, law.q, law.a
        low, high = min(law.low, 0.0), max(law.high, 0.5, max(a, 0.0) + REACH * sigma)
        x = np.linspace(low, high, CELLS + 1)
        e = (2.0 * x - 1.0) / (2.0 * sigma**2)
        loss = log_ratio(e, np.array(q))
        log_unit = law.log_g - (2.0 * law.error + SAFE)
        log_p = a * loss - 0.5 * (x / sigma) ** 2 - math.log(sigma) - LOG_SQRT_2PI - log_unit
        sampled = np.exp(math.log(q) + e - loss)
        spread = np.minimum(sampled[1:] * (1.0 - sampled[:-1]), 0.25)
        width = (high - low) / CELLS
        bend = 1.0 / sigma**2 + max(-a, 0.0) * spread / sigma**4
        log_mass = np.maximum(log_p[1:], log_p[:-1]) + bend * width**2 / 8.0 + math.log(width)
        tails = log_normal_tails(np.array([-low / sigma, high / sigma])) - log_unit
        lowest = math.log1p(-q) if q < 1.0 else -math.inf  # of log r
        log_left = float(tails[0]) + (a * lowest if a < 0.0 else 0.0)
        log_right = float(tails[1]) if a <= 0.0 else float(log_p[-1]) + math.log(sigma**2 / (high - a))
        kept, lost = (log_normal_tails(sign * (x - law.at) / law.width) for sign in (1.0, -1.0))
        mass = np.exp(log_mass + kept[:-1])
        mean = float((mass * sampled[:-1]).sum() / mass.sum())
        return cls(law, log_mass, sampled[:-1], spread, log_left, log_right, kept, lost, mean)

    def log_bounds(self, edges: Array) -> Array:
        sigma, below = self.law.sigma, max(-self.law.a, 0.0)
        best = edges * self.mean / sigma**2
        turn = np.minimum(np.where(best[:, None] > 0.0, SHARES * best[:, None], 0.0), STEEPEST)
        fall = (edges[:, None] * np.sin(turn))[..., None] * self.least
        raised = np.zeros_like(turn)
        if below > 0.0:
            fall += 0.5 * below * np.log1p(-2.0 * self.spread * (1.0 - np.cos(turn[..., None])))
            raised = -below * np.log(np.cos(0.5 * turn))
        left, right = np.full_like(turn, self.log_left), np.full_like(turn, self.log_right)
        log_mass = np.broadcast_to(self.log_mass, (*turn.shape, len(self.log_mass)))
        if math.isfinite(self.law.at):
            off = 0.5 * (sigma**2 * turn / self.law.width) ** 2
            log_mass = log_mass + np.minimum(
                self.kept[:-1] + off[..., None], np.logaddexp(0.0, self.lost[1:] + off[..., None])
            )
            left, right = left + np.logaddexp(0.0, self.lost[0] + off), right + self.kept[-1] + off
        total = np.logaddexp(log_sum(log_mass - fall), np.logaddexp(left, right) + raised)
        return np.asarray(np.min(total + 0.5 * (sigma * turn) ** 2 + SAFE, axis=1))
