"""Scores of canaries: who was in, and how much each looks like it; and how many are guessed right from the ranks."""

import csv
import io
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dpplan.checks import Problems, other_separator, show
from dpplan.errors import FurtherProblems, ScoresError, UsageError, file_error
from dpplan.rounding import up

MEMBER = {
    **dict.fromkeys(("1", "1.0", "true", "in", "yes"), True),
    **dict.fromkeys(("0", "0.0", "false", "out", "no"), False),
}
SHOWN = 5  # of the lines of a file that are wrong
UNFAIR = 1e-6  # the chance that fair coins fall like this, below which they are not believed
MOST_BYTES = 500_000_000
LOST = 0.1  # the share of guesses that equal scores cost, from which on a warning is due
SIDES = ("both", "in")
NAMES = ("id", "canary", "canary_id", "example", "example_id", "index")  # of a column that says which canary a line is
LEAST_DISTINCT = 20  # of lines, from which on a file that holds each several times is a copied one
ONE_LINE = "A coin that counts twice would look like an attack. Keep one line for each canary."


@dataclass(frozen=True)
class Scores:
    """member: whether each canary was in. score: larger means that it looks as if it were. again: of how many lines a
    file has the canary above already, and how many of these say of member what that line said."""

    member: NDArray[np.bool_]
    score: NDArray[np.float64]
    again: tuple[int, int] = (0, 0)

    @property
    def canaries(self) -> int:
        return len(self.member)

    def ranked(self, guesses: int, side: str) -> tuple[int, int]:
        """Guesses made, and right ones, when the highest scores are named "in" (and as many lowest "out").

        guesses: fixed before the scores are seen, as the theorems want; with both sides an odd one is dropped. Among
        equal scores the wrong guess comes first: never more right than with any order that does not know the coins.
        """
        above = guesses if side == "in" else guesses // 2
        highest = np.lexsort((self.member, -self.score))[:above]
        right = int(self.member[highest].sum())
        if side == "in":
            return above, right
        lowest = np.lexsort((~self.member, self.score))[:above]
        return 2 * above, right + int((~self.member[lowest]).sum())

    def tied(self) -> int:
        """How many scores are equal to that of a canary of the other kind."""
        kinds = self.score[self.member], self.score[~self.member]
        both = np.intersect1d(*kinds)
        return int(np.isin(self.score, both).sum())

    def lost_to_ties(self, guesses: int, side: str) -> float:
        """How many guesses more would be right, on average, if equal scores stood in an order by lot, and not the wrong
        ones first. 0 where all that are equal are guessed alike."""
        named = guesses if side == "in" else guesses // 2
        lost = _lost(self.score, self.member, named)
        return lost if side == "in" else lost + _lost(-self.score, ~self.member, named)

    @property
    def turned(self) -> "Scores":
        """With the sign of every score changed."""
        return Scores(self.member, -self.score)

    def copies(self) -> int:
        """How often every line is there, where there are so many different ones that no chance does that; else 1."""
        order = np.lexsort((self.member, self.score))
        member, score = self.member[order], self.score[order]
        first = np.append(True, (score[1:] != score[:-1]) | (member[1:] != member[:-1]))
        counts = np.diff(np.append(np.flatnonzero(first), len(score)))
        return int(np.gcd.reduce(counts)) if len(counts) >= LEAST_DISTINCT else 1

    def coin_chance(self) -> float:
        """The probability that fair coins are as unequal as these."""
        from scipy import special

        members = int(self.member.sum())
        fewer = min(members, self.canaries - members)
        return min(1.0, 2.0 * float(special.bdtr(fewer, self.canaries, 0.5)))


def _lost(score: NDArray[np.float64], right: NDArray[np.bool_], named: int) -> float:
    """The same of so many highest scores. right: whether naming each is."""
    if not 0 < named < len(score):
        return 0.0
    last = np.sort(score)[-named]
    equal, above = score == last, int((score > last).sum())
    chosen, of_them, good = named - above, int(equal.sum()), int(right[equal].sum())
    return chosen * good / of_them - max(0, chosen - (of_them - good))


