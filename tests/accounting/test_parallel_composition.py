"""Groups that share no record: a plan costs what one record costs at most."""

import math
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import oracle
import pytest
from mpmath import mp

from dpplan import accounting, groups
from dpplan.accounting import exact, gdp, parallel_composition
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.exact.profile import Profile
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import NotApplicable, PlanError
from dpplan.mechanism import BestOfTrials, Gaussian, Laplace, Mechanism, RandomizedResponse, Stated
from dpplan.phase_steps import in_a_row
from dpplan.plan import Phase, Plan
from dpplan.plan_json import plan_from_json, plan_to_json
from dpplan.sampling import FixedSize, Poisson
from dpplan.units import unit_words

ALL = Poisson(1.0)
A, B = ((0, 0),), ((0, 1),)


def phase(mechanism: Mechanism, group: groups.GroupPath = (), steps: int = 1, sampling: Any = ALL) -> Phase:
    return Phase(mechanism, sampling, steps, groups=group)


def plan(*phases: Phase, adjacency: Adjacency = ADD_REMOVE) -> Plan:
    return Plan(phases, adjacency=adjacency)


def flat(*phases: Phase, adjacency: Adjacency = ADD_REMOVE) -> Plan:
    return plan(*(replace(each, groups=()) for each in phases), adjacency=adjacency)


def ends(bound: Bound) -> tuple[float | None, float | None]:
    return bound.lower, bound.upper


@pytest.mark.parametrize("adjacency", [ADD_REMOVE, ZERO_OUT])
def test_a_plan_costs_what_its_most_costly_group_does(adjacency: Adjacency) -> None:
    whole, one, other = phase(Gaussian(2.0), steps=3), phase(Gaussian(1.0), A), phase(Gaussian(1.5), B, steps=2)
    found = accounting.epsilon(plan(whole, one, other, adjacency=adjacency), 1e-6)
    mus = [math.sqrt(3 / 4 + extra) for extra in (1.0, 2 / 2.25)]
    assert found.guarantee is Guarantee.CERTIFIED and found.lower is not None and found.upper is not None
    assert found.lower <= gdp.gaussian_epsilon(max(mus), 1e-6) <= found.upper <= found.lower * (1 + 1e-7)
    assert "most costly of 2 ways" in found.why and "no example in two groups" in str(found.assumptions)


def test_the_largest_profile_is_taken_at_the_end_and_not_group_by_group() -> None:
    """One group costs most at a small δ, the other at a large one."""
    steep, wide = phase(Gaussian(2.0), A), phase(Stated(0.4, 0.0), B, steps=4)
    both = plan(phase(Stated(0.1)), steep, wide)
    largest = []
    for at in (1e-8, 0.2):
        alone = [accounting.epsilon(flat(phase(Stated(0.1)), each), at) for each in (steep, wide)]
        largest.append(alone.index(max(alone, key=lambda bound: bound.value)))
        assert ends(accounting.epsilon(both, at)) == ends(max(alone, key=lambda bound: bound.value))
    assert largest == [0, 1]
    for at in (0.5, 3.0):
        alone = [accounting.delta(flat(phase(Stated(0.1)), each), at) for each in (steep, wide)]
        assert accounting.delta(both, at).upper == max(bound.value for bound in alone)


def test_groups_within_groups_and_several_blocks() -> None:
    inner = [phase(Gaussian(0.1), (*B, (1, 0))), phase(Gaussian(0.3), (*B, (1, 1)))]
    whole = plan(phase(Gaussian(0.5)), phase(Gaussian(0.25), A), phase(Gaussian(0.05), B), *inner,
                 phase(Gaussian(0.2), ((2, 0),)), phase(Gaussian(0.4), ((2, 1),)))  # fmt: skip
    paths, kinds = [each.groups for each in whole.phases], list(range(7))
    assert sorted(map(sorted, groups.ways(paths, kinds))) == [
        [0, 1, 5], [0, 1, 6], [0, 2, 3, 5], [0, 2, 3, 6], [0, 2, 4, 5], [0, 2, 4, 6]
    ]  # fmt: skip
    dear = flat(*(whole.phases[at] for at in (0, 2, 3, 5)))  # the least noise
    assert ends(accounting.epsilon(whole, 1e-9)) == ends(accounting.epsilon(dear, 1e-9))


