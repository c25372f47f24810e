"""Limits on the command line: an estimate passes none of them, and 1/n is held against a delta."""

import json
import re
from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]
MNIST = ("--sigma", "1.1", "--n", "60000", "--batch", "256", "--epochs", "60")
GDP = ("epsilon", *MNIST, "--accountant", "gdp")


def test_an_estimate_below_the_limit_does_not_pass(dpplan: Run) -> None:
    """It says 2.62 where 2.697 is certified."""
    done = dpplan(*GDP, "--max-eps", "2.65")
    assert done.returncode == 3
    assert done.stdout.startswith("ε ≈ 2.62221 at δ = 1e-06")
    assert done.stderr.startswith("error: ε ≈ 2.62221 at δ = 1e-06 is an estimate by gdp: it proves nothing")
    assert "--accept-estimate" in done.stderr
    as_json = dpplan(*GDP, "--max-eps", "2.65", "--json")
    answer = json.loads(as_json.stdout)
    assert (as_json.returncode, answer["within"], answer["accept_estimate"]) == (3, False, False)


def test_an_estimate_passes_where_it_is_accepted_and_is_warned_of(dpplan: Run) -> None:
    done = dpplan(*GDP, "--max-eps", "2.65", "--accept-estimate", "--json")
    assert (done.returncode, json.loads(done.stdout)["within"]) == (0, True)
    assert done.stderr.startswith("warning: ε ≈ 2.62221 at δ = 1e-06 is an estimate by gdp and was accepted as one")
    assert dpplan(*GDP, "--max-eps", "2.6", "--accept-estimate").returncode == 1


def test_of_several_deltas_every_one_is_held_against_the_limit(dpplan: Run) -> None:
    some = dpplan(*GDP, "--delta", "1e-5", "--delta", "1e-6", "--max-eps", "2.5")
    assert some.returncode == 1
    assert "at δ = 1e-06 exceeds --max-eps 2.5." in some.stderr
    assert "at δ = 1e-05 is an estimate" in some.stderr
    assert dpplan(*GDP, "--delta", "1e-5", "--delta", "1e-6", "--max-eps", "2.7").returncode == 3


def test_with_all_accountants_the_estimate_is_not_what_passes(dpplan: Run) -> None:
    done = dpplan("epsilon", *MNIST, "--accountant", "all", "--max-eps", "2.65")
    assert done.returncode == 1
    assert "exceeds --max-eps 2.65" in done.stderr


def test_accepting_an_estimate_needs_a_limit(dpplan: Run) -> None:
    done = dpplan(*GDP, "--accept-estimate")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --accept-estimate says what may meet a limit. Give --max-eps, or leave it out.\n"


def test_what_exceeds_is_shown_with_the_digits_that_show_it(dpplan: Run) -> None:
    done = dpplan("epsilon", *MNIST, "--delta", "1e-5", "--max-eps", "2.3816897")
    assert done.returncode == 1
    stated = re.match(r"error: ε ≥ (\S+) at δ = 1e-05 exceeds --max-eps 2\.3816897\.$", done.stderr.strip())
    assert stated
    assert float(stated[1]) > 2.3816897


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_target_met_by_an_estimate_is_shown_and_not_certified(dpplan: Run, more: tuple[str, ...]) -> None:
    call = ("solve", "--target-eps", "3", *MNIST[2:], "--accountant", "gdp", *more)
    done = dpplan(*call)
    assert done.returncode == 3
    assert "1.01" in done.stdout
    assert done.stderr.startswith("error: noise multiplier = 1.01")
    assert "rests on an estimate by gdp" in done.stderr
    assert dpplan(*call, "--accept-estimate").returncode == 0
    if more:
        assert json.loads(done.stdout)["results"][0]["proven"] is False


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("--sigma", "4", "--q", "0.01", "--steps", "100", "--delta", "0.9"), "with that chance everything may be"),
        ((*MNIST, "--delta", "1e-6", "--delta", "0.2"), "delta=0.2 is no privacy"),
    ],
)
def test_nothing_is_within_a_limit_at_a_delta_that_is_no_privacy(dpplan: Run, call: tuple[str, ...], said: str) -> None:
    done = dpplan("epsilon", *call, "--max-eps", "5", "--json")
    assert (done.returncode, json.loads(done.stdout)["within"]) == (3, False)
    assert f"error: delta={call[-1]} is no privacy, and so not within --max-eps 5: " in done.stderr
    assert said in done.stderr
    assert dpplan("epsilon", *call).returncode == 0  # which holds it against nothing


def test_a_delta_up_to_a_tenth_may_do_and_what_exceeds_is_still_told(dpplan: Run) -> None:
    call = ("epsilon", "--sigma", "4", "--q", "0.01", "--steps", "100", "--max-eps")
    assert dpplan(*call, "5", "--delta", "0.1").returncode == 0
    both = dpplan(*call, "0.001", "--delta", "1e-5", "--delta", "0.5")
    assert both.returncode == 1
    assert "exceeds --max-eps 0.001" in both.stderr and "delta=0.5 is no privacy" in both.stderr


def test_a_delta_that_is_not_below_one_over_n_is_warned_of(dpplan: Run) -> None:
    done = dpplan("delta", "--eps", "1", "--eps", "3", *MNIST)
    assert done.returncode == 0
    assert done.stderr.startswith("warning: δ = 0.01553 at ε = 1 is not below 1/n = 1.67e-05: publishing a whole")
    assert done.stderr.count("warning:") == 1
    answer = json.loads(dpplan("delta", "--eps", "1", *MNIST, "--json").stdout)
    assert [sentence.split(":")[0] for sentence in answer["warnings"]] == [
        "δ = 0.01553 at ε = 1 is not below 1/n = 1.67e-05"
    ]
    assert answer["notes"] == []
    several = dpplan("delta", "--eps", "1", "--phase", "sigma=1.1,n=60000,batch=256,epochs=60", "--accountant", "all")
    assert "is not below 1/n = 1.67e-05" in several.stderr


def test_without_n_it_is_said_that_delta_is_held_against_nothing(dpplan: Run) -> None:
    call = ("delta", "--eps", "0.1", "--sigma", "1", "--q", ".1", "--steps", "9")
    done = dpplan(*call)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^  1/n +not known +give --n to hold δ against it$", done.stdout, re.MULTILINE)
    answer = json.loads(dpplan(*call, "--json").stdout)
    assert (answer["warnings"], len(answer["notes"])) == ([], 1)
    assert "1/n" not in dpplan("delta", "--eps", "3", *MNIST).stdout
