"""Whether the noise of a run repeats itself, within a step or from step to step, at any distance.

Noise of the right length may still be drawn from one seed in every step, or by several processes that each keep a part
of the parameters: what repeats cancels in a difference, and protects nobody. Laid end to end and divided by its planned
deviation, noise z of N coordinates is independent and standard normal. For a distance L the sum of z_i z_{i+L} around
the circle is a quadratic form z'Az with eigenvalues cos(2 π k L / N): of trace 0, none larger than 1, their squares
together N / 2 (N where L = N / 2). For such a form, with squares F and every u > 0,

    P[z'Az >= 2 √(F u) + 2 u] <= e^-u

(Laurent, Massart 2000, Lemma 1: -log(1 - 2 a s) / 2 - a s <= a² s² / (1 - 2 |a| s) for eigenvalues a of either sign),
and so for -z'Az. All distances together are paid for by Bonferroni.
"""

import math

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-9  # of N: far above that of a Fourier transform of N numbers, N < 1e9


def repeats(noise: NDArray[np.float64], level: float) -> bool:
    """noise: of all steps, in planned deviations. True of independent noise with a probability of `level` at most."""
    z = np.asarray(noise, dtype=np.float64).ravel()
    if len(z) < 2 or not np.isfinite(z).all():
        return False
    spectrum = np.fft.rfft(z)
    sums = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, len(z))[1 : len(z) // 2 + 1]
    squares = np.full(len(sums), 0.5 * len(z))
    if len(z) % 2 == 0:
        squares[-1] = float(len(z))
    u = math.log(2.0 * len(sums) / level)
    return bool((np.abs(sums) > 2.0 * np.sqrt(squares * u) + 2.0 * u + ROUNDING * len(z)).any())
