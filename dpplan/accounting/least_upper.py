"""The figure that is stated where nobody says who computes: exact's; but where exact bounds a plan from above alone, or
between ends that lie apart, or has no theorem, the lesser upper bound by Rényi moments, which says that it is.

Both are upper bounds of the same, so the lesser one holds, and a lower end that exact has proven still does. Every
command that was told no accountant asks here, so that one plan has one figure. Guarantee: that of the ends it has.
"""

from collections.abc import Callable
from dataclasses import replace

from dpplan.accounting import exact, rdp
from dpplan.accounting.bound import IN_PLACE_OF, SYMBOLS, Bound, Guarantee
from dpplan.accounting.parallel_composition import costliest
from dpplan.errors import InternalError, NotApplicable, NotCertified
from dpplan.mechanism import Gaussian
from dpplan.plan import Plan
from dpplan.rounding import up

LOOSE = 1e-3  # relative width of exact's interval, beyond which another upper bound is asked for
Ask = Callable[[Plan, float], Bound]


def epsilon(plan: Plan, delta: float, *, accuracy: float | None = None) -> Bound:
    """The epsilon of `plan` at `delta` in (0, 1). accuracy: exact's.

    Guarantee: CERTIFIED where exact has a lower end, else UPPER. Raises exact's NotCertified where neither proves one.
    """
    return _lesser(plan, delta, lambda each, at: exact.epsilon(each, at, accuracy=accuracy), rdp.epsilon)


def delta(plan: Plan, epsilon: float, *, accuracy: float | None = None) -> Bound:
    """The delta of `plan` at `epsilon` >= 0; otherwise as `epsilon()`."""
    return _lesser(plan, epsilon, lambda each, at: exact.delta(each, at, accuracy=accuracy), rdp.delta)


def is_exact_alone(plan: Plan) -> bool:
    """Whether nobody but exact is asked: of Gaussian noise rdp knows no more, and exact holds itself against it."""
    return all(type(phase.mechanism) is Gaussian for phase in plan.phases)


def other_delta(plan: Plan, epsilon: float) -> Bound | None:
    """The upper bound on the delta of `plan` at `epsilon` >= 0 that stands in for exact's where it is less; None where
    nobody has one. Guarantee: UPPER, under the assumptions of the plan."""
    return None if is_exact_alone(plan) else _other(rdp.delta, plan, epsilon)


def _lesser(plan: Plan, at: float, ask_exact: Ask, ask_other: Ask) -> Bound:
    if is_exact_alone(plan):
        return costliest(plan, lambda each: ask_exact(each, at))
    try:
        own = costliest(plan, lambda each: ask_exact(each, at))
    except NotCertified as refusal:
        other = _other(ask_other, plan, at)
        if other is None:
            raise
        why = "has no theorem" if isinstance(refusal, NotApplicable) else "proves no figure"
        return _labelled(other, f"an upper bound: exact {why} for all of this plan")
    if own.upper is None or (own.relative_width is not None and own.relative_width <= LOOSE):
        return own
    other = _other(ask_other, plan, at)
    if other is None or other.upper is None or other.upper >= own.upper:
        return own
    if own.lower is not None and own.lower > other.upper:
        said = f"exact proves at least {own.lower!r}, and {other.accountant} {other.upper!r} at most."
        raise InternalError(f"{own.quantity}: {said} This is a bug in dpplan; please report the plan.")
    kept = replace(other, lower=own.lower, guarantee=Guarantee.UPPER if own.lower is None else Guarantee.CERTIFIED)
    return _labelled(kept, f"the lesser upper bound: exact proves {SYMBOLS[own.quantity]} ≤ {up(own.upper)}")


def _other(ask: Ask, plan: Plan, at: float) -> Bound | None:
    try:
        found = costliest(plan, lambda each: ask(each, at))
    except NotCertified:
        return None
    return None if found.upper is None else found


def _labelled(bound: Bound, instead: str) -> Bound:
    return replace(bound, why=f"{bound.why}; {instead}", details={**bound.details, IN_PLACE_OF: instead})
