"""From scores to verdicts: sound runs pass as often as is stated, broken ones do not."""

import math

import numpy as np
import pytest

from dpplan import accounting
from dpplan.adjacency import ZERO_OUT
from dpplan.audit import AuditSettings, Hypothesis, Scores, audit
from dpplan.audit.assessment import scaled
from dpplan.mechanism import Laplace, Stated, ToeplitzNoise, TreeAggregation
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson, Shuffle

PLAN = Plan.from_rate(1.9, 0.5, 20)
DELTA = 1e-5
EVERYBODY = Poisson(1.0)


def simulated(plan: Plan, canaries: int, rng: np.random.Generator, noise: float = 1.0) -> Scores:
    """What Dirac canaries score in a run of the plan: the best test of each, by its own coordinate of every release.

    noise: what was really added, in units of the planned.
    """
    phase = plan.only_phase
    sigma, rate = phase.mechanism.noise_multiplier, phase.sampling.sample_rate  # type: ignore[attr-defined]
    member = rng.integers(0, 2, canaries).astype(bool)
    drawn = (rng.random((phase.steps, canaries)) < rate) & member
    seen = drawn + noise * sigma * rng.standard_normal((phase.steps, canaries))
    score = np.log1p(rate * np.expm1((2 * seen - 1) / (2 * sigma**2))).sum(0)
    return Scores(member, score)


def test_a_sound_run_is_consistent_and_its_bound_is_below_the_truth() -> None:
    found = audit(
        simulated(PLAN, 4000, np.random.default_rng(1)), Hypothesis.of_plan(PLAN, DELTA), AuditSettings(DELTA)
    )
    assert found.violation is False
    assert found.hypothesis is not None
    assert 0.3 < (found.share or 0) < 1
    assert found.epsilon < accounting.epsilon(PLAN, DELTA).value
    assert found.family == "the same plan with another noise multiplier"
    assert all(each.p_value is not None and each.p_value > 0.05 / 10 for each in found.attempts)


@pytest.mark.sweep(slow=("one-run-fdp",))
@pytest.mark.parametrize("method", ["one-run-fdp", "one-run"])
def test_half_the_noise_is_a_violation(method: str) -> None:
    """By the curve at ε = 6; by (ε, δ) alone only of a smaller claim, with the noise nearly gone."""
    plan, noise = (PLAN, 0.5) if method == "one-run-fdp" else (Plan.from_rate(4.0, 0.5, 20), 0.2)
    scores = simulated(plan, 4000, np.random.default_rng(2), noise)
    found = audit(scores, Hypothesis.of_plan(plan, DELTA), AuditSettings(DELTA, method=method))
    assert found.violation is True
    if method == "one-run":
        assert found.epsilon > accounting.epsilon(plan, DELTA).value


def test_the_rate_of_false_alarms_is_at_most_the_level() -> None:
    """300 sound runs, and 5 % allowed; and the bound is above the truth no more often."""
    rng, level = np.random.default_rng(3), 0.05
    claim = Hypothesis.of_plan(PLAN, DELTA)
    alarms = sum(bool(_quick(simulated(PLAN, 500, rng), claim, level)) for _ in range(300))
    assert alarms <= level * 300


def _quick(scores: Scores, claim: Hypothesis, level: float) -> bool:
    """The verdict alone, by all attempts, without the bound."""
    from dpplan.audit.assessment import SIDES, numbers_of_guesses
    from dpplan.audit.one_run import is_refuted

    tried = [(side, number) for side in SIDES for number in numbers_of_guesses(scores.canaries)]
    return any(
        is_refuted(claim.curve, scores.canaries, *scores.ranked(number, side), level / len(tried))
        for side, number in tried
    )


@pytest.mark.slow
def test_the_bound_is_above_the_truth_no_more_often_than_stated() -> None:
    rng, truth = np.random.default_rng(4), accounting.epsilon(PLAN, DELTA).value
    claim = Hypothesis.of_plan(PLAN, DELTA)
    found = [audit(simulated(PLAN, 300, rng), claim, AuditSettings(DELTA, level=0.1)) for _ in range(300)]
    assert sum(each.epsilon > truth or each.violation for each in found) <= 30


def test_without_a_claim_there_is_no_verdict_and_a_gaussian_is_meant() -> None:
    found = audit(simulated(PLAN, 2000, np.random.default_rng(5)), None, AuditSettings(DELTA))
    assert found.violation is None
    assert found.epsilon > 0.5
    assert "Gaussian" in found.family


def test_guessing_refutes_nothing() -> None:
    rng = np.random.default_rng(6)
    scores = Scores(rng.integers(0, 2, 1000).astype(bool), rng.standard_normal(1000))
    found = audit(scores, Hypothesis.of_stated(0.01, 1e-6), AuditSettings(1e-6))
    assert found.violation is False
    assert found.epsilon == 0.0


