"""Whether an example counts with the same bits wherever it stands: tried on the machine of the run, before its steps.

    found = tried(engine, rule, example)        # an Arithmetic
    rule_for(privacy, found.round_off(most))    # with the margin that this machine needs

`rules` proves how far round-off carries a sum whose other examples stay as they are. That they do is a property of
libraries and processors which no vendor promises, so here it is measured: the engine of the run clips one example among
random ones, in pieces of the very shape, type, device and number of threads of the run. No example of the data is used.

| figure     | largest difference of one example's clipped gradient, in units of C    | concerns            |
|------------|------------------------------------------------------------------------|---------------------|
| repetition | when the same piece is computed again                                  | every other example |
| company    | when other examples stand in the other rows                            | every other example |
| place      | when it stands in another row                                          | the one that moves  |
| products   | how far products of float32 are off, above the proven bound            | each by itself      |

All zeros: the same bits were found everywhere. That is evidence, of a few examples in a few places; a proof it is not.
Otherwise the margin covers SAFETY times what was found, with every example of a large batch counted where it concerns
all. What that cannot cover is an example within round-off of a jump in the gradient, as a ReLU has one; a piece of one
row (runtime.physical_batch: 1) leaves no other place and no company.

Seen so far: MKL outside its reproducible modes gives rows of 5 or 6 numbers, which begin at other alignments in memory
than their neighbours, other bits by their number modulo 4 or 2, and rows of 64 numbers the same; repetition and company
changed nothing. Alignment is what Intel promises those modes to be indifferent to.
"""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dpplan.errors import NotCertified
from dpplan.train.clipping.engine_interface import ClippingEngine, Piece
from dpplan.train.clipping.engines.bookkeeping import BookKeeping
from dpplan.train.clipping.engines.vmap import VmapClipping
from dpplan.train.clipping.gradient_forms import Outer
from dpplan.train.clipping.precision import whole_products
from dpplan.train.clipping.rules import ANALYSED, BLOCK, BLOCKS, NORMS, ROUND_OFF, UNIT, ClippingRule
from dpplan.train.recipe_function import let_through

SAFETY = 32  # the 16 times that a norm's error moves the count of adaptive clipping, twice
WIDEST = 1 / 8  # of C; beyond, what was found is no round-off, and nothing says how far it goes
CLIP_NORM = 2.0**-20  # below nearly every gradient, so that differences are relative to a whole contribution
RANDOM = "the model draws random numbers"
SHORT = "a gradient of zero on random inputs"

DOUBLE = 1e-12  # float64's own round-off, which the rules' margin covers
TRIED = 3  # examples, where the first has shown a difference

Rows = tuple[Tensor, Tensor]  # inputs and targets of a full piece
Contribution = Callable[[Tensor, Tensor, int], Tensor]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """What was found; see the table above. untried: why nothing was, "" when it was."""

    repetition: float = 0.0
    company: float = 0.0
    place: float = 0.0
    products: float = 0.0
    untried: str = ""

    @property
    def same_bits(self) -> bool:
        return not self.untried and self.largest == 0.0

    @property
    def largest(self) -> float:
        return max(self.repetition, self.company, self.place, self.products)

    def round_off(self, most: float) -> float:
        """The margin for batches of up to `most` examples. Raises NotCertified when none would do."""
        each = self.place + most * (self.repetition + self.company)
        needed = ANALYSED + 2 * self.products + SAFETY * each
        if not needed <= WIDEST:
            raise NotCertified(
                f"clipping: on this machine an example's clipped gradient differs by {self.largest:.2g} of the clip "
                "norm with its place, its company or from run to run, so no sensitivity can be certified. Try "
                "runtime.physical_batch: 1, precision: float32, engine: vmap or another device, without compile."
            )
        return max(ROUND_OFF, needed)

    def worst(self, other: "Arithmetic") -> "Arithmetic":
        """What holds for two processes of one run."""
        figures = {f.name: max(getattr(self, f.name), getattr(other, f.name)) for f in dataclasses.fields(self)}
        return Arithmetic(**figures)

    def to_json(self) -> dict[str, Any]:
        found = dataclasses.asdict(self)
        untried = found.pop("untried")
        return {
            "evidence": "not tested" if untried else "tested",
            "why_not": untried or None,
            "same_bits": self.same_bits,
            "differences": found,
            "unit": "clip norm",
        }


