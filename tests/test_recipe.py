"""Recipes: strict, every problem at once with its line, and privacy facts that never look at `runtime`."""

# ruff: noqa: E501  (a table of sentences reads best with one to a line)

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpplan import recipe
from dpplan.errors import RecipeError
from dpplan.recipe import Data, Model, Privacy, Recipe, Runtime, Training

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))

GOOD = """\
privacy:
  noise_multiplier: 1.5
  delta: 1e-5
  clip_norm: 1
data:
  source: digits
model:
  kind: mlp
  hidden: [64, 32]
  activation: tanh
training:
  batch_size: 256
  epochs: 20
  optimizer: sgd
  learning_rate: 0.5
runtime:
  device: cpu
"""


@pytest.mark.parametrize(("written", "every"), [("off", None), ("10", 10), ("1e3", 1000), ("auto", "auto")])
def test_checkpoints_come_every_so_many_steps_or_not_at_all(written: str, every: int | str | None) -> None:
    made = recipe.parse(GOOD.replace("  device: cpu", f"  checkpoint_every: {written}\n  private_logs: off"))
    assert (made.runtime.checkpoint_every, made.runtime.private_logs) == (every, False)
    assert made.sha256 == recipe.parse(GOOD).sha256


def problems(text: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        recipe.parse(text, name="r.yaml")
    return list(caught.value.problems)


def changed(old: str, new: str) -> list[str]:
    assert old in GOOD
    return problems(GOOD.replace(old, new))


def test_a_good_recipe_becomes_typed_blocks() -> None:
    made = recipe.parse(GOOD, name="folder/r.yaml")
    assert made.privacy == Privacy(noise_multiplier=1.5, delta=1e-5, clip_norm=1)
    assert made.model.hidden == (64, 32)
    assert made.training.batch_size == 256
    assert made.runtime == Runtime(device="cpu")
    assert (made.name, made.text) == ("r", GOOD)


@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_the_recipes_that_come_with_dpplan_load(file: Path) -> None:
    assert recipe.load(file).name == file.stem


@pytest.mark.parametrize("written", ["1e-5", "1.0e-5", "0.00001", "'1e-5'", "1E-05", "+1e-5", ".1e-4"])
def test_a_number_may_be_written_in_every_usual_way(written: str) -> None:
    assert recipe.parse(GOOD.replace("1e-5", written)).privacy.delta == 1e-5


def test_whole_numbers_may_have_a_point_when_they_are_whole() -> None:
    text = GOOD.replace("epochs: 20", "steps: 1e3").replace("[64, 32]", "[64.0, 32]")
    made = recipe.parse(text)
    assert made.training.steps == 1000
    assert isinstance(made.training.steps, int)
    assert made.model.hidden == (64, 32)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("clip_norm: 1", "clipnorm: 1", "r.yaml:4: privacy.clipnorm is not a known key. Did you mean 'clip_norm'?"),
        ("source: digits", "sorce: digits", "r.yaml:6: data.sorce is not a known key. Did you mean 'source'?"),
        ("data:", "dta:", "r.yaml:5: dta is not a known key. Did you mean 'data'?"),
        ("  delta: 1e-5", "  epochs: 3", "r.yaml:3: privacy.epochs is not a known key. It belongs under 'training:'."),
        ("  delta: 1e-5", "  zzz: 3", "r.yaml:3: privacy.zzz is not a known key."),
        ("runtime:\n  device", "device", "r.yaml:16: device is not a known key. It belongs under 'runtime:'."),
        ("  delta: 1e-5", "  ? [a, b]\n  : 3", "r.yaml:3: privacy.? is not a known key."),
        ("batch_size: 256", "batch_size: many", "r.yaml:12: training.batch_size=many is not a number."),
        ("batch_size: 256", "batch_size: 0", "r.yaml:12: training.batch_size=0 is not a positive number."),
        ("  epochs: 20", "  steps: 60.000", "r.yaml:13: training.steps=60.000 is not a whole number. It may be 60 or 60000: write one of these."),
        ("  epochs: 20", "  steps: 3%", "r.yaml:13: training.steps=3% is not a number."),
        ("  clip_norm: 1", "  clip_norm: 1\n  max_epsilon: 3%", "r.yaml:5: privacy.max_epsilon=3% is not a number. ε is no percentage: an outcome may become up to e^ε times as likely. Write a number such as 3."),
        ("batch_size: 256", "batch_size: .inf", "r.yaml:12: training.batch_size=.inf is not a number."),
        ("batch_size: 256", "batch_size: nan", "r.yaml:12: training.batch_size=nan is not a positive number."),
        ("batch_size: 256", "batch_size: 1e400", "r.yaml:12: training.batch_size=inf is not a positive number."),
        ("batch_size: 256", "batch_size: true", "r.yaml:12: training.batch_size=true is true or false to YAML; a number belongs here."),
        ("batch_size: 256", "batch_size: [256]", "r.yaml:12: training.batch_size is a list; a number belongs here."),
        ("batch_size: 256", "batch_size: {a: 1}", "r.yaml:12: training.batch_size is a block; a number belongs here."),
        ("batch_size: 256", "batch_size:", "r.yaml:12: training.batch_size has no value; a number belongs here."),
        ("batch_size: 256", "batch_size: !!python/name:os.system", "r.yaml:12: training.batch_size has a tag or type that recipes do not use; a number belongs here."),
        ("epochs: 20", "steps: 5.5", "r.yaml:13: training.steps=5.5 is not a whole number of at least 1."),
        ("delta: 1e-5", "delta: 1", "r.yaml:3: privacy.delta=1 is not in (0, 1)."),
        ("optimizer: sgd", "optimizer: on", "r.yaml:14: training.optimizer=on is true or false to YAML; a word belongs here."),
        ("optimizer: sgd", "optimizer: yes", "r.yaml:14: training.optimizer=yes is true or false to YAML; a word belongs here."),
        ("optimizer: sgd", "optimizer: null", "r.yaml:14: training.optimizer has no value; a word belongs here."),
        ("optimizer: sgd", "optimizer: 3", "r.yaml:14: training.optimizer=3 is a number to YAML; a word belongs here."),
        ("optimizer: sgd", "optimizer: sdg", "r.yaml:14: training.optimizer=sdg is not one of: sgd, adam, adamw. Did you mean 'sgd'?"),
        ("hidden: [64, 32]", "hidden: 64", "r.yaml:9: model.hidden=64 is not a list of whole numbers, as in [64, 32]."),
        ("hidden: [64, 32]", "hidden: [64, x]", "r.yaml:9: model.hidden holds something that is not a number."),
        ("hidden: [64, 32]", "hidden: [64, 0]", "r.yaml:9: model.hidden=0 is not a whole number of at least 1."),
        ("hidden: [64, 32]", "hidden: []", "r.yaml:9: model.hidden=[] is empty. Use kind: logistic for a model without hidden layers."),
        ("  epochs: 20", "  epochs: 20\n  momentum: 1", "r.yaml:14: training.momentum=1 is not in [0, 1)."),
        ("  device: cpu", "  device: cpu\n  folder: ''", "r.yaml:18: runtime.folder is not the name of a folder."),
        ("  epochs: 20", "  epochs: 20\n  compare_nonprivate: 1", "r.yaml:14: training.compare_nonprivate=1 is neither true nor false."),
        ("epochs: 20", "epochs: 20\n  epochs: 30", "r.yaml:14: training.epochs is given twice; first on line 13."),
        ("runtime:", "data:", "r.yaml:16: data is given twice; first on line 5."),
        ("  source: digits", "", "r.yaml:5: data: is not a block of keys and values."),
        ("  clip_norm: 1\n", "", "r.yaml:1: privacy.clip_norm is missing."),
        ("  noise_multiplier: 1.5\n", "", "r.yaml:1: privacy.noise_multiplier is missing, and so is target_epsilon. Give one of the two."),
        ("  delta: 1e-5", "  target_epsilon: 3", "r.yaml:3: privacy.noise_multiplier is given, and so is target_epsilon. Give one of the two."),
        ("  epochs: 20\n", "", "r.yaml:11: training.epochs is missing, and so is steps. Give one of the two."),
        ("  epochs: 20", "  epochs: 20\n  steps: 9", "r.yaml:14: training.epochs is given, and so is steps. Give one of the two."),
        ("kind: mlp", "kind: logistic\n  #", "r.yaml:10: model.hidden has no meaning for kind: logistic. Remove it, or use kind: mlp."),
        ("  activation: tanh\n", "", "r.yaml:8: model.activation is missing: kind: mlp needs it."),
        ("optimizer: sgd", "optimizer: adam\n  momentum: 0.9", "r.yaml:15: training.momentum has no meaning for optimizer: adam. Remove it, or use optimizer: sgd."),
        ("source: digits", "source: file", "r.yaml:6: data.path is missing: source: file needs it."),
        ("source: digits", "source: digits\n  path: x", "r.yaml:7: data.path has no meaning for source: digits. Remove it."),
        ("source: digits", "source: digits\n  examples: 10", "r.yaml:7: data.examples has no meaning for source: digits. Remove it."),
        ("source: digits", "source: my module:f", "r.yaml:6: data.source=my module:f is not a Python function named as module:function."),
        ("source: digits", "source: digits\n  scale: 0", "r.yaml:7: data.scale=0 is not a positive number."),
        ("source: digits", "source: digits\n  shift: .inf", "r.yaml:7: data.shift=.inf is not a number."),
        ("source: digits", "source: digits\n  shift: 1e39", "r.yaml:7: data.shift=1e+39 is not a number that a float32 can hold."),
        ("source: digits", "source: digits\n  standardize: public\n  scale: 2", "r.yaml:7: data.standardize is given, and so is shift or scale. Give one of the two."),
        ("source: digits", "source: digits\n  standardize: true", "r.yaml:7: data.standardize=true would read means and deviations of private data, a release that no epsilon covers. Give shift and scale from public knowledge, or, if the training set's own are public, standardize: public."),
        ("kind: mlp", "kind: module:f-g", "r.yaml:8: model.kind=module:f-g is not a Python function named as module:function."),
        ("kind: mlp\n  hidden: [64, 32]\n  activation: tanh", "kind: lstm", "r.yaml:8: model.hidden is missing: kind: lstm needs it."),
        ("kind: mlp\n  hidden: [64, 32]\n  activation: tanh", "kind: lstm\n  hidden: [4, 4]", "r.yaml:9: model.hidden has more than one width; kind: lstm has one layer."),
        ("kind: mlp\n  hidden: [64, 32]\n  activation: tanh", "kind: transformer\n  hidden: [64, 32]", "r.yaml:9: model.hidden=[64, 32] has different widths; kind: transformer has one."),
        ("kind: mlp\n  hidden: [64, 32]\n  activation: tanh", "kind: transformer\n  hidden: [6]", "r.yaml:9: model.hidden=[6] is not a multiple of 4, the number of heads."),
        ("optimizer: sgd", "optimizer: adamw\n  momentum: 0.9", "r.yaml:15: training.momentum has no meaning for optimizer: adamw. Remove it, or use optimizer: sgd."),
        ("  epochs: 20", "  epochs: 20\n  weight_decay: -1", "r.yaml:14: training.weight_decay=-1 is not at least 0."),
        ("  epochs: 20", "  epochs: 20\n  schedule: cosin", "r.yaml:14: training.schedule=cosin is not one of: constant, cosine. Did you mean 'cosine'?"),
        ("  epochs: 20", "  epochs: 20\n  warmup_steps: -1", "r.yaml:14: training.warmup_steps=-1 is not a whole number of at least 0."),
        ("  epochs: 20", "  epochs: 20\n  ema: 1", "r.yaml:14: training.ema=1 is not in (0, 1)."),
        ("  epochs: 20", "  epochs: 20\n  views: 8", "r.yaml:14: training.views has no meaning without augment. Give augment: shift or flip-shift."),
        ("  clip_norm: 1", "  clip_norm: 1\n  adjacency: replace_two", "r.yaml:5: privacy.adjacency=replace_two is not one of: add_remove, replace_one, zero_out. Did you mean 'replace_one'?"),
        ("  clip_norm: 1", "  clip_norm: 1\n  sampling: b-min-sep", "r.yaml:5: privacy.sampling=b-min-sep is not one of: poisson, full-batch, fixed-size, truncated-poisson, balls-in-bins, shuffle, cyclic-poisson. It is refused: only Monte Carlo estimates are known for it, with a confidence and no proof. The nearest scheme that has a theorem is cyclic-poisson."),
        ("  clip_norm: 1", "  clip_norm: 1\n  cap: 300", "r.yaml:5: privacy.cap has no meaning for sampling: poisson. Remove it, or use sampling: truncated-poisson."),
        ("  clip_norm: 1", "  clip_norm: 1\n  sampling: truncated-poisson", "r.yaml:5: privacy.cap is missing: sampling: truncated-poisson needs the most examples of a batch."),
        ("  clip_norm: 1", "  clip_norm: 1\n  sampling: shuffle\n  order: twice", "r.yaml:6: privacy.order=twice is not one of: fresh, once."),
        ("  clip_norm: 1", "  clip_norm: 1\n  sampling: cyclic-poisson\n  groups: 0", "r.yaml:6: privacy.groups=0 is not a whole number of at least 1. It is the number of groups that take turns."),
        ("  clip_norm: 1", "  clip_norm: 1\n  clipping: ghost", "r.yaml:5: privacy.clipping=ghost is not one of: flat, per-layer, automatic, adaptive."),
        ("  clip_norm: 1", "  clip_norm: 1\n  quantile: 0.5", "r.yaml:5: privacy.quantile has a meaning for clipping: adaptive only. Remove it."),
        ("  clip_norm: 1", "  clip_norm: 1\n  clipping: adaptive\n  quantile: 1", "r.yaml:6: privacy.quantile=1 is not in (0, 1)."),
        ("  device: cpu", "  device: cpu\n  engine: hooks", "r.yaml:18: runtime.engine=hooks is not one of: auto, book-keeping, vmap."),
        ("  clip_norm: 1", "  clip_norm: 1\n  unit: patient", "r.yaml:5: privacy.unit=patient is not one of: example, user. Did you mean 'user'?"),
    ],
)  # fmt: skip
def test_one_mistake_gives_one_sentence_with_its_line(old: str, new: str, said: str) -> None:
    assert said in changed(old, new)