@pytest.mark.slow
def test_a_record_that_is_replaced_may_change_its_group_and_both_pay() -> None:
    one, other, whole = phase(Stated(0.3, 1e-9), A), phase(Stated(0.3, 1e-9), B), phase(Stated(0.2))
    paid = accounting.epsilon(plan(whole, one, other, adjacency=REPLACE_ONE), 1e-6)
    assert ends(paid) == ends(accounting.epsilon(flat(whole, one, other, adjacency=REPLACE_ONE), 1e-6))
    assert ends(accounting.epsilon(plan(whole, one, other, adjacency=ZERO_OUT), 1e-6)) == ends(
        accounting.epsilon(flat(whole, one, adjacency=ZERO_OUT), 1e-6)
    )


def test_gaussian_groups_see_a_record_that_moves_as_removed_and_added() -> None:
    """Staying moves a sum by two clip norms, 4/σ² in μ²; moving each of two sums by one, 1/σ² each."""
    one, other = phase(Gaussian(1.0), A), phase(Gaussian(0.5), B)
    found = accounting.epsilon(plan(one, other, adjacency=REPLACE_ONE), 1e-6)
    assert found.upper == pytest.approx(gdp.gaussian_epsilon(2 / 0.5, 1e-6), rel=1e-7)
    moved = [each for each in parallel_composition.followed(plan(one, other, adjacency=REPLACE_ONE))
             if groups.LEAVES in {phase.groups for phase in each.phases}]  # fmt: skip
    (each,) = moved
    assert accounting.epsilon(each, 1e-6).upper == pytest.approx(gdp.gaussian_epsilon(math.sqrt(5.0), 1e-6), rel=1e-7)


def test_leaving_and_entering_are_the_two_directions_of_sampling() -> None:
    """Against sums over a grid of both outputs: q·N(1, σ²) + (1 - q)·N(0, σ²) before in one, after in the other."""
    sigma, rates = 0.8, (0.3, 0.1)
    both = plan(*(phase(Gaussian(sigma), group, sampling=Poisson(q)) for group, q in zip((A, B), rates, strict=True)),
                adjacency=REPLACE_ONE)  # fmt: skip
    (moved,) = (
        each for each in parallel_composition.followed(both) if groups.ENTERS in {one.groups for one in each.phases}
    )
    x = np.linspace(-6.0, 7.0, 1301)
    normal = np.exp(-(x**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi)) * (x[1] - x[0])
    shifted = np.exp(-((x - 1) ** 2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi)) * (x[1] - x[0])
    left, right = ((1 - q) * normal + q * shifted for q in rates)
    p, q = left[:, None] * normal[None, :], normal[:, None] * right[None, :]
    for epsilon in (0.0, 0.5):
        truth = max(np.maximum(p - math.exp(epsilon) * q, 0).sum(), np.maximum(q - math.exp(epsilon) * p, 0).sum())
        found = exact.delta(moved, epsilon)
        assert found.lower is not None and found.upper is not None
        assert found.lower - 1e-6 <= truth <= found.upper + 1e-6


@pytest.mark.slow
def test_a_record_may_leave_an_outer_group_whose_like_has_groups_inside() -> None:
    """Both outer groups pay 1, and one inner group of each."""
    phases = []
    for outer in range(2):
        phases.append(phase(Stated(1.0), ((0, outer),)))
        phases += [phase(Stated(0.001), ((0, outer), (1 + outer, inner))) for inner in range(2)]
    assert accounting.epsilon(plan(*phases, adjacency=REPLACE_ONE), 1e-9).value == pytest.approx(2.002, rel=1e-6)
    assert accounting.epsilon(plan(*phases, adjacency=ZERO_OUT), 1e-9).value == pytest.approx(1.001, rel=1e-6)


