"""Settings to choose from, and a recipe with one of them written into its text."""

from dataclasses import replace

import pytest

from dpplan.errors import UsageError
from dpplan.recipe import grid, parse

BLOCKS = """\
privacy:
  noise_multiplier: 1.0   # of the clip norm
  clip_norm: 1.0
  delta: 1e-5
data: {source: blobs, examples: 200}
model: {kind: mlp, hidden: [4], activation: tanh}
training:
  batch_size: 20
  steps: 3   # few
  optimizer: sgd
  learning_rate: 0.1
"""


def test_a_grid_is_every_combination() -> None:
    found = grid.read(["learning_rate=0.1,0.2", "hidden=[4],[4, 8]", "privacy.clip_norm=1"])
    assert len(found.settings) == 4
    assert found.settings[1] == {
        ("training", "learning_rate"): "0.1",
        ("model", "hidden"): "[4, 8]",
        ("privacy", "clip_norm"): "1",
    }


def test_a_setting_is_written_where_it_stands_and_nothing_else_changes() -> None:
    recipe = parse(BLOCKS, name="blobs.yaml")
    setting = {("training", "learning_rate"): "0.25", ("model", "hidden"): "[8, 2]", ("training", "momentum"): "0.9",
               ("model", "activation"): "relu"}  # fmt: skip
    found = grid.recipe_of(recipe, setting)
    assert (found.training.learning_rate, found.training.momentum) == (0.25, 0.9)
    assert (tuple(found.model.hidden), found.model.activation) == ((8, 2), "relu")
    assert "steps: 3   # few" in found.text and "# of the clip norm" in found.text
    assert (found.name, found.privacy, found.data) == (recipe.name, recipe.privacy, recipe.data)
    assert grid.recipe_of(found, {("training", "learning_rate"): "0.1"}).training.learning_rate == 0.1
    in_line = BLOCKS[: BLOCKS.index("training:")] + (
        "training: {batch_size: 20, steps: 3, optimizer: sgd, learning_rate: 0.1}\n"
    )
    assert grid.recipe_of(parse(in_line), {("training", "momentum"): "0.9"}).training == replace(
        recipe.training, momentum=0.9
    )


def test_a_list_over_several_lines_is_replaced_whole() -> None:
    recipe = parse(
        BLOCKS.replace(
            "{kind: mlp, hidden: [4], activation: tanh}",
            "\n  hidden:\n    - 4\n    - 5\n  activation: tanh\n  kind: mlp",
        )
    )
    found = grid.recipe_of(recipe, {("model", "hidden"): "[9]"})
    assert tuple(found.model.hidden) == (9,) and found.model.kind == "mlp" and found.training == recipe.training


def test_a_value_that_makes_no_recipe_is_told_as_in_a_recipe() -> None:
    job = parse(BLOCKS, name="blobs.yaml")
    with pytest.raises(UsageError, match=r"^grid: learning_rate=fast: training.learning_rate=fast is not a number\.$"):
        grid.recipe_of(job, {("training", "learning_rate"): "fast"})
    with pytest.raises(UsageError, match=r"stand without brackets: learning_rate=0.25,0.5,1"):
        grid.recipe_of(job, {("training", "learning_rate"): "[0.1,0.5]"})


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ([], "grid is missing"),
        (["learning_rate"], "says no values"),
        (["learning_rate="], "no value, or an empty one"),
        (["learning_rate=1,,2"], "no value, or an empty one"),
        (["learning_rate=1,1"], "a value twice"),
        (["learning_rate=1", "training.learning_rate=2"], "given twice"),
        (["lr=1"], "Did you mean 'training.learning_rate'?"),
        (["learningrate=1"], "Did you mean 'training.learning_rate'?"),
        (["model.learning_rate=1"], "is no key of a recipe"),
        (["held_out=0.1,0.2"], "data.held_out is no setting of the training"),
        (["runtime.threads=1,2"], "is no setting of the training"),
        (["=1"], "is no key of a recipe"),
        ([f"{key}={','.join(map(str, range(40)))}" for key in ("learning_rate", "momentum")], "1600 settings"),
    ],
)  # fmt: skip
def test_what_makes_no_grid_is_told(typed: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        grid.read(typed)
    assert any(said in each for each in refused.value.problems), refused.value.problems


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(UsageError) as refused:
        grid.read(["learningrate=1", "momentum", "held_out=0.1"])
    assert len(refused.value.problems) == 3
