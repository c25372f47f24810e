"""What the trainer's samplers draw, with the trainer's noise, on a few examples: nobody tells neighbours apart better
than is claimed, and where a figure is exact the likelihood ratio does as well as it.

One record and 19 others, all gradients on a line. For each scheme a background and neighbours that are the worst known
for it; the statistic S is the log of the likelihood ratio, worked out here from the scheme's definition. By Neyman and
Pearson P(S > ε) - e^ε·Q(S > ε) is δ(ε) of these neighbours, and at any other threshold it is no more. So each threshold
gives a point of the trade-off that is reached, and each ε with its δ a line below which no point may lie.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from dpplan import accounting
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import NotApplicable
from dpplan.mechanism import Gaussian
from dpplan.plan import Plan, Settings
from dpplan.train.clipping import BatchFacts, ClippedSum
from dpplan.train.step.noise import GaussianNoise
from dpplan.train.step.randomness import Randomness
from dpplan.train.step.sampler import begins_anew, sampler_for

Array = np.ndarray[Any, np.dtype[np.float64]]
STEPS, EXAMPLES, BATCH, CAP, GROUPS, MEMBERS, TIMES = 5, 20, 4, 5, 3, 3, 2
ANEW = 4  # steps, where each draws anew: a million runs of them take two minutes
OTHERS, RATE = EXAMPLES - 1, BATCH / EXAMPLES
EPSILONS = (0.0, 0.8, 2.0)
THRESHOLDS = np.array([-1.0, -0.5, 0.0, 0.3, 0.5, 0.8, 1.3, 1.5, 2.0, 2.5, 3.0])  # of S; all of EPSILONS among them
LEVEL = 1e-9  # of each end of Clopper and Pearson: of all that are compared here, one fails by chance in 100,000 tries
DEVIATIONS = 6.0  # of a mean
RUNS, MANY, AT_ONCE, REAL = 1_000, 1_000_000, 20_000, 20_000


@dataclass(frozen=True)
class Drawn:
    """How many of the record's own examples, and of the others, are in each batch: [run, step]."""

    own: Array
    others: Array


Ratio = Callable[[Array, float], Array]  # sums of runs [run, step] and σ -> log of the likelihood ratio, [run]


@dataclass(frozen=True)
class Case:
    """said: of the sampling. gradients: of the record in the two worlds; background: of all others. sigma: high enough
    that both ends can be told from 0 and 1. reached: the end that these neighbours reach, "upper" or "lower". steps: of
    the run, whole epochs or rounds of STEPS where there are such; batch: of its expected size."""

    sampling: str
    adjacency: Adjacency
    ratio: Ratio
    gradients: tuple[float, float] = (1.0, 0.0)
    background: float = 0.0
    options: tuple[tuple[str, Any], ...] = ()
    reached: str = "upper"
    members: int = 1
    sigma: float = 1.0
    steps: int = ANEW
    batch: int = BATCH

    @property
    def plan(self) -> Plan:
        users: dict[str, Any] = {"unit": "user", "max_per_user": self.members} if self.members > 1 else {}
        own = Settings(self.sigma, examples=EXAMPLES, batch_size=self.batch, steps=self.steps)
        own = own.with_(sampling=self.sampling, scheme_options=self.options, adjacency=self.adjacency, **users)
        return own.plan()

    @property
    def keeps(self) -> bool:
        """Whether the first epoch's draw serves for all."""
        return ("bins", "same") in self.options or ("order", "once") in self.options


def gauss(y: Array, mean: float, sigma: float) -> Array:
    """The density of N(mean, σ²) over that of N(0, σ²)."""
    return np.asarray(np.exp((2 * mean * y - mean * mean) / (2 * sigma * sigma)))


Law = dict[float, float]  # what a batch adds up to -> chance


def by_steps(first: Law, second: Law, start: float = 0.0, kept: bool = False) -> Ratio:
    """Steps alike and independent, or all of them one draw that is kept: mixtures over what a batch adds up to, from
    `start` on, in either world."""

    def ratio(sums: Array, sigma: float) -> Array:
        def density(mean: float) -> Array:
            each = gauss(sums - start, mean, sigma)
            return each.prod(axis=1, keepdims=True) if kept else each

        one, other = (sum(w * density(m) for m, w in law.items()) for law in (first, second))
        return np.asarray(np.log(one / other).sum(axis=1))

    return ratio


