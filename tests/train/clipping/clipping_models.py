"""Models of every kind of layer, made small, and the clipped sum as its definition has it."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, scaled_dot_product_attention

from dpplan.train.clipping import ClippingRule

CLASSES = 4


class Attention(nn.Module):
    """A transformer block over words, with a table of positions and a word that is padding."""

    def __init__(self, words: int = 7, width: int = 8, length: int = 5) -> None:
        super().__init__()
        self.word = nn.Embedding(words, width, padding_idx=0)
        self.position = nn.Embedding(length, width)
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.score = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        h = self.word(x) + self.position(torch.arange(x.shape[1]).expand(len(x), -1))
        h = h + self.out(scaled_dot_product_attention(*self.mix(self.before(h)).chunk(3, -1)))
        h = h + self.narrow(torch.relu(self.wide(self.between(h))))
        return self.score(h.mean(1))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase] = nn.LSTM) -> None:
        super().__init__()
        self.word, self.over = nn.Embedding(7, 6), kind(6, 5, batch_first=True)
        self.score = nn.Linear(5, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.score(self.over(self.word(x))[0][:, -1])


def _image() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding="same", padding_mode="reflect"),
        nn.Tanh(),
        nn.Conv2d(4, 6, (3, 2), stride=2, groups=2, dilation=(1, 2), padding=1),
        nn.GroupNorm(2, 6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(54, CLASSES),
    )


def _series() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 4, 3, padding=2, padding_mode="circular"),
        nn.Tanh(),
        nn.Conv1d(4, 3, 2, stride=2, bias=False),
        nn.Flatten(),
        nn.Linear(15, CLASSES),
    )


def _ghost() -> nn.Module:
    """Few positions and wide layers: the norm is cheaper than the gradient."""
    layers = (nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 50), nn.Flatten(), nn.Linear(100, CLASSES))
    return nn.Sequential(*layers)


def _mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, CLASSES))


def _partly_frozen() -> nn.Module:
    made = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.LayerNorm(8), nn.Linear(8, CLASSES))
    for parameter in (made[0].weight, made[2].bias, made[3].bias):
        parameter.requires_grad_(False)
    return made


# name -> how to make it, and the shape of one example; a leading 0 says that examples are words
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "logistic": (lambda: nn.Linear(6, CLASSES), (6,)),
    "mlp": (_mlp, (6,)),
    "image": (_image, (2, 6, 6)),
    "series": (_series, (2, 8)),
    "ghost": (_ghost, (2, 6)),
    "frozen": (_partly_frozen, (6,)),
    "attention": (Attention, (0, 5)),
    "lstm": (Recurrent, (0, 4)),
}
BOOK_KEPT = [name for name in MODELS if name != "lstm"]


def model(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODELS[name][0]()


def batch(name: str, examples: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = MODELS[name][1]
    targets = torch.randint(CLASSES, (examples,), generator=generator)
    if shape[0] == 0:
        return torch.randint(7, (examples, *shape[1:]), generator=generator), targets
    return torch.randn(examples, *shape, generator=generator), targets


def gradient(net: nn.Module, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Of one example. x holds its views when there are several."""
    named = {name: p for name, p in net.named_parameters() if p.requires_grad}
    loss = cross_entropy(net(x), y.expand(len(x)))
    return dict(zip(named, torch.autograd.grad(loss, list(named.values())), strict=True))


def reference(name: str, inputs: Tensor, targets: Tensor, rule: ClippingRule, views: int = 1) -> Tensor:
    """One example at a time, in float64, with nothing clever."""
    net = model(name).double()
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    total = torch.zeros(sum(p.numel() for p in net.parameters() if p.requires_grad), dtype=torch.float64)
    for x, y in zip(inputs, targets, strict=True):
        found = gradient(net, x if views > 1 else x[None], y)
        owners = [key.rpartition(".")[0] for key in found]
        layers = list(dict.fromkeys(owners))
        squares = torch.zeros(len(layers), 1, dtype=torch.float64)
        for owner, value in zip(owners, found.values(), strict=True):
            squares[layers.index(owner), 0] += value.square().sum()
        if not bool(squares.isfinite().all()):
            continue
        weights = rule.weights(squares.sum(0).sqrt(), squares).expand_as(squares)[:, 0]
        parts = zip(owners, found.values(), strict=True)
        total += torch.cat([value.flatten() * weights[layers.index(owner)] for owner, value in parts])
    return total
