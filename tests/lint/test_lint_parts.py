"""What rules look at and what they say, part by part."""

import math
from pathlib import Path

import lint_runs
import pytest

from dpplan import lint
from dpplan.errors import PlanError
from dpplan.lint import context, finding, prior_runs
from dpplan.lint.rules import claims, data_use, parameters, privacy_unit
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Settings
from dpplan.sampling import Poisson

FULL = Settings(noise_multiplier=1.1, examples=1000, batch_size=10, epochs=5)


# context


def test_a_quantity_is_found_where_it_was_given() -> None:
    plan, recipe = lint_runs.of_options(), lint_runs.of_recipe()
    asked = ("noise_multiplier", "delta", "epsilon", "examples", "batch_size", "steps", "epochs")
    assert [plan.where(name) for name in asked] == [
        "--sigma", "--delta", "--sigma", "--n", "--batch", "--steps", "--epochs",
    ]  # fmt: skip
    assert [recipe.where(name).partition(".")[0] for name in asked] == [
        "privacy", "privacy", "privacy", "data", "training", "training", "training",
    ]  # fmt: skip
    assert plan.setting("delta", 1e-6) == "--delta 1e-06"
    assert recipe.setting("delta", 1e-6) == "delta: 1e-06"


def test_a_claim_goes_before_a_target() -> None:
    claimed = lint_runs.of_recipe(target=2.0, claim=lint.StatedClaim(epsilon=1.5))
    assert claimed.stated_epsilon == 1.5
    assert lint_runs.of_recipe(target=2.0).stated_epsilon == 2.0
    assert lint_runs.of_options().stated_epsilon is None


def test_the_steps_of_the_epochs_are_known_without_the_noise() -> None:
    assert context.needed_steps(FULL.with_(noise_multiplier=None)) == 500
    assert context.needed_steps(FULL.with_(epochs=2.5001)) == 251
    assert context.needed_steps(FULL.with_(epochs=None)) is None
    assert context.needed_steps(FULL.with_(batch_size=None)) is None


@pytest.mark.parametrize(
    ("batch", "examples", "exceeds"),
    [(11, 10, True), (10, 10, False), ("x", 10, False), (3, math.inf, False), (math.nan, 1, False)],
)
def test_a_batch_exceeds_the_examples_where_both_are_numbers(batch: object, examples: object, exceeds: bool) -> None:
    settings = FULL.with_(batch_size=batch, examples=examples)
    assert context.batch_exceeds_examples(settings) is exceeds


def test_settings_that_a_rule_reports_still_have_what_plan_they_can() -> None:
    assert context.plan_of(FULL.with_(batch_size=2000)) is None
    short = context.plan_of(FULL.with_(steps=499))
    assert short is not None
    assert short.steps == 499
    with pytest.raises(PlanError):  # whatever else is wrong is told, though the batch is a rule's to report
        context.plan_of(FULL.with_(batch_size=2000, noise_multiplier=-1.0))
    with pytest.raises(PlanError):
        context.plan_of(FULL.with_(steps=501))


def test_without_a_proof_there_is_no_epsilon() -> None:
    assert lint_runs.of_options().epsilon is not None
    settings = FULL.with_(batch_size=2000)
    run = lint.LintContext(settings=settings, plan=context.plan_of(settings), delta=lint_runs.of_options().delta)
    assert run.epsilon is None


# finding


@pytest.mark.parametrize("value", [0.123456789, 3.0, 12345.678, 1e-300, 9.9999])
def test_figures_in_sentences_are_rounded_to_their_own_side(value: float) -> None:
    low, high = float(finding.at_least(value)), float(finding.at_most(value))
    assert low <= value <= high
    assert high - low <= 2e-3 * value


def test_a_finding_reads_as_a_sentence() -> None:
    remark = finding.Remark(finding.Severity.NOTE, "--n", "n is not given.", "Give --n.")
    assert str(finding.Finding("DP004", *remark)) == "DP004 --n: n is not given. Give --n."
    assert list(finding.Severity) == ["error", "warning", "note"]


# prior runs


def prior(steps: int = 10, run: str = "a", resumes: tuple[tuple[str, int], ...] = ()) -> prior_runs.PriorRun:
    phase = Phase(Gaussian(2.0), Poisson(0.1), steps) if steps else None
    return prior_runs.PriorRun("x", phase, "sha", run, resumes)


@pytest.mark.parametrize(
    ("one", "other", "covers"),
    [
        (prior(10), prior(7), True),  # an older copy
        (prior(7), prior(10), False),
        (prior(10, run="b"), prior(7), False),
        (prior(10, run=""), prior(7, run=""), False),  # older versions wrote no id
        (prior(20, resumes=(("r", 12),)), prior(12), True),
        (prior(20, resumes=(("r", 12),)), prior(13), False),  # both went on from step 12, each its own way
        (prior(20, resumes=(("r", 12),)), prior(15, resumes=(("s", 12),)), False),
        (prior(20, resumes=(("r", 12), ("s", 15))), prior(15, resumes=(("r", 12),)), True),
    ],
)
def test_a_run_covers_its_older_copies_only(one: prior_runs.PriorRun, other: prior_runs.PriorRun, covers: bool) -> None:
    assert one.covers(other) is covers


def test_a_run_that_took_no_step_has_none(tmp_path: Path) -> None:
    assert prior(0).steps == 0
    assert prior_runs.runs_in(tmp_path / "nowhere", "file", None) == ()


# rules, called as the table calls them


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (parameters.delta_too_large, "DP001"),
        (parameters.batch_larger_than_data, "DP006"),
        (claims.adjacency_mismatched, "DP007"),
        (privacy_unit.unit_changed, "DP015"),
        (data_use.earlier_runs_not_counted, "DP010"),
        (data_use.seed_fixed, "DP016"),
    ],
)
def test_a_code_keeps_its_rule_and_a_clean_run_has_no_remark(rule: lint.Rule, code: str) -> None:
    assert lint.RULES[code] is rule
    assert list(rule(lint_runs.of_options())) == []


def test_a_rule_names_the_fault_the_reason_and_the_fix() -> None:
    (remark,) = data_use.seed_fixed(lint_runs.of_options(run={"loop": lint.Loop(seed=3)}))
    assert (remark.severity, remark.where) == (finding.Severity.ERROR, "--seed")
    (remark,) = privacy_unit.unit_changed(lint_runs.of_options(run={"loop": lint.Loop(micro_batches=4)}))
    assert remark.where == "--accumulate"
    assert remark.fix
    (remark,) = parameters.delta_too_large(lint_runs.of_options(delta=0.1))
    assert remark.message.startswith("delta=0.1 is not below 1/n")
