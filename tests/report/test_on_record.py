"""What the files of a run or a search say stands on its page: other runs, held-out examples, silences, the search."""

import functools
import json
import re
import shlex
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import yaml

from dpplan import lint, recipe, report
from dpplan.accounting.assumptions import CERTIFICATE
from dpplan.adjacency import ADD_REMOVE, ADJACENCIES, DIFFERENT_N, N_IS_PUBLIC, SAME_N
from dpplan.deployment_statement import Statement
from dpplan.mechanism import BestOfTrials, DiscreteLaplace, Gaussian
from dpplan.mechanism.trials import Trials
from dpplan.plan import Phase, Plan, Settings
from dpplan.recipe import grid as grids
from dpplan.render import help_pages, help_schemes
from dpplan.report import on_record, other_runs
from dpplan.report import page as pages
from dpplan.report.recipe_comments import without_comments
from dpplan.sampling import Poisson
from dpplan.tuning import search_report
from dpplan.tuning.search_plan import Score, SearchPlan, planned

ROOT = Path(__file__).parents[2]
RUN = ROOT / "tests" / "data" / "run-report.json"
TEXT = (ROOT / "recipes" / "digits-logistic.yaml").read_text(encoding="utf-8")
CHOSEN = ("training", "learning_rate")


_PAGE = pages._page  # accounts and assesses, which takes a second


@functools.cache
def parts(plan: Plan, delta: float) -> dict[str, Any]:
    return _PAGE("", plan, delta, Statement({}))


@pytest.fixture(autouse=True)
def computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def page(name: str, plan: Plan, delta: float, statement: Statement, told: object = None) -> dict[str, Any]:
        return {**parts(plan, delta), "name": name, "statement": statement}

    monkeypatch.setattr(pages, "_page", page)


@functools.cache
def search_plan() -> SearchPlan:
    job = recipe.parse(TEXT, name="digits")
    return planned(job, grids.read(["learning_rate=0.25,0.5"]), Trials("geometric", 3.0), Score(), 1437)


def search(at: Path) -> Path:
    """The folder of a search, as dpplan tune leaves it."""
    plan = search_plan()
    chosen = grids.recipe_of(plan.recipe, {CHOSEN: "0.25"})
    won = {"setting": {"training.learning_rate": "0.25"}, "score": 0.9527778, "score_is": "", "model": "model.pt"}
    content = search_report.document(plan, chosen, won, seeded=False)
    at.mkdir(parents=True)
    (at / "report.json").write_text(json.dumps(content), encoding="utf-8")
    (at / "recipe.yaml").write_text(chosen.text, encoding="utf-8")
    return at


def run(at: Path, change: Callable[[Any], object] = lambda _: None, identity: str = "") -> Path:
    content = json.loads(RUN.read_text(encoding="utf-8"))
    if identity:
        content["run"] = {"id": identity, "resumes": []}
    change(content)
    at.mkdir(parents=True)
    (at / "report.json").write_text(json.dumps(content), encoding="utf-8")
    return at


def forms(page: report.Page) -> tuple[str, str]:
    return unescape(report.html(page)), report.markdown(page)


# A search


def test_the_page_of_a_search_is_of_the_search(tmp_path: Path) -> None:
    page = report.gather(search(tmp_path / "won"), {})
    for text in forms(page):
        assert on_record.WINNER in text
        assert "not the final model only" not in text
        assert "training.learning_rate from 0.25, 0.5" in text
        assert "training.learning_rate 0.25, score 0.952778, and the final model of that trial" in text
        assert "a search (geometric, mean 3) whose trials are 85 steps each" in text
        assert on_record.SECRETS in text
        assert "dpplan train runs it" not in text
        assert "makes one run more, which the figure of this page does not count" in text
        assert (
            "dpplan tune RECIPE --grid training.learning_rate=0.25,0.5 --trials geometric --mean 3 --score-data public."
        ) in text
        assert not re.search(r"\b1 steps\b", text)
    assert "of a search over settings" in report.html(page)
    assert report.html(page).count("<svg") == 2  # nothing is released on the way
    paragraph = report.document(page)["paragraph"]
    assert re.search(r"is the winner of a search over settings .* ε ≤ [\d.]+ at δ = 1e-05", paragraph)
    assert "ε = " not in paragraph
    assert "Tuning: not stated" not in paragraph
    assert "tuning" not in page.missing
    assert (
        "Tuning: by a friend."
        in report.document(report.gather(tmp_path / "won", {"tuning": "by a friend"}))["paragraph"]
    )


