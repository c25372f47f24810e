"""Width and time of certified intervals for balls in bins: part of `make bench`.

Every cell is computed in a process of its own, so that nothing is known from before; seconds are processor time of the
call alone, without starting Python. What was asked for (--accuracy) stands above each pair of columns.
"""

import argparse
import subprocess
import sys

# σ, steps of an epoch, epochs, δ.
CASES = [
    (1.0, 100, 10, 1e-5),
    (0.5, 1000, 10, 1e-6),
    (0.7, 100, 100, 1e-5),
    (1.0, 1000, 1, 1e-8),
    (1.0, 1000, 10, 1e-5),
    (1.0, 10_000, 10, 1e-5),
    (1.0, 100_000, 10, 1e-5),
    (2.0, 37, 50, 1e-5),
    (2.0, 10_000, 1, 1e-6),
]
ACCURACIES = (2e-3, 2e-4, 1e-5)
ONE = """
import time
from dpplan import accounting
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import BallsInBins
accounting.epsilon(Plan((Phase(Gaussian(1.0), BallsInBins(9), 9),)), 1e-3)  # loads what there is to load
plan = Plan((Phase(Gaussian({sigma}), BallsInBins({steps}), {steps} * {epochs}),))
begin = time.process_time()
found = accounting.epsilon(plan, {delta}, accuracy={accuracy})
print(found.lower, found.upper, found.relative_width, time.process_time() - begin)
"""


def cell(sigma: float, steps: int, epochs: int, delta: float, accuracy: float) -> tuple[float, float, float, float]:
    """Both ends, the relative width and the seconds."""
    code = ONE.format(sigma=sigma, steps=steps, epochs=epochs, delta=delta, accuracy=accuracy)
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    lower, upper, width, seconds = map(float, shown.split())
    return lower, upper, width, seconds


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("balls in bins: relative width, and seconds")
    print(f"{'σ':>5}{'steps':>8}{'epochs':>7}{'δ':>7}", *(f"{each:>16g}" for each in ACCURACIES), f"{'ε ≤':>12}")
    for case in CASES:
        found = [cell(*case, accuracy) for accuracy in ACCURACIES]
        sigma, steps, epochs, delta = case
        cells = (f"{width:>9.1e}{seconds:>6.2f}s" for _, _, width, seconds in found)
        upper = min(upper for _, upper, _, _ in found)
        print(f"{sigma:>5g}{steps:>8}{epochs:>7}{delta:>7g}", *cells, f"{upper:>12.7g}", flush=True)


if __name__ == "__main__":
    main()
