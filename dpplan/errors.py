"""Every error dpplan raises on purpose, and the exit code each one means.

DpplanError
├── UsageError                 exit 2   what was asked makes no sense; lists every problem at once
│   ├── PlanError                       a plan is missing, contradictory or out of range
│   │   └── ScoresError                     no file of scores that an audit can use
│   ├── RecipeError                     a recipe file is wrong; names line and key
│   │   └── StatementError              what was stated is no statement
│   ├── EntryError                      an entry lacks what the registry of DP deployments asks for
│   ├── ReportError                     a file holds no claim that could be verified
│   └── MissingExtra                    the command needs an optional part that is not installed
├── BudgetExceeded             exit 1   the claim is proven, and it is larger than what was allowed
│   └── Unreachable                     no value of the unknown meets the target
├── NotCertified               exit 3   the question is fair but no bound could be proven
│   └── NotApplicable                   this accountant has no theorem for this plan
├── TrainingStopped            exit 1   a run ended early for a reason named in the message
├── InputOutputFailed          exit 5   what is there cannot be read, or what is ready cannot be written
└── InternalError              exit 4   two proofs contradict each other: a bug; nothing is claimed
"""

import errno
from collections.abc import Mapping, Sequence
from types import MappingProxyType

EXIT_DONE = 0
EXIT_EXCEEDED = 1
EXIT_USAGE = 2
EXIT_NOT_CERTIFIED = 3
EXIT_INTERNAL = 4
EXIT_IO = 5
# What each exit code means, for `dpplan help exit-codes`.
STATUS_MEANINGS: Mapping[int, str] = MappingProxyType(
    {
        EXIT_DONE: "done, and within the limit where one was given",
        EXIT_EXCEEDED: "a limit is exceeded or cannot be met; a check found an error; a claim is refuted; a run ended "
        "early or disagrees with its plan",
        EXIT_USAGE: "the call, the plan, the recipe or the report makes no sense as put, or names a file that is not "
        "there, or a place for one where there is no folder; its problems are listed. A refuted claim in a report that "
        "contradicts itself too is 1",
        EXIT_NOT_CERTIFIED: "nothing could be certified: this accountant has no theorem for this plan, or only an "
        "estimate is within the limit, or the limit is held at a δ above 0.1, which is no privacy",
        EXIT_INTERNAL: "an internal error: a bug in dpplan, and nothing is claimed",
        EXIT_IO: "input or output failed (disk full, no permission, a file that is there and cannot be read), or "
        "memory ran out: not the plan but the machine",
    }
)


class DpplanError(Exception):
    """Base of all errors that are the user's to read; commands print them without a traceback."""

    exit_code = EXIT_USAGE


class FurtherProblems(str):
    """The last line of a list that is cut: "495 more like these". left: how many problems it stands for."""

    left: int

    def __new__(cls, sentence: str, left: int = 1) -> "FurtherProblems":
        made = super().__new__(cls, sentence)
        made.left = left
        return made


class UsageError(DpplanError):
    """A call that cannot be answered as put. `problems` holds every violation, each with its remedy."""

    subject = "call"

    def __init__(self, problems: Sequence[str] | str) -> None:
        # One mistake may be found by two checks; it is told once.
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(dict.fromkeys(problems))
        super().__init__(self._message())

    def _message(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        count = sum(each.left if isinstance(each, FurtherProblems) else 1 for each in self.problems)
        return f"{count} problems with this {self.subject}\n{lines}"


class PlanError(UsageError):
    """The plan is missing something, contradicts itself or leaves the range where it has a meaning."""

    subject = "plan"


class RecipeError(UsageError):
    """The recipe file is wrong; every problem names its line and key."""

    subject = "recipe"


class StatementError(RecipeError):
    """What was stated for a page, in a recipe or not, is none of the fields, or not what a field asks for."""

    subject = "statement"


class EntryError(UsageError):
    """A draft of an entry of the public registry of DP deployments that the registry would refuse."""

    subject = "entry of the public registry of DP deployments"


class ReportError(UsageError):
    """A file is no report, or what it says contradicts itself; nothing in it can be verified."""

    subject = "report"


class ScoresError(PlanError):
    """A file of scores that no audit can use."""

    subject = "file of scores"


class MissingExtra(UsageError):
    """An optional part of dpplan is needed and not installed."""

    def __init__(self, what: str, extra: str, option: str = "") -> None:
        """option: what may be given in place of installing it."""
        more = ". dpplan help training tells of smaller builds of torch" if extra == "train" else ""
        needs = (
            f"Give {option}, or install the extra '{extra}' for {what}"
            if option
            else f"{what} needs the extra '{extra}'"
        )
        super().__init__(f"{needs}: pip install 'dpplan[{extra}]', or '.[{extra}]' in a checkout{more}")


class BudgetExceeded(DpplanError):
    """The cost is known and lies above the allowed budget."""

    exit_code = EXIT_EXCEEDED


class Unreachable(BudgetExceeded):
    """The unknown has no value that meets the target; the message says what is reachable."""


class NotCertified(DpplanError):
    """No bound could be proven for this question."""

    exit_code = EXIT_NOT_CERTIFIED


class NotApplicable(NotCertified):
    """The accountant has no theorem that covers this plan; the message names what is missing."""


class Unaccounted(NotCertified):
    """A run that was trained with --unaccounted: no ε of it is known, none is claimed, and none may be counted."""


class TrainingStopped(DpplanError):
    """A training run ended before its plan did."""

    exit_code = EXIT_EXCEEDED


class InputOutputFailed(DpplanError):
    """The machine failed, not the call: a full disk, a file that is there and cannot be read."""

    exit_code = EXIT_IO


class InternalError(DpplanError):
    """Two results that must agree do not. This is a bug in dpplan; no figure is returned."""

    exit_code = EXIT_INTERNAL


# A name that leads nowhere, or to something of another kind, was typed wrong. Everything else is the machine's.
_MISNAMED = {errno.ENOENT, errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}


def file_error(what: str, error: OSError, mistake: type[UsageError] = UsageError) -> DpplanError:
    """The error to raise for a file that the user named. what: "mine.yaml: cannot be read".

    mistake: the class where another name, or another content (then there is no errno), would mend it: exit code 2.
    For all else it is InputOutputFailed, exit code 5.
    """
    sentence = f"{what}: {error.strerror or error}."
    return mistake(sentence) if error.errno is None or error.errno in _MISNAMED else InputOutputFailed(sentence)


def out_of_memory(error: BaseException) -> bool:
    """numpy's and Python's errors are MemoryErrors; torch has one of its own for GPUs, and for CPUs a sentence."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )
