"""How what is typed is read."""

import math
from fractions import Fraction
from pathlib import Path

import click
import pytest

from dpplan.commands.shared.parameter_types import CHANCE, COUNT, NUMBER, RATE, Below, FileName, Name, Percentage, Whole
from dpplan.errors import UsageError


@pytest.mark.parametrize(
    ("kind", "typed", "read"),
    [
        (NUMBER, "1e-5", 1e-5),
        (NUMBER, "many", "many"),
        (COUNT, "6e4", 60_000),
        (COUNT, "60_000", 60_000),
        (COUNT, "2.5", 2.5),
        (RATE, "1/79", Fraction(1, 79)),
        (RATE, "0.01", 0.01),
        (RATE, "1/0", "1/0"),
        (RATE, "1e999/2", "1e999/2"),
        (CHANCE, "1e-5", 1e-5),
        (CHANCE, "1/65536", 2.0**-16),
        (CHANCE, "1/0", "1/0"),
        (CHANCE, "1/x", "1/x"),
        (Name(["add-remove", "zero-out"]), "add_remove", "add-remove"),
        (Name(["add-remove", "zero-out"]), "add-remove", "add-remove"),
        (Name(["add-remove", "zero-out"]), "add_one", "add_one"),
    ],
)
def test_a_value_is_read_and_what_is_none_is_handed_on(kind: click.ParamType, typed: str, read: object) -> None:
    found = kind.convert(typed, None, None)
    assert (found, type(found)) == (read, type(read))


def test_a_whole_number_is_exact_or_refused_by_the_name_of_its_option() -> None:
    jobs = click.Option(["--jobs"])
    assert Whole(0).convert("9007199254740993", jobs, None) == 2**53 + 1
    assert (Whole(1, 256).convert(3, jobs, None), Whole(1, 256).convert("2e2", jobs, None)) == (3, 200)
    for typed, told in (
        ("abc", "jobs=abc is not a whole number of at least 1."),
        ("0", "jobs=0 is not a whole number of at least 1."),
        ("1k", "jobs=1k is not a whole number of at least 1. Write 1000."),
        ("257", "jobs=257 is more than 256."),
    ):
        with pytest.raises(UsageError) as error:
            Whole(1, 256).convert(typed, jobs, None)
        assert str(error.value) == told


@pytest.mark.parametrize("typed", ["1/60000", "1 / 60000", "1/3", "7/12345", "-1/3", f"1/{10**400}", f"-1/{10**400}"])
def test_a_fraction_of_a_delta_allows_no_more_than_it_says(typed: str) -> None:
    read, exact = CHANCE.convert(typed, None, None), Fraction(typed.replace(" ", ""))
    assert type(read) is Below and read != 0.0
    if exact > Fraction(5e-324):
        assert Fraction(read) < exact < Fraction(math.nextafter(read, 1.0))


def test_a_delta_of_none_of_n_is_zero() -> None:
    assert CHANCE.convert("0/5", None, None) == 0.0


def test_a_percentage_is_known_as_one() -> None:
    found = RATE.convert("12.5 %", None, None)
    assert isinstance(found, Percentage)
    assert found == Fraction(1, 8)


def test_an_empty_file_name_is_told() -> None:
    with pytest.raises(UsageError, match="--plot is empty: name a file or a folder"):
        FileName(path_type=Path).convert("", click.Option(["--plot"]), None)
