"""Stage 2, compose, for rare jumps: the paths with at least one jump, as a measure for a contour.

Every step's law is cut smoothly: paths with a step beyond `end` are counted apart (beyond_cut.py); what lies below
`start` makes up the bulk, and the rest the jumps. With G and J their transforms (step_law.py) and n steps of each
kind,

    Π(G + J)^n - ΠG^n = ΠG^n·(Π(1 + J/G)^n - 1)

is the transform of a positive measure: of the paths with a jump. Its modulus is at most
ΠG(a)^n·(Π(1 + |J|/G(a))^n - 1), which falls as |J| does. The paths without one are bounded by Chernoff, at tilts far
beyond the contour's: that costs nothing while their losses stay below what one jump brings.

Independent of transform_quadrature.py, composed_loss.py and composed_jumps.py but for what privacy_loss.py and the
contour hold: among that, the rounding of a loss and of a logarithm of the transform.
"""

import math
from functools import cached_property

import numpy as np

from dpplan.accounting.exact.contour.composed_loss import Line, unit_of
from dpplan.accounting.exact.contour.delta_interval import Chernoff
from dpplan.accounting.exact.contour.privacy_loss import Steps, grown_error, log_characteristic
from dpplan.accounting.exact.contour.rare_jumps.beyond_cut import Beyond
from dpplan.accounting.exact.contour.rare_jumps.step_law import EPS, HUGE, RareLaw, Window
from dpplan.accounting.numerics import Array, ComplexArray
from dpplan.accounting.numerics.complex_log import complex_expm1, complex_log1p
from dpplan.quick_dataclass import dataclass

SAFE = 1e-9  # in logarithms: above the rounding of sums of numbers of one sign


