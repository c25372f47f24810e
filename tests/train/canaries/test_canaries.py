"""A run with canaries: sound, it is consistent; sabotaged, it is caught by audit, conformance or the isolation test.

Every line of `dpplan help audit` about a sabotage is one of the tests here.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from small_recipe import small
from torch import Tensor, nn

from dpplan import train
from dpplan.errors import RecipeError
from dpplan.train.canaries import Audited, Canaries, audited
from dpplan.train.canaries.model_with_canaries import LENGTH, WithCanaries
from dpplan.train.canaries.run import KINDS, Watched, place
from dpplan.train.clipping import ClippedSum, rules
from dpplan.train.step import noise as noise_module
from dpplan.train.step import sampler as sampler_module

FEW = Canaries(gradient=1500, mislabelled=20)
SIGMA = 5.66


@pytest.fixture(scope="module")
def planned() -> train.Planned:
    """40 steps on half of 359 images: ε ≤ 2.4, at which so many canaries have the power that is stated."""
    told = {"training_batch_size": 179.5, "training_steps": 40, "data_held_out": 0.8, "runtime_physical_batch": 2000}
    return train.plan(small(privacy_noise_multiplier=SIGMA, **told), seed=3)


def caught(found: Audited) -> set[str]:
    """Who says that something is wrong."""
    by_canaries = {"audit"} if any(each.violation for each in found.findings.values()) else set()
    return by_canaries | {each.name for each in found.measured if not each.agrees}


def test_a_sound_run_is_consistent_and_tells_much(planned: train.Planned, tmp_path: Any, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = audited(planned, FEW)
    assert caught(found) == set()
    assert not found.violation
    assert 0.25 * planned.claim.epsilon.value < found.white_box < planned.claim.epsilon.value
    assert found.black_box is not None
    assert found.black_box < found.white_box
    assert list(tmp_path.iterdir()) == []  # nothing is written, no model least of all


def test_an_audit_is_repeatable_by_its_seed(planned: train.Planned) -> None:
    one, other = (place(planned.dataset, FEW, np.random.default_rng(1)) for _ in range(2))
    assert torch.equal(one.rows.inputs, other.rows.inputs)
    assert (one.members == other.members).all()


def test_canaries_that_are_examples_are_of_three_kinds_and_none_is_two(planned: train.Planned) -> None:
    held = planned.dataset.held_out
    few = held.examples // 2 - 20
    placed = place(planned.dataset, Canaries(50, 20, random=30, natural=10_000), np.random.default_rng(1))
    assert {kind: each.examples.examples for kind, each in placed.whole.items()} == dict(
        zip(KINDS[2:], (20, 30, few), strict=True)
    )
    wrong, lots, natural = placed.whole.values()
    rows = [tuple(row) for row in held.inputs.flatten(1).tolist()]
    truth = dict(zip(rows, held.targets.tolist(), strict=True))
    for each, right in ((wrong, False), (natural, True)):
        labels = zip(each.examples.inputs.flatten(1).tolist(), each.examples.targets.tolist(), strict=True)
        assert all((truth[tuple(row)] == label) == right for row, label in labels)
    assert not {*map(tuple, wrong.examples.inputs.flatten(1).tolist())} & {
        *map(tuple, natural.examples.inputs.flatten(1).tolist())
    }
    assert lots.examples.inputs.shape[1:] == held.inputs.shape[1:]
    assert (lots.examples.inputs.min() >= held.inputs.min()) and (lots.examples.inputs.max() <= held.inputs.max())
    number = placed.rows.inputs[-few:, -1]
    assert (number[torch.from_numpy(natural.members)] == 0).all()  # in: an example like any other
    assert (number[torch.from_numpy(~natural.members)] == 51).all()  # out: no gradient


def test_random_and_natural_canaries_are_judged_by_the_same_plan(planned: train.Planned) -> None:
    found = audited(planned, Canaries(50, 0, random=40, natural=40))
    assert set(found.findings) == {*KINDS[:2], *KINDS[3:]}
    assert found.black_box is not None
    assert caught(found) == set()


def test_each_canary_has_one_coordinate_and_those_left_out_none() -> None:
    body = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    model = WithCanaries(body, (2, 2), 3, 5, clip_norm=2.0)
    rows = torch.zeros(4, 5)
    rows[0, :4], rows[:, 4] = 1.0, torch.tensor([0.0, 2.0, 5.0, 6.0])
    for row, moved in zip(rows, (None, 2, 5, None), strict=True):
        model.zero_grad()
        nn.functional.cross_entropy(model(row[None]), torch.tensor([1])).backward()
        gradient = model.canaries.weight.grad
        assert gradient is not None
        where = gradient.flatten().nonzero().flatten().tolist()
        assert where == ([] if moved is None else [moved])
        if moved is not None:
            assert float(gradient[moved, 0]) == pytest.approx(LENGTH * 2.0)
        of_body = sum(float(p.grad.abs().sum()) for p in body.parameters() if p.grad is not None)
        assert (of_body > 0) == (float(row[4]) == 0)


def test_words_have_no_gradient_canaries(planned: train.Planned) -> None:
    recipe = small(data_source="names", model_kind="lstm", model_hidden=(4,))
    with pytest.raises(RecipeError, match="trains on words"):
        audited(train.plan(recipe, seed=0), FEW)


Sabotage = Callable[[pytest.MonkeyPatch], None]


def noise_halved(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        noise_module.GaussianNoise, "standard_deviation", lambda self, clipped: 0.5 * SIGMA * clipped.sensitivity
    )


def noise_on_the_mean(patch: pytest.MonkeyPatch) -> None:
    def small_noise(self: Any, clipped: ClippedSum) -> float:
        return float(SIGMA * clipped.sensitivity / max(clipped.facts.drawn, 1))

    patch.setattr(noise_module.GaussianNoise, "standard_deviation", small_noise)


def no_clipping(patch: pytest.MonkeyPatch) -> None:
    """From the first step on: before it, the trial of the arithmetic would refuse the run."""
    running: list[bool] = []
    inner, watch = rules.Flat.weights, Watched.watch

    def weights(self: rules.Flat, norms: Tensor, squares: Tensor) -> Tensor:
        return torch.ones_like(norms)[None] if running else inner(self, norms, squares)

    def started(self: Watched, model: WithCanaries, first: int) -> None:
        running.append(True)
        watch(self, model, first)

    patch.setattr(rules.Flat, "weights", weights)
    patch.setattr(Watched, "watch", started)


def clipping_the_mean(patch: pytest.MonkeyPatch) -> None:
    """The mean gradient is clipped in place of the examples'."""
    no_clipping(patch)
    inner = Watched._clipped_sum

    def whole(self: Watched, drawn: Tensor) -> ClippedSum:
        raw = inner(self, drawn)
        share = min(1.0, float(raw.sensitivity * max(len(drawn), 1) / raw.total.norm()))
        return ClippedSum(raw.total * share, raw.sensitivity, raw.facts)

    patch.setattr(Watched, "_clipped_sum", whole)


