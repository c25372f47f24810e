"""What a plan allows an attacker: advantage, true positives, posterior, best guess, reconstruction, and a μ.

Every figure bounds any attacker who sees all that the plan releases and knows all else: the other records, the code,
the settings. Sources: Yeom et al. 2018 and Humphries et al. 2023 for advantage = δ(0); Dong, Roth, Su 2022 for the
trade-off; Balle et al. 2022 (arXiv:2201.04845), Hayes et al. 2023 (arXiv:2302.07225), Kulynych et al. 2025
(arXiv:2507.06969) for reconstruction, singling out and attribute inference: who succeeds with chance κ without the
data succeeds with at most TPR(κ) with it.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import field
from functools import partial

import numpy as np

from dpplan import notebook
from dpplan.accounting.exact.proven_deltas import Width
from dpplan.accounting.least_upper import LOOSE
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.normal import log_normal_tails
from dpplan.checks import show
from dpplan.quick_dataclass import dataclass
from dpplan.risk.regret import regret_above
from dpplan.risk.source import Ends, OtherDeltas, Source, lessened
from dpplan.risk.trade_off import ENOUGH, TradeOff, first_looks, implied
from dpplan.rounding import up

RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
PRIOR, FPR, BASELINE, MU_DELTA = 0.5, 0.01, 0.01, 1e-5
# Where a μ is held against the profile: first where a trade-off looks anyway, and farther out while δ is not yet below
# δ₀; then between these until it is CLOSE to what the places ask for by themselves, or they are so many.
LOOKED = (0.0, *first_looks())
FARTHER = tuple(LOOKED[-1] * 1.25**k for k in range(1, 13))
PLACES, CLOSE = 400, 3e-5
ABSOLUTE = 1e-13  # of a figure between 0 and 1, by a few operations with numbers of size 1
LEAST_MU, MOST_MU = 1e-12, 1e3
TINY = sys.float_info.min
LEAST_LOOKED = 0.05  # from which x on a rate is held against another proof of δ, beside 0 itself
LEAST_GAIN = 1e-9  # over guessing, below which a quotient of gains is one of roundings


@dataclass(frozen=True, slots=True)
class AttackQuestion:
    """rates: false-positive rates. prior: how likely a person is a member, before; fpr: of the posterior.

    baseline: how likely a guess is right without the data. mu_delta: the δ₀ that the smallest μ is allowed.
    stated: (ε, δ) to stand beside, what it alone would imply.
    """

    rates: tuple[float, ...] = RATES
    prior: float = PRIOR
    fpr: float = FPR
    baseline: float = BASELINE
    mu_delta: float = MU_DELTA
    stated: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """lower <= the best attacker's figure <= upper. guess: what guessing reaches. implied: what (ε, δ) alone allows."""

    lower: float
    upper: float
    guess: float
    implied: float | None = None

    @property
    def tighter(self) -> float | None:
        """How many times the gain over guessing that (ε, δ) alone allows exceeds the one that is proven."""
        if self.implied is None or self.upper - self.guess < LEAST_GAIN:
            return None
        return (self.implied - self.guess) / (self.upper - self.guess)


@dataclass(frozen=True, slots=True)
class Assessment:
    """advantage: TPR - FPR. rates: TPR at each rate of the question, at_fpr at its fpr. accuracy: of the best guess at
    the prior. posterior: that who is accused with this false-positive rate is a member. reconstruction: success of who
    guesses right with chance `baseline`: a predicate that singles one record out, an unknown attribute, a whole record;
    one theorem bounds all three by TPR at FPR `baseline`, for a record named before the output and a guess without it,
    all others being known. mu: near the least μ with δ(ε) <= δ_μ(ε) + δ₀ for all ε, an upper end; None where none was
    found. regret: of telling the plan by that μ, from above (`regret`).
    """

    question: AttackQuestion
    advantage: Figure
    rates: tuple[Figure, ...]
    at_fpr: Figure
    accuracy: Figure
    posterior: Figure
    reconstruction: Figure
    mu: float | None
    regret: float | None
    trade_off: TradeOff = field(repr=False)

    def _repr_html_(self) -> str:
        """What a notebook shows: what the best attacker reaches at most, beside what guessing does."""
        asked = self.question
        named = [
            ("advantage, TPR - FPR", self.advantage),
            *((f"TPR at FPR {show(rate)}", each) for rate, each in zip(asked.rates, self.rates, strict=True)),
            (f"posterior, prior {show(asked.prior)}, FPR {show(asked.fpr)}", self.posterior),
            (f"best guess, prior {show(asked.prior)}", self.accuracy),
            (f"reconstruction, guess {show(asked.baseline)}", self.reconstruction),
        ]
        rows = [(name, up(each.upper, 4), show(each.guess)) for name, each in named]
        return notebook.table("The best attacker's chances", rows, ("", "at most", "by guessing"))


