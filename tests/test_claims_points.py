"""Every row of data/claims_points.csv: schemes, neighbours, users, mechanisms, risk and audits, each on the right side.

A row is tested by the check whose key is the longest beginning of its id, or by the test file named in ELSEWHERE; the
rows left out are listed with the reason. A test makes sure that the three together cover the file.
"""

import csv
import json
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import pytest

from dpplan import accounting, risk, solve
from dpplan.accounting import Guarantee, gdp
from dpplan.accounting.bound import Bound
from dpplan.accounting.pairs.declared_epsilon import discrete_laplace
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, Adjacency
from dpplan.compare.tuning import by_profile, by_renyi, source
from dpplan.mechanism import Gaussian, RandomizedResponse, StatedGdp
from dpplan.mechanism.trials import Trials
from dpplan.plan import Phase, Plan, Settings
from dpplan.sampling import FixedSize, Poisson

DATA = Path(__file__).parent / "data"
ROWS = list(csv.DictReader((DATA / "claims_points.csv").open(encoding="utf-8")))
ALLOCATIONS = {row["id"] for row in csv.DictReader((DATA / "allocation_points.csv").open(encoding="utf-8"))}
AUDITS = {row["value"] for row in csv.DictReader((DATA / "audit_points.csv").open(encoding="utf-8"))}


class Point:
    """A row, read. error: its tolerance, as an absolute error of its value."""

    def __init__(self, row: Mapping[str, str]) -> None:
        self.given = json.loads(row["parameters"])
        self.value = float(row["value"])
        said = row["tolerance"].split()
        self.error = float(said[1]) * abs(self.value) if said[0] == "rel" else float(said[0])

    def plan(self, sampling: FixedSize | Poisson, adjacency: Adjacency) -> Plan:
        return Plan((Phase(Gaussian(self.given["sigma"]), sampling, self.given["steps"]),), adjacency=adjacency)


def is_exact(bound: Bound, point: Point) -> None:
    """The interval is proven, narrow, and holds the value within its tolerance."""
    assert bound.guarantee is Guarantee.CERTIFIED
    assert bound.lower - point.error <= point.value <= bound.upper + point.error
    assert bound.upper - bound.lower <= 1e-6 * bound.upper


def poisson(point: Point) -> None:
    is_exact(accounting.epsilon(point.plan(Poisson(point.given["q"]), ADD_REMOVE), point.given["delta"]), point)


def poisson_replaced(point: Point) -> None:
    is_exact(accounting.epsilon(point.plan(Poisson(point.given["q"]), REPLACE_ONE), point.given["delta"]), point)


def without_replacement(point: Point) -> Bound:
    share = Fraction(repr(point.given["q"]))
    plan = point.plan(FixedSize(share.numerator, share.denominator), REPLACE_ONE)
    return accounting.epsilon(plan, point.given["delta"])


def replaced_from_above(point: Point) -> None:
    """The symmetric law, which dpplan claims: no more than the published upper figure, and never below its lower."""
    bound = without_replacement(point)
    assert bound.guarantee is Guarantee.CERTIFIED
    assert point.value - point.error <= bound.upper <= point.value + point.error
    assert bound.lower < bound.upper


def replaced_from_below(point: Point) -> None:
    """A lower bound that is realised: dpplan proves as much, and its upper end is above."""
    bound = without_replacement(point)
    assert bound.lower == pytest.approx(point.value, abs=point.error)
    assert bound.upper > point.value
    share = Fraction(repr(point.given["q"]))
    added = point.plan(FixedSize(share.numerator, share.denominator), ADD_REMOVE)
    is_exact(accounting.epsilon(added, point.given["delta"]), point)


def one_gaussian(point: Point) -> None:
    plan, delta = Plan.from_rate(point.given["sigma"], 1.0, 1), point.given["delta"]
    for name in ("exact", "gdp"):
        is_exact(accounting.epsilon(plan, delta, name), point)


def stated_mu(point: Point) -> None:
    """By the closed form, as a plan of one release that is μ-GDP, and as what μ alone lets an attacker do."""
    mu, delta = point.given["mu"], point.given["delta"]
    is_exact(accounting.epsilon(Plan.from_rate(1.0 / mu, 1.0, 1), delta, "gdp"), point)
    stated = accounting.epsilon(Plan((Phase(StatedGdp(mu), Poisson(1.0), 1),)), delta)
    assert (stated.lower, stated.upper) == (0.0, pytest.approx(point.value, abs=point.error))
    low, high = risk.source_of_gdp(mu).delta(0, point.value)
    assert low <= delta <= high + 1e-5 * delta
    assert gdp.delta_interval(mu, point.value).upper == pytest.approx(delta, rel=1e-4)


def most_steps(point: Point) -> None:
    given = point.given
    run = Settings(noise_multiplier=given["sigma"], sample_rate=given["q"])
    found = solve.steps(run, given["epsilon"], given["delta"])
    assert found.value == point.value
    assert found.spent.upper <= given["epsilon"]
    longer = accounting.epsilon(run.with_(steps=found.value + 1).plan(), given["delta"])
    assert longer.lower > given["epsilon"]


def randomized_response(point: Point) -> Plan:
    """k answers; with probability `noise` a uniform one is given in place of the true one."""
    noise, k = point.given["noise"], point.given["k"]
    told = RandomizedResponse(math.log((1 - noise + noise / k) / (noise / k)), k)
    return Plan((Phase(told, Poisson(1.0), 1),), adjacency=REPLACE_ONE)


def rate_of_randomized_response(point: Point) -> None:
    found = risk.TradeOff(risk.source_of_plan(randomized_response(point))).at(point.given["fpr"])
    assert found.lower - point.error <= point.value <= found.upper + point.error
    assert found.upper - found.lower <= 1e-6 * found.upper


