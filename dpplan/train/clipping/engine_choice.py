"""Which engine clips this model, and why. What no engine can clip is refused here, before the first step.

chosen = choose(model, runtime.engine, physical_batch, example)
chosen.engine, chosen.name, chosen.reason       # reason: why not book-keeping; "" when it is
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dpplan.errors import RecipeError
from dpplan.train.clipping.engine_interface import ClippingEngine
from dpplan.train.clipping.engines.bookkeeping import BookKeeping
from dpplan.train.clipping.engines.isolated_bookkeeping import IsolatedBookKeeping
from dpplan.train.clipping.engines.one_at_a_time import OneAtATime
from dpplan.train.clipping.engines.vmap import VmapClipping
from dpplan.train.clipping.isolation.refusal_messages import forgetting
from dpplan.train.clipping.isolation.replaced_functions import replaced_beneath
from dpplan.train.clipping.isolation.row_independent_layers import keeps_rows_apart
from dpplan.train.clipping.model_trial import Engine, Trial
from dpplan.train.clipping.precision import EXACT


@dataclass(frozen=True, slots=True)
class Isolation:
    """How it is known that no example sees another. kind: structural or tested. why: what that rests on."""

    kind: str
    why: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.why}"


IN_VMAP = Isolation("structural", "each example runs inside vmap, where there is no other")
KNOWN = Isolation("tested", "every layer is known to keep examples apart, and did so on random inputs")
NOTHING_TO_TRAIN = (
    "has no parameter to train: all are frozen, or there are none. Leave requires_grad True where it is to learn."
)
ALONE = Isolation("tested", "each example is a batch of its own; random inputs left nothing behind in the model")


@dataclass(frozen=True, slots=True)
class Chosen:
    """An engine and its name. isolation: how examples are kept apart. reason: why not book-keeping, "" when it is.

    scores: how many the model gives each example, one for each class that it can tell apart.
    """

    engine: ClippingEngine
    name: str
    isolation: Isolation
    reason: str = ""
    scores: int = 0

    def __str__(self) -> str:
        return f"{self.name}, because {self.reason}" if self.reason else self.name


def choose(
    model: nn.Module, wanted: str, physical_batch: int, example: Tensor, views: int = 1, half: bool = False
) -> Chosen:
    """The engine for this model: book-keeping where it is right, else vmap. wanted: auto, book-keeping or vmap.

    A model of known layers is book-kept as it is; one with code of its own behind a wall, inside vmap; and where vmap
    cannot run it, or it brings rules of its own for vmap, one example is taken at a time.

    example: any one input; only its shape and type are looked at. half: whether the run is in bfloat16. What comes back
    has been tried on random inputs, see `Trial`, on the CPU and as the run does it. Raises RecipeError for what cannot
    be clipped, or not by the engine that was asked for.
    """
    if mixing := list(mixers(model)):
        raise RecipeError(mixing)
    known = keeps_rows_apart(model)
    trial = Trial(model, example, views, thorough=not known)
    reason = "runtime.engine asks for it"
    if wanted != "vmap":
        kind = BookKeeping if known else IsolatedBookKeeping
        reason = trial.against_book_keeping(model) or _against(kind, trial, model, half)
        if not reason:
            isolation = KNOWN if known else IN_VMAP
            return Chosen(kind(model, physical_batch, views), "book-keeping", isolation, scores=trial.classes)
        if wanted == "book-keeping":
            raise RecipeError(f"runtime.engine=book-keeping cannot clip this model: {reason}. Use engine: auto.")
    against = _against(VmapClipping, trial, model, half)
    if not against:
        return Chosen(VmapClipping(model, physical_batch, views), "vmap", IN_VMAP, reason, trial.classes)
    if wanted == "vmap":
        raise RecipeError(f"runtime.engine=vmap cannot clip this model: {against}. Use engine: auto.")
    if hidden := trial.hidden(model):
        raise RecipeError(f"model: runs one example at a time (under vmap: {against}), and {hidden}")
    if against_all := trial.disagreement(OneAtATime) or trial.rehearsal(OneAtATime, model, half):
        raise RecipeError(f"model: its per-example gradients cannot be had: {against_all}.")
    if trial.custom.unseen:
        raise RecipeError(
            f"model: runs one example at a time (under vmap: {against}), and {forgetting(sorted(trial.custom.unseen))}"
        )
    made = OneAtATime(model, physical_batch, views)
    return Chosen(made, "one example at a time", ALONE, f"under vmap: {against}", trial.classes)


def glance(model: nn.Module, example: Tensor, views: int = 1) -> int:
    """How many scores it gives. Raises RecipeError, within a second, for what `choose` would refuse by a layer's name
    or because it fails."""
    if mixing := list(mixers(model)):
        raise RecipeError(mixing)
    return Trial(model, example, views, thorough=True, glance=True).classes


def _against(engine: Engine, trial: Trial, model: nn.Module, half: bool) -> str:
    """Why this engine, which works inside vmap or knows all layers, is not for this model; "" when it is."""
    return trial.disagreement(engine) or str(trial.custom) or trial.rehearsal(engine, model, half)


def as_compiled(chosen: Chosen) -> Chosen:
    """The same engine, compiled at its first sum. Raises RecipeError where there is nothing to compile."""
    from dpplan.train.clipping.engines.compiled_bookkeeping import CompiledBookKeeping  # brings a compiler with it

    if not isinstance(chosen.engine, BookKeeping):
        raise RecipeError(f"runtime.compile is for book-keeping; this model gets {chosen}. Remove compile.")
    return dataclasses.replace(chosen, engine=CompiledBookKeeping(chosen.engine), name=f"{chosen.name}, compiled")


def mixers(model: nn.Module) -> Iterator[str]:
    """A sentence for every layer in which one example sees others, or which cannot be clipped for other reasons."""
    if not any(p.requires_grad for p in model.parameters()):
        yield f"model: {NOTHING_TO_TRAIN}"
    for function in replaced_beneath():
        yield (
            f"model: {function} is no longer torch's, and clipping is computed with it. Leave it as it is; let the "
            "model call a function of another name."
        )
    for name, layer in model.named_modules():
        kind = type(layer).__name__
        where = f"model: layer '{name}' is a {kind}" if name else f"model: is a {kind}"
        if any(is_lazy(p) for p in layer.parameters(recurse=False)):
            yield f"{where} whose shape is not known yet. Build it with its full shape."
        elif empty := [key for key, p in layer.named_parameters(recurse=False) if not p.numel()]:
            yield f"{where} whose parameter '{empty[0]}' has no numbers. Leave it out, or register it as a buffer."
        elif hooked := [key for key, p in layer.named_parameters(recurse=False) if p.requires_grad and _hooked(p)]:
            yield (
                f"{where} whose parameter '{hooked[0]}' has a hook of its own (register_hook), which the gradient of "
                "one example does not pass through. Remove it: clipping takes its place."
            )
        elif rough := {str(p.dtype) for p in layer.parameters(recurse=False)} - {str(dtype) for dtype in EXACT}:
            yield f"{where} with parameters of {', '.join(sorted(rough))}. Use float32: its round-off is accounted for."
        elif isinstance(layer, nn.modules.instancenorm._InstanceNorm):
            if layer.training and layer.track_running_stats:
                yield f"{where} that keeps running statistics of private data. Use track_running_stats=False."
        elif isinstance(layer, nn.modules.batchnorm._BatchNorm):
            if layer.training or layer.running_mean is None:
                yield (
                    f"{where}, which normalises each example by the others in its batch, so that no example's "
                    "influence is bounded. Use GroupNorm or LayerNorm; one with statistics of public data may stay in "
                    "eval mode: call its eval() where the model is built, or in the model's train()."
                )
        elif isinstance(layer, nn.Embedding | nn.EmbeddingBag):
            if layer.max_norm is not None:
                yield f"{where} with max_norm, which changes weights by which words were drawn. Remove max_norm."
            if layer.scale_grad_by_freq:
                yield f"{where} with scale_grad_by_freq, which counts words over the batch. Remove it."
            if layer.sparse:
                yield f"{where} with sparse=True, but noise goes to every word. Remove sparse."


def _hooked(p: Tensor) -> bool:
    return any(getattr(p, kind, None) for kind in ("_backward_hooks", "_post_accumulate_grad_hooks"))