@pytest.mark.parametrize("value", ["on", "yes", "true", "True"])
def test_every_yaml_spelling_of_true_is_a_switch(value: str) -> None:
    assert recipe.parse(GOOD.replace("  epochs: 20", f"  epochs: 20\n  compare_nonprivate: {value}"))
    off = recipe.parse(GOOD.replace("  epochs: 20", "  epochs: 20\n  compare_nonprivate: off"))
    assert not off.training.compare_nonprivate


def test_an_unreadable_value_is_reported_once() -> None:
    assert changed("noise_multiplier: 1.5", "noise_multiplier: lots") == [
        "r.yaml:2: privacy.noise_multiplier=lots is not a number."
    ]


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    found = problems("privacy:\n  clip_norm: -1\n  nois: 2\ntraining:\n  batch_size: no\n  epochs: 1\n  speed: 3\n")
    assert found == [
        "r.yaml: the block 'data:' is missing.",
        "r.yaml: the block 'model:' is missing.",
        "r.yaml:1: privacy.noise_multiplier is missing, and so is target_epsilon. Give one of the two.",
        "r.yaml:2: privacy.clip_norm=-1 is not a positive number.",
        "r.yaml:3: privacy.nois is not a known key. Did you mean 'noise'?",
        "r.yaml:4: training.learning_rate is missing.",
        "r.yaml:4: training.optimizer is missing.",
        "r.yaml:5: training.batch_size=no is true or false to YAML; a number belongs here.",
        "r.yaml:7: training.speed is not a known key.",
    ]