def test_a_search_with_noisy_scores_says_how_it_is_made_again() -> None:
    train, score = Phase(Gaussian(2.0), Poisson(0.1), 5), Phase(DiscreteLaplace(0.5), Poisson(1.0), 1)
    best = BestOfTrials("negative-binomial", 3.0, (train, score), score="released", eta=0.25)
    found = on_record.search_call({"grid": {"model.hidden": ["[8, 8]", "[16]"]}}, Plan((Phase(best, Poisson(1.0), 1),)))
    assert found == (
        "dpplan tune RECIPE --grid model.hidden='[8, 8],[16]' --trials negative-binomial --mean 3 --eta 0.25 "
        "--score-eps 0.5"
    )
    binomial = BestOfTrials("binomial", 3.0, (train,), chance=0.75)
    told = on_record.search_call({}, Plan((Phase(binomial, Poisson(1.0), 1),)))
    assert told == "dpplan tune RECIPE --trials binomial --mean 3 --chance 0.75 --score-data public"
    assert grids.read([shlex.split(found)[4]]).values == ((("model", "hidden"), ("[8, 8]", "[16]")),)
    scored = {"score": Score(0.5).words}
    assert "whose noise is counted" in on_record.held_out({"data": {"held_out": 0.2}}, None, scored)
    assert "ε does not cover them" in on_record.held_out({"data": {"held_out": 0.2}}, None, {"score": Score().words})


def test_the_draft_for_the_registry_is_of_the_search_too(tmp_path: Path) -> None:
    stated = {"publication_date": "2026-11-28", "tuning": "on public data before"}
    found = report.checked_entry(report.gather(search(tmp_path / "won"), stated))["deployment"]
    assert found["accounting"]["composition"].startswith("a search (geometric, mean 3) whose trials are 85 steps each")
    assert "all iterates" not in found["accounting"]["composition"]
    tuning = found["implementation"]["preprocessing_and_hyperparameter_tuning"]
    assert tuning.startswith("on public data before. On record: by the search that this page is of")
    assert "trained by dpplan" in found["implementation"]["mechanisms"]


@pytest.mark.parametrize(
    ("winner", "said"),
    [
        (None, "'none': no trial was made"),
        (
            {"setting": {"model.kind": "mlp"}, "score": None},
            "model.kind mlp; the best trial failed, so there is no model",
        ),
        ({"setting": {"model.kind": "mlp"}, "score": 7}, "model.kind mlp, score 7"),
        ({"setting": {"model.kind": "mlp"}, "score": 7, "model": None}, "model.kind mlp, score 7"),
        ({"setting": [], "score": "?"}, "score ?"),
        ({"score": None}, "the best trial failed, so there is no model"),
        ("nobody", "'none': no trial was made"),
    ],
)
def test_what_a_search_released_is_told_whatever_it_was(winner: Any, said: str) -> None:
    assert on_record.released({"winner": winner}) == said


@pytest.mark.parametrize("wrong", [None, [], "x", 3, {"training.learning_rate": "0.5"}])
def test_a_report_that_was_altered_shows_less_and_never_fails(wrong: Any) -> None:
    for altered in ({"grid": wrong}, {"score": wrong, "winner": wrong}, {"winner": {"setting": wrong, "score": wrong}}):
        assert on_record.grid(altered) == {}
        assert dict(on_record.search_facts(altered))["To be kept private"] == on_record.SECRETS
        assert on_record.search_call(altered, search_plan().plan).startswith("dpplan tune RECIPE --trials geometric")
    assert on_record.silenced({"check": {"silence": wrong}}) == (wrong if isinstance(wrong, dict) else {})


