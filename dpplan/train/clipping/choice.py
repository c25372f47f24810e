"""Which engine clips this model, and why. What no engine can clip is refused here, before the first step.

chosen = choose(model, runtime.engine, physical_batch, example)
chosen.engine, chosen.name, chosen.reason       # reason: why not book-keeping; "" when it is
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parameter import is_lazy

from dpplan.errors import NotApplicable, RecipeError
from dpplan.train.clipping.bookkeeping import BookKeeping
from dpplan.train.clipping.layers import RULES
from dpplan.train.clipping.precision import EXACT
from dpplan.train.clipping.rules import Flat
from dpplan.train.clipping.sums import ClippingEngine
from dpplan.train.clipping.vmap import VmapClipping

PROBES = 3  # examples in the trial; not a likely size of any other dimension
# In float64, engines and reference differ by round-off only, while a wrong norm or a wrong sum is wrong in its
# first digits.
AGREEMENT = 1e-8


@dataclass(frozen=True, slots=True)
class Chosen:
    """An engine and its name. reason: why it is not book-keeping, "" when it is."""

    engine: ClippingEngine
    name: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.name}, because {self.reason}" if self.reason else self.name


def choose(model: nn.Module, wanted: str, physical_batch: int, example: Tensor, views: int = 1) -> Chosen:
    """The engine for this model: book-keeping where it is right, else vmap. wanted: auto, book-keeping or vmap.

    example: any one input; only its shape and type are looked at. What comes back has been tried on random inputs,
    in float64 and against one example at a time, so a model with a twist that no rule knows of (a weight that is
    also used by hand) goes to vmap. Raises RecipeError for what cannot be clipped, or not by the engine that was
    asked for.
    """
    if mixing := list(mixers(model)):
        raise RecipeError(mixing)
    trial = Trial(model, example, views)
    reason = "runtime.engine asks for it"
    if wanted != "vmap":
        reason = trial.against_book_keeping(model)
        if not reason:
            return Chosen(BookKeeping(model, physical_batch, views), "book-keeping")
        if wanted == "book-keeping":
            raise RecipeError(f"runtime.engine=book-keeping cannot clip this model: {reason}. Use engine: auto.")
    if disagreement := trial.disagreement(VmapClipping):
        raise RecipeError(f"model: its per-example gradients cannot be had: {disagreement}.")
    return Chosen(VmapClipping(model, physical_batch, views), "vmap", reason)


def compiled(chosen: Chosen) -> Chosen:
    """The same engine, compiled at its first sum. Raises RecipeError where there is nothing to compile."""
    from dpplan.train.clipping.compiled import CompiledBookKeeping  # brings a compiler with it

    if not isinstance(chosen.engine, BookKeeping):
        raise RecipeError(f"runtime.compile is for book-keeping; this model gets {chosen}. Remove compile.")
    return Chosen(CompiledBookKeeping(chosen.engine), f"{chosen.name}, compiled")


def mixers(model: nn.Module) -> Iterator[str]:
    """A sentence for every layer in which one example sees others, or which cannot be clipped for other reasons."""
    for name, layer in model.named_modules():
        kind = type(layer).__name__
        where = f"model: layer '{name}' is a {kind}" if name else f"model: is a {kind}"
        if any(is_lazy(p) for p in layer.parameters(recurse=False)):
            yield f"{where} whose shape is not known yet. Build it with its full shape."
        elif rough := {str(p.dtype) for p in layer.parameters(recurse=False)} - {str(dtype) for dtype in EXACT}:
            yield f"{where} with parameters of {', '.join(sorted(rough))}. Use float32: its round-off is accounted for."
        elif isinstance(layer, nn.modules.batchnorm._BatchNorm):
            yield (
                f"{where}, which normalises each example by the others in its batch, so that no example's influence "
                "is bounded. Use GroupNorm or LayerNorm."
            )
        elif isinstance(layer, nn.modules.instancenorm._InstanceNorm) and layer.track_running_stats:
            yield f"{where} that keeps running statistics of private data. Use track_running_stats=False."
        elif isinstance(layer, nn.Embedding | nn.EmbeddingBag):
            if layer.max_norm is not None:
                yield f"{where} with max_norm, which changes weights by which words were drawn. Remove max_norm."
            if layer.scale_grad_by_freq:
                yield f"{where} with scale_grad_by_freq, which counts words over the batch. Remove it."


class Trial:
    """Engines against one example at a time, in float64 on the CPU, on random inputs that no data were needed for."""

    def __init__(self, model: nn.Module, example: Tensor, views: int) -> None:
        self.model = copy.deepcopy(model).cpu().double()
        if any(map(_drops_out, model.modules())):
            self.model.eval()  # dropout would differ between any two passes
        self.views = views
        self.inputs = _random_inputs(self.model, example, views)
        try:
            self.targets = torch.arange(PROBES) % self._classes()
            self.gradients = torch.stack([self._alone(x, y) for x, y in zip(self.inputs, self.targets, strict=True)])
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            shape = tuple(self.inputs.shape)
            raise RecipeError(f"model: fails on {PROBES} random inputs of shape {shape}: {_brief(error)}.") from error

    def against_book_keeping(self, model: nn.Module) -> str:
        """Why book-keeping is not for this model; "" when it is."""
        names = {layer: name or type(layer).__name__ for name, layer in model.named_modules()}
        if any(p.device.type == "mps" for p in model.parameters()):
            return "Apple's GPUs have no float64"
        for layer, name in names.items():
            if any(p.requires_grad for p in layer.parameters(recurse=False)) and type(layer) not in RULES:
                return f"layer '{name}' is a {type(layer).__name__}"
        seen: dict[int, str] = {}
        for name, p in model.named_parameters(remove_duplicate=False):
            if seen.setdefault(id(p), name) != name:
                return f"'{name}' is the same parameter as '{seen[id(p)]}'"
        return self.disagreement(BookKeeping)

    def disagreement(self, engine: type[BookKeeping] | type[VmapClipping]) -> str:
        """What is wrong with this engine's clipped sum; "" when nothing is."""
        norms = self.gradients.norm(dim=1)
        rule = Flat(float(norms.median()) or 1.0)  # so that some are shortened and some are not
        try:
            found = engine(self.model, PROBES + 1, self.views).clipped_sum(self.inputs, self.targets, rule)
        except NotApplicable as error:
            return str(error)
        except Exception as error:  # a model of the user's may raise anything under vmap or a hook
            if "in-place operation" in str(error):
                return "the output of a layer is changed in place"
            return _brief(error)
        wanted = (torch.clamp(rule.bound / norms, max=1.0).unsqueeze(1) * self.gradients).sum(0)
        apart = float((found.total - wanted).norm())
        if not apart <= AGREEMENT * rule.bound:
            return "on trial inputs it disagreed with one example at a time"
        return ""

    def _classes(self) -> int:
        """The number of classes. Raises RecipeError when scores are not one row for each example, of its own."""
        rows = self.inputs.flatten(0, 1) if self.views > 1 else self.inputs
        with torch.no_grad():
            together, alone = self.model(rows), self.model(rows[:1])
        if not isinstance(together, Tensor) or together.dim() != 2 or len(together) != len(rows):
            shape = tuple(together.shape) if isinstance(together, Tensor) else type(together).__name__
            raise RecipeError(f"model: turns {len(rows)} examples into {shape}, not into a row of scores for each.")
        if not torch.allclose(together[:1], alone, rtol=AGREEMENT, atol=AGREEMENT):
            raise RecipeError(
                "model: scores an example differently when others are in its batch, so that no example's influence is "
                "bounded. Let no example see another."
            )
        return together.shape[1]

    def _alone(self, x: Tensor, y: Tensor) -> Tensor:
        trained = [p for p in self.model.parameters() if p.requires_grad]
        logits = self.model(x if self.views > 1 else x.unsqueeze(0))
        loss = cross_entropy(logits, y.expand(self.views))
        gradients = torch.autograd.grad(loss, trained, allow_unused=True, materialize_grads=True)
        return torch.cat([g.flatten() for g in gradients])


def _random_inputs(model: nn.Module, example: Tensor, views: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (PROBES, *((views,) if views > 1 else ()), *example.shape)
    if example.is_floating_point():
        return torch.randn(shape, generator=generator, dtype=torch.float64)
    tables = [layer.num_embeddings for layer in model.modules() if isinstance(layer, nn.Embedding)]
    return torch.randint(min(tables, default=2), shape, generator=generator, dtype=example.dtype)


def _brief(error: Exception) -> str:
    first = (str(error).splitlines() or [""])[0].rstrip(".")
    return f"{type(error).__name__}: {first[:80]}"


def _drops_out(layer: nn.Module) -> bool:
    rate = layer.p if isinstance(layer, nn.modules.dropout._DropoutNd) else getattr(layer, "dropout", 0.0)
    return isinstance(rate, float | int) and rate > 0
