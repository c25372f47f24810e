"""δ of the remove direction by one sum over the add direction, whose aliases are known: held against other contours."""

import numpy as np
import oracle
import pytest
from reverse_sums import check_add_direction, places_of_curves

from dpplan.accounting import rdp
from dpplan.accounting.exact import invert
from dpplan.accounting.exact.contour import reverse_direction
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.event_lower_bound import EventBound
from dpplan.plan import Plan

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # whoever asks for a profile is quiet
RARE = [(0.5, 1e-5, 100_000), (0.7, 1e-5, 10_000), (1.0, 1e-5, 1000), (0.5, 1e-4, 10_000), (0.4, 1e-3, 1000)]
SLOW = tuple(f"{sigma}-{q}-{steps}" for sigma, q, steps in RARE[4:])
LONG = [(0.5, 1e-3, 10), (0.5, 1e-5, 100), (0.4, 1e-6, 1000), (0.5, 0.01, 2), (1.0, 1.0, 100)]


def summed(*rows):
    steps = Steps.of(rows)
    return steps, reverse_direction.over(steps, EventBound(steps).deltas)


def other_ends(rows, direction, epsilon):
    """By contours that lie near this ε."""
    steps = Steps.of(rows)
    ceiling = min(sum(rdp.delta(Plan.from_rate(*row), epsilon).value for row in rows), 1.0) if len(rows) == 1 else 1.0
    ends = invert.delta_ends(steps, direction, epsilon, ceiling)
    return ends.lower, ends.upper


@pytest.mark.sweep(every=2, slow=SLOW)
@pytest.mark.parametrize("row", RARE, ids=lambda row: "-".join(str(part) for part in row))
def test_it_meets_other_contours_and_is_narrow_where_a_curve_asks(row):
    steps, found = summed(row)
    far = reverse_direction.reach(steps)
    epsilons = far * np.array([0.0, 0.01, 0.1, 0.4, 0.8, 1.0, 1.3])
    low, high = found.ends(epsilons)
    for at, epsilon in enumerate(epsilons.tolist()):
        lower, upper = other_ends([row], Direction.REMOVE, epsilon)
        assert 0.0 <= low[at] <= upper and lower <= high[at] <= 1.0
    assert np.all(high - low <= 30.0 * reverse_direction.NARROW * np.exp(epsilons * (1.0 + found.summed.tilt)))


def test_a_contour_in_mpmath_of_the_remove_direction_is_between_its_ends():
    _, found = summed((2.0, 0.01, 300))
    epsilons = np.array([0.05, 0.15])
    low, high = found.ends(epsilons)
    for at, (epsilon, tilt) in enumerate(((0.05, 10.0), (0.15, 20.0))):
        truth = oracle.contour_delta(0.01, 2.0, 300, epsilon, tilt, 0.09)
        assert low[at] <= truth <= high[at] <= low[at] + 1e-10


@pytest.mark.parametrize("row", RARE[:2])
def test_it_tells_of_the_add_direction_at_negative_epsilons(row):
    steps, found = summed(row)
    epsilons = np.array([1e-4, 0.01]) * reverse_direction.reach(steps)
    check_add_direction(found, epsilons, lambda epsilon: other_ends([row], Direction.ADD, epsilon))


def test_several_phases_are_one_sum():
    rows = [(0.7, 1e-5, 5000), (0.7, 2e-5, 2500), (1.5, 1e-3, 100)]
    _, found = summed(*rows)
    epsilons = np.array([0.0, 1e-3, 0.01])
    low, high = found.ends(epsilons)
    for at, epsilon in enumerate(epsilons.tolist()):
        lower, upper = other_ends(rows, Direction.REMOVE, epsilon)
        assert low[at] <= upper and lower <= high[at]
    assert np.all(high - low <= 1e-9)


def test_the_period_decides_how_narrow_it_is_and_not_whether_it_holds(monkeypatch):
    """With a period so short that aliases are a good part of the sum, and not known closely."""
    row = (0.5, 1e-4, 10_000)
    steps, long = summed(row)
    with monkeypatch.context() as patch:
        patch.setattr(reverse_direction, "LIKELY", 0.0)
        patch.setattr(reverse_direction, "FARTHER", 1.0)
        short = reverse_direction.over(steps, EventBound(steps).deltas)
    assert short.summed.period < 0.8 * long.summed.period
    epsilons = np.linspace(0.0, short.farthest, 20)
    (low, high), (own_low, own_high) = long.ends(epsilons), short.ends(epsilons)
    assert np.all(low <= own_high) and np.all(own_low <= high)
    assert short.beyond >= long.ends(np.array([short.farthest]))[0][0]


def test_nothing_is_said_beyond_what_the_period_holds():
    _, found = summed((0.7, 1e-5, 10_000))
    low, high = found.ends(np.array([found.farthest * 1.01, -found.largest * 1.01, 300.0]))
    assert low.tolist() == [0.0] * 3 and high.tolist() == [1.0] * 3


@pytest.mark.parametrize("row", LONG)
def test_no_sum_is_begun_that_would_be_long(row):
    assert summed(row)[1] is None


def test_a_curve_of_rare_losses_asks_for_one_place(monkeypatch):
    assert list(places_of_curves(RARE[:3], monkeypatch)) == [[0.0]] * 3
