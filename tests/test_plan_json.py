"""Plan -> JSON -> plan gives the same plan, and whatever else is read is refused with its place."""

import dataclasses
import functools
import json
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dpplan.adjacency import ADD_REMOVE, ADJACENCIES
from dpplan.errors import PlanError
from dpplan.mechanism import (
    MECHANISMS,
    AboveThreshold,
    BestOfTrials,
    BufferedNoise,
    DiscreteGaussian,
    DiscreteLaplace,
    Exponential,
    Gaussian,
    Laplace,
    MatrixNoise,
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
)
from dpplan.mechanism.thresholds import NOISES, QUERIES
from dpplan.mechanism.trials import LAWS, SCORES
from dpplan.plan import Phase, Plan
from dpplan.plan_json import phase_from_json, phase_to_json, plan_from_json, plan_to_json
from dpplan.sampling import (
    SCHEMES,
    BallsInBins,
    CyclicPoisson,
    FixedSize,
    Poisson,
    RandomAllocation,
    Shuffle,
    TruncatedPoisson,
)
from dpplan.units import UNITS

positive, small = st.floats(1e-300, 1e300), st.integers(1, 1000)
costs, rate = st.floats(1e-6, 100.0), st.floats(1e-300, 1.0)
scale, entry = st.floats(0.05, 200.0), st.floats(-1e9, 1e9)
pattern = {"participations": small, "separation": small}


def numbers(of: st.SearchStrategy[float], **sizes: int) -> st.SearchStrategy[tuple[float, ...]]:
    return st.lists(of, **sizes).map(tuple)


@st.composite
def renyi_curves(draw: st.DrawFn) -> StatedRenyi:
    orders = draw(st.lists(st.floats(1.0001, 1e6), min_size=1, max_size=4, unique=True).map(sorted))
    return StatedRenyi(tuple(orders), tuple(draw(st.floats(0.0, 1e299)) for _ in orders))


@st.composite
def buffers(draw: st.DrawFn) -> BufferedNoise:
    decays = draw(numbers(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=3))
    return BufferedNoise(draw(positive), decays, tuple(draw(entry) for _ in decays), draw(small), draw(small))


@st.composite
def matrices(draw: st.DrawFn) -> MatrixNoise:
    """Two bands: of the first row the entry before the diagonal is none."""
    rows = [(draw(entry), draw(st.floats(0.1, 10.0))) for _ in range(draw(st.integers(1, 4)))]
    entries = (0.0, rows[0][1], *(each for row in rows[1:] for each in row))
    return MatrixNoise(draw(positive), entries, 2, draw(small), draw(small))


OF_KIND: dict[str, st.SearchStrategy[Any]] = {
    "gaussian": st.builds(Gaussian, positive),
    "laplace": st.builds(Laplace, costs),
    "discrete-laplace": st.builds(DiscreteLaplace, costs, small),
    "discrete-gaussian": st.builds(DiscreteGaussian, scale, small)
    | st.builds(DiscreteGaussian, scale, differences=st.lists(small, min_size=1, max_size=4).map(tuple))
    | st.builds(DiscreteGaussian, scale, l2_sensitivity=positive),
    "randomized-response": st.builds(RandomizedResponse, costs, st.integers(2, 10**9)),
    "epsilon-delta": st.builds(Stated, st.floats(0.0, 100.0), st.floats(0.0, 1.0, exclude_max=True)),
    "gdp": st.builds(StatedGdp, st.floats(1e-6, 1e3)),
    "zcdp": st.builds(StatedZcdp, st.floats(1e-12, 1e4)),
    "rdp": renyi_curves(),
    "exponential": st.builds(Exponential, costs),
    "noisy-max": st.builds(NoisyMax, costs),
    "permute-and-flip": st.builds(PermuteAndFlip, costs),
    "above-threshold": st.builds(
        AboveThreshold, st.floats(1.0, 1e9), st.floats(100.0, 1e9), st.integers(1, 100), st.sampled_from(QUERIES)
    ),
    "thresholded-counts": st.builds(
        ThresholdedCounts, st.floats(0.01, 1e6), st.floats(1.0, 1e300), small, st.sampled_from(NOISES)
    ),
    "tree": st.builds(TreeAggregation, positive, **pattern),
    "toeplitz": st.builds(ToeplitzNoise, positive, bands=small, **pattern)
    | st.builds(
        ToeplitzNoise, positive, coefficients=numbers(entry, max_size=4).map(lambda rest: (1.0, *rest)), **pattern
    ),
    "blt": buffers(),
    "matrix": matrices(),
}


@functools.cache
def schemes_of(n: int) -> dict[str, st.SearchStrategy[Any]]:
    return {
        "poisson": st.builds(Poisson, rate),
        "truncated-poisson": st.builds(TruncatedPoisson, rate, small, st.just(n)),
        "cyclic-poisson": st.builds(CyclicPoisson, rate, small, st.sampled_from(["place", "own"])),
        "fixed-size": st.builds(FixedSize, st.integers(1, n), st.just(n)),
        "shuffle": st.builds(Shuffle, small, st.sampled_from(["fresh", "once"])),
        "balls-in-bins": st.builds(BallsInBins, small, st.sampled_from(["fresh", "same"])),
        "random-allocation": st.builds(RandomAllocation, st.integers(50, 1000), st.integers(1, 50)),
    }


@functools.cache
def phases_of(n: int) -> st.SearchStrategy[Phase]:
    return phases_with(n, st.one_of(*OF_KIND.values()))


def phases_with(n: int, mechanisms: st.SearchStrategy[Any]) -> st.SearchStrategy[Phase]:
    paths = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=2).map(tuple)
    return st.builds(Phase, mechanisms, st.one_of(*schemes_of(n).values()), st.integers(1, 10**18), groups=paths)


