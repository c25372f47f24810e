"""What every accountant promises, whatever its mathematics. A new name in ACCOUNTANTS is held to it at once."""

import math
from itertools import pairwise

import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from dpplan.accounting import ACCOUNTANTS, Bound, Guarantee, delta, epsilon
from dpplan.errors import NotApplicable, NotCertified
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson

every_accountant = pytest.mark.parametrize("name", ACCOUNTANTS)

# The search for a split of delta or an order stops at about 1e-6; certified intervals may add their own width.
TOLERANCE = 1e-5


def rate(name: str) -> float:
    """A sample rate that the accountant has a theorem for."""
    return 1.0 if name == "zcdp" else 0.01


def plan(name: str, sigma: float = 2.0, steps: int = 500, sample_rate: float | None = None) -> Plan:
    return Plan.from_rate(sigma, rate(name) if sample_rate is None else sample_rate, steps)


def tolerance(*bounds: Bound) -> float:
    return TOLERANCE + sum(bound.relative_width or 0.0 for bound in bounds)


def assert_not_above(smaller: Bound, larger: Bound) -> None:
    assert smaller.value <= larger.value * (1 + tolerance(smaller, larger))


@pytest.mark.sweep(every=3)
@every_accountant
@pytest.mark.parametrize("steps", [1, 40, 3000])
def test_twice_k_steps_cost_what_k_and_k_steps_cost(name, steps):
    phase = plan(name, steps=steps).only_phase
    once, split = plan(name, steps=2 * steps), Plan((phase, phase))
    for ask in (lambda which: epsilon(which, 1e-6, name), lambda which: delta(which, 1.5, name)):
        whole, parts = ask(once), ask(split)
        assert whole.value == pytest.approx(parts.value, rel=tolerance(whole, parts))


@every_accountant
def test_the_order_of_phases_does_not_matter(name):
    one, two = plan(name, sigma=1.5, steps=10).only_phase, plan(name, sigma=3.0, steps=70).only_phase
    forth, back = epsilon(Plan((one, two)), 1e-6, name), epsilon(Plan((two, one)), 1e-6, name)
    assert forth.value == pytest.approx(back.value, rel=tolerance(forth, back))


@pytest.mark.sweep(every=3)
@every_accountant
def test_cost_never_falls_as_steps_rise(name):
    counts = (1, 2, 3, 10, 100, 1000, 10_000, 100_000)
    spent = [epsilon(plan(name, steps=steps), 1e-6, name) for steps in counts]
    failed = [delta(plan(name, steps=steps), 1.0, name) for steps in counts]
    for bounds in (spent, failed):
        for fewer, more in pairwise(bounds):
            assert_not_above(fewer, more)


@every_accountant
def test_cost_never_rises_as_noise_rises(name):
    bounds = [epsilon(plan(name, sigma=sigma), 1e-6, name) for sigma in (0.4, 0.5, 0.7, 1.0, 1.01, 2.0, 5.0, 40.0)]
    for quieter, noisier in pairwise(bounds):
        assert_not_above(noisier, quieter)


@pytest.mark.parametrize("name", [name for name in ACCOUNTANTS if name != "zcdp"])
def test_cost_never_falls_as_the_sample_rate_rises(name):
    rates = (1e-6, 1e-4, 1e-3, 0.01, 0.0101, 0.1, 0.5, 0.9, 0.999)
    bounds = [epsilon(plan(name, sample_rate=q), 1e-6, name) for q in rates]
    for rarer, oftener in pairwise(bounds):
        assert_not_above(rarer, oftener)


@every_accountant
def test_epsilon_never_rises_as_delta_rises_and_delta_never_rises_as_epsilon_rises(name):
    spent = [epsilon(plan(name), d, name) for d in (1e-30, 1e-12, 1e-6, 1e-5, 1e-3, 0.1)]
    failed = [delta(plan(name), e, name) for e in (0.0, 0.1, 0.5, 1.0, 4.0, 20.0)]
    for bounds in (spent, failed):
        for before, after in pairwise(bounds):
            assert_not_above(after, before)


@pytest.mark.sweep(every=3)
@every_accountant
@pytest.mark.parametrize("asked", [0.05, 1e-5, 1e-11])
def test_the_delta_of_the_epsilon_of_a_delta_is_that_delta_or_less(name, asked):
    spent = epsilon(plan(name), asked, name)
    back = delta(plan(name), spent.value, name)
    slack = 1e-3 if name in ("optimal", "advanced") else 1e-6  # two searches for a split end at two splits
    assert back.value <= asked * (1 + slack + 50 * tolerance(spent) * (name == "exact"))


