"""The discrete Gaussian against mpmath, from the noise itself: every δ and ε within the interval, no moment above ρ."""

from itertools import product

import flint
import numpy as np
import pytest
from mpmath import mp, mpf

from dpplan import accounting
from dpplan.accounting import Guarantee
from dpplan.accounting.pairs.discrete_gaussian import one_number
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import NotApplicable, PlanError
from dpplan.mechanism.discrete_gaussian import DiscreteGaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import FixedSize, Poisson

FULL = Poisson(1.0)
BITS = 280  # of the masses as whole numbers: 5e-85; tails are cut off at 22 σ, 8e-106


def plan(mechanism: DiscreteGaussian, steps: int, adjacency: Adjacency = ADD_REMOVE, rate: float = 1.0) -> Plan:
    return Plan((Phase(mechanism, Poisson(rate), steps),), adjacency=adjacency)


def times(one: flint.fmpz_poly, other: flint.fmpz_poly) -> flint.fmpz_poly:
    return flint.fmpz_poly([int(each) >> BITS for each in (one * other).coeffs()])


def power(base: flint.fmpz_poly, count: int) -> flint.fmpz_poly:
    found = flint.fmpz_poly([1 << BITS])
    for digit in bin(count)[2:]:
        found = times(found, found)
        found = times(found, base) if digit == "1" else found
    return found


def delta(sigma: float, shifts: tuple[int, ...], steps: int, epsilon: float) -> mpf:
    """From the masses of Σ shift·noise over all releases, times 2^BITS."""
    with mp.workdps(110):
        reach = int(22 * sigma) + 1
        weights = [mp.exp(-(mpf(x) ** 2) / (2 * mpf(sigma) ** 2)) for x in range(-reach, reach + 1)]
        masses = [int(w / mp.fsum(weights) * 2**BITS) for w in weights]
    total = flint.fmpz_poly([1 << BITS])
    for shift in shifts:
        spread = [0] * (2 * reach * shift + 1)
        spread[::shift] = masses
        total = times(total, power(flint.fmpz_poly(spread), steps))
    low, middle = -reach * sum(shifts) * steps, steps * sum(shift**2 for shift in shifts)
    with mp.workdps(60):
        first = max(int((epsilon * 2 * sigma**2 - middle) / 2) - low - 1, 0)
        coefficients = [int(each) for each in total.coeffs()][first:]
        losses = ((middle + 2 * (low + first + at)) / (2 * mpf(sigma) ** 2) for at in range(len(coefficients)))
        told = ((loss, mass) for loss, mass in zip(losses, coefficients, strict=True) if mass and loss > epsilon)
        return mp.fsum(mpf(mass) / 2**BITS * -mp.expm1(epsilon - loss) for loss, mass in told)


@pytest.mark.sweep(every=2, slow=("2.5-shifts8",))
@pytest.mark.parametrize(
    ("sigma", "shifts", "steps"),
    [
        *((2.0, (1,), steps) for steps in (1, 2, 17, 1000)),
        *((1.5, (3,), steps) for steps in (1, 17)),
        *((2.5, (2, 1, 1), steps) for steps in (1, 2, 17)),
        pytest.param(1.5, (3,), 2, marks=pytest.mark.slow),
        pytest.param(1.5, (3,), 1000, marks=pytest.mark.slow),
        pytest.param(2.5, (2, 1, 1), 1000, marks=pytest.mark.slow),
    ],
)
def test_every_figure_is_within_the_interval(sigma: float, shifts: tuple[int, ...], steps: int) -> None:
    one = DiscreteGaussian(sigma, *shifts) if len(shifts) == 1 else DiscreteGaussian(sigma, differences=shifts)
    for at in (1e-5, 1e-50):
        found = accounting.epsilon(plan(one, steps), at)
        assert found.guarantee is Guarantee.CERTIFIED and found.lower is not None and found.upper is not None
        assert delta(sigma, shifts, steps, found.upper) <= at
        assert delta(sigma, shifts, steps, found.lower) >= at * (1 - 1e-25)
        # Near the largest losses there are, of one release or two, no more is proven.
        assert found.relative_width is not None
        assert found.relative_width < (1e-6 if steps > 2 or at > 1e-40 else 0.5)


def test_its_law_is_a_law_and_what_is_left_out_is_beyond_any_delta() -> None:
    pair = one_number(3.0, 2)
    atoms, below = pair.remove.atoms, pair.realised[0].remove
    assert sum(atoms.p) == pytest.approx(1.0, rel=1e-13) and sum(atoms.q) == pytest.approx(1.0, rel=1e-13)
    assert atoms.loss == pytest.approx(np.log(atoms.p / atoms.q), abs=1e-12)
    assert 0.0 < pair.remove.infinite < 1e-280 and below.infinite == 0.0 and not pair.realised[0].dominates


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("sigma", "shift"), [(0.3, 20), (1.0, 36), (10.0, 200), (10.0, 350), (2.0, 50), (0.5, 1), (1.0, 300)]
)
def test_outcomes_that_floats_hold_under_one_law_alone_count(sigma: float, shift: int) -> None:
    """A change that is large beside the noise is told by outcomes whose Q-mass is below all floats."""
    with mp.workdps(40):
        reach = int(60 * sigma) + 5
        weight = {x: mp.exp(-(mpf(x) ** 2) / (2 * mpf(sigma) ** 2)) for x in range(-reach - shift, reach + shift + 1)}
        whole = mp.fsum(weight.values())
        for at in (5.0, 300.0, 600.0):
            found, bend = accounting.delta(plan(DiscreteGaussian(sigma, shift), 1), at), mp.exp(mpf(at))
            gaps = (weight[x - shift] - bend * weight[x] for x in range(-reach, reach + shift + 1) if x in weight)
            truth = mp.fsum(max(gap, 0) for gap in gaps) / whole
            assert found.lower is not None and found.upper is not None and found.lower <= truth <= found.upper
    if shift > 30 * sigma:
        sampled = accounting.delta(plan(DiscreteGaussian(sigma, shift), 3, rate=0.1), 1.0)
        assert sampled.upper is not None and sampled.upper >= 0.27


