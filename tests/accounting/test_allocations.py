"""Plans with balls-in-bins and random allocation: figures of others, limits that are known, and what must hold."""

import csv
import json
import math
import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dpplan import accounting
from dpplan.accounting import ACCOUNTANTS, Guarantee, exact
from dpplan.accounting.bound import Bound
from dpplan.accounting.exact import other_laws
from dpplan.accounting.exact.general_lattice import Composition
from dpplan.accounting.pairs import allocated_rounds
from dpplan.accounting.pairs.allocation import Mean
from dpplan.accounting.pairs.dominating import Resolution
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT
from dpplan.errors import NotApplicable, NotCertified, PlanError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan, Settings
from dpplan.plan_json import phase_from_json, phase_to_json, plan_from_json, plan_to_json
from dpplan.sampling import BallsInBins, FixedSize, Poisson, RandomAllocation

DATA = Path(__file__).parents[1] / "data"
POINTS = list(csv.DictReader((DATA / "allocation_points.csv").open()))
PUBLISHED = [
    row
    for row in csv.DictReader((DATA / "published_points.csv").open())
    if row["sampling"].startswith(("random_allocation", "balls_in_bins"))
]
WIDTH = 2e-4


def bins(sigma: float, per_epoch: int, steps: int, kept: str = "fresh") -> Plan:
    return Plan((Phase(Gaussian(sigma), BallsInBins(per_epoch, kept), steps),))


def epochs(sigma: float, per_epoch: int, count: int, kept: str = "fresh") -> Plan:
    return bins(sigma, per_epoch, per_epoch * count, kept)


def assert_holds(bound: Bound, value: float, slack: float = 0.0) -> None:
    assert bound.guarantee is Guarantee.CERTIFIED
    assert bound.lower <= value + slack and value - slack <= bound.upper


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize(
    ("sigma", "per_epoch", "count", "delta", "value", "slack"),
    [
        (1.0, 100, 10, 1e-5, 1.701498, 1e-6),
        (1.426215, 100, 10, 1e-5, 0.94272, 1e-4),
        (0.834432, 500, 10, 1e-5, 1.01548, 2e-5),
        (2.0, 37, 50, 1e-5, 2.5344, 2e-4),
        (0.5, 1000, 5, 1e-8, 7.197, 6e-4),
    ],
)
def test_values_found_by_other_means(sigma, per_epoch, count, delta, value, slack):
    found = accounting.epsilon(epochs(sigma, per_epoch, count), delta)
    assert_holds(found, value, slack)
    assert found.relative_width <= WIDTH


@pytest.mark.parametrize("sigma", [1e-299, 1e-151, 1e151, 1e299])
@pytest.mark.parametrize("kept", ["fresh", "same"])
def test_noise_whose_square_is_no_float_is_refused_in_a_line(sigma: float, kept: str) -> None:
    for phases in (1, 2):
        plan = Plan(tuple(Phase(Gaussian(sigma), BallsInBins(10, kept), 20 + at) for at in range(phases)))
        with pytest.raises(NotCertified, match="floats do not hold its square"):
            accounting.epsilon(plan, 1e-5)
    with pytest.raises(NotCertified, match="floats do not hold its square"):
        accounting.epsilon(Plan((Phase(Gaussian(sigma), RandomAllocation(10, 2), 20),)), 1e-5)


@pytest.mark.sweep(every=3, slow=("0.434-1000",))
@pytest.mark.parametrize(
    ("sigma", "per_epoch", "count", "delta"),
    [
        (0.581, 44, 1, 7.6e-39),  # the coarsest lattice proves no upper end
        (0.45, 41, 2, 7.9e-19),
        (2.121, 46, 50, 2.6e-11),
        (0.434, 1000, 10, 1e-30),
        (9.49, 5, 1, 2.5e-31),
        (0.613, 7, 2, 1.6e-29),
    ],
)
def test_a_coarse_figure_is_as_narrow_as_was_asked_and_meets_the_finer_one(sigma, per_epoch, count, delta):
    coarse, fine = (exact.epsilon(epochs(sigma, per_epoch, count), delta, accuracy=a) for a in (2e-3, WIDTH))
    for found, width in ((coarse, 2e-3), (fine, WIDTH)):
        assert found.upper - found.lower <= 1.001 * width * found.upper
    assert max(coarse.lower, fine.lower) <= min(coarse.upper, fine.upper)


