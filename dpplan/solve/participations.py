"""In how many steps a record may take part, and how far apart, where steps share noise and the phase declares it: the
values of each, and their order.

A pattern of at most k steps is one of at most k + 1, and one whose steps are b + 1 apart is one whose steps are b
apart: no sensitivity falls as k rises, and none rises with b. No bound on one does either
(accounting/pairs/participation_sensitivity.py, strategy_matrix.py, tree_sensitivity.py): each is a sum to which one
more column, or one more step of a pattern, adds no negative number, and columns that are nearer to each other add no
less; where a shorter way of working it out takes over, from some k on or below some b, it bounds the longer one from
above; and the distance that a tree takes in b's place falls with no b and rises with no k. Roundings may be out of
order: a figure is asked for of what is returned. The run is one Gaussian release, and a larger sensitivity is less
noise.
"""

from dpplan.mechanism import Mechanism
from dpplan.mechanism.correlated import MOST_PARTICIPATIONS, Correlated
from dpplan.plan import Phase, Settings
from dpplan.sampling import CyclicPoisson, Poisson, Shuffle
from dpplan.solve import candidate_values
from dpplan.solve.search import Candidates

PARTICIPATIONS, SEPARATION = NAMES = ("participations", "separation")
# Steeper than ε is: the search then comes from below, and a tree takes longer the more of them are tried.
_STEEP = 2.0


def known(phase: Phase) -> tuple[str, ...]:
    """Which of them can be asked for of this phase."""
    return tuple(name for name in NAMES if not refusal(phase, name))


def refusal(phase: Phase, name: str) -> str:
    """Why it is not to be asked for, and what is in its place; "" where it is. name: of `NAMES`."""
    scheme, far = phase.sampling, name == SEPARATION
    if not isinstance(phase.mechanism, Correlated):
        has = f"a {name}" if far else name
        return f"only noise that steps share (tree, toeplitz, matrix, blt) has {has}. Ask for steps."
    follows = "it follows" if far else "they follow"
    if isinstance(scheme, CyclicPoisson):
        turns = f"a record is in one of every groups={scheme.groups} steps at most"
        if far:
            turns = f"a record's steps are a multiple of groups={scheme.groups} apart"
        return f"{follows} from sampling={scheme.kind}: {turns}. Ask for steps."
    if isinstance(scheme, Shuffle):
        return (
            f"{follows} from sampling={scheme.kind}: a record is in one step of every epoch, which has "
            f"{scheme.steps_per_epoch}. Ask for steps."
        )
    if scheme != Poisson(1.0):
        instead = "let no two steps of a record be nearer" if far else "let no record be in more steps"
        hold, found = ("holds", "is") if far else ("hold", "are")
        return (
            f"none {hold} under sampling={scheme.kind}, which may draw a record in any step. Leave out the sampling, "
            f"and {instead} than {found} found."
        )
    return ""


def candidates(phase: Phase, name: str) -> Candidates:
    """Participations from one up to `most`; separations from all steps, where a record is in one, down to one. Both
    from what the phase says on."""
    noise, last = _noise(phase.mechanism), most(phase, name)
    start = min(getattr(noise, name), last)
    if name == PARTICIPATIONS:
        return candidate_values.whole(Settings(), name, last, start=start, slope=_STEEP)
    return candidate_values.whole_down(Settings(), name, last, start=start, slope=1.0)


def most(phase: Phase, name: str) -> int:
    """The largest that is tried. Of participations as many steps as the phase has so far apart: more of them are the
    same patterns. Of separations all steps, where a record is in one; of a record that is in no more, one."""
    noise = _noise(phase.mechanism)
    if name == PARTICIPATIONS:
        return min(-(-phase.steps // noise.separation), MOST_PARTICIPATIONS)
    return phase.steps if noise.participations > 1 else 1


def nowhere(name: str) -> str:
    """At which value the target is not met where it is met at none, before the name of the phase."""
    if name == PARTICIPATIONS:
        return "at one participation of"
    return "even with a record in one step of"


def remark(phase: Phase, name: str, last: bool) -> str:
    """What to say of the value that was found. last: whether it is the one that spends the most of all."""
    noise = _noise(phase.mechanism)
    apart, inside = noise.separation, min(noise.participations, -(-phase.steps // noise.separation))
    if name == SEPARATION:
        if last:
            return "the target is met however near to each other a record's steps are"
        if inside < noise.participations:
            times = "one step" if inside == 1 else f"{inside} steps"
            return f"so far apart a record is in {times} of {phase.steps} at most, not in {noise.participations}"
        return ""
    if not last:
        return ""
    if inside * apart < phase.steps:
        return f"the target is met at all participations that are tried, up to {inside}"
    return (
        f"the target still holds there, and no record can be in more: {inside} of {phase.steps} steps are {apart} apart"
    )


def _noise(mechanism: Mechanism) -> Correlated:
    assert isinstance(mechanism, Correlated)  # `known`
    return mechanism
