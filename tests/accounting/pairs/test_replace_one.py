"""One record replaced by another: the laws against mpmath, the pair against other neighbours, figures on record."""

import dataclasses
import math
import random
from itertools import pairwise

import numpy as np
import pytest
from mpmath import mp, mpf
from scipy import integrate, stats

from dpplan import accounting
from dpplan.accounting import Guarantee, pairs
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT
from dpplan.errors import NotApplicable
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan, Settings
from dpplan.sampling import FixedSize, Poisson

LEAST = mpf("1e-290")  # engines add as much for masses that floats do not hold
SETTINGS = [(0.3, 0.01), (1.0, 0.5), (10.0, 1e-6), (0.05, 1e-3), (2.0, 0.999), (3.0, 1.0), (100.0, 0.2)]
# (σ, q, T, δ): ε of fixed-size batches under replace-one, from below and above, and of Poisson under replace-one and
# add/remove; computed by connecting dots of the hockey-stick curve on a grid of 1e-4, independently of this engine.
KNOWN = [
    (2.0, 10_000, 100, 1000, 1e-5, 1.8282, 2.1989, 1.2052, 0.6220),
    (1.0, 10_000, 100, 1000, 1e-5, 13.3608, 14.8207, 2.8434, 1.8282),
    (0.8, 100_000, 100, 10_000, 1e-6, 15.2515, 16.3188, 1.3252, 0.9473),
    (4.0, 10_000, 500, 500, 1e-5, 2.5320, 2.8772, 2.2557, 1.0868),
]


def log_ratio(sigma: float, q: float, x: mpf) -> mpf:
    s2, rate = 2 * mpf(sigma) ** 2, mpf(q)
    up, down = mp.exp((2 * x - 1) / s2), mp.exp((-2 * x - 1) / s2)
    return mp.log(1 - rate + rate * up) - mp.log(1 - rate + rate * down)


def tail(x: mpf, mean: int, sigma: float) -> mpf:
    return mp.erfc((x - mean) / mpf(sigma) / mp.sqrt(2)) / 2


@pytest.mark.sweep(every=9)
@pytest.mark.parametrize(("sigma", "q"), SETTINGS)
def test_masses_are_those_between_the_places_of_the_losses(sigma: float, q: float) -> None:
    losses = np.array([-30.0, -6.0, -1.0, -0.01, -1e-6, 0.0, 1e-9, 0.01, 1.0, 6.0, 30.0])
    found = pairs.ReplacedGaussianLoss(sigma, q).masses(losses)
    with mp.workdps(60):
        places = [place_of(sigma, q, loss) for loss in losses.tolist()]
        for k, (low, high) in enumerate(pairwise(places)):
            none, up, down = (tail(low, mean, sigma) - tail(high, mean, sigma) for mean in (0, 1, -1))
            # Each end may belong to a loss that is `moved` off.
            slack = mp.fsum(density(sigma, q, places[at]) * float(found.moved[at]) for at in (k, k + 1))
            for value, mean in ((found.p[k], up), (found.q[k], down)):
                true = (1 - mpf(q)) * none + mpf(q) * mean
                assert abs(mpf(float(value)) - true) <= true * float(found.relative[k]) + slack + LEAST


def place_of(sigma: float, q: float, loss: float) -> mpf:
    """By the closed form, put back into the loss."""
    s2, rate, half = mpf(sigma) ** 2, mpf(q), mpf(loss) / 2
    x = s2 * (mp.asinh(mp.exp(1 / (2 * s2)) * (1 - rate) / rate * mp.sinh(half)) + half)
    with mp.workdps(400):  # where hardly anything is sampled, the loss is a difference of what is nearly equal
        assert abs(log_ratio(sigma, q, x) - mpf(loss)) <= mpf(10) ** -45 * (1 + 1 / s2)
    return x


def density(sigma: float, q: float, x: mpf) -> mpf:
    """Of the loss, at least, at this place: that of x over the slope of the loss."""
    with mp.workdps(400):
        slope = mp.diff(lambda place: log_ratio(sigma, q, place), x)
    return mp.fsum(mp.npdf(x, mean, mpf(sigma)) for mean in (0, 1, -1)) / slope


@pytest.mark.parametrize(("sigma", "q"), SETTINGS)
def test_both_measures_are_whole_and_mirror_images(sigma: float, q: float) -> None:
    law = pairs.ReplacedGaussianLoss(sigma, q)
    edges = np.array([-math.inf, -3.0, -0.5, -1e-9, 0.0, 1e-9, 0.5, 3.0, math.inf])
    found = law.masses(edges)
    assert found.p.sum() == pytest.approx(1.0, abs=1e-13)
    assert found.p == pytest.approx(found.q[::-1], rel=1e-12, abs=1e-300)