@pytest.mark.parametrize("row", POINTS, ids=lambda row: row["id"])
def test_points_of_each_direction(row):
    said, value = json.loads(row["parameters"]), float(row["value"])
    if said["epochs"] * said["T"] > 1500:  # four of 500 steps
        assert said["T"] == 500
    slack = float(row["tolerance"].split()[-1]) * (value if "rel" in row["tolerance"] else 1.0)
    pair = allocated_rounds.allocated(Mean(((said["sigma"], said["T"]),), said["T"]), Resolution(2, 50))
    direction = "add" if "_add_" in row["id"] else "remove"
    above = Composition.of([(getattr(pair, direction), said["epochs"])])
    below = Composition.of([(getattr(pair.realised[0], direction), said["epochs"])])
    if "epsilon" in said:
        lower, upper = below.delta(said["epsilon"]).lower, above.delta(said["epsilon"]).upper
    else:
        lower, upper = below.epsilon(said["delta"]).lower, above.epsilon(said["delta"]).upper
    assert lower <= upper <= lower * 1.006
    assert row["kind"] == "upper" or lower <= value + slack or value < lower  # a lower bound may lie below
    if row["kind"] == "exact":
        assert lower - slack <= value <= upper + slack
    elif row["kind"] == "lower":
        assert value <= upper
    else:
        assert value >= lower


def published_plan(row: dict[str, str]) -> Plan | None:
    if not row["sigma"]:
        return None
    steps, count = int(row["steps"]), int(row["epochs"])
    return bins(float(row["sigma"]), steps // count, steps)


def test_there_are_published_rows_of_each_kind():
    assert {row["quantity"] for row in PUBLISHED} >= {"epsilon", "delta", "total variation"}


def _marked(row: dict[str, str]) -> object:
    """Rows that take a second or more are for the long run, all but one."""
    slow = row["steps"] and int(row["steps"]) > 1000 and row["id"] != "ev_t6_exact_500_10"
    return pytest.param(row, marks=pytest.mark.slow) if slow else row


@pytest.mark.sweep(every=4, slow=("chua_bnb_lb_6",))
@pytest.mark.parametrize("row", [_marked(row) for row in PUBLISHED], ids=[row["id"] for row in PUBLISHED])
def test_published_figures(row):
    """Uppers are above the truth, lowers below; exact values of total variation lie in the interval."""
    plan, value = published_plan(row), float(row["value"])
    if plan is None:  # the noise is what was solved for: total variation of 0.1
        plan = bins(value, 10_000, 1_000_000)
        assert_holds(accounting.delta(plan, 0.0), 0.1, 2e-4)
        return
    quantity = row["quantity"]
    if quantity == "epsilon":
        found = accounting.epsilon(plan, float(row["delta"]))
        assert value >= found.lower - 5e-4  # printed to three decimals
        assert value <= found.upper + 0.02
    elif quantity == "delta":
        found = accounting.delta(plan, float(re.sub("epsilon=", "", row["given"])))
        assert value <= found.upper
        assert found.lower >= 0.9 * value
    else:
        found = accounting.delta(plan, 0.0)
        shown = {"optimal attack accuracy (1+TV)/2": 2.0 * value - 1.0, "sigma (smallest; TV=advantage)": 0.1}
        assert_holds(found, shown.get(quantity, value), 2.1e-4 if "attack" in quantity else 1.2e-4)


def test_the_setting_of_chua_lies_above_their_event():
    found = accounting.delta(epochs(0.35, 1000, 1), 4.0)
    assert found.upper >= 0.00428114 and found.lower <= 0.00428816
    assert found.lower >= 0.0042811
    assert found.relative_width <= 4e-4


@pytest.mark.parametrize("name", [name for name in ACCOUNTANTS if name != "moments"])
def test_one_step_to_an_epoch_is_the_full_batch(name):
    whole, one = Plan((Phase(Gaussian(2.0), Poisson(1.0), 7),)), epochs(2.0, 1, 7)
    assert accounting.epsilon(one, 1e-6, name).value == accounting.epsilon(whole, 1e-6, name).value


def test_the_same_bins_are_one_epoch_with_less_noise():
    kept, once = epochs(3.0, 25, 9, "same"), epochs(1.0, 25, 1)
    found, known = accounting.epsilon(kept, 1e-5), accounting.epsilon(once, 1e-5)
    assert (found.lower, found.upper) == (known.lower, known.upper)


def test_fresh_epochs_add_up_and_kept_bins_do_not():
    twice = Plan((Phase(Gaussian(1.0), BallsInBins(30), 90), Phase(Gaussian(1.0), BallsInBins(30), 90)))
    whole, parts = accounting.epsilon(epochs(1.0, 30, 6), 1e-6), accounting.epsilon(twice, 1e-6)
    assert (whole.lower, whole.upper) == (parts.lower, parts.upper)
    cut = Plan((Phase(Gaussian(1.0), BallsInBins(30, "same"), 90), Phase(Gaussian(1.0), BallsInBins(30, "same"), 90)))
    two_bins, whole = accounting.epsilon(cut, 1e-6), accounting.epsilon(epochs(1.0, 30, 6, "same"), 1e-6)
    assert two_bins.upper < 0.95 * whole.lower


def test_an_epoch_of_which_one_step_was_reached_is_a_step_of_poisson_sampling():
    found, known = (
        accounting.epsilon(plan, 1e-6) for plan in (bins(1.0, 50, 1), Plan((Phase(Gaussian(1.0), Poisson(1 / 50), 1),)))
    )
    assert found.value == known.value


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["same", "fresh"])
def test_cost_never_falls_with_steps_nor_with_less_noise(kept):
    steps = [accounting.epsilon(bins(1.2, 12, count, kept), 1e-5) for count in (3, 11, 12, 60)]
    noise = [accounting.epsilon(epochs(sigma, 12, 3, kept), 1e-5) for sigma in (20.0, 1.0, 0.3)]
    rarer = [accounting.epsilon(epochs(0.9, count, 2, kept), 1e-5) for count in (40, 39, 2, 1)]
    for row in (steps, noise, rarer):
        for less, more in pairwise(row):
            assert less.lower <= more.upper
            assert less.upper <= more.upper * (1.0 + WIDTH)


