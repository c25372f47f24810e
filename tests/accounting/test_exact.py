"""The exact accountant against independent answers, against itself by another method, and where methods switch."""

import csv
import math
from pathlib import Path

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from dpplan.accounting import delta, epsilon, exact, gdp, rdp
from dpplan.accounting.exact import invert, rdp_cross_check
from dpplan.accounting.exact.contour.privacy_loss import Direction, Steps
from dpplan.accounting.exact.gaussian_lattice import composition
from dpplan.accounting.exact.proven_ends import Ends
from dpplan.errors import InternalError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

TRUTH = [
    {name: float(value) for name, value in row.items()}
    for row in csv.DictReader((Path(__file__).parents[1] / "data" / "sgm_truth.csv").open(encoding="utf-8"))
]


PEERS = list(csv.DictReader((Path(__file__).parents[1] / "data" / "peers.csv").open(encoding="utf-8")))


def row_name(row: dict[str, float]) -> str:
    return f"q{row['q']:.4g}-sigma{row['sigma']:g}-T{row['steps']:g}-delta{row['delta']:g}"


def in_jump_regime(row: dict[str, float]) -> bool:
    return row["q"] < 1e-3 and row["sigma"] < 0.7


@pytest.mark.parametrize("row", TRUTH, ids=row_name)
def test_reference_rows(row):
    """Widths as promised. The reference itself is good to about 1e-8, and to 1e-7 in the jump regime."""
    bound = epsilon(Plan.from_rate(row["sigma"], row["q"], int(row["steps"])), row["delta"])
    promised = 1e-3 if in_jump_regime(row) else 1e-4 if row["steps"] < 50 else 1e-6
    assert bound.proven_width <= promised
    reference = 2e-7 if in_jump_regime(row) else 3e-7 if row["steps"] < 50 else 1e-8
    assert bound.lower * (1 - reference) <= row["eps"] <= bound.upper * (1 + reference)


@pytest.mark.parametrize(
    ("plan", "low", "high"),
    [
        (Plan.from_rate(4, 0.01, 10000), 0.946866800, 0.946866801),
        (Plan.from_rate(1, 1 / 8, 800), 28.849065229, 28.849065230),
        (Plan.from_rate(1, 1 / 79, 790), 2.106785157, 2.106785158),
        (Plan.from_rate(1, 1 / 79, 3950), 4.831007544, 4.831007546),
        (Plan.from_rate(2.5, 1 / 79, 790), 0.537815412, 0.537815413),
    ],
    ids=str,
)
def test_known_figures(plan, low, high):
    lower, upper = epsilon(plan, 1e-5).details["proven"]
    assert low <= lower <= upper <= high


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("q", "sigma", "steps", "spent", "tilt", "scale"),
    [
        (0.01, 4.0, 10000, 0.9468668, 15.66, 0.258),
        (0.125, 1.0, 800, 28.85, 0.8426, 5.91),
        (0.02, 2.0, 2000, 7.8, 25.6, 0.65),
    ],
)
def test_delta_holds_a_contour_integral_in_fifty_digits(q, sigma, steps, spent, tilt, scale):
    with mp.workdps(50):
        truth = oracle.contour_delta(q, sigma, steps, spent, tilt, scale)
    bound = delta(Plan.from_rate(sigma, q, steps), spent)
    assert mpf(bound.lower) <= truth <= mpf(bound.upper)
    assert bound.proven_width < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("q", "sigma", "spent"), [(0.01, 1.0, 0.4254644), (0.3, 0.8, 6.0), (0.001, 0.5, 1.0), (0.5, 3.0, 0.9)]
)
def test_two_steps_hold_a_nested_integral(q, sigma, spent):
    with mp.workdps(30):
        truth = oracle.two_step_delta(q, sigma, spent)
    bound = delta(Plan.from_rate(sigma, q, 2), spent)
    assert mpf(bound.lower) * (1 - mpf(10) ** -12) <= truth <= mpf(bound.upper) * (1 + mpf(10) ** -12)
    assert bound.proven_width < 1e-4


def ends_by(steps: Steps, asked: float, how: str) -> Ends:
    if how == "any":
        return invert.epsilon_ends(steps, Direction.REMOVE, asked)
    start = invert.epsilon_ends(steps, Direction.REMOVE, asked).upper
    contour = composition.near(steps, Direction.REMOVE, start, math.log(asked), composition.COARSE)
    return invert.ends_around(contour, asked)