@pytest.mark.sweep(slow=("text8",))
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "",
            "r.yaml: is empty. A recipe has the blocks privacy, data, model, training, runtime, check, audit, statement; a plan file has phases.",
        ),
        (
            "# only words\n",
            "r.yaml: is empty. A recipe has the blocks privacy, data, model, training, runtime, check, audit, statement; a plan file has phases.",
        ),
        (
            "just words",
            "r.yaml: is not a recipe: it has no blocks privacy, data, model, training, runtime, check, audit, statement.",
        ),
        (
            "- a\n- b\n",
            "r.yaml: is not a recipe: it has no blocks privacy, data, model, training, runtime, check, audit, statement.",
        ),
        ("a: [", "r.yaml:1: is not YAML: a value is missing, or a bracket is not closed."),
        ("a:\n\tb: 1", "r.yaml:2: is not YAML: a tab indents it. Use spaces."),
        ("a: 1\n---\nb: 2\n", "r.yaml:2: is not YAML: a second document begins with ---. A file holds one."),
        ("a: \x00", "r.yaml: holds characters that no YAML file may hold; is it a recipe?"),
        ("[" * 5000, "r.yaml: is nested too deeply to be a recipe."),
        ("a: *b", "r.yaml:1: is not YAML: found undefined alias 'b'."),
    ],
)
def test_what_is_no_recipe_is_said_to_be_none(text: str, said: str) -> None:
    assert problems(text) == [said]