def mu_of_randomized_response(point: Point) -> None:
    question = risk.AttackQuestion(mu_delta=1e-8)
    found = risk.assess(risk.source_of_plan(randomized_response(point)), question).mu
    assert found == pytest.approx(point.value, abs=point.error)


def masses_of_discrete_laplace(row: Mapping[str, str]) -> None:
    given, expected = json.loads(row["parameters"]), json.loads(row["value"])
    atoms = discrete_laplace(given["rate"] * given["sensitivity"], given["sensitivity"]).remove.atoms
    found = dict(zip((round(float(each), 9) for each in atoms.loss), atoms.p, strict=True))
    assert set(found) == {float(key) for key in expected}
    for loss, mass in expected.items():
        assert found[float(loss)] == pytest.approx(mass, abs=float(row["tolerance"]))


def source_of_run(point: Point) -> risk.Source:
    given = point.given
    return risk.source_of_plan(Plan.from_rate(given["sigma"], float(Fraction(given["q"])), given["steps"]))


def advantage(point: Point) -> None:
    """A pessimistic figure: the exact one is at most that, and within the tolerance of it."""
    found = risk.assess(source_of_run(point), risk.AttackQuestion()).advantage
    assert point.value - point.error <= found.lower <= found.upper <= point.value


def true_positives(point: Point) -> None:
    found = risk.TradeOff(source_of_run(point)).at(point.given["fpr"])
    assert point.value - point.error <= found.lower <= found.upper <= point.value


def false_negatives(point: Point) -> None:
    """A lower bound on β, as riskcal gives it."""
    found = risk.TradeOff(source_of_run(point)).at(point.given["alpha"])
    assert point.value <= 1.0 - found.upper <= 1.0 - found.lower <= point.value + point.error


def searched(point: Point, law: str, by: Callable[..., Bound]) -> Bound:
    trial = source(Plan((Phase(Gaussian(point.given["sigma"]), Poisson(1.0), 1),)))
    return by(trial, Trials(law, point.given["mean"]), point.given["delta"])


def winner_by_profile(law: str) -> Callable[[Point], None]:
    def check(point: Point) -> None:
        found = searched(point, law, by_profile)
        assert found.guarantee is Guarantee.UPPER and abs(found.upper - point.value) <= point.error

    return check


def winner_by_moments(law: str) -> Callable[[Point], None]:
    """All orders give no more than those of the source, and hardly less."""

    def check(point: Point) -> None:
        assert 0.998 * point.value <= searched(point, law, by_renyi).upper <= point.value + point.error

    return check


CHECKS: dict[str, Callable[[Point], None]] = {
    "E_wor_up_": replaced_from_above,
    "E_wor_lo_": replaced_from_below,
    "E_poi_": poisson,
    "E_poirep_": poisson_replaced,
    "E_gauss_2": one_gaussian,
    "E_gdp_eps_": stated_mu,
    "E_jax_steps": most_steps,
    "E_rr_tpr_": rate_of_randomized_response,
    "E_rr_mu_": mu_of_randomized_response,
    "E_adv_readme": advantage,
    "E_tpr_readme_": true_positives,
    "E_riskcal_": false_negatives,
    "E_sel_poi_": winner_by_profile("poisson"),
    "E_sel_geo_": winner_by_profile("geometric"),
    "E_sel_poi_rdp_": winner_by_moments("poisson"),
    "E_sel_geo_rdp_": winner_by_moments("geometric"),
}
# Rows whose value is not one number.
TABLES = {"E_dlap_2": masses_of_discrete_laplace}
# Key -> the test that holds it, with a copy of its own or this one.
ELSEWHERE: dict[str, str] = {
    "E_bnb_": "accounting/test_allocations.py",
    "E_plda_": "accounting/test_allocations.py",
    "E_trunc_": "accounting/schemes/test_truncated_poisson.py",
    "E_els_": "accounting/schemes/test_units.py",
    "E_onerun_": "audit/test_one_run.py",
}
LEFT_OUT: dict[str, str] = {
    "E_filter_toy": "an adaptive choice between mechanisms: the counterexample to a filter that is not offered",
}


def key_of(identity: str) -> str:
    keys = (*CHECKS, *TABLES, *ELSEWHERE, *LEFT_OUT)
    return max((key for key in keys if identity.startswith(key)), key=len, default="")


@pytest.mark.parametrize("row", [row for row in ROWS if key_of(row["id"]) in CHECKS], ids=lambda row: row["id"])
def test_a_claim(row: Mapping[str, str]) -> None:
    CHECKS[key_of(row["id"])](Point(row))


@pytest.mark.parametrize("row", [row for row in ROWS if key_of(row["id"]) in TABLES], ids=lambda row: row["id"])
def test_a_table(row: Mapping[str, str]) -> None:
    TABLES[key_of(row["id"])](row)


def test_every_row_is_tested_or_left_out_with_a_reason() -> None:
    assert len({row["id"] for row in ROWS}) == len(ROWS) == 58
    assert [row["id"] for row in ROWS if not key_of(row["id"])] == []
    assert {*CHECKS, *TABLES, *ELSEWHERE, *LEFT_OUT} == {key_of(row["id"]) for row in ROWS}
    for row in ROWS:
        key = key_of(row["id"])
        if key in ("E_bnb_", "E_plda_"):
            assert row["id"] in ALLOCATIONS
        elif key == "E_onerun_":
            assert row["value"] in AUDITS
        elif key in ELSEWHERE:
            assert key in (Path(__file__).parent / ELSEWHERE[key]).read_text(encoding="utf-8")