def by_epoch(first: float, second: float, start: float = 0.0, kept: bool = False) -> Ratio:
    """The record joins one step of each epoch, or the same of all where it is kept, and adds as much to it."""

    def ratio(sums: Array, sigma: float) -> Array:
        y = (sums - start).reshape(len(sums), -1, STEPS)  # [run, epoch, place]
        one, other = (gauss(y, mean, sigma) for mean in (first, second))
        if kept:
            return np.asarray(np.log(one.prod(axis=1).mean(axis=1) / other.prod(axis=1).mean(axis=1)))
        return np.asarray(np.log(one.mean(axis=2) / other.mean(axis=2)).sum(axis=1))

    return ratio


def by_round(sums: Array, sigma: float) -> Array:
    """The record joins TIMES of the steps of each round, all choices alike."""
    each = gauss(sums, 1.0, sigma).reshape(len(sums), -1, STEPS)  # [run, round, place]
    choices = [each[:, :, list(chosen)].prod(axis=2) for chosen in itertools.combinations(range(STEPS), TIMES)]
    return np.asarray(np.log(np.mean(choices, axis=0)).sum(axis=1))


def by_group(sums: Array, sigma: float) -> Array:
    """One turn for each group: the record's own is one of them, and in it a coin decides."""
    return np.asarray(np.log(of_turns(sums, sigma).mean(axis=1)))


def by_first(sums: Array, sigma: float) -> Array:
    """One turn for each group, and the record is known to be in the first."""
    return np.asarray(np.log(of_turns(sums, sigma)[:, 0]))


def of_turns(sums: Array, sigma: float) -> Array:
    return 1 - GROUPS * RATE + GROUPS * RATE * gauss(sums, 1.0, sigma)


def binomial(n: int, p: float) -> list[float]:
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


def cut_law(gradient: float, background: float) -> dict[float, float]:
    """What a batch of at most CAP adds up to: of k others and the record, when its coin says yes, CAP are kept."""
    found: dict[float, float] = {}

    def add(total: float, chance: float) -> None:
        found[total] = found.get(total, 0.0) + chance

    for k, chance in enumerate(binomial(OTHERS, RATE)):
        add(background * min(k, CAP), chance * (1 - RATE))
        stays = min(CAP / (k + 1), 1.0)
        add(background * min(k, CAP - 1) + gradient, chance * RATE * stays)
        add(background * CAP, chance * RATE * (1 - stays))
    return {total: chance for total, chance in found.items() if chance > 0.0}


