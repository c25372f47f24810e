"""Each sampling scheme's own module, the pairs of its epochs, and what shows them, imported by name."""

from fractions import Fraction

import pytest

from dpplan import notebook
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.exact.allocation_floor import event_bound
from dpplan.accounting.pairs.allocation.loss import UnknownLoss
from dpplan.accounting.pairs.dominating import gaussian, subsampled
from dpplan.accounting.pairs.epochs import cyclic, shuffled
from dpplan.adjacency import REPLACE_ONE, ZERO_OUT
from dpplan.commands import compare_samplers, compare_units, recipes
from dpplan.commands.shared import completion
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan, Settings, resolve_delta
from dpplan.render import recipes as listing
from dpplan.render import solve_batch_cap, solve_max_per_user
from dpplan.sampling.balls_in_bins import BallsInBins, RandomAllocation
from dpplan.sampling.cyclic_poisson import CyclicPoisson
from dpplan.sampling.fixed_size import FixedSize
from dpplan.sampling.loaders import LOADERS
from dpplan.sampling.poisson import Poisson
from dpplan.sampling.scheme import Binomial
from dpplan.sampling.shuffle import Shuffle
from dpplan.sampling.truncated_poisson import TruncatedPoisson
from dpplan.solve import batch_cap
from dpplan.solve.max_per_user import max_per_user


def test_each_scheme_knows_its_epochs_and_its_batch() -> None:
    assert Poisson(0.25).epochs(8) == 2
    assert Poisson(0.25).batch_law(100) == Binomial(100, 0.25)
    assert FixedSize(10, 100).epochs(20) == 2
    assert FixedSize(10, 100).expected_batch(100) == 10
    assert Shuffle(10, "fresh").epochs(25) == Fraction(5, 2)
    assert CyclicPoisson(0.5, 4, "own").epochs(8) == 1
    assert CyclicPoisson(0.5, 4, "own").expected_batch(80) == 10
    assert BallsInBins(10).epochs(25) == Fraction(5, 2)
    assert BallsInBins(10).sample_rate == 0.1
    assert RandomAllocation(10, 2).participations(30) == 6
    assert [RandomAllocation(10, 5).participations(steps) for steps in (3, 10, 11, 18)] == [3, 5, 6, 10]
    assert TruncatedPoisson(0.1, 5, 100).expected_batch(100) < 5
    assert TruncatedPoisson(0.1, 100, 100).expected_batch(100) == pytest.approx(10)


def test_an_epoch_of_a_scheme_counts_as_often_as_it_is_run() -> None:
    phase = Phase(Gaussian(2.0), Shuffle(10, "fresh"), 25)
    assert [count for _, count in shuffled(phase, ZERO_OUT)] == [2, 1]
    assert shuffled(phase, REPLACE_ONE)[0][0].remove == gaussian(1.0).remove
    ((pair, turns),) = cyclic(Phase(Gaussian(2.0), CyclicPoisson(0.5, 4, "place"), 10), ZERO_OUT)
    assert (pair.remove, turns) == (subsampled(gaussian(2.0), 0.5).remove, 3)


def test_a_loader_names_a_scheme_that_there_is_or_none() -> None:
    named = {loader.scheme for loader in LOADERS.values()}
    assert named <= {"poisson", "shuffle", "fixed-size", "truncated-poisson", "cyclic-poisson", None}
    assert LOADERS["torch-shuffle"].scheme == "shuffle"


def test_what_shows_schemes_and_recipes() -> None:
    assert notebook.table("a < b", [("σ", 1)]).startswith("<table><caption")
    assert "a &lt; b" in notebook.table("a < b", [])
    assert any(line.startswith("digits ") for line in listing.listed())
    assert [command.name for command in (compare_samplers.command, compare_units.command, recipes.command)] == [
        "samplers",
        "units",
        "recipes",
    ]
    assert [item.value for item in completion.items({"digits": "a", "audit": "b"}, "d")] == ["digits"]
    settings = Settings(
        noise_multiplier=2.0, examples=100, batch_size=10, steps=1, sampling="truncated-poisson",
        adjacency=ZERO_OUT,
    )  # fmt: skip
    found = batch_cap.cap(settings, 1e-3, 0.05, ())
    first, *others = solve_batch_cap.lines(found, resolve_delta(1e-3, 100))
    assert first.startswith(f"cap = {found.value}")
    assert first.endswith(f" ({found.spent.guarantee})")
    assert any("batches cut" in line for line in others)
    (bare,) = (line.split() for line in others if line.startswith("  without a cap "))
    assert bare[-1] == str(found.uncut.guarantee)
    assert any(line.split()[:2] == ["delta", "0.001"] for line in others)
    (cost,) = (line.split()[4] for line in others if line.startswith("  cost of the cap "))
    assert 100 * found.cost <= float(cost) <= 100 * found.cost * 1.1  # from above, so rounded up


def test_what_a_cap_costs_is_never_rounded_down() -> None:
    plan = Plan.from_rate(1.0, 0.1, 10)
    spent, uncut = (
        Bound("epsilon", value, value, Guarantee.CERTIFIED, "exact", plan.assumptions) for value in (1.00771, 1.0)
    )
    found = batch_cap.Cap(9, plan, 1e-3, spent, uncut, None, 0.000771, 8.0)
    told = [line.split() for line in solve_batch_cap.lines(found, resolve_delta(1e-3, 100))]
    assert ["cost", "of", "the", "cap", "0.78", "%"] in [line[:6] for line in told]
    assert ["batches", "cut", "0.078", "%"] in [line[:4] for line in told]


def test_the_most_examples_of_a_user_are_shown_with_what_one_more_spends() -> None:
    settings = Settings(noise_multiplier=4.0, sample_rate=0.01, steps=20, unit="user")
    found = max_per_user(settings, 1.0, 1e-5)
    first, *others = solve_max_per_user.lines(found, resolve_delta(1e-5, None))
    assert first.startswith(f"examples per user = {found.value} ") and first.endswith(f" ({found.spent.guarantee})")
    assert any(f"{found.value + 1} would spend" in line for line in others)


def test_an_event_says_something_of_allocations_alone() -> None:
    assert event_bound(Plan.from_rate(1.0, 0.1, 10)) is None
    event = event_bound(Plan((Phase(Gaussian(0.5), BallsInBins(10), 10),)))
    assert event is not None
    assert 0.0 < event.delta(0.5) < 1.0
    assert event.delta(0.5) > event_bound(Plan((Phase(Gaussian(1.0), BallsInBins(10), 10),))).delta(0.5)


def test_of_a_loss_that_is_not_known_all_may_be_lost() -> None:
    assert UnknownLoss().infinite == 1.0
