"""A run in words: plain lines, at most 80 columns. What they are printed on is the command's business."""

import shlex
import textwrap
from collections.abc import Iterable, Iterator

from dpplan.accounting.bound import Bound
from dpplan.accounting.pairs.correlated import pattern, says_steps
from dpplan.checks import show
from dpplan.mechanism import multiplier_of
from dpplan.plan import settings_of
from dpplan.quantities import quantity
from dpplan.recipe.user_keys import SIMULATED
from dpplan.render.bound_text import Paint, headline, unpainted
from dpplan.render.number_format import down, percent, up
from dpplan.render.plan_rows import agreement, row, sentence
from dpplan.render.table import screen_width
from dpplan.rounding import up_apart
from dpplan.train.clipping import Arithmetic
from dpplan.train.clipping.rules import ROUND_OFF
from dpplan.train.conformance import Measurement
from dpplan.train.execution.memorisation_watch import NAME as WATCHED
from dpplan.train.state.report import LOST, Epoch, Planned, TrainReport
from dpplan.train.state.run_folder import RunFolder
from dpplan.train.step.randomness import SEEDED
from dpplan.verify.early_end import CONDITION
from dpplan.verify.unaccounted import UNKNOWN

FOOTNOTE = "* seen without noise: not covered by ε, not to be published with it"
EPOCH_HEAD = f"  {'epoch':>5}  {'step':>7}  {'ε so far':>10}  {'loss*':>8}  {'batch acc.*':>11}"


def plan_lines(planned: Planned, paint: Paint = unpainted) -> Iterator[str]:
    """The plan: what it costs, then all it rests on."""
    claim, phase = planned.claim, planned.claim.phase
    yield from _headline(claim.epsilon, planned, paint)
    yield ""
    solved = f"solved for ε ≤ {show(claim.target_epsilon)}" if claim.target_epsilon is not None else "given"
    yield row("released", "all iterates", "every noisy step, not the final model only")
    yield row("recipe", planned.recipe.name, f"sha256 {planned.recipe.sha256[:12]} of its canonical form")
    yield from _noise_rows(planned, solved)
    yield row("clip norm", show(claim.clip_norm), "given")
    for name, value in settings_of(phase.sampling).items():
        yield row(quantity(name).words, quantity(name).show(value), _origin(planned, name))
    yield row("steps", show(phase.steps), _origin(planned, "steps"))
    if claim.epsilon is not None:
        yield row("delta", show(claim.delta.value), claim.delta.reason or "given")
    yield from _protected_rows(planned)
    yield row("held out", show(planned.dataset.held_out.examples), "never drawn; not protected")
    yield from sentence("assumes", str(claim.plan.assumptions))
    if planned.ranks.size > 1:
        yield row("processes", show(planned.ranks.size), "sums pass between them unencrypted")
    if planned.recipe.runtime.secure_noise:
        yield row("noise from", "the system", "about twelve times slower to draw")
    yield from _resumed_rows(planned)
    if claim.max_epsilon is not None and claim.target_epsilon is None:
        yield row("budget", f"ε ≤ {show(claim.max_epsilon)}", f"on_budget: {planned.recipe.training.on_budget}")
    if claim.warning and claim.epsilon is not None:
        yield from textwrap.wrap(f"warning: {claim.warning}", screen_width(), subsequent_indent="  ")


def _resumed_rows(planned: Planned) -> Iterator[str]:
    """Where a run goes on, and how many of its steps are spent and not in the model that goes on."""
    resumed, steps = planned.resumed, planned.claim.phase.steps
    if resumed is None:
        return
    at, begun = resumed.checkpoint.steps, resumed.begun
    if resumed.lost:
        left = steps - at if planned.past_budget else max(steps - begun, 0)
        model = "the model, which is as untrained as at the start" if at == 0 else "the model"
        yield row("goes on from", f"step {at}", "what was begun after it counts")
        yield from sentence(
            "lost", f"{resumed.lost} of {steps} steps were spent and are not in {model}; {left} are left"
        )
    elif begun > at:
        yield row("goes on from", f"step {at}", "with the same seed, and so the same steps")
    else:
        yield row("goes on from", f"step {at}", "with all that was spent in the model")