def test_a_list_that_contains_itself_ends() -> None:
    assert changed("hidden: [64, 32]", "hidden: &a [*a, [*a]]")


def test_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    none = "no such file. Name one that is there; `dpplan recipes` lists those that can be copied."
    cases = {"missing": none, "folder": "is a folder, and no recipe."}
    (tmp_path / "folder").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").touch()
    cases["run"] = f"is a run's folder. Name the recipe in it: {tmp_path / 'run' / 'recipe.yaml'}."
    for name, content, said in (
        ("binary", bytes(range(256)), "is not text (UTF-8); a recipe is a YAML file."),
        ("large", b"#" * 1_000_001, "is larger than 1,000,000 bytes; this is no recipe."),
    ):
        (tmp_path / name).write_bytes(content)
        cases[name] = said
    for name, said in cases.items():
        with pytest.raises(RecipeError) as caught:
            recipe.load(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: {said}"


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(GOOD, encoding="utf-8-sig")
    assert recipe.load(tmp_path / "r.yaml") == recipe.parse(GOOD)


@given(st.text(max_size=60), st.integers(0, len(GOOD)))
def test_no_text_does_anything_but_load_or_raise_recipe_error(noise: str, at: int) -> None:
    for text in (noise, GOOD[:at] + noise + GOOD[at:]):
        try:
            recipe.parse(text)
        except RecipeError as error:
            assert all(problem.startswith("recipe:") for problem in error.problems)


def test_blocks_made_in_python_obey_the_same_rules() -> None:
    with pytest.raises(RecipeError, match=r"privacy\.clip_norm=-1 is not a positive number"):
        Privacy(noise_multiplier=1.0, clip_norm=-1)
    with pytest.raises(RecipeError, match=r"privacy\.clip_norm is missing"):
        Privacy(noise_multiplier=1.0, clip_norm=None)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="2 problems"):
        Training(batch_size=0, optimizer="adam", learning_rate=1.0, epochs=1, momentum=0.9)
    with pytest.raises(RecipeError, match=r"data\.source=diggits is not one of"):
        Data(source="diggits")
    with pytest.raises(RecipeError, match="kind: mlp needs it"):
        Model(kind="mlp")


