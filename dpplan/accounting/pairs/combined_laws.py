"""Laws made of laws: the other direction, Poisson subsampling, a mixture over a public coin."""

import functools
import math

import numpy as np
import numpy.typing as npt

from dpplan.accounting.pairs.law import EPS, ROUNDING, Array, Atoms, Law, Masses
from dpplan.quick_dataclass import dataclass

LARGEST_POWER = 700.0  # e to it is a float
HUGE = 1e300  # beside it 1 is less than what a float is off


@dataclass(frozen=True)
class Reversed(Law):
    """P and Q exchanged: the loss -L under Q."""

    law: Law

    def masses(self, edges: Array) -> Masses:
        found = self.law.masses(-edges[::-1])
        return Masses(found.q[::-1], found.p[::-1], found.relative[::-1], found.moved[::-1])

    @functools.cached_property
    def atoms(self) -> Atoms:
        found = self.law.atoms
        return Atoms(-found.loss[::-1], found.q[::-1], found.p[::-1], found.relative)

    @property
    def infinite(self) -> float:
        return self.law.vanishing

    @property
    def vanishing(self) -> float:
        return self.law.infinite

    @property
    def bounds(self) -> tuple[float, float]:
        low, high = self.law.bounds
        return -high, -low

    @property
    def loss_off(self) -> float:
        return self.law.loss_off

    @property
    def spacing(self) -> float | None:
        return self.law.spacing

    def log_moment(self, tilt: float) -> float | None:
        """E_Q[e^(-tL)] = E_P[e^(-(1 + t)L)], where neither has mass that the other does not know."""
        whole = self.law.infinite == 0.0 and self.law.vanishing == 0.0
        return self.law.log_moment(-1.0 - tilt) if whole else None


@dataclass(frozen=True)
class Subsampled(Law):
    """(1 - q)·Q + q·P against Q: the record is in the batch with probability q, all others as they are.

    Poisson sampling turns a pair that dominates for removing a record into this one (Zhu, Dong, Wang 2022,
    arXiv:2106.08567, Thm 11), whatever the mechanism; for adding one, see `Reversed`.
    """

    law: Law
    sample_rate: float

    def masses(self, edges: Array) -> Masses:
        q = self.sample_rate
        inner, share, moved = self._sampled_loss(edges)
        found = self.law.masses(inner)
        p = (1.0 - q) * found.q + q * found.p
        return Masses(p, found.q, found.relative + 4.0 * EPS, share * found.moved + moved)

    @functools.cached_property
    def atoms(self) -> Atoms:
        found, q = self.law.atoms, self.sample_rate
        rows = [(self._loss(loss), (1.0 - q) * b + q * a, b) for loss, a, b in found.rows]
        if self.law.vanishing > 0.0 and q < 1.0:
            rows.append((math.log1p(-q), (1.0 - q) * self.law.vanishing, self.law.vanishing))
        return Atoms.of(rows, found.relative + ROUNDING)

    @property
    def infinite(self) -> float:
        return self.sample_rate * self.law.infinite

    @property
    def vanishing(self) -> float:
        return self.law.vanishing if self.sample_rate == 1.0 else 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        low, high = (self._loss(bound) for bound in self.law.bounds)
        if self.law.vanishing > 0.0 and self.sample_rate < 1.0:
            low = math.log1p(-self.sample_rate)
        return low, high

    @functools.cached_property
    def loss_off(self) -> float:
        """With M(l) = log(1 - q + q·e^l), |l|·M'(l) <= (1 + |l|)·|M(l)|: so much more than l is a loss off."""
        if self.sample_rate == 1.0:
            return self.law.loss_off
        ends = np.abs(np.append(self.law.atoms.loss, self.law.bounds))
        return ROUNDING + self.law.loss_off * (1.0 + float(np.max(ends[np.isfinite(ends)], initial=0.0)))

    def _loss(self, inner: float) -> float:
        """log(1 - q + q·e^inner), but for what `inner` is off to ROUNDING of itself."""
        q = self.sample_rate
        if q == 1.0 or inner == math.inf:
            return float(inner)
        # In the middle 1 - q + q·e^inner has no cancellation, near 1 its logarithm has none this way. Nor has it the
        # one of log q + inner, which is taken only where that is large.
        if inner > 2.0 * LARGEST_POWER:
            return math.log(q) + inner
        near = q * math.expm1(inner) if inner <= LARGEST_POWER else math.exp(0.5 * inner) * q * math.exp(0.5 * inner)
        if near > HUGE:
            return math.log(q) + inner
        return math.log1p(near) if near > -0.5 else math.log((1.0 - q) + q * math.exp(inner))

    def _sampled_loss(self, edges: Array) -> tuple[Array, Array, Array]:
        """log(1 + (e^l - 1)/q) for losses l, -inf where no loss is so low; dl/d(that), which is the probability of
        having been sampled; and by how much an l can be off.

        Its argument's rounding moves l by four units of |e^l - 1|·e^-l, or where 1 - q is subtracted, of 1 - q by e^-l,
        which is 1 at most; the logarithm's own rounding moves it by a unit of the result, times dl/d(result) <= 1.
        """
        q = self.sample_rate
        if q == 1.0:
            return edges, np.ones(len(edges)), np.zeros(len(edges))
        low = math.log1p(-q)
        safe = np.clip(edges, low, 40.0)
        with np.errstate(divide="ignore"):
            near = np.log1p(np.maximum(np.expm1(safe) / q, -1.0))
            deep = np.log(np.maximum(np.exp(safe) - (1.0 - q), 0.0) / q)
            inner = np.where(edges > 40.0, edges - math.log(q), np.where(safe > -0.5, near, deep))
        inner[edges <= low] = -math.inf
        finite = np.isfinite(inner)
        loss, seen = np.where(finite, edges, 0.0), np.where(finite, inner, 0.0)
        share = np.where(finite, np.exp(np.minimum(math.log(q) + seen - loss, 0.0)), 0.0)
        off = np.minimum(np.abs(np.expm1(np.minimum(loss, 1.0))) * np.exp(-np.minimum(loss, 0.0)), 2.0)
        moved = EPS * (8.0 * off + 4.0 * share * np.abs(seen) + np.where(loss > 40.0, 8.0 + np.abs(loss), 0.0))
        # Where rounding has put a loss at the lowest there is, or left it there, it may lie that much higher.
        lost = np.maximum(np.where(np.isfinite(edges), edges, low) - low, 0.0) + 4.0 * EPS * (1.0 + abs(low))
        return inner, share, np.where(finite, moved, np.where(np.isneginf(inner) & np.isfinite(edges), lost, 0.0))


