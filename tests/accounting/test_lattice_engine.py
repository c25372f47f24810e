"""The lattice engine against closed answers in mpmath: any law, any number of steps, any delta; and against itself."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import oracle
import pair_oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from dpplan.accounting import exact, pairs
from dpplan.accounting.exact.general_lattice import Accuracy, Composition, Interval, atom_spacing
from dpplan.accounting.exact.general_lattice.composed import Composed
from dpplan.accounting.exact.general_lattice.discretise import Lattice, discretise
from dpplan.plan import Plan

WIDE = 1e-4  # of a delta; most are far narrower
slow = pytest.mark.slow


@pytest.fixture(autouse=True)
def _precise():
    with mp.workdps(pair_oracle.DIGITS):
        yield


def one(law: pairs.Law, steps: int) -> Composition:
    return Composition.of([(law, steps)])


def assert_certified(composition: Composition, epsilon: float, truth: mpf, width: float = WIDE) -> None:
    """delta(ε) holds the truth, and ε(delta) the ε it came from."""
    found = composition.delta(epsilon)
    assert found.lower <= truth <= found.upper
    assert found.relative_width <= width
    if composition.infinite.upper < truth < 1.0 and truth > mpf(10) ** -300:
        spent = composition.epsilon(float(truth))
        slack = 1e-13 * (1.0 + abs(epsilon))  # the truth was rounded to a float
        assert spent.lower - slack <= epsilon <= spent.upper + slack
        assert spent.relative_width <= width


@pytest.mark.parametrize(
    ("step_epsilon", "step_delta", "steps", "epsilon"),
    [
        (1.0, 0.0, 1, 0.5),
        (1.0, 1e-9, 2, 0.5),
        (3.0, 0.0, 10, 29.0),
        (math.sqrt(2.0) / 7.0, 1e-7, 333, 1.2345),
        (0.1, 1e-8, 1000, 10.0),
        (0.1, 0.0, 1000, 60.0),  # 1.7e-74
        pytest.param(0.01, 0.0, 10_000, 15.0, marks=slow),  # 2.5e-49
        pytest.param(0.01, 0.0, 10_000, 1.0, marks=slow),
        pytest.param(0.1, 1e-12, 10_000, 250.0, marks=slow),
    ],
)
def test_stated_pairs_are_composed_to_ten_digits(step_epsilon, step_delta, steps, epsilon):
    truth = pair_oracle.stated_delta(step_epsilon, step_delta, steps, epsilon)
    assert_certified(one(pairs.stated(step_epsilon, step_delta).remove, steps), epsilon, truth, 1e-9)


@pytest.mark.parametrize(
    ("categories", "noise", "steps", "epsilon"),
    [(2, 0.5, 1, 0.3), (2, 0.9, 2000, 20.0), (4, 0.8, 30, 6.0), (10, 0.3, 25, 40.0), (3, 0.99, 60, 1.0)],
)
def test_randomized_response_is_composed_to_ten_digits(categories, noise, steps, epsilon):
    other = mpf(noise) / categories
    true, rest = 1 - mpf(noise) + other, (categories - 2) * other
    loss = mp.log(true / other)
    atoms = [(loss, true), (-loss, other), *([(mpf(0), rest)] if categories > 2 else [])]
    truth = pair_oracle.atoms_delta(atoms, steps, epsilon)
    assert_certified(one(pairs.randomized_response(categories, noise).remove, steps), epsilon, truth, 1e-9)


@pytest.mark.parametrize(
    ("noise", "steps", "epsilon"),
    [
        (0.99, 10_000, 15.0),  # 4e-50
        pytest.param(0.99, 10_000, 3.0, marks=slow),
        pytest.param(0.95, 10_000, 70.0, marks=slow),
        pytest.param(0.995, 7777, 6.0, marks=slow),
    ],
)
def test_ten_thousand_answers_of_randomized_response_are_their_binomial(noise, steps, epsilon):
    """The sum over all counts of true answers beyond ε, in 50 digits; each from the one before it."""
    other = mpf(noise) / 2
    true, loss = 1 - other, mp.log((1 - other) / other)
    first = int(mp.floor((mpf(epsilon) / loss + steps) / 2)) + 1
    mass, truth = mp.exp(oracle.log_binomial_pmf(first, steps, true)), mpf(0)
    for count in range(first, steps + 1):
        truth += mass * -mp.expm1(mpf(epsilon) - (2 * count - steps) * loss)
        mass *= (steps - count) * true / ((count + 1) * other)
    assert_certified(one(pairs.randomized_response(2, noise).remove, steps), epsilon, truth, 1e-8)


@pytest.mark.parametrize(
    ("weight", "stated", "steps", "epsilon"),
    [
        (0.25, [(0.02, 0.0), (0.01, 0.0)], 10_000, 20.0),  # 1e-50
        pytest.param(0.25, [(0.02, 0.0), (0.01, 0.0)], 10_000, 1.0, marks=slow),
        pytest.param(0.5, [(0.02, 1e-60), (0.01, 0.0)], 10_000, 24.0, marks=slow),
        pytest.param(0.5, [(0.2, 1e-9), (0.1, 0.0)], 10_000, 200.0, marks=slow),
    ],
)
def test_ten_thousand_steps_of_a_mixture_of_two_are_the_sum_over_roots_of_unity(weight, stated, steps, epsilon):
    """One ε is twice the other: all losses are whole multiples of it."""
    (large, large_delta), (unit, unit_delta) = stated
    law = pairs.mixed(
        ((weight, pairs.stated(large, large_delta)), (1.0 - weight, pairs.stated(unit, unit_delta)))
    ).remove
    with mp.workdps(80):  # 1 less 1e-60 is a number too
        kept = [mpf(weight) * (1 - mpf(large_delta)), (1 - mpf(weight)) * (1 - mpf(unit_delta))]
        outer, inner = (share / (1 + mp.exp(mpf(e))) for share, e in zip(kept, (large, unit), strict=True))
        masses = [outer, inner, mpf(0), inner * mp.exp(mpf(unit)), outer * mp.exp(mpf(large))]
        truth = pair_oracle.lattice_delta(masses, -2, mpf(unit), steps, epsilon)
    assert_certified(one(law, steps), epsilon, truth, 1e-8)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("scale", "steps", "epsilon"),
    [(1.0, 1, 0.3), (2.0, 2, 0.3), (2.0, 5, 0.7), (1.0, 12, 3.0), (5.0, 20, 2.5), (0.2, 7, 20.0), (1.0, 20, 19.0)],
)
def test_a_few_steps_of_laplace_noise(scale, steps, epsilon):
    truth = pair_oracle.laplace_delta(scale, steps, epsilon)
    assert_certified(one(pairs.laplace(scale).remove, steps), epsilon, truth, 2e-6)


def test_the_oracles_agree_with_each_other():
    one_step, contour = pair_oracle.one_laplace_delta, pair_oracle.contour_delta
    assert abs(pair_oracle.laplace_delta(1.7, 1, 0.2) / one_step(1.7, 0.2) - 1) < mpf(10) ** -40
    e, epsilon = 1 / mpf(0.7), mpf(1)
    kink = epsilon - e  # of what the second step has left
    between = mp.quad(lambda y: mp.exp((y - e) / 2) / 4 * one_step(0.7, epsilon - y), [-e, kink, e])
    two = one_step(0.7, epsilon - e) / 2 + mp.exp(-e) / 2 * one_step(0.7, epsilon + e) + between
    assert abs(pair_oracle.laplace_delta(0.7, 2, 1.0) / two - 1) < mpf(10) ** -12
    unit, masses = mp.log(3), [mpf("0.1"), mpf("0.15"), mpf(0), mpf("0.45"), mpf("0.29")]
    atoms = [((k - 2) * unit, mass) for k, mass in enumerate(masses) if mass]
    for steps, epsilon in ((1, 0.5), (6, 1.0), (6, 9.5)):
        exact_sum = pair_oracle.atoms_delta(atoms, steps, epsilon)
        assert abs(pair_oracle.lattice_delta(masses, -2, unit, steps, epsilon) / exact_sum - 1) < mpf(10) ** -40
    gaussian = mp.exp(oracle.gaussian_log_delta(mp.sqrt(40) / 3, 5.0))
    assert abs(contour([(pair_oracle.gaussian_moment(3.0), 40)], 5.0) / gaussian - 1) < mpf(10) ** -12


@pytest.mark.sweep(every=3, slow=("terms3",))
@pytest.mark.parametrize(
    ("terms", "epsilon"),
    [
        ([(1.0, 200)], 100.0),
        ([(2.0, 1000)], 300.0),  # 2.6e-46
        pytest.param([(10.0, 10_000)], 60.0, marks=slow),  # 0.1
        ([(10.0, 10_000)], 150.0),  # 8.5e-26
        pytest.param([(2.0, 300), (3.0, 500)], 60.0, marks=slow),
        ([(10.0, 5000), (11.3, 1000), (3.0, 100)], 60.0),  # atoms of three laws, incommensurable
    ],
)
def test_many_steps_of_laplace_noise_alike_or_not(terms, epsilon):
    truth = pair_oracle.contour_delta([(pair_oracle.laplace_moment(scale), steps) for scale, steps in terms], epsilon)
    assert_certified(Composition.of([(pairs.laplace(scale).remove, steps) for scale, steps in terms]), epsilon, truth)


@pytest.mark.parametrize(
    ("sigma", "steps", "epsilon"),
    [(1.0, 1, 0.5), (5.0, 100, 12.0), (50.0, 10_000, 8.0), (0.5, 2, 20.0), pytest.param(9.0, 7, 6.9, marks=slow)],
)
def test_gaussians_meet_their_closed_form(sigma, steps, epsilon):
    truth = mp.exp(oracle.gaussian_log_delta(mp.sqrt(steps) / sigma, epsilon))
    assert_certified(one(pairs.gaussian(sigma).remove, steps), epsilon, truth)


def test_gaussian_and_laplace_noise_in_one_run():
    moments = [(pair_oracle.laplace_moment(3.0), 200), (pair_oracle.gaussian_moment(5.0), 100)]
    truth = pair_oracle.contour_delta(moments, 40.0)
    terms = [(pairs.laplace(3.0).remove, 200), (pairs.gaussian(5.0).remove, 100)]
    assert_certified(Composition.of(terms), 40.0, truth, 2e-6)


@pytest.mark.parametrize(("steps", "epsilon"), [(1, 0.2), (9, 3.0), (25, 6.0)])
def test_a_mixture_of_two_is_the_multinomial_of_both(steps, epsilon):
    weights, stated = (0.25, 0.75), ((0.5, 1e-6), (0.25, 0.0))
    law = pairs.mixed(tuple((w, pairs.stated(*each)) for w, each in zip(weights, stated, strict=True))).remove
    atoms = []
    for weight, (e, d) in zip(weights, stated, strict=True):
        kept = mpf(weight) * (1 - mpf(d))
        atoms += [(mpf(e), kept / (1 + mp.exp(-mpf(e)))), (-mpf(e), kept / (1 + mp.exp(mpf(e))))]
    assert_certified(one(law, steps), epsilon, pair_oracle.atoms_delta(atoms, steps, epsilon), 1e-9)


@pytest.mark.parametrize("direction", ["remove", "add"])
@pytest.mark.parametrize(("q", "steps", "epsilon"), [(0.3, 60, 4.0), (0.01, 100, 0.3), (0.9, 40, 9.0)])
def test_sampled_laws_with_atoms_are_their_multinomial(q, steps, epsilon, direction):
    law = getattr(pairs.subsampled(pairs.stated(0.7, 0.0), q), direction)
    high = 1 / (1 + mp.exp(-mpf(0.7)))
    p, other = (high, 1 - high), (1 - high, high)
    mixed = [(1 - mpf(q)) * b + mpf(q) * a for a, b in zip(p, other, strict=True)]
    pair = (mixed, other) if direction == "remove" else (other, mixed)
    atoms = [(mp.log(a / b), a) for a, b in zip(*pair, strict=True)]
    assert_certified(one(law, steps), epsilon, pair_oracle.atoms_delta(atoms, steps, epsilon), 1e-4)


SAMPLED = [
    (2.0, 0.1, 100, 1e-10),
    (3.0, 0.3, 2, 1e-4),
    (20.0, 0.05, 5000, 1e-50),
    pytest.param(1.1, 256 / 60000, 300, 1e-5, marks=slow),
    pytest.param(4.0, 0.01, 10_000, 1e-5, marks=slow),
    pytest.param(1.0, 1.0, 10, 1e-5, marks=slow),
    pytest.param(0.7, 0.02, 50, 1e-6, marks=slow),
    pytest.param(10.0, 0.5, 1000, 1e-30, marks=slow),
    pytest.param(0.5, 0.001, 20, 1e-6, marks=slow),
    pytest.param(1.5, 1e-3, 2000, 1e-7, marks=slow),
    pytest.param(0.9, 0.9, 3, 1e-12, marks=slow),
    pytest.param(5.0, 1 / 79, 790, 1e-3, marks=slow),
]


@pytest.mark.sweep(every=2, slow=("2.0-0.1-100",))
@pytest.mark.parametrize(("sigma", "q", "steps", "delta"), SAMPLED)
def test_the_sampled_gaussian_meets_the_contour_engine(sigma, q, steps, delta):
    plan = Plan.from_rate(sigma, q, steps)
    pair = pairs.subsampled(pairs.gaussian(sigma), q)
    ends = [one(law, steps).epsilon(delta) for law in pair.directions]
    found = Interval(max(end.lower for end in ends), max(end.upper for end in ends))
    known = exact.epsilon(plan, delta)
    assert found.lower <= known.upper
    assert known.lower <= found.upper
    assert found.relative_width <= 1e-3
    deltas = [one(law, steps).delta(known.upper) for law in pair.directions]
    truth = exact.delta(plan, known.upper)
    assert max(each.lower for each in deltas) <= truth.upper
    assert truth.lower <= max(each.upper for each in deltas)


@pytest.mark.parametrize("law", [pairs.laplace(2.0).remove, pairs.gaussian(3.0).remove], ids=["laplace", "gaussian"])
def test_half_the_step_leaves_a_quarter_of_the_width(law):
    widths = [one(law, 100).delta(20.0, Accuracy(1e-15, 2**k)).relative_width for k in (13, 14, 15, 16)]
    for coarse, fine in pairwise(widths):
        assert 3.0 <= coarse / fine <= 6.0


def test_the_width_asked_for_is_met_where_points_allow():
    for width in (1e-3, 1e-5, 1e-7):
        assert one(pairs.laplace(2.0).remove, 50).delta(10.0, Accuracy(width)).relative_width <= width


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("points", [2**5, 2**7, 2**9])
def test_what_wraps_round_a_short_period_is_counted(points):
    law, steps = pairs.laplace(2.0).remove, 8
    h = atom_spacing.step([(law, float(steps))], 1.0, 0.02)
    lattice = Lattice(h, 2.0 * h)
    tilts = np.array([0.2, 0.5, 1.5, 2.5])
    composed = Composed([(discretise(law, lattice, law.bounds), float(steps))], lattice, points, 1.0, tilts)
    for epsilon in (0.0, 1.0, 2.0, 3.0):
        truth, value = pair_oracle.laplace_delta(2.0, steps, epsilon), composed.at(epsilon)
        assert composed.below(epsilon)[0] <= truth <= composed.above(epsilon)[0]
        assert value.lower <= truth <= value.upper
        if points == 2**9:
            assert value.upper - value.lower <= 1e-3


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize("points", [2**5, 2**7, 2**9])
def test_many_epsilons_are_held_by_the_sums_of_one(points):
    """In a short period many wrap round, and the places asked for lie more than one apart."""
    law, steps = pairs.laplace(2.0).remove, 8
    h = atom_spacing.step([(law, float(steps))], 1.0, 0.02)
    lattice, tilts = Lattice(h, 2.0 * h), np.array([0.2, 0.5, 1.5, 2.5])
    composed = Composed([(discretise(law, lattice, law.bounds), float(steps))], lattice, points, 1.0, tilts)
    epsilons = np.array([3.0, 0.0, 0.01, 7.0, -1.0, 1.0, 1.0, 2.013, 0.011])
    low, high = composed.ends(epsilons)
    for at, epsilon in enumerate(epsilons.tolist()):
        one, truth = composed.at(epsilon), pair_oracle.laplace_delta(2.0, steps, abs(epsilon))
        truth = truth if epsilon >= 0.0 else 1.0 - math.exp(epsilon) * (1.0 - truth)
        assert low[at] <= truth <= high[at]
        # What wraps round counts once more, which the aliases allow for.
        assert low[at] >= one.lower * (1.0 - 1e-9)
        assert high[at] <= one.upper + 2.0 * dict(one.terms)["aliases"] + 1e-9 * one.upper


@pytest.mark.parametrize("steps", [1, 30])
def test_one_lattice_serves_many_epsilons(steps):
    law = pairs.subsampled(pairs.laplace(1.0), 0.2).remove
    at = one(law, steps).around(0.3)
    epsilons = np.array([0.0, 0.1, 0.3, 0.7, 1e3])
    low, high = at(epsilons)
    for k, epsilon in enumerate(epsilons.tolist()):
        single = one(law, steps).delta(epsilon)
        assert max(low[k], single.lower) <= min(high[k], single.upper)
        assert high[k] - low[k] <= 1e-5 * high[k]


def test_infinite_losses_are_counted_exactly():
    law = pairs.stated(0.1, 1e-30).remove
    found = one(law, 10_000).delta(1e9)
    assert found.lower <= 1e-26 * (1 - 5e-27) <= found.upper
    assert found.relative_width <= 1e-12
    assert one(law, 10_000).epsilon(1e-27) == Interval(math.inf, math.inf)
    assert math.isfinite(one(law, 10_000).epsilon(1e-25).upper)


def test_nothing_is_spent_beyond_the_largest_loss():
    assert one(pairs.laplace(2.0).remove, 6).delta(3.1) == Interval(0.0, 0.0)
    assert one(pairs.stated(0.5, 0.0).remove, 6).delta(3.1) == Interval(0.0, 0.0)


@pytest.mark.parametrize(("scale", "steps"), [(5.0, 20), (4.0, 4), (10.0, 30), (1.0 / 0.3, 7)])
def test_at_the_largest_loss_itself_nothing_is_laid_and_next_to_nothing_is_spent(scale, steps, monkeypatch):
    """Whose float may lie on either side of it; the sum of the steps' own ε is asked for more than any other."""
    run = one(pairs.laplace(scale).remove, steps)
    monkeypatch.setattr(Composition, "_sketched", None)
    for epsilon in (steps / scale, math.nextafter(steps / scale, 0.0)):
        found = run.delta(epsilon)
        with mp.workdps(60):
            truth = max(mpf(steps) / mpf(scale) - mpf(epsilon), 0) * mpf(2) ** -steps
            assert found.lower <= truth <= found.upper <= 2.0 ** (-45 - steps)
    both = Composition.of([(pairs.laplace(scale).remove, steps), (pairs.stated(0.25, 1e-3).remove, 2)])
    found = both.delta(steps / scale + 0.5)
    assert found.lower <= 0.001999 <= found.upper <= 0.001999 * (1.0 + 1e-12)  # 1 - 0.999²


