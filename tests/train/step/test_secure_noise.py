"""Noise from the system's generator: the same law, no seed, and a run that says what it used."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from small_recipe import small

from dpplan import train
from dpplan.errors import UsageError
from dpplan.mechanism import Gaussian
from dpplan.train.clipping import BatchFacts, ClippedSum
from dpplan.train.step.secure_noise import SecureNoise, SystemUniforms

FALSE_ALARM = 1e-9  # unseeded: a right generator fails once in 10^9 runs


def test_uniform_numbers_are_uniform_and_below_one() -> None:
    drawn = SystemUniforms().random(100_000)
    assert drawn.dtype == np.float64
    assert drawn.min() >= 0
    assert drawn.max() < 1
    assert stats.kstest(drawn, "uniform").pvalue > FALSE_ALARM
    assert np.all(drawn * 2**53 == np.floor(drawn * 2**53))


@pytest.mark.parametrize("size", [0, 1, 2, 7, 100_001])
def test_the_law_is_normal_at_every_size(size: int) -> None:
    total = torch.arange(size, dtype=torch.float64)
    noise = SecureNoise(Gaussian(1.5))
    added = (noise.add(ClippedSum(total.clone(), 2.0, BatchFacts.none())) - total).numpy() / 3.0
    assert added.shape == (size,)
    if size > 10:
        assert stats.kstest(added, "norm").pvalue > FALSE_ALARM
        statistic = float((added**2).sum())
        assert min(stats.chi2.sf(statistic, size), stats.chi2.cdf(statistic, size)) > FALSE_ALARM
        limit = stats.norm.isf(FALSE_ALARM) * np.sqrt(size)
        half = size // 2
        assert abs(added[1:] @ added[:-1]) < limit
        assert abs(added[:half] @ added[half : 2 * half]) < limit  # sines and cosines of one pair


def test_a_run_with_it_is_a_run_as_planned(tmp_path: Path) -> None:
    report = train.run(small(runtime_secure_noise=True), out=tmp_path / "run")
    assert report.agrees
    assert "cryptographic" in report.to_json()["assumptions"]["randomness"]
    assert report.spent == small().claim(1437).epsilon


def test_a_seed_and_it_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="secure_noise exclude each other"):
        train.plan(small(runtime_secure_noise=True), seed=1)
