"""Bounds on the integrand beside the real line: each against the integral itself, taken by brute force."""

import math
from itertools import pairwise

import numpy as np
import oracle
import pytest
from mpmath import mp, mpc, mpf
from scipy.special import wofz

from dpplan.accounting.exact.contour.composed_jumps import Jumps
from dpplan.accounting.exact.contour.composed_loss import Measure
from dpplan.accounting.exact.contour.privacy_loss import Band, Cut, Direction, Steps
from dpplan.accounting.exact.contour.tail_decay import CELLS, MANY, Decay, Known
from dpplan.accounting.exact.contour.transform_quadrature import Quadrature
from dpplan.accounting.numerics.normal import log_normal_tails

CASES = [
    # σ, q, Re w, |Im w|, cut
    (1.0, 0.01, 5.0, 3.0, None),
    (0.5, 0.3, 1.3, 20.0, None),
    (4.0, 1e-6, 40.0, 1e4, None),
    (0.05, 0.6, 1.002, 0.1, None),
    (0.3, 0.9, -12.0, 5.0, None),
    (0.03, 0.99, -8.0, 0.5, None),  # the range ends left of x = 1/2, where r is still near 1 - q
    (2.0, 0.999999, -3.0, 2.0, None),
    (0.6, 1e-5, 30.0, 4.0, Cut),
    (0.6, 1e-5, 30.0, 4.0, Band),
    (30.0, 1e-7, 1e5, 1e6, Cut),
]


def made(sigma, q, a, u, kind):
    steps = Steps.of([(sigma, q, 10)])
    cut = None
    if kind is not None:
        at, width = np.array([[1.0 + 9.0 * sigma]]), np.array([[0.1 * sigma]])
        cut = Cut(at, width) if kind is Cut else Band(at, width, np.array([[1.0 + 1.5 * sigma]]))
    return Quadrature(steps, np.array([[a]]), u_max=u, cut=cut)


def log_tail(z):
    """log of P[N(0,1) > z] for complex z, by the Faddeeva function; Re z >= 0."""
    return -0.5 * z * z + np.log(0.5 * wofz(1j * z / math.sqrt(2)))


def log_weight(law, z):
    """log of the modulus of the density times the cut's weight at complex z."""
    sigma = law.steps.sigma[0, 0]
    log_density = -(z.real**2 - z.imag**2) / (2 * sigma**2) - math.log(sigma * math.sqrt(2 * math.pi))
    if law.cut is None:
        return log_density
    width, at = law.cut.width[0, 0], law.cut.at[0, 0]
    right = np.exp(log_tail(np.where(z.real >= at, z - at, at - z) / width))
    if not isinstance(law.cut, Band):
        return log_density + np.where(
            z.real >= at, np.real(log_tail(np.where(z.real >= at, z - at, 0) / width)), np.log(np.abs(1 - right))
        )
    start = law.cut.start[0, 0]
    above = z.real >= 0.5 * (start + at)
    near, far = (np.where(above, z - p, r - z) / width for p, r in ((at, start), (start, at)))
    # On either side the tail of the nearer end less that of the further one; inside the band, 1 less both.
    outside = (near.real >= 0) & (far.real >= 0)
    big = np.real(log_tail(np.where(outside, near, 0)))
    ratio = np.exp(log_tail(np.where(outside, far, 1)) - log_tail(np.where(outside, near, 0)))
    inner = np.abs(1 - np.exp(log_tail(np.where(outside, 1, -near))) - np.exp(log_tail(np.where(outside, 1, far))))
    return log_density + np.where(outside, big + np.log(np.abs(1 - ratio)), np.log(inner))


