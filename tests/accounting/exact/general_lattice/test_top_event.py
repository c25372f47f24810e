"""Steps that lose the most they can bound delta and ε from below, where lattices say nothing."""

import itertools
import math

import pytest
from mpmath import mp, mpf

from dpplan import accounting
from dpplan.accounting import pairs
from dpplan.accounting.exact.general_lattice import Composition, top_event
from dpplan.accounting.pairs.finite import DiscreteLaplaceLoss, StatedLoss
from dpplan.mechanism import DiscreteLaplace, Laplace, Stated
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

ANSWERS = pairs.randomized_response(3, 0.4).remove


def sampled_integers(epsilon, rate):
    law = DiscreteLaplaceLoss(epsilon, 1)
    return pairs.subsampled(pairs.DominatingPair(law, law, "of a test"), rate).remove


GEOMETRIC = sampled_integers(0.7, 0.2)


def exact_delta(terms, epsilon):
    """By every outcome of every step, of laws that are atoms and nothing else."""
    steps = [law for law, count in terms for _ in range(count)]
    total = mpf(0)
    for outcome in itertools.product(*(law.atoms.rows for law in steps)):
        p = mp.fprod(mpf(row[1]) for row in outcome)
        loss = mp.fsum(mpf(row[0]) for row in outcome)
        if loss > epsilon:
            total += p * (1 - mp.exp(mpf(epsilon) - loss))
    return total


@pytest.mark.parametrize("terms", [[(ANSWERS, 4)], [(GEOMETRIC, 3)], [(ANSWERS, 2), (GEOMETRIC, 2)]])
def test_it_is_below_every_delta_and_most_of_it_near_the_end(terms):
    largest = sum(count * law.atoms.loss[-1] for law, count in terms)
    for share in (-0.3, 0.0, 0.4, 0.8, 0.95, 0.9999, 1.0 - 1e-12, 1.0):
        found, truth = top_event.delta_below(terms, share * largest), exact_delta(terms, share * largest)
        assert found <= truth
        if 0.999 < share < 1.0:  # what moves the largest loss by a rounding moves this by as much
            assert found >= truth * (1 - 1e-14 / (1 - share))


@pytest.mark.parametrize("terms", [[(ANSWERS, 4)], [(GEOMETRIC, 3)], [(ANSWERS, 2), (GEOMETRIC, 2)]])
@pytest.mark.parametrize("delta", [0.3, 1e-2, 1e-5, 1e-12, 1e-50, 1e-300])
def test_delta_at_its_epsilon_is_no_less_than_what_was_asked_for(terms, delta):
    found = top_event.epsilon_below(terms, delta)
    assert found == 0.0 or exact_delta(terms, found) >= delta
    if delta <= 1e-12:
        assert found == pytest.approx(sum(count * law.atoms.loss[-1] for law, count in terms), rel=1e-8)


def test_steps_without_such_a_loss_are_not_looked_at():
    """Nor many whose largest loss is next to nothing, where a delta is not to be had for all."""
    rare = sampled_integers(0.1, 1e-6)
    noise = pairs.gaussian(20.0).remove
    terms = [(ANSWERS, 7), (rare, 5000), (noise, 3)]
    alone = 7 * ANSWERS.atoms.loss[-1]
    assert alone * (1 - 1e-6) < top_event.epsilon_below(terms, 1e-20) < alone + 5000 * rare.atoms.loss[-1]
    assert top_event.epsilon_below([(noise, 3)], 1e-20) == 0.0 == top_event.delta_below([(noise, 3)], 0.1)


def sampled_laplace_delta(epsilon, q, x):
    """delta of one step at any x: P[L > x] - e^x Q[L > x], Q = Laplace(0, 1/ε), P the same but moved by 1 at rate q."""
    low, high = (mp.log(1 + q * (mp.exp(side * epsilon) - 1)) for side in (-1, 1))
    if x >= high:
        return mpf(0)
    if x < low:
        return 1 - mp.exp(x)
    # The density ratio at t in (0, 1) is 1 - q + q·e^(ε(2t - 1)).
    t = max((mp.log((mp.exp(x) - 1) / q + 1) / epsilon + 1) / 2, mpf(0))
    moved, other = 1 - mp.exp(-epsilon * (1 - t)) / 2, mp.exp(-epsilon * t) / 2
    return (1 - q) * other + q * moved - mp.exp(x) * other


def two_steps(epsilon, q, x):
    """The first by its outcome: at its largest loss, at its smallest, or t between."""
    low, high = (mp.log(1 + q * (mp.exp(side * epsilon) - 1)) for side in (-1, 1))
    most, least = ((1 - q) * mp.exp(-epsilon) + q) / 2, ((1 - q) + q * mp.exp(-epsilon)) / 2
    ends = most * sampled_laplace_delta(epsilon, q, x - high) + least * sampled_laplace_delta(epsilon, q, x - low)

    def between(t):
        density = epsilon / 2 * ((1 - q) * mp.exp(-epsilon * t) + q * mp.exp(-epsilon * (1 - t)))
        loss = mp.log(1 + q * (mp.exp(epsilon * (2 * t - 1)) - 1))
        return density * sampled_laplace_delta(epsilon, q, x - loss)

    reaches = (mp.log((mp.exp(x - high) - 1) / q + 1) / epsilon + 1) / 2  # where the second's largest makes up for it
    return ends + mp.quad(between, [max(reaches, mpf(0)), 1])


