"""The repeat: block of a plan file: how many trials a search makes, and what decides between them."""

from collections.abc import Callable, Mapping
from typing import Any

from dpplan.errors import UsageError
from dpplan.mechanism.trials import LAWS, RELEASED, SCORES, BestOfTrials, Trials
from dpplan.recipe import plan_nodes

# Of a grid that is tried in full a random number of trials claims too little, so it is never what is offered alone.
GRID = "A grid of settings that are all tried is no search: write a phase for each of them, and all are paid."
EXAMPLE = f"Of a random number of trials write repeat: {{law: geometric, mean: 10, score: public}}. {GRID}"
_SCORE = (
    f"score is missing: say whether what decides between trials is public, as a score on public data is, or {RELEASED} "
    "by a phase of each trial. A score on the private data costs, and is neither by itself."
)


def read(
    line: int, node: Any, path: str, found: plan_nodes.PlanProblems
) -> Callable[[tuple[Any, ...]], BestOfTrials] | None:
    """What makes the search of the phases of a trial; None where the block has a problem."""
    if node.id != "mapping":
        said = plan_nodes.spelled(node)
        found.add(line, f"{path}={said} is not a block: it says by which law the number of trials is drawn. {EXAMPLE}")
        return None
    before = len(found.problems)
    given = {key: each for key, *each in plan_nodes.mapping(node, f"{path}.", plan_nodes.REPEAT_KEYS, found)}
    known = {key for key, at, _ in _spelled(node)}
    for key, why in (("law", f"Known: {', '.join(LAWS)}."), ("mean", "It is the expected number of trials.")):
        if key not in known:
            found.add(line, f"{path}.{key} is missing. {why}")
    if "score" not in known:
        found.add(line, f"{path}.{_SCORE}")
    values = _values(given, path, found)
    if len(found.problems) > before:
        return None
    score = values.pop("score")
    for key, law in (("eta", "negative-binomial"), ("chance", "binomial")):
        if key in values and values["law"] != law:
            found.add(given[key][0], f"{path}.{key} is of {law}, and law={values['law']}. Leave it out.")
            return None
    try:
        trials = Trials(**values)
    except UsageError as error:
        for problem in error.problems:
            found.add(line, f"{path}.{problem}")
        return None
    return lambda phases: BestOfTrials.of(trials, phases, score)


def _spelled(node: Any) -> list[tuple[str, int, Any]]:
    return [(plan_nodes.spelled(key), key.start_mark.line + 1, child) for key, child in node.value]


def _values(given: Mapping[str, Any], path: str, found: plan_nodes.PlanProblems) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, (at, child) in given.items():
        if key in ("law", "score"):
            known = LAWS if key == "law" else SCORES
            values[key] = plan_nodes.word(child, at, f"{path}.{key}", known, found)
            if values[key] is None and plan_nodes.spelled(child) in ("fixed", "constant"):
                found.add(at, f"{path}.{key}: of a fixed number of trials no such bound is known. {GRID}")
        else:
            values[key] = plan_nodes.number(child, at, f"{path}.{key}", float, found)
    return values