@dataclass(frozen=True)
class Mixture(Law):
    """One of several steps, chosen by a coin that everybody sees: P = Σ w_i·P_i and Q = Σ w_i·Q_i on disjoint outcomes.

    parts: (w_i, law). The weights add up to 1. off: how far each may be off, relative; then no law has mass at ±inf.
    """

    parts: tuple[tuple[float, Law], ...]
    off: float = 0.0

    def __post_init__(self) -> None:
        total = math.fsum(weight for weight, _ in self.parts)
        if not (abs(total - 1.0) <= 1e-12 + self.off and all(weight > 0.0 for weight, _ in self.parts)):
            raise ValueError(f"weights={[weight for weight, _ in self.parts]} are not positive with a sum of 1")
        if self.off > 0.0 and any(law.infinite > 0.0 or law.vanishing > 0.0 for _, law in self.parts):
            raise ValueError("weights that are off, of a law with mass at infinity, which has to be exact")

    def masses(self, edges: Array) -> Masses:
        found = [(weight, law.masses(edges)) for weight, law in self.parts]
        p, q = (np.sum([w * part for w, part in sides], axis=0) for sides in _sides(found))
        relative = np.max([masses.relative for _, masses in found], axis=0) + (len(found) + 2.0) * EPS + self.off
        return Masses(p, q, relative, np.max([masses.moved for _, masses in found], axis=0))

    @functools.cached_property
    def atoms(self) -> Atoms:
        found = [(weight, law.atoms) for weight, law in self.parts]
        rows = [(loss, weight * p, weight * q) for weight, atoms in found for loss, p, q in atoms.rows]
        return Atoms.of(rows, max(atoms.relative for _, atoms in found) + 2.0 * EPS + self.off)

    @property
    def infinite(self) -> float:
        return math.fsum(weight * law.infinite for weight, law in self.parts)

    @property
    def vanishing(self) -> float:
        return math.fsum(weight * law.vanishing for weight, law in self.parts)

    @property
    def bounds(self) -> tuple[float, float]:
        ends = [law.bounds for _, law in self.parts]
        return min(low for low, _ in ends), max(high for _, high in ends)

    @property
    def loss_off(self) -> float:
        return max(law.loss_off for _, law in self.parts)

    def log_moment(self, tilt: float) -> float | None:
        logs = [law.log_moment(tilt) for _, law in self.parts]
        known = [math.log(weight) + log for (weight, _), log in zip(self.parts, logs, strict=True) if log is not None]
        return float(np.logaddexp.reduce(known)) if len(known) == len(logs) else None

    def characteristic(self, frequencies: Array) -> npt.NDArray[np.complex128] | None:
        found = [law.characteristic(frequencies) for _, law in self.parts]
        if any(part is None for part in found):
            return None
        total = sum(weight * part for (weight, _), part in zip(self.parts, found, strict=True) if part is not None)
        return np.asarray(total, dtype=np.complex128)


def _sides(found: list[tuple[float, Masses]]) -> list[list[tuple[float, Array]]]:
    return [[(weight, masses.p) for weight, masses in found], [(weight, masses.q) for weight, masses in found]]
