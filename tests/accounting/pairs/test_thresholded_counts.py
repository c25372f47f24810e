"""Counts above a threshold and the sparse vector technique: against the joint law, and on tiny domains."""

import itertools
import math

import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan import accounting
from dpplan.accounting.pairs import thresholded_counts
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT
from dpplan.errors import NotApplicable, NotCertified, PlanError
from dpplan.mechanism import Laplace, Stated
from dpplan.mechanism.thresholds import AboveThreshold, ThresholdedCounts
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

FULL = Poisson(1.0)


def plan(kind: ThresholdedCounts | AboveThreshold | Stated, steps: int = 1) -> Plan:
    return Plan((Phase(kind, FULL, steps),))


def gaussian_delta(mu: mpf, epsilon: mpf) -> mpf:
    if mu == 0:
        return max(-mp.expm1(epsilon), mpf(0))
    return mp.ncdf(mu / 2 - epsilon / mu) - mp.exp(epsilon) * mp.ncdf(-mu / 2 - epsilon / mu)


def joint_delta(sigma: float, threshold: float, partitions: int, epsilon: float) -> mpf:
    """Wilkins et al. 2024: the largest over in how many partitions the record is alone, in both orders."""
    worst = mpf(0)
    for alone in range(partitions + 1):
        hidden = mp.ncdf((mpf(threshold) - 1) / mpf(sigma)) ** alone
        mu = mp.sqrt(partitions - alone) / mpf(sigma)
        removed = 1 - hidden + hidden * gaussian_delta(mu, epsilon - mp.log(hidden))
        added = gaussian_delta(mu, epsilon + mp.log(hidden))
        worst = max(worst, removed, added)
    return worst


@pytest.mark.parametrize(("sigma", "threshold", "partitions"), [(4.0, 20.0, 1), (4.0, 18.0, 3), (1.0, 7.0, 12)])
@pytest.mark.parametrize("epsilon", [0.0, 0.5, 3.0])
def test_one_release_lies_within_its_interval(sigma: float, threshold: float, partitions: int, epsilon: float) -> None:
    found = accounting.delta(plan(ThresholdedCounts(sigma, threshold, partitions)), epsilon)
    with mp.workdps(40):
        truth = joint_delta(sigma, threshold, partitions, epsilon)
        name = 1 - mp.ncdf((mpf(threshold) - 1) / mpf(sigma)) ** partitions
    assert found.lower is not None and found.upper is not None
    assert found.lower <= truth <= found.upper <= truth + 1.001 * name


@pytest.mark.parametrize("noise", ["gaussian", "laplace"])
def test_the_chance_of_a_name_is_that_of_mpmath(noise: str) -> None:
    with mp.workdps(40):
        for threshold in (1.0, 5.5, 60.0):
            low, high = thresholded_counts.name_chance(ThresholdedCounts(2.0, threshold, 3, noise))
            beyond = (mpf(threshold) - 1) / 2
            one = mp.exp(-beyond) / 2 if noise == "laplace" else mp.erfc(beyond / mp.sqrt(2)) / 2
            assert low <= -mp.expm1(3 * mp.log1p(-one)) <= high <= low * (1 + 1e-11)


def test_laplace_counts_cost_the_noise_of_each_count_and_a_name() -> None:
    """With a threshold that no name passes, what the noise alone costs."""
    alone = accounting.epsilon(Plan((Phase(ThresholdedCounts(2.0, 500.0, 3, "laplace"), FULL, 2),)), 1e-6)
    counts = accounting.epsilon(Plan((Phase(Laplace(0.5), FULL, 6),)), 1e-6)
    assert alone.value == pytest.approx(counts.value, rel=1e-6)
    with pytest.raises(NotCertified, match=r"the chance, 0\.19, of an outcome"):
        accounting.epsilon(plan(ThresholdedCounts(2.0, 5.0, 3, "laplace")), 1e-6)


def least_delta(of: Plan, epsilon: float) -> float:
    """The least that any accountant claims."""
    found = []
    for name in ("exact", "rdp"):
        upper = accounting.delta(of, epsilon, name).upper
        assert upper is not None
        found.append(upper)
    return min(found)


