"""The quick rule and the bounds on decay that many plans at once rest on, held against mpmath and dense sums."""

import math

import mpmath
import numpy as np
import pytest

from dpplan.accounting.exact.contour import decay_bent_x_path, decay_small_losses
from dpplan.accounting.exact.contour.many_plans_transform import PlainRule
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.contour.tail_decay import _spread
from dpplan.accounting.numerics import QUIET

# σ, q, steps, tilt, largest frequency
LAWS = [
    (1.0, 0.01, 1000.0, 8.0, 30.0),
    (0.5, 5e-4, 5000.0, 2.7, 60.0),
    (3.0, 0.1, 800.0, 5.0, 12.0),
    (0.8, 0.45, 5.0, 1.5, 15.0),
    (20.0, 0.3, 3000.0, 40.0, 200.0),
    (1.0, 1e-5, 1e5, 30.0, 100.0),
]


def rule(sigma, q, steps, tilts, u_max, direction, depth=None):
    each = Steps(np.array([[sigma]]), np.array([[q]]), np.array([[steps]]))
    deep = np.array([[26.0 + math.log(steps) if depth is None else depth]])
    return PlainRule(each, direction, np.array([tilts]), np.array([[u_max]]), deep)


def transform(sigma, q, a):
    """E_Q[r^a], of a real exponent."""
    with mpmath.workdps(22):
        s, rate = mpmath.mpf(sigma), mpmath.mpf(q)

        def integrand(y):
            r = 1 - rate + rate * mpmath.exp((2 * s * y - 1) / (2 * s * s))
            return mpmath.exp(a * mpmath.log(r) - y * y / 2) / mpmath.sqrt(2 * mpmath.pi)

        top = 16 + max(a, 0.0) / sigma
        points = [-16 + (top + 16) * i / 24 for i in range(25)]
        return float(mpmath.quad(integrand, points, method="gauss-legendre", maxdegree=4))


def less_one_on_the_line(sigma, q, a, u):
    """E_Q[r^a·(r^iu - 1)], by many more nodes than it takes, and as many digits as a processor has."""
    y = np.arange(-16.0, 16.0 + max(a, 0.0) / sigma, 1.0 / 256.0).astype(np.longdouble)
    loss = np.log1p(np.longdouble(q) * np.expm1((2 * sigma * y - 1) / (2 * np.longdouble(sigma) ** 2)))
    weight = np.exp(a * loss - y * y / 2) / np.sqrt(2 * np.longdouble(math.pi)) / 256
    return complex((-2.0 * weight * np.sin(0.5 * u * loss) ** 2).sum(), (weight * np.sin(u * loss)).sum())


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize(("sigma", "q", "steps", "tilt", "u_max"), LAWS)
def test_the_transform_is_within_its_bound(sigma, q, steps, tilt, u_max, direction):
    law = rule(sigma, q, steps, [tilt, 0.6 * tilt], u_max, direction)
    true = transform(sigma, q, direction.exponent(tilt))
    other = transform(sigma, q, direction.exponent(0.6 * tilt))
    for computed, exact, error in zip(np.exp(law.log_g[0]), (true, other), law.error[0], strict=True):
        assert abs(computed / exact - 1.0) <= error + 1e-15
    assert law.error[0, 0] <= 1e-10
    u = np.linspace(0.0, u_max, 200)[None]
    waves, errors = law.waves(u)
    assert law.unit_error[0] <= law.error[0, 0] <= 1e-10
    for at in range(0, 200, 11):
        exact = less_one_on_the_line(sigma, q, direction.exponent(tilt), u[0, at]) / true
        off = errors[0, at] + abs(exact) * (law.left_out[0, 0] + 1e-15)
        assert abs(complex(waves[0, at]) - exact) <= off <= 1e-9


