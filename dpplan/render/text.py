"""Results in words: the answer first, then what it rests on. Lines only; what they are printed on is not known here."""

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence

from dpplan.accounting.assumptions import BALL_ARITHMETIC, CERTIFICATE, KINDS
from dpplan.accounting.bound import FLOOR, Bound, Guarantee
from dpplan.checks import show
from dpplan.plan import Delta, Phase, Plan
from dpplan.quantities import quantity
from dpplan.render.glossary import DETAILS, METHODS, TERMS
from dpplan.render.number_format import brief, down, interval, up
from dpplan.render.table import WIDTH, Meaning
from dpplan.rounding import down_above, near_at_most

Paint = Callable[[str, Meaning], str]
SYMBOLS = {"epsilon": "ε", "delta": "δ"}
# Below this relative width an interval settles the six digits of a headline, and "=" is the truth.
_SETTLED = 1e-5
# Of more phases than this, the first few and the last are listed.
SHOWN, HEAD = 8, 4


def unpainted(text: str, meaning: Meaning) -> str:
    return text


def headline(bound: Bound, at: float, paint: Paint = unpainted) -> str:
    """The figure, where it holds, and what is proven about it. `at`: the delta of an epsilon, or the reverse."""
    symbol = SYMBOLS[bound.quantity]
    other = "δ" if bound.quantity == "epsilon" else "ε"
    stated = f"{symbol} {relation(bound)} {figure(bound)} at {other} = {show(at)}"
    proof = f": {proven(bound)}"
    gap = " " * min(max(35 - len(stated), 2), max(WIDTH - len(stated) - len(bound.guarantee) - len(proof), 2))
    return f"{stated}{gap}{paint(str(bound.guarantee), meaning(bound))}{proof}"


def figure(bound: Bound, digits: int = 6) -> str:
    """The figure to state, at six digits or fewer: rounded up, unless all that is proven is a lower bound."""
    return down(bound.lower, digits) if bound.guarantee is Guarantee.LOWER else up(bound.value, digits)


def relation(bound: Bound) -> str:
    if bound.guarantee is Guarantee.CERTIFIED:
        return "=" if bound.relative_width is not None and bound.relative_width <= _SETTLED else "≤"
    return {Guarantee.UPPER: "≤", Guarantee.LOWER: "≥", Guarantee.ESTIMATE: "≈"}[bound.guarantee]


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
    meanings: dict[str, Meaning] = {
        "certified": "certified",
        "upper": "upper",
        "lower": "lower",
        "estimate": "estimate",
    }
    return meanings[bound.guarantee]


def row(name: str, value: str, note: str = "") -> str:
    """One fact: its name, its value, and where it comes from."""
    return f"  {name:<19}{value:<15}  {note}".rstrip()


def plan_rows(plan: Plan, deltas: Sequence[Delta] = (), found: str | None = None, earlier: int = 0) -> Iterator[str]:
    """What the figures rest on. A delta is shown where it was derived. found: the quantity that was solved for.

    earlier: how many of the first phases ran before; they stand apart.
    """
    if len(plan.phases) == 1:
        phase = plan.only_phase
        for name, value in phase.settings.items():
            known = quantity(name)
            yield row(known.words, known.show(value), _origin(plan, name, found))
        yield row("steps", show(phase.steps), _origin(plan, "steps", found))
    else:
        if earlier:
            yield from phase_rows(plan, "earlier runs", range(earlier))
        yield from phase_rows(plan, "this run" if earlier else "phases", range(earlier, len(plan.phases)))
        yield row("steps", show(plan.steps), "in all")
    yield from grounds(plan, deltas)


