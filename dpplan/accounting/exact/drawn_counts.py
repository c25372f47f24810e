"""Upper ends for users of many examples, where it is told how many of them are drawn at each step.

Given the counts J_t the outputs are N(J_t, σ_t²), independent, against N(0, σ_t²): one Gaussian of μ² = Σ J_t²/σ_t²
(Dong, Roth, Su 2022, Cor 3.3), in both directions. H_a is jointly convex, so delta is no more than the mean of the
Gaussian's over J, and that rises with μ. With M = log E[e^(s·μ²)] and P[μ² > v] <= e^(M(s) - s·v), s > 0 (Chernoff),

    delta(ε) <= e^(M(s) - s·v) + delta of the Gaussian of √v.

Little is lost where losses are so large that no lattice of floats holds them, and there it is asked.
"""

import math
from collections.abc import Sequence

import numpy as np

from dpplan.accounting import gdp
from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs import DominatingPair
from dpplan.accounting.pairs.gaussian_mixtures import GroupLoss

TOLD = "from above as if it were told how many examples are drawn"
KnownPairs = Sequence[tuple[DominatingPair, int]]
# Of delta, for the counts that are left out; where delta is asked for, what is left out.
SHARES, LEFT = (0.5, 0.1, 0.9, 0.01), np.geomspace(1e-280, 0.5, 57)
AROUND = np.geomspace(1e-5, 1e5, 41)
TILTS = np.geomspace(1e-5, 1e3, 241)  # in units of 1 over the largest J²/σ² of a step
LEFT_OUT = 1e-300  # more than all of a step's weights that are no floats
LEAST_DELTA = 1e-280


def epsilon_above(known: KnownPairs, delta: float) -> float:
    """No less than the least ε at this delta; infinite where steps are of other laws."""
    if not (_asked(known) and delta > LEAST_DELTA):
        return math.inf
    found = (
        gdp.epsilon_interval(_mu(known, share * delta), outward.down((1.0 - share) * delta, outward.SERIES)).upper
        for share in SHARES
    )
    return min(math.inf if each is None else each for each in found)


def delta_above(known: KnownPairs, epsilon: float) -> float:
    """No less than the delta at this ε; 1 where steps are of other laws."""
    if not _asked(known):
        return 1.0

    def above(left: float) -> float:
        found = gdp.delta_interval(_mu(known, left), epsilon).upper
        return outward.up(left + (1.0 if found is None else found), outward.SERIES)

    near = min(LEFT.tolist(), key=above)
    return min(above(min(near * factor, 0.5)) for factor in AROUND.tolist())


def _asked(known: KnownPairs) -> bool:
    return all(type(pair.remove) is GroupLoss for pair, _ in known)


def _mu(known: KnownPairs, left: float) -> float:
    """From above, what μ exceeds with this probability at most."""
    laws = [(pair.remove, count) for pair, count in known if isinstance(pair.remove, GroupLoss)]
    rows = [((law.components[0] / law.noise_multiplier) ** 2, law, count) for law, count in laws]
    tilts = TILTS / max(float(terms[-1]) for terms, _, _ in rows)
    squares, logs = 0.0, np.zeros(len(tilts))
    for terms, law, count in rows:
        squares += count * float(terms[-1])
        exponents = tilts[:, None] * terms + np.log(law.components[1] + LEFT_OUT)
        top = exponents.max(axis=1)
        logs += count * (top + np.log(np.exp(exponents - top[:, None]).sum(axis=1)))
        logs += count * (law.weight_off + outward.SERIES * (1.0 + np.abs(top)))
    left = outward.down(left, outward.SERIES) - sum(count for _, _, count in rows) * LEFT_OUT
    least = float(np.min((logs - math.log(left)) / tilts)) if left > 0.0 else math.inf
    return math.sqrt(outward.up(min(least, squares), outward.SERIES))
