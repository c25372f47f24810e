"""Processes that share a run, and their seed with it: their draws move together, and the batch sizes betray them.

Where they hold as many examples each, that is; else the first draw that differs sets one stream off against the other.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from several import HANG, LOCAL, TINY, tiny, together

from dpplan import train
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase
from dpplan.sampling import Poisson
from dpplan.train.conformance import StepStatistics
from dpplan.train.execution import worker
from dpplan.train.step.randomness import Randomness
from dpplan.train.step.sampler import PoissonSampler

STEPS = 1200  # at which twice the variance of batch sizes is told from once at 1e-7, nearly always


class SharedSeed:
    """Randomness that looks at no rank: every process has the streams of the first."""

    @staticmethod
    def of(seed: int | None, rank: int = 0) -> Randomness:
        return Randomness.of(7)


def run_of_two(folder: str) -> list[tuple[str, bool]]:
    worker.Randomness = SharedSeed  # type: ignore[misc, assignment]
    plain = {"training_optimizer": "sgd", "training_ema": None, "privacy_clipping": "flat", "training_steps": STEPS}
    recipe = tiny(Path(folder), runtime_checkpoint_every=None, data_source="blobs", **plain)
    with train.joined() as ranks:
        *_, last = [None, *train.events(train.plan(recipe, ranks=ranks))]
        return [(each.name, each.agrees) for each in last.measured] if isinstance(last, train.TrainReport) else []


@pytest.mark.parametrize("shared", [False, True])
def test_batch_sizes_tell_of_two_processes_with_one_seed(shared: bool) -> None:
    """Each draws from its half of the examples, as `PoissonSampler` does for it."""
    scheme = Poisson(0.07)
    phase = Phase(Gaussian(2.0), scheme, STEPS)
    statistics = StepStatistics(phase, 1436, 718)
    ranks = [PoissonSampler(scheme, 1436, Randomness.of(7, 0 if shared else rank).sampling, 718) for rank in range(2)]
    added = torch.from_numpy(np.random.default_rng(0).standard_normal((STEPS, 50))) * 2.0
    for step in range(STEPS):
        drawn = [rank.draw() for rank in ranks]
        statistics.drew(step, drawn[0])
        statistics.saw(sum(map(len, drawn)), ranks[0].expected_batch, 1.0, added[step])
    wrong = [each.name for each in statistics.measurements() if not each.agrees]
    assert wrong == (["batch sizes"] if shared else [])


@pytest.mark.slow
def test_seeds_that_ranks_share_are_noticed(tmp_path: Path) -> None:
    first, other = together(tmp_path, run_of_two, str(tmp_path / "runs"))
    assert other == []
    assert [name for name, agrees in first if not agrees] == ["batch sizes"]


SABOTAGED = """\
import sys
from dpplan.train.execution import worker
from dpplan.train.step.randomness import Randomness

class SharedSeed:
    of = staticmethod(lambda seed, rank=0: Randomness.of(7))

worker.Randomness = SharedSeed
from dpplan.__main__ import main
sys.argv[0] = "dpplan"
main()
"""


@pytest.mark.slow
def test_under_torchrun_the_run_ends_with_a_verdict_against_it(tmp_path: Path) -> None:
    (tmp_path / "sabotaged.py").write_text(SABOTAGED, encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(TINY.replace("STEPS", str(STEPS)).replace("digits", "blobs"), encoding="utf-8")
    where = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *where, "sabotaged.py"]
    done = subprocess.run(
        [*command, "train", "tiny.yaml", "--out", "run"], cwd=tmp_path, env={**os.environ, **LOCAL},
        capture_output=True, text=True, timeout=4 * HANG, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "disagrees with its plan" in " ".join((done.stdout + done.stderr).split())
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    wrong = [each["name"] for each in report["not_covered_by_epsilon"]["verdict"] if not each["agrees"]]
    assert wrong == ["batch sizes"]