@pytest.mark.sweep(every=5)
@pytest.mark.parametrize(("sigma", "q"), [(1.0, 0.3), (0.5, 0.01), (3.0, 0.9)])
@pytest.mark.parametrize("factor", [0.4, 0.97, 1.0, 1.05, 2.0, 8.0])
def test_opposite_gradients_are_told_apart_best(sigma: float, q: float, factor: float) -> None:
    """H_a of random pairs of gradients in the plane, by quadrature, is never above that of the extreme pair."""
    rng = random.Random(5)
    worst = planar(sigma, q, factor, (1.0, 0.0), (-1.0, 0.0))
    for _ in range(6):
        (r, s), turn = (math.sqrt(rng.random()) for _ in range(2)), rng.uniform(0.0, 2.0 * math.pi)
        assert planar(sigma, q, factor, (r, 0.0), (s * math.cos(turn), s * math.sin(turn))) <= worst + 1e-7


def planar(sigma: float, q: float, factor: float, u: tuple[float, float], v: tuple[float, float]) -> float:
    """∫(P - a·Q)₊ for P = (1 - q)·N(0) + q·N(u), Q with v, on a grid of the plane that is fine against σ."""
    axis = np.linspace(-1.0 - 8.0 * sigma, 1.0 + 8.0 * sigma, 500)

    def normal(mean: tuple[float, float]) -> np.ndarray:
        x, y = (stats.norm.pdf(axis, each, sigma) for each in mean)
        return np.outer(y, x)

    above = (1 - q) * (1 - factor) * normal((0.0, 0.0)) + q * normal(u) - factor * q * normal(v)
    return float(np.maximum(above, 0.0).sum() * (axis[1] - axis[0]) ** 2)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(("sigma", "q", "epsilon"), [(1.0, 0.1, 0.3), (0.5, 0.02, 2.0), (4.0, 0.5, 0.05)])
def test_delta_of_one_step_is_the_integral(sigma: float, q: float, epsilon: float) -> None:
    plan = Plan((Phase(Gaussian(sigma), Poisson(q), 1),), adjacency=REPLACE_ONE)

    def excess(x: float) -> float:
        p, other = (1 - q) * stats.norm.pdf(x, 0, sigma), (1 - q) * stats.norm.pdf(x, 0, sigma)
        p, other = p + q * stats.norm.pdf(x, 1, sigma), other + q * stats.norm.pdf(x, -1, sigma)
        return max(p - math.exp(epsilon) * other, 0.0)

    truth = integrate.quad(excess, -20 * sigma, 1 + 20 * sigma, points=[0.0, 0.5, 1.0], limit=500, epsabs=1e-14)[0]
    found = accounting.delta(plan, epsilon)
    assert found.lower is not None and found.upper is not None
    assert found.lower - 1e-12 <= truth <= found.upper + 1e-12
    assert found.guarantee is Guarantee.CERTIFIED


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(("sigma", "n", "batch", "steps", "delta", "low", "high", "poisson", "add_remove"), KNOWN)
def test_figures_on_record(
    sigma: float,
    n: int,
    batch: int,
    steps: int,
    delta: float,
    low: float,
    high: float,
    poisson: float,
    add_remove: float,
) -> None:
    said = Settings(noise_multiplier=sigma, examples=n, batch_size=batch, steps=steps)
    fixed = accounting.epsilon(said.with_(sampling="fixed-size", adjacency=REPLACE_ONE).plan(), delta)
    assert (fixed.lower, fixed.upper) == (pytest.approx(low, abs=3e-4), pytest.approx(high, abs=3e-4))
    drawn = accounting.epsilon(said.with_(adjacency=REPLACE_ONE).plan(), delta)
    assert (drawn.lower, drawn.upper) == (pytest.approx(poisson, abs=3e-4), pytest.approx(poisson, abs=3e-4))
    for adjacency in (ADD_REMOVE, ZERO_OUT):
        assert accounting.epsilon(said.with_(adjacency=adjacency).plan(), delta).value == pytest.approx(
            add_remove, abs=3e-4
        )


def test_without_sampling_a_replaced_record_moves_the_sum_twice_as_far() -> None:
    for scheme in (Poisson(1.0), FixedSize(50, 50)):
        replaced = accounting.epsilon(Plan((Phase(Gaussian(6.0), scheme, 40),), adjacency=REPLACE_ONE), 1e-6)
        once = accounting.epsilon(Plan.from_rate(3.0, 1.0, 40), 1e-6)
        assert replaced.value == pytest.approx(once.value, rel=1e-8)


