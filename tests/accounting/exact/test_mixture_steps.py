"""Steps between two normal mixtures along a contour: ratio, transform, remainder, decay against mpmath, and figures."""

import math
from dataclasses import replace

import numpy as np
import pytest
from mpmath import mp, mpc, mpf
from two_engines import check_decay, check_that_they_meet

from dpplan.accounting import exact, pairs
from dpplan.accounting.exact import mixed
from dpplan.accounting.exact.contour.privacy_loss import Cut
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.exact.mixed import laplace_gauss_rule, mixture_rule
from dpplan.accounting.exact.mixed.invert import MixedSteps
from dpplan.accounting.exact.mixed.mixture_rule import MixturePanels
from dpplan.accounting.exact.mixed.mixture_steps import MixtureSteps
from dpplan.accounting.exact.mixed.normal_mixture_ratio import ExponentialSum
from dpplan.accounting.pairs.gaussian_mixtures import GroupLoss, MixtureLoss, TwiceAgainstOnce
from dpplan.accounting.pairs.law import EPS
from dpplan.plan import Settings

CUT = Cut(np.array([[6.0]]), np.array([[0.3]]))
LAWS: list[tuple[MixtureLoss, bool, Cut | None]] = [
    (GroupLoss(1.6, 0.01, 3), False, None),
    (GroupLoss(1.0, 0.05, 3), True, None),
    (GroupLoss(0.8, 0.002, 3), False, CUT),
    (TwiceAgainstOnce(1.0, 0.1), False, None),
    (TwiceAgainstOnce(0.7, 0.02), True, CUT),
]


@pytest.fixture(autouse=True)
def _precise():
    with mp.workdps(20):
        yield


def steps_of(law: MixtureLoss, reverse: bool, cut: Cut | None, count: float = 1.0) -> MixtureSteps:
    found = MixtureSteps.of(law, reverse, 1)
    assert found is not None
    return replace(found, count=count, step=replace(found.step, cut=cut))


def ratio(weights: np.ndarray, means: np.ndarray, sigma: float, x: mpf) -> mpf:
    """The weights have total 1; as floats, that at 0 misses it by a rounding."""
    rest = [mpf(each) for each in weights.tolist()[1:]]
    terms = zip([1 - mp.fsum(rest), *rest], means.tolist(), strict=True)
    return mp.fsum(w * mp.exp(mpf(m) * (2 * x - mpf(m)) / (2 * mpf(sigma) ** 2)) for w, m in terms)


def transform(law: MixtureLoss, reverse: bool, z: mpc, cut: Cut | None) -> mpc:
    """By the definition, over a range that holds all but 1e-25 of it."""
    means, p, q = law.components
    s, top = law.noise_multiplier, float(means[-1])
    powers = (-z, 1 + z) if reverse else (1 + z, -z)
    high = mpf(6.0 + 3.5) if cut else 12 * s + top * (1 + max(z.real, 0))
    h = mpf(min(s * s / top, 0.35 if cut else 9.0, s)) / (4 + abs(z.imag))  # e^(-2π·distance/h) of it is left out

    def integrand(x: mpf) -> mpc:
        weight = mp.erfc((x - 6) / mpf("0.3") / mp.sqrt(2)) / 2 if cut else 1
        a, b = (mp.log(ratio(each, means, s, x)) if max(means[each > 0]) else mpf(0) for each in (p, q))
        return weight * mp.npdf(x, 0, s) * mp.exp(powers[0] * a + powers[1] * b)

    return h * mp.fsum(integrand(k * h) for k in range(-int(12 * s / h), int(high / h) + 1))


@pytest.mark.parametrize("law", [GroupLoss(2.0, 0.01, 4), GroupLoss(0.5, 0.3, 20), GroupLoss(3.0, 1e-9, 5)])
def test_the_ratio_lies_within_its_rounding_on_and_beside_the_line(law):
    mp.dps = 40
    means, p, _ = law.components
    found = ExponentialSum.of(law.noise_multiplier, means, p, law.weight_off)
    x = np.array([-9.0, -0.3, 0.5, 0.7, 3.0, 21.0])
    truth = [ratio(p, means, law.noise_multiplier, mpf(each)) for each in x.tolist()]
    for each, value, units in zip(truth, found.log_value(x).tolist(), found.rounding(x, 21.0).tolist(), strict=True):
        assert abs(mp.log(each) - mpf(value)) <= units * EPS
        assert units * EPS <= 1e-12 * max(abs(value), 1e-3)
    turn = np.full(len(x), 1.3 / found.top)
    beside = [ratio(p, means, law.noise_multiplier, mpc(each, turn[0] * law.noise_multiplier**2)) for each in x]
    for each, whole, angle, least in zip(beside, truth, found.angle(x, turn), found.log_least(x, turn), strict=True):
        assert mp.exp(least) <= abs(each) * (1 + mpf(10) ** -12) <= whole * (1 + mpf(10) ** -11)
        assert abs(mp.arg(each) - angle) < 1e-11