@pytest.mark.sweep(every=5, slow=("1e-11-0.48",))
@pytest.mark.parametrize("epsilon, q", [(0.48, 7e-4), (0.2, 0.1), (1.5, 1e-5)])
@pytest.mark.parametrize("delta", [1e-11, 1e-20])
def test_two_steps_of_sampled_laplace_noise_at_tiny_deltas(epsilon, q, delta):
    """Where a lattice's tilt is so steep that most of its masses are no floats."""
    bound = accounting.epsilon(Plan((Phase(Laplace(epsilon), Poisson(q), 2),)), delta)
    with mp.workdps(60):
        rate, scale = mpf(q), mpf(epsilon)
        assert two_steps(scale, rate, mpf(bound.lower)) >= delta >= two_steps(scale, rate, mpf(bound.upper))
    assert bound.upper - bound.lower <= 2e-5 * bound.upper


@pytest.mark.sweep(every=7, slow=("1e-20-3",))
@pytest.mark.parametrize("mechanism", [Laplace(0.5), DiscreteLaplace(0.5)])
@pytest.mark.parametrize("steps", [17, 3])
@pytest.mark.parametrize("delta", [1e-13, 1e-20, 1e-50])
def test_few_sampled_steps_are_known_in_many_digits(mechanism, steps, delta):
    plan = Plan((Phase(mechanism, Poisson(1e-3), steps),))
    bound = accounting.epsilon(plan, delta)
    assert bound.upper - bound.lower <= 1e-6 * bound.upper
    assert accounting.delta(plan, bound.upper).lower <= delta <= accounting.delta(plan, bound.lower).upper


@pytest.mark.slow
def test_at_the_end_of_all_losses_it_is_no_more_than_the_interval():
    run = Composition.of([(ANSWERS, 5)])
    for below in (1e-3, 1e-9, 1e-15, 0.0):
        found = run.delta(5 * ANSWERS.atoms.loss[-1] * (1 - below))
        assert 0.0 <= found.lower <= found.upper
        assert below < 1e-12 or math.isclose(found.lower, found.upper, rel_tol=1e-4)


@pytest.mark.parametrize("terms, delta", [([(ANSWERS, 2)], 1e-20), ([(GEOMETRIC, 2), (ANSWERS, 3)], 1e-12)])
def test_a_steep_lattice_alone_says_so_too(monkeypatch, terms, delta):
    """Of masses that underflowed no more is counted than a law's whole mass: as the smallest floats, far below the
    largest loss they would outweigh all that there is."""
    monkeypatch.setattr(top_event, "epsilon_below", lambda terms, delta: 0.0)
    found = Composition.of(terms).epsilon(delta)
    assert found.relative_width <= 1e-6


# Of few rates e^loss·q is near 1, where log q + loss loses what both are rounded by.
RARE = [
    (68.72706742140505, 9.296590453218298e-32),
    (69.98820561059824, 2.483281170332599e-32),
    (31.957004377421942, 1.0212713045913447e-15),
    (99.0, 3e-44),
    (45.5, 1.7e-20),
    (8.0, 2e-4),
]


@pytest.mark.sweep(every=9, slow=("2-99.0",))
@pytest.mark.parametrize(("epsilon", "rate"), RARE)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_close_to_the_largest_loss_of_rarely_sampled_answers_delta_is_between_both_ends(epsilon, rate, steps):
    plan = Plan((Phase(Stated(epsilon, 0.0), Poisson(rate), steps),))
    with mp.workdps(60):
        largest = steps * mp.log1p(mpf(rate) * mp.expm1(mpf(epsilon)))
        mass = ((1 - mpf(rate)) * mp.exp(-mpf(epsilon)) + mpf(rate)) / (1 + mp.exp(-mpf(epsilon)))
        for below in (1e-10, 1e-12, 1e-13, 1e-14, 5e-15, 1e-15, 2e-16):
            at = float(largest * (1 - mpf(below)))
            found = accounting.delta(plan, at)
            truth = mass**steps * -mp.expm1(mpf(at) - largest) if at < largest else mpf(0)
            assert found.lower <= truth <= found.upper


@pytest.mark.parametrize(("steps", "epsilon"), [(2377, 2375.5), (2377, 2376.2), (2378, 2377.0)])
def test_a_mass_that_floats_hardly_hold_bounds_nothing(steps, epsilon):
    with mp.workdps(30):
        truth = mp.exp(-steps * mp.log1p(mp.exp(-1))) * -mp.expm1(mpf(epsilon) - steps)
        assert top_event.delta_below([(StatedLoss(1.0, 0.0), steps)], epsilon) <= truth
