"""What keeps examples apart, part by part: what a model holds, which layers are known, ways past vmap, in words."""

import copy
import csv
import importlib
import io
import logging
import os
import pickle
import socket
import sqlite3
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dpplan.errors import TrainingStopped
from dpplan.train.clipping.engines.one_at_a_time import OneAtATime
from dpplan.train.clipping.isolation import outside_memory, refusal_messages
from dpplan.train.clipping.isolation.object_parts import parts_of
from dpplan.train.clipping.isolation.outside_memory import watched
from dpplan.train.clipping.isolation.plain_values import plain, same_bits, same_tensors, tree
from dpplan.train.clipping.isolation.replaced_functions import AsTheyCame, replaced, replaced_beneath
from dpplan.train.clipping.isolation.row_independent_layers import keeps_rows_apart, rows_apart
from dpplan.train.clipping.isolation.untrained_state import GENERATOR, HiddenState, Modes, leaves
from dpplan.train.clipping.isolation.vmap_escapes import CustomRules
from dpplan.train.clipping.model_trial import Probe

PRINTS_OR_WRITES = "prints or logs while it runs|writes files, or starts or reaches other processes, while it runs"


class Keeping(nn.Module):
    """Counts its calls, in a buffer, a list and a plain number, as asked."""

    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(3, 2)
        self.register_buffer("mean", torch.zeros(3))
        self.seen: list[float] = []
        self.calls = 0


# untrained_state


def test_nothing_has_changed_in_a_model_that_was_left_alone() -> None:
    model = Keeping()
    state = HiddenState(model)
    model.score(torch.ones(1, 3))
    assert state.changes() == []
    with torch.no_grad():
        model.score.weight.add_(1.0)  # what is trained is meant to change
    assert state.changes() == []


def test_every_change_is_named() -> None:
    model = Keeping()
    state = HiddenState(model)
    model.mean.add_(1.0)  # type: ignore[operator]
    model.seen.append(2.0)
    model.calls = 1
    names = " ".join(state.changes())
    assert "buffer 'mean'" in names
    assert "seen" in names
    assert "calls" in names


def test_not_a_number_is_no_change_and_a_new_buffer_is_one() -> None:
    model = Keeping()
    model.mean = torch.full((3,), torch.nan)
    state = HiddenState(model)
    assert state.changes() == []
    model.register_buffer("more", torch.zeros(1))
    assert any("more" in name for name in state.changes())


def test_buffers_and_frozen_parameters_are_put_back() -> None:
    model = Keeping()
    model.score.bias.requires_grad_(False)
    before = model.score.bias.clone()
    state = HiddenState(model)
    with torch.no_grad():
        model.mean.add_(1.0)  # type: ignore[operator]
        model.score.bias.add_(1.0)
    state.restore()
    assert torch.equal(model.mean, torch.zeros(3))  # type: ignore[arg-type]
    assert torch.equal(model.score.bias, before)
    assert not model.score.bias.requires_grad
    assert state.changes() == []


def test_a_generator_of_the_models_own_counts_where_it_is_asked_to() -> None:
    model = Keeping()
    model.dice = torch.Generator()  # type: ignore[assignment]
    state = HiddenState(model)
    torch.rand(1, generator=model.dice)  # type: ignore[arg-type]
    assert state.changes(drawing=False) == []
    assert [name.startswith(GENERATOR) for name in state.changes()] == [True]
    assert any(name.startswith("buffer 'mean'") for name in leaves(model))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_traced_layers_are_looked_into() -> None:
    model = nn.Sequential(torch.jit.trace(nn.BatchNorm1d(3).eval(), torch.zeros(2, 3)))  # type: ignore[no-untyped-call]
    state = HiddenState(model)
    assert state.changes() == []
    model[0].running_mean.add_(1.0)  # type: ignore[operator, union-attr]
    assert "buffer '0.running_mean'" in state.changes()
    assert not keeps_rows_apart(model)


def test_torchs_settings_are_watched_and_put_back() -> None:
    modes = Modes()
    assert modes.changes() == []
    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    try:
        assert modes.changes() == ["torch's grad mode", "torch's default type"]
    finally:
        modes.restore()
    assert modes.changes() == []


