"""The rows of a strategy C, one step after the other, and whether noise can be made of it as the steps come.

w = C⁻¹z is solved for row by row, w_t = (z_t - Σ C_tj w_j) / C_tt, and remembers as many vectors as C has bands less
one. Rounding leaves C w = z with an error of 1e-16 Σ |C_tj w_j|: where C⁻¹ makes this sum 1e16 times z, what is added
is not the noise of the claim.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dpplan.accounting.numerics import Array
from dpplan.accounting.pairs.participation_sensitivity import square_root_coefficients
from dpplan.checks import show
from dpplan.errors import RecipeError
from dpplan.mechanism import MatrixNoise, Mechanism, ToeplitzNoise
from dpplan.plan import Phase

LARGEST = 1e6  # of Σ |C_tj w_j|, in deviations of z: then rounding is a billionth of z
PATHS = 32  # of w, that are tried


@dataclass(frozen=True)
class StrategyRows:
    """coefficients: of a C that is the same along its diagonals; entries: of any other, a row for each step, each from
    the diagonal to the left."""

    coefficients: tuple[float, ...] = ()
    entries: Array | None = field(default=None)

    @property
    def bands(self) -> int:
        return len(self.coefficients) if self.entries is None else self.entries.shape[1]

    def row(self, step: int) -> Sequence[float]:
        """Of this step, counted from 0: from the diagonal to the left, no further than the first column."""
        if self.entries is None:
            return self.coefficients[: step + 1]
        found: list[float] = self.entries[step, : step + 1].tolist()
        return found


def rows_of(mechanism: Mechanism, steps: int) -> StrategyRows | None:
    """None of noise that is made otherwise, or not here."""
    if type(mechanism) is ToeplitzNoise:
        if mechanism.bands is not None:
            return StrategyRows(square_root_coefficients(min(mechanism.bands, steps)))
        return StrategyRows(mechanism.coefficients[:steps])
    if type(mechanism) is MatrixNoise:
        return StrategyRows(entries=np.array(mechanism.entries).reshape(-1, mechanism.bands)[:, ::-1])
    return None


def check(phase: Phase) -> None:
    """Raises RecipeError for a strategy of which floats cannot make noise."""
    rows = rows_of(phase.mechanism, phase.steps)
    if rows is not None and not isinstance(phase.mechanism, MatrixNoise) and rows.bands == 1:
        return
    if rows is not None and (worst := _largest(rows, phase.steps)) > LARGEST:
        raise RecipeError(
            f"privacy.noise: parts of the noise of a step would be {worst:.2g} times as large as the noise, since C⁻¹ "
            "grows from step to step, and floats would lose it in them. Take a strategy whose inverse stays small."
        )


def check_memory(phase: Phase, parameters: int, room: int | None) -> None:
    """Raises RecipeError where what a step takes back of earlier noise is more than the device has room for."""
    rows = rows_of(phase.mechanism, phase.steps)
    needed = 0 if rows is None else 8 * parameters * (rows.bands - 1)
    if room is not None and needed > room:
        steps = show(needed // (8 * parameters))
        raise RecipeError(
            f"privacy.noise: of {parameters} parameters the noise of the {steps} steps before "
            f"each is remembered, {needed / 1e9:.3g} GB, and the device has {room / 1e9:.3g} GB. Take fewer bands."
        )


def _largest(rows: StrategyRows, steps: int) -> float:
    """The largest such sum on some paths of w, in deviations of z."""
    rng, worst = np.random.default_rng(0), 0.0
    last = np.zeros((max(rows.bands - 1, 1), PATHS))  # the latest first
    for step in range(steps):
        row = np.array(rows.row(step))
        before = last[: len(row) - 1]
        w = (rng.standard_normal(PATHS) - row[1:] @ before) / row[0]
        parts = np.abs(row[0] * w) + np.abs(row[1:]) @ np.abs(before)
        worst = max(worst, float(np.max(parts)))
        if not worst <= LARGEST:
            return worst
        last[1:] = last[:-1]
        last[0] = w
    return worst