CASES = {
    "poisson": Case("poisson", ADD_REMOVE, by_steps({0.0: 1 - RATE, 1.0: RATE}, {0.0: 1.0})),
    "poisson, replaced": Case(
        "poisson",
        REPLACE_ONE,
        by_steps({0.0: 1 - RATE, 1.0: RATE}, {0.0: 1 - RATE, -1.0: RATE}),
        (1.0, -1.0),
    ),
    "users": Case(
        "poisson",
        ADD_REMOVE,
        by_steps(dict(enumerate(binomial(MEMBERS, RATE))), {0.0: 1.0}),  # type: ignore[arg-type]
        members=MEMBERS,
        sigma=1.5,
    ),
    "truncated": Case(
        "truncated-poisson",
        ZERO_OUT,
        by_steps(cut_law(1.0, 0.0), cut_law(0.0, 0.0)),
        options=(("cap", CAP),),
        reached="lower",
    ),
    "truncated, opposite": Case(
        "truncated-poisson",
        REPLACE_ONE,
        by_steps(cut_law(1.0, -1.0), cut_law(-1.0, -1.0)),
        (1.0, -1.0),
        -1.0,
        (("cap", CAP),),
        reached="",
    ),
    "fixed-size": Case(
        "fixed-size",
        REPLACE_ONE,
        by_steps({0.0: 1 - RATE, 2.0: RATE}, {0.0: 1.0}, -float(BATCH)),
        (1.0, -1.0),
        -1.0,
        reached="lower",
        sigma=2.0,
    ),
    "fixed-size, zeroed": Case(
        "fixed-size",
        ZERO_OUT,
        by_steps({0.0: 1 - RATE, 2.0: RATE}, {0.0: 1 - RATE, 1.0: RATE}, -float(BATCH)),
        (1.0, 0.0),
        -1.0,
        reached="lower",
        sigma=2.0,
    ),
    "shuffle": Case(
        "shuffle", ZERO_OUT, by_epoch(2.0, 1.0, -float(BATCH)), (1.0, 0.0), -1.0, reached="lower", steps=STEPS
    ),
    "balls-in-bins": Case("balls-in-bins", ADD_REMOVE, by_epoch(1.0, 0.0), steps=STEPS),
    "cyclic": Case(
        "cyclic-poisson",
        ADD_REMOVE,
        by_group,
        options=(("groups", GROUPS), ("assignment", "own")),
        reached="",
        steps=GROUPS,
    ),
    "cyclic, by place": Case(
        "cyclic-poisson",
        ZERO_OUT,
        by_first,
        options=(("groups", GROUPS), ("assignment", "place")),
        steps=GROUPS,
    ),
    "shuffle, replaced": Case(
        "shuffle",
        REPLACE_ONE,
        by_epoch(2.0, 0.0, -float(BATCH)),
        (1.0, -1.0),
        -1.0,
        reached="lower",
        sigma=2.0,
        steps=2 * STEPS,
    ),
    "shuffled once": Case(
        "shuffle",
        ZERO_OUT,
        by_epoch(2.0, 1.0, -float(BATCH), kept=True),
        (1.0, 0.0),
        -1.0,
        (("order", "once"),),
        reached="lower",
        steps=2 * STEPS,
    ),
    "shuffled once, replaced": Case(
        "shuffle",
        REPLACE_ONE,
        by_epoch(2.0, 0.0, -float(BATCH), kept=True),
        (1.0, -1.0),
        -1.0,
        (("order", "once"),),
        reached="lower",
        sigma=2.0,
        steps=2 * STEPS,
    ),
    "the same bins": Case(
        "balls-in-bins",
        ADD_REMOVE,
        by_epoch(1.0, 0.0, kept=True),
        options=(("bins", "same"),),
        steps=3 * STEPS,
    ),
    "random allocation": Case(
        "random-allocation",
        ADD_REMOVE,
        by_round,
        options=(("times", TIMES),),
        reached="lower",
        sigma=1.5,
        steps=2 * STEPS,
        batch=TIMES * BATCH,
    ),
    "full batches": Case("full-batch", ADD_REMOVE, by_steps({1.0: 1.0}, {0.0: 1.0}), sigma=2.0, batch=EXAMPLES),
    "full batches, replaced": Case(
        "full-batch",
        REPLACE_ONE,
        by_steps({1.0: 1.0}, {-1.0: 1.0}),
        (1.0, -1.0),
        sigma=3.0,
        batch=EXAMPLES,
    ),
}
SAMPLED = [name for name, case in CASES.items() if case.sampling != "random-allocation"]  # by the trainer
# Cases by how their batches are drawn, the longest run first, of which the others see the first steps.
ALIKE = (
    ("poisson", "poisson, replaced"),
    ("users",),
    ("truncated", "truncated, opposite"),
    ("fixed-size", "fixed-size, zeroed"),
    ("shuffle, replaced", "shuffle"),
    ("shuffled once", "shuffled once, replaced"),
    ("balls-in-bins",),
    ("the same bins",),
    ("cyclic",),
    ("cyclic, by place",),
    ("full batches", "full batches, replaced"),
)


