"""dpplan check in a process of its own, and the check before dpplan train."""

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, NamedTuple

import pytest
from forked import fresh_dpplan
from unwrap import unwrapped

from dpplan import __main__ as program
from dpplan import lint
from dpplan.recipe import Recipe, load

MADE_UP = """\
privacy: {noise_multiplier: 1.0, clip_norm: 1.0, delta: 1e-5}
data: {source: SOURCE, examples: 200}
model: {kind: KIND}
training: {batch_size: 40, steps: 2, optimizer: sgd, learning_rate: 0.1}
"""


class Done(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., CompletedProcess[str]]
Here = Callable[..., Done]
ROOT = Path(__file__).parents[2]
PLAN = ("check", "--sigma", "1.1", "--n", "60000", "--batch", "250", "--epochs", "60")
RECIPE = """\
privacy: {{noise_multiplier: 4, clip_norm: 1, delta: {delta}}}
data: {{source: file, path: mine.csv, held_out: 0.5}}
model: {{kind: {kind}}}
training: {{batch_size: 10, steps: 2, optimizer: sgd, learning_rate: 0.5, compare_nonprivate: false}}
runtime: {{device: cpu, threads: 1}}
{check}
"""
MODEL = """\
from torch import nn

def normed(shape, classes):
    return nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, classes))
"""
PUBLIC_N = "check: {silence: {DP004: n is in the data card}}"


def write(folder: Path, delta: str = "1e-4", kind: str = "logistic", check: str = PUBLIC_N) -> None:
    rows = "".join(f"{i % 7},{i % 5},{i % 2}\n" for i in range(60))
    (folder / "mine.csv").write_text("a,b,target\n" + rows, encoding="utf-8")
    (folder / "mine_models.py").write_text(MODEL, encoding="utf-8")
    recipe = RECIPE.format(delta=delta, kind=kind, check=check)
    (folder / "mine.yaml").write_text(recipe, encoding="utf-8")


def test_a_clean_plan_passes_and_shows_what_was_checked(dpplan: Run) -> None:
    done = dpplan(*PLAN, "--adjacency", "zero-out")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"plan: {len(lint.RULES)} rules find nothing"
    assert lines[2].split() == ["epsilon", "=", "2.66084", "certified,", "at", "δ", "=", "1e-06"]


def test_an_error_fails_and_a_warning_only_when_strict(dpplan: Run) -> None:
    wrong = dpplan(*PLAN, "--delta", "0.1")
    assert (wrong.returncode, wrong.stderr) == (1, "")
    assert "error DP001  --delta" in wrong.stdout
    assert dpplan(*PLAN, "--accumulate", "2").returncode == 0
    assert dpplan(*PLAN, "--accumulate", "2", "--strict").returncode == 1


def test_a_seed_and_an_epsilon_above_50_fail_a_check(dpplan: Run) -> None:
    seeded = dpplan(*PLAN, "--seed", "1")
    assert (seeded.returncode, seeded.stderr) == (1, "")
    assert "error DP016  --seed" in seeded.stdout
    assert dpplan(*PLAN, "--seed", "1", "--silence", "DP016=a test").returncode == 0
    claimed = dpplan(*PLAN, "--claimed-eps", "50.5", "--loader", "torch-shuffle")
    assert (claimed.returncode, "error DP002  --claimed-eps" in claimed.stdout) == (1, True)
    spent = dpplan("check", "--sigma", ".3", "--n", "60000", "--batch", "256", "--epochs", "60")
    assert (spent.returncode, "error DP002  --sigma" in spent.stdout) == (1, True)
    assert dpplan("check", "--sigma", ".5", "--n", "60000", "--batch", "256", "--epochs", "60").returncode == 0


def test_a_claim_that_stands_says_by_how_much_it_is_above_what_is_proven(dpplan: Run) -> None:
    run = ("check", "--sigma", "1.1", "--n", "60000", "--batch", "256", "--epochs", "60", "--claimed-eps")
    near, far = dpplan(*run, "2.697"), dpplan(*run, "260")
    assert (near.returncode, far.returncode) == (0, 0)
    above = "stands: what is proven is no more: ε ≤ 2.69677, and the claim is"
    assert f"{above} 0.000237 above it" in " ".join(near.stdout.split())
    assert f"{above} 96.4 times it" in " ".join(far.stdout.split())
    assert "warning DP002  --claimed-eps" in far.stdout


