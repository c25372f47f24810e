"""What a run makes of the arithmetic it finds: a margin that covers it, a line on the screen, and evidence on disk."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small_recipe import small

from dpplan import train
from dpplan.errors import NotCertified
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase
from dpplan.recipe import Recipe
from dpplan.sampling import Poisson
from dpplan.train import data, models
from dpplan.train.clipping import Arithmetic
from dpplan.train.clipping.rules import LARGEST_PIECE, ROUND_OFF
from dpplan.train.execution import terminal_text
from dpplan.train.machine.device import repeatable
from dpplan.train.step import trainer
from dpplan.train.step.randomness import Randomness
from dpplan.train.step.trainer import Trainer, piece_of

DATA = data.load(small().data).training


def made(recipe: Recipe) -> Trainer:
    randomness = Randomness.of(0)
    net = models.build(recipe.model, DATA.inputs.shape[1:], 10, randomness.weights, 0)
    return Trainer(net, DATA, Phase(Gaussian(1.0), Poisson(100 / 1437), 4), recipe, randomness)


def finds(seen: Arithmetic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "tried", lambda *_: seen)


def written(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))["arithmetic"]
    return found


def test_a_run_says_what_it_found(tmp_path: Path) -> None:
    report = train.run(small(training_compare_nonprivate=False), seed=0, out=tmp_path / "run")
    found = written(tmp_path / "run")
    assert found["evidence"] == "tested"
    assert found["differences"]["company"] == found["differences"]["repetition"] == 0.0
    assert (found["round_off"], found["same_bits"]) == (ROUND_OFF, report.arithmetic.same_bits)
    assert found["threads"] == 1
    (line,) = [line for line in terminal_text.report_lines(report) if line.startswith("  arithmetic")]
    assert line.startswith("  arithmetic         an example ")


WIDE = Arithmetic(place=1e-3)


@pytest.mark.parametrize("clipping", ["flat", "per-layer", "automatic", "adaptive"])
def test_a_wider_margin_shortens_gradients_and_leaves_the_claim(clipping: str, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = made(small(privacy_clipping=clipping))
    finds(WIDE, monkeypatch)
    wide = made(small(privacy_clipping=clipping))
    assert wide.round_off == WIDE.round_off(1) > ROUND_OFF
    assert wide.rule.round_off == wide.round_off  # type: ignore[attr-defined]
    assert wide.rule.sensitivity == usual.rule.sensitivity
    wide.restore(wide.state())
    assert wide.rule.round_off == wide.round_off  # type: ignore[attr-defined]
    drawn = torch.arange(60)
    shrunk = wide._clipped_sum(drawn).total[: wide.clipping.engine.size]
    longer = usual._clipped_sum(drawn).total[: usual.clipping.engine.size]
    if clipping == "automatic":  # the only one by which every gradient changes its length
        assert float(shrunk.norm() / longer.norm()) == pytest.approx((1 - wide.round_off) / (1 - ROUND_OFF), rel=1e-5)
    wide.step()


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (WIDE, "differs by up to 1.0e-03 C"),
        (WIDE, "gradients clipped to 0.96"),
        (Arithmetic(place=2e-7), "inside the margin"),
        (Arithmetic(untried="RuntimeError: no such thing"), "not tested: RuntimeError: no such thing"),
    ],
)
def test_it_never_ends_in_silence(seen: Arithmetic, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    finds(seen, monkeypatch)
    report = train.run(small(training_compare_nonprivate=False), seed=0, out=tmp_path / "run")
    lines = list(terminal_text.arithmetic_rows(report.arithmetic, report.round_off))
    assert said in " ".join(line.strip() for line in lines)
    assert set(lines) <= set(terminal_text.report_lines(report))
    assert all(len(line) <= 80 for line in lines)
    found = written(tmp_path / "run")
    assert (found["evidence"], found["why_not"]) == (("not tested", seen.untried) if seen.untried else ("tested", None))
    assert not found["same_bits"]
    assert found["round_off"] == report.round_off == seen.round_off(1)


def test_what_no_margin_covers_ends_the_run_before_its_first_step(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    finds(Arithmetic(company=1e-3), monkeypatch)
    with pytest.raises(NotCertified, match="no sensitivity can be certified"):
        train.run(small(), seed=0, out=tmp_path / "run")
    assert int((tmp_path / "run" / "steps").read_text(encoding="utf-8")) == 0


def test_company_counts_for_as_many_examples_as_a_batch_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    finds(Arithmetic(company=1e-6), monkeypatch)
    assert made(small()).round_off == Arithmetic(company=1e-6).round_off(2 * 100 + 64)


def test_no_piece_is_larger_than_its_sums_allow() -> None:
    """See SUMS in `rules`: the rows of a piece in which one example is not finite may all be rounded otherwise."""
    assert piece_of(None, 1e7, 1e9, 10**8) == piece_of(10**7, 1e7, 1e9, 10**8) == LARGEST_PIECE


def test_in_a_run_a_gpu_repeats_its_bits() -> None:
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    with repeatable():
        assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == before
