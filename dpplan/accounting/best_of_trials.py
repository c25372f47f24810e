"""What a search costs that releases its winner, from what one trial costs: by its privacy profile, and by moments.

Let one trial be private with the profile δ(e), the larger of both orders, K the number of trials, independent of the
data, g(x) = E[x^K] and m = E[K] = g'(1). Of K trials the best by a score that is part of each output is released and
nothing else, not K, not the losers, and 'none' if K = 0. With u = Q(≤ y) and u' = Q'(≤ y), ties broken by an
independent uniform draw, the winner has the density Q(y)·g'(u) on one data set and Q'(y)·g'(u') on its neighbour. If
g'(u) ≤ e^c·g'(u') for all y, then for every event S and ε = ε̂ + c

    A(S) - e^ε·A'(S) ≤ ∫ g'(u)·(Q - e^ε̂·Q') ≤ g'(1)·δ(ε̂) = m·δ(ε̂),

for g' rises, and 'none' has the same chance on both. For each e ≥ 0, u ≤ e^e·u' + δ(e) and 1 - u' ≤ e^e·(1 - u) + δ(e):

    Poisson                         g'(u)/g'(u') = e^(m·(u - u')), so c = m·(e^e - 1) + m·δ(e)
    truncated negative binomial     [(γ + (1 - γ)(1 - u'))/(γ + (1 - γ)(1 - u))]^(η + 1),
                                    so c = (η + 1)·log(e^e + (1 - γ)/γ·δ(e)); geometric for η = 1
    binomial (n, p)                 [(1 - p + p·u)/(1 - p + p·u')]^(n - 1), largest at u' = 1 or u' = 0,
                                    so c = (n - 1)·log max(1 + p·(e^e - 1) + p·δ(e), 1 + p·δ(e)/(1 - p))

(the form of Koskela, Redberg, Wang 2024, ICML; the proof above is complete). So the winner's profile is at most
m·δ(ε - c), c being least over e, from certified upper ends alone: an UPPER. The Rényi form is that of Papernot, Steinke
2022 (arXiv:2110.03620), Thm 2 and Thm 6.
"""

import functools
import math
from collections.abc import Callable

import numpy as np

from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.minimum import minimise
from dpplan.errors import NotApplicable
from dpplan.mechanism.trials import BestOfTrials, Trials
from dpplan.plan import Plan
from dpplan.quick_dataclass import dataclass

LEAST_E, MOST_E = 1e-6, 5.0
LEAST_GAMMA, LARGEST_GAMMA = 1e-12, 1.0 - 1e-12
LEAST_ORDER, MOST_ORDER, ORDERS = 1.0 + 1e-4, 1e5, 1000


def has_search(plan: Plan) -> bool:
    """Whether a phase is a search: of such a plan what is known is known from above alone."""
    return any(isinstance(phase.mechanism, BestOfTrials) for phase in plan.phases)


@functools.lru_cache(maxsize=256)
def gamma(trials: Trials) -> float:
    """γ of a law that is truncated at 1, rounded down: with it, the mean is no less than was asked for.

    Raises NotApplicable where no γ gives this mean.
    """
    if trials.law == "geometric":
        return math.nextafter(1.0 / trials.mean, 0.0)
    if not _mean(trials.shape, LARGEST_GAMMA) <= trials.mean <= _mean(trials.shape, LEAST_GAMMA):
        raise NotApplicable(
            f"mean={trials.mean:g} of law {trials.law} with η {trials.shape:g} needs a γ outside "
            f"[{LEAST_GAMMA:g}, 1 - {LEAST_GAMMA:g}]. Try another η or mean, or law geometric"
        )
    least, largest = LEAST_GAMMA, LARGEST_GAMMA
    return first_true(lambda each: _mean(trials.shape, each) <= trials.mean, least, largest, relative=1e-13).false


def count(trials: Trials) -> int:
    """Of a binomial law, how many trials may be made."""
    return math.ceil(trials.mean / trials.chance)


def most(trials: Trials) -> float:
    """E[K], or a little more."""
    if trials.law in ("poisson", "geometric"):
        return trials.mean if trials.law == "poisson" else outward.up(1.0 / gamma(trials), outward.FEW)
    if trials.law == "binomial":
        return count(trials) * trials.chance
    return outward.up(_mean(trials.shape, gamma(trials)), outward.MANY)


