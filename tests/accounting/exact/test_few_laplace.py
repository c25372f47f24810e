"""A few Laplace releases in closed form, against one release after the other in mpmath and against the lattice."""

import itertools

import mpmath as mp
import pytest

from dpplan import accounting
from dpplan.accounting.exact import few_laplace
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.numerics import outward
from dpplan.accounting.pairs.laplace import LaplaceLoss
from dpplan.accounting.pairs.unsampled_gaussian import GaussianLoss
from dpplan.mechanism import Laplace
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

FOUR = (0.5, 0.2, 0.25, 0.25)


def composed(*epsilons: float) -> Composition:
    return Composition.of((LaplaceLoss(1.0 / epsilon), 1) for epsilon in epsilons)


def truth(epsilons: tuple[float, ...], x: mp.mpf) -> mp.mpf:
    """delta(x), by an integral over the loss of the last release."""
    last, rest = mp.mpf(epsilons[-1]), epsilons[:-1]
    if not rest:
        inside = 1 - mp.exp((x - last) / 2)
        return mp.mpf(0) if x >= last else 1 - mp.exp(x) if x <= -last else inside
    ends = [
        x - sum(a * s for a, s in zip(rest, signs, strict=True))
        for signs in itertools.product((1, -1), repeat=len(rest))
    ]
    cuts = sorted({-last, last, *(end for end in ends if -last < end < last)})
    smooth = mp.quad(lambda loss: truth(rest, x - loss) * mp.exp((loss - last) / 2) / 4, cuts)
    return truth(rest, x - last) / 2 + truth(rest, x + last) * mp.exp(-last) / 2 + smooth


@pytest.mark.sweep(slow=("epsilons3",))
@pytest.mark.parametrize(
    ("epsilons", "share"),
    [((0.5, 0.2), 0.0), ((0.5, 0.2), 0.97), ((1.0, 1.0), 0.3), ((2.0, 0.1, 0.7), 0.3),
     *(pytest.param(*case, marks=pytest.mark.slow) for case in (((0.5, 0.2, 0.25), 0.7), (FOUR, 0.3), (FOUR, 0.9)))],
)  # fmt: skip
def test_delta_is_that_of_one_release_after_the_other(epsilons: tuple[float, ...], share: float) -> None:
    x = share * sum(epsilons)
    with mp.workdps(30 if len(epsilons) < 4 else 16):
        expected, found = truth(epsilons, mp.mpf(x)), few_laplace.delta_ends(composed(*epsilons), x)
    assert found is not None
    assert found.lower <= expected <= found.upper and found.relative_width < 1e-11


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize("delta", [0.3, 0.05, 1e-3, 1e-6, 1e-30])
@pytest.mark.parametrize("epsilons", [FOUR, (3.0,) * 10, (0.1,) * 12, (1.0, 2.0, 3.0, 4.0, 5.0)], ids=len)
def test_epsilon_is_where_delta_is(epsilons: tuple[float, ...], delta: float) -> None:
    run = composed(*epsilons)
    made, found = few_laplace.LaplaceSum.of(run), few_laplace.epsilon_ends(run, delta)
    assert made is not None and found is not None and 0.0 <= found.lower <= found.upper <= sum(epsilons) * (1 + 1e-15)
    assert found.upper - found.lower <= 2e-12 * made.loss
    if found.lower > 0.0:
        assert made.delta(found.lower)[0] >= delta * (1.0 - 1e-9)
    # Where floats cannot tell so little delta, that is all losses together, whose sum is a rounded one.
    assert found.upper in (0.0, outward.up(made.loss, outward.FEW)) or made.delta(found.upper)[1] <= delta


@pytest.mark.parametrize(("each", "count"), [(0.8927490402631673, 2), (4.38253034853444, 5), (1.1, 3)])
def test_of_next_to_no_delta_the_upper_end_is_no_lower_than_all_losses_together(each: float, count: int) -> None:
    found = few_laplace.epsilon_ends(composed(*[each] * count), 1e-25)
    with mp.workdps(40):  # delta(x) is at least what all of them at their largest loss give
        assert found is not None
        assert mp.mpf(found.upper) >= count * mp.mpf(each) + mp.log1p(-mp.mpf(1e-25) * 2**count)


@pytest.mark.slow
def test_the_lattice_agrees() -> None:
    """And widths of 1e-9 each way are what every figure has."""
    plan = Plan(tuple(Phase(Laplace(each), Poisson(1.0), 1) for each in FOUR))
    found = accounting.epsilon(plan, 1e-6)
    by_lattice = composed(*FOUR).epsilon(1e-6, None)
    assert found.lower is not None and found.upper is not None
    assert by_lattice.lower <= found.upper and found.lower <= by_lattice.upper
    assert (found.upper - found.lower) / found.upper < 3e-9
    assert found.details["method"] == few_laplace.METHOD


def test_other_laws_and_many_steps_go_another_way() -> None:
    assert few_laplace.LaplaceSum.of(composed(1.0)) is None
    assert few_laplace.LaplaceSum.of(composed(*(0.1,) * 13)) is None
    assert few_laplace.LaplaceSum.of(composed(30.0, 20.0)) is None
    mixed = Composition.of([(LaplaceLoss(2.0), 2), (GaussianLoss(3.0), 1)])
    assert few_laplace.epsilon_ends(mixed, 1e-6) is None and few_laplace.delta_ends(mixed, 0.1) is None
    assert few_laplace.delta_ends(composed(1.0, 1.0), 2.0) is None  # known without: at the sum of all it is 0
