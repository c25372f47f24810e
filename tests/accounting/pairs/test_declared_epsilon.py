"""Mechanisms that are declared by the epsilon of a release, against mpmath: every δ and ε within the interval."""

import functools
import itertools
import json
import math
from collections.abc import Callable, Sequence

import numpy as np
import pair_oracle
import pytest
from mpmath import mp, mpf

from dpplan import accounting, mechanism
from dpplan.accounting import ACCOUNTANTS
from dpplan.accounting.pairs import declared_epsilon
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import NotApplicable, PlanError
from dpplan.mechanism import (
    AboveThreshold,
    DiscreteLaplace,
    Exponential,
    Gaussian,
    Laplace,
    Mechanism,
    NoisyMax,
    PermuteAndFlip,
    RandomizedResponse,
    Stated,
    StatedGdp,
)
from dpplan.plan import Phase, Plan
from dpplan.plan_json import plan_from_json, plan_to_json
from dpplan.sampling import FixedSize, Poisson

FULL = Poisson(1.0)
STEPS = (1, 2, 17, 1000)
DIGITS = 500  # the power of a polynomial loses hundreds of them on the way to its thousandth
E = 0.3
Lattice = tuple[mpf, mpf, list[mpf]]  # lowest loss, the distance between losses, the P-mass of each


def once(kind: Mechanism, steps: int = 1, adjacency: Adjacency = ADD_REMOVE, rate: float = 1.0) -> Plan:
    return Plan((Phase(kind, Poisson(rate), steps),), adjacency=adjacency)


@functools.lru_cache(maxsize=4)  # of one case: asked at either end, for each δ
def composed(p: tuple[mpf, ...], steps: int) -> list[mpf]:
    """The coefficients of the power of a generating polynomial."""
    degree = len(p) - 1
    power = [p[0] ** steps]
    for k in range(1, degree * steps + 1):
        terms = ((i * (steps + 1) - k) * p[i] * power[k - i] for i in range(1, min(degree, k) + 1))
        power.append(mp.fsum(terms) / (k * p[0]))
    return power


def lattice_delta(lattice: Lattice, steps: int, epsilon: float) -> mpf:
    """Of losses on a lattice, by those of their generating polynomial."""
    low, unit, p = lattice
    power = composed(tuple(p), steps)
    missing = 1 - mp.fsum(p) ** steps  # at loss inf
    # 1 - e^(ε - loss), with exponentials in geometric progression: DIGITS are plenty for what cancels.
    each, step, found = mp.exp(epsilon - steps * low), mp.exp(-unit), missing
    for mass in power:
        if each < 1:
            found += mass * (1 - each)
        each *= step
    return found


def stated_lattice(delta: float) -> Lattice:
    e = mpf(E)
    return -e, 2 * e, [(1 - mpf(delta)) / (1 + mp.exp(e)), (1 - mpf(delta)) / (1 + mp.exp(-e))]


def answer_lattice(k: int) -> Lattice:
    e = mpf(E)
    whole = mp.exp(e) + k - 1
    return -e, e, [1 / whole, (k - 2) / whole, mp.exp(e) / whole]


def zeroed_lattice(k: int, added: bool) -> Lattice:
    e = mpf(E)
    whole = mp.exp(e) + k - 1
    low, high = mp.log(k / whole), mp.log(k * mp.exp(e) / whole)
    if added:
        return -high, high - low, [mpf(1) / k, mpf(k - 1) / k]
    return low, high - low, [(k - 1) / whole, mp.exp(e) / whole]


def geometric_lattice(far: int) -> Lattice:
    """From the noise itself: outputs 0..far, with what lies beyond gathered at the ends."""
    a = mpf(E) / far
    at = [(1 - mp.exp(-a)) / (1 + mp.exp(-a)) * mp.exp(-a * x) for x in range(far + 1)]
    tail = 1 / (1 + mp.exp(-a))
    masses = [tail, *at[1:far], mp.exp(-a * far) * tail]  # by distance from P's centre: losses fall by 2a
    return -mpf(E), 2 * a, masses[::-1]


