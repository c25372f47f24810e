"""δ of the remove direction at every ε that a rate of false positives asks for, by one contour over the add direction.

Where few steps lose much, the remove direction's transform falls slowly and its aliases far: a contour is long, and
one over jumps tells of a part of the curve. In the add direction the losses S end at Σ -log(1 - q), and what jumps add
to the transform is small. What its δ is at -ε tells the other's at ε (small_epsilon.mirrored), with an error that is
small beside 1 and not beside δ, which is all that a rate asks for.

δ_add is nearly 1 where ε is negative, and so are the aliases; but they are known. Let f(y) be the integral of
(1 - e^(y - S))₊ over the paths that the measure keeps, which leaves out c at most. Summed is Σ_k e^(kΛt)·f(y + kΛ), and

    k > 0    0, as y + Λ is no less than the largest S;
    k = -m   1 - c - e^(y - mΛ) <= f(y - mΛ) <= δ_add(y - mΛ) = 1 - e^(y - mΛ)·(1 - δ(mΛ - y)),

the first since E[e^(-S)] = 1, so that over these paths it is no more. δ falls: with D at least δ(Λ - y) for all y that
are asked for, A = Σ_m e^(-mΛt) = 1/(e^(Λt) - 1) and B = 1/(e^(Λ(1 + t)) - 1), all aliases together lie between

    (1 - c)·A - e^y·B   and   A - e^y·B·(1 - D).

So the period need only make B·D small, and not A: it is half as long, or shorter. D makes a lower end of δ lower and no
upper one: the upper ends of this very sum prove one.

Symbols: t the tilt, Λ the period, y = -ε.
"""

import math
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np

from dpplan.accounting.exact.contour.composed_loss import Measure, cut_at, far_limit
from dpplan.accounting.exact.contour.delta_interval import Aim, Contour, ContourTolerance
from dpplan.accounting.exact.contour.placement import largest_added_loss
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps, log_ratio
from dpplan.accounting.exact.contour.rare_jumps.small_epsilon import mirrored
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.normal import log_normal_tails

# The rate of false positives up to whose ε δ is to be narrow, and how narrow there, in δ of the add direction: a curve
# asks for five times as much. What is cut away is a part of that.
FINEST, NARROW, CUT = 1e-6, 1e-11, 2e-12
FARTHER = 1.7  # in units of the reach: how far it tells of δ at least, for a place or two beyond it
TILT = 2.0  # in units of 1/reach: the error grows by e^TILT to there, and less is rounded the smaller it is
CUT_WIDTH, SHARP = 1.0 / 3.0, 12.0  # of σ; the tilt for which it is made, in units of the contour's
# A period: times a plain event's δ, about what is proven of it; how much longer the next is that is tried.
LIKELY, LONGER = 30.0, 1.2
TURNED = 50.0  # steps: where about so many lose or gain more than what turns it once, the transform has fallen
# What a sum may take: frequencies; nodes of its quadrature; and the product of both, as long as three contours over
# jumps.
MOST, MOST_NODES, MOST_WORK = 8000, 60_000, 2.5e8
MOST_EXPONENT, EXPONENT_OFF = 600.0, 1e-12  # of e^(Λt) and the like, which are off by a few units of it; relative
Event = Callable[[Array], Array]


class WithAliases(Protocol):
    """A sum over the add direction whose aliases are in it: a contour's, or a lattice's (reverse_lattice.py)."""

    @property
    def tilt(self) -> float: ...

    @property
    def period(self) -> float: ...

    @property
    def method(self) -> str: ...

    def with_aliases(self, epsilons: Array) -> tuple[Array, Array]:
        """Ends of Σ_k e^(kΛt)·f(y + kΛ) at each of these y."""
        ...


class ReverseSum:
    """Built once, by `over`; `ends` at any ε."""

    def __init__(self, summed: WithAliases, removed: float, largest: float) -> None:
        """removed: what the measure leaves out, at most. largest: no loss of the add direction is larger."""
        self.summed, self.removed, self.largest = summed, removed, largest
        # A period is a few units off what its frequencies are spaced by.
        self.farthest = outward.down(summed.period * (1.0 - outward.ARITHMETIC) - largest, outward.FEW)
        places = np.linspace(0.0, self.farthest, 65)
        self.beyond = min(float(np.nanmin(np.append(self.ends_with(places, 1.0)[1], 1.0))), 1.0)

    @property
    def method(self) -> str:
        return self.summed.method

    def ends(self, epsilons: Array) -> tuple[Array, Array]:
        """lower <= δ <= upper of the remove direction at each of these ε, which may be negative; 0 and 1 where nothing
        is known."""
        return self.ends_with(epsilons, self.beyond)

    def ends_with(self, epsilons: Array, beyond: float) -> tuple[Array, Array]:
        """beyond: at least δ at the farthest ε that is known of."""
        known = (epsilons <= self.farthest) & (epsilons >= -self.largest)
        low, high = np.zeros(len(epsilons)), np.ones(len(epsilons))
        if known.any():
            own = mirrored(epsilons[known], lambda at: self._added(at, beyond))
            sound = own[0] <= own[1]  # not where either is NaN
            low[known] = np.where(sound, np.maximum(own[0], 0.0), 0.0)
            high[known] = np.where(sound, np.minimum(own[1], 1.0), 1.0)
        return low, high

    def _added(self, y: Array, beyond: float) -> tuple[Array, Array]:
        """Ends of δ in the add direction."""
        low, high = self.summed.with_aliases(y)
        period, tilt = self.summed.period, self.summed.tilt
        of_one, of_rise = 1.0 / math.expm1(period * tilt), np.exp(y) / math.expm1(period * (1.0 + tilt))
        off = EXPONENT_OFF * (of_one + of_rise)
        low = low - (of_one - of_rise * (1.0 - beyond)) - off
        return low, high - ((1.0 - self.removed) * of_one - of_rise) + self.removed + off


