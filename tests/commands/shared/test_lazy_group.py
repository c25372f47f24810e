"""A new command is a module and a line of the table."""

import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from dpplan.commands.shared.lazy_group import LazyGroup

TABLE = {"count": "Counts.", "compare": "Side by side.", "compare toys": "Toys.", "compare all": "Everything."}
MODULE = "import click\n\n@click.command({name!r})\ndef command():\n    click.echo({name!r})\n"


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LazyGroup:
    package = tmp_path / "toy_commands"
    package.mkdir()
    (package / "__init__.py").touch()
    for module, name in (("count", "count"), ("compare_toys", "toys")):
        (package / f"{module}.py").write_text(MODULE.format(name=name), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [each for each in sys.modules if each.startswith("toy_commands")]:
        monkeypatch.delitem(sys.modules, name)  # another test's package
    return LazyGroup("toy", TABLE, "Toys.", "toy_commands")


def test_a_module_is_found_by_what_is_typed(group: LazyGroup) -> None:
    assert CliRunner().invoke(group, ["count"]).output == "count\n"
    assert CliRunner().invoke(group, ["compare", "toys"]).output == "toys\n"
    assert group.load("count").short_help == "Counts."


def test_listing_commands_imports_none(group: LazyGroup) -> None:
    shown = CliRunner().invoke(group, ["compare", "--help"]).output
    assert [line.split() for line in shown.split("Commands:\n")[1].splitlines()] == [
        ["toys", "Toys."],
        ["all", "Everything."],
    ]
    assert list(group.summaries) == ["count", "compare"]


def test_a_name_beyond_the_table_is_told(group: LazyGroup) -> None:
    with pytest.raises(
        click.UsageError, match=r"'cuont' is not a command of toy: count, compare\. Did you mean 'count'"
    ):
        group.resolve_command(click.Context(group, info_name="toy"), ["cuont"])


def test_a_folded_example_has_one_backslash_at_the_end_of_a_line(
    group: LazyGroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = "dpplan count --sigma 1 --verbose --delta 1e-5 --epochs 10 --n 6 \\\n    --plot counts.svg --mean 10"
    help = f"Counts.\n\n\b\n  {example}"
    (tmp_path / "toy_commands" / "compare_all.py").write_text(
        f"import click\n\n@click.command('all', help={help!r})\ndef command():\n    pass\n", encoding="utf-8"
    )
    monkeypatch.setenv("COLUMNS", "40")
    shown = CliRunner().invoke(group, ["compare", "all", "--help"]).output
    assert [line.strip() for line in shown.partition("Options:")[0].splitlines()[4:] if line] == [
        "dpplan count --sigma 1 --verbose \\",
        "--delta 1e-5 --epochs 10 --n 6 \\",
        "--plot counts.svg --mean 10",
    ]
