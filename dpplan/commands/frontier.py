"""dpplan frontier: the noise of every batch and length at one target, and the best of them."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpplan import processes
from dpplan.checks import Problems, is_number
from dpplan.commands.shared import csv_option, output, plan_arguments, plot_option, waiting
from dpplan.commands.shared.accountant_option import EXACT
from dpplan.commands.shared.parameter_types import COUNT, NUMBER
from dpplan.commands.shared.request import cautions, resolve
from dpplan.errors import PlanError
from dpplan.number_spelling import Unread
from dpplan.plan import Delta, Settings
from dpplan.quantities import quantity

if TYPE_CHECKING:
    from dpplan.frontier import Frontier, Grid

HELP = """The noise that every batch and length needs at one target, and which of them to take.

Batches and lengths are lists, 64,128,256, or ranges: 64:8192 doubles from the first to the last, 64:8192:25 is 25
values by equal factors. The compute of a run is the examples it processes, steps × batch. For learning the noise-batch
ratio matters, σ / batch: the noise on the mean gradient in units of the clip norm.

\b
  dpplan frontier --n 60000 --target-eps 3 --delta 1e-5 \\
    --batch 64:8192 --epochs 1,5,10,20,50,100,200
  dpplan frontier --n 6e4 --target-eps 3 --batch 256:4096 --epochs 10:80 \\
    --compute 3e6 --physical-batch 512 --rule saturation
  dpplan frontier --n 6e4 --target-eps 3 --batch 64:8192:9 --epochs 1:200:9 \\
    --plot frontier.svg --csv frontier.csv
  dpplan frontier --n 6e4 --target-eps 3 --batch 256:4096 --epochs 10,50 \\
    --adjacency replace-one
  dpplan frontier --n 6e4 --target-eps 3 --batch 256:4096 --epochs 10,50 \\
    --sampling fixed-size
  dpplan frontier --n 1e4 --target-eps 3 --batch 50,100,200 --epochs 2,5 \\
    --sampling balls-in-bins

Cells of poisson, and of fixed-size under add-remove, are solved together, a thousand in seconds. Those of all other
--sampling and --adjacency, and with --max-per-user, are solved one by one, each as dpplan solve does, to seven digits:
a hundred of some hundred steps take one processor from half a minute (cyclic-poisson) over four (balls-in-bins) to
fifteen (truncated-poisson). A cell without a plan, for balls-in-bins a batch that does not divide n, stays empty and
says why. With --unit user alone, n and batch count users.

\b
Rules, all of them among the cells within --compute:
  constant-ratio  the steps and, within a tenth, the noise-batch ratio of
                  least-noise, at the least compute (Sander et al. 2023)
  least-noise     all of the compute, on the least noise-batch ratio
  saturation      all of the compute, on the most steps whose noise no
                  larger batch lowers by over a tenth (McKenna et al. 2025)

