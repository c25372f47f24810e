"""dpplan solve in a process of its own."""

import json
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]
MNIST = ("--delta", "1e-5", "--n", "60000")


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
        (("--target-eps", "0", "--n", "100", "--batch", "10"), ["sigma and epochs are all open", "target_eps=0"]),
        (("--target-eps", "3", "--n", "100", "--batch", "200", "--epochs", "1"), ["batch=200 exceeds n=100"]),
        (("--target-eps", "3", "--n", "100", "--accountant", "all"), ["accountant=all is not one of", "are all open"]),
    ],
)
def test_every_mistake_is_told_at_once(dpplan: Run, call: tuple[str, ...], problems: list[str]) -> None:
    done = dpplan("solve", *call)
    assert (done.returncode, done.stdout) == (2, "")
    for problem in problems:
        assert problem in done.stderr
