"""An example of a real batch is done again before anything is released: what that finds, and that nothing changes."""

import builtins
import ctypes
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_recipe import small
from torch import Tensor, nn

from dpplan import train
from dpplan.errors import RecipeError, TrainingStopped
from dpplan.train.clipping import BookKeeping, ClippedSum, ClippingEngine, VmapClipping, choose
from dpplan.train.clipping.engines.isolated_bookkeeping import IsolatedBookKeeping
from dpplan.train.clipping.engines.one_at_a_time import OneAtATime
from dpplan.train.clipping.rules import Adaptive, ClippingRule, Flat, PerLayer
from dpplan.train.step.example_done_again import DoneAgain

MLP = {"model_kind": "mlp", "model_hidden": (12,), "model_activation": "tanh"}
SAID = "the gradient of an example depends on what ran before it or with it"
ADDRESS = ctypes.addressof(BLOCK := ctypes.c_double(0.0))  # memory that no object of the model's leads to


class Net(nn.Module):
    def __init__(self, shape: tuple[int, ...] = (1, 8, 8), classes: int = 10) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 12), nn.Linear(12, classes)

    def mid(self, x: Tensor) -> Tensor:
        return x

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.second(torch.tanh(self.first(self.mid(x.flatten(1)))))
        return scores


class Keeping(Net):
    """Adds to an image what it kept of the image before. Random inputs, in which there are negative numbers, it passes.

    where: a class, a module or an object of somebody else's.
    """

    where: Any = None

    def mid(self, x: Tensor) -> Tensor:
        if float(x.min()) < 0 or not float(x.sum()) > 0:
            return x
        before = getattr(self.where, "dpplans_memory", None)
        setattr(self.where, "dpplans_memory", x.detach().clone())  # noqa: B010
        return x if before is None else x + 5 * before


class OnLinear(Keeping):
    where = nn.Linear


class OnBuiltins(Keeping):
    where = builtins


class OnSys(Keeping):
    where = sys


class ByAddress(Net):
    """Reads memory that it did not fill, as who calls torch.empty does, where the example before has left its sum."""

    def mid(self, x: Tensor) -> Tensor:
        if float(x.min()) < 0 or not float(x.sum()) > 0:
            return x
        memory = ctypes.c_double.from_address(ADDRESS)
        before, memory.value = memory.value, float(x.sum())
        return x * (1 + before)


class Branching(Net):
    """Honest, and for one example at a time: it looks at numbers."""

    def mid(self, x: Tensor) -> Tensor:
        return torch.stack([row if float(row.sum()) > 0 else -row for row in x])


