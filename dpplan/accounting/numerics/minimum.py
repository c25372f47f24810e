"""The one-dimensional minimisation that every accountant with a free parameter uses. Its accuracy never touches
soundness: each point it tries is already a proven bound, and the best one tried is returned."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from dpplan.accounting.numerics import Array

_FIRST_LOOK = 17  # points of the scan over the whole interval
_CLOSER_LOOK = 4  # fresh points on each side of the best one; each round brings its neighbours five times closer


def minimise(objective: Callable[[Array], Array], low: float, high: float, rounds: int = 6) -> tuple[float, float]:
    """(argument, value) of the least value found of `objective` on [low, high].

    objective: maps an array of arguments to as many values; infinities are allowed, NaN is not.
    A scan of the whole interval comes first, so a wrong guess about the shape costs tightness and no more;
    then `rounds` closer looks around the best point, then the vertex of the parabola through the last three.
    """
    points = np.linspace(low, high, _FIRST_LOOK)
    values = objective(points)
    for _ in range(rounds):
        best = int(np.argmin(values))
        near = slice(max(best - 1, 0), best + 2)
        kept, kept_values = points[near], values[near]
        # Each gap is divided on its own: points that nearly coincide would hide the gap the minimum lies in.
        fresh = np.concatenate([np.linspace(a, b, _CLOSER_LOOK + 2)[1:-1] for a, b in pairwise(kept)])
        points, values = np.concatenate([kept, fresh]), np.concatenate([kept_values, objective(fresh)])
        order = np.argsort(points)
        points, values = points[order], values[order]
    best = int(np.argmin(values))
    vertex = _vertex(points[best - 1 : best + 2], values[best - 1 : best + 2])
    if vertex is not None and (value := float(objective(np.array([vertex]))[0])) < values[best]:
        return vertex, value
    return float(points[best]), float(values[best])


def _vertex(points: Array, values: Array) -> float | None:
    """Where the parabola through three points is least, if they are three and it opens upward."""
    if len(points) < 3 or not np.isfinite(values).all():
        return None
    left, right = np.diff(values) / np.diff(points)
    if not right > left:
        return None
    vertex = (points[0] + points[1]) / 2 - left * (points[2] - points[0]) / 2 / (right - left)
    return float(np.clip(vertex, points[0], points[2]))
