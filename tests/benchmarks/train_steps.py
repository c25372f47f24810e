"""One training step, in the words of each contender: gradient, noise where there is any, update by SGD.

A maker gets a model, a batch of tensors, and how many examples may be in memory at once; it returns the step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.functional import cross_entropy

from dpplan.mechanism import Gaussian
from dpplan.recipe import Model, Training
from dpplan.train import models
from dpplan.train.clipping import as_compiled, choose
from dpplan.train.clipping.rules import Flat
from dpplan.train.step.box_muller import adding_for
from dpplan.train.step.noise import GaussianNoise
from dpplan.train.step.optimizer import Optimization
from dpplan.train.step.randomness import Randomness

Step = Callable[[], object]
Maker = Callable[[nn.Module, Tensor, Tensor, int], Step]
CLASSES, WORDS, RATE = 10, 64, 0.01
PLAIN, HOOKS = "plain", "opacus hooks"
SHAPES: dict[str, tuple[int, ...]] = {"logistic": (784,), "mlp": (64,), "cnn": (1, 28, 28), "transformer": (64,)}
BLOCKS = {
    "logistic": Model(kind="logistic"),
    "mlp": Model(kind="mlp", hidden=(128, 128), activation="tanh"),
    "cnn": Model(kind="opacus-cnn"),
    "transformer": Model(kind="transformer", hidden=(64, 64)),
}


def words(name: str) -> int:
    """How many words there are, for a model that reads words; else 0."""
    return WORDS if name == "transformer" else 0


def built(name: str, device: str) -> nn.Module:
    return models.build(BLOCKS[name], SHAPES[name], CLASSES, np.random.default_rng(0), words(name)).to(device)


def drawn(name: str, size: int, device: str) -> tuple[Tensor, Tensor]:
    """Inputs and targets at random."""
    generator = torch.Generator().manual_seed(0)
    shape = (size, *SHAPES[name])
    targets = torch.randint(CLASSES, (size,), generator=generator)
    if words(name):
        return torch.randint(WORDS, shape, generator=generator).to(device), targets.to(device)
    return torch.randn(shape, generator=generator).to(device), targets.to(device)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    """All parameters in one call: never slower than torch's default in these measurements, and for all alike."""
    return torch.optim.SGD(model.parameters(), lr=RATE, fused=True)


def plain(model: nn.Module, inputs: Tensor, targets: Tensor, piece: int) -> Step:
    optimizer = sgd(model)
    parts = list(zip(inputs.split(piece), targets.split(piece), strict=True))
    # The share of a piece in the mean goes into its backward pass, where a one would stand, and so costs nothing.
    shares = [torch.tensor(len(y) / len(targets), device=targets.device) for _, y in parts]

    def step() -> None:
        for (x, y), share in zip(parts, shares, strict=True):
            cross_entropy(model(x), y).backward(share)
        optimizer.step()
        optimizer.zero_grad()

    return step


def plain_compiled(model: nn.Module, inputs: Tensor, targets: Tensor, piece: int) -> Step:
    update, x, y = compiled_update(model, inputs[:piece], targets[:piece]), inputs[:piece], targets[:piece]
    return lambda: update(x, y)


def plain_graphed(model: nn.Module, inputs: Tensor, targets: Tensor, piece: int) -> Step:
    """The compiled step, recorded by CUDA and played back without Python."""
    step = plain_compiled(model, inputs, targets, piece)
    start = [p.detach().clone() for p in model.parameters()]
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # as torch's notes on CUDA graphs ask, before anything is recorded
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), start, strict=True):
            parameter.copy_(value)

    def replay() -> Step:
        graph.replay()
        return step  # owns the batch, which the graph reads where it lies

    return replay


def compiled_update(model: nn.Module, inputs: Tensor, targets: Tensor) -> Callable[[Tensor, Tensor], None]:
    """The whole step as one compiled graph that is called directly: the fastest plain step that was found.

    torch.compile(model), the usual way, is slower than eager on small models, and torch.compile around the whole step
    (trace_autograd_ops) takes up to twice as long as this: both look anew at every call whether they still apply.
    """
    names = [name for name, _ in model.named_parameters()]
    values = [p.detach() for p in model.parameters()]

    def update(*arguments: Tensor) -> tuple[Tensor]:
        *values, x, y = arguments
        leaves = [value.detach().requires_grad_() for value in values]
        with torch.enable_grad():
            loss = cross_entropy(functional_call(model, dict(zip(names, leaves, strict=True)), (x,)), y)
            gradients = torch.autograd.grad(loss, leaves)
        for value, gradient in zip(values, gradients, strict=True):
            value.sub_(RATE * gradient)  # add_(gradient, alpha=-RATE) loses alpha in torch 2.13 when compiled
        return (loss.detach(),)

    graph = make_fx(update, tracing_mode="fake")(*values, inputs, targets)
    # On the CPU, C++ calls the kernels instead of Python: a tenth less time where a step is short.
    options = {"cpp_wrapper": True} if inputs.device.type == "cpu" else {}
    with torch.no_grad():
        fast = torch._inductor.compile(graph, [*values, inputs, targets], options=options)

    def step(x: Tensor, y: Tensor) -> None:
        with torch.no_grad():
            fast(*values, x, y)

    return step


