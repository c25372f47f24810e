"""repeat: in plan files: what it says, ten mistakes for each of its keys, and what commands make of it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import forked
import pytest

from dpplan.errors import PlanError
from dpplan.mechanism import BestOfTrials, Gaussian, Laplace
from dpplan.mechanism.trials import LAWS, Trials
from dpplan.plan import Plan
from dpplan.plan_json import plan_from_json, plan_to_json
from dpplan.recipe import plan_file, repeat_block
from dpplan.render import plan_rows

RECIPES = Path(__file__).parents[2] / "recipes" / "plans"
LAW = "law: geometric"
REPEAT = "repeat: {law: geometric, mean: 10, score: public}"
PHASES = "    phases:\n      - mechanism: {kind: gaussian, noise_multiplier: 4}\n"
COUNTS = "  - {name: counts, mechanism: {kind: laplace, epsilon: 0.2}}\n"
GOOD = f"n: 60000\nphases:\n{COUNTS}  - name: search\n    {REPEAT}\n{PHASES}"
GROUPS = "phases:\n  - parallel:\n    - {%s, phases: [%s]}\n    - mechanism: {kind: gdp, mu: 1}\n"
NEGATIVE, BINOMIAL = "negative-binomial, mean: 10", "binomial, mean: 10"
MISTAKES = {
    "repeat": [
        (REPEAT, "repeat: 10", 5, "repeat=10 is not a block"),
        (REPEAT, "repeat:", 5, "repeat= is not a block"),
        (REPEAT, "repeat: []", 5, "write repeat: {law: geometric, mean: 10, score: public}"),
        (REPEAT, "repeat: 3", 5, "no search: write a phase for each of them, and all are paid"),
        (REPEAT, "repeat: {}", 5, "repeat.law is missing. Known: poisson"),
        (REPEAT, "repeat: geometric", 5, "by which law the number of trials is drawn"),
        (REPEAT, REPEAT.replace("repeat", "repeats"), 5, "Did you mean 'repeat'?"),
        (REPEAT, f"{REPEAT}\n    {REPEAT}", 6, "repeat is given twice; first on line 5"),
        (REPEAT, f"{REPEAT}\n    mechanism: {{kind: laplace, epsilon: 1}}", 6, "mechanism is not one of: name, repeat"),
        (REPEAT, f"{REPEAT}\n    steps: 3", 6, "steps is not one of: name, repeat, phases, adjacency, unit"),
        (REPEAT, f"{REPEAT}\n    law: geometric", 6, "It belongs to repeat."),
        (REPEAT, f"{REPEAT}\n    parallel: []", 5, "repeat is not one of: parallel"),
    ],
    "law": [
        (LAW, "law: geometrik", 5, "Did you mean 'geometric'?"),
        (f"{LAW}, ", "", 5, "repeat.law is missing"),
        (LAW, "law: 3", 5, "law=3 is not one of: poisson, geometric"),
        (LAW, "law:", 5, "law= is not one of"),
        (LAW, "law: [geometric]", 5, "law=a list is not one of"),
        (LAW, "law: {kind: geometric}", 5, "law=a block is not one of"),
        (LAW, "law: fixed", 5, "write a phase for each of them, and all are paid"),
        (LAW, "trials: geometric", 5, "Did you mean 'law'?"),
        (LAW, "kind: geometric", 5, "Did you mean 'law'?"),
        (LAW, "law: geometric, law: poisson", 5, "law is given twice"),
        (LAW, "law: Geometric", 5, "Did you mean 'geometric'?"),
    ],
    "mean": [
        ("mean: 10", "mean: 1", 5, "mean=1 is not above 1, the fewest trials"),
        ("mean: 10", "mean: 0", 5, "mean=0 is not a positive number. It is the expected number of trials."),
        ("mean: 10", "mean: -3", 5, "mean=-3 is not a positive number"),
        ("mean: 10", "mean: ten", 5, "mean=ten is not a number"),
        ("mean: 10", "mean:", 5, "mean= is not a number"),
        ("mean: 10", "mean: 1e9", 5, "is more than 1000000"),
        ("mean: 10", "mean: inf", 5, "mean=inf is not a number"),
        ("mean: 10", "mean: nan", 5, "mean=nan is not a number"),
        ("mean: 10", "mean: [10]", 5, "mean=a list is not a number"),
        ("mean: 10, ", "", 5, "mean is missing. It is the expected number of trials."),
        ("mean: 10", "expected: 10", 5, "Did you mean 'mean'?"),
        ("mean: 10", "mean: 10, mean: 11", 5, "mean is given twice"),
    ],
    "score": [
        (", score: public", "", 5, "score is missing: say whether what decides"),
        ("score: public", "score: private", 5, "score=private is not one of: public, released"),
        ("score: public", "score: yes", 5, "score=yes is not one of"),
        ("score: public", "score: accuracy", 5, "score=accuracy is not one of"),
        ("score: public", "score:", 5, "score= is not one of"),
        ("score: public", "score: [public]", 5, "score=a list is not one of"),
        ("score: public", "score: 0.1", 5, "score=0.1 is not one of"),
        ("score: public", "score: released", 4, "by no phase of a trial that has one"),
        ("score: public", "scores: public", 5, "Did you mean 'score'?"),
        ("score: public", "score: publik", 5, "Did you mean 'public'?"),
        ("score: public", "score: public, score: released", 5, "score is given twice"),
    ],
    "eta": [
        ("mean: 10", "mean: 10, eta: 0.5", 5, "eta is of negative-binomial, and law=geometric. Leave it out."),
        ("geometric, mean: 10", f"{NEGATIVE}, eta: -1", 5, "eta=-1 is not above -1"),
        ("geometric, mean: 10", f"{NEGATIVE}, eta: -2", 5, "eta=-2 is not above -1"),
        (
            "geometric, mean: 10",
            f"{NEGATIVE}, eta: 1e-9",
            5,
            "eta=1e-09 is closer to 0 than 1e-06. Use law logarithmic",
        ),
        ("geometric, mean: 10", f"{NEGATIVE}, eta: 1e9", 5, "eta=1e+09 is more than 1e+06"),
        ("geometric, mean: 10", f"{NEGATIVE}, eta: inf", 5, "eta=inf is not a number"),
        ("geometric, mean: 10", f"{NEGATIVE}, eta: half", 5, "eta=half is not a number"),
        ("geometric, mean: 10", f"{NEGATIVE}, eta:", 5, "eta= is not a number"),
        ("geometric, mean: 10", f"{NEGATIVE}, eta: nan", 5, "eta=nan is not a number"),
        ("geometric, mean: 10", f"{NEGATIVE}, eta: [1]", 5, "eta=a list is not a number"),
        ("geometric, mean: 10", "poisson, mean: 10, eta: 1", 5, "eta is of negative-binomial, and law=poisson"),
        ("geometric, mean: 10", f"{BINOMIAL}, eta: 1", 5, "eta is of negative-binomial, and law=binomial"),
        ("geometric, mean: 10", f"{NEGATIVE}, eta: 1, eta: 2", 5, "eta is given twice"),
        ("geometric, mean: 10", f"{NEGATIVE}, Eta: 1", 5, "Did you mean 'eta'?"),
    ],
    "chance": [
        ("mean: 10", "mean: 10, chance: 0.5", 5, "chance is of binomial, and law=geometric"),
        ("geometric, mean: 10", f"{BINOMIAL}, chance: 0", 5, "chance=0 is not in (0, 1)"),
        ("geometric, mean: 10", f"{BINOMIAL}, chance: 1", 5, "chance=1 is not in (0, 1)"),
        ("geometric, mean: 10", f"{BINOMIAL}, chance: 1.5", 5, "chance=1.5 is not in (0, 1)"),
        ("geometric, mean: 10", f"{BINOMIAL}, chance: -0.1", 5, "chance=-0.1 is not in (0, 1)"),
        ("geometric, mean: 10", f"{BINOMIAL}, chance: half", 5, "chance=half is not a number"),
        ("geometric, mean: 10", f"{BINOMIAL}, chance:", 5, "chance= is not a number"),
        ("geometric, mean: 10", f"{BINOMIAL}, chance: nan", 5, "chance=nan is not a number"),
        ("geometric, mean: 10", "poisson, mean: 10, chance: 0.5", 5, "chance is of binomial, and law=poisson"),
        ("geometric, mean: 10", f"{BINOMIAL}, chances: 0.5", 5, "Did you mean 'chance'?"),
        ("geometric, mean: 10", f"{BINOMIAL}, chance: [0.5]", 5, "chance=a list is not a number"),
    ],
    "phases": [
        (PHASES, "", 4, "phases is missing: a trial is a list of phases"),
        (PHASES, "    phases: []\n", 6, "phases[1].phases is not a list of phases"),
        (PHASES, "    phases: 3\n", 6, "phases[1].phases is not a list of phases"),
        (PHASES, "    phases: [3]\n", 6, "phases[1].phases[0] is not a block"),
        (PHASES, "    phases: [{steps: 3}]\n", 6, "phases[1].phases[0].mechanism is missing"),
        (PHASES, "    phases: [{mechanism: {kind: gaussian}}]\n", 6, "noise_multiplier is missing: gaussian needs it."),
        (PHASES, "    phases: [{mechanism: {kind: laplace, epsilon: 1}, open: true}]\n", 4, "noise is open in a trial"),
        (PHASES, "    phases: [{name: counts, mechanism: {kind: laplace, epsilon: 1}}]\n", 6, "is that of line 3 too"),
        (PHASES, f"    phases: [{{{REPEAT}, phases: [{{mechanism: {{kind: gdp, mu: 1}}}}]}}]\n", 6, "within a search"),
        (PHASES, "    phase: [{mechanism: {kind: gdp, mu: 1}}]\n", 6, "Did you mean 'phases'?"),
        (PHASES, "    phases: [{mechanism: {kind: best-of-trials}}]\n", 6, "a search is a block of its own: repeat:"),
        (PHASES, "    phases: [{mechanism: {kind: gdp, mu: 1}, adjacency: zero-out}]\n", 6, "is not the plan's"),
    ],
}


def read(folder: Path, text: str) -> plan_file.PlanFile:
    file = folder / "plan.yaml"
    file.write_text(text, encoding="utf-8")
    return plan_file.read(file)


def test_a_block_is_one_phase_of_the_plan(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    counts, search = found.plan.phases
    assert found.names == ("counts", "search") and counts.mechanism == Laplace(0.2)
    assert isinstance(search.mechanism, BestOfTrials) and search.mechanism.trials == Trials("geometric", 10.0)
    (trial,) = search.mechanism.phases
    assert (trial.mechanism, search.steps, search.mechanism.score) == (Gaussian(4.0), 1, "public")
    assert "nothing but its winner released" in str(found.plan.assumptions)
    assert repeat_block.EXAMPLE.endswith(repeat_block.GRID)


@pytest.mark.parametrize("law", LAWS)
def test_every_law_is_read_and_survives_json(tmp_path: Path, law: str) -> None:
    extra = {"negative-binomial": ", eta: 0.25", "binomial": ", chance: 0.3"}.get(law, "")
    released = "\n      - {name: score, mechanism: {kind: laplace, epsilon: 0.1}}\n"
    text = GOOD.replace("geometric, mean: 10", f"{law}, mean: 4.5{extra}").replace("public", "released")
    plan = read(tmp_path, text.rstrip() + released).plan
    search = plan.phases[1].mechanism
    assert isinstance(search, BestOfTrials) and (search.law, search.mean, len(search.phases)) == (law, 4.5, 2)
    assert (search.eta, search.chance) == (0.25 if "eta" in extra else None, 0.3 if "chance" in extra else None)
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


def test_groups_stand_in_a_trial_and_around_it(tmp_path: Path) -> None:
    inner = "    phases: [{parallel: [{mechanism: {kind: gdp, mu: 1}}, {mechanism: {kind: gdp, mu: 2}}]}]\n"
    plan = read(tmp_path, GOOD.replace(PHASES, inner)).plan
    search = plan.phases[1].mechanism
    assert isinstance(search, BestOfTrials) and [each.groups for each in search.phases] == [((1, 0),), ((1, 1),)]
    plan = read(tmp_path, GROUPS % (REPEAT, "{mechanism: {kind: gdp, mu: 1}}")).plan
    assert [each.groups for each in plan.phases] == [((1, 0),), ((1, 1),)]
    assert plan_from_json(json.loads(json.dumps(plan_to_json(plan)))) == plan


def test_a_question_to_a_group_that_a_record_may_leave_is_refused_in_a_trial_too(tmp_path: Path) -> None:
    asked = "{query: {kind: count}, mechanism: {kind: laplace, epsilon: 1}}"
    around = "adjacency: replace-one\n" + GROUPS % (REPEAT, asked)
    with pytest.raises(PlanError, match="a group that a record may leave"):
        read(tmp_path, around)


@pytest.mark.parametrize(("key", "number"), [(key, number) for key in MISTAKES for number in range(len(MISTAKES[key]))])
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, key: str, number: int) -> None:
    old, new, line, said = MISTAKES[key][number]
    assert GOOD.count(old) == 1
    with pytest.raises(PlanError) as refused:
        read(tmp_path, GOOD.replace(old, new))
    assert any(each.startswith(f"{tmp_path}/plan.yaml:{line}: ") and said in each for each in refused.value.problems), (
        refused.value.problems
    )


def test_ten_mistakes_of_each_key_are_here() -> None:
    assert all(len(listed) >= 10 for listed in MISTAKES.values())


def test_json_of_a_search_is_held_to_the_same(tmp_path: Path) -> None:
    content: dict[str, Any] = plan_to_json(read(tmp_path, GOOD).plan)
    search = content["phases"][1]
    for change, said in (
        ({"phases": []}, "phases[1].phases is missing: a trial is a list of phases"),
        ({"phases": [{**search}]}, "search within a search"),
        ({"law": "fixed"}, "law=fixed"),
        ({"mean": "ten"}, "mean is 'ten'"),
        ({"score": "private"}, "score=private"),
        ({"eta": 1.0}, "eta is of negative-binomial"),
        ({"others": 3}, "others is '3'"),
        ({"others": [[]]}, "phases[1].others[0].phases is missing"),
        ({"others": [[{**search}]]}, "search within a search"),
        ({"phases": [{**search["phases"][0], "noise_multiplier": None}]}, "phases[1].phases[0].noise_multiplier"),
    ):
        with pytest.raises(PlanError) as refused:
            plan_from_json({**content, "phases": [content["phases"][0], {**search, **change}]})
        assert any(said in each for each in refused.value.problems), refused.value.problems


def test_kinds_of_trials_survive_json(tmp_path: Path) -> None:
    plan = read(tmp_path, GOOD).plan
    search = plan.phases[1].mechanism
    assert isinstance(search, BestOfTrials)
    several = BestOfTrials.of(search.trials, search.phases, others=((plan.phases[0],), search.phases))
    plan = replace(plan, phases=(replace(plan.phases[1], mechanism=several),))
    again = plan_from_json(json.loads(json.dumps(plan_to_json(plan))))
    assert again == plan and again.phases[0].mechanism.kinds == several.kinds  # type: ignore[attr-defined]
    lines = list(plan_rows.plan_rows(plan))
    assert any("one of 3 kinds" in line for line in lines) and any(line.startswith("    or ") for line in lines)


def test_a_search_among_phases_is_no_step_and_its_trials_are_told(tmp_path: Path) -> None:
    plan = read(tmp_path, GOOD).plan
    _, search = plan.phases
    assert isinstance(search.mechanism, BestOfTrials)
    trial = plan_rows.trial_lengths(search.mechanism)
    rows = [" ".join(line.split()) for line in plan_rows.plan_rows(plan)]
    assert f"phases 2 phases 1 step and a search with trials of {trial}" in rows
    assert f"steps 1 in all, and a search with trials of {trial}" in rows
    assert plan_rows.steps_words((search,)) == f"a search with trials of {trial}"


def ran(*words: object, code: int = 0) -> str:
    found = forked.dpplan(*map(str, words), cwd=RECIPES)
    assert found.returncode == code, found.stderr
    return " ".join((found.stdout if code == 0 else found.stderr).split())


@pytest.mark.slow
def test_the_plan_with_tuning_is_shown_whole() -> None:
    file = RECIPES / "dp-sgd-with-tuning.yaml"
    text = ran("epsilon", file, "--delta", "1e-6")
    assert text.startswith("ε ≤ 1.626") and "upper: the true ε is no larger" in text
    assert "the best of trials: geometric, mean 10; score released σ = 4 q = 0.00426667 1172 steps σ = 30" in text
    assert "≈ by how much the phase raises the bound" in text and "nothing but its winner released" in text


@pytest.mark.slow
def test_other_commands_take_a_search_or_say_why_not(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(GOOD, encoding="utf-8")
    report = ran("report", file, "--delta", "1e-6")
    assert (
        "**ε ≤ " in report
        and "the best of trials (geometric, mean 10; score public), each: gaussian, noise multiplier 4" in report
    )
    assert "stands: what is proven is no more" in ran(
        "check", "--phases", file, "--delta", "1e-6", "--claimed-eps", "3"
    )
    assert "from above (upper)" in ran("risk", file, "--delta", "1e-6")
    assert "no event for best-of-trials" in ran("export", file, "--to", "dp-accounting", code=3)
    assert "refuses: see below" in ran("compare", "accountants", file, "--delta", "1e-6")
    assert "search within a search" in ran("compare", "tuning", file, "--delta", "1e-6", code=2)
    file.write_text(GOOD.replace("{kind: laplace, epsilon: 0.2}", "{kind: laplace}"), encoding="utf-8")
    assert "spends ε ≤" in ran("solve", file, "--target-eps", "3", "--delta", "1e-6")


def test_one_search_alone_is_shown_with_what_it_repeats(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(f"phases:\n  - {REPEAT}\n{PHASES}", encoding="utf-8")
    text = ran("epsilon", file, "--delta", "1e-6")
    assert text.startswith("ε ≤ 1.983") and "each trial 1 phase" in text
    assert "trials geometric, mean 10; the best is released, by a score that is public" in text
    content = json.loads(ran("epsilon", file, "--delta", "1e-6", "--json"))
    assert plan_from_json(content["plan"]).phases == plan_file.read(file).plan.phases
    assert isinstance(plan_from_json(content["plan"]), Plan)
