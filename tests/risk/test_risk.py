"""Trade-offs and what follows from them, against closed forms and a Neyman-Pearson test computed another way."""

import math
from dataclasses import replace
from functools import cache

import mpmath
import numpy as np
import pytest

from dpplan import accounting, risk
from dpplan.accounting.exact.contour.delta_interval import Contour
from dpplan.accounting.exact.gaussian_lattice import composition
from dpplan.accounting.exact.gaussian_two_steps import TwoSteps
from dpplan.accounting.exact.profile import Profile
from dpplan.accounting.exact.proven_deltas import KNOWN, Width
from dpplan.adjacency import named
from dpplan.mechanism import DiscreteLaplace
from dpplan.plan import Phase, Plan, Settings
from dpplan.risk.assessment import posterior, smallest_mu, stated_delta
from dpplan.risk.regret import regret_above
from dpplan.risk.trade_off import implied
from dpplan.sampling.poisson import Poisson

README = Plan.from_rate(1.1, 256 / 60000, 14063)
FEW = Plan.from_rate(1.0, 0.1, 5)


def upper_tail(x):
    return 0.5 * math.erfc(x / math.sqrt(2.0))


def inverse_tail(p):
    low, high = -40.0, 40.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if upper_tail(middle) > p else (low, middle)
    return 0.5 * (low + high)


def holds(figure, truth, width=1e-5):
    assert figure.lower <= truth * (1.0 + 1e-12), (figure, truth)
    assert truth <= figure.upper * (1.0 + 1e-12), (figure, truth)
    assert figure.upper - figure.lower <= width * figure.upper, (figure, truth)


REPLACED = Settings(noise_multiplier=2.0, sample_rate=0.05, steps=20, adjacency=named("replace-one")).plan()
PLANS = {
    "many steps": README,
    "one step": Plan.from_rate(1.0, 0.3, 1),
    "two steps": Plan.from_rate(2.0, 0.3, 2),
    "no sampling": Plan.from_rate(5.0, 1.0, 40),
    "replace one": REPLACED,
    "little noise": Plan.from_rate(0.35, 0.5, 30),
}


@cache
def source_of(plan):
    """With what was worked out of its profile by other tests."""
    return risk.source_of_plan(plan)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_a_profile_says_what_the_accountant_says(plan):
    profile = Profile.of(plan)
    for epsilon in (0.0, 0.05, 0.7, 2.5):
        bound = accounting.delta(plan, epsilon)
        ends = profile.remove(epsilon), profile.add(epsilon)
        lower, upper = max(low for low, _ in ends), max(high for _, high in ends)
        assert max(lower, bound.lower) <= min(upper, bound.upper)
        assert upper - lower <= 1e-4 * upper + 1e-12


@pytest.mark.parametrize("alpha", [0.5, 0.1, 1e-3, 1e-6])
@pytest.mark.parametrize("sigma", [0.5, 2.0, 10.0])
def test_without_sampling_the_trade_off_is_that_of_a_gaussian(sigma, alpha):
    found = risk.TradeOff(risk.source_of_plan(Plan.from_rate(sigma, 1.0, 1))).at(alpha)
    holds(found, upper_tail(inverse_tail(alpha) - 1.0 / sigma))


@pytest.mark.parametrize("alpha", [0.5, 0.1, 1e-3, 1e-6])
def test_one_sampled_step_by_its_likelihood_ratio_test(alpha):
    """The ratio rises with the output, so the best test is a threshold, in either direction."""
    sigma, q = 0.8, 0.2
    found = risk.TradeOff(risk.source_of_plan(Plan.from_rate(sigma, q, 1))).at(alpha)

    def mixed(threshold):
        return (1.0 - q) * upper_tail(threshold / sigma) + q * upper_tail((threshold - 1.0) / sigma)

    members = mixed(sigma * inverse_tail(alpha))
    low, high = -40.0, 40.0  # accused of absence: below a threshold where the mixture has so much
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if 1.0 - mixed(middle) < alpha else (low, middle)
    others = 1.0 - upper_tail(low / sigma)
    holds(found, max(members, others), 1e-4)


