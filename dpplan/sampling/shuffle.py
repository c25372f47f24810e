"""Shuffled data cut into batches, one after the other."""

import math
from fractions import Fraction
from typing import ClassVar

from dpplan.checks import Problems, show
from dpplan.quick_dataclass import dataclass
from dpplan.sampling.scheme import Binomial, Choice, Option, Options, SchemeSettings

ORDERS = ("fresh", "once")


@dataclass(frozen=True, slots=True)
class Shuffle:
    """The data in random order, every order alike, cut into `steps_per_epoch` batches that follow each other.

    order: fresh, a new order for each epoch; once, the first epoch's for all. The batches are cut by place and by
    nothing in the data; the last may be smaller.
    """

    steps_per_epoch: int
    order: str

    kind: ClassVar[str] = "shuffle"

    def __post_init__(self) -> None:
        with Problems() as problems:
            problems.whole("steps_per_epoch", self.steps_per_epoch, try_="It is n / batch, rounded up.")
            problems.require(self.order in ORDERS, f"order={self.order} is not one of: {', '.join(ORDERS)}.")
        object.__setattr__(self, "steps_per_epoch", int(self.steps_per_epoch))

    @property
    def assumption(self) -> str:
        order = "shuffled anew each epoch" if self.order == "fresh" else "shuffled once"
        return f"{order}, cut in that order into {self.steps_per_epoch} batches"

    def expected_batch(self, examples: int) -> float:
        return examples / self.steps_per_epoch

    def batch_law(self, examples: int) -> Binomial:
        """No spread: as many trials as examples in a batch, each certain."""
        return Binomial(math.ceil(examples / self.steps_per_epoch), 1.0)

    def epochs(self, steps: int) -> Fraction:
        return Fraction(steps, self.steps_per_epoch)

    def complete_epochs(self, steps: int) -> int:
        return steps // self.steps_per_epoch


def _made(given: SchemeSettings) -> Shuffle:
    assert given.rate is not None  # whoever makes a scheme has it
    return Shuffle(int(1 / given.rate), str(given.options["order"]))


def _rate(share: Fraction, options: Options) -> Fraction:
    return Fraction(1, math.ceil(1 / share))


def _not_whole(given: SchemeSettings) -> list[str]:
    if given.batch_size is not None and given.batch_size.denominator != 1:
        return [f"batch={show(float(given.batch_size))} is not whole, and --sampling shuffle cuts whole batches."]
    if given.share is None and given.rate is not None and (1 / given.rate).denominator != 1:
        steps = float(1 / given.rate)
        return [f"q={show(given.rate)} makes an epoch of {steps:.6g} steps, which is not whole. Give --n and --batch."]
    return []


SHUFFLE = Choice(
    Shuffle.kind,
    "the data in random order, cut into batches",
    "Every order has the same chance, whatever examples say, and batches are cut by place alone. An epoch is taken "
    "to its end before the next order is drawn: every example is in one of each 1/q steps, counted from where the "
    "phase begins, and in no other. One that is cut short (by a limit on batches, a loader that begins anew, a run "
    "that goes on with a new order) counts as a whole one: give its steps as a phase of their own. (As 1/q of them "
    "they are covered from above alone.) What is proven from above holds of any order that does not depend on what "
    "examples say.",
    _made,
    (Option("order", "when the order is drawn, fresh for each epoch or once", ORDERS, "fresh"),),
    problems=_not_whole,
    rate=_rate,
    rate_words="1 / ⌈{n} / {batch}⌉",
    steps_words="⌈{epochs} epochs × {per_epoch} steps⌉",
)
