"""Each law of the privacy loss: its masses against mpmath, both measures whole, its ratios between the losses."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from dpplan.accounting import pairs

SGM = pairs.subsampled(pairs.gaussian(0.9), 0.03)
SAMPLED_LAPLACE = pairs.subsampled(pairs.laplace(0.5), 0.2)
SAMPLED_STATED = pairs.subsampled(pairs.stated(1.5, 1e-4), 0.1)
LAWS = {
    "gaussian": pairs.gaussian(1.7).remove,
    "sampled gaussian, remove": SGM.remove,
    "sampled gaussian, add": SGM.add,
    "hardly sampled gaussian": pairs.subsampled(pairs.gaussian(20.0), 1e-8).remove,
    "nearly always sampled gaussian": pairs.subsampled(pairs.gaussian(0.5), 1.0 - 1e-6).remove,
    "laplace": pairs.laplace(0.8).remove,
    "sampled laplace, remove": SAMPLED_LAPLACE.remove,
    "sampled laplace, add": SAMPLED_LAPLACE.add,
    "randomized response": pairs.randomized_response(5, 0.3).remove,
    "stated": pairs.stated(0.7, 1e-3).remove,
    "sampled stated, remove": SAMPLED_STATED.remove,
    "sampled stated, add": SAMPLED_STATED.add,
    "finite": pairs.Finite(((0.5, 0.25), (0.25, 0.0), (0.25, 0.5), (0.0, 0.25))),
    "mixture": pairs.mixed(((0.3, SGM), (0.5, pairs.laplace(2.0)), (0.2, pairs.stated(0.5, 1e-6)))).add,
}
every_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
WHOLE = np.array([-math.inf, math.inf])


def sampled_masses(sigma: float, q: float, low: float, high: float) -> tuple[mpf, mpf]:
    """P- and Q-mass of the sampled Gaussian's losses between two, remove direction."""

    def place(loss: float) -> mpf:
        inside = mp.expm1(mpf(loss)) / mpf(q) + 1
        return mpf(1) / 2 + mpf(sigma) ** 2 * mp.log(inside) if inside > 0 else mp.ninf

    def tail(x: mpf) -> mpf:
        return mp.erfc(x / mpf(sigma) / mp.sqrt(2)) / 2

    start, end = place(low), place(high)
    unmoved, moved = tail(start) - tail(end), tail(start - 1) - tail(end - 1)
    return (1 - mpf(q)) * unmoved + mpf(q) * moved, unmoved


@pytest.mark.parametrize(("sigma", "q"), [(1.0, 1.0), (0.9, 0.03), (20.0, 1e-8), (0.4, 0.999), (5.0, 0.5)])
def test_sampled_gaussian_masses_are_those_of_the_closed_form(sigma, q):
    pair = pairs.subsampled(pairs.gaussian(sigma), q)
    rng = np.random.default_rng(3)
    for size in (1e-9, 1e-5, 1e-2, 1.0, 8.0):
        scale = min(q / sigma + q, 1.0) if size < 1.0 else 1.0
        edges = np.sort(rng.normal(0.0, size * scale, 12))
        found, back = pair.remove.masses(edges), pair.add.masses(-edges[::-1])
        if q < 1.0:
            assert np.array_equal(found.p, back.q[::-1])
            assert np.array_equal(found.q, back.p[::-1])
        with mp.workdps(60):
            for k in range(len(edges) - 1):
                p, q_mass = sampled_masses(sigma, q, float(edges[k]), float(edges[k + 1]))
                # What the ends may be off by moves masses in and out; between distant losses that is all there is.
                slack = found.relative[k] + 2 * np.max(found.moved) / float(edges[k + 1] - edges[k])
                slack += 40 * np.max(found.moved) * (1 + abs(edges[k])) * sigma**2 / q
                for mass, truth in ((found.p[k], p), (found.q[k], q_mass)):
                    assert abs(mass - truth) <= slack * truth + mpf(10) ** -300


def test_gaussian_masses_keep_their_digits_in_cells_that_are_nothing():
    edges = 3.0 + 1e-9 * np.arange(5)
    found = pairs.gaussian(1.0).remove.masses(edges)
    with mp.workdps(40):
        density = mp.npdf(mpf(3) + mpf(1) / 2, 1, 1)
        for p in found.p:
            assert p / float(density * mpf(1e-9)) == pytest.approx(1.0, abs=1e-6)
    spread = np.ptp(found.p) / found.p.mean()
    assert spread < 1e-6  # a difference of tails would jump by as much as it has digits


@pytest.mark.parametrize("scale", [0.2, 1.0, 7.0])
def test_laplace_masses_are_those_of_the_density(scale):
    law = pairs.laplace(scale).remove
    edges = np.sort(np.random.default_rng(5).uniform(-1.2 / scale, 1.2 / scale, 20))
    found = law.masses(edges)
    with mp.workdps(40):
        e = 1 / mpf(scale)
        for k in range(len(edges) - 1):
            low, high = (min(max(mpf(edge), -e), e) for edge in edges[k : k + 2])
            p = (mp.exp((high - e) / 2) - mp.exp((low - e) / 2)) / 2
            q = (mp.exp(-(low + e) / 2) - mp.exp(-(high + e) / 2)) / 2
            assert abs(found.p[k] - p) <= found.relative[k] * p + mpf(10) ** -17 * e
            assert abs(found.q[k] - q) <= found.relative[k] * q + mpf(10) ** -17 * e


