"""Who takes part how often, held against the claim before a step is released."""

import numpy as np
import pytest

from dpplan.errors import TrainingStopped
from dpplan.mechanism import Gaussian, ToeplitzNoise
from dpplan.plan import Phase
from dpplan.sampling import CyclicPoisson, Poisson, Shuffle
from dpplan.train.participation_guard import ParticipationGuard

BANDED = ToeplitzNoise(1.0, bands=2)


def guard(steps: int = 7) -> ParticipationGuard:
    """Batches of 3 steps an epoch, so that an example takes part every third step, three times at most."""
    made = ParticipationGuard.of(Phase(BANDED, Shuffle(3, "once"), steps), 6)
    assert made is not None
    return made


def batch(*examples: int) -> np.ndarray:
    return np.array(examples, np.int64)


def test_one_order_for_all_epochs_agrees() -> None:
    held = guard()
    for step in range(7):
        held.drew(step, batch(step % 3, step % 3 + 3))
    assert not held.broken and held.law == "at most 3 steps of one example, a multiple of 3 apart"


@pytest.mark.parametrize(
    "batches",
    [
        [batch(0), batch(0)],  # a step after its last
        [batch(0), batch(1), batch(2), batch(1)],  # two steps after
        [batch(0), batch(1), batch(2), batch(0), batch(0)],  # in turn, and then out of it
        [batch(0, 0)],  # twice in one step
        [batch(), batch(), batch(0), batch(), batch(), batch(), batch(0)],  # four steps after
    ],
)
def test_a_batch_out_of_turn_ends_the_run_before_it_is_released(batches: list[np.ndarray]) -> None:
    held = guard()
    for step, drawn in enumerate(batches[:-1]):
        held.drew(step, drawn)
    with pytest.raises(TrainingStopped, match=f"step {len(batches)} would draw an example out of turn"):
        held.drew(len(batches) - 1, batches[-1])
    assert held.broken


def test_a_step_too_many_ends_the_run() -> None:
    held = guard(steps=3)
    held.drew(0, batch(0))
    with pytest.raises(TrainingStopped, match="at most 1 steps"):
        held.drew(3, batch(0))


def test_what_is_claimed_is_what_the_accountant_has_for_the_scheme() -> None:
    turns = ParticipationGuard.of(Phase(BANDED, CyclicPoisson(0.5, 4, "place"), 10), 8)
    whole = ParticipationGuard.of(Phase(ToeplitzNoise(1.0, bands=2, participations=5), Poisson(1.0), 5), 8)
    assert turns is not None and (turns.most, turns.apart) == (3, 4)
    assert whole is not None and (whole.most, whole.apart) == (5, 1)
    assert ParticipationGuard.of(Phase(Gaussian(1.0), Poisson(0.1), 5), 8) is None
