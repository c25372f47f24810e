"""A plan in the words of another library: JSON, one object."""

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
