"""Rules on δ, ε, noise, examples, steps and batch: each fires where it should, and only there."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
from lint_runs import MADE, OWN, found, of_options, of_recipe, only

from dpplan import accounting, lint
from dpplan.adjacency import ADD_REMOVE, DIFFERENT_N, GROUP_N, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import PlanError
from dpplan.lint import Severity
from dpplan.lint.rules import parameters
from dpplan.mechanism import Gaussian
from dpplan.plan import Delta, Phase, Plan, Settings, delta_warning, resolve_delta
from dpplan.recipe import lint_input, parse, plan_file
from dpplan.sampling import Poisson

# DP001


@pytest.mark.parametrize("delta", [1 / 60_000, math.nextafter(1 / 60_000, 0.0), 0.1])  # a fraction is rounded down
def test_a_delta_of_one_over_n_or_more_is_an_error(delta: float) -> None:
    finding = only(of_options(delta=delta), "DP001")
    assert (finding.severity, finding.where) == (Severity.ERROR, "--delta")
    assert "is not below 1/n" in finding.message
    assert finding.fix == "Try --delta 1e-06."


def test_a_delta_just_below_one_over_n_is_a_note() -> None:
    finding = only(of_options(delta=1e-5), "DP001")
    assert finding.severity is Severity.NOTE
    assert "give away 0.6 examples on average" in finding.message


@pytest.mark.parametrize("delta", [1.6667e-5, 1 / 60_000, math.nextafter(1 / 60_000, 0.0)])
def test_a_delta_that_is_too_large_is_not_shown_to_be_smaller(delta: float) -> None:
    for said in (only(of_options(delta=delta), "DP001").message, delta_warning(delta, 60_000)):
        assert said is not None
        stated = re.match(r"delta=(\S+) is not below 1/n = (\S+): ", said)
        assert stated
        assert float(stated[1]) >= float(stated[2]) == pytest.approx(1 / 60_000, rel=1e-2)


@pytest.mark.parametrize("n", [10, 60_000, 10**12])
def test_the_delta_that_is_derived_is_small_enough(n: int) -> None:
    settings = Settings(noise_multiplier=1, examples=n, batch_size=1, steps=1)
    run = lint.LintContext(settings=settings, plan=settings.plan(), delta=resolve_delta(None, n))
    assert found(run, "DP001") == []


def test_in_a_recipe_the_key_is_named() -> None:
    finding = only(of_options(delta=1e-3, run={"recipe": "mine"}), "DP001")
    assert (finding.where, finding.fix) == ("privacy.delta", "Try delta: 1e-06.")


# DP002


def test_an_epsilon_above_ten_is_a_warning_that_says_what_it_means() -> None:
    run = of_options(noise_multiplier=0.5)
    assert run.epsilon is not None
    assert run.epsilon.value > 10
    finding = only(run, "DP002")
    assert finding.severity is Severity.WARNING
    assert "every example that was used, at one false alarm in " in finding.message


def test_an_epsilon_printed_in_a_finding_is_not_below_the_proven_one() -> None:
    run = of_options(noise_multiplier=0.5)
    assert run.epsilon is not None
    stated = float(only(run, "DP002").message.split()[2])
    assert run.epsilon.value <= stated <= 1.001 * run.epsilon.value


def test_a_huge_epsilon_overflows_nothing() -> None:
    assert (
        "one false alarm in 10^"
        in only(of_options(noise_multiplier=0.02, batch_size=60_000, epochs=1), "DP002").message
    )


def test_an_epsilon_above_fifty_is_an_error() -> None:
    run = of_options(noise_multiplier=0.4)
    assert run.epsilon is not None
    assert run.epsilon.value > 50
    finding = only(run, "DP002")
    assert (finding.severity, finding.where) == (Severity.ERROR, "--sigma")
    assert "is above 50: it does not rule out" in finding.message


@pytest.mark.parametrize(("epsilon", "loader", "severities"), [
    (50.0, None, []),
    (50.1, None, [Severity.WARNING]),
    (1e9, None, [Severity.WARNING]),
    (1e9, "shuffle", [Severity.ERROR]),
])  # fmt: skip
def test_a_claim_above_fifty_is_a_warning_where_it_is_proven_of_less_and_else_an_error(
    epsilon: float, loader: str | None, severities: list[Severity]
) -> None:
    run = of_options(run={"loop": lint.Loop(loader=loader), "claim": lint.StatedClaim(epsilon=epsilon)})
    assert [(one.severity, one.where) for one in found(run, "DP002")] == [
        (each, "--claimed-eps") for each in severities
    ]


def test_a_claim_above_fifty_of_a_plan_that_spends_as_much_is_an_error() -> None:
    run = of_options(noise_multiplier=0.4, run={"claim": lint.StatedClaim(epsilon=1e6)})
    assert [one.severity for one in found(run, "DP002")] == [Severity.ERROR, Severity.ERROR]


def test_a_claim_that_is_many_times_too_large_may_have_its_point_misplaced() -> None:
    said = only(of_options(run={"claim": lint.StatedClaim(epsilon=270.0)}), "DP002").message
    assert said.endswith(" times less. A point may be misplaced.")
    plan = {"noise_multiplier": 0.5, "run": {"claim": lint.StatedClaim(epsilon=51.0)}}
    assert ["misplaced" in one.message for one in found(of_options(**plan), "DP002")] == [False, False]


def test_a_target_above_fifty_is_an_error_of_the_recipe() -> None:
    finding = only(of_recipe(target=60.0), "DP002")
    assert (finding.severity, finding.where) == (Severity.ERROR, "privacy.target_epsilon")


def test_of_a_trial_what_the_whole_search_spends_is_looked_at() -> None:
    alone = of_options()
    assert found(alone, "DP002") == []
    much = accounting.epsilon(Plan.from_rate(0.4, 1.0, 10), 1e-6)
    finding = only(of_options(run={"search_spends": much}), "DP002")
    assert finding.severity is Severity.ERROR
    assert f"ε = {float(finding.message.split()[2]):.4g} of the whole search is above 50" in finding.message


def test_a_recipe_that_is_solved_for_too_much_says_so_to_the_rules() -> None:
    text = Path(__file__).parents[3].joinpath("recipes", "digits.yaml").read_text(encoding="utf-8")
    recipe = parse(text.replace("target_epsilon: 3 ", "target_epsilon: 60 "), "much")
    assert Severity.ERROR in {one.severity for one in found(lint_input.context_of(recipe, 1437), "DP002")}


def test_an_epsilon_of_ten_or_less_is_none() -> None:
    run = of_options(noise_multiplier=0.72)
    assert run.epsilon is not None
    assert 5 < run.epsilon.value < 10
    assert found(run, "DP002") == []


# DP003


def test_little_noise_is_a_warning_with_the_cost_of_one_step() -> None:
    finding = only(of_options(noise_multiplier=0.29), "DP003")
    assert finding.severity is Severity.WARNING
    once = accounting.epsilon(Plan.from_rate(0.29, 1.0, 1), 1e-6).value
    assert float(finding.message.split("ε = ")[1].split()[0]) == pytest.approx(once, rel=1e-3)


def test_noise_of_three_tenths_is_enough_for_this_rule() -> None:
    assert found(of_options(noise_multiplier=0.3, epochs=1), "DP003") == []


@pytest.mark.slow
def test_of_several_phases_the_least_noise_counts() -> None:
    phases = tuple(Phase(Gaussian(noise), Poisson(0.01), 10) for noise in (2.0, 0.25, 1.0))
    run = lint.LintContext(settings=Settings(examples=60_000), plan=Plan(phases), delta=Delta(1e-6))
    assert "sigma=0.25 is below 0.3" in only(run, "DP003").message


# DP004


def test_a_number_of_examples_that_was_not_given_is_a_note() -> None:
    run = of_options(examples=None, batch_size=None, sample_rate=0.01)
    assert only(run, "DP004").severity is Severity.NOTE


def test_a_number_counted_from_own_data_is_a_warning() -> None:
    finding = only(of_recipe(data=OWN), "DP004")
    assert (finding.severity, finding.where) == (Severity.WARNING, "data.source")
    assert "is of data of your own (source: file)" in finding.message
    assert f"{DIFFERENT_N} That is adjacency: zero_out or replace_one" in finding.fix
    assert "dpplan help adjacency" in finding.fix


def test_the_rule_about_n_lists_what_gives_it_away() -> None:
    told = " ".join((parameters.examples_not_public.__doc__ or "").split())
    for leak in ("divisor", "length of an epoch", "fixed count of batches", "printed", "q = batch / n", "replace-one"):
        assert leak in told


def test_a_number_of_published_or_made_up_data_is_public() -> None:
    assert found(of_recipe(), "DP004") == []
    assert found(of_recipe(data=MADE), "DP004") == []


@pytest.mark.parametrize(("adjacency", "findings"), [(ADD_REMOVE, 1), (REPLACE_ONE, 0), (ZERO_OUT, 0)], ids=str)
def test_examples_give_nothing_away_between_neighbours_of_one_size(adjacency: Adjacency, findings: int) -> None:
    run = of_options(adjacency=adjacency, run={"recipe": "mine", "data": OWN})
    assert len(found(run, "DP004")) == findings


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "q = batch / n and an epoch of n / batch steps tell n=60000"),
        ({"epochs": None, "steps": 100}, "q = batch / n tells n=60000"),
        ({"batch_size": None, "sample_rate": 0.01}, ""),
        ({"adjacency": ZERO_OUT}, ""),
        ({"run": {"claim": lint.StatedClaim(adjacency=REPLACE_ONE)}}, ""),
    ],
)
def test_what_of_options_is_made_of_n_tells_it_to_neighbours_that_differ_in_it(
    changes: dict[str, Any], told: str
) -> None:
    findings = found(of_options(**changes), "DP004")
    assert [(each.severity, each.where) for each in findings] == [(Severity.NOTE, "--n")] * bool(told)
    assert all(
        told in each.message and "--adjacency zero-out or replace-one; dpplan help adjacency" in each.fix
        for each in findings
    )


GROUPS = """\
adjacency: {adjacency}
n: 60000
phases:
  - parallel:
      - {{name: A, {own}phases: [{{mechanism: {{kind: gaussian, noise_multiplier: 2}},
          sampling: {{kind: poisson, batch_size: 100}}, epochs: 1}}]}}
      - {{mechanism: {{kind: gaussian, noise_multiplier: 2}}}}
