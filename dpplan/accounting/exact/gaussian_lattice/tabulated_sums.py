"""delta(ε) of a composed lattice at any number of ε, from one transform instead of one sum over all frequencies each.

The sum of composition.py at an ε whose first lattice point is number n, a gap g beyond it, is A(g)·V_n + B(g)·V_(n+1):

    Re Σ_k w_k·φ(u_k)^T·e^(iθ_k·n)·[(1 - e^-g) + e^-g·(1 - e^(g-h))·e^(iθ_k - t·h)]·near_k
    V_n = Re Σ_k w_k·φ(u_k)^T·near_k·e^(iθ_k·n),    A(g) = 1 - e^-g,    B(g) = e^-g·(1 - e^(g-h))·e^(-t·h)

and all V are one inverse transform. A and B are not negative, so that the bracket is at most A + B in size, and with
E_k the error bound of φ(u_k)^T, the sum is off by (A + B)·Σ_k w_k·(E_k + rounding·|φ(u_k)|^T)·|near_k| at most. Of the
rounding, the transform's is that of a tree of log2(N) levels over all inputs, each of four roundings or less.
"""

import math

import numpy as np

from dpplan.accounting.exact.contour.transform_quadrature import EPS
from dpplan.accounting.numerics import Array, ComplexArray
from dpplan.quick_dataclass import dataclass

PRODUCTS = 64.0  # in EPS: functions and products on the way, as in the sum over frequencies


@dataclass(frozen=True)
class TabulatedSums:
    """V, [lattice point modulo the period]; error: of each; size, fall: Σ w·|φ^T| times |near| and |far|."""

    values: Array
    error: float
    size: float
    fall: float

    @classmethod
    def of(
        cls, composed: ComplexArray, errors: Array, weights: Array, near: ComplexArray, far: ComplexArray
    ) -> "TabulatedSums":
        """weights: w, 2/N but for 1/N at both ends, which is what an inverse transform of real values gives each."""
        points = 2 * (len(composed) - 1)
        sizes = weights * np.abs(composed)
        reach = np.abs(near)
        size = float((sizes * reach).sum())
        rounding = EPS * (PRODUCTS + 5.0 * math.log2(points))
        error = float((weights * errors * reach).sum()) + rounding * size
        return cls(np.fft.irfft(composed * near, points), error, size, float((sizes * np.abs(far)).sum()))

    def at(self, point: int, gap: float, h: float, tilt: float, place: float) -> tuple[float, float]:
        """The sum for an ε that lies `gap` before this lattice point, and its error; place: the error of ε."""
        here = -math.expm1(-gap)
        beyond = math.exp(-gap) * -math.expm1(min(gap - h, 0.0)) * math.exp(-tilt * h)
        size = len(self.values)
        value = here * float(self.values[point % size]) + beyond * float(self.values[(point + 1) % size])
        kernel = here + beyond
        moved = place * (math.exp(-gap) * self.fall + (1.0 + tilt) * kernel * self.size)
        return value, kernel * self.error + moved
