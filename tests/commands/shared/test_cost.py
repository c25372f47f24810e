"""What `dpplan epsilon` and `dpplan delta` compute, before anything is shown."""

import pytest

from dpplan import accounting
from dpplan.checks import show
from dpplan.commands.shared.accountant_option import EXACT, AccountantChoice
from dpplan.commands.shared.cost import CostRequest, compute, digits_wanted, proof_problems
from dpplan.commands.shared.request import Request
from dpplan.errors import NotCertified
from dpplan.plan import Plan

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