def dpplan(engine: str, noisy: bool = True, fast: bool = False) -> Maker:
    """A whole private step as the trainer takes it; without noise, the clipped sum alone."""

    def make(model: nn.Module, inputs: Tensor, targets: Tensor, piece: int) -> Step:
        chosen = choose(model, engine, min(piece, len(inputs)), inputs[0])
        clipping = (as_compiled(chosen) if fast else chosen).engine
        noise, rule = GaussianNoise(Gaussian(1.0), Randomness.of(0).noise, adding_for(inputs.device, fast)), Flat(1.0)
        training = Training(batch_size=len(inputs), steps=10**6, optimizer="sgd", learning_rate=RATE)
        optimization = Optimization(list(model.parameters()), training, 10**6)

        def step() -> None:
            clipped = clipping.clipped_sum(inputs, targets, rule)
            if noisy:
                optimization.step(noise.add(clipped), len(inputs))

        return step

    return make


def opacus(mode: str) -> Maker:
    """Opacus on a fixed batch: its optimiser clips and adds noise, its sampler is left out, as it is for the others."""

    def make(model: nn.Module, inputs: Tensor, targets: Tensor, piece: int) -> Step:
        data = torch.utils.data.TensorDataset(inputs, targets)
        loader = torch.utils.data.DataLoader(data, batch_size=len(inputs))
        private, optimizer, criterion, _ = made_private(mode, model, loader, poisson=False)
        parts = list(zip(inputs.split(piece), targets.split(piece), strict=True))

        def step() -> None:
            for number, (x, y) in enumerate(parts, 1):
                if len(parts) > 1:  # what its BatchMemoryManager does
                    optimizer.signal_skip_step(number < len(parts))
                criterion(private(x), y).backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)

        return step

    return make


def made_private(mode: str, model: nn.Module, loader: Any, poisson: bool) -> tuple[nn.Module, Any, Any, Any]:
    """Opacus's module, optimiser, criterion and loader."""
    from opacus import PrivacyEngine

    if mode == "ghost":
        for layer in model.modules():
            if isinstance(layer, nn.Embedding):
                layer.register_forward_pre_hook(_contiguous)
    made = PrivacyEngine().make_private(
        module=model,
        optimizer=sgd(model),
        data_loader=loader,
        criterion=nn.CrossEntropyLoss(),
        noise_multiplier=1.0,
        max_grad_norm=1.0,
        poisson_sampling=poisson,
        grad_sample_mode=mode,
    )
    criterion = made[2] if mode == "ghost" else nn.CrossEntropyLoss()
    return made[0], made[1], criterion, made[-1]


# Our transformer looks its places up by an expanded range, of which Opacus 1.6 takes a view that torch does not give.
GHOST_NOTE = "opacus ghost: given contiguous words and places; it fails in a view on those of this model as they are"


def _contiguous(layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    return (inputs[0].contiguous(),)


@dataclass(frozen=True)
class Contender:
    """in_pieces: whether its timed steps keep to the physical batch. exact: whether it does what plain does."""

    make: Maker
    in_pieces: bool = False
    exact: bool = False
    cuda_only: bool = False


CONTENDERS: dict[str, Contender] = {
    PLAIN: Contender(plain, exact=True),
    "plain, compiled": Contender(plain_compiled, exact=True),
    "plain, CUDA graph": Contender(plain_graphed, exact=True, cuda_only=True),
    "dpplan": Contender(dpplan("auto"), in_pieces=True),
    "dpplan, compiled": Contender(dpplan("auto", fast=True), in_pieces=True),
    "dpplan, clipped sum alone": Contender(dpplan("auto", noisy=False), in_pieces=True),
    "vmap": Contender(dpplan("vmap"), in_pieces=True),
    HOOKS: Contender(opacus("hooks")),
    "opacus ghost": Contender(opacus("ghost")),
}


@dataclass(frozen=True)
class Case:
    """piece: examples in memory at once."""

    model: str
    batch: int
    piece: int
    device: str

    def step(self, contender: str) -> tuple[Step, nn.Module]:
        """A step that has been taken once, and the model that it has changed."""
        model = built(self.model, self.device)
        step = CONTENDERS[contender].make(model, *drawn(self.model, self.batch, self.device), self.piece)
        step()
        return step, model
