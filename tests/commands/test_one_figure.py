"""One plan has one figure in all commands: what epsilon states of a plan at a δ is what the others show and hold."""

import json
from pathlib import Path
from typing import Any

import pytest

from dpplan.__main__ import run
from dpplan.accounting import least_upper

BUNDLED = Path(__file__).parents[2] / "recipes" / "plans"
DELTA = 1e-6
CURVE = "{mechanism: {kind: rdp, orders: [2, 4, 8, 16, 32], epsilons: [0.1, 0.2, 0.4, 0.8, 1.6]}}"
LAPLACE = "{mechanism: {kind: laplace, epsilon: 0.1}, steps: 10}"
CHOICES = "{mechanism: {kind: exponential, epsilon: 0.1}, steps: 500}"
SEARCH = "repeat: {law: geometric, mean: 10, score: public}"
GAUSSIAN = "mechanism: {kind: gaussian, noise_multiplier: 2}"
# Name -> what stands above the phases, the phases, and who proves the least.
PLANS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "laplace": ("", (LAPLACE,), "exact"),
    "exponential": ("", (CHOICES,), "rdp"),
    "exponential, replace-one": ("adjacency: replace-one", (CHOICES,), "rdp"),
    "exponential, zero-out": ("adjacency: zero-out", (CHOICES,), "rdp"),
    "exponential and laplace": ("", (CHOICES, LAPLACE), "rdp"),
    "exponential, sampled": (
        "n: 10000",
        (
            "{mechanism: {kind: exponential, epsilon: 0.5}, sampling: {kind: poisson, sample_rate: 0.1}, steps: 500}",
        ),
        "exact",
    ),
    "exponential, of a group": ("", (f"{{parallel: [{CHOICES}, {LAPLACE}]}}",), "rdp"),
    "noisy max": ("", ("{mechanism: {kind: noisy-max, epsilon: 0.1}, steps: 500}",), "exact"),
    "permute and flip": ("", ("{mechanism: {kind: permute-and-flip, epsilon: 0.1}, steps: 500}",), "exact"),
    "sparse vector": (
        "",
        ("{mechanism: {kind: above-threshold, threshold_scale: 20, query_scale: 40, answers: 4}, steps: 50}",),
        "exact",
    ),
    "thresholded counts": (
        "",
        ("{mechanism: {kind: thresholded-counts, noise_scale: 10, threshold: 90, partitions: 4}}",),
        "exact",
    ),
    "thresholded laplace": (
        "",
        ("{mechanism: {kind: thresholded-counts, noise: laplace, noise_scale: 10, threshold: 220, partitions: 10}}",),
        "exact",
    ),
    "zcdp": ("", ("{mechanism: {kind: zcdp, rho: 0.5}}",), "rdp"),
    "zcdp and gaussian": ("", ("{mechanism: {kind: zcdp, rho: 0.1}}", f"{{{GAUSSIAN}}}"), "rdp"),
    "rényi curve": ("", (CURVE,), "rdp"),
    "rényi curve and laplace": ("", (CURVE, LAPLACE), "rdp"),
    "toeplitz": (
        "n: 1000",
        ("{mechanism: {kind: toeplitz, noise_multiplier: 4, participations: 2, separation: 4, bands: 4}, steps: 16}",),
        "exact",
    ),
    "discrete gaussian, by its length": (
        "",
        ("{mechanism: {kind: discrete-gaussian, noise_scale: 4, l2_sensitivity: 2}, steps: 4}",),
        "rdp",
    ),
    "discrete gaussian, differences": (
        "",
        ("{mechanism: {kind: discrete-gaussian, noise_scale: 4, differences: [1, 1]}, steps: 4}",),
        "exact",
    ),
    "shuffle": (
        "adjacency: zero-out\nn: 1000",
        (f"{{{GAUSSIAN}, sampling: {{kind: shuffle, batch_size: 100}}, epochs: 5}}",),
        "exact",
    ),
    "random allocation": (
        "n: 1000",
        (f"{{{GAUSSIAN}, sampling: {{kind: random-allocation, sample_rate: 1/10, times: 1}}, steps: 20}}",),
        "exact",
    ),
    "search": ("", (f"{{{SEARCH}, phases: [{{{GAUSSIAN}}}]}}",), "exact"),
    "search of choices": ("", (f"{{{SEARCH}, phases: [{CHOICES}]}}",), "rdp"),
    "search, zcdp": ("", (f"{{{SEARCH}, phases: [{{mechanism: {{kind: zcdp, rho: 0.01}}}}]}}",), "rdp"),
    "stated": ("", ("{mechanism: {kind: epsilon-delta, epsilon: 0.1, delta: 1.0e-8}, steps: 20}",), "exact"),
    "stated μ": ("", ("{mechanism: {kind: gdp, mu: 0.1}, steps: 20}",), "exact"),
    "users": (
        "unit: user\nmax_per_user: 3\nn: 10000",
        (f"{{{GAUSSIAN}, sampling: {{kind: poisson, sample_rate: 0.01}}, steps: 200}}",),
        "exact",
    ),
    **{name: (name, (), "rdp" if name == "census-2020" else "exact") for name in (
        "ad-measurement", "census-2020", "cohorts", "dp-sgd-with-vocabulary", "lecture-counts",
        "lecture-counts-disjoint", "weekly-releases",
    )},
}  # fmt: skip
QUICK = ("exponential", "zcdp", "thresholded counts")
QUICK_PAGES = ("zcdp",)  # of which no profile is known


def cases(quick: tuple[str, ...]) -> list[Any]:
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in PLANS]


