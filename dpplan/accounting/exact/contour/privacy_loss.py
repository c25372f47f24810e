"""The law of one step's privacy loss: the two directions, the likelihood ratio, and a smooth way to cut it.

One step of the Poisson-subsampled Gaussian, add/remove one record, noise multiplier σ, sample rate q. With
Q = N(0, σ²) and the likelihood ratio r(x) = 1 - q + q·e^{e(x)}, e(x) = (2x - 1) / (2σ²):

    remove: loss  log r(x), x ~ r·Q,   M(z) = E[e^{z·loss}] = E_Q[r^(1+z)]
    add:    loss -log r(x), x ~ Q,     M(z) = E[e^{z·loss}] = E_Q[r^(-z)]

The pair is from Mironov, Talwar, Zhang 2019 (arXiv:1908.10530, Thm 4); that it dominates every neighbouring
pair, also after adaptive composition and each direction on its own, from Zhu, Dong, Wang 2022
(arXiv:2106.08567, Thms 10 and 11). Both directions are one function, G(w) = E_Q[c(x)·r^w], at w = 1 + z or w = -z.

Arrays with one row per phase and one column per node x are written [phase, node].
"""

import enum
import math
from collections.abc import Iterable

import numpy as np

from dpplan.accounting.numerics import Array, ComplexArray
from dpplan.accounting.numerics.normal import log_normal_tails, normal_tail
from dpplan.quick_dataclass import dataclass


class Direction(enum.Enum):
    """Which neighbour is the numerator of the loss."""

    REMOVE = 1
    ADD = -1

    def exponent(self, tilt: float) -> float:
        """a = Re w, for a tilt t = Re z."""
        return 1.0 + tilt if self is Direction.REMOVE else -tilt


def log_ratio(e: Array, q: Array) -> Array:
    """log r = log(1 - q + q·e^e) to a few units in the last place: where r is near 1, near 0, and far right."""
    near = (e < 30.0) & ((q < 0.5) | (e > -0.5))
    with np.errstate(divide="ignore"):
        loss = np.asarray(np.log1p(q * np.expm1(np.minimum(e, 30.0))))
        if near.all():
            return loss
        far = ~near  # where the other form is right, which takes most of the time
        unsampled, sampled = np.broadcast_arrays(np.log1p(-q), np.log(q) + e)
        loss[far] = np.logaddexp(unsampled[far], sampled[far])
    return loss


def lowest_mode(a: Array, sigma: Array, q: Array) -> Array:
    """At most min(0, the root of x = a·s(x)); left of it r^a·Q falls at least like a Gaussian of variance σ². [row, 1]

    For a < 0 the right side falls with x, so it maps what lies above the root below it and the other way round.
    """
    below, above = np.minimum(a, 0.0) + np.zeros_like(sigma), np.zeros_like(sigma)
    if np.all(a >= 0.0):
        return above
    with np.errstate(divide="ignore"):
        logit = np.log(q) - np.log1p(-q)

    def pulled(x: Array) -> Array:
        return np.minimum(a, 0.0) * np.exp(-np.logaddexp(0.0, -((2.0 * x - 1.0) / (2.0 * sigma * sigma) + logit)))

    for _ in range(4):
        below = np.maximum(below, pulled(above))
        above = np.minimum(above, pulled(below))
    return below


LOG_LEAST = math.log(1e-300)  # what the logarithm of a modulus is not taken below


def log_characteristic(drop: Array, turn: Array) -> tuple[ComplexArray, Array]:
    """log φ for φ = 1 - drop + i·turn, and the absolute error of φ that forming it adds, to be counted once a step.

    Near 1 from drop itself, since T·log φ would feel a unit of 1 in T places; near 0 from φ, since there it is
    drop(drop - 2) + turn² that is rounded to units of 1, which is more than all of |φ|².
    """
    log_phi = np.empty(len(drop), complex)
    with np.errstate(divide="ignore", invalid="ignore"):
        near = 0.5 * np.log1p(drop * (drop - 2.0) + turn * turn)
        small = np.log(np.hypot(1.0 - drop, turn))
    far = ~(drop * (2.0 - drop) - turn * turn < 0.5)
    # A NaN stays one: every inequality that a result must satisfy then fails.
    log_phi.real = np.clip(np.where(far, small, near), LOG_LEAST, 0.0)
    log_phi.imag = np.arctan2(turn, 1.0 - drop)
    return log_phi, np.where(far, 16.0 * 2.0**-53, 0.0)


