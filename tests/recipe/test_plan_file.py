"""Plan files: what they say, what is refused with its line, and what each command makes of them."""

import functools
import json
import math
import re
import types
from fractions import Fraction
from pathlib import Path

import forked
import pytest

from dpplan import __main__ as program
from dpplan import accounting
from dpplan.accounting import Bound, Guarantee
from dpplan.adjacency import REPLACE_ONE
from dpplan.commands.shared import breakdown, plan_files
from dpplan.errors import PlanError
from dpplan.mechanism import DiscreteLaplace, Gaussian, Laplace
from dpplan.plan import Plan
from dpplan.recipe import plan_file, plan_nodes, query_block

RECIPES = Path(__file__).parents[2] / "recipes" / "plans"
GOOD = """\
adjacency: add-remove
n: 60000
phases:
  - {name: vocabulary, mechanism: {kind: laplace, epsilon: 0.2}, steps: 20}
  - name: train
    mechanism: {kind: gaussian, noise_multiplier: 3}
    sampling: {kind: poisson, sample_rate: 0.02}
    steps: 500
public:
  - normalisation constants
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return written(tmp_path, GOOD)


def written(folder: Path, text: str) -> Path:
    file = folder / "plan.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_is_the_plan_that_it_says(good: Path) -> None:
    assert plan_file.is_plan(good)
    found = plan_file.read(good)
    assert [type(phase.mechanism) for phase in found.plan.phases] == [Laplace, Gaussian]
    assert [phase.steps for phase in found.plan.phases] == [20, 500]
    assert (found.names, found.public) == (("vocabulary", "train"), ("normalisation constants",))
    assert found.plan.examples == 60000


def test_what_is_left_out_is_one_release_of_all_records(tmp_path: Path) -> None:
    file = written(tmp_path, "adjacency: replace_one\nphases:\n- mechanism: {kind: discrete-laplace, epsilon: 1e-1}\n")
    found = plan_file.read(file)
    (phase,) = found.plan.phases
    assert (phase.mechanism, phase.steps, phase.settings["sample_rate"]) == (DiscreteLaplace(0.1, 1), 1, 1.0)
    assert found.plan.adjacency == REPLACE_ONE and found.names == ("phase 1",)


def test_a_sample_rate_that_is_a_fraction_stays_one(tmp_path: Path) -> None:
    """As a float it makes an epoch of another number of steps."""
    file = written(tmp_path, GOOD.replace("sample_rate: 0.02", "sample_rate: 1/49").replace("steps: 500", "epochs: 1"))
    assert [phase.steps for phase in plan_file.read(file).plan.phases] == [20, 49]


def test_a_list_of_phases_and_a_recipe_are_no_plans(tmp_path: Path) -> None:
    assert not plan_file.is_plan(written(tmp_path, "# phases\n- {sigma: 1, q: 0.1, steps: 2}\n"))
    assert not plan_file.is_plan(RECIPES.parent / "digits.yaml")
    assert not plan_file.is_plan(tmp_path / "none.yaml")


LAPLACE = "{kind: laplace, epsilon: 0.2}"
TRAIN = "{kind: poisson, sample_rate: 0.02}"
# (what stands in the file, what is put there, line, what is said)
MISTAKES = [
    *((GOOD[:21], f"adjacency: {word}", 1, f"adjacency={said} is not one of: add-remove, replace-one, zero-out.")
      for word, said in [("ad-remove", "ad-remove"), ("", ""), ("[a]", "a list"), ("{a: 1}", "a block"), ("1", "1"),
                         ("both", "both"), ("edit", "edit"), ("bounded", "bounded"), ("none", "none"), ("ADD", "ADD")]),
    *(("n: 60000", f"n: {value}", 2, f"n={said} is not a whole number")
      for value, said in [("many", "many"), ("1.5", "1.5"), ("", ""), ("[1]", "a list"), ("{a: 1}", "a block"),
                          ("'5'", "5"), ("0x10", "0x10"), ("1/2", "1/2"), ("yes", "yes"), ("nan", "nan")]),
    ("n: 60000", "n: 0", 2, "n=0 is not a whole number of at least 1"),
    ("n: 60000", "m: 60000", 2, "m is not one of"),
    ("n: 60000", "examples: 60000", 2, "Did you mean 'n'?"),
    ("n: 60000", "unit: exampel", 2, "unit=exampel is not one of: example, user. Did you mean 'example'?"),
    ("adjacency: add-remove", "adjacency: bounded", 1, "Did you mean 'replace-one'?"),
    ("n: 60000", "delta: 1e-5", 2, "public. δ is said where the whole plan is asked about: --delta 1e-5."),
    ("n: 60000", "target_epsilon: 1", 2, "A target is for dpplan solve: --target-eps 3."),
    ("n: 60000", "max_eps: 1", 2, "A limit is said where the whole plan is asked about: --max-eps 3."),
    ("name: vocabulary", "delta: 1e-5", 4, "That of a stated guarantee belongs to mechanism."),
    ("name: vocabulary", "sigma: 2", 4, "It belongs to mechanism: mechanism: {kind: gaussian, noise_multiplier: 3}."),
    ("n: 60000", "unit: people", 2, "unit=people is not one of: example, user. Did you mean 'user'?"),
    ("n: 60000", "max_per_user: 3", 2, "the unit is example"),
    ("n: 60000", "n: 6\nn: 7", 3, "n is given twice; first on line 2."),
    ("public:\n", "phases: [{mechanism: {kind: laplace, epsilon: 0.1}}]\npublic:\n", 9,
     "phases is given twice; first on line 3."),
    ("n: 60000", "steps: 6", 2, "It belongs to the phase."),
    ("name: vocabulary", "name: train", 5, "is that of line 4 too"),
    ("name: vocabulary", "name: [a]", 4, "phases[0].name is not a line of text"),
    ("name: vocabulary", "nam: a", 4, "Did you mean 'name'?"),
    (LAPLACE, "laplace", 4, "phases[0].mechanism is not a block"),
    (LAPLACE, "{epsilon: 1}", 4, "phases[0].mechanism.kind is missing"),
    (LAPLACE, "{kind: laplase, epsilon: 1}", 4, "Did you mean 'laplace'?"),
    (LAPLACE, "{kind: gnmax}", 4, "the epsilon of PATE depends on the data"),
    (LAPLACE, "{kind: partition-selection}", 4, "kind: thresholded-counts"),
    (LAPLACE, "{kind: matrix}", 4, "phases[0].mechanism.strategy is missing"),
    (LAPLACE, "{kind: laplace}", 4, "phases[0].mechanism.epsilon is missing"),
    (LAPLACE, "{kind: laplace, eps: 1}", 4, "Did you mean 'epsilon'?"),
    (LAPLACE, "{kind: laplace, epsilon: 1, steps: 3}", 4, "It belongs to the phase."),
    (LAPLACE, "{kind: laplace, epsilon: 1/3}", 4, "epsilon=1/3 is not a number"),
    (LAPLACE, '{kind: laplace, epsilon: "1,1"}', 4, "epsilon=1,1 is not a number. Write 1.1."),
    (LAPLACE, '{kind: laplace, epsilon: "1.1"}', 4, "epsilon=1.1 is not a number. Write 1.1 without quotes."),
    (LAPLACE, "{kind: laplace, epsilon: 3%}", 4, "epsilon=3% is not a number. ε is no percentage"),
    ("steps: 500", "steps: 60k", 8, "steps=60k is not a whole number. Write 60000."),
    ("steps: 500", "steps: 60,000", 8, "steps=60,000 is not a whole number. Write 60000."),
    ("steps: 500", "steps: 60.000", 8, "60.000 is not a whole number. It may be 60 or 60000: write one of these."),
    ("sample_rate: 0.02", "batch_size: 1.024", 7,
     "phases[1].sampling.batch_size=1.024 is in doubt. Write 1024, if the point separates thousands, or 1.0240."),
    ("sample_rate: 0.02", "sample_rate: 3%", 7, "=3% is not a number or a fraction. Write 0.03, the fraction."),
    (LAPLACE, "{kind: gdp, mu: -1}", 4, "phases[0].mechanism.mu=-1"),
    *((LAPLACE, f"{{kind: laplace, epsilon: {value}}}", 4, f"phases[0].mechanism.epsilon={said}")
      for value, said in [("0", "0"), ("-1", "-1"), ("1000", "1000"), ("1e-9", "1e-09"), ("", ""), ("one", "one"),
                          ("[1]", "a list"), ("true", "true"), (".inf", ".inf"), ("'1'", "1")]),
    ("steps: 20", "steps: 2.5", 4, "phases[0].steps=2.5 is not a whole number"),
    ("steps: 20", "steps: 0", 4, "steps=0"),
    ("steps: 20", "step: 20", 4, "Did you mean 'steps'?"),
    ("steps: 20", "adjacency: replace-one", 4, "is not the plan's, add/remove"),
    ("steps: 20", "unit: user", 4, "is not the plan's, example"),
    (TRAIN, "poisson", 7, "phases[1].sampling is not a block"),
    (TRAIN, "{sample_rate: 0.1}", 7, "phases[1].sampling.kind is missing"),
    (TRAIN, "{kind: poison, sample_rate: 0.1}", 7, "Did you mean 'poisson'?"),
    (TRAIN, "{kind: poisson, q: 0.1}", 7, "Did you mean 'sample_rate'?"),
    (TRAIN, "{kind: poisson, sample_rate: 2}", 7, "sample_rate"),
    (TRAIN, "{kind: poisson}", 7, "the sample rate is missing"),
    (TRAIN, "{kind: poisson, sample_rate: 0.1, cap: 3}", 7, "cap"),
    (TRAIN, "{kind: truncated-poisson, sample_rate: 0.1, cap: few}", 7, "cap=few is not a whole number"),
    ("    steps: 500\n", "", 7, "the length of the run is missing"),
    ("  - normalisation constants", "  x", 9, "public is not a list"),
    ("  - normalisation constants", "  - [a]", 10, "public[0] is not a line of text"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line", "said"), MISTAKES)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    assert old in GOOD
    with pytest.raises(PlanError) as error:
        plan_file.read(written(tmp_path, GOOD.replace(old, new, 1)))
    assert any(f"plan.yaml:{line}: " in each and said in each for each in error.value.problems), error.value.problems


@pytest.mark.parametrize("text", ["", "phases: [", "phases: 3\n", "phases: []\n", "n: 3\n", "a\n", "phases:\n  - 3\n"])
def test_what_is_no_plan_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(PlanError, match=r"plan\.yaml"):
        plan_file.read(written(tmp_path, text))


GROUPS = """\
n: 1000
phases:
  - {name: all, mechanism: {kind: laplace, epsilon: 0.5}}
  - parallel:
      - {name: one, mechanism: {kind: laplace, epsilon: 0.2}}
      - - {mechanism: {kind: laplace, epsilon: 0.1}}
        - parallel: [{mechanism: {kind: gdp, mu: 0.1}}, {mechanism: {kind: gdp, mu: 0.2}}]
      - name: cohort
        n: 400
        phases:
          - mechanism: {kind: gaussian, noise_multiplier: 3}
            sampling: {kind: poisson, batch_size: 4}
            epochs: 1
