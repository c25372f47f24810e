"""What a model writes of itself has to be read again, and it has to begin with numbers: told before any data."""

import signal
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_recipe import small
from torch import nn

from dpplan import train
from dpplan.errors import InputOutputFailed, RecipeError
from dpplan.recipe import Model
from dpplan.train import models
from dpplan.train.state.checkpoint import SCHEMA, Checkpoint
from dpplan.train.step.model_guard import ModelGuard

MODULE = """\
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self, shape=(64,), classes=10):
            super().__init__()
            self.score = nn.Linear(64, classes)

        def forward(self, x):
            return self.score(x.flatten(1))

    class Conf:
        pass

    torch.serialization.add_safe_globals([Conf])  # which no other program has that reads the file

    def with_extra(made, takes=True):
        class Extra(Net):
            def get_extra_state(self):
                return made()

        if takes:
            Extra.set_extra_state = lambda self, state: None
        return lambda shape, classes: Extra(shape, classes)

    class NoState(Net):
        def state_dict(self, *given, **named):
            return None

    class NoLoad(Net):
        def load_state_dict(self, *given, **named):
            pass

    def filled(value, trained=True, *name):
        def build(shape, classes):
            net = Net(shape, classes)
            net.more = nn.Parameter(torch.tensor([1.0, value]), requires_grad=trained)
            return net
        return build

    def sparse(layout, buffer=True):
        def build(shape, classes):
            net = Net(shape, classes)
            table = torch.eye(64).to_sparse(layout=layout)
            net.register_buffer("table", table) if buffer else setattr(net, "table", nn.Parameter(table))
            return net
        return build

    class Attribute(Net):
        def __init__(self, shape, classes):
            super().__init__()
            self.computed = self.score.weight * 2

    class Mixing(Net):
        def __init__(self, shape, classes):
            super().__init__()
            self.register_buffer("table", torch.eye(64).to_sparse())
            self.held = torch.eye(64).to_sparse() * 0.5

        def forward(self, x):
            return self.score(((self.table + self.held) @ x.flatten(1).t()).t())

    class Filling(Mixing):
        def forward(self, x):
            self.table._values().mul_(1.5)
            return super().forward(x)

    class Labelled(Net):
        def forward(self, x):
            class Scores(torch.Tensor):
                pass
            return super().forward(x).as_subclass(Scores)

    object_extra = with_extra(object)
    lambda_extra = with_extra(lambda: lambda: 0)
    allowed_extra = with_extra(lambda: {"conf": Conf()})
    untaken_extra = with_extra(lambda: 1, takes=False)
    good_extra = with_extra(lambda: {"table": torch.zeros(3), "list": [1, "two", 3.0, None]})
    no_state, no_load, attribute, mixing, filling, labelled = (
        (lambda kind: lambda shape, classes: kind(shape, classes))(kind)
        for kind in (NoState, NoLoad, Attribute, Mixing, Filling, Labelled)
    )
    nan, infinite, frozen_infinite = filled(float("nan")), filled(float("inf")), filled(float("-inf"), False)
    sparse_parameter, by_rows = sparse(torch.sparse_coo, False), sparse(torch.sparse_csr)
"""


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models_with_state.py").write_text(textwrap.dedent(MODULE), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


def built(kind: str) -> nn.Module:
    return models.build(Model(kind=f"models_with_state:{kind}"), (64,), 10, np.random.default_rng(0), 0)


def run(kind: str, **changes: Any) -> train.TrainReport:
    recipe = small(model_kind=f"models_with_state:{kind}", training_compare_nonprivate=False, **changes)
    return train.run(recipe, seed=0, out=Path("run"))