def test_the_number_of_examples_is_not_that_of_users(dpplan: Run) -> None:
    recipe = str(Path(__file__).parents[2] / "recipes" / "digits-users.yaml")
    for examples in ("1437", "1797"):
        done = dpplan("check", recipe, "--n", examples)
        assert done.returncode == 2
        assert f"n={examples} counts examples, and recipe digits-users draws and clips users" in done.stderr
    assert dpplan("check", recipe, "--n", "178").returncode in (0, 1)


def test_a_false_claim_is_shown_with_digits_that_contradict_it(dpplan: Run) -> None:
    plan = ("--sigma", "1.1", "--n", "60000", "--batch", "256", "--epochs", "60")
    said = dpplan("check", *plan, "--delta", "1e-5", "--claimed-eps", "2.38168").stdout
    stated = re.search(r"the claimed ε = (\S+) is false: the true ε is at\s+least (\S+)\s+at\s+δ", said)
    assert stated
    assert float(stated[1]) == 2.38168 < float(stated[2])


def test_a_code_is_silenced_with_a_reason_and_still_listed(dpplan: Run) -> None:
    done = dpplan(*PLAN, "--adjacency", "zero-out", "--delta", "0.1", "--silence", "dp001=this is a drill", "--json")
    assert done.returncode == 0
    content = json.loads(done.stdout)
    assert (content["schema"], content["passed"]) == ("dpplan.check/1", True)
    assert [(one["code"], one["silenced"]) for one in content["findings"]] == [("DP001", "this is a drill")]
    unreasoned = dpplan(*PLAN, "--silence", "DP001")
    assert (unreasoned.returncode, unreasoned.stdout) == (2, "")
    assert unreasoned.stderr == "error: silence=DP001 has no reason. Say why it may pass.\n"
    twice = dpplan(*PLAN, "--silence", "DP001=one", "--silence", "dp001=two")
    assert (twice.returncode, twice.stderr) == (2, "error: silence=DP001 is given 2 times. Give one reason.\n")


def test_what_is_said_of_loop_and_claim_reaches_the_rules(dpplan: Run) -> None:
    said = ("--loader", "fixed", "--cap", "300", "--accumulate", "2", "--views", "2", "--seed", "0", "--trials", "5")
    claim = ("--accountant", "gdp", "--claimed-eps", "1", "--adjacency", "replace-one")
    content = json.loads(dpplan(*PLAN, *said, *claim, "--json").stdout)
    assert {one["code"] for one in content["findings"]} == {
        "DP007", "DP008", "DP009", "DP011", "DP012", "DP015", "DP016",
    }  # fmt: skip


def test_what_a_plan_contradicts_itself_in_is_a_finding(dpplan: Run) -> None:
    done = dpplan("check", "--sigma", "1", "--n", "100", "--batch", "256", "--epochs", "10")
    assert done.returncode == 1
    assert "error DP006  --batch" in done.stdout
    assert "error DP005  --steps" in dpplan(*PLAN, "--steps", "14062").stdout


