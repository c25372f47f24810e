"""Stage 2, compose, for rare jumps: the paths without one, as a measure for a contour of its own.

Every step's law is cut smoothly at `end`, as in runs_with_a_jump.py, and what is left is composed as it stands: ΠG^n
with the bulk's transform G of step_law.py. Its modulus is bounded as for the whole law (tail_decay.py), which asks two
things of a weight c: that it falls and that log c is concave. c = exp(-e^g) with g linear in x does both. What lies
right of the nodes adds to the variation of the density of the loss at most what RareLaw.log_variation says.

It serves where ordinary paths and jumps are of like weight, or where the whole law has no tilt that losses too large
to matter would not outweigh.
"""

from functools import cached_property

import numpy as np

from dpplan.accounting.exact.contour.composed_loss import Line, unit_of
from dpplan.accounting.exact.contour.privacy_loss import Steps, grown_error
from dpplan.accounting.exact.contour.rare_jumps.beyond_cut import Beyond
from dpplan.accounting.exact.contour.rare_jumps.runs_with_a_jump import characteristic, log_moments, rounded
from dpplan.accounting.exact.contour.rare_jumps.step_law import EPS, RareLaw, Window
from dpplan.accounting.exact.contour.tail_decay import Decay, Known
from dpplan.accounting.numerics import Array
from dpplan.quick_dataclass import dataclass


@dataclass(frozen=True)
class Bulk:
    """Paths on which no step goes beyond `end`. power: of the cuts; [phase] each. left_out: as of `Rare`.

    Serves a Contour as a Measure does.
    """

    steps: Steps
    power: Array
    end: Array
    left_out: Beyond | None = None

    def beyond(self, epsilon: float) -> tuple[float, float, float]:
        """As of `Rare`."""
        return self.left_out.at(epsilon) if self.left_out else (0.0, 0.0, 0.0)

    def _laws(self, a: Array, u_max: float = 0.0) -> list[RareLaw]:
        rows = zip(self.steps.sigma[:, 0], self.steps.q[:, 0], self.power, self.end, strict=True)
        return [RareLaw(float(s), float(q), Window(float(p), float(end)), a, u_max) for s, q, p, end in rows]

    @property
    def _counts(self) -> list[float]:
        return [float(count) for count in self.steps.count[:, 0]]

    def moments(self, tilts: Array) -> "BulkMoments":
        return BulkMoments(self, tilts, self._laws(1.0 + tilts))

    def line(self, tilt: float, u: Array) -> Line:
        """The transform on Re z = tilt at equally spaced u from 0, in units of its value at 0."""
        values, off = np.zeros(len(u), complex), np.zeros(len(u))
        mean, unit_logs = 0.0, []
        for count, law in zip(self._counts, self._laws(np.array([1.0 + tilt]), float(u[-1])), strict=True):
            unit_logs.append(count * float(law.log_g[0]))
            mean += count * float(law.slope[0])
            _, log_phi, lost = characteristic(law, u)
            error, size = law.relative_error(u)[0] + lost, np.maximum(np.exp(log_phi.real), 1e-300)
            rounding = EPS * (8.0 * np.abs(log_phi) + 4.0 * u * abs(float(law.slope[0])))
            values += count * log_phi
            off += count * (np.log1p(error / size) + error[0] + rounding)
        off = off + EPS * (64.0 + np.abs(values))
        unit, unit_error = unit_of(np.array(unit_logs))
        return Line(np.exp(values), grown_error(values.real, off), unit, abs(mean), unit_error)


@dataclass(frozen=True)
class BulkMoments:
    """The bulk's transform at a table of real tilts."""

    measure: Bulk
    tilts: Array
    laws: list[RareLaw]

    @cached_property
    def logs(self) -> Array:
        """Upper bounds on its logarithm, [tilt]; inf where nothing could be bounded."""
        return log_moments(self.measure._counts, self.laws)

    def log_unit(self, index: int) -> float:
        """The unit of `log_decay` and of `Bulk.line`."""
        pairs = zip(self.measure._counts, self.laws, strict=True)
        return float(sum(count * float(law.log_g[index]) for count, law in pairs))

    def log_decay(self, index: int, edges: Array) -> Array:
        """log of a bound in that unit, from each edge to the next; the last for all u beyond."""
        a = 1.0 + float(self.tilts[index])
        cut = _Below(self.measure.power / self.measure.steps.sigma[:, 0] ** 2, self.measure.end)
        error = np.array([[law.relative_error(np.zeros(1))[index, 0]] for law in self.laws])
        rows = [[law.log_g[index], law.low, law.high, law.log_variation(a)] for law in self.laws]
        log_g, low, high, beyond = (np.array(rows)[:, [k]] for k in range(4))
        tilted = Known(log_g, error, low, high, beyond)
        unit_error = float((self.measure.steps.count * np.log1p(error)).sum())
        unit_error += float(rounded(np.abs(self.measure.steps.count * log_g).sum(), len(log_g)))
        return Decay(self.measure.steps, a, tilted, cut).log_bounds(edges) + unit_error


@dataclass(frozen=True)
class _Below:
    """The cut as tail_decay.py wants it: falling, with a concave logarithm. Arrays are [phase]."""

    steep: Array
    end: Array

    def log_weight(self, x: Array) -> Array:
        with np.errstate(over="ignore"):
            return -np.exp(self.steep[:, None] * (x - self.end[:, None]))
