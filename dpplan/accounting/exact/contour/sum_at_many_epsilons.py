"""A contour sum at many ε at once: Re Σ_k w_k·e^(-iu_k·ε) for u_k = k·h, by products of matrices.

With k = a·B + b, B a power of two, e^(-iu_k·ε) = e^(-ia(hB)·ε)·e^(-ib·h·ε): of K frequencies A + B exponentials are
taken for each ε, A·B >= K, and the sums over a, of all ε together, are one product of matrices.

Rounding, in u = 2^-53, relative to Σ|w_k|. h·B is exact; a(hB), b·h and their products with ε are off by 2u of
themselves, so that the phases of a term are off by 2u·u_k·ε together, as in a sum term by term, where it is counted.
Beyond that the exponentials are off by 4u each in either part. A sum of A complex products, in whichever order they are
added, is off by 2A·u of the sizes in either part, so by 2√2·A·u, and the real sum over b by (B + 2)u. All that is less
than (3A + 2B + 24)u, of which twice as much is counted.
"""

import math
from typing import cast

import numpy as np

from dpplan.accounting.exact.contour.transform_quadrature import EPS
from dpplan.accounting.numerics import Array, ComplexArray

MOST_VALUES = 2**18  # of one matrix of exponentials


def real_sums(weights: ComplexArray, h: float, epsilons: Array) -> tuple[Array, float]:
    """The sums, [ε], and a bound on their rounding but for that of u·ε, in units of Σ|w|."""
    inner = 2 ** math.ceil(0.5 * math.log2(len(weights)))
    outer = -(-len(weights) // inner)
    table = np.zeros(outer * inner, complex)
    table[: len(weights)] = weights
    table = table.reshape(outer, inner)
    rows = max(MOST_VALUES // (outer + inner), 1)
    parts = [_block(table, h, epsilons[at : at + rows]) for at in range(0, len(epsilons), rows)]
    return np.concatenate(parts) if parts else np.zeros(0), EPS * (3.0 * outer + 2.0 * inner + 24.0)


def _block(table: ComplexArray, h: float, epsilons: Array) -> Array:
    outer, inner = table.shape
    far = _turns(h * inner, outer, epsilons) @ table
    near = _turns(h, inner, epsilons)
    return np.asarray((near.real * far.real - near.imag * far.imag).sum(axis=1))


def _turns(step: float, size: int, epsilons: Array) -> ComplexArray:
    """e^(-ik·step·ε), [ε, k]."""
    return cast(ComplexArray, np.exp(-1j * (epsilons[:, None] * (step * np.arange(size, dtype=np.float64)))))
