"""Independent canaries: held against randomized response, a Gaussian by quadrature, and 300 sound runs."""

import math
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from scipy import integrate, special, stats
from test_assessment import DELTA, PLAN, simulated

from dpplan import accounting
from dpplan.adjacency import REPLACE_ONE
from dpplan.audit import AuditSettings, Hypothesis, Scores, audit, one_run, order_statistics, two_gaussians
from dpplan.audit.claimed_trade_off import MuCurve, curve_of
from dpplan.errors import PlanError, ScoresError
from dpplan.mechanism import BestOfTrials, Gaussian
from dpplan.plan import Phase, Plan
from dpplan.risk import source_of_gdp, source_of_stated
from dpplan.sampling import FixedSize, Poisson

SETTINGS = AuditSettings(DELTA, method="order-statistics")


@pytest.mark.parametrize(("canaries", "guesses", "right"), [(50, 50, 40), (50, 20, 18), (1000, 999, 760)])
def test_every_guess_of_randomized_response_is_right_with_the_same_chance(
    canaries: int, guesses: int, right: int
) -> None:
    exact = stats.binom.sf(right - 1, guesses, 1.0 / (1.0 + math.exp(-1.0)))
    found = order_statistics.p_value(curve_of(source_of_stated(1.0, 0.0)), canaries, guesses, right)
    assert exact <= found <= exact * (1 + 1e-6)


