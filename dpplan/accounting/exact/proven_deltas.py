"""What is known of δ at any ε, from what was proven at some: made where it is wide, and no more often than that.

A contour or a lattice that was put near one ε proves an interval at every other (delta_interval, composed), if a wide
one far away. So one is made only where those at hand are wide, and all later questions are answered from what is there.
"""

import math
from collections.abc import Callable
from dataclasses import field
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dpplan.accounting.exact.contour.rare_jumps import small_epsilon
from dpplan.accounting.numerics import Array, outward
from dpplan.quick_dataclass import dataclass

# An interval this narrow, relative or absolute, is taken as it is, or one that is at most LOST times as wide as where
# its contour was put, or LOST_OF_WIDE times if that is WIDE; another is made where it is wider, until there are MOST or
# one is not narrower than GAINED times what was known there.
NARROW, LEAST_WIDTH, MOST = 1e-7, 1e-15, 24
LOST, LOST_OF_WIDE, WIDE, POOR, GAINED = 10.0, 2.0, 2e-4, 1e-5, 0.5
# From a δ that near to 1 on, what is left to 1 says enough of it at every larger ε.
NEARLY_ONE, MANY_UNITS = 1.0 - 1e-12, 16.0 * outward.UNIT
_QUIET: dict[str, Any] = {"over": "ignore", "under": "ignore", "invalid": "ignore", "divide": "ignore"}
ManyEnds = tuple[Array, Array]
Flags = npt.NDArray[np.bool_]
At = Callable[[Array], ManyEnds]


class Width(NamedTuple):
    """Of an interval of δ that need not be narrower: as such, e^(growth·ε) times as wide at ε, or as a share of δ.

    dominating: whether an upper end is all that is wanted. Both ends are then those of what dominates the plan, of
    which the upper one alone bounds the truth; its own lower end, which may be of another law, costs as much again.
    drawn: whether a curve is all that is drawn of it, so that what is not narrow enough for anything else serves too.
    """

    absolute: float = LEAST_WIDTH
    relative: float = NARROW
    growth: float = 0.0
    dominating: bool = False
    drawn: bool = False

    def at(self, epsilon: float) -> float:
        """The absolute one."""
        return self.absolute * math.exp(self.growth * epsilon)

    def serves(self, place: "Place") -> bool:
        """Whether that is about as narrow, for an upper end."""
        width = place.upper - place.lower
        return self.dominating and width <= 2.0 * max(self.at(place.epsilon), self.relative * place.upper)


NARROWEST = Width()
KNOWN = Width(absolute=math.inf)  # whatever the places at hand prove: none is made
KNOWN_ABOVE = Width(absolute=math.inf, dominating=True)  # likewise, of what dominates
TO_THE_LAST = Width(absolute=0.0)  # for whoever wants digits of a δ that is smaller than any width


@dataclass(frozen=True)
class Place:
    """What was proven at one ε, and what the contour or lattice that did it proves elsewhere: None without one.

    real: whether that holds at negative ε too, where it is told what the other direction's δ is: 1 - e^ε·(1 - δ(-ε)).
    aim: the relative width that was aimed at, of a lattice: one of less is still worth a try, and a contour.
    drawn: whether only those hear of it who draw a curve: to others it would spare contours that they need.
    """

    epsilon: float
    lower: float
    upper: float
    at: At | None = None
    real: bool = False
    aim: float = 0.0
    drawn: bool = False

    @property
    def width(self) -> float:
        return (self.upper - self.lower) / self.upper if self.upper > 0.0 else 0.0

    def mirrored(self) -> "Place | None":
        """What it says of the other direction."""
        at = self.at
        if at is None or not self.real:  # but δ(0) is of both; another place there is still worth a try
            return Place(0.0, self.lower, self.upper, aim=math.inf) if self.epsilon == 0.0 else None

        return Place(math.inf, 0.0, 1.0, partial(small_epsilon.mirrored, at=at))