def sampled_lattice(q: float, added: bool) -> Lattice:
    e, rate = mpf(E), mpf(q)
    up, down = 1 / (1 + mp.exp(-e)), 1 / (1 + mp.exp(e))
    with_it = [(1 - rate) * down + rate * up, (1 - rate) * up + rate * down]  # of the likelier outcome, the other
    without = [down, up]
    p, other = (without, with_it) if added else (with_it, without)
    (high, a), (low, b) = sorted(((mp.log(x / y), x) for x, y in zip(p, other, strict=True)), reverse=True)
    return low, high - low, [b, a]


CASES: list[tuple[str, Mechanism, Adjacency, float, Sequence[Lattice]]] = []
with mp.workdps(DIGITS):
    CASES += [
        ("stated", Stated(E), ADD_REMOVE, 1.0, [stated_lattice(0.0)]),
        ("stated with delta", Stated(E, 1e-9), REPLACE_ONE, 1.0, [stated_lattice(1e-9)]),
        ("binary answer", RandomizedResponse(E), REPLACE_ONE, 1.0, [answer_lattice(2)]),
        ("answer", RandomizedResponse(E, 5), REPLACE_ONE, 1.0, [answer_lattice(5)]),
        ("zeroed", RandomizedResponse(E, 5), ZERO_OUT, 1.0, [zeroed_lattice(5, False), zeroed_lattice(5, True)]),
        ("geometric", DiscreteLaplace(E), ZERO_OUT, 1.0, [geometric_lattice(1)]),
        ("geometric far", DiscreteLaplace(E, 3), ADD_REMOVE, 1.0, [geometric_lattice(3)]),
        ("sampled", Stated(E), ADD_REMOVE, 0.1, [sampled_lattice(0.1, False), sampled_lattice(0.1, True)]),
    ]