def assess(source: Source, question: AttackQuestion) -> Assessment:
    """All figures of a source, by the lesser of two proofs where what is known of it is wide and another says less.

    Every number of the question lies in (0, 1); nothing here refuses.
    """
    found = _of_one(source, question)
    return _of_one(lessened(source), question) if _is_less(source.other, found) else found


def _is_less(other: OtherDeltas | None, found: Assessment) -> bool:
    """Whether some figure is wide, and less by the other proofs of δ. Figures that are known closely are left alone,
    to the last bit."""
    if other is None:
        return False
    advantage, at = found.advantage, (*found.question.rates, found.question.fpr, found.question.baseline)
    if _is_wide(advantage) and other(0.0) < advantage.upper:
        return True
    rates = (*found.rates, found.at_fpr, found.reconstruction)
    wide = [(rate, each.upper) for rate, each in zip(at, rates, strict=True) if _is_wide(each)]
    return any(
        implied(x, other(x), (rate,))[0] < most * (1.0 - LOOSE)
        for rate, most in wide for x in first_looks() if LEAST_LOOKED < x < -math.log(rate)
    )  # fmt: skip


def _is_wide(figure: Figure) -> bool:
    return figure.upper - figure.lower > LOOSE * figure.upper


def _of_one(source: Source, question: AttackQuestion) -> Assessment:
    stated = question.stated
    at = (*question.rates, question.fpr, question.baseline)
    allowed: Sequence[float | None] = implied(*stated, at) if stated else [None] * len(at)
    trade_off = TradeOff(source, min(at))
    found = trade_off.rates(at)
    by_known: Sequence[float] = implied(*source.known, at) if source.known else [1.0] * len(at)
    rates = [
        Figure(rate.lower, _lesser(rate.lower, rate.upper, by), own, told)
        for rate, by, own, told in zip(found, by_known, at, allowed, strict=True)
    ]
    *listed, at_fpr, at_baseline = rates
    mu = smallest_mu(source, question.mu_delta)
    return Assessment(
        question,
        _advantage(source, stated),
        tuple(listed),
        at_fpr,
        _accuracy(source, question.prior, stated),
        _posterior(at_fpr, question.prior, question.fpr),
        at_baseline,
        mu,
        None if mu is None else regret_above(source, mu),
        trade_off,
    )


def _lesser(lower: float, upper: float, by_known: float) -> float:
    """The upper end, or what the other proof of a source allows (`Source.known`) where that is less."""
    return max(lower, min(upper, by_known * (1.0 + ABSOLUTE) + ABSOLUTE))


def _both(source: Source, x: float) -> Ends:
    """The larger δ(x) of both directions."""
    low, high = source.larger(np.array([x]))
    by_known = 1.0 if source.known is None else stated_delta(*source.known, x)
    return float(low[0]), _lesser(float(low[0]), float(high[0]), by_known)


def _advantage(source: Source, stated: tuple[float, float] | None) -> Figure:
    low, high = _both(source, 0.0)
    return Figure(low, high, 0.0, None if stated is None else stated_delta(*stated, 0.0))


def stated_delta(epsilon: float, delta: float, x: float) -> float:
    """δ(x) of the worst mechanism with this (ε, δ), at any real x."""
    if x < 0.0:
        return 1.0 - math.exp(x) * (1.0 - stated_delta(epsilon, delta, -x))
    rest = -math.expm1(x - epsilon) / (1.0 + math.exp(-epsilon)) if x < epsilon else 0.0
    return delta + (1.0 - delta) * rest


