"""Accuracy and speed of accountants, side by side: `make bench`, or `python tests/benchmarks/accountants.py --help`.

Every accountant answers the same questions in one process, in turn, several times over, so that a slow moment of the
machine hits all of them. Reported per question: epsilon, its error against the reference, and the time of one call
after import and after a first call. Calls that fail or last longer than --patience are reported as such. Then whole
processes of the command lines that exist. The reference (tests/data/sgm_truth.csv) is itself good to about 1e-8.
"""

import argparse
import contextlib
import csv
import importlib
import json
import logging
import math
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).parents[1] / "data" / "sgm_truth.csv"
REFERENCE_ERROR = 1e-8
SLOW = 2.0  # seconds; a call this slow is timed once


@dataclass(frozen=True)
class Question:
    q: float
    sigma: float
    steps: int
    delta: float
    truth: float

    def __str__(self) -> str:
        return f"q={self.q:.4g} σ={self.sigma:g} T={self.steps} δ={self.delta:g}"


Answer = Callable[[Question], tuple[float, float | None]]  # epsilon, and the width of its interval where it has one


def dpplan_exact() -> Answer:
    from dpplan import accounting
    from dpplan.plan import Plan

    def answer(ask: Question) -> tuple[float, float | None]:
        bound = accounting.epsilon(Plan.from_rate(ask.sigma, ask.q, ask.steps), ask.delta)
        return bound.value, bound.relative_width

    return answer


def google_pld() -> Answer:
    from dp_accounting.pld import privacy_loss_distribution

    def answer(ask: Question) -> tuple[float, None]:
        one = privacy_loss_distribution.from_gaussian_mechanism(ask.sigma, sampling_prob=ask.q)
        return one.self_compose(ask.steps).get_epsilon_for_delta(ask.delta), None

    return answer


def google_rdp() -> Answer:
    import dp_accounting
    from dp_accounting import rdp

    def answer(ask: Question) -> tuple[float, None]:
        step = dp_accounting.PoissonSampledDpEvent(ask.q, dp_accounting.GaussianDpEvent(ask.sigma))
        accountant = rdp.RdpAccountant().compose(dp_accounting.SelfComposedDpEvent(step, ask.steps))
        return accountant.get_epsilon(ask.delta), None

    return answer


def opacus(name: str) -> Callable[[], Answer]:
    def make() -> Answer:
        kind = getattr(importlib.import_module("opacus.accountants"), name)

        def answer(ask: Question) -> tuple[float, None]:
            accountant = kind()
            accountant.history = [(ask.sigma, ask.q, ask.steps)]
            return accountant.get_epsilon(delta=ask.delta), None

        return answer

    return make


def microsoft_prv() -> Answer:
    from prv_accountant.dpsgd import DPSGDAccountant

    def answer(ask: Question) -> tuple[float, float | None]:
        accountant = DPSGDAccountant(
            noise_multiplier=ask.sigma,
            sampling_probability=ask.q,
            eps_error=0.01,
            delta_error=ask.delta / 1000,
            max_steps=ask.steps,
        )
        low, middle, high = accountant.compute_epsilon(delta=ask.delta, num_steps=ask.steps)
        return middle, (high - low) / high if high > 0 else None

    return answer


def opake_pld() -> Answer:
    accounting = importlib.import_module("opake.accounting")

    def answer(ask: Question) -> tuple[float, None]:
        accountant = accounting.PldAccountant()
        accountant.compose(accounting.PoissonSampledGaussian(ask.sigma, ask.q), ask.steps)
        return accountant.get_epsilon(ask.delta), None

    return answer


# Name -> the distribution it comes from, and its maker.
CONTENDERS: dict[str, tuple[str, Callable[[], Answer]]] = {
    "dpplan exact": ("dpplan", dpplan_exact),
    "dp-accounting PLD": ("dp-accounting", google_pld),
    "dp-accounting RDP": ("dp-accounting", google_rdp),
    "Opacus PRV": ("opacus", opacus("PRVAccountant")),
    "Opacus RDP": ("opacus", opacus("RDPAccountant")),
    "prv-accountant": ("prv-accountant", microsoft_prv),
    "opake PLD": ("opake-accounting", opake_pld),
}


class Impatience(BaseException):
    """Not an Exception, so that no library swallows it."""


