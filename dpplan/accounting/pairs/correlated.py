"""Correlated noise: the pairs of a phase, which is one release, or turns of a group that are.

Which steps a record takes part in: declared, as at most k of them at least b apart; or said by the scheme. Data that
are shuffled once take every record once in as many steps as an epoch has, and the order, if it is told, tells which; no
theorem is known that lets it help. Groups that take turns, with Poisson sampling inside, amplify a banded strategy:
where bands are no wider than the number of groups, a record's turns have no row of C in common. Given what was released
before, a turn moves the rows of its column by C_i·u or, if the coin says no, not at all: a sampled Gaussian whose noise
is over the length of the column (Choquette-Choo et al. 2023, arXiv:2306.08153). Turns of other strategies share noise,
and no theorem lets the coins help. Whoever is told a record's coins, which no other record's depend on, sees a Gaussian
release of C·x whose pattern is some of its turns, and no such pattern moves it farther than all turns may: from above.
"""

import dataclasses

from dpplan.accounting.pairs import participation_sensitivity, strategy_matrix, tree_sensitivity
from dpplan.accounting.pairs.dominating import DominatingPair, gaussian, replaced, stated, subsampled
from dpplan.accounting.pairs.epochs import Terms
from dpplan.accounting.pairs.participation_sensitivity import Sensitivity
from dpplan.adjacency import REPLACE_ONE, Adjacency
from dpplan.errors import NotApplicable
from dpplan.mechanism import Gaussian, kind_of
from dpplan.mechanism.correlated import BufferedNoise, Correlated, MatrixNoise, ToeplitzNoise, TreeAggregation
from dpplan.plan import Phase
from dpplan.sampling import CyclicPoisson, Poisson, Sampling, Shuffle, regular

ONE_RELEASE = "one Gaussian release of C·x, over how far a record's pattern moves it (arXiv:2211.06530)"
BANDED = "banded noise on groups that take turns: Choquette-Choo et al. 2023 (arXiv:2306.08153)"


