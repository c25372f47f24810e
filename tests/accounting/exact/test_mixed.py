"""Gaussians and laws of other kinds in one contour: against sums over all outcomes, and against the lattice."""

import dataclasses
import math
import random
import sys
from collections.abc import Callable

import numpy as np
import oracle
import pair_oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting import exact, pairs
from dpplan.accounting.exact import mixed, other_laws
from dpplan.accounting.exact.contour.composed_loss import Line
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.exact.mixed import invert as mixed_ends
from dpplan.accounting.exact.mixed.composed import MixedMeasure, Normal
from dpplan.accounting.exact.mixed.law_as_points import Uncomposable
from dpplan.accounting.exact.mixed.laws_without_decay import Factor, Factors
from dpplan.accounting.pairs import GaussianLoss, LaplaceLoss, ResponseLoss, Reversed, StatedLoss, Subsampled
from dpplan.adjacency import ZERO_OUT
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan, Settings
from dpplan.render.bound_detail_glossary import METHODS
from dpplan.sampling import FixedSize

NARROW = 1e-9
Profile = Callable[[mpf], mpf]  # δ at any real ε


@pytest.fixture(autouse=True)
def _precise():
    with mp.workdps(60):
        yield


def gaussian_profile(mu: mpf) -> Profile:
    def delta(epsilon: mpf) -> mpf:
        return oracle.normal_tail(epsilon / mu - mu / 2) - mp.exp(epsilon) * oracle.normal_tail(epsilon / mu + mu / 2)

    return delta


def binary_profile(inner: Profile, loss: mpf, p: mpf, low: mpf, steps: int) -> Profile:
    """Of `steps` losses of ±loss with masses p and low, and what `inner` is the profile of; the rest is at +inf."""

    def delta(epsilon: mpf) -> mpf:
        def weight(k: int) -> mpf:
            return mp.binomial(steps, k) * p**k * low ** (steps - k)

        finite = mp.fsum(weight(k) * inner(epsilon - (2 * k - steps) * loss) for k in range(steps + 1))
        return 1 - (p + low) ** steps + finite

    return delta


def stated_profile(inner: Profile, epsilon: float, delta: float, steps: int) -> Profile:
    kept, e = 1 - mpf(delta), mpf(epsilon)
    return binary_profile(inner, e, kept / (1 + mp.exp(-e)), kept / (1 + mp.exp(e)), steps)


def assert_certified(run: Composition, epsilon: float, truth: mpf, width: float = NARROW) -> None:
    found = mixed.delta_ends(run, epsilon)
    assert found is not None
    assert found.lower <= truth <= found.upper
    assert found.relative_width <= width
    spent = mixed.epsilon_ends(run, float(truth))
    assert spent is not None
    slack = 1e-13 * (1.0 + epsilon)  # the truth was rounded to a float
    assert spent.lower - slack <= epsilon <= spent.upper + slack
    assert spent.relative_width <= NARROW
    assert mixed.epsilon_below(run, epsilon * (1.0 + 1e-6), float(truth))
    assert not mixed.epsilon_below(run, epsilon * (1.0 - 1e-6), float(truth))


@pytest.mark.sweep(slow=("4.0-30-0.1",))
@pytest.mark.parametrize(
    ("sigma", "steps", "step_epsilon", "step_delta", "others", "epsilon"),
    [
        (1.0, 1, 1.0, 0.0, 1, 1.5),
        (1.0, 1, 2.0, 1e-6, 1, 5.0),
        pytest.param(4.0, 30, 0.1, 0.0, 1000, 20.0, marks=pytest.mark.slow),
        (4.0, 30, 0.1, 1e-20, 1000, 26.0),
        (3.0, 10, 0.3, 0.0, 100, 38.0),  # 2e-40
        (0.7, 3, 0.05, 0.0, 40, 20.0),
        (30.0, 7, 0.5, 1e-9, 20, 3.0),  # a weak Gaussian: nearly discrete
        (200.0, 1, 0.5, 0.0, 12, 3.2),
    ],
)
def test_stated_pairs_among_gaussians(sigma, steps, step_epsilon, step_delta, others, epsilon):
    profile = stated_profile(gaussian_profile(mp.sqrt(steps) / mpf(sigma)), step_epsilon, step_delta, others)
    run = Composition.of([(GaussianLoss(sigma), steps), (StatedLoss(step_epsilon, step_delta), others)])
    assert_certified(run, epsilon, profile(mpf(epsilon)))


