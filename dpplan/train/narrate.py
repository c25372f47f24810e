"""A run in words: plain lines, at most 80 columns. What they are printed on is the command's business."""

import textwrap
from collections.abc import Iterator

from dpplan.accounting.bound import Bound
from dpplan.checks import show
from dpplan.render.numbers import down, percent, up
from dpplan.render.text import headline, row
from dpplan.train.randomness import SEEDED
from dpplan.train.report import Epoch, Planned, TrainReport

FOOTNOTE = "* seen without noise: not covered by ε, not to be published with it"
EPOCH_HEAD = f"  {'epoch':>5}  {'step':>7}  {'ε so far':>10}  {'loss*':>8}  {'accuracy*':>9}"


def plan_lines(planned: Planned) -> Iterator[str]:
    """The plan: what it costs, then all it rests on."""
    claim, phase = planned.claim, planned.claim.phase
    yield from _headline(claim.epsilon, planned)
    yield ""
    solved = f"solved for ε ≤ {show(claim.target_epsilon)}" if claim.target_epsilon is not None else "given"
    yield row("recipe", planned.recipe.name, f"sha256 {planned.recipe.sha256[:12]}")
    yield row("noise multiplier", down(phase.noise_multiplier, 8), solved)
    yield row("clip norm", show(claim.clip_norm), "given")
    yield row("sample rate", f"{phase.sample_rate:.6g}", _origin(planned, "sample_rate"))
    yield row("steps", show(phase.steps), _origin(planned, "steps"))
    yield row("delta", show(claim.delta.value), claim.delta.reason or "given")
    yield row("training examples", show(claim.plan.examples), "protected; their number is public")
    yield row("held out", show(planned.dataset.held_out.examples), "never drawn; not protected")
    yield f"  {'assumes':<19}{claim.plan.assumptions}"
    if claim.warning:
        yield from textwrap.wrap(f"warning: {claim.warning}", 80, subsequent_indent="  ")


def epoch_line(epoch: Epoch) -> str:
    loss = "-" if epoch.loss is None else f"{epoch.loss:.4g}"
    right = "-" if epoch.accuracy is None else percent(epoch.accuracy)
    return f"  {epoch.epoch:>5}  {epoch.step:>7}  {up(epoch.epsilon.upper):>10}  {loss:>8}  {right:>9}"


def report_lines(report: TrainReport) -> Iterator[str]:
    """What was spent against what was planned, and what came of it."""
    claim, steps = report.planned.claim, report.planned.claim.phase.steps
    yield from _headline(report.spent, report.planned)
    yield ""
    yield row("planned", f"ε ≤ {up(claim.epsilon.upper)}", f"{steps} steps")
    verdict = "as planned" if report.agrees else "not as planned" if report.status == "finished" else report.status
    yield row("spent", f"ε ≤ {up(report.spent.upper)}", f"{report.steps} steps: {verdict}")
    if report.held_out_accuracy is not None:
        held_out = f"on {report.planned.dataset.held_out.examples} held-out examples"
        yield row("accuracy", percent(report.held_out_accuracy) + "*", held_out)
    if report.nonprivate_accuracy is not None:
        yield row("without privacy", percent(report.nonprivate_accuracy) + "*", "same model, steps and optimiser")
    if report.dropped:
        yield row("not finite", show(report.dropped) + "*", "example gradients left out of the sums")
    yield f"  {'engine':<19}{report.engine}"
    yield f"  {'written to':<19}{report.folder}"
    yield FOOTNOTE


def ending(report: TrainReport) -> str:
    """Why a run is not what was planned, with the epsilon it spent."""
    claim = report.planned.claim
    taken = f"{report.steps} of {claim.phase.steps} steps, ε ≤ {up(report.spent.upper)} spent"
    if report.status == "finished":
        return f"the run disagrees with its plan: {taken},\n  ε ≤ {up(claim.epsilon.upper)} planned."
    return (
        f"{report.message} after {taken}.\n"
        "  That figure holds if nothing that was seen decided when to stop;\n"
        f"  otherwise the planned ε ≤ {up(claim.epsilon.upper)} holds."
    )


def _headline(bound: Bound, planned: Planned) -> Iterator[str]:
    """The figure with its proof; for a seeded run, that it protects nobody comes first."""
    if planned.seed is not None:
        yield f"no privacy: --seed {planned.seed}"
        yield from textwrap.wrap(
            f"{SEEDED}. The same run without a seed:", 78, initial_indent="  ", subsequent_indent="  "
        )
    yield headline(bound, planned.claim.delta.value)


def _origin(planned: Planned, quantity: str) -> str:
    origin = planned.claim.plan.origin(quantity)
    return f"= {origin}" if origin else "given"