IN_A_FILE = """\
n: 60000
phases:
  - {name: visits, mechanism: {kind: laplace, epsilon: 0.1}}
  - name: train
    mechanism: {kind: gaussian, noise_multiplier: 1.1}
    sampling: {kind: poisson, batch_size: 256}
    epochs: 60
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("--n", "60000", "--phase", "sigma=1.1,batch=256,epochs=60"),
        ("plan.yaml",),
        (
            "--n",
            "60000",
            "--sigma",
            "1.1",
            "--batch",
            "256",
            "--epochs",
            "60",
            "--spent",
            "sigma=3,n=60000,batch=512,epochs=6",
        ),
        ("--n", "60000", "--sigma", "1.1", "--batch", "256", "--epochs", "60", "--spent", "plan.yaml"),
    ],
)
def test_epochs_that_end_in_part_batches_are_told_however_the_run_is_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    (tmp_path / "plan.yaml").write_text(IN_A_FILE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert program.run(["check", "--delta", "1e-6", *arguments, "--json"]) == 0
    (finding,) = [each for each in json.loads(capsys.readouterr().out)["findings"] if each["code"] == "DP019"]
    assert "14100 in all, and the figure is for 14063" in finding["message"]


@pytest.mark.slow
def test_no_cost_is_told_of_longer_epochs_beside_a_search_whose_own_are_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whose trials take more steps with that loader, too: the cost that was told left them out."""
    search = """\
  - name: search
    repeat: {law: geometric, mean: 3, score: released}
    phases:
      - {mechanism: {kind: gaussian, noise_multiplier: 4}, sampling: {kind: poisson, batch_size: 256}, epochs: 5}
      - {name: score, query: {kind: count}, mechanism: {kind: gaussian, noise_multiplier: 30}}
"""
    (tmp_path / "plan.yaml").write_text(IN_A_FILE + search, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    program.run(["check", "--delta", "1e-6", "plan.yaml", "--json"])
    (finding,) = [each for each in json.loads(capsys.readouterr().out)["findings"] if each["code"] == "DP019"]
    assert finding["message"].endswith("14100 in all, and the figure is for 14063.")


@pytest.mark.slow
def test_phases_and_earlier_runs_are_checked_as_one_plan(dpplan: Run) -> None:
    phases = ("--phase", "sigma=0.2,q=0.01,steps=10", "--spent", "sigma=2,q=0.01,steps=10", "--n", "1000")
    content = json.loads(dpplan("check", *phases, "--json").stdout)
    assert len(content["plan"]["phases"]) == 2
    assert "DP003" in {one["code"] for one in content["findings"]}


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("check",), "sigma is missing"),
        ((*PLAN, "--accountant", "prv"), "accountant=prv is not one of: exact, "),
        ((*PLAN, "--cap", "0"), "cap=0 is not a whole number of at least 1."),
        ((*PLAN, "--runs", "nowhere"), "runs=nowhere is not a folder."),
        ((*PLAN, "--claimed-delta", "1e-5"), "The δ that is claimed is --delta."),
        (("check", "--sigma", "inf", *PLAN[3:]), "sigma=inf is infinite: a noise multiplier is a finite positive"),
        ((*PLAN, "--claimed-eps", "-1"), "claimed_eps=-1 is not at least 0."),
        ((*PLAN, "--claimed-eps", "2,1"), "claimed_eps=2,1 is not a number of at least 0."),
        (("check", "--sigma", "1", "--q", ".1", "--steps", "9", "--delta", "1e-5", "--cap", "9"), "--cap needs --n"),
        (("check", "--explain", "DP999"), "code=DP999 is not one of DP001 to "),
        (("check", "r.yaml", "--sigma", "1"), "of the options of a plan only --n may be given with it."),
        (("check", "r.yaml", "--loader", "fixed"), "--loader: a recipe is run by `dpplan train`"),
        (("check", "r.yaml"), "r.yaml: no such file."),
    ],
)
def test_a_call_that_makes_no_sense_is_status_2(dpplan: Run, call: tuple[str, ...], said: str) -> None:
    done = dpplan(*call)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_every_rule_can_be_explained(dpplan: Run) -> None:
    told = json.loads(dpplan("check", "--explain", "DP008", "--json").stdout)
    assert (told["schema"], [each["rule"] for each in told["rules"]]) == ("dpplan.check-explain/1", ["loader-differs"])
    every = json.loads(dpplan("check", "--explain", "all", "--json").stdout)["rules"]
    assert [each["code"] for each in every] == list(lint.RULES)
    assert dpplan("check", "--explain", "dp008").stdout.startswith("DP008 loader-differs\n\nThe loader must draw ")
    listed = dpplan("check", "--explain", "all").stdout.splitlines()
    assert [line.split()[0] for line in listed] == list(lint.RULES)


