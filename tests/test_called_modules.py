"""Modules that are called like functions say what to call, in a line that can be pasted."""

import importlib
import re
from pathlib import Path

import pytest

import dpplan
from dpplan import __main__ as program
from dpplan import called_modules
from dpplan.commands import COMMANDS

ROOT = Path(__file__).parents[1]
CALL = {"sigma": 1.1, "n": 60000, "batch": 256, "epochs": 60}


@pytest.mark.parametrize("name", ["solve", "compare", "curve", "frontier"])
def test_what_to_call_is_told_and_can_be_pasted(name: str) -> None:
    module = getattr(dpplan, name)
    assert module is importlib.import_module(f"dpplan.{name}")
    with pytest.raises(TypeError) as error:
        module(**CALL)
    told = str(error.value)
    assert told.startswith(f"dpplan.{name} is a module. ") and told.endswith("`dpplan help python` shows more.")
    (line,) = (line for line in told.splitlines() if line.startswith("    "))
    assert line.strip().startswith(f"dpplan.{name}.")
    answer = eval(line, {"dpplan": dpplan})
    assert type(answer).__module__.startswith(f"dpplan.{name}")


def test_a_check_takes_two_lines() -> None:
    with pytest.raises(TypeError) as error:
        dpplan.check(**CALL, loader="shuffle")
    told = str(error.value)
    assert told.startswith("dpplan.lint is a module. ")
    made, asked = (line.strip() for line in told.splitlines() if line.startswith("    "))
    names = {"dpplan": dpplan}
    exec(made, names)
    assert all(type(each).__name__ == "Finding" for each in eval(asked, names))


@pytest.mark.parametrize(
    ("name", "answer"), [("risk", "Assessment"), ("report", "str"), ("audit", "AuditFinding"), ("verify", "list")]
)
def test_what_takes_more_than_a_line_can_be_pasted_too(
    name: str, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    program.run(["recipes", "copy", "scores.csv"])
    capsys.readouterr()
    program.run(["epsilon", "--sigma", "4", "--q", ".01", "--steps", "9", "--delta", "1e-6", "--json"])
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "digits-001").write_text(capsys.readouterr().out, encoding="utf-8")
    with pytest.raises(TypeError) as error:
        getattr(dpplan, name)(**CALL)
    told = str(error.value)
    assert told.startswith(f"dpplan.{name} is a module. ") and told.endswith("`dpplan help python` shows more.")
    *made, asked = (line.strip() for line in told.splitlines() if line.startswith("    "))
    names = {"dpplan": dpplan}
    exec("\n".join(made), names)
    assert type(eval(asked, names)).__name__ == answer


@pytest.mark.parametrize(
    ("name", "module", "answer"),
    [("export", "interop", "dict"), ("tune", "tuning", "SearchPlan"), ("train", "train", "TrainReport")],
)
def test_what_files_and_recipes_come_to_can_be_pasted_too(
    name: str, module: str, answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "recipes" / "digits.yaml").read_text(encoding="utf-8")
    short = re.sub(r"(?m)^  epochs: 30 ", "  steps: 1 ", text).replace("nonprivate: true", "nonprivate: false")
    assert short != text
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "digits.yaml").write_text(short, encoding="utf-8")
    with pytest.raises(TypeError) as error:
        getattr(dpplan, name)("recipes/digits.yaml", to="opacus")
    told = str(error.value)
    assert told.startswith(f"dpplan.{module} is a module. ") and told.endswith("`dpplan help python` shows more.")
    *made, asked = (line.strip() for line in told.splitlines() if line.startswith("    "))
    names = {"dpplan": dpplan}
    exec("\n".join(made), names)
    assert type(eval(asked, names)).__name__ == answer


@pytest.mark.parametrize("name", sorted({*dpplan.__all__} & {*COMMANDS} - {"epsilon", "delta"}))
def test_every_command_that_is_a_module_says_what_to_call(name: str) -> None:
    with pytest.raises(TypeError, match=r" is a module\. [\s\S]*`dpplan help python` shows more\.$"):
        getattr(dpplan, name)()


def test_what_is_typed_can_be_had_from_the_package() -> None:
    """But for texts and files, of which Python has nothing to call; that each is there, tests/test_layers.py tries."""
    assert {name for name in COMMANDS if " " not in name} - {*dpplan.__all__} == {"help", "recipes"}


def test_a_module_stays_one() -> None:
    """Only its class is another: what is imported from it, and that it tells its name, is as before."""
    from dpplan import solve
    from dpplan.solve import noise

    assert isinstance(solve, called_modules.CalledModule) and solve.__name__ == "dpplan.solve"
    assert solve.noise is noise
