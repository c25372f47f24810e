"""Models as users write them: some let examples meet or keep what they saw, some only look as if they did.

ZOO: name -> (how to make it, the shape of one example, what is said of it). What is said is "" for a model that must be
clipped, or a pattern for the reason that it must be refused for. A leading 0 in a shape says that examples are words.
"""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 4
MEET = "scores an example differently when others are in its batch"
IN_EVALUATION = "scores an example differently in evaluation when others are in its batch"
Made = tuple[Callable[[], nn.Module], tuple[int, ...], str]
ZOO: dict[str, Made] = {}


def zoo(said: str = "", shape: tuple[int, ...] = (6,), **arguments: Any) -> Callable[[Any], Any]:
    """Puts a model into the zoo under its own name."""

    def put(kind: Any) -> Any:
        ZOO[kind.__name__] = (lambda: kind(**arguments)), shape, said
        return kind

    return put


class Net(nn.Module):
    """Two linear layers; `mid` is what a subclass does between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, CLASSES)

    def mid(self, h: Tensor) -> Tensor:
        return h

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.mid(torch.tanh(self.first(self.before(x)))))

    def before(self, x: Tensor) -> Tensor:
        return x


# -- examples that meet ---------------------------------------------------------------------------------------------


@zoo(MEET)
class Centred(Net):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def mid(self, h: Tensor) -> Tensor:
        return self.drop(h - h.mean(0)) if self.training else h


@zoo(MEET)
class CentredByFunctionalDropout(Net):
    def mid(self, h: Tensor) -> Tensor:
        return F.dropout(h - h.mean(0), 0.3, self.training) if self.training else h


@zoo("changes buffer 'mean'.* while it runs")
class FunctionalBatchNorm(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(6))
        self.register_buffer("var", torch.ones(6))

    def mid(self, h: Tensor) -> Tensor:
        return F.dropout(F.batch_norm(h, self.mean, self.var, training=self.training), 0.2, self.training)


@zoo(f"{MEET}|fails on")
class BatchNormWithoutStatistics(Net):
    def mid(self, h: Tensor) -> Tensor:
        return F.dropout(F.batch_norm(h.unsqueeze(2).expand(-1, -1, 3), None, None, training=True).mean(2), 0.2)


@zoo(MEET)
class ScaledByMaximum(Net):
    def before(self, x: Tensor) -> Tensor:
        return x / x.abs().max()


@zoo(MEET)
class BytesGuessed(Net):
    def before(self, x: Tensor) -> Tensor:
        return x / 255 if x.max() > 1 else x


@zoo(MEET)
class BytesGuessedByWhere(Net):
    def before(self, x: Tensor) -> Tensor:
        return torch.where(x.max() > 100, x / 255, x)


@zoo(MEET)
class AttentionOverBatch(Net):
    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(6, 18)
        self.out = nn.Linear(6, 6)
        for p in [*self.out.parameters(), *self.second.parameters()]:
            nn.init.zeros_(p)

    def mid(self, h: Tensor) -> Tensor:
        return h + self.out(F.scaled_dot_product_attention(*self.mix(h).unsqueeze(0).chunk(3, -1))[0])


@zoo("set batch_first=True")
class AttentionLayerOverBatch(Net):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(6, 2)

    def mid(self, h: Tensor) -> Tensor:
        return self.attention(h, h, h)[0]


@zoo(MEET)
class MixesAboveFour(Net):
    def mid(self, h: Tensor) -> Tensor:
        return h - h.mean(0) if len(h) > 4 else h


@zoo(MEET)
class MixesBelowThree(Net):
    def mid(self, h: Tensor) -> Tensor:
        return h * len(h) if len(h) < 3 else h * 3


@zoo(MEET)
class DividedByRows(Net):
    def mid(self, h: Tensor) -> Tensor:
        return h / len(h)


@zoo(MEET)
class Rolled(Net):
    def mid(self, h: Tensor) -> Tensor:
        return h + torch.roll(h, 1, 0)


@zoo(MEET)
class SortedByBatch(Net):
    def mid(self, h: Tensor) -> Tensor:
        return h.sort(0).values


@zoo(MEET)
class Cumulated(Net):
    def mid(self, h: Tensor) -> Tensor:
        return h.cumsum(0)


@zoo(MEET)
class SoftmaxOverBatch(Net):
    def mid(self, h: Tensor) -> Tensor:
        return h.softmax(0)


@zoo("set batch_first=True", shape=(5, 6))
class LstmOverBatch(Net):
    def __init__(self) -> None:
        super().__init__()
        self.over = nn.LSTM(6, 6)

    def mid(self, h: Tensor) -> Tensor:
        return self.over(h)[0][:, -1]


@zoo(MEET)
class MixesInTrainingOnly(Net):
    def mid(self, h: Tensor) -> Tensor:
        return h + h.amax(0) if self.training else h


@zoo(IN_EVALUATION)
class MixesInEvaluationOnly(Net):
    def mid(self, h: Tensor) -> Tensor:
        return h if self.training else h + h.amax(0)


@zoo(MEET)
class GateOfZero(Net):
    """Nothing is to be seen of it before the gate has moved."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Parameter(torch.zeros(()))

    def mid(self, h: Tensor) -> Tensor:
        return h + self.gate * h.mean(0)


