"""Both engines: agreement with a float64 reference, and the sensitivity that the claim rests on."""

import functools
from collections.abc import Iterator

import pytest
import torch
from clipping_models import BOOK_KEPT, CLASSES, MODELS, batch, model, reference
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dpplan.train.clipping import ClippedSum, ClippingEngine
from dpplan.train.clipping.engines.bookkeeping import BookKeeping
from dpplan.train.clipping.engines.compiled_bookkeeping import CompiledBookKeeping
from dpplan.train.clipping.engines.vmap import VmapClipping
from dpplan.train.clipping.gradient_forms import Lengths, norms, squared_norms
from dpplan.train.clipping.rules import ROUND_OFF, Adaptive, Automatic, Flat, PerLayer

ENGINES = [(BookKeeping, name) for name in BOOK_KEPT] + [(VmapClipping, name) for name in MODELS]
IDS = [f"{kind.__name__}-{name}" for kind, name in ENGINES]
Kind = type[BookKeeping] | type[VmapClipping]
every_engine = pytest.mark.parametrize(("kind", "name"), ENGINES, ids=IDS)
both = pytest.mark.parametrize("kind", [BookKeeping, VmapClipping])


@functools.cache
def engine(kind: Kind, name: str, piece: int = 4, views: int = 1) -> ClippingEngine:
    return kind(model(name), piece, views)


def clipped(
    kind: Kind, name: str, inputs: Tensor, targets: Tensor, clip_norm: float = 1.0, piece: int = 4
) -> ClippedSum:
    return engine(kind, name, piece).clipped_sum(inputs, targets, Flat(clip_norm))


@pytest.mark.sweep(every=8)
@every_engine
@pytest.mark.parametrize("rule", [Flat(1e-6), Flat(0.3), Flat(1e6), PerLayer(0.3), Automatic(0.3), Adaptive(0.3)])
def test_agrees_with_one_example_at_a_time_in_float64(kind: Kind, name: str, rule: Flat) -> None:
    inputs, targets = batch(name, 11)
    made = engine(kind, name)
    ours = made.clipped_sum(inputs, targets, rule).total[: made.size]
    theirs = reference(name, inputs, targets, rule)
    assert ours.dtype == torch.float64
    assert float((ours - theirs).norm()) <= 1e-6 * float(theirs.norm())


@pytest.mark.sweep(every=4)
@every_engine
def test_the_views_of_an_example_are_averaged_before_clipping(kind: Kind, name: str) -> None:
    inputs, targets = batch(name, 15)
    inputs = inputs.reshape(5, 3, *inputs.shape[1:])
    ours = engine(kind, name, 2, 3).clipped_sum(inputs, targets[:5], Flat(0.3)).total
    theirs = reference(name, inputs, targets[:5], Flat(0.3), views=3)
    assert float((ours - theirs).norm()) <= 1e-6 * float(theirs.norm())


HOSTILE = st.sampled_from([0.0, 1.0, -1.0, 1e-30, 1e15, -1e25, 3e38, float("nan"), float("inf"), float("-inf")])


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_no_example_moves_the_sum_by_more_than_the_sensitivity(data: st.DataObject) -> None:
    no_example_moves_the_sum_by_more_than_the_sensitivity(data)


@pytest.mark.slow
@settings(deadline=None, max_examples=300)
@given(st.data())
def test_nor_does_any_of_many_examples(data: st.DataObject) -> None:
    no_example_moves_the_sum_by_more_than_the_sensitivity(data)


def no_example_moves_the_sum_by_more_than_the_sensitivity(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([BookKeeping, VmapClipping]), label="engine")
    name = data.draw(st.sampled_from(["logistic", "mlp", "image", "series", "ghost", "frozen"]), label="model")
    rule = data.draw(st.sampled_from([Flat, PerLayer, Automatic, Adaptive]))(
        data.draw(st.sampled_from([1e-3, 1.0, 40]))
    )
    examples = data.draw(st.integers(1, 5), label="examples")
    inputs, targets = batch(name, examples, seed=data.draw(st.integers(0, 99)))
    for i in range(examples):
        if data.draw(st.booleans(), label="hostile"):
            flat = inputs[i].view(-1)
            places = data.draw(st.lists(st.integers(0, len(flat) - 1), max_size=len(flat)), label="places")
            flat[places] = torch.tensor([data.draw(HOSTILE) for _ in places])
    if data.draw(st.booleans(), label="duplicates"):
        inputs, targets = torch.cat([inputs, inputs]), torch.cat([targets, targets])
    made = engine(kind, name)
    whole = made.clipped_sum(inputs, targets, rule)
    assert bool(whole.total.isfinite().all())
    for i in range(examples):
        rest = made.clipped_sum(*(without(values, i) for values in (inputs, targets)), rule)
        assert float((whole.total - rest.total).norm()) <= whole.sensitivity


