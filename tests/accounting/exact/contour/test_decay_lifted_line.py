"""How fast one step's characteristic function falls, bounded on a line above the real one, against its own integral."""

import math
from dataclasses import replace

import numpy as np
import oracle
import pytest
from mpmath import mp, mpc, mpf

from dpplan import accounting
from dpplan.accounting.exact.contour import decay_lifted_line
from dpplan.accounting.exact.contour.decay_lifted_line import TiltedStep
from dpplan.accounting.numerics.normal import log_normal_tails
from dpplan.plan import Plan

# σ, q and the exponent of r: 1 + t to remove, -t to add.
LAWS = [(5.0, 0.9, 13.6), (2.0, 0.5, 7.2), (1.0, 0.1, 4.9), (0.5, 0.01, 3.0), (0.4, 0.3, 1.2), (200.0, 0.3, 900.0)]
ADDED = [(5.0, 0.5, -12.0), (1.0, 0.3, -3.0), (0.5, 0.05, -8.0), (2.0, 0.5, -30.0)]


CUTS = [(20.0, 0.3, 128.0, 165.0), (2.0, 0.1, 16.0, 18.0), (1.0, 0.5, -9.0, 7.0), (5.0, 0.9, -12.0, 30.0)]


def law_of(sigma, q, a, at=math.inf):
    """The tilted law, cut there, and places of x with their share of it, by the trapezoid rule."""
    x = np.linspace(-12.0 * sigma, max(a, 0.0) + 12.0 * sigma + 1.0, 40_001)
    loss = np.logaddexp(math.log1p(-q), math.log(q) + (2.0 * x - 1.0) / (2.0 * sigma**2))
    logs = a * loss - 0.5 * (x / sigma) ** 2 - math.log(sigma * math.sqrt(2.0 * math.pi)) + math.log(x[1] - x[0])
    logs = logs + log_normal_tails((x - at) * 3.0 / sigma)
    log_g = float(np.logaddexp.reduce(logs))
    ends = -9.0 * sigma, max(a, 0.0) + 9.0 * sigma
    return TiltedStep(sigma, q, a, log_g, 1e-13, *ends, at, sigma / 3.0), loss, np.exp(logs - log_g)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("given", [*LAWS, *ADDED, *CUTS])
