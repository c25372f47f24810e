"""States of Opacus accountants: what is written, its rounding, and files that hold more than plain data."""

import os
import pickle
import resource
from collections import OrderedDict
from pathlib import Path

import pytest

from dpplan.adjacency import REPLACE_ONE
from dpplan.errors import NotApplicable, PlanError
from dpplan.interop import opacus_state
from dpplan.plan import Plan, Settings

STATE = {"history": [(1.1, 0.01, 1000), (2.0, 0.05, 200)], "mechanism": "rdp"}


KEY = b"X\x07\x00\x00\x00history]("
ROW = b"G?\xf0\x00\x00\x00\x00\x00\x00G?\xb9\x99\x99\x99\x99\x99\x9aK\x0a\x87"  # (1.0, 0.1, 10)


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("made-by-a-pickle",)


def test_a_plan_is_written_with_what_opacus_makes_of_it() -> None:
    plan = Settings(noise_multiplier=1.1, examples=60000, batch_size=256, epochs=3).plan()
    found = opacus_state.write(plan)
    assert found["accountant_state"] == {"history": [[1.1, 256 / 60000, 704]], "mechanism": "prv"}
    assert found["rounding"]["sample_rate"] == {"opacus": 1 / 235, "plan": 256 / 60000}
    assert found["rounding"]["steps_per_epoch"] == {"opacus": 235, "plan": 234.375}
    assert str(found["rounding"]["note"]).endswith("dpplan epsilon state.json --delta 1e-06"), "at the plan's own delta"
    assert opacus_state.rounding(Plan.from_rate(1.1, 0.01, 10)) == {}
    cifar = opacus_state.rounding(Plan.from_training(1.1, 50_000, 128, 60))
    assert cifar["steps_per_epoch"] == {"opacus": 390, "plan": 390.625}


def test_other_neighbours_and_laws_are_refused() -> None:
    with pytest.raises(NotApplicable, match="replace-one"):
        opacus_state.write(Settings(noise_multiplier=1.0, sample_rate=0.1, steps=3, adjacency=REPLACE_ONE).plan())


def test_a_pickle_of_plain_data_is_read(tmp_path: Path) -> None:
    file = tmp_path / "state.pkl"
    in_order, rows = OrderedDict(STATE), [tuple(row) for row in STATE["history"]]
    nested = {"privacy_accountant_state_dict": in_order, "epoch": 3}
    for content in (STATE, in_order, rows, {**nested, "privacy_accountant_state_dict": STATE}, nested):
        file.write_bytes(pickle.dumps(content))
        assert opacus_state.read_pickle(file)["history"] == [[1.1, 0.01, 1000], [2.0, 0.05, 200]]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_names_anything_is_refused_and_nothing_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "state.pickle"
    file.write_bytes(pickle.dumps({**STATE, "more": Malicious()}, protocol))
    with pytest.raises(PlanError, match="nothing that a file names is loaded"):
        opacus_state.read_pickle(file)
    assert not (tmp_path / "made-by-a-pickle").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_state_that_opacus_keeps_in_order_is_read_and_nothing_else_is_called(tmp_path: Path, protocol: int) -> None:
    file = tmp_path / "state.pickle"
    file.write_bytes(pickle.dumps(OrderedDict(STATE), protocol))
    assert opacus_state.read_pickle(file) == {"history": [[1.1, 0.01, 1000], [2.0, 0.05, 200]]}
    filled = OrderedDict(STATE)
    filled.extra = 1  # type: ignore[attr-defined]  # no state of an accountant's has attributes
    for raw in (pickle.dumps(filled, protocol), b"ccollections\nOrderedDict\n((lp0\n(I1\nI2\nlatR."):
        file.write_bytes(raw)
        with pytest.raises(PlanError, match="not a pickle of plain data"):
            opacus_state.read_pickle(file)
    file.write_bytes(b"ccollections\nOrderedDict.fromkeys\n.")
    with pytest.raises(PlanError, match="it names"):
        opacus_state.read_pickle(file)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x80\x04}(" + KEY + ROW + ROW + b"e" + KEY + ROW + b"eu.",  # SETITEMS
        b"\x80\x04}" + KEY + ROW + ROW + b"es" + KEY + ROW + b"es.",  # SETITEM
        b"\x80\x04(" + KEY + ROW + ROW + b"e" + KEY + ROW + b"ed.",  # DICT
        b"\x80\x04ccollections\nOrderedDict\n)R" + KEY + ROW + ROW + b"es" + KEY + ROW + b"es.",
    ],
)
def test_a_history_that_a_pickle_gives_twice_is_refused(tmp_path: Path, raw: bytes) -> None:
    assert len(pickle.loads(raw)["history"]) == 1, "the first, of two rows, is lost without a word"
    (tmp_path / "state.pkl").write_bytes(raw)
    with pytest.raises(PlanError, match=r"state\.pkl: it gives the key history twice"):
        opacus_state.read_pickle(tmp_path / "state.pkl")


def test_of_two_histories_none_is_taken_for_all(tmp_path: Path) -> None:
    other = {"history": [(100.0, 0.01, 1000)]}
    for content in (
        {"privacy_accountant_state_dict": STATE, **other},
        {"privacy_accountant_state_dict": STATE, "accountant_state": other},
        {"accountant_state": STATE, "history": []},
    ):
        with pytest.raises(PlanError, match="holds more than one history"):
            opacus_state.state_in(content, tmp_path)
    same = opacus_state.state_in({"accountant_state": STATE, "history": STATE["history"]}, tmp_path)
    assert same["history"] == [[1.1, 0.01, 1000], [2.0, 0.05, 200]]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"(Vx\nr\xff\xff\xff\x0e.", "keeps something in place 251658239 of 10 bytes"),
        (b"(Vx\np4000000000\n.", "keeps something in place 4000000000 of"),
        (b"B\xff\xff\xff\xffx.", "not a pickle of plain data"),
        (b"\x8e\xff\xff\xff\xff\xff\xff\xff\x00x.", "not a pickle of plain data"),
        (b"(" + 1_000_001 * b"N" + b"t.", "more than 1,000,000 parts"),
    ],
)
def test_a_small_pickle_takes_no_memory(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "state.pkl").write_bytes(raw)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PlanError, match=said):
        opacus_state.read_pickle(tmp_path / "state.pkl")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 200_000  # kB


@pytest.mark.parametrize("raw", [b"", b"not a pickle", b"\x80\x04N.", pickle.dumps([1]), pickle.dumps({"history": 3})])
def test_what_holds_no_history_is_refused(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "state.pkl"
    file.write_bytes(raw)
    with pytest.raises(PlanError, match=r"state\.pkl"):
        opacus_state.read_pickle(file)
    with pytest.raises(PlanError, match="cannot be read"):
        opacus_state.read_pickle(tmp_path / "none.pkl")