"""


def test_groups_are_phases_lists_of_phases_and_parts_with_an_n_of_their_own(tmp_path: Path) -> None:
    found = plan_file.read(written(tmp_path, GROUPS))
    paths = [(), ((1, 0),), ((1, 1),), ((1, 1), (2, 0)), ((1, 1), (2, 1)), ((1, 2),)]
    assert [phase.groups for phase in found.plan.phases] == paths
    assert found.names == ("all", "one", "phase 3", "phase 4", "phase 5", "cohort")
    assert (found.plan.phases[-1].settings["sample_rate"], found.plan.phases[-1].steps) == (0.01, 100)


ONE, LIST = "{name: one, mechanism: {kind: laplace, epsilon: 0.2}}", "- - {mechanism: {kind: laplace, epsilon: 0.1}}"
# (what stands in the file, what is put there, line, what is said)
GROUP_MISTAKES = [
    ("- parallel:", "- paralel:", 4, "Did you mean 'parallel'?"),
    (
        "- parallel:",
        "- steps: 3\n    parallel:",
        4,
        "phases[1].steps is not one of: parallel. Each group says it of itself",
    ),
    ("- parallel:", "- parallel: 3\n  - x:", 4, "phases[1].parallel is not a list of two groups or more."),
    ("- parallel:", "- parallel: []\n  - x:", 4, "phases[1].parallel is not a list of two groups or more."),
    ("- parallel:", f"- parallel: [{ONE}]\n  - x:", 4, "phases[1].parallel is not a list of two groups or more."),
    ("- parallel:", f"- parallel: {ONE}\n  - x:", 4, "phases[1].parallel is not a list of two groups or more."),
    (ONE, "3", 5, "phases[1].parallel[0][0] is not a block of keys and values."),
    (ONE, "[]", 5, "phases[1].parallel[0] is not a list of phases."),
    (ONE, "{name: all, mechanism: {kind: gdp, mu: 1}}", 5, "name=all is that of line 3 too."),
    (ONE, "{name: one, mechanism: {kind: gdp, mu: -1}}", 5, "phases[1].parallel[0][0].mechanism.mu=-1"),
    (ONE, "{name: one, adjacency: zero-out, mechanism: {kind: gdp, mu: 1}}", 5, "is not the plan's, add/remove"),
    (ONE, "{name: one, steps: 3}", 5, "phases[1].parallel[0][0].mechanism is missing"),
    (LIST, "- - {mechanism: {kind: laplace}}", 6, "phases[1].parallel[1][0].mechanism.epsilon is missing"),
    ("[{mechanism: {kind: gdp, mu: 0.1}},", "[", 7, "parallel[1][1].parallel is not a list of two groups or more."),
    ("n: 400", "n: 4000", 4, "the groups have n=4000 together, and share no record of n=1000."),
    ("n: 400", "n: 0", 9, "phases[1].parallel[2].n=0 is not a whole number of at least 1."),
    ("n: 400", "n: few", 9, "phases[1].parallel[2].n=few is not a whole number."),
    ("n: 400", "m: 400", 9, "phases[1].parallel[2].m is not one of: name, n, phases."),
    ("n: 400", "unit: user", 9, "phases[1].parallel[2].unit is not one of: name, n, phases."),
    ("name: cohort", "name: [a]", 8, "phases[1].parallel[2].name is not a line of text."),
    ("batch_size: 4", "batch_size: 4000", 12, "batch_size=4000"),
    ("        phases:", "        phases: 3\n        x:", 10, "phases[1].parallel[2].phases is not a list of phases."),
]


@pytest.mark.parametrize(("old", "new", "line", "said"), GROUP_MISTAKES)
def test_what_is_wrong_with_groups_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    assert old in GROUPS
    with pytest.raises(PlanError) as error:
        plan_file.read(written(tmp_path, GROUPS.replace(old, new, 1)))
    assert any(f"plan.yaml:{line}: " in each and said in each for each in error.value.problems), error.value.problems


def test_a_record_that_may_change_its_group_is_asked_nothing_of_unknown_reach(tmp_path: Path) -> None:
    """A count moves by 1 whether a record leaves or is replaced, a sum of values in [100, 101] by 101 or by 1."""
    asked = "{mechanism: {kind: laplace, epsilon: 1}, query: {kind: sum, bounds: [100, 101]}}"
    text = f"adjacency: replace-one\nphases:\n  - parallel:\n      - {asked}\n      - {ONE}\n"
    with pytest.raises(PlanError, match=r"plan.yaml:4: phases\[0\].parallel\[0\]\[0\].query is asked of a group"):
        plan_file.read(written(tmp_path, text))
    assert plan_file.read(written(tmp_path, text.replace("replace-one", "zero-out"))).names == ("phase 1", "one")
    other = text.replace(", query: {kind: sum, bounds: [100, 101]}", "")
    said = plan_file.read(written(tmp_path, other)).plan.assumptions.sampling
    assert said.endswith(
        "no example in two groups, the n of a group public, the mechanisms of a group as private if one leaves or "
        "enters it"
    )


QUERY = """\
adjacency: zero-out
unit: user
phases:
  - name: visits
    mechanism: {kind: laplace}
    query: {kind: mean, n: 100, bounds: [-5, 20], max_per_user: 2, standard_error: 2}
  - {mechanism: {kind: discrete-laplace, epsilon: 0.5}, query: {kind: count, max_per_user: 3}}
  - {mechanism: {kind: exponential, epsilon: 1},
     query: {kind: quantile, bounds: [0, 9], candidates: 10, max_per_user: 1}}
