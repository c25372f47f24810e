"""Plans of several phases and earlier runs, typed and in files, in a process of its own."""

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from dpplan.adjacency import REPLACE_ONE, ZERO_OUT
from dpplan.commands.shared import phase_parsing, plan_files, recorded_runs
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.errors import PlanError, ReportError
from dpplan.mechanism import Gaussian
from dpplan.open_noise import Opening
from dpplan.plan import Phase, Plan, Settings
from dpplan.sampling import Poisson

Run = Callable[..., CompletedProcess[str]]
TWO = ("--phase", "sigma=1.1,q=0.01,steps=1000", "--phase", "sigma=2,n=60000,batch=256,epochs=3")


def upper(done: CompletedProcess[str]) -> float:
    assert (done.returncode, done.stderr) == (0, "")
    return float(json.loads(done.stdout)["results"][0]["epsilon"]["upper"])


def parsed(*typed: str, spent: tuple[str, ...] = (), **settings: object) -> phase_parsing.ParsedPlan:
    return phase_parsing.parse(PlanArguments(Settings(**settings), typed, (), spent))  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["σ", "Σ", "sigma", "noise-multiplier"])
def test_the_noise_of_a_phase_is_written_as_options_and_tables_call_it(key: str) -> None:
    plan = parsed(f"{key}=2,q=0.1,steps=10", spent=(f"{key}=3,q=0.1,steps=10",)).plan
    assert plan is not None and [phase.mechanism for phase in plan.phases] == [Gaussian(3), Gaussian(2)]


def test_phases_are_listed_with_their_origin_and_delta_comes_from_their_n(dpplan: Run) -> None:
    done = dpplan("epsilon", *TWO, COLUMNS="80")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[1:] == [
        "",
        "  phases             2 phases         1704 steps",
        "    1     σ = 1.1        q = 0.01         1000 steps",
        "    2     σ = 2          q = 0.00426667   704 steps",
        "      = ⌈3 epochs × 60000 / 256⌉",
        "  steps              1704             in all",
        "  delta              1e-06            largest power of ten ≤ 1 / (10 × 60000)",
        "  assumes            Poisson sampling, add/remove one example",
    ]


def test_json_has_every_phase_and_where_its_figures_come_from(dpplan: Run) -> None:
    plan = json.loads(dpplan("epsilon", *TWO, "--json").stdout)["plan"]
    assert [phase["steps"] for phase in plan["phases"]] == [1000, 704]
    assert plan["derivation"]["phases[1].steps"] == "⌈3 epochs × 60000 / 256⌉"
    assert plan["noise_multiplier"] is None
    assert plan["examples"] == 60000


def test_two_phases_that_are_equal_cost_what_one_of_both_lengths_does(dpplan: Run) -> None:
    half = ("--phase", "sigma=4,q=1/100,steps=5000")
    two = upper(dpplan("epsilon", *half, *half, "--delta", "1e-5", "--json"))
    assert two == upper(
        dpplan("epsilon", "--sigma", "4", "--q", "1/100", "--steps", "1e4", "--delta", "1e-5", "--json")
    )


def test_one_phase_is_shown_as_the_options_are(dpplan: Run) -> None:
    phase = dpplan("epsilon", "--phase", "noise-multiplier=1.1,examples=6e4,batch_size=256,epochs=60")
    options = dpplan("epsilon", "--sigma", "1.1", "--n", "60000", "--batch", "256", "--epochs", "60")
    assert phase.stdout == options.stdout != ""


def test_noise_and_rate_that_may_be_swapped_are_asked_about_in_the_words_of_the_phase(
    dpplan: Run, tmp_path: Path
) -> None:
    quick = ("--accountant", "rdp")  # the warning is of the plan, whoever accounts for it
    end = ("--delta", "1e-6", "--spent", "sigma=4,q=0.01,steps=1", *quick)
    phases = ("--phase", "sigma=.01,q=.9,steps=1", "--phase", "sigma=256,n=60000,batch=1.1,steps=1")
    said = dpplan("epsilon", *phases, *end).stderr
    assert "warning: phase 1: sigma=0.01 is little noise and q=0.9 a large sample rate." in said
    assert "If the two are swapped: sigma=0.9 q=0.01." in said
    assert "phase 2: sigma=256 is much noise and batch=1.1 a small batch." in said
    file = tmp_path / "plan.yaml"
    drawn = "steps: 1, sampling: {{kind: poisson, sample_rate: {}}}"
    text = "phases:\n- {{mechanism: {{kind: gaussian, noise_multiplier: 0.01}}, " + drawn + "}}\n"
    file.write_text(text.format("0.9"), encoding="utf-8")
    swapped = "phase 1: noise_multiplier=0.01 is little noise and sample_rate=0.9 a large sample rate."
    assert swapped in dpplan("epsilon", str(file), "--delta", "1e-6", *quick).stderr
    file.write_text(text.format("1.1"), encoding="utf-8")
    refused = dpplan("epsilon", str(file), "--delta", "1e-6")
    assert refused.returncode == 2
    assert "Are sigma and q swapped? Try noise_multiplier 1.1 sample_rate 0.01." in refused.stderr