def neyman_pearson(sigma, q, steps, alphas):
    """TPR by the composed loss under both worlds, on a fine grid: primal, where risk goes by the dual."""
    h, half = 5e-4, 12.0
    x = np.linspace(-12.0 * sigma, 12.0 * sigma + 1.0, 400_001)
    density = np.exp(-0.5 * (x / sigma) ** 2)
    density /= density.sum()
    loss = np.log1p(q * np.expm1((2.0 * x - 1.0) / (2.0 * sigma**2)))
    size = int(2 * half / h)
    at = np.rint(loss / h).astype(int)
    absent = np.bincount(at % size, density, size)
    present = np.bincount(at % size, density * np.exp(loss), size)
    absent, present = (np.fft.irfft(np.fft.rfft(law) ** steps, size) for law in (absent, present))
    order = np.roll(np.arange(size), size // 2)[::-1]  # from the largest loss to the smallest
    false, true = np.cumsum(absent[order]), np.cumsum(present[order])
    members = np.interp(alphas, false, true)
    others = 1.0 - np.interp(1.0 - np.asarray(alphas), true, false)  # the reversed test
    return np.maximum(members, others)


def test_many_steps_against_a_neyman_pearson_test():
    sigma, q, steps = 1.0, 0.05, 60
    alphas = [0.3, 0.1, 0.01, 1e-3, 1e-4]
    trade_off = risk.TradeOff(risk.source_of_plan(Plan.from_rate(sigma, q, steps)))
    for alpha, truth in zip(alphas, neyman_pearson(sigma, q, steps, alphas), strict=True):
        assert trade_off.at(alpha).upper == pytest.approx(truth, rel=2e-3)


def test_the_first_plan_of_the_readme():
    found = risk.assess(risk.source_of_plan(README), risk.AttackQuestion())
    assert found.advantage.lower <= 0.224469317 <= found.advantage.upper < 0.22448
    expected = (0.239622, 0.0402065, 0.00605064, 0.000857966, 0.000117029)
    for each, value in zip(found.rates, expected, strict=True):
        assert each.upper == pytest.approx(value, rel=1e-5)
        assert each.upper - each.lower <= 1e-5 * each.upper


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_the_polygon_is_above_every_rate_and_near_it(plan):
    trade_off = risk.TradeOff(source_of(plan))
    corners = trade_off.curve(100)
    across, height = zip(*corners, strict=True)
    assert (across[0], across[-1], height[-1]) == (0.0, 1.0, 1.0)
    assert list(across) == sorted(across)
    assert list(height) == sorted(height)
    for alpha in (1e-5, 1e-3, 0.02, 0.2, 0.7, 0.95):
        rate = trade_off.at(alpha)
        drawn = float(np.interp(alpha, across, height))
        assert rate.lower <= drawn <= min(rate.upper * 1.02 + 1e-4, 1.0)


@pytest.mark.parametrize(("epsilon", "rate"), [(1.0, 0.3), (2.0, 0.1)])
def test_a_curve_of_bounded_losses_starts_at_guessing(epsilon, rate):
    """Integers with geometric noise, one sampled step: outcome by outcome, and neither direction's trade-off is left
    where nothing is known of it."""
    fade = math.exp(-epsilon)
    without = np.array([(1.0 - fade) / (1.0 + fade) * fade ** abs(k) for k in range(-60, 62)])
    within = (1.0 - rate) * without + rate * np.array(
        [(1.0 - fade) / (1.0 + fade) * fade ** abs(k - 1) for k in range(-60, 62)]
    )
    plan = Plan((Phase(DiscreteLaplace(epsilon), Poisson(rate), 1),))
    across, height = zip(*risk.TradeOff(risk.source_of_plan(plan)).curve(200), strict=True)
    for alpha in (1e-5, 1e-3, 0.05, 0.3, 0.7):
        truth = max(best_test(within, without, alpha), best_test(without, within, alpha))
        assert truth <= np.interp(alpha, across, height) * (1.0 + 1e-12) <= 1.02 * truth


def best_test(true, false, alpha):
    """True positives of the Neyman-Pearson test at this false-positive rate, of laws over outcomes."""
    order = np.argsort(-true / false, kind="stable")
    rates = [np.concatenate(([0.0], np.cumsum(law[order]))) for law in (false, true)]
    return float(np.interp(alpha, *rates))


def test_what_a_stated_pair_implies():
    epsilon, delta = 1.5, 1e-4
    trade_off = risk.TradeOff(risk.source_of_stated(epsilon, delta))
    rates = [1e-5, 1e-3, 0.1, 0.3, 0.9]
    for rate, allowed in zip(rates, implied(epsilon, delta, rates), strict=True):
        assert trade_off.at(rate).upper == pytest.approx(allowed, rel=1e-7)
    assert trade_off.at(0.1).lower == pytest.approx(0.1)  # what is true may be less


@pytest.mark.parametrize("epsilon", [699.0, 710.0, 800.0, 1e100])
def test_a_stated_epsilon_beyond_floats_limits_nobody(epsilon, recwarn):
    trade_off = risk.TradeOff(risk.source_of_stated(epsilon, 1e-5))
    assert [trade_off.at(alpha).upper for alpha in (1e-300, 1e-5, 0.1)] == [1.0, 1.0, 1.0]
    assert all(corner.true_positives == 1.0 for corner in trade_off.curve(20) if corner.false_positives > 0.0)
    assert not recwarn.list


def test_accuracy_and_posterior_of_one_step_by_integration():
    sigma, prior, fpr = 1.0, 0.2, 0.03
    found = risk.assess(
        risk.source_of_plan(Plan.from_rate(sigma, 1.0, 1)), risk.AttackQuestion(prior=prior, fpr=fpr, baseline=0.07)
    )
    x = np.linspace(-12.0, 13.0, 2_000_001)
    absent, present = (np.exp(-0.5 * (x - mean) ** 2) / math.sqrt(2.0 * math.pi) for mean in (0.0, 1.0))
    best = np.trapezoid(np.maximum(prior * present, (1.0 - prior) * absent), x)
    holds(found.accuracy, best)
    rate = upper_tail(inverse_tail(fpr) - 1.0)
    holds(found.posterior, prior * rate / (prior * rate + (1.0 - prior) * fpr))
    holds(found.reconstruction, upper_tail(inverse_tail(0.07) - 1.0))
    assert found.accuracy.guess == 0.8
    assert found.advantage.upper == pytest.approx(math.erf(0.5 / math.sqrt(2.0)), rel=1e-8)


@pytest.mark.parametrize("mu", [0.1, 1.0, 3.0])
def test_the_smallest_mu_of_a_gaussian_is_its_own(mu):
    found = risk.assess(unstated(mu), risk.AttackQuestion(mu_delta=1e-6)).mu
    assert mu * (1.0 - 1e-4) <= found <= mu * (1.0 + 1e-3)


@pytest.mark.parametrize("mu", [0.1, 0.583925, 3.0])
@pytest.mark.parametrize("left_out", [0.0, 1e-5, 0.1])
def test_a_mu_that_is_stated_is_found_at_its_own_delta_and_not_below(mu, left_out):
    source = risk.source_of_gdp(mu, left_out)
    assert smallest_mu(source, left_out) == mu
    assert smallest_mu(source, 0.2) <= mu
    if left_out:
        assert smallest_mu(source, math.nextafter(left_out, 0.0)) is None


def unstated(mu):
    """The profile of a Gaussian, as if nobody had said whose it is."""
    return replace(risk.source_of_gdp(mu), mu=None)


@pytest.mark.parametrize(("epsilon", "delta"), [(3.0, 1e-6), (0.1, 1e-9), (40.0, 1e-3)])
def test_a_stated_delta_can_be_left_out_and_not_a_part_of_it(epsilon, delta):
    """From its ε on the profile is δ itself, which no μ has to cover; below it μ covers the rest, and hardly more."""
    source = risk.source_of_stated(epsilon, delta)
    mu = risk.assess(source, risk.AttackQuestion(mu_delta=delta)).mu
    x = np.linspace(0.0, epsilon, 4001)[:-1]
    rest = (1.0 - delta) * -np.expm1(x - epsilon) / (1.0 + math.exp(-epsilon))
    assert np.all(rest <= [gaussian_delta(mu, each) + 1e-12 for each in x])
    assert np.any(rest > [gaussian_delta(mu * (1.0 - 1e-3), each) for each in x])
    for less in (math.nextafter(delta, 0.0), delta / 2):
        assert risk.assess(source, risk.AttackQuestion(mu_delta=less)).mu is None


@pytest.mark.parametrize("spare", [1e-13, 1e-14, 1e-30, 1e-300])
@pytest.mark.parametrize("mu", [1e-9, 6.3e-5, 1.0, 10.0])
def test_a_tiny_delta_makes_no_mu_much_larger(mu, spare):
    """What numbers may be off is relative to them: an absolute allowance above δ₀ asked for up to 2000 times as much.
    The least differs from μ by 2.6 δ₀ at most: at ε = 0, or μ²/2, δ grows with μ as the normal density does."""
    found = smallest_mu(unstated(mu), spare)
    assert mu * (1.0 - 1e-9) - 2.6 * spare <= found <= mu * 1.011


def test_rounding_never_makes_a_mu_too_small():
    """At a δ₀ as small as roundings are, the μ that is found still dominates the profile, in 60 digits."""
    for mu, spare in ((1e-6, 1e-15), (0.3, 1e-16), (3.0, 1e-17)):
        found = smallest_mu(unstated(mu), spare)
        with mpmath.workdps(60):
            for k in range(40):
                x = mpmath.mpf(k) * mu * (mu + 8) / 30
                own, told = (
                    mpmath.ncdf(m / 2 - x / m) - mpmath.exp(x) * mpmath.ncdf(-m / 2 - x / m)
                    for m in (mpmath.mpf(mu), mpmath.mpf(found))
                )
                assert own <= told + spare


def gaussian_delta(mu, epsilon):
    return upper_tail(epsilon / mu - 0.5 * mu) - math.exp(epsilon) * upper_tail(epsilon / mu + 0.5 * mu)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_the_smallest_mu_dominates_everywhere_and_a_smaller_one_does_not(plan):
    source, spare = source_of(plan), 1e-5
    mu = risk.assess(source, risk.AttackQuestion(mu_delta=spare)).mu
    x = np.concatenate((np.linspace(0.0, 12.0, 300), np.linspace(12.5, 150.0, 100)))
    low, high = (np.maximum(*ends) for ends in zip(*(source.deltas(way, x) for way in (0, 1)), strict=True))
    assert np.max(low - [gaussian_delta(mu, e) + spare for e in x]) <= 1e-12
    assert np.max(high - [gaussian_delta(mu * 0.95, e) + spare for e in x]) > 0.0


@pytest.mark.parametrize(
    "plan",
    [PLANS["many steps"], PLANS["no sampling"], pytest.param(PLANS["little noise"], marks=pytest.mark.slow)],
    ids=("many", "all", "little"),
)
def test_the_smallest_mu_is_no_larger_than_one_place_asks_for(plan):
    source, spare = source_of(plan), 1e-5
    mu = risk.assess(source, risk.AttackQuestion(mu_delta=spare)).mu
    smaller = mu * (1.0 - 5e-5)

    def over(x):
        highs = np.maximum(*(source.deltas(way, x)[1] for way in (0, 1)))
        return highs - [gaussian_delta(smaller, each) + spare for each in x]

    x = np.linspace(0.0, 150.0, 600)
    for _ in range(3):
        best = x[np.argmax(over(x))]
        x = best + (x[1] - x[0]) * np.linspace(-1.0, 1.0, 41)
        x = x[x >= 0.0]
    assert np.max(over(x)) > 0.0


def test_a_regret_is_that_of_gdp_reporting():
    """gdpnum 0.1.2 prints this pair, its regret from below (arXiv:2503.10945)."""
    source = risk.source_of_plan(Plan.from_rate(9.4, 0.328, 2000))
    assert 0.0010208130697719753 <= regret_above(source, 1.5685621993129137) <= 1.03 * 0.0010208130697719753


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())
def test_a_regret_is_proven_and_no_more_than_a_few_percent_too_large(plan):
    """(δ_μ - δ) / (1 + e^x), at many places that it was not looked for at."""
    source, mu = source_of(plan), 1.2 * risk.assess(source_of(plan), risk.AttackQuestion()).mu
    found, x = regret_above(source, mu), np.concatenate((np.linspace(0.0, 4.0, 333), np.linspace(4.0, 40.0, 100)))
    low, high = source.larger(x)
    of_gaussian, apart = np.array([gaussian_delta(mu, each) for each in x]), 1.0 + np.exp(x)
    assert np.max((of_gaussian - high) / apart) <= found
    assert found <= max(1.05 * np.max((of_gaussian - low) / apart), 3e-5)


