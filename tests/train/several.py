"""What the tests of several processes share: tiny recipes, and processes forked from a server that has loaded torch."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from forked import PROCESSES
from small_recipe import small
from torch.distributed import TCPStore

from dpplan.recipe import Recipe

STEPS = 30
HANG = 90  # seconds until a test gives up; far below the patience of the processes, far above what they need
LOCAL = {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
TINY = """\
privacy: {noise_multiplier: 2, clip_norm: 1, delta: 1e-5}
data: {source: digits}
model: {kind: logistic}
training: {batch_size: 100, steps: STEPS, optimizer: sgd, learning_rate: 0.5, compare_nonprivate: false}
runtime: {device: cpu, threads: 1}
"""


def tiny(folder: Path, **changes: Any) -> Recipe:
    """Small enough that thirty steps take a fraction of a second; with all the state that a run can have."""
    return small(
        **{
            "training_steps": STEPS,
            "training_optimizer": "adam",
            "training_ema": 0.9,
            "training_compare_nonprivate": False,
            "privacy_clipping": "adaptive",
            "runtime_checkpoint_every": 7,
            "runtime_folder": str(folder),
            **changes,
        }
    )


def together(
    folder: Path, work: Callable[..., Any], *arguments: Any, ranks: int = 2, ended: tuple[int, ...] | None = None
) -> list[Any]:
    """What `work` returns in each of so many processes of one run. ended: their exit codes, when some are not 0."""
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # where they meet, as torchrun has one
    crew = [
        PROCESSES.Process(target=_member, args=(folder, rank, ranks, store.port, work, arguments))
        for rank in range(ranks)
    ]
    try:
        for process in crew:
            process.start()
        give_up = time.monotonic() + HANG
        for process in crew:
            process.join(max(0.0, give_up - time.monotonic()))
        codes = tuple(process.exitcode for process in crew)
        assert codes == (ended or (0,) * ranks), f"exit codes {codes}"  # pytest explains only what tests assert
    finally:
        for process in crew:
            process.kill()
    files = [folder / f"{rank}.pt" for rank in range(ranks)]
    return [torch.load(file, weights_only=False) if file.exists() else None for file in files]


def _member(folder: Path, rank: int, ranks: int, port: int, work: Callable[..., Any], arguments: Any) -> None:
    os.environ |= LOCAL | {"MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": str(ranks)}
    os.environ |= {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(ranks), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    torch.set_num_threads(1)
    (folder / f"{rank}.pt").unlink(missing_ok=True)
    torch.save(work(*arguments), folder / f"{rank}.pt")


def written(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return content
