"""True-positive rates beside riskcal's: `make bench`, or `python tests/benchmarks/risk_rates.py --help`.

Twenty plans, ten false-positive rates each from 0.5 to 1e-6, and the whole curve of 200 points. A third figure, by
Neyman and Pearson on a fine grid of the composed loss, is nobody's bound and near the truth. The script fails where
dpplan's ends do not hold it, or its curve lies below its points. riskcal stands on dp_accounting's pessimistic
privacy-loss distribution; where its rate lies below what dpplan proves to be reached, it is said to be too low.
"""

import argparse
import csv
import math
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

ALPHAS = (0.5, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 1e-4, 1e-5, 1e-6)
# (σ, q, steps): README's first, tutorials, published runs, few steps and many, little noise and much.
PLANS = (
    (1.1, 256 / 60000, 14063), (1.3, 256 / 60000, 3515), (0.7, 256 / 60000, 10546), (4.0, 0.01, 10000),
    (1.0, 0.01, 1000), (2.0, 0.01, 1000), (0.8, 0.001, 10000), (0.5, 0.002, 10000),
    (9.4, 0.32768, 2000), (4.0, 0.05, 500), (1.0, 0.3, 10), (2.0, 0.3, 30),
    (1.5, 0.04, 500), (3.0, 0.1, 155), (5.0, 1.0, 40), (1.0, 1.0, 1),
    (0.6, 0.0005, 5000), (20.0, 0.5, 1000), (2.5, 1 / 79, 790), (1.0, 0.0064, 782),
)  # fmt: skip
GRID = 1e-3  # of riskcal's privacy loss
SIZE, DENSE, REACH = 1 << 19, 400_001, 12.0  # of the third figure: bins, places of one step, standard deviations
NEAR = 5e-3  # relative, of the third figure at the smallest rates


def riskcal_rates(sigma: float, rate: float, steps: int) -> list[float]:
    from dp_accounting.pld import privacy_loss_distribution as pld
    from riskcal.analysis import get_beta_from_pld

    one = pld.from_gaussian_mechanism(sigma, value_discretization_interval=GRID, sampling_prob=rate)
    found = one.self_compose(steps)
    return [float(1.0 - get_beta_from_pld(found, alpha)) for alpha in ALPHAS]


