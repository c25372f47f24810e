"""The contract of the exact accountant over every scheme, adjacency and unit; and that a file of any is verified."""

import itertools
import json
import math
import random
from dataclasses import replace

import pytest

from dpplan import accounting
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import PlanError
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
    "whole users": (BASE.with_(unit="user"), (ADD_REMOVE, ZERO_OUT, REPLACE_ONE)),
    "cyclic by place": (
        BASE.with_(sampling="cyclic-poisson", scheme_options=(("groups", 5),)),
        (ZERO_OUT, REPLACE_ONE),
    ),
    "shuffled once": (BASE.with_(sampling="shuffle", scheme_options=(("order", "once"),)), (ZERO_OUT, REPLACE_ONE)),
    "kept bins": (BASE.with_(sampling="balls-in-bins", scheme_options=(("bins", "same"),)), (ADD_REMOVE, ZERO_OUT)),
    "two of a round": (  # of 10 steps: a half of one counts as a whole
        BASE.with_(sampling="random-allocation", scheme_options=(("times", 2),), batch_size=8),
        (ADD_REMOVE, ZERO_OUT),
    ),
    "full-batch": (BASE.with_(sampling="full-batch", batch_size=40), (ADD_REMOVE, ZERO_OUT, REPLACE_ONE)),
}
CASES = [(name, adjacency) for name, (_, adjacencies) in KNOWN.items() for adjacency in adjacencies]
# Drawn once for all epochs: two runs are no longer one of twice the length, and a longer one tells more of one draw.
DRAWN_ONCE = {"shuffled once", "kept bins"}
QUICK = [
    ("balls-in-bins", ADD_REMOVE),
    ("cyclic-poisson", REPLACE_ONE),
    ("users", ADD_REMOVE),
]
SLOW = [pytest.param(*case, marks=pytest.mark.slow) for case in CASES if case not in QUICK]
ROOM = 1e-4


def epsilon(settings: Settings, **changes: object) -> Bound:
    found = accounting.epsilon(settings.with_(**changes).plan(), 1e-5)  # type: ignore[arg-type]
    assert found.guarantee is Guarantee.CERTIFIED and found.lower is not None and found.upper is not None
    assert (
        0 <= found.lower <= found.upper and found.upper > 0
    )  # half a round of an allocation proves nothing from below
    return found


@pytest.mark.parametrize(("name", "adjacency"), [*QUICK, *SLOW], ids=str)
def test_the_contract(name: str, adjacency: Adjacency) -> None:
    settings = KNOWN[name][0].with_(adjacency=adjacency)
    whole, half = epsilon(settings), epsilon(settings, steps=10)
    plan = settings.with_(steps=10).plan()
    twice = accounting.epsilon(replace(plan, phases=plan.phases * 2), 1e-5)
    if name not in DRAWN_ONCE:
        assert twice.lower <= whole.upper and whole.lower <= twice.upper, "2k = k + k"
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


SAME_SIZE = [("truncated-poisson", ZERO_OUT), ("fixed-size", ZERO_OUT)]
MORE = [case for case in CASES if case[1] != ADD_REMOVE and case not in SAME_SIZE]


@pytest.mark.parametrize(
    ("name", "adjacency"), [*SAME_SIZE, *(pytest.param(*case, marks=pytest.mark.slow) for case in MORE)], ids=str
)
def test_no_sampling_costs_more_than_full_batches(name: str, adjacency: Adjacency) -> None:
    """Neighbours of one size are drawn alike: to be told who is drawn leaves a record that is moved as in full batches,
    or not at all."""
    settings = KNOWN[name][0].with_(adjacency=adjacency, steps=10)
    whole = settings.with_(sampling="full-batch", batch_size=40, scheme_options=())
    full, costs = epsilon(whole), list[float]()
    for batch in (4, 20, 36, 40):
        options = (("cap", min(batch + 2, 40)),) if name == "truncated-poisson" else settings.scheme_options
        try:
            plan = settings.with_(batch_size=batch, scheme_options=options).plan()
        except PlanError:  # n / batch is not whole, or half of a round is
            continue
        found = accounting.epsilon(plan, 1e-5)
        assert found.lower <= found.upper <= full.upper * (1 + 1e-8)
        costs.append(found.upper)
    assert costs
    if name != "truncated-poisson":  # whose caps go along
        assert all(more >= less * (1 - ROOM) for less, more in itertools.pairwise(costs)), "more of the data costs more"


