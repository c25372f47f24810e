"""Shuffled batches: published lower bounds, the bound without amplification, and that the gap is shown."""

import csv
import math
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from mpmath import mp, mpf
from scipy import stats

from dpplan import accounting
from dpplan.accounting.pairs.sliced_outputs import OFF, largest_of_epoch, log_below, sliced
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


@pytest.mark.parametrize(
    ("adjacency", "reach"), [pytest.param(ZERO_OUT, 1.0, marks=pytest.mark.slow), (REPLACE_ONE, 2.0)], ids=str
)
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


def test_the_log_of_a_normal_probability_has_its_digits_on_both_sides() -> None:
    """log Φ against mpmath: near 0 where Φ is near 1, near -z²/2 far left."""
    places = [-38.0, -12.5, -1.0, -1e-9, 0.0, 1e-9, 0.7, 3.0, 8.2, 30.0]
    with mp.workdps(500):
        for z, found in zip(places, log_below(np.array(places)), strict=True):
            exact = mp.log1p(-mp.erfc(mpf(z) / mp.sqrt(2)) / 2)
            assert abs(mpf(found) / exact - 1) <= 1e-12


@pytest.mark.parametrize("off", [0.0, 1e-10, 1e-3])
def test_a_law_of_slices_is_below_that_of_their_masses_in_exact_fractions(off: float) -> None:
    """Σ (p - a·q)₊ at every ratio and between them; the floats that are seen are off by as much as is said."""
    rng = np.random.default_rng(2)
    for _ in range(4):
        p, q = ([Fraction(int(each)) for each in rng.integers(1, 10**9, 12) ** 2 // 10**8 + 1] for _ in range(2))
        p, q = ([each / sum(side) for each in side] for side in (p, q))
        room = Fraction(max(off - 1e-15, 0.0))
        signs = rng.integers(-1, 2, 24).tolist()
        seen = [float(each * (1 + sign * room)) for each, sign in zip(p + q, signs, strict=True)]
        law = sliced(np.array(seen[:12]), np.array(seen[12:]), max(off, 1e-15))
        rows = [(Fraction(a), Fraction(b)) for a, b in law.rows]
        ratios = sorted(a / b for a, b in zip(p, q, strict=True))
        for factor in [Fraction(0), *ratios, *((a + b) / 2 for a, b in pairwise(ratios))]:
            claimed = sum(max(a - factor * b, 0) for a, b in rows)
            exact = sum(max(a - factor * b, 0) for a, b in zip(p, q, strict=True))
            assert claimed <= exact + Fraction(1, 10**15)  # rows of floats add up to 1 but for a rounding
            assert claimed >= exact - Fraction(3 * off + 1e-5) * (1 + factor)


def largest_divergence(sigma: float, steps: int, taken: int, means: tuple[float, float], factor: mpf) -> mpf:
    """∫ (p - a·q)₊ of the largest output: the two distribution functions between the places where p = a·q."""
    s, w = mpf(sigma), mpf(taken) / steps

    def below(c: mpf, mean: float) -> mpf:
        rest = mp.ncdf(c / s) ** (taken - 1)
        return w * mp.ncdf((c - mean) / s) * rest + (1 - w) * mp.ncdf(c / s) * rest

    def density(c: mpf, mean: float) -> mpf:  # over φ(c/σ)·Φ(c/σ)^(taken - 2) / σ
        lifted = mp.exp(mean * (2 * c - mean) / (2 * s * s)) * mp.ncdf(c / s) + (taken - 1) * mp.ncdf((c - mean) / s)
        return w * lifted + (1 - w) * taken * mp.ncdf(c / s)

    def gain(c: mpf) -> mpf:
        return density(c, means[0]) - factor * density(c, means[1])

    net = mp.linspace(-14 * s, max(means) + 14 * s, 49)
    signs = [gain(c) > 0 for c in net]
    turns = [
        mp.findroot(gain, (a, b), solver="anderson", tol=1e-25)
        for (a, here), (b, there) in pairwise(zip(net, signs, strict=True))
        if here != there
    ]
    total, start = mpf(0), mpf(0) if signs[0] else None
    for turn in turns:
        value = below(turn, means[0]) - factor * below(turn, means[1])
        total, start = (total, value) if start is None else (total + value - start, None)
    return total if start is None else total + 1 - factor - start


@pytest.mark.parametrize(
    ("sigma", "steps", "taken", "shift", "other"),
    [
        (0.5, 100, 100, 2.0, 1.0),
        pytest.param(1.0, 20, 20, 1.0, 0.0, marks=pytest.mark.slow),
        pytest.param(2.0, 50, 7, 1.0, -1.0, marks=pytest.mark.slow),
    ],
)
def test_the_slices_of_the_largest_output_are_below_its_own_divergence_and_near(
    sigma: float, steps: int, taken: int, shift: float, other: float
) -> None:
    """In 30 digits, both directions."""
    pair = largest_of_epoch(sigma, steps, taken, shift, other)
    with mp.workdps(30):
        for law, means in ((pair.remove, (shift, other)), (pair.add, (other, shift))):
            for epsilon in (0.3, 3.0):
                factor = mp.exp(mpf(epsilon))
                exact = largest_divergence(sigma, steps, taken, means, factor)
                claimed = mp.fsum(max(mpf(p) - factor * mpf(q), mpf(0)) for p, q in law.rows)
                assert claimed <= exact + OFF * 1e-5
                assert claimed >= exact * (1 - mpf("1e-4")) - 1e-9
