"""What a plan allows an attacker, as it is printed: rounded up, counted in people, whole in JSON."""

import math
import re
from typing import Any

import numpy as np
import pytest

from dpplan import risk
from dpplan.plan import Plan, Settings
from dpplan.render import risk as render
from dpplan.render import table
from dpplan.risk.source import Source, source_of_gdp, source_of_plan, source_of_stated

PLAN = Plan.from_rate(4.0, 1.0, 7)
QUESTION = risk.AttackQuestion(rates=(0.1, 0.001), stated=(3.0, 1e-5))
FOUND = risk.assess(source_of_plan(PLAN), QUESTION)


def test_every_figure_is_rounded_up_beside_guessing() -> None:
    first, second, *_ = (line for line in table.plain(render.table(FOUND)) if "TPR at" in line)
    for line, figure, guess in ((first, FOUND.rates[0], "0.1"), (second, FOUND.rates[1], "0.001")):
        most, guessing, alone, tighter = line.split()[4:8]
        assert figure.upper <= float(most) <= figure.upper * 1.001
        assert guessing == guess
        assert float(alone) >= float(most)
        assert tighter.endswith("x")
    assert len(render.table(risk.assess(source_of_gdp(1.0), risk.AttackQuestion())).columns) == 3


def test_the_words_of_the_table_are_explained_below_it() -> None:
    legend, *_ = " ".join(render.rows(FOUND, PLAN)).split("  from ")
    assert [word for word in ("TPR: ", "FPR: ", "Advantage: TPR less FPR") if word not in legend] == []


@pytest.mark.parametrize("baseline", [0.01, 0.25])
def test_why_three_attacks_have_one_figure_is_told_of_the_baseline_that_was_asked(baseline: float) -> None:
    found = risk.assess(source_of_gdp(1.0), risk.AttackQuestion(rates=(baseline,), baseline=baseline))
    assert found.reconstruction.upper == found.rates[0].upper  # what the sentence says
    told = " ".join(" ".join(render.rows(found, None)).split())
    assert f"right with chance {baseline} without the data (--baseline) is right at most as often as the TPR at" in told
    assert "named before the output is seen" in told and "all others being known" in told
    assert f"the TPR at FPR {baseline} with it." in told
    attacks = [
        line for line in table.plain(render.table(found)) if line.startswith(tuple(render.WITHOUT_DATA.values()))
    ]
    assert len(attacks) == 3 and len({line.split()[-2] for line in attacks}) == 1


def test_people_are_counted_by_the_false_positive_rate() -> None:
    words = render.for_a_person(FOUND)
    most = float(words.partition("can recognise at most ")[2].split()[0])
    assert "wrong about 1 in 100 such units" in words
    assert FOUND.at_fpr.upper * 100 <= most <= FOUND.at_fpr.upper * 100 * 1.01
    officer = render.for_an_officer(FOUND)
    sure = float(officer.partition("is right with chance ")[2].split()[0])
    assert FOUND.posterior.upper * 100 <= sure <= FOUND.posterior.upper * 100 * 1.01


@pytest.mark.parametrize(
    ("settings", "officer", "person", "several"),
    [
        ({}, "is one example. Whoever", "is one example of yours. Whoever", True),
        ({"unit": "user"}, "is one user with all of theirs. Whoever", "is all that you gave. Whoever", False),
        (
            {"unit": "user", "max_per_user": 3},
            "is one user with at most 3 examples. Whoever",
            "is all that you gave, if that is at most 3 examples. Whoever",
            False,
        ),
    ],
)
def test_both_are_told_what_is_protected(settings: dict[str, Any], officer: str, person: str, several: bool) -> None:
    plan = Settings(noise_multiplier=4.0, sample_rate=0.5, steps=2, **settings).plan()
    for words, whom in ((render.for_an_officer(FOUND, plan), officer), (render.for_a_person(FOUND, plan), person)):
        assert f"what is protected {whom}" in words
        assert ("protected less: how much, a figure for all of theirs together says" in words) is several
        assert ("users whose data was not" in words) is not several
        assert ("record" in words.replace("several records", "")) is False
    assert "one of whatever unit that figure is for" in render.for_an_officer(FOUND)
    assert "one of whatever unit that figure is for, an example of yours or" in render.for_a_person(FOUND)