def moduli(law, x, y, u, sign=1.0):
    """log moduli of r^w - 1 - w(r - 1) and of r^w at x + iy, the weight included; w = a - i·sign·u is the worse one."""
    sigma, q, a = law.steps.sigma[0, 0], law.steps.q[0, 0], law.a[0, 0]
    z = x + 1j * y
    e = (2 * z - 1) / (2 * sigma**2)
    small = np.where(e.real < 30, e, 0)
    large = np.where(e.real < 30, 30, e)
    log_r = np.where(
        e.real < 30, np.log(1 - q + q * np.exp(small)), large + np.log(q) + np.log1p((1 - q) / q * np.exp(-large))
    )
    w = a - 1j * sign * u
    base = log_weight(law, z)
    alone = np.real(w * log_r) + base
    with np.errstate(over="ignore"):
        near = np.log(np.maximum(np.abs(np.expm1(w * log_r) - w * (q * np.expm1(small))), 1e-300)) + base
    far = np.exp(w * log_r + base) - np.exp(base) - w * (np.exp(log_r + base) - np.exp(base))
    return np.where(np.abs(log_r) < 1, near, np.log(np.maximum(np.abs(far), 1e-300))), alone


def log_integral(values, x, half=0.5):
    """By the trapezoid rule; with half = 1, of the sum over all nodes."""
    top = values.max()
    weights = np.exp(values - top)
    return top + math.log((weights.sum() - (1 - half) * (weights[0] + weights[-1])) * (x[1] - x[0]))


def curved_bound(law, taylor, u):
    a = law.a[0, 0]
    return float(taylor[0, 0]) + math.log(math.hypot(a, u) * math.hypot(a - 1, u) / 2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("share", [0.2, 0.7, 0.97])
@pytest.mark.parametrize(("sigma", "q", "a", "u", "kind"), CASES)
def test_cells_hold_the_integral_of_the_modulus(sigma, q, a, u, kind, share):
    law = made(sigma, q, a, u, kind)
    most = min(math.pi * sigma**2, 10 * sigma, math.inf if law.cut is None else 12 * law.cut.width[0, 0])
    height = np.array([[share * most]])
    taylor, plain, alone = law.strip.log_cells(law.nodes, height, np.array([u]))
    x = np.linspace(law.low[0, 0], law.high[0, 0], 1201)
    curved, whole = (log_integral(values, x) for values in moduli(law, x, height[0, 0], u))
    assert alone[0, 0] >= whole - 1e-3
    if not law.partial:
        assert plain[0, 0] >= curved - 1e-3
        assert curved_bound(law, taylor, u) >= curved - 1e-3
        # And not by much: it would make every interval wide.
        assert min(float(plain[0, 0]), curved_bound(law, taylor, u)) <= curved + 12 + u * share * math.pi


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(("sigma", "q", "a", "u", "kind"), CASES)
def test_tails_hold_what_lies_beyond_the_nodes(sigma, q, a, u, kind, share):
    law = made(sigma, q, a, u, kind)
    most = min(math.pi * sigma**2, 10 * sigma, math.inf if law.cut is None else 12 * law.cut.width[0, 0])
    height = np.array([[share * most]])
    bounds = [float(b[0, 0]) for b in law.strip.log_tails(law.range, height, np.array([u]), as_sum=share == 0.0)]
    low, high, h = law.low[0, 0], law.high[0, 0], law.h[0, 0]
    if share == 0.0:  # the trapezoid rule's own nodes that were left out
        sides = (low - h * np.arange(1, 200))[::-1], high + h * np.arange(1, 200)
    else:
        sides = np.linspace(low - 6 * sigma, low, 8001), np.linspace(high, high + 6 * sigma, 8001)
    for x in sides:
        half = 1.0 if share == 0.0 else 0.5
        curved, whole = (log_integral(values, x, half) for values in moduli(law, x, height[0, 0], u))
        assert bounds[2] >= whole - 1e-3
        if not law.partial:
            assert max(curved_bound(law, np.array([[bounds[0]]]), u), bounds[1]) >= curved - 1e-3


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("sigma", "q", "a", "u", "kind"), CASES)
def test_the_transform_is_within_its_error_of_a_sum_a_thousand_times_finer(sigma, q, a, u, kind):
    law = made(sigma, q, a, u, kind)
    x = np.linspace(law.low[0, 0] - 3 * sigma, law.high[0, 0] + 6 * sigma, 40001)
    e = (2 * x - 1) / (2 * sigma**2)
    log_r = np.logaddexp(math.log1p(-q), math.log(q) + e)
    log_base = log_weight(law, x + 0j)
    top = float(np.max(a * log_r + log_base))
    for where, v in enumerate((0.0, u / 7, u)):
        values = np.exp(a * log_r + log_base - top + 1j * v * log_r)
        truth = values.sum() * (x[1] - x[0]) * math.exp(top - law.log_g[0, 0])
        drop, lag = law.row_line(0, np.array([0.0, u / 7, u]) if where != 1 else np.array([0.0, u / 7]))
        at = {0: 0, 1: 1, 2: 2}[where]
        if where == 2:
            drop, lag = (values[-1:] for values in law.row_line(0, np.array([0.0, u])))
            at = 0
        found = 1 - drop[at] + 1j * (v * law.slope[0, 0] - lag[at])
        # The reference's own rounding: its sums are of terms of size 1 and their phases.
        slack = 1e-11 * (1 + v * float(np.abs(log_r[np.abs(log_r) < 1e3]).max()))
        assert abs(found - truth) <= float(law.relative_error(np.array([v]))[0, 0]) + slack


