"""The noise: block of a recipe: what it reads, the plan it makes, and a sentence for each mistake."""

import pytest

from dpplan import recipe, solve
from dpplan.adjacency import ZERO_OUT
from dpplan.errors import RecipeError
from dpplan.mechanism import Correlation, Gaussian, ToeplitzNoise, TreeAggregation
from dpplan.plan import Settings
from dpplan.recipe import noise_block
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


MISTAKES = {
    "no bands": ("{kind: banded}", ORDER, "noise.bands is missing: kind: banded needs how many steps a noise lasts"),
    "bands 0": ("{kind: banded, bands: 0}", ORDER, "noise.bands=0 is not a whole number of at least 1"),
    "bands 2.5": ("{kind: banded, bands: 2.5}", ORDER, "noise.bands=2.5 is not a whole number"),
    "bands in words": ("{kind: banded, bands: many}", ORDER, "noise has a bands that is not a number"),
    "far too many bands": ("{kind: banded, bands: 1e6}", ORDER, "noise.bands=1000000 is more than 100000"),
    "another kind": ("{kind: bandit, bands: 8}", ORDER, "noise.kind=bandit is not one of: banded, tree. Did you mean"),
    "independent": ("{kind: gaussian}", ORDER, "noise.kind=gaussian is what noise is without this block. Remove it"),
    "no kind": ("{bands: 8}", ORDER, "noise does not say its kind: banded or tree"),
    "another key": ("{kind: banded, band: 8}", ORDER, "noise has no key band. Did you mean 'bands'?"),
    "a key twice": ("{kind: banded, bands: 8, bands: 9}", ORDER, "noise names bands twice"),
    "a word": ("tree", ORDER, "noise=tree is not a block. Write noise: {kind: banded, bands: 8}"),
    "a tree with bands": ("{kind: tree, bands: 8}", ORDER, "noise.bands has no meaning for kind: tree"),
    "Poisson sampling": (
        "{kind: banded, bands: 8}", "sampling: poisson", "noise: banded has no theorem under sampling: poisson",
    ),
    "a new order each epoch": (
        "{kind: tree}", "sampling: shuffle, adjacency: zero_out", "noise: tree needs order: once",
    ),
    "the wrong neighbours": (
        "{kind: tree}", "sampling: shuffle, order: once", "is not known under adjacency: add_remove",
    ),
    "more bands than groups": (
        "{kind: banded, bands: 9}", TURNS, "noise.bands=9 exceeds groups=8: the turns of an example would share noise",
    ),
    "a tree by turns": ("{kind: tree}", TURNS, "noise: tree has no theorem under sampling: cyclic-poisson"),
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
