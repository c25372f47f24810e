"""One run under every sampling scheme and relation: figures, noise that pays for it, refusals, and loaders by name."""

from fractions import Fraction
from pathlib import Path

import pytest

from dpplan import accounting, compare, solve
from dpplan.adjacency import ADJACENCIES
from dpplan.compare.samplers import SamplerComparison, _noise, _row
from dpplan.errors import PlanError
from dpplan.plan import Plan, Settings
from dpplan.plot import samplers as drawing
from dpplan.render import compare_samplers as render
from dpplan.render.table import plain
from dpplan.sampling import CHOICES, LOADERS
from dpplan.solve import candidate_values

RUN = Settings(noise_multiplier=2.0, examples=40, batch_size=10, epochs=1)


@pytest.fixture(scope="module")
def found() -> SamplerComparison:
    return compare.samplers(RUN.with_(scheme_options=(("cap", 18),)), 1e-3, noise=False)


def test_every_scheme_stands_under_every_relation_or_says_what_it_needs(found: SamplerComparison) -> None:
    seen = {row.sampling for row in found.rows} | {each.partition(":")[0] for each in found.left_out}
    assert seen == set(CHOICES)
    for name in {row.sampling for row in found.rows}:
        assert [row.adjacency for row in found.rows if row.sampling == name] == list(ADJACENCIES.values())
    assert any(each.startswith("cyclic-poisson: groups is missing") for each in found.left_out)


def test_a_figure_is_that_of_its_plan_and_a_refusal_says_why(found: SamplerComparison) -> None:
    for row in found.rows:
        assert (row.bound is None) == bool(row.refusal) and row.plan is not None
        if row.bound is not None and row.sampling in ("poisson", "full-batch"):
            assert row.bound.value == accounting.epsilon(row.plan, 1e-3).value
    assert found.ratio(found.rows[0]) == 1.0
    refused = {(row.sampling, str(row.adjacency)): row.refusal for row in found.rows if row.bound is None}
    assert refused["shuffle", "add/remove"].startswith("whoever is removed moves the others")


@pytest.mark.slow
def test_the_noise_that_is_needed_meets_the_usual_figure() -> None:
    compared = compare.samplers(RUN, 1e-3)
    for row in compared.rows:
        if row.sampling not in ("poisson", "fixed-size", "full-batch") or row.bound is None or row.plan is None:
            continue
        assert row.noise_needed is not None and row.bound.upper is not None
        assert row.noise_needed >= 2.0 or row.bound.upper < compared.usual.value
        drawn = RUN.with_(sampling=row.sampling, adjacency=row.adjacency, noise_multiplier=row.noise_needed)
        plan = drawn.with_(batch_size=40 if row.sampling == "full-batch" else 10).plan()
        assert accounting.epsilon(plan, 1e-3).value <= compared.usual.value
    fixed = next(row for row in compared.rows if row.sampling == "fixed-size")
    assert fixed.noise_needed == 4.0, "batches of a fixed size under add/remove cost what half the noise does"


@pytest.mark.slow
def test_a_scheme_that_is_cheaper_needs_less_noise_than_the_run_has() -> None:
    run = Settings(noise_multiplier=1.5, examples=40, batch_size=20, epochs=1)
    usual = accounting.epsilon(run.plan(), 1e-3)
    bins = run.with_(sampling="balls-in-bins", adjacency=ADJACENCIES["zero_out"])
    row = _row(bins, usual, 1e-3, True)
    assert row.noise_needed is not None and row.noise_needed < 1.5
    found = solve.noise(bins.with_(noise_multiplier=None), usual.value, 1e-3).value
    assert row.noise_needed == candidate_values.decimal(candidate_values.decimal_above(float(found), 4), 4)
    assert _row(run, usual, 1e-3, True).noise_needed == 1.5
    dearer = _row(run.with_(adjacency=ADJACENCIES["replace_one"]), usual, 1e-3, True)
    assert dearer.noise_needed is not None and dearer.noise_needed > 1.5


def test_noise_of_more_digits_than_are_searched_is_enough_where_it_costs_no_more() -> None:
    settings = Settings(noise_multiplier=1.23456, sample_rate=0.5, steps=2)
    spends = accounting.epsilon(settings.plan(), 1e-3).value
    assert _noise(settings, spends, spends * (1 + 1e-9), 1e-3) == 1.23456
    assert _noise(settings, spends, spends * (1 - 1e-9), 1e-3) == 1.235


def test_the_table_marks_what_a_loader_draws_by(found: SamplerComparison, tmp_path: Path) -> None:
    text = "\n".join(plain(render.table(found, "torch-shuffle")))
    assert "shuffle *" in text and "it draws by shuffle" in text.replace("\n  ", " ")
    weighted = "\n".join(render.loader_words("weighted"))
    assert "nothing is proven of it; draw by poisson" in weighted
    content = render.document(found, "torch-shuffle")
    assert content["loader"]["scheme"] == "shuffle" and len(content["results"]) == len(found.rows)
    drawing.draw(found, tmp_path / "samplers.svg")
    assert (tmp_path / "samplers.svg").stat().st_size > 1000


