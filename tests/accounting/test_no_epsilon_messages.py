"""Why no ε is claimed: each sentence names what the plan has, and a remedy that helps."""

import re

import pytest

from dpplan import accounting
from dpplan.accounting import ACCOUNTANTS, exact, no_epsilon_messages, rdp
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT
from dpplan.errors import NotCertified
from dpplan.mechanism import (
    BestOfTrials,
    DiscreteGaussian,
    DiscreteLaplace,
    Exponential,
    Gaussian,
    Laplace,
    Mechanism,
    RandomizedResponse,
    Stated,
    StatedGdp,
    StatedRenyi,
    StatedZcdp,
    ThresholdedCounts,
    TreeAggregation,
)
from dpplan.plan import Phase, Plan
from dpplan.sampling import FixedSize, Poisson, Shuffle
from dpplan.sampling.scheme import Sampling
from dpplan.units import APART, WHOLE_ONLY

COUNTS = ThresholdedCounts(5.0, 20.0, 3)


def plan(mechanism: Mechanism, steps: int = 1, scheme: Sampling | None = None, **said: object) -> Plan:
    return Plan((Phase(mechanism, scheme or Poisson(1.0), steps),), **said)


def refused(asked: Plan, delta: float = 1e-6, accountant: str = "exact") -> str:
    with pytest.raises(NotCertified) as refusal:
        accounting.epsilon(asked, delta, accountant)
    return str(refusal.value)


@pytest.mark.parametrize("accountant", ["exact", "rdp"])
@pytest.mark.parametrize(("asked", "chance"), [(plan(Stated(1.0, 1e-5), 20), "0.0002"), (plan(COUNTS), "0.000217")])
def test_below_its_floor_a_plan_is_told_the_chance_and_a_delta_that_answers(
    asked: Plan, chance: str, accountant: str
) -> None:
    said = refused(asked, 1e-6, accountant)
    assert f"delta=1e-06 is less than the chance, {chance}, of an outcome" in said
    assert "sigma" not in said
    named = float(re.search(r"such as (\S+), or", said).group(1))
    assert accounting.epsilon(asked, named, accountant).upper < 100.0


def test_at_just_the_chance_it_is_not_said_that_no_epsilon_covers_it() -> None:
    said = refused(plan(Stated(1.0, 1e-6)), 1e-6)
    assert "delta=1e-06 leaves nothing beside the chance, 1e-06, of an outcome" in said
    assert "is less than" in refused(plan(Stated(1.0, 1e-6)), 0.999e-6)


@pytest.mark.parametrize("accountant", ACCOUNTANTS)
def test_what_is_known_of_one_record_is_not_claimed_of_a_user_with_several(accountant: str) -> None:
    """For three of a user's examples and a discrete Gaussian, rdp said 2.42, what one of them costs; a plain one costs
    7.8."""
    users = {"privacy_unit": "user", "max_per_user": 3}
    mechanisms = (
        DiscreteGaussian(2.0), Exponential(0.5), StatedZcdp(0.1), StatedRenyi((2.0, 4.0), (0.1, 0.2)), COUNTS,
        Stated(0.1, 1e-8), StatedGdp(0.3), Laplace(1.0), DiscreteLaplace(1.0),
    )  # fmt: skip
    for mechanism in mechanisms:
        search = BestOfTrials("geometric", 3.0, (Phase(mechanism, Poisson(1.0), 1),))
        for each in (mechanism, search):
            with pytest.raises(NotCertified):
                accounting.epsilon(plan(each, **users), 1e-6, accountant)
            with pytest.raises(NotCertified):
                accounting.delta(plan(each, **users), 1.0, accountant)


def test_where_no_delta_of_use_is_left_the_remedy_is_another() -> None:
    assert refused(plan(Stated(1.0, 0.2), 20)).endswith("or a smaller delta that is stated.")
    assert "chance, 0.5," in no_epsilon_messages.below_floor("epsilon", 0.1, 0.5)


