"""What is solved for, what keeps it from being open, and what every plan is judged by."""

import pytest

from dpplan import accounting
from dpplan.errors import PlanError
from dpplan.plan import Plan, Settings
from dpplan.solve import candidate_values
from dpplan.solve.bracket import ordered
from dpplan.solve.question import Question, check, unknown, word

WHOLE = Settings(noise_multiplier=2.0, examples=1000, batch_size=10, epochs=5)
QUESTION = Question(3.0, 1e-5, "epsilon", "gdp", {})


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (WHOLE.with_(noise_multiplier=None), "noise_multiplier"),
        (WHOLE.with_(epochs=None), "epochs"),
        (WHOLE.with_(epochs=None, examples=None, batch_size=None, sample_rate=0.1), "steps"),
        (WHOLE.with_(batch_size=None), "batch_size"),
        (WHOLE.with_(examples=None), "examples"),
        (WHOLE.with_(examples=None, batch_size=None), "sample_rate"),
        (WHOLE, "delta"),
        (Settings(noise_multiplier=2.0, sampling="full-batch"), "steps"),  # which takes everything
        (Settings(steps=10, sampling="full-batch"), "noise_multiplier"),
    ],
)
def test_the_one_quantity_left_open_is_the_unknown(settings: Settings, name: str) -> None:
    assert unknown(settings) == name


def test_nothing_or_two_left_open_is_told() -> None:
    with pytest.raises(PlanError, match="nothing is left to solve for"):
        unknown(WHOLE, 1e-5)
    with pytest.raises(PlanError, match="sigma and epochs are both open"):
        unknown(WHOLE.with_(noise_multiplier=None, epochs=None))
    with pytest.raises(PlanError, match="sampling=nonsense is not one of: poisson, "):
        unknown(WHOLE.with_(sampling="nonsense"))


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("noise_multiplier", WHOLE, ["sigma=2 is given, so sigma is not open. Leave it out."]),
        ("steps", WHOLE, ["epochs=5 is given, so steps is not open. Leave it out."]),
        (
            "batch_size",
            WHOLE.with_(examples=None, batch_size=None),
            ["n is missing: a batch is a part of the examples. Give --n."],
        ),
        ("batch_size", WHOLE.with_(batch_size=None, steps=7), ["steps and epochs together fix the batch. "
                                                              "Leave out --steps or --epochs."]),
    ],
)  # fmt: skip
def test_what_fixes_an_unknown_is_told(name: str, settings: Settings, told: list[str]) -> None:
    with pytest.raises(PlanError) as refused:
        check(name, settings, QUESTION)
    assert list(refused.value.problems) == told


def test_a_quantity_is_called_as_on_the_command_line() -> None:
    assert [word(name) for name in ("noise_multiplier", "sample_rate", "examples", "steps")] == [
        "sigma",
        "q",
        "n",
        "steps",
    ]


def test_a_plan_is_judged_after_what_ran_before() -> None:
    before = Plan.from_rate(4.0, 0.1, 100)
    question = Question(3.0, 1e-5, "epsilon", "gdp", {}, before.phases)
    composed = question.composed(WHOLE.plan())
    assert composed.phases == (*before.phases, *WHOLE.plan().phases)
    assert composed.origin("phases[1].steps") == "⌈5 epochs × 1000 / 10⌉"
    assert question.spends(composed) == accounting.epsilon(composed, 1e-5, "gdp")
    by_delta = Question(3.0, 1e-5, "delta", "gdp", {})
    assert (by_delta.target, question.target) == (1e-5, 3.0)
    assert by_delta.spends(composed) == accounting.delta(composed, 3.0, "gdp")


def test_the_bracket_holds_the_last_that_meets_the_target_and_its_neighbour() -> None:
    evaluator = QUESTION.evaluator(candidate_values.steps(WHOLE.with_(epochs=None)))
    found = ordered(QUESTION, evaluator)
    assert found.high == found.low + 1
    assert evaluator.gap(found.low) <= 0 < evaluator.gap(found.high)
    spent = [accounting.epsilon(WHOLE.with_(epochs=None, steps=steps).plan(), 1e-5, "gdp").value
             for steps in (found.low, found.high)]  # fmt: skip
    assert spent[0] <= 3.0 < spent[1]
