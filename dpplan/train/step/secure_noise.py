"""Normal numbers for which neither a generator's state nor the grid of floating point gives the noise away.

Mironov 2012 reads a sum's noise from which floats a sampler can put out. The remedy here is that of Holohan and
Braghin 2021 (arXiv 2107.10138): the sum of four independent normals, halved, is normal too, and to undo it an attacker
has to guess all four together.
"""

import os
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dpplan.mechanism import Gaussian
from dpplan.train.step.box_muller import AddNormals, Uniforms, add_normals
from dpplan.train.step.noise import GaussianNoise

SUMMED = 4


class SystemUniforms:
    """Uniform numbers from the operating system's cryptographic generator, which has no seed and no state here."""

    def random(self, size: int) -> NDArray[np.float64]:
        """(size,), in [0, 1), multiples of 2^-53."""
        bits = np.frombuffer(os.urandom(8 * size), dtype=np.uint64)
        return np.multiply(bits >> np.uint64(11), 2.0**-53, dtype=np.float64)


class SecureNoise(GaussianNoise):
    """The same noise by the same rule, from the system's generator, each number the sum of four, halved.

    Takes about twelve times as long to draw, most of it for random bytes.
    """

    def __init__(self, mechanism: Gaussian, adding: AddNormals = add_normals) -> None:
        super().__init__(mechanism, SYSTEM, summed(adding))


SYSTEM = SystemUniforms()


def summed(adding: AddNormals) -> AddNormals:
    """The same with four normals, halved, for each."""
    return _Summed(adding)


@dataclass(frozen=True, slots=True)
class _Summed:
    """Adds the sum of several normals in place of one. They are summed before the total is touched."""

    adding: AddNormals

    def __call__(self, total: Tensor, deviation: float, rng: Uniforms) -> Tensor:
        noise = torch.zeros_like(total)
        for _ in range(SUMMED):
            noise = self.adding(noise, deviation * SUMMED**-0.5, rng)
        return total + noise
