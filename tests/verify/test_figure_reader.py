"""What a figure says that it was computed under, in the words of this version and of those before."""

import pytest

from dpplan.adjacency import ZERO_OUT
from dpplan.mechanism import Gaussian, Mechanism, TreeAggregation
from dpplan.plan import Phase, Plan
from dpplan.sampling import BallsInBins, CyclicPoisson, Poisson, RandomAllocation, Sampling, Shuffle, TruncatedPoisson
from dpplan.verify import figure_reader

CASES: list[tuple[Mechanism, Sampling, str]] = [
    (Gaussian(4.0), BallsInBins(10), "balls-in-bins over 10 steps, fresh each epoch"),
    (Gaussian(4.0), BallsInBins(10, "same"), "balls-in-bins over 10 steps, the same bins each epoch"),
    (Gaussian(4.0), RandomAllocation(10, 2), "random allocation to 2 of every 10 steps"),
    (Gaussian(4.0), TruncatedPoisson(0.1, 30, 200), "Poisson sampling of 200, cut at 30"),
    (Gaussian(4.0), Shuffle(10, "once"), "shuffled once, batches cut in that order"),
    (
        Gaussian(4.0),
        CyclicPoisson(0.1, 5, "own"),
        "Poisson sampling in 5 groups by turns, each in a group of its own draw, which is no secret",
    ),
    (TreeAggregation(4.0, 2, 5), Poisson(1.0), "full batch"),
]


@pytest.mark.parametrize(("mechanism", "sampling", "before"), CASES)
def test_the_words_of_earlier_versions_are_of_the_same_claim(
    mechanism: Mechanism, sampling: Sampling, before: str
) -> None:
    plan = Plan((Phase(mechanism, sampling, 20),), adjacency=ZERO_OUT)
    now = str(plan.assumptions)
    assert f"{before}, zero out" not in now
    assert figure_reader._drawn_so(plan, now)
    assert figure_reader._drawn_so(plan, f"{before}, zero out one example")
    assert figure_reader._sampled(now)


@pytest.mark.parametrize(("mechanism", "sampling", "before"), CASES)
def test_those_of_another_scheme_are_another_claim(mechanism: Mechanism, sampling: Sampling, before: str) -> None:
    plan = Plan((Phase(mechanism, sampling, 20),), adjacency=ZERO_OUT)
    others = (each for each in CASES if each[2] != before)
    assert not any(figure_reader._drawn_so(plan, f"{said}, zero out one example") for _, _, said in others)