def _mean(eta: float, gamma: float) -> float:
    if eta == 0.0:
        return (1.0 - gamma) / (gamma * -math.log(gamma))  # 1/γ - 1 would cancel where γ is near 1
    return eta * (1.0 - gamma) / (gamma * -math.expm1(eta * math.log(gamma)))


def cost_of_choosing(
    trials: Trials, delta: Callable[[float], float], likely: float | None = None
) -> tuple[float, float]:
    """(c, e): the least c found, rounded up, and the e that gives it. delta: of one trial at an ε, from above. likely:
    an ε to try besides, such as where δ of the trial ends."""
    cost = _cost(trials, delta)
    place, least = minimise(
        lambda logs: np.array([cost(math.exp(each)) for each in logs]), math.log(LEAST_E), math.log(MOST_E)
    )
    if likely is not None and LEAST_E <= likely <= MOST_E and (other := cost(likely)) < least:
        return other, likely
    return least, math.exp(place)


def _cost(trials: Trials, delta: Callable[[float], float]) -> Callable[[float], float]:
    """e -> c, rounded up."""
    mean, p, eta = most(trials), trials.chance, trials.shape
    share = 1.0 if trials.law in ("poisson", "binomial") else gamma(trials)

    def at(e: float) -> float:
        beyond, grown = delta(e), outward.up(math.expm1(e), outward.FEW)
        if trials.law == "poisson":
            return outward.up(mean * (grown + beyond), outward.FEW)
        if trials.law == "binomial":
            larger = max(p * grown + p * beyond, p * beyond / (1.0 - p))
            return outward.up((count(trials) - 1) * math.log1p(outward.up(larger, outward.FEW)), outward.FEW)
        larger = grown + (1.0 - share) / share * beyond
        return outward.up((eta + 1.0) * math.log1p(outward.up(larger, outward.FEW)), outward.FEW)

    return at


@dataclass(frozen=True)
class WinnerCurve:
    """The Rényi divergence of the winner at any orders, from that of one trial and what is least over a second order.

    Raises NotApplicable, where it is asked, for laws that no theorem covers. log_delta: of what divergences at these
    orders prove, the least log δ at an ε.
    """

    trials: Trials
    one: Callable[[Array], Array]
    log_delta: Callable[[Array, Array, float], float]
    kinks: tuple[float, ...] = ()

    @functools.cached_property
    def _table(self) -> tuple[Array, Array]:
        orders = 1.0 + np.exp(np.linspace(math.log(LEAST_ORDER - 1.0), math.log(MOST_ORDER - 1.0), ORDERS))
        return orders, self.one(orders)

    def __call__(self, orders: Array) -> Array:
        if self.trials.law == "binomial":
            raise NotApplicable("Papernot and Steinke 2022 cover no binomial number of trials.")
        return (self._poisson if self.trials.law == "poisson" else self._truncated)(orders, self.one(orders))

    def _truncated(self, orders: Array, divergences: Array) -> Array:
        """Thm 2: ε(a) + (1 + η)(1 - 1/b)·ε(b) + (1 + η)·log(1/γ)/b + log E[K]/(a - 1), the least over b."""
        spread, eta = -math.log(gamma(self.trials)), self.trials.shape
        others, known = self._table
        least = float(np.min((1.0 + eta) * ((1.0 - 1.0 / others) * known + spread / others)))
        return outward.up(divergences + least + math.log(most(self.trials)) / (orders - 1.0), outward.SUM)

    def _poisson(self, orders: Array, divergences: Array) -> Array:
        """Thm 6: ε(a) + m·δ(log(1 + 1/(a - 1))) + log(m)/(a - 1), where m is at least 1; the δ by divergences too."""
        places = [math.log1p(1.0 / (order - 1.0)) for order in orders]
        others, known = self._table
        logs = np.array([self.log_delta(known, others, place) for place in places])
        beyond = outward.up(np.exp(np.minimum(logs, 0.0)), outward.FEW)
        log_mean = math.log(max(most(self.trials), 1.0))
        return outward.up(divergences + most(self.trials) * beyond + log_mean / (orders - 1.0), outward.SUM)