@pytest.mark.sweep(every=3)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("sigma", "q", "tilt", "direction"),
    [
        (1.0, 0.01, 4.0, Direction.REMOVE),
        (0.4, 0.2, 0.7, Direction.REMOVE),
        (3.0, 1e-4, 200.0, Direction.REMOVE),
        (1.0, 0.3, 6.0, Direction.ADD),
        (0.2, 0.999, 0.3, Direction.ADD),
        (0.7, 1e-3, 25.0, Direction.REMOVE),
    ],
)
@pytest.mark.parametrize("cut", [False, True])
def test_decay_holds_the_characteristic_function(sigma, q, tilt, direction, cut):
    """For all frequencies of its net: the modulus by brute force over the tilted law."""
    steps = Steps.of([(sigma, q, 1)])
    a = direction.exponent(tilt)
    far = Cut(np.array([[1.0 + 5.0 * sigma]]), np.array([[sigma / 3]])) if cut else None
    law = Quadrature(steps, np.array([[a]]), cut=far)
    error = law.relative_error(np.zeros(1))
    decay = Decay(steps, a, Known(law.log_g, error, law.low, law.high, law.strip.log_variation(law.range)), far)
    spread = math.sqrt(float(law.curvature[0, 0]))
    edges = np.geomspace(0.5, 3e3, 25) / spread
    bounds = decay.log_bounds(edges)
    ends = law.low[0, 0], max(law.high[0, 0], a) + 9 * sigma
    # So fine that a wave of the highest frequency turns by less than half a turn from one point to the next.
    x = np.linspace(*ends, int(5000 * (ends[1] - ends[0]) / sigma) + 1)
    log_r = np.logaddexp(math.log1p(-q), math.log(q) + (2 * x - 1) / (2 * sigma**2))
    log_p = a * log_r - x * x / (2 * sigma**2) - law.log_g[0, 0] - math.log(sigma * math.sqrt(2 * math.pi))
    if far is not None:
        log_p = log_p + log_normal_tails((x - far.at[0, 0]) / far.width[0, 0])
    p = np.exp(log_p) * (x[1] - x[0])
    for k, edge in enumerate(edges):
        top = edges[k + 1] if k + 1 < len(edges) else 3 * edge
        every = min(int(3 * edges[-1] / top), 16)  # a slower wave needs fewer points, and so does the density
        for u in np.linspace(edge, top, 5):
            whole = every * (p[::every] * np.exp(1j * u * log_r[::every])).sum()
            assert math.log(abs(whole) + 1e-12) <= bounds[k] + 1e-6 + 2e-12 * math.exp(-bounds[k])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("sigma", "q", "tilt"), [(0.6, 1e-5, 10.0), (0.23, 1e-8, 1.1), (1.5, 1e-7, 60.0)])
