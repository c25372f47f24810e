"""Whole runs under each scheme: the run, its claim, its report and its check come from one object."""

import json
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from several import together, written
from small_recipe import small
from whole_runs import interrupted, resumed, running

from dpplan import accounting, train, verify
from dpplan.adjacency import named
from dpplan.errors import NotCertified, RecipeError, UsageError
from dpplan.plan import Plan
from dpplan.plan_json import phase_from_json
from dpplan.sampling import BallsInBins
from dpplan.train.batch_conformance import ledger_for
from dpplan.train.conformance import StepStatistics
from dpplan.train.step import sampler as samplers
from dpplan.train.step.trainer import Trainer

N = 1437  # training examples of digits
# Scheme and adjacency with what they need, and the batch: name -> changes of a small recipe.
RUNS: dict[str, dict[str, Any]] = {
    "full-batch": {"privacy_sampling": "full-batch", "training_batch_size": N},
    "full-batch, replaced": {
        "privacy_sampling": "full-batch",
        "training_batch_size": N,
        "privacy_adjacency": "replace_one",
    },
    "fixed-size": {"privacy_sampling": "fixed-size"},
    "fixed-size, replaced": {"privacy_sampling": "fixed-size", "privacy_adjacency": "replace_one"},
    "truncated-poisson": {
        "privacy_sampling": "truncated-poisson",
        "privacy_cap": 130,
        "privacy_adjacency": "zero_out",
    },
    "balls-in-bins": {"privacy_sampling": "balls-in-bins", "training_batch_size": 500},
    "same bins": {"privacy_sampling": "balls-in-bins", "privacy_bins": "same", "training_batch_size": N / 3},
    "shuffle": {"privacy_sampling": "shuffle", "privacy_adjacency": "zero_out", "training_batch_size": 500},
    "shuffled once": {
        "privacy_sampling": "shuffle",
        "privacy_order": "once",
        "privacy_adjacency": "zero_out",
        "training_batch_size": 500,
    },
    "cyclic-poisson": {
        "privacy_sampling": "cyclic-poisson",
        "privacy_groups": 3,
        "privacy_adjacency": "zero_out",
    },
    "cyclic, own": {"privacy_sampling": "cyclic-poisson", "privacy_groups": 3, "privacy_assignment": "own"},
    "poisson, replaced": {"privacy_adjacency": "replace_one"},
}


def recipe(name: str, **changes: Any) -> Any:
    return small(**{"training_steps": 6, "privacy_noise_multiplier": 4.0, **RUNS[name], **changes})


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize("name", RUNS)
def test_a_run_agrees_and_its_report_is_verified(name: str, tmp_path: Path) -> None:
    report = train.run(recipe(name), out=tmp_path / "run")
    assert report.status == "finished" and report.agrees, report.verdict
    content = json.loads((tmp_path / "run" / "report.json").read_text())
    planned = content["planned"]
    phase = phase_from_json(planned)
    assert phase == report.planned.claim.phase
    adjacency = RUNS[name].get("privacy_adjacency", "add_remove")
    assert planned["adjacency"] == adjacency == content["assumptions"]["adjacency"]
    claimed = accounting.epsilon(Plan((phase,), named(adjacency), examples=N), planned["delta"]).upper
    assert content["spent"]["epsilon"]["upper"] == claimed
    verdicts = [verify.verify(claim, proofs=False) for claim in verify.read(tmp_path / "run").claims]
    assert [verdict.standing for verdict in verdicts] == [verify.Standing.STANDS] * 2
    assert all(verdict.claim.plan == Plan((phase,), named(adjacency), examples=N) for verdict in verdicts)


@pytest.mark.sweep(every=5, slow=("shuffle",))
@pytest.mark.parametrize(
    "name", [name for name in RUNS if name not in {"full-batch, replaced", "fixed-size, replaced"}]
)
def test_a_seeded_run_that_goes_on_draws_the_same_batches(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[int]] = []
    made = Trainer.__init__

    def watched(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        draw = self.statistics.drew
        self.statistics = Spy(self.statistics, drawn, draw)

    class Spy:
        def __init__(self, statistics: Any, drawn: list[list[int]], draw: Any) -> None:
            self.statistics, self.drawn, self.draw = statistics, drawn, draw

        def drew(self, step: int, members: Any) -> None:
            self.drawn.append(members.tolist())
            self.draw(step, members)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.statistics, name)

    monkeypatch.setattr(Trainer, "__init__", watched)
    train.run(recipe(name), seed=4, out=tmp_path / "whole")
    whole = list(drawn)
    drawn.clear()
    interrupted(tmp_path / "cut", recipe(name), at=4, seed=4)
    report = resumed(tmp_path / "cut")
    assert drawn == whole
    assert report.agrees


