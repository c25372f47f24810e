"""A question to the data: how far one record, or one user, moves its answer, and how near the released answer is.

Neighbours decide how far. Let a record be worth x in [low, high] and a user have at most k records:

    count       add-remove, zero-out: k                          replace-one: k
    sum         add-remove, zero-out: k·max(|low|, |high|)       replace-one: high - low, of one record that adds a
                                                                 value within the bounds, whatever it says; of a user,
                                                                 who may have fewer, k·(max(high, 0) - min(low, 0))
    mean        of a public number n of records: as the sum, over n. Under add-remove neighbours differ in n.
    histogram   add-remove, zero-out: k in the sum of all bins (l1) and, if all are in one bin, as a vector (l2);
                replace-one: 2·k, and √2·k as a vector. A zeroed record is in no bin; one that stays in some is replaced
    quantile    a choice among candidates, scored by how many records lie on its wrong side: max(p, 1 - p)·k under
                add-remove, and k where one is replaced, or zeroed: p·n, if n is public, does not move with it

Laplace noise is scaled by l1, Gaussian noise by l2 (Dwork, Roth 2014, §3.3 and A).
"""

import dataclasses
import math

from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.checks import Problems, is_number, show
from dpplan.mechanism import DiscreteLaplace, Exponential, Gaussian, Laplace, Mechanism, PermuteAndFlip
from dpplan.quick_dataclass import dataclass
from dpplan.rounding import down, up

KINDS = ("count", "sum", "mean", "histogram", "quantile")
BOUNDED = ("sum", "mean", "quantile")
IN_NO_BIN = "a zeroed record being in no bin"
WITHIN_BOUNDS = "every record adding a value within the bounds"
MISSED = 0.05  # chance to lie farther away than is said
_NORMAL = 1.959963984540055  # the quantile of a normal law that leaves half of that on either side


@dataclass(frozen=True, slots=True)
class Query:
    """kind: one of KINDS. low, high: what a record's value is clipped to. n: a public number of records.

    max_per_user: records of one user that are counted. p: which quantile. candidates: among how many it is chosen.
    standard_error: the noise that is wanted, in units of the data, in place of a setting of the mechanism.
    """

    kind: str
    low: float = 0.0
    high: float = 1.0
    n: int | None = None
    max_per_user: int = 1
    p: float = 0.5
    candidates: int | None = None
    standard_error: float | None = None

    def problems(self, adjacency: Adjacency, unit: str) -> list[str]:
        """What is wrong with the question for these neighbours."""
        found = Problems()
        found.require(self.low < self.high, f"bounds=[{show(self.low)}, {show(self.high)}] are not in order.")
        found.whole("max_per_user", self.max_per_user, try_="It is the most records of one user that are counted.")
        if self.max_per_user != 1 and unit != "user":
            found.add(f"max_per_user={show(self.max_per_user)} is about users, and the unit is {unit}.")
        if self.kind == "mean":
            found.require(
                self.n is not None, "n is missing: a mean is of a public number of records. Or ask for a sum."
            )
            if is_number(self.n) and is_number(self.max_per_user):
                rule = f"max_per_user={show(self.max_per_user)} is more than n={show(self.n)}, all records there are."
                found.require(self.max_per_user <= self.n, f"{rule} Lower it, or check n.")
            if adjacency == ADD_REMOVE:
                found.add(
                    "kind=mean: under add-remove the number of records is private, too. Ask for a count and a sum, or "
                    "choose zero-out or replace-one for the plan."
                )
        if self.n is not None:
            found.whole("n", self.n, try_="It is the public number of records.")
        if self.kind == "quantile":
            found.probability("p", self.p, closed_right=False, try_="The median is p: 0.5.")
            if self.candidates is None:
                found.add("candidates is missing: a quantile is chosen among so many values between the bounds.")
            else:
                found.whole("candidates", self.candidates, least=2)
        if self.standard_error is not None:
            found.positive("standard_error", self.standard_error, try_="It is in units of the data.")
        return found.found

    def sensitivity(self, adjacency: Adjacency, unit: str, norm: int) -> float:
        """How far one record or user moves the answer. norm: 1 or 2, of a histogram's change."""
        k, replaced = self.max_per_user, adjacency == REPLACE_ONE
        if self.kind == "histogram":
            return k * ((2.0 if norm == 1 else math.sqrt(2.0)) if replaced else 1.0)
        if self.kind == "quantile":
            return k * (max(self.p, 1.0 - self.p) if adjacency == ADD_REMOVE else 1.0)
        if self.kind == "count":
            return float(k)
        least = max(abs(self.low), abs(self.high))
        if replaced:
            whole = max(self.high, 0.0) - min(self.low, 0.0)
            least = whole if unit == "user" else self.high - self.low
        return k * least / (self.n if self.kind == "mean" and self.n else 1)


