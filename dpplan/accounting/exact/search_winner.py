"""The pair of a search that releases its winner, from the certified profile of one trial.

The winner's profile is at most m·δ(ε - c) for ε >= c (best_of_trials): points of it have a pair that dominates whatever
stays below them (pairs.profile_points), and that composes with the other phases of a plan. No neighbours need realise
it: an UPPER.
"""

import functools
import math

import numpy as np

from dpplan.accounting import exact
from dpplan.accounting.best_of_trials import cost_of_choosing, most
from dpplan.accounting.exact.profile import Profile
from dpplan.accounting.exact.proven_deltas import TO_THE_LAST
from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs import DominatingPair, Resolution, stated
from dpplan.accounting.pairs.profile_points import ProfileLoss
from dpplan.accounting.parallel_composition import costliest
from dpplan.errors import NotApplicable, NotCertified
from dpplan.mechanism.trials import Trials
from dpplan.plan import Plan

THEOREM = (
    "the winner of a search, by the profile of one trial (Koskela, Redberg, Wang 2024), and the pair of that curve "
    "(Zhu, Dong, Wang 2022, arXiv:2106.08567, Prop 10)"
)
# Of the profile, evenly along ε: between them it is taken as a chord, which is 1e-5 of an ε or less above it.
POINTS = 512
LEAST_REACH, MOST_REACH = 40, 600  # e^-reach is the δ at the last of them
NEARER, BEYOND = 2, 1.02
NEAREST, MOST_DELTA = 0.02, 0.99


def winner(kinds: tuple[Plan, ...], trials: Trials) -> DominatingPair:
    """The pair of a search over trials, each of which draws one of these kinds, all with the same chance, and puts out
    which: H_α of a trial is the mean of theirs. Raises NotApplicable or NotCertified where a profile is not known."""
    return _reaching(kinds, trials, LEAST_REACH)


@functools.lru_cache(maxsize=64)
def _reaching(kinds: tuple[Plan, ...], trials: Trials, reach: int) -> DominatingPair:
    profiles, number = [_profile(each) for each in kinds], most(trials)

    def deltas(epsilons: list[float]) -> list[float]:
        """Of one trial, the larger of both orders of each kind, from above."""
        places, found = np.array(epsilons), np.zeros(len(epsilons))
        for profile in profiles:
            found += np.maximum(*(profile.ends(direction, places, TO_THE_LAST)[1] for direction in (0, 1)))
        return [float(delta) for delta in outward.up(found / len(profiles), outward.SUM)]

    last = max(_last(each, number, reach) for each in kinds)
    choosing, _ = cost_of_choosing(trials, lambda epsilon: deltas([epsilon])[0], last)
    places = [last * at / POINTS for at in range(POINTS + 1)] if last > 0.0 else [0.0]
    places += [BEYOND * last, 2.0 * BEYOND * last] if last > 0.0 else []  # where δ falls no further, or all but
    law = ProfileLoss(
        tuple(outward.up(place + choosing, outward.FEW) for place in places),
        tuple(outward.up(number * delta, outward.FEW) for delta in deltas(places)),
    )

    def resolved(resolution: Resolution) -> DominatingPair:
        return _reaching(kinds, trials, min(max(resolution.reach, LEAST_REACH), MOST_REACH))

    return DominatingPair(law, law, THEOREM, realised=(stated(0.0, 0.0),), resolved=resolved)


def _last(trial: Plan, number: float, reach: float) -> float:
    """The ε of the last point: at e^-reach, or at the least δ that a trial gets down to."""
    while True:
        delta = min(math.exp(-reach) / number, MOST_DELTA)
        try:
            found = costliest(trial, lambda each, at=delta: exact.epsilon(each, at)).upper  # type: ignore[misc]
            if found is not None:
                return found
        except NotApplicable:
            raise
        except NotCertified:
            if reach < NEAREST:
                raise NotCertified(
                    f"search: a trial is proven (ε, δ)-private for no δ up to {delta:.3g}, and of the winner of "
                    f"{number:.4g} trials on average nothing is proven. Lower the δ of a trial, or expect fewer"
                ) from None
        # A trial may reveal all with some chance.
        reach = reach - max(NEARER, reach // 8) if reach > NEARER else reach / 2.0


@functools.lru_cache(maxsize=16)
def _profile(trial: Plan) -> Profile:
    return Profile.of(trial)