def test_the_plan_comes_with_its_derivation() -> None:
    plan = recipe.parse(GOOD).plan(examples=1437)
    assert plan.only_phase.mechanism.noise_multiplier == 1.5
    assert plan.only_phase.sampling.sample_rate == 256 / 1437
    assert plan.steps == 113
    assert dict(plan.derivation) == {"sample_rate": "256 / 1437", "steps": "⌈20 epochs × 1437 / 256⌉"}


def test_delta_is_given_or_derived_from_the_training_examples() -> None:
    assert recipe.parse(GOOD).delta(1437).reason is None
    derived = recipe.parse(GOOD.replace("  delta: 1e-5\n", "")).delta(1437)
    assert (derived.value, derived.reason) == (1e-5, "largest power of ten ≤ 1 / (10 × 1437)")


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(RecipeError, match="batch_size=256 exceeds the 100 training examples"):
        recipe.parse(GOOD).settings(examples=100)


def test_a_target_epsilon_is_met_and_never_exceeded() -> None:
    text = GOOD.replace("noise_multiplier: 1.5", "target_epsilon: 3")
    claim = recipe.parse(text).claim(examples=1437)
    assert claim.epsilon.upper is not None
    assert 2.99 < claim.epsilon.upper <= 3
    assert claim.target_epsilon == 3