def grown_error(log_size: Array, off: Array) -> Array:
    """e^log_size·(e^off - 1), the error of a number of that size that is off by `off` in its logarithm."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.exp(log_size + off) * -np.expm1(-off) + 1e-305)


def loss_rounding(x: Array, e: Array, loss: Array, sigma: Array | float, q: Array, reach: Array) -> Array:
    """How far `loss` can be off, in units in the last place of 1: x and e move it by s times as much as they move e.

    x: known to a unit of `reach`, the largest |x| around. Of log_ratio's own error, what it adds up is at most twice
    the loss, but where log q and e cancel.
    """
    log_q = np.log(q)
    sampled = np.exp(np.minimum(log_q + e - loss, 0.0))
    apart = np.where((e < 30.0) & ((q < 0.5) | (e > -0.5)), 0.0, np.abs(log_q))
    moved = 4.0 * apart + 4.0 * np.abs(e) + (np.abs(x) + reach) / sigma**2
    return np.asarray(16.0 * np.abs(loss) + sampled * moved)


@dataclass(frozen=True, slots=True)
class Steps:
    """The distinct steps of a plan, one row each: noise multipliers, sample rates, how many. Shapes [phase, 1]."""

    sigma: Array
    q: Array
    count: Array

    @classmethod
    def of(cls, rows: Iterable[tuple[float, float, int]]) -> "Steps":
        """From (noise multiplier, sample rate, steps); equal rows are merged, since composition adds logarithms."""
        merged: dict[tuple[float, float], int] = {}
        for sigma, q, count in rows:
            merged[sigma, q] = merged.get((sigma, q), 0) + count
        table = np.array([(sigma, q, float(count)) for (sigma, q), count in merged.items()])
        return cls(*(table[:, [column]] for column in range(3)))

    @property
    def total(self) -> float:
        return float(self.count.sum())


@dataclass(frozen=True, slots=True)
class Cut:
    """A weight c(x) = Φ((at - x) / width) on every step: 1 well below `at`, 0 well above. Shapes [phase, 1].

    It is smooth, so that the quadrature keeps converging geometrically; a sharp cut would ring.
    """

    at: Array
    width: Array

    def log_weight(self, x: Array) -> Array:
        """log c at nodes [phase, node]."""
        return self.log_fall(x)

    def log_fall(self, x: Array) -> Array:
        """log of a weight that is nowhere below c and falls with x."""
        return log_normal_tails((x - self.at) / self.width)

    def removed(self, sigma: Array, mean: float) -> Array:
        """E[1 - c(x)] for x ~ N(mean, σ²), in closed form; shape [phase, 1]."""
        scaled = (self.at - mean) / np.hypot(sigma, self.width)
        return np.array([[normal_tail(float(value))] for value in scaled.ravel()])


@dataclass(frozen=True, slots=True)
class Band(Cut):
    """The difference of two cuts of one width: about 1 between `start` and `at`, 0 outside; [phase, 1] each."""

    start: Array

    def log_weight(self, x: Array) -> Array:
        """log of Φ((at - x)/width) - Φ((start - x)/width), from the tails that are small on either side."""
        right = x > 0.5 * (self.start + self.at)
        sign = np.where(right, 1.0, -1.0)
        large = log_normal_tails(sign * (x - np.where(right, self.at, self.start)) / self.width)
        small = log_normal_tails(sign * (x - np.where(right, self.start, self.at)) / self.width)
        with np.errstate(divide="ignore"):
            return large + np.log(-np.expm1(np.minimum(small - large, -1e-300)))
