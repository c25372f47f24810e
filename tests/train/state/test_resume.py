"""Runs that are killed and go on: nothing taken goes uncounted, and a seeded run ends as if nothing had happened."""

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import PROCESSES
from small_recipe import small
from whole_runs import interrupted, resumed

from dpplan import train, verify
from dpplan.errors import RecipeError, UsageError
from dpplan.recipe import Recipe
from dpplan.report.page import gather
from dpplan.report.page_formats import html, markdown, paragraph
from dpplan.train import Step, TrainReport
from dpplan.train.execution import terminal_text
from dpplan.train.state.checkpoint import Checkpoint, steps_between
from dpplan.train.state.step_count import StepCount
from dpplan.train.step.trainer import Trainer

STEPS = 40


def tiny(folder: Path, **changes: Any) -> Recipe:
    """Forty steps of a model small enough that a run takes a tenth of a second, with a checkpoint every seven."""
    return small(
        **{
            "training_steps": STEPS,
            "training_optimizer": "adam",
            "training_ema": 0.9,
            "training_schedule": "cosine",
            "privacy_clipping": "adaptive",
            "runtime_checkpoint_every": 7,
            "runtime_folder": str(folder),
            **changes,
        }
    )


def go(recipe: Recipe, folder: Path, seed: int | None) -> None:
    """The whole run, or what is left of it, in a process of its own. Each step that is done leaves a witness."""
    torch.set_num_threads(1)
    step = Trainer.step

    def witnessed(self: Trainer) -> Any:
        facts = step(self)
        with (folder.parent / "witness").open("ab", buffering=0) as witness:
            witness.write(b"x")
        return facts

    Trainer.step = witnessed  # type: ignore[method-assign]
    if (folder / "checkpoint.pt").exists():
        for _ in train.events(train.plan_resumed(folder)):
            pass
    else:
        train.run(recipe, seed=seed, out=folder)


def kill_at_random(recipe: Recipe, folder: Path, seed: int | None, kills: int, moments: random.Random) -> int:
    """Starts the run, and again whenever it was killed; then lets it end. Returns how often it really was killed."""
    done, longest = 0, 0.12
    while done < kills:
        process = PROCESSES.Process(target=go, args=(recipe, folder, seed))
        process.start()
        _wait_for(folder / "steps", process)
        process.join(moments.uniform(0, longest))
        if process.exitcode is None:
            os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        if not (folder / "checkpoint.pt").exists():  # killed before anything could be released: begun anew
            assert witnesses(folder) == 0
            for path in folder.iterdir():
                path.unlink()
            folder.rmdir()
            longest *= 1.3  # where many share a machine, it may take longer until anything is there to kill
            continue
        done += 1
        _check_counts(folder, seed, done)
    process = PROCESSES.Process(target=go, args=(recipe, folder, seed))
    if not (folder / "report.json").exists() or (folder / "checkpoint.pt").exists():  # or killed in its evaluation
        process.start()
        process.join(60)
        assert process.exitcode == 0
    return done


def _wait_for(file: Path, process: Any) -> None:
    give_up = time.monotonic() + 60
    while not file.exists() and process.exitcode is None and time.monotonic() < give_up:
        time.sleep(0.001)


def _check_counts(folder: Path, seed: int | None, kills: int) -> None:
    """What is on disk after a kill: every step that was taken is counted, and one more for each kill at most."""
    counted, taken = int((folder / "steps").read_bytes() or b"0"), witnesses(folder)
    if seed is None:
        assert taken <= counted <= taken + kills
    else:  # repeated steps release nothing new, and are counted once
        assert counted <= taken + kills
    checkpoint = Checkpoint.load(folder / "checkpoint.pt")
    assert checkpoint.steps <= checkpoint.counted <= counted


def witnesses(folder: Path) -> int:
    file = folder.parent / "witness"
    return file.stat().st_size if file.exists() else 0


