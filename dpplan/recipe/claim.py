"""The privacy side of a recipe: its plan and what that plan costs. Sees `privacy` and `training`, nothing else."""

import contextlib
import dataclasses
import math
import re
from collections.abc import Callable, Iterator
from fractions import Fraction

from dpplan import accounting
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.adjacency import named
from dpplan.checks import show
from dpplan.errors import InternalError, NotApplicable, NotCertified, PlanError, RecipeError, UsageError
from dpplan.phase_steps import taken
from dpplan.plan import Delta, Phase, Plan, Settings, delta_warning, resolve_delta
from dpplan.quick_dataclass import dataclass
from dpplan.recipe import noise_block
from dpplan.recipe.schema import Privacy, Training
from dpplan.recipe.user_keys import drawn_whole
from dpplan.rounding import up
from dpplan.sampling import BallsInBins


@dataclass(frozen=True, slots=True)
class Claim:
    """What a run will do and what it will cost, settled before its first step.

    `phase` is the one object that the sampler and the noise read and that `epsilon` was proven for.
    max_epsilon: what may be spent, where the recipe limits it: its target_epsilon or its max_epsilon.
    unaccounted: why nothing is claimed, of a run that was consented to without; "" of all others. Then no ε is known,
    of the whole or of a part: `epsilon` is None, which is neither 0 nor any other figure.
    """

    plan: Plan
    delta: Delta
    epsilon: Bound | None
    clip_norm: float
    target_epsilon: float | None = None
    max_epsilon: float | None = None
    unaccounted: str = ""

    def __post_init__(self) -> None:
        if (self.epsilon is None) != bool(self.unaccounted):
            raise ValueError("a claim has either an epsilon or a reason for having none")

    @property
    def phase(self) -> Phase:
        return self.plan.only_phase

    def exceeded_by(self, spent: Bound | None) -> bool:
        """Whether this is more than may be spent, or cannot be shown not to be. Never where nothing is claimed: such a
        run has no limit to exceed."""
        if spent is None or self.epsilon is None:
            return False
        most = self.epsilon.upper if self.max_epsilon is None else self.max_epsilon
        return spent.upper is None or (most is not None and spent.upper > most)

    @property
    def warning(self) -> str | None:
        """A sentence when delta is too large for the data, else None."""
        sentence = delta_warning(self.delta.value, self.plan.examples)
        return sentence.replace("--delta ", "delta: ") if sentence else None  # a recipe has keys, not flags

    def spent(self, steps: int) -> Bound | None:
        """The epsilon of the first `steps` steps (0 <= steps), for a number of steps fixed in advance; None where
        nothing is claimed.

        When the number was chosen by looking at results, only `epsilon` of the whole plan covers it: what
        came out is then a part of what the whole run would have put out.
        """
        if self.epsilon is None:
            return None
        if steps == 0:
            return dataclasses.replace(
                self.epsilon,
                lower=0.0,
                upper=0.0,
                guarantee=Guarantee.CERTIFIED,
                why="no step was taken",
                details={},
            )
        if steps == self.phase.steps:  # as planned: a second proof of the same would say the same, in up to a second
            return self.epsilon
        so_far = dataclasses.replace(self.plan, phases=(taken(self.phase, steps),), derivation=())
        try:
            return accounting.epsilon(so_far, self.delta.value, accounting.LEAST)
        except NotCertified:
            if steps > self.phase.steps:
                raise
            why = "the steps so far have no proof of their own; the bound of the whole plan covers them"
            return dataclasses.replace(self.epsilon, lower=None, guarantee=Guarantee.UPPER, why=why, details={})


def settings(privacy: Privacy, training: Training, examples: int) -> Settings:
    """The plan's settings on this many training examples; the noise is left open when it is to be solved for.

    Raises RecipeError, in the recipe's words, where the batch does not fit the examples or the scheme.
    """
    if training.batch_size > examples:
        raise RecipeError(
            f"training.batch_size={show(training.batch_size)} exceeds the {examples} training "
            f"{'users' if drawn_whole(privacy) else 'examples'}. Lower it."
        )
    given = unchecked_settings(privacy, training, examples)
    try:
        plan = given.with_(noise_multiplier=1.0).plan()  # the noise may be open, and agrees with anything
        if privacy.noise is not None and (found := privacy.noise.problems(plan.steps)):
            raise PlanError(found)
    except PlanError as error:
        raise RecipeError([_in_keys(sentence) for sentence in error.problems]) from None
    return given


def unchecked_settings(privacy: Privacy, training: Training, examples: int) -> Settings:
    """The same, whatever they are. Bins are whole: as many as hold no more than the batch."""
    bins = None
    if privacy.sampling == BallsInBins.kind and 0 < training.batch_size <= examples:
        bins = math.ceil(examples / training.batch_size)
    return Settings(
        noise_multiplier=privacy.noise_multiplier,
        sample_rate=None if bins is None else Fraction(1, bins),
        steps=training.steps,
        examples=examples,
        batch_size=training.batch_size if bins is None else None,
        epochs=training.epochs,
        sampling=privacy.sampling,
        adjacency=named(privacy.adjacency),
        scheme_options=privacy.scheme_options,
        unit=privacy.unit,
        max_per_user=privacy.max_per_user,
        correlation=privacy.noise,
    )


# What sentences about plans call by the options of commands, and recipes by keys.
KEYS: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"\bbatch=", "training.batch_size="),
    (r"\bn=", "training examples="),
    (r"\bbands=", "privacy.noise.bands="),
    (r"\bsteps=", "training.steps="),
    (r"--sampling (\S+)", r"sampling: \1"),
    (r"--adjacency ([a-z-]+(?: or [a-z]+-[a-z]+)?)", lambda found: f"privacy.adjacency: {found[1].replace('-', '_')}"),
    ("--batch", "training.batch_size"),
    ("--groups", "privacy.groups"),
    ("--n\\b", "other data"),
)


