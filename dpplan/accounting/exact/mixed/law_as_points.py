"""Stage 1: a law as masses at points, its own atoms or the nodes of a rule that integrates its density.

Every transform of a law, M(z) = E_P[e^(zL)] over its finite losses, then is a sum over points, plus what the rule
leaves out, which whoever made the rule bounds (laplace_gauss_rule). What sampling, reversal and a public coin do to a
law they do to each of its points.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dpplan.accounting.exact.contour.privacy_loss import log_ratio
from dpplan.accounting.numerics import Array
from dpplan.accounting.pairs.combined_laws import Mixture, Reversed, Subsampled
from dpplan.accounting.pairs.finite import (
    AnswerLoss,
    DiscreteLaplaceLoss,
    Finite,
    ResponseLoss,
    StatedLoss,
    ZeroedAnswerLoss,
)
from dpplan.accounting.pairs.laplace import LaplaceLoss
from dpplan.accounting.pairs.law import EPS, LOSS_OFF, Law
from dpplan.quick_dataclass import dataclass

ATOMS_ALONE = (Finite, StatedLoss, ResponseLoss, AnswerLoss, ZeroedAnswerLoss)  # of a few outcomes, nothing cut away
LARGEST = 600.0  # of a loss: beyond it, masses leave the range of floats


class Uncomposable(ArithmeticError):
    """This law, here, is beyond what this engine does at a price: another is to answer."""


@dataclass(frozen=True, eq=False)
class Points:
    """P- and Q-masses at losses, [point] each, with p = q·e^loss.

    relative: bounds on the relative error of each mass. moved: how far each loss may lie from the one meant.
    """

    loss: Array
    p: Array
    q: Array
    relative: Array
    moved: Array

    @classmethod
    def atoms_of(cls, law: Law) -> "Points":
        """A law's own atoms."""
        atoms = law.atoms
        return cls(
            atoms.loss, atoms.p, atoms.q, np.full(len(atoms.loss), atoms.relative), law.loss_off * np.abs(atoms.loss)
        )

    @classmethod
    def joined(cls, parts: list["Points"]) -> "Points":
        columns = ("loss", "p", "q", "relative", "moved")
        return cls(*(np.concatenate([getattr(part, column) for part in parts]) for column in columns))

    def reversed(self) -> "Points":
        return Points(-self.loss, self.q, self.p, self.relative, self.moved)

    def weighted(self, weight: float) -> "Points":
        return Points(self.loss, weight * self.p, weight * self.q, self.relative + 2.0 * EPS, self.moved)

    def sampled(self, rate: float) -> "Points":
        """Of (1 - rate)·Q + rate·P against Q: the loss is log(1 - rate + rate·e^L), and moves by the posterior
        probability of having been sampled, `share`, as much as L does."""
        if rate == 1.0:
            return self
        q = np.array(rate)
        loss = log_ratio(self.loss, q)
        share = np.exp(np.minimum(np.log(q) + self.loss - loss, 0.0))
        far = (self.loss >= 30.0) | ((rate >= 0.5) & (self.loss <= -0.5))
        rounding = EPS * (16.0 * np.abs(loss) + share * (4.0 * np.abs(self.loss) + 4.0 * far * np.abs(np.log(q))))
        p = (1.0 - rate) * self.q + rate * self.p
        return Points(loss, p, self.q, self.relative + 4.0 * EPS, share * self.moved + rounding)


def points(law: Law, rule: Callable[[LaplaceLoss], Points]) -> Points | None:
    """The points of a law, where it is made of laws that are known here; rule: the nodes of a Laplace law's density."""
    match law:
        case Finite() | StatedLoss() | ResponseLoss() | AnswerLoss() | DiscreteLaplaceLoss():
            return Points.atoms_of(law)
        case ZeroedAnswerLoss():
            return _zeroed_answer(law)
        case LaplaceLoss():
            return Points.joined([Points.atoms_of(law), rule(law)])
        case Reversed():
            inner = points(law.law, rule)
            return None if inner is None else inner.reversed()
        case Subsampled():
            inner = points(law.law, rule)
            return None if inner is None else _with_vanished(inner.sampled(law.sample_rate), law)
        case Mixture():
            parts = [points(part, rule) for _, part in law.parts]
            known = [part for part in parts if part is not None]
            if len(known) < len(parts):
                return None
            return Points.joined([part.weighted(weight) for (weight, _), part in zip(law.parts, known, strict=True)])
    return None


def _zeroed_answer(law: ZeroedAnswerLoss) -> Points:
    """Its two atoms, whose losses are logarithms of what was computed: of log1p(x) with x off by 10 units, which is
    worth 1.5 times that for x >= -1/2, and beyond that of log(k / whole) - ε, each off by units of itself."""
    found = Points.atoms_of(law)
    size = 32.0 * np.abs(found.loss) + 16.0 * (law.epsilon + np.log(float(law.categories))) * (found.loss <= -0.5)
    return replace(found, moved=EPS * size)


def _with_vanished(sampled: Points, law: Subsampled) -> Points:
    """Where Q alone had mass, P now has 1 - rate times that."""
    rate, mass = law.sample_rate, law.law.vanishing
    if mass <= 0.0 or rate == 1.0:
        return sampled
    loss = np.log1p(np.array([-rate]))
    lost = Points(loss, np.array([(1.0 - rate) * mass]), np.array([mass]), np.array([16.0 * EPS]), LOSS_OFF * -loss)
    return Points.joined([sampled, lost])


def normalised(law: Law) -> bool:
    """Whether E_P[1] and E_P[e^-L] are 1 less what lies at infinity, exactly; tables are so only to rounding."""
    match law:
        case LaplaceLoss() | StatedLoss() | ResponseLoss() | AnswerLoss() | ZeroedAnswerLoss() | DiscreteLaplaceLoss():
            return True
        case Reversed() | Subsampled():
            return normalised(law.law)
    return False