@pytest.mark.parametrize("law", [GroupLoss(0.5, 0.01, 30), GroupLoss(2.0, 0.3, 20), GroupLoss(0.3, 0.2, 64)])
def test_the_ratio_is_bounded_far_beside_the_line_where_means_hardly_vary(law):
    mp.dps = 40
    means, p, _ = law.components
    sigma = law.noise_multiplier
    found = ExponentialSum.of(sigma, means, p, law.weight_off)
    far = 0
    for low in (-1.0, 0.4, 1.5, 4.0, 11.0):
        for turn in np.array([0.3, 1.0, 3.0, 9.0]) / found.top:
            high = low + 0.2 * sigma
            beside = found.beside(np.array([low]), np.array([high]), np.array([turn]))
            far += bool(beside.within[0] and found.top * turn > 1.6)
            for x in np.linspace(low, high, 3) if beside.within[0] else ():
                before, angle = ratio(p, means, sigma, mpf(x)), mpf(0)
                for y in np.linspace(0.0, turn * sigma**2, 40)[1:].tolist():
                    value = ratio(p, means, sigma, mpc(x, y))
                    angle, before = angle + mp.arg(value / before), value  # as it turns from the line on
                    assert abs(value) * (1 + mpf(10) ** -9) >= mp.exp(mpf(float(beside.log_least[0])))
                    assert -float(beside.below[0]) - 1e-9 <= angle <= float(beside.angle[0]) + 1e-9
            places = np.linspace(low, high, 5)
            first, biased = found.tilted_means(places)
            assert (first * (biased - first) <= found.most_variance(np.array([low]), np.array([high])) + 1e-9).all()
    assert far >= 3  # beyond where terms that all turn to one side would tell anything


@pytest.mark.sweep(every=6, slow=("3.0-12.0",))
@pytest.mark.parametrize(("law", "reverse", "cut"), LAWS)
@pytest.mark.parametrize(("tilt", "u"), [(0.2, 3.0), (3.0, 12.0)])
def test_the_transform_lies_within_its_error(law, reverse, cut, tilt, u):
    tilted = steps_of(law, reverse, cut).at(np.array([tilt]), u)[0]
    real = transform(law, reverse, mpc(tilt), cut).real
    assert abs(real / mp.exp(mpf(tilted.log_g)) - 1) <= mpf(tilted.error) + mpf(10) ** -17
    assert tilted.error < 1e-10
    drop, turn, error = tilted.line(np.linspace(0.0, u, 5))
    truth = transform(law, reverse, mpc(tilt, u), cut) / mp.exp(mpf(tilted.log_g))
    found = mpc(1 - mpf(float(drop[-1])), mpf(float(turn[-1])))
    assert abs(found - truth) <= mpf(float(error[-1]))
    assert error[-1] < 1e-9


def test_panels_are_wide_where_means_hardly_vary_and_leave_out_no_more_than_they_say(monkeypatch):
    """Members far apart in units of the noise: few panels, of which a large mean decides none."""
    law, tilt, u = GroupLoss(0.6, 0.02, 12), 0.3, 20.0
    steps = steps_of(law, False, CUT)
    panels = MixturePanels.good_to(steps.step, tilt, u)
    assert len(panels.points().loss) < 120 * mixture_rule.NODES < 0.3 * (panels.high - panels.low) / panels.half * 32
    tilted = steps.at(np.array([tilt]), u)[0]
    assert tilted.error < 1e-12
    drop, turn, error = tilted.line(np.linspace(0.0, u, 5))
    for at in (2, 4):
        truth = transform(law, False, mpc(tilt, u * at / 4), CUT) / mp.exp(mpf(tilted.log_g))
        assert abs(mpc(1 - mpf(float(drop[at])), mpf(float(turn[at]))) - truth) <= mpf(float(error[at])) < 1e-10
    for module in (laplace_gauss_rule, mixture_rule):
        monkeypatch.setattr(module, "NODES", 8)
    laplace_gauss_rule.gauss.cache_clear()
    short = MixturePanels.good_to(steps.step, tilt, u)
    points, z = short.points(), mpc(tilt, u)
    laplace_gauss_rule.gauss.cache_clear()
    rows = zip(points.p.tolist(), points.loss.tolist(), strict=True)
    left_out = abs(mp.fsum(mpf(p) * mp.exp(z * mpf(loss)) for p, loss in rows) - transform(law, False, z, CUT))
    assert 1e-13 < left_out <= mp.exp(mpf(short.log_remainder(tilt, u)))


