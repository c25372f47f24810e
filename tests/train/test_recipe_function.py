"""A user's own functions: found where dpplan was started, and their failures told with their place."""

from pathlib import Path

import pytest

from dpplan.errors import RecipeError, UsageError
from dpplan.train.recipe_function import call_named

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
