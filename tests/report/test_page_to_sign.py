"""What whoever signs the page has to see on it."""

import dataclasses
import functools
import re
from html import unescape

import pytest

from dpplan import lint, recipe, report
from dpplan.adjacency import ADD_REMOVE, ADJACENCIES, ZERO_OUT, Adjacency
from dpplan.deployment_statement import FIELDS, Statement
from dpplan.plan import Delta, Settings
from dpplan.report import on_record, other_runs, page_formats
from dpplan.report import page as pages

N = 1437


@functools.cache
def page(
    delta: float = 1e-5, adjacency: Adjacency = ADD_REMOVE, unit: str = "example", n: int | None = N
) -> report.Page:
    settings = Settings(noise_multiplier=4.0, sample_rate=0.25, examples=n, steps=2, adjacency=adjacency, unit=unit)
    stated = {"product": "Machine learning model", "publication_date": "2026-11-28"}
    return report.Page(**pages._page("plan", settings.plan(), delta, Statement(stated)))


def forms(shown: report.Page) -> tuple[str, str]:
    return " ".join(unescape(report.html(shown)).split()), report.markdown(shown)


# δ beside n


@pytest.mark.sweep(slow=("replace_one",))
@pytest.mark.parametrize("name", [*ADJACENCIES])
def test_a_delta_close_to_one_over_n_is_told_beside_it(name: str) -> None:
    """In every form, and without a figure of n where that is not for publication."""
    large = page(1e-4, ADJACENCIES[name])
    told = "δ = 0.0001 is close to 1/n"
    for text in (*forms(large), report.document(large)["large_delta"]):
        assert told in text
        assert "a mechanism that publishes each example with a chance of 0.0001 would satisfy it" in text
        assert ("1/n = 0.000696" in text) == ("give away 0.14 examples" in text) == (name != "add_remove")
        assert ("above 1/(10 n)" in text) == (name == "add_remove")
    details = report.checked_entry(large)["deployment"]["privacy_loss"]["privacy_parameters_details"]
    assert told in details and ".." not in details
    for text in forms(large):  # beside the figure, before anything else is said
        assert text.index(told) < text.index("This page is of one plan.")


@pytest.mark.parametrize(("delta", "n"), [(1e-5, N), (1 / (10 * N), N), (1e-3, None)])
def test_of_a_delta_that_is_small_enough_or_has_no_n_nothing_is_said(delta: float, n: int | None) -> None:
    small = page(delta, n=n)
    assert all("1/n" not in text for text in (*forms(small), str(report.document(small))))


def test_the_page_objects_where_the_check_does_and_in_its_words() -> None:
    for delta in (1e-3, 1e-4, 7.1e-5, 6.9e-5, 1e-5):
        shown = page(delta, ZERO_OUT)
        settings = Settings(noise_multiplier=4.0, sample_rate=0.25, examples=N, steps=2, adjacency=ZERO_OUT)
        run = lint.LintContext(settings=settings, plan=shown.plan, delta=Delta(delta))
        found = [each.message.partition(" ")[2] for each in lint.check(run) if each.code == "DP001"]
        assert bool(shown.large_delta) == bool(found)
        assert all(each in shown.large_delta for each in found)


def test_of_users_it_is_users_that_are_given_away() -> None:
    assert re.search(r"each user with a chance of 0\.0001 .* 0\.14 users", page(1e-4, ZERO_OUT, "user").large_delta)
    drawn_singly = dataclasses.replace(page(1e-4, ZERO_OUT, "user").plan, max_per_user=3)  # n is of examples
    told = dataclasses.replace(page(1e-4, ZERO_OUT, "user"), plan=drawn_singly).large_delta
    assert "publishes each user with a chance" in told and "0.14" not in told
    assert page(1e-3).large_delta.startswith("δ = 0.001 is not below 1/n: it would allow publishing whole records.")


# What is not stated, and what the record says against it


def with_statement(said: dict[str, str], others: other_runs.OtherRuns | None = None) -> report.Page:
    found = dataclasses.replace(page(), statement=Statement(said))
    return found if others is None else dataclasses.replace(found, others=others)


ALL = {each.key: each.choices[0] if each.choices else "said" for each in FIELDS} | {"publication_date": "2026-11-28"}


