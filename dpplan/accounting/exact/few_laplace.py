"""Delta and ε of a few Laplace releases, of any scales, in closed form.

With ε the loss of one release is ε with P-mass 1/2, -ε with P-mass e^-ε/2, and has P-density e^((l - ε)/2)/4 between.
Times e^(-l/2) this is e^(-ε/2) times a measure with the transform

    (e^(εs)(1 + v) + e^(-εs)(1 - v)) / 2,   v = 1/(2s),

and e^(l/2) is a factor of every sum of losses. The product over n releases has a term for each choice of signs, that is
e^(Ss)(1 + v)^p (1 - v)^(n - p)/2^n, with S the sum of the signed ε and p plus signs among them; v^k e^(Ss) is that of a
density 2^-k (S - l)^(k - 1)/(k - 1)! below S. Integrated against e^(l/2) - e^(x - l/2) above x:

    delta(x) = 2^(1 - n) e^((x - Σε)/2) Σ_S Σ_k a_k H_k((S - x)/2),   H_k(t) = t^(k+1)/(k+1)! + t^(k+3)/(k+3)! + ...

over all S > x, a_k the coefficients of (1 + v)^p (1 - v)^(n - p) in v. Terms cancel where x lies far below Σε; the
bounds say what is left.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.exact.proven_ends import Ends
from dpplan.accounting.numerics import Array, outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.accounting.pairs.laplace import LaplaceLoss
from dpplan.quick_dataclass import dataclass

METHOD = "closed form of Laplace noise"
MOST_STEPS, MOST_SIGNS, MOST_LOSS = 12, 600, 40.0  # beyond, terms are many, or cancel
BISECTIONS = 80


@dataclass(frozen=True)
class LaplaceSum:
    """tops: S of every choice of signs. coefficients: [choice, k], a_k times how often it is made. loss: Σε."""

    steps: int
    tops: Array
    coefficients: Array
    loss: float

    @classmethod
    def of(cls, composition: Composition) -> "LaplaceSum | None":
        """None where there are other laws, or too many."""
        laws = tuple((law.scale, count) for law, count in composition.terms if type(law) is LaplaceLoss)
        if len(laws) < len(composition.terms) or not laws:
            return None
        steps, signs = sum(count for _, count in laws), math.prod(count + 1 for _, count in laws)
        if not 1 < steps <= MOST_STEPS or signs > MOST_SIGNS or sum(n / scale for scale, n in laws) > MOST_LOSS:
            return None
        return _made(laws)

    @property
    def off(self) -> float:
        """How far half of S - x may be off."""
        return outward.UNIT * (self.steps + 6) * self.loss

    def delta(self, x: float) -> tuple[float, float]:
        """lower <= delta(x) <= upper, 0 <= x <= Σε."""
        off = self.off
        above = self.tops > x - 4.0 * off
        t, weights = 0.5 * np.maximum(self.tops[above] - x, 0.0), self.coefficients[above]
        series = _series(t + off, self.steps)
        terms = weights * _series(t, self.steps)[:, 1:]
        # A little more of t is as much of the series before, and each is a sum of positive terms.
        error = float(np.sum(np.abs(weights) * (off * series[:, :-1] + outward.SERIES * series[:, 1:])))
        total = math.fsum(terms.ravel().tolist())
        scale = 2.0 ** (1 - self.steps) * math.exp(0.5 * (x - self.loss))
        lower, upper = scale * max(total - error, 0.0), scale * (total + error)
        return outward.down(lower, outward.SERIES), min(outward.up(max(upper, 0.0), outward.SERIES), 1.0)


@lru_cache(64)
def _made(laws: tuple[tuple[float, int], ...]) -> LaplaceSum:
    steps = sum(count for _, count in laws)
    choices: list[tuple[list[float], int, int]] = [([], 0, 1)]  # signed parts of S, plus signs, how often
    for scale, count in laws:
        choices = [
            ([*parts, (2 * plus - count) / scale], total + plus, times * math.comb(count, plus))
            for parts, total, times in choices
            for plus in range(count + 1)
        ]
    rows = [[float(times * each) for each in _expanded(total, steps - total)] for _, total, times in choices]
    tops = np.array([math.fsum(parts) for parts, _, _ in choices])
    return LaplaceSum(steps, tops, np.array(rows), math.fsum(count / scale for scale, count in laws))


@lru_cache(256)
def _expanded(plus: int, minus: int) -> tuple[int, ...]:
    """The coefficients of (1 + v)^plus (1 - v)^minus."""
    found = [1]
    for sign in (1,) * plus + (-1,) * minus:
        found = [a + sign * b for a, b in zip([*found, 0], [0, *found], strict=True)]
    return tuple(found)


def _series(t: Array, most: int) -> Array:
    """[t, k + 1]: cosh t, then H_0, H_1, ... H_most."""
    last = most + 2 + int(12.0 + 6.0 * float(np.max(t, initial=0.0)) + 20.0)
    powers = np.ones((len(t), last + 1))
    for j in range(1, last + 1):
        powers[:, j] = powers[:, j - 1] * t / j
    found = np.empty((len(t), most + 2))
    for k in range(-1, most + 1):
        found[:, k + 1] = powers[:, k + 1 :: 2].sum(axis=1)
    return found


def delta_ends(composition: Composition, epsilon: float) -> Ends | None:
    """Ends for delta(ε), ε >= 0; None where this is not the way."""
    made = LaplaceSum.of(composition)
    if made is None or epsilon >= made.loss * (1.0 - outward.SUM):
        return None
    return Ends(*made.delta(epsilon), METHOD)


def epsilon_ends(composition: Composition, delta: float) -> Ends | None:
    """Ends for the least ε >= 0 with delta(ε) <= delta."""
    made = LaplaceSum.of(composition)
    if made is None:
        return None
    most = outward.up(made.loss, outward.FEW)
    upper = _last(lambda x: made.delta(x)[1] > delta, most)[1]
    lower = _last(lambda x: made.delta(x)[0] > delta, made.loss)[0]
    return Ends(lower, min(upper, most), METHOD)


def _last(holds: Callable[[float], bool], most: float) -> tuple[float, float]:
    """Neighbours between 0 and `most`: the first holds, or is 0; the second does not, or is the end."""
    if not holds(0.0):
        return 0.0, 0.0
    turn = first_true(lambda place: not holds(place), 0.0, most, most=BISECTIONS)
    return turn.false, turn.true
