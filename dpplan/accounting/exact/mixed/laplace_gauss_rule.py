"""Stage 1: Gauss's rule for the density of Laplace losses, sampled and reversed too, with what it leaves out.

The density of the inner loss x under Q is e^(-(x + e)/2)/4 on (-e, e). With r(x) = 1 - q + q·e^x all transforms are

    G(w) = ∫ e^(-(x + e)/2)/4 · r(x)^w dx,   w = 1 + z for P = r·Q against Q, w = -z for the reverse,

and the integrand is analytic in |Im x| < π. On a panel, mapped to [-1, 1], a function that is at most M on the ellipse
with foci ±1 and semi-axes (ρ ± 1/ρ)/2 has Chebyshev coefficients of at most 2·M·ρ^-k. Gauss's rule of N nodes
integrates T_k exactly for k < 2N and for odd k; of any other T_k integral and rule are at most 2/15 and 2. So it errs
by at most 64/15·M·ρ^-2N/(1 - ρ^-2) (Trefethen 2008, SIAM Review 50, Thm 4.5). On the ellipse, |Im x| <= B < π/2:
cos B·r(Re x) <= |r(x)| <= r(Re x), and |arg r| is at most the angle that Im x = B makes at the largest Re x.
"""

import functools
import math

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import log_ratio
from dpplan.accounting.exact.contour.transform_integrand_bounds import angle
from dpplan.accounting.exact.mixed.law_as_points import ATOMS_ALONE, Points
from dpplan.accounting.numerics import Array
from dpplan.accounting.pairs.combined_laws import Mixture, Reversed, Subsampled
from dpplan.accounting.pairs.finite import DiscreteLaplaceLoss
from dpplan.accounting.pairs.laplace import LaplaceLoss
from dpplan.accounting.pairs.law import EPS, Law
from dpplan.quick_dataclass import dataclass

NODES = 32
MOST_ATOMS = 64  # of noise on whole numbers; of more, a lattice is as quick
# Half a panel is at most so long, and r^w turns and grows by at most e^TURNS over it: the rule then leaves less than
# e^-50 of the integral.
WIDEST, TURNS = 0.5, 15.0
RATIOS = np.geomspace(1.4, 400.0, 20)  # ρ of the ellipses that are tried
HIGHEST = 1.4  # of them: the largest |Im x|, below π/2
BITS, NEWTON_STEPS = 200, 7
RULE = 4.0 * EPS  # of a weight, relative (tests hold nodes and weights against mpmath)


@dataclass(frozen=True, slots=True)
class Density:
    """weight times the density of a sampled Laplace law. e: 1/scale. reversed: P and Q exchanged."""

    weight: float
    e: float
    rate: float
    reversed: bool

    def exponent(self, s: float) -> float:
        """Re w, for Re z = s."""
        return -s if self.reversed else 1.0 + s


def densities(law: Law) -> tuple[Density, ...] | None:
    """What of a law is no atom, part by part; None where it is of a kind that is not known here."""
    match law:
        case _ if isinstance(law, ATOMS_ALONE):
            return ()
        case DiscreteLaplaceLoss() if law.sensitivity < MOST_ATOMS:
            return ()
        case LaplaceLoss():
            return (Density(1.0, 1.0 / law.scale, 1.0, False),)
        case Reversed():
            inner = densities(law.law)
            return None if inner is None else tuple(Density(d.weight, d.e, d.rate, not d.reversed) for d in inner)
        case Subsampled():
            inner = densities(law.law)
            # Without sampling the reverse of the law is the law. A sampled one can be sampled again, its reverse not.
            if inner is None or any(d.reversed and d.rate < 1.0 for d in inner):
                return None
            return tuple(Density(d.weight, d.e, d.rate * law.sample_rate, False) for d in inner)
        case Mixture():
            parts = [(weight, densities(part)) for weight, part in law.parts]
            if any(part is None for _, part in parts):
                return None
            return tuple(
                Density(weight * d.weight, d.e, d.rate, d.reversed) for weight, part in parts for d in part or ()
            )
    return None


