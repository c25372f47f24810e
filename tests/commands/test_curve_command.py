"""dpplan curve in a process of its own."""

import csv
import io
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from dpplan import __main__ as program
from dpplan.render import curve as curves

Run = Callable[..., CompletedProcess[str]]
ABADI = ("--sigma", "4", "--q", "0.01", "--steps", "10000")
MNIST = ("--sigma", "1.1", "--n", "60000", "--batch", "256", "--epochs", "60")


def points(done: CompletedProcess[str]) -> list[dict[str, object]]:
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["schema"] == "dpplan.curve/1"
    (result,) = answer["results"]
    return result["points"]


def test_a_plan_alone_gives_its_profile_over_delta(dpplan: Run) -> None:
    done = dpplan("curve", *ABADI)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "ε over δ: exact certified"
    assert lines[1].split() == ["δ", "ε", "≥", "ε", "≤"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:23]}
    assert list(rows)[0::10] == ["1e-12", "1e-07", "0.01"]
    lower, upper, _ = rows["1e-05"]
    assert 0.94686679 < float(lower) <= float(upper) < 0.9468669
    lengths = [len(bar) for _, _, bar in rows.values()]
    assert lengths == sorted(lengths, reverse=True)
    assert max(map(len, lines)) <= 80
    assert lines[-1].split()[0] == "assumes"


def test_a_curve_over_epsilon_goes_as_far_as_there_is_something_to_see(dpplan: Run) -> None:
    found = points(dpplan("curve", *ABADI, "--over", "eps", "--points", "4", "--json"))
    assert found[0]["epsilon"] == 0
    deltas = [point["delta"]["upper"] for point in found]  # type: ignore[index]
    assert deltas == sorted(deltas, reverse=True)
    assert deltas[0] > 0.1
    assert 0 < deltas[-1] <= 1e-12


def test_points_carry_what_varies_with_them(dpplan: Run) -> None:
    call = ("curve", "--over", "batch", "--from", "128", "--to", "512", "--points", "3", *MNIST, "--json")
    found = points(dpplan(*call))
    assert [point["batch"] for point in found] == [128, 256, 512]
    assert [point["steps"] for point in found] == [28125, 14063, 7032]
    assert found[1]["sample_rate"] == 256 / 60000
    (alone,) = json.loads(dpplan("epsilon", *MNIST, "--json").stdout)["results"]
    assert found[1]["epsilon"]["upper"] == alone["epsilon"]["upper"]  # type: ignore[index]


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("over", "plan", "ends"),
    [
        ("sigma", MNIST, ["0.55", "1.1", "2.2"]),
        ("sigma", MNIST[2:], ["0.5", "2", "8"]),
        ("batch", MNIST, ["32", "256", "2048"]),
        ("epochs", MNIST, ["20", "40", "60"]),
        ("steps", (*ABADI, "--delta", "1e-5"), ["3333", "6667", "10000"]),
        ("q", (*ABADI, "--delta", "1e-5"), ["0.00125", "0.01", "0.08"]),
    ],
)
def test_a_curve_goes_around_the_plan_when_nothing_is_said(
    dpplan: Run, over: str, plan: tuple[str, ...], ends: list[str]
) -> None:
    done = dpplan("curve", "--over", over, "--points", "3", *plan)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()[2:5]] == ends


def test_places_are_spaced_as_asked(dpplan: Run) -> None:
    call = ("curve", *ABADI, "--from", "1e-6", "--to", "1e-4", "--points", "3", "--json")
    assert [point["delta"] for point in points(dpplan(*call))] == [1e-6, 1e-5, 1e-4]
    assert [point["delta"] for point in points(dpplan(*call, "--linear"))] == [1e-6, 5.05e-5, 1e-4]


def test_csv_has_a_line_for_each_point_and_accountant(dpplan: Run) -> None:
    names = ("--accountant", "exact", "--accountant", "gdp", "--accountant", "zcdp")
    done = dpplan("curve", *ABADI, "--points", "2", *names, "--csv", "-")
    assert (done.returncode, done.stderr) == (0, "")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [(row["delta"], row["accountant"], row["guarantee"]) for row in rows] == [
        ("1e-12", "exact", "certified"), ("0.01", "exact", "certified"), ("1e-12", "gdp", "estimate"),
        ("0.01", "gdp", "estimate"), ("1e-12", "zcdp", ""), ("0.01", "zcdp", ""),
    ]  # fmt: skip
    assert float(rows[0]["lower"]) <= float(rows[0]["upper"])
    assert (rows[2]["lower"], rows[2]["upper"]) == ("", "")


