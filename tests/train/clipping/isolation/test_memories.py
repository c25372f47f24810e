"""Whatever a model keeps of an example is seen, wherever it keeps it; so are ways past the wall of vmap."""

import re
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from memories import MEMORIES, LayerDrop, PingPong, Remembering
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from dpplan.errors import RecipeError, TrainingStopped
from dpplan.train.clipping import choose
from dpplan.train.clipping.engines.one_at_a_time import OneAtATime
from dpplan.train.clipping.isolation import reachable_objects
from dpplan.train.clipping.isolation.reachable_objects import Reached
from dpplan.train.clipping.rules import Flat
from dpplan.train.step.model_guard import ModelGuard

EXAMPLE = torch.zeros(6)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("name", MEMORIES)
def test_a_model_that_keeps_what_it_sees_is_refused_wherever_it_keeps_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    read, write, said = MEMORIES[name]
    with pytest.raises(RecipeError, match=said) as refused:
        choose(Remembering(read, write, always=True), "auto", 8, EXAMPLE)
    assert "others are in its batch" not in str(refused.value)


@pytest.mark.sweep(every=18)
@pytest.mark.parametrize("name", MEMORIES)
def test_a_model_that_keeps_what_no_trial_shows_it_never_releases_a_step(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    read, write, said = MEMORIES[name]
    net = Remembering(read, write, always=False)
    inputs = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    inputs[2] *= 1e6
    with pytest.raises((RecipeError, TrainingStopped), match=f"{said}|changes something"):
        chosen = choose(net, "auto", 8, EXAMPLE)
        with ModelGuard(net, inputs[:0], chosen.isolation.kind == "structural"):
            chosen.engine.clipped_sum(inputs, torch.zeros(6, dtype=torch.int64), Flat(1.0))


def test_state_is_compared_where_passes_cannot_be() -> None:
    with pytest.raises(RecipeError, match=r"changes global 'SPACE\.m' while it runs"):
        choose(LayerDrop(), "auto", 8, EXAMPLE)


def test_what_is_kept_for_one_example_only_stops_the_step() -> None:
    net = PingPong()
    chosen = choose(net, "auto", 8, EXAMPLE)
    assert chosen.name == "one example at a time"
    inputs = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    inputs[2] *= 1e6
    with pytest.raises(TrainingStopped, match="changes attribute 'kept'"):
        chosen.engine.clipped_sum(inputs, torch.zeros(6, dtype=torch.int64), Flat(1.0))


def hang_gradient(net: "Forgetful") -> None:
    net.side[0].grad = torch.zeros_like(net.side[0])


def drop_gradient(net: "Forgetful") -> bool:
    there, net.side[0].grad = net.side[0].grad is not None, None
    return there


def raise_flag(net: "Forgetful") -> None:
    torch.backends.opt_einsum.enabled = False


def lower_flag(net: "Forgetful") -> bool:
    there, torch.backends.opt_einsum.enabled = not torch.backends.opt_einsum.enabled, True
    return there


def filter_warnings(net: "Forgetful") -> None:
    warnings.filterwarnings("ignore", message="dpplan's memory")


def unfilter_warnings(net: "Forgetful") -> bool:
    mine = [each for each in warnings.filters if each[1] is not None and "dpplan's memory" in str(each[1])]
    warnings.filters[:] = [each for each in warnings.filters if each not in mine]  # type: ignore[index]
    return bool(mine)


class Forgetful(nn.Module):
    """Keeps of one example what the next one clears, and what turns that one's scores round."""

    def __init__(self, keep: Callable[["Forgetful"], None], clear: Callable[["Forgetful"], bool]) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 4)
        self.side, self.keep, self.clear = [self.first.weight], keep, clear

    def forward(self, x: Tensor) -> Tensor:
        if float(x.detach().abs().max()) > 1e4:
            self.keep(self)
        elif self.clear(self):
            x = -x
        return self.second(torch.tanh(self.first(x)))


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    ("keep", "clear", "said"),
    [
        (hang_gradient, drop_gradient, "parameters that are trained"),
        (raise_flag, lower_flag, "torch's ways of computing"),
        (filter_warnings, unfilter_warnings, "the filters of warnings"),
    ],
)
def test_what_is_kept_beside_the_model_for_one_example_only_stops_the_step(keep: Any, clear: Any, said: str) -> None:
    net = Forgetful(keep, clear)
    chosen = choose(net, "auto", 4, EXAMPLE)
    inputs = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    inputs[1] *= 1e6
    try:
        with pytest.raises(TrainingStopped, match=f"changes {said}"):
            chosen.engine.clipped_sum(inputs, torch.zeros(3, dtype=torch.int64), Flat(1.0))
    finally:
        clear(net)


