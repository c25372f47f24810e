"""What is printed never claims more privacy than what was proven."""

import json
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpplan.accounting.bound import Bound, Guarantee
from dpplan.compare.accountants import AccountantRow
from dpplan.mechanism import DiscreteGaussian, Laplace, Stated, StatedGdp
from dpplan.plan import Delta, Phase, Plan, Settings
from dpplan.render import (
    bound_detail_glossary,
    bound_text,
    compare_accountants,
    explanation,
    number_format,
    plan_rows,
    table,
    to_json,
)
from dpplan.sampling import Poisson

PLAN = Plan.from_training(1.1, 60_000, 256, 60)
POSITIVE = st.floats(min_value=1e-300, max_value=1e300)


def certified(lower: float, upper: float, quantity: str = "epsilon") -> Bound:
    return Bound(quantity, lower, upper, Guarantee.CERTIFIED, "exact", PLAN.assumptions)  # type: ignore[arg-type]


def upper(value: float, why: str = "", **details: object) -> Bound:
    return Bound("epsilon", None, value, Guarantee.UPPER, "rdp", PLAN.assumptions, why, details=details)


def estimate(value: float) -> Bound:
    return Bound("epsilon", None, None, Guarantee.ESTIMATE, "gdp", PLAN.assumptions, estimate=value)


@given(POSITIVE, st.integers(min_value=1, max_value=12))
def test_upper_ends_round_up_and_lower_ends_down(value: float, digits: int) -> None:
    assert (
        Fraction(float(number_format.down(value, digits)))
        <= Fraction(value)
        <= Fraction(float(number_format.up(value, digits)))
    )
    assert float(number_format.up(value, digits)) == pytest.approx(value, rel=10.0 ** (1 - digits))


@given(POSITIVE, POSITIVE)
def test_a_printed_interval_holds_the_proven_one(one: float, other: float) -> None:
    lower, upper = sorted((one, other))
    left, right = number_format.interval(lower, "ε", upper).split(" ≤ ε ≤ ")
    assert float(left) <= lower <= upper <= float(right)


@pytest.mark.parametrize(
    ("lower", "upper", "shown"),
    [
        (2.3816897261390566, 2.381689726144246, "2.38168972613 ≤ ε ≤ 2.38168972615"),
        (0.17935624097, 0.19728529481, "0.1793562 ≤ ε ≤ 0.1972853"),
        (1.0, 1.00000001, "1 ≤ ε ≤ 1.00000001"),
        (0.0, 0.0, "0 ≤ ε ≤ 0"),
        (0.0, math.inf, "0 ≤ ε ≤ inf"),
    ],
)
def test_an_interval_has_the_digits_that_tell_its_ends_apart(lower: float, upper: float, shown: str) -> None:
    assert number_format.interval(lower, "ε", upper) == shown


@pytest.mark.parametrize(
    ("value", "limit", "shown"),
    [(2.9999994, 3.0, "2.9999994"), (2.99, 3.0, "2.99"), (3.0, 3.0, "3"), (2.38168965, 2.3816897, "2.38168965")],
)
def test_what_is_spent_of_a_target_never_reads_as_more_than_it(value: float, limit: float, shown: str) -> None:
    assert number_format.up_within(value, limit) == shown


def test_durations_and_ratios_are_short() -> None:
    durations = [number_format.seconds(s) for s in (2.2e-4, 0.0163, 0.0996, 1.234, 61.2)]
    assert durations == ["0.22 ms", "16 ms", "0.1 s", "1.2 s", "61 s"]
    ratios = [number_format.ratio(r) for r in (0.976, 1.0, 62.3, 2781.4, 3.2e7)]
    assert ratios == ["0.976", "1.000", "62.3", "2781", "3.2e+07"]


def test_equality_is_claimed_only_where_the_interval_settles_it() -> None:
    assert bound_text.headline(certified(2.381689, 2.38169), 1e-5).startswith("ε = 2.38169 at δ = 1e-05 ")
    assert bound_text.headline(certified(0.17, 0.19), 1e-5).startswith("ε ≤ 0.19 at δ = 1e-05 ")
    assert bound_text.headline(certified(0.0, 1e-308, "delta"), 2.0).startswith("δ ≤ 1e-308 at ε = 2 ")
    assert bound_text.headline(upper(1.2345678), 1e-5).startswith("ε ≤ 1.23457 at δ = 1e-05 ")
    assert bound_text.headline(estimate(0.9424401), 1e-5).startswith("ε ≈ 0.942441 at δ = 1e-05 ")


