"""Laws as masses at points, Gauss's rule for the density of Laplace losses, and transforms of both, against mpmath."""

import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpc, mpf
from two_engines import check_that_they_meet

from dpplan.accounting import pairs
from dpplan.accounting.exact import mixed
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.exact.mixed import laplace_gauss_rule
from dpplan.accounting.exact.mixed.laplace_gauss_rule import Density, Panels, densities
from dpplan.accounting.exact.mixed.law_as_points import Points, normalised, points
from dpplan.accounting.exact.mixed.laws_without_decay import Factor
from dpplan.accounting.exact.mixed.points_transform import Remainder, Tilted
from dpplan.accounting.pairs import (
    Finite,
    GaussianLoss,
    LaplaceLoss,
    Law,
    Mixture,
    ResponseLoss,
    Reversed,
    StatedLoss,
    Subsampled,
)
from dpplan.accounting.pairs.finite import AnswerLoss, DiscreteLaplaceLoss, ZeroedAnswerLoss


@pytest.fixture(autouse=True)
def _precise():
    with mp.workdps(30):
        yield


def test_the_rule_is_gauss_legendre_to_the_accuracy_it_is_taken_to_have():
    nodes, weights = laplace_gauss_rule.gauss()
    assert len(nodes) == laplace_gauss_rule.NODES
    for x, w in zip(nodes.tolist(), weights.tolist(), strict=True):
        root = mp.findroot(lambda t: mp.legendre(laplace_gauss_rule.NODES, t), mpf(x))
        slope = mp.diff(lambda t: mp.legendre(laplace_gauss_rule.NODES, t), root)
        assert abs(root - mpf(x)) < mpf(2) ** -52
        assert abs(mpf(w) * (1 - root**2) * slope**2 / 2 - 1) < mpf(laplace_gauss_rule.RULE)


def laplace_transform(e: float, rate: float, reverse: bool, z: mpc) -> mpc:
    """Of log(1 - q + q·e^L) for the loss L of Laplace noise; atoms and density."""
    e, q = mpf(e), mpf(rate)

    def ratio(x: mpf) -> mpf:
        return 1 - q + q * mp.exp(x)

    w = -z if reverse else 1 + z
    atoms = mp.exp(-e) / 2 * mp.exp(w * mp.log(ratio(e))) + mp.exp(w * mp.log(ratio(-e))) / 2
    panels = int(4 + 4 * e + abs(z) * e / 4)
    edges = [-e + 2 * e * mpf(k) / panels for k in range(panels + 1)]
    density = mp.quad(
        lambda x: mp.exp(-(x + e) / 2 + w * mp.log(ratio(x))), edges, method="gauss-legendre", maxdegree=4
    )
    return atoms + density / 4


