"""Samplers of schemes other than Poisson against their definitions, and at the cost of what they draw."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from dpplan.errors import NotApplicable
from dpplan.sampling import BallsInBins, CyclicPoisson, FixedSize, Poisson, Sampling, Shuffle, TruncatedPoisson
from dpplan.train.step.sampler import Sampler, begins_anew, drawn_by_coins, resume_refusal, sampler_for

FALSE_ALARM = 1e-6
SCHEMES: tuple[tuple[Sampling, int], ...] = (
    (Poisson(0.3), 12),
    (Poisson(1.0), 12),
    (TruncatedPoisson(0.5, 4, 12), 12),
    (FixedSize(5, 12), 12),
    (BallsInBins(4), 12),
    (BallsInBins(4, "same"), 12),
    (Shuffle(5, "fresh"), 12),
    (Shuffle(5, "once"), 12),
    (CyclicPoisson(0.5, 3, "place"), 12),
    (CyclicPoisson(0.5, 3, "own"), 12),
)


def made(scheme: Sampling, examples: int, seed: int = 0) -> Sampler:
    return sampler_for(scheme, examples, np.random.default_rng(seed))


def uniform(counts: Any) -> bool:
    """Whether counts of equally likely things may be that."""
    return bool(stats.chisquare(counts).pvalue > FALSE_ALARM)


def subsets(batches: list[Any]) -> dict[tuple[int, ...], int]:
    found: dict[tuple[int, ...], int] = {}
    for batch in batches:
        key = tuple(sorted(batch.tolist()))
        found[key] = found.get(key, 0) + 1
    return found


@pytest.mark.parametrize(("scheme", "examples"), SCHEMES)
def test_batches_are_distinct_and_their_order_is_random(scheme: Sampling, examples: int) -> None:
    sampler, first = made(scheme, examples), 0
    for _ in range(600):
        drawn = sampler.draw()
        assert drawn.dtype == np.int64
        assert len(np.unique(drawn)) == len(drawn)
        assert np.all((drawn >= 0) & (drawn < examples))
        first += len(drawn) > 1 and drawn[0] == drawn.min()
    assert first < 500  # the least would come first in every step of a sorted batch


@pytest.mark.parametrize("runs", [100, pytest.param(300, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("scheme", "examples"), SCHEMES)
def test_sizes_have_the_expected_batch_for_their_mean(scheme: Sampling, examples: int, runs: int) -> None:
    sizes = []
    for seed in range(runs):  # runs: what is kept in one is one draw
        sampler = made(scheme, examples, seed)
        sizes.append(np.mean([len(sampler.draw()) for _ in range(60)]))
    error = np.std(sizes) / np.sqrt(len(sizes))
    assert abs(np.mean(sizes) - sampler.expected_batch) <= 5 * error + 1e-9


def test_every_subset_of_a_fixed_size_is_as_likely() -> None:
    sampler = made(FixedSize(2, 5), 5)
    found = subsets([sampler.draw() for _ in range(10_000)])
    assert len(found) == 10 and uniform(list(found.values()))


def test_a_cut_batch_is_a_uniform_subset_and_the_size_is_that_of_the_law() -> None:
    scheme = TruncatedPoisson(0.5, 2, 5)
    sampler = made(scheme, 5)
    batches = [sampler.draw() for _ in range(20_000)]
    found = subsets([batch for batch in batches if len(batch) == 2])
    assert len(found) == 10 and uniform(list(found.values()))
    law = [stats.binom.pmf(0, 5, 0.5), stats.binom.pmf(1, 5, 0.5), stats.binom.sf(1, 5, 0.5)]
    seen = np.bincount([len(batch) for batch in batches], minlength=3)
    assert len(seen) == 3
    assert stats.chisquare(seen, np.array(law) * len(batches)).pvalue > FALSE_ALARM


def test_in_bins_each_example_joins_one_step_of_each_epoch_all_alike_and_each_for_itself() -> None:
    sampler, joint = made(BallsInBins(3), 2), np.zeros((3, 3))
    for _ in range(9_000):
        bins = np.full(2, -1)
        for place in range(3):
            bins[sampler.draw()] = place
        assert (bins >= 0).all()
        joint[bins[0], bins[1]] += 1
    assert uniform(joint.ravel())


def test_fresh_bins_do_not_depend_on_those_before_and_same_bins_stay() -> None:
    fresh, pairs = made(BallsInBins(3), 1), np.zeros((3, 3))
    bins = [
        next(place for place, size in enumerate([len(fresh.draw()) for _ in range(3)]) if size) for _ in range(9000)
    ]
    np.add.at(pairs, (bins[:-1:2], bins[1::2]), 1)
    assert uniform(pairs.ravel())
    for scheme in (BallsInBins(4, "same"), Shuffle(4, "once")):
        same = made(scheme, 30)
        epochs = [[set(same.draw().tolist()) for _ in range(4)] for _ in range(3)]
        assert epochs[0] == epochs[1] == epochs[2]
    one = [
        tuple(len(s.draw()) for _ in range(3)).index(1)
        for s in (made(BallsInBins(3, "same"), 1, k) for k in range(900))
    ]
    assert uniform(np.bincount(one))


def test_shuffled_data_are_cut_by_place_and_every_order_is_as_likely() -> None:
    sampler = made(Shuffle(3, "fresh"), 4)
    firsts = []
    for _ in range(6000):
        epoch = [sampler.draw() for _ in range(3)]
        assert [len(batch) for batch in epoch] == [1, 1, 2]
        assert sorted(np.concatenate(epoch).tolist()) == [0, 1, 2, 3]
        firsts.append(int(epoch[0][0]) * 4 + int(epoch[1][0]))
    counts = np.bincount(firsts, minlength=16)
    assert uniform(counts[counts > 0]) and (counts > 0).sum() == 12


def test_groups_take_turns_and_draw_by_coins() -> None:
    place = made(CyclicPoisson(0.5, 3, "place"), 6)
    joined = np.zeros(6)
    for step in range(9000):
        drawn = place.draw()
        assert (drawn % 3 == step % 3).all()
        joined[drawn] += 1
    assert all(stats.binomtest(int(count), 3000, 0.5).pvalue > FALSE_ALARM for count in joined)
    turns = []
    for seed in range(900):
        own = made(CyclicPoisson(1.0, 3, "own"), 1, seed)
        sizes = [len(own.draw()) for _ in range(6)]
        assert sizes[:3] == sizes[3:] and sum(sizes) == 2
        turns.append(sizes.index(1))
    assert uniform(np.bincount(turns))


@pytest.mark.parametrize(("scheme", "examples"), SCHEMES)
def test_a_state_gives_the_same_batches(scheme: Sampling, examples: int) -> None:
    for before in (0, 1, 4, 7):
        rng = np.random.default_rng(3)
        sampler = sampler_for(scheme, examples, rng)
        for _ in range(before):
            sampler.draw()
        state, generator = sampler.state(), rng.bit_generator.state
        after = [sampler.draw().tolist() for _ in range(11)]
        other = np.random.default_rng(99)
        again = sampler_for(scheme, examples, other)
        other.bit_generator.state = generator
        again.restore(state)
        assert [again.draw().tolist() for _ in range(11)] == after


class CountingGenerator:
    """Counts the numbers that are drawn from a generator, whichever way."""

    def __init__(self) -> None:
        self.rng, self.numbers = np.random.default_rng(0), 0

    def geometric(self, rate: float, size: int) -> Any:
        self.numbers += size
        return self.rng.geometric(rate, size)

    def permutation(self, members: Any) -> Any:
        self.numbers += members if isinstance(members, int) else len(members)
        return self.rng.permutation(members)


@pytest.mark.parametrize("examples", [10**6, 10**9, 10**12])
def test_a_poisson_batch_costs_its_size_and_not_that_of_the_data(examples: int) -> None:
    rng: Any = CountingGenerator()
    batches = [drawn_by_coins(rng, 100 / examples, examples) for _ in range(50)]
    assert rng.numbers < 50 * 300  # gaps for 100 and a margin, and their order
    assert 80 < np.mean([len(batch) for batch in batches]) < 120
    assert max(int(batch.max()) for batch in batches) > 0.9 * examples


def test_what_cannot_be_shared_or_does_not_fit_is_refused() -> None:
    rng = np.random.default_rng(0)
    for scheme, examples in SCHEMES[2:]:
        with pytest.raises(NotApplicable, match="draws from all"):
            sampler_for(scheme, examples, rng, held=6)
    with pytest.raises(NotApplicable, match="draws from 12 examples, and there are 13"):
        sampler_for(FixedSize(5, 12), 13, rng)
    assert [begins_anew(scheme) for scheme, _ in SCHEMES] == [True] * 4 + [False] * 6
    assert resume_refusal(BallsInBins(4)).startswith("sampling=balls-in-bins decides for several steps")
