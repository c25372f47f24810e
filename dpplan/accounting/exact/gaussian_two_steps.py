"""Stage 3, invert: two steps, as one integral of a closed form with every error bounded.

With ℓ = e^ε and the event r₁(x)·r₂(y) > ℓ, delta is its A-mass less ℓ times its B-mass (Neyman-Pearson); likewise with
ℓ = e^-ε and the event below it in the add direction. The event is cut at a point (s₁, s₂) of its border:

    remove  corner {x > s₁, y > s₂}, and one wing left of each: {x < s₁, y above the border} and the reverse.
            delta = wing₁ + wing₂ + corner
    add     {x < s₁, y below the border} and the reverse hold the event, and the corner {x < s₁, y < s₂} twice.
            delta = wing₁ + wing₂ - corner

In either, wing₁ = ∫_{x < s₁} p(x)·q₂·K(y(x)) dx, p = (1 - q₁)·N(0, σ₁²) + q₁·N(1, σ₁²), y(x) the border, and, with
E = e^{e₂(y)} = (ℓ/r₁(x) - 1 + q₂)/q₂, v = (y - 1)/σ₂, Φ̄ the normal tail,

    remove  K = Φ̄(v) - E·Φ̄(y/σ₂)               = ∫₀^∞ (1 - e^{-u/σ₂²})·N(1, σ₂²)(y + u) du
    add     K = (E·Φ̄(-y/σ₂) - Φ̄(-v)) / ℓ       = ∫₀^∞ (e^{u/σ₂²} - 1)·N(1, σ₂²)(y - u) du / ℓ

The point is where both posteriors s = q·e^e/r are equal: there y' = -σ₂²/σ₁², and left of it the border is flatter. So
E stays away from 0, where y(x) would leave the plane, which is why the wings are taken on this side.

Error of the quadrature. Gauss's rule with NODES nodes on panels of half-width l, and a bound on the integrand in the
disc |z - c| <= 2l around a panel's centre, which holds the ellipse of half-axes that add up to ρ·l, ρ = 2 + √3: see
gaussian_lattice/step_law.py for the rule. In the disc, with ϑ = 2l/σ₁² <= 1/2, a = Re z and a⁺ = c + 2l:

- |p(z)| <= p(a)·e^{(2l)²/2σ₁²}, term by term.
- (log E)' = -s₁/(σ₁²·s₂) with 1 - s₁ = (1 - q₁)/r₁ and (1 - s₁)(1 - s₂) = κ² = (1 - q₁)(1 - q₂)/ℓ. As a logistic
  function of e, |s₁(z)| <= s₁(a)/cos(ϑ/2); and |s₂(z)| >= 1 - κ²·|1/(1 - s₁)| >= 1 - κ²/(1 - s₁(a)) = s₂(a), since
  1/(1 - s₁) = 1 + e^{logit}. Both are worst at a⁺, so log E moves by ω = ϑ·s₁(a⁺)/(s₂(a⁺)·cos(ϑ/2)) at most.
- |K(y)| <= K(Re y)·e^{(Im y)²/2σ₂²} by the integral on the right, along a horizontal line; K is monotone; and y moves
  by σ₂²·ω at most.

Left of the panels p holds at most the mass of one normal tail, times K at its largest there.

Symbols: as in gaussian_one_step.py; arrays are [panel, node] or [panel, 1].
"""

import functools
import math

import numpy as np

from dpplan.accounting.exact.contour.delta_interval import DeltaInterval
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps, log_ratio, loss_rounding
from dpplan.accounting.exact.contour.transform_quadrature import EPS
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.normal import half_erfc, normal_tail
from dpplan.quick_dataclass import dataclass

