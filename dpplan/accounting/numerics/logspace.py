"""Sums and differences of numbers kept as logarithms, so that e^±100000 is an ordinary number."""

import math

import numpy as np

from dpplan.accounting.numerics import Array

_LARGEST = 1e300  # stands in for an infinite peak: inf - inf is no number


def log_sum(terms: Array, axis: int = -1, keepdims: bool = False) -> Array:
    """log Σ e^terms along `axis`, which stays with length 1 if keepdims; -inf where every term is -inf."""
    shift = np.minimum(np.maximum(np.max(terms, axis=axis, keepdims=True), -_LARGEST), _LARGEST)
    total = np.sum(np.exp(terms - shift), axis=axis, keepdims=True)
    with np.errstate(divide="ignore"):
        result: Array = shift + np.log(total)
    return result if keepdims else np.squeeze(result, axis=axis)


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
