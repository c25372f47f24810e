"""What came of a run: accuracies on the held-out examples, in pieces that fit where the training did.

All of it comes after the model and what it cost are on disk, and none of it can take them away.
"""

from dataclasses import dataclass

import torch
from torch import nn

from dpplan.train.clipping.model_trial import plain_scores
from dpplan.train.data import Split

MOST = 4096  # examples at a time; more are no faster


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Fractions of the held-out examples; None where there was nothing to measure. failed: why, "" when nothing did."""

    held_out: float | None = None
    nonprivate: float | None = None
    failed: str = ""


NOT_YET = Evaluation(failed="the run ended before its last evaluation did")


def accuracy(model: nn.Module, split: Split, piece: int = MOST) -> float:
    """The fraction of the examples that the model classifies right.

    piece: how many to look at together. When they do not fit into memory, half of them are tried, down to one.
    """
    model.eval()
    piece = max(1, min(piece, MOST))
    while True:
        try:
            return _accuracy(model, split, piece)
        except (MemoryError, RuntimeError) as error:
            if piece == 1 or not out_of_memory(error):
                raise
        piece //= 2  # outside of the handler, which keeps alive what did not fit
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _accuracy(model: nn.Module, split: Split, piece: int) -> float:
    with torch.no_grad():  # on copies, since a model may write into what it is given
        pieces = zip(torch.split(split.inputs, piece), torch.split(split.targets, piece), strict=True)
        right = [(plain_scores(model(inputs.clone())).argmax(1) == targets).sum() for inputs, targets in pieces]
    return float(torch.stack(right).sum()) / split.examples


def out_of_memory(error: BaseException) -> bool:
    """torch has an error of its own for it on CUDA, and for the CPU and Apple's GPUs only a sentence."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return any(sign in text for sign in ("out of memory", "can't allocate memory", "not enough memory"))


def brief(error: BaseException) -> str:
    """One line of an error that a model of the user's raised."""
    first = (str(error).splitlines() or [""])[0].rstrip(".")[:120]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__
