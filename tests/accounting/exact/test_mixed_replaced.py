"""One record replaced by another, along a contour: rule, decay and figures, against mpmath and against the lattice."""

import functools
import math
import random

import numpy as np
import pair_oracle
import pytest
from mpmath import mp, mpc, mpf
from two_engines import check_decay, check_that_they_meet

from dpplan.accounting import exact
from dpplan.accounting.exact import mixed, other_laws
from dpplan.accounting.exact.contour.privacy_loss import Cut
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.exact.mixed.law_as_points import Uncomposable
from dpplan.accounting.exact.mixed.poisson_replaced import ReplacedSteps
from dpplan.accounting.exact.mixed.replaced_rule import Replacement, Trapezoid
from dpplan.accounting.pairs import GaussianLoss, StatedLoss
from dpplan.accounting.pairs.replace_one import ReplacedGaussianLoss
from dpplan.adjacency import REPLACE_ONE
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson


@pytest.fixture(autouse=True)
def _precise():
    with mp.workdps(20):
        yield


def transform(sigma: float, q: float, z: mpc, cut: Cut | None = None) -> mpc:
    """∫ c·φ·r(x)^(1 + z)·r(-x)^-z dx by a plain sum, fine enough that halving its step moves nothing."""
    s, rate = mpf(sigma), mpf(q)

    def log_ratio(x: mpf) -> mpf:
        return mp.log(1 - rate + rate * mp.exp((2 * x - 1) / (2 * s * s)))

    width = mpf(float(cut.width[0, 0])) if cut else s
    h = min(s, s * s, width) / (3 + abs(z.imag) / 10)
    low, high = -11 * s - 1, (mpf(float(cut.at[0, 0])) + 12 * width if cut else 2 + z.real + 12 * s)
    total = mpc(0)
    for k in range(int((high - low) / h) + 1):
        x = low + k * h
        weight = mp.erfc((x - mpf(float(cut.at[0, 0]))) / width / mp.sqrt(2)) / 2 if cut else mpf(1)
        total += weight * mp.npdf(x, 0, s) * mp.exp((1 + z) * log_ratio(x) - z * log_ratio(-x))
    return total * h


CUT = Cut(np.array([[4.0]]), np.array([[0.3]]))
STEPS = [(1.0, 0.1, None), (0.5, 0.01, None), (4.0, 0.6, None), (1.0, 0.1, CUT), (0.7, 0.001, CUT)]


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(("sigma", "q", "cut"), STEPS)
@pytest.mark.parametrize(("tilt", "u"), [(0.2, 3.0), (4.0, 12.0)])
def test_the_transform_lies_within_its_error(sigma, q, cut, tilt, u):
    steps = ReplacedSteps(Replacement(sigma, q, cut), 1.0)
    grid = np.linspace(0.0, u, 5)
    tilted = steps.at(np.array([tilt]), u)[0]
    real = transform(sigma, q, mpc(tilt), cut).real
    assert abs(real / mp.exp(mpf(tilted.log_g)) - 1) <= mpf(tilted.error) < 1e-11
    drop, turn, error = tilted.line(grid)
    truth = transform(sigma, q, mpc(tilt, u), cut) / mp.exp(mpf(tilted.log_g))
    found = mpc(1 - mpf(float(drop[-1])), mpf(float(turn[-1])))
    assert abs(found - truth) <= mpf(float(error[-1])) < 1e-9


@pytest.mark.sweep(every=9)
@pytest.mark.parametrize(("sigma", "q", "cut"), STEPS)
@pytest.mark.parametrize(("s", "u"), [(3.0, 0.0), (2.0, 9.0), (0.0, 0.0), (-1.0, 0.0)])
def test_the_remainder_bounds_what_a_coarse_rule_leaves_out(sigma, q, cut, s, u):
    """Nodes far apart, and a range too short on the right, so that the error is large enough to be seen."""
    step = Replacement(sigma, q, cut)
    seen, z = 0, mpc(s, u)
    truth = transform(sigma, q, z, cut)
    for stretch in (2.0, 4.0, 8.0, 12.0):
        good = Trapezoid.good_to(step, max(s, 0.0), u)
        coarse = Trapezoid(step, good.low, good.high - 2.0 * sigma * (cut is None), good.h * stretch, good.height)
        points = coarse.points()
        found = mp.fsum(
            mpf(p) * mp.exp(z * mpf(loss)) for p, loss in zip(points.p.tolist(), points.loss.tolist(), strict=True)
        )
        left_out = abs(found - truth)
        assert left_out <= mp.exp(mpf(coarse.log_remainder(s, u))) + mpf(10) ** -13
        seen += left_out > 1e-10
    assert seen > 0


@pytest.mark.parametrize(("sigma", "q", "cut"), STEPS)
@pytest.mark.parametrize("tilt", [0.5, 5.0])
def test_the_decay_is_never_below_the_modulus(sigma, q, cut, tilt):
    steps = ReplacedSteps(Replacement(sigma, q, cut), 1.0)
    bounds = check_decay(steps, tilt)
    assert bounds[-1] < -1e-6


