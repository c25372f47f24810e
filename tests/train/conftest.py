"""One torch thread for the training tests: the models are tiny, and tests may share a machine."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