def written(folder: Path, name: str) -> Path:
    above, phases, _ = PLANS[name]
    if not phases:
        return BUNDLED / f"{above}.yaml"
    file = folder / "plan.yaml"
    file.write_text("\n".join([above, "phases:", *(f"  - {phase}" for phase in phases)]) + "\n", encoding="utf-8")
    return file


class Asked:
    """Commands in this process, and what they say as JSON."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def status(self, *words: object) -> int:
        status = run([str(word) for word in words])
        self.said = self.capsys.readouterr().out
        return status

    def __call__(self, *words: object) -> dict[str, Any]:
        self.status(*words, "--json")
        found = json.loads(self.said)
        assert isinstance(found, dict)
        assert "error" not in found, found
        return found


@pytest.fixture
def asked(capsys: pytest.CaptureFixture[str]) -> Asked:
    return Asked(capsys)


@pytest.mark.parametrize("name", cases(QUICK))
def test_one_plan_has_one_figure(name: str, tmp_path: Path, asked: Asked) -> None:
    plan, at, claimed = written(tmp_path, name), ("--delta", DELTA), tmp_path / "epsilon.json"
    found = asked("epsilon", plan, *at)
    claimed.write_text(asked.said, encoding="utf-8")
    figure = found["results"][0]["epsilon"]
    epsilon = figure["upper"]
    assert figure["accountant"] == PLANS[name][2]

    assert asked.status("epsilon", plan, *at, "--max-eps", repr(epsilon)) == 0
    inverse = asked("delta", plan, "--eps", repr(epsilon))["results"][0]["delta"]
    assert inverse["upper"] <= DELTA * (1 + 1e-6)
    assert inverse["accountant"] == figure["accountant"]

    checked = asked("check", plan, *at, "--claimed-eps", repr(epsilon))
    assert checked["epsilon"] == figure
    assert "DP009" not in [each["code"] for each in checked["findings"]]
    points = asked("curve", plan, "--from", DELTA, "--to", 2 * DELTA, "--points", 2)["results"][0]["points"]
    assert points[0]["epsilon"]["upper"] == pytest.approx(epsilon, rel=1e-6)
    assert points[0]["epsilon"]["accountant"] == figure["accountant"]

    (verdict,) = asked("verify", claimed)["claims"]
    assert (verdict["standing"], verdict["accounted"]) == ("stands", figure)
    every = [each["epsilon"] for each in asked("compare", "accountants", plan, *at)["results"] if each["epsilon"]]
    uppers = [each["upper"] for each in every if each["upper"] is not None]
    assert (1 - 1e-9) * epsilon <= min(uppers) or epsilon <= min(uppers) * (1 + least_upper.LOOSE)


@pytest.mark.parametrize("name", cases(QUICK_PAGES))
def test_what_a_plan_means_and_its_page_are_of_that_figure(name: str, tmp_path: Path, asked: Asked) -> None:
    """No chance of an attacker is above what that figure alone allows."""
    plan, page = written(tmp_path, name), tmp_path / "page.json"
    figure = asked("epsilon", plan, "--delta", DELTA)["results"][0]["epsilon"]
    risk = asked("risk", plan, "--delta", DELTA)
    assert risk["stated"] == {"epsilon": figure["upper"], "delta": DELTA}
    for each in (risk["advantage"], risk["accuracy"], risk["reconstruction"], *risk["true_positive_rates"]):
        assert each["upper"] <= each["by_epsilon_delta_alone"] * (1 + 1e-6)
    advantage = asked("delta", plan, "--eps", 0)["results"][0]["delta"]
    if advantage["accountant"] != "exact":
        least = min(advantage["upper"], risk["advantage"]["by_epsilon_delta_alone"])
        assert risk["advantage"]["upper"] == pytest.approx(least, rel=1e-6)
        assert f"δ by {advantage['accountant']}" in risk["source"] or "δ at every ε by" in risk["source"]
    assert asked.status("report", plan, "--delta", DELTA, "-o", page, "--format", "json") == 0
    assert json.loads(page.read_text(encoding="utf-8"))["epsilon"] == figure


@pytest.mark.slow
def test_solve_meets_a_target_by_the_same_figure(tmp_path: Path, asked: Asked) -> None:
    spent = written(tmp_path, "exponential")
    run_ = ("--spent", spent, "--q", 1, "--steps", 1, "--delta", DELTA)
    found = asked("solve", *run_, "--target-eps", 7)["results"][0]
    again = asked("epsilon", *run_, "--sigma", repr(found["value"]))["results"][0]["epsilon"]
    assert again == found["epsilon"]
    assert (again["accountant"], again["upper"] <= 7) == ("rdp", True)


def test_screens_say_whose_figure_it_is(tmp_path: Path, asked: Asked) -> None:
    plan, at = written(tmp_path, "zcdp"), ("--delta", DELTA)
    run_ = ("--q", 1, "--steps", 1, "--spent", plan, "--target-eps", 12)
    for words in (("epsilon", plan), ("check", plan), ("solve", *run_)):
        asked.status(*words, *at)
        assert asked.said.count("\n  accountant         rdp, an upper bound: exact has no theorem") == 1, asked.said


@pytest.mark.slow
def test_an_audit_says_whose_figure_is_claimed(tmp_path: Path, asked: Asked) -> None:
    asked.status("audit", BUNDLED.parent / "scores.csv", "--phases", written(tmp_path, "exponential"), "--delta", DELTA)
    assert "\n  accountant         rdp, the lesser upper bound: exact proves" in asked.said
