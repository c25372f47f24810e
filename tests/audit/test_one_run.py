"""One-run p-values: against published figures, brute force and games that are played."""

import csv
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from dpplan.audit.claimed_trade_off import HypothesisCurve, MuCurve, curve_of
from dpplan.audit.one_run import epsilon_of_stated, is_refuted, largest, p_value, p_value_of_stated
from dpplan.plan import Plan
from dpplan.risk import source_of_gdp, source_of_plan, source_of_stated

POINTS = Path(__file__).parents[1] / "data" / "audit_points.csv"


def points(quantity: str) -> list[dict[str, str]]:
    with POINTS.open(encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if row["quantity"] == quantity]


@pytest.mark.parametrize("row", points("stated"), ids=lambda row: row["id"])
def test_published_p_values_of_steinke_nasr_jagielski(row: dict[str, str]) -> None:
    told = json.loads(row["parameters"])
    found = epsilon_of_stated(told["m"], told["r"], told["v"], told["delta"], 0.05)
    assert found == pytest.approx(float(row["value"]), abs=2e-6)


def frontier(counts: np.ndarray) -> np.ndarray:
    """The corners of the concave hull of (false negatives, true negatives), as the published figures count them."""
    kept: list[int] = []
    for k, (x, y) in enumerate(counts):
        while len(kept) > 1:
            (ax, ay), (bx, by) = counts[kept[-2]], counts[kept[-1]]
            if (by - ay) * (x - bx) > (y - by) * (bx - ax):
                break
            kept.pop()
        kept.append(k)
    return counts[kept]


def promise(pair: tuple[int, int]) -> float:
    """What is likely to refute most, so that the rest is soon done with."""
    right, wrong = pair
    share = (wrong + 1) / (right + wrong + 2)
    return float(1 - share - 3 * math.sqrt(share / (right + wrong + 2)))


def gaussian_epsilon(mu: float, delta: float) -> float:
    def at(epsilon: float) -> float:
        second = math.exp(epsilon + float(special.log_ndtr(-mu / 2 - epsilon / mu)))
        return float(special.ndtr(mu / 2 - epsilon / mu)) - second

    low, high = 0.0, 100.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle) > delta else (low, middle)
    return low


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("row", points("scores"), ids=lambda row: row["id"])
def test_published_figures_of_normal_scores(row: dict[str, str]) -> None:
    """At every corner of the ROC, with the level divided by their number, as jax_privacy does: a number of tests that
    depends on the scores, for figures to compare with and not to conclude from."""
    told = json.loads(row["parameters"])
    n = told["n"]
    out = special.ndtri((np.arange(n) + 0.5) / n)
    ins = out + told["shift"]
    cuts = np.append(np.union1d(ins, out), np.inf)
    counts = frontier(np.stack([np.searchsorted(ins, cuts), np.searchsorted(out, cuts)], 1))
    level = 0.05 / len(counts)
    best = 0.0
    tried = sorted(((n - fn, n - tn) for fn, tn in counts), key=promise, reverse=True)
    for right, wrong in tried:
        guesses = int(right + wrong)
        if guesses == 0 or 2 * right <= guesses:
            continue
        if told["curve"]:
            if is_refuted(MuCurve(best), 2 * n, guesses, int(right), level):
                best = max(best, largest(lambda mu: is_refuted(MuCurve(mu), 2 * n, guesses, int(right), level), 50.0))  # noqa: B023
        elif p_value_of_stated(2 * n, guesses, int(right), best, 0.0) < level:  # else nothing above `best` is refuted
            best = max(best, epsilon_of_stated(2 * n, guesses, int(right), told["delta"], level))
    found = gaussian_epsilon(best, told["delta"]) if told["curve"] and best else best
    assert found == pytest.approx(float(row["value"]), rel=1e-5, abs=1e-9)


def test_without_delta_the_p_value_is_a_binomial_tail() -> None:
    chance = 1 / (1 + math.exp(-0.7))
    exact = sum(math.comb(20, k) * chance**k * (1 - chance) ** (20 - k) for k in range(17, 21))
    assert exact <= p_value_of_stated(1000, 20, 17, 0.7, 0.0) <= exact * (1 + 2e-7)


def games(mechanism: np.ndarray, canaries: int) -> np.ndarray:
    """P(right = k) of the best symmetric guesser of independent canaries that each get right with this chance."""
    chance = float(mechanism.max(axis=0).sum() / 2)
    return np.array([math.comb(canaries, k) * chance**k * (1 - chance) ** (canaries - k) for k in range(canaries + 1)])


