"""How much of each example's gradient enters the sum: from its norms to its weights.

    rule = rule_for(privacy)
    rule.weights(norms, squares)        # what each example's gradient is multiplied by
    rule.sensitivity                    # what one example can move everything that the rule releases

Each rule keeps an example's contribution at or below its clip norm in the real numbers, less a margin for
round-off, whatever the example is.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from dpplan.recipe import Privacy

# Gradients are clipped to C × (1 - ROUND_OFF), so that round-off cannot carry the sum past C. In units of C, with
# u = 2^-24 of float32 and the standard bounds on sums and dot products in any order (Higham 2002, §3.1 and §4.2):
#
# NORMS  At most SPAN squares are added up in float32, for a relative error of (SPAN + 2) u / 2.
# SUMS   At most BLOCK examples go into one matrix product, off by (BLOCK + 2) u × BLOCK (weights and products are
#        rounded too), and at most BLOCKS products are added up before float64 takes over, for BLOCKS u × BLOCKS BLOCK
#        more. Batches stand in random order, so removing example i amounts to moving the last one, m, to its place: of
#        these sums two differ, each computed twice. When i is not finite, the rows of its piece are copied and its
#        sums may all round otherwise; but then i leaves nothing, and C is more than 2 (BLOCK + 2) u for each of the
#        LARGEST_PIECE rows of a piece.
# LONG   Sums in float64 add less than 1e-4 for batches of up to 10^6 examples.
#
# This much is proven, in any order of summation, if products and sums are those of float32. Every other example, k,
# is taken to enter both sums with the same bits, and m with the same bits at both places. For k that needs arithmetic
# that repeats and that does not look at other rows; for m also that a row's place does not matter. No vendor promises
# it, and no constant bounds what happens without it, since a model may amplify round-off as it likes. So each run tries
# it where it happens, see `floating_point_trial`, and what is found beside the above makes the margin wider.
BLOCK, BLOCKS = 64, 4
SPAN = 1024
LARGEST_PIECE = 2**16
UNIT = 2.0**-24
NORMS = (SPAN + 2) * UNIT / 2
SUMS = 4 * (BLOCK + 2) * UNIT * BLOCK + 4 * BLOCKS * UNIT * BLOCKS * BLOCK
LONG = 1e-4
ANALYSED = NORMS + SUMS + LONG  # 1.4e-3
ROUND_OFF = 2.0**-9  # 2.0e-3; the rest is for what was not analysed
STABILITY = 0.01  # of automatic clipping, gamma in Bu et al. 2023, whose experiments use this value throughout


class ClippingRule(Protocol):
    """A frozen way to bound contributions. Flat clipping is one, and so on."""

    @property
    def clip_norm(self) -> float:
        """C, as it is now. All that a rule learns from step to step is in it."""
        ...

    @property
    def sensitivity(self) -> float:
        """The most that one example moves the clipped sum and the extra numbers together (L2)."""
        ...

    def weights(self, norms: Tensor, squares: Tensor) -> Tensor:
        """What gradients are multiplied by, for all layers alike (1, examples) or for each (layers, examples).

        norms: (examples,), of whole gradients. squares: (layers, examples), of their layers, squared. Both float64.
        """
        ...

    def extra(self, norms: Tensor, kept: Tensor | None) -> Tensor:
        """Numbers to be released with the sum, summed over the kept examples; often none. kept: None when all are."""
        ...

    def after(self, noisy_extra: Tensor, expected_batch: float) -> "ClippingRule":
        """The rule of the next step, from what was released in this one."""
        ...


@dataclass(frozen=True, slots=True)
class _Fixed:
    """The part that rules share which learn nothing from a step."""

    clip_norm: float
    round_off: float = field(default=ROUND_OFF, kw_only=True)  # the margin; a machine may need more

    @property
    def sensitivity(self) -> float:
        return self.clip_norm

    @property
    def bound(self) -> float:
        """What contributions are clipped to."""
        return self.clip_norm * (1 - self.round_off)

    def extra(self, norms: Tensor, kept: Tensor | None) -> Tensor:
        return norms.new_zeros(0)


@dataclass(frozen=True, slots=True)
class Flat(_Fixed):
    """g × min(1, C / |g|) over all parameters at once (Abadi et al. 2016)."""

    def weights(self, norms: Tensor, squares: Tensor) -> Tensor:
        return _shrink(self.bound, norms).unsqueeze(0)

    def after(self, noisy_extra: Tensor, expected_batch: float) -> "Flat":
        return self


@dataclass(frozen=True, slots=True)
class PerLayer(_Fixed):
    """Each of L layers clipped to C / √L on its own, so that the whole has norm C at most (McMahan et al. 2018)."""

    def weights(self, norms: Tensor, squares: Tensor) -> Tensor:
        return _shrink(self.bound / math.sqrt(len(squares)), squares.sqrt())

    def after(self, noisy_extra: Tensor, expected_batch: float) -> "PerLayer":
        return self


@dataclass(frozen=True, slots=True)
class Automatic(_Fixed):
    """g × C / (|g| + 0.01): every gradient nearly normalised, so that C only scales the learning rate.

    AUTO-S of Bu, Wang, Zha, Karypis 2023 (arXiv 2206.07136), Eq. 4 and Thm 1.
    """

    def weights(self, norms: Tensor, squares: Tensor) -> Tensor:
        return (self.bound / (norms + STABILITY)).unsqueeze(0)

    def after(self, noisy_extra: Tensor, expected_batch: float) -> "Automatic":
        return self


@dataclass(frozen=True, slots=True)
class Adaptive(_Fixed):
    """Flat clipping whose norm follows a quantile of the gradient norms (Andrew et al. 2021, arXiv 1905.03871).

    A step also releases how many gradients were within C, as a further coordinate s Σ (b_i - 1/2) of the same
    noisy vector, with b_i = 1 for those within, falling to 0 at C (1 + RAMP): a step there would let the last bit of
    a norm move the count by a whole example. One example moves the gradient by C at most and this coordinate by
    s/2, so the vector by S = √(C² + s²/4), and the mechanism's noise of σS per coordinate makes the step exactly one
    release of the accounted mechanism. In the paper's terms σ_Δ = σS/C and σ_b = σS/s, for which
    σ_Δ^-2 + (2 σ_b)^-2 = σ^-2 (its Thm 1). s is chosen so that S = 1.01 C: one per cent more noise on the gradient
    pays for it.
    """

    quantile: float = 0.5
    rate: float = 0.2  # of the geometric update; the paper's eta_C, robust over its experiments

    OVERHEAD: ClassVar[float] = 1.01
    RAMP: ClassVar[float] = 1 / 8

    @property
    def sensitivity(self) -> float:
        return self.OVERHEAD * self.clip_norm

    @property
    def scale(self) -> float:
        """s: the units of the count coordinate. A little below its exact value, for the sake of round-off."""
        return 2 * self.clip_norm * math.sqrt(self.OVERHEAD**2 - 1) * (1 - self.round_off)

    def weights(self, norms: Tensor, squares: Tensor) -> Tensor:
        return _shrink(self.bound, norms).unsqueeze(0)

    def extra(self, norms: Tensor, kept: Tensor | None) -> Tensor:
        votes = ((1 + self.RAMP - norms / self.clip_norm) / self.RAMP).clamp(0.0, 1.0) - 0.5
        return self.scale * (votes if kept is None else votes.masked_fill(~kept, 0.0)).sum(0, keepdim=True)

    def after(self, noisy_extra: Tensor, expected_batch: float) -> "Adaptive":
        """C × exp(-rate × (noisy fraction within C - quantile)); what it uses has been released."""
        fraction = float(noisy_extra) / (self.scale * expected_batch) + 0.5
        # A batch smaller than its noise could move C by orders of magnitude in one step; clamping is post-processing.
        change = self.rate * min(max(fraction - self.quantile, -1.0), 1.0)
        return dataclasses.replace(self, clip_norm=self.clip_norm * math.exp(-change))


def rule_for(privacy: Privacy, round_off: float = ROUND_OFF) -> ClippingRule:
    """The rule of a privacy block, as it is before the first step. round_off: the margin that the machine needs."""
    if privacy.clipping == "adaptive":
        quantile = 0.5 if privacy.quantile is None else privacy.quantile
        return Adaptive(privacy.clip_norm, quantile, round_off=round_off)
    rules: dict[str, type[Flat] | type[PerLayer] | type[Automatic]]
    rules = {"flat": Flat, "per-layer": PerLayer, "automatic": Automatic}
    return rules[privacy.clipping](privacy.clip_norm, round_off=round_off)


def _shrink(bound: float, norms: Tensor) -> Tensor:
    return torch.clamp(bound / norms, max=1.0)  # a zero gradient: bound / 0 = inf, clamped to 1