def test_so_are_settings_of_libraries_and_of_python() -> None:
    changed: list[tuple[Callable[[bool], Any], str]] = [
        (torch.set_flush_denormal, "torch's small numbers"),
        (lambda on: setattr(torch.backends.cudnn, "benchmark", on), "torch's libraries"),
        (lambda on: torch.use_deterministic_algorithms(False, warn_only=on), "torch's deterministic mode"),
        (lambda on: torch.set_printoptions(precision=7 if on else 4), "torch's print options"),
        (lambda on: np.seterr(over="ignore" if on else "warn"), "numpy's handling of errors"),
        (lambda on: sys.setrecursionlimit(sys.getrecursionlimit() + (1 if on else -1)), "limits of Python's"),
    ]
    for change, name in changed:
        modes = Modes()
        change(True)
        try:
            assert modes.changes() == [name]
        finally:
            change(False)
        assert modes.changes() == [], name
    modes = Modes()
    with torch.device("meta"):
        assert "torch's default device" in modes.changes()


# plain_values


def test_a_tree_of_numbers_is_one_thing_however_large_and_each_of_its_numbers_counts() -> None:
    model = Keeping()
    many = [[[place, (place,)], {"at": (0.0, "text")}] for place in range(3_000)]
    model.table = many  # type: ignore[assignment]
    state = HiddenState(model)
    assert len(state.held) < 1000
    assert state.changes() == []
    many[2_999][1]["at"] = (-0.0, "text")  # type: ignore[index, call-overload]
    assert state.changes() == ["attribute 'table'"]


def test_what_is_no_tree_of_numbers_is_looked_into_part_by_part() -> None:
    shared: list[Any] = [1]
    doubled: Any = (shared,)
    for _ in range(60):
        doubled = (doubled, doubled)
    ring: list[Any] = [(1,)]
    ring.append(ring)
    deep: Any = (1,)
    for _ in range(3000):
        deep = (deep,)
    for value in (1, {1, 2}, [[shared, shared]], doubled, ring, deep, [(object(),)], [{"a": torch.zeros(1)}]):
        assert tree(value) is None
    assert tree([(1, 2), {"a": [None]}]) != tree([(1, 2), {"a": [False]}])
    assert plain({"a": 1})
    assert not plain({"a": []})


@pytest.mark.parametrize(
    ("was", "now"),
    [
        (0.0, -0.0),
        ([1], [True]),
        ((1,), (1.0,)),
        ({1: 0}, {1: False}),
        ({0.0, 1}, {-0.0, 1}),
        ({1: 0, 2: 0}, {2: 0, 1: 0}),
    ],
)
def test_equal_numbers_that_can_be_told_apart_are_a_change(was: Any, now: Any) -> None:
    assert was == now
    assert not same_bits(was, now)
    assert same_bits(was, was)
    model = Keeping()
    model.calls = was
    state = HiddenState(model)
    model.calls = now
    assert state.changes() == ["attribute 'calls'"]


def test_so_are_zeros_and_nans_of_another_sign_in_tensors() -> None:
    zeros, nans = torch.zeros(2), torch.full((2,), torch.nan)
    for tensor in (zeros, nans, zeros.bfloat16()):
        assert same_tensors(tensor, tensor.clone())
        assert not same_tensors(tensor, -tensor)
    assert same_tensors(zeros.to(torch.complex64), zeros.to(torch.complex64))
    assert not same_tensors(zeros, zeros.double())


