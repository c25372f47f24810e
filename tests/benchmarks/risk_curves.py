"""What a trade-off curve of 200 points costs beside one ε of the same plan: seconds of one processor.

`python tests/benchmarks/risk_curves.py`. Each is measured in a process of its own, whose imports are warm and whose
caches are cold, and the least of a few runs counts. Meant: 0.1 s at most, or twice one ε. The script fails where a
curve takes twice that.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable

from dpplan import accounting, risk
from dpplan.adjacency import named
from dpplan.mechanism import DiscreteLaplace, Exponential, Gaussian, Laplace, Mechanism, StatedGdp
from dpplan.plan import Phase, Plan, Settings
from dpplan.sampling.poisson import Poisson

POINTS, DELTA, RUNS = 200, 1e-5, 3
SECONDS, TIMES = 0.1, 2.0
SAMPLED = (
    (1.1, 256 / 60000, 14063), (1.0, 0.1, 5), (0.5, 0.01, 2), (2.0, 0.3, 2), (0.7, 1e-4, 1000), (0.7, 1e-5, 1000),
    (0.7, 1e-6, 100), (0.7, 1e-4, 3), (0.6, 1e-5, 1000), (0.5, 0.002, 10000), (0.3, 0.05, 100), (0.2, 0.01, 100),
    (0.25, 0.001, 1000), (0.3, 0.01, 10), (1.0, 1.0, 1), (0.8, 0.2, 1), (0.5, 1e-5, 100_000), (0.5, 0.5, 100_000),
    (0.5, 1e-4, 1000), (0.5, 1e-3, 10),
)  # fmt: skip


def of(*phases: tuple[Mechanism, float, int]) -> Plan:
    return Plan(tuple(Phase(mechanism, Poisson(rate), steps) for mechanism, rate, steps in phases))


def settings(**said: object) -> Plan:
    return Settings(**{"noise_multiplier": 1.0, "sample_rate": 0.01, **said}).plan()  # type: ignore[arg-type]


PLANS = {
    **{f"σ={sigma:g} q={rate:.4g} T={steps}": Plan.from_rate(sigma, rate, steps) for sigma, rate, steps in SAMPLED},
    "balls in bins, 10 epochs": settings(epochs=10, sampling="balls-in-bins"),
    "replace-one, 1000 steps": settings(steps=1000, adjacency=named("replace-one")),
    "user of 5 examples, 1 step": settings(steps=1, unit="user", max_per_user=5),
    "user of 5 examples, 100 steps": settings(steps=100, unit="user", max_per_user=5),
    "Laplace, sampled, 1000": of((Laplace(2.0), 0.001, 1000)),
    "integers, sampled, 1000": of((DiscreteLaplace(0.5), 0.01, 1000)),
    "μ-GDP, sampled, 1000": of((StatedGdp(1.0), 0.01, 1000)),
    "μ-GDP and Laplace": of((StatedGdp(0.5), 1.0, 3), (Laplace(0.5), 1.0, 2)),
    "μ-GDP and DP-SGD": of((StatedGdp(0.5), 1.0, 3), (Gaussian(1.1), 0.01, 1000)),
    "Laplace and DP-SGD": of((Laplace(0.02), 1.0, 20), (Gaussian(1.1), 256 / 60000, 3515)),
    "exponential, 10": of((Exponential(0.5), 1.0, 10)),
}


def one_epsilon(plan: Plan) -> None:
    accounting.epsilon(plan, DELTA)


def curve(plan: Plan) -> None:
    risk.TradeOff(risk.source_of_plan(plan)).curve(POINTS)


def seconds(task: Callable[[Plan], None], plan: Plan) -> float:
    """Of a child, whose caches are as they were here."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            began = time.process_time()
            task(plan)
            os.write(writing, repr(time.process_time() - began).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        told = stream.read()
    os.waitpid(child, 0)
    if not told:
        sys.exit("a measurement ended before its time")
    return float(told)


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for warm in (Plan.from_rate(3.0, 0.01, 50), of((Laplace(0.3), 0.5, 7))):
        one_epsilon(warm)
        curve(warm)
    late = 0
    print(f"{'plan':32} one ε, s  curve, s  times")
    for name, plan in PLANS.items():
        own, drawn = (min(seconds(task, plan) for _ in range(RUNS)) for task in (one_epsilon, curve))
        meant = max(SECONDS, TIMES * own)
        late += drawn > 2.0 * meant
        print(f"{name:32} {own:8.3f} {drawn:9.3f} {drawn / own:6.1f}{'  more than is meant' if drawn > meant else ''}")
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
