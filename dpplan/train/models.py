"""The models a recipe can name. None of them lets one example see another."""

import copy
import io
import itertools
import math
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention
from torch.nn.parameter import is_lazy
from torch.nn.utils.weight_norm import WeightNorm

from dpplan.errors import RecipeError, out_of_memory
from dpplan.recipe import Model
from dpplan.recipe.schema import HEADS
from dpplan.train.clipping.isolation.row_independent_layers import rows_apart
from dpplan.train.recipe_function import call_named, theirs

Shape = torch.Size | tuple[int, ...]
ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU}


def build(model: Model, shape: Shape, classes: int, rng: np.random.Generator, words: int = 0) -> nn.Module:
    """A model from examples of this shape to logits, with torch's usual first weights drawn from `rng`.

    words: how many there are, for examples made of words. Raises RecipeError when model and examples do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**32)))  # first weights are public; 32 bits do
        if ":" in model.kind:
            return _made_by_user(model.kind, shape, classes)
        if problem := _misfit(model.kind, shape, words):
            raise RecipeError(f"model.kind={model.kind} {problem}; these examples have shape {tuple(shape)}.")
        if model.kind == "lstm":
            return Lstm(words, _width(model), classes)
        if model.kind == "transformer":
            return Transformer(words, shape[0], _width(model), len(model.hidden or ()), classes)
        return nn.Sequential(*LAYERS[model.kind](model, shape, classes))


@rows_apart
class Lstm(nn.Module):
    """Words to vectors, one LSTM over them, and the last state to scores."""

    def __init__(self, words: int, width: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, width)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.lstm(self.embedding(x))
        scores: Tensor = self.head(states[:, -1])
        return scores


@rows_apart
class TransformerBlock(nn.Module):
    """One transformer block, normalising before each half."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, width = x.shape
        heads = self.mix(self.norms[0](x)).view(n, length, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        seen = scaled_dot_product_attention(*heads.unbind())
        x = x + self.out(seen.transpose(1, 2).reshape(n, length, width))
        added: Tensor = x + self.narrow(gelu(self.wide(self.norms[1](x))))
        return added


@rows_apart
class Transformer(nn.Module):
    """Words and their places to vectors, blocks of attention, and the mean over places to scores."""

    def __init__(self, words: int, length: int, width: int, blocks: int, classes: int) -> None:
        super().__init__()
        self.word, self.place = nn.Embedding(words, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(TransformerBlock(width) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(x.shape[1], device=x.device).repeat(len(x), 1)  # each example its own: no row is shared
        scores: Tensor = self.head(self.norm(self.blocks(self.word(x) + self.place(places))).mean(1))
        return scores


def _mlp(model: Model, shape: Shape, classes: int) -> Iterator[nn.Module]:
    if len(shape) > 1:
        yield nn.Flatten()
    widths = (math.prod(shape), *(model.hidden or ()))
    for inputs, outputs in itertools.pairwise(widths):
        yield nn.Linear(inputs, outputs)
        yield _activation(model)
    yield nn.Linear(widths[-1], classes)


def _cnn(model: Model, shape: Shape, classes: int) -> Iterator[nn.Module]:
    """Convolutions of 3 x 3, a group norm over each four channels or so, an activation, and the image halved."""
    channels, *sides = shape
    for outputs in model.hidden or ():
        yield nn.Conv2d(channels, outputs, 3, padding=1)
        yield nn.GroupNorm(math.gcd(outputs, max(1, outputs // 4)), outputs)
        yield _activation(model)
        if min(sides) > 1:
            yield nn.AvgPool2d(2)
            sides = [side // 2 for side in sides]
        channels = outputs
    yield nn.Flatten()
    yield nn.Linear(channels * math.prod(sides), classes)


def _opacus_cnn(model: Model, shape: Shape, classes: int) -> Iterator[nn.Module]:
    """The network of Opacus's MNIST example: 26,010 parameters on 28 x 28."""
    yield from (nn.Conv2d(shape[0], 16, 8, 2, padding=3), nn.ReLU(), nn.MaxPool2d(2, 1))
    yield from (nn.Conv2d(16, 32, 4, 2), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Flatten())
    sides = [((side - 2) // 2 - 4) // 2 for side in shape[1:]]
    yield from (nn.Linear(32 * math.prod(sides), 32), nn.ReLU(), nn.Linear(32, classes))


LAYERS: dict[str, Callable[[Model, Shape, int], Iterator[nn.Module]]] = {
    "logistic": _mlp,
    "mlp": _mlp,
    "cnn": _cnn,
    "opacus-cnn": _opacus_cnn,
    "tf-privacy-cnn": _opacus_cnn,  # the same network: its `same` padding is 3 on every side of 28 x 28
}


def _misfit(kind: str, shape: Shape, words: int) -> str:
    """What keeps a model of this kind from these examples; "" when nothing does."""
    if kind in {"lstm", "transformer"}:
        return "" if words and len(shape) == 1 else "reads words"
    if words:
        return "does not read words, and whole numbers are taken for words: save features as float32"
    if kind == "cnn":
        return "" if len(shape) == 3 else "looks at images"
    if kind in {"opacus-cnn", "tf-privacy-cnn"}:
        return "" if len(shape) == 3 and min(shape[1:]) >= 14 else "looks at images of 14 x 14 pixels or more"
    return ""


def _activation(model: Model) -> nn.Module:
    assert model.activation is not None  # the block has made sure
    return ACTIVATIONS[model.activation]()


def _width(model: Model) -> int:
    assert model.hidden  # the block has made sure
    return model.hidden[0]


def _made_by_user(kind: str, shape: Shape, classes: int) -> nn.Module:
    made = call_named(kind, "model.kind", shape=tuple(shape), classes=classes)
    if not isinstance(made, nn.Module):
        raise RecipeError(f"model.kind={kind} returned {type(made).__name__}, not a torch module.")
    with theirs(f"model.kind={kind}"):  # methods of its own may raise anything
        if problem := next(_without_numbers(made), ""):
            raise RecipeError(f"model.kind={kind}: {problem}")
        _try_methods(made, kind)
        _into_training(made)
    return made


def _without_numbers(model: nn.Module) -> Iterator[str]:
    """A sentence for each parameter and buffer that has no numbers yet, or none that could be learnt.

    A parameter whose shape is not known yet is told with its layer, by who looks at layers.
    """
    parameters = ((f"parameter '{name}'", p) for name, p in model.named_parameters())
    for name, tensor in (*parameters, *((f"buffer '{name}'", buffer) for name, buffer in model.named_buffers())):
        if is_lazy(tensor):
            if not isinstance(tensor, nn.Parameter):
                yield f"{name} has a shape that is not known yet. Build its layer with its full shape."
        elif tensor.is_meta:
            yield (
                f"{name} is on the meta device, where there are no numbers. Build the model on the CPU, or call its "
                "to_empty(device='cpu') and give it its first numbers."
            )
        elif tensor.is_inference():
            yield f"{name} was made under torch.inference_mode(), where nothing can be learnt. Build it outside."
        elif not tensor.requires_grad:
            continue
        elif tensor.layout is not torch.strided:
            yield (
                f"{name} has the layout {tensor.layout}, and noise goes to every number of what is trained. Make it "
                "dense, or a buffer where it is not to learn."
            )
        elif not bool(torch.isfinite(tensor.detach()).all()):
            yield (
                f"{name} holds numbers that are not finite, from which nothing can be learnt. Give it its first "
                "numbers where it is built; torch.empty leaves what was in memory."
            )


def _try_methods(made: nn.Module, kind: str) -> None:
    """Calls on a copy what a run will call of a module's methods. Raises RecipeError when it cannot be copied."""
    try:
        copied = copy.deepcopy(made)
    except Exception as error:  # anything may be in it
        if out_of_memory(error):
            raise
        raise RecipeError(f"model.kind={kind} cannot be copied: {_uncopied(made) or _brief(error)}") from None
    own = {id(tensor) for tensor in (*made.parameters(), *made.buffers())}
    if any(id(tensor) in own for tensor in (*copied.parameters(), *copied.buffers())):
        raise RecipeError(
            f"model.kind={kind} cannot be copied: its copy has the same parameters or buffers, so that what is tried "
            "on the copy would happen to the model. Let no part of it define __deepcopy__ that returns itself."
        )
    if not any(is_lazy(p) for p in copied.parameters()):
        copied.to("cpu")
        copied.cpu()
        if problem := _not_read_again(copied):
            raise RecipeError(f"model.kind={kind}: {problem}")
    copied.eval()
    copied.train()


def _uncopied(made: nn.Module) -> str:
    """What of a model cannot be copied, why, and what would help; "" where each part can."""
    old = [each for layer in made.modules() for each in layer._forward_pre_hooks.values()]
    if any(isinstance(hook, WeightNorm) for hook in old):
        return (
            "the old weight_norm of torch.nn.utils keeps a weight that was computed; take that of "
            "torch.nn.utils.parametrizations."
        )
    for name, part in _parts(made):
        try:
            copy.deepcopy(part)
        except Exception as error:
            layout = part.layout if isinstance(part, Tensor) else torch.strided
            if layout is not torch.strided or (isinstance(part, Tensor) and part.is_nested):
                return f"{name}: {_brief(error)} Make it dense, or of layout torch.sparse_coo, no parameter."
            return f"{name}: {_brief(error)}"
    return ""


def _parts(made: nn.Module) -> Iterator[tuple[str, Any]]:
    for layer_name, layer in made.named_modules():
        held = {"parameter": layer._parameters, "buffer": layer._buffers, "attribute": vars(layer)}
        for kind, parts in held.items():
            for key, part in parts.items():
                if key not in ("_parameters", "_buffers", "_modules"):
                    yield f"{kind} '{layer_name}{'.' if layer_name else ''}{key}'", part


def _not_read_again(copied: nn.Module) -> str:
    """Why this copy of a model could not be written, read again and gone on with; "" when it can.

    Its state dict is written and read as model.pt and checkpoints are: only what torch reads without running code from
    the file, whatever else a user's module allows, since who reads it may not have that module. What the copy holds is
    changed in between, so that it is seen whether it takes all of it back.
    """
    state = copied.state_dict()
    if not isinstance(state, Mapping):
        return f"its state_dict returns {type(state).__name__}, not a dictionary. Let it return what torch's own does."
    trained = {name: p for name, p in copied.named_parameters(remove_duplicate=False) if p.requires_grad}
    if any(name not in state for name in trained):
        return ""  # ModelGuard says which
    read = OrderedDict[str, Any]()
    for name, value in state.items():
        held = trained.get(name, value)
        try:
            read[name] = _read_again(held.detach() if isinstance(held, Tensor) else held)
        except Exception as error:
            if out_of_memory(error):
                raise
            return f"'{name}' of its state_dict, of type {type(value).__name__}, {_why_not_read(error)}"
    for p in trained.values():
        p.data = p.data + 1
    try:
        copied.load_state_dict(read)
    except Exception as error:
        if out_of_memory(error):
            raise
        also = " A module with get_extra_state needs set_extra_state, too." if "_extra_state" in str(error) else ""
        return f"its load_state_dict does not take back what its state_dict returned: {_brief(error, 200)}{also}"
    for name, p in trained.items():
        if not torch.equal(p.detach(), read[name]):
            return f"its load_state_dict does not take back parameter '{name}', so that no run could go on."
    return ""


def _read_again(value: Any) -> Any:
    """What torch reads of a file that this was written to."""
    stream, allowed = io.BytesIO(), torch.serialization.get_safe_globals()
    torch.save(value, stream)
    stream.seek(0)
    torch.serialization.clear_safe_globals()
    try:
        return torch.load(stream, weights_only=True)
    finally:
        torch.serialization.add_safe_globals(allowed)


def _why_not_read(error: Exception) -> str:
    wanted = "Only tensors, numbers and text, and lists and dictionaries of these, can be read again."
    if found := re.search(r"Unsupported global: GLOBAL (\S+)", str(error)):
        return f"could not be read again from model.pt or a checkpoint, since it is or holds {found[1]}. {wanted}"
    return f"cannot be written to model.pt or a checkpoint: {_brief(error)} {wanted}"


def _brief(error: Exception, most: int = 80) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:most].rstrip('. ')}."


def _into_training(model: nn.Module) -> None:
    """As a training loop begins, by the model's own `train`, which may keep layers in eval mode.

    Layers that were put into eval mode where the model was built stay there.
    """
    frozen = [layer for layer in model.modules() if not layer.training]
    if model.training:
        model.train()
    for layer in frozen:
        layer.training = False