@functools.cache
def phases_and_searches(n: int) -> st.SearchStrategy[Phase]:
    return phases_of(n) | phases_with(n, searches(phases_of(n)))


@st.composite
def searches(draw: st.DrawFn, phases: st.SearchStrategy[Phase]) -> BestOfTrials:
    law = draw(st.sampled_from(LAWS))
    kinds = draw(st.lists(st.lists(phases, min_size=1, max_size=2).map(tuple), min_size=1, max_size=2))
    eta = draw(st.none() | st.floats(0.1, 10.0)) if law == "negative-binomial" else None
    chance = draw(st.none() | st.floats(0.1, 0.9)) if law == "binomial" else None
    mean, score = draw(st.floats(1.5, 1e6)), draw(st.sampled_from(SCORES))
    return BestOfTrials(law, mean, kinds[0], score, eta, chance, tuple(kinds[1:]))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Some of their phases repeat the adjacency or the unit of the plan."""
    n = draw(st.sampled_from([7, 1000, 10**15]))
    adjacency, unit = draw(st.sampled_from(list(ADJACENCIES.values()))), draw(st.sampled_from(UNITS))
    said = {"adjacency": adjacency, "privacy_unit": unit}
    repeated = st.lists(st.sampled_from(list(said)), max_size=2).map(lambda names: {name: said[name] for name in names})
    found = draw(st.lists(st.tuples(phases_and_searches(n), repeated), min_size=1, max_size=3))
    return Plan(
        phases=tuple(dataclasses.replace(phase, **own) for phase, own in found),
        adjacency=adjacency,
        privacy_unit=unit,
        examples=draw(st.none() | st.just(n)),
        batch_size=draw(st.none() | positive),
        derivation=tuple(
            draw(st.dictionaries(st.sampled_from(["sample_rate", "steps"]), st.text(max_size=20))).items()
        ),
        max_per_user=draw(st.none() | st.integers(1, n)) if unit == "user" else None,
    )


GOOD: dict[str, Any] = phase_to_json(Phase(Gaussian(1.1), Poisson(0.01), 1000))


@settings(derandomize=True, deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(plan=plans())
def test_a_plan_survives_the_way_through_text(plan: Plan) -> None:
    text = json.dumps(plan_to_json(plan), allow_nan=False)
    assert plan_from_json(json.loads(text)) == plan


@settings(derandomize=True, deadline=None, max_examples=5)
@given(data=st.data())
def test_every_kind_survives_it(data: st.DataObject) -> None:
    schemes = schemes_of(data.draw(st.sampled_from([7, 10**15])))
    assert (set(OF_KIND), set(schemes)) == (set(MECHANISMS), set(SCHEMES))
    parts = [(each, st.just(Poisson(0.5))) for each in OF_KIND.values()]
    parts += [(st.just(Gaussian(1.0)), each) for each in schemes.values()]
    for made, scheme in parts:
        plan = Plan((Phase(data.draw(made), data.draw(scheme), 3),))
        assert repr(plan_from_json(json.loads(json.dumps(plan_to_json(plan))))) == repr(plan)


def test_what_a_phase_repeats_of_its_plan_is_no_part_of_it() -> None:
    phase = Phase(Gaussian(1.0), Poisson(0.1), 5, adjacency=ADD_REMOVE, privacy_unit="example")
    plan = Plan((phase,))
    assert plan_from_json(plan_to_json(plan)) == plan == Plan((Phase(Gaussian(1.0), Poisson(0.1), 5),))
    assert hash(plan) == hash(plan_from_json(plan_to_json(plan)))


def test_every_part_of_a_phase_names_its_kind() -> None:
    assert GOOD == {
        "mechanism": "gaussian",
        "noise_multiplier": 1.1,
        "sampling": "poisson",
        "sample_rate": 0.01,
        "steps": 1000,
    }


def test_a_file_that_names_no_kind_is_of_the_version_that_knew_one() -> None:
    old = {key: value for key, value in GOOD.items() if key not in ("mechanism", "sampling")}
    assert phase_from_json(old) == phase_from_json(GOOD)
    assert plan_from_json({"phases": [old]}) == Plan((phase_from_json(GOOD),))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mechanism": "gausian"}, "best-of-trials. Did you mean 'gaussian'?"),
        ({"sampling": ["poisson"]}, "phase.sampling=['poisson'] is not one of: poisson, "),
        ({"noise_multiplier": "1.1"}, "phase.noise_multiplier is '1.1', which does not belong there."),
        ({"noise_multiplier": None}, "phase.noise_multiplier is missing."),
        ({"sample_rate": True}, "phase.sample_rate is 'True', which does not belong there."),
        ({"sample_rate": 1.5}, "phase: sample_rate=1.5 is not in (0, 1]."),
        ({"noise_multiplier": math.nan}, "phase.noise_multiplier is 'nan'"),
        ({"steps": 1.5}, "phase: steps=1.5 is not a whole number"),
        ({"steps": "many"}, "phase.steps is 'many', which does not belong there."),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PlanError) as error:
        phase_from_json(GOOD | changes)
    assert said in str(error.value)


def test_everything_wrong_is_named_at_once() -> None:
    with pytest.raises(PlanError) as error:
        plan_from_json({"phases": [{"mechanism": "x"}, 7, GOOD]})
    for place in ("phases[0].mechanism=x", "phases[0].sample_rate", "phases[0].steps", "phases[1].noise_multiplier"):
        assert place in str(error.value)
    with pytest.raises(PlanError, match="phases is missing"):
        plan_from_json({})
    with pytest.raises(PlanError, match="adjacency=edge is not one of: add-remove, replace-one, zero-out"):
        plan_from_json({"phases": [GOOD], "adjacency": "edge"})
