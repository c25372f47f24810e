"""Rules on earlier runs, choices, preprocessing, models and seeds: each fires where it should, and only there."""

import dataclasses
import re

import pytest
from lint_runs import MADE, OWN, PUBLIC, SETTINGS, found, of_options, of_recipe, only

from dpplan import accounting, lint
from dpplan.adjacency import ZERO_OUT
from dpplan.lint import PriorRun, Severity
from dpplan.mechanism import BestOfTrials, TreeAggregation
from dpplan.mechanism.trials import Trials
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

THIS = of_recipe().plan
assert THIS is not None
TWICE = (PriorRun("mine-001", THIS.only_phase, "a"), PriorRun("mine-002", THIS.only_phase, "a"))

# DP010


def test_earlier_runs_are_a_warning_with_what_all_of_them_spend() -> None:
    finding = only(of_recipe(data=OWN, earlier=TWICE), "DP010")
    assert "check: {silence: {DP010: why only this model is ever seen}}" in finding.fix
    assert (finding.severity, finding.where) == (Severity.WARNING, "data.source")
    assert "does not count 2 earlier runs on the same examples (mine-001, mine-002)" in finding.message
    assert THIS is not None
    all_three = dataclasses.replace(THIS.only_phase, steps=3 * THIS.steps)
    spent = accounting.epsilon(dataclasses.replace(THIS, phases=(all_three,)), 1e-6).upper
    stated = re.search(r"ε ≤ ([\d.]+) together at δ = 1e-06", finding.message)
    assert stated
    assert spent is not None
    assert spent <= float(stated[1]) <= 1.001 * spent


def test_runs_with_other_settings_are_composed_too() -> None:
    assert THIS is not None
    other = dataclasses.replace(THIS.only_phase, steps=100)
    finding = only(of_recipe(data=OWN, earlier=(PriorRun("x", other, "b"), PriorRun("y", None, "c"))), "DP010")
    assert "2 earlier runs" in finding.message
    assert "together" in finding.message


def test_a_run_whose_steps_share_noise_is_composed_with_another_and_not_made_longer() -> None:
    phase = Phase(TreeAggregation(4.0, participations=9), Poisson(1.0), 9)
    both = Plan((phase, phase), ZERO_OUT)
    run = of_recipe(data=OWN, earlier=(PriorRun("x", phase, "b", protects=("zero_out", "example", None)),))
    finding = only(dataclasses.replace(run, plan=Plan((phase,), ZERO_OUT)), "DP010")
    stated, spent = re.search(r"ε ≤ ([\d.]+) together", finding.message), accounting.epsilon(both, 1e-6).upper
    assert stated and spent is not None and spent <= float(stated[1]) <= 1.001 * spent


def test_of_a_search_all_that_it_costs_is_added_to_earlier_runs() -> None:
    assert THIS is not None
    search = Phase(BestOfTrials.of(Trials("geometric", 3.0), THIS.phases), Poisson(1.0), 1)
    run = of_recipe(data=OWN, earlier=(PriorRun("x", search, "b"),), search=dataclasses.replace(THIS, phases=(search,)))
    stated = re.search(r"ε ≤ ([\d.]+) together", only(run, "DP010").message)
    twice = dataclasses.replace(search, steps=2)
    spent = accounting.epsilon(dataclasses.replace(THIS, phases=(twice,)), 1e-6).upper
    assert stated and spent is not None and spent <= float(stated[1]) <= 1.001 * spent


def test_on_published_data_earlier_runs_are_a_note_and_on_made_up_ones_nothing() -> None:
    assert only(of_recipe(data=PUBLIC, earlier=TWICE), "DP010").severity is Severity.NOTE
    assert found(of_recipe(data=MADE, earlier=TWICE), "DP010") == []


def test_copies_of_one_run_that_both_went_on_are_named() -> None:
    assert THIS is not None
    copies = [PriorRun(name, THIS.only_phase, "a", "id", ((name, 3),)) for name in ("mine-001", "copy")]
    finding = only(of_recipe(data=OWN, earlier=(*copies, PriorRun("other", None, "a", "another"))), "DP010")
    assert "mine-001 and copy are copies of one run that went on more than once" in finding.message
    assert "copies" not in only(of_recipe(data=OWN, earlier=TWICE), "DP010").message