def test_of_what_is_only_stated_no_regret_is_known():
    assert regret_above(risk.source_of_stated(1.0, 1e-5), 0.5) is None
    assert regret_above(risk.source_of_plan(README), 0.0) == 0.0


def counted(source):
    """The source, and a list that grows by one with every different δ that it is asked for."""
    asked = set()

    def at(direction, epsilons, enough):
        asked.update((direction, epsilon) for epsilon in epsilons.tolist())
        return source.below_above(direction, epsilons, enough)

    return replace(source, below_above=at), asked


def test_few_deltas_are_enough():
    source, asked = counted(risk.source_of_plan(README))
    risk.assess(source, risk.AttackQuestion())
    assert len(asked) <= 600
    source, asked = counted(risk.source_of_plan(README))
    assert len(risk.TradeOff(source).curve(200)) >= 200
    assert len(asked) <= 320  # 200, and 100 of the first look; the second direction is the first, mirrored


SHARP = {
    "noise 0.3": Plan.from_rate(0.3, 0.05, 100),
    "noise 0.2": Plan.from_rate(0.2, 0.01, 100),
    "five steps": Plan.from_rate(1.0, 0.05, 5),
}


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("name", ["readme", "many steps", "replace one", "few steps", *SHARP])
def test_a_curve_of_200_points_takes_few_contours(name, monkeypatch):
    """What is dear is made once in each direction, or twice; all the points are read off it."""
    made = []
    once = Contour.__init__
    monkeypatch.setattr(Contour, "__init__", lambda *arguments: made.append(once(*arguments)))
    monkeypatch.setattr(composition, "near", None)  # no lattice either
    risk.TradeOff(risk.source_of_plan({"readme": README, "few steps": FEW, **PLANS, **SHARP}[name])).curve(200)
    assert 0 < len(made) <= 4


