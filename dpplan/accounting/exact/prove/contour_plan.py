"""How to prove one delta(ε): where the contour runs, how many frequencies, which nodes; and whether it is worth it.

In floating point, by estimate. A bad design makes a proof wide, never wrong.
"""

import math
from dataclasses import dataclass

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.exact.prove.aliasing import chernoff_nodes
from dpplan.accounting.exact.prove.errors import NotProved
from dpplan.accounting.exact.prove.float_moments import ComposedSteps, FloatMoments, total_steps
from dpplan.accounting.exact.prove.path_search import Path, best_path, highest
from dpplan.accounting.exact.prove.tail_decay import piece
from dpplan.accounting.exact.prove.transform import TrapezoidNodes, choose_nodes

# The ceiling: nodes times frequencies, in products of 0.1 to 0.3 µs. A node by itself costs as much as NODE products,
# a piece of the integral along a path as PIECE, and everything else about a phase as PHASE. A frequency by itself costs
# as much as FREQUENCY: it is a power for every phase and a dozen exponentials, one at every step of the inversion.
MOST_PRODUCTS = 100_000_000
NODE, PIECE, PHASE, FREQUENCY = 60, 10_000, 240_000, 500
# Of the accuracy asked for, each error source may take this share.
LOG_SHARE = math.log(0.2)
# Tilts that are tried, as multiples of the saddle's.
TILTS = np.concatenate((np.geomspace(1e-3, 0.2, 8), np.geomspace(0.25, 4.0, 41), np.geomspace(5.0, 100.0, 8)))
FIRST = 6.0  # standard deviations: where the search for the last frequency begins
STRIDES = (1.04, 1.6)  # least and largest
GUARD_BITS = 40


@dataclass(frozen=True, slots=True)
class Placement:
    """A contour's tilt, the tilts that bound its aliases, and their period Λ in ε.

    log_cancelled: log of the integrand's peak over delta: the sum has to cancel that much.
    """

    tilt: float
    alias_tilts: tuple[float, float]
    period: float
    log_cancelled: float


@dataclass(frozen=True, slots=True)
class Design:
    """A placement, `count` frequencies 2πk/Λ from k = 0, and per phase the path beyond them and the nodes in x."""

    placement: Placement
    count: int
    paths: tuple[Path, ...]
    nodes: tuple[TrapezoidNodes, ...]
    bits: int

    @property
    def total_nodes(self) -> int:
        return sum(nodes.count for nodes in self.nodes)


