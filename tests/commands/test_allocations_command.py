"""Allocations as they are typed: answers, their assumptions, what is composed and solved for, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]
BINS = ("--sampling", "balls-in-bins", "--sigma", "1")
TEN = (*BINS, "--q", "1/20", "--epochs", "10", "--delta", "1e-5")


def ends(shown: CompletedProcess[str], quantity: str = "epsilon") -> tuple[float, float]:
    assert shown.returncode == 0, shown.stderr
    figure = json.loads(shown.stdout)["results"][0][quantity]
    return figure["lower"], figure["upper"]


def test_the_first_line_of_the_help(dpplan: Run) -> None:
    run = (*BINS, "--q", "1/100", "--epochs", "10", "--delta", "1e-5", "--accuracy", "2e-3")
    shown = dpplan("epsilon", *run, "--json")
    lower, upper = ends(shown)
    assert lower <= 1.701498 <= upper
    assert upper - lower <= 2e-3 * upper
    document = json.loads(shown.stdout)
    assert document["plan"]["steps_per_epoch"] == 100 and document["plan"]["bins"] == "fresh"
    assert (
        document["assumptions"]["sampling"] == "balls-in-bins over 100 steps, each example by itself, fresh each epoch"
    )


def test_what_the_interval_rests_on_is_explained(dpplan: Run) -> None:
    said = " ".join(dpplan("epsilon", *TEN, "--bins", "same", "--explain").stdout.split())
    assert "balls-in-bins over 20 steps, each example by itself, the same bins each epoch, add/remove" in said
    assert "2412.16802" in said and "allocations on a lattice of step" in said


@pytest.mark.slow
def test_the_width_is_what_was_asked_for(dpplan: Run) -> None:
    """Coarse and quick, or narrow; the intervals meet, and what was aimed at is explained."""
    run = TEN
    found = [ends(dpplan("epsilon", *run, "--accuracy", wanted, "--json")) for wanted in ("2e-3", "2e-4", "1e-5")]
    found.append(ends(dpplan("epsilon", *run, "--json")))  # 2e-4 unless asked for otherwise
    for (lower, upper), wanted in zip(found, (2e-3, 2e-4, 1e-5, 2e-4), strict=True):
        assert upper - lower <= wanted * upper
    assert max(lower for lower, _ in found) <= min(upper for _, upper in found)
    said = " ".join(dpplan("epsilon", *run, "--accuracy", "2e-3", "--explain").stdout.split())
    assert "for a relative width of 0.002" in said
    less, more = ends(dpplan("delta", *run[:-2], "--eps", "1", "--accuracy", "1e-4", "--json"), "delta")
    assert more - less <= 1e-4 * more


def test_a_width_that_is_none_is_refused(dpplan: Run) -> None:
    done = dpplan("epsilon", *TEN, "--accuracy", "0.5")
    assert done.returncode == 2 and "accuracy=0.5 is not between 1e-06 and 0.1." in done.stderr
    done = dpplan("epsilon", *TEN, "--accuracy", "1e-3", "--accountant", "rdp")
    assert done.returncode == 2 and "--accuracy is for exact" in done.stderr


@pytest.mark.slow
def test_delta_is_that_of_the_epsilon(dpplan: Run) -> None:
    _, upper = ends(dpplan("epsilon", *TEN, "--json"))
    less, more = ends(dpplan("delta", *TEN[:-2], "--eps", repr(upper), "--json"), "delta")
    assert 0.99e-5 <= less <= more <= 1.002e-5


def test_phases_and_earlier_runs_are_composed(dpplan: Run) -> None:
    phase = "sigma=1,q=1/20,epochs=5,sampling=balls-in-bins"
    once = ends(dpplan("epsilon", *TEN, "--json"))
    assert ends(dpplan("epsilon", "--phase", phase, "--phase", phase, "--delta", "1e-5", "--json")) == once
    earlier = ends(dpplan("epsilon", *TEN, "--spent", "sigma=2,q=0.01,steps=100,sampling=poisson", "--json"))
    assert once[0] < earlier[0] and once[1] < earlier[1] < once[1] + 0.2


@pytest.mark.parametrize(
    ("open_", "value"),
    [
        pytest.param(("--q", "1/5"), "noise_multiplier", marks=pytest.mark.slow),
        (("--sigma", "1"), "sample_rate"),
        pytest.param(("--sigma", "1", "--batch", "6"), "examples", marks=pytest.mark.slow),
    ],
)
def test_an_unknown_is_solved_for_with_whole_epochs(dpplan: Run, open_: tuple[str, ...], value: str) -> None:
    asked = ("--sampling", "balls-in-bins", *open_, "--epochs", "2", "--delta", "1e-5", "--target-eps", "2")
    found = json.loads(dpplan("solve", *asked, "--json").stdout)
    (answer,) = found["results"]
    assert answer["unknown"] == value
    assert answer["epsilon"]["upper"] <= 2.0 < answer["other_way"]["epsilon"]["upper"]
    per_epoch = found["plan"]["steps_per_epoch"]
    if value == "sample_rate":
        assert answer["value"] == 1.0 / per_epoch
    if value == "examples":
        assert answer["value"] == 6 * per_epoch


def test_a_curve_over_delta(dpplan: Run) -> None:
    shown = dpplan(
        "curve", *TEN[:-2], "--over", "delta", "--from", "1e-8", "--to", "1e-4", "--points", "3", "--csv", "-"
    )
    rows = [line.split(",") for line in shown.stdout.splitlines()[1:]]
    assert len(rows) == 3


def test_random_allocation_lies_between_bounds(dpplan: Run) -> None:
    asked = ("--sampling", "random-allocation", "--times", "2", "--sigma", "2", "--q", "1/10", "--epochs", "4")
    lower, upper = ends(dpplan("epsilon", *asked, "--delta", "1e-5", "--json"))
    assert 0.0 < lower < upper < 4.0


def test_a_claim_is_verified(dpplan: Run, tmp_path: Path) -> None:
    file = tmp_path / "claim.json"
    file.write_text(dpplan("epsilon", *TEN, "--json").stdout, encoding="utf-8")
    assert dpplan("verify", str(file)).returncode == 0


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (("--q", "0.3"), 2, "Try --q 1/3 or --q 1/4."),
        (("--n", "1000", "--batch", "300"), 2, "n / batch = 3.33333 steps of an epoch, which is not whole."),
        (("--q", "1/20", "--bins", "often"), 2, "fresh, same"),
        (("--q", "1/20", "--times", "2"), 2, "times=2 is an option of random-allocation"),
        (("--q", "1/20", "--adjacency", "replace-one"), 3, "the two records join different steps"),
        (("--q", "1/20", "--accountant", "moments"), 3, "Use the exact accountant."),
    ],
)
def test_what_is_refused_says_what_to_do(dpplan: Run, options: tuple[str, ...], code: int, sentence: str) -> None:
    shown = dpplan("epsilon", *BINS, *options, "--epochs", "2", "--delta", "1e-5")
    assert shown.returncode == code
    assert sentence in " ".join(shown.stderr.split())
