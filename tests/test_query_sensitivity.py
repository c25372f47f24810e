"""Queries: sensitivities against every pair of small data sets, and noise against its own law."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest

from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.mechanism import DiscreteLaplace, Exponential, Gaussian, Laplace
from dpplan.query_sensitivity import IN_NO_BIN, MISSED, WITHIN_BOUNDS, Query, accuracy, answered_by, settings

User = tuple[int, ...]  # a value for each record
Vector = np.ndarray


def moved(answer: Callable[[list[User]], Vector], most: int, adjacency: Adjacency, unit: str, norm: int) -> float:
    """The largest change over all neighbours among users with records of values -2, 0 and 3, on two backgrounds."""
    records = [()] if unit == "user" or adjacency != REPLACE_ONE else []
    for count in range(1, most + 1):
        records += list(itertools.product((-2, 0, 3), repeat=count))
    users = records if unit == "user" else [each for each in records if len(each) <= 1]
    found = 0.0
    for background in ([], [(0,), (3,), (3,), (-2,)]):
        after = users if adjacency == REPLACE_ONE else [()]
        for one, other in itertools.product(users, after):
            change = answer([*background, one]) - answer([*background, other])
            found = max(found, float(np.linalg.norm(np.atleast_1d(change), norm)))
    return found


def values(users: list[User]) -> list[int]:
    return [value for user in users for value in user]


ANSWERS: dict[str, Callable[[list[User]], Vector]] = {
    "count": lambda users: np.array(sum(value > -5 for value in values(users))),
    "sum": lambda users: np.array(sum(values(users))),
    "mean": lambda users: np.array(sum(values(users)) / 10),
    "histogram": lambda users: np.array([values(users).count(each) for each in (-2, 0, 3)]),
    "quantile": lambda users: np.array(
        -abs(0.3 * sum(value > 0 for value in values(users)) - 0.7 * sum(value < 0 for value in values(users)))
    ),
}

# What is below 0 against a share of n, which is public: zeroing a record leaves the share as it is.
OF_PUBLIC_N = lambda users: np.array(-abs(sum(value < 0 for value in values(users)) - 0.3 * 10))  # noqa: E731


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("adjacency", [ADD_REMOVE, ZERO_OUT, REPLACE_ONE], ids=str)
@pytest.mark.parametrize(("unit", "most"), [("example", 1), ("user", 1), ("user", 2)])
def test_a_sensitivity_is_the_largest_change_between_neighbours(
    kind: str, adjacency: Adjacency, unit: str, most: int
) -> None:
    asked = Query(kind, -2, 3, n=10, max_per_user=most, p=0.7, candidates=9)
    for norm in (1, 2) if kind == "histogram" else (1,):
        answer = OF_PUBLIC_N if (kind, adjacency) == ("quantile", ZERO_OUT) else ANSWERS[kind]
        truth, found = moved(answer, most, adjacency, unit, norm), asked.sensitivity(adjacency, unit, norm)
        if (kind, adjacency) == ("quantile", REPLACE_ONE) or (kind == "count" and unit == "example" and most == 1):
            assert truth <= found * (1 + 1e-12)  # of a count, whether a record counts may depend on its value
        else:
            assert truth == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize("mechanism", [Laplace(0.3), Gaussian(2.0), DiscreteLaplace(0.4, 3)], ids=lambda m: m.kind)
@pytest.mark.parametrize("adjacency", [ADD_REMOVE, REPLACE_ONE], ids=str)
def test_answers_are_as_near_as_is_said(mechanism: Laplace, adjacency: Adjacency) -> None:
    asked = Query("count", max_per_user=3)
    found, rng = accuracy(asked, mechanism, adjacency, "user"), np.random.default_rng(3)
    count = 200_000
    if isinstance(mechanism, Laplace):
        noise = rng.laplace(0, 3 / 0.3, count)
    elif isinstance(mechanism, Gaussian):
        noise = rng.normal(0, 3 * 2.0 / adjacency.sensitivity, count)
    else:
        share = 1 - math.exp(-0.4 / 3)
        noise = (rng.geometric(share, count) - rng.geometric(share, count)).astype(float)
    beyond = float(np.mean(np.abs(noise) > found.within))
    assert found.standard_error == pytest.approx(noise.std(), rel=0.02)
    assert beyond <= MISSED + 0.002
    assert beyond >= (MISSED - 0.002 if not isinstance(mechanism, DiscreteLaplace) else 0.03)


def test_a_quantile_is_as_near_as_is_said() -> None:
    """Of the exponential mechanism over scores that are ranks."""
    asked = Query("quantile", 0, 9, p=0.5, candidates=101)
    found = accuracy(asked, Exponential(0.5), ADD_REMOVE, "example")
    scores = -np.abs(np.arange(101) - 50.0)
    weights = np.exp(0.5 * scores / (2 * found.sensitivity))
    assert float(weights[-scores > found.within].sum() / weights.sum()) <= MISSED
    assert found.standard_error is None and found.within == pytest.approx(2 * 0.5 / 0.5 * math.log(101 / 0.05))


def test_the_noise_that_is_wanted_claims_no_more_privacy_than_it_gives() -> None:
    asked = Query("histogram", standard_error=7.0)
    for adjacency in (ADD_REMOVE, REPLACE_ONE):
        epsilon = settings(asked, "laplace", adjacency, "example")["epsilon"]
        assert epsilon >= math.sqrt(2) * (2 if adjacency == REPLACE_ONE else 1) / 7.0
        sigma = settings(asked, "gaussian", adjacency, "example")["noise_multiplier"]
        moves = adjacency.sensitivity / sigma  # what the accountant takes one release to tell
        assert moves >= (math.sqrt(2) if adjacency == REPLACE_ONE else 1) / 7.0
        assert accuracy(asked, Gaussian(sigma), adjacency, "example").standard_error == pytest.approx(7.0, rel=1e-5)
    assert settings(Query("count", max_per_user=3), "discrete-laplace", ADD_REMOVE, "user") == {"sensitivity": 3}
    assert answered_by(Query("sum"), "discrete-laplace") and not answered_by(Query("sum"), "laplace")


def test_a_histogram_says_that_a_zeroed_record_is_in_no_bin() -> None:
    """One that stays in some bin moves two, as one that is replaced does; a count that keeps it moves less."""
    noise = Laplace(0.5)
    assert accuracy(Query("histogram"), noise, ZERO_OUT, "example").rests_on == IN_NO_BIN
    others = [(Query("histogram"), ADD_REMOVE), (Query("histogram"), REPLACE_ONE), (Query("count"), ZERO_OUT)]
    assert {accuracy(query, noise, adjacency, "example").rests_on for query, adjacency in others} == {""}


def test_a_replaced_record_that_may_add_nothing_is_told_of() -> None:
    """Of [50, 100], one without a number that adds nothing moves the sum by 100 where 50 is accounted."""
    noise = Laplace(0.5)
    for kind in ("sum", "mean"):
        asked = Query(kind, low=50.0, high=100.0, n=10)
        assert accuracy(asked, noise, REPLACE_ONE, "example").rests_on == WITHIN_BOUNDS
        others = [(asked, REPLACE_ONE, "user"), (Query(kind, low=0.0, high=9.0, n=10), REPLACE_ONE, "example")]
        others += [(asked, ZERO_OUT, "example")]
        assert {accuracy(query, noise, adjacency, unit).rests_on for query, adjacency, unit in others} == {""}
        # the bounds that contain 0 already allow for one that adds nothing
        assert Query(kind, low=0.0, high=9.0, n=10).sensitivity(REPLACE_ONE, "example", 1) == 9.0 / (
            10 if kind == "mean" else 1
        )