def test_the_run_of_this_recipe_is_told_of_and_not_counted_twice() -> None:
    first, second = TWICE
    finding = only(of_recipe(data=OWN, own=first), "DP010")
    assert finding.severity is Severity.NOTE and "this recipe is that of the run mine-001" in finding.message
    note, warning = sorted(
        found(of_recipe(data=OWN, own=first, earlier=(second,)), "DP010"), key=lambda one: one.severity
    )
    assert "1 earlier run on the same examples (mine-002)" in warning.message and "mine-001" in note.message
    assert found(of_recipe(data=MADE, own=first), "DP010") == []
    seeded = of_recipe(data=OWN, own=dataclasses.replace(first, seeded=True))
    assert "mine-001 on the same examples had a seed" in only(seeded, "DP016").message


def test_a_first_run_is_fine() -> None:
    assert found(of_recipe(data=OWN), "DP010") == []


def test_of_many_runs_the_first_few_are_named() -> None:
    many = tuple(PriorRun(f"mine-{number:03}", None, "a") for number in range(1, 6))
    assert "(mine-001, mine-002, mine-003, …)" in only(of_recipe(data=OWN, earlier=many), "DP010").message


# DP011


def test_settings_that_were_tried_are_a_warning_with_their_cost() -> None:
    finding = only(of_options(run={"trials": 40}), "DP011")
    assert (finding.severity, finding.where) == (Severity.WARNING, "--trials")
    assert finding.message.startswith("40 settings were tried")
    assert re.search(r"all 40 together spend up to ε = [\d.]+ at δ = 1e-06 if alike", finding.message)


def test_different_recipes_among_earlier_runs_are_a_search() -> None:
    others = (*TWICE, PriorRun("other-001", None, "b"))
    finding = only(of_recipe(data=OWN, earlier=others), "DP011")
    assert finding.message.startswith("2 settings were tried")
    assert finding.where == "data.source"


def test_the_same_recipe_again_is_no_search() -> None:
    assert found(of_recipe(data=OWN, earlier=TWICE), "DP011") == []
    assert found(of_options(run={"trials": 1}), "DP011") == []


def test_a_search_covers_its_own_choice_and_not_one_with_what_was_run_before() -> None:
    """Its figure is that of the search: only what lies outside of it was chosen for nothing."""
    search = lint.plan_of(SETTINGS)
    assert found(of_recipe(data=OWN, search=search), "DP011") == []
    finding = only(of_recipe(data=OWN, search=search, earlier=(PriorRun("other-001", None, "b"),)), "DP011")
    assert finding.message == (
        "the figure of this search covers the choice within its grid, and not one between its winner and what was run "
        "before (other-001)."
    )
    assert "covers one run" not in finding.message


def test_settings_that_were_tried_are_named() -> None:
    others = (*TWICE, PriorRun("other-001", None, "b"))
    assert "(this one, and what other-001 ran)" in only(of_recipe(data=OWN, earlier=others), "DP011").message


def test_a_search_on_published_data_is_a_note_and_on_made_up_ones_nothing() -> None:
    assert only(of_recipe(data=PUBLIC, trials=2), "DP011").severity is Severity.NOTE
    assert found(of_recipe(data=MADE, trials=2), "DP011") == []


# DP013


def test_a_model_that_mixes_examples_is_an_error_for_each_layer() -> None:
    run = of_recipe(model=lint.ModelFindings(problems=("layer '1' is a BatchNorm1d.", "layer '3' is a BatchNorm1d.")))
    assert [finding.message for finding in found(run, "DP013")] == [
        "layer '1' is a BatchNorm1d.",
        "layer '3' is a BatchNorm1d.",
    ]
    assert {finding.severity for finding in found(run, "DP013")} == {Severity.ERROR}


def test_a_model_that_nobody_looked_at_is_a_note() -> None:
    finding = only(of_recipe(model=lint.ModelFindings(unseen="torch is not installed")), "DP013")
    assert finding.severity is Severity.NOTE
    assert "torch is not installed" in finding.message


def test_a_model_that_was_looked_at_and_a_plan_without_one_are_fine() -> None:
    assert found(of_recipe(), "DP013") == []
    assert found(of_options(), "DP013") == []


