"""What `dpplan epsilon` and `dpplan delta` compute, before anything is shown."""

from dataclasses import replace

import pytest

import dpplan
from dpplan import accounting
from dpplan.accounting import rdp
from dpplan.accounting.bound import Guarantee
from dpplan.checks import show
from dpplan.commands.shared import unsaid_accountant
from dpplan.commands.shared.accountant_option import EXACT, AccountantChoice
from dpplan.commands.shared.cost import CostRequest, compute, digits_wanted, proof_problems
from dpplan.commands.shared.request import Request
from dpplan.errors import InternalError, NotCertified
from dpplan.mechanism import Exponential, Laplace, NoisyMax, StatedZcdp
from dpplan.plan import Phase, Plan
from dpplan.render import limits
from dpplan.sampling import Poisson
from dpplan.verdict import Standing, judge

PLAN = Plan.from_rate(4.0, 1.0, 7)
LONGER = Plan((*PLAN.phases, *PLAN.phases))


def quiet(sentence: str) -> None:
    return None


def test_one_accountant_answers_at_every_place_and_for_earlier_runs_alone() -> None:
    found = compute(CostRequest(Request(LONGER, (), (), earlier=1), "delta", (1.0, 2.0), EXACT), quiet)
    assert found.bounds == found.held == tuple(accounting.delta(LONGER, at) for at in (1.0, 2.0))
    assert found.alone == tuple(accounting.delta(PLAN, at) for at in (1.0, 2.0))
    assert (found.proofs, found.comparisons) == ((), ())


def test_who_waits_is_told_what_is_computed() -> None:
    said: list[str] = []
    compute(CostRequest(Request(LONGER, (), (), earlier=1), "delta", (1.0, 2.0), EXACT), said.append)
    both = [f"figure {number} of 2" for number in (1, 2)]
    assert said == [f"2 phases, {each}" for each in both] + [
        f"the earlier runs alone, 1 phase, {each}" for each in both
    ]
    said.clear()
    compute(CostRequest(Request(PLAN, (), ()), "delta", (1.0,), EXACT), said.append)
    assert said == []


def test_of_all_accountants_the_one_that_proves_most_is_held() -> None:
    found = compute(CostRequest(Request(PLAN, (), ()), "epsilon", (1e-5,), AccountantChoice("all", {})), quiet)
    (comparison,) = found.comparisons
    least = min(row.bound.value for row in comparison.rows if row.bound is not None and row.bound.upper is not None)
    assert [bound.value for bound in found.held] == [least]


def test_what_one_accountant_was_told_reaches_it() -> None:
    told = AccountantChoice("rdp", {"conversion": "classic"})
    (bound,) = compute(CostRequest(Request(PLAN, (), ()), "epsilon", (1e-5,), told), quiet).held
    assert bound == accounting.epsilon(PLAN, 1e-5, "rdp", conversion="classic")


def test_a_refusal_is_no_answer() -> None:
    sampled = Request(Plan.from_rate(4.0, 0.1, 7), (), ())
    with pytest.raises(NotCertified, match="zcdp"):
        compute(CostRequest(sampled, "epsilon", (1e-5,), AccountantChoice("zcdp", {})), quiet)


def test_a_proof_is_of_the_exact_accountant_and_of_some_digits() -> None:
    assert [digits_wanted(each) for each in ((False, None), (True, None), (True, 20.0))] == [None, 12, 20]
    assert proof_problems((True, 20), EXACT) == []
    assert len(proof_problems((False, 101), AccountantChoice("rdp", {}))) == 2
    assert proof_problems((True, None), AccountantChoice("rdp", {})) == [
        "--prove is for exact, and the accountant is rdp. Leave --accountant out, or --prove."
    ]
    assert show(12.0) == "12"