@pytest.mark.filterwarnings("ignore:Sparse CSR")
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("no_state", r"its state_dict returns NoneType, not a dictionary"),
        ("no_load", r"its load_state_dict does not take back parameter 'score\.weight'"),
        ("object_extra", r"'_extra_state' of its state_dict, of type object, could not be read again.*holds object\."),
        ("lambda_extra", r"'_extra_state' of its state_dict, of type function, cannot be written to model\.pt"),
        ("allowed_extra", r"'_extra_state' of its state_dict.*could not be read again.*models_with_state\.Conf\."),
        ("untaken_extra", r'Unexpected key\(s\).*"_extra_state".*needs set_extra_state, too'),
        ("nan", r"parameter 'more' holds numbers that are not finite"),
        ("infinite", r"parameter 'more' holds numbers that are not finite"),
        ("sparse_parameter", r"parameter 'table' has the layout torch\.sparse_coo"),
        ("by_rows", r"cannot be copied: buffer 'table': .*Make it dense, or of layout torch\.sparse_coo"),
        ("attribute", r"cannot be copied: attribute 'computed': RuntimeError: Only Tensors created explicitly"),
    ],
)
def test_a_model_that_could_not_be_written_or_gone_on_with_is_refused_where_it_is_built(kind: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said) as refused:
        built(kind)
    assert "weight_norm" not in str(refused.value)


def test_a_refusal_leaves_alone_what_the_user_allows_torch_to_read() -> None:
    with pytest.raises(RecipeError):
        built("allowed_extra")
    assert sys.modules["models_with_state"].Conf in torch.serialization.get_safe_globals()


@pytest.mark.parametrize("kind", ["good_extra", "frozen_infinite"])
def test_what_can_be_read_again_and_what_is_not_trained_is_taken(kind: str) -> None:
    net = built(kind)
    assert torch.isfinite(net.get_parameter("score.weight")).all()
    assert net.training


def test_trying_the_state_leaves_the_model_as_it_was_built() -> None:
    one, other = built("good_extra"), built("good_extra")
    assert torch.equal(one.get_parameter("score.weight"), other.get_parameter("score.weight"))
    assert 0 < float(one.get_parameter("score.weight").detach().abs().max()) < 0.2


def test_a_state_dict_that_is_none_later_on_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Linear(6, 3)
    monkeypatch.setattr(net, "state_dict", lambda: None)
    with pytest.raises(RecipeError, match="its state_dict returns NoneType"):
        ModelGuard(net, torch.zeros(0, 6), walled=False)


def test_a_checkpoint_that_holds_what_torch_does_not_read_is_not_said_to_be_damaged(tmp_path: Path) -> None:
    torch.save({"schema": SCHEMA, "trainer": {"model": {"_extra_state": object()}}}, tmp_path / "checkpoint.pt")
    with pytest.raises(InputOutputFailed, match=r"holds object, which torch reads from no file") as refused:
        Checkpoint.load(tmp_path / "checkpoint.pt")
    assert "damaged" not in str(refused.value)


def test_a_fixed_sparse_buffer_and_attribute_train() -> None:
    assert run("mixing").agrees
    assert torch.load(Path("run/model.pt"), weights_only=True)["table"].layout is torch.sparse_coo


def test_a_sparse_buffer_that_is_written_to_is_told() -> None:
    with pytest.raises(RecipeError, match="changes buffer 'table' while it runs"):
        run("filling")


def test_scores_of_a_class_of_the_model_s_own_are_scores() -> None:
    report = run("labelled")
    assert (report.agrees, report.evaluation) == (True, "")


def test_a_run_with_extra_state_goes_on(tmp_path: Path) -> None:
    recipe = small(model_kind="models_with_state:good_extra", training_compare_nonprivate=False)
    for event in train.events(train.plan(recipe), out=tmp_path / "run"):
        if isinstance(event, train.Step) and event.step == 2:
            signal.raise_signal(signal.SIGINT)
    *_, report = train.events(train.plan_resumed(tmp_path / "run"))
    assert isinstance(report, train.TrainReport)
    assert (report.status, report.steps, report.agrees) == ("finished", 4, True)
