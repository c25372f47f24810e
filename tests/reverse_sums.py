"""What holds of a sum over the add direction that tells of the remove direction, by whichever engine it is made."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from dpplan import risk
from dpplan.accounting.exact.proven_deltas import OneDirection
from dpplan.plan import Plan


def check_add_direction(
    found: Any, epsilons: npt.NDArray[np.float64], ends: Callable[[float], tuple[float, float]]
) -> None:
    """At a negative ε it tells of the add direction, of which `ends` are proven at the positive one by other means."""
    low, high = found.ends(-epsilons)
    for at, epsilon in enumerate(epsilons.tolist()):
        lower, upper = (1.0 - np.exp(-epsilon) * (1.0 - end) for end in ends(epsilon))
        assert max(lower, low[at]) <= high[at] + 1e-15
        assert low[at] <= upper + 1e-15


def places_of_curves(
    rows: Sequence[tuple[float, float, int]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[float]]:
    """For each plan the places that a curve of 200 points makes a sum at."""
    made, once = list[float](), OneDirection._made
    monkeypatch.setattr(OneDirection, "_made", lambda own, at, found: made.append(at) or once(own, at, found))  # type: ignore[func-returns-value]
    for row in rows:
        made.clear()
        risk.TradeOff(risk.source_of_plan(Plan.from_rate(*row))).curve(200)
        yield list(made)