def _noise_rows(planned: Planned, solved: str) -> Iterator[str]:
    """How much noise, and how its steps are tied to each other."""
    phase, correlation = planned.claim.phase, planned.recipe.privacy.noise
    yield row("noise multiplier", down(multiplier_of(phase.mechanism), 8), solved)
    if correlation is None:
        return
    yield row("noise", "correlated", str(correlation))
    if not says_steps(phase.sampling):
        yield row("participation", "unknown", f"of one {planned.drawn}: whatever is drawn")
        return
    most, apart = pattern(phase)
    steps = f"{most} step" + ("s" if most > 1 else "")
    yield row("participation", steps, f"of one {planned.drawn} at most, {apart} apart")


def _protected_rows(planned: Planned) -> Iterator[str]:
    """Who is protected, and of users, how many examples count of each and what was left out for it."""
    training, users = planned.dataset.training, planned.dataset.users
    covered = "protected" if planned.claim.epsilon is not None else "by no known ε"
    if training.members is not None:
        yield row("training users", show(training.units), f"{covered}; n is taken for public")
        yield row("training examples", f"{training.examples}*", f"at most {training.views} of each user")
    else:
        yield row("training examples", show(training.examples), f"{covered}; n is taken for public")
    if users is not None:
        yield row("examples left out", f"{users.left_out}*", f"beyond {users.most} of one user, by their")
        yield row("", "", "places alone, not by labels or inputs")
    if planned.recipe.data.user == SIMULATED:
        yield row("users", "simulated", "made up: no real user is protected")


def epoch_line(epoch: Epoch) -> str:
    loss = "-" if epoch.loss is None else f"{epoch.loss:.4g}"
    right = "-" if epoch.accuracy is None else percent(epoch.accuracy)
    spent = "unknown" if epoch.epsilon is None else up(epoch.epsilon.upper)
    return f"  {epoch.epoch:>5}  {epoch.step:>7}  {spent:>10}  {loss:>8}  {right:>11}"


def report_lines(report: TrainReport, paint: Paint = unpainted) -> Iterator[str]:
    """What was spent against what was planned, and what came of it."""
    claim, steps = report.planned.claim, report.planned.claim.phase.steps
    unit = report.planned.drawn
    yield from _headline(report.spent, report.planned, paint)
    yield ""
    yield row("planned", _spent(claim.epsilon), f"{steps} steps")
    verdict = "as planned" if report.agrees else "not as planned" if report.status == "finished" else report.status
    lost = f", {report.lost} lost" if report.lost else ""
    yield row("spent", _spent(report.spent), f"{report.steps} steps: {verdict}{lost}")
    if report.lost:
        yield row("lost", f"{report.lost} of {report.steps}", "steps: spent, and not in the model")
    if report.held_out_accuracy is not None:
        held_out = f"on {report.planned.dataset.held_out.examples} held-out examples"
        yield row("accuracy", percent(report.held_out_accuracy) + "*", held_out)
    if report.evaluation:
        yield from sentence("accuracy", f"{report.evaluation}*")
    if report.nonprivate_accuracy is not None:
        yield row("without privacy", percent(report.nonprivate_accuracy) + "*", "same model, steps and optimiser")
    if report.clipped is not None:
        yield row("clipped", percent(report.clipped) + "*", f"of the {unit} gradients were shortened")
    yield from verdict_rows(report.measured)
    if report.dropped:
        yield row("not finite", show(report.dropped) + "*", f"{unit} gradients left out of the sums")
    yield from sentence("engine", report.engine)
    yield from sentence("isolation", str(report.isolation))
    yield from arithmetic_rows(report.arithmetic, report.round_off)
    if report.run["elsewhere_steps"]:
        yield row("elsewhere", f"{report.run['elsewhere_steps']} steps", "from copies of the folder; counted")
    if report.run["user_record_missing"]:
        yield from sentence("copies", f"unseen: {report.run['user_record_missing']}")
    yield f"  {'written to':<19}{report.folder}"
    if (report.folder / WATCHED).exists():
        yield row("watched*", WATCHED, "examples at risk, ranked: private")
    elif report.planned.recipe.audit.watch:
        yield row("watched*", "nothing", "no epoch was done, or the model fails outside of training")
    yield FOOTNOTE