@pytest.mark.filterwarnings("ignore:Sparse CS", "ignore:The PyTorch API of nested tensors")
def test_sparse_and_nested_tensors_are_compared_by_what_they_are_made_of() -> None:
    whole = torch.eye(4)
    whole[0, 3] = -0.0
    layouts = (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc)
    for tensor in (whole.to_sparse(layout=layout) for layout in layouts):
        assert same_tensors(tensor, tensor.clone())
        assert not same_tensors(tensor, tensor * 2)
        assert not same_tensors(tensor, whole.roll(1).to_sparse(layout=tensor.layout))
        assert not same_tensors(tensor, whole)
        assert not same_tensors(whole, tensor)
    twice = torch.sparse_coo_tensor(torch.tensor([[0, 0]]), torch.tensor([1.0, 2.0]), (3,), check_invariants=True)
    assert same_tensors(twice, twice.clone())
    assert not same_tensors(twice, twice.coalesce())
    nested = torch.nested.nested_tensor([torch.ones(2), torch.zeros(3)])
    assert same_tensors(nested, nested.clone())
    assert not same_tensors(nested, torch.nested.nested_tensor([torch.ones(2), -torch.zeros(3)]))


def test_what_pickle_notes_on_a_class_is_no_memory_and_what_else_is_written_there_is_one() -> None:
    class Slotted:
        __slots__ = ("__own", "left")

    class Settings(Slotted):
        pass

    model: Any = Keeping()
    model.settings = Settings()
    state = HiddenState(model)
    copy.copy(model.settings)
    assert vars(Settings)["__slotnames__"] == ["_Slotted__own", "left"]
    assert state.changes() == []
    Settings.__slotnames__ = ["left", "_Slotted__own"]  # type: ignore[attr-defined]
    assert state.changes() == ["'__slotnames__' of class Settings"]


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_nested_tensor_is_looked_at() -> None:
    nested = torch.nested.nested_tensor([torch.ones(2), torch.zeros(3)])
    model: Any = Keeping()
    model.parts = [nested]
    state = HiddenState(model)
    assert state.changes() == []
    nested.mul_(2.0)
    assert state.changes() == ["attribute 'parts[0]'"]


# row_independent_layers


class Halves(nn.Linear):
    """A subclass, which may do anything."""


@rows_apart
class Known(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def test_a_model_of_known_layers_needs_no_wall() -> None:
    assert keeps_rows_apart(nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Flatten(), Known()))
    assert keeps_rows_apart(nn.LSTM(3, 3, batch_first=True))


def test_anything_unknown_or_attached_needs_one() -> None:
    hooked = nn.Linear(3, 3)
    hooked.register_forward_hook(lambda *_: None)
    patched = nn.Linear(3, 3)
    patched.forward = lambda x: x  # type: ignore[method-assign]
    buffered = nn.ReLU()
    buffered.register_buffer("kept", torch.zeros(1))
    for model in (
        Halves(3, 3), hooked, patched, buffered, nn.LSTM(3, 3), nn.Flatten(0), nn.BatchNorm1d(3), Keeping(),
    ):  # fmt: skip
        assert not keeps_rows_apart(nn.Sequential(nn.Linear(3, 3), model)), model
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert not keeps_rows_apart(nn.Linear(3, 3))
    finally:
        handle.remove()


class Answering(nn.Parameter):
    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return super().__torch_function__(func, types, args, kwargs or {})


def test_known_layers_of_which_a_part_was_replaced_need_one(monkeypatch: pytest.MonkeyPatch) -> None:
    called, compiled, convolving, answering = nn.ReLU(), nn.ReLU(), nn.Conv1d(3, 3, 1), nn.Linear(3, 3)
    called._call_impl = lambda x: x - x.mean(0)  # type: ignore[method-assign]
    compiled._compiled_call_impl = lambda x: x - x.mean(0)
    convolving._conv_forward = lambda x, w, b: x - x.mean(0)  # type: ignore[method-assign]
    answering.weight = Answering(torch.zeros(3, 3))
    for model in (called, compiled, convolving, answering):
        assert not keeps_rows_apart(nn.Sequential(nn.Linear(3, 3), model)), model
    assert keeps_rows_apart(nn.Sequential(nn.Linear(3, 3), nn.Tanh()))
    monkeypatch.setattr(nn.Tanh, "forward", lambda self, x: x - x.mean(0))
    assert not keeps_rows_apart(nn.Sequential(nn.Linear(3, 3), nn.Tanh()))


# replaced_functions


