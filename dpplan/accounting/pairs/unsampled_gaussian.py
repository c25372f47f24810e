"""The Gaussian without sampling: P = N(1, σ²), Q = N(0, σ²), both sides known through x with L = (2x - 1)/(2σ²)."""

import functools
import math

import numpy as np
import numpy.typing as npt

from dpplan.accounting.numerics.normal import half_erfc
from dpplan.accounting.pairs.law import EPS, Array, Law, Masses
from dpplan.quick_dataclass import dataclass

# Where the tail about halves over an interval, a difference of tails keeps its digits. Elsewhere the exponent moves by
# less than half of this over the interval's half, and Gauss's rule with so many nodes errs by 5e-16 of it at most.
RULES = ((0.02, 3), (0.7, 8))
WEIGHTS = 36.0  # times EPS: the error of numpy's weights, relative, held by a test
FARTHEST = 60.0  # standard deviations: beyond, masses are below e^-1800
SQRT_2, SQRT_2PI = math.sqrt(2.0), math.sqrt(2.0 * math.pi)


@dataclass(frozen=True)
class GaussianLoss(Law):
    """noise_multiplier: σ, in units of how far one record moves the mean. The loss is N(±1/(2σ²), 1/σ²).

    The other direction has the same law, by the reflection x -> 1 - x.
    """

    noise_multiplier: float

    def masses(self, edges: Array) -> Masses:
        variance = self.noise_multiplier**2
        x = 0.5 + variance * edges
        moved = np.where(np.isfinite(x), 4.0 * EPS * (np.abs(x) + 1.0) / variance, 0.0)
        # A place is known to three roundings, and a tail's logarithm moves by its hazard rate, at most 1 + place.
        far = np.maximum(nearest(x), nearest(x - 1.0)) / self.noise_multiplier
        relative = EPS * (WEIGHTS + 12.0 + 24.0 * far * far)
        shifted, centred = (normal_masses(x, mean, self.noise_multiplier) for mean in (1.0, 0.0))
        return Masses(shifted, centred, relative, moved)

    def log_moment(self, tilt: float) -> float:
        return 0.5 * tilt * (tilt + 1.0) / self.noise_multiplier**2

    def characteristic(self, frequencies: Array) -> npt.NDArray[np.complex128]:
        u = 1j * frequencies
        return np.asarray(np.exp(0.5 * u * (u + 1.0) / self.noise_multiplier**2), dtype=np.complex128)


def nearest(x: Array) -> Array:
    """How far from 0 the nearest point of each interval is, [interval]."""
    low, high = x[:-1], x[1:]
    nearest = np.minimum(np.abs(low), np.abs(high))
    return np.where(((low <= 0.0) & (high >= 0.0)) | np.isinf(nearest), 0.0, nearest)


def normal_masses(x: Array, mean: float, sigma: float) -> Array:
    """P[x_k < N(mean, σ²) < x_k+1] for rising x, [interval], without cancellation."""
    z = np.clip((x - mean) / sigma, -FARTHEST, FARTHEST)
    low, high = z[:-1], z[1:]
    # Mirrored to the right of 0 where that side holds the smaller tail.
    mirrored = low + high < 0.0
    near, end = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    # Differences of the places as they were given, since they may be close.
    apart = np.isfinite(x) & (np.abs(z) < FARTHEST)
    width = np.where(apart[:-1] & apart[1:], np.diff(np.where(apart, x, 0.0)) / sigma, high - low)
    moved = width * (np.maximum(near, 0.0) + 1.0 + width)
    result = np.empty(len(near))
    wide = ~(moved < RULES[-1][0])
    result[wide] = half_erfc(near[wide] / SQRT_2) - half_erfc(end[wide] / SQRT_2)
    least = -1.0
    for most, nodes in RULES:
        narrow, least = (moved >= least) & (moved < most), most
        result[narrow] = _integrals(near[narrow], 0.5 * width[narrow], nodes)
    return result


def _integrals(low: Array, half: Array, nodes: int) -> Array:
    """Of the density of N(0, 1) over [low, low + 2·half], by Gauss's rule."""
    total = np.zeros(len(low))
    for point, weight in _gauss_rule(nodes):
        place = low + half * (1.0 + point)
        total += weight * np.exp(-0.5 * place * place)
    return np.asarray(total * (half / SQRT_2PI))


@functools.cache
def _gauss_rule(nodes: int) -> tuple[tuple[float, float], ...]:
    """(point, weight) of each node. numpy solves an eigenvalue problem for them, half a millisecond each time."""
    return tuple(zip(*np.polynomial.legendre.leggauss(nodes), strict=True))