@pytest.mark.parametrize("noise", ["gaussian", "laplace"])
def test_a_simulation_of_two_words_does_not_exceed_the_claim(noise: str) -> None:
    """A word that only the record has, and one that others have: every outcome, what is shown by its cell of a grid."""
    threshold, epsilon = (4.0, 0.4) if noise == "gaussian" else (6.0, 1.2)
    edges = np.append(np.linspace(threshold, threshold + 30, 4001), np.inf)

    def beyond(places: np.ndarray, count: float) -> np.ndarray:
        """The chance that a noisy count is above."""
        away = places - count
        if noise == "gaussian":
            return np.array([0.5 * math.erfc(each / math.sqrt(2)) for each in away])
        return np.where(away > 0, np.exp(-np.abs(away)) / 2, 1 - np.exp(-np.abs(away)) / 2)

    def law(own: float, shared: float) -> np.ndarray:
        """Rows: the own word hidden, or shown; columns: the shared count hidden, or its value."""
        shown = float(beyond(np.array([threshold]), own)[0]) if own else 0.0
        above = beyond(edges, shared)
        values = np.concatenate([[1 - above[0]], -np.diff(above)])
        return np.array([(1 - shown) * values, shown * values])

    worst = 0.0
    for shared in (1.0, 3.0, 8.0):
        with_it, without = law(1.0, shared + 1.0), law(0.0, shared)
        for p, q in ((with_it, without), (without, with_it)):
            worst = max(worst, float(np.maximum(p - math.exp(epsilon) * q, 0).sum()))
    claimed = least_delta(plan(ThresholdedCounts(1.0, threshold, 2, noise)), epsilon)
    assert (0.5 if noise == "gaussian" else 0.005) * claimed < worst <= claimed * (1 + 1e-9)


def test_above_threshold_costs_what_is_printed_and_no_more_than_that() -> None:
    """1/b1 + 2c/b2, half of the second where queries are monotone; and nothing may be told at all."""
    assert AboveThreshold(10.0, 40.0, 3).epsilon == pytest.approx(0.25)
    assert AboveThreshold(10.0, 40.0, 3, "monotone").epsilon == pytest.approx(0.175)
    found, whole = (accounting.epsilon(plan(kind, 4), 1e-6) for kind in (AboveThreshold(10.0, 40.0, 3), Stated(0.25)))
    assert found.lower == 0.0 and found.upper == pytest.approx(whole.upper, rel=1e-9)


@pytest.mark.parametrize("queries", ["any", "monotone"])
def test_no_stream_of_three_queries_tells_more_than_is_claimed(queries: str) -> None:
    """Which query is the first above the threshold, by integration over the threshold's noise."""
    kind = AboveThreshold(2.0, 3.0, 1, queries)
    rho = np.linspace(-80, 80, 40001)
    density = np.exp(-np.abs(rho) / 2.0) / 4.0 * (rho[1] - rho[0])

    def outcomes(values: tuple[float, ...]) -> np.ndarray:
        below = [np.where(rho < v, 0.5 * np.exp((rho - v) / 3.0), 1 - 0.5 * np.exp(-(rho - v) / 3.0)) for v in values]
        reached, found = np.ones_like(rho), []
        for each in below:
            found.append(float((density * reached * (1 - each)).sum()))
            reached = reached * each
        return np.array([*found, float((density * reached).sum())])

    moves = (-1.0, 0.0, 1.0) if queries == "any" else (0.0, 1.0)
    worst = 0.0
    for values in ((0.0, 0.0, 0.0), (-2.0, 1.0, 3.0), (5.0, -5.0, 0.0)):
        here = outcomes(values)
        for change in np.array(np.meshgrid(moves, moves, moves)).reshape(3, -1).T:
            there = outcomes(tuple(values + change))
            worst = max(worst, float(np.abs(np.log(here / there)).max()))
    assert 0.4 * kind.epsilon < worst <= kind.epsilon * (1 + 1e-4)


def told(values: tuple[float, ...], kind: AboveThreshold) -> np.ndarray:
    """The chance of each sequence of below and above that a stream of queries may end with: the integral over the noise
    on the threshold, from bend to bend of what is smooth between them. Right to 1e-13."""
    bends = sorted({*(kind.threshold_scale * each for each in range(-40, 45, 5)), *values})
    nodes, weights = np.polynomial.legendre.leggauss(40)
    halves = [(b - a) / 2 for a, b in itertools.pairwise(bends)]
    rho = np.concatenate([a + half * (nodes + 1) for a, half in zip(bends, halves, strict=False)])
    scale = kind.threshold_scale
    mass = np.concatenate([half * weights for half in halves]) * np.exp(-np.abs(rho) / scale) / (2 * scale)
    away = [np.exp(-np.abs(rho - v) / kind.query_scale) / 2 for v in values]
    below = [np.where(rho < v, each, 1 - each) for v, each in zip(values, away, strict=True)]
    found = []
    for sequence in itertools.product((False, True), repeat=len(values)):
        said, ends = list(itertools.accumulate(sequence)), len(values)
        if kind.answers in said:
            ends = said.index(kind.answers) + 1
        if not any(sequence[ends:]):  # it stops there: what would follow is said of one sequence alone
            each = (1 - b if above else b for b, above in zip(below[:ends], sequence, strict=False))
            found.append(float((mass * np.prod(list(each), axis=0)).sum()))
    return np.array(found)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("queries", ["any", "monotone"])
