"""Several processes that share one run: together they do what one of them would, and only the first adds noise."""

import importlib
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from several import together
from small_recipe import small
from torch import Tensor, nn

from dpplan.errors import UsageError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase
from dpplan.recipe import Recipe
from dpplan.sampling import Poisson
from dpplan.train import data, models
from dpplan.train.clipping import choose
from dpplan.train.conformance import LEVEL
from dpplan.train.data import Split
from dpplan.train.exact_tests import chi_square_tail
from dpplan.train.execution.rank_consistency import fingerprint
from dpplan.train.machine.device import device_named
from dpplan.train.machine.signals import ENDING, interrupt_asked
from dpplan.train.ranks import ALONE, Ranks, joined
from dpplan.train.step.randomness import Randomness
from dpplan.train.step.sampler import PoissonSampler
from dpplan.train.step.trainer import Trainer

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
            "checks": [(check.name, check.agrees) for check in trainer.statistics.measurements()],
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
        pytest.param(
            {"model_kind": "mlp", "model_hidden": (16,), "model_activation": "tanh", "runtime_physical_batch": 7},
            marks=pytest.mark.slow,
        ),
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
    assert first["checks"] == [
        (name, True) for name in ("batch sizes", "empty batches", "example counts", "noise", "denominator")
    ]


@pytest.mark.sweep(every=2)
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
    assert len(first["checks"]) == 5
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


def threads_left() -> list[str]:
    """The threads of this process after a run in which the compiler was loaded."""
    loaded_late = "torch.distributed.nn.functional"
    sys.modules.pop(loaded_late, None)
    with joined() as ranks:
        ranks.gathered(1)
        importlib.import_module(loaded_late)
    return [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]


def test_no_thread_of_the_group_outlives_it(tmp_path: Path) -> None:
    """One that lets go of its last tensor while Python ends takes the process with it, and torchrun the run."""
    for left in together(tmp_path, threads_left):
        assert left
        assert not [name for name in left if "gloo" in name]
