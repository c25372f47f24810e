"""--sampling and --adjacency, as they are typed: what is answered, what it says it assumes, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Run = Callable[..., CompletedProcess[str]]
RUN = ("--n", "10000", "--batch", "100", "--steps", "1000", "--delta", "1e-5")


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("options", "stated", "assumed"),
    [
        (("--sigma", "2", "--adjacency", "replace-one"), "ε = 1.2052 ", "Poisson sampling, replace one example"),
        (("--sigma", "2", "--adjacency", "zero_out"), "ε = 0.622031 ", "Poisson sampling, zero out one example"),
        (
            ("--sigma", "2", "--sampling", "fixed-size"),
            "ε = 1.82824 ",
            "batches of exactly 100 of 10000, add/remove one example",
        ),
        (
            ("--sigma", "1", "--sampling", "fixed_size", "--adjacency", "replace_one"),
            "ε ≤ 14.8207 ",
            "batches of exactly 100 of 10000, replace one example",
        ),
    ],
)
def test_a_figure_is_for_what_was_asked_and_says_so(
    dpplan: Run, options: tuple[str, ...], stated: str, assumed: str
) -> None:
    shown = dpplan("epsilon", *options, *RUN)
    assert shown.returncode == 0
    assert shown.stdout.startswith(stated)
    assert f"  assumes            {assumed}\n" in shown.stdout


def test_a_claim_under_other_neighbours_is_verified_under_them(dpplan: Run, tmp_path: Path) -> None:
    said = dpplan("epsilon", "--sigma", "2", "--adjacency", "replace-one", *RUN, "--json").stdout
    document = json.loads(said)
    assert document["plan"]["adjacency"] == document["assumptions"]["adjacency"] == "replace_one"
    file = tmp_path / "claim.json"
    file.write_text(said, encoding="utf-8")
    assert dpplan("verify", str(file)).returncode == 0
    document["plan"]["adjacency"] = "add_remove"
    file.write_text(json.dumps(document), encoding="utf-8")
    assert dpplan("verify", str(file)).returncode == 2
    for place in (document["plan"], document["assumptions"]):
        place["adjacency"] = "replace_one"
    epsilon = document["results"][0]["epsilon"]
    epsilon["lower"], epsilon["upper"] = 0.62, 0.622031  # what add/remove costs
    file.write_text(json.dumps(document), encoding="utf-8")
    assert dpplan("verify", str(file)).returncode == 1


def test_a_claim_whose_sampling_is_not_the_plans_contradicts_itself(dpplan: Run, tmp_path: Path) -> None:
    file, fixed = tmp_path / "claim.json", "batches of exactly 100 of 10000"
    for options, words, other in (
        ((), "Poisson sampling", fixed),
        (("--sampling", "fixed-size"), fixed, "Poisson sampling"),
    ):
        said = dpplan("epsilon", "--sigma", "2", *options, *RUN, "--json").stdout
        assert words in said
        file.write_text(said.replace(words, other), encoding="utf-8")
        assert dpplan("verify", str(file)).returncode == 2


def test_phases_and_earlier_runs_have_the_neighbours_of_the_plan(dpplan: Run) -> None:
    phases = ("--phase", "sigma=2,q=0.01,steps=500", "--phase", "sigma=2,q=0.01,steps=500")
    whole = json.loads(dpplan("epsilon", *phases, "--delta", "1e-5", "--adjacency", "replace-one", "--json").stdout)
    assert whole["plan"]["adjacency"] == "replace_one"
    assert whole["results"][0]["epsilon"]["upper"] == pytest.approx(1.2052, abs=1e-4)
    spent = ("--spent", "sigma=2,q=0.01,steps=500", "--sigma", "2", "--q", "0.01", "--steps", "500")
    after = json.loads(dpplan("epsilon", *spent, "--delta", "1e-5", "--adjacency", "replace-one", "--json").stdout)
    assert after["results"][0]["epsilon"]["upper"] == pytest.approx(1.2052, abs=1e-4)
    alone = after["spent_before"]["results"][0]["epsilon"]
    half = json.loads(dpplan("epsilon", *spent[2:], "--delta", "1e-5", "--adjacency", "replace-one", "--json").stdout)
    assert alone["upper"] == pytest.approx(half["results"][0]["epsilon"]["upper"], rel=1e-6)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--sampling", "fixd-size"), 2, "Did you mean 'fixed-size'?"),
        (("--adjacency", "replace"), 2, "Did you mean 'replace-one'?"),
        (("--adjacency", "edge"), 2, "adjacency=edge is not one of: add-remove, replace-one, zero-out."),
        (("--sampling", "full-batch"), 2, "batch=100 is not n"),
        (("--sampling", "fixed-size", "--batch", "10.5"), 2, "batch=10.5 is not whole"),
        (("--sampling", "shuffle"), 3, "moves the others to other batches. Try --adjacency zero-out or replace-one"),
        (("--sampling", "torch-shuffle"), 2, "It is a loader: torch DataLoader(shuffle=True)"),
        (("--sampling", "b_min_sep"), 3, "The nearest scheme that has a theorem is cyclic-poisson"),
        (("--cap", "30"), 2, "cap=30 is an option of truncated-poisson, and the sampling is poisson"),
        (("--sampling", "truncated-poisson"), 2, "cap is missing"),
        (("--adjacency", "replace-one", "--accountant", "moments"), 3, "moments: no theorem is known here"),
        (("--adjacency", "replace-one", "--prove"), 3, "prove: no theorem is known here"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_its_reason(
    dpplan: Run, options: tuple[str, ...], code: int, said: str
) -> None:
    batch = () if "--batch" in options else ("--batch", "100")
    shown = dpplan("epsilon", "--sigma", "2", "--n", "10000", *batch, "--steps", "10", "--delta", "1e-5", *options)
    assert shown.returncode == code
    assert said in shown.stderr


@pytest.mark.slow
def test_noise_is_solved_for_under_other_schemes(dpplan: Run) -> None:
    asked = ("--target-eps", "2", "--n", "10000", "--batch", "100", "--steps", "100", "--delta", "1e-5")
    plain = json.loads(dpplan("solve", *asked, "--json").stdout)
    fixed = json.loads(dpplan("solve", *asked, "--sampling", "fixed-size", "--json").stdout)
    # Fixed sizes under add/remove cost what half the noise costs under Poisson sampling.
    assert fixed["plan"]["noise_multiplier"] == pytest.approx(2 * plain["plan"]["noise_multiplier"], rel=1e-6)
    assert fixed["plan"]["phases"][0]["sampling"] == "fixed-size"


OTHERS = {
    "cut at": ("--sampling", "truncated-poisson", "--cap", "9", "--adjacency", "zero-out"),
    "by turns": ("--sampling", "cyclic-poisson", "--groups", "5", "--adjacency", "replace-one"),
    "shuffled": ("--sampling", "shuffle", "--order", "once", "--adjacency", "zero-out"),
    "user of at most 3 examples": ("--unit", "user", "--max-per-user", "3"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [pytest.param(each, marks=[pytest.mark.slow] * (each == "cut at")) for each in OTHERS]
)
def test_claims_for_other_schemes_and_units_are_verified_for_them(dpplan: Run, tmp_path: Path, words: str) -> None:
    asked = ("--sigma", "2", "--n", "40", "--batch", "4", "--steps", "20", "--delta", "1e-3", *OTHERS[words])
    said = dpplan("epsilon", *asked, "--json").stdout
    assert words in said
    file = tmp_path / "claim.json"
    file.write_text(said, encoding="utf-8")
    assert dpplan("verify", str(file)).returncode == 0
    document = json.loads(said)
    document["results"][0]["epsilon"]["upper"] *= 0.5
    document["results"][0]["epsilon"]["lower"] *= 0.5
    file.write_text(json.dumps(document), encoding="utf-8")
    assert dpplan("verify", str(file)).returncode == 1
    file.write_text(said.replace(words, "not at all"), encoding="utf-8")
    assert dpplan("verify", str(file)).returncode == 2


def test_a_phase_names_its_own_sampling(dpplan: Run) -> None:
    common = ("--n", "40", "--delta", "1e-3", "--adjacency", "zero-out", "--json")
    phases = (
        "--phase", "sampling=cyclic-poisson,groups=5,sigma=2,batch=4,steps=10",
        "--phase", "sampling=full-batch,sigma=9,steps=1",
        "--spent", "sigma=3,batch=4,steps=5",
    )  # fmt: skip
    plan = json.loads(dpplan("epsilon", *phases, *common).stdout)["plan"]
    assert [phase["sampling"] for phase in plan["phases"]] == ["poisson", "cyclic-poisson", "poisson"]
    assert (plan["phases"][1]["groups"], plan["phases"][2]["sample_rate"]) == (5, 1.0)
    wrong = dpplan("epsilon", "--phase", "sampling=shuffle,cap=9,sigma=2,batch=4,steps=10", *common)
    assert wrong.returncode == 2
    assert "phase 1: cap=9 is an option of truncated-poisson, and the sampling is shuffle." in wrong.stderr


def test_one_refusal_is_told_once_for_all_that_give_it(dpplan: Run) -> None:
    asked = (
        "--sigma",
        "4",
        "--n",
        "60",
        "--batch",
        "6",
        "--steps",
        "2",
        "--delta",
        "1e-3",
        "--adjacency",
        "replace-one",
    )
    shown = dpplan("compare", "accountants", *asked)
    assert shown.returncode == 0 and shown.stdout.count("made for Gaussian noise under") == 1
    assert "gdp, moments, optimal, advanced, basic: no theorem" in shown.stdout.replace("\n  ", " ")


def test_a_curve_over_batches_assumes_all_of_them(dpplan: Run) -> None:
    asked = (
        "--sigma",
        "4",
        "--n",
        "60",
        "--steps",
        "2",
        "--delta",
        "1e-3",
        "--from",
        "2",
        "--to",
        "8",
        "--points",
        "3",
    )
    shown = dpplan("curve", "--over", "batch", "--sampling", "fixed-size", *asked)
    assert "batches of exactly 2 to 8 of 60, add/remove one example" in shown.stdout
    words = dpplan("curve", "--over", "sigma", "--sampling", "full-batch", *asked[2:])
    assert words.returncode == 0


def test_a_run_that_ends_within_the_first_round_of_a_random_allocation_says_so(dpplan: Run) -> None:
    call = ("epsilon", "--sigma", "4", "--q", "1/10", "--delta", "1e-5", "--sampling", "random-allocation", "--steps")
    cut, whole = (
        " ".join(dpplan(*call, *more).stdout.split()) for more in (("9", "--times", "2"), ("10", "--times", "1"))
    )
    assert "times / q = 20 steps are a round, and the run takes 9 of the first, which is counted as a whole" in cut
    assert "are a round" not in whole
