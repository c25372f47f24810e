"""A search: what is released and what is not, with trials that are made up, and with real ones."""

import errno
import json
import math
import os
import random
import signal
import subprocess
import sys
import warnings
from collections import Counter
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dpplan import accounting
from dpplan.accounting.bound import Guarantee
from dpplan.durable_files import told
from dpplan.errors import BudgetExceeded, InputOutputFailed, PlanError, TrainingStopped, Unreachable, UsageError
from dpplan.mechanism import BestOfTrials, DiscreteLaplace, Gaussian
from dpplan.mechanism.trials import Trials
from dpplan.recipe import Recipe, grid, parse
from dpplan.rounding import up
from dpplan.train.machine.signals import interrupt_asked
from dpplan.tuning import search, search_plan, search_report
from dpplan.tuning.search import TrialOutcome, TrialTask, searched
from dpplan.tuning.search_plan import Score, SearchPlan, planned, solved

TEXT = """\
privacy: {noise_multiplier: 1.0, clip_norm: 1.0, delta: 1e-5}
data: {source: blobs, examples: 200}
model: {kind: logistic}
training: {batch_size: 20, steps: 1, optimizer: sgd, learning_rate: 0.1}
runtime: {device: cpu, threads: 1}
"""
UNITS = 160


def recipe(steps: int = 1) -> Recipe:
    return parse(TEXT.replace("steps: 1", f"steps: {steps}"), name="blobs.yaml")


@cache  # what a search costs is found once
def plan_of(
    law: str = "geometric", mean: float = 3.0, score: Score | None = None, rates: str = "0.1,0.2,0.3", steps: int = 1
) -> SearchPlan:
    return planned(recipe(steps), grid.read([f"learning_rate={rates}"]), Trials(law, mean), score or Score(), UNITS)


def made_up(monkeypatch: pytest.MonkeyPatch, right: Any) -> list[TrialTask]:
    """Trials that do nothing but write files; right: of a task, its score. Returns what was asked for."""
    asked: list[TrialTask] = []

    def one(task: TrialTask) -> TrialOutcome:
        asked.append(task)
        task.folder.mkdir()
        for name in ("model.pt", "recipe.yaml", "metrics.jsonl", "report.json"):
            (task.folder / name).write_text(f"{task.recipe.training.learning_rate} {len(asked)}", encoding="utf-8")
        found = right(task)
        return found if isinstance(found, TrialOutcome) else TrialOutcome(found)

    monkeypatch.setattr(search, "trial", one)
    return asked


@pytest.mark.slow
def test_a_search_is_accounted_as_one_phase_of_the_plan_that_every_trial_has() -> None:
    plan = plan_of(score=Score(0.5))
    best = plan.plan.only_phase.mechanism
    assert isinstance(best, BestOfTrials) and best.trials == Trials("geometric", 3.0) and best.score == "released"
    assert [each.mechanism for each in best.phases] == [Gaussian(1.0), DiscreteLaplace(0.5)]
    assert best.phases[0] == plan.recipes[2].plan(UNITS).only_phase and len(plan.recipes) == 3
    assert plan.spent == accounting.epsilon(plan.plan, 1e-5) and plan.spent.guarantee is Guarantee.UPPER
    assert plan_of().spent.value < plan.spent.value and plan.trial.value < plan.spent.value


def test_noise_on_the_score_is_told_in_examples() -> None:
    """The variance of the discrete Laplace law, counted out."""
    outcomes = np.arange(-2000, 2001)
    weights = np.exp(-0.1 * np.abs(outcomes))
    deviation = math.sqrt(float((weights * outcomes**2).sum() / weights.sum()))
    assert f"(standard deviation {deviation:.2g} examples)" in Score(0.1).words


def test_settings_with_plans_of_their_own_are_kinds_of_trials() -> None:
    typed = ["batch_size=20,40", "learning_rate=0.1,0.2,0.3"]
    found = planned(recipe(), grid.read(typed), Trials("geometric", 3.0), Score(), UNITS)
    best = found.plan.only_phase.mechanism
    assert isinstance(best, BestOfTrials) and len(found.settings) == 6 and len(best.kinds) == 2
    plans = [each.plan(UNITS).only_phase for each in found.recipes]
    assert {kind[0] for kind in best.kinds} == set(plans) and found.spent.value > found.trial.value
    dear = planned(recipe(), grid.read(["batch_size=40"]), Trials("geometric", 3.0), Score(), UNITS)
    assert found.spent.value < dear.spent.value and found.trial.value == dear.trial.value
    twice = planned(recipe(), grid.read(["batch_size=20,40,40.0"]), Trials("geometric", 3.0), Score(), UNITS)
    assert found.spent.value < twice.spent.value < dear.spent.value  # two of three settings have the dearer plan


