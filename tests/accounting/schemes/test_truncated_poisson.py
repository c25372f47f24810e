"""Poisson batches that are cut: published figures, and every claim against what the sampler really does."""

import csv
import json
import math
import random
from pathlib import Path

import pytest
import scheme_oracle as oracle
from scipy import stats

from dpplan import accounting
from dpplan.accounting import pairs
from dpplan.accounting.bound import Guarantee
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.numerics.binomial import binomial_tails
from dpplan.accounting.pairs.truncated_poisson import CutChance
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import NotApplicable, PlanError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan, Settings
from dpplan.sampling import Poisson, TruncatedPoisson
from dpplan.solve.batch_cap import cap

with (Path(__file__).parents[2] / "data" / "claims_points.csv").open(encoding="utf-8", newline="") as file:
    POINTS = [row for row in csv.DictReader(file) if row["id"].startswith("E_trunc_") and "basic" not in row["id"]]


def plan_of(sigma: float, scheme: TruncatedPoisson | Poisson, steps: int, adjacency: Adjacency) -> Plan:
    return Plan((Phase(Gaussian(sigma), scheme, steps),), adjacency=adjacency)


@pytest.mark.sweep(every=2, slow=("E_trunc_330",))
@pytest.mark.parametrize("row", POINTS, ids=lambda row: row["id"])
def test_published_figures(row: dict[str, str]) -> None:
    given = json.loads(row["parameters"])
    scheme = TruncatedPoisson(given["q"], given["cap"], given["n"])
    found = accounting.epsilon(plan_of(given["sigma"], scheme, given["steps"], ZERO_OUT), given["delta"])
    assert found.guarantee is Guarantee.CERTIFIED and found.lower is not None
    assert found.upper == pytest.approx(float(row["value"]), rel=float(row["tolerance"]))
    assert found.lower < found.upper


def test_the_published_figure_of_two_data_sizes() -> None:
    """Google's dp_accounting, the basic case: three steps with n = 4, two with n = 3."""
    parts = [
        (pairs.of(Phase(Gaussian(1.0), TruncatedPoisson(0.5, 2, n), steps), ZERO_OUT, "example"), steps)
        for n, steps in ((4, 3), (3, 2))
    ]
    found = [
        Composition.of((law(pair), steps) for pair, steps in parts).epsilon(1e-6).upper
        for law in (lambda pair: pair.remove, lambda pair: pair.add)
    ]
    assert max(found) == pytest.approx(17.90433, rel=1e-4)


@pytest.mark.parametrize("adjacency", [ZERO_OUT, REPLACE_ONE], ids=str)
@pytest.mark.parametrize(("n", "q", "cap"), [(4, 0.5, 2), (5, 0.8, 1), (5, 0.3, 4), (4, 1.0, 2)])
def test_no_gradients_tell_more_than_the_pair(adjacency: Adjacency, n: int, q: float, cap: int) -> None:
    draw = random.Random(f"{n} {q} {cap}")
    pair = pairs.of(Phase(Gaussian(0.7), TruncatedPoisson(q, cap, n), 1), adjacency, "example")
    backgrounds = [[-1.0] * (n - 1), [1.0] * (n - 1), [0.0] * (n - 1)]
    backgrounds += [[draw.uniform(-1, 1) for _ in range(n - 1)] for _ in range(2)]
    uppers = {
        (way, epsilon): Composition.of([(law, 1)]).delta(epsilon).upper
        for way, law in (("remove", pair.remove), ("add", pair.add))
        for epsilon in (0.0, 1.5)
    }
    for others in backgrounds:
        for mine, other in ((1.0, 0.0), (-0.6, 0.0)) if adjacency is ZERO_OUT else ((1.0, -1.0), (0.4, -0.9)):
            first, second = (oracle.truncated_poisson([*others, own], q, cap) for own in (mine, other))
            for epsilon in (0.0, 1.5):
                for way, one, two in (("remove", first, second), ("add", second, first)):
                    assert oracle.delta(one, two, 0.7, epsilon) <= uppers[way, epsilon] * (1 + 1e-6)


