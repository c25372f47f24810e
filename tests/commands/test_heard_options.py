"""What is said of a plan beside any source of one is heard, or refused: in no command does it go by in silence."""

import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dpplan import __main__ as program
from dpplan.commands import COMMANDS

ROOT = Path(__file__).parents[2]
DELTA = ("--delta", "1e-5")
OPTIONS = ("--sigma", "2", "--q", "0.5", "--steps", "2")
USERS = (*OPTIONS, "--unit", "user", "--max-per-user", "2")
# Each says something else than any source below; full-batch and truncated-poisson are drawings that q = 0.5 is not.
SAID = (
    ("--sigma", "3"), ("--q", "0.25"), ("--steps", "3"), ("--epochs", "7"), ("--batch", "123"), ("--n", "54321"),
    ("--sampling", "full-batch"), ("--sampling", "fixed-size"), ("--cap", "300"), ("--groups", "4"),
    ("--order", "dynamic"), ("--assignment", "uniform"), ("--bins", "5"), ("--times", "3"),
    ("--adjacency", "replace-one"), ("--unit", "user"), ("--max-per-user", "5"),
    ("--phase", "sigma=3,q=0.5,steps=1"), ("--phases", "list.yaml"), ("--phases", "none.yaml"),
    ("--spent", "sigma=3,q=0.5,steps=1"), ("--spent", "none.yaml"), ("--delta", "nonsense"),
)  # fmt: skip
# How a command that accounts for a plan can be told of one, and those where a file stands in its place.
FORMS = {
    "options": OPTIONS,
    "of users": USERS,
    "beside a run": (*OPTIONS, "--spent", "sigma=2,q=0.5,steps=1"),
    "phases": ("--phase", "sigma=2,q=0.5,steps=2"),
    "list": ("--phases", "list.yaml"),
    "sampled list": ("--phases", "sampled.yaml"),
    "plan": ("plan.yaml",),
    "record": ("record.json",),
    "state": ("state.json",),
}
BY_OPTIONS = [name for name, form in FORMS.items() if form[0].startswith("--")]
FILES = ("plan.yaml", "record.json", "recipe.yaml")
# Command and what else it needs to answer, as JSON, with the δ where it takes one.
ACCOUNTING = {
    "epsilon": (*DELTA, "--json"),
    "delta": ("--eps", "1", "--json"),
    "curve": ("--points", "2", "--from", "1e-6", "--to", "1e-5", "--json"),
    "compare accountants": (*DELTA, "--json"),
    "compare tuning": ("--trials", "poisson", "--mean", "3", *DELTA, "--json"),
    "export": ("--to", "dp-accounting", "--json"),
    "risk": (*DELTA, "--json"),
}
CALLS = {
    **{(command, name): (*form, *more) for command, more in ACCOUNTING.items() for name, form in FORMS.items()},
    **{("compare theorems", name): (*FORMS[name], *DELTA, "--json") for name in ("options", "phases", "list")},
    **{("check", name): (*FORMS[name], *DELTA, "--json") for name in (*BY_OPTIONS, "plan")},
    ("check", "recipe"): ("recipe.yaml", "--json"),
    **{("audit", name): ("scores.csv", *FORMS[name], *DELTA, "--json") for name in BY_OPTIONS},
    **{("audit", f"against {file}"): ("scores.csv", "--against", file, *DELTA, "--json") for file in FILES},
    ("audit", "stated"): ("scores.csv", "--eps", "3", *DELTA, "--json"),
    ("audit", "alone"): ("scores.csv", *DELTA, "--json"),
    ("risk", "recipe"): ("recipe.yaml", "--json"),
    ("risk", "record, its δ"): ("record.json", "--json"),
    ("risk", "stated ε"): ("--eps", "1", *DELTA, "--json"),
    ("risk", "stated μ"): ("--mu", ".5", "--json"),
    **{
        ("report", name): (*FORMS[name], *DELTA, "--format", "json")
        for name in ("options", "of users", "plan", "record")
    },
    ("report", "recipe"): ("recipe.yaml", "--format", "json"),
    ("solve", "noise"): ("--target-eps", "3", "--q", "0.5", "--steps", "2", *DELTA, "--json"),
    ("solve", "steps"): ("--target-eps", "3", "--q", "0.5", "--sigma", "2", *DELTA, "--json"),
    ("solve", "advantage"): ("--max-advantage", "0.2", "--q", "0.5", "--steps", "2", "--json"),
    ("solve", "plan"): ("open.yaml", "--target-eps", "8", *DELTA, "--json"),
    ("frontier", "n"): ("--n", "600", "--target-eps", "3", *DELTA, "--batch", "300", "--epochs", "1", "--json"),
    ("compare plans", "recipes"): ("recipe.yaml", "other-recipe.yaml", "--json"),
    ("compare plans", "plans"): ("plan.yaml", "other-plan.yaml", *DELTA, "--json"),
    ("compare units", "options"): (*OPTIONS, "--max-per-user", "4", *DELTA, "--json"),
    ("compare samplers", "options"): (
        "--sigma", "2", "--n", "600", "--batch", "300", "--epochs", "1", "--without-noise", *DELTA, "--json",
    ),
}  # fmt: skip
# What is heard, and changes nothing that is printed: how many there are of whom the rate is known, beside a δ that is
# given. A unit that the file has, too.
SAYS_NOTHING = {("beside a run", "--batch"), ("options", "--n"), ("options", "--batch"), ("solve plan", "--unit")}
WITHOUT_PLAN = {"compare", "train", "tune", "verify", "recipes", "help"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each kind."""
    place = tmp_path_factory.mktemp("sources")
    phase = "{{mechanism: {{kind: gaussian{}}}, sampling: {{kind: poisson, sample_rate: 0.5}}, steps: 2}}"
    noisy, open_ = phase.format(", noise_multiplier: 2"), phase.format("")
    (place / "plan.yaml").write_text(f"phases: [{noisy}]", encoding="utf-8")
    (place / "open.yaml").write_text(f"unit: user\nphases: [{open_}]", encoding="utf-8")
    (place / "list.yaml").write_text("- {sigma: 2, q: 0.5, steps: 2}", encoding="utf-8")
    (place / "sampled.yaml").write_text("- {sigma: 2, q: 0.5, steps: 2, sampling: poisson}", encoding="utf-8")
    (place / "state.json").write_text(
        json.dumps({"accountant_state": {"history": [[2.0, 0.5, 2]], "mechanism": "prv"}}), encoding="utf-8"
    )
    (place / "other-plan.yaml").write_text(f"phases: [{noisy}, {noisy}]", encoding="utf-8")
    lines = [f"{number % 2},{0.1 * number}" for number in range(20)]
    (place / "scores.csv").write_text("\n".join(["member,score", *lines, ""]), encoding="utf-8")
    for name, recipe in (("recipe", "digits"), ("other-recipe", "digits-logistic")):
        (place / f"{name}.yaml").write_bytes((ROOT / "recipes" / f"{recipe}.yaml").read_bytes())
    return place


@pytest.fixture
def asked(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """The exit status and what was printed, without times."""
    monkeypatch.chdir(folder)

    def ask(*arguments: str) -> tuple[int, str]:
        status = program.run(list(arguments))
        printed = capsys.readouterr()
        return status, re.sub(r'"seconds": [\d.e-]+', "", printed.out) if status in (0, 1) else printed.err

    if not (folder / "record.json").exists():
        _, printed = ask("epsilon", *OPTIONS, *DELTA, "--json")
        (folder / "record.json").write_text(printed, encoding="utf-8")
    return ask


def _options(command: str) -> set[str]:
    found = importlib.import_module(f"dpplan.commands.{command.replace(' ', '_')}").command
    return {name for each in found.params for name in each.opts}


@pytest.mark.sweep(every=2, slow=("compare tuning", "audit beside", "audit of", "solve advantage"))
@pytest.mark.parametrize(("command", "form"), CALLS, ids=[" ".join(each) for each in CALLS])
def test_what_is_said_of_a_plan_is_heard_or_refused(asked: Callable[..., Any], command: str, form: str) -> None:
    call = (*command.split(), *CALLS[command, form])
    status, plain = asked(*call)
    if command != "export":  # to which some plans are unknown: then all that follows is refused as well
        assert status in (0, 1), plain
    taken, silent = _options(command), []
    for option, value in SAID:
        if option not in taken or (option in call and option not in ("--spent", "--phase", "--phases")):
            continue
        if {(form, option), (f"{command} {form}", option)} & SAYS_NOTHING:
            continue
        got = asked(*call, option, value)
        assert got[0] in (0, 1, 2, 3), (option, value, got)
        silent += [f"{option} {value}"] if got == (status, plain) and status in (0, 1) else []
    assert not silent


def test_every_command_that_takes_a_plan_is_asked() -> None:
    assert {command for command, _ in CALLS} == set(COMMANDS) - WITHOUT_PLAN