NODES = 16
RHO = 2.0 + math.sqrt(3.0)
GAUSS = 2.0 * 64.0 / 15.0 * RHO ** (-2 * NODES) / (1.0 - RHO**-2)  # of a panel's half-width times the bound
# numpy's nodes are good to 2e-16 of a half-width and its weights to 4e-15 of themselves: held by a test.
NODE_ERROR, WEIGHT_ERROR = 4.0 * EPS, 40.0 * EPS
REACH = 8.6  # standard deviations left of 0 at which panels begin: e^-37 of the mass is beyond
WIDEST = 0.5  # of ϑ: from 2·log 2 on the disc of the last panel may reach a zero of E
ROOM = 0.7  # of σ₂·ϑ and of 2l/σ₁: within it the integrand does not grow much off the real line
MOST_PANELS = 2000
LEAST = 1e-250  # below, floats lose their digits
MOST_EPSILON = 600.0  # beyond e^700 there are none
TINY = 1e-300
NOTHING = DeltaInterval(0.0, 1.0, 0.0, 0.0, ())


@dataclass(frozen=True, slots=True)
class _Law:
    """One of the two steps."""

    sigma: float
    q: float

    def level(self, x: Array) -> tuple[Array, Array, Array]:
        """At x: log r, how far it can be off, and the posterior s."""
        e = (2.0 * x - 1.0) / (2.0 * self.sigma**2)
        loss = log_ratio(e, np.array(self.q))
        off = EPS * loss_rounding(x, e, loss, self.sigma, np.array(self.q), np.abs(x))
        return loss, off, np.exp(np.minimum(math.log(self.q) + e - loss, 0.0))

    def log_e(self, log_r: Array, off: Array) -> tuple[Array, Array]:
        """log E where log r is `log_r` up to `off`, and how far it can be off; inf where E may be 0."""
        near = np.minimum(log_r, 600.0)
        grown = np.expm1(near)
        rise = np.maximum(grown + self.q, TINY)
        error = (grown + 1.0) * (off + EPS * np.abs(near)) + 2.0 * EPS * (np.abs(grown) + self.q)
        log_rise = np.where(log_r < 600.0, np.log(rise), log_r)
        spare = np.where(error < 0.5 * rise, 2.0 * error / rise, np.inf)
        return log_rise - math.log(self.q), spare + 2.0 * EPS * (np.abs(log_rise) + abs(math.log(self.q)))

    def place(self, log_e: Array) -> Array:
        return 0.5 + self.sigma**2 * log_e

    def most_density(self, centre: Array, radius: float) -> Array:
        """A bound on p within `radius` of the centres."""
        far = np.maximum(np.abs(centre) - radius, 0.0), np.maximum(np.abs(centre - 1.0) - radius, 0.0)
        return self._mixture(*far)

    def density(self, x: Array) -> Array:
        return self._mixture(x, x - 1.0)

    def _mixture(self, from_0: Array, from_1: Array) -> Array:
        weight = (1.0 - self.q) * np.exp(-0.5 * (from_0 / self.sigma) ** 2)
        weight = weight + self.q * np.exp(-0.5 * (from_1 / self.sigma) ** 2)
        return np.asarray(weight / (self.sigma * math.sqrt(2.0 * math.pi)))

    def masses(self, x: float, sign: float) -> tuple[float, float]:
        """Right (sign 1) or left (sign -1) of x, of p and of N(0, σ²)."""
        centred, moved = normal_tail(sign * x / self.sigma), normal_tail(sign * (x - 1.0) / self.sigma)
        return (1.0 - self.q) * centred + self.q * moved, centred


