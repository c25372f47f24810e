"""A dominating pair, and the pairs that have no plan yet, each with the theorem that says it dominates."""

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import field

from dpplan.accounting.pairs.combined_laws import Mixture, Reversed, Subsampled
from dpplan.accounting.pairs.finite import AnswerLoss, DiscreteLaplaceLoss, ResponseLoss, StatedLoss
from dpplan.accounting.pairs.laplace import LaplaceLoss
from dpplan.accounting.pairs.law import Law
from dpplan.accounting.pairs.replace_one import Mirrored, ReplacedGaussianLoss
from dpplan.accounting.pairs.unsampled_gaussian import GaussianLoss
from dpplan.quick_dataclass import dataclass

# Laws that are their own reflection.
SYMMETRIC = (GaussianLoss, LaplaceLoss, StatedLoss, ResponseLoss, AnswerLoss, DiscreteLaplaceLoss)


@dataclass(frozen=True, slots=True)
class Resolution:
    """halvings: of a lattice's step. reach: masses of e^-reach may be cut off at either end of a law."""

    halvings: int = 0
    reach: int = 40


@dataclass(frozen=True)
class DominatingPair:
    """The loss of one step, P being the law of the output with the record (remove) or without it (add).

    theorem: who says that the pair dominates, or is realised by some neighbours where `dominates` is False: then what
    is computed from it bounds the truth from below only. realised: pairs that some neighbours realise, where this one
    is not known to be, or that lie below such a pair: the truth lies between the figures of those and of this one.
    Empty where this one is realised. resolved: the pair as accurate as that, where its laws are known on a lattice.
    """

    remove: Law
    add: Law
    theorem: str
    dominates: bool = True
    realised: tuple["DominatingPair", ...] = ()
    resolved: "Callable[[Resolution], DominatingPair] | None" = field(default=None, compare=False)

    @property
    def exact(self) -> bool:
        """Whether the pair dominates and is realised, so that its figures are those of the worst neighbours."""
        return self.dominates and not self.realised

    def realisation(self, choice: int) -> "DominatingPair":
        """One of the pairs that neighbours realise; where this one is realised, itself."""
        return self.realised[choice % len(self.realised)] if self.realised else self

    @property
    def directions(self) -> tuple[Law, ...]:
        """The two laws, or the one when both are the same."""
        return (self.remove,) if self.remove == self.add else (self.remove, self.add)


def gaussian(noise_multiplier: float) -> DominatingPair:
    """Gaussian noise, every record in every batch."""
    law = GaussianLoss(noise_multiplier)
    return DominatingPair(law, law, "N(1, σ²) against N(0, σ²): Balle, Wang 2018 (arXiv:1805.06530), Thm 8")


def laplace(scale: float) -> DominatingPair:
    """Laplace noise of this scale, in units of the sensitivity, on one number.

    It dominates: for neighbours u apart, the events {dP/dQ > a} are half-lines x > τ, and P[x > τ] rises with u while
    Q[x > τ] stays; the best event can only do better. The reflection of x exchanges the directions.
    """
    law = LaplaceLoss(scale)
    return DominatingPair(law, law, "Laplace(1, b) against Laplace(0, b): half-lines are optimal, and u = 1 is worst")


def randomized_response(categories: int, noise: float) -> DominatingPair:
    """k-ary randomized response, one record's answer replaced by another: all pairs of answers have this very law."""
    law = ResponseLoss(categories, noise)
    return DominatingPair(law, law, "the outputs' laws under two different answers, the same for every two")


def stated(epsilon: float, delta: float) -> DominatingPair:
    """Anything that is (ε, δ)-private, in both orders."""
    law = StatedLoss(epsilon, delta)
    return DominatingPair(law, law, "Kairouz, Oh, Viswanath 2015 (arXiv:1311.0776): dominates all that is (ε, δ)-DP")


def subsampled(pair: DominatingPair, sample_rate: float) -> DominatingPair:
    """Poisson sampling before a step of this pair: (1 - q)·Q + q·P against Q; adding: P against (1 - q)·P + q·Q."""
    if sample_rate == 1.0:
        return pair
    return DominatingPair(
        remove=Subsampled(pair.remove, sample_rate),
        add=Reversed(Subsampled(_reversed(pair.add), sample_rate)),
        theorem=f"{pair.theorem}; Poisson sampling: Zhu, Dong, Wang 2022 (arXiv:2106.08567), Thm 11",
        dominates=pair.dominates,
        realised=tuple(subsampled(each, sample_rate) for each in pair.realised),
    )


