"""What a user's own model or recipe does wrong is told as theirs, and with exit code 2: never as an internal error."""

import shlex
import textwrap
from pathlib import Path

import pytest

from dpplan import __main__ as program

MODULE = """\
    import sys
    import torch
    from torch import nn

    def few(shape, classes):
        return nn.Linear(shape[0], classes - 1)

    def one(shape, classes):
        return nn.Linear(shape[0], 1)

    def frozen(shape, classes):
        return nn.Linear(shape[0], classes).requires_grad_(False)

    def leaving(shape, classes):
        sys.exit(0)

    def normed(shape, classes):
        return torch.nn.utils.weight_norm(nn.Linear(shape[0], classes))

    class Seen(nn.Linear):
        def __init__(self, *sizes):
            super().__init__(*sizes)
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            self.seen = self.seen + x.sum()
            return super().forward(x)

    class Leaving(nn.Linear):
        def forward(self, x):
            sys.exit(0)

    def seen(shape, classes):
        return Seen(shape[0], classes)

    def leaves(shape, classes):
        return Leaving(shape[0], classes)

    def double(shape, classes):
        return nn.Linear(shape[0], classes).double()

    def with_one(made):
        def build(shape, classes):
            model = nn.Linear(shape[0], classes)
            model.register_parameter("more", nn.Parameter(made()))
            return model
        return build

    meta = with_one(lambda: torch.zeros(2, device="meta"))
    empty = with_one(lambda: torch.zeros(0))

    def meta_buffer(shape, classes):
        model = nn.Linear(shape[0], classes)
        model.register_buffer("more", torch.zeros(2, device="meta"))
        return model

    def lazy(shape, classes):
        return nn.Sequential(nn.LazyLinear(8), nn.Linear(8, classes))

    def lazy_buffer(shape, classes):
        return nn.Sequential(nn.Linear(shape[0], classes), nn.LazyBatchNorm1d())

    def inferred(shape, classes):
        with torch.inference_mode():
            return nn.Linear(shape[0], classes)

    class Unmade(nn.Module):
        def __init__(self):
            pass

    def unmade(shape, classes):
        return Unmade()

    def raising(method, after=0):
        calls = []

        def raises(self, *arguments, **keywords):
            calls.append(method)
            if len(calls) > after:
                raise ValueError("of mine")
            return getattr(nn.Linear, method)(self, *arguments, **keywords)

        Raising = type("Raising", (nn.Linear,), {method: raises})
        return lambda shape, classes: Raising(shape[0], classes)

    train, to, parameters, state_dict, children = map(raising, ("train", "to", "parameters", "state_dict", "children"))
    later = raising("named_modules", 9)

    class Cancelled(nn.Linear):
        def forward(self, x):
            import asyncio
            raise asyncio.CancelledError

    def cancelled(shape, classes):
        return Cancelled(shape[0], classes)

    def hungry(shape, classes):
        raise MemoryError
"""
RECIPE = """\
privacy: {{noise_multiplier: 1.0, clip_norm: 1.0, delta: 1e-5}}
data: {{source: blobs, examples: 200}}
model: {{kind: {kind}}}
training: {{batch_size: 20, steps: 2, optimizer: sgd, learning_rate: 0.1}}
runtime: {{device: cpu, threads: 1}}
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """The exit code and all that is said of `dpplan <command> mine.yaml` with this model."""
    (tmp_path / "model_mistakes.py").write_text(textwrap.dedent(MODULE), encoding="utf-8")
    (tmp_path / "no_python.py").write_text("def model(shape, classes)\n    return 1\n", encoding="utf-8")
    (tmp_path / "exits_at_once.py").write_text("import sys\nsys.exit(0)\n", encoding="utf-8")
    (tmp_path / "breaks_at_once.py").write_text("1 / 0\n", encoding="utf-8")
    (tmp_path / "misses_another.py").write_text("import a_module_that_nobody_has\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def call(kind: str, command: str) -> tuple[int, str]:
        (tmp_path / "mine.yaml").write_text(RECIPE.format(kind=kind), encoding="utf-8")
        code = program.run(shlex.split(f"{command} mine.yaml"))
        out, err = capsys.readouterr()
        return code, " ".join((out + err).split())

    return call


@pytest.mark.parametrize("command", ["check", "train"])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("no_python:model", "is not Python at"),
        ("no_python:model", "no_python.py:1: expected ':'."),
        ("exits_at_once:model", "exits_at_once.py:2. Let it return or raise instead."),
        ("breaks_at_once:model", "breaks_at_once.py:1: ZeroDivisionError: division by zero"),
        ("misses_another:model", "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"),
        ("model_mistakes:leaving", "ends the process at"),
        ("model_mistakes:few", "model.kind=model_mistakes:few gives each example 3 scores, and there are 4 classes."),
        ("model_mistakes:frozen", "model.kind=model_mistakes:frozen has no parameter to train"),
        ("model_mistakes:normed", "take that of torch.nn.utils.parametrizations"),
        ("model_mistakes:meta", "parameter 'more' is on the meta device"),
        ("model_mistakes:meta_buffer", "buffer 'more' is on the meta device"),
        ("model_mistakes:lazy_buffer", "buffer '1.running_mean' has a shape that is not known yet"),
        ("model_mistakes:inferred", "parameter 'weight' was made under torch.inference_mode()"),
        ("model_mistakes:unmade", "Let __init__ of each module call super().__init__() before anything else."),
        ("model_mistakes:train", "ValueError: of mine"),
        ("model_mistakes:to", "ValueError: of mine"),
        ("model_mistakes:parameters", "ValueError: of mine"),
        ("model_mistakes:state_dict", "ValueError: of mine"),
        ("model_mistakes:children", "ValueError: of mine"),
        ("model_mistakes:later", "ValueError: of mine"),
    ],
)
def test_a_model_that_cannot_be_used_is_the_users_to_mend(told, command: str, kind: str, said: str) -> None:  # type: ignore[no-untyped-def]
    code, text = told(kind, command)
    assert code == 2
    assert said in text
    assert "internal error" not in text


@pytest.mark.parametrize(("command", "code"), [("check", 1), ("train", 2)])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("model_mistakes:seen", "changes buffer 'seen' while it runs"),
        ("model_mistakes:leaves", "fails on"),
        ("model_mistakes:one", "gives each example 1 scores, and a class needs one each"),
        ("model_mistakes:empty", "whose parameter 'more' has no numbers"),
        ("model_mistakes:lazy", "layer '0' is a LazyLinear whose shape is not known yet"),
        ("model_mistakes:cancelled", "random inputs of shape (3, 10): CancelledError."),
    ],
)
def test_a_model_that_cannot_be_clipped_is_a_finding(told, command: str, code: int, kind: str, said: str) -> None:  # type: ignore[no-untyped-def]
    found, text = told(kind, command)
    assert (found, "internal error" in text) == (code, False)
    assert said in text
    assert "DP013" in text


def test_a_model_of_float64_trains(told) -> None:  # type: ignore[no-untyped-def]
    code, text = told("model_mistakes:double", "train")
    assert (code, "internal error" in text) == (0, False)


@pytest.mark.parametrize("command", ["check", "train"])
def test_memory_that_ran_out_in_a_user_s_code_is_the_machine_s(told, command: str) -> None:  # type: ignore[no-untyped-def]
    code, text = told("model_mistakes:hungry", command)
    assert (code, "memory ran out at" in text) == (5, True)