@zoo(MEET)
class OutliersRemoved(Net):
    def before(self, x: Tensor) -> Tensor:
        return torch.where(x.abs() > 3 * x.abs().median(), torch.zeros_like(x), x)


@zoo(MEET)
class NormOfBatch(Net):
    def before(self, x: Tensor) -> Tensor:
        return x / (1 + x.norm() / 1e3)


@zoo(MEET)
class Whitened(Net):
    def before(self, x: Tensor) -> Tensor:
        return x @ torch.linalg.inv(torch.eye(6, dtype=x.dtype) + x.T @ x)


@zoo(MEET)
class FlattenedTooFar(Net):
    def mid(self, h: Tensor) -> Tensor:
        return h + h.flatten().mean()


class ClippedByBatch(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient / (1 + 5 * gradient.norm())


@zoo()
class BackwardClippedByBatch(Net):
    """Private one example at a time, which is what it gets."""

    def mid(self, h: Tensor) -> Tensor:
        return ClippedByBatch.apply(h)


class ClippedUnderVmap(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None: ...

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return SharedGradient.apply(gradient)

    @staticmethod
    def vmap(info: Any, dims: Any, x: Tensor) -> Any:
        return ClippedUnderVmap.apply(x), dims[0]


class SharedGradient(torch.autograd.Function):
    """Divides by the norm over the batch, and says so to vmap as well."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x / (1 + 5 * x.norm())

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None: ...

    @staticmethod
    def vmap(info: Any, dims: Any, x: Tensor) -> Any:
        return SharedGradient.apply(x), dims[0]


@zoo()
class BackwardWithARuleForVmap(Net):
    def mid(self, h: Tensor) -> Tensor:
        return ClippedUnderVmap.apply(h)


class MeanUnderVmap(torch.autograd.Function):
    """The rows meet only where vmap runs it, and where there are many."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return 2 * x

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None: ...

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 2 * gradient

    @staticmethod
    def vmap(info: Any, dims: Any, x: Tensor) -> Any:
        return (2 * x - x.mean(dims[0], keepdim=True) if info.batch_size > 6 else 2 * x), dims[0]


@zoo()
class ForwardWithARuleForVmap(Net):
    def mid(self, h: Tensor) -> Tensor:
        return MeanUnderVmap.apply(h)


@zoo()
class MixesAboveSixtyFour(Net):
    """No trial has so many rows; inside vmap there is one."""

    def mid(self, h: Tensor) -> Tensor:
        return h - h.mean(0) if len(h) > 64 else h


@zoo()
class MixesWhereARowIsZero(Net):
    def before(self, x: Tensor) -> Tensor:
        return torch.where((x == 0).all(1).any(), x + x.sum(0), x)


@zoo()
class BranchesOnHugeValues(Net):
    """A branch that no trial takes; one example at a time, it is taken for that example."""

    def before(self, x: Tensor) -> Tensor:
        return x / 1e9 if bool((x.abs() > 1e8).any()) else x


@zoo("scores an example differently")
class MixedUp(Net):
    """Mixup between the examples of a batch."""

    def before(self, x: Tensor) -> Tensor:
        return 0.7 * x + 0.3 * x[torch.randperm(len(x)).flip(0).roll(1)]


@zoo()
class MixedUpInTraining(Net):
    """Inside vmap there is nothing to mix an example with."""

    def before(self, x: Tensor) -> Tensor:
        return 0.7 * x + 0.3 * x[torch.randperm(len(x))] if self.training else x


@zoo(MEET)
class HookedBetween(Net):
    def __init__(self) -> None:
        super().__init__()
        self.first.register_forward_hook(lambda layer, inputs, output: output - output.mean(0))


@zoo("fails on 1 random inputs")
class MixesAcrossGroups(Net):
    def mid(self, h: Tensor) -> Tensor:
        return F.group_norm(h.unsqueeze(0).transpose(1, 2), 6).transpose(1, 2)[0]


@zoo(MEET)
class Contrasted(Net):
    def mid(self, h: Tensor) -> Tensor:
        return h + (h @ h.T).softmax(1) @ h


@zoo(MEET)
class Unfolded(Net):
    def mid(self, h: Tensor) -> Tensor:
        return F.avg_pool1d(h.T.unsqueeze(0), 3, stride=1, padding=1)[0].T


def flattened() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 6), nn.Softmax(dim=0), nn.Linear(6, CLASSES))


