"""What a trade-off asks for: a curve by few contours and coarse lattices, above what is proven to be reached."""

import dataclasses
import math
from functools import cache

import numpy as np
import pytest

from dpplan import risk
from dpplan.accounting import gdp
from dpplan.accounting.exact import general_one_step, other_laws, profile
from dpplan.accounting.exact.contour import reverse_direction
from dpplan.accounting.exact.contour.privacy_loss import Steps
from dpplan.accounting.exact.event_lower_bound import EventBound
from dpplan.accounting.exact.gaussian_lattice import composition
from dpplan.accounting.exact.general_lattice import Accuracy, Composition
from dpplan.accounting.exact.profile import FINE, Profile
from dpplan.accounting.exact.proven_deltas import KNOWN_ABOVE, OneDirection, Place, Width
from dpplan.accounting.exact.proven_ends import Ends
from dpplan.accounting.exact.shared_lattice import MOST_SPARED, QUICK_POINTS, SharedLattice
from dpplan.accounting.pairs import laplace, subsampled
from dpplan.accounting.pairs.gaussian_mixtures import GroupLoss
from dpplan.accounting.plan_pairs import dominating_pairs
from dpplan.adjacency import named
from dpplan.mechanism import DiscreteLaplace, Exponential, Gaussian, Laplace, StatedGdp
from dpplan.plan import Phase, Plan, Settings
from dpplan.risk.first_look import FirstLook
from dpplan.risk.trade_off import TradeOff
from dpplan.sampling.poisson import Poisson

DRAW = Width(1e-10, 1e-4, dominating=True)


def plan(*phases):
    return Plan(tuple(Phase(mechanism, Poisson(rate), steps) for mechanism, rate, steps in phases))


PLANS = {
    "many steps": Plan.from_rate(1.1, 256 / 60000, 14063),
    "two steps": Plan.from_rate(0.5, 0.01, 2),
    "rare": Plan.from_rate(0.7, 1e-4, 1000),
    "rare and few": Plan.from_rate(0.7, 1e-4, 3),
    "rarest": Plan.from_rate(0.7, 1e-6, 100),
    "little noise": Plan.from_rate(0.3, 0.05, 100),
    "large losses": Plan.from_rate(0.25, 0.001, 1000),
    "rare and many": Plan.from_rate(0.8, 0.001, 10_000),
    "drawn once, rarely": Plan.from_rate(0.5, 1e-5, 100_000),
    "all but sure": Plan.from_rate(0.5, 0.5, 100_000),
    "replaced": Settings(noise_multiplier=0.8, sample_rate=0.001, steps=10_000, adjacency=named("replace-one")).plan(),
    "laplace": plan((Laplace(0.1), 0.01, 1000)),
    "before training": plan((Laplace(0.02), 1.0, 20), (Gaussian(20.0), 1.0, 2), (Gaussian(1.1), 256 / 60000, 3515)),
    "of a stated μ": plan((StatedGdp(1.0), 0.01, 1000)),
    "choices": plan((Exponential(0.5), 1.0, 10)),
    "user": Settings(noise_multiplier=1.0, sample_rate=0.01, steps=1, unit="user", max_per_user=5).plan(),
    "balls in bins": Settings(noise_multiplier=1.0, sample_rate=0.01, epochs=10, sampling="balls-in-bins").plan(),
}
# Of contours and lattices together, both directions; before, some took more than twenty.
MOST_PLACES = {
    "many steps": 1,
    "two steps": 1,
    "rare and few": 1,
    "rarest": 2,
    "little noise": 2,
    "large losses": 2,
    "rare and many": 1,
    "all but sure": 1,
    "replaced": 1,
    "choices": 1,
}


BRACKETED = {"of a stated μ", "choices", "balls in bins"}
LONG = {
    "drawn once, rarely",
    "of a stated μ",
    "large losses",
    "rare",
    "rarest",
    "rare and few",
    "little noise",
    "balls in bins",
}


@cache
def trade_off(name):
    return risk.TradeOff(risk.source_of_plan(PLANS[name]))


