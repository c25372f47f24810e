"""True-positive rates of twenty plans beside those of riskcal 1.5.1 (dp_accounting 0.6.0, losses in steps of 1e-3).

data/riskcal_rates.csv is what tests/benchmarks/risk_rates.py writes: riskcal's rate, which is pessimistic, and one by
Neyman and Pearson on a grid, which is near the truth and nobody's bound. At rates of false positives of 1e-3 and less
riskcal's falls below the truth, at some plans below guessing: there dpplan is held against the truth alone.
"""

import csv
from itertools import groupby
from pathlib import Path

import pytest

from dpplan import risk
from dpplan.plan import Plan

FILE = Path(__file__).parents[1] / "data" / "riskcal_rates.csv"
ROWS = [{key: float(text) for key, text in row.items()} for row in csv.DictReader(FILE.open(encoding="utf-8"))]
PLANS = [(key, list(rows)) for key, rows in groupby(ROWS, lambda row: (row["sigma"], row["q"], int(row["steps"])))]
QUICK = {(1.1, 256 / 60000, 14063), (0.5, 0.002, 10000), (1.0, 0.3, 10), (5.0, 1.0, 40), (20.0, 0.5, 1000)}
NEAR = 5e-3  # of the truth by a grid, relative


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("plan", "rows"),
    [
        pytest.param(plan, rows, id="-".join(map(repr, plan)), marks=[] if plan in QUICK else [pytest.mark.slow])
        for plan, rows in PLANS
    ],
)
def test_the_rates_of_a_plan(plan: tuple[float, float, int], rows: list[dict[str, float]]) -> None:
    sigma, rate, steps = plan
    trade_off = risk.TradeOff(risk.source_of_plan(Plan.from_rate(sigma, rate, steps)))
    for row in rows:
        found = trade_off.at(row["alpha"])
        assert found.lower <= found.upper <= found.lower * (1.0 + 1e-4)
        assert found.lower <= row["truth"] * (1.0 + NEAR)
        assert found.upper >= row["truth"] * (1.0 - NEAR)
        if row["alpha"] >= 0.01:
            assert found.upper <= row["riskcal"] * (1.0 + 1e-8)  # a pessimistic grid, and the truth below it
            assert found.upper >= row["riskcal"] * 0.98


def test_the_table_has_twenty_plans_and_says_where_riskcal_is_too_low() -> None:
    assert len(PLANS) == 20
    assert {plan for plan, _ in PLANS} >= QUICK
    low = [row for row in ROWS if row["riskcal"] < row["truth"] * (1.0 - 10.0 * NEAR)]
    assert low
    assert max(row["alpha"] for row in low) <= 1e-3
