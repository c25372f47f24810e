"""Rules on how batches are drawn: each fires where it should, and only there."""

import dataclasses
from fractions import Fraction

import pytest
from lint_runs import SETTINGS, figure, found, looping, of_options, of_plan, only, searching, tied

from dpplan import accounting, lint, sampling
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, Adjacency
from dpplan.lint import Severity
from dpplan.lint.context import LOADERS
from dpplan.lint.finding import Remark
from dpplan.lint.rules import batches, parameters
from dpplan.mechanism import Gaussian, TreeAggregation
from dpplan.plan import Phase, Plan, Settings
from dpplan.sampling import CyclicPoisson, Poisson, Shuffle
from dpplan.verdict import Standing

DELTA = 1e-6
UNEVEN = {"noise_multiplier": 0.9, "examples": 5_000, "batch_size": 384, "epochs": 3}  # 13.02 batches an epoch


def uneven(loader: str, **settings: object) -> lint.LintContext:
    return of_options(run={"loop": lint.Loop(loader=loader)}, **{**UNEVEN, **settings})


def differs(loader: str, **settings: object) -> Remark:
    (remark,) = batches.loader_differs(uneven(loader, **settings))
    return remark


# DP008


@pytest.mark.parametrize("loader", ["shuffle", "fixed"])
def test_a_loader_that_is_not_poisson_is_an_error(loader: str) -> None:
    finding = only(looping(loader=loader), "DP008")
    assert finding.severity is Severity.ERROR
    assert "the figure is for Poisson sampling, and the loader" in finding.message


def test_the_long_words_say_what_opacus_makes_of_a_loader_that_shuffles() -> None:
    assert "`--loader opacus`" in lint.explanation("DP008")


def test_beside_a_plan_file_what_is_drawn_is_written_into_the_file() -> None:
    run = dataclasses.replace(
        looping(loader="shuffle"), names=("a",), in_plan_file=True, settings=Settings(examples=60_000)
    )
    finding = only(run, "DP008")
    assert (
        "Or claim what is drawn: kind: shuffle under sampling and adjacency: zero-out, in the plan file" in finding.fix
    )
    assert "--sampling" not in finding.fix + finding.message


def test_a_poisson_loader_and_any_loader_of_full_batches_are_fine() -> None:
    assert found(looping(loader="poisson"), "DP008") == []
    full = of_options(batch_size=60_000, epochs=5, run={"loop": lint.Loop(loader="fixed")})
    assert found(full, "DP008") == found(full, "DP007") == []


def test_full_batches_of_noise_that_steps_share_are_of_a_record_in_every_step() -> None:
    offered = only(of_plan(tied(1, CyclicPoisson(0.01, 10, "place")), loader="shuffle"), "DP008").fix
    whole = accounting.epsilon(Plan((tied(30, Poisson(1.0)),), adjacency=ZERO_OUT), DELTA).upper
    assert whole is not None
    assert whole <= figure("cost ε ≤", offered) <= 1.001 * whole


def declared(separation: int, adjacency: Adjacency, loader: str, **noise: int) -> lint.LintContext:
    """100 steps of a tree, an example in at most 4 of them."""
    phase = Phase(TreeAggregation(6.0, **{"participations": 4, **noise}, separation=separation), Poisson(1.0), 100)
    return dataclasses.replace(looping(loader=loader), plan=Plan((phase,), adjacency=adjacency, examples=60_000))


@pytest.mark.parametrize("loader", sorted(LOADERS))
@pytest.mark.parametrize("adjacency", [ADD_REMOVE, ZERO_OUT, REPLACE_ONE], ids=lambda each: each.name)
def test_no_loader_that_draws_anew_keeps_the_steps_of_noise_that_steps_share(loader: str, adjacency: Adjacency) -> None:
    """An example that is in the last step of an epoch can be in the first of the next: that costs 8.41 and not 6.29."""
    kept = loader == "sequential" and adjacency != ADD_REMOVE
    run = dataclasses.replace(declared(10, adjacency, loader), claim=lint.StatedClaim(epsilon=1_000.0))
    finding = only(run, "DP008")
    assert finding.severity is (Severity.WARNING if kept else Severity.ERROR)
    assert "each example in at most 4 steps, at least 10 apart" in finding.message
    assert ("where an epoch has 25 steps or more" in finding.message) is kept
    assert ("--loader sequential" in finding.fix) is not kept
    standing = lint.claim_standing(run, lint.check(run))
    assert standing is not None and (standing.standing is Standing.STANDS) is kept


