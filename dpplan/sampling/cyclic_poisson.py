"""Groups that take turns, with Poisson sampling inside the group whose turn it is."""

import math
from fractions import Fraction
from typing import ClassVar

from dpplan.checks import Problems, show
from dpplan.errors import NotApplicable
from dpplan.quick_dataclass import dataclass
from dpplan.sampling.scheme import Binomial, Choice, Option, Options, SchemeSettings, passes_complete

ASSIGNMENTS = ("place", "own")


@dataclass(frozen=True, slots=True)
class CyclicPoisson:
    """Step t draws from group t mod `groups` alone, each of its examples with chance `sample_rate`.

    assignment: how an example comes to its group, which is then no secret. place: by its place in the data, so that who
    is removed moves others; own: by a fair draw of its own, which depends on nobody else.
    """

    sample_rate: float
    groups: int
    assignment: str

    kind: ClassVar[str] = "cyclic-poisson"

    def __post_init__(self) -> None:
        with Problems() as problems:
            problems.probability("sample_rate", self.sample_rate, try_="It is the chance inside a group (--q).")
            problems.whole("groups", self.groups, try_="It is the number of groups that take turns (--groups).")
            rule = f"assignment={self.assignment} is not one of: {', '.join(ASSIGNMENTS)}."
            problems.require(self.assignment in ASSIGNMENTS, rule)
        object.__setattr__(self, "sample_rate", float(self.sample_rate))
        object.__setattr__(self, "groups", int(self.groups))

    @property
    def assumption(self) -> str:
        own = (
            "each in a group of its own fair draw, which is no secret"
            if self.assignment == "own"
            else "grouped by place"
        )
        return f"Poisson sampling in {self.groups} groups by turns, {own}"

    def expected_batch(self, examples: int) -> float:
        return self.sample_rate * examples / self.groups

    def batch_law(self, examples: int) -> Binomial:
        if self.assignment == "own":
            return Binomial(examples, self.sample_rate / self.groups)
        raise NotApplicable("sampling=cyclic-poisson has no one law of batches: groups may differ in size.")

    def epochs(self, steps: int) -> Fraction:
        return steps * Fraction(repr(self.sample_rate)) / self.groups

    def complete_epochs(self, steps: int) -> int:
        return passes_complete(steps * self.sample_rate / self.groups)


def _made(given: SchemeSettings) -> CyclicPoisson:
    assert given.rate is not None  # whoever makes a scheme has it
    return CyclicPoisson(float(given.rate), given.whole("groups"), str(given.options["assignment"]))


def _rate(share: Fraction, options: Options) -> Fraction:
    return share * int(options["groups"])


def _steps(epochs: Fraction, rate: Fraction, options: Options) -> int:
    return math.ceil(epochs * int(options["groups"]) / rate)


def _too_large(given: SchemeSettings) -> list[str]:
    if given.share is None or given.share * given.whole("groups") <= 1:
        return []
    groups, n = given.options["groups"], given.examples
    return [
        f"batch={show(float(given.batch_size or 0))} exceeds a group: n / groups = {show(n)} / {groups}. Lower one "
        "of --batch and --groups."
    ]


CYCLIC_POISSON = Choice(
    CyclicPoisson.kind,
    "groups by turns, Poisson sampling inside a group (--q is the rate there)",
    "Step t draws from group t mod --groups alone, each of its examples by a coin as under Poisson sampling. By "
    "place: no example moves another to a group. A draw of its own: every group has the same chance, independently "
    "of all other examples and of what examples say; it is drawn for this run, and nobody knows it beforehand, as "
    "they know a hash of a name or a list from earlier: where the steps are no whole cycles δ is an average over "
    "that draw. An example keeps its group for the whole phase, and by place in every phase: groups that are made "
    "anew from one cycle to the next are not this.",
    _made,
    (
        Option("groups", "the number of groups that take turns"),
        Option(
            "assignment",
            "how an example comes to its group, which is no secret: by its place or by a draw of its own",
            ASSIGNMENTS,
            "place",
        ),
    ),
    problems=_too_large,
    rate=_rate,
    steps=_steps,
    rate_words="{groups} × {batch} / {n}",
    steps_words="⌈{epochs} epochs of {groups} groups at rate 1 / {per_epoch}⌉",
)
