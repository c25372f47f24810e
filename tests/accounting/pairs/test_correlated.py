"""Correlated noise: sensitivities against every pattern of tiny runs, published trees, and groups that take turns."""

import csv
import dataclasses
import itertools
import math
import tracemalloc
from fractions import Fraction
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpplan import accounting
from dpplan.accounting import Guarantee, plan_pairs, rdp
from dpplan.accounting.exact import general_one_step
from dpplan.accounting.pairs import correlated, participation_sensitivity, tree_sensitivity
from dpplan.accounting.pairs.unsampled_gaussian import GaussianLoss
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.errors import NotApplicable, NotCertified, PlanError
from dpplan.mechanism import Gaussian
from dpplan.mechanism.correlated import BufferedNoise, Correlated, MatrixNoise, ToeplitzNoise, TreeAggregation
from dpplan.plan import Phase, Plan
from dpplan.sampling import CyclicPoisson, Poisson, Sampling, Shuffle

FULL = Poisson(1.0)
ROWS = {row["id"]: row for row in csv.DictReader((Path(__file__).parents[2] / "data" / "published_points.csv").open())}
TREES = [name for name in ROWS if name.startswith("tfp_treesens")]


def tree_matrix(steps: int) -> np.ndarray:
    """One row for each complete block of 2^j steps of the forest."""
    rows, start = [], 0
    for bit in range(steps.bit_length() - 1, -1, -1):
        if steps >> bit & 1:
            for level in range(bit + 1):
                for block in range(1 << (bit - level)):
                    row = np.zeros(steps)
                    row[start + (block << level) : start + (block + 1 << level)] = 1.0
                    rows.append(row)
            start += 1 << bit
    return np.array(rows)


def toeplitz_matrix(column: tuple[float, ...], steps: int) -> np.ndarray:
    full = np.zeros(steps)
    full[: len(column[:steps])] = column[:steps]
    return np.array([[full[i - j] if i >= j else 0.0 for j in range(steps)] for i in range(steps)])


def largest(strategy: np.ndarray, participations: int, separation: int) -> float:
    """Σ |(CᵀC)_ij| over every pattern."""
    gram, steps = np.abs(strategy.T @ strategy), strategy.shape[1]
    worst = 0.0
    for count in range(1, participations + 1):
        for pattern in combinations(range(steps), count):
            if all(b - a >= separation for a, b in pairwise(pattern)):
                worst = max(worst, float(gram[np.ix_(pattern, pattern)].sum()))
    return worst


@pytest.mark.parametrize("name", TREES)
def test_published_sensitivities_of_trees(name: str) -> None:
    row = ROWS[name]
    given = dict(part.split("=") for part in row["given"].split(","))
    # There the separation is how many steps lie between two, here how many it takes from one to the next.
    apart, most = int(given["min_separation"]) + 1, int(given["max_participation"])
    found = tree_sensitivity.tree(int(row["steps"]), most, apart)
    assert found.exact and found.squared == float(row["value"])


@pytest.mark.parametrize("name", [name for name in ROWS if name.startswith("minsep_")])
def test_published_counts_of_participations(name: str) -> None:
    """Independent noise is moved by as many steps as a record can be in."""
    row = ROWS[name]
    given = dict(part.strip().split("=") for part in row["given"].split(","))
    steps, most = int(row["steps"]), int(given["max_participations"] or row["steps"])
    found = participation_sensitivity.toeplitz((1.0,), steps, most, int(given["min_sep"]))
    assert found.exact and found.squared == float(row["value"])


@pytest.mark.parametrize(("name", "sigma"), [("gdp_tree_1.13", 1.13), ("gdp_tree_8.83", 8.83)])
def test_published_epsilon_of_trees(name: str, sigma: float) -> None:
    plan = Plan((Phase(TreeAggregation(sigma), FULL, 1600),))
    found = rdp.epsilon(plan, 1e-6, conversion="classic").value
    assert found == pytest.approx(float(ROWS[name]["value"]), rel=3e-3)


@pytest.mark.parametrize("steps", [1, 2, 5, 8, 11])
@pytest.mark.parametrize(("most", "apart"), [(1, 1), (2, 1), (3, 2), (4, 3), (2, 6)])
def test_trees_are_as_sensitive_as_their_worst_pattern(steps: int, most: int, apart: int) -> None:
    found = tree_sensitivity.tree(steps, most, apart)
    assert found.exact and found.squared == largest(tree_matrix(steps), most, apart)


