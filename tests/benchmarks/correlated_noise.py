"""Noise that steps share beside noise that is drawn anew, at one ε: `make bench-noise`, or `... --help`.

The data, model, batch, epochs and ε of recipes/digits-correlated.yaml, with the noise and the sampling of each row.
Every row trains at the best of some learning rates, found with seeds of its own, and is then run with the same further
seeds; printed are mean and standard deviation of the held-out accuracy over these, and how far the mean lies above that
of independent noise under Poisson sampling, with the standard error of the difference. On public data this search costs
nothing; on private data it would have to be paid for.
"""

import argparse
import dataclasses
import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpplan import recipe, train
from dpplan.mechanism import Correlation, multiplier_of

RECIPE = Path(__file__).parents[2] / "recipes" / "digits-correlated.yaml"
TUNING = 1000  # the first seed of the search for a learning rate
ANEW = "independent, Poisson"  # what the others are held against


@dataclass(frozen=True)
class Variant:
    """What differs from the recipe, and the learning rates that are tried."""

    privacy: dict[str, Any]
    training: dict[str, Any] = dataclasses.field(default_factory=dict)
    rates: tuple[float, ...] = (0.1, 0.3, 1.0, 2.0)


ANEW_EACH = {"order": None, "noise": None}
TURNS = {"sampling": "cyclic-poisson", "order": None, "groups": 16, "noise": Correlation("banded", 16)}
LARGE = {"batch_size": 64, "momentum": 0.9}  # of as many epochs
ROWS = {
    ANEW: Variant({"sampling": "poisson", **ANEW_EACH}),
    "the same, batches of 64": Variant({"sampling": "poisson", **ANEW_EACH}, LARGE, (0.1, 0.3, 0.6, 1.0)),
    "independent, one order": Variant({"noise": None}),
    "banded, one order": Variant({}),
    "tree, one order": Variant({"noise": Correlation("tree")}),
    "banded, 16 groups by turns": Variant(TURNS),
}


@dataclass(frozen=True)
class Row:
    """name: of the row. accuracies: with each seed at the best learning rate."""

    name: str
    noise_multiplier: float
    steps: int
    learning_rate: float
    accuracies: tuple[float, ...]
    seconds: float


def accuracy(made: recipe.Recipe, seed: int) -> train.TrainReport:
    with tempfile.TemporaryDirectory() as folder:
        report = train.run(made, seed=seed, out=Path(folder) / "run")
    assert report.agrees, [each.name for each in report.verdict if not each.agrees]
    return report


def rows(names: list[str], seeds: int, tuning: int) -> Iterator[Row]:
    base = recipe.load(RECIPE)
    for name in names:
        row = ROWS[name]
        privacy, training = (
            dataclasses.replace(base.privacy, **row.privacy),
            dataclasses.replace(base.training, **row.training),
        )
        made = dataclasses.replace(base, privacy=privacy, training=training)
        claim = made.claim(len(train.plan(made).dataset.training.targets))
        # The noise is found once: a run with it costs what the run that was solved for costs.
        given = dataclasses.replace(
            made.privacy, target_epsilon=None, noise_multiplier=multiplier_of(claim.phase.mechanism)
        )
        made = dataclasses.replace(made, privacy=given)
        at = {rate: dataclasses.replace(made, training=dataclasses.replace(made.training, learning_rate=rate))
              for rate in row.rates}  # fmt: skip
        tried = {rate: statistics.mean(accuracy(each, TUNING + seed).held_out_accuracy or 0.0 for seed in range(tuning))
                 for rate, each in at.items()}  # fmt: skip
        best, began = max(tried, key=lambda rate: tried[rate]), time.monotonic()
        found = tuple(accuracy(at[best], seed).held_out_accuracy or 0.0 for seed in range(seeds))
        phase, took = claim.phase, (time.monotonic() - began) / seeds
        yield Row(name, multiplier_of(phase.mechanism), phase.steps, best, found, took)


def table(found: list[Row]) -> Iterator[str]:
    """One line for each row; differences are paired by seed where the row that they are from is there."""
    yield f"{'noise, sampling':<28}{'σ':>8}{'steps':>7}{'rate':>7}{'accuracy':>15}{'difference':>15}{'s':>6}"
    other = next((row for row in found if row.name == ANEW), None)
    for row in found:
        mean, spread = statistics.mean(row.accuracies), statistics.stdev(row.accuracies)
        told = ""
        if other is not None and row is not other:
            apart = [one - two for one, two in zip(row.accuracies, other.accuracies, strict=True)]
            error = statistics.stdev(apart) / math.sqrt(len(apart))
            told = f"{100 * statistics.mean(apart):+.2f} ± {100 * error:.2f}"
        accurate = f"{100 * mean:.2f} ± {100 * spread:.2f}"
        yield (
            f"{row.name:<28}{row.noise_multiplier:>8.4g}{row.steps:>7}{row.learning_rate:>7g}{accurate:>15}{told:>15}"
            f"{row.seconds:>6.1f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=8, help="runs of each row (8)")
    parser.add_argument("--tuning", type=int, default=3, help="runs for each learning rate before that (3)")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), default=list(ROWS), help="some of the rows")
    told = parser.parse_args()
    found = []
    for row in rows(told.rows, told.seeds, told.tuning):
        found.append(row)
        print(f"{row.name}: {', '.join(f'{100 * each:.1f}' for each in row.accuracies)}", flush=True)
    print("\n".join(["", *table(found)]))


if __name__ == "__main__":
    main()