def test_a_curve_of_two_steps_takes_few_integrals(monkeypatch):
    made = []
    once = TwoSteps.at
    monkeypatch.setattr(TwoSteps, "at", lambda two, epsilon: made.append(epsilon) or once(two, epsilon))
    risk.TradeOff(risk.source_of_plan(Plan.from_rate(0.5, 0.01, 2))).curve(200)
    assert len(made) <= 10


@pytest.mark.parametrize("plan", [SHARP["five steps"], Plan.from_rate(0.5, 0.01, 2)], ids=["five steps", "two steps"])
def test_a_rough_profile_is_about_as_narrow_as_asked_and_still_true(plan):
    """Where a lattice for all ε stands for many contours; and what was rough is made anew for whoever asks for more."""
    epsilons = np.array([0.0, 1e-3, 0.1, 1.0])
    rough, narrow = Profile.of(plan), Profile.of(plan)
    low, high = rough.ends(0, epsilons, Width(1e-9, 1e-4, 1.0))
    near_low, near_high = narrow.ends(0, epsilons)
    assert np.all(np.maximum(low, near_low) <= np.minimum(high, near_high))
    assert np.all(high - low <= np.maximum(1e-9 * np.exp(epsilons), 2e-4 * high))
    later_low, later_high = rough.ends(0, epsilons)  # nothing rough is left of it
    assert np.all(later_high - later_low <= 1.01 * (near_high - near_low))


