"""A training loop with its data loading, in the words of each contender: one epoch at a time, over data in memory.

A maker gets the data on the host and returns a function that goes through one epoch of `Loop.steps` steps.
"""

import contextlib
import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset
from train_steps import BLOCKS, CLASSES, RATE, built, compiled_update, drawn, made_private, sgd, words

from dpplan.recipe import Data, Privacy, Recipe, Runtime, Training
from dpplan.train.data import Dataset, Split
from dpplan.train.execution.session import Session
from dpplan.train.state.report import Planned, Step
from dpplan.train.state.run_folder import RunFolder
from dpplan.train.state.spent_steps import open_spent_steps

PLAIN_LOADER, PLAIN_SELECT, HOOKS_LOADER = "plain, DataLoader", "plain, index-select", "opacus hooks"
ROWS = {"logistic": 8192, "mlp": 8192, "cnn": 4096, "transformer": 1024}  # an epoch of each takes about as long
Epoch = Callable[[], object]


@dataclass(frozen=True)
class Loop:
    """steps: in an epoch. epochs: how many there will be at most."""

    model: str
    batch: int
    steps: int
    epochs: int
    device: str
    threads: int

    @property
    def rows(self) -> int:
        return self.steps * self.batch

    @property
    def physical_batch(self) -> int:
        """Holds all but one in fifty of the Poisson batches: like the others, dpplan goes through a batch at once."""
        return self.batch + 2 * math.ceil(math.sqrt(self.batch))

    def data(self) -> tuple[Tensor, Tensor]:
        return drawn(self.model, self.rows, "cpu")

    def epoch(self, contender: str, stack: contextlib.ExitStack) -> Epoch:
        """One that has been gone through once."""
        epoch = LOOPS[contender](self, stack)
        epoch()
        return epoch


Maker = Callable[[Loop, contextlib.ExitStack], Epoch]


def plain_loader(loop: Loop, stack: contextlib.ExitStack) -> Epoch:
    """As tutorials have it."""
    model, loader = built(loop.model, loop.device), _loader(loop)
    optimizer = sgd(model)

    def epoch() -> None:
        for inputs, targets in loader:
            x, y = inputs.to(loop.device, non_blocking=True), targets.to(loop.device, non_blocking=True)
            cross_entropy(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()

    return epoch


def plain_select(fast: bool) -> Maker:
    """Data on the device, one permutation an epoch, one index-select a step: the least that a loop can do."""

    def make(loop: Loop, stack: contextlib.ExitStack) -> Epoch:
        model = built(loop.model, loop.device)
        inputs, targets = (values.to(loop.device) for values in loop.data())
        update = _update(model) if not fast else compiled_update(model, inputs[: loop.batch], targets[: loop.batch])

        def epoch() -> None:
            order = torch.randperm(loop.rows, device=loop.device)
            for chosen in order.split(loop.batch):
                update(inputs[chosen], targets[chosen])

        return epoch

    return make


def _update(model: nn.Module) -> Callable[[Tensor, Tensor], None]:
    optimizer = sgd(model)

    def update(x: Tensor, y: Tensor) -> None:
        cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    return update


def dpplan_trainer(fast: bool) -> Maker:
    """The trainer's steps: sample, clip, noise, update."""

    def make(loop: Loop, stack: contextlib.ExitStack) -> Epoch:
        trainer = _session(loop, stack, fast).trainer

        def epoch() -> None:
            for _ in range(loop.steps):
                trainer.step()

        return epoch

    return make


def dpplan_session(loop: Loop, stack: contextlib.ExitStack) -> Epoch:
    """All of `dpplan train` but its checkpoints: steps counted on disk, parameters checked, epsilon of each epoch."""
    events = _session(loop, stack, fast=False).events(lambda: False)
    stack.callback(events.close)

    def epoch() -> None:
        left = loop.steps
        while left:
            left -= isinstance(next(events), Step)

    return epoch


def _session(loop: Loop, stack: contextlib.ExitStack, fast: bool) -> Session:
    inputs, targets = loop.data()
    runtime = {"device": loop.device, "threads": loop.threads, "compile": fast, "checkpoint_every": None}
    steps = loop.steps * loop.epochs + 1
    recipe = Recipe(
        privacy=Privacy(noise_multiplier=1.0, clip_norm=1.0, delta=1e-5),
        data=Data(source="train_loops:data"),
        model=BLOCKS[loop.model],
        training=Training(batch_size=loop.batch, steps=steps, optimizer="sgd", learning_rate=RATE),
        runtime=Runtime(physical_batch=loop.physical_batch, **runtime),
        name="benchmark",
    )
    dataset = Dataset(Split(inputs, targets), Split(inputs[:1], targets[:1]), CLASSES, words(loop.model))
    planned = Planned(recipe, recipe.claim(loop.rows), dataset, torch.device(loop.device))
    folder = RunFolder.make(recipe, Path(stack.enter_context(tempfile.TemporaryDirectory())) / "run")
    return Session(planned, folder, stack.enter_context(contextlib.closing(open_spent_steps(planned, folder))))


def opacus(mode: str, batched: bool = False) -> Maker:
    """Opacus with its own loader, which draws Poisson batches. batched: from a data set that gives a batch at once."""

    def make(loop: Loop, stack: contextlib.ExitStack) -> Epoch:
        model, loader = built(loop.model, loop.device), _loader(loop, batched)
        private, optimizer, criterion, drawing = made_private(mode, model, loader, poisson=True)

        def epoch() -> None:
            for inputs, targets in drawing:
                x, y = inputs.to(loop.device, non_blocking=True), targets.to(loop.device, non_blocking=True)
                criterion(private(x), y).backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

        return epoch

    return make


class Batches(TensorDataset):
    """Gives DataLoader a batch by one index-select, instead of an example at a time."""

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, ...]:
        chosen = torch.tensor(indices, dtype=torch.int64)
        return tuple(values[chosen] for values in self.tensors)


def _loader(loop: Loop, batched: bool = False) -> DataLoader[tuple[Tensor, Tensor]]:
    return DataLoader(
        Batches(*loop.data()) if batched else TensorDataset(*loop.data()),
        batch_size=loop.batch,
        shuffle=True,
        collate_fn=_as_it_is if batched else None,
        pin_memory=loop.device == "cuda",
    )


def _as_it_is(batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return batch


LOOPS: dict[str, Maker] = {
    PLAIN_LOADER: plain_loader,
    PLAIN_SELECT: plain_select(fast=False),
    "plain, select, compiled": plain_select(fast=True),
    "dpplan": dpplan_trainer(fast=False),
    "dpplan, compiled": dpplan_trainer(fast=True),
    "dpplan train": dpplan_session,
    HOOKS_LOADER: opacus("hooks"),
    "opacus hooks, fast loader": opacus("hooks", batched=True),
    "opacus ghost": opacus("ghost"),
}
