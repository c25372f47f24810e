"""Groups and bins that a record keeps from phase to phase: what is claimed holds then too, and is not the product."""

import math

import numpy as np
import oracle
import pytest
from mpmath import mp, mpf

from dpplan import accounting
from dpplan.accounting import exact
from dpplan.accounting.exact.profile import Profile
from dpplan.accounting.pairs import allocated_rounds, kept_assignment, terms
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.mechanism import BestOfTrials, Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import BallsInBins, CyclicPoisson, FixedSize, Poisson, Shuffle

SIGMAS = (1.0, 0.7)


def _plan(*phases: tuple[float, object, int]) -> Plan:
    return Plan(tuple(Phase(Gaussian(sigma), scheme, steps) for sigma, scheme, steps in phases), ADD_REMOVE)  # type: ignore[arg-type]


def _gaussian_delta(mu: float, epsilon: float) -> float:
    def below(z: float) -> float:
        return 0.5 * math.erfc(-z / math.sqrt(2.0))

    return below(0.5 * mu - epsilon / mu) - math.exp(epsilon) * below(-0.5 * mu - epsilon / mu)


@pytest.mark.parametrize("epsilon", [2.0, 4.0])
def test_a_group_that_is_kept(epsilon: float) -> None:
    """One step of ten groups in each of four phases, always the first group's: one record in ten is in all four."""
    plan = _plan(*((2.0, CyclicPoisson(1.0, 10, "own"), 1) for _ in range(4)))
    kept = 0.1 * _gaussian_delta(1.0, epsilon)  # four steps of 1/2² make μ = 1
    assert exact.delta(plan, epsilon).upper >= kept
    drawn_anew = sum(
        math.comb(4, k) * 0.1**k * 0.9 ** (4 - k) * _gaussian_delta(0.5 * math.sqrt(k), epsilon) for k in range(1, 5)
    )
    assert drawn_anew < 0.7 * kept  # what a product of public coins would claim
    assert exact.delta(plan, epsilon).lower <= drawn_anew


@pytest.mark.slow
def test_a_phase_of_whole_rounds_loses_nothing_by_another() -> None:
    """Where no round is cut, or one alone, groups that are kept cost what groups drawn anew do."""
    scheme = CyclicPoisson(0.5, 4, "own")
    one, two = _plan((1.0, scheme, 9)), _plan((1.0, scheme, 4), (1.0, scheme, 5))
    for each in (exact.delta(one, 1.0), exact.delta(two, 1.0)):
        assert each.upper - each.lower < 1e-4 * each.upper
    assert exact.delta(two, 1.0).lower <= exact.delta(one, 1.0).upper
    assert exact.delta(one, 1.0).lower <= exact.delta(two, 1.0).upper


def test_bins_are_drawn_anew_in_each_phase() -> None:
    """δ(ε) of one bin of four in each of two phases, the second cut short, by draws of the likelihood ratio."""
    scheme = BallsInBins(4, "same")
    plan, epsilon, draws = _plan((SIGMAS[0], scheme, 4), (SIGMAS[1], scheme, 6)), 1.0, 400_000
    rng = np.random.default_rng(5)
    gone = np.ones(draws)  # R under Q
    for sigma, visits in ((SIGMAS[0], (1, 1, 1, 1)), (SIGMAS[1], (2, 2, 1, 1))):
        precision = np.array([times / sigma**2 for times in visits])
        z = rng.standard_normal((4, draws)) * np.sqrt(precision)[:, None]
        gone *= np.exp(z - 0.5 * precision[:, None]).mean(axis=0)
    values = np.maximum(gone - math.exp(epsilon), 0.0)
    assert exact.delta(plan, epsilon).upper == pytest.approx(values.mean(), abs=6.0 * values.std() / math.sqrt(draws))
    assert plan.assumptions.sampling.endswith("bins drawn anew for each phase")


def test_two_phases_of_kept_bins_are_two_runs_and_not_a_longer_one() -> None:
    """So twice k steps are not 2k. Two of the one are what two epochs of fresh bins are at the noise of each phase."""
    scheme = BallsInBins(5, "same")
    whole = exact.epsilon(_plan((1.5, scheme, 20)), 1e-5)
    halves = exact.epsilon(_plan((1.5, scheme, 10), (1.5, scheme, 10)), 1e-5)
    fresh = exact.epsilon(_plan((1.5 / math.sqrt(2.0), BallsInBins(5), 10)), 1e-5)
    assert halves.upper < 0.95 * whole.lower
    assert halves.lower <= fresh.upper and fresh.lower <= halves.upper


