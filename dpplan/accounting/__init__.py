"""What does this plan cost? Every accountant answers with the same two functions.

    epsilon(plan, delta) -> Bound      the epsilon spent at this delta
    delta(plan, epsilon) -> Bound      the delta spent at this epsilon

The contract, held by a test over every accountant: 2k steps cost what k steps followed by k steps cost;
figures never fall as steps or the sample rate rise and never rise as noise rises; an accountant that has no
theorem for a plan raises NotApplicable instead of guessing.
"""

import functools
import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, cast

from dpplan.accounting import parallel_composition
from dpplan.accounting.accountant_description import Description, description_of
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.checks import Problems
from dpplan.errors import UsageError
from dpplan.plan import Plan

__all__ = [
    "ACCOUNTANTS",
    "LEAST",
    "Accountant",
    "Bound",
    "Description",
    "Guarantee",
    "accountant",
    "delta",
    "describe",
    "epsilon",
]

# Name -> module, in the order they are shown: from what is proven both ways to what is loosest. All else that is said
# of an accountant stands in its module, in DESCRIPTION.
ACCOUNTANTS: dict[str, str] = {
    "exact": "dpplan.accounting.exact",
    "gdp": "dpplan.accounting.gdp",
    "zcdp": "dpplan.accounting.zcdp",
    "rdp": "dpplan.accounting.rdp",
    "moments": "dpplan.accounting.moments",
    "optimal": "dpplan.accounting.theorems.optimal",
    "advanced": "dpplan.accounting.theorems.advanced",
    "basic": "dpplan.accounting.theorems.basic",
}
# Who answers where nobody is named: the lesser upper bound of exact and rdp, under the name of the one that proved it.
LEAST = "least"


class Accountant(Protocol):
    """A module with these two functions and a DESCRIPTION. Options are the keywords named there (rdp: conversion)."""

    DESCRIPTION: Description

    def epsilon(self, plan: Plan, delta: float, **options: object) -> Bound: ...

    def delta(self, plan: Plan, epsilon: float, **options: object) -> Bound: ...


def accountant(name: str) -> Accountant:
    """The accountant of that name; its module is imported here and not before."""
    return cast(Accountant, importlib.import_module(_module(name)))


def describe(name: str) -> Description:
    """What the accountant of that name says of itself; its module need not be imported for it."""
    return _described(_listed(name))


@functools.cache
def _described(module: str) -> Description:
    return description_of(module)


def _module(name: str) -> str:
    return "dpplan.accounting.least_upper" if name == LEAST else _listed(name)


def _listed(name: str) -> str:
    if name not in ACCOUNTANTS:
        from dpplan.accounting.other_accountants import unknown  # only a mistake needs it

        raise UsageError(unknown(name, tuple(ACCOUNTANTS)))
    return ACCOUNTANTS[name]


def epsilon(plan: Plan, delta: float, accountant: str = "exact", **options: object) -> Bound:
    """The epsilon that `plan` spends at `delta` (in (0, 1))."""
    with Problems() as problems:
        problems.probability("delta", delta, closed_right=False, try_="Values below 1/n are meaningful.")
    ask = _load(accountant).epsilon
    return replace(_costliest(plan, accountant, lambda each: ask(each, float(delta), **options)), at=float(delta))


def delta(plan: Plan, epsilon: float, accountant: str = "exact", **options: object) -> Bound:
    """The delta that `plan` spends at `epsilon` (>= 0)."""
    with Problems() as problems:
        problems.at_least("epsilon", epsilon, 0.0, try_="Epsilon counts nats of privacy loss (--eps).")
    ask = _load(accountant).delta
    return replace(_costliest(plan, accountant, lambda each: ask(each, float(epsilon), **options)), at=float(epsilon))


def _costliest(plan: Plan, accountant: str, ask: Callable[[Plan], Bound]) -> Bound:
    """LEAST is the lesser of what two accountants say of the whole, and asks each of every way through the groups."""
    return ask(plan) if accountant == LEAST else parallel_composition.costliest(plan, ask)


_load = accountant  # epsilon() and delta() name their keyword `accountant`, which hides the function
