"""The noise: block of a recipe: what it reads, the plan it makes, and a sentence for each mistake."""

from pathlib import Path

import numpy as np
import pytest

from dpplan import accounting, recipe, solve
from dpplan.adjacency import ZERO_OUT
from dpplan.errors import NotApplicable, NotCertified, RecipeError
from dpplan.mechanism import Correlation, Gaussian, MatrixNoise, ToeplitzNoise, TreeAggregation
from dpplan.plan import Settings
from dpplan.recipe import noise_block, recorded
from dpplan.sampling import CyclicPoisson, Poisson, Shuffle

ORDER = "sampling: shuffle, order: once, adjacency: zero_out"
TURNS = "sampling: cyclic-poisson, groups: 8, adjacency: zero_out"


def text(noise: str, drawn: str = ORDER, training: str = "steps: 100", runtime: str = "device: cpu") -> str:
    return f"""\
privacy: {{noise_multiplier: 4, clip_norm: 1, delta: 1e-5, noise: {noise}, {drawn}}}
data: {{source: digits}}
model: {{kind: logistic}}
training: {{batch_size: 100, {training}, optimizer: sgd, learning_rate: 0.5}}
runtime: {{{runtime}}}
"""


def test_a_block_becomes_the_mechanism_of_the_plan() -> None:
    phase = recipe.parse(text("{kind: banded, bands: 8}")).plan(1437).only_phase
    assert phase.mechanism == ToeplitzNoise(4.0, bands=8) and phase.sampling == Shuffle(15, "once")
    turns = recipe.parse(text("{kind: banded, bands: 8}", TURNS)).plan(1437).only_phase
    assert turns.mechanism == ToeplitzNoise(4.0, bands=8) and isinstance(turns.sampling, CyclicPoisson)
    assert recipe.parse(text("{kind: tree}")).plan(1437).only_phase.mechanism == TreeAggregation(4.0)


def test_a_record_that_is_in_every_batch_takes_part_in_every_step() -> None:
    whole = recipe.parse(text("{kind: tree}", "sampling: full-batch").replace("batch_size: 100", "batch_size: 1437"))
    phase = whole.plan(1437).only_phase
    assert phase.mechanism == TreeAggregation(4.0, participations=100) and phase.sampling == Poisson(1.0)
    banded = recipe.parse(whole.text.replace("kind: tree", "kind: banded, bands: 8")).plan(1437).only_phase
    assert banded.mechanism == ToeplitzNoise(4.0, bands=8, participations=100)


@pytest.mark.parametrize("bands", [3, 6])
def test_it_does_so_with_the_strategy_of_a_file(bands: int, tmp_path: Path) -> None:
    file = written(
        tmp_path, np.tri(6) - np.tri(6, k=-bands) + np.diag(np.arange(6.0)), FROM_FILE, "sampling: full-batch"
    )
    file.write_text(file.read_text(encoding="utf-8").replace("batch_size: 100", "batch_size: 1437"), encoding="utf-8")
    mechanism = recipe.load(file).plan(1437).only_phase.mechanism
    assert isinstance(mechanism, MatrixNoise) and (mechanism.participations, mechanism.separation) == (6, 1)


def test_what_is_not_said_leaves_the_hash_and_the_noise_alone() -> None:
    plain = recipe.parse(text("{kind: tree}").replace("noise: {kind: tree}, ", ""))
    assert plain.privacy.noise is None and type(plain.plan(1437).only_phase.mechanism) is Gaussian
    assert "noise" not in str(plain.sha256) and plain.sha256 != recipe.parse(text("{kind: tree}")).sha256


def test_a_target_is_solved_for_the_noise() -> None:
    asked = recipe.parse(text("{kind: banded, bands: 8}").replace("noise_multiplier: 4", "target_epsilon: 2"))
    claim = asked.claim(1437)
    assert claim.epsilon.upper is not None and 1.9999 < claim.epsilon.upper <= 2.0
    settings = Settings(
        steps=105, examples=1437, batch_size=100, sampling="shuffle", scheme_options=(("order", "once"),),
        adjacency=ZERO_OUT, correlation=Correlation("banded", 8),
    )  # fmt: skip
    longer = solve.noise(settings, 2.0, 1e-5).plan.only_phase.mechanism
    assert isinstance(longer, ToeplitzNoise)
    assert longer.noise_multiplier >= claim.phase.mechanism.noise_multiplier  # type: ignore[attr-defined]


def written(folder: Path, strategy: np.ndarray, noise: str, drawn: str = ORDER, steps: int = 6) -> Path:
    """A recipe with its strategy beside it."""
    np.save(folder / "C.npy", strategy)
    (folder / "recipe.yaml").write_text(text(noise, drawn, f"steps: {steps}"), encoding="utf-8")
    return folder / "recipe.yaml"