def test_groups_that_are_alike_are_asked_once_and_too_many_others_refused() -> None:
    weeks = [phase(Gaussian(2.0), ((0, week),)) for week in range(300)]
    assert len(parallel_composition.followed(plan(*weeks))) == 1
    assert len(parallel_composition.followed(plan(*weeks, adjacency=REPLACE_ONE))) == 2  # who stays, and who moves
    unlike = [phase(Gaussian(2.0 + week / 100), ((0, week),)) for week in range(300)]
    with pytest.raises(NotApplicable, match="300 ways through the groups"):
        accounting.epsilon(plan(*unlike), 1e-6)
    with pytest.raises(NotApplicable, match="ways to leave a group"):
        accounting.epsilon(plan(*unlike[:30], adjacency=REPLACE_ONE), 1e-6)


def nested(deep: int) -> list[Phase]:
    """A group in a group in a group; beside each, one of another cost."""
    inside = tuple((block, 0) for block in range(deep))
    beside = (phase(Stated(1.01 + at / 100), (*inside[:at], (at, 1))) for at in range(deep))
    return [phase(Stated(1.0), inside), *beside]


def test_groups_in_groups_take_no_more_memory_with_each_level() -> None:
    tracemalloc.start()
    try:
        for adjacency in (ZERO_OUT, REPLACE_ONE):
            found = parallel_composition.followed(plan(*nested(10), adjacency=adjacency))
            assert len(found) == (11 if adjacency == ZERO_OUT else 66)  # ways, or pairs of them
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert len(parallel_composition.followed(plan(*nested(30)))) == 31
    with pytest.raises(PlanError, match="nested 31 deep, more than 30"):
        plan(*nested(31))


def test_a_record_that_moves_is_refused_where_nothing_is_known_of_it() -> None:
    drawn = [phase(Gaussian(2.0), group, sampling=FixedSize(10, 100)) for group in (A, B)]
    with pytest.raises(NotApplicable, match="may leave one group and enter another"):
        accounting.epsilon(plan(*drawn, adjacency=REPLACE_ONE), 1e-6)
    answered = [phase(RandomizedResponse(0.5), group) for group in (A, B)]
    with pytest.raises(NotApplicable, match="randomized-response"):
        accounting.epsilon(plan(*answered, adjacency=REPLACE_ONE), 1e-6)
    assert accounting.epsilon(plan(*answered, adjacency=ZERO_OUT), 1e-6).value < 0.5


def test_an_estimate_among_the_groups_makes_the_figure_one() -> None:
    some = plan(phase(Gaussian(1.0), A), phase(Gaussian(1.0), B, sampling=Poisson(0.1), steps=10))
    found = accounting.epsilon(some, 1e-6, "gdp")
    assert found.guarantee is Guarantee.ESTIMATE and found.upper is None and found.estimate is not None
    upper = accounting.epsilon(some, 1e-6, "rdp")
    assert upper.guarantee is Guarantee.UPPER and upper.value >= accounting.epsilon(some, 1e-6).value
    with pytest.raises(NotApplicable, match="split into groups"):
        exact.epsilon(some, 1e-6)


@pytest.mark.sweep(slow=("adjacency0",))
@pytest.mark.parametrize("adjacency", [ADD_REMOVE, REPLACE_ONE])
def test_the_profile_is_the_largest_from_above_and_one_records_from_below(adjacency: Adjacency) -> None:
    both = plan(phase(Gaussian(2.0), A), phase(Gaussian(1.0), B, sampling=Poisson(0.2), steps=3), adjacency=adjacency)
    profile = Profile.of(both)
    for epsilon in (0.0, 0.7, 2.0):
        remove, add = profile.remove(epsilon), profile.add(epsilon)
        truth = accounting.delta(both, epsilon)
        assert truth.lower is not None and truth.upper is not None
        assert max(remove[1], add[1]) == pytest.approx(truth.upper, rel=1e-6) and max(remove[0], add[0]) <= truth.upper
    if adjacency == REPLACE_ONE:
        assert profile.remove(0.7) == profile.add(0.7)


