"""Reports that the tests of `verify` start from, made of the accountant's own figures, and altered by hand."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dpplan import accounting
from dpplan.plan import Plan
from dpplan.render import to_json

Content = dict[str, Any]
NOISE, RATE, STEPS, DELTA = 4.0, 0.1, 100, 1e-5
PLAN = Plan.from_rate(NOISE, RATE, STEPS)


def figure(plan: Plan = PLAN, delta: float = DELTA) -> Content:
    return to_json.figure(accounting.epsilon(plan, delta))


def report(**changes: Any) -> Content:
    """What `dpplan train` writes, as much of it as a claim rests on. changes: "spent.steps" with dots as __."""
    content = {
        "schema": "dpplan.train/1",
        "recipe": {"name": "x", "sha256": "ab", "privacy": {"noise_multiplier": NOISE, "delta": DELTA}},
        "seeded": False,
        "seed": None,
        "assumptions": {"sampling": "Poisson sampling", "adjacency": "add_remove", "privacy_unit": "example"},
        "planned": {
            "noise_multiplier": NOISE,
            "clip_norm": 1.0,
            "sample_rate": RATE,
            "steps": STEPS,
            "examples": 1000,
            "batch_size": 100.0,
            "delta": DELTA,
            "epsilon": figure(),
        },
        "software": {"dpplan": "0.0.9"},
        "status": "finished",
        "spent": {"steps": STEPS, "lost_steps": 0, "epsilon": figure(), "holds": True},
        "verdict": [{"name": "steps", "planned": "100", "realised": "100", "agrees": True}],
        "not_covered_by_epsilon": {"verdict": [{"name": "noise", "realised": None, "agrees": True}]},
    }
    return altered(content, **changes)


def altered(content: Content, **changes: Any) -> Content:
    """The same with other values: spent__epsilon__upper=1. A value that is ... is taken away."""
    changed = copy.deepcopy(content)
    for path, value in changes.items():
        *above, last = path.split("__")
        holder = changed
        for key in above:
            holder = holder[key]
        if value is ...:
            del holder[last]
        else:
            holder[last] = value
    return changed


def printed(quantity: str = "epsilon", plan: Plan = PLAN, **changes: Any) -> Content:
    """What `dpplan epsilon --json` or `dpplan delta --json` prints."""
    if quantity == "epsilon":
        result: Content = {"accountant": "exact", "delta": DELTA, "epsilon": figure(plan)}
    else:
        result = {"accountant": "exact", "epsilon": 0.5, "delta": to_json.figure(accounting.delta(plan, 0.5))}
    return altered(to_json.document(quantity, plan, [result], []), **changes)


def saved(folder: Path, content: Content | str, name: str = "report.json") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def scaled(key: str, factor: float) -> Callable[[Content], Content]:
    """A figure with one of its ends multiplied."""
    return lambda content: {**content, key: content[key] * factor}
