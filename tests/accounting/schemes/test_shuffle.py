"""Shuffled batches: published lower bounds, the bound without amplification, and that the gap is shown."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from dpplan import accounting
from dpplan.accounting.pairs.sliced_outputs import largest_of_epoch, sliced
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import NotApplicable, PlanError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan, Settings
from dpplan.sampling import Shuffle

with (Path(__file__).parents[2] / "data" / "published_points.csv").open(encoding="utf-8", newline="") as file:
    CHUA = [row for row in csv.DictReader(file) if row["id"].startswith("chua_shuffle_lb_")]


def plan_of(sigma: float, steps: int, per_epoch: int, order: str = "fresh", adjacency: Adjacency = ZERO_OUT) -> Plan:
    return Plan((Phase(Gaussian(sigma), Shuffle(per_epoch, order), steps),), adjacency=adjacency)


def cube(epsilon: float, sigma: float, steps: int, shift: float, other: float) -> float:
    """The best of all events {largest >= C}, by a fine scan."""
    c = np.linspace(-4 * sigma, shift + 12 * sigma, 200_001)
    rest = (steps - 1) * stats.norm.logcdf(c / sigma)
    p, q = (-np.expm1(rest + stats.norm.logcdf((c - mean) / sigma)) for mean in (shift, other))
    return float(np.max(p - math.exp(epsilon) * q))


@pytest.mark.parametrize("row", CHUA, ids=lambda row: row["id"])
def test_published_lower_bounds(row: dict[str, str]) -> None:
    epsilon, sigma, steps = float(row["given"].removeprefix("epsilon=")), float(row["sigma"]), int(row["steps"])
    found = accounting.delta(plan_of(sigma, steps, steps), epsilon)
    truth = cube(epsilon, sigma, steps, 2.0, 1.0)
    assert found.lower is not None and found.upper is not None
    assert float(row["value"]) * (1 - 1e-4) <= found.lower <= truth <= found.upper
    assert found.lower == pytest.approx(truth, rel=1e-4)


def test_shuffled_batches_cost_far_more_than_poisson_sampling_says() -> None:
    """Chua et al. 2024: sigma .35, T 1000, one epoch, epsilon 4."""
    found, poisson = (
        accounting.delta(plan_of(0.35, 1000, 1000), 4.0),
        accounting.delta(Plan.from_rate(0.35, 1e-3, 1000), 4.0),
    )
    assert found.lower is not None and found.lower > 0.3834
    assert found.upper == pytest.approx(0.38376, abs=1e-5)
    assert poisson.upper is not None and poisson.upper <= 0.0065


@pytest.mark.parametrize(("adjacency", "reach"), [(ZERO_OUT, 1.0), (REPLACE_ONE, 2.0)], ids=str)
def test_the_upper_end_is_one_gaussian_step_an_epoch(adjacency: Adjacency, reach: float) -> None:
    for order, steps, epochs in (("fresh", 300, 3), ("fresh", 301, 4), ("once", 400, 4)):
        found = accounting.epsilon(plan_of(2.0, steps, 100, order, adjacency), 1e-5)
        known = accounting.epsilon(Plan.from_rate(2.0 / reach, 1.0, epochs), 1e-5)
        assert found.upper == pytest.approx(known.value, rel=1e-5) and found.upper >= known.proven[0]
        assert found.lower is not None and 0 < found.lower < found.upper


def test_one_order_for_all_epochs_is_one_epoch_with_less_noise() -> None:
    once, fresh = (accounting.epsilon(plan_of(2.0, 400, 100, order), 1e-5) for order in ("once", "fresh"))
    single = accounting.epsilon(plan_of(1.0, 100, 100), 1e-5)
    assert once.lower == pytest.approx(single.lower, rel=1e-6) and once.upper == pytest.approx(single.upper, rel=1e-5)
    assert fresh.upper == pytest.approx(once.upper, rel=1e-5)
    assert fresh.lower is not None and once.lower is not None and fresh.lower <= once.lower


def test_an_epoch_of_one_step_is_a_full_batch() -> None:
    found = accounting.epsilon(plan_of(3.0, 5, 1), 1e-5)
    assert found.value == accounting.epsilon(Plan.from_rate(3.0, 1.0, 5), 1e-5).value


def test_a_part_of_an_epoch_tells_less_than_all_of_it() -> None:
    lowers = [accounting.delta(plan_of(0.5, steps, 50), 1.0).lower for steps in (5, 25, 50)]
    assert all(lower is not None for lower in lowers) and lowers == sorted(lowers) and lowers[0] < lowers[2]


def test_neighbours_of_another_size_are_refused() -> None:
    with pytest.raises(NotApplicable, match="moves the others to other batches"):
        accounting.epsilon(plan_of(1.0, 100, 100, adjacency=ADD_REMOVE), 1e-5)


@pytest.mark.parametrize("off", [1e-10, 1e-3])
def test_masses_that_are_off_bound_from_below_all_the_same(off: float) -> None:
    rng = np.random.default_rng(5)
    p, q = (each / each.sum() for each in rng.random((2, 40)))
    seen_p, seen_q = (each * (1 + off * rng.uniform(-0.4, 0.4, 40)) for each in (p, q))
    law = sliced(seen_p, seen_q, off)
    for a in np.exp(np.linspace(-6, 3, 60)):
        found = sum(max(row_p - a * row_q, 0.0) for row_p, row_q in law.rows)
        assert found <= float(np.maximum(p - a * q, 0).sum()) + 1e-15


def test_a_record_that_cannot_be_seen_is_one_slice() -> None:
    assert largest_of_epoch(1e5, 10, 1, 1.0, 0.999999).remove.bounds[1] < 1e-3


def test_the_steps_of_an_epoch_are_whole() -> None:
    said = Settings(noise_multiplier=1.0, sampling="shuffle", epochs=3)
    plan = said.with_(examples=103, batch_size=10).plan()
    assert plan.only_phase.sampling == Shuffle(11, "fresh") and plan.steps == 33
    with pytest.raises(PlanError, match=r"an epoch of 2\.5 steps, which is not whole"):
        said.with_(sample_rate=0.4).plan()


@pytest.mark.parametrize("noise", [1e-2, 1e-9, 1e-140])
def test_noise_that_leaves_no_cut_is_no_crash(noise: float) -> None:
    for steps in (1, 2):
        assert largest_of_epoch(noise, 2, steps, 2.0, 1.0).remove.bounds[1] >= 0.0
