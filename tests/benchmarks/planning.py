"""Speed of long planning work: a frontier, many phases, two steps, and a curve over the sample rate.

    python tests/benchmarks/planning.py                       beside one call of the same version: `make bench`
    python tests/benchmarks/planning.py --against OTHER       beside another checkout, run in turn with this one

Each piece of work is a process of its own, and so is each call it is set against; they alternate, so that a slow moment
of the machine hits all of them. Seconds are of processors, those of child processes included, and of the wall.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

HERE = Path(__file__).parents[2]
PHASES = """
import random
from dpplan import accounting
from dpplan.plan import Phase, Plan
from dpplan.mechanism import Gaussian
from dpplan.sampling import Poisson
rng = random.Random(1)
rows = [(round(rng.uniform(0.8, 4.0), 4), round(rng.uniform(0.001, 0.02), 6), rng.randint(1, 5)) for _ in range(3000)]
plan = Plan(tuple(Phase(Gaussian(sigma), Poisson(q), steps) for sigma, q, steps in rows))
accounting.epsilon(plan, 1e-5)
"""
TWO_STEPS = """
from dpplan import accounting
from dpplan.plan import Plan
for sigma in (0.3, 0.5, 1.0, 2.0, 5.0):
    for q in (1e-4, 0.01, 0.3, 0.9):
        accounting.epsilon(Plan.from_rate(sigma, q, 2), 1e-5)
"""
ONE_CALL = ["epsilon", "--sigma", "1", "--q", "0.01", "--steps", "1000", "--delta", "1e-5"]
WORK: dict[str, list[str]] = {
    "one epsilon": ["-m", "dpplan", *ONE_CALL],
    "frontier, 1,000 cells": ["-m", "dpplan", "frontier", "--n", "60000", "--target-eps", "3", "--delta", "1e-5",
                              "--batch", "64:8192:40", "--epochs", "1:200:25"],
    "3,000 phases": ["-c", PHASES],
    "two steps, 20 plans": ["-c", TWO_STEPS],
    "curve over q, 100 points": ["-m", "dpplan", "curve", "--over", "q", "--from", "1e-9", "--to", "1", "--points",
                                 "100", "--sigma", "1", "--steps", "1000", "--delta", "1e-5"],
}  # fmt: skip


def seconds(work: list[str], checkout: Path) -> tuple[float, float]:
    """Of processors, and of the wall."""
    before, begun = os.times(), time.perf_counter()
    variables = {**os.environ, "PYTHONPATH": str(checkout), "NO_COLOR": "1"}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled once
    subprocess.run([sys.executable, *work], env=variables, cwd=checkout, check=True, stdout=subprocess.DEVNULL)
    after, ended = os.times(), time.perf_counter()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return spent, ended - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, help="another checkout of dpplan")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each")
    parser.add_argument("--only", help="the work whose names hold this")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for the results")
    chosen = parser.parse_args()
    other = None if chosen.against is None else chosen.against.resolve()
    rows = {}
    for name, work in WORK.items():
        if chosen.only is not None and chosen.only not in name:
            continue
        measured: dict[str, list[tuple[float, float]]] = {"this": [], "beside": []}
        for _ in range(chosen.rounds):
            measured["this"].append(seconds(work, HERE))
            measured["beside"].append(seconds(work, other) if other else seconds(WORK["one epsilon"], HERE))
        cpu, wall, beside = (
            statistics.median(value[part] for value in measured[who])
            for who, part in (("this", 0), ("this", 1), ("beside", 0))
        )
        rows[name] = {"cpu": cpu, "wall": wall, "beside_cpu": beside, "ratio": cpu / beside}
        said = "of the other checkout's" if other else "times one epsilon"
        print(f"{name:26} {cpu:8.2f} s of processors {wall:8.2f} s wall {cpu / beside:8.3g} {said}", flush=True)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count(),
               "load": os.getloadavg()[0], "date": date.today().isoformat()}  # fmt: skip
    chosen.out.mkdir(parents=True, exist_ok=True)
    target = chosen.out / f"planning-{machine['date']}.json"
    report = {"schema": "dpplan.bench-planning/1", "machine": machine, "against": bool(other), "rows": rows}
    target.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