def test_a_stated_claim_is_refuted_by_perfect_scores() -> None:
    member = np.random.default_rng(7).integers(0, 2, 1000).astype(bool)
    found = audit(Scores(member, member.astype(float)), Hypothesis.of_stated(2.0, 1e-5), AuditSettings(1e-5))
    assert found.violation is True


def test_many_runs_bound_a_gaussian_closely_and_catch_a_wrong_claim() -> None:
    rng = np.random.default_rng(8)
    member = np.arange(20000) % 2 == 0
    scores = Scores(member, rng.standard_normal(20000) + 1.0 * member)
    truth = accounting.epsilon(Plan.from_rate(1.0, 1.0, 1), DELTA).value
    settings = AuditSettings(DELTA, method="many-runs")
    found = audit(scores, Hypothesis.of_plan(Plan.from_rate(1.0, 1.0, 1), DELTA), settings)
    assert found.violation is False
    assert 1.5 < found.epsilon < truth
    assert audit(scores, Hypothesis.of_plan(Plan.from_rate(2.0, 1.0, 1), DELTA), settings).violation is True


def test_equal_scores_are_never_more_right_than_by_chance() -> None:
    """A file sorted by members whose scores are all the same says nothing."""
    scores = Scores(np.arange(100) < 50, np.zeros(100))
    assert scores.ranked(20, "both") == (20, 0)
    assert scores.ranked(20, "in") == (20, 0)


def test_fewer_guesses_than_two_sides_need() -> None:
    scores = Scores(np.array([True, False, True]), np.array([3.0, 1.0, 2.0]))
    assert scores.ranked(3, "both") == (2, 2)
    assert scores.ranked(3, "in") == (3, 2)


def test_the_published_clopper_pearson_ends() -> None:
    from dpplan.audit.many_runs import _upper

    assert _upper(0, 10, 0.05) == pytest.approx(1 - 0.05**0.1, rel=1e-8)
    assert _upper(10, 10, 0.05) == 1.0
    assert math.isclose(1 - _upper(9, 10, 0.025), 0.00252857854446178, rel_tol=1e-6)  # of Clopper, Pearson 1934: 0.0025


def test_every_noise_that_is_one_number_is_scaled() -> None:
    """Of a plan of several mechanisms too; what has no such number stays as it is."""
    mechanisms = Laplace(0.5), ToeplitzNoise(2.0, bands=3), Stated(0.1, 0.0)
    phases = tuple(Phase(each, EVERYBODY, 1) for each in mechanisms)
    twice = scaled(Plan(phases), 2.0)
    assert [each.mechanism for each in twice.phases] == [Laplace(0.25), ToeplitzNoise(4.0, bands=3), Stated(0.1, 0.0)]


@pytest.mark.parametrize(
    ("plan", "family"),
    [
        (Plan((Phase(Laplace(0.1), EVERYBODY, 1),)), "the same plan with another noise multiplier"),
        (Plan((Phase(Stated(0.1, 0.0), EVERYBODY, 1),)), "a Gaussian mechanism (μ-GDP)"),
        (
            Plan((Phase(TreeAggregation(4.0), Shuffle(4, "once"), 8),), adjacency=ZERO_OUT),
            "a Gaussian mechanism (μ-GDP)",
        ),
    ],
    ids=["laplace", "stated", "from above alone"],
)
def test_what_is_no_gaussian_is_audited_too_and_refuted_by_too_good_guesses(plan: Plan, family: str) -> None:
    rng = np.random.default_rng(5)
    member = rng.integers(0, 2, 400).astype(bool)
    found = audit(
        Scores(member, member + 0.3 * rng.standard_normal(400)), Hypothesis.of_plan(plan, DELTA), AuditSettings(DELTA)
    )
    assert found.violation
    assert found.family == family
    assert found.epsilon > (found.hypothesis.upper if found.hypothesis else math.inf)


def test_what_refutes_a_plan_proves_more_than_the_plan_has() -> None:
    """Also where the number of guesses that refutes most Gaussian mechanisms is not the one that refutes the plan."""
    plan = Plan.from_rate(1.0, 0.05, 10)
    settings = AuditSettings(DELTA, method="order-statistics")
    found = audit(simulated(plan, 300, np.random.default_rng(52), 0.4), Hypothesis.of_plan(plan, DELTA), settings)
    assert found.violation
    assert [each.refuted for each in found.attempts].count(True) == 1
    assert found.share is not None and found.share > 1.0
    assert found.best.refuted


@pytest.mark.parametrize("sigma", [1e-3, 1e6])
def test_a_plan_far_from_what_scores_show_is_no_reason_to_prove_less(sigma: float) -> None:
    scores = simulated(Plan.from_rate(0.5, 1.0, 1), 1000, np.random.default_rng(4))
    alone = audit(scores, None, AuditSettings(DELTA)).epsilon
    claim = Hypothesis.of_plan(Plan.from_rate(sigma, 1.0, 1), DELTA)
    assert audit(scores, claim, AuditSettings(DELTA)).epsilon == pytest.approx(alone, rel=0.05)