ZOO["SequentialSoftmaxOverBatch"] = flattened, (6,), MEET
ZOO["BatchNorm"] = (
    lambda: nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6), nn.Linear(6, CLASSES)),
    (6,),
    "layer '1' is a BatchNorm1d, which normalises each example by the others.*GroupNorm or LayerNorm",
)
ZOO["BatchNormWithoutRunning"] = (
    lambda: nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6, track_running_stats=False).eval(), nn.Linear(6, CLASSES)),
    (6,),
    "layer '1' is a BatchNorm1d, which normalises",
)
ZOO["RunningInstanceNorm"] = (
    lambda: nn.Sequential(
        nn.Conv1d(2, 4, 3), nn.InstanceNorm1d(4, track_running_stats=True), nn.Flatten(), nn.Linear(16, 4)
    ),
    (2, 6),
    "running statistics of private data",
)


# -- models that keep what they saw ---------------------------------------------------------------------------------


class Keeping(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros(6))


@zoo("changes buffer 'kept' while it runs")
class RunningMeanInPlace(Keeping):
    def mid(self, h: Tensor) -> Tensor:
        if self.training:
            self.kept.mul_(0.9).add_(h.detach().mean(0), alpha=0.1)
        return h


@zoo("changes buffer 'kept' while it runs")
class RunningMeanReassigned(Keeping):
    def mid(self, h: Tensor) -> Tensor:
        if self.training:
            self.kept = 0.9 * self.kept + 0.1 * h.detach().mean(0)
        return h


@zoo("changes buffer 'kept' while it runs")
class RunningMaximumUsed(Keeping):
    def mid(self, h: Tensor) -> Tensor:
        self.kept = torch.maximum(self.kept, h.detach().abs().amax(0))
        return h / (1 + self.kept)


@zoo("changes .*'kept'.* while it runs")
class FirstBatchInitialised(Keeping):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ready", torch.zeros(()))

    def mid(self, h: Tensor) -> Tensor:
        if float(self.ready) == 0:
            self.kept.copy_(h.detach().mean(0))
            self.ready.fill_(1)
        return h - self.kept


@zoo("changes attribute 'kept' while it runs")
class PlainTensor(Net):
    def __init__(self) -> None:
        super().__init__()
        self.kept = torch.zeros(6)

    def mid(self, h: Tensor) -> Tensor:
        self.kept = self.kept + h.detach().sum(0)
        return h


@zoo("changes attribute 'first.kept' while it runs")
class TensorOnALayer(Net):
    def mid(self, h: Tensor) -> Tensor:
        self.first.kept = h.detach().mean(0)
        return h


@zoo("changes attribute 'seen")
class InAList(Net):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Any] = []

    def mid(self, h: Tensor) -> Tensor:
        self.seen.append(h.detach())
        return h


@zoo("changes attribute 'seen")
class InADictionary(Net):
    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, Any] = {"mean": torch.zeros(6)}

    def mid(self, h: Tensor) -> Tensor:
        self.seen["mean"] = h.detach().mean(0)
        return h


class Tracker:
    def __init__(self) -> None:
        self.total = 0.0