@functools.lru_cache(maxsize=8192)  # a plan of thousands of phases is read several times
def sampled_gaussian(noise_multiplier: float, sample_rate: float) -> DominatingPair:
    """Poisson sampling before Gaussian noise: what most plans are made of. One object for one pair of numbers."""
    return subsampled(gaussian(noise_multiplier), sample_rate)


def _reversed(law: Law) -> Law:
    """Q against P; a law that is its own reflection stays the object it is."""
    return law if isinstance(law, SYMMETRIC) else Reversed(law)


def mixed(parts: tuple[tuple[float, DominatingPair], ...]) -> DominatingPair:
    """A step that a public coin chooses, with these probabilities: H_a of it is the mean of theirs."""
    return DominatingPair(
        remove=Mixture(tuple((weight, pair.remove) for weight, pair in parts)),
        add=Mixture(tuple((weight, pair.add) for weight, pair in parts)),
        theorem="a public coin: " + "; or ".join(pair.theorem for _, pair in parts),
        dominates=all(pair.dominates for _, pair in parts),
        realised=tuple(
            mixed(tuple((weight, pair.realisation(choice)) for weight, pair in parts))
            for choice in range(max(len(pair.realised) for _, pair in parts))
        ),
    )


def replaced(noise_multiplier: float, sample_rate: float) -> DominatingPair:
    """Gaussian noise under Poisson sampling, one record replaced by another.

    It dominates. Given who else was drawn, H_a being jointly convex and shift-invariant, neighbours give
    P = (1 - q)·N(0, I) + q·N(u, I) against Q with v, |u| and |v| at most 1/σ. For a >= 1 let S = {P > aQ}; by the
    envelope theorem H_a changes as if S stood still. Turning v away from u by an angle raises it: with y along v and z
    across it, S is z < τ(y), and the derivative is -a·q·|v|·∫φ(y - |v|)·∫_{z<τ(y)} z·φ(z) dz dy > 0. On a line, u >= 0
    >= v, S is x > τ, and H_a rises with u and with -v. For a < 1, H_a(P||Q) = a·H_{1/a}(Q||P) + 1 - a, and the extreme
    pair is its own mirror image. The extreme is realised by gradients ±1 over a background of zeros.
    """
    law: Law = ReplacedGaussianLoss(noise_multiplier, sample_rate)
    if sample_rate == 1.0:
        law = GaussianLoss(noise_multiplier / 2.0)
    theorem = (
        "one record replaced under Poisson sampling: opposite clipped gradients are worst (derived at pairs.replaced)"
    )
    return DominatingPair(law, law, theorem)


def fixed_size(noise_multiplier: float, sample_rate: float) -> DominatingPair:
    """Batches of a fixed size, add/remove: where the record is not drawn, another is drawn in its place, so that the
    sum moves by up to two clip norms. Realised by gradients that are all opposite to the record's."""
    pair = subsampled(gaussian(noise_multiplier / 2.0), sample_rate)
    theorem = "sampling without replacement, add/remove: Zhu, Dong, Wang 2022 (arXiv:2106.08567), Thm 11, at σ/2"
    return dataclasses.replace(pair, theorem=theorem)


def fixed_size_replaced(noise_multiplier: float, sample_rate: float) -> DominatingPair:
    """Batches of a fixed size, one record replaced: from above the mirrored curve of sampling at σ/2 (Balle, Barthe,
    Gaboardi 2018, arXiv:1807.01647, Thm 9, for a >= 1), from below what fixed data realise."""
    if sample_rate == 1.0:
        return replaced(noise_multiplier, 1.0)
    above = Mirrored(subsampled(gaussian(noise_multiplier / 2.0), sample_rate).remove)
    theorem = "sampling without replacement, replace-one: Balle, Barthe, Gaboardi 2018 (arXiv:1807.01647), Thm 9"
    below = (fixed_size(noise_multiplier, sample_rate), replaced(noise_multiplier, sample_rate))
    return DominatingPair(above, above, theorem, realised=below)
