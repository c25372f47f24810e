"""From text to a claim, part by part: one value, one file, a list of phases, the privacy side of a recipe."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from dpplan import accounting
from dpplan.accounting import Guarantee
from dpplan.checks import Problems
from dpplan.errors import InputOutputFailed, NotApplicable, PlanError, RecipeError, Unreachable, UsageError
from dpplan.recipe import claim, phases, plan_nodes, reading, scheme_keys, values
from dpplan.recipe.schema import Privacy, Training
from dpplan.recipe.values import Given


def text(said: str) -> Given:
    return Given("text", said, 1)


def switch(said: str) -> Given:
    return Given("switch", said, 1)


# values


@pytest.mark.parametrize(
    ("reader", "given", "value"),
    [
        (values.number, text("1e-5"), 1e-5),  # a word to PyYAML
        (values.number, Given("number", "60_000", 1), 60_000.0),
        (values.whole, text("3.0"), 3),
        (values.whole, text("3.5"), 3.5),  # kept for the rule to refuse
        (values.word, text("flat"), "flat"),
        (values.underscored, text("per-layer"), "per_layer"),
        (values.word_or_switch, switch("off"), "off"),
        (values.path, Given("number", "2024", 1), "2024"),
        (values.whole_auto_or_off, switch("No"), None),
        (values.whole_auto_or_off, text("8"), 8),
        (values.whole_auto_or_off, text("auto"), "auto"),
        (values.switch, switch("Yes"), True),
        (values.switch, switch("off"), False),
        (values.whole_numbers, Given("list", "", 1, (text("64"), text("32"))), (64, 32)),
        (values.whole_numbers, Given("list", "", 1), ()),
        (values.reasons, Given("block", "", 1, (text("known"),), ("DP004",)), {"DP004": "known"}),
    ],
)
def test_a_value_is_read_as_its_key_wants_it(reader: Callable[[Given], Any], given: Given, value: Any) -> None:
    found = reader(given)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("reader", "given", "end"),
    [
        (values.number, switch("yes"), "is true or false to YAML; a number belongs here."),
        (values.number, text("ten"), "is not a number."),
        (values.number, Given("list", "", 1), "is a list; a number belongs here."),
        (values.batch, text("1.024"), "is in doubt. Write 1024, if the point separates thousands, or 1.0240."),
        (values.word, Given("number", "12", 1), "is a number to YAML; a word belongs here."),
        (values.word, Given("empty", "", 1), "has no value; a word belongs here."),
        (values.word_or_switch, Given("block", "", 1), "is a block; a word belongs here."),
        (values.path, text("  "), "is not the name of a folder."),
        (values.path, switch("on"), "is not the name of a folder."),
        (values.whole_auto_or_off, switch("true"), "is true or false to YAML; a number belongs here."),
        (values.switch, text("true"), "is neither true nor false."),
        (values.whole_numbers, text("64"), "is not a list of whole numbers, as in [64, 32]."),
        (values.whole_numbers, Given("list", "", 1, (text("x"),)), "holds something that is not a number."),
        (values.reasons, text("x"), 'is not a block of codes and reasons, as in {DP004: "n is published"}.'),
        (values.reasons, Given("block", "", 1, (switch("on"),), ("DP004",)), "gives DP004 no reason in words."),
        (values.reasons, Given("block", "", 1, (text("a"), text("b")), ("DP1", "DP1")), "names DP1 twice."),
    ],
)
def test_what_cannot_be_read_is_told_in_the_end_of_a_sentence(
    reader: Callable[[Given], Any], given: Given, end: str
) -> None:
    with pytest.raises(ValueError) as caught:
        reader(given)
    assert str(caught.value) == end


def test_only_what_fits_in_a_sentence_is_quoted_in_it() -> None:
    assert str(text("flat")) == "=flat"
    assert str(text("x" * 41)) == str(text("")) == str(Given("list", "[1]", 1)) == ""


@pytest.mark.parametrize(
    ("rule", "value", "problems"),
    [
        (values.one_of("sgd", "adam"), "adam", []),
        (values.one_of("sgd", "adam"), "adan", ["k=adan is not one of: sgd, adam. Did you mean 'adam'?"]),
        (values.word_or_function("mnist"), "my.module:load", []),
        (values.word_or_function("mnist"), "my module:load", ["k=my module:load is not a Python function named as"]),
        (values.word_or_function("mnist"), "my.module:", ["k=my.module: is not a Python function named as"]),
        (values.word_or_function("mnist"), "mnits", ["k=mnits is not one of: mnist. Did you mean 'mnist'?"]),
    ],
)
def test_a_word_is_one_of_some_or_names_a_function(rule: Any, value: str, problems: list[str]) -> None:
    found = Problems()
    rule(found, "k", value)
    assert [each[: len(expected)] for each, expected in zip(found.found, problems, strict=True)] == problems


# reading

RECIPE = """\
privacy: {noise_multiplier: 4, clip_norm: 1, delta: 1e-5}
data: {source: blobs}
model: {kind: logistic}
training: {batch_size: 32, epochs: 2, optimizer: sgd, learning_rate: 0.5}
"""


def problems_of(written: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        reading.read_blocks(written, "r.yaml")
    return list(caught.value.problems)


def test_the_blocks_of_a_recipe_are_typed() -> None:
    blocks = reading.read_blocks(RECIPE, "r.yaml")
    assert set(blocks) == {"privacy", "data", "model", "training"}
    assert (blocks["privacy"].noise_multiplier, blocks["privacy"].delta) == (4.0, 1e-5)
    assert (blocks["training"].batch_size, blocks["training"].epochs) == (32, 2)


def test_every_problem_of_a_file_is_told_with_its_line() -> None:
    found = problems_of(RECIPE.replace("clip_norm: 1", "clipnorm: 1").replace("epochs: 2", "epochs: two"))
    assert found[0].startswith("r.yaml:1: privacy.clip_norm is missing.")
    assert found[1].startswith("r.yaml:1: privacy.clipnorm")
    assert "clip_norm" in found[1].partition("clipnorm")[2]
    assert found[2] == "r.yaml:4: training.epochs=two is not a number."


def test_a_key_in_the_wrong_block_and_one_given_twice_are_told() -> None:
    found = problems_of(RECIPE.replace("{source: blobs}", "{source: blobs, batch_size: 3, source: digits}"))
    assert any("It belongs under 'training:'." in each for each in found)
    assert any("data.source" in each and "twice" in each for each in found)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("", "is empty. A recipe has the blocks privacy"),
        ("- 1", "is not a recipe: it has no blocks privacy"),
        ("a: [", "r.yaml:1: is not YAML"),
        ("privacy: 3", "r.yaml:1: privacy: is not a block of keys and values."),
        ("\x00", "holds characters that no YAML file may hold"),
        ("[" * 1200, "nested too deeply"),
        (RECIPE.replace("model: {kind: logistic}\n", ""), "the block 'model:' is missing."),
    ],
)
def test_what_is_no_recipe_is_refused_in_a_sentence(written: str, said: str) -> None:
    assert any(said in each for each in problems_of(written)), problems_of(written)


# What is written, the line that is named, and how what to look for begins.
SLIPS = [
    ("a:\n  b: 1\n    c: 1\n", 3, "a colon stands where no key can begin. Look for a second colon in the line"),
    ("a:\n  b: c: 1\n", 2, "a colon stands where no key can begin."),
    ("a:\n  b: 1\n c: 1\n", 3, "this line fits none above it. Look at how far it is indented"),
    ('a:\n  b: "c" d\n', 2, "this line fits none above it."),
    ("a:\n  - b\n- c\n", 3, "this line fits none above it."),
    ("a: {b: 1\nc: {d: 1}\n", 1, "the bracket or brace that begins here is not closed, or a comma is missing in it."),
    ('a:\n  b: "c\n  d: 1\n', 2, "the quote that begins here is not closed."),
    ("a: @b\n", 1, "a value begins with a character that YAML uses itself."),
    ("a: - b\n", 1, "a list begins on a line of its own"),
    (" a: 1\nb: 1\n", 2, "this line fits nothing above it. Look for a bracket too many"),
]


@pytest.mark.parametrize("loader", ["SafeLoader", "CSafeLoader"])
@pytest.mark.parametrize(("written", "line", "said"), SLIPS, ids=[repr(written) for written, *_ in SLIPS])
def test_what_to_look_for_is_said_in_plain_words_whoever_parses(
    written: str, line: int, said: str, loader: str
) -> None:
    if not hasattr(yaml, loader):
        pytest.skip("PyYAML was built without libyaml")
    with pytest.raises(yaml.MarkedYAMLError) as error:
        yaml.compose(written, Loader=getattr(yaml, loader))
    at, told = values.yaml_problem(error.value)
    assert (abs(at - line) <= (loader == "CSafeLoader"), told.startswith(f"is not YAML: {said}")) == (True, True), told
    assert not re.search("block|token|stream|mapping", told.replace("of a block begin", ""))


def test_a_report_of_a_run_is_no_recipe_and_is_led_to_what_takes_it(tmp_path: Path) -> None:
    report, other = tmp_path / "report.json", tmp_path / "a b.json"
    report.write_text('{"schema": "dpplan.train/1", "seeded": false}', encoding="utf-8")
    other.write_text('{"schema": "dpplan.epsilon/1"}', encoding="utf-8")
    with pytest.raises(RecipeError) as told:
        reading.read_blocks(report.read_text(encoding="utf-8"), str(report))
    assert "is the report of a run, and this takes recipes. `dpplan verify " in str(told.value)
    assert "recipe.yaml" not in str(told.value)
    (tmp_path / "recipe.yaml").touch()
    with pytest.raises(RecipeError, match=r"The recipe of the run is .*recipe\.yaml\."):
        reading.read_blocks(report.read_text(encoding="utf-8"), str(report))
    with pytest.raises(RecipeError, match=r"is an answer of dpplan \(dpplan.epsilon/1\), and this takes recipes\.$"):
        reading.read_blocks(other.read_text(encoding="utf-8"), str(other))


def test_a_name_that_is_nearly_that_of_a_file_beside_is_offered(tmp_path: Path) -> None:
    for name in ("digits.yaml", "good.yaml", "good-0.yaml", "cifar10.yml", "scores.csv", "digit.txt"):
        (tmp_path / name).touch()
    for wrong, meant in (
        ("digit.yaml", "digits.yaml"),
        ("digits.yml", "digits.yaml"),
        ("score.csv", "scores.csv"),
        ("cifar.yml", "cifar10.yml"),
    ):
        assert values.near_file(tmp_path / wrong) == f" Did you mean '{tmp_path / meant}'?"
    for wrong in ("good-1.yaml", "mlp.yaml", "none/digit.yaml"):
        assert values.near_file(tmp_path / wrong) == ""
    for reads in (reading.read_text, phases.read, plan_nodes.compose):
        with pytest.raises(UsageError, match=r"no such file\. Did you mean '.*digits\.yaml'\?$"):
            reads(tmp_path / "digit.yaml")


def test_a_recipe_is_a_text_file_of_some_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "r.yaml"
    with pytest.raises(RecipeError, match="no such file"):
        reading.read_text(file)
    file.write_bytes(b"\xef\xbb\xbfmodel: x")
    assert reading.read_text(file) == "model: x"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="is not text"):
        reading.read_text(file)
    monkeypatch.setattr(reading, "MOST_BYTES", 1)
    with pytest.raises(RecipeError, match="is larger than 1 bytes"):
        reading.read_text(file)
    with pytest.raises((RecipeError, InputOutputFailed)):
        reading.read_text(tmp_path)


# phases

TWO = [(("sigma", "1.1"), ("q", "1/79"), ("steps", "1e3")), (("sigma", "2"), ("q", "0.5"))]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("p.yaml", "- {sigma: 1.1, q: 1/79, steps: 1e3}\n- {sigma: 2, q: 0.5, steps: null}\n"),
        ("p.YML", "- sigma: 1.1\n  q: 1/79\n  steps: 1e3\n- {sigma: 2, q: 0.5, steps: ''}\n"),
        ("p.json", '[{"sigma": 1.1, "q": "1/79", "steps": 1e3}, {"sigma": 2, "q": 0.5, "steps": null}]'),
        ("p.csv", "sigma,q,steps\n1.1, 1/79 ,1e3\n\n2,0.5,\n"),
    ],
)
def test_a_list_of_phases_reads_the_same_in_every_form(tmp_path: Path, name: str, written: str) -> None:
    (tmp_path / name).write_text(written, encoding="utf-8")
    assert [phase.values for phase in phases.read(tmp_path / name)] == TWO


def test_a_phase_says_where_it_stands(tmp_path: Path) -> None:
    for name, written, where in (
        ("p.yaml", "# two\n- {sigma: 1}\n", "p.yaml:2"),
        ("p.csv", "sigma\n\n1\n", "p.csv:3"),
        ("p.json", '[{"sigma": 1, "sigma": 2}]', "p.json, phase 1"),
    ):
        (tmp_path / name).write_text(written, encoding="utf-8")
        (phase,) = phases.read(tmp_path / name)
        assert phase.where == str(tmp_path / where)
    assert phase.values == (("sigma", "1"), ("sigma", "2"))  # of JSON: what is given twice is still there twice


@pytest.mark.parametrize(
    ("name", "written", "said"),
    [
        ("p.txt", "", "does not end in .yaml, .yml, .json, .csv"),
        ("p.yaml", "", "has no phases. Write a line for each phase"),
        ("p.yaml", "sigma: 1\n", "p.yaml:1: is not a list of phases"),
        ("p.yaml", "3\n", "p.yaml:1: is not a list of phases"),
        ("p.yaml", "? [1]\n: 2\n", "p.yaml:1: is not a list of phases"),
        ("p.yaml", "privacy: {}\ntraining: {}\n", "p.yaml: is a recipe, and this takes plan files."),
        ("p.yaml", "- 1\n", "p.yaml:1: is not a list of phases"),
        ("p.yaml", "- {sigma: [\n", "is not YAML"),
        ("p.json", "{}", "is not a list of phases"),
        ("p.json", "[1]", "is not a list of phases"),
        ("p.json", "[", "is not JSON"),
        ("p.csv", "a,b\n1\n", "p.csv:2: has 1 cells under 2 names"),
        ("p.csv", "sigma;q\n1,1;.5\n", "p.csv:1: cells are separated by semicolons, and have to be by commas."),
        ("p.csv", 'a\n"1', "is not CSV"),
        ("p.csv", "", "has no phases. Write a line of names"),
    ],
)
def test_a_file_that_is_no_list_of_phases_is_refused(tmp_path: Path, name: str, written: str, said: str) -> None:
    (tmp_path / name).write_text(written, encoding="utf-8")
    with pytest.raises(PlanError) as caught:
        phases.read(tmp_path / name)
    assert said in str(caught.value)


def test_a_value_that_is_no_number_is_left_to_be_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(json.dumps([{"sigma": [1], "q": True, "steps": {"a": 1}}]), encoding="utf-8")
    (phase,) = phases.read(tmp_path / "p.json")
    assert dict(phase.values) == {"sigma": "a list", "q": "true", "steps": "a list"}
    with pytest.raises(PlanError, match="A phase can be typed, too"):
        phases.read(tmp_path / "gone.csv")


def test_a_recipe_that_was_copied_is_said_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match="`dpplan recipes copy digits` writes"):
        reading.read_text(Path("digits.yaml"))
    Path("recipes").mkdir()
    Path("recipes", "digits.yaml").touch()
    with pytest.raises(RecipeError, match=r"no such file\. recipes.digits\.yaml is there\."):
        reading.read_text(Path("digits.yaml"))


# claim

BLOCKS = reading.read_blocks(RECIPE, "r.yaml")
PRIVACY: Privacy = BLOCKS["privacy"]
TRAINING: Training = BLOCKS["training"]
EXAMPLES = 320


def privacy(**changes: Any) -> Privacy:
    return dataclasses.replace(PRIVACY, **changes)


def test_a_claim_is_the_plan_and_its_certified_cost() -> None:
    made = claim.make_claim(PRIVACY, TRAINING, EXAMPLES)
    assert (made.phase.steps, made.phase.settings["sample_rate"], made.clip_norm) == (20, 0.1, 1.0)
    assert made.epsilon == accounting.epsilon(made.plan, 1e-5)
    assert (made.target_epsilon, made.max_epsilon, made.warning) == (None, None, None)
    assert made.spent(20) is made.epsilon
    assert made.spent(0).upper == 0.0
    assert made.spent(0).why == "no step was taken"
    fewer = made.spent(5)
    assert fewer == accounting.epsilon(accounting_plan(made, 5), 1e-5)
    assert fewer.value < made.epsilon.value < made.spent(21).value


def accounting_plan(made: claim.Claim, steps: int) -> Any:
    return dataclasses.replace(made.plan, phases=(dataclasses.replace(made.phase, steps=steps),), derivation=())


def test_what_no_theorem_covers_is_told_in_the_words_of_a_recipe() -> None:
    with pytest.raises(NotApplicable, match=r"Try privacy\.adjacency: zero_out or replace_one\."):
        claim.make_claim(privacy(sampling="shuffle"), TRAINING, EXAMPLES)


def test_more_than_the_plan_is_more_than_may_be_spent() -> None:
    made = claim.make_claim(PRIVACY, TRAINING, EXAMPLES)
    assert not made.exceeded_by(made.epsilon)
    assert made.exceeded_by(made.spent(21))
    assert made.exceeded_by(
        dataclasses.replace(made.epsilon, lower=None, upper=None, guarantee=Guarantee.ESTIMATE, estimate=0.1)
    )
    limited = dataclasses.replace(made, max_epsilon=9.0)
    assert not limited.exceeded_by(made.spent(21))


def test_a_target_is_met_by_the_noise() -> None:
    made = claim.make_claim(privacy(noise_multiplier=None, target_epsilon=0.5), TRAINING, EXAMPLES)
    assert made.epsilon.upper is not None
    assert 0.4999 < made.epsilon.upper <= 0.5
    assert (made.target_epsilon, made.max_epsilon) == (0.5, 0.5)


def test_a_budget_ends_the_plan_where_it_is_spent() -> None:
    whole = claim.make_plan(PRIVACY, TRAINING, EXAMPLES)
    cost = accounting.epsilon(whole, 1e-5).value
    limited = privacy(max_epsilon=0.8 * cost)
    shorter = claim.make_plan(limited, TRAINING, EXAMPLES)
    assert 0 < shorter.steps < 20
    spent = accounting.epsilon(shorter, 1e-5).upper
    assert spent is not None
    assert spent <= 0.8 * cost
    assert "as many of 20 as" in dict(shorter.derivation)["steps"]
    longer = dataclasses.replace(shorter, phases=(dataclasses.replace(shorter.only_phase, steps=shorter.steps + 1),))
    assert accounting.epsilon(longer, 1e-5).value > 0.8 * cost
    assert claim.make_plan(limited, dataclasses.replace(TRAINING, on_budget="continue"), EXAMPLES).steps == 20
    assert claim.make_plan(privacy(max_epsilon=2 * cost), TRAINING, EXAMPLES).steps == 20
    with pytest.raises(Unreachable):
        claim.make_plan(privacy(max_epsilon=1e-9), TRAINING, EXAMPLES)


def test_a_batch_has_to_fit_and_a_delta_to_be_small() -> None:
    with pytest.raises(RecipeError, match=r"training.batch_size=32 exceeds the 31 training examples"):
        claim.settings(PRIVACY, TRAINING, 31)
    made = claim.make_claim(privacy(delta=0.01), TRAINING, EXAMPLES)
    assert made.warning is not None
    assert "delta: " in made.warning
    assert "--delta" not in made.warning


# scheme_keys


def test_every_option_of_a_scheme_that_trains_is_a_key_and_conflicts_name_the_scheme() -> None:
    assert set(scheme_keys.SCHEME_OPTIONS) == {"cap", "bins", "order", "groups", "assignment"}
    assert set(scheme_keys.SCHEME_OPTIONS) <= {field.name for field in dataclasses.fields(Privacy)}
    found = list(scheme_keys.conflicts({"sampling": "shuffle", "cap": 3}))
    assert [keys for keys, _ in found] == [("sampling", "cap")]
    assert list(scheme_keys.conflicts({"sampling": "cyclic-poisson", "groups": 3})) == []
    problems = Problems(RecipeError)
    scheme_keys.option(problems, "bins", "often")
    assert problems.found == ["bins=often is not one of: fresh, same."]
