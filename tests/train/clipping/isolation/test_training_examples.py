"""A model that reaches the examples it is trained on is refused before it is tried; chance likeness is not."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_recipe import small
from torch import Tensor, nn

from dpplan import train
from dpplan.errors import RecipeError
from dpplan.train import data
from dpplan.train.clipping.isolation.training_examples import holding
from dpplan.train.data import Dataset
from dpplan.train.execution.model_check import model_problems

SHAPE = (3, 5)
INPUTS = torch.randn(40, *SHAPE, generator=torch.Generator().manual_seed(0))
FLAT = INPUTS.flatten(1)


class Holding(nn.Module):
    def __init__(self, held: Any) -> None:
        super().__init__()
        self.score, self.held = nn.Linear(15, 2), held

    def forward(self, x: Tensor) -> Tensor:
        return self.score(x.flatten(1))  # type: ignore[no-any-return]


HELD: dict[str, Callable[[], Any]] = {
    "themselves": lambda: INPUTS,
    "two of them": FLAT[3:5].clone,
    "one": INPUTS[7].double,
    "array": FLAT.double().numpy,
    "columns": FLAT.T.contiguous,
    "buffer": lambda: nn.ParameterList([nn.Parameter(FLAT[:4], requires_grad=False)]),
    "first weights": lambda: nn.ParameterList([FLAT[:4].clone()]),
    "list": FLAT.tolist,
    "row in a list": lambda: [[0.0], FLAT[0].tolist()],
    "row in a dictionary": lambda: {"a": [[0.0, 1.0], {"b": [FLAT[0].tolist()]}]},
    "closure": lambda: lambda x, kept=FLAT: x @ kept.T,
    "object": lambda: torch.utils.data.TensorDataset(INPUTS),
    "more numbers": lambda: torch.cat([torch.zeros(9, 15), FLAT]),
}
FREE: dict[str, Callable[[], Any]] = {
    "others": lambda: torch.randn(40, 15, generator=torch.Generator().manual_seed(1)),
    "their mean, which nobody can tell": lambda: FLAT.mean(0),
    "zeros": lambda: torch.zeros(40, 15),
    "one-hot": lambda: torch.eye(15),
    "words": lambda: ["a", "b"],
    "sparse": lambda: torch.eye(15).to_sparse(),
    "ragged": lambda: [[1.0], [1.0, 2.0]],
    "complex": lambda: torch.complex(FLAT, FLAT),
}


@pytest.mark.parametrize("where", HELD)
def test_examples_are_found_wherever_a_model_holds_them(where: str) -> None:
    (*names,) = holding(Holding(HELD[where]()), INPUTS)
    assert names and all("held" in name for name in names)


@pytest.mark.parametrize("where", FREE)
def test_what_is_no_example_is_none(where: str) -> None:
    rows = torch.cat([INPUTS, torch.zeros(1, *SHAPE), torch.eye(15)[:4].view(4, *SHAPE)])  # of which any model has some
    assert holding(Holding(FREE[where]()), rows) == []


def test_examples_are_found_as_they_were_before_they_were_scaled() -> None:
    raw = np.arange(200, dtype=np.float32).reshape(40, 5) % 17
    scaling = np.full(5, 3, np.float32), np.full(5, 7, np.float32)
    scaled = torch.from_numpy((raw - scaling[0]) / scaling[1])
    for held in (raw, raw.astype(np.uint8), scaled):
        assert holding(Holding(held), scaled, scaling) == ["attribute 'held'"]
    assert holding(Holding(raw + 20), scaled, scaling) == []


def test_words_are_compared_with_words_alone() -> None:
    words = torch.arange(60).view(10, 6) % 7
    assert holding(Holding(words[:2].int()), words) == ["attribute 'held'"]
    assert holding(Holding(words.float()), words) == []


def test_of_examples_with_few_different_numbers_half_have_to_be_there() -> None:
    bits = torch.tensor([[place >> bit & 1 for bit in range(6)] for place in range(64)]).float()
    assert holding(Holding(bits[:31]), bits) == []
    assert holding(Holding(bits[:32]), bits) == ["attribute 'held'"]
    assert holding(Holding(-0.0 * bits + bits), bits) == ["attribute 'held'"]


MODULE = """\
    import numpy as np
    import torch
    from sklearn.datasets import load_digits
    from torch import nn

    import holding_elsewhere

    X, Y = load_digits(return_X_y=True)
    BESIDE = X = (X / 16).astype(np.float32)

    def load():
        holding_elsewhere.rows = torch.from_numpy(X)
        return X, Y

    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.score = nn.Linear(64, 10)

        def forward(self, x):
            return self.score(x)

    class Neighbours(Plain):
        def forward(self, x):
            return self.score(x + 0.1 * torch.tanh(x @ torch.from_numpy(X).to(x).T) @ torch.from_numpy(X).to(x) / 100)

    class Elsewhere(Plain):
        def forward(self, x):
            return self.score(x + (x @ holding_elsewhere.rows.to(x).T).mean(-1, keepdim=True))

    class Kept(Plain):
        def __init__(self):
            super().__init__()
            self.register_buffer("kept", torch.from_numpy(BESIDE[100:300]))

    def plain(shape, classes): return Plain()
    def neighbours(shape, classes): return Neighbours()
    def elsewhere(shape, classes): return Elsewhere()
    def kept(shape, classes): return Kept()
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "holding_models.py").write_text(textwrap.dedent(MODULE), encoding="utf-8")
    (tmp_path / "holding_elsewhere.py").write_text("rows = None\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


def loaded(kind: str, **changes: Any) -> tuple[Any, Dataset]:
    given = {"data_source": "holding_models:load", "training_compare_nonprivate": False, **changes}
    recipe = small(model_kind=f"holding_models:{kind}", **given)
    return recipe, data.load_for(recipe)


@pytest.mark.parametrize(
    ("kind", "name"), [("neighbours", "global 'X'"), ("elsewhere", "rows'"), ("kept", "buffer 'kept'")]
)
def test_a_model_that_reaches_the_training_set_is_refused_by_check_and_run(mine: None, kind: str, name: str) -> None:
    recipe, dataset = loaded(kind)
    (problem,) = model_problems(recipe, dataset)
    assert f"model.kind=holding_models:{kind} reaches the training examples (" in problem
    assert name in problem
    with pytest.raises(RecipeError, match="reaches the training examples"):
        train.run(recipe, seed=0, out=Path("run"))
    assert not Path("run/model.pt").exists()


def test_scaling_hides_nothing_and_data_beside_a_model_that_never_names_them_are_allowed(mine: None) -> None:
    for changes in ({"data_shift": 0.5, "data_scale": 0.25}, {"data_standardize": "public"}):
        (problem,) = model_problems(*loaded("neighbours", **changes))
        assert "reaches the training examples" in problem
    assert model_problems(*loaded("plain")) == ()


YES_OR_NO = torch.tensor([[0.0], [1.0]]).repeat(200, 1)


@pytest.mark.parametrize(
    ("held", "reaches"),
    [
        (torch.zeros(10), False),  # a bias as it begins: half of all different examples
        (torch.tensor([[0.0], [1.0]]), False),
        (torch.eye(3), False),
        (YES_OR_NO, True),
        (YES_OR_NO[:200].double(), True),
    ],
)
def test_what_anybody_holds_is_no_training_set_where_different_examples_are_few(held: Tensor, reaches: bool) -> None:
    model = nn.Sequential(nn.Linear(1, 10))
    nn.init.zeros_(model[0].bias)
    model.register_buffer("held", held)
    assert holding(model, YES_OR_NO) == (["buffer 'held'"] if reaches else [])


def test_many_different_examples_of_few_numbers_are_still_met_without_their_repeats() -> None:
    bits = torch.tensor([[float(n >> k & 1) for k in range(6)] for n in range(64)])
    model = nn.Linear(6, 2)
    model.register_buffer("held", bits[:40])
    assert holding(model, bits.repeat(9, 1)) == ["buffer 'held'"]
