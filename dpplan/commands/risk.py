"""dpplan risk: what a plan's ε means for a person in the data."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpplan import accounting
from dpplan.checks import Problems
from dpplan.commands.shared import output, plan_arguments, plan_files, plot_option, waiting
from dpplan.commands.shared.accountant_option import AccountantChoice
from dpplan.commands.shared.limit_options import at_least_zero
from dpplan.commands.shared.parameter_types import CHANCE, NUMBER, Below, FileName
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.plan_source import plan_of_file
from dpplan.commands.shared.request import requested
from dpplan.errors import PlanError
from dpplan.plan import Plan

if TYPE_CHECKING:
    from dpplan.risk import AttackQuestion, Source

HELP = """What a plan allows an attacker at most: how often one is recognised, and how sure anybody can be of it.

Of a plan, a recipe or a finished run (SOURCE: a recipe or a plan file, the folder of a run, its report.json, or the
JSON of dpplan epsilon) the figures come from the whole certified profile δ(ε), not from one (ε, δ); they hold for any
attacker who sees all that is released and knows everything else. Beside each stands what guessing reaches, and what ε
at --delta alone would allow. With --eps and --delta, or --mu, and no plan: what these alone imply.

\b
  dpplan risk --sigma 1.1 --n 60000 --batch 256 --epochs 60
  dpplan risk --sigma 1.1 --q 1/234 --steps 14063 --delta 1e-5 \\
    --prior .01 --fpr .001
  dpplan risk --sigma 1 --q .01 --steps 1000 --delta 1e-5 --plot risk.svg
  dpplan risk recipes/digits.yaml --n 1437
  dpplan risk --eps 3 --delta 1e-5
  dpplan risk --mu .5 --at .01 --at .0001
  dpplan risk --mu .583925 --delta 1e-5

TPR is the share of members that are recognised, FPR the share of others that are taken for members. Posterior: how sure
the attacker may be of one that is accused at --fpr. Advantage bounds TPR - FPR. Singling out (a predicate that one
record alone fulfils), attribute inference and reconstruction: the success of somebody who is right with chance
--baseline without the data, at most TPR at that FPR, for each of the three by the same theorem (arXiv:2507.06969), of a
record that is named before the output is seen, and beyond what all other records tell of it. The worst posterior over
all outputs is not shown: it is 1 for Gaussian noise of any size. Noise for a given risk: dpplan solve --max-advantage,
--max-tpr, --max-posterior.

Smallest μ: of Gaussian differential privacy, for all of the profile but δ₀ (--mu-delta). Its regret, as GDP reporting
(arXiv:2503.10945) calls it, says how much is lost by telling the plan in this one number: the least Δ by which both
rates of the plan's trade-off f have to move for it to lie below that of μ, f(α + Δ) - Δ ≤ f_μ(α), from above. Such a
μ is judged with its δ₀, --mu M --delta δ₀: without it, it says that nothing was left out.

