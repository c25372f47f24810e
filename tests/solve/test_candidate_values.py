"""The values that an unknown may take, and their order."""

import math
import random
from fractions import Fraction

import pytest

from dpplan.plan import Settings
from dpplan.solve import candidate_values
from dpplan.solve.search import Candidates

WHOLE = Settings(noise_multiplier=1.1, examples=60_000, batch_size=256, epochs=60)
ALL = {
    "noise": candidate_values.noise(WHOLE.with_(noise_multiplier=None)),
    "steps": candidate_values.steps(WHOLE.with_(epochs=None)),
    "epochs": candidate_values.epochs(WHOLE.with_(epochs=None)),
    "batch_size": candidate_values.batch_size(WHOLE.with_(batch_size=None)),
    "sample_rate": candidate_values.sample_rate(Settings(noise_multiplier=1.1, steps=10)),
    "examples": candidate_values.examples(WHOLE.with_(examples=None)),
    "delta": candidate_values.delta(WHOLE, 1e-5),
    "rising": candidate_values.rising(WHOLE, "rho", (1e-12, 0.3, 1e4), 1.0),
}
every = pytest.mark.parametrize("values", ALL.values(), ids=ALL)


@every
def test_the_place_rises_with_the_index_and_leads_back_to_it(values: Candidates) -> None:
    rng = random.Random(1)
    for index in [
        values.first,
        values.start,
        values.last,
        *(rng.randint(values.first, values.last) for _ in range(50)),
    ]:
        place = values.place(index)
        assert abs(values.below(place) - index) <= max(1e-9 * abs(index), 1)
        if index < values.last:
            assert values.place(index + 1) >= place


@every
def test_neighbours_are_different_values(values: Candidates) -> None:
    for index in (values.first, values.start, values.last - 1):
        assert values.value(index) != values.value(index + 1)


@pytest.mark.parametrize("digits", [1, 2, 5, 7])
def test_decimals_are_counted_without_a_gap(digits: int) -> None:
    for count in range(-40, 40):
        value = candidate_values.decimal(count, digits)
        assert candidate_values.decimal_above(value, digits) == candidate_values.decimal_below(value, digits) == count
        between = (value + candidate_values.decimal(count + 1, digits)) / 2
        assert candidate_values.decimal_below(between, digits) == count
        assert candidate_values.decimal_above(between, digits) == count + 1


def test_epochs_of_an_index_round_up_to_so_many_steps() -> None:
    values = ALL["epochs"]
    for index in (1, 2, 235, 14_063):
        epochs = Fraction(repr(values.value(index)))
        assert math.ceil(epochs * 60_000 / 256) == index


def test_the_plan_of_an_index_has_its_value_and_delta_changes_none() -> None:
    assert ALL["steps"].plan(17).steps == 17
    assert ALL["delta"].plan(ALL["delta"].first) == ALL["delta"].plan(ALL["delta"].last) == WHOLE.plan()


def test_those_from_an_index_on_are_the_same_values() -> None:
    rest = ALL["steps"].above(40)
    assert (rest.first, rest.last, rest.value(40)) == (40, ALL["steps"].last, 40)


def test_a_batch_of_groups_by_turns_is_at_most_a_group() -> None:
    groups = Settings(noise_multiplier=2.0, examples=1001, steps=10, sampling="cyclic-poisson",
                      scheme_options=(("groups", 4), ("assignment", "own")))  # fmt: skip
    values = candidate_values.batch_size(groups)
    assert (values.first, values.last) == (1, 250)
    assert values.plan(values.last).only_phase.settings["sample_rate"] == pytest.approx(1000 / 1001)
