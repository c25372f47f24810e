"""One torch thread for the training tests, unless OMP_NUM_THREADS says otherwise: the models are tiny, and tests may
share a machine. And each plan is accounted for once in a process, however many tests train by it."""

import functools
import os
from collections.abc import Iterator

import pytest
import torch

from dpplan import accounting


@pytest.fixture(autouse=True)
def threads() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


@pytest.fixture(scope="session", autouse=True)
def accounted_once() -> Iterator[None]:
    """Most tests share a plan of four steps, whose proof takes longer than its steps. Its Bound cannot be changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounting, "epsilon", functools.lru_cache(maxsize=None)(accounting.epsilon))
        yield
