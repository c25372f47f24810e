"""Limits on what attackers reach: the plan that is found keeps to the limit, and uses nearly all of it."""

import pytest

from dpplan import risk, solve
from dpplan.errors import PlanError
from dpplan.plan import Settings
from dpplan.risk.assessment import posterior
from dpplan.solve import risk_target

SETTINGS = Settings(sample_rate=0.02, steps=300)


def solved(target, settings=SETTINGS):
    return risk_target.solved(target, lambda epsilon, delta: solve.solve(settings, epsilon, delta, by="delta"))


def assessed(plan, **asked):
    return risk.assess(risk.source_of_plan(plan), risk.AttackQuestion(**asked))


@pytest.mark.sweep(slow=("0.05",))
@pytest.mark.parametrize(
    ("limit", "rate"),
    [(0.05, 0.01), (0.999, 0.97), *(pytest.param(*far, marks=pytest.mark.slow) for far in ((1e-3, 1e-5), (0.9, 0.4)))],
)
def test_true_positives_stay_within_the_limit_and_nearly_reach_it(limit, rate):
    found = solved(risk_target.true_positives(limit, rate))
    reached = assessed(found.plan, rates=(rate,)).rates[0].upper
    assert reached <= limit
    assert limit - reached <= 1e-3 * (limit - rate)
    less = found.plan.phases[0].mechanism.noise_multiplier * 0.999
    worse = SETTINGS.with_(noise_multiplier=less).plan()
    assert assessed(worse, rates=(rate,)).rates[0].upper > reached


def test_an_advantage_is_delta_at_zero():
    found = solved(risk_target.advantage(0.1))
    assert 0.0999 < assessed(found.plan).advantage.upper <= 0.1


def test_a_posterior():
    found = solved(risk_target.posterior(0.2, 0.01, 0.001))
    kept = assessed(found.plan, prior=0.01, fpr=0.001).posterior.upper
    assert 0.1999 < kept <= 0.2
    assert posterior(0.2475, 0.01, 0.01) == pytest.approx(0.2)


@pytest.mark.slow
def test_a_length_is_solved_for_too():
    found = solved(risk_target.true_positives(0.05, 0.01), Settings(sample_rate=0.02, noise_multiplier=1.0))
    assert assessed(found.plan, rates=(0.01,)).rates[0].upper <= 0.05
    longer = Settings(sample_rate=0.02, noise_multiplier=1.0, steps=found.plan.steps + 2).plan()
    assert assessed(longer, rates=(0.01,)).rates[0].upper > 0.05


def test_what_guessing_reaches_and_what_nobody_exceeds_are_refused():
    for make in (
        lambda: risk_target.true_positives(0.01, 0.01),
        lambda: risk_target.posterior(0.3, 0.3, 0.01),
        lambda: risk_target.posterior(0.9, 0.5, 0.5),
    ):
        with pytest.raises(PlanError):
            make()
