"""Rare jumps of any law: the lattice against contours of sampled Gaussians, and users against integrals."""

import math
import random

import numpy as np
import pytest
from mpmath import mp, mpf
from scipy.stats import norm

from dpplan import accounting
from dpplan.accounting import pairs
from dpplan.accounting.exact import lattice_jumps
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.pairs import allocated_rounds
from dpplan.accounting.pairs.allocation import Mean
from dpplan.accounting.pairs.dominating import Resolution
from dpplan.accounting.pairs.gaussian_mixtures import GroupLoss
from dpplan.mechanism import Stated
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

# σ, q, steps, δ
PLANS = [(1.0, 1e-6, 3, 1e-14), (0.7, 1e-7, 10, 1e-40), (1.3, 1e-5, 1000, 1e-20), (0.5, 3e-6, 200, 1e-9)]


def one_example(sigma, q, steps):
    return Composition.of([(pairs.sampled_gaussian(sigma, q).remove, steps)])


@pytest.mark.parametrize(
    ("sigma", "q", "steps", "asked"), [PLANS[1], *(pytest.param(*PLANS[k], marks=pytest.mark.slow) for k in (0, 2, 3))]
)
def test_one_example_costs_what_contours_say(sigma, q, steps, asked):
    run, plan = one_example(sigma, q, steps), Plan.from_rate(sigma, q, steps)
    found, known = lattice_jumps.epsilon_ends(run, asked), accounting.epsilon(plan, asked)
    assert found is not None
    assert found.relative_width <= 1e-4
    assert found.lower <= known.upper
    assert known.lower <= found.upper
    back, there = lattice_jumps.delta_ends(run, 1.1 * known.upper), accounting.delta(plan, 1.1 * known.upper)
    assert back is not None
    assert back.relative_width <= 1e-3
    assert back.lower <= there.upper
    assert there.lower <= back.upper


@pytest.mark.slow
def test_random_plans_cost_what_contours_say():
    rng, known = random.Random(5), 0
    while known < 60:
        sigma, q = math.exp(rng.uniform(-1.0, 1.4)), 10.0 ** rng.uniform(-8.0, -3.0)
        steps, asked = int(10.0 ** rng.uniform(0.4, 4.0)), 10.0 ** rng.uniform(-60.0, -7.0)
        if steps * q > 0.2:
            continue
        found = lattice_jumps.epsilon_ends(one_example(sigma, q, steps), asked)
        bound = accounting.epsilon(Plan.from_rate(sigma, q, steps), asked)
        if found is not None:
            known += 1
            assert found.lower <= bound.upper
            assert bound.lower <= found.upper


def pair_of_steps(sigma, q, epsilon):
    """δ of two steps of a user of two examples: the mean over the first one's output of one step's at what is left."""
    weights = np.array([(1.0 - q) ** 2, 2.0 * q * (1.0 - q), q * q])
    turned = weights * np.exp(-(np.arange(3.0) ** 2) / (2.0 * sigma**2))  # r = Σ turned·w^j, w = e^(x/σ²)

    def alone(log_alpha):
        over = np.expm1(log_alpha) + 1.0 - weights[0]
        with np.errstate(invalid="ignore", divide="ignore"):
            w = 2.0 * over / (turned[1] + np.sqrt(turned[1] ** 2 + 4.0 * turned[2] * over))
            place = sigma**2 * np.log(w)
        p = sum(weight * norm.sf((place - j) / sigma) for j, weight in enumerate(weights))
        return np.where(over > 0.0, p - np.exp(log_alpha) * norm.sf(place / sigma), -np.expm1(log_alpha))

    points, rule = np.polynomial.legendre.leggauss(12)
    edges = np.linspace(-9.0 * sigma, 2.0 + 30.0 * sigma, 6001)
    half = 0.5 * np.diff(edges)[:, None]
    x = edges[:-1, None] + half * (1.0 + points)
    log_r = np.log(sum(turned[j] * np.exp(j * x / sigma**2) for j in range(3)))
    density = np.exp(log_r) * norm.pdf(x, 0.0, sigma)
    return float((half * rule * density * alone(epsilon - log_r)).sum())


