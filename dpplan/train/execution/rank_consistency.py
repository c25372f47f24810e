"""What the processes of one run must have in common, so that together they do what one of them would."""

import hashlib

import torch

import dpplan
from dpplan.train.data import Split
from dpplan.train.state.checkpoint import basis_of
from dpplan.train.state.report import Planned


def shared_facts(planned: Planned) -> dict[str, object]:
    """Fact -> value, for `Ranks.agree`. Not to leave the processes of the run: one value tells of all examples."""
    resumed = planned.resumed
    return {
        **basis_of(planned.recipe, planned.claim),
        "seed": planned.seed,
        "--over-budget": planned.past_budget,
        "--unaccounted": planned.claim.unaccounted,
        "checkpoint": (resumed.checkpoint.steps, resumed.checkpoint.counted) if resumed else None,
        "the training examples or their order": fingerprint(planned.dataset.training),
        "kind of device": planned.device.type,
        "version of dpplan": dpplan.__version__,
        "version of torch": torch.__version__,
    }


def fingerprint(split: Split) -> str:
    """Tells apart sets of examples and orders of one set, as fast as memory can be read.

    Parts of the data must not overlap: an example that stands in the part of one process and, because another read
    the files in another order, in that of a second one as well, would be drawn and clipped twice. Made against
    accidents and not against attacks: numbers that change places within an example go unnoticed.
    """
    pieces = torch.split(split.inputs, 4096)  # rows at a time, so that little memory is needed besides
    sums = torch.cat([piece.reshape(len(piece), -1).contiguous().view(torch.int32).sum(1) for piece in pieces])
    members = b"" if split.members is None else split.members.numpy().tobytes()
    return hashlib.sha256(sums.numpy().tobytes() + split.targets.numpy().tobytes() + members).hexdigest()