@pytest.mark.sweep(every=3, slow=("large losses",))
@pytest.mark.parametrize("name", PLANS)
def test_a_curve_makes_few_places_and_none_where_no_rate_looks(name, monkeypatch):
    made, once = [], OneDirection._made
    monkeypatch.setattr(OneDirection, "_made", lambda own, at, found: made.append(at) or once(own, at, found))
    points, laid = [], SharedLattice._tried
    monkeypatch.setattr(
        SharedLattice, "_tried", lambda own, at, enough, fine: points.append(fine.most) or laid(own, at, enough, fine)
    )
    fine, resolved = [], other_laws.resolved
    monkeypatch.setattr(other_laws, "resolved", lambda known, at: fine.append(at) or resolved(known, at))
    risk.TradeOff(risk.source_of_plan(PLANS[name])).curve(200)
    assert 0 < len(made) <= MOST_PLACES.get(name, 4)
    assert max(made) <= -math.log(1e-6)  # a steeper line is above 1 at every rate of a curve
    assert max(points, default=0) <= max(QUICK_POINTS)
    assert FINE not in fine or name not in BRACKETED  # nor what is realised, which no upper end needs


def test_a_lattice_that_was_much_too_wide_is_not_laid_again(monkeypatch):
    """The reverse direction's, which is laid near 0 wherever it is asked for: once for a whole curve, where no contour
    far out tells of 0, nor a sum over the reverse direction."""
    monkeypatch.setattr(profile, "_from_afar", lambda steps: Ends(0.0, 1.0, "none"))
    monkeypatch.setattr(reverse_direction, "over", lambda steps, event: None)
    laid, around = [], Composition.around
    monkeypatch.setattr(Composition, "around", lambda own, at, fine: laid.append(at) or around(own, at, fine))
    risk.TradeOff(risk.source_of_plan(PLANS["rare and many"])).curve(200)
    assert laid.count(0.0) == 1


@pytest.mark.parametrize("name", ["drawn once, rarely", "all but sure"])
def test_no_grid_is_laid_at_zero_where_something_else_tells_of_it(name, monkeypatch):
    """A contour over jumps that is put farther out; or that δ(0) is all but 1, which is so in both directions."""
    monkeypatch.setattr(composition, "near", None)
    own = Profile.of(PLANS[name])
    found = [own.ends(at, np.zeros(1), DRAW) for at in (0, 1)]
    for low, high in found:
        assert 0.0 < low[0] <= high[0] <= low[0] * (1.0 + 1e-4)
    assert found[0][0][0] <= found[1][1][0] and found[1][0][0] <= found[0][1][0]


@pytest.mark.parametrize("mu", [0.3, 2.0, 12.0])
@pytest.mark.parametrize("start", [0.0, 1.5])
def test_what_is_left_to_one_tells_of_larger_epsilons(mu, start):
    """By nothing but δ at one place: (1 - δ)·e^-ε never rises, and is nearly constant where δ is nearly 1."""

    def make(epsilon, enough):
        ends = gdp.delta_interval(mu, epsilon)
        return Place(epsilon, ends.lower, ends.upper)

    one, beyond = OneDirection(make), start + np.array([0.0, 1e-9, 0.01, 0.3, 1.0, 2.0, 5.0, 30.0])
    one(np.array([start]))
    low, high = one(beyond, KNOWN_ABOVE)
    truth = [gdp.delta_interval(mu, each) for each in beyond.tolist()]
    assert all(low <= [each.upper for each in truth]) and all([each.lower for each in truth] <= high)
    left = (1.0 - truth[0].lower) * math.exp(1.0)
    assert low[4] >= 1.0 - left - 1e-14


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LONG else []) for name in PLANS]
)
def test_a_curve_is_above_what_is_reached_and_near_it(name):
    across, height = zip(*trade_off(name).curve(200), strict=True)
    alphas = [1e-5, 1e-3, 0.05, 0.4]
    for alpha, rate in zip(alphas, trade_off(name).rates(alphas), strict=True):
        drawn = float(np.interp(alpha, across, height))
        assert rate.lower <= drawn <= rate.upper * (1.0 + 2e-3)


