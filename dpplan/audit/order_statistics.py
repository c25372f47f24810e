"""One run whose canaries do not touch each other: how likely so many right guesses are among those that show most.

The game is that of one_run, with one thing more: given their coins, what is seen of the canaries is independent, each
through a channel of its own. So it is under a plan of Gaussian noise for gradients that lie in one coordinate each,
where each is drawn by a coin of its own. What is seen of all is then no more than m copies of one channel, and which r
guesses are made may depend on the scores, as no choice is better than of those that show most: order statistics tell
how much these show. Elsewhere (losses of whole examples, batches of a fixed size) effects mix, and `one_run` has the
theorems.

That one run is audited through order statistics of independent channels is the idea of Xiang, Wang, Xiao, Tian and Wang
2025 (arXiv:2509.08704), of which the abstract and a summary were read; the theorem and its proof here are ours.
"""

import numpy as np

from dpplan.accounting.best_of_trials import has_search
from dpplan.accounting.numerics import Array
from dpplan.accounting.numerics.bisection import first_true
from dpplan.audit.claimed_trade_off import HypothesisCurve
from dpplan.errors import PlanError
from dpplan.plan import Plan
from dpplan.sampling import BallsInBins, CyclicPoisson, Poisson, RandomAllocation

EACH_FOR_ITSELF = Poisson, CyclicPoisson, BallsInBins, RandomAllocation  # no example's draw tells of another's
CELLS = 400  # of the order statistic; 4,000 find a p-value near 0.005 lower by 2 %
TAIL = 1e-12  # of the order statistic's law, on either side of the cells; below them it counts as refuting nothing
# Relative, of binomial and beta probabilities by scipy's incomplete beta function: off by 2e-10 at 1e5 guesses and by
# 1.4e-9 at 1e6 (against mpmath), with room.
ROUNDING = 1e-7
TINY = 1e-300  # a chance of any guess, in place of 0


def p_value(curve: HypothesisCurve, canaries: int, guesses: int, right: int) -> float:
    """The probability of `right` or more right guesses among `guesses`, of `canaries` independent ones, at most.

    Theorem. Let g(p) be at most inf{Q(S) : P(S) = p} of each canary's channel, in either order of its two worlds,
    convex with 0 <= g(p) <= p, and C(u) the c in [0, u] with c + g(c) = u. Then for r guesses of m, however they are
    chosen,
        P[at least v are right] <= E[ P[Binomial(r, C(U)/U) >= v] ],   U ~ Beta(r + 1, m - r), or 1 where r = m.
    Proof. A channel's trade-offs in both orders are at least f(a) = g(1 - a), and each is the other's inverse: so both
    are at least max(f, f⁻¹), which is that of a symmetric pair; each channel is that pair followed by a step without
    data (Dong, Roth, Su 2022, Thm 2.10, Prop 2.2), and who guesses may be told more: let every channel be that pair.
    Given all that is seen, whether guess i is right is a coin π_i of its own, by the independence, and at best the
    larger of its two posterior chances. Of r independent coins larger chances make v or more heads likelier: so at best
    the r canaries of largest π_i are guessed. π_i is q(T_i), with T_i uniform in [0, 1] and independent (drawn by lot
    among equal ones) and q falling. The integral of q over [0, u] is the largest chance of a right guess with chance u
    of any: of A named "in" and B "out" the right ones have c = (P(A) + Q(B))/2, the wrong ones (Q(A) + P(B))/2 >=
    (g(P(A)) + g(Q(B)))/2 >= g(c), and both together are u; so it is C(u) at most. The r largest π_i are those of the r
    least T_i. Given the next one, U, these are uniform in [0, U] and independent, so that the coins are alike, with
    mean at most C(U)/U; and U ~ Beta(r + 1, m - r).

    C(u)/u falls as u grows, as C is concave and C(0) >= 0: so the mean is at most a sum over cells, each with the
    chance at its lower end. Cells are laid in c, where u is known without a search.
    """
    from scipy import special

    if right <= 0 or guesses <= 0:
        return 1.0
    if guesses >= canaries:
        chance, _ = _chance(curve, np.array([_named(curve, 1.0)]))
        return min(float(special.bdtrc(right - 1.0, guesses, chance[0])) * (1.0 + ROUNDING), 1.0)
    shape = guesses + 1.0, float(canaries - guesses)
    ends = [_named(curve, float(special.betaincinv(*shape, share))) for share in (TAIL, 0.5)]
    last = _named(curve, float(1.0 - special.betaincinv(shape[1], shape[0], TAIL)))
    chance, u = _chance(curve, np.unique(np.concatenate((np.linspace(ends[0], last, CELLS), ends))))
    below = np.maximum.accumulate(special.betainc(*shape, u))
    reached = special.bdtrc(right - 1.0, guesses, chance)
    mean = below[0] + float(np.sum(reached[:-1] * np.diff(below))) + reached[-1] * (1.0 - below[-1])
    return float(min(mean * (1.0 + ROUNDING), 1.0))


def _chance(curve: HypothesisCurve, c: Array) -> tuple[Array, Array]:
    """c/u and u = c + g(c) for each c in [0, 1]."""
    u = np.minimum(c + np.array([curve.inverse(float(each)) for each in c]), 1.0)
    return np.minimum(c / np.maximum(u, TINY), 1.0), u


def _named(curve: HypothesisCurve, u: float) -> float:
    """C(u), from below by a rounding; at a smaller u the chance is no smaller."""
    return first_true(lambda c: c + curve.inverse(c) > u, 0.0, u, most=60).false


def refuse_canaries_that_touch(plan: Plan) -> None:
    """Raises PlanError where the plan itself says that what is seen of one canary depends on others."""
    together = [phase.sampling.kind for phase in plan.phases if not isinstance(phase.sampling, EACH_FOR_ITSELF)]
    if together:
        raise PlanError(
            "method=order-statistics holds where each canary is drawn for itself, and the plan's sampling "
            f"({together[0]}) draws examples together. Take --method one-run-fdp."
        )
    if has_search(plan):
        raise PlanError(
            "method=order-statistics holds where canaries do not touch each other, and the plan releases the best of "
            "several trials, which each has a part in choosing. Take --method one-run-fdp."
        )
