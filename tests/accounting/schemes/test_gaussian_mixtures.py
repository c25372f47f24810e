"""Laws that are inverted by search, against integrals; and fixed sizes with one record zeroed out."""

import math

import numpy as np
import pytest
import scheme_oracle as oracle
from scipy import stats

from dpplan import accounting
from dpplan.accounting import pairs
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.pairs.gaussian_mixtures import GroupLoss, MixtureLoss, TwiceAgainstOnce
from dpplan.adjacency import ADD_REMOVE, ZERO_OUT
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import FixedSize

LAWS = [
    TwiceAgainstOnce(0.8, 0.1),
    TwiceAgainstOnce(3.0, 0.9),
    GroupLoss(1.0, 0.3, 3),
    GroupLoss(4.0, 0.01, 40),
    GroupLoss(2.0, 1.0, 2),
]


def mixture(law: MixtureLoss) -> tuple[oracle.Law, oracle.Law]:
    q = law.sample_rate  # type: ignore[attr-defined]
    if isinstance(law, TwiceAgainstOnce):
        return {0.0: 1 - q, 2.0: q}, {0.0: 1 - q, 1.0: q}
    counts = range(law.members + 1)  # type: ignore[attr-defined]
    return {float(j): float(stats.binom.pmf(j, max(counts), q)) for j in counts}, {0.0: 1.0}


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_one_step_is_its_integral(law: MixtureLoss) -> None:
    first, second = mixture(law)
    for epsilon in (0.0, 0.1, 1.5):
        for side, one, two in ((law, first, second), (pairs.Reversed(law), second, first)):
            found = Composition.of([(side, 1)]).delta(epsilon)
            truth = oracle.delta(one, two, law.noise_multiplier, epsilon)
            assert found.lower == pytest.approx(truth, rel=1e-6, abs=1e-12)
            assert found.relative_width < 1e-9 or found.upper < 1e-12


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_masses_are_those_of_the_intervals_they_say(law: MixtureLoss) -> None:
    """Cells of any losses: both measures add up to 1, and their ratio is within the cell's losses."""
    edges = np.concatenate(([-math.inf], np.linspace(-3.0, 8.0, 41), [math.inf]))
    found = law.masses(edges)
    assert math.fsum(found.p) == pytest.approx(1, rel=1e-12) and math.fsum(found.q) == pytest.approx(1, rel=1e-12)
    assert np.max(found.moved) < 1e-10 and np.max(found.relative) < 1e-9
    seen = (found.p > 1e-200) & (found.q > 1e-200)
    ratio = np.log(found.p[seen] / found.q[seen])
    assert np.all(edges[:-1][seen] - 1e-9 <= ratio) and np.all(ratio <= edges[1:][seen] + 1e-9)


def test_a_group_of_one_is_a_sampled_record() -> None:
    for epsilon in (0.2, 2.0):
        alone, known = GroupLoss(0.9, 0.05, 1), pairs.subsampled(pairs.gaussian(0.9), 0.05).remove
        one, other = (Composition.of([(law, 20)]).delta(epsilon) for law in (alone, known))
        assert one.upper == pytest.approx(other.upper, rel=1e-5)


def test_fixed_sizes_with_a_record_zeroed_out() -> None:
    """What is known: at least 10.369, at most what replacing it costs."""
    plan = Plan((Phase(Gaussian(1.0), FixedSize(100, 10_000), 1000),), adjacency=ZERO_OUT)
    found = accounting.epsilon(plan, 1e-5)
    assert found.lower is not None and found.lower == pytest.approx(10.3686, abs=1e-4)
    assert found.upper == pytest.approx(14.8207, abs=1e-3)


def test_no_gradients_tell_more_than_the_pair_of_fixed_sizes() -> None:
    pair = pairs.of(Phase(Gaussian(0.8), FixedSize(2, 5), 1), ZERO_OUT, "example")
    for others in ([-1.0] * 4, [1.0] * 4, [0.0] * 4, [-1.0, 1.0, 0.3, -0.2]):
        first, second = (oracle.fixed_size([*others, own], 2) for own in (1.0, 0.0))
        for epsilon in (0.0, 1.0):
            for law, one, two in ((pair.remove, first, second), (pair.add, second, first)):
                upper = Composition.of([(law, 1)]).delta(epsilon).upper
                assert oracle.delta(one, two, 0.8, epsilon) <= upper * (1 + 1e-6)
    realised = pair.realisation(0)
    first, second = (oracle.fixed_size([-1.0] * 4 + [own], 2) for own in (1.0, 0.0))
    truth = oracle.delta(first, second, 0.8, 0.5)
    assert Composition.of([(realised.remove, 1)]).delta(0.5).lower == pytest.approx(truth, rel=1e-6)


def test_a_batch_of_all_is_seen_whole() -> None:
    plan = Plan((Phase(Gaussian(2.0), FixedSize(9, 9), 4),), adjacency=ZERO_OUT)
    assert accounting.epsilon(plan, 1e-5).value == accounting.epsilon(Plan.from_rate(2.0, 1.0, 4), 1e-5).value
    assert plan.adjacency != ADD_REMOVE


def test_an_edge_that_may_lie_on_either_side_of_the_lowest_loss_is_said_to_be_off() -> None:
    """Which side of it such an edge lies on was decided by one comparison of floats."""
    for law in (TwiceAgainstOnce(0.8, 0.1), TwiceAgainstOnce(3.0, 0.9)):
        (lowest,), _, (off,) = (each.tolist() for each in law.loss(np.array([law.turn])))
        for edge in (lowest - 0.5 * off, lowest, lowest + 0.5 * off):
            assert law.masses(np.array([edge, math.inf])).moved[0] >= off
        assert law.masses(np.array([lowest - 1.0, math.inf])).moved[0] < 1e-15 * (1.0 + abs(lowest))
