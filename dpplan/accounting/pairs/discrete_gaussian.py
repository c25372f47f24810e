"""The discrete Gaussian's law, and the pairs of a phase of it.

On one number that neighbours move by u <= Δ, both whole, dP/dQ rises along the line: the best events are half-lines,
whose P-mass rises with u while their Q-mass stays. So u = Δ is worst, in either direction by reflection, and realised.
Several numbers with noise of their own are a product of such releases, so that each may be moved as far as is declared,
and is in the worst case. Where the Euclidean length of the change alone is known, no single change is worst (of squared
length 5, the changes (2, 1) and (1, 1, 1, 1, 1) change order with σ and ε, and the continuous Gaussian is below either
somewhere): then there is ρ = Δ²/(2σ²) (Canonne, Kamath, Steinke 2020, arXiv:2004.00010, Thm 14), and no pair.
"""

import dataclasses
import functools
import math
from collections import Counter
from typing import Literal

import numpy as np

from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs.dominating import DominatingPair, subsampled
from dpplan.accounting.pairs.epochs import Terms
from dpplan.accounting.pairs.finite import OnAtoms
from dpplan.accounting.pairs.law import EPS, Atoms
from dpplan.adjacency import REPLACE_ONE, Adjacency
from dpplan.errors import NotApplicable
from dpplan.mechanism.discrete_gaussian import DiscreteGaussian
from dpplan.plan import Phase
from dpplan.quick_dataclass import dataclass
from dpplan.sampling import Poisson

REACH = 37.0  # in units of σ, of the outcomes that are kept: beyond lies e^-684 of the mass, which is below FAR
FAR = 1e-290
BEYOND = 16.0 * FAR  # more than all outcomes that are not looked at have together
MOST = 640.0  # a loss that floats hold with the masses at it


@dataclass(frozen=True)
class DiscreteGaussianLoss(OnAtoms):
    """noise_scale: σ. shift: Δ, whole. The loss of outcome x is Δ(2x - Δ)/(2σ²); P is the noise around Δ, Q around 0.

    side: an outcome that floats hold under one of the two alone reveals all, from above; from below its loss is
    MOST, which is less than it is, or it is left out, where it is Q's. The other direction has the same law, by
    reflection.
    """

    noise_scale: float
    shift: int
    side: Literal["above", "below"]

    @functools.cached_property
    def _table(self) -> tuple[Atoms, float, float]:
        """The atoms; from above, the masses of P and of Q at outcomes that are none."""
        sigma, far = self.noise_scale, math.ceil(REACH * self.noise_scale)
        weights = _weights(np.arange(-far - self.shift, far + self.shift + 1), sigma)
        weights /= math.fsum(weights.tolist())
        outcomes = np.arange(-far, far + self.shift + 1)
        q = weights[self.shift :]
        p = weights[: len(outcomes)]
        loss = (self.shift * (2 * outcomes - self.shift)) / (2.0 * sigma * sigma)
        largest = (far + self.shift) ** 2 / (2.0 * sigma * sigma)
        relative = EPS * (32.0 + 8.0 * largest)
        if self.side == "below":
            inner, far_up = (p > FAR) & (loss < MOST), (p > FAR) & (loss >= MOST)
            loss, p = loss[inner], p[inner]
            if far_up.any():
                loss = np.append(loss, MOST)
                p = np.append(p, math.fsum(weights[: len(outcomes)][far_up].tolist()))
            return Atoms(loss, p, p * np.exp(-loss), relative + outward.MANY * far_up.any()), 0.0, 0.0
        kept = (p > FAR) & (q > FAR)
        lost_p, lost_q = (
            outward.up(math.fsum(mass[~kept].tolist()), relative + outward.MANY) + BEYOND for mass in (p, q)
        )
        return Atoms(loss[kept], p[kept], q[kept], relative), min(lost_p, 1.0), min(lost_q, 1.0)

    @property
    def atoms(self) -> Atoms:
        return self._table[0]

    @property
    def infinite(self) -> float:
        return self._table[1]

    @property
    def vanishing(self) -> float:
        return self._table[2]

    def log_moment(self, tilt: float) -> float | None:
        return None  # ρ·a says as much, to a digit that nobody sees


def _weights(
    places: np.ndarray[tuple[int, ...], np.dtype[np.int64]], sigma: float
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    scaled = places / sigma
    return np.asarray(np.exp(-0.5 * scaled * scaled))


def one_number(noise_scale: float, shift: int) -> DominatingPair:
    """One whole number that neighbours move by `shift` at most."""
    law = DiscreteGaussianLoss(noise_scale, shift, "above")
    theorem = "discrete Gaussian noise on a whole number: half-lines are optimal, and the whole shift worst"
    below = dataclasses.replace(law, side="below")
    return DominatingPair(law, law, theorem, realised=(DominatingPair(below, below, theorem, dominates=False),))


def discrete_gaussian_terms(phase: Phase, adjacency: Adjacency) -> Terms:
    """The pairs of a phase, one for each size of a change."""
    mechanism, scheme = phase.mechanism, Poisson.of(phase.sampling)
    assert isinstance(mechanism, DiscreteGaussian)  # PHASE_PAIRS goes by exact type
    if mechanism.l2_sensitivity is not None:
        raise NotApplicable(
            "discrete Gaussian noise on several numbers has no worst change where only its length is known (the "
            "continuous Gaussian is no upper bound). Give differences, or ask --accountant rdp of dpplan epsilon or "
            "delta"
        )
    if scheme.sample_rate != 1.0 and adjacency == REPLACE_ONE:
        raise NotApplicable(
            "discrete-gaussian under Poisson sampling is known where a record is added or removed or zeroed out, and "
            "here it is replaced. Try --adjacency add-remove or zero-out, or no sampling"
        )
    sizes = Counter(each for each in mechanism.differences if each) or Counter([mechanism.sensitivity])
    if scheme.sample_rate != 1.0 and sum(sizes.values()) > 1:
        raise NotApplicable(
            "discrete-gaussian on several numbers is known without sampling: a batch that is drawn moves all of them "
            "at once. Give one number, or no sampling"
        )
    return tuple(
        (subsampled(one_number(mechanism.noise_scale, size), scheme.sample_rate), count * phase.steps)
        for size, count in sorted(sizes.items())
    )