@pytest.mark.sweep(every=12)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("seed", range(24))
def test_grid_and_contour_agree(seed):
    """Two methods that share neither transform nor inversion: their intervals must meet."""
    draw = np.random.default_rng(seed)
    q, sigma = 10 ** draw.uniform(-4, -0.5), 10 ** draw.uniform(math.log10(0.5), 1)
    steps = Steps.of([(sigma, q, int(10 ** draw.uniform(1, 5)))])
    asked = 10 ** draw.uniform(-12, -3)
    any_way, by_grid = ends_by(steps, asked, "any"), ends_by(steps, asked, "grid")
    assert any_way.lower <= by_grid.upper
    assert by_grid.lower <= any_way.upper
    assert by_grid.method == "grid"


def test_one_step_is_the_closed_form():
    phase = Phase(Gaussian(0.8), Poisson(0.05), 1)
    for asked in (1e-3, 1e-8, 1e-40):
        bound = epsilon(Plan((phase,)), asked)
        with mp.workdps(40):
            assert oracle.step_delta(0.05, 0.8, mpf(bound.upper)) <= asked * (1 + mpf(10) ** -12)
            assert oracle.step_delta(0.05, 0.8, mpf(bound.lower)) >= asked * (1 - mpf(10) ** -12)
        assert bound.proven_width < 1e-11


def test_without_sampling_it_is_the_gaussian_mechanism():
    plan = Plan.from_rate(5.0, 1.0, 50)
    exact, closed = epsilon(plan, 1e-7), gdp.epsilon(plan, 1e-7)
    assert (exact.lower, exact.upper) == (closed.lower, closed.upper)


def test_nearly_full_sampling_meets_the_gaussian_mechanism():
    """From below: sampling with q just under 1 cannot cost more than no sampling."""
    nearly, whole = epsilon(Plan.from_rate(3.0, 1 - 1e-9, 200), 1e-6), epsilon(Plan.from_rate(3.0, 1.0, 200), 1e-6)
    assert nearly.lower <= whole.upper
    assert nearly.upper == pytest.approx(whole.upper, rel=1e-6)


def test_delta_at_zero_is_the_total_variation_of_one_step():
    bound = delta(Plan.from_rate(1.5, 0.1, 1), 0.0)
    truth = 0.1 * math.erf(0.5 / 1.5 / math.sqrt(2))
    assert bound.lower <= truth * (1 + 1e-14)
    assert bound.upper >= truth * (1 - 1e-14)
    assert bound.proven_width < 1e-12


def test_epsilon_is_zero_where_delta_covers_the_total_variation():
    bound = epsilon(Plan.from_rate(10.0, 0.001, 3), 0.01)
    assert (bound.lower, bound.upper) == (0.0, 0.0)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("q", "sigma", "steps", "asked"),
    [
        pytest.param(
            0.00514, 0.0639, 3, 0.012, marks=pytest.mark.slow
        ),  # the contour's law has three steps' worth of peaks
        (1.156e-8, 1.772, 7, 3.69e-11),  # a jump search without end
        (3.3e-8, 1.74, 6, 2.8e-96),
        (2.67e-9, 29.5, 2, 6e-60),
        (1.05e-5, 1.99, 19700, 1.5e-78),  # a saddle among losses that never happen
        pytest.param(5.96e-9, 0.624, 386000, 1.3e-8, marks=pytest.mark.slow),
        (9.22e-6, 0.998, 331000, 4.9e-10),
        (0.999, 50.0, 10, 1e-5),
        (1e-9, 0.05, 10**9, 0.5),
        (1.0 - 1e-12, 0.05, 10**9, 1e-100),
    ],
)
def test_places_that_once_hung_or_raised(q, sigma, steps, asked):
    plan = Plan.from_rate(sigma, q, steps)
    bound = epsilon(plan, asked)
    assert 0 <= bound.lower <= bound.upper <= rdp.epsilon(plan, asked).upper * (1 + 2e-9)
    assert math.isfinite(bound.upper)


def test_many_phases_are_one_plan_however_they_are_cut():
    whole = Plan((Phase(Gaussian(1.0), Poisson(0.01), 600), Phase(Gaussian(2.0), Poisson(0.03), 400)))
    parts = [
        phase
        for k in range(10)
        for phase in (Phase(Gaussian(1.0), Poisson(0.01), 60), Phase(Gaussian(2.0), Poisson(0.03), 40))
    ]
    one, many = epsilon(whole, 1e-6), epsilon(Plan(tuple(parts)), 1e-6)
    assert (one.lower, one.upper) == (many.lower, many.upper)


@pytest.mark.parametrize(
    "plan",
    [
        Plan.from_rate(1.1, 0.01, 5000),
        # Grids take a second or more each.
        pytest.param(Plan.from_rate(0.614, 1e-5, 100000), marks=pytest.mark.slow),
        Plan.from_rate(2.0, 1.0, 30),
    ],
    ids=str,
)
def test_many_deltas_at_once_are_what_single_calls_say(plan):
    deltas = [1e-9, 1e-5, 1e-7, 3e-5, 1e-7]
    for asked, bound in zip(deltas, exact.epsilons(plan, deltas), strict=True):
        alone = epsilon(plan, asked)
        assert max(bound.lower, alone.lower) <= min(bound.upper, alone.upper)
        assert bound.proven_width <= 1e-9 or alone.proven_width > 1e-9