Exit status: 0 done; 2 the call makes no sense as put, or SOURCE is no report, or a file would go where no folder is; 3
nothing could be certified; 5 a file that is there cannot be read, or one cannot be written.
"""

_JUDGED = "what is judged"
USUAL_DELTA = "Values below 1/n are meaningful."


@click.command("risk", help=HELP)
@click.argument("source", type=FileName(path_type=Path), metavar="[SOURCE]", required=False)
@plan_arguments.phases
@plan_arguments.scheme
@plan_arguments.deltas(several=False)
@click.option("--eps", "epsilon", type=NUMBER, help="A stated ε, with --delta, in place of a plan.")
@click.option(
    "--mu", type=NUMBER, help="A stated μ of Gaussian differential privacy, in place of a plan; its δ₀ by --delta."
)
@click.option("--at", "rates", type=NUMBER, multiple=True, help="A false-positive rate; 1e-1 to 1e-5 if not given.")
@click.option("--prior", type=NUMBER, default=0.5, show_default=True, help="How likely a person is in the data.")
@click.option("--fpr", type=NUMBER, default=0.01, show_default=True, help="False-positive rate of the posterior.")
@click.option("--baseline", type=NUMBER, default=0.01, show_default=True, help="Chance to be right without the data.")
@click.option(
    "--mu-delta",
    type=CHANCE,
    help="The δ₀ that the smallest μ may leave out. If not given: the δ of all else; 1e-5 for --mu alone.",
)
@plot_option.plot_option("Also draw the trade-off")
@output.json_option
def command(
    source: Path | None,
    arguments: PlanArguments,
    delta: Any,
    epsilon: Any,
    mu: Any,
    plot: Path | None,
    as_json: bool,
    **chances: Any,
) -> None:
    from dpplan import risk
    from dpplan.render import risk as render

    clashes = _clashes(source, epsilon, mu)
    if source is not None and not clashes and plan_files.is_whole_plan(source):
        source, arguments = None, replace(arguments, files=(str(source), *arguments.files))
    elif source is not None and not clashes:
        clashes = _beside_source()
    asked = AttackOptions(**chances)
    problems = [*asked.problems, *plot_option.problems(plot), *clashes]
    with waiting.status("computing"):
        judged = _judged(source, arguments, delta, epsilon, mu, problems)
        if plot is not None:
            plot_option.needs_matplotlib()
        question = asked.question(judged.stated, judged.delta)
        found = risk.assess(judged.source, question)
        if plot is not None:
            from dpplan.plot import risk as drawing

            drawing.draw(found.trade_off, question.stated, plot)
    if as_json:
        output.as_json(render.document(found, judged.plan, judged.warnings))
        return
    output.show(render.table(found))
    output.say(["", *render.rows(found, judged.plan, judged.names, output.paint)])
    if plot is not None:
        output.say(["", f"drawn to {plot}"])
    output.warn(judged.warnings)


@dataclass(frozen=True)
class AttackOptions:
    """What is asked of an attacker, as typed: false-positive rates, and chances before and without the data."""

    rates: tuple[Any, ...] = ()
    prior: Any = 0.5
    fpr: Any = 0.01
    baseline: Any = 0.01
    mu_delta: Any = None

    @property
    def problems(self) -> list[str]:
        found = Problems()
        for rate in self.rates:
            found.probability("at", rate, closed_right=False, try_="It is a false-positive rate, such as 0.01.")
        for name in ("prior", "fpr", "baseline"):
            found.probability(name, getattr(self, name), closed_right=False, try_="It is a chance, such as 0.01.")
        if self.mu_delta is not None:
            found.probability("mu_delta", self.mu_delta, closed_right=False, try_="1e-5 is usual.")
        return found.found

    def question(self, stated: tuple[float, float] | None, delta: float | None) -> "AttackQuestion":
        """stated: the (ε, δ) to stand beside. delta: the one that a μ may leave out where nothing else is said."""
        from dpplan import risk

        usual = risk.AttackQuestion()
        left_out = next(each for each in (self.mu_delta, delta, usual.mu_delta) if each is not None)
        return risk.AttackQuestion(
            rates=tuple(float(rate) for rate in self.rates) or usual.rates,
            prior=float(self.prior),
            fpr=float(self.fpr),
            baseline=float(self.baseline),
            mu_delta=float(left_out),
            stated=stated,
        )


def _clashes(source: Path | None, epsilon: Any, mu: Any) -> list[str]:
    """Where a figure is stated: what else says what is judged, be it one option of a plan."""
    stated = [name for name, given in (("--eps", epsilon), ("--mu", mu)) if given is not None]
    if not stated:
        return []
    said = [*(["SOURCE"] if source is not None else []), *plan_arguments.as_one(but=()), *stated]
    return plan_arguments.one_of(said, _JUDGED)


def _beside_source() -> list[str]:
    """Which options of a plan stand beside a recipe or a run, which says all of its own."""
    clash = plan_arguments.one_of(["SOURCE", *plan_arguments.as_one()], _JUDGED)
    earlier = (
        " What ran before is counted beside a run or a plan file that --phases names, and beside the options of a plan."
    )
    return [each + (earlier if "--spent" in plan_arguments.typed_of_plan() else "") for each in clash]


@dataclass(frozen=True)
class _Judged:
    """What is judged, the δ it is judged at, the (ε, δ) to stand beside it, warnings, and the plan and names of its
    phases where there are."""

    source: "Source"
    delta: float | None
    stated: tuple[float, float] | None
    warnings: list[str]
    plan: Plan | None
    names: tuple[str, ...] = ()


def _judged(
    source: Path | None, arguments: PlanArguments, delta: Any, epsilon: Any, mu: Any, problems: list[str]
) -> _Judged:
    from dpplan import risk

    if epsilon is not None or mu is not None:
        checked = Problems()
        checked.found += [*problems, *(at_least_zero("eps", (epsilon,)) if epsilon is not None else ())]
        if mu is not None:
            checked.positive("mu", mu, try_="0.1 to 2 is usual.")
        if epsilon is not None:
            checked.require(delta is not None, "delta is missing: an ε means nothing without one. Give --delta.")
        if delta is not None:
            checked.probability("delta", delta, closed_right=False, try_=USUAL_DELTA)
        if checked.found:
            raise PlanError(checked.found)
        # A guarantee that is stated holds at the δ that was typed, and not below.
        at = 0.0 if delta is None else math.nextafter(delta, 1.0) if isinstance(delta, Below) else float(delta)
        if mu is not None:
            return _Judged(risk.source_of_gdp(float(mu), at), at or None, None, [], None)
        return _Judged(risk.source_of_stated(float(epsilon), at), at, None, [], None)
    plan, at, warnings, names = _plan(source, arguments, delta, problems)
    bound = accounting.epsilon(plan, at, accounting.LEAST)
    return _Judged(risk.source_of_figure(plan, bound), at, (bound.value, at), warnings, plan, names)


def _plan(
    source: Path | None, arguments: PlanArguments, delta: Any, problems: list[str]
) -> tuple[Plan, float, list[str], tuple[str, ...]]:
    """The plan, its δ, warnings, and the names of its phases."""
    if source is None:
        call = requested(arguments, (delta,), AccountantChoice("exact", {}), *problems)
        return call.plan, call.deltas[0].value, list(call.warnings), call.names
    checked = Problems()
    checked.found += problems
    if delta is not None:
        checked.probability("delta", delta, closed_right=False, try_=USUAL_DELTA)
    if checked.found:
        raise PlanError(checked.found)
    return *plan_of_file(source, delta, arguments.settings.examples), ()
