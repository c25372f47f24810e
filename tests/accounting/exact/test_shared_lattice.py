"""One lattice for δ at all ε: what it proves, in both directions, against sums over all outcomes in mpmath."""

import math

import numpy as np
import pair_oracle
import pytest
from mpmath import mp, mpf

from dpplan.accounting import pairs
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.exact.proven_deltas import TO_THE_LAST, Width
from dpplan.accounting.exact.shared_lattice import MANY_STEPS, MOST_SPARED, QUICK_POINTS, ROUGH_POINTS, SharedLattice

STEP, RATE = 0.7, 0.02
PAIR = pairs.subsampled(pairs.stated(STEP, 0.0), RATE)


def truth(steps: int, epsilon: float) -> mpf:
    """δ of answers of randomized response, each asked of a record at a rate, in the remove direction, for any ε."""
    with mp.workdps(pair_oracle.DIGITS):
        high = 1 / (1 + mp.exp(-mpf(STEP)))
        p = [(1 - mpf(RATE)) * (1 - high) + mpf(RATE) * high, (1 - mpf(RATE)) * high + mpf(RATE) * (1 - high)]
        atoms = [(mp.log(a / b), a) for a, b in zip(p, (1 - high, high), strict=True)]
        return pair_oracle.atoms_delta(atoms, steps, epsilon)


def added(steps: int, epsilon: float) -> mpf:
    with mp.workdps(pair_oracle.DIGITS):
        return 1 - mp.exp(mpf(epsilon)) * (1 - truth(steps, -epsilon))


def lattices(steps: int) -> tuple[SharedLattice, SharedLattice]:
    remove, add = (Composition.of([(law, steps)]) for law in (PAIR.remove, PAIR.add))
    lattice = SharedLattice(remove, add)
    return lattice, SharedLattice(add, None, beside=lattice)


@pytest.mark.parametrize(
    ("steps", "epsilon", "enough"),
    [
        (25, 0.0, Width(1e-9, 1e-4)),
        (MANY_STEPS + 30, 0.0, Width(1e-9, 1e-4, dominating=True)),
        (60, 0.3, Width(1e-13, 1e-7)),
    ],
)
def test_a_place_holds_both_directions_at_every_epsilon(steps, epsilon, enough):
    """Also at other ε than its own, negative ones too, and in the reverse direction by what is told there of this one;
    at its own it is as narrow as was asked."""
    for lattice, exactly, reverse in zip(lattices(steps), (truth, added), (added, truth), strict=True):
        place = lattice.place(epsilon, enough, 0.0)
        assert place is not None and place.at is not None
        there = exactly(steps, epsilon)
        assert place.lower <= there <= place.upper
        assert place.upper - place.lower <= max(enough.at(epsilon), 2.0 * max(enough.relative, 1e-6) * place.upper)
        mirrored = place.mirrored()
        assert mirrored is not None and mirrored.at is not None
        asked, tiny = np.array([0.0, 0.05, 0.3, 1.0, -0.02]), mpf(10) ** -45  # what the identity leaves of 0
        for at, known in ((place.at, exactly), (mirrored.at, reverse)):
            low, high = at(asked)
            for each, lower, upper in zip(asked.tolist(), low, high, strict=True):
                assert lower - tiny <= known(steps, each) <= upper + tiny


def test_where_more_is_known_there_a_wider_place_will_do():
    """No wider than the share of δ that is spared beside what is asked for."""
    lattice, _ = lattices(60)
    enough = Width(1e-3, 1e-6, dominating=True)
    there = truth(60, 0.3)
    place = lattice.place(0.3, enough, float(there) * 0.9)
    assert place is not None
    assert place.lower <= there <= place.upper <= place.lower + max(enough.absolute, 2.0 * MOST_SPARED * float(there))


def test_points_are_few_at_first_and_many_once():
    lattice, other = lattices(60)
    rough, exact_ends = Width(1e-9, 1e-4), Width(1e-13, 1e-7)
    assert lattice.serves(rough) and not lattice.serves(TO_THE_LAST)
    assert lattice.rough == list(ROUGH_POINTS) and lattice.quick == list(QUICK_POINTS)
    assert lattice.place(0.3, rough, 0.0) is not None
    assert lattice.rough == list(ROUGH_POINTS)  # it did: the next is tried with as few
    assert lattice.served and other.comes_first(Width(1e-9, 1e-4, dominating=True)) and not other.comes_first(rough)
    assert lattice.place(0.3, exact_ends, 0.0) is not None and not lattice.serves(exact_ends)
    assert math.isfinite(lattice.run.largest)
