"""What is said of a figure that does not pass, or that passes unproven; and of a proof and a solution."""

import dataclasses
import re

from dpplan import accounting, solve
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.plan import Delta, Plan, Settings
from dpplan.render import limits
from dpplan.render import solve as render
from dpplan.render.plan_rows import plan_rows, sentence

PLAN = Plan.from_rate(4.0, 1.0, 7)


def bound(guarantee: Guarantee, lower: float | None, upper: float | None, estimate: float | None = None) -> Bound:
    return Bound("epsilon", lower, upper, guarantee, "toy", PLAN.assumptions, estimate=estimate)


def test_a_figure_above_the_limit_is_seen_to_be_above() -> None:
    proven = limits.exceeded(bound(Guarantee.CERTIFIED, 2.0000000001, 2.0000000002), 1e-5, 2.0)
    assert float(proven.split()[2]) > 2.0
    between = limits.exceeded(bound(Guarantee.CERTIFIED, 1.9, 2.1), 1e-5, 2.0)
    assert "is not proven to be within --max-eps 2, nor to exceed it: 1.9 ≤ ε ≤ 2.1" in between
    ends = re.findall(r"[\d.]+\d", limits.exceeded(bound(Guarantee.CERTIFIED, 4 / 3, 8 / 3), 1e-5, 2.0))[-2:]
    assert ends == ["1.333333", "2.666667"], "rounded outward, not spelt out to the last digit"
    loose = limits.exceeded(bound(Guarantee.UPPER, None, 2.1), 1e-5, 2.0)
    assert loose.endswith("This is an upper bound by toy; --accountant exact may prove less.")
    by_exact = dataclasses.replace(bound(Guarantee.UPPER, None, 2.1), accountant="exact")
    assert limits.exceeded(by_exact, 1e-5, 2.0).endswith("This is an upper bound by exact.")


def test_what_proves_nothing_says_so() -> None:
    estimate = bound(Guarantee.ESTIMATE, None, None, 1.0)
    assert "it proves nothing" in limits.unproven(estimate, 1e-5, 2.0)
    assert "was accepted as one" in limits.accepted(estimate, 1e-5)
    assert "nothing proves that ε is within" in limits.unproven(bound(Guarantee.LOWER, 1.0, None), 1e-5, 2.0)


def test_a_delta_is_held_against_one_in_n() -> None:
    found = accounting.delta(PLAN, 0.5)
    assert limits.above_one_in(found, 0.5, None) is None
    assert limits.above_one_in(found, 0.5, 2) is None
    told = limits.above_one_in(found, 0.5, 10**9)
    assert told is not None
    assert "is not below 1/n = 1e-09" in told


def test_a_solution_is_named_valued_and_seen_to_keep_its_target() -> None:
    found = solve.steps(Settings(noise_multiplier=4.0, sample_rate=1.0), 3.0, 1e-5)
    lines = list(render.lines(found, Delta(1e-5)))
    assert lines[0].startswith(f"steps = {found.value}  ")
    assert any(line.startswith(f"  next               steps {found.value + 1} would spend ε = ") for line in lines)
    described = render.described(found, Delta(1e-5))
    assert (described["unknown"], described["value"], described["target_epsilon"]) == ("steps", found.value, 3.0)
    for unknown, answered in (("examples", "n"), ("delta", "δ"), ("noise_multiplier", "noise multiplier")):
        assert render.unproven(dataclasses.replace(found, unknown=unknown)).startswith(f"{answered} = ")


def test_a_row_is_a_name_a_value_and_where_it_comes_from() -> None:
    rows = list(plan_rows(Plan.from_training(1.1, 60_000, 256, 60), [Delta(1e-6, "given")]))
    assert rows[0] == "  noise multiplier   1.1"
    assert rows[1] == "  sample rate        0.00426667       = 256 / 60000"
    assert rows[3] == "  delta              1e-06            given"
    assert max(map(len, sentence("why", "word " * 60))) <= 80
