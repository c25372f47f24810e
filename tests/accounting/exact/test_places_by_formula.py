"""Places whose ends hold at every ε alike: of an unsampled Gaussian, and where only plain bounds say anything."""

import math

import numpy as np
import oracle

from dpplan.accounting import rdp
from dpplan.accounting.exact import places_by_formula
from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.exact.event_lower_bound import EventBound
from dpplan.accounting.exact.proven_deltas import NARROWEST
from dpplan.accounting.plan_pairs import as_sampled_gaussians, dominating_pairs
from dpplan.plan import Plan

EPSILONS = np.array([0.0, 0.3, 2.0, 5.0])


def kinds(plan):
    return as_sampled_gaussians(dominating_pairs(plan, "exact"))


def test_an_unsampled_gaussian_is_known_by_its_mu():
    place = places_by_formula.gaussian(kinds(Plan.from_rate(2.0, 1.0, 9)))(0.3, NARROWEST)
    low, high = place.at(EPSILONS)
    for at, epsilon in enumerate(EPSILONS.tolist()):
        truth = math.exp(oracle.gaussian_log_delta(1.5, epsilon))
        assert low[at] <= truth * (1.0 + 1e-14) and truth * (1.0 - 1e-14) <= high[at]
        assert high[at] - low[at] <= 1e-12
    assert (place.epsilon, place.lower, place.upper) == (0.3, low[1], high[1])


def test_beyond_all_transforms_an_event_and_rdp_bound_it():
    plan = Plan.from_rate(0.004, 0.01, 3)
    steps = Steps.of(kinds(plan))
    low, high = places_by_formula.coarse(plan, steps)(0.0, NARROWEST).at(EPSILONS)
    assert low.tolist() == [EventBound(steps).delta(each) for each in EPSILONS]
    assert high.tolist() == [min(rdp.delta(plan, each).value, 1.0) for each in EPSILONS]
    assert np.all((low >= 0.0) & (low <= high) & (high <= 1.0))
