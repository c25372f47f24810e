"""Groups of records that no record shares: phases that each ask another part of the data, side by side.

A path leads to a phase: for each block of groups around it, from the outside in, the number of the block and that of
the group. A phase for all records has the empty path. Whoever is in one group pays for its phases alone, whatever the
others learn of theirs (McSherry 2009, parallel composition); so a plan costs what the most costly way through it does.
"""

import itertools
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

from dpplan.checks import show
from dpplan.errors import NotApplicable

GroupPath = tuple[tuple[int, int], ...]
# In a plan that follows one record there are no groups, and a phase that came out of one says what the record does
# there: it stays, whatever happens to it, or it leaves the group or enters it, as one that is replaced may.
STAYS, LEAVES, ENTERS = (((-1, which),) for which in range(3))
MOST_DEPTH = 30  # of groups in groups
MOST_WAYS = 200  # of one record through the groups; each is accounted for by itself
Way = frozenset[int]


class PhaseName(str):
    """What a phase is called. group: and what the group that it is of, "" where no part of that has a name."""

    __slots__ = ("group",)
    group: str

    def __new__(cls, name: str, group: str = "") -> "PhaseName":
        made = super().__new__(cls, name)
        made.group = group
        return made


def group_called(name: str, path: GroupPath) -> str:
    """Whose phase of this name it is, by name where there is one; "" where it is for all."""
    return (name.group if isinstance(name, PhaseName) else "") or words(path)


def path_problems(path: object) -> list[str]:
    """What is wrong with the path of a phase."""
    good = isinstance(path, tuple) and all(
        isinstance(part, tuple) and len(part) == 2 and all(isinstance(each, int) for each in part) for part in path
    )
    if not good:
        return [f"groups={show(path)} is not a list of (block, group)."]
    assert isinstance(path, tuple)
    deep = f"groups: nested {len(path)} deep, more than {MOST_DEPTH}. Merge groups that hold nothing but one block."
    return [deep] if len(path) > MOST_DEPTH else []


def of_one_record(path: GroupPath) -> bool:
    return path in (STAYS, LEAVES, ENTERS)


def ways(paths: Sequence[GroupPath], kinds: Sequence[Hashable], copies: int = 1) -> list[Way]:
    """The phases that one record can be in together, way by way.

    kinds: of phases that cost alike; of groups that do, so many copies are kept. Raises NotApplicable where there are
    more than MOST_WAYS.
    """
    known = dict[Hashable, int]()
    alike = [known.setdefault(repr(kind), len(known)) for kind in kinds]
    return _within(range(len(paths)), 0, _Nest(paths, alike, {}, copies))


class _Nest(NamedTuple):
    """kinds: a number for each phase, the same for those that cost alike. built: one for each way to build a group. It
    stands for the whole of it, since a text of what is inside would double with every level."""

    paths: Sequence[GroupPath]
    kinds: Sequence[int]
    built: dict[Hashable, int]
    copies: int


def _blocks(places: Sequence[int], depth: int, nest: _Nest) -> Iterator[Collection[list[int]]]:
    """The groups of each block that lies right below, as the places in them."""
    blocks: dict[int, dict[int, list[int]]] = {}
    for place in places:
        if len(nest.paths[place]) > depth:
            block, group = nest.paths[place][depth]
            blocks.setdefault(block, {}).setdefault(group, []).append(place)
    for groups in blocks.values():
        yield groups.values()


def _within(places: Sequence[int], depth: int, nest: _Nest) -> list[Way]:
    """The ways through what lies below one group, all of whose paths agree down to this depth."""
    always = frozenset(place for place in places if len(nest.paths[place]) == depth)
    through = []
    for groups in _blocks(places, depth, nest):
        kept = _unlike_groups(groups, depth + 1, nest)
        found = (way for each in kept for way in _within(each, depth + 1, nest))
        through.append(list(found if nest.copies > 1 else _unlike(found, nest)))
    count = 1
    for each in through:
        count *= len(each)
    if count > MOST_WAYS:
        raise NotApplicable(
            f"groups: one record has {count} ways through the groups of this plan, more than {MOST_WAYS}, each with "
            "a cost of its own. Give groups that are alike the same settings, or name one block where the groups of "
            "several are the same"
        )
    return [always.union(*parts) for parts in itertools.product(*through)]


def _unlike_groups(groups: Iterable[list[int]], depth: int, nest: _Nest) -> Iterator[list[int]]:
    """So many groups of each kind, whole: one that is left out is built as one that is kept. So each way, and with two
    copies each pair of ways, wherever the two part, has its like among those that are kept."""
    seen: dict[int, int] = {}
    for places in groups:
        kind = _built(places, depth, nest)
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= nest.copies:
            yield places


def _built(places: Sequence[int], depth: int, nest: _Nest) -> int:
    """How a group is built, whatever the order: its own phases, and its blocks of groups."""
    own = sorted(nest.kinds[place] for place in places if len(nest.paths[place]) == depth)
    inner = sorted(
        tuple(sorted(_built(each, depth + 1, nest) for each in groups)) for groups in _blocks(places, depth, nest)
    )
    return nest.built.setdefault((tuple(own), tuple(inner)), len(nest.built))


def _unlike(found: Iterator[Way], nest: _Nest) -> Iterator[Way]:
    """Without those that cost what others do: for neighbours that differ in a record of one way."""
    seen = set[Hashable]()
    for way in found:
        kind = tuple(sorted(nest.kinds[place] for place in way))
        if kind not in seen:
            seen.add(kind)
            yield way


def words(path: GroupPath) -> str:
    """Whose phase it is, as people read it: block 1, group 2 is 1.2."""
    return "/".join(f"{block}.{group + 1}" for block, group in path)


def apart(lists: Sequence[Sequence[GroupPath]]) -> list[list[GroupPath]]:
    """The same paths, list by list, with blocks that no other list has: those of two plans are not the same groups."""
    found, taken = [], 0
    for paths in lists:
        moved = [tuple((block + taken, group) for block, group in path) for path in paths]
        taken = max([taken, *(block + 1 for path in moved for block, _ in path)])
        found.append(moved)
    return found
