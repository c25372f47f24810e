"""One run for users with at most K examples each: group privacy, examples drawn one by one, users drawn whole."""

import csv
import math
from collections import Counter
from pathlib import Path

from dpplan import accounting
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.numerics import outward
from dpplan.errors import NotCertified, UsageError, file_error
from dpplan.plan import Settings
from dpplan.quick_dataclass import dataclass

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
    """What (ε, δ) of one example say of K: (K·ε, δ·(e^(K·ε) - 1) / (e^ε - 1)), at the least ε where that δ is allowed
    (Dwork, Roth 2014, Thm 2.2 step by step)."""
    plan = settings.with_(unit="example", max_per_user=None).plan()
    name, words = "group", "what the figure of one example says of a group, with nothing else known"

    def allowed(epsilon: float) -> bool:
        spent = accounting.delta(plan, epsilon).upper
        factor = math.fsum(math.exp(each * epsilon) for each in range(members)) if members * epsilon < 600 else math.inf
        return spent is not None and outward.up(spent * factor, outward.ARITHMETIC) <= delta

    low, high = 0.0, 0.25
    while high <= LARGEST and not allowed(high):
        low, high = high, 2.0 * high
    if high > LARGEST:
        return UnitRow(
            name, words, None, "the figure of one example says nothing of so many: its δ grows beyond bounds"
        )
    for _ in range(ROUNDS):
        middle = 0.5 * (low + high)
        if high - low < 1e-7 * high:
            break
        low, high = (low, middle) if allowed(middle) else (middle, high)
    bound = Bound(
        "epsilon",
        None,
        outward.up(members * high, outward.ARITHMETIC),
        Guarantee.UPPER,
        "exact",
        settings.with_(unit="user", max_per_user=members).plan().assumptions,
        f"group privacy of {members} examples, each ({high:.6g}, δ)-private",
    )
    return UnitRow(name, words, bound)


def counted(file: Path, column: str) -> UserCounts:
    """How many rows of a CSV file each value of this column has. Raises UsageError where it cannot be read."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if column not in (rows.fieldnames or ()):
                if not rows.fieldnames:
                    raise UsageError(f"users={file}: is empty. Its first line has to name the columns.")
                known = ", ".join(rows.fieldnames)
                raise UsageError(f"users={file}:{column}: there is no such column. Those of the file: {known}.")
            counts = Counter(row[column] for row in rows)
    except (UnicodeDecodeError, csv.Error):
        raise UsageError(f"users={file}: is no CSV file in UTF-8.") from None
    except OSError as error:
        raise file_error(f"users={file}: cannot be read", error) from None
    if not counts:
        raise UsageError(f"users={file}: has no rows.")
    return UserCounts(tuple(counts.values()))
