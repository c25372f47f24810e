"""Random generators are put back to draw once more, and go on afterwards as if they had not."""

import random

import numpy as np
import torch

from dpplan.train.clipping.isolation.generator_states import GeneratorStates

CPU = torch.device("cpu")


def drawn() -> list[float]:
    return [random.random(), np.random.rand(), float(torch.rand(()))]


def test_everything_is_drawn_once_more_and_then_goes_on() -> None:
    before = GeneratorStates(CPU)
    first = drawn()
    after = GeneratorStates(CPU)
    second = drawn()
    with before.once_more():
        assert drawn() == first
    with after.once_more():
        assert drawn() == second
    third = drawn()
    assert len({*first, *second, *third}) == 9