@pytest.mark.parametrize("mu", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("canaries", [2, 5, 40])
def test_the_canary_that_shows_most_is_right_as_often_as_quadrature_says(mu: float, canaries: int) -> None:
    """E[the largest posterior chance of m], where the larger of two is 1/(1 + e^-l) at |x - μ/2| = l/μ."""

    def below(loss: float) -> float:
        return float(special.ndtr(loss / mu + mu / 2) - special.ndtr(mu / 2 - loss / mu))

    rest, _ = integrate.quad(lambda x: special.expit(x) * special.expit(-x) * below(x) ** canaries, 0, 60, limit=500)
    exact = 1.0 - rest  # by parts, from the law of the largest
    found = order_statistics.p_value(MuCurve(mu), canaries, 1, 1)
    assert exact <= found + 1e-9
    assert 1.0 - found > (1.0 - exact) * 0.98 - 1e-9


def test_as_many_are_right_as_in_simulated_runs() -> None:
    """The best guesses, of those canaries that show most: their numbers reach each bound as often as it says."""
    rng, mu, canaries = np.random.default_rng(5), 1.5, 300
    member = rng.random((4000, canaries)) < 0.5
    seen = rng.standard_normal(member.shape) + mu * member
    right = (seen > mu / 2) == member
    order = np.argsort(-np.abs(seen - mu / 2), axis=1)
    for guesses in (20, 60, 300):
        counts = np.take_along_axis(right, order[:, :guesses], 1).sum(1)
        for share in (0.3, 0.9):
            bound = int(np.quantile(counts, share))
            found = order_statistics.p_value(MuCurve(mu), canaries, guesses, bound)
            seen_share = float((counts >= bound).mean())
            assert abs(found - seen_share) < 5 * math.sqrt(0.25 / len(counts))


def test_more_right_guesses_and_smaller_claims_are_less_likely() -> None:
    values = [order_statistics.p_value(MuCurve(1.0), 400, 100, right) for right in range(60, 101, 5)]
    assert values == sorted(values, reverse=True)
    values = [order_statistics.p_value(MuCurve(mu), 400, 100, 90) for mu in (0.1, 0.5, 1.0, 2.0, 4.0)]
    assert values == sorted(values)
    assert order_statistics.p_value(MuCurve(1.0), 400, 100, 0) == 1.0
    assert order_statistics.p_value(MuCurve(1.0), 400, 0, 0) == 1.0


def test_most_of_epsilon_is_proven_and_half_the_noise_is_a_violation() -> None:
    claim, truth = Hypothesis.of_plan(PLAN, DELTA), accounting.epsilon(PLAN, DELTA).value
    sound = audit(simulated(PLAN, 4000, np.random.default_rng(1)), claim, SETTINGS)
    assert sound.violation is False
    assert 0.75 * truth < sound.epsilon < truth
    assert [each.side for each in sound.attempts] == ["both"] * 5
    broken = audit(simulated(PLAN, 1000, np.random.default_rng(2), 0.5), claim, SETTINGS)
    assert broken.violation is True
    assert broken.epsilon > truth


def test_the_rate_of_false_alarms_is_at_most_the_level() -> None:
    rng, claim = np.random.default_rng(6), Hypothesis.of_plan(PLAN, DELTA)
    alarms = 0
    for _ in range(300):
        scores = simulated(PLAN, 500, rng)
        tried = [scores.ranked(500 // 2**k, "both") for k in range(5)]
        alarms += any(order_statistics.p_value(claim.curve, 500, *each) < 0.05 / 5 for each in tried)
    assert alarms <= 0.05 * 300


def test_two_gaussians_are_an_estimate_and_give_no_verdict() -> None:
    rng = np.random.default_rng(7)
    member = rng.random(4000) < 0.5
    scores = Scores(member, 3.0 * (rng.standard_normal(4000) + 1.2 * member))
    assert 1.1 < two_gaussians.lower_mu(scores, 0.05) < 1.2
    assert two_gaussians.lower_mu(scores.turned, 0.05) == 0.0
    plan = Plan.from_rate(5.0, 1.0, 1)  # refuted by far, if this were a theorem
    found = audit(scores, Hypothesis.of_plan(plan, DELTA), AuditSettings(DELTA, method="gauss"))
    assert found.is_estimate
    assert found.violation is None
    assert "ESTIMATE" in found.family
    assert found.epsilon < accounting.epsilon(Plan.from_rate(1 / 1.2, 1.0, 1), DELTA).value


def test_limits_of_an_estimate_hold_as_often_as_they_say() -> None:
    rng, above = np.random.default_rng(8), 0
    for _ in range(400):
        member = rng.random(200) < 0.5
        above += two_gaussians.lower_mu(Scores(member, rng.standard_normal(200) + 1.0 * member), 0.05) > 1.0
    assert above <= 400 * 0.05 + 3 * math.sqrt(400 * 0.05)


@pytest.mark.parametrize(("score", "words"), [(math.inf, "infinite"), (0.0, "without a spread")])
def test_scores_without_a_spread_are_no_gaussians(score: float, words: str) -> None:
    member = np.arange(100) < 50
    with pytest.raises(ScoresError, match=words):
        two_gaussians.lower_mu(Scores(member, np.full(100, score)), 0.05)
    with pytest.raises(ScoresError, match="too few"):
        two_gaussians.lower_mu(Scores(member[40:60], np.arange(20.0)), 0.05)


def test_a_million_guesses_are_bounded_from_above_though_scipy_is_off() -> None:
    """By a binomial tail in 50 digits: n = 1e6 and 3.1 standard deviations above the mean."""
    n, chance = 10**6, 1.0 / (1.0 + math.exp(-2.2))
    right = math.ceil(n * chance + 3.1 * math.sqrt(n * chance * (1 - chance)))
    with mpmath.workdps(50):
        p = 1 / (1 + mpmath.exp(-mpmath.mpf("2.2")))
        term = mpmath.binomial(n, right) * p**right * (1 - p) ** (n - right)
        exact = mpmath.mpf(0)
        for k in range(right, right + 4000):
            exact += term
            term *= mpmath.mpf(n - k) / (k + 1) * p / (1 - p)
    found = order_statistics.p_value(curve_of(source_of_stated(2.2, 0.0)), n, n, right)
    assert exact <= found <= exact * (1 + mpmath.mpf(1e-6))


def test_a_plan_whose_canaries_touch_each_other_is_refused() -> None:
    gaussian = Phase(Gaussian(1.0), Poisson(1.0), 1)
    together = Plan((gaussian, Phase(Gaussian(1.0), FixedSize(10, 100), 5)), adjacency=REPLACE_ONE)
    search = Plan((Phase(BestOfTrials("geometric", 3.0, (gaussian,)), Poisson(1.0), 1),))
    for plan, words in ((together, "fixed-size"), (search, "best of several trials")):
        claim = Hypothesis("the plan", MuCurve(1.0), plan)
        with pytest.raises(PlanError, match=words):
            audit(simulated(PLAN, 50, np.random.default_rng(1)), claim, SETTINGS)


def test_canaries_that_show_all_together_or_not_at_all_alarm_this_theorem_alone() -> None:
    """With chance 0.1 all show what they are: they touch each other, which is why the method has to be asked for."""
    rng, canaries, runs = np.random.default_rng(9), 200, 400
    curve, found, withstood = curve_of(replace(source_of_gdp(3.0), below_above=_one_in_ten)), 0, 0
    for _ in range(runs):
        member = rng.random(canaries) < 0.5
        scores = Scores(member, rng.standard_normal(canaries) + 3.0 * member * (rng.random() < 0.1))
        tried = [scores.ranked(canaries // 2**k, "both") for k in range(5)]
        found += any(order_statistics.p_value(curve, canaries, *each) < 0.05 / 5 for each in tried)
        withstood += any(one_run.is_refuted(curve, canaries, *each, 0.05 / 5) for each in tried)
    assert withstood <= 0.05 * runs < found


def _one_in_ten(direction: int, xs: np.ndarray, enough: object) -> tuple[np.ndarray, np.ndarray]:
    delta = 0.1 * (special.ndtr(1.5 - xs / 3.0) - np.exp(np.minimum(xs, 700.0)) * special.ndtr(-1.5 - xs / 3.0))
    return np.zeros(len(xs)), np.clip(delta, 0.0, 1.0) + 1e-12


def test_a_stated_epsilon_next_to_0_or_to_another_place_has_a_curve() -> None:
    for epsilon in (0.0, 1e-300, 1e-17, 0.6 + 1e-16):
        curve = curve_of(source_of_stated(epsilon, 1e-5))
        assert curve.inverse(0.5) == pytest.approx(math.exp(-epsilon) * (0.5 - 1e-5), rel=1e-9)
