"""What a search will do and what it costs: one object, of which the trials are run and for which ε was proven.

Each trial is the same mechanism: it draws its setting from the grid, every one with the same chance, trains, and puts
out setting, model and score. So the plan of a trial has to be the same whatever it draws: settings that change noise,
sample rate or steps are refused. (Papernot, Steinke 2022, arXiv:2110.03620: K independent runs of one algorithm; of
what is drawn in a run the law is fixed, and none of it rests on other runs.)
"""

from dataclasses import dataclass, field, replace
from typing import Any

from dpplan import accounting
from dpplan.accounting.bound import Bound
from dpplan.checks import Problems, show
from dpplan.errors import PlanError, UsageError
from dpplan.mechanism import BestOfTrials, DiscreteLaplace
from dpplan.mechanism.trials import PUBLIC, RELEASED, Trials
from dpplan.plan import Delta, Phase, Plan
from dpplan.recipe import Recipe
from dpplan.recipe.grid import Setting, SettingGrid, recipe_of
from dpplan.sampling import Poisson


@dataclass(frozen=True, slots=True)
class Score:
    """What decides: how many held-out examples the model has right. epsilon: None where these are public; else of the
    discrete Laplace noise on that number, in each trial."""

    epsilon: float | None = None

    def __post_init__(self) -> None:
        with Problems() as problems:
            if self.epsilon is not None and problems.positive(
                "score_eps", self.epsilon, try_="It is what the score of one trial costs; 0.1 to 1 are common."
            ):
                problems.require(self.epsilon <= 100.0, f"score_eps={show(self.epsilon)} is more than 100.")

    @property
    def words(self) -> str:
        if self.epsilon is None:
            return "held-out examples right; public, as was declared"
        return f"held-out examples right, with discrete Laplace noise of ε {self.epsilon:g} in each trial"


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """recipes: of every setting of the grid, in order. plan: the search, a phase. trial: one trial's ε by itself."""

    recipe: Recipe
    settings: tuple[Setting, ...]
    recipes: tuple[Recipe, ...] = field(repr=False)
    trials: Trials
    score: Score
    plan: Plan
    delta: Delta
    trial: Bound
    spent: Bound

    @property
    def training(self) -> Phase:
        """What each trial trains by."""
        phase: Phase = self.search.phases[0]
        return phase

    @property
    def search(self) -> BestOfTrials:
        mechanism = self.plan.only_phase.mechanism
        assert isinstance(mechanism, BestOfTrials)  # which is how it was made
        return mechanism


def planned(recipe: Recipe, grid: SettingGrid, trials: Trials, score: Score, units: int) -> SearchPlan:
    """units: how many examples, or users, the recipe trains on. Raises UsageError for a grid whose settings have
    different plans, RecipeError for one that makes no recipe, NotCertified where nothing is proven."""
    settings = grid.settings
    recipes = tuple(recipe_of(recipe, each) for each in settings)
    plans = [each.plan(units) for each in recipes]
    _alike(settings, plans)
    _check_score(recipe, score)
    training, delta = plans[0].only_phase, recipe.delta(units)
    phases: tuple[Phase, ...] = (training,)
    if score.epsilon is not None:
        phases = (training, Phase(DiscreteLaplace(score.epsilon), Poisson(1.0), 1))
    best = BestOfTrials.of(trials, phases, PUBLIC if score.epsilon is None else RELEASED)
    trial = replace(plans[0], phases=phases, derivation=(), batch_size=None)
    whole = replace(trial, phases=(Phase(best, Poisson(1.0), 1),))
    one, spent = (accounting.epsilon(each, delta.value) for each in (trial, whole))
    return SearchPlan(recipe, settings, recipes, trials, score, whole, delta, one, spent)


def _check_score(recipe: Recipe, score: Score) -> None:
    if score.epsilon is not None and recipe.privacy.unit != "example":
        raise UsageError(
            "score_eps is of a number that one example moves by 1, and a user may have several held out. Declare the "
            "held-out data public, if they are, or protect examples."
        )


def _alike(settings: tuple[Setting, ...], plans: list[Plan]) -> None:
    first = plans[0]
    for setting, plan in zip(settings, plans, strict=True):
        same = (plan.phases, plan.adjacency, plan.privacy_unit, plan.examples, plan.max_per_user) == (
            first.phases,
            first.adjacency,
            first.privacy_unit,
            first.examples,
            first.max_per_user,
        )
        if not same:
            differ = _differences(first.only_phase, plan.only_phase)
            said = ", ".join(f"{'.'.join(key)}={value}" for key, value in setting.items())
            raise PlanError(
                f"grid: {said} has another plan than the first setting ({differ}), and the trials of a search are one "
                "mechanism. Choose among settings that leave noise, batches and steps alone: learning_rate, clip_norm, "
                "momentum, the model."
            )


def _differences(one: Phase, other: Phase) -> str:
    told: list[dict[str, Any]] = [{**each.settings, "steps": each.steps} for each in (one, other)]
    names = [name for name in told[0] | told[1] if told[0].get(name) != told[1].get(name)]
    return (
        ", ".join(f"{name} {show(told[0].get(name))} and {show(told[1].get(name))}" for name in names) or "neighbours"
    )