def test_a_tree_that_is_too_long_to_search_has_a_bound_that_no_pattern_exceeds(monkeypatch: pytest.MonkeyPatch) -> None:
    exact = tree_sensitivity.tree(300, 9, 53)
    monkeypatch.setattr(tree_sensitivity, "MOST_WORK", 1.0)
    tree_sensitivity.tree.cache_clear()
    bound = tree_sensitivity.tree(300, 9, 53)
    tree_sensitivity.tree.cache_clear()
    assert exact.exact and not bound.exact and exact.squared <= bound.squared <= 2 * exact.squared


COLUMNS = [(1.0,), (1.0, 0.5), (1.0, 0.5, 0.375, 0.3125), (1.0, -0.6, 0.2), (1.0, 0.2, 0.9, 0.1), (1.0, 1.0, 1.0)]


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize(("steps", "most", "apart"), [(1, 1, 1), (6, 1, 1), (9, 2, 1), (9, 3, 2), (10, 3, 4)])
def test_toeplitz_strategies_against_every_pattern(
    column: tuple[float, ...], steps: int, most: int, apart: int
) -> None:
    found = participation_sensitivity.toeplitz(column, steps, most, apart)
    worst = largest(toeplitz_matrix(column, steps), most, apart)
    assert found.squared >= worst * (1 - 1e-14)
    if found.exact:
        assert found.squared == pytest.approx(worst, rel=1e-13)
    assert found.exact or min(column) < 0 or column[1] < column[2]


def test_coefficients_are_those_of_their_definitions() -> None:
    root = participation_sensitivity.square_root_coefficients(6)
    assert root == tuple(float(Fraction(math.comb(2 * j, j), 4**j)) for j in range(6))
    many = participation_sensitivity.square_root_coefficients(30_000)
    assert many[29_000] == float(Fraction(math.comb(58_000, 29_000), 4**29_000))
    assert np.convolve(root, root)[:6] == pytest.approx(np.ones(6))  # its square is the matrix of prefix sums
    assert participation_sensitivity.buffered_coefficients((0.5, 0.9), (0.2, 0.1), 4) == pytest.approx(
        [1.0, 0.3, 0.2 * 0.5 + 0.1 * 0.9, 0.2 * 0.25 + 0.1 * 0.81]
    )


def test_buffers_that_cancel_are_refused_and_not_claimed_to_digits_that_are_lost() -> None:
    """Floats make the length of this column 4e-8 too short."""
    lost = BufferedNoise(1.0, (0.816818324250899, 0.8168183250338974), (-795323568.1786473, 795323568.1786473))
    with pytest.raises(NotApplicable, match="and floats lose the digits"):
        accounting.epsilon(Plan((Phase(lost, FULL, 4),)), 1e-5)
    with pytest.raises(NotApplicable, match="and floats lose the digits"):  # the squares of these are no floats
        participation_sensitivity.buffered_coefficients((0.5, 0.5000000001), (1e200, -1e200), 30)
    close = participation_sensitivity.buffered_coefficients((0.9, 0.5), (0.3, -0.299), 4)
    assert close == pytest.approx([1.0, 0.001, 0.27 - 0.1495, 0.243 - 0.07475])


@pytest.mark.slow
def test_long_runs_are_added_up_some_steps_at_a_time() -> None:
    """To the last bit what all at once add up to, in a fraction of the memory."""
    steps = 1_000_000
    tracemalloc.start()
    try:
        found = participation_sensitivity.toeplitz((1.0, 0.7, 0.1), steps, 3, 1)
        assert tracemalloc.get_traced_memory()[1] < 24e6
        tracemalloc.reset_peak()
        column = participation_sensitivity.buffered_coefficients((0.99999,), (0.1,), steps)
        assert participation_sensitivity.longest_column(column).exact
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()
    total = np.convolve((1.0, 0.7, 0.1), np.ones(3))
    assert found.squared == pytest.approx(math.fsum(total**2), rel=1e-15)
    values = np.random.default_rng(3).normal(size=200_000)
    squared = participation_sensitivity.longest_column(tuple(values.tolist())).squared
    assert squared == math.fsum((values * values).tolist())


