"""δ of the remove direction by a lattice and, beside it, large losses that are rare: held against integrals in mpmath
and against contours over jumps."""

import math
from itertools import pairwise

import mpmath
import numpy as np
import oracle
import pytest

from dpplan import accounting, risk
from dpplan.accounting import rdp
from dpplan.accounting.exact import invert, other_laws, rare_jumps_lattice
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.proven_deltas import OneDirection
from dpplan.accounting.plan_pairs import dominating_pairs
from dpplan.plan import Plan

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # whoever asks for a profile is quiet
RARE = [(0.4, 1e-5, 1000), (0.4, 1e-6, 1000), (0.4, 1e-6, 10_000), (0.5, 1e-5, 1000), (0.4, 1e-4, 10), (0.6, 3e-5, 95)]
EPSILONS = np.array([0.0, 1e-4, 1e-3, 0.01, 0.1, 1.0, 3.0])


def run_of(row):
    return other_laws.directions(dominating_pairs(Plan.from_rate(*row), "exact"))[0]


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("row", RARE, ids=lambda row: "-".join(str(part) for part in row))
def test_it_meets_contours_near_each_epsilon(row):
    plan, steps = Plan.from_rate(*row), Steps.of([row])
    low, high = rare_jumps_lattice.over(run_of(row)).ends(EPSILONS)
    for at, epsilon in enumerate(EPSILONS.tolist()):
        ends = invert.delta_ends(steps, Direction.REMOVE, epsilon, min(rdp.delta(plan, epsilon).value, 1.0))
        assert low[at] <= ends.upper and ends.lower <= high[at]
    assert np.all(high - low <= 2e-2 * high + 1e-11)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("row", RARE[::2], ids=lambda row: "-".join(str(part) for part in row))
def test_it_tells_of_the_add_direction_too(row):
    steps, found = Steps.of([row]), rare_jumps_lattice.over(run_of(row))
    epsilons = np.array([1e-5, 1e-4, 5e-4])
    low, high = found.ends(-epsilons)
    for at, epsilon in enumerate(epsilons.tolist()):
        ends = invert.delta_ends(steps, Direction.ADD, epsilon, 1.0)
        lower, upper = (1.0 - np.exp(-epsilon) * (1.0 - end) for end in (ends.lower, ends.upper))
        assert low[at] <= upper + 1e-15 and lower <= high[at] + 1e-15


@pytest.mark.parametrize(
    ("row", "ends"), [((0.5, 1e-4), (0.02, 30.0)), ((0.8, 0.01), (0.3, 20.0)), ((0.4, 1e-3), (1.0, 30.0))]
)
def test_two_steps_are_between_its_ends(row, ends):
    """By an integral in mpmath: from above by all of two steps, from below by none beside two jumps."""
    sigma, rate = row
    ((law, steps),) = run_of((sigma, rate, 2)).terms
    found = rare_jumps_lattice.beside(law, steps, ends)
    epsilons = np.array([1e-3, 0.1, 0.7, 2.0]) * ends[0]
    low, high = found.ends(epsilons)
    for at, epsilon in enumerate(epsilons.tolist()):
        assert low[at] <= oracle.two_step_delta(rate, sigma, epsilon) <= high[at]
    assert np.all(high - low <= 0.1 * high + 1e-6)


def test_three_steps_are_between_its_ends():
    """By a sum over three steps with 120 outcomes each, cells of the output: whoever sees them is told less."""
    sigma, rate, cells = 0.5, 0.01, 120
    ((law, steps),) = run_of((sigma, rate, 3)).terms
    found = rare_jumps_lattice.beside(law, steps, (0.2, 30.0))
    with mpmath.mp.workdps(60):  # far out on the right they are near 1
        edges = [mpmath.mpf(10 * k) / cells - 5 for k in range(cells + 1)]
        centred, shifted = ([mpmath.ncdf((x - mean) / sigma) for x in edges] for mean in (0, 1))
        q, moved = (np.array([float(b - a) for a, b in pairwise(each)]) for each in (centred, shifted))
    ratio = 1.0 - rate + rate * moved / q
    p = ratio * q
    epsilons = np.array([0.05, 0.3, 1.0])
    pairs_p, pairs_ratio = np.outer(p, p).ravel(), np.outer(ratio, ratio).ravel()
    for epsilon, high in zip(epsilons.tolist(), found.ends(epsilons)[1].tolist(), strict=True):
        told = sum(
            float(mass * np.sum(pairs_p * np.maximum(1.0 - math.exp(epsilon) / (pairs_ratio * each), 0.0)))
            for mass, each in zip(p.tolist(), ratio.tolist(), strict=True)
        )
        assert told * (1.0 - 1e-9) <= high


@pytest.mark.parametrize(
    "row", [(1.1, 0.01, 1000), (0.4, 1e-4, 1000), (0.3, 1e-5, 1000), (0.8, 3e-4, 16), (0.4, 1e-5, 3)]
)
def test_what_is_not_rare_or_few_has_none(row):
    assert rare_jumps_lattice.over(run_of(row)) is None


def test_several_kinds_of_steps_and_laws_with_atoms_have_none():
    first, second = (run_of((0.4, 1e-6, steps)).terms[0] for steps in (1000, 500))
    ((third, _),) = run_of((0.5, 1e-6, 10)).terms
    assert rare_jumps_lattice.over(other_laws.Composition.of([first, (third, second[1])])) is None


@pytest.mark.parametrize("row", RARE[:4])
def test_a_curve_asks_for_one_place_where_it_took_four(row, monkeypatch):
    made, once = [], OneDirection._made
    monkeypatch.setattr(OneDirection, "_made", lambda own, at, found: made.append(at) or once(own, at, found))
    corners = risk.TradeOff(risk.source_of_plan(Plan.from_rate(*row))).curve(200)
    assert made == [0.0]
    exact = accounting.delta(Plan.from_rate(*row), 0.1)
    told = max(corner.true_positives - math.exp(0.1) * corner.false_positives for corner in corners)
    assert exact.lower <= told * (1.0 + 1e-9) and told <= 1.002 * exact.upper
