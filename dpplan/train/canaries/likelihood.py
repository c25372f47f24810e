"""How likely what a run released of a canary is with it, against without: the score that tells most.

Where steps share noise, what they release of a canary's coordinate is s = b·u + σ·w: u its steps, w = C⁻¹z. The map
that makes w independent again (`added_noise`, L with L w = z) turns this into b·L u + σ·z, Gaussian noise of its own in
every step. Of u is known: every step; or those of the order, which the claim tells everybody; or, of groups that take
turns, the turns, each of which counts by a coin and moves rows of C that no other one moves.

The theorem that judges these scores asks nothing of them: a canary that is in and one that is out are neighbours of the
plan in each of these samplings, so every score of either obeys the plan's trade-off.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from dpplan.mechanism import multiplier_of
from dpplan.plan import Phase
from dpplan.sampling import CyclicPoisson, Poisson
from dpplan.train.added_noise import BandedTies, ties_of
from dpplan.train.strategy_rows import rows_of

Released = NDArray[np.float64]  # [step, canary], in clip norms


def independent(released: Released, phase: Phase) -> Released:
    """With noise that is independent from step to step, of the planned size where it was of that."""
    ties = ties_of(phase)
    if ties is None:
        return released
    rows = [ties.new_in(step, torch.from_numpy(row.copy())) for step, row in enumerate(released)]
    return np.array([row[0].numpy() for row in rows if row is not None])


def likelihood(seen: Released, taking: NDArray[np.bool_], phase: Phase) -> Released:
    """Of each canary, the logarithm of the ratio, as planned.

    taking: in which steps it takes part; where groups take turns, in which it does if its coin says so.
    """
    if ties_of(phase) is None:
        return _of_independent(seen, phase)
    variance, steady = multiplier_of(phase.mechanism) ** 2, independent(seen, phase)
    if not isinstance(phase.sampling, CyclicPoisson) or not _apart(phase, phase.sampling.groups):
        moved = independent(taking.astype(np.float64), phase)
        return np.asarray((moved * (steady - 0.5 * moved)).sum(0) / variance)
    along, squares = _along_columns(steady, phase)
    exponent = (along - 0.5 * squares[:, np.newaxis]) / variance
    rate = phase.sampling.sample_rate
    coins = np.logaddexp(np.log1p(-rate), np.log(rate) + exponent) if rate < 1.0 else exponent
    return np.asarray(np.where(taking, coins, 0.0).sum(0))


def _apart(phase: Phase, groups: int) -> bool:
    """Whether no two turns of a record share noise; else it is scored as if every coin said yes."""
    rows = rows_of(phase.mechanism, phase.steps)
    return rows is not None and rows.bands <= groups


def _along_columns(steady: Released, phase: Phase) -> tuple[Released, Released]:
    """Of each step, its column of C against what was released, and the square of the column's norm."""
    ties = ties_of(phase)
    assert isinstance(ties, BandedTies)  # the only ones whose turns have a theorem
    along, squares = np.zeros_like(steady), np.zeros(len(steady))
    for step in range(len(steady)):
        for back, entry in enumerate(ties.rows.row(step)):
            along[step - back] += entry * steady[step]
            squares[step - back] += entry * entry
    return along, squares


def _of_independent(seen: Released, phase: Phase) -> Released:
    sigma, scheme = multiplier_of(phase.mechanism), phase.sampling
    exponent = (2.0 * seen - 1.0) / (2.0 * sigma**2)
    rate = scheme.sample_rate if isinstance(scheme, Poisson) else 1.0
    if rate == 1.0:
        return np.asarray(exponent.sum(0))
    return np.asarray(np.logaddexp(np.log1p(-rate), np.log(rate) + exponent).sum(0))
