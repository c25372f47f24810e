"""Stage 1: likelihood ratios of normal mixtures on a line, on it and beside it.

A mixture Σ_j w_j·N(m_j, σ²), m_j >= 0, has the ratio A(x) = Σ_j w_j·e^((2·m_j·x - m_j²)/2σ²) to N(0, σ²). Its terms
turn by m_j·y/σ² off the real line, all to one side: with θ = y/σ² and `top` the largest m_j, as long as top·θ < π/2,

    cos(top·θ)·A(x) <= |A(x + iy)| <= A(x),   arg A(x + iy) = atan(Σ s_j·sin(m_j·θ) / Σ s_j·cos(m_j·θ)),

s_j being the share of the j-th term in A(x). The argument rises with θ, its derivative being a mean of
m_j·cos((m_j - m_k)·θ), and with x: it is the atan of a mean of tan(m_j·θ) in which larger m_j gain weight.

Where m_j hardly varies given x, A keeps off 0 much farther away. With m its mean, V its variance and w = θ²·V/2,

    A(x + iy) = A(x)·e^(i·θ·m)·(1 + E[e^(iθ(m_j - m)) - 1 - iθ(m_j - m)]),   |e^(iy) - 1 - iy| <= y²/2,

so that for w < 1 |A(x + iy)| >= (1 - w)·A(x), and arg A(x + iy) is within asin(w) of θ·m. For low <= x <= high and any
c

    V(x) <= E[(m_j - c)² | x] <= E[(m_j - c)₊² | high] + E[(c - m_j)₊² | low],

since what rises with m_j has a mean that rises with x.

Symbols: arrays are [place] or [place, component].
"""

import math
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.logspace import log_sum
from dpplan.accounting.pairs.law import EPS
from dpplan.quick_dataclass import dataclass

NEAR = 0.5  # |A - 1| below which it is summed without its 1
HIGHEST_TURN, MOST_APART = 1.45, 0.5  # the largest top·θ, below π/2, and w, below 1, that are looked at
HIGHEST = 705.0  # of exponents then: with any weight that is kept, 1e-305 or more, a larger one exceeds that


