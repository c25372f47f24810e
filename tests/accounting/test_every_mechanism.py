"""What every accountant promises of every mechanism. A new one is held to it at once, and needs a line in SAMPLES."""

import functools
import json
from typing import NamedTuple

import pytest

from dpplan import accounting
from dpplan.accounting import ACCOUNTANTS, Bound, Guarantee
from dpplan.adjacency import ADD_REMOVE, ZERO_OUT, Adjacency
from dpplan.errors import NotApplicable
from dpplan.mechanism import (
    MECHANISMS,
    REFUSED,
    AboveThreshold,
    BestOfTrials,
    BufferedNoise,
    DiscreteGaussian,
    DiscreteLaplace,
    Exponential,
    Gaussian,
    Laplace,
    MatrixNoise,
    Mechanism,
    NoisyMax,
    PermuteAndFlip,
    RandomizedResponse,
    Stated,
    StatedGdp,
    StatedRenyi,
    StatedZcdp,
    ThresholdedCounts,
    ToeplitzNoise,
    TreeAggregation,
    kind_of,
)
from dpplan.plan import Phase, Plan
from dpplan.plan_json import plan_from_json, plan_to_json
from dpplan.sampling import Poisson

FULL = Poisson(1.0)
DELTA = 1e-5
SLACK = 1e-5  # searches over orders and splits end within it; certified intervals are narrower
# Of what a phase of k steps is one release, not k of them: 2k steps are another release than k steps and k steps.
OF_A_RUN = (TreeAggregation, ToeplitzNoise, BufferedNoise, MatrixNoise)


class Sample(NamedTuple):
    """A mechanism, and the same with more noise. by: who answers for it without sampling."""

    quiet: Mechanism
    noisy: Mechanism
    by: str = "exact rdp"
    adjacency: Adjacency = ADD_REMOVE


def trials(noise: float) -> BestOfTrials:
    return BestOfTrials("geometric", 2.0, (Phase(Gaussian(noise), FULL, 1),))


ALL, MOMENTS = " ".join(ACCOUNTANTS), "exact zcdp rdp"
SAMPLES: dict[str, tuple[Sample, ...]] = {
    "gaussian": (Sample(Gaussian(4.0), Gaussian(5.0), ALL),),
    "laplace": (Sample(Laplace(0.2), Laplace(0.1)),),
    "discrete-laplace": (Sample(DiscreteLaplace(0.2, 2), DiscreteLaplace(0.1, 2)),),
    "discrete-gaussian": (
        Sample(DiscreteGaussian(3.0), DiscreteGaussian(4.0), MOMENTS),
        Sample(DiscreteGaussian(3.0, l2_sensitivity=1.5), DiscreteGaussian(4.0, l2_sensitivity=1.5), "zcdp rdp"),
        Sample(DiscreteGaussian(3.0, differences=(2, 1)), DiscreteGaussian(4.0, differences=(2, 1)), MOMENTS),
    ),
    "randomized-response": (Sample(RandomizedResponse(0.2, 3), RandomizedResponse(0.1, 3), adjacency=ZERO_OUT),),
    "epsilon-delta": (Sample(Stated(0.2, 1e-7), Stated(0.1, 1e-8)),),
    "gdp": (Sample(StatedGdp(0.2), StatedGdp(0.1), MOMENTS),),
    "zcdp": (Sample(StatedZcdp(0.01), StatedZcdp(0.005), "gdp zcdp rdp"),),
    "rdp": (Sample(StatedRenyi((2.0, 8.0, 32.0), (0.02, 0.1, 0.5)), StatedRenyi((2.0, 32.0), (0.01, 0.3)), "rdp"),),
    "exponential": (Sample(Exponential(0.2), Exponential(0.1), MOMENTS),),
    "noisy-max": (Sample(NoisyMax(0.2), NoisyMax(0.1)),),
    "permute-and-flip": (Sample(PermuteAndFlip(0.2), PermuteAndFlip(0.1)),),
    "above-threshold": (
        Sample(AboveThreshold(10.0, 40.0, 2), AboveThreshold(10.0, 60.0, 2)),
        Sample(AboveThreshold(10.0, 40.0, 2, "monotone"), AboveThreshold(12.0, 40.0, 2, "monotone")),
    ),
    "thresholded-counts": (
        Sample(ThresholdedCounts(4.0, 40.0, 2), ThresholdedCounts(5.0, 60.0, 2)),
        Sample(ThresholdedCounts(4.0, 90.0, 2, "laplace"), ThresholdedCounts(5.0, 120.0, 2, "laplace")),
    ),
    "tree": (Sample(TreeAggregation(6.0, 2, 2), TreeAggregation(7.0, 2, 2), ALL),),
    "toeplitz": (
        Sample(ToeplitzNoise(6.0, 2), ToeplitzNoise(7.0, 2), ALL),
        Sample(ToeplitzNoise(6.0, coefficients=(1.0, 0.3)), ToeplitzNoise(7.0, coefficients=(1.0, 0.3)), ALL),
    ),
    "blt": (Sample(BufferedNoise(6.0, (0.9,), (0.2,)), BufferedNoise(7.0, (0.9,), (0.2,)), ALL),),
    "matrix": (Sample(MatrixNoise(6.0, (0.0, 1.0, 0.5, 2.0), 2), MatrixNoise(7.0, (0.0, 1.0, 0.5, 2.0), 2), ALL),),
    "best-of-trials": (Sample(trials(8.0), trials(9.0)),),
}
EVERY = [
    pytest.param(sample, name, id=f"{kind}-{number}-{name}", marks=[pytest.mark.slow] if number else [])
    for kind, samples in SAMPLES.items()
    for number, sample in enumerate(samples)
    for name in ACCOUNTANTS
]


