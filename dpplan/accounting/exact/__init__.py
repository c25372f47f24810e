"""The exact accountant: a certified interval around the epsilon that a plan really spends.

Both directions of the privacy loss are composed on their own and the larger is taken at the end. Steps that are
sampled Gaussians go the fast road; every other law goes to other_laws.

    contour/             a transform, and an integral that turns it into delta
    gaussian_lattice/    where the contour finds no hold
    gaussian_one_step    one step by formula
    gaussian_two_steps   two, by formula and one integral
    one_allocation       one bin for a run of very little noise
    few_laplace          a few Laplace releases in closed form
    mixed/               laws of other kinds whose transforms are products, where one of them decays
    group_one_step       one step of a user's examples, at any ε
    general_one_step     one step of any law
    drawn_counts         a user's steps from above, where losses are beyond floats
    general_lattice/     laws of any kind, from above and below
    lattice_jumps        the same where large losses are rare
    other_laws           delta and epsilon of plans that are no sampled Gaussians
    many_plans_near_target
                         many plans near one target at once
    search_winner        a search that releases its winner, as a pair
    invert               from delta to epsilon, with whichever of these holds
    event_lower_bound    a plain event
    rdp_cross_check      the result against that and Rényi DP
    removed_then_added   a replacement by two removals, where it is lost in roundings
    prove/               the same figure over again, in ball arithmetic

Guarantee: UPPER of a plan with a search (searches). Else
CERTIFIED, lower <= truth <= upper, with every error of the computation bounded: aliasing, truncation,
quadrature or lattice, what was cut away, and floating point (elementary functions taken to 4 units in the last
place, sums and transforms at their worst case). On top of what is proven, each end is moved outward by 1e-9 of itself
(bound.FLOOR); details["proven"] has the ends before that. Where neither method can do it, the ends are Rényi DP's
and a plain event's, and `why` says so.

Sources: Alghamdi et al. 2023 (arXiv:2208.09595) for the contour representation of delta; Zhu, Dong, Wang 2022
(arXiv:2106.08567) for composing the two directions; Trefethen, Weideman 2014 for the quadrature; Doroshenko et al.
2022 (arXiv:2207.04380) for the lattice from above. The other error bounds are derived where they stand.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from dpplan.accounting import gdp, rdp
from dpplan.accounting.accountant_description import AccountantOption, Description
from dpplan.accounting.best_of_trials import has_search
from dpplan.accounting.bound import Bound, Guarantee, widened
from dpplan.accounting.exact import drawn_counts, invert, one_allocation, rdp_cross_check, removed_then_added
from dpplan.accounting.exact.allocation_floor import ALLOCATIONS, event_bound
from dpplan.accounting.exact.contour.delta_interval import Contour
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.event_lower_bound import EventBound
from dpplan.accounting.exact.gaussian_two_steps import TwoSteps
from dpplan.accounting.exact.proven_ends import Ends
from dpplan.accounting.exact.rdp_cross_check import Reconciled
from dpplan.accounting.no_epsilon_messages import below_floor, no_upper_end, of_winner
from dpplan.accounting.numerics import QUIET, outward
from dpplan.accounting.pairs import DominatingPair
from dpplan.accounting.pairs.epochs import most_participations
from dpplan.accounting.plan_pairs import SampledGaussian, as_sampled_gaussians, dominating_pairs
from dpplan.adjacency import ZERO_OUT, Adjacency
from dpplan.checks import Problems
from dpplan.errors import InternalError, NotCertified
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import CyclicPoisson, FixedSize, Poisson, Shuffle, TruncatedPoisson

DESCRIPTION = Description(
    name="exact",
    caption="inverts the transform of the composed privacy loss, every error bounded",
    guarantee="certified",
    use="always",
    source="Alghamdi et al. 2023; Zhu, Dong, Wang 2022",
    supports="every plan whose steps have a dominating pair that is known here",
    colour="#000000",
    note="{method}",
    options=(
        AccountantOption(
            "accuracy",
            "Relative width to aim at for {takers}, where a law is known on lattices only (balls-in-bins and "
            "random-allocation; all others are as narrow as they get, whatever is said): 2e-4 if not given.",
            between=(1e-6, 0.1),
            remedy="2e-3 is quick, and 1e-5 takes seconds.",
        ),
    ),
)


NAME = "exact"
# A wider interval than this is returned with the reason in `why`.
WIDE = 1e-3
# A contour is tried for deltas up to e^NEARBY away from its own, and serves where the interval is this narrow, or
# at most LOST times as wide as at its own.
NEARBY, SHARED_WIDTH, LOST = 6.0, 1e-9, 10.0
# Below this noise multiplier a step is a sum over too many intervals of σ²; epsilon is in the thousands there, and
# Rényi DP's interval does. Above the other, q/σ leaves the range in which the transform keeps its digits.
LEAST_NOISE, MOST_NOISE, LEAST_RATE = 0.005, 1e6, 1e-12
NEARLY_ALL = 1.0 - 1e-9
# What full batches of the same noise keep a delta below: no lattice of allocations is fine enough to tell it from this.
LEAST_DELTA = 1e-300
# Relative widths beyond which a replacement is also bounded by two removals, and these by Rényi DP: of two that are
# known, one costs about half of what both do.
LOST_IN_ROUNDING, LOST_BY_TWO = 0.25, 0.55
KnownPairs = Sequence[tuple[DominatingPair, int]]
AskPlan = Callable[[Plan, float], Bound]
Between = Callable[[float, Callable[[float], tuple[float, float]]], tuple[float, float]]
UNKNOWN = Ends(0.0, math.inf, "none")


def epsilon(plan: Plan, delta: float, *, accuracy: float | None = None) -> Bound:
    """The epsilon of `plan` at `delta` in (0, 1), as an interval.

    accuracy: the relative width to aim at where laws are known on lattices only; others have their own.
    Guarantee: CERTIFIED. Where the fast method cannot be certified the interval is wider and `why` says so.
    Raises InternalError, and returns nothing, if two proofs contradict each other.
    """
    known = dominating_pairs(plan, NAME)
    kinds = as_sampled_gaussians(known)
    if kinds is None:
        from dpplan.accounting.exact import other_laws  # a third of what there is to load, and most plans are Gaussian

        found = other_laws.epsilon_ends(known, delta, _width(accuracy))
        found = one_allocation.narrowed(found, plan, lambda bins: bins.epsilon_ends(delta))
        ends = _held(found, plan, lambda mu: gdp.epsilon_interval(mu, delta).upper, lambda event: event.epsilon(delta))
        ask = removed_then_added.epsilon_between
        closer = _without_lattice(ends, plan, delta, (ask, epsilon, rdp.epsilon))
        return _of_laws("epsilon", plan, known, closer, delta, told=closer is ends and ends.upper < found.upper)
    if _unsampled(kinds):
        return _of_gaussian(gdp.epsilon(plan, delta), plan)
    steps = Steps.of(kinds)
    with np.errstate(**QUIET):
        floor = EventBound(steps).epsilon(delta)
        if not _in_reach(steps):
            ceiling = rdp.epsilon(plan, delta).value
            return _bound("epsilon", plan, rdp_cross_check.reconcile("epsilon", UNKNOWN, floor, ceiling), UNKNOWN)
        ends = invert.epsilon_ends(steps, Direction.REMOVE, delta)
        lower = max(ends.lower, floor)
        if not invert.added_delta_below(steps, lower, delta, ends.contour):
            ends = ends.joined(invert.epsilon_ends(steps, Direction.ADD, delta))
    ceiling = rdp_cross_check.renyi_epsilon(plan, delta, ends, WIDE)
    return _bound("epsilon", plan, rdp_cross_check.reconcile("epsilon", ends, floor, ceiling), ends)


def epsilons(plan: Plan, deltas: Sequence[float], *, accuracy: float | None = None) -> tuple[Bound, ...]:
    """`epsilon()` at each of `deltas`, with contours shared between those that lie near each other.

    The intervals are as certified as those of single calls, if up to LOST times as wide.
    """
    kinds = as_sampled_gaussians(dominating_pairs(plan, NAME))
    if kinds is None or _unsampled(kinds) or not _in_reach(Steps.of(kinds)):
        return tuple(epsilon(plan, delta, accuracy=accuracy) for delta in deltas)
    steps, found, group = Steps.of(kinds), dict[float, Bound](), list[float]()
    for delta in sorted(set(deltas)):
        if group and math.log(delta / group[0]) > 2.0 * NEARBY:
            found |= _shared(plan, steps, group)
            group = []
        group.append(delta)
    found |= _shared(plan, steps, group) if group else {}
    return tuple(found[delta] for delta in deltas)


def delta(plan: Plan, epsilon: float, *, accuracy: float | None = None) -> Bound:
    """The delta of `plan` at `epsilon` >= 0, as an interval. accuracy, guarantee and errors as for `epsilon()`."""
    known = dominating_pairs(plan, NAME)
    kinds = as_sampled_gaussians(known)
    if kinds is None:
        from dpplan.accounting.exact import other_laws

        def held(ends: Ends) -> Ends:
            return _held(
                ends, plan, lambda mu: gdp.delta_interval(mu, epsilon).upper, lambda event: event.delta(epsilon)
            )

        width, found = _width(accuracy), Ends(0.0, 1.0, "no lattice asked")
        allocated = any(isinstance(phase.sampling, ALLOCATIONS) for phase in plan.phases)
        if not (allocated and held(found).upper <= LEAST_DELTA):
            found = other_laws.delta_ends(known, epsilon, width)
            found = one_allocation.narrowed(found, plan, lambda bins: bins.delta_ends(epsilon))
        ends = held(found)
        ask = removed_then_added.delta_between
        closer = _without_lattice(ends, plan, epsilon, (ask, delta, rdp.delta))
        return _of_laws("delta", plan, known, closer, epsilon, told=closer is ends and ends.upper < found.upper)
    if _unsampled(kinds):
        return _of_gaussian(gdp.delta(plan, epsilon), plan)
    steps = Steps.of(kinds)
    ceiling = rdp.delta(plan, epsilon).value
    with np.errstate(**QUIET):
        floor = EventBound(steps).delta(epsilon)
        if not _in_reach(steps):
            return _bound("delta", plan, rdp_cross_check.reconcile("delta", UNKNOWN, floor, min(ceiling, 1.0)), UNKNOWN)
        ends = invert.delta_ends(steps, Direction.REMOVE, epsilon, ceiling)
        lower = max(ends.lower, floor)
        # No direction's delta exceeds 1, so near it the other one has nothing to add.
        if lower >= NEARLY_ALL:
            ends = replace(ends, upper=1.0)
        elif lower <= 0.0 or not invert.added_delta_below(steps, epsilon, lower):
            ends = ends.joined(invert.delta_ends(steps, Direction.ADD, epsilon, ceiling))
    return _bound("delta", plan, rdp_cross_check.reconcile("delta", ends, floor, ceiling), ends)


def _shared(plan: Plan, steps: Steps, deltas: list[float]) -> dict[float, Bound]:
    """Bounds at deltas around which one contour in each direction is good."""
    middle = math.exp(0.5 * (math.log(deltas[0]) + math.log(deltas[-1])))
    with np.errstate(**QUIET):
        made = invert.epsilon_ends(steps, Direction.REMOVE, middle)
        contour, enough = made.contour, max(SHARED_WIDTH, LOST * made.relative_width)
        if contour is None or isinstance(contour, TwoSteps) or len(deltas) == 1:
            return {delta: epsilon(plan, delta) for delta in deltas}
        added, event = invert.Added.of(steps, contour.epsilon, middle), EventBound(steps)
    found = {}
    for delta in deltas:
        with np.errstate(**QUIET):
            ends, floor = invert.ends_around(contour, delta), event.epsilon(delta)
            lower = max(ends.lower, floor)
            good = lower > 0.0 and ends.relative_width <= enough and added.below(lower, delta)
        if good:
            ceiling = rdp_cross_check.renyi_epsilon(plan, delta, ends, WIDE)
            found[delta] = _bound("epsilon", plan, rdp_cross_check.reconcile("epsilon", ends, floor, ceiling), ends)
        else:
            found[delta] = epsilon(plan, delta)
    return found


def _bound(quantity: Literal["epsilon", "delta"], plan: Plan, final: Reconciled, ends: Ends) -> Bound:
    why = final.why
    if not math.isfinite(final.upper):
        raise _unbounded(quantity, plan, final.lower)
    if final.upper - final.lower > WIDE * final.upper:
        why += "; wider than usual, no method here can do better on this plan"
    details: dict[str, object] = {"method": ends.method, "terms": dict(ends.terms), "proven": final.proven}
    if isinstance(ends.contour, TwoSteps):
        details["tilt"] = ends.contour.tilt
    elif ends.contour is not None:
        details |= {"tilt": ends.contour.tilt, "frequencies": len(ends.contour.u)}
    return Bound(quantity, final.lower, final.upper, Guarantee.CERTIFIED, NAME, plan.assumptions, why, details=details)


def _held(ends: Ends, plan: Plan, ceiling: Callable[[float], float], floor: Callable[[EventBound], float]) -> Ends:
    """The ends below what the same noise costs without sampling, where all of it is Gaussian, and above what a plain
    event tells, where one is known for the sampling.

    Given who is drawn, one record moves the sum by two clip norms at most, whatever the neighbours, and a user of K
    examples by K times as much: by joint convexity each step is dominated by N(2K, σ²) against N(0, σ²), and all steps
    by one (Dong, Roth, Su 2022, Cor 3.3). Under zero-out it is one clip norm. There both neighbours have n records at
    the same places, and who is drawn, S for all steps together, goes by places and coins and by no record's value: S
    has one law under both. Given S and the outputs so far a step's two means are one record's clipped gradient apart,
    or equal where S leaves it out: H_a of both together is a mean over S of values that full batches do not exceed,
    and not to see S is post-processing. Under add/remove S differs, and two norms cover who is drawn instead.
    """
    event = event_bound(plan)
    if event is not None:
        with np.errstate(**QUIET):
            ends = replace(ends, lower=max(ends.lower, floor(event)))
    kinds = {(type(phase.mechanism), type(phase.sampling)) for phase in plan.phases}
    plain = (Poisson, FixedSize, TruncatedPoisson, Shuffle, CyclicPoisson)
    if not kinds <= {(Gaussian, each) for each in (*plain, *ALLOCATIONS)}:
        return _consistent(ends)
    shift = math.hypot(*(_unsampled_shift(phase, plan.adjacency) for phase in plan.phases))
    mu = outward.up((plan.max_per_user or 1) * shift, outward.SUM)
    upper = ceiling(mu) if 0.0 < mu < 1e150 else math.inf
    return _consistent(replace(ends, upper=min(ends.upper, upper)))


def _without_lattice(ends: Ends, plan: Plan, at: float, asked: tuple[Between, AskPlan, AskPlan]) -> Ends:
    """The ends, or narrower ones where a replacement is known so badly that two removals or Rényi DP tell more. asked:
    what makes ends of those of a removal, who knows these, and Rényi DP."""
    between, exactly, renyi = asked
    alone = removed_then_added.removal(plan)
    if alone is None or ends.relative_width <= LOST_IN_ROUNDING:
        return ends

    def removed(at: float) -> tuple[float, float]:
        try:
            found = exactly(alone, at)
        except NotCertified:
            return 0.0, math.inf
        return found.lower or 0.0, math.inf if found.upper is None else found.upper

    lower, upper = between(at, removed)
    closer = replace(ends, lower=max(lower, ends.lower), upper=min(upper, ends.upper))
    closer = _consistent(replace(closer, method=removed_then_added.METHOD))
    if closer.relative_width > LOST_BY_TWO:
        try:
            ceiling = renyi(plan, at).value
        except NotCertified:
            ceiling = math.inf
        if ceiling < closer.upper:
            closer = _consistent(replace(closer, upper=ceiling, method=f"{closer.method}; upper end from Rényi DP"))
    return closer if (closer.lower, closer.upper) != (ends.lower, ends.upper) else ends


def _consistent(ends: Ends) -> Ends:
    if ends.lower > ends.upper:
        said = f"one proof says at least {ends.lower!r}, and another {ends.upper!r} at most."
        raise InternalError(f"{said} This is a bug in dpplan; please report the plan.")
    return ends


def _unsampled_shift(phase: Phase, adjacency: Adjacency) -> float:
    """How far the phase moves the mean of its outputs, in units of their noise, where it is known who is drawn."""
    noise = Gaussian.of(phase.mechanism).noise_multiplier
    if isinstance(phase.sampling, ALLOCATIONS):  # others are drawn as they are drawn without the record
        return math.sqrt(phase.sampling.participations(phase.steps)) / noise
    norms = 1.0 if adjacency == ZERO_OUT else 2.0
    return norms * math.sqrt(most_participations(phase)) / noise


def _width(accuracy: float | None) -> float:
    """What is aimed at, the engine's own where nothing was said. Raises UsageError for what is no such width."""
    from dpplan.accounting.exact import other_laws

    if accuracy is None:
        return other_laws.WIDTH
    with Problems() as problems:
        DESCRIPTION.options[0].check(problems, accuracy)
    return float(accuracy)