def test_earlier_runs_add_up_and_stand_apart_with_what_they_cost_alone(dpplan: Run) -> None:
    now = ("--sigma", "4", "--q", "0.01", "--steps", "1000", "--delta", "1e-5")
    before = ("--spent", "sigma=2,q=0.01,steps=500")
    done = dpplan("epsilon", *before, *now)
    lines = done.stdout.splitlines()
    alone = json.loads(dpplan("epsilon", *before, *now, "--json").stdout)["spent_before"]
    assert alone["phases"] == 1
    cost = alone["results"][0]["epsilon"]["upper"]
    assert cost == upper(dpplan("epsilon", "--phase", before[1], "--delta", "1e-5", "--json"))
    together = upper(dpplan("epsilon", *before, *now, "--json"))
    assert together == upper(dpplan("epsilon", "--phase", before[1], "--phase", "sigma=4,q=.01,steps=1e3",
                                    "--delta", "1e-5", "--json"))  # fmt: skip
    assert max(cost, upper(dpplan("epsilon", *now, "--json"))) < together
    assert [line.split()[:2] for line in lines[2:4]] == [["spent", "before"], ["earlier", "runs"]]
    assert lines[2].endswith("alone, at δ = 1e-05")
    assert lines[5].split()[:2] == ["this", "run"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "sigma,q,steps,epochs\n1.1,1/100,1000,\n\n2, 1/79,,3\n"),
        ("a.csv", 'sigma,sample_rate,steps,epochs\n1.1,1e-2,1_000,\n"2",1/79,,3\n'),
        ("a.json", '[{"sigma": 1.1, "q": 0.01, "steps": 1000}, {"sigma": 2, "q": "1/79", "steps": null, "epochs": 3}]'),
        ("a.yaml", "- {sigma: 1.1, q: 1e-2, steps: 1000}\n- sigma: 2\n  q: 1/79\n  epochs: 3\n"),
        ("a.YML", "- &first {sigma: 1.1, q: 1e-2, steps: 1000}\n- {sigma: 2, q: 1/79, epochs: 3, n: null}\n"),
    ],
)
def test_files_hold_the_same_phases_in_three_formats(tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    found = phase_parsing.parse(PlanArguments(Settings(batch_size=None), (), (str(file),)))
    assert found.problems == []
    assert found.plan
    assert [phase.steps for phase in found.plan.phases] == [1000, 237]
    assert found.plan.phases[1].sampling.sample_rate == 1 / 79


WRONG = "- {sigma: 1, q: 0.1, steps: 5}\n- {sgma: 2, q: 3, steps: [1]}"


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (
            "a.yaml",
            WRONG,
            "{}:2: 'sgma' is not one of: sigma, q, steps, n, batch, epochs, sampling. Did you mean 'sigma'?",
        ),
        ("a.yaml", WRONG, "{}:2: steps=a list is not a whole number"),
        ("a.yaml", WRONG, "{}:2: q=3 is not in (0, 1]."),
        ("a.yaml", "sigma: 1", "{}:1: is not a list of phases. Write a line for each phase"),
        ("a.yaml", "- [1}", "{}:1: is not YAML: "),
        ("a.yaml", "", "{}: has no phases."),
        ("a.yaml", "- {sigma: 1, sigma: 2, q: 0.1, steps: 5}", "{}:1: sigma is given twice."),
        ("a.json", '[{"sigma": 1, "noise_multiplier": 2}]', "{}, phase 1: sigma is given twice."),
        ("a.json", '[{"sigma": 1, "q": 0.1, "steps": true}]', "{}, phase 1: steps=true is not a whole number"),
        ("a.json", '{"sigma": 1}', "{}: is not a list of phases. Write ["),
        ("a.json", "[1", "{}: is not JSON: "),
        ("a.csv", "sigma,q,steps\n1,.1\n", "{}:2: has 2 cells under 3 names."),
        ("a.csv", 'sigma,q\n"1,.1\n', "{}:2: is not CSV: "),
        ("a.csv", "sigma,q,steps\n,.1,9\n", "{}:2: sigma is missing: give sigma=."),
        ("a.txt", "", "{}: does not end in .yaml, .yml, .json, .csv."),
    ],
)
def test_every_mistake_in_a_file_names_its_place(tmp_path: Path, name: str, content: str, sentence: str) -> None:
    file = tmp_path / name
    file.write_text(content, encoding="utf-8")
    found = phase_parsing.parse(PlanArguments(Settings(), (), (str(file),)))
    assert found.plan is None
    assert any(problem.startswith(sentence.format(file)) for problem in found.problems), found.problems


