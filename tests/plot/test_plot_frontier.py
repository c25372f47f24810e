"""The picture of a frontier: the same bytes every time, and nothing that breaks on odd grids."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from dpplan.errors import UsageError
from dpplan.frontier import Frontier, Grid, frontier
from dpplan.plan import Settings
from dpplan.plot import frontier as plot_frontier

DELTA = 1e-5


@pytest.fixture(scope="module")
def found() -> Frontier:
    return frontier(Grid(60000, 3.0, DELTA, (512, 2048, 8192), epochs=(10, 50, 100)), compute=3e6)


@pytest.mark.sweep(slow=("png",))
@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), pytest.param("pdf", b"%PDF", marks=pytest.mark.slow)]
)
def test_the_same_frontier_gives_the_same_bytes(found: Frontier, tmp_path: Path, ending: str, start: bytes) -> None:
    for name in ("a", "b"):
        plot_frontier.draw(found, tmp_path / f"{name}.{ending}")
    assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    assert (tmp_path / f"a.{ending}").read_bytes().startswith(start)


@pytest.mark.sweep(every=3)
@pytest.mark.parametrize(
    "grid",
    [
        Grid(60000, 3.0, DELTA, (2048,), epochs=(50,)),
        Grid(60000, 3.0, DELTA, (2048, 4096), epochs=(50,)),
        Grid(60000, 3.0, DELTA, (4096,), steps=tuple(range(200, 310, 10))),
    ],
)
def test_a_grid_of_one_row_or_one_column_is_drawn_too(grid: Grid, tmp_path: Path) -> None:
    plot_frontier.draw(frontier(grid), tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 5000


@pytest.mark.slow
def test_cells_without_a_plan_are_left_blank(tmp_path: Path) -> None:
    drawn = Settings(sampling="cyclic-poisson", scheme_options=(("groups", 2), ("assignment", "own")))
    found = frontier(Grid(40, 2.0, 1e-3, (4, 8, 30), epochs=(1, 2), drawn=drawn))
    plot_frontier.draw(found, tmp_path / "map.svg")
    figure = Figure()
    plot_frontier._fill(figure, found)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[-2] == "cells that are left blank have no plan: --cells says why" and len(words) == 5
    assert "assumes Poisson sampling in 2 groups" in words[-1].replace("\n", " ")
    assert max(map(len, words[-1].splitlines())) <= 100  # more would stand beyond the edge
    assert figure.axes[0].get_xlabel() == "expected batch (examples)"


def test_another_ending_and_a_missing_folder_are_the_users_mistake(found: Frontier, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not end in \.svg, \.png or \.pdf"):
        plot_frontier.draw(found, tmp_path / "map.gif")
    with pytest.raises(UsageError, match="cannot be written"):
        plot_frontier.draw(found, tmp_path / "none" / "map.png")


def test_a_corner_of_the_grid_is_told_and_an_inner_cell_is_not() -> None:
    corner = frontier(Grid(60000, 3.0, DELTA, (512, 1024), epochs=(20, 40)))
    assert corner.corner == ("largest batch", "largest epochs")
    row = frontier(Grid(60000, 3.0, DELTA, (512, 1024), epochs=(20,)))
    assert row.corner == ("largest batch",)
    alone = frontier(Grid(60000, 3.0, DELTA, (512,), epochs=(20,)))
    assert alone.corner == ()
