"""Mixtures of normal laws on a line whose loss is no formula that can be solved for x: it is inverted by search.

What a search leaves is not lost: the loss is evaluated anew at the place that was found, and how far it is from the one
that was asked for is part of `moved`.
"""

import abc
import functools
import math

import numpy as np

from dpplan.accounting.numerics.binomial import binomial_pmf, log_binomial_pmf
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.pairs.law import EPS, Array, Law, Masses
from dpplan.accounting.pairs.unsampled_gaussian import FARTHEST, nearest, normal_masses
from dpplan.quick_dataclass import dataclass

TABLE, ROUNDS = 2048, 9
CLOSE = 1e-9  # of a loss: one step of Newton's rule from there is as near as a float comes
LEAST_WEIGHT = 1e-305
FEW = 256  # members up to which weights are worked out in whole numbers
BLOCK = 2**20  # places times components of one sum: 8 MB to a table of them


class MixtureLoss(Law):
    """P = Σ p_j N(m_j, σ²) against Q = Σ q_j N(m_j, σ²). The loss falls up to one place, if any, and rises from there:
    subclasses say where (`turn`), and why."""

    noise_multiplier: float

    @property
    @abc.abstractmethod
    def components(self) -> tuple[Array, Array, Array]:
        """m_j, p_j and q_j."""

    @property
    @abc.abstractmethod
    def turn(self) -> float:
        """Where the loss stops falling; -inf where it never falls."""

    @property
    @abc.abstractmethod
    def weight_off(self) -> float:
        """How far a weight may be off, relative."""

    def masses(self, edges: Array) -> Masses:
        places, moved = self._places(edges, rising=True)
        p, q, off = self._between(places)
        if self.turn > -math.inf:
            falling, moved_too = self._places(edges[::-1], rising=False)
            more_p, more_q, more_off = (each[::-1] for each in self._between(falling))
            p, q, off = p + more_p, q + more_q, np.maximum(off, more_off) + EPS
            moved = np.maximum(moved, moved_too[::-1])
        return Masses(p, q, off, moved)

    def _between(self, x: Array) -> tuple[Array, Array, Array]:
        """Both masses between places, and how far they may be off, relative."""
        p, q, off_p, off_q = (np.zeros(len(x) - 1) for _ in range(4))
        sigma = self.noise_multiplier
        for mean, p_weight, q_weight in zip(*self.components, strict=True):
            mass, far = normal_masses(x, float(mean), sigma), nearest(x - mean) / sigma
            off = mass * (EPS * (48.0 + 24.0 * far * far) + self.weight_off)
            p, q = p + p_weight * mass, q + q_weight * mass
            off_p, off_q = off_p + p_weight * off, off_q + q_weight * off
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = np.nanmax([off_p / p, off_q / q, np.zeros(len(p))], axis=0)
        return p, q, relative + 4.0 * EPS * len(self.components[0])

    def loss(self, x: Array) -> tuple[Array, Array, Array]:
        """The loss at places, its slope, and how far it may be off."""
        size = max(BLOCK // len(self.components[0]), 1)
        blocks = [self._loss_of_block(x[at : at + size]) for at in range(0, len(x), size)]
        loss, slope, off = (np.concatenate(each) for each in zip(*blocks, strict=True))
        return loss, slope, off

    def _loss_of_block(self, x: Array) -> tuple[Array, Array, Array]:
        means, p, q = self.components
        first, second = (self._log_ratio(x, means[each > 0.0], each[each > 0.0]) for each in (p, q))
        return first[0] - second[0], first[1] - second[1], first[2] + second[2]

    def _log_ratio(self, x: Array, means: Array, weights: Array) -> tuple[Array, Array, Array]:
        """log of a mixture's ratio to N(0, σ²), its slope, and how far it may be off. Component by component: there are
        few of them to many places."""
        variance = self.noise_multiplier**2
        terms = [(x - 0.5 * mean) * (mean / variance) + math.log(weight) for mean, weight in _pairs(means, weights)]
        top = functools.reduce(np.maximum, terms)
        total, slope, felt = np.zeros(len(x)), np.zeros(len(x)), np.zeros(len(x))
        for term, (mean, weight) in zip(terms, _pairs(means, weights), strict=True):
            share = np.exp(term - top)
            total += share
            slope += share * (mean / variance)
            felt += share * (np.abs(term) + abs(math.log(weight)))
        off = EPS * (16.0 * felt / total + 4.0 * np.abs(top) + len(means) + 8.0) + self.weight_off
        return np.log(total) + top, slope / total, off

    def _places(self, edges: Array, rising: bool) -> tuple[Array, Array]:
        """x of each loss where the loss rises (or falls), in rising order of x, and how far the loss may be off.

        edges: in the order of rising x, so rising losses where the loss rises.
        """
        sigma, means = self.noise_multiplier, self.components[0]
        low, high = float(means.min()) - FARTHEST * sigma, float(means.max()) + FARTHEST * sigma
        ends = (max(self.turn, low), high) if rising else (low, self.turn)
        table = np.linspace(*ends, TABLE)
        sign = 1.0 if rising else -1.0
        known, goal = sign * self.loss(table)[0], sign * edges
        known = np.maximum.accumulate(known)
        at = np.clip(np.searchsorted(known, goal), 1, TABLE - 1)
        below, above = table[at - 1], table[at]
        x = 0.5 * (below + above)
        inside = (goal > known[0]) & (goal < known[-1])
        for _ in range(ROUNDS):
            value, slope, _ = self.loss(x)
            gap = sign * value - goal
            above, below = np.where(gap > 0.0, x, above), np.where(gap > 0.0, below, x)
            with np.errstate(divide="ignore", invalid="ignore"):
                step = x - gap / (sign * slope)
            x = np.where((step >= below) & (step <= above), step, 0.5 * (below + above))
            if not (np.abs(gap)[inside] > CLOSE * np.abs(goal)[inside]).any():
                break
        value, _, off = self.loss(x)
        moved = np.where(inside, np.abs(value - np.where(inside, edges, 0.0)) + off, 0.0)
        # Next to an end of the table, what is off decides whether an edge lies beyond all losses.
        beyond = np.maximum(known[0] - goal, goal - known[-1])
        moved = np.where(~inside & (beyond <= 2.0 * off), 2.0 * off, moved)
        # Left of all losses there is nothing on this side; at the ends of the table, nothing of either mass.
        first = ends[0] if rising and self.turn > -math.inf else -math.inf
        last = math.inf if rising else ends[1]
        x = np.where(goal <= known[0], first, np.where(goal >= known[-1], last, x))
        return np.maximum.accumulate(x), moved + np.where(np.isfinite(edges), 4.0 * EPS * np.abs(edges), 0.0)


def _pairs(means: Array, weights: Array) -> list[tuple[float, float]]:
    return list(zip(means.tolist(), weights.tolist(), strict=True))


@dataclass(frozen=True)
class TwiceAgainstOnce(MixtureLoss):
    """P = (1 - q)·N(0, σ²) + q·N(2, σ²) against Q = (1 - q)·N(0, σ²) + q·N(1, σ²), q < 1.

    The slope of the loss has the sign of (1 - q)·(2·e^((2x - 3)/2σ²) - 1) + q·e^((2x - 2)/σ²), which rises with x: so
    the loss falls up to its root and rises from there.
    """

    noise_multiplier: float
    sample_rate: float

    @property
    def components(self) -> tuple[Array, Array, Array]:
        q = self.sample_rate
        return np.array([0.0, 1.0, 2.0]), np.array([1.0 - q, 0.0, q]), np.array([1.0 - q, q, 0.0])

    @property
    def weight_off(self) -> float:
        return EPS

    @functools.cached_property
    def turn(self) -> float:
        variance, q = self.noise_multiplier**2, self.sample_rate

        def slope(x: float) -> float:
            return (1.0 - q) * (2.0 * math.exp((2.0 * x - 3.0) / (2.0 * variance)) - 1.0) + q * math.exp(
                min((2.0 * x - 2.0) / variance, 700.0)
            )

        low = 1.5 - variance * (math.log(2.0) + 800.0)
        turn = first_true(lambda x: slope(x) >= 0.0, low, 1.5, most=200)
        return 0.5 * (turn.false + turn.true)

    @functools.cached_property
    def lowest(self) -> float:
        value, _, off = self.loss(np.array([self.turn]))
        return float(value[0]) - 2.0 * float(off[0])

    @property
    def bounds(self) -> tuple[float, float]:
        return self.lowest, math.inf


@dataclass(frozen=True)
class GroupLoss(MixtureLoss):
    """P = Σ_j Bin(members, q)(j)·N(j, σ²) against Q = N(0, σ²): each of `members` examples joins by a coin of its own.

    The likelihood ratio Σ_j b_j·e^((2jx - j²)/2σ²) rises with x.
    """

    noise_multiplier: float
    sample_rate: float
    members: int

    @functools.cached_property
    def components(self) -> tuple[Array, Array, Array]:
        counts, q = np.arange(self.members + 1.0), self.sample_rate
        if q == 1.0:
            weights = np.where(counts == self.members, 1.0, 0.0)
        else:
            weights = (
                binomial_pmf(self.members, q)
                if self.members <= FEW
                else np.exp(log_binomial_pmf(counts, self.members, q, 1.0 - q))
            )
        kept = (weights >= LEAST_WEIGHT) | (counts == 0.0)
        weights = np.where(weights >= LEAST_WEIGHT, weights, 0.0)
        return counts[kept], weights[kept], np.where(counts[kept] == 0.0, 1.0, 0.0)

    @property
    def weight_off(self) -> float:
        """A rounding, or what the logarithm of a binomial's mass is known to; what is left out is less than either."""
        if self.members <= FEW:
            return EPS
        return 2e-13 + 4e-16 * (1.0 + 800.0 + 2.0 * self.members)

    @property
    def turn(self) -> float:
        return -math.inf

    @property
    def bounds(self) -> tuple[float, float]:
        """As x falls the ratio falls to Bin(0), which it never reaches."""
        q = self.sample_rate
        return (-math.inf if q == 1.0 else self.members * math.log1p(-q) * (1.0 + 4.0 * EPS)), math.inf
