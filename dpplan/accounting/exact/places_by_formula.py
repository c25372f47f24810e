"""Places of a profile whose ends a formula or a plain bound proves at every ε alike."""

import math
from collections.abc import Callable

import numpy as np

from dpplan.accounting import gdp, rdp
from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.exact.event_lower_bound import EventBound
from dpplan.accounting.exact.proven_deltas import At, ManyEnds, Place, Width
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.plan_pairs import SampledGaussian
from dpplan.plan import Plan

Ends = tuple[float, float]


def exactly(at: Callable[[float], Ends]) -> Callable[[float, Width], Place]:
    """Where a formula proves the ends at every ε alike."""
    return place_of(each(at))


def each(at: Callable[[float], Ends]) -> At:
    def ends(epsilons: Array) -> ManyEnds:
        rows = [at(each) for each in epsilons.tolist()]
        return np.array([low for low, _ in rows]), np.array([high for _, high in rows])

    return ends


def place_of(at: At) -> Callable[[float, Width], Place]:
    """That what `at` proves is as narrow at one ε as at another."""

    def make(epsilon: float, enough: Width) -> Place:
        low, high = at(np.array([epsilon]))
        return Place(epsilon, float(low[0]), float(high[0]), at)

    return make


def gaussian(kinds: tuple[SampledGaussian, ...]) -> Callable[[float, Width], Place]:
    mu = math.hypot(*(math.sqrt(each.steps) / each.noise_multiplier for each in kinds))
    low, high = outward.down(mu, outward.FEW), outward.up(mu, outward.FEW)
    return exactly(lambda e: (gdp.delta_interval(low, e).lower, gdp.delta_interval(high, e).upper))


def coarse(plan: Plan, steps: Steps) -> Callable[[float, Width], Place]:
    """Where only a plain event and Rényi DP say anything."""
    event = EventBound(steps)
    return exactly(lambda e: (max(event.delta(e), 0.0), min(rdp.delta(plan, e).value, 1.0)))