@zoo("changes attribute 'tracker.total' while it runs")
class InAnObject(Net):
    def __init__(self) -> None:
        super().__init__()
        self.tracker = Tracker()

    def mid(self, h: Tensor) -> Tensor:
        self.tracker.total += float(h.detach().sum())
        return h


@zoo("changes attribute 'steps' while it runs")
class CountsItsSteps(Net):
    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def mid(self, h: Tensor) -> Tensor:
        self.steps += 1
        return h - h.mean(0) if self.steps % 1000 == 999 else h


@zoo("changes attribute 'steps' while it runs")
class CountsByIterator(Net):
    def __init__(self) -> None:
        super().__init__()
        self.steps = itertools.count()

    def mid(self, h: Tensor) -> Tensor:
        next(self.steps)
        return h


@zoo("changes buffer 'kept' while it runs")
class CountsRows(Net):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kept", torch.zeros((), dtype=torch.int64))

    def mid(self, h: Tensor) -> Tensor:
        self.kept += len(h)
        return h


GLOBAL: dict[str, Any] = {"mean": None}


@zoo("changes global 'GLOBAL")
class InAGlobal(Net):
    def mid(self, h: Tensor) -> Tensor:
        GLOBAL["mean"] = float(h.detach().mean())
        return h


@zoo("changes 'total' of class OnItsClass while it runs")
class OnItsClass(Net):
    total = 0.0

    def mid(self, h: Tensor) -> Tensor:
        type(self).total += float(h.detach().sum())
        return h


@zoo("changes 'mid.*' of class InADefault")
class InADefault(Net):
    def mid(self, h: Tensor, seen: list[float] = []) -> Tensor:  # noqa: B006
        seen.append(float(h.detach().mean()))
        return h


class Elsewhere:
    total = 0.0


@zoo("changes 'total' of class Elsewhere while it runs")
class OnAnotherClass(Net):
    def mid(self, h: Tensor) -> Tensor:
        Elsewhere.total += float(h.detach().sum())
        return h


@zoo("changes attribute 'first._forward_hooks' while it runs")
class InAHook(Net):
    def __init__(self) -> None:
        super().__init__()
        seen: dict[str, Tensor] = {"mean": torch.zeros(6)}

        def hook(layer: nn.Module, inputs: Any, output: Tensor) -> None:
            seen["mean"] = output.detach().mean(0)

        self.first.register_forward_hook(hook)


@zoo("changes attribute 'seen' while it runs")
class UnderANameOfTheData(Net):
    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[float, int] = {}

    def mid(self, h: Tensor) -> Tensor:
        self.seen[float(h.detach().sum())] = 1
        return h


@zoo("changes parameter 'centre' while it runs")
class InAFrozenParameter(Net):
    def __init__(self) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.zeros(6), requires_grad=False)

    def mid(self, h: Tensor) -> Tensor:
        with torch.no_grad():
            self.centre.copy_(h.mean(0))
        return h


@zoo("changes .*'first.parametrizations.weight.0._u'.*power iteration.*eval")
class SpectrallyNormalised(Net):
    def __init__(self) -> None:
        super().__init__()
        nn.utils.parametrizations.spectral_norm(self.first)


@zoo()
class SpectrallyNormalisedAtRest(Net):
    def __init__(self) -> None:
        super().__init__()
        nn.utils.parametrizations.spectral_norm(self.first)
        self.first.parametrizations.weight.eval()


@zoo("changes .*'first.weight_u'.*power iteration")
class SpectrallyNormalisedOfOld(Net):
    def __init__(self) -> None:
        super().__init__()
        nn.utils.spectral_norm(self.first)


@zoo("changes buffer 'kept' while it runs")
class BehindAData(Keeping):
    """No version counter sees it."""

    def mid(self, h: Tensor) -> Tensor:
        self.kept.data.copy_(h.detach().amax(0))
        return h


# -- models that are fine -------------------------------------------------------------------------------------------


