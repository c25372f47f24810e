"""dpplan curve: epsilon over delta or over one quantity of a run, or delta over epsilon."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dpplan import accounting, processes
from dpplan.commands.shared import csv_option, output, plan_arguments, plot_option, waiting
from dpplan.commands.shared.accountant_option import EVERY, EVERYONE, TAKERS, AccountantChoice, accountant_options
from dpplan.commands.shared.curve_axis import OVER, PROFILES, Axis, AxisRange
from dpplan.commands.shared.parameter_types import COUNT, NUMBER, Name
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.request import Request, requested
from dpplan.curve import Curves, Progress, Who
from dpplan.errors import NotCertified
from dpplan.render import curve as drawing
from dpplan.render.bound_text import with_guarantees_painted
from dpplan.render.number_format import up
from dpplan.render.table import wrapped

HELP = """ε over δ, or over one quantity of a run; or δ over ε. Every point is certified like a single answer.

--from and --to may be left out: δ goes from 1e-12 to 0.01, ε up to the plan's own at δ = 1e-12, steps and epochs up to
the plan's own, and noise, batch and sample rate around the plan's own.

\b
  dpplan curve --sigma 4 --q 0.01 --steps 10000 --over delta
  dpplan curve --over eps --to 2 --sigma 4 --q 0.01 --steps 10000
  dpplan curve --over sigma --n 60000 --batch 256 --epochs 60 --plot sigma.svg
  dpplan curve --over batch --from 64 --to 4096 --sigma 1 --n 6e4 --epochs 9
  dpplan curve --over steps --to 1e4 --sigma 4 --q .01 --delta 1e-5 --csv -
  dpplan curve --sigma 4 --q .01 --steps 1e4 \\
    --accountant exact --accountant rdp

