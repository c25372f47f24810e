"""One step on the lattice lies between its two polygons: held against the step's own curve H(α) = ∫(dP - α·dQ)₊."""

import math
from dataclasses import dataclass

import numpy as np
import oracle
import pair_oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from dpplan.accounting import pairs
from dpplan.accounting.exact.general_lattice import atom_spacing
from dpplan.accounting.exact.general_lattice.discretise import DiscretisedLaw, Lattice, Side, discretise

MIXED = pairs.mixed(((0.25, pairs.laplace(1.0)), (0.75, pairs.gaussian(2.0)))).remove


def sampled(q: float, sigma: float):
    return pairs.subsampled(pairs.gaussian(sigma), q)


def atoms_curve(atoms: pairs.Atoms, infinite: float, y: float) -> mpf:
    terms = [mpf(q) * (mp.exp(mpf(loss)) - mp.exp(mpf(y))) for loss, _, q in atoms.rows]
    return mpf(infinite) + mp.fsum(max(term, mpf(0)) for term in terms)


def of_add(curve):
    """H of the pair reversed: ∫(dQ - α·dP)₊ = 1 - α + α·H(1/α)."""
    return lambda y: 1 - mp.exp(mpf(y)) + mp.exp(mpf(y)) * curve(-y)


FINITE = pairs.Finite(((0.5, 0.25), (0.25, 0.0), (0.25, 0.5), (0.0, 0.25)))
CURVES = {
    "gaussian": (pairs.gaussian(1.3).remove, lambda y: oracle.step_delta(1.0, 1.3, mpf(y))),
    "sampled": (sampled(0.1, 0.9).remove, lambda y: oracle.step_delta(0.1, 0.9, mpf(y))),
    "sampled, add": (sampled(0.1, 0.9).add, of_add(lambda y: oracle.step_delta(0.1, 0.9, mpf(y)))),
    "rare": (sampled(1e-5, 0.614).remove, lambda y: oracle.step_delta(1e-5, 0.614, mpf(y))),
    "laplace": (pairs.laplace(0.7).remove, lambda y: pair_oracle.one_laplace_delta(0.7, y)),
    "stated": (pairs.stated(0.7, 1e-3).remove, lambda y: pair_oracle.stated_delta(0.7, 1e-3, 1, y)),
    "finite": (FINITE, lambda y: atoms_curve(FINITE.atoms, 0.25, y)),
    "mixed": (
        MIXED,
        lambda y: (pair_oracle.one_laplace_delta(1.0, y) + 3 * oracle.step_delta(1.0, 2.0, mpf(y))) / 4,
    ),
}
KEPT = {"gaussian": (-8.0, 9.0), "sampled": (-1.0, 8.0), "sampled, add": (-8.0, 1.0), "rare": (-1.0, 9.0)}


def curve_of(law: DiscretisedLaw, side: Side, infinite: float, lattice: Lattice, epsilon: float) -> mpf:
    steps = side.first + np.arange(len(side.masses), dtype=np.float64)
    q = side.masses * np.exp(law.shift - lattice.r * steps)
    return mpf(infinite) + mpf(
        float((q * np.maximum(np.exp(side.loss + lattice.h * steps) - math.exp(epsilon), 0.0)).sum())
    )


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("tilt", [0.5, 6.0])
@pytest.mark.parametrize("h", [0.3, 0.04, 1e-3])
def test_the_polygons_lie_above_and_below_the_curve(name, tilt, h):
    law, curve = CURVES[name]
    lattice = Lattice(h, (1.0 + tilt) * h)
    kept = KEPT.get(name, tuple(np.clip(law.bounds, -8.0, 8.0)))
    found = discretise(law, lattice, kept)
    assert 0.0 <= found.infinite[0] <= found.infinite[1]
    for epsilon in np.linspace(max(kept[0], -2.0), min(kept[1], 5.0), 31) + 0.3 * h:
        with mp.workdps(40):
            truth = curve(float(epsilon))
            slack = mpf(10) ** -13 * (1 + truth)
            upper = curve_of(found, found.up, found.infinite[1], lattice, float(epsilon))
            lower = curve_of(found, found.down, found.infinite[0], lattice, float(epsilon))
            assert lower - slack <= truth <= upper + slack
            assert lower > 0.6 * truth or truth < 1e-4 or h > 0.1


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("kept", [(-0.1, 0.2), (0.1, 0.6), (-0.6, -0.1)])
def test_what_is_cut_away_is_counted(name, kept):
    law, curve = CURVES[name]
    lattice = Lattice(0.01, 0.04)
    found = discretise(law, lattice, kept)
    for epsilon in np.linspace(-1.0, 3.0, 17):
        with mp.workdps(40):
            truth = curve(float(epsilon))
        slack = mpf(10) ** -13 * (1 + truth)
        assert curve_of(found, found.down, found.infinite[0], lattice, float(epsilon)) - slack <= truth
        assert truth <= curve_of(found, found.up, found.infinite[1], lattice, float(epsilon)) + slack


@pytest.mark.parametrize("merged", [(-4.0, -0.5), (-4.0, 0.3), (7.0, 8.0), (-4.0, 1.0)])
def test_what_is_merged_beyond_what_is_kept_adds_nothing_from_below(merged):
    law, curve = CURVES["gaussian"]
    lattice, kept = Lattice(0.05, 0.05), (0.5, 6.0)
    found = discretise(law, lattice, kept, merged)
    for epsilon in (-0.4, 0.0, 0.3, 0.8, 5.0):
        assert curve_of(found, found.down, found.infinite[0], lattice, epsilon) <= curve(epsilon) * (1 + mpf(10) ** -13)
    assert curve_of(found, found.down, found.infinite[0], lattice, 2.0) > 0.5 * curve(2.0)


