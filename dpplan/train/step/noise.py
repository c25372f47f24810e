"""The noise: drawn in one place, once per step, at the scale that the mechanism and the clipped sum dictate."""

from dataclasses import dataclass

from torch import Tensor

from dpplan.mechanism import Gaussian
from dpplan.train.clipping import ClippedSum
from dpplan.train.step.box_muller import AddNormals, Uniforms, add_normals


@dataclass(frozen=True, slots=True)
class GaussianNoise:
    """Adds N(0, (noise_multiplier × sensitivity)²) to every coordinate of a clipped sum, in one flat draw.

    Guarantee: with exact arithmetic, one step is the Gaussian mechanism of `mechanism`. What is drawn are
    float64 numbers whose tails reach to 8.5 standard deviations; float32 normals end near 5.8. Their bits come from
    numpy on every device because torch's generator for the CPU keeps 32 bits of its seed, and 2^32 seeds can be tried
    one by one. Not covered: attacks on floating point itself (Mironov 2012); `SecureNoise` is made for them.

    adding: how normals get into a sum; `box_muller.CompiledNormals` is faster and slower to start.
    """

    mechanism: Gaussian
    rng: Uniforms
    adding: AddNormals = add_normals

    def standard_deviation(self, clipped: ClippedSum) -> float:
        """Per coordinate of the sum, in gradient units."""
        return self.mechanism.noise_multiplier * clipped.sensitivity

    def add(self, clipped: ClippedSum) -> Tensor:
        """The noisy sum, of the size of `clipped.total`, float64."""
        return self.adding(clipped.total, self.standard_deviation(clipped), self.rng)