Exit status: 0 done; 2 the call makes no sense as put, or a file would go where no folder is; 3 nothing could be
certified; 5 a file that is there cannot be read, or one cannot be written.
"""
LEAST_DELTA = 1e-12  # how far a curve over ε goes when nothing is said


@click.command("curve", help=HELP)
@click.option("--over", type=Name(OVER), default="delta", show_default=True, help="What runs along the curve.")
@click.option("--from", "start", type=NUMBER, help="Where it begins.")
@click.option("--to", "end", type=NUMBER, help="Where it ends.")
@click.option("--points", type=COUNT, default=21, show_default=True, help="How many places.")
@click.option("--log/--linear", "log", default=None, help="How places are spaced; the quantity decides if not given.")
@plan_arguments.phases
@plan_arguments.scheme
@plan_arguments.file
@plan_arguments.deltas(several=False)
@click.option(
    "--accountant",
    "names",
    type=Name(EVERYONE),
    multiple=True,
    help="Who computes; if not given exact, or rdp as for `dpplan epsilon`. Repeatable.",
)
@accountant_options
@plot_option.plot_option("Also draw it")
@output.json_option
@csv_option.csv_option("every point")
def command(
    arguments: PlanArguments,
    over: str,
    start: Any,
    end: Any,
    points: Any,
    log: bool | None,
    delta: Any,
    names: tuple[str, ...],
    choice: AccountantChoice,
    plot: Path | None,
    as_json: bool,
    csv: Path | None,
) -> None:
    axis = Axis(over, start, end, points, log)
    problems = [*axis.problems(arguments), *_who_problems(names or ("exact",), choice), *plot_option.problems(plot)]
    names = names or (accounting.LEAST,)
    problems += [*_clashes(over, delta), *csv_option.problems(csv, as_json)]
    completed = axis.completed(arguments)
    call = requested(completed, None if over in PROFILES else (delta,), choice, *problems)
    if plot is not None:
        plot_option.needs_matplotlib()
    values = axis.values(_reach(axis, call, arguments))
    who = _who(names, choice)
    with waiting.progress("points", len(values) * len(who)) as progress, processes.allow(processes.available()):
        drawn = _computed(axis.over, call, completed, values, who, progress)
    if drawn.refusals and not any(bound for bounds in drawn.series.values() for bound in bounds):
        raise NotCertified("\n".join(drawn.refusals.values()))
    if plot is not None:
        plot_option.draw(drawn, plot)
    if csv is not None:
        csv_option.write(csv, drawing.as_csv(drawn))
    if csv == csv_option.STDOUT:
        output.warn(call.warnings)
        return
    if as_json:
        _print_json(drawn, call, plot)
        return
    output.say(with_guarantees_painted(wrapped(drawing.title(drawn)), output.paint))
    output.show(drawing.table(drawn))
    output.say(["", *drawing.stand_in(drawn), *drawing.rows(drawn, call.deltas, call.earlier, call.names)])
    written = [f"{how} to {file}" for how, file in (("drawn", plot), ("written", csv)) if file is not None]
    output.say(["", *written] if written else [])
    output.warn(call.warnings)


def _computed(
    over: str, call: Request, arguments: PlanArguments, values: Sequence[float], who: Who, progress: Progress | None
) -> Curves:
    from dpplan import curve

    if over == "delta":
        return curve.profile(call.plan, values, who, progress)
    if over == "eps":
        return curve.delta_profile(call.plan, values, who, progress)
    (at,) = call.deltas
    before = call.plan.phases[: call.earlier]
    if not arguments.in_phases:
        return curve.against(arguments.settings, over, values, at.value, who, before, progress)
    done = sum(phase.steps for phase in before)
    last = call.plan.steps - done
    within = [value for value in values if value <= last] or [float(last)]
    drawn = curve.along(call.plan, [done + int(value) for value in within], at.value, who, progress)
    return dataclasses.replace(drawn, x=tuple(within))


def _reach(axis: Axis, call: Request, arguments: PlanArguments) -> AxisRange:
    """From where to where, when nothing is said."""
    if axis.over == "eps":
        most = accounting.epsilon(call.plan, LEAST_DELTA, accounting.LEAST).value if axis.end is None else axis.end
        return AxisRange(0.0, float(up(most, 2)) if 0 < most < 1e300 else 1.0)
    if arguments.in_phases and axis.over == "steps":
        last = sum(phase.steps for phase in call.plan.phases[call.earlier :])
        return AxisRange(1.0 if axis.logarithmic else max(1.0, last / axis.points), last)
    own = dataclasses.replace(call.plan, phases=call.plan.phases[-1:])
    return axis.reach(own, arguments.settings)


def _who(names: Sequence[str], choice: AccountantChoice) -> Who:
    every = accounting.ACCOUNTANTS if EVERY in names else dict.fromkeys(names)
    return {name: choice.options("exact" if name == accounting.LEAST else name) for name in every}


def _who_problems(names: Sequence[str], choice: AccountantChoice) -> list[str]:
    """Unknown accountants, and what was said to accountants that were not asked."""
    found = [problem for name in dict.fromkeys(names) for problem in AccountantChoice(name, {}).problems()]
    for option, value in choice.given.items():
        if not found and EVERY not in names and not set(TAKERS[option]) & set(names):
            found += AccountantChoice(names[0], {option: value}).problems()
    return found


def _clashes(over: str, delta: Any) -> list[str]:
    found = []
    if over in PROFILES and delta is not None:
        what = "δ runs along the curve" if over == "delta" else "δ is what is computed"
        found.append(f"--delta with --over {over}: {what}. Leave --delta out, or say --from and --to.")
    return found


def _print_json(drawn: Curves, call: Request, plot: Path | None) -> None:
    from dpplan.render import to_json

    more = {"plot": str(plot)} if plot is not None else {}
    deltas = [{"value": delta.value, "reason": delta.reason} for delta in call.deltas]
    output.as_json(
        to_json.document(
            "curve", drawn.plan, drawing.results(drawn), call.warnings,
            over=drawn.x_name, quantity=drawn.quantity, delta=deltas[0] if deltas else None,
            earlier_phases=call.earlier, **more,
        )
    )  # fmt: skip
