"""A plan in the words of another library: JSON, one object."""

import json
from collections.abc import Sequence

from dpplan.errors import NotApplicable
from dpplan.interop import dp_event, jax_plan, opacus_state
from dpplan.plan import Plan
from dpplan.render import to_json

_WRITERS = {"opacus": opacus_state.write, "dp-accounting": dp_event.write, "jax-privacy": jax_plan.write}


def text(library: str, plan: Plan) -> str:
    """Raises NotApplicable where the library has no word for the plan."""
    try:
        found = _WRITERS[library](plan)
    except NotApplicable as refusal:
        raise NotApplicable(f"{str(refusal).rstrip('.')}.") from None
    return f"{to_json.dumps(found, indent=2)}\n"


def warnings(library: str, plan: Plan) -> tuple[str, ...]:
    """What the text does not say of the plan."""
    told = opacus_state.not_carried(plan) if library == "opacus" else ""
    if library == "dp-accounting":
        told = dp_event.misread(plan)
    return (told,) if told else ()


def document(library: str, plan: Plan, text: str, warnings: Sequence[str]) -> to_json.Object:
    """The same text in an object, with the plan it was made of. holds: what it says, where it is JSON."""
    holds = json.loads(text) if library in _WRITERS else None
    return to_json.document("export", plan, [], warnings, to=library, text=text, holds=holds)