@pytest.mark.parametrize("name", CURVES)
def test_the_polygons_close_in_as_the_square_of_the_step(name):
    """What they differ by in log E[e^(t·loss)] is about t(1 + t)/8 times that; atoms on the lattice cost nothing."""
    law, _ = CURVES[name]
    kept = KEPT.get(name, tuple(np.clip(law.bounds, -8.0, 8.0)))

    def gap(most: float) -> float:
        h = atom_spacing.step([(law, 1.0)], 2.0, most)
        found = discretise(law, Lattice(h, 3.0 * h), kept)
        return (log_moment(found, found.up) - log_moment(found, found.down)) / h**2

    for most in (4e-3, 1e-3):
        assert 0.0 <= gap(most) <= 2.0


def log_moment(law: DiscretisedLaw, side: Side) -> float:
    """log of E[e^(t·loss)] at the lattice's tilt."""
    return math.log(math.fsum(side.masses)) + law.shift


@pytest.mark.parametrize("name", ["gaussian", "laplace", "mixed", "sampled"])
def test_both_sides_keep_both_measures(name):
    law, _ = CURVES[name]
    kept = KEPT.get(name, tuple(np.clip(law.bounds, -12.0, 12.0)))
    h = atom_spacing.step([(law, 1.0)], 2.0, 2e-3)
    lattice = Lattice(h, 3.0 * h)
    found = discretise(law, lattice, kept)
    for side in (found.up, found.down):
        steps = side.first + np.arange(len(side.masses), dtype=np.float64)
        q = side.masses * np.exp(found.shift - lattice.r * steps)
        assert q.sum() == pytest.approx(1.0, abs=1e-9)
        assert (q * np.exp(side.loss + lattice.h * steps)).sum() == pytest.approx(1.0, abs=1e-5)


outcomes = st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(0.01, 1.0)), min_size=1, max_size=7)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(rows=outcomes, tilt=st.floats(0.01, 20.0), h=st.floats(1e-3, 1.0), at=st.floats(-4.0, 4.0))
def test_any_table_of_outcomes_lies_between(rows, tilt, h, at):
    table = np.array(rows) / np.array(rows).sum(axis=0)
    law = pairs.Finite(tuple((float(p), float(q)) for p, q in table))
    lattice = Lattice(h, (1.0 + tilt) * h)
    found = discretise(law, lattice, law.bounds)
    truth = atoms_curve(law.atoms, 0.0, at)
    upper = curve_of(found, found.up, found.infinite[1], lattice, at)
    lower = curve_of(found, found.down, found.infinite[0], lattice, at)
    assert lower - 1e-13 <= truth <= upper + 1e-13


def test_atoms_are_laid_on_the_lattice():
    law = pairs.laplace(0.7).remove
    h = atom_spacing.step([(law, 10.0)], 1.0, 0.011)
    assert 0.25 * 0.011 <= h <= 0.011
    assert (law.atoms.loss[1] - law.atoms.loss[0]) / h == pytest.approx(
        round((law.atoms.loss[1] - law.atoms.loss[0]) / h), abs=1e-9
    )


def test_atoms_of_several_laws_share_a_step_as_well_as_they_can():
    terms = [(pairs.laplace(scale).remove, 100.0) for scale in (0.7, 1.1)]
    h = atom_spacing.step(terms, 1.0, 1e-3)
    for law, _ in terms:
        ratio = float(np.ptp(law.atoms.loss)) / h
        assert abs(ratio - round(ratio)) < 0.01


def test_a_law_without_atoms_leaves_the_step_as_it_is():
    assert atom_spacing.step([(pairs.gaussian(1.0).remove, 5.0)], 1.0, 0.123) == 0.123


@dataclass(frozen=True)
class FarOut(pairs.Law):
    """1e-65 of P, evenly on losses from 590 to 600, where Q's masses are a few of the smallest floats, and one more."""

    def masses(self, edges):
        inside = np.clip(edges, 590.0, 600.0)
        p = 1e-66 * np.diff(inside)
        q = 1e-66 * (np.exp(-inside[:-1]) * -np.expm1(-np.diff(inside)))
        return pairs.Masses(p, np.nextafter(q, 1.0), np.full(len(p), 1e-15), np.zeros(len(edges)))


@pytest.mark.parametrize("h", [0.25, 0.11])
def test_a_mass_of_q_that_floats_do_not_hold_is_never_rounded_up_from_above(h):
    """A lattice law with more of Q than there is would have a curve below the true one."""
    law = discretise(FarOut(), Lattice(h, 1.5 * h), (590.0, 600.0))
    place = law.up.first + np.arange(len(law.up.masses))
    with np.errstate(divide="ignore"):
        log_q = float(np.logaddexp.reduce(np.log(law.up.masses) + law.shift - 1.5 * h * place))
        log_p = float(
            np.logaddexp.reduce(np.log(law.up.masses) + law.shift - 1.5 * h * place + law.up.loss + h * place)
        )
    truth = math.log(1e-66) - 590.0 + math.log(-math.expm1(-10.0))
    assert log_q <= truth + 1e-12
    assert math.exp(log_p) + law.infinite[1] >= 1e-65 * (1.0 - 1e-12)
