"""Laplace noise: P = Laplace(1, b), Q = Laplace(0, b), with b in units of how far one record moves the answer.

With e = 1/b the loss is e with P-mass 1/2, -e with P-mass e^-e/2, and has P-density e^((l - e)/2)/4 between.
"""

import functools
import math

import numpy as np

from dpplan.accounting.pairs.law import EPS, Array, Atoms, Law, Masses
from dpplan.quick_dataclass import dataclass


@dataclass(frozen=True)
class LaplaceLoss(Law):
    """scale: b. The other direction has the same law, by reflection."""

    scale: float

    def masses(self, edges: Array) -> Masses:
        e = 1.0 / self.scale
        inside = np.clip(edges, -e, e)
        grown = 0.5 * np.expm1(0.5 * np.diff(inside))
        p = np.exp(0.5 * (inside[:-1] - e)) * grown
        q = np.exp(-0.5 * (inside[1:] + e)) * grown
        relative = EPS * (8.0 + 2.0 * (np.abs(inside[:-1]) + np.abs(inside[1:]) + 2.0 * e))
        return Masses(p, q, relative, np.full(len(edges), 2.0 * EPS * e))

    @functools.cached_property
    def atoms(self) -> Atoms:
        e = 1.0 / self.scale
        low = 0.5 * math.exp(-e)
        return Atoms(np.array([-e, e]), np.array([low, 0.5]), np.array([0.5, low]), EPS * (8.0 + 2.0 * e))

    @property
    def bounds(self) -> tuple[float, float]:
        return -1.0 / self.scale, 1.0 / self.scale

    def log_moment(self, tilt: float) -> float:
        """log of ((t + 1)e^(te) + t·e^(-(t + 1)e)) / (2t + 1), for t > -1/2; by symmetry below."""
        t = max(tilt, -1.0 - tilt)
        e = 1.0 / self.scale
        if t + 0.5 < 1e-6:  # second order in t + 1/2 is left out
            return math.log1p(0.5 * e) - 0.5 * e
        return t * e + math.log(((t + 1.0) + t * math.exp(-(2.0 * t + 1.0) * e)) / (2.0 * t + 1.0))

    def characteristic(self, frequencies: Array) -> np.ndarray[tuple[int, ...], np.dtype[np.complex128]]:
        e, z = 1.0 / self.scale, 1j * frequencies
        return np.asarray(((z + 1.0) * np.exp(z * e) + z * np.exp(-(z + 1.0) * e)) / (2.0 * z + 1.0))
