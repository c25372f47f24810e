"""The page about mechanisms: what each kind in a plan file is given, and what its figure is."""

MECHANISMS = """\
What a phase of a plan file releases: mechanism: {kind: ..., and its settings}. Epsilon, delta, rho, mu and curves are
of one release, for the neighbours of the plan; where the unit is a user, read user for record, with all of theirs. A
number in brackets is what a setting is where it is left out.

  dpplan epsilon recipes/plans/census-2020.yaml --delta 1e-10 --accountant rdp

- gaussian: noise_multiplier, the standard deviation of the noise over the clip norm. Or epsilon and delta in place of
it, of one release: the least noise_multiplier that gives them (the analytic Gaussian mechanism), rounded up and
accounted like any other. With sampling they are those of a step that draws every record, and steps cost less. Exact.

- laplace: epsilon, or noise_scale, the scale of the noise where a record moves the answer by 1: epsilon is
1/noise_scale. Beside a query, the scale of the noise that is added to its answer, in units of the data: epsilon is how
far a record (or user) moves the answer, over noise_scale. How far a record moves several numbers is the sum of what it
moves each by (L1), and not the length of a clipped vector (L2). Exact.

- discrete-laplace: epsilon and sensitivity (1), a whole number: two-sided geometric noise. Or noise_scale in place of
epsilon, sensitivity/noise_scale. Beside a query its sensitivity follows, and noise_scale is as of laplace, as are
several numbers. The answer, each number of it, is a whole number before noise is added: round what each record adds,
and not the sum; what stands behind the point of any other answer is released without noise. Exact.

- discrete-gaussian: noise_scale, σ in e^(-k²/(2σ²)), and sensitivity (1), how far a record moves the one whole number;
or differences, a list of how far it moves each of several; or l2_sensitivity, how far it moves several together; all of
them whole numbers, as of discrete-laplace. Exact but for the last, which rdp and zcdp answer from above: of a length
alone no single change is the worst.

- randomized-response: epsilon and categories (2): each record answers for itself, once, with the true one of so many
categories by chance e^epsilon/(e^epsilon + categories - 1), and with each other one by the same chance. Other answers
that are private with epsilon (a bit for each category, subsets, unequal chances) may cost more: choose epsilon-delta.
Not under add-remove. Under zero-out a zeroed record answers uniformly at random; one that answers as some category
would is replaced, and costs more: choose replace-one. Exact.

- epsilon-delta: epsilon and delta (0), stated of anything. Exact for the worst that has it.

- gdp: mu, stated of anything; at most what a Gaussian costs.

- exponential, noisy-max, permute-and-flip: epsilon. Only that is known of them, so the figure has a lower end without
them and an upper end with all that they can cost. exponential is a choice by weights e^(epsilon·score/(2·sensitivity)),
where a record moves each score by that sensitivity at most: of it rdp knows more, and answers where no accountant is
named. permute-and-flip takes an answer, of all in random order, with chance e^(epsilon·(score - best)/(2·sensitivity));
noisy-max names the largest score after noise that makes that private with epsilon. What is chosen from is the same
whatever the data say. A choice that is private for another reason is epsilon-delta.

- above-threshold: threshold_scale and query_scale, of the Laplace noise in units of how far a record moves a query, one
unit for the whole stream and the threshold: the most that it moves any of its queries (where they differ, divide each
by its own first, and its threshold too). A threshold is a number that is the same whatever the data say: of one that is
computed from them, ask for the query less that threshold, and count how far a record moves the difference. answers (1),
and queries (any, or monotone): the sparse vector technique, from above by its epsilon, 1/threshold_scale +
2·answers/query_scale, or half the second where queries are monotone (not under replace-one). The noise of the threshold
is drawn once and kept for all answers, that of a query anew for each; only above or below is told, and no noisy value;
after so many answers of above it stops. Queries are monotone where a record moves all of the stream in one direction.

- thresholded-counts: noise_scale, threshold, partitions (1), and noise (gaussian, of standard deviation noise_scale, or
laplace, of that scale): noisy counts of which the large are released with their names, such as a vocabulary. One record
adds at most 1 to each of so many counts, and to which follows from nothing but that record. Between what the noise
costs and that with the chance of a name that only the record has. A zeroed record is in no partition. Names stand in an
order that is fixed beforehand or follows from the noisy counts, not in that of the data.

- tree: noise_multiplier, participations (1) and separation (1): DP-FTRL. steps is the length of the run, in which a
record takes part so often at most, so many steps apart at least. Blocks are those that lie wholly among these steps: a
tree that is completed with empty steps releases more, and they count as steps. Who is in which step is fixed whatever
examples say and whoever else is in the data: batches cut from a list move where a record is removed, and are not
covered under add-remove. One Gaussian release, exact where the sensitivity is, else from above. With shuffle and order:
once a record's steps follow from the scheme.

- toeplitz: noise_multiplier, participations and separation as of a tree, and bands, of the square root of prefix sums,
or coefficients: of a strategy C whose noisy C·x is released (banded matrix factorisation). With cyclic-poisson and as
many groups as bands or more, sampling amplifies it.

- matrix: noise_multiplier, participations and separation as of a tree, and strategy: a file (.npy, .csv or .txt, seen
from the plan file's folder) with any lower triangular C, a row for each step. Exact where no two columns of a record's
pattern share a row, and where it has one step; else an interval, from a pattern that was found to one that bounds all;
under shuffle, order: once, from above, as if the order were told. A matrix that is the same along its diagonals is
kind: toeplitz, which takes a strategy too: the matrix, or its first column. In JSON: entries, the last of each row up
to the diagonal, as many as bands.

- blt: noise_multiplier, participations and separation as of a tree, decays and scales: the same
with buffers. They are of C, and not of its inverse: along its diagonals stand 1 and then, j steps below, the sum of
scale·decay^(j - 1) over all buffers.

- zcdp: rho, stated of anything: a bound on Rényi divergences, which rdp and zcdp answer, from above. Where no
accountant is named, rdp does; the exact one refuses: no pair of laws dominates all that has this rho, and one Gaussian
of it is no upper bound. What that Gaussian would cost is the estimate of --accountant gdp.

- rdp: orders and epsilons, two lists: a Rényi curve stated of anything. As zcdp; between two orders it is their chord,
and above the last nothing is known.

Under Poisson sampling, with add-remove or zero-out: gaussian, laplace, discrete-laplace, discrete-gaussian on one
number, epsilon-delta, gdp, exponential, noisy-max, permute-and-flip and above-threshold (one batch for the whole
stream), by what sampling makes of their laws. With
zero-out that holds of what cannot tell a zeroed record in a batch from none, as a sum cannot; what counts or names the
records that were drawn can, and sampling does not help it. A stated rho or curve is for whole releases: state
the curve of the sampled one.
"""