@pytest.mark.sweep(every=3, slow=("geometric far-1000", "answer-1000"))
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("kind", "adjacency", "rate", "lattices"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_discrete_laws_are_those_of_mpmath(
    kind: Mechanism, adjacency: Adjacency, rate: float, lattices: Sequence[Lattice], steps: int
) -> None:
    plan = once(kind, steps, adjacency, rate)
    stated_delta = getattr(kind, "delta", 0.0)
    for delta in (1e-5, *([1e-50] if stated_delta == 0.0 else [])):
        found = accounting.epsilon(plan, delta)
        assert found.lower is not None and found.upper is not None
        with mp.workdps(DIGITS):
            at_upper = max(lattice_delta(each, steps, found.upper) for each in lattices)
            at_lower = max(lattice_delta(each, steps, found.lower) for each in lattices)
        assert at_upper <= delta
        assert at_lower >= delta or found.lower == 0.0
        # Near the largest loss there is, which the lattice knows to a part of its width, no more is proven.
        assert found.upper - found.lower <= (1e-5 if delta > 1e-40 else 5e-5) * found.upper or (delta, steps) == (
            1e-50,
            1,
        )


@pytest.mark.parametrize("steps", [1, 2, 17])
@pytest.mark.parametrize("delta", [1e-5, 1e-50])
def test_laplace_noise_is_that_of_mpmath(steps: int, delta: float) -> None:
    found = accounting.epsilon(once(Laplace(E), steps), delta)
    assert found.lower is not None and found.upper is not None
    with mp.workdps(80):
        assert pair_oracle.laplace_delta(1 / E, steps, found.upper) <= delta * (1 + 1e-9)
        assert found.lower == 0.0 or pair_oracle.laplace_delta(1 / E, steps, found.lower) >= delta * (1 - 1e-9)


def test_twenty_laplace_releases_before_a_run_cost_what_another_accountant_says() -> None:
    plan = Plan((Phase(Laplace(0.2), FULL, 20), Phase(Gaussian(3.0), Poisson(0.02), 500)))
    found = accounting.epsilon(plan, 1e-6)
    assert found.value == pytest.approx(3.7833, abs=1e-4)
    assert found.relative_width is not None and found.relative_width < 1e-8


@pytest.mark.parametrize("rate", [0.1, 0.7])
@pytest.mark.parametrize("epsilon", [0.0, 0.01, 0.02])
def test_one_sampled_laplace_release_is_that_of_mpmath(rate: float, epsilon: float) -> None:
    """The sampled likelihood ratio rises along the line, so the best events are half-lines: from the noise itself."""
    with mp.workdps(40):
        q, e, bend = mpf(rate), mpf(E), mp.exp(mpf(epsilon))

        def beyond(x: mpf, centre: int) -> mpf:
            away = mp.exp(-e * abs(x - centre)) / 2
            return away if x >= centre else 1 - away

        def place(ratio: mpf) -> mpf:  # where density(x - 1)/density(x) has this value, within [0, 1]
            return (mp.log(ratio) / e + 1) / 2

        above, below = place(1 + (bend - 1) / q), place(1 + (1 / bend - 1) / q)
        removed = (1 - q) * beyond(above, 0) + q * beyond(above, 1) - bend * beyond(above, 0)
        under = [1 - beyond(below, centre) for centre in (0, 1)]
        added = under[0] - bend * ((1 - q) * under[0] + q * under[1])
        found = accounting.delta(once(Laplace(E), 1, ADD_REMOVE, rate), epsilon)
        assert found.lower is not None and found.upper is not None
        assert found.lower <= max(removed, added) <= found.upper
        assert found.upper - found.lower <= 1e-6 * found.upper


@pytest.mark.parametrize("steps", STEPS)
def test_stated_gdp_costs_at_most_one_gaussian(steps: int) -> None:
    found = accounting.epsilon(once(StatedGdp(0.2), steps), 1e-6)
    with mp.workdps(40):
        mu = mp.sqrt(steps) * mpf("0.2")
        spent = mp.ncdf(mu / 2 - found.value / mu) - mp.exp(found.value) * mp.ncdf(-mu / 2 - found.value / mu)
        assert spent <= 1e-6 and spent > 0.999e-6
    assert found.lower == 0.0  # it need not cost anything


def test_every_declared_mechanism_has_a_pair_under_each_relation() -> None:
    for kind in declared_epsilon.WHOLE:
        for adjacency in (ADD_REMOVE, REPLACE_ONE, ZERO_OUT):
            made = kind(**GIVEN[kind.kind]) if kind.kind in GIVEN else kind(0.5)  # type: ignore[call-arg]
            assert declared_epsilon.PAIRS[kind, Poisson, adjacency](Phase(made, FULL, 1)).dominates


@pytest.mark.parametrize("kind", [Exponential, NoisyMax, PermuteAndFlip])
def test_a_choice_costs_at_most_what_is_stated_of_it(kind: type[Exponential]) -> None:
    found, whole = (accounting.epsilon(once(each, 17), 1e-6) for each in (kind(0.2), Stated(0.2)))
    assert found.upper == pytest.approx(whole.upper)
    assert found.lower == 0.0 and whole.lower is not None and whole.lower > 3.0


def test_a_choice_beside_a_run_lies_between_the_run_alone_and_all_that_is_stated() -> None:
    run, count = Phase(Gaussian(3.0), Poisson(0.02), 500), Phase(Stated(0.2), FULL, 5)
    found = accounting.epsilon(Plan((run, Phase(NoisyMax(0.2), FULL, 5))), 1e-6)
    alone, whole = accounting.epsilon(Plan((run,)), 1e-6), accounting.epsilon(Plan((run, count)), 1e-6)
    assert found.lower == pytest.approx(alone.value, rel=1e-4)
    assert found.upper == pytest.approx(whole.value, rel=1e-4)


@pytest.mark.parametrize("name", [name for name in ACCOUNTANTS if name not in ("exact", "rdp", "zcdp")])
def test_accountants_of_gaussians_refuse_all_others(name: str) -> None:
    for kind in (Laplace(0.2), Stated(0.2, 1e-9), StatedGdp(0.2), DiscreteLaplace(0.2), Exponential(0.2)):
        with pytest.raises(NotApplicable):
            accounting.epsilon(once(kind), 1e-6, name)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (once(RandomizedResponse(0.2)), "Try replace-one or zero-out"),
        (once(RandomizedResponse(0.2), 1, ZERO_OUT, 0.5), "answered by every record"),
        (once(Laplace(0.2), 1, REPLACE_ONE, 0.5), "Try --adjacency add-remove or zero-out"),
        (once(Exponential(0.2), 1, REPLACE_ONE, 0.5), "Try --adjacency add-remove or zero-out"),
        (Plan((Phase(Laplace(0.2), FixedSize(10, 100), 1),)), "laplace with fixed-size"),
    ],
)
def test_what_no_theorem_is_known_for_is_refused(plan: Plan, said: str) -> None:
    with pytest.raises(NotApplicable, match=said):
        accounting.epsilon(plan, 1e-6)