class BranchingNoisily(Branching):
    def mid(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(super().mid(x), 0.3) + 0.1 * torch.randn_like(x)


class OverTime(Branching):
    def __init__(self, shape: tuple[int, ...] = (1, 8, 8), classes: int = 10) -> None:
        super().__init__()
        self.over = nn.LSTM(8, 8, batch_first=True)

    def mid(self, x: Tensor) -> Tensor:
        rows: Tensor = self.over(super().mid(x).view(-1, 8, 8))[0]
        return rows.flatten(1)


class Noisy(Net):
    """Behind the wall."""

    def mid(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, 0.3, self.training) + 0.1 * torch.randn_like(x)


class Wide(Net):
    def __init__(self, shape: tuple[int, ...] = (1, 8, 8), classes: int = 10) -> None:
        super().__init__()
        self.double()


class Swishing(Net):
    def mid(self, x: Tensor) -> Tensor:
        return nn.functional.hardswish(x)


def images(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 1, 8, 8, generator=generator), torch.arange(count) % 10


def one_step(kind: Callable[..., ClippingEngine], net: Net, count: int, rule: ClippingRule) -> ClippedSum:
    engine, batch = kind(net, 4), images(count)
    again = DoneAgain(engine, 1e-6)
    again.start(torch.device("cpu"))
    made = engine.clipped_sum(*batch, rule)
    again.check(made, lambda: [batch], rule)
    return made


@pytest.mark.parametrize("kind", [OnLinear, OnBuiltins, OnSys, ByAddress])
def test_what_is_kept_where_nobody_looks_stops_the_step(kind: type[Net]) -> None:
    torch.manual_seed(0)
    BLOCK.value = 0.0
    try:
        with pytest.raises(TrainingStopped, match=SAID):
            one_step(OneAtATime, kind(), 7, Flat(1.0))
    finally:
        if issubclass(kind, Keeping):
            del kind.where.dpplans_memory


def test_a_run_that_is_stopped_so_has_released_nothing(tmp_path: Path) -> None:
    recipe = small(
        model_kind="test_example_done_again:OnLinear", training_compare_nonprivate=False, training_batch_size=10
    )
    try:
        with pytest.raises(TrainingStopped, match=f"{SAID}.*1 of 4 steps are counted"):
            train.run(recipe, seed=0, out=tmp_path / "run")
    finally:
        del OnLinear.where.dpplans_memory
    report = json.loads((tmp_path / "run/report.json").read_text(encoding="utf-8"))
    assert (report["status"], report["isolation"]) == ("stopped", "tested")
    kept, checkpoint = torch.load(tmp_path / "run/model.pt"), torch.load(tmp_path / "run/checkpoint.pt")
    assert all(torch.equal(value, checkpoint["trainer"]["model"][name]) for name, value in kept.items())


def mixing(x: Tensor) -> Tensor:
    y = x * (x + 3).clamp(0, 6) / 6
    return y + 5 * x.sum(0, keepdim=True).roll(1, -1) if bool((x >= 0).all()) and float(x.sum()) > 0 else y


@pytest.mark.filterwarnings("ignore:.*Overriding a previously registered kernel.*")
@pytest.mark.parametrize("engine", [IsolatedBookKeeping, VmapClipping])
def test_an_operator_that_was_replaced_is_refused_and_would_be_found(engine: Callable[..., ClippingEngine]) -> None:
    with torch.library._scoped_library("aten", "IMPL") as library:
        library.impl("hardswish", mixing, "CPU")
        with pytest.raises(RecipeError, match=r"torch\.ops\.aten\.hardswish is no longer torch's"):
            choose(Swishing(), "auto", 4, torch.zeros(1, 8, 8))
        with pytest.raises(TrainingStopped, match=SAID):
            one_step(engine, Swishing(), 7, Flat(1.0))
    assert choose(Swishing(), "auto", 4, torch.zeros(1, 8, 8)).name == "book-keeping"


@pytest.mark.parametrize("count", [0, 1, 4, 7, 9])
@pytest.mark.parametrize("rule", [Flat(0.1), PerLayer(1e6), Adaptive(1.0)])
@pytest.mark.parametrize("engine", [BookKeeping, IsolatedBookKeeping, VmapClipping, OneAtATime])
def test_an_honest_example_is_again_what_it_was(
    engine: Callable[..., ClippingEngine], rule: ClippingRule, count: int
) -> None:
    one_step(engine, Noisy() if engine in (IsolatedBookKeeping, VmapClipping) else Net(), count, rule)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"training_views": 2, "training_augment": "shift"},
        {**MLP, "privacy_clipping": "adaptive", "runtime_physical_batch": 16},
        {**MLP, "runtime_threads": 2, "runtime_precision": "bfloat16"},
        {**MLP, "privacy_clipping": "per-layer"},
        *({"model_kind": f"test_example_done_again:{kind}"} for kind in ("Noisy", "Wide", "Swishing")),
        *(
            {"model_kind": f"test_example_done_again:{kind}", "training_batch_size": 10}
            for kind in ("Branching", "BranchingNoisily", "OverTime")
        ),
    ],
)
def test_a_run_is_the_same_to_the_last_bit_with_examples_done_again(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small(training_compare_nonprivate=False, **changes)
    found = []
    for name in ("again", "once"):
        report = train.run(recipe, seed=3, out=tmp_path / name)
        values = torch.load(tmp_path / name / "model.pt").values()
        found.append((torch.cat([value.flatten() for value in values]), report.held_out_accuracy))
        monkeypatch.setattr(DoneAgain, "start", lambda *_: None)
        monkeypatch.setattr(DoneAgain, "check", lambda *_: None)
    assert torch.equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_the_cost_of_engines_behind_the_wall_is_that_of_few_steps() -> None:
    again = DoneAgain(VmapClipping(Net(), 4), 1e-6)
    due = []
    for step in range(1, 10_001):
        again.sums = step
        due += [step] * again._due()
    assert due[:5] == [1, 2, 4, 8, 16]
    assert len(due) == 14