def test_the_characteristic_function_lies_below_the_bound_and_near_it(given):
    law, loss, mass = law_of(*given)
    spread = math.sqrt(float((mass * loss**2).sum() - (mass * loss).sum() ** 2))
    edges = np.geomspace(0.5, 300.0, 48) / spread
    bounds = decay_lifted_line.log_bounds(law, edges)
    true = np.array([abs(complex((mass * np.exp(1j * u * loss)).sum())) for u in edges])
    assert np.all(true <= np.exp(bounds) * (1.0 + 1e-9) + 1e-13)  # by the rule, which is good to so much
    assert np.all(np.diff(bounds) <= 0.0) and np.all(bounds <= 0.0)
    seen, share = true > 1e-11, 0.5 if given in LAWS else 0.15
    assert np.all(bounds[seen] <= share * np.log(true[seen]) + 1.0)
    assert bounds[-1] < -0.1


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("given", [LAWS[0], LAWS[3], LAWS[5], ADDED[1], pytest.param(CUTS[1], marks=pytest.mark.slow)])
def test_far_below_a_unit_of_1_the_bound_still_holds_the_transform(given):
    """|G(a + iu)| / G(a) in 30 digits of mpmath, down to 1e-27: each bound holds at its own frequency and beyond, with
    no room for the reference's error; at five standard deviations half of the fall is told, of a rare jump a fifth."""
    law, loss, mass = law_of(*given)
    spread = math.sqrt(float((mass * loss**2).sum() - (mass * loss).sum() ** 2))
    edges = np.array([0.7, 2.0, 5.0, 11.0]) / spread
    asked = np.sort(np.append(edges, 1.3 * edges))
    cut = (lambda x: oracle.normal_tail((x - mpf(law.at)) / mpf(law.width))) if law.at < math.inf else None
    with mp.workdps(30):
        exponents = [mpc(law.a), *(mpc(law.a, u) for u in asked.tolist())]
        still, *moving = oracle.transforms(law.q, law.sigma, exponents, cut, law.width if cut else math.inf)
        true = np.array([float(mp.log(abs(each) / still.real)) for each in moving])
        known = replace(law, log_g=float(mp.log(still.real)), error=1e-15 * (1.0 + abs(law.log_g)))
    bounds = decay_lifted_line.log_bounds(known, edges)
    for edge, bound in zip(edges, bounds, strict=True):
        assert np.all(true[asked >= edge] <= bound)
    assert bounds[2] <= (0.2 if given == LAWS[3] else 0.45) * true[asked == edges[2]][0]
    assert given not in (LAWS[0], LAWS[5]) or true[-1] < -60.0


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("given", [LAWS[0], LAWS[1], LAWS[2], LAWS[5], ADDED[1], ADDED[3]])
def test_no_cell_has_more_mass_than_its_ends_allow(given):
    """The integral of p over each of the heaviest cells and of what lies outside of all, by mpmath: in a cell that the
    peak is in, p is more than at either end."""
    law, _, _ = law_of(*given)
    found = decay_lifted_line._LawFromAbove.of(law)
    low, high = min(law.low, 0.0), max(law.high, 0.5, max(law.a, 0.0) + decay_lifted_line.REACH * law.sigma)
    with mp.workdps(20):
        s, rate = mpf(law.sigma), mpf(law.q)
        unit = s * mp.sqrt(2 * mp.pi) * mp.exp(mpf(law.log_g))

        def density(x):
            return mp.exp(law.a * mp.log1p(rate * mp.expm1((2 * x - 1) / (2 * s * s))) - x * x / (2 * s * s)) / unit

        for cell in np.argsort(found.log_mass)[-4:].tolist():
            ends = [mpf(low) + (mpf(high) - mpf(low)) * at / decay_lifted_line.CELLS for at in (cell, cell + 1)]
            mass = mp.quad(density, ends, maxdegree=3)
            assert mass <= mp.exp(mpf(float(found.log_mass[cell]))) <= mass * (1 + mpf(1) / 10)
        for inner, outer, log_mass in ((low, low - 6, found.log_left), (high, high + 6, found.log_right)):
            beyond = abs(mp.quad(density, mp.linspace(inner, inner + (outer - inner) * s, 5), maxdegree=4))
            assert beyond <= mp.exp(mpf(log_mass))


@pytest.mark.parametrize("narrower", [0.5, 0.0])
def test_cells_may_end_anywhere(narrower):
    """What lies outside is bounded too: a range that is cut short is widened, and still holds."""
    law, loss, mass = law_of(1.0, 0.3, 5.0)
    short = replace(law, low=narrower * law.low, high=narrower * law.high)
    edges = np.geomspace(0.2, 40.0, 12)
    true = np.array([abs(complex((mass * np.exp(1j * u * loss)).sum())) for u in edges])
    assert np.all(true <= np.exp(decay_lifted_line.log_bounds(short, edges)) * (1.0 + 1e-9))


def test_an_unknown_law_has_no_bound():
    law, _, _ = law_of(1.0, 0.3, 5.0)
    assert np.all(decay_lifted_line.log_bounds(replace(law, error=math.inf), np.array([1.0, 10.0])) == 0.0)


@pytest.mark.parametrize(
    ("sigma", "q", "steps"), [(1.0, 0.5, 3), (5.0, 0.9, 3), (2.0, 0.1, 4), (0.8, 0.5, 6), (20.0, 0.3, 3)]
)
def test_few_steps_go_along_one_short_contour(sigma, q, steps):
    found = accounting.epsilon(Plan.from_rate(sigma, q, steps), 1e-5)
    assert found.details["method"] == "contour"
    assert found.proven_width < 1e-10
    assert found.details["frequencies"] < 2000  # of the 8192 that a contour may have
