"""What a plan allows an attacker: advantage, true positives, posterior, best guess, reconstruction, and a μ.

Every figure bounds any attacker who sees all that the plan releases and knows all else: the other records, the code,
the settings. Sources: Yeom et al. 2018 and Humphries et al. 2023 for advantage = δ(0); Dong, Roth, Su 2022 for the
trade-off; Balle et al. 2022 (arXiv:2201.04845), Hayes et al. 2023 (arXiv:2302.07225), Kulynych et al. 2025
(arXiv:2507.06969) for reconstruction, singling out and attribute inference: who succeeds with chance κ without the
data succeeds with at most TPR(κ) with it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.normal import log_normal_tails
from dpplan.risk.source import Ends, Source
from dpplan.risk.trade_off import TradeOff, implied

RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
PRIOR, FPR, BASELINE, MU_DELTA = 0.5, 0.01, 0.01, 1e-5
FARTHEST = 700.0  # of an ε: e^ε is a float
PLACES = 400  # at which a μ is held against the profile
ABSOLUTE = 1e-13  # of normal tails, of a chord and a tangent between numbers of size 1
MOST_MU = 1e3
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
    guesses right with chance `baseline`. mu: near the least μ with δ(ε) <= δ_μ(ε) + δ₀ for all ε, an upper end;
    None where none was found.
    """

    question: AttackQuestion
    advantage: Figure
    rates: tuple[Figure, ...]
    at_fpr: Figure
    accuracy: Figure
    posterior: Figure
    reconstruction: Figure
    mu: float | None
    trade_off: TradeOff = field(repr=False)


def assess(source: Source, question: AttackQuestion) -> Assessment:
    """All figures of a source. Every number of the question lies in (0, 1); nothing here refuses."""
    stated = question.stated
    at = (*question.rates, question.fpr, question.baseline)
    allowed: Sequence[float | None] = implied(*stated, at) if stated else [None] * len(at)
    trade_off = TradeOff(source)
    found = [trade_off.at(rate) for rate in at]
    rates = [Figure(rate.lower, rate.upper, own, told) for rate, own, told in zip(found, at, allowed, strict=True)]
    *listed, at_fpr, at_baseline = rates
    return Assessment(
        question,
        _advantage(source, stated),
        tuple(listed),
        at_fpr,
        _accuracy(source, question.prior, stated),
        _posterior(at_fpr, question.prior, question.fpr),
        at_baseline,
        smallest_mu(source, question.mu_delta),
        trade_off,
    )


def _both(source: Source, x: float) -> Ends:
    """The larger δ(x) of both directions."""
    ends = [source.delta(direction, x) for direction in (0, 1)]
    return max(low for low, _ in ends), max(high for _, high in ends)


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
    return prior * rate / (prior * rate + (1.0 - prior) * fpr)


def _posterior(rate: Figure, prior: float, fpr: float) -> Figure:
    low, high = (posterior(end, prior, fpr) for end in (rate.lower, rate.upper))
    told = None if rate.implied is None else posterior(rate.implied, prior, fpr)
    return Figure(low * (1.0 - ABSOLUTE), min(high * (1.0 + ABSOLUTE), 1.0), prior, told)


def smallest_mu(source: Source, delta: float) -> float | None:
    """A μ, near the least one, with δ(x) <= δ_μ(x) + `delta` for all real x and both directions. None if none is found.

    Between two places both sides are convex in a = e^x: δ lies below its chord, δ_μ above its tangents, and the chord
    less the larger tangent is concave with one kink, so that three values bound it. Beyond the last place δ is below
    `delta`. It is enough to look at x >= 0: the other half follows with δ₀(-x) = 1 - e^(-x)·(1 - δ₁(x)).
    """
    top = 1.0
    while _both(source, top)[1] > delta * (1.0 - 1e-9):
        top *= 1.25
        if top > FARTHEST:
            return None
    if _both(source, 0.0)[1] <= delta:
        return 0.0
    x = np.linspace(0.0, top, PLACES)
    upper = np.array([_both(source, float(each))[1] for each in x])
    a = np.exp(x)
    low, high = 1e-6, MOST_MU
    if not _dominates(high, x, a, upper, delta):
        return None
    for _ in range(60):
        if high - low <= 1e-7 * high:
            break
        middle = math.sqrt(low * high)
        low, high = (low, middle) if _dominates(middle, x, a, upper, delta) else (middle, high)
    return outward.up(high, 1e-12)


def _dominates(mu: float, x: Array, a: Array, upper: Array, delta: float) -> bool:
    """Whether δ_μ + `delta` is proven to lie above `upper` from each place to the next."""
    first, second = np.exp(log_normal_tails(x / mu - 0.5 * mu)), np.exp(log_normal_tails(x / mu + 0.5 * mu))
    own, fall = first - a * second, -second  # δ_μ at the places, and its derivative in a
    left, right = own[:-1] + ABSOLUTE, own[1:] + ABSOLUTE
    width = np.diff(a)
    # The kink: where the tangents from either end meet, as a share of the way.
    bend = (fall[1:] - fall[:-1]) * width
    rise = own[1:] - own[:-1] - fall[:-1] * width
    share = np.clip(1.0 - np.divide(rise, bend, out=np.full_like(bend, 0.5), where=bend > 0.0), 0.0, 1.0)
    above = np.maximum(own[:-1] + fall[:-1] * share * width, own[1:] - fall[1:] * (1.0 - share) * width)
    chord = upper[:-1] + (upper[1:] - upper[:-1]) * share
    rounding = 4.0 * outward.UNIT * a[1:] * second[:-1] + ABSOLUTE
    room = delta * (1.0 - 1e-9) - rounding
    fits = (chord <= above + room) & (upper[:-1] <= left + room - ABSOLUTE) & (upper[1:] <= right + room - ABSOLUTE)
    return bool(np.all(fits))
