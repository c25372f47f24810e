"""Book-keeping: the clipped sum from one backward pass, without forming per-example gradients where they are large.

Bu, Wang, Zha, Karypis 2022 (arXiv 2210.00038). Parameters are frozen, so that autograd goes from the losses to the
outputs of the layers and no further. From each layer's input and the gradient at its output come the norms, then,
with the weights that clipping gives the examples, the sum: one backward pass, one matrix product per layer.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dpplan.errors import NotApplicable
from dpplan.train.clipping.clip_weights import ClipWeights, PieceSum, gather, weigh
from dpplan.train.clipping.engine_interface import ClippedSum, Piece, pieces
from dpplan.train.clipping.gradient_forms import GradientForm, squared_norms
from dpplan.train.clipping.layer_gradients import RULES, GradientForms
from dpplan.train.clipping.precision import EXACT, ROUGH, exactly, in_half, whole_products
from dpplan.train.clipping.rules import ClippingRule
from dpplan.train.losses import losses_of_all


@dataclass(frozen=True, slots=True)
class Call:
    """One layer at work: what it saw and gave, with their version counters at that time."""

    layer: nn.Module
    inputs: Tensor
    output: Tensor
    versions: tuple[int, int]


class Tape:
    """Records the one call of each layer while a model runs; refuses what book-keeping would get wrong."""

    def __init__(self, names: dict[nn.Module, str]) -> None:
        self.names = names
        self.calls: dict[nn.Module, Call] = {}
        self.rows, self.half = 0, False

    @contextmanager
    def attached(self) -> Iterator["Tape"]:
        """Inside, the tape listens to its layers. Their `forward` is put aside, which is faster than hooks are."""
        before = {layer: layer.__dict__.get("forward") for layer in self.names}
        try:
            for layer in self.names:
                layer.__dict__["forward"] = functools.partial(self._call, layer, layer.forward)
            yield self
        finally:
            for layer, own in before.items():
                layer.__dict__.pop("forward", None)
                if own is not None:
                    layer.__dict__["forward"] = own

    def record(
        self, model: Callable[[Tensor], Tensor], rows: Tensor, half: bool = False
    ) -> tuple[Tensor, dict[nn.Module, Call]]:
        """What the model makes of these rows, and the calls of its layers, each checked. half: see `precision`."""
        self.rows, self.calls, self.half = len(rows), {}, half
        with torch.enable_grad(), in_half(rows.device, half):
            logits = model(rows)
        calls, self.calls = self.calls, {}
        for layer, call in calls.items():
            if (call.inputs._version, call.output._version) != call.versions:
                raise self._refusal(layer, "has its input or output changed in place")
        return logits, calls

    def _call(self, layer: nn.Module, forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        output = forward(*args, **kwargs)
        if layer in self.calls:
            raise self._refusal(layer, "is called twice in one forward pass")
        if len(args) != 1 or kwargs or not isinstance(output, Tensor):
            raise self._refusal(layer, "is not called with one tensor")
        inputs = args[0]
        if inputs.shape[:1] != (self.rows,) or output.shape[:1] != (self.rows,):
            raise self._refusal(layer, "sees a first dimension that is not the batch")
        allowed = ROUGH if self.half else EXACT
        if output.dtype not in allowed or (inputs.is_floating_point() and inputs.dtype not in allowed):
            raise self._refusal(layer, f"works in {output.dtype}, for whose round-off no margin is left")
        if not output.requires_grad:
            output.requires_grad_()  # with frozen parameters, the first layers have nothing that asks for a gradient
        self.calls[layer] = Call(layer, inputs.detach(), output, (inputs._version, output._version))
        return output

    def _refusal(self, layer: nn.Module, what: str) -> NotApplicable:
        return NotApplicable(f"layer '{self.names[layer]}' {what}")


class BookKeeping:
    """Clipping by book-keeping, for models whose trained parameters all belong to layers with a rule.

    Guarantee: adding or removing one example moves the sum by at most the rule's sensitivity (L2).

    | example                    | what enters the sum                            |
    |----------------------------|------------------------------------------------|
    | gradient                   | the gradient times the weight of the rule      |
    | gradient has NaN or inf    | nothing; counted as dropped                    |
    | the same example twice     | twice: each copy is an example                 |
    | no example at all          | zeros                                          |

    views: rows of a batch that belong to one example; their gradients are averaged before clipping.
    """

    def __init__(self, model: nn.Module, physical_batch: int, views: int = 1) -> None:
        self.model = model
        self.physical_batch = physical_batch
        self.views = views
        self.watched, self.half = True, False
        trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        self.parameters = [p for _, p in trained]
        self.size = sum(p.numel() for p in self.parameters)
        self.layers = {layer: name for name, layer in model.named_modules() if _trained(layer)}
        self.starts = _starts(self.layers, self.parameters)
        ends = list(itertools.accumulate(p.numel() for p in self.parameters))
        self.numbers = {end - p.numel(): p.numel() for p, end in zip(self.parameters, ends, strict=True)}

    def clipped_sum(self, inputs: Tensor, targets: Tensor, rule: ClippingRule, first: bool = True) -> ClippedSum:
        with _frozen(self.parameters), self.tape() as tape:
            cut = pieces(inputs, targets, self.physical_batch, first)
            return gather((self.of_piece(self.model, piece, rule, tape) for piece in cut), self.size, inputs, rule)

    def tape(self) -> AbstractContextManager[Tape]:
        """Inside, what the layers do is recorded."""
        return Tape(self.layers).attached()

    def of_piece(
        self,
        model: Callable[[Tensor], Tensor],
        piece: Piece,
        rule: ClippingRule,
        tape: Tape,
        ask: bool = True,
    ) -> PieceSum:
        """The clipped sum of one piece. model: ours, possibly with other tensors for its parameters."""
        forms, losses, logits = self._forms(model, piece, tape)
        weighed = weigh(_squares(forms, losses), losses, logits, piece, rule, ask, self.watched)
        with whole_products(losses.device):
            parts = self._sums(forms, weighed)
        for start, size in self.numbers.items():  # of layers that were not used
            if start not in parts:
                parts[start] = losses.new_zeros(size)
        return PieceSum(torch.cat([parts[start] for start in self.numbers]), weighed.extra, weighed.facts)

    def _sums(self, forms: dict[nn.Module, GradientForms], weighed: ClipWeights) -> dict[int, Tensor]:
        """Where a parameter begins in the flat gradient -> the weighted sum of its gradients."""
        weights = {dtype: weighed.weights.to(dtype) for dtype in {s.dtype for _, s in _each(forms)}}
        parts: dict[int, Tensor] = {}
        for row, (layer, of_layer) in enumerate(forms.items()):
            for form in of_layer:
                usable = form if weighed.finite or weighed.kept is None else form.where(weighed.kept)
                sums = usable.weighted_sums(weights[form.dtype][row if len(weighed.weights) > 1 else 0])
                parts |= zip((self.starts[layer][name] for name in form.names), sums, strict=True)
        return parts

    def _forms(
        self, model: Callable[[Tensor], Tensor], piece: Piece, tape: Tape
    ) -> tuple[dict[nn.Module, GradientForms], Tensor, Tensor]:
        """Per-example gradients of every layer, and losses (examples,) and logits (rows, classes)."""
        rows, examples, targets = piece.rows(self.views), len(piece.targets), piece.targets
        logits, recorded = tape.record(model, rows, self.half)
        logits = exactly(logits)
        losses = losses_of_all(logits, targets, self.views)
        found: dict[nn.Module, GradientForms] = {layer: [] for layer in self.layers}  # stays so for what leads nowhere
        inputs = {layer: call.inputs for layer, call in recorded.items()}

        def came_back(layer: nn.Module, gradient: Tensor) -> None:
            seen = exactly(inputs.pop(layer))  # let go of here, while autograd lets go of the rest
            found[layer] = RULES[type(layer)](layer, seen, exactly(gradient), examples, tuple(self.starts[layer]))

        leaves = []  # whatever has a gradient hangs on these
        while recorded:
            layer, call = recorded.popitem()
            call.output.register_hook(functools.partial(came_back, layer))  # type: ignore[no-untyped-call]
            if call.output.is_leaf:
                leaves.append(call.output)
        del call
        if leaves:
            torch.autograd.grad(losses, leaves, torch.ones_like(losses), allow_unused=True)
        return found, losses.detach(), logits.detach()


def _squares(forms: dict[nn.Module, GradientForms], losses: Tensor) -> Tensor:
    """(layers, examples): the squared norms over all parameters of each layer; zeros for a layer that was not used."""
    every = [form.lengths for _, form in _each(forms)]
    if not every:
        return losses.new_zeros(len(forms), len(losses), dtype=torch.float64)
    squares, counts = squared_norms(every), [len(of_layer) for of_layer in forms.values()]
    return squares if set(counts) == {1} else torch.stack([part.sum(0) for part in torch.split(squares, counts)])


def _each(forms: dict[nn.Module, GradientForms]) -> Iterator[tuple[nn.Module, GradientForm]]:
    return ((layer, form) for layer, of_layer in forms.items() for form in of_layer)


def _trained(layer: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in layer.named_parameters(recurse=False) if p.requires_grad]


def _starts(layers: dict[nn.Module, str], parameters: list[nn.Parameter]) -> dict[nn.Module, dict[str, int]]:
    """Where each trained parameter of each layer begins in the flat gradient."""
    ends = itertools.accumulate(p.numel() for p in parameters)
    starts = {id(p): end - p.numel() for p, end in zip(parameters, ends, strict=True)}
    return {layer: {name: starts[id(p)] for name, p in _trained(layer)} for layer in layers}


@contextmanager
def _frozen(parameters: list[nn.Parameter]) -> Iterator[None]:
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
