"""Certified intervals on record, to the last bit, so that code that only moves is seen to move and no more.

    python tests/accounting/intervals.py    records them anew; the commit says why

The plans are those of the validation files, with a seeded sample of the box. Other processors and other numpy give
other last bits, so the record names its own.
"""

import csv
import json
import math
import os
import random
import re
import sys
from pathlib import Path

import numpy as np
from numpy._core._multiarray_umath import __cpu_features__

from dpplan import accounting
from dpplan.accounting import Bound
from dpplan.plan import Plan

DATA = Path(__file__).parents[1] / "data"
RECORD = DATA / "intervals.json"
SAMPLE = 60  # plans of the box beside those of the files, enough to meet every engine

Row = dict[str, object]


def machine() -> str:
    """What the last bits depend on."""
    wide = [name for name in ("AVX2", "FMA3", "AVX512F", "AVX512_SKX", "ASIMD") if __cpu_features__.get(name)]
    return f"numpy {np.__version__}, {' '.join(wide)}"


def plans() -> list[tuple[float, float, int, float]]:
    """(σ, q, steps, δ) of each plan on record."""
    files = [*csv.DictReader((DATA / "sgm_truth.csv").open()), *csv.DictReader((DATA / "published_points.csv").open())]
    found = {_row(row) for row in files if row.get("sampling", "poisson") == "poisson" and _numbers(row)}
    rng = random.Random(11)
    for _ in range(SAMPLE):
        sigma, q = math.exp(rng.uniform(-2.0, 4.0)), math.exp(rng.uniform(-12.0, 0.0))
        found.add((sigma, q, int(math.exp(rng.uniform(0.0, 14.0))), 10.0 ** rng.uniform(-15.0, -2.0)))
    return sorted(found)


def _numbers(row: dict[str, str]) -> bool:
    """Whether the row states a plan in single numbers; some state ranges."""
    return all(re.fullmatch(r"[\d.e+-]+", row[name]) for name in ("sigma", "q", "steps", "delta"))


def _row(row: dict[str, str]) -> tuple[float, float, int, float]:
    return float(row["sigma"]), float(row["q"]), int(float(row["steps"])), float(row["delta"])


def measured(sigma: float, q: float, steps: int, delta: float) -> Row:
    """The interval of ε at δ, and of δ at the upper end of ε."""
    plan = Plan.from_rate(sigma, q, steps)
    spent = accounting.epsilon(plan, delta)
    back = accounting.delta(plan, float(spent.upper or 0.0))
    ends = [float(end or 0.0).hex() for bound in (spent, back) for end in (bound.lower, bound.upper)]
    return {"sigma": sigma, "q": q, "steps": steps, "delta": delta, "ends": ends, "method": _method(spent)}


def _method(bound: Bound) -> str:
    return str(bound.details.get("method"))


if __name__ == "__main__":
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":  # as in the tests; numpy hears of it only before it is loaded
        os.execve(sys.executable, [sys.executable, __file__], {**os.environ, "OPENBLAS_NUM_THREADS": "1"})
    rows = [measured(*plan) for plan in plans()]
    lines = ",\n".join(json.dumps(row) for row in rows)
    RECORD.write_text(f'{{"machine": {json.dumps(machine())}, "rows": [\n{lines}\n]}}\n')
