"""Zero-concentrated differential privacy of unsampled Gaussian releases, and of what is stated or known to have a ρ.

One Gaussian release is 1/(2σ²)-zCDP and ρ adds up over releases. Sampling does not fit: the Rényi divergence of a
subsampled Gaussian jumps at large orders, so its ρ is hardly below 1/(2σ²). Such plans raise NotApplicable.

Guarantee: UPPER.
Sources: Bun and Steinke 2016 (arXiv 1605.02065), Prop 1.6 (Gaussian), Lemma 1.7 (composition), Prop 1.3 (classic
conversion); Canonne, Kamath and Steinke 2020 (arXiv 2004.00010), Prop 12, for the tighter conversion.
"""

import math
import sys
from typing import Literal, get_args

import numpy as np

from dpplan.accounting import renyi_curves
from dpplan.accounting.accountant_description import AccountantOption, Description
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.minimum import minimise
from dpplan.checks import Problems
from dpplan.errors import NotApplicable, UsageError
from dpplan.plan import Plan

DESCRIPTION = Description(
    name="zcdp",
    caption="zero-concentrated DP; refuses sampled batches",
    guarantee="upper",
    use="full batches, to compose with other zCDP releases",
    source="Bun, Steinke 2016",
    supports="Gaussian noise without sampling; discrete Gaussian, exponential, a stated ρ-zCDP",
    colour="#56B4E9",
    note="order {order}, {conversion}",
    options=(AccountantOption("conversion", "How {takers} turn into ε; cks is tighter.", choices=("cks", "classic")),),
)


Conversion = Literal["cks", "classic"]


def epsilon(plan: Plan, delta: float, *, conversion: Conversion = "cks") -> Bound:
    """An epsilon that `plan` does not exceed at `delta` in (0, 1).

    conversion: "cks" (default, tighter; minimised over the order) or "classic" (ρ + 2·sqrt(ρ·log(1/δ))).
    Guarantee: UPPER. Raises NotApplicable when a phase samples, UsageError for another conversion.
    """
    _check(conversion)
    rho, log_delta = _rho(plan), math.log(delta)
    if conversion == "classic":
        return _bound("epsilon", outward.up(rho + 2 * math.sqrt(-rho * log_delta), outward.SUM), plan, rho, conversion)

    def at(log_excess_order: Array) -> Array:
        b = np.exp(log_excess_order)
        positive, negative = rho * (1 + b) - log_delta / b, -np.log1p(1 / b) - np.log1p(b) / b
        return outward.sum_up((positive, negative), outward.FEW)

    place, least = minimise(at, *_orders_around(math.sqrt(-log_delta / rho)))
    return _bound("epsilon", max(least, 0.0), plan, rho, conversion, order=1 + math.exp(place))


def delta(plan: Plan, epsilon: float, *, conversion: Conversion = "cks") -> Bound:
    """A delta that `plan` does not exceed at `epsilon` >= 0; never above 1, never rounded to 0.

    conversion, guarantee and errors as for `epsilon()`. details["log_delta"] keeps what a float cannot.
    """
    _check(conversion)
    rho = _rho(plan)
    spare = max(outward.sum_down((epsilon, -rho), outward.ARITHMETIC), 0.0)
    if conversion == "classic":
        return _delta_bound(outward.up(-spare * spare / (4 * rho), outward.SUM), plan, rho, conversion)

    def at(log_excess_order: Array) -> Array:
        b = np.exp(log_excess_order)
        moment, gain = b * (rho * (1 + b) - epsilon), -b * np.log1p(1 / b) - np.log1p(b)
        return np.asarray(moment + gain + outward.FEW * (b * (rho * (1 + b) + epsilon) - gain))

    place, least = minimise(at, *_orders_around(max(spare / (2 * rho), 1 / math.sqrt(rho))))
    return _delta_bound(min(least, 0.0), plan, rho, conversion, order=1 + math.exp(place))


def _rho(plan: Plan) -> float:
    run = renyi_curves.of(plan, "zcdp")
    steps = run.gaussians
    sampled = [each.sample_rate for each in steps if each.sample_rate < 1]
    if sampled:
        raise NotApplicable(
            f"zcdp: sample_rate={sampled[0]:g} is below 1, and sampling gives no useful zCDP guarantee. "
            "Use the exact or the rdp accountant."
        )
    others = renyi_curves.rho(run.others)
    if others is None or run.revealed:
        raise NotApplicable(
            "zcdp: a phase of this plan is not known by a ρ, as Gaussian and discrete Gaussian noise without sampling, "
            "the exponential mechanism and a stated ρ-zCDP are. Use the rdp accountant, or the exact one."
        )
    rho = math.fsum([others, *(each.steps * (0.5 / each.noise_multiplier / each.noise_multiplier) for each in steps)])
    return max(outward.up(rho, outward.ARITHMETIC), sys.float_info.min)


def _orders_around(excess: float) -> tuple[float, float]:
    """Logarithms of order − 1 to search: four decades each side of where the classic conversion has its best."""
    centre = math.log(min(max(excess, 1e-150), 1e150))
    return centre - 9.0, centre + 9.0


def _check(conversion: str) -> None:
    with Problems(UsageError) as problems:
        known = get_args(Conversion)
        problems.require(conversion in known, f"conversion={conversion} is not one of: {', '.join(known)}.")


def _bound(
    quantity: Literal["epsilon", "delta"], upper: float, plan: Plan, rho: float, conversion: str, **found: float
) -> Bound:
    source = "Bun and Steinke 2016, Prop 1.3" if conversion == "classic" else "Canonne, Kamath and Steinke 2020"
    details = {"rho": rho, "conversion": conversion, **found}
    why = f"ρ = {rho:.6g}, conversion of {source}"
    return Bound(quantity, None, upper, Guarantee.UPPER, "zcdp", plan.assumptions, why, details=details)


def _delta_bound(log_delta: float, plan: Plan, rho: float, conversion: str, **found: float) -> Bound:
    upper = min(max(outward.up(math.exp(log_delta), outward.SUM), sys.float_info.min), 1.0)
    return _bound("delta", upper, plan, rho, conversion, log_delta=log_delta, **found)