@dataclass(frozen=True, slots=True)
class _SecondStepKernel:
    """K at some places, how far it can be off, and r₂ times the mass of N(0, σ₂²) or, to add, of p₂ that is beyond."""

    value: Array
    error: Array
    fall: Array

    @classmethod
    def at(cls, law: _Law, log_e: Array, off: Array, log_level: float) -> "_SecondStepKernel":
        """log_level: log ℓ, whose sign is that of the direction."""
        remove, sigma = log_level >= 0.0, law.sigma
        sign = 1.0 if remove else -1.0
        y = law.place(log_e)
        v = (y - 1.0) / sigma
        shifted, centred = half_erfc(sign * v * math.sqrt(0.5)), half_erfc(sign * y / sigma * math.sqrt(0.5))
        log_raised = log_e + np.log(np.maximum(centred, TINY))
        raised = np.where(centred > TINY, np.exp(np.minimum(log_raised, 0.7e3)), 0.0)
        factor = 1.0 if remove else math.exp(-log_level)
        moved = (1.0 + np.abs(v) + 1.0 / sigma) * (np.abs(v) + (2.0 * np.abs(y) + 1.0) / sigma + sigma * np.abs(log_e))
        units = EPS * (32.0 + 2.0 * np.abs(log_e) + 4.0 * np.abs(log_raised) + abs(log_level) + 8.0 * moved)
        # In log E its derivative is the term with E, since y is where the integrand is 0.
        error = factor * (raised * np.expm1(np.minimum(off, 50.0)) + (raised + shifted) * units + TINY)
        rest = (1.0 - law.q) * centred
        fall = law.q * raised + rest if remove else rest + law.q * shifted
        return cls(factor * sign * (shifted - raised), np.where(off < 50.0, error, np.inf), factor * fall)


@dataclass(frozen=True, slots=True)
class _Wing:
    """The integral over one wing, its derivative in ε, and a bound on its error; nan where it cannot be had."""

    value: float
    slope: float
    error: float

    @classmethod
    def of(cls, one: _Law, two: _Law, end: float, log_level: float) -> "_Wing":
        turn = min(WIDEST, ROOM / max(one.sigma, two.sigma))
        radius = turn * one.sigma**2
        low = min(-REACH * one.sigma, end - radius)
        panels = math.ceil((end - low) / radius)
        if panels > MOST_PANELS:
            return cls(math.nan, math.nan, math.inf)
        edges = np.linspace(low, end, panels + 1)[:, None]
        centre, half = 0.5 * (edges[1:] + edges[:-1]), 0.5 * np.diff(edges, axis=0)
        points, weights = _gauss()
        x = centre + half * points
        loss, off, _ = one.level(x)
        log_e, log_e_off = two.log_e(log_level - loss, off + EPS * (abs(log_level) + np.abs(loss)))
        kernel = _SecondStepKernel.at(two, log_e, log_e_off, log_level)
        mass = one.density(x) * half * weights
        value = float((mass * two.q * kernel.value).sum())
        units = EPS * (x.size + 64.0 + 4.0 * (np.abs(x) + 1.0) ** 2 / one.sigma**2) + WEIGHT_ERROR
        rounding = float((mass * two.q * (kernel.error + units * np.abs(kernel.value))).sum())
        most = _most(one, two, centre, (turn, radius), log_level)
        misplaced = 2.0 * (2.0 * EPS * (np.abs(centre) + half) + NODE_ERROR * half)
        rule = float((most * (GAUSS * half + misplaced)).sum())
        left = normal_tail(-low / one.sigma) * two.q * _largest_left(one, two, low, log_level)
        return cls(value, -float((mass * kernel.fall).sum()), outward.up(rounding + rule + left, outward.MANY) + TINY)


