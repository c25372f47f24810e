"""A frontier in words, as a table, as a map of the noise, as JSON and as CSV."""

import csv
import dataclasses
import io
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dpplan.checks import show
from dpplan.frontier.recommendation import NEAR
from dpplan.plan import Delta
from dpplan.render import to_json
from dpplan.render.bound_text import Paint, guarantee, relation, unpainted
from dpplan.render.number_format import up, up_within
from dpplan.render.plan_rows import grounds, row
from dpplan.render.table import Column, Table, TableCell, wrapped

if TYPE_CHECKING:
    from rich.text import Text

    from dpplan.frontier import Cell, Frontier, Recommendation

LABEL, WIDTH, MOST_ROWS = 9, 8, 16  # of the map: columns for a label and for a cell, and how many rows are shown
CHOSEN, WORTH, BEYOND, NONE = "*", "·", "x", "-"
MOST_REASONS = 3  # why cells have no plan
# Dark is noisy, light is not, and black is legible on all; the figures say the same. YlGnBu of ColorBrewer.
_STOPS = ((255, 255, 217), (199, 233, 180), (127, 205, 187), (65, 182, 196), (70, 145, 195))


_ROUNDED = "σ is the least, rounded up to four digits; the recommended one stands above with seven digits."
_WITHOUT = f"{NONE} without a plan:"


class Span(NamedTuple):
    """A piece of a line. level: 0 for the least noise on the map to 1 for the most; None for what is no figure."""

    text: str
    level: float | None = None


# In words


def lines(found: "Frontier", delta: Delta, physical: int | None, paint: Paint = unpainted) -> Iterator[str]:
    """The recommended cell, what it spends, what it means for learning, and why it was taken."""
    choice, solution = found.recommended, found.recommended.solution
    cell, spent = _exact(choice), solution.spent
    stated = f"batch = {show(cell.batch_size)}, {_length(found)}, σ = {show(solution.value)}"
    within = f"ε {relation(spent)} {up_within(spent.value, found.grid.target_epsilon)}"
    yield f"{stated}  spends {within} of {show(found.grid.target_epsilon)} ({guarantee(spent, paint)})"
    yield ""
    yield row("steps", show(cell.steps), f"= {origin}" if (origin := solution.plan.origin("steps")) else "")
    yield row("noise-batch ratio", f"{up(cell.noise_batch_ratio, 4)}", "σ / batch, noise on the mean gradient")
    yield row("effective noise", f"{up(cell.effective_noise, 4)}", f"ratio / √steps; {up(found.floor, 4)} on all data")
    yield row(f"{found.grid.drawn.unit}s processed", show(cell.processed), "steps × batch")
    if physical is not None:
        yield row("passes per step", str(passes(cell, physical)), f"of at most {physical} examples, for a mean batch")
    if not delta.reason:
        yield row("delta", show(delta.value), "as given")
    yield from grounds(solution.plan, [delta])
    yield ""
    chosen, doubled = choice.why
    for sentence in (chosen, choice.caveat, doubled, *_corner(found), *_cheapest(found)):
        yield from wrapped(sentence, indent=2)


def _corner(found: "Frontier") -> Iterator[str]:
    """That a better cell may lie outside the grid; without a limit on compute, that the most epochs decide."""
    ends = found.corner
    if found.compute is None and len(found.grid.lengths) > 1:
        length = "epochs" if found.grid.epochs else "steps"
        ends = tuple(end for end in ends if end.split()[-1] != length)
        yield (
            f"Without a limit on compute every rule goes by the cells of the most {length}: they seldom have more "
            "effective noise, that over the whole run, and no rule knows what you can afford. Give --compute, the most "
            f"{found.grid.drawn.unit}s to process ({show(found.recommended.cell.processed)} here)."
        )
    if ends:
        options = " and ".join(f"--{end.split()[-1]}" for end in ends)
        yield (
            f"This cell is at an end of the grid, at its {' and '.join(ends)}: a better one may lie beyond. "
            f"Widen {options}{'' if found.compute is None else ', within --compute'}."
        )


def _cheapest(found: "Frontier") -> Iterator[str]:
    """What costs less and has hardly more noise, or more where the rule spares it; nothing where none does."""
    cell, chosen = found.cheapest, found.recommended.cell
    share = f"{100 * cell.processed / chosen.processed:.3g}"
    if cell.place == chosen.place or share == "100":
        return
    length = f"{show(cell.length)} epochs ({show(cell.steps)} steps)" if found.grid.epochs else f"{cell.steps} steps"
    yield (
        f"Cheapest cell within {100 * NEAR:g} % of the least effective noise of all cells: batch = "
        f"{show(cell.batch_size)}, {length}, σ = {up(cell.noise_multiplier, 4)}, with "
        f"{share} % of the compute of this one."
    )