def written(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return content


def killed_and_compared(tmp_path: Path, moments: random.Random, kills: int) -> int:
    whole, broken = tmp_path / "whole" / "run", tmp_path / "broken" / "run"
    whole.parent.mkdir()
    broken.parent.mkdir()
    train.run(tiny(tmp_path), seed=5, out=whole)
    done = kill_at_random(tiny(tmp_path), broken, 5, kills, moments)
    ours, theirs = torch.load(whole / "model.pt"), torch.load(broken / "model.pt")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    reports = written(whole), written(broken)
    assert reports[0]["spent"] == reports[1]["spent"]
    assert reports[1]["spent"]["lost_steps"] == 0
    seen = [report["not_covered_by_epsilon"]["held_out_accuracy"] for report in reports]
    assert seen[0] == seen[1]
    assert {path.name for path in broken.iterdir()} == {"metrics.jsonl", "model.pt", "recipe.yaml", "report.json"}
    return done


def killed_and_counted(tmp_path: Path, moments: random.Random, kills: int) -> int:
    folder = tmp_path / "run"
    done = kill_at_random(tiny(tmp_path), folder, None, kills, moments)
    report, taken = written(folder), witnesses(folder)
    assert taken <= report["spent"]["steps"] <= taken + done
    assert report["spent"]["steps"] == STEPS
    assert report["spent"]["epsilon"] == report["planned"]["epsilon"]
    assert report["agrees_with_plan"]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, len(lines) + 1))
    return done


def until_killed(tmp_path: Path, held: Callable[[Path, random.Random, int], int], seed: int) -> None:
    """Begins runs until one of them is met by a kill: a machine that is quick for a moment ends one before its time."""
    moments = random.Random(seed)
    # Twelve of twelve were met on a free machine; beside much else one run, in turn, was met by none of two kills.
    for number in range(30):
        (tmp_path / str(number)).mkdir()
        if held(tmp_path / str(number), moments, 2) >= 1:
            return
    raise AssertionError("none of 30 runs was met by a kill")


def test_a_seeded_run_that_is_killed_ends_as_one_that_was_not(tmp_path: Path) -> None:
    until_killed(tmp_path, killed_and_compared, 0)


def test_every_step_of_a_killed_run_is_counted(tmp_path: Path) -> None:
    until_killed(tmp_path, killed_and_counted, 1)


@pytest.mark.slow
def test_forty_kills_change_no_seeded_run_and_leave_no_step_uncounted(tmp_path: Path) -> None:
    moments, kills = random.Random(2), 0
    for number in range(100):
        (tmp_path / str(number)).mkdir()
        kills += (killed_and_compared, killed_and_counted)[number % 2](tmp_path / str(number), moments, kills=5)
        if kills >= 40:
            return
    raise AssertionError(f"only {kills} kills met a running process")


# The same without a second process


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("seed", [None, 3])
def test_an_interrupted_run_goes_on_without_losing_a_step(tmp_path: Path, seed: int | None) -> None:
    assert interrupted(tmp_path / "run", tiny(tmp_path), 17, seed).status == "interrupted"
    report = resumed(tmp_path / "run")
    assert (report.status, report.steps, report.lost, report.agrees) == ("finished", STEPS, 0, True)
    assert [epoch.epoch for epoch in report.epochs] == [1, 2, 3]
    assert written(tmp_path / "run")["agrees_with_plan"] is True
    with pytest.raises(UsageError, match="this run is over"):
        train.plan_resumed(tmp_path / "run")


def test_steps_that_an_interruption_lost_are_paid_for(tmp_path: Path) -> None:
    """Ten steps begun after the checkpoint, whose sums may have been seen: the model gets ten updates fewer."""
    interrupted(tmp_path / "run", tiny(tmp_path), 20)
    (tmp_path / "run" / "steps").write_bytes(b"%020d\n" % 30)
    report = resumed(tmp_path / "run")
    assert (report.status, report.steps, report.lost) == ("finished", STEPS, 10)
    assert report.spent == report.planned.claim.epsilon
    assert report.epochs[-1].epsilon == report.planned.claim.spent(report.epochs[-1].counted)
    assert all(epoch.counted == epoch.step + 10 for epoch in report.epochs if epoch.step > 20)


