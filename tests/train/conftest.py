"""One torch thread for the training tests, unless OMP_NUM_THREADS says otherwise: the models are tiny, and tests may
share a machine."""

import os

import pytest
import torch


@pytest.fixture(autouse=True)
def threads() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
