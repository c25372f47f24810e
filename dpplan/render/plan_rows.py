"""What figures rest on: the plan, phase by phase, the deltas that were derived, and what is assumed."""

import itertools
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from dpplan.accounting.bound import IN_PLACE_OF, Bound
from dpplan.checks import show
from dpplan.groups import group_called, words
from dpplan.mechanism import BestOfTrials, DiscreteLaplace, Gaussian, MatrixNoise, kind_of
from dpplan.mechanism.trials import RELEASED
from dpplan.plan import Delta, Phase, Plan, Setting
from dpplan.quantities import quantity
from dpplan.render.bound_text import SYMBOLS, figure, relation
from dpplan.render.table import screen_width
from dpplan.sampling import Poisson, RandomAllocation

# Of more phases than this, the first few and the last are listed.
SHOWN, HEAD = 8, 4
LONGEST_NAME = 24


def row(name: str, value: str, note: str = "") -> str:
    """One fact: its name, its value, and where it comes from."""
    return f"  {name:<19}{value:<15}  {note}".rstrip()


def sentence(name: str, text: str) -> Iterator[str]:
    """A sentence beside its name, wrapped under itself."""
    yield from textwrap.wrap(
        text, screen_width(), initial_indent=f"  {name:<19}", subsequent_indent=" " * 21, break_on_hyphens=False
    )


def agreement(name: str, agrees: bool) -> str:
    """Whether what was measured is as planned, in the number of its name: batch sizes agree, the noise agrees."""
    verb = "agree" if name.endswith("s") else "agrees"
    return verb if agrees else f"dis{verb}".upper()


def at_delta(delta: Delta) -> str:
    """The δ of a whole table, which stands above it, and where it comes from if nobody gave it."""
    return f"at δ = {show(delta.value)}{f': {delta.reason}' if delta.reason else ''}"


def with_its_reason(delta: Delta) -> Delta:
    """The δ as it stands where one that was given has a row, too."""
    return Delta(delta.value, delta.reason or "given")


def whose(bounds: Sequence[Bound]) -> Iterator[str]:
    """Who gave the figures, where it was not the one who is asked when nothing is said."""
    told = dict.fromkeys(f"{bound.accountant}, {bound.details[IN_PLACE_OF]}." for bound in bounds if bound.stands_in)
    for each in told:
        yield from sentence("accountant", each)


def plan_rows(
    plan: Plan,
    deltas: Sequence[Delta] = (),
    found: str | None = None,
    earlier: int = 0,
    names: Sequence[str] = (),
) -> Iterator[str]:
    """What the figures rest on. A delta is shown where it was derived. found: the quantity that was solved for.

    earlier: how many of the first phases ran before; they stand apart. names: of the phases, where they have some.
    """
    if len(plan.phases) == 1:
        phase = plan.only_phase
        if isinstance(phase.mechanism, BestOfTrials):
            yield from _search(phase.mechanism)
            yield from grounds(plan, deltas)
            return
        if type(phase.mechanism) is not Gaussian:
            yield row("mechanism", kind_of(phase.mechanism))
        for name, value in settings_given(phase).items():
            known = quantity(name)
            yield row(known.words, known.show(value), _origin(plan, name, found))
        yield row("steps", show(phase.steps), _origin(plan, "steps", found))
        yield from _unfinished_round(phase)
    else:
        if earlier:
            yield from phase_rows(plan, "earlier runs", range(earlier), names)
        yield from phase_rows(plan, "this run" if earlier else "phases", range(earlier, len(plan.phases)), names)
        steps, searches = _outside_of_searches(plan.phases)
        yield row("steps", show(steps), f"in all, and {searches}" if searches else "in all")
    yield from grounds(plan, deltas)


def _unfinished_round(phase: Phase) -> Iterator[str]:
    """That a run ends within the first round of a random allocation, which was perhaps not meant."""
    drawn = phase.sampling
    if isinstance(drawn, RandomAllocation) and phase.steps < drawn.steps_per_round:
        counted = "" if drawn.times == 1 else ", which is counted as a whole one"  # accounting.pairs.allocated_rounds
        told = f"times / q = {drawn.steps_per_round} steps are a round, and the run takes {phase.steps} of the first"
        yield from sentence("round", f"{told}{counted}. Fewer --times make shorter rounds.")