def test_a_strategy_is_read_from_the_folder_of_the_recipe_and_told_apart_by_its_numbers(tmp_path: Path) -> None:
    any_c = np.tri(6) - np.tri(6, k=-3) + np.diag(np.arange(6.0))
    read = recipe.load(written(tmp_path, any_c, FROM_FILE))
    mechanism = read.plan(1437).only_phase.mechanism
    assert isinstance(mechanism, MatrixNoise) and (mechanism.rows, mechanism.bands) == (6, 3)
    assert mechanism.noise_multiplier == 4.0 and mechanism.entries[-3:] == (1.0, 1.0, 6.0)
    content = read.content["privacy"]["noise"]
    assert set(content) == {"kind", "strategy", "sha256"} and content["strategy"] == "C.npy"
    other = recipe.load(written(tmp_path, any_c + np.eye(6), FROM_FILE))
    assert other.sha256 != read.sha256
    same = recipe.load(written(tmp_path, (np.tri(6) - np.tri(6, k=-2))[:, :1], FROM_FILE, steps=9))
    assert same.plan(1437).only_phase.mechanism == ToeplitzNoise(4.0, coefficients=(1.0, 1.0))


FROM_FILE = "{kind: matrix, strategy: C.npy}"
OF_FILES = {
    "no file named": ("{kind: matrix}", ORDER, "noise.strategy is missing: kind: matrix is the strategy of a file"),
    "bands beside it": ("{kind: matrix, strategy: C.npy, bands: 3}", ORDER, "noise.bands follows from the file"),
    "of another kind": ("{kind: banded, bands: 2, strategy: C.npy}", ORDER, "noise.strategy is for kind: matrix"),
    "no such file": ("{kind: matrix, strategy: D.npy}", ORDER, "D.npy: no such file. A strategy's path is seen from"),
    "another ending": ("{kind: matrix, strategy: C.pt}", ORDER, "C.pt: does not end in .npy, .csv, .txt"),
    "out of the folder": ("{kind: matrix, strategy: ../C.npy}", ORDER, "leaves the folder of the recipe"),
    "a list": ("{kind: matrix, strategy: [1, 0.5]}", ORDER, "noise has a strategy that is not the name of a file"),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_FILES)
def test_a_strategy_that_does_not_fit_is_refused(name: str, tmp_path: Path) -> None:
    noise, drawn, told = OF_FILES[name]
    with pytest.raises(RecipeError) as caught:
        recipe.load(written(tmp_path, np.tri(6) - np.tri(6, k=-3) + np.eye(6) * np.arange(6), noise, drawn))
    assert told in str(caught.value)


def test_a_strategy_has_a_row_for_each_step(tmp_path: Path) -> None:
    read = recipe.load(written(tmp_path, np.tri(6) + np.diag(np.arange(6.0)), FROM_FILE, steps=7))
    with pytest.raises(RecipeError, match=r"training.steps=7, and the strategy in C.npy has 6 rows"):
        read.plan(1437)


