"""A search over settings that publishes its winner: what it costs, by whichever law the number of trials is drawn.

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

(the form of Koskela, Redberg, Wang 2024, ICML; the proof above is complete). So ε(δ) = ε_Q(δ/m) + min over e of c, from
certified upper ends alone: an UPPER. Beside it the Rényi form (Papernot, Steinke 2022, arXiv:2110.03620, Thm 2 and Thm
6), and what m trials cost that are all released.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from dpplan import accounting
from dpplan.accounting import rdp
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.exact.profile import Profile
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.minimum import minimise
from dpplan.checks import Problems
from dpplan.errors import NotApplicable, NotCertified
from dpplan.plan import Plan

LAWS = ("poisson", "geometric", "negative-binomial", "logarithmic", "binomial")
ETAS = {"geometric": 1.0, "logarithmic": 0.0}
LEAST_E, MOST_E = 1e-6, 5.0
LEAST_ORDER, MOST_ORDER, ORDERS = 1.0 + 1e-4, 1e5, 1000
MOST_TRIALS = 10**6


@dataclass(frozen=True, slots=True)
class Trials:
    """How many trials are made: a law of LAWS with this mean. eta: of a negative binomial law that is truncated at 1.
    chance: of a binomial law, that a trial is made."""

    law: str
    mean: float
    eta: float = 0.5
    chance: float = 0.5

    def __post_init__(self) -> None:
        with Problems() as problems:
            problems.require(self.law in LAWS, f"law={self.law} is not one of: {', '.join(LAWS)}.")
            least = 0.0 if self.law in ("poisson", "binomial") else 1.0
            if problems.positive("mean", self.mean, try_="It is the expected number of trials."):
                problems.require(self.mean > least, f"mean={self.mean:g} is not above {least:g}, the fewest trials.")
                problems.require(self.mean <= MOST_TRIALS, f"mean={self.mean:g} is more than {MOST_TRIALS}.")
            problems.require(self.eta > -1.0, f"eta={self.eta:g} is not above -1.")
            problems.probability("chance", self.chance, closed_right=False, try_="It is the chance of each trial.")

    @property
    def shape(self) -> float:
        """η of a law that is truncated at 1."""
        return ETAS.get(self.law, self.eta)

    @property
    def gamma(self) -> float:
        """γ of such a law, rounded down: with it, the mean is no less than was asked for."""
        if self.law == "geometric":
            return math.nextafter(1.0 / self.mean, 0.0)
        return first_true(lambda gamma: _mean(self.shape, gamma) <= self.mean, 1e-12, 1.0 - 1e-12, relative=1e-13).false

    @property
    def count(self) -> int:
        """Of a binomial law, how many trials may be made."""
        return math.ceil(self.mean / self.chance)

    @property
    def most(self) -> float:
        """E[K], or a little more."""
        if self.law in ("poisson", "geometric"):
            return self.mean if self.law == "poisson" else outward.up(1.0 / self.gamma, outward.FEW)
        if self.law == "binomial":
            return self.count * self.chance
        return outward.up(_mean(self.shape, self.gamma), outward.MANY)


def _mean(eta: float, gamma: float) -> float:
    if eta == 0.0:
        return (1.0 / gamma - 1.0) / -math.log(gamma)
    return eta * (1.0 - gamma) / (gamma * -math.expm1(eta * math.log(gamma)))


@dataclass(frozen=True, slots=True)
class TuningRow:
    """One law of the number of trials. profile, renyi: what the search costs by each form; None with why not."""

    trials: Trials
    profile: Bound | None
    renyi: Bound | None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class TuningComparison:
    """single: one trial. together: as many trials as are expected, all released."""

    plan: Plan
    delta: float
    mean: float
    single: Bound
    together: Bound | None
    rows: tuple[TuningRow, ...]


def tuning(plan: Plan, delta: float, laws: tuple[Trials, ...]) -> TuningComparison:
    """plan: of one trial. laws: all of one mean."""
    single, mean = accounting.epsilon(plan, delta), laws[0].mean
    whole = math.ceil(mean)
    phases = tuple(replace(phase, steps=whole * phase.steps) for phase in plan.phases)
    try:
        together = accounting.epsilon(replace(plan, phases=phases, derivation=()), delta)
    except NotCertified:
        together = None
    source = _Source(plan)
    rows = []
    for trials in laws:
        rows.append(_row(source, trials, delta))
    return TuningComparison(plan, delta, mean, single, together, tuple(rows))


def _row(source: "_Source", trials: Trials, delta: float) -> TuningRow:
    profile, renyi, refusals = None, None, []
    for name, ask in (("profile", by_profile), ("rényi", by_renyi)):
        try:
            found = ask(source, trials, delta)
        except NotCertified as refusal:
            refusals.append(f"{name}: {refusal}")
        else:
            profile, renyi = (found, renyi) if name == "profile" else (profile, found)
    return TuningRow(trials, profile, renyi, "; ".join(refusals))


class _Source:
    """One trial, and what is certified of it; each δ is asked for once."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._profile: Profile | None = None

    def delta(self, epsilon: float) -> float:
        """The larger of both orders, from above."""
        if self._profile is None:
            self._profile = Profile.of(self.plan)
        return max(self._profile.remove(epsilon)[1], self._profile.add(epsilon)[1])

    def epsilon(self, delta: float) -> float:
        found = accounting.epsilon(self.plan, delta).upper
        if found is None:
            raise NotCertified("no upper bound is proven of one trial.")
        return found