def test_deltas_of_1e_50_are_as_narrow():
    run = Composition.of([(GaussianLoss(3.0), 10), (StatedLoss(0.3, 0.0), 100)])
    profile = stated_profile(gaussian_profile(mp.sqrt(10) / mpf(3)), 0.3, 0.0, 100)
    spent = mixed.epsilon_ends(run, 1e-50)
    assert spent is not None
    assert spent.relative_width <= NARROW
    assert profile(mpf(spent.upper)) <= mpf(1e-50) <= profile(mpf(spent.lower))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("rate", "steps", "epsilon"), [(0.3, 50, 3.0), (0.01, 400, 1.5), (0.9, 6, 3.0)])
def test_sampled_randomized_response_among_gaussians_in_both_directions(reverse, rate, steps, epsilon):
    """Its two losses are log(1 - q + q·e^±l), of which the reverse's are the negatives."""
    law = Subsampled(ResponseLoss(2, 0.6), rate)
    q, other = mpf(rate), mpf(0.6) / 2
    ups, downs = q * (1 - other) + (1 - q) * other, q * other + (1 - q) * (1 - other)
    rows = [(mp.log(ups / other), ups, other), (mp.log(downs / (1 - other)), downs, 1 - other)]
    if reverse:
        rows = [(-loss, there, here) for loss, here, there in rows]
    inner = gaussian_profile(mp.sqrt(3) / 2)
    truth = mp.fsum(
        mp.binomial(steps, k)
        * rows[0][1] ** k
        * rows[1][1] ** (steps - k)
        * inner(mpf(epsilon) - k * rows[0][0] - (steps - k) * rows[1][0])
        for k in range(steps + 1)
    )
    run = Composition.of([(GaussianLoss(2.0), 3), (Reversed(law) if reverse else law, steps)])
    assert_certified(run, epsilon, truth)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_sampled_gaussian_step_among_others_in_both_directions(reverse):
    """The step's outcome x is integrated over, and what the others tell taken at the ε it leaves."""
    q, s = mpf(0.3), mpf(0.8)
    inner = stated_profile(gaussian_profile(mp.sqrt(2) / mpf(1.5)), 0.4, 1e-8, 3)

    def integrand(x: mpf) -> mpf:
        ratio = 1 - q + q * mp.exp((2 * x - 1) / (2 * s * s))
        return mp.npdf(x, 0, s) * (inner(2 + mp.log(ratio)) if reverse else ratio * inner(2 - mp.log(ratio)))

    with mp.workdps(25):  # smooth, and below 1e-20 outside: a plain sum is as good as any rule
        truth = mp.fsum(integrand(mpf(k) / 16) for k in range(-128, 160)) / 16
    law = Subsampled(GaussianLoss(0.8), 0.3)
    run = Composition.of([(Reversed(law) if reverse else law, 1), (GaussianLoss(1.5), 2), (StatedLoss(0.4, 1e-8), 3)])
    assert_certified(run, 2.0, truth)