@pytest.mark.parametrize("bound", [certified(2.3816897261390566, 2.381689726144246), upper(1.2), estimate(0.9)])
def test_a_headline_always_names_its_guarantee_and_fits_80_columns(bound: Bound) -> None:
    line = bound_text.headline(bound, 1.234e-7)
    assert f" {bound.guarantee}: " in line
    assert len(line) <= 80


def test_paint_marks_the_guarantee_and_nothing_else() -> None:
    bound = certified(1.0, 1.000001)
    painted = bound_text.headline(bound, 1e-5, lambda word, meaning: f"<{meaning}>{word}</>")
    assert painted.replace("<certified>", "").replace("</>", "") == bound_text.headline(bound, 1e-5)
    assert "<certified>certified</>" in painted


def test_plan_rows_carry_origin_and_assumptions() -> None:
    assert list(plan_rows.plan_rows(PLAN, [Delta(1e-6, "because"), Delta(1e-7)])) == [
        "  noise multiplier   1.1",
        "  sample rate        0.00426667       = 256 / 60000",
        "  steps              14063            = ⌈60 epochs × 60000 / 256⌉",
        "  delta              1e-06            because",
        "  assumes            Poisson sampling, add/remove one example",
    ]


def test_an_explanation_lays_out_the_error_budget_and_wraps_long_reasons() -> None:
    terms = {"aliases": 1.01e-20, "losses cut away": 0.0, "something new": 2e-12}
    bound = upper(1.0, "many words " * 20, order=8.123456789, terms=terms)
    lines = list(explanation.explanation(bound, 1e-5))
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("  why                many words")
    assert "  order              8.12346" in lines
    assert lines[-4:] == [
        "  errors in δ                at most  of δ",
        "    aliases                  1.1e-20  1.1e-15   copies of δ a period further on",
        "    losses cut away          0        0         chance of the losses left out",
        "    something new            2e-12    2e-07",
    ]
    assert "    something new            2e-12" in list(explanation.explanation(bound))


def test_no_phrase_for_an_error_term_runs_over_80_columns() -> None:
    terms = dict.fromkeys(bound_detail_glossary.TERMS, 1.2e-100)
    assert max(map(len, explanation.errors(terms, 1.1e-5, "δ"))) <= 80


def test_an_error_relative_to_delta_is_one_of_the_delta_that_was_found() -> None:
    bound = Bound(
        "delta", 1e-6, 2e-6, Guarantee.CERTIFIED, "exact", PLAN.assumptions, "grid",
        details={"method": "grid", "terms": {"lattice": 1e-6}},
    )  # fmt: skip
    assert any("lattice" in line and " 0.5 " in line for line in explanation.explanation(bound, 3.0))


def rows() -> tuple[AccountantRow, ...]:
    reason = "zcdp: a reason that is much too long for a cell of any table of eighty columns."
    edge = upper(1.2, "the largest tried, so a tighter value may lie beyond", order=1e6, conversion="cks")
    return (
        AccountantRow("exact", certified(1.0, 1.000001), None, 0.004, 1.0, False),
        AccountantRow("gdp", estimate(0.9), None, 0.0001, 0.9, True),
        AccountantRow("zcdp", None, reason, 0.0, None, False),
        AccountantRow("rdp", edge, None, 0.002, 1.2, False),
    )


def test_long_reasons_stand_below_the_table() -> None:
    lines = list(table.plain(compare_accountants.accountants(rows(), timed=True)))
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["exact", "1.00001", "1.000", "certified", "4", "ms"]
    assert lines[3].split() == ["zcdp", "-", "-", "-", "-", "refuses:", "see", "below"]
    below = "\n".join(lines[5:])
    for start in ("gdp: its ε ≈ 0.9 is below", "zcdp: a reason", "rdp: the largest tried"):
        assert f"\n{start}" in below


def test_colour_is_never_the_only_mark() -> None:
    drawn = compare_accountants.accountants(rows(), timed=False)
    for cell in (cell for row in drawn.rows for cell in row if table.COLOURS[cell.meaning]):
        assert cell.text == cell.meaning or "under-reports" in cell.text


def test_a_table_for_a_terminal_has_the_same_cells() -> None:
    from rich.console import Console

    drawn = compare_accountants.accountants(rows(), timed=True)
    console = Console(width=80, force_terminal=False)
    with console.capture() as captured:
        console.print(table.rich(drawn))
    shown = [line.split() for line in captured.get().splitlines()]
    for line in list(table.plain(drawn))[:5]:
        assert line.split() in shown


