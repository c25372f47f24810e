"""Whether a claim stands: by the accountant of this version, by a proof where that is too wide, by nothing else."""

import dataclasses
import math
from pathlib import Path

import pytest
from reports import DELTA, PLAN, printed, report, saved

from dpplan import accounting, verify
from dpplan.accounting.bound import Bound
from dpplan.errors import NotApplicable
from dpplan.mechanism import Exponential
from dpplan.plan import Phase, Plan
from dpplan.sampling import Poisson
from dpplan.verify import RecordedClaim, Standing

NOW = accounting.epsilon(PLAN, DELTA)
assert NOW.lower is not None
assert NOW.upper is not None
LOWER, UPPER = NOW.lower, NOW.upper


def claim(value: float, **changes: object) -> RecordedClaim:
    return dataclasses.replace(RecordedClaim("x", "epsilon", DELTA, value, PLAN), **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("factor", [1.0, 1 + 1e-9, 1.5, 1e6])
def test_a_claim_of_what_is_certified_or_more_stands(factor: float) -> None:
    verdict = verify.verify(claim(UPPER * factor))
    assert verdict.standing is Standing.STANDS
    assert verdict.off == pytest.approx((factor - 1) * UPPER, rel=1e-12, abs=1e-15)
    assert verdict.publish == UPPER * factor


@pytest.mark.parametrize("share", [1e-7, 1e-3, 0.5, 1.0])
def test_a_claim_below_the_certified_lower_end_is_refuted_by_so_much(share: float) -> None:
    verdict = verify.verify(claim(LOWER * (1 - share)))
    assert verdict.standing is Standing.REFUTED
    assert verdict.off == pytest.approx(-share * LOWER, rel=1e-6)
    assert verdict.off_relative == pytest.approx(-share, rel=1e-6)
    assert verdict.publish is not None
    assert UPPER <= verdict.publish <= UPPER * (1 + 1e-5)


def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """The accountant as it would be with intervals a thousandth wide."""
    exact = accounting.epsilon

    def answer(plan: Plan, delta: float, accountant: str) -> Bound:
        bound = exact(plan, delta, accountant)
        assert bound.lower is not None
        assert bound.upper is not None
        return dataclasses.replace(bound, lower=bound.lower * 0.999, upper=bound.upper * 1.001)

    monkeypatch.setattr(accounting, "epsilon", answer)


@pytest.mark.parametrize(
    ("factor", "standing"), [(1 + 1e-6, Standing.STANDS), (1 - 1e-6, Standing.REFUTED), (1.01, Standing.STANDS)]
)
def test_where_the_interval_cannot_tell_a_proof_does(
    monkeypatch: pytest.MonkeyPatch, factor: float, standing: Standing
) -> None:
    pytest.importorskip("flint")
    wide(monkeypatch)
    verdict = verify.verify(claim(UPPER * factor))
    assert verdict.standing is standing
    assert (verdict.proof is None) == (factor > 1.005)


def test_without_a_proof_it_is_not_certified_and_says_what_to_publish(monkeypatch: pytest.MonkeyPatch) -> None:
    wide(monkeypatch)
    verdict = verify.verify(claim(UPPER), proofs=False)
    assert (verdict.standing, verdict.off, verdict.proof) == (Standing.UNCERTAIN, 0.0, None)
    assert verdict.publish is not None
    assert verdict.publish >= UPPER
    monkeypatch.setattr(verify.importlib.util, "find_spec", lambda name: None)
    (reason,) = verify.verify(claim(UPPER)).reasons
    assert "pip install 'dpplan[prove]'" in reason


def test_a_proof_that_would_take_too_long_leaves_it_open(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("flint")
    from dpplan.accounting.exact import prove

    def refuse(*_: object) -> None:
        raise NotApplicable("too long")

    wide(monkeypatch)
    monkeypatch.setattr(prove, "epsilon", refuse)
    verdict = verify.verify(claim(UPPER))
    assert (verdict.standing, verdict.reasons) == (Standing.UNCERTAIN, ("too long",))


def test_a_plan_that_no_proof_is_for_is_told_so_without_an_option_that_nobody_wrote() -> None:
    pytest.importorskip("flint")
    plan = Plan((Phase(Exponential(0.1), Poisson(1.0), 20),))
    upper = accounting.epsilon(plan, DELTA, accounting.LEAST).upper
    assert upper is not None
    verdict = verify.verify(claim(0.9 * upper, plan=plan))
    assert verdict.standing is Standing.UNCERTAIN
    (reason,) = verdict.reasons
    assert reason.startswith("prove: no theorem is known here") and "--prove" not in reason
    assert reason.endswith("add-remove.")


def test_where_nothing_is_proven_nothing_stands_or_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotApplicable("no theorem")

    monkeypatch.setattr(accounting, "epsilon", refuse)
    verdict = verify.verify(claim(UPPER))
    assert (verdict.standing, verdict.bound, verdict.reasons) == (Standing.UNCERTAIN, None, ("no theorem",))
    assert (verdict.off, verdict.off_relative, verdict.publish) == (None, None, None)


def test_a_delta_is_verified_likewise() -> None:
    upper = accounting.delta(PLAN, 0.5).upper
    assert upper is not None
    at = {"quantity": "delta", "at": 0.5}
    assert verify.verify(claim(upper, **at)).standing is Standing.STANDS
    assert verify.verify(claim(upper * 0.999, **at)).standing is Standing.REFUTED


def test_no_step_spends_nothing() -> None:
    for quantity in ("epsilon", "delta"):
        verdict = verify.verify(claim(0.0, plan=None, quantity=quantity))
        assert (verdict.standing, verdict.off, verdict.publish) == (Standing.STANDS, 0.0, 0.0)


def test_a_run_with_a_seed_has_no_claim(tmp_path: Path) -> None:
    for changes in ({"seeded": True, "seed": 3}, {"seed": 3}, {"seeded": True}):
        for one in verify.read(saved(tmp_path, report(**changes))).claims:
            verdict = verify.verify(one)
            assert (verdict.standing, verdict.publish) == (Standing.REFUTED, None)
            assert "subtract the noise" in verdict.reasons[0]


@pytest.mark.parametrize("name", ["noise", "batch sizes", "denominator", "empty batches"])
def test_a_run_whose_own_report_says_it_was_not_as_planned_is_not_certified(tmp_path: Path, name: str) -> None:
    wrong = [{"name": name, "agrees": False}]
    for changes in ({"verdict": wrong}, {"not_covered_by_epsilon__verdict": wrong}):
        (one, _) = verify.read(saved(tmp_path, report(**changes))).claims
        verdict = verify.verify(one)
        assert (verdict.standing, verdict.publish) == (Standing.UNCERTAIN, None)
        assert name in verdict.reasons[0]


def test_steps_that_disagree_are_accounted_and_no_doubt(tmp_path: Path) -> None:
    changes = {"verdict": [{"name": "steps", "agrees": False}], "spent__steps": 90, "status": "interrupted"}
    assert {verify.verify(one).standing for one in verify.read(saved(tmp_path, report(**changes))).claims} == {
        Standing.STANDS
    }


def test_a_report_that_counts_fewer_steps_than_it_claims_for_is_refuted(tmp_path: Path) -> None:
    """The claim is that of 100 steps, and 101 were taken."""
    spent, planned = verify.read(saved(tmp_path, report(spent__steps=101))).claims
    assert verify.verify(spent).standing is Standing.REFUTED
    assert verify.verify(planned).standing is Standing.REFUTED


@pytest.mark.parametrize("change", [{"noise_multiplier": 3.99}, {"sample_rate": 0.1001}, {"steps": 101}])
def test_a_plan_that_was_harder_than_the_claim_refutes_it(tmp_path: Path, change: dict[str, float]) -> None:
    content = printed()
    (phase,) = content["plan"]["phases"]
    content["plan"]["phases"] = [phase | change]
    content["plan"] |= change
    (one,) = verify.read(saved(tmp_path, content)).claims
    assert verify.verify(one).standing is Standing.REFUTED


@pytest.mark.parametrize(
    "extreme",
    [
        {"noise_multiplier": 1e300, "sample_rate": 1e-300, "steps": 2**53},
        {"noise_multiplier": 1e6, "sample_rate": 1.0, "steps": 2**53},
        {"noise_multiplier": 50.0, "sample_rate": 1e-12, "steps": 10**12},
    ],
)
def test_extreme_plans_are_judged_or_left_open(tmp_path: Path, extreme: dict[str, float]) -> None:
    content = printed()
    content["plan"] = {"phases": [extreme]}
    (one,) = verify.read(saved(tmp_path, content)).claims
    for value in (one.value, 1e308, 0.0, 5e-324):
        assert verify.verify(dataclasses.replace(one, value=value), proofs=False).standing in set(Standing)


def test_ends_that_exclude_each_other_do_not_stand() -> None:
    verdict = verify.verify(claim(2 * UPPER, lower=3 * UPPER))
    assert verdict.standing is Standing.UNCERTAIN
    assert "contradicts itself" in verdict.reasons[0]
    assert verify.verify(claim(0.5 * LOWER, lower=LOWER)).standing is Standing.REFUTED


def test_a_lower_end_that_was_false_is_known() -> None:
    verdict = verify.verify(claim(2 * UPPER, lower=1.9 * UPPER))
    assert verdict.standing is Standing.STANDS
    assert verdict.proven is not None
    assert verdict.proven < 1.9 * UPPER
    assert math.isfinite(verdict.off or math.nan)
