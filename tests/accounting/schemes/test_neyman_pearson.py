"""Certified intervals around truths that are counted out: every way to draw is enumerated, and delta is an integral.

What is a supremum over data sets is the largest over gradients in {-1, 0, 1}: it lies below the upper end, and not
below the lower end, which such gradients realise.
"""

import itertools
import math
from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest
from scheme_oracle import Means, delta_of_means, fixed_size, truncated_poisson
from scipy import special

from dpplan import accounting
from dpplan.adjacency import ADD_REMOVE, ZERO_OUT, Adjacency
from dpplan.plan import Settings

EXACT = 2e-3  # of the integrals, relative


def held(settings: Settings, epsilon: float, truth: float, room: float = EXACT) -> None:
    found = accounting.delta(settings.plan(), epsilon)
    assert found.lower is not None and found.upper is not None
    assert found.lower <= truth * (1.0 + room) and truth * (1.0 - room) <= found.upper, (found, truth)


def larger(first: Means, second: Means, sigma: float, epsilon: float) -> float:
    return max(delta_of_means(first, second, sigma, epsilon), delta_of_means(second, first, sigma, epsilon))


def subsets(times: int, steps: int) -> Means:
    """A record of gradient 1 in `times` of the steps, all choices alike."""
    chosen = list(itertools.combinations(range(steps), times))
    return {tuple(float(t in each) for t in range(steps)): 1.0 / len(chosen) for each in chosen}


@pytest.mark.parametrize(("sigma", "steps", "epsilon"), [(1.0, 2, 0.5), (0.7, 2, 1.5), (1.0, 3, 0.3), (2.0, 3, 0.1)])
def test_balls_in_bins(sigma, steps, epsilon):
    settings = Settings(
        noise_multiplier=sigma,
        sample_rate=Fraction(1, steps),
        steps=steps,
        sampling="balls-in-bins",
        adjacency=ADD_REMOVE,
    )
    held(settings, epsilon, larger(subsets(1, steps), {(0.0,) * steps: 1.0}, sigma, epsilon))


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize(("times", "steps"), [(1, 2), (1, 3), (2, 3), (1, 4), (2, 4)])
@pytest.mark.parametrize(("sigma", "epsilon"), [(1.0, 0.6), (2.0, 0.2)])
def test_random_allocation(times, steps, sigma, epsilon):
    """The last of the outputs is integrated in closed form: the likelihood ratio is linear in its lognormal."""
    z = np.linspace(-8.0, 8.0, 101)
    weight, ratio = np.exp(-0.5 * z * z) * (z[1] - z[0]) / math.sqrt(2.0 * math.pi), np.exp(z / sigma - 0.5 / sigma**2)
    shape = (len(z),) * (steps - 1)
    ratios = [ratio.reshape([-1 if axis == at else 1 for axis in range(steps - 1)]) for at in range(steps - 1)]
    weights = [weight.reshape([-1 if axis == at else 1 for axis in range(steps - 1)]) for at in range(steps - 1)]
    count = math.comb(steps, times)
    without, beside = (
        sum(
            (np.broadcast_to(math.prod((ratios[t] for t in each), start=np.ones(())), shape) for each in chosen),
            start=np.zeros(shape),
        )
        / count
        for chosen in (itertools.combinations(range(steps - 1), k) for k in (times, times - 1))
    )
    weighed = np.broadcast_to(math.prod(weights), shape)
    found = []
    for sign in (1.0, -1.0):
        level = math.exp(sign * epsilon)
        strike = np.maximum((level - without) / beside, 0.0)
        with np.errstate(divide="ignore"):
            d = (0.5 / sigma**2 - np.log(strike)) * sigma
        call = special.ndtr(sign * d) - strike * special.ndtr(sign * (d - 1.0 / sigma))
        value = np.where(strike > 0.0, sign * beside * call, np.maximum(sign * (without + beside - level), 0.0))
        found.append(float((weighed * value).sum()) / (1.0 if sign > 0 else level))
    settings = Settings(
        noise_multiplier=sigma,
        sample_rate=Fraction(times, steps),
        steps=steps,
        sampling="random-allocation",
        scheme_options=(("times", times),),
        adjacency=ADD_REMOVE,
    )
    held(settings, epsilon, max(found))


