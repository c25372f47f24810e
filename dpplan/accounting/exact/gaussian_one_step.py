"""Stage 3, invert: one step, in closed form.

remove: delta(ε) = P[x > x*] - e^ε·Q[x > x*] with r(x*) = e^ε, P = (1 - q)·N(0, σ²) + q·N(1, σ²), Q = N(0, σ²).
add:    delta(ε) = Q[x < x*] - e^ε·P[x < x*] with r(x*) = e^-ε, where ε < -log(1 - q); 0 beyond.
Both events are the optimal ones (Neyman-Pearson), so the values are exact up to rounding, which is bounded.
"""

import decimal
import math
from collections.abc import Callable

from dpplan.accounting.exact.contour.privacy_loss import Direction
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.numerics.normal import log_normal_tail as _log_tail

EPS = 2.0**-52
LOG_TINY = -700.0  # smaller figures lose their digits
# Of ε: so near to the largest loss of the add direction all is worked out in decimals, so many beside twice those of
# q: the float next to it is 16 digits away or some more, and ε = q by no more than q, relative.
NEAR_THE_END, DIGITS = 1e-3, 80
LEAST = 1e-305  # for what is above 0 and hardly a float: its logarithm is below LOG_TINY


def delta_ends(sigma: float, q: float, direction: Direction, epsilon: float) -> tuple[float, float]:
    """(lower, upper) around delta(ε) of one step in one direction, ε >= 0."""
    if direction is Direction.REMOVE:
        e = _remove_place(q, epsilon)
        place = 0.5 + sigma * sigma * e
        # q·[tail of the shifted] - (e^ε - 1 + q)·[tail of the centred]; e^ε - 1 + q = q·e^e
        gain = math.log(q) + _log_tail((place - 1.0) / sigma)
        loss = math.log(q) + e + _log_tail(place / sigma)
        slack = _slack(gain, loss, place / sigma) + 4.0 * EPS * (e + abs(math.log(q)))
    else:
        kept, rounding = _kept(q, epsilon)
        if kept <= 0.0:
            return 0.0, 0.0
        e = math.log(kept) - epsilon - math.log(q)
        place = 0.5 + sigma * sigma * e
        gain = math.log(kept) + _log_tail(-place / sigma)
        loss = epsilon + math.log(q) + _log_tail((1.0 - place) / sigma)
        # Of log(kept): it moves the place of the event too, which is optimal, so that only its square shows; counted in
        # full all the same.
        moved = rounding * sigma * (1.0 + abs(place) / sigma)
        slack = rounding + moved + _slack(gain, loss, place / sigma) + 4.0 * EPS * (abs(e) + abs(math.log(q)))
    if max(gain, loss) < LOG_TINY:
        return 0.0, math.exp(LOG_TINY)
    top = math.exp(gain)
    bottom = math.exp(loss)
    error = slack * (top + bottom)
    return max(top - bottom - error, 0.0), max(top - bottom, 0.0) + error


def _remove_place(q: float, epsilon: float) -> float:
    """e(x*): log(1 + (e^ε - 1)/q), as a logarithm of its own where the quotient is no float."""
    grown = math.expm1(min(epsilon, 700.0)) / q
    if q >= 1.0 or epsilon == 0.0:
        return epsilon
    return math.log1p(grown) if epsilon < 700.0 and grown < math.inf else epsilon - math.log(q)


def _kept(q: float, epsilon: float) -> tuple[float, float]:
    """1 - e^ε·(1 - q), 0 from the largest loss on, and how far it may be off, relative.

    Of its exponent ε + log(1 - q) each term is off by units of its own, which near the end of the range are more than
    what is left of their sum: there all is worked out in decimals, and where the range ends is decided by them.
    """
    if q >= 1.0:
        return 1.0, 0.0
    log_rest = math.log1p(-q)
    if epsilon + log_rest < -NEAR_THE_END * epsilon:
        kept = -math.expm1(epsilon + log_rest)
        return kept, EPS * (8.0 + (epsilon - 4.0 * log_rest) * (1.0 - kept) / kept)
    if epsilon + log_rest > NEAR_THE_END * epsilon:
        return 0.0, 0.0
    with decimal.localcontext(decimal.Context(prec=DIGITS - 2 * math.floor(math.log10(q)))):
        rest = 1 - decimal.Decimal(epsilon).exp() * (1 - decimal.Decimal(q))
        return max(float(rest), LEAST) if rest > 0 else 0.0, 8.0 * EPS


def _slack(gain: float, loss: float, place: float) -> float:
    """Rounding of both terms, relative: of their logarithms, and of the event's place [σ], which moves the logarithm
    of a tail by its hazard rate, at most 1 + place."""
    return EPS * (16.0 + 4.0 * (abs(gain) + abs(loss)) + 8.0 * abs(place) * (1.0 + abs(place)))


def epsilon_ends(sigma: float, q: float, direction: Direction, delta: float) -> tuple[float, float]:
    """(lower, upper) around the ε of one step in one direction: bisection on the closed form, to the last few bits."""
    lower, _ = _turn(lambda e: delta_ends(sigma, q, direction, e)[0] >= delta)
    _, upper = _turn(lambda e: delta_ends(sigma, q, direction, e)[1] > delta)
    return lower, upper


def _turn(above: Callable[[float], bool]) -> tuple[float, float]:
    """(last value where `above` holds, first where it does not) for a predicate that turns from true to false."""
    if not above(0.0):
        return 0.0, 0.0
    low, high = 0.0, 1e-12
    while above(high):
        low, high = high, high * 4.0
        if high > 1e15:
            return low, math.inf
    turn = first_true(lambda epsilon: not above(epsilon), low, high)
    return turn.false, turn.true
