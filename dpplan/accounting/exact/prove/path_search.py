"""Paths off the real line on which G(a + iu) is small in modulus, found in floating point.

The bound that a path gives is proven elsewhere (tail_decay.py), whatever the path.
"""

import math
from dataclasses import dataclass

import numpy as np

from dpplan.accounting.exact.prove.float_moments import ComposedSteps, log_ratio, span
from dpplan.accounting.numerics import Array

NODES, DENSITY = (200, 3000), 12.0  # of an estimate: least and most, and per σ or 3σ²
ROUNDS, TRIES = 24, 20  # of the random search
SHRINK = 0.8  # of its moves, after a round that found nothing better
HIGHEST = 0.97  # of the strip |Im x| < πσ² in which r^w is analytic
BREADTHS = (0.15, 30.0)  # least and largest, in σ


@dataclass(frozen=True, slots=True)
class Path:
    """y(x) = height / (1 + e^(-(x - centre)/breadth)); constant where breadth is infinite."""

    height: float
    centre: float = 0.0
    breadth: float = math.inf


def highest(phase: ComposedSteps) -> float:
    return HIGHEST * math.pi * phase.sigma**2


def estimate(phase: ComposedSteps, a: float, u: float, paths: list[Path]) -> Array:
    """log of tail_decay.bound for each path; on the real line itself it is log G(a)."""
    height = np.array([[path.height] for path in paths])
    if phase.q == 1.0:
        y = height[:, 0]
        return np.asarray((a * (a - 1.0) + y * y - 2.0 * u * y) / (2.0 * phase.sigma**2))
    centre = np.array([[path.centre] for path in paths])
    breadth = np.array([[path.breadth] for path in paths])
    half_turn = 0.5 * float(height.max()) / phase.sigma**2
    log_lift = max(-u, 0.0) * 2.0 * half_turn + min(a, 0.0) * math.log(math.cos(half_turn))
    low, high = span(phase, a, math.sqrt(90.0 + 2.0 * log_lift))
    x = np.linspace(
        low, high, min(max(int(DENSITY * (high - low) / min(phase.sigma, 3.0 * phase.sigma**2)), NODES[0]), NODES[1])
    )
    flat = np.isinf(breadth)
    lift = np.where(flat, 0.0, (x - centre) / np.where(flat, 1.0, breadth))
    step = np.where(flat, 1.0, 1.0 / (1.0 + np.exp(np.clip(-lift, -300.0, 300.0))))
    y = height * step
    slope = y * (1.0 - step) / breadth
    loss = log_ratio(phase, x)
    sampled = np.exp(math.log(phase.q) + (2.0 * x - 1.0) / (2.0 * phase.sigma**2) - loss)
    turn = y / phase.sigma**2
    squeeze = np.log1p(-np.minimum(2.0 * sampled * (1.0 - sampled) * (1.0 - np.cos(turn)), 1.0 - 1e-12))
    angle = np.arctan2(sampled * np.sin(turn), 1.0 - sampled + sampled * np.cos(turn))
    terms = a * (loss + 0.5 * squeeze) - u * angle - (x * x - y * y) / (2.0 * phase.sigma**2)
    terms += np.log1p(0.5 * slope * slope)
    top = terms.max(axis=1)
    total = np.exp(terms - top[:, None]).sum(axis=1) * (x[1] - x[0]) / (phase.sigma * math.sqrt(2.0 * math.pi))
    return np.asarray(top + np.log(total))


def best_path(phase: ComposedSteps, a: float, u: float, start: Path | None) -> tuple[Path, float]:
    """A path with a small bound at this u > 0, and log of that bound relative to G(a). start: a path to begin from."""
    if phase.q == 1.0:
        return Path(u), -u * u / (2.0 * phase.sigma**2)
    random = np.random.default_rng(0)  # seeded: the same question gets the same proof
    tried = _first_paths(phase, u) if start is None else [start]
    spread, best, value = 1.0, tried[0], math.inf
    for _ in range(ROUNDS):
        values = estimate(phase, a, u, tried)
        index = int(np.argmin(values))
        if values[index] < value:
            best, value = tried[index], float(values[index])
        else:
            spread *= SHRINK
        tried = [_moved(best, phase, move) for move in (random.normal(size=(TRIES, 3)) * spread).tolist()]
    return best, value - float(estimate(phase, a, 0.0, [Path(0.0)])[0])


def _first_paths(phase: ComposedSteps, u: float) -> list[Path]:
    heights = np.minimum(u * np.array([1e-3, 1e-2, 0.03, 0.1, 0.3, 0.6, 1.0, 2.0]), highest(phase))
    centres = phase.sigma * np.array([-8.0, -2.0, 0.0, 2.0, 4.0, 7.0])
    breadths = phase.sigma * np.array([0.3, 1.0, 3.0])
    return [Path(float(y), float(c), float(b)) for y in heights for c in centres for b in breadths]


def _moved(path: Path, phase: ComposedSteps, move: list[float]) -> Path:
    least, largest = (factor * phase.sigma for factor in BREADTHS)
    return Path(
        height=min(path.height * math.exp(0.5 * move[0]), highest(phase)),
        centre=path.centre + phase.sigma * move[1],
        breadth=min(max(path.breadth * math.exp(0.5 * move[2]), least), largest),
    )