class FrozenByTrain(Net):
    """Fine-tuning: normalisation by public statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(6)
        self.norm.running_mean.normal_()
        self.norm.requires_grad_(False)

    def train(self, mode: bool = True) -> nn.Module:
        super().train(mode)
        self.norm.eval()
        return self

    def mid(self, h: Tensor) -> Tensor:
        return self.norm(h)


ZOO["FrozenByTrain"] = (lambda: FrozenByTrain().train()), (6,), ""
ZOO["FrozenByEval"] = (
    lambda: nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4).eval().requires_grad_(False), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4)
    ),
    (1, 6, 6),
    "",
)
ZOO["TrainedAfterFrozenStatistics"] = (
    lambda: nn.Sequential(nn.Linear(6, 6), nn.BatchNorm1d(6).eval(), nn.Linear(6, CLASSES)),
    (6,),
    "",
)


@zoo()
class RandomisedRelu(Net):
    def __init__(self) -> None:
        super().__init__()
        self.act = nn.RReLU()

    def mid(self, h: Tensor) -> Tensor:
        return self.act(h)


@zoo()
class FunctionalDropout(Net):
    def mid(self, h: Tensor) -> Tensor:
        return F.dropout(h, 0.5, self.training)


@zoo()
class AlphaDropout(Net):
    def mid(self, h: Tensor) -> Tensor:
        return F.feature_alpha_dropout(F.alpha_dropout(h, 0.3, self.training), 0.3, self.training)


@zoo()
class NoiseByHand(Net):
    def mid(self, h: Tensor) -> Tensor:
        mask = (torch.rand_like(h) > 0.3).to(h.dtype)
        return mask * (h + 0.1 * torch.randn_like(h)) if self.training else h


@zoo(shape=(5, 6))
class GruFromZeros(Net):
    def __init__(self) -> None:
        super().__init__()
        self.over = nn.GRU(6, 6, batch_first=True)

    def mid(self, h: Tensor) -> Tensor:
        return self.over(h, torch.zeros(1, len(h), 6))[0][:, -1]


@zoo(shape=(5, 6))
class CellFromZeros(Net):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(6, 6)

    def mid(self, h: Tensor) -> Tensor:
        state = torch.zeros(len(h), 6)
        for t in range(h.shape[1]):
            state = self.cell(h[:, t], state)
        return state


@zoo(shape=(5, 6))
class LstmWithDropout(Net):
    def __init__(self) -> None:
        super().__init__()
        self.over = nn.LSTM(6, 6, 2, batch_first=True, dropout=0.3, bidirectional=True)
        self.second = nn.Linear(12, CLASSES)

    def mid(self, h: Tensor) -> Tensor:
        start = torch.zeros(4, len(h), 6)
        return self.over(h, (start, start))[0][:, -1]


@zoo()
class Doubled(Net):
    def __init__(self) -> None:
        super().__init__()
        self.double()

    def before(self, x: Tensor) -> Tensor:
        return x.double()


@zoo()
class SinglesOnly(Net):
    """Insists on float32, whatever it is asked for."""

    def before(self, x: Tensor) -> Tensor:
        return x.float().to(self.first.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(F.linear(x.float(), self.first.weight.float(), self.first.bias.float()))
        return F.linear(h, self.second.weight.float(), self.second.bias.float())


@zoo()
class WrittenIntoZeros(Net):
    """Writes into zeros that belong to no example: beyond vmap, and fine one at a time."""

    def mid(self, h: Tensor) -> Tensor:
        out = torch.zeros(len(h), 6)
        out[:, :3] = h[:, :3]
        return out + h


@zoo(shape=(5, 6))
class MaskComputedOnce(Net):
    """What it keeps does not depend on the examples."""

    def __init__(self) -> None:
        super().__init__()
        self.mask: Tensor | None = None

    def mid(self, h: Tensor) -> Tensor:
        if self.mask is None:
            self.mask = torch.ones(5, 5, dtype=torch.bool).tril()
        return F.scaled_dot_product_attention(h, h, h, attn_mask=self.mask).mean(1)


@zoo(shape=(0, 5))
class PositionsShared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.word, self.place = nn.Embedding(7, 6, padding_idx=0), nn.Embedding(5, 6)
        self.score = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.score((self.word(x) + self.place(torch.arange(x.shape[1]))).mean(1))


@zoo()
class Tied(Net):
    def __init__(self) -> None:
        super().__init__()
        self.third = nn.Linear(6, 6)
        self.third.weight = self.first.weight

    def mid(self, h: Tensor) -> Tensor:
        return torch.tanh(self.third(h))


@zoo()
class CalledTwice(Net):
    def mid(self, h: Tensor) -> Tensor:
        return torch.tanh(self.first(h))


@zoo()
class WeightNormed(Net):
    def __init__(self) -> None:
        super().__init__()
        nn.utils.parametrizations.weight_norm(self.first)


@zoo()
class Parametric(Net):
    def __init__(self) -> None:
        super().__init__()
        self.act = nn.PReLU()

    def mid(self, h: Tensor) -> Tensor:
        return self.act(h)


@zoo()
class InPlaceActivation(Net):
    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU(inplace=True)

    def mid(self, h: Tensor) -> Tensor:
        return self.act(self.first(h))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.act(self.first(x)))


@zoo()
class LowRank(Net):
    """LoRA: a frozen weight and two small ones, of which one is zero at first."""

    def __init__(self) -> None:
        super().__init__()
        self.first.requires_grad_(False)
        self.down, self.up = nn.Linear(6, 2, bias=False), nn.Linear(2, 6, bias=False)
        nn.init.zeros_(self.up.weight)

    def mid(self, h: Tensor) -> Tensor:
        return h + self.up(self.down(h))


@zoo(shape=(5, 6))
class EncoderLayer(Net):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)

    def mid(self, h: Tensor) -> Tensor:
        return self.layer(h).mean(1)


class Straight(torch.autograd.Function):
    """Straight-through sign, as it has been written for years: vmap cannot run it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.sign()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