def test_delta_0_of_nearly_nothing_is_epsilon_0():
    found = one(pairs.gaussian(1e6).remove, 10).epsilon(0.01)
    assert found == Interval(0.0, 0.0)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("scale", [1e-3, 4e-3])
def test_losses_beyond_the_range_of_floats_give_wide_intervals_and_no_error(scale):
    composition = one(pairs.laplace(scale).remove, 3)
    found = composition.delta(2.5 / scale)
    assert found.lower <= pair_oracle.laplace_delta(scale, 3, 2.5 / scale) <= found.upper <= 1.0
    spent = composition.epsilon(1e-5)
    assert pair_oracle.laplace_delta(scale, 3, spent.lower) >= 1e-5
    assert pair_oracle.laplace_delta(scale, 3, spent.upper) <= 1e-5


def test_equal_laws_are_one():
    law, same = pairs.laplace(2.0).remove, pairs.laplace(2.0).remove
    assert Composition.of([(law, 3), (same, 4)]) == Composition.of([(law, 7)])


@dataclass(frozen=True)
class RoundedNoise(pairs.Law):
    """A law from outside the package, with no more than a law must have: integer noise with weights e^(-x²/(2σ²)) on a
    count that one record moves by 1. Loss (2x - 1)/(2σ²)."""

    sigma: float

    def masses(self, edges: pairs.Array) -> pairs.Masses:
        return pairs.nothing(edges)

    @property
    def atoms(self) -> pairs.Atoms:
        x = np.arange(-40, 41, dtype=np.float64)
        q = np.exp(-0.5 * (x / self.sigma) ** 2)
        p = np.exp(-0.5 * ((x - 1.0) / self.sigma) ** 2)
        return pairs.Atoms.of(
            list(zip((2.0 * x - 1.0) / (2.0 * self.sigma**2), p / p.sum(), q / q.sum(), strict=True)), 1e-14
        )


