"""How long epochs have to be for the steps that a record is declared to be in."""

import dataclasses
import itertools

import pytest
from lint_runs import looping

from dpplan.adjacency import ZERO_OUT
from dpplan.lint.rules import shared_noise
from dpplan.mechanism import TreeAggregation
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson


@pytest.mark.parametrize(
    ("steps", "times", "apart", "least"), [(100, 4, 10, 25), (100, 4, 30, 30), (101, 4, 10, 26), (100, 1, 1, 100)]
)
def test_epochs_are_long_enough_for_how_often_and_for_how_far_apart(
    steps: int, times: int, apart: int, least: int
) -> None:
    phase = Phase(TreeAggregation(6.0, participations=times, separation=apart), Poisson(1.0), steps)
    plan = Plan((phase,), adjacency=ZERO_OUT)
    (remark,) = shared_noise.conditions(dataclasses.replace(looping(loader="sequential"), plan=plan), plan)
    assert remark.message.endswith(f"where an epoch has {least} steps or more.")
    in_steps = [step for step in range(steps) if step % least == 0]  # of the record whose steps are the most
    assert len(in_steps) <= times and all(b - a >= apart for a, b in itertools.pairwise(in_steps))
    shorter = [step for step in range(steps) if step % (least - 1 or 1) == 0]
    assert len(shorter) > times or least - 1 < apart


@pytest.mark.parametrize("apart", [1, 10])
def test_a_loader_that_may_show_an_example_twice_is_told_so_and_no_figure(apart: int) -> None:
    phase = Phase(TreeAggregation(6.0, participations=4, separation=apart), Poisson(1.0), 100)
    plan = Plan((phase,), adjacency=ZERO_OUT)
    remark = shared_noise.refused(dataclasses.replace(looping(loader="webdataset"), plan=plan), plan, (phase,))
    assert "It may show an example more than once an epoch" in remark.message and ". ." not in remark.message
    assert "separation: 1" not in remark.fix
