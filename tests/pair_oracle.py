"""Slow, plain, high-precision delta(ε) of composed pairs to test against. Imports nothing from dpplan.

All are of the form δ(ε) = E[(1 - e^(ε - Y))₊] over the composed loss Y, plus the probability of Y = inf.
"""

import functools
from collections.abc import Callable, Iterator, Sequence

from mpmath import mp, mpc, mpf

DIGITS = 50


def precise(function: Callable[..., mpf]) -> Callable[..., mpf]:
    """Its arithmetic, and that of the moments it is given, to DIGITS."""

    @functools.wraps(function)
    def wrapped(*args: object, **kwargs: object) -> mpf:
        with mp.workdps(DIGITS):
            return function(*args, **kwargs)

    return wrapped


@precise
def atoms_delta(atoms: Sequence[tuple[mpf, mpf]], steps: int, epsilon: float) -> mpf:
    """Of `steps` independent losses with these (loss, probability), by summing over all multinomial outcomes; the
    probabilities may add up to less than 1: the rest is at loss inf."""
    infinite = 1 - mp.fsum(mass for _, mass in atoms) ** steps
    losses, logs = [y for y, _ in atoms], [mp.log(mass) for _, mass in atoms]
    log_factorials = [mpf(0)]
    for n in range(1, steps + 1):
        log_factorials.append(log_factorials[-1] + mp.log(n))
    total = mpf(0)
    for counts in _compositions(steps, len(atoms)):
        loss = mp.fdot(zip(counts, losses, strict=True))
        if loss > epsilon:
            log_mass = log_factorials[steps] - mp.fsum(log_factorials[n] for n in counts)
            total += mp.exp(log_mass + mp.fdot(zip(counts, logs, strict=True))) * -mp.expm1(mpf(epsilon) - loss)
    return infinite + total


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)


