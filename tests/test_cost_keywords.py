"""dpplan.epsilon and dpplan.delta: the command line's words as keywords, and what a notebook shows of results."""

import doctest
import fractions
import inspect
import re
import subprocess
import sys
import typing
from fractions import Fraction
from html import unescape
from pathlib import Path

import pytest

import dpplan
from dpplan import accounting, compare, cost, curve, solve, verify
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.adjacency import REPLACE_ONE, ZERO_OUT
from dpplan.compare.plans import PlanEntry, plans
from dpplan.compare.samplers import samplers
from dpplan.compare.theorems import theorems
from dpplan.compare.tuning import tuning
from dpplan.compare.units import units
from dpplan.errors import NotApplicable, PlanError, UsageError
from dpplan.frontier import Grid, frontier
from dpplan.mechanism import Gaussian
from dpplan.mechanism.trials import Trials
from dpplan.plan import Delta, Phase, Plan, Settings
from dpplan.plan_assumptions import Assumptions
from dpplan.quantities import DESCRIBING
from dpplan.recipe import plan_file
from dpplan.risk.assessment import AttackQuestion, assess
from dpplan.risk.source import source_of_plan
from dpplan.sampling import CHOICES, Poisson

COHORTS = Path(__file__).parents[1] / "recipes" / "plans" / "cohorts.yaml"
ABADI = {"sigma": 4, "q": 0.01, "steps": 10000}


def test_a_bare_interpreter_answers() -> None:
    script = "import dpplan; print(dpplan.epsilon(sigma=1, q=.01, steps=1000, delta=1e-5))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, encoding="utf-8")
    assert re.fullmatch(
        r"1\.8282366\d+ ≤ ε ≤ 1\.8282366\d+ \(certified; Poisson sampling, add/remove one example\)\n", done.stdout
    )


def test_functions_are_functions_and_modules_stay_modules() -> None:
    assert inspect.isfunction(dpplan.epsilon)
    assert inspect.isfunction(dpplan.delta)
    assert all(inspect.ismodule(getattr(dpplan, name)) for name in ("solve", "compare", "curve", "accounting", "plan"))
    assert typing.get_type_hints(dpplan.epsilon)["return"] is Bound


def test_the_figure_is_the_accountants_own() -> None:
    assert dpplan.epsilon(**ABADI, delta=1e-5) == accounting.epsilon(Plan.from_rate(4, 0.01, 10000), 1e-5)
    assert dpplan.delta(**ABADI, eps=1) == accounting.delta(Plan.from_rate(4, 0.01, 10000), 1)
    training = Plan.from_training(noise_multiplier=1.1, examples=60000, batch_size=256, epochs=60)
    spent = dpplan.epsilon(sigma=1.1, n=60000, batch=256, epochs=60)
    assert (spent, spent.at) == (accounting.epsilon(training, 1e-6), 1e-6)
    assert spent == dpplan.epsilon(noise_multiplier=1.1, examples=60000, batch_size=256, epochs=60, delta=1e-6)
    assert dpplan.epsilon(sigma=1, q=Fraction(1, 79), epochs=10, delta=1e-5) == accounting.epsilon(
        Plan.from_rate(1, 1 / 79, 790), 1e-5
    )


def test_phases_and_earlier_runs_are_composed() -> None:
    first, second = {"sigma": 2, "q": 0.01, "steps": 100}, {"sigma": 1, "n": 50000, "batch": 500, "steps": 900}
    whole = Plan(
        (Phase(Gaussian(2), Poisson(0.01), 100), Phase(Gaussian(1), Poisson(0.01), 900)),
        examples=50000,
    )
    expected = accounting.epsilon(whole, 1e-6)
    assert dpplan.epsilon(phases=[first, second]) == expected
    assert dpplan.epsilon(spent=first, sigma=1, n=50000, batch=500, steps=900) == expected
    assert dpplan.epsilon(phases=whole.phases, delta=1e-6) == expected
    assert dpplan.epsilon(phases=whole, delta=1e-6) == expected


