"""What a run finds of its machine's arithmetic: nothing on an honest one, and each fault of a simulated one."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from clipping_models import BOOK_KEPT, CLASSES, MODELS, batch, model
from torch import Tensor, nn

from dpplan.errors import EXIT_NOT_CERTIFIED, NotCertified
from dpplan.train.clipping import Arithmetic, BookKeeping, VmapClipping, gradient_forms, tried
from dpplan.train.clipping.engine_interface import ClippingEngine
from dpplan.train.clipping.engines.compiled_bookkeeping import CompiledBookKeeping
from dpplan.train.clipping.floating_point_trial import RANDOM, SAFETY, WIDEST
from dpplan.train.clipping.rules import ANALYSED, ROUND_OFF, Adaptive, Automatic, ClippingRule, Flat, PerLayer

ROWS = 18
FAINT = 1e-5  # float32's own round-off in a gradient; no fault that is simulated here is as small


def found(engine: ClippingEngine, name: str = "mlp", rule: ClippingRule | None = None) -> Arithmetic:
    return tried(engine, rule or Flat(1.0), batch(name, 1)[0][0])


def traced(net: nn.Module) -> CompiledBookKeeping:
    return CompiledBookKeeping(BookKeeping(net, ROWS), translated=False)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("rows", [1, 2, ROWS, 50])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", [BookKeeping, VmapClipping])
def test_any_processor_is_tried_and_fits_the_margin(
    kind: type[BookKeeping] | type[VmapClipping], name: str, rows: int
) -> None:
    """Whether bits are the same is the processor's business; that it is looked at, and covered, is ours."""
    if kind is BookKeeping and name not in BOOK_KEPT:
        return
    seen = found(kind(model(name), rows), name)
    assert not seen.untried
    assert seen.repetition == seen.company == seen.products == 0.0
    assert seen.place <= (FAINT if rows > 1 else 0.0)
    assert seen.round_off(1e4) == ROUND_OFF
    assert seen.same_bits == (seen.place == 0.0)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("rule", [Flat(0.7), PerLayer(1e3), Automatic(1e-3), Adaptive(1.0)])
@pytest.mark.parametrize("make", [lambda net: BookKeeping(net, ROWS), traced], ids=["eager", "traced"])
def test_every_rule_is_tried_in_every_engine(make: Callable[[nn.Module], ClippingEngine], rule: Flat) -> None:
    seen = found(make(model("image")), "image", rule)
    assert not seen.untried
    assert seen.largest <= FAINT


def test_bfloat16_is_tried_as_such() -> None:
    engine = BookKeeping(model("mlp"), ROWS)
    engine.half = True
    seen = found(engine)
    assert not seen.untried
    assert seen.largest < 0.05


def test_trying_leaves_model_and_generators_alone() -> None:
    net = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, CLASSES))
    net.register_buffer("kept", torch.ones(3))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    generator = torch.get_rng_state()
    for engine in (BookKeeping(net, ROWS), VmapClipping(net, ROWS), traced(net)):
        found(engine)
        assert torch.equal(torch.get_rng_state(), generator)
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        assert all(layer.training for layer in net.modules())
        assert all(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("kind", [BookKeeping, VmapClipping])
def test_dropout_is_no_fault_of_the_machine(kind: type[BookKeeping] | type[VmapClipping]) -> None:
    seen = found(kind(nn.Sequential(nn.Linear(6, 64), nn.Dropout(0.5), nn.Linear(64, CLASSES)), ROWS))
    assert not seen.untried
    assert seen.largest <= FAINT


class Fault(nn.Module):
    """Adds to every row what `what` makes of the rows and of how often it was called."""

    def __init__(self, what: Callable[[Tensor, int], Tensor]) -> None:
        super().__init__()
        self.what, self.calls = what, 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + self.what(x, self.calls)


def faulty(what: Callable[[Tensor, int], Tensor]) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(Fault(what), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, CLASSES))


def by_place(x: Tensor, calls: int) -> Tensor:
    return SMALL * (torch.arange(len(x)) % 2).unsqueeze(1) * torch.arange(6)


def by_company(x: Tensor, calls: int) -> Tensor:
    return SMALL * torch.tanh(x.detach().mean(0))


def by_time(x: Tensor, calls: int) -> Tensor:
    return SMALL * torch.tensor([1.0, -1.0, 2.0, 0.0, 1.0, -3.0]) * (calls % 7)


SMALL = 1e-4


@pytest.mark.parametrize(("what", "name"), [(by_place, "place"), (by_company, "company"), (by_time, "repetition")])
def test_a_simulated_fault_is_found_and_widens_the_margin(what: Callable[..., Tensor], name: str) -> None:
    seen = found(BookKeeping(faulty(what), ROWS))
    size = getattr(seen, name)
    assert SMALL / 30 < size < 30 * SMALL
    others = {"place", "company", "repetition"} - {name}
    assert name == "repetition" or all(getattr(seen, other) <= FAINT for other in others - {"place"})
    assert not seen.same_bits
    wanted = ANALYSED + SAFETY * (seen.place + 3 * (seen.company + seen.repetition))
    assert seen.round_off(3) == pytest.approx(wanted)
    assert seen.round_off(3) > max(ROUND_OFF, SAFETY * size)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("what", [by_place, by_company])
def test_in_compiled_graphs_too(what: Callable[..., Tensor]) -> None:
    seen = found(traced(faulty(what)))
    assert not seen.untried
    assert seen.largest > SMALL / 30


