"""δ at small ε, and ε where δ is near what it is at 0, where steps with jumps are rare: from a contour over jumps that
is put at a larger ε.

Near ε = 0 there is no jump to be told from what is none, and no such contour is short. One that is put farther out
proves an interval at every ε (delta_interval), which is narrow on the left of its place. It says what the other
direction's δ is, too: with the loss of either direction minus that of the other, δ_add(ε) = 1 - e^ε·(1 - δ_remove(-ε)).
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from dpplan.accounting.exact.contour.delta_interval import Contour
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.rare_jumps import cut_choice
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.bisection import first_true

# How much farther contours are tried, in units of how often a record is drawn: the losses of paths without a jump are
# of that size. Beyond the first of them, or in the add direction the last, where δ is 0, none is asked for.
FARTHER = (0.15, 0.3, 0.6, 1.2)
# More than so many records drawn on average are no rare jumps.
MOST_DRAWN = 0.02
RESOLVED = 1e-10  # of an ε, relative: what a search leaves open
# Of 1 and of e^ε: an exponential, a product, two differences; and what a sum with aliases takes off before, of about
# the same size (contour.reverse_direction), three differences more.
MIRRORED = 16.0 * outward.UNIT


def mirrored(epsilons: Array, at: Callable[[Array], tuple[Array, Array]]) -> tuple[Array, Array]:
    """Ends of δ in one direction at each of these ε, from what is proven of the other one at -ε."""
    low, high = at(-epsilons)
    grown = np.exp(epsilons)
    spare = MIRRORED * (1.0 + grown)
    return 1.0 - grown * (1.0 - low) - spare, 1.0 - grown * (1.0 - high) + spare


def drawn(steps: Steps) -> float:
    """How often a record is drawn, on average."""
    return float((steps.count * steps.q).sum())


def ends(
    steps: Steps, direction: Direction, epsilon: float, log_floor: Callable[[float], float], goal: float
) -> tuple[float, float, Contour] | None:
    """lower, upper and the contour of the remove direction that proves them: the first as narrow as the goal, relative,
    or the narrowest. None where there is none. log_floor: of a lower bound on δ in the remove direction at an ε."""
    if epsilon > (FARTHER[0] if direction is Direction.REMOVE else FARTHER[-1]) * drawn(steps):
        return None
    best: tuple[float, float, Contour] | None = None
    for contour in _farther(steps, epsilon if direction is Direction.REMOVE else 0.0, log_floor):
        low, high = _delta_at(contour, direction, epsilon)
        if low <= high and (best is None or high - low < best[1] - best[0]):  # not where either is NaN
            best = max(low, 0.0), high, contour
            if best[1] - best[0] <= goal * best[1]:
                break
    return best


def epsilon_ends(
    steps: Steps, direction: Direction, delta: float, log_floor: Callable[[float], float], goal: float
) -> tuple[float, float, Contour] | None:
    """As `ends`, of the ε at this δ. None where no upper end was found, or ε is too far out."""
    if drawn(steps) > MOST_DRAWN:
        return None
    lower, upper, best = 0.0, FARTHER[-1] * drawn(steps), None
    for contour in _farther(steps, 0.0, log_floor):
        at = partial(_delta_at, contour, direction)
        found = crossing(at, delta, FARTHER[-1] * drawn(steps))
        lower = max(lower, found[0])
        if found[1] < upper or best is None:
            upper, best = min(upper, found[1]), contour
        if upper - lower <= goal * upper or lower > FARTHER[0] * drawn(steps):
            break
    return (lower, upper, best) if best is not None and upper < FARTHER[-1] * drawn(steps) else None


def crossing(at: Callable[[float], tuple[float, float]], delta: float, most: float) -> tuple[float, float]:
    """The largest ε found at which δ is at least that, 0 if there is none, and the least at which it is at most that:
    `most` if there is none. Each is proven by what was seen there."""
    if at(0.0)[1] <= delta:
        return 0.0, 0.0
    lower = 0.0
    if at(0.0)[0] >= delta:
        lower = first_true(lambda epsilon: not at(epsilon)[0] >= delta, 0.0, most, relative=RESOLVED).false
    upper = first_true(lambda epsilon: at(epsilon)[1] <= delta, lower, most, relative=RESOLVED).true
    return lower, upper


def _farther(steps: Steps, beyond: float, log_floor: Callable[[float], float]) -> Iterator[Contour]:
    """Contours over jumps farther out than this ε, where there are any."""
    for share in FARTHER:
        place = share * drawn(steps) + beyond
        contour = cut_choice.contour(steps, place, cut_choice.guess_log_delta(steps, place, log_floor(place)))
        if contour is not None:
            yield contour


def _delta_at(contour: Contour, direction: Direction, epsilon: float) -> tuple[float, float]:
    """Ends of δ at this ε."""
    asked = np.array([epsilon])
    low, high = contour.ends(asked) if direction is Direction.REMOVE else mirrored(asked, contour.ends)
    return float(low[0]), float(high[0])
