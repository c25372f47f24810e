"""Speed and memory of private training, side by side: `make bench-train`.

Every contender does the same work on the same model in one process, in turn,
several rounds over, so that a slow moment of the machine hits all of them.
Ratios are medians over rounds, each of a round's own two times.

  steps   One step on one batch: gradient, noise where there is any, update by
          SGD. dpplan and vmap go through the batch in pieces of the physical
          batch, the others at once. Memory is that of a step above what lies
          there between steps; for it, all have one physical batch in memory.
  loops   An epoch over data in memory, in batches of the same expected size:
          sampling, loading and steps, all with a batch at once. "dpplan" takes
          the trainer's steps; "dpplan train" counts them on disk, checks the
          parameters and works out epsilon as well. The fast loader reads a
          batch at once where the usual one reads example by example.

Opacus takes part where it is installed. Tables and all figures also go to
files, after each model and batch.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import train_memory
from train_loops import HOOKS_LOADER, LOOPS, PLAIN_LOADER, PLAIN_SELECT, ROWS, Loop
from train_steps import BLOCKS, CONTENDERS, GHOST_NOTE, HOOKS, PLAIN, Case, built
from train_tables import loop_table, missed, step_table

Row = dict[str, Any]
Work = Callable[[], object]
STEPS_IN_EPOCH = 4  # fewer batches in the data, and sampling them would hardly be sampling
APART = 0.01  # of the length of an update; convolutions in TF32 differ by a tenth of that
EXAMPLE = "example: python tests/benchmarks/train.py --models mlp --batches 64 --contenders plain dpplan 'opacus hooks'"
QUICK = {"models": ["mlp", "cnn"], "batches": [256], "rounds": 3, "seconds": 0.1, "rows": 2048}


def steps(name: str, batch: int, asked: argparse.Namespace) -> list[Row]:
    """One row for each contender's step."""
    works: dict[str, Work] = {}
    rows: dict[str, Row] = {}
    for contender, kind in CONTENDERS.items():
        if contender not in asked.contenders or (kind.cuda_only and asked.device != "cuda"):
            continue
        case = Case(name, batch, min(batch, asked.physical_batch), asked.device)
        timed = case if kind.in_pieces else Case(name, batch, batch, asked.device)
        rows[contender] = row = {"model": name, "batch": batch, "contender": contender}
        with _failure_noted(row), _said(f"{name} {batch}: {contender}", row):
            step, model = timed.step(contender)
            if kind.exact and not _does_as_plain(timed, model):
                raise ArithmeticError("its parameters after a step are not those of plain")
            if asked.memory and not kind.cuda_only:  # what a CUDA graph holds, it holds between steps too
                measured = (step, model) if case == timed else case.step(contender)
                row["peak_bytes"] = train_memory.peak(*measured, asked.device)
            works[contender] = step
    for contender, times in interleaved(works, asked.seconds, asked).items():
        rows[contender] |= {"seconds": times, "examples_per_second": batch / statistics.median(times)}
    _compare(rows, (PLAIN, HOOKS))
    for row in rows.values():
        if "peak_bytes" in row and "peak_bytes" in rows.get(PLAIN, {}):
            row["peak_of_plain"] = row["peak_bytes"] / rows[PLAIN]["peak_bytes"]
        if name == "transformer" and row["contender"] == "opacus ghost":
            row["note"] = GHOST_NOTE
    return list(rows.values())


def loops(name: str, batch: int, asked: argparse.Namespace) -> list[Row]:
    """One row for each contender's epoch; none where the data are too few for this batch."""
    in_epoch = min(ROWS[name], asked.rows) // batch
    if in_epoch < STEPS_IN_EPOCH:
        return []
    works: dict[str, Work] = {}
    rows: dict[str, Row] = {}
    epochs = 1 + asked.rounds  # the first is to get ready
    loop = Loop(name, batch, in_epoch, epochs, asked.device, asked.threads)
    with contextlib.ExitStack() as stack:
        for contender in LOOPS:
            row = {"model": name, "batch": batch, "contender": contender, "rows": loop.rows, "steps": loop.steps}
            rows[contender] = row
            with _failure_noted(row), _said(f"{name} {batch}: loop of {contender}", row):
                works[contender] = loop.epoch(contender, stack)
        for contender, times in interleaved(works, None, asked).items():
            speed = loop.steps * batch / statistics.median(times)
            rows[contender] |= {"seconds": times, "examples_per_second": speed}
    _compare(rows, (PLAIN_LOADER, PLAIN_SELECT, HOOKS_LOADER))
    return list(rows.values())


def interleaved(works: Mapping[str, Work], seconds: float | None, asked: argparse.Namespace) -> dict[str, list[float]]:
    """Seconds per call of each, one for each round; a round calls each as often as fits into `seconds`; None: once."""
    repeats = {c: max(1, round(seconds / _timed(work, 1, asked))) if seconds else 1 for c, work in works.items()}
    times: dict[str, list[float]] = {contender: [] for contender in works}
    for number in range(asked.rounds):
        say(f"  round {number + 1} of {asked.rounds}")
        for contender, work in works.items():
            times[contender].append(_timed(work, repeats[contender], asked))
    return times


