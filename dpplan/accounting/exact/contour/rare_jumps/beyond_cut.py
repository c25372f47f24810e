"""Paths on which some step goes beyond a cut far out: counted instead of cut away (remove direction).

With weights c <= 1 on every step's output, P and Q the two neighbours' laws of a whole run and S its loss,

    F(ε) = ∫(1 - e^(ε-S))₊·(1 - Πc) dP
         = ∫(1 - e^(ε-S))·(1 - Πc) dP + ∫(e^(ε-S) - 1)₊·(1 - Πc) dP.

The first integral is A - e^ε·B, A = 1 - Π(1 - p)^n and B = 1 - Π(1 - b)^n the probabilities that some step is cut away,
p and b those of one step, since e^(-S) dP = dQ. It is a lower bound on F, and an exact one but for the second integral:
paths that go beyond the cut and lose less than ε all the same. That is bounded with 1 - Πc <= Σ(1 - c) and, for every
s = 1 + t > 1, (e^y - 1)₊ <= K·e^{s·y} with K = t^t/(1 + t)^(1 + t), the largest value of (e^y - 1)·e^{-s·y}:

    K·e^{s·ε}·Σ_steps E_Q[(1 - c)·r^(-t)]·Π_others E_Q[r^(-t)],

and as E_Q[r^(-t)] >= (E_Q[r])^(-t) = 1 (Jensen), the product over all steps will do.

Both expectations are bounded by upper Riemann sums, cell by cell with each factor at its largest: r^(-t) falls with x,
1 - c rises, Q falls on either side of 0. E_Q[r^(-t)] is 1 + E_Q[f], f = r^(-t) - 1 + t(r - 1) >= 0, because E_Q[r] = 1;
f is convex in r with its least value 0 at r = 1, so that over a cell it is largest at one of the ends. Right of all
cells f <= t(r - 1) <= t·q·e^e, whose integral is t·q·N(1, σ²)'s tail; left of them f <= r^(-t) <= (1 - q)^(-t).

Symbols: as in privacy_loss.py; L = log r. Arrays are [cell] or [edge].
"""

import functools
import math

import numpy as np

from dpplan.accounting.exact.contour import chernoff
from dpplan.accounting.exact.contour.privacy_loss import Steps, log_ratio
from dpplan.accounting.exact.contour.rare_jumps.step_law import EPS, RareLaw, Window
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.exp_remainder import exp_remainder
from dpplan.accounting.numerics.logspace import log_sum
from dpplan.accounting.numerics.normal import log_normal_tail
from dpplan.quick_dataclass import dataclass

# Standard deviations on which cells are laid: on either side, and coarser ones to the left.
REACH, CELLS = 38.0, 1600
FARTHEST, FAR_CELLS = 150.0, 200
SAFE = 1e-9  # above the rounding of sums of numbers of one sign, and of their logarithms, relative
LOSS_ROUNDING = 1e-12  # of t·L, relative: e and log_ratio are good to a few units in the last place, times e at most
HUGE, LEAST = 690.0, 1e-300


class _Cells:
    """Cells in x for one kind of step, [cell]: the losses at their ends, and upper bounds on Q's mass in each."""

    def __init__(self, sigma: float, q: float) -> None:
        self.q = q
        far = np.linspace(-FARTHEST, -REACH, FAR_CELLS, endpoint=False)
        self.edges = sigma * np.concatenate((far, np.linspace(-REACH, REACH, CELLS + 1)))
        e = (2.0 * self.edges - 1.0) / (2.0 * sigma**2)
        self.loss = log_ratio(e, np.array(q))
        nearest = np.clip(0.0, self.edges[:-1], self.edges[1:])
        log_width = np.log(np.diff(self.edges) / (sigma * math.sqrt(2.0 * math.pi)))
        self.log_mass = log_width - 0.5 * (nearest / sigma) ** 2
        self.log_left, self.log_right = log_normal_tail(FARTHEST), log_normal_tail(REACH)
        self.log_right_shifted = log_normal_tail(REACH - 1.0 / sigma)


@functools.lru_cache(maxsize=8)
def _cells(sigma: float, q: float) -> _Cells:
    return _Cells(sigma, q)


def log_falling_moments(sigma: float, q: float, tilts: Array) -> Array:
    """log E_Q[r^(-t)] for each t > 0 of `tilts`, rounded up; inf where it leaves the range of floats."""
    cells, t = _cells(sigma, q), tilts[:, None]
    raised = -t * cells.loss
    few = np.minimum(raised, HUGE)
    height = np.log(np.maximum(exp_remainder(few) + t * exp_remainder(np.minimum(cells.loss, HUGE)), LEAST))
    height = np.where(raised < HUGE, height, raised)
    height = np.where(cells.loss < HUGE, height, np.log(t) + cells.loss) + LOSS_ROUNDING * np.abs(raised)
    left = cells.log_left - t * math.log1p(-q)  # where f <= r^(-t)
    right = cells.log_right_shifted + np.log(t) + math.log(q)
    log_mass = np.maximum(height[:, 1:], height[:, :-1]) + cells.log_mass
    log_total = log_sum(np.concatenate((log_mass, left, right), axis=1)) + SAFE
    return np.where(log_total < math.inf, np.logaddexp(0.0, log_total), math.inf)


