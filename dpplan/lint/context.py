"""What a rule may look at: one run, with all that is known of it and of what is claimed for it.

A field that nobody filled holds None or its default, and then no rule guesses.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import field
from functools import cached_property
from types import MappingProxyType
from typing import Literal, TypeGuard

from dpplan import accounting, sampling
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.adjacency import Adjacency
from dpplan.checks import is_number, show
from dpplan.errors import NotCertified, PlanError
from dpplan.lint.loader_draws import by_chance, declares, drawn_by
from dpplan.lint.prior_runs import PriorRun
from dpplan.loader_run import carried_over
from dpplan.mechanism import Gaussian
from dpplan.mechanism.correlated import Correlated
from dpplan.plan import Delta, Plan, Settings
from dpplan.quantities import quantity
from dpplan.quick_dataclass import dataclass

# What a loop may draw by: in general words, and loaders of libraries by name.
LOADERS: Mapping[str, str] = MappingProxyType(
    {
        "poisson": "lets every example join a batch independently",
        "shuffle": "shuffles the examples and cuts them into equal batches",
        "fixed": "draws batches of one fixed size",
        **{each.name: f"is {each.draws}" for each in sampling.LOADERS.values()},
    }
)
Kind = Literal["made", "public", "own"]
# Where a recipe gives a quantity. Epsilon is given by neither: it follows from the noise.
_KEYS = {
    "noise_multiplier": "privacy.noise_multiplier",
    "delta": "privacy.delta",
    "epsilon": "privacy",
    "examples": "data.source",
    "batch_size": "training.batch_size",
    "steps": "training.steps",
    "epochs": "training.epochs",
}
# The same of a plan file, whose δ is an option.
_PLAN_KEYS = {
    "noise_multiplier": "mechanism",
    "epsilon": "phases",
    "examples": "n",
    "batch_size": "batch_size",
    "steps": "steps",
    "epochs": "epochs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedClaim:
    """What is to be told to others. accountant: whose figure. epsilon: the figure, where it is known already.

    adjacency: what it is for; None for the neighbours of the plan.
    """

    accountant: str = "exact"
    epsilon: float | None = None
    adjacency: Adjacency | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """What the training loop does. The defaults are what `dpplan train` does.

    cap: the largest batch it lets through, None for no limit. micro_batches: how many of them make one noisy update.
    views: of each example in a batch, every one clipped by itself. seed: None for noise from the operating system.
    """

    loader: str = "poisson"  # "" for what the figure is for
    cap: int | None = None
    micro_batches: int = 1
    views: int = 1
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFacts:
    """What was seen when the data were read. repeated: training rows that were there before; most: how often one is.

    skipped: names of files in the data's folders that were passed over.
    """

    repeated: int = 0
    most: int = 1
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DataUse:
    """Where examples come from. kind: made up on the spot, a published set, or the user's own.

    standardized: scaled by their own mean and deviation. prepared: by a function that nobody here has read.
    nonprivate_model: one is trained on them without privacy, too. facts: nothing, where nobody has looked.
    """

    source: str
    kind: Kind
    standardized: bool = False
    prepared: bool = False
    nonprivate_model: bool = False
    facts: DataFacts = field(default_factory=DataFacts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFindings:
    """What came of building the model and trying it. problems: why an example's influence on it is not bounded.

    unseen: why it was not built, "" when it was.
    """

    problems: tuple[str, ...] = ()
    unseen: str = ""


@dataclass(frozen=True, kw_only=True)
class LintContext:
    """settings: what was said. plan: what that amounts to, None where the batch is larger than the data.

    recipe: the name of the recipe, None for a plan made of options. data, model: None where nothing is known of them.
    earlier: runs on the same examples. trials: settings that were tried on them. sha256: of the recipe. target: the ε
    that the recipe is solved for. names: of the phases of a plan file. said: what was said of each phase, None of one
    that ran before; empty where options describe all there is. in_trials: what was said of what searches repeat.
    search: the plan of a search, of which this run is a trial; None where it is none. search_spends: what that search
    is known to spend. own: the run in whose folder this recipe lies; it is none of the earlier ones. answers: whether
    phases answer queries, so that their noise follows from the neighbours of the plan. owned: the most examples that
    one person is an owner of, where several people own one; 1 where nobody said so. typed: whether n of a recipe was,
    and is not known of its data. in_plan_file: whether the run itself, and not only what ran before, is one of those.
    """

    settings: Settings
    plan: Plan | None
    delta: Delta
    recipe: str | None = None
    sha256: str = ""
    claim: StatedClaim = field(default_factory=StatedClaim)
    loop: Loop = field(default_factory=Loop)
    data: DataUse | None = None
    model: ModelFindings | None = None
    earlier: tuple[PriorRun, ...] = ()
    trials: int = 1
    target: float | None = None
    names: tuple[str, ...] = ()
    said: tuple[Settings | None, ...] = ()
    in_trials: tuple[Settings, ...] = ()
    search: Plan | None = None
    search_spends: Bound | None = None
    own: PriorRun | None = None
    answers: bool = False
    owned: int = 1
    typed: bool = False
    in_plan_file: bool = False

    @property
    def stated_epsilon(self) -> float | None:
        """The ε that was claimed or asked for, where one was."""
        return self.target if self.claim.epsilon is None else self.claim.epsilon

    @cached_property
    def epsilon(self) -> Bound | None:
        """What the plan spends, the least that is proven; None where there is no plan or no proof.

        Of batches that are shuffled, without the lower end where the named loader has none; so also where it is
        declared of records how often and how far apart they are in steps, and the loader may keep more than that.
        """
        return None if self.plan is None else self._proven(self.plan)

    @cached_property
    def plan_as_claimed(self) -> Plan | None:
        """The plan under the neighbours that the claim is for.

        None where those are others than the plan's, and what the plan says is for its own: stated figures, and noise
        that follows from what a query asks. What clips says it of a clip norm, whatever the neighbours.
        """
        plan, claimed = self.plan, self.claim.adjacency
        if plan is None or claimed in (None, plan.adjacency):
            return plan
        clips = all(type(each.mechanism) is Gaussian or isinstance(each.mechanism, Correlated) for each in plan.phases)
        if self.answers or not clips:
            return None
        bare = tuple(dataclasses.replace(each, adjacency=None) for each in plan.phases)
        return dataclasses.replace(plan, phases=bare, adjacency=claimed)

    @cached_property
    def epsilon_as_claimed(self) -> Bound | None:
        """What the plan spends under the neighbours that the claim is for; None where nothing is proven of that."""
        plan = self.plan_as_claimed
        if plan is None or plan is self.plan:
            return None if plan is None else self.epsilon
        return self._proven(plan)

    def _proven(self, plan: Plan) -> Bound | None:
        bound, loader = proven(plan, self.delta.value), self.loop.loader
        if bound is None:
            return None
        if loader and bound.upper is not None and any(map(declares, by_chance(plan))) and drawn_by(plan, loader):
            return dataclasses.replace(bound, lower=None, guarantee=Guarantee.UPPER)
        if all(phase.sampling.kind != "shuffle" for phase in plan.phases):
            return bound
        return carried_over(bound, self.settings, loader)

    def where(self, name: str) -> str:
        """Where this quantity was given: the option of a plan, the key of a recipe or a plan file."""
        if self.recipe is not None:
            return _KEYS[name]
        if self.in_plan_file and name in _PLAN_KEYS:
            return _PLAN_KEYS[name]
        return quantity("noise_multiplier" if name == "epsilon" else name).option

    def setting(self, name: str, value: object) -> str:
        """The value as it would be given: `--delta 1e-05`, or `delta: 1e-05` in a recipe."""
        where = self.where(name)
        return f"{where} {show(value)}" if where.startswith("--") else f"{where.rpartition('.')[2]}: {show(value)}"


def proven(plan: Plan, delta: float) -> Bound | None:
    """The figure that `dpplan epsilon` states where no accountant is named, None where there is none."""
    try:
        return accounting.epsilon(plan, delta, accounting.LEAST)
    except NotCertified:
        return None


def needed_steps(settings: Settings) -> int | None:
    """⌈epochs / sample rate⌉, None where the settings do not give both."""
    if settings.epochs is None:
        return None
    try:
        return settings.with_(steps=None, noise_multiplier=1.0).plan().steps
    except PlanError:
        return None


def batch_exceeds_examples(settings: Settings) -> bool:
    batch, examples = settings.batch_size, settings.examples
    return _positive(batch) and _positive(examples) and batch > examples


def plan_of(settings: Settings) -> Plan | None:
    """The plan of settings that may contradict themselves in the two ways that a rule reports.

    None where the batch exceeds the examples; the steps where they are fewer than those of the epochs. Raises PlanError
    for everything else that is wrong.
    """
    if batch_exceeds_examples(settings):
        settings.with_(batch_size=settings.examples).plan()  # whatever else is wrong
        return None
    needed = needed_steps(settings)
    if needed is not None and _positive(settings.steps) and settings.steps < needed:
        return settings.with_(epochs=None).plan()
    return settings.plan()


def _positive(value: object) -> TypeGuard[float]:
    return is_number(value) and 0 < value < math.inf
