"""The contract of the exact accountant over every scheme, adjacency and unit; and that a file of any is verified."""

import json
from dataclasses import replace

import pytest

from dpplan import accounting
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.plan import Plan, Settings
from dpplan.plan_json import plan_from_json, plan_to_json

BASE = Settings(noise_multiplier=1.5, examples=40, batch_size=4, steps=20)
# name -> what is said of the sampling, and under which neighbours it is accounted for.
KNOWN: dict[str, tuple[Settings, tuple[Adjacency, ...]]] = {
    "poisson": (BASE, (ADD_REMOVE, ZERO_OUT, REPLACE_ONE)),
    "users": (BASE.with_(unit="user", max_per_user=3), (ADD_REMOVE, ZERO_OUT)),
    "truncated-poisson": (
        BASE.with_(sampling="truncated-poisson", scheme_options=(("cap", 9),)),
        (ZERO_OUT, REPLACE_ONE),
    ),
    "cyclic-poisson": (
        BASE.with_(sampling="cyclic-poisson", scheme_options=(("groups", 5), ("assignment", "own"))),
        (ADD_REMOVE, ZERO_OUT, REPLACE_ONE),
    ),
    "fixed-size": (BASE.with_(sampling="fixed-size"), (ADD_REMOVE, ZERO_OUT, REPLACE_ONE)),
    "shuffle": (BASE.with_(sampling="shuffle"), (ZERO_OUT, REPLACE_ONE)),
    "balls-in-bins": (BASE.with_(sampling="balls-in-bins"), (ADD_REMOVE, ZERO_OUT)),
    "random-allocation": (
        BASE.with_(sampling="random-allocation", scheme_options=(("times", 1),)),
        (ADD_REMOVE, ZERO_OUT),
    ),
    "full-batch": (BASE.with_(sampling="full-batch", batch_size=40), (ADD_REMOVE, ZERO_OUT, REPLACE_ONE)),
}
CASES = [(name, adjacency) for name, (_, adjacencies) in KNOWN.items() for adjacency in adjacencies]
QUICK = [
    ("balls-in-bins", ADD_REMOVE),
    ("truncated-poisson", ZERO_OUT),
    ("cyclic-poisson", REPLACE_ONE),
    ("users", ADD_REMOVE),
]
SLOW = [pytest.param(*case, marks=pytest.mark.slow) for case in CASES if case not in QUICK]
ROOM = 1e-4


def epsilon(settings: Settings, **changes: object) -> Bound:
    found = accounting.epsilon(settings.with_(**changes).plan(), 1e-5)  # type: ignore[arg-type]
    assert found.guarantee is Guarantee.CERTIFIED and found.lower is not None and found.upper is not None
    assert 0 < found.lower <= found.upper
    return found


@pytest.mark.parametrize(("name", "adjacency"), [*QUICK, *SLOW], ids=str)
def test_the_contract(name: str, adjacency: Adjacency) -> None:
    settings = KNOWN[name][0].with_(adjacency=adjacency)
    whole, half = epsilon(settings), epsilon(settings, steps=10)
    plan = settings.with_(steps=10).plan()
    twice = accounting.epsilon(replace(plan, phases=plan.phases * 2), 1e-5)
    assert twice.value == pytest.approx(whole.value, rel=ROOM), "2k = k + k"
    assert half.upper <= whole.upper * (1 + ROOM) and half.lower <= whole.lower * (1 + ROOM), "steps cost"
    assert epsilon(settings, noise_multiplier=2.0).upper <= whole.upper * (1 + ROOM), "noise saves"


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(("shuffle", "truncated-poisson"), marks=pytest.mark.slow),
        ("cyclic-poisson", "fixed-size", "poisson"),
    ],
    ids=str,
)
def test_schemes_compose_and_the_order_of_phases_does_not_matter(names: tuple[str, ...]) -> None:
    plans = [KNOWN[name][0].with_(adjacency=ZERO_OUT, steps=10).plan() for name in names]
    phases = tuple(plan.only_phase for plan in plans)
    one, other = (accounting.epsilon(replace(plans[0], phases=each), 1e-5) for each in (phases, phases[::-1]))
    assert one.value == pytest.approx(other.value, rel=ROOM)
    assert one.value > max(accounting.epsilon(plan, 1e-5).value for plan in plans)


@pytest.mark.parametrize(("name", "adjacency"), CASES, ids=str)
def test_plans_survive_json(name: str, adjacency: Adjacency) -> None:
    plan: Plan = KNOWN[name][0].with_(adjacency=adjacency).plan()
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


@pytest.mark.slow
def test_more_of_the_data_never_costs_less() -> None:
    for name, larger in (("poisson", 8), ("users", 8), ("cyclic-poisson", 8), ("fixed-size", 8)):
        settings = KNOWN[name][0].with_(adjacency=ZERO_OUT)
        assert epsilon(settings, batch_size=larger).upper >= epsilon(settings).upper
