"""The verdict on who was drawn: each scheme's own sampler passes, and each that does something else is found."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dpplan.errors import NotApplicable
from dpplan.sampling import (
    BallsInBins,
    CyclicPoisson,
    FixedSize,
    Poisson,
    RandomAllocation,
    Sampling,
    Shuffle,
    TruncatedPoisson,
)
from dpplan.train.batch_conformance import BatchLedger, ledger_for
from dpplan.train.step.sampler import sampler_for

LEVEL, EXAMPLES, STEPS = 1e-6 / 5, 1000, 120
CLAIMS: dict[str, Sampling] = {
    "poisson": Poisson(0.1),
    "full-batch": Poisson(1.0),
    "truncated-poisson": TruncatedPoisson(0.1, 95, EXAMPLES),
    "cut to half": TruncatedPoisson(0.2, 95, EXAMPLES),
    "fixed-size": FixedSize(100, EXAMPLES),
    "balls-in-bins": BallsInBins(10),
    "same bins": BallsInBins(10, "same"),
    "shuffle": Shuffle(10, "fresh"),
    "shuffled once": Shuffle(10, "once"),
    "cyclic by place": CyclicPoisson(0.2, 2, "place"),
    "cyclic, own": CyclicPoisson(0.2, 2, "own"),
}
Draw = Callable[[int], Any]


def agrees(claim: Sampling, draw: Draw, steps: int = STEPS, first: int = 0, examples: int = EXAMPLES) -> bool:
    ledger: BatchLedger = ledger_for(claim, examples)
    for step in range(first, first + steps):
        ledger.drew(step, draw(step))
    return ledger.sizes_agree(LEVEL) and ledger.counts_agree(LEVEL)


def drawing(scheme: Sampling, seed: int = 0, examples: int = EXAMPLES) -> Draw:
    sampler = sampler_for(scheme, examples, np.random.default_rng(seed))
    return lambda step: sampler.draw()


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_sampler_of_a_scheme_agrees_with_it(claim: str) -> None:
    for seed in range(20):
        for steps in (1, 2, 7, 10, 37):
            assert agrees(CLAIMS[claim], drawing(CLAIMS[claim], seed), steps)


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_process_that_begins_within_an_epoch_agrees(claim: str) -> None:
    draw = drawing(CLAIMS[claim])
    for step in range(13):
        draw(step)
    assert agrees(CLAIMS[claim], draw, 45, first=13)


def test_tiny_runs_of_any_kind_do_not_fail() -> None:
    rng = np.random.default_rng(8)
    for seed in range(120):
        n, groups = int(rng.integers(2, 40)), int(rng.integers(1, 6))
        rate, size = float(rng.uniform(0.01, 1)), int(rng.integers(1, n + 1))
        for scheme in (
            Poisson(rate),
            TruncatedPoisson(rate, size, n),
            FixedSize(size, n),
            BallsInBins(groups, str(rng.choice(["fresh", "same"]))),
            Shuffle(groups, str(rng.choice(["fresh", "once"]))),
            CyclicPoisson(rate, groups, str(rng.choice(["place", "own"]))),
        ):
            assert agrees(scheme, drawing(scheme, seed, n), int(rng.integers(1, 30)), examples=n)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("done", CLAIMS)
def test_another_scheme_than_the_claimed_is_found(claim: str, done: str) -> None:
    # Groups by place are groups that might have been drawn.
    if claim != done and (claim, done) != ("cyclic, own", "cyclic by place"):
        assert not agrees(CLAIMS[claim], drawing(CLAIMS[done]))


def twice(step: int) -> Any:
    drawn = np.random.default_rng(step).choice(EXAMPLES, 100, replace=False)
    drawn[0] = drawn[1]
    return drawn


def half(step: int) -> Any:
    """The right sizes, of one half of the data only."""
    return np.random.default_rng(step).choice(EXAMPLES // 2, 100, replace=False)


def dealt_in_binomial_sizes(seed: int = 5) -> Draw:
    """Shuffled data, each once an epoch, in batches of the sizes that Poisson sampling has."""
    rng, waiting = np.random.default_rng(seed), np.empty(0, np.int64)

    def draw(step: int) -> Any:
        nonlocal waiting
        size = int(rng.binomial(EXAMPLES, 0.1))
        if len(waiting) < size:
            waiting = np.concatenate([waiting, rng.permutation(np.setdiff1d(np.arange(EXAMPLES), waiting))])
        drawn, waiting = waiting[:size], waiting[size:]
        return drawn

    return draw


@pytest.mark.parametrize(
    ("claim", "draw"),
    [
        ("fixed-size", twice),
        ("fixed-size", half),
        ("poisson", dealt_in_binomial_sizes()),
        ("truncated-poisson", lambda step: drawing(Poisson(0.1))(step)[:80]),
        (
            "cut to half",
            lambda step: np.sort(drawing(Poisson(0.2), step)(step))[:95],
        ),  # keeps the first, not any
        ("cyclic by place", lambda step: drawing(Poisson(0.1), step)(step)),
        ("balls-in-bins", lambda step: drawing(Poisson(0.1), step)(step)),
    ],
)
def test_a_sampler_that_cheats_is_found(claim: str, draw: Draw) -> None:
    assert not agrees(CLAIMS[claim], draw)


def test_one_who_is_left_out_of_an_epoch_is_found() -> None:
    draw = drawing(CLAIMS["balls-in-bins"])
    assert not agrees(CLAIMS["balls-in-bins"], lambda step: _without_7(draw(step)))


def _without_7(drawn: Any) -> Any:
    return drawn[drawn != 7]


def test_what_has_no_law_here_is_refused() -> None:
    with pytest.raises(NotApplicable, match="no verdict is known for batches by sampling=random-allocation"):
        ledger_for(RandomAllocation(10, 2), 100)
    assert "each step anew" in ledger_for(FixedSize(2, 4), 4).law
