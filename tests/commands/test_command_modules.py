"""Each command in this process: what was typed becomes a request, the library's figures are what is printed.

How errors become one message and an exit code is held by test_main and test_exit_codes, in processes of their own.
"""

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from dpplan import accounting, lint, verify
from dpplan.adjacency import REPLACE_ONE
from dpplan.commands import (
    check,
    compare_accountants,
    compare_plans,
    compare_theorems,
    curve,
    delta,
    epsilon,
    frontier,
    help,
    risk,
    solve,
    train,
)
from dpplan.commands import verify as verify_command
from dpplan.commands.check import BesidePlan
from dpplan.commands.frontier import ListOrRange
from dpplan.commands.risk import AttackOptions
from dpplan.commands.solve import SolveTarget
from dpplan.errors import BudgetExceeded, NotCertified, PlanError, ReportError, UsageError
from dpplan.plan import Plan

PLAN = ("--sigma", "4", "--q", "0.5", "--steps", "20")
FULL = Plan.from_rate(4.0, 0.5, 20)
RECIPES = Path(__file__).parents[2] / "recipes"


def said(command: click.Command, *arguments: str, status: int = 0) -> str:
    # A command keeps the names of its help option from the first context that it is given.
    done = CliRunner().invoke(command, arguments, help_option_names=["-h", "--help"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == status
    return done.stdout


def told(command: click.Command, *arguments: str) -> Any:
    return json.loads(said(command, *arguments, "--json"))


def refused(command: click.Command, *arguments: str) -> list[str]:
    with pytest.raises(UsageError) as caught:
        said(command, *arguments)
    return list(caught.value.problems)


# epsilon and delta


def test_epsilon_prints_the_accountants_figure_rounded_up() -> None:
    truth = accounting.epsilon(FULL, 1e-5)
    shown = float(said(epsilon.command, *PLAN, "--delta", "1e-5").split()[2])
    assert truth.upper is not None
    assert truth.upper <= shown <= truth.upper * (1 + 1e-5)
    (result,) = told(epsilon.command, *PLAN, "--delta", "1e-5")["results"]
    assert (result["epsilon"]["lower"], result["epsilon"]["upper"]) == (truth.lower, truth.upper)


def test_epsilon_is_held_against_a_limit() -> None:
    assert told(epsilon.command, *PLAN, "--delta", "1e-5", "--max-eps", "9")["within"] is True
    with pytest.raises(BudgetExceeded):
        said(epsilon.command, *PLAN, "--delta", "1e-5", "--max-eps", "0.1")
    estimate = (*PLAN, "--delta", "1e-5", "--max-eps", "9", "--accountant", "gdp")
    with pytest.raises(NotCertified):
        said(epsilon.command, *estimate)
    assert "ε" in said(epsilon.command, *estimate, "--accept-estimate")
    assert refused(epsilon.command, *PLAN, "--delta", "1e-5", "--accept-estimate") == [
        "--accept-estimate says what may meet a limit. Give --max-eps, or leave it out."
    ]


def test_delta_prints_a_row_for_each_epsilon_and_says_that_n_is_not_known() -> None:
    content = told(delta.command, *PLAN, "--eps", "1", "--eps", "2")
    figures = [accounting.delta(FULL, at).upper for at in (1.0, 2.0)]
    assert [each["delta"]["upper"] for each in content["results"]] == figures
    assert "not known" in said(delta.command, *PLAN, "--eps", "1")
    assert refused(delta.command, *PLAN) == ["eps is missing: give --eps, once or several times."]
    counted = ("--eps", "1", "--sigma", "4", "--n", "1000", "--batch", "500", "--steps", "20")
    crowd = CliRunner().invoke(delta.command, counted, help_option_names=["-h", "--help"])
    assert crowd.exception is None
    assert "warning: " in crowd.stderr


# solve


def test_solve_holds_the_target_that_was_given() -> None:
    by_epsilon = told(solve.command, "--sigma", "4", "--q", "0.5", "--target-eps", "3", "--delta", "1e-5")
    (found,) = by_epsilon["results"]
    assert found["unknown"] == "steps"
    assert accounting.epsilon(Plan.from_rate(4.0, 0.5, found["value"]), 1e-5).value <= 3.0
    shown = said(solve.command, "--sigma", "4", "--q", "0.5", "--eps", "3", "--target-delta", "1e-5", "--explain")
    assert shown.startswith(f"steps = {found['value']} ")


@pytest.mark.parametrize(
    ("target", "by", "problems"),
    [
        (SolveTarget(target_epsilon=3.0, delta=1e-5), "epsilon", []),
        (SolveTarget(target_delta=1e-5, epsilon=3.0), "delta", []),
        (SolveTarget(), "epsilon", ["the target is missing"]),
        (SolveTarget(epsilon=1.0), "epsilon", ["eps goes with a target delta"]),
        (SolveTarget(target_epsilon=-1.0), "epsilon", ["target_eps=-1"]),
        (SolveTarget(target_delta=1e-5), "delta", ["the epsilon of the target delta is missing"]),
        (SolveTarget(3.0, 2.0, 3.0, 1e-5), "delta", ["target_eps and target_delta"]),  # the latter is to be left out
        (SolveTarget(None, 2.0, 3.0, 1e-5), "delta", ["delta and target_delta", "target_delta=2"]),
    ],
)
def test_one_target_is_given_with_what_goes_beside_it(target: SolveTarget, by: str, problems: list[str]) -> None:
    assert target.by == by
    assert [each[: len(start)] for each, start in zip(target.problems(), problems, strict=True)] == problems
    if not problems:
        assert (target.epsilon_held, target.delta_given) == (3.0, 1e-5)


def test_solve_tells_all_that_is_wrong_at_once() -> None:
    problems = refused(solve.command, "--sigma", "-4", "--q", "0.5", "--delta", "7")
    starts = ["sigma=-4", "the target is missing", "delta=7"]
    assert sorted(each[: len(start)] for each, start in zip(sorted(problems), sorted(starts), strict=True)) == sorted(
        starts
    )


# frontier and curve


@pytest.mark.parametrize(
    ("text", "whole", "values"),
    [
        ("64, 128", True, (64, 128)),
        ("10:50", True, (10, 20, 40, 50)),
        ("1:100:3", False, (1, 10, 100)),
        ("5:1", False, ("5:1",)),  # left for the grid to refuse by name
        ("1:2:1.5", False, ("1:2:1.5",)),
        ("x", True, ("x",)),
    ],
)
def test_a_list_or_a_range_of_numbers(text: str, whole: bool, values: tuple[Any, ...]) -> None:
    assert ListOrRange(whole).convert(text, None, None) == values


def test_frontier_solves_every_cell() -> None:
    content = told(
        frontier.command, "--n", "1000", "--target-eps", "3", "--batch", "10,100", "--epochs", "2,4", "--workers", "1"
    )
    cells = [(cell["batch_size"], cell["epochs"]) for cell in content["results"]]
    assert sorted(cells) == [(10, 2), (10, 4), (100, 2), (100, 4)]
    assert all(2.9 < cell["epsilon_lower"] <= cell["epsilon_upper"] <= 3.0 for cell in content["results"])
    assert refused(frontier.command, "--batch", "10", "--epochs", "2", "--workers", "0", "--compute", "-1")[:2] == [
        "n is missing: give --n.",
        "the target is missing: give --target-eps.",
    ]


def test_a_curve_has_the_points_that_were_asked_for() -> None:
    steps = ("--over", "steps", "--points", "3", "--from", "5", "--to", "20")
    (series,) = told(curve.command, *PLAN, *steps, "--delta", "1e-5")["results"]
    assert [point["steps"] for point in series["points"]] == [5.0, 12.0, 20.0]
    assert series["points"][-1]["epsilon"]["upper"] == accounting.epsilon(FULL, 1e-5).upper
    rows = said(curve.command, *PLAN, "--over", "delta", "--points", "3", "--csv", "-").splitlines()
    assert rows[0].startswith("delta,")
    assert len(rows) == 4
    (problem,) = refused(curve.command, *PLAN, "--over", "delta", "--delta", "1e-5")
    assert problem == "--delta with --over delta: δ runs along the curve. Leave --delta out, or say --from and --to."


# compare


def test_accountants_side_by_side() -> None:
    content = told(compare_accountants.command, *PLAN, "--delta", "1e-5")
    assert {row["accountant"] for row in content["results"]} == set(accounting.ACCOUNTANTS)
    assert "δ = 1e-05" in said(compare_accountants.command, *PLAN, "--delta", "1e-5", "--explain").splitlines()[0]


def test_theorems_as_steps_grow() -> None:
    few = ("--sigma", "4", "--q", "1", "--steps", "5", "--delta", "1e-5")
    assert told(compare_theorems.command, *few)["results"][-1]["steps"] == 5
    assert said(compare_theorems.command, *few).startswith("ε of the first steps at δ = 1e-05")


def test_plans_side_by_side_need_two() -> None:
    one, other = str(RECIPES / "digits.yaml"), str(RECIPES / "digits-logistic.yaml")
    content = told(compare_plans.command, one, other, "--n", "1437")
    assert [each["name"] for each in content["plans"]] == ["digits", "digits-logistic"]
    assert refused(compare_plans.command, one) == [
        "there is one recipe and nothing to compare it with. Give two or more."
    ]


# check


def test_check_tells_what_is_wrong_and_ends_with_1() -> None:
    wrong = ("--sigma", "1.1", "--n", "1000", "--batch", "10", "--epochs", "2", "--delta", "0.1")
    content = json.loads(said(check.command, *wrong, "--json", status=1))
    assert "DP001" in [each["code"] for each in content["findings"]]
    assert content["passed"] is False
    silenced = said(check.command, *wrong, "--silence", "DP001=it is a test", "--silence", "dp004=known", status=0)
    assert "silenced: it is a test" in silenced
    assert said(check.command, "--explain", "all").count("\n") == len(lint.RULES)


def test_what_is_told_beside_a_plan_becomes_a_claim_and_a_loop() -> None:
    nothing = BesidePlan()
    assert nothing.claim == lint.StatedClaim()
    assert nothing.loop(None) == lint.Loop()
    assert (nothing.of_a_loop, nothing.problems) == ([], ())
    beside = BesidePlan("rdp", 2.0, "replace-one", "shuffle", 512, 4, 2, 7, 3)
    assert beside.claim == lint.StatedClaim(accountant="rdp", epsilon=2.0, adjacency=REPLACE_ONE)
    assert beside.loop(None) == lint.Loop(loader="shuffle", cap=512, micro_batches=4, views=2, seed=7)
    assert beside.of_a_loop == ["--loader", "--cap", "--accumulate", "--views"]


def test_what_is_wrong_beside_a_plan_is_told_together_with_the_plan() -> None:
    beside = BesidePlan(accountant="exakt", claimed=-1.0, cap=0.5, seed=-1, trials=0, runs=Path("nowhere"))
    starts = ["accountant=exakt", "claimed_eps=-1", "cap=0.5", "trials=0", "seed=-1", "runs=nowhere is not a folder."]
    assert [each[: len(start)] for each, start in zip(beside.problems, starts, strict=True)] == starts
    problems = refused(check.command, "--sigma", "-1", "--q", "0.1", "--steps", "5", "--cap", "9", "--delta", "1e-5")
    assert problems[0].startswith("sigma=-1")
    assert problems[1].startswith("--cap needs --n")


def test_a_recipe_says_its_plan_itself() -> None:
    recipe = str(RECIPES / "digits.yaml")
    problems = refused(check.command, recipe, "--sigma", "1", "--cap", "9", "--views", "2")
    assert [each.partition(":")[0] for each in problems] == [
        "a recipe says all of its plan itself; of the options of a plan only --n may be given with it.",
        "--cap and --views",
    ]
    assert told(check.command, recipe, "--n", "1437")["recipe"] == "digits"


# verify, train, help


def test_verify_reads_what_another_command_wrote(tmp_path: Path) -> None:
    file = tmp_path / "old.json"
    file.write_text(said(epsilon.command, *PLAN, "--delta", "1e-5", "--json"), encoding="utf-8")
    assert "1 claim, 1 stands" in said(verify_command.command, str(file))
    content = json.loads(file.read_text(encoding="utf-8"))
    content["results"][0]["epsilon"].update(lower=0.1, upper=0.2)
    file.write_text(json.dumps(content), encoding="utf-8")
    shown = said(verify_command.command, str(file), "--no-prove", "--explain", status=1)
    assert "refuted" in shown
    content["results"][0]["epsilon"].update(lower=99.0, upper=98.0)
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ReportError, match="contradicts itself"):
        said(verify_command.command, str(file))
    assert verify.read(file).claims[0].value == 98.0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "RECIPE is missing: name a recipe file, or a run to go on with"),
        (("--moved", "x.yaml"), "--moved is about the folder of a run that goes on."),
        (
            ("--resume", "r", "--seed", "1", "--out", "o"),
            "--resume goes on with what the run began with; leave out --seed and --out.",
        ),
        (("--resume", "nowhere"), "nowhere: no such folder. Name one that"),
    ],
)
def test_train_refuses_options_that_exclude_each_other(arguments: tuple[str, ...], problem: str) -> None:
    (told_,) = refused(train.command, *arguments)
    assert told_.startswith(problem)