def test_a_recipe_that_allows_less_than_the_search_is_refused_and_one_that_allows_it_is_not() -> None:
    free = plan_of().spent.value

    def limited(most: float) -> SearchPlan:
        text = TEXT.replace("noise_multiplier: 1.0,", f"noise_multiplier: 1.0, max_epsilon: {most!r},")
        trials = Trials("geometric", 3.0)
        return planned(parse(text, name="blobs.yaml"), grid.read(["momentum=0,0.9"]), trials, Score(), UNITS)

    assert limited(free * 1.001).spent.value == free
    one_setting = TEXT.replace("noise_multiplier: 1.0,", f"noise_multiplier: 1.0, max_epsilon: {free / 1.2!r},")
    with pytest.raises(BudgetExceeded, match="the search would spend"):
        planned(parse(one_setting), grid.read(["momentum=0"]), Trials("geometric", 3.0), Score(), UNITS)
    one_trial = plan_of().trial.value
    assert one_trial < free / 1.2
    with pytest.raises(
        BudgetExceeded, match=r"the search would spend .* more than max_epsilon=.* of the recipe\. Raise"
    ):
        limited(free / 1.2)


def test_what_is_promised_of_the_search_is_no_setting_of_a_trial() -> None:
    for typed in ("delta=1e-5,1e-3", "privacy.max_epsilon=1,2"):
        with pytest.raises(UsageError, match="is part of what is promised of the search"):
            grid.read([typed])


def test_noise_on_the_score_does_not_cover_what_a_model_of_ones_own_does_with_held_out_examples() -> None:
    own = parse(TEXT.replace("kind: logistic", "kind: my_models:net"), name="blobs.yaml")
    choices, trials = grid.read(["momentum=0,0.9"]), Trials("geometric", 3.0)
    with pytest.raises(UsageError, match=r"score_eps with model\.kind=my_models:net: a model of your own may fail"):
        planned(own, choices, trials, Score(0.5), UNITS)
    assert planned(own, choices, trials, Score(), UNITS).score.epsilon is None
    with pytest.raises(UsageError, match=r"score_eps with model\.kind=my_models:net"):  # in one setting of several
        planned(recipe(), grid.read(["model.kind=logistic,my_models:net"]), trials, Score(0.5), UNITS)


def test_settings_that_protect_others_or_have_too_many_plans_are_refused() -> None:
    for typed, said in (
        (["adjacency=add_remove,replace_one"], "protects other neighbours"),
        ([f"steps={','.join(map(str, range(1, 80)))}"], "its settings have 79 plans, more than 60"),
    ):
        with pytest.raises(PlanError, match=said):
            planned(recipe(), grid.read(typed), Trials("geometric", 3.0), Score(), UNITS)


@pytest.mark.parametrize("epsilon", [0, -1, 101, float("nan"), float("inf")])
def test_a_score_has_noise_of_a_sensible_epsilon(epsilon: float) -> None:
    with pytest.raises(PlanError, match="score_eps="):
        Score(epsilon)


def test_a_noisy_score_of_users_is_refused() -> None:
    text = TEXT.replace("delta: 1e-5", "delta: 1e-5, unit: user").replace(
        "examples: 200", "examples: 200, user: simulated, examples_per_user: 4"
    )
    with pytest.raises((UsageError, PlanError), match="a user may have several held out"):
        planned(parse(text, name="b"), grid.read(["learning_rate=0.1"]), Trials("geometric", 3.0), Score(0.1), 40)


