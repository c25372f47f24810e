"""What the values of a report may be, key by key, beside those that a claim is computed from.

A key that is not there is of a version that did not write it. One that is there and holds anything else than dpplan
writes was altered or damaged, and so may the rest be.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from dpplan.checks import Problems
from dpplan.verify import json_fields
from dpplan.verify.json_fields import Object

STATUSES = ("finished", "interrupted", "stopped")
Rule = tuple[Callable[[Any], bool], str]


def _number(least: float = 0.0, most: float = float("inf"), whole: bool = False) -> Callable[[Any], bool]:
    """A finite number above 0, or of at least `least` where that is more; at most `most`."""

    def good(value: Any) -> bool:
        found = json_fields.finite(value)
        return (
            found is not None
            and (found >= least if least else found > 0)
            and found <= most
            and (not whole or found.is_integer())
        )

    return good


def _or_null(rule: Rule) -> Rule:
    return (lambda value: value is None or rule[0](value)), f"{rule[1]} or null"


POSITIVE: Rule = _number(), "a positive number"
COUNT: Rule = _number(1, json_fields.MOST_STEPS, whole=True), "a whole number of at least 1"
OPEN_UNIT: Rule = (lambda value: _number()(value) and value < 1), "in (0, 1)"
TRUTH: Rule = (lambda value: isinstance(value, bool)), "true or false"
TEXT: Rule = (lambda value: isinstance(value, str)), "text"
OBJECT: Rule = (lambda value: isinstance(value, dict)), "an object"
LIST: Rule = (lambda value: isinstance(value, list)), "a list"
STATUS: Rule = (lambda value: isinstance(value, str) and value in STATUSES), " or ".join(STATUSES)

RUN: Mapping[str, Rule] = MappingProxyType(
    {
        "recipe": OBJECT,
        "recipe.privacy": OBJECT,
        "recipe.privacy.noise_multiplier": _or_null(POSITIVE),
        "recipe.privacy.clip_norm": _or_null(POSITIVE),
        "recipe.privacy.delta": _or_null(OPEN_UNIT),
        "recipe.privacy.target_epsilon": _or_null(POSITIVE),
        "recipe.privacy.max_epsilon": _or_null(POSITIVE),
        "seeded": _or_null(TRUTH),
        "planned.clip_norm": POSITIVE,
        "planned.examples": COUNT,
        "planned.batch_size": POSITIVE,
        "planned.target_epsilon": _or_null(POSITIVE),
        "planned.max_epsilon": _or_null(POSITIVE),
        "planned.over_budget": TRUTH,
        "planned.derivation": OBJECT,
        "planned.delta_reason": _or_null(TEXT),
        "software": OBJECT,
        "software.dpplan": TEXT,
        "status": STATUS,
        "message": TEXT,
        "spent.over_budget": TRUTH,
        "spent.holds": TRUTH,
        "spent.note": _or_null(TEXT),
        "agrees_with_plan": TRUTH,
        "verdict": LIST,
        "not_covered_by_epsilon": OBJECT,
        "not_covered_by_epsilon.verdict": LIST,
    }
)
CHECK: Mapping[str, Rule] = MappingProxyType({"name": TEXT, "agrees": TRUTH})
PLAN: Mapping[str, Rule] = MappingProxyType(
    {
        "noise_multiplier": _or_null(POSITIVE),
        "sample_rate": _or_null((_number(0, 1), "in (0, 1]")),
        "steps": COUNT,
        "examples": _or_null(COUNT),
        "batch_size": _or_null(POSITIVE),
        "derivation": OBJECT,
    }
)
RESULT: Mapping[str, Rule] = MappingProxyType({"accountant": TEXT, "refusal": _or_null(TEXT)})
FIGURE: Mapping[str, Rule] = MappingProxyType({"accountant": _or_null(TEXT), "why": _or_null(TEXT)})


def check(problems: Problems, holder: Object, rules: Mapping[str, Rule], above: str = "") -> None:
    """Each value that is there against its rule. above: the path of the holder, ending in a dot."""
    for path, (good, rule) in rules.items():
        found: Any = holder
        for key in path.split("."):
            if not isinstance(found, dict) or key not in found:
                break
            found = found[key]
        else:
            problems.require(good(found), f"{above}{path}={json_fields.shown(found)} is not {rule}.")
