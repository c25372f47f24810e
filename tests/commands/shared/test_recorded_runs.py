"""--spent and --phases by what runs left: folders, reports, what was printed, and Opacus's history."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "verify"))

from reports import DELTA, NOISE, PLAN, RATE, STEPS, figure, printed, report

from dpplan import accounting
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, ZERO_OUT, conversion
from dpplan.commands.shared import phase_parsing, plan_files, recorded_runs
from dpplan.commands.shared.accountant_option import AccountantChoice
from dpplan.commands.shared.phase_parsing import ParsedPlan
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.request import requested
from dpplan.errors import PlanError, UsageError
from dpplan.mechanism import Gaussian, Laplace, TreeAggregation
from dpplan.plan import Delta, Phase, Plan, Settings, resolve_delta
from dpplan.sampling import Poisson, Shuffle

THIS = Settings(noise_multiplier=1.0, sample_rate=0.01, steps=10)


def parsed(spent: str, settings: Settings = THIS) -> ParsedPlan:
    return phase_parsing.parse(PlanArguments(settings, spent=(spent,)))


def earlier(spent: str) -> list[Phase]:
    found = parsed(spent)
    assert found.plan is not None, found.problems
    return list(found.plan.phases[: found.earlier])


def wrong(spent: str, settings: Settings = THIS) -> str:
    (problem,) = parsed(spent, settings).problems
    return problem


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "report.json").write_text(json.dumps(report()), encoding="utf-8")
    return tmp_path


def test_a_run_is_its_folder_or_its_report(run: Path) -> None:
    for spent in (run, run / "report.json"):
        (phase,) = earlier(str(spent))
        assert (phase.settings["noise_multiplier"], phase.settings["sample_rate"]) == (NOISE, RATE)
        assert phase.steps == STEPS
    assert parsed(str(run)).known.examples == 1000


def test_of_a_run_that_ended_early_the_planned_steps_count_and_of_one_that_went_on_those_taken(run: Path) -> None:
    content = report(status="interrupted", spent__steps=7, verdict=[])
    (run / "report.json").write_text(json.dumps(content), encoding="utf-8")
    assert [phase.steps for phase in earlier(str(run))] == [STEPS]
    (told,) = recorded_runs.early_ends([str(run), "sigma=1,q=0.1,steps=7", " ", str(run / "nowhere")])
    assert told.startswith(f"{run}: interrupted after 7 of {STEPS} steps: all {STEPS} are counted.")
    (run / "steps").write_text(f"{STEPS + 2}", encoding="utf-8")
    assert [phase.steps for phase in earlier(str(run))] == [STEPS + 2]
    assert not list(recorded_runs.early_ends([str(run)]))


def test_a_run_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    names = [str(tmp_path / name) for name in ("mine-001", "copy", "other")]
    for name, identity in zip(names, "aab", strict=True):
        Path(name).mkdir()
        content = report(run={"id": identity, "resumes": []})
        (Path(name) / "report.json").write_text(json.dumps(content), encoding="utf-8")
        (Path(name) / "steps").write_text(f"{STEPS}", encoding="utf-8")
    first, copy, other = names
    arguments = PlanArguments(THIS, spent=(first, "sigma=1,q=0.1,steps=7", other, copy))
    with pytest.raises(UsageError) as refused:  # counted twice, no lower end would be true
        requested(arguments, None, AccountantChoice("exact", {}))
    assert refused.value.problems == (
        f"{copy}: has the run id and report of {first}: it is the same run. Leave it out.",
    )
    assert len(list(recorded_runs.counted_again([first, f"{first}/report.json"]))) == 1
    assert not list(recorded_runs.counted_again([first]))
    again = f"{copy}: has the run id and report of {first}: it is the same run. Leave it out."
    for twice in (PlanArguments(THIS, spent=(first, copy)), PlanArguments(Settings(), files=(first,), spent=(copy,))):
        assert plan_files.parse(twice).problems == [again]  # where check and solve PLAN ask, too
    assert plan_files.spent_alone((first, copy), THIS) == ((), [again])
    (Path(copy) / "steps").write_text(f"{STEPS + 1}", encoding="utf-8")  # it went on, and spent once more
    assert not list(recorded_runs.counted_again([first, copy, other]))


def test_a_run_that_left_no_report_counts_what_it_planned(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(report(spent=..., status=...)), encoding="utf-8")
    (tmp_path / "steps").write_text("42", encoding="utf-8")
    assert [phase.steps for phase in earlier(str(tmp_path))] == [STEPS]
    (told,) = recorded_runs.early_ends([str(tmp_path)])
    assert told.startswith(f"{tmp_path}: not finished after 42 of {STEPS} steps")
    for text in ("many", "-3", "1_0", " ", "9" * 200):
        (tmp_path / "steps").write_text(text, encoding="utf-8")
        told = wrong(str(tmp_path))
        assert f"nobody can tell: the {STEPS} planned at most, unless a copy of the folder went on. To count" in told
        typed = told.partition(" say ")[2].removesuffix(" in its place, by --phase or --spent.")
        assert [phase.steps for phase in earlier(typed)] == [STEPS]
    (tmp_path / "steps").write_bytes(b"")
    assert "nobody can tell" in wrong(str(tmp_path))
    (tmp_path / "steps").unlink()  # emptied or taken away by hand: that none was begun, nobody knows
    assert "nobody can tell" in wrong(str(tmp_path))
    (tmp_path / "metrics.jsonl").write_text(f'{{"counted": {STEPS + 1}}}', encoding="utf-8")
    told = wrong(str(tmp_path))  # of more than was planned no figure is safe
    assert told.endswith(f"nobody can tell: {STEPS + 1} or more are. Say what ran: sigma=1.1,q=0.01,steps=1000.")
    (tmp_path / "run.json").write_text(json.dumps(report(spent=..., status=..., seeded=True)), encoding="utf-8")
    assert "the run had a seed" in wrong(str(tmp_path)) and "steps=" not in wrong(str(tmp_path))


@pytest.mark.parametrize("reported", [False, True])
def test_a_run_that_took_no_step_has_no_plan_and_counts_nothing_beside_another(tmp_path: Path, reported: bool) -> None:
    run = tmp_path / "a run"
    run.mkdir()
    if reported:
        content = report(status="interrupted", spent__steps=0, spent__epsilon__upper=0.0, spent__epsilon__lower=0.0,
                         verdict=[])  # fmt: skip
        (run / "report.json").write_text(json.dumps(content), encoding="utf-8")
    else:
        (run / "run.json").write_text(json.dumps(report(spent=..., status=...)), encoding="utf-8")
        (run / "steps").write_bytes(b"%020d\n" % 0)
    plan = tmp_path / "plan.yaml"
    plan.write_text("phases: [{name: a, mechanism: {kind: laplace, epsilon: 1}}]", encoding="utf-8")
    assert recorded_runs.without_steps([str(run), str(plan), "sigma=1,q=0.1,steps=7", " ", "nowhere"]) == [run]
    alone = PlanArguments(Settings(), files=(str(run),))
    after = PlanArguments(Settings(), files=(str(run),), spent=("sigma=1,q=0.1,steps=7",))
    for arguments in (alone, after):
        (problem,) = plan_files.parse(arguments).problems
        assert problem.startswith(f"{run}: no step of this run was begun, so nothing was spent, and there is no plan")
        assert problem.endswith("What is planned can be typed: --phase sigma=1.1,q=0.01,steps=1000.")
    (run / "recipe.yaml").touch()
    assert plan_files.parse(alone).problems[0].endswith(f"is told by `dpplan check '{run}/recipe.yaml'`.")
    assert earlier(str(run)) == []
    assert plan_files.spent_alone((str(run),), Settings()) == ((), [])
    for spent, count in (((str(run),), 1), ((str(run), str(plan)), 2)):
        made = plan_files.parse(PlanArguments(Settings(), files=(str(plan),), spent=spent)).plan
        assert made is not None and len(made.phases) == count
    (problem,) = plan_files.parse(PlanArguments(Settings(), spent=(str(run),))).problems
    assert problem == "the run itself is missing: give --sigma, --q and --steps, or --phase."


def test_what_a_command_printed_is_its_plan(tmp_path: Path) -> None:
    file = tmp_path / "epsilon.json"
    file.write_text(json.dumps(printed()), encoding="utf-8")
    assert earlier(str(file)) == list(PLAN.phases)


def test_a_seeded_run_cannot_be_counted(run: Path) -> None:
    (run / "report.json").write_text(json.dumps(report(seeded=True, seed=1)), encoding="utf-8")
    assert "what it spent cannot be counted: the run had a seed" in wrong(str(run))


def test_neighbours_have_to_be_those_of_the_plan(run: Path) -> None:
    told = wrong(str(run), THIS.with_(adjacency=REPLACE_ONE))
    assert "different neighbours do not add up" in told and "(2ε, (1 + e^ε)·δ) under replace-one" in told


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_history_of_an_opacus_accountant_is_a_list_of_phases(tmp_path: Path, wrapped: bool) -> None:
    history = [[1.1, 0.01, 1000], [2.0, 0.02, 10]]
    content = {"history": history, "mechanism": "rdp"} if wrapped else history
    (tmp_path / "history.json").write_text(json.dumps(content), encoding="utf-8")
    found = earlier(str(tmp_path / "history.json"))
    assert [[*phase.settings.values(), phase.steps] for phase in found] == history


@pytest.mark.parametrize("spent", ["eps=1,delta=1e-5", "epsilon=1", "rho=0.5", "(1, 1e-5)", "1.0,1e-5", "mu=1"])
def test_a_guarantee_alone_is_refused_with_the_reason(spent: str) -> None:
    assert "(ε, δ) or ρ alone says too little to be composed exactly" in wrong(spent)


@pytest.mark.parametrize("pasted", ["[(2.0, 0.01, 500), (1.5, 0.02, 10)]", "[[2.0, .01, 500], [1.5, .02, 10]]"])
def test_a_history_that_was_pasted_is_told_how_it_is_typed(pasted: str) -> None:
    told = wrong(pasted)
    assert "rows of an accountant's history are typed as --spent sigma=2.0,q=" in told
    assert "steps=500 --spent sigma=1.5,q=" in told
    assert "too little" not in told


def test_a_folder_without_a_run_and_a_name_without_a_file_are_told(tmp_path: Path) -> None:
    assert "is not the folder of a run" in wrong(str(tmp_path))
    assert "no such file or folder" in wrong(str(tmp_path / "nowhere"))


TREE = Plan((Phase(TreeAggregation(4.0), Shuffle(5, "once"), 12),), adjacency=ZERO_OUT, examples=1000)
MIXED = Plan((Phase(Laplace(0.2), Poisson(1.0), 3), *TREE.phases), adjacency=ZERO_OUT, examples=1000)


def record(folder: Path, plan: Plan) -> str:
    """What `dpplan epsilon --json` prints of it."""
    (folder / "printed.json").write_text(json.dumps(printed(plan=plan)), encoding="utf-8")
    return str(folder / "printed.json")


@pytest.mark.slow
@pytest.mark.parametrize(
    "plan", [TREE, pytest.param(MIXED, marks=pytest.mark.slow)], ids=["tree", "laplace and a tree"]
)
def test_runs_of_shared_noise_and_of_other_mechanisms_are_composed_as_plans(plan: Plan, tmp_path: Path) -> None:
    spent = record(tmp_path, plan)
    found = plan_files.parse(PlanArguments(THIS.with_(adjacency=ZERO_OUT), spent=(spent,)))
    assert found.plan is not None, found.problems
    assert (found.plan.phases[: found.earlier], found.plan.phases[found.earlier].steps) == (plan.phases, 10)
    together = accounting.epsilon(found.plan, 1e-6)
    mu, one = math.sqrt(3) / 4.0, accounting.epsilon(plan, 1e-6)  # a tree of 8 + 4: some record is in 3 blocks at least
    assert one.upper is not None and together.upper is not None and one.upper < together.upper
    assert together.upper > (accounting.epsilon(Plan.from_rate(1 / mu, 1.0, 1), 1e-6).lower or 0)
    (problem,) = plan_files.parse(PlanArguments(THIS, spent=(spent,))).problems
    assert problem.startswith("adjacency=zero_out and adjacency=add_remove differ")


def test_what_ran_before_counts_for_a_run_that_is_solved_for(tmp_path: Path) -> None:
    spent, shared = record(tmp_path, TREE), Settings(adjacency=ZERO_OUT, examples=1000)
    assert plan_files.spent_alone((spent,), shared) == (TREE.phases, [])
    both, problems = plan_files.spent_alone((spent, "sigma=2,q=0.1,steps=4"), shared)
    assert problems == [] and [phase.steps for phase in both] == [4, 12]
    assert plan_files.spent_alone((), shared) == ((), [])
    none, (problem,) = plan_files.spent_alone((spent,), shared.with_(examples=999))
    assert none == () and problem.startswith("n=999 and n=1000 differ")
    (tmp_path / "plan.yaml").write_text("phases: [{mechanism: {kind: laplace, epsilon: 0.2}}]\n", encoding="utf-8")
    (phase,), problems = plan_files.spent_alone((str(tmp_path / "plan.yaml"),), Settings())
    assert (phase.mechanism, problems) == (Laplace(0.2), [])


def asked(*files: Path | str, spent: tuple[Path | str, ...] = (), delta: float | None = None, **said: Any) -> Delta:
    """The δ that `dpplan epsilon` answers at."""
    names, before = (tuple(map(str, each)) for each in (files, spent))
    arguments = PlanArguments(Settings(**said), files=names, spent=before)
    (found,) = requested(arguments, (delta,), AccountantChoice("exact", {})).deltas
    return found


def test_a_run_is_asked_at_the_delta_that_it_states(run: Path, tmp_path: Path) -> None:
    for name, at in (("a", 1e-5), ("b", 1e-5), ("c", 2e-6)):
        (tmp_path / name).mkdir()
        content = report(planned__delta=at, recipe__privacy__delta=at)
        for block in ("planned", "spent"):
            content[block]["epsilon"] = figure(delta=at)
        (tmp_path / name / "report.json").write_text(json.dumps(content), encoding="utf-8")
    a, b, c = (tmp_path / name for name in "abc")
    assert asked(c) == asked(c / "report.json") == Delta(2e-6, "the run's own")
    assert asked(c, delta=1e-3) == Delta(1e-3)
    assert asked(a, spent=(b,)) == Delta(1e-5, "the runs' own")
    assert asked(a, spent=(c,)) == resolve_delta(None, 1000)  # they do not agree
    assert asked(spent=(c,), noise_multiplier=2.0, sample_rate=0.1, steps=3) == resolve_delta(None, 1000)


def test_a_killed_run_is_asked_at_the_delta_of_its_plan(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(report(spent=..., status=...)), encoding="utf-8")
    (tmp_path / "steps").write_text("42", encoding="utf-8")
    assert asked(tmp_path) == Delta(DELTA, "the run's own")
    (tmp_path / "run.json").write_text(json.dumps(report(planned__delta=7, spent=..., status=...)), encoding="utf-8")
    assert asked(tmp_path) == resolve_delta(None, 1000)


@pytest.mark.parametrize("sigma", [0.7, 2.0])
def test_what_neighbours_and_units_are_converted_by_is_an_upper_bound(sigma: float) -> None:
    """Of Gaussian noise: a replacement moves the sum twice as far as a removal, and K records K times as far."""
    for epsilon in (0.1, 1.0, 3.0):
        one = Plan((Phase(Gaussian(sigma), Poisson(1.0), 1),))
        spent = accounting.delta(one, epsilon).upper
        assert spent is not None
        swapped = accounting.delta(Plan(one.phases, adjacency=REPLACE_ONE), 2 * epsilon).lower
        assert swapped is not None and swapped <= (1 + math.exp(epsilon)) * spent
        for many in (2, 3):
            apart = accounting.delta(Plan((Phase(Gaussian(sigma / many), Poisson(1.0), 1),)), many * epsilon).lower
            assert apart is not None and apart <= many * math.exp((many - 1) * epsilon) * spent


def test_the_refusal_of_mixed_neighbours_says_what_would_make_them_comparable() -> None:
    for other in (ADD_REMOVE, ZERO_OUT):
        said = conversion(REPLACE_ONE, other)
        assert said == conversion(other, REPLACE_ONE) and "reverse is not true" in said and str(other) in said
    assert "says anything of the other" in conversion(ADD_REMOVE, ZERO_OUT)
    with pytest.raises(PlanError, match=r"K·e\^\(\(K - 1\)ε\)·δ"):
        Plan((Phase(Gaussian(1.0), Poisson(1.0), 1, privacy_unit="example"),), privacy_unit="user")