# Much of what follows needs torch, which takes seconds to start: one process for all of it.


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """Runs the command in this process, in a folder with the recipe."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(*arguments: str) -> Done:
        capsys.readouterr()
        return Done(program.run(arguments), *capsys.readouterr())

    return call


@pytest.mark.sweep(every=3, slow=("digits-bins",))
@pytest.mark.parametrize("file", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda file: file.stem)
def test_the_recipes_that_come_with_dpplan_have_no_errors_and_no_warnings(here: Here, file: Path) -> None:
    assert here("check", str(file), "--n", str(trained_on(load(file))), "--strict").status == 0


@pytest.mark.parametrize("command", ["report", "risk", "check", "compare plans", "audit"])
def test_an_n_that_contradicts_the_data_of_a_recipe_is_refused(here: Here, command: str) -> None:
    """The page would have stated the noise and the ε of other data."""
    digits, scores = str(ROOT / "recipes" / "digits.yaml"), str(ROOT / "recipes" / "scores.csv")
    other = {"compare plans": (digits, digits), "audit": (scores, "--against", digits)}.get(command, (digits,))
    done = here(*command.split(), *other, "--n", "60000")
    assert (done.status, done.out) == (2, "")
    assert "n=60000 is not the number of training examples of recipe digits" in " ".join(done.err.split())
    assert "give --n 1437" in " ".join(done.err.split())


def trained_on(recipe: Recipe) -> int:
    """The training examples of a recipe whose data need not be here."""
    known = {"mnist": 60_000, "cifar10": 50_000, "digits": 1437}
    made = recipe.data.examples or 2000
    return known.get(recipe.data.source, made - math.ceil(recipe.data.held_out * made))


def test_a_recipe_is_checked_with_its_data_its_model_and_its_silences(here: Here, tmp_path: Path) -> None:
    write(tmp_path, kind="mine_models:normed")
    done = here("check", "mine.yaml", "--json")
    assert done.status == 1
    findings = {one["code"]: one for one in json.loads(done.out)["findings"]}
    assert set(findings) == {"DP004", "DP013"}
    assert "BatchNorm1d" in findings["DP013"]["message"]
    assert findings["DP004"]["silenced"] == "n is in the data card"


def test_with_n_given_the_data_are_not_needed(here: Here, tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "mine.csv").unlink()
    assert here("check", "mine.yaml").status == 2
    done = here("check", "mine.yaml", "--n", "30")
    assert done.status == 0
    assert "note DP013  model.kind" in done.out
    assert "as typed, not read from the data" in done.out
    assert json.loads(here("check", "mine.yaml", "--n", "30", "--json").out)["n_as_typed"] is True
    risk = here("risk", "mine.yaml", "--n", "30")
    assert "n = 30, as typed, not read from the data" in " ".join(risk.err.split())
    assert risk.status == 0
    compared = here("compare", "plans", "mine.yaml", str(ROOT / "recipes" / "mnist-15-epochs.yaml"), "--n", "600")
    assert compared.err.count("as typed, not read") == 2, compared


def test_train_refuses_what_check_calls_an_error(here: Here, tmp_path: Path) -> None:
    write(tmp_path, delta="0.2")
    for call in (("train", "mine.yaml"), ("train", "mine.yaml", "--dry-run", "--json")):
        done = here(*call)
        assert (done.status, done.out.startswith("{")) == (2, "--json" in call)
        assert done.err.startswith("error: DP001 privacy.delta: delta=0.2 is not below 1/n")
    assert not (tmp_path / "runs").exists()
    write(tmp_path, delta="0.2", check='check: {silence: {DP001: "a drill", DP004: "public"}}')
    assert here("train", "mine.yaml", "--dry-run").status == 0


def test_train_refuses_a_model_that_mixes_examples_before_it_makes_a_folder(here: Here, tmp_path: Path) -> None:
    write(tmp_path, kind="mine_models:normed")
    done = here("train", "mine.yaml")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("error: DP013 model.kind: model: layer '1' is a BatchNorm1d")
    assert not (tmp_path / "runs").exists()


def test_train_warns_before_the_plan_and_knows_the_runs_beside_it(here: Here, tmp_path: Path) -> None:
    write(tmp_path)
    first = here("train", "mine.yaml")
    assert (first.status, first.err) == (0, "")
    again = here("train", "mine.yaml", "--dry-run", "--seed", "1")
    assert again.status == 0
    assert again.err.startswith("warning: DP010 data.source: the figure does not count 1 earlier run")
    assert "warning: DP016 --seed: seed 1 is fixed" in again.err
    for where in (("--runs", "runs"), ()):  # else in the recipe's own folder of runs
        found = json.loads(here("check", "mine.yaml", *where, "--json").out)["findings"]
        assert [one["code"] for one in found if one["silenced"] is None] == ["DP010"]
        assert "1 earlier run" in found[0]["message"]
    (note,) = json.loads(here("check", "runs/mine-001/recipe.yaml", "--json").out)["findings"][:1]
    assert (note["code"], note["severity"]) == ("DP010", "note")
    assert "this recipe is that of the run mine-001" in note["message"] and "earlier" not in note["message"]
    shutil.copytree("runs/mine-001", "runs/mine-002")  # one run in two folders: the same steps, counted as one
    shutil.copy("mine.yaml", "runs/recipe.yaml")
    for other in ("mine.yaml", "runs/recipe.yaml"):
        assert "1 earlier run" in here("check", other).out


def test_a_run_that_goes_on_is_no_earlier_run(here: Here, tmp_path: Path) -> None:
    from dpplan import train

    write(tmp_path)
    happening = train.events(train.plan(load("mine.yaml")))
    next(happening)
    happening.close()  # type: ignore[attr-defined]
    assert (tmp_path / "runs" / "mine-001" / "report.json").exists()
    assert "DP010" in here("train", "mine.yaml", "--dry-run").err
    resumed = here("train", "--resume", "runs/mine-001", "--dry-run")
    assert (resumed.status, resumed.err) == (0, "")


def test_without_torch_a_recipe_needs_n(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(name='torch')", encoding="utf-8")
    done = fresh_dpplan("check", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: Give --n, or install the extra 'train' for the number of training")
    assert fresh_dpplan("check", "mine.yaml", "--n", "30", cwd=tmp_path).returncode == 0


def test_check_knows_the_sampling(dpplan: Run) -> None:
    run = ("check", "--sigma", "4", "--n", "60", "--batch", "6", "--epochs", "1", "--delta", "1e-3")
    shuffled = dpplan(*run, "--sampling", "shuffle", "--adjacency", "zero-out")
    assert "DP008" not in shuffled.stdout + shuffled.stderr
    assert "DP008" in dpplan(*run, "--sampling", "shuffle", "--adjacency", "zero-out", "--loader", "poisson").stdout
    said = " ".join(dpplan(*run, "--loader", "shuffle").stdout.split())
    ten = ("epsilon", "--sigma", "4", "--q", "1", "--steps", "10", "--delta", "1e-3", "--json")
    whole = json.loads(dpplan(*ten).stdout)["results"][0]["epsilon"]["upper"]
    cost = re.search(r"Or use full batches \(at this noise, as many steps of those cost ε ≤ (\S+)\)", said)
    assert "DP008" in said and cost and whole <= float(cost[1]) <= 1.001 * whole
    cut = dpplan(*run, "--sampling", "truncated-poisson", "--cap", "20", "--adjacency", "zero-out")
    assert cut.returncode in (0, 1) and "DP008" not in cut.stdout
    missing = dpplan(*run, "--sampling", "cyclic-poisson")
    assert missing.returncode == 2 and "groups is missing" in missing.stderr


@pytest.mark.parametrize("loader", [pytest.param("drop-last", marks=pytest.mark.slow), "fixed"])
def test_the_commands_that_a_finding_names_run_as_they_stand(dpplan: Run, loader: str) -> None:
    run = ("--sigma", "4", "--n", "64", "--batch", "6", "--steps", "12", "--delta", "1e-3")
    found = json.loads(dpplan("check", *run, "--loader", loader, "--json").stdout)["findings"]
    (told,) = (f"{one['message']} {one['fix']}" for one in found if one["code"] == "DP008")
    words = r"(?: --[a-z]+ [\w./-]*\w)+"
    named = re.findall(rf"dpplan ((?:epsilon|compare samplers){words})", told)
    assert [each.split(" --")[0] for each in named] == [
        "epsilon",
        *["epsilon"] * (loader != "fixed"),
        "compare samplers",
    ]
    for each in named[:-1]:
        done = dpplan(*each.split(), "--json")
        assert done.returncode == 0, done.stderr
        upper = json.loads(done.stdout)["results"][0]["epsilon"]["upper"]
        stated = [float(one) for one in re.findall(r"(?:at most|ε ≤|ε is|and) (\d[\d.]*\d)", told)]
        assert any(upper <= one <= 1.001 * upper for one in stated), (upper, told)
    if loader == "drop-last":
        assert dpplan(*named[-1].split(), "--without-noise").returncode == 0


def test_a_recipe_of_made_up_data_is_checked_without_torch(tmp_path: Path) -> None:
    text = MADE_UP.replace("SOURCE", "blobs").replace("KIND", "logistic")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    script = (
        "import sys; from dpplan import __main__ as m; code = m.run(['check', 'mine.yaml', '--json']); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["plan"]["examples"] == 160


def test_what_the_text_says_of_made_up_data_is_what_they_are(tmp_path: Path) -> None:
    from dpplan import recipe
    from dpplan.commands.shared.recipe_data import stated_examples
    from dpplan.train import data

    for source in ("blobs", "linear", "names"):
        job = recipe.parse(MADE_UP.replace("SOURCE", source).replace("KIND", "logistic"))
        assert stated_examples(job) == data.load(job.data).training.examples == 160


def test_a_model_that_does_not_read_the_made_up_data_is_still_told(tmp_path: Path, dpplan: Run) -> None:
    (tmp_path / "mine.yaml").write_text(
        MADE_UP.replace("SOURCE", "names").replace("KIND", "logistic"), encoding="utf-8"
    )
    done = dpplan("check", "mine.yaml")
    assert (done.returncode, "does not read words" in done.stderr) == (2, True)


def in_process(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = program.run(["check", *arguments, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_a_claim_is_judged_by_the_figure_of_its_own_neighbours(capsys: pytest.CaptureFixture[str]) -> None:
    """2.4 is above the figure of add-remove, and below that of replace-one, 2.478."""
    run = ("--sigma", "1.1", "--q", "0.01", "--steps", "1000", "--delta", "1e-5", "--n", "5000")
    claim = ("--adjacency", "replace-one", "--claimed-eps")
    alone, later = ("--phase", "sigma=1.1,q=0.01,steps=1000"), ("--spent", "sigma=1.1,q=0.01,steps=500")
    for said in (run, (*alone, *run[6:]), (*run[:4], "--steps", "500", *later, *run[6:])):
        status, content = in_process(capsys, *said, *claim, "2.4")
        assert (status, content["claim"]["standing"], content["claim"]["of"]) == (1, "refuted", "under replace-one")
        status, content = in_process(capsys, *said, *claim, "2.48")
        assert (status, content["claim"]["standing"]) == (0, "stands")
        assert 2.4 < content["claim"]["proven"]["upper"] < 2.48


def test_a_recipe_is_judged_under_its_own_neighbours_where_none_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (
        MADE_UP.replace("SOURCE", "blobs")
        .replace("KIND", "logistic")
        .replace("delta:", "adjacency: replace-one, delta:")
    )
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    _, content = in_process(capsys, str(tmp_path / "mine.yaml"), "--claimed-eps", "9")
    assert content["claim"]["adjacency"] == "replace_one" and content["claim"]["proven"] == content["epsilon"]


def test_what_becomes_of_a_claim_is_told_where_nothing_is_proven_of_the_loader(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = ("--sigma", "4", "--n", "600", "--batch", "60", "--epochs", "1", "--delta", "1e-4", "--claimed-eps", "9")
    assert program.run(["check", *run, "--loader", "torch-shuffle"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "claimed ≤ 9 not proven: nothing is proven of what torch-shuffle runs under add/remove" in said
    _, content = in_process(capsys, *run, "--loader", "torch-shuffle")
    assert content["claim"] == {
        "epsilon": 9.0, "adjacency": "add_remove", "standing": "not certified", "of": "of what torch-shuffle runs",
        "proven": None, "as_put": "stands",
    }  # fmt: skip
    assert program.run(["check", *run, "--views", "2"]) == 1
    assert "does not stand as things are: see the errors above" in " ".join(capsys.readouterr().out.split())
    assert in_process(capsys, *run[:-2])[1]["claim"] is None


@pytest.mark.parametrize(("claimed", "as_put", "word"), [("2.62", "refuted", "false"), ("2.7", "stands", "not proven")])
def test_rule_and_summary_say_of_which_batches_a_claim_is_false_and_of_which_nothing_is_proven(
    claimed: str, as_put: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ("--sigma", "1.1", "--n", "60000", "--batch", "256", "--epochs", "60", "--loader", "torch-shuffle")
    assert program.run(["check", *run, "--claimed-eps", claimed]) == 1
    said = " ".join(capsys.readouterr().out.split())
    nothing, of = (
        "nothing is proven of what torch-shuffle runs under add/remove",
        "of batches drawn as the figure assumes",
    )
    if as_put == "refuted":
        assert f"the claimed ε = {claimed} is {word} {of}: the true ε is at least 2.696" in said
        assert "claim ε ≤ 2.697. Of what torch-shuffle runs nothing is proven under add/remove." in said
        assert f"claimed ≤ {claimed} {word} {of}: see DP009; {nothing} noise" in said
    else:
        assert "DP009" not in said and f"claimed ≤ {claimed} {word}: {nothing}, only {of} noise" in said
    _, content = in_process(capsys, *run, "--claimed-eps", claimed)
    assert (content["claim"]["standing"], content["claim"]["as_put"]) == ("not certified", as_put)
    # An error of another rule: then nothing is said to be proven of the plan as put.
    _, content = in_process(capsys, *run, "--claimed-eps", claimed, "--views", "2")
    assert content["claim"]["as_put"] == (None if as_put == "stands" else as_put)


def test_what_one_person_owns_is_told_as_a_figure_for_users(capsys: pytest.CaptureFixture[str]) -> None:
    run = ("--sigma", "4", "--n", "600", "--batch", "60", "--epochs", "1", "--delta", "1e-4")
    status, content = in_process(capsys, *run, "--owners", "2")
    finding, about_n = content["findings"]
    assert (status, finding["code"], finding["where"]) == (0, "DP015", "--owners")
    assert (about_n["code"], about_n["severity"]) == ("DP004", "note")
    assert program.run(["epsilon", *run, "--unit", "user", "--max-per-user", "2", "--json"]) == 0
    user = json.loads(capsys.readouterr().out)["results"][0]["epsilon"]["upper"]
    stated = re.search(r"it is ε = (\S+) instead of", finding["message"])
    assert stated and user <= float(stated[1]) <= 1.001 * user
    assert program.run(["check", *run, "--owners", "601"]) == 2
    assert "owners=601 is more than n=600, all examples there are." in " ".join(capsys.readouterr().err.split())


def test_a_plan_for_users_is_checked_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    run = ("--sigma", "4", "--n", "600", "--batch", "60", "--epochs", "1", "--delta", "1e-4")
    users = ("--unit", "user", "--max-per-user", "2")
    status, content = in_process(capsys, *run, *users, "--owners", "2")
    assert (status, [each["code"] for each in content["findings"]]) == (0, ["DP004"])
    assert (content["plan"]["privacy_unit"], content["plan"]["max_per_user"]) == ("user", 2)
    assert program.run(["epsilon", *run, *users, "--json"]) == 0
    assert content["epsilon"] == json.loads(capsys.readouterr().out)["results"][0]["epsilon"]
    phase = ("--n", "600", "--phase", "sigma=4,batch=60,epochs=1", "--delta", "1e-4")
    assert in_process(capsys, *phase, *users)[1]["epsilon"] == content["epsilon"]
    assert program.run(["check", *run, *users, "--owners", "3"]) == 1
    assert "the figure is for at most 2 of them" in " ".join(capsys.readouterr().out.split())
    assert program.run(["check", *run, "--max-per-user", "2"]) == 2
    assert "max_per_user=2 is about users" in capsys.readouterr().err


SEARCH = """\
n: 600
adjacency: zero-out
phases:
  - name: search
    repeat: {law: geometric, mean: 3, score: public}
    phases:
      - {mechanism: {kind: gaussian, noise_multiplier: 8}, sampling: {kind: shuffle, batch_size: 60}, epochs: 2}
