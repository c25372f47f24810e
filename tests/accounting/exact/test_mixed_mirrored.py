"""Fixed-size batches under replace-one, along a contour: transform, remainder and decay against mpmath, figures."""

import numpy as np
import pytest
from mpmath import mp, mpc, mpf
from two_engines import check_decay, check_that_they_meet

from dpplan.accounting import exact, pairs
from dpplan.accounting.exact import mixed
from dpplan.accounting.exact.contour.privacy_loss import Cut
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.exact.mixed import fixed_size_replaced, laplace_gauss_rule
from dpplan.accounting.exact.mixed.fixed_size_replaced import HalfLine, MirroredSteps, at_zero
from dpplan.accounting.exact.mixed.replaced_rule import Replacement
from dpplan.accounting.pairs import GaussianLoss, Subsampled
from dpplan.accounting.pairs.replace_one import Mirrored
from dpplan.adjacency import REPLACE_ONE
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import FixedSize

CUT = Cut(np.array([[6.0]]), np.array([[0.3]]))
STEPS = [(0.5, 0.1, None), (1.5, 0.01, None), (4.0, 0.6, None), (0.7, 0.001, CUT)]


@pytest.fixture(autouse=True)
def _precise():
    with mp.workdps(20):
        yield


def transform(sigma: float, q: float, z: mpc, cut: Cut | None, atom: bool = True) -> mpc:
    s, rate = mpf(sigma), mpf(q)
    high = mpf(float(cut.at[0, 0])) + 10 * mpf(float(cut.width[0, 0])) if cut else 2 + z.real + 10 * s
    panels = int((high - 0.5) / min(s, s * s, 0.6 if cut else 9) * (1 + abs(z.imag) / 20)) + 1

    def integrand(x: mpf) -> mpc:
        loss = mp.log(1 - rate + rate * mp.exp((2 * x - 1) / (2 * s * s)))
        weight = mp.erfc((x - mpf(float(cut.at[0, 0]))) / mpf(float(cut.width[0, 0])) / mp.sqrt(2)) / 2 if cut else 1
        return weight * mp.npdf(x, 0, s) * (mp.exp((1 + z) * loss) + mp.exp(-z * loss))

    edges = [mpf(1) / 2 + (high - mpf(1) / 2) * k / panels for k in range(panels + 1)]
    rest = (1 - rate) * mp.erf(1 / (2 * s * mp.sqrt(2))) if atom else mpf(0)
    return rest + mp.quad(integrand, edges, method="gauss-legendre", maxdegree=4)


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize(("sigma", "q", "cut"), STEPS)
@pytest.mark.parametrize(("tilt", "u"), [(0.2, 3.0), (4.0, 12.0)])
def test_the_transform_lies_within_its_error(sigma, q, cut, tilt, u):
    tilted = MirroredSteps(Replacement(sigma, q, cut), 1.0).at(np.array([tilt]), u)[0]
    real = transform(sigma, q, mpc(tilt), cut).real
    assert abs(real / mp.exp(mpf(tilted.log_g)) - 1) <= mpf(tilted.error) + mpf(10) ** -17
    assert tilted.error < (1e-10 if cut is None else 1e-7)  # of the cut, what it takes is known to itself
    drop, turn, error = tilted.line(np.linspace(0.0, u, 5))
    truth = transform(sigma, q, mpc(tilt, u), cut) / mp.exp(mpf(tilted.log_g))
    found = mpc(1 - mpf(float(drop[-1])), mpf(float(turn[-1])))
    assert abs(found - truth) <= mpf(float(error[-1]))


@pytest.mark.sweep(every=2, slow=("2.0-9.0-0.5",))
@pytest.mark.parametrize(("sigma", "q", "cut"), STEPS)
@pytest.mark.parametrize(("s", "u"), [(3.0, 0.0), (2.0, 9.0), (-1.0, 0.0)])
def test_the_remainder_bounds_what_a_short_rule_leaves_out(monkeypatch, sigma, q, cut, s, u):
    for module in (laplace_gauss_rule, fixed_size_replaced):
        monkeypatch.setattr(module, "NODES", 4)
    laplace_gauss_rule.gauss.cache_clear()
    good = HalfLine.good_to(Replacement(sigma, q, cut), max(s, 0.0), u)
    rule = HalfLine(good.step, good.high - (2.0 * sigma if cut is None else 0.0), good.half)
    points = rule.points()
    laplace_gauss_rule.gauss.cache_clear()
    z = mpc(s, u)
    rows = zip(points.p.tolist()[:-1], points.loss.tolist()[:-1], strict=True)
    left_out = abs(mp.fsum(mpf(p) * mp.exp(z * mpf(loss)) for p, loss in rows) - transform(sigma, q, z, cut, False))
    bound = mp.exp(mpf(rule.log_remainder(s, u)))
    assert 1e-12 < left_out <= bound
    assert bound <= mp.exp(40) * left_out


@pytest.mark.parametrize(("sigma", "q", "cut"), STEPS)
@pytest.mark.parametrize("tilt", [0.5, 5.0])
def test_the_decay_is_never_below_the_modulus(sigma, q, cut, tilt):
    steps = MirroredSteps(Replacement(sigma, q, cut), 1.0)
    check_decay(steps, tilt)


def test_a_decay_that_ends_the_sum_of_many_steps_is_found():
    steps = MirroredSteps(Replacement(1.0, 0.05), 400.0)
    tilted = steps.at(np.array([2.0]), 40.0)[0]
    assert np.all(steps.log_decay(tilted, np.geomspace(60.0, 4e4, 40)) < -35.0)


def test_the_mass_at_zero_is_the_laws_own():
    law = Mirrored(Subsampled(GaussianLoss(0.8), 0.3))
    assert at_zero(Replacement(0.8, 0.3)) == pytest.approx(float(law.atoms.p[0]), rel=1e-12)


@pytest.mark.sweep(slow=("2.0-0.01",))
@pytest.mark.parametrize(
    ("sigma", "q", "steps", "delta"),
    [
        (2.0, 0.01, 1000, 1e-5),
        pytest.param(1.1, 0.004, 14063, 1e-50, marks=pytest.mark.slow),
        (4.0, 0.05, 500, 1e-5),
    ],
)
def test_the_lattice_meets_it_and_is_wider(sigma, q, steps, delta):
    run = Composition.of([(pairs.fixed_size_replaced(sigma, q).remove, steps)])
    check_that_they_meet(run, delta)


def test_a_fixed_size_replace_one_plan_names_the_engine():
    plan = Plan((Phase(Gaussian(2.0), FixedSize(100, 10_000), 1000),), REPLACE_ONE)
    bound = exact.epsilon(plan, 1e-5)
    assert bound.details["method"] == mixed.METHOD
    assert bound.lower == pytest.approx(1.8282, abs=1e-4)
    assert bound.upper == pytest.approx(2.1989, abs=1e-4)