def _accuracy(source: Source, prior: float, stated: tuple[float, float] | None) -> Figure:
    """(1 - π) + π·δ(log((1 - π)/π)): the mean of the larger of π·P and (1 - π)·Q."""
    x = math.log1p(-prior) - math.log(prior)
    low, high = _both(source, x)
    guess = max(prior, 1.0 - prior)
    ends = ((1.0 - prior) + prior * low) * (1.0 - ABSOLUTE), ((1.0 - prior) + prior * high) * (1.0 + ABSOLUTE)
    told = None if stated is None else (1.0 - prior) + prior * stated_delta(*stated, x)
    return Figure(max(ends[0], guess), min(max(ends[1], guess), 1.0), guess, told)


def posterior(rate: float, prior: float, fpr: float) -> float:
    """π·TPR / (π·TPR + (1 - π)·FPR)."""
    if prior * rate < 1e-290:  # which loses its digits, or is 0
        share = prior * (rate / fpr)
        return share / (share + (1.0 - prior))
    return prior * rate / (prior * rate + (1.0 - prior) * fpr)


def _posterior(rate: Figure, prior: float, fpr: float) -> Figure:
    low, high = (posterior(end, prior, fpr) for end in (rate.lower, rate.upper))
    told = None if rate.implied is None else posterior(rate.implied, prior, fpr)
    return Figure(low * (1.0 - ABSOLUTE), min(high * (1.0 + ABSOLUTE), 1.0), prior, told)


def smallest_mu(source: Source, delta: float) -> float | None:
    """A μ, near the least one, with δ(x) <= δ_μ(x) + `delta` for all real x and both directions. None if none is found.

    One that is stated with no more than `delta` is such a μ as it is, and returned where none that is less is found.
    """
    found = _mu_that_fits(source, delta)
    if source.mu is None or source.mu[1] > delta:
        return found
    return source.mu[0] if found is None else min(found, source.mu[0])


def _mu_that_fits(source: Source, delta: float) -> float | None:
    """By what is known of δ at places, and between them.

    Between two places both sides are convex in a = e^x: δ lies below its chord, δ_μ above its tangents. What floats are
    off is relative to each, so that a δ₀ far below 1e-13 still gets a μ near the least. Beyond the last place
    δ is below `delta`. It is enough to look at x >= 0: the other half follows with δ₀(-x) = 1 - e^(-x)·(1 - δ₁(x)).

    What the places ask for by themselves no μ undercuts; stretches are halved where a μ hardly above that is not yet
    proven, which is near the x that asks most. So the bound holds for any places, and few are looked at.
    """
    profile = _first_sampled(source, delta)
    if profile is None:
        return None
    if profile.upper[0] <= delta:
        return 0.0
    least = LEAST_MU
    while True:
        least = _first_mu(partial(profile.fits_at_places, delta), least)
        if least >= MOST_MU:
            return None
        goal = least * (1.0 + CLOSE)
        fits = profile.fits_between(delta, goal)
        if fits.all():
            return outward.up(goal, 1e-12)
        if len(profile.x) >= PLACES:
            break
        profile = profile.halved(source, np.logical_not(fits), delta)
    found = _first_mu(lambda mu: bool(profile.fits_between(delta, mu).all()), goal)
    return None if found >= MOST_MU else outward.up(found, 1e-12)


def _first_sampled(source: Source, delta: float) -> "_Sampled | None":
    """At the places to look at first, up to one from which on δ is no more than `delta`; None where none is that."""
    places = np.array((*LOOKED, *FARTHER))
    if source.level is not None and source.level[0] <= FARTHER[-1] and source.level[1] <= delta:
        places = np.append(places[places < source.level[0]], source.level[0])
        return _Sampled(places, _uppers(source, places, delta))
    uppers = _uppers(source, places, delta)
    beyond = np.flatnonzero((uppers <= outward.down(delta, outward.MANY)) & (places >= 1.0))
    if not len(beyond):
        return None
    kept = slice(0, beyond[0] + 1)
    return _Sampled(places[kept], uppers[kept])


