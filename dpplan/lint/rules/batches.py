"""Rules on how the training loop draws its batches: by what the figure is for, and as many of them as it is for.

The docstring of a rule is its long explanation, shown by `dpplan check --explain`.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from dpplan import sampling
from dpplan.accounting.bound import Bound
from dpplan.adjacency import ADD_REMOVE, ZERO_OUT
from dpplan.checks import show
from dpplan.errors import NotApplicable, PlanError
from dpplan.lint.context import LOADERS, LintContext, plan_of, proven
from dpplan.lint.finding import Remark, Severity, at_least, at_most
from dpplan.lint.loader_draws import DRAWS, by_chance, changed, drawn_by, drawn_otherwise, rests_on_steps
from dpplan.lint.rules import shared_noise
from dpplan.loader_run import OPACUS, carried_over, opacus_steps, settings_of_run, upper_end_holds
from dpplan.mechanism import BestOfTrials, Gaussian
from dpplan.mechanism.correlated import Correlated
from dpplan.plan import Phase, Plan, Settings
from dpplan.quantities import MEANINGLESS_EPSILON, quantity
from dpplan.quick_dataclass import dataclass
from dpplan.sampling import BallsInBins, CyclicPoisson, FixedSize, Poisson, Shuffle
from dpplan.sampling.loaders import FROM_ABOVE, Part

_QUICK = (Shuffle, FixedSize)  # whose figures take well below a second
MOST_TOLD = 3  # phases of which each is told by itself
_TOGETHER = "All steps together would make it "
_FEW_STEPS = 10**6  # of more, lattices of batches take seconds
_POISSON_LOADERS = (
    "Opacus's make_private(poisson_sampling=True) and DPDataLoader.from_data_loader make a torch loader Poisson, and "
    "`dpplan train` draws so"
)


def loader_differs(run: LintContext) -> Iterator[Remark]:
    """The loader must draw batches in the way that the figure was computed for.

    Poisson sampling hides whether an example was in a batch, and much of a small ε comes from that. A loader that
    shuffles the data and cuts them into equal batches shows each example exactly once per epoch; no theorem carries the
    Poisson figure over to it, and for some settings its true ε is many times larger (Chua, Ghazi, Kamath, Kumar,
    Manurangsi, Sinha and Zhang 2024, arXiv 2403.17673). Batches of a fixed size need figures of their own as well.
    Where such a figure is soon computed, the sentence gives it; shuffled batches have one for neighbours of which one
    has an example zeroed out, since removing it would cut all batches anew. Opacus's PrivacyEngine.make_private
    replaces a loader that shuffles by one of Poisson batches, where poisson_sampling=True, as it is when nothing is
    said: what such a run draws by, with the loader that is returned, is `--loader opacus`. A loader that leaves out the
    last part of a batch begins its next epoch sooner than one that keeps it, and so many steps may be those of one
    epoch more.

    Where steps share noise (tree, toeplitz, matrix, blt), a figure is for examples that are in so many steps at most
    and so far apart, as is declared or as one fixed order has it. What draws anew keeps none of that: the last step of
    one epoch can be followed by the first of the next. A fixed order (`--loader sequential`) does, under zero-out and
    replace-one, where epochs are long enough; a new order for each epoch keeps a separation of 1. Under add-remove no
    loader does that cuts batches from a list, since removing an example moves all others: there an example's steps have
    to be its own, whoever else is in the data.

    With everybody in every batch nothing is drawn, and every loader is right.
    """
    plan, loader = run.plan, run.loop.loader
    if plan is None or not loader:
        return
    otherwise = list(drawn_otherwise(plan, loader))
    if not otherwise:
        yield from _epochs_begin_sooner(run, plan)
        yield from shared_noise.conditions(run, plan)
        return
    shared = [phase for phase in otherwise if rests_on_steps(phase)]
    if shared:
        yield shared_noise.refused(run, plan, shared)
    if len(shared) == len(otherwise):
        return
    reason = (
        f"the figure is for {plan.assumptions.sampling}, and the loader {LOADERS[loader]}. No theorem carries the "
        f"figure over to it{_own_figure(run, plan)}."
    )
    fixes = (_as_assumed(plan), *_alternatives(run, plan), *_full_batches(plan, run.delta.value))
    yield Remark(Severity.ERROR, "--loader", reason, " ".join(fixes))


def _epochs_begin_sooner(run: LintContext, plan: Plan) -> Iterator[Remark]:
    """Of a loader that draws as the figure assumes, and in shorter epochs."""
    said, loader = run.settings, run.loop.loader
    if part_of(loader) != "left out" or said.examples is None or said.batch_size is None or said.epochs is not None:
        return
    phase, each = plan.phases[0], _full_batches_of_epoch(said.examples, said.batch_size)
    if len(plan.phases) > 1 or not isinstance(phase.sampling, Shuffle):
        return
    begun, counted = (math.ceil(Fraction(phase.steps, length)) for length in (each, phase.sampling.steps_per_epoch))
    if begun > counted:
        reason = (
            f"{loader} takes ⌊{show(said.examples)} / {show(said.batch_size)}⌋ = {each} steps per epoch, so that "
            f"{phase.steps} steps are of {begun} epochs, and the figure is for {counted}."
        )
        yield Remark(Severity.ERROR, "--loader", reason, f"Give --q 1/{each} in place of --batch.")


def _full_batches_of_epoch(examples: int, batch: float) -> int:
    return math.floor(examples / Fraction(repr(float(batch))))


def _own_figure(run: LintContext, plan: Plan) -> str:
    """What is proven of what this loader draws, and the command that says so, as the end of a sentence."""
    drawn, holds = DRAWS[run.loop.loader], _holds(run.loop.loader)
    larger = ", and its own ε can be many times larger"
    if drawn is Poisson or (drawn is not None and drawn is not Shuffle and not drawn_by(plan, "poisson")):
        larger = ", and its own ε is another"
    if drawn is None:
        return f"{larger}; nothing is known here of what it draws"
    asked = _as_drawn(run, plan)
    if asked is None:
        return f"{larger} (what it draws is {_scheme_of(drawn, run, plan)})"
    soon = drawn in (*_QUICK, Poisson) and plan.steps <= _FEW_STEPS
    bound = proven(asked.plan(), run.delta.value) if soon else None
    command = _command(run, asked)
    if bound is None or bound.upper is None:
        return f"{larger} (what is proven of that: {command})"
    bound = carried_over(bound, run.settings, run.loop.loader)
    neighbours = "" if asked.adjacency == plan.adjacency else f" under {asked.adjacency}"
    condition = holds.removeprefix(FROM_ABOVE)
    # The command is asked of the scheme, and shows both ends.
    command = command if bound.lower is not None else f"the upper end of {command}"
    return f": its own ε{neighbours} {_stated(bound)}{condition} ({command})"


def _holds(loader: str) -> str:
    """What carries over to the loader of its scheme; "" for all."""
    return sampling.LOADERS[loader].holds if loader in sampling.LOADERS else ""


def _scheme_of(drawn: type, run: LintContext, plan: Plan) -> str:
    """The options that name what is drawn, or the keys of a plan file, beside which there are no such options."""
    # Removing a record would cut all batches anew.
    zeroed, kind = drawn is Shuffle and plan.adjacency == ADD_REMOVE, vars(drawn)["kind"]
    if run.in_plan_file:
        keys = f"kind: {kind} under sampling{' and adjacency: zero-out' if zeroed else ''}, in the plan file"
        return f"{keys}{' with its cycles as groups' if drawn is CyclicPoisson else ''}"
    groups = " with its cycles as --groups" if drawn is CyclicPoisson else ""
    return f"--sampling {kind}{' --adjacency zero-out' if zeroed else ''}{groups}"


def _stated(bound: Bound) -> str:
    if not bound.lower:
        return f"is proven to be at most {at_most(bound.value)}"
    if bound.relation == "=":
        return f"is {at_most(bound.value)}"
    return f"lies between {at_least(bound.lower)} and {at_most(bound.value)}"


def _as_assumed(plan: Plan) -> str:
    """How to draw as the figure assumes."""
    if all(type(phase.sampling) is Poisson for phase in by_chance(plan)):
        return f"Draw as the figure assumes: {_POISSON_LOADERS}."
    return "Draw as the figure assumes."


def _alternatives(run: LintContext, plan: Plan) -> Iterator[str]:
    """What else may be claimed or drawn, with what it costs where that is soon computed."""
    drawn = DRAWS[run.loop.loader]
    if drawn is None:
        nearest = sampling.LOADERS[run.loop.loader].nearest
        if any(phase.sampling.kind != nearest for phase in by_chance(plan)):
            named = f"kind: {nearest} under sampling, in the plan file" if run.in_plan_file else f"--sampling {nearest}"
            yield f"What is nearest, and has a theorem, is {named}."
        return
    asked, said = _as_drawn(run, plan), run.settings
    by_rate = asked is not None and said.batch_size is not None and asked.batch_size is None
    rate = f"--q {show(asked.sample_rate)} in place of --batch, " if asked is not None and by_rate else ""
    claim = "from above" if _holds(run.loop.loader) else "what is drawn"
    yield f"Or claim {claim}: {rate}{_scheme_of(drawn, run, plan)}."
    if asked is None or said.batch_size is None or said.examples is None:
        return
    if drawn is Shuffle:
        share = Fraction(1, math.ceil(said.examples / Fraction(repr(float(said.batch_size)))))
        bins = asked.with_(batch_size=None, sample_rate=share, sampling=BallsInBins.kind, adjacency=plan.adjacency)
        bound = proven(bins.plan(), run.delta.value) if plan.steps <= _FEW_STEPS else None
        if bound is not None and bound.value <= MEANINGLESS_EPSILON:
            yield (
                f"Or draw balls-in-bins, which takes each example once an epoch, too: ε ≤ {at_most(bound.value)} "
                f"({_command(run, bins)})."
            )
    alike = asked.with_(batch_size=said.batch_size, sample_rate=None, sampling=Poisson.kind, adjacency=ADD_REMOVE)
    loader = f" --loader {run.loop.loader}" if run.loop.loader in sampling.LOADERS else ""
    yield f"What every scheme costs: {_command(run, alike, 'compare samplers')}{loader}."


def _as_drawn(run: LintContext, plan: Plan) -> Settings | None:
    """The settings of the run as its loader draws; None where options do not describe it, or not what is drawn."""
    drawn, said = DRAWS[run.loop.loader], run.settings
    if drawn is None or len(plan.phases) > 1 or not isinstance(plan.only_phase.mechanism, Gaussian):
        return None
    said = said.with_(noise_multiplier=plan.only_phase.mechanism.noise_multiplier)
    if said.steps is not None:
        said = said.with_(epochs=None)
    if said.unit != "example" or not _describes(said, plan):
        return None
    neighbours = ZERO_OUT if drawn is Shuffle and plan.adjacency == ADD_REMOVE else plan.adjacency
    said = said.with_(sampling=vars(drawn)["kind"], scheme_options=(), adjacency=neighbours)
    said = settings_of_run(said, run.loop.loader)
    try:
        said.plan()
    except (PlanError, NotApplicable):
        return None
    return said


def run_of_loader(run: LintContext, plan: Plan) -> Plan | None:
    """What the named loader runs of this plan, under the plan's neighbours; the plan itself where that is all that is
    known. None where nothing is proven of what it draws, or only under other neighbours or on a condition."""
    loader = run.loop.loader
    if not loader:
        return plan
    if not upper_end_holds(loader) and any(True for _ in by_chance(plan)):
        return None
    if not drawn_by(plan, loader):
        asked = _as_drawn(run, plan)
        quick = DRAWS[loader] in (*_QUICK, Poisson) and plan.steps <= _FEW_STEPS
        return asked.plan() if quick and asked is not None and asked.adjacency == plan.adjacency else None
    said = run.settings if run.settings.steps is None else run.settings.with_(epochs=None)
    if not _describes(said, plan):
        return plan
    return dataclasses.replace(settings_of_run(said, loader).plan(), adjacency=plan.adjacency)


def _describes(said: Settings, plan: Plan) -> bool:
    """Whether the plan is that of the settings, and of no earlier run or file."""
    try:
        made = plan_of(said)
    except (PlanError, NotApplicable):
        return False
    return made is not None and made.phases == plan.phases


def _command(run: LintContext, said: Settings, name: str = "epsilon") -> str:
    """The command that computes the figures of these settings."""
    names = ("noise_multiplier", "sample_rate", "examples", "batch_size", "steps", "epochs")
    given = {name: getattr(said, name) for name in names}
    options = [f"{quantity(name).option} {show(value)}" for name, value in given.items() if value is not None]
    if run.delta.reason is None:
        options.append(f"--delta {show(run.delta.value)}")
    if said.sampling != Poisson.kind:
        options.append(f"--sampling {said.sampling}")
    if said.adjacency != ADD_REMOVE:
        options.append(f"--adjacency {said.adjacency.name.replace('_', '-')}")
    return f"dpplan {name} {' '.join(options)}"


def _full_batches(plan: Plan, delta: float) -> Iterator[str]:
    """What so many of them cost, where that is a promise at all."""
    try:
        phases = tuple(changed(phase, _in_every_step) for phase in plan.phases)
    except PlanError:  # of more steps than a record is counted in
        return
    bound = proven(dataclasses.replace(plan, phases=phases, derivation=()), delta)
    if bound is not None and bound.value <= MEANINGLESS_EPSILON:
        yield f"Or use full batches (at this noise, as many steps of those cost ε ≤ {at_most(bound.value)})."


def _in_every_step(phase: Phase) -> Phase:
    """The phase with full batches. Where steps share noise, something else said how often a record takes part."""
    mechanism = phase.mechanism
    if isinstance(mechanism, Correlated):
        mechanism = dataclasses.replace(mechanism, participations=phase.steps, separation=1)
    return dataclasses.replace(phase, mechanism=mechanism, sampling=Poisson(1.0))


def epochs_end_in_part_batches(run: LintContext) -> Iterator[Remark]:
    """A loader that ends each epoch with a part batch takes more steps.

    E epochs over n examples in batches of B are ⌈E n / B⌉ steps; a loader that starts anew each epoch takes ⌈n / B⌉
    in each, E ⌈n / B⌉ in all. One that leaves the last part of a batch out takes E ⌊n / B⌋, which are no more than are
    accounted for. Each step has to be accounted for.

    A note for a plan, or a phase of one, that is given in epochs and whose loader is not named, since most loaders do
    it; a warning where the named loader does (`dpplan help sampling` says which). Nothing of loaders whose steps are
    counted by themselves, as those of `dpplan train` and of jax_privacy are, and so nothing of recipes.
    """
    plan, loader = run.plan, run.loop.loader
    counted = loader in sampling.LOADERS and not part_of(loader) and loader != OPACUS
    longer = [] if run.recipe is not None or counted or plan is None else list(_longer(run, plan))
    if plan is None or not longer:
        return
    part, (first, *others) = part_of(loader), longer
    if loader == OPACUS and isinstance(first.taken.sampling, Poisson) and not others:
        yield _as_opacus_draws(run, plan, first)
        return
    cost, where = _cost_of(run, plan, longer), "epochs" if run.said else run.where("epochs")
    who = "a loader that ends" if loader not in sampling.LOADERS else f"{loader} ends"
    takes = "takes" if who.startswith("a ") else "and takes"
    start = f"{who} each epoch with what is left {takes}"
    start = "Opacus takes" if loader == OPACUS else f"{loader} takes" if part == "left out" else start
    more = ", or more, as each worker ends with its own" if part == "kept by each worker" else ""
    severity = Severity.WARNING if part or loader == OPACUS else Severity.NOTE
    if others:
        told = [f"{each.named}{each.of_epochs(part)}, for {each.figure.steps}" for each in longer[:MOST_TOLD]]
        left = f"; and so of {len(longer) - MOST_TOLD} more" if len(longer) > MOST_TOLD else ""
        reason = f"{start} more steps than the figure is for{more}: {'; '.join(told)}{left}{cost and f'. {cost}'}."
        yield Remark(severity, where, reason, "Stop each loop after the steps of the figure, or give these steps.")
        return
    taken, steps = first.taken.steps, first.figure.steps
    cost = f"; {taken} steps would make it {cost.removeprefix(_TOGETHER)}" if cost else ""
    reason = f"{first.named}{start} {first.of_epochs(part)}{more}, and the figure is for {steps}{cost}."
    instead = f"{taken} steps in place of the epochs" if run.said else f"--steps {taken} in place of --epochs"
    yield Remark(severity, where, reason, f"Stop the loop after {steps} steps, or give {instead}.")


@dataclass(frozen=True, slots=True)
class _Longer:
    """A phase that takes more steps with a loader than the figure is for. place: among the plan's phases. named: in
    front of what is said of it. each: steps of an epoch. figure, taken: the phase, and what the loader makes of it."""

    place: int
    named: str
    settings: Settings
    each: int
    figure: Phase
    taken: Phase

    def of_epochs(self, part: Part) -> str:
        """What the loader takes, in words."""
        share = f"{show(self.settings.examples)} / {show(self.settings.batch_size)}"
        rounded = f"⌊{share}⌋" if part == "left out" else f"⌈{share}⌉"
        rate = f" with q = 1/{self.each}" if self.taken.sampling != self.figure.sampling else ""
        return f"{rounded} = {self.each} steps per epoch{rate}, {self.taken.steps} in all"


def _longer(run: LintContext, plan: Plan) -> Iterator[_Longer]:
    """The phases that are told by n, batch and epochs, and take more steps with the loader than those."""
    loader, alone = run.loop.loader, (run.settings,) if len(plan.phases) == 1 else ()
    said = run.said or alone
    several = sum(each is not None for each in said) > 1
    for place, (settings, phase) in enumerate(zip(said, plan.phases, strict=bool(said))):
        if settings is None or None in (settings.examples, settings.batch_size, settings.epochs):
            continue
        each, steps = steps_of_loader(settings, part_of(loader))
        rounded_down = loader == OPACUS and opacus_steps(each) < each  # no more than E n / B, at no larger rate
        if steps <= phase.steps or rounded_down or isinstance(phase.mechanism, Correlated):
            continue
        rate = Poisson(1.0 / each) if loader == OPACUS and isinstance(phase.sampling, Poisson) else phase.sampling
        named = f"{run.names[place]}: " if run.names else f"phase {place + 1}: " if several else ""
        yield _Longer(place, named, settings, each, phase, dataclasses.replace(phase, sampling=rate, steps=steps))


def part_of(loader: str) -> Part:
    """What this loader does with the last part of a batch; "" where it is not known or there is none."""
    if loader == "shuffle":
        return "kept"
    return sampling.LOADERS[loader].part if loader in sampling.LOADERS else ""


def steps_of_loader(settings: Settings, part: Part) -> tuple[int, int]:
    """The steps of an epoch and of the run, where a loader does that with the last part of a batch."""
    assert settings.examples is not None and settings.batch_size is not None and settings.epochs is not None
    batches = settings.examples / Fraction(repr(float(settings.batch_size)))
    each = math.floor(batches) if part == "left out" else math.ceil(batches)
    return each, math.ceil(each * Fraction(repr(float(settings.epochs))))


def _cost_of(run: LintContext, plan: Plan, longer: Sequence[_Longer]) -> str:
    """What the plan costs with these phases as the loader runs them; "" where nothing is proven, and where others may
    take more steps with it too, of which it is not known."""
    if any(isinstance(phase.mechanism, Correlated | BestOfTrials) for phase in plan.phases):
        return ""
    phases = list(plan.phases)
    for each in longer:
        phases[each.place] = each.taken
    bound = proven(dataclasses.replace(plan, phases=tuple(phases), derivation=()), run.delta.value)
    return "" if bound is None else f"{_TOGETHER}ε ≤ {at_most(bound.value)}"


def _as_opacus_draws(run: LintContext, plan: Plan, longer: _Longer) -> Remark:
    """Opacus rounds the rate with the steps."""
    each, taken, cost = longer.each, longer.taken.steps, _cost_of(run, plan, [longer])
    cost = f": {cost.removeprefix(_TOGETHER)}" if cost else ""
    rate = Poisson.of(longer.figure.sampling).sample_rate
    reason = (
        f"{longer.named}Opacus takes {each} steps per epoch, {taken} in all, each with q = 1/{each}{cost}. The figure "
        f"is for {longer.figure.steps} steps with q = {rate:.6g}."
    )
    if each > 1 and rate * each != 1.0:
        reason += f" If the loader that it is given drops the last batch, q is 1/{each - 1}, and each step costs more."
    if run.said:
        fix = f"Give a sample rate of 1/{each} and {taken} steps in place of the batch and the epochs."
        return Remark(Severity.WARNING, "epochs", reason, fix)
    fix = f"Give --q 1/{each} --steps {taken} in place of --batch and --epochs."
    return Remark(Severity.WARNING, run.where("epochs"), reason, fix)
