"""Texts that are no numbers, and what to type in their place."""

import pytest

from dpplan.checks import Problems
from dpplan.number_spelling import Unread, doubtful_batch, doubtful_count, how_to_write, shortened


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("60k", "60000"), ("60K", "60000"), ("1.2M", "1200000"), ("2bn", "2000000000"),
        ("1,1", "1.1"), ("1,5e-3", "1.5e-3"), ("0,001", "0.001"), (",5", "0.5"), ("1.000,5", "1000.5"),
        ("1,000,000", "1000000"), ("1,000.5", "1000.5"), ("60'000", "60000"), ("60 000", "60000"),
        ("1.000.000", "1000000"), ("12,00,000", "1200000"), ("60\u202f000", "60000"), ("60\u00a0000", "60000"),
        ("1e−5", "1e-5"), ("1e–5", "1e-5"), ("−1", "-1"), ("1e‐5", "1e-5"),
        ("1e-5.", "1e-5"), ("1e-5,", "1e-5"), ("1 e-5", "1e-5"), ("“1e-5”", "1e-5"),
        ("10%", "0.1, the fraction"), ("0.5 %", "0.005, the fraction"), ("1/60000", "1.66667e-05"),
        ("10^-5", "1e-5"), ("10⁻⁵", "1e-5"), ("1x10^-5", "1e-5"), ("2·10^-5", "2e-5"), ("2^16", "65536"),
        ("σ=1.1", "1.1"), ("sigma=1.1", "1.1"), ("=1.1", "1.1"), ("~1.1", "1.1"), ("<=1.1", "1.1"),
    ],
)  # fmt: skip
def test_what_was_meant_is_written_out(typed: str, written: str) -> None:
    assert how_to_write(typed) == f"Write {written}."


def test_a_list_of_numbers_is_not_taken_for_one() -> None:
    assert how_to_write("15,60,100") == "One number belongs here."


def test_a_range_is_no_number_and_is_written_with_a_colon() -> None:
    assert how_to_write("256-4096") == "A range is written 256:4096, and dpplan frontier takes one."


@pytest.mark.parametrize("typed", ["", "many", "1..1", "1e5e", "3 epochs", "1-2", "k", "1/0", "9" * 400 + "k", "--"])
def test_nothing_is_guessed_where_nobody_can_tell(typed: str) -> None:
    assert how_to_write(typed) == ""


def test_what_may_be_either_is_told_as_both() -> None:
    assert how_to_write("10,000") == "Write 10000, or 10.000: the comma may be either."
    assert how_to_write("10,000", whole=True) == "Write 10000."
    assert how_to_write("10.000", whole=True) == "It may be 10 or 10000: write one of these."
    assert doubtful_count("14.063") == "Write 14063, if the point separates thousands."
    assert doubtful_count("60.0") == doubtful_count("6e4") == doubtful_count("0.100") == ""
    assert doubtful_batch("1.024") == "Write 1024, if the point separates thousands, or 1.0240."
    assert doubtful_batch("32.000") == doubtful_count("32.000") == "It may be 32 or 32000: write one of these."
    assert doubtful_batch("1.0240") == doubtful_batch("255.3") == doubtful_batch("255.319") == ""


@pytest.mark.parametrize("typed", ["1.000", "+1.000", " +1.000 ", "１.０００", "١.٠٠٠"])
def test_a_sign_or_other_digits_leave_no_doubt_out(typed: str) -> None:
    assert float(typed) == 1.0
    assert doubtful_count(typed) == doubtful_batch(typed) == "It may be 1 or 1000: write one of these."
    assert doubtful_batch("256.000") == "It may be 256 or 256000: write one of these."
    assert doubtful_batch("+1.024") == "Write 1024, if the point separates thousands, or +1.0240."
    assert doubtful_count("0.512") == doubtful_count("001.000") == doubtful_count("-1.000") == ""


@pytest.mark.parametrize("name", ["max_eps", "eps", "privacy.max_epsilon", "phases[0].mechanism.epsilon", "eps0"])
def test_an_epsilon_is_no_percentage(name: str) -> None:
    assert how_to_write("3%", name=name).startswith("ε is no percentage")
    assert how_to_write("3,5", name=name) == "Write 3.5."
    assert how_to_write("3%", name="delta") == "Write 0.03, the fraction."


def test_nor_is_a_count() -> None:
    assert how_to_write("3%", whole=True, name="steps") == ""
    for text in ("1/3", "10^-5", "2,5", " .5"):
        assert how_to_write(text, whole=True) == "" != how_to_write(text)
    assert how_to_write("6/3", whole=True) == "Write 2." and how_to_write("2.5k", whole=True) == "Write 2500."


@pytest.mark.parametrize("typed", ["1e-5,1e-6", "1e-5, 1e-6", "64,128,2560", "1;2"])
def test_several_numbers_are_not_one(typed: str) -> None:
    assert how_to_write(typed) == "One number belongs here."


def test_ranges_have_a_place_of_their_own() -> None:
    assert "dpplan frontier" in how_to_write("1:2:3")
    assert how_to_write(Unread.because("1:2:x", "Write it so.")) == "Write it so."


def test_long_texts_are_cut() -> None:
    assert shortened("9" * 300) == "99999999999999999999... (300 characters)"
    assert shortened("short") == "short"


def test_a_tiny_chance_without_its_minus_is_meant_and_a_percentage_is_not() -> None:
    for value, meant in ((10e5, "Is a minus missing, 1e-5 for 1e5? "), (95, ""), (50, "")):
        problems = Problems()
        assert not problems.probability("confidence", value, closed_right=False, try_="0.95 is usual.")
        assert problems.found == [f"confidence={value:.0f} is not in (0, 1). {meant}0.95 is usual."]


def test_no_spelling_is_looked_for_in_a_text_of_thousands_of_characters() -> None:
    """Which took as their square: 23 seconds for nine thousand."""
    for text in ("9" * 1_000_000 + "x", "1e" * 500_000, "," * 1_000_000, "1 " * 500_000):
        assert how_to_write(text) == how_to_write(text, whole=True) == ""
