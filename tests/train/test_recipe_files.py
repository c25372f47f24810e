"""Every file in recipes/: what its header states is what its claim is, and what it reaches where it can run here."""

import re
import statistics
from pathlib import Path

import pytest

from dpplan import recipe as recipes
from dpplan import train
from dpplan.errors import UsageError
from dpplan.recipe import Recipe
from dpplan.recipe.schema import FROM_PATH, MADE

FOLDER = Path(__file__).parents[2] / "recipes"
FILES = sorted(FOLDER.glob("*.yaml"))
KNOWN = {"digits": 1797, "mnist": 60_000, "cifar10": 50_000}  # published sizes
RUN_HERE = [path.stem for path in FILES if recipes.load(path).data.source in {*MADE, "digits"}]
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def training_examples(recipe: Recipe) -> int:
    data = recipe.data
    if data.source in FROM_PATH:  # with a test set of their own
        return KNOWN[data.source]
    every = KNOWN.get(data.source) or data.examples
    assert every is not None
    return every - -int(-every * data.held_out // 1)


def stated(recipe: Recipe, what: str) -> list[float]:
    return [float(found) for found in re.findall(what, recipe.text.replace("\n#", " "))]


@every_file
def test_the_epsilon_stated_is_the_certified_one_rounded_up(path: Path) -> None:
    recipe = recipes.load(path)
    claim = recipe.claim(training_examples(recipe))
    (epsilon,) = stated(recipe, r"epsilon <= ([0-9.]+) +at delta")
    (delta,) = stated(recipe, r"at\s+delta ([0-9]+e-[0-9]+)")
    assert claim.epsilon.upper is not None
    assert claim.epsilon.upper <= epsilon <= claim.epsilon.upper + 1.0001e-3
    assert claim.delta.value == delta


@every_file
def test_every_number_has_its_reason_beside_it(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    numbers = [line for line in lines if re.match(r"  \w+: +[\[0-9]", line)]
    assert numbers
    assert [line for line in numbers if "#" not in line] == []


@pytest.mark.parametrize(
    ("name", "examples", "epochs", "sigma", "exact"),
    [
        ("tutorial-2k-sgd", 2000, 100, 1.0, 28.849),
        ("tutorial-20k-sgd", 20_000, 10, 1.0, 2.107),
        ("tutorial-20k-long", 20_000, 50, 1.0, 4.831),
        ("tutorial-20k-adam", 20_000, 10, 2.5, 0.538),
    ],
)
def test_both_runs_of_a_tutorial_cost_what_the_recipe_says(
    name: str, examples: int, epochs: int, sigma: float, exact: float
) -> None:
    from dpplan import accounting
    from dpplan.plan import Settings

    per_epoch = -(-examples // 256)
    theirs = Settings(
        noise_multiplier=sigma,
        steps=epochs * per_epoch,
        examples=examples,
        batch_size=examples / per_epoch,
        epochs=None,
    )
    upper = accounting.epsilon(theirs.plan(), 1e-5).upper
    assert upper is not None
    assert round(upper, 3) == exact
    text = " ".join((FOLDER / f"{name}.yaml").read_text(encoding="utf-8").replace("#", " ").split())
    assert f"{epochs * per_epoch} in all: exactly {exact}," in text
    ours = recipes.load(FOLDER / f"{name}.yaml").claim(examples)
    assert ours.epsilon.upper is not None
    assert f"= {ours.phase.steps} steps: exactly {ours.epsilon.upper:.3f}. These are two runs" in text


@pytest.mark.parametrize("name", ["mnist-15-epochs", "cifar10"])
def test_absent_data_files_are_named(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = recipes.load(FOLDER / f"{name}.yaml")
    with pytest.raises(
        UsageError, match=rf"data\.path={recipe.data.path} does not exist in .* It should be the folder"
    ):
        train.plan(recipe)


@pytest.mark.slow
@pytest.mark.parametrize("name", RUN_HERE)
def test_the_accuracy_stated_is_reached(tmp_path: Path, name: str) -> None:
    recipe = recipes.load(FOLDER / f"{name}.yaml").with_twin(False)
    (percent,) = stated(recipe, r"about ([0-9]+) % on (?:digits of )?held-out")
    runs = 8 if recipe.data.source == "digits" else 2  # 360 digits are held out, of the others 500 or more
    reports = [train.run(recipe, seed=seed, out=tmp_path / str(seed)) for seed in range(runs)]
    assert all(report.steps == report.planned.claim.phase.steps for report in reports)
    assert statistics.mean(report.held_out_accuracy or 0.0 for report in reports) >= percent / 100 - 0.01
