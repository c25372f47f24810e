"""A model on trial: on random inputs that no data were needed for, before the first step.

Three things are tried on copies of the model, in float64 on the CPU, with its randomness held still: whether an example
is scored alike whoever is in its batch, in training mode and in evaluation; whether anything that the model holds
changes when it runs; and whether an engine's clipped sum is that of one example at a time. Weights are tried as they
are and moved away from there, since a head of zeros hides what happens before it.
"""

import copy
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parameter import is_lazy

from dpplan.errors import NotApplicable, RecipeError, TrainingStopped, out_of_memory
from dpplan.train.clipping.engines.bookkeeping import BookKeeping
from dpplan.train.clipping.engines.vmap import VmapClipping
from dpplan.train.clipping.isolation.derandomize import seeded, without_randomness
from dpplan.train.clipping.isolation.refusal_messages import (
    REMEMBERS,
    SPARSE,
    brief,
    forgetting,
    kept,
    meeting,
    training,
)
from dpplan.train.clipping.isolation.untrained_state import GENERATOR, HiddenState, leaves
from dpplan.train.clipping.isolation.vmap_escapes import CustomRules
from dpplan.train.clipping.layer_gradients import RULES
from dpplan.train.recipe_function import let_through

PROBES = 3  # examples in the trial of an engine; not a likely size of any other dimension
COMPANY = (2, PROBES, 5, 8, 17, 33)  # examples in a batch
SCALES = (1.0, 100.0, 0.01, 10.0, 0.1)  # of the inputs, in turn; the last example stands out by far
OUTLIER = 1e3
MOVES = 2  # times that the weights are moved away from their first values
# In float64, engines and reference differ by round-off only, while a wrong norm or a wrong sum is wrong in its
# first digits. A model that insists on float32, whole or in parts, is held to what that allows.
ROUGHLY = 1e-3
AGREEMENT = {torch.float64: 1e-8, torch.float32: ROUGHLY}
# Parameters times numbers in an example, which bounds the work on one of them; models beyond are tried with fewer
# examples, and with weights that were moved once, for the sake of seconds: what unknown code does with a batch is kept
# apart by the wall, not by the trial, and weights as they are hide what moved ones show.
LARGE = 2**27
FEWER = 2  # examples in the trial of an engine on a large model

Engine = type[BookKeeping] | type[VmapClipping]


@dataclass
class Probe:
    """A clipping rule of the trial: weighs examples by `signs` over their norms, and keeps the norms it was shown."""

    signs: Tensor
    clip_norm: float = 1e30
    sensitivity: float = 1e30
    shown: Tensor = field(default_factory=lambda: torch.zeros(0))

    def weights(self, norms: Tensor, squares: Tensor) -> Tensor:
        self.shown = torch.nan_to_num(norms[: len(self.signs)], posinf=0.0)
        weights = torch.zeros_like(norms)
        weights[: len(self.signs)] = self.factors(self.shown)
        return weights.unsqueeze(0)

    def factors(self, norms: Tensor) -> Tensor:
        return self.signs.to(norms.device) / (norms + 1e-4 * norms.max()).clamp(
            min=1e-100
        )  # what is far shorter is mostly round-off

    def extra(self, norms: Tensor, kept: Tensor | None) -> Tensor:
        return norms.new_zeros(0)

    def after(self, noisy_extra: Tensor, expected_batch: float) -> "Probe":
        return self


def is_large(model: nn.Module, example: Tensor) -> bool:
    """Whether the trial of this model takes seconds."""
    numbers = sum(p.numel() for p in model.parameters() if p.requires_grad and not is_lazy(p))
    return numbers * example.numel() > LARGE


