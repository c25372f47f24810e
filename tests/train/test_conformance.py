"""The verdict: an honest run passes, each dishonest one is found, and what could tell about examples stays inside."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from small_recipe import small

from dpplan import train
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase
from dpplan.sampling import Poisson
from dpplan.train.clipping import ClippedSum
from dpplan.train.conformance import StepStatistics
from dpplan.train.exact_tests import binomial_tail, chi_square_tail, spread_tail
from dpplan.train.execution import terminal_text
from dpplan.train.step.noise import GaussianNoise
from dpplan.train.step.sampler import PoissonSampler

EXAMPLES, RATE, SIGMA, SIZE = 1000, 0.1, 1.5, 50


def verdict(sizes: Any, noise: float = SIGMA, denominator: float = 100.0, rate: float = RATE) -> dict[str, bool]:
    """What is found of a run with these batch sizes and noise of this many sensitivities."""
    rng = np.random.default_rng(0)
    measured = StepStatistics(Phase(Gaussian(SIGMA), Poisson(rate), 100), EXAMPLES)
    for size in sizes:
        added = torch.from_numpy(rng.standard_normal(SIZE)) * noise * 2.0
        measured.saw(int(size), denominator, 2.0, added)
    return {check.name: check.agrees for check in measured.measurements()}


def binomial(rate: float, steps: int = 100, examples: int = EXAMPLES) -> Any:
    return np.random.default_rng(1).binomial(examples, rate, steps)


def test_a_run_as_planned_agrees_in_everything() -> None:
    assert set(verdict(binomial(RATE)).values()) == {True}
    assert set(verdict(binomial(RATE, steps=1)).values()) == {True}
    assert set(verdict([EXAMPLES] * 50, rate=1.0, denominator=1000.0).values()) == {True}


@pytest.mark.parametrize(
    ("sizes", "found"),
    [
        (binomial(0.12), {"batch sizes"}),  # another rate
        (binomial(RATE, examples=1100), {"batch sizes"}),  # examples drawn twice, or from more than was said
        ([100] * 100, {"batch sizes"}),  # the right mean, but fixed batches, as a shuffling loader makes them
        (np.minimum(binomial(RATE), 100), {"batch sizes"}),  # cut at the expected size
        ([0, *binomial(RATE)], {"empty batches"}),  # one in 10^46
    ],
)
def test_batches_of_another_law_are_found(sizes: Any, found: set[str]) -> None:
    assert {name for name, agrees in verdict(sizes).items() if not agrees} == found


def test_empty_batches_that_are_skipped_are_found() -> None:
    sizes = binomial(1e-3, steps=200)
    assert (sizes == 0).sum() > 50
    assert set(verdict(sizes, rate=1e-3, denominator=1.0).values()) == {True}
    assert not verdict(sizes[sizes > 0], rate=1e-3, denominator=1.0)["empty batches"]


@pytest.mark.parametrize("noise", [0.0, 0.9 * SIGMA, 1.1 * SIGMA, math.inf, math.nan])
def test_noise_of_another_size_is_found(noise: float) -> None:
    assert {name for name, agrees in verdict(binomial(RATE), noise).items() if not agrees} == {"noise"}


def test_another_denominator_is_found() -> None:
    assert {name for name, agrees in verdict(binomial(RATE), denominator=99.0).items() if not agrees} == {"denominator"}


@pytest.mark.parametrize(("trials", "chance"), [(20, 0.3), (1000, 0.01), (5000, 0.5)])
def test_binomial_tails_are_those_of_the_law(trials: int, chance: float) -> None:
    for seen in range(0, trials + 1, max(1, trials // 50)):
        exact = min(stats.binom.cdf(seen, trials, chance), stats.binom.sf(seen - 1, trials, chance))
        assert binomial_tail(seen, trials, chance) == pytest.approx(min(1.0, 2 * exact), rel=1e-9)


def test_binomial_tails_at_the_edges() -> None:
    assert binomial_tail(0, 10, 0.0) == binomial_tail(10, 10, 1.0) == 1.0
    assert binomial_tail(1, 10, 0.0) == binomial_tail(9, 10, 1.0) == 0.0
    assert binomial_tail(0, 10, 0.5) == pytest.approx(2 * 2.0**-10)
    assert binomial_tail(1, 100, 1e-46) == pytest.approx(2e-44)


@pytest.mark.parametrize("freedom", [1, 10, 1000, 10**6])
def test_chi_square_tails_are_those_of_the_law(freedom: int) -> None:
    for seen in freedom * np.geomspace(0.3, 3, 40):
        exact = min(stats.chi2.cdf(seen, freedom), stats.chi2.sf(seen, freedom))
        assert chi_square_tail(float(seen), freedom) == pytest.approx(min(1.0, 2 * exact), rel=1e-9)


@pytest.mark.parametrize(("trials", "chance"), [(10, 0.5), (1000, 0.003), (100_000, 0.2), (50, 1e-6)])
def test_the_spread_is_measured_against_the_binomial_law(trials: int, chance: float) -> None:
    sizes = np.random.default_rng(3).binomial(trials, chance, 300)
    at = np.arange(0, sizes.max() + 1)
    seen = np.searchsorted(np.sort(sizes), at, side="right") / len(sizes)
    distance = float(np.abs(seen - stats.binom.cdf(at, trials, chance)).max())
    expected = min(1.0, 2 * math.exp(-2 * len(sizes) * distance**2))
    assert spread_tail(sizes, trials, chance) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("runs", [400, pytest.param(2000, marks=pytest.mark.slow)])
def test_honest_runs_of_any_kind_do_not_fail(runs: int) -> None:
    """Over all tests a right run fails once in 10^6, so two thousand of them do not fail."""
    rng = np.random.default_rng(4)
    for _ in range(runs):
        examples, steps = int(rng.integers(1, 2000)), int(rng.integers(1, 60))
        rate = float(10 ** rng.uniform(-4, 0))
        phase = Phase(Gaussian(1.0), Poisson(rate), steps)
        measured = StepStatistics(phase, examples)
        for size in rng.binomial(examples, rate, steps):
            measured.saw(int(size), rate * examples, 1.0, torch.from_numpy(rng.standard_normal(3)))
        assert all(check.agrees for check in measured.measurements())


# In a whole run


def test_a_run_with_too_little_noise_fails(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = GaussianNoise.standard_deviation
    monkeypatch.setattr(GaussianNoise, "standard_deviation", lambda self, clipped: 0.9 * honest(self, clipped))
    report = train.run(small(), seed=0, out=tmp_path / "run")
    assert (report.status, report.agrees) == ("finished", False)
    assert terminal_text.ending(report).endswith("planned (noise).")
    assert any("DISAGREES*" in line for line in terminal_text.report_lines(report))


def test_noise_that_is_added_to_nothing_fails(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgets(self: GaussianNoise, clipped: ClippedSum) -> torch.Tensor:
        return clipped.total.clone()

    monkeypatch.setattr(GaussianNoise, "add", forgets)
    assert not train.run(small(), seed=0, out=tmp_path / "run").agrees


def test_a_sampler_of_fixed_batches_fails(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PoissonSampler, "draw", lambda self: self.rng.permutation(self.examples)[:100])
    report = train.run(small(training_steps=40), seed=0, out=tmp_path / "run")
    assert [check.name for check in report.verdict if not check.agrees] == ["batch sizes"]


def test_only_the_verdict_on_sizes_and_noise_leaves_the_run(tmp_path: Any) -> None:
    report = train.run(small(runtime_private_logs=False), out=tmp_path / "run")
    assert report.agrees
    written = report.to_json()["not_covered_by_epsilon"]
    assert [(row["name"], row["realised"], row["agrees"]) for row in written["verdict"]] == [
        (name, None, True) for name in ("batch sizes", "empty batches", "example counts", "noise")
    ]
    assert (written["empty_batches"], written["dropped"], written["clipped"]) == (None, None, None)


def test_without_private_logs_nothing_of_the_examples_is_looked_at(tmp_path: Any) -> None:
    report = train.run(small(runtime_private_logs=False), seed=0, out=tmp_path / "run")
    seen = ("drawn", "dropped", "loss", "accuracy", "clipped")
    assert all(getattr(epoch, name) is None for epoch in report.epochs for name in seen)
    watched = train.run(small(), seed=0, out=tmp_path / "watched")
    assert report.held_out_accuracy == watched.held_out_accuracy  # the training is the same
    assert all(getattr(epoch, name) is not None for epoch in watched.epochs for name in seen)