def test_a_new_order_for_each_epoch_is_told_what_it_costs_and_keeps_a_separation_of_one() -> None:
    phase = Phase(TreeAggregation(6.0, participations=4, separation=1), Poisson(1.0), 100)
    upper = accounting.epsilon(Plan((phase,), adjacency=ZERO_OUT), DELTA).upper
    offered = only(declared(10, ZERO_OUT, "torch-shuffle"), "DP008").fix
    assert upper is not None and upper <= figure("keeps: ε ≤", offered) <= 1.001 * upper
    for loader in ("torch-shuffle", "drop-last", "hf-trainer", "shuffle", "sequential"):
        assert only(declared(1, ZERO_OUT, loader), "DP008").severity is Severity.WARNING
        assert only(declared(1, ADD_REMOVE, loader), "DP008").severity is Severity.ERROR
    for loader in ("poisson", "opacus", "fixed", "webdataset", "distributed", "jax-privacy"):
        assert only(declared(1, ZERO_OUT, loader), "DP008").severity is Severity.ERROR


def test_what_a_loader_may_keep_with_room_to_spare_has_no_lower_end() -> None:
    kept, put = declared(10, ZERO_OUT, "sequential").epsilon, declared(10, ZERO_OUT, "torch-shuffle").epsilon
    assert kept is not None and put is not None
    assert (kept.lower, kept.upper) == (None, put.upper) and put.lower is not None


def test_noise_of_one_fixed_order_is_not_for_a_new_order_each_epoch() -> None:
    phase = Phase(TreeAggregation(6.0), Shuffle(25, "once"), 100)
    run = dataclasses.replace(looping(loader="torch-shuffle"), plan=Plan((phase,), adjacency=ZERO_OUT))
    assert "the last step of one and in the first of the next" in only(run, "DP008").message
    assert found(dataclasses.replace(run, loop=lint.Loop(loader="sequential")), "DP008") == []


def test_noise_that_steps_share_is_right_with_any_loader_where_everybody_is_in_every_step() -> None:
    assert found(declared(1, ADD_REMOVE, "torch-shuffle", participations=100), "DP008") == []


def test_of_a_plan_of_both_the_phase_that_is_drawn_otherwise_is_told() -> None:
    pattern, drawn = declared(10, ADD_REMOVE, "poisson").plan, Phase(Gaussian(5.0), Poisson(0.01), 10)
    assert pattern is not None
    both = dataclasses.replace(pattern, phases=(*pattern.phases, drawn))
    run = dataclasses.replace(looping(loader="poisson"), plan=both)
    assert "at most 4 steps" in only(run, "DP008").message
    assert len(found(dataclasses.replace(run, loop=lint.Loop(loader="torch-shuffle")), "DP008")) == 2


def test_full_batches_of_more_steps_than_a_record_is_counted_in_are_not_offered() -> None:
    phase = dataclasses.replace(tied(1, CyclicPoisson(0.01, 10, "place")), steps=20_000)
    assert "full batches" not in only(of_plan(phase, loader="shuffle"), "DP008").fix


