"""Stage 3, invert: one step, in closed form.

remove: delta(ε) = P[x > x*] - e^ε·Q[x > x*] with r(x*) = e^ε, P = (1 - q)·N(0, σ²) + q·N(1, σ²), Q = N(0, σ²).
add:    delta(ε) = Q[x < x*] - e^ε·P[x < x*] with r(x*) = e^-ε, where ε < -log(1 - q); 0 beyond.
Both events are the optimal ones (Neyman-Pearson), so the values are exact up to rounding, which is bounded.
"""

import math

from dpplan.accounting.exact.law import Direction, normal_tail

EPS = 2.0**-52


def delta_ends(sigma: float, q: float, direction: Direction, epsilon: float) -> tuple[float, float]:
    """(lower, upper) around delta(ε) of one step in one direction, ε >= 0."""
    if direction is Direction.REMOVE:
        e = epsilon if q >= 1.0 else math.log1p(math.expm1(min(epsilon, 700.0)) / q) if epsilon < 700.0 else epsilon
        if epsilon >= 700.0 and q < 1.0:
            e = epsilon - math.log(q)
        place = 0.5 + sigma * sigma * e
        # q·[tail of the shifted] - (e^ε - 1 + q)·[tail of the centred]; e^ε - 1 + q = q·e^e
        gain = math.log(q) + _log_tail((place - 1.0) / sigma)
        loss = math.log(q) + e + _log_tail(place / sigma)
        slack = EPS * (16.0 + 4.0 * (abs(gain) + abs(loss)) + (place / sigma) ** 2)
    else:
        if q < 1.0 and epsilon >= -math.log1p(-q):
            return 0.0, 0.0
        kept = -math.expm1(epsilon + math.log1p(-q)) if q < 1.0 else 1.0  # 1 - e^ε(1 - q)
        if kept <= 0.0:
            return 0.0, 0.0
        e = math.log(kept) - epsilon - math.log(q)
        place = 0.5 + sigma * sigma * e
        gain = math.log(kept) + _log_tail(-place / sigma)
        loss = epsilon + math.log(q) + _log_tail((1.0 - place) / sigma)
        rounding = EPS * (8.0 + epsilon) * (1.0 + (1.0 - kept) / kept)  # of log(kept), near the end of the range
        slack = rounding + EPS * (16.0 + 4.0 * (abs(gain) + abs(loss)) + (place / sigma) ** 2)
    top = math.exp(gain)
    bottom = math.exp(loss)
    error = slack * (top + bottom)
    return max(top - bottom - error, 0.0), max(top - bottom, 0.0) + error


def _log_tail(x: float) -> float:
    """log P[N(0,1) > x] to a few units in the last place."""
    if x < 25.0:
        return math.log(normal_tail(x))
    # Continued fraction for Mills' ratio (Abramowitz, Stegun 26.2.14); at x >= 25, 12 terms are exact.
    fraction = x
    for k in range(12, 0, -1):
        fraction = x + k / fraction
    return -0.5 * x * x - math.log(fraction) - 0.5 * math.log(2.0 * math.pi)
