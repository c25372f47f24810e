"""Noise that repeats itself is noticed at any distance; independent noise almost never."""

import numpy as np
import pytest

from dpplan.train.canaries.noise_pattern import repeats


def fresh(seed: int, steps: int = 20, size: int = 300) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((steps, size))


def test_fresh_noise_repeats_no_more_often_than_stated() -> None:
    assert sum(repeats(fresh(seed), 0.05) for seed in range(400)) <= 20
    assert not any(repeats(fresh(seed, size=299, steps=7), 1e-6) for seed in range(50))


@pytest.mark.parametrize("lag", [1, 7, 150, 260])
def test_a_part_that_is_drawn_twice_in_a_step_is_noticed(lag: int) -> None:
    noise = fresh(1)
    noise[:, lag:] = noise[:, : 300 - lag] if lag >= 150 else np.repeat(noise[:, :1], 300 - lag, axis=1)
    assert repeats(noise, 1e-6)


def test_noise_of_one_step_used_again_is_noticed() -> None:
    noise = fresh(2)
    noise[13:16] = noise[4:7]
    assert repeats(noise, 1e-6)
    negated = fresh(3)
    negated[1::2] = -negated[::2]
    assert repeats(negated, 1e-6)


def test_what_cannot_be_looked_at_is_not_blamed() -> None:
    assert not repeats(np.zeros((0, 3)), 1e-6)
    assert not repeats(np.array([[1.0]]), 1e-6)
    assert not repeats(np.array([[np.nan, 1.0, 2.0]]), 1e-6)
