"""A frontier as text: what fits on a screen holds what matters, and every figure errs on the safe side."""

import dataclasses

import pytest

from dpplan.frontier import Cell, Frontier, Grid, frontier
from dpplan.plan import Delta, Settings
from dpplan.render import frontier as render

DELTA = 1e-5


@pytest.fixture(scope="module")
def found() -> Frontier:
    return frontier(Grid(60000, 3.0, DELTA, (512, 2048, 8192), epochs=(10, 50, 100)), compute=3e6)


def large(found: Frontier) -> Frontier:
    """The same with 40 batches and 30 lengths, without solving them."""
    batches, lengths = tuple(range(100, 4100, 100)), tuple(range(1, 31))
    rows = tuple(
        tuple(
            Cell(batch, epochs, 60000 * epochs, plan(batch, epochs), found.cells[0].spent) for batch in batches
        )
        for epochs in lengths
    )  # fmt: skip
    grid = dataclasses.replace(found.grid, batch_sizes=batches, epochs=lengths)
    choice = dataclasses.replace(found.recommended, cell=rows[10][13])
    return dataclasses.replace(found, grid=grid, rows=rows, recommended=choice)


def without_compute(found: Frontier) -> Frontier:
    return dataclasses.replace(found, compute=None)


def plan(batch: int, epochs: int):
    return Settings(noise_multiplier=1.0 + epochs / 100, examples=60000, batch_size=batch, epochs=epochs).plan()


@pytest.mark.sweep(slow=("40",))
@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_large_map_is_thinned_to_the_screen_and_keeps_the_recommended_cell(found: Frontier, width: int) -> None:
    wide = large(found)
    lines = [render.plain_map(spans) for spans in render.heat_map(wide, width)]
    figures = lines[2 : 2 + render.MOST_ROWS + 1]
    assert all(len(line) <= width for line in figures)
    (chosen,) = [line for line in figures if "*" in line]
    assert chosen.split()[0] == "11"
    labels = figures[-1].split()
    assert labels[0] == "batch"
    assert {"100", "1400", "4000"} <= set(labels)


def test_figures_are_on_colours_that_darken_with_the_noise(found: Frontier) -> None:
    spans = [span for line in render.heat_map(found, 80) for span in line if span.level is not None]
    assert len(spans) == 9
    assert {span.level for span in spans} >= {0.0, 1.0}
    styles = [str(style.style) for line in render.heat_map(found, 80) for style in render.rich_map(line).spans]
    assert len(styles) == 9
    assert all(style.startswith("black on rgb(") for style in styles)


def test_the_cheapest_cell_of_hardly_more_noise_is_told_where_another_is_recommended(found: Frontier) -> None:
    cells = [cell for cell in found.cells if cell.compute <= 3e6]
    least = min(cell.effective_noise for cell in cells)
    near = [cell for cell in cells if cell.effective_noise <= 1.05 * least]
    assert found.cheapest.compute == min(cell.compute for cell in near) and found.cheapest in near
    told = "Cheapest cell within 5 % of the least effective noise of all cells: batch = "
    for cell in found.cells:
        other = dataclasses.replace(found, recommended=dataclasses.replace(found.recommended, cell=cell))
        shown = " ".join(" ".join(render.lines(other, Delta(DELTA), None)).split())
        assert (f"{told}{found.cheapest.batch_size}, " in shown) is (cell.compute != found.cheapest.compute)
        assert "100 % of the compute" not in shown
    assert render.described(found, Delta(DELTA), [], None)["cheapest"]["batch_size"] == found.cheapest.batch_size


def test_the_caveat_stands_between_how_the_cell_was_chosen_and_what_doubling_would_do(found: Frontier) -> None:
    choice = found.recommended
    shown = " ".join(" ".join(render.lines(found, Delta(DELTA), None)).split())
    assert f"{choice.why[0]} {choice.caveat} {choice.why[1]}" in shown
    assert render.described(found, Delta(DELTA), [], None)["recommended"]["caveat"] == choice.caveat
    assert choice.caveat in choice._repr_html_()


def test_what_is_beyond_the_compute_is_marked_and_explained(found: Frontier) -> None:
    lines = [render.plain_map(spans) for spans in render.heat_map(found, 80)]
    assert lines[2].count("x") == 3
    assert "x more compute than 3000000 examples" in lines


def test_a_cell_without_a_plan_has_dashes_and_its_reason(found: Frontier) -> None:
    refused = Cell(512, 10, 6e5, None, None, "no proof")
    some = dataclasses.replace(found, rows=((refused, *found.rows[0][1:]), *found.rows[1:]))
    assert "-" in render.plain_map(list(render.heat_map(some, 80))[4]).split()
    table = render.table(some, [("", refused)], None)
    assert [entry.text for entry in table.rows[0]][2:] == ["10", *["-"] * 5]
    assert table.notes[-1] == "- without a plan: no proof"
    text = "\n".join(render.plain_map(spans) for spans in render.heat_map(some, 80))
    assert "- without a plan: no proof" in text and render.mark(some, refused) == "-"
    assert "compute than None" not in "\n".join(map(render.plain_map, render.heat_map(without_compute(some), 80)))
    many = [dataclasses.replace(refused, refusal=str(at)) for at in range(5)]
    assert render.table(some, [("", each) for each in many], None).notes[-1].endswith("2 more reasons, in --json and "
                                                                                      "--csv.")  # fmt: skip
    record = render.record(some, refused)
    assert (record["refusal"], record["noise_multiplier"], record["epochs"]) == ("no proof", None, 10)
    assert ",no proof\n" in render.as_csv(some)


def test_noise_is_rounded_up_wherever_it_is_shown(found: Frontier) -> None:
    table = render.table(found, found.by_rule, 100)
    for row, (_, cell) in zip(table.rows, found.by_rule, strict=True):
        assert float(row[4].text) >= cell.noise_multiplier
        assert row[8].text == str(-(-cell.batch_size // 100))
    lines = list(render.lines(found, Delta(DELTA, "given"), None))
    ratio = next(line for line in lines if "noise-batch ratio  " in line).split()[2]
    assert float(ratio) >= found.recommended.solution.value / found.recommended.cell.batch_size
    assert [line.split() for line in lines if "  delta " in line] == [["delta", "1e-05", "given"]]
    (told,) = (line for line in render.lines(found, Delta(DELTA), None) if "  delta " in line)
    assert told.split() == ["delta", "1e-05", "as", "given"]
    assert max(map(len, lines)) <= 80
