"""The exact accountant's computer-assisted proof: epsilon and delta to as many digits as are asked for.

Theorem. For a plan of Poisson-subsampled Gaussian steps (noise multiplier σ, sample rate q per phase) under
add/remove of one example, the ends that `epsilon` and `delta` return hold the true value. Nothing is taken from
floating point: the numbers σ, q, delta and ε that go in are the doubles they are, every operation the claim rests on
is done in ball arithmetic (Arb), and the ends are rounded outward.

Proof in outline; each inequality is derived, and evaluated, where it is named.

 1  The pair. With Q = N(0, σ²) and r = 1 - q + q·e^((2x - 1)/2σ²), the pairs (r·Q, Q), "remove", and (Q, r·Q), "add",
    dominate every neighbouring pair, each direction on its own, and keep dominating under adaptive composition (Zhu,
    Dong, Wang 2022, arXiv:2106.08567, Thms 10 and 11; the pair: Mironov, Talwar, Zhang 2019, arXiv:1908.10530, Thm 4).
    delta(ε) = max over the directions of E[(1 - e^(ε - S))₊], S the sum of the losses log r, -log r.
 2  The contour. delta(ε) = 1/(2πi)·∫ M(z)·e^(-εz)/(z(z + 1)) dz on Re z = t > 0, M(z) = Π E_Q[r^w]^count, w = 1 + z
    (remove) or -z (add) (Alghamdi et al. 2023, arXiv:2208.09595). Any t will do.                         contour.py
 3  Aliasing. The trapezoid sum with step h is Σ_n e^(2πnt/h)·delta(ε + 2πn/h), all terms positive; those with n != 0
    are bounded by Chernoff at one tilt on either side of t, summed as geometric series.                  aliasing.py
 4  Frequencies left out. |M(t + iu)| for every u >= U is bounded by one integral of a modulus along a path in the
    upper half-plane, which falls as u rises; the sum over 1/u² is then elementary.           tail_decay.py, contour.py
 5  Quadrature in x. The trapezoid rule for E_Q[r^w] errs by at most the growth of the integrand in the strip
    |Im x| < πσ², where r^w is analytic (Trefethen, Weideman 2014, Thm 5.1).           transform.py, quadrature_error.py
 6  Tails in x. Beyond the ends of each range the integrand falls at least exponentially.     `tails` in tail_decay.py
 7  Rounding. Inside the balls; the precision follows from the number of steps and from what the sum cancels.
                                                                                               balls.py, contour_plan.py
 8  Inversion. delta(ε) falls: two evaluations, one proven above delta and one below, bracket ε.           invert.py
 9  Both directions. The remove direction's end is held against the add direction's delta there: by the largest loss
    -Σ count·log(1 - q), by Chernoff at one tilt, or by its own contour. At ε = 0 both are the total variation.
                                                                                                  dominant_direction.py
                                                                                                 dominant_direction.py

What the proof rests on besides: that Arb and this code do what they say. contour_plan.py, path_search.py and
float_moments.py choose in floating point where to compute; a bad choice makes an interval wide, or NotProved, and
never wrong.
"""

import math
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from dpplan.accounting import exact
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.exact.prove import balls, dominant_direction
from dpplan.accounting.exact.prove.dominant_direction import Found, Progress
from dpplan.accounting.exact.prove.errors import NotProved
from dpplan.accounting.exact.prove.float_moments import phases_of
from dpplan.accounting.numerics import outward
from dpplan.checks import Problems
from dpplan.errors import InternalError
from dpplan.plan import Plan

__all__ = ["NotProved", "Proof", "delta", "epsilon"]

MOST_DIGITS = 100
SHOWN = 3  # digits printed beyond the proven ones, so that rounding outward costs none
EXACT = 1000  # digits of a figure that is known exactly


