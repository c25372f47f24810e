"""Results as JSON. Every figure is unrounded and carries its guarantee; what has no bound is null.

A command's object has `schema` ("dpplan.epsilon/1"; the number rises when a key changes its meaning or goes),
`plan`, `assumptions`, `results` and `warnings`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dpplan.accounting.bound import Bound
from dpplan.plan import Delta, Plan, Setting
from dpplan.plan_json import plan_to_json
from dpplan.render import proof as proofs
from dpplan.visible_text import visible_json

if TYPE_CHECKING:
    from dpplan.accounting.exact.prove import Proof
    from dpplan.compare.accountants import AccountantComparison
    from dpplan.curve import Curves

Object = dict[str, Any]


def figure(bound: Bound) -> Object:
    """A privacy figure: unrounded, null where there is no bound."""
    return {
        "lower": bound.lower,
        "upper": bound.upper,
        "estimate": bound.estimate,
        "guarantee": str(bound.guarantee),
        "accountant": bound.accountant,
        "assumptions": str(bound.assumptions),
        "why": bound.why,
    }


def document(command: str, plan: Plan, results: Sequence[Object], warnings: Sequence[str], **more: object) -> Object:
    """The object one command prints."""
    return {
        "schema": f"dpplan.{command}/1",
        "plan": described(plan),
        "assumptions": plan.assumptions.to_json(),
        "results": list(results),
        "warnings": list(warnings),
        **more,
    }


def described(plan: Plan) -> Object:
    """The plan. A quantity that differs between phases is null at the top and stands in its phase."""
    return {
        **{name: _shared(plan, name) for name in dict.fromkeys(name for each in plan.phases for name in each.settings)},
        "steps": plan.steps,
        **plan_to_json(plan),
    }


def spent_epsilon(delta: Delta, bound: Bound) -> Object:
    """One epsilon at a delta."""
    return {
        "accountant": bound.accountant,
        "delta": delta.value,
        "delta_reason": delta.reason,
        "epsilon": figure(bound),
        "details": dict(bound.details),
    }


def spent_delta(epsilon: float, bound: Bound) -> Object:
    """One delta at an epsilon."""
    return {
        "accountant": bound.accountant,
        "epsilon": epsilon,
        "delta": figure(bound),
        "details": dict(bound.details),
    }


def comparison(answer: "AccountantComparison", delta: Delta | None = None) -> list[Object]:
    """Every accountant's figure beside the exact one, or why it has none, and the seconds it took.

    delta: what the epsilons are at, with its reason.
    """
    at = {"epsilon": answer.at} if delta is None else {"delta": delta.value, "delta_reason": delta.reason}
    return [
        {
            "accountant": row.accountant,
            **at,
            answer.quantity: None if row.bound is None else figure(row.bound),
            "refusal": row.refusal,
            "ratio_to_exact": row.ratio,
            "under_reports": row.under_reports,
            "details": {} if row.bound is None else dict(row.bound.details),
            "seconds": row.seconds,
        }
        for row in answer.rows
    ]


def curves(drawn: "Curves") -> Object:
    """The points of a plot: for each accountant a figure at each x, null where it refused."""
    return {
        "x_name": drawn.x_name,
        "x": list(drawn.x),
        "series": {
            name: [None if bound is None else figure(bound) for bound in bounds]
            for name, bounds in drawn.series.items()
        },
    }


def proof(proved: "Proof", fast: Bound) -> Object:
    """A proof: its ends with all their digits, as text, since a float holds fewer. fast: the figure without proof."""
    return {
        "lower": proved.lower_digits,
        "upper": proved.upper_digits,
        "digits": proved.digits,
        "within_certified": proofs.within(proved, fast),
        "terms": dict(proved.terms),
        "precision_bits": proved.precision_bits,
        "seconds": proved.seconds,
    }


def dumps(content: Any, indent: int | None = None, ascii_only: bool = False) -> str:
    """Strict JSON: numbers that are not finite become null. What cannot be seen in a text is escaped as JSON has it."""
    import json  # text output does without it

    return visible_json(json.dumps(_finite(content), indent=indent, ensure_ascii=ascii_only, allow_nan=False))


def _shared(plan: Plan, name: str) -> Setting:
    values = {phase.settings.get(name) for phase in plan.phases}
    return values.pop() if len(values) == 1 else None


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