class Trial:
    """Raises RecipeError for a model that fails, lets examples meet, or keeps what it has seen.

    thorough: whether the model's own code is unknown. glance: whether only that it runs is looked at, and nothing else
    of the trial may be used. `still` says whether its randomness could be held still; where it could not, what it
    computes in training mode cannot be compared.
    """

    def __init__(self, model: nn.Module, example: Tensor, views: int, thorough: bool, glance: bool = False) -> None:
        self.views, self.thorough, self.custom, self.glance = views, thorough, CustomRules(), glance
        try:
            self._try_as(model, example, torch.float64)
        except _Fails:
            try:
                self._try_as(model, example, torch.float32)
            except _Fails as error:
                cause = error.__cause__
                if cause is not None and out_of_memory(cause):
                    raise cause from None
                raise RecipeError(str(error)) from cause

    def _try_as(self, model: nn.Module, example: Tensor, dtype: torch.dtype) -> None:
        self.dtype, self.tolerance, self.random = dtype, AGREEMENT[dtype], False
        self.models = [copy.deepcopy(model).cpu().to(dtype)]
        large = is_large(model, example)
        self.probes = FEWER if large else PROBES
        company = COMPANY[2:3] if not self.thorough else COMPANY[:3] if large else COMPANY
        self.inputs = _random_inputs(self.models[0], example, views=self.views, count=company[-1], dtype=dtype)
        self.classes = self._classes()
        if self.glance:
            return
        self.random = self._differs()
        self.still = not (self.random and self._differs())
        if self.thorough:
            self._look_at_state(model)
        self.models += [_moved(self.models[0], seed) for seed in range(MOVES if self.thorough and not large else 1)]
        self._compare(company)
        self.weighed = self.models[1:] if large else self.models[:2]
        self.gradients = [self._gradients(each) for each in self.weighed]

    def against_book_keeping(self, model: nn.Module) -> str:
        """Why book-keeping is not for this model, whatever it computes; "" when nothing speaks against it."""
        names = {layer: name or type(layer).__name__ for name, layer in model.named_modules()}
        if any(p.device.type == "mps" for p in model.parameters()):
            return "Apple's GPUs have no float64"
        for layer, name in names.items():
            if any(p.requires_grad for p in layer.parameters(recurse=False)) and type(layer) not in RULES:
                return f"layer '{name}' is a {type(layer).__name__}"
        seen: dict[int, str] = {}
        for name, p in model.named_parameters(remove_duplicate=False):
            if seen.setdefault(id(p), name) != name:
                return f"'{name}' is the same parameter as '{seen[id(p)]}'"
        return "" if self.still else "its random numbers cannot be held still on trial"

    def hidden(self, model: nn.Module) -> str:
        """Where else the model may remember what it reads in Python; "" when all that it reaches can be seen."""
        state = HiddenState(model)
        drawn = [name for name in state.held if name.startswith(GENERATOR) and self._advances(name)]
        opaque = [*dict.fromkeys(state.opaque), *(f"{name}, from which it draws" for name in drawn)]
        return forgetting(opaque) if opaque else ""

    def _advances(self, name: str) -> bool:
        state = HiddenState(self.models[0])
        with self._running(self.inputs[:PROBES]), torch.no_grad():
            self.models[0](self._rows(self.inputs[:PROBES]))
        return name in state.changes()

    def disagreement(self, engine: Engine) -> str:
        """What is wrong with this engine's clipped sum; "" when nothing is."""
        generator = torch.Generator().manual_seed(0)
        self.custom.used.clear()
        for model, gradients in zip(self.weighed, self.gradients, strict=True):
            norms = gradients.norm(dim=1).double()  # 0 where not finite
            signs = torch.rand(self.probes, generator=generator).double() + 0.5
            rule = Probe(signs * torch.tensor([1.0, -1.0, 1.0])[: self.probes])
            try:
                with self._at_rest(), self.custom.watched():
                    made = engine(model, self.probes + 1, self.views)
                    found = made.clipped_sum(self.inputs[: self.probes].clone(), self._targets(self.probes), rule)
            except NotApplicable as error:
                return str(error)
            except TrainingStopped as error:  # it keeps what it saw
                raise RecipeError(str(error).removeprefix("stopped: ")) from error
            except BaseException as error:  # a model of the user's may raise anything under vmap or a hook
                let_through(error)
                if "in-place operation" in str(error):
                    return "the output of a layer is changed in place"
                return brief(error)
            if not self.still:
                continue  # two passes differ anyway
            wanted = (rule.factors(norms).unsqueeze(1) * gradients).sum(0)
            far = float((rule.shown - norms).abs().max()) > self.tolerance * float(norms.max())
            if far or not float((found.total - wanted).norm()) <= self.tolerance * self.probes:
                return "on trial inputs it disagreed with one example at a time"
        return ""

    def rehearsal(self, engine: Engine, model: nn.Module, half: bool) -> str:
        """Why this engine cannot take a step of the run, in its own precision and on its own device; "" when it can.

        half: whether the run is in bfloat16. The trial itself is in float64 on the CPU, which torch.autocast passes by.
        """
        twin = copy.deepcopy(model)
        parameter = next(twin.parameters(), self.inputs)
        device, inputs = parameter.device, self.inputs[: self.probes].clone()
        made = engine(twin, self.probes + 1, self.views)
        made.watched, made.half = False, half
        inputs = inputs.to(parameter.dtype) if inputs.is_floating_point() else inputs
        rule = Probe(torch.ones(self.probes, dtype=torch.float64))
        try:
            with torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []), seeded(0):
                made.clipped_sum(inputs.to(device), self._targets(self.probes).to(device), rule)
        except NotApplicable as error:
            return str(error)
        except TrainingStopped as error:  # it keeps what it saw
            raise RecipeError(str(error).removeprefix("stopped: ")) from error
        except BaseException as error:  # a model of the user's may raise anything
            let_through(error)
            return f"in {str(parameter.dtype).removeprefix('torch.')} on {device} it raises {brief(error)}"
        return ""

    def _targets(self, count: int) -> Tensor:
        return torch.arange(count) % self.classes

    def _classes(self) -> int:
        """The number of classes. Raises RecipeError when scores are not one row for each example."""
        rows = self._rows(self.inputs[:PROBES])
        with self._running(rows), torch.no_grad():
            together = plain_scores(self.models[0](rows))
        if not isinstance(together, Tensor) or together.dim() != 2 or len(together) != len(rows):
            shape = tuple(together.shape) if isinstance(together, Tensor) else type(together).__name__
            raise RecipeError(f"model: turns {len(rows)} examples into {shape}, not into a row of scores for each.")
        if together.shape[1] < 2:
            raise RecipeError(f"model: gives each example {together.shape[1]} scores, and a class needs one each.")
        return together.shape[1]

    def _look_at_state(self, model: nn.Module) -> None:
        """Raises RecipeError when something that the model holds depends on the inputs, or changes with every pass."""
        twin = copy.deepcopy(model).cpu().to(self.dtype)
        model = copy.deepcopy(model).cpu().to(self.dtype)
        first, second = self.inputs[:PROBES], self.inputs[PROBES:] if len(self.inputs) > PROBES else -self.inputs
        start, trained = HiddenState(model), _trained(model)
        self._score(model, first)
        if differing := sorted(trained ^ _trained(model)):
            raise RecipeError(training(differing))
        if not (changed := start.changes()):
            self._score(model, second)
            changed = start.changes(drawing=False)
        if not changed:
            return
        once = leaves(model)
        self._score(twin, second[: len(first)])
        twins = HiddenState(twin)
        twins.held = {name: once[name] for name in changed if name in once}
        differ = [name for name in twins.changes() if name in twins.held]
        steady = HiddenState(model)
        self._score(model, second[: len(first)])
        if differ or (differ := steady.changes(drawing=False)):
            raise RecipeError(kept(differ))

    def _differs(self) -> bool:
        """Whether two passes over the same rows differ: the model is random, more than it is held still."""
        found = [self._score(self.models[-1], self.inputs[:PROBES], seed=seed) for seed in (1, 2)]
        return not torch.equal(torch.nan_to_num(found[0]), torch.nan_to_num(found[1]))

    def _compare(self, company: tuple[int, ...]) -> None:
        """Raises RecipeError when an example is scored differently alone and among others."""
        for model in self.models:
            if self.still:
                self._compare_in(model, company, "")
        if self.thorough:
            self._compare_evaluations(self.models[-1], company)

    def _compare_evaluations(self, model: nn.Module, company: tuple[int, ...]) -> None:
        modes = {layer: layer.training for layer in model.modules()}
        model.eval()
        try:
            self._compare_in(model, company, " in evaluation")
        except _Fails:
            return  # no matter of privacy: it trains, and what it has learnt can be evaluated elsewhere
        finally:
            for layer, mode in modes.items():
                layer.training = mode

    def _compare_in(self, model: nn.Module, company: tuple[int, ...], when: str) -> None:
        alone = torch.cat([self._score(model, row, when) for row in torch.split(self.inputs, 1)])
        size = torch.nan_to_num(alone).abs().amax(1, keepdim=True)
        for count in company:
            start = company[-1] - count  # the last one stands out
            together = self._score(model, self.inputs[start:], when)
            rows = slice(start * self.views, None)
            apart = (together - alone[rows]).abs() / (size[rows] + 0.01)
            furthest = float(apart.nan_to_num(nan=torch.inf).masked_fill(~alone[rows].isfinite(), 0.0).max())
            if self.thorough and furthest <= ROUGHLY:
                self.tolerance = max(self.tolerance, ROUGHLY * (furthest > self.tolerance))
            if furthest > self.tolerance:
                again = torch.cat([self._score(model, row, when) for row in torch.split(self.inputs, 1)])
                raise RecipeError(meeting(model, when) if bool(_equal(again, alone)) else REMEMBERS)

    def _score(self, model: nn.Module, inputs: Tensor, when: str = "", seed: int = 0) -> Tensor:
        rows = self._rows(inputs)
        with self._running(rows, when, seed), torch.no_grad():
            scores: Tensor = plain_scores(model(rows))
        return scores

    def _gradients(self, model: nn.Module) -> Tensor:
        """(self.probes, numbers), each of one example alone."""
        found, trained = [], [p for p in model.parameters() if p.requires_grad]
        state: HiddenState | None = None  # after the first, which may compute what is computed only once
        for x, y in zip(self.inputs.clone(), self._targets(self.probes), strict=False):
            with self._running(self.inputs[:PROBES]):
                scores = plain_scores(model(x if self.views > 1 else x.unsqueeze(0)))
                loss = cross_entropy(scores, y.expand(self.views))
                gradients = torch.autograd.grad(loss, trained, allow_unused=True, materialize_grads=True)
            if any(gradient.layout is not torch.strided for gradient in gradients):
                raise RecipeError(SPARSE)
            flat = torch.cat([plain_scores(g).flatten() for g in gradients])
            if state is not None and (changes := state.changes(drawing=False)):
                raise RecipeError(kept(changes))
            state = HiddenState(model) if self.thorough else None
            found.append(flat if bool(flat.isfinite().all()) else torch.zeros_like(flat))  # engines leave it out
        return torch.stack(found)

    def _rows(self, inputs: Tensor) -> Tensor:
        """As a model takes them: a copy, since it may write into what it is given, as `x.sub_(0.5)` does."""
        return inputs.clone().flatten(0, 1) if self.views > 1 else inputs.clone()

    @contextmanager
    def _at_rest(self, seed: int = 0) -> Iterator[None]:
        """Inside, nothing is random, and what a model makes of nothing has the precision of its parameters."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.dtype)
        try:
            with seeded(seed) if self.random or seed else nullcontext(), self._as_expected():
                yield
        finally:
            torch.set_default_dtype(before)

    def _as_expected(self) -> AbstractContextManager[object]:
        return without_randomness() if self.random else nullcontext()

    @contextmanager
    def _running(self, rows: Tensor, when: str = "", seed: int = 0) -> Iterator[None]:
        """At rest; what the model raises on these rows is told as its own failure."""
        try:
            with self._at_rest(seed):
                yield
        except BaseException as error:  # a model of the user's may raise anything
            let_through(error)
            shape = tuple(rows.shape)
            raise _Fails(
                f"model: fails{when} on {len(rows)} random inputs of shape {shape}: {brief(error)}."
            ) from error


class _Fails(Exception):
    """The model cannot run as it was tried."""


def plain_scores(scores: Any) -> Any:
    """Scores as a tensor of torch's own, whatever class of the user's they are of. Raises TypeError where they
    compute by rules of their own."""
    if not isinstance(scores, Tensor) or type(scores) is Tensor:
        return scores
    if type(scores).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        raise TypeError(f"returns a {type(scores).__name__}, not a plain tensor")
    with torch._C.DisableTorchFunctionSubclass():
        return scores.as_subclass(Tensor)


def _trained(model: nn.Module) -> set[str]:
    return {name for name, p in model.named_parameters() if p.requires_grad}


def _equal(one: Tensor, other: Tensor) -> Tensor:
    return ((one == other) | (one.isnan() & other.isnan())).all()


def _moved(model: nn.Module, seed: int) -> nn.Module:
    """A copy whose trained weights are moved by about half their size, and those of zero as well."""
    moved, generator = copy.deepcopy(model), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in moved.parameters():
            if p.requires_grad and p.is_floating_point():
                step = torch.randn(p.shape, generator=generator, dtype=p.dtype)
                p.add_(step * (0.1 + 0.5 * p.square().mean().sqrt()))
    return moved


def _random_inputs(model: nn.Module, example: Tensor, views: int, count: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    shape = (count, *((views,) if views > 1 else ()), *example.shape)
    if example.is_floating_point():
        scales = torch.tensor([SCALES[i % len(SCALES)] for i in range(count)], dtype=dtype)
        scales[-1] = OUTLIER
        return torch.randn(shape, generator=generator, dtype=dtype) * scales.view(-1, *(1,) * (len(shape) - 1))
    tables = [layer.num_embeddings for layer in model.modules() if isinstance(layer, nn.Embedding)]
    return torch.randint(min(tables, default=2), shape, generator=generator, dtype=example.dtype)
