"""The pages of dpplan help: what they show runs, fits a screen, and is complete."""

import contextlib
import dataclasses
import io
import json
import re
import textwrap
from pathlib import Path

import pytest
import readme

from dpplan import __main__ as program
from dpplan.commands import COMMANDS, solve
from dpplan.errors import EXIT_DONE
from dpplan.recipe import Check, Data, Model, Privacy, Runtime, Training, bundled, parse
from dpplan.render import audit_help, help_pages
from dpplan.render import help as topics
from dpplan.render.help_texts import UNKNOWNS
from dpplan.solve import participations, phase_setting


def verbatim(name: str) -> list[str]:
    """The lines of a page that stand as they are: commands, sessions, tables."""
    blocks = help_pages.text(name).split("\n\n")
    return [line for block in blocks if block.startswith("  ") for line in block.strip("\n").splitlines()]


SHOWN = [(name, line.strip()) for name in help_pages.PAGES for line in verbatim(name)]
COMMANDS_SHOWN = list(dict.fromkeys(line for _, line in SHOWN if line.startswith("dpplan ")))


def ran(line: str) -> tuple[int, str]:
    """The exit status of a command line, run here, and what it printed."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        status = program.run(line.split()[1:])
    return status, stdout.getvalue() + stderr.getvalue()


@pytest.mark.sweep(every=6)
@pytest.mark.parametrize(
    "line", [pytest.param(each, marks=[pytest.mark.slow] * ("with-tuning" in each)) for each in COMMANDS_SHOWN]
)
def test_every_command_of_a_page_runs(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "recipes" / "plans").mkdir(parents=True)
    for name in (*bundled.names(), *bundled.plans()):
        (tmp_path / "recipes" / f"{name}.yaml").write_text(bundled.text(name), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    status, printed = ran(line)
    assert (status, bool(printed)) == (EXIT_DONE, True), printed


def test_every_page_that_can_show_something_does() -> None:
    assert {name for name, line in SHOWN} == set(help_pages.PAGES)
    assert len(COMMANDS_SHOWN) >= 10


@pytest.mark.parametrize("name", help_pages.PAGES)
def test_a_page_fits_a_screen_and_names_only_what_there_is(name: str) -> None:
    lines = list(help_pages.lines(name))
    assert max(map(len, lines)) <= 80
    assert [line for line in lines if line != line.rstrip() or re.search(r"\{[a-z]+\}", line)] == []
    whole = " ".join(" ".join(lines).split())
    for topic in re.findall(r"dpplan help ([a-z-]+)", whole):
        assert topic in topics.TOPICS, topic


def test_python_says_what_the_page_shows() -> None:
    source = textwrap.dedent("\n".join(verbatim("python")))
    block = readme.Block("pycon", 0, tuple(source.splitlines()))
    for entry, live in zip(block.entries, block.live(), strict=True):
        assert readme.same(entry.printed, live), entry.source


def test_the_recipe_shown_is_digits() -> None:
    page = help_pages.text("recipes")
    shown = page[page.index("  privacy:") : page.index("\n\nRecipes that come")]
    recipe, digits = parse(textwrap.dedent(shown)), parse(bundled.text("digits"))
    assert (recipe.privacy, recipe.model) == (digits.privacy, digits.model)
    assert recipe.plan(examples=1437) == digits.plan(examples=1437)


@pytest.mark.parametrize("block", [Privacy, Data, Model, Training, Runtime, Check])
def test_every_key_of_a_recipe_is_on_its_page(block: type) -> None:
    page = " ".join(help_pages.text("recipes").split())
    start = page.index(f" {block.title}: ")
    for key in (field.name for field in dataclasses.fields(block)):
        assert f" {key}=" in page[start:], key
    assert " ".join((block.__doc__ or "").split())[:60] in page


def test_the_quantities_are_on_their_page() -> None:
    assert "chance of an example to be in a batch" in help_pages.text("units")


@pytest.mark.parametrize(
    ("call", "schema"),
    [
        ("dpplan epsilon --sigma 4 --q .1 --steps 5 --delta 1e-5", "dpplan.epsilon/1"),
        ("dpplan solve --target-eps 1 --q .1 --steps 5 --delta 1e-5", "dpplan.solve/1"),
        ("dpplan compare accountants --sigma 4 --q .1 --steps 5 --delta 1e-5", "dpplan.compare/1"),
        ("dpplan check --sigma 4 --q .1 --steps 5 --delta 1e-5", "dpplan.check/1"),
        ("dpplan recipes", "dpplan.recipes/1"),
        ("dpplan help json", "dpplan.help/1"),
    ],
)
def test_schemas_are_named_as_the_page_says(call: str, schema: str) -> None:
    status, printed = ran(f"{call} --json")
    assert status == EXIT_DONE
    assert f'"schema": "{schema}"' in printed


def test_every_schema_in_the_code_is_named_or_is_that_of_a_command() -> None:
    sources = [file.read_text(encoding="utf-8") for file in Path(help_pages.__file__).parents[1].rglob("*.py")]
    written = {name for text in sources for name in re.findall(r'"(dpplan\.[a-z-]+/\d+)"', text)}
    page = help_pages.text("json")
    of_commands = {f"dpplan.{command.replace(' ', '-')}/1" for command in COMMANDS}
    assert {"dpplan.check-explain/1", "dpplan.train/1"} < written
    assert [name for name in sorted(written - of_commands) if name not in page] == []
    for name in re.findall(r"dpplan\.[a-z-]+/\d+", page):
        assert name in written | {"dpplan.error/1", "dpplan.compare/1"}, name  # made of names


def test_a_figure_in_json_has_the_keys_that_are_named() -> None:
    sentence = re.search(r"object with (.*?)\. ", " ".join(help_pages.text("json").split()))
    assert sentence
    _, printed = ran("dpplan epsilon --sigma 4 --q .1 --steps 5 --delta 1e-5 --json")
    (result,) = json.loads(printed)["results"]
    assert re.findall(r"`(\w+)`", sentence[1]) == list(result["epsilon"])


def test_what_solve_can_be_asked_for_is_listed_once_and_whole() -> None:
    """In its own help and on the page of plan files, from one sentence."""
    known = {name for _, name in phase_setting._REACHES} | {*phase_setting._OF_BATCHES, *participations.NAMES, "steps"}
    named = set(re.findall(r"[a-z_]+", UNKNOWNS))
    assert known - {phase_setting.SCALE} <= named  # that is a noise by its name
    assert UNKNOWNS in " ".join(help_pages.text("plans").split()) and UNKNOWNS in " ".join((solve.HELP).split())
    assert not set(phase_setting.NO_ORDER) & named


def test_on_a_narrow_screen_a_mistake_without_canaries_has_no_canaries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    told = " ".join(" ".join(audit_help.lines()).split())
    assert "(no canaries, 1200 steps, 10 s)" in told and "none canaries" not in told