def test_functions_in_the_place_of_torchs_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert replaced() == {}
    assert AsTheyCame([nn.Conv2d]).unchanged()
    linear, first = nn.functional.linear, AsTheyCame([nn.Conv2d])
    monkeypatch.setattr(nn.functional, "linear", lambda x, w, b=None: linear(x - x.mean(0), w, b))
    assert list(replaced()) == ["torch.nn.functional.linear"]
    assert replaced_beneath() == []
    assert not keeps_rows_apart(nn.Linear(3, 3))
    monkeypatch.undo()
    assert keeps_rows_apart(nn.Linear(3, 3))
    for name in ("_conv_forward", "__getattr__", "__getattribute__"):
        monkeypatch.setattr(nn.Conv2d, name, lambda *_: None, raising=False)
        assert not first.unchanged(), name
        assert not keeps_rows_apart(nn.Linear(3, 3)), name
        monkeypatch.undo()
        assert first.unchanged(), name
    monkeypatch.setattr(nn.modules.conv, "F", object())
    assert not first.unchanged()
    monkeypatch.setattr(Tensor, "norm", lambda x: x)
    monkeypatch.setattr(Tensor, "mm", lambda x: x)  # which it inherits
    monkeypatch.setattr(torch, "load", print)
    assert sorted(replaced_beneath()) == ["torch.Tensor.mm", "torch.Tensor.norm"]


def test_what_a_replaced_function_keeps_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, linear = [torch.zeros(3)], nn.functional.linear

    def keeping(x: Tensor, *args: Any) -> Tensor:
        kept[0] = x.detach()
        return linear(x, *args)

    monkeypatch.setattr(nn.functional, "linear", keeping)
    model = Keeping()
    state = HiddenState(model)
    model.score(torch.ones(1, 3))
    assert any("what is in the place of 'torch.nn.functional.linear" in name for name in state.changes())


# vmap_escapes