def _drawn(rng: random.Random, name: str, adjacency: Adjacency) -> Settings:
    """A small run of the scheme."""
    per_epoch, batch = 10 if "cyclic" in name else rng.choice((5, 8, 10)), rng.choice((3, 6))
    n = per_epoch * batch
    settings = KNOWN[name][0].with_(
        adjacency=adjacency,
        noise_multiplier=math.exp(rng.uniform(-0.5, 1.5)),
        examples=n,
        batch_size=n if name == "full-batch" else batch,
        steps=2 * per_epoch * rng.randint(1, 4),
    )
    if name == "truncated-poisson":
        return settings.with_(scheme_options=(("cap", rng.randint(1, 2 * batch)),))
    if name == "users":
        return settings.with_(max_per_user=rng.randint(2, 5))
    return settings


@pytest.mark.slow
@pytest.mark.parametrize(("name", "adjacency"), CASES, ids=str)
def test_the_contract_over_random_runs(name: str, adjacency: Adjacency) -> None:
    """Ends never cross; 2k = k + k; more noise, fewer steps and a larger delta never cost more; order does not matter;
    a larger rate and more of one user never cost less. Intervals are compared: what is proven never contradicts it."""
    rng = random.Random(f"{name} {adjacency}")
    others = [other for other, (_, known) in KNOWN.items() if adjacency in known and KNOWN[other][0].unit == "example"]
    for _ in range(4):
        settings, delta = _drawn(rng, name, adjacency), 10.0 ** rng.uniform(-9.0, -2.0)
        plan, half = settings.plan(), settings.with_(steps=settings.steps // 2).plan()  # type: ignore[operator]
        whole = accounting.epsilon(plan, delta)
        assert whole.lower <= whole.upper
        twice = accounting.epsilon(replace(half, phases=half.phases * 2), delta)
        if name not in DRAWN_ONCE:
            assert twice.lower <= whole.upper and whole.lower <= twice.upper
        cheaper = [accounting.epsilon(half, delta), accounting.epsilon(plan, 2.0 * delta)]
        cheaper.append(
            accounting.epsilon(settings.with_(noise_multiplier=1.2 * settings.noise_multiplier).plan(), delta)
        )
        if name not in {"full-batch", "truncated-poisson"}:
            more = settings.with_(batch_size=2 * settings.batch_size)  # type: ignore[operator]
            if name in {"poisson", "users", "whole users", "cyclic-poisson", "cyclic by place", "fixed-size"}:
                assert whole.lower <= accounting.epsilon(more.plan(), delta).upper * (1 + ROOM)
        if name == "users":
            more = settings.with_(max_per_user=settings.max_per_user + 1)  # type: ignore[operator]
            assert whole.lower <= accounting.epsilon(more.plan(), delta).upper * (1 + ROOM)
        assert all(each.lower <= whole.upper and each.upper <= whole.upper * (1 + ROOM) for each in cheaper)
        if settings.unit == "example":
            other = _drawn(rng, rng.choice(others), adjacency).with_(examples=settings.examples, batch_size=3, steps=6)
            try:
                phases = (plan.only_phase, other.plan().only_phase)
            except PlanError:  # n / 3 is not whole
                continue
            one, turned = (accounting.epsilon(replace(plan, phases=each), delta) for each in (phases, phases[::-1]))
            assert one.value == pytest.approx(turned.value, rel=ROOM)
            assert one.upper >= whole.lower