@every_law
def test_both_measures_are_whole(law):
    found, atoms = law.masses(WHOLE), law.atoms
    assert found.p[0] + atoms.p.sum() + law.infinite == pytest.approx(1.0, abs=1e-14)
    assert found.q[0] + atoms.q.sum() + law.vanishing == pytest.approx(1.0, abs=1e-14)
    assert np.all(np.diff(atoms.loss) > 0.0) or len(set(atoms.loss)) < len(atoms.loss)
    assert atoms.p == pytest.approx(atoms.q * np.exp(atoms.loss), rel=1e-13)


@pytest.mark.sweep(every=3)
@every_law
@settings(derandomize=True, deadline=None, max_examples=60)
@given(middle=st.floats(-6.0, 6.0), log_width=st.floats(-18.0, 1.5))
def test_the_ratio_of_masses_lies_between_the_losses(law, middle, log_width):
    low, high = middle, middle + math.exp(log_width)
    found = law.masses(np.array([low, high]))
    if found.p[0] < 1e-290 or found.q[0] < 1e-290:
        return
    ratio = math.log1p((found.p[0] - found.q[0]) / found.q[0])
    slack = 2.0 * float(found.relative[0]) + 2.0 * float(np.max(found.moved))
    assert low - slack <= ratio <= high + slack
    assert law.bounds[0] - slack <= ratio <= law.bounds[1] + slack


@every_law
def test_parts_add_up(law):
    edges = np.concatenate(([-math.inf], np.linspace(-3.0, 3.0, 41), [math.inf]))
    fine, whole = law.masses(edges), law.masses(WHOLE)
    assert fine.p.sum() == pytest.approx(whole.p[0], rel=1e-12)
    assert fine.q.sum() == pytest.approx(whole.q[0], rel=1e-12)


@every_law
def test_no_loss_lies_outside_the_bounds(law):
    low, high = law.bounds
    outside = law.masses(np.array([-math.inf, low - 1e-9, high + 1e-9, math.inf]))
    assert outside.p[0] == outside.p[2] == 0.0
    assert np.all((law.atoms.loss >= low - 1e-15) & (law.atoms.loss <= high + 1e-15))


@every_law
def test_the_other_direction_twice_is_the_first(law):
    twice = pairs.Reversed(pairs.Reversed(law))
    edges = np.linspace(-2.0, 2.0, 9)
    assert np.array_equal(twice.masses(edges).p, law.masses(edges).p)
    assert np.array_equal(twice.atoms.loss, law.atoms.loss)
    assert (twice.infinite, twice.vanishing, twice.bounds) == (law.infinite, law.vanishing, law.bounds)


@every_law
def test_laws_are_values(law):
    assert law == law
    assert len({law, law}) == 1
    assert law != pairs.gaussian(1234.5).remove


@every_law
@pytest.mark.parametrize("tilt", [0.3, 2.0, 9.0])
def test_moments_in_closed_form_are_the_moments_of_the_masses(law, tilt):
    closed = law.log_moment(tilt)
    if closed is None:
        return
    if law.infinite > 0.0:
        assert closed == math.inf
        return
    edges = np.linspace(-40.0, 60.0, 400_001)
    middle = 0.5 * (edges[:-1] + edges[1:])
    moment = float((law.masses(edges).p * np.exp(tilt * middle)).sum())
    moment += float((law.atoms.p * np.exp(tilt * law.atoms.loss)).sum())
    assert closed == pytest.approx(math.log(moment), rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", ["gaussian", "laplace"])
def test_characteristic_functions_are_those_of_the_masses(name):
    law, u = LAWS[name], np.array([0.0, 0.7, 3.0])
    edges = np.linspace(-30.0, 30.0, 400_001)
    middle = 0.5 * (edges[:-1] + edges[1:])
    summed = np.exp(1j * u[:, None] * middle) @ law.masses(edges).p
    summed += np.exp(1j * u[:, None] * law.atoms.loss) @ law.atoms.p
    assert law.characteristic(u) == pytest.approx(summed, abs=1e-6)


@pytest.mark.parametrize(("epsilon", "delta"), [(0.5, 0.0), (1.0, 1e-3), (0.0, 0.2)])
def test_the_stated_pair_is_private_as_stated_and_no_more(epsilon, delta):
    law = pairs.stated(epsilon, delta).remove
    for shift in (-0.3, 0.0, 0.3):
        eps = max(epsilon + shift, 0.0)
        found = law.infinite + float((law.atoms.p * np.maximum(-np.expm1(eps - law.atoms.loss), 0.0)).sum())
        bound = delta if shift >= 0.0 else 1.0
        assert found <= bound + 1e-15
    assert law.infinite == delta


def test_a_mixture_is_the_mean_of_its_parts():
    law = LAWS["mixture"]
    edges = np.linspace(-2.0, 2.0, 30)
    parts = [(0.3, SGM.add), (0.5, pairs.laplace(2.0).add), (0.2, pairs.stated(0.5, 1e-6).add)]
    assert law.masses(edges).p == pytest.approx(sum(w * part.masses(edges).p for w, part in parts), rel=1e-14)
    assert law.infinite == pytest.approx(0.2 * 1e-6)


@pytest.mark.parametrize(
    "build",
    [
        lambda: pairs.Finite(((0.5, 0.5), (0.4, 0.5))),
        lambda: pairs.Finite(((1.5, 0.5), (-0.5, 0.5))),
        lambda: pairs.StatedLoss(-1.0, 0.0),
        lambda: pairs.StatedLoss(1.0, 1.0),
        lambda: pairs.ResponseLoss(1, 0.5),
        lambda: pairs.ResponseLoss(3, 0.0),
        lambda: pairs.Mixture(((0.5, LAWS["laplace"]), (0.4, LAWS["gaussian"]))),
    ],
)
def test_what_is_no_law_is_refused(build):
    with pytest.raises(ValueError, match=r"=|sums"):
        build()