def test_few_steps_and_rare_jumps_near_0_are_narrow_by_one_lattice(monkeypatch):
    """Of the add direction, whose large losses are none; nothing else is asked, and both directions have the same δ."""
    monkeypatch.setattr(composition, "near", None)
    plan = Plan.from_rate(0.7, 1e-4, 3)
    low, high = Profile.of(plan).ends(0, np.zeros(1))
    assert 0.0 < high[0] - low[0] <= 2e-6 * high[0]
    step = 1e-4 * math.erf(0.5 / (0.7 * math.sqrt(2.0)))
    assert (1.0 - 1e-3) * step < high[0] < 3.0 * step  # of one step, and of three that add up


def test_what_is_known_of_the_other_direction_is_true():
    """The chord to the largest loss, and the first direction's place below zero, without a place of its own."""
    epsilons = np.array([0.0, 0.05, 0.2, 0.4, 0.5])
    profile = Profile.of(FEW)
    profile.ends(0, epsilons, Width(1e-9, 1e-4, 1.0))
    places = len(profile.directions[1]._places)
    low, high = profile.ends(1, epsilons, KNOWN)
    assert len(profile.directions[1]._places) == places
    near_low, near_high = Profile.of(FEW).ends(1, epsilons, Width(1e-7, 1e-6))
    assert np.all(low <= near_high)
    assert np.all(near_low <= high)
    assert np.all(high[1:] < high[0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_larger_of_both_directions(sign):
    source, xs = risk.source_of_plan(FEW), sign * np.array([0.0, 0.02, 0.3, 2.0])
    low, high = source.larger(xs, Width(1e-7, 1e-5))
    each = [risk.source_of_plan(FEW).deltas(direction, xs, Width(1e-7, 1e-5)) for direction in (0, 1)]
    assert np.all(low <= np.maximum(each[0][1], each[1][1]))
    assert np.all(high >= np.maximum(each[0][0], each[1][0]))
    assert np.all(high - low <= np.maximum(1e-6, 1e-4 * high))


@pytest.mark.parametrize("plan", [README, Plan.from_rate(0.8, 0.2, 20)], ids=["many steps", "few"])
def test_wide_enough_is_no_wider_and_still_true(plan):
    """What a width is let go to, and what the other direction's contour says below zero."""
    epsilons = np.array([0.0, 1e-3, 0.02, 0.3, 1.5])
    loose, tight = Profile.of(plan), Profile.of(plan)
    for direction in (0, 1, 0):
        low, high = loose.ends(direction, epsilons, Width(1e-9, 1e-4, 1.0))
        near_low, near_high = tight.ends(direction, epsilons)
        assert np.all(np.maximum(low, near_low) <= np.minimum(high, near_high))
        assert np.all(high - low <= np.maximum(1e-9 * np.exp(epsilons), 2e-4 * high) + 3e-9 * high)


def test_where_a_contour_is_poor_at_zero_the_other_directions_serves():
    """Rare jumps: the remove direction's grid is 7e-3 wide at ε = 0, where both directions have the same δ."""
    profile = Profile.of(Plan.from_rate(0.6, 1e-5, 1000))
    low, high = profile.ends(0, np.array([0.0, 1e-4]), Width(0.0, 1e-6))
    other_low, other_high = profile.ends(1, np.zeros(1))
    assert np.all(high - low <= 2e-6 * high)
    assert max(low[0], other_low[0]) <= min(high[0], other_high[0])


def test_the_worst_pair_is_its_own_mirror_image():
    for x in (0.1, 1.0, 4.0):
        assert stated_delta(2.0, 1e-3, -x) == pytest.approx(
            1.0 - math.exp(-x) * (1.0 - stated_delta(2.0, 1e-3, x)), rel=1e-12
        )


def test_more_noise_and_fewer_steps_never_help_an_attacker():
    def rates(sigma, q, steps):
        found = risk.assess(risk.source_of_plan(Plan.from_rate(sigma, q, steps)), risk.AttackQuestion())
        return [found.advantage.upper, *(each.upper for each in found.rates), found.posterior.upper]

    here = rates(1.0, 0.02, 200)
    for harder in (rates(0.9, 0.02, 200), rates(1.0, 0.025, 200), rates(1.0, 0.02, 260)):
        assert all(more > less for more, less in zip(harder, here, strict=True))


@pytest.mark.parametrize(("prior", "fpr"), [(1e-300, 1e-300), (1e-200, 1e-120), (1e-5, 1e-290)])
def test_a_posterior_of_tiny_chances_is_not_0(prior: float, fpr: float) -> None:
    """0 was below the truth, and no upper end."""
    assert posterior(min(1.25 * fpr, 1.0), prior, fpr) == pytest.approx(1.25 * prior, rel=1e-5)
