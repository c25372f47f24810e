"""The table of mistakes: calls that make no sense, each with its whole message and its exit code.

mistakes.txt holds, call by call, the line as it is typed, what stderr shows at 80 columns, and the exit code.
"""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_name("mistakes.txt")


@dataclass(frozen=True)
class Mistake:
    """typed: after `dpplan`. told: on stderr. code: the exit code."""

    typed: str
    told: str
    code: int

    @property
    def arguments(self) -> list[str]:
        return shlex.split(self.typed)


def mistakes() -> Iterator[Mistake]:
    for block in TABLE.read_text(encoding="utf-8").split("\n$ dpplan "):
        first, *told, last = block.removeprefix("$ dpplan ").rstrip("\n").split("\n")
        yield Mistake(first, "".join(f"{line}\n" for line in told), int(last.removeprefix("exit ")))


RECIPE = """\
privacy: {noise_multiplier: 1.0, clip_norm: 1.0, delta: 1e-5}
data: {source: blobs, examples: 200}
model: {kind: logistic}
training: {batch_size: 20, steps: 3, optimizer: sgd, learning_rate: 0.1}
"""
PLAN_FILE = """\
phases:
  - {name: counts, mechanism: {kind: laplace}}
  - parallel:
      - {name: north, n: 5000, mechanism: {kind: laplace, epsilon: 0.2}}
      - {name: south, mechanism: {kind: laplace, epsilon: 0.2}, repeat: {law: geometric, mean: 3, score: public}}
"""
NOISES = """\
phases:
  - {name: sums, mechanism: {kind: gaussian, noise_multiplier: 9}}
  - {name: whole, mechanism: {kind: tree, noise_multiplier: 9}, steps: 64}
  - {name: turns, mechanism: {kind: tree, noise_multiplier: 9}, steps: 64,
     sampling: {kind: cyclic-poisson, sample_rate: 0.2, groups: 4}}
  - {name: order, mechanism: {kind: tree, noise_multiplier: 9}, steps: 64,
     sampling: {kind: shuffle, sample_rate: 0.1, order: once}}
  - {name: drawn, mechanism: {kind: tree, noise_multiplier: 9}, steps: 64,
     sampling: {kind: poisson, sample_rate: 0.1}}
"""


def prepare(folder: Path) -> None:
    """The files that the calls name."""
    (folder / "folder").mkdir()
    (folder / "one.yaml").write_text(RECIPE, encoding="utf-8")
    wrong = (
        ("1.0, delta", "1e300, delta"),
        ("200", "2k"),
        ("20,", "1e-300,"),
        ("noise_multiplier: 1.0", "noise_multiplier: 1e−1"),
    )
    text = f"{RECIPE}runtime: {{threads: 100000}}\n"
    for old, new in wrong:
        text = text.replace(old, new)
    (folder / "numbers.yaml").write_text(text, encoding="utf-8")
    (folder / "tiny.yaml").write_text(RECIPE.replace("batch_size: 20", "batch_size: 1e-300"), encoding="utf-8")
    (folder / "phases.yaml").write_text(PLAN_FILE, encoding="utf-8")
    (folder / "noises.yaml").write_text(NOISES, encoding="utf-8")
    (folder / "scores.csv").write_text("member,score\n" + "1,0.5\n" * 30, encoding="utf-8")
    coins = "".join(f"{k % 3 % 2},{k}.5\n" for k in range(30))
    (folder / "coins.csv").write_text(f"member,score\n{coins}", encoding="utf-8")
    (folder / "copied.csv").write_text(f"member,score\n{coins}{coins}", encoding="utf-8")
    fixed = RECIPE.replace("delta: 1e-5", "delta: 1e-5, sampling: fixed-size")
    (folder / "fixed.yaml").write_text(fixed, encoding="utf-8")
    (folder / "semicolons.csv").write_text("member;score\n1;0,5\n0;-0,5\n", encoding="utf-8")
    (folder / "swapped.json").write_text("[[0.01, 1.1, 1000]]", encoding="utf-8")
    (folder / "begun").mkdir()  # a run that was killed before its first step
    planned = {"noise_multiplier": 1.0, "sample_rate": 0.1, "steps": 3, "examples": 200, "delta": 1e-5}
    (folder / "begun" / "run.json").write_text(json.dumps({"planned": planned}), encoding="utf-8")
    (folder / "begun" / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    (folder / "begun" / "steps").write_bytes(b"%020d\n" % 0)
    (folder / "begun" / "checkpoint.pt").touch()
    failed = {"schema": "dpplan.epsilon/1", "error": {"code": 2, "kind": "PlanError", "message": "sigma is missing."}}
    (folder / "failed.json").write_text(json.dumps(failed), encoding="utf-8")
