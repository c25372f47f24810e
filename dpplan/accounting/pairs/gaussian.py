"""The Gaussian without sampling: P = N(1, σ²), Q = N(0, σ²), both sides known through x with L = (2x - 1)/(2σ²)."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpplan.accounting.pairs.law import EPS, Array, Law, Masses

# Where the tail more than halves over an interval, a difference of tails keeps its digits; elsewhere the exponent
# moves by less than 0.8 over the interval's half, and Gauss's rule with 8 nodes errs by less than 1e-20 of the mass.
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(8)
SQRT_2 = math.sqrt(2.0)


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
        far = np.maximum(_nearest(x), _nearest(x - 1.0)) / self.noise_multiplier
        relative = EPS * (48.0 + 24.0 * far * far)
        shifted, centred = (normal_masses(x, mean, self.noise_multiplier) for mean in (1.0, 0.0))
        return Masses(shifted, centred, relative, moved)

    def log_moment(self, tilt: float) -> float:
        return 0.5 * tilt * (tilt + 1.0) / self.noise_multiplier**2

    def characteristic(self, frequencies: Array) -> npt.NDArray[np.complex128]:
        u = 1j * frequencies
        return np.asarray(np.exp(0.5 * u * (u + 1.0) / self.noise_multiplier**2), dtype=np.complex128)


def _nearest(x: Array) -> Array:
    """How far from 0 the nearest point of each interval is, [interval]."""
    low, high = x[:-1], x[1:]
    nearest = np.minimum(np.abs(low), np.abs(high))
    return np.where(((low <= 0.0) & (high >= 0.0)) | np.isinf(nearest), 0.0, nearest)


def normal_masses(x: Array, mean: float, sigma: float) -> Array:
    """P[x_k < N(mean, σ²) < x_k+1] for rising x, [interval], without cancellation."""
    low, high = (x[:-1] - mean) / sigma, (x[1:] - mean) / sigma
    # Mirrored to the right of 0 where that side holds the smaller tail.
    mirrored = low + high < 0.0
    near, end = np.where(mirrored, -high, low), np.where(mirrored, -low, high)
    with np.errstate(invalid="ignore"):  # both ends infinite
        width = (x[1:] - x[:-1]) / sigma
        narrow = width * (np.maximum(near, 0.0) + 1.0 + width) < 0.7
    result = np.empty(len(near))
    wide = ~narrow
    result[wide] = _tails(near[wide]) - _tails(end[wide])
    half = 0.5 * width[narrow, None]
    places = near[narrow, None] + half * (1.0 + _POINTS)
    result[narrow] = (np.exp(-0.5 * places * places) * (half * _WEIGHTS)).sum(axis=1) / math.sqrt(2.0 * math.pi)
    return result


def _tails(z: Array) -> Array:
    return np.array([0.5 * math.erfc(value) for value in (z / SQRT_2).tolist()])