@pytest.mark.parametrize("name", ["balls-in-bins", "shuffled once", "shuffle", "same bins", "cyclic, own"])
@pytest.mark.sweep(every=6)
def test_an_unseeded_run_goes_on_with_the_epoch_that_it_was_in(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody joins twice what the scheme lets them join once: the two sessions together are one run of it."""
    drawn: list[set[int]] = []
    drew = StepStatistics.drew

    def watched(self: StepStatistics, step: int, members: Any) -> None:
        assert step == len(drawn)
        drawn.append(set(members.tolist()))
        drew(self, step, members)

    monkeypatch.setattr(StepStatistics, "drew", watched)
    folder = tmp_path / "cut"
    interrupted(folder, recipe(name), at=4)
    assert stat.S_IMODE((folder / "draws.key").stat().st_mode) == 0o600
    report = resumed(folder)
    assert report.agrees and len(drawn) == 6 and not (folder / "draws.key").exists()
    ledger = ledger_for(report.planned.claim.phase.sampling, N)
    for step, members in enumerate(drawn):
        ledger.drew(step, np.array(sorted(members), np.int64))
    assert ledger.counts_agree(1e-6) and ledger.sizes_agree(1e-6)
    if name != "cyclic, own":
        assert set().union(*drawn[3:]) == set(range(N)) and sum(map(len, drawn[3:])) == N


def test_a_step_that_was_begun_and_lost_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count says 5 and the checkpoint 4: the batch of step 5 was released, and its examples do not come again."""
    steps: list[int] = []
    drew = StepStatistics.drew

    def watched(self: StepStatistics, step: int, members: Any) -> None:
        steps.append(step)
        drew(self, step, members)

    monkeypatch.setattr(StepStatistics, "drew", watched)
    folder = tmp_path / "cut"
    interrupted(folder, recipe("shuffle"), at=4)
    count = (folder / "steps").read_text()
    (folder / "steps").write_text(count.replace("4\n", "5\n"))
    report = resumed(folder)
    assert steps == [0, 1, 2, 3, 5] and (report.steps, report.lost) == (6, 1)


def test_a_run_that_lost_its_key_does_not_go_on(tmp_path: Path) -> None:
    interrupted(tmp_path / "cut", recipe("balls-in-bins"), at=4)
    (tmp_path / "cut" / "draws.key").write_text("0")
    with pytest.raises(UsageError, match=r"draws.key, which knows how, .* 4 steps are counted, ε ≤ .* spent"):
        train.plan_resumed(tmp_path / "cut")


def test_a_run_whose_steps_stand_alone_goes_on_without_a_seed(tmp_path: Path) -> None:
    interrupted(tmp_path / "cut", recipe("fixed-size"), at=4)
    report = resumed(tmp_path / "cut")
    assert report.agrees


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"privacy_sampling": "shuffle"}, "whoever is removed moves the others to other batches"),
        ({"privacy_sampling": "truncated-poisson", "privacy_cap": 130}, "how often a batch is cut depends on n"),
        (
            {"privacy_sampling": "balls-in-bins", "privacy_adjacency": "replace_one", "training_batch_size": N / 3},
            "the two records join different steps",
        ),
        ({"privacy_sampling": "cyclic-poisson", "privacy_groups": 3}, "here it goes by place"),
    ],
)
def test_what_the_accountant_cannot_claim_is_not_trained(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NotCertified, match=sentence):
        train.plan(small(**changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"privacy_sampling": "full-batch"},
            "training.batch_size=100 is not n, and sampling: full-batch takes everything",
        ),
        (
            {"privacy_sampling": "fixed-size", "training_batch_size": 99.5},
            "training.batch_size=99.5 is not whole, and sampling: fixed-size",
        ),
        ({"privacy_sampling": "cyclic-poisson", "privacy_groups": 20}, "training.batch_size=100 exceeds a group"),
    ],
)
def test_a_batch_that_does_not_fit_the_scheme_is_told_in_the_words_of_recipes(
    changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(RecipeError) as caught:
        train.plan(small(**changes))
    assert sentence in str(caught.value)
    assert "--" not in str(caught.value)


def test_bins_are_as_many_as_hold_no_more_than_the_batch() -> None:
    planned = train.plan(small(privacy_sampling="balls-in-bins")).claim.plan
    assert planned.only_phase.sampling == BallsInBins(15)
    assert planned.batch_size == N / 15
    solved = train.plan(
        small(privacy_sampling="balls-in-bins", privacy_noise_multiplier=None, privacy_target_epsilon=2.0)
    ).claim
    assert solved.phase.sampling == BallsInBins(15) and solved.plan.batch_size == N / 15


SHARED = ("fixed-size", "truncated-poisson", "balls-in-bins", "same bins", "shuffle", "cyclic-poisson", "cyclic, own")


@pytest.mark.slow
@pytest.mark.parametrize("name", SHARED)
def test_two_processes_share_a_run_that_is_drawn_as_a_whole(name: str, tmp_path: Path) -> None:
    """A batch falls to whoever has its examples, and the verdict sees all of it; without a seed, and resumed."""
    folder = tmp_path / "run"
    together(tmp_path, running, recipe(name), None, folder, 4)
    together(tmp_path, running, recipe(name), None, folder, None, True)
    content = written(folder)
    assert (content["status"], content["processes"], content["agrees_with_plan"]) == ("finished", 2, True)
    assert [verify.verify(claim, proofs=False).standing for claim in verify.read(folder).claims] == [
        verify.Standing.STANDS
    ] * 2


@pytest.mark.parametrize(
    ("name", "does"),
    [
        ("balls-in-bins", lambda self: self.rng.permutation(self.examples)[: self.examples // 3]),
        ("shuffle", lambda self: self.rng.permutation(self.examples)[: self.examples // 3]),
    ],
)
def test_a_sampler_that_does_something_else_is_found(
    name: str, does: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samplers.EpochSampler, "draw", does)
    report = train.run(recipe(name), seed=0, out=tmp_path / "run")
    assert "example counts" in [check.name for check in report.verdict if not check.agrees]


def test_shuffled_data_where_poisson_sampling_is_claimed_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = np.random.default_rng(0).permutation(N)

    def cut(self: Any) -> Any:
        nonlocal order
        drawn, order = order[:100], np.roll(order, -100)
        return drawn

    monkeypatch.setattr(samplers.PoissonSampler, "draw", cut)
    report = train.run(small(training_steps=12), seed=0, out=tmp_path / "run")
    assert "example counts" in [check.name for check in report.verdict if not check.agrees]


def test_the_hash_of_a_recipe_knows_the_scheme_and_its_options() -> None:
    hashes = {small(**{"training_steps": 6, **changes}).sha256 for changes in RUNS.values()}
    assert len(hashes) == len(RUNS)
