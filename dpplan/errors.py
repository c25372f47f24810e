"""Every error dpplan raises on purpose, and the exit code each one means.

DpplanError
├── UsageError                 exit 2   what was asked makes no sense; lists every problem at once
│   ├── PlanError                       a plan is missing, contradictory or out of range
│   ├── RecipeError                     a recipe file is wrong; names line and key
│   └── MissingExtra                    the command needs an optional part that is not installed
├── BudgetExceeded             exit 1   the claim is proven, and it is larger than what was allowed
│   └── Unreachable                     no value of the unknown meets the target
├── NotCertified               exit 3   the question is fair but no bound could be proven
│   └── NotApplicable                   this accountant has no theorem for this plan
├── TrainingStopped            exit 1   a run ended early for a reason named in the message
├── InputOutputFailed          exit 5   a file could not be read or written
└── InternalError              exit 3   two proofs contradict each other: a bug; nothing is claimed
"""

from collections.abc import Sequence

EXIT_DONE = 0
EXIT_EXCEEDED = 1
EXIT_USAGE = 2
EXIT_NOT_CERTIFIED = 3
EXIT_INTERNAL = 4
EXIT_IO = 5


class DpplanError(Exception):
    """Base of all errors that are the user's to read; commands print them without a traceback."""

    exit_code = EXIT_USAGE


class UsageError(DpplanError):
    """A call that cannot be answered as put. `problems` holds every violation, each with its remedy."""

    subject = "call"

    def __init__(self, problems: Sequence[str] | str) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__(self._message())

    def _message(self) -> str:
        if len(self.problems) == 1:
            return self.problems[0]
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        return f"{len(self.problems)} problems with this {self.subject}\n{lines}"


class PlanError(UsageError):
    """The plan is missing something, contradicts itself or leaves the range where it has a meaning."""

    subject = "plan"


class RecipeError(UsageError):
    """The recipe file is wrong; every problem names its line and key."""

    subject = "recipe"


class MissingExtra(UsageError):
    """An optional part of dpplan is needed and not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}': pip install 'dpplan[{extra}]'")


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


class TrainingStopped(DpplanError):
    """A training run ended before its plan did."""

    exit_code = EXIT_EXCEEDED


class InputOutputFailed(DpplanError):
    """A file could not be read or written; the message names it and what is safe."""

    exit_code = EXIT_IO


class InternalError(DpplanError):
    """Two results that must agree do not. This is a bug in dpplan; no figure is returned."""

    exit_code = EXIT_NOT_CERTIFIED
