"""An accountant answers only what it has a theorem for; foreign kinds are refused at every door."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import pytest

from dpplan import compare, curve, risk
from dpplan.accounting import ACCOUNTANTS, delta, epsilon, exact, plan_pairs
from dpplan.accounting.exact import many_plans_near_target, prove
from dpplan.accounting.exact.profile import Profile
from dpplan.adjacency import ADD_REMOVE, REPLACE_ONE, Adjacency
from dpplan.compare.plans import PlanEntry
from dpplan.errors import NotApplicable, PlanError
from dpplan.interop import dp_event, jax_plan, opacus_state
from dpplan.mechanism import Gaussian
from dpplan.mechanism.trials import Trials
from dpplan.plan import Delta, Phase, Plan
from dpplan.sampling import Binomial, Poisson, TruncatedPoisson
from dpplan.sampling import Shuffle as Shuffled


class CappedPoisson(Poisson):
    """A subclass, with the sample rate that code could be tempted to read."""

    kind: ClassVar[str] = "capped"


class ShiftedGaussian(Gaussian):
    """Likewise of the mechanism."""


@dataclass(frozen=True)
class Shuffle:
    """A scheme of another make."""

    sample_rate: float
    kind: ClassVar[str] = "shuffle"
    assumption: ClassVar[str] = "shuffled batches"

    def expected_batch(self, examples: int) -> float:
        return self.sample_rate * examples

    def batch_law(self, examples: int) -> Binomial:
        return Binomial(examples, self.sample_rate)

    def epochs(self, steps: int) -> Fraction:
        return steps * Fraction(self.sample_rate)

    def complete_epochs(self, steps: int) -> int:
        return int(steps * self.sample_rate)


@dataclass(frozen=True)
class Laplace:
    """A mechanism of another make."""

    noise_multiplier: float
    kind: ClassVar[str] = "laplace"


KNOWN = Phase(Gaussian(1.0), Poisson(0.1), 10)
FOREIGN: dict[str, Plan] = {
    "scheme": Plan((Phase(Gaussian(1.0), Shuffle(0.1), 10),)),
    "subclass of a scheme": Plan((Phase(Gaussian(1.0), CappedPoisson(0.1), 10),)),
    "mechanism": Plan((Phase(Laplace(1.0), Poisson(0.1), 10),)),
    "subclass of a mechanism": Plan((Phase(ShiftedGaussian(1.0), Poisson(0.1), 10),)),
    "unsampled mechanism": Plan((Phase(Laplace(1.0), Poisson(1.0), 10),)),
    "one phase of two": Plan((KNOWN, Phase(Gaussian(1.0), Shuffle(0.1), 10))),
    "shuffled batches under add/remove": Plan((Phase(Gaussian(1.0), Shuffled(10, "fresh"), 10),)),
    "cut batches under add/remove": Plan((Phase(Gaussian(1.0), TruncatedPoisson(0.1, 5, 50), 10),)),
    "adjacency": Plan((KNOWN,), adjacency=Adjacency("edge", "one edge", "edge", 1.0, ("remove",), public_size=False)),
    "look-alike adjacency": Plan((KNOWN,), adjacency=dataclasses.replace(ADD_REMOVE, sensitivity=2.0)),
    "unit": Plan((KNOWN,), privacy_unit="household"),
}
every_foreign = pytest.mark.parametrize("plan", FOREIGN.values(), ids=FOREIGN)

DOORS: dict[str, Callable[[Plan], object]] = {
    "exact.epsilons": lambda plan: exact.epsilons(plan, [1e-6, 1e-5]),
    "exact.epsilon": lambda plan: exact.epsilon(plan, 1e-5),
    "exact.delta": lambda plan: exact.delta(plan, 1.0),
    "prove.epsilon": lambda plan: prove.epsilon(plan, 1e-5),
    "prove.delta": lambda plan: prove.delta(plan, 1.0),
    "many_plans_near_target.estimate": lambda plan: many_plans_near_target.estimate(plan, 1e-5),
    "many_plans_near_target.epsilons_near": lambda plan: many_plans_near_target.epsilons_near(
        [Plan((KNOWN,)), plan], 1.0, 1e-5
    ),
    "many_plans_near_target.excesses": lambda plan: many_plans_near_target.excesses([plan], 1.0, 1e-5),
    "Profile.of": Profile.of,
    "risk.source_of_plan": risk.source_of_plan,
    "risk.assess": lambda plan: risk.assess(risk.source_of_plan(plan)),
    "compare.theorems": lambda plan: compare.theorems(plan, 1e-5),
    "compare.tuning": lambda plan: compare.tuning(plan, 1e-5, (Trials("geometric", 5.0),)),
    "compare.plans": lambda plan: compare.plans([PlanEntry(name, plan, Delta(1e-5)) for name in ("one", "other")]),
    "interop.dp_event": dp_event.write,
    "interop.opacus_state": opacus_state.write,
    "interop.jax_plan": jax_plan.write,
}
CURVES: dict[str, Callable[[Plan, curve.Who], curve.Curves]] = {
    "profile": lambda plan, who: curve.profile(plan, [1e-6, 1e-5], who),
    "delta_profile": lambda plan, who: curve.delta_profile(plan, [0.5, 1.0], who),
    "along": lambda plan, who: curve.along(plan, [11, 15], 1e-5, who),  # beyond the first phase
}


@every_foreign
@pytest.mark.parametrize("name", ACCOUNTANTS)
def test_every_accountant_refuses_what_it_has_no_theorem_for(name: str, plan: Plan) -> None:
    for ask in (lambda: epsilon(plan, 1e-5, name), lambda: delta(plan, 1.0, name)):
        with pytest.raises(NotApplicable, match=f"^{name}: no theorem is known here for this plan: "):
            ask()


@every_foreign
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_every_door_refuses_it(door: Callable[[Plan], object], plan: Plan) -> None:
    with pytest.raises(NotApplicable):
        door(plan)


@every_foreign
def test_a_comparison_of_accountants_has_a_refusal_in_every_row(plan: Plan) -> None:
    rows = compare.accountants(plan, 1e-5).rows
    assert {row.accountant for row in rows} == set(ACCOUNTANTS)
    assert all(row.bound is None and row.refusal for row in rows)


@pytest.mark.parametrize("name", [name for name in ACCOUNTANTS if name not in ("exact", "rdp")])
def test_a_law_that_is_no_sampled_gaussian_is_for_the_exact_and_the_rdp_accountant(name: str) -> None:
    with pytest.raises(NotApplicable, match=f"^{name}: (no theorem is known here|a phase of this plan is not known)"):
        epsilon(Plan((KNOWN,), adjacency=REPLACE_ONE), 1e-5, name)


def test_a_refusal_names_every_reason_once() -> None:
    foreign = Phase(Laplace(1.0), Shuffle(0.1), 10)
    with pytest.raises(NotApplicable) as refusal:
        epsilon(Plan((foreign, foreign), adjacency=REPLACE_ONE, privacy_unit="household"), 1e-5)
    for reason in ("mechanism=laplace", "sampling=shuffle", "privacy_unit=household"):
        assert str(refusal.value).count(reason) == 1


def test_what_is_supported_is_read_as_it_stands() -> None:
    read = plan_pairs.sampled_gaussians(Plan((KNOWN, Phase(Gaussian(2.0), Poisson(1.0), 3))), "exact")
    assert read == (plan_pairs.SampledGaussian(1.0, 0.1, 10), plan_pairs.SampledGaussian(2.0, 1.0, 3))


def test_a_phase_may_repeat_the_neighbours_of_its_plan_and_not_differ() -> None:
    same = dataclasses.replace(KNOWN, adjacency=ADD_REMOVE, privacy_unit="example")
    assert epsilon(Plan((same,)), 1e-5) == epsilon(Plan((KNOWN,)), 1e-5)
    other = dataclasses.replace(KNOWN, adjacency=REPLACE_ONE, privacy_unit="household")
    with pytest.raises(PlanError) as error:
        Plan((KNOWN, other))
    assert [problem.split("=")[0] for problem in error.value.problems] == [
        "phases[1].adjacency",
        "phases[1].privacy_unit",
    ]


@every_foreign
@pytest.mark.parametrize("draw", CURVES.values(), ids=CURVES)
def test_a_curve_of_a_foreign_plan_has_no_point(draw: Callable[[Plan, curve.Who], curve.Curves], plan: Plan) -> None:
    drawn = draw(plan, {name: {} for name in ACCOUNTANTS})
    assert set(drawn.series) == set(ACCOUNTANTS)
    assert all(bound is None for bounds in drawn.series.values() for bound in bounds)
