"""The noise: its scale, its law, and that it is drawn exactly once per step."""

import numpy as np
import pytest
import torch
from scipy import stats

from dpplan.mechanism import Gaussian
from dpplan.train.clipping import BatchFacts, ClippedSum
from dpplan.train.step.box_muller import CompiledNormals, add_normals, add_normals_there
from dpplan.train.step.noise import GaussianNoise

FALSE_ALARM = 1e-6  # a right generator would fail one seed in a million


def zeros(size: int, sensitivity: float) -> ClippedSum:
    return ClippedSum(torch.zeros(size, dtype=torch.float64), sensitivity, BatchFacts.none())


def noise(sigma: float, seed: int = 0) -> GaussianNoise:
    return GaussianNoise(Gaussian(sigma), np.random.default_rng(seed))


@pytest.mark.parametrize(("sigma", "clip_norm"), [(1.1, 1.0), (0.5, 4.0), (20.0, 0.01)])
def test_the_standard_deviation_is_sigma_times_clip_norm(sigma: float, clip_norm: float) -> None:
    drawn = noise(sigma).add(zeros(200_000, clip_norm)).numpy() / (sigma * clip_norm)
    statistic = (drawn**2).sum()  # chi-square with 200,000 degrees of freedom
    tail = min(stats.chi2.sf(statistic, drawn.size), stats.chi2.cdf(statistic, drawn.size))
    assert tail > FALSE_ALARM / 2


def test_the_law_is_normal() -> None:
    drawn = noise(1.0, seed=1).add(zeros(200_000, 1.0)).numpy()
    assert stats.kstest(drawn, "norm").pvalue > FALSE_ALARM


def test_coordinates_and_steps_are_independent() -> None:
    source = noise(1.0, seed=2)
    first, second = (source.add(zeros(100_000, 1.0)).numpy() for _ in range(2))
    limit = stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(100_000)
    assert abs(first @ second) < limit
    assert abs(first[1:] @ first[:-1]) < limit


def test_the_noise_is_added_to_the_sum() -> None:
    total = torch.arange(5, dtype=torch.float64)
    noisy = noise(1.0).add(ClippedSum(total, 2.0, BatchFacts.none()))
    alone = noise(1.0).add(zeros(5, 2.0))
    assert torch.equal(noisy, total + alone)
    assert noisy.dtype == torch.float64


def test_the_scale_is_read_from_the_sum_and_the_mechanism() -> None:
    mechanism = Gaussian(1.5)
    source = GaussianNoise(mechanism, np.random.default_rng(0))
    assert source.mechanism is mechanism
    assert source.standard_deviation(zeros(1, 4.0)) == 6.0


def test_a_seed_keeps_more_than_its_lowest_32_bits() -> None:
    """torch's generator for the CPU drops the rest, which is why the noise does not come from it."""
    drawn = [noise(1.0, seed).add(zeros(20, 1.0)) for seed in (7, 7 + 2**32)]
    assert not torch.equal(*drawn)


def test_normals_made_in_pairs_are_independent_within_the_pair_and_in_their_squares() -> None:
    drawn = add_normals(torch.zeros(200_001, dtype=torch.float64), 1.0, np.random.default_rng(3)).numpy()
    first, second = drawn[:100_000], drawn[100_001:]
    limit = stats.norm.isf(FALSE_ALARM / 4) * np.sqrt(100_000)
    assert drawn.shape == (200_001,)
    assert abs(first @ second) < limit
    assert abs((first**2 - 1) @ (second**2 - 1)) < 2 * limit


def test_a_generator_of_the_device_draws_normals_too_and_others_each_time() -> None:
    rng, total = np.random.default_rng(4), torch.arange(200_000, dtype=torch.float64)
    first, second = ((add_normals_there(total, 3.0, rng) - total).numpy() / 3.0 for _ in range(2))
    assert stats.kstest(first, "norm").pvalue > FALSE_ALARM
    assert abs(first @ second) < stats.norm.isf(FALSE_ALARM / 2) * np.sqrt(200_000)


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 2, 1001])
def test_compiled_normals_are_those_of_the_same_uniform_numbers(size: int) -> None:
    total, made = torch.arange(size, dtype=torch.float64), CompiledNormals()
    mine, theirs = np.random.default_rng(5), np.random.default_rng(5)
    for deviation in (1.0, 0.25):  # the second time with other numbers, through the same graph
        assert torch.allclose(made(total, deviation, mine), add_normals(total, deviation, theirs), rtol=1e-12)


def test_the_ends_of_the_uniform_numbers_give_finite_normals() -> None:
    class Ends:
        def random(self, size: int) -> np.ndarray:
            return np.resize([0.0, 1 - 2.0**-53], size)

    drawn = add_normals(torch.zeros(4, dtype=torch.float64), 1.0, Ends())
    assert bool(drawn.isfinite().all())
    assert float(drawn.abs().max()) == pytest.approx(np.sqrt(2 * 53 * np.log(2)))