"""


def test_a_query_sets_noise_and_says_how_near_the_answer_is(tmp_path: Path) -> None:
    found = plan_file.read(written(tmp_path, QUERY))
    laplace, counts, _ = (phase.mechanism for phase in found.plan.phases)
    assert laplace == Laplace(0.282843)  # √2·(2·20/100)/2, rounded up
    assert counts == DiscreteLaplace(0.5, 3)
    mean, count, median = found.accuracies
    assert mean is not None and count is not None and median is not None
    assert (mean.sensitivity, mean.standard_error) == (0.4, pytest.approx(2, rel=1e-5))
    text = " ".join(ran("epsilon", tmp_path / "plan.yaml", "--delta", "1e-6", "--accountant", "rdp").split())
    assert "visits ±4.24 at 95 % mean: Laplace noise, standard error 2, sensitivity 0.4" in text
    content = json.loads(ran("epsilon", tmp_path / "plan.yaml", "--delta", "1e-6", "--accountant", "rdp", "--json"))
    assert [each["phase"] for each in content["accuracies"]] == ["visits", "phase 2", "phase 3"]


@pytest.mark.parametrize(
    ("shared", "query", "mechanism", "epsilon"),
    [
        ("unit: user", "kind: count, max_per_user: 3", "discrete-laplace, noise_scale: 10", "3/10"),
        ("unit: user", "kind: count, max_per_user: 3", "laplace, noise_scale: 10", "3/10"),
        ("adjacency: replace-one", "kind: histogram", "discrete-laplace, noise_scale: 10", "2/10"),
        ("unit: example", "kind: sum, bounds: [0, 100]", "laplace, noise_scale: 200", "1/2"),
        ("adjacency: replace-one", "kind: sum, bounds: [-20, 100]", "laplace, noise_scale: 200", "120/200"),
        ("adjacency: zero-out", "kind: mean, bounds: [0, 1], n: 7", "laplace, noise_scale: 2", "1/14"),
        ("unit: example", "kind: count", "laplace, noise_scale: 10", "1/10"),
    ],
)
def test_beside_a_query_the_scale_of_noise_is_of_its_answer(
    tmp_path: Path, shared: str, query: str, mechanism: str, epsilon: str
) -> None:
    """Laplace noise of scale b on what moves by Δ costs Δ/b, and not 1/b; its standard error is √2·b."""
    text = f"{shared}\nphases: [{{query: {{{query}}}, mechanism: {{kind: {mechanism}}}}}]\n"
    found = plan_file.read(written(tmp_path, text))
    made, accuracy = found.plan.only_phase.mechanism, found.accuracies[0]
    assert isinstance(made, Laplace | DiscreteLaplace) and accuracy is not None and accuracy.standard_error is not None
    assert Fraction(epsilon) <= Fraction(made.epsilon) <= Fraction(epsilon) * (1 + Fraction(1, 2**50))
    if isinstance(made, Laplace):
        assert accuracy.standard_error == pytest.approx(2**0.5 * float(mechanism.rpartition(" ")[2]), rel=1e-12)


def test_a_scale_beside_a_query_is_not_looked_for_in_other_units(tmp_path: Path) -> None:
    text = "phases: [{name: c, query: {kind: sum, bounds: [0, 9]}, mechanism: {kind: laplace, noise_scale: 20}}]\n"
    words = ("solve", written(tmp_path, text), "--target-eps", "1", "--delta", "1e-6", "--unknown")
    assert "beside a query it is in units of the answer. Ask for epsilon" in " ".join(
        ran(*words, "c.noise_scale", code=2).split()
    )
    assert "c.epsilon = 1" in ran(*words, "c.epsilon")


ASKED = "{kind: mean, n: 100, bounds: [-5, 20], max_per_user: 2, standard_error: 2}"
QUERY_MISTAKES = [
    ("zero-out", "add-remove", 6, "phases[0].query: kind=mean: under add-remove the number of records is private"),
    (ASKED, "mean", 6, "phases[0].query is not a block of keys and values."),
    (ASKED, "{n: 100}", 6, "phases[0].query.kind is missing. Known: count, sum, mean, histogram, quantile."),
    (ASKED, "{kind: meen}", 6, "phases[0].query.kind=meen is not one of"),
    ("n: 100", "m: 100", 6, f"phases[0].query.m is not one of: {', '.join(query_block.KEYS)}."),
    ("n: 100", "n: 0", 6, "n=0"),
    ("n: 100, ", "", 6, "n is missing: a mean is of a public number"),
    ("kind: mean", "kind: sum", 6, "phases[0].query.n is of mean, and this is a sum."),
    ("[-5, 20]", "[20, -5]", 6, "bounds=[20, -5] are not in order."),
    ("[-5, 20]", "20", 6, "phases[0].query.bounds is not [lowest, highest]."),
    ("[-5, 20]", "[a, 20]", 6, "phases[0].query.bounds=a is not a number."),
    ("bounds: [-5, 20], ", "", 6, "phases[0].query.bounds is missing: a mean is of values that are clipped"),
    (", max_per_user: 2", "", 6, "phases[0].query.max_per_user is missing"),
    ("max_per_user: 2", "max_per_user: 0", 6, "max_per_user=0"),
    ("unit: user\n", "", 5, "max_per_user=2 is about users, and the unit is example."),
    (
        "unit: user\n",
        "unit: user\nmax_per_user: 4\n",
        7,
        "The two add up exactly in no plan here yet: account them apart",
    ),
    ("standard_error: 2", "standard_error: 0", 6, "standard_error=0"),
    (
        "{kind: laplace}",
        "{kind: laplace, epsilon: 1}",
        5,
        "mechanism.epsilon follows from the query, and is given beside",
    ),
    ("{kind: laplace}", "{kind: discrete-laplace}", 5, "kind=mean is answered by laplace or gaussian"),
    (", standard_error: 2", "", 5, "phases[0].mechanism.epsilon is missing"),
    (
        "    query",
        "    sampling: {kind: poisson, sample_rate: 0.1}\n    steps: 3\n    query",
        8,
        "is asked of all records",
    ),
    (
        "{kind: exponential, epsilon: 1}",
        "{kind: laplace, epsilon: 1}",
        8,
        "kind=quantile is answered by exponential or",
    ),
    ("candidates: 10", "candidates: 1", 9, "candidates=1"),
    (", candidates: 10", "", 9, "candidates is missing"),
    ("candidates: 10", "candidates: 10, p: 2", 9, "p=2"),
    ("epsilon: 0.5}", "epsilon: 0.5, sensitivity: 1}", 7, "sensitivity follows from the query"),
]


@pytest.mark.parametrize(("old", "new", "line", "said"), QUERY_MISTAKES)
def test_what_is_wrong_with_a_query_is_told_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, said: str
) -> None:
    assert old in QUERY
    with pytest.raises(PlanError) as error:
        plan_file.read(written(tmp_path, QUERY.replace(old, new, 1)))
    assert any(f"plan.yaml:{line}: " in each and said in each for each in error.value.problems), error.value.problems


def test_a_file_too_large_for_a_plan_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, GOOD + "#" * plan_nodes.MOST_BYTES)
    with pytest.raises(PlanError, match="this is no plan"):
        plan_nodes.compose(file)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("0.2", "-1").replace("kind: poisson", "kind: poison").replace("public", "publik")
    with pytest.raises(PlanError) as error:
        plan_file.read(written(tmp_path, text))
    assert len(error.value.problems) == 3


def ran(*words: object, code: int = 0) -> str:
    found = forked.dpplan(*map(str, words), cwd=RECIPES)
    assert found.returncode == code, found.stderr
    return found.stdout + (found.stderr if code else "")


def test_what_phases_add_is_not_asked_for_ever(
    good: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of them together take as long as the plan many times over."""
    monkeypatch.setattr(breakdown, "LONGEST", 0.0)
    assert program.run(["epsilon", str(good), "--delta", "1e-6"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert shown.count(" not asked") == 3 and " not asked: what each phase adds takes as long as the " in shown
    assert program.run(["epsilon", str(good), "--delta", "1e-6", "--json"]) == 0
    parts = json.loads(capsys.readouterr().out)["by_phase"]
    assert {tuple(each["adds"].values()) for each in parts} == {(None, None)}
    assert all(each["alone"]["upper"] > 0 for each in parts)


def test_a_search_and_what_costs_most_are_asked_first_what_they_add(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question takes longer than there is time for all, so only what matters most has an answer."""
    read = plan_file.read(RECIPES / "dp-sgd-with-tuning.yaml")
    clock = (0.4 * breakdown.LONGEST * tick for tick in range(100))
    monkeypatch.setattr(breakdown, "time", types.SimpleNamespace(monotonic=functools.partial(next, clock)))
    cost = dict(zip(read.plan.phases, (3.0, 1.0, 2.0, 5.0), strict=True))

    def ask(plan: Plan, at: float) -> Bound:
        spent = math.fsum(cost[each] for each in plan.phases)
        return Bound("epsilon", spent, spent, Guarantee.CERTIFIED, "exact", plan.assumptions)

    found = breakdown.of(read.plan, read.names, [(1e-5, ask(read.plan, 1e-5))], ask, lambda said: None)
    assert {each.name: each.marginal[1] for each in found if each.without is not None} == {"search": 2.0, "train": 5.0}
    assert [each.unknown for each in found] == ["not asked", "not asked", "", ""]
    assert "Searches come first, then what costs most alone." in breakdown.table(found).notes[0]


def test_epsilon_says_what_each_phase_costs_and_adds(good: Path) -> None:
    text = ran("epsilon", good, "--delta", "1e-6")
    assert "3.7833" in text and re.search(r"train +0\.6476\d* +0\.1124", text)
    assert re.search(r"public +normalisation constants +costs nothing", text)
    content = json.loads(ran("epsilon", good, "--delta", "1e-6", "--json"))
    vocabulary, train = content["by_phase"]
    total = content["results"][0]["epsilon"]["upper"]
    assert train["adds"]["upper"] == pytest.approx(total - vocabulary["alone"]["upper"], rel=1e-4)
    assert train["adds"]["lower"] <= train["adds"]["upper"]
    assert content["names"] == ["vocabulary", "train"] and content["public"] == ["normalisation constants"]


@pytest.mark.sweep(every=2)
@pytest.mark.parametrize(
    "words",
    [
        ("delta", "--eps", "4"),
        ("curve", "--points", "2", "--from", "1e-6", "--to", "1e-5"),
        ("compare", "accountants"),
        pytest.param(("risk", "--delta", "1e-6"), marks=pytest.mark.slow),  # the whole profile of a mixed plan
    ],
)
def test_other_commands_take_the_file_in_both_ways(good: Path, words: tuple[str, ...]) -> None:
    one, other = ran(*words, good), ran(*words, "--phases", good)
    seconds = r" +([\d.]+ m?s\b)?"  # and the blanks before them, of a column as wide as its longest
    assert re.sub(seconds, " ", one) == re.sub(seconds, " ", other)
    assert "σ = 3" in one


def test_a_plan_file_is_spent_before_a_run(good: Path) -> None:
    text = ran("epsilon", "--spent", good, "--sigma", 2, "--q", 0.01, "--steps", 100, "--delta", "1e-6")
    assert "3.7957" in text and re.search(r"spent before +ε = 3\.78333", text)
    again = json.loads(ran("epsilon", good, "--spent", "sigma=2,q=0.01,steps=100", "--delta", "1e-6", "--json"))
    assert again["results"][0]["epsilon"]["upper"] == pytest.approx(3.79573, abs=1e-5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sigma", "2"), "is a whole plan"),
        (("--adjacency", "replace-one"), "is a whole plan"),
        (("--phase", "sigma=2,q=0.1,steps=1"), "is a whole plan"),
        (("--spent", "sigma=2,q=0.1,stps=1"), "Did you mean 'steps'?"),
    ],
)
def test_what_contradicts_a_plan_file_is_refused(good: Path, words: tuple[str, ...], said: str) -> None:
    assert said in ran("epsilon", good, "--delta", "1e-6", *words, code=2)


@pytest.mark.parametrize("words", [("epsilon",), ("check",), ("risk",), ("solve", "--target-eps", "9")])
def test_what_holds_where_nothing_is_said_contradicts_a_plan_file_too_when_it_is_said(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    file = tmp_path / "users.yaml"
    phase = "{mechanism: {kind: gaussian, noise_multiplier: 3}, sampling: {kind: shuffle, batch_size: 600}, epochs: 5}"
    file.write_text(f"unit: user\nadjacency: replace-one\nn: 60000\nphases: [{phase}]\n", encoding="utf-8")
    others = () if words[0] == "check" else ("--adjacency", "add-remove")  # there it is what is claimed
    text = ran(*words, file, "--unit", "example", "--sampling", "poisson", *others, code=2)
    assert f"unit=example contradicts {file}, which says unit=user. Leave out --unit, or write" in text
    assert f"sampling=poisson contradicts {file}, which says sampling=shuffle. Leave out --sampling: its phases" in text
    assert ("which says adjacency=replace-one. Leave out --adjacency, or write adjacency: add-remove" in text) is bool(
        others
    )


def test_what_a_plan_file_says_itself_may_be_said_beside_it(good: Path) -> None:
    same = ("--unit", "example", "--adjacency", "add-remove", "--sampling", "poisson")
    assert ran("epsilon", good, "--delta", "1e-6", *same) == ran("epsilon", good, "--delta", "1e-6")


_DRAWN = "mechanism: {kind: gaussian, noise_multiplier: 2}, sampling: {kind: poisson, batch_size: 300}, epochs: 5"
_WOMEN = f"{{name: women, n: 30000, phases: [{{{_DRAWN}}}]}}"


@pytest.mark.sweep(slow=("text2",))
@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"phases: [{{parallel: [{_WOMEN}, {{mechanism: {{kind: laplace, epsilon: 1}}}}]}}]", "n=30000 of a group, in"),
        (f"n: 60000\nphases: [{{parallel: [{{{_DRAWN}}}, {_WOMEN}]}}]", "n=60000 and n=30000 of a group, in"),
        (
            f"n: 60000\nphases: [{{repeat: {{law: geometric, mean: 3, score: public}}, phases: [{{{_DRAWN}}}]}}]",
            "n=60000",
        ),
        (f"n: 9000\nadjacency: zero-out\nphases: [{{{_DRAWN}}}]", ""),
    ],
)
def test_what_groups_and_searches_are_drawn_by_tells_their_n(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text, encoding="utf-8")
    shown = ran("check", file, "--delta", "1e-6")
    assert (f"q = batch / n and an epoch of n / batch steps tell {told}" in " ".join(shown.split())) is bool(told)


def test_plans_for_other_neighbours_do_not_add_up(good: Path) -> None:
    text = ran("epsilon", "--spent", good, "--sigma", 2, "--q", 0.01, "--steps", 9, "--adjacency", "zero-out",
               "--delta", "1e-6", code=2)  # fmt: skip
    assert "adjacency=add_remove and adjacency=zero_out differ" in text


def test_check_takes_plans_of_any_mechanism(good: Path) -> None:
    text = ran("check", good)
    assert "21 rules find nothing" in text and "3.78333" in text and "certified, at δ = 1e-06" in text
    assert ran("check", "--phases", good) == text
    mixed = ran("check", good, "--views", "2", code=1)
    assert "2 views of an example are clipped one by one" in mixed and "instead of" in mixed
    assert "the claim is for replace-one" in " ".join(ran("check", good, "--adjacency", "replace-one", code=1).split())


def test_a_plan_of_users_under_replace_one_is_checked_as_it_says() -> None:
    assert "21 rules find nothing" in ran("check", RECIPES / "weekly-releases.yaml")


@pytest.mark.slow
def test_report_takes_a_plan_file(tmp_path: Path) -> None:
    """Of Gaussians alone, whose profile is quick."""
    file = written(tmp_path, "n: 900\nphases:\n- {mechanism: {kind: gdp, mu: 0.4}}\n- parallel:\n"
                   "  - {mechanism: {kind: gdp, mu: 0.1}}\n  - {mechanism: {kind: gdp, mu: 0.2}}\n")  # fmt: skip
    text = ran("report", file, "--state", "name=A plan")
    assert (
        "# A plan: privacy statement" in text and "| phase 3 | gdp, mu 0.2, sample rate 1, 1 step, group 1.2 |" in text
    )
    assert "no example in two groups" in text
    assert "n is for a recipe: a plan file names its own" in ran("report", file, "--n", "5", code=2)


EXAMPLES: dict[str, tuple[float, float]] = {
    "ad-measurement": (23.9999, 24.0),
    "dp-sgd-with-vocabulary": (1.3970, 1.3972),
    "lecture-counts": (1.1999, 1.2),
    "lecture-counts-disjoint": (0.9999, 1.0),
    "cohorts": (2.1245, 2.1246),
    "weekly-releases": (1.5136, 1.5832),
    "federated-by-user": (5.9615, 5.9616),
}
BY_MOMENTS = ("census-2020",)


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=[pytest.mark.slow] * (each == "federated-by-user")) for each in EXAMPLES]
)
def test_the_plans_that_come_with_dpplan_cost_what_they_should(name: str) -> None:
    low, high = EXAMPLES[name]
    found = accounting.epsilon(plan_file.read(RECIPES / f"{name}.yaml").plan, 1e-6)
    assert found.lower is not None and found.upper is not None
    assert low <= found.lower <= found.upper <= high


def test_the_census_is_answered_by_moments_and_the_exact_accountant_says_who_does() -> None:
    census = RECIPES / "census-2020.yaml"
    found = json.loads(ran("epsilon", census, "--delta", "1e-10", "--accountant", "rdp", "--json"))["results"][0]
    assert found["epsilon"]["upper"] == pytest.approx(17.1436, abs=5e-5)
    told = ran("epsilon", census, "--delta", "1e-10")
    assert "≤ 17.1436" in told and "rdp, an upper bound: exact has no theorem" in " ".join(told.split())
    assert "Ask --accountant rdp" in ran("epsilon", census, "--delta", "1e-10", "--accountant", "exact", code=3)


def test_every_plan_that_comes_with_dpplan_is_tested() -> None:
    left_open = {"two-stage-fine-tuning"}  # whose noise solve finds: tests/solve/test_budget_allocation.py
    left_open |= {"dp-sgd-with-tuning"}  # whose search is known from above: test_repeat_block.py
    assert {file.stem for file in RECIPES.glob("*.yaml")} == {*EXAMPLES, *BY_MOMENTS, *left_open}
    assert breakdown.MOST_PHASES >= 10 and plan_files.taken([str(RECIPES / "lecture-counts.yaml")])[0]


def test_composition_theorems_refuse_what_is_not_gaussian(good: Path) -> None:
    found = forked.dpplan("compare", "theorems", "--phases", str(good), "--delta", "1e-6", cwd=RECIPES)
    assert found.returncode in (2, 3) and "no composition theorem is made for this plan" in " ".join(
        found.stderr.split()
    )


NESTED = """\
n: 1000
phases:
  - {name: everybody, mechanism: {kind: laplace, epsilon: 0.1}}
  - parallel:
      - name: north
        phases:
          - parallel:
              - {name: men, mechanism: {kind: laplace, epsilon: 1}}
              - name: women
                phases:
                  - {mechanism: {kind: laplace, epsilon: 1}, steps: 2}
                  - {name: again, mechanism: {kind: laplace, epsilon: 2}}
      - {name: south, mechanism: {kind: laplace, epsilon: 1}}
"""


def test_tables_call_phases_and_groups_by_their_names(tmp_path: Path) -> None:
    """As far as the file names them: a group without a name is block.group."""
    text = ran("epsilon", written(tmp_path, NESTED), "--delta", "1e-6", "--accountant", "rdp")
    rows = {line.split("  ")[0]: line.split() for line in text.split("all together")[0].splitlines() if line}
    assert rows["everybody"][1] == "all" and rows["men"][1] == "north/2.1" and rows["south"][1] == "1.2"
    assert rows["women phase 3"][3] == rows["again"][1] == "north/women"
    listed = text.split("all together")[1]
    assert "    women phase 3  ε = 1    q = 1  2 steps      group north/women\n" in listed
    assert "    everybody      ε = 0.1  q = 1  1 step\n" in listed
    checked = ran("check", tmp_path / "plan.yaml", "--delta", "1e-6")
    assert "    south          ε = 1    q = 1  1 step       group 1.2\n" in checked


def test_a_phase_alone_says_what_it_releases(tmp_path: Path) -> None:
    file = written(tmp_path, "phases:\n- {mechanism: {kind: laplace, epsilon: 0.1}}\n")
    assert "\n  mechanism          laplace\n" in ran("epsilon", file, "--delta", "1e-6")


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("1e999999999", "steps=1e999999999 is not a whole number"),
        ("1e-999999999", "steps=1e-999999999 is not a whole number"),
        (5000 * "9", "steps=99999999999999999999... (5000 characters) is not a whole number"),
    ],
)
def test_numbers_without_end_are_refused_at_once(steps: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(f"phases: [{{mechanism: {{kind: laplace, epsilon: 1}}, steps: {steps}}}]\n")
    with pytest.raises(PlanError) as caught:
        plan_file.read(tmp_path / "plan.yaml")
    assert said in str(caught.value)


def test_what_refers_to_itself_over_and_over_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block stands six times in the next: a few lines, and 6^6 phases. And no list of problems is longer than
    anybody reads."""
    monkeypatch.setattr(plan_nodes, "MOST_PHASES", 300)
    one = "{mechanism: {kind: laplace, epsilon: 0.1}}"
    lines = [f"phases:\n  - parallel: &a [{one}, {one}]"]
    for before, after in zip("abcdef", "bcdefg", strict=True):
        lines.append(f"  - parallel: &{after} [{{phases: [{', '.join(6 * [f'{{parallel: *{before}}}'])}]}}, {one}]")
    (tmp_path / "plan.yaml").write_text("\n".join(lines) + "\n")
    with pytest.raises(PlanError, match="phases and their groups are more than 300"):
        plan_file.read(tmp_path / "plan.yaml")
    (tmp_path / "plan.yaml").write_text("phases:\n" + 100 * "  - {mechanism: {kind: laplace, epsilon: x}}\n")
    with pytest.raises(PlanError) as caught:
        plan_file.read(tmp_path / "plan.yaml")
    assert len(caught.value.problems) == plan_nodes.MOST_TOLD + 1 and "60 more like these" in caught.value.problems[-1]
    assert str(caught.value).startswith("100 problems with this plan\n")


@pytest.mark.parametrize("drawn", ["", "sampling: {kind: full-batch}, "])
def test_steps_and_epochs_have_to_agree_without_a_rate_too(tmp_path: Path, drawn: str) -> None:
    text = f"phases:\n  - {{mechanism: {{kind: laplace, epsilon: 0.1}}, {drawn}steps: 5, epochs: %s}}\n"
    (tmp_path / "plan.yaml").write_text(text % 300)
    with pytest.raises(PlanError, match=r"phases\[0\]: steps=5 contradicts epochs=300, which is 300 steps"):
        plan_file.read(tmp_path / "plan.yaml")
    (tmp_path / "plan.yaml").write_text(text % 5)
    assert plan_file.read(tmp_path / "plan.yaml").plan.steps == 5


@pytest.mark.parametrize(
    "text",
    [
        "phases: &p\n  - parallel: [*p, *p]\n",
        "phases: &p\n  - {repeat: {law: geometric, mean: 10, score: public}, phases: [{parallel: [*p, *p]}]}\n",
        "phases:\n  - &a0 {parallel: []}\n"
        + "".join(f"  - &a{n + 1} {{parallel: [*a{n}, *a{n}]}}\n" for n in range(28)),
    ],
)
def test_blocks_without_a_phase_are_counted_too(tmp_path: Path, text: str) -> None:
    """2^30 of them were walked through before anything was said."""
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(PlanError) as caught:
        plan_file.read(tmp_path / "plan.yaml")
    assert len(caught.value.problems) <= plan_nodes.MOST_TOLD + 1


def test_what_is_nested_without_end_is_told_so(tmp_path: Path) -> None:
    file, inside = tmp_path / "plan.yaml", "{mechanism: {kind: laplace, epsilon: 0.1}}"
    for deep, said in ((31, "groups are nested more than 30 deep"), (400, "is nested too deeply to be read")):
        nested = "[{parallel: [" * deep + inside + f", {inside}]}}]" * deep
        file.write_text(f"phases: {nested}\n", encoding="utf-8")
        with pytest.raises(PlanError, match=said):
            plan_file.read(file)