@dataclass(frozen=True, eq=False)
class ExponentialSum:
    """A. means: rising, from 0 on; weights: of total 1, each known to `off`, relative."""

    sigma: float
    means: Array
    weights: Array
    off: float

    @classmethod
    def of(cls, sigma: float, means: Array, weights: Array, off: float) -> "ExponentialSum":
        """Without those that weigh nothing."""
        kept = weights > 0.0
        return cls(sigma, means[kept], weights[kept], off)

    @cached_property
    def top(self) -> float:
        return float(self.means[-1])

    @property
    def still(self) -> float:
        """The weight at mean 0, which A never falls below."""
        return float(self.weights[0]) if self.means[0] == 0.0 else 0.0

    @property
    def moving(self) -> float:
        """What has another mean."""
        return float(self.weights[self.means > 0.0].sum())

    def _exponents(self, x: Array) -> Array:
        return np.asarray((x[..., None] - 0.5 * self.means) * (self.means / self.sigma**2))

    def log_value(self, x: Array) -> Array:
        """log A."""
        return self._logs(self._exponents(x))[0]

    def _logs(self, exponents: Array) -> tuple[Array, npt.NDArray[np.bool_]]:
        """log A, and where it is added up without the 1 of A."""
        excess = np.expm1(np.minimum(exponents, HIGHEST)) @ self.weights
        near = np.abs(excess) < NEAR
        far = log_sum(exponents + np.log(self.weights))
        return np.where(near, np.log1p(np.where(near, excess, 0.0)), far), near

    def _shares(self, x: Array) -> Array:
        terms = self._exponents(x) + np.log(self.weights)
        scaled = np.exp(terms - np.max(terms, axis=-1, keepdims=True))
        return np.asarray(scaled / scaled.sum(axis=-1, keepdims=True))

    def mean(self, x: Array) -> Array:
        """σ² times the slope of log A: the mean of m_j given x, which rises with x."""
        return np.asarray(self._shares(x) @ self.means)

    def tilted_means(self, x: Array) -> tuple[Array, Array]:
        """The mean of m_j given x, and that with shares in proportion to m_j·s_j, which rises with x too; the second is
        the first plus the variance over the first."""
        shares = self._shares(x)
        mean, square = shares @ self.means, shares @ self.means**2
        return mean, np.where(mean > 0.0, square / np.maximum(mean, 1e-300), 0.0)

    def angle(self, x: Array, turn: Array) -> Array:
        """arg A(x + iy) for turn = y/σ² in [0, π/(2·top))."""
        shares, turned = self._shares(x), turn[..., None] * self.means
        return np.arctan2((shares * np.sin(turned)).sum(axis=-1), (shares * np.cos(turned)).sum(axis=-1))

    def log_least(self, x: Array, turn: Array) -> Array:
        """log of a lower bound on |A(x + iy)|."""
        return self.log_value(x) + np.log(np.cos(self.top * turn))

    def beside(self, low: Array, high: Array, turn: Array) -> "Beside":
        """What is known for all x from low to high and all y up to turn·σ²."""
        near = self.top * turn <= HIGHEST_TURN
        w = 0.5 * turn**2 * self.most_variance(low, high)
        apart = w <= MOST_APART
        held, w = np.where(near, turn, 0.0), np.where(apart, w, 1.0)
        least = np.maximum(np.where(near, np.cos(self.top * held), 0.0), 1.0 - w)
        lean = np.arcsin(w)
        around = np.where(apart, turn * self.mean(high) + lean, math.inf)
        angle = np.where(near, np.minimum(self.angle(high, held), around), around)
        within = near | apart
        return Beside(
            log_least=self.log_value(low) + np.log(np.where(within, least, 1.0)),
            angle=np.where(within, angle, 0.0),
            below=np.where(near, 0.0, np.where(apart, lean, 0.0)),
            within=within,
        )

    def most_variance(self, low: Array, high: Array) -> Array:
        """An upper bound on the variance of m_j given x, for all x from low to high."""
        off = self.means - self.mean(0.5 * (low + high))[..., None]
        above, below = np.maximum(off, 0.0) ** 2, np.minimum(off, 0.0) ** 2
        return np.asarray((self._shares(high) * above + self._shares(low) * below).sum(axis=-1))

    def rounding(self, x: Array, reach: Array | float) -> Array:
        """How far `log_value` may be off, in units of EPS; x: known to a unit of |x| + reach.

        An exponent is off by 4 units of itself, and what an exponential or its remainder is made of by as much; a sum
        of n terms by n units of their size. The logarithms of weights are added up only where A is not near 1.
        """
        exponents = self._exponents(x)
        log_value, near = self._logs(exponents)
        shares = np.exp(exponents + np.log(self.weights) - log_value[..., None])
        size = np.abs(np.expm1(np.minimum(exponents, HIGHEST))) @ self.weights * np.exp(-np.minimum(log_value, 1.0))
        felt = 4.0 * (shares * np.abs(exponents)).sum(axis=-1)
        whole = felt + 4.0 * (shares * np.abs(np.log(self.weights))).sum(axis=-1) + len(self.means) + 16.0
        parts = felt + (len(self.means) + 16.0) * size
        off = np.where(near, parts + size * (self.off / EPS), whole + self.off / EPS)
        place = (shares @ self.means) * (np.abs(x) + reach) / self.sigma**2
        return np.asarray(off + place + 16.0 * np.abs(log_value))


@dataclass(frozen=True, eq=False)
class Beside:
    """A off the real line: log of what |A| is at least, what arg A is at most, and how far below 0 it may be. within:
    where any of that is known, and A has no zeros; elsewhere nothing is said."""

    log_least: Array
    angle: Array
    below: Array
    within: npt.NDArray[np.bool_]