def test_a_decay_that_ends_the_sum_of_many_steps_is_found():
    steps = ReplacedSteps(Replacement(1.0, 0.05), 400.0)
    tilted = steps.at(np.array([2.0]), 40.0)[0]
    assert np.all(steps.log_decay(tilted, np.geomspace(20.0, 4e4, 40)) < -35.0)


# (σ, q, T, ε, δ), by `slow_delta`.
KNOWN = [
    (1.0, 0.05, 300, 6.0, "0.00280960168247295563"),
    (2.0, 0.3, 60, 14.0, "9.15875498253516073e-8"),
    (0.8, 0.4, 20, 50.0, "1.4834232281353165e-19"),
]


def slow_delta(sigma: float, q: float, steps: int, epsilon: float) -> mpf:
    with mp.workdps(25):
        moment = functools.cache(functools.partial(transform, sigma, q))
        return pair_oracle.contour_delta([(moment, steps)], epsilon, depth=40.0)


@pytest.mark.slow
@pytest.mark.parametrize(("sigma", "q", "steps", "epsilon", "delta"), KNOWN)
def test_figures_on_record_are_those_of_mpmath(sigma, q, steps, epsilon, delta):
    assert abs(slow_delta(sigma, q, steps, epsilon) / mpf(delta) - 1) < 1e-12


@pytest.mark.parametrize(("sigma", "q", "steps", "epsilon", "delta"), KNOWN)
def test_figures_hold_those_of_mpmath(sigma, q, steps, epsilon, delta):
    truth = mpf(delta)
    run = Composition.of([(ReplacedGaussianLoss(sigma, q), steps)])
    found, spent = mixed.delta_ends(run, epsilon), mixed.epsilon_ends(run, float(truth))
    assert found is not None
    assert spent is not None
    slack = 1e-12 * truth  # of the oracle's own sum
    assert found.lower - slack <= truth <= found.upper + slack
    assert found.relative_width < 1e-8
    assert spent.lower - 1e-11 * epsilon <= epsilon <= spent.upper + 1e-11 * epsilon
    assert spent.relative_width < 1e-9


@pytest.mark.sweep(slow=("1.1-0.004",))
@pytest.mark.parametrize(
    ("sigma", "q", "steps", "delta"),
    [
        pytest.param(1.0, 0.01, 1000, 1e-5, marks=pytest.mark.slow),
        (1.1, 0.004, 14063, 1e-50),
        (0.6, 0.1, 50, 1e-5),
        (10.2, 5e-4, 339, 8e-6),
    ],
)
def test_the_lattice_meets_it_and_is_wider(sigma, q, steps, delta):
    run = Composition.of([(ReplacedGaussianLoss(sigma, q), steps)])
    check_that_they_meet(run, delta, narrow=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_both_engines_meet_on_random_plans(seed):
    rng = random.Random(seed)

    def log_uniform(low: float, high: float) -> float:
        return math.exp(rng.uniform(math.log(low), math.log(high)))

    served = 0
    for _ in range(15):
        terms = [
            (ReplacedGaussianLoss(log_uniform(0.15, 50.0), min(log_uniform(1e-5, 2.0), 0.99)), int(log_uniform(2, 1e6)))
            for _ in range(rng.choice([1, 1, 2]))
        ]
        run, delta = Composition.of(terms), 10.0 ** -rng.uniform(2.0, rng.choice([9.0, 50.0]))
        fast, lattice = mixed.epsilon_ends(run, delta), run.epsilon(delta)
        if fast is not None:
            served += 1
            assert fast.lower <= lattice.upper, (terms, delta)
            assert lattice.lower <= fast.upper, (terms, delta)
    assert served >= 5


def test_with_other_laws_it_is_one_product():
    run = Composition.of([(ReplacedGaussianLoss(1.0, 0.05), 300), (GaussianLoss(5.0), 3), (StatedLoss(0.3, 1e-9), 4)])
    lattice, fast = run.epsilon(1e-6), mixed.epsilon_ends(run, 1e-6)
    assert fast is not None
    assert lattice.lower <= fast.upper and fast.lower <= lattice.upper
    assert fast.relative_width < 1e-9


def test_a_replace_one_plan_names_the_engine_and_is_narrow():
    plan = Plan((Phase(Gaussian(1.1), Poisson(256 / 60000), 14063),), REPLACE_ONE)
    bound = exact.epsilon(plan, 1e-5)
    assert bound.details["method"] == mixed.METHOD
    assert bound.lower <= 4.2214699031 <= bound.upper
    few = Plan((Phase(Gaussian(1.0), Poisson(0.1), 3),), REPLACE_ONE)
    assert exact.epsilon(few, 1e-5).details["method"] == other_laws.METHOD


def test_what_floats_cannot_hold_is_left_to_another_engine():
    with pytest.raises(Uncomposable):
        ReplacedSteps(Replacement(1.0, 0.1), 1.0).at(np.array([60.0]))
    assert mixed.epsilon_ends(Composition.of([(ReplacedGaussianLoss(1.0, 0.9999), 100)]), 1e-5) is None
