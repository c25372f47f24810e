"""Deltas of allocations that are smaller than a lattice tells from 0."""

import pytest

from dpplan.accounting import exact
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