@pytest.mark.parametrize(("threshold_scale", "query_scale", "answers"), [(2.0, 4.0, 1), (1.5, 6.0, 2), (8.0, 3.0, 2)])
def test_no_stream_is_told_apart_better_than_its_delta_at_any_epsilon(
    threshold_scale: float, query_scale: float, answers: int, queries: str
) -> None:
    """All neighbours of a few streams, both ways round; one release, and two of the same stream."""
    kind = AboveThreshold(threshold_scale, query_scale, answers, queries)
    claimed = {
        (steps, share): least_delta(plan(kind, steps), share * steps * kind.epsilon)
        for steps in (1, 2) for share in (0.0, 0.3, 0.7, 0.97, 1.0)
    }  # fmt: skip
    moves, worst = (-1.0, 0.0, 1.0) if queries == "any" else (0.0, 1.0), 0.0
    for values in ((0.0, 0.0, 0.0), (-3.0, 1.0, 4.0), (9.0, -9.0, 9.0), (-20.0, 12.0, 12.0)):
        here = told(values, kind)
        assert here.sum() == pytest.approx(1.0, abs=1e-12)
        for change in itertools.product(moves, repeat=3):
            there = told(tuple(a + b for a, b in zip(values, change, strict=True)), kind)
            worst = max(worst, float(np.abs(np.log(here / there)).max()))
            for (steps, share), most in claimed.items():
                p, q = (np.outer(each, each).ravel() if steps == 2 else each for each in (here, there))
                bend = math.exp(share * steps * kind.epsilon)
                assert max(np.maximum(p - bend * q, 0).sum(), np.maximum(q - bend * p, 0).sum()) <= most + 1e-12
    assert 0.25 * kind.epsilon < worst <= kind.epsilon + 1e-9


@pytest.mark.parametrize("queries", ["any", "monotone"])
def test_a_long_stream_tells_all_that_above_threshold_is_said_to_cost(queries: str) -> None:
    """Six queries that are not told to be above though they are, which is the threshold's doing, and two that are."""
    kind = AboveThreshold(8.0, 12.0, 2, queries)
    down = 0.0 if queries == "monotone" else 1.0
    here, there = (told((40.0 + move,) * 6 + (-40.0 - down * move,) * 2, kind) for move in (0.0, 1.0))
    assert 0.95 * kind.epsilon < float(np.abs(np.log(here / there)).max()) <= kind.epsilon + 1e-9
    for share in (0.0, 0.5, 0.9):
        bend, most = math.exp(share * kind.epsilon), least_delta(plan(kind), share * kind.epsilon)
        assert max(np.maximum(here - bend * there, 0).sum(), np.maximum(there - bend * here, 0).sum()) <= most


def test_what_no_theorem_is_known_for_is_refused() -> None:
    counts = ThresholdedCounts(4.0, 20.0)
    with pytest.raises(NotApplicable, match="known without sampling"):
        accounting.epsilon(Plan((Phase(counts, Poisson(0.1), 1),), adjacency=ZERO_OUT), 1e-6)
    with pytest.raises(NotApplicable, match="comes to others"):
        accounting.epsilon(Plan((Phase(counts, FULL, 1),), adjacency=REPLACE_ONE), 1e-6)
    assert accounting.epsilon(Plan((Phase(counts, FULL, 1),), adjacency=ADD_REMOVE), 1e-3).value > 0.0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ThresholdedCounts(0, 5), "noise_scale=0"),
        (lambda: ThresholdedCounts(1e9, 5), "noise_scale=1000000000 is not between"),
        (lambda: ThresholdedCounts(1, 0.5), "threshold=0.5 is not at least 1"),
        (lambda: ThresholdedCounts(1, 5, 0), "partitions=0"),
        (lambda: ThresholdedCounts(1, 5, 10**6), "more than 100000"),
        (lambda: ThresholdedCounts(1, 5, 1, "laplas"), "Did you mean 'laplace'"),
        (lambda: AboveThreshold(0, 5), "threshold_scale=0"),
        (lambda: AboveThreshold(1, -5), "query_scale=-5"),
        (lambda: AboveThreshold(1, 5, 0), "answers=0"),
        (lambda: AboveThreshold(1, 5, 1, "all"), "queries=all is not one of: any, monotone"),
        (lambda: AboveThreshold(1e-3, 5), "epsilon=1000, more than 100"),
    ],
)
def test_settings_out_of_range_are_refused(make: object, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        make()  # type: ignore[operator]