@pytest.mark.parametrize("adjacency", [ADD_REMOVE, ZERO_OUT, REPLACE_ONE])
def test_a_run_is_one_gaussian_release_of_its_sensitivity(adjacency: object) -> None:
    kind = ToeplitzNoise(4.0, bands=4, participations=3, separation=10)
    found = accounting.epsilon(Plan((Phase(kind, FULL, 100),), adjacency=adjacency), 1e-6)  # type: ignore[arg-type]
    length = math.sqrt(3 * sum(each**2 for each in participation_sensitivity.square_root_coefficients(4)))
    same = accounting.epsilon(Plan((Phase(Gaussian(4.0 / length), FULL, 1),), adjacency=adjacency), 1e-6)  # type: ignore[arg-type]
    assert found.guarantee is Guarantee.CERTIFIED and found.value == pytest.approx(same.value, rel=1e-8)


def test_independent_noise_is_a_strategy_of_one_band() -> None:
    plain = accounting.epsilon(Plan((Phase(Gaussian(4.0), FULL, 7),)), 1e-6)
    one = accounting.epsilon(Plan((Phase(ToeplitzNoise(4.0, coefficients=(1.0,), participations=7), FULL, 7),)), 1e-6)
    assert one.value == pytest.approx(plain.value, rel=1e-9)


@pytest.mark.parametrize("adjacency", [ZERO_OUT, REPLACE_ONE])
def test_groups_that_take_turns_amplify_a_banded_strategy(adjacency: Adjacency) -> None:
    scheme, kind = CyclicPoisson(0.1, 4, "place"), ToeplitzNoise(4.0, bands=4)
    column = participation_sensitivity.longest_column(participation_sensitivity.square_root_coefficients(4))
    length = math.sqrt(column.squared)
    found = accounting.epsilon(Plan((Phase(kind, scheme, 100),), adjacency=adjacency), 1e-6)
    same = accounting.epsilon(Plan((Phase(Gaussian(4.0 / length), Poisson(0.1), 25),), adjacency=adjacency), 1e-6)
    assert found.value == pytest.approx(same.value, rel=1e-9) and found.relative_width < 1e-6  # type: ignore[operator]
    cut = accounting.epsilon(Plan((Phase(kind, scheme, 101),), adjacency=adjacency), 1e-6)
    assert cut.lower == 0.0 and cut.value > found.value  # its last turn is cut short, and counted whole


def test_bands_beyond_the_end_of_a_run_cost_nothing() -> None:
    short, long = (ToeplitzNoise(4.0, bands=bands) for bands in (3, 60))
    known, found = (
        plan_pairs.dominating_pairs(Plan((Phase(each, CyclicPoisson(0.1, 4, "place"), 3),), ZERO_OUT), "exact")
        for each in (short, long)
    )
    assert known == found


