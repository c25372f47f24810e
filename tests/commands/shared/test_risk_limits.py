"""A limit on attackers as typed: one of three shapes, or a sentence."""

import math

import pytest

from dpplan.commands.shared.risk_limits import NAMES, read


def said(**given: object) -> list[str]:
    limit, problems = read(dict.fromkeys(NAMES) | given)
    assert limit is None
    return problems


def test_without_a_limit_there_is_none() -> None:
    assert read(dict.fromkeys(NAMES)) == (None, [])


@pytest.mark.parametrize(
    ("given", "limit", "rate"),
    [
        ({"max_advantage": "0.1"}, 0.1, 0.0),
        ({"max_tpr": " 0.05 @ 1e-2"}, 0.05, 0.01),
        # π·TPR / (π·TPR + (1 - π)·FPR) = 0.2 at π = 0.01, FPR = 0.001: TPR = 0.2 · 0.99 · 0.001 / (0.8 · 0.01)
        ({"max_posterior": "0.2@fpr=0.001,prior=0.01"}, 0.02475, 0.001),
    ],
)
def test_a_limit_is_read_in_its_shape(given: dict[str, str], limit: float, rate: float) -> None:
    found, problems = read(dict.fromkeys(NAMES) | given)
    assert problems == []
    assert found is not None
    assert found.limit == pytest.approx(limit, rel=1e-6)
    assert found.limit <= limit * (1 + 1e-12)  # never more than was allowed
    assert found.false_positive_rate == rate


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ({"max_advantage": "x"}, "max_advantage=x is not a number in (0, 1)"),
        ({"max_advantage": "0.1@0.2"}, "max_advantage=0.1@0.2 is not"),
        ({"max_advantage": "1"}, "max_advantage=1"),
        ({"max_tpr": "0.1"}, "max_tpr=0.1 is not TPR@FPR"),
        ({"max_tpr": "0.01@0.05"}, "max_tpr=0.01 is not above fpr=0.05, which guessing reaches"),
        ({"max_tpr": "0.5@2"}, "fpr=2"),
        ({"max_posterior": "0.2@prior=0.01"}, "max_posterior=0.2@prior=0.01 is not P@prior=...,fpr=..."),
        ({"max_posterior": "0.2@prior=0.3,fpr=0.1"}, "max_posterior=0.2 is not above the prior 0.3"),
        ({"max_advantage": "0.1", "max_tpr": "0.1@0.01"}, "max_advantage and max_tpr are given: one limit decides"),
        ({"max_advantage": math.nan}, "max_advantage=nan"),
    ],
)
def test_what_is_no_limit_is_told(given: dict[str, object], start: str) -> None:
    (problem,) = said(**given)
    assert problem.startswith(start), problem


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ({"max_tpr": "5%@1%"}, "--max-tpr 0.05@0.01"),
        ({"max_tpr": "5 % @ 1 %"}, "--max-tpr 0.05@0.01"),
        ({"max_tpr": "0,05@0,01"}, "--max-tpr 0.05@0.01"),
        ({"max_advantage": "10%"}, "--max-advantage 0.1"),
        ({"max_posterior": "20%@prior=1%,fpr=0.1%"}, "--max-posterior 0.2@prior=0.01,fpr=0.001"),
    ],
)
def test_another_spelling_of_a_limit_is_told_as_it_is_typed(given: dict[str, str], written: str) -> None:
    (problem,) = said(**given)
    assert problem.endswith(f" Write {written}."), problem


@pytest.mark.parametrize("given", [{"max_tpr": "500%@1%"}, {"max_tpr": "5%"}, {"max_advantage": "much"}])
def test_what_is_no_limit_in_any_spelling_is_given_none(given: dict[str, str]) -> None:
    (problem,) = said(**given)
    assert " Write " not in problem
