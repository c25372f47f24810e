"""Which engine a model gets: every way in which book-keeping would be silently wrong has a test of its own."""

import pytest
import torch
from clipping_models import BOOK_KEPT, MODELS, Recurrent, batch, model
from torch import Tensor, nn

from dpplan.errors import NotApplicable, RecipeError
from dpplan.train.clipping.engine_choice import Chosen, choose
from dpplan.train.clipping.engines.bookkeeping import BookKeeping
from dpplan.train.clipping.engines.vmap import VmapClipping
from dpplan.train.clipping.rules import Flat


class Net(nn.Module):
    """Two linear layers and a forward that does something with them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 4)


class Twice(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(self.first(x)))


class InPlaceOutput(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.relu_(self.first(x)))


class InPlaceLater(Net):
    """The first layer has no gradient of its own to lose, so autograd does not mind; its bias has one."""

    def __init__(self) -> None:
        super().__init__()
        self.zeroth = nn.Linear(6, 6)
        self.first.weight.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        h = self.zeroth(x) * 2
        y = self.first(h)
        h += 1
        return self.second(y + h)


class ByHand(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x) + x @ self.first.weight)


class Sideways(Net):
    """A layer that sees features where the batch should be."""

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x.unsqueeze(2).expand(-1, -1, 6).transpose(0, 1)).transpose(0, 1).mean(1))


class Rowless(Net):
    """A layer that is called for each row on its own."""

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.stack([self.first(row) for row in x]))


class Named(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.second(input=self.first(x))


class Tied(Net):
    def __init__(self) -> None:
        super().__init__()
        self.third = nn.Linear(6, 6)
        self.third.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.third(torch.tanh(self.first(x))))


class OwnParameter(Net):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x) * self.scale)


class Centred(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x - x.mean(0)))


class Broken(Net):
    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(x)
        y = self.first(h)
        h += 1
        return self.second(y + h)


class Scalar(Net):
    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x)).sum()


def chosen(net: nn.Module, wanted: str = "auto", shape: tuple[int, ...] = (6,)) -> Chosen:
    return choose(net, wanted, 4, torch.zeros(shape))


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize("name", MODELS)
def test_models_of_known_layers_are_book_kept(name: str) -> None:
    made = choose(model(name), "auto", 4, batch(name, 1)[0][0])
    if name in BOOK_KEPT:
        assert (str(made), isinstance(made.engine, BookKeeping)) == ("book-keeping", True)
        assert made.isolation.kind == ("structural" if name == "attention" else "tested")
    else:
        assert (str(made), type(made.engine)) == ("vmap, because layer 'over' is a LSTM", VmapClipping)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (Twice, "layer 'first' is called twice in one forward pass"),
        (InPlaceLater, "layer 'first' has its input or output changed in place"),
        (ByHand, "on trial inputs it disagreed with one example at a time"),
        (Rowless, "layer 'first' sees an example without a dimension for rows"),
        (Named, "layer 'second' is not called with one tensor"),
        (Tied, "'third.weight' is the same parameter as 'first.weight'"),
        (OwnParameter, "layer 'OwnParameter' is a OwnParameter"),
    ],
)
def test_what_book_keeping_would_get_wrong_goes_to_vmap(net: type[Net], reason: str) -> None:
    made = chosen(net())
    assert (made.name, made.reason) == ("vmap", reason)
    with pytest.raises(RecipeError, match=rf"engine=book-keeping cannot clip this model: {reason}\. Use engine: auto"):
        chosen(net(), "book-keeping")


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_recurrent_layers_are_clipped_by_vmap(kind: type[nn.RNNBase]) -> None:
    made = choose(Recurrent(kind), "auto", 4, torch.zeros(4, dtype=torch.int64))
    assert made.reason == f"layer 'over' is a {kind.__name__}"


@pytest.mark.parametrize("net", [InPlaceOutput, Sideways])
def test_behind_the_wall_layers_may_be_used_as_no_batch_allows(net: type[Net]) -> None:
    """Each is right there: an output changed in place is a sum by then, and the first dimension is one example's."""
    made = chosen(net())
    assert (str(made), made.isolation.kind) == ("book-keeping", "structural")


