"""Why a figure is not within a limit, or passes it unproven: --max-eps, --accept-estimate, and 1/n."""

from collections.abc import Sequence

from dpplan.accounting.bound import Bound, Guarantee
from dpplan.checks import show
from dpplan.quantities import MEANINGLESS_EPSILON
from dpplan.render.bound_text import figure, proven, relation
from dpplan.render.number_format import down, up
from dpplan.rounding import down_above, near_at_most


def exceeded(bound: Bound, at: float, most: float) -> str:
    """Why a claim is not within --max-eps, with the digits it takes to see that."""
    if bound.lower is not None and bound.lower > most:
        # Rounded up the figure is above the limit in any case; what is proven is so only where this one is.
        stated = figure(bound) if float(down(bound.lower)) > most else ""
        relation_ = relation(bound) if stated else "≥"
        return (
            f"ε {relation_} {stated or down_above(bound.lower, most)} at δ = {show(at)} exceeds --max-eps {show(most)}."
        )
    stated = f"ε {relation(bound)} {up(bound.value)} at δ = {show(at)}"
    if bound.lower is not None:
        return f"{stated} is not proven to be within --max-eps {show(most)}, nor to exceed it: {proven(bound)}."
    over = f"{stated} exceeds --max-eps {show(most)}."
    if bound.guarantee is Guarantee.UPPER:
        other = "" if bound.accountant == "exact" or bound.stands_in else "; --accountant exact may prove less"
        return f"{over}\n  This is an upper bound by {bound.accountant}{other}."
    return over


def unproven(bound: Bound, at: float, most: float) -> str:
    """Why a figure below --max-eps does not pass."""
    if bound.guarantee is Guarantee.ESTIMATE:
        return (
            f"ε ≈ {figure(bound)} at δ = {show(at)} is an estimate by {bound.accountant}: it proves nothing, and so is "
            f"not within --max-eps {show(most)}.\n  Use --accountant exact, or say --accept-estimate."
        )
    return (
        f"ε ≥ {figure(bound)} at δ = {show(at)} is a lower bound by {bound.accountant}: nothing proves that ε is "
        f"within --max-eps {show(most)}.\n  Use --accountant exact."
    )


def accepted(bound: Bound, at: float) -> str:
    """The warning beside an estimate that was let through."""
    return (
        f"ε ≈ {figure(bound)} at δ = {show(at)} is an estimate by {bound.accountant} and was accepted as one: nothing "
        "is proven, and the true ε may be larger."
    )


LARGEST_DELTA = 0.1  # from there on an ε is no limit of anything, of however few examples


def no_privacy(delta: float, most: float) -> str | None:
    """Why no ε at this δ is within --max-eps; None where δ may do. One that is not below 1/n is warned of elsewhere."""
    if delta <= LARGEST_DELTA:
        return None
    return (
        f"delta={show(delta)} is no privacy, and so not within --max-eps {show(most)}: with that chance everything may "
        "be published, whatever ε is.\n  Give a --delta far below 1/n; with --n and no --delta it is chosen so."
    )


NO_EXAMPLES = "give --n to hold δ against it"


def above_one_in(bound: Bound, at: float, examples: int | None) -> str | None:
    """The warning for a δ, the answer at the ε `at`, that is not proven to be below 1/n; None where it is, or no n."""
    if examples is None or bound.value < 1 / examples:
        return None
    where, limit = f"δ {relation(bound)} {figure(bound)} at ε = {show(at)}", 1 / examples
    why = "publishing a whole record at random would satisfy it"
    if bound.lower is not None and bound.lower < limit:
        return f"{where} is not proven to be below 1/n = {near_at_most(limit, float(figure(bound)))}: {why}."
    remedy = "Ask at a larger ε, add noise, or take fewer steps."
    return f"{where} is not below 1/n = {near_at_most(limit, float(figure(bound)))}: {why}. {remedy}"


def beyond_meaning(bounds: Sequence[Bound]) -> tuple[str, ...]:
    """A sentence where an ε is so large that it promises nothing."""
    found = [bound.value for bound in bounds if bound.quantity == "epsilon" and bound.value is not None]
    if not max(found, default=0.0) > MEANINGLESS_EPSILON:
        return ()
    return (f"an ε of {up(max(found), 4)} rules out no attack at all (dpplan check --explain DP002).",)