@pytest.mark.parametrize(("examples", "batch", "steps"), [(3, 1, 1), (3, 2, 1), (4, 2, 1), (3, 1, 2)])
def test_fixed_size_zeroed_out(examples, batch, steps):
    sigma, epsilon = 1.0, 0.3
    best = 0.0
    for others in itertools.product((-1.0, 0.0, 1.0), repeat=examples - 1):
        laws = [fixed_size((record, *others), batch) for record in (1.0, 0.0)]
        best = max(best, larger(*(powers(law, steps) for law in laws), sigma, epsilon))
    settings = Settings(
        noise_multiplier=sigma,
        examples=examples,
        batch_size=batch,
        steps=steps,
        sampling="fixed-size",
        adjacency=ZERO_OUT,
    )
    held(settings, epsilon, best)


@pytest.mark.parametrize(
    ("examples", "cap", "steps"), [(3, 1, 1), (4, 2, 1), pytest.param(3, 1, 2, marks=pytest.mark.slow)]
)
def test_truncated_poisson_zeroed_out(examples, cap, steps):
    """From below by plain Poisson at the effective rate, which gradients of 1 beside zeros need not reach."""
    sigma, epsilon, q = 1.0, 0.3, 0.4
    best = 0.0
    for others in itertools.product((-1.0, 0.0, 1.0), repeat=examples - 1):
        laws = [truncated_poisson((record, *others), q, cap) for record in (1.0, 0.0)]
        best = max(best, larger(*(powers(law, steps) for law in laws), sigma, epsilon))
    settings = Settings(
        noise_multiplier=sigma,
        examples=examples,
        batch_size=q * examples,
        steps=steps,
        sampling="truncated-poisson",
        scheme_options=(("cap", cap),),
        adjacency=ZERO_OUT,
    )
    held(settings, epsilon, best)


@pytest.mark.sweep(every=2, slow=("3-2.0",))
@pytest.mark.parametrize(("examples", "epsilon"), [(2, 0.8), (3, 0.8), (3, 2.0)])
def test_shuffled_batches_of_one(examples, epsilon):
    sigma, best = 1.0, 0.0
    for others in itertools.product((-1.0, 0.0, 1.0), repeat=examples - 1):
        laws: list[dict[tuple[float, ...], float]] = []
        for record in (1.0, 0.0):
            law: dict[tuple[float, ...], float] = defaultdict(float)
            for order in itertools.permutations((record, *others)):
                law[order] += 1.0 / math.factorial(examples)
            laws.append(law)
        best = max(best, larger(*laws, sigma, epsilon))
    settings = Settings(
        noise_multiplier=sigma,
        examples=examples,
        batch_size=1,
        steps=examples,
        sampling="shuffle",
        adjacency=ZERO_OUT,
    )
    held(settings, epsilon, best)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("adjacency", [ADD_REMOVE, ZERO_OUT], ids=str)
@pytest.mark.parametrize(("q", "steps", "epsilon"), [(0.3, 1, 0.5), (0.3, 2, 1.0), (0.05, 1, 0.2)])
def test_a_user_of_two_examples(adjacency: Adjacency, q, steps, epsilon):
    sigma = 1.0
    law = {0.0: (1 - q) ** 2, 1.0: 2 * q * (1 - q), 2.0: q * q}
    truth = larger(powers(law, steps), {(0.0,) * steps: 1.0}, sigma, epsilon)
    settings = Settings(
        noise_multiplier=sigma, sample_rate=q, steps=steps, unit="user", max_per_user=2, adjacency=adjacency
    )
    held(settings, epsilon, truth)
    found = accounting.delta(settings.plan(), epsilon)
    assert found.relative_width < 1e-6, "it is exact"


def powers(law, steps: int) -> Means:
    """Of so many independent steps."""
    found: dict[tuple[float, ...], float] = defaultdict(float)
    for outcome in itertools.product(law.items(), repeat=steps):
        found[tuple(mean for mean, _ in outcome)] += math.prod(chance for _, chance in outcome)
    return found
