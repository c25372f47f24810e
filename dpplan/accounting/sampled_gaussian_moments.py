"""Moments of the privacy loss of one step: the Poisson-subsampled Gaussian against the Gaussian.

Notation in this module: q = sample_rate, s = noise_multiplier, a = Rényi order, b = a − 1; Q = N(0, s²),
P = (1 − q)·N(0, s²) + q·N(1, s²), loss ℓ(x) = log dP/dQ = log(1 − q + q·e^t) with t = (2x − 1)/(2s²).

With φ(z) = e^z − 1 − z >= 0, the two facts E_Q[e^ℓ] = 1 and E_P[e^{−ℓ}] = 1 give

    E_Q[e^{aℓ}] − 1 = E_P[φ(bℓ) + b·φ(−ℓ)],        KL(P‖Q) = E_P[φ(−ℓ)],

sums of non-negative terms: nothing cancels, so q = 1e-9 keeps as many digits as q = 0.1.

The expectations are trapezoid sums over x = s·h·j of f = (r^a − 1 − a·u)·Q, where r = e^ℓ = 1 + u. Rounding apart,
their error is bounded as follows. With z = x + iy and θ = y/s², r(z) = 1 − q + q·e^t·e^{iθ}, so for 0 <= v <= 1

    cos(θ/2)·(1 + v·u(x)) <= |1 + v·u(z)| <= 1 + v·u(x),    |u(z)|² = u(x)² + 2q²·e^t·(1 − cos θ).

Since r^a − 1 − a·u = a·b·u²·∫(1 − v)·(1 + v·u)^{a−2}dv, f is analytic for |θ| < π and ∫|f(x + iy)|dx is at most
e^{y²/(2s²)}·C times the sum sought. C is below 45 000 for |θ| <= 0.8π and |θ| <= 9.6/s, as is the case here:
(1 + v·u)^{a−2} grows by 1/cos(0.4π) < 3.24 at most, when a < 2; and for every v, with the weight w = (1 + v·u)^{a−2}·Q,

    E_w[e^t] <= (1 + e⁵)/τ²·E_w[(e^t − 1)²]  for τ = min(1, 1/s),

because (e^t − 1)² >= τ²·e^t where |t| >= τ, while the interval |t| < τ moves by 2τs² in x onto τ < t < 3τ, under which
e^t grows by e^{2τ}, Q falls by e^{τ + 4τ²s²} <= e^{τ + 4} at most and (1 + v·u)^{a−2} by e^{2τ} at most. So the second
term of |u(z)|² adds at most 2(1 − cos θ)·150/τ² <= 150·max(4, 9.6²) times the first. Trefethen and Weideman 2014,
Thm 5.1, then bounds the relative error by 2C·e^{−46} = 1e-15 for the half-width d·s and the step h chosen below.

Where to sum. With p = q·e^t/r, the slope of log f is at least (a·p − x)/s² right of x = 1/2, and at most
(2 + 2s²/(x − 1/2) + (a − 2)·p − x)/s² for a >= 2. So beyond max(a, 2) + 12s less than e^{−60} of the sum is left; and
where 1 − p <= s/(10a), f climbs towards x = a like a Gaussian of width s, so between the low window and the window
around x = a less than e^{−60} is left.
"""

import math

import numpy as np

from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.exp_remainder import scaled_exp_remainder
from dpplan.accounting.numerics.logspace import log_expm1

_REACH = 12.0  # windows end 12 standard deviations out: e^{−72} of the mass is left behind
_ALIAS = 46.0  # the trapezoid sum is off by about e^{−46} relative
_RELATIVE_MARGIN = outward.SERIES  # over everything dropped or rounded, except what scales with the exponents
_EXPONENT_MARGIN = outward.FEW  # per unit of exponent, for the rounding of large exponents
_LEAST_SAMPLE_RATE = 1e-120  # below, squares leave the range of floats
_LEAST_NOISE = 0.01  # below, the trapezoid step would need tens of thousands of nodes
_MOST_NOISE = 1e20


def log_excess_moments(sample_rate: float, noise_multiplier: float, orders: Array) -> Array:
    """log(E_Q[(dP/dQ)^a] − 1) for each order a > 1, rounded upward.

    orders: shape (n,), floats from 1 + 1e-6 to 1e9. Returns shape (n,).
    Guarantee: every value is at least the true one; the excess is about 1e-12 in the logarithm, and
        1e-15 of the largest exponent met where that is more. Outside the range of the quadrature the value
        is a bound: noise below 0.01 by convexity, a sample rate below 1e-120 or noise above 1e20 by monotonicity.
    Source: the pair is Mironov, Talwar and Zhang 2019 (arXiv 1908.10530), Thm 4; the quadrature is ours.
    """
    q, s = max(sample_rate, _LEAST_SAMPLE_RATE), min(noise_multiplier, _MOST_NOISE)
    b = orders - 1
    if q == 1 or s < _LEAST_NOISE:
        # q = 1: E_Q[e^{aℓ}] = e^{ab/(2s²)}. Otherwise (1 − q + q·y)^a <= 1 − q + q·y^a by convexity.
        with np.errstate(over="ignore"):
            growth = outward.up(log_expm1(orders * b * (0.5 / s / s)), outward.ARITHMETIC)
            return np.asarray(math.log(q) + growth + _RELATIVE_MARGIN)
    return _Quadrature(q, s).log_excess(b)