def test_the_order_of_phases_does_not_matter_and_other_schemes_add_up():
    phases = (
        Phase(Gaussian(1.0), BallsInBins(12), 24),
        Phase(Gaussian(2.0), Poisson(0.1), 3),
        Phase(Gaussian(3.0), FixedSize(10, 100), 2),
    )
    found = [accounting.epsilon(Plan(order), 1e-6) for order in (phases, phases[::-1])]
    assert found[0].lower <= found[1].upper and found[1].lower <= found[0].upper
    alone = [accounting.epsilon(Plan((phase,)), 1e-6) for phase in phases]
    assert max(each.upper for each in alone) < found[0].upper < sum(each.upper for each in alone)
    assert found[0].relative_width < 1e-3


def test_delta_of_the_epsilon_of_a_delta_is_that_delta():
    plan = epochs(1.0, 20, 4)
    spent = accounting.epsilon(plan, 1e-7)
    back = accounting.delta(plan, spent.upper)
    assert 0.99e-7 <= back.lower <= 1e-7
    assert back.upper <= 1e-7 * (1.0 + 1e-2)


def test_zero_out_is_add_remove_and_replace_one_is_refused_with_the_reason():
    plan = epochs(1.0, 20, 4)
    (phase,) = plan.phases
    found = accounting.epsilon(Plan((phase,), adjacency=ZERO_OUT), 1e-5)
    assert found.upper == accounting.epsilon(Plan((phase,), adjacency=ADD_REMOVE), 1e-5).upper
    for scheme in (BallsInBins(20), RandomAllocation(20, 2)):
        with pytest.raises(NotApplicable, match=r"under replace-one: the two records join different steps"):
            accounting.epsilon(Plan((Phase(Gaussian(1.0), scheme, 80),), adjacency=REPLACE_ONE), 1e-5)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("sigma", "per_epoch", "count", "delta", "kept"),
    [
        (1.0, 100, 10, 1e-50, "fresh"),
        (0.1, 50, 3, 1e-5, "fresh"),
        (50.0, 20, 10, 1e-5, "fresh"),
        (0.065, 30, 2, 1e-50, "fresh"),
        (1.0, 2, 1000, 1e-5, "fresh"),
        (0.05, 100, 20, 1e-5, "fresh"),
        (1.0, 100, 3000, 1e-5, "same"),
        (1e-3, 10, 1, 1e-5, "fresh"),
        (5.0, 7, 3, 0.9, "fresh"),
    ],
)
def test_hostile_plans_have_an_interval(sigma, per_epoch, count, delta, kept):
    found = accounting.epsilon(epochs(sigma, per_epoch, count, kept), delta)
    assert 0.0 <= found.lower <= found.upper < math.inf
    mu = math.sqrt(count) / sigma
    unsampled = accounting.epsilon(Plan((Phase(Gaussian(sigma), Poisson(1.0), count),)), delta)
    assert found.upper <= unsampled.upper * (1.0 + 1e-12)
    assert found.relative_width < 0.05 or found.upper == 0.0 or mu > 30.0