def noise_reused(patch: pytest.MonkeyPatch) -> None:
    first: list[Tensor] = []
    inner = noise_module.GaussianNoise.add

    def again(self: Any, clipped: ClippedSum) -> Tensor:
        if not first:
            first.append(inner(self, clipped) - clipped.total)
        return clipped.total + first[0]

    patch.setattr(noise_module.GaussianNoise, "add", again)


def noise_shared_by_parts(patch: pytest.MonkeyPatch) -> None:
    """As by two processes that each keep half of the parameters, and draw from one seed."""
    inner = noise_module.GaussianNoise.add

    def shared(self: Any, clipped: ClippedSum) -> Tensor:
        added = inner(self, clipped) - clipped.total
        half = len(added) // 2
        added[half : 2 * half] = added[:half]
        return clipped.total + added

    patch.setattr(noise_module.GaussianNoise, "add", shared)


def denominator_of_the_draw(patch: pytest.MonkeyPatch) -> None:
    sizes = [1.0]
    inner = sampler_module.PoissonSampler.draw

    def draw(self: Any) -> Any:
        drawn = inner(self)
        sizes[0] = float(len(drawn))
        return drawn

    patch.setattr(sampler_module.PoissonSampler, "draw", draw)
    patch.setattr(sampler_module.PoissonSampler, "expected_batch", property(lambda self: sizes[0]))