Exit status: 0 done; 1 no cell is within the compute or meets the target; 2 the call makes no sense as put, or a file
would go where no folder is; 5 a file cannot be written.
"""
RANGE = "A range is FIRST:LAST or FIRST:LAST:COUNT, with FIRST below LAST and COUNT from 2: 64:8192:25."
MOST_CELLS = 20_000  # some minutes
_EXAMPLES, _BATCH, _EPOCHS = (quantity(name) for name in ("examples", "batch_size", "epochs"))
_EPOCHS_DIGITS = 3  # of a value in the middle of a range


class ListOrRange(click.ParamType):  # type: ignore[type-arg]  # as in parameter_types.py
    """Several numbers, as a list or as a range. What is no number is left for the grid to refuse by name."""

    name = "values"

    def __init__(self, whole: bool) -> None:
        self.whole = whole

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = str(value).replace(" ", "")
        kind = COUNT if self.whole else NUMBER
        if ":" not in text:
            return tuple(kind.convert(item, param, ctx) for item in text.rstrip(",").split(","))
        ends = [kind.convert(item, param, ctx) for item in text.split(":")]
        if len(ends) > 3 or not all(is_number(end) and 0 < end < math.inf for end in ends) or ends[0] > ends[1]:
            return (Unread.because(text, RANGE),)
        low, high, count = (*ends, None)[:3]
        return self._doubling(low, high) if count is None else self._factors(low, high, count, text)

    def _doubling(self, low: float, high: float) -> tuple[float, ...]:
        doublings = math.floor(math.log2(high / low))
        return (*(low * 2**i for i in range(doublings + 1) if low * 2**i < high), high)

    def _factors(self, low: float, high: float, count: float, text: str) -> tuple[Any, ...]:
        if not (float(count).is_integer() and 2 <= count <= MOST_CELLS):
            return (Unread.because(text, RANGE),)
        last = int(count) - 1
        inner = (low * (high / low) ** (i / last) for i in range(1, last))
        rounded = [round(value) if self.whole else float(f"{value:.{_EPOCHS_DIGITS}g}") for value in inner]
        return (low, *rounded, high)


@click.command("frontier", help=HELP)
@click.option("--target-eps", "target", type=NUMBER, help="The ε that a plan may spend.")
@click.option(*_EXAMPLES.all_options, _EXAMPLES.name, type=COUNT, help=_EXAMPLES.help)
@click.option(*_BATCH.all_options, "batches", type=ListOrRange(whole=True), help=_BATCH.help)
@click.option(*_EPOCHS.all_options, _EPOCHS.name, type=ListOrRange(whole=False), help=_EPOCHS.help)
@click.option("--steps", type=ListOrRange(whole=True), help="Noisy updates, instead of epochs.")
@plan_arguments.scheme_alone
@plan_arguments.deltas(several=False)
@click.option("--compute", type=NUMBER, help="The most examples to process: steps × batch.")
@click.option("--physical-batch", "physical", type=COUNT, help="Examples that fit in memory: adds the passes per step.")
@click.option("--rule", default="constant-ratio", show_default=True, help="How to choose; see above.")
@click.option("--cells", is_flag=True, help="List every cell, too.")
@plot_option.plot_option("Also draw the map")
@csv_option.csv_option("every cell")
@click.option("--workers", type=COUNT, help="Processes; as many as there are processors when not given.")
@output.json_option
def command(
    target: Any,
    settings: Settings,
    examples: Any,
    batches: Any,
    epochs: Any,
    steps: Any,
    delta: Any,
    compute: Any,
    physical: Any,
    rule: str,
    cells: bool,
    plot: Path | None,
    csv: Path | None,
    workers: Any,
    as_json: bool,
) -> None:
    from dpplan import frontier
    from dpplan.render import frontier as render

    asked = _request(
        (examples, target, delta),
        (batches, epochs, steps),
        settings,
        [*_limits(physical, workers, compute), *plot_option.problems(plot), *csv_option.problems(csv, as_json)],
    )
    if plot is not None:
        plot_option.needs_matplotlib()
    with waiting.progress("cells", len(asked.grid.lengths) * len(asked.grid.batch_sizes)) as progress:
        found = frontier.frontier(
            asked.grid, compute, rule.replace("_", "-"), workers or processes.available(), progress
        )
    if plot is not None:
        from dpplan.plot import frontier as drawing

        with waiting.status("drawing"):
            drawing.draw(found, plot)
    if csv is not None:
        csv_option.write(csv, render.as_csv(found))
    if csv == csv_option.STDOUT:
        output.warn(asked.warnings)
        return
    if as_json:
        output.as_json(render.described(found, asked.delta, asked.warnings, physical))
        return
    output.say([*render.lines(found, asked.delta, physical, output.paint), ""])
    _show_map(found)
    output.say([""])
    output.show(render.table(found, found.by_rule, physical))
    if cells:
        output.say([""])
        output.show(render.table(found, [(render.mark(found, cell), cell) for cell in found.cells], physical))
    written = [f"written to {file}" for file in (plot, csv) if file is not None]
    output.say(["", *written] if written else [])
    output.warn(asked.warnings)


@dataclass(frozen=True, slots=True)
class FrontierRequest:
    """A call that makes sense. delta: that of the grid, with its reason."""

    grid: "Grid"
    delta: Delta
    warnings: tuple[str, ...]


def _request(
    data: tuple[Any, Any, Any], lengths: tuple[Any, Any, Any], drawn: Settings, problems: list[str]
) -> FrontierRequest:
    """Raises PlanError with all that is wrong with the call."""
    from dpplan.frontier import Grid

    examples, target, delta = data
    batches, epochs, steps = lengths
    found = Problems()
    found.require(examples is not None, "n is missing: give --n.")
    found.require(target is not None, "the target is missing: give --target-eps.")
    known = Settings(examples=examples)
    deltas, others = resolve(known, () if examples is None and delta is None else (delta,), EXACT)
    grid = None
    try:
        stand_in = deltas[0].value if deltas else 0.5
        grid = Grid(
            1 if examples is None else examples,
            1.0 if target is None else target,
            stand_in,
            () if examples is None else batches or (),
            epochs or (),
            steps or (),
            drawn,
        )
        many = len(grid.lengths) * len(grid.batch_sizes)
        found.require(many <= MOST_CELLS, f"{many} cells are more than {MOST_CELLS}. Give fewer batches or lengths.")
    except PlanError as error:
        for problem in error.problems:
            found.add(problem)
    if found.found or others or problems or grid is None:
        raise PlanError([*found.found, *others, *problems])
    return FrontierRequest(grid, deltas[0], cautions(known, deltas))


def _limits(physical: Any, workers: Any, compute: Any) -> list[str]:
    problems = Problems()
    for name, value in (("physical_batch", physical), ("workers", workers)):
        if value is not None:
            problems.whole(name, value)
    if compute is not None:
        problems.positive("compute", compute, try_="It counts the examples processed.")
    return problems.found


def _show_map(found: "Frontier") -> None:
    from dpplan.render import frontier as render

    width = max(output.columns() or 80, 40)
    if not output.is_terminal():
        output.say(render.plain_map(line) for line in render.heat_map(found, width))
        return
    console = output.console()
    for line in render.heat_map(found, width):
        console.print(render.rich_map(line), soft_wrap=True)