def tried(engine: ClippingEngine, rule: ClippingRule, example: Tensor) -> Arithmetic:
    """What the arithmetic of this engine does to one example. example: only its shape and type are looked at.

    The engine's model is left alone: a copy is tried, in eval mode where the model draws random numbers.
    """
    rule = dataclasses.replace(rule, clip_norm=CLIP_NORM)  # type: ignore[type-var]
    try:
        if isinstance(engine, BookKeeping | VmapClipping):
            found = _Trial.eager(engine, rule, example).found()
            if found.untried == RANDOM:
                found = _Trial.eager(engine, rule, example, settled=True).found()
            return found
        return _Trial.compiled(engine, rule, example).found()
    except BaseException as error:  # of the user's model, perhaps
        let_through(error)
        first = (str(error).splitlines() or [""])[0][:80]
        return Arithmetic(untried=f"{type(error).__name__}: {first}")


class _Trial:
    """One engine on pieces of random examples."""

    def __init__(self, engine: ClippingEngine, model: nn.Module, rule: ClippingRule, example: Tensor) -> None:
        self.engine, self.model, self.rule, self.example = engine, model, rule, example
        self.generator = torch.Generator().manual_seed(0)
        self.device = next(model.parameters()).device
        self.rows, self.views, self.watchable = 1, 1, True
        self.alone: Contribution = self._weighed_alone

    @classmethod
    def eager(
        cls, engine: BookKeeping | VmapClipping, rule: ClippingRule, example: Tensor, settled: bool = False
    ) -> "_Trial":
        twin = type(engine)(_moved(engine.model), engine.physical_batch, engine.views)
        twin.half, twin.watched = engine.half, False
        if settled:
            twin.model.eval()
        made = cls(twin, twin.model, rule, example)
        made.rows, made.views = engine.physical_batch, engine.views
        return made

    @classmethod
    def compiled(cls, engine: ClippingEngine, rule: ClippingRule, example: Tensor) -> "_Trial":
        """With the graph of the run, which takes parameters as arguments, and is made here if there is none."""
        from dpplan.train.clipping.engines.compiled_bookkeeping import CompiledBookKeeping  # brings a compiler with it

        assert isinstance(engine, CompiledBookKeeping)
        eager = engine.engine
        model = _moved(eager.model)
        twin = CompiledBookKeeping(BookKeeping(model, eager.physical_batch, eager.views), engine.translated)
        twin.half, twin.watched = engine.half, engine.watched
        twin.graph, twin.traced_for = engine.graph, engine.traced_for
        made = cls(twin, model, rule, example)
        made.rows, made.views, made.watchable = eager.physical_batch, eager.views, False

        def masked_alone(inputs: Tensor, targets: Tensor, row: int) -> Tensor:
            mask = torch.arange(made.rows, device=made.device) == row
            total = twin.of_piece(Piece(inputs, targets, mask), rule).total
            engine.graph, engine.traced_for = twin.graph, twin.traced_for
            return total

        made.alone = masked_alone
        return made

    def found(self) -> Arithmetic:
        """Quickly where nothing differs; else every figure by itself."""
        self.here, self.there = self._random(1.0), self._random(4.0)
        moved, kept = self._by_norms() if self.watchable else self._by_sums()
        if not 0.0 < float(self.first.norm()) < math.inf:
            return Arithmetic(untried=SHORT)
        if moved == kept == 0.0:
            return Arithmetic(products=self._products())
        again = self._put(0, 0, self.here)
        if torch.equal(self.first, again) and not torch.equal(again, self._put(0, 0, self.here, seed=1)):
            return Arithmetic(untried=RANDOM)
        repetition, company, place = self._apart(self.first, again), kept, moved
        places = sorted({1, 2, 3, self.rows // 2, self.rows - 2, self.rows - 1} & set(range(1, self.rows)))
        for one in range(min(TRIED, self.rows)):
            first = self._put(one, 0, self.here)
            repetition = max(repetition, self._apart(first, self._put(one, 0, self.here)))
            company = max(company, self._apart(first, self._put(one, 0, self.there)))
            place = max([place, *(self._apart(first, self._put(one, row, self.here)) for row in places)])
        return Arithmetic(repetition, company, place, self._products())

    def _by_sums(self) -> tuple[float, float]:
        """By how much one example's contribution changes in another place and in other company; first looks."""
        self.first = self._put(0, 0, self.here)
        odd = max(0, self.rows - 1 - self.rows % 2)  # whose alignment in memory may not be that of the first row
        return self._apart(self.first, self._put(0, odd, self.here)), self._apart(
            self.first, self._put(0, 0, self.there)
        )

    def _put(self, one: int, row: int, among: Rows, seed: int = 0) -> Tensor:
        """What example number `one` adds to the sum from this row, with these in the others."""
        inputs, targets = (values.clone() for values in among)
        inputs[row], targets[row] = self.here[0][one], self.here[1][one]
        with _seeded(seed, self.device):
            return self.alone(inputs, targets, row)

    def _by_norms(self) -> tuple[float, float]:
        """The same, and by how much the norms of all other examples change, relative."""
        (inputs, targets), (others, classes) = self.here, self.there
        rows = torch.arange(self.rows, device=self.device)
        order = torch.randperm(self.rows, generator=self.generator).to(self.device).roll(1)
        stay = rows % 4 < 2
        same, known = inputs.clone(), targets.clone()
        same[~stay], known[~stay] = others[~stay], classes[~stay]
        self.first, before = self._watched(inputs, targets, 0)
        there, moved = self._watched(inputs[order], targets[order], int(torch.argmin(order)))
        alike, kept = self._watched(same, known, 0)
        order, stay = order.to(before.device), stay.to(before.device)
        place = max(self._apart(self.first, there), _relative(moved, before[:, order]))
        return place, max(self._apart(self.first, alike), _relative(kept[:, stay], before[:, stay]))

    def _watched(self, inputs: Tensor, targets: Tensor, row: int) -> tuple[Tensor, Tensor]:
        """What one row adds to the sum, and the norms of all, (layers, rows)."""
        only: Any = _Only(self.rule, row)
        with _seeded(0, self.device):
            total = self.engine.clipped_sum(inputs.clone(), targets, only).total  # which a model may write into
        return total, only.squares.sqrt()

    def _products(self) -> float:
        """How far a contribution exceeds what it is clipped to, or a product its value, where that is not proven."""
        longer = float(self.first.norm()) / (CLIP_NORM * (1 - ROUND_OFF)) - 1
        beyond = longer if longer > NORMS + 4 * UNIT else 0.0
        return max(beyond, _product_error(self.device))

    def _apart(self, a: Tensor, b: Tensor) -> float:
        apart = float((a - b).norm()) / CLIP_NORM
        if math.isfinite(apart):
            return apart if apart > DOUBLE else 0.0
        return math.inf

    def _weighed_alone(self, inputs: Tensor, targets: Tensor, row: int) -> Tensor:
        only: Any = _Only(self.rule, row)
        return self.engine.clipped_sum(inputs, targets, only).total

    def _random(self, scale: float) -> tuple[Tensor, Tensor]:
        """A full piece of random inputs and classes."""
        example = self.example
        shape = (self.rows, *((self.views,) if self.views > 1 else ()), *example.shape)
        if example.is_floating_point():
            inputs = torch.randn(shape, generator=self.generator) * scale
        else:
            tables = [layer.num_embeddings for layer in self.model.modules() if isinstance(layer, nn.Embedding)]
            inputs = torch.randint(min(tables, default=2), shape, generator=self.generator)
        targets = torch.randint(2, (self.rows,), generator=self.generator)
        return inputs.to(self.device, example.dtype), targets.to(self.device)


class _Only:
    """A rule by which one row counts as it does by `rule`, and the others do not. It notes what it is asked about."""

    def __init__(self, rule: ClippingRule, row: int) -> None:
        self.rule, self.row = rule, row

    @property
    def clip_norm(self) -> float:
        return self.rule.clip_norm

    @property
    def sensitivity(self) -> float:
        return self.rule.sensitivity

    def weights(self, norms: Tensor, squares: Tensor) -> Tensor:
        self.squares = squares
        weights, row = self.rule.weights(norms, squares), slice(self.row, self.row + 1)
        only = torch.zeros_like(weights)
        only[:, row] = weights[:, row]
        return only

    def extra(self, norms: Tensor, kept: Tensor | None) -> Tensor:
        return norms.new_zeros(0)


def _relative(now: Tensor, before: Tensor) -> float:
    if torch.equal(now, before):
        return 0.0
    apart = float(((now - before).abs() / before.clamp(min=1e-300)).max())
    return apart if math.isfinite(apart) else math.inf


def _moved(model: nn.Module) -> nn.Module:
    """A copy whose trained parameters have left their first values, among which zeros would hide what lies below."""
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                size = 0.1 * float(parameter.square().mean().sqrt()) + 0.01
                parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter), alpha=size)
    return model


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, torch's own generators start from this seed; afterwards they go on as if nothing had been drawn."""
    with torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _product_error(device: torch.device) -> float:
    """How far a sum of products is off, relative, where float32 throughout would not be: 0 unless factors are rounded.

    The factors lie just above the middle between two numbers of 8 or of 11 bits, so that rounding adds most to each.
    """
    worst = 0.0
    for bits in (8, 11):
        value = torch.full((2 * BLOCK, 64), 1 + 2.0**-bits + 2.0**-15, device=device)
        weights = torch.ones(2 * BLOCK, device=device)
        with whole_products(device):
            (made,) = Outer(("weight",), value, value).weighted_sums(weights)
        exact = 2 * BLOCK * (1 + 2.0**-bits + 2.0**-15) ** 2
        worst = max(worst, float((made / exact - 1).abs().max()))
    return worst if worst > (BLOCK + 2 + BLOCKS) * UNIT else 0.0
