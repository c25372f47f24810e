"""One draw of a bin for a whole run, where noise is so little that one likelihood ratio is nearly all of the mean's.

R = (1/n)·Σ r_i over the n bins, those not reached having r = 1. Under P the record's bin is i with chance 1/n and r_i
is that of N(1, s_i²) against N(0, s_i²). With D_i(ε) the Gaussian's delta and R >= r_i/n,

    delta(ε) = E_P[(1 - e^ε/R)₊] >= (1/n)·Σ D_i(ε + log n).

What the other bins add, S, has mean n at most: P[S > a] <= n/a (Markov). Else R <= (r_i + a)/n, and where
r + a > n·e^ε,

    1 - n·e^ε/(r + a) <= 1 - (n·e^ε - a)/r,  so that

    delta(ε) <= n/a + (1/n)·Σ D_i(log(n·e^ε - a)),

bins that are not reached adding none. In the other direction R < e^-ε takes every r_i < n·e^-ε, which is a product.
"""

import math
import sys
from collections.abc import Callable

from dpplan.accounting import gdp
from dpplan.accounting.exact.proven_ends import Ends
from dpplan.accounting.numerics import outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.normal import log_normal_tail
from dpplan.adjacency import REPLACE_ONE
from dpplan.mechanism import Gaussian
from dpplan.plan import Plan
from dpplan.quick_dataclass import dataclass
from dpplan.sampling import BallsInBins
from dpplan.sampling.balls_in_bins import SAME

METHOD = "one bin's Gaussian"
ENOUGH = 1e-4  # relative: lattices that are narrower are not asked about
CUTS = (1e-2, 1e-4, 1e-6, 1e-9)  # a, as shares of n·e^ε


@dataclass(frozen=True)
class OneBin:
    """bins: (σ of a bin's sum, how many such) of the bins that are reached; total: of all."""

    bins: tuple[tuple[float, int], ...]
    total: int

    @classmethod
    def of(cls, plan: Plan) -> "OneBin | None":
        """None where the plan is no run of one phase that keeps its bins."""
        if len(plan.phases) != 1 or plan.adjacency == REPLACE_ONE or plan.max_per_user is not None:
            return None
        (phase,) = plan.phases
        scheme = phase.sampling
        if type(phase.mechanism) is not Gaussian or not isinstance(scheme, BallsInBins) or scheme.bins != SAME:
            return None
        noise, per_epoch = Gaussian.of(phase.mechanism).noise_multiplier, scheme.steps_per_epoch
        whole, rest = divmod(phase.steps, per_epoch)
        counted = ((whole + 1, rest), (whole, per_epoch - rest))
        return cls(tuple((noise / math.sqrt(times), bins) for times, bins in counted if times and bins), per_epoch)

    def delta_ends(self, epsilon: float) -> tuple[float, float]:
        """lower <= delta(ε) <= upper."""
        moved = epsilon + math.log(self.total)
        lower = outward.down(self._mean(outward.up(moved, outward.ARITHMETIC), upper=False), outward.SUM)
        uppers = [
            max(outward.up(math.exp(-epsilon) / cut, outward.SERIES), sys.float_info.min)
            + self._mean(outward.down(moved + math.log1p(-cut), outward.ARITHMETIC), upper=True)
            for cut in CUTS
        ]
        return lower, min(max(min(uppers), math.exp(self._log_added(epsilon))), 1.0)

    def epsilon_ends(self, delta: float) -> tuple[float, float]:
        """lower <= ε <= upper, each found by bisection where it is proven."""
        most = max(
            gdp.epsilon_interval(outward.up(1.0 / noise, outward.SUM), delta).upper or 0.0 for noise, _ in self.bins
        )
        if not 0.0 < most < math.inf:
            return 0.0, math.inf

        high = 2.0 * most + 1.0
        lower = first_true(lambda e: self.delta_ends(e)[0] <= delta, 0.0, high).false
        if self.delta_ends(high)[1] > delta:
            return lower, math.inf
        return lower, first_true(lambda e: self.delta_ends(e)[1] <= delta, 0.0, high).true

    def _mean(self, epsilon: float, upper: bool) -> float:
        """(1/n)·Σ D_i at this ε, from above or below but for the rounding of ε."""
        total = 0.0
        for noise, count in self.bins:
            mu = outward.up(1.0 / noise, outward.SUM) if upper else outward.down(1.0 / noise, outward.SUM)
            found = gdp.delta_interval(mu, max(epsilon, 0.0))
            total += count / self.total * ((found.upper if upper else found.lower) or 0.0)
        return outward.up(total, outward.SUM) if upper else total

    def _log_added(self, epsilon: float) -> float:
        """log of a bound on the other direction's delta."""
        if sum(count for _, count in self.bins) < self.total and epsilon > math.log(self.total) + outward.SERIES:
            return -math.inf  # a bin that is not reached keeps R above 1/n
        log_total, logs = math.log(self.total), 0.0
        for noise, count in self.bins:
            off = outward.SERIES * (1.0 + 1.0 / noise + noise * (epsilon + log_total))
            place = noise * (epsilon - log_total) - 0.5 / noise - off
            logs += count * log_normal_tail(place) if place > 0.0 else 0.0
        return logs + outward.SERIES * (1.0 + abs(logs))


def narrowed(ends: Ends, plan: Plan, asked: Callable[[OneBin], tuple[float, float]]) -> Ends:
    """With what one bin proves, where a lattice does not tell."""
    if ends.relative_width <= ENOUGH or (bins := OneBin.of(plan)) is None:
        return ends
    lower, upper = asked(bins)
    if not lower <= upper or (lower <= ends.lower and upper >= ends.upper):
        return ends
    return Ends(max(lower, ends.lower), min(upper, ends.upper), METHOD)
