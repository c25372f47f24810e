"""dpplan risk in a process of its own."""

import json
import math
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from dpplan import risk
from dpplan.commands.risk import _judged
from dpplan.commands.shared.parameter_types import CHANCE
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.plan import Settings
from dpplan.risk.assessment import posterior

Run = Callable[..., CompletedProcess[str]]
PLAN = ("--sigma", "1.1", "--q", "256/60000", "--steps", "14063", "--delta", "1e-5")


def test_a_plan_as_a_table_and_in_words(dpplan: Run) -> None:
    done = dpplan("risk", *PLAN, "--prior", ".01", "--fpr", ".001")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    words = " ".join(done.stdout.split())
    assert "advantage, TPR - FPR 0.2245 0" in words
    assert "TPR at FPR 0.1 0.2397 0.1" in words
    for attack in ("singling out", "attribute inference", "reconstruction"):
        assert f"{attack} 0.04021 0.01" in words
    assert re.search(r"smallest μ 0\.58\d+ .* regret of μ ≤ 0\.002\d+ of μ alone, as GDP reporting calls it", words)
    assert "can recognise at most 6.06 in 1000 of those that were; guessing would recognise 1" in words
    assert "does not limit what is learned about people like you" in words
    assert "assumes Poisson sampling, add/remove one example" in words


def test_a_stated_delta_that_no_float_is_counts_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    monkeypatch.setattr(risk, "source_of_stated", lambda epsilon, delta: told.append(delta))
    for typed in ("1/60000", "1/65536"):
        _judged(None, PlanArguments(Settings()), CHANCE.convert(typed, None, None), 1.0, None, [])
    assert Fraction(told[0]) > Fraction(1, 60_000) > Fraction(math.nextafter(told[0], 0.0))
    assert told[1] == 2.0**-16


def test_phases_are_called_by_their_names(dpplan: Run, tmp_path: Path) -> None:
    phases = [f"{{name: {name}, mechanism: {{kind: laplace, epsilon: 0.2}}}}" for name in ("counts", "sums")]
    (tmp_path / "named.yaml").write_text(f"phases: [{', '.join(phases)}]", encoding="utf-8")
    done = dpplan("risk", "named.yaml", "--delta", "1e-6")
    assert re.search(r"^    counts  ε = 0.2", done.stdout, re.MULTILINE)


@pytest.mark.slow
def test_a_wide_answer_says_so(dpplan: Run) -> None:
    """Batches of a fixed size: what dominates is not known to be realised."""
    fixed = ("--sigma", "2", "--n", "1000", "--batch", "50", "--steps", "100", "--sampling", "fixed-size")
    found = dpplan("risk", *fixed, "--adjacency", "replace-one", "--delta", "1e-4")
    assert found.returncode == 0
    said = " ".join(found.stdout.split())
    ends = re.search(r"wide .*: (.*) is ([\d.e-]+) at least and ([\d.e-]+) at most", said)
    assert ends is not None
    assert float(ends[2]) < 0.999 * float(ends[3])
    assert f"{ends[1]} {ends[3]}" in said  # the figure of the table
    narrow = dpplan("risk", "--sigma", "2", "--q", "0.01", "--steps", "100", "--delta", "1e-4")
    assert "wide" not in narrow.stdout


def test_json_holds_both_ends_and_what_guessing_reaches(dpplan: Run) -> None:
    answer = json.loads(dpplan("risk", *PLAN, "--at", "0.01", "--prior", "0.1", "--json").stdout)
    assert answer["schema"] == "dpplan.risk/1"
    assert answer["guarantee"] == "certified"
    (rate,) = answer["true_positive_rates"]
    assert rate["lower"] <= rate["upper"] < rate["by_epsilon_delta_alone"]
    assert rate["guessing"] == rate["false_positive_rate"] == 0.01
    assert answer["posterior"]["upper"] == pytest.approx(posterior(rate["upper"], 0.1, 0.01), rel=1e-9)
    assert 0.58 < answer["gdp"]["mu"] < 0.59
    assert 0.002 < answer["gdp"]["regret"] < 0.0022
    assert answer["singling_out"] == answer["attribute_inference"] == answer["reconstruction"]
    assert answer["singling_out"]["upper"] == rate["upper"]


