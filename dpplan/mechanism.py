"""What one release does to one record: the noise, and how far one record can move what it is added to."""

import math
from dataclasses import dataclass

from dpplan.checks import Problems


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Gaussian noise on a sum of clipped vectors.

    noise_multiplier: standard deviation of the noise divided by the clip norm (σ, no unit). It is not the
        standard deviation of the noise itself, and not the noise on the mean gradient; both depend on the
        clip norm and the batch, and neither changes epsilon.

    Adding or removing one record moves the clipped sum by at most one clip norm, so the pair of output
    laws that dominates every other is N(0, σ²) against N(1, σ²) (Mironov, Talwar, Zhang 2019, Thm 4).
    """

    noise_multiplier: float

    def __post_init__(self) -> None:
        with Problems() as problems:
            problems.positive(
                "sigma",
                self.noise_multiplier,
                try_="Without noise epsilon is infinite; values between 0.5 and 10 are common (--sigma).",
            )
        object.__setattr__(self, "noise_multiplier", float(self.noise_multiplier))

    def scaled_to(self, steps: int) -> float:
        """The Gaussian-DP parameter μ = sqrt(steps) / σ of `steps` unsampled releases (Dong, Roth, Su 2022)."""
        return math.sqrt(steps) / self.noise_multiplier
