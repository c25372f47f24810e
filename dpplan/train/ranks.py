"""The processes that share one run, as torchrun starts them: whose examples are whose, and what passes between them.

    with joined() as ranks:             # ALONE where torchrun started one process, or nothing did
        ranks.part(examples)            # the examples that this rank draws from
        ranks.total(clipped)            # the clipped sum over all ranks, on the first of them
        ranks.from_first(noisy)         # what the first rank has, on all

The first rank leads: it counts steps, sees the sum, adds the noise, decides, writes and prints. The others take the
steps that it tells them to take. What passes between them is not encrypted, and sums travel without noise.
"""

import contextlib
import importlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from dpplan.errors import DpplanError, TrainingStopped, UsageError
from dpplan.train.clipping import BatchFacts, ClippedSum
from dpplan.train.machine.signals import signals_ignored

# A process that died is noticed at once, by its closed connection. This long is waited for one that hangs, or whose
# machine is gone: longer than compiling a step, writing a checkpoint or loading data takes one rank more than others.
PATIENCE = timedelta(minutes=5)
STARTED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")  # torchrun tells its processes who they are in these


class PeerLost(TrainingStopped):
    """Another process of the run died, or does not answer."""


class ReportedByFirst(UsageError):
    """What ends the run for all its processes, in those that leave it to the first to tell the user."""


class Command(IntEnum):
    """What the first rank tells the others to do."""

    STEP = 0
    STATES = 1  # of their generators, for a checkpoint
    END = 2


@dataclass(frozen=True, slots=True)
class Ranks:
    """Which of `size` processes this is, and which of those on its machine.

    All ranks call the same methods in the same order. They raise PeerLost when another process does not; alone, they
    return at once and nothing is ever sent.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    def part(self, examples: int) -> slice:
        """The examples that this rank alone draws from: about one in `size`, none where there are too few.

        The parts are the same in every step and cover everything. When each rank draws from its part by Poisson at one
        rate, all of them together draw by Poisson from the whole: that is what the claim accounts for.
        """
        return slice(examples * self.rank // self.size, examples * (self.rank + 1) // self.size)

    def total(self, mine: ClippedSum) -> ClippedSum | None:
        """The sum over all ranks, on the first; None on the others.

        Ranks share no example, so one example moves it by what it moves the sum of its own rank. Added up in float64
        and in the order of the ranks, so that repeating a seeded run repeats it to the last bit.
        """
        if self.size == 1:
            return mine
        with _answering():
            if not self.first:
                dist.send(_packed(mine), 0)
                return None
            received = mine.total.new_empty(HEAD + len(mine.total))
            for rank in range(1, self.size):
                dist.recv(received, rank)
                mine = mine + _unpacked(received)
        return mine

    def from_first(self, tensor: Tensor) -> Tensor:
        """The tensor of the first rank, written into that of every other."""
        if self.size > 1:
            with _answering():
                dist.broadcast(tensor, 0)
        return tensor

    def say(self, word: Command) -> None:
        """Tells all others what comes next. The first rank's, as `hear` is the others'."""
        if self.size > 1:
            self.from_first(torch.tensor([word]))

    def hear(self) -> Command:
        """Waits for what the first rank says."""
        return Command(int(self.from_first(torch.empty(1, dtype=torch.int64))))

    def gathered(self, mine: Any) -> tuple[Any, ...]:
        """What each rank has, in their order, on all of them. For small things: it is pickled."""
        found = [mine] * self.size
        if self.size > 1:
            with _answering():
                dist.all_gather_object(found, mine)
        return tuple(found)

    @contextlib.contextmanager
    def as_one(self) -> Iterator[None]:
        """Inside, each rank works for itself; when one fails by an error that is the user's to read, so do all.

        The first raises its own error, or else another's with the number of its process, and the others raise
        ReportedByFirst.
        """
        failed = None
        try:
            yield
        except PeerLost:
            raise
        except DpplanError as error:
            failed = error
        met = self.gathered(str(failed) if failed else None)
        told = [message if rank == 0 else f"process {rank}: {message}" for rank, message in enumerate(met) if message]
        if told and not self.first:
            raise ReportedByFirst(told[0])
        if failed:
            raise failed
        if told:
            raise UsageError(told[0])

    def agree(self, facts: Mapping[str, object]) -> None:
        """Raises UsageError on all ranks when the facts of one are not those of the first; names them, not values."""
        first, *others = self.gathered(dict(facts))
        problems = []
        for rank, theirs in enumerate(others, 1):
            if names := [name for name in sorted(first | theirs) if first.get(name) != theirs.get(name)]:
                problems.append(
                    f"process {rank} differs from process 0 in {', '.join(names)}. All need the same recipe, data and "
                    "versions."
                )
        if problems:
            raise UsageError(problems)


ALONE = Ranks()


@contextlib.contextmanager
def joined() -> Iterator[Ranks]:
    """This process among those that torchrun started with it, which can reach each other inside the block.

    On CPUs they talk by gloo, on GPUs by NCCL. The others leave signals to the first: one key press or one `kill` is
    meant for the run, and the first rank ends it for all. Raises UsageError when they cannot find each other.
    """
    ranks = _started()
    if ranks.size == 1:
        yield ranks
        return
    with contextlib.ExitStack() as stack:
        if not ranks.first:
            stack.enter_context(signals_ignored())
        # Its functions keep the group of the moment in which they are defined as their default, for good, and the
        # compiler loads them at some time of a run: then nothing could end the threads that a group has.
        importlib.import_module("torch.distributed.nn.functional")
        try:
            dist.init_process_group(_backend(ranks), timeout=PATIENCE)
        except (RuntimeError, ValueError) as error:
            why = str(error).splitlines()[0]
            raise UsageError(f"the {ranks.size} processes of this run cannot reach each other: {why}") from None
        stack.callback(dist.destroy_process_group)  # a process that ends with its threads at work may abort
        yield ranks


def _started() -> Ranks:
    """As torchrun says, ALONE where it does not."""
    if "RANK" not in os.environ:
        return ALONE
    try:
        rank, size, local_rank, local_size = (int(os.environ[name]) for name in STARTED)
    except (KeyError, ValueError):
        raise UsageError(f"RANK is set, so {', '.join(STARTED)} must all be numbers. Start with torchrun.") from None
    return Ranks(rank, size, local_rank, local_size)


def _backend(ranks: Ranks) -> str:
    """gloo for what lies on the host, and NCCL beside it where each process of this machine has a GPU of its own."""
    if not torch.cuda.is_available() or torch.cuda.device_count() < ranks.local_size:
        return "gloo"
    torch.cuda.set_device(ranks.local_rank)
    return "cpu:gloo,cuda:nccl"


@contextlib.contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # all that torch says of a broken connection or of a wait that was too long
        raise PeerLost("another process of this run is gone or does not answer.") from error


HEAD = 6  # numbers before the sum itself


def _packed(clipped: ClippedSum) -> Tensor:
    """All of it in one float64 vector, for one message; counts are exact up to 2^53."""
    head = clipped.total.new_tensor([clipped.sensitivity, clipped.facts.drawn])
    return torch.cat([head, clipped.facts.seen, clipped.total])


def _unpacked(vector: Tensor) -> ClippedSum:
    head, seen, total = vector[:2].tolist(), vector[2:HEAD], vector[HEAD:]
    return ClippedSum(total, head[0], BatchFacts(int(head[1]), seen))
