"""What a sampler and a Gaussian really do to a few examples with gradients on a line, by enumeration. Imports nothing
from dpplan: the laws are mixtures of normal laws, one for each batch that can be drawn, and delta is an integral."""

import functools
import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

Law = Mapping[float, float]  # mean -> probability
Means = Mapping[tuple[float, ...], float]  # the means of all steps -> probability
GRID = 20_001
PLACES = {1: 20_001, 2: 601, 3: 101}  # on a grid over the outputs of so many steps


def truncated_poisson(gradients: Sequence[float], q: float, cap: int) -> Law:
    """Every example by a coin; of more than `cap`, a uniform subset of that size."""
    found: dict[float, float] = defaultdict(float)
    n = len(gradients)
    for coins in itertools.product((0, 1), repeat=n):
        drawn = [i for i in range(n) if coins[i]]
        chance = q ** len(drawn) * (1 - q) ** (n - len(drawn))
        kept = list(itertools.combinations(drawn, min(cap, len(drawn))))
        for batch in kept:
            found[round(math.fsum(gradients[i] for i in batch), 9)] += chance / len(kept)
    return found


def fixed_size(gradients: Sequence[float], size: int) -> Law:
    found: dict[float, float] = defaultdict(float)
    subsets = list(itertools.combinations(gradients, size))
    for batch in subsets:
        found[round(math.fsum(batch), 9)] += 1 / len(subsets)
    return found


def delta(first: Law, second: Law, sigma: float, epsilon: float) -> float:
    """H of the two mixtures with this noise, by the trapezoid rule on a wide grid."""
    means = [*first, *second]
    x = np.linspace(min(means) - 12 * sigma, max(means) + 12 * sigma, GRID)
    gain = density(first, sigma, x) - math.exp(epsilon) * density(second, sigma, x)
    return float(np.sum(np.maximum(gain, 0.0)) * (x[1] - x[0]))


def density(law: Law, sigma: float, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    total = np.zeros_like(x)
    for mean, chance in law.items():
        total += chance * np.exp(-0.5 * ((x - mean) / sigma) ** 2)
    return total / (sigma * math.sqrt(2 * math.pi))


def delta_of_means(first: Means, second: Means, sigma: float, epsilon: float) -> float:
    """H of two mixtures of N(mean, σ²I) over the outputs of up to three steps, by the trapezoid rule."""
    steps = len(next(iter(first)))
    every = [value for means in (*first, *second) for value in means]
    x = np.linspace(min(every) - 9 * sigma, max(every) + 9 * sigma, PLACES[steps])
    normal = {value: np.exp(-0.5 * ((x - value) / sigma) ** 2) for value in set(every)}

    def densities(law: Means) -> npt.NDArray[np.float64]:
        total = np.zeros((len(x),) * steps)
        for means, chance in law.items():
            total += chance * functools.reduce(np.multiply.outer, (normal[value] for value in means))
        return total

    gain = densities(first) - math.exp(epsilon) * densities(second)
    unit = ((x[1] - x[0]) / (sigma * math.sqrt(2 * math.pi))) ** steps
    return float(np.maximum(gain, 0.0).sum()) * unit