def test_what_is_covered_follows_from_the_phases() -> None:
    train = Phase(Gaussian(2.0), Poisson(0.1), 5)
    best = Phase(BestOfTrials("geometric", 3.0, (train,)), Poisson(1.0), 1)
    both = BestOfTrials("geometric", 3.0, (train,), others=((Phase(Gaussian(2.0), Poisson(0.1), 1),),))
    scored = BestOfTrials("geometric", 3.0, (train, Phase(DiscreteLaplace(0.1), Poisson(1.0), 1)), score="released")
    assert on_record.coverage(Plan((train,))) == on_record.ITERATES
    assert on_record.coverage(Plan((best,))) == on_record.WINNER
    assert on_record.coverage(Plan((train, best))) == on_record.BOTH
    assert [on_record.all_at_once(Plan(each)) for each in ((best,), (train, best))] == [True, False]
    assert on_record.lengths(Plan((train,))) == "5 steps"
    assert on_record.lengths(Plan((Phase(Gaussian(2.0), Poisson(0.1), 1),))) == "1 step"
    assert on_record.lengths(Plan((train, best))) == "2 phases of 5 steps and a search with trials of 5 steps"
    assert on_record.trial_lengths(both) == "1 or 5 steps"
    assert on_record.trial_lengths(scored) == "5 steps"
    counts = Phase(DiscreteLaplace(0.1), Poisson(1.0), 4)  # which are no score
    assert on_record.trial_lengths(BestOfTrials("geometric", 3.0, (counts,))) == "4 steps"
    assert on_record.trial_lengths(BestOfTrials("geometric", 3.0, (train, counts), score="released")) == "9 steps"
    count = Phase(DiscreteLaplace(0.1), Poisson(1.0), 1)  # of a trial whose score is public
    assert on_record.trial_lengths(BestOfTrials("geometric", 3.0, (train, count))) == "6 steps"


def test_nothing_is_on_record_of_a_plan_by_itself() -> None:
    assert on_record.on_record({}, None, None, other_runs.OtherRuns()) == {}


# Other runs


def test_runs_beside_this_one_are_told_with_what_all_of_them_spend(tmp_path: Path) -> None:
    first = run(tmp_path / "runs" / "digits-001", identity="a")
    alone = report.gather(first, {})
    for text in forms(alone):
        assert "This page is of one run. Whatever else was run on the same data adds to its ε" in text
    assert alone.others == other_runs.OtherRuns()
    run(tmp_path / "runs" / "digits-002", identity="b")
    search(tmp_path / "runs" / "digits-tuned-001")
    page = report.gather(first, {})
    assert page.others.names == ("digits-002", "digits-tuned-001")
    assert page.others.together is not None
    assert page.bound.upper is not None
    assert page.others.together > page.bound.upper * 1.2
    for text in (*forms(page), report.document(page)["paragraph"], str(report.entry(page))):
        assert "2 other runs on the same data (digits-002, digits-tuned-001), not counted in this ε" in text
        assert "with this one they spend ε ≤ " in text
    assert "other_accesses" not in page.missing


def finished(at: Path, identity: str = "a") -> Path:
    """A run that ended, with the count of its steps."""
    run(at, identity=identity)
    (at / "steps").write_text(str(json.loads((at / "report.json").read_text())["spent"]["steps"]), encoding="utf-8")
    return at


def test_an_unchanged_copy_of_a_run_is_no_other_run(tmp_path: Path) -> None:
    plan, recipes = Plan.from_rate(2.0, 0.1, 20), {"data": {"source": "digits"}}
    first = finished(tmp_path / "runs" / "digits-001")
    copy = finished(tmp_path / "runs" / "backup")
    for own in (first, copy):
        assert other_runs.beside(plan, 1e-5, own, recipes) == other_runs.OtherRuns()
    steps = int((copy / "steps").read_text(encoding="utf-8"))
    (copy / "steps").unlink()  # as a run does that finished
    assert other_runs.beside(plan, 1e-5, first, recipes) == other_runs.OtherRuns()
    (copy / "run.json").write_text("{}", encoding="utf-8")  # as no such run has
    assert not lint.unchanged_copy(copy, first)
    for said in (str(steps + 1), "many", ""):  # it went on, or nobody knows
        (copy / "steps").write_text(said, encoding="utf-8")
        assert other_runs.beside(plan, 1e-5, first, recipes).names == ("backup",)
    (copy / "steps").write_text(str(steps), encoding="utf-8")
    text = (copy / "report.json").read_text(encoding="utf-8")
    (copy / "report.json").write_text(text + " ", encoding="utf-8")
    assert not lint.unchanged_copy(copy, first)


def test_of_two_folders_that_hold_one_other_run_one_is_named(tmp_path: Path) -> None:
    """Also where they do not lie together; a run of the same name elsewhere is told apart by its path."""
    plan, there = Plan.from_rate(2.0, 0.1, 20), str(tmp_path / "runs")
    recipes = {"data": {"source": "digits"}, "runtime": {"folder": there}}
    first = finished(tmp_path / "mine" / "digits-001")
    finished(tmp_path / "mine" / "c2", "b")
    copy = finished(tmp_path / "runs" / "copy", "b")
    one = other_runs.beside(plan, 1e-5, first, recipes)
    assert one.names == ("c2",)
    (copy / "steps").write_text("86", encoding="utf-8")
    two = other_runs.beside(plan, 1e-5, first, recipes)
    assert two.names == ("c2", "copy") and two.together is not None and one.together is not None
    assert two.together > one.together
    for name in ("digits-001", "c2"):
        finished(tmp_path / "runs" / name, "c" + name)
    names = other_runs.beside(plan, 1e-5, first, recipes).names
    assert names == ("c2", f"{there}/c2", "copy", f"{there}/digits-001")


