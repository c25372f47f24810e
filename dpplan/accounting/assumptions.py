"""What a certificate takes for granted: the one list, printed by `dpplan help certificate` and by --explain.

A certified figure is a theorem with premises. Whoever wants to break the claim without breaking the proof has to
break one of these; a premise that is missing here is a fault of dpplan.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from dpplan.adjacency import AFTER_FILTERS, DIFFERENT_N, GROUP_N, N_IS_PUBLIC, ZEROED
from dpplan.quick_dataclass import dataclass

Kind = Literal["theorem", "arithmetic", "run", "claim"]


@dataclass(frozen=True, slots=True)
class Assumption:
    """One premise. kind: a key of KINDS. source: where it is stated or derived, or what dpplan does about it."""

    name: str
    kind: Kind
    text: str
    source: str


KINDS: Mapping[Kind, str] = MappingProxyType(
    {
        "theorem": "mathematics that is cited and not proven anew",
        "arithmetic": "the machine that computed the figure",
        "run": "the run that the figure is claimed for",
        "claim": "what is protected, and what is not counted",
    }
)

BALL_ARITHMETIC = "ball arithmetic, with --prove"  # of proofs alone: no other figure rests on it
# Of a plan for other neighbours, or for users, these two are told by other names (render.explanation).
NEIGHBOURS, BOUNDED = "add or remove one example", "bounded contribution of an example"
CERTIFICATE: tuple[Assumption, ...] = (
    Assumption(
        "dominating pair",
        "theorem",
        "Of all neighbouring data sets and all gradients within the clip norm, none is told apart better than the "
        "mixture (1 - q) N(0, σ²) + q N(1, σ²) from N(0, σ²), in either direction. Fixed-size batches under "
        "add/remove have this pair at σ/2. Replace-one has N(1, σ²) and N(-1, σ²) in the two mixtures under Poisson "
        "sampling (derived where the code has it), and under fixed-size batches the first pair at σ/2 mirrored, from "
        "above only; so, too, where a record is zeroed out. Batches that are cut are a mixture over whether others "
        "fill them, from above. Groups that take turns have the pair of their turns. Shuffled batches have one "
        "Gaussian step an epoch from above, and from below what the largest output of an epoch tells. A user with at "
        "most K examples has the mixture of N(j, σ²) over how many are drawn. Where each example joins one of T "
        "steps, it is the mixture of T normal laws whose means are the unit vectors, from N(0, σ²) in T dimensions. "
        "Steps that share noise are one Gaussian release of C·x, over how far a record moves it, and, where groups "
        "take turns, one of each turn. Where an example joins several of a round's steps it has, from above, one of "
        "each of as many blocks.",
        "Mironov, Talwar, Zhang 2019, arXiv:1908.10530, Thm 4; Zhu, Dong, Wang 2022, arXiv:2106.08567, Thm 11; Balle, "
        "Barthe, Gaboardi 2018, arXiv:1807.01647, Thm 9; Chua et al. 2024, arXiv:2403.17673; Charles et al. "
        "2024, arXiv:2407.07737; Denisov et al. 2022, arXiv:2202.08312; Choquette-Choo et al. 2022, arXiv:2211.06530, "
        "and 2023, arXiv:2306.08153; Feldman, Shenfeld 2025, arXiv:2502.08202; accounting/pairs",
    ),
    Assumption(
        "adaptive composition",
        "theorem",
        "Pairs that dominate each step dominate the whole run, though each step depends on what the earlier ones "
        "released; so all iterates may be released, and need not be. All settings of each phase (noise, rate, steps, "
        "scales, groups, in how many steps a record is, the law of a search) and which phases there are do not depend "
        "on what was released. Phases run one after the other; only steps and releases with draws and noise of their "
        "own may take turns.",
        "Zhu, Dong, Wang 2022, arXiv:2106.08567, Thm 10",
    ),
    Assumption(
        "cited bounds",
        "theorem",
        "The other results that the accountants' docstrings cite, above all the trapezoid rule's error in a strip, "
        "Chernoff's and Mills' bounds, and for rdp, zcdp, moments and the composition theorems those of their papers, "
        "hold as they are printed.",
        "Trefethen, Weideman 2014, Thm 5.1; the docstrings beside each use",
    ),
    Assumption(
        "binary64 arithmetic",
        "arithmetic",
        "Sums, products, quotients and square roots are those of IEEE 754 binary64, each rounded to nearest, with "
        "gradual underflow: no flush to zero, no extended precision, no other rounding mode set by another library in "
        "the process, no compiler that reorders (fast-math). A fused multiply-add rounds less, and is covered.",
        "IEEE 754-2019; not tested where it runs",
    ),
    Assumption(
        "elementary functions within 4 units of 2^-53",
        "arithmetic",
        "exp, expm1, log, log1p, sin, cos, erf, erfc and the like, of the C library and of numpy, scalar and "
        "vectorised, complex ones in each part, err by at most 4/2^53 of their value wherever they are called, which "
        "is two units in the last place where these weigh most and four where least (erf and erfc by 8/2^53).",
        "measured, not proven, for each C library: Gladman, Innocente, Mather, Zimmermann, hal-03141101; numpy its own",
    ),
    Assumption(
        "numpy's sums and transforms",
        "arithmetic",
        "Sums, dot products, convolutions and Fourier transforms of numpy and of the BLAS behind it err by no more "
        "than the worst case of any order of summation, and of the algorithm's depth (pocketfft). What a lattice adds "
        "up over all its points is added in pairs of halves down to blocks of 128, as numpy says of sums along memory. "
        "The nodes and weights of Gauss rules, those of dpplan's own too, are off by 36 units of 2^-52 at most, as "
        "tests hold them to.",
        "Higham 2002, Accuracy and Stability of Numerical Algorithms, §4.2 and Thm 24.2; numpy.sum",
    ),
    Assumption(
        "inputs are the nearest doubles",
        "arithmetic",
        "σ, q, δ and ε are the binary64 numbers nearest to what was typed, and a q of batch / n is the double nearest "
        "to that quotient. The figure is for these doubles; what was typed lies within two parts in 10^16 of them. "
        "What other laws are told by and is worked out from these (σ/√k, 1/ε, 1/μ) is a double within a part in 10^14, "
        "and σ over how far a record moves what steps share within one in 10^12. A "
        "trainer must draw and scale with the same doubles. Text becomes a double, and a double text, with correct "
        "rounding; printed ends are rounded outward after that.",
        "`dpplan train` draws and accounts from one object",
    ),
    Assumption(
        "a floor under fast intervals",
        "arithmetic",
        "Each end of an interval without --prove is widened by one part in 10^9 beyond its proven error, so that one "
        "unforeseen rounding does not undo it. That is a margin, not a proof: all else on this list is still needed.",
        "--prove leaves the floor out, and needs neither binary64 nor the C library",
    ),
    Assumption(
        BALL_ARITHMETIC,
        "arithmetic",
        "A proof needs that Arb, GMP and MPFR in python-flint enclose what they say they enclose.",
        "Johansson 2017, Arb: efficient arbitrary-precision midpoint-radius interval arithmetic",
    ),
    Assumption(
        "dpplan, Python and numpy are free of bugs here",
        "arithmetic",
        "The programs do what their text says: dpplan, the interpreter, numpy, the compiler they were built with. "
        "Nothing of this was verified by a machine. Oracles of another make, the contracts of every accountant, two "
        "methods against each other and --prove against both are tests of it.",
        "tests/oracle.py, tests/accounting; `dpplan epsilon --prove`",
    ),
    Assumption(
        "hardware without faults",
        "arithmetic",
        "Processor, memory and disk return what they computed and stored: no bit flip, no defective core, no bug such "
        "as that of the first Pentium's division.",
        "not tested where it runs",
    ),
    Assumption(
        "batches drawn as the figure says",
        "run",
        "By Poisson sampling, if the figure names no other: at every step each example joins the batch by a coin of "
        "its own with chance exactly q, independently of all other examples and steps; gaps drawn with the law of "
        "such coins are as good. What the finite bits of a generator make of q is left out. Another scheme draws by "
        "its own law, as `dpplan help sampling` says, and its figures name it. Whatever it chooses from has the same "
        "chance each, whatever examples say: under fixed-size every subset of that size, anew at each step; of a "
        "batch that is cut every subset of the cap, anew at each step; under balls-in-bins, random-allocation and "
        "cyclic-poisson with groups that are drawn every step, choice of steps or group, for each example by itself "
        "and independently of all others, drawn for this run and known to nobody before it, as a hash of a name is; "
        "under shuffle every order. Epochs, rounds and turns are counted from where a phase begins, and each is "
        "taken to its end before the next is drawn: one that is cut short or begun anew counts as a whole one, as a "
        "phase of its own. Every phase draws its own; groups that take turns are kept for the whole phase, by place "
        "for all phases. Who joined is not released, whatever the scheme, but for the groups that take turns, of "
        "which no list is released under add-remove. Where a plan declares participations and separation in place of "
        "a scheme, each record is in at most so many steps, so far apart, and who is in which step is fixed whatever "
        "examples say and whoever else is there: batches that are cut from a list, in order or shuffled, move where "
        "a record is removed, and are not covered under add-remove. Shuffling under a figure for another scheme, and "
        "dropping or repeating examples to fill a batch, are not covered. Of users that are drawn whole, q is their "
        "rate; with at most K examples each, no user has more, and which are kept does not depend on anything but "
        "that user's own.",
        "`dpplan train` does it and tests its batch sizes; `dpplan check --loader` tells of others",
    ),
    Assumption(
        BOUNDED,
        "run",
        "An example adds to the sum a vector of L2 norm at most the clip norm C, of all parameters together (with "
        "norms C_l by layer, C² is the sum of C_l²) and one for all its views, and changes nothing else of the step, "
        "nor of a later one but through what is released: not the gradient of another example, not a buffer, not the "
        "divisor (which is q·n with the public n), not whether the step fails or is left out: an empty batch is a "
        "step like others, with its noise. Where steps share noise, C is one number for the whole phase: a clip "
        "norm, or a weight before noise is added, that changes from step to step is not covered. A gradient that is "
        "not finite adds nothing. Of users that are drawn whole, read user for example: they share none. The norm is "
        "that of the sum as it is computed, rounding included.",
        "`dpplan train` keeps examples apart or tests that they are, and clips with a margin for the rounding that it "
        "finds where it runs (isolation and arithmetic in its report); elsewhere it is the user's to show. A model "
        "that raises on one example ends its run, which says so; where one is taken at a time, that one adds nothing",
    ),
    Assumption(
        "exact Gaussian noise",
        "run",
        "The noise of a step is a normal vector with independent coordinates of standard deviation σ·C, on every "
        "coordinate that is released, fresh at each step and drawn after the sum, with nothing between sum and "
        "noise. Which coordinates these are is the same whatever examples say: rows of an embedding that no example "
        "touched have their noise and are released too, and no mask picks the largest. Noise that steps share is "
        "made of such vectors by the strategy that is accounted. A complex number is two coordinates, each with "
        "noise of σ·C: what draws complex normals gives each a deviation of σ·C/√2. A sampler in floating point only "
        "comes near it; attacks on the last bits of the noise or of the sum are outside the theorem.",
        "Mironov 2012; Holohan, Braghin 2021, arXiv:2107.10138. runtime.secure_noise narrows the gap",
    ),
    Assumption(
        "other mechanisms are what is stated of them",
        "run",
        "A release that a plan names beside DP-SGD (Laplace, geometric, randomized response, a choice, a stated (ε, "
        "δ), μ or curve) is private as the plan says: with its sensitivity (of several numbers with Laplace or "
        "geometric noise the sum of what each moves by, not the length of a clipped vector; of geometric and "
        "discrete Gaussian noise an answer in whole numbers, as is what each record adds to it), a choice by the "
        "weights or chances that `dpplan help mechanisms` tells, for the same neighbours and the same protected unit "
        "as all other phases, on the same data, and with noise of exactly its law, drawn anew for each release, each "
        "number in it and each record that answers, independently of all others. A floating-point Laplace sampler "
        "has not (Mironov 2012). Its sensitivity is that of the answer as it is computed, rounding included. Whether "
        "it is made, how many numbers it has, the bins of a histogram and what a choice chooses from are the same "
        "whatever the data say: an empty bin is released with its noise, and names that come from the data are "
        "thresholded-counts. Nothing of it is run or tested here. Of a search (repeat) the number of trials is drawn "
        "by the law that is stated, without a look at the data; each trial, its setting included, is drawn anew and "
        "by itself, independently of all others and of their number; and the best is released by a score that is "
        "public or is a release of its trial, and nothing else; between equal scores nothing decides that the data "
        "touch, not which trial finished first. Names and answers stand in an order that does not come from the data.",
        "`dpplan help plans`; accounting/pairs names the theorem of each",
    ),
    Assumption(
        "ideal, secret randomness",
        "run",
        "Coins and noise come from generators that nobody can tell from ideal ones, with seeds that nobody knows or "
        "can guess, never used twice: not after a fork, a copied virtual machine or a copied run folder (but to make "
        "the same noise of the same steps again). So does all else that is drawn in a step (dropout, augmentation), "
        "unless what one example gets does not depend on which others are there: of a stream that is known, an "
        "example more shifts what the next ones get.",
        "unseeded runs are seeded by the operating system; who knows a seed can subtract the noise",
    ),
    Assumption(
        "every step is counted",
        "run",
        "The steps accounted are all that were taken on these examples: lost ones after a crash, those of a copy of "
        "the run that went on elsewhere, and those of earlier runs (--spent) included.",
        "`dpplan train` counts on disk before each step, and knows of copies on the same machine and of the same user",
    ),
    Assumption(
        "nothing else is released",
        "run",
        "All that leaves the run is computed from the noisy sums: parameters, optimiser state, checkpoints. No loss, "
        "accuracy, gradient norm, batch size, error message, file name, swapped page or core dump, no sum on a network "
        "that others read, and nothing that the model's own code prints, logs or writes.",
        "`dpplan train` marks what is not covered with *. A model that reads numbers in Python it refuses where that "
        "prints, logs or writes to files in training; what code in C++ writes to terminals, pipes and connections, or "
        "anybody through memory that is mapped to a file, it does not see",
    ),
    Assumption(
        "no side channels",
        "run",
        "How long a step takes, the power and memory it uses, cache and paging, are not seen by the adversary. Empty "
        "and large batches take visibly different times.",
        "not defended against",
    ),
    Assumption(
        NEIGHBOURS,
        "claim",
        "Neighbouring data sets differ by one example more or less. Replacing one costs more, up to what two cost, "
        "and is asked for by --adjacency replace-one; under zero-out one is exchanged for nothing, and n stays. "
        f"{ZEROED} {AFTER_FILTERS} The protected unit is one row: a person with k rows has (k·ε, k·e^((k-1)·ε)·δ), of "
        "figures that are made of n those for the fewest examples on the way, a duplicated row counts twice, and "
        "examples made from one another (crops, n-grams, windows of a series) are several.",
        "Dwork, Roth 2014, §2.3; Vadhan 2017, Lemma 2.2",
    ),
    Assumption(
        "n, the number of examples, and the shape of the data are public",
        "claim",
        f"{N_IS_PUBLIC} {DIFFERENT_N} {GROUP_N} The shape of an example, the classes and the vocabulary are known or "
        "published otherwise. The split into training and held-out examples is given: neighbours are training sets.",
        "`dpplan check` DP004",
    ),
    Assumption(
        "choices are not made from the data",
        "claim",
        "Settings, architecture, preprocessing (mean, vocabulary, features), the clip norm, when to stop and which "
        "run or checkpoint to publish were chosen without these examples, or are accounted for separately. A limit "
        "on time is such a choice, as how far a run comes in it tells of its examples. So were the initial "
        "parameters, and all else that the model holds or reads: a model that was trained before on the same "
        "examples has spent already, and a buffer, a scale or a statistic that was computed from them, a mean say, "
        "is released as it is.",
        "`dpplan train` refuses a model that reaches training examples themselves, not what was computed from them; "
        "`dpplan check` DP010, DP011, DP014; Papernot, Steinke 2022, arXiv:2110.03620",
    ),
    Assumption(
        "the claim is (ε, δ)",
        "claim",
        "With a chance of δ the run may give an example away. ε bounds what a model tells of one example beyond what "
        "is known without it, and not what is true of the population, nor what held-out or public data tell.",
        "Dwork, Roth 2014, §2.3",
    ),
    Assumption(
        "the file says what ran",
        "claim",
        "The settings in a report, and those typed, are those of the run. Nothing here is signed: who can write the "
        "files, or run another program under this name, can claim anything.",
        "`dpplan verify` finds contradictions, not lies",
    ),
)