def test_fixed_size_batches_under_add_remove_are_sampled_gaussians_of_half_the_noise_to_every_accountant() -> None:
    fixed = Plan((Phase(Gaussian(3.0), FixedSize(20, 1000), 300),))
    half = Plan.from_rate(1.5, 0.02, 300)
    for name in ("exact", "rdp", "moments", "gdp", "basic"):
        found, known = accounting.epsilon(fixed, 1e-6, name), accounting.epsilon(half, 1e-6, name)
        assert (found.lower, found.upper, found.estimate) == (known.lower, known.upper, known.estimate)
        assert found.assumptions.sampling == "batches of exactly 20 of 1000"


@pytest.mark.slow
def test_more_noise_never_costs_more_and_more_steps_never_cost_less() -> None:
    def spent(sigma: float, steps: int, sampling: str) -> accounting.Bound:
        said = Settings(noise_multiplier=sigma, examples=5000, batch_size=50, steps=steps, adjacency=REPLACE_ONE)
        return accounting.epsilon(said.with_(sampling=sampling).plan(), 1e-6)

    for sampling in ("poisson", "fixed-size"):
        by_noise = [spent(sigma, 200, sampling) for sigma in (0.8, 1.0, 1.5, 3.0)]
        by_steps = [spent(1.5, steps, sampling) for steps in (1, 2, 10, 100, 400)]
        for more, less in [*pairwise(by_noise), *zip(by_steps[1:], by_steps, strict=False)]:
            assert more.value >= less.value * (1 - 1e-5)
        for bound in (*by_noise, *by_steps):
            assert bound.lower is not None and bound.upper is not None and bound.lower <= bound.upper
    once = dataclasses.replace(Plan((Phase(Gaussian(1.5), Poisson(0.01), 100),)), adjacency=REPLACE_ONE)
    split = dataclasses.replace(once, phases=(dataclasses.replace(once.only_phase, steps=50),) * 2)
    assert accounting.epsilon(split, 1e-6).value == pytest.approx(accounting.epsilon(once, 1e-6).value, rel=1e-5)


@pytest.mark.parametrize("edges", [(-2.0, -0.1, 0.0, 0.1, 2.0), (-2.0, -0.1, 0.1, 2.0), (0.2, 0.5), (-0.5, -0.2)])
def test_the_mirrored_law_has_above_0_what_the_law_has_and_below_its_reflection(edges: tuple[float, ...]) -> None:
    law = pairs.subsampled(pairs.gaussian(0.5), 0.1).remove
    mirrored = pairs.Mirrored(law)
    found = mirrored.masses(np.array(edges))
    assert len(found.p) == len(found.q) == len(found.relative) == len(edges) - 1 == len(found.moved) - 1
    for k, (low, high) in enumerate(pairwise(edges)):
        above, below = (
            law.masses(np.array([max(low, 0.0), max(high, 0.0)])),
            law.masses(np.array([max(-high, 0.0), max(-low, 0.0)])),
        )
        assert found.p[k] == pytest.approx(above.p[0] + below.q[0], rel=1e-12)
        assert found.q[k] == pytest.approx(above.q[0] + below.p[0], rel=1e-12)
    whole, (atom,) = mirrored.masses(np.array([-math.inf, math.inf])), mirrored.atoms.rows
    assert whole.p.sum() + atom[1] == pytest.approx(1.0, abs=1e-13)
    assert whole.q.sum() + atom[2] == pytest.approx(1.0, abs=1e-13)


@pytest.mark.parametrize("epsilon", [0.0, 0.01, 0.5, 3.0])
def test_one_step_of_a_fixed_size_batch_costs_the_sampled_gaussian_at_half_the_noise(epsilon: float) -> None:
    plan = Plan((Phase(Gaussian(1.2), FixedSize(30, 1000), 1),), adjacency=REPLACE_ONE)
    found, known = accounting.delta(plan, epsilon), accounting.delta(Plan.from_rate(0.6, 0.03, 1), epsilon)
    assert (found.lower, found.upper) == (pytest.approx(known.lower, rel=1e-5), pytest.approx(known.upper, rel=1e-5))


def test_what_no_theorem_covers_is_refused() -> None:
    with pytest.raises(NotApplicable, match=r"gaussian with .* under replace-one"):
        accounting.epsilon(Plan((Phase(Gaussian(1.0), Poisson(0.1), 5),), adjacency=REPLACE_ONE), 1e-5, "moments")