def passes(cell: "Cell", physical: int) -> int:
    """How often a step goes through the model when so many examples fit into memory, for a batch of expected size."""
    return -(-cell.batch_size // physical)


def _exact(choice: "Recommendation") -> "Cell":
    """The recommended cell with the noise that was solved for there to seven digits."""
    return dataclasses.replace(choice.cell, plan=choice.solution.plan, spent=choice.solution.spent)


def _length(found: "Frontier") -> str:
    length = found.recommended.cell.length
    return f"{show(length)} {'epochs' if found.grid.epochs else 'steps'}" if length != 1 else "1 epoch"


# As a table


def table(found: "Frontier", cells: Sequence[tuple[str, "Cell"]], physical: int | None) -> Table:
    """Cells, each under a name, with what matters for learning."""
    names = ["batch", "epochs", "steps", "σ", "σ/batch", "compute", "effective"]
    columns = [Column(""), *(Column(name, numeric=True) for name in names)]
    if physical is not None:
        columns.append(Column("passes", numeric=True))
    rows = []
    for name, cell in cells:
        if cell.plan is None:
            lengths = [show(cell.length), NONE] if found.grid.epochs else [NONE, show(cell.length)]
            empty = [show(cell.batch_size), *lengths, *[NONE] * (len(columns) - 4)]
            rows.append((TableCell(name), *(TableCell(text) for text in empty)))
            continue
        texts = [
            show(cell.batch_size),
            f"{cell.epochs:.4g}",
            show(cell.steps),
            up(cell.noise_multiplier, 4),
            _small(cell.noise_batch_ratio),
            f"{cell.processed:.3g}".replace("e+0", "e"),
            _small(cell.effective_noise),
        ]
        if physical is not None:
            texts.append(str(passes(cell, physical)))
        rows.append((TableCell(name), *(TableCell(text) for text in texts)))
    return Table(tuple(columns), tuple(rows), (_ROUNDED, *_refusals([cell for _, cell in cells])))


def _refusals(cells: Sequence["Cell"]) -> Iterator[str]:
    """Why cells have no plan, each reason once."""
    reasons = list(dict.fromkeys(cell.refusal or "" for cell in cells if cell.plan is None))
    yield from (f"{_WITHOUT} {reason}" for reason in reasons[:MOST_REASONS])
    if len(reasons) > MOST_REASONS:
        yield f"{_WITHOUT} {len(reasons) - MOST_REASONS} more reasons, in --json and --csv."


def mark(found: "Frontier", cell: "Cell") -> str:
    """What is to be known about a cell, in one character."""
    if cell.place == found.recommended.cell.place:
        return CHOSEN
    if cell.plan is None:
        return NONE
    if not found.within(cell):
        return BEYOND
    return WORTH if cell.place in found.pareto and not found.saturated(cell) else " "


def _small(value: float) -> str:
    return f"{value:.2e}".replace("e-0", "e-")


# As a map


def heat_map(found: "Frontier", width: int) -> Iterator[list[Span]]:
    """The noise-batch ratio over batch (across) and length (upward), with a mark on every cell."""
    ratios = [cell.noise_batch_ratio for cell in found.cells if cell.plan is not None]
    low, high = math.log(min(ratios)), math.log(max(ratios))
    unit = math.floor(math.log10(min(ratios))) - 1
    across = _spread(len(found.grid.batch_sizes), (width - LABEL) // WIDTH, _column(found))
    upward = _spread(len(found.grid.lengths), MOST_ROWS, _row(found))
    yield from ([Span(part)] for part in wrapped(f"noise-batch ratio σ / batch, in 1e{unit} clip norms"))
    yield [Span(f"{'epochs' if found.grid.epochs else 'steps':<{LABEL}}")]
    for at in reversed(upward):
        spans = [Span(f"{show(found.grid.lengths[at]):>{LABEL - 2}}  ")]
        for column in across:
            cell = found.rows[at][column]
            if cell.plan is None:
                spans.append(Span(f"{NONE:>{WIDTH - 2}}  "))
                continue
            level = (math.log(cell.noise_batch_ratio) - low) / max(high - low, 1e-9)
            figure = f"{cell.noise_batch_ratio / 10.0**unit:.0f}"
            spans.append(Span(f"{figure:>{WIDTH - 2}}{mark(found, cell)} ", level))
        yield spans
    yield from _map_foot(found, across, upward)


def _map_foot(found: "Frontier", across: Sequence[int], upward: Sequence[int]) -> Iterator[list[Span]]:
    """The batches under the map, what its marks mean, and whether there are more cells than it shows."""
    labels = (f"{show(found.grid.batch_sizes[column]):>{WIDTH - 2}}  " for column in across)
    yield [Span(f"{'batch':>{LABEL - 2}}  " + "".join(labels))]
    for line in _legend(found, len(across), len(upward)):
        yield from ([Span(part)] for part in wrapped(line))


def plain_map(spans: Sequence[Span]) -> str:
    return "".join(span.text for span in spans).rstrip()


def rich_map(spans: Sequence[Span]) -> "Text":
    """The same line with each figure on the colour of its level."""
    from rich.text import Text

    line = Text(no_wrap=True)
    for span in spans:
        line.append(span.text, style="" if span.level is None else _style(span.level))
    return line


def _legend(found: "Frontier", across: int, upward: int) -> Iterator[str]:
    yield f"{CHOSEN} recommended"
    yield f"{WORTH} Pareto optimal, and a larger batch has a tenth less noise in as many steps"
    if any(cell.plan is not None and not found.within(cell) for cell in found.cells):
        yield f"{BEYOND} more compute than {show(found.compute)} examples"
    batches, lengths = len(found.grid.batch_sizes), len(found.grid.lengths)
    if (across, upward) != (batches, lengths):
        yield f"{across} of {batches} batches and {upward} of {lengths} lengths are shown; --cells lists all."
    yield from _refusals(found.cells)


def _style(level: float) -> str:
    at = level * (len(_STOPS) - 1)
    left = min(int(at), len(_STOPS) - 2)
    red, green, blue = (
        round(start + (at - left) * (end - start)) for start, end in zip(_STOPS[left], _STOPS[left + 1], strict=True)
    )
    return f"black on rgb({red},{green},{blue})"


def _spread(count: int, most: int, kept: int) -> list[int]:
    """At most so many of `count` places, evenly spread, with both ends and `kept` among them."""
    if count <= most:
        return list(range(count))
    places = sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})
    nearest = min(range(len(places)), key=lambda i: abs(places[i] - kept))
    places[nearest] = kept
    return sorted(set(places))


