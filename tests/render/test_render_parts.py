"""Figures at several places, a proof and a verified claim, as they are printed."""

import dataclasses
import math
from fractions import Fraction

import pytest

from dpplan import accounting, verify
from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.exact.prove import Proof
from dpplan.plan import Plan
from dpplan.render import cost, plan_rows, proof, table
from dpplan.render import verify as render
from dpplan.verify import Document, RecordedClaim, Standing, Verdict

PLAN = Plan.from_rate(4.0, 1.0, 7)
FAST = accounting.epsilon(PLAN, 1e-5)
assert FAST.lower is not None and FAST.upper is not None


# cost


def test_a_plan_at_several_places_is_a_row_for_each() -> None:
    rows = [(delta, accounting.epsilon(PLAN, delta)) for delta in (1e-5, 1e-7)]
    lines = list(table.plain(cost.answers(rows)))
    assert lines[0].split() == ["δ", "ε", "guarantee", "proven"]
    assert [line.split()[0] for line in lines[1:]] == ["1e-05", "1e-07"]
    for (_, bound), line in zip(rows, lines[1:], strict=True):
        assert bound.upper is not None
        assert bound.upper <= float(line.split()[1]) <= bound.upper * (1 + 1e-5)  # rounded up
        assert "certified" in line
    back = list(table.plain(cost.answers([(1.0, accounting.delta(PLAN, 1.0))])))
    assert back[0].split()[:2] == ["ε", "δ"]


def test_an_estimate_claims_no_proof() -> None:
    sampled = accounting.epsilon(Plan.from_rate(4.0, 0.1, 70), 1e-5, "gdp")
    (row,) = cost.answers([(1e-5, sampled)]).rows
    assert (row[2].text, row[2].meaning) == ("estimate", "estimate")


# proof


def proved(lower: str, upper: str, digits: int = 12) -> Proof:
    bound = Bound("epsilon", float(lower), float(upper), Guarantee.CERTIFIED, "prove", PLAN.assumptions, "balls")
    return Proof(bound, lower, upper, digits, (("aliases", 1e-15), ("quadrature", 3e-15)), 128, 0.25)


MIDDLE = Fraction(FAST.lower) + (Fraction(FAST.upper) - Fraction(FAST.lower)) / 2
INSIDE = f"{float(MIDDLE):.15f}"


def test_a_proof_shows_both_ends_with_every_digit_and_its_errors() -> None:
    shown = list(proof.proof(proved(INSIDE, INSIDE + "1"), FAST, 1e-5))
    assert shown[0] == "ε at δ = 1e-05, proven to 12 digits"
    assert shown[2].split() == ["at", "least", INSIDE]
    assert shown[3].split() == ["at", "most", INSIDE + "1"]
    assert any("128 bits" in line and "in balls, 0.25 s" in line for line in shown)
    assert len(shown) > 6


def test_a_point_is_exact() -> None:
    shown = list(proof.proof(proved(INSIDE, INSIDE), FAST, 1e-5))
    assert shown[0].endswith("exactly")
    assert shown[2].split() == ["exactly", INSIDE]


def test_whether_the_fast_interval_holds_the_proof_is_told_exactly() -> None:
    """In fractions: a float would call the next decimal above an end equal to it."""
    assert FAST.lower is not None
    assert FAST.upper is not None
    top = f"{Fraction(FAST.upper).numerator / Fraction(FAST.upper).denominator:.60f}"
    exact = str(Fraction(FAST.upper))
    assert Fraction(top) == Fraction(exact)
    assert proof.within(proved(INSIDE, top), FAST)
    assert not proof.within(proved(INSIDE, top + "1"), FAST)
    below = f"{Fraction(FAST.lower).numerator / Fraction(FAST.lower).denominator:.60f}"
    assert proof.within(proved(below, INSIDE), FAST)
    assert not proof.within(proved(f"{FAST.lower - 1e-9:.60f}", INSIDE), FAST)
    assert proof.within(proved(INSIDE, "1e9"), dataclasses.replace(FAST, upper=math.inf))


# verify

CLAIM = RecordedClaim("spent", "epsilon", 1e-5, 2.0 * FAST.value, PLAN, guarantee="certified", accountant="exact")


