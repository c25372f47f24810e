"""What `--json` printed is a plan: asked again, it costs the same, for the same neighbours and the same unit."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dpplan.adjacency import ADJACENCIES
from dpplan.commands import delta, epsilon
from dpplan.errors import NotApplicable, PlanError
from dpplan.sampling import CHOICES

RUNS = {
    "poisson": ("--q", "0.1", "--steps", "10"),
    "full-batch": ("--steps", "3"),
    "fixed-size": ("--n", "1000", "--batch", "100", "--steps", "10"),
    "truncated-poisson": ("--n", "1000", "--batch", "100", "--cap", "130", "--steps", "10"),
    "cyclic-poisson": ("--q", "0.2", "--groups", "4", "--steps", "8", "--assignment", "own"),
    "shuffle": ("--q", "0.1", "--epochs", "2"),
    "balls-in-bins": ("--q", "0.1", "--epochs", "2"),
    "random-allocation": ("--q", "0.2", "--times", "2", "--epochs", "1"),
}
UNITS = ((), ("--unit", "user"), ("--unit", "user", "--max-per-user", "3"))
# Where no theorem is known: of a user example by example, with any but Poisson sampling and under replace-one too.
REFUSED = {
    ("truncated-poisson", "add-remove"), ("shuffle", "add-remove"), ("balls-in-bins", "replace-one"),
    ("random-allocation", "replace-one"),
}  # fmt: skip
AT = ("--delta", "1e-5")


def answer(command: Any, *typed: str) -> dict[str, Any]:
    """What it prints with --json. Raises what it refuses with."""
    done = CliRunner().invoke(command, [*typed, "--json"])
    if done.exception is not None:
        raise done.exception
    found: dict[str, Any] = json.loads(done.stdout)
    return found


spent = functools.partial(answer, epsilon.command)


def kept(folder: Path, content: dict[str, Any]) -> str:
    (folder / "z.json").write_text(json.dumps(content), encoding="utf-8")
    return str(folder / "z.json")


def costs_the_same(folder: Path, typed: tuple[str, ...]) -> None:
    first = spent(*typed, *AT)
    file = kept(folder, first)
    again = spent(file, *AT)
    assert (again["results"], again["assumptions"]) == (first["results"], first["assumptions"])
    assert again["plan"]["phases"] == first["plan"]["phases"]
    place = ("--eps", "0.5")
    assert answer(delta.command, file, *place)["results"] == answer(delta.command, *typed, *place)["results"]


@pytest.mark.parametrize("adjacency", [name.replace("_", "-") for name in ADJACENCIES])
@pytest.mark.parametrize("scheme", CHOICES)
def test_every_answer_asked_again_is_the_same(scheme: str, adjacency: str, tmp_path: Path) -> None:
    for unit in UNITS:
        typed = ("--sigma", "3", "--sampling", scheme, *RUNS[scheme], "--adjacency", adjacency, *unit)
        one_by_one = len(unit) > 2 and (scheme not in ("poisson", "full-batch") or adjacency == "replace-one")
        if (scheme, adjacency) in REFUSED or one_by_one:
            with pytest.raises(NotApplicable):
                spent(*typed, *AT)
        else:
            costs_the_same(tmp_path, typed)


@pytest.mark.parametrize("unit", ["example", "user"])
@pytest.mark.parametrize("adjacency", ["replace_one", "zero_out"])
def test_several_phases_and_those_of_plan_files_too(adjacency: str, unit: str, tmp_path: Path) -> None:
    whose = ("--adjacency", adjacency.replace("_", "-"), "--unit", unit)
    costs_the_same(tmp_path, ("--phase", "sigma=3,q=.1,steps=3", "--phase", "sigma=2,q=.05,steps=4", *whose))
    noise = "mechanism: {kind: gaussian, noise_multiplier: 3}"
    one = f"{{{noise}, sampling: {{kind: poisson, sample_rate: 0.1}}, steps: 4}}"
    groups = f"{{parallel: [{{{noise}}}, {{mechanism: {{kind: laplace, epsilon: 1}}}}]}}"
    for number, phases in enumerate((one, f"{one}, {groups}")):
        file = tmp_path / f"plan{number}.yaml"
        file.write_text(f"adjacency: {adjacency}\nunit: {unit}\nphases: [{phases}]\n", encoding="utf-8")
        costs_the_same(tmp_path, (str(file),))


def test_groups_of_gaussian_noise_alone_stay_groups(tmp_path: Path) -> None:
    """Taken for phases of all records, their figure has a lower end that is not true."""
    groups = [f"{{mechanism: {{kind: gaussian, noise_multiplier: {noise}}}}}" for noise in (2, 3)]
    file = tmp_path / "plan.yaml"
    file.write_text(f"phases: [{{parallel: [{', '.join(groups)}]}}]\n", encoding="utf-8")
    costs_the_same(tmp_path, (str(file),))


RUN = ("--sigma", "3", "--q", "0.1", "--steps", "10")


@pytest.mark.parametrize(
    ("whose", "said", "why"),
    [
        (("--adjacency", "zero-out"), ("--adjacency", "add-remove"), "for zero_out, and the plan for add_remove"),
        (("--adjacency", "zero-out"), ("--adjacency", "replace-one"), "for zero_out, and the plan for replace_one"),
        ((), ("--adjacency", "zero-out"), "for add_remove, and the plan for zero_out"),
        (("--unit", "user"), ("--unit", "example"), "one user, drawn and clipped whole, and the plan one example"),
        ((), ("--unit", "user"), "protect one example, and the plan one user, drawn and clipped whole"),
        (UNITS[2], ("--unit", "user", "--max-per-user", "4"), "of at most 3 examples, and the plan one user of at"),
        (UNITS[2], ("--unit", "example"), "protect one user of at most 3 examples, and the plan one example"),
    ],
)
def test_other_neighbours_and_units_that_were_typed_are_refused(
    whose: tuple[str, ...], said: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    file = kept(tmp_path, spent(*RUN, *whose, *AT))
    assert spent(file, *whose, *AT)["assumptions"] == spent(file, *AT)["assumptions"]  # said as it is
    with pytest.raises(PlanError, match=why):
        spent(file, *said, *AT)


def test_what_ran_before_decides_nothing_and_has_to_be_of_the_same_neighbours(tmp_path: Path) -> None:
    zeroed = kept(tmp_path, spent(*RUN, "--adjacency", "zero-out", *AT))
    (tmp_path / "other").mkdir()
    removed = kept(tmp_path / "other", spent(*RUN, *AT))
    with pytest.raises(PlanError, match="for zero_out, and the plan for add_remove"):
        spent(*RUN, "--spent", zeroed, *AT)
    for plan, before in ((zeroed, removed), (removed, zeroed)):
        with pytest.raises(PlanError, match="guarantees for different neighbours do not add up"):
            spent(plan, "--spent", before, *AT)
    twice = spent(zeroed, "--spent", "sigma=3,q=0.1,steps=10", *AT)
    assert twice["assumptions"]["adjacency"] == "zero_out" and twice["plan"]["steps"] == 20


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--sampling", "fixed-size", "--n", "1000"), "--sampling fixed-size beside FILE"),
        (("--sampling", "full-batch"), "--sampling full-batch beside FILE"),
        (("--sampling", "shuffle", "--order", "once"), "--sampling shuffle and --order beside FILE"),
        (("--cap", "10"), "--cap beside FILE"),
    ],
)
def test_how_it_drew_is_not_said_anew_beside_it(typed: tuple[str, ...], said: str, tmp_path: Path) -> None:
    file = kept(tmp_path, spent("--sigma", "1", *RUNS["poisson"], *AT))
    with pytest.raises(PlanError) as told:
        spent(file, *typed, *AT)
    assert told.value.problems == (
        f"{said.replace('FILE', file)}: what ran says how it drew, by poisson. Leave it out.",
    )
    assert spent(file, "--sampling", "poisson", *AT)["results"] == spent(file, *AT)["results"]


def test_a_full_batch_may_be_called_so_or_sampled_at_rate_one(tmp_path: Path) -> None:
    file = kept(tmp_path, spent("--sigma", "1", "--q", "1", "--steps", "3", *AT))
    for name in ("full-batch", "poisson"):
        assert spent(file, "--sampling", name, *AT)["results"] == spent(file, *AT)["results"]
