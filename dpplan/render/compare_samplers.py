"""One run under every sampling scheme and relation: as a table, and as JSON."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dpplan.checks import show
from dpplan.loader_run import OPACUS, opacus_steps, settings_at_rate
from dpplan.render import bound_text
from dpplan.render.number_format import down, ratio, up
from dpplan.render.table import Column, Table, TableCell
from dpplan.render.to_json import Object, described, figure
from dpplan.sampling import CHOICES, LOADERS

if TYPE_CHECKING:
    from dpplan.compare.samplers import SamplerComparison, SamplerRow

DIGITS = 5
WIDE = 1e-3  # relative width from which both ends are shown
_LEGEND = (
    "ε at most, and at least where that is less; × usual: that over the Poisson, add/remove figure; σ needed: the "
    "least noise multiplier at which the scheme costs, at most, what the usual figure says, below the run's own where "
    "the scheme is cheaper. ε under different neighbours promises different things: it is not smaller or larger, but "
    "of something else."
)


def table(found: "SamplerComparison", loader: str | None = None) -> Table:
    """A row for each scheme and relation, also where there is no figure: below it stands why, and what to give, and
    what a loader really draws by."""
    columns = (
        Column("sampling"),
        Column("neighbours"),
        Column("ε at most", True),
        Column("at least", True),
        Column("× usual", True),
        Column("σ needed", True),
    )
    mark = LOADERS[loader].scheme if loader else None
    rows = tuple(_rows(found, mark))
    refused = dict.fromkeys(
        f"{row.sampling}, {row.adjacency}: refused; {row.refusal}" for row in found.rows if row.bound is None
    )
    notes = (_LEGEND, *refused, *(f"left out: {each}" for each in found.left_out))
    return Table(columns, rows, (*notes, *loader_words(loader), *_steps_taken(found, loader)), keys=2)


def loader_words(loader: str | None) -> tuple[str, ...]:
    """What the loader really draws by."""
    if loader is None:
        return ()
    known = LOADERS[loader]
    by = (
        f"it draws by {known.scheme} (marked *)"
        if known.scheme
        else f"nothing is proven of it; draw by {known.nearest}"
    )
    return (f"loader {loader}: {known.words}: {by}.",)


def _steps_taken(found: "SamplerComparison", loader: str | None) -> tuple[str, ...]:
    """Of what run the marked rows are, where the loader takes other epochs than are said."""
    if loader is None:
        return ()
    said = found.settings.with_(sampling=LOADERS[loader].scheme or "")
    run = settings_at_rate(said, loader)
    plan = next((row.plan for row in found.rows if row.sampling == said.sampling), None)
    if run == said or plan is None:
        return ()
    each = round(1 / run.exact_rate)
    each = opacus_steps(each) if loader == OPACUS else each
    return (f"The rows marked * are of what it runs: {show(each)} steps per epoch, {plan.steps} in all.",)


def document(found: "SamplerComparison", loader: str | None) -> Object:
    about = None if loader is None else LOADERS[loader]
    return {
        "schema": "dpplan.compare-samplers/1",
        "delta": found.delta,
        "usual": figure(found.usual),
        "loader": None if about is None else {"name": about.name, "scheme": about.scheme, "words": about.words},
        "left_out": list(found.left_out),
        "results": [
            {
                "sampling": row.sampling,
                "adjacency": row.adjacency.name,
                "plan": None if row.plan is None else described(row.plan),
                "epsilon": None if row.bound is None else figure(row.bound),
                "refusal": row.refusal or None,
                "ratio_to_usual": found.ratio(row),
                "noise_needed": row.noise_needed,
            }
            for row in found.rows
        ],
    }


def _rows(found: "SamplerComparison", mark: str | None) -> Iterator[tuple[TableCell, ...]]:
    """In the order of the schemes."""
    left_out = {each.partition(":")[0] for each in found.left_out}
    for name in CHOICES:
        if name in left_out:
            yield _without_figure(name, "", "left out", name == mark)
        yield from (_cells(found, row, name == mark) for row in found.rows if row.sampling == name)


def _without_figure(sampling: str, neighbours: str, why: str, marked: bool) -> tuple[TableCell, ...]:
    cells = f"{sampling} *" if marked else sampling, neighbours, why, "", "", ""
    return tuple(map(TableCell, cells))


def _cells(found: "SamplerComparison", row: "SamplerRow", marked: bool) -> tuple[TableCell, ...]:
    bound, times = row.bound, found.ratio(row)
    if bound is None:
        return _without_figure(row.sampling, str(row.adjacency), "refused", marked)
    wide = bound.lower is not None and (bound.relative_width or 0.0) > WIDE
    return (
        TableCell(f"{row.sampling} *" if marked else row.sampling),
        TableCell(str(row.adjacency)),
        TableCell(up(bound.value, DIGITS), bound_text.meaning(bound)),
        TableCell(down(bound.lower, DIGITS) if wide and bound.lower is not None else ""),
        TableCell("" if times is None else ratio(times)),
        TableCell("" if row.noise_needed is None else show(row.noise_needed)),
    )
