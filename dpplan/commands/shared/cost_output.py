"""How `dpplan epsilon` and `dpplan delta` show what they computed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dpplan.checks import show as shown
from dpplan.commands.shared import output, unsaid_accountant
from dpplan.commands.shared.cost import Cost
from dpplan.render import bound_text, explanation, limits, plan_rows, to_json

if TYPE_CHECKING:
    from dpplan.compare import AccountantComparison


def show(cost: Cost, explain: bool) -> None:
    call, places = cost.request.call, cost.request.places
    if cost.comparisons:
        _show_every(cost)
    elif cost.proofs:
        _show_proofs(cost)
    else:
        output.answers(list(zip(places, cost.bounds, strict=True)))
        output.say(unsaid_accountant.rows(cost.bounds))
    output.say(plan_rows.spent_before(bound, at) for bound, at in zip(cost.alone, places, strict=False))
    _show_parts(cost)
    output.say(plan_rows.plan_rows(call.plan, call.deltas, earlier=call.earlier, names=call.names))
    if call.public or any(call.accuracies):
        from dpplan.commands.shared import breakdown

        output.say(breakdown.public_rows(call.public))
        output.say(breakdown.accuracy_rows(call.names, call.accuracies))
    if explain:
        for comparison in cost.comparisons:
            explain_comparison(comparison)
        for bound, at in zip(cost.bounds, places, strict=False):
            heading = [bound_text.heading(bound, at)] if len(cost.bounds) > 1 else []
            output.say(["", *heading, *explanation.explanation(bound, at)])
        output.say(explanation.premises([call.plan.assumptions], bool(cost.proofs)))
    output.warn((*call.warnings, *limits.beyond_meaning(cost.bounds)))


def explain_comparison(comparison: "AccountantComparison") -> None:
    """How each accountant came to its figure."""
    for row in comparison.rows:
        if row.bound is not None:
            heading = bound_text.heading(row.bound, comparison.at, named=True)
            output.say(["", heading, *explanation.explanation(row.bound, comparison.at)])


def print_json(cost: Cost, warnings: Sequence[str] | None = None, **more: object) -> None:
    """warnings: in place of those of the call, for a command that has more of them once it knows the figures."""
    call = cost.request.call
    told = (*call.warnings, *limits.beyond_meaning(cost.bounds)) if warnings is None else warnings
    output.as_json(
        to_json.document(
            cost.request.quantity, call.plan, _results(cost), told, **_before(cost), **_of_parts(cost), **more
        )
    )


def _show_every(cost: Cost) -> None:
    from dpplan.render import compare_accountants as render

    quantity = cost.request.quantity
    for comparison in cost.comparisons:
        output.say([f"at {'δ' if quantity == 'epsilon' else 'ε'} = {shown(comparison.at)}"])
        output.show(render.accountants(comparison.rows, timed=False, quantity=quantity))
        output.say([""])


def _show_parts(cost: Cost) -> None:
    """Of a plan file, at each place, what each phase costs."""
    if not cost.parts:
        return
    from dpplan.commands.shared import breakdown

    for at in cost.request.places:
        if len(cost.request.places) > 1:
            output.say(["", f"at {'δ' if cost.request.quantity == 'epsilon' else 'ε'} = {shown(at)}"])
        output.show(breakdown.table([each for each in cost.parts if each.at == at]))
        output.say([""])


def _show_proofs(cost: Cost) -> None:
    from dpplan.render import proof as render

    for at, bound, proof in zip(cost.request.places, cost.bounds, cost.proofs, strict=True):
        output.say([*render.proof(proof, bound, at, output.paint), ""])


def _results(cost: Cost) -> list[dict[str, Any]]:
    deltas, places = cost.request.call.deltas, cost.request.places
    if cost.comparisons:
        at = deltas or (None,) * len(places)
        return [
            each for found, delta in zip(cost.comparisons, at, strict=True) for each in to_json.comparison(found, delta)
        ]
    if cost.request.quantity == "epsilon":
        results = [to_json.spent_epsilon(delta, bound) for delta, bound in zip(deltas, cost.bounds, strict=True)]
    else:
        results = [to_json.spent_delta(at, bound) for at, bound in zip(places, cost.bounds, strict=True)]
    for result, proof, bound in zip(results, cost.proofs, cost.bounds, strict=False):
        result["proof"] = to_json.proof(proof, bound)
    return results


def _of_parts(cost: Cost) -> dict[str, object]:
    """What each phase of a plan file costs, and what the file releases at no cost."""
    call = cost.request.call
    if not call.names:
        return {}
    from dpplan.commands.shared import breakdown

    return {
        "by_phase": breakdown.content(cost.parts),
        "names": list(call.names),
        "public": list(call.public),
        "accuracies": breakdown.accuracies_content(call.names, call.accuracies),
    }


def _before(cost: Cost) -> dict[str, object]:
    """What earlier runs spent."""
    if not cost.alone:
        return {}
    quantity = cost.request.quantity
    other = "delta" if quantity == "epsilon" else "epsilon"
    figures = [
        {other: at, quantity: to_json.figure(bound)} for at, bound in zip(cost.request.places, cost.alone, strict=True)
    ]
    return {"spent_before": {"phases": cost.request.call.earlier, "results": figures}}
