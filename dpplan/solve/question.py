"""What is asked: a target (epsilon, delta), and what every plan that is tried is composed with and judged by."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from dpplan import accounting
from dpplan.accounting.bound import Bound
from dpplan.accounting.pairs import correlated
from dpplan.accounting.pairs.epochs import most_participations
from dpplan.adjacency import ADD_REMOVE, Adjacency
from dpplan.checks import Problems, show
from dpplan.errors import PlanError
from dpplan.mechanism import Gaussian
from dpplan.mechanism.correlated import Correlated
from dpplan.plan import Phase, Plan, Settings
from dpplan.quantities import quantity
from dpplan.quick_dataclass import dataclass
from dpplan.sampling import Poisson, Shuffle, chosen
from dpplan.sampling.balls_in_bins import ALLOCATIONS
from dpplan.solve.search import Candidates, Evaluator

By = Literal["epsilon", "delta"]
# Below this share of its target a figure no longer tells a search how far away it is. Deltas fall much faster.
_FLAT = {"epsilon": 1e-2, "delta": 1e-12}


@dataclass(frozen=True, slots=True)
class Question:
    """A target, and whom to ask what a plan spends.

    by: the figure that is held below its target: epsilon at this delta, or delta at this epsilon.
    earlier: what ran before on the same data; every plan is judged together with it. roughly: as if every scheme were
    Poisson sampling of as much data, which is no answer.
    """

    epsilon: float
    delta: float
    by: By
    accountant: str
    options: Mapping[str, object]
    earlier: tuple[Phase, ...] = ()
    roughly: bool = False

    @property
    def target(self) -> float:
        return self.epsilon if self.by == "epsilon" else self.delta

    def plan(self, candidates: Candidates, index: int) -> Plan:
        """The plan at a index, after the earlier phases."""
        plan = self.composed(candidates.plan(index))
        return _by_poisson(plan) if self.roughly else plan

    def composed(self, plan: Plan) -> Plan:
        """The plan as the last phase; what was derived for it is found under its place, phases[1].steps."""
        if not self.earlier:
            return plan
        derivation = tuple((f"phases[{len(self.earlier)}].{name}", words) for name, words in plan.derivation)
        return replace(plan, phases=(*self.earlier, *plan.phases), batch_size=None, derivation=derivation)

    def spends(self, plan: Plan) -> Bound:
        """The figure that is held, for this plan as it is."""
        if self.by == "delta":
            return accounting.delta(plan, self.epsilon, self.accountant, **self.options)
        return accounting.epsilon(plan, self.delta, self.accountant, **self.options)

    def evaluator(self, candidates: Candidates) -> Evaluator:
        def ask(index: int) -> Bound:
            asked = replace(self, delta=float(candidates.value(index))) if candidates.name == "delta" else self
            return asked.spends(self.plan(candidates, index))

        return Evaluator(candidates, ask, self.target, _FLAT[self.by])

    def estimated(self, accountant: str) -> "Question":
        """About the same, answered by another accountant as it comes."""
        return replace(self, accountant=accountant, options={}, roughly=True)


def closed_above(plan: Plan) -> bool:
    """Whether what is proven from above is the cost of full batches, which is known by formula and falls with noise:
    of shuffled batches. Looks at the plan itself, whose lower end is a matter of lattices, can then be few."""
    shuffled = all(type(each.mechanism) is Gaussian and type(each.sampling) is Shuffle for each in plan.phases)
    return shuffled and plan.max_per_user is None


def _by_poisson(plan: Plan) -> Plan:
    """The plan with batches of the same share of the data, drawn by Poisson sampling, where it draws otherwise; or, if
    that is what it costs from above, with full ones at the steps that hold a record."""
    if closed_above(plan):
        return Plan(tuple(_as_full_batches(phase, plan.adjacency) for phase in plan.phases))
    phases = tuple(
        correlated.by_poisson(phase)
        if isinstance(phase.mechanism, Correlated)
        else replace(phase, sampling=Poisson(min(float(phase.sampling.epochs(1)), 1.0)), adjacency=None)
        for phase in plan.phases
    )
    if all(type(phase.sampling) is Poisson for phase in plan.phases) and plan.adjacency == ADD_REMOVE:
        return plan
    return Plan(phases)


def _as_full_batches(phase: Phase, adjacency: Adjacency) -> Phase:
    noise = Gaussian.of(phase.mechanism).noise_multiplier / (phase.adjacency or adjacency).sensitivity
    return replace(
        phase, mechanism=Gaussian(noise), sampling=Poisson(1.0), steps=most_participations(phase), adjacency=None
    )


def unknown(settings: Settings, delta: float | None = None) -> str:
    """The one quantity left open: "noise_multiplier", "steps", "epochs", "batch_size", "sample_rate", "examples" or,
    where the settings are complete and no delta is given, "delta".

    A missing length is solved in epochs where n and the batch are known, else in steps; a missing sample rate as the
    batch where n is known (but as itself, where batches are bins of an epoch), as n where the batch is known, else as
    itself.
    Raises PlanError, saying what to give, when nothing or several are open, and for a scheme that is none.
    """
    found = []
    if settings.noise_multiplier is None:
        found.append("noise_multiplier")
    rated = settings.sample_rate is not None or chosen(settings.sampling).only_rate is not None
    if not rated and (settings.batch_size is None or settings.examples is None):
        known = "examples" if settings.batch_size is not None else "sample_rate"
        whole = settings.sampling in ALLOCATIONS  # where 1/q is whole, which few batches make it
        found.append("batch_size" if settings.examples is not None and not whole else known)
    if settings.steps is None and settings.epochs is None:
        found.append("epochs" if settings.examples is not None and settings.batch_size is not None else "steps")
    if not found and delta is None:
        return "delta"
    if not found:
        raise PlanError(
            "nothing is left to solve for. Leave out --sigma, --steps (or --epochs), --batch (or --q), --n or --delta; "
            "what a complete plan spends is said by `dpplan epsilon`."
        )
    if len(found) > 1:
        names, all_of = " and ".join(word(name) for name in found), "both" if len(found) == 2 else "all"
        raise PlanError(f"{names} are {all_of} open; one unknown at a time is solved for. Give all but one of them.")
    return found[0]


def word(name: str) -> str:
    """A quantity as it is called on the command line."""
    return quantity(name).word


def check(name: str, settings: Settings, question: Question) -> None:
    """Raises PlanError with every problem of the call, UsageError for the accountant."""
    accounting.accountant(question.accountant)
    with Problems() as problems:
        common = "Values between 0.1 and 10 are common."
        if question.by == "delta":
            problems.at_least("target_epsilon", question.epsilon, 0, try_=common)
        else:
            problems.positive("target_epsilon", question.epsilon, try_=common)
        problems.probability("delta", question.delta, closed_right=False, try_="Values below 1/n are meaningful.")
        known = ("epsilon", "delta")
        problems.require(question.by in known, f"by={question.by} is not one of: {', '.join(known)}.")
        problems.found.extend(_left_open(name, settings))
        try:
            _filled(name, settings).plan()
        except PlanError as error:
            problems.found.extend(error.problems)


def _left_open(name: str, settings: Settings) -> Sequence[str]:
    """What keeps the unknown from being open, or from being fixed by the target."""
    problems = Problems()
    for other in _fixing(name):
        given = getattr(settings, other)
        if given is not None:
            problems.add(f"{word(other)}={show(given)} is given, so {word(name)} is not open. Leave it out.")
    if name == "batch_size":
        problems.require(settings.examples is not None, "n is missing: a batch is a part of the examples. Give --n.")
    if name == "examples":
        problems.require(settings.batch_size is not None, "batch is missing: n follows from batch / q. Give --batch.")
    if name in ("batch_size", "sample_rate") and settings.steps is not None and settings.epochs is not None:
        problems.add(f"steps and epochs together fix the {word(name)}. Leave out --steps or --epochs.")
    if name == "examples" and settings.steps is not None and settings.epochs is not None:
        problems.add("steps and epochs together fix n. Leave out --steps or --epochs.")
    return problems.found


def _fixing(name: str) -> tuple[str, ...]:
    """The settings that would fix an unknown: itself, and what stands in its place. Delta is none of them."""
    return () if name == "delta" else (name, *quantity(name).replaces)


def _filled(name: str, settings: Settings) -> Settings:
    """The settings with something in the place of the unknown, so that all else that is wrong can be said."""
    filled = settings.with_(**dict.fromkeys(_fixing(name)))
    if (stand_in := quantity(name).stand_in) is not None:
        filled = filled.with_(**{name: stand_in})
    if name == "batch_size" and settings.examples is None:
        filled = filled.with_(sample_rate=1.0)
    if name == "examples":
        filled = filled.with_(sample_rate=1.0)
    if name in ("batch_size", "sample_rate", "examples") and settings.steps is not None:
        filled = filled.with_(epochs=None)
    return filled
