"""One record replaced by another: both neighbours hold one, and both hide it among the others."""

import functools
import math

import numpy as np

from dpplan.accounting.pairs.law import EPS, Array, Atoms, Law, Masses
from dpplan.accounting.pairs.unsampled_gaussian import nearest, normal_masses
from dpplan.quick_dataclass import dataclass


@dataclass(frozen=True)
class ReplacedGaussianLoss(Law):
    """P = (1 - q)·N(0, σ²) + q·N(1, σ²) against Q = (1 - q)·N(0, σ²) + q·N(-1, σ²).

    noise_multiplier: σ, in units of the clip norm. sample_rate: q in (0, 1].

    The loss L(x) = log((1 - q) + q·e^((2x - 1)/2σ²)) - log((1 - q) + q·e^((-2x - 1)/2σ²)) is odd and rises with x, and
    x = σ²·(asinh(α·sinh(L/2)) + L/2) with α = e^(1/2σ²)·(1 - q)/q. The reflection of x exchanges P and Q, so both
    directions have one law.
    """

    noise_multiplier: float
    sample_rate: float

    def masses(self, edges: Array) -> Masses:
        sigma, q = self.noise_multiplier, self.sample_rate
        x, moved = self._places(edges)
        none, up, down = (normal_masses(x, mean, sigma) for mean in (0.0, 1.0, -1.0))
        # A place is known to three roundings, and a tail's logarithm moves by its hazard rate, at most 1 + place.
        far = np.max([nearest(x - mean) for mean in (0.0, 1.0, -1.0)], axis=0) / sigma
        relative = EPS * (64.0 + 24.0 * far * far)
        return Masses((1.0 - q) * none + q * up, (1.0 - q) * none + q * down, relative, moved)

    def _places(self, edges: Array) -> tuple[Array, Array]:
        """x of each loss, and how far off the loss may be that x really belongs to.

        log α is known to a few units of its two terms, which asinh passes on at most whole, as it does the rounding of
        sinh; x then has its own rounding, and dL/dx <= 2/σ².
        """
        variance, q = self.noise_multiplier**2, self.sample_rate
        finite = np.isfinite(edges)
        half = np.where(finite, 0.5 * edges, 0.0)
        if q == 1.0:
            rise, known = np.zeros(len(edges)), 0.0
        else:
            sampled = math.log1p(-q) - math.log(q)
            log_alpha, known = 0.5 / variance + sampled, 0.5 / variance + abs(math.log1p(-q)) + abs(math.log(q))
            size = np.abs(half)
            with np.errstate(divide="ignore"):  # sinh(0) = 0
                log_argument = log_alpha + np.where(size < 1.0, np.log(np.sinh(np.minimum(size, 1.0))), _log_sinh(size))
            # asinh(y) = log(2y) up to 1/(4y²), below a rounding for y > e^20.
            small = np.arcsinh(np.exp(np.minimum(log_argument, 20.0)))
            rise = np.sign(half) * np.where(log_argument > 20.0, log_argument + math.log(2.0), small)
        x = np.where(finite, variance * (rise + half), edges)
        off = EPS * (32.0 + 8.0 * known + 16.0 * np.abs(half) + 16.0 * np.abs(rise))
        return x, np.where(finite, 2.0 * off, 0.0)


def _log_sinh(size: Array) -> Array:
    """log sinh for arguments of at least 1."""
    large = np.maximum(size, 1.0)
    return large + np.log1p(-np.exp(-2.0 * large)) - math.log(2.0)


@dataclass(frozen=True)
class Mirrored(Law):
    """The law whose curve is that of `law` for ε >= 0, and its own mirror image: losses above 0 as they are, each with
    its reflection below 0, and the rest of the mass at 0.

    law: without atoms. Where a neighbour relation is symmetric, H_a(P||Q) and H_a(Q||P) have the same supremum over all
    neighbours; a bound on it for a >= 1 gives one for a < 1 by H_a(P||Q) = a·H_{1/a}(Q||P) + 1 - a, and both together
    are the curve of this law: density f(l) above 0, e^l·f(-l) below, an atom for the rest.
    """

    law: Law

    def masses(self, edges: Array) -> Masses:
        """P of losses below 0 is Q of those above, and the reverse."""
        split = np.unique(np.append(edges, 0.0))
        above, below = split[split >= 0.0], -split[split <= 0.0][::-1]
        right, left = self.law.masses(above), self.law.masses(below)
        p, q = (np.concatenate((one[::-1], other)) for one, other in ((left.q, right.p), (left.p, right.q)))
        relative = np.concatenate((left.relative[::-1], right.relative))
        moved = np.concatenate((left.moved[::-1], right.moved[1:]))
        if len(split) == len(edges):
            return Masses(p, q, relative, moved)
        # 0 was no edge: the interval around it is the sum of its two parts.
        at = int(np.searchsorted(edges, 0.0)) - 1  # of the interval that holds 0
        if at < 0 or at >= len(edges) - 1:
            keep = slice(1, None) if at < 0 else slice(0, -1)
            return Masses(p[keep], q[keep], relative[keep], moved[keep])
        return Masses(
            np.concatenate((p[:at], [p[at] + p[at + 1]], p[at + 2 :])),
            np.concatenate((q[:at], [q[at] + q[at + 1]], q[at + 2 :])),
            np.concatenate((relative[:at], [max(relative[at], relative[at + 1]) + EPS], relative[at + 2 :])),
            np.delete(moved, at + 1),
        )

    @functools.cached_property
    def atoms(self) -> Atoms:
        """What is left at loss 0, the same under both measures."""
        whole = self.law.masses(np.array([0.0, math.inf]))
        p, q = float(whole.p[0]), float(whole.q[0])
        rest = 1.0 - p - q - self.law.infinite
        # Each part is off by `relative` of itself, and by what lies as near to 0 as 0's own place may be off.
        near = 2.0 * float(whole.moved[0]) + 1e-300
        unclear = self.law.masses(np.array([-near, near]))
        off = (p + q) * float(whole.relative[0]) + 2.0 * float(unclear.p[0] + unclear.q[0]) + 2.0 * EPS
        rest = max(rest, off)  # from above all that it may be; from below, with all of it in doubt, nothing
        return Atoms.of([(0.0, rest, rest)], min(off / rest, 1.0))

    @property
    def infinite(self) -> float:
        return self.law.infinite

    @property
    def vanishing(self) -> float:
        return self.law.infinite

    @property
    def bounds(self) -> tuple[float, float]:
        high = self.law.bounds[1]
        return -high, high

    @property
    def loss_off(self) -> float:
        return self.law.loss_off
