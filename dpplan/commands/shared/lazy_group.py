"""A group of commands that loads a command's module when it is run, and not to list it."""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import click

from dpplan.checks import did_you_mean

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyCommand(NamedTuple):
    """module: where `command` is, or the attribute it names. short_help: the command's own, for the list."""

    module: str
    short_help: str

    def load(self) -> click.Command:
        module, _, attribute = self.module.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute or "command")
        return command


class LazyGroup(click.Group):
    """Commands by name, in the order they are listed. Without arguments it shows its help."""

    def __init__(self, name: str, table: Mapping[str, LazyCommand], help: str) -> None:
        super().__init__(name, help=help, no_args_is_help=False, subcommand_metavar="COMMAND ...")
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.table[cmd_name].load() if cmd_name in self.table else None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args or ([] if ctx.resilient_parsing else ["--help"]))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.table and not args[0].startswith("-") and not ctx.resilient_parsing:
            known = ", ".join(self.table)
            close = did_you_mean(args[0], self.table)
            raise click.UsageError(f"'{args[0]}' is not a command of {ctx.command_path}: {known}.{close}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.short_help) for name, entry in self.table.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        names = [
            CompletionItem(name, help=entry.short_help)
            for name, entry in self.table.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]
