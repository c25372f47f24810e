"""A picture of the composed loss, good enough to choose range, tilt and period by. Nothing here is claimed."""

import math
from collections.abc import Callable

import numpy as np

from dpplan.accounting.exact.contour.saddle_point import Saddle
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.pairs.law import Array, Law
from dpplan.quick_dataclass import dataclass

MOST_LOSS = 600.0  # beyond it, e^loss and masses leave the range of floats
CELLS, ALL_CELLS = 1500, 150_000
LOG_TILTS = (-30.0, 30.0)
_SCALE = np.geomspace(1e-14, MOST_LOSS, 600)
_EDGES = np.concatenate((-_SCALE[::-1], [0.0], _SCALE))


@dataclass(frozen=True)
class CoarseMasses:
    """A law's P-masses between losses that lie close around 0 and ever further apart: where it may be cut off."""

    law: Law
    p: Array

    @classmethod
    def of(cls, law: Law) -> "CoarseMasses":
        edges = np.concatenate(([-math.inf], _EDGES, [math.inf]))
        p, atoms = law.masses(edges).p, law.atoms
        return cls(law, p + np.bincount(np.searchsorted(edges, atoms.loss, side="right") - 1, atoms.p, len(p)))

    def kept(self, log_goal: float, tilt: float = 0.0) -> tuple[float, float]:
        """Losses above which P has about e^log_goal at most; below which so much, or that share of e^(tilt·L)·P."""
        low, high = self.law.bounds
        goal = math.exp(max(log_goal, -660.0))
        above, below = np.cumsum(self.p[::-1])[::-1][1:], np.cumsum(self.p)[:-1]
        last = int(np.sum(above > goal))
        with np.errstate(divide="ignore"):
            tilted = np.log(below) + tilt * _EDGES
            whole = float(np.max(np.log(self.p[1 : last + 1]) + tilt * _EDGES[:last], initial=-math.inf))
        first = max(int(np.sum(tilted <= math.log(goal) + whole)), int(np.sum(below <= goal)))
        start, end = _EDGES[max(first - 1, 0)], _EDGES[min(last, len(_EDGES) - 1)]
        highest = min(float(end), high, MOST_LOSS)
        return min(max(float(start), low, -MOST_LOSS), highest), highest


@dataclass(frozen=True)
class Sketch:
    """Losses y and log of P-mass there, [term, point], padded with -inf; how often each; how much is no atom."""

    y: Array
    log_mass: Array
    count: Array
    smooth: Array

    @classmethod
    def of(cls, terms: list[tuple[Law, float]], ranges: list[tuple[float, float]]) -> "Sketch":
        size = max(min(CELLS, ALL_CELLS // len(terms)), 50)
        rows = [_picture(law, bounds, size) for (law, _), bounds in zip(terms, ranges, strict=True)]
        width = max(len(y) for y, _, _ in rows)
        y, mass = np.zeros((len(rows), width)), np.zeros((len(rows), width))
        for k, (places, masses, _) in enumerate(rows):
            y[k, : len(places)], mass[k, : len(places)] = places, masses
        with np.errstate(divide="ignore"):
            log_mass = np.log(mass)
        return cls(y, log_mass, np.array([count for _, count in terms]), np.array([smooth for _, _, smooth in rows]))

    @property
    def mass(self) -> Array:
        """P-mass at each loss, [term, point]; padded with zeros."""
        return np.asarray(np.exp(self.log_mass))

    def at(self, tilt: float) -> Saddle:
        exponents = self.log_mass + tilt * self.y
        top = np.max(exponents, axis=1, keepdims=True)
        weight = np.exp(exponents - top)
        total = weight.sum(axis=1)
        mean = (weight * self.y).sum(axis=1) / total
        spread = (weight * (self.y - mean[:, None]) ** 2).sum(axis=1) / total
        log_moment = float((self.count * (top[:, 0] + np.log(total))).sum())
        return Saddle(tilt, log_moment, float((self.count * mean).sum()), float((self.count * spread).sum()))

    def for_epsilon(self, epsilon: float) -> Saddle:
        return self._found(lambda saddle: saddle.epsilon > epsilon)

    def for_log_delta(self, log_delta: float) -> Saddle:
        return self._found(lambda saddle: saddle.log_delta < log_delta)

    def _found(self, beyond: Callable[[Saddle], bool]) -> Saddle:
        """The tilt where this turns true, by bisection of its logarithm."""
        turn = first_true(lambda log_tilt: beyond(self.at(math.exp(log_tilt))), *LOG_TILTS, most=28)
        return self.at(math.exp(turn.false))

    @property
    def largest(self) -> float:
        """About the largest loss of all steps together."""
        return float((self.count * np.max(np.where(np.isfinite(self.log_mass), self.y, -math.inf), axis=1)).sum())

    def roughness(self, tilt: float) -> float:
        """What the relative width of delta is, over h²: an eighth of t(1 + t) for each step without atoms."""
        return 0.125 * tilt * (1.0 + tilt) * float((self.count * self.smooth).sum())


def _picture(law: Law, bounds: tuple[float, float], size: int) -> tuple[Array, Array, float]:
    low, high = bounds
    # Finer around 0, where most losses are when large ones are rare.
    close = _EDGES[np.searchsorted(_EDGES, low) : np.searchsorted(_EDGES, high)]
    edges = np.union1d(np.linspace(low, high, size + 1), close[:: max(CELLS // size, 1)])
    edges = edges if len(edges) > 1 else np.array([low, low])
    found, atoms = law.masses(edges), law.atoms
    p, q = found.p, np.where(found.q > 0.0, found.q, 1.0)
    mean = np.clip(np.log1p(np.maximum(p / q - 1.0, -1.0)), edges[:-1], edges[1:])
    inside = (atoms.loss >= low - 1e-9 * abs(low)) & (atoms.loss <= high + 1e-9 * abs(high))
    y = np.concatenate((mean, atoms.loss[inside]))
    mass = np.concatenate((p, atoms.p[inside]))
    return y, mass, float(p.sum())
