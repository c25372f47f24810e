"""Rényi differential privacy of DP-SGD, and what it proves about epsilon and delta.

The Rényi divergence of one step is computed at any order, whole or not, and the order is chosen by continuous
minimisation from 1 + 1e-4 to 1e6: no table of orders, so no artefact of one.

Guarantee: UPPER. Gaussian noise under Poisson sampling; mechanisms whose moments have a closed form, without sampling;
a stated ρ-zCDP or Rényi curve (renyi_curves); the winner of a search over what it covers (best_of_trials).
Sources: Mironov 2017 (arXiv 1702.07476) for Rényi DP and its composition (Prop 1) and classic conversion (Prop 3);
Mironov, Talwar and Zhang 2019 (arXiv 1908.10530) for the sampled Gaussian; Balle, Barthe, Gaboardi, Hsu and Sato
2020 (arXiv 1905.09982), Thm 21, and Canonne, Kamath and Steinke 2020 (arXiv 2004.00010), Prop 12, for the tighter
conversion.
"""

import functools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from dpplan.accounting import pairs, renyi_curves
from dpplan.accounting.accountant_description import AccountantOption, Description
from dpplan.accounting.best_of_trials import WinnerCurve
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.minimum import minimise
from dpplan.accounting.plan_pairs import SampledGaussian
from dpplan.accounting.renyi_curves import RunMoments
from dpplan.accounting.sampled_gaussian_moments import kl_divergence, log_excess_moments
from dpplan.checks import Problems
from dpplan.errors import NotApplicable, UsageError
from dpplan.mechanism import BestOfTrials
from dpplan.plan import Plan

DESCRIPTION = Description(
    name="rdp",
    caption="Rényi DP, the order minimised continuously",
    guarantee="upper",
    use="to compare with most libraries (`--conversion classic` for older ones)",
    source="Mironov, Talwar, Zhang 2019; Canonne, Kamath, Steinke 2020",
    supports="Gaussian noise, not cut batches; stated ρ-zCDP and Rényi curves, laws of known moments",
    colour="#0072B2",
    note="order {order}, {conversion}",
    options=(AccountantOption("conversion", "How {takers} turn into ε; cks is tighter.", choices=("cks", "classic")),),
    published=2017,
)


Conversion = Literal["cks", "classic"]
LEAST_ORDER = 1 + 1e-4
MOST_ORDER = 1e6

_SOURCES = {"cks": "Canonne, Kamath and Steinke 2020, Prop 12", "classic": "Mironov 2017, Prop 3"}


def divergence(step: SampledGaussian, orders: Array) -> Array:
    """The Rényi divergence that one such step spends at each order, in nats.

    orders: shape (n,), floats in (1, 1e9], whole or not. Returns shape (n,).
    Guarantee: each value is at least the true divergence, in both directions of add/remove, and exceeds it by
        about 1e-12 relative (1e-9 at worst, where the order is above 1e5 and the divergence below 1e-4).
    Raises UsageError for an order that is not above 1.
    Source: Mironov, Talwar and Zhang 2019, Thm 4 for the pair N(0, σ²) against its mixture with N(1, σ²), and
        Thm 5 for why the divergence of the mixture from N(0, σ²) is the larger of the two directions.
    """
    orders = np.asarray(orders, dtype=np.float64)
    with Problems(UsageError) as problems:
        for order in orders[~((orders > 1) & (orders <= 1e9))]:
            problems.add(f"order={order} is not in (1, 1e9]: Rényi orders lie above 1.")
    if step.sample_rate == 1:
        # Closed form (Mironov 2017, Cor 3).
        with np.errstate(over="ignore"):
            return outward.up(orders * (0.5 / step.noise_multiplier / step.noise_multiplier), outward.SERIES)
    excess = log_excess_moments(step.sample_rate, step.noise_multiplier, orders)
    # log E_Q[(P/Q)^a] = log(1 + e^excess), kept relative when the excess is tiny.
    log_moment = np.where(excess < 0, np.log1p(np.exp(np.minimum(excess, 0.0))), np.logaddexp(0.0, excess))
    return np.asarray(log_moment / (orders - 1))


