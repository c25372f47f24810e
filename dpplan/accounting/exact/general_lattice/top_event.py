"""From below: steps lose the most they can, where that loss has a mass of its own.

With p the product of those masses and m the sum of those losses, that event of some of the steps has P-mass p and
Q-mass p·e^-m. Not to look at the other steps is post-processing, so that below m

    delta(ε) >= p·(1 - e^(ε - m)).

Near the largest loss of all this is nearly all of delta, and a lattice, whose cells are weighed by e^(tilt·loss) with
tilts of about 1/(m - ε), says nothing there. Steps are taken by what they lose for the mass they cost, the most first.
"""

import math
import sys
from collections.abc import Iterator, Sequence

from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs.law import EPS, LOSS_OFF, Law
from dpplan.quick_dataclass import dataclass

SPARED = (0.5, 3.0, 10.0, 20.0)  # of -log delta, not spent on mass: what is spared is how near to m one comes


@dataclass(frozen=True, slots=True)
class _Top:
    """Of one law: its largest loss, and how far it may be off, relative; log of that loss's mass, from below."""

    loss: float
    off: float
    log_mass: float
    count: int

    def taken(self, most: float) -> int:
        """How many steps cost no more than e^-most of mass."""
        return self.count if self.log_mass >= 0.0 else min(self.count, max(int(most / -self.log_mass), 0))


def delta_below(terms: Sequence[tuple[Law, int]], epsilon: float) -> float:
    """At most delta(ε) of steps of these laws, each with how often it is taken."""
    best, taken, lost = 0.0, list[tuple[_Top, int]](), 0.0
    for top in _tops(terms):
        lacking = min(max((epsilon - lost) / top.loss, 0.0), float(top.count))
        for count in sorted({min(int(lacking) + 1, top.count), top.count}):
            mass, loss = _event([*taken, (top, count)])
            if epsilon < loss:
                best = max(best, _held(outward.down(mass * -math.expm1(epsilon - loss), outward.FEW)))
        taken.append((top, top.count))
        lost += top.loss * top.count
    return best


def epsilon_below(terms: Sequence[tuple[Law, int]], delta: float) -> float:
    """At most the least ε >= 0 with delta(ε) <= delta, for a delta in (0, 1)."""
    best, tops = 0.0, list(_tops(terms))
    for spared in SPARED:
        taken, left = list[tuple[_Top, int]](), -math.log(delta) - spared
        for top in tops:
            count = top.taken(left)
            taken.append((top, count))
            left += count * top.log_mass
        mass, loss = _event(taken)
        if outward.up(delta, outward.FEW) < mass:
            fall = math.log1p(-outward.up(delta / mass, outward.FEW))
            best = max(best, outward.sum_down([loss, fall], outward.FEW))
    return best


def _tops(terms: Sequence[tuple[Law, int]]) -> Iterator[_Top]:
    """Those that there are, in the order in which steps are taken."""
    found = [_Top(loss, law.loss_off, log_mass, count) for law, count in terms for loss, log_mass in _largest(law)]
    return iter(sorted(found, key=lambda top: top.loss / max(-top.log_mass, EPS), reverse=True))


def _event(taken: Sequence[tuple[_Top, int]]) -> tuple[float, float]:
    """Its P-mass and the sum of its losses, both from below; no mass where floats hold too little of it."""
    logs, losses = [count * top.log_mass for top, count in taken], [count * top.loss for top, count in taken]
    log_mass = math.fsum(logs) - outward.SUM * math.fsum(abs(each) for each in logs)
    off = math.fsum((top.off + LOSS_OFF) * loss for (top, _), loss in zip(taken, losses, strict=True))
    return _held(outward.down(math.exp(log_mass), outward.FEW)), math.fsum(losses) - off


def _held(mass: float) -> float:
    """0 below the normal floats, which round by more than a share of themselves."""
    return mass if mass >= sys.float_info.min else 0.0


def _largest(law: Law) -> list[tuple[float, float]]:
    """(loss, log of its mass from below) of the largest loss that has a mass; none where there is no gain in it."""
    atoms = law.atoms
    if not len(atoms.loss):
        return []
    loss, mass = float(atoms.loss[-1]), float(atoms.p[-1]) * (1.0 - atoms.relative) * (1.0 - EPS)
    return [(loss, min(math.log(mass), 0.0) - EPS)] if 0.0 < loss < math.inf and mass > 0.0 else []