@pytest.mark.parametrize("name", ["rare and many", "replaced"])
def test_one_contour_far_out_tells_of_zero_where_none_there_ends(name, monkeypatch):
    """Without a lattice, which is what holds it here; in both directions."""
    own, lattices = Profile.of(PLANS[name]), other_laws.directions(dominating_pairs(PLANS[name], "exact"))
    laid = Composition.around
    with monkeypatch.context() as patch:
        patch.setattr(Composition, "around", None)
        found = [own.ends(at, np.zeros(1), DRAW) for at in (0, 1)]
    for (low, high), run in zip(found, (lattices[0], lattices[-1]), strict=True):
        held_low, held_high = laid(run, 0.0, Accuracy(1e-4, 2**16))(np.zeros(1))
        assert held_low[0] <= high[0] and low[0] <= held_high[0]
        assert high[0] - low[0] <= 1e-7 * high[0] and held_high[0] - held_low[0] <= 1e-2 * held_high[0]


@pytest.mark.sweep(slow=("rare and few",))
@pytest.mark.parametrize("name", ["rare and few", "two steps", "laplace", "before training"])
def test_what_a_curve_knows_is_true_where_it_was_not_asked(name):
    """Of every ε, from wherever a place lies; beside intervals of places of their own."""
    epsilons = np.array([0.0, 2e-4, 3e-3, 0.05, 0.4, 2.0])
    drawn, narrow = Profile.of(PLANS[name]), Profile.of(PLANS[name])
    for direction in (0, 1):
        for at in (0.0, 0.02):
            drawn.ends(direction, np.array([at]), DRAW)
        low, high = drawn.ends(direction, epsilons, KNOWN_ABOVE)
        near_low, near_high = narrow.ends(direction, epsilons, Width(1e-9, 1e-5))
        assert np.all(np.maximum(low, near_low) <= np.minimum(high, near_high))


def test_lines_that_count_at_no_rate_are_left_wide():
    """One contour at 0 tells of all x that count: nothing else is asked for, nothing far out."""
    asked, inner = [], risk.source_of_plan(PLANS["many steps"])

    def at(direction, epsilons, enough):
        asked.append((direction, epsilons.tolist(), enough))
        return inner.below_above(direction, epsilons, enough)

    source = risk.Source(at, inner.guarantee, inner.name, inner.assumes)
    ahead = np.array([0.0, 0.1, 1.0, 10.0, 30.0])
    first, second = FirstLook(source, ahead, 1e-4, 1e-6).uppers()
    narrow = [(direction, epsilons) for direction, epsilons, enough in asked if math.isfinite(enough.absolute)]
    assert narrow == [(0, [0.0])]
    places = np.concatenate((-ahead[:0:-1], ahead))
    for seen, direction in ((first, 0), (second, 1)):
        low, high = inner.deltas(direction, places)
        assert np.all(seen >= low)
        for alpha in (1e-6, 1e-3, 0.3):
            least = np.min(np.exp(places) * alpha + high)
            assert np.min(np.exp(places) * alpha + seen) <= max(least, 1.0 if direction else 0.0) * (1.0 + 1e-4)


LAWS = {
    "group": GroupLoss(1.0, 0.01, 5),
    "sampled laplace": subsampled(laplace(1.0), 0.1).remove,
    "sampled laplace, added": subsampled(laplace(1.0), 0.1).add,
    "integers": dominating_pairs(plan((DiscreteLaplace(0.5), 0.1, 1)), "exact")[0][0].remove,
}


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
def test_one_step_at_many_epsilons_is_as_at_each(law):
    """Out of order, twice the same, between atoms and at them, beyond the largest loss, and beyond floats."""
    epsilons = np.array([0.3, 0.0, 0.3, 1e-4, 0.5, math.log1p(0.1 * math.expm1(1.0)), 2.0, 7.0, 40.0, 650.0])
    low, high = general_one_step.delta_ends_of_many(law, epsilons)
    for at, epsilon in enumerate(epsilons.tolist()):
        lower, upper, _ = general_one_step.delta_ends(law, epsilon)
        assert max(low[at], lower) <= min(high[at], upper)
        assert high[at] - low[at] <= 1e-9 * high[at] + 1e-14 + (upper - lower)
    assert (low[0], high[0]) == (low[2], high[2])
    assert np.all(np.diff(high[[1, 3, 0, 4, 6, 7, 8]]) <= 1e-14)


