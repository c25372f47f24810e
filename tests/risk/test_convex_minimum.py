"""The least value of a convex function, between ends that hold it."""

import math
import random

import pytest

from dpplan.risk.convex_minimum import Sample, least


def polygon(lines):
    return lambda a: max(slope * a + start for slope, start in lines)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("blur", [0.0, 1e-9, 1e-2])
def test_a_polygon_of_which_only_intervals_are_known(seed, blur):
    draw = random.Random(seed)
    lines = [(draw.uniform(-4, 4), draw.uniform(0, 2)) for _ in range(6)] + [(-5.0, 3.0), (5.0, -20.0)]
    function = polygon(lines)
    corners = [(d - b) / (a - c) for a, b in lines for c, d in lines if a != c]
    truth = min(function(corner) for corner in corners if corner > 0)

    def value(at):
        known = function(at)
        return Sample(at, known - blur * draw.random() ** 3, known + blur * draw.random() ** 3)

    started = [value(at) for at in (0.01, 0.3, 1.7, 9.0, 30.0)]
    for rounds in (0, 1, 40):
        found = least(started, value, 1e-9, rounds)
        assert found.lower <= truth + 1e-13
        assert truth <= found.upper + 1e-13
    assert found.upper - found.lower <= 1e-8 + 5.0 * blur
    assert function(found.at) <= found.upper + 1e-13


def test_a_smooth_one_and_one_that_falls_to_nothing():
    def cosine(at):
        return Sample(at, at + 1.0 / at, at + 1.0 / at)

    found = least([cosine(at) for at in (0.1, 3.0, 20.0)], cosine, 1e-6, 60)
    assert found.lower <= 2.0 <= found.upper <= found.lower * (1.0 + 1e-6)
    assert found.at == pytest.approx(1.0, abs=2e-3)

    def falls(at):
        return Sample(at, math.exp(-at), math.exp(-at))

    assert least([falls(at) for at in (1.0, 2.0, 3.0)], falls, 1e-6, 5).lower == -math.inf


def test_a_place_that_is_known_badly_costs_nothing_where_its_neighbours_are_known_well():
    def value(at):
        return Sample(at, abs(at - 2.0), abs(at - 2.0))

    badly = [value(0.1), value(1.0), Sample(1.5, -50.0, 0.5), value(1.9), value(2.5), value(5.0)]
    assert least(badly, value, 1e-9, 3).lower >= -1e-12