def test_a_fixed_order_costs_no_more_than_its_participations_anywhere() -> None:
    kind = TreeAggregation(6.0)
    once = accounting.epsilon(Plan((Phase(kind, Shuffle(10, "once"), 40),), adjacency=ZERO_OUT), 1e-6)
    anywhere = Plan((Phase(TreeAggregation(6.0, 4, 10), FULL, 40),), adjacency=ZERO_OUT)
    assert once.lower == 0.0 and once.value == pytest.approx(accounting.epsilon(anywhere, 1e-6).value, rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "scheme", "said"),
    [
        (ToeplitzNoise(4.0, bands=4), Poisson(0.1), "a record's steps share noise"),
        (ToeplitzNoise(4.0, bands=4), CyclicPoisson(0.1, 4, "own"), "assignment: place"),
        (ToeplitzNoise(4.0, bands=4), Shuffle(10, "fresh"), "order: once"),
        (ToeplitzNoise(4.0, bands=4, participations=3), Shuffle(10, "once"), "follow from sampling=shuffle"),
        (TreeAggregation(4.0, separation=5), Shuffle(10, "once"), "follow from sampling=shuffle"),
        (TreeAggregation(4.0, participations=2), CyclicPoisson(0.1, 4, "place"), "follow from sampling=cyclic-poisson"),
    ],
)
def test_what_no_theorem_is_known_for_is_refused(kind: correlated.Correlated, scheme: Poisson, said: str) -> None:
    with pytest.raises(NotApplicable, match=said):
        accounting.epsilon(Plan((Phase(kind, scheme, 41),), adjacency=ZERO_OUT), 1e-6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: TreeAggregation(0), "noise_multiplier=0"),
        (lambda: TreeAggregation(1, 0), "participations=0"),
        (lambda: TreeAggregation(1, 10**6), "more than 10000"),
        (lambda: TreeAggregation(1, 1, 0), "separation=0"),
        (lambda: ToeplitzNoise(1), "the strategy is missing"),
        (lambda: ToeplitzNoise(1, 4, (1.0,)), "in two ways"),
        (lambda: ToeplitzNoise(1, 0), "bands=0"),
        (lambda: ToeplitzNoise(1, coefficients=(0.0, 1.0)), "the first is not above 0"),
        (lambda: ToeplitzNoise(1, coefficients=(1.0, math.nan)), "coefficients: nan is not a number"),
        (lambda: ToeplitzNoise(1, coefficients=3), "coefficients=3 is not a list"),  # type: ignore[arg-type]
        (lambda: BufferedNoise(1, (0.5,), ()), "each decay needs one scale"),
        (lambda: BufferedNoise(1, (), ()), "decays is empty"),
        (lambda: BufferedNoise(1, (1.0,), (0.5,)), r"decays: 1 is not in \[0, 1\)"),
        (lambda: BufferedNoise(1, (-0.5,), (0.5,)), r"decays: -0.5 is not in \[0, 1\)"),
    ],
)
def test_settings_out_of_range_are_refused(make: object, said: str) -> None:
    with pytest.raises(PlanError, match=said):
        make()  # type: ignore[operator]


