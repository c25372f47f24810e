"""Published figures of other releases than one Poisson-sampled Gaussian: mechanisms, neighbours, groups, attackers.

From data/published_points.csv, as tests/test_published.py, which lists what is held here by the beginning of its id.
"""

import csv
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from dpplan import accounting, compare, risk
from dpplan.accounting import Guarantee, rdp
from dpplan.accounting.bound import Bound
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, Adjacency
from dpplan.mechanism import Gaussian, Laplace, Mechanism, Stated
from dpplan.plan import Phase, Plan, Settings
from dpplan.sampling import FixedSize, Poisson

Row = Mapping[str, str]
PATH = Path(__file__).parent / "data" / "published_points.csv"
ROWS: list[Row] = list(csv.DictReader(PATH.open(encoding="utf-8")))


def releases(*parts: tuple[Mechanism, int], rate: float = 1.0, adjacency: Adjacency = ADD_REMOVE) -> Plan:
    return Plan(tuple(Phase(noise, Poisson(rate), steps) for noise, steps in parts), adjacency=adjacency)


STATED = releases((Stated(1.0, 0.1), 1), (Stated(2.0, 0.2), 1))
PURE = releases((Stated(1.0), 1), (Stated(2.0), 1))


def holds(bound: Bound, figure: float, error: float) -> None:
    assert bound.guarantee is Guarantee.CERTIFIED
    assert bound.lower - error <= figure <= bound.upper + error
    assert bound.upper - bound.lower <= 1e-6 * bound.upper


def number(row: Row, name: str) -> float:
    return float(re.search(rf"\b{name}=([\d.e-]+)", row["given"])[1])


def stated_delta(row: Row) -> None:
    holds(accounting.delta(STATED, number(row, "epsilon")), float(row["value"]), 1e-9)


def stated_rate(row: Row) -> None:
    """Of two releases known by (ε, δ) alone; the figure is pessimistic, dpplan's the truth by all outcomes."""
    found = risk.TradeOff(risk.source_of_plan(STATED)).at(number(row, "fpr"))
    assert found.upper - found.lower <= 1e-6
    assert float(row["value"]) - 1e-3 <= found.lower <= found.upper <= float(row["value"]) + 1e-3
    assert found.lower - 1e-9 <= best_test(number(row, "fpr")) <= found.upper + 1e-9


def best_test(alpha: float) -> float:
    """Neyman and Pearson over the 16 outcomes of two mechanisms that reveal all or answer by randomized response."""
    outcomes = [(1.0, 1.0)]
    for epsilon, delta in ((1.0, 0.1), (2.0, 0.2)):
        true = (1.0 - delta) / (1.0 + math.exp(-epsilon))
        told = [(delta, 0.0), (0.0, delta), (true, true * math.exp(-epsilon)), (true * math.exp(-epsilon), true)]
        outcomes = [(p * a, q * b) for p, q in outcomes for a, b in told]
    power, left = 0.0, alpha
    for p, q in sorted(outcomes, key=lambda pair: -pair[0] / pair[1] if pair[1] else -math.inf):
        share = 1.0 if q <= left else left / q
        power, left = power + share * p, left - share * q
    return power


def fitted_mu(row: Row) -> None:
    """The Gaussian that fits between false-positive rates of 0.005 and 0.5: no bound, as that source says too."""
    trade_off = risk.TradeOff(risk.source_of_plan(PURE))
    corner = 1.0 / (1.0 + math.exp(2.0))  # the second release tells against: where the Gaussian touches
    rates = [*np.linspace(0.005, 0.5, 34), corner]
    fits = [stats.norm.isf(rate) - stats.norm.isf(trade_off.at(rate).upper) for rate in rates]
    assert max(fits) == pytest.approx(float(row["value"]), abs=1e-3)
    proven = risk.assess(risk.source_of_plan(PURE), risk.AttackQuestion(mu_delta=1e-6)).mu
    assert proven > max(fits)


def laplace_epsilon(row: Row) -> None:
    holds(accounting.epsilon(releases((Laplace(1.0), 3), (Laplace(0.5), 2)), float(row["delta"])), 4.0, 1e-6)


def sampled_laplace_epsilon(row: Row) -> None:
    rate, steps = float(row["q"]), int(row["steps"])
    plan = releases((Laplace(2.0), steps), rate=rate)
    holds(accounting.epsilon(plan, float(row["delta"])), float(row["value"]), 1e-3)
    holds(accounting.epsilon(plan, float(row["delta"])), steps * math.log1p(rate * math.expm1(2.0)), 1e-6)


def laplace_noise(row: Row) -> None:
    """The scale, found to a tenth: with a tenth more the budget holds, with a tenth less it does not."""
    scale, steps, moved = float(row["value"]), int(row["steps"]), number(row, "sensitivity")

    def spent(noise: float) -> Bound:
        return accounting.epsilon(releases((Laplace(moved / noise), steps)), float(row["delta"]))

    assert spent(scale + 0.1).upper <= number(row, "epsilon") <= spent(scale - 0.1).lower


def gaussian_rate(row: Row) -> None:
    alpha = number(row, "fpr")
    found = risk.TradeOff(risk.source_of_plan(Plan.from_rate(1.0, 1.0, 1))).at(alpha)
    assert float(row["value"]) == pytest.approx(found.upper, rel=1e-3)
    assert found.lower <= stats.norm.sf(stats.norm.isf(alpha) - 1.0) * (1 + 1e-12) <= found.upper * (1 + 2e-12)


