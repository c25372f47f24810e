"""The Rényi divergence of each phase of a plan, at any order: what moment accountants compose.

A dominating pair (P, Q) bounds it, the divergence of order a being E_P[e^((a - 1)L)]: of Gaussians by the quadrature of
sampled_gaussian, of other laws where their moments are known in closed form or by renyi_transforms. And a mechanism may
be known by its moments alone, where no pair is. Divergences at one order add up over an adaptive composition, whatever
bounds each (Mironov 2017, arXiv:1702.07476, Prop 1).

A pair that reveals all with a chance, a stated delta, has no moments. That chance is set aside: of a run that reveals
with chance r and is otherwise no more than (ε, δ'), δ = r + (1 - r)·δ'.

Allocations are known by a law above theirs in convex order, on a lattice (pairs.allocation): moments of either
direction are means of convex functions of the likelihood ratio, and so at least the true ones. What such a law has at
+inf, e^-REACH or so, is set aside likewise. Peers bound these moments in closed form (Feldman, Shenfeld 2025,
arXiv:2502.08202), which is more.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Protocol

import numpy as np

from dpplan import groups
from dpplan.accounting.no_epsilon_messages import below_floor
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.pairs import DominatingPair, GaussianLoss, Law, Resolution, StatedLoss, no_group
from dpplan.accounting.plan_pairs import SampledGaussian, as_sampled_gaussians, dominating_pairs
from dpplan.errors import NotApplicable
from dpplan.mechanism import (
    BestOfTrials,
    DiscreteGaussian,
    Exponential,
    Mechanism,
    StatedRenyi,
    StatedZcdp,
    kind_of,
)
from dpplan.plan import Phase, Plan
from dpplan.quick_dataclass import dataclass
from dpplan.sampling import Poisson

FINE = Resolution(halvings=2, reach=60)  # of laws that are known on lattices
MOMENT_ROUNDING = 64 * outward.UNIT  # of the sizes that go into the logarithm of a moment


class RenyiCurve(Protocol):
    """At least the divergence of one release, at each of these orders above 1; infinite where nothing is known.

    kinks: orders at which what it says is not smooth, and which are worth a try.
    """

    @property
    def kinks(self) -> tuple[float, ...]: ...

    def __call__(self, orders: Array) -> Array: ...


@dataclass(frozen=True, slots=True)
class Linear:
    """ρ·a: zero-concentrated differential privacy."""

    rho: float
    kinks: tuple[float, ...] = ()

    def __call__(self, orders: Array) -> Array:
        return outward.up(self.rho * orders, outward.FEW)


@dataclass(frozen=True, slots=True)
class BoundedRange:
    """All losses lie in an interval of length epsilon, wherever: the largest divergence of any such law.

    For E_P[e^-L] = 1, and e^((a - 1)L) is convex in e^-L: the worst law has the two ends t and t - ε alone, with
    P[t] = (e^ε - e^t)/(e^ε - 1). Of all t, e^t = (a - 1)·A/(a·B) with A = e^ε - e^-((a - 1)ε), B = 1 - e^-((a - 1)ε)
    gives the most, log((e^t)^(a - 1)·A/(a·(e^ε - 1)))/(a - 1) (Dong, Durfee, Rogers 2020, arXiv:1909.13830). By ε²/8·a
    at most (Cesar, Rogers 2021, arXiv:2004.07223): K(s) = log E_Q[e^(sL)] is 0 at 0 and 1 and K'', a variance of L, is
    at most ε²/4, so that ε²·s(s - 1)/8 - K(s) is convex with zeros at 0 and 1, and not negative beyond.
    """

    epsilon: float
    kinks: tuple[float, ...] = ()

    @property
    def rho(self) -> float:
        return outward.up(self.epsilon**2 / 8.0, outward.FEW)

    def __call__(self, orders: Array) -> Array:
        tilts, epsilon = orders - 1.0, self.epsilon
        log_a = epsilon + np.log(-np.expm1(-orders * epsilon))
        log_b = np.log(-np.expm1(-tilts * epsilon))
        top = log_a - log_b - np.log1p(1.0 / tilts)
        last = math.log(math.expm1(epsilon))
        log = tilts * top + log_a - np.log(orders) - last
        sizes = 1.0 + tilts * (np.abs(log_a) + np.abs(log_b) + np.log1p(1.0 / tilts)) + np.abs(log_a) + abs(last)
        worst = (np.maximum(log, 0.0) + MOMENT_ROUNDING * (sizes + np.log(orders))) / tilts
        return np.minimum(outward.up(worst, outward.ARITHMETIC), outward.up(self.rho * orders, outward.FEW))


@dataclass(frozen=True, slots=True)
class Interpolated:
    """Known at some orders. Between them, and down to 1, (a - 1) times the divergence lies below the chord.

    For it is the logarithm of a moment, which is convex in a and 0 at a = 1 (van Erven, Harremoës 2014,
    arXiv:1206.2459, Cor 2); of every two neighbours, so of the largest of them too. Above the last order nothing is
    known.
    """

    orders: tuple[float, ...]
    epsilons: tuple[float, ...]

    @property
    def kinks(self) -> tuple[float, ...]:
        return self.orders

    def __call__(self, orders: Array) -> Array:
        known = np.array((1.0, *self.orders))
        moments = (known - 1.0) * np.array((0.0, *self.epsilons))
        chord = np.interp(orders, known, moments) / (orders - 1.0)
        return np.where(orders <= known[-1], outward.up(chord, outward.SUM), np.inf)


@dataclass(frozen=True, slots=True)
class OfPair:
    """The larger of the two directions of a pair whose moments have a closed form."""

    pair: DominatingPair
    kinks: tuple[float, ...] = ()

    def __call__(self, orders: Array) -> Array:
        return np.max([[_divergence(law, float(order)) for order in orders] for law in self.pair.directions], axis=0)


@dataclass(frozen=True, slots=True)
class OfAtoms:
    """The larger of the two directions of a pair of laws that are all atoms; of each, what is at +inf left out: P as it
    is given that all losses are finite."""

    pair: DominatingPair
    kinks: tuple[float, ...] = ()

    def __call__(self, orders: Array) -> Array:
        return np.asarray(np.max([_atoms_divergence(law, orders) for law in self.pair.directions], axis=0))


def _atoms_divergence(law: Law, orders: Array) -> Array:
    atoms, tilts = law.atoms, orders - 1.0
    exponents = np.log(atoms.p) + tilts[:, None] * atoms.loss
    top = np.max(exponents, axis=1)
    log = top + np.log(np.exp(exponents - top[:, None]).sum(axis=1)) - math.log1p(-law.infinite)
    largest = float(np.max(np.abs(atoms.loss)))
    rounding = MOMENT_ROUNDING * (1.0 + np.abs(top) + tilts * largest) + (
        tilts * largest * law.loss_off + outward.UNIT * len(atoms.p) + 2 * atoms.relative
    )
    return outward.up((np.maximum(log, 0.0) + rounding) / tilts, outward.ARITHMETIC)


def _divergence(law: Law, order: float) -> float:
    tilt = order - 1.0
    log = law.log_moment(tilt)
    assert log is not None  # of no other law is a curve made
    size = max(abs(end) for end in law.bounds)
    sizes = 1.0 + abs(log) + ((1.0 + tilt) * size if math.isfinite(size) else 0.0)
    return outward.up((max(log, 0.0) + MOMENT_ROUNDING * sizes) / tilt, outward.ARITHMETIC)


@dataclass(frozen=True, slots=True)
class RunMoments:
    """gaussians: phases that are sampled Gaussians. others: curves of the rest, with how often each counts.

    revealed: the chance that all is revealed, rounded up.
    """

    gaussians: tuple[SampledGaussian, ...]
    others: tuple[tuple[RenyiCurve, int], ...] = ()
    revealed: float = 0.0

    def divergence(self, orders: Array) -> Array | float:
        """Of all others together, in nats."""
        return sum((count * curve(orders) for curve, count in self.others), 0.0)

    @property
    def kinks(self) -> tuple[float, ...]:
        return tuple(order for curve, _ in self.others for order in curve.kinks)

    def unrevealed(self, delta: float, accountant: str) -> float:
        """The delta that is left for what is not revealed, rounded down. Raises NotApplicable where none is."""
        if self.revealed == 0.0:
            return delta
        left = outward.sum_down((delta, -self.revealed), outward.FEW) / (1.0 - self.revealed)
        if left <= 0.0:
            raise NotApplicable(below_floor(accountant, delta, self.revealed))
        return outward.down(left, outward.FEW)


def of(plan: Plan, accountant: str) -> RunMoments:
    """The curves of the plan. Raises NotApplicable, with all reasons, where one has none."""
    rest, stated = list[Phase](), list[tuple[RenyiCurve, int]]()
    for phase in plan.phases:
        if type(phase) is Phase and type(phase.mechanism) in MOMENTS:
            if (members := plan.max_per_user or 1) > 1:  # known for one record, of which the user has several
                raise NotApplicable(f"{accountant}: {no_group(phase, plan.adjacency, members)}.")
            stated.append((_whole(phase, accountant)(phase.mechanism), phase.steps))
        else:
            rest.append(phase)
    if not rest:
        return RunMoments((), tuple(stated))
    found, log_hidden = list[SampledGaussian](), 0.0
    # A plan's derivations are of all its phases, and not needed here.
    for pair, count in dominating_pairs(replace(plan, phases=tuple(rest), derivation=()), accountant):
        if gaussian := as_sampled_gaussians(((pair, count),)):
            found += gaussian
        else:
            hidden, chance = _hidden(pair)
            log_hidden += count * math.log1p(-chance)
            stated.append((_of_pair(hidden, accountant), count))
    return RunMoments(tuple(found), tuple(stated), outward.up(-math.expm1(log_hidden), outward.SUM))


def _hidden(pair: DominatingPair) -> tuple[DominatingPair, float]:
    """The pair where it does not reveal all, and the chance that it does."""
    law = pair.remove
    if pair.dominates and pair.resolved is not None and all(_all_atoms(each) for each in pair.directions):
        fine = pair.resolved(FINE)
        return fine, outward.up(max(each.infinite for each in fine.directions), outward.SUM)
    if not (isinstance(law, StatedLoss) and law == pair.add):
        return pair, 0.0
    left = replace(law, delta=0.0)
    return replace(pair, remove=left, add=left), law.delta


def _all_atoms(law: Law) -> bool:
    """Whether the law is known on a lattice, and some of it is finite."""
    whole = law.masses(np.array([-math.inf, math.inf]))
    return law.infinite < 1.0 and len(law.atoms.loss) > 0 and float(whole.p[0]) == 0.0


def _of_pair(pair: DominatingPair, accountant: str) -> RenyiCurve:
    law = pair.remove
    if pair.dominates and isinstance(law, GaussianLoss) and law == pair.add:
        return Linear(outward.up(0.5 / law.noise_multiplier**2, outward.FEW))
    if pair.dominates and not any(each.log_moment(1.0) in (None, math.inf) for each in pair.directions):
        return OfPair(pair)
    if pair.dominates and pair.resolved is not None and all(_all_atoms(each) for each in pair.directions):
        return OfAtoms(pair)
    from dpplan.accounting.renyi_transforms import OfTransforms  # the contour's engine, which most plans do without

    curve = OfTransforms.of(pair)
    if curve is not None:
        return curve
    raise NotApplicable(
        f"{accountant}: no theorem is known here for this plan: the moments of one of its laws have no closed form. "
        "Use the exact accountant."
    )


def _whole(phase: Phase, accountant: str) -> Callable[[Mechanism], RenyiCurve]:
    """What makes the curve of a phase. Raises NotApplicable where records are sampled."""
    _whole_data(phase, accountant)
    return MOMENTS[type(phase.mechanism)]


def _whole_data(phase: Phase, accountant: str) -> None:
    if type(phase.sampling) is not Poisson or phase.sampling.sample_rate != 1.0:
        raise NotApplicable(
            f"{accountant}: {kind_of(phase.mechanism)} on batches that are sampled: what sampling makes of it does not "
            "follow from its curve alone. State the curve of the sampled release (kind: rdp)."
        )
    if phase.groups not in ((), groups.STAYS):
        raise NotApplicable(
            f"{accountant}: {kind_of(phase.mechanism)} on a group of records that one may leave or enter: what is "
            "stated is for records that stay. Try --adjacency zero-out or add-remove."
        )


def searched(phase: Phase) -> BestOfTrials | None:
    """The search that a phase is; None for any other. Raises NotApplicable where what its winner costs is not known."""
    if type(phase) is not Phase or type(phase.mechanism) is not BestOfTrials:
        return None
    _whole_data(phase, "rdp")
    return phase.mechanism


def _zcdp(mechanism: Mechanism) -> RenyiCurve:
    assert isinstance(mechanism, StatedZcdp)  # MOMENTS goes by exact type
    return Linear(mechanism.rho)


def _renyi(mechanism: Mechanism) -> RenyiCurve:
    assert isinstance(mechanism, StatedRenyi)
    return Interpolated(mechanism.orders, mechanism.epsilons)


def _discrete_gaussian(mechanism: Mechanism) -> RenyiCurve:
    """ρ = Δ²/(2σ²), in any dimension: Canonne, Kamath, Steinke 2020 (arXiv:2004.00010), Thm 14."""
    assert isinstance(mechanism, DiscreteGaussian)
    return Linear(outward.up(mechanism.squared_sensitivity / (2.0 * mechanism.noise_scale**2), outward.FEW))


def _bounded_range(mechanism: Mechanism) -> RenyiCurve:
    """The losses of the exponential mechanism lie in an interval as long as its epsilon (Durfee, Rogers 2019,
    arXiv:1905.04273): a quarter of what pure differential privacy alone gives. That is of its weights
    e^(epsilon·score/(2·sensitivity)), and not of every choice that is private."""
    assert isinstance(mechanism, Exponential)
    return BoundedRange(mechanism.epsilon)


# Mechanisms that are known by their moments, or better known by them than by a pair.
MOMENTS: Mapping[type, Callable[[Mechanism], RenyiCurve]] = MappingProxyType(
    {
        StatedZcdp: _zcdp,
        StatedRenyi: _renyi,
        Exponential: _bounded_range,
        DiscreteGaussian: _discrete_gaussian,
    }
)


def rho(curves: Sequence[tuple[RenyiCurve, int]]) -> float | None:
    """Of all curves together, rounded up; None where one of them is below no ρ·a."""
    linear = [(curve.rho, count) for curve, count in curves if isinstance(curve, Linear | BoundedRange)]
    if len(linear) < len(curves):
        return None
    return outward.up(math.fsum(each * count for each, count in linear), outward.ARITHMETIC)