@pytest.mark.parametrize("epsilon", [0.5, 2.0])
def test_no_p_value_is_below_the_chance_in_a_game_that_is_played(epsilon: float) -> None:
    """Randomized response on every canary is (ε, 0): the chance of v right guesses is known."""
    up = math.exp(epsilon) / (1 + math.exp(epsilon))
    chances = games(np.array([[up, 1 - up], [1 - up, up]]), 12)
    curve = curve_of(source_of_stated(epsilon, 0.0))
    for right in range(1, 13):
        true = float(chances[right:].sum())
        assert p_value_of_stated(12, 12, right, epsilon, 0.0) >= true
        assert p_value(curve, 12, 12, right) >= true * (1 - 1e-9)


class OwnInverse:
    """f's own inverse in place of that of 1 - f: the mistake that the recursion must not make."""

    def __init__(self, mu: float) -> None:
        self.mu = mu

    def inverse(self, probability: float) -> float:
        return float(special.ndtr(-special.ndtri(probability) - self.mu)) if probability < 1 else 0.0


def test_the_level_is_kept_by_gaussian_canaries_and_not_with_the_wrong_inverse() -> None:
    rng = np.random.default_rng(7)
    mu, canaries, refuted, wrongly = 1.5, 400, 0, 0
    for _ in range(300):
        coins = rng.integers(0, 2, canaries)
        scores = rng.standard_normal(canaries) + mu * coins
        order = np.argsort(scores)
        right = int(coins[order[-50:]].sum() + (1 - coins[order[:50]]).sum())
        refuted += is_refuted(MuCurve(mu), canaries, 100, right, 0.05)
        wrongly += is_refuted(OwnInverse(mu), canaries, 100, right, 0.05)
    assert refuted <= 0.05 * 300
    assert wrongly > 100


def brute_force_tail(curve: HypothesisCurve, canaries: int, guesses: int, right: int) -> float:
    """The largest tail that the theorem's inequalities leave possible, by linear search over coarse distributions."""
    best, grid = 0.0, 24
    for parts in itertools.product(range(grid + 1), repeat=guesses):
        if sum(parts) > grid:
            continue
        p = np.array([grid - sum(parts), *parts]) / grid
        k = np.arange(guesses + 1)
        holds = all(
            curve.inverse(min((k * p)[c:].sum() / canaries, 1.0))
            <= ((guesses - k) * p)[c - 1 :].sum() / canaries + 1e-12
            for c in range(1, guesses + 1)
        )
        best = max(best, p[right:].sum()) if holds else best
    return best


@pytest.mark.parametrize("right", [2, 3])
def test_no_distribution_that_the_theorem_allows_has_a_larger_tail(right: int) -> None:
    curve = MuCurve(0.8)
    assert brute_force_tail(curve, 4, 3, right) <= p_value(curve, 4, 3, right) * (1 + 1e-9)


def test_the_lines_of_a_profile_stay_below_the_true_inverse_and_close_to_it() -> None:
    curve, true = curve_of(source_of_gdp(1.2)), MuCurve(1.2)
    for probability in (1e-5, 1e-4, 0.01, 0.1, 0.3, 0.5, 0.9, 0.99, 0.9999):
        assert curve.inverse(probability) <= true.inverse(probability)
        within = true.inverse(probability * 0.93)
        assert curve.inverse(probability) >= within * (1 - 1e-9)
    assert curve.inverse(0.0) == 0.0


def test_the_curve_of_a_sampled_plan_is_below_the_attainable_in_both_directions() -> None:
    """One step of the sampled Gaussian, q = 0.3, σ = 1: events x > t and x < t are known."""
    curve = curve_of(source_of_plan(Plan.from_rate(1.0, 0.3, 1)))
    for t in np.linspace(-4, 5, 40):
        q = np.array([special.ndtr(t), special.ndtr(-t)])
        p = 0.7 * q + 0.3 * np.array([special.ndtr(t - 1), special.ndtr(1 - t)])
        for one, other in ((p, q), (q, p)):
            for k in (0, 1):
                assert curve.inverse(float(one[k])) <= other[k] * (1 + 1e-12)


def test_pure_dp_with_full_guesses_agrees_between_both_theorems() -> None:
    """The f-DP theorem is no weaker than a constant factor here, and never refutes what more guesses would not."""
    curve = curve_of(source_of_stated(1.0, 0.0))
    values = [p_value(curve, 500, 100, right) for right in range(70, 100, 3)]
    assert values == sorted(values, reverse=True)
    assert not is_refuted(curve, 500, 100, 0, 0.05)
    assert not is_refuted(curve, 500, 0, 0, 0.05)