def tightest_mu(row: Row) -> None:
    plan = Plan.from_rate(float(row["sigma"]), float(row["q"]), int(row["steps"]))
    found = risk.assess(risk.source_of_plan(plan), risk.AttackQuestion(mu_delta=1e-8)).mu
    assert found == pytest.approx(float(row["value"]), abs=1e-2)


def replaced_one(row: Row) -> None:
    """A Fourier accountant's estimate of the symmetric pair, which its grid moves by up to 4e-6."""
    plan = releases((Gaussian(float(row["sigma"])), int(row["steps"])), rate=float(row["q"]), adjacency=REPLACE_ONE)
    holds(accounting.epsilon(plan, float(row["delta"])), float(row["value"]), 1e-6)


def unsampled_group(row: Row) -> None:
    """All examples of a user in every step move the sum by K norms: by Rényi accounting as printed, exactly less."""
    members, delta = members_of(row), float(row["delta"])
    run = Settings(noise_multiplier=float(row["sigma"]), sample_rate=1.0, steps=int(row["steps"]))
    grouped = run.with_(noise_multiplier=run.noise_multiplier / members)
    # The source's list of orders has few near the best one of 1.2.
    assert 0.995 * float(row["value"]) <= rdp.epsilon(grouped.plan(), delta).upper <= float(row["value"]) + 5e-4
    ours = accounting.epsilon(run.with_(unit="user", max_per_user=members).plan(), delta)
    assert 0.9 * float(row["value"]) < ours.lower <= ours.upper <= float(row["value"])


def sampled_group(row: Row) -> None:
    """Group privacy after Rényi accounting gives the printed figure; by exact accounting less, one by one far less."""
    members, delta = members_of(row), float(row["delta"])
    run = Settings(noise_multiplier=float(row["sigma"]), sample_rate=float(row["q"]), steps=int(row["steps"]))
    ours = {each.name: each.bound for each in compare.units(run, delta, members).rows}
    renyi = renyi_of_a_group(run.plan(), delta, members)
    if row["value"] == "inf":  # "conversion, not the mechanism, makes it inf"
        assert (renyi, ours["group"]) == (math.inf, None)
        assert ours["one by one"].upper < 15.5
        return
    assert renyi == pytest.approx(float(row["value"]), rel=2e-3)
    assert ours["one by one"].upper < ours["group"].upper < float(row["value"])


def members_of(row: Row) -> int:
    return int(re.search(r"<= (\d+) examples", row["neighbouring"])[1])


def renyi_of_a_group(plan: Plan, delta: float, members: int) -> float:
    """K·ε at the largest δ' of one example with δ'·(e^(K·ε) - 1)/(e^ε - 1) <= δ; inf where none down to e^-700 is."""

    def over(log_delta: float) -> bool:
        epsilon = rdp.epsilon(plan, math.exp(log_delta)).upper
        return log_delta + math.log(
            sum(math.exp(each * epsilon - 500.0) for each in range(members))
        ) + 500.0 > math.log(delta)

    low, high = -700.0, math.log(delta)
    if over(low):
        return math.inf
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if over(middle) else (middle, high)
    return members * rdp.epsilon(plan, math.exp(low)).upper


def mixed(row: Row) -> None:
    """Rényi accounting of Gaussians and a pure release: the exact cost is less, but more than without the release."""
    gaussians, delta = ((Gaussian(5.0), 3), (Gaussian(8.0), 5)), float(row["delta"])
    whole = accounting.epsilon(releases(*gaussians, (Stated(0.1), 1)), delta)
    without = accounting.epsilon(releases(*gaussians), delta)
    assert whole.guarantee is Guarantee.CERTIFIED
    assert without.upper < whole.lower <= whole.upper < without.upper + 0.1
    assert 0.85 * float(row["value"]) < whole.upper <= float(row["value"])


def both_relations(row: Row) -> None:
    """Fixed batches, one record replaced: the published figure is what is realised, and what is proven is above."""
    share = round(float(row["q"]) * 1000)
    plan = Plan(
        (Phase(Gaussian(float(row["sigma"])), FixedSize(share, 1000), int(row["steps"])),), adjacency=REPLACE_ONE
    )
    bound = accounting.epsilon(plan, float(row["delta"]))
    printed = float(re.search(r"(\d+\.\d+) \(WOR", row["value"])[1])
    assert printed - 2e-3 <= bound.lower <= printed < bound.upper < 16.33


CHECKS: dict[str, Callable[[Row], None]] = {
    "gdp_pld_basic": stated_delta,
    "gdp_pld_tpr_approx": stated_rate,
    "gdp_pld_gdpfit": fitted_mu,
    "gdp_pld_lap": laplace_epsilon,
    "gdp_pld_sublap": sampled_laplace_epsilon,
    "gdp_lap_cal_": laplace_noise,
    "gdp_tpr_": gaussian_rate,
    "gdpnum_test": tightest_mu,
    "fa_eS": replaced_one,
    "tfp_stmt_rdp_nosub_u": unsampled_group,
    "tfp_stmt_rdp_poi_u": sampled_group,
    "autodp_mix_": mixed,
    "lebeda_wor_scale": both_relations,
}


@pytest.mark.sweep(slow=("gdp_pld_gdpfit", "gdp_pld_sublap"))
@pytest.mark.parametrize(
    ("row", "check"),
    [
        pytest.param(row, check, id=row["id"], marks=[pytest.mark.slow] if check is sampled_group else [])
        for row in ROWS
        for key, check in CHECKS.items()
        if row["id"].startswith(key)
    ],
)
def test_published_figure(row: Row, check: Callable[[Row], None]) -> None:
    check(row)
