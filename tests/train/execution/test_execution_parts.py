"""The twin without privacy, and what one process of a run has and does."""

import dataclasses

import numpy as np
import pytest
import torch
from small_recipe import small
from torch import nn

from dpplan import train
from dpplan.errors import UsageError
from dpplan.recipe import Training
from dpplan.train.data import Split
from dpplan.train.execution.nonprivate_baseline import train_without_privacy
from dpplan.train.execution.worker import Worker
from dpplan.train.machine.inductor import traced
from dpplan.train.state.checkpoint import Checkpoint
from dpplan.train.step.optimizer import Optimization


def blobs(examples: int) -> Split:
    targets = torch.arange(examples) % 2
    return Split(targets[:, None] * 4.0 - 2.0 + 0.1 * torch.arange(examples)[:, None] / examples, targets)


def test_the_twin_learns_in_the_steps_it_was_given_and_sees_every_example_in_each_pass() -> None:
    torch.manual_seed(0)
    model, data = nn.Linear(1, 2), blobs(10)
    seen: list[float] = []
    model.register_forward_hook(lambda _, given, __: seen.extend(given[0][:, 0].tolist()))
    training = Training(batch_size=4, optimizer="sgd", learning_rate=0.5, epochs=4)
    optimization = Optimization(list(model.parameters()), training, 10)
    numbers = list(train_without_privacy(model, data, 4.4, optimization, None, np.random.default_rng(0)))
    assert numbers == list(range(1, 11))
    assert sorted(seen[:10]) == sorted(data.inputs[:, 0].tolist())  # batches of 4, 4 and the 2 that are left
    assert sorted(seen[10:20]) == sorted(seen[:10])
    assert seen[:10] != seen[10:20]  # shuffled anew
    assert float((model(data.inputs).argmax(1) == data.targets).float().mean()) == 1.0


def test_a_worker_is_what_the_plan_says() -> None:
    planned = train.plan(small(training_compare_nonprivate=True), seed=3)
    worker, again = Worker.of(planned), Worker.of(planned)
    assert worker.untrained is not None
    for one, other in zip(worker.model.parameters(), worker.untrained.parameters(), strict=True):
        assert torch.equal(one, other)
        assert one is not other
    for one, other in zip(worker.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)  # of a seeded run
    assert set(worker.generators()) == {"sampling", "noise", "weights", "views", "torch"}
    alone = Worker.of(dataclasses.replace(planned, recipe=small(training_compare_nonprivate=False)))
    assert alone.untrained is None
    fresh = Worker.of(train.plan(small(), seed=None))
    assert fresh.randomness.state()["noise"] != worker.randomness.state()["noise"]


def test_a_checkpoint_of_another_model_is_refused_in_a_sentence() -> None:
    worker = Worker.of(train.plan(small(), seed=3))
    fields = {field.name: None for field in dataclasses.fields(Checkpoint)}
    foreign = Checkpoint(**{**fields, "generators": None, "trainer": {"model": {"nothing": torch.zeros(1)}}})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="the run cannot go on: its checkpoint does not fit this model"):
        worker.restore(foreign)


def test_a_function_of_tensors_is_traced_on_shapes_alone() -> None:
    calls = []

    def function(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
        calls.append(1)
        return (x * y).sum(0), x - 1

    graph = traced(function, (torch.zeros(2, 3), torch.zeros(3)))
    x, y = torch.arange(6.0).reshape(2, 3), torch.tensor([1.0, 2.0, 3.0])
    product, less = graph(x, y)
    assert torch.equal(product, (x * y).sum(0))
    assert torch.equal(less, x - 1)
    assert len(calls) == 1  # the graph calls no Python of ours
