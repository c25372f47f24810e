"""The laws one class at a time, against mpmath and against sums by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan.accounting.exact.general_one_step import delta_ends
from dpplan.accounting.pairs.combined_laws import Mixture, Reversed, Subsampled
from dpplan.accounting.pairs.finite import Finite, ResponseLoss, StatedLoss
from dpplan.accounting.pairs.laplace import LaplaceLoss
from dpplan.accounting.pairs.law import Atoms, Law, Masses, log_ratio, nothing
from dpplan.accounting.pairs.replace_one import Mirrored, ReplacedGaussianLoss
from dpplan.accounting.pairs.unsampled_gaussian import GaussianLoss, nearest, normal_masses

EVERYWHERE = np.array([-math.inf, math.inf])
TABLE = Finite(((0.5, 0.25), (0.25, 0.0), (0.25, 0.5), (0.0, 0.25)))


# law


@pytest.mark.parametrize(
    ("p", "q"),
    [
        *[(0.3, 0.3), (0.3, 0.3 + 1e-16), (0.3, 0.2999), (1.0, 1e-320), (1e-320, 1.0), (5e-324, 0.5), (0.9, 0.2)],
        *[(1.248e-300, 6.11e-301), (7.461312596428936e-294, 3.321860591995029e-301), (5e-324, 0.3), (2e-323, 5e-324)],
    ],
)
def test_a_ratio_of_masses_keeps_its_digits(p: float, q: float) -> None:
    with mp.workdps(40):
        truth = mp.log(mpf(p)) - mp.log(mpf(q))
        assert abs(mpf(log_ratio(p, q)) - truth) <= 6 * 2.0**-53 * abs(truth)


def test_atoms_are_kept_in_the_order_of_their_losses() -> None:
    atoms = Atoms.of([(1.0, 0.6, 0.2), (-2.0, 0.1, 0.7), (0.0, 0.3, 0.1)])
    assert atoms.rows == [(-2.0, 0.1, 0.7), (0.0, 0.3, 0.1), (1.0, 0.6, 0.2)]
    assert Atoms.of([]).rows == []


def test_a_law_of_which_only_the_masses_are_known_has_nothing_else() -> None:
    class Uniform(Law):
        def masses(self, edges: np.ndarray) -> Masses:
            return nothing(edges)

    law = Uniform()
    assert (law.infinite, law.vanishing, law.bounds, law.atoms.rows) == (0.0, 0.0, (-math.inf, math.inf), [])
    assert law.log_moment(1.0) is None
    assert law.characteristic(np.zeros(1)) is None
    assert [len(part) for part in (law.masses(np.zeros(4)).p, law.masses(np.zeros(4)).moved)] == [3, 4]


# gaussian


@pytest.mark.parametrize("start", [-37.0, -8.0, -1.0, -1e-9, 0.0, 0.3, 4.0, 25.0, 36.0])
@pytest.mark.parametrize("width", [1e-12, 1e-4, 0.1, 1.0, 9.0])
def test_a_normal_law_has_the_mass_of_its_density_however_far_and_narrow(start: float, width: float) -> None:
    x = np.array([start, start + width])
    (found,) = normal_masses(x, 0.0, 1.0)
    with mp.workdps(60):
        low, high = sorted((abs(mpf(x[0])), abs(mpf(x[1])))) if x[0] * x[1] > 0 else (mpf(x[0]), mpf(x[1]))
        truth = (mp.erfc(low / mp.sqrt(2)) - mp.erfc(high / mp.sqrt(2))) / 2
        # The bound that GaussianLoss states: of the place nearest to 0.
        assert abs(mpf(found) - truth) <= 2.0**-52 * (48 + 24 * max(low, 0) ** 2) * truth


def test_the_nearest_point_of_an_interval_is_an_end_or_zero() -> None:
    assert nearest(np.array([-3.0, -1.0, 2.0, 5.0])).tolist() == [1.0, 0.0, 2.0]
    assert nearest(np.array([-math.inf, -4.0, 0.0, math.inf])).tolist() == [4.0, 0.0, 0.0]


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("sigma", [0.5, 3.0])
def test_gaussian_moments_are_the_integrals(sigma: float) -> None:
    law = GaussianLoss(sigma)
    with mp.workdps(25):
        mean, spread = 1 / (2 * mpf(sigma) ** 2), 1 / mpf(sigma)
        places = [mean + k * spread for k in range(-14, 24, 2)]
        for tilt in (0.5, 2.0):
            truth = mp.log(mp.quad(lambda y: mp.exp(tilt * y) * mp.npdf(y, mean, spread), places))  # noqa: B023
            assert law.log_moment(tilt) == pytest.approx(float(truth), rel=1e-12)
        turned = mp.quad(lambda y: mp.expj(1.3 * y) * mp.npdf(y, mean, spread), places)
    (found,) = law.characteristic(np.array([1.3]))
    assert complex(found) == pytest.approx(complex(turned), rel=1e-12)


# laplace


@pytest.mark.parametrize("scale", [0.05, 1.0, 1e6])
def test_laplace_masses_are_those_of_the_noise(scale: float) -> None:
    law, e = LaplaceLoss(scale), 1.0 / scale
    edges = np.array([-math.inf, -2.0 * e, -0.7 * e, -0.7 * e * (1 - 1e-9), 0.0, 0.3 * e, e, math.inf])
    found = law.masses(edges)
    with mp.workdps(40):
        ends = [min(max(mpf(edge), -1 / mpf(scale)), 1 / mpf(scale)) for edge in edges.tolist()]
        for k, (low, high) in enumerate(pairwise(ends)):
            p = (mp.exp((high - 1 / mpf(scale)) / 2) - mp.exp((low - 1 / mpf(scale)) / 2)) / 2
            q = (mp.exp((-low - 1 / mpf(scale)) / 2) - mp.exp((-high - 1 / mpf(scale)) / 2)) / 2
            # 1/b is rounded, and so is an edge at it: `moved` says by how much.
            slack = mpf(found.moved[k] + found.moved[k + 1])
            assert abs(mpf(found.p[k]) - p) <= found.relative[k] * p + slack
            assert abs(mpf(found.q[k]) - q) <= found.relative[k] * q + slack
    assert float(found.p.sum() + law.atoms.p.sum()) == pytest.approx(1.0, abs=1e-14)
    assert law.bounds == (-e, e)


@pytest.mark.parametrize("tilt", [-3.0, -0.5, -0.5 + 1e-7, 0.0, 1.5, 40.0])
def test_laplace_moments_are_the_sums_of_atoms_and_density(tilt: float) -> None:
    e = 1 / mpf("0.8")
    with mp.workdps(30):
        inside = mp.quad(lambda y: mp.exp(tilt * y) * mp.exp((y - e) / 2) / 4, [-e, 0, e])
        truth = mp.log(inside + mp.exp(tilt * e) / 2 + mp.exp(-(tilt + 1) * e) / 2)
    assert LaplaceLoss(0.8).log_moment(tilt) == pytest.approx(float(truth), rel=1e-9, abs=1e-12)


def test_laplace_turned_is_the_same_sum() -> None:
    e = 1 / mpf("0.8")
    (found,) = LaplaceLoss(0.8).characteristic(np.array([2.5]))
    with mp.workdps(30):
        inside = mp.quad(lambda y: mp.expj(2.5 * y) * mp.exp((y - e) / 2) / 4, [-e, 0, e])
        truth = inside + mp.expj(2.5 * e) / 2 + mp.expj(-2.5 * e) * mp.exp(-e) / 2
    assert complex(found) == pytest.approx(complex(truth), rel=1e-13)


# finite


def test_a_table_tells_what_one_side_alone_has() -> None:
    assert (TABLE.infinite, TABLE.vanishing) == (0.25, 0.25)
    assert TABLE.atoms.rows == [(-math.log(2.0), 0.25, 0.5), (math.log(2.0), 0.5, 0.25)]
    assert TABLE.bounds == (-math.log(2.0), math.log(2.0))
    assert TABLE.log_moment(0.5) == math.inf
    assert TABLE.log_moment(-0.5) is None  # loss inf is there, and counts for nothing: not this law's to say
    assert Finite(((1.0, 0.0), (0.0, 1.0))).bounds == (0.0, 0.0)
    assert Finite(((0.8, 0.4), (0.2, 0.6))).log_moment(2.0) == pytest.approx(math.log(0.8**3 / 0.16 + 0.008 / 0.36))


@pytest.mark.parametrize("rows", [((0.5, 0.5),), ((1.5, 0.5), (-0.5, 0.5)), ((0.5, 0.5), (0.5, 0.5 + 1e-9))])
def test_a_table_that_is_no_pair_of_distributions_is_refused(rows: tuple[tuple[float, float], ...]) -> None:
    with pytest.raises(ValueError, match="not two distributions"):
        Finite(rows)


@pytest.mark.parametrize(("epsilon", "delta"), [(1e-12, 0.0), (0.7, 1e-3), (50.0, 0.5)])
def test_a_stated_guarantee_is_met_with_equality(epsilon: float, delta: float) -> None:
    law = StatedLoss(epsilon, delta)
    (_, p, q) = law.atoms.rows[-1]
    assert law.infinite + p - math.exp(epsilon) * q == pytest.approx(delta, rel=1e-12, abs=1e-15)
    assert float(law.atoms.p.sum()) + law.infinite == pytest.approx(1.0, abs=1e-15)
    assert law.bounds == (-epsilon, epsilon)


def test_a_stated_guarantee_of_epsilon_zero_is_one_atom() -> None:
    assert StatedLoss(0.0, 0.25).atoms.rows == [(0.0, 0.75, 0.75)]
    assert StatedLoss(0.3, 1e-9).log_moment(1.0) == math.inf
    for wrong in ((-1.0, 0.0), (math.inf, 0.0), (1.0, 1.0)):
        with pytest.raises(ValueError, match="epsilon is >= 0"):
            StatedLoss(*wrong)


def test_a_response_keeps_its_answer_or_draws_from_all() -> None:
    law = ResponseLoss(5, 0.3)
    low, none, high = law.atoms.rows
    assert high == pytest.approx((math.log(0.76 / 0.06), 0.76, 0.06))
    assert low == pytest.approx((-high[0], 0.06, 0.76))
    assert none == pytest.approx((0.0, 0.18, 0.18))
    assert ResponseLoss(3, 1.0).bounds == (0.0, 0.0)
    assert len(ResponseLoss(2, 0.5).atoms.rows) == 2
    assert law.log_moment(0.0) == pytest.approx(0.0, abs=1e-15)
    for categories, noise in ((1, 0.5), (4, 0.0), (4, 1.5)):
        with pytest.raises(ValueError, match="at least 2"):
            ResponseLoss(categories, noise)


# transformed


def test_the_other_direction_exchanges_the_measures() -> None:
    law = Reversed(TABLE)
    assert (law.infinite, law.vanishing, law.bounds) == (0.25, 0.25, TABLE.bounds)
    assert law.atoms.rows == [(-loss, q, p) for loss, p, q in reversed(TABLE.atoms.rows)]
    edges = np.array([-1.0, 0.2, 3.0])
    twice, once = Reversed(Reversed(GaussianLoss(0.7))).masses(edges), GaussianLoss(0.7).masses(edges)
    assert (twice.p.tolist(), twice.q.tolist()) == (once.p.tolist(), once.q.tolist())
    assert Reversed(GaussianLoss(2.0)).log_moment(1.5) == GaussianLoss(2.0).log_moment(-2.5)
    assert law.log_moment(1.0) is None  # mass at infinity


@pytest.mark.parametrize("rate", [1e-9, 0.3, 1.0])
@pytest.mark.parametrize("inner", [-30.0, -0.4, 1e-10, 2.0, 80.0])
def test_sampling_turns_a_loss_into_the_log_of_the_mixed_ratio(rate: float, inner: float) -> None:
    p = 1.0 / (1.0 + math.exp(-inner))
    q = p * math.exp(-inner)
    law = Subsampled(Finite(((p, q), (1.0 - p, 1.0 - q))) if inner < 30.0 else StatedLoss(inner, 0.0), rate)
    with mp.workdps(60):
        given = {mpf(loss) for loss, _, _ in law.law.atoms.rows}
        truth = sorted(mp.log(1 - mpf(rate) + mpf(rate) * mp.exp(loss)) for loss in given)
        for (found, _, _), exact in zip(law.atoms.rows, truth, strict=True):
            assert abs(mpf(found) - exact) <= 8 * 2.0**-53 * abs(exact) + mpf(2) ** -60 * rate


def test_sampling_leaves_a_floor_where_one_side_vanishes() -> None:
    law = Subsampled(TABLE, 0.2)
    assert law.infinite == 0.05
    assert law.vanishing == 0.0
    assert law.bounds[0] == law.atoms.rows[0][0] == math.log1p(-0.2)
    assert Subsampled(TABLE, 1.0).vanishing == 0.25
    assert float(law.atoms.p.sum()) + law.infinite == pytest.approx(1.0)


def test_a_mixture_weighs_everything() -> None:
    law = Mixture(((0.25, TABLE), (0.75, GaussianLoss(1.0))))
    edges = np.array([-0.5, 0.1, 2.0])
    assert law.masses(edges).p.tolist() == (0.75 * GaussianLoss(1.0).masses(edges).p).tolist()
    assert [p for _, p, _ in law.atoms.rows] == [0.25 * p for _, p, _ in TABLE.atoms.rows]
    assert (law.infinite, law.vanishing, law.bounds) == (0.0625, 0.0625, (-math.inf, math.inf))
    assert law.log_moment(-0.5) is None
    assert law.characteristic(edges) is None
    two = Mixture(((0.25, GaussianLoss(2.0)), (0.75, GaussianLoss(1.0))))
    assert two.log_moment(1.0) == pytest.approx(math.log(0.25 * math.exp(0.25) + 0.75 * math.exp(1.0)))
    with pytest.raises(ValueError, match="not positive with a sum of 1"):
        Mixture(((0.5, TABLE), (0.6, TABLE)))


# replaced


@pytest.mark.parametrize(("sigma", "rate"), [(0.5, 0.1), (2.0, 1.0), (20.0, 1e-6)])
def test_a_replaced_records_losses_lie_where_its_ratio_says(sigma: float, rate: float) -> None:
    law, x = ReplacedGaussianLoss(sigma, rate), [mpf(k) / 4 * mpf(sigma) for k in range(-12, 13)]
    with mp.workdps(40):
        s, q = mpf(sigma), mpf(rate)
        high, low = ([1 - q + q * mp.exp((2 * sign * place - 1) / (2 * s * s)) for place in x] for sign in (1, -1))
        losses = [mp.log(up) - mp.log(down) for up, down in zip(high, low, strict=True)]
        found = law.masses(np.array([float(loss) for loss in losses]))
        for k in range(len(x) - 1):
            none, up, down = (mp.ncdf(x[k + 1], mean, s) - mp.ncdf(x[k], mean, s) for mean in (0, 1, -1))
            for mass, truth in ((found.p[k], (1 - q) * none + q * up), (found.q[k], (1 - q) * none + q * down)):
                apart = losses[k + 1] - losses[k]
                off = found.relative[k] + 4 * (found.moved[k] + found.moved[k + 1] + 2.0**-52 * abs(losses[k])) / apart
                assert abs(mpf(mass) - truth) <= off * truth


def test_a_mirrored_law_is_its_own_other_direction() -> None:
    law = Mirrored(GaussianLoss(1.5))
    edges = np.array([-2.0, -0.3, 0.4, 1.0])
    found, back = law.masses(edges), law.masses(-edges[::-1])
    assert found.p.tolist() == pytest.approx(back.q[::-1].tolist(), rel=1e-15)
    ((loss, p, q),) = law.atoms.rows
    assert loss == 0.0
    assert p == q
    assert float(law.masses(EVERYWHERE).p.sum()) + p == pytest.approx(1.0, abs=1e-12)
    above = np.array([0.4, 1.0])
    assert law.masses(above).p.tolist() == GaussianLoss(1.5).masses(above).p.tolist()


@pytest.mark.parametrize(
    ("size", "near"),
    [(5.0, 1.0), (29.9, 0.3), (31.0, 0.1), (68.0, 0.1), (99.0, 1e-3), (400.0, 2.0), (705.0, 0.1), (1500.0, 9.0)],
)
@pytest.mark.parametrize("inner", [StatedLoss, LaplaceLoss])
def test_losses_of_few_samples_are_off_by_no_more_than_they_say(size: float, near: float, inner: type) -> None:
    made = StatedLoss(size, 0.0) if inner is StatedLoss else LaplaceLoss(1.0 / size)
    for turn in range(40):
        q = min(near * math.exp(-min(size, 740.0) - 0.05 * turn), 0.9)
        law = Subsampled(made, q)
        with mp.workdps(60):
            meant = mpf(size) if inner is StatedLoss else 1 / mpf(made.scale)
            for found, loss in zip(law.bounds, (-meant, meant), strict=True):
                truth = mp.log1p(mpf(q) * mp.expm1(loss))
                assert abs(mpf(found) - truth) <= law.loss_off * abs(truth)


def test_a_loss_that_may_lie_beyond_epsilon_counts_as_one_that_does() -> None:
    law = LaplaceLoss(3.0)  # whose losses end at 1/3, which is no float
    _, upper, _ = delta_ends(law, 1.0 / 3.0)
    with mp.workdps(40):
        assert mpf(upper) >= 0.5 * (mpf(1) / 3 - mpf(1.0 / 3.0))
    assert upper < 1e-15