class Doubled(torch.autograd.Function):
    """With a rule of its own for vmap, in which examples meet."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def setup_context(ctx: object, inputs: object, output: object) -> None:
        return None

    @staticmethod
    def vmap(info: object, in_dims: object, x: Tensor) -> tuple[Tensor, int]:
        return 2 * x - x.mean(0), 0


def test_what_reaches_past_vmap_is_noted_and_only_while_watched() -> None:
    rules = CustomRules()
    torch.vmap(Doubled.apply)(torch.ones(2, 3))
    assert str(rules) == ""
    with rules.watched():
        torch.vmap(lambda x: 2 * x)(torch.ones(2, 3))
        assert rules.used == set()
        torch.vmap(Doubled.apply)(torch.ones(2, 3))
    assert str(rules) == "autograd.Function Doubled has a vmap rule of its own, which may let examples meet"
    before = len(rules.used)
    torch.vmap(lambda x: x + len(repr(x)))(torch.ones(2, 3))
    assert len(rules.used) == before


def test_printing_inside_vmap_is_noted() -> None:
    rules = CustomRules()
    with rules.watched():
        torch.vmap(lambda x: x + len(repr(x)))(torch.ones(2, 3))
        assert repr(torch.ones(1))  # outside it shows what everybody sees
    assert rules.used == {"repr() or print() of a tensor shows all examples inside vmap"}


# refusal_messages


def test_what_is_kept_is_named_three_times_at_most() -> None:
    said = refusal_messages.kept([f"buffer 'b{number}'" for number in range(5)])
    assert "changes buffer 'b0', buffer 'b1', buffer 'b2' and 2 more while it runs" in said
    assert "changes list 'seen' while" in refusal_messages.kept(["list 'seen'[0]", "list 'seen'[1]"])
    assert "changes global 'SEEN' while" in refusal_messages.kept(["global 'SEEN[Net(\n  (l): Linear()\n)]'"])
    spectral = refusal_messages.kept(["buffer 'parametrizations.weight.0._u'"])
    assert spectral.endswith("layer.parametrizations.weight.eval().")


def test_who_scores_differently_when_called_again_is_asked_for_memory_that_was_not_filled() -> None:
    assert "torch.empty" in refusal_messages.REMEMBERS


def test_a_compiled_part_is_told_as_what_it_is() -> None:
    assert "without torch.compile" in refusal_messages.kept(["attribute 'part.dynamo_ctx.callback'"])


def test_a_layer_that_takes_the_batch_for_time_is_named() -> None:
    assert "Perhaps layer '0' is a LSTM that takes the first dimension for time: set batch_first=True." in (
        refusal_messages.meeting(nn.Sequential(nn.LSTM(2, 2)), "")
    )
    assert "Compute means, maxima and sums within each example." in refusal_messages.meeting(nn.Linear(2, 2), "")


def test_what_torch_says_of_vmap_is_said_in_words() -> None:
    told = refusal_messages.brief(RuntimeError("vmap: It looks like you're calling .item() on a Tensor"))
    assert told.startswith("it looks at numbers in Python")
    assert refusal_messages.brief(ValueError("first line.\nsecond")) == "ValueError: first line"
    assert refusal_messages.brief(ValueError()) == "ValueError"
    assert refusal_messages.forgetting(["a", "b"]).startswith("reaches a, b, whose state cannot be seen")


def test_what_is_done_outside_the_process_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ways: dict[str, Callable[[], Any]] = {
        "open for writing": lambda: np.save("a.npy", np.ones(1)),
        "torch.save": lambda: torch.save(torch.ones(1), "a.pt"),
        "os.mkdir": lambda: Path("folder").mkdir(),
        "os.remove": lambda: Path("a.pt").unlink(),
        "socket.__new__": lambda: socket.socket().close(),
        "sqlite3.connect": lambda: sqlite3.connect(":memory:").close(),
    }
    for said, way in ways.items():
        with watched() as done:
            way()
        ways["open for writing"]()
        assert done == {said}


class Printing(nn.Module):
    """Looks at numbers in Python, so that it runs one example at a time, and does with each mean what it is told."""

    def __init__(self, does: Callable[[float], Any]) -> None:
        super().__init__()
        self.score, self.does = nn.Linear(3, 2), does

    def forward(self, x: Tensor) -> Tensor:
        self.does(float(x.detach().mean()))
        return self.score(x)  # type: ignore[no-any-return]


LOGGER = logging.getLogger("dpplan.tests.printing")


def test_what_was_open_before_is_written_to_no_more(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    number = os.open(tmp_path / "number", os.O_CREAT | os.O_RDWR)
    handler = logging.FileHandler(tmp_path / "log")
    LOGGER.addHandler(handler)
    reading, writing = os.pipe()
    near, far = socket.socketpair()
    stream = sys.stdout  # kept from before, as a model may
    ways: dict[str, tuple[str, Callable[[float], Any]]] = {
        "print": ("print", print),
        "kept stream": ("print", lambda mean: stream.write(f"{mean}\n")),
        "lines": ("print", lambda mean: sys.stderr.writelines([f"{mean}"])),
        "bytes": ("print", lambda mean: sys.stdout.buffer.write(b"%f" % mean)),
        "log": ("logging", lambda mean: LOGGER.warning("%f", mean)),
        "number": ("os.write", lambda mean: os.write(number, b"%f" % mean)),
        "over": ("os.pwrite", lambda mean: os.pwrite(number, b"%f" % mean, 0)),
        "pipe": ("os.write", lambda mean: os.write(writing, b"%f" % mean)),
        "connection": ("socket.send", lambda mean: near.send(b"%f" % mean)),
    }
    try:
        for name, (said, way) in ways.items():
            with watched() as done:
                way(0.125)
            assert done == {said}, name
            with pytest.raises(TrainingStopped, match=PRINTS_OR_WRITES):
                OneAtATime(Printing(way), 4).clipped_sum(torch.ones(2, 3), torch.zeros(2).long(), Probe(torch.ones(2)))
        said_of_zeros = [*capfd.readouterr(), *((tmp_path / file).read_text() for file in ("number", "log"))]
        assert not any(digit in text for text in said_of_zeros for digit in "125")  # 0.125, or 1.0 of an example
        with watched() as done:
            assert os.dup(number) > 0
            print("", end="", file=io.StringIO())
        assert done == set()
        print("said")
        assert capfd.readouterr().out == "said\n"
    finally:
        LOGGER.removeHandler(handler)
        handler.close()
        for each in (number, reading, writing):
            os.close(each)
        near.close()
        far.close()


def test_where_an_open_file_stands_tells_who_wrote_by_other_ways(tmp_path: Path) -> None:
    with open(tmp_path / "a", "wb", buffering=0) as file, open(tmp_path / "b", "w", buffering=1) as lines:
        ways: list[Callable[[], Any]] = [
            lambda: np.ones(1).tofile(file),
            lambda: pickle.dump([0.125], file),
            lambda: csv.writer(lines).writerow([1]),
        ]
        for way in ways:
            with watched() as done:
                way()
            assert done == {"a file that was open before"}


def test_a_file_that_others_write_to_is_no_doing_of_the_model_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is only read and grows, and one that the process has from who started it."""
    path = tmp_path / "log"
    path.write_bytes(b"so far")
    with open(path, "ab", buffering=0) as writing, open(path, "rb", buffering=0) as reading:
        told = os.fstat(writing.fileno())
        monkeypatch.setattr(outside_memory, "_inherited", {(writing.fileno(), told.st_dev, told.st_ino)})
        with watched() as done:
            pickle.dump([0.125], writing)  # past all else that is watched, as another process would
        assert done == set()
        with watched() as done:
            np.fromfile(reading, np.uint8, 1)  # where it stands then is a memory
        assert done == {"a file that was open before"}