LAPLACE = [
    (LaplaceLoss(0.5), 2.0, 1.0, False),
    (LaplaceLoss(20.0), 0.05, 1.0, False),
    (Subsampled(LaplaceLoss(1.0), 0.1), 1.0, 0.1, False),
    (Reversed(Subsampled(LaplaceLoss(1.0), 0.1)), 1.0, 0.1, True),
    (Reversed(Subsampled(LaplaceLoss(0.25), 0.9)), 4.0, 0.9, True),
    (Subsampled(Subsampled(LaplaceLoss(0.25), 0.5), 0.02), 4.0, 0.01, False),
]


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize(("law", "e", "rate", "reverse"), LAPLACE)
@pytest.mark.parametrize(("tilt", "u"), [(0.01, 3.0), (5.0, 0.0), (40.0, 25.0)])
def test_transforms_of_laplace_losses_lie_within_their_error(law, e, rate, reverse, tilt, u):
    factor = Factor.of(law, 1)
    assert factor is not None
    grid = np.linspace(0.0, 2.0 * u if u else 1.0, 9)
    tilted = factor.at(np.array([tilt]), float(grid[-1]))[0]
    real = laplace_transform(e, rate, reverse, mpc(tilt)).real
    assert abs(real / mp.exp(mpf(tilted.log_g)) - 1) <= mpf(tilted.error) < 1e-11
    assert mp.log(real) <= mpf(tilted.log_top)
    drop, turn, error = tilted.line(grid)
    for k in (4, 8):
        truth = laplace_transform(e, rate, reverse, mpc(tilt, grid[k])) / mp.exp(mpf(tilted.log_g))
        found = mpc(1 - mpf(float(drop[k])), mpf(float(turn[k])))
        assert abs(found - truth) <= mpf(float(error[k])) < 1e-9


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("density", [Density(0.7, 2.0, 1.0, False), Density(1.0, 1.5, 0.3, True)])
@pytest.mark.parametrize(("tilt", "u"), [(0.5, 10.0), (6.0, 0.0), (2.0, 40.0)])
def test_the_remainder_bounds_what_a_short_rule_leaves_out(monkeypatch, density, tilt, u):
    """With too few nodes the error is large enough to be seen, and the bound is within some e-folds of it."""
    monkeypatch.setattr(laplace_gauss_rule, "NODES", 6)
    laplace_gauss_rule.gauss.cache_clear()
    panels = Panels(0.5)
    e, q = mpf(density.e), mpf(density.rate)
    w = -mpc(tilt, u) if density.reversed else 1 + mpc(tilt, u)

    def integrand(x: mpf) -> mpc:
        return density.weight * mp.exp(-(x + e) / 2) / 4 * mp.exp(w * mp.log(1 - q + q * mp.exp(x)))

    base = panels.rule(LaplaceLoss(1.0 / density.e))
    laplace_gauss_rule.gauss.cache_clear()
    points = base.sampled(density.rate)
    points = (points.reversed() if density.reversed else points).weighted(density.weight)
    found = mp.fsum(
        mpf(p) * mp.exp(mpc(tilt, u) * mpf(loss))
        for p, loss in zip(points.p.tolist(), points.loss.tolist(), strict=True)
    )
    truth = mp.quad(integrand, [-e + 2 * e * mpf(k) / 24 for k in range(25)])
    left_out, bound = abs(found - truth), mp.exp(mpf(panels.log_remainder(density, tilt, u)))
    assert left_out <= bound + mpf(10) ** -14
    assert bound <= mp.exp(18) * left_out + mpf(10) ** -13


@pytest.mark.parametrize(
    ("law", "rows"),
    [
        (Finite(((0.5, 0.25), (0.25, 0.5), (0.25, 0.0), (0.0, 0.25))), [(2, 0.5), (0.5, 0.25)]),
        (Subsampled(Finite(((0.5, 0.0), (0.5, 0.5), (0.0, 0.5))), 0.25), [(1, 0.5), (0.75, 0.375)]),
        (Reversed(Subsampled(Finite(((0.75, 0.25), (0.25, 0.75))), 0.5)), [(0.5, 0.25), (1.5, 0.75)]),
        (
            Mixture(((0.5, StatedLoss(math.log(3.0), 0.0)), (0.5, ResponseLoss(2, 1.0)))),
            [(3, 0.375), (1 / mpf(3), 0.125), (1, 0.5)],
        ),
    ],
)
def test_points_of_finite_laws_are_their_outcomes(law: Law, rows):
    """rows: likelihood ratio and P-mass."""
    factor = Factor.of(law, 1)
    assert factor is not None
    for tilted in factor.at(np.array([0.4, 3.0])):
        truth = mp.fsum(mpf(p) * mp.mpf(ratio) ** mpf(tilted.tilt) for ratio, p in rows)
        assert abs(truth / mp.exp(mpf(tilted.log_g)) - 1) <= mpf(tilted.error) < 1e-12