@dataclass(frozen=True, slots=True)
class AnswerAccuracy:
    """How near one released answer is. sensitivity: of the answer. noise: what is added, in words. standard_error: in
    units of the data; None of a choice. within: what it misses by at most, but for a chance of MISSED. per_noise: the
    standard error per unit of noise (`openings.noise_of`), where they are in proportion or nearly. rests_on: what
    a record does, where the sensitivity rests on it."""

    kind: str
    sensitivity: float
    noise: str
    standard_error: float | None
    within: float
    per_noise: float | None = None
    rests_on: str = ""


def settings(query: Query, kind: str, adjacency: Adjacency, unit: str) -> dict[str, float | int]:
    """The mechanism's settings that follow from the question: from the error that is wanted, rounded to six digits so
    that no more privacy is claimed than that noise gives, and what is whole."""
    error = query.standard_error
    if kind == DiscreteLaplace.kind:
        return {"sensitivity": math.ceil(query.sensitivity(adjacency, unit, 1))}
    if error is None:
        return {}
    if kind == Laplace.kind:
        return {"epsilon": float(up(math.sqrt(2.0) * query.sensitivity(adjacency, unit, 1) / error))}
    if kind == Gaussian.kind:
        moved = query.sensitivity(adjacency, unit, 2) / adjacency.sensitivity
        return {"noise_multiplier": float(down(error / moved))}
    return {}


def answered_by(query: Query, kind: str) -> list[str]:
    """Why this mechanism does not answer the question."""
    choosing = (Exponential.kind, PermuteAndFlip.kind)
    adding = (Laplace.kind, Gaussian.kind, DiscreteLaplace.kind)
    known = choosing if query.kind == "quantile" else adding
    if query.kind in ("sum", "mean"):
        known = (Laplace.kind, Gaussian.kind)
    if kind not in known:
        return [f"kind={query.kind} is answered by {' or '.join(known)}, and the mechanism is {kind}."]
    if query.standard_error is not None and kind not in (Laplace.kind, Gaussian.kind):
        return [f"standard_error is for laplace and gaussian. Give the settings of {kind} itself."]
    return []


def accuracy(query: Query, mechanism: Mechanism, adjacency: Adjacency, unit: str) -> AnswerAccuracy:
    """How near the answer of this mechanism is."""
    rests_on = ""
    if query.kind == "histogram" and adjacency == ZERO_OUT:
        rests_on = IN_NO_BIN
    if (
        query.kind in ("sum", "mean")
        and adjacency == REPLACE_ONE
        and unit != "user"
        and not query.low <= 0 <= query.high
    ):
        rests_on = WITHIN_BOUNDS  # of [50, 100], one that adds nothing moves the sum by 100 and not by 50
    return dataclasses.replace(_accuracy(query, mechanism, adjacency, unit), rests_on=rests_on)


def _accuracy(query: Query, mechanism: Mechanism, adjacency: Adjacency, unit: str) -> AnswerAccuracy:
    if isinstance(mechanism, Gaussian):
        moved = query.sensitivity(adjacency, unit, 2)
        error = moved / adjacency.sensitivity * mechanism.noise_multiplier
        return AnswerAccuracy(
            query.kind, moved, "Gaussian noise", error, _NORMAL * error, moved / adjacency.sensitivity
        )
    moved = query.sensitivity(adjacency, unit, 1)
    if isinstance(mechanism, Laplace):
        scale = moved / mechanism.epsilon
        per_noise = math.sqrt(2.0) * moved
        return AnswerAccuracy(
            query.kind, moved, "Laplace noise", math.sqrt(2.0) * scale, -math.log(MISSED) * scale, per_noise
        )
    if isinstance(mechanism, DiscreteLaplace):
        share = math.exp(-mechanism.epsilon / mechanism.sensitivity)
        # P[|X| > t] = 2·share^(t + 1)/(1 + share)
        least = math.log(MISSED * (1.0 + share) / 2.0) / math.log(share) - 1.0
        error = math.sqrt(2.0 * share) / (1.0 - share)
        near, per_noise = max(math.ceil(least), 0.0), math.sqrt(2.0) * mechanism.sensitivity
        return AnswerAccuracy(query.kind, moved, "two-sided geometric noise", error, near, per_noise)
    assert isinstance(mechanism, Exponential | PermuteAndFlip) and query.candidates is not None  # answered_by
    # McSherry, Talwar 2007, Thm 6; permute-and-flip misses by no more (McKenna, Sheldon 2020, Thm 2).
    ranks = 2.0 * moved / mechanism.epsilon * math.log(query.candidates / MISSED)
    return AnswerAccuracy(query.kind, moved, "a choice, in ranks", None, ranks)