def test_no_cost_at_all_is_zero():
    found = accounting.epsilon(epochs(50.0, 100, 1), 0.5)
    assert (found.lower, found.upper) == (0.0, 0.0)


# k of t


def allocation(sigma: float, per_round: int, times: int, steps: int) -> Plan:
    return Plan((Phase(Gaussian(sigma), RandomAllocation(per_round, times), steps),))


def test_one_of_t_is_balls_in_bins_from_above():
    found, known = (
        accounting.epsilon(allocation(1.0, 100, 1, 1000), 1e-5),
        accounting.epsilon(epochs(1.0, 100, 10), 1e-5),
    )
    assert known.lower <= found.upper <= known.upper * (1.0 + 3.0 * WIDTH)
    assert found.lower <= known.lower


@pytest.mark.parametrize("steps", [40, 47])
def test_one_step_of_each_round_is_what_balls_in_bins_draw(steps):
    found = accounting.epsilon(allocation(1.5, 20, 1, steps), 1e-5)
    known = accounting.epsilon(Plan((Phase(Gaussian(1.5), BallsInBins(20), steps),)), 1e-5)
    assert (found.lower, found.upper) == (known.lower, known.upper)
    assert found.relative_width is not None and found.relative_width < 1e-3


def test_all_of_t_is_the_full_batch():
    found = accounting.epsilon(allocation(3.0, 10, 10, 20), 1e-5)
    known = accounting.epsilon(Plan((Phase(Gaussian(3.0), Poisson(1.0), 20),)), 1e-5)
    assert_holds(found, known.value, 1e-8)


def test_blocks_that_do_not_come_out_even_are_one_longer():
    terms = allocated_rounds.random_allocation(1.0, 3, 11, 22)
    assert sorted((pair.remove.mean.total, count) for pair, count in terms) == [(3, 2), (4, 4)]
    assert sum(count for _, count in terms) == 3 * 2


def test_a_round_that_is_cut_short_counts_as_whole_from_above_and_not_at_all_from_below():
    whole, cut, less = (accounting.epsilon(allocation(1.0, 12, 3, steps), 1e-5) for steps in (24, 13, 12))
    assert cut.upper == whole.upper
    assert cut.lower == pytest.approx(less.lower, rel=1e-4)
    only = accounting.epsilon(allocation(1.0, 12, 3, 5), 1e-5)
    assert only.lower == 0.0
    assert only.upper == pytest.approx(less.upper, rel=1e-4)  # of a lattice that is not as fine


@pytest.mark.slow
def test_more_often_costs_more():
    found = [accounting.epsilon(allocation(1.5, 24, times, 48), 1e-5) for times in (1, 2, 5, 12, 24)]
    for less, more in pairwise(found):
        assert less.upper <= more.upper * (1.0 + 1e-3)
        assert less.lower <= more.upper


# As it is asked for


