"""dpplan curve: epsilon over delta or over one quantity of a run, or delta over epsilon."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dpplan import accounting
from dpplan.commands.shared import output, plan_arguments, plot_option
from dpplan.commands.shared.curve_axis import OVER, PROFILES, Axis, Reach
from dpplan.commands.shared.plan_arguments import (
    EVERY,
    EVERYONE,
    OPTIONS,
    AccountantChoice,
    Name,
    PlanArguments,
    Request,
)
from dpplan.curve import Curves, Progress, Who
from dpplan.errors import NotCertified
from dpplan.render import curve as drawing
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
  dpplan curve --over steps --to 1e4 --sigma 4 --q .01 --delta 1e-5 --csv
  dpplan curve --sigma 4 --q .01 --steps 1e4 \\
    --accountant exact --accountant rdp

Exit status: 0 done; 2 the call makes no sense as put; 3 nothing could be certified.
"""
LEAST_DELTA = 1e-12  # how far a curve over ε goes when nothing is said


@click.command("curve", help=HELP, short_help="ε over δ, steps, noise or batch; or δ over ε.")
@click.option("--over", type=Name(OVER), default="delta", show_default=True, help="What runs along the curve.")
@click.option("--from", "start", type=plan_arguments.NUMBER, help="Where it begins.")
@click.option("--to", "end", type=plan_arguments.NUMBER, help="Where it ends.")
@click.option("--points", type=plan_arguments.COUNT, default=21, show_default=True, help="How many places.")
@click.option("--log/--linear", "log", default=None, help="How places are spaced; the quantity decides if not given.")
@plan_arguments.phases
@plan_arguments.deltas(several=False)
@click.option(
    "--accountant", "names", type=Name(EVERYONE), multiple=True, help="Who computes; exact if not given. Repeatable."
)
@plan_arguments.told
@click.option(
    "--plot", type=plan_arguments.FileName(path_type=Path, dir_okay=False), help="Also draw it, as .svg or .png."
)
@plan_arguments.as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values and nothing else.")
def command(
    said: PlanArguments,
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
    as_csv: bool,
) -> None:
    axis = Axis(over, start, end, points, log)
    names = names or ("exact",)
    problems = [*axis.problems(said), *_who_problems(names, choice), *plot_option.problems(plot)]
    problems += _clashes(over, delta, as_json and as_csv)
    completed = axis.completed(said)
    asked = plan_arguments.settle(completed, None if over in PROFILES else (delta,), choice, *problems)
    if plot is not None:
        plot_option.needs_matplotlib()
    values = axis.values(_reach(axis, asked, said))
    with output.progress("points") as progress:
        drawn = _draw(axis.over, asked, completed, values, _who(names, choice), progress)
    if drawn.refusals and not any(bound for bounds in drawn.series.values() for bound in bounds):
        raise NotCertified("\n".join(drawn.refusals.values()))
    if plot is not None:
        plot_option.draw(drawn, plot)
    if as_csv:
        click.echo(drawing.as_csv(drawn), nl=False)
        output.warn(asked.warnings)
        return
    if as_json:
        _print_json(drawn, asked, plot)
        return
    output.say(wrapped(drawing.title(drawn)))
    output.show(drawing.table(drawn))
    output.say(["", *drawing.rows(drawn, asked.deltas, asked.earlier)])
    if plot is not None:
        output.say(["", f"drawn to {plot}"])
    output.warn(asked.warnings)


def _draw(
    over: str, asked: Request, said: PlanArguments, values: Sequence[float], who: Who, progress: Progress | None
) -> Curves:
    from dpplan import curve

    if over == "delta":
        return curve.profile(asked.plan, values, who, progress)
    if over == "eps":
        return curve.delta_profile(asked.plan, values, who, progress)
    (at,) = asked.deltas
    before = asked.plan.phases[: asked.earlier]
    if not said.in_phases:
        return curve.against(said.settings, over, values, at.value, who, before, progress)
    done = sum(phase.steps for phase in before)
    last = asked.plan.steps - done
    within = [value for value in values if value <= last] or [float(last)]
    drawn = curve.along(asked.plan, [done + int(value) for value in within], at.value, who, progress)
    return dataclasses.replace(drawn, x=tuple(within))


def _reach(axis: Axis, asked: Request, said: PlanArguments) -> Reach:
    """From where to where, when nothing is said."""
    if axis.over == "eps":
        most = accounting.epsilon(asked.plan, LEAST_DELTA).value if axis.end is None else axis.end
        return Reach(0.0, float(up(most, 2)) if 0 < most < 1e300 else 1.0)
    if said.in_phases and axis.over == "steps":
        last = sum(phase.steps for phase in asked.plan.phases[asked.earlier :])
        return Reach(1.0 if axis.logarithmic else max(1.0, last / axis.points), last)
    own = dataclasses.replace(asked.plan, phases=asked.plan.phases[-1:])
    return axis.reach(own, said.settings)


def _who(names: Sequence[str], choice: AccountantChoice) -> Who:
    every = accounting.ACCOUNTANTS if EVERY in names else dict.fromkeys(names)
    return {name: choice.options(name) for name in every}


def _who_problems(names: Sequence[str], choice: AccountantChoice) -> list[str]:
    """Unknown accountants, and what was said to accountants that were not asked."""
    found = [problem for name in dict.fromkeys(names) for problem in AccountantChoice(name, {}).problems()]
    for option, value in choice.given.items():
        if not found and EVERY not in names and not set(OPTIONS[option]) & set(names):
            found += AccountantChoice(names[0], {option: value}).problems()
    return found


def _clashes(over: str, delta: Any, both: bool) -> list[str]:
    found = []
    if over in PROFILES and delta is not None:
        what = "δ runs along the curve" if over == "delta" else "δ is what is computed"
        found.append(f"--delta with --over {over}: {what}. Leave --delta out, or say --from and --to.")
    if both:
        found.append("--json and --csv are two formats of one answer. Give one of them.")
    return found


def _print_json(drawn: Curves, asked: Request, plot: Path | None) -> None:
    from dpplan.render import to_json

    more = {"plot": str(plot)} if plot is not None else {}
    deltas = [{"value": delta.value, "reason": delta.reason} for delta in asked.deltas]
    output.as_json(
        to_json.document(
            "curve", drawn.plan, drawing.results(drawn), asked.warnings,
            over=drawn.x_name, quantity=drawn.quantity, delta=deltas[0] if deltas else None,
            earlier_phases=asked.earlier, **more,
        )
    )  # fmt: skip