@dataclass(frozen=True)
class Rare:
    """Paths with a jump. start, end: where jumps begin, and where they are too large for one tilt to serve them too;
    power: of the cuts; [phase] each. left_out: what is known of paths beyond `end`; None where they are not asked for.


    Serves a Contour as a Measure does.
    """

    steps: Steps
    power: Array
    start: Array
    end: Array
    left_out: Beyond | None = None

    def beyond(self, epsilon: float) -> tuple[float, float, float]:
        """Ends for what the paths with a step beyond `end` add to delta(ε), and about its slope."""
        return self.left_out.at(epsilon) if self.left_out else (0.0, 0.0, 0.0)

    def _bulk(self, row: int, a: Array, u_max: float = 0.0) -> RareLaw:
        return RareLaw(*self._step(row), Window(float(self.power[row]), float(self.start[row])), a, u_max)

    def _jumps(self, row: int, a: Array, u_max: float = 0.0) -> RareLaw:
        window = Window(float(self.power[row]), float(self.end[row]), float(self.start[row]))
        return RareLaw(*self._step(row), window, a, u_max)

    def _step(self, row: int) -> tuple[float, float]:
        return float(self.steps.sigma[row, 0]), float(self.steps.q[row, 0])

    @property
    def _counts(self) -> list[float]:
        return [float(count) for count in self.steps.count[:, 0]]

    def without_jumps(self, tilts: Array) -> Chernoff:
        """Bounds on the delta of the paths that stay in the bulk."""
        laws = [self._bulk(row, 1.0 + tilts) for row in range(len(self._counts))]
        return Chernoff.of(tilts, log_moments(self._counts, laws))

    def moments(self, tilts: Array) -> "RareMoments":
        """log of the transform at real tilts, rounded up, and how it decays beside each."""
        bulk = [self._bulk(row, 1.0 + tilts) for row in range(len(self._counts))]
        jumps = [self._jumps(row, 1.0 + tilts) for row in range(len(self._counts))]
        return RareMoments(self, tilts, bulk, jumps)

    def line(self, tilt: float, u: Array) -> Line:
        """The transform on Re z = tilt at equally spaced u from 0, in units of ΠG(a)^n."""
        a, top, zeros = np.array([1.0 + tilt]), float(u[-1]), np.zeros(len(u))
        bulk, rise, both = zeros.astype(complex), zeros.astype(complex), zeros.astype(complex)
        bulk_off, rise_off, both_off = zeros.copy(), zeros.copy(), zeros.copy()
        mean, unit_logs = 0.0, np.zeros(len(self._counts))
        for row, count in enumerate(self._counts):
            first, jumps = self._bulk(row, a, top), self._jumps(row, a, top)
            unit_logs[row] = count * float(first.log_g[0])
            mean += count * float(first.slope[0])
            phi, log_phi, lost = characteristic(first, u)
            share = math.exp(min(float(jumps.log_g[0] - first.log_g[0]), HUGE))
            jump = share * characteristic(jumps, u)[0]
            error, size = first.relative_error(u)[0] + lost, np.maximum(np.exp(log_phi.real), 1e-300)
            at_zero = error[0]  # `unit` is off by so much, relative and once a step
            moved = share * jumps.relative_error(u)[0] + np.abs(jump) * (2.0 * at_zero + 8.0 * EPS)
            rounding = EPS * (8.0 * np.abs(log_phi) + 4.0 * u * abs(float(first.slope[0])))
            bulk += count * log_phi
            bulk_off += count * (np.log1p(error / size) + at_zero + rounding)
            ratio = jump / size * np.exp(-1j * log_phi.imag)
            step = complex_log1p(ratio, HUGE)
            rise += count * step
            off = (moved + 2.0 * np.abs(jump) * (error / size + rounding)) / size
            rise_off += count * (off / np.maximum(np.abs(1.0 + ratio) - off, 1e-300) + 8.0 * EPS * np.abs(step))
            total = phi + jump
            log_total = np.log(np.maximum(np.abs(total), 1e-300)) + 1j * np.angle(total)
            both += count * log_total
            both_off += count * (
                np.log1p((error + moved) / np.maximum(np.abs(total), 1e-300))
                + at_zero
                + EPS * (8.0 * np.abs(log_total) + 4.0 * u * abs(float(first.slope[0])))
                # phi and its sum are rounded to units of 1, however near to 1 they are.
                + 8.0 * EPS / np.maximum(np.abs(total), 1e-300)
            )
        units = EPS * (64.0 + np.abs(bulk))
        size = np.exp(bulk.real)
        product = np.exp(bulk) * complex_expm1(rise, HUGE)
        # An error of e^690 and more makes the product useless, and is said to be infinite.
        off = np.where(bulk_off + units < HUGE, np.expm1(np.minimum(bulk_off + units, HUGE)), np.inf)
        product_error = np.abs(product) * off + size * grown_error(rise.real, rise_off) * (1.0 + off) + 1e-305
        gap = np.exp(both) - np.exp(bulk)
        gap_error = grown_error(both.real, both_off + units) + grown_error(bulk.real, bulk_off + units)
        product_error = np.nan_to_num(product_error, nan=math.inf)
        better = product_error <= gap_error
        values, error = np.where(better, product, gap), np.where(better, product_error, gap_error)
        unit, unit_error = unit_of(unit_logs)
        return Line(values, error, unit, abs(mean), unit_error)