class Uneven(VmapClipping):
    """Rows of odd number see other inputs: vmap as a processor that minds places would have it."""

    def _of_piece(self, parameters: Any, piece: Any, rule: Any) -> Any:
        inputs = piece.inputs + by_place(piece.inputs, 0)
        return super()._of_piece(parameters, dataclasses.replace(piece, inputs=inputs), rule)


def test_vmap_does_not_hide_a_place() -> None:
    assert found(Uneven(model("mlp"), ROWS)).place > SMALL / 30


def test_what_concerns_every_example_counts_for_a_whole_batch() -> None:
    each = Arithmetic(company=1e-6)
    assert each.round_off(10) == ROUND_OFF
    assert each.round_off(1000) == pytest.approx(ANALYSED + SAFETY * 1e-3)
    assert Arithmetic(repetition=1e-6).round_off(1000) == each.round_off(1000)
    assert Arithmetic(place=1e-6).round_off(1000) == ROUND_OFF
    assert Arithmetic(products=4e-3).round_off(1) == pytest.approx(ANALYSED + 8e-3)


@pytest.mark.parametrize("seen", [Arithmetic(place=0.01), Arithmetic(company=float("inf")), Arithmetic(products=0.1)])
def test_what_no_margin_covers_is_refused(seen: Arithmetic) -> None:
    with pytest.raises(NotCertified, match="no sensitivity can be certified") as refusal:
        seen.round_off(1000)
    assert refusal.value.exit_code == EXIT_NOT_CERTIFIED
    assert SAFETY * 0.01 > WIDEST


def test_of_several_processes_the_worst_figure_counts() -> None:
    both = Arithmetic(place=1e-3).worst(Arithmetic(company=1e-6, untried="because"))
    assert (both.place, both.company, both.untried) == (1e-3, 1e-6, "because")


def test_the_widened_margin_holds_where_the_usual_one_does_not() -> None:
    """A row's place turns its input toward that of another example; with this one removed, both add up."""
    size = 3e-3

    def turned(x: Tensor, calls: int) -> Tensor:
        odd = (torch.arange(len(x)) % 2).to(x)
        return size * odd.unsqueeze(1) * torch.eye(6)[1]

    net = nn.Sequential(Fault(turned), nn.Linear(6, CLASSES, bias=False))
    nn.init.zeros_(net[1].weight)
    engine = BookKeeping(net, ROWS)
    inputs, targets = torch.eye(6)[0].repeat(ROWS, 1), torch.zeros(ROWS, dtype=torch.int64)
    inputs[4] = torch.eye(6)[1]
    rest = inputs[:-1].clone()
    rest[4] = inputs[-1]

    def moved(rule: Flat) -> float:
        totals = (engine.clipped_sum(x, targets[: len(x)], rule).total for x in (inputs, rest))
        return float((next(totals) - next(totals)).norm())

    assert moved(Flat(0.1)) > 0.1
    seen = tried(engine, Flat(0.1), inputs[0])
    assert moved(Flat(0.1, round_off=seen.round_off(2 * ROWS))) <= 0.1


@pytest.mark.parametrize("bits", [8, 11])
def test_factors_that_are_rounded_are_found(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As bfloat16 and TF32 are, wherever a library takes them for float32 in spite of what it was told."""
    whole = gradient_forms._product

    def rounded(values: Tensor) -> Tensor:
        scale = 2.0 ** (torch.frexp(values).exponent - bits).to(values)
        return (values / scale).round() * scale

    monkeypatch.setattr(gradient_forms, "_product", lambda left, right: whole(rounded(left), rounded(right)))
    seen = found(BookKeeping(model("mlp"), ROWS))
    assert 2.0**-bits < seen.products < 2.0 ** (2 - bits)
    assert seen.round_off(1) >= ANALYSED + 2 * seen.products


def test_what_cannot_be_tried_says_why() -> None:
    assert found(traced(nn.Sequential(nn.Linear(6, 64), nn.Dropout(0.5), nn.Linear(64, CLASSES)))).untried == RANDOM
    narrow = tried(BookKeeping(model("mlp"), ROWS), Flat(1.0), torch.zeros(5))
    assert narrow.untried.startswith("RuntimeError: ")
    assert narrow.to_json()["evidence"] == "not tested"
    dead = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, CLASSES))
    dead[1].weight.requires_grad_(False).zero_()
    dead[1].bias.requires_grad_(False)
    assert "zero" in found(BookKeeping(dead, ROWS)).untried


def test_a_compiled_graph_is_made_anew_for_another_margin() -> None:
    engine, (inputs, targets) = traced(model("mlp")), batch("mlp", 1)
    usual = float(engine.clipped_sum(inputs, targets, Flat(1e-3)).total.norm())
    graph = engine.graph
    engine.clipped_sum(inputs, targets, Flat(1e-2))
    assert engine.graph is graph
    wide = float(engine.clipped_sum(inputs, targets, Flat(1e-3, round_off=0.1)).total.norm())
    assert usual == pytest.approx(1e-3 * (1 - ROUND_OFF), rel=1e-4)
    assert wide == pytest.approx(1e-3 * 0.9, rel=1e-4)


def test_the_graph_that_was_tried_is_the_one_that_trains() -> None:
    engine = traced(model("mlp"))
    found(engine, rule=Flat(0.5))
    graph = engine.graph
    assert graph is not None
    engine.clipped_sum(*batch("mlp", 5), Flat(0.5))
    assert engine.graph is graph
