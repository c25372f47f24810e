"""The same audit of Opacus and of dpplan, side by side: `make bench-audit`, or `... audit_digits.py --help`.

The plan, data, model and canaries of recipes/audit-digits.yaml. Either trainer draws by Poisson sampling, clips, adds
noise and steps; what is kept of a run are scores in a CSV file, member and score, which `dpplan audit` then holds
against the plan, as it would those of anybody's model. White box: what the steps released in each gradient canary's own
coordinate, by the likelihood ratio of the planned step. Black box: the last model's loss on mislabelled examples.

Either is also run with half the noise, which has to be found. Exit status 1 where a verdict is not as it should be:
of sound runs that happens by chance in one benchmark of a hundred at most, as all their audits share that level.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from dpplan import recipe, train
from dpplan.audit.assessment import scaled
from dpplan.mechanism import Gaussian
from dpplan.sampling import Poisson
from dpplan.train import models
from dpplan.train.canaries import run as canaries
from dpplan.train.canaries.model_with_canaries import WithCanaries
from dpplan.train.step.randomness import TorchGenerators

# Either trainer draws each canary by a coin of its own, clips it by itself to the same vector in every step, and adds
# noise to each coordinate; so canaries of one coordinate each do not touch each other. Losses of one model do.
APART, ANY = "order-statistics", "one-run-fdp"
FALSE_ALARMS = 0.01  # of all audits of sound runs together: white and black box, of either trainer
RECIPE = Path(__file__).parents[2] / "recipes" / "audit-digits.yaml"


@dataclass(frozen=True)
class Ran:
    """What is kept of a run: (members, scores) of the canaries of either kind, and how many held-out ones are right."""

    white: tuple[NDArray[np.bool_], NDArray[np.float64]]
    black: tuple[NDArray[np.bool_], NDArray[np.float64]]
    accuracy: float
    seconds: float


def accuracy(model: WithCanaries, planned: train.Planned) -> float:
    held_out = planned.dataset.held_out
    with torch.no_grad():
        found = model.body(held_out.inputs.float()).argmax(1)
    return float((found == held_out.targets).double().mean())


def by_dpplan(planned: train.Planned, count: canaries.Canaries, noise: float = 1.0) -> Ran:
    """noise: times what is planned, and claimed."""
    began = time.perf_counter()
    ran = replace(planned, claim=replace(planned.claim, plan=scaled(planned.claim.plan, noise)))
    trainer, placed = canaries._made(ran, planned.recipe, count, TorchGenerators(planned.device))
    for _ in range(planned.claim.phase.steps):
        trainer.step()
    seen = torch.stack(trainer.seen).numpy()
    return kept(planned, placed, trainer.model, seen, began)


def by_opacus(planned: train.Planned, count: canaries.Canaries, noise: float = 1.0) -> Ran:
    """noise: times what is planned."""
    from opacus import GradSampleModule
    from opacus.data_loader import DPDataLoader
    from opacus.optimizers import DPOptimizer
    from torch.utils.data import TensorDataset

    began = time.perf_counter()
    made, phase = planned.recipe, planned.claim.phase
    rate, sigma, clip = (
        Poisson.of(phase.sampling).sample_rate,
        Gaussian.of(phase.mechanism).noise_multiplier,
        float(made.privacy.clip_norm),
    )
    shape, classes = tuple(planned.dataset.training.inputs.shape[1:]), planned.dataset.classes
    body = models.build(made.model, shape, classes, np.random.default_rng())
    placed = canaries.place(planned.dataset.in_precision_of(body), count, np.random.default_rng())
    plain = WithCanaries(body, shape, classes, count.gradient, clip)
    model = GradSampleModule(plain)
    rows = TensorDataset(placed.rows.inputs, placed.rows.targets)
    expected = rate * len(rows)
    optimizer = DPOptimizer(
        torch.optim.SGD(model.parameters(), lr=float(made.training.learning_rate)),
        noise_multiplier=sigma * noise, max_grad_norm=clip, expected_batch_size=expected,
    )  # fmt: skip
    seen: list[NDArray[np.float64]] = []
    optimizer.attach_step_hook(
        lambda _: seen.append(
            (plain.canaries.weight.grad[1 : count.gradient + 1, 0] * expected / clip).double().numpy().copy()
        )
    )
    while len(seen) < phase.steps:
        for inputs, targets in DPDataLoader(rows, sample_rate=rate):
            optimizer.zero_grad()
            cross_entropy(model(inputs), targets).backward()
            optimizer.step()
            if len(seen) == phase.steps:
                break
    return kept(planned, placed, plain, np.stack(seen), began)


def kept(
    planned: train.Planned, placed: canaries.Placed, model: WithCanaries, seen: NDArray[np.float64], began: float
) -> Ran:
    wrong = placed.whole[canaries.KINDS[2]]
    anywhere = np.ones(seen.shape, dtype=np.bool_)  # where noise is drawn anew at each step
    return Ran(
        (placed.members, canaries.likelihood(seen, anywhere, planned.claim.phase)),
        (wrong.members, -canaries.losses(model, wrong.examples)),
        accuracy(model, planned),
        time.perf_counter() - began,
    )


def audited(
    scores: tuple[NDArray[np.bool_], NDArray[np.float64]], planned: train.Planned, method: str, confidence: float
) -> tuple[str, float]:
    """What `dpplan audit` says of the file: the verdict, and the ε that is proven at least."""
    phase = planned.claim.phase
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "scores.csv"
        with file.open("w", encoding="utf-8", newline="") as stream:
            table = csv.writer(stream)
            table.writerow(("member", "score"))
            table.writerows((int(member), repr(float(score))) for member, score in zip(*scores, strict=True))
        asked = [
            "--sigma", repr(Gaussian.of(phase.mechanism).noise_multiplier),
            "--q", repr(Poisson.of(phase.sampling).sample_rate), "--steps", str(phase.steps),
            "--delta", repr(float(planned.claim.delta.value)), "--json",
            "--method", method, "--confidence", repr(confidence),
        ]  # fmt: skip
        command = [sys.executable, "-m", "dpplan", "audit", str(file), *asked]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    return ("VIOLATION" if done.returncode else "consistent"), float(found["epsilon_lower"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--canaries", type=int, default=5000, help="Gradient canaries.")
    parser.add_argument("--runs", type=int, default=3, help="Of each trainer.")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    planned = train.plan(recipe.load(RECIPE))
    count = canaries.Canaries(asked.canaries, 150)
    upper = planned.claim.epsilon.upper
    confidence = 1.0 - FALSE_ALARMS / (4 * asked.runs)
    print(f"{RECIPE.name}: ε ≤ {upper:.5g} at δ = {float(planned.claim.delta.value):g}, {asked.canaries} canaries")
    print(f"each audit at confidence {confidence:.6g}; white box by {APART}, black box by {ANY}")
    print(f"{'trainer':22}{'white box':>24}{'black box':>24}{'accuracy':>10}{'time':>8}")
    wrong = False
    for name, run, expected in (
        ("dpplan", lambda: by_dpplan(planned, count), "consistent"),
        ("dpplan, half the noise", lambda: by_dpplan(planned, count, 0.5), "VIOLATION"),
        ("Opacus", lambda: by_opacus(planned, count), "consistent"),
        ("Opacus, half the noise", lambda: by_opacus(planned, count, 0.5), "VIOLATION"),
    ):
        for _ in range(asked.runs):
            ran = run()
            white = audited(ran.white, planned, APART, confidence)
            black = audited(ran.black, planned, ANY, confidence)
            shown = [f"{verdict}, ε ≥ {least:.3g}" for verdict, least in (white, black)]
            print(f"{name:22}{shown[0]:>24}{shown[1]:>24}{ran.accuracy:>10.1%}{ran.seconds:>6.1f} s", flush=True)
            wrong |= white[0] != expected or (expected == "consistent" and black[0] != expected)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
