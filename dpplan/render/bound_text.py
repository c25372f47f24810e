"""One privacy figure in words: the headline, what is proven, and the colour of its guarantee."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from dpplan.accounting.bound import SYMBOLS, Bound, Guarantee
from dpplan.checks import show
from dpplan.render.number_format import down, interval, up
from dpplan.render.table import WIDTH, Meaning

__all__ = [
    "SYMBOLS",
    "Paint",
    "figure",
    "guarantee",
    "heading",
    "headline",
    "meaning",
    "proven",
    "relation",
    "unpainted",
    "with_guarantees_painted",
]

Paint = Callable[[str, Meaning], str]
_MEANINGS: Mapping[str, Meaning] = MappingProxyType(
    {"certified": "certified", "upper": "upper", "lower": "lower", "estimate": "estimate"}
)
_NAMED = re.compile(rf"\b(?:{'|'.join(_MEANINGS)})\b")


def unpainted(text: str, meaning: Meaning) -> str:
    return text


def guarantee(bound: Bound, paint: Paint) -> str:
    """What is guaranteed of it, in its colour."""
    return paint(str(bound.guarantee), meaning(bound))


def headline(bound: Bound, at: float, paint: Paint = unpainted) -> str:
    """The figure, where it holds, and what is proven about it. `at`: the delta of an epsilon, or the reverse."""
    symbol = SYMBOLS[bound.quantity]
    other = "δ" if bound.quantity == "epsilon" else "ε"
    stated = f"{symbol} {relation(bound)} {figure(bound)} at {other} = {show(at)}"
    proof = f": {proven(bound)}"
    gap = " " * min(max(35 - len(stated), 2), max(WIDTH - len(stated) - len(bound.guarantee) - len(proof), 2))
    return f"{stated}{gap}{guarantee(bound, paint)}{proof}"


def figure(bound: Bound, digits: int = 6) -> str:
    """The figure to state, at six digits or fewer: rounded up, unless all that is proven is a lower bound."""
    return down(bound.lower, digits) if bound.guarantee is Guarantee.LOWER else up(bound.value, digits)


def relation(bound: Bound) -> str:
    return bound.relation


def proven(bound: Bound) -> str:
    """What is proven about the true value, in a few words."""
    symbol = SYMBOLS[bound.quantity]
    if bound.lower is not None and bound.upper is not None:
        return interval(bound.lower, symbol, bound.upper)
    if bound.upper is not None:
        return f"the true {symbol} is no larger, and may be smaller"
    if bound.lower is not None:
        return f"the true {symbol} is no smaller, and may be larger"
    return f"nothing is proven, the true {symbol} may be larger"


def meaning(bound: Bound) -> Meaning:
    return _MEANINGS[bound.guarantee]


def with_guarantees_painted(lines: Iterable[str], paint: Paint) -> Iterator[str]:
    """Lines, wrapped before, in which each guarantee that is named has its colour."""
    for line in lines:
        yield _NAMED.sub(lambda found: paint(found[0], _MEANINGS[found[0]]), line)


def heading(bound: Bound, at: float, named: bool = False) -> str:
    """Which of several figures is explained below. named: they come from several accountants."""
    other = "δ" if bound.quantity == "epsilon" else "ε"
    return f"  at {other} = {show(at)}" + (f", {bound.accountant}" if named else "")
