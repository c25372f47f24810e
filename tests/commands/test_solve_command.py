"""dpplan solve in a process of its own."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]
MNIST = ("--delta", "1e-5", "--n", "60000")


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("given", "unknown", "finer"),
    [
        (("--batch", "256", "--epochs", "60"), "noise_multiplier", -1),
        (("--batch", "256", "--sigma", "1.1"), "epochs", 1),
        (("--q", "0.01", "--sigma", "1.1"), "steps", 1),
        (("--steps", "14000", "--sigma", "1.1"), "batch_size", 1),
    ],
)
def test_the_answer_is_within_the_target_and_the_next_one_is_not(
    dpplan: Run, given: tuple[str, ...], unknown: str, finer: int
) -> None:
    done = dpplan("solve", "--target-eps", "3", *MNIST, *given, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert answer["schema"] == "dpplan.solve/1"
    (found,) = answer["results"]
    assert found["unknown"] == unknown
    assert found["epsilon"]["upper"] <= found["target_epsilon"] == 3
    assert found["other_way"]["epsilon"]["upper"] > 3
    assert (found["other_way"]["value"] - found["value"]) * finer > 0
    plan = answer["plan"]
    repeated = dpplan(
        "epsilon", "--sigma", repr(plan["noise_multiplier"]), "--q", repr(plan["sample_rate"]),
        "--steps", str(plan["steps"]), "--delta", "1e-5", "--max-eps", "3",
    )  # fmt: skip
    assert repeated.returncode == 0


def test_the_answer_comes_first_and_never_reads_as_more_than_the_target(dpplan: Run) -> None:
    lines = dpplan("solve", "--target-eps", "3", *MNIST, "--batch", "256", "--epochs", "60").stdout.splitlines()
    assert lines[0] == "noise multiplier = 0.9684275       spends ε = 2.9999995 of 3 (certified)"
    assert "  noise multiplier   0.9684275        solved for" in lines
    assert "  next               noise multiplier 0.9684274 would spend ε = 3.00001" in lines
    assert max(map(len, lines)) <= 80


def test_a_call_that_leaves_delta_alone_open_says_that_delta_is_solved_for(dpplan: Run) -> None:
    given = ("--target-eps", "3", "--sigma", "2", "--q", "0.01", "--steps", "1000")
    words = " ".join(dpplan("solve", *given).stdout.split())
    assert "are all given and --delta is not, so the least δ is solved for. To find one of them" in words
    assert "so the least δ" not in dpplan("solve", *given[:6], "--delta", ".1").stdout


def test_a_target_that_rules_out_nothing_is_warned_of(dpplan: Run) -> None:
    done = dpplan("solve", "--target-eps", "300", *MNIST, "--batch", "256", "--epochs", "60")
    assert done.returncode == 0
    assert done.stderr == "warning: an ε of 300 rules out no attack at all (dpplan check --explain DP002).\n"


def test_what_is_out_of_reach_is_status_1_with_what_is_reachable(dpplan: Run) -> None:
    done = dpplan("solve", "--target-eps", "1e-9", *MNIST, "--batch", "256", "--sigma", "0.1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "is out of reach" in done.stderr


@pytest.mark.parametrize(
    ("call", "problems"),
    [
        (
            ("--sigma", "-1", "--n", "100", "--q", "1%", "--delta", "3"),
            ["sigma=-1", "q=1% is", "delta=3", "give --target-eps"],
        ),
        (("--target-eps", "0", "--n", "100", "--batch", "10"), ["sigma and epochs are both open", "target_eps=0"]),
        (("--target-eps", "3", "--n", "100", "--batch", "200", "--epochs", "1"), ["batch=200 exceeds n=100"]),
        (("--target-eps", "3", "--n", "100", "--accountant", "all"), ["accountant=all is not one of", "are all open"]),
    ],
)
def test_every_mistake_is_told_at_once(dpplan: Run, call: tuple[str, ...], problems: list[str]) -> None:
    done = dpplan("solve", *call)
    assert (done.returncode, done.stdout) == (2, "")
    for problem in problems:
        assert problem in done.stderr


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("given", "unknown", "value"),
    [
        (("--q", "0.01", "--steps", "1e4", "--delta", "1e-5"), "noise_multiplier", 1.5),
        (("--sigma", "1.1", "--steps", "1e4", "--delta", "1e-5"), "sample_rate", 0.006),
        (("--sigma", "1.1", "--batch", "256", "--epochs", "60", "--delta", "1e-5"), "examples", 43000),
        (("--sigma", "1.1", "--batch", "256", "--epochs", "60", "--n", "60000"), "delta", 8.8e-8),
    ],
)
def test_any_one_quantity_may_be_left_out(dpplan: Run, given: tuple[str, ...], unknown: str, value: float) -> None:
    done = dpplan("solve", "--target-eps", "3", *given, "--json")
    (found,) = json.loads(done.stdout)["results"]
    assert found["unknown"] == unknown
    assert found["value"] == pytest.approx(value, rel=0.2)
    assert found["epsilon"]["upper"] <= 3 < found["other_way"]["epsilon"]["upper"]
    assert (found["target_delta"] is None) == (unknown == "delta")


def test_a_target_may_be_a_delta_at_an_epsilon(dpplan: Run) -> None:
    call = ("solve", "--eps", "3", "--target-delta", "1e-6", "--q", ".01", "--steps", "1e4")
    lines = dpplan(*call).stdout.splitlines()
    assert lines[0] == "noise multiplier = 1.708276        spends δ = 9.99989e-07 of 1e-06 (certified)"
    assert "  epsilon            3                given, with the target δ" in lines
    assert max(map(len, lines)) <= 80
    (found,) = json.loads(dpplan(*call, "--json").stdout)["results"]
    assert (found["target_epsilon"], found["target_delta"], found["epsilon"]) == (3, 1e-6, 3)
    assert found["delta"]["upper"] <= 1e-6 < found["other_way"]["delta"]["upper"]


def test_what_was_spent_before_counts_towards_the_target(dpplan: Run, tmp_path: Path) -> None:
    (tmp_path / "earlier.csv").write_text("sigma,q,steps\n2,0.01,300\n2,0.01,200\n", encoding="utf-8")
    call = ("solve", "--target-eps", "3", *MNIST, "--batch", "256", "--epochs", "60")
    alone, typed, in_a_file = (
        json.loads(dpplan(*call, *spent, "--json").stdout)
        for spent in ((), ("--spent", "sigma=2,q=0.01,steps=500"), ("--spent", "earlier.csv"))
    )
    assert alone["results"][0]["value"] < typed["results"][0]["value"] == in_a_file["results"][0]["value"]
    assert [phase["steps"] for phase in in_a_file["plan"]["phases"]] == [300, 200, 14063]
    assert typed["results"][0]["epsilon"]["upper"] <= 3
    assert "earlier runs       1 phase" in dpplan(*call, "--spent", "sigma=2,q=0.01,steps=500").stdout


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("call", "problem"),
    [
        (("--target-delta", "1e-5"), "the epsilon of the target delta is missing: give --eps"),
        (("--target-delta", "1e-5", "--eps", "1", "--delta", "1e-5"), "delta and target_delta are both given"),
        (("--target-delta", "1e-5", "--eps", "1", "--target-eps", "1"), "target_eps and target_delta are both given"),
        (("--eps", "1"), "eps goes with a target delta"),
        (("--target-eps", "1", "--spent", "sigma=1,q=2,steps=5"), "spent 1: q=2 is not in"),
        (("--target-eps", "1", "--spent", "earlier.yaml"), "earlier.yaml: no such file"),
    ],
)
def test_targets_and_earlier_runs_that_make_no_sense(dpplan: Run, call: tuple[str, ...], problem: str) -> None:
    done = dpplan("solve", "--n", "60000", "--batch", "256", "--epochs", "60", *call)
    assert (done.returncode, done.stdout) == (2, "")
    assert problem in done.stderr


def test_n_that_is_solved_for_cannot_give_the_delta(dpplan: Run) -> None:
    done = dpplan("solve", "--target-eps", "3", "--sigma", "1.1", "--batch", "256", "--epochs", "60")
    assert done.returncode == 2
    assert "delta is missing: give --delta. It cannot be derived from n" in done.stderr


def test_a_delta_that_gives_records_away_is_no_privacy_on_the_screen(dpplan: Run) -> None:
    """The exit status stays 0, since the target is met."""
    run = ("--sigma", "1.1", "--n", "60000", "--batch", "256", "--epochs", "60")
    away, kept = (dpplan("solve", "--target-eps", target, *run) for target in ("2", "3"))
    assert (away.returncode, kept.returncode) == (0, 0)
    assert away.stdout.splitlines()[1].startswith("NO PRIVACY: this δ is not below 1/n = 1.67e-05")
    assert "is not below 1/n" in " ".join(away.stderr.split()) and "NO PRIVACY" not in kept.stdout