def _of_laws(
    quantity: Literal["epsilon", "delta"], plan: Plan, known: KnownPairs, ends: Ends, at: float, *, told: bool
) -> Bound:
    """The interval that the lattice engine found for laws of any kind. at: the δ, or the ε, that was asked for. told:
    whether the upper end is that of an observer who is told who is drawn (`_held`)."""
    from dpplan.accounting.exact import mixed

    if not math.isfinite(ends.upper):
        raise _unbounded(quantity, plan, ends.lower, at, known)
    theorems = "; ".join(dict.fromkeys(pair.theorem for pair, _ in known))
    lower, upper = widened(quantity, ends.lower, ends.upper)
    if has_search(plan):
        why = f"laws of the privacy loss, composed on a lattice: {theorems}"
        return Bound(
            quantity, None, upper, Guarantee.UPPER, NAME, plan.assumptions, why, details={"method": ends.method}
        )
    wide = "; wider than usual, no method here can do better on this plan" if upper - lower > WIDE * upper else ""
    details: dict[str, object] = {"method": ends.method, "proven": (ends.lower, ends.upper)}
    if isinstance(ends.contour, Contour):
        details |= {"terms": dict(ends.terms), "tilt": ends.contour.tilt, "frequencies": len(ends.contour.u)}
    on = "along a contour" if ends.method == mixed.METHOD else "on a lattice"
    if ends.method.startswith((removed_then_added.METHOD, one_allocation.METHOD)):
        on = f"as {ends.method}"
    seen = "; from above no more than without sampling, as if it were told who is drawn" if told else ""
    seen = f"; {drawn_counts.TOLD}" if not told and ends.method.endswith(drawn_counts.TOLD) else seen
    why = f"laws of the privacy loss, composed {on}: {theorems}{seen}{wide}"
    return Bound(quantity, lower, upper, Guarantee.CERTIFIED, NAME, plan.assumptions, why, details=details)


