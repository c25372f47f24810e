"""δ of the remove direction by one lattice of the add direction, for few steps: held against contours over jumps."""

import numpy as np
import oracle
import pytest
from reverse_sums import check_add_direction, places_of_curves

from dpplan.accounting import rdp
from dpplan.accounting.exact import invert, other_laws, reverse_lattice
from dpplan.accounting.exact.contour import reverse_direction
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.event_lower_bound import EventBound
from dpplan.accounting.plan_pairs import dominating_pairs
from dpplan.plan import Plan

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # whoever asks for a profile is quiet
FEW = [(0.5, 1e-3, 10), (0.7, 1e-4, 100), (0.4, 1e-6, 10), (0.5, 1e-5, 100), (0.4, 1e-5, 2)]


def summed(row):
    plan, steps = Plan.from_rate(*row), Steps.of([row])
    added = other_laws.directions(dominating_pairs(plan, "exact"))[-1]
    return plan, steps, reverse_lattice.over(added, steps, EventBound(steps).deltas)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("row", FEW, ids=lambda row: "-".join(str(part) for part in row))
def test_it_meets_contours_near_each_epsilon(row):
    plan, steps, found = summed(row)
    epsilons = reverse_direction.reach(steps) * np.array([1e-3, 0.03, 0.2, 0.5, 1.0])
    low, high = found.ends(epsilons)
    for at, epsilon in enumerate(epsilons.tolist()):
        ends = invert.delta_ends(steps, Direction.REMOVE, epsilon, min(rdp.delta(plan, epsilon).value, 1.0))
        assert low[at] <= ends.upper and ends.lower <= high[at]
    assert np.all(high[:4] - low[:4] <= 3e-2 * high[:4])


def test_it_tells_of_the_add_direction_too():
    _, steps, found = summed(FEW[1])

    def other_ends(epsilon):
        ends = invert.delta_ends(steps, Direction.ADD, epsilon, 1.0)
        return ends.lower, ends.upper

    check_add_direction(found, np.array([1e-4, 2e-3]), other_ends)


@pytest.mark.parametrize("row", [(0.4, 1e-5, 2), (0.7, 1e-4, 2)])
def test_two_steps_are_between_its_ends(row):
    """By an integral in mpmath."""
    sigma, rate, _ = row
    _, steps, found = summed(row)
    epsilons = reverse_direction.reach(steps) * np.array([1e-3, 0.1, 0.7])
    low, high = found.ends(epsilons)
    for at, epsilon in enumerate(epsilons.tolist()):
        assert low[at] <= oracle.two_step_delta(rate, sigma, epsilon) <= high[at]


@pytest.mark.parametrize("row", [(0.5, 1e-4, 1000), (0.5, 0.01, 2)])
def test_many_steps_have_none_nor_have_two_that_are_not_rare(row):
    assert summed(row)[2] is None


def test_a_curve_of_few_rare_steps_asks_for_one_place_or_two(monkeypatch):
    for made in places_of_curves(FEW[:2], monkeypatch):
        assert made[0] == 0.0 and len(made) <= 2
