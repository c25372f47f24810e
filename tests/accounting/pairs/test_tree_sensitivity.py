"""Sensitivities of trees: against every pattern of small ones, where distances are made smaller, and of long runs."""

import itertools
import time
from collections.abc import Iterator

import numpy as np
import pytest

from dpplan import accounting
from dpplan.accounting.pairs import tree_sensitivity
from dpplan.adjacency import ZERO_OUT
from dpplan.mechanism.correlated import TreeAggregation
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

MOST = 14


@pytest.fixture(params=[3e9, 3e4, 2e3, 200.0, 1.0])
def work(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[float]:
    """How much may be looked at: all, or so little that distances are made smaller, down to powers of two."""
    monkeypatch.setattr(tree_sensitivity, "MOST_WORK", request.param)
    tree_sensitivity.tree.cache_clear()
    yield request.param
    tree_sensitivity.tree.cache_clear()


def of_patterns(steps: int) -> dict[tuple[int, int], int]:
    """(how many steps, the least distance) -> the largest sum of squares, over all patterns of a run."""
    blocks = [
        range(at << level, at + 1 << level) for level in range(steps.bit_length()) for at in range(steps >> level)
    ]
    found: dict[tuple[int, int], int] = {}
    for pattern in itertools.product((0, 1), repeat=steps):
        inside = [at for at, each in enumerate(pattern) if each]
        if inside:
            nearest = min((b - a for a, b in itertools.pairwise(inside)), default=steps)
            total = sum(sum(pattern[at] for at in block) ** 2 for block in blocks)
            place = (len(inside), nearest)
            found[place] = max(found.get(place, 0), total)
    return found


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 8, 11, 12, 13, MOST])
def test_no_pattern_of_a_small_tree_is_beyond_the_figure_and_one_is_as_far_as_is_said(steps: int, work: float) -> None:
    worst = of_patterns(steps)
    for most, apart in itertools.product(range(1, steps + 2), range(1, steps + 2)):
        true = max(
            each for (count, nearest), each in worst.items() if count <= most and (count == 1 or nearest >= apart)
        )
        found = tree_sensitivity.tree(steps, most, apart)
        assert found.reached <= true <= found.squared, (most, apart)
        assert not found.exact or found.squared == true, (most, apart)
        assert found.exact or work < 3e9


@pytest.mark.parametrize("steps", [1, 2, 6, 7, 31, 40, 100])
def test_a_place_that_is_kept_is_as_far_as_the_worst_place(steps: int) -> None:
    """What is worked out at some places is the largest of all."""
    for apart in range(1, steps + 2):
        most = 0.0
        for place in range(min(apart, steps)):
            counts = (np.arange(steps) % apart == place).astype(float)
            total = float(np.sum(counts))
            while len(counts) > 1:
                pairs = len(counts) // 2
                counts = counts[0 : 2 * pairs : 2] + counts[1 : 2 * pairs : 2]
                total += float(np.sum(counts**2))
            most = max(most, total)
        assert tree_sensitivity.regular_tree(steps, apart) == tree_sensitivity.Sensitivity(most, exact=True)


def test_the_figure_falls_with_the_distance_and_rises_with_the_participations(work: float) -> None:
    """Also where a distance in its place takes over."""
    for steps in (200, 257):
        table = [
            [tree_sensitivity.tree(steps, most, apart).squared for apart in range(1, 120)] for most in (1, 2, 7, 30)
        ]
        for row in table:
            assert all(nearer >= farther for nearer, farther in itertools.pairwise(row))
        for fewer, more in itertools.pairwise(table):
            assert all(one <= other for one, other in zip(fewer, more, strict=True))


@pytest.mark.parametrize("apart", [1, 2, 3, 6, 8, 12, 24, 40])
def test_a_distance_that_is_even_is_that_of_a_coarser_tree(apart: int) -> None:
    """By the same method without it: as for steps that cannot be halved."""
    for steps, most in itertools.product((41, 64, 100, 127), (2, 3, 5)):
        count = min(most, -(-steps // apart))
        by_blocks = tree_sensitivity._of_counts(steps, count, apart, None)
        assert tree_sensitivity._worst(steps, count, apart) == max(by_blocks)


def test_distances_in_the_place_of_others_are_the_nearest_ones() -> None:
    for most in range(1, 9):
        held = sorted({m << shift for m in range(1, most + 1) for shift in range(10)})
        for apart in range(1, 250):
            below, above = tree_sensitivity._neighbours(apart, most)
            assert below == max(each for each in held if each <= apart)
            assert above == apart == below or below < apart < above
            assert above - below in (0, *(1 << at for at in range(8) if below // (1 << at) <= most))


@pytest.mark.parametrize(
    ("steps", "most", "apart", "wide"),
    [
        (4096, 4095, 1, 1.0),
        (10**9, 10_000, 1, 1.0),
        (10**6, 10_000, 2, 1.0),
        (10**6, 9_999, 3, 1.2),
        (10**5, 1_000, 7, 1.01),
        (20_000, 20, 1_000, 1.0),
        (10**9, 300, 99_999, 1.01),
        (10**9, 30, 9_999_999, 1.01),
    ],
)
def test_a_look_takes_moments_and_bounds_are_narrow(steps: int, most: int, apart: int, wide: float) -> None:
    tree_sensitivity.tree.cache_clear()
    begun = time.process_time()
    found = tree_sensitivity.tree(steps, most, apart)
    assert time.process_time() - begun < 5.0
    assert found.squared <= wide * (found.reached or found.squared)
    assert found.exact or wide > 1.0


def test_a_bound_is_an_interval() -> None:
    """From a pattern that some record may have to a bound on all."""
    plan = Plan((Phase(TreeAggregation(200.0, 300, 301), Poisson(1.0), 10**6),), adjacency=ZERO_OUT)
    sensitivity = tree_sensitivity.tree(10**6, 300, 301)
    found = accounting.epsilon(plan, 1e-6)
    assert not sensitivity.exact and found.upper is not None and found.lower is not None
    assert 0.9 * found.upper < found.lower < found.upper