def test_a_law_that_is_nearly_still_keeps_its_digits_over_a_million_steps():
    """M - 1 is 3e-8: a figure rounded to units of 1 would be off by a million of them."""
    e = 2e-4
    factor = Factor.of(StatedLoss(e, 0.0), 10**6)
    assert factor is not None
    tilted = factor.at(np.array([1.3]))[0]
    p = 1 / (1 + mp.exp(-mpf(e)))
    truth = mp.log(p * mp.exp(mpf(1.3) * mpf(e)) + (1 - p) * mp.exp(-mpf(1.3) * mpf(e)))
    assert abs(mpf(tilted.log_g) / truth - 1) < 1e-14
    assert tilted.error * 1e6 < 1e-9
    assert tilted.slope == pytest.approx(float(e * mp.tanh(mpf(e) * 1.8)), rel=1e-13)


def test_a_phase_at_which_a_transform_vanishes_has_an_error_and_no_nan():
    """Of two losses ±e with equal weights under the tilt, φ(π/2e) = 0."""
    points = Points(np.array([-1.0, 1.0]), *(np.array([0.5, 0.5]) for _ in range(2)), *(np.zeros(2) for _ in range(2)))
    factor = Factor.of(StatedLoss(1.0, 0.0), 1)
    assert factor is not None
    tilted = Tilted(points, factor._missing, 0.0)
    log_phi, off = tilted.log_line(np.array([0.0, 0.5 * math.pi]))
    assert np.all(np.isfinite(log_phi)) and np.all(np.isfinite(off))
    assert math.exp(log_phi[1].real + off[1]) < 1e-12


@pytest.mark.parametrize(
    "law",
    [
        GaussianLoss(1.0),
        Mixture(((0.5, GaussianLoss(1.0)), (0.5, LaplaceLoss(1.0)))),
        Subsampled(Reversed(Subsampled(LaplaceLoss(1.0), 0.5)), 0.5),
    ],
)
def test_laws_that_no_points_stand_for_are_left_to_another_engine(law):
    assert densities(law) is None
    assert Factor.of(law, 1) is None


def test_losses_beyond_floats_are_left_to_another_engine():
    assert Factor.of(LaplaceLoss(1e-3), 1) is None
    assert Factor.of(pairs.stated(700.0, 0.0).remove, 1) is None


def test_what_a_rule_leaves_out_counts_in_units_of_the_moment_however_large():
    """At a tilt of 200 the moment is e^960: neither it nor the remainder is a float."""
    factor = Factor.of(LaplaceLoss(0.2), 1)
    assert factor is not None
    tilted = factor.at(np.array([200.0]))[0]
    real = laplace_transform(5.0, 1.0, False, mpc(200)).real
    assert abs(mp.log(real) - mpf(tilted.log_g)) <= mp.log1p(mpf(tilted.error))
    assert tilted.error < 1e-10
    spoiled = Tilted(tilted.points, tilted.missing, 200.0, Remainder(tilted.log_g + 3.0))
    assert spoiled.error > math.exp(3.0)
    assert np.all(spoiled.line(np.linspace(0.0, 1.0, 3))[2] > 2.0 * math.exp(3.0))


def atoms_of_answer(e: mpf, k: int) -> list[tuple[mpf, mpf]]:
    """(P, Q): one answer kept, one that was true of the other record, and the rest."""
    whole = mp.exp(e) + k - 1
    return [(mp.exp(e) / whole, 1 / whole), (1 / whole, mp.exp(e) / whole), ((k - 2) / whole, (k - 2) / whole)]


def atoms_of_zeroed_answer(e: mpf, k: int) -> list[tuple[mpf, mpf]]:
    whole = mp.exp(e) + k - 1
    return [(mp.exp(e) / whole, mpf(1) / k), ((k - 1) / whole, mpf(k - 1) / k)]


def atoms_of_integers(e: mpf, far: int) -> list[tuple[mpf, mpf]]:
    """Two-sided geometric noise, summed from below and from above, and point by point between."""
    a = e / far
    whole = (1 + mp.exp(-a)) / (1 - mp.exp(-a))
    side = 1 / (1 - mp.exp(-a)) / whole
    ends = [(side, mp.exp(-e) * side), (mp.exp(-e) * side, side)]
    return ends + [(mp.exp(-a * x) / whole, mp.exp(-a * (far - x)) / whole) for x in range(1, far)]