def test_either_engine_may_be_asked_for() -> None:
    assert str(chosen(model("mlp"), "book-keeping")) == "book-keeping"
    assert str(chosen(model("mlp"), "vmap")) == "vmap, because runtime.engine asks for it"


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4)), "layer '1' is a BatchNorm1d, which normalises.*GroupNorm"),
        (nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, affine=False)), "layer '1' is a BatchNorm1d"),
        (nn.Sequential(nn.Linear(6, 4), nn.SyncBatchNorm(4)), "layer '1' is a SyncBatchNorm"),
        (nn.Sequential(nn.InstanceNorm1d(6, track_running_stats=True)), "running statistics of private data"),
        (nn.Sequential(nn.Embedding(6, 4, max_norm=1.0)), "with max_norm"),
        (nn.Sequential(nn.Embedding(6, 4, scale_grad_by_freq=True)), "with scale_grad_by_freq"),
        (nn.Sequential(nn.LazyLinear(4)), "layer '0' is a LazyLinear whose shape is not known yet"),
        (nn.Linear(6, 4, dtype=torch.bfloat16), "is a Linear with parameters of torch.bfloat16. Use float32"),
        (Centred(), "scores an example differently when others are in its batch"),
        (Broken(), r"fails on 3 random inputs of shape \(3, 6\): RuntimeError: one of the variables"),
        (nn.Linear(5, 4), r"fails on 3 random inputs of shape \(3, 6\): RuntimeError: mat1"),
        (Scalar(), r"turns 3 examples into \(\), not into a row of scores"),
    ],
)
@pytest.mark.parametrize("wanted", ["auto", "vmap"])
def test_models_whose_examples_meet_are_refused_with_the_reason(net: nn.Module, said: str, wanted: str) -> None:
    with pytest.raises(RecipeError, match=said):
        chosen(net, wanted)


def test_dropout_is_no_obstacle() -> None:
    net = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 4))
    assert chosen(net).name == "book-keeping"
    assert chosen(net, "vmap").name == "vmap"
    assert net.training


def test_the_trial_leaves_the_model_as_it_was() -> None:
    net = model("mlp")
    before = {name: value.clone() for name, value in net.state_dict().items()}
    chosen(net)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert {p.dtype for p in net.parameters()} == {torch.float32}


def test_autocast_inside_a_model_is_not_clipped_by_rules_for_float32() -> None:
    class Cast(Net):
        def forward(self, x: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16):
                return self.second(self.first(x)).to(x.dtype)

    made = BookKeeping(Cast(), 4)
    with pytest.raises(NotApplicable, match=r"layer 'first' works in torch\.bfloat16"):
        made.clipped_sum(torch.randn(4, 6), torch.zeros(4, dtype=torch.int64), Flat(1.0))


def test_hooks_on_parameters_are_refused_in_words() -> None:
    for attach in ("register_hook", "register_post_accumulate_grad_hook"):
        net = nn.Linear(3, 2)
        handle = getattr(net.weight, attach)(lambda gradient: None)
        with pytest.raises(RecipeError, match=r"whose parameter 'weight' has a hook of its own \(register_hook\)"):
            choose(net, "auto", 4, torch.zeros(3))
        handle.remove()
        assert choose(net, "auto", 4, torch.zeros(3)).name == "book-keeping"


def test_functions_that_took_the_place_of_torchs_run_behind_the_wall_or_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    linear = nn.functional.linear
    monkeypatch.setattr(nn.functional, "linear", lambda x, w, b=None: linear(x * 2, w, b))
    assert choose(nn.Linear(3, 2), "auto", 4, torch.zeros(3)).isolation.kind == "structural"
    monkeypatch.setattr(torch, "einsum", lambda *parts: None)
    with pytest.raises(RecipeError, match=r"torch\.einsum is no longer torch's"):
        choose(nn.Linear(3, 2), "auto", 4, torch.zeros(3))
