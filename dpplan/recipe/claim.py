"""The privacy side of a recipe: its plan and what that plan costs. Sees `privacy` and `training`, nothing else."""

import dataclasses
from dataclasses import dataclass

from dpplan import accounting
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.checks import show
from dpplan.errors import InternalError, NotCertified, RecipeError
from dpplan.plan import Delta, Phase, Plan, Settings, delta_warning, resolve_delta
from dpplan.recipe.blocks import Privacy, Training


@dataclass(frozen=True, slots=True)
class Claim:
    """What a run will do and what it will cost, settled before its first step.

    `phase` is the one object that the sampler and the noise read and that `epsilon` was proven for.
    """

    plan: Plan
    delta: Delta
    epsilon: Bound
    clip_norm: float
    target_epsilon: float | None = None

    @property
    def phase(self) -> Phase:
        return self.plan.only_phase

    @property
    def warning(self) -> str | None:
        """A sentence when delta is too large for the data, else None."""
        sentence = delta_warning(self.delta.value, self.plan.examples)
        return sentence.replace("--delta ", "delta: ") if sentence else None  # a recipe has keys, not flags

    def spent(self, steps: int) -> Bound:
        """The epsilon of the first `steps` steps (0 <= steps), for a number of steps fixed in advance.

        When the number was chosen by looking at results, only `epsilon` of the whole plan covers it: what
        came out is then a part of what the whole run would have put out.
        """
        if steps == 0:
            return dataclasses.replace(
                self.epsilon,
                lower=0.0,
                upper=0.0,
                guarantee=Guarantee.CERTIFIED,
                why="no step was taken",
                details={},
            )
        taken = dataclasses.replace(self.plan, phases=(dataclasses.replace(self.phase, steps=steps),), derivation=())
        try:
            return accounting.epsilon(taken, self.delta.value)
        except NotCertified:
            if steps > self.phase.steps:
                raise
            why = "the steps so far have no proof of their own; the bound of the whole plan covers them"
            return dataclasses.replace(self.epsilon, lower=None, guarantee=Guarantee.UPPER, why=why, details={})


def settings(privacy: Privacy, training: Training, examples: int) -> Settings:
    """The plan's settings on this many training examples; the noise is left open when it is to be solved for."""
    if training.batch_size > examples:
        raise RecipeError(
            f"training.batch_size={show(training.batch_size)} exceeds the {examples} training examples. Lower it."
        )
    return Settings(
        noise_multiplier=privacy.noise_multiplier,
        steps=training.steps,
        examples=examples,
        batch_size=training.batch_size,
        epochs=training.epochs,
    )


def make_plan(privacy: Privacy, training: Training, examples: int) -> Plan:
    """The plan, with its noise multiplier solved for where the recipe gives a target epsilon."""
    open_settings = settings(privacy, training, examples)
    if privacy.target_epsilon is None:
        return open_settings.plan()
    from dpplan import solve

    delta = resolve_delta(privacy.delta, examples).value
    plan: Plan = solve.noise(open_settings, privacy.target_epsilon, delta).plan
    return plan


def make_claim(privacy: Privacy, training: Training, examples: int) -> Claim:
    """The plan with its certified cost. Raises NotCertified where nothing can be proven."""
    plan = make_plan(privacy, training, examples)
    delta = resolve_delta(privacy.delta, examples)
    epsilon = accounting.epsilon(plan, delta.value)
    target = privacy.target_epsilon
    if target is not None and not (epsilon.upper is not None and epsilon.upper <= target):
        raise InternalError(f"the solved plan spends {epsilon}, which is not within target_epsilon={show(target)}.")
    return Claim(plan, delta, epsilon, privacy.clip_norm, target)