def test_json_figures_are_unrounded_and_null_where_nothing_is_proven() -> None:
    figure = to_json.figure(certified(0.9468668007642684, 0.9468668007644915))
    assert (figure["lower"], figure["upper"], figure["estimate"]) == (0.9468668007642684, 0.9468668007644915, None)
    assert (figure["guarantee"], figure["accountant"]) == ("certified", "exact")
    unproven = to_json.figure(estimate(0.9))
    assert (unproven["lower"], unproven["upper"], unproven["estimate"]) == (None, None, 0.9)


def test_json_is_strict_and_survives_a_round_trip() -> None:
    content = to_json.document(
        "epsilon", PLAN, [to_json.spent_epsilon(Delta(1e-6), upper(math.inf, order=2.0))], ["careful"]
    )
    back = json.loads(to_json.dumps(content))
    assert back["schema"] == "dpplan.epsilon/1"
    assert back["results"][0]["epsilon"]["upper"] is None
    assert back["warnings"] == ["careful"]


def test_a_quantity_that_differs_between_phases_is_null_at_the_top() -> None:
    first = PLAN.only_phase
    second = Settings(noise_multiplier=2.0, sample_rate=first.sampling.sample_rate, steps=10).plan().only_phase
    described = to_json.described(Plan((first, second)))
    assert (described["noise_multiplier"], described["sample_rate"]) == (None, first.sampling.sample_rate)
    assert [phase["noise_multiplier"] for phase in described["phases"]] == [1.1, 2.0]
    assert described["steps"] == first.steps + 10
    lines = list(plan_rows.plan_rows(Plan((first, second))))
    assert lines[:4] == [
        "  phases             2 phases         14073 steps",
        "    1     σ = 1.1        q = 0.00426667   14063 steps",
        "    2     σ = 2          q = 0.00426667   10 steps",
        "  steps              14073            in all",
    ]


def test_of_many_phases_the_first_and_the_last_are_listed_and_the_rest_counted() -> None:
    phases = tuple(Settings(noise_multiplier=1 + i, sample_rate=0.01, steps=5).plan().only_phase for i in range(100))
    lines = list(plan_rows.plan_rows(Plan(phases)))
    assert lines[5] == "    ...   95 more, σ = 5 to 99, q = 0.01"
    assert lines[6].split()[:4] == ["100", "σ", "=", "100"]
    assert len(lines) == 9


def test_of_many_phases_of_several_mechanisms_the_rest_is_named_within_the_screen() -> None:
    """Where settings of one go has nothing to do with where those of another do."""
    many = (Laplace(0.5), DiscreteGaussian(20.0, differences=(1, 2, 1)), Stated(0.1, 1e-9), StatedGdp(0.3))
    phases = tuple(Phase(many[at % 4], Poisson(1.0), 1) for at in range(12))
    lines = list(plan_rows.plan_rows(Plan(phases)))
    assert lines[5] == "    ...   7 more, laplace (2), discrete-gaussian (2), epsilon-delta (2), gdp"
    assert max(map(len, lines)) <= 80
    assert "sensitivity" not in lines[2]
    assert "differences" in lines[2]


def test_earlier_runs_stand_apart() -> None:
    plan = Plan((PLAN.only_phase, PLAN.only_phase, PLAN.only_phase))
    lines = [line.split()[:3] for line in plan_rows.plan_rows(plan, earlier=1)]
    assert lines[0] == ["earlier", "runs", "1"]
    assert lines[2] == ["this", "run", "2"]


@pytest.mark.parametrize("share", [1e-2, 1e-6, 1e-9, 1e-13])
def test_an_estimate_that_under_reports_is_shown_below_what_is_certified(share: float) -> None:
    assumed = Plan.from_rate(1.0, 0.1, 1).assumptions
    exact = Bound("epsilon", 2.6967623563733714, 2.6967623563773144, Guarantee.CERTIFIED, "exact", assumed)
    estimate = 2.6967623563733714 * (1 - share)
    gdp = Bound("epsilon", None, None, Guarantee.ESTIMATE, "gdp", assumed, estimate=estimate)
    rows = (AccountantRow("exact", exact, None, 0.0, 1.0, False), AccountantRow("gdp", gdp, None, 0.0, 1 - share, True))
    (note,) = compare_accountants.accountants(rows, timed=False).notes
    said = note.split()
    assert float(said[said.index("≈") + 1]) < float(said[said.index("certified") + 1])