@pytest.mark.slow
def test_many_sampled_gaussians_and_a_stated_pair():
    truth = mpf(1e-9)
    with mp.workdps(25):
        for sign in (1, -1):
            mass = (1 - mpf(1e-9)) / (1 + mp.exp(-sign * mpf(0.5)))
            truth += mass * oracle.contour_delta(0.05, 1.0, 200, 3.0 - sign * 0.5, 4.0, 1.0)
    run = Composition.of([(Subsampled(GaussianLoss(1.0), 0.05), 200), (StatedLoss(0.5, 1e-9), 1)])
    assert_certified(run, 3.0, truth)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("scale", "steps", "sigma", "releases", "epsilon"),
    [
        (5.0, 20, 2.0, 5, 4.0),
        (0.5, 3, 1.0, 1, 7.0),
        (10.0, 1000, 5.0, 100, 60.0),
        pytest.param(2.0, 40, 20.0, 1, 19.5, marks=pytest.mark.slow),
    ],
)
def test_laplace_releases_among_gaussians(scale, steps, sigma, releases, epsilon):
    moments = [(pair_oracle.laplace_moment(scale), steps), (pair_oracle.gaussian_moment(sigma), releases)]
    truth = pair_oracle.contour_delta(moments, epsilon)
    run = Composition.of([(LaplaceLoss(scale), steps), (GaussianLoss(sigma), releases)])
    assert_certified(run, epsilon, truth)


def lattice_meets(known: other_laws.Known, delta: float) -> list[str]:
    """Whether both engines' intervals meet, direction by direction; which served."""
    methods = []
    for run in other_laws.directions(known):
        lattice, fast = run.epsilon(delta), mixed.epsilon_ends(run, delta)
        if fast is None:
            continue
        methods.append(fast.method)
        assert fast.lower <= lattice.upper, (known, delta)
        assert lattice.lower <= fast.upper, (known, delta)
        epsilon = 0.5 * (fast.lower + fast.upper)
        if 0.0 < epsilon < math.inf:
            there, here = run.delta(epsilon), mixed.delta_ends(run, epsilon)
            assert here is None or (here.lower <= there.upper and there.lower <= here.upper), (known, delta)
    return methods


