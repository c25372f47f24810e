"""One plan through every accountant: rows, refusals, under-reporting, and curves."""

import pytest

from dpplan import accounting, compare
from dpplan.accounting import Guarantee
from dpplan.errors import PlanError, UsageError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

DELTA = 1e-5
SAMPLED = Plan.from_rate(1.1, 0.01, 5000)
FULL_BATCH = Plan.from_rate(4, 1, 50)


def rows(plan, **options):
    return {row.accountant: row for row in compare.accountants(plan, DELTA, **options).rows}


def test_every_accountant_has_a_row_in_the_order_of_the_table():
    comparison = compare.accountants(SAMPLED, DELTA)
    assert [row.accountant for row in comparison.rows] == list(accounting.ACCOUNTANTS)
    assert (comparison.plan, comparison.at) == (SAMPLED, DELTA)


def test_rows_hold_what_the_accountants_say_and_its_ratio_to_the_exact_one():
    found = rows(SAMPLED)
    exact = accounting.epsilon(SAMPLED, DELTA)
    assert found["exact"].bound == exact
    assert found["exact"].ratio == 1
    for name in ("rdp", "moments", "optimal", "advanced", "basic"):
        bound = accounting.epsilon(SAMPLED, DELTA, name)
        assert found[name].bound == bound
        assert found[name].ratio == bound.upper / exact.upper > 1
        assert found[name].refusal is None


def test_a_refusal_is_a_row_with_the_reason():
    row = rows(SAMPLED)["zcdp"]
    assert row.bound is None
    assert row.ratio is None
    assert "sampling" in row.refusal


def test_an_estimate_below_the_certified_lower_bound_under_reports():
    found = rows(SAMPLED)
    assert found["gdp"].bound.guarantee is Guarantee.ESTIMATE
    assert found["gdp"].bound.estimate < found["exact"].bound.lower
    assert found["gdp"].under_reports
    assert [name for name, row in found.items() if row.under_reports] == ["gdp"]


def test_an_estimate_above_the_truth_does_not_under_report():
    found = rows(Plan.from_rate(0.3, 0.01, 2000))
    assert found["gdp"].bound.estimate > found["exact"].bound.upper
    assert not found["gdp"].under_reports


def test_nothing_under_reports_without_sampling_where_gdp_is_exact():
    found = rows(FULL_BATCH)
    assert found["gdp"].bound.guarantee is Guarantee.CERTIFIED
    assert not any(row.under_reports for row in found.values())
    assert found["zcdp"].ratio > 1


def test_there_is_no_ratio_to_an_epsilon_of_zero():
    found = rows(Plan.from_rate(1, 1e-10, 10))
    assert found["exact"].bound.upper == 0
    assert all(row.ratio is None for row in found.values())


def test_options_go_to_the_accountant_they_name():
    classic = rows(SAMPLED, options={"rdp": {"conversion": "classic"}})
    assert classic["rdp"].bound == accounting.epsilon(SAMPLED, DELTA, "rdp", conversion="classic")
    assert classic["moments"].bound == rows(SAMPLED)["moments"].bound


def test_options_of_an_unknown_accountant_are_refused_with_a_suggestion():
    with pytest.raises(UsageError, match="Did you mean 'rdp'"):
        compare.accountants(SAMPLED, DELTA, {"rpd": {}})


def test_a_delta_outside_its_range_is_refused():
    with pytest.raises(PlanError, match="delta=1"):
        compare.accountants(SAMPLED, 1)
    with pytest.raises(PlanError, match="delta=0"):
        compare.curves(SAMPLED, 0)


def test_time_is_measured():
    assert all(row.seconds > 0 for row in rows(SAMPLED).values())


# Curves


def test_curves_run_to_the_end_of_the_plan_where_they_agree_with_the_rows():
    data = compare.curves(SAMPLED, DELTA, points=3)
    assert data.x_name == "epochs"
    assert data.x == pytest.approx((16.67, 33.34, 50.0))
    found = rows(SAMPLED)
    for name, bounds in data.series.items():
        assert len(bounds) == 3
        if found[name].bound is None:
            assert bounds[-1] is None
        else:
            assert bounds[-1].value == found[name].bound.value


def test_curves_never_fall():
    data = compare.curves(FULL_BATCH, DELTA, points=6)
    for bounds in data.series.values():
        values = [bound.value for bound in bounds]
        assert values == sorted(values)


def test_curves_of_few_steps_have_a_point_for_each():
    data = compare.curves(Plan.from_rate(4, 1, 3), DELTA, points=40)
    assert data.x == (1, 2, 3)


def test_curves_of_several_phases_go_through_them_in_order():
    first, second = Phase(Gaussian(4), Poisson(1.0), 4), Phase(Gaussian(8), Poisson(1.0), 4)
    data = compare.curves(Plan((first, second)), DELTA, points=2)
    assert data.x == (4, 8)
    assert data.series["exact"][0].value == accounting.epsilon(Plan((first,)), DELTA).value
    assert data.series["exact"][1].value == accounting.epsilon(Plan((first, second)), DELTA).value


def test_curves_report_their_progress():
    seen = []
    compare.curves(FULL_BATCH, DELTA, points=2, progress=lambda done, total: seen.append((done, total)))
    total = 2 * len(accounting.ACCOUNTANTS)
    assert seen == [(done, total) for done in range(1, total + 1)]


def test_curves_need_a_whole_number_of_points():
    with pytest.raises(UsageError, match="points=0"):
        compare.curves(SAMPLED, DELTA, points=0)
