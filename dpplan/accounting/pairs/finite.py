"""Laws with finitely many outcomes: randomized response, a stated (ε, δ), and any table of probabilities."""

import functools
import math

import numpy as np

from dpplan.accounting.pairs.law import EPS, ROUNDING, Array, Atoms, Law, Masses, log_ratio, nothing
from dpplan.quick_dataclass import dataclass


@dataclass(frozen=True)
class Finite(Law):
    """P and Q outcome by outcome: rows of (p, q), each side with the sum 1; either may be 0."""

    rows: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        table = np.array(self.rows, dtype=np.float64).reshape(-1, 2)
        sums = [math.fsum(table[:, side]) for side in range(2)]
        if not (np.all(table >= 0.0) and all(abs(total - 1.0) <= 1e-12 for total in sums)):
            raise ValueError(
                f"the probabilities of P and of Q are not two distributions: their sums={sums}, and none is below 0"
            )

    def masses(self, edges: Array) -> Masses:
        return nothing(edges)

    @functools.cached_property
    def atoms(self) -> Atoms:
        return Atoms.of([(log_ratio(p, q), p, q) for p, q in self.rows if p > 0.0 and q > 0.0])

    @property
    def infinite(self) -> float:
        return math.fsum(p for p, q in self.rows if q == 0.0)

    @property
    def vanishing(self) -> float:
        return math.fsum(q for p, q in self.rows if p == 0.0)

    @property
    def bounds(self) -> tuple[float, float]:
        losses = self.atoms.loss
        return (float(losses[0]), float(losses[-1])) if len(losses) else (0.0, 0.0)

    def log_moment(self, tilt: float) -> float | None:
        if self.infinite > 0.0:
            return math.inf if tilt > 0.0 else None
        return float(np.logaddexp.reduce(np.log(self.atoms.p) + tilt * self.atoms.loss))


@dataclass(frozen=True)
class StatedLoss(Law):
    """The pair behind a stated (ε, δ): loss +inf with P-mass δ, ±ε with what is left in the odds e^ε to 1; Q mirrored.

    Its trade-off curve, max(0, 1 - δ - e^ε·α, e^-ε·(1 - δ - α)), lies on or below that of every mechanism that is
    (ε, δ)-private in both orders, so it dominates them all (Kairouz, Oh, Viswanath 2015, arXiv:1311.0776). δ = 0 is
    binary randomized response.
    """

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.epsilon < math.inf and 0.0 <= self.delta < 1.0):
            raise ValueError(f"epsilon={self.epsilon!r}, delta={self.delta!r}: epsilon is >= 0, delta in [0, 1)")

    def masses(self, edges: Array) -> Masses:
        return nothing(edges)

    @functools.cached_property
    def atoms(self) -> Atoms:
        if self.epsilon == 0.0:
            return Atoms.of([(0.0, 1.0 - self.delta, 1.0 - self.delta)])
        low = (1.0 - self.delta) * math.exp(-self.epsilon) / (1.0 + math.exp(-self.epsilon))
        high = (1.0 - self.delta) / (1.0 + math.exp(-self.epsilon))
        return Atoms.of([(-self.epsilon, low, high), (self.epsilon, high, low)], ROUNDING * (1.0 + self.epsilon))

    @property
    def infinite(self) -> float:
        return self.delta

    @property
    def vanishing(self) -> float:
        return self.delta

    @property
    def bounds(self) -> tuple[float, float]:
        return -self.epsilon, self.epsilon

    @property
    def loss_off(self) -> float:
        return EPS  # they are the float that was given

    def log_moment(self, tilt: float) -> float | None:
        if self.delta > 0.0:
            return math.inf if tilt > 0.0 else None
        return float(np.logaddexp.reduce(np.log(self.atoms.p) + tilt * self.atoms.loss))


