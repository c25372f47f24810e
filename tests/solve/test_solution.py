"""What is said of a solution: its caveats, its advice, and why there is none."""

import dataclasses

import pytest

from dpplan import accounting
from dpplan.errors import NotApplicable, NotCertified, Unreachable
from dpplan.plan import Plan, Settings
from dpplan.solve import candidate_values
from dpplan.solve.bracket import ordered
from dpplan.solve.question import Question
from dpplan.solve.search import Bracket, Candidates, Evaluator
from dpplan.solve.solution import Solution, solution, unreachable

OPEN = Settings(examples=1000, batch_size=10, epochs=5)
GDP = Question(3.0, 1e-5, "epsilon", "gdp", {})


def solved(question: Question, candidates: Candidates) -> tuple[Solution, Evaluator, Bracket]:
    evaluator = question.evaluator(candidates)
    found = ordered(question, evaluator)
    return solution(question, evaluator, found, ["one remark"]), evaluator, found


def test_a_solution_holds_the_plan_that_was_judged_and_the_next_one() -> None:
    found, evaluator, bracket = solved(GDP, candidate_values.noise(OPEN))
    assert found.unknown == "noise_multiplier"
    assert found.spent == accounting.epsilon(found.plan, 1e-5, "gdp")
    assert found.spent.value <= 3.0
    assert (found.target, found.delta, found.remarks[-1]) == (3.0, 1e-5, "one remark")
    assert found.other_way is not None
    assert found.other_way.value == evaluator.candidates.value(bracket.high) < found.value
    assert found.other_way.spent.value > 3.0


def test_an_estimate_is_said_to_be_one() -> None:
    found, _, _ = solved(GDP, candidate_values.noise(OPEN))
    assert found.remarks[0].startswith("gdp only estimates this epsilon, and the run may spend more")
    rdp, _, _ = solved(dataclasses.replace(GDP, accountant="rdp"), candidate_values.noise(OPEN))
    assert rdp.remarks == ("one remark",)


def test_of_a_solved_delta_the_value_is_the_delta() -> None:
    settings = OPEN.with_(noise_multiplier=1.0)
    found, _, _ = solved(Question(2.0, 0.5, "epsilon", "rdp", {}), candidate_values.delta(settings, 1e-6))
    assert found.delta == found.value < 0.5


def test_a_refused_neighbour_is_named_with_the_reason() -> None:
    evaluator = GDP.evaluator(candidate_values.noise(OPEN))
    bracket = ordered(GDP, evaluator)
    del evaluator.spent[bracket.high]
    evaluator.refused[bracket.high] = NotApplicable("too little noise for anybody.")
    found = solution(GDP, evaluator, bracket)
    assert found.other_way is None
    assert found.remarks[-1].startswith("sigma = ")
    assert found.remarks[-1].endswith("is refused: too little noise for anybody.")


def test_advice_for_noise_is_what_one_epoch_more_needs() -> None:
    found, _, _ = solved(GDP, candidate_values.noise(OPEN))
    (sentence,) = found.advice()
    assert sentence.startswith("one epoch more would need σ = ")
    noise = float(sentence.rpartition(" ")[2])
    plan = OPEN.with_(noise_multiplier=noise, epochs=6).plan()
    assert noise > found.value
    assert accounting.epsilon(plan, 1e-5, "gdp").value <= 3.0
    longer, _, _ = solved(GDP, candidate_values.noise(OPEN.with_(steps=500, epochs=None)))
    assert longer.advice()[0].startswith("a tenth more steps would need σ = ")


def test_advice_for_steps_is_what_a_tenth_more_noise_buys() -> None:
    found, _, _ = solved(GDP, candidate_values.steps(OPEN.with_(noise_multiplier=1.0, epochs=None)))
    (sentence,) = found.advice()
    noise, lasting = sentence.split(" ")[3], sentence.split(" ")[8]
    assert float(noise) == 1.1
    plan = OPEN.with_(noise_multiplier=1.1, epochs=None, steps=int(lasting)).plan()
    assert int(lasting) > found.value
    assert accounting.epsilon(plan, 1e-5, "gdp").value <= 3.0


def test_other_unknowns_have_no_advice() -> None:
    found, _, _ = solved(GDP, candidate_values.sample_rate(Settings(noise_multiplier=1.0, steps=100)))
    assert found.advice() == ()


def failing(question: Question, candidates: Candidates) -> NotCertified | Unreachable:
    evaluator = question.evaluator(candidates)
    evaluator.gap(candidates.first)
    return unreachable(question, evaluator)


def test_what_is_out_of_reach_says_the_least_there_is_and_a_remedy() -> None:
    little = dataclasses.replace(GDP, epsilon=1e-12)
    said = str(failing(little, candidate_values.noise(OPEN)))
    assert said.startswith("target_epsilon=1e-12 is out of reach at delta=1e-05: the least that the gdp accountant")
    assert said.endswith("Raise the target, or take fewer steps or a smaller batch.")
    length = candidate_values.steps(OPEN.with_(noise_multiplier=0.5, epochs=None))
    steps = str(failing(dataclasses.replace(GDP, epsilon=0.01), length))
    assert "at steps=1" in steps
    assert steps.endswith("would meet the target.")
    enough = float(steps.rpartition("sigma=")[2].split(" ")[0])
    assert accounting.epsilon(Plan.from_rate(enough, 0.01, 1), 1e-5, "gdp").value <= 0.01


def test_what_was_spent_before_may_be_too_much_by_itself() -> None:
    before = Plan.from_rate(1.0, 0.1, 1000)
    question = dataclasses.replace(GDP, earlier=before.phases)
    said = str(failing(question, candidate_values.noise(OPEN)))
    spent = accounting.epsilon(before, 1e-5, "gdp").value
    assert f"What was spent before is {spent:.6g}"[:30] in said
    assert said.endswith("on its own. Raise the target.")


def test_by_delta_the_target_is_named_as_a_delta() -> None:
    question = Question(0.01, 1e-200, "delta", "gdp", {})
    said = str(failing(question, candidate_values.steps(OPEN.with_(noise_multiplier=0.5, epochs=None))))
    assert said.startswith("target_delta=1e-200 is out of reach at epsilon=0.01")


def test_a_refusal_at_the_first_is_the_answer() -> None:
    question = dataclasses.replace(GDP, accountant="zcdp")  # has nothing for sampled steps
    refused = failing(question, candidate_values.noise(OPEN))
    assert isinstance(refused, NotApplicable)
    with pytest.raises(NotCertified, match="zcdp"):
        raise refused