def random_plan(rng: random.Random) -> tuple[other_laws.Known, float]:
    def log_uniform(low: float, high: float) -> float:
        return math.exp(rng.uniform(math.log(low), math.log(high)))

    def simple() -> pairs.DominatingPair:
        kind = rng.randrange(3)
        if kind == 0:
            return pairs.laplace(log_uniform(0.3, 50.0))
        if kind == 1:
            return pairs.randomized_response(rng.randint(2, 10), rng.uniform(0.1, 0.99))
        return pairs.stated(log_uniform(0.01, 3.0), rng.choice([0.0, 1e-12, 1e-8]))

    def other() -> pairs.DominatingPair:
        kind = rng.randrange(4)
        if kind == 1:
            return pairs.subsampled(simple(), log_uniform(1e-3, 0.9))
        if kind == 2:
            return pairs.mixed(((0.25, simple()), (0.75, simple())))
        if kind == 3:
            return pairs.subsampled(pairs.mixed(((0.25, simple()), (0.75, simple()))), log_uniform(0.01, 0.9))
        return simple()

    known = [
        (pairs.subsampled(pairs.gaussian(log_uniform(0.4, 30.0)), min(log_uniform(1e-3, 2.0), 1.0)),
         int(log_uniform(1.0, 1e4)))
        for _ in range(rng.randint(1, 2))
    ]  # fmt: skip
    known += [(other(), int(log_uniform(1.0, 300.0))) for _ in range(rng.randint(1, 3))]
    return known, 10.0 ** -rng.uniform(2.0, rng.choice([9.0, 50.0]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("others", "delta"),
    [
        ([(pairs.subsampled(pairs.laplace(1.0), 0.1), 50), (pairs.stated(0.3, 1e-12), 4)], 1e-7),
        pytest.param(
            [(pairs.mixed(((0.25, pairs.laplace(2.0)), (0.75, pairs.randomized_response(4, 0.8)))), 9)],
            1e-25,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_both_engines_meet(others, delta):
    known = [(pairs.subsampled(pairs.gaussian(2.0), 0.05), 300), *others]
    assert lattice_meets(known, delta) == 2 * [mixed.METHOD]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_both_engines_meet_on_many_random_plans(seed):
    rng = random.Random(1000 + seed)
    assert sum(len(lattice_meets(*random_plan(rng))) for _ in range(10)) >= 5


def test_twenty_laplace_releases_before_a_training_run():
    """Another accountant's grid says 3.7833."""
    known = [(pairs.laplace(5.0), 20), (pairs.subsampled(pairs.gaussian(3.0), 0.02), 500)]
    ends = other_laws.epsilon_ends(known, 1e-6)
    assert ends.method == mixed.METHOD
    assert ends.lower == pytest.approx(3.78332147, abs=1e-8)
    assert ends.relative_width <= 1e-11
    there = other_laws.delta_ends(known, 3.0)
    assert there.method == mixed.METHOD
    assert there.relative_width <= 1e-9


def test_the_larger_direction_decides_whichever_comes_first():
    known = [(pairs.laplace(5.0), 20), (pairs.subsampled(pairs.gaussian(3.0), 0.02), 500)]
    swapped = [(dataclasses.replace(pair, remove=pair.add, add=pair.remove), steps) for pair, steps in known]
    for figure, at in ((other_laws.epsilon_ends, 1e-6), (other_laws.delta_ends, 3.0)):
        ends, other = figure(known, at), figure(swapped, at)
        assert other.lower == pytest.approx(ends.lower, rel=1e-10)
        assert other.upper == pytest.approx(ends.upper, rel=1e-10)


@pytest.mark.parametrize(
    "known",
    [
        [(pairs.gaussian(1e7), 1), (pairs.randomized_response(2, 0.5), 30)],  # practically discrete
        [(pairs.laplace(1.0), 4), (pairs.randomized_response(3, 0.5), 3)],  # nothing that decays
        [(pairs.gaussian(3.0), 2), (pairs.mixed(((0.5, pairs.gaussian(1.0)), (0.5, pairs.laplace(1.0)))), 3)],
    ],
)
def test_where_the_contour_is_not_the_way_the_lattice_answers(known):
    ends = other_laws.epsilon_ends(known, 1e-5)
    assert ends.method == other_laws.METHOD
    assert ends.relative_width <= 1e-4


def test_too_many_points_are_refused_before_they_are_made():
    factor = Factor.of(LaplaceLoss(0.01), 1)
    assert factor is not None
    with pytest.raises(Uncomposable):
        factor.at(np.array([1.0]), 1e6)


def test_losses_at_infinity_count_whole_and_are_never_spent_twice():
    run = Composition.of([(GaussianLoss(1.0), 1), (StatedLoss(1.0, 1e-4), 5)])
    far = mixed.delta_ends(run, 200.0)
    assert far is not None
    assert far.lower <= float(-mp.expm1(5 * mp.log1p(-mpf(1e-4)))) <= far.upper
    assert far.relative_width < 1e-10
    assert mixed.epsilon_ends(run, 4.9e-4) is None  # no ε is enough: the lattice engine says so
    assert other_laws.epsilon_ends([(pairs.gaussian(1.0), 1), (pairs.stated(1.0, 1e-4), 5)], 4.9e-4).lower == math.inf


def test_a_direction_that_spends_nothing_decides_nothing():
    run = Composition.of([(GaussianLoss(1.0), 2), (StatedLoss(1.0, 0.0), 5)])
    assert not mixed.epsilon_below(run, 1.0, 0.0)
    assert not mixed.epsilon_below(run, 0.5, 1e-5)
    assert mixed.epsilon_below(Composition.of([(StatedLoss(1.0, 0.0), 5)]), 5.1, 0.0)  # its largest loss is 5


def test_a_plan_of_two_batch_sizes_one_of_them_all_names_the_engine():
    phases = (Phase(Gaussian(20.0), FixedSize(1000, 1000), 3), Phase(Gaussian(4.0), FixedSize(20, 1000), 300))
    bound = exact.epsilon(Plan(phases), 1e-5)
    assert bound.details["method"] == mixed.METHOD
    assert bound.details["method"] in METHODS
    assert "along a contour" in bound.why
    assert set(bound.details) >= {"terms", "tilt", "frequencies", "proven"}


@pytest.mark.parametrize("tilt", [0.3, 6.0, 80.0])
def test_parts_of_a_product_hold_their_transforms(tilt):
    """The unsampled Gaussians and all other laws, on a line, in the units that they say."""
    u = np.linspace(0.0, 40.0, 81)
    law = StatedLoss(0.7, 1e-3)
    factor = Factor.of(law, 7)
    assert factor is not None
    for part, moment in (
        (Normal(0.37), lambda z: mp.exp(mpf(0.37) * z * (z + 1) / 2)),
        (
            Factors((factor,)),
            lambda z: (
                (
                    (1 - mpf(1e-3))
                    * (mp.exp(z * mpf(0.7)) / (1 + mp.exp(-mpf(0.7))) + mp.exp(-z * mpf(0.7)) / (1 + mp.exp(mpf(0.7))))
                )
                ** 7
            ),
        ),
    ):
        line, table = part.line(tilt, u), part.moments(np.array([tilt]))
        for k in range(len(u)):
            truth = moment(mp.mpc(tilt, u[k])) / mp.exp(mpf(line.log_unit))
            assert abs(mp.mpc(complex(line.values[k])) - truth) <= mpf(float(line.error[k]))
        top = mp.log(abs(moment(mpf(tilt))))
        assert top <= mpf(float(table.logs[0])) <= top + mpf(10) ** -11 * (1 + abs(top))
        assert np.all(table.log_decay(0, u) >= np.log(np.abs(line.values)) - 1e-9)
        assert float(np.max(line.error / np.maximum(np.abs(line.values), 1e-300))) < 1e-6


class Stub:
    """A part with a line and errors that are known."""

    def __init__(self, value: complex, error: float, unit: float, beyond: tuple[float, float, float]) -> None:
        self.value, self.error, self.unit, self.ends = value, error, unit, beyond
        self.unit_error = 1e-10 * abs(unit)

    def line(self, tilt: float, u: np.ndarray) -> Line:
        return Line(np.full(len(u), self.value), np.full(len(u), self.error), self.unit, 1.5, self.unit_error)

    def beyond(self, epsilon: float) -> tuple[float, float, float]:
        return self.ends


@pytest.mark.parametrize("unbounded", [True, False])
def test_a_delta_that_no_float_holds_is_never_said_to_be_none(unbounded: bool) -> None:
    """A Gaussian among the steps is private at no ε alone; releases of bounded losses are, at the sum of theirs."""
    others = [(pairs.gaussian(20.0), 2)] if unbounded else []
    found = other_laws.delta_ends([(pairs.laplace(1.0), 2), (pairs.stated(0.5, 0.0), 2), *others], 30.0)
    assert found.lower == 0.0
    assert found.upper == (sys.float_info.min if unbounded else 0.0)


def test_a_shuffled_run_is_not_private_without_a_delta() -> None:
    said = Settings(noise_multiplier=5.0, examples=100, batch_size=30, steps=9, sampling="shuffle", adjacency=ZERO_OUT)
    upper = exact.delta(said.plan(), 300.0).upper
    assert upper is not None and upper >= sys.float_info.min


def test_a_product_is_off_by_what_its_factors_may_be_off_together():
    first, second = Stub(0.5j, 0.01, 2.0, (0.0, 0.01, 0.0)), Stub(-0.2, 0.03, -1.0, (0.02, 0.03, -0.1))
    measure = MixedMeasure((first, second), (0.001, 0.002))
    line = measure.line(1.0, np.linspace(0.0, 1.0, 3))
    assert line.values == pytest.approx(-0.1j)
    assert np.all(line.error >= 0.51 * 0.23 - 0.1)
    assert line.error == pytest.approx(0.51 * 0.23 - 0.1, rel=1e-9)
    assert (line.log_unit, line.mean) == (1.0, 3.0)
    assert line.unit_error == pytest.approx(3e-10)  # what the units of both may be off
    assert measure.beyond(1.0) == pytest.approx((0.021, 0.042, -0.1))


def test_a_run_that_does_not_decay_has_no_contour():
    """Two outcomes a step: the transform is periodic, and the lattice has to answer."""
    run = Composition.of([(pairs.randomized_response(2, 0.5).remove, 10)])
    assert mixed_ends.delta_ends(run, 1.0) is None
