"""What the report of a run says about itself: whether it did as planned, and why nothing may be claimed of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from dpplan.checks import Problems, show
from dpplan.rounding import up
from dpplan.verify import allowed_report_values, json_fields
from dpplan.verify.json_fields import Object

# What of a run's verdict says that the mechanism was not the planned one.
_MECHANISM = ("batch sizes", "empty batches", "example counts", "user counts", "participation", "noise", "denominator")
_EARLY = ("interrupted", "stopped")


def outcome(
    problems: Problems, content: Object, planned: int | None, taken: int | None
) -> tuple[str, tuple[str, ...], list[str]]:
    """Why no figure can be claimed at all, why the mechanism may not be the planned one, and what is worth knowing.

    planned, taken: the steps, None where the report does not say.
    """
    checks = list(_checks(problems, content))
    wrong = [name for name, agrees in checks if not agrees]
    doubts = [f"the report itself says that its {name} disagreed" for name in wrong if name in _MECHANISM]
    spent, status, agrees = content.get("spent"), content.get("status"), content.get("agrees_with_plan")
    broken = ""
    if content.get("seeded") or content.get("seed") is not None:
        broken = "the run had a seed: whoever knows it can subtract the noise"
    elif isinstance(spent, dict) and spent.get("holds") is False:
        doubts.append("the report itself says that what it spent does not hold")
    if planned is not None and taken is not None:
        as_planned = [*_said("agrees_with_plan=true", agrees is True), *_said("its verdict", ("steps", True) in checks)]
        ended = [*_said("status=finished", status == "finished"), *as_planned]
        if taken < planned and ended:
            problems.add(f"spent.steps={taken} contradicts {' and '.join(ended)}: planned.steps={planned}.")
        elif taken > planned and as_planned:
            doubts.append(f"the report says that it did as planned, and took {taken} steps of {planned}")
    if agrees is True and (wrong or status not in (None, "finished")):
        what = f"its {wrong[0]} disagreed" if wrong else f"status={json_fields.shown(status)}"
        problems.add(f"agrees_with_plan=true contradicts the rest of the report: {what}.")
    if agrees is False and status == "finished" and not wrong:
        doubts.append("the report itself says that the run did not agree with its plan, and not in what")
    as_it_says = _disagreement(content, wrong)
    return broken, tuple(doubts), list(filter(None, [as_it_says, lost_steps(spent), over_budget(content)]))


def lost_steps(spent: object) -> str:
    """How many of the steps that were spent are not in the model, as a sentence; "" where all are, as far as known."""
    taken, lost = (spent.get("steps"), spent.get("lost_steps")) if isinstance(spent, dict) else (None, None)
    if type(taken) is not int or type(lost) is not int or not 0 < lost <= taken:
        return ""
    them = (
        "is not in the model: an interruption lost it"
        if lost == 1
        else "are not in the model: an interruption lost them"
    )
    return f"{lost} of the {taken} steps that were spent {them}."


def over_budget(content: Mapping[str, Any]) -> str:
    """That a run spent more than its recipe allows, or that its plan would, as a sentence; "" where neither did.

    By the figures of the report too, whatever it says of itself.
    """
    planned, spent = (content.get(key) for key in ("planned", "spent"))
    most = json_fields.finite(planned.get("max_epsilon")) if isinstance(planned, dict) else None
    allowed = "than was planned" if most is None else f"than its budget of ε ≤ {show(most)}"
    delta = json_fields.finite(planned.get("delta")) if isinstance(planned, dict) else None
    at = "" if delta is None else f" at δ = {show(delta)}"
    for block, what in ((spent, "the run spent more"), (planned, "the steps that were planned cost more")):
        if not isinstance(block, dict):
            continue
        figure = block.get("epsilon")
        upper = json_fields.finite(figure.get("upper")) if isinstance(figure, dict) else None
        more = most is None or upper is None or upper > most
        if not more and block.get("over_budget") is True:
            return "over its budget, as the report itself says, although its figures are within it."
        if block.get("over_budget") is True or (more and most is not None and upper is not None):
            figure_told = "" if upper is None else f": ε ≤ {up(upper, 6)}{at}"
            return f"over its budget: {what} {allowed}{figure_told}."
    return ""


def _said(words: str, whether: bool) -> list[str]:
    return [words] if whether else []


def _checks(problems: Problems, content: Object) -> Iterator[tuple[str, bool]]:
    """What was held against the plan, and whether it agreed."""
    outside = content.get("not_covered_by_epsilon")
    for above, holder in (("", content), ("not_covered_by_epsilon.", outside)):
        listed = holder.get("verdict") if isinstance(holder, dict) else None
        for number, each in enumerate(listed if isinstance(listed, list) else ()):
            path = f"{above}verdict[{number}]"
            if not isinstance(each, dict):
                problems.add(f"{path}={json_fields.shown(each)} is not an object.")
                continue
            allowed_report_values.check(problems, each, allowed_report_values.CHECK, f"{path}.")
            yield str(each.get("name")), each.get("agrees") is not False


def ending(content: Object, planned: int | None, taken: int | None) -> str:
    """How the run ended, where that was not as planned, as the report tells it; "" of all else."""
    if content.get("status") not in _EARLY:
        return ""
    return f"the report says that the run was {content['status']}{why(content)}: {taken} of {planned} steps."


def why(content: Object) -> str:
    """For what a run ended early, in brackets; "" where its report does not say."""
    status, message = content.get("status"), content.get("message")
    told = status in _EARLY and isinstance(message, str) and message not in ("", status)
    return f" ({message})" if told else ""


def _disagreement(content: Object, wrong: list[str]) -> str:
    if content.get("status") in _EARLY or content.get("agrees_with_plan") is not False:
        return ""
    named = f" ({', '.join(wrong)})" if wrong else ""
    return f"the report itself says that the run did not do as planned{named}."