def test_a_loader_that_costs_less_than_the_figure_is_told_so() -> None:
    """Of shuffled batches, of which 2.943 is proven; Opacus draws by Poisson sampling, and was said to cost more."""
    data = {"examples": 10_000, "batch_size": 100, "epochs": 2, "delta": 1e-5, "noise_multiplier": 2.0}
    run = of_options(**data, sampling="shuffle", adjacency=ZERO_OUT, run={"loop": lint.Loop(loader="opacus")})
    message = only(run, "DP008").message
    own = accounting.epsilon(Plan.from_rate(2.0, 0.01, 200), 1e-5).upper
    assert own is not None and own <= figure("its own ε is", message) <= 1.001 * own
    assert "larger" not in message
    claimed = dataclasses.replace(run, claim=lint.StatedClaim(epsilon=0.3))
    standing = lint.claim_standing(claimed, lint.check(claimed))
    assert standing is not None and standing.of == " of what opacus runs" and not standing.contradicted
    phase = Phase(Gaussian(2.0), Shuffle(100, "fresh"), 50)
    assert "its own ε is another" in only(of_plan(phase, phase, loader="opacus"), "DP008").message
    assert "many times larger" in only(of_plan(phase, phase, loader="weighted"), "DP008").message


def test_trials_of_a_search_are_held_against_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Plan] = []  # and not answered: a search takes seconds
    monkeypatch.setattr(batches, "proven", lambda plan, delta: asked.append(plan))
    trial = Phase(Gaussian(4.0), Poisson(0.02), 50)
    assert len(list(batches.loader_differs(of_plan(searching(trial), loader="shuffle")))) == 1
    assert not list(batches.loader_differs(of_plan(searching(trial), loader="poisson")))
    full = dataclasses.replace(trial, sampling=Poisson(1.0))
    assert [plan.only_phase for plan in asked] == [searching(full)]


def shuffled(rate: Fraction, **length: float) -> tuple[float, float]:
    said = Settings(noise_multiplier=0.9, sample_rate=rate, sampling="shuffle", adjacency=ZERO_OUT).with_(**length)
    bound = accounting.epsilon(said.plan(), DELTA)
    assert bound.lower is not None and bound.upper is not None
    return bound.lower, bound.upper


def test_shuffled_batches_are_told_what_is_proven_of_them_and_by_which_command() -> None:
    finding = differs("torch-shuffle")
    lower, upper = shuffled(Fraction(1, 14), epochs=3)
    assert 0.999 * lower <= figure("under zero-out lies between", finding.message) <= lower
    assert upper <= figure(r"lies between \S+ and", finding.message) <= 1.001 * upper
    assert finding.message.endswith(
        "(dpplan epsilon --sigma 0.9 --n 5000 --batch 384 --epochs 3 --delta 1e-06 --sampling shuffle "
        "--adjacency zero-out)."
    )


@pytest.mark.slow
def test_a_loader_that_drops_part_batches_is_told_the_upper_end_of_its_shorter_epochs() -> None:
    """The lower end is of records that are in every epoch; 40 steps are of 4 epochs of 13."""
    finding = differs("drop-last")
    assert "what is proven from above holds" not in finding.message and "between" not in finding.message
    upper = shuffled(Fraction(1, 13), epochs=3)[1]
    assert upper <= figure("is proven to be at most", finding.message) <= 1.001 * upper
    in_steps = differs("drop-last", epochs=None, steps=40)
    upper = shuffled(Fraction(1, 13), steps=40)[1]
    assert upper <= figure("is proven to be at most", in_steps.message) <= 1.001 * upper
    assert "Or claim from above: --q 1/13 in place of --batch, --sampling shuffle" in in_steps.fix


def test_shorter_epochs_than_those_of_the_figure_are_an_error() -> None:
    said = {"sampling": "shuffle", "adjacency": ZERO_OUT, "epochs": None}
    finding = differs("drop-last", steps=40, **said)
    assert "takes ⌊5000 / 384⌋ = 13 steps per epoch, so that 40 steps are of 4 epochs" in finding.message
    assert (finding.severity, finding.fix) == (Severity.ERROR, "Give --q 1/13 in place of --batch.")
    for loader, steps in (("drop-last", 39), ("torch-shuffle", 40)):
        assert not list(batches.loader_differs(uneven(loader, steps=steps, **said)))
    assert not list(batches.loader_differs(uneven("drop-last", sampling="shuffle", adjacency=ZERO_OUT)))