def test_scheme_adjacency_and_accountant_are_heard() -> None:
    zeroed = dpplan.epsilon(**ABADI, delta=1e-5, adjacency="zero-out")
    assert zeroed.assumptions == Assumptions("Poisson sampling", ZERO_OUT.name, "example")
    fixed = dpplan.epsilon(sigma=1, n=1000, batch=10, steps=100, sampling="fixed_size")
    assert fixed.assumptions.sampling == "batches of exactly 10 of 1000"
    assert dpplan.epsilon(sigma=10, steps=5, sampling="full-batch", delta=1e-5).assumptions.sampling == "full batch"
    classic = dpplan.epsilon(**ABADI, delta=1e-5, accountant="rdp", conversion="classic")
    assert classic == accounting.epsilon(Plan.from_rate(4, 0.01, 10000), 1e-5, "rdp", conversion="classic")
    with pytest.raises(NotApplicable, match="zcdp"):
        dpplan.epsilon(**ABADI, delta=1e-5, accountant="zcdp")


def test_a_delta_that_is_too_large_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"delta=0.01 is not below 1/n = 0.001.*Try delta=0.0001"):
        dpplan.epsilon(sigma=1, n=1000, batch=10, epochs=1, delta=0.01)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ({}, ("sigma is missing", "the sample rate is missing", "the length of the run", "delta is missing")),
        ({**ABADI, "dleta": 1e-5}, ("dleta is no keyword of this function. Did you mean 'delta'?", "delta is missing")),
        ({**ABADI, "eps": 3}, ("eps is no keyword of this function. The delta at an epsilon is what",)),
        ({**ABADI, "target_eps": 3, "delta": 1e-5}, ("A target is what dpplan.solve starts from",)),
        ({**ABADI, "delta": 1e-5, "accountant": "prv"}, ("exact answers it: the same loss distribution",)),
        ({**ABADI, "delta": 1e-5, "accountant": "opacus"}, ("Opacus's default, prv, is answered by exact",)),
        ({**ABADI, "delta": 2}, ("delta=2 is not in (0, 1).",)),
        ({**ABADI, "delta": 1e-5, "accountant": "rpd"}, ("accountant=rpd", "Did you mean 'rdp'?")),
        ({**ABADI, "delta": 1e-5, "accountant": "least"}, ("accountant=least is not one of",)),  # nobody's name
        ({**ABADI, "delta": 1e-5, "accuracy": 1e-3, "accountant": "rdp"}, ("accuracy is nothing that",)),
        ({**ABADI, "delta": 1e-5, "conversion": "cks"}, ("conversion is nothing that the accountant exact takes",)),
        ({**ABADI, "delta": 1e-5, "adjacency": "swap"}, ("adjacency=swap is not one of",)),
        ({**ABADI, "delta": 1e-5, "sampling": "shufle"}, ("sampling=shufle is not one of: poisson",)),
        ({**ABADI, "noise_multiplier": 3, "delta": 1e-5}, ("noise_multiplier=3 contradicts noise_multiplier=4",)),
        ({"phases": [ABADI, 7], "delta": 1e-5}, ("phases[1]: 7 is no phase",)),
        ({"phases": [{"sigma": 1, "r": 2, "steps": 5}], "delta": 1e-5}, ("phases[0]: r is not one of",)),
        ({"phases": [ABADI], "sigma": 2, "delta": 1e-5}, ("sigma beside phases",)),
        ({"phases": [{**ABADI, "n": 9}, {**ABADI, "n": 8}]}, ("n=9 and n=8 differ", "delta is missing")),
        ({**ABADI, "sigma": "four", "delta": 1e-5}, ("sigma='four' is text. Give a number",)),
        ({**ABADI, "q": "1/235", "delta": "1e-5"}, ("q=fractions.Fraction(1, 235), without", "Write delta=1e-5,")),
        ({"sigma": 1, "n": 9, "batch": 5, "steps": 1, "sampling": "full-batch"}, ("sampling=full-batch takes",)),
    ],
)  # fmt: skip
def test_all_that_is_wrong_is_told_at_once_in_keywords(call: dict[str, typing.Any], told: tuple[str, ...]) -> None:
    with pytest.raises((PlanError, UsageError)) as caught:
        dpplan.epsilon(**call)
    message = str(caught.value)
    for each in told:
        assert each in message
    assert "--" not in message