def test_torchs_warnings_stop_nothing_and_no_warning_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    def warned(mean: float) -> None:
        if mean:  # that of zeros, before the first example, is no secret
            warnings.warn(f"the mean is {mean}", UserWarning, stacklevel=1)
        torch.zeros(2, requires_grad=True).mul(2).grad  # noqa: B018 (of this torch warns)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        OneAtATime(Printing(warned), 4).clipped_sum(torch.ones(2, 3), torch.zeros(2).long(), Probe(torch.ones(2)))
    with warnings.catch_warnings(record=True) as outer, watched() as done:
        warnings.simplefilter("always")
        with warnings.catch_warnings(record=True) as inner:
            warned(0.25)
        warned(0.5)
    assert (done, len(outer), len(inner)) == (set(), 0, 2)  # the inner block is the model's own
    assert capfd.readouterr().err == ""


def test_what_a_file_in_memory_holds_is_seen_and_other_files_are_opaque(tmp_path: Path) -> None:
    model, text = Keeping(), io.StringIO()
    model.notes = text  # type: ignore[assignment]
    state = HiddenState(model)
    assert state.opaque == []
    text.write("0.125")
    assert any("notes" in name for name in state.changes())
    with open(tmp_path / "a", "w") as file:
        model.notes = file  # type: ignore[assignment]
        assert parts_of(file) is None
        assert HiddenState(model).opaque == ["attribute 'notes', a TextIOWrapper"]


def test_reading_imports_and_the_work_of_other_threads_are_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    Path("dpplan_tests_late.py").write_text("m = 0.0\n")
    np.save("a.npy", np.ones(1))
    go, gone = threading.Event(), threading.Event()

    def other() -> None:
        go.wait()
        Path("b.txt").write_text("")
        gone.set()

    threading.Thread(target=other, daemon=True).start()
    with watched() as done:
        np.load("a.npy")
        torch.save(torch.ones(1), io.BytesIO())
        importlib.import_module("dpplan_tests_late")
        with open(os.devnull, "w") as nothing:
            nothing.write("0")
        go.set()
        gone.wait()
    assert list(tmp_path.glob("__pycache__/*late*.pyc")) and Path("b.txt").exists()
    assert done == set()


def test_threads_that_begin_are_a_change_and_those_that_end_are_none() -> None:
    go = threading.Event()
    first = threading.Thread(target=go.wait, daemon=True)
    first.start()
    modes = Modes()
    second = threading.Thread(target=go.wait, daemon=True)
    second.start()
    assert modes.changes() == ["the threads that run"]
    modes = Modes()
    go.set()
    first.join()
    second.join()
    assert modes.changes() == []