def source(plan: Plan) -> _Source:
    """Of one trial, for `by_profile` and `by_renyi`."""
    return _Source(plan)


def by_profile(source: _Source, trials: Trials, delta: float) -> Bound:
    """ε of the search at δ, by the profile form. Guarantee: UPPER."""
    share = outward.down(delta / trials.most, outward.FEW)
    if not 0.0 < share < 1.0:
        raise NotApplicable(f"{delta:g} / {trials.most:g} is no δ at which a trial can be asked.")
    base = source.epsilon(share)
    cost = _cost(trials, source.delta)
    place, least = minimise(
        lambda logs: np.array([cost(math.exp(each)) for each in logs]), math.log(LEAST_E), math.log(MOST_E)
    )
    upper = outward.up(base + least, outward.FEW)
    details = {"trial_epsilon": base, "trial_delta": share, "e": math.exp(place)}
    why = "the profile of one trial at δ / E[K], and a factor for choosing the best (Koskela, Redberg, Wang 2024)"
    return Bound("epsilon", None, upper, Guarantee.UPPER, "exact", source.plan.assumptions, why, details=details)


def _cost(trials: Trials, delta: Callable[[float], float]) -> Callable[[float], float]:
    """e -> c, rounded up."""
    mean, p, eta = trials.most, trials.chance, trials.shape
    gamma = 1.0 if trials.law in ("poisson", "binomial") else trials.gamma

    def at(e: float) -> float:
        beyond, grown = delta(e), outward.up(math.expm1(e), outward.FEW)
        if trials.law == "poisson":
            return outward.up(mean * (grown + beyond), outward.FEW)
        if trials.law == "binomial":
            most = max(p * grown + p * beyond, p * beyond / (1.0 - p))
            return outward.up((trials.count - 1) * math.log1p(outward.up(most, outward.FEW)), outward.FEW)
        most = grown + (1.0 - gamma) / gamma * beyond
        return outward.up((eta + 1.0) * math.log1p(outward.up(most, outward.FEW)), outward.FEW)

    return at


def by_renyi(source: _Source, trials: Trials, delta: float) -> Bound:
    """The same by Rényi divergences. Guarantee: UPPER. Raises NotApplicable for laws that no theorem of it covers."""
    if trials.law == "binomial":
        raise NotApplicable("Papernot and Steinke 2022 cover no binomial number of trials.")
    orders = 1.0 + np.exp(np.linspace(math.log(LEAST_ORDER - 1.0), math.log(MOST_ORDER - 1.0), ORDERS))
    divergences = rdp.divergences(source.plan, orders)
    searched = _poisson(trials, orders, divergences) if trials.law == "poisson" else _truncated(
        trials, orders, divergences)  # fmt: skip
    found = rdp.to_epsilon(searched, orders, delta)
    best = int(np.nanargmin(found))
    why = f"Rényi order {orders[best]:.6g} of the search (Papernot, Steinke 2022)"
    upper = max(float(found[best]), 0.0)
    details = {"order": float(orders[best])}
    return Bound("epsilon", None, upper, Guarantee.UPPER, "rdp", source.plan.assumptions, why, details=details)


def _truncated(trials: Trials, orders: Array, divergences: Array) -> Array:
    """Thm 2: ε(a) + (1 + η)(1 - 1/b)·ε(b) + (1 + η)·log(1/γ)/b + log E[K]/(a - 1), the least over b."""
    spread, eta = -math.log(trials.gamma), trials.shape
    other = (1.0 + eta) * ((1.0 - 1.0 / orders) * divergences + spread / orders)
    least = float(np.min(other))
    return outward.up(divergences + least + math.log(trials.most) / (orders - 1.0), outward.SUM)


def _poisson(trials: Trials, orders: Array, divergences: Array) -> Array:
    """Thm 6: ε(a) + m·δ(log(1 + 1/(a - 1))) + log(m)/(a - 1), where m is at least 1; the δ by Rényi divergences too."""
    places = [math.log1p(1.0 / (order - 1.0)) for order in orders]
    logs = np.array([float(np.nanmin(rdp.to_log_delta(divergences, orders, place))) for place in places])
    beyond = outward.up(np.exp(np.minimum(logs, 0.0)), outward.FEW)
    log_mean = math.log(max(trials.most, 1.0))
    return outward.up(divergences + trials.most * beyond + log_mean / (orders - 1.0), outward.SUM)