def test_noise_is_asked_about_under_its_own_name() -> None:
    assert "Is gdp meant so: mu=500?" in refused(plan(StatedGdp(500.0), 100))
    assert rdp.epsilon(plan(StatedGdp(500.0), 100), 1e-6).upper > 1e7  # the remedy that is named
    assert refused(plan(Gaussian(1e-170))).endswith(no_epsilon_messages.USUAL)
    both = Plan((Phase(StatedGdp(500.0), Poisson(1.0), 100), Phase(Laplace(1.0), Poisson(1.0), 1)))
    assert "Is the noise of each phase meant so?" in refused(both)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (
            plan(Laplace(1.0), 10, FixedSize(10, 100)),
            "laplace with fixed-size is not known under add-remove: laplace is known with poisson, or without sampling",
        ),
        (
            plan(RandomizedResponse(1.0)),
            "randomized-response with full-batch is not known under add-remove: how many answers there are is seen",
        ),
        (
            plan(Gaussian(1.0), 10, Shuffle(10, "fresh")),
            "gaussian with shuffle is not known under add-remove: whoever is removed moves the others",
        ),
        (
            plan(Laplace(1.0), privacy_unit="user", max_per_user=3),
            "and this is laplace with full-batch under add-remove. What a mechanism costs a whole user, and runs that "
            f"draw users' examples one by one, {APART}. {WHOLE_ONLY}",
        ),
        (
            plan(Gaussian(1.0), 3, FixedSize(10, 100), privacy_unit="user", max_per_user=3),
            f"gaussian with fixed-size under add-remove. Draw by Poisson sampling, if the run can. {WHOLE_ONLY}",
        ),
        (
            plan(StatedZcdp(0.1), privacy_unit="user", max_per_user=3),
            "and this is zcdp with full-batch under add-remove. What a mechanism costs a whole user, and runs that "
            f"draw users' examples one by one, {APART}",
        ),
        (
            plan(TreeAggregation(9.0, 1), 3, privacy_unit="user", max_per_user=3),
            f"and this is tree with full-batch under add-remove. {WHOLE_ONLY}",
        ),
        (
            plan(Gaussian(1.0), 3, Poisson(0.1), privacy_unit="user", max_per_user=3, adjacency=REPLACE_ONE),
            "gaussian with poisson under replace-one. Try --adjacency add-remove. Leave max_per_user out only",
        ),
    ],
)
def test_what_is_not_known_together_is_told_with_what_is(asked: Plan, told: str) -> None:
    assert told in refused(asked)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (plan(Laplace(1.0)), "and this is laplace with full-batch under add-remove. Use the exact"),
        (plan(Gaussian(1.0), 3, Poisson(0.1), adjacency=REPLACE_ONE), "gaussian with poisson under replace-one."),
        (
            plan(Gaussian(1.0), 3, Poisson(0.1), privacy_unit="user", max_per_user=4),
            "gaussian with poisson under add-remove, 4 examples of a user.",
        ),
        (plan(DiscreteGaussian(2.0), adjacency=ZERO_OUT), "discrete-gaussian with full-batch under zero-out."),
    ],
)
def test_accountants_of_sampled_gaussians_say_what_the_plan_is(asked: Plan, told: str) -> None:
    assert told in refused(asked, accountant="moments")


def test_numbers_beyond_floats_come_with_a_remedy() -> None:
    phases = (Phase(Gaussian(1e-200), Poisson(1.0), 20), Phase(Laplace(1.0), Poisson(1.0), 20))
    assert "try --accountant rdp" in refused(Plan(phases, adjacency=ADD_REMOVE))
    assert rdp.epsilon(Plan(phases), 1e-6).upper > 1e100
    with pytest.raises(NotCertified, match="try --accountant rdp"):
        exact.delta(Plan(phases), 1.0)
