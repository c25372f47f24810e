"""Text of whoever states or names something stays text: in HTML, in Markdown as a reader of it renders it, in YAML."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import made_pages
import pytest
import yaml
from markdown_it import MarkdownIt

from dpplan import report
from dpplan.deployment_statement import FIELDS, Statement
from dpplan.report.page_templates import escaped, template

MARKUP = (
    "![x](http://evil.example/t.png) **ε ≤ 0.01 certified** [click](javascript:alert(1)) `code` <b>bold</b> &lt;",
    "~~~ swallowed",
    "``` swallowed",
    "# a heading #",
    "> quoted",
    "- an item",
    "+ an item",
    "1. an item",
    "12) an item",
    "---",
    "===",
    "a \\| b | c \\",
    "_all_ of __it__, snake_case, ~~gone~~, $x$, [^1], [a]: b",
    "    four spaces",
    "first\n\n---\n\n# second\n\n| x | y |",
    "<http://evil.example>",
    "*",
)
HIDDEN = "a\u202eb\u2066c\u200fd\x07e\x1b[2Jf"
READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


class Shown(HTMLParser):
    """The tags of a rendered page, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(text: str) -> Shown:
    return Shown(READER.render(text))


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("text", MARKUP)
def test_escaped_text_is_read_as_it_was_written(text: str) -> None:
    shown = rendered(escaped(text))
    assert shown.tags == ["p"]
    assert shown.text.strip() == one_line(text)
    cell = rendered(f"| a | b |\n|---|---|\n| {escaped(text)} | end |")
    assert cell.tags.count("td") == 2 and not {"em", "strong", "a", "img", "code", "s"} & set(cell.tags)
    assert one_line(cell.text).endswith(f"{one_line(text)} end")
    bold = rendered(f"**{escaped(text)}**")
    assert one_line(bold.text) == one_line(text)


def stated(text: str, name: str = "") -> report.Page:
    """A page on which it stands wherever something can be said."""
    page = made_pages.of_plan()
    said = {each.key: each.choices[0] if each.choices else text for each in FIELDS}
    content = {"check": {"silence": {"DP004": text}}, "data": {"source": text}}
    statement = Statement({**said, "publication_date": "2026-11-28", "name": name or text})
    return dataclasses.replace(
        page, statement=statement, content=content, recipe=f"# {text}", name=text, warnings=(text,)
    )


PLAIN = rendered(report.markdown(stated("plain"))).tags


@pytest.mark.parametrize("text", MARKUP)
def test_a_page_in_markdown_has_the_same_parts_whatever_was_stated(text: str) -> None:
    page = stated(text)
    shown = rendered(report.markdown(page))
    assert shown.tags == PLAIN
    assert shown.text.count(one_line(text)) >= len(FIELDS) - 8
    assert "How to reproduce" in shown.text
    parts = Shown(report.html(page))
    assert not {"img", "script", "b", "a", "strong", "em"} & set(parts.tags)
    assert text in parts.text


def test_names_of_phases_and_verdicts_of_a_run_are_text(tmp_path: Path) -> None:
    page = made_pages.of_run(tmp_path)
    assert page.run is not None
    rows = [{"name": each, "planned": [each], "realised": {each: 1}, "agrees": True} for each in MARKUP]
    software = {MARKUP[0]: MARKUP[1]}
    altered = dataclasses.replace(page, run={**page.run, "verdict": rows, "software": software, "engine": MARKUP[0]})
    shown = rendered(report.markdown(altered))
    assert not {"em", "a", "img", "code", "blockquote"} & set(shown.tags)
    assert shown.text.count("swallowed") >= 2


def test_what_cannot_be_seen_is_written_out_in_every_format() -> None:
    page = stated(HIDDEN)
    written = {
        "html": report.html(page),
        "markdown": report.markdown(page),
        "registry": report.as_yaml(report.entry(page)),
    }
    for form, text in written.items():
        assert not re.search("[\u200e\u200f\u202a-\u202e\u2066-\u2069\x00-\x08\x0b-\x1f\x7f]", text), form
        assert "u202e" in text and "u001b" in text, form
    named = yaml.safe_load(written["registry"])["deployment"]["basic"]["name"]
    assert named == "a\\u202eb\\u2066c\\u200fd\\u0007e\\u001b[2Jf"


def test_front_matter_holds_numbers() -> None:
    for delta in (1e-6, 1.5e-7, 1e-5, 0.001):
        page = dataclasses.replace(made_pages.of_plan(), delta=delta)
        front = yaml.safe_load(report.markdown(page).split("---")[1])
        assert type(front["dp_delta"]) is float and front["dp_delta"] == delta
        assert type(front["dp_epsilon"]) is float
    entry = yaml.safe_load(report.as_yaml(report.entry(page)))["deployment"]["privacy_loss"]
    assert {type(value) for value in entry["privacy_parameters"].values()} == {float}


def test_a_template_in_markdown_cannot_forget_to_escape() -> None:
    made = template("report.md.j2").environment.from_string("{{ text }}|{{ several }}")
    assert made.render(text="*a*", several=["_b_"]) == "\\*a\\*|\\['\\_b\\_'\\]"


def test_long_words_break_in_tables_and_nothing_is_cut_on_paper() -> None:
    text = report.html(made_pages.of_plan())
    (cells, *_) = re.findall(r"th, td \{([^}]*)\}", text)
    assert "overflow-wrap: anywhere" in cells
    assert ".scroll { overflow: visible; }" in text.partition("@media print")[2]