def drawn(case: Case, rng: np.random.Generator, runs: int, again: bool = False) -> Drawn:
    """By the sampler of the trainer, step after step. again: with its fault, that a run's first batch is all it draws.

    One that draws each step anew serves all runs: it has no state.
    """
    sampling, examples, batches = case.plan.only_phase.sampling, OTHERS + case.members, []
    sampler = sampler_for(sampling, examples, rng)
    for _ in range(runs):
        if not begins_anew(sampling):
            sampler = sampler_for(sampling, examples, rng)
        batches += [sampler.draw()] * case.steps if again else [sampler.draw() for _ in range(case.steps)]
    sizes = np.array([len(batch) for batch in batches])
    step_of = np.repeat(np.arange(len(batches)), sizes)
    own = np.bincount(step_of[np.concatenate(batches) < case.members], minlength=len(batches))
    shape = (runs, case.steps)
    return Drawn(own.reshape(shape).astype(float), (sizes - own).reshape(shape).astype(float))


def imagined(case: Case, rng: np.random.Generator, runs: int) -> Drawn:
    """The same by the scheme's definition, a million runs at once."""
    name, rounds, rate = case.sampling, case.steps // STEPS, case.batch / EXAMPLES
    shape, by_rounds = (runs, case.steps), (runs, rounds, STEPS)
    own, others = rng.binomial(case.members, rate, shape), rng.binomial(OTHERS, rate, shape)
    if name == "truncated-poisson":
        kept = rng.hypergeometric(own, others, np.minimum(own + others, CAP))
        own, others = kept, np.minimum(own + others, CAP) - kept
    elif name == "fixed-size":
        own = rng.binomial(1, rate, shape)
        others = BATCH - own
    elif name in ("shuffle", "balls-in-bins"):
        drawn_in = (runs, 1 if case.keeps else rounds)
        own = np.broadcast_to(np.eye(STEPS, dtype=np.int64)[rng.integers(STEPS, size=drawn_in)], by_rounds)
        spread = rng.multinomial(OTHERS, [1 / STEPS] * STEPS, drawn_in)
        others = BATCH - own if name == "shuffle" else np.broadcast_to(spread, by_rounds)
    elif name == "random-allocation":
        own = (rng.random(by_rounds).argsort(axis=2) < TIMES).astype(np.int64)
        others = np.zeros(by_rounds)  # which these neighbours do not look at: their background is 0
    elif name == "cyclic-poisson":
        known = ("assignment", "place") in case.options  # the record is the first
        own = np.eye(GROUPS, dtype=np.int64)[(not known) * rng.integers(GROUPS, size=runs)]
        own *= rng.binomial(1, GROUPS * RATE, (runs, 1))
        placed = np.bincount(np.arange(1, EXAMPLES) % GROUPS)
        groups = placed if known else rng.multinomial(OTHERS, [1 / GROUPS] * GROUPS, runs)
        others = rng.binomial(groups, GROUPS * RATE, shape)
    return Drawn(own.reshape(shape).astype(float), others.reshape(shape).astype(float))


def noisy(sums: Array, noise: GaussianNoise) -> Array:
    """By the noise of the trainer, step after step, each run a coordinate; gradients are cut to norm 1."""
    steps = (torch.from_numpy(np.ascontiguousarray(each)) for each in sums.T)
    return np.stack([noise.add(ClippedSum(each, 1.0, BatchFacts.none())).numpy() for each in steps], axis=1)


def found(case: Case, batches: Drawn, rng: np.random.Generator, sigma: float) -> tuple[Array, Array]:
    """S of runs in both worlds."""
    noise, steps = GaussianNoise(Gaussian(sigma), rng), slice(case.steps)
    sums = (case.background * batches.others[:, steps] + g * batches.own[:, steps] for g in case.gradients)
    first, second = (case.ratio(noisy(each, noise), sigma) for each in sums)
    return first, second


def ends(above: Array, runs: int) -> tuple[Array, Array]:
    """Of a chance, from how many of so many runs had it: Clopper and Pearson 1934, each end at LEVEL."""
    within = np.clip(above, 1, runs), np.clip(above, 0, runs - 1)
    low = np.where(above > 0, stats.beta.ppf(LEVEL, within[0], runs - within[0] + 1), 0.0)
    high = np.where(above < runs, stats.beta.isf(LEVEL, within[1] + 1, runs - within[1]), 1.0)
    return low, high