def test_a_delta_asks_for_its_epsilon() -> None:
    with pytest.raises(PlanError, match=r"sigma=0(?s:.*)eps is missing"):
        dpplan.delta(sigma=0, q=0.1, steps=5)


def test_every_word_of_the_command_line_is_a_keyword() -> None:
    words = {option.removeprefix("--").replace("-", "_") for each in DESCRIBING for option in each.all_options}
    told = {option.name for name in accounting.ACCOUNTANTS for option in accounting.describe(name).options}
    beside = {"sampling", "adjacency", "unit", "max_per_user", "phases", "spent", "accountant"}
    beside |= {option.name for choice in CHOICES.values() for option in choice.options}
    for function, own in ((dpplan.epsilon, "delta"), (dpplan.delta, "eps")):
        assert set(inspect.signature(function).parameters) == words | told | beside | {own}


def test_the_examples_in_the_docstrings_are_so() -> None:
    assert doctest.testmod(cost).failed == 0


# What a notebook shows


def shown(result: object) -> list[str]:
    """The cells, after the title, as text."""
    page = result._repr_html_()  # type: ignore[attr-defined]
    assert page.startswith("<table>")
    return [
        unescape(re.sub("<[^>]*>", "", cell))
        for cell in re.findall(r"<(?:caption|t[dh])[^>]*>.*?</(?:caption|t[dh])>", page)
    ]


def test_a_figure_shows_interval_guarantee_and_assumptions() -> None:
    assert shown(dpplan.epsilon(**ABADI, delta=1e-5)) == [
        "ε = 0.946867 at δ = 1e-05",
        "certified", "0.946866799 ≤ ε ≤ 0.946866802",
        "assumes", "Poisson sampling, add/remove one example",
        "accountant", "exact",
    ]  # fmt: skip
    assert shown(dpplan.delta(**ABADI, eps=1, accountant="gdp"))[:3] == [
        "δ ≈ 3.90814e-06 at ε = 1", "estimate", "nothing is proven: the truth may be larger",
    ]  # fmt: skip


def test_no_notebook_claims_more_than_was_proven() -> None:
    assumed = Assumptions("Poisson <b>sampling</b>", "add_remove", "example")
    upper = Bound("epsilon", None, 1.0000001, Guarantee.UPPER, "toy", assumed)
    assert shown(upper)[0] == "ε ≤ 1.00001"
    assert "<b>sampling" not in upper._repr_html_()
    assert shown(Bound("epsilon", 0.9999999, None, Guarantee.LOWER, "toy", assumed))[0] == "ε ≥ 0.999999"
    wide = Bound("epsilon", 1.0, 2.0, Guarantee.CERTIFIED, "toy", assumed, at=1e-5)
    assert shown(wide)[0] == "ε ≤ 2 at δ = 1e-05"


def test_plans_solutions_comparisons_curves_and_verdicts_are_shown_too() -> None:
    run = Plan.from_training(noise_multiplier=1.1, examples=60000, batch_size=256, epochs=1)
    cells = shown(run)
    assert cells[cells.index("steps") :][:3] == ["steps", "235", "⌈1 epochs × 60000 / 256⌉"]
    assert "Poisson sampling, add/remove one example" in cells
    two = shown(Plan((*run.phases, Phase(Gaussian(2), Poisson(0.5), 3))))
    assert {"phases[0].noise_multiplier", "phases[1].steps"} <= set(two)

    found = solve.noise(Settings(sample_rate=0.01, steps=100), 1.0, 1e-5)
    assert shown(found)[0] == f"noise multiplier = {found.value!r}"
    assert {"certified", "Poisson sampling, add/remove one example"} <= set(shown(found))

    rows = shown(compare.accountants(Plan.from_rate(1.1, 0.01, 100), 1e-5))
    assert rows[rows.index("zcdp") : rows.index("zcdp") + 2] == ["zcdp", "-"]
    assert rows[rows.index("gdp") + 2 : rows.index("gdp") + 4] == ["estimate", "under-reports"]

    drawn = shown(curve.profile(Plan.from_rate(4, 0.01, 100), [1e-5, 1e-6]))
    assert drawn[:4] == ["Poisson sampling, add/remove one example", "delta", "exact", "1e-05"]