@pytest.mark.parametrize("adjacency", [ZERO_OUT, REPLACE_ONE], ids=str)
def test_the_lower_end_is_realised_by_zeros(adjacency: Adjacency) -> None:
    """The sampler itself, over a background of zeros, is as far apart as the realised pair says."""
    scheme = TruncatedPoisson(0.6, 2, 5)
    pair = pairs.of(Phase(Gaussian(0.9), scheme, 1), adjacency, "example").realisation(0)
    mine, other = (1.0, 0.0) if adjacency is ZERO_OUT else (1.0, -1.0)
    first, second = (oracle.truncated_poisson([0.0] * 4 + [own], 0.6, 2) for own in (mine, other))
    for epsilon in (0.1, 1.0):
        truth = oracle.delta(first, second, 0.9, epsilon)
        lower = Composition.of([(pair.remove, 1)]).delta(epsilon).lower
        assert lower == pytest.approx(truth, rel=1e-6)


def test_a_cap_of_all_examples_cuts_nothing() -> None:
    for adjacency in (ZERO_OUT, REPLACE_ONE):
        cut = accounting.epsilon(plan_of(1.0, TruncatedPoisson(0.1, 50, 50), 20, adjacency), 1e-5)
        assert cut.value == accounting.epsilon(plan_of(1.0, Poisson(0.1), 20, adjacency), 1e-5).value


@pytest.mark.slow
def test_epsilon_is_not_monotone_in_the_cap() -> None:
    uppers = [accounting.epsilon(plan_of(0.8, TruncatedPoisson(0.1, cap, 100), 5, ZERO_OUT), 1e-5).value
              for cap in (30, 10, 1)]  # fmt: skip
    assert uppers[0] < uppers[1] > uppers[2]


def test_neighbours_of_another_size_are_refused_with_what_to_try() -> None:
    with pytest.raises(NotApplicable, match=r"depends on n.*--adjacency zero-out or replace-one"):
        accounting.epsilon(plan_of(1.0, TruncatedPoisson(0.1, 5, 100), 10, ADD_REMOVE), 1e-5)


@pytest.mark.parametrize(
    ("n", "q", "cap"), [(50_000, 0.005, 330), (50_000, 0.005, 200), (7, 0.4, 3), (10**9, 1e-3, 10**6)]
)
def test_the_chances_of_a_cut(n: int, q: float, cap: int) -> None:
    found = CutChance.of(TruncatedPoisson(q, cap, n))
    assert found.full == pytest.approx(stats.binom.sf(cap - 1, n - 1, q), rel=1e-8)
    assert found.not_full == pytest.approx(stats.binom.cdf(cap - 1, n - 1, q), rel=1e-8)
    assert found.displaced == pytest.approx(stats.binom.sf(cap, n, q) * cap / n / found.full, rel=1e-8)
    assert found.present * n == pytest.approx(TruncatedPoisson(q, cap, n).expected_batch(n), rel=1e-7)


@pytest.mark.parametrize(
    ("k", "n", "p"), [(0, 5, 0.3), (6, 5, 0.3), (1, 5, 0.3), (5, 5, 0.3), (40, 1000, 0.02), (1, 10**12, 1e-13)]
)
def test_binomial_tails(k: int, n: int, p: float) -> None:
    found, law = binomial_tails(k, n, p), stats.binom(n, p)
    for own, known in ((found.log_below, law.logcdf(k - 1)), (found.log_from, law.logsf(k - 1))):
        assert own == pytest.approx(known, rel=1e-9, abs=1e-9) or (math.isinf(own) and own == known)


@pytest.mark.slow
def test_the_smallest_cap_that_costs_little() -> None:
    settings = Settings(noise_multiplier=2.0, examples=200, batch_size=20, steps=2, adjacency=ZERO_OUT)
    found = cap(settings, 1e-5, 0.02)
    assert 20 < found.value < 70 and 0 <= found.cost <= 0.02
    assert found.below is not None and found.below.value > 1.02 * found.uncut.value
    assert found.chance_cut == pytest.approx(stats.binom.sf(found.value, 200, 0.1), rel=1e-6)
    with pytest.raises(PlanError, match="cap=30 is given"):
        cap(settings.with_(sampling="truncated-poisson", scheme_options=(("cap", 30),)), 1e-5)
