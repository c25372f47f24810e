"""The transform of one step against mpmath: value, slope and line within the error each states."""

import numpy as np
import oracle
import pytest
from mpmath import mp, mpc, mpf

from dpplan.accounting.exact.contour.privacy_loss import Band, Cut, Steps
from dpplan.accounting.exact.contour.transform_quadrature import AT_ONCE, SERIES_BELOW, Quadrature

# The kernels run inside the exact accountant's errstate: an infinity fails the inequality it stands in.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

CASES = [
    # σ, q, Re w, |Im w|
    (1.0, 0.01, 5.0, 3.0),
    (1.0, 1e-9, 3.0, 40.0),  # G - 1 is 1e-17
    (0.5, 0.3, 1.3, 12.0),
    (0.7, 0.4, -3.0, 6.0),  # the add direction
    (4.0, 1e-4, 60.0, 300.0),
    (30.0, 0.2, 25.0, 20.0),
]
LOOSEST = 1e-9  # what an error may be before it makes every interval wide


def made(sigma, q, a, u, cut=None):
    return Quadrature(Steps.of([(sigma, q, 1)]), np.array([[a]]), u_max=u, cut=cut)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(("sigma", "q", "a", "u"), CASES)
def test_value_slope_and_line_lie_within_the_error_stated(sigma, q, a, u):
    law = made(sigma, q, a, u)
    frequencies = np.linspace(0.0, u, 5)
    errors = law.relative_error(frequencies)[0]
    assert np.all(errors < LOOSEST)
    drop, lag = law.row_line(0, frequencies)
    turn = frequencies * law.slope[0, 0] - lag
    with mp.workdps(60):
        exponents = [mpc(a, v) for v in frequencies.tolist()]
        values = oracle.transforms(q, sigma, exponents)
        whole = values[0].real
        assert abs(mp.exp(mpf(float(law.log_g[0, 0]))) / whole - 1) <= errors[0]
        # Relative to G - 1 where that is small: log G is multiplied by the number of steps.
        assert abs(mpf(float(law.log_g[0, 0])) - mp.log(whole)) <= errors[0]
        for value, less, turned, error in zip(values, drop.tolist(), turn.tolist(), errors.tolist(), strict=True):
            truth = value / whole
            # 1 - φ by its parts: 1 is not rounded away from what is left of it.
            off = abs(mpc(mpf(less) - (1 - truth.real), mpf(turned) - truth.imag))
            assert off <= error + errors[0]


def test_the_error_of_a_rare_step_is_far_below_a_unit_of_one():
    """What T = 1e9 steps multiply must be small against G - 1, not against G."""
    law = made(1.0, 1e-9, 3.0, 0.0)
    with mp.workdps(60):
        excess = oracle.excess_moment(1e-9, 1.0, 3.0)
        assert abs(mpf(float(law.log_g[0, 0])) / mp.log1p(excess) - 1) < 1e-11
    assert float(law.relative_error(np.zeros(1))[0, 0]) < 1e-11 * float(law.log_g[0, 0])


@pytest.mark.sweep(every=2, slow=("True",))
@pytest.mark.parametrize("q", [1e-5, 0.05])
@pytest.mark.parametrize("banded", [False, True])
def test_a_cut_law_is_the_integral_with_the_cuts_weight(q, banded):
    sigma, a, u, width = 0.7, 8.0, 5.0, 0.1
    at, start = 1.0 + 5.0 * sigma, 1.0 + 2.0 * sigma
    cut = Cut(np.array([[at]]), np.array([[width]]))
    if banded:
        cut = Band(cut.at, cut.width, np.array([[start]]))
    law = made(sigma, q, a, u, cut)

    def weight(x):
        kept = oracle.normal_tail((x - mpf(at)) / mpf(width))
        return kept - oracle.normal_tail((x - mpf(start)) / mpf(width)) if banded else kept

    errors = law.relative_error(np.array([0.0, u]))[0]
    with mp.workdps(40):
        still, moving = oracle.transforms(q, sigma, [mpc(a), mpc(a, u)], weight, width)
        assert abs(mp.exp(mpf(float(law.log_g[0, 0]))) / still.real - 1) <= errors[0] < LOOSEST
        drop, lag = law.row_line(0, np.array([0.0, u]))
        truth = moving / still.real
        off = abs(mpc(mpf(float(drop[1])) - (1 - truth.real), mpf(float(u * law.slope[0, 0] - lag[1])) - truth.imag))
        assert off <= errors[1] + errors[0] < LOOSEST


def test_rows_do_not_disturb_each_other():
    steps = Steps.of([(1.0, 0.01, 3), (2.0, 0.3, 4)])
    together = Quadrature(steps, np.array([[4.0], [2.5]]), u_max=2.0)
    for row, (sigma, q, a) in enumerate([(1.0, 0.01, 4.0), (2.0, 0.3, 2.5)]):
        alone = made(sigma, q, a, 2.0)
        bound = together.relative_error(np.zeros(1))[row, 0] + alone.relative_error(np.zeros(1))[0, 0]
        assert abs(together.log_g[row, 0] - alone.log_g[0, 0]) <= bound


@pytest.mark.parametrize("a", [0.0, 1.0])
def test_total_masses_are_one(a):
    """E_Q[r⁰] = E_Q[r] = 1."""
    law = made(1.0, 0.2, a, 1.0)
    assert abs(law.log_g[0, 0]) <= law.relative_error(np.zeros(1))[0, 0] < 1e-12


def test_a_step_too_coarse_is_wide_and_holds():
    law = Quadrature(Steps.of([(1.0, 0.01, 1)]), np.array([[5.0]]), u_max=40.0, most=1)
    error = float(law.relative_error(np.zeros(1))[0, 0])
    with mp.workdps(40):
        truth = oracle.transforms(0.01, 1.0, [mpc(5.0)])[0].real
        assert abs(mp.exp(mpf(float(law.log_g[0, 0]))) / truth - 1) <= error
    assert error > 1e-13


@pytest.mark.parametrize(("sigma", "q", "a", "u"), CASES)
def test_the_rounding_counts_what_sums_of_waves_cost_at_worst(sigma, q, a, u):
    """n complex products in a part and n masses: √13·n units of 2^-53; k parts added up: √5·k; and each wave's turns,
    fourteen or fewer, of eleven units each. It was short of that by up to a half where G - 1 is small. At u = 0 no wave
    is summed: G(a) itself is not off by them."""
    law = made(sigma, q, a, u)
    waves = law.mass[0][np.abs(law.loss[0]) * u >= SERIES_BELOW].sum()
    together, parts = min(law.count, AT_ONCE), -(-law.count // AT_ONCE)
    worst = 2.0**-53 * waves * (13**0.5 * together + 5**0.5 * parts + 128.0)
    at_zero, beside = law._rounding(np.array([0.0, 1e-300]))[0]
    assert beside - at_zero >= worst


def test_sums_in_parts_of_all_rows_at_once_are_those_of_each_row():
    steps = Steps.of([(0.7, 0.01, 1), (2.0, 1e-4, 1), (1.0, 0.3, 1)])
    law = Quadrature(steps, np.full((3, 1), 4.0), u_max=9.0)
    u = np.linspace(0.0, 9.0, 300)
    assert law.count > AT_ONCE
    drop, lag = law.lines(u)
    error = law.relative_error(u)
    for row in range(3):
        alone, alone_lag = law.row_line(row, u)
        assert drop[row, 0] == lag[row, 0] == alone[0] == alone_lag[0] == 0.0
        assert np.all(np.abs(drop[row] - alone) + np.abs(lag[row] - alone_lag) <= 2.0 * error[row])