@pytest.mark.parametrize(("scheme", "adjacency"), [
    (CyclicPoisson(1.0, 10, "own"), ADD_REMOVE), (CyclicPoisson(0.5, 3, "own"), REPLACE_ONE),
    (BallsInBins(10, "same"), ZERO_OUT),
])  # fmt: skip
@pytest.mark.parametrize("accountant", ["exact", "rdp"])
@pytest.mark.sweep(every=5)
def test_a_search_costs_no_less_than_what_it_searches(scheme: object, adjacency: Adjacency, accountant: str) -> None:
    """Beside another phase that may keep the same group too: more trials do not make a figure smaller."""
    run = Phase(Gaussian(0.5), scheme, 1)  # type: ignore[arg-type]
    search = Phase(BestOfTrials("geometric", 1.0001, (run,)), Poisson(1.0), 1)
    alone, beside = (
        accounting.epsilon(Plan(phases, adjacency), 1e-5, accountant).upper for phases in ((run, run), (search, run))
    )
    assert alone is not None and beside is not None and beside >= 0.999 * alone


def test_the_winner_of_trials_in_one_group_is_above_what_an_attacker_reaches() -> None:
    """Ten trials on average of one step, the group kept in all: an independent bound from below is 12.86."""
    run = Phase(Gaussian(0.5), CyclicPoisson(1.0, 10, "own"), 1)
    search = Phase(BestOfTrials("geometric", 10.0, (run,)), Poisson(1.0), 1)
    found = accounting.epsilon(Plan((search,), ZERO_OUT), 1e-5)
    assert found.upper is not None and found.upper > 12.86
    assert "each trial" not in found.assumptions.sampling


@pytest.mark.parametrize("scheme", [Shuffle(10, "fresh"), pytest.param(FixedSize(3, 10), marks=pytest.mark.slow)])
def test_each_direction_has_its_own_lower_end(scheme: Shuffle | FixedSize) -> None:
    """Zero-out is not symmetric where what dominates it is: what is realised with the record says nothing of the other
    direction. An identity of every pair, δ_add(0) = δ_remove(0), tells at ε = 0 where both are of the same pair."""
    plan = Plan((Phase(Gaussian(1.0), scheme, 5),), ZERO_OUT)
    profile = Profile.of(plan)
    assert profile.remove(0.0)[0] == pytest.approx(profile.add(0.0)[0], rel=1e-5)
    assert profile.add(1.0)[0] < 0.9 * profile.remove(1.0)[0]


def test_few_of_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A last epoch that has hardly begun is a sampled one; both ways meet, and no lattice as fine as it is laid."""
    plan = _plan((1.0, BallsInBins(40), 3))
    found = exact.delta(plan, 0.2)
    monkeypatch.setattr(allocated_rounds, "RARE", 10**9)
    other = exact.delta(plan, 0.2)
    assert found.lower <= other.upper and other.lower <= found.upper
    assert found.upper - found.lower < 1e-3 * found.upper
    monkeypatch.undo()
    tiny = exact.epsilon(_plan((1.0, BallsInBins(10**9), 10)), 1e-12)  # memory ran out
    assert 4.4e-8 < tiny.lower <= tiny.upper < 4.6e-8


def test_one_phase_keeps_the_pairs_it_has() -> None:
    phases = _plan((1.0, BallsInBins(4, "same"), 6), (1.0, CyclicPoisson(0.5, 4, "own"), 6)).phases
    found = [terms(phase, ADD_REMOVE, "example") for phase in phases]
    assert kept_assignment.together(phases, found, ADD_REMOVE) == found


@pytest.mark.parametrize("epsilon", [0.5, 2.0, 4.0])
def test_a_group_that_is_kept_or_told_is_held_by_closed_forms_in_mpmath(epsilon: float) -> None:
    """One group of ten, the same in four phases, is one step at rate 1/10 with half the noise if nobody knows it, and a
    Gaussian of μ = 1 if everybody does: the claim is between the two. Of `told` phases it is the first group's own."""
    phases = _plan(*((2.0, CyclicPoisson(1.0, 10, "own"), 1) for _ in range(4))).phases
    found = exact.delta(_plan(*((2.0, CyclicPoisson(1.0, 10, "own"), 1) for _ in range(4))), epsilon)
    told = exact.delta(Plan(kept_assignment.told(phases), ADD_REMOVE), epsilon)
    with mp.workdps(30):
        hidden = oracle.step_delta(0.1, 1.0, mpf(epsilon))
        known = mp.exp(oracle.gaussian_log_delta(1.0, epsilon))
        assert hidden <= found.upper <= known * (1 + mpf(10) ** -6)
        assert found.lower <= hidden
        assert told.lower <= known <= told.upper <= known * (1 + mpf(10) ** -6)
