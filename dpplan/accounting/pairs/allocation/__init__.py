"""The likelihood ratio of an allocation: a mean of independent lognormals, between two laws on a geometric lattice.

A record that joins exactly one of T steps, all alike, has P = (1/T)·Σ N(e_t, σ²I) against Q = N(0, σ²I). With
r_t = exp((2x_t - 1)/(2σ²)), lognormal of mean 1 and independent under Q, the likelihood ratio is R = (1/T)·Σ r_t, and

    removing: delta(ε) = E_Q[(R - e^ε)₊]        adding: delta(ε) = E_Q[(1 - e^ε·R)₊]

are means of convex functions of R. Say A <= B (in convex order) when E[f(A)] <= E[f(B)] for every convex f; then both
have the same mean, and B is A with independent noise of mean 0 given A (Strassen 1965). So

    - a spread: moving the mass at a point to points around it, keeping mass and mean, raises a law (Jensen);
    - a merger of outcomes into one at their mean lowers it (Jensen), and so does a polygon below E[(R - a)₊] that has
      the same mass and mean, since these functions of a determine the order;
    - sums keep it: given the other term, a convex function of the sum is one of the first (so also products with
      positive factors, which is how epochs compose); and
    - multiples keep it.

Hence a law above (below) that of r_t, put back on a lattice by spreading (by a polygon) after each averaging of two,
ends as a law above (below) that of R, in both directions at once. Each of these moves a law by the square of the
lattice's step. What is rounded on the way:

    - masses: those of an upper law are rounded up, those of a lower law down, so that each is at least (at most) that
      of a law that is exactly above (below): deltas are sums of masses times what is not negative.
    - values: where a pair of points lands is known to `moved`, relative; the law is one of R·(1 + θ), |θ| <= moved, a
      share that averaging does not raise, and losses are moved by it in the end.

Laws lie on two kinds of lattice. On one of logarithms, the mean of two lands between points, wherever they lie: each
doubling adds its share of what is spread, and the last ones the most. That is for few, and for little noise. Many are
summed on a graded lattice, on which the sum of two points of its body is a point.

In reading order: lattice_measure (a law on a lattice of logarithms), averaging (of two), lower_polygon and convex_order
(back to the lattice), graded_lattice and graded_sum (of many), lognormal_mean (all of it), loss (the law of the privacy
loss).
"""

from dpplan.accounting.pairs.allocation.lattice_measure import Side
from dpplan.accounting.pairs.allocation.lognormal_mean import Mean
from dpplan.accounting.pairs.allocation.loss import AllocationLoss, UnknownLoss

__all__ = ["AllocationLoss", "Mean", "Side", "UnknownLoss"]