def test_what_is_offered_in_place_of_shuffling_costs_what_is_said() -> None:
    offered = differs("torch-shuffle").fix
    bins = Settings(noise_multiplier=0.9, sample_rate=Fraction(1, 14), epochs=3, examples=5_000)
    upper = accounting.epsilon(bins.with_(sampling="balls-in-bins").plan(), DELTA).upper
    assert upper is not None and upper <= figure("too: ε ≤", offered) <= 1.001 * upper
    assert "--q 1/14 --n 5000 --epochs 3 --delta 1e-06 --sampling balls-in-bins" in offered
    assert "make_private(poisson_sampling=True) and DPDataLoader.from_data_loader" in offered


def test_full_batches_are_no_fix_where_they_promise_nothing() -> None:
    assert "full batches" not in differs("torch-shuffle").fix
    assert "full batches" in differs("torch-shuffle", noise_multiplier=5).fix


def test_a_loader_without_a_theorem_is_told_of_the_nearest_that_has_one() -> None:
    assert "--sampling fixed-size" in differs("replacement").fix
    assert "nearest" not in differs("weighted").fix


def test_cycles_are_for_the_user_to_say_and_a_plan_of_phases_has_no_command() -> None:
    assert "--sampling cyclic-poisson with its cycles as --groups" in differs("jax-privacy").message
    phases = (Phase(Gaussian(2.0), Poisson(0.01), 10), Phase(Gaussian(3.0), Poisson(0.01), 10))
    told = only(of_plan(*phases, loader="torch-shuffle"), "DP008")
    assert "dpplan epsilon" not in told.message and "compare samplers" not in told.fix


# DP019


def test_a_loader_that_ends_epochs_with_part_batches_takes_more_steps() -> None:
    finding = only(of_options(), "DP019")
    assert (finding.severity, finding.where) == (lint.Severity.NOTE, "--epochs")
    told = (
        "⌈60000 / 256⌉ = 235 steps per epoch, 14100 in all, and the figure is for 14063; 14100 steps would make it ε ≤ "
    )
    assert told in finding.message
    assert "--steps 14100" in finding.fix
    shuffled = only(of_options(run={"loop": lint.Loop(loader="shuffle")}), "DP019")
    assert shuffled.severity is lint.Severity.WARNING


PHASES = (SETTINGS, SETTINGS.with_(batch_size=512, epochs=6, noise_multiplier=2.0))


def in_phases(*said: Settings | None, names: tuple[str, ...] = (), loader: str = "poisson") -> lint.LintContext:
    """A run of phases, of which those are told by n, batch and epochs that are said."""
    phases = tuple((each or SETTINGS).plan().only_phase for each in said)
    run = of_plan(*phases, loader=loader)
    return dataclasses.replace(run, settings=Settings(examples=60_000), said=said, names=names)


def test_phases_that_are_told_by_epochs_take_more_steps_too() -> None:
    finding = only(in_phases(SETTINGS), "DP019")
    told = "a loader that ends each epoch with what is left takes ⌈60000 / 256⌉ = 235 steps per epoch, 14100 in all"
    assert (finding.where, finding.message.startswith(told)) == ("epochs", True)
    assert finding.fix == "Stop the loop after 14063 steps, or give 14100 steps in place of the epochs."
    assert only(in_phases(None, SETTINGS, names=("a", "train")), "DP019").message.startswith(f"train: {told}")
    assert found(in_phases(None, None), "DP019") == []
    assert found(in_phases(SETTINGS.with_(steps=14_063, epochs=None)), "DP019") == []