def phase_rows(plan: Plan, name: str, places: range) -> Iterator[str]:
    """Some of a plan's phases, the first and the last few where there are many."""
    phases = [plan.phases[place] for place in places]
    count = f"{len(phases)} phase" + ("s" if len(phases) > 1 else "")
    yield row(name, count, f"{sum(phase.steps for phase in phases)} steps")
    left_out = range(HEAD, len(phases) - 1) if len(phases) > SHOWN else range(0)
    for number, (place, phase) in enumerate(zip(places, phases, strict=True)):
        if number not in left_out:
            origins = (plan.origin(f"phases[{place}].{name}") for name in ("steps", *phase.settings))
            origin = next((each for each in origins if each), None)
            first, *others = settings_shown(phase)
            rest = " ".join(f"{each:<16}" for each in others)
            line = f"    {number + 1:<5} {first:<14} {rest} {f'{phase.steps} steps':<12}"
            yield f"{line}  = {origin}" if origin else line.rstrip()
        elif number == left_out.start:
            yield ", ".join([f"    ...   {len(left_out)} more", *_reaches([phases[at] for at in left_out])])


def grounds(plan: Plan, deltas: Sequence[Delta]) -> Iterator[str]:
    """The deltas that were derived, and what is assumed."""
    for delta in deltas:
        if delta.reason:
            yield row("delta", show(delta.value), delta.reason)
    yield f"  {'assumes':<19}{plan.assumptions}"


def spent_before(bound: Bound, at: float) -> str:
    """What the earlier runs cost by themselves."""
    symbol, other = SYMBOLS[bound.quantity], "δ" if bound.quantity == "epsilon" else "ε"
    return row("spent before", f"{symbol} {relation(bound)} {figure(bound)}", f"alone, at {other} = {show(at)}")


def heading(bound: Bound, at: float, named: bool = False) -> str:
    """Which of several figures is explained below. named: they come from several accountants."""
    other = "δ" if bound.quantity == "epsilon" else "ε"
    return f"  at {other} = {show(at)}" + (f", {bound.accountant}" if named else "")


def explanation(bound: Bound, delta: float | None = None) -> Iterator[str]:
    """How a figure came about, what its accountant chose on the way, and its errors, relative to `delta` if given."""
    method = str(bound.details.get("method", ""))
    what, when = METHODS.get(method, ("", ""))
    if bound.why != method:
        yield from _named("why", bound.why)
    if method:
        yield from _named("method", f"{method}: {what}" if what else method)
    if when:
        yield from _named("chosen because", when)
    for key, value in bound.details.items():
        if key == "terms" and isinstance(value, Mapping):
            yield from errors(value, delta if bound.quantity == "epsilon" else bound.value, "δ")
        elif key == "proven":
            symbol = SYMBOLS[bound.quantity]
            yield f"  {'proven':<19}{bound.proven[0]!r} ≤ {symbol} ≤ {bound.proven[1]!r}"
            yield f"  {'':<19}stated wider by {FLOOR:g} of itself at either end"
        elif key != "method":
            yield f"  {DETAILS.get(key, key.replace('_', ' ')):<19}{brief(value)}"


def premises(proved: bool = False) -> Iterator[str]:
    """What every proven figure assumes, by name; `dpplan help certificate` has each at length.

    proved: whether one of the figures is a proof in ball arithmetic.
    """
    yield ""
    yield "  assumed by every proven figure (dpplan help certificate says each at length)"
    needed = [each for each in CERTIFICATE if proved or each.name != BALL_ARITHMETIC]
    for kind in KINDS:
        names = "; ".join(each.name for each in needed if each.kind == kind)
        yield from _named(kind, names)


def errors(terms: Mapping[str, float], whole: float | None, symbol: str) -> Iterator[str]:
    """The error budget: each term, its size in units of `symbol`, relative to `whole`, and what it is."""
    if not terms:
        return
    yield f"  {'errors in ' + symbol:<27}{'at most':<9}{'of ' + symbol if whole else ''}".rstrip()
    for name, size in terms.items():
        share = f"{up(size / whole, 2):<10}" if whole else ""
        yield f"    {name:<24} {up(size, 2):<9}{share}{TERMS.get(name, '')}".rstrip()