def _in_keys(sentence: str) -> str:
    for option, key in KEYS:
        sentence = re.sub(option, key, sentence)
    return sentence


@contextlib.contextmanager
def _told_in_keys() -> Iterator[None]:
    """What no accountant has a theorem for, in the recipe's words."""
    try:
        yield
    except NotApplicable as error:
        raise NotApplicable(_in_keys(str(error))) from None


def make_plan(privacy: Privacy, training: Training, examples: int) -> Plan:
    """The plan, with its noise multiplier solved for where the recipe gives a target epsilon.

    With a budget that does not pay for all steps it ends where the budget does, unless the recipe says to continue.
    Raises NotApplicable for noise that nothing is proven of as batches are drawn.
    """
    if privacy.noise is not None:
        options = dict(privacy.scheme_options)
        found = noise_block.without_theorem(privacy.noise, privacy.sampling, privacy.adjacency, options)
        if sentences := " ".join(f"privacy.{sentence}" for sentence in found):
            raise NotApplicable(sentences)
    with _told_in_keys():
        plan = _solved(privacy, training, examples)
    return _with_batch(plan, examples)


def _with_batch(plan: Plan, examples: int) -> Plan:
    if plan.batch_size is not None:
        return plan
    return dataclasses.replace(plan, batch_size=plan.only_phase.sampling.expected_batch(examples))


def _solved(privacy: Privacy, training: Training, examples: int) -> Plan:
    open_settings = settings(privacy, training, examples)
    delta = resolve_delta(privacy.delta, examples).value
    if privacy.target_epsilon is None:
        whole = open_settings.plan()
        if privacy.max_epsilon is None or training.on_budget == "continue":
            return whole
        return _affordable(whole, open_settings, privacy.max_epsilon, delta)
    from dpplan import solve

    plan: Plan = solve.noise(open_settings, privacy.target_epsilon, delta).plan
    return plan


def _affordable(whole: Plan, given: Settings, most: float, delta: float) -> Plan:
    """The plan, or as many of its first steps as cost no more than `most`. Raises Unreachable when not one does."""
    spent = accounting.epsilon(whole, delta, accounting.LEAST)
    if spent.upper is not None and spent.upper <= most:
        return whole
    from dpplan import solve

    steps = solve.steps(given.with_(steps=None, epochs=None), most, delta).plan.steps
    shorter = dataclasses.replace(whole.only_phase, steps=min(steps, whole.steps))
    origins = dict(whole.derivation) | {"steps": f"as many of {whole.steps} as ε ≤ {show(most)} pays for"}
    return dataclasses.replace(whole, phases=(shorter,), derivation=tuple(origins.items()))


def make_claim(privacy: Privacy, training: Training, examples: int) -> Claim:
    """The plan with its certified cost. Raises NotCertified where nothing can be proven."""
    plan = make_plan(privacy, training, examples)
    delta = resolve_delta(privacy.delta, examples)
    with _told_in_keys():
        epsilon = accounting.epsilon(plan, delta.value, accounting.LEAST)
    target = privacy.target_epsilon
    if target is not None and not (epsilon.upper is not None and epsilon.upper <= target):
        raise InternalError(f"the solved plan spends {epsilon}, which is not within target_epsilon={show(target)}.")
    most = target if target is not None else privacy.max_epsilon
    if training.on_budget == "stop" and most is not None and not (epsilon.upper is not None and epsilon.upper <= most):
        raise InternalError(f"the shortened plan spends {epsilon}, which is not within max_epsilon={show(most)}.")
    return Claim(plan, delta, epsilon, privacy.clip_norm, target, most)


def make_unaccounted(privacy: Privacy, training: Training, examples: int, reason: str = "") -> Claim:
    """The plan with the noise that the recipe states, and no figure: nothing of it can be proven.

    reason: why, of a run that began so; found out here where it is "". Raises UsageError where there is a figure to
    claim, RecipeError for a budget, which nobody could hold.
    """
    reason = reason or _nothing_proven(privacy, training, examples)
    limits = {"target_epsilon": privacy.target_epsilon, "max_epsilon": privacy.max_epsilon}
    found = [f"privacy.{name}={show(value)}" for name, value in limits.items() if value is not None]
    if found:
        instead = "Write noise_multiplier: 1, or another one, in its place, and claim nothing."
        if privacy.target_epsilon is None:
            instead = "Leave it out: the run takes all of its steps, and claims nothing."
        raise RecipeError(f"{' and '.join(found)} cannot be held with --unaccounted, since no ε is known. {instead}")
    plan = _with_batch(settings(privacy, training, examples).plan(), examples)
    return Claim(plan, resolve_delta(privacy.delta, examples), None, privacy.clip_norm, unaccounted=reason)


def _nothing_proven(privacy: Privacy, training: Training, examples: int) -> str:
    """Why no ε can be claimed of the run. Raises UsageError where one can be."""
    try:
        with _told_in_keys():
            plan = make_plan(privacy, training, examples)
            epsilon = accounting.epsilon(plan, resolve_delta(privacy.delta, examples).value, accounting.LEAST)
    except NotCertified as error:
        return str(error)
    raise UsageError(
        f"this run can be accounted: it spends ε ≤ {up(epsilon.value)}. --unaccounted is for a run of which nothing "
        "can be proven. Leave it out."
    )