def without(values: Tensor, i: int) -> Tensor:
    """The neighbour that random order leaves us with: the last example stands where the removed one stood."""
    rest = values[:-1].clone()
    if i < len(rest):
        rest[i] = values[-1]
    return rest


@pytest.mark.sweep(every=6)
@both
@pytest.mark.parametrize("piece", [1024, 300, 32])
def test_the_margin_for_round_off_holds_for_many_aligned_examples(kind: Kind, piece: int) -> None:
    for seed in range(8):
        inputs, targets = batch("mlp", 1, seed)
        inputs, targets = inputs.repeat(1000, 1) * 50, targets.repeat(1000)
        whole = clipped(kind, "mlp", inputs, targets, 1e-4, piece).total
        rest = clipped(kind, "mlp", inputs[1:], targets[1:], 1e-4, piece).total
        moved = float((whole - rest).norm()) / 1e-4
        assert 0.99 < moved <= 1.0 - ROUND_OFF / 2


def test_a_ghost_norm_is_not_fooled_by_positions_that_cancel() -> None:
    """Two positions with opposite gradients: what is left is 2^-20 of either, and float32 would see noise in it."""
    inputs = torch.randn(40, 1, 6).repeat(1, 2, 1)
    inputs[:, 1] *= 1 + 2.0**-20
    net = nn.Sequential(nn.Linear(6, 40), nn.Flatten(), nn.Linear(80, CLASSES, bias=False))
    with torch.no_grad():
        net[2].weight[:, 40:] = -net[2].weight[:, :40]
        net[2].weight.requires_grad_(False)
        net[0].bias.requires_grad_(False)
        net[2].weight.mul_(1e6)
    made = BookKeeping(net, 40)
    for i in range(40):
        one = made.clipped_sum(inputs[i : i + 1], torch.zeros(1, dtype=torch.int64), Flat(1.0))
        assert float(one.total.norm()) <= 1.0


@pytest.mark.sweep(every=3)
@both
@pytest.mark.parametrize("piece", [1, 5, 37, 64, 1000])
def test_physical_batch_does_not_change_the_result(kind: Kind, piece: int) -> None:
    inputs, targets = batch("mlp", 37)
    inputs[3] = float("nan")
    whole, cut = (clipped(kind, "mlp", inputs, targets, 0.5, size) for size in (37, piece))
    assert float((whole.total - cut.total).norm()) <= 1e-6 * float(whole.total.norm())
    for name in ("drawn", "dropped", "clipped", "correct"):
        assert getattr(whole.facts, name) == getattr(cut.facts, name)
    assert float(whole.facts.loss) == pytest.approx(float(cut.facts.loss))


def made(kind: Kind | type[CompiledBookKeeping], name: str, rows: int, half: bool = False) -> ClippingEngine:
    if kind is CompiledBookKeeping:
        engine: ClippingEngine = CompiledBookKeeping(BookKeeping(model(name), rows), translated=False)
    else:
        assert kind is not CompiledBookKeeping
        engine = kind(model(name), rows)
    engine.half = half
    return engine