def _timed(work: Work, repeats: int, asked: argparse.Namespace) -> float:
    """Seconds per call."""
    started = _now(asked)
    for _ in range(repeats):
        work()
    return (_now(asked) - started) / repeats


def _now(asked: argparse.Namespace) -> float:
    if asked.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _compare(rows: Mapping[str, Row], baselines: tuple[str, ...]) -> None:
    """Adds how many times as fast as each baseline: the quotient of two times of one round is steadier than of two
    medians, because they lie next to each other.
    """
    for row in rows.values():
        row["times_as_fast_as"] = {
            baseline: statistics.median(b / s for b, s in zip(rows[baseline]["seconds"], row["seconds"], strict=True))
            for baseline in baselines
            if "seconds" in row and "seconds" in rows.get(baseline, {})
        }


def _does_as_plain(case: Case, model: torch.nn.Module) -> bool:
    """Whether a first step has moved the parameters as plain moves them."""
    _, twin = case.step(PLAIN)
    ours, theirs, start = (_numbers(made) for made in (model, twin, built(case.model, case.device)))
    return float((ours - theirs).norm()) <= APART * float((theirs - start).norm())


def _numbers(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@contextlib.contextmanager
def _failure_noted(row: Row) -> Any:
    """A peer may refuse a model in any way; that is a finding."""
    try:
        yield
    except Exception as error:
        row["failed"] = f"{type(error).__name__}: {error}".splitlines()[0]


@contextlib.contextmanager
def _said(what: str, row: Row) -> Any:
    started = time.perf_counter()
    yield
    row["ready_seconds"] = time.perf_counter() - started
    say(f"{what} ready after {row['ready_seconds']:.1f} s")


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two models, one batch, few rounds: under two minutes")
    every, names = list(BLOCKS), list(CONTENDERS)
    parser.add_argument("--models", nargs="+", default=every, choices=every, metavar="NAME", help=", ".join(every))
    parser.add_argument("--batches", nargs="+", type=int, default=[64, 256, 1024], metavar="SIZE")
    parser.add_argument(
        "--contenders", nargs="+", default=names, choices=names, metavar="NAME", help=f"of steps: {'; '.join(names)}"
    )
    parser.add_argument("--steps", action=argparse.BooleanOptionalAction, default=True, help="the table of steps")
    parser.add_argument("--loops", action=argparse.BooleanOptionalAction, default=True, help="the table of loops")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True, help="peaks of memory")
    parser.add_argument("--physical-batch", type=int, default=256, help="of steps: examples in memory at once")
    parser.add_argument("--rows", type=int, default=max(ROWS.values()), help="at most, of the data of loops")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.2, help="for the steps of one contender in one round")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for train-<date>.json and .txt")
    if parser.parse_known_args()[0].quick:
        parser.set_defaults(**QUICK)
    asked = parser.parse_args()
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: this torch finds no CUDA device on this machine.")
    return asked


def main() -> None:
    asked = _arguments()
    warnings.simplefilter("ignore")
    torch.set_num_threads(asked.threads)
    head = _head(asked)
    found: dict[str, list[Row]] = {"steps": [], "loops": []}
    asked.out.mkdir(parents=True, exist_ok=True)
    target = asked.out / f"train-{head['date']}"
    for name in asked.models:
        for batch in asked.batches:
            found["steps"] += steps(name, batch, asked) if asked.steps else []
            found["loops"] += loops(name, batch, asked) if asked.loops else []
            aims = missed(found["steps"], asked.device)
            report = {"schema": "dpplan.bench-train/1", **head, **found, "aims_missed": aims}
            said = "\n".join(["aims missed by steps", *(f"  {line}" for line in aims or ["none"])])
            text = "\n\n".join([_title(head), step_table(found["steps"]), loop_table(found["loops"]), said])
            target.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
            target.with_suffix(".txt").write_text(text + "\n", encoding="utf-8")
    print(f"{text}\n\nwritten to {target.with_suffix('.json')} and {target.with_suffix('.txt')}")


def _head(asked: argparse.Namespace) -> dict[str, Any]:
    """What the figures depend on besides the contenders."""
    cuda = asked.device == "cuda"
    return {
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("dpplan", "torch", "opacus", "numpy")},
        "machine": _processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "threads": torch.get_num_threads(),
        "device": asked.device,
        "card": torch.cuda.get_device_name() if cuda else None,
        "cuda": torch.version.cuda if cuda else None,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_allow_tf32": torch.backends.cudnn.allow_tf32 if cuda else None,
        "autocast": False,
        "physical_batch": asked.physical_batch,
        "rounds": asked.rounds,
    }


def _title(head: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version or 'absent'}" for name, version in head["versions"].items())
    lines = [f"{head['date']}, Python {head['python']}, {versions}"]
    lines.append(f"{head['machine']}, {head['cores']} cores, {head['threads']} used, load {head['load']:.1f} before")
    if head["card"]:
        tf32 = f"convolutions in TF32: {'yes' if head['cudnn_allow_tf32'] else 'no'}"
        lines.append(
            f"{head['card']}, CUDA {head['cuda']}, float32 products {head['float32_matmul_precision']}, {tf32}"
        )
    lines.append(f"physical batch {head['physical_batch']}, {head['rounds']} rounds, float32, no autocast")
    return "\n".join(lines)


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


if __name__ == "__main__":
    main()
