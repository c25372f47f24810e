"""Models that write into what they are given, as `x.sub_(0.5)` does, train as their twins do that write nothing."""

import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from small_recipe import small
from torch import Tensor, nn

from dpplan import train
from dpplan.train import TrainReport
from dpplan.train.canaries.model_with_canaries import WithCanaries
from dpplan.train.canaries.run import losses
from dpplan.train.clipping import BookKeeping
from dpplan.train.clipping.engines.compiled_bookkeeping import CompiledBookKeeping
from dpplan.train.clipping.rules import Flat
from dpplan.train.data import Split
from dpplan.train.execution.evaluation import accuracy
from dpplan.train.execution.memorisation_watch import MemorisationWatch

MODULE = """\
    import math
    from torch import nn

    class Net(nn.Module):
        def __init__(self, shape, classes, writes):
            super().__init__()
            self.score, self.writes = nn.Linear(math.prod(shape), classes), writes

        def changed(self, x):
            return x.sub_(0.5).div_(0.5) if self.writes else x.sub(0.5).div(0.5)

        def forward(self, x):
            return self.score(self.changed(x).flatten(1))

    class Branching(Net):
        def forward(self, x):
            return super().forward(x) if float(x.max()) < 1e9 else self.score(x.flatten(1))

    def known(writes):
        return lambda shape, classes: nn.Sequential(
            nn.LeakyReLU(0.5, inplace=writes), nn.Flatten(), nn.Linear(math.prod(shape), classes)
        )

    known_writes, known_leaves = known(True), known(False)
    def writes(shape, classes): return Net(shape, classes, True)
    def leaves(shape, classes): return Net(shape, classes, False)
    def branching_writes(shape, classes): return Branching(shape, classes, True)
    def branching_leaves(shape, classes): return Branching(shape, classes, False)
"""
VIEWS = {"data_source": "digits", "training_augment": "shift", "training_views": 2}


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models_in_place.py").write_text(textwrap.dedent(MODULE), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def run(kind: str, **changes: Any) -> tuple[TrainReport, dict[str, Tensor]]:
    recipe = small(model_kind=f"models_in_place:{kind}", **{"data_source": "blobs", **changes}).with_watch(40)
    report = train.run(recipe, seed=0, out=Path(kind))
    return report, torch.load(Path(kind) / "model.pt", weights_only=True)


@pytest.mark.parametrize(
    ("kind", "engine", "changes"),
    [
        ("known_", "book-keeping", {}),
        ("", "book-keeping", {}),
        ("", "book-keeping", VIEWS),
        ("", "vmap", {"runtime_engine": "vmap"}),
        ("", "vmap", {"runtime_engine": "vmap", "runtime_physical_batch": 7}),
        ("branching_", "one example at a time", {}),
        ("branching_", "one example at a time", VIEWS),
    ],
)
def test_in_every_engine_its_run_is_that_of_its_twin_bit_for_bit(
    kind: str, engine: str, changes: dict[str, Any]
) -> None:
    (writing, made), (leaving, twin) = run(f"{kind}writes", **changes), run(f"{kind}leaves", **changes)
    assert writing.engine.startswith(engine)
    assert writing.engine == leaving.engine
    assert writing.agrees
    assert all(torch.equal(made[name], twin[name]) for name in twin)
    assert writing.held_out_accuracy == leaving.held_out_accuracy
    assert writing.nonprivate_accuracy == leaving.nonprivate_accuracy
    watched = [(Path(f"{kind}{name}") / "watch.private.json").read_bytes() for name in ("writes", "leaves")]
    assert watched[0] == watched[1]
    assert writing.arithmetic == leaving.arithmetic


def test_the_compiled_engine_sums_alike() -> None:
    inputs, targets = torch.randn(9, 6, generator=torch.Generator().manual_seed(0)), torch.arange(9) % 3
    sums = []
    for writes in (True, False):
        torch.manual_seed(0)
        model = nn.Sequential(nn.LeakyReLU(0.5, inplace=writes), nn.Linear(6, 3))
        engine = CompiledBookKeeping(BookKeeping(model, 4), translated=False)
        sums.append(engine.clipped_sum(inputs.clone(), targets, Flat(1.0)).total)
    assert torch.equal(*sums)


def test_what_is_evaluated_watched_or_audited_stays_as_it_is(tmp_path: Path) -> None:
    model = nn.Sequential(nn.LeakyReLU(0.5, inplace=True), nn.Linear(6, 3))
    split = Split(torch.randn(50, 6), torch.arange(50) % 3)
    before = split.inputs.clone()
    accuracy(model, split)
    watch = MemorisationWatch(split, 50, 0, tmp_path)
    watch.look(model, 1)
    losses(WithCanaries(model, (6,), 3, 2, 1.0), split)
    assert torch.equal(split.inputs, before)
    assert torch.equal(watch.inputs, before)