def test_the_best_is_released_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores: dict[Path, float] = {}

    def right(task: TrialTask) -> float:
        scores[task.folder] = (len(scores) * 7 % 10) / 10
        return scores[task.folder]

    asked = made_up(monkeypatch, right)
    monkeypatch.setattr(search, "drawn", lambda trials, bits: 7)
    won = searched(plan_of(), tmp_path / "runs" / "out", seed=4)
    assert len(asked) == 7 and won.score == max(scores.values())
    best = max(scores, key=lambda folder: scores[folder])
    kept = (tmp_path / "runs" / "out" / "model.pt").read_text(encoding="utf-8")
    task = next(each for each in asked if each.folder == best)
    assert kept == f"{task.recipe.training.learning_rate} {asked.index(task) + 1}"
    assert won.setting == {("training", "learning_rate"): str(task.recipe.training.learning_rate)}
    assert sorted(each.name for each in (tmp_path / "runs" / "out").iterdir()) == ["model.pt", "recipe.yaml"]
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["out"]  # the private folder is gone
    assert not task.recipe.runtime.private_logs and task.recipe.runtime.checkpoint_every is None
    assert not task.recipe.training.compare_nonprivate


def test_settings_and_ties_are_drawn_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = made_up(monkeypatch, lambda task: 0.5)
    first = Counter[bool]()
    for number in range(25):
        before = len(asked)
        won = searched(plan_of("binomial", 8.0), tmp_path / str(number), seed=number)
        tasks = asked[before:]
        first[bool(tasks) and won.files == tasks[0].folder] += 1
    drawn = Counter(each.recipe.training.learning_rate for each in asked)
    assert set(drawn) == {0.1, 0.2, 0.3} and max(drawn.values()) < 1.7 * min(drawn.values())
    assert first[True] < 12  # of eight alike, the first is not favoured


def test_no_trial_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = made_up(monkeypatch, lambda task: 0.5)
    monkeypatch.setattr(search, "drawn", lambda trials, bits: 0)
    told = []
    won = searched(plan_of("poisson", 0.5), tmp_path / "out", release=lambda found, folder: told.append(found))
    assert won == told[0] == search.Winner(None) and not asked
    content = search_report.document(plan_of("poisson", 0.5), None, None, False)
    assert "none: no trial was made" in " ".join(search_report.ending_lines(content, "out"))


def test_a_trial_that_fails_is_the_worst_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "drawn", lambda trials, bits: 5)
    asked = made_up(monkeypatch, lambda task: 0.0 if task.folder.name.endswith("3") else None)
    won = searched(plan_of(), tmp_path / "out")
    assert len(asked) == 5 and won.score == 0.0 and won.files is not None and won.files.name.endswith("3")
    made_up(monkeypatch, lambda task: None)
    won = searched(plan_of(), tmp_path / "all-failed")
    assert won.setting is not None and won.score is None and list((tmp_path / "all-failed").iterdir()) == []


def test_what_ends_a_search_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "drawn", lambda trials, bits: 5)

    def full(task: TrialTask) -> float:
        raise InputOutputFailed("the disk is full.")

    def pressed(task: TrialTask) -> float:
        raise KeyboardInterrupt

    interrupted = (lambda task: TrialOutcome(None, True), TrainingStopped)
    for right, error in ((full, InputOutputFailed), interrupted, (pressed, TrainingStopped)):
        made_up(monkeypatch, right)
        with pytest.raises(error):
            searched(plan_of(), tmp_path / "out")
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with pytest.raises(InputOutputFailed, match="cannot be made"):
        searched(plan_of(), tmp_path / "out")
    assert (tmp_path / "out").exists()  # and what was there stays


def test_ctrl_c_waits_for_no_step_of_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "drawn", lambda trials, bits: 5)
    begun: list[Path] = []

    def long_step(task: search.TrialTask) -> TrialOutcome:
        with interrupt_asked():
            begun.append(task.folder)
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("the step went on")

    monkeypatch.setattr(search, "trial", long_step)
    with pytest.raises(TrainingStopped, match="nothing is released"):
        searched(plan_of(), tmp_path / "out")
    assert len(begun) == 1 and list(tmp_path.iterdir()) == []


