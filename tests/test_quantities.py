"""Each quantity is named once."""

import dataclasses

import pytest

from dpplan import quantities
from dpplan.errors import PlanError
from dpplan.plan import Settings
from dpplan.quantities import DESCRIBING, QUANTITIES, by_word, quantity


def test_what_describes_a_plan_is_what_settings_hold() -> None:
    apart = (
        "sampling",
        "adjacency",
        "scheme_options",
        "unit",
        "max_per_user",
        "correlation",
    )  # words, and settings of words
    assert [each.name for each in DESCRIBING] == [
        field.name for field in dataclasses.fields(Settings) if field.name not in apart
    ]


def test_names_words_symbols_and_options_belong_to_one_quantity_each() -> None:
    for of in ("name", "word", "symbol"):
        values = [getattr(each, of) for each in QUANTITIES.values()]
        assert len(set(values)) == len(values), of
    options = [option for each in QUANTITIES.values() for option in each.all_options]
    assert len(set(options)) == len(options)


def test_a_quantity_is_found_by_name_and_by_word() -> None:
    assert by_word("sigma") == quantity("noise_multiplier") == QUANTITIES["noise_multiplier"]
    assert by_word("epsilon") == by_word("eps") == QUANTITIES["epsilon"]
    assert quantity("clip_bound").words == "clip bound"
    assert quantity("clip_bound").option == "--clip-bound"


def test_where_there_is_little_room_greek_letters_stand_for_words() -> None:
    assert [each.short for each in QUANTITIES.values()] == ["σ", "q", "steps", "n", "batch", "epochs", "δ", "ε"]


@pytest.mark.parametrize("each", [each for each in DESCRIBING if each.stand_in is not None], ids=lambda each: each.name)
def test_a_stand_in_fits_in_the_place_of_its_quantity(each: quantities.Quantity) -> None:
    whole = Settings(noise_multiplier=1.1, sample_rate=0.1, steps=30, examples=1000)
    changed = whole.with_(**dict.fromkeys(each.replaces), **{each.name: each.stand_in})
    assert changed.plan().steps >= 1


def test_what_a_quantity_replaces_contradicts_it() -> None:
    whole = Settings(noise_multiplier=1.1, sample_rate=0.1, steps=30, examples=1000, batch_size=200, epochs=7)
    with pytest.raises(PlanError) as refused:
        whole.plan()
    assert len(refused.value.problems) == 2
    for each in ("batch_size", "sample_rate"):
        kept = whole.with_(**dict.fromkeys(quantity(each).replaces), epochs=None)
        assert kept.plan().steps == 30


def test_values_are_shown_with_the_digits_that_matter() -> None:
    assert quantity("sample_rate").show(1 / 79) == "0.0126582"
    assert quantity("noise_multiplier").show(1 / 3) == "0.3333333333333333"
    assert quantity("steps").show(60.0) == "60"
