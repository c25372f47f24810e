"""A user's own functions: found where dpplan was started, and their failures told with their place."""

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
    assert call_named("own_entry_for_test:double", "model.kind", 21) == 42


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