@dataclass(frozen=True)
class RareMoments:
    """The transform at a table of real tilts; bulk, jumps: the laws of each phase there."""

    measure: Rare
    tilts: Array
    bulk: list[RareLaw]
    jumps: list[RareLaw]

    @cached_property
    def logs(self) -> Array:
        """Upper bounds on its logarithm, [tilt]; inf where nothing could be bounded."""
        log_rise, zero = np.full(len(self.tilts), -np.inf), np.zeros(1)
        size = np.zeros(len(self.tilts))
        for count, bulk, jumps in zip(self.measure._counts, self.bulk, self.jumps, strict=True):
            error = bulk.relative_error(zero)[:, 0]
            size = np.maximum(size, np.abs(jumps.log_g) + np.abs(bulk.log_g) + math.log(count))
            share = jumps.log_g - bulk.log_g + error * (1.0 + SAFE) + np.log1p(jumps.relative_error(zero)[:, 0])
            # log(1 + e^share), as a logarithm of its own: it may be smaller than any float.
            each = np.where(share < -30.0, share, np.log(_log1p_exp(np.maximum(share, -30.0))))
            log_rise = np.logaddexp(log_rise, math.log(count) + each)
        rise = np.exp(np.minimum(log_rise, HUGE)) * (1.0 + SAFE)
        # expm1(x) <= x·(1 + x) for x <= 1.
        log_risen = np.where(rise > 30.0, rise, np.log(np.expm1(np.minimum(rise, 30.0))))
        risen = np.where(log_rise < -30.0, log_rise + math.exp(-30.0), log_risen)
        rounding = rounded(2.0 * size + np.abs(risen), len(self.bulk))
        return known(log_moments(self.measure._counts, self.bulk) + rounding + risen)

    def log_unit(self, index: int) -> float:
        """The unit of `log_decay` and of `Rare.line`."""
        return float(sum(self._unit_logs(index)))

    def _unit_logs(self, index: int) -> Array:
        return np.array([count * law.log_g[index] for count, law in zip(self.measure._counts, self.bulk, strict=True)])

    def log_decay(self, index: int, edges: Array) -> Array:
        """log of a bound in that unit for every u >= edge, [edge]."""
        total, a = np.zeros(len(edges)), np.array([1.0 + float(self.tilts[index])])
        unit_error = rounded(np.abs(self._unit_logs(index)).sum(), len(self.bulk))
        for row, (count, bulk) in enumerate(zip(self.measure._counts, self.bulk, strict=True)):
            jumps = self.measure._jumps(row, a)
            error = float(bulk.relative_error(np.zeros(1))[index, 0] + jumps.relative_error(np.zeros(1))[0, 0])
            log_share = float(jumps.log_g[0] - bulk.log_g[index]) + 2.0 * error + jumps.log_modulus(edges)
            total += count * _log1p_exp(log_share)
            unit_error += count * math.log1p(error)
        total *= 1.0 + SAFE
        return known(np.where(total > 30.0, total, np.log(np.expm1(np.minimum(total, 30.0)) + 1e-300)) + unit_error)


def characteristic(law: RareLaw, u: Array) -> tuple[ComplexArray, ComplexArray, Array]:
    """The first row's transform over its value at 0, the logarithm of that, and what rounding adds to the error."""
    drop, lag = law.line(u)
    turn = u * float(law.slope[0]) - lag
    return 1.0 - drop + 1j * turn, *log_characteristic(drop, turn)


def log_moments(counts: list[float], laws: list[RareLaw]) -> Array:
    """Upper bounds on Σ n·log G of laws with the same tilts, [tilt]; inf where nothing could be bounded."""
    total, size = np.zeros(len(laws[0].a)), np.zeros(len(laws[0].a))
    for count, law in zip(counts, laws, strict=True):
        error = law.relative_error(np.zeros(1))[:, 0] * (1.0 + SAFE)
        total += count * (law.log_g + error)
        size += count * (np.abs(law.log_g) + error)
    return known(total + rounded(size, len(laws)))


def rounded(size: Array | float, terms: int) -> Array:
    """How far a sum of so many logarithms, whose sizes add up to this, may be off.

    5u of each (u = 2^-53: a logarithm by 4u, a product by u) and u of the size for each that is added; SAFE is more
    than that up to a size of 10^5 or so, and not beyond.
    """
    return np.maximum(SAFE, EPS * (8.0 + terms) * size)


def known(logs: Array) -> Array:
    """The same bounds, infinite where there are none; no measure here is 0."""
    return np.nan_to_num(logs, nan=math.inf, posinf=math.inf, neginf=math.inf)


def _log1p_exp(x: Array) -> Array:
    """log(1 + e^x), with full accuracy where it is small."""
    return np.where(x > 30.0, x + 1e-13, np.log1p(np.exp(np.minimum(x, 30.0))))
