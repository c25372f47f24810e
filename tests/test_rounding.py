"""Digits of printed figures: to the safe side, and as many as it takes to tell two apart."""

import math
import random

import pytest

from dpplan import rounding

PAIRS = [
    (low, low * (1 + share))
    for low in (2.38168, 0.946867, 1e-12, 3.0, 2387090.435633)
    for share in (0.5, 1e-3, 1e-6, 1e-9, 1e-13, 3e-16)
]


@pytest.mark.parametrize(("low", "high"), PAIRS)
def test_what_refutes_a_claim_is_shown_above_it(low: float, high: float) -> None:
    assert low < float(rounding.down_above(high, low)) <= high
    assert low < float(rounding.near_above(high, low))
    left, right = rounding.apart(low, high)
    assert low <= float(left) < float(right) <= high


@pytest.mark.parametrize(("low", "high"), PAIRS)
def test_a_limit_is_not_shown_above_what_exceeds_it(low: float, high: float) -> None:
    assert float(rounding.near_at_most(low, high)) <= high
    one, other = rounding.up_apart(low, high)
    assert one != other
    assert (float(one), float(other)) >= (low, high)


def test_no_more_digits_are_shown_than_it_takes() -> None:
    assert rounding.down_above(2.38168972613, 2.0, 4) == "2.381"
    assert rounding.down_above(2.38168972613, 2.38168, 4) == "2.381689"
    assert rounding.apart(2.62221, 2.69676) == ("2.62221", "2.69676")
    assert rounding.near_at_most(1 / 60_000, 1e-3) == "1.67e-05"
    assert rounding.near_at_most(1 / 60_000, 1.6667e-5) == "1.6667e-05"
    assert rounding.up_apart(3.0, 3.0) == ("3", "3")
    assert rounding.up_apart(None, 3.0) == ("none", "3")


def test_neighbouring_floats_are_told_apart() -> None:
    rng = random.Random(0)
    for _ in range(200):
        low = 10 ** rng.uniform(-300, 300)
        high = math.nextafter(low, math.inf)
        assert float(rounding.down_above(high, low)) > low
        left, right = rounding.apart(low, high)
        assert float(left) < float(right)
