"""A group of commands that imports a command's module when it is run, and not to list it."""

import importlib
import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import click

from dpplan.checks import did_you_mean
from dpplan.errors import UsageError
from dpplan.number_spelling import shortened

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


USUAL, LEAST = 80, 30  # columns that help is written for, and that it is folded to
# An entry of a list in a help, its name and its text, and a word of a command, of which what is quoted is a part.
_ENTRY = re.compile(r"\s*(?P<name>\S+) {2,}(?P<text>\S.*)")
_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
_HYPHEN = "\N{NON-BREAKING HYPHEN}"  # in the place of one, while lines are broken
BESIDE = 60  # columns from which on what an option does stands beside its name, which may take thirty


class HelpOfAnyWidth(click.HelpFormatter):
    """What an option does stands below it where beside it there is no room: click leaves ten columns for it then. No
    line is broken within a name such as --max-tpr."""

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        rows = [(name, what.replace("-", _HYPHEN)) for name, what in rows]
        if self.width >= BESIDE:
            super().write_dl(rows, col_max, col_spacing)
        else:
            super().write_dl([(_name_folded(name, self.width - 8), what) for name, what in rows], 4, col_spacing)

    def write_text(self, text: str) -> None:
        width = shutil.get_terminal_size().columns
        told = _narrowed(text, max(width, LEAST) - 4) if width < USUAL else text
        super().write_text(told.replace("-", _HYPHEN))

    def write(self, string: str) -> None:
        super().write(string.replace(_HYPHEN, "-"))


class Context(click.Context):
    formatter_class = HelpOfAnyWidth


class LazyGroup(click.Group):
    """The commands of a table, in its order. Without arguments it shows its help.

    table: what is typed -> what it does, as commands.COMMANDS. package: where the modules are. path: the first words of
    the names in this group, "" for all; a name within it that others go on from is a group of its own.
    """

    context_class = Context

    def __init__(self, name: str, table: Mapping[str, str], help: str, package: str, path: str = "") -> None:
        super().__init__(name, help=help, no_args_is_help=False, subcommand_metavar="COMMAND ...")
        self._table, self._package, self._path = table, package, path
        within = (typed.removeprefix(path) for typed in table if typed.startswith(path))
        self.summaries: dict[str, str] = {each: table[path + each] for each in within if " " not in each}

    def load(self, name: str) -> click.Command:
        """The command of that name; its module is imported here and not before."""
        typed = self._path + name
        if any(other.startswith(f"{typed} ") for other in self._table):
            found: click.Command = LazyGroup(name, self._table, self.summaries[name], self._package, f"{typed} ")
        else:
            found = importlib.import_module(f"{self._package}.{typed.replace(' ', '_')}").command
        found.short_help, found.context_class = self.summaries[name], Context
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.load(cmd_name) if cmd_name in self.summaries else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ([] if ctx.resilient_parsing else ["--help"]))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.summaries and not args[0].startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(_unknown_command(args[0], list(self.summaries), ctx.command_path), ctx)
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and command is not None and not ctx.resilient_parsing:
            _check_options(click.Context(command, info_name=name, parent=ctx), rest)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=summary)
            for name, summary in self.summaries.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]


def _unknown_command(word: str, known: Sequence[str], path: str) -> str:
    """path: what was typed before the word."""
    from dpplan.commands.shared.other_names import COMMAND_WORDS  # only a mistake needs it

    meant = COMMAND_WORDS.get(word.lower()) if path == "dpplan" else None
    hint = f" Did you mean '{meant}'?" if meant in known else did_you_mean(word, known)
    if path == "dpplan" and word.lower() in ("version", "-v"):
        hint = " dpplan --version tells the version."
    return f"'{shortened(word)}' is not a command of {path}: {', '.join(known)}.{hint}"


def _narrowed(help: str, width: int) -> str:
    """The help with its examples and lists folded; click folds only paragraphs."""
    paragraphs = help.split("\n\n")
    return "\n\n".join(_block_narrowed(each, width) if each.startswith("\b") else each for each in paragraphs)


