"""A group of commands that imports a command's module when it is run, and not to list it."""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from dpplan.checks import did_you_mean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """The commands of a table, in its order. Without arguments it shows its help.

    table: what is typed -> what it does, as commands.COMMANDS. package: where the modules are. path: the first words of
    the names in this group, "" for all; a name within it that others go on from is a group of its own.
    """

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
        found.short_help = self.summaries[name]
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
            known = ", ".join(self.summaries)
            close = did_you_mean(args[0], self.summaries)
            raise click.UsageError(f"'{args[0]}' is not a command of {ctx.command_path}: {known}.{close}", ctx)
        return super().resolve_command(ctx, args)

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
