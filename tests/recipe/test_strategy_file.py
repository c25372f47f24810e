"""Strategies in files: what is read of each kind of file, and a sentence for each that is wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dpplan import accounting
from dpplan.errors import PlanError
from dpplan.mechanism import Correlation, MatrixNoise, ToeplitzNoise
from dpplan.recipe import noise_block, plan_file, strategy_file

TOEPLITZ = np.tri(6) - np.tri(6, k=-1) + 0.5 * (np.tri(6, k=-1) - np.tri(6, k=-2))
BANDED = TOEPLITZ * np.arange(1.0, 7.0)[:, np.newaxis]
DENSE = np.tri(6) * np.linspace(1.0, 2.0, 36).reshape(6, 6)


def saved(folder: Path, name: str, content: Any) -> Path:
    file = folder / name
    if isinstance(content, str | bytes):
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    elif name.endswith(".npy"):
        np.save(file, content)
    else:
        np.savetxt(file, content, delimiter="," if name.endswith(".csv") else " ", header="a strategy")
    return file


@pytest.mark.parametrize("name", ["c.npy", "c.csv", "c.txt"])
def test_each_kind_of_file_gives_the_same_strategy(name: str, tmp_path: Path) -> None:
    assert strategy_file.read(saved(tmp_path, name, TOEPLITZ)).settings == {"coefficients": (1.0, 0.5)}
    assert strategy_file.read(saved(tmp_path, name, np.array([1.0, 0.5, 0.25, 0.0]))).settings == {
        "coefficients": (1.0, 0.5, 0.25)
    }
    read = strategy_file.read(saved(tmp_path, name, BANDED)).settings
    assert read["bands"] == 2 and read["entries"][:4] == (0.0, 1.0, 1.0, 2.0)
    dense = MatrixNoise(1.0, **strategy_file.read(saved(tmp_path, name, DENSE)).settings)
    assert dense.rows == dense.bands == 6 and dense.entries[-6:] == tuple(DENSE[-1].tolist())


@pytest.mark.parametrize("array", [np.asfortranarray(DENSE), DENSE.astype(">f8"), DENSE.astype("f4")])
def test_arrays_of_numpy_are_read_however_they_lie_in_memory(array: Any, tmp_path: Path) -> None:
    read = strategy_file.read(saved(tmp_path, "c.npy", array)).settings
    assert read["entries"][-6:] == pytest.approx(DENSE[-1], rel=1e-7)


WRONG: dict[str, tuple[str, Any, str]] = {
    "not square": ("c.npy", DENSE[:, :4], "is not square: 6 rows, and row 1 has 4 columns"),
    "ragged": ("c.csv", "1,0\n1\n", "is not square: 2 rows, and row 2 has 1 columns"),
    "not lower triangular": ("c.npy", DENSE.T, "is not lower triangular: 1.1714285714285715 stands in row 1, column 2"),
    "not a number": ("c.npy", DENSE * np.nan, "holds nan in row 1, column 1"),
    "infinite": ("c.txt", "1 0\ninf 1\n", "holds inf in row 2, column 1"),
    "no inverse": ("c.csv", "1,0\n1,0\n", "the diagonal is 0 in row 2: C has no inverse"),
    "a column that begins with 0": ("c.txt", "0\n1\n", "begins with 0: the diagonal of C has to be above 0"),
    "words": ("c.csv", "1,0\none,1\n", ":2: one is not a number"),
    "an empty cell": ("c.csv", "1,0\n1,,1\n", ":2: an empty cell is not a number"),
    "nothing": ("c.txt", "# C\n\n", "is empty. Write the rows of C"),
    "not text": ("c.txt", b"\xff\xfe\x00", "is not text"),
    "not of numpy": ("c.npy", b"PK\x03\x04", "is not what numpy.save writes"),
    "half of a file": ("c.npy", b"", "is not what numpy.save writes"),
    "whole numbers": ("c.npy", np.eye(3, dtype=np.int64), "holds numbers of type <i8"),
    "objects": ("c.npy", np.array([{}, 1], dtype=object), "holds numbers of type |O"),
    "three dimensions": ("c.npy", np.ones((2, 2, 2)), "has the shape [2, 2, 2]"),
    "another ending": ("c.mat", "1", "does not end in .npy, .csv, .txt"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_is_no_strategy_is_told_what_is_wrong(name: str, tmp_path: Path) -> None:
    file, content, sentence = WRONG[name]
    with pytest.raises(PlanError) as raised:
        strategy_file.read(saved(tmp_path, file, content))
    assert sentence in str(raised.value) and str(tmp_path / file) in str(raised.value)


def test_files_that_are_too_large_or_not_there_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlanError, match=r"no such file. A strategy's path is seen from the folder of the file that"):
        strategy_file.read(tmp_path / "none.npy")
    half = saved(tmp_path, "half.npy", DENSE)
    half.write_bytes(half.read_bytes()[:-8])
    with pytest.raises(PlanError, match="is not whole: 280 bytes"):
        strategy_file.read(half)
    monkeypatch.setattr(strategy_file, "MOST_ENTRIES", 30)
    with pytest.raises(PlanError, match="is too large: 6 rows of 6 bands are more than 30 numbers"):
        strategy_file.read(saved(tmp_path, "c.npy", DENSE))
    monkeypatch.setattr(strategy_file, "MOST_BYTES", 100)
    with pytest.raises(PlanError, match="is larger than 100 bytes"):
        strategy_file.read(tmp_path / "c.npy")


def phases(folder: Path, mechanism: str, more: str = "steps: 6") -> Path:
    file = folder / "plan.yaml"
    file.write_text(f"adjacency: zero_out\nphases:\n  - {{mechanism: {{{mechanism}}}, {more}}}\n")
    return file


def test_a_plan_names_the_file_beside_it(tmp_path: Path) -> None:
    saved(tmp_path, "c.npy", BANDED)
    told = "noise_multiplier: 4, participations: 2, separation: 3, strategy: c.npy"
    made = plan_file.read(phases(tmp_path, f"kind: matrix, {told}")).plan
    assert isinstance(made.only_phase.mechanism, MatrixNoise)
    bound = accounting.epsilon(made, 1e-6)
    assert bound.lower is not None and bound.lower > 0  # bands no wider than steps are apart: exact
    saved(tmp_path, "c.npy", TOEPLITZ)
    for kind in ("matrix", "toeplitz"):
        found = plan_file.read(phases(tmp_path, f"kind: {kind}, {told}")).plan.only_phase.mechanism
        assert found == ToeplitzNoise(4.0, coefficients=(1.0, 0.5), participations=2, separation=3)


def test_a_square_strategy_is_for_as_many_steps_as_it_has_rows(tmp_path: Path) -> None:
    """Also one that is the same along its diagonals: it might begin anew. Its first column holds for any length."""
    told = "kind: matrix, noise_multiplier: 4, strategy: c.npy"
    rows = len(TOEPLITZ)
    for steps in (rows - 1, rows + 4):
        saved(tmp_path, "c.npy", TOEPLITZ)
        with pytest.raises(PlanError, match=f"the strategy has {rows} rows, and the phase {steps} steps"):
            plan_file.read(phases(tmp_path, told, f"steps: {steps}"))
        noise = noise_block.resolved(Correlation("matrix", strategy="c.npy"), tmp_path)
        assert "rows, one for each step" in " ".join(noise.problems(steps)) and not noise.problems(rows)
        saved(tmp_path, "c.npy", TOEPLITZ[:, :1])
        assert plan_file.read(phases(tmp_path, told, f"steps: {steps}")).plan.only_phase.steps == steps
        assert not noise_block.resolved(Correlation("matrix", strategy="c.npy"), tmp_path).problems(steps)


@pytest.mark.parametrize(
    ("mechanism", "more", "sentence"),
    [
        ("kind: matrix, noise_multiplier: 4", "steps: 6", "mechanism.strategy is missing: matrix needs the file"),
        ("kind: matrix, noise_multiplier: 4, strategy: [c.npy]", "steps: 6", "is not the name of a file"),
        ("kind: matrix, noise_multiplier: 4, strategy: d.npy", "steps: 6", "d.npy: no such file"),
        ("kind: matrix, noise_multiplier: 4, strategy: c.npy", "steps: 7", "has 6 rows, and the phase 7 steps"),
        ("kind: matrix, noise_multiplier: 4, strategy: c.npy", "name: a", "and the phase 1 step. Give steps: 6"),
        ("kind: matrix, strategy: c.npy", "steps: 6", "noise_multiplier is missing: matrix needs it"),
        ("kind: tree, noise_multiplier: 4, strategy: c.npy", "steps: 6", "strategy is not one of: kind"),
        ("kind: toeplitz, noise_multiplier: 4, strategy: c.npy", "steps: 6", "the strategy is for kind: matrix"),
    ],
)
def test_what_does_not_fit_is_told_with_its_line(mechanism: str, more: str, sentence: str, tmp_path: Path) -> None:
    saved(tmp_path, "c.npy", BANDED)
    with pytest.raises(PlanError) as raised:
        plan_file.read(phases(tmp_path, mechanism, more))
    assert sentence in str(raised.value) and "plan.yaml:3" in str(raised.value), str(raised.value)