def exceeded(bound: Bound, at: float, most: float) -> str:
    """Why a claim is not within --max-eps, with the digits it takes to see that."""
    if bound.lower is not None and bound.lower > most:
        # Rounded up the figure is above the limit in any case; what is proven is so only where this one is.
        stated = figure(bound) if float(down(bound.lower)) > most else ""
        relation_ = relation(bound) if stated else "≥"
        return (
            f"ε {relation_} {stated or down_above(bound.lower, most)} at δ = {show(at)} exceeds --max-eps {show(most)}."
        )
    over = f"ε {relation(bound)} {up(bound.value)} at δ = {show(at)} exceeds --max-eps {show(most)}."
    if bound.lower is not None:
        interval_ = f"{show(bound.lower)} ≤ ε ≤ {show(bound.upper)}"
        return f"{over} It is not proven to be within it, nor to exceed it: {interval_}."
    if bound.guarantee is Guarantee.UPPER:
        return f"{over}\n  This is an upper bound by {bound.accountant}; --accountant exact may prove less."
    return over


def unproven(bound: Bound, at: float, most: float) -> str:
    """Why a figure below --max-eps does not pass."""
    if bound.guarantee is Guarantee.ESTIMATE:
        return (
            f"ε ≈ {figure(bound)} at δ = {show(at)} is an estimate by {bound.accountant}: it proves nothing, and so is "
            f"not within --max-eps {show(most)}.\n  Use --accountant exact, or say --accept-estimate."
        )
    return (
        f"ε ≥ {figure(bound)} at δ = {show(at)} is a lower bound by {bound.accountant}: nothing proves that ε is "
        f"within --max-eps {show(most)}.\n  Use --accountant exact."
    )


def accepted(bound: Bound, at: float) -> str:
    """The warning beside an estimate that was let through."""
    return (
        f"ε ≈ {figure(bound)} at δ = {show(at)} is an estimate by {bound.accountant} and was accepted as one: nothing "
        "is proven, and the true ε may be larger."
    )


NO_EXAMPLES = "give --n to hold δ against it"


def above_one_in(bound: Bound, at: float, examples: int | None) -> str | None:
    """The warning for a δ, the answer at the ε `at`, that is not proven to be below 1/n; None where it is, or no n."""
    if examples is None or bound.value < 1 / examples:
        return None
    where, limit = f"δ {relation(bound)} {figure(bound)} at ε = {show(at)}", 1 / examples
    why = "publishing a whole record at random would satisfy it"
    if bound.lower is not None and bound.lower < limit:
        return f"{where} is not proven to be below 1/n = {near_at_most(limit, float(figure(bound)))}: {why}."
    remedy = "Ask at a larger ε, add noise, or take fewer steps."
    return f"{where} is not below 1/n = {near_at_most(limit, float(figure(bound)))}: {why}. {remedy}"


def settings_shown(phase: Phase) -> list[str]:
    """What the phase was given, each as "σ = 1.1"."""
    named = [(quantity(name), value) for name, value in phase.settings.items()]
    return [f"{each.symbol} = {each.show(value)}" for each, value in named]


def _reaches(phases: Sequence[Phase]) -> Iterator[str]:
    """From where to where each setting goes over these phases."""
    for name in dict.fromkeys(name for phase in phases for name in phase.settings):
        values = [value for phase in phases if isinstance(value := phase.settings.get(name), int | float)]
        if values:
            low, high = min(values), max(values)
            reach = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
            yield f"{quantity(name).symbol} = {reach}"


def _named(name: str, sentence: str) -> Iterator[str]:
    """A sentence beside its name, wrapped under itself."""
    yield from textwrap.wrap(
        sentence, WIDTH, initial_indent=f"  {name:<19}", subsequent_indent=" " * 21, break_on_hyphens=False
    )


def _origin(plan: Plan, quantity: str, found: str | None) -> str:
    origin = plan.origin(quantity)
    if quantity == found:
        return "solved for"
    return f"= {origin}" if origin else ""