def test_a_run_and_what_epsilon_printed_give_the_figures_of_their_plan(dpplan: Run, tmp_path: Path) -> None:
    printed = tmp_path / "epsilon.json"
    printed.write_text(dpplan("epsilon", *PLAN, "--json").stdout, encoding="utf-8")
    from_file = json.loads(dpplan("risk", "epsilon.json", "--json").stdout)
    typed = json.loads(dpplan("risk", *PLAN, "--json").stdout)
    assert from_file["true_positive_rates"] == typed["true_positive_rates"]
    assert from_file["stated"] == typed["stated"]


@pytest.mark.slow
@pytest.mark.parametrize("library", ["opacus", pytest.param("dp-accounting", marks=pytest.mark.slow)])
def test_what_another_library_wrote_is_taken_wherever_a_plan_file_is(dpplan: Run, tmp_path: Path, library: str) -> None:
    file = f"{library}.json"
    (tmp_path / file).write_text(dpplan("export", *PLAN[:-2], "--to", library).stdout, encoding="utf-8")
    plain = json.loads(dpplan("risk", *PLAN, "--json").stdout)
    told = json.loads(dpplan("risk", file, "--delta", "1e-5", "--json").stdout)
    assert told["true_positive_rates"] == plain["true_positive_rates"]
    page = json.loads(dpplan("report", file, "--delta", "1e-5", "--format", "json").stdout)
    assert page["schema"].startswith("dpplan.")
    assert "no report of dpplan" not in dpplan("audit", "none.csv", "--against", file, "--delta", "1e-5").stderr
    assert "block 'data:'" not in dpplan("check", file, "--delta", "1e-5").stderr


def test_a_single_output_is_said_to_be_limited_by_nothing_here_not_by_no_noise(dpplan: Run) -> None:
    """Of a pure mechanism the noise does limit it; only these figures do not say by how much."""
    said = " ".join(dpplan("risk", "--eps", "1", "--delta", "1e-9").stdout.split())
    assert "none of these figures limits that." in said
    assert "no noise" not in said
    assert "eps=inf is not a finite number of at least 0." in dpplan("risk", "--eps", "inf", "--delta", "1e-5").stderr


def test_a_stated_pair_alone_is_what_stands_beside_a_plan(dpplan: Run) -> None:
    plan = json.loads(dpplan("risk", *PLAN, "--json").stdout)
    stated = plan["stated"]
    alone = json.loads(dpplan("risk", "--eps", repr(stated["epsilon"]), "--delta", "1e-5", "--json").stdout)
    assert (alone["guarantee"], alone["plan"]) == ("upper", None)
    for mine, theirs in zip(alone["true_positive_rates"], plan["true_positive_rates"], strict=True):
        assert mine["upper"] == pytest.approx(theirs["by_epsilon_delta_alone"], rel=1e-6)