"""
BY_TURNS = """\
adjacency: zero-out
phases:
  - mechanism: {kind: gaussian, noise_multiplier: 1}
    sampling: {kind: cyclic-poisson, sample_rate: 0.5, groups: 10, assignment: own}
    steps: 1
"""


@pytest.mark.slow
def test_no_loader_is_put_beside_a_search_whose_trials_draw_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.yaml").write_text(SEARCH, encoding="utf-8")
    status, content = in_process(capsys, str(tmp_path / "plan.yaml"), "--delta", "1e-4")
    assert (status, [one["code"] for one in content["findings"]]) == (0, [])
    assert "DP008" in str(in_process(capsys, str(tmp_path / "plan.yaml"), "--loader", "poisson", "--delta", "1e-4"))


def test_a_run_is_checked_under_the_neighbours_of_the_claim_and_of_what_ran_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plan.yaml").write_text(BY_TURNS, encoding="utf-8")
    run = ("--spent", str(tmp_path / "plan.yaml"), "--sigma", "1.1", "--q", ".01", "--steps", "10", "--delta", "1e-5")
    status, content = in_process(capsys, *run, "--adjacency", "zero-out", "--claimed-eps", "2.96")
    assert (status, content["claim"]["standing"]) == (0, "stands")
    assert 2.952 < content["epsilon"]["upper"] < 2.953
    assert program.run(["check", *run]) == 2  # nobody said so of the run
    assert "adjacency=zero_out and adjacency=add_remove differ" in capsys.readouterr().err


def test_the_epsilon_of_a_check_says_at_which_delta_it_is(dpplan: Run) -> None:
    done = dpplan("check", "--sigma", "1.1", "--n", "60000", "--batch", "250", "--epochs", "2", "--delta", "1e-6")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("  epsilon")]
    assert line.endswith("certified, at δ = 1e-06")


TWO_EPOCHS = ("--sigma", "1.1", "--n", "60000", "--batch", "250", "--epochs", "2", "--delta", "1e-6")


@pytest.mark.sweep(slow=("told0",))
@pytest.mark.parametrize(
    ("told", "code"),
    [(("--loader", "torch-shuffle"), "DP008"), (("--views", "2"), "DP015"), (("--cap", "250"), "DP012")],
)
def test_a_figure_that_is_not_of_what_runs_says_so_in_its_line(
    capsys: pytest.CaptureFixture[str], told: tuple[str, ...], code: str
) -> None:
    assert program.run(["check", *TWO_EPOCHS, *told]) == 1
    _, line = capsys.readouterr().out.split("\n  epsilon  ")
    assert f"certified, at δ = 1e-06, of the plan as put; not of what runs: see {code}" in " ".join(line.split())
    program.run(["check", *TWO_EPOCHS, *told, "--silence", f"{code}=drawn by Poisson here"])
    assert "not of what runs" not in capsys.readouterr().out


def test_steps_that_are_declared_are_held_against_the_loader(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, asked = tmp_path / "tree.yaml", ("--delta", "1e-6", "--claimed-eps", "6.3")
    mechanism = "{kind: tree, noise_multiplier: 6, participations: 4, separation: 10}"
    file.write_text(f"adjacency: add-remove\nphases:\n  - {{name: tree, steps: 100, mechanism: {mechanism}}}\n")
    for loader in ("torch-shuffle", "opacus", "drop-last", "sequential", "poisson"):
        assert program.run(["check", str(file), *asked, "--loader", loader]) == 1
        said = " ".join(capsys.readouterr().out.split())
        assert "error DP008 --loader" in said
        assert f"not proven: nothing is proven of what {loader} runs" in said
        assert "stands" not in said
    assert program.run(["check", str(file), *asked]) == 0
    assert "--loader NAME tells if" in capsys.readouterr().out


def test_where_no_loader_is_named_its_option_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    for words, told in (
        (TWO_EPOCHS, 1),
        ((*TWO_EPOCHS, "--loader", "poisson"), 0),
        ((*TWO_EPOCHS[:4], "--batch", "60000", *TWO_EPOCHS[6:]), 0),
    ):
        program.run(["check", *words])
        assert capsys.readouterr().out.count("  loader             not named        --loader NAME tells if") == told


def test_where_no_file_is_named_no_reader_of_foreign_files_is_loaded():
    code = "import sys, dpplan.commands.check; print([name for name in sys.modules if 'foreign_files' in name])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("file", "said"),
    [("lecture-counts", "Write n, the public number of examples, into the plan file."),
     ("cohorts", "Else claim adjacency: zero-out or replace-one in the plan file;")],
)  # fmt: skip
def test_of_a_plan_file_a_fix_names_its_keys_and_no_options(dpplan: Run, file: str, said: str) -> None:
    plan = str(Path(__file__).parents[2] / "recipes" / "plans" / f"{file}.yaml")
    told = " ".join(dpplan("check", plan, "--delta", "1e-6").stdout.split())
    assert f"note DP004 n {'n is' if file == 'lecture-counts' else 'q ='}" in told and said in told
    options = ("--sigma", "1", "--q", ".01", "--steps", "9", "--delta", "1e-6")
    assert "plan file" not in unwrapped(dpplan("check", *options, "--spent", plan).stdout)
