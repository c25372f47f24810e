"""How large a law of rare jumps is at any tilt, below and above any loss: what contours are placed by (remove only).

Nothing here is certified and nothing needs to be: all sums are over plain nodes and sharp cuts.

Symbols: L = log r; a = 1 + t.
"""

import math
from collections.abc import Callable

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import Steps, log_ratio
from dpplan.accounting.exact.contour.saddle_point import log_chernoff_factor
from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.logspace import log_sum
from dpplan.accounting.numerics.normal import log_normal_tails
from dpplan.quick_dataclass import dataclass

NODES = 800
# Where jumps may begin, in ε.
SHARES = np.array(
    (0.985, 0.97, 0.95, 0.92, 0.88, 0.84, 0.8, 0.75, 0.7, 0.64, 0.58, 0.5, 0.42, 0.34, 0.27, 0.2, 0.14, 0.1, 0.06, 0.03)
)
HUGE = 690.0  # e^HUGE is a float
STEEPEST, BULK_STEPS = 3.0, 64  # the bulk's tilts: how far they go, in units of log(1/delta)/ε, and how many
ROUNDING = math.log(2e-13)  # of what the contour sums, about
# Tilts that are tried, as multiples of the one where Chernoff is best: beyond it the moments may rise like a cliff.
TILTS = np.concatenate((np.geomspace(0.02, 0.85, 18), np.linspace(0.87, 1.13, 27), np.geomspace(1.16, 8.0, 14)))
GOAL = math.log(3e-7)  # an error below which a short period is worth more


def places_of(steps: Steps, loss: float) -> Array:
    """x where each kind of step loses so much, [phase]."""
    e = np.log((math.expm1(min(loss, HUGE)) + steps.q[:, 0]) / steps.q[:, 0])
    return np.asarray(0.5 + steps.sigma[:, 0] ** 2 * e)


@dataclass(frozen=True)
class CutPlacement:
    """One choice of the three. share: of ε; bulk_tilt: where Chernoff is best for the bulk; log_error: what accuracy
    to hope for, relative to delta; alias_tilts: one on either side of the tilt, which allow this period in ε."""

    level: float
    share: float
    bulk_tilt: float
    tilt: float
    alias_tilts: tuple[float, float]
    period: float
    log_error: float