def read(file: Path) -> Scores:
    """Of a CSV file with the columns member (1 or 0) and score. Raises ScoresError with what is wrong, and where."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ScoresError(f"{file}: is larger than {MOST_BYTES:,} bytes. A line for each canary is all it needs.")
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ScoresError(
            f"{file}: is not text (UTF-8); scores are a CSV file with the columns member,score."
        ) from None
    except OSError as error:
        raise file_error(f"{file}: cannot be read", error, UsageError) from None
    return parse(text, str(file))


def parse(text: str, name: str) -> Scores:
    """The same, of text. name: how the file is called in errors."""
    rows = csv.reader(io.StringIO(text), strict=True)  # or an open quote swallows what follows
    header = _header(rows, name)
    at = header.index("member"), header.index("score")
    named = next((header.index(column) for column in NAMES if header.count(column) == 1), None)
    canaries: list[str] = []
    members: list[bool] = []
    scores: list[float] = []
    wrong: list[str] = []
    empty: list[int] = []  # lines so far below the last row: no harm at the end, and above a row perhaps a lost canary
    try:
        for row in rows:
            if len(row) < 2 and not any(cell.strip() for cell in row):
                empty.append(rows.line_num)  # one of commas alone is a canary whose cells are missing
                continue
            wrong += (f"{name}:{line}: is empty, with rows below it. Remove it, or fill it in." for line in empty)
            empty.clear()
            if len(row) == 1 and (other := other_separator(row[0])):
                wrong.append(f"{name}:{rows.line_num}: {other}")
                continue
            member, score = _cells(row, at)
            if len(row) > len(header):
                cells = f"has {len(row)} cells under {len(header)} columns"
                wrong.append(f"{name}:{rows.line_num}: {cells}. A decimal comma has to be a point.")
                continue
            if member is None:
                wrong.append(f"{name}:{rows.line_num}: member={_cell(row, at[0])} is not 1 or 0.")
            if score is None:
                wrong.append(f"{name}:{rows.line_num}: score={_cell(row, at[1])} is not a number.")
            canaries.append("" if named is None or named >= len(row) else row[named].strip())
            members.append(bool(member))
            scores.append(0.0 if score is None else score)
    except csv.Error as error:
        wrong.append(f"{name}:{rows.line_num}: is not CSV ({error}).")
    if wrong:
        left = len(wrong) - SHOWN
        more = [FurtherProblems(f"{name}: {left} more like these.", left)] if left > 0 else []
        raise ScoresError([*wrong[:SHOWN], *more])
    again = _again(canaries, members) if named is not None else (0, 0)
    return Scores(np.array(members, dtype=bool), np.array(scores, dtype=np.float64), again)


def _again(canaries: list[str], members: list[bool]) -> tuple[int, int]:
    """Lines of a canary that has one above, and how many of them say the same of member."""
    first: dict[str, bool] = {}
    alike = []
    for canary, member in zip(canaries, members, strict=True):
        if canary and canary in first:
            alike.append(first[canary] == member)
        first.setdefault(canary, member)
    return len(alike), sum(alike)


def _header(rows: Iterator[list[str]], name: str) -> list[str]:
    """The columns, each of the two that count once."""
    try:
        header = [cell.strip().lower() for cell in next(rows, [])]
    except csv.Error as error:
        raise ScoresError(f"{name}:1: is not CSV ({error}).") from None
    shown = ", ".join(cell[:40] for cell in header[:8]) + (", ..." if len(header) > 8 else "")
    need = "Write member,score in the first line and 1,0.73 or 0,-0.2 below, a line for each canary."
    if not header:
        raise ScoresError(f"{name}: has no first line. {need}")
    if len(header) == 1 and (other := other_separator(header[0], ("member", "score"))):
        raise ScoresError(f"{name}:1: {other} {need}")
    if not {"member", "score"} <= set(header):
        raise ScoresError(f"{name}:1: has the columns {shown}; member and score are needed. {need}")
    twice = [column for column in ("member", "score") if header.count(column) > 1]
    if twice:
        raise ScoresError(f"{name}:1: has the column {' and '.join(twice)} more than once. Keep the one that is meant.")
    return header


def _cell(row: list[str], at: int) -> str:
    return repr(row[at].strip()[:40]) if at < len(row) else "''"


def _cells(row: list[str], at: tuple[int, int]) -> tuple[bool | None, float | None]:
    member, text = (row[place].strip() if place < len(row) else "" for place in at)
    try:
        score: float | None = float(text)
    except ValueError:
        score = None
    if score is not None and math.isnan(score):
        score = None
    return MEMBER.get(member.lower()), score


def checked(scores: Scores, name: str, coins: bool) -> list[str]:
    """Warnings. Raises ScoresError for scores that no audit can use. coins: whether each was in by a coin of its
    own."""
    members = int(scores.member.sum())
    with Problems(ScoresError) as problems:
        both = 0 < members < scores.canaries
        problems.require(both, f"{name}: holds {members} members of {scores.canaries}. Both kinds are needed.")
        if both and coins and (chance := scores.coin_chance()) < UNFAIR:
            problems.add(
                f"{name}: {members} of {scores.canaries} are members, which fair coins do with chance {up(chance, 1)}. "
                "A one-run audit holds only where each canary was in by a fair coin of its own: guessing the larger "
                "kind would look like an attack. Flip coins, or take --method many-runs for scores of independent runs."
            )
        if (copies := scores.copies()) > 1:
            problems.add(f"{name}: every line is there {copies} times. {ONE_LINE}")
        elif coins and scores.again[1] and _by_chance(scores.again[1], scores.again[0]) < UNFAIR:
            again, alike = scores.again
            what = (
                f"{again} lines are of canaries that have one above, and {alike} of them repeat what it says of member"
            )
            problems.add(f"{name}: {what}. {ONE_LINE}")
    warnings = []
    if coins and 2 * members == scores.canaries and scores.canaries >= 100:
        warnings.append(
            f"exactly {show(members)} of {scores.canaries} are members. If that was arranged and no fall of coins, the "
            "theorems do not apply."
        )
    guesses, right = scores.turned.ranked(scores.canaries // 2, "both")
    if guesses and _by_chance(right, guesses) < UNFAIR:
        warnings.append(
            f"{name}: lower scores are those of members: of {guesses} guesses {right} would be right if every score "
            "had the other sign. Here a higher score says that a canary was in. Losses say the opposite: write minus "
            "the loss. Decide by what the score is, and not by the verdict."
        )
    return warnings


def equal_scores(scores: Scores, name: str, tried: Collection[tuple[int, str]]) -> list[str]:
    """A warning of decisions in place of scores, where they cost guesses. tried: numbers of guesses, each with its
    side."""
    harmed = [guesses for guesses, side in tried if scores.lost_to_ties(guesses, side) > LOST * guesses]
    if not harmed:
        return []
    those = "that were made" if len(tried) == 1 else f"in {len(harmed)} of the {len(tried)} attempts"
    return [
        f"{name}: {show(scores.tied())} of {show(scores.canaries)} scores are equal to that of a canary of the other "
        f"kind. Where only some of equal ones are guessed, the wrong ones are counted first: the guesses {those} prove "
        "little. Write scores and not decisions, with all their digits. Of an attack that names a number of members "
        "that was fixed beforehand, give that number: --guesses NUMBER --side in."
    ]


def _by_chance(right: int, guesses: int) -> float:
    """The probability that so many or more are right where members and others look alike."""
    from scipy import special

    return float(special.bdtrc(right - 1.0, guesses, 0.5)) if right else 1.0