"""


@pytest.mark.parametrize(
    ("adjacency", "own", "told"),
    [
        ("add-remove", "n: 10000, ", "neighbours under add-remove differ, and"),
        ("replace-one", "n: 10000, ", "neighbours under replace-one differ if the new one is in another group, and"),
        ("replace-one", "", ""),
        ("zero-out", "n: 10000, ", ""),
    ],
)
def test_the_n_of_a_group_is_told_where_a_record_may_change_its_group(
    adjacency: str, own: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(GROUPS.format(adjacency=adjacency, own=own))
    read = plan_file.read(path)
    settings = Settings(examples=60_000, adjacency=read.plan.adjacency)
    run = lint.LintContext(settings=settings, plan=read.plan, delta=Delta(1e-6), said=read.said)
    findings = found(run, "DP004")
    assert [each.severity for each in findings] == [Severity.NOTE] * bool(told)
    assert all("n=10000 of a group, in which " + told in each.message for each in findings)
    assert all(("zero-out or replace-one" in each.fix) == (adjacency == "add-remove") for each in findings)
    assert (GROUP_N in read.plan.n_words) and read.plan.n_words.startswith(read.plan.adjacency.n_words)
    assert ("the n of a group public" in str(read.plan.assumptions)) == (adjacency == "replace-one")


@pytest.mark.parametrize(
    ("own", "sizes", "told"),
    [
        ("n: 10000, ", (), "n=10000 of a group, in"),
        ("n: 10000, ", (20,), "n=10000 and n=20 of groups, in"),
        ("n: 10000, ", (20, 30), "n=10000, n=20 and n=30 of groups, in"),
        ("n: 10000, ", (20, 30, 40, 50), "n=10000, n=20, n=30 and 2 more of groups, in"),
        ("", (20,), "n=60000 and n=20 of a group, in"),
        ("", (20, 30), "n=60000 and n=20 and n=30 of groups, in"),
    ],
)
def test_groups_are_told_together(own: str, sizes: tuple[int, ...], told: str, tmp_path: Path) -> None:
    more = "".join(
        f"      - {{n: {n}, phases: [{{mechanism: {{kind: gaussian, noise_multiplier: 2}}, sampling: {{kind: poisson, "
        f"batch_size: 2}}, steps: 3}}]}}\n" for n in sizes
    )  # fmt: skip
    path = tmp_path / "plan.yaml"
    path.write_text(GROUPS.format(adjacency="add-remove", own=own) + more)
    read = plan_file.read(path)
    run = lint.LintContext(settings=Settings(examples=60_000), plan=read.plan, delta=Delta(1e-6), said=read.said)
    (finding,) = found(run, "DP004")
    assert told in finding.message, finding.message


# DP005


def test_fewer_steps_than_the_epochs_take_are_an_error() -> None:
    finding = only(of_options(steps=14_062), "DP005")
    assert (finding.severity, finding.where) == (Severity.ERROR, "--steps")
    assert "steps=14062 is less than the 14063 of epochs=60" in finding.message
    assert finding.fix.startswith("Give --steps 14063")


def test_steps_and_epochs_that_agree_are_fine() -> None:
    assert found(of_options(steps=14_063), "DP005") == []


def test_more_steps_than_the_epochs_take_contradict_them() -> None:
    with pytest.raises(PlanError, match="steps=14064 contradicts epochs=60"):
        of_options(steps=14_064)


@pytest.mark.parametrize("steps", [234, 14_062])
def test_steps_that_end_one_short_of_an_epoch_are_a_warning(steps: int) -> None:
    finding = only(of_options(steps=steps, epochs=None), "DP005")
    assert finding.severity is Severity.WARNING
    assert f"takes {steps + 1}." in finding.message


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 235},  # ⌈1 epoch⌉
        {"steps": 14_000},  # nowhere near the end of an epoch
        {"steps": 234, "batch_size": 250},  # an epoch is 240 steps, no more and no less
        {"steps": 480, "batch_size": 250},  # exactly 2 epochs
        {"steps": 4, "batch_size": 25_000},  # so few steps to an epoch that it means nothing
    ],
)
def test_other_steps_are_fine(settings: dict[str, int]) -> None:
    assert found(of_options(epochs=None, **settings), "DP005") == []


def test_a_recipe_takes_the_steps_it_accounts_for() -> None:
    assert found(of_options(steps=14_062, epochs=None, run={"recipe": "mine"}), "DP005") == []


# DP006


def test_a_batch_larger_than_the_data_is_an_error_and_no_plan() -> None:
    run = of_options(batch_size=60_001)
    assert run.plan is None
    finding = only(run, "DP006")
    assert (finding.severity, finding.where) == (Severity.ERROR, "--batch")
    assert [other.code for other in lint.check(run)] == ["DP006"]


def test_a_full_batch_is_fine() -> None:
    assert found(of_options(batch_size=60_000, epochs=5), "DP006") == []


def test_what_else_is_wrong_with_a_plan_is_not_for_rules() -> None:
    with pytest.raises(PlanError) as raised:
        lint.plan_of(Settings(noise_multiplier=-1, examples=10, batch_size=20))
    assert len(raised.value.problems) == 2
    assert "sigma=-1" in raised.value.problems[0]
    with pytest.raises(PlanError, match="sigma is missing"):
        lint.plan_of(Settings(examples=60_000, batch_size=256, epochs=60, steps=14_062))


# DP018


@pytest.mark.parametrize(
    ("batch", "steps", "told"), [(4, 450, True), (4, 1, True), (20, 1000, False), (256, 14_063, False)]
)
def test_a_run_that_will_draw_nobody_is_a_warning(batch: int, steps: int, told: bool) -> None:
    run = of_options(examples=600, batch_size=batch, steps=steps, epochs=None, delta=1e-4)
    findings = found(run, "DP018")
    assert [finding.severity for finding in findings] == [lint.Severity.WARNING] * told
    if told and steps == 450:
        assert findings[0].message == (
            "a batch is empty with a chance of (1 − q)^n = 0.018, so about 8.1 of 450 steps will draw nobody."
        )
        assert pytest.approx(0.018, rel=0.01) == (1 - 4 / 600) ** 600


def test_a_batch_of_less_than_one_example_is_asked_whether_it_is_a_rate() -> None:
    run = of_options(examples=600, batch_size=0.25, steps=9, epochs=None, delta=1e-4)
    assert only(run, "DP018").fix.endswith(" If 0.25 is the sample rate, give --q in place of --batch.")
    assert "--q" not in only(of_options(examples=600, batch_size=1, steps=9, epochs=None, delta=1e-4), "DP018").fix


def test_noise_that_is_as_large_as_a_batch_is_asked_whether_it_is_one() -> None:
    swapped = " If the two are swapped: --sigma 1.1 --batch 256."
    run = of_options(noise_multiplier=256.0, batch_size=1.1, steps=9, epochs=None)
    assert only(run, "DP018").fix.endswith(swapped)


def test_empty_batches_are_no_matter_of_other_loaders_recipes_and_unknown_n() -> None:
    small = {"examples": 600, "batch_size": 4, "steps": 450, "epochs": None, "delta": 1e-4}
    assert found(of_options(**small, run={"loop": lint.Loop(loader="fixed")}), "DP018") == []
    assert found(of_options(**small, run={"recipe": "mine"}), "DP018") == []
    rate = of_options(examples=None, batch_size=None, sample_rate=1e-6, steps=450, epochs=None)
    assert found(rate, "DP018") == []