def neyman_pearson(sigma: float, rate: float, steps: int) -> list[float]:
    """By the laws of the composed loss in either world, each step's split between two bins so that its mean stays."""
    x = np.linspace(-REACH * sigma, REACH * sigma + 1.0, DENSE)
    absent = np.exp(-0.5 * (x / sigma) ** 2)
    absent /= absent.sum()
    loss = np.log1p(rate * np.expm1((2.0 * x - 1.0) / (2.0 * sigma**2)))
    present = absent * np.exp(loss)
    spread = math.sqrt(steps * float(np.sum(present * loss**2))) + float(np.max(np.abs(loss)[absent + present > 1e-13]))
    half = steps * float(np.sum(present * loss)) + REACH * spread
    width = 2.0 * half / SIZE
    at = np.floor(loss / width).astype(int)
    share = loss / width - at
    laws = []
    for law in (absent, present):
        binned = np.bincount(at % SIZE, law * (1.0 - share), SIZE) + np.bincount((at + 1) % SIZE, law * share, SIZE)
        laws.append(np.maximum(np.fft.irfft(np.fft.rfft(binned) ** steps, SIZE), 0.0))
    order = np.roll(np.arange(SIZE), SIZE // 2)[::-1]  # from the largest loss to the smallest
    false, true = (np.cumsum(law[order]) for law in laws)
    back_false, back_true = (np.cumsum(law[order[::-1]]) for law in laws)
    members = np.interp(ALPHAS, false, true)
    others = np.interp(ALPHAS, back_true, back_false)  # who accuses of absence
    return np.maximum(members, others).tolist()


def dpplan_rates(sigma: float, rate: float, steps: int) -> tuple[list[tuple[float, float]], float]:
    """(lower, upper) at each rate, and the largest step of the whole curve below them (0 where it is above all)."""
    from dpplan import risk
    from dpplan.plan import Plan

    trade_off = risk.TradeOff(risk.source_of_plan(Plan.from_rate(sigma, rate, steps)))
    found = [trade_off.at(alpha) for alpha in ALPHAS]
    across, height = zip(*trade_off.curve(200), strict=True)
    drawn = np.interp(ALPHAS, across, height)
    below = max(0.0, *(each.lower - float(at) for each, at in zip(found, drawn, strict=True)))
    return [(each.lower, each.upper) for each in found], below


def compared() -> Iterator[dict[str, object]]:
    for plan in PLANS:
        began = time.perf_counter()
        ours, below = dpplan_rates(*plan)
        between = time.perf_counter()
        theirs = riskcal_rates(*plan)
        ended = time.perf_counter()
        truth = neyman_pearson(*plan)
        for alpha, (lower, upper), other, near in zip(ALPHAS, ours, theirs, truth, strict=True):
            wrong = [
                sentence
                for sentence, holds in (
                    ("dpplan's upper end is below the truth", upper >= near * (1.0 - NEAR)),
                    ("dpplan's lower end is above the truth", lower <= near * (1.0 + NEAR)),
                    ("the curve is below its points", below <= 0.0),
                    ("the ends are in the wrong order", lower <= upper),
                )
                if not holds
            ]
            yield {
                "sigma": plan[0], "q": repr(plan[1]), "steps": plan[2], "alpha": alpha, "lower": lower, "upper": upper,
                "riskcal": other, "near": near, "seconds": between - began, "theirs": ended - between,
                "wrong": "; ".join(wrong),
            }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, help="Also write every point to this file.")
    asked = parser.parse_args()
    rows = list(compared())
    if asked.csv is not None:
        with asked.csv.open("w", encoding="utf-8", newline="") as stream:
            table = csv.DictWriter(stream, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    print("plan                              riskcal's TPR above dpplan's, median and most     dpplan   riskcal")
    for number in range(0, len(rows), len(ALPHAS)):
        part = rows[number : number + len(ALPHAS)]
        above = [float(row["riskcal"]) / float(row["upper"]) - 1.0 for row in part]
        name = f"σ={part[0]['sigma']:g} q={float(str(part[0]['q'])):.4g} T={part[0]['steps']}"
        print(
            f"{name:32}  {statistics.median(above):20.2%} {max(above):22.2%}"
            f"     {float(part[0]['seconds']):6.2f} s {float(part[0]['theirs']):7.2f} s"
        )
    widths = [1.0 - float(row["lower"]) / float(row["upper"]) for row in rows]
    print(f"{len(rows)} points; dpplan's intervals: {statistics.median(widths):.1g} relative, widest {max(widths):.1g}")
    low = [row for row in rows if float(row["riskcal"]) < float(row["lower"])]
    worst = min(low, key=lambda row: float(row["riskcal"]) / float(row["lower"]), default=None)
    if worst is not None:
        print(
            f"riskcal is below what an attacker is proven to reach at {len(low)} of them (FPR {low_rates(low)}), most "
            f"at σ={worst['sigma']} q={worst['q']} T={worst['steps']}, FPR {worst['alpha']}: {worst['riskcal']:.3g} of "
            f"{worst['lower']:.3g}"
        )
    wrong = [
        f"{row['sigma']} {row['q']} {row['steps']} at {row['alpha']}: {row['wrong']}" for row in rows if row["wrong"]
    ]
    print("\n".join(wrong) or "No point of dpplan is on the wrong side.")
    return 1 if wrong else 0


def low_rates(rows: list[dict[str, object]]) -> str:
    rates = [float(str(row["alpha"])) for row in rows]
    return f"{max(rates):g} and less"


if __name__ == "__main__":
    sys.exit(main())
