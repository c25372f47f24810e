"""In how many steps a record may take part, where steps share noise and the phase declares it: values, and order.

A pattern of at most k steps is one of at most k + 1, so that no sensitivity falls as k rises. No bound on one does
either (accounting/pairs/participation_sensitivity.py, strategy_matrix.py, tree_sensitivity.py): each is a sum to which
one more column, or one more step of a pattern, adds no negative number; and where a shorter way of working it out takes
over, from some k on, it bounds the longer one from above. Roundings may be out of order: a figure is asked for of what
is returned. The run is one Gaussian release, and a larger sensitivity is less noise.
"""

from dpplan.mechanism import Mechanism
from dpplan.mechanism.correlated import MOST_PARTICIPATIONS, Correlated
from dpplan.plan import Phase, Settings
from dpplan.sampling import CyclicPoisson, Poisson, Shuffle
from dpplan.solve import candidate_values
from dpplan.solve.search import Candidates

NAME = "participations"
# Steeper than ε is: the search then comes from below, and a tree takes longer the more of them are tried.
_STEEP = 2.0


def known(phase: Phase) -> tuple[str, ...]:
    """Its name where they can be asked for of this phase."""
    return () if refusal(phase) else (NAME,)


def refusal(phase: Phase) -> str:
    """Why they are not to be asked for, and what is in their place; "" where they are."""
    scheme = phase.sampling
    if not isinstance(phase.mechanism, Correlated):
        return "only noise that steps share (tree, toeplitz, matrix, blt) has participations. Ask for steps."
    if isinstance(scheme, CyclicPoisson):
        return (
            f"they follow from sampling={scheme.kind}: a record is in one of every groups={scheme.groups} steps at "
            "most. Ask for steps."
        )
    if isinstance(scheme, Shuffle):
        return (
            f"they follow from sampling={scheme.kind}: a record is in one step of every epoch, which has "
            f"{scheme.steps_per_epoch}. Ask for steps."
        )
    if scheme != Poisson(1.0):
        return (
            f"none hold under sampling={scheme.kind}, which may draw a record in any step. Leave out the sampling, and "
            "let no record be in more steps than are found."
        )
    return ""


def candidates(phase: Phase) -> Candidates:
    """From one up to `most`, from what the phase says on."""
    start = min(_noise(phase.mechanism).participations, most(phase))
    return candidate_values.whole(Settings(), NAME, most(phase), start=start, slope=_STEEP)


def most(phase: Phase) -> int:
    """The most that are tried: as many steps as the phase has so far apart. More of them are the same patterns."""
    return min(-(-phase.steps // _noise(phase.mechanism).separation), MOST_PARTICIPATIONS)


def all_meet(phase: Phase) -> str:
    """What to say where `most` of them meet the target."""
    apart, tried = _noise(phase.mechanism).separation, most(phase)
    if tried * apart < phase.steps:
        return f"the target is met at all participations that are tried, up to {tried}"
    return (
        f"the target still holds there, and no record can be in more: {tried} of {phase.steps} steps are {apart} apart"
    )


def _noise(mechanism: Mechanism) -> Correlated:
    assert isinstance(mechanism, Correlated)  # `known`
    return mechanism