@pytest.mark.slow
def test_a_thousand_distinct_phases():
    noises = np.linspace(0.9, 1.9, 1000)
    bound = epsilon(Plan(tuple(Phase(Gaussian(float(s)), Poisson(0.01), 10) for s in noises)), 1e-5)
    loud, quiet = epsilon(Plan.from_rate(1.9, 0.01, 10000), 1e-5), epsilon(Plan.from_rate(0.9, 0.01, 10000), 1e-5)
    assert loud.upper < bound.lower < bound.upper < quiet.lower
    assert bound.relative_width < 1e-6


box = st.tuples(
    *(st.floats(math.log(a), math.log(b)) for a, b in ((1e-9, 0.9), (0.05, 500.0), (2, 1e9), (1e-100, 0.2)))
)


@pytest.mark.slow
@settings(derandomize=True, deadline=None, max_examples=12)
@given(where=box, more=st.floats(1.01, 2.0), what=st.sampled_from(["sigma", "q", "steps", "delta"]))
def test_more_noise_less_data_fewer_steps_or_a_larger_delta_never_cost_more(where, more, what):
    """For both ends of the interval, up to the interval's own width."""
    q, sigma, steps, asked = (math.exp(value) for value in where)
    dear = (q, sigma, max(int(steps), 2), asked)
    cheap = {
        "sigma": (q, sigma * more, dear[2], asked),
        "q": (q / more, sigma, dear[2], asked),
        "steps": (q, sigma, max(int(dear[2] / more), 1), asked),
        "delta": (q, sigma, dear[2], asked * more),
    }[what]
    high, low = (epsilon(Plan.from_rate(s, q, t), d) for q, s, t, d in (dear, cheap))
    assert low.lower <= high.upper
    if max(high.relative_width, low.relative_width) < 1e-6:
        assert low.upper <= high.upper * (1 + 1e-6)
        assert low.lower <= high.lower * (1 + 1e-6)


def test_contradicting_proofs_are_an_internal_error():
    ends = Ends(2.0, 3.0, "contour")
    with pytest.raises(InternalError, match="exceeds the proven upper end"):
        rdp_cross_check.reconcile("epsilon", ends, floor=0.0, ceiling=1.0)
    with pytest.raises(InternalError, match="exceeds the proven upper end"):
        rdp_cross_check.reconcile("epsilon", ends, floor=4.0, ceiling=5.0)


def test_the_error_budget_is_part_of_the_result():
    details = epsilon(Plan.from_rate(4, 0.01, 10000), 1e-5).details
    assert details["method"] == "contour"
    assert set(details["terms"]) >= {"aliases", "frequencies left out", "transform and rounding", "losses cut away"}
    assert all(0 <= size < 1e-5 for size in details["terms"].values())


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    "row", PEERS, ids=lambda row: f"{row['peer']}-q{row['q']:.6}-sigma{row['sigma']}-T{row['steps']}"
)
def test_other_libraries_keep_their_word(row):
    """What they answered where they are at ease (recorded by the benchmark) meets the interval: an upper bound lies
    above its lower end, an estimate with a stated absolute error reaches it within that error."""
    bound = epsilon(Plan.from_rate(float(row["sigma"]), float(row["q"]), int(row["steps"])), float(row["delta"]))
    said = float(row["epsilon"])
    if row["claim"] == "upper":
        assert said >= bound.lower
    else:
        error = float(row["stated_error"])
        assert bound.lower - error <= said <= bound.upper + error


@pytest.mark.slow
def test_a_sweep_of_the_whole_box():
    """Sample rates 1e-9 to 1, noise 0.05 to 1000, steps 1 to 1e9, deltas 1e-100 to 0.5: always an honest interval,
    nearly always a narrow one."""
    draw = np.random.default_rng(20240607)
    narrow = inside = 0
    for _ in range(400):
        q, sigma = 10 ** draw.uniform(-9, 0), 10 ** draw.uniform(math.log10(0.05), 3)
        steps, asked = int(10 ** draw.uniform(0, 9)), 10 ** draw.uniform(-100 if draw.random() < 0.3 else -14, -0.30103)
        plan = Plan.from_rate(sigma, q, steps)
        bound = epsilon(plan, asked)
        assert 0 <= bound.lower <= bound.upper <= rdp.epsilon(plan, asked).upper * (1 + 2e-9)
        if 0 < bound.upper < 1e4:
            inside += 1
            narrow += bound.relative_width <= 1e-3
    assert inside > 250
    assert narrow >= 0.93 * inside