def told_apart(one: Array, other: Array, epsilon: float) -> tuple[Array, Array]:
    """The ends of P(S > t) - e^ε·Q(S > t) at all THRESHOLDS t, from sorted values."""
    (low, high), (least, most) = (
        ends(len(each) - np.searchsorted(each, THRESHOLDS, side="right"), len(each)) for each in (one, other)
    )
    return low - math.exp(epsilon) * most, high - math.exp(epsilon) * least


def check(case: Case, first: Array, second: Array) -> None:
    directions = [(np.sort(one), np.sort(other)) for one, other in ((first, second), (-second, -first))]
    for epsilon in EPSILONS:
        bound = accounting.delta(case.plan, epsilon)
        assert bound.lower is not None and bound.upper is not None
        gains = [told_apart(one, other, epsilon) for one, other in directions]  # the other direction tells -S
        for low, _ in gains:
            assert low.max() <= bound.upper, f"told apart better than is claimed at ε = {epsilon}"
        if case.reached:
            goal, (own,) = getattr(bound, case.reached), np.flatnonzero(np.isclose(THRESHOLDS, epsilon))
            assert max(high[own] for _, high in gains) >= goal, f"the claim of ε = {epsilon} is not reached"


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize("name", SAMPLED)
def test_what_the_sampler_draws_is_told_apart_no_better_than_is_claimed(name: str) -> None:
    case, randomness = CASES[name], Randomness.of(7)
    check(case, *found(case, drawn(case, randomness.sampling, RUNS), randomness.noise, case.sigma))


# A sampler under the claim of another, where they differ enough: at less noise than above. Data shuffled once are not
# told apart better than is claimed of fresh shuffles, whose upper end is the same.
FAULTS = {"shuffle": "poisson", "shuffled once": "poisson", "the same bins": "balls-in-bins"}
LITTLE = 0.6