def test_jumps_hold_their_own_transform(sigma, q, tilt):
    steps = Steps.of([(sigma, q, 1000)])
    width = 0.15 * sigma
    far = Cut(np.array([[1 + 4 * sigma + sigma**2 * math.log(0.5 / q)]]), np.array([[width]]))
    bulk = Cut(np.array([[0.5 + sigma**2 * math.log(0.5 / q)]]), np.array([[width]]))
    moments = Measure(steps, Direction.REMOVE, far, bulk).moments(np.array([tilt]))
    law = moments.jumps
    jumps = Jumps(steps, law, slice(0, 1))
    x = np.linspace(law.low[0, 0] - 2 * sigma, law.high[0, 0] + 4 * sigma, 100001)
    log_r = np.logaddexp(math.log1p(-q), math.log(q) + (2 * x - 1) / (2 * sigma**2))
    band = Band(far.at, far.width, bulk.at)
    log_p = (1 + tilt) * log_r - x * x / (2 * sigma**2) - law.log_g[0, 0] - math.log(sigma * math.sqrt(2 * math.pi))
    p = np.exp(log_p + band.log_weight(x[None, :])[0]) * (x[1] - x[0])
    edges = np.geomspace(0.01, 30.0, 12)
    for bound, u in zip(jumps._log_moduli(edges)[0], edges, strict=True):
        for further in (1.0, 1.3, 2.0):
            assert abs((p * np.exp(1j * further * u * log_r)).sum()) <= math.exp(bound) * (1 + 1e-6) + 1e-12
    assert jumps._log_moduli(np.array([1e4 / sigma]))[0, -1] < -3  # and falls


# σ, q, tilt
FALLING = [(0.4, 0.2, 0.7), (3.0, 1e-4, 200.0), (5.0, 0.9, 12.0), (20.0, 0.3, 100.0)]


def decay_of(rows, tilts):
    """Their decay in the remove direction, one exponent each, and the spread of each one's tilted loss."""
    table, a = np.array(rows), 1.0 + np.array(tilts)[:, None]
    steps = Steps(*(table[:, [column]] for column in range(3)))
    law = Quadrature(steps, a)
    known = Known(law.log_g, law.relative_error(np.zeros(1)), law.low, law.high, law.strip.log_variation(law.range))
    return Decay(steps, a, known, None), law, np.sqrt(law.curvature[:, 0])


def log_moduli(sigma, q, a, frequencies):
    """log of |G(a + iu)| / G(a), in 30 digits."""
    with mp.workdps(30):
        still, *moving = oracle.transforms(q, sigma, [mpc(a), *(mpc(a, u) for u in frequencies)])
        return np.array([float(mp.log(abs(each) / still.real)) for each in moving])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("sigma", "q", "tilt"), FALLING)
