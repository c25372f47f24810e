"""Slow, plain, high-precision answers to test against. Imports nothing from dpplan.

Notation: q = sample rate, s = noise multiplier, a = Rényi order; Q = N(0, s²), P = (1 − q)·N(0, s²) + q·N(1, s²),
r = dP/dQ. Every function returns an mpmath number good to 15 digits or more unless it says otherwise.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from mpmath import mp, mpc, mpf

_NODES, _WEIGHTS = (array.tolist() for array in np.polynomial.legendre.leggauss(28))


def renyi_divergence(q: float, s: float, a: float) -> mpf:
    """D_a(P‖Q) for real a > 1."""
    with mp.workdps(60):
        return mp.log1p(excess_moment(q, s, a)) / (mpf(a) - 1)


def reverse_renyi_divergence(q: float, s: float, a: float) -> mpf:
    """D_a(Q‖P) for real a > 1, from E_Q[r^{1−a}]."""
    with mp.workdps(60):
        return mp.log1p(excess_moment(q, s, 1 - mpf(a))) / (mpf(a) - 1)


def excess_moment(q: float, s: float, a: float) -> mpf:
    """E_Q[r^a] − 1 for real a outside [0, 1], by Gauss–Legendre panels on E_Q[r^a − 1 − a(r − 1)]."""
    with mp.workdps(45):
        q, s, a = mpf(q), mpf(s), mpf(a)

        def integrand(x: mpf) -> mpf:
            u = q * mp.expm1((2 * x - 1) / (2 * s * s))
            return (mp.exp(a * mp.log1p(u)) - 1 - a * u) * mp.exp(-x * x / (2 * s * s))

        return _integrate(integrand, _panels(q, s, a)) / (s * mp.sqrt(2 * mp.pi))


def kl_divergence(q: float, s: float) -> mpf:
    """KL(P‖Q) = E_Q[r·log r − (r − 1)]."""
    with mp.workdps(45):
        q, s = mpf(q), mpf(s)

        def integrand(x: mpf) -> mpf:
            u = q * mp.expm1((2 * x - 1) / (2 * s * s))
            return ((1 + u) * mp.log1p(u) - u) * mp.exp(-x * x / (2 * s * s))

        return _integrate(integrand, _panels(q, s, mpf(2))) / (s * mp.sqrt(2 * mp.pi))


def whole_excess_moment(q: float, s: float, a: int) -> mpf:
    """E_Q[r^a] − 1 for a whole a >= 2, from the binomial theorem."""
    with mp.workdps(60):
        q, s = mpf(q), mpf(s)
        term, total = (1 - q) ** a, mpf(0)
        for k in range(1, a + 1):
            term *= q / (1 - q) * (a - k + 1) / k
            total += term * mp.expm1(mpf(k * (k - 1)) / (2 * s * s))
        return total


def gaussian_log_delta(mu: float, epsilon: float) -> mpf:
    """log of Φ(μ/2 − ε/μ) − e^ε·Φ(−μ/2 − ε/μ)."""
    with mp.workdps(120):
        mu, epsilon = mpf(mu), mpf(epsilon)
        upper, lower = (epsilon / mu - mu / 2) / mp.sqrt(2), (epsilon / mu + mu / 2) / mp.sqrt(2)
        return mp.log(mp.erfc(upper) / 2 - mp.exp(epsilon) * mp.erfc(lower) / 2)


def randomized_response_delta(step_epsilon: float, steps: int, epsilon: float) -> mpf:
    """δ(ε) of `steps` answers of randomized response, by summing over all outcomes."""
    with mp.workdps(60):
        step_epsilon, epsilon = mpf(step_epsilon), mpf(epsilon)
        p = 1 / (1 + mp.exp(-step_epsilon))
        total = mpf(0)
        for heads in range(steps + 1):
            loss = (2 * heads - steps) * step_epsilon
            if loss > epsilon:
                mass = mp.binomial(steps, heads) * p**heads * (1 - p) ** (steps - heads)
                total += mass * -mp.expm1(epsilon - loss)
        return total


def log_binomial_pmf(k: int, n: int, p: mpf) -> mpf:
    with mp.workdps(60):
        log_choose = mp.loggamma(n + 1) - mp.loggamma(k + 1) - mp.loggamma(n - k + 1)
        return log_choose + k * mp.log(p) + (n - k) * mp.log1p(-p)


def _integrate(function: Callable[[mpf], mpf], edges: list[mpf]) -> mpf:
    total = mpf(0)
    for left, right in pairwise(edges):
        middle, half = (left + right) / 2, (right - left) / 2
        total += half * mp.fsum(w * function(middle + half * x) for x, w in zip(_NODES, _WEIGHTS, strict=True))
    return total


def _panels(q: mpf, s: mpf, a: mpf) -> list[mpf]:
    """Panel edges 3s apart where the integrand lives, closer near x₀, below which r has its zeros x₀ ± iπs²."""
    low, high = -16 * s, max(abs(a), mpf(2)) + 16 * s
    if s > 3 and high - low < 3000 * s:
        count = int((high - low) / (3 * s)) + 1
        return [low + (high - low) * k / count for k in range(count + 1)]
    turn = s * s * mp.log(1 / q - 1) + mpf(1) / 2
    edges, width, offset = {turn}, min(s * s, 3 * s), mpf(0)
    while offset < 40 * s + 60 * s * s:
        offset += width
        edges |= {turn + offset, turn - offset}
        width = min(2 * width, 3 * s)
    # The integrand r^a·Q peaks where x = a·q·e^t/r; nothing but the turn lies between its peaks.
    centres = [mpf(0), mpf(2), max(abs(a), mpf(2))]
    for start in (mpf(0), abs(a)):
        x = start
        for _ in range(100):
            x = abs(a) / (1 + (1 / q - 1) * mp.exp((1 - 2 * x) / (2 * s * s)))
        centres.append(x)
    edges |= {centre + k * 3 * s for centre in centres for k in range(-6, 7)}
    kept = [low]
    for edge in sorted(edges):
        if edge - kept[-1] > min(s, s * s) / 5 and edge < high:
            kept.append(edge)
    return [*kept, high]


def step_delta(q: float, s: float, epsilon: mpf) -> mpf:
    """δ(ε) of one step, remove direction, at any real ε: H_{e^ε}((1 − q)·N(0, σ²) + q·N(1, σ²) ‖ N(0, σ²))."""
    alpha = mp.exp(epsilon)
    if alpha <= 1 - mpf(q):
        return 1 - alpha
    place = mpf(1) / 2 + mpf(s) ** 2 * mp.log1p((alpha - 1) / mpf(q))
    return mpf(q) * _tail((place - 1) / mpf(s)) - (alpha - 1 + mpf(q)) * _tail(place / mpf(s))


def two_step_delta(q: float, s: float, epsilon: float) -> mpf:
    """δ(ε) of two steps, remove direction: the second step's δ at what the first has left, integrated."""
    qq, ss = mpf(q), mpf(s)

    def first(x: mpf) -> mpf:
        ratio = 1 - qq + qq * mp.exp((2 * x - 1) / (2 * ss**2))
        density = mp.npdf(x, 0, ss) * ratio
        return density * step_delta(q, s, mpf(epsilon) - mp.log(ratio))

    # The second step's δ meets 1 - α where e^(ε - loss) = 1 - q, flatly but not smoothly: panels shrink towards it.
    kink = mpf(1) / 2 + ss**2 * mp.log((mp.exp(mpf(epsilon)) / (1 - qq) - 1 + qq) / qq)
    close = [kink + sign * ss * mpf(10) ** -k for k in range(9) for sign in (-1, 1)]
    wide = [mpf(k) * ss for k in range(-14, 15)] + [1 + mpf(k) * ss for k in range(-13, 14)]
    return _integrate(first, sorted([kink, *close, *wide]))


