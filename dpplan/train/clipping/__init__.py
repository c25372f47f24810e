"""Per-example gradients, clipped and summed: the one place where an example's influence is bounded.

    chosen = choose(model, "auto", physical_batch=64, example=inputs[0])
    chosen.engine.clipped_sum(inputs, targets, rule_for(privacy)) -> ClippedSum

A ClippedSum carries the sensitivity it was clipped to, so that the noise reads it instead of being told.

    rules       how far each example is clipped: flat, per-layer, automatic, adaptive
    summands    per-example gradients of one parameter, in the cheapest form
    layers      from a layer's input and output gradient to summands
    bookkeeping, vmap   the two engines
    compiled    the first of them as machine code
    choice      which of them, and why
    arithmetic  whether an example counts with the same bits wherever it stands, on this machine
"""

from dpplan.train.clipping.arithmetic import Arithmetic, tried
from dpplan.train.clipping.bookkeeping import BookKeeping
from dpplan.train.clipping.choice import Chosen, choose
from dpplan.train.clipping.rules import ClippingRule, rule_for
from dpplan.train.clipping.sums import BatchFacts, ClippedSum, ClippingEngine
from dpplan.train.clipping.vmap import VmapClipping

__all__ = [
    "Arithmetic",
    "BatchFacts",
    "BookKeeping",
    "Chosen",
    "ClippedSum",
    "ClippingEngine",
    "ClippingRule",
    "VmapClipping",
    "choose",
    "rule_for",
    "tried",
]