def filled_with_repeats(patch: pytest.MonkeyPatch) -> None:
    inner = sampler_module.PoissonSampler.draw

    def draw(self: Any) -> Any:
        drawn = inner(self)
        return np.concatenate([drawn, drawn[: 2 * len(drawn) // 3]])

    patch.setattr(sampler_module.PoissonSampler, "draw", draw)


def extra_steps(patch: pytest.MonkeyPatch) -> None:
    """Four releases where one is counted."""
    inner = Watched.step

    def more(self: Watched) -> Any:
        for _ in range(3):
            inner(self)
        return inner(self)

    patch.setattr(Watched, "step", more)


def one_extra_step(patch: pytest.MonkeyPatch) -> None:
    """In the whole run, and counted nowhere."""
    inner, taken = Watched.step, [0]

    def more(self: Watched) -> Any:
        taken[0] += 1
        if taken[0] == 17:
            inner(self)
        return inner(self)

    patch.setattr(Watched, "step", more)


def an_extra_step_at_each(patch: pytest.MonkeyPatch) -> None:
    inner = Watched.step

    def more(self: Watched) -> Any:
        inner(self)
        return inner(self)

    patch.setattr(Watched, "step", more)


def an_extra_release(patch: pytest.MonkeyPatch) -> None:
    """Of a sum that was released before, with new noise, and not used."""
    inner, first = Watched._released, [True]

    def more(self: Watched, clipped: ClippedSum) -> Tensor:
        if first:
            first.clear()
            inner(self, clipped)
        return inner(self, clipped)

    patch.setattr(Watched, "_released", more)


def shuffled(patch: pytest.MonkeyPatch) -> None:
    """Batches of one size, in turn through a shuffled data set."""

    def draw(self: Any) -> Any:
        return self.rng.permutation(self.examples)[: round(self.sampling.expected_batch(self.examples))]

    patch.setattr(sampler_module.PoissonSampler, "draw", draw)


def slow(*case: Any) -> Any:
    """What another case, of the same check, is caught by as well."""
    return pytest.param(*case, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("sabotage", "by"),
    [
        (noise_halved, {"noise"}),
        slow(noise_on_the_mean, {"audit", "noise"}),
        (no_clipping, {"audit"}),
        slow(clipping_the_mean, {"audit"}),
        (noise_reused, {"audit", "noise pattern"}),
        slow(noise_shared_by_parts, {"noise pattern"}),
        (denominator_of_the_draw, {"denominator"}),
        slow(filled_with_repeats, {"batch sizes"}),
        (extra_steps, {"audit", "steps"}),
        (one_extra_step, {"steps"}),
        slow(an_extra_step_at_each, {"steps"}),
        slow(an_extra_release, {"steps"}),
        (shuffled, {"batch sizes"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_sabotage_is_caught(
    sabotage: Sabotage, by: set[str], planned: train.Planned, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage(monkeypatch)
    found = audited(planned, FEW)
    assert caught(found) >= by
    assert found.violation


def test_batch_statistics_do_not_get_as_far_as_a_run(planned: train.Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    def normed(*_: Any) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64), nn.Linear(64, 10))

    monkeypatch.setattr(train.canaries.run.models, "build", normed)
    with pytest.raises(RecipeError, match="normalises each example by the others"):
        audited(planned, FEW)


@pytest.mark.slow
def test_the_reference_audit_reaches_two_fifths_of_the_truth() -> None:
    from pathlib import Path

    from dpplan import recipe

    read = recipe.load(Path(__file__).parents[3] / "recipes" / "audit-digits.yaml")
    for seed in range(3):
        plan = train.plan(read, seed=seed)
        found = audited(plan, Canaries())
        assert not found.violation
        assert 0.4 <= found.white_box / plan.claim.epsilon.value <= 1
        assert KINDS[2] in found.findings


@pytest.mark.slow
def test_real_runs_raise_no_more_false_alarms_than_stated(planned: train.Planned) -> None:
    """300 sound runs with fresh randomness, of which 5 % may be called broken."""
    import dataclasses

    unseeded = dataclasses.replace(planned, seed=None)
    alarms = sum(audited(unseeded, Canaries(100, 20)).violation for _ in range(300))
    assert alarms <= 15
