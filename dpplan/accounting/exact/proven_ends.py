"""A figure between two proven ends, with what proved them."""

import math
from dataclasses import field, replace

from dpplan.accounting.exact.contour.delta_interval import Contour
from dpplan.accounting.exact.gaussian_lattice.composition import LatticeComposition
from dpplan.accounting.exact.gaussian_two_steps import TwoSteps
from dpplan.quick_dataclass import dataclass

AnyContour = Contour | LatticeComposition | TwoSteps


@dataclass(frozen=True, slots=True)
class Ends:
    """lower <= value <= upper; terms: what the width is made of; contour: None where a closed form was used."""

    lower: float
    upper: float
    method: str
    terms: tuple[tuple[str, float], ...] = ()
    contour: AnyContour | None = field(default=None, compare=False)

    def joined(self, other: "Ends") -> "Ends":
        """The larger of two quantities, each between its ends; details are those of the one that decides."""
        leading = self if self.upper >= other.upper else other
        return replace(leading, lower=max(self.lower, other.lower), upper=max(self.upper, other.upper))

    def narrowed(self, other: "Ends") -> "Ends":
        """One quantity between the ends of two proofs; details are those of the narrower one."""
        leading = other if other.relative_width < self.relative_width else self
        return replace(leading, lower=max(self.lower, other.lower), upper=min(self.upper, other.upper))

    @property
    def relative_width(self) -> float:
        """inf where nothing is known; 0 for the single point 0."""
        if self.upper <= 0.0:
            return 0.0
        return (self.upper - self.lower) / self.upper if math.isfinite(self.upper) else math.inf