def test_comparisons_are_shown_with_the_figure_and_guarantee_of_each_row() -> None:
    settings = Settings(noise_multiplier=2.0, examples=1000, batch_size=100, steps=20)
    run, bound = settings.plan(), 1e-5
    entries = [PlanEntry(name, run, Delta(1e-5, "")) for name in ("a", "b")]
    assert {"plan", "a", "b", "best epsilon", "certified"} <= set(shown(plans(entries)))
    theorem_rows = shown(theorems(run, bound))
    assert {"steps", "exact", "basic", "20"} <= set(theorem_rows)
    laws = tuple(Trials(law, 3.0) for law in ("geometric", "poisson"))
    tuned = shown(tuning(Plan.from_rate(4, 0.01, 10), bound, laws))
    assert {"one trial", "geometric", "poisson", "a grid of 3, all released"} <= set(tuned)
    users = shown(units(settings, bound, 3))
    assert {"1 example", "3 of a user", "guarantee"} <= set(users)
    for rows in (theorem_rows, tuned, users):
        assert any(cell.startswith("ε = ") for cell in rows)


def test_samplers_are_shown_under_each_relation_and_with_why_one_refuses() -> None:
    found = samplers(Settings(noise_multiplier=2.0, examples=100, batch_size=10, steps=10), 1e-5, noise=False)
    cells = shown(found)
    assert {"shuffle", "certified", "left out", *(row.adjacency.short for row in found.rows)} <= set(cells)
    assert all(row.refusal in cells for row in found.rows if row.bound is None)


def test_a_frontier_its_recommendation_and_a_risk_are_shown() -> None:
    found = frontier(Grid(10000, 3.0, 1e-5, (100, 200), epochs=(2.0,)))
    cells = shown(found)
    assert cells[1:5] == ["epochs", "batch 100", "batch 200", "2"]
    assert float(cells[5]) >= found.rows[0][0].noise_multiplier
    assert {"spends", "certified", "why"} <= set(shown(found.recommended))

    risk = assess(source_of_plan(Plan.from_rate(4, 0.01, 100)), AttackQuestion())
    told = shown(risk)
    at = told.index("advantage, TPR - FPR")
    assert float(told[at + 1]) >= risk.advantage.upper
    assert told[at + 2] == "0"


def test_a_verdict_is_shown(tmp_path: typing.Any) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dpplan", "epsilon", "--sigma", "4", "--q", "0.01", "--steps", "10", "--delta", "1e-5",
         "--json"], capture_output=True, text=True, check=True, encoding="utf-8",
    )  # fmt: skip
    file = tmp_path / "claim.json"
    file.write_text(done.stdout, encoding="utf-8")
    (claim,) = verify.read(file).claims
    cells = shown(verify.verify(claim, proofs=False))
    assert cells[:2] == ["stands", "claimed"]
    assert "publish" in cells


