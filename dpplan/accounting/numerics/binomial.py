"""The binomial law, as logarithms, without a factorial that overflows."""

import math
from dataclasses import dataclass

import numpy as np

from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.exp_remainder import log1p_remainder


def log_binomial_pmf(k: Array, n: int, p: float, not_p: float) -> Array:
    """log P[Bin(n, p) = k] for whole k in [0, n]; not_p = 1 − p is given apart to keep its digits.

    Loader's saddle-point form (Loader 2000, "Fast and accurate computation of binomial probabilities"):
    no factorial is ever formed, so the error stays below 1e-13 + 4e-16·(|result| + |k − n·p|) even at n = 1e9.
    """
    rest = n - k
    inside = (k > 0) & (rest > 0)
    safe_k, safe_rest = np.where(inside, k, 1.0), np.where(inside, rest, 1.0)
    deviance = n * p * log1p_remainder((safe_k - n * p) / (n * p))
    deviance += n * not_p * log1p_remainder((safe_rest - n * not_p) / (n * not_p))
    correction = _stirling_error(np.array([float(n)])) - _stirling_error(safe_k) - _stirling_error(safe_rest)
    interior = correction - deviance + 0.5 * np.log(n / (2 * math.pi * safe_k * safe_rest))
    edge = np.where(k > 0, n * _log_of(p, not_p), n * _log_of(not_p, p))
    return np.where(inside, interior, edge)


def binomial_pmf(n: int, p: float) -> Array:
    """P[Bin(n, p) = k] for k from 0 to n and few n, each the float nearest to it: worked out in whole numbers."""
    success, whole = p.as_integer_ratio()
    failure, total = whole - success, whole**n
    return np.array([math.comb(n, k) * success**k * failure ** (n - k) / total for k in range(n + 1)])


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


@dataclass(frozen=True, slots=True)
class BinomialTails:
    """log P[Bin(n, p) < k] and log P[Bin(n, p) >= k], -inf where impossible; off: how far either may be off."""

    log_below: float
    log_from: float
    off: float


MOST_TERMS = 4_000_000  # of a tail: forty standard deviations of a binomial whose own is 10^5
_NEGLIGIBLE = -46.0  # log of what a term may weigh, relative to the first, before the rest is bounded and not summed


def binomial_tails(k: int, n: int, p: float) -> BinomialTails:
    """Both tails of Bin(n, p) at a whole k, for p in (0, 1): the smaller is summed, the larger is what is left.

    Terms fall from the mode outward, and faster and faster: by the ratio of the last two the rest is at most a
    geometric series. Raises ArithmeticError where a tail has more than MOST_TERMS terms that count.
    """
    if k <= 0:
        return BinomialTails(-math.inf, 0.0, 0.0)
    if k > n:
        return BinomialTails(0.0, -math.inf, 0.0)
    upper = k > n * p
    first, sign, last = (k, 1, n) if upper else (k - 1, -1, 0)
    logs, at, size = list[Array](), first, 4096
    while True:
        terms = min(size, sign * (last - at) + 1)
        places = at + sign * np.arange(terms, dtype=np.float64)
        logs.append(log_binomial_pmf(places, n, p, 1.0 - p))
        at += sign * terms
        if sign * (last - at) < 0 or logs[-1][-1] < logs[0][0] + _NEGLIGIBLE:
            break
        size *= 2
        if sum(map(len, logs)) > MOST_TERMS:
            raise ArithmeticError(f"n={n}, p={p!r}: a tail of this binomial law has too many terms")
    found = np.concatenate(logs)
    top = float(found.max())
    log_sum = top + math.log(math.fsum(np.exp(found - top).tolist()))
    rest = 0.0  # relative to the sum
    if sign * (last - at) >= 0 and len(found) > 1:
        ratio = math.exp(float(found[-1] - found[-2]))
        rest = math.exp(float(found[-1]) - log_sum) * ratio / (1.0 - ratio)
    seen = max(abs(float(found[0])), abs(first - n * p)) + len(found)
    off = 4e-13 + 1e-15 * seen + rest
    other = math.log(-math.expm1(min(log_sum, -1e-300)))
    return BinomialTails(other, log_sum, off) if upper else BinomialTails(log_sum, other, off)
