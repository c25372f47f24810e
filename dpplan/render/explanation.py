"""--explain: how a figure came about, its errors, and what all proven figures assume."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

from dpplan.accounting.assumptions import BALL_ARITHMETIC, BOUNDED, CERTIFICATE, KINDS, NEIGHBOURS
from dpplan.accounting.bound import FLOOR, Bound
from dpplan.adjacency import ADD_REMOVE, ADJACENCIES
from dpplan.plan_assumptions import Assumptions
from dpplan.render.bound_detail_glossary import DETAILS, METHODS, TERMS
from dpplan.render.bound_text import SYMBOLS
from dpplan.render.number_format import brief, up
from dpplan.render.plan_rows import sentence
from dpplan.render.table import WIDTH, screen_width
from dpplan.units import unit_words

WHOLE_USERS = unit_words("user", None)
# Of a composition: nothing here is proven of a last iterate by itself.
RELEASED = "all iterates: every noisy step, not the final model only"


def explanation(bound: Bound, delta: float | None = None) -> Iterator[str]:
    """How a figure came about, what its accountant chose on the way, and its errors, relative to `delta` if given."""
    method = str(bound.details.get("method", ""))
    what, when = METHODS.get(method, ("", ""))
    if bound.why != method:
        yield from sentence("why", bound.why)
    if method:
        yield from sentence("method", f"{method}: {what}" if what else method)
    if when:
        yield from sentence("chosen because", when)
    for key, value in bound.details.items():
        if key == "terms" and isinstance(value, Mapping):
            yield from errors(value, delta if bound.quantity == "epsilon" else bound.value, "δ")
        elif key == "proven":
            symbol = SYMBOLS[bound.quantity]
            yield f"  {'proven':<19}{bound.proven[0]!r} ≤ {symbol} ≤ {bound.proven[1]!r}"
            yield f"  {'':<19}stated wider by {FLOOR:g} of itself at either end"
        elif key != "method":
            yield f"  {DETAILS.get(key, key.replace('_', ' ')):<19}{brief(value)}"


def premises(figures: Iterable[Assumptions], proved: bool = False) -> Iterator[str]:
    """What every proven figure assumes, by name; `dpplan help certificate` has each at length.

    figures: what each of them is computed under. proved: whether one of them is a proof in ball arithmetic.
    """
    under = tuple(figures)
    yield ""
    yield from sentence("released", RELEASED)
    yield "  assumed by every proven figure (dpplan help certificate says each at length)"
    needed = [each for each in CERTIFICATE if proved or each.name != BALL_ARITHMETIC]
    for kind in KINDS:
        names = chain.from_iterable(_names(each.name, under) for each in needed if each.kind == kind)
        yield from sentence(kind, "; ".join(names))


def _names(name: str, figures: Sequence[Assumptions]) -> Iterable[str]:
    """What a premise is called of these figures: by whom they are for, where that is another than the list names."""
    if name == NEIGHBOURS:
        whose = ((ADJACENCIES[each.adjacency], each.privacy_unit) for each in figures)
        told = (name if both == (ADD_REMOVE, "example") else f"neighbours: {both[0].words} {both[1]}" for both in whose)
    elif name == BOUNDED:
        told = (name.replace("an example", "a user") if each.privacy_unit == WHOLE_USERS else name for each in figures)
    else:
        return (name,)
    return dict.fromkeys(told) or (name,)


def errors(terms: Mapping[str, float], whole: float | None, symbol: str) -> Iterator[str]:
    """The error budget: each term, its size in units of `symbol`, relative to `whole`, and what it is."""
    if not terms:
        return
    if screen_width() < WIDTH:
        yield from _errors_below_names(terms, whole, symbol)
        return
    yield f"  {'errors in ' + symbol:<27}{'at most':<9}{'of ' + symbol if whole else ''}".rstrip()
    for name, size in terms.items():
        share = f"{up(size / whole, 2):<10}" if whole else ""
        yield f"    {name:<24} {up(size, 2):<9}{share}{TERMS.get(name, '')}".rstrip()


def _errors_below_names(terms: Mapping[str, float], whole: float | None, symbol: str) -> Iterator[str]:
    """The same where there is no room for columns."""
    yield f"  errors in {symbol}, at most{f' (and of {symbol})' if whole else ''}"
    for name, size in terms.items():
        share = f" ({up(size / whole, 2)})" if whole else ""
        yield f"    {name}: {up(size, 2)}{share}"
        if name in TERMS:
            yield f"      {TERMS[name]}"
