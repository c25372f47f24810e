"""Data: fixed splits, public preprocessing, sets made on the spot."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dpplan.errors import RecipeError
from dpplan.recipe import Data, schema
from dpplan.train import data


def test_digits_are_split_alike_every_time_and_by_public_constants() -> None:
    first, second = data.load(Data(source="digits")), data.load(Data(source="digits"))
    assert (first.training.examples, first.held_out.examples, first.classes) == (1437, 360, 10)
    assert torch.equal(first.training.inputs, second.training.inputs)
    assert first.training.inputs.dtype == torch.float32
    whole = torch.cat([first.training.inputs, first.held_out.inputs])
    assert (float(whole.min()), float(whole.max())) == (0.0, 1.0)
    assert torch.equal(whole * 16, (whole * 16).round())


def test_another_split_seed_is_another_split() -> None:
    first, second = (data.load(Data(source="digits", split_seed=seed)) for seed in (0, 1))
    assert not torch.equal(first.held_out.inputs, second.held_out.inputs)


def test_a_split_that_leaves_nothing_to_train_on_is_refused() -> None:
    with pytest.raises(RecipeError, match="leaves none of the 1797 examples"):
        data.load(Data(source="digits", held_out=0.9999))


def test_every_word_that_a_recipe_may_use_is_known_here() -> None:
    assert set(data.SOURCES) == set(schema.SOURCES)


@pytest.mark.parametrize("source", ["blobs", "linear", "names"])
def test_made_up_sets_are_the_same_every_time_and_as_large_as_asked(source: str) -> None:
    first, second = (data.load(Data(source=source, examples=500)) for _ in range(2))
    assert torch.equal(first.training.inputs, second.training.inputs)
    assert first.training.examples + first.held_out.examples == 500
    assert set(first.training.targets.tolist()) == set(range(first.classes))
    default = data.load(Data(source=source))
    assert default.training.examples + default.held_out.examples == 2000


def test_breast_cancer_is_divided_by_published_maxima() -> None:
    made = data.load(Data(source="breast-cancer"))
    whole = torch.cat([made.training.inputs, made.held_out.inputs])
    assert tuple(whole.shape) == (569, 30)
    assert bool((whole.max(0).values <= 1.02).all())  # the published ones are rounded
    assert bool((whole.max(0).values >= 0.98).all())


def test_inputs_are_scaled_by_constants_of_the_recipe() -> None:
    plain, moved = data.load(Data(source="digits")), data.load(Data(source="digits", shift=0.5, scale=0.25))
    assert torch.allclose(moved.training.inputs, (plain.training.inputs - 0.5) / 0.25)
    assert torch.allclose(moved.held_out.inputs, (plain.held_out.inputs - 0.5) / 0.25)


def test_inputs_are_standardised_only_where_the_recipe_declares_it_public() -> None:
    made = data.load(Data(source="digits", standardize="public"))
    flat = made.training.inputs.flatten(1)
    assert torch.allclose(flat.mean(0), torch.zeros(64), atol=1e-5)
    varied = flat.std(0) > 0
    assert torch.allclose(flat.std(0)[varied], torch.ones(int(varied.sum())), atol=1e-3)
    assert not torch.allclose(made.held_out.inputs.flatten(1).mean(0), torch.zeros(64), atol=1e-2)  # not its own mean


def test_standardising_is_exact_far_from_zero_and_leaves_constant_columns_alone(tmp_path: Path) -> None:
    inputs = np.full((4000, 2), 0.1)
    inputs[:, 1] = 1000 + np.arange(4000) % 2  # a mean in float32 would be wrong by more than the deviation
    np.savez(tmp_path / "a.npz", inputs=inputs, targets=np.arange(4000) % 2)
    made = data.load(Data(source="file", path=str(tmp_path / "a.npz"), standardize="public"))
    assert torch.equal(made.training.inputs[:, 0], torch.zeros(3200))
    assert torch.allclose(made.training.inputs[:, 1].abs(), torch.ones(3200), atol=0.05)
    assert abs(float(made.training.inputs[:, 1].double().mean())) < 1e-4


@pytest.mark.parametrize("changes", [{"scale": 1e-40}, {"scale": 1e-44}, {"shift": -2.9e38, "scale": 0.5}])
def test_scaling_beyond_what_a_float32_can_hold_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(RecipeError, match=r"data\.scale=.* lead to numbers beyond float32"):
        data.load(Data(source="digits", **changes))


def test_a_path_is_refused_where_nothing_reads_it() -> None:
    for source in ("digits", "mine:load"):
        with pytest.raises(RecipeError, match=f"data.path has no meaning for source: {source}. Remove it."):
            Data(source=source, path="x")
