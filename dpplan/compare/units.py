"""One run for users with at most K examples each: group privacy, examples drawn one by one, users drawn whole."""

import csv
import dataclasses
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dpplan import accounting, notebook
from dpplan.accounting.bound import Bound, Guarantee, cells
from dpplan.accounting.numerics import outward
from dpplan.accounting.numerics.bisection import first_true
from dpplan.checks import other_separator, show
from dpplan.errors import NotCertified, UsageError, file_error
from dpplan.plan import Plan, Settings
from dpplan.quick_dataclass import dataclass
from dpplan.rounding import up
from dpplan.units import names_nobody, user_name

LARGEST = 60.0  # of an example's ε: beyond, a group's is no figure that anybody wants
ROUNDS = 40


@dataclass(frozen=True, slots=True)
class UnitRow:
    """One way to protect a user. bound: None where nothing is proven, and `refusal` says why."""

    name: str
    words: str
    bound: Bound | None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class UnitComparison:
    max_per_user: int
    delta: float
    example: Bound
    rows: tuple[UnitRow, ...]

    def _repr_html_(self) -> str:
        """What a notebook shows: one example, and a user in each of three ways."""
        whole = f"{self.max_per_user} of a user"
        rows: list[notebook.Row] = [("1 example", "for comparison", *cells(self.example))]
        rows += [(whole, row.words or row.name, *cells(row.bound, row.refusal)) for row in self.rows]
        return notebook.table(
            f"Who is protected, at δ = {show(self.delta)}", rows, ("protects", "how", "", "guarantee")
        )


@dataclass(frozen=True, slots=True)
class UserCounts:
    """How many examples each user has: of private data, and so private itself."""

    counts: tuple[int, ...]

    @property
    def most(self) -> int:
        return max(self.counts)

    def quantile(self, share: float) -> int:
        """So many examples or fewer has this share of the users."""
        ordered = sorted(self.counts)
        return ordered[min(max(math.ceil(share * len(ordered)) - 1, 0), len(ordered) - 1)]

    def kept(self, most: int) -> float:
        """The share of all examples that is left when a user keeps at most so many."""
        return sum(min(count, most) for count in self.counts) / sum(self.counts)


def units(settings: Settings, delta: float, max_per_user: int) -> UnitComparison:
    """settings: a run that is drawn example by example. Raises PlanError where it is not complete."""
    example = accounting.epsilon(settings.with_(unit="example", max_per_user=None).plan(), delta)
    asked = (
        ("one by one", "examples drawn one by one and clipped by themselves", max_per_user),
        ("whole", "users drawn at the same rate, and a user's sum clipped", None),
    )
    rows = [_group(settings, delta, max_per_user)]
    for name, words, most in asked:
        drawn = settings.with_(unit="user", max_per_user=most)
        try:
            rows.append(UnitRow(name, words, accounting.epsilon(drawn.plan(), delta)))
        except NotCertified as refusal:
            rows.append(UnitRow(name, words, None, str(refusal)))
    return UnitComparison(max_per_user, delta, example, tuple(rows))


def _group(settings: Settings, delta: float, members: int) -> UnitRow:
    """What (ε, δ) of one example say of K (`of_group`), as a row."""
    plan = settings.with_(unit="example", max_per_user=None).plan()
    name, words = "group", "what the figure of one example says of a group, with nothing else known"
    bound = of_group(plan, delta, members)
    if bound is None:
        why = "the figure of one example says nothing of so many: its δ grows beyond bounds"
        return UnitRow(name, words, None, why)
    return UnitRow(name, words, bound)


def of_group(plan: Plan, delta: float, members: int, relative: float = 1e-7) -> Bound | None:
    """The ε of so many examples that follows from what is proven of one, at this δ; None where none does.

    What (ε, δ) of one say of K: (K·ε, δ·(e^(K·ε) - 1) / (e^ε - 1)), at the least ε where that δ is allowed (Dwork,
    Roth 2014, Thm 2.2 step by step).

    plan: for one example. relative: how far from the least it may be. Raises NotCertified where nothing is proven of
    one.
    """

    def allowed(epsilon: float) -> bool:
        spent = accounting.delta(plan, epsilon).upper
        factor = math.fsum(math.exp(each * epsilon) for each in range(members)) if members * epsilon < 600 else math.inf
        return spent is not None and outward.up(spent * factor, outward.ARITHMETIC) <= delta

    low, high = 0.0, 0.25
    while high <= LARGEST and not allowed(high):
        low, high = high, 2.0 * high
    if high > LARGEST:
        return None
    high = first_true(allowed, low, high, relative=relative, most=ROUNDS).true
    return Bound(
        "epsilon",
        None,
        outward.up(members * high, outward.ARITHMETIC),
        Guarantee.UPPER,
        "exact",
        dataclasses.replace(plan, privacy_unit="user", max_per_user=members).assumptions,
        f"group privacy of {members} examples, each ({up(high)}, δ)-private",
    )


def counted(file: Path, column: str) -> UserCounts:
    """How many rows of a CSV file each value of this column has.

    Raises UsageError where it cannot be read, or where a row may be lost or another user's: K would be too small.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            counts = Counter(_users(csv.reader(stream, skipinitialspace=True, strict=True), f"users={file}", column))
    except UnicodeDecodeError:
        raise UsageError(f"users={file}: is not text (UTF-8).") from None
    except OSError as error:
        raise file_error(f"users={file}: cannot be read", error) from None
    if not counts:
        raise UsageError(f"users={file}: has no rows.")
    return UserCounts(tuple(counts.values()))


def _users(rows: Any, where: str, column: str) -> Iterator[str]:
    """Whose each row is."""
    header, at = list[str](), -1
    try:
        for row in rows:
            if not row:
                continue  # an empty line
            if not header:
                header = [user_name(name) for name in row]
                at = _place(header, user_name(column), f"{where}:{column}")
                continue
            line = f"{where}:{rows.line_num}"
            if len(row) != len(header):
                raise UsageError(f"{line}: has {len(row)} cells under {len(header)} columns: whose is it?")
            name = user_name(row[at])
            if names_nobody(name) or len(name.splitlines()) > 1:
                said = "holds several lines" if name and not names_nobody(name) else "names nobody"
                raise UsageError(f"{line}: {column}={name[:40]!r} {said}. Name one user, or drop the row.")
            yield name
    except csv.Error as error:
        raise UsageError(
            f"{where}:{rows.line_num}: cannot be read as CSV: {error}. Is a quote open that nothing closes?"
        ) from None
    if not header:
        raise UsageError(f"{where}: is empty. Its first line has to name the columns.")


def _place(header: list[str], column: str, where: str) -> int:
    if column not in header and len(header) == 1 and (other := other_separator(header[0], (column.lower(),))):
        raise UsageError(f"{where}: {other}")
    if column not in header:
        raise UsageError(f"{where}: there is no such column. Those of the file: {', '.join(header)}.")
    if header.count(column) > 1:
        raise UsageError(f"{where}: the first line has this column {header.count(column)} times. Keep one.")
    return header.index(column)