def _name_folded(name: str, width: int) -> str:
    """The name of an option with what it takes, folded between its choices."""
    lines = [""]
    for part in re.split(r"(?<=[ |])", name):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n      ".join(line.rstrip() for line in lines)


def _block_narrowed(block: str, width: int) -> str:
    return "\n".join(chain.from_iterable(_line_narrowed(line, width) for line in _joined(block.splitlines())))


def _joined(lines: Sequence[str]) -> list[str]:
    """Commands that go on after a backslash, and entries of a list whose text goes on below it, in one line each."""
    joined: list[str] = []
    for line in lines:
        before = joined[-1] if joined else ""
        entry = _ENTRY.match(before)
        if before.endswith(" \\"):
            joined[-1] = before.removesuffix("\\") + line.strip()
        elif entry and line.startswith(" " * entry.start("text")):
            joined[-1] = f"{before} {line.strip()}"
        else:
            joined.append(line)
    return joined


def _line_narrowed(line: str, width: int) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()))
    if len(line) <= width or not line.strip():
        return [line]
    if entry := _ENTRY.match(line):
        below = f"{indent}  "
        return [
            f"{indent}{entry['name']}",
            *textwrap.wrap(entry["text"], width, initial_indent=below, subsequent_indent=below, break_on_hyphens=False),
        ]
    end = " \\" if line.lstrip().startswith(("dpplan ", "torchrun ", "eval ")) else ""
    return _words_folded(line, indent, width, end)


def _words_folded(line: str, indent: str, width: int, end: str) -> list[str]:
    """Broken between words, what is quoted being one, and after the value of an option where there is room for both."""
    room = width - len(indent) - 2 - len(end)
    parts: list[str] = []
    for word in _WORD.findall(line):
        whole = (
            textwrap.wrap(word, room, break_long_words=False, break_on_hyphens=False) if len(word) > room else [word]
        )
        if parts and _goes_on(parts[-1], word):
            whole = [f"{parts.pop()} {word}"] if len(parts[-1]) + 1 + len(word) <= room else whole
        parts += whole
    lines = [f"{indent}{parts[0]}"]
    for part in parts[1:]:
        if len(lines[-1]) + 1 + len(part) + len(end) <= width:
            lines[-1] += f" {part}"
        else:
            lines.append(f"{indent}  {part}")
    return [f"{each}{end}" for each in lines[:-1]] + lines[-1:]


def _goes_on(part: str, word: str) -> bool:
    """Whether the word is the value of the option before it, or of the name of a command."""
    option = part.startswith("--") and " " not in part and not word.startswith(("--", "|"))
    return option or part.endswith(("|", "dpplan"))


def _check_options(context: click.Context, args: list[str]) -> None:
    """Raises UsageError where an option is given twice, unless it may be, or has another option for its value.

    click would take the last without a word, and --csv --json for a file of that name.
    """
    try:
        values, _, order = context.command.make_parser(context).parse_args(args=list(args))
    except click.UsageError:
        return  # click finds it again, and says so
    if any(parameter.is_eager for parameter in order):
        return  # help was asked for
    given = [each for each in order if isinstance(each, click.Option)]
    names = {name for each in context.command.get_params(context) for name in each.opts if name.startswith("--")}
    for option in given:
        said = values.get(option.name or "")
        taken = next((one for one in (said if isinstance(said, list) else [said]) if one in names), None)
        if taken is not None:
            raise UsageError(f"{option.opts[0]} needs a value, and {taken} follows it.")
    options = [each for each in given if not each.multiple]
    twice = dict.fromkeys(each for each in options if options.count(each) > 1)
    if twice:
        raise UsageError([_twice(option) for option in twice])


def _twice(option: click.Option) -> str:
    name, *others = (*option.opts, *option.secondary_opts)
    also = f" (or {' or '.join(others)})" if others else ""
    return f"{name}{also} is given twice. Leave one out."
