"""The most examples of one user for a target, in words and as JSON."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dpplan.checks import show
from dpplan.plan import Delta
from dpplan.render import plan_rows, to_json
from dpplan.render.bound_text import Paint, figure, guarantee, unpainted
from dpplan.render.number_format import up_within

if TYPE_CHECKING:
    from dpplan.solve.max_per_user import MaxPerUser


def lines(found: "MaxPerUser", delta: Delta, paint: Paint = unpainted) -> Iterator[str]:
    """The number, what it spends of the target, and what one more would."""
    proof, within = guarantee(found.spent, paint), up_within(found.spent.value, found.target)
    yield f"examples per user = {found.value}        spends ε ≤ {within} of {show(found.target)} ({proof})"
    yield ""
    yield from plan_rows.plan_rows(found.plan, [plan_rows.with_its_reason(delta)], earlier=len(found.plan.phases) - 1)
    if found.above is not None:
        yield ""
        yield f"  {'next':<19}{found.value + 1} would spend ε ≤ {figure(found.above)}"
    elif found.value == found.most:
        why = "there are no more examples" if found.plan.examples == found.most else "more are not looked for"
        yield ""
        yield f"  {'next':<19}none: {why}"


def described(found: "MaxPerUser", delta: Delta) -> to_json.Object:
    above = None if found.above is None else {"value": found.value + 1, "epsilon": to_json.figure(found.above)}
    return {
        "unknown": "max_per_user",
        "value": found.value,
        "target_epsilon": found.target,
        "other_way": above,
        **to_json.spent_epsilon(delta, found.spent),
    }