@pytest.mark.parametrize("steps", [1, 5, 8, 24, 33])
@pytest.mark.parametrize("apart", [1, 3, 5, 40])
def test_a_tree_whose_records_keep_their_place_is_as_sensitive_as_the_worst_place(steps: int, apart: int) -> None:
    strategy = tree_matrix(steps)
    places = [float(np.sum((strategy @ (np.arange(steps) % apart == at)) ** 2)) for at in range(min(apart, steps))]
    found = tree_sensitivity.regular_tree(steps, apart)
    assert found.exact and found.squared == max(places)
    assert found.squared <= tree_sensitivity.tree(steps, -(-steps // apart), apart).squared


def test_one_order_for_all_epochs_costs_what_the_worst_place_costs() -> None:
    found = accounting.epsilon(Plan((Phase(TreeAggregation(8.0), Shuffle(3, "once"), 24),), adjacency=ZERO_OUT), 1e-6)
    same = accounting.epsilon(Plan((Phase(Gaussian(8.0 / math.sqrt(86.0)), FULL, 1),)), 1e-6)
    assert found.lower == 0.0 and found.value == pytest.approx(same.value, rel=1e-8)


def test_a_record_in_every_step_of_a_tree_is_one_pattern() -> None:
    assert tree_sensitivity.tree(1000, 1000, 1) == tree_sensitivity.regular_tree(1000, 1)
    assert correlated.pattern(Phase(TreeAggregation(1.0, 4, 7), FULL, 30)) == (4, 7)


@pytest.mark.parametrize(
    "kind", [TreeAggregation(4.0), ToeplitzNoise(4.0, bands=60), BufferedNoise(4.0, (0.9,), (0.1,))]
)
def test_runs_of_any_length_are_answered_or_refused_at_once(kind: object) -> None:
    """A search for the length of a run asks for ten thousand million steps on its way."""
    for scheme in (Shuffle(15, "once"), Shuffle(100, "once"), FULL):
        plan = Plan((Phase(kind, scheme, 10**10),), adjacency=ZERO_OUT)  # type: ignore[arg-type]
        try:
            assert accounting.epsilon(plan, 1e-6).value > 0
        except NotCertified as refusal:
            assert "too many to add up" in str(refusal) or "too large for a float" in str(refusal)


@pytest.mark.parametrize("adjacency", [ZERO_OUT, REPLACE_ONE])
@pytest.mark.parametrize(
    "mechanism",
    [TreeAggregation(3.0), ToeplitzNoise(3.0, bands=5), ToeplitzNoise(3.0, bands=4)],
    ids=["tree", "wide", "one band too many"],
)
def test_turns_that_share_noise_cost_what_all_of_them_cost_whatever_the_coins(mechanism: Any, adjacency: Any) -> None:
    """From above: no pattern of a record's turns moves C·x farther than all of them, by all patterns of 12 steps."""
    groups, steps = 3, 12
    plan = Plan((Phase(mechanism, CyclicPoisson(0.3, groups, "place"), steps),), adjacency=adjacency)
    if isinstance(mechanism, TreeAggregation):
        rows = [[float(at <= t < at + size) for t in range(steps)]
                for size in (1, 2, 4, 8) for at in range(0, steps - steps % size, size)]  # fmt: skip
    else:
        column = participation_sensitivity.square_root_coefficients(mechanism.bands)
        rows = [[column[i - j] if 0 <= i - j < mechanism.bands else 0.0 for j in range(steps)] for i in range(steps)]
    strategy = np.array(rows)
    most = 0.0
    for place in range(groups):
        turns = np.arange(place, steps, groups)
        for some in itertools.product((0.0, 1.0), repeat=len(turns)):
            pattern = np.zeros(steps)
            pattern[turns] = some
            most = max(most, float(np.sum((strategy @ pattern) ** 2)))
    reach = 2.0 if adjacency == REPLACE_ONE else 1.0
    expected = accounting.epsilon(Plan.from_rate(3.0 / (reach * math.sqrt(most)), 1.0, 1), 1e-6)
    found = accounting.epsilon(plan, 1e-6)
    assert expected.upper is not None and found.upper == pytest.approx(expected.upper, rel=1e-8)
    assert found.lower == 0.0  # what is proven is from above


@pytest.mark.parametrize("size", [2.0**-538, 2.0**-700, 2.0**-900])
@pytest.mark.parametrize(
    ("mechanism", "scheme", "steps"),
    [
        (ToeplitzNoise(2.0, coefficients=(1.0, 0.5, -0.25)), FULL, 1),
        (ToeplitzNoise(2.0, coefficients=(1.0, 0.5), participations=2, separation=4), FULL, 8),
        (ToeplitzNoise(2.0, coefficients=(1.0, 0.5, 0.25), participations=3, separation=2), FULL, 8),
        (ToeplitzNoise(2.0, coefficients=(1.0, 0.5)), CyclicPoisson(0.5, 2, "place"), 4),
        (ToeplitzNoise(2.0, coefficients=(1.0, 0.5)), CyclicPoisson(0.5, 1, "place"), 4),
        (ToeplitzNoise(2.0, coefficients=(1.0, 0.5)), Shuffle(2, "once"), 4),
        (MatrixNoise(2.0, (0.0, 1.0, 0.5, 2.0, 0.25, 1.0), 2), FULL, 3),
        (MatrixNoise(2.0, (0.0, 1.0, 0.5, 2.0, 0.25, 1.0), 2, participations=2, separation=1), FULL, 3),
        (MatrixNoise(2.0, (0.0, 1.0, 0.5, 2.0, 0.25, 1.0), 2), CyclicPoisson(0.5, 2, "place"), 3),
        (MatrixNoise(2.0, (0.0, 1.0, 0.5, 2.0, 0.25, 1.0), 2), Shuffle(1, "once"), 3),
    ],
    ids=lambda each: getattr(each, "kind", None),
)
def test_a_strategy_so_small_that_its_squares_underflow_costs_what_it_costs_at_any_size(
    mechanism: Correlated, scheme: Sampling, steps: int, size: float
) -> None:
    sized = {
        name: tuple(size * each for each in getattr(mechanism, name))
        for name in ("coefficients", "entries")
        if getattr(mechanism, name, ())
    }
    small = dataclasses.replace(mechanism, noise_multiplier=size * mechanism.noise_multiplier, **sized)
    known, found = (
        plan_pairs.dominating_pairs(Plan((Phase(each, scheme, steps),), adjacency=ZERO_OUT), "exact")
        for each in (mechanism, small)
    )
    assert known == found  # to the last bit: a power of two


@pytest.mark.parametrize(
    ("noise", "size"), [(1e-6, 1e-320), (1e-300, 1e9), (1e300, 1e-200), (1e-300, 1.0), (1e300, 1.0), (1e160, 1e6)]
)
def test_noise_that_is_no_float_over_a_strategy_is_refused(noise: float, size: float) -> None:
    plan = Plan((Phase(ToeplitzNoise(noise, coefficients=(size,)), FULL, 2),))
    with pytest.raises(NotApplicable, match="beyond floats"):
        plan_pairs.dominating_pairs(plan, "exact")


@pytest.mark.parametrize("noise", [1e-150, 1e-20, 1e-6, 1e150])
def test_so_little_noise_that_losses_are_no_floats_to_tell_apart_has_a_delta_of_at_most_one(noise: float) -> None:
    """At any ε: of such a law a loss is known to millions, and that was an internal error."""
    kind = ToeplitzNoise(noise, coefficients=(1.0, -0.5, 0.9), participations=2)
    plan = Plan((Phase(kind, FULL, 3),), adjacency=ZERO_OUT)
    for epsilon in (0.0, 1.0, 100.0):
        found = accounting.delta(plan, epsilon)
        assert found.lower is not None and found.upper is not None
        assert 0.0 <= found.lower <= found.upper <= 1.0
        assert found.upper == 1.0 if noise < 1.0 else found.upper < 1e-9
    for many in general_one_step.delta_ends_of_many(GaussianLoss(noise), np.array([0.0, 1.0, 100.0])):
        assert np.all((many >= 0.0) & (many <= 1.0))


def best_pattern(strategy: np.ndarray, count: int, apart: int) -> float:
    """The square of how far equal vectors in the worst pattern move C·x, over all patterns."""
    steps, most = len(strategy), 0.0
    for size in range(1, count + 1):
        for chosen in combinations(range(steps), size):
            if all(later - earlier >= apart for earlier, later in pairwise(chosen)):
                most = max(most, float(np.sum(strategy[:, list(chosen)].sum(axis=1) ** 2)))
    return most


@pytest.mark.parametrize("seed", range(6))
def test_where_a_sensitivity_is_a_bound_a_pattern_that_is_realised_is_the_lower_end(seed: int) -> None:
    rng = np.random.default_rng(seed)
    steps, count, apart = 9, int(rng.integers(2, 4)), int(rng.integers(1, 3))
    tail = rng.uniform(-0.3, 1.0, 4).round(2)
    strategy = sum(np.diag([each] * (steps - at), -at) for at, each in enumerate((1.0, *tail)))
    worst = best_pattern(strategy, count, apart)
    column = participation_sensitivity.toeplitz((1.0, *tail), steps, count, apart)
    assert column.exact or 0.9 * worst <= column.reached <= worst <= column.squared
    entries = tuple(float(strategy[at, at - steps + 1 + k]) if at - steps + 1 + k >= 0 else 0.0
                    for at in range(steps) for k in range(steps))  # fmt: skip
    whole = correlated.sensitivity(MatrixNoise(1.0, entries, steps), steps, count, apart)
    assert whole.exact or 0.9 * worst <= whole.reached <= worst <= whole.squared


def test_the_interval_of_a_strategy_that_does_not_fall_holds_its_worst_pattern() -> None:
    column = (1.0, 0.2, 0.9, 0.1)
    strategy = sum(np.diag([each] * (12 - at), -at) for at, each in enumerate(column))
    noise = ToeplitzNoise(4.0, coefficients=column, participations=3, separation=2)
    found = accounting.epsilon(Plan((Phase(noise, Poisson(1.0), 12),), adjacency=ZERO_OUT), 1e-6)
    alone = Gaussian(4.0 / math.sqrt(best_pattern(strategy, 3, 2)))
    same = accounting.epsilon(Plan((Phase(alone, Poisson(1.0), 1),), adjacency=ZERO_OUT), 1e-6)
    assert found.guarantee is Guarantee.CERTIFIED and found.lower is not None and found.upper is not None
    assert found.lower == pytest.approx(same.value, rel=1e-6) and found.lower <= same.value < found.upper


def test_steps_of_a_record_without_end_are_added_up_without_what_each_sum_rounds() -> None:
    """Row i is 1 + i·0.1 of the double 0.1: one after the other these lost 3e-13 of the squares."""
    steps, tenth = 5000, Fraction(0.1)
    found = participation_sensitivity.toeplitz((1.0, *[0.1] * (steps - 1)), steps, steps, 1)
    true = sum((1 + row * tenth) ** 2 for row in range(steps))
    assert found.exact and abs(Fraction(found.squared) / true - 1) < 5e-15
    found = participation_sensitivity.toeplitz((1.0, 0.1, 0.1, 0.1), 700, 200, 3)
    rows = [1 + tenth if row % 3 == 0 and row else 1 if row == 0 else tenth for row in range(598)]
    # The last of 200 begins at row 597 and ends three rows on.
    true = sum(each**2 for each in rows) + 2 * tenth**2 + tenth**2
    assert abs(Fraction(found.squared) / true - 1) < 1e-14


@pytest.mark.parametrize("column", [*COLUMNS, (1.0, 0.5, 0.3, 0.3, 0.2, 0.1, 0.1, 0.05)])
@pytest.mark.parametrize("separation", [1, 2, 3, 7])
def test_rows_that_are_the_same_in_every_pattern_are_added_up_once(column: tuple[float, ...], separation: int) -> None:
    """Against the sum of all rows of the first columns of the majorant, also where the run cuts the last ones short."""
    for count in (1, 2, 3, 9, 40):
        for steps in range((count - 1) * separation + 1, (count - 1) * separation + len(column) + 3):
            rows, falling = np.zeros(steps), np.maximum.accumulate(np.abs(column[:steps])[::-1])[::-1]
            for start in range(0, count * separation, separation):
                rows[start : start + len(column)] += falling[: max(steps - start, 0)]
            found = participation_sensitivity.toeplitz(column, steps, count, separation)
            if count > 1 and len(column) > separation:
                assert found.squared == pytest.approx(math.fsum(rows**2), rel=4e-15)


def test_a_strategy_of_a_few_bands_is_added_up_for_runs_of_any_length() -> None:
    """In no more rows than its bands take: these were refused."""
    bands = participation_sensitivity.square_root_coefficients(1000)
    short, long, longest = (participation_sensitivity.toeplitz(bands, 10**at, 10_000, 30) for at in (6, 10, 15))
    assert short == long == longest and long.exact
    every = participation_sensitivity.toeplitz((1.0, 0.5, 0.25), 10**12, 10**12, 1)
    assert every.exact and every.squared == pytest.approx(1.75**2 * 1e12, rel=1e-11)


@pytest.mark.parametrize(
    ("decays", "scales"),
    [((0.9, 0.3), (0.3, 0.1)), ((0.99,), (1e6,)), ((0.99,), (1e-30,)), ((0.0,), (0.5,)), ((0.9, 0.8), (-0.3, 0.2))],
)
@pytest.mark.parametrize(("most", "apart"), [(1, 1), (4, 1), (4, 30), (700, 4)])
def test_buffers_that_have_run_out_are_left_out(
    decays: tuple[float, ...], scales: tuple[float, ...], most: int, apart: int
) -> None:
    """Of a long run the first coefficients matter: beside all of them, and in runs that are too long for all."""
    steps = 30_000
    length = participation_sensitivity.buffered_length(decays, scales, steps)
    assert length < steps and participation_sensitivity.buffered_length(decays, scales, 1) == 1
    every = participation_sensitivity.buffered_coefficients(decays, scales, steps)
    assert steps * math.fsum(np.abs(every[length:])) < 1e-20
    known = participation_sensitivity.toeplitz(every, steps, most, apart)
    found = correlated.sensitivity(BufferedNoise(1.0, decays, scales), steps, most, apart)
    assert found.squared == pytest.approx(known.squared, rel=4e-15) and found.exact >= known.exact
    longer = correlated.sensitivity(BufferedNoise(1.0, decays, scales), 10**15, most, apart)
    assert longer.squared == pytest.approx(found.squared, rel=1e-13)


def test_buffers_that_last_too_long_are_refused() -> None:
    slow = BufferedNoise(1.0, (1.0 - 1e-12,), (0.1,))
    with pytest.raises(NotApplicable, match="too many to add up"):
        correlated.sensitivity(slow, 10**12, 3, 1)
    assert correlated.sensitivity(slow, 1000, 3, 1).exact
