"""What a search will do and what it costs: one object, of which the trials are run and for which ε was proven.

Each trial is the same mechanism: it draws its setting from the grid, every one with the same chance, trains, and puts
out setting, model and score (Papernot, Steinke 2022, arXiv:2110.03620: K independent runs of one algorithm; of what is
drawn in a run the law is fixed, and none of it rests on other runs). Where settings have plans of their own, a trial is
of one of as many kinds.
"""

import math
from collections import Counter
from dataclasses import dataclass, field, replace

from dpplan import accounting
from dpplan.accounting.bound import Bound
from dpplan.checks import Problems, show
from dpplan.errors import BudgetExceeded, PlanError, Unreachable, UsageError
from dpplan.mechanism import BestOfTrials, DiscreteLaplace
from dpplan.mechanism.trials import PUBLIC, RELEASED, Trials
from dpplan.plan import Delta, Phase, Plan
from dpplan.recipe import Recipe
from dpplan.recipe.grid import Setting, SettingGrid, recipe_of
from dpplan.render.bound_text import figure
from dpplan.rounding import down
from dpplan.sampling import Poisson

MOST_KINDS = 60
NOISE_KEYS = (("privacy", "target_epsilon"), ("privacy", "noise_multiplier"))
# What a search may leave of its target; how often a trial's is tried, and the least share of it that is.
CLOSE, ATTEMPTS, LEAST_SHARE = 1e-3, 14, 0.1


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
        deviation = math.sqrt(2.0 * math.exp(-self.epsilon)) / -math.expm1(-self.epsilon)
        noise = f"discrete Laplace noise of ε {self.epsilon:g} (standard deviation {deviation:.2g} examples)"
        return f"held-out examples right, with {noise} in each trial"


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """recipes: of every setting of the grid, in order. plan: the search, a phase. trial: one trial's ε by itself, of
    the kind that costs most."""

    recipe: Recipe
    settings: tuple[Setting, ...]
    recipes: tuple[Recipe, ...] = field(repr=False)
    trials: Trials
    score: Score
    plan: Plan
    delta: Delta
    trial: Bound
    spent: Bound


def planned(recipe: Recipe, grid: SettingGrid, trials: Trials, score: Score, units: int) -> SearchPlan:
    """units: how many examples, or users, the recipe trains on. Raises PlanError for a grid whose settings protect
    different neighbours or have too many plans, RecipeError for one that makes no recipe, BudgetExceeded where a recipe
    allows less, NotCertified where nothing is proven."""
    settings = grid.settings
    recipes = tuple(recipe_of(recipe, each) for each in settings)
    plans = [each.plan(units) for each in recipes]
    _alike(settings, plans)
    _check_score(recipes, score)
    delta = recipe.delta(units)
    score_phases = () if score.epsilon is None else (Phase(DiscreteLaplace(score.epsilon), Poisson(1.0), 1),)
    kinds = [(each.only_phase, *score_phases) for each in plans]
    first, *others = _reduced(kinds)
    best = BestOfTrials.of(trials, first, PUBLIC if score.epsilon is None else RELEASED, tuple(others))
    whole = replace(plans[0], phases=(Phase(best, Poisson(1.0), 1),), derivation=(), batch_size=None)
    alone = [replace(whole, phases=each) for each in dict.fromkeys(kinds)]
    one = max(
        (accounting.epsilon(each, delta.value, accounting.LEAST) for each in alone), key=lambda bound: bound.value
    )
    spent = accounting.epsilon(whole, delta.value, accounting.LEAST)
    _check_budget(recipes, spent)
    return SearchPlan(recipe, settings, recipes, trials, score, whole, delta, one, spent)