def test_a_law_from_outside_the_package_needs_its_atoms_and_no_more():
    weights = [mp.exp(-mpf((x - 1) ** 2) / (2 * mpf(1.5) ** 2)) for x in range(-40, 41)]
    one_step = [weight / mp.fsum(weights) for weight in weights]
    composed = [mpf(1)]
    for _ in range(4):
        summed = [mpf(0)] * (len(composed) + len(one_step) - 1)
        for i, a in enumerate(composed):
            for j, b in enumerate(one_step):
                summed[i + j] += a * b
        composed = summed
    epsilon, losses = 5.0, [(2 * (k - 160) - 4) / (2 * mpf(1.5) ** 2) for k in range(len(composed))]
    truth = mp.fsum(p * -mp.expm1(epsilon - y) for p, y in zip(composed, losses, strict=True) if y > epsilon)
    assert_certified(one(RoundedNoise(1.5), 4), epsilon, truth, 1e-9)


@pytest.mark.parametrize("terms", [[], [(pairs.laplace(1.0).remove, 0)], [(pairs.laplace(1.0).remove, -1)]])
def test_what_is_no_composition_is_refused(terms):
    with pytest.raises(ValueError, match="at least"):
        Composition.of(terms)


@pytest.mark.slow
@pytest.mark.parametrize("law", [pairs.laplace(1.0).remove, pairs.subsampled(pairs.gaussian(1.0), 0.05).add])
def test_delta_falls_as_epsilon_rises_and_rises_with_the_steps(law):
    deltas = [one(law, 30).delta(epsilon) for epsilon in (-1.0, 0.0, 0.1, 0.5, 1.0, 2.0)]
    for before, after in pairwise(deltas):
        assert after.lower <= before.upper
        assert after.upper <= before.upper * (1.0 + 1e-5)
    grown = [one(law, steps).delta(0.5) for steps in (1, 2, 5, 30, 200)]
    for fewer, more in pairwise(grown):
        assert fewer.lower <= more.upper