@pytest.mark.parametrize(("loader", "q"), [("poisson", ""), ("opacus", " with q = 1/235")])
def test_of_several_such_phases_the_cost_is_told_of_all_together(loader: str, q: str) -> None:
    finding = only(in_phases(*PHASES, loader=loader), "DP019")
    assert f"phase 1: ⌈60000 / 256⌉ = 235 steps per epoch{q}, 14100 in all, for 14063; phase 2:" in finding.message
    rates = (256 / 60_000, 512 / 60_000) if loader == "poisson" else (1 / 235, 1 / 118)
    taken = zip((1.1, 2.0), rates, (14_100, 708), strict=True)
    upper = accounting.epsilon(Plan(tuple(Phase(Gaussian(s), Poisson(q), t) for s, q, t in taken)), DELTA).upper
    assert upper is not None and upper <= figure("would make it ε ≤", finding.message) <= 1.001 * upper
    assert "phase 3" in only(in_phases(*PHASES, *PHASES), "DP019").message
    assert "; and so of 1 more." in only(in_phases(*PHASES, *PHASES), "DP019").message


def test_opacus_is_told_of_a_phase_with_its_own_rate() -> None:
    finding = only(in_phases(SETTINGS, loader="opacus"), "DP019")
    assert finding.message.startswith("Opacus takes 235 steps per epoch, 14100 in all, each with q = 1/235: ε ≤ ")
    assert finding.fix == "Give a sample rate of 1/235 and 14100 steps in place of the batch and the epochs."


def test_opacus_is_told_with_its_own_rate() -> None:
    finding = only(of_options(run={"loop": lint.Loop(loader="opacus")}), "DP019")
    assert finding.severity is lint.Severity.WARNING
    start = "Opacus takes 235 steps per epoch, 14100 in all, each with q = 1/235: ε ≤ "
    assert finding.message.startswith(start)
    taken = Plan((Phase(Gaussian(1.1), Poisson(1 / 235), 14_100),))
    upper, said = accounting.epsilon(taken, 1e-6).value, float(finding.message.removeprefix(start).split(". ")[0])
    assert upper <= said <= 1.001 * upper
    assert finding.fix == "Give --q 1/235 --steps 14100 in place of --batch and --epochs."


def test_whole_batches_steps_and_recipes_have_no_part_batches() -> None:
    assert found(of_options(batch_size=250), "DP019") == []
    assert found(of_options(steps=14_063, epochs=None), "DP019") == []
    assert found(of_options(run={"recipe": "mine"}), "DP019") == []


@pytest.mark.parametrize("loader", sorted(sampling.LOADERS))
def test_each_loader_takes_the_steps_that_its_part_batches_make(loader: str) -> None:
    """3 epochs of 5,000 in batches of 384: 14 batches each with the last part, 13 without, and 40 by the plan."""
    part, found_ = sampling.LOADERS[loader].part, list(batches.epochs_end_in_part_batches(uneven(loader)))
    assert bool(found_) == (part.startswith("kept") or loader == "opacus")
    if part:
        assert f"the last part of a batch is {part}" in sampling.LOADERS[loader].words
    if found_ and loader != "opacus":
        assert found_[0].severity is Severity.WARNING
        assert f"{loader} ends each epoch with what is left and takes ⌈5000 / 384⌉ = 14" in found_[0].message
    assert (loader == "webdataset") == any("each worker" in one.message for one in found_)


def test_steps_of_full_batches_are_not_held_against_longer_epochs() -> None:
    assert not list(parameters.steps_rounded_down(uneven("drop-last", steps=39)))
    short = next(parameters.steps_rounded_down(uneven("drop-last", steps=38)))
    assert "steps=38 is less than the 39 of epochs=3" in short.message
    assert next(batches.epochs_end_in_part_batches(uneven("drop-last", steps=38))).message.startswith(
        "drop-last takes ⌊5000 / 384⌋ = 13"
    )
    assert next(parameters.steps_rounded_down(uneven("torch-shuffle", steps=39))).severity is Severity.ERROR
    just_short = {"examples": 50_000, "epochs": None, "steps": 3255}  # of 3255.2
    assert not list(parameters.steps_rounded_down(uneven("drop-last", **just_short)))
    assert next(parameters.steps_rounded_down(uneven("torch-shuffle", **just_short))).severity is Severity.WARNING
    by_rate = {"batch_size": None, "sample_rate": 0.01, "steps": 250}
    assert "less than the 300" in next(parameters.steps_rounded_down(uneven("drop-last", **by_rate))).message
