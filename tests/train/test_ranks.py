"""Several processes that share one run: together they do what one of them would, and only the first adds noise.

Most of them are forked here from a server that has loaded torch; torchrun itself starts those at the end of the file.
"""

import json
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_recipe import small
from torch import Tensor, nn

from dpplan import __main__ as command_line
from dpplan import train
from dpplan.errors import RecipeError, UsageError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase
from dpplan.recipe import Recipe
from dpplan.sampling import Poisson
from dpplan.train import data, models, narrate
from dpplan.train.agreement import fingerprint
from dpplan.train.checkpoint import Checkpoint
from dpplan.train.clipping import choose
from dpplan.train.data import Split
from dpplan.train.loop import Trainer
from dpplan.train.machine import ENDING, device_named, interrupt_asked
from dpplan.train.randomness import Randomness
from dpplan.train.ranks import ALONE, Lost, Ranks, joined
from dpplan.train.sampler import PoissonSampler
from dpplan.train.verdict import LEVEL, chi_square_tail

STEPS = 30
HANG = 90  # seconds until a test gives up; far below the patience of the processes, far above what they need
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["dpplan.train", "small_recipe", "sklearn.datasets", "torch._dynamo"])
LOCAL = {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
TINY = """\
privacy: {noise_multiplier: 2, clip_norm: 1, delta: 1e-5}
data: {source: digits}
model: {kind: logistic}
training: {batch_size: 100, steps: STEPS, optimizer: sgd, learning_rate: 0.5, compare_nonprivate: false}
runtime: {device: cpu, threads: 1}
"""


def tiny(folder: Path, **changes: Any) -> Recipe:
    """Small enough that thirty steps take a fraction of a second; with all the state that a run can have."""
    return small(
        **{
            "training_steps": STEPS,
            "training_optimizer": "adam",
            "training_ema": 0.9,
            "training_compare_nonprivate": False,
            "privacy_clipping": "adaptive",
            "runtime_checkpoint_every": 7,
            "runtime_folder": str(folder),
            **changes,
        }
    )


def together(
    folder: Path, work: Callable[..., Any], *arguments: Any, ranks: int = 2, ended: tuple[int, ...] | None = None
) -> list[Any]:
    """What `work` returns in each of so many processes of one run. ended: their exit codes, when some are not 0."""
    port = free_port()
    crew = [
        PROCESSES.Process(target=_member, args=(folder, rank, ranks, port, work, arguments)) for rank in range(ranks)
    ]
    try:
        for process in crew:
            process.start()
        give_up = time.monotonic() + HANG
        for process in crew:
            process.join(max(0.0, give_up - time.monotonic()))
        assert tuple(process.exitcode for process in crew) == (ended or (0,) * ranks)
    finally:
        for process in crew:
            process.kill()
    files = [folder / f"{rank}.pt" for rank in range(ranks)]
    return [torch.load(file, weights_only=False) if file.exists() else None for file in files]


def _member(folder: Path, rank: int, ranks: int, port: int, work: Callable[..., Any], arguments: Any) -> None:
    os.environ |= LOCAL | {"MASTER_PORT": str(port), "RANK": str(rank), "WORLD_SIZE": str(ranks)}
    os.environ |= {"LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(ranks)}
    torch.set_num_threads(1)
    (folder / f"{rank}.pt").unlink(missing_ok=True)
    torch.save(work(*arguments), folder / f"{rank}.pt")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def written(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return content


# Steps


class Listening:
    """A sampler that remembers what it drew."""

    def __init__(self, sampler: Any) -> None:
        self.sampler, self.expected_batch = sampler, sampler.expected_batch
        self.drawn: list[Any] = []

    def draw(self) -> Any:
        self.drawn.append(self.sampler.draw())
        return self.drawn[-1]


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()]).clone()


def built(recipe: Recipe, rng: np.random.Generator) -> nn.Module:
    """In float64, in which sums agree to nearly all digits in whatever order they are added up."""
    return models.build(recipe.model, (1, 8, 8), 10, rng).double()


def digits(examples: int) -> Split:
    training = data.load(small().data).training
    return Split(training.inputs[:examples].double(), training.targets[:examples])


def stepping(recipe: Recipe, phase: Phase, examples: int, steps: int) -> dict[str, Any]:
    """One rank of a trainer in two processes, and all that can be seen in it."""
    with joined() as ranks:
        randomness = Randomness.of(3, ranks.rank)
        model = built(recipe, randomness.weights)
        own = flat(model)
        trainer = Trainer(model, digits(examples), phase, recipe, randomness, ranks)
        trainer.sampler = sampler = Listening(trainer.sampler)
        untouched = randomness.state()["noise"]
        totals, rules, weights, facts, sums = [], [], [], [], ranks.total

        def listened(mine: Any) -> Any:
            clipped = sums(mine)
            totals.append(None if clipped is None else clipped.total.clone())
            return clipped

        trainer.ranks = Overheard(ranks, listened)
        for _ in range(steps):
            rules.append(trainer.rule)
            weights.append(flat(model))
            facts.append(trainer.step())
        start = ranks.part(examples).start
        return {
            "own": own,
            "weights": [*weights, flat(model)],
            "rules": [*rules, trainer.rule],
            "drawn": [start + drawn for drawn in sampler.drawn],
            "totals": totals,
            "noisy": trainer.ranks.noisy,
            "facts": facts,
            "drew_noise": randomness.state()["noise"] != untouched,
            "checks": [(check.name, check.agrees) for check in trainer.measured.checks()],
            "empty_batches": trainer.empty_batches,
        }


class Overheard:
    """Ranks, with what they released."""

    def __init__(self, ranks: Ranks, total: Callable[[Any], Any]) -> None:
        self.ranks, self.total, self.noisy = ranks, total, []

    def from_first(self, tensor: Tensor) -> Tensor:
        self.noisy.append(self.ranks.from_first(tensor).clone())
        return tensor


def alone_from(recipe: Recipe, seen: list[dict[str, Any]], step: int, examples: int) -> Any:
    """The clipped sum of one process, over what all of them drew in this step."""
    model, whole = built(recipe, Randomness.of(3).weights), digits(examples)
    torch.nn.utils.vector_to_parameters(seen[0]["weights"][step], model.parameters())
    engine = choose(model, recipe.runtime.engine, 64, whole.inputs[0], recipe.training.views).engine
    drawn = torch.from_numpy(np.concatenate([rank["drawn"][step] for rank in seen]))
    return engine.clipped_sum(whole.inputs[drawn], whole.targets[drawn], seen[0]["rules"][step])


@pytest.mark.parametrize(
    "changes",
    [
        {"privacy_clipping": "adaptive", "training_optimizer": "adam", "training_ema": 0.9},
        {"model_kind": "mlp", "model_hidden": (16,), "model_activation": "tanh", "runtime_physical_batch": 7},
    ],
)
def test_two_processes_take_the_steps_of_one(tmp_path: Path, changes: dict[str, Any]) -> None:
    recipe, phase, steps = small(**changes), Phase(Gaussian(1.5), Poisson(0.05), 6), 6
    seen = together(tmp_path, stepping, recipe, phase, 401, steps)
    first, second = seen
    assert not torch.equal(first["own"], second["own"])
    assert all(torch.equal(*pair) for pair in zip(first["weights"], second["weights"], strict=True))
    assert torch.equal(first["weights"][0], first["own"])
    assert not torch.equal(first["weights"][0], first["weights"][-1])
    assert first["rules"] == second["rules"]
    assert len(set(first["rules"])) == (steps + 1 if "privacy_clipping" in changes else 1)
    for step in range(steps):
        assert max(first["drawn"][step], default=0) < 200 <= min(second["drawn"][step], default=200)
        whole = alone_from(recipe, seen, step, 401)
        assert whole.facts.drawn > 0
        assert float((first["totals"][step] - whole.total).norm()) <= 1e-9 * float(whole.total.norm())
        assert second["totals"][step] is None
        mine, alone = first["facts"][step], whole.facts
        assert (mine.drawn, mine.dropped, mine.clipped, mine.correct) == (
            alone.drawn, alone.dropped, alone.clipped, alone.correct,
        )  # fmt: skip
        assert float(mine.loss) == pytest.approx(float(alone.loss), rel=1e-9)


def test_noise_is_added_once(tmp_path: Path) -> None:
    """What every rank follows is the sum and one draw of the accounted noise, which the first rank alone has drawn."""
    more = {"training_augment": "shift", "training_views": 2, "runtime_private_logs": False, "runtime_engine": "vmap"}
    recipe, phase = small(privacy_clip_norm=0.5, **more), Phase(Gaussian(1.5), Poisson(0.05), 20)
    first, second, third = together(tmp_path, stepping, recipe, phase, 401, 20, ranks=3)
    assert [rank["drew_noise"] for rank in (first, second, third)] == [True, False, False]
    for follower in (second, third):
        assert all(torch.equal(*pair) for pair in zip(first["noisy"], follower["noisy"], strict=True))
        assert torch.equal(first["weights"][-1], follower["weights"][-1])
        assert follower["checks"] == []
    added = torch.cat([noisy - total for noisy, total in zip(third["noisy"], first["totals"], strict=True)])
    squares = float((added / (1.5 * 0.5)).square().sum())
    assert chi_square_tail(squares, len(added)) > LEVEL
    assert chi_square_tail(2 * squares, len(added)) < LEVEL  # twice would be noticed
    assert first["checks"] == [(name, True) for name in ("batch sizes", "empty batches", "noise", "denominator")]


@pytest.mark.parametrize(("examples", "rate"), [(401, 0.002), (1, 0.5)])
def test_ranks_that_draw_nothing_take_part(tmp_path: Path, examples: int, rate: float) -> None:
    """Of one example, the first rank has none at all; it leads all the same."""
    recipe, phase, steps = small(), Phase(Gaussian(2.0), Poisson(rate), 40), 40
    seen = together(tmp_path, stepping, recipe, phase, examples, steps)
    first, second = seen
    sizes = [tuple(len(rank["drawn"][step]) for rank in seen) for step in range(steps)]
    assert {(0, 0), (0, 1)} <= set(sizes)
    assert (examples == 1) == all(mine == 0 for mine, _ in sizes)
    assert first["empty_batches"] == sizes.count((0, 0)) > 0
    assert [facts.drawn for facts in first["facts"]] == [sum(pair) for pair in sizes]
    assert all(agrees for _, agrees in first["checks"])
    assert len(first["checks"]) == 4
    assert all(torch.equal(*pair) for pair in zip(first["weights"], second["weights"], strict=True))
    for total, size in zip(first["totals"], sizes, strict=True):
        assert (float(total.norm()) == 0) == (sum(size) == 0)


# What belongs to whom


@pytest.mark.parametrize("examples", [1, 2, 7, 1437])
@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_every_example_belongs_to_one_rank(examples: int, size: int) -> None:
    parts = [range(examples)[Ranks(rank, size).part(examples)] for rank in range(size)]
    assert [example for part in parts for example in part] == list(range(examples))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_the_parts_are_drawn_at_the_rate_of_the_whole_and_divided_by_it() -> None:
    samplers = [PoissonSampler(Poisson(0.1), 1000, np.random.default_rng(seed), 500) for seed in range(2)]
    assert [sampler.expected_batch for sampler in samplers] == [100.0, 100.0]
    drawn = [[sampler.draw() for _ in range(400)] for sampler in samplers]
    assert all(batch.max() < 500 for batches in drawn for batch in batches)
    members = np.concatenate([batch for batches in drawn for batch in batches])
    assert len(members) / 400 == pytest.approx(100.0, abs=5 * np.sqrt(90 / 400))
    none = PoissonSampler(Poisson(0.1), 1000, np.random.default_rng(0), 0)
    assert (len(none.draw()), none.expected_batch) == (0, 100.0)


def test_every_rank_has_streams_of_its_own_and_those_of_the_first_are_those_of_one_process() -> None:
    kinds = ("sampling", "noise", "weights", "views")
    alone = [np.random.Generator(np.random.SFC64(part)).random() for part in np.random.SeedSequence(5).spawn(4)]
    assert [getattr(Randomness.of(5), kind).random() for kind in kinds] == alone
    seeded = [float(getattr(Randomness.of(5, rank), kind).random()) for rank in range(5) for kind in kinds]
    unseeded = [float(getattr(Randomness.of(None, 1), kind).random()) for _ in range(2) for kind in kinds]
    assert len({*seeded, *unseeded}) == len(seeded) + len(unseeded)
    assert seeded == [float(getattr(Randomness.of(5, rank), kind).random()) for rank in range(5) for kind in kinds]


def test_several_processes_need_a_gpu_each_or_none() -> None:
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    assert device_named("auto", 0, gpus + 1) == device_named("cpu", 0, gpus + 1) == torch.device("cpu")
    with pytest.raises(UsageError, match=rf"device=cuda is not available for each of {gpus + 2} processes"):
        device_named("cuda", 0, gpus + 2)
    with pytest.raises(UsageError, match=r"device=mps is not available for each of 2 processes.*Usable here: cpu"):
        device_named("mps", 0, 2)


def test_other_examples_and_another_order_are_told_apart() -> None:
    whole = digits(50)
    images = Split(whole.inputs.float(), whole.targets)
    words = Split(torch.arange(60).reshape(12, 5), torch.arange(12) % 3)
    for split in (images, words):
        assert fingerprint(split) == fingerprint(Split(split.inputs.clone(), split.targets.clone()))
        order = torch.arange(split.examples).roll(1)
        others = [
            Split(split.inputs[order], split.targets[order]),
            Split(split.inputs[order], split.targets),
            Split(split.inputs, split.targets[order]),
            Split(split.inputs[1:], split.targets[1:]),
        ]
        assert len({fingerprint(split), *map(fingerprint, others)}) == 5


def test_a_process_alone_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process group is open here, so anything that is sent fails."""
    monkeypatch.setenv("RANK", "0")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("LOCAL_RANK", "0")
    with joined() as ranks:
        assert ranks == ALONE
        tensor = torch.ones(2)
        assert ranks.from_first(tensor) is tensor
        assert ranks.gathered("a") == ("a",)
        ranks.agree({"a": 1})
        with pytest.raises(UsageError, match="mine"), ranks.as_one():
            raise UsageError("mine")
    monkeypatch.delenv("LOCAL_RANK")
    with pytest.raises(UsageError, match=r"RANK is set, so .* must all be numbers"), joined():
        pass


def test_a_request_to_terminate_asks_like_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with interrupt_asked(ENDING) as asked:
        assert not asked()
        signal.raise_signal(signal.SIGTERM)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before


# Whole runs


def running(recipe: Recipe, seed: int | None, out: Path, stop: int | None = None, resume: bool = False) -> Any:
    """A run, or what is left of it, and what came of it; interrupted after step `stop`, on all ranks at once."""
    with joined() as ranks:
        if resume:
            planned, out_or_none = train.plan_resumed(out, ranks=ranks), None
        else:
            planned, out_or_none = train.plan(recipe, seed=seed, ranks=ranks), out
        if not ranks.first and stop is not None:
            signal.raise_signal(signal.SIGINT)  # which a follower does not listen to
        events = []
        for event in train.events(planned, out=out_or_none):
            if isinstance(event, train.Step) and event.step == stop:
                signal.raise_signal(signal.SIGINT)
            events.append(event)
        if not ranks.first:
            return len(events)
        report = events[-1]
        lines = [*narrate.plan_lines(planned), *narrate.report_lines(report)]
        return report.status, report.steps, report.lost, report.agrees, lines


def test_a_run_ends_as_planned_and_goes_on_from_where_it_was_interrupted(tmp_path: Path) -> None:
    """With one seed, as if nothing had happened; without one, by any number of processes."""
    whole, broken, free = (tmp_path / name for name in ("whole", "broken", "free"))
    (*ended, lines), followed = together(tmp_path, running, tiny(tmp_path), 5, whole)
    assert (ended, followed) == (["finished", STEPS, 0, True], 0)
    assert any(re.match(r"  processes +2 ", line) for line in lines)
    assert max(map(len, (line for line in lines if str(tmp_path) not in line))) <= 80
    assert {path.name for path in whole.iterdir()} == {"metrics.jsonl", "model.pt", "recipe.yaml", "report.json"}
    assert written(whole)["processes"] == 2
    assert "not encrypted" in written(whole)["assumptions"]["network"]

    (*ended, _), followed = together(tmp_path, running, tiny(tmp_path), 5, broken, 17)
    assert (ended[:3], followed) == (["interrupted", 17, 0], 0)
    checkpoint = Checkpoint.load(broken / "checkpoint.pt")
    assert checkpoint.generators is not None
    assert len(checkpoint.generators) == 2
    assert checkpoint.generators[0] != checkpoint.generators[1]
    with pytest.raises(RecipeError, match="processes=1, and the run, which has a seed, began with 2"):
        train.plan_resumed(broken)
    (*ended, _), _ = together(tmp_path, running, None, None, broken, None, True)
    assert ended == ["finished", STEPS, 0, True]
    ours, theirs = torch.load(whole / "model.pt"), torch.load(broken / "model.pt")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)

    together(tmp_path, running, tiny(tmp_path), None, free, 17)
    assert Checkpoint.load(free / "checkpoint.pt").generators is None
    *_, report = train.events(train.plan_resumed(free))
    assert isinstance(report, train.TrainReport)
    assert (report.status, report.steps, report.lost, report.agrees) == ("finished", STEPS, 0, True)
    assert written(free)["processes"] == 1
    assert written(free)["assumptions"]["network"] is None


def dying(recipe: Recipe, out: Path, victim: int, at: int) -> Any:
    """A run of which one process is killed in its step `at`."""
    with joined() as ranks:
        planned = train.plan(recipe, ranks=ranks)
        step, taken = Trainer._clipped_sum, 0

        def deadly(self: Trainer, drawn: Tensor) -> Any:
            nonlocal taken
            taken += 1
            if taken == at and ranks.rank == victim:
                os.kill(os.getpid(), signal.SIGKILL)
            return step(self, drawn)

        Trainer._clipped_sum = deadly  # type: ignore[method-assign]
        try:
            *_, last = train.events(planned, out=out)
        except Lost:
            return "lost"
        return last.status, last.message


def test_a_process_that_dies_ends_the_run_and_leaves_the_count(tmp_path: Path) -> None:
    killed = -signal.SIGKILL
    ended, _, left = together(tmp_path, dying, tiny(tmp_path), tmp_path / "led", 1, 12, ranks=3, ended=(0, killed, 0))
    assert (ended, left) == (("stopped", "stopped by the loss of a process"), "lost")
    report = written(tmp_path / "led")
    assert (report["spent"]["steps"], report["spent"]["lost_steps"], report["agrees_with_plan"]) == (12, 1, False)
    *_, resumed = train.events(train.plan_resumed(tmp_path / "led"))
    assert isinstance(resumed, train.TrainReport)
    assert (resumed.status, resumed.steps, resumed.lost) == ("finished", STEPS, 1)

    _, ended = together(tmp_path, dying, tiny(tmp_path), tmp_path / "alone", 0, 12, ended=(killed, 0))
    assert ended == "lost"
    assert int((tmp_path / "alone" / "steps").read_bytes()) == 12


def other_recipe(recipe: Recipe, out: Path) -> str:
    """A run whose second process has been given something else."""
    with joined() as ranks:
        if not ranks.first:
            recipe = small(training_learning_rate=0.1, data_held_out=0.3)
        with pytest.raises(UsageError) as raised:
            list(train.events(train.plan(recipe, ranks=ranks), out=out))
        return str(raised.value)


def failing(problem: str) -> str:
    """Preparations that fail in the second process alone."""
    with joined() as ranks, pytest.raises(UsageError) as raised, ranks.as_one():
        if not ranks.first:
            raise UsageError(problem)
    return f"{raised.type.__name__}: {raised.value}"


def test_processes_that_are_not_of_one_mind_are_refused_in_one_voice(tmp_path: Path) -> None:
    first, second = together(tmp_path, other_recipe, small(), tmp_path / "run")
    assert first == second
    assert first.startswith("process 1 differs from process 0 in data.held_out, plan.examples, ")
    assert "the training examples or their order" in first
    assert not (tmp_path / "run").exists()
    assert together(tmp_path, failing, "here=1") == [
        "UsageError: process 1: here=1",
        "Told: process 1: here=1",
    ]


# The command line


def speaking(*arguments: str) -> tuple[int, str, str]:
    """`dpplan ...` in one process of several, RANK being its number: its exit status and all it printed."""
    rank = os.environ["RANK"]
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(f"{name}-{rank}", os.O_CREAT | os.O_RDWR | os.O_TRUNC)
        os.dup2(file, number)
    os.environ["TORCHELASTIC_ERROR_FILE"] = f"error-{rank}"
    status = command_line.run([argument.replace("RANK", rank) for argument in arguments])
    sys.stderr.flush()
    out, err = (Path(f"{name}-{rank}").read_text(encoding="utf-8") for name in ("out", "err"))
    return status, out, err


def test_a_mistake_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(TINY.replace("clip_norm", "clipnorm"), encoding="utf-8")
    Path("good.yaml").write_text(TINY.replace("STEPS", "5"), encoding="utf-8")
    (first, out, err), quiet = together(tmp_path, speaking, "train", str(tmp_path / "bad.yaml"))
    assert (first, out, quiet) == (2, "", (0, "", ""))
    assert err.count("privacy.clipnorm is not a known key. Did you mean 'clip_norm'?") == 1
    told = json.loads(Path("error-0").read_text(encoding="utf-8"))
    assert "privacy.clipnorm is not a known key" in told["message"]["message"]
    assert not Path("error-1").exists()
    (first, out, err), quiet = together(tmp_path, speaking, "train", "good.yaml", "--out", str(tmp_path))
    assert (first, quiet) == (2, (0, "", ""))
    assert "exists already" in err
    Path("good-0.yaml").write_text(TINY.replace("STEPS", "5"), encoding="utf-8")
    (first, out, err), quiet = together(tmp_path, speaking, "train", "good-RANK.yaml")
    assert (first, err, quiet) == (2, "error: process 1: good-1.yaml: no such file.\n", (0, "", ""))
    (first, out, err), quiet = together(tmp_path, speaking, "train", "good.yaml", "--dry-run")
    assert (first, quiet) == (0, (0, "", ""))
    assert re.search(r"(?m)^  processes +2 ", out)


def torchrun(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """`torchrun --nproc-per-node 2 -m dpplan ...`, on a port that it finds itself."""
    where = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "--local-addr", "127.0.0.1"]
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *where, "-m", "dpplan"]
    return subprocess.Popen(
        [*command, *arguments], cwd=folder, env={**os.environ, **LOCAL}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip


def outcome(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=HANG)
    except subprocess.TimeoutExpired:
        process.terminate()  # it hands this on, and ends those that do not obey
        raise
    return process.returncode, out, err


def test_torchrun_runs_a_recipe_in_two_processes(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("STEPS", "40"), encoding="utf-8")
    status, out, err = outcome(torchrun(tmp_path, "train", "tiny.yaml", "--seed", "1", "--json"))
    assert status == 0, err
    report = json.loads(out)
    assert (report["processes"], report["status"], report["agrees_with_plan"]) == (2, "finished", True)
    assert all(check["agrees"] for check in report["not_covered_by_epsilon"]["verdict"])
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["tiny-001"]
    assert written(tmp_path / "runs" / "tiny-001") == report
    assert "Traceback" not in err


@pytest.mark.slow
def test_torchrun_hands_on_ctrl_c_and_the_run_goes_on_later(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY.replace("STEPS", "1500"), encoding="utf-8")
    process = torchrun(tmp_path, "train", "tiny.yaml")
    begun(tmp_path, process)
    process.send_signal(signal.SIGINT)
    status, _, err = outcome(process)
    assert status == 1
    assert len(re.findall(r"(?m)^error: interrupted after \d+ of 1500 steps, ε ≤ \S+ spent\.", err)) == 1
    report = written(tmp_path / "runs" / "tiny-001")
    assert (report["status"], report["spent"]["lost_steps"]) == ("interrupted", 0)
    assert 0 < report["spent"]["steps"] < 1500
    status, out, _ = outcome(torchrun(tmp_path, "train", "--resume", "runs/tiny-001", "--json"))
    assert (status, json.loads(out)["spent"]["steps"]) == (0, 1500)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_torchrun_ends_a_run_of_which_a_process_died(tmp_path: Path, victim: int) -> None:
    (tmp_path / "mine.py").write_text(DEADLY.replace("VICTIM", str(victim)), encoding="utf-8")
    recipe = TINY.replace("STEPS", "100000").replace("source: digits", "source: 'mine:examples'")
    (tmp_path / "tiny.yaml").write_text(recipe, encoding="utf-8")
    status, _, err = outcome(torchrun(tmp_path, "train", "tiny.yaml"))
    assert status == 1
    assert "Signal 9 (SIGKILL) received" in err
    folder = tmp_path / "runs" / "tiny-001"
    counted = int((folder / "steps").read_bytes())
    assert 0 < counted < 100_000
    if victim:
        assert len(re.findall(r"(?m)^error: stopped by the loss of a process after \d+ of 100000 steps", err)) == 1
        assert written(folder)["spent"]["steps"] == counted
    else:
        assert "error: " not in err
        assert not (folder / "report.json").exists()


@pytest.mark.slow
def test_under_torchrun_a_mistake_is_the_last_thing_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(TINY.replace("STEPS", "5").replace("clip_norm", "clipnorm"), encoding="utf-8")
    status, out, err = outcome(torchrun(tmp_path, "train", "bad.yaml"))
    assert (status, out) == (1, "")
    assert len(re.findall(r"(?m)^error: ", err)) == 1
    assert "privacy.clipnorm is not a known key" in err.splitlines()[-2]
    assert "<NO_OTHER_FAILURES>" in err


def begun(folder: Path, process: "subprocess.Popen[str]") -> None:
    """Waits until the run is under way."""
    metrics, give_up = folder / "runs" / "tiny-001" / "metrics.jsonl", time.monotonic() + HANG
    while not metrics.exists() and process.poll() is None and time.monotonic() < give_up:
        time.sleep(0.05)


# A data set whose loading sets a trap: the process of this rank kills itself when the run is under way.
DEADLY = """\
import os, pathlib, signal, threading, time
import numpy

def examples():
    if os.environ.get("RANK") == "VICTIM":
        threading.Thread(target=end, daemon=True).start()
    rng = numpy.random.default_rng(0)
    return rng.standard_normal((1437, 5)).astype("float32"), numpy.arange(1437) % 3

def end():
    while not list(pathlib.Path("runs").glob("*/metrics.jsonl")):
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)
"""