def test_a_press_that_the_last_step_of_a_trial_did_not_hear_ends_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it comes while the trial that is over is scored."""
    monkeypatch.setattr(search, "drawn", lambda trials, bits: 5)

    def unheard(task: TrialTask) -> float:
        with interrupt_asked():
            signal.raise_signal(signal.SIGINT)
        return 0.5

    asked = made_up(monkeypatch, unheard)
    with pytest.raises(TrainingStopped) as stopped:
        searched(plan_of(), tmp_path / "out")
    assert len(asked) == 1 and list(tmp_path.iterdir()) == []
    said = str(stopped.value)
    assert "nothing is released, and nothing was shown. So it spends nothing, as long as" in said
    assert f"count it as a whole search, ε ≤ {up(plan_of().spent.value)}. It cannot go on." in said


def test_a_release_that_has_begun_is_finished_and_says_that_ctrl_c_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "drawn", lambda trials, bits: 1)
    made_up(monkeypatch, lambda task: 0.5)
    won = searched(plan_of(), tmp_path / "out", release=lambda *_: signal.raise_signal(signal.SIGINT))
    assert won.pressed and {file.name for file in (tmp_path / "out").iterdir()} == {"model.pt", "recipe.yaml"}
    assert not searched(plan_of(), tmp_path / "other").pressed
    assert {path.name for path in tmp_path.iterdir()} == {"out", "other"}  # and nothing private is left


def test_an_error_that_ends_a_search_does_not_tell_in_which_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "drawn", lambda trials, bits: 5)

    def full(task: TrialTask) -> float:
        if task.folder.name.endswith("3"):
            try:
                with told(f"{task.folder}/model.pt: cannot be written"):
                    raise OSError(errno.ENOSPC, "No space left on device")
            except InputOutputFailed as error:
                raise InputOutputFailed(f"{error} 4 of 4 steps are counted.") from error
        return 0.5

    made_up(monkeypatch, full)
    with pytest.raises(InputOutputFailed) as raised:
        searched(plan_of(), tmp_path / "out")
    assert str(raised.value) == (
        f"{tmp_path}/out: the files of the search could not be used: No space left on device. Nothing is released."
    )
    assert raised.value.__suppress_context__


def test_the_noise_of_a_score_is_two_sided_geometric() -> None:
    generator, epsilon, size = random.Random(3), 0.8, 20000
    found = Counter(search.noise(epsilon, generator) for _ in range(size))
    share = (1 - 2.718281828**-epsilon) / (1 + 2.718281828**-epsilon)
    for number in range(-3, 4):
        assert found[number] / size == pytest.approx(share * 2.718281828 ** (-epsilon * abs(number)), abs=0.012)


@pytest.mark.slow
def test_a_real_search_is_reproducible_with_a_seed_and_releases_a_model(tmp_path: Path) -> None:
    before = os.environ.get("XDG_STATE_HOME")
    one = searched(plan_of(rates="0.1,0.5", steps=3), tmp_path / "one", seed=11)
    two = searched(plan_of(rates="0.1,0.5", steps=3), tmp_path / "two", seed=11)
    assert (one.setting, one.score) == (two.setting, two.score) and one.score is not None
    names = sorted(each.name for each in (tmp_path / "one").iterdir())
    assert names == ["model.pt", "recipe.yaml"] and os.environ.get("XDG_STATE_HOME") == before
    written = (tmp_path / "one" / "recipe.yaml").read_text(encoding="utf-8")
    assert one.setting is not None and f"learning_rate: {one.setting['training', 'learning_rate']}" in written


@pytest.mark.slow
def test_a_real_search_releases_a_noisy_score_in_whole_examples(tmp_path: Path) -> None:
    noisy = searched(plan_of(score=Score(0.05)), tmp_path / "noisy", seed=11)
    assert noisy.score is not None and (noisy.score * 40) == pytest.approx(round(noisy.score * 40))


def test_a_trial_that_diverges_or_disagrees_with_its_plan_has_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = TrialTask(recipe().with_twin(False), tmp_path / "one", 1, 1)
    found = search.trial(task)
    assert found.right is not None and 0.0 <= found.right <= 1.0
    for status, agrees, right, interrupted in (
        ("finished", True, 0.5, False),
        ("stopped", False, 0.5, False),
        ("finished", False, 0.5, False),
        ("finished", True, None, False),
        ("interrupted", False, 0.5, True),
    ):
        checks = (SimpleNamespace(agrees=agrees, covered=True), SimpleNamespace(agrees=False, covered=False))
        report = SimpleNamespace(status=status, verdict=checks, held_out_accuracy=right)
        monkeypatch.setattr(search.train, "run", lambda *_, found=report, **__: found)
        good = (status, agrees, right) == ("finished", True, 0.5)
        assert search.trial(task) == TrialOutcome(0.5 if good else None, interrupted)

    def stopped(*_: object, **__: object) -> None:
        raise TrainingStopped("stopped: the model raises ValueError, as it never did on trial.")

    monkeypatch.setattr(search.train, "run", stopped)
    assert search.trial(task) == TrialOutcome(None, stopped=True)


def test_a_model_that_fails_on_what_it_sees_ends_the_search_and_is_no_answer_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether it fails may rest on one example, and no noise hides that: a model, or none, may not be told of it."""
    monkeypatch.setattr(search, "drawn", lambda trials, bits: 5)
    made_up(monkeypatch, lambda task: TrialOutcome(None, stopped=True) if task.folder.name.endswith("3") else 0.5)
    with pytest.raises(TrainingStopped) as ended:
        searched(plan_of(), tmp_path / "out")
    said = str(ended.value)
    assert "may tell of one example, which ε does not cover: keep it to yourself" in said and "000003" not in said
    assert f"count it as a whole search, ε ≤ {up(plan_of().spent.value)}" in said and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_request_to_end_leaves_nothing_private(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the terminal is closed, or a queue's time is over."""
    monkeypatch.setattr(search, "drawn", lambda trials, bits: 5)
    number = getattr(signal, name)

    def asked_to_end(task: TrialTask) -> float:
        assert (task.folder.parent / "PRIVATE").exists()
        signal.raise_signal(number)
        raise AssertionError("the trial went on")

    made_up(monkeypatch, asked_to_end)
    before = signal.getsignal(number)
    with pytest.raises(TrainingStopped, match="nothing is released"):
        searched(plan_of(), tmp_path / "out")
    assert list(tmp_path.iterdir()) == [] and signal.getsignal(number) is before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP here")
def test_a_request_to_end_that_comes_with_the_release_is_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "drawn", lambda trials, bits: 1)
    made_up(monkeypatch, lambda task: 0.5)
    won = searched(plan_of(), tmp_path / "out", release=lambda *_: signal.raise_signal(signal.SIGHUP))
    assert won.pressed and [each.name for each in tmp_path.iterdir()] == ["out"]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup starts a process
    try:
        made_up(monkeypatch, lambda task: signal.raise_signal(signal.SIGHUP) or 0.5)
        assert not searched(plan_of(), tmp_path / "other").pressed
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("kind", ["print", "warning", "descriptor", "process"])
def test_what_a_trial_writes_to_the_screen_does_not_tell_how_many_there_are(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    screen = open(1, "w", closefd=False)  # noqa: SIM115, which somebody keeps

    def loud(task: TrialTask) -> float:
        if kind == "print":
            print("a trial")
            print("a trial", file=sys.stderr)
            print("a trial", file=screen, flush=True)
        elif kind == "warning":
            warnings.warn("a trial", stacklevel=1)
        elif kind == "descriptor":
            os.write(1, b"a trial")
            os.write(2, b"a trial")
        else:
            subprocess.run([sys.executable, "-c", "print('a trial')"], check=True)
        return 0.5

    monkeypatch.setattr(search, "drawn", lambda trials, bits: 3)
    made_up(monkeypatch, loud)
    print("before")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_: print(message, file=sys.stderr)  # not pytest's, which keeps them
        searched(plan_of(), tmp_path / "out")
    print("after")
    assert capfd.readouterr() == ("before\nafter\n", "")


def test_the_folder_that_is_released_is_as_old_as_its_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was made with the first trial would tell by its age how long they took."""
    seen: list[int] = []

    def right(task: TrialTask) -> float:
        seen.append((tmp_path / "out").stat().st_ino)
        return 0.5

    monkeypatch.setattr(search, "drawn", lambda trials, bits: 1)
    made_up(monkeypatch, right)
    searched(plan_of(), tmp_path / "out", release=lambda won, folder: seen.append(folder.stat().st_ino))
    reserved, released = seen
    assert (tmp_path / "out").stat().st_ino == released != reserved


def test_what_is_counted_and_compiled_in_trials_lies_in_their_private_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What torch keeps of compiled models would tell which settings were drawn, and when."""
    found: dict[str, str] = {}

    def compiled(*_: object, **__: object) -> None:
        found.update({name: os.environ[name] for name in search.PLACES})
        raise TrainingStopped("stopped.")

    monkeypatch.setattr(search.train, "run", compiled)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "mine")
    monkeypatch.delenv("TRITON_CACHE_DIR", raising=False)
    search.trial(TrialTask(recipe(), tmp_path / "private" / "one", 1, 1))
    assert {"TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "XDG_STATE_HOME"} <= set(found)
    assert all(Path(each).is_relative_to(tmp_path / "private") for each in found.values())
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == "mine" and "TRITON_CACHE_DIR" not in os.environ


def test_the_report_says_nothing_of_all_trials_together() -> None:
    plan = plan_of()
    won = {
        "setting": {"training.learning_rate": "0.1"},
        "score": 0.5,
        "score_is": plan.score.words,
        "model": "model.pt",
    }
    content = json.loads(json.dumps(search_report.document(plan, plan.recipes[0], won, False)))
    assert content["schema"] == "dpplan.tune/1" and content["grid"] == {"training.learning_rate": ["0.1", "0.2", "0.3"]}
    assert not {"seconds", "seed", "trials", "count", "time"} & set(content)
    lines = " ".join(search_report.plan_lines(plan, None))
    assert "all with the same chance" in lines and "held-out examples right; public" in lines


OPEN = TEXT.replace("noise_multiplier: 1.0", "target_epsilon: 1")


@pytest.mark.parametrize(
    "score", [Score(), pytest.param(Score(0.1), marks=pytest.mark.slow)], ids=["public", "paid for"]
)
def test_the_noise_of_the_trials_is_found_for_the_whole_search(score: Score) -> None:
    """And what is written into the recipe of the winner spends as much when it is accounted anew."""
    rates = grid.read(["learning_rate=0.1,0.2"])
    found = solved(parse(OPEN, name="blobs.yaml"), rates, Trials("geometric", 3.0), score, UNITS, 3.0)
    assert found.spent.upper is not None and 0.999 * 3.0 <= found.spent.upper <= 3.0
    assert all(each.privacy.target_epsilon == found.recipe.privacy.target_epsilon for each in found.recipes)
    again = planned(parse(found.recipe.text), rates, Trials("geometric", 3.0), score, UNITS)
    assert again.plan == found.plan and again.spent.upper == found.spent.upper


def test_a_search_that_spends_a_little_more_than_its_target_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the noise of its trials is found by: here the first three tries spend 0.05 % more than they may."""
    over = iter((1.0005, 1.0005, 1.0005))

    def spends(tried: Recipe, *_: object) -> SimpleNamespace:
        trial = tried.privacy.target_epsilon
        assert trial is not None
        return SimpleNamespace(spent=SimpleNamespace(value=3.0 * next(over, 0.9995)), tried=trial)

    monkeypatch.setattr(search_plan, "planned", spends)
    rates = grid.read(["learning_rate=0.1,0.2"])
    found = solved(parse(OPEN, name="blobs.yaml"), rates, Trials("geometric", 3.0), Score(), UNITS, 3.0)
    assert found.spent.value == 3.0 * 0.9995


@pytest.mark.parametrize(
    ("text", "rates", "target", "said"),
    [
        (TEXT, "learning_rate=0.1,0.2", 3.0, "the recipe fixes it. Write privacy.target_epsilon in place of"),
        (OPEN, "target_epsilon=1,2", 3.0, "target_eps and grid: privacy.target_epsilon both say how much noise"),
        (OPEN, "learning_rate=0.1,0.2", 0.0, "target_eps=0 is not a positive number"),
        (OPEN, "learning_rate=0.1,0.2", float("nan"), "target_eps=nan is not a positive number"),
        (OPEN, "learning_rate=0.1,0.2", 1e6, "target_eps=1000000 is more than 1000"),
    ],
)
def test_a_target_that_cannot_be_met_is_refused(text: str, rates: str, target: float, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        solved(parse(text, name="blobs.yaml"), grid.read([rates]), Trials("geometric", 3.0), Score(), UNITS, target)
    assert said in str(caught.value)


@pytest.mark.slow
def test_a_score_that_spends_more_than_the_target_is_told() -> None:
    with pytest.raises(Unreachable, match=r"still spends more. Raise it, lower --mean, or lower --score-eps"):
        solved(
            parse(OPEN, name="blobs.yaml"), grid.read(["learning_rate=0.1,0.2"]), Trials("geometric", 3.0), Score(5.0),
            UNITS, 1.0,
        )  # fmt: skip