def test_whoever_signs_is_told_what_is_not_stated_and_how_to_state_it() -> None:
    some = with_statement({"curator": "A", "region": "B"})
    told = "26 of 28 fields are not stated: Name, Description, Kind of product, "
    for text in forms(some):
        last = text.split("Signature", 1)[1]
        assert told in last and "--statement FILE or --state KEY=TEXT" in last and "Authors, Contact. dpplan" in last
        assert last.index(told) < last.index("Signed by whoever answers")
    assert told in report.document(some)["before_signing"][0]
    one = with_statement({key: said for key, said in ALL.items() if key != "bias"})
    assert page_formats.before_signing(one)[0].startswith("1 of 28 fields is not stated: Utility and bias. ")
    for text in forms(with_statement(ALL)):
        assert "Signature" in text and "not stated" not in text.split("Signature", 1)[1]
    assert report.document(with_statement(ALL))["before_signing"] == []


@pytest.mark.parametrize("stated", ["cleaning by hand", "Cleaning by hand.", "none so far?"])
def test_what_is_stated_does_not_run_into_what_is_on_record(stated: str) -> None:
    shown = with_statement({"other_accesses": stated}, ANOTHER)
    for text in (report.markdown(shown), re.sub("<[^>]*>", "", forms(shown)[0])):
        end = "" if stated[-1] in ".?" else "."
        assert f"{stated}{end} On record: another run on the same data (r-002), not counted" in text
    assert report.document(shown)["contradicted"] == []


ANOTHER = other_runs.OtherRuns(("r-002",), together=1.0)


@pytest.mark.parametrize("stated", ["none", "None.", "nothing else", "N/A"])
def test_the_record_contradicts_a_statement_that_nothing_else_was_done(stated: str) -> None:
    shown = with_statement(ALL | {"other_accesses": stated}, ANOTHER)
    told = f"{stated.rstrip('.')}. The record contradicts this: another run on the same data (r-002), not counted"
    for text in (report.markdown(shown), re.sub("<[^>]*>", "", forms(shown)[0])):
        assert told in text
        assert "What is stated is contradicted by the record: Other uses of the data." in text.split("Signature", 1)[1]
    assert report.document(shown)["contradicted"] == ["other_accesses"]
    alone = with_statement(ALL | {"other_accesses": stated, "unprotected": "none"})
    assert alone.contradicted == () and page_formats.before_signing(alone) == []
    assert on_record.contradicts("tuning", "none", on_record.SECRETS)
    for denial in ("None known.", "Not applicable", "no other accesses"):
        assert on_record.contradicts("other_accesses", denial, "another run on the same data")
    assert not on_record.contradicts("unprotected", "none", "360 held-out examples")  # of which nothing is released


# n that was typed


def test_an_n_that_nobody_read_from_the_data_is_told_wherever_the_figure_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside the figure, in what it rests on, to cite and above the signature, in every form."""
    made = page()
    parts = {
        name: getattr(made, name) for name in ["name", "plan", "delta", "bound", "assessment", "over", "statement"]
    }
    monkeypatch.setattr(pages, "_page", lambda *_: parts)  # which takes seconds to account
    job = recipe.parse("""\
privacy: {noise_multiplier: 4, clip_norm: 1, delta: 1e-5}
data: {source: mnist, path: gone}
model: {kind: logistic}
training: {batch_size: 100, epochs: 1, optimizer: sgd, learning_rate: 1}
""")
    typed = report.of_recipe(job, N, {}, typed=True)
    for form in forms(typed):
        assert f"n = {N}, as typed, not read from the data; protected" in form
        assert form.count(pages.TYPED_N) == 3
        assert form.index(pages.TYPED_N) < form.index("What it rests on")
        assert form.rindex(pages.TYPED_N) > form.index("How to reproduce")
    content = report.document(typed)
    assert content["n_as_typed"] is True and pages.TYPED_N in content["warnings"]
    assert pages.TYPED_N in content["before_signing"] and pages.TYPED_N in content["paragraph"]
    details = report.checked_entry(dataclasses.replace(made, typed=True))["deployment"]["privacy_loss"]
    assert pages.TYPED_N.removesuffix(".") in details["privacy_parameters_details"]
    counted = report.of_recipe(job, N, {})
    assert all("typed" not in form for form in (*forms(counted), str(report.document(counted))))