def test_the_claim_counts_the_steps_that_were_taken() -> None:
    claim = recipe.parse(GOOD).claim(examples=1437)
    assert claim.spent(0).upper == 0
    assert claim.spent(claim.phase.steps) == claim.epsilon
    spent = [claim.spent(steps).upper for steps in (1, 10, 50, 113)]
    assert spent == sorted(spent)
    assert len(set(spent)) == 4


def test_a_delta_of_one_over_n_is_warned_of() -> None:
    claim = recipe.parse(GOOD.replace("1e-5", "1e-3")).claim(examples=1437)
    assert claim.warning is not None
    assert "publishing whole records" in claim.warning


class Untouchable:
    """Stands in for a runtime block; whoever reads it is caught."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(f"a privacy figure looked at runtime.{name}")


def test_no_privacy_figure_looks_at_runtime() -> None:
    made = dataclasses.replace(recipe.parse(GOOD), runtime=Untouchable())  # type: ignore[arg-type]
    assert made.settings(1437).plan() == made.plan(1437)
    assert made.delta(1437).value == 1e-5
    assert made.claim(1437) == recipe.parse(GOOD).claim(1437)


@pytest.mark.parametrize(
    "change",
    [{"device": "cuda"}, {"physical_batch": 7}, {"threads": 3}, {"folder": "elsewhere"}, {"engine": "vmap"}],
)
def test_changing_runtime_changes_neither_epsilon_nor_the_hash(change: dict[str, object]) -> None:
    made = recipe.parse(GOOD)
    other = made.with_runtime(**change)
    assert other != made
    assert other.claim(1437) == made.claim(1437)
    assert other.sha256 == made.sha256


def test_the_hash_sees_content_and_not_layout() -> None:
    made = recipe.parse(GOOD)
    blocks = GOOD.split("data:")
    moved = "data:" + blocks[1].replace("  device: cpu\n", "") + "  device: cpu\n" + blocks[0] + "# words\n"
    for same in (moved, GOOD.replace("256", "2.56e2"), GOOD.replace("1e-5", "0.00001"), "# words\n" + GOOD):
        assert recipe.parse(same).sha256 == made.sha256
    spelt_out = GOOD.replace("  clip_norm: 1", "  clip_norm: 1\n  adjacency: add_remove")
    assert recipe.parse(spelt_out).sha256 == made.sha256


def test_the_hash_changes_with_every_key_that_is_not_runtime() -> None:
    made = recipe.parse(GOOD)
    others = [
        dataclasses.replace(made, privacy=dataclasses.replace(made.privacy, noise_multiplier=1.6)),
        dataclasses.replace(made, privacy=dataclasses.replace(made.privacy, clip_norm=2.0)),
        dataclasses.replace(made, privacy=dataclasses.replace(made.privacy, clipping="per-layer")),
        dataclasses.replace(made, data=dataclasses.replace(made.data, split_seed=1)),
        dataclasses.replace(made, model=dataclasses.replace(made.model, hidden=(64,))),
        dataclasses.replace(made, training=dataclasses.replace(made.training, learning_rate=0.4)),
    ]
    assert len({made.sha256, *(other.sha256 for other in others)}) == len(others) + 1


def test_a_recipe_is_frozen() -> None:
    made: Recipe = recipe.parse(GOOD)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.privacy.clip_norm = 2.0  # type: ignore[misc]


def test_importing_recipes_loads_neither_yaml_nor_torch() -> None:
    code = "import sys, dpplan.recipe; print(sorted({'yaml', 'torch', 'rich', 'click'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_audit_block_is_read_and_changes_nothing_that_is_trained() -> None:
    text = (Path(__file__).parents[1] / "recipes" / "digits.yaml").read_text(encoding="utf-8")
    plain, audited = (
        recipe.parse(text),
        recipe.parse(text + "\naudit:\n  gradient_canaries: 100\n  mislabelled_canaries: 0\n"),
    )
    assert (audited.audit.gradient_canaries, audited.audit.mislabelled_canaries) == (100, 0)
    assert plain.audit.gradient_canaries == 5000
    assert audited.sha256 == plain.sha256
    with pytest.raises(RecipeError, match=r"gradient_canaries=3 is not a whole number of at least 50"):
        recipe.parse(text + "\naudit:\n  gradient_canaries: 3\n")
