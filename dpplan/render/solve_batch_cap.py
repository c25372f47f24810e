"""The smallest cap that costs little: what it costs, what it saves, and how often it cuts."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dpplan.accounting.bound import Bound
from dpplan.checks import show
from dpplan.plan import Delta
from dpplan.render import plan_rows, to_json
from dpplan.render.bound_text import Paint, figure, guarantee, unpainted
from dpplan.render.number_format import up
from dpplan.render.table import wrapped

if TYPE_CHECKING:
    from dpplan.solve.batch_cap import Cap


def lines(found: "Cap", delta: Delta, paint: Paint = unpainted) -> Iterator[str]:
    """The cap, what it costs, and what the plan rests on."""
    yield f"cap = {found.value}        spends {_spends(found.spent)} ({guarantee(found.spent, paint)})"
    yield ""
    yield plan_rows.row("without a cap", _spends(found.uncut), guarantee(found.uncut, paint))
    yield plan_rows.row("cost of the cap", f"{up(100 * found.cost, 2)} %", "of ε, from above")
    yield plan_rows.row("batch", show(float(f"{found.mean_batch:.6g}")), "on average, before cuts")
    yield plan_rows.row(
        "memory", f"{found.value} examples", f"at most, {found.value / found.mean_batch:.3g} × the batch"
    )
    per_run = f"{up(found.cut_batches, 2)} of the run's {found.plan.phases[-1].steps}"
    yield plan_rows.row("batches cut", f"{up(100 * found.chance_cut, 2)} %", f"from above, about {per_run}")
    yield from plan_rows.plan_rows(found.plan, [plan_rows.with_its_reason(delta)], earlier=len(found.plan.phases) - 1)
    if found.below is not None:
        yield ""
        yield f"  {'next':<19}cap {found.value - 1} would spend {_spends(found.below)}"
    yield from wrapped(
        "Only caps from the mean batch up are looked at: far below it ε falls again, and most of the data waits.",
        indent=2,
    )


def _spends(bound: Bound) -> str:
    return f"ε ≤ {figure(bound)}"


def described(found: "Cap", delta: Delta) -> to_json.Object:
    return {
        "unknown": "cap",
        "value": found.value,
        "cost": found.cost,
        "without_cap": to_json.figure(found.uncut),
        "chance_cut": found.chance_cut,
        "cut_batches": found.cut_batches,
        "mean_batch": found.mean_batch,
        "other_way": None
        if found.below is None
        else {"value": found.value - 1, "epsilon": to_json.figure(found.below)},
        **to_json.spent_epsilon(delta, found.spent),
    }
