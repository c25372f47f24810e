"""Speed and memory of private training steps, side by side: `python tests/benchmarks/train.py --help`.

Every contender takes the same step on the same batch of the same model in one process, in turn, several rounds over,
so that a slow moment of the machine hits all of them. A step is: gradient, noise where there is any, update by SGD.
Reported: examples per second (median over rounds), how that compares with the plain step, and the peak of memory
above what lay there before, measured in a process of its own with one physical batch at a time for every contender.
Opacus takes part where it is installed. Rows and table go into runs/bench/ too, after each model and batch.
"""

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from dpplan.mechanism import Gaussian
from dpplan.recipe import Model, Training
from dpplan.train import models
from dpplan.train.clipping import choose, compiled
from dpplan.train.clipping.rules import Flat
from dpplan.train.noise import GaussianNoise
from dpplan.train.optimize import Optimization

Step = Callable[[], object]
Maker = Callable[[nn.Module, Tensor, Tensor, int], Step]
CLASSES, WORDS, LENGTH = 10, 64, 64
PLAIN = "plain"


def _model(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    block, shape = {
        "logistic": (Model(kind="logistic"), (784,)),
        "mlp": (Model(kind="mlp", hidden=(128, 128), activation="tanh"), (64,)),
        "cnn": (Model(kind="opacus-cnn"), (1, 28, 28)),
        "transformer": (Model(kind="transformer", hidden=(64, 64)), (LENGTH,)),
    }[name]
    words = WORDS if name == "transformer" else 0
    return models.build(block, shape, CLASSES, np.random.default_rng(0), words), shape


def _batch(name: str, size: int, shape: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(CLASSES, (size,), generator=generator)
    if name == "transformer":
        return torch.randint(WORDS, (size, *shape), generator=generator).to(device), targets.to(device)
    return torch.randn(size, *shape, generator=generator).to(device), targets.to(device)


def plain(model: nn.Module, inputs: Tensor, targets: Tensor, piece: int) -> Step:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step() -> None:
        optimizer.zero_grad()
        cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    return step


def plain_compiled(model: nn.Module, inputs: Tensor, targets: Tensor, piece: int) -> Step:
    return plain(torch.compile(model, dynamic=False), inputs, targets, piece)


def dpplan(engine: str, noisy: bool = True, fast: bool = False) -> Maker:
    """A whole private step as the trainer takes it; without noise, the clipped sum alone."""

    def make(model: nn.Module, inputs: Tensor, targets: Tensor, piece: int) -> Step:
        chosen = choose(model, engine, min(piece, len(inputs)), inputs[0])
        clipping = (compiled(chosen) if fast else chosen).engine
        noise, rule = GaussianNoise(Gaussian(1.0), np.random.default_rng(0)), Flat(1.0)
        training = Training(batch_size=len(inputs), steps=10**6, optimizer="sgd", learning_rate=0.01)
        optimization = Optimization(list(model.parameters()), training, 10**6)

        def step() -> None:
            clipped = clipping.clipped_sum(inputs, targets, rule)
            if noisy:
                optimization.step(noise.add(clipped), len(inputs))

        return step

    return make


def opacus(mode: str) -> Maker:
    """Opacus on a fixed batch: its optimiser clips and adds noise, its sampler is left out, as it is for the others."""

    def make(model: nn.Module, inputs: Tensor, targets: Tensor, piece: int) -> Step:
        from opacus import PrivacyEngine

        data = torch.utils.data.TensorDataset(inputs, targets)
        made = PrivacyEngine().make_private(
            module=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.01),
            data_loader=torch.utils.data.DataLoader(data, batch_size=len(inputs)),
            criterion=nn.CrossEntropyLoss(),
            noise_multiplier=1.0,
            max_grad_norm=1.0,
            poisson_sampling=False,
            grad_sample_mode=mode,
        )
        private, optimizer = made[0], made[1]
        criterion = made[2] if mode == "ghost" else nn.CrossEntropyLoss()

        def step() -> None:
            optimizer.zero_grad()
            criterion(private(inputs), targets).backward()
            optimizer.step()

        return step

    return make


CONTENDERS: dict[str, Maker] = {
    PLAIN: plain,
    "plain, compiled": plain_compiled,
    "dpplan": dpplan("auto"),
    "dpplan, compiled": dpplan("auto", fast=True),
    "dpplan, clipped sum alone": dpplan("auto", noisy=False),
    "vmap": dpplan("vmap"),
    "opacus hooks": opacus("hooks"),
    "opacus ghost": opacus("ghost"),
}


def ready(contender: str, name: str, size: int, asked: argparse.Namespace) -> Step:
    """A step that has been taken once already."""
    model, shape = _model(name)
    device = torch.device(asked.device)
    step = CONTENDERS[contender](model.to(device), *_batch(name, size, shape, device), asked.physical_batch)
    step()
    return step


def measure(name: str, size: int, asked: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each contender."""
    steps, failed = {}, {}
    for contender in asked.contenders:
        started = time.perf_counter()
        try:
            steps[contender] = ready(contender, name, size, asked)
            say(f"{name} {size}: {contender} ready after {time.perf_counter() - started:.1f} s")
        except Exception as error:  # a peer may refuse a model in any way
            failed[contender] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:60]
    repeats = {contender: max(1, round(asked.seconds / _seconds(step, 1, asked))) for contender, step in steps.items()}
    times: dict[str, list[float]] = {contender: [] for contender in steps}
    for number in range(asked.rounds):
        say(f"{name} {size}: round {number + 1} of {asked.rounds}")
        for contender, step in steps.items():
            times[contender].append(_seconds(step, repeats[contender], asked))
    # A round's steps stand next to its plain steps in time, so their quotient is steadier than that of two medians.
    against = times.get(PLAIN, [])
    rows = []
    for contender, seconds in times.items():
        quotients = [before / after for before, after in zip(against, seconds, strict=False)]
        rows.append(
            {
                "model": name,
                "batch": size,
                "contender": contender,
                "examples_per_second": size / statistics.median(seconds),
                "of_plain": statistics.median(quotients) if quotients else None,
                "peak_bytes": _peak(contender, name, min(size, asked.physical_batch), asked) if asked.memory else None,
            }
        )
    return rows + [{"model": name, "batch": size, "contender": c, "failed": why} for c, why in failed.items()]


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _seconds(step: Step, repeats: int, asked: argparse.Namespace) -> float:
    """Per step."""
    started = time.perf_counter()
    for _ in range(repeats):
        step()
    if asked.device == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / repeats


def _peak(contender: str, name: str, size: int, asked: argparse.Namespace) -> int | None:
    if asked.device == "cuda":
        step = ready(contender, name, size, asked)
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    if not Path("/proc/self/clear_refs").exists():
        return None
    parent, child = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_peak_here, args=(child, contender, name, size, asked)
    )
    process.start()
    child.close()
    try:
        return int(parent.recv())
    except EOFError:
        return None
    finally:
        process.join()


def _peak_here(answer: Any, contender: str, name: str, size: int, asked: argparse.Namespace) -> None:
    """Peak of a step above what the process holds when everything is imported and the model is made."""
    _settle(asked)
    ready(contender, name, 1, asked)  # imports, and first-call workspaces
    before = _kilobytes("VmRSS")
    step = ready(contender, name, size, asked)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    step()
    answer.send(1024 * (_kilobytes("VmHWM") - before))


def _kilobytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def _settle(asked: argparse.Namespace) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(asked.threads)


def table(rows: list[dict[str, Any]]) -> str:
    lines = [f"{'model':<12}{'batch':>6}  {'contender':<27}{'examples/s':>11}{'of plain':>10}{'peak MB':>9}"]
    for row in rows:
        start = f"{row['model']:<12}{row['batch']:>6}  {row['contender']:<27}"
        if "failed" in row:
            lines.append(start + f" {row['failed']}")
            continue
        share = "-" if row["of_plain"] is None else f"{row['of_plain']:.2f}"
        peak = "-" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 1e6:.1f}"
        lines.append(start + f"{row['examples_per_second']:>11,.0f}{share:>10}{peak:>9}")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["logistic", "mlp", "cnn", "transformer"])
    parser.add_argument("--batches", nargs="+", type=int, default=[64, 256, 1024])
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    parser.add_argument("--physical-batch", type=int, default=256, help="examples in memory at once, dpplan's only")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.2, help="for one contender in one round")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True, help="measure peaks of memory")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for train.json and train.txt")
    return parser.parse_args()


def main() -> None:
    asked = _arguments()
    _settle(asked)
    where = torch.cuda.get_device_name() if asked.device == "cuda" else f"{asked.threads} CPU thread(s)"
    head = {"date": str(date.today()), "torch": torch.__version__, "python": platform.python_version(), "on": where}
    head |= {"machine": _machine(), "physical batch": asked.physical_batch}
    title = "  ".join(f"{key} {value}" for key, value in head.items())
    asked.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for name in asked.models:
        for size in asked.batches:
            found = measure(name, size, asked)
            rows += found
            say(table(found))
            (asked.out / "train.json").write_text(json.dumps({**head, "rows": rows}, indent=2) + "\n", encoding="utf-8")
            (asked.out / "train.txt").write_text(f"{title}\n\n{table(rows)}\n", encoding="utf-8")
    print(f"{title}\n\n{table(rows)}\n\nalso in {asked.out}/train.json and train.txt")


def _machine() -> str:
    """The processor by name, and how many share its time."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()} ({os.cpu_count()} cores)"


if __name__ == "__main__":
    main()