def _most(one: _Law, two: _Law, centre: Array, disc: tuple[float, float], log_level: float) -> Array:
    """A bound on the integrand's modulus in each panel's disc, [panel, 1]."""
    turn, radius = disc
    loss, off, sampled = one.level(centre + radius)
    log_r = log_level - loss
    log_e, log_e_off = two.log_e(log_r, off + EPS * (abs(log_level) + np.abs(loss)))
    other = np.exp(np.minimum(math.log(two.q) + log_e - log_e_off - log_r, 0.0))  # the posterior there, at least
    moved = turn * sampled / (np.maximum(other, TINY) * math.cos(0.5 * turn)) * (1.0 + 1e-6)
    loss, off, _ = one.level(centre)
    log_e, log_e_off = two.log_e(log_level - loss, off + EPS * (abs(log_level) + np.abs(loss)))
    sign = 1.0 if log_level >= 0.0 else -1.0
    kernel = _SecondStepKernel.at(two, log_e - sign * (moved + log_e_off), np.zeros_like(log_e), log_level)
    grown = 0.5 * (radius / one.sigma) ** 2 + 0.5 * (two.sigma * moved) ** 2
    bound = one.most_density(centre, radius) * two.q * (kernel.value + kernel.error) * np.exp(grown) * (1.0 + 1e-6)
    return np.asarray(np.where((log_e_off < 50.0) & (other > TINY), bound, np.inf))


def _largest_left(one: _Law, two: _Law, low: float, log_level: float) -> float:
    """A bound on K left of `low`, where y rises: K falls with y to remove, and rises with y to add."""
    loss, off, _ = one.level(np.array([low]))
    if log_level < 0.0:
        loss, off = np.array([math.log1p(-one.q)]), np.array([EPS * abs(math.log1p(-one.q))])
    log_e, log_e_off = two.log_e(log_level - loss, off + EPS * (abs(log_level) + np.abs(loss)))
    kernel = _SecondStepKernel.at(two, log_e, log_e_off, log_level)
    return float(kernel.value[0] + kernel.error[0])