def test_more_people_than_anybody_counts_are_told_as_a_power_of_ten() -> None:
    found = risk.assess(source_of_gdp(1.0), risk.AttackQuestion(fpr=1e-300))
    assert " 1 of 1e+300 such units that were not used" in render.for_an_officer(found)
    assert "about 1 in 1e+300 such units" in render.for_a_person(found)
    rare = risk.assess(source_of_stated(0.1, 0.010089), risk.AttackQuestion(fpr=9.99e-10))
    right, many = re.search(r"at most (\S+) in (\S+) of those", render.for_a_person(rare)).groups()  # type: ignore[union-attr]
    assert float(right) / float(many) >= rare.at_fpr.upper


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    ("rate", "guessed"),
    [(0.9, "9 of 10"), (0.45, "45 of 100"), (0.37, "37 of 100"), (1 / 3, "1 of 3"), (0.123456, "123.456 of 1000")],
)
def test_the_sentences_are_about_the_rate_that_was_asked_for(rate: float, guessed: str) -> None:
    """The posterior of a smaller rate is larger: what is named has to be what was judged."""
    found = risk.assess(source_of_gdp(0.5), risk.AttackQuestion(prior=0.01, fpr=rate))
    officer, person = render.for_an_officer(found), render.for_a_person(found)
    assert f"accuse {guessed} such units" in officer
    assert f"wrong about {guessed.replace('of', 'in')} such units" in person
    accused, many = (float(each) for each in guessed.split(" of "))
    right = float(officer.partition("recognise at most ")[2].split()[0])
    sure = float(officer.partition("is right with chance ")[2].split()[0])
    there = risk.assess(source_of_gdp(0.5), risk.AttackQuestion(prior=0.01, fpr=accused / many))
    assert there.at_fpr.lower <= right / many <= 1.02 * there.at_fpr.upper
    assert 100.0 * there.posterior.lower <= sure <= 101.0 * there.posterior.upper


def test_no_more_are_recognised_than_there_are() -> None:
    found = risk.assess(source_of_stated(50.0, 1e-9), risk.AttackQuestion(fpr=1 / 1437))
    assert "recognise at most 1437 of 1437 that were" in render.for_an_officer(found)


def test_what_the_figures_rest_on() -> None:
    shown = list(render.rows(FOUND, PLAN))
    lines = shown[shown.index("") + 1 :]  # below what the words of the table mean
    assert lines[0].split(None, 1)[1] == "the plan's certified profile (certified)"
    assert any(line.startswith("  smallest μ ") for line in lines)
    stated = list(render.rows(risk.assess(source_of_stated(3.0, 1e-5), QUESTION), None))
    assert "ε = 3 at δ = 1e-05 and nothing else (upper)" in " ".join(" ".join(stated).split())
    assert max(map(len, lines)) <= 80


def test_json_has_both_ends_unrounded() -> None:
    content = render.document(FOUND, PLAN, ["a warning"])
    assert (content["schema"], content["guarantee"], content["warnings"]) == (
        "dpplan.risk/1",
        "certified",
        ["a warning"],
    )
    assert content["advantage"]["upper"] == FOUND.advantage.upper
    assert [each["false_positive_rate"] for each in content["true_positive_rates"]] == [0.1, 0.001]
    assert content["stated"] == {"epsilon": 3.0, "delta": 1e-5}
    assert content["plan"]["steps"] == 7


@pytest.mark.parametrize("x", [-3.0, -0.5, 0.5, 3.0])
def test_below_zero_a_profile_is_the_other_directions(x: float) -> None:
    """δ₀(-x) = 1 - e^(-x)·(1 - δ₁(x)), for a profile that differs by direction."""
    ends = {0: (np.array([0.2]), np.array([0.3])), 1: (np.array([0.05]), np.array([0.1]))}
    source = Source(lambda direction, *_: ends[direction], FOUND.trade_off.source.guarantee, "made", "nothing")
    low, high = source.delta(0, x)
    if x >= 0.0:
        assert (low, high) == (0.2, 0.3)
    else:
        assert low == pytest.approx(max(1.0 - math.exp(x) * 0.95, 0.0), abs=1e-14)
        assert high == pytest.approx(min(1.0 - math.exp(x) * 0.9, 1.0), abs=1e-14)
        assert low <= max(1.0 - math.exp(x) * 0.95, 0.0)