def test_what_a_hook_of_all_layers_keeps_is_seen() -> None:
    seen = [torch.zeros(1, 6)]

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        seen[0] = inputs[0].detach()

    handle = nn.modules.module.register_module_forward_hook(hook)
    try:
        with pytest.raises(RecipeError, match=r"changes hooks of all layers .* while it runs"):
            choose(Reaching(torch.tanh), "auto", 8, EXAMPLE)
    finally:
        handle.remove()


class Below(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.neg.default and len(out) > 40:
            out = out * torch.where(out.detach().abs().max() > 100, -1.0, 1.0)
        return out


def by_mode(x: Tensor) -> Tensor:
    with Below():
        return torch.neg(x)


def by_unwrapping(x: Tensor) -> Tensor:
    functorch = torch._C._functorch
    if not functorch.is_functorch_wrapped_tensor(x):
        return x
    inside = x.detach()
    while functorch.is_functorch_wrapped_tensor(inside):
        inside = functorch.get_unwrapped(inside)
    return x * torch.where(inside.abs().max() > 100, -1.0, 1.0) if len(inside) > 6 else x


def by_printing(x: Tensor) -> Tensor:
    return x * (1 + len(f"{x!r}") // 10**6)


def by_debugging(x: Tensor) -> Tensor:
    inside = torch.func.debug_unwrap(x.detach())
    return x * torch.where(inside.abs().max() > 100, -1.0, 1.0) if len(inside) > 40 else x


@torch.library.custom_op("dpplan_tests::doubled", mutates_args=())
def doubled(x: Tensor) -> Tensor:
    return 2 * x


doubled.register_autograd(lambda context, gradient: 2 * gradient)
doubled.register_vmap(lambda info, dims, x: (2 * x - x.mean(dims[0], keepdim=True) * (info.batch_size > 6), dims[0]))


def by_operator(x: Tensor) -> Tensor:
    return torch.ops.dpplan_tests.doubled(x)


class Reaching(nn.Module):
    def __init__(self, reach: Any) -> None:
        super().__init__()
        self.score, self.on = nn.Linear(6, 4), True
        self.__dict__["reach"] = reach

    def forward(self, x: Tensor) -> Tensor:
        return self.score(self.reach(x) if self.on else x)


WAYS = {
    by_mode: "TorchDispatchMode Below runs below vmap",
    by_unwrapping: "get_unwrapped reaches below vmap",
    by_printing: "shows all examples inside vmap",
    by_debugging: "debug_unwrap reaches below vmap",
    by_operator: "has a vmap rule of its own",
}


def turned_round() -> Callable[[Tensor], Tensor]:
    seen = [0.0]

    def turn(x: Tensor) -> Tensor:
        seen[0] = max(seen[0], float(x.abs().max()))
        return x.clone() if seen[0] < 1e4 else -x

    return turn


torch.library.custom_op("dpplan_tests::turned", turned_round(), mutates_args=(), schema="(Tensor x) -> Tensor")
LIBRARY = torch.library.Library("dpplan_tests", "FRAGMENT")
LIBRARY.define("hidden(Tensor x) -> Tensor")
LIBRARY.impl("hidden", turned_round(), "CompositeExplicitAutograd")


def by_turning(x: Tensor) -> Tensor:
    return torch.ops.dpplan_tests.turned(x)


def by_hidden(x: Tensor) -> Tensor:
    return torch.ops.dpplan_tests.hidden(x)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_what_an_operator_of_the_users_keeps_is_seen_or_it_is_refused() -> None:
    """vmap runs it on one example after another, each of them bare."""
    inputs = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    inputs[2] *= 1e6
    net = Reaching(by_turning)
    chosen = choose(net, "auto", 8, EXAMPLE)
    assert chosen.name == "one example at a time"
    assert "operator dpplan_tests::turned is Python that vmap runs on one example after another" in chosen.reason
    with pytest.raises(TrainingStopped, match="changes operator 'dpplan_tests::turned'"):
        chosen.engine.clipped_sum(inputs, torch.zeros(6, dtype=torch.int64), Flat(1.0))
    late = Reaching(by_hidden)
    with pytest.raises(RecipeError, match="reaches operator dpplan_tests::hidden, whose state cannot be seen"):
        choose(late, "auto", 8, EXAMPLE)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("on_trial", ["auto", "one at a time"])
def test_operators_of_the_users_that_are_called_later_stop_the_run(on_trial: str) -> None:
    net = Reaching(by_hidden)
    net.on, inputs = False, torch.randn(5, 6)
    chosen = choose(net, "auto", 8, EXAMPLE)
    engine = chosen.engine if on_trial == "auto" else OneAtATime(net, 8)
    net.on = True
    guard = ModelGuard(net, inputs[:0], walled=on_trial == "auto")
    with pytest.raises(TrainingStopped, match=r"operator dpplan_tests::hidden( is Python|, whose state)"), guard:
        engine.clipped_sum(inputs, torch.zeros(5, dtype=torch.int64), Flat(1.0))


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("reach", WAYS)
def test_ways_past_vmap_are_no_wall(reach: Any) -> None:
    chosen = choose(Reaching(reach), "auto", 64, EXAMPLE)
    assert (chosen.name, chosen.isolation.kind) == ("one example at a time", "tested")
    assert WAYS[reach] in chosen.reason


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("reach", WAYS)
def test_ways_past_vmap_that_are_taken_later_stop_the_run(reach: Any) -> None:
    net = Reaching(reach)
    net.on = False
    chosen = choose(net, "auto", 64, EXAMPLE)
    assert chosen.isolation.kind == "structural"
    net.on = True
    inputs = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    guard = ModelGuard(net, inputs[:0], walled=True)
    with pytest.raises(TrainingStopped, match=re.escape(WAYS[reach])), guard:
        chosen.engine.clipped_sum(inputs, torch.zeros(50, dtype=torch.int64), Flat(1.0))


@pytest.mark.parametrize("layer", [nn.Embedding(7, 6, sparse=True), nn.EmbeddingBag(7, 6, sparse=True)])
def test_sparse_gradients_are_refused_in_words(layer: nn.Module) -> None:
    with pytest.raises(RecipeError, match=f"is a {type(layer).__name__} with sparse=True"):
        choose(nn.Sequential(layer, nn.Linear(6, 4)), "auto", 8, torch.zeros(5, dtype=torch.int64))


g = [0.0]


class NamesAnAttribute(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.score, self.g = nn.Linear(6, 4), 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.score(x) * self.g


def test_an_attribute_is_not_taken_for_a_global_of_its_name() -> None:
    assert "global 'g'" not in Reached(NamesAnAttribute()).found


class Holding(nn.Module):
    """Of code of its own, behind the wall."""

    def __init__(self, objects: int) -> None:
        super().__init__()
        self.score, self.held = nn.Linear(6, 4), [types.SimpleNamespace(m=0.0) for _ in range(objects)]

    def forward(self, x: Tensor) -> Tensor:
        return self.score(x) * 1.0


def test_a_model_that_reaches_more_than_can_be_watched_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reachable_objects, "MOST", 20 + len(Reached(Holding(1)).found))
    assert choose(Holding(1), "auto", 8, EXAMPLE).isolation.kind == "structural"
    for net in (Holding(30), Remembering(lambda s: 0.0, lambda s, v: None, always=False)):
        with pytest.raises(RecipeError, match=r"reaches more than 100000 objects, more than can be watched"):
            choose(net, "auto", 8, EXAMPLE)
    inputs = torch.zeros(0, 6)
    with pytest.raises(RecipeError, match="more than can be watched"):
        ModelGuard(Holding(30), inputs, walled=True)