def solved(recipe: Recipe, grid: SettingGrid, trials: Trials, score: Score, units: int, target: float) -> SearchPlan:
    """The search that spends no more than `target` in all, nearly all of it: each trial's target_epsilon is what the
    recipe's stands for, and is found. Re-checked as it is then written.

    Raises UsageError where no noise is open, Unreachable where the score alone, or the number of trials, spends more.
    """
    _check_open(recipe, grid, target)
    low, high, best, trial = 0.0, target, None, 0.6 * target
    for _ in range(ATTEMPTS):
        told = down(trial)
        found = planned(recipe_of(recipe, {NOISE_KEYS[0]: told}), grid, trials, score, units)
        spent = found.spent.value
        if spent <= target:
            low, best = float(told), found
            if spent >= (1.0 - CLOSE) * target:
                break
        else:
            high = trial
        trial *= (1.0 - 0.5 * CLOSE) * target / spent  # what a search spends is nearly in proportion to it
        if not low < trial < high:
            trial = 0.5 * (low + high)
        if best is None and high < LEAST_SHARE * target:  # almost all is spent by what no noise makes less
            break
    if best is None:
        raise Unreachable(
            f"target_eps={show(target)} is out of reach: with target_epsilon={show(high)} for one trial the search "
            "still spends more. Raise it, lower --mean, or lower --score-eps."
        )
    return best


def _check_open(recipe: Recipe, grid: SettingGrid, target: float) -> None:
    with Problems(UsageError) as problems:
        if problems.positive("target_eps", target, try_="It is what the whole search may spend; 1 to 8 are common."):
            problems.require(target <= 1000.0, f"target_eps={show(target)} is more than 1000.")
        problems.require(
            recipe.privacy.target_epsilon is not None,
            f"target_eps={show(target)} is met by the noise of the trials, and the recipe fixes it. Write "
            "privacy.target_epsilon in place of noise_multiplier: whatever it is, the search finds it anew.",
        )
        chosen = [".".join(key) for key, _ in grid.values if key in NOISE_KEYS]
        problems.require(
            not chosen, f"target_eps and grid: {', '.join(chosen)} both say how much noise trials have. Leave one out."
        )


def _check_budget(recipes: tuple[Recipe, ...], spent: Bound) -> None:
    """What a recipe may spend is meant of all that is released, and here that is a search. Its target_epsilon is what
    noise is made for: that of one trial."""
    limits = [each.privacy.max_epsilon for each in recipes if each.privacy.max_epsilon is not None]
    if limits and spent.value > min(limits):
        raise BudgetExceeded(
            f"the search would spend ε ≤ {figure(spent)}, more than max_epsilon={show(min(limits))} of the recipe. "
            "Raise noise_multiplier, lower --mean, or raise max_epsilon."
        )


def _reduced(kinds: list[tuple[Phase, ...]]) -> list[tuple[Phase, ...]]:
    """The kinds in the same shares, as few as there can be."""
    counted = Counter(kinds)
    share = math.gcd(*counted.values())
    if len(counted) > MOST_KINDS:
        raise PlanError(
            f"grid: its settings have {len(counted)} plans, more than {MOST_KINDS}, each with a cost of its own. Leave "
            "out values of batch_size, epochs and noise."
        )
    return [kind for kind, times in counted.items() for _ in range(times // share)]


def _check_score(recipes: tuple[Recipe, ...], score: Score) -> None:
    if score.epsilon is not None and recipes[0].privacy.unit != "example":
        raise UsageError(
            "score_eps is of a number that one example moves by 1, and a user may have several held out. Declare the "
            "held-out data public, if they are, or protect examples."
        )
    own = [each.model.kind for each in recipes if ":" in each.model.kind]
    if score.epsilon is not None and own:
        raise UsageError(
            f"score_eps with model.kind={own[0]}: a model of your own may fail over one held-out example, or mix it "
            "with others, and the noise on the score does not cover that. Declare the held-out data public, if they "
            "are, or use a model that comes with dpplan."
        )


def _alike(settings: tuple[Setting, ...], plans: list[Plan]) -> None:
    first = plans[0]
    whose = (first.adjacency, first.privacy_unit, first.examples, first.max_per_user)
    for setting, plan in zip(settings, plans, strict=True):
        if (plan.adjacency, plan.privacy_unit, plan.examples, plan.max_per_user) != whose:
            said = ", ".join(f"{'.'.join(key)}={value}" for key, value in setting.items())
            raise PlanError(f"grid: {said} protects other neighbours than the first setting does. Choose one for all.")
