"""Correlated noise: its covariance against matrices, its memory, and what was added drawn once more bit by bit."""

from typing import Any

import numpy as np
import pytest
import torch

from dpplan.accounting.pairs import participation_sensitivity
from dpplan.errors import NotApplicable
from dpplan.mechanism import BufferedNoise, Gaussian, ToeplitzNoise, TreeAggregation
from dpplan.plan import Phase
from dpplan.sampling import Shuffle
from dpplan.train.clipping import BatchFacts, ClippedSum
from dpplan.train.step.correlated_noise import BandedMemory, CorrelatedNoise, TreeMemory, memory_of
from dpplan.train.strategy_rows import StrategyRows

KEY, OTHER = "0" * 31 + "1", "0" * 31 + "2"
SCHEME = Shuffle(4, "once")


def phase(kind: str, steps: int = 13, bands: int = 4) -> Phase:
    mechanism = TreeAggregation(2.0) if kind == "tree" else ToeplitzNoise(2.0, bands=bands)
    return Phase(mechanism, SCHEME, steps)


def made_of(memory: Any, steps: int) -> np.ndarray:
    """Row t: what w_t takes of each z. Coordinate s of the vectors follows a run in which only z_s is not zero."""
    return np.array([memory.next(torch.eye(steps, dtype=torch.float64)[t].clone()).numpy() for t in range(steps)])


@pytest.mark.parametrize("bands", [1, 2, 4, 13])
def test_banded_noise_is_the_inverse_of_its_strategy(bands: int) -> None:
    column = participation_sensitivity.square_root_coefficients(bands)
    strategy = np.array([[column[i - j] if 0 <= i - j < bands else 0.0 for j in range(13)] for i in range(13)])
    found = made_of(BandedMemory(StrategyRows(column)), 13)
    assert np.allclose(strategy @ found, np.eye(13), atol=1e-14)


def blocks(steps: int) -> np.ndarray:
    """A row for each complete block of 2^j steps, in the order in which they are complete."""
    rows = []
    for end in range(1, steps + 1):
        size = 1
        while end % size == 0:
            rows.append([1.0 if end - size <= t < end else 0.0 for t in range(steps)])
            size *= 2
    return np.array(rows)


@pytest.mark.parametrize("steps", [1, 2, 7, 8, 13, 32])
def test_the_noise_of_a_tree_is_that_of_the_best_estimates_from_what_is_complete(steps: int) -> None:
    """Oracle: of the noisy sums over all complete blocks, each root's estimate by least squares from below it, which is
    that of the blocks within it, since blocks of other roots say nothing of it."""
    found = np.cumsum(made_of(TreeMemory(), steps), axis=0)  # row t: the noise of the sum of steps 0 to t
    rows = blocks(steps)
    expected = np.zeros((steps, steps))
    estimates = []
    for end in range(1, steps + 1):
        weights, start = np.zeros(len(rows)), 0
        for bit in range(end.bit_length() - 1, -1, -1):
            size = 1 << bit
            if end & size:
                inside = np.array([row[start : start + size].sum() == row.sum() > 0 for row in rows])
                sums = rows[inside][:, start : start + size]
                weights[inside] = np.linalg.pinv(sums).T @ np.ones(size)  # of the least squares estimate of the whole
                start += size
        estimates.append(weights)
    expected = np.array(estimates) @ np.array(estimates).T
    assert np.allclose(found @ found.T, expected, atol=1e-12)
    assert np.allclose(np.array(estimates) @ rows, np.tri(steps))  # no estimate is off but by noise


def clipped(size: int = 3, sensitivity: float = 1.0) -> ClippedSum:
    return ClippedSum(torch.zeros(size, dtype=torch.float64), sensitivity, BatchFacts.none())


@pytest.mark.parametrize("kind", ["banded", "tree"])
def test_what_is_added_is_in_units_of_the_sensitivity_of_each_sum(kind: str) -> None:
    """A clip norm may change from step to step: each sum is noisy in its own unit."""
    one, other = CorrelatedNoise(phase(kind), [(0, KEY)]), CorrelatedNoise(phase(kind), [(0, KEY)])
    for sensitivity in (1.0, 4.0, 0.5, 2.0, 1.0):
        assert torch.equal(one.add(clipped(sensitivity=sensitivity)), other.add(clipped()) * sensitivity)
    total = clipped()
    total.total.fill_(7.0)
    assert torch.equal(one.add(total), other.add(clipped()) + 7.0)


@pytest.mark.parametrize("kind", ["banded", "tree"])
@pytest.mark.parametrize("begun", [0, 1, 5, 8, 12])
def test_noise_that_goes_on_is_bit_by_bit_what_it_would_have_been(kind: str, begun: int) -> None:
    whole, later = CorrelatedNoise(phase(kind), [(0, KEY)]), CorrelatedNoise(phase(kind), [(0, KEY)])
    added = [whole.add(clipped()) for _ in range(13)]
    later.skip_to(begun)
    assert all(torch.equal(later.add(clipped()), each) for each in added[begun:])


@pytest.mark.parametrize("kind", ["banded", "tree"])
def test_a_new_key_draws_new_noise_and_remembers_the_old(kind: str) -> None:
    """Of two runs with one past, what is new differs, and what is tied to the past does not."""
    keys = [(0, KEY), (5, OTHER)]
    first, second = CorrelatedNoise(phase(kind), [(0, KEY)]), CorrelatedNoise(phase(kind), keys)
    third = CorrelatedNoise(phase(kind), [(5, KEY), (0, KEY), (5, OTHER)])  # the later of two for one step counts
    alike = [torch.equal(first.add(clipped()), second.add(clipped())) for _ in range(13)]
    assert alike == [True] * 5 + [False] * 8
    second.skip_to(5)
    third.skip_to(5)
    assert torch.equal(second.add(clipped()), third.add(clipped()))


def test_memory_is_as_large_as_the_bands_and_the_digits_of_the_steps() -> None:
    banded, tree = CorrelatedNoise(phase("banded", 100, 6), [(0, KEY)]), CorrelatedNoise(phase("tree", 100), [(0, KEY)])
    for _ in range(100):
        banded.add(clipped())
        tree.add(clipped())
        assert len(banded.memory.last) <= 5 and len(tree.memory.blocks) <= 7  # type: ignore[attr-defined]


def test_noise_that_no_trainer_makes_is_refused() -> None:
    for mechanism in (Gaussian(1.0), BufferedNoise(1.0, (0.5,), (0.5,))):
        with pytest.raises(NotApplicable, match="no trainer adds noise"):
            memory_of(Phase(mechanism, SCHEME, 5))
