"""Deltas of allocations that are smaller than a lattice tells from 0."""

import pytest

from dpplan.accounting import exact, plan_pairs
from dpplan.accounting.exact import other_laws
from dpplan.adjacency import ZERO_OUT
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import BallsInBins, RandomAllocation


@pytest.mark.parametrize(("scheme", "steps"), [(RandomAllocation(10, 5), 11), (BallsInBins(10), 60)])
def test_no_lattice_is_asked_where_full_batches_prove_as_much(monkeypatch, scheme, steps):
    monkeypatch.delattr(other_laws, "delta_ends")
    found = exact.delta(Plan((Phase(Gaussian(4287.0), scheme, steps),), ZERO_OUT), 0.0271)
    assert found.lower == 0.0 and found.upper <= 1e-300
    assert "no more than without sampling" in found.why


def test_a_lattice_is_asked_elsewhere(monkeypatch):
    monkeypatch.delattr(other_laws, "delta_ends")
    with pytest.raises(AttributeError):
        exact.delta(Plan((Phase(Gaussian(4287.0), RandomAllocation(10, 5), 11),), ZERO_OUT), 0.02)


@pytest.mark.parametrize(
    ("scheme", "noise", "steps", "epsilon", "within"),
    [
        (BallsInBins(50), 5.0, 1000, 3.0, (1.294e-123, 1.319e-123)),  # a finer lattice, all of it kept
        (BallsInBins(50), 5.0, 1000, 2.0, (3.901e-57, 3.929e-57)),
        (BallsInBins(50), 30.0, 1000, 3.0, (0.0, 1e-130)),
        (BallsInBins(1000), 10.0, 20_000, 0.5, (0.0, 1.3e-95)),
        (RandomAllocation(100, 2), 30.0, 500, 3.0, (0.0, 1e-130)),
    ],
)
def test_a_tiny_delta_is_not_looked_for_on_lattices_that_are_finer_and_cut_off_as_much(
    monkeypatch, scheme, noise, steps, epsilon, within
):
    """Each was 64 times as fine as the last where all that it found was what it had cut off: half a minute."""
    finest, ends = [], other_laws._ends

    def seen(known, *rest):
        finest.append(max(pair.remove.halvings for pair, _ in known))
        return ends(known, *rest)

    monkeypatch.setattr(other_laws, "_ends", seen)
    known = plan_pairs.dominating_pairs(Plan((Phase(Gaussian(noise), scheme, steps),)), "exact")
    found = other_laws.delta_ends(known, epsilon)
    low, high = within
    assert found.lower <= high and found.upper >= low
    assert found.upper <= 2.0 * high
    assert len(finest) <= 2 and max(finest) <= 3


def test_what_is_cut_off_does_not_widen_a_small_delta_that_can_be_told():
    known = plan_pairs.dominating_pairs(Plan((Phase(Gaussian(5.0), BallsInBins(50), 1000),)), "exact")
    found = other_laws.delta_ends(known, 1.0)
    assert 6.574e-17 < found.lower <= found.upper < 6.577e-17
    assert found.relative_width <= other_laws.WIDTH
