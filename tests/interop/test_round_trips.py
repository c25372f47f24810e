"""What any library is given reads back as what the plan costs, whatever the noise, the sampling and the neighbours."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from dpplan import accounting
from dpplan.accounting.bound import Bound
from dpplan.adjacency import ADD_REMOVE, ADJACENCIES, REPLACE_ONE, Adjacency
from dpplan.errors import NotApplicable
from dpplan.interop import dp_event, jax_plan, opacus_state
from dpplan.mechanism import DiscreteLaplace, Gaussian, Laplace, Mechanism, RandomizedResponse, StatedZcdp
from dpplan.mechanism.correlated import ToeplitzNoise, TreeAggregation
from dpplan.plan import Phase, Plan
from dpplan.sampling import CyclicPoisson, FixedSize, Poisson, Sampling, TruncatedPoisson

FULL = Poisson(1.0)
MECHANISMS: tuple[Mechanism, ...] = (
    Gaussian(3.0),
    Laplace(0.3),
    DiscreteLaplace(0.3, 4),
    DiscreteLaplace(0.3, 1),
    RandomizedResponse(0.3, 4),
    StatedZcdp(0.02),
    TreeAggregation(8.83),
    ToeplitzNoise(4.0, coefficients=(2.0,)),
    ToeplitzNoise(4.0, bands=4),
)
SCHEMES: tuple[Sampling, ...] = (
    FULL,
    Poisson(0.1),
    FixedSize(10, 100),
    FixedSize(100, 100),
    TruncatedPoisson(0.05, 20, 200),
    CyclicPoisson(0.1, 4, "place"),
    CyclicPoisson(0.1, 4, "own"),
)


def of_opacus(content: Mapping[str, Any]) -> Plan:
    rows = content["accountant_state"]["history"]
    return Plan(tuple(Phase(Gaussian(sigma), Poisson(q), steps) for sigma, q, steps in rows))


LIBRARIES: Mapping[str, tuple[Callable[[Plan], Any], Callable[[Any], Plan]]] = {
    "dp-accounting": (dp_event.write, dp_event.read),
    "jax-privacy": (jax_plan.write, jax_plan.read),
    "opacus": (opacus_state.write, of_opacus),
}


def cost(plan: Plan) -> Bound | None:
    """None where no theorem is known."""
    try:
        return accounting.epsilon(plan, 1e-6, "rdp" if isinstance(plan.phases[0].mechanism, StatedZcdp) else "exact")
    except NotApplicable:
        return None


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("adjacency", ADJACENCIES.values(), ids=str)
@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_written_costs_what_the_plan_does(library: str, adjacency: Adjacency) -> None:
    write, read = LIBRARIES[library]
    written = 0
    for mechanism in MECHANISMS:
        for scheme in SCHEMES:
            plan = Plan((Phase(mechanism, scheme, 6),), adjacency=adjacency)
            try:
                content = json.loads(json.dumps(write(plan)))
            except NotApplicable:
                continue
            ours, theirs = cost(plan), cost(read(content))
            assert (ours is None) == (theirs is None), (mechanism, scheme)
            if ours is None or theirs is None:
                continue
            assert theirs.value == pytest.approx(ours.value, rel=1e-7), (mechanism, scheme)
            assert (theirs.lower is None) == (ours.lower is None), (mechanism, scheme)
            assert theirs.lower is None or ours.upper is None or theirs.lower <= ours.upper * (1 + 1e-14)
            written += 1
    assert written > 2 or (adjacency == REPLACE_ONE and library != "dp-accounting")


def test_noise_on_sums_is_counted_in_norms_whatever_the_neighbours() -> None:
    """dp_accounting 0.6.0: PLDAccountant(REPLACE_ONE) of GaussianDpEvent(2), three times: ε = 8.3854 at δ = 1e-5."""
    plan = Plan((Phase(Gaussian(2.0), FULL, 3),), adjacency=REPLACE_ONE)
    assert dp_event.write(plan)["event"]["event"] == {"class_name": "GaussianDpEvent", "noise_multiplier": 2.0}
    assert accounting.epsilon(plan, 1e-5).value == pytest.approx(8.385418926834, rel=1e-7)
    for event in (
        {"class_name": "LaplaceDpEvent", "noise_multiplier": 4.0},
        {"class_name": "DiscreteLaplaceDpEvent", "noise_parameter": 0.25, "sensitivity": 1},
    ):
        for relation, epsilon in (("ADD_OR_REMOVE_ONE", 0.25), ("REPLACE_SPECIAL", 0.25), ("REPLACE_ONE", 0.5)):
            read = dp_event.read({"neighboring_relation": relation, "event": event})
            assert getattr(read.only_phase.mechanism, "epsilon") == epsilon  # noqa: B009


def test_a_noise_that_is_no_reciprocal_is_read_as_no_less_than_it_costs() -> None:
    for each in range(1, 200):
        plan = Plan((Phase(Laplace(each / 197), FULL, 1),))
        read = dp_event.read(dp_event.write(plan)).only_phase.mechanism
        assert isinstance(read, Laplace)
        assert each / 197 <= read.epsilon <= math.nextafter(math.nextafter(each / 197, 9.0), 9.0)


def test_an_accountant_that_takes_replacement_for_removal_is_named() -> None:
    replaced = Plan((Phase(Gaussian(2.0), FULL, 3),), adjacency=REPLACE_ONE)
    assert "RdpAccountant" in dp_event.misread(replaced)
    assert dp_event.misread(Plan(replaced.phases, adjacency=ADD_REMOVE)) == ""


def test_users_with_several_examples_are_not_written_as_noise_to_train_with() -> None:
    plan = Plan((Phase(Gaussian(2.0), FULL, 3),), privacy_unit="user", max_per_user=4)
    for library, (write, _) in LIBRARIES.items():
        with pytest.raises(NotApplicable, match=library):
            write(plan)