def test_settings_become_whole_epochs_or_are_refused_with_what_to_do():
    plan = Settings(noise_multiplier=1.0, sample_rate=Fraction(1, 100), epochs=10, sampling="balls-in-bins").plan()
    assert plan.only_phase.sampling == BallsInBins(100) and plan.steps == 1000
    for rate, sentence in (
        (0.3, "q=3/10 gives 1 / q = 3.33333 steps of an epoch, which is not whole. Try --q 1/3 or --q 1/4."),
        (None, "batch=256 of n=60000 gives n / batch = 234.375 steps of an epoch, which is not whole. Try --q 1/234"),
    ):
        given = {"sample_rate": rate} if rate else {"examples": 60_000, "batch_size": 256}
        with pytest.raises(PlanError) as error:
            Settings(noise_multiplier=1.0, epochs=1, sampling="balls-in-bins", **given).plan()
        assert any(sentence in problem for problem in error.value.problems), error.value.problems


@pytest.mark.parametrize(
    ("batch", "told"),
    [
        (255.319, "n / batch = 235.0001 steps of an epoch, which is not whole. Try --q 1/235 or --q 1/236"),
        (255.32, "n / batch = 234.999 steps of an epoch, which is not whole. Try --q 1/234 or --q 1/235"),
        (Fraction(60_000 * 10**17, 235 * 10**17 + 1), "n / batch = 235 + 1e-17 steps"),
        (Fraction(60_000 * 10**17, 235 * 10**17 - 1), "n / batch = 235 - 1e-17 steps"),
    ],
)
def test_steps_that_are_not_whole_do_not_read_as_whole(batch, told):
    with pytest.raises(PlanError) as error:
        Settings(noise_multiplier=1.0, epochs=1, sampling="balls-in-bins", examples=60_000, batch_size=batch).plan()
    assert told in str(error.value) and " in place of --batch." in str(error.value)


def test_of_k_times_a_round_has_k_over_q_steps():
    said = Settings(
        noise_multiplier=1.0,
        sample_rate=Fraction(3, 100),
        epochs=6,
        sampling="random-allocation",
        scheme_options=(("times", 3),),
    )
    assert said.plan().only_phase.sampling == RandomAllocation(100, 3)
    assert said.plan().steps == 200 and said.plan().epochs == 6.0
    with pytest.raises(PlanError, match=r"gives times / q = 10\.7143 steps of a round"):
        said.with_(sample_rate=Fraction(28, 100)).plan()
    with pytest.raises(PlanError, match="times is missing"):
        said.with_(scheme_options=()).plan()


@pytest.mark.parametrize("scheme", [BallsInBins(8), BallsInBins(8, "same"), RandomAllocation(8, 3)])
def test_a_scheme_survives_json_and_tells_its_arithmetic(scheme):
    phase = Phase(Gaussian(1.0), scheme, 20)
    assert phase_from_json(phase_to_json(phase)) == phase
    assert plan_from_json(plan_to_json(Plan((phase,)))) == Plan((phase,))
    share = Fraction(3, 8) if isinstance(scheme, RandomAllocation) else Fraction(1, 8)
    assert scheme.epochs(20) == 20 * share and scheme.complete_epochs(20) == math.floor(20 * share)
    assert scheme.expected_batch(80) == 80 * share and scheme.batch_law(80).mean == pytest.approx(float(80 * share))


def test_what_is_no_scheme_is_refused():
    with pytest.raises(PlanError, match=r"bins=often is not one of: fresh, same"):
        BallsInBins(10, "often")
    with pytest.raises(PlanError, match=r"steps_per_epoch=0 is not a whole number"):
        BallsInBins(0)
    with pytest.raises(PlanError, match=r"times=9 exceeds steps_per_round=8"):
        RandomAllocation(8, 9)