def _uppers(source: Source, places: Array, delta: float) -> Array:
    """Upper ends of the larger δ of both directions, as narrow as a μ with this δ₀ needs them."""
    enough = Width(ENOUGH.absolute * delta, ENOUGH.relative)
    return source.larger(places, enough)[1]


def _first_mu(fits: Callable[[float], bool], low: float) -> float:
    """About the least μ above `low` that fits, or MOST_MU."""
    if fits(low):
        return low
    growth, high = 1e-6, low
    while not fits(high := min(low * (1.0 + growth), MOST_MU)):
        if high >= MOST_MU:
            return MOST_MU
        low, growth = high, 4.0 * growth
    return first_true(fits, low, high, relative=1e-7).true


@dataclass(frozen=True, slots=True)
class _Sampled:
    """Upper ends of the larger δ of both directions at ascending x >= 0."""

    x: Array
    upper: Array

    def halved(self, source: Source, chosen: Array, delta: float) -> "_Sampled":
        """With a place more in the middle of each chosen stretch."""
        middles = 0.5 * (self.x[:-1] + self.x[1:])[chosen]
        at, more = np.flatnonzero(chosen) + 1, _uppers(source, middles, delta)
        return _Sampled(np.insert(self.x, at, middles), np.insert(self.upper, at, more))

    def _of_gaussian(self, mu: float) -> tuple[Array, Array, Array]:
        """P and e^x·Q of the event at each place whose difference is δ_μ, and how far they may be off, relative.

        With s = x/μ + μ/2, the place in units of the noise: s is off by 3 units of itself, which moves the logarithm of
        a tail by 3·s·(s + 1); it is good to a few units of s²/2 by itself; x is added to it; exp takes 4 units.
        """
        first = np.exp(log_normal_tails(self.x / mu - 0.5 * mu))
        second = np.exp(self.x + log_normal_tails(self.x / mu + 0.5 * mu))  # at most the first, where Q underflows
        off = outward.UNIT * (64.0 + 16.0 * (self.x / mu + 0.5 * mu) ** 2 + 8.0 * self.x)
        return first, second, off

    def fits_at_places(self, delta: float, mu: float) -> bool:
        """Whether δ_μ + `delta` is proven to lie above δ at each place."""
        first, second, off = self._of_gaussian(mu)
        room = _room(delta, self.upper) - off * (first + second)
        return bool(np.all(self.upper <= (first - second) + room))

    def fits_between(self, delta: float, mu: float) -> Array:
        """Whether it is from each place to the next, [stretch].

        The chord of δ less either tangent is linear in a = e^x, so that the lesser of the two is nowhere above any
        weighted mean of them, and that is largest at an end. The weight is about that of the least such bound; any will
        do. Of the tangents the slope is -Q, and what they fall from end to end is e^x·Q times e^Δx - 1 or 1 - e^-Δx.
        """
        first, second, off = self._of_gaussian(mu)
        own, step = first - second, np.diff(self.x)
        ahead, behind = second[:-1] * np.expm1(step), -second[1:] * np.expm1(-step)
        bend, before, after = ahead - behind, self.upper[:-1], self.upper[1:]
        weight = np.divide(before - after - behind, bend, out=np.full_like(bend, 0.5), where=bend > 0.0)
        weight = np.clip(weight, 0.0, 1.0)
        rest = 1.0 - weight
        at_start = weight * (before - own[:-1]) + rest * (before - own[1:] - behind)
        at_end = weight * (after - own[:-1] + ahead) + rest * (after - own[1:])
        sizes = weight * off[:-1] * (first + second)[:-1] + rest * off[1:] * (first + second)[1:]
        sizes += np.maximum(off[:-1], off[1:]) * (weight * ahead + rest * behind)
        room = _room(delta, np.maximum(before, after)) - sizes
        return np.asarray((at_start <= room) & (at_end <= room))


def _room(delta: float, uppers: Array) -> Array:
    """δ₀ without what sums with these numbers may be off, and what floats near 0 lose."""
    return np.asarray(outward.down(delta, outward.MANY) - outward.FEW * uppers - 4.0 * TINY)
