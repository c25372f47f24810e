"""Per-example gradients, clipped and summed: the one place where an example's influence is bounded.

    chosen = choose(model, "auto", physical_batch=64, example=inputs[0])
    chosen.engine.clipped_sum(inputs, targets, rule_for(privacy)) -> ClippedSum

A ClippedSum carries the sensitivity it was clipped to, so that the noise reads it instead of being told.

    rules                   how far each example is clipped: flat, per-layer, automatic, adaptive
    precision               in which the model runs, and in which its gradients are clipped
    gradient_forms          per-example gradients of one parameter, in the cheapest form
    layer_gradients         from a layer's input and output gradient to such forms
    clip_weights            from norms to weights, the same for every engine
    engine_interface        pieces of a batch, and a sum that knows its sensitivity
    engines/                book-keeping and vmap, each also behind a wall or one example at a time; as machine code
    isolation/              whether examples can meet in a model, and whether it remembers them
    model_trial             what trying a model on random inputs tells
    engine_choice           which engine, and why
    floating_point_trial    whether an example counts with the same bits wherever it stands, on this machine
"""

from dpplan.train.clipping.engine_choice import Chosen, Isolation, as_compiled, choose
from dpplan.train.clipping.engine_interface import BatchFacts, ClippedSum, ClippingEngine
from dpplan.train.clipping.engines.bookkeeping import BookKeeping
from dpplan.train.clipping.engines.vmap import VmapClipping
from dpplan.train.clipping.floating_point_trial import Arithmetic, tried
from dpplan.train.clipping.rules import ClippingRule, rule_for

__all__ = [
    "Arithmetic",
    "BatchFacts",
    "BookKeeping",
    "Chosen",
    "ClippedSum",
    "ClippingEngine",
    "ClippingRule",
    "Isolation",
    "VmapClipping",
    "as_compiled",
    "choose",
    "rule_for",
    "tried",
]