# DP014


@pytest.mark.parametrize(("kind", "severity"), [("own", Severity.WARNING), ("public", Severity.NOTE)])
def test_scaling_by_the_datas_own_mean_is_found(kind: lint.Kind, severity: Severity) -> None:
    finding = only(of_recipe(data=lint.DataUse(source="file", kind=kind, standardized=True)), "DP014")
    assert (finding.severity, finding.where) == (severity, "data.standardize")


def test_data_from_a_function_are_a_note() -> None:
    finding = only(of_recipe(data=lint.DataUse(source="mine:load", kind="own", prepared=True)), "DP014")
    assert finding.severity is Severity.NOTE
    assert finding.message.startswith("what mine:load computes")


def test_data_that_are_scaled_by_constants_or_made_up_are_fine() -> None:
    assert found(of_recipe(data=OWN), "DP014") == []
    made = dataclasses.replace(MADE, standardized=True)
    assert found(of_recipe(data=made), "DP014") == []


# DP016


@pytest.mark.parametrize("seed", [0, 17])
def test_a_fixed_seed_is_an_error(seed: int) -> None:
    finding = only(of_options(run={"loop": lint.Loop(seed=seed)}), "DP016")
    assert finding.severity is Severity.ERROR
    assert f"seed {seed} is fixed" in finding.message


def test_an_earlier_run_with_a_seed_is_told_and_not_added_up() -> None:
    assert THIS is not None
    seeded = PriorRun("x", THIS.only_phase, "a", seeded=True)
    finding = only(of_recipe(data=OWN, earlier=(seeded,)), "DP016")
    assert (finding.severity, finding.where) == (Severity.WARNING, "data.source")
    assert "together" not in only(of_recipe(data=OWN, earlier=(seeded,)), "DP010").message
    assert only(of_recipe(data=PUBLIC, earlier=(seeded,)), "DP016").severity is Severity.NOTE
    assert found(of_recipe(data=MADE, earlier=(seeded,)), "DP016") == []


def test_noise_from_the_operating_system_is_fine() -> None:
    assert found(of_options(), "DP016") == []


# DP017


def test_a_model_without_privacy_on_own_data_is_a_warning() -> None:
    finding = only(of_recipe(data=dataclasses.replace(OWN, nonprivate_model=True)), "DP017")
    assert (finding.severity, finding.where) == (Severity.WARNING, "training.compare_nonprivate")


def test_a_model_without_privacy_on_published_data_is_fine() -> None:
    assert found(of_recipe(data=dataclasses.replace(PUBLIC, nonprivate_model=True)), "DP017") == []
    assert found(of_recipe(data=OWN), "DP017") == []


# DP020, DP021


@pytest.mark.parametrize(("data", "severity"), [(OWN, lint.Severity.WARNING), (PUBLIC, lint.Severity.NOTE)])
def test_equal_rows_are_told_by_how_many_and_how_often(data: lint.DataUse, severity: lint.Severity) -> None:
    seen = dataclasses.replace(data, facts=lint.DataFacts(repeated=7, most=3))
    finding = only(of_recipe(data=seen), "DP020")
    assert finding.severity is severity
    assert finding.message.startswith("7 training rows are the same as another (3 times the most frequent)")


def test_made_up_rows_may_be_equal_and_no_equal_rows_are_no_finding() -> None:
    made = dataclasses.replace(MADE, facts=lint.DataFacts(repeated=7, most=3))
    assert found(of_recipe(data=made), "DP020") == []
    assert found(of_recipe(data=OWN), "DP020") == []


def test_files_that_were_passed_over_are_named() -> None:
    seen = dataclasses.replace(OWN, facts=lint.DataFacts(skipped=("a/x.tif", "a/y.webp", "b/notes.txt", "b/z.tif")))
    finding = only(of_recipe(data=seen), "DP021")
    assert (finding.severity, finding.where) == (lint.Severity.NOTE, "data.path")
    assert finding.message == (
        "4 files were passed over, not being images by name or not right in the folder of a class: a/x.tif, a/y.webp, "
        "b/notes.txt, …."
    )
    assert found(of_recipe(data=OWN), "DP021") == []