@dataclass(frozen=True)
class ResponseLoss(Law):
    """k-ary randomized response, the answer replaced: the true one of `categories` is kept with probability
    1 - noise, else one is drawn uniformly from all. Either direction."""

    categories: int
    noise: float

    def __post_init__(self) -> None:
        if not (self.categories >= 2 and 0.0 < self.noise <= 1.0):
            raise ValueError(f"categories={self.categories}, noise={self.noise!r}: at least 2, and in (0, 1]")

    def masses(self, edges: Array) -> Masses:
        return nothing(edges)

    @functools.cached_property
    def atoms(self) -> Atoms:
        k, other = self.categories, self.noise / self.categories
        true, rest = (1.0 - self.noise) + other, (k - 2) * other
        loss = math.log1p((1.0 - self.noise) / other)
        rows = [(-loss, other, true), (loss, true, other)] if loss > 0.0 else [(0.0, true + other, true + other)]
        return Atoms.of(rows if k == 2 else [*rows, (0.0, rest, rest)])

    @property
    def bounds(self) -> tuple[float, float]:
        loss = self.atoms.loss  # none is left where all of them reveal all
        return (float(loss[0]), float(loss[-1])) if len(loss) else (0.0, 0.0)

    def log_moment(self, tilt: float) -> float | None:
        return float(np.logaddexp.reduce(np.log(self.atoms.p) + tilt * self.atoms.loss))


class OnAtoms(Law):
    """A law of a few atoms that both measures know, so that its atoms say everything."""

    def masses(self, edges: Array) -> Masses:
        return nothing(edges)

    @property
    def bounds(self) -> tuple[float, float]:
        loss = self.atoms.loss  # none is left where all of them reveal all
        return (float(loss[0]), float(loss[-1])) if len(loss) else (0.0, 0.0)

    def log_moment(self, tilt: float) -> float | None:
        return float(np.logaddexp.reduce(np.log(self.atoms.p) + tilt * self.atoms.loss))


@dataclass(frozen=True)
class AnswerLoss(OnAtoms):
    """k-ary randomized response at this epsilon, the answer replaced: the true one has e^ε times the mass of any other.
    Either direction."""

    epsilon: float
    categories: int

    @functools.cached_property
    def atoms(self) -> Atoms:
        k, e = self.categories, self.epsilon
        low = math.exp(-e)
        whole = 1.0 + (k - 1) * low
        rows = [(-e, low / whole, 1.0 / whole), (e, 1.0 / whole, low / whole)]
        rest = (k - 2) * low / whole
        return Atoms.of(rows if k == 2 else [*rows, (0.0, rest, rest)], ROUNDING * (1.0 + e))

    @property
    def loss_off(self) -> float:
        return EPS  # they are the float that was given


@dataclass(frozen=True)
class ZeroedAnswerLoss(OnAtoms):
    """k-ary randomized response at this epsilon, against an answer that is drawn uniformly."""

    epsilon: float
    categories: int

    @functools.cached_property
    def atoms(self) -> Atoms:
        k, e = self.categories, self.epsilon
        low = math.exp(-e)
        whole = 1.0 + (k - 1) * low
        # k/whole = 1 + (k - 1)(1 - e^-ε)/whole, and k·e^-ε/whole = 1 - (1 - e^-ε)/whole: near 1 without cancellation.
        more, less = (k - 1) * -math.expm1(-e) / whole, math.expm1(-e) / whole
        fallen = math.log1p(less) if less > -0.5 else math.log(k / whole) - e
        rows = [(fallen, (k - 1) * low / whole, (k - 1) / k), (math.log1p(more), 1.0 / whole, 1.0 / k)]
        return Atoms.of(rows, ROUNDING * (1.0 + e))

    @property
    def loss_off(self) -> float:
        """A log1p of what is off by ten units; or log(k/whole) - ε, at most -log 2, each off by units of itself."""
        return 4.0 * ROUNDING * (1.0 + self.epsilon + math.log(self.categories))


@dataclass(frozen=True)
class DiscreteLaplaceLoss(OnAtoms):
    """Two-sided geometric noise of rate a = ε/Δ, moved by Δ. The other direction has the same law, by reflection.

    The loss is a·(Δ - 2x): at x = 0 all that lies beyond P's own side, at x = Δ all beyond Q's, one point between.
    """

    epsilon: float
    sensitivity: int

    @functools.cached_property
    def atoms(self) -> Atoms:
        e, far = self.epsilon, self.sensitivity
        rate = e / far
        tail = 1.0 / (1.0 + math.exp(-rate))
        point = -math.expm1(-rate) * tail
        rows = [(e, tail, math.exp(-e) * tail), (-e, math.exp(-e) * tail, tail)]
        for x in range(1, far):
            p, q = point * math.exp(-rate * x), point * math.exp(-rate * (far - x))
            rows.append((e * (far - 2 * x) / far, p, q))
        return Atoms.of(rows, ROUNDING * (1.0 + e))
