"""A model that fails on one example, or computes in a type of its own: what counts, what ends, and what is said."""

import importlib
import json
import textwrap
from pathlib import Path

import pytest
import torch
from small_recipe import small
from torch import Tensor, nn

from dpplan import train
from dpplan.errors import RecipeError, TrainingStopped
from dpplan.train.clipping import Chosen, choose
from dpplan.train.clipping.rules import Flat
from dpplan.train.recipe_function import call_named
from dpplan.train.state.run_folder import RunFolder
from dpplan.train.step.model_guard import ModelGuard

MODULE = """\
    import torch
    from torch import nn

    class Looked(nn.Module):  # one example at 400 and above has no word of its own
        def __init__(self, classes):
            super().__init__()
            self.words, self.score = nn.Embedding(17, 4), nn.Linear(4, classes)

        def forward(self, x):
            x = x.flatten(1)
            index = torch.where((x >= 0) & (x <= 1), x * 16, 0 * x).long()
            return self.score(self.words(index + 50 * (index.sum(1, keepdim=True) > 380)).mean(1))

    def looked(shape, classes): return Looked(classes)
"""


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.second(torch.tanh(self.first(x)))
        return scores


class Cast(Net):
    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(x)


class Picky(Net):
    """Raises on what is all sevens."""

    def forward(self, x: Tensor) -> Tensor:
        if bool((x == 7.0).all()):
            raise ValueError("sevens")
        return super().forward(x)


class Unsettled(Net):
    """Likewise, in the middle of what it would have put back."""

    def forward(self, x: Tensor) -> Tensor:
        torch.set_grad_enabled(False)
        if bool((x == 7.0).all()):
            raise ValueError("sevens")
        torch.set_grad_enabled(True)
        return super().forward(x)


def chosen_for(net: nn.Module, engine: str = "auto") -> Chosen:
    return choose(net, engine, 8, torch.zeros(6))


def batch(rows: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(rows, 6, generator=generator), torch.randint(3, (rows,), generator=generator)


def test_a_model_with_autocast_of_its_own_is_clipped_where_its_rounding_does_not_matter() -> None:
    chosen = chosen_for(Cast())
    assert (chosen.name, chosen.isolation.kind) == ("vmap", "structural")
    assert "works in torch.bfloat16, for whose round-off no margin is left" in chosen.reason
    inputs, targets = batch()
    total, without = (chosen.engine.clipped_sum(inputs[k:], targets[k:], Flat(0.05)).total for k in (0, 1))
    assert 0.04 < float((total - without).norm()) <= 0.05


def test_a_model_with_autocast_of_its_own_is_refused_by_book_keeping_for_that_reason() -> None:
    with pytest.raises(RecipeError, match=r"works in torch\.bfloat16, for whose round-off no margin is left"):
        chosen_for(Cast(), "book-keeping")


def test_an_example_on_which_the_model_raises_adds_nothing_and_changes_nothing_else() -> None:
    chosen = chosen_for(Picky())
    assert chosen.name == "one example at a time"
    inputs, targets = batch()
    inputs[3] = 7.0
    rest = [row for row in range(7) if row != 3]
    found = chosen.engine.clipped_sum(inputs, targets, Flat(1.0))
    others = chosen.engine.clipped_sum(inputs[rest], targets[rest], Flat(1.0))
    assert float(others.total.norm()) > 1.0
    assert float((found.total - others.total).norm()) < 1e-6
    assert (found.facts.drawn, int(found.facts.dropped)) == (7, 1)


def test_a_model_that_leaves_torch_in_another_mode_ends_the_run_and_the_mode() -> None:
    engine = chosen_for(Picky()).engine
    engine.model.__class__ = Unsettled
    inputs, targets = batch()
    inputs[3] = 7.0
    with pytest.raises(TrainingStopped, match="changes torch's grad mode while it runs"):
        engine.clipped_sum(inputs, targets, Flat(1.0))
    assert torch.is_grad_enabled()


def test_a_run_that_one_example_ends_says_what_was_released_and_what_its_end_may_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "looking.py").write_text(textwrap.dedent(MODULE), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(TrainingStopped) as ended:
        train.run(small(model_kind="looking:looked", training_batch_size=700), seed=0, out=Path("run"))
    said, report = str(ended.value), json.loads(Path("run/report.json").read_text(encoding="utf-8"))
    for part in (
        "the model raises IndexError",
        "That step is counted and released nothing",
        "may tell of one example, which ε does not cover",
        "1 of 4 steps are counted, ε ≤ ",
        " spent if nothing that was seen decided when to stop.",
    ):
        assert part in said
    assert (report["status"], report["spent"]["steps"]) == ("stopped", 1)
    assert Path("run/model.pt").exists()
    assert "index out of range" not in said + json.dumps(report)  # it may hold what the model saw


def test_a_model_of_known_layers_that_raises_is_told_likewise_and_lack_of_memory_is_not() -> None:
    guard = ModelGuard(nn.Linear(6, 3), torch.zeros(0, 6), walled=False)
    with pytest.raises(TrainingStopped, match="the model raises IndexError"), guard:
        raise IndexError("17")
    with pytest.raises(MemoryError), guard:
        raise MemoryError


def test_a_run_whose_model_raises_while_it_is_written_leaves_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_for_test.py").write_text("def broken(*given): raise ValueError('row 7')\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RecipeError):
        call_named("broken_for_test:broken", "model.kind")
    monkeypatch.setattr(RunFolder, "save_model", importlib.import_module("broken_for_test").broken)
    with pytest.raises(TrainingStopped, match=r"raises ValueError in a method\. 4 of 4 steps are counted") as stopped:
        list(train.events(train.plan(small()), out=tmp_path / "run"))
    assert "row 7" not in str(stopped.value)
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert "broken off by ValueError" in json.dumps(report)
