"""Stage 4, certify: what an interval is held against before it leaves, and what is returned when it cannot be had.

The upper end never exceeds Rényi DP's, computed by other code (rdp.py). A lower end above it, or an upper end
below the probability of a plain event, is a contradiction between two proofs: InternalError, and no figure.
"""

import math
from collections.abc import Sequence

import numpy as np

from dpplan.accounting import rdp
from dpplan.accounting.bound import Quantity, widened
from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.exact.proven_ends import Ends
from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.logspace import log_sum
from dpplan.accounting.plan_pairs import SampledGaussian, sampled_gaussians
from dpplan.errors import InternalError
from dpplan.plan import Plan
from dpplan.quick_dataclass import dataclass

MOST_ORDER = 256  # of many plans at once
MOMENT_ROUNDING = (
    1e-13  # of the sizes in a moment: running sums of up to MOST_ORDER logarithms are off by as many units
)
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


def renyi_epsilons(steps: Steps, tilts: Array, delta: float) -> Array:
    """Rényi DP's epsilon of each row by itself, [row], at the whole order next to its contour's.

    There the moment is a finite sum of positive terms (Mironov, Talwar, Zhang 2019, sec. 3.3): nothing of a contour's
    quadratures goes into it.
    """
    orders = np.clip(np.rint(1.0 + tilts), 2.0, float(MOST_ORDER))[:, None]
    k = np.arange(1.0, float(orders.max()) + 1.0)
    within = k <= orders
    log_rest, log_q = np.log1p(-steps.q), np.log(steps.q)
    with np.errstate(divide="ignore", invalid="ignore"):
        coefficients = np.cumsum(np.where(within, np.log((orders - k + 1.0) / k), 0.0), axis=1)
    growth = 0.5 * k * (k - 1.0) / steps.sigma**2
    terms = coefficients + (orders - k) * log_rest + k * log_q + growth
    sizes = coefficients - orders * log_rest - k * log_q + growth  # of all that was added up
    terms = np.concatenate((orders * log_rest, np.where(within, terms, -np.inf)), axis=1)
    log_moments = log_sum(terms) + MOMENT_ROUNDING * (1.0 + np.max(np.where(within, sizes, 0.0), axis=1))
    order = orders[:, 0]
    divergences = steps.count[:, 0] * np.maximum(log_moments, 0.0) / (order - 1.0)
    return np.maximum(rdp.to_epsilon(divergences, order, delta), 0.0)


def _is_wide(ends: Ends, wide: float) -> bool:
    return not (math.isfinite(ends.upper) and ends.upper - ends.lower <= wide * ends.upper)


def _divergence(plan: Plan, order: Array) -> Array:
    fewer = _fewer(sampled_gaussians(plan, "exact"))
    return np.asarray(sum(each.steps * rdp.divergence(each, order) for each in fewer))


def _fewer(kinds: Sequence[SampledGaussian]) -> Sequence[SampledGaussian]:
    """At most about MANY kinds of steps that spend no less, at any order: those with nearly the same noise and sample
    rate as one, with the least noise and the largest rate among them. More noise is post-processing, and a smaller rate
    is a mixture with what samples nothing, so that Rényi divergence never rises with either."""
    if len(kinds) <= MANY:
        return kinds
    side = math.isqrt(MANY) - 1
    traits = np.log(np.array([(each.noise_multiplier, each.sample_rate) for each in kinds]))
    spread = np.maximum(np.ptp(traits, axis=0), 1e-9)
    cells = np.floor((traits - traits.min(axis=0)) / spread * side).astype(int)
    groups: dict[tuple[int, int], list[SampledGaussian]] = {}
    for (noise, rate), each in zip(cells.tolist(), kinds, strict=True):
        groups.setdefault((noise, rate), []).append(each)
    return [
        SampledGaussian(
            min(each.noise_multiplier for each in group),
            max(each.sample_rate for each in group),
            sum(each.steps for each in group),
        )
        for group in groups.values()
    ]