def test_help_knows_topics_and_their_other_names() -> None:
    topics = told(help.command)["topics"]
    assert "certificate" in topics
    assert told(help.command, "EXIT_CODES")["topic"] == "exit-codes"
    assert said(help.command, "certificate").count("\n") > 3
    (problem,) = refused(help.command, "certficate")
    assert problem.endswith("Did you mean 'certificate'?")


def test_a_wrong_plan_is_the_same_error_everywhere() -> None:
    for command in (epsilon.command, compare_accountants.command, compare_theorems.command):
        with pytest.raises(PlanError, match="sigma=-4"):
            said(command, "--sigma", "-4", "--q", "0.5", "--steps", "20", "--delta", "1e-5")


# risk


def test_risk_bounds_what_an_attacker_reaches() -> None:
    content = told(risk.command, *PLAN, "--delta", "1e-5", "--at", "0.01", "--prior", "0.1")
    (rate,) = content["true_positive_rates"]
    assert 0.01 < rate["lower"] <= rate["upper"] < rate["by_epsilon_delta_alone"]
    assert (content["posterior"]["prior"], content["gdp"]["delta"]) == (0.1, 1e-5)


def test_what_is_asked_of_an_attacker_is_checked_and_completed() -> None:
    assert AttackOptions().problems == []
    starts = ["at=2", "prior=0", "fpr=-1", "mu_delta=1"]
    problems = AttackOptions((0.1, 2.0), 0.0, -1.0, 0.5, 1.0).problems
    assert [each[: len(start)] for each, start in zip(problems, starts, strict=True)] == starts
    question = AttackOptions((0.2,), 0.1, 0.3).question((3.0, 1e-5), 1e-6)
    assert (question.rates, question.prior, question.fpr, question.mu_delta) == ((0.2,), 0.1, 0.3, 1e-6)
    assert AttackOptions(mu_delta=1e-9).question((3.0, 1e-6), 1e-6).mu_delta == 1e-9
    assert (len(AttackOptions().question(None, None).rates), AttackOptions().question(None, None).mu_delta) == (5, 1e-5)