def design(
    phases: tuple[ComposedSteps, ...], direction: Direction, epsilon: float, log_delta: float, log_goal: float
) -> Design:
    """For delta near e^log_delta at this ε, to a relative e^log_goal. Raises NotProved when it would take too long."""
    side = direction.name.lower()
    if PHASE * len(phases) > MOST_PRODUCTS:
        raise NotProved.too_many_phases(len(phases), MOST_PRODUCTS // PHASE)
    survey = FloatMoments(phases, direction)
    place = _place(survey, epsilon, log_delta, log_goal + LOG_SHARE)
    spacing = 2.0 * math.pi / place.period
    log_least = log_goal + LOG_SHARE - place.log_cancelled  # relative to the integrand's peak
    u, paths = _last_frequency(survey, place.tilt, log_least, MOST_PRODUCTS / FREQUENCY * spacing)
    if not paths:
        raise NotProved.slow_decay(side, u, math.exp(min(log_goal, 0.0)))
    count = int(u / spacing) + 2
    # An error of G counts once for every step, and for every frequency in proportion to its weight 1/u.
    log_transform = log_least - math.log(total_steps(phases)) - math.log(4.0 + math.log(count))
    a = direction.exponent(place.tilt)
    nodes = tuple(choose_nodes(phase, a, spacing * count, log_transform) for phase in phases)
    work = sum(_work(phase, count, each) for phase, each in zip(phases, nodes, strict=True))
    work += FREQUENCY * count
    work += sum(NODE * chernoff_nodes(phases, direction, tilt) for tilt in place.alias_tilts if tilt > 0.0)
    if work > MOST_PRODUCTS:
        raise NotProved.too_long(side, count, sum(each.count for each in nodes), work, MOST_PRODUCTS)
    size = count + max(each.count for each in nodes)
    bits = int(-log_transform / math.log(2.0)) + int(math.log2(size)) + GUARD_BITS
    return Design(place, count, paths, nodes, bits)


def _work(phase: ComposedSteps, count: int, nodes: TrapezoidNodes) -> float:
    return (count + NODE) * nodes.count + PIECE * (nodes.far - nodes.low) / piece(phase) + PHASE


def _place(survey: FloatMoments, epsilon: float, log_delta: float, log_goal: float) -> Placement:
    """The tilt with the fewest frequencies whose aliases stay below e^log_goal of delta.

    An alias bounded at the tilt s fades like e^(-|s - t|·Λ): Λ is what the best s on either side needs. The number of
    frequencies is U·Λ/2π, and U, where the transform has fallen by e^(log_goal - log_cancelled), grows like its root.
    """
    tilts = np.concatenate(([0.0], survey.saddle(epsilon) * TILTS))
    bounds = np.array([survey.log_chernoff(float(s), epsilon) for s in tilts])
    excess = np.maximum(np.nan_to_num(bounds - log_delta - log_goal + 1.0, nan=math.inf, posinf=math.inf), 1.0)
    found: list[tuple[float, Placement]] = []
    for index in range(1, len(tilts) - 1):
        tilt = float(tilts[index])
        if not math.isfinite(excess[index]):
            break
        left = excess[:index] / (tilt - tilts[:index])
        right = excess[index + 1 :] / (tilts[index + 1 :] - tilt)
        period = float(max(left.min(), right.min()))
        cancelled = max(survey.log_peak(tilt, epsilon) - log_delta, 0.0)
        sides = float(tilts[left.argmin()]), float(tilts[index + 1 + right.argmin()])
        found.append((period * math.sqrt(cancelled - log_goal), Placement(tilt, sides, period, cancelled)))
    if not found:
        raise NotProved.out_of_sight(survey.direction.name.lower())
    return min(found, key=lambda each: each[0])[1]


def _last_frequency(
    survey: FloatMoments, tilt: float, log_least: float, ceiling: float
) -> tuple[float, tuple[Path, ...]]:
    """The u beyond which all that is left out is below e^log_least of the peak, and the paths that show it; no
    paths when u would exceed the ceiling."""
    a = survey.direction.exponent(tilt)
    u = FIRST / math.sqrt(survey.at(tilt).variance + tilt**-2)
    starts: list[Path | None] = [None] * len(survey.phases)
    while u <= ceiling:
        found = [best_path(phase, a, u, start) for phase, start in zip(survey.phases, starts, strict=True)]
        fallen = sum(phase.count * value for phase, (_, value) in zip(survey.phases, found, strict=True))
        # the peak is M/(t(1 + t)); the rest of the sum at most sup|M|/(πu)
        reached = fallen + math.log(tilt) + math.log1p(tilt) - math.log(math.pi * u)
        if reached <= log_least:
            return u, tuple(path for path, _ in found)
        # log |M| falls like -u² where u is small, more slowly beyond
        stride = min(max(math.sqrt(log_least / min(reached, -1e-9)) * 1.01, STRIDES[0]), STRIDES[1])
        u *= stride
        starts = [_scaled(path, stride, phase) for phase, (path, _) in zip(survey.phases, found, strict=True)]
    return u, ()


def _scaled(path: Path, factor: float, phase: ComposedSteps) -> Path:
    top = math.inf if phase.q == 1.0 else highest(phase)
    return Path(min(path.height * factor, top), path.centre, path.breadth)
