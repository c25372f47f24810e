"""What a page says of audits: of canaries in plain words; what rests on members, or on losses, where it is private.

What a gradient canary's score is made of, its own coordinate of each noisy sum, no real example moves: the verdict on
such canaries costs the data nothing. Losses of the last model, on mislabelled examples or on members, do not have that.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dpplan.audit import on_file
from dpplan.checks import is_number, show
from dpplan.render.number_format import down, up

WATCH = "watch.private.json"  # of dpplan train --watch
MOST_AT_RISK = 5  # examples of a watch that are listed
RUN, MEMBERS = on_file.SCHEMAS
RESTS = (
    "It rests on canaries that were made up, each put in or left out by a fair coin, and on what the run measured of "
    "itself; no real example moves a gradient canary's score. It does not prove the plan: an attack sees a part."
)
SPENT = (
    "That run had the plan's ε of its own, on the same data, which no figure here counts: whoever publishes more of it "
    "than this verdict, or what losses said in it, spends that, too."
)


class AuditSentence(NamedTuple):
    """violation: whether it says that something is not as planned."""

    violation: bool
    text: str


def beside_run(folder: Path) -> tuple[tuple[Mapping[str, Any], ...], list[str]]:
    """Every audit that lies in a run's folder and can be told, and where its files hold what is none."""
    canaries, members = on_file.sound(folder / on_file.CANARIES), on_file.sound(folder / on_file.MEMBERS)
    return (*canaries[0], *members[0]), [*canaries[1], *members[1]]


def watched(folder: Path | None) -> Mapping[str, Any]:
    """What a memorisation watch left in a run's folder; empty where there is none that can be read."""
    try:
        found = json.loads((folder / WATCH).read_text(encoding="utf-8")) if folder is not None else {}
    except (OSError, ValueError, RecursionError):
        return {}
    examples = found.get("examples") if isinstance(found, dict) else None
    sound = isinstance(examples, list) and all(isinstance(each, dict) and _is_at_risk(each) for each in examples)
    return found if sound else {}


def _is_at_risk(example: Mapping[str, Any]) -> bool:
    return is_number(example.get("example")) and is_number(example.get("risk"))


def by_canaries(audits: tuple[Mapping[str, Any], ...], sha256: str) -> list[AuditSentence]:
    """Of the audits of this recipe, a sentence or two for each; how many are of another one."""
    canaries = [each for each in audits if each["schema"] == RUN]
    mine = [each for each in canaries if each["recipe"]["sha256"] == sha256]
    said = [AuditSentence(each["verdict"] == "violation", _words(each)) for each in mine]
    if others := len(canaries) - len(mine):
        which = "1 audit is" if others == 1 else f"{others} audits are"
        said.append(AuditSentence(False, f"{which} on file of a recipe that runs something else, and not told here."))
    return said


def violations(audits: tuple[Mapping[str, Any], ...], sha256: str) -> list[str]:
    """A sentence for each audit of this recipe that found it not as planned. Of members no figure is told: that is
    private."""
    found = [each for each in audits if each["verdict"] == "violation" and each["recipe"]["sha256"] == sha256]
    return [
        _words(each)
        if each["schema"] == RUN
        else f"VIOLATION: an audit of {each['when'][:10]}, by attacks on members, found more than its plan allows."
        for each in found
    ]


def _words(audit: Mapping[str, Any]) -> str:
    gradient = [found for kind, found in audit["scores"].items() if kind.startswith("gradient")]
    count = max((found.get("canaries", 0) for found in gradient), default=0)
    day, seeded = audit["when"][:10], " Its coins and noise came from a seed." if audit.get("seed") is not None else ""
    which = f"an audit of {day}, by a run of this recipe with {count} gradient canaries that was thrown away"
    if audit["verdict"] == "violation":
        wrong = [f"{kind} scores" for kind, found in audit["scores"].items() if found.get("verdict") == "violation"]
        wrong += [name for name, agrees in audit.get("measured", {}).items() if not agrees]
        return f"VIOLATION: {which}, found it not as planned, by {'; '.join(wrong)}. {SPENT}{seeded}"
    bounds = [found for found in gradient if is_number(found.get("epsilon_lower"))]
    proven = ""
    if bounds:
        best = max(bounds, key=lambda found: float(found["epsilon_lower"]))
        claim = (best.get("claim") or {}).get("epsilon_upper")
        claimed = f" of ε ≤ {up(claim, 6)} claimed" if is_number(claim) else ""
        proven = f" It proves ε ≥ {down(float(best['epsilon_lower']), 3)}{claimed} at δ = {show(best['delta'])}."
    sure = f", with confidence {show(audit['confidence'])}" if is_number(audit.get("confidence")) else ""
    return f"Consistent: {which}, found nothing that the plan does not allow{sure}.{proven} {RESTS} {SPENT}{seeded}"


def private(audits: tuple[Mapping[str, Any], ...], sha256: str, watch: Mapping[str, Any]) -> dict[str, Any]:
    """What rests on members, or on losses of a model: of the same recipe."""
    mine = [each for each in audits if each["recipe"]["sha256"] == sha256]
    found: dict[str, Any] = {}
    for number, each in enumerate(mine, 1):
        name = f"audit {number}, {each['when'][:10]}"
        found.update({f"{name}, {kind}": text for kind, text in _private(each)})
    risky = watch.get("examples")
    if isinstance(risky, list) and risky:
        rows = (f"{each['example']} ({each['risk']:.3g})" for each in risky[:MOST_AT_RISK])
        found["memorisation watch, most at risk"] = f"{', '.join(rows)} of {len(risky)} examples"
    return found


def _private(audit: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if audit["schema"] == RUN:
        for kind, each in audit["scores"].items():
            if not kind.startswith("gradient"):
                yield kind, f"{each['verdict']}, ε ≥ {down(float(each['epsilon_lower']), 3)}"
        return
    for name, each in audit["attacks"].items():
        rates = ", ".join(
            f"TPR {rate['true_positive_rate']:.3g} at FPR {show(rate['false_positive_rate'])}"
            for rate in each["rates"]
            if rate["true_positive_rate"] is not None  # where there are too few to tell
        )
        yield f"members, {name}", f"{audit['verdict']}; area {each['area']:.3g}; {rates}"