def test_masses_and_variations_of_a_decay_lie_on_either_side_of_their_integrals(sigma, q, tilt):
    """P(x >= b) and V(b) = g(b) + TV(g; x >= b) at three cells' edges, by mpmath's quadrature and by the differences of
    g on a net of points, which are never more than the variation."""
    decay, law, _ = decay_of([(sigma, q, 1.0)], [tilt])
    a, low, high = 1.0 + tilt, law.low[0, 0], law.high[0, 0]
    end = mpf(max(high, a) + 12.0 * sigma)
    with mp.workdps(20):
        s, rate = mpf(sigma), mpf(q)
        unit = s * mp.sqrt(2 * mp.pi) * mp.exp(mpf(law.log_g[0, 0]))

        def density(z):
            """p, and the density of the loss."""
            sampled = rate * mp.exp((2 * z - 1) / (2 * s * s))
            p = mp.exp(a * mp.log(1 - rate + sampled) - z * z / (2 * s * s)) / unit
            return p, p * s * s * (1 - rate + sampled) / sampled

        for cell in (40, 200, 280):
            start = mpf(low) + (mpf(high) - mpf(low)) * cell / CELLS
            mass = mp.quad(lambda z: density(z)[0], mp.linspace(start, end, 9), maxdegree=3)
            net = [density(z)[1] for z in mp.linspace(start, end, 141)]
            variation = net[0] + mp.fsum(abs(here - there) for here, there in pairwise(net))
            assert 0.5 * mass <= decay.mass_above[0, cell] <= mass
            assert variation <= decay.variation[0, cell] <= 1.7 * variation


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("sigma", "q", "tilt"), [*FALLING[1:], pytest.param(*FALLING[0], marks=pytest.mark.slow)])
def test_a_decay_holds_the_transform_in_30_digits(sigma, q, tilt):
    """From each edge of the net to the next, and beyond the last; near 0 it falls by a tenth of what the law does."""
    decay, _, (spread,) = decay_of([(sigma, q, 3.0)], [tilt])
    edges = np.array([0.7, 2.0, 5.0, 11.0]) / spread
    bounds = decay.log_bounds(edges)
    frequencies = np.concatenate((edges, edges[1:] * (1.0 - 1e-9), [1.5 * edges[-1]]))
    true = 3.0 * log_moduli(sigma, q, 1.0 + tilt, frequencies.tolist())
    places = np.searchsorted(edges, frequencies, side="right") - 1
    assert np.all(true <= bounds[places])
    assert bounds[1] <= 0.1 * true[1] and bounds[-1] <= -3.0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_decay_of_many_phases_holds_the_product_of_their_transforms():
    """With so many phases there is another search for the bounds."""
    kinds = [(*FALLING[0][:2], 1.0), (*FALLING[2][:2], 2.0)]
    many = 1 + MANY // 2
    decay, _, spreads = decay_of(kinds * many, [2.0, 2.0] * many)
    edges = np.array([0.02, 0.1, 0.5, 3.0]) / spreads.max()
    bounds = decay.log_bounds(edges)
    frequencies = np.append(edges, edges[1:] * (1.0 - 1e-9))
    true = many * sum(count * log_moduli(sigma, q, 3.0, frequencies.tolist()) for sigma, q, count in kinds)
    assert np.all(true <= bounds[np.searchsorted(edges, frequencies, side="right") - 1])
    assert bounds[-1] <= -20.0


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    ("sigma", "q", "tilt"), [(0.6, 1e-5, 10.0), pytest.param(0.23, 1e-8, 1.1, marks=pytest.mark.slow)]
)
def test_what_jumps_add_lies_below_their_decay_in_many_digits(sigma, q, tilt):
    """|M - M_bulk| / M_bulk(t) by mpmath, from both transforms to the power of the steps: at each edge and beyond."""
    count, width = 1000, 0.15 * sigma
    steps = Steps.of([(sigma, q, count)])
    end, start = 1.0 + 4.0 * sigma + sigma**2 * math.log(0.5 / q), 0.5 + sigma**2 * math.log(0.5 / q)
    far, bulk = (Cut(np.array([[at]]), np.array([[width]])) for at in (end, start))
    law = Measure(steps, Direction.REMOVE, far, bulk).moments(np.array([tilt])).jumps
    edges = np.array([0.02, 1.0, 8.0])
    with mp.workdps(22):
        exponents = [mpc(1.0 + tilt), *(mpc(1.0 + tilt, u) for u in edges.tolist())]
        within, without = (
            oracle.transforms(
                q, sigma, exponents, lambda x, at=at: oracle.normal_tail((x - mpf(at)) / mpf(width)), width, 45.0
            )
            for at in (end, start)
        )
        share = mp.log((within[0] - without[0]).real / without[0].real)
        bounds = Jumps(steps, law, slice(0, 1)).log_decay(np.array([[float(share)]]), edges)
        unit = without[0].real ** count
        true = [float(mp.log(abs(a**count - b**count) / unit)) for a, b in zip(within, without, strict=True)]
    for k, bound in enumerate(bounds):
        assert max(true[1 + k :]) <= bound
    assert bounds[0] <= true[0] + 1.0 and bounds[-1] <= true[0] - 3.0