def to_epsilon(divergences: Array, orders: Array, delta: float, conversion: Conversion = "cks") -> Array:
    """The epsilon that each Rényi divergence proves at `delta`, rounded upward; a value at or below 0 proves 0.

    divergences, orders: shape (n,). Returns shape (n,). Raises UsageError for an unknown conversion.
    """
    _check(conversion)
    log_delta, b = math.log(delta), orders - 1
    if conversion == "classic":
        return outward.up(divergences - log_delta / b, outward.FEW)
    # log(1 - 1/a), near a = 1 from a - 1 itself.
    fall = np.where(orders < 2, np.log(b) - np.log(orders), np.log1p(-1 / orders))
    return outward.sum_up((divergences, fall, -log_delta / b, -np.log(orders) / b), outward.FEW)


def to_log_delta(divergences: Array, orders: Array, epsilon: float, conversion: Conversion = "cks") -> Array:
    """log of the delta that each Rényi divergence proves at `epsilon` >= 0, rounded upward. Shapes as above."""
    _check(conversion)
    b = orders - 1
    terms = [b * divergences, -b * epsilon]
    if conversion == "cks":
        terms += [b * np.where(orders < 2, np.log(b) - np.log(orders), np.log1p(-1 / orders)), -np.log(orders)]
    return outward.sum_up(terms, outward.FEW)


def epsilon(plan: Plan, delta: float, *, conversion: Conversion = "cks") -> Bound:
    """An epsilon that `plan` does not exceed at `delta`.

    delta: in (0, 1). conversion: "cks" (default, tighter) or "classic" (r + log(1/δ)/(a − 1), what software
    before about 2020 printed). Raises UsageError for another conversion.
    Guarantee: UPPER. The order found is in details["order"]; 0 is returned where the total variation distance
        alone proves it, or where the conversion gives a value at or below 0.
    Each conversion is quasi-convex in the order, because (a − 1)·r(a) is a log-moment and so convex; the search
    uses that for speed only.
    """
    _check(conversion)
    run = _moments(plan)
    left = run.unrevealed(delta, "rdp")
    if total_variation(run) <= left:
        why = "the total variation distance is at most δ (Pinsker; Bretagnolle and Huber)"
        return _bound("epsilon", 0.0, plan, why, {"conversion": conversion})
    order, least = _best_order(lambda orders: to_epsilon(_compose(run, orders), orders, left, conversion), run.kinks)
    details = {"order": order, "conversion": conversion}
    return _bound("epsilon", max(least, 0.0), plan, _why(order, conversion), details)


def delta(plan: Plan, epsilon: float, *, conversion: Conversion = "cks") -> Bound:
    """A delta that `plan` does not exceed at `epsilon`.

    epsilon: at least 0. conversion: as for `epsilon()`. Raises UsageError for another conversion.
    Guarantee: UPPER, never above 1. details["log_delta"] keeps the value where it is too small for a float;
        `upper` is then the smallest normal float, never 0.
    """
    _check(conversion)
    run = _moments(plan)
    order, least = _best_order(
        lambda orders: to_log_delta(_compose(run, orders), orders, epsilon, conversion), run.kinks
    )
    why, log_distance = _why(order, conversion), math.log(total_variation(run))
    if log_distance < min(least, 0.0):
        least, why = log_distance, "the total variation distance (Pinsker; Bretagnolle and Huber)"
    if least >= 0:
        least, why = 0.0, f"no order from {LEAST_ORDER:g} to {MOST_ORDER:g} proves a delta below 1 at this epsilon"
    upper = outward.up(math.exp(least), outward.ARITHMETIC)
    if run.revealed:
        upper = outward.up(run.revealed + (1.0 - run.revealed) * upper, outward.FEW)
        least = math.log(upper)
    upper = min(max(upper, sys.float_info.min), 1.0)
    details = {"order": order, "conversion": conversion, "log_delta": least}
    return _bound("delta", upper, plan, why, details)


def divergences(plan: Plan, orders: Array) -> Array:
    """The Rényi divergence of the whole plan at each order, from above. Raises NotApplicable where none is known."""
    run = _moments(plan)
    if run.revealed:
        raise NotApplicable("rdp: a chance to reveal all has no Rényi divergence.")
    return _compose(run, orders)


def _moments(plan: Plan) -> RunMoments:
    """The curves of the plan; of a search that of its winner."""
    found = [(phase, renyi_curves.searched(phase)) for phase in plan.phases]
    searches = [phase for phase, search in found if search is not None]
    rest = pairs.told_beside([phase for phase, search in found if search is None], searches)
    run = RunMoments(())
    if rest:
        # A plan's derivations are of all its phases, and not needed here.
        run = renyi_curves.of(plan if len(rest) == len(found) else replace(plan, phases=rest, derivation=()), "rdp")
    winners = tuple((_winner(search, plan), phase.steps) for phase, search in found if search is not None)
    return replace(run, others=(*run.others, *winners))


