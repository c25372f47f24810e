"""δ at small ε, where steps with jumps are rare: from a contour over jumps that is put at a larger ε.

Near ε = 0 there is no jump to be told from what is none, and no such contour is short. One that is put farther out
proves an interval at every ε (inversion), which is narrow on the left of its place. It says what the other direction's
δ is, too: with the loss of either direction minus that of the other, δ_add(ε) = 1 - e^ε·(1 - δ_remove(-ε)).
"""

from collections.abc import Callable

import numpy as np

from dpplan.accounting.exact.contour.inversion import Contour
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.rare_jumps import cut_choice
from dpplan.accounting.numerics import Array, outward

# How much farther contours are tried, in units of how often a record is drawn: the losses of paths without a jump are
# of that size. Beyond the first of them, or in the add direction the last, where δ is 0, none is asked for.
FARTHER = (0.15, 0.3, 0.6, 1.2)
MIRRORED = 16.0 * outward.UNIT  # of 1 and of e^ε: an exponential, a product, two differences


def mirrored(epsilons: Array, at: Callable[[Array], tuple[Array, Array]]) -> tuple[Array, Array]:
    """Ends of δ in one direction at each of these ε, from what is proven of the other one at -ε."""
    low, high = at(-epsilons)
    grown = np.exp(epsilons)
    spare = MIRRORED * (1.0 + grown)
    return 1.0 - grown * (1.0 - low) - spare, 1.0 - grown * (1.0 - high) + spare


def ends(
    steps: Steps, direction: Direction, epsilon: float, log_floor: Callable[[float], float], goal: float
) -> tuple[float, float, Contour] | None:
    """lower, upper and the contour of the remove direction that proves them: the first as narrow as the goal, relative,
    or the narrowest. None where there is none. log_floor: of a lower bound on δ in the remove direction at an ε."""
    drawn = float((steps.count * steps.q).sum())
    if epsilon > (FARTHER[0] if direction is Direction.REMOVE else FARTHER[-1]) * drawn:
        return None
    best: tuple[float, float, Contour] | None = None
    for share in FARTHER:
        place, asked = share * drawn + (epsilon if direction is Direction.REMOVE else 0.0), np.array([epsilon])
        contour = cut_choice.contour(steps, place, cut_choice.guess_log_delta(steps, place, log_floor(place)))
        if contour is None:
            continue
        low, high = contour.ends(asked) if direction is Direction.REMOVE else mirrored(asked, contour.ends)
        if low[0] <= high[0] and (best is None or high[0] - low[0] < best[1] - best[0]):  # not where either is NaN
            best = max(float(low[0]), 0.0), float(high[0]), contour
            if best[1] - best[0] <= goal * best[1]:
                break
    return best