def _column(found: "Frontier") -> int:
    return found.grid.batch_sizes.index(found.recommended.cell.batch_size)


def _row(found: "Frontier") -> int:
    return found.grid.lengths.index(found.recommended.cell.length)


# As JSON and CSV

FIELDS = (
    "batch_size",
    "epochs",
    "steps",
    "sample_rate",
    "noise_multiplier",
    "epsilon_lower",
    "epsilon_upper",
    "noise_batch_ratio",
    "examples_processed",
    "effective_noise",
    "within_compute",
    "pareto",
    "saturated",
    "recommended",
    "refusal",
)


def record(found: "Frontier", cell: "Cell") -> to_json.Object:
    """One cell, with the names of FIELDS; null where it has no plan."""
    record: to_json.Object = dict.fromkeys(FIELDS)
    record |= {"batch_size": cell.batch_size, "refusal": cell.refusal}
    record["epochs" if found.grid.epochs else "steps"] = cell.length
    if cell.plan is None or cell.spent is None:
        return record
    return record | {
        "epochs": cell.epochs,
        "steps": cell.steps,
        "sample_rate": float(found.grid.settings(cell.batch_size, cell.length).exact_rate),
        "noise_multiplier": cell.noise_multiplier,
        "epsilon_lower": cell.spent.lower,
        "epsilon_upper": cell.spent.upper,
        "noise_batch_ratio": cell.noise_batch_ratio,
        "examples_processed": cell.processed,
        "effective_noise": cell.effective_noise,
        "within_compute": found.within(cell),
        "pareto": cell.place in found.pareto,
        "saturated": found.saturated(cell),
        "recommended": cell.place == found.recommended.cell.place,
    }


def described(found: "Frontier", delta: Delta, warnings: Sequence[str], physical: int | None) -> to_json.Object:
    """The object that `dpplan frontier --json` prints: the recommended plan, and every cell."""
    choice, solution = found.recommended, found.recommended.solution
    recommended = {
        "rule": choice.rule,
        **record(found, _exact(choice)),
        "passes": None if physical is None else passes(choice.cell, physical),
        "epsilon": to_json.figure(solution.spent),
        "why": list(choice.why),
        "caveat": choice.caveat,
        "doublings": [
            {
                "what": each.what,
                "noise_multiplier": each.solution.value,
                "noise_batch_ratio_change": each.change,
                "epsilon": to_json.figure(each.solution.spent),
                "plan": to_json.described(each.solution.plan),
            }
            for each in choice.doublings
        ],
    }
    return to_json.document(
        "frontier",
        solution.plan,
        [record(found, cell) for cell in found.cells],
        warnings,
        examples=found.grid.examples,
        target_epsilon=found.grid.target_epsilon,
        delta=delta.value,
        delta_reason=delta.reason,
        compute=found.compute,
        corner=list(found.corner),
        cheapest={"within": NEAR, **record(found, found.cheapest)},
        physical_batch=physical,
        effective_noise_floor=found.floor,
        recommended=recommended,
    )


def as_csv(found: "Frontier") -> str:
    """A line for each cell under the names of FIELDS. Nothing is rounded."""
    text = io.StringIO()
    writer = csv.DictWriter(text, FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(record(found, cell) for cell in found.cells)
    return text.getvalue()
