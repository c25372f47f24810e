"""The page: what is on it, what is never on it, and that it stands by itself."""

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dpplan import accounting, recipe, report
from dpplan.adjacency import ADD_REMOVE
from dpplan.audit import on_file
from dpplan.commands import report as report_command
from dpplan.deployment_statement import FIELDS, Statement
from dpplan.errors import RecipeError, ReportError
from dpplan.plan import Settings, resolve_delta
from dpplan.render import report as report_lines
from dpplan.render import to_json
from dpplan.report import audits, page_formats, registry, svg_charts
from dpplan.report import page as pages

PLAN = Settings(noise_multiplier=1.1, examples=60000, batch_size=256, epochs=10).plan()
HOSTILE = '<script>alert("x")</script> | & "quoted"'
ROWS = [{"name": "steps", "planned": "85", "realised": "85", "agrees": True}]


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What dpplan epsilon --json prints."""
    bound = accounting.epsilon(PLAN, 1e-5)
    found = to_json.document("epsilon", PLAN, [to_json.spent_epsilon(resolve_delta(1e-5, 60000), bound)], [])
    file = tmp_path_factory.mktemp("plan") / "plan.json"
    file.write_text(to_json.dumps(found), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def page(printed: Path) -> report.Page:
    stated = {"curator": HOSTILE, "publication_date": "2026-11-28", "product": "Machine learning model"}
    return report.gather(printed, stated)


class Outline(HTMLParser):
    """Which elements there are, whether each is closed, and what they refer to."""

    EMPTY = frozenset({"meta", "link", "br", "line", "path", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.refers: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.refers += [value or "" for name, value in attrs if name in {"href", "src", "srcset", "data"}]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_by_itself_and_whatever_was_stated_is_text(page: report.Page) -> None:
    text = report.html(page)
    outline = Outline(text)
    assert outline.open == []
    assert "script" not in outline.seen
    assert outline.refers == []
    assert "url(" not in text
    assert "@import" not in text
    assert HOSTILE in outline.text
    assert (
        outline.text.count("not stated") == len(FIELDS) - 3 + 3
    )  # above table and signature; of tuning in the paragraph
    assert 'lang="en"' in text
    assert text.count("<svg") == text.count("<title>") - 1 == 3


def test_the_figure_is_rounded_up_and_named_with_all_it_rests_on(page: report.Page) -> None:
    upper = accounting.epsilon(PLAN, 1e-5).upper
    text = Outline(report.html(page)).text
    shown = float(re.search(r"ε ≤ (\S+)\s+at δ = 1e-05", text)[1])
    assert upper <= shown <= upper * (1 + 1e-5)
    for words in ("for one example (present or absent)", "Certified", "Poisson sampling, add/remove one example"):
        assert words in text
    assert "stands, accounted anew" in text
    assert "all iterates, every noisy step, and not the final model only" in text
    assert ADD_REMOVE.n_words in text


def test_markdown_has_front_matter_and_no_markup_of_others(page: report.Page) -> None:
    text = report.markdown(page)
    front = text.split("---")[1]
    assert "dp_delta: 1.0e-05" in front
    assert "all iterates, every noisy step, and not the final model only" in text
    assert "<script>" not in text
    row = next(line for line in text.splitlines() if line.startswith("| Curator |"))
    assert row.count(" | ") == 1
    assert r"\|" in row


def run_folder(folder: Path, page: report.Page) -> Path:
    """A run as a trainer leaves it, as far as a page looks at it."""
    content = json.loads((Path(__file__).parents[1] / "data" / "run-report.json").read_text(encoding="utf-8"))
    (folder / "report.json").write_text(json.dumps(content), encoding="utf-8")
    text = (Path(__file__).parents[2] / "recipes" / "digits-logistic.yaml").read_text(encoding="utf-8")
    alone = "".join(line for line in text.splitlines(keepends=True) if "compare_nonprivate" not in line)
    (folder / "recipe.yaml").write_text(f"# the recipe\n{alone}", encoding="utf-8")
    return folder


def test_a_run_shows_plan_against_run_and_nothing_that_epsilon_does_not_cover(
    tmp_path: Path, page: report.Page
) -> None:
    run = report.gather(run_folder(tmp_path, page), {})
    public, private = report.html(run), report.html(run, private=True)
    assert "The run did what the plan said" in public
    assert "kind: logistic" in public and "# the recipe" not in public
    for word in ("held_out_accuracy", "0.9527", "clipped", "nonprivate"):
        assert word not in public
    assert "held_out_accuracy" in private
    assert "Not to be published" in private
    assert "not_covered_by_epsilon" not in report.document(run)
    assert "held_out_accuracy" in report.document(run, private=True)["not_covered_by_epsilon"]
    assert "0.9527" not in json.dumps(report.document(run))
    assert "0.9527" not in report.markdown(run)


def test_an_entry_fits_the_registry_and_says_nothing_that_was_not_stated(page: report.Page) -> None:
    found = report.entry(page)
    assert report.violations(found) == []
    blocks = found["deployment"]
    assert blocks["privacy_loss"]["privacy_parameters"]["epsilon"] >= page.bound.upper
    assert blocks["basic"]["data_product_region"] == "not stated"
    assert "model_name" not in blocks["deployment_model"]
    assert "url_slug: plan--script-alert-x-script-quoted--2026" in report.as_yaml(found)


@pytest.mark.slow
def test_what_the_registry_refuses_is_told(page: report.Page, printed: Path) -> None:
    found = report.entry(page)
    found["deployment"]["basic"]["publication_date"] = "28.11.2026"
    found["deployment"]["basic"]["surprise"] = "x"
    found["deployment"]["dp_variant"]["variant_name"] = "DP"
    del found["tier"]
    assert report.violations(found) == [
        "tier is missing",
        "basic.publication_date=28.11.2026 is not a date, YYYY-MM-DD",
        "basic.surprise is no key of its block",
        "dp_variant.variant_name=DP is not one of: Pure DP, Approximate DP, Zero-concentrated DP, Renyi DP, Custom",
    ]
    assert report.violations(report.entry(report.gather(printed, {}))) == [
        "basic.data_product_type is missing",
        "basic.publication_date is missing",
    ]


def test_a_statement_refuses_keys_and_words_that_are_not_offered() -> None:
    with pytest.raises(RecipeError) as refusal:
        Statement({"curater": "x", "sector": "Sports"})
    assert [sentence.split(".", 2)[1].split(" ")[0] for sentence in refusal.value.problems] == [
        "curater",
        "sector=Sports",
    ]
    assert "curator" in str(refusal.value)


def test_a_recipe_states_and_its_hash_does_not_depend_on_it(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "recipes" / "digits-logistic.yaml").read_text(encoding="utf-8")
    stated = recipe.parse(text + "\nstatement:\n  curator: Example Lab\n  publication_date: 2026-11-28\n")
    assert stated.sha256 == recipe.parse(text).sha256
    page = report.of_recipe(stated, 1437, {"curator": "Another Lab"})
    assert (page.statement["curator"], page.statement["publication_date"]) == ("Another Lab", "2026-11-28")
    assert page.run is None
    with pytest.raises(RecipeError, match="curatr"):
        recipe.parse(text + "\nstatement:\n  curatr: x\n")
    file = tmp_path / "statement.yaml"
    file.write_text("curator: Example Lab\nsector: Healthcare\n", encoding="utf-8")
    assert recipe.read_statement(file) == {"curator": "Example Lab", "sector": "Healthcare"}
    file.write_text("sector: Sports\n", encoding="utf-8")
    with pytest.raises(RecipeError, match="sector=Sports is not one of"):
        recipe.read_statement(file)


def test_a_file_without_an_epsilon_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "delta.json"
    found = to_json.document("delta", PLAN, [to_json.spent_delta(1.0, accounting.delta(PLAN, 1.0))], [])
    file.write_text(to_json.dumps(found), encoding="utf-8")
    with pytest.raises(ReportError, match="holds no ε of a plan"):
        report.gather(file, {})


def test_the_statement_block_has_every_field() -> None:
    assert [each.name for each in dataclasses.fields(recipe.StatementBlock)] == [each.key for each in FIELDS]


def test_each_part_of_a_page_by_itself(page: report.Page) -> None:
    assert pages.unit_words(PLAN) == "one example (present or absent)"
    assert registry.violations({}) != []
    assert page_formats.paragraph(page).startswith("plan is a plan that has not run: ε ≤ ")
    axis = svg_charts.ChartAxis("x", 1e-3, 1.0, logarithmic=True)
    assert [axis.share(1e-3), axis.share(1.0), len(axis.ticks())] == [0.0, 1.0, 4]
    drawn = svg_charts.chart(
        "a < b", axis, svg_charts.ChartAxis("y", 0.0, 1.0), [svg_charts.ChartLine("proven", [(0.01, 0.5)])]
    )
    assert "a &lt; b" in drawn
    assert any(line.split()[0] == "curator" for line in report_lines.fields())
    assert report_command.command.name == "report"


def test_a_paragraph_never_says_that_something_was_done_which_was_not(tmp_path: Path, page: report.Page) -> None:
    run = report.gather(run_folder(tmp_path, page), {})
    assert "was trained with differential privacy" in page_formats.paragraph(run)
    assert "did not do" not in page_formats.paragraph(run)
    failed = dataclasses.replace(run, run={**run.run, "agrees_with_plan": False})
    assert "The run did not do what the plan said." in page_formats.paragraph(failed)
    for text in (report.html(page), report.markdown(page), json.dumps(report.document(page))):
        assert "trained" not in text
    assert '"phases"' in report.html(page).replace("&#34;", '"')  # how to do it again without a recipe


def _light(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_each_colour_of_text_can_be_read_on_each_ground_by_day_and_by_night(page: report.Page) -> None:
    """WCAG 2.2, 1.4.3 and 1.4.11."""
    schemes = re.findall(r":root \{([^}]*)\}", report.html(page))
    assert len(schemes) == 2
    for scheme in schemes:
        named = {
            name: f"#{''.join(2 * digit for digit in value)}" if len(value) == 3 else f"#{value}"
            for name, value in re.findall(r"--(\w+): #(\w+)", scheme)
        }
        assert set(named) == {"ink", "soft", "paper", "line", "band", "mark", "good", "bad"}
        for ink in ("ink", "soft", "mark", "good", "bad"):
            for ground in ("paper", "band"):
                light, dark = sorted((_light(named[ink]), _light(named[ground])), reverse=True)
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_who_cannot_see_it_is_told_the_same(page: report.Page) -> None:
    """Every table says what it is, every header what it heads, every chart what it shows, and scrolls by keyboard."""
    text = report.html(page)
    assert re.findall(r"<h(\d)", text)[0] == "1"
    assert set(re.findall(r"<h(\d)", text)) == {"1", "2"}
    assert all("scope=" in header for header in re.findall(r"<th\b[^>]*>", text))
    assert len(re.findall(r'role="img" aria-label="[^"]+"', text)) == text.count("<svg") == 3
    scrolling = re.findall(r'<div class="scroll"([^>]*)>', text)
    assert scrolling
    assert all('tabindex="0"' in each and "aria-label=" in each and 'role="region"' in each for each in scrolling)
    for wanted in ("max-width: 30rem", "@media print", "prefers-color-scheme: dark", 'name="viewport"'):
        assert wanted in text


def an_audit(verdict: str, sha256: str = "") -> dict[str, Any]:
    kinds = (("gradient, by likelihood", verdict, 3.4567), ("mislabelled, by loss", "consistent", 0.5))
    facts = {"canaries": 500, "delta": 1e-5, "claim": {"epsilon_upper": 8.0}}
    scores = {kind: {"verdict": each, "epsilon_lower": lower, **facts} for kind, each, lower in kinds}
    said = {"verdict": verdict, "seed": None, "measured": {"steps": True}, "confidence": 0.95}
    recipe_of = {"recipe": {"name": "digits", "sha256": sha256}, "when": "2026-11-30T08:00:00+00:00"}
    return {"schema": "dpplan.audit-run/1", "scores": scores, **said, **recipe_of}


def test_what_audits_found_is_told_where_it_rests_on_canaries_alone(page: report.Page, tmp_path: Path) -> None:
    rates = [{"false_positive_rate": rate, "true_positive_rate": found} for rate, found in ((0.1, 0.2), (1e-5, None))]
    attacks = {"lira": {"area": 0.6, "rates": rates}}
    members = {**an_audit("consistent"), "schema": "dpplan.audit-membership/1", "attacks": attacks}
    kept = (an_audit("consistent"), an_audit("violation"), an_audit("consistent", "another"), members)
    for each in kept:
        on_file.keep(tmp_path / "audits.jsonl", to_json.dumps(each))
    assert on_file.kept(tmp_path / "audits.jsonl") == list(kept)
    watch = {"examples": [{"example": 17, "risk": 0.25}]}
    (tmp_path / audits.WATCH).write_text(to_json.dumps(watch), encoding="utf-8")
    told = dataclasses.replace(page, audits=audits.beside_run(tmp_path)[0], watch=audits.watched(tmp_path))
    for form in (report.html, report.markdown):
        text = form(told)
        assert "It proves ε ≥ 3.45 of ε ≤ 8 claimed at δ = 1e-05." in text
        assert "VIOLATION: an audit of 2026-11-30" in text
        assert "not as planned, by gradient, by likelihood scores." in text
        assert "1 audit is on file of a recipe that runs something else" in text
        for word in ("lira", "ε ≥ 0.5", "17 (0.25)"):
            assert word not in text
            assert word in form(told, private=True)
    assert [each["violation"] for each in report.document(told)["audits"]] == [False, True, False]
    assert "Audit</h2>" not in report.html(page)


@pytest.mark.parametrize("text", ["{}", '{"schema": "dpplan.audit-run/1"}', "a: b\n", "[1]\n[2]\n"])
def test_what_is_no_audit_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "audits.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(ReportError, match="line 1 is no audit of a recipe"):
        on_file.kept(tmp_path / "audits.jsonl")
    assert on_file.kept(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("scores", {"gradient, by likelihood": None}),
        ("scores", {"gradient, by likelihood": {"verdict": "consistent", "epsilon_lower": 3.4}}),  # at no δ
        ("scores", {"mislabelled, by loss": {"verdict": "consistent", "epsilon_lower": "x", "delta": 1e-5}}),
        ("scores", {"gradient, by spread": {"verdict": "violation", "epsilon_lower": 9.0, "delta": 1e-5}}),
        ("measured", {"steps": False}),  # and yet consistent
        ("measured", []),
        ("attacks", {"lira": {"area": 0.6}}),
        ("attacks", {"lira": {"area": 0.6, "rates": [{"false_positive_rate": 0.1}]}}),
    ],
)
def test_an_audit_with_parts_that_cannot_be_told_is_refused(part: str, change: Any, tmp_path: Path) -> None:
    schema = {"schema": "dpplan.audit-membership/1"} if part == "attacks" else {}
    text = to_json.dumps({**an_audit("consistent"), **schema, part: change})
    (tmp_path / "audits.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(ReportError, match="line 1 is no audit of a recipe"):
        on_file.kept(tmp_path / "audits.jsonl")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"examples": [{"example": 1}]}', '{"examples": [7]}', "[]", "\0"])
def test_a_watch_that_cannot_be_told_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / audits.WATCH).write_text(text, encoding="utf-8")
    assert audits.watched(tmp_path) == {}
