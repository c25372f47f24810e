"""Checks that name the value, the rule and the remedy, and report every violation of a call at once."""

import math
import numbers
import re
from collections.abc import Iterable
from fractions import Fraction
from types import MappingProxyType, TracebackType
from typing import Self, TypeGuard

from dpplan.errors import PlanError, UsageError
from dpplan.number_spelling import Unread, how_to_write, shortened

# Numbers of this size leave room for what is computed from them in floats, which end at 2e-308 and 2e308; and whole
# numbers as large as this are told from their neighbours by nothing that is computed here.
LEAST, MOST, MOST_WHOLE = 1e-300, 1e300, 10**18


# What others call a relation or a unit -> the name of it here, for whoever has such a choice.
_MEANT = MappingProxyType(
    {
        **dict.fromkeys(
            ("substitute", "substitution", "replace", "replacement", "swap", "change-one", "bounded", "bounded-dp"),
            "replace-one",
        ),
        **dict.fromkeys(
            ("unbounded", "unbounded-dp", "add", "remove", "removal", "delete", "insert", "add-or-remove-one",
             "add-or-remove", "leave-one-out"), "add-remove"
        ),
        **dict.fromkeys(("zero", "zeroed", "zero-one", "null", "nullify", "replace-special"), "zero-out"),
        **dict.fromkeys(
            ("person", "people", "individual", "customer", "client", "patient", "participant", "subject", "owner"),
            "user",
        ),
        **dict.fromkeys(("record", "sample", "row", "item", "instance", "datapoint"), "example"),
    }
)  # fmt: skip


_SEPARATORS = MappingProxyType({";": "semicolons", "\t": "tabs", "|": "bars"})  # of files that are called .csv


class Problems:
    """Collects violations; raises one error holding all of them when its block ends.

    >>> with Problems() as problems:
    ...     problems.positive("sigma", -1.0, try_="Noise multipliers between 0.5 and 10 are common.")
    Traceback (most recent call last):
    dpplan.errors.PlanError: sigma=-1 is not a positive number. Noise multipliers between 0.5 and 10 are common.
    """

    def __init__(self, error: type[UsageError] = PlanError) -> None:
        self._error = error
        self.found: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self.found:
            raise self._error(self.found)

    def add(self, sentence: str) -> None:
        self.found.append(sentence)

    def require(self, holds: bool, sentence: str) -> bool:
        if not holds:
            self.found.append(sentence)
        return holds

    def positive(self, name: str, value: float, try_: str = "") -> bool:
        if is_number(value) and _is_finite(value) and value > 0:
            return self._in_range(name, value)
        what = "in doubt" if _in_doubt(value) else "not a positive number"
        if name == "sigma" and is_number(value) and value == math.inf:
            what = "infinite: a noise multiplier is a finite positive number"
        rule = f"{name}={show(value)} is {what}."
        return self.require(False, _join(rule, _remedy(name, value, try_)))

    def at_least(self, name: str, value: float, least: float, try_: str = "") -> bool:
        if is_number(value) and _is_finite(value) and value >= least:
            return self._in_range(name, value)
        what = "a number of " if not is_number(value) else "" if _is_finite(value) else "a finite number of "
        rule = f"{name}={show(value)} is not {what}at least {show(least)}."
        return self.require(False, _join(rule, _remedy(name, value, try_)))

    def whole(self, name: str, value: float, least: int = 1, try_: str = "") -> bool:
        """A whole number from `least` to MOST_WHOLE; 5.0 passes, 5.5 and True do not."""
        if not (is_number(value) and _is_finite(value) and float(value).is_integer() and value >= least):
            rule = f"{name}={show(value)} is not a whole number of at least {least}."
            return self.require(False, _join(rule, _remedy(name, value, try_, whole=True)))
        if value <= MOST_WHOLE:
            return True
        return self.require(False, f"{name}={show(value)} is more than {MOST_WHOLE:g}, which nothing here is made for.")

    def probability(self, name: str, value: float | Fraction, *, closed_right: bool = True, try_: str = "") -> bool:
        """In (0, 1], or in (0, 1) when `closed_right` is False."""
        if is_number(value) and value > 0 and (value <= 1 if closed_right else value < 1):
            return self._in_range(name, value)
        interval = "(0, 1]" if closed_right else "(0, 1)"
        if is_number(value) and not closed_right and 1000 <= value <= 1e30:  # 95 is a percentage
            # 10e5 is for 10e-5 and 1e6 for 1e-6, which is the same number: what is meant cannot be told.
            try_ = f"Is a minus missing, 1e-5 for 1e5? {try_}".rstrip()
        rule = f"{name}={show(value)} is not in {interval}."
        remedy = _remedy(name, value, try_)
        if re.fullmatch(r"Write [1-9]\d+\.", remedy):  # 60k is 60000, which is none either
            remedy = try_
        return self.require(False, _join(rule, remedy))

    def _in_range(self, name: str, value: float | Fraction) -> bool:
        size = abs(float(value))
        if size == 0.0 or LEAST <= size <= MOST:
            return True
        if size < LEAST:
            return self.require(False, f"{name}={show(value)} is below {LEAST:g}, where numbers lose their digits.")
        return self.require(False, f"{name}={show(value)} is above {MOST:g}, where figures end.")


