"""The loss whose gradient is clipped: of an example, of its views, or of a user's examples together."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

NO_EXAMPLE = -100  # the target of a row that fills up a user who has fewer examples than others may have


def loss_of_one(logits: Tensor, target: Tensor) -> Tensor:
    """Of rows that belong together: the mean over those that are examples. logits: (rows, classes).

    target: () for views of one example, which all have it; (rows,) for the examples of one user.
    """
    if target.dim() == 0:
        return cross_entropy(logits, target.expand(len(logits)))
    losses = cross_entropy(logits, target, reduction="none", ignore_index=NO_EXAMPLE)
    return losses.sum() / (target != NO_EXAMPLE).sum().clamp(min=1)


def losses_of_all(logits: Tensor, targets: Tensor, views: int) -> Tensor:
    """The same for (n × views, classes) and targets (n,) or (n, views), in one go: (n,)."""
    if targets.dim() == 2:
        losses = cross_entropy(logits, targets.flatten(), reduction="none", ignore_index=NO_EXAMPLE)
        return losses.view(targets.shape).sum(1) / (targets != NO_EXAMPLE).sum(1).clamp(min=1)
    if views == 1:
        return cross_entropy(logits, targets, reduction="none")
    return cross_entropy(logits, targets.repeat_interleave(views), reduction="none").view(len(targets), -1).mean(1)


def first_targets(targets: Tensor) -> Tensor:
    """(n,): the class of each example, or of each user's first example."""
    return targets[:, 0] if targets.dim() == 2 else targets


def filled_up(values: Tensor, missing: int) -> Tensor:
    """So many rows of zeros at the end."""
    return pad(values, (0, 0) * (values.dim() - 1) + (0, missing))


def of_users(inputs: Tensor, targets: Tensor, members: Tensor) -> tuple[Tensor, Tensor]:
    """The rows of some users. members: (users, rows), places of their examples, -1 where there is none.

    Returns inputs (users, rows, ...), zeros where there is none, and targets (users, rows); with one row for each user,
    the same without that dimension.
    """
    there = members >= 0
    places = members.clamp(min=0)
    rows = inputs[places].masked_fill_(~there.view(*there.shape, *(1,) * (inputs.dim() - 1)), 0)
    classes = torch.where(there, targets[places], NO_EXAMPLE)
    return (rows.squeeze(1), classes.squeeze(1)) if members.shape[1] == 1 else (rows, classes)