def test_lost_steps_are_taken_again_only_over_budget(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", tiny(tmp_path, training_on_budget="continue"), 20)
    (tmp_path / "run" / "steps").write_bytes(b"%020d\n" % 30)
    *_, report = train.events(train.plan_resumed(tmp_path / "run", over_budget=True))
    assert isinstance(report, TrainReport)
    assert (report.steps, report.lost, report.over_budget, report.agrees) == (STEPS + 10, 10, True, False)
    assert written(tmp_path / "run")["spent"]["over_budget"] is True


@pytest.mark.parametrize(("steps", "every"), [(1, 1), (9, 1), (85, 8), (2499, 249), (2500, 250), (100_000, 250)])
def test_a_run_that_says_nothing_has_a_checkpoint_each_tenth_of_it(steps: int, every: int) -> None:
    assert steps_between(tiny(Path(), runtime_checkpoint_every="auto").runtime.checkpoint_every, steps) == every
    assert steps_between(7, steps) == 7 and steps_between(None, steps) is None


@pytest.mark.sweep(slow=("auto",))
@pytest.mark.parametrize(
    ("every", "at", "lost", "words"),
    [
        ("auto", 28, 3, "3 of 40 steps were spent and are not in the model; 9 are left"),
        (250, 0, 31, "31 of 40 steps were spent and are not in the model, which is as untrained as at the start; 9"),
    ],
)
def test_steps_that_are_spent_and_not_in_the_model_are_told_before_and_after(
    tmp_path: Path, every: Any, at: int, lost: int, words: str
) -> None:
    folder = tmp_path / "run"
    happening = train.events(train.plan(tiny(tmp_path, runtime_checkpoint_every=every)), out=folder)
    assert next(event for event in happening if isinstance(event, Step) and event.step == 31)
    happening.close()  # type: ignore[attr-defined]  # as a kill does, it writes no checkpoint
    planned = train.plan_resumed(folder)
    assert planned.to_json()["goes_on_from"] == {"step": at, "spent_steps": 31, "lost_steps": lost}
    assert words in " ".join(" ".join(terminal_text.plan_lines(planned)).split())
    *_, report = train.events(planned)
    assert isinstance(report, TrainReport)
    said = " ".join(" ".join(terminal_text.report_lines(report)).split())
    assert f"40 steps: as planned, {lost} lost" in said and f"{lost} of 40 steps: spent, and not in the model" in said
    (remark,) = verify.read(folder).remarks
    assert remark == f"{lost} of the 40 steps that were spent are not in the model: an interruption lost them."
    page = gather(folder, {})
    assert remark in markdown(page) and remark in html(page) and remark in paragraph(page) and page.as_planned


def test_a_seeded_run_loses_none_and_says_so(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", tiny(tmp_path), 20, seed=3)
    (tmp_path / "run" / "steps").write_bytes(b"%020d\n" % 30)
    planned = train.plan_resumed(tmp_path / "run")
    assert planned.resumed is not None and (planned.resumed.begun, planned.resumed.lost) == (30, 0)
    assert "with the same seed, and so the same steps" in " ".join(terminal_text.plan_lines(planned))


def test_no_noise_is_drawn_twice(tmp_path: Path) -> None:
    """Of an unseeded run, neither the checkpoint nor anything else holds what the noise could be drawn from again."""
    interrupted(tmp_path / "run", tiny(tmp_path), 20)
    assert Checkpoint.load(tmp_path / "run" / "checkpoint.pt").generators is None
    after = []
    for _ in range(2):
        happening = train.events(train.plan_resumed(tmp_path / "run"))
        assert next(happening) == Step(21, STEPS)
        happening.close()  # type: ignore[attr-defined]
        after.append(torch.load(tmp_path / "run" / "model.pt"))
    assert not any(torch.equal(after[0][name], after[1][name]) for name in after[0])
    assert int((tmp_path / "run" / "steps").read_bytes()) == 22  # both took step 21, and both are counted


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"privacy_clip_norm": 2.0}, "privacy.clip_norm=2, and the run began with 1"),
        ({"privacy_noise_multiplier": 1.0}, "plan.noise_multiplier=1, and the run began with 2"),
        ({"privacy_delta": 1e-6}, "plan.delta=1e-06, and the run began with 1e-05"),
        ({"training_steps": 41}, "plan.steps=41, and the run began with 40"),
        ({"training_learning_rate": 0.1}, "training.learning_rate=0.1, and the run began with 0.5"),
        ({"data_held_out": 0.3}, "plan.examples=1257, and the run began with 1437"),
    ],
)
def test_a_run_goes_on_only_as_it_began(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    interrupted(tmp_path / "run", tiny(tmp_path), 10)
    with pytest.raises(RecipeError) as raised:
        train.plan_resumed(tmp_path / "run", tiny(tmp_path, **changes))
    assert any(named in problem for problem in raised.value.problems)
    edited = tmp_path / "run" / "recipe.yaml"
    assert train.plan_resumed(tmp_path / "run", tiny(tmp_path, runtime_physical_batch=5)).resumed is not None
    assert edited.exists()


def test_two_processes_cannot_go_on_with_one_run(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", tiny(tmp_path), 10)
    record = StepCount(tmp_path / "run" / "steps", new=False)
    with pytest.raises(UsageError, match="going on in another process"):
        resumed(tmp_path / "run")
    record.close()
    assert resumed(tmp_path / "run").agrees


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("steps", b"%020d\n" % 3, "counts fewer steps than the checkpoint"),
        ("steps", None, "cannot be opened"),
        ("checkpoint.pt", None, "holds no checkpoint"),
        ("recipe.yaml", None, "not the folder of a run"),
    ],
)
def test_a_folder_that_was_meddled_with_is_refused(
    tmp_path: Path, name: str, content: bytes | None, complaint: str
) -> None:
    interrupted(tmp_path / "run", tiny(tmp_path), 10)
    (tmp_path / "run" / "report.json").unlink()
    file = tmp_path / "run" / name
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=complaint):
        resumed(tmp_path / "run")