def lattice_delta(masses: Sequence[mpf], low: int, unit: mpf, steps: int, epsilon: float) -> mpf:
    """Of `steps` independent losses at low·unit, (low + 1)·unit, ... with these masses; what they lack of 1 is at inf.

    The sum lies on N points, so that E[(1 - e^(ε - Y))₊] is a sum over the N-th roots of unity, which takes the tilt at
    which it is smallest and is left where what is missing is below 1e-45 of it; each root's two geometric series are
    exact. The masses are to be known to 80 digits, and to lie on no coarser lattice.
    """
    with mp.workdps(80):
        epsilon, points = mpf(epsilon), ((len(masses) - 1) * steps + 1) | 1  # odd: each root but 1 has its conjugate
        first, last = int(mp.floor(epsilon / unit)) + 1, (low + len(masses) - 1) * steps

        def log_power(z: mpc) -> mpc:
            return steps * (mp.log(mp.polyval(masses[::-1], mp.exp(z))) + low * z)

        slope = mpf(10) ** -20
        below, above = mpf(0), mpf(64)
        while above - below > mpf(10) ** -3:
            middle = (below + above) / 2
            rising = log_power(middle + slope).real - log_power(middle).real > slope * first
            below, above = (below, middle) if rising else (middle, above)
        tilt = max(below, mpf(10) ** -3)
        fall = mp.exp(-unit)
        falls = mp.exp(epsilon) * fall**first, mp.exp(epsilon) * fall ** (last + 1)
        total, top = mpf(0), log_power(tilt).real
        for k in range(points // 2 + 1):
            z = mpc(tilt, 2 * mp.pi * k / points)
            power = log_power(z)
            if power.real < top - 110:
                break
            front, back, turn = mp.exp(power - z * first), mp.exp(power - z * (last + 1)), mp.exp(-z)
            series = (front - back) / (1 - turn) - (falls[0] * front - falls[1] * back) / (1 - fall * turn)
            total += series.real if k == 0 else 2 * series.real
        return 1 - mp.fsum(masses) ** steps + total / points


@precise
def stated_delta(step_epsilon: float, step_delta: float, steps: int, epsilon: float) -> mpf:
    """Of `steps` mechanisms that are (ε₀, δ₀)-private and no more (Kairouz, Oh, Viswanath 2015)."""
    e, kept = mpf(step_epsilon), 1 - mpf(step_delta)
    return atoms_delta([(e, kept / (1 + mp.exp(-e))), (-e, kept / (1 + mp.exp(e)))], steps, epsilon)


@precise
def one_laplace_delta(scale: float, epsilon: float) -> mpf:
    """1 - e^((ε - 1/b)/2) for |ε| <= 1/b."""
    e = 1 / mpf(scale)
    if epsilon >= e:
        return mpf(0)
    return -mp.expm1((mpf(epsilon) - e) / 2) if epsilon >= -e else -mp.expm1(mpf(epsilon))


@precise
def laplace_delta(scale: float, steps: int, epsilon: float) -> mpf:
    """Of a few steps, exactly. With e = 1/b one step's loss has the law

        e^(y/2 - e/2)·(½(shift by e + shift by -e) + ¼(shift by e - shift by -e)·I),

    I turning a point mass at s into density 1 below s. So k densities and T - k points are polynomials below shifts."""
    with mp.workdps(60 + 2 * steps):
        e, eps, total = 1 / mpf(scale), mpf(epsilon), mpf(0)
        for k in range(steps + 1):
            for j in range(steps + 1):  # j shifts by e, the others by -e
                shift = (2 * j - steps) * e
                if shift <= eps:
                    continue
                # of (x + y)^(T - k)·(x - y)^k the coefficient of x^j·y^(T - j)
                sign = mp.fsum(
                    (-1) ** (k - i) * mp.binomial(k, i) * mp.binomial(steps - k, j - i)
                    for i in range(max(0, j - steps + k), min(k, j) + 1)
                )
                total += mp.binomial(steps, k) * mpf(2) ** (-steps - k) * sign * _below(shift, k, eps)
        return mp.exp(-steps * e / 2) * total


def _below(shift: mpf, power: int, epsilon: mpf) -> mpf:
    """∫_ε^s (e^(y/2) - e^(ε - y/2))·(s - y)^(k - 1)/(k - 1)! dy; at k = 0 the value at s."""
    if power == 0:
        return mp.exp(shift / 2) - mp.exp(epsilon - shift / 2)
    width = shift - epsilon
    falling = mp.exp(shift / 2) * mpf(2) ** power * mp.gammainc(power, 0, width / 2, regularized=True)
    # ∫_0^w e^(v/2)·v^(k - 1)/(k - 1)! dv, by its series: every term is positive
    term, rising, n = width**power / mp.factorial(power), mpf(0), 0
    while term > rising * mpf(10) ** -(mp.dps + 5):
        rising += term
        n += 1
        term *= width / 2 / n * mpf(power + n - 1) / (power + n)
    return falling - mp.exp(epsilon - shift / 2) * rising


def laplace_moment(scale: float) -> Callable[[mpc], mpc]:
    """M(z) = E[e^(z·loss)] of one step."""

    def moment(z: mpc) -> mpc:
        e = 1 / mpf(scale)
        return ((z + 1) * mp.exp(z * e) + z * mp.exp(-(z + 1) * e)) / (2 * z + 1)

    return moment


def gaussian_moment(sigma: float) -> Callable[[mpc], mpc]:
    return lambda z: mp.exp(z * (z + 1) / (2 * mpf(sigma) ** 2))


@precise
def contour_delta(terms: Sequence[tuple[Callable[[mpc], mpc], int]], epsilon: float, depth: float = 75.0) -> mpf:
    """Of many steps with these moments, by the contour integral through the saddle point, as a plain trapezoid sum. For
    products of moments that decay; the sum stops where they have, to e^-depth."""
    eps = mpf(epsilon)

    def exponent(z: mpc) -> mpc:
        return mp.fsum(count * mp.log(moment(z)) for moment, count in terms) - z * eps

    def full(t: mpf) -> mpf:
        return exponent(t).real - mp.log(t) - mp.log(1 + t)

    low, high = mpf(10) ** -4, mpf(10) ** 4
    for _ in range(200):
        first, second = low * (high / low) ** (mpf(1) / 3), low * (high / low) ** (mpf(2) / 3)
        low, high = (low, second) if full(first) < full(second) else (first, high)
    t = mp.sqrt(low * high)
    step = t / 1000
    scale = mp.sqrt((full(t + step) - 2 * full(t) + full(t - step)) / step**2)
    h, total, k, top = 2 * mp.pi / (70 * scale), mpf(0), 0, exponent(t).real
    while True:
        z = mpc(t, k * h)
        log_value = mp.fsum(count * mp.log(abs(moment(z))) for moment, count in terms) - t * eps - top
        if log_value < -depth:
            return total * mp.exp(top) * h / mp.pi
        phase = mp.fsum(count * mp.arg(moment(z)) for moment, count in terms) - k * h * eps
        value = (mp.exp(log_value) * mp.expj(phase) / (z * (z + 1))).real
        total += value / 2 if k == 0 else value
        k += 1
