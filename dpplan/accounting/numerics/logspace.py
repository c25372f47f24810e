"""Sums, differences and binomial weights kept as logarithms, so that e^±100000 is an ordinary number."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SERIES_BELOW = 0.02  # below this the direct forms lose digits; the series below reach 1e-16 there


def log_sum(terms: Array, axis: int = -1) -> Array:
    """log Σ e^terms along `axis`; -inf where every term is -inf."""
    peak = np.max(terms, axis=axis, keepdims=True)
    shift = np.where(np.isfinite(peak), peak, 0.0)
    total = np.sum(np.exp(terms - shift), axis=axis)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(total) + np.squeeze(shift, axis=axis))


def log_sub(larger: float, smaller: float) -> float:
    """log(e^larger − e^smaller); -inf when they are equal. Raises ValueError when smaller > larger."""
    if smaller > larger:
        raise ValueError(f"log_sub needs smaller <= larger, got {smaller} > {larger}")
    if smaller == larger:
        return -math.inf
    return larger + log1mexp(smaller - larger)


def log1mexp(x: float) -> float:
    """log(1 − e^x) for x < 0, accurate at both ends (Mächler 2012, the split at −log 2)."""
    return math.log(-math.expm1(x)) if x > -math.log(2) else math.log1p(-math.exp(x))


def log_expm1(x: Array) -> Array:
    """log(e^x − 1) for x > 0, accurate for tiny x and without overflow for huge x."""
    return np.where(x < 1.0, np.log(np.expm1(np.minimum(x, 1.0))), x + np.log1p(-np.exp(-np.maximum(x, 1.0))))


def exp_excess(z: Array) -> Array:
    """(e^z − 1 − z)·e^{−max(z, 0)}: non-negative, at most about max(1, |z|), relative error below 1e-13."""
    size = np.abs(z)
    fall = np.expm1(-size)
    direct = np.where(z >= 0, -fall - size * (1.0 + fall), fall + size)
    small = np.clip(z, -_SERIES_BELOW, _SERIES_BELOW)
    series = 1 + small / 8
    for divisor in (7, 6, 5, 4, 3):
        series = 1 + small / divisor * series
    series *= small * small / 2 * np.exp(-np.maximum(small, 0.0))
    return np.where(size < _SERIES_BELOW, series, direct)


def log1p_excess(u: Array) -> Array:
    """(1 + u)·log(1 + u) − u for u >= −1: non-negative, relative error below 1e-13."""
    positive = np.maximum(u, -0.5)
    direct = np.where(u > -1, (1 + u) * np.log1p(np.where(u > -1, u, 0.0)), 0.0) - u
    small = np.clip(positive, -_SERIES_BELOW, _SERIES_BELOW)
    series = np.full_like(small, 1 / (10 * 9))
    for k in (9, 8, 7, 6, 5, 4, 3, 2):
        series = 1 / (k * (k - 1)) - small * series
    return np.where(np.abs(u) < _SERIES_BELOW, small * small * series, direct)


def log_binomial_pmf(k: Array, n: int, p: float, not_p: float) -> Array:
    """log P[Bin(n, p) = k] for whole k in [0, n]; not_p = 1 − p is given apart to keep its digits.

    Loader's saddle-point form (Loader 2000, "Fast and accurate computation of binomial probabilities"):
    no factorial is ever formed, so the error stays below 1e-13 + 4e-16·(|result| + |k − n·p|) even at n = 1e9.
    """
    rest = n - k
    inside = (k > 0) & (rest > 0)
    safe_k, safe_rest = np.where(inside, k, 1.0), np.where(inside, rest, 1.0)
    deviance = n * p * log1p_excess((safe_k - n * p) / (n * p))
    deviance += n * not_p * log1p_excess((safe_rest - n * not_p) / (n * not_p))
    correction = _stirling_error(np.array([float(n)])) - _stirling_error(safe_k) - _stirling_error(safe_rest)
    interior = correction - deviance + 0.5 * np.log(n / (2 * math.pi * safe_k * safe_rest))
    edge = np.where(k > 0, n * _log_of(p, not_p), n * _log_of(not_p, p))
    return np.where(inside, interior, edge)


def _log_of(p: float, not_p: float) -> float:
    """log p from whichever of p and 1 − p is smaller, so that log(1 − 1e-20) is −1e-20 and not 0."""
    return math.log(p) if p < 0.5 else math.log1p(-not_p)


def _stirling_error(n: Array) -> Array:
    """log n! − log(sqrt(2πn)·(n/e)^n) for whole n >= 1: a table below 16, the asymptotic series above."""
    inverse = 1 / np.maximum(n, 16.0)
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188))))
    return np.where(n < 16, _STIRLING_TABLE[np.minimum(n, 15).astype(np.int64)], series)


_STIRLING_TABLE = np.array(
    [0.0] + [math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - 0.5 * math.log(2 * math.pi) for n in range(1, 16)]
)