class TwoSteps:
    """delta(ε) of two steps in one direction, ε >= 0, neither of which takes every record. Serves as a Contour."""

    method = "two steps"

    def __init__(self, steps: Steps, direction: Direction, epsilon: float = 0.0) -> None:
        rows = zip(steps.sigma[:, 0], steps.q[:, 0], steps.count[:, 0], strict=True)
        one, two = (_Law(float(sigma), float(q)) for sigma, q, count in rows for _ in range(int(count)))
        self.laws, self.direction, self.epsilon = (one, two), direction, epsilon
        self._seen: dict[float, DeltaInterval] = {}

    @classmethod
    def serves(cls, steps: Steps) -> bool:
        return steps.total == 2.0 and bool(np.all(steps.q < 1.0))

    @property
    def tilt(self) -> float:
        """-d log delta/dε at its ε: about what a contour has as its tilt, and Rényi DP as its order less 1."""
        value = self.at(self.epsilon)
        return -value.slope / value.estimate if value.estimate > 0.0 > value.slope else 1.0

    def at(self, epsilon: float) -> DeltaInterval:
        """The interval for delta at this ε >= 0; the trivial one where none can be had."""
        if epsilon not in self._seen:
            value = self._at(epsilon)
            sound = math.isfinite(value.lower + value.upper + value.slope) and value.upper > LEAST
            self._seen[epsilon] = value if sound else NOTHING
        return self._seen[epsilon]

    def near(self, delta: float, epsilon: float) -> float:
        """About the ε at which this direction spends delta, searched from `epsilon` on: Newton's rule for log delta,
        between the nearest places on either side."""
        low, high, tried = 0.0, MOST_EPSILON, epsilon
        for _ in range(60):
            value = self.at(tried)
            if value.estimate > delta:
                low = tried
            else:
                high = tried
            step = math.inf
            if value.estimate > 0.0 > value.slope:
                step = math.log(value.estimate / delta) * value.estimate / -value.slope
            if abs(step) <= 1e-14 * tried or high - low <= 1e-15 * high:
                break
            tried = tried + step if low < tried + step < high else 0.5 * (low + min(high, 2.0 * low + 1e-3))
        return tried

    def _at(self, epsilon: float) -> DeltaInterval:
        if epsilon > MOST_EPSILON:
            return NOTHING
        # -0.0 would be taken for the other direction.
        log_level = epsilon if self.direction is Direction.REMOVE else -max(epsilon, TINY)
        one, two = self.laws
        gap = math.log1p(-one.q) - math.log1p(-two.q)  # where the posteriors are equal, log r₁ - log r₂ is this
        levels, off = np.array([0.5 * (log_level + gap), 0.5 * (log_level - gap)]), EPS * (epsilon + 4.0 * abs(gap))
        found = [law.log_e(levels[[k]], np.full(1, off)) for k, law in enumerate(self.laws)]
        places = [float(law.place(log_e)[0]) for law, (log_e, _) in zip(self.laws, found, strict=True)]
        if not all(error[0] < 1e-3 for _, error in found):
            return NOTHING  # no event, or next to none
        first = _Wing.of(one, two, places[0], log_level)
        second = first if one == two else _Wing.of(two, one, places[1], log_level)
        corner = self._corner(found, log_level)
        wings, error = first.value + second.value, first.error + second.error
        estimate = wings + corner.value
        return DeltaInterval(
            lower=max(estimate - error - corner.error, 0.0),
            upper=estimate + error + corner.error,
            estimate=estimate,
            slope=first.slope + second.slope + corner.slope,
            terms=(("quadrature, and rounding in the wings", error), ("rounding in the corner", corner.error)),
        )

    def _corner(self, found: list[tuple[Array, Array]], log_level: float) -> _Wing:
        """What the corner adds; found: log E at the two places, and how far each can be off.

        Of the masses P and Q beyond s, q·K is |P - r(s)·Q|, over ℓ to add. Since ℓ = r₁(s₁)·r₂(s₂), the corner's
        P₁·P₂ - ℓ·Q₁·Q₂ is q₁·K₁·P₂ + r₁·Q₁·q₂·K₂, and with r₂·Q₂ and P₁ to add, which cancels nothing. Where log E is
        off, so is ℓ. And mass between wing and corner is counted once too often or not at all: at most the wing's
        density at its end times how far the place is off.
        """
        sign = math.copysign(1.0, log_level)
        places: list[Array] = []
        own, raised, gains, off = [], [], [], []
        for law, (log_e, error) in zip(self.laws, found, strict=True):
            place = law.place(log_e)
            places.append(place)
            kernel = _SecondStepKernel.at(law, log_e, np.zeros(1), log_level)
            mass, centred = law.masses(float(place[0]), sign)
            own.append(mass)
            raised.append(centred * (1.0 + law.q * math.expm1(min(float(log_e[0]), MOST_EPSILON))))
            gains.append((law.q * float(kernel.value[0]), law.q * float(kernel.error[0])))
            off.append(float(error[0]) + 4.0 * EPS * float(np.abs(place[0])) / law.sigma**2)
        (one, one_error), (two, two_error) = gains
        beside, above = (own[1], raised[0]) if sign > 0.0 else (raised[1], own[0])
        value = one * beside + above * two
        reach = max((abs(float(place[0])) + 1.0) / law.sigma for law, place in zip(self.laws, places, strict=True))
        off_by = EPS * (64.0 + 32.0 * (1.0 + reach) ** 2) * abs(value) + one_error * beside + above * two_error
        factor = 1.0 if sign > 0.0 else math.exp(-log_level)
        sampled = -math.expm1(0.5 * (sum(math.log1p(-law.q) for law in self.laws) - log_level))  # either posterior
        off_by += 2.0 * sampled * sum(off) * factor * raised[0] * raised[1]
        density = float(self.laws[1].density(places[1])[0]) * (one + one_error)
        off_by += 3.0 * self.laws[1].sigma ** 2 * sum(off) * density + TINY
        loss = raised[0] * raised[1] if sign > 0.0 else factor * own[0] * own[1]
        return _Wing(sign * value, -sign * loss, off_by)


@functools.cache
def _gauss() -> tuple[Array, Array]:
    points, weights = np.polynomial.legendre.leggauss(NODES)
    return points, weights
