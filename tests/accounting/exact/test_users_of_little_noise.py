"""Users of many examples at so little noise that losses leave the range in which masses are floats."""

import mpmath as mp
import pytest

from dpplan.accounting import exact
from dpplan.accounting.exact import drawn_counts, group_one_step, other_laws
from dpplan.accounting.exact.general_one_step import delta_ends
from dpplan.accounting.pairs import grouped
from dpplan.accounting.pairs.gaussian_mixtures import GroupLoss
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson


def epsilon_in_many_digits(sigma: float, q: float, members: int, delta: float) -> mp.mpf:
    """Half-lines, by bisection over where they begin."""
    with mp.workdps(60):
        s, q = mp.mpf(sigma), mp.mpf(q)
        weights = [mp.binomial(members, j) * q**j * (1 - q) ** (members - j) for j in range(members + 1)]

        def loss(x):
            return mp.log(mp.fsum(w * mp.e ** ((2 * j * x - j * j) / (2 * s * s)) for j, w in enumerate(weights)))

        def tail(x):
            return mp.erfc(x / s / mp.sqrt(2)) / 2

        low, high = mp.mpf(0), mp.mpf(members + 60 * s)
        for _ in range(120):
            x = (low + high) / 2
            value = mp.fsum(w * tail(x - j) for j, w in enumerate(weights)) - mp.e ** loss(x) * tail(x)
            low, high = (x, high) if value > delta else (low, x)
        return loss(low)


@pytest.mark.parametrize(
    ("sigma", "q", "members", "delta"),
    [(0.5, 0.1, 30, 1e-15), (0.2, 0.1, 8, 1e-15), (0.05, 0.3, 5, 1e-10), (0.3, 0.01, 12, 1e-20)],
)
def test_one_step_is_a_formula_at_any_epsilon(sigma, q, members, delta):
    truth = epsilon_in_many_digits(sigma, q, members, delta)
    found = other_laws.epsilon_ends([(grouped(sigma, q, members), 1)], delta)
    assert found.lower <= truth <= found.upper
    assert found.relative_width < 1e-9
    back = other_laws.delta_ends([(grouped(sigma, q, members), 1)], float(truth))
    assert back.lower <= delta * (1 + 1e-9) and back.upper >= delta * (1 - 1e-9) and back.relative_width < 1e-8


@pytest.mark.parametrize("epsilon", [0.5, 5.0, 50.0, 300.0, 590.0])
@pytest.mark.parametrize("law", [GroupLoss(0.5, 0.1, 30), GroupLoss(2.0, 0.3, 100), GroupLoss(0.3, 0.001, 12)])
def test_the_formula_meets_what_masses_say(law, epsilon):
    low, high, _ = delta_ends(law, epsilon)
    lower, upper, _ = group_one_step.delta_ends(law, epsilon)
    assert lower <= high and low <= upper
    assert upper - lower <= 1e-9 * upper + 1e-280


@pytest.mark.parametrize("row", [(2.0, 0.1, 5, 100), (4.0, 0.3, 10, 20), (1.0, 0.01, 4, 50)])
@pytest.mark.parametrize("delta", [1e-3, 1e-8])
def test_to_be_told_the_counts_costs_no_less(row, delta):
    sigma, q, members, steps = row
    known = [(grouped(sigma, q, members), steps)]
    found = other_laws.epsilon_ends(known, delta)
    above = drawn_counts.epsilon_above(known, delta)
    assert found.upper <= above
    assert drawn_counts.delta_above(known, found.lower) >= delta * (1 - 1e-6)
    assert drawn_counts.delta_above(known, above) <= 3.0 * delta


@pytest.mark.parametrize(
    ("sigma", "q", "members", "steps", "most"),
    [(0.5, 0.1, 30, 10, 2001), (0.5, 0.1, 30, 1000, 32200), (0.2, 0.1, 8, 5, 2385)],
)
def test_many_steps_are_bounded_where_no_lattice_holds_their_losses(sigma, q, members, steps, most):
    """[1401, 75013], [28734, 7.2 million] and [1605, 17420] they were."""
    phase = Phase(Gaussian(sigma), Poisson(q), steps)
    found = exact.epsilon(Plan((phase,), max_per_user=members, privacy_unit="user"), 1e-15)
    assert found.lower <= found.upper <= most
    assert "told how many examples are drawn" in found.why


def test_counts_of_other_laws_say_nothing():
    known = [(grouped(0.5, 1.0, 3), 1)]
    assert drawn_counts.epsilon_above(known, 1e-5) == float("inf")
    assert drawn_counts.delta_above(known, 1.0) == 1.0


@pytest.mark.parametrize("sigma", [1e-10, 1e-9, 1e-6])
def test_noise_beyond_the_digits_of_a_loss_is_still_bounded(sigma):
    """A loss of 10^20 is known to thousands: what two half-lines differ by is not, and was an exponential beyond
    floats."""
    plan = Plan((Phase(Gaussian(sigma), Poisson(0.3), 1),), max_per_user=2, privacy_unit="user")
    found = exact.epsilon(plan, 1e-5)
    assert 0.0 <= found.lower <= 2.0001 / sigma**2 and 2.0 / sigma**2 <= found.upper < 2.1 / sigma**2
    back = exact.delta(plan, 1.0 / sigma**2)  # far below what two examples lose, far above what one does
    assert back.lower <= 0.09 <= back.upper
