"""A run that ended before its plan did: which of its two figures is safe to publish. Decided here, and nowhere else.

The steps that were taken cost less than those that were planned. That smaller figure is of a length fixed beforehand:
it holds if nothing that was seen decided when to stop. The planned one holds whoever stopped the run, and why: what a
run that ends early releases is a part of what the whole one does (post-processing; when to stop is itself chosen by
what was released, as Rogers, Roth, Ullman, Vadhan 2016, arXiv:1605.08294, tell the two apart). Whether the condition
holds no file shows, so the planned figure is the one that is published, counted and judged, and the smaller one is
given with its condition.
"""

from dpplan.quick_dataclass import dataclass
from dpplan.rounding import up_apart

CONDITION = "nothing that was seen decided when to stop"
_STATUS = {"interrupted": "interrupted", "stopped": "stopped"}  # what a report calls itself, that ended early
UNFINISHED = "not finished"


@dataclass(frozen=True, slots=True)
class EarlyEnd:
    """how: in a word. taken: steps that were begun, more than 0 and fewer than planned. why: in brackets, "" where
    nobody said."""

    how: str
    taken: int
    planned: int
    why: str = ""

    @property
    def counted(self) -> int:
        """The steps that are safe to count."""
        return self.planned

    @property
    def words(self) -> str:
        """interrupted after 24 of 85 steps"""
        return f"{self.how} after {self.taken} of {self.planned} steps"

    @property
    def advice(self) -> str:
        """What is counted of it beside other runs, and why."""
        return (
            f"{self.words}: all {self.counted} are counted. The {self.taken} alone would do if {CONDITION}: describe "
            f"them instead, by their sigma, q and steps={self.taken}."
        )


def figures(spent: float, planned: float, said: str = "") -> str:
    """Both upper ends of ε, in words: that of the steps taken with its condition, and the one that needs none.
    said: of the smaller one, after its figure."""
    less, more = up_apart(spent, planned)
    return f"ε ≤ {less}{said} if {CONDITION}; otherwise the planned ε ≤ {more}"


def early_end(taken: int | None, planned: int | None, status: object, why: str = "") -> EarlyEnd | None:
    """None where a run took all of its steps or none, or where it is not known how many."""
    if type(taken) is not int or type(planned) is not int or not 0 < taken < planned:
        return None
    return EarlyEnd(_STATUS.get(str(status), UNFINISHED), taken, planned, why)