def aligned(name: str, examples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Examples as alike as round-off needs to add up, and a few that are not."""
    inputs, targets = batch(name, examples, seed)
    generator = torch.Generator().manual_seed(seed)
    same = torch.rand(examples, generator=generator) < 0.8
    inputs[same], targets[same] = inputs[0].clone(), targets[0].clone()
    if inputs.is_floating_point():
        inputs *= 10.0 ** torch.randint(-1, 3, (1,), generator=generator)
    return inputs, targets


def farthest(engine: ClippingEngine, rule: Flat, name: str, examples: int, seeds: range) -> float:
    """The largest move of the sum that was found, in sensitivities, when any one example is taken away."""
    found = 0.0
    for seed in seeds:
        inputs, targets = (aligned if seed % 2 else batch)(name, examples, seed)
        whole = engine.clipped_sum(inputs, targets, rule)
        for i in {0, 1, examples // 2, examples - 2, examples - 1}:
            rest = engine.clipped_sum(*(without(values, i) for values in (inputs, targets)), rule)
            found = max(found, float((whole.total - rest.total).norm()) / whole.sensitivity)
    return found


SMALL = [Flat(1e-3), PerLayer(1e-3), Automatic(1e-3), Adaptive(1e-3)]  # below every gradient
ALL_KINDS = [BookKeeping, VmapClipping, CompiledBookKeeping]


@pytest.mark.sweep(every=5, slow=("BookKeeping-attention",))
@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["mlp", "image", "attention"])
@pytest.mark.parametrize("kind", ALL_KINDS)
def test_removing_any_example_moves_the_sum_by_at_most_the_sensitivity(
    kind: type[BookKeeping], name: str, half: bool
) -> None:
    """On any processor, whatever a row's place does to its bits: first, last and middle ones, batches of many sizes."""
    shapes = [(50, 51), (16, 33), (16, 2), (64, 64)]
    for rows, examples in shapes[:1] if kind is CompiledBookKeeping else shapes:  # tracing takes seconds
        found = farthest(made(kind, name, rows, half), SMALL[(rows + examples) % 4], name, examples, range(2))
        assert 0.9 < found <= 1.0


@pytest.mark.sweep(every=5, slow=("2-VmapClipping",))
@pytest.mark.parametrize("rule", SMALL, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("seeds", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_by_every_rule_and_in_large_batches_too(kind: type[BookKeeping], rule: Flat, seeds: int) -> None:
    for rows, examples in ((50, 300), (300, 300)):
        assert 0.9 < farthest(made(kind, "mlp", rows), rule, "mlp", examples, range(seeds)) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", BOOK_KEPT)
def test_nor_in_a_long_search(name: str, half: bool) -> None:
    for rule in SMALL:
        for rows, examples in ((16, 17), (50, 128), (257, 257)):
            assert farthest(made(BookKeeping, name, rows, half), rule, name, examples, range(30)) <= 1.0


@pytest.mark.slow
def test_nor_in_machine_code() -> None:
    engine = CompiledBookKeeping(BookKeeping(model("mlp"), 50))
    assert 0.9 < farthest(engine, Flat(1e-3), "mlp", 300, range(20)) <= 1.0


@both
def test_an_empty_batch_is_a_sum_of_zeros(kind: Kind) -> None:
    empty = clipped(kind, "mlp", *batch("mlp", 0), clip_norm=2.0)
    assert empty.total.shape == (sum(p.numel() for p in model("mlp").parameters()),)
    assert float(empty.total.abs().max()) == 0
    assert (empty.sensitivity, empty.facts.drawn) == (2.0, 0)
    assert float(engine(kind, "mlp").clipped_sum(*batch("mlp", 0), Adaptive(1.0)).total.abs().max()) == 0


@both
def test_what_is_not_finite_is_left_out_and_counted(kind: Kind) -> None:
    for name in ("mlp", "image", "ghost"):
        inputs, targets = batch(name, 6)
        inputs[1].view(-1)[0], inputs[4] = float("nan"), float("inf")
        whole = clipped(kind, name, inputs, targets)
        kept = torch.tensor([0, 2, 3, 5])
        alone = clipped(kind, name, inputs[kept], targets[kept])
        assert float((whole.total - alone.total).norm()) < 1e-6
        assert (whole.facts.drawn, float(whole.facts.dropped)) == (6, 2)
        assert float(whole.facts.loss) == pytest.approx(float(alone.facts.loss))


@both
def test_a_zero_gradient_stays_zero(kind: Kind) -> None:
    """Inputs of zero and a model without bias give no gradient at all; 0 / 0 must not appear."""
    made = kind(nn.Linear(6, CLASSES, bias=False), 4)
    for rule in (Flat(1.0), PerLayer(1.0), Automatic(1.0)):
        whole = made.clipped_sum(torch.zeros(3, 6), torch.zeros(3, dtype=torch.int64), rule)
        assert float(whole.total.abs().max()) == 0
        assert float(whole.facts.dropped) == 0


@both
def test_a_duplicate_counts_as_another_example(kind: Kind) -> None:
    inputs, targets = batch("mlp", 1)
    twice = clipped(kind, "mlp", inputs.repeat(2, 1), targets.repeat(2), 0.3).total
    assert torch.allclose(twice, 2 * clipped(kind, "mlp", inputs, targets, 0.3).total, rtol=1e-6)


@both
def test_large_gradients_have_norm_clip_norm_and_small_ones_are_left_alone(kind: Kind) -> None:
    inputs, targets = batch("mlp", 1)
    true_norm = float(clipped(kind, "mlp", inputs, targets, 1e9).total.norm())
    cut = clipped(kind, "mlp", inputs, targets, true_norm / 10)
    assert true_norm / 10 * (1 - 0.002) < float(cut.total.norm()) <= true_norm / 10
    assert float(cut.facts.clipped) == 1
    whole = clipped(kind, "mlp", inputs, targets, true_norm * 1.01)
    assert float(whole.total.norm()) == pytest.approx(true_norm, rel=1e-12)
    assert float(whole.facts.clipped) == 0


def test_training_goes_on_after_clipping() -> None:
    """Book-keeping freezes parameters and listens to layers for a while, and must leave nothing of it behind."""
    net = model("frozen")
    net[3].forward = net[3].forward  # an own one, as some libraries put there
    own = net[3].forward
    before = [p.requires_grad for p in net.parameters()]
    BookKeeping(net, 4).clipped_sum(*batch("frozen", 3), Flat(1.0))
    assert [p.requires_grad for p in net.parameters()] == before
    assert not any(layer._forward_hooks for layer in net.modules())
    assert [layer for layer in net.modules() if "forward" in vars(layer)] == [net[3]]
    assert net[3].forward is own


def squares(rows: Tensor) -> Tensor:
    return squared_norms([Lengths(norms(rows), rows.shape[1])])[0]


def test_norms_of_long_rows_and_of_numbers_that_float32_cannot_square() -> None:
    for numbers in (1, 1023, 1024, 1025, 5000):
        rows = torch.randn(3, numbers)
        assert squares(rows).tolist() == pytest.approx(rows.double().square().sum(1).tolist(), rel=1e-5)
    tiny, huge = torch.full((1, 2000), 1e-30), torch.full((1, 2000), 1e30)
    assert float(squares(tiny)) >= 2000 * 1e-60
    assert float(squares(huge)) == float("inf")


@pytest.mark.sweep(every=3, slow=("image-VmapClipping",))
@both
@pytest.mark.parametrize("name", ["mlp", "image", "series", "attention"])
def test_bfloat16_changes_digits_and_not_the_bound(kind: Kind, name: str) -> None:
    made, exact = kind(model(name), 8), kind(model(name), 8)
    made.half = True
    inputs, targets = batch(name, 12)
    clip_norm = 1e-3  # short enough to shorten every gradient
    ours, theirs = (one.clipped_sum(inputs, targets, Flat(clip_norm)).total for one in (made, exact))
    assert ours.dtype == torch.float64
    assert 0 < float((ours - theirs).norm()) < 0.1 * float(theirs.norm())
    for i in range(12):
        alone = made.clipped_sum(inputs[i : i + 1], targets[i : i + 1], Flat(clip_norm)).total
        assert clip_norm * (1 - 1.5 * ROUND_OFF) < float(alone.norm()) <= clip_norm * (1 - ROUND_OFF / 2)


@both
@pytest.mark.parametrize("seeds", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_in_bfloat16_too_no_example_moves_the_sum_by_more_than_the_sensitivity(kind: Kind, seeds: int) -> None:
    made = kind(model("mlp"), 8)
    made.half = True
    for seed in range(seeds):
        inputs, targets = batch("mlp", 12, seed)
        inputs[0, 0], inputs[1, 1], inputs[2] = float("nan"), 3e38, inputs[3]
        whole = made.clipped_sum(inputs, targets, Flat(0.1))
        for i in range(12):
            rest = made.clipped_sum(*(without(values, i) for values in (inputs, targets)), Flat(0.1))
            assert float((whole.total - rest.total).norm()) <= whole.sensitivity


@pytest.fixture
def rough_products() -> Iterator[None]:
    """What a program may have asked torch for, which goes for every product in it."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("rough_products")
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("width", [10, 512])
def test_products_are_whole_whatever_the_program_allows(width: int, autocast: bool) -> None:
    """Numbers just above the middle between two of 8 bits: rounded, each grows by half a last place, and so the sum."""
    net = nn.Linear(512, width)
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    made = BookKeeping(net, 64)
    made.half = autocast
    inputs, targets = torch.full((64, 512), 1 + 2.0**-8 + 2.0**-12), torch.zeros(64, dtype=torch.int64)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        whole, rest = (made.clipped_sum(inputs[i:], targets[i:], Flat(1e-3)) for i in (0, 1))
    moved = float((whole.total - rest.total).norm())
    assert 0.99e-3 < moved <= whole.sensitivity
    assert torch.get_float32_matmul_precision() == "medium"
