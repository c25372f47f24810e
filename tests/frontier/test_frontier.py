"""The frontier: every cell is within the target and near the least noise, and the rules do what they say."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dpplan import accounting, solve
from dpplan.adjacency import REPLACE_ONE, ZERO_OUT
from dpplan.errors import NotApplicable, PlanError, Unreachable, UsageError
from dpplan.frontier import RULES, Cell, Grid, frontier, least_noise, one_by_one
from dpplan.frontier.grid import coarse_to_fine, full_batch_noise
from dpplan.frontier.recommendation import LITTLE, pareto, recommend
from dpplan.plan import Settings
from dpplan.solve.candidate_values import decimal, decimal_above

DELTA = 1e-5
MNIST = Grid(60000, 3.0, DELTA, tuple(2**k for k in range(6, 14)), epochs=(1, 2, 5, 10, 20, 50, 100, 200))


@pytest.fixture(scope="module")
def mnist():
    return frontier(MNIST)


def test_every_cell_is_within_the_target_by_a_certified_bound(mnist):
    assert [len(row) for row in mnist.rows] == [8] * 8
    for cell in mnist.cells:
        assert cell.spent.guarantee == "certified"
        assert cell.spent.upper <= 3
        assert float(f"{cell.noise_multiplier:.3e}") == cell.noise_multiplier


def test_a_cell_spends_what_the_accountant_says_of_its_plan(mnist):
    for cell in mnist.cells[::7]:
        settings = Settings(examples=60000, batch_size=cell.batch_size, epochs=cell.length)
        assert cell.plan == settings.with_(noise_multiplier=cell.noise_multiplier).plan()
        alone = accounting.epsilon(cell.plan, DELTA)
        assert cell.spent.lower <= alone.upper
        assert alone.lower <= cell.spent.upper
        assert cell.spent.relative_width <= 1e-6


@pytest.mark.parametrize("stride", [29, pytest.param(1, marks=pytest.mark.slow)])
def test_a_cell_has_the_noise_that_solve_finds_rounded_up_to_four_digits(mnist, stride):
    for cell in mnist.cells[::stride]:
        settings = Settings(examples=60000, batch_size=cell.batch_size, epochs=cell.length)
        assert cell.noise_multiplier == near_above_digits(solve.noise(settings, 3, DELTA).value)


@pytest.mark.parametrize(
    ("target", "delta"),
    [(8.0, 1e-5), (0.3, 1e-6), (1.0, 1e-9), (20.0, 1e-7)],
)
@pytest.mark.slow
def test_so_it_has_at_other_targets(target, delta):
    found = frontier(Grid(50000, target, delta, (40, 300, 2000, 9000), epochs=(0.5, 3, 30)))
    for cell in found.cells[::3]:
        settings = Settings(examples=50000, batch_size=cell.batch_size, epochs=cell.length)
        assert cell.noise_multiplier == near_above_digits(solve.noise(settings, target, delta).value)
        assert cell.spent.upper <= target


def near_above_digits(value):
    """The least decimal of four digits that is no smaller."""
    return decimal(decimal_above(value, 4), 4)


def test_a_dense_grid_takes_little_more_than_one_evaluation_for_a_cell(monkeypatch):
    calls = []
    together, alone = least_noise.epsilons_near, accounting.epsilon

    def counted_together(plans, epsilon, delta):
        calls.extend(plans)
        return together(plans, epsilon, delta)

    def counted(plan, delta, accountant="exact", **options):
        calls.append(plan)
        return alone(plan, delta, accountant, **options)

    monkeypatch.setattr(least_noise, "epsilons_near", counted_together)
    monkeypatch.setattr(accounting, "epsilon", counted)
    batches, epochs = np.geomspace(512, 4096, 8).round().astype(int), np.geomspace(20, 100, 8).round(1)
    found = frontier(Grid(60000, 3.0, DELTA, tuple(batches.tolist()), epochs=tuple(epochs.tolist())))
    assert len(found.cells) == 64
    assert 64 <= len(calls) <= 130  # some of them for the recommendation


def test_cells_whose_large_losses_are_rare_are_solved_together_too(monkeypatch):
    """An estimate says little there; those that it sends astray begin where others say."""
    monkeypatch.setattr(least_noise.Solver, "_alone", None)
    grid = Grid(1_000_000, 1.0, 1e-7, (200, 300, 450, 700), epochs=(20.0, 40.0, 80.0))
    cells = [cell for row in least_noise.solved(grid).rows for cell in row]
    assert all(cell.spent.upper <= 1.0 and cell.spent.relative_width <= least_noise.NARROW for cell in cells)
    noise = cells[0].plan.only_phase.mechanism.noise_multiplier
    less = Settings(noise_multiplier=noise - 1e-4, examples=1_000_000, batch_size=200, epochs=20.0).plan()
    assert accounting.epsilon(less, 1e-7).lower > 1.0


@pytest.mark.slow
def test_cells_that_are_not_done_are_looked_at_beside_the_next(monkeypatch):
    sizes = []
    together = least_noise.epsilons_near

    def counted(plans, epsilon, delta):
        sizes.append(len(plans))
        return together(plans, epsilon, delta)

    monkeypatch.setattr(least_noise, "epsilons_near", counted)
    batches, epochs = np.geomspace(256, 4096, 17).round().astype(int), np.geomspace(5, 100, 9).round(1)
    frontier(Grid(60000, 3.0, DELTA, tuple(batches.tolist()), epochs=tuple(epochs.tolist())))
    # A call for each of four levels, and few for what is left then: level by level they took fourteen.
    assert 17 * 9 < sum(sizes) < 1.8 * 17 * 9
    assert len(sizes) <= 8


def test_a_slope_is_not_believed_where_the_next_cell_is_as_near_as_it_may_be_off():
    (found,) = least_noise.solved(Grid(60000, 3.0, DELTA, (256,), epochs=(60,))).rows[0]
    solver = least_noise.Solver(Grid(60000, 3.0, DELTA, (256,), epochs=(60,)), 1.39, ())
    for step, sure in ((-0.5, True), (-0.93, False)):  # of the way to the next, by the slope
        each = solver._begun(0, 0)
        each.begin(0.0, 1.0)
        here = each.at
        way = each.candidates.place(here + 1) - each.candidates.place(here)
        assert each.learn(found.spent, step * way) is sure
        assert each.at == here + (not sure)


def test_several_processes_find_cells_as_good(mnist, monkeypatch):
    done, used = [], []
    spread = least_noise.spread

    def seen(function, tasks, workers, here):
        used.append(workers)
        return spread(function, tasks, workers, here)

    monkeypatch.setattr(least_noise, "FEW", 50)
    monkeypatch.setattr(least_noise, "spread", seen)
    grid = dataclasses.replace(MNIST, batch_sizes=(1024, 2048, 4096, 8192), epochs=tuple(range(20, 150, 10)))
    found = frontier(grid, workers=2, progress=lambda count, total: done.append((count, total)))
    assert used == [2]
    assert done == [(4 * i, 52) for i in range(1, 14)]
    assert all(cell.spent.upper <= 3 for cell in found.cells)
    alike = {cell.place: cell.noise_multiplier for cell in mnist.cells}
    both = [cell for cell in found.cells if cell.place in alike]
    assert len(both) == 12
    for cell in both:
        assert cell.noise_multiplier == pytest.approx(alike[cell.place], rel=3e-3)


@pytest.mark.parametrize(
    ("rows", "columns", "workers"), [(25, 40, 2), (25, 40, 1), (9, 30, 2), (10, 30, 4), (2, 200, 2)]
)
@pytest.mark.parametrize("forked", [True, False])
def test_every_row_is_in_one_share_and_this_process_has_the_largest(rows, columns, workers, forked, monkeypatch):
    monkeypatch.setattr(least_noise, "quick", lambda: forked)
    shares = least_noise.shares(rows, columns, workers)
    assert sorted(row for share in shares for row in share) == list(range(rows))
    assert len(shares) >= min(workers, rows)
    if workers > 1:
        # Forked, others are up at once, and all have as much but for a row.
        assert len(shares[-1]) >= max(map(len, shares)) - forked


def test_what_matters_for_learning_follows_from_the_plan(mnist):
    cell = mnist.recommended.cell
    assert cell.noise_batch_ratio == cell.noise_multiplier / cell.batch_size
    assert cell.processed == cell.steps * cell.batch_size
    assert cell.compute == cell.length * 60000 <= cell.processed < cell.compute + cell.batch_size
    assert cell.effective_noise == pytest.approx(cell.noise_multiplier / (cell.batch_size * math.sqrt(cell.steps)))
    assert cell.epochs == pytest.approx(cell.processed / 60000)


def test_no_cell_has_less_effective_noise_than_one_step_on_all_of_the_data(mnist):
    floor = mnist.floor
    assert floor == pytest.approx(solve.noise(Settings(sample_rate=1, steps=1), 3, DELTA).value / 60000)
    assert all(cell.effective_noise > floor for cell in mnist.cells)
    assert min(cell.effective_noise for cell in mnist.cells) < 1.02 * floor
    assert mnist.saturated(mnist.rows[-1][-1])
    assert not mnist.saturated(mnist.rows[0][0])


def test_steps_instead_of_epochs():
    found = frontier(Grid(60000, 3.0, DELTA, (1024, 4096), steps=(100, 1000)))
    assert [[cell.steps for cell in row] for row in found.rows] == [[100, 100], [1000, 1000]]
    assert all(cell.compute == cell.steps * cell.batch_size for cell in found.cells)
    assert all(cell.spent.upper <= 3 for cell in found.cells)


def test_a_single_cell_is_what_solve_finds():
    found = frontier(Grid(60000, 3.0, DELTA, (256,), epochs=(60,)))
    assert (
        found.recommended.solution.value
        == solve.noise(Settings(examples=60000, batch_size=256, epochs=60), 3, DELTA).value
    )


# Recommendation


def made(batch, steps, ratio):
    """A cell with these figures, without a solve."""
    plan = Settings(noise_multiplier=ratio * batch, sample_rate=0.01, steps=steps).plan()
    return Cell(batch, steps, steps * batch, plan, None)


@given(
    st.lists(
        st.tuples(st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 3, 6]), st.sampled_from([0.1, 0.2, 0.4])),
        min_size=1, max_size=20, unique_by=lambda figures: figures[:2],
    )
)  # fmt: skip
@hypothesis_settings(max_examples=100, deadline=None)
def test_the_pareto_set_is_what_no_other_cell_dominates(figures):
    cells = [made(*each) for each in figures]

    def dominated(cell):
        return any(
            other.compute <= cell.compute
            and other.steps >= cell.steps
            and other.noise_batch_ratio <= cell.noise_batch_ratio
            and (other.compute, -other.steps, other.noise_batch_ratio)
            != (cell.compute, -cell.steps, cell.noise_batch_ratio)
            for other in cells
        )

    best = {cell.place for cell in cells if not dominated(cell)}
    kept = pareto(cells)
    assert kept <= best
    figures_of = {cell.place: (cell.compute, cell.steps, cell.noise_batch_ratio) for cell in cells}
    assert {figures_of[place] for place in kept} == {figures_of[place] for place in best}


def test_least_noise_spends_all_compute_on_the_smallest_ratio(mnist):
    cell = dict(mnist.by_rule)["least-noise"]
    assert cell.place == (8192, 200)


def test_constant_ratio_keeps_steps_and_ratio_at_the_least_compute(mnist):
    rules = dict(mnist.by_rule)
    best, cell = rules["least-noise"], rules["constant-ratio"]
    assert cell.place == (2048, 50) == mnist.recommended.cell.place
    alike = [
        other
        for other in mnist.cells
        if other.steps >= best.steps and other.noise_batch_ratio <= (1 + LITTLE) * best.noise_batch_ratio
    ]
    assert cell.compute == min(other.compute for other in alike) < best.compute


def test_saturation_takes_the_smallest_batch_that_no_larger_one_beats_by_a_tenth(mnist):
    cell = dict(mnist.by_rule)["saturation"]
    assert cell.place == (512, 200)
    half = next(other for other in mnist.cells if other.place == (256, 200))
    # An exact look at what a batch without bounds would have in as many steps: all of the data in each.
    for each, most in ((cell, 1 + LITTLE), (half, math.inf)):
        whole = solve.noise(Settings(sample_rate=1, steps=each.steps), 3, DELTA).value / 60000
        assert (each.noise_batch_ratio <= (1 + LITTLE) * whole) == (most < math.inf)


def test_a_compute_budget_holds_for_what_is_chosen_and_allows_a_last_step_that_rounds_up():
    grid = dataclasses.replace(MNIST, batch_sizes=(1024, 2048, 4096), epochs=(20, 50, 100))
    found = frontier(grid, compute=3e6, rule="least-noise")
    assert found.recommended.cell.place == (4096, 50)
    assert found.recommended.cell.compute == 3e6 < found.recommended.cell.processed
    assert {length for _, length in found.pareto} == {20, 50}
    assert all(cell.length <= 50 for _, cell in found.by_rule)
    assert [name for name, _ in found.by_rule] == list(RULES)


def test_doublings_are_solved_for_exactly(mnist):
    choice = mnist.recommended
    assert [each.what for each in choice.doublings] == ["batch", "epochs", "n"]
    batch, epochs, n = (each.solution for each in choice.doublings)
    assert batch.plan.batch_size == 2 * 2048
    assert epochs.plan.steps == math.ceil(100 * 60000 / 2048)
    assert (n.plan.examples, n.plan.steps) == (120000, choice.cell.steps)
    for each in choice.doublings:
        assert each.solution.spent.upper <= 3
        settings = Settings(examples=each.solution.plan.examples, batch_size=each.solution.plan.batch_size)
        alone = solve.noise(settings.with_(steps=each.solution.plan.steps), 3, DELTA)
        assert (alone.value, alone.spent) == (each.solution.value, each.solution.spent)
        ratio = each.solution.value / each.solution.plan.batch_size
        assert each.change == pytest.approx(ratio / (choice.solution.value / 2048) - 1)
    assert batch.value / 4096 < choice.solution.value / 2048 < epochs.value / 2048
    assert len(choice.why) == 2
    assert choice.why[0].startswith(
        "Chosen by constant-ratio: the smallest noise-batch ratio for the most compute is that of batch = 8192, 200 "
        "epochs; of the cells with as many steps and a ratio within a tenth of that, this one costs least: 25 % of"
    )
    assert choice.why[1].startswith("Doubling the batch would lower the noise-batch ratio by 32 %")


@pytest.mark.parametrize("rule", RULES)
def test_a_choice_of_few_updates_says_so_and_where_larger_batches_stop_buying_less_noise(rule):
    grid = Grid(60000, 3.0, 1e-6, (256, 2048, 60000), epochs=(15, 60))
    found = frontier(grid, rule=rule)
    choice, cell = found.recommended, found.recommended.cell
    few = f"nothing tells whether {cell.steps} updates are enough for the model."
    assert f"Noise is compared here, not learning: {few}" in choice.caveat
    assert choice.why[0].startswith(f"Chosen by {rule}: of the cells that use the most compute")
    if rule == "saturation":
        assert (cell.place, choice.caveat[-len(few) :]) == ((2048, 60), few)
        return
    other = dict(found.by_rule)["saturation"]
    more = f"{100 * (other.effective_noise / cell.effective_noise - 1):.2g} % more effective noise"
    assert cell.place == (60000, 60) and cell.steps == 60 and other.compute == cell.compute
    assert f"at batch = 2048: that has 1758 updates of the same compute and {more}." in choice.caveat


def test_saturation_where_no_batch_is_large_enough_says_what_it_took_in_its_place():
    found = frontier(Grid(60000, 3.0, 1e-6, (64, 256), epochs=(15,)), rule="saturation")
    assert found.recommended.cell.batch_size == 256 and not found.saturated(found.recommended.cell)
    assert "so the one with the smallest noise-batch ratio is taken" in found.recommended.why[0]
    assert found.recommended.caveat.endswith("nothing tells whether 3516 updates are enough for the model.")


def test_a_batch_that_is_all_of_the_data_is_not_doubled():
    found = frontier(Grid(1000, 3.0, DELTA, (1000,), epochs=(10,)))
    assert [each.what for each in found.recommended.doublings] == ["epochs", "n"]


# Calls that make no sense


def test_every_problem_of_a_grid_is_reported_at_once():
    with pytest.raises(PlanError) as caught:
        Grid(100, 0, 2, (200, 2.5), epochs=(-1,))
    for part in ("target_epsilon=0", "delta=2", "batch=200 exceeds n=100", "batch=2.5", "epochs=-1"):
        assert part in str(caught.value)


@pytest.mark.parametrize("lengths", [{}, {"epochs": (1,), "steps": (1,)}])
def test_a_grid_needs_epochs_or_steps(lengths):
    with pytest.raises(PlanError, match="either epochs or steps"):
        Grid(100, 1, DELTA, (10,), **lengths)


def test_an_unknown_rule_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"rule=least-nois is not one of: .* Did you mean 'least-noise'"):
        frontier(MNIST, rule="least-nois")


def test_a_compute_below_every_cell_says_what_the_cheapest_takes():
    with pytest.raises(Unreachable, match="compute=10 is out of reach: the cheapest cell processes 60000 examples"):
        frontier(Grid(60000, 3.0, DELTA, (8192,), epochs=(1,)), compute=10)


@given(st.integers(1, 300))
@hypothesis_settings(max_examples=60, deadline=None)
def test_coarse_to_fine_visits_every_place_once(count):
    order = list(coarse_to_fine(count))
    assert sorted(order) == list(range(count))
    assert order[: min(count, 2)] == [0, count - 1][: min(count, 2)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("drawn", "times"),
    [
        (Settings(adjacency=ZERO_OUT), 1.0),
        (Settings(adjacency=REPLACE_ONE, unit="user"), 1.3),
        (Settings(unit="user"), 1.0),
        (Settings(sampling="fixed-size"), 1.3),
    ],
)
def test_cells_of_other_schemes_and_neighbours_have_the_noise_that_solve_finds(drawn, times):
    grid = Grid(60000, 3.0, DELTA, (2048, 8192), epochs=(10, 100), drawn=drawn)
    usual = frontier(dataclasses.replace(grid, drawn=Settings()))
    found = frontier(grid)
    for cell, other in zip(found.cells, usual.cells, strict=True):
        settings = drawn.with_(examples=60000, batch_size=cell.batch_size, epochs=cell.length)
        assert cell.plan == settings.with_(noise_multiplier=cell.noise_multiplier).plan()
        assert cell.noise_multiplier == near_above_digits(solve.noise(settings, 3.0, DELTA).value)
        assert cell.spent.guarantee == "certified"
        assert accounting.epsilon(cell.plan, DELTA).lower <= cell.spent.upper <= 3.0
        assert cell.noise_multiplier >= times * other.noise_multiplier
    plans = [each.solution.plan for each in found.recommended.doublings] + [found.recommended.solution.plan]
    assert {(plan.adjacency, plan.privacy_unit) for plan in plans} == {(drawn.adjacency, drawn.unit)}
    assert {plan.only_phase.sampling.kind for plan in plans} == {drawn.sampling}


@pytest.mark.parametrize(
    ("drawn", "said"),
    [
        (Settings(max_per_user=3), "the unit is example"),
        (Settings(sampling="truncated-poisson"), "cap is missing"),
        (Settings(sampling="full-batch", scheme_options=(("groups", 3),)), "groups"),
        (Settings(sampling="unknown"), "sampling=unknown is not one of"),
    ],
)
def test_what_is_wrong_with_how_batches_are_drawn_is_told_beside_all_else(drawn, said):
    with pytest.raises(PlanError) as refusal:
        Grid(0, 3.0, DELTA, (64,), epochs=(1,), drawn=drawn)
    assert len(refusal.value.problems) == 2  # n, too
    assert said in str(refusal.value)


def test_the_noise_of_a_full_batch_is_that_of_the_neighbours_who_are_asked_for() -> None:
    one, replaced = (
        full_batch_noise(Grid(1000, 2.0, 1e-5, (100,), epochs=(1,), drawn=Settings(adjacency=adjacency)))
        for adjacency in (ZERO_OUT, REPLACE_ONE)
    )
    assert replaced == pytest.approx(2 * one, rel=1e-3)  # who is replaced moves a sum twice as far


# Cells that are solved one by one

GROUPS = Settings(sampling="cyclic-poisson", scheme_options=(("groups", 2), ("assignment", "own")))
BINS = Settings(sampling="balls-in-bins")


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("drawn", "changes"),
    [
        (GROUPS, {"batch_sizes": (4, 8, 10), "epochs": (2, 4)}),
        (Settings(sampling="full-batch"), {"batch_sizes": (), "epochs": (1, 3)}),
        (Settings(unit="user", max_per_user=2, adjacency=ZERO_OUT), {"batch_sizes": (40,)}),
        (BINS.with_(adjacency=ZERO_OUT, scheme_options=(("bins", "same"),)), {}),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in (
                (BINS, {"epochs": (1, 2)}),
                (Settings(sampling="random-allocation", scheme_options=(("times", 2),)), {}),
                (Settings(sampling="shuffle", adjacency=REPLACE_ONE), {}),
                (Settings(sampling="shuffle", adjacency=ZERO_OUT, unit="user"), {}),
                (Settings(sampling="fixed-size", adjacency=REPLACE_ONE), {}),
                (Settings(sampling="fixed-size", adjacency=ZERO_OUT), {}),
                (Settings(sampling="truncated-poisson", adjacency=ZERO_OUT, scheme_options=(("cap", 30),)), {}),
                (Settings(unit="user", max_per_user=3), {"epochs": (1, 2)}),
            )
        ),
    ],
)
def test_a_cell_that_is_solved_alone_is_what_solve_finds(drawn, changes):
    grid = Grid(**{"examples": 40, "batch_sizes": (20,), "epochs": (1,), **changes}, target_epsilon=2.0, delta=1e-3,
                drawn=drawn)  # fmt: skip
    found = one_by_one.solved_alone(grid).found
    assert not grid.together and [len(row) for row in found.rows] == [len(grid.batch_sizes)] * len(grid.lengths)
    for cell in itertools.chain(*found.rows):
        alone = solve.noise(grid.settings(cell.batch_size, cell.length), 2.0, 1e-3)
        assert (cell.noise_multiplier, cell.plan) == (alone.value, alone.plan)
        assert cell.spent.upper <= 2.0 and cell.spent.upper == pytest.approx(alone.spent.upper, rel=1e-7)


@pytest.mark.slow
def test_neighbours_say_where_to_begin_and_nothing_more(monkeypatch):
    grid = Grid(4000, 2.0, DELTA, (40, 100, 200), epochs=(2, 4), drawn=GROUPS)
    begun = []
    near = solve.noise_near

    def seen(settings, epsilon, delta, about):
        begun.append(about)
        return near(settings, epsilon, delta, about)

    monkeypatch.setattr(solve, "noise_near", seen)
    found = one_by_one.solved_alone(grid).found
    assert len(begun) == 5  # all but the first
    for (about, _), cell in zip(begun, [*found.rows[0][1:], *found.rows[1]], strict=True):
        assert about == pytest.approx(cell.noise_multiplier, rel=0.5)
    # Whatever they say, and where intervals are wide not even that.
    wrong = dataclasses.replace(found, known=tuple((*point[:2], point[2] + 1.0, 0.3) for point in found.known))
    settings = grid.settings(100, 2)
    right = solve.noise(settings, 2.0, DELTA)
    assert one_by_one._noise(grid, settings, wrong).value == right.value
    monkeypatch.setattr(one_by_one, "NARROW", 0.0)
    monkeypatch.setattr(solve, "noise", lambda *asked: "anew")
    assert one_by_one._noise(grid, settings, wrong) == "anew"


@pytest.mark.slow
def test_a_cell_without_a_plan_is_empty_and_says_why():
    counted = []
    grid = Grid(40, 2.0, 1e-3, (8, 30), epochs=(1, 2), drawn=GROUPS)
    found = frontier(grid, progress=lambda done, total: counted.append((done, total)))
    assert counted == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for _, empty in found.rows:
        assert empty.plan is None and not found.within(empty) and empty.place not in found.pareto
        assert empty.refusal == "batch=30 exceeds a group: n / groups = 40 / 2. Lower one of --batch and --groups."
    assert all(cell.batch_size == 8 for _, cell in found.by_rule)
    assert found.recommended.solution.value == found.recommended.cell.noise_multiplier


def test_a_grid_of_which_no_cell_has_a_plan_says_why_each():
    Grid(40, 2.0, 1e-3, (12, 20), epochs=(1, 2), drawn=BINS)
    with pytest.raises(PlanError) as refusal:
        Grid(40, 2.0, 1e-3, (12, 15), epochs=(1, 2), drawn=BINS)
    assert refusal.value.problems == tuple(
        f"batch={batch} of n=40 gives n / batch = {each} steps of an epoch, which is not whole. Give a --batch that "
        "divides n."
        for batch, each in ((12, 3.33333), (15, 2.66667))
    )


@pytest.mark.slow
def test_what_cannot_be_doubled_is_left_out(monkeypatch):
    found = frontier(Grid(40, 2.0, 1e-3, (15,), epochs=(1,), drawn=GROUPS))
    assert [each.what for each in found.recommended.doublings] == ["epochs", "n"]  # 30 would exceed a group
    assert "doubling the batch" not in found.recommended.why[1].lower()
    cell = found.recommended.cell
    known = iter([found.recommended.solution])

    def only_once(settings):
        for each in known:
            return each
        raise Unreachable("out of reach")

    alone = recommend(found.grid, [cell], found.floor, "least-noise", only_once)
    assert alone.doublings == () and alone.why[1] == "Neither the batch nor the length nor n can be doubled here."


def test_where_nothing_is_known_of_any_cell_that_is_said_as_solve_says_it():
    with pytest.raises(NotApplicable, match="shuffle is not known under add-remove"):
        frontier(Grid(40, 2.0, 1e-3, (10, 20), epochs=(1,), drawn=Settings(sampling="shuffle")))
    with pytest.raises(NotApplicable, match="max_per_user=2 is known for"):
        drawn = Settings(unit="user", max_per_user=2, adjacency=REPLACE_ONE)
        frontier(Grid(40, 2.0, 1e-3, (10, 20), epochs=(1,), drawn=drawn))


def test_a_target_that_no_cell_meets_is_out_of_reach(monkeypatch):
    grid = Grid(40, 2.0, 1e-3, (8,), epochs=(1,), drawn=GROUPS)

    def refused(*asked):
        raise Unreachable("the target is out of reach")

    monkeypatch.setattr(one_by_one, "full_batch_noise", lambda grid: 1.0)
    monkeypatch.setattr(solve, "noise", refused)
    with pytest.raises(Unreachable, match="no cell meets target_epsilon=2: the target is out of reach"):
        frontier(grid)


@pytest.mark.slow
def test_several_processes_solve_the_same_cells_alone():
    grid = Grid(4000, 2.0, DELTA, (40, 100, 200), epochs=(2, 4), drawn=GROUPS)
    one, two = (one_by_one.solved_alone(grid, workers).found.rows for workers in (1, 2))
    assert [[cell.plan for cell in row] for row in one] == [[cell.plan for cell in row] for row in two]