def test_json_keeps_the_groups_and_plans_in_a_row_have_groups_of_their_own() -> None:
    both = plan(phase(Laplace(0.2), A), phase(Laplace(0.3), B))
    assert plan_from_json(plan_to_json(both)) == both
    twice = Plan(in_a_row([both, both]))
    assert ends(accounting.epsilon(twice, 1e-6)) == ends(accounting.epsilon(flat(*[phase(Laplace(0.3))] * 2), 1e-6))
    for wrong in ("x", [[0]], [[0, -1]], [[0, True]], [3], {}):
        content = plan_to_json(both)
        content["phases"][0]["parallel"] = wrong
        with pytest.raises(PlanError, match=r"phases\[0\]\.parallel is"):
            plan_from_json(content)
    with pytest.raises(PlanError, match="groups="):
        Phase(Laplace(0.1), ALL, 1, groups=((0,),))  # type: ignore[arg-type]


def test_groups_of_users_share_no_user() -> None:
    both = Plan((phase(Gaussian(1.0), A), phase(Gaussian(2.0), B)), privacy_unit="user")
    assert both.assumptions.sampling == "full batch, no user in two groups"
    assert both.assumptions.privacy_unit == unit_words("user", None) == "user, drawn and clipped whole"


def test_groups_have_an_n_of_their_own() -> None:
    drawn = phase(Gaussian(1.0), A, sampling=FixedSize(50, 500))
    assert Plan((drawn, phase(Gaussian(2.0), B)), examples=1000).examples == 1000
    with pytest.raises(PlanError, match="draw from one data set"):
        Plan((replace(drawn, groups=()),), examples=1000)


@pytest.mark.parametrize("mechanism", [Gaussian(2.0), Laplace(0.5)], ids=lambda each: each.kind)
@pytest.mark.parametrize("adjacency", [ADD_REMOVE, ZERO_OUT, REPLACE_ONE], ids=lambda each: each.name)
def test_a_search_assumes_of_its_groups_what_they_assume_outside_of_one(
    mechanism: Mechanism, adjacency: Adjacency
) -> None:
    trial = (phase(mechanism, A), phase(Gaussian(2.0), B))
    outside = str(plan(*trial, adjacency=adjacency).assumptions.sampling)
    within = plan(phase(BestOfTrials("geometric", 3, trial)), adjacency=adjacency)
    grouped = plan(
        phase(BestOfTrials("geometric", 3, tuple(replace(each, groups=()) for each in trial)), A), adjacency=adjacency
    )
    for each in (within, grouped):
        assert str(each.assumptions.sampling).replace(", of a search nothing but its winner released", "") == outside


def test_a_phase_of_a_trial_is_of_the_neighbours_and_the_unit_of_the_plan() -> None:
    for other in ({"adjacency": ADD_REMOVE}, {"privacy_unit": "user"}):
        trial = (replace(phase(Laplace(0.5)), **other),)
        with pytest.raises(PlanError, match=rf"inside\[1\].{next(iter(other))}=.* is not the plan's"):
            plan(phase(BestOfTrials("geometric", 3, (phase(Laplace(0.5)),), others=(trial,))), adjacency=REPLACE_ONE)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 2.5])
def test_the_most_costly_way_changes_with_epsilon_and_is_held_in_mpmath(epsilon: float) -> None:
    """A Gaussian for one group, two releases of ε = 1 for the other: the larger of two closed forms, which is the
    Gaussian's from ε = 2 on, where the others tell no more."""
    found = accounting.delta(plan(phase(Gaussian(2.0), A), phase(Stated(1.0, 0.0), B, steps=2)), epsilon)
    with mp.workdps(30):
        ways = mp.exp(oracle.gaussian_log_delta(0.5, epsilon)), oracle.randomized_response_delta(1.0, 2, epsilon)
        assert found.lower <= max(ways) <= found.upper <= max(ways) * (1 + 1e-7)
    assert (ways[0] > ways[1]) == (epsilon > 2.0)