def reach(steps: Steps) -> float:
    """About the ε where all but FINEST of the add direction's paths lose less in the other one: by its largest step."""
    place = far_limit(steps, math.log(FINEST), 0.0) - 1.0
    return float(np.max(log_ratio((2.0 * place - 1.0) / (2.0 * steps.sigma**2), steps.q)))


class SumPlace(NamedTuple):
    """Where a sum lies: its tilt and period, the ε up to which it is to be narrow, the largest loss."""

    tilt: float
    period: float
    far: float
    largest: float


def laid(steps: Steps, event: Event) -> SumPlace | None:
    """None where a step may lose any amount, or nothing. event: lower bounds on δ at many ε."""
    largest, far = largest_added_loss(steps), reach(steps)
    if not (math.isfinite(largest) and far > 0.0):
        return None
    tilt = TILT / far
    period = _period(FARTHER * far + largest, largest, tilt, event)
    return None if period is None else SumPlace(tilt, period, far, largest)


def over(steps: Steps, event: Event) -> ReverseSum | None:
    """The sum for a plan; None where it would be long. event: lower bounds on δ at many ε."""
    place = laid(steps, event)
    if place is None or not _short(steps, _turning(steps), place.period):
        return None
    limit = far_limit(steps, math.log(CUT), CUT_WIDTH) - 1.0
    cut = cut_at(steps, limit, SHARP * place.tilt, CUT_WIDTH)
    moments = Measure(steps, Direction.ADD, cut, most=MOST_NODES).moments(np.array([place.tilt]))
    accuracy = ContourTolerance(math.inf, math.log(NARROW), MOST)
    contour = Contour(moments, 0, (place.period / 8.0) ** 2, Aim(-place.far, 0.0), accuracy)
    if not (contour.reached and _short(steps, float(contour.u[-1]), place.period)):
        return None
    return ReverseSum(contour, moments.measure.removed, place.largest)


def _period(least: float, largest: float, tilt: float, event: Event) -> float | None:
    """The shortest whose aliases are known closely enough; a guess, which decides how narrow the sum is."""
    periods = least * LONGER ** np.arange(24, dtype=np.float64)
    rise = np.exp(-(1.0 + tilt) * periods)
    good = np.flatnonzero(rise * np.minimum(LIKELY * event(periods - largest), 1.0) <= NARROW)
    if not len(good):
        return None
    period = float(periods[good[0]])
    return period if (1.0 + tilt) * period < MOST_EXPONENT else None


def _turning(steps: Steps) -> float:
    """About the frequency at which the transform has fallen, inf where too few steps help: of the phase that falls
    first, the losses of more than TURNED steps are apart by what turns it once."""
    share = TURNED / steps.count
    enough = share < 1.0
    if not enough.any():
        return math.inf
    beyond = np.linspace(-1.0, 8.0, 181)
    place = beyond[np.argmin(log_normal_tails(beyond)[None] > np.log(np.minimum(share, 0.8)), axis=1)][:, None]
    spread = steps.q * np.exp(np.minimum((2.0 * steps.sigma * place - 1.0) / (2.0 * steps.sigma**2), 600.0))
    return float(np.min(np.where(enough, 1.0 / spread, math.inf)))


def _short(steps: Steps, frequency: float, period: float) -> bool:
    """Whether a sum up to this frequency is worth its time."""
    if not math.isfinite(frequency):
        return False
    place = far_limit(steps, math.log(CUT), CUT_WIDTH) - 1.0
    e = (2.0 * place - 1.0) / (2.0 * steps.sigma**2)
    steepest = np.exp(np.log(steps.q) + e - log_ratio(e, steps.q)) / steps.sigma**2
    nodes = float(np.max((place + 9.0 * steps.sigma) * (frequency * steepest / (2.0 * math.pi) + 60.0 / steps.sigma)))
    frequencies = frequency * period / (2.0 * math.pi)
    return frequencies <= MOST and nodes <= MOST_NODES and nodes * frequencies * len(steps.q) <= MOST_WORK
