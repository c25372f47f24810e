"""The compiled engine: the sums of the eager one, its guards, and one graph for every piece."""

import pytest
import torch
from clipping_models import BOOK_KEPT, CLASSES, batch, model
from small_recipe import small
from torch import Tensor, nn

from dpplan import train
from dpplan.errors import RecipeError
from dpplan.plan import Phase
from dpplan.recipe import Recipe
from dpplan.train.clipping import BookKeeping, as_compiled, choose
from dpplan.train.clipping.engines.compiled_bookkeeping import CompiledBookKeeping
from dpplan.train.clipping.rules import Adaptive, Automatic, Flat, PerLayer


def agree(name: str, translated: bool, rule: Flat) -> None:
    net = model(name)
    eager = BookKeeping(net, 4)
    made = CompiledBookKeeping(BookKeeping(net, 4), translated)
    for examples in (11, 4, 0):
        inputs, targets = batch(name, examples)
        if examples and inputs.is_floating_point():
            inputs[1].view(-1)[0] = float("nan")
        ours, theirs = (engine.clipped_sum(inputs, targets, rule) for engine in (made, eager))
        assert float((ours.total - theirs.total).norm()) <= 1e-6 * float(theirs.total.norm())
        for fact in ("drawn", "dropped", "clipped", "correct"):
            assert getattr(ours.facts, fact) == getattr(theirs.facts, fact)
        assert ours.sensitivity == theirs.sensitivity
    with torch.no_grad():
        for p in net.parameters():
            p.add_(0.1)  # the next step's parameters are seen, and so is its clip norm
    later = type(rule)(0.07)
    ours, theirs = (engine.clipped_sum(*batch(name, 5), later) for engine in (made, eager))
    assert float((ours.total - theirs.total).norm()) <= 1e-6 * float(theirs.total.norm())


@pytest.mark.sweep(every=2, slow=("attention",))
@pytest.mark.parametrize(("name", "rule"), [("mlp", Adaptive(0.3)), ("image", PerLayer(0.3)), ("attention", Flat(0.3))])
def test_the_traced_graph_sums_as_the_engine_does(name: str, rule: Flat) -> None:
    agree(name, False, rule)


@pytest.mark.slow
@pytest.mark.parametrize("name", BOOK_KEPT)
def test_the_compiled_graph_sums_as_the_engine_does(name: str) -> None:
    agree(name, True, Automatic(0.3))


def test_a_model_that_looks_at_numbers_in_python_is_not_compiled() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.score = nn.Linear(6, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return self.score(x) if bool((x.sum() < 1e9).item()) else self.score(-x)

    made = CompiledBookKeeping(BookKeeping(Branching(), 4), False)
    with pytest.raises(RecipeError, match=r"runtime\.compile: this model cannot be traced"):
        made.clipped_sum(*batch("mlp", 4), Flat(1.0))


def test_only_book_keeping_is_compiled() -> None:
    chosen = choose(model("lstm"), "auto", 4, batch("lstm", 1)[0][0])
    with pytest.raises(RecipeError, match="for book-keeping; this model gets vmap, because layer 'over' is a LSTM"):
        as_compiled(chosen)


def test_compiling_changes_nothing_that_is_claimed() -> None:
    plain, fast = (small(runtime_compile=value) for value in (False, True))
    assert isinstance(fast, Recipe)
    assert isinstance(fast.claim(1437).phase, Phase)
    assert fast.claim(1437) == plain.claim(1437)
    assert fast.sha256 == plain.sha256


@pytest.mark.slow
def test_a_compiled_run_ends_where_the_eager_one_does(tmp_path: object) -> None:
    from pathlib import Path

    assert isinstance(tmp_path, Path)
    runs = {}
    for value in (False, True):
        recipe = small(runtime_compile=value, training_compare_nonprivate=False)
        report = train.run(recipe, seed=0, out=tmp_path / str(value))
        saved = torch.load(report.folder / "model.pt")
        runs[value] = torch.cat([v.flatten() for v in saved.values()])
        assert report.engine == ("book-keeping, compiled" if value else "book-keeping")
    assert torch.allclose(runs[False], runs[True], atol=1e-6)
