"""What a rule says, and what that becomes in a report."""

import enum
from typing import NamedTuple

from dpplan.quick_dataclass import dataclass
from dpplan.rounding import down, up

DIGITS = 4  # of a figure in a sentence, unless it takes more to contradict a claim


class Severity(enum.StrEnum):
    """How bad it is. The order is that of a report."""

    ERROR = "error"  # the claim is false, unproven or meaningless
    WARNING = "warning"  # true only if something holds that nobody has said
    NOTE = "note"  # worth knowing


class Remark(NamedTuple):
    """What one rule found. where: the option or key at fault. message: the reason, in a sentence. fix: what to do."""

    severity: Severity
    where: str
    message: str
    fix: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A remark under the code of its rule. silenced: the reason for letting it pass, None where nobody gave one."""

    code: str
    severity: Severity
    where: str
    message: str
    fix: str
    silenced: str | None = None

    def __str__(self) -> str:
        return f"{self.code} {self.where}: {self.message} {self.fix}"


def at_most(value: float) -> str:
    """Rounded up to four digits: no sentence states less than what was proven to be spent."""
    return up(value, DIGITS)


def at_least(value: float) -> str:
    """Rounded down to four digits: no sentence states more than what was proven to be lost."""
    return down(value, DIGITS)