# These are composed by the pair of laws that the exponential mechanism has: that one is enough for every day.
ALIKE = {f"{kind}-0-exact": [pytest.mark.slow] for kind in ("noisy-max", "permute-and-flip", "above-threshold")}


def plan(sample: Sample, *phases: tuple[Mechanism, int]) -> Plan:
    return Plan(tuple(Phase(each, FULL, steps) for each, steps in phases), adjacency=sample.adjacency)


def steps_of(sample: Sample) -> int:
    return 2 if isinstance(sample.quiet, OF_A_RUN) else 1


@functools.lru_cache(maxsize=64)
def epsilon(of: Plan, name: str, delta: float = DELTA) -> Bound:
    return accounting.epsilon(of, delta, name)


def assert_not_above(smaller: Bound, larger: Bound) -> None:
    """Neither what is told nor, so far as it is known, the truth."""
    assert smaller.value <= larger.value * (1 + SLACK)
    if smaller.lower is not None and larger.upper is not None:
        assert smaller.lower <= larger.upper


def assert_same(one: Bound, other: Bound) -> None:
    assert one.value == pytest.approx(other.value, rel=SLACK)
    assert (one.lower is None) == (other.lower is None)
    assert one.lower is None or other.lower is None or one.lower == pytest.approx(other.lower, rel=SLACK)


def test_every_mechanism_has_a_sample() -> None:
    """Those of plan files, where a search is a block of its own; a name that is refused has a reason instead."""
    assert set(SAMPLES) == {*MECHANISMS, BestOfTrials.kind}
    assert all(kind_of(each) == kind for kind, samples in SAMPLES.items() for pair in samples for each in pair[:2])
    assert all(len(why) > 40 for why in REFUSED.values()) and not set(REFUSED) & set(MECHANISMS)


@pytest.mark.parametrize(("sample", "name"), EVERY)
def test_what_holds_of_every_mechanism(sample: Sample, name: str) -> None:
    k = steps_of(sample)
    once = plan(sample, (sample.quiet, k))
    if name not in sample.by.split():
        for ask in (lambda: epsilon(once, name), lambda: accounting.delta(once, 0.3, name)):
            with pytest.raises(NotApplicable) as refusal:
                ask()
            assert str(refusal.value).startswith(f"{name}: ") and len(str(refusal.value)) > 60
        return
    spent = epsilon(once, name)
    assert spent.value > 0.0 and (spent.guarantee is Guarantee.ESTIMATE or spent.upper is not None)
    assert spent.lower is None or spent.upper is None or 0.0 <= spent.lower <= spent.upper

    assert_not_above(epsilon(plan(sample, (sample.noisy, k)), name), spent)

    assert_not_above(epsilon(once, name, 10 * DELTA), spent)
    failed = accounting.delta(once, spent.value, name)
    assert 0.0 <= failed.value <= DELTA * (1 + 1e-3)

    read = plan_from_json(json.loads(json.dumps(plan_to_json(once))))
    assert read == once and accounting.epsilon(read, DELTA, name) == spent


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("sample", "name"),
    [
        pytest.param(*each.values, id=each.id, marks=[*each.marks, *ALIKE.get(each.id, [])])
        for each in EVERY
        if each.values[1] in each.values[0].by.split()
    ],
)
def test_composition_holds_of_every_mechanism(sample: Sample, name: str) -> None:
    k = steps_of(sample)
    once, split = epsilon(plan(sample, (sample.quiet, k)), name), epsilon(plan(sample, *2 * [(sample.quiet, k)]), name)
    assert_not_above(once, split)
    if not isinstance(sample.quiet, OF_A_RUN):
        whole = epsilon(plan(sample, (sample.quiet, 2 * k)), name)
        assert_same(whole, split)
    forth, back = (
        epsilon(plan(sample, *phases), name)
        for phases in (((sample.quiet, k), (sample.noisy, k)), ((sample.noisy, k), (sample.quiet, k)))
    )
    assert_same(forth, back)
    assert_not_above(forth, split)