def test_a_user_of_one_step_asks_for_masses_few_times(monkeypatch):
    calls, masses = [], GroupLoss.masses
    monkeypatch.setattr(GroupLoss, "masses", lambda law, edges: calls.append(len(edges)) or masses(law, edges))
    risk.TradeOff(risk.source_of_plan(PLANS["user"])).curve(200)
    assert len(calls) <= 20  # and not one, or two, for each of 300 points


def test_the_event_at_many_epsilons_is_the_event_at_each():
    event = EventBound(Steps.of([(0.7, 1e-4, 1000), (1.1, 0.01, 300)]))
    epsilons = np.array([0.0, 1e-3, 0.2, 3.0, 30.0, 800.0])
    assert event.deltas(epsilons).tolist() == pytest.approx([event.delta(each) for each in epsilons], rel=1e-12, abs=0)


def test_a_lattice_is_laid_no_finer_than_a_rate_beside_delta_needs(monkeypatch):
    widths, around = [], Composition.around
    monkeypatch.setattr(
        Composition, "around", lambda run, at, accuracy: widths.append(accuracy.width) or around(run, at, accuracy)
    )
    for absolute, width in ((1e-7, 1e-4), (1e-2, MOST_SPARED)):
        widths.clear()
        Profile.of(PLANS["two steps"]).ends(0, np.zeros(1), Width(absolute, 1e-4, dominating=True))
        assert widths[:1] in ([width], [])  # or what else is known there is narrow enough


def test_ends_of_two_laws_are_each_as_narrow_as_can_be():
    """Choices by the exponential mechanism: what dominates, and what some data realise."""
    profile, epsilons = Profile.of(PLANS["choices"]), np.array([0.0, 0.4, 1.2])
    low, high = profile.bracket(0, epsilons, Width(1e-8, 1e-7))
    other_low, other_high = profile.ends(0, epsilons, Width(1e-8, 1e-7))
    assert np.all(np.abs(low - other_low) <= 1e-6 * other_high)
    assert np.all(np.abs(high - other_high) <= 1e-6 * other_high)
    above = profile.ends(0, epsilons, DRAW)
    assert np.all(above[1] >= other_low) and np.all(above[0] > low)  # the lower end of what dominates


@pytest.mark.parametrize(
    "rows", [((2.0, 1.0, 1), (1.0, 0.02, 300)), ((0.4, 1e-5, 1000), (0.5, 1e-5, 1000))], ids=["many", "rare"]
)
def test_a_record_of_one_group_is_drawn_by_the_most_costly_of_them(rows):
    """Also where its curve comes from a place that only curves hear of."""
    both = Plan(
        tuple(
            Phase(Gaussian(sigma), Poisson(rate), steps, groups=((0, number),))
            for number, (sigma, rate, steps) in enumerate(rows)
        )
    )
    across, height = zip(*risk.TradeOff(risk.source_of_plan(both)).curve(200), strict=True)
    for alpha in (1e-5, 1e-3, 0.1, 0.5):
        found, drawn = risk.TradeOff(risk.source_of_plan(both)).at(alpha), np.interp(alpha, across, height)
        assert found.upper * (1.0 - 1e-9) <= drawn * (1.0 + 1e-9) and drawn <= 1.002 * found.upper


@pytest.mark.slow
def test_rates_of_groups_ask_no_more_often_for_what_lies_between_two_laws():
    """Of groups the lower end is one way's and the upper another's: no question makes them meet."""
    one = (Phase(StatedGdp(0.4), Poisson(1.0), 1),)
    others = [Phase(StatedGdp(mu), Poisson(1.0), 1, groups=((1, at),)) for at, mu in enumerate((0.1, 0.2))]
    source, asked = risk.source_of_plan(Plan((*one, *others))), []

    def counted(*question):
        asked.append(question)
        return source.below_above(*question)

    rates = TradeOff(dataclasses.replace(source, below_above=counted)).rates((0.1, 0.01, 1e-3, 1e-4, 1e-5))
    assert len(asked) < 150  # 275 where each rate asks for itself
    assert all(rate.lower <= rate.upper for rate in rates)
