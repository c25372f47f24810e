"""The law of the privacy loss of one step in one direction: two measures P and Q, seen through L = log dP/dQ.

P is the law under the data that hold the numerator, Q under their neighbour. Neither needs a density: a law may have
atoms at points, mass of P where Q has none (loss +inf) and mass of Q where P has none (loss -inf).

A new law is a subclass of `Law` with `masses`, and of the rest only what differs from "no atoms, nothing at infinity,
losses anywhere". It states its own rounding, so that an engine can round outward and certify.
"""

import abc
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpplan.quick_dataclass import dataclass

Array = npt.NDArray[np.float64]

EPS = 2.0**-52
ROUNDING = 8.0 * EPS  # of a figure that a few elementary functions make
LOSS_OFF = 4.0 * EPS  # of a loss that is as exact as a float can be


@dataclass(frozen=True, eq=False)
class Masses:
    """P- and Q-mass between successive losses, [interval], each without cancellation.

    relative: bounds on the relative error of each. moved: how far the losses at which the intervals really begin and
    end may lie from those asked for, [edge]; both measures are taken over the same intervals.
    """

    p: Array
    q: Array
    relative: Array
    moved: Array


@dataclass(frozen=True, eq=False)
class Atoms:
    """Outcomes of positive mass: their losses, rising, and their masses, with `relative` bounding the error of each.

    p = q·e^loss, and `loss` is off by no more than the law's `loss_off`.
    """

    loss: Array
    p: Array
    q: Array
    relative: float = ROUNDING

    @classmethod
    def of(cls, rows: Sequence[tuple[float, float, float]], relative: float = ROUNDING) -> "Atoms":
        """From (loss, p, q)."""
        table = np.array(sorted(rows), dtype=np.float64).reshape(-1, 3)
        loss, p, q = (np.ascontiguousarray(column) for column in table.T)
        return cls(loss, p, q, relative)

    @property
    def rows(self) -> list[tuple[float, float, float]]:
        """(loss, p, q) of each."""
        return list(zip(self.loss.tolist(), self.p.tolist(), self.q.tolist(), strict=True))


class Law(abc.ABC):
    """One direction's loss of one step. Subclasses are frozen and compare by value, so that equal steps are merged."""

    @abc.abstractmethod
    def masses(self, edges: Array) -> Masses:
        """Of the part without atoms, between successive `edges`: rising losses, the outer ones perhaps infinite."""

    @property
    def atoms(self) -> Atoms:
        """Point masses at finite losses."""
        return Atoms.of([])

    @property
    def infinite(self) -> float:
        """P-mass at loss +inf, to ROUNDING."""
        return 0.0

    @property
    def vanishing(self) -> float:
        """Q-mass at loss -inf, to ROUNDING."""
        return 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """No finite loss, atoms included, is outside of these, but for `loss_off` of them."""
        return -math.inf, math.inf

    @property
    def loss_off(self) -> float:
        """How far an atom's loss, and each of the bounds, may be from the one meant, relative."""
        return LOSS_OFF

    @property
    def spacing(self) -> float | None:
        """What the losses of all atoms differ by multiples of, where they do."""
        return None

    def log_moment(self, tilt: float) -> float | None:
        """log E_P[e^(tilt·L)] in closed form, to about 1e-13 relative; None where there is no such form."""
        return None

    def characteristic(self, frequencies: Array) -> npt.NDArray[np.complex128] | None:
        """E_P[e^(iuL)] in closed form; None where there is no such form."""
        return None


def log_ratio(p: float, q: float) -> float:
    """log(p/q) to a few units in its last place, also where p/q is near 1 or no float; p, q > 0."""
    if abs(p - q) < 0.5 * q:
        return math.log1p((p - q) / q)
    ratio = p / q if p < 1e300 * q else math.inf
    return math.log(ratio) if 1e-300 < ratio < math.inf else math.log(p) - math.log(q)  # which is far from 0 then


def nothing(edges: Array) -> Masses:
    """The masses of a law that is all atoms."""
    none = np.zeros(len(edges) - 1)
    return Masses(none, none, none, np.zeros(len(edges)))