def steps_words(phases: Sequence[Phase]) -> str:
    """How many steps these take; a search is no step: it makes trials, and each of them takes its own."""
    steps, searches = _outside_of_searches(phases)
    if searches and not steps:
        return searches
    counted = f"{steps} step{'' if steps == 1 and searches else 's'}"
    return f"{counted} and {searches}" if searches else counted


def _outside_of_searches(phases: Sequence[Phase]) -> tuple[int, str]:
    """The steps of what is no search, and what searches there are, in words."""
    found = [(phase.mechanism, phase.steps) for phase in phases if isinstance(phase.mechanism, BestOfTrials)]
    steps = sum(phase.steps for phase in phases) - sum(count for _, count in found)
    told = [
        f"{'a search' if count == 1 else f'{count} searches'} with trials of {trial_lengths(search)}"
        for search, count in found
    ]
    return steps, " and ".join(told)


def trial_lengths(search: BestOfTrials) -> str:
    """The steps of a trial, of each kind that there is."""
    counts = {sum(each.steps for each in _but_its_score(kind, search.score)) for kind in search.kinds}
    *first, last = (str(count) for count in sorted(counts))
    steps = f"{', '.join(first)} or {last}" if first else last
    return f"{steps} step{'' if steps == '1' else 's'}"


def _but_its_score(kind: Sequence[Phase], score: str) -> Sequence[Phase]:
    """The phases of a trial but for its score, which is the last, by itself, where a trial releases one."""
    *first, last = kind
    scores = score == RELEASED and first and last.steps == 1 and isinstance(last.mechanism, DiscreteLaplace)
    return first if scores else kind


def phase_rows(plan: Plan, name: str, places: range, names: Sequence[str] = ()) -> Iterator[str]:
    """Some of a plan's phases, the first and the last few where there are many; by their names, if they are short."""
    phases = [plan.phases[place] for place in places]
    count = f"{len(phases)} phase" + ("s" if len(phases) > 1 else "")
    yield row(name, count, steps_words(phases))
    left_out = range(HEAD, len(phases) - 1) if len(phases) > SHOWN else range(0)
    shown = [number for number in range(len(phases)) if number not in left_out]
    called = [names[place] for place in places] if len(names) == len(plan.phases) else []
    named = 0 < max(map(len, called), default=0) <= LONGEST_NAME
    first, *others = (max(len(cell) for cell in column) + 1 for column in _columns([phases[at] for at in shown]))
    widths = (first, *others) if named else (14, *(16 for _ in others))
    width = max(5, *map(len, called)) + 1 if named else 5
    for number, (place, phase) in enumerate(zip(places, phases, strict=True)):
        if number in shown:
            origins = (plan.origin(f"phases[{place}].{name}") for name in ("steps", *phase.settings))
            origin = next((each for each in origins if each), None)
            cells = (f"{cell:<{wide}}" for cell, wide in zip(settings_shown(phase), widths, strict=False))
            steps = f"{phase.steps} step{'s' if phase.steps > 1 else ''}"
            label = called[number] if named else str(number + 1)
            group = group_called(names[place] if names else "", phase.groups)
            whose = f" group {group}" if group not in ("", label) else ""
            if isinstance(phase.mechanism, BestOfTrials):
                told = f"the best of trials: {phase.mechanism.words}; score {phase.mechanism.score}"
                yield f"    {label:<{width}} {told}{whose}"
                yield from _trial(phase.mechanism, width)
                continue
            line = f"    {label:<{width}} {' '.join(cells)} {steps:<12}{whose}"
            yield f"{line}  = {origin}" if origin else line.rstrip()
        elif number == left_out.start:
            yield from _left_out([phases[at] for at in left_out])