def test_a_picture(dpplan: Run, tmp_path: Path) -> None:
    done = dpplan("risk", "--mu", "0.5", "--plot", "risk.svg")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "risk.svg").read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--eps", "3"), "delta is missing"),
        (("--mu", "-1"), "mu=-1 is not a positive number"),
        (("--mu", "1", "--prior", "1"), "prior=1 is not in (0, 1)"),
        (("--mu", "1", "--at", "0"), "at=0 is not in (0, 1)"),
        (("--mu", "1", "--eps", "1", "--delta", "1e-5"), "--eps and --mu are given"),
        ((*PLAN, "--mu", "1"), "the options of a plan (--sigma, --q, --steps) and --mu are given"),
        (("nothing.json",), "no such file"),
        (("--mu", "1", "--spent", "sigma=1,q=1,steps=1"), "the options of a plan (--spent) and --mu are given"),
        (("--mu", "1", "--delta", "nonsense"), "delta=nonsense is not in (0, 1)"),
        (("plan.yaml", "--eps", "1", "--delta", "1e-5"), "SOURCE and --eps are given"),
    ],
)
def test_mistakes(dpplan: Run, arguments: tuple[str, ...], said: str) -> None:
    done = dpplan("risk", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""


def test_a_mu_and_what_it_leaves_out_are_put_back_together(dpplan: Run) -> None:
    """Whoever was told (μ, δ₀) and puts both back learns no less than is true of the plan."""
    own = json.loads(dpplan("risk", *PLAN, "--mu-delta", "1e-3", "--json").stdout)
    back = ("--mu", repr(own["gdp"]["mu"]), "--json")
    whole = json.loads(dpplan("risk", *back, "--delta", "1e-3").stdout)
    assert whole["source"] == f"μ = {own['gdp']['mu']!r} but for δ₀ = 0.001, and nothing else"
    assert (whole["gdp"]["mu"], whole["gdp"]["delta"]) == (own["gdp"]["mu"], 1e-3)
    rates = zip(own["true_positive_rates"], whole["true_positive_rates"], strict=True)
    assert all(mine["lower"] <= told["upper"] for mine, told in rates)
    alone = json.loads(dpplan("risk", *back).stdout)
    rates = zip(own["true_positive_rates"], alone["true_positive_rates"], strict=True)
    assert any(mine["lower"] > told["upper"] for mine, told in rates)  # which is why δ₀ has to be heard


def test_why_a_seeded_run_has_no_figure_is_told(dpplan: Run, tmp_path: Path) -> None:
    folder = Path(__file__).parents[2] / "recipes"
    assert dpplan("train", folder / "digits-logistic.yaml", "--seed", "1", "--out", "run").returncode == 0
    done = dpplan("risk", "run")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no figure of it holds: the run had a seed: whoever knows it can subtract" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        (("--max-advantage", "0.1"), r"would keep advantage ≤ 0\.1\d*"),
        (("--max-tpr", "0.05@0.01"), r"is not proven to keep that: δ = 0\.\d+ at ε = [\d.]+"),
    ],
)
def test_the_next_value_of_a_limit_on_attackers_is_told_by_what_it_would_keep(
    dpplan: Run, limit: tuple[str, ...], told: str
) -> None:
    """Of an advantage by that; of other limits by the δ that proves them, at the ε of theirs."""
    done = dpplan("solve", *limit, "--q", ".02", "--steps", "300")
    said = " ".join(done.stdout.split())
    assert re.search(rf" next noise multiplier \S+ {told} ", said)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_beside_a_limit_on_attackers_stands_the_epsilon_of_the_answer(dpplan: Run) -> None:
    plan = ("--q", ".02", "--steps", "300")
    limit = ("solve", "--max-advantage", "0.1", *plan)
    answer = json.loads(dpplan(*limit, "--delta", "1e-5", "--json").stdout)["results"][0]
    found, shown = answer["value"], answer["spent_at_delta"]
    alone = json.loads(dpplan("epsilon", "--sigma", str(found), *plan, "--delta", "1e-5", "--json").stdout)["results"][
        0
    ]
    assert shown["delta"] == alone["delta"] and shown["epsilon"] == alone["epsilon"]
    told = dpplan(*limit, "--delta", "1e-5")
    assert re.search(r"^  epsilon +ε = [\d.]+ +certified$", told.stdout, re.MULTILINE)
    assert re.search(r"^  delta +1e-05 +given$", told.stdout, re.MULTILINE)
    untold = dpplan(*limit)
    assert "at a δ, and none is given: add --delta to see ε, too" in untold.stdout
    assert json.loads(dpplan(*limit, "--json").stdout)["results"][0]["spent_at_delta"] is None
    of_n = dpplan("solve", "--max-advantage", "0.1", "--n", "1000", "--batch", "20", "--steps", "300").stdout
    assert re.search(r"^  epsilon +ε = [\d.]+ +certified$", of_n, re.MULTILINE)
    assert re.search(r"^  delta +0.0001 +largest power of ten", of_n, re.MULTILINE)


def test_a_delta_beside_a_limit_is_held_against_n(dpplan: Run) -> None:
    done = dpplan("solve", "--max-advantage", "0.1", "--n", "1000", "--batch", "20", "--steps", "300", "--delta", "0.1")
    assert done.returncode == 0 and "delta=0.1 is not below 1/n" in done.stderr


def test_solve_names_the_limit_it_keeps(dpplan: Run) -> None:
    plan = ("--q", ".02", "--steps", "300")
    done = dpplan("solve", "--max-posterior", "0.2@prior=0.01,fpr=0.001", *plan, "--json")
    answer = json.loads(done.stdout)["results"][0]
    assert (done.returncode, done.stderr) == (0, "")
    assert answer["kept"] == "posterior ≤ 0.2 at prior 0.01, FPR 0.001"
    wrong = dpplan("solve", "--max-tpr", "0.05", "--max-advantage", "0.1", *plan)
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "max_advantage and max_tpr are given: one limit decides" in wrong.stderr
    wrong = dpplan("solve", "--max-tpr", "0.05@1", *plan)
    assert "fpr=1 is not in (0, 1). --max-tpr is TPR@FPR, such as 0.05@0.01." in " ".join(wrong.stderr.split())