@contextlib.contextmanager
def patience(seconds: int) -> Iterator[None]:
    def give_up(*_: object) -> None:
        raise Impatience

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0][:90] if str(error) else ''}".rstrip(": ")


def ask_all(questions: list[Question], rounds: int, seconds: int) -> dict[str, Any]:
    """Every contender's answers: {"version", "absent" or "rows": [{epsilon, error, width, seconds, failure}]}."""
    results: dict[str, Any] = {}
    ready: dict[str, Answer] = {}
    for name, (package, make) in CONTENDERS.items():
        try:
            results[name] = {"package": package, "version": metadata.version(package), "rows": []}
            ready[name] = make()
        except Exception as error:  # whatever keeps a peer from importing is a finding, not our failure
            results[name] = {"package": package, "absent": f"on Python {platform.python_version()}: {reason(error)}"}
    for number, question in enumerate(questions, 1):
        print(f"\r{number} of {len(questions)}: {question}".ljust(78), end="", file=sys.stderr, flush=True)
        times: dict[str, list[float]] = {name: [] for name in ready}
        rows: dict[str, dict[str, Any]] = {}
        for turn in range(rounds + 1):
            for name, answer in ready.items():
                if name in rows and (rows[name]["failure"] or (times[name] and times[name][0] > SLOW)):
                    continue
                start = time.perf_counter()
                try:
                    with patience(seconds), warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        epsilon, width = answer(question)
                except Impatience:
                    rows[name] = {"failure": f"more than {seconds} s"}
                    continue
                except Exception as error:
                    rows[name] = {"failure": reason(error)}
                    continue
                spent = time.perf_counter() - start
                if turn > 0 or spent > SLOW:  # the first call also pays for caches
                    times[name].append(spent)
                error = epsilon / question.truth - 1.0 if math.isfinite(epsilon) else math.inf
                rows[name] = {"failure": None, "epsilon": float(epsilon), "error": float(error), "width": width}
        for name, row in rows.items():
            row["seconds"] = statistics.median(times[name]) if times[name] else None
            results[name]["rows"].append(row)
    print("\r" + " " * 78 + "\r", end="", file=sys.stderr)
    return results


def processes(rounds: int) -> dict[str, float]:
    """Median seconds of whole processes answering (σ 1, q 0.01, 1000 steps, δ 1e-5), in turn."""
    beside = Path(sys.executable).parent
    commands = {
        "dpplan epsilon": [sys.executable, "-m", "dpplan", "epsilon", "--sigma", "1", "--q", "0.01", "--steps", "1000",
                           "--delta", "1e-5"],
        "compute-dp-epsilon (prv-accountant)": [str(beside / "compute-dp-epsilon"), "-p", "0.01", "-s", "1.0", "-i",
                                                "1000", "-d", "1e-5"],
        "python -c 'import dp_accounting'": [sys.executable, "-c", "import dp_accounting"],
        "python -c 'import opacus'": [sys.executable, "-c", "import opacus"],
    }  # fmt: skip
    times: dict[str, list[float]] = {}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            with contextlib.suppress(OSError):
                done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "NO_COLOR": "1"})
                if done.returncode == 0:
                    times.setdefault(name, []).append(time.perf_counter() - start)
    return {name: statistics.median(values[1:] or values) for name, values in times.items()}


def cell(row: dict[str, Any]) -> str:
    if row["failure"]:
        return row["failure"].split(":")[0]
    if not math.isfinite(row["epsilon"]):
        return f"∞, {row['seconds']:.2g} s"
    size = "within 1e-8" if abs(row["error"]) <= REFERENCE_ERROR else f"{row['error']:+.0e}"
    return f"{size}, {1e3 * row['seconds']:.3g} ms"


def summary(questions: list[Question], results: dict[str, Any]) -> list[dict[str, Any]]:
    """Per contender over all questions: median and worst time, median and worst error, failures, under-reports."""
    lines = []
    for name, result in results.items():
        if "absent" in result:
            continue
        good = [row for row in result["rows"] if not row["failure"] and math.isfinite(row["epsilon"])]
        sizes = [abs(row["error"]) for row in good]
        lines.append({
            "accountant": name,
            "answered": len(good),
            "questions": len(questions),
            "median_seconds": statistics.median(row["seconds"] for row in good),
            "worst_seconds": max(row["seconds"] for row in good),
            "median_error": statistics.median(sizes),
            "worst_error": max(sizes),
            "below_truth": sum(row["error"] < -1e-6 for row in good),
        })  # fmt: skip
    return lines


