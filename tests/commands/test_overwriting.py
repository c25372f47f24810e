"""What is there is left alone: one rule for every command that writes a file."""

import errno
import importlib
import os
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from unwrap import unwrapped

from dpplan import __main__ as program
from dpplan.commands import COMMANDS
from dpplan.commands.shared import overwriting
from dpplan.commands.shared.parameter_types import FileName, PlanFileName

RECIPE = Path(__file__).parents[2] / "recipes" / "digits-logistic.yaml"
CURVE = ("curve", "--sigma", "4", "--q", ".01", "--steps", "100", "--points", "2", "--delta", "1e-5", "--over", "steps")
PAGE = ("report", str(RECIPE), "--n", "1437", "--state", "publication_date=2026-01-01")
WRITING = [  # and the name of the option
    ((*PAGE, "-o", "mine.yaml"), "output"),
    ((*PAGE, "-o", "mine.md"), "output"),
    ((*PAGE, "-o", "mine.json"), "output"),
    ((*CURVE, "--csv", "mine.csv"), "csv"),
    ((*CURVE, "--plot", "mine.svg"), "plot"),
    (("recipes", "copy", "digits", "--to", "mine.yaml"), ""),
]
Said = Callable[..., tuple[int, str]]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Runs a command in an empty folder: its exit code, and what it said."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        code = program.run(list(arguments))
        told = capsys.readouterr()
        return code, unwrapped(told.out + told.err)

    return run


@pytest.mark.sweep(slow=("mine.md", "mine.json"))
@pytest.mark.parametrize(("call", "option"), WRITING, ids=lambda each: each if isinstance(each, str) else each[-1])
def test_a_file_that_is_there_is_left_alone_unless_that_is_asked_for(
    call: tuple[str, ...], option: str, said: Said, tmp_path: Path
) -> None:
    file = tmp_path / call[-1]
    file.write_text("the only copy\n", encoding="utf-8")
    code, told = said(*call)
    assert (code, file.read_text(encoding="utf-8")) == (2, "the only copy\n")
    assert f"{option}={call[-1]} is there, and was left alone" in told or not option
    assert "--overwrite" in told
    assert [each.name for each in tmp_path.iterdir()] == [file.name]
    code, told = said(*call, "--overwrite")
    assert code == 0, told
    assert "the only copy" not in file.read_text(encoding="utf-8")