def contour_delta(q: float, s: float, steps: int, epsilon: float, tilt: float, scale: float) -> mpf:
    """δ(ε) of many steps, remove direction: the contour integral on Re z = tilt by a plain trapezoid sum.

    scale: about the standard deviation of the tilted loss. Sums over 40 / scale in frequency with a period of
    60·scale in loss, and over x with a step far below what these need: for plans whose transform is Gaussian.
    """
    qq, ss, t = mpf(q), mpf(s), mpf(tilt)
    h, top = 2 * mp.pi / (60 * mpf(scale)), 16 / scale
    step = min(s / 5, 6 * s * s / (top + 30))
    low, high = -13 * s, 1 + tilt + 13 * s
    nodes = [mpf(low) + k * mpf(step) for k in range(int((high - low) / step) + 1)]
    losses = [mp.log(1 - qq + qq * mp.exp((2 * x - 1) / (2 * ss**2))) for x in nodes]
    turns = [mp.expj(h * loss) for loss in losses]
    terms = [mp.exp((1 + t) * y) * mp.npdf(x, 0, ss) * mpf(step) for x, y in zip(nodes, losses, strict=True)]
    total = mpf(0)
    for k in range(int(top / float(h)) + 1):
        z = mpc(t, h * k)
        value = mp.fsum(terms) ** steps * mp.exp(-z * mpf(epsilon)) / (z * (z + 1))
        total += value.real / 2 if k == 0 else value.real
        terms = [term * turn for term, turn in zip(terms, turns, strict=True)]
    return total * h / mp.pi


def transforms(
    q: float,
    s: float,
    exponents: list[mpc],
    weight: Callable[[mpf], mpf] | None = None,
    width: float = float("inf"),
    depth: float = 80.0,
) -> list[mpc]:
    """E_Q[c·r^w] for each complex w: a trapezoid sum, whose error is about e^{−depth} of what is summed.

    weight: c(x), a cut or a difference of cuts; width: how far from the real line it may be thought constant.
    """
    a, u = max(float(mp.re(w)) for w in exponents), max(abs(float(mp.im(w))) for w in exponents)
    lowest = min(float(mp.re(w)) for w in exponents)
    height = min(2.5 * s * s, 8 * s, 5 * width)
    step = 2 * np.pi * height / (depth + u * height / s**2 + (height / s) ** 2 + (height / width) ** 2)
    low, high = min(lowest, 0) - 16 * s, max(a, 2) + 16 * s
    totals = [mpc(0)] * len(exponents)
    qq, ss = mpf(q), mpf(s)
    for k in range(int((high - low) / step) + 1):
        x = mpf(low) + k * mpf(step)
        loss = mp.log1p(qq * mp.expm1((2 * x - 1) / (2 * ss**2)))
        mass = mp.exp(-x * x / (2 * ss**2)) * (weight(x) if weight is not None else 1)
        totals = [total + mass * mp.exp(w * loss) for total, w in zip(totals, exponents, strict=True)]
    return [total * mpf(step) / (ss * mp.sqrt(2 * mp.pi)) for total in totals]


def normal_tail(x: mpf) -> mpf:
    """P[N(0, 1) > x]."""
    return _tail(mpf(x))


def _tail(x: mpf) -> mpf:
    return mp.erfc(x / mp.sqrt(2)) / 2