@dataclass(frozen=True)
class Proof:
    """A proven interval.

    bound: its ends as floats, rounded outward. lower_digits, upper_digits: its ends as decimals, rounded outward,
    with all digits that are proven, which may be more than a float holds. digits: how many significant digits the
    interval leaves certain (1000 when it is a point). terms: what each error source contributes to half its width,
    in the direction that decides. precision_bits: of the ball arithmetic. seconds: of wall time.
    """

    bound: Bound
    lower_digits: str
    upper_digits: str
    digits: int
    terms: tuple[tuple[str, float], ...]
    precision_bits: int
    seconds: float


def epsilon(plan: Plan, delta: float, digits: int = 12, progress: Progress | None = None) -> Proof:
    """The epsilon of `plan` at `delta` in (0, 1), proven to at least `digits` significant digits.

    progress: called with a sentence before each long computation.
    Guarantee: CERTIFIED, in ball arithmetic. Raises NotProved where that accuracy would take too long and
    InternalError if the proof and the fast accountant contradict each other.
    """
    _check(digits, delta=delta)
    started = time.perf_counter()
    fast = exact.epsilon(plan, float(delta))
    found = dominant_direction.epsilon(phases_of(plan), float(delta), _middle(fast), digits, progress or _silent)
    return _proof("epsilon", plan, found, fast, time.perf_counter() - started)


def delta(plan: Plan, epsilon: float, digits: int = 12, progress: Progress | None = None) -> Proof:
    """The delta of `plan` at `epsilon` >= 0, likewise."""
    _check(digits, epsilon=epsilon)
    started = time.perf_counter()
    fast = exact.delta(plan, float(epsilon))
    found = dominant_direction.delta(phases_of(plan), float(epsilon), _middle(fast), digits, progress or _silent)
    return _proof("delta", plan, found, fast, time.perf_counter() - started)


def _check(digits: int, delta: float = 0.5, epsilon: float = 0.0) -> None:
    with Problems() as problems:
        problems.probability("delta", delta, closed_right=False, try_="Values below 1/n are meaningful.")
        problems.at_least("epsilon", epsilon, 0.0, try_="Epsilon counts nats of privacy loss (--eps).")
        if problems.whole("digits", digits, try_="12 is the default."):
            problems.require(digits <= MOST_DIGITS, f"digits={digits} is more than {MOST_DIGITS}. 12 is the default.")


def _silent(sentence: str) -> None:
    del sentence


def _middle(fast: Bound) -> float:
    """Where to look first."""
    assert fast.lower is not None and fast.upper is not None  # the exact accountant's bounds have both
    return 0.5 * (fast.lower + fast.upper) if math.isfinite(fast.upper) else fast.lower


def _proof(quantity: Literal["epsilon", "delta"], plan: Plan, found: Found, fast: Bound, seconds: float) -> Proof:
    lower, upper = found.lower, found.upper
    low, high = fast.proven  # without the floor, which would hide a small mistake
    if upper < Fraction(low) or (math.isfinite(high) and lower > Fraction(high)):
        raise InternalError(
            f"{quantity}: the proof ends in [{float(lower)!r}, {float(upper)!r}] and the exact accountant in "
            f"[{low!r}, {high!r}], which do not meet. This is a bug in dpplan; please report the plan."
        )
    proven = EXACT if lower == upper else balls.agreed_digits(lower, upper)
    shown = min(proven, MOST_DIGITS) + SHOWN
    lowest, highest = balls.decimal_below(lower, shown), balls.decimal_above(upper, shown)
    top = outward.float_above(upper)
    bound = Bound(
        quantity=quantity,
        lower=outward.float_below(lower),
        upper=min(top, 1.0) if quantity == "delta" else top,
        guarantee=Guarantee.CERTIFIED,
        accountant=exact.NAME,
        assumptions=plan.assumptions,
        why="proved in ball arithmetic",
        details={"method": found.method, "terms": dict(found.terms), "precision_bits": found.bits, "digits": proven},
    )
    return Proof(bound, lowest, highest, proven, found.terms, found.bits, seconds)