class SplitMoments:
    """Real moments of a plan's losses below and above any threshold, all below an end; level: of errors to aim for."""

    def __init__(self, steps: Steps, log_delta: float, level: float, end: Array) -> None:
        """end: in x, [phase, 1]."""
        self.steps, self.log_delta, self.level = steps, log_delta, level
        self.limit = end
        low = -8.0 * steps.sigma
        self.x = low + (self.limit - low) * np.linspace(0.0, 1.0, NODES)
        self.loss = log_ratio((2.0 * self.x - 1.0) / (2.0 * steps.sigma**2), steps.q)
        h = (self.limit - low) / (NODES - 1)
        self.log_base = -0.5 * (self.x / steps.sigma) ** 2 + np.log(h / (steps.sigma * math.sqrt(2.0 * math.pi)))

        base = np.exp(self.log_base)
        # Q and P right of each node.
        tails = log_normal_tails(self.limit / steps.sigma), log_normal_tails((self.limit - 1.0) / steps.sigma)
        centred, shifted = (np.exp(tail) for tail in tails)
        beyond = (centred, centred + steps.q * (shifted - centred))
        self.right = [
            np.cumsum(mass[:, ::-1], axis=1)[:, ::-1] - mass + rest
            for mass, rest in zip((base, base * np.exp(np.minimum(self.loss, 600.0))), beyond, strict=True)
        ]

    def _log_bulk(self, row: int, tilts: Array, losses: Array) -> Array:
        """log of one step's moments below thresholds on the loss, [tilt, threshold]."""
        last = np.maximum(np.searchsorted(self.loss[row], losses), 1) - 1
        needed = int(np.max(last)) + 1
        a, loss, base = 1.0 + tilts[:, None], self.loss[row, :needed], np.exp(self.log_base[row, :needed])
        raised = a * loss
        curve = np.expm1(np.minimum(raised, 690.0)) - a * np.expm1(np.minimum(loss, 600.0))
        curve = np.where(np.abs(raised) < 1e-3, 0.5 * a * (a - 1.0) * loss * loss, curve)
        excess = np.cumsum(base * curve, axis=1)[:, last]
        excess -= (1.0 - a) * self.right[0][row, last] + a * self.right[1][row, last]
        return np.asarray(np.log1p(np.maximum(excess, -0.9)))

    def _log_jumps(self, row: int, tilts: Array, loss: float) -> Array:
        """log of one step's moments above a threshold, [tilt]."""
        first = min(int(np.searchsorted(self.loss[row], loss)), NODES - 2)
        terms = (1.0 + tilts[:, None]) * self.loss[row, first:] + self.log_base[row, first:]
        return log_sum(terms)

    def _log_moments(self, tilts: Array, loss: float) -> Array:
        """log of the composed moments of paths with a jump, [tilt]."""
        total, rise = np.zeros(len(tilts)), np.zeros(len(tilts))
        for row, count in enumerate(self.steps.count[:, 0]):
            bulk = self._log_bulk(row, tilts, np.array([loss]))[:, 0]
            total += count * bulk
            rise += count * np.log1p(np.exp(np.minimum(self._log_jumps(row, tilts, loss) - bulk, 600.0)))
        return np.asarray(total + np.where(rise > 30.0, rise, np.log(np.expm1(np.minimum(rise, 30.0)) + 1e-300)))

    def bulk_bounds(self, epsilon: float, shares: Array) -> tuple[Array, Array]:
        """log of what paths without a jump add to delta at ε, by Chernoff, and the tilts of those bounds, [share]."""
        tilts = np.geomspace(2.0, STEEPEST * (20.0 - self.log_delta), BULK_STEPS) / epsilon
        factors = np.array([log_chernoff_factor(float(s)) for s in tilts]) - tilts * epsilon
        bounds = factors[:, None] + sum(
            count * self._log_bulk(row, tilts, shares * epsilon) for row, count in enumerate(self.steps.count[:, 0])
        )
        return np.min(bounds, axis=0), tilts[np.argmin(bounds, axis=0)]

    def place(self, epsilon: float, shares: Array = SHARES) -> CutPlacement | None:
        """The best threshold and tilt at this level; None where even the smallest jumps are too common."""
        bounds, tilts = self.bulk_bounds(epsilon, shares)
        good = np.nonzero(bounds <= self.log_delta + math.log(self.level) - 1.0)[0]
        if not len(good):
            return None
        return self.over_jumps(epsilon, float(shares[good[0]]), float(tilts[good[0]]))

    def over_jumps(self, epsilon: float, share: float, bulk_tilt: float) -> CutPlacement:
        """A place for paths with a jump above a share of ε."""
        loss = share * epsilon
        return self._best_place(lambda tilts: self._log_moments(tilts, loss), epsilon, share, bulk_tilt)

    def over_bulk(self, epsilon: float, share: float) -> CutPlacement:
        """A place for paths without one."""

        def logs(tilts: Array) -> Array:
            total, losses = np.zeros(len(tilts)), np.array([share * epsilon])
            for row, count in enumerate(self.steps.count[:, 0]):
                total += count * self._log_bulk(row, tilts, losses)[:, 0]
            return total

        return self._best_place(logs, epsilon, share, math.nan)

    def _best_place(
        self, log_moments: Callable[[Array], Array], epsilon: float, share: float, bulk: float
    ) -> CutPlacement:
        """The tilt with the shortest period whose aliases stay below the level, of those that do not cancel too much.

        An alias bounded at the tilt s fades like e^(-|s - t|·period); the best s on either side decides.
        """
        tilts = np.geomspace(0.003, 4.0 * (10.0 - self.log_delta), 40) / epsilon
        best = float(tilts[np.argmin(log_moments(tilts) - tilts * epsilon)])
        tilts = best * TILTS
        logs = log_moments(tilts) - tilts * epsilon - self.log_delta
        bounds = logs + np.array([log_chernoff_factor(float(s)) for s in tilts])
        excess = np.maximum(bounds - math.log(self.level) + 1.0, 1.0)
        # The sum's terms fall like 1/|z(z + 1)|; what is rounded grows with the logarithm of the moment.
        rounding = logs - np.log1p(tilts) + np.log(10.0 + tilts * epsilon) + ROUNDING
        errors = np.logaddexp(math.log(self.level), rounding)
        gap = np.abs(tilts[:, None] - tilts) + np.where(np.eye(len(tilts)) > 0.0, np.inf, 0.0)
        periods = excess / gap  # [tilt, alias tilt]
        side = np.arange(len(tilts))[:, None] > np.arange(len(tilts))
        left, right = np.where(side, periods, np.inf), np.where(side.T, periods, np.inf)
        period = np.maximum(left.min(axis=1), right.min(axis=1))
        chosen = int(np.argmin(np.log(period) + np.maximum(errors - max(GOAL, float(errors.min())), 0.0)))
        sides = float(tilts[left[chosen].argmin()]), float(tilts[right[chosen].argmin()])
        return CutPlacement(
            level=self.level,
            share=share,
            bulk_tilt=bulk,
            tilt=float(tilts[chosen]),
            alias_tilts=sides,
            period=float(period[chosen]),
            log_error=float(errors[chosen]),
        )

    def log_delta_at(self, epsilon: float) -> float:
        """About log delta at ε: the probability that one step decides alone, or Chernoff for the others taken apart
        where that is best."""
        at = places_of(self.steps, epsilon)[:, None] / self.steps.sigma
        centred, shifted = np.exp(log_normal_tails(at)), np.exp(log_normal_tails(at - 1.0 / self.steps.sigma))
        gains = self.steps.q * (shifted - centred) - math.expm1(min(epsilon, HUGE)) * centred
        alone = math.log(max(float((self.steps.count * gains).sum()), 1e-300))
        tilts = np.geomspace(2.0, STEEPEST * (20.0 - self.log_delta), BULK_STEPS) / epsilon
        # Chernoff exceeds delta by about the tilt times the standard deviation: some share of tilt·ε.
        factors = np.array([log_chernoff_factor(float(s)) for s in tilts]) - tilts * epsilon
        factors -= np.log1p(0.25 * tilts * epsilon)
        bulk, rise = np.zeros((len(tilts), len(SHARES))), np.zeros((len(tilts), len(SHARES)))
        for row, count in enumerate(self.steps.count[:, 0]):
            below = self._log_bulk(row, tilts, SHARES * epsilon)
            bulk += count * below
            rise += count * np.log1p(self._jumps_up_to(row, tilts, SHARES * epsilon, epsilon) * np.exp(-below))
        jumps = bulk + np.where(rise > 30.0, rise, np.log(np.expm1(np.minimum(rise, 30.0)) + 1e-300))
        apart = np.maximum(*(np.min(factors[:, None] + logs, axis=0) for logs in (bulk, jumps)))
        return max(alone, float(np.min(apart)))

    def _jumps_up_to(self, row: int, tilts: Array, losses: Array, most: float) -> Array:
        """One step's moments between thresholds and `most`, [tilt, threshold]."""
        begin = np.minimum(np.searchsorted(self.loss[row], losses), NODES - 1)
        first, end = int(np.min(begin)), int(np.searchsorted(self.loss[row], most, side="right"))
        terms = (1.0 + tilts[:, None]) * self.loss[row, first:end] + self.log_base[row, first:end]
        beyond = np.zeros((len(tilts), NODES - first))
        beyond[:, : max(end - first, 0)] = np.cumsum(np.exp(np.minimum(terms, 600.0))[:, ::-1], axis=1)[:, ::-1]
        return beyond[:, begin - first]