def test_what_a_page_is_made_from_is_never_written_over(said: Said, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(RECIPE.read_bytes())
    (tmp_path / "said.yaml").write_text("curator: Example Lab\n", encoding="utf-8")
    (tmp_path / "link.yaml").symlink_to("mine.yaml")
    for output in ("mine.yaml", "said.yaml", "link.yaml"):
        code, told = said("report", "mine.yaml", "--n", "1437", "--statement", "said.yaml", "-o", output, "--overwrite")
        assert (code, "which this call reads" in told) == (2, True), told
    assert (tmp_path / "mine.yaml").read_bytes() == RECIPE.read_bytes()


def test_the_records_of_a_run_are_never_written_over(said: Said, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("report.json", "recipe.yaml", "steps"):
        (run / name).write_bytes(RECIPE.read_bytes())
    for source in ("run", "run/report.json"):
        for name, *form in (("report.json",), ("recipe.yaml",), ("steps", "--format", "md")):
            code, told = said("report", source, *form, "-o", f"run/{name}", "--overwrite")
            assert (code, "which this call reads" in told) == (2, True), told
            assert (run / name).read_bytes() == RECIPE.read_bytes()


def test_a_plan_is_not_written_over_by_its_curve(said: Said, tmp_path: Path) -> None:
    plan = tmp_path / "plan.csv"
    plan.write_text("sigma,q,steps\n4,.01,100\n", encoding="utf-8")
    code, told = said("curve", "--phases", "plan.csv", "--over", "delta", "--points", "2", "--csv", "plan.csv",
                      "--overwrite")  # fmt: skip
    assert (code, "csv=plan.csv is plan.csv, which this call reads" in told) == (2, True), told
    assert plan.read_text(encoding="utf-8").startswith("sigma")


def test_devices_are_written_to(said: Said) -> None:
    assert said(*CURVE, "--csv", "/dev/null")[0] == 0
    assert said(*PAGE, "-o", "/dev/null", "--format", "md")[0] == 0


def test_a_name_that_is_too_long_is_refused_with_the_limit(said: Said, tmp_path: Path) -> None:
    for call in (
        (*CURVE, "--csv", "a" * 300),
        (*CURVE, "--plot", "a" * 252 + ".svg"),
        (*PAGE, "-o", "é" * 130 + ".md"),
        ("epsilon", "a" * 300 + ".yaml"),
    ):
        code, text = said(*call)
        assert code == 2 and "bytes, and 255 are the most. Choose a shorter one." in text
    assert list(tmp_path.iterdir()) == []


PLAN = ("--sigma", "4", "--n", "1000", "--batch", "10", "--epochs", "1")
# Every command that writes files, its options for them apart.
CALLS = {
    "epsilon": (*PLAN, "--delta", "1e-5"),
    "curve": CURVE[1:],
    "frontier": ("--target-eps", "3", *PLAN[2:]),
    "compare accountants": PLAN,
    "compare theorems": PLAN,
    "compare samplers": (*PLAN, "--without-noise"),
    "compare tuning": (*PLAN, "--mean", "3"),
    "risk": PLAN,
    "audit": (str(RECIPE), "--attack", "loss", "--shadows", "2"),
    "report": PAGE[1:],
}


def places(command: click.Command) -> list[str]:
    """The options that name a file to be written."""
    return [each.opts[-1] for each in command.params if isinstance(each.type, FileName) and each.type.to_be_written]


def test_every_command_that_writes_files_is_in_the_list() -> None:
    assert {name for name in COMMANDS if name != "compare" and places(named(name))} == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_a_file_in_the_place_of_a_folder_is_called_one(name: str, said: Said, tmp_path: Path) -> None:
    """However far up it stands, and not offered to be made into one."""
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    for option in places(named(name)):
        for place in ("file/a.svg", "file/b/a.svg"):
            code, told = said(*name.split(), *CALLS[name], option, place, *["--format", "md"] * (name == "report"))
            assert (code, f"={place}: file is a file, and no folder. Name another place." in told) == (2, True), told
        code, told = said(*name.split(), *CALLS[name], option, "gone/a.svg", *["--format", "md"] * (name == "report"))
        assert (code, "gone is a link that leads nowhere, and no folder." in told) == (2, True), told


@pytest.mark.parametrize("name", CALLS)
def test_a_folder_that_is_not_there_is_a_mistake_of_the_call(name: str, said: Said, tmp_path: Path) -> None:
    """And so is a folder in the place of the file, for every option of every command; their help says it."""
    (tmp_path / "folder.svg").mkdir()
    for option in places(named(name)):
        code, told = said(*name.split(), *CALLS[name], option, "none/a.svg", *["--format", "md"] * (name == "report"))
        assert (code, "the folder none does not exist. Make it first." in told) == (2, True), told
        code, told = said(*name.split(), *CALLS[name], option, "folder.svg")
        assert (code, "folder.svg: cannot be written: Is a directory." in told) == (2, True), told
    assert [each.name for each in tmp_path.iterdir()] == ["folder.svg"]
    status = (named(name).help or "").rpartition("Exit status:")[2]
    assert ", or a file would go where no folder is; " in " ".join(status.split()).partition("; 2 ")[2]


def test_a_place_that_is_free_is_no_problem(tmp_path: Path) -> None:
    assert overwriting.problems("csv", tmp_path / "a.csv") == ()
    assert not overwriting.overwrites()  # outside of a call


def named(typed: str) -> click.Command:
    command = importlib.import_module(f"dpplan.commands.{typed.replace(' ', '_')}").command
    assert isinstance(command, click.Command)
    return command


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "compare"])
def test_help_says_what_5_is_where_files_are_read_or_written_and_of_overwriting(name: str) -> None:
    command = named(name)
    options = {each.name: each for each in command.params}
    files = [each for each in command.params if isinstance(each.type, FileName | PlanFileName)]
    if {"csv", "plot"} & set(options) or name in {"report", "recipes"}:
        assert "overwrite" in options
    status = " ".join((command.help or "").rpartition("Exit status:")[2].split())
    if files or "phases" in options:
        assert " 5 " in status, status
        read = status.partition(" 5 ")[2]
        assert "read" not in read or "there" in read or "in its place" in read, "what is not there is 2"


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("call", [call for call, option in WRITING if option])
def test_what_was_there_stays_whole_where_the_new_one_does_not_fit(said: Said, call: tuple[str, ...], monkeypatch):
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    *_, name = call
    Path(name).write_text("signed")
    Path(name).chmod(0o640)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        code, told = said(*call, "--overwrite")
    assert code == 5
    assert "No space left on device" in told
    assert [each.name for each in Path().iterdir()] == [name]
    assert Path(name).read_text() == "signed"
    assert said(*call, "--overwrite")[0] == 0
    assert len(Path(name).read_bytes()) > 20
    assert Path(name).stat().st_mode & 0o777 == 0o640


def test_a_link_stays_a_link_and_a_pipe_is_written_to(said: Said, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    Path("kept/table.csv").write_text("old")
    Path("mine.csv").symlink_to("kept/table.csv")
    assert said(*CURVE, "--csv", "mine.csv", "--overwrite")[0] == 0
    assert Path("mine.csv").is_symlink()
    assert Path("kept/table.csv").read_text().startswith("steps")
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert said(*CURVE, "--csv", "pipe")[0] == 0
        assert os.read(reader, 1000).startswith(b"steps")
    finally:
        os.close(reader)
