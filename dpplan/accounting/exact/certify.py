"""Stage 4, certify: what an interval is held against before it leaves, and what is returned when it cannot be had.

The upper end never exceeds Rényi DP's, computed by other code (rdp.py). A lower end above it, or an upper end
below the probability of a plain event, is a contradiction between two proofs: InternalError, and no figure.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dpplan.accounting import rdp
from dpplan.accounting.bound import Quantity, widened
from dpplan.accounting.exact.invert import Ends
from dpplan.accounting.exact.law import Array
from dpplan.errors import InternalError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

MANY = 144  # phases, above which those that are alike are held against Rényi DP as one


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The ends that leave the accountant, the ends as they were proven before the floor, and where they come from."""

    lower: float
    upper: float
    proven: tuple[float, float]
    why: str


def reconcile(quantity: Quantity, ends: Ends, floor: float, ceiling: float) -> Reconciled:
    """The tightest interval that all proofs allow, widened by the floor of all certified intervals.

    floor: a lower bound from a plain event; ceiling: an upper bound from Rényi DP. Raises InternalError when a
    lower bound exceeds an upper one, by however little.
    """
    lower, upper = max(ends.lower, floor), min(ends.upper, ceiling)
    if not lower <= upper:
        raise InternalError(
            f"{quantity}: the proven lower end {lower!r} exceeds the proven upper end {upper!r}. This is a bug in "
            "dpplan; please report the plan. `--accountant rdp` gives an independent upper bound."
        )
    sources = [ends.method]
    if ceiling < ends.upper:
        sources.append("upper end from Rényi DP")
    if floor > ends.lower:
        sources.append("lower end from a plain event")
    return Reconciled(*widened(quantity, lower, upper), (lower, upper), "; ".join(sources))


def renyi_epsilon(plan: Plan, delta: float, ends: Ends, wide: float) -> float:
    """Rényi DP's epsilon: at the one order that matches the contour, or at its best where the interval is wide."""
    if ends.contour is None or _is_wide(ends, wide):
        known = ends.method == "closed form" and math.isfinite(ends.upper)
        return math.inf if known else rdp.epsilon(plan, delta).value
    order = np.array([1.0 + ends.contour.tilt])
    if not 1.0 + 1e-6 <= order[0] <= 1e9:  # the range of its quadrature
        return math.inf
    return max(float(rdp.to_epsilon(_divergence(plan, order), order, delta)[0]), 0.0)


def _is_wide(ends: Ends, wide: float) -> bool:
    return not (math.isfinite(ends.upper) and ends.upper - ends.lower <= wide * ends.upper)


def _divergence(plan: Plan, order: Array) -> Array:
    return np.asarray(sum(phase.steps * rdp.divergence(phase, order) for phase in _fewer(plan.phases)))


def _fewer(phases: Sequence[Phase]) -> Sequence[Phase]:
    """At most about MANY phases that spend no less, at any order: those with nearly the same noise and sample rate as
    one, with the least noise and the largest rate among them. More noise is post-processing, and a smaller rate is a
    mixture with what samples nothing, so that Rényi divergence never rises with either."""
    if len(phases) <= MANY:
        return phases
    side = math.isqrt(MANY) - 1
    traits = np.log(np.array([(phase.noise_multiplier, phase.sample_rate) for phase in phases]))
    spread = np.maximum(np.ptp(traits, axis=0), 1e-9)
    cells = np.floor((traits - traits.min(axis=0)) / spread * side).astype(int)
    groups: dict[tuple[int, int], list[Phase]] = {}
    for (noise, rate), phase in zip(cells.tolist(), phases, strict=True):
        groups.setdefault((noise, rate), []).append(phase)
    return [
        Phase(
            Gaussian(min(phase.noise_multiplier for phase in group)),
            Poisson(max(phase.sample_rate for phase in group)),
            sum(phase.steps for phase in group),
        )
        for group in groups.values()
    ]