@pytest.mark.slow
@pytest.mark.parametrize("names", ALIKE, ids=lambda names: names[0])
def test_a_million_runs_of_the_sampler_lie_between_the_ends_and_not_under_the_claim_of_another(
    names: tuple[str, ...],
) -> None:
    randomness = Randomness.of(11)
    each = [(name, CASES[name].sigma) for name in names] + [(name, LITTLE) for name in names if name in FAULTS]
    parts: list[list[tuple[Array, Array]]] = [[] for _ in each]
    for _ in range(MANY // AT_ONCE):
        batches = drawn(CASES[names[0]], randomness.sampling, AT_ONCE)
        for part, (name, sigma) in zip(parts, each, strict=True):
            part.append(found(CASES[name], batches, randomness.noise, sigma))
    for part, (name, sigma) in zip(parts, each, strict=True):
        first, second = (np.concatenate(world) for world in zip(*part, strict=True))
        assert len(first) == len(second) == MANY
        case = replace(CASES[name], sigma=sigma)
        check(case, first, second)
        if sigma == LITTLE:
            with pytest.raises(AssertionError, match="told apart better than is claimed"):
                check(replace(case, sampling=FAULTS[name], options=(), reached=""), first, second)


@pytest.mark.slow
def test_a_million_runs_of_what_has_no_sampler_lie_between_the_ends() -> None:
    case, randomness = CASES["random allocation"], Randomness.of(11)
    check(case, *found(case, imagined(case, randomness.sampling, MANY), randomness.noise, case.sigma))


def test_each_case_is_drawn_by_the_sampler_once() -> None:
    assert sorted(name for names in ALIKE for name in names) == sorted(SAMPLED)
    for names in ALIKE:
        longest = CASES[names[0]]
        for case in (CASES[name] for name in names):
            assert longest.steps >= case.steps and longest.members == case.members
            assert longest.plan.only_phase.sampling == case.plan.only_phase.sampling


KEPT = {
    "poisson": by_steps({0.0: 1 - RATE, 1.0: RATE}, {0.0: 1.0}, kept=True),
    "truncated": by_steps(cut_law(1.0, 0.0), cut_law(0.0, 0.0), kept=True),
    "fixed-size": by_steps({0.0: 1 - RATE, 2.0: RATE}, {0.0: 1.0}, -float(BATCH), kept=True),
}


@pytest.mark.parametrize(
    ("name", "runs"),
    [("fixed-size", REAL), *(pytest.param(name, MANY // 10, marks=pytest.mark.slow) for name in KEPT)],
)
def test_a_sampler_that_draws_its_first_batch_again_is_caught(name: str, runs: int) -> None:
    """Over many steps of much noise, each of which tells little."""
    case, randomness = replace(CASES[name], steps=20, sigma=2 * CASES[name].sigma, reached=""), Randomness.of(41)
    batches = drawn(case, randomness.sampling, runs, again=True)
    sums = found(replace(case, ratio=KEPT[name]), batches, randomness.noise, case.sigma)
    with pytest.raises(AssertionError, match="told apart better than is claimed"):
        check(case, *sums)


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize("name", SAMPLED)
def test_the_imagined_runs_are_the_samplers(name: str) -> None:
    """The record's steps and the size of the first batch have the same law."""
    case, rng = CASES[name], np.random.default_rng(17)
    real = drawn(case, rng, 5_000 // case.steps)
    model = imagined(case, rng, 200_000)
    for view in (
        lambda each: each.own[:, 0],
        lambda each: each.own.sum(axis=1),
        lambda each: each.others[:, 0],
        lambda each: each.own[:, 0] * each.own[:, 1],
        lambda each: each.own[:, 0] * each.others[:, 0],
    ):
        one, other = view(real), view(model)
        off = DEVIATIONS * (np.std(other) + 1e-9) * math.sqrt(1 / len(one) + 1 / len(other))
        assert abs(np.mean(one) - np.mean(other)) <= off


@pytest.mark.slow
def test_shuffled_batches_under_the_claim_of_poisson_sampling_are_caught() -> None:
    rng = np.random.default_rng(19)
    shuffled = CASES["shuffle"]
    sums = found(shuffled, drawn(shuffled, rng, RUNS), rng, 0.6)
    check(Case("shuffle", ZERO_OUT, shuffled.ratio, (1.0, 0.0), -1.0, reached="lower", sigma=0.6), *sums)
    claimed = Case("poisson", ZERO_OUT, shuffled.ratio, sigma=0.6)
    with pytest.raises(AssertionError, match="told apart better than is claimed"):
        check(claimed, *sums)


def test_a_sampler_that_draws_one_record_twice_as_often_is_caught() -> None:
    case, rng = CASES["poisson"], np.random.default_rng(23)
    often = replace(case, ratio=by_steps({0.0: 1 - 2 * RATE, 1.0: 2 * RATE}, {0.0: 1.0}), batch=2 * BATCH)
    sums = found(often, drawn(often, rng, 4 * RUNS), rng, case.sigma)
    with pytest.raises(AssertionError, match="told apart better than is claimed"):
        check(case, *sums)


def test_no_sampler_draws_what_is_simulated_by_its_definition_alone() -> None:
    """Whoever writes one for random allocation takes it up above."""
    case, rng = CASES["random allocation"], np.random.default_rng(29)
    with pytest.raises(NotApplicable, match="no sampler"):
        drawn(case, rng, 1)
    check(case, *found(case, imagined(case, rng, REAL), rng, case.sigma))


def test_bins_that_are_kept_under_the_claim_of_fresh_ones_are_caught() -> None:
    case, rng = CASES["the same bins"], np.random.default_rng(31)
    sums = found(case, imagined(case, rng, 2 * REAL), rng, 0.6)
    claimed = Case("balls-in-bins", ADD_REMOVE, case.ratio, sigma=0.6, steps=case.steps)
    with pytest.raises(AssertionError, match="told apart better than is claimed"):
        check(claimed, *sums)


def test_a_record_in_every_step_under_the_claim_of_an_allocation_is_caught() -> None:
    rng, case, own = np.random.default_rng(37), CASES["random allocation"], np.ones((REAL, 2 * STEPS))
    sums = found(replace(CASES["full batches"], steps=2 * STEPS), Drawn(own, 0 * own), rng, case.sigma)
    with pytest.raises(AssertionError, match="told apart better than is claimed"):
        check(case, *sums)