outcome = st.tuples(st.floats(0.02, 1.0), st.floats(0.0, 1.0))


@settings(derandomize=True, deadline=None, max_examples=25)
@given(rows=st.lists(outcome, min_size=2, max_size=3), steps=st.integers(1, 12), share=st.floats(-0.5, 0.95))
def test_any_table_of_outcomes_composed_holds_its_multinomial(rows, steps, share):
    if not any(q > 0.0 for _, q in rows):
        return
    table = np.array(rows) / np.array(rows).sum(axis=0)
    law = pairs.Finite(tuple((float(p), float(q)) for p, q in table))
    whole = [mp.fsum(side) for side in zip(*law.rows, strict=True)]  # 1 but for a rounding
    atoms = [(mp.log(mpf(p) / mpf(q)), mpf(p) / whole[0]) for p, q in law.rows if q > 0.0]
    epsilon = share * steps * max((float(loss) for loss, _ in atoms), default=1.0)
    truth = pair_oracle.atoms_delta(atoms, steps, epsilon) if atoms else mpf(1)
    found = one(law, steps).delta(epsilon, Accuracy(most=2**14))
    assert found.lower <= truth * (1 + mpf(10) ** -15)
    assert truth * (1 - mpf(10) ** -15) <= found.upper


@settings(derandomize=True, deadline=None, max_examples=25)
@given(
    law=st.one_of(
        st.builds(lambda b: pairs.laplace(b).remove, st.floats(0.05, 50.0)),
        st.builds(lambda s: pairs.gaussian(s).remove, st.floats(0.3, 100.0)),
        st.builds(lambda e, d: pairs.stated(e, d).remove, st.floats(0.001, 5.0), st.floats(0.0, 1e-3)),
        st.builds(lambda b, q: pairs.subsampled(pairs.laplace(b), q).add, st.floats(0.1, 5.0), st.floats(1e-4, 0.99)),
        st.builds(
            lambda s, q: pairs.subsampled(pairs.gaussian(s), q).remove, st.floats(0.4, 20.0), st.floats(1e-4, 0.9)
        ),
    ),
    log_steps=st.floats(0.0, 9.0),
    log_delta=st.floats(-110.0, -1.0),
)
def test_the_ends_are_in_order_and_prove_each_other(law, log_steps, log_delta):
    composition, delta = one(law, int(math.exp(log_steps))), math.exp(log_delta)
    spent = composition.epsilon(delta, Accuracy(1e-4, 2**14))
    assert 0.0 <= spent.lower <= spent.upper
    if math.isfinite(spent.upper):
        back = composition.delta(spent.upper, Accuracy(1e-4, 2**14))
        assert 0.0 <= back.lower <= back.upper <= 1.0
        assert back.lower <= delta * (1.0 + 1e-12)
