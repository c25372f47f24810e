"""A search that publishes its winner: the bounds against exact winners on small domains, and known figures."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from dpplan import accounting
from dpplan.accounting.best_of_trials import count, gamma, most
from dpplan.adjacency import REPLACE_ONE
from dpplan.commands import compare_tuning as tuning_command
from dpplan.compare.tuning import by_profile, by_renyi, source, tuning
from dpplan.errors import NotApplicable, PlanError, UsageError
from dpplan.mechanism import BestOfTrials, Gaussian, Laplace, RandomizedResponse
from dpplan.mechanism.trials import LAWS, Trials
from dpplan.plan import Phase, Plan
from dpplan.plot import tuning as drawing
from dpplan.render import compare_tuning
from dpplan.sampling import Poisson

ROOT = Path(__file__).parents[2]


def one_gaussian(sigma: float) -> Plan:
    return Plan((Phase(Gaussian(sigma), Poisson(1.0), 1),))


@pytest.mark.parametrize(
    ("sigma", "law", "profile", "renyi"),
    [
        (4.0, "poisson", 2.1765, 2.5011),
        (4.0, "geometric", 1.983017, 2.2716),
        (4.0, "binomial", 2.4895, None),
        (2.0, "poisson", 4.464465, 5.182727),
        (2.0, "geometric", 3.993254, 4.54768),
        (2.0, "binomial", 5.08557, None),
    ],
)
def test_figures_that_were_found_by_others(sigma: float, law: str, profile: float, renyi: float | None) -> None:
    """Of dp_accounting by Rényi, and of another program by profile; of a binomial law our own: that of u' = 1
    alone would be 2.1040 and 4.2789, and the largest ratio lies elsewhere."""
    trial, trials = source(one_gaussian(sigma)), Trials(law, 10.0)
    assert by_profile(trial, trials, 1e-6).value == pytest.approx(profile, abs=1e-4)
    if renyi is None:
        with pytest.raises(NotApplicable, match="binomial"):
            by_renyi(trial, trials, 1e-6)
    else:
        assert renyi - 5e-3 <= by_renyi(trial, trials, 1e-6).value <= renyi + 1e-4  # orders there are fewer


def pgf(trials: Trials, x: np.ndarray) -> np.ndarray:
    """E[x^K], written down anew."""
    if trials.law == "poisson":
        return np.exp(trials.mean * (x - 1))
    if trials.law == "binomial":
        return (1 - trials.chance + trials.chance * x) ** count(trials)
    share, eta = gamma(trials), trials.shape
    if eta == 0:
        return np.log(1 - (1 - share) * x) / math.log(share)
    return ((1 - (1 - share) * x) ** -eta - 1) / (share**-eta - 1)


def winner(law: np.ndarray, trials: Trials) -> np.ndarray:
    """The law of the best of K, the last outcome being the best, with 'none' first."""
    below = np.concatenate([[0.0], np.cumsum(law)])
    values = pgf(trials, np.minimum(below, 1.0))
    return np.concatenate([[values[0]], np.diff(values)])


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("mean", [1.5, 6.0])
def test_no_winner_tells_more_than_is_claimed(law: str, mean: float) -> None:
    """Randomized response with every order of its answers by score, both ways round."""
    epsilon, answers = 0.7, 3
    plan = Plan((Phase(RandomizedResponse(epsilon, answers), Poisson(1.0), 1),), adjacency=REPLACE_ONE)
    trials, trial = Trials(law, mean), source(plan)
    true = np.full(answers, 1.0) / (math.exp(epsilon) + answers - 1)
    pair = [true.copy(), true.copy()]
    pair[0][0] *= math.exp(epsilon)
    pair[1][1] *= math.exp(epsilon)
    assert pgf(trials, np.array([1.0]))[0] == pytest.approx(1.0)
    slope = (pgf(trials, np.array([1.0]))[0] - pgf(trials, np.array([1.0 - 1e-6]))[0]) / 1e-6
    assert slope == pytest.approx(most(trials), rel=1e-3)
    for delta in (0.3, 0.01):
        claimed = by_profile(trial, trials, delta).value
        for order in itertools.permutations(range(answers)):
            one, other = (winner(each[list(order)], trials) for each in pair)
            for p, q in ((one, other), (other, one)):
                assert np.maximum(p - math.exp(claimed) * q, 0).sum() <= delta * (1 + 1e-9)


def test_a_pure_trial_costs_what_theorems_say() -> None:
    """(2 + η)·ε without δ (Papernot, Steinke 2022, Cor 3), which the profile form reaches as δ falls."""
    plan = Plan((Phase(Laplace(0.5), Poisson(1.0), 1),))
    found = by_profile(source(plan), Trials("geometric", 10.0), 1e-9)
    assert 1.4 < found.value <= 1.5 * (1 + 1e-5)


@pytest.mark.slow
def test_more_trials_cost_more_and_more_than_one() -> None:
    plan = Plan.from_rate(2.0, 0.01, 100)
    for law in LAWS:
        costs = [by_profile(source(plan), Trials(law, mean), 1e-5).value for mean in (2.0, 8.0)]
        assert accounting.epsilon(plan, 1e-5).value < costs[0] < costs[1]
    found = tuning(plan, 1e-5, tuple(Trials(law, 8.0) for law in LAWS))
    assert found.together is not None and found.single.value < found.together.value
    assert all(row.profile is not None and row.renyi is not None and row.profile.value < row.renyi.value
               for row in found.rows if row.trials.law != "binomial")  # fmt: skip


def test_a_law_that_is_refused_is_named_with_the_reason() -> None:
    found = tuning(one_gaussian(4.0), 1e-6, (Trials("binomial", 10.0),))
    assert tuning_command.command.name == "tuning"
    _, note = compare_tuning.table(found).notes
    assert "binomial: Rényi: Papernot and Steinke 2022 cover no binomial number" in note


@pytest.mark.parametrize(
    "wrong", [{"mean": 0}, {"mean": -1}, {"law": "uniform"}, {"eta": -1.0}, {"chance": 1.0}, {"chance": 0},
              {"mean": 1.0, "law": "geometric"}, {"mean": 1e9}, {"mean": math.nan}, {"mean": math.inf}]
)  # fmt: skip
def test_laws_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(PlanError):
        Trials(**({"law": "negative-binomial", "mean": 3.0} | wrong))  # type: ignore[arg-type]


@pytest.mark.posix
def test_the_command_shows_every_law_beside_one_trial_and_all() -> None:
    words = ["compare", "tuning", "--sampling", "full-batch", "--sigma", "4", "--steps", "1", "--delta", "1e-6"]
    import forked  # of POSIX alone

    text = forked.dpplan(*words, cwd=ROOT).stdout
    assert "1.98302" in text and "2.17652" in text and "no search" in text and "a grid of 10 " in text
    assert "Yours: of 10 settings tried one after the other" in text
    content = json.loads(forked.dpplan(*words, "--trials", "geometric", "--json", cwd=ROOT).stdout)
    (row,) = content["results"]
    assert row["profile"]["upper"] == pytest.approx(1.983017, abs=1e-5) and row["profile"]["guarantee"] == "upper"


@pytest.mark.sweep(every=3)
@pytest.mark.posix
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--trials", "geometrik"), "Did you mean 'geometric'?"),
        (("--mean", "0"), "mean=0"),
        (("--mean", "1", "--trials", "geometric"), "mean=1 is not above 1"),
        (("--mean", "ten"), "ten"),
        (("--eta", "-1"), "eta=-1"),
        (("--chance", "1"), "chance=1"),
        (("--eta", "1", "--trials", "poisson"), "eta is of negative-binomial, which is not compared"),
        (("--chance", ".5", "--trials", "poisson"), "chance is of binomial, which is not compared"),
        (("--sigma", "0"), "sigma=0"),
        (("--steps", "3"), "sigma is missing"),
    ],
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...], said: str) -> None:
    usual = () if "--steps" in words else ("--sigma", "4", "--q", "0.1", "--steps", "1")
    if "--sigma" in words:
        usual = ("--q", "0.1", "--steps", "1")
    import forked  # of POSIX alone

    found = forked.dpplan("compare", "tuning", *usual, "--delta", "1e-6", *words, cwd=ROOT)
    assert found.returncode == 2 and said in " ".join(found.stderr.split())


def test_a_picture_has_a_bar_for_each_law_and_form(tmp_path: Path) -> None:
    found = tuning(one_gaussian(4.0), 1e-6, tuple(Trials(law, 10.0) for law in ("poisson", "geometric", "binomial")))
    drawing.draw(found, tmp_path / "tuning.svg")
    text = (tmp_path / "tuning.svg").read_text(encoding="utf-8")
    assert "<svg" in text and text.count("#9f9f9f") == 2  # none by Rényi of a binomial law
    with pytest.raises(UsageError):
        drawing.draw(found, tmp_path / "tuning.txt")


@pytest.mark.parametrize(("eta", "mean"), [(-0.999999, 3.0), (-0.99, 100.0), (1e6, 1.0 + 1e-8), (0.5, 1.0 + 1e-15)])
def test_a_mean_that_no_gamma_gives_is_refused(eta: float, mean: float) -> None:
    """The law at the end of the range has another mean, and costs about what one trial costs."""
    search = BestOfTrials("negative-binomial", mean, one_gaussian(1.0).phases, eta=eta)
    with pytest.raises(NotApplicable, match="needs a γ outside"):
        accounting.epsilon(Plan((Phase(search, Poisson(1.0), 1),)), 1e-5)