def arithmetic_rows(found: Arithmetic, round_off: float) -> Iterator[str]:
    """What was found of the machine's arithmetic, which the bound on an example's influence rests on."""
    if found.untried:
        said = f"not tested: {found.untried}. That an example counts alike wherever it stands is assumed."
    elif found.same_bits:
        said = "an example has the same bits wherever it stands: tested before the first step, not proven"
    else:
        margin = (
            "inside the margin" if round_off == ROUND_OFF else f"gradients clipped to {down(1 - round_off)} C for it"
        )
        said = f"an example differs by up to {found.largest:.1e} C with its place: tested, not proven; {margin}"
    yield from sentence("arithmetic", said)


def verdict_rows(checks: Iterable[Measurement]) -> Iterator[str]:
    """A row for each thing that was measured: whether it agrees, and where more may be known, the figure."""
    for check in checks:
        verdict = agreement(check.name, check.agrees)
        value = verdict if check.realised is None else check.realised
        mark = "" if check.covered else "*"
        note = check.planned if check.realised is None else f"{check.planned} planned: {verdict}"
        # On a narrow screen whoever prints the row folds it.
        lines = textwrap.wrap(note, screen_width() - 38) if screen_width() >= 68 else [note]
        yield row(check.name, value + mark, lines[0])
        yield from (f"{'':<38}{line}" for line in lines[1:])


def ending(report: TrainReport) -> str:
    """Why a run is not what was planned, with the epsilon it spent."""
    claim = report.planned.claim
    spent, planned = "", ""
    if report.spent is not None and claim.epsilon is not None:
        spent, planned = up_apart(report.spent.upper, claim.epsilon.upper)
    taken = f"{report.steps} of {claim.phase.steps} steps, {f'ε ≤ {spent} spent' if spent else UNKNOWN}"
    taken += f", {report.lost} of them not in the model" if report.lost else ""
    if report.evaluation and report.agrees:
        return (
            f"{report.evaluation}; {taken}, as planned.\n  model.pt and report.json lack nothing else: {report.folder}"
        )
    if report.status == "finished":
        wrong = ", ".join(check.name for check in report.verdict if not check.agrees)
        asked = f",\n  ε ≤ {planned} planned" if planned else ""
        return f"the run disagrees with its plan: {taken}{asked} ({wrong})."
    if not planned:
        return f"{report.message} after {taken}."
    return (
        f"{report.message} after {taken}.\n"
        f"  That figure holds if {CONDITION};\n"
        f"  otherwise the planned ε ≤ {planned} holds."
    )


def going_on(report: TrainReport) -> str:
    """How a run that Ctrl-C or the loss of a process ended goes on; "" of one that is over, or cannot."""
    seeded, phase = report.planned.seed is not None, report.planned.claim.phase
    unplanned = report.status == "interrupted" or report.message == LOST
    if not unplanned or not RunFolder(report.folder).resumable(phase, seeded):
        return ""
    return f"It goes on, and spends more, with dpplan train --resume {shlex.quote(str(report.folder))}"


def _spent(bound: Bound | None) -> str:
    return "unknown" if bound is None else f"ε ≤ {up(bound.upper)}"


def _headline(bound: Bound | None, planned: Planned, paint: Paint) -> Iterator[str]:
    """The figure with its proof; for a seeded run, that it protects nobody comes first."""
    claim = planned.claim
    if bound is None or claim.epsilon is None:
        yield from _no_claim(planned)
        return
    if planned.seed is not None:
        yield f"no privacy: --seed {planned.seed}"
        yield from textwrap.wrap(
            f"{SEEDED}. The same run without a seed:", screen_width() - 2, initial_indent="  ", subsequent_indent="  "
        )
    if claim.exceeded_by(bound):
        allowed = claim.epsilon.upper if claim.max_epsilon is None else claim.max_epsilon
        yield f"over budget: ε ≤ {down(allowed)} was allowed"
    yield headline(bound, claim.delta.value, paint)


def _no_claim(planned: Planned) -> Iterator[str]:
    """That there is no figure, why, and what follows for all else that is done with these examples."""
    yield "unaccounted: no ε of this run is known, and none is claimed"
    said = [f"{planned.claim.unaccounted.removeprefix('exact: ')}", "What is spent on these data is unknown with it."]
    said += [] if planned.seed is None else [f"And --seed {planned.seed}: {SEEDED}."]
    for each in said:
        yield from textwrap.wrap(each, screen_width() - 2, initial_indent="  ", subsequent_indent="  ")


def _origin(planned: Planned, quantity: str) -> str:
    origin = planned.claim.plan.origin(quantity)
    return f"= {origin}" if origin else "given"
