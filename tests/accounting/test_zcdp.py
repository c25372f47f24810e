import math

import pytest

from dpplan.accounting import Guarantee, gdp, zcdp
from dpplan.errors import NotApplicable, UsageError
from dpplan.mechanism import Gaussian
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson


def plan_of(rho: float) -> Plan:
    return Plan.from_rate(math.sqrt(0.5 / rho), 1.0, 1)


@pytest.mark.parametrize("rho", [5e-7, 0.01, 0.5, 2.6, 1e3, 1e11])
@pytest.mark.parametrize("delta", [0.5, 1e-5, 1e-30, 1e-100])
def test_epsilon_is_above_the_exact_value_and_below_the_classic_one(rho, delta):
    plan = plan_of(rho)
    tight, classic = zcdp.epsilon(plan, delta).upper, zcdp.epsilon(plan, delta, conversion="classic").upper
    assert gdp.epsilon(plan, delta).lower <= tight <= classic
    assert classic == pytest.approx(rho + 2 * math.sqrt(rho * math.log(1 / delta)), rel=1e-12)


@pytest.mark.parametrize("rho", [5e-7, 0.01, 0.5, 2.6, 1e3])
@pytest.mark.parametrize("epsilon", [0.0, 1e-3, 1.0, 50.0, 1e4])
def test_delta_is_above_the_exact_value(rho, epsilon):
    plan = plan_of(rho)
    for conversion in ("cks", "classic"):
        assert gdp.delta(plan, epsilon).lower <= zcdp.delta(plan, epsilon, conversion=conversion).upper <= 1


def test_tight_conversion_is_the_least_over_all_orders():
    # ρ = 2.63, δ = 1e-10: a dense scan of ρa + log(1 − 1/a) − log(δa)/(a − 1)
    scan = min(
        2.63 * a + math.log1p(-1 / a) - math.log(1e-10 * a) / (a - 1)
        for a in (1 + 10 ** (exponent / 2000) for exponent in range(-4000, 8000))
    )
    found = zcdp.epsilon(plan_of(2.63), 1e-10).upper
    assert scan - 1e-6 < found <= scan + 1e-12


def test_rho_adds_up_over_phases():
    phases = tuple(Phase(Gaussian(sigma), Poisson(1.0), steps) for sigma, steps in ((5.0, 3), (8.0, 5)))
    bound = zcdp.epsilon(Plan(phases), 1e-6)
    assert bound.guarantee is Guarantee.UPPER
    assert bound.details["rho"] == pytest.approx(3 / 50 + 5 / 128)


def test_sampling_is_refused_with_the_reason():
    phases = (Phase(Gaussian(1.0), Poisson(1.0), 1), Phase(Gaussian(1.0), Poisson(0.25), 1))
    for ask in (lambda: zcdp.epsilon(Plan(phases), 1e-5), lambda: zcdp.delta(Plan(phases), 1.0)):
        with pytest.raises(NotApplicable, match=r"sample_rate=0\.25"):
            ask()


def test_a_delta_too_small_for_a_float_is_not_rounded_to_zero():
    bound = zcdp.delta(plan_of(1e-3), 1e4)
    assert bound.upper > 0
    assert bound.details["log_delta"] < -1e6


def test_an_unknown_conversion_is_named():
    with pytest.raises(UsageError, match="conversion=tight"):
        zcdp.epsilon(plan_of(1.0), 1e-5, conversion="tight")