MISTAKES = {
    "no bands": ("{kind: banded}", ORDER, "noise.bands is missing: kind: banded needs how many steps a noise lasts"),
    "bands 0": ("{kind: banded, bands: 0}", ORDER, "noise.bands=0 is not a whole number of at least 1"),
    "bands 2.5": ("{kind: banded, bands: 2.5}", ORDER, "noise.bands=2.5 is not a whole number"),
    "bands in words": ("{kind: banded, bands: many}", ORDER, "noise has a bands that is not a number"),
    "far too many bands": ("{kind: banded, bands: 1e6}", ORDER, "noise.bands=1000000 is more than 100000"),
    "another kind": ("{kind: bandit, bands: 8}", ORDER, "=bandit is not one of: banded, tree, matrix. Did you mean"),
    "independent": ("{kind: gaussian}", ORDER, "noise.kind=gaussian is what noise is without this block. Remove it"),
    "no kind": ("{bands: 8}", ORDER, "noise does not say its kind: banded, tree, matrix"),
    "another key": ("{kind: banded, band: 8}", ORDER, "noise has no key band. Did you mean 'bands'?"),
    "a key twice": ("{kind: banded, bands: 8, bands: 9}", ORDER, "noise names bands twice"),
    "a word": ("tree", ORDER, "noise=tree is not a block. Write noise: {kind: banded, bands: 8}"),
    "a tree with bands": ("{kind: tree, bands: 8}", ORDER, "noise.bands has no meaning for kind: tree"),
}  # fmt: skip
NO_THEOREM = {
    "Poisson sampling": (
        "{kind: banded, bands: 8}", "sampling: poisson", "noise: banded has no theorem under sampling: poisson",
    ),
    "a file's by coins": (FROM_FILE, "sampling: poisson", "noise: matrix has no theorem under sampling: poisson"),
    "a tree by Poisson sampling": (
        "{kind: tree}", "sampling: poisson", "Use sampling: cyclic-poisson, sampling: shuffle",
    ),
    "a new order each epoch": (
        "{kind: tree}", "sampling: shuffle, adjacency: zero_out", "noise: tree needs order: once",
    ),
    "the wrong neighbours": (
        "{kind: tree}", "sampling: shuffle, order: once", "is not known under adjacency: add_remove",
    ),
    "groups by a draw": (
        "{kind: banded, bands: 8}", f"{TURNS}, assignment: own", "known in groups by place alone",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_has_a_sentence(name: str) -> None:
    noise, drawn, sentence = MISTAKES[name]
    with pytest.raises(RecipeError) as raised:
        recipe.parse(text(noise, drawn))
    assert sentence in str(raised.value) and len(raised.value.problems) == 1, str(raised.value)


@pytest.mark.parametrize("name", NO_THEOREM)
def test_what_has_no_theorem_is_refused_where_something_would_be_claimed(name: str, tmp_path: Path) -> None:
    """It is a recipe all the same: `dpplan train --unaccounted` runs it."""
    noise, drawn, sentence = NO_THEOREM[name]
    if noise == FROM_FILE:
        read = recipe.load(written(tmp_path, np.tri(6) - np.tri(6, k=-3), noise, drawn))
    else:
        read = recipe.parse(text(noise, drawn))
    for ask in (read.plan, read.claim):
        with pytest.raises(NotApplicable) as raised:
            ask(1437)
        assert sentence in str(raised.value) and str(raised.value).startswith("privacy.noise: ")
    claim = read.unaccounted_claim(1437)
    assert claim.epsilon is None and sentence in claim.unaccounted
    with pytest.raises(NotCertified):  # the accountant has no theorem either, whoever asks it
        accounting.epsilon(claim.plan, 1e-5)


def test_more_bands_than_steps_are_refused_where_the_steps_are_known() -> None:
    with pytest.raises(RecipeError, match=r"privacy.noise.bands=101 exceeds training.steps=100"):
        recipe.parse(text("{kind: banded, bands: 101}")).plan(1437)
    with pytest.raises(RecipeError, match=r"privacy.noise.bands=16 exceeds training.steps=15"):
        recipe.parse(text("{kind: banded, bands: 16}", training="epochs: 1")).plan(1437)


@pytest.mark.slow  # a search for the steps, each of which is a lattice
def test_a_budget_may_end_a_run_before_its_bands_do() -> None:
    cut = recipe.parse(
        text("{kind: banded, bands: 60}").replace("noise_multiplier: 4", "noise_multiplier: 4, max_epsilon: 1.2")
    )
    claim = cut.claim(1437)
    assert claim.epsilon.upper is not None and claim.epsilon.upper <= 1.2 and claim.phase.steps < 60


def test_the_systems_generator_cannot_draw_noise_once_more() -> None:
    secure = "device: cpu, secure_noise: on"
    with pytest.raises(
        RecipeError, match=r"runtime.secure_noise with privacy.noise: tree: .* Set checkpoint_every: off"
    ):
        recipe.parse(text("{kind: tree}", runtime=secure))
    assert recipe.parse(text("{kind: tree}", runtime=f"{secure}, checkpoint_every: off"))
    assert not list(noise_block.unkept(Correlation("tree"), False, 250))


@pytest.mark.parametrize("noise", ["{kind: tree}", "{kind: banded, bands: 9}"])
def test_turns_that_share_noise_are_known_from_above(noise: str) -> None:
    claim = recipe.parse(text(noise, TURNS)).claim(1437)
    once = recipe.parse(text(noise, TURNS.replace("cyclic-poisson, groups: 8", "shuffle, order: once"))).claim(1437)
    assert claim.epsilon.upper is not None and claim.epsilon.lower == 0.0
    assert claim.phase.sampling.kind == "cyclic-poisson" and once.epsilon.upper is not None


def test_of_two_strategies_of_one_name_it_is_told_what_differs() -> None:
    noise = {"kind": "matrix", "strategy": "C.npy", "sha256": "ab"}
    said = "privacy.noise.sha256 is ab in the file and cd in the report"
    assert recorded._differs("privacy.noise", noise, {**noise, "sha256": "cd"}) == said
    assert recorded._differs("privacy.noise", noise, None).endswith("and not given in the report")