@pytest.mark.slow
def test_a_run_that_was_killed_before_its_first_step_is_not_named(tmp_path: Path) -> None:
    first, killed = run(tmp_path / "runs" / "digits-001", identity="a"), tmp_path / "runs" / "digits-002"
    run(killed, lambda content: content.update(schema="dpplan.run/1", spent={}), "b")
    (killed / "report.json").rename(killed / "run.json")
    for said, named in (("0", ()), ("", ("digits-002",)), ("1", ("digits-002",)), ("many", ("digits-002",))):
        (killed / "steps").write_text(said, encoding="utf-8")
        assert report.gather(first, {}).others.names == named


def test_every_other_run_adds_to_what_all_of_them_spend(tmp_path: Path) -> None:
    """Wherever it lies, and once, where the recipe's folder for runs is that of this one."""
    plan, recipes = Plan.from_rate(2.0, 0.1, 20), {"data": {"source": "digits"}}
    first, spent = run(tmp_path / "runs" / "digits-001", identity="a"), [0.0]
    for number in (2, 3, 4):
        run(tmp_path / "runs" / f"digits-00{number}", identity=str(number))
        found = other_runs.beside(plan, 1e-5, first, {**recipes, "runtime": {"folder": str(tmp_path / "runs")}})
        assert len(found.names) == number - 1 and found == other_runs.beside(plan, 1e-5, first, recipes)
        assert found.together is not None
        spent.append(found.together)
    assert spent == sorted(set(spent))
    assert "ε ≤ 1.001 together" in other_runs.OtherRuns(("a",), together=1.0000001).words  # rounded up
    assert other_runs.OtherRuns(("a",), together=1.0, delta=1e-5).words.endswith("ε ≤ 1 together at δ = 1e-05")


@pytest.mark.slow
def test_runs_that_do_not_add_up_are_named_all_the_same(tmp_path: Path) -> None:
    first = run(tmp_path / "runs" / "digits-001", identity="a")
    run(tmp_path / "runs" / "digits-002", lambda content: content["planned"].update(adjacency="zero_out"), "b")
    assert "spend together is not known here" in report.gather(first, {}).others.words
    run(tmp_path / "runs" / "digits-003", lambda content: content.update(seeded=True), "c")
    words = report.gather(first, {}).others.words
    assert "digits-003 had a seed: whoever knows it can subtract the noise" in words
    assert other_runs.OtherRuns(tuple("abcdefghij")).words.startswith(
        "10 other runs on the same data (a, b, c, d, e, f,"
    )


def test_other_data_are_other_data_and_made_up_ones_are_nobodys(tmp_path: Path) -> None:
    first = run(tmp_path / "runs" / "digits-001", identity="a")
    run(tmp_path / "runs" / "mnist-001", lambda content: content["recipe"]["data"].update(source="mnist"), "b")
    assert report.gather(first, {}).others.words == ""
    made = {"data": {"source": "blobs", "path": None}, "runtime": {"folder": str(tmp_path / "runs")}}
    plan = Plan((Phase(Gaussian(2.0), Poisson(0.1), 5),))
    assert other_runs.beside(plan, 1e-5, None, made).names == ()
    assert other_runs.beside(plan, 1e-5, None, {**made, "data": {"source": "mnist"}}).names == ("mnist-001",)
    elsewhere = {"source": "mnist", "path": str(tmp_path / "others")}
    assert other_runs.beside(plan, 1e-5, None, {**made, "data": elsewhere}).names == ()
    for wrong in ({}, {"data": 3}, {"data": {"source": 3}}, {"data": {"source": "mnist"}, "runtime": 3}):
        assert other_runs.beside(plan, 1e-5, None, wrong) == other_runs.OtherRuns()


# Who is not protected, and what was silenced


def with_facts(content: Any) -> None:
    content["planned"]["held_out_examples"] = 360
    content["recipe"]["check"] = {"silence": {"DP004": "n is in the paper | <b>"}}


