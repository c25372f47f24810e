import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan.accounting.numerics.minimum import minimise


@pytest.mark.parametrize("place", [-8.9, -3.0, 0.123, 1.0, 7.77])
def test_finds_the_minimum_of_a_smooth_function(place):
    found, value = minimise(lambda x: np.cosh(x - place), -9.0, 14.0)
    assert found == pytest.approx(place, abs=1e-6)
    assert value == pytest.approx(1.0, rel=1e-12)


def test_finds_the_minimum_beside_a_cliff():
    # The Rényi bound falls gently with the order and then rises by a factor of a million within one order.
    found, value = minimise(lambda x: np.where(x < 2.5, 10 - x, 1e6 * x), -9.0, 14.0, rounds=9)
    assert found == pytest.approx(2.5, abs=1e-5)
    assert value == pytest.approx(7.5, rel=1e-5)


def test_a_minimum_at_either_end_is_returned_as_that_end():
    assert minimise(lambda x: x, 0.0, 3.0) == (0.0, 0.0)
    assert minimise(lambda x: -x, 0.0, 3.0) == (3.0, -3.0)


def test_infinities_are_stepped_over():
    found, value = minimise(lambda x: np.where(np.abs(x - 1) < 0.7, (x - 1.2) ** 2, np.inf), -4.0, 4.0)
    assert found == pytest.approx(1.2, abs=1e-6)
    assert value == pytest.approx(0.0, abs=1e-12)


def test_the_value_returned_was_measured_at_the_argument_returned():
    seen: dict[float, float] = {}

    def bumpy(x):
        values = (x - 0.4) ** 2 + 0.3 * np.sin(5 * x)
        seen.update(zip(x.tolist(), values.tolist(), strict=True))
        return values

    found, value = minimise(bumpy, -3.0, 3.0)
    assert seen[found] == value == min(seen.values())


@pytest.mark.parametrize(("rho", "delta"), [(1e-3, 1e-5), (0.5, 1e-12), (20.0, 1e-50)])
def test_the_best_order_of_a_gaussian_is_that_of_its_closed_form(rho, delta):
    """a·ρ + log(1/δ)/(a - 1) over log(a - 1): ρ + 2·√(ρ·log(1/δ)) at a = 1 + √(log(1/δ)/ρ), in mpmath; never below."""
    found, value = minimise(lambda x: (1.0 + np.exp(x)) * rho - np.log(delta) / np.exp(x), -9.0, 14.0)
    with mp.workdps(40):
        spread = -mp.log(mpf(delta))
        least = rho + 2 * mp.sqrt(rho * spread)
        assert least * (1 - mpf(10) ** -15) <= value <= least * (1 + mpf(10) ** -12)
        assert abs(found - mp.log(spread / rho) / 2) <= 1e-5
