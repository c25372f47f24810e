"""A user's own functions: found where dpplan was started, and their failures told with their place."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from dpplan.errors import InputOutputFailed, RecipeError, UsageError
from dpplan.train.recipe_function import call_named, raised_by_theirs, theirs

MODULE = """
from dpplan.errors import UsageError

def double(x):
    return 2 * x

def broken():
    return {}["absent"]

def refusing():
    raise UsageError("path=nowhere: there is no such file.")

constant = 3
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_entry_for_test.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_function_is_called_with_what_it_is_given() -> None:
    assert call_named("own_entry_for_test:double", "model.kind", x=21) == 42


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("own_entry_for_test:absent", "module 'own_entry_for_test' has no function 'absent'"),
        ("own_entry_for_test:constant", "has no function 'constant'"),
        ("absent_module_for_test:load", "there is no module 'absent_module_for_test'"),
        (
            "own_entry_for_test:broken",
            r"data\.source=own_entry_for_test:broken: failed at .*own_entry_for_test\.py:8: KeyError: 'absent'",
        ),
    ],
)
def test_what_goes_wrong_names_the_key_and_the_place(name: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        call_named(name, "data.source")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("def build():\n    return 1", r"is called as build(shape, classes), and is written as build()."),
        ("def build(shape):\n    return 1", r"is called as build(shape, classes), and is written as build(shape)."),
        (
            "def build(shape, classes, width):\n    return 1",
            "is called as build(shape, classes), and is written as build(shape, classes, width).",
        ),
        (
            "class build:\n    def __init__(self, *, shape, classes):\n        pass",
            "is called as build(shape, classes), and is written as build(*, shape, classes).",
        ),
    ],
)
def test_a_function_of_other_arguments_is_told_how_it_is_called(written: str, said: str) -> None:
    Path("other_arguments_for_test.py").write_text(written, encoding="utf-8")
    sys.modules.pop("other_arguments_for_test", None)
    importlib.invalidate_caches()
    with pytest.raises(RecipeError, match=rf"^model\.kind=other_arguments_for_test:build: {re.escape(said)}$"):
        call_named("other_arguments_for_test:build", "model.kind", shape=(64,), classes=10)


def test_a_type_error_inside_of_a_function_keeps_its_place() -> None:
    Path("type_error_for_test.py").write_text("def build(shape, classes):\n    return len(classes)\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"failed at .*type_error_for_test\.py:2: TypeError: "):
        call_named("type_error_for_test:build", "model.kind", shape=(64,), classes=10)


def test_a_refusal_of_its_author_s_goes_through_as_it_is() -> None:
    with pytest.raises(UsageError, match=r"^path=nowhere: there is no such file\.$"):
        call_named("own_entry_for_test:refusing", "data.source")


class Gone(BaseException):
    """What is no Exception, as a cancelled task of asyncio's is not."""


@pytest.mark.parametrize("raised", [ValueError("told"), Gone("told"), SystemExit(0), GeneratorExit("told")])
def test_whatever_a_user_s_code_raises_is_told_as_theirs(raised: BaseException) -> None:
    said = r"^data\.source=mine:load: .* at .*test_recipe_function\.py:\d+"
    with pytest.raises(RecipeError, match=said), theirs("data.source=mine:load"):
        raise raised


def test_ctrl_c_in_a_user_s_code_stays_what_it_is_and_memory_that_ran_out_is_the_machine_s() -> None:
    with pytest.raises(KeyboardInterrupt), theirs("data.source=mine:load"):
        raise KeyboardInterrupt
    said = r"^data\.source=mine:load: memory ran out at .*py:\d+\."
    with pytest.raises(InputOutputFailed, match=said), theirs("data.source=mine:load"):
        raise MemoryError


def test_a_module_of_binary_bytes_is_told_with_its_name() -> None:
    Path("binary_for_test.py").write_bytes(b"\xff\xfe\x00bad")
    with pytest.raises(RecipeError, match=r"is not Python at .*binary_for_test\.py: .*null bytes"):
        call_named("binary_for_test:load", "data.source")


@pytest.mark.parametrize("below", ["", "lib/site-packages"])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("{}:build", r"{}/__init__\.py:3: ValueError: negative dimensions are not allowed$"),
        ("{}:lazy", r"{}/__init__\.py:5: RuntimeError: not today$"),
        ("{}.raising:build", r"{}/raising/__init__\.py:1: ZeroDivisionError: "),
        ("{}.raising.part:build", r"{}/raising/__init__\.py:1: ZeroDivisionError: "),
    ],
)
def test_the_line_told_is_theirs_whatever_it_calls_and_wherever_it_is(
    below: str, name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a package that is installed, whose __init__ raises, or whose module looks names up by itself."""
    package = "installed_for_test" if below else "package_for_test"
    folder = tmp_path / below / package
    (folder / "raising").mkdir(parents=True)
    (folder / "__init__.py").write_text(
        "import numpy\ndef build():\n    numpy.zeros(-1)\n"
        "def __getattr__(name):\n    raise RuntimeError('not today')\n",
        encoding="utf-8",
    )
    (folder / "raising" / "__init__.py").write_text("1 / 0\n", encoding="utf-8")
    (folder / "raising" / "part.py").write_text("def build(): return 1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / below)
    with pytest.raises(RecipeError, match=said.format(package)) as told:
        call_named(name.format(package), "model.kind")
    assert told.value.__cause__ is not None and raised_by_theirs(told.value.__cause__)


def test_what_an_installed_package_calls_is_not_its_own() -> None:
    """Its neighbours are not a user's: an error in them that no line of the package led to is ours."""
    site = Path("lib/site-packages").absolute()
    for name in ("called_for_test", "neighbour_for_test"):
        (site / name).mkdir(parents=True)
        (site / name / "__init__.py").write_text("def build(): raise KeyError(1)\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patched:
        patched.syspath_prepend(site)
        with pytest.raises(RecipeError):
            call_named("called_for_test:build", "model.kind")
        import neighbour_for_test  # type: ignore[import-not-found]
    with pytest.raises(KeyError) as raised:
        neighbour_for_test.build()
    assert not raised_by_theirs(raised.value)


def test_an_error_is_theirs_when_their_file_is_below_dpplan_s_last() -> None:
    try:
        call_named("own_entry_for_test:broken", "data.source")
    except RecipeError as error:
        assert error.__cause__ is not None
        assert raised_by_theirs(error.__cause__)
        assert not raised_by_theirs(error)  # says by itself what is wrong
    with pytest.raises(AttributeError) as ours:
        call_named(None, "data.source")  # type: ignore[arg-type]
    assert not raised_by_theirs(ours.value)