def test_a_run_killed_before_its_first_checkpoint_says_what_it_spent(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", tiny(tmp_path), 10)
    for name in ("checkpoint.pt", "report.json"):
        (tmp_path / "run" / name).unlink()
    with pytest.raises(
        UsageError, match=r"10 steps are counted, ε ≤ [\d.]+ at δ = 1e-05 spent if .*\. Start the run anew"
    ):
        resumed(tmp_path / "run")


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("count", [b"abc", b"-3", b"1_0", b"", None])
def test_of_a_count_that_nobody_can_read_no_epsilon_is_told(tmp_path: Path, count: bytes | None) -> None:
    interrupted(tmp_path / "run", tiny(tmp_path), 10)
    for name in ("checkpoint.pt", "report.json", "metrics.jsonl", "steps"):
        (tmp_path / "run" / name).unlink(missing_ok=True)
    if count is not None:
        (tmp_path / "run" / "steps").write_bytes(count)
    with pytest.raises(UsageError, match=r"spent, nobody can tell: 10 or more are, and the .* Start the run anew"):
        resumed(tmp_path / "run")


def test_a_run_whose_count_is_gone_is_not_said_to_be_over(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", tiny(tmp_path), 10)
    (tmp_path / "run" / "steps").unlink()
    assert (tmp_path / "run" / "report.json").exists()
    with pytest.raises(UsageError, match=r"cannot be opened: it is gone\. .* nobody can tell: 10 or more are"):
        resumed(tmp_path / "run")


def test_without_checkpoints_nothing_is_left_to_go_on_from(tmp_path: Path) -> None:
    interrupted(tmp_path / "run", tiny(tmp_path, runtime_checkpoint_every=None), 10)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"model.pt", "recipe.yaml", "report.json"}
    with pytest.raises(UsageError, match="this run is over"):
        train.plan_resumed(tmp_path / "run")


def test_a_checkpoint_tells_nothing_that_epsilon_does_not_cover(tmp_path: Path) -> None:
    """Parameters, what follows from released sums, and counts: nothing of losses, sizes of batches or generators."""
    interrupted(tmp_path / "run", tiny(tmp_path), 20)
    content = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert set(content) == {
        "name", "basis", "seed", "steps", "counted", "epochs", "trainer", "generators", "schema", "lineage",
    }  # fmt: skip
    assert set(content["trainer"]) == {"model", "optimization", "clip_norm", "steps"}
    assert (content["seed"], content["generators"]) == (None, None)
