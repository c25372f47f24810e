"""What a page is computed from is told to whoever waits, and its chart ends at the figure that is stated."""

from dpplan.accounting import exact
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.report import page
from dpplan.sampling import Poisson


def test_what_is_computed_is_told_and_the_chart_ends_at_the_figure() -> None:
    said: list[str] = []
    plan = Plan((Phase(Gaussian(2.0), Poisson(0.01), 100),))
    made = page.of_plan("plan", plan, {}, 1e-6, told=said.append)
    assert made.over[-1] == (100, made.bound.value) == (100, exact.epsilon(plan, 1e-6).value)
    assert said[0] == "ε of the plan" and said[-1] == "what that means for a person"
    assert f"ε after 100 of 100 steps, {len(made.over) - 1} of {len(made.over) - 1}" in said