def _winner(search: BestOfTrials, plan: Plan) -> WinnerCurve:
    trials = tuple(replace(plan, phases=kind, derivation=(), batch_size=None) for kind in map(pairs.told, search.kinds))
    return WinnerCurve(search.trials, functools.partial(_of_any, trials), _least_log_delta)


def _of_any(kinds: Sequence[Plan], orders: Array) -> Array:
    """The divergence of a trial that draws one of these kinds, all with the same chance, and puts out which:
    e^((a - 1)D) is the mean of theirs."""
    found = np.array([divergences(each, orders) for each in kinds])
    if len(kinds) == 1:
        return np.asarray(found[0])
    moments = np.logaddexp.reduce((orders - 1.0) * found, axis=0) - math.log(len(kinds))
    rounding = renyi_curves.MOMENT_ROUNDING * (len(kinds) + np.abs(moments))
    return np.asarray(np.minimum((moments + rounding) / (orders - 1.0), found.max(axis=0)))


def _least_log_delta(divergences: Array, orders: Array, epsilon: float) -> float:
    return float(np.nanmin(to_log_delta(divergences, orders, epsilon)))


def total_variation(run: RunMoments) -> float:
    """An upper bound on the total variation distance of the run's outputs on neighbouring data, in (0, 1].

    It is delta at epsilon = 0, and at least delta at any epsilon. From the Kullback–Leibler divergence, which adds
    up over steps and is at most that of any order above 1: Pinsker's inequality and that of Bretagnolle and Huber
    (Tsybakov 2009, Lemmas 2.5 and 2.6).
    """
    divergences = [each.steps * kl_divergence(each.sample_rate, each.noise_multiplier) for each in run.gaussians]
    divergences += [float(each) for each in np.atleast_1d(run.divergence(np.array([LEAST_ORDER])))]
    total = outward.up(math.fsum(divergences), outward.ARITHMETIC)
    pinsker, bretagnolle_huber = math.sqrt(total / 2), math.sqrt(-math.expm1(-total))
    return min(max(outward.up(min(pinsker, bretagnolle_huber), outward.ARITHMETIC), sys.float_info.min), 1.0)


def _compose(run: RunMoments, orders: Array) -> Array:
    """Rényi divergences at one order add up over steps (Mironov 2017, Prop 1). Rounded up."""
    gaussians = sum((each.steps * divergence(each, orders) for each in run.gaussians), np.zeros(len(orders)))
    sums = max(len(run.gaussians) + len(run.others) - 1, 0)
    return np.asarray(outward.up(np.asarray(gaussians + run.divergence(orders)), 2 * outward.UNIT * sums))


def _best_order(objective: Callable[[Array], Array], kinks: Sequence[float]) -> tuple[float, float]:
    """(order, value) where `objective`, a function of an array of orders, is least. kinks: orders to try too."""
    place, least = minimise(lambda x: objective(1 + np.exp(x)), math.log(LEAST_ORDER - 1), math.log(MOST_ORDER - 1))
    tried = np.array([1 + math.exp(place), *kinks])
    values = np.array([least, *(objective(tried[1:]) if kinks else ())])
    best = int(np.argmin(values))
    return float(tried[best]), float(values[best])


def _why(order: float, conversion: Conversion) -> str:
    edge = ""
    if order > 0.99 * MOST_ORDER:
        edge = "; it is the largest tried, so a tighter value may lie beyond"
    elif order - 1 < 1.01 * (LEAST_ORDER - 1):
        edge = "; it is the smallest tried, so a tighter value may lie below"
    return f"Rényi order {order:.6g}{edge}; conversion of {_SOURCES[conversion]}"


def _check(conversion: str) -> None:
    with Problems(UsageError) as problems:
        known = ", ".join(get_args(Conversion))
        problems.require(conversion in _SOURCES, f"conversion={conversion} is not one of: {known}.")


def _bound(
    quantity: Literal["epsilon", "delta"], upper: float, plan: Plan, why: str, details: Mapping[str, object]
) -> Bound:
    return Bound(quantity, None, upper, Guarantee.UPPER, "rdp", plan.assumptions, why, details=details)