@dataclass(frozen=True)
class Falling:
    """log of Π E_Q[r^(-t)] over all steps, rounded up, at some tilts t."""

    steps: Steps
    tilts: Array

    @functools.cached_property
    def logs(self) -> Array:
        rows = zip(self.steps.sigma[:, 0], self.steps.q[:, 0], self.steps.count[:, 0], strict=True)
        total = np.zeros(len(self.tilts))
        for sigma, q, count in rows:
            total += float(count) * log_falling_moments(float(sigma), float(q), self.tilts)
        return total


@dataclass(frozen=True)
class Beyond:
    """F(ε) of the paths that some step's cut takes away. power, end: of the cuts of step_law.py, [phase] each;
    falling: at the tilts with which the second integral is bounded."""

    steps: Steps
    power: Array
    end: Array
    falling: Falling

    def _phases(self) -> list[tuple[float, float, float, Window]]:
        """(σ, q, n, cut) of each phase."""
        rows = zip(
            self.steps.sigma[:, 0], self.steps.q[:, 0], self.steps.count[:, 0], self.power, self.end, strict=True
        )
        return [(float(s), float(q), float(n), Window(float(p), math.inf, float(end))) for s, q, n, p, end in rows]

    @functools.cached_property
    def _kept(self) -> tuple[float, float, float]:
        """Σ n·log(1 - b), Σ n·log((1 - p)/(1 - b)), and a bound on the relative error of either."""
        other = gain = error = 0.0
        for sigma, q, count, window in self._phases():
            # The cut away mass of Q and of N(1, σ²) = e^e·Q; p - b = q·(their difference).
            law = RareLaw(sigma, 1.0, window, np.array([0.0, 1.0]))
            off = law.relative_error(np.zeros(1))[:, 0] + 16.0 * EPS
            centred, shifted = (float(v) for v in np.exp(law.log_g))
            apart = shifted - centred
            if not (apart > 0.0 and centred + q * apart < 0.5):
                return 0.0, 0.0, math.inf
            other += count * math.log1p(-centred)
            gain += count * math.log1p(-q * apart / (1.0 - centred))
            error = max(error, float(off[0]) * 4.0, 4.0 * float(off[0] * centred + off[1] * shifted) / apart)
        return other, gain, error

    @functools.cached_property
    def _log_tops(self) -> Array:
        """log of the bound on the second integral but for e^{s·ε}, [tilt]."""
        t, tops = self.tilts[:, None], np.full(len(self.tilts), -np.inf)
        for sigma, q, count, window in self._phases():
            cells = _cells(sigma, q)
            assert window.start is not None
            log_cut = np.minimum(window.power / sigma**2 * (cells.edges[1:] - window.start), 0.0)  # 1 - e^(-y) <= y
            raised = -t * cells.loss[:-1]
            terms = log_cut + raised + LOSS_ROUNDING * np.abs(raised) + cells.log_mass
            # Left of the cells 1 - c is at most its value there; right of them it is 1 and r at least there.
            left = log_cut[0] - t * math.log1p(-q) + cells.log_left
            right = -t * cells.loss[-1] + cells.log_right
            log_total = log_sum(np.concatenate((terms, left, right), axis=1))
            tops = np.logaddexp(tops, math.log(count) + log_total)
        parts = (tops, chernoff.log_factors(self.tilts), self.falling.logs)
        tops, size = parts[0] + parts[1] + parts[2], np.abs(parts).sum(axis=0)
        # The second where the parts are large and cancel: a few units of each, and of each phase's.
        rounding = np.maximum(SAFE * (1.0 + np.abs(tops)), EPS * (32.0 + len(self._phases())) * size)
        return np.nan_to_num(tops + rounding, nan=math.inf, posinf=math.inf)

    @property
    def tilts(self) -> Array:
        return self.falling.tilts

    def short(self, epsilon: float) -> float:
        """Log of a bound on the second integral, rounded up: what the paths add that go beyond and lose less than ε."""
        return float(np.min(chernoff.log_deltas(self._log_tops, -(1.0 + self.tilts), epsilon)))

    def at(self, epsilon: float) -> tuple[float, float, float]:
        """Lower and upper bound on F(ε), and about its slope."""
        other, gain, error = self._kept
        # Nothing is claimed of a cut that takes away most of the law, or where e^ε is no float.
        if not (other > -0.5 and epsilon < HUGE):
            return 0.0, 1.0, 0.0
        # A - B = Π(1 - b)^n·(1 - Π((1 - p)/(1 - b))^n)
        apart, cut = -math.exp(other) * math.expm1(gain), -math.expm1(other)
        value, size = apart - math.expm1(epsilon) * cut, apart + math.expm1(epsilon) * cut
        off = size * (error + 64.0 * EPS)
        high = value + off + outward.up(math.exp(min(self.short(epsilon), HUGE)), outward.FEW)
        if not high < 1.0:  # NaN or nothing known
            high = 1.0
        return max(value - off, 0.0), max(high, 0.0), -math.exp(min(epsilon, HUGE)) * cut
