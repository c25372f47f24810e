"""The Poisson sampler against the definition: independent membership, binomial sizes, no truncation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dpplan.errors import NotApplicable
from dpplan.sampling import Poisson, RandomAllocation
from dpplan.train.step.sampler import PoissonSampler, sampler_for

FALSE_ALARM = 1e-6  # each seeded test below would fail a right sampler for one seed in a million


def sampler(rate: float, examples: int, seed: int = 0) -> PoissonSampler:
    return PoissonSampler(Poisson(rate), examples, np.random.default_rng(seed))


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(("rate", "examples"), [(0.01, 1000), (0.1, 40), (0.5, 30), (0.9, 20), (1e-4, 20_000)])
@pytest.mark.parametrize("draws", [8_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_batch_sizes_are_binomial(rate: float, examples: int, draws: int) -> None:
    poisson = sampler(rate, examples)
    sizes = np.bincount([len(poisson.draw()) for _ in range(draws)], minlength=examples + 1)
    expected = draws * stats.binom.pmf(np.arange(examples + 1), examples, rate)
    common = expected >= 10  # the rest goes into one bin, so that chi-square applies
    seen = np.append(sizes[common], sizes[~common].sum())
    wanted = np.append(expected[common], expected[~common].sum())
    keep = wanted > 1e-3
    statistic = ((seen - wanted)[keep] ** 2 / wanted[keep]).sum()
    assert stats.chi2.sf(statistic, keep.sum() - 1) > FALSE_ALARM


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("draws", [15_000, pytest.param(40_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("rate", [0.03, 0.3, 0.7])
def test_every_example_joins_alike_and_independently(rate: float, draws: int) -> None:
    examples = 12
    poisson = sampler(rate, examples, seed=1)
    member = np.zeros((draws, examples))
    for row in member:
        row[poisson.draw()] = 1
    standard = (member - rate) / np.sqrt(rate * (1 - rate))
    # Means and pairwise products of independent members are each close to N(0, 1/draws).
    means = standard.mean(0) * np.sqrt(draws)
    products = (standard.T @ standard)[np.triu_indices(examples, 1)] / np.sqrt(draws)
    tests = len(means) + len(products)
    limit = stats.norm.isf(FALSE_ALARM / (2 * tests))
    assert np.abs(means).max() < limit
    assert np.abs(products).max() < limit


def test_batches_are_independent_of_each_other() -> None:
    poisson = sampler(0.2, 50, seed=2)
    sizes = np.array([len(poisson.draw()) for _ in range(20_000)])
    assert abs(stats.pearsonr(sizes[:-1], sizes[1:]).statistic) * np.sqrt(len(sizes)) < stats.norm.isf(FALSE_ALARM)


@given(st.floats(1e-12, 1.0), st.integers(1, 3000), st.integers(0, 100))
def test_a_batch_is_distinct_and_within_the_data(rate: float, examples: int, seed: int) -> None:
    drawn = sampler(rate, examples, seed).draw()
    assert drawn.dtype == np.int64
    assert len(np.unique(drawn)) == len(drawn)
    assert np.all((drawn >= 0) & (drawn < examples))


def test_rate_one_draws_everything_every_time() -> None:
    full = sampler(1.0, 100)
    for _ in range(3):
        assert np.array_equal(np.sort(full.draw()), np.arange(100))


def test_a_batch_stands_in_random_order() -> None:
    """The margin for round-off rests on it: every example is equally likely in every place."""
    full = sampler(1.0, 10)
    seen = np.zeros((10, 10))
    for _ in range(20_000):
        seen[np.arange(10), full.draw()] += 1
    statistic = ((seen - 2000) ** 2 / 2000).sum()
    assert stats.chi2.sf(statistic, 81) > FALSE_ALARM


def test_batches_may_be_empty() -> None:
    assert sum(len(sampler(1e-6, 100, seed).draw()) == 0 for seed in range(50)) >= 49


def test_huge_data_and_tiny_rates_do_not_overflow() -> None:
    drawn = sampler(1e-16, 10**18).draw()  # gaps near 10^16, expected batch 100
    assert 50 < len(np.unique(drawn)) == len(drawn) < 150
    assert np.all((drawn >= 0) & (drawn < 10**18))
    assert len(sampler(1e-300, 10**18).draw()) == 0


def test_the_denominator_is_public_and_never_the_drawn_size() -> None:
    poisson = sampler(0.25, 100)
    assert {poisson.expected_batch for _ in range(10) if len(poisson.draw()) != 25} == {25.0}


def test_a_seed_repeats_the_batches_and_no_seed_does_not() -> None:
    assert np.array_equal(sampler(0.1, 1000, seed=5).draw(), sampler(0.1, 1000, seed=5).draw())
    unseeded = [PoissonSampler(Poisson(0.1), 1000, np.random.default_rng()).draw() for _ in range(2)]
    assert not np.array_equal(*unseeded)


def test_only_schemes_that_can_be_accounted_have_a_sampler() -> None:
    scheme = Poisson(0.1)
    made = sampler_for(scheme, 10, np.random.default_rng(0))
    assert isinstance(made, PoissonSampler)
    assert made.sampling is scheme
    with pytest.raises(NotApplicable, match="no sampler draws batches by sampling=random-allocation"):
        sampler_for(RandomAllocation(10, 2), 10, np.random.default_rng(0))