# What a mechanism is made with, where a number alone will not do.
GIVEN: dict[str, dict[str, object]] = {
    "rdp": {"orders": (2.0, 8.0), "epsilons": (0.1, 0.5)},
    "discrete-gaussian": {"noise_scale": 2.0, "differences": (2, 1)},
    "above-threshold": {"threshold_scale": 10.0, "query_scale": 20.0},
    "thresholded-counts": {"noise_scale": 2.0, "threshold": 20.0, "noise": "laplace"},
    "tree": {"noise_multiplier": 4.0, "participations": 3, "separation": 9},
    "toeplitz": {"noise_multiplier": 4.0, "coefficients": (1.0, 0.5)},
    "matrix": {"noise_multiplier": 4.0, "entries": (0.0, 1.0, 0.5, 2.0), "bands": 2},
    "blt": {"noise_multiplier": 4.0, "decays": (0.9, 0.5), "scales": (0.1, 0.2)},
}


@pytest.mark.parametrize("kind", mechanism.MECHANISMS)
def test_every_mechanism_goes_through_json(kind: str) -> None:
    made = mechanism.MECHANISMS[kind](**GIVEN[kind]) if kind in GIVEN else mechanism.MECHANISMS[kind](0.5)  # type: ignore[call-arg]
    plan = once(made, 3, REPLACE_ONE)
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Laplace(0), "epsilon=0"),
        (lambda: Laplace(1e3), "more than 100"),
        (lambda: Laplace(1e-9), "less than 1e-06"),
        (lambda: DiscreteLaplace(0.1, 1.5), "sensitivity=1.5"),  # type: ignore[arg-type]
        (lambda: DiscreteLaplace(0.1, 10**6), "more than 1000"),
        (lambda: RandomizedResponse(0.1, 1), "leaves no choice"),
        (lambda: Stated(-1.0), "epsilon=-1"),
        (lambda: Stated(1.0, 1.0), "delta=1"),
        (lambda: StatedGdp(0.0), "mu=0"),
        (lambda: StatedGdp(1e9), "between"),
    ],
)
def test_settings_out_of_range_are_refused(make: object, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        make()  # type: ignore[operator]


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("kind", [Stated(E), StatedGdp(E), Laplace(E), Exponential(E), NoisyMax(E)], ids=repr)
def test_sampled_and_zeroed_out_it_is_said_what_makes_sampling_help(kind: Mechanism) -> None:
    """Whoever publishes which records were drawn, and of each a randomized response that is uniform for a zeroed one,
    is (ε, 0)-private for such neighbours, and no less so without sampling."""

    def why(adjacency: Adjacency, rate: float) -> str:
        return accounting.epsilon(once(kind, 2, adjacency, rate), 1e-5).why

    assert declared_epsilon.AS_GOOD_AS_NONE in why(ZERO_OUT, 0.1)
    assert declared_epsilon.AS_GOOD_AS_NONE not in why(ZERO_OUT, 1.0) + why(ADD_REMOVE, 0.1)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize("epsilon", [0.0, 0.05, 0.3])
def test_a_sampled_stated_delta_is_that_of_every_outcome(steps: int, epsilon: float) -> None:
    """Both directions, outcome by outcome: likely, unlikely, revealed with the record, revealed without it."""
    with mp.workdps(40):
        q, e, delta = mpf("0.2"), mpf(E), mpf("1e-3")
        high, low = (1 - delta) / (1 + mp.exp(-e)), (1 - delta) / (1 + mp.exp(e))
        with_it, without = [high, low, delta, mpf(0)], [low, high, mpf(0), delta]
        mixed = [(1 - q) * b + q * a for a, b in zip(with_it, without, strict=True)]
        worst = mpf(0)
        for p, other in ((mixed, without), (without, mixed)):
            runs = itertools.product(range(4), repeat=steps)
            chances = ((mp.fprod(p[at] for at in run), mp.fprod(other[at] for at in run)) for run in runs)
            worst = max(worst, mp.fsum(max(a - mp.exp(mpf(epsilon)) * b, 0) for a, b in chances))
        found = accounting.delta(once(Stated(E, 1e-3), steps, ADD_REMOVE, 0.2), epsilon)
        assert found.lower is not None and found.upper is not None
        assert found.lower <= worst * (1 + mpf("1e-12")) and worst <= found.upper * (1 + mpf("1e-12"))
        assert found.upper - found.lower <= 1e-5 * found.upper


def test_queries_that_a_replaced_record_moves_both_ways_are_not_monotone() -> None:
    for accountant in ("exact", "rdp"):
        with pytest.raises(NotApplicable, match="queries=monotone is no property of a record that is replaced"):
            accounting.epsilon(once(AboveThreshold(2.0, 4.0, 1, "monotone"), adjacency=REPLACE_ONE), 1e-6, accountant)
    half = accounting.epsilon(once(AboveThreshold(2.0, 4.0, 1, "monotone"), adjacency=ZERO_OUT), 1e-6).upper
    whole = accounting.epsilon(once(AboveThreshold(2.0, 4.0, 1, "any"), adjacency=REPLACE_ONE), 1e-6).upper
    assert half == pytest.approx(0.75, abs=1e-4) and whole == pytest.approx(1.0, abs=1e-4)


def flipped(scores: tuple[int, ...], epsilon: float) -> np.ndarray:
    """Permute-and-flip: in every order, the first answer whose coin says yes."""
    chances = np.exp(epsilon / 2 * (np.array(scores) - max(scores)))
    found, orders = np.zeros(len(scores)), list(itertools.permutations(range(len(scores))))
    for order in orders:
        left = 1.0 / len(orders)
        for at in order:
            found[at] += left * chances[at]
            left *= 1.0 - chances[at]
    return found


def noisiest(scores: tuple[int, ...], epsilon: float) -> np.ndarray:
    """The largest of scores with Laplace noise of scale 2/ε, by the trapezoid rule."""
    x = np.linspace(-100.0, 100.0, 20_001)
    behind = np.array(scores)[:, np.newaxis] - x  # so far a score lies above x
    below = np.where(behind < 0, 1 - np.exp(epsilon / 2 * np.minimum(behind, 0)) / 2, np.exp(-epsilon / 2 * behind) / 2)
    density = epsilon / 4 * np.exp(-epsilon / 2 * np.abs(behind))
    others = [np.prod(np.delete(below, at, axis=0), axis=0) for at in range(len(scores))]
    return np.sum(density * np.array(others), axis=1) * (x[1] - x[0])


def weighed(scores: tuple[int, ...], epsilon: float) -> np.ndarray:
    """The exponential mechanism."""
    weights = np.exp(epsilon / 2 * np.array(scores))
    return weights / weights.sum()


@pytest.mark.parametrize(("kind", "law"), [(PermuteAndFlip, flipped), (NoisyMax, noisiest), (Exponential, weighed)])
def test_no_choice_on_a_tiny_domain_costs_more_than_is_claimed(
    kind: type[PermuteAndFlip | NoisyMax | Exponential], law: Callable[[tuple[int, ...], float], np.ndarray]
) -> None:
    """Every change of the scores by at most 1, exhaustively, whoever claims; one choice, and two in a row."""
    names = ("exact", "rdp", "zcdp") if kind is Exponential else ("exact", "rdp")
    claimed = {
        (steps, place): min(accounting.delta(once(kind(1.0), steps), place, name).value for name in names)
        for steps in (1, 2) for place in (0.3, 0.9, 1.0, 1.7)
    }  # fmt: skip
    for scores in ((0, 1), (0, 0, 2)):
        before = law(scores, 1.0)
        assert before.sum() == pytest.approx(1.0, abs=1e-5)
        for change in itertools.product((-1, 0, 1), repeat=len(scores)):
            after = law(tuple(a + b for a, b in zip(scores, change, strict=True)), 1.0)
            for (steps, place), most in claimed.items():
                p, q = (np.outer(each, each).ravel() if steps == 2 else each for each in (before, after))
                assert np.maximum(p - math.exp(place) * q, 0).sum() <= most + (1e-5 if kind is NoisyMax else 1e-12)


@pytest.mark.parametrize("adjacency", [REPLACE_ONE, ZERO_OUT])
@pytest.mark.parametrize("categories", [2, 4])
def test_answers_of_one_record_cost_what_every_outcome_makes_of_them(adjacency: Adjacency, categories: int) -> None:
    """Three answers, enumerated, of every pair of neighbours; a zeroed record answers by chance."""
    truths = np.ones((categories, categories)) + (math.e - 1) * np.eye(categories)
    laws = [truths[0] / truths[0].sum(), (truths[1] if adjacency is REPLACE_ONE else np.ones(categories))]
    laws[1] = laws[1] / laws[1].sum()
    runs = [np.multiply.outer(np.multiply.outer(each, each), each) for each in laws]
    for place in (0.0, 0.4, 0.9, 2.2, 2.9):
        spent = max(np.maximum(p - math.exp(place) * q, 0).sum() for p, q in (runs, runs[::-1]))
        found = accounting.delta(once(RandomizedResponse(1.0, categories), 3, adjacency), place)
        assert found.lower is not None and found.upper is not None
        assert found.lower * (1 - 1e-12) <= spent <= found.upper * (1 + 1e-12) and found.relative_width < 1e-6


@pytest.mark.parametrize("sensitivity", [1, 2])
def test_geometric_noise_on_a_count_costs_what_is_claimed(sensitivity: int) -> None:
    """Its law on all whole numbers, enumerated."""
    places = np.arange(-400, 401)
    law = np.exp(-np.abs(places) / sensitivity)
    moved = np.exp(-np.abs(places - sensitivity) / sensitivity)
    for place in (0.0, 0.4, 0.99):
        spent = np.maximum(law - math.exp(place) * moved, 0).sum() / law.sum()
        found = accounting.delta(Plan((Phase(DiscreteLaplace(1.0, sensitivity), Poisson(1.0), 1),)), place)
        assert found.lower is not None and found.upper is not None
        assert found.lower * (1 - 1e-9) <= spent <= found.upper * (1 + 1e-9)


@pytest.mark.parametrize("categories", [2, 3, 7])
@pytest.mark.parametrize("epsilon", [0.1, 0.7, 3.0])
def test_no_way_to_answer_for_a_zeroed_record_costs_more_than_another_category(epsilon: float, categories: int) -> None:
    """The convexity that `zeroed_answer` goes by: of mixtures of categories, the uniform one among them, at every
    threshold, in both orders."""
    truths = np.ones((categories, categories)) + math.expm1(epsilon) * np.eye(categories)
    truths /= truths.sum(axis=1, keepdims=True)
    random = np.random.default_rng(7)
    weights = [np.full(categories, 1.0 / categories), *np.eye(categories), *random.dirichlet([0.5] * categories, 20)]
    for threshold in np.exp(np.linspace(-1.2, 1.2, 25) * epsilon):
        most = np.maximum(truths[0] - threshold * truths[1], 0.0).sum()
        for law in (weight @ truths for weight in weights):
            for p, q in ((truths[0], law), (law, truths[0])):
                assert np.maximum(p - threshold * q, 0.0).sum() <= most + 1e-15
