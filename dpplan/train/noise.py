"""The noise: drawn in one place, once per step, at the scale that the mechanism and the clipped sum dictate."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dpplan.mechanism import Gaussian
from dpplan.train.privatize import ClippedSum


@dataclass(frozen=True, slots=True)
class GaussianNoise:
    """Adds N(0, (noise_multiplier × sensitivity)²) to every coordinate of a clipped sum.

    Guarantee: with exact arithmetic, one step is the Gaussian mechanism of `mechanism`. What is drawn are
    float64 numbers of numpy's ziggurat, whose tails reach beyond 8 standard deviations; float32 normals end near
    5.8. They come from numpy on every device because torch's generator for the CPU keeps 32 bits of its seed,
    and 2^32 seeds can be tried one by one. Not covered: attacks on floating point itself (Mironov 2012).
    """

    mechanism: Gaussian
    rng: np.random.Generator

    def standard_deviation(self, clipped: ClippedSum) -> float:
        """Per coordinate of the sum, in gradient units."""
        return self.mechanism.noise_multiplier * clipped.sensitivity

    def add(self, clipped: ClippedSum) -> Tensor:
        """The noisy sum, (parameters,), float64."""
        draw = torch.from_numpy(self.rng.standard_normal(clipped.total.numel()))
        return clipped.total + draw.to(clipped.total.device) * self.standard_deviation(clipped)