def test_a_scheme_without_a_figure_stands_in_the_table_and_why_below_it() -> None:
    """Batches of 12 of 40 are no whole number of steps: balls in bins is left out, and what to type is told."""
    compared = compare.samplers(RUN.with_(batch_size=12), 1e-3, noise=False)
    lines = list(plain(render.table(compared, "torch-shuffle")))
    table = [line.split() for line in lines[: lines.index("")]]
    assert list(dict.fromkeys(row[0] for row in table[1:])) == list(CHOICES)
    assert ["balls-in-bins", "left", "out"] in table and ["shuffle", "*", "add/remove", "refused"] in table
    for row in compared.rows:
        assert row.bound is not None or row.refusal in " ".join(" ".join(lines).split())
    words = " ".join(" ".join(lines).split())
    assert "left out: balls-in-bins: batch=12 of n=40 gives n / batch = 3.33333 steps of an epoch" in words
    assert "Try --q 1/3 or --q 1/4 in place of --batch." in words


def test_loaders_draw_by_schemes_that_can_be_asked_for() -> None:
    assert {loader.scheme or loader.nearest for loader in LOADERS.values()} <= {*CHOICES, "balls-in-bins"}


def test_a_run_without_n_and_batch_is_incomplete() -> None:
    with pytest.raises(PlanError, match="n is missing"):
        compare.samplers(Settings(noise_multiplier=1.0, sample_rate=0.1, steps=5), 1e-3)
    with pytest.raises(PlanError, match=r"batch is missing: .* Give --batch, or --q\."):
        compare.samplers(Settings(noise_multiplier=1.0, examples=40, steps=5), 1e-3)


@pytest.mark.slow
def test_a_rate_and_n_are_the_batch_that_they_make(found: SamplerComparison) -> None:
    """A quarter of 40 is the batch of RUN, full batches take all of them."""
    by_rate = RUN.with_(batch_size=None, sample_rate=Fraction(1, 4), scheme_options=(("cap", 18),))
    again = compare.samplers(by_rate, 1e-3, noise=False)
    assert [(row.sampling, row.bound) for row in again.rows] == [(row.sampling, row.bound) for row in found.rows]
    assert again.left_out == found.left_out


def test_a_rate_whose_batch_is_not_whole_has_balls_in_bins() -> None:
    """What is advised where n / batch is not whole: 40 examples in 3 steps, exactly."""
    rate = RUN.with_(batch_size=None, sample_rate=Fraction(1, 3))
    compared = compare.samplers(rate, 1e-3, noise=False, loader="torch-shuffle")
    steps = {row.sampling: row.plan.steps for row in compared.rows if row.plan is not None}
    assert steps["balls-in-bins"] == steps["shuffle"] == 3
    assert any(each.startswith("fixed-size: q=1/3 of n=40 is no whole batch") for each in compared.left_out)


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(("batch", "each"), [(12, 3), (10, 4)])
def test_the_rows_of_a_loader_are_of_what_it_runs(batch: int, each: int) -> None:
    """40 examples in full batches of 12 are 3 steps, and 4 are in none of them: no lower end is proven."""
    compared = compare.samplers(RUN.with_(batch_size=batch), 1e-3, noise=False, loader="drop-last")
    rows = [row for row in compared.rows if row.sampling == "shuffle" and row.bound is not None]
    assert len(rows) == 2
    for row in rows:
        assert row.plan is not None and row.plan.steps == each and row.bound is not None
        assert (row.bound.lower is None) == (batch == 12) and row.bound.upper is not None
    text = " ".join("\n".join(plain(render.table(compared, "drop-last"))).split())
    assert ("The rows marked * are of what it runs: 3 steps per epoch, 3 in all." in text) == (batch == 12)


@pytest.mark.slow
def test_the_rows_of_opacus_are_of_its_own_rate() -> None:
    compared = compare.samplers(RUN.with_(batch_size=12, epochs=2), 1e-3, noise=False, loader="opacus")
    row = compared.rows[0]
    assert row.sampling == "poisson" and row.plan is not None and row.bound is not None
    assert row.plan.steps == 8 and row.plan.only_phase.sampling.expected_batch(40) == 10
    assert compared.usual.value != row.bound.value == accounting.epsilon(Plan.from_rate(2.0, 0.25, 8), 1e-3).value
    rounded = compare.samplers(RUN.with_(examples=930, batch_size=10), 1e-3, noise=False, loader="opacus")
    by_rate = RUN.with_(examples=930, batch_size=None, sample_rate=Fraction(1, 93))
    for each in (rounded, compare.samplers(by_rate, 1e-3, noise=False, loader="opacus")):
        text = " ".join("\n".join(plain(render.table(each, "opacus"))).split())
        assert "The rows marked * are of what it runs: 92 steps per epoch, " in text
