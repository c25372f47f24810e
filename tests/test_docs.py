"""What the documents say is so: their sessions run, their tables and file map are held against the code."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import readme
from readme import Block
from test_layers import PACKAGE, inner, modules

from dpplan import __version__, accounting, errors
from dpplan.accounting.bound import Guarantee
from dpplan.plan import Plan
from dpplan.render import help_pages
from dpplan.render.audit_help import SABOTAGES

ROOT = readme.ROOT
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")]
SESSIONS = readme.blocks("console")
MAP = readme.file_map()


def first_command(block: Block) -> str:
    return block.entries[0].source


@pytest.mark.parametrize("block", SESSIONS, ids=first_command)
def test_a_session_prints_what_the_readme_shows(block: Block) -> None:
    wrong = [
        f"README.md:{entry.line + 1}: $ {entry.source}\n" + "\n".join(live)
        for entry, live in zip(block.entries, block.live(), strict=True)
        if not readme.same(entry.printed, live)
    ]
    assert wrong == [], "run: python tests/readme.py\n" + "\n".join(wrong)


def test_python_says_what_the_readme_shows_in_no_more_than_five_lines() -> None:
    (block,) = readme.blocks("pycon")
    assert len(block.entries) <= 5
    for entry, live in zip(block.entries, block.live(), strict=True):
        assert readme.same(entry.printed, live), entry.source


def test_only_what_varies_between_runs_is_left_uncompared() -> None:
    epoch = "      1        3    0.497471     {:>5}     {:>4} %"
    assert readme.same([epoch.format("2.308", "8.1")], [epoch.format("2.1", "18.1")])
    assert not readme.same([epoch.format("2.308", "8.1")], [epoch.format("2.308", "8.1").replace("471", "472")])
    assert readme.same(["a   12 ms  b"], ["a  9.5 s  b"])
    assert not readme.same(["a  b"], ["a b"])
    assert readme.same(["ε ≤ 2.38168972615"], ["ε ≤ 2.38168972616"])
    assert not readme.same(["ε ≤ 2.38168972615"], ["ε ≤ 2.38168973615"])
    assert not readme.same(["ε ≤ 2.38168972615"], ["ε ≤ 2.38168972616"], 0.0), "what is rewritten is what is printed"
    assert readme.same(["ε ≤ 2.3816897261500"], ["ε ≤ 2.38168972615"], 0.0)
    assert not readme.same(["ε ≤ 2.38169"], ["ε ≤ 2.38170"])


def test_a_cut_stands_for_any_lines_and_nothing_else_is_passed_over() -> None:
    shown = ["first", "...", "mid", "...", "last"]
    assert readme.same(shown, ["first", "x", "mid", "y", "z", "last"])
    assert readme.same(shown, ["first", "mid", "last"])
    assert not readme.same(shown, ["first", "x", "y", "last"])
    assert not readme.same(shown, ["x", "first", "mid", "last"])
    assert not readme.same(shown, ["first", "mid", "last", "x"])
    assert not readme.same(["only", "...", "only"], ["only"])


def test_an_outdated_output_is_rewritten_with_the_same_cuts() -> None:
    old = ["a 1", "...", "  key 12 ms", "  b 1", "...", "z 1"]
    live = ["a 2", "more", "  key 9 ms", "  b 2", "more", "more", "z 2"]
    assert readme.elided(old, live) == ["a 2", "...", "  key 9 ms", "  b 2", "...", "z 2"]
    assert readme.elided(["old"], live) == live
    ends = ["...", "ε ≤ 2.38168972615", "..."], ["a", "ε ≤ 2.38168972616", "b"]
    assert readme.elided(*ends) == ["...", "ε ≤ 2.38168972616", "..."]
    with pytest.raises(LookupError, match="choose another line to show: gone"):
        readme.elided(["a 1", "...", "gone", "...", "z 1"], live)


@pytest.mark.parametrize("heading", ["Commands"])
def test_a_list_of_what_there_is_is_complete(heading: str) -> None:
    assert readme.table(heading) == readme.lists()[heading], "run: python tests/readme.py"


def test_no_document_names_a_command_or_option_that_does_not_exist() -> None:
    known = readme.commands()
    options = {option for command in known.values() for parameter in command.params for option in parameter.opts}
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for typed in re.findall(r"(?:`|^\$ )(dpplan(?: [a-z]+)+)", text, re.MULTILINE):
            words = typed.split()
            assert any(" ".join(words[:end]) in known for end in (2, 3)), f"{document.name}: {typed}"
        for option in re.findall(r"`(--[a-z-]+)", text):
            assert option in {*options, "--help", "--version"}, f"{document.name}: {option}"


def test_every_exit_code_is_explained_and_one_is_shown() -> None:
    """In a phrase here, at length by `dpplan help exit-codes`; tests/commands/test_exit_codes.py produces each."""
    sentence = readme.section("Commands").partition("the exit status tells: ")[2].partition("(")[0]
    told = [int(code) for code in re.findall(r"\b(\d) [a-z]", sentence)]
    assert told == sorted(value for name, value in vars(errors).items() if name.startswith("EXIT_"))
    assert told == list(errors.STATUS_MEANINGS)
    entries = [entry for block in SESSIONS for entry in block.entries]
    assert [int(entry.printed[0]) for entry in entries if entry.source == "echo $?"] == [errors.EXIT_EXCEEDED]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_switched_on_as_documented(shell: str) -> None:
    variable = f"_DPPLAN_COMPLETE={shell}_source"
    assert variable in help_pages.text("completion")
    done = subprocess.run(
        [sys.executable, "-m", "dpplan"],
        env={**os.environ, "_DPPLAN_COMPLETE": f"{shell}_source"},
        capture_output=True, check=True, text=True, timeout=60, encoding="utf-8",
    )  # fmt: skip
    assert f"_DPPLAN_COMPLETE={shell}_complete" in done.stdout


@pytest.mark.parametrize("name", accounting.ACCOUNTANTS)
def test_an_accountant_gives_the_guarantee_that_is_stated(name: str) -> None:
    given = set()
    for sample_rate in (0.01, 1.0):
        try:
            bound = accounting.epsilon(Plan.from_rate(4.0, sample_rate, 100), 1e-5, name)
        except errors.NotApplicable:
            continue
        given.add(str(bound.guarantee))
    assert set(accounting.describe(name).guarantee.split(", ")) == given


def test_every_guarantee_is_explained() -> None:
    assert [name for name, _ in readme.table("Guarantees")] == [guarantee.name for guarantee in Guarantee]


def test_the_power_of_an_audit_is_that_of_its_page() -> None:
    """The README joins rows of `dpplan help audit`; what every run measures of itself it does not list one by one."""
    rows = readme.table("Commands", 2)
    for each in SABOTAGES:
        if each.canaries in ("any", "none"):
            continue
        (row,) = [row for row in rows if each.mistake.removeprefix("the same noise ") in row[0]]
        assert set(re.findall(r"\w+", each.caught_by)) <= set(re.findall(r"\w+", row[1])), each
        canaries, steps, seconds = row[2].split(", ")
        assert (canaries, steps) == (each.canaries, each.steps) and int(each.seconds) <= int(seconds), each


def test_the_extras_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    sentence = readme.section("Install").partition("Extras: ")[2]
    assert set(re.findall(r"`(\w+)` \(", sentence)) == set(project["optional-dependencies"])


def test_every_module_is_on_the_map_and_every_path_of_the_map_exists() -> None:
    there = {str(file.relative_to(ROOT)) for file in PACKAGE.rglob("*.py") if file.name != "__init__.py"}
    stale = [path for path in MAP if not (ROOT / path).exists()]
    assert sorted(there - set(MAP)) == [], "not on the map"
    assert stale == [], "on the map and gone"


# What looks down the map, from inside a function: `exact` is held against rdp, and rdp has the moments of laws without
# a closed form from the engine of `exact`.
LOOKS_DOWN = [("dpplan/accounting/renyi_curves.py", "dpplan/accounting/renyi_transforms.py")]


def test_the_map_is_in_reading_order() -> None:
    """Whoever reads down the map meets nothing that was not above. A folder's line stands for its __init__.py, which
    gathers what is in the folder and so may look down into it."""
    place = {path: at for at, path in enumerate(MAP)}
    wrong, down = [], []
    for module, found in inner():
        if found.target.startswith(f"{module}."):
            continue
        file, above = on_map(module), on_map(found.target)
        if file in place and above in place and place[above] >= place[file]:
            if (file, above) in LOOKS_DOWN:
                down.append((file, above))
            else:
                wrong.append(f"{file} is on the map before {above}, which it imports")
    assert wrong == []
    assert down == LOOKS_DOWN


def on_map(module: str) -> str:
    return str(modules()[module].relative_to(ROOT)).replace("__init__.py", "")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        file = ROOT / name if name else document
        assert file.exists(), target
        headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.M) if anchor else []
        assert not anchor or anchor in {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in headings}, (
            target
        )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_has_the_targets_that_are_named(document: Path) -> None:
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", rules, re.MULTILINE))
    named = re.findall(r"(?:`|^)make (?:[A-Z]+=\S+ )?([a-z-]+)", document.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) - targets == set()


def test_make_help_names_every_target_worth_typing() -> None:
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", rules, re.MULTILINE)
    assert phony
    assert set(re.findall(r'^\t@echo "make ([a-z-]+) ', rules, re.MULTILINE)) | {"help"} == set(phony[1].split())
    assert [file for file in re.findall(r"\S+\.(?:py|yaml)\b", rules) if not (ROOT / file).exists()] == []


def test_the_changelog_begins_with_the_version_of_the_package() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\S+)", text, re.MULTILINE)
    assert versions[0] == __version__


def test_the_readme_can_be_read_in_one_sitting() -> None:
    text = readme.README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 196
    assert len(text.split()) <= 1780
    prose = re.sub(r"```.*?```|^\|.*?$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert max(map(len, prose.splitlines())) <= 120
