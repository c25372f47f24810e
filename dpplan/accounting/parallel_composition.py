"""What a plan of groups costs: the most that the phases of one record cost, whatever groups it is in.

Neighbours differ in one record, and a phase on a group without it is, given what was released before, the same random
function of that in both worlds: it adds nothing to the loss, however it was chosen (parallel composition: McSherry
2009, Thm 4; adaptive, of dominating pairs: Zhu, Dong, Wang 2022, arXiv:2106.08567, Thm 10). What is left are the phases
for all records with those of the groups that the record is in, one for each block, composed. δ is the supremum over
neighbours, so the largest profile of these, taken at the end and not block by block.

Of a record that is replaced, the new one may be in other groups: those that only one of the two is in lose it or get
it, as if it were removed or added there, while phases that see both see it replaced. Each choice of two ways through
the groups is such a pair of neighbours.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from dpplan import groups
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.adjacency import REPLACE_ONE
from dpplan.errors import NotApplicable
from dpplan.plan import Phase, Plan


def followed(plan: Plan) -> tuple[Plan, ...]:
    """The phases that one record is in, for every way through the groups: plans without groups, the costs of which
    bound that of the plan. Of a plan without groups, itself.

    Raises NotApplicable where there are too many.
    """
    paths = [phase.groups for phase in plan.phases]
    if not any(path and not groups.of_one_record(path) for path in paths):
        return (plan,)
    kinds = [(phase.mechanism, phase.sampling, phase.steps) for phase in plan.phases]
    moves = plan.adjacency == REPLACE_ONE
    ways = groups.ways(paths, kinds, copies=2 if moves else 1)
    pairs = itertools.combinations_with_replacement(ways, 2) if moves else ((way, way) for way in ways)
    found = {_key(phases): phases for phases in (_phases(plan, *pair) for pair in pairs)}
    if len(found) > groups.MOST_WAYS:
        raise NotApplicable(
            f"groups: a record that is replaced has {len(found)} ways to leave a group and to enter another, more than "
            f"{groups.MOST_WAYS}. Try --adjacency zero-out or add-remove, or give groups that are alike the same "
            "settings"
        )
    return tuple(replace(plan, phases=phases, derivation=(), batch_size=None) for phases in found.values())


def _phases(plan: Plan, before: groups.Way, after: groups.Way) -> tuple[Phase, ...]:
    """Of a record that is in the phases `before`, and in those `after` once it is replaced."""
    found = []
    for place, phase in enumerate(plan.phases):
        if place in before | after:
            stays = groups.STAYS if phase.groups else ()
            moved = groups.LEAVES if place in before else groups.ENTERS
            found.append(replace(phase, groups=stays if place in before & after else moved))
    return tuple(found)


def _key(phases: Iterable[Phase]) -> tuple[str, ...]:
    """The same for phases that cost the same, which does not depend on their order."""
    return tuple(sorted(repr((each.mechanism, each.sampling, each.steps, each.groups)) for each in phases))


def costliest(plan: Plan, ask: Callable[[Plan], Bound]) -> Bound:
    """What is known of a plan from what is known of each of the plans `followed`."""
    plans = followed(plan)
    if len(plans) == 1 and plans[0] is plan:
        return ask(plan)
    return _largest([replace(ask(each), assumptions=plan.assumptions) for each in plans])


def _largest(bounds: Sequence[Bound]) -> Bound:
    """The largest of the figures, with the weakest of their guarantees."""
    top = max(bounds, key=lambda bound: bound.value)
    ways = f"; the most costly of {len(bounds)} ways through the groups"
    lowers, uppers = _known(bound.lower for bound in bounds), _known(bound.upper for bound in bounds)
    guarantees = {bound.guarantee for bound in bounds}
    details = {name: value for name, value in top.details.items() if name != "proven"}
    lower, upper, estimate = max(lowers, default=None), max(uppers, default=None), None
    if Guarantee.ESTIMATE in guarantees:
        kind, lower, upper, estimate = Guarantee.ESTIMATE, None, None, top.value
    elif Guarantee.LOWER in guarantees:
        kind, upper = Guarantee.LOWER, None
    elif guarantees == {Guarantee.CERTIFIED}:
        kind = Guarantee.CERTIFIED
        proven = [bound.proven for bound in bounds]
        details["proven"] = (max(low for low, _ in proven), max(high for _, high in proven))
    else:
        kind, lower = Guarantee.UPPER, None
    return replace(
        top, lower=lower, upper=upper, estimate=estimate, guarantee=kind, why=f"{top.why}{ways}", details=details
    )


def _known(ends: Iterable[float | None]) -> Iterator[float]:
    return (end for end in ends if end is not None)
