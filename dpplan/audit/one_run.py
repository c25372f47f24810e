"""One run with many canaries: how likely so many right guesses are, if the claim is true.

The game: m canaries, each put into the data by a fair coin of its own and known to the guesser but for the coin. One
run; whoever sees its output names at most r canaries as "in" or "out", and v of these guesses are right. How many are
named, and on which side, is fixed before the scores are seen (`ranked`), or each choice is paid for (Bonferroni).

p_value_of_stated   Steinke, Nasr, Jagielski 2023 (arXiv:2305.08846), Thm 5.2: for an (ε, δ) claim
p_value             Mahloujifar, Melis, Chaudhuri 2024 (arXiv:2410.22235), Thm 9 and its recursion: for a whole curve

Each is an upper bound on the probability of v or more right guesses under the claim, whoever guesses and however the
canaries' effects mix; so a claim with a p-value below the level is refuted at that level.
"""

import math
from collections.abc import Callable

import numpy as np

from dpplan.accounting.numerics.bisection import first_true
from dpplan.audit.claimed_trade_off import HypothesisCurve

# Relative, of a sum of binomial probabilities by scipy's incomplete beta function: off by 1.4e-9 at 1e6 guesses,
# against mpmath, with room.
ROUNDING = 1e-7
BISECTIONS = 60
FAR = 10.0  # standard deviations below the mean of a binomial: with more probability above than 1 - 1e-15
MOST_EPSILON = 500.0  # beyond it nothing that can be counted is refuted


def p_value_of_stated(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """P[at least `right` of `guesses` are right] under (ε, δ), at most:

    P[B >= v] + 2 m δ max over 1 <= i <= v of P[v > B >= v - i] / i, with B ~ Binomial(r, 1 / (1 + e^-ε)).
    """
    from scipy import special

    chance = 1.0 / (1.0 + math.exp(-epsilon))
    reached = 1.0 if right <= 0 else float(special.bdtrc(right - 1.0, guesses, chance))
    if delta == 0.0 or right == 0:
        return min(reached * (1.0 + ROUNDING), 1.0)
    # Where B >= v - i is as good as sure, a larger i only divides by more: P <= 1 there.
    sure = guesses * chance - FAR * math.sqrt(guesses * chance * (1.0 - chance))
    most = min(max(right - math.floor(sure), 1), right)
    fewer = np.arange(1, most)
    missed = special.bdtrc(right - fewer - 1.0, guesses, chance) - reached
    worst = float(np.max((missed + ROUNDING * (missed + 2.0 * reached)) / fewer, initial=1.0 / most))
    return min(reached * (1.0 + ROUNDING) + 2.0 * canaries * delta * worst, 1.0)


def epsilon_of_stated(canaries: int, guesses: int, right: int, delta: float, level: float) -> float:
    """The largest ε >= 0 with (ε, δ) refuted at this level, from below; 0 where none is."""
    return largest(lambda epsilon: p_value_of_stated(canaries, guesses, right, epsilon, delta) < level, MOST_EPSILON)


def largest(refuted: Callable[[float], bool], most: float) -> float:
    """The largest refuted value of a parameter of which smaller values are refuted first, from below; 0: none is."""
    if not refuted(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while refuted(high):
        low, high = high, 2.0 * high
        if high > most:
            return low
    return first_true(lambda epsilon: not refuted(epsilon), low, high, relative=1e-9, most=BISECTIONS).false


def is_refuted(curve: HypothesisCurve, canaries: int, guesses: int, right: int, level: float) -> bool:
    """Whether `right` or more right guesses are less likely than `level` for every mechanism below the curve.

    Theorem. Let f̄(x) be the most that P(S) can be where Q(S) = x, for worlds that differ in one canary, increasing and
    concave; at most r guesses; p_i the probability that exactly i are right. For every c from 1 to r
        (1/m) Σ_{i>=c} i p_i  <=  f̄( (1/m) Σ_{i>=c-1} (r - i) p_i ).
    Proof. Fix all coins but that of canary j. "j is named as b, and at least c - 1 others are named right" is an event
    of the output. Where j's coin is b, it makes j's guess right and the number of right ones at least c; where it is
    not, wrong, and the others at least c - 1. The two worlds are neighbours, so the first probability is at most f̄ of
    the second. Average over j, b and the other coins; f̄ is concave, so that the mean may go inside. Summed over j, the
    left is E[right; right >= c] and the right E[wrong; right >= c - 1], where wrong <= r - right.

    Let a tail Σ_{i>=v} p_i = β be assumed, ρ_c and η_c the two sums (1/m) Σ_{i>=c} i p_i and (1/m) Σ_{i>=c} (r - i)
    p_i. Downwards from ρ = βv/m and η = β(r - v)/m, each step adds the least p_i with η_i >= f̄⁻¹(ρ_{i+1}). All p_i
    together are (m/r)(ρ_0 + η_0), so β is impossible where ρ_0 + η_0 > r/m. That these least steps lead to the least
    total: of any other p with the same tail, call the sums ρ', η'. As i goes down, ρ' >= ρ, ρ' + η' >= ρ + η and
    φ' >= φ for φ_i = (r - i)ρ_i - iη_i = (r/m) Σ_{k>=i} (k - i) p_k stay true: φ_i = φ_{i+1} + ρ_{i+1} + η_{i+1} has
    no p_i in it; where the step adds nothing the first two are kept, and where it adds, η_i = f̄⁻¹(ρ_{i+1}) <=
    f̄⁻¹(ρ'_{i+1}) <= η'_i, and ρ_i = (φ_i + iη_i)/(r - i), ρ_i + η_i = (φ_i + rη_i)/(r - i) grow with both. The same
    comparison with a larger tail shows that the total grows with β. (With f's own inverse in place of f̄⁻¹, true claims
    would be refuted.)

    curve.inverse is below f̄⁻¹, and rounding is toward not refuting.
    """
    if guesses <= 0 or right <= 0:
        return False
    rho, eta = level * right / canaries, level * (guesses - right) / canaries
    room = guesses / canaries * (1.0 + ROUNDING)
    for i in range(right - 1, -1, -1):
        least = curve.inverse(rho)
        if least <= eta:
            break  # rho stays, and so does all else
        rho += i / (guesses - i) * (least - eta)
        eta = least
        if rho + eta > room:
            return True
    return rho + eta > room


def p_value(curve: HypothesisCurve, canaries: int, guesses: int, right: int) -> float:
    """The probability of `right` or more right guesses under the curve, at most: the least level that refutes it."""
    if not is_refuted(curve, canaries, guesses, right, 1.0 - 1e-9):
        return 1.0
    low, high = -700.0, 0.0  # logarithms
    if is_refuted(curve, canaries, guesses, right, math.exp(low)):
        return math.exp(low)
    turn = first_true(lambda at: is_refuted(curve, canaries, guesses, right, math.exp(at)), low, high, most=40)
    return math.exp(turn.true)
