"""Why no ε can be claimed of a plan, in its own quantities, and what to do."""

import dataclasses
import math

from dpplan.checks import show
from dpplan.mechanism import Gaussian, kind_of
from dpplan.plan import Plan

USUAL = "Is sigma the noise multiplier, noise over clip norm? Values from 0.3 to 100 are usual."
LARGEST = 0.01  # a δ beyond is no protection, and is not offered
NEXT = 1e-9  # of the chance: what a δ is off that is meant to be just that, by its rounding and the chance's own
SPARE = 1.05  # of the chance: a δ next to it allows an ε, but a huge one


def below_floor(who: str, delta: float, chance: float) -> str:
    """who: the accountant or the figure that is refused. chance: of what gives a record away, δ or more."""
    away = f"the chance, {chance:.3g}, of an outcome that gives a record away altogether, which no ε covers"
    if delta >= chance * (1.0 - NEXT):  # an ε may suffice at just that δ, of which nothing is left to prove it with
        return f"{who}: delta={show(delta)} leaves nothing beside {away}. {_remedy(chance)}"
    return f"{who}: delta={show(delta)} is less than {away}. {_remedy(chance)}"


def of_winner(delta: float, least: float) -> str:
    """Of a plan with a search. least: the δ below which the profile of one trial proves nothing of the winner."""
    return (
        f"exact: delta={show(delta)} is no more than {least:.3g}, the least δ that the profile of one trial proves of "
        "the winner of so many. Ask at a larger --delta, expect fewer trials, or try --accountant rdp."
    )


def _remedy(chance: float) -> str:
    least = SPARE * chance
    if least > LARGEST:
        return "Lower that chance: by more noise, a higher threshold, or a smaller delta that is stated."
    unit = 10.0 ** math.floor(math.log10(least))
    return f"Ask at a larger --delta, such as {math.ceil(least / unit) * unit:.1g}, or lower that chance."


def no_upper_end(who: str, plan: Plan, lower: float) -> str:
    """Where an ε may exist, and none could be computed. lower: what is proven from below."""
    beyond = f", beyond {lower:.3g}" if lower > 0.0 else ""
    said = f"{who}: no upper end could be proven{beyond}: it may be too large for a float."
    if {type(phase.mechanism) for phase in plan.phases} == {Gaussian}:
        return f"{said} {USUAL}"
    phase = plan.only_phase if len(plan.phases) == 1 else None
    if phase is None:
        return f"{said} Is the noise of each phase meant so? Ask for the phases one by one, or --accountant rdp."
    settings = dataclasses.asdict(phase.mechanism).items()  # type: ignore[call-overload]
    given = ", ".join(f"{name}={show(value)}" for name, value in settings if value not in (None, ()))
    return f"{said} Is {kind_of(phase.mechanism)} meant so: {given}? --accountant rdp may bound it."