def test_several_accountants_have_a_column_each_and_refusals_stand_below(dpplan: Run) -> None:
    done = dpplan("curve", *ABADI, "--points", "2", "--accountant", "all")
    lines = done.stdout.splitlines()
    assert "exact certified" in lines[0]
    assert "gdp estimate" in lines[0]
    assert lines[2].split() == ["δ", "exact", "gdp", "zcdp", "rdp", "moments", "optimal", "advanced", "basic"]
    assert lines[3].split()[3] == "-"
    assert any(line.startswith("zcdp: sample_rate=0.01 is below 1") for line in lines)
    assert max(map(len, lines)) <= 80


def test_an_accountant_that_refuses_everywhere_is_status_3(dpplan: Run) -> None:
    done = dpplan("curve", *ABADI, "--accountant", "zcdp")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("error: zcdp: sample_rate=0.01 is below 1")


def test_a_plan_in_phases_is_followed_step_by_step_after_what_was_spent(dpplan: Run) -> None:
    phases = ("--phase", "sigma=2,q=0.01,steps=60", "--phase", "sigma=1,q=0.02,steps=40")
    spent = ("--spent", "sigma=3,q=0.1,steps=100", "--delta", "1e-5")
    found = points(dpplan("curve", "--over", "steps", "--points", "2", *phases, *spent, "--json"))
    assert [point["steps"] for point in found] == [50, 100]
    (whole,) = json.loads(dpplan("epsilon", *phases, *spent, "--json").stdout)["results"]
    assert found[-1]["epsilon"]["upper"] == whole["epsilon"]["upper"]  # type: ignore[index]
    refused = dpplan("curve", "--over", "sigma", *phases, *spent)
    assert refused.stderr.startswith("error: over=sigma varies a single phase, and this plan is given in phases.")


def test_a_plot_is_drawn(dpplan: Run, tmp_path: Path) -> None:
    done = dpplan("curve", *ABADI, "--points", "3", "--plot", "out.svg")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("drawn to out.svg\n")
    assert "<svg" in (tmp_path / "out.svg").read_text(encoding="utf-8")


def test_every_mistake_is_told_at_once(dpplan: Run) -> None:
    call = "curve --over dlta --points 1 --q 1% --steps 5 --json --csv - --accountant exat --plot a.gif --delta 7"
    done = dpplan(*call.split())
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (2, 2)
    for start in (
        "sigma is missing", "q=1% is a percentage", "delta=7 is not in", "over=dlta is not one of: delta, eps,",
        "accountant=exat is not one of", "--json and --csv - are two formats", "plot=a.gif does not end in",
    ):  # fmt: skip
        assert f"\n  {start}" in done.stderr, start


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ("--over delta --delta 1e-5 --sigma 1 --q .1 --steps 9", "--delta with --over delta: δ runs along the curve."),
        ("--over eps --from 2 --to 1 --sigma 1 --q .1 --steps 9", "from=2 is not below to=1."),
        ("--over eps --from 0 --log --sigma 1 --q .1 --steps 9", "from=0 has no place on a logarithmic axis."),
        ("--over steps --sigma 1 --q .1 --delta 1e-5", "the end of the curve is missing: give --to, or --steps."),
        ("--over steps --to 9.5 --sigma 1 --q .1 --delta 1e-5", "to=9.5 is not a whole number"),
        ("--over batch --sigma 1 --epochs 3 --delta 1e-5", "n is missing: a batch has a sample rate only with it."),
        ("--over batch --to 70 --sigma 1 --n 60 --epochs 3", "batch=70 exceeds n=60"),
        ("--from 0.5 --sigma 1 --q .1 --steps 9", "from=0.5 lies beyond the other end, 0.01 when nothing is said."),
        ("--sigma 1 --q .1 --steps 9 --points 2001", "points=2001 is more than 2000."),
        ("--sigma 1 --q .1 --steps 9 --max-lambda 3", "--max-lambda is for moments, and the accountant is exact."),
    ],
)
def test_a_curve_that_cannot_be_drawn_says_what_to_change(dpplan: Run, call: str, sentence: str) -> None:
    done = dpplan("curve", *call.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "problems" not in done.stderr


def test_a_bar_is_as_long_as_its_share_to_an_eighth_of_a_column() -> None:
    assert curves.bar(1.0) == "█" * curves.BAR
    assert curves.bar(0.5) == "█" * (curves.BAR // 2)
    assert curves.bar(1e-9) == "▏"
    assert curves.bar(0.0) == ""
    assert re.fullmatch("█{7}▎", curves.bar(7.25 / curves.BAR))


@pytest.mark.slow
def test_deltas_far_below_any_use_have_a_curve_too() -> None:
    assert program.run(shlex.split("curve --over delta --from 1e-170 --sigma 1 --q .01 --steps 10 --points 2")) == 0


def test_what_a_curve_assumes_is_said_of_either_end(dpplan: Run) -> None:
    call = ("curve", "--over", "q", "--to", "1", "--points", "2", "--sigma", "9", "--steps", "30", "--delta", "1e-6")
    said = " ".join(dpplan(*call, "--from", ".01").stdout.split())
    assert "Poisson sampling, add/remove one example, to full batch, add/remove one example" in said