def verdict(results: dict[str, Any], questions: list[Question]) -> list[str]:
    """The two aims: 10 times faster than the fastest peer within 1e-4, and 100 times tighter than every peer."""
    ours, said = results["dpplan exact"]["rows"], []
    for index, question in enumerate(questions):
        peers = {n: r["rows"][index] for n, r in results.items() if n != "dpplan exact" and "rows" in r}
        good = {n: row for n, row in peers.items() if not row["failure"] and math.isfinite(row["epsilon"])}
        close = {n: row["seconds"] for n, row in good.items() if abs(row["error"]) < 1e-4}
        if close:
            name = min(close, key=lambda n: close[n])
            faster = close[name] / ours[index]["seconds"]
            if faster < 10:
                said.append(f"{question}: {faster:.2g} times as fast as {name}, not 10")
        tightest = min((abs(row["error"]) for row in good.values()), default=math.inf)
        if tightest < 100 * ours[index]["width"]:
            said.append(f"{question}: certified width {ours[index]['width']:.0e}, tightest peer errs by {tightest:.0e}")
    return said or ["both aims are met on every question"]


def markdown(questions: list[Question], results: dict[str, Any]) -> str:
    present = [name for name, result in results.items() if "rows" in result]
    lines = ["| question | ε | " + " | ".join(present) + " |", "|" + "---|" * (len(present) + 2)]
    for index, question in enumerate(questions):
        cells = [cell(results[name]["rows"][index]) for name in present]
        lines.append(f"| {question} | {question.truth:.7g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="timed calls of each")
    parser.add_argument("--patience", type=int, default=60, help="seconds before a call is given up")
    parser.add_argument("--only", type=int, help="the first so many questions")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for the results")
    chosen = parser.parse_args()
    with REFERENCE.open(encoding="utf-8") as file:
        table = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    logging.disable(logging.WARNING)  # peers log every order they leave out
    questions = [Question(r["q"], r["sigma"], int(r["steps"]), r["delta"], r["eps"]) for r in table][: chosen.only]
    results = ask_all(questions, chosen.rounds, chosen.patience)
    machine = {"python": platform.python_version(), "machine": platform.machine(), "cores": os.cpu_count(),
               "load": os.getloadavg()[0], "date": date.today().isoformat()}  # fmt: skip
    report = {
        "schema": "dpplan.bench-accountants/1",
        "machine": machine,
        "questions": [question.__dict__ for question in questions],
        "results": results,
        "summary": summary(questions, results),
        "processes": processes(chosen.rounds),
        "aims": verdict(results, questions),
    }
    chosen.out.mkdir(parents=True, exist_ok=True)
    target = chosen.out / f"accountants-{machine['date']}.json"
    target.write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8")
    text = [
        f"{machine['date']}, Python {machine['python']}, {machine['machine']}, {machine['cores']} cores",
        "",
        markdown(questions, results),
        "",
        "| accountant | answered | median time | worst time | median error | worst error | below the truth |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {s['accountant']} | {s['answered']} of {s['questions']} | {1e3 * s['median_seconds']:.3g} ms | "
            f"{1e3 * s['worst_seconds']:.3g} ms | {s['median_error']:.0e} | {s['worst_error']:.0e} | "
            f"{s['below_truth']} |"
            for s in report["summary"]
        ),
        "",
        *(f"{name}: absent {result['absent']}" for name, result in results.items() if "absent" in result),
        *(f"whole process, {name}: {1e3 * seconds:.0f} ms" for name, seconds in report["processes"].items()),
        "",
        "Aims (10 times faster than the fastest peer within 1e-4; 100 times tighter than every peer):",
        *(f"  {line}" for line in report["aims"]),
    ]
    target.with_suffix(".md").write_text("\n".join(text) + "\n", encoding="utf-8")
    print("\n".join(text))
    print(f"\nwritten to {target} and {target.with_suffix('.md')}")


if __name__ == "__main__":
    main()
