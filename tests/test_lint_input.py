"""What a recipe tells the rules, and what its check block silences."""

import dataclasses
import json

import pytest

from dpplan import lint, recipe
from dpplan.errors import RecipeError
from dpplan.recipe import lint_input

TEXT = """\
privacy: {{noise_multiplier: 2, clip_norm: 1}}
data: {{source: {source}}}
model: {{kind: logistic}}
training: {{batch_size: 100, epochs: 2, optimizer: sgd, learning_rate: 1}}
{check}
"""


def parsed(source: str = "digits", check: str = "") -> recipe.Recipe:
    return recipe.parse(TEXT.format(source=source, check=check), name="r.yaml")


def problems(check: str) -> list[str]:
    with pytest.raises(RecipeError) as raised:
        parsed(check=check)
    return list(raised.value.problems)


def test_the_run_is_that_of_the_recipe() -> None:
    job = parsed()
    run = lint_input.context_of(job, 1437, loop=lint.Loop(seed=3))
    assert run.plan == job.plan(1437)
    assert run.delta == job.delta(1437)
    assert (run.recipe, run.sha256, run.loop.seed) == ("r", job.sha256, 3)
    assert [finding.code for finding in lint.check(run)] == ["DP016"]


@pytest.mark.parametrize(
    "scheme", ["sampling: balls-in-bins", "sampling: shuffle, adjacency: zero-out", "sampling: fixed-size"]
)
def test_a_scheme_of_the_recipe_is_drawn_by_the_trainer_and_by_no_loader(scheme: str) -> None:
    job = recipe.parse(
        TEXT.format(source="digits", check="").replace("clip_norm: 1", f"clip_norm: 1, {scheme}"), "r.yaml"
    )
    run = lint_input.context_of(job, 1437)
    assert run.settings.adjacency.name == job.privacy.adjacency
    assert run.plan is not None and run.plan.only_phase.sampling.kind == job.privacy.sampling
    assert [finding.code for finding in lint.check(run) if finding.code in {"DP007", "DP008"}] == []


def test_a_plan_that_is_known_is_not_solved_for_again() -> None:
    other = parsed().plan(5000)
    assert lint_input.context_of(parsed(), 1437, plan=other).plan is other


def test_a_batch_larger_than_the_data_is_left_to_its_rule() -> None:
    run = lint_input.context_of(parsed(), 99)
    assert [finding.code for finding in lint.check(run)] == ["DP006"]
    assert lint.check(run)[0].where == "training.batch_size"


@pytest.mark.parametrize(
    ("source", "kind", "prepared"),
    [
        ("blobs", "made", False),
        ("mnist, path: x", "public", False),
        ("file, path: x.csv", "own", False),
        ("images, path: x", "own", False),
        ("'mine:load'", "own", True),
    ],
)
def test_whose_the_data_are_follows_from_their_source(source: str, kind: str, prepared: bool) -> None:
    data = lint_input.context_of(parsed(source), 1437).data
    assert data is not None
    assert (data.kind, data.prepared, data.nonprivate_model) == (kind, prepared, False)


def test_every_source_is_of_one_kind() -> None:
    kinds = {source: lint_input.context_of(with_source(source), 1437).data for source in recipe.schema.SOURCES}
    assert {source for source, data in kinds.items() if data and data.kind == "own"} == {"file", "images"}
    assert {source for source, data in kinds.items() if data and data.kind == "made"} == {"blobs", "linear", "names"}


def with_source(source: str) -> recipe.Recipe:
    path = "x" if source in recipe.schema.FROM_PATH else None
    return dataclasses.replace(parsed(), data=recipe.Data(source=source, path=path))


def test_scaling_by_the_data_is_told() -> None:
    data = lint_input.context_of(parsed("digits, standardize: public"), 1437).data
    assert data is not None
    assert data.standardized


# The check block


def test_codes_are_silenced_with_a_reason() -> None:
    job = parsed(check='check: {silence: {DP004: "n is in the data card", DP016: a test}}')
    assert lint_input.silence_of(job) == {"DP004": "n is in the data card", "DP016": "a test"}
    assert json.loads(json.dumps(job.content))["check"]["silence"]["DP016"] == "a test"


def test_a_recipe_that_silences_nothing_need_not_say_so() -> None:
    assert lint_input.silence_of(parsed()) == lint_input.silence_of(parsed(check="check: {}")) == {}


def test_silencing_changes_nothing_that_runs() -> None:
    silent = parsed(check="check: {silence: {DP004: why}}")
    assert silent.sha256 == parsed().sha256
    assert silent.claim(1437) == parsed().claim(1437)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("{DP099: why}", "check.silence: code=DP099 is not one of DP001 to "),
        ('{DP004: " "}', "check.silence: DP004 has no reason. Say why it may pass."),
        ("{DP004: }", "check.silence gives DP004 no reason in words."),
        ("{DP004: [a]}", "check.silence gives DP004 no reason in words."),
        ("{DP004: true}", "check.silence gives DP004 no reason in words."),
        ("{DP004: a, DP004: b}", "check.silence names DP004 twice."),
        ("DP004", "check.silence=DP004 is not a block of codes and reasons, as in "),
        ("[DP004]", "check.silence is not a block of codes and reasons, as in "),
    ],
)
def test_what_silences_nothing_is_told_with_its_line(block: str, said: str) -> None:
    (problem,) = problems(f"check: {{silence: {block}}}")
    assert problem.startswith(f"r.yaml:5: {said}")


def test_a_block_is_checked_when_it_is_made_in_python_too() -> None:
    with pytest.raises(RecipeError, match=r"check\.silence: DP001 has no reason"):
        recipe.Check(silence={"DP001": ""})
