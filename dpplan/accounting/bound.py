"""A privacy figure and what is known about it. No accountant returns a bare number."""

import enum
import math
from collections.abc import Mapping
from dataclasses import field, replace
from types import MappingProxyType
from typing import Literal

from dpplan import notebook
from dpplan.accounting.numerics import outward
from dpplan.checks import show
from dpplan.plan_assumptions import Assumptions
from dpplan.quick_dataclass import dataclass
from dpplan.rounding import down, ends, up

Quantity = Literal["epsilon", "delta"]
# What every certified interval is widened by at either end, relative, on top of what was proven: nobody signs the
# tenth digit, and a width of 1e-13 would stake the claim on the last rounding that nobody thought of. Ball arithmetic
# (accounting/exact/prove) does without it.
FLOOR = 1e-9
SYMBOLS = {"epsilon": "ε", "delta": "δ"}
IN_PLACE_OF = "in_place_of"  # among a bound's details: what exact had to say, where another's upper end is stated
# Below this relative width an interval settles the six digits of a headline, and "=" is the truth.
_SETTLED = 1e-5


class Guarantee(enum.StrEnum):
    """What a figure promises about the true value."""

    CERTIFIED = "certified"  # lower <= truth <= upper, both proven
    UPPER = "upper"  # truth <= upper, proven
    LOWER = "lower"  # lower <= truth, proven
    ESTIMATE = "estimate"  # nothing is proven


# What each promises, in a sentence for whoever reads one figure.
PROMISES: Mapping[Guarantee, str] = MappingProxyType(
    {
        Guarantee.CERTIFIED: "lower ≤ truth ≤ upper: both ends are proven",
        Guarantee.UPPER: "truth ≤ upper: safe to claim, and may be far too large",
        Guarantee.LOWER: "lower ≤ truth: what a plan cannot do; never a claim of privacy",
        Guarantee.ESTIMATE: "nothing is proven: the truth may be larger",
    }
)


@dataclass(frozen=True, slots=True)
class Bound:
    """What one accountant says about one epsilon or delta.

    lower, upper: proven bounds, None where there is none. An ESTIMATE has neither.
    estimate: a value with no proof; only an ESTIMATE has one.
    why: a sentence on how the figure came about, or on what limits it.
    details: what the accountant chose on the way (orders, splits, error terms), for --explain and --json.
    at: where the figure holds, the delta of an epsilon or the epsilon of a delta, where that is known. Not compared.
    """

    quantity: Quantity
    lower: float | None
    upper: float | None
    guarantee: Guarantee
    accountant: str
    assumptions: Assumptions
    why: str = ""
    estimate: float | None = None
    details: Mapping[str, object] = field(default_factory=dict)
    at: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        needs = {
            Guarantee.CERTIFIED: self.lower is not None and self.upper is not None and self.estimate is None,
            Guarantee.UPPER: self.upper is not None and self.estimate is None,
            Guarantee.LOWER: self.lower is not None and self.upper is None and self.estimate is None,
            Guarantee.ESTIMATE: self.lower is None and self.upper is None and self.estimate is not None,
        }
        if not needs[self.guarantee]:
            raise ValueError(f"a {self.guarantee.name} bound cannot hold {self.lower=} {self.upper=} {self.estimate=}")
        if self.lower is not None and self.upper is not None and not self.lower <= self.upper:
            raise ValueError(f"lower={self.lower} is not at most upper={self.upper}")

    @property
    def value(self) -> float:
        """The figure to state: the upper bound where there is one, else the lower bound or the estimate."""
        for figure in (self.upper, self.lower, self.estimate):
            if figure is not None:
                return figure
        raise AssertionError("a Bound always holds a figure")

    @property
    def relative_width(self) -> float | None:
        """(upper - lower) / upper for a certified interval; 0 when it is the single point 0."""
        if self.lower is None or self.upper is None:
            return None
        return (self.upper - self.lower) / self.upper if self.upper > 0 else 0.0

    @property
    def proven(self) -> tuple[float, float]:
        """The ends of a certified interval as they were proven, before FLOOR was added."""
        ends = self.details.get("proven", (self.lower, self.upper))
        if not isinstance(ends, tuple) or None in ends:
            raise ValueError(f"a {self.guarantee.name} bound has no two proven ends")
        return ends

    @property
    def proven_width(self) -> float:
        """`relative_width` of the proven ends."""
        lower, upper = self.proven
        return (upper - lower) / upper if upper > 0 else 0.0

    @property
    def stands_in(self) -> bool:
        """Whether the upper end is another accountant's, in place of exact's, which nobody asked for by name."""
        return IN_PLACE_OF in self.details

    @property
    def relation(self) -> str:
        """What stands between the quantity and the figure to state: "=" only where six digits are settled."""
        if self.guarantee is Guarantee.CERTIFIED:
            return "=" if self.relative_width is not None and self.relative_width <= _SETTLED else "≤"
        return {Guarantee.UPPER: "≤", Guarantee.LOWER: "≥", Guarantee.ESTIMATE: "≈"}[self.guarantee]

    @property
    def headline(self) -> str:
        """The figure at six digits, rounded to the safe side, and where it holds: ε = 2.38169 at δ = 1e-05."""
        figure = down(self.lower) if self.guarantee is Guarantee.LOWER else up(self.value)
        stated = f"{SYMBOLS[self.quantity]} {self.relation} {figure}"
        other = SYMBOLS["delta" if self.quantity == "epsilon" else "epsilon"]
        return stated if self.at is None else f"{stated} at {other} = {show(self.at)}"

    def _repr_html_(self) -> str:
        """What a notebook shows: the figure, its guarantee, and what it takes for granted."""
        proven = PROMISES[self.guarantee]
        if self.lower is not None and self.upper is not None:
            left, right = ends(self.lower, self.upper)
            proven = f"{left} ≤ {SYMBOLS[self.quantity]} ≤ {right}"
        rows = [(str(self.guarantee), proven), ("assumes", self.assumptions), ("accountant", self.accountant)]
        return notebook.table(self.headline, rows)

    def __str__(self) -> str:
        symbol = SYMBOLS[self.quantity]
        # Every digit: a rounded upper bound could claim more than was proven.
        if self.guarantee is Guarantee.CERTIFIED:
            return f"{self.lower!r} ≤ {symbol} ≤ {self.upper!r} (certified; {self.assumptions})"
        return f"{symbol} {self.relation} {self.value!r} ({self.guarantee}; {self.assumptions})"


def cells(bound: Bound | None, refusal: str = "") -> tuple[str, str]:
    """Of a table in a notebook: the figure, rounded to the safe side, and its guarantee; a dash and why."""
    return ("-", refusal) if bound is None else (replace(bound, at=None).headline, str(bound.guarantee))


def widened(quantity: Quantity, lower: float, upper: float) -> tuple[float, float]:
    """Proven ends with FLOOR added on either side, rounded outward. A figure of 0 stays 0, a delta at most 1."""
    lower = max(math.nextafter(outward.down(lower, FLOOR), -math.inf), 0.0)
    upper = math.nextafter(outward.up(upper, FLOOR), math.inf) if upper > 0.0 else upper
    return lower, min(upper, 1.0) if quantity == "delta" else upper
