"""Stage 3, invert: delta and epsilon of one direction of a plan of Gaussians, sampled or not, and steps of other kinds.

None where this is not the way: nothing among the steps whose transform decays, or not fast enough to end the frequency
integral at a price; sampled Gaussians of both directions; laws that points do not stand for.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from dpplan.accounting.exact.contour import chernoff, placement
from dpplan.accounting.exact.contour.delta_interval import Aim, Contour, ContourTolerance
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.saddle_point import Saddle
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.exact.invert import MISPLACED, REBUILDS, solve, verified
from dpplan.accounting.exact.mixed.composed import MixedMeasure, MixedSaddles, Normal, Part, Picture
from dpplan.accounting.exact.mixed.law_as_points import Uncomposable
from dpplan.accounting.exact.mixed.laws_without_decay import Factor, FactorPicture, Factors, PointLaw
from dpplan.accounting.exact.mixed.mixture_steps import MixtureSteps
from dpplan.accounting.exact.mixed.steps_of_law import (
    LEAST_NOISE,
    LEAST_RATE,
    MOST_NOISE,
    DecayingLaw,
    decaying,
    sampled_gaussian,
)
from dpplan.accounting.exact.proven_ends import Ends
from dpplan.accounting.pairs.unsampled_gaussian import GaussianLoss
from dpplan.quick_dataclass import dataclass

METHOD = "contour of any law"
ACCURACY = ContourTolerance(aliases=math.log(1e-14), rest=math.log(1e-13), most=65536)
LEAST_SQUARE, MOST_SQUARE = 1e-16, 1e6  # of count/σ² without sampling
LEAST_LOG = -550.0  # log of the smallest delta that is told from 0
# Of delta, log of what a contour that knows a figure no better than to this width may leave out, to know it better.
LOOSE_WIDTH, LOOSER = 3e-7, math.log(1e-6)
TO_SPEND = 1e-3  # of delta: what losses at +inf have to leave of it
# Overflow and 0·inf inside a bound make it infinite or NaN; every result is then tested by an inequality it fails.
_QUIET: dict[str, Any] = {"over": "ignore", "under": "ignore", "invalid": "ignore", "divide": "ignore"}


def epsilon_ends(composition: Composition, delta: float) -> Ends | None:
    """Certified ends for the least ε >= 0 with delta(ε) <= delta."""
    mixed, beyond = MixedSteps.of(composition), composition.infinite
    if mixed is None or delta - beyond.upper < TO_SPEND * delta or composition.steps == 1:
        return None
    ends = _closest(mixed, lambda steps: steps.epsilon(delta, math.log(delta - beyond.upper)))
    if ends is None or not ends.lower <= ends.upper:
        return None
    most = max(composition.largest, 0.0)
    return replace(ends, lower=min(ends.lower, most), upper=min(ends.upper, most), method=METHOD)


def delta_ends(composition: Composition, epsilon: float) -> Ends | None:
    """Certified ends for delta(ε), ε >= 0."""
    mixed = MixedSteps.of(composition)
    if mixed is None or epsilon >= composition.largest or composition.steps == 1:
        return None
    ends = _closest(mixed, lambda steps: steps.delta(epsilon))
    return None if ends is None or not ends.lower <= ends.upper else replace(ends, method=METHOD)


def _closest(mixed: "MixedSteps", asked: "Callable[[MixedSteps], Ends | None]") -> Ends | None:
    """By a contour that leaves next to nothing out, and where that knows the figure worse than what is left out would
    let it, by one that leaves out more: its tilt is larger, which keeps roundings of all paths on which nothing happens
    smaller."""
    best: Ends | None = None
    for steps in (mixed, mixed.loosened()):
        try:
            with np.errstate(**_QUIET):
                found = None if steps is None else asked(steps)
        except Uncomposable:
            continue
        if found is not None:
            best = found if best is None else best.narrowed(found)
        if best is not None and best.relative_width <= LOOSE_WIDTH:
            break
    return best


def contour_for(composition: Composition, delta: float) -> Contour | None:
    """One that is put where delta(ε) is about this, for some ε > 0; what it proves it does at every ε."""
    mixed = MixedSteps.of(composition)
    if mixed is None or composition.steps == 1:
        return None
    try:
        with np.errstate(**_QUIET):
            saddle = mixed.saddles(math.log(delta)).for_log_delta(math.log(delta))
            if not 0.0 < saddle.epsilon < composition.largest:
                return None
            contour = mixed.contour(saddle, saddle.epsilon, math.log(delta))
    except Uncomposable:
        return None
    return contour if contour.reached else None


def epsilon_below(composition: Composition, epsilon: float, delta: float) -> bool:
    """Whether ε is provably at most this, by one Chernoff bound or one contour."""
    mixed = MixedSteps.of(composition)
    if epsilon >= composition.largest and composition.infinite.upper <= delta:
        return True
    if not (0.0 < delta < 1.0 and math.isfinite(epsilon)) or delta - composition.infinite.upper < TO_SPEND * delta:
        return False
    if mixed is None or composition.steps == 1:
        return False
    try:
        with np.errstate(**_QUIET):
            return mixed.below(epsilon, delta, math.log(delta - composition.infinite.upper))
    except Uncomposable:
        return False


@dataclass(frozen=True)
class MixedSteps:
    """Gaussians without sampling (their Σ count/σ²), sampled ones, all of one direction, other laws of Gaussian noise,
    whose transforms decay, and those whose do not; infinite: ends for the probability of a loss at +inf; total: of all
    steps.
    """

    squared_mean: float
    sampled: Steps | None
    direction: Direction
    decaying: tuple[DecayingLaw, ...]
    factors: tuple[Factor, ...]
    infinite: tuple[float, float]
    total: int

    @classmethod
    def of(cls, composition: Composition) -> "MixedSteps | None":
        gaussians, rows, others = list[float](), list[tuple[float, float, int]](), list[DecayingLaw]()
        directions, factors = set[Direction](), list[Factor]()
        for law, count in composition.terms:
            sampled = sampled_gaussian(law)
            if isinstance(law, GaussianLoss):
                gaussians.append(count / law.noise_multiplier**2)
            elif sampled is not None:
                rows.append((*sampled[:2], count))
                directions.add(sampled[2])
            elif (known := decaying(law, count)) is not None:
                others.append(known)
            else:
                factor = Factor.of(law, count)
                if factor is None:
                    return None
                factors.append(factor)
        steps = Steps.of(rows) if rows else None
        if len(directions) > 1 or not (gaussians or rows or others) or not _in_reach(gaussians, steps):
            return None
        direction = directions.pop() if directions else Direction.REMOVE
        beyond = composition.infinite
        return cls(
            math.fsum(gaussians),
            steps,
            direction,
            tuple(others),
            tuple(factors),
            (beyond.lower, beyond.upper),
            composition.steps,
        )

    def loosened(self) -> "MixedSteps | None":
        """With more left out of normal mixtures' steps; None where there are none."""
        looser = tuple(
            replace(each, log_removed=LOOSER) if isinstance(each, MixtureSteps) else each for each in self.decaying
        )
        return replace(self, decaying=looser) if looser != self.decaying else None

    def saddles(self, log_delta: float) -> MixedSaddles:
        pictures: list[Picture] = [Normal(self.squared_mean)] if self.squared_mean > 0.0 else []
        if self.sampled is not None:
            pictures.append(placement.plan_saddles(self.sampled, self.direction, log_delta))
        laws: tuple[PointLaw, ...] = (*(each.seen_at(log_delta) for each in self.decaying), *self.factors)
        if laws:
            pictures.append(FactorPicture(laws))
        return MixedSaddles(pictures, float(self.total))

    def contour(self, saddle: Saddle, epsilon: float, log_delta: float) -> Contour:
        tilts = placement.alias_tilts(saddle, 1)
        parts: list[Part] = [Normal(self.squared_mean)] if self.squared_mean > 0.0 else []
        if self.sampled is not None:
            parts.append(placement.plain_measure(self.sampled, self.direction, saddle, float(tilts[-1]), log_delta))
        tilt, largest = saddle.tilt, float(tilts[-1])
        kept = (each.seen_at(log_delta).cut_for(tilt, largest) for each in self.decaying)
        laws: tuple[PointLaw, ...] = (*kept, *self.factors)
        if laws:
            parts.append(Factors(laws))
        moments = MixedMeasure(tuple(parts), self.infinite).moments(tilts)
        return Contour(moments, 0, saddle.spread, Aim(epsilon, log_delta), ACCURACY)

    def epsilon(self, delta: float, log_goal: float) -> Ends | None:
        """log_goal: log of what is left of delta by losses at +inf."""
        saddles = self.saddles(log_goal)
        saddle = saddles.for_log_delta(log_goal)
        if saddle.epsilon <= 0.0:
            saddle = saddles.for_epsilon(0.0)
            at_zero = self.contour(saddle, 0.0, min(saddle.log_delta, 0.0))
            if at_zero.reached and at_zero.at(0.0).upper <= delta:
                return Ends(0.0, 0.0, METHOD, at_zero.at(0.0).terms, at_zero)
        contour = self.contour(saddle, max(saddle.epsilon, 0.0), log_goal)
        for _ in range(REBUILDS):
            if not contour.reached:
                return None
            epsilon, value = solve(contour, delta)
            if abs(epsilon - contour.epsilon) * contour.tilt < MISPLACED:
                break
            contour = self.contour(saddles.for_epsilon(epsilon), epsilon, log_goal)
        return verified(contour, delta, epsilon, value)

    def below(self, epsilon: float, delta: float, log_goal: float) -> bool:
        """Whether delta(ε) is provably at most `delta`."""
        saddle = self.saddles(log_goal).for_epsilon(epsilon)
        contour = self.contour(saddle, epsilon, log_goal)
        if chernoff.probability(contour.log_chernoff(epsilon)) <= delta:
            return True
        return contour.reached and contour.at(epsilon).upper <= delta

    def delta(self, epsilon: float) -> Ends | None:
        log_delta = -30.0
        for _ in range(REBUILDS):  # what is cut away depends on delta, and delta's estimate on what is
            saddle = self.saddles(log_delta).for_epsilon(epsilon)
            found = max(min(saddle.log_delta, 0.0), LEAST_LOG)
            settled, log_delta = abs(found - log_delta) < 3.0, found
            if settled:
                break
        contour = self.contour(saddle, epsilon, log_delta)
        if not contour.reached:
            return None
        value = contour.at(epsilon)
        ceiling = chernoff.probability(contour.log_chernoff(epsilon))
        upper = min(value.upper, ceiling) if value.upper >= value.lower else ceiling  # NaN takes the ceiling
        return Ends(max(value.lower, self.infinite[0]), upper, METHOD, value.terms, contour)


def _in_reach(gaussians: list[float], sampled: Steps | None) -> bool:
    """Whether the engine is made for such noise and such rates."""
    if not all(LEAST_SQUARE <= square <= MOST_SQUARE for square in gaussians):
        return False
    if sampled is None:
        return True
    small, large, least = (float(v) for v in (sampled.sigma.min(), sampled.sigma.max(), sampled.q.min()))
    return small >= LEAST_NOISE and large <= MOST_NOISE and least >= LEAST_RATE