def test_a_figure_says_what_it_takes_for_granted():
    assert str(epochs(1.0, 100, 3).assumptions) == (
        "balls-in-bins over 100 steps, each example by itself, fresh each epoch, add/remove one example"
    )
    assert "the same bins each epoch" in str(epochs(1.0, 100, 3, "same").assumptions)
    found = accounting.epsilon(epochs(1.0, 10, 2), 1e-5)
    assert "2412.16802" in found.why and "of step" in str(found.details["method"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sigma", "per_epoch", "count", "delta"),
    [(1.0, 100_000, 1000, 1e-5), (0.6, 20_000, 3, 1e-9), (1.0, 100_000, 1, 1e-30)],
)
def test_many_steps_to_an_epoch(sigma, per_epoch, count, delta):
    found = accounting.epsilon(epochs(sigma, per_epoch, count), delta)
    assert 0.0 < found.lower <= found.upper
    assert found.relative_width < 0.02


@pytest.mark.sweep(every=8)
@pytest.mark.parametrize(
    ("sigma", "per_epoch", "count", "delta", "width"),
    [
        (1.0, 1000, 10, 1e-5, 2e-3),
        (1.0, 20_000, 1, 1e-5, 2e-3),
        (3.0, 100, 10, 1e-38, 2e-3),  # thirteen deviations, in ten epochs and in one
        (3.0, 20_000, 1, 1e-38, 2e-3),
        (0.7, 1000, 10, 1e-5, 2e-3),  # one large ratio decides
        (0.8, 235, 60, 1e-6, 2e-3),  # it would, but for the many epochs
        (0.8, 1000, 100, 1e-10, 2e-3),
        (3.0, 1000, 1, 1e-6, 2e-4),
    ],
)
def test_the_first_lattice_is_as_fine_as_it_has_to_be_and_no_finer(
    monkeypatch: pytest.MonkeyPatch, sigma: float, per_epoch: int, count: int, delta: float, width: float
) -> None:
    tried, ends = [], other_laws._ends

    def seen(*asked: Any) -> Any:
        tried.append(asked)
        return ends(*asked)

    monkeypatch.setattr(other_laws, "_ends", seen)
    plan = allocated_rounds.balls_in_bins(sigma, per_epoch, per_epoch * count)
    assert other_laws.epsilon_ends(plan, delta, width).relative_width <= width
    ((known, *rest),) = tried
    halvings = known[0][0].remove.halvings
    if halvings:
        coarser = other_laws.resolved(known, Resolution(halvings - 1, known[0][0].remove.reach))
        assert ends(coarser, *rest).relative_width > width


def test_where_nothing_is_proven_from_below_the_lattice_is_as_fine_as_the_upper_end_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whose relative width is 1 at any spacing: a lattice 64 times as fine took twenty times as long for 1e-6."""
    plan = Settings(1.0, 0.01, epochs=1, sampling="random-allocation", scheme_options=(("times", 2),)).plan()
    finest, ends = [], other_laws._ends

    def seen(known: other_laws.Known, *rest: Any) -> Any:
        finest.append(min(law.spacing or 1.0 for pair, _ in known for law in pair.directions))
        return ends(known, *rest)

    monkeypatch.setattr(other_laws, "_ends", seen)
    found = exact.epsilon(plan, 1e-5)
    assert found.lower == 0.0 and found.upper == pytest.approx(0.804246, rel=1e-5)
    assert len(finest) == 2 and finest[1] >= finest[0] / 2.0


def test_where_no_lattice_finds_an_upper_end_another_proof_gives_one() -> None:
    """At a delta next to the least float; a figure of no end was divided by another."""
    plan = Settings(noise_multiplier=3.0, sample_rate=Fraction(1, 2), epochs=1, sampling="balls-in-bins").plan()
    bound = accounting.epsilon(plan, 1e-300)
    assert bound.lower is not None and bound.upper is not None
    larger = accounting.epsilon(plan, 1e-250).upper
    assert larger is not None and larger < bound.lower <= bound.upper < 13


@pytest.mark.slow
def test_where_roundings_are_a_share_of_delta_the_paths_with_a_large_loss_are_looked_at_alone() -> None:
    """However fine the lattice, it left 7.6e-4 of the figure: one step of 200,000 decides, and no tilt suits that."""
    found = other_laws.epsilon_ends(allocated_rounds.balls_in_bins(1.0, 20_000, 200_000), 1e-20)
    assert found.relative_width <= WIDTH
    assert 0.6315744310438128 < found.lower < found.upper < 0.6320538994588175
    coarse = other_laws.epsilon_ends(allocated_rounds.balls_in_bins(1.0, 20_000, 200_000), 1e-20, 2e-3)
    assert coarse.lower <= found.lower < found.upper <= coarse.upper
    # Of roundings that are a share of delta the processor has a say: two of them differ by 1.3e-9 of an end.
    assert (coarse.lower, coarse.upper) == pytest.approx((0.631340223190052, 0.6324612422348791), rel=1e-7)