@zoo()
class StraightThrough(Net):
    def mid(self, h: Tensor) -> Tensor:
        return Straight.apply(h)


@zoo()
class Checkpointed(Net):
    def mid(self, h: Tensor) -> Tensor:
        from torch.utils.checkpoint import checkpoint

        return checkpoint(torch.tanh, h, use_reentrant=False)


@zoo(shape=(2, 6, 6))
class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 4, 3, padding="same", padding_mode="reflect")
        self.norm, self.conv = nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2)
        self.score = nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)
        h = h + F.relu(self.conv(F.relu(self.norm(h))), inplace=True)
        return self.score(F.adaptive_avg_pool2d(h, 1).flatten(1))


@zoo(shape=(2, 6, 6))
class InstanceNormed(Residual):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(4, affine=True)


@zoo(shape=(0, 5))
class BagOfWords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bag, self.score = nn.EmbeddingBag(7, 6), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.score(self.bag(x))


@zoo()
class Experts(Net):
    """Each example chooses among four layers, softly."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(6, 4)
        self.weights = nn.Parameter(torch.randn(4, 6, 6) / 3)

    def mid(self, h: Tensor) -> Tensor:
        return torch.einsum("ng,gij,nj->ni", self.gate(h).softmax(1), self.weights, h)


@zoo()
class AttributesForShow(Net):
    """Keeps a number that is the same in every pass."""

    def mid(self, h: Tensor) -> Tensor:
        self.width = h.shape[1]
        return h


ZOO["EmptyCompany"] = (
    (lambda: nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.4), nn.GELU(), nn.Linear(8, CLASSES))),
    (6,),
    "",
)
ZOO["Flattened"] = (lambda: nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.SELU(), nn.Linear(8, CLASSES))), (2, 6), ""


@zoo(MEET)
class PoisonedByCompany(Net):
    """Nothing but NaN where there is an example that stands out."""

    def mid(self, h: Tensor) -> Tensor:
        return h * torch.where(h.abs().max() > 0.999, torch.nan, 1.0) if len(h) > 1 else h


# -- what models are made of ----------------------------------------------------------------------------------------


@zoo()
class Temperature(Net):
    """A parameter that is one number."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.tensor(0.5))

    def mid(self, h: Tensor) -> Tensor:
        return h * self.temperature.exp()


@zoo("has sparse gradients", shape=(0, 5))
class SparseByFunction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(7, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return F.embedding(x, self.table, sparse=True).mean(1)


@zoo("changes while it runs which parameters are trained .first.weight.")
class FreezesItself(Net):
    def mid(self, h: Tensor) -> Tensor:
        self.first.weight.requires_grad_(False)
        return h


@zoo("changes while it runs which parameters are trained .head.bias, head.weight.")
class HeadMadeLate(Net):
    def mid(self, h: Tensor) -> Tensor:
        if not hasattr(self, "head"):
            self.head = nn.Linear(6, 6).to(h.dtype)
        return self.head(h)
