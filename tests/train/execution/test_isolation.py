"""Whole runs of models of the user's own: what is said of their isolation, and what of them reaches a file."""

import json
import signal
import textwrap
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from small_recipe import small

from dpplan import train
from dpplan.errors import RecipeError, TrainingStopped
from dpplan.train import Step, TrainReport
from dpplan.train.execution import terminal_text

MODULE = """\
    import torch
    from torch import nn
    from torch.nn import functional as F

    class Net(nn.Module):
        def __init__(self, classes):
            super().__init__()
            self.first, self.second = nn.Linear(64, 8), nn.Linear(8, classes)
            self.register_buffer("kept", torch.zeros(8))
            self.start = float(self.first.weight.detach().sum())

        def late(self):  # from the second step on: no trial runs in float32 with gradients and weights like these
            weight = self.first.weight
            return torch.is_grad_enabled() and weight.dtype == torch.float32 and float(weight.sum()) != self.start

        def mid(self, h):
            return h

        def forward(self, x):
            return self.second(self.mid(torch.tanh(self.first(x.flatten(1)))))

    class Late(Net):
        def mid(self, h):
            if self.late():
                self.kept = h.detach().mean(0)
            return h

    class InPlace(Net):
        def mid(self, h):
            if self.late():
                with torch.no_grad():
                    self.kept.copy_(h.mean(0))
            return h

    class Running(Net):
        def mid(self, h):
            if self.training:
                self.kept.mul_(0.9).add_(h.detach().mean(0), alpha=0.1)
            return h

    class Frozen(Net):
        def __init__(self, classes):
            super().__init__(classes)
            self.norm = nn.BatchNorm1d(8).requires_grad_(False)
            self.norm.running_mean.fill_(0.25)

        def train(self, mode=True):
            super().train(mode)
            self.norm.eval()
            return self

        def mid(self, h):
            return F.dropout(self.norm(h), 0.1, self.training)

    class Extra(Net):
        def get_extra_state(self):
            return {"of the first weight": float(self.first.weight.detach().sum())}

        def set_extra_state(self, state):
            pass

    class Evaluated(Net):
        def mid(self, h):
            if not self.training and len(h) > 40:
                self.kept.copy_(h.detach().mean(0))
            return h

    class Tags(nn.Module):
        def __init__(self, classes):
            super().__init__()
            self.over, self.score = nn.LSTM(8, 8), nn.Linear(8, classes)

        def forward(self, x):
            return self.score(self.over(x[:, 0])[0][:, -1])

    class Half(Net):
        def __init__(self, classes):
            super().__init__(classes)
            self.first.requires_grad_(False)

    class Reading(Net):  # a number in Python, so that it runs one example at a time
        def __init__(self, classes):
            super().__init__(classes)
            print("built")

        def mid(self, h):
            (2 * h).grad  # of which torch warns
            return h if float(h.detach().sum()) > 0 else 1.0 * h

    class Telling(Reading):
        def mid(self, h):
            if self.late():
                print("the mean is", float(h.detach().mean()))
            return super().mid(h)

    def half(shape, classes): return Half(classes)
    def reading(shape, classes): return Reading(classes)
    def telling(shape, classes): return Telling(classes)
    def late(shape, classes): return Late(classes)
    def in_place(shape, classes): return InPlace(classes)
    def running(shape, classes): return Running(classes)
    def frozen(shape, classes): return Frozen(classes)
    def plain(shape, classes): return Net(classes)
    def extra(shape, classes): return Extra(classes)
    def evaluated(shape, classes): return Evaluated(classes)
    def doubled(shape, classes): return Net(classes).double()
    def sideways(shape, classes): return Tags(classes)
    class Uncopied(nn.Linear):
        def __deepcopy__(self, memo):
            return self

    def uncopied(shape, classes): return nn.Sequential(nn.Flatten(), Uncopied(64, classes))
    def weighted(shape, classes): return nn.Sequential(nn.Flatten(), nn.utils.weight_norm(nn.Linear(64, classes)))
"""


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "isolated_models.py").write_text(textwrap.dedent(MODULE), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def run(kind: str, **changes: Any) -> TrainReport:
    changes = {"training_compare_nonprivate": False, "training_steps": 3, **changes}
    return train.run(small(model_kind=f"isolated_models:{kind}", **changes), seed=0, out=Path("run"))


def written(name: str = "model.pt") -> dict[str, Any]:
    content: dict[str, Any] = torch.load(Path("run") / name, weights_only=True)
    return content


def test_screen_and_report_say_how_examples_are_kept_apart() -> None:
    report = run("plain")
    content = json.loads(Path("run/report.json").read_text(encoding="utf-8"))
    assert (content["engine"], content["isolation"]) == ("book-keeping", "structural")
    assert "inside vmap" in content["isolation_why"]
    assert any(
        line.startswith("  isolation          structural: each example") for line in terminal_text.report_lines(report)
    )


def test_a_model_of_known_layers_is_tested(tmp_path: Path) -> None:
    report = train.run(small(training_compare_nonprivate=False), seed=0, out=tmp_path / "known")
    assert json.loads((tmp_path / "known/report.json").read_text(encoding="utf-8"))["isolation"] == "tested"
    assert any(
        line.startswith("  isolation          tested: every layer") for line in terminal_text.report_lines(report)
    )


@pytest.mark.parametrize(
    ("kind", "said"), [("late", "changes buffer 'kept' while it runs"), ("in_place", "the model raises RuntimeError")]
)
def test_a_model_that_begins_to_keep_examples_stops_the_run_before_anything_is_released(kind: str, said: str) -> None:
    with pytest.raises(TrainingStopped, match=said):
        run(kind)
    report = json.loads(Path("run/report.json").read_text(encoding="utf-8"))
    assert report["status"] == "stopped"
    assert said in report["message"]
    for state in (written(), written("checkpoint.pt")["trainer"]["model"]):
        assert torch.equal(state["kept"], torch.zeros(8))


def test_what_is_printed_where_a_model_is_built_and_what_torch_warns_of_stops_no_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        report = run("reading", training_batch_size=20)
    assert any("not a leaf" in str(each.message) for each in warned)  # on trial
    assert (report.status, str(report.isolation).partition(":")[0]) == ("finished", "tested")
    assert "built" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:The .grad attribute")
def test_what_a_model_prints_of_an_example_reaches_nobody_and_stops_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(TrainingStopped, match=r"prints or logs while it runs \(print\)"):
        run("telling", training_batch_size=20)
    assert "mean" not in "".join(capsys.readouterr())


def test_running_statistics_are_refused_before_anything_is_made() -> None:
    with pytest.raises(RecipeError, match="changes buffer 'kept' while it runs"):
        run("running")
    assert not Path("run/model.pt").exists()


def test_frozen_batch_normalisation_trains_and_its_statistics_stay() -> None:
    report = run("frozen", training_compare_nonprivate=True)
    assert report.agrees
    assert report.isolation.kind == "structural"
    state = written()
    assert torch.equal(state["norm.running_mean"], torch.full((8,), 0.25))
    assert int(state["norm.num_batches_tracked"]) == 0


def test_what_evaluation_leaves_behind_is_not_written() -> None:
    assert run("evaluated").agrees
    assert torch.equal(written()["kept"], torch.zeros(8))


def test_extra_state_is_that_of_before_the_first_step() -> None:
    torch.manual_seed(0)
    run("extra")
    state = written()
    assert state["_extra_state"]["of the first weight"] != pytest.approx(float(state["first.weight"].sum()))


def test_a_run_that_goes_on_keeps_its_frozen_parameters_and_first_buffers(tmp_path: Path) -> None:
    recipe = small(model_kind="isolated_models:half", training_compare_nonprivate=False, training_steps=6)
    for event in train.events(train.plan(recipe), out=tmp_path / "run"):
        if isinstance(event, Step) and event.step == 2:
            signal.raise_signal(signal.SIGINT)
    before = written()
    *_, report = train.events(train.plan_resumed(Path("run")))
    assert isinstance(report, TrainReport)
    assert (report.status, report.agrees) == ("finished", True)
    after = written()
    assert torch.equal(before["first.weight"], after["first.weight"])
    assert not torch.equal(before["second.weight"], after["second.weight"])


def test_a_model_of_float64_is_trained_in_float64() -> None:
    report = run("doubled")
    assert report.agrees
    assert report.held_out_accuracy is not None
    assert {value.dtype for value in written().values() if value.is_floating_point()} >= {torch.float64}


def test_a_recurrent_layer_over_the_batch_is_named_with_what_to_set() -> None:
    with pytest.raises(
        RecipeError, match=r"layer 'over' is a LSTM that takes the first dimension for time.*batch_first"
    ):
        run("sideways")


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_model_that_cannot_be_copied_is_refused_with_what_to_use() -> None:
    with pytest.raises(RecipeError, match=r"cannot be copied.*parametrizations"):
        run("weighted")


def test_a_model_whose_copy_is_itself_is_refused_before_it_is_tried() -> None:
    with pytest.raises(RecipeError, match=r"cannot be copied: its copy has the same parameters.*__deepcopy__"):
        run("uncopied")