@every_accountant
def test_a_bound_names_its_accountant_its_quantity_and_its_assumptions(name):
    for bound, quantity in ((epsilon(plan(name), 1e-6, name), "epsilon"), (delta(plan(name), 1.0, name), "delta")):
        assert bound.accountant == name
        assert bound.quantity == quantity
        assert bound.assumptions == plan(name).assumptions
        assert bound.why


def log_uniform(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(math.log(low), math.log(high)).map(lambda x: min(max(math.exp(x), low), high))


phases = st.builds(
    lambda q, sigma, steps: Phase(Gaussian(sigma), Poisson(q), round(steps)),
    st.just(1.0) | log_uniform(1e-9, 1.0),
    log_uniform(0.05, 1e3),
    log_uniform(1, 1e9),
)
plans = st.lists(phases, min_size=1, max_size=2).map(lambda found: Plan(tuple(found)))


def within_reach(name: str, drawn: Plan) -> Plan:
    """The optimal-composition accountant takes seconds at 1e9 steps; tests stop at 1e4."""
    if name != "optimal":
        return drawn
    return Plan(tuple(Phase(p.mechanism, p.sampling, min(p.steps, 10**4)) for p in drawn.phases))


def one_step_delta(phase: Phase, spent: float) -> mpf:
    """δ(ε) of one step of the phase, exactly: a proven lower bound on the cost of any plan holding it.

    H_{e^ε}((1 − q)·Q + q·G ‖ Q) = q·H_{(e^ε − 1 + q)/q}(G ‖ Q), and G against Q is a Gaussian mechanism.
    """
    with mp.workdps(50):
        inner = mp.log1p(mp.expm1(mpf(spent)) / mpf(phase.sampling.sample_rate))
        mu = 1 / mpf(phase.mechanism.noise_multiplier)
        if inner / mu - mu / 2 > 200:  # below 1e-8000: no float to compare with
            return mpf(0)
        return mpf(phase.sampling.sample_rate) * mp.exp(oracle.gaussian_log_delta(mu, inner))


@every_accountant
@settings(derandomize=True, deadline=None, max_examples=8)
@given(drawn=plans, asked=log_uniform(1e-100, 0.5))
def test_epsilon_over_the_whole_box_is_a_number_and_covers_a_single_step(name, drawn, asked):
    assert_epsilon_covers_a_single_step(name, drawn, asked)


@pytest.mark.slow
@every_accountant
@settings(derandomize=True, deadline=None, max_examples=100)
@given(drawn=plans, asked=log_uniform(1e-100, 0.5))
def test_so_it_is_of_many_plans(name, drawn, asked):
    assert_epsilon_covers_a_single_step(name, drawn, asked)


def assert_epsilon_covers_a_single_step(name: str, drawn: Plan, asked: float) -> None:
    drawn = within_reach(name, drawn)
    try:
        bound = epsilon(drawn, asked, name)
    except NotCertified as refusal:
        assert name == "exact" or isinstance(refusal, NotApplicable)
        assert str(refusal)
        return
    assert math.isfinite(bound.value)
    assert bound.value >= 0
    assert bound.lower is None or 0 <= bound.lower <= bound.upper
    if bound.guarantee is not Guarantee.ESTIMATE:
        cheapest = max(one_step_delta(phase, bound.upper) for phase in drawn.phases)
        assert cheapest <= asked * (1 + 1e-12)


@every_accountant
@settings(derandomize=True, deadline=None, max_examples=8)
@given(drawn=plans, asked=st.just(0.0) | log_uniform(1e-6, 1e4))
def test_delta_over_the_whole_box_is_a_probability_and_covers_a_single_step(name, drawn, asked):
    assert_delta_covers_a_single_step(name, drawn, asked)


@pytest.mark.slow
@every_accountant
@settings(derandomize=True, deadline=None, max_examples=100)
@given(drawn=plans, asked=st.just(0.0) | log_uniform(1e-6, 1e4))
def test_so_is_delta_of_many_plans(name, drawn, asked):
    assert_delta_covers_a_single_step(name, drawn, asked)


def assert_delta_covers_a_single_step(name: str, drawn: Plan, asked: float) -> None:
    drawn = within_reach(name, drawn)
    try:
        bound = delta(drawn, asked, name)
    except NotCertified as refusal:
        assert name == "exact" or isinstance(refusal, NotApplicable)
        assert str(refusal)
        return
    assert 0 <= bound.value <= 1
    assert bound.lower is None or 0 <= bound.lower <= bound.upper
    if bound.guarantee is not Guarantee.ESTIMATE:
        assert bound.upper > 0
        cheapest = max(one_step_delta(phase, asked) for phase in drawn.phases)
        assert bound.upper >= cheapest * (1 - mpf(10) ** -12)