def test_where_no_accountant_is_named_the_lesser_upper_bound_answers_and_says_so() -> None:
    """Of the exponential mechanism moments prove more; of a stated ρ there is nothing else."""
    nobody = AccountantChoice("exact", {}, said=False)
    choices = Plan((Phase(Exponential(0.1), Poisson(1.0), 1000),))
    exact, least = (unsaid_accountant.ask("epsilon", choices, 1e-6, each) for each in (EXACT, nobody))
    assert exact.accountant == "exact" and exact.upper is not None and exact.upper > 19.3
    assert least.accountant == "rdp" and least.upper == accounting.epsilon(choices, 1e-6, "rdp").upper
    (line, *_) = unsaid_accountant.rows((least, exact))
    assert "rdp, the lesser upper bound: exact proves" in line
    stated = Plan((Phase(StatedZcdp(0.1), Poisson(1.0), 1), Phase(Laplace(0.1), Poisson(1.0), 1)))
    with pytest.raises(NotCertified, match="no theorem is known"):
        unsaid_accountant.ask("delta", stated, 2.0, EXACT)
    found = unsaid_accountant.ask("delta", stated, 2.0, nobody)
    assert found.guarantee is Guarantee.UPPER and "exact has no theorem for all of this plan" in found.why


def test_an_accountant_that_nobody_named_stays_exact_where_that_is_exact() -> None:
    nobody = AccountantChoice("exact", {}, said=False)
    counts = Plan((Phase(Laplace(0.1), Poisson(1.0), 3),))
    for plan in (PLAN, counts):
        assert unsaid_accountant.ask("epsilon", plan, 1e-6, nobody) == accounting.epsilon(plan, 1e-6)
    picked = Plan((Phase(NoisyMax(0.1), Poisson(1.0), 1000),))  # of which moments know no more
    assert unsaid_accountant.ask("epsilon", picked, 1e-6, nobody).accountant == "exact"
    assert unsaid_accountant.rows((accounting.epsilon(counts, 1e-6),)) == []


def test_a_lower_end_of_exact_stays_beside_the_lesser_upper_bound() -> None:
    """A claim below it is refuted, and one that the lesser bound confirms stands."""
    mixed = Plan((Phase(Exponential(0.1), Poisson(1.0), 500), Phase(Laplace(0.1), Poisson(1.0), 10)))
    own, other, found = (accounting.epsilon(mixed, 1e-6, who) for who in ("exact", "rdp", accounting.LEAST))
    assert (found.lower, found.upper) == (own.lower, other.upper)
    assert (found.guarantee, found.accountant, found.stands_in) == (Guarantee.CERTIFIED, "rdp", True)
    assert found.lower is not None and found.upper is not None and own.upper is not None
    assert 0.9 < found.lower < found.upper < own.upper
    assert judge(found.lower * 0.999, found) is Standing.REFUTED
    assert judge(found.upper, found) is Standing.STANDS
    assert judge(found.upper * 0.999, found) is Standing.UNCERTAIN
    assert not accounting.epsilon(PLAN, 1e-6, accounting.LEAST).stands_in
    assert dpplan.epsilon(phases=list(mixed.phases), delta=1e-6) == found
    assert dpplan.epsilon(phases=list(mixed.phases), delta=1e-6, accountant="exact") == own


def test_two_proofs_that_contradict_each_other_give_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = Plan((Phase(Exponential(0.1), Poisson(1.0), 500), Phase(Laplace(0.1), Poisson(1.0), 10)))
    low = replace(accounting.epsilon(mixed, 1e-6, "rdp"), upper=0.5)
    monkeypatch.setattr(rdp, "epsilon", lambda *_: low)
    with pytest.raises(InternalError, match="This is a bug in dpplan"):
        accounting.epsilon(mixed, 1e-6, accounting.LEAST)


def test_a_figure_above_a_limit_is_not_said_to_be_less_by_exact() -> None:
    choices = Plan((Phase(Exponential(0.1), Poisson(1.0), 1000),))
    stated = Plan((Phase(StatedZcdp(0.1), Poisson(1.0), 1),))
    for plan, words in ((choices, "is not proven to be within --max-eps 0.1"), (stated, "exceeds --max-eps 0.1")):
        said = limits.exceeded(accounting.epsilon(plan, 1e-6, accounting.LEAST), 1e-6, 0.1)
        assert words in said and "--accountant exact" not in said
    assert "--accountant exact may prove less" in limits.exceeded(accounting.epsilon(PLAN, 1e-6, "rdp"), 1e-6, 0.1)