def kl_divergence(sample_rate: float, noise_multiplier: float) -> float:
    """KL(P‖Q) of one step, rounded upward. Exact 1/(2s²) at sample_rate = 1.

    Guarantee: at least the true value; the excess is about 1e-12 relative.
    """
    q, s = max(sample_rate, _LEAST_SAMPLE_RATE), min(noise_multiplier, _MOST_NOISE)
    if q == 1 or s < _LEAST_NOISE:
        # KL(P‖Q) is convex in P, so at most q times its value at q = 1; 1/(2s²) overflows to inf harmlessly.
        return outward.up(q * (0.5 / s / s), _RELATIVE_MARGIN)
    return outward.up(_Quadrature(q, s).kl(2.0 + _REACH * s), _RELATIVE_MARGIN)


class _Quadrature:
    """The trapezoid rule for one (q, s): its step, its nodes, and the sums over them."""

    def __init__(self, q: float, s: float) -> None:
        self.q, self.s = q, s
        # Half-width d of the strip in units of s: 0.8 of what analyticity allows, and no more than pays.
        d = min(0.8 * math.pi * s, math.sqrt(2 * _ALIAS))
        self.h = 2 * math.pi * d / (_ALIAS + d * d / 2)

    def log_excess(self, b: Array) -> Array:
        """log E_P[φ(bℓ) + b·φ(−ℓ)] for each b: the low window for all, a window around x = a for far orders."""
        reach, order = _REACH * self.s, b + 1
        sure = self._saturation(float(order.max()))
        low_end = min(sure + 2 * reach + 2, max(float(order.max()), 2.0) + reach)
        last = math.ceil(low_end / (self.h * self.s))
        result = self._log_sum_over(b, self._nodes_to(last)[np.newaxis, :], beyond=-math.inf)
        far = (order > sure + reach) & (order + reach > low_end)
        if far.any():
            first = np.floor((order[far] - reach) / (self.h * self.s))
            nodes = first[:, np.newaxis] + np.arange(math.ceil(2 * _REACH / self.h) + 4.0)
            result[far] = np.logaddexp(result[far], self._log_sum_over(b[far], nodes, beyond=last))
        return result

    def kl(self, end: float) -> float:
        """E_P[φ(−ℓ)] over the nodes up to x = end."""
        log_weight, loss, _ = self._at(self._nodes_to(math.ceil(end / (self.h * self.s))))
        return float(np.sum(np.exp(log_weight + np.maximum(-loss, 0.0)) * scaled_exp_remainder(-loss)))

    def _saturation(self, order: float) -> float:
        """An x >= 1/2 right of which 1 − p <= s/(10·order)."""
        log_odds = math.log1p(-self.q) - math.log(self.q)
        return 0.5 + self.s**2 * max(log_odds + max(math.log(10 * order / self.s), 0.0), 0.0)

    def _nodes_to(self, last: int) -> Array:
        return np.arange(-math.ceil(_REACH / self.h), last + 1, dtype=np.float64)

    def _log_sum_over(self, b: Array, nodes: Array, beyond: float) -> Array:
        """log Σ over nodes j > beyond. nodes: shape (1, m) shared by all b, or (n, m), one row for each b."""
        log_weight, loss, log_p = self._at(nodes)
        log_weight = np.where(nodes > beyond, log_weight, -np.inf)
        z = b[:, np.newaxis] * loss
        exponent = log_weight + np.maximum(z, 0.0)
        peak = exponent.argmax(axis=1)
        rows = np.arange(len(b))
        top = exponent[rows, peak]
        curved = np.sum(np.exp(exponent - top[:, np.newaxis]) * scaled_exp_remainder(z), axis=1)

        heaviest = log_weight.max(axis=1)
        drift = np.sum(
            np.exp(log_weight - heaviest[:, np.newaxis] + np.maximum(-loss, 0.0)) * scaled_exp_remainder(-loss), axis=1
        )
        total = np.logaddexp(top + np.log(curved), np.log(b) + heaviest + np.log(drift))

        at_peak = (rows if nodes.shape[0] > 1 else 0, peak)
        y, w, p = nodes[at_peak] * self.h, log_weight[at_peak], np.exp(np.minimum(log_p[at_peak], 0.0))
        rounded = y * y + np.abs(w) + b * np.abs(loss[at_peak]) + b * p * (np.abs(y / self.s) - math.log(self.q))
        return np.asarray(total + _RELATIVE_MARGIN + _EXPONENT_MARGIN * rounded)

    def _at(self, nodes: Array) -> tuple[Array, Array, Array]:
        """At x = s·h·j: the log of the trapezoid weight times P's density, ℓ, and the log of p."""
        y = nodes * self.h
        t = (y - 0.5 / self.s) / self.s
        log_q, odds = math.log(self.q), (1 - self.q) / self.q
        # While q·e^t is small the far form would cancel, however large e^t is; q >= 1e-120 keeps the near one finite.
        near = np.log1p(self.q * np.expm1(np.minimum(t, 700.0)))
        far = log_q + t + np.log1p(odds * np.exp(-np.maximum(t, 36.0)))
        loss = np.where((t < 36.0) | (log_q + t < 0.0), near, far)
        return math.log(self.h / math.sqrt(2 * math.pi)) - y * y / 2 + loss, loss, log_q + t - loss