def test_held_out_examples_clip_norm_and_silences_are_on_the_page(tmp_path: Path) -> None:
    page = report.gather(run(tmp_path / "a" / "b", with_facts), {"unprotected": "the labels' names"})
    for text in forms(page):
        assert "360 held-out examples, never drawn: ε does not cover them" in text
        assert "Clip norm" in re.split("How to reproduce", text)[0]
        assert "Silenced, DP004" in text
        assert "the labels' names" in text
    assert "n is in the paper | <b>" in forms(page)[0]
    assert "n is in the paper \\| &lt;b>" in report.markdown(page)
    assert report.document(page)["silenced"] == {"DP004": "n is in the paper | <b>"}
    assert "Silenced, DP004: n is in the paper" in report.entry(page)["deployment"]["administrative"]["notes"]
    assert "360 held-out" in report.entry(page)["deployment"]["dp_variant"]["unprotected_quantities"]


@pytest.mark.parametrize(
    ("count", "share", "said"),
    [
        (0, 0.2, ""),
        (1, 0.2, "1 held-out example, never drawn"),
        (None, 0.0, ""),
        (None, 0.25, "the held-out examples (data.held_out 0.25), never drawn"),
        (True, "x", ""),
    ],
)
def test_who_is_held_out_is_counted_where_that_is_known(count: Any, share: Any, said: str) -> None:
    found = on_record.held_out({"data": {"held_out": share}}, {"planned": {"held_out_examples": count}}, None)
    assert found.startswith(said) and bool(found) == bool(said)


def test_a_page_of_a_recipe_says_the_same() -> None:
    text = TEXT + '\ncheck: {silence: {DP010: "nobody sees the other models"}}\n'
    for form in forms(report.of_recipe(recipe.parse(text), 1437, {})):
        assert "Silenced, DP010" in form and "nobody sees the other models" in form
        assert "the held-out examples (data.held_out 0.2), never drawn" in form
        assert "This page is of one plan." in form


# n


def test_every_place_says_the_same_of_n() -> None:
    said = f"{N_IS_PUBLIC} {DIFFERENT_N}"
    assert said == ADD_REMOVE.n_words
    limits, adjacency = (
        " ".join(each).replace("- n is", "n is") for each in (help_pages.lines("limits"), help_schemes.adjacency())
    )
    for text in (limits, adjacency):
        assert said in " ".join(text.split())
    assert any(said in each.text for each in CERTIFICATE)
    for file in (ROOT / "dpplan").rglob("*"):
        if file.suffix in {".py", ".j2"}:
            content = file.read_text(encoding="utf-8")
            for old in ("n itself is protected", "is private too. If it is", "their number is public", "or publish n"):
                assert old not in content, (file, old)
    assert "n is taken for public" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.sweep(slow=("replace_one",))
@pytest.mark.parametrize("name", [*ADJACENCIES])
def test_each_page_says_it_of_its_own_neighbours(name: str) -> None:
    settings = Settings(noise_multiplier=2.0, examples=1600, batch_size=128, steps=5, adjacency=ADJACENCIES[name])
    page = report.Page(**pages._page("plan", settings.plan(), 1e-5, Statement({})))
    for text in forms(page):
        assert N_IS_PUBLIC in text
        assert (DIFFERENT_N in text) == (name == "add_remove")
        assert (SAME_N in text) == (name != "add_remove")
        assert "n = 1600" in text


# A page to sign


def test_there_is_a_place_to_sign_and_none_on_what_is_not_to_be_published(tmp_path: Path) -> None:
    page = report.gather(run(tmp_path / "a" / "b"), {})
    for text in forms(page):
        assert "Signature" in text and "Place and date" in text
    for text in (report.html(page, private=True), report.markdown(page, private=True)):
        assert "Signature" not in text
    wrong = report.gather(
        run(tmp_path / "a" / "c", lambda content: content["spent"]["epsilon"].update(lower=1, upper=2)), {}
    )
    assert not wrong.holds
    assert all("Signature" not in text for text in forms(wrong))


def test_a_page_tells_no_comment_of_a_recipe_and_nothing_else_is_lost() -> None:
    text = (
        '# 97 % held out\na: "x # y"  # best of 0.5, 1\nb: c#d\ne: |\n  # kept\n  text # kept too\nf: [1,  # no\n  2]\n'
    )
    bare = without_comments(text)
    assert yaml.safe_load(bare) == yaml.safe_load(text)
    assert "97" not in bare and "best" not in bare and "no" not in bare and "# kept" in bare
    assert without_comments("a: 'open") == ""
    for file in (Path(__file__).parents[2] / "recipes").rglob("*.yaml"):
        assert yaml.safe_load(without_comments(file.read_text("utf-8"))) == yaml.safe_load(file.read_text("utf-8"))