def test_a_file_that_is_not_there_hides_no_other_mistake_and_invents_none(dpplan: Run) -> None:
    done = dpplan("epsilon", "--phases", "none.csv", "--phase", "sigma=0,q=1,steps=2")
    assert done.returncode == 2
    head, missing, noise = done.stderr.splitlines()
    assert head == "error: 2 problems with this plan"
    assert missing.startswith("  none.csv: no such file.")
    assert noise.startswith("  phase 1: sigma=0 is not a positive number.")


def test_every_mistake_of_every_phase_is_told_and_names_its_phase(dpplan: Run) -> None:
    done = dpplan(
        "epsilon", "--phase", "sigma=-1,q=1%,steps=3,n=5", "--phase", "q=1,000,foo=1,epochs=", "--spent",
        "sigma=1,q=.1,steps=3,n=7", "--steps", "8",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    for sentence in (
        "--steps beside --phase: each phase says all of its own. Write --phase steps=8,... or give no --phase.",
        "phase 2: '000' is no key=value. Write sigma=1.1,q=0.01,steps=1000: numbers without commas.",
        "phase 2: 'foo' is not one of: sigma, q, steps, n, batch, epochs, sampling.",
        "phase 2: epochs has no value. Write epochs=... or leave it out.",
        "n=7 (spent 1) and n=5 (phase 1) differ: earlier runs and phases add up on the same data only. Give one n.",
        "phase 1: sigma=-1 is not a positive number.",
        "phase 1: q=1% is a percentage, where a fraction is meant. Write q=0.01.",
        "phase 2: sigma is missing: give sigma=.",
        "phase 2: the length of the run is missing: give steps= or epochs=.",
    ):
        assert f"\n  {sentence}" in done.stderr, sentence


def test_options_beside_a_file_are_told_of_the_file_and_of_no_phase(dpplan: Run) -> None:
    done = dpplan("epsilon", "--sigma", "1", "--batch", "5", "extra.yaml")
    told = "--batch beside extra.yaml: its phases say all of their own. Write them there, or leave extra.yaml out."
    assert told in " ".join(done.stderr.split()) and "extra.yaml: no such file" in done.stderr
    assert "--phase" not in done.stderr


def test_n_may_be_given_once_for_all_phases() -> None:
    found = parsed(
        "sigma=1,batch=10,steps=5", "sigma=2,batch=20,epochs=2", spent=("sigma=3,q=.1,steps=2",), examples=1000
    )
    assert found.plan
    assert [phase.sampling.sample_rate for phase in found.plan.phases] == [0.1, 0.01, 0.02]
    assert found.plan.examples == 1000
    assert found.earlier == 1
    assert found.plan.batch_size is None


def test_earlier_runs_without_a_run_are_pointed_to_phase() -> None:
    found = parsed(spent=("sigma=3,q=.1,steps=2",))
    assert found.plan is None
    assert len(found.problems) == 1
    assert found.problems[0].startswith("the run itself is missing: give --sigma, --q and --steps, or --phase.")


def test_earlier_runs_in_a_file_are_pointed_to_the_command_that_takes_it(tmp_path: Path) -> None:
    for name, text in (
        ("rows.json", '[{"sigma": 3, "q": 0.1, "steps": 2}]'),
        ("a plan.yaml", "phases: [{name: a, mechanism: {kind: laplace, epsilon: 1}}]"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        call = f"is told by `dpplan epsilon {shlex.quote(str(tmp_path / name))}`."
        (problem,) = plan_files.parse(PlanArguments(Settings(), spent=(str(tmp_path / name),))).problems
        assert problem.endswith(call) and "given as --phase" not in problem
    both = tuple(str(each) for each in sorted(tmp_path.iterdir()))
    (problem,) = plan_files.parse(PlanArguments(Settings(), spent=both)).problems
    files = [shlex.quote(each) for each in both]
    assert problem.endswith(f"is told by `dpplan epsilon {files[0]} --spent {files[1]}`.")
    for spent in ((str(tmp_path / "nowhere"),), (both[0], str(tmp_path / "nowhere"))):
        assert "What earlier runs cost" not in "".join(
            plan_files.parse(PlanArguments(Settings(), spent=spent)).problems
        )


def test_of_a_thousand_alike_mistakes_twenty_are_told_and_the_rest_counted() -> None:
    found = parsed(*["sigma=1,q=.1"] * 1000)
    assert len(found.problems) == phase_parsing.MOST_TOLD + 1
    assert found.problems[-1] == "... and 980 more."
    assert str(PlanError(["another", *found.problems])).startswith("1001 problems with this plan\n")


@pytest.mark.slow
def test_a_schedule_of_many_phases_is_counted_in_text_and_whole_in_json(dpplan: Run, tmp_path: Path) -> None:
    rows = [f"{1 + i / 40},0.01,10" for i in range(40)]
    (tmp_path / "noise.csv").write_text("\n".join(["sigma,q,steps", *rows]), encoding="utf-8")
    call = ("epsilon", "--phases", "noise.csv", "--delta", "1e-5")
    lines = dpplan(*call).stdout.splitlines()
    assert lines[2] == "  phases             40 phases        400 steps"
    assert lines[7] == "    ...   35 more, σ = 1.1 to 1.95, q = 0.01"
    answer = json.loads(dpplan(*call, "--json").stdout)
    assert len(answer["plan"]["phases"]) == 40
    assert answer["results"][0]["epsilon"]["guarantee"] == "certified"


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("command", [("delta", "--eps", "1"), ("compare", "accountants", "--delta", "1e-5")])
def test_other_commands_take_phases_and_earlier_runs_too(dpplan: Run, command: tuple[str, ...]) -> None:
    done = dpplan(*command, "--spent", "sigma=2,q=0.01,steps=9", "--phase", "sigma=3,q=0.02,steps=7")
    assert (done.returncode, done.stderr) == (0, "")
    assert "  earlier runs       1 phase          9 steps" in done.stdout.splitlines()
    assert "  this run           1 phase          7 steps" in done.stdout.splitlines()


BASE = Settings(noise_multiplier=1.5, examples=40, batch_size=4, steps=25)
DRAWN = {
    "poisson": BASE,
    "full-batch": BASE.with_(sampling="full-batch", batch_size=40),
    "truncated-poisson": BASE.with_(sampling="truncated-poisson", scheme_options=(("cap", 9),)),
    "cyclic-poisson": BASE.with_(sampling="cyclic-poisson", scheme_options=(("groups", 5), ("assignment", "own"))),
    "fixed-size": BASE.with_(sampling="fixed-size"),
    "shuffle": BASE.with_(sampling="shuffle", scheme_options=(("order", "once"),)),
    "balls-in-bins": BASE.with_(sampling="balls-in-bins", scheme_options=(("bins", "same"),)),
    "random-allocation": BASE.with_(sampling="random-allocation", scheme_options=(("times", 2),)),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_recorded_run_of_any_scheme_is_counted_as_it_was_drawn(name: str) -> None:
    """Whatever the run after it is drawn by."""
    settings = DRAWN[name].with_(adjacency=ZERO_OUT)
    plan = settings.plan()
    text = ",".join(f"{key}={value}" for key, value in recorded_runs._pairs(plan.only_phase, 40, "run"))
    for after in ({}, {"sampling": "fixed-size"}):
        shared = Settings(adjacency=ZERO_OUT, noise_multiplier=1.0, batch_size=4, steps=5, examples=40).with_(**after)
        found = phase_parsing.parse(PlanArguments(shared, (), (), (text,)))
        assert found.plan is not None, found.problems
        assert found.plan.phases[0] == plan.only_phase


@pytest.mark.slow
def test_the_printed_json_of_a_run_of_balls_in_bins_is_spent(dpplan: Run, tmp_path: Path) -> None:
    bins, now = (
        "sigma=2,q=1/20,steps=30,sampling=balls-in-bins,bins=same",
        ("--sigma", "2", "--q", ".1", "--steps", "9"),
    )
    file = tmp_path / "before.json"
    file.write_text(dpplan("epsilon", "--phase", bins, "--delta", "1e-5", "--json").stdout)
    found = [
        json.loads(dpplan("epsilon", "--spent", spent, *now, "--delta", "1e-5", "--json").stdout)["results"]
        for spent in (str(file), bins)
    ]
    assert found[0] == found[1]


def test_what_plans_do_not_have_in_common_is_said_in_words() -> None:
    one, other = ("add_remove", "example", None, None), ("add_remove", "user", 3, 60)
    units, most = plan_files._differing([one, other])
    assert units.startswith("unit=example and unit=user differ: ")
    assert most.startswith("no max_per_user and max_per_user=3 differ: ")
    (whole,) = plan_files._differing([other, ("add_remove", "user", None, 60)])
    assert "one by one, add up exactly in no plan here yet: account them apart" in whole and "Give one" not in whole
    assert plan_files._differing([one, (*one[:3], 60)]) == []  # a plan that names no n goes with any


def test_a_run_of_whole_users_before_one_that_draws_their_examples_is_accounted_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = Settings(noise_multiplier=2.0, sample_rate=0.1, steps=3, unit="user")
    monkeypatch.setattr(recorded_runs, "plan_of", lambda _: whole.plan())
    with pytest.raises(ReportError, match="the two add up exactly in no plan here yet: account them apart"):
        list(recorded_runs.phases(Path("runs/a"), whole.with_(max_per_user=3)))
    with pytest.raises(ReportError, match="different units do not add up"):
        list(recorded_runs.phases(Path("runs/a"), whole.with_(unit="example")))


SAMPLED = "sampling: {kind: poisson, sample_rate: 0.02}"
EARLIER = f"phases: [{{mechanism: {{kind: gaussian, noise_multiplier: 3}}, {SAMPLED}, steps: 5}}]\n"


def spent_before(folder: Path, head: str, *typed: str, **now: object) -> Plan:
    """The plan of a run after the one in a file and after those that are typed."""
    file = folder / "earlier.yaml"
    file.write_text(head + EARLIER, encoding="utf-8")
    settings = Settings(noise_multiplier=2.0, batch_size=4, steps=7).with_(**now)
    found = plan_files.parse(PlanArguments(settings, (), (), (str(file), *typed)))
    assert found.plan is not None, found.problems
    assert found.earlier == len(found.plan.phases) - 1
    return found.plan


def test_runs_after_one_in_a_file_protect_whom_both_of_them_protect(tmp_path: Path) -> None:
    users = spent_before(tmp_path, "unit: user\nmax_per_user: 3\nn: 60\n", unit="user", max_per_user=3, examples=60)
    assert (users.privacy_unit, users.max_per_user, users.examples, users.batch_size) == ("user", 3, 60, None)
    zeroed = spent_before(
        tmp_path, "adjacency: zero-out\nn: 60\n", "sigma=2,batch=6,steps=9", adjacency=ZERO_OUT, examples=60
    )
    assert zeroed.adjacency == ZERO_OUT and [phase.steps for phase in zeroed.phases] == [9, 5, 7]
    assert zeroed.phases[0].sampling == Poisson(0.1)  # of the n of the file


def test_n_may_be_said_by_either_of_two_runs(tmp_path: Path) -> None:
    assert spent_before(tmp_path, "", examples=60).examples == 60
    assert spent_before(tmp_path, "n: 60\n").phases[1].sampling == Poisson(4 / 60)


def test_an_option_that_says_what_the_plan_file_says_may_stand_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(f"unit: user\nn: 60\n{EARLIER}", encoding="utf-8")
    alone = plan_files.parse(PlanArguments(Settings(), (), (str(file),)))
    for told in ({"unit": "user"}, {"unit": "user", "examples": 60}):
        assert plan_files.parse(PlanArguments(Settings(**told), (), (str(file),))) == alone
    for told in ({"unit": "user", "examples": 61}, {"unit": "user", "max_per_user": 2}):
        assert plan_files.parse(PlanArguments(Settings(**told), (), (str(file),))).plan is None


def test_phases_beside_a_plan_file_are_not_lost(tmp_path: Path) -> None:
    """A plan file is the whole run: what is said beside it is refused, whether it is a plan or a list of phases."""
    file, rows = tmp_path / "plan.yaml", tmp_path / "rows.csv"
    file.write_text(EARLIER, encoding="utf-8")
    rows.write_text("sigma,q,steps\n1,0.1,5\n", encoding="utf-8")
    for others in ((str(file),), (str(rows),)):
        found = plan_files.parse(PlanArguments(Settings(), (), (str(file), *others)))
        assert found.plan is None and "is a whole plan, and more of the run was said beside it" in found.problems[0]


def test_what_is_open_of_a_plan_is_so_after_an_earlier_run(tmp_path: Path) -> None:
    file, before = tmp_path / "plan.yaml", tmp_path / "before.yaml"
    before.write_text(EARLIER, encoding="utf-8")
    file.write_text("phases: [{mechanism: {kind: gaussian}, steps: 5}]\n", encoding="utf-8")
    found = plan_files.parse(PlanArguments(Settings(), (), (str(file),), (str(before),)), may_be_open=True)
    assert found.openings == (None, Opening("noise_multiplier", given=False)) and found.earlier == 1


REMEMBERED = '{"history": [[1.1, 0.01, 500], [2.0, 0.05, 20]], "mechanism": "rdp"}'


HELD = [REMEMBERED, f'{{"accountant_state": {REMEMBERED}}}', "[[1.1, 0.01, 500], [2.0, 0.05, 20]]"]


@pytest.mark.parametrize("content", HELD)
def test_what_an_accountant_of_opacus_remembers_is_of_examples(content: str, tmp_path: Path) -> None:
    """It adds up with users' examples that are drawn one by one, as Opacus draws them, and with no users that are drawn
    whole; under replace-one it is the same mechanism, at the sensitivity that it has there."""
    file, other = tmp_path / "state.json", tmp_path / "other.yaml"
    file.write_text(content, encoding="utf-8")
    other.write_text(f"unit: user\n{EARLIER}", encoding="utf-8")
    run = Settings(noise_multiplier=5.0, sample_rate=0.5, steps=2)
    whole = PlanArguments(run.with_(unit="user"), spent=(str(file),))
    for told in (whole, replace(whole, files=(str(file),), settings=Settings(unit="user"), spent=()),
                 PlanArguments(Settings(), (), (str(other),), (str(file),))):  # fmt: skip
        found = plan_files.parse(told)
        assert found.plan is None and "which draws and clips examples" in found.problems[0]
    assert "which draws and clips examples" in plan_files.spent_alone((str(file),), Settings(unit="user"))[1][0]
    one_by_one = plan_files.parse(replace(whole, settings=run.with_(unit="user", max_per_user=3)))
    assert one_by_one.plan is not None and one_by_one.plan.max_per_user == 3
    replaced = plan_files.parse(replace(whole, settings=run.with_(adjacency=REPLACE_ONE)))
    assert replaced.plan is not None and replaced.plan.adjacency == REPLACE_ONE
    assert replaced.plan.phases[0] == Phase(Gaussian(1.1), Poisson(0.01), 500)


@pytest.mark.parametrize("content", HELD)
def test_what_an_accountant_of_opacus_remembers_is_poisson_however_the_run_after_it_is_drawn(
    content: str, tmp_path: Path
) -> None:
    """As balls in bins the earlier runs cost 1.26 at a delta of 1e-6, and 1.38 as they ran; alone or beside a plan."""
    file, other = tmp_path / "state.json", tmp_path / "other.yaml"
    file.write_text(content, encoding="utf-8")
    other.write_text(EARLIER, encoding="utf-8")
    run = Settings(noise_multiplier=50.0, sample_rate=0.5, steps=2, sampling="balls-in-bins", examples=60)
    past = [(Poisson(0.01), 500), (Poisson(0.05), 20)]
    for spent in ((str(file),), (str(file), str(other))):
        found = plan_files.parse(PlanArguments(run, spent=spent))
        assert found.plan is not None, found.problems
        assert [(each.sampling, each.steps) for each in found.plan.phases[:2]] == past
        assert found.plan.phases[-1].sampling.kind == "balls-in-bins"
        before, problems = plan_files.spent_alone(spent, Settings(sampling="balls-in-bins", examples=60))
        assert problems == [] and [(each.sampling, each.steps) for each in before[:2]] == past
    capped = Settings(sampling="truncated-poisson", examples=60)
    capped = capped.with_(scheme_options=(("cap", 40),))
    assert plan_files.spent_alone((str(file),), capped)[1] == []
    drawn = plan_files.parse(PlanArguments(Settings(sampling="balls-in-bins"), files=(str(file),)))
    assert drawn.plan is None and "--sampling balls-in-bins says otherwise" in drawn.problems[0]