def pattern(phase: Phase) -> tuple[int, int]:
    """In how many steps a record takes part at most, and how many lie at least from one to the next.

    Whoever runs the phase holds its batches against this. Where the scheme says it, a record's steps are all a multiple
    of the second number apart.
    """
    mechanism, scheme = phase.mechanism, phase.sampling
    if isinstance(scheme, Shuffle | CyclicPoisson):
        apart = scheme.steps_per_epoch if isinstance(scheme, Shuffle) else scheme.groups
        return -(-phase.steps // apart), apart
    return getattr(mechanism, "participations", 1), getattr(mechanism, "separation", 1)


def says_steps(scheme: Sampling) -> bool:
    """Whether it is known of this sampling in which steps a record may be, so that noise which steps share has a cost.
    Of all others no pattern holds."""
    return regular(scheme) or scheme == Poisson(1.0)


def sensitivity(mechanism: Correlated, steps: int, participations: int, separation: int) -> Sensitivity:
    """How far a record moves C·x, over patterns of at most so many steps so far apart."""
    if isinstance(mechanism, TreeAggregation):
        return tree_sensitivity.tree(steps, participations, separation)
    if isinstance(mechanism, MatrixNoise):
        return strategy_matrix.any_pattern(mechanism, steps, participations, separation)
    return participation_sensitivity.toeplitz(_coefficients(mechanism, steps), steps, participations, separation)


def _one_place(mechanism: Correlated, steps: int, steps_of_one: tuple[int, int]) -> Sensitivity:
    """The same where a record's steps are all those of one place in every so many."""
    times, apart = steps_of_one
    if isinstance(mechanism, TreeAggregation):
        return tree_sensitivity.regular_tree(steps, apart)
    if isinstance(mechanism, MatrixNoise):
        return strategy_matrix.one_place(mechanism, steps, apart)
    return sensitivity(mechanism, steps, times, apart)


def _coefficients(mechanism: ToeplitzNoise | BufferedNoise, steps: int) -> participation_sensitivity.Column:
    if isinstance(mechanism, BufferedNoise):
        length = participation_sensitivity.buffered_length(mechanism.decays, mechanism.scales, steps)
        if length > participation_sensitivity.LONGEST // len(mechanism.decays):
            raise NotApplicable(f"blt: {length} steps that share noise are too many to add up")
        return participation_sensitivity.buffered_coefficients(mechanism.decays, mechanism.scales, length)
    if mechanism.bands is not None:
        return participation_sensitivity.square_root_coefficients(min(mechanism.bands, steps))
    return mechanism.coefficients[:steps]


def declared_participation(phase: Phase, adjacency: Adjacency) -> Terms:
    """A record's pattern as the mechanism declares it."""
    mechanism = phase.mechanism
    assert isinstance(mechanism, Correlated)  # PHASE_PAIRS goes by exact type
    if Poisson.of(phase.sampling).sample_rate != 1.0:
        raise NotApplicable(
            f"{kind_of(mechanism)} under Poisson sampling: no theorem is known that lets it help, since a record's "
            "steps share noise. Try cyclic-poisson with as many groups as bands, or leave sampling out and give "
            "participations and separation"
        )
    return _one_release(mechanism, phase.steps, mechanism.participations, mechanism.separation, adjacency)


def fixed_order(phase: Phase, adjacency: Adjacency) -> Terms:
    """Data shuffled once: from above, to a reader who is told the order."""
    mechanism, scheme = phase.mechanism, phase.sampling
    assert isinstance(mechanism, Correlated) and isinstance(scheme, Shuffle)
    _undeclared(mechanism, scheme.kind)
    if scheme.order != "once":
        raise NotApplicable(
            f"{kind_of(mechanism)} on data that are shuffled anew each epoch: two steps of a record may follow each "
            "other. Try order: once, or leave sampling out and give participations and separation"
        )
    return _from_above(mechanism, _one_place(mechanism, phase.steps, pattern(phase)), adjacency)


def _from_above(mechanism: Correlated, found: Sensitivity, adjacency: Adjacency) -> Terms:
    """One release, to a reader who is told the order, or the coins."""
    ((pair, count),) = _released(mechanism, found, adjacency)
    return ((dataclasses.replace(pair, realised=(stated(0.0, 0.0),)), count),)


def by_turns(phase: Phase, adjacency: Adjacency) -> Terms:
    """Groups that take turns; the first has the most of them, and a whole column in each but perhaps the last."""
    mechanism, scheme = phase.mechanism, phase.sampling
    assert isinstance(mechanism, Correlated) and isinstance(scheme, CyclicPoisson)
    _undeclared(mechanism, scheme.kind)
    if scheme.assignment != "place":
        raise NotApplicable(f"{kind_of(mechanism)} is known in groups by place alone. Try assignment: place")
    bands, column = _bands(mechanism, phase.steps)
    if not 0 < bands <= scheme.groups:
        return _from_above(mechanism, _one_place(mechanism, phase.steps, pattern(phase)), adjacency)
    noise = participation_sensitivity.noise_over(mechanism.noise_multiplier, column, 1.0)
    turns, _ = pattern(phase)
    if adjacency == REPLACE_ONE:
        one = replaced(noise, scheme.sample_rate)
    else:
        one = subsampled(gaussian(noise), scheme.sample_rate)
    one = dataclasses.replace(one, theorem=BANDED)
    # The last column is cut short, or columns are not all as long as the longest.
    if (turns - 1) * scheme.groups + bands > phase.steps or isinstance(mechanism, MatrixNoise):
        one = dataclasses.replace(one, realised=(stated(0.0, 0.0),))
    return ((one, turns),)


def lasting(mechanism: Correlated, steps: int) -> int:
    """How many diagonals of C are not 0: so many steps share a noise. 0 of a tree, which has no bands."""
    if isinstance(mechanism, TreeAggregation):
        return 0
    if isinstance(mechanism, BufferedNoise):
        return steps
    if isinstance(mechanism, MatrixNoise):
        return mechanism.bands
    return min(mechanism.bands or len(mechanism.coefficients), steps)


def _bands(mechanism: Correlated, steps: int) -> tuple[int, Sensitivity]:
    """`lasting`, and how far one step moves the longest column of C; 0 for a tree."""
    bands = lasting(mechanism, steps)
    if isinstance(mechanism, TreeAggregation):
        return bands, Sensitivity(0.0, exact=True)
    if isinstance(mechanism, MatrixNoise):
        return bands, strategy_matrix.longest_column(mechanism, steps)
    return bands, participation_sensitivity.longest_column(_coefficients(mechanism, steps))


def by_poisson(phase: Phase) -> Phase:
    """About as costly, under add/remove or zero-out: Gaussian noise that is drawn anew, under Poisson sampling. For a
    search to begin with, and no bound."""
    mechanism, scheme = phase.mechanism, phase.sampling
    assert isinstance(mechanism, Correlated)
    bands, column = _bands(mechanism, phase.steps)
    if isinstance(scheme, CyclicPoisson) and 0 < bands <= scheme.groups:
        noise = participation_sensitivity.noise_over(mechanism.noise_multiplier, column, 1.0)
        return Phase(Gaussian(noise), Poisson(scheme.sample_rate), pattern(phase)[0])
    if isinstance(scheme, Shuffle | CyclicPoisson):
        found = _one_place(mechanism, phase.steps, pattern(phase))
    else:
        found = sensitivity(mechanism, phase.steps, *pattern(phase))
    return Phase(
        Gaussian(participation_sensitivity.noise_over(mechanism.noise_multiplier, found, 1.0)), Poisson(1.0), 1
    )


def _one_release(
    mechanism: Correlated, steps: int, participations: int, separation: int, adjacency: Adjacency
) -> Terms:
    return _released(mechanism, sensitivity(mechanism, steps, participations, separation), adjacency)


def _released(mechanism: Correlated, found: Sensitivity, adjacency: Adjacency) -> Terms:
    noise = participation_sensitivity.noise_over(mechanism.noise_multiplier, found, adjacency.sensitivity)
    pair: DominatingPair = dataclasses.replace(gaussian(noise), theorem=ONE_RELEASE)
    if found.exact:
        return ((pair, 1),)
    least = participation_sensitivity.noise_over_reached(mechanism.noise_multiplier, found, adjacency.sensitivity)
    below = stated(0.0, 0.0) if least is None else gaussian(least)  # a pattern that some record may have
    return ((dataclasses.replace(pair, realised=(below,)), 1),)


def _undeclared(mechanism: Correlated, scheme: str) -> None:
    """Raises NotApplicable where a record's pattern is declared and the scheme says another."""
    if (mechanism.participations, mechanism.separation) != (1, 1):
        raise NotApplicable(
            f"participations and separation follow from sampling={scheme}. Leave them out, or leave out the sampling"
        )