@pytest.mark.sweep(every=4, slow=("1.0-9.0",))
@pytest.mark.parametrize(("law", "reverse", "cut"), LAWS)
@pytest.mark.parametrize(("s", "u"), [(2.0, 0.0), (1.0, 9.0), (-1.0, 0.0)])
def test_the_remainder_bounds_what_a_short_rule_leaves_out(monkeypatch, law, reverse, cut, s, u):
    for module in (laplace_gauss_rule, mixture_rule):
        monkeypatch.setattr(module, "NODES", 4)
    laplace_gauss_rule.gauss.cache_clear()
    good = MixturePanels.good_to(steps_of(law, reverse, cut).step, max(s, 0.0), u)
    sigma = law.noise_multiplier
    short = good.high - (2.5 * sigma if cut is None else 0.0)
    rule = replace(good, low=good.low + 4.0 * sigma, high=short)
    points = rule.points()
    laplace_gauss_rule.gauss.cache_clear()
    z = mpc(s, u)
    rows = zip(points.p.tolist(), points.loss.tolist(), strict=True)
    left_out = abs(mp.fsum(mpf(p) * mp.exp(z * mpf(loss)) for p, loss in rows) - transform(law, reverse, z, cut))
    bound = mp.exp(mpf(rule.log_remainder(s, u)))
    assert 1e-13 < left_out <= bound
    assert bound <= mp.exp(45) * left_out


@pytest.mark.parametrize(("law", "reverse", "cut"), LAWS)
@pytest.mark.parametrize("tilt", [0.5, 4.0])
def test_the_decay_is_never_below_the_modulus(law, reverse, cut, tilt):
    steps = steps_of(law, reverse, cut)
    check_decay(steps, tilt)


@pytest.mark.parametrize("law", [GroupLoss(1.0, 0.05, 4), TwiceAgainstOnce(1.0, 0.05)])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_decay_that_ends_the_sum_of_many_steps_is_found(law, reverse):
    steps = steps_of(law, reverse, None, 800.0)
    tilted = steps.at(np.array([1.5]), 40.0)[0]
    assert np.all(steps.log_decay(tilted, np.geomspace(150.0, 4e4, 40)) < -35.0)


@pytest.mark.parametrize(
    ("law", "steps", "delta"),
    [
        pytest.param(GroupLoss(2.0, 0.01, 4), 1000, 1e-6, marks=pytest.mark.slow),
        pytest.param(GroupLoss(4.0, 0.05, 40), 300, 1e-30, marks=pytest.mark.slow),
        pytest.param(TwiceAgainstOnce(1.0, 0.01), 1000, 1e-5, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_the_lattice_meets_it_and_is_wider(law, steps, delta, reverse):
    run = Composition.of([(pairs.Reversed(law) if reverse else law, steps)])
    check_that_they_meet(run, delta)


def test_one_member_is_a_sampled_gaussian():
    for law, known in ((GroupLoss(1.5, 0.02, 1), pairs.subsampled(pairs.gaussian(1.5), 0.02)),):
        for own, other in ((law, known.remove), (pairs.Reversed(law), known.add)):
            one, two = (mixed.epsilon_ends(Composition.of([(each, 500)]), 1e-6) for each in (own, other))
            assert one is not None and two is not None
            assert max(one.lower, two.lower) <= min(one.upper, two.upper)


@pytest.mark.parametrize(
    ("sigma", "q", "members", "steps", "published"), [(2.0, 0.01, 4, 1000, 3.270), (1.0, 0.005, 8, 500, 7.292)]
)
def test_users_of_several_examples_name_the_engine(sigma, q, members, steps, published):
    plan = Settings(sigma, q, steps, unit="user", max_per_user=members).plan()
    bound = exact.epsilon(plan, 1e-6)
    assert bound.details["method"] == mixed.METHOD
    assert bound.value == pytest.approx(published, abs=5e-4)
    assert bound.relative_width is not None and bound.relative_width < 1e-7
    back = exact.delta(plan, bound.value)
    assert back.value == pytest.approx(1e-6, rel=1e-6)


@pytest.mark.parametrize(("members", "delta"), [(30, 1e-5), (3, 1e-15)])
def test_a_user_at_moderate_noise_is_known_closely_by_two_engines(members, delta):
    """A contour of many panels; and a lattice whose first step leaves no polygon from below (30 members)."""
    plan = Settings(0.5, 0.001, 1000, unit="user", max_per_user=members).plan()
    bound = exact.epsilon(plan, delta)
    assert bound.details["method"] == mixed.METHOD
    assert bound.relative_width is not None and bound.relative_width < 1e-8
    slow = Composition.of([(GroupLoss(0.5, 0.001, members), 1000)]).epsilon(delta)
    assert slow.relative_width < 1e-4
    assert slow.lower <= bound.upper and bound.lower <= slow.upper
    assert exact.delta(plan, bound.upper).lower <= delta <= exact.delta(plan, bound.lower).upper


def test_where_nothing_nearly_always_happens_more_is_left_out():
    """Roundings of the paths on which nobody is drawn were more than what was left out of delta."""
    run = Composition.of([(GroupLoss(0.64, 0.0014, 29), 1307)])
    steps = MixedSteps.of(run)
    assert steps is not None
    loose = steps.loosened()
    assert loose is not None
    with np.errstate(all="ignore"):
        strict, found = (each.epsilon(6e-17, math.log(6e-17)) for each in (steps, loose))
    assert strict is not None and found is not None
    assert found.relative_width < 0.5 * strict.relative_width
    assert strict.lower <= found.upper and found.lower <= strict.upper
    both = mixed.epsilon_ends(run, 6e-17)
    assert both is not None
    assert (both.lower, both.upper) == (max(strict.lower, found.lower), min(strict.upper, found.upper))