def verdict(value: float, **more: object) -> Verdict:
    return verify.verify(dataclasses.replace(CLAIM, value=value, **more), proofs=False)  # type: ignore[arg-type]


def shown(*verdicts: Verdict, remarks: tuple[str, ...] = ()) -> list[str]:
    read = Document("old.json", "dpplan.epsilon/1", "0.0.9", tuple(each.claim for each in verdicts), remarks)
    return list(render.report(read, verdicts))


def test_a_claim_with_room_says_how_much_and_what_would_do() -> None:
    lines = shown(verdict(2.0 * FAST.value))
    assert lines[0] == "old.json: 1 claim, 1 stands"
    assert "written by dpplan 0.0.9" in lines[1]
    assert lines[3].startswith("stands  spent: ε ≤ ")
    off = next(line for line in lines if "off by" in line)
    assert f"+{FAST.value:.3g}"[:4] in off
    assert "more than is needed (100 %)" in off
    assert any("as it is" in line for line in lines)
    assert lines[-1].endswith("would do")


def test_a_false_claim_says_what_to_publish_instead() -> None:
    assert FAST.upper is not None
    low = verdict(0.5 * FAST.value)
    lines = shown(low)
    assert low.standing is Standing.REFUTED
    assert lines[3].startswith("refuted")
    assert any("too low by at least that (50 %)" in line for line in lines)
    published = next(line for line in lines if line.startswith("  publish")).split()
    assert published[-1] == "instead"
    assert FAST.upper <= float(published[3]) <= FAST.upper * (1 + 1e-5)


def test_a_claim_that_is_exact_is_so_to_the_last_digit() -> None:
    assert FAST.upper is not None
    assert any("to the last digit" in line for line in shown(verdict(FAST.upper)))


def test_several_claims_are_counted() -> None:
    lines = shown(verdict(9.0), verdict(8.0), verdict(0.1), remarks=("the report is old.",))
    assert lines[0] == "old.json: 3 claims, 2 stand, 1 refuted"
    assert " ".join(lines[2].split()) == "note the report is old."


def test_what_a_figure_means_nothing_for_is_remarked() -> None:
    huge = shown(verdict(80.0))
    assert any("rules out no attack at all" in line for line in huge)
    crowd = dataclasses.replace(PLAN, examples=100_000)
    assert any("is not below 1/n, n = 100000" in line for line in shown(verdict(9.0, plan=crowd)))
    above = shown(verdict(9.0, lower=8.0))
    assert any("lower end, 8, is false as well" in line for line in above)


def test_json_has_every_figure_unrounded_and_says_whether_all_stands() -> None:
    verdicts = (verdict(9.0), verdict(0.1))
    read = Document("old.json", "dpplan.epsilon/1", "", tuple(each.claim for each in verdicts))
    content = render.document(read, verdicts)
    assert (content["schema"], content["stands"], content["verified"]["dpplan"]) == ("dpplan.verify/1", False, None)
    first, second = content["claims"]
    assert (first["standing"], second["standing"]) == ("stands", "refuted")
    assert (first["delta"], first["claimed"], first["accounted"]["upper"]) == (1e-5, 9.0, FAST.upper)
    assert FAST.upper is not None
    assert FAST.upper <= second["publish"] <= FAST.upper * (1 + 1e-5)
    assert render.document(read, verdicts[:1])["stands"] is True


@pytest.mark.parametrize("plan", [None, PLAN, Plan((*PLAN.phases, *Plan.from_rate(2.0, 0.1, 1).phases))])
def test_the_plan_of_a_claim_is_one_line(plan: Plan | None) -> None:
    (line,) = (line for line in shown(verdict(9.0, plan=plan)) if line.startswith("  plan "))
    words = {None: "no step", PLAN: "7 steps"}.get(plan, "2 phases")
    assert words in line


@pytest.mark.parametrize(
    ("name", "agrees", "said"),
    [
        ("batch sizes", True, "agree"),
        ("noise", True, "agrees"),
        ("noise", False, "DISAGREES"),
        ("steps", False, "DISAGREE"),
    ],
)
def test_what_was_measured_agrees_in_the_number_of_its_name(name: str, agrees: bool, said: str) -> None:
    assert plan_rows.agreement(name, agrees) == said