@pytest.mark.sweep(slow=("1.0-0.0001",))
@pytest.mark.parametrize(("sigma", "q", "epsilon"), [(1.0, 1e-6, 0.1), (1.0, 1e-4, 0.02), (0.6, 1e-6, 3.0)])
def test_users_cost_their_integral(sigma, q, epsilon):
    found = lattice_jumps.delta_ends(Composition.of([(GroupLoss(sigma, q, 2), 2)]), epsilon)
    truth = pair_of_steps(sigma, q, epsilon)
    assert found is not None
    assert found.relative_width <= 1e-4
    assert found.lower <= truth * (1.0 + 1e-6)
    assert truth <= found.upper * (1.0 + 1e-6)


def test_where_records_are_drawn_often_it_says_nothing():
    assert lattice_jumps.epsilon_ends(one_example(1.0, 0.01, 1000), 1e-5) is None
    assert lattice_jumps.delta_ends(one_example(1.0, 0.01, 1000), 1.0) is None


def test_what_hardly_ever_happens_is_bounded_at_once():
    found = lattice_jumps.delta_ends(Composition.of([(GroupLoss(4.0, 1e-6, 2), 3)]), 0.1)
    assert found is not None
    assert 0.0 <= found.lower <= found.upper <= 1e-100


def test_next_to_no_epsilon_is_answered_where_no_lattice_of_jumps_can_be_laid():
    plan = Plan((Phase(Stated(20.0, 1e-5), Poisson(1e-9), 300),))
    with mp.workdps(30):
        apart = mpf("1e-9") * ((1 - mpf("1e-5")) * mp.tanh(10) + mpf("1e-5"))
        most = 1 - (1 - apart) ** 300  # δ(0) is at most this, and no less but for twice in a run
    found = accounting.delta(plan, 1e-15)
    assert found.lower <= most and most * (1 - 1e-6) <= found.upper <= 1.001 * most


@pytest.mark.parametrize("epsilon", [1e-6, 1e-5, 7e-5])
def test_losses_too_far_apart_for_a_lattice_at_the_tilt_of_a_small_epsilon_are_answered_by_others(epsilon):
    plan = Plan((Phase(Stated(14.485217, 0.0), Poisson(1.457e-4), 5),))
    with mp.workdps(30):
        apart = mpf(1.457e-4) * mp.tanh(mpf(14.485217) / 2)
        most = 1 - (1 - apart) ** 5  # as above
    found = accounting.delta(plan, epsilon)
    assert found.lower <= most and most * (1 - 1e-3) <= found.upper <= 1.001 * most


@pytest.mark.parametrize("side", ["above", pytest.param("below", marks=pytest.mark.slow)])
def test_epochs_of_bins_in_which_one_step_decides_cost_what_their_convolution_says(side):
    """Of positive terms alone, none of them lost. No tilt suits these epochs: of a transform of all of it, roundings
    are a share of delta, since the paths without a large loss weigh so much more."""
    pair = allocated_rounds.allocated(Mean(((1.0, 20_000),), 20_000), Resolution(0, 70))
    law = (pair if side == "above" else pair.realised[0]).remove
    run, delta = Composition.of([(law, 8)]), 1e-20
    assert lattice_jumps.epsilon_ends(run, delta) is None  # outputs are too far apart to begin with
    found = lattice_jumps.epsilon_ends(run, delta, 0.62)
    assert found is not None
    assert found.relative_width < 1e-6

    h = law.spacing
    points = np.rint(law.atoms.loss / h).astype(int)
    first, last = points[0], int(2.0 / h)  # what lies beyond is capped: 10^-7 of delta
    one = np.bincount(np.minimum(points, last) - first, law.atoms.p)
    whole = one
    for _ in range(3):
        whole = np.convolve(whole, whole)
    losses = h * (8 * first + np.arange(len(whole)))

    def spent(epsilon):
        beyond = losses > epsilon
        return float((whole[beyond] * -np.expm1(epsilon - losses[beyond])).sum())

    assert spent(found.upper * (1.0 + 1e-6)) < delta < spent(found.lower * (1.0 - 1e-6))
