"""What is left of e^z and of (1 + u)·log(1 + u) after their first terms, without cancellation."""

import numpy as np

from dpplan.accounting.numerics import Array

_SERIES_BELOW = 0.02  # below this the direct forms lose digits; the series below reach 1e-16 there


def exp_remainder(y: Array) -> Array:
    """e^y − 1 − y >= 0, within 40 units in the last place; inf where e^y is beyond floats.

    Taylor's series for |y| < 0.3, whose 14th term is below 2e-17 of the first; beyond it, the difference loses a
    factor of 8 at most.
    """
    return np.where(np.abs(y) < 0.3, 0.5 * y * y * _series(y, 15), np.expm1(y) - y)


def scaled_exp_remainder(z: Array) -> Array:
    """(e^z − 1 − z)·e^{−max(z, 0)}: non-negative, at most about max(1, |z|), relative error below 1e-13."""
    size = np.abs(z)
    fall = np.expm1(-size)
    direct = np.where(z >= 0, -fall - size * (1.0 + fall), fall + size)
    small = np.clip(z, -_SERIES_BELOW, _SERIES_BELOW)
    series = small * small / 2 * np.exp(-np.maximum(small, 0.0)) * _series(small, 8)
    return np.where(size < _SERIES_BELOW, series, direct)


def log1p_remainder(u: Array) -> Array:
    """(1 + u)·log(1 + u) − u for u >= −1: non-negative, relative error below 1e-13."""
    near = np.abs(u) < _SERIES_BELOW
    small = np.clip(u, -_SERIES_BELOW, _SERIES_BELOW)
    series = np.full_like(small, 1 / (10 * 9))
    for k in (9, 8, 7, 6, 5, 4, 3, 2):
        series *= small
        np.subtract(1 / (k * (k - 1)), series, out=series)
    series *= small * small
    if near.all():
        return series
    direct = np.where(u > -1, (1 + u) * np.log1p(np.where(u > -1, u, 0.0)), 0.0) - u
    return np.where(near, series, direct)


def _series(y: Array, last: int) -> Array:
    """(e^y − 1 − y)/(y²/2) by its Taylor series, 1 + y/3·(1 + y/4·(... (1 + y/last)))."""
    series = np.ones_like(y)
    part = np.empty_like(series)
    for divisor in range(last, 2, -1):  # in place: large arrays cost more to make than to fill
        np.divide(y, divisor, out=part)
        series *= part
        series += 1.0
    return series