def _unbounded(quantity: str, plan: Plan, lower: float, at: float = 1.0, known: KnownPairs = ()) -> NotCertified:
    """at: the δ that was asked for, where the plan may give a record away, by one of the pairs that are known."""
    if quantity == "epsilon" and known:
        from dpplan.accounting.exact import other_laws

        chance = max(each.infinite.upper for each in other_laws.directions(known))
        if chance >= at and has_search(plan):
            return NotCertified(of_winner(at, chance))
        if chance >= at:
            return NotCertified(below_floor(quantity, at, chance))
    return NotCertified(no_upper_end(quantity, plan, lower))


def _in_reach(steps: Steps) -> bool:
    """Whether the fast methods are made for such steps; elsewhere a plain event and Rényi DP answer."""
    small, large = float(steps.sigma.min()), float(steps.sigma.max())
    return small >= LEAST_NOISE and large <= MOST_NOISE and float(steps.q.min()) >= LEAST_RATE


def _unsampled(kinds: Sequence[SampledGaussian]) -> bool:
    return all(each.sample_rate == 1.0 for each in kinds)


def _of_gaussian(bound: Bound, plan: Plan) -> Bound:
    """Without sampling the closed form of gdp.py is the exact accountant."""
    if not math.isfinite(bound.value):
        raise _unbounded(bound.quantity, plan, bound.lower or 0.0)
    return Bound(
        quantity=bound.quantity,
        lower=bound.lower,
        upper=bound.upper,
        guarantee=bound.guarantee,
        accountant=NAME,
        assumptions=bound.assumptions,
        why=f"closed form without sampling: {bound.why}",
        details={**bound.details, "method": "closed form"},
    )