def is_number(value: object) -> TypeGuard[float]:
    """True for real numbers; bools are answers to other questions and are refused."""
    if type(value) is not float and (not isinstance(value, numbers.Real) or isinstance(value, bool)):
        return False
    return isinstance(value, int) or not math.isnan(value)  # a whole number may be too long for a float


def _is_finite(value: float) -> bool:
    """Whether a float can hold it. A whole number of hundreds of digits is as good as infinite."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def show(value: object) -> str:
    """A value the way a person would type it: 60000, 0.01, 1e-05, [2, 4]."""
    if isinstance(value, list | tuple):
        return shortened(f"[{', '.join(map(show, value))}]")
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e16:
        return str(int(value))
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return _long(value) if isinstance(value, int | Fraction) else shortened(str(value))


def _long(value: int | Fraction) -> str:
    """A number of any length, spelt out as far as anybody reads it."""
    if abs(value.numerator) <= MOST_WHOLE and abs(value.denominator) <= MOST_WHOLE:
        return str(value)
    try:
        return f"{float(value):g}"
    except OverflowError:
        return f"1e{math.floor(math.log10(abs(value.numerator)) - math.log10(abs(value.denominator)))} or more"


def reaches_one_in(delta: float, examples: float) -> bool:
    """Whether δ >= 1/n, but for its last digits: those of a fraction are rounded down. Not where n·δ is no float."""
    return 1.0 - 1e-12 <= delta * examples < math.inf


def did_you_mean(wrong: str, choices: Iterable[str], closeness: float = 0.6) -> str:
    """A remedy sentence when one choice is close to what was written, else nothing.

    closeness: the least likeness of letters, from 0 to 1.
    """
    import difflib  # only a mistake needs it

    choices, asked = list(choices), str(wrong).lower()
    meant = _MEANT.get(asked.replace("_", "-"))
    close = [each for each in choices if each.replace("_", "-") == meant]
    close = close or difflib.get_close_matches(asked, choices, n=1, cutoff=closeness)
    return f" Did you mean '{close[0]}'?" if close else ""


def other_separator(line: str, columns: Iterable[str] = ()) -> str:
    """What to do about a line of CSV whose cells something else than commas separates; "" where nothing is seen.

    columns: those that the line should name, in small letters: between them a blank counts, too.
    """
    if "," in line:
        return ""
    wanted = set(columns)
    cells = {mark: {cell.strip(" \"'").lower() for cell in line.split(mark)} for mark in (*_SEPARATORS, " ")}
    seen = [mark for mark, found in cells.items() if wanted and wanted <= found]
    seen = seen or [mark for mark in _SEPARATORS if mark in line]
    if not seen:
        return ""
    words = _SEPARATORS.get(seen[0], "blanks")
    return f"cells are separated by {words}, and have to be by commas. Save it with commas, and points in numbers."


def _in_doubt(value: object) -> bool:
    """Whether it is a text that reads as a positive number, and may be another one."""
    try:
        return isinstance(value, Unread) and float(value) > 0.0
    except ValueError:
        return False


def _remedy(name: str, value: object, try_: str, whole: bool = False) -> str:
    """What to type in place of a text that is no number; else what was to be said."""
    return (how_to_write(value, whole, name) if isinstance(value, str) else "") or try_


def _join(sentence: str, remedy: str) -> str:
    return f"{sentence} {remedy}" if remedy else sentence