@dataclass
class OneDirection:
    """δ of one direction. make: what can be proven at an ε, where intervals as wide as that will do. other: the reverse
    direction, where its places say something of this one. most: from this ε on δ is 0."""

    make: Callable[[float, Width], Place]
    other: "OneDirection | None" = field(default=None, repr=False)
    most: float = math.inf
    floor: Callable[[Array], Array] | None = field(default=None, repr=False)
    _places: list[Place] = field(default_factory=list)
    # An ε from which on another place is no narrower than what is known, and the width that was aimed at there.
    _hopeless: tuple[float, float] = (math.inf, 0.0)

    def __call__(self, epsilons: Array, enough: Width = NARROWEST) -> ManyEnds:
        """lower <= δ(ε) <= upper, before the floor, at each of these ε >= 0. enough: where no more places are made."""
        makes = math.isfinite(enough.absolute)
        enough = enough if makes else NARROWEST._replace(dominating=enough.dominating, drawn=enough.drawn)
        with np.errstate(**_QUIET):
            found = _Found.of(epsilons, self.most, enough)
            middle = float(np.mean(epsilons))
            for place in sorted(self._told(enough), key=lambda each: abs(each.epsilon - middle)):
                found.take(place)
            for place in self.other._told(enough) if self.other else ():
                found.take(place.mirrored())
            found.take_chord(self.most)
            if self.floor is not None and enough.dominating:
                found.take_floor(self.floor)
            # Beyond its place a contour's interval becomes wide for δ, if narrower ever: the least ε comes first.
            while makes and (at := found.next(self._hopeless_from(enough))) is not None and len(self._places) < MOST:
                known = found.width(at)
                place = self._made(float(epsilons[at]), found)
                if len(self._places) > 1 and place.width > GAINED * known and not place.aim:
                    self._hopeless = place.epsilon, place.aim
        return found.lower[:-1], found.upper[:-1]

    def _told(self, enough: Width) -> list[Place]:
        return [place for place in self._places if enough.drawn or not place.drawn]

    def _hopeless_from(self, enough: Width) -> float:
        return self._hopeless[0] if self._hopeless[1] <= enough.relative else math.inf

    def _made(self, epsilon: float, found: "_Found") -> Place:
        """Another place; where it is poor or says nothing elsewhere, with one of the other direction, as both have the
        same δ at 0."""
        place = self.make(epsilon, found.enough)
        self._places.append(place)
        lone = place.at is None and place.upper > 0.0 and place.lower < NEARLY_ONE
        poor = place.width > max(POOR, found.enough.relative) and not found.enough.serves(place)
        if self.other is not None and not self.other._places and (lone or poor):
            self.other._places.append(self.other.make(0.0, found.enough))
            found.take(self.other._places[0].mirrored())
        found.take(place)
        found.take_chord(self.most)
        return place


class _Found:
    """What is known of δ at some ε and, last of all, at 0, and where that is not yet narrow."""

    def __init__(self, epsilons: Array, lower: Array, upper: Array, enough: Width) -> None:
        self.epsilons, self.lower, self.upper, self.enough = epsilons, lower, upper, enough
        self.absolute = enough.absolute * np.exp(enough.growth * epsilons)
        self.good, self.tried = self.narrow(enough.relative), np.zeros(len(epsilons), bool)
        self.tried[-1] = True

    @classmethod
    def of(cls, epsilons: Array, most: float, enough: Width) -> "_Found":
        """At these ε; most: where δ is 0."""
        asked = np.append(epsilons, 0.0)
        return cls(asked, np.zeros(len(asked)), np.where(asked < most, 1.0, 0.0), enough)

    def next(self, most: float) -> int | None:
        """The number of the least ε, less than `most`, at which another place may help."""
        left = np.flatnonzero(~self.good & ~self.tried & (self.epsilons < most))
        return int(left[np.argmin(self.epsilons[left])]) if len(left) else None

    def narrow(self, share: float) -> Flags:
        """Whether an interval is as narrow as it has to be, or as this share of δ."""
        return np.asarray(self.upper - self.lower <= np.maximum(self.absolute, share * self.upper))

    def width(self, at: int) -> float:
        """Of number `at`, relative."""
        return float((self.upper[at] - self.lower[at]) / self.upper[at]) if self.upper[at] > 0.0 else 0.0

    def take(self, place: Place | None) -> None:
        """With what is proven there."""
        asked = ~self.good
        if place is None or not asked.any():
            return
        # δ never rises with ε: what holds at one place says something on either side of it.
        np.maximum(self.lower, place.lower, out=self.lower, where=self.epsilons <= place.epsilon)
        np.minimum(self.upper, place.upper, out=self.upper, where=self.epsilons >= place.epsilon)
        # Nor does (1 - δ)·e^-ε: it is the least of P(not S)·e^-ε + Q(S) over all events S.
        way = self.epsilons - place.epsilon
        floor = 1.0 - (1.0 - place.lower) * np.exp(way) - MANY_UNITS * (1.0 + np.abs(way))
        np.maximum(self.lower, floor, out=self.lower, where=(way >= 0.0) & (floor <= self.upper))
        if place.at is not None:
            low, high = place.at(self.epsilons[asked])
            sound = low <= high  # not where either is NaN
            self.lower[asked] = np.maximum(self.lower[asked], np.where(sound, low, 0.0))
            self.upper[asked] = np.minimum(self.upper[asked], np.where(sound, high, 1.0))
        tried = place.aim <= self.enough.relative
        lost = 0.0 if place.at is None or not tried else LOST if place.width < WIDE else LOST_OF_WIDE
        share = max(self.enough.relative, lost * place.width if place.width < 1.0 else 0.0)
        self.good |= self.narrow(share)
        if tried:
            self.tried |= self.epsilons == place.epsilon

    def take_floor(self, floor: Callable[[Array], Array]) -> None:
        """With what bounds δ from below."""
        least = floor(self.epsilons)
        np.maximum(self.lower, least, out=self.lower, where=least <= self.upper)

    def take_chord(self, most: float) -> None:
        """δ is convex in e^ε, and 0 at `most`: below the chord from ε = 0 to there."""
        if not 0.0 < most < math.inf:
            return
        chord = outward.up(self.upper[-1] * np.expm1(self.epsilons - most) / math.expm1(-most), outward.MANY)
        np.minimum(self.upper, chord, out=self.upper, where=(self.epsilons < most) & (self.lower <= chord))
        self.good |= self.narrow(self.enough.relative)