ANSWERS = [AnswerLoss(e, k) for e, k in ((0.3, 2), (2.5, 7), (1e-6, 3), (40.0, 2))]
ZEROED = [ZeroedAnswerLoss(e, k) for e, k in ((0.3, 2), (2.5, 7), (1e-6, 3), (9.0, 2), (14.5, 10**6), (40.0, 5))]
INTEGERS = [DiscreteLaplaceLoss(e, far) for e, far in ((0.3, 1), (2.0, 4), (1e-4, 30))]


def atoms_of(law: Law) -> list[tuple[mpf, mpf]]:
    match law:
        case AnswerLoss():
            return atoms_of_answer(mpf(law.epsilon), law.categories)
        case ZeroedAnswerLoss():
            return atoms_of_zeroed_answer(mpf(law.epsilon), law.categories)
        case DiscreteLaplaceLoss():
            return atoms_of_integers(mpf(law.epsilon), law.sensitivity)
    raise AssertionError(law)


@pytest.mark.parametrize("law", [*ANSWERS, *ZEROED, *INTEGERS])
def test_atoms_lie_as_near_as_they_say(law: Law) -> None:
    assert densities(law) == () and normalised(law)
    found = points(law, lambda _: pytest.fail("there is no density"))
    assert found is not None
    wanted = sorted((mp.log(p / q), p, q) for p, q in atoms_of(law) if p > 0)
    for k, (loss, p, q) in enumerate(wanted):
        assert abs(mpf(found.loss[k]) - loss) <= mpf(found.moved[k])
        assert abs(mpf(found.p[k]) - p) <= mpf(found.relative[k]) * p
        assert abs(mpf(found.q[k]) - q) <= mpf(found.relative[k]) * q
    assert len(found.loss) == len(wanted)


def test_noise_on_whole_numbers_of_many_values_is_left_to_a_lattice() -> None:
    assert densities(DiscreteLaplaceLoss(1.0, laplace_gauss_rule.MOST_ATOMS)) is None


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    "law",
    [
        AnswerLoss(0.4, 2),
        AnswerLoss(1.5, 5),
        ZeroedAnswerLoss(0.8, 3),
        Reversed(ZeroedAnswerLoss(0.8, 3)),
        DiscreteLaplaceLoss(0.5, 1),
        DiscreteLaplaceLoss(0.6, 7),
        pytest.param(Subsampled(DiscreteLaplaceLoss(0.9, 3), 0.1), marks=pytest.mark.slow),
        Subsampled(AnswerLoss(1.2, 4), 0.3),
    ],
)
def test_answers_and_whole_numbers_beside_a_gaussian_are_held_by_both_engines(law: Law) -> None:
    """And by what is added up: δ of two of them after one Gaussian is a mean of the Gaussian's δ, elsewhere."""
    run = Composition.of([(law, 2), (pairs.gaussian(0.7).remove, 1)])
    check_that_they_meet(run, 1e-4)
    found = points(law, lambda _: pytest.fail("there is no density"))
    assert found is not None
    for epsilon in (0.5, 2.0, 4.0):
        ends = mixed.delta_ends(run, epsilon)
        assert ends is not None
        truth = mpf(0)
        for one, p in zip(found.loss.tolist(), found.p.tolist(), strict=True):
            for other, r in zip(found.loss.tolist(), found.p.tolist(), strict=True):
                truth += mpf(p) * mpf(r) * oracle.step_delta(1.0, 0.7, mpf(epsilon) - mpf(one) - mpf(other))
        assert mpf(ends.lower) * (1 - mpf("1e-14")) <= truth <= mpf(ends.upper) * (1 + mpf("1e-14"))