def settings_given(phase: Phase) -> dict[str, Setting]:
    """What the phase was given. A record's pattern stands there where no sampling says it."""
    said = () if isinstance(phase.sampling, Poisson) else ("participations", "separation")
    given: dict[str, Setting] = {
        name: value for name, value in phase.settings.items() if value not in (None, ()) and name not in said
    }
    if {"differences", "l2_sensitivity"} & given.keys():
        given.pop("sensitivity", None)  # of one number: several are moved as these say
    if isinstance(phase.mechanism, MatrixNoise):  # up to a million numbers
        given["entries"] = phase.mechanism.rows
        return {"rows" if name == "entries" else name: value for name, value in given.items()}
    return given


def _search(search: BestOfTrials) -> Iterator[str]:
    """Of a plan that is a search and nothing else."""
    yield from sentence("trials", f"{search.words}; the best is released, by a score that is {search.score}")
    if search.others:
        yield row("each trial", f"one of {len(search.kinds)} kinds", "drawn, and released with the winner")
    else:
        count = len(search.phases)
        yield row("each trial", f"{count} phase{'s' if count > 1 else ''}")
    yield from _trial(search, 2)


def _trial(search: BestOfTrials, width: int) -> Iterator[str]:
    """What each trial of a search does, a phase in each line; of kinds that are many the first."""
    for number, kind in enumerate(search.kinds[:SHOWN]):
        for place, phase in enumerate(kind):
            steps = f"{phase.steps} step{'s' if phase.steps > 1 else ''}"
            label = "or" if number and not place else ""
            whose = f"group {words(phase.groups)}" if phase.groups else ""
            told = " ".join(f"{cell:<16}" for cell in settings_shown(phase))
            yield f"    {label:<{width}} {told} {steps:<12} {whose}".rstrip()
    if len(search.kinds) > SHOWN:
        yield f"    ...   {len(search.kinds) - SHOWN} more kinds"


def _columns(phases: Sequence[Phase]) -> list[list[str]]:
    """What stands below each other in the rows of these phases."""
    told = [settings_shown(phase) for phase in phases if not isinstance(phase.mechanism, BestOfTrials)] or [[""]]
    cells = itertools.zip_longest(*told, fillvalue="")
    return [list(column) for column in cells]


def grounds(plan: Plan, deltas: Sequence[Delta], assumed: str = "") -> Iterator[str]:
    """The deltas that were derived, and what is assumed; by the plan, where nothing else is said."""
    for delta in deltas:
        if delta.reason:
            yield row("delta", show(delta.value), delta.reason)
    yield from sentence("assumes", assumed or str(plan.assumptions))


def spent_before(bound: Bound, at: float) -> str:
    """What the earlier runs cost by themselves."""
    symbol, other = SYMBOLS[bound.quantity], "δ" if bound.quantity == "epsilon" else "ε"
    return row("spent before", f"{symbol} {relation(bound)} {figure(bound)}", f"alone, at {other} = {show(at)}")


def settings_shown(phase: Phase) -> list[str]:
    """What the phase was given, each as "σ = 1.1"."""
    named = [(quantity(name), value) for name, value in settings_given(phase).items()]
    return [f"{each.symbol} = {each.show(value)}" for each, value in named]


def _left_out(phases: Sequence[Phase]) -> Iterator[str]:
    """The phases that are not listed: from where to where their settings go; of several mechanisms, whose settings
    have nothing to do with each other, which these are."""
    kinds = Counter(kind_of(phase.mechanism) for phase in phases)
    several = (kind if count == 1 else f"{kind} ({count})" for kind, count in kinds.items())
    told = ", ".join([f"{len(phases)} more", *(several if len(kinds) > 1 else _reaches(phases))])
    yield from textwrap.wrap(
        told, screen_width(), initial_indent="    ...   ", subsequent_indent=" " * 10, break_on_hyphens=False
    )


def _reaches(phases: Sequence[Phase]) -> Iterator[str]:
    """From where to where each setting goes over these phases."""
    for name in dict.fromkeys(name for phase in phases for name in phase.settings):
        values = [value for phase in phases if isinstance(value := phase.settings.get(name), int | float)]
        if values:
            low, high = min(values), max(values)
            reach = f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}"
            yield f"{quantity(name).symbol} = {reach}"


def _origin(plan: Plan, quantity: str, found: str | None) -> str:
    origin = plan.origin(quantity)
    if quantity == found:
        return "solved for"
    return f"= {origin}" if origin else ""
