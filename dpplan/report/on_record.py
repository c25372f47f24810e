"""What the files of a run or a search say of things that a statement is asked for: found there, and never invented.

A file may have been written by an older version or by hand: what is not as it should be is left out.
"""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from dpplan.checks import is_number, show
from dpplan.mechanism import BestOfTrials, DiscreteLaplace
from dpplan.plan import Plan
from dpplan.render.plan_rows import steps_words, trial_lengths
from dpplan.report.other_runs import OtherRuns

ITERATES = "It covers all iterates, every noisy step, and not the final model only."
WINNER = (
    "It covers what the search releases, the winner's setting, its score and its final model, and nothing else: no "
    "other model, and none of the steps on the way."
)
BOTH = "It covers all iterates and every noisy step of what is no search, and of a search its winner alone."
SECRETS = (
    "How many trials there were, how long they took, the settings and scores of the losers and the seed are not "
    "covered by ε: keep them private."
)

ON_RECORD, CONTRADICTED = "On record", "The record contradicts this"  # before what is on record of a field
# Fields that ask whether something else was done, and words that say it was not.
DENIABLE = ("other_accesses", "tuning")
_NOTHING = frozenset(
    {"none", "no", "nothing", "nothing else", "no other", "no other uses", "nil", "n/a", "none known", "not applicable"}
    | {"no others", "no other use", "no other access", "no other accesses", "no other runs", "no tuning"}
)


def coverage(plan: Plan) -> str:
    """What of all that a plan does may be published, in a sentence."""
    searches = [isinstance(phase.mechanism, BestOfTrials) for phase in plan.phases]
    return WINNER if all(searches) else BOTH if any(searches) else ITERATES


def all_at_once(plan: Plan) -> bool:
    """Whether nothing of it is released but at its end, so that there is no ε on the way."""
    return all(isinstance(phase.mechanism, BestOfTrials) for phase in plan.phases)


def lengths(plan: Plan) -> str:
    """How much was done: steps, phases, trials."""
    if len(plan.phases) > 1:
        searches = any(isinstance(phase.mechanism, BestOfTrials) for phase in plan.phases)
        return f"{len(plan.phases)} phases of {steps_words(plan.phases)}{'' if searches else ' in all'}"
    (phase,) = plan.phases
    search = phase.mechanism
    if not isinstance(search, BestOfTrials):
        return _count(plan.steps, "step")
    return f"a search ({search.words}) whose trials are {trial_lengths(search)} each"


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def held_out(content: Mapping[str, Any], run: Mapping[str, Any] | None, search: Mapping[str, Any] | None) -> str:
    """Who was never drawn, and is not protected; "" where nobody was. content: the blocks of the recipe."""
    count = _block(run or {}, "planned").get("held_out_examples")
    share = _block(content, "data").get("held_out")
    if isinstance(count, int) and not isinstance(count, bool):
        whose = _count(count, "held-out example") if count else ""
    else:
        whose = f"the held-out examples (data.held_out {show(share)})" if is_number(share) and share > 0 else ""
    if not whose:
        return ""
    if search is not None and "noise" in str(search.get("score")):
        return f"{whose}, never drawn: of them only the scores tell, whose noise is counted"
    return f"{whose}, never drawn: ε does not cover them, nor what is measured on them"


def silenced(content: Mapping[str, Any]) -> dict[str, str]:
    """Code -> reason of each finding of dpplan check that the recipe lets pass."""
    return {str(code): str(reason) for code, reason in _block(_block(content, "check"), "silence").items()}


def settings(content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Of a recipe, what a reader asks for and a plan does not hold."""
    named = {
        ("privacy", "clip_norm"): "Clip norm",
        ("training", "batch_size"): "Batch",
        ("data", "source"): "Data",
    }
    for (block, key), words in named.items():
        value = _block(content, block).get(key)
        if value is not None:
            yield words, show(value) if is_number(value) else str(value)


def grid(search: Mapping[str, Any]) -> dict[str, list[str]]:
    """Of a search, what was chosen from: key -> values."""
    return {
        str(key): [str(value) for value in values]
        for key, values in _block(search, "grid").items()
        if isinstance(values, list)
    }


def search_facts(search: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a search chose from, by what, and what it released."""
    said = "; ".join(f"{key} from {', '.join(values)}" for key, values in grid(search).items())
    if said:
        yield "Searched", f"{said}; every setting with the same chance"
    if search.get("score"):
        yield "Score", str(search["score"])
    yield "Released", released(search)
    yield "To be kept private", SECRETS


def released(search: Mapping[str, Any]) -> str:
    """The winner: its setting, its score, whether there is a model."""
    won = search.get("winner")
    if not isinstance(won, Mapping):
        return "'none': no trial was made"
    chosen = ", ".join(f"{key} {value}" for key, value in _block(won, "setting").items())
    if won.get("score") is None:
        return f"{chosen}; the best trial failed, so there is no model".removeprefix("; ")
    score = won["score"]
    scored = f"score {show(round(score, 6))}" if is_number(score) else f"score {score}"
    return ", ".join(filter(None, (chosen, scored, "and the final model of that trial" if won.get("model") else "")))


def on_record(
    content: Mapping[str, Any], run: Mapping[str, Any] | None, search: Mapping[str, Any] | None, others: OtherRuns
) -> dict[str, str]:
    """Field of a statement -> what is known of it without anybody stating it."""
    found = {"unprotected": held_out(content, run, search), "other_accesses": others.words}
    if search is not None:
        keys = grid(search)
        chosen = f" ({', '.join(keys)})" if keys else ""
        found["tuning"] = f"by the search that this page is of, whose choice{chosen} ε covers"
        found["released"] = released(search)
    return {key: text for key, text in found.items() if text}


def contradicts(key: str, stated: str, known: str) -> bool:
    """Whether it is stated that there was no such thing, and one is on record."""
    return bool(known) and key in DENIABLE and stated.strip().rstrip(".!").casefold() in _NOTHING


def search_call(search: Mapping[str, Any], plan: Plan) -> str:
    """The call that makes another such search, as far as its report tells."""
    chosen = (f"--grid {key}={shlex.quote(','.join(values))}" for key, values in grid(search).items())
    words = ["dpplan tune RECIPE", *chosen]
    for best in (phase.mechanism for phase in plan.phases if isinstance(phase.mechanism, BestOfTrials)):
        words += [f"--trials {best.law}", f"--mean {show(best.mean)}"]
        words += [f"--eta {show(best.eta)}"] if best.eta is not None else []
        words += [f"--chance {show(best.chance)}"] if best.chance is not None else []
        noise = [each.mechanism.epsilon for each in best.inside if isinstance(each.mechanism, DiscreteLaplace)]
        words.append(f"--score-eps {show(noise[0])}" if noise else "--score-data public")
    return " ".join(words)


def _block(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = content.get(name)
    return found if isinstance(found, Mapping) else {}