def test_where_steps_that_count_are_rare_a_step_is_hardly_rounded():
    """It is felt a hundred thousand times over: an error of 1's last places would be all that is told."""
    law = rule(0.6148, 6.4e-5, 224750.0, [5.72], 144.0, Direction.REMOVE)
    u = np.linspace(0.0, 144.0, 1900)[None]
    waves, errors = law.waves(u)
    assert law.error[0, 0] >= 1e-13
    assert errors.max() <= 0.1 * law.error[0, 0]
    assert errors[0, 1] <= 2e-3 * law.error[0, 0]
    for at in (1, 40, 1899):
        exact = less_one_on_the_line(0.6148, 6.4e-5, 6.72, u[0, at]) / transform(0.6148, 6.4e-5, 6.72)
        assert abs(complex(waves[0, at]) - exact) <= errors[0, at] + 1e-15 * abs(exact)


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize(("sigma", "q", "steps", "tilt", "u_max"), LAWS)
def test_a_rule_made_too_coarse_says_so(sigma, q, steps, tilt, u_max, direction):
    coarse = rule(sigma, q, steps, [tilt], 0.0, direction, depth=3.0)
    fine = rule(sigma, q, steps, [tilt], 0.0, direction)
    gap = abs(math.expm1(float(coarse.log_g[0, 0] - fine.log_g[0, 0])))
    assert gap <= coarse.error[0, 0] + fine.error[0, 0]
    assert coarse.error[0, 0] > 1e3 * fine.error[0, 0]


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize(("sigma", "q", "steps", "tilt", "u_max"), LAWS)
def test_what_is_left_out_is_bounded(sigma, q, steps, tilt, u_max, direction):
    """The nodes beyond those summed, on either side, at every exponent."""
    law = rule(sigma, q, steps, [tilt, 1.3 * tilt], 0.0, direction, depth=6.0)
    h, beyond = float(law.h[0, 0]), np.arange(1.0, 4000.0)
    for bounds, x in zip(law.log_tails(), (law.low[0, 0] - h * beyond, law.high[0, 0] + h * beyond), strict=True):
        loss = np.logaddexp(np.log1p(-q), np.log(q) + (2 * x - 1) / (2 * sigma**2))
        for a, bound in zip(law.a[0], bounds[0], strict=True):
            logs = a * loss - 0.5 * (x / sigma) ** 2 + math.log(h / sigma / math.sqrt(2 * math.pi))
            assert np.logaddexp.reduce(logs) <= bound


def decay(sigma, q, steps, tilt, direction, edges):
    """log|φ|^steps at places between the edges, [edge, place], by a rule for the largest of them."""
    fine = rule(sigma, q, steps, [tilt], float(edges[-1]), direction)
    u = edges[:-1, None] + np.diff(edges)[:, None] * np.linspace(0.0, 1.0, 5)
    waves = np.exp(1j * u[..., None] * fine.loss[0]) @ fine.mass[0]
    with np.errstate(divide="ignore"):
        return steps * np.log(np.abs(waves))


@pytest.mark.parametrize("direction", list(Direction))
@pytest.mark.parametrize(("sigma", "q", "steps", "tilt", "u_max"), LAWS)
def test_the_characteristic_function_lies_below_both_bounds(sigma, q, steps, tilt, u_max, direction):
    law = rule(sigma, q, steps, [tilt], 0.0, direction)
    edges = u_max / 30.0 * 1.2 ** np.arange(32.0)
    true = decay(sigma, q, steps, tilt, direction, edges)
    with np.errstate(all="ignore"):
        near, shifted = (
            decay_small_losses.log_bounds(law, edges[None])[0],
            decay_bent_x_path.log_bounds(law, edges[None])[0],
        )
    slack = 1e-9 * steps
    assert np.all(true.max(axis=1) <= near[:-1] + slack)
    later = np.maximum.accumulate(true.max(axis=1)[::-1])[::-1]
    assert np.all(later <= shifted[:-1] + slack)
    # Neither is empty: where the truth is e^-40, one of them shows e^-8 at least.
    small = true.max(axis=1) <= -40.0
    assert not small.any() or np.min(np.minimum(near, shifted)[:-1][small]) <= -8.0


@pytest.mark.parametrize("direction", list(Direction))
def test_many_laws_at_once_are_what_each_is_alone(direction):
    sigma, q, steps, tilt, u_max = (np.array([column]).T for column in zip(*LAWS, strict=True))
    together = PlainRule(Steps(sigma, q, steps), direction, tilt, u_max, 26.0 + np.log(steps))
    for row, (s, rate, count, t, u) in enumerate(LAWS):
        alone = rule(s, rate, count, [t], u, direction)
        assert together.log_g[row, 0] == pytest.approx(alone.log_g[0, 0], abs=2 * together.error[row, 0] + 1e-15)
        assert together.error[row, 0] <= 1e-10


def test_a_rule_that_would_need_more_nodes_than_memory_holds_bounds_nothing():
    with np.errstate(**QUIET):
        law = rule(0.018259085909316568, 0.0516, 3.0, [1e15], 0.0, Direction.ADD)
    assert law.count == 2
    assert np.isinf(law.error).all()


def test_a_blur_that_running_sums_lost_is_counted():
    """One of 1e-13 beside a sum of 1 may have been lost in it; it counts 36 times in what the window is worth."""
    low, window = np.array([1e5]), (np.array([0.5]), np.array([0.0]), np.array([1e-11]), np.array([0.0]))
    lost = _spread(1.0, low, window, (1.0, 1e-2, 1.0))
    seen = _spread(1.0, low, (*window[:3], np.array([1e-13])), (1.0, 1e-2, 0.0))
    assert lost < seen < _spread(1.0, low, window, (1.0, 1e-2, 0.0))