@functools.cache
def gauss() -> tuple[Array, Array]:
    """Nodes and weights of Gauss's rule, each the float nearest to it but for a rounding.

    By Newton's rule for the Legendre polynomial in whole numbers of 2^-BITS, from a start that is good to 1e-4.
    """
    one, places, weights = 1 << BITS, [], []
    for k in range(NODES):
        x = round(math.cos(math.pi * (k + 0.75) / (NODES + 0.5)) * 2.0**53) << (BITS - 53)
        for _ in range(NEWTON_STEPS):
            before, value = one, x  # P_0 and P_1
            for n in range(2, NODES + 1):
                before, value = value, ((2 * n - 1) * (x * value >> BITS) - (n - 1) * before) // n
            rest = one - (x * x >> BITS)  # 1 - x²
            slope = (NODES * (before - (x * value >> BITS)) << BITS) // rest
            x -= (value << BITS) // slope
        places.append(x / one)
        weights.append((2 * one << 2 * BITS) // (rest * (slope * slope >> BITS)) / one)
    return np.array(places), np.array(weights)


@dataclass(frozen=True, slots=True)
class Panels:
    """Equal panels that cover (-e, e); half: of one's width, at most."""

    half: float

    @classmethod
    def good_to(cls, tilt: float, u: float) -> "Panels":
        """Panels for transforms on Re z = tilt >= 0 up to |Im z| = u."""
        return cls(min(WIDEST, TURNS / (3.0 + tilt + u)))

    def count(self, e: float) -> int:
        return max(math.ceil(e / self.half), 1)

    def _centres(self, e: float) -> tuple[Array, float]:
        count = self.count(e)
        half = e / count
        return half * np.arange(1.0 - count, count, 2.0, dtype=np.float64), half

    def rule(self, law: LaplaceLoss) -> Points:
        """The nodes; a node off by its rounding is one of a density off by e^(half as much), at a loss off by it."""
        e = 1.0 / law.scale
        centres, half = self._centres(e)
        nodes, weights = gauss()
        x = (centres[:, None] + half * nodes).ravel()
        mass = np.tile(0.25 * half * weights, len(centres))
        p, q = mass * np.exp(0.5 * (x - e)), mass * np.exp(-0.5 * (x + e))
        relative = np.full(len(x), RULE + EPS * (24.0 + 8.0 * e))
        return Points(x, p, q, relative, np.full(len(x), 8.0 * EPS * e))

    def log_remainder(self, density: Density, s: float, u: float) -> float:
        """log of a bound on what the rule leaves out of E_P[e^(zL)] over this density, Re z = s and |Im z| <= u."""
        centres, half = self._centres(density.e)
        ratios = RATIOS[half * (RATIOS - 1.0 / RATIOS) <= 2.0 * HIGHEST]
        along, across = 0.5 * half * (ratios + 1.0 / ratios), 0.5 * half * (ratios - 1.0 / ratios)
        low, high = centres[:, None] - along, centres[:, None] + along
        q, a = np.array(density.rate), density.exponent(s)
        high_loss = log_ratio(high, q)
        power = a * high_loss if a >= 0.0 else a * (log_ratio(low, q) + np.log(np.cos(across)))
        share = np.exp(np.minimum(np.log(q) + high - high_loss, 0.0))
        size = power - 0.5 * (low + density.e) + u * angle(share, across + np.zeros_like(share))
        error = size - 2.0 * NODES * np.log(ratios) - np.log1p(-(ratios**-2.0))
        best = np.min(error, axis=1) + math.log(density.weight * half * 0.25 * 64.0 / 15.0)
        return float(np.logaddexp.reduce(best)) + 1e-9 * (1.0 + u + abs(a) * density.e)