def test_both_directions_of_a_sampled_release_are_those_of_mpmath() -> None:
    sigma, q, shift, e = 2.0, 0.2, 2, 0.3
    found = accounting.delta(plan(DiscreteGaussian(sigma, shift), 1, ADD_REMOVE, q), e)
    with mp.workdps(40):
        places = range(-60, 61)
        whole = mp.fsum(mp.exp(-(mpf(x) ** 2) / 8) for x in places)
        q0 = {x: mp.exp(-(mpf(x) ** 2) / 8) / whole for x in places}
        p0 = {x: mp.exp(-(mpf(x - shift) ** 2) / 8) / whole for x in places}
        mixed = {x: (1 - mpf(q)) * q0[x] + mpf(q) * p0[x] for x in places}
        bend = mp.exp(mpf(e))
        removed = mp.fsum(max(mixed[x] - bend * q0[x], 0) for x in places)
        added = mp.fsum(max(q0[x] - bend * mixed[x], 0) for x in places)
    assert found.lower is not None and found.upper is not None
    assert found.lower <= max(removed, added) <= found.upper <= found.lower * (1 + 1e-6)


def test_no_smaller_change_tells_more_on_a_tiny_domain() -> None:
    """Exhaustively: each vector of changes within the declared ones, in either direction, one release."""
    declared, sigma = (2, 1), 1.2
    found = accounting.delta(plan(DiscreteGaussian(sigma, differences=declared), 1), 0.7)
    places = np.arange(-30, 31)

    def law(shift: int) -> np.ndarray:
        weights = np.exp(-((places - shift) ** 2) / (2 * sigma**2))
        return weights / weights.sum()

    worst = 0.0
    for change in product(*(range(-each, each + 1) for each in declared)):
        p, q = np.outer(law(change[0]), law(change[1])), np.outer(law(0), law(0))
        worst = max(worst, float(np.maximum(p - np.exp(0.7) * q, 0).sum()))
    assert found.lower is not None and found.lower <= worst * (1 + 1e-9)
    assert worst <= found.value


def test_its_length_alone_is_answered_by_rho_and_refused_by_the_exact_accountant() -> None:
    """Of squared length 5, (2, 1) and (1, 1, 1, 1, 1) change order with ε, and ρ covers both."""
    several = plan(DiscreteGaussian(2.0, l2_sensitivity=5**0.5), 3, REPLACE_ONE)
    bound = accounting.epsilon(several, 1e-6, "rdp")
    assert bound.guarantee is Guarantee.UPPER
    for differences in ((2, 1), (1, 1, 1, 1, 1)):
        exact = accounting.epsilon(plan(DiscreteGaussian(2.0, differences=differences), 3, REPLACE_ONE), 1e-6)
        assert exact.value < bound.value < 1.2 * exact.value
    with pytest.raises(NotApplicable, match="no worst change where only its length is known"):
        accounting.epsilon(several, 1e-6)


@pytest.mark.parametrize(
    ("kind", "adjacency", "scheme", "said"),
    [
        (DiscreteGaussian(2.0), REPLACE_ONE, Poisson(0.1), "Try --adjacency add-remove or zero-out"),
        (DiscreteGaussian(2.0, differences=(1, 1)), ZERO_OUT, Poisson(0.1), "moves all of them at once"),
        (DiscreteGaussian(2.0), ADD_REMOVE, FixedSize(10, 100), "discrete-gaussian with fixed-size"),
    ],
)
def test_what_no_theorem_is_known_for_is_refused(
    kind: DiscreteGaussian, adjacency: Adjacency, scheme: Poisson | FixedSize, said: str
) -> None:
    with pytest.raises(NotApplicable, match=said):
        accounting.epsilon(Plan((Phase(kind, scheme, 1),), adjacency=adjacency), 1e-6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: DiscreteGaussian(0), "noise_scale=0 is not a positive"),
        (lambda: DiscreteGaussian(1e3), "is not between 0.05 and 200"),
        (lambda: DiscreteGaussian(2.0, 1.5), "sensitivity=1.5"),  # type: ignore[arg-type]
        (lambda: DiscreteGaussian(2.0, 10**6), "Count in larger units"),
        (lambda: DiscreteGaussian(2.0, differences=(0, 0)), "depends on nobody"),
        (lambda: DiscreteGaussian(2.0, differences=(1, -1)), "differences: -1 is not a whole number"),
        (lambda: DiscreteGaussian(2.0, differences=3), "differences=3 is not a list"),  # type: ignore[arg-type]
        (lambda: DiscreteGaussian(2.0, 2, (1, 1)), "sensitivity and differences say the same thing"),
        (lambda: DiscreteGaussian(2.0, l2_sensitivity=-1.0), "l2_sensitivity=-1"),
    ],
)
def test_settings_out_of_range_are_refused(make: object, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        make()  # type: ignore[operator]