def test_every_scheme_and_unit_is_a_keyword_as_it_is_an_option() -> None:
    bins = dpplan.epsilon(sampling="balls-in-bins", bins="same", sigma=2, q=0.1, epochs=2, delta=1e-5)
    asked = Settings(2, 0.1, epochs=2, sampling="balls-in-bins", scheme_options=(("bins", "same"),))
    assert bins == accounting.epsilon(asked.plan(), 1e-5)
    users = dpplan.epsilon(unit="user", max_per_user=4, sigma=2, q=0.01, steps=1000, delta=1e-6)
    assert users.upper == pytest.approx(3.26988785, abs=1e-7) and "user" in str(users)
    both = dpplan.epsilon(
        unit="user", max_per_user=4, sigma=2, q=0.01, steps=500, spent={"sigma": 2, "q": 0.01, "steps": 500}, delta=1e-6
    )
    assert both.upper == pytest.approx(users.upper, rel=1e-8)


def test_what_a_scheme_does_not_take_is_the_callers_mistake() -> None:
    for said, told in (
        ({"times": 2}, "times=2 is an option of random-allocation"),
        ({"sampling": "balls-in-bins", "bins": "other"}, "bins=other is not one of: fresh, same."),
        ({"max_per_user": 3}, "max_per_user=3 is about users"),
        ({"unit": "people"}, "unit=people is not one of: example, user."),
        ({"sampling": "random-allocation"}, "times is missing"),
    ):
        with pytest.raises(PlanError, match=re.escape(told)):
            dpplan.epsilon(sigma=1, q=0.01, steps=100, delta=1e-5, **said)  # type: ignore[arg-type]


def test_a_plan_for_other_neighbours_is_not_taken_for_one_of_the_call() -> None:
    replaced = Settings(1.0, 0.01, 100, adjacency=REPLACE_ONE).plan()
    owned = Settings(1.0, 0.01, 100, unit="user", max_per_user=2).plan()
    for plan, told, beside in (
        (replaced, "phases[0]: adjacency=replace-one is not that of the call", {"adjacency": "replace-one"}),
        (owned, "phases[0]: max_per_user=2 is not that of the call", {"unit": "user", "max_per_user": 2}),
    ):
        with pytest.raises(PlanError, match=re.escape(told)):
            dpplan.epsilon(phases=plan, delta=1e-5)
        assert dpplan.epsilon(phases=plan, delta=1e-5, **beside) == accounting.epsilon(plan, 1e-5)


def test_the_name_of_a_file_is_no_list_of_phases() -> None:
    """One sentence, and what to write, in place of one for each letter."""
    for name in ("phases", "spent"):
        with pytest.raises(PlanError) as told:
            dpplan.epsilon(delta=1e-6, **{name: "plan.yaml"}, **({} if name == "phases" else ABADI))
        assert [problem for problem in told.value.problems if "no list of phases" in problem], told.value.problems
        assert not any("is no phase." in problem for problem in told.value.problems)
        said = re.search(
            rf"of a plan file, {name}=(.*), after `(import .*)` and `(from .* import read)`", str(told.value)
        )
        assert said is not None
        space: dict[str, object] = {}
        exec("\n".join(said.groups()[1:]), space)
        assert eval(said[1].replace("plan.yaml", str(COHORTS)), space) == plan_file.read(COHORTS).plan


@pytest.mark.parametrize("given", [{"n": 40, "batch": 12}, {"q": 1 / 235}], ids=["batch", "rate"])
def test_the_rate_that_is_advised_is_taken_when_pasted(given: dict[str, typing.Any]) -> None:
    """A float is no exact 1/235, and advice to write q=1/235 would end in itself."""
    run = {"sigma": 2.0, "epochs": 1, "sampling": "balls-in-bins", "delta": 1e-3}
    with pytest.raises(PlanError) as error:
        dpplan.epsilon(**run, **given)
    advised = re.findall(r"q=(fractions\.Fraction\(1, \d+\))", str(error.value))
    assert len(advised) == 2
    assert dpplan.epsilon(**run, q=eval(advised[0], {"fractions": fractions})).upper is not None


def test_the_delta_of_what_is_asked_for_is_refused_with_who_tells_the_epsilon() -> None:
    with pytest.raises(PlanError, match=r"delta is no keyword .* The epsilon at a delta is what dpplan\.epsilon tells"):
        dpplan.delta(**ABADI, delta=1e-5)
