"""What the shell offers where a word of a known list is typed: rules, recipes and topics.

Accountants, samplings and adjacencies are offered by the options' own type, `parameter_types.Name`. Each function is
called only when a shell asks.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


def rules(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """The codes of rules, with what each looks at."""
    from dpplan import lint

    found = {code: lint.explanation(code).splitlines()[0] for code in lint.RULES}
    return items(
        found | ({"all": "Lists them."} if parameter.name == "explain" else {}), incomplete.upper(), incomplete
    )


def recipes(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """First `copy`, then the recipes that come with dpplan."""
    from dpplan.recipe import bundled

    if not context.params.get("words"):
        return items({"copy": "Write a recipe."}, incomplete)
    return items(
        {name: bundled.summary(name) for name in (*bundled.names(), *bundled.plans(), bundled.SCORES)}
        | {"all": "Every one."},
        incomplete,
    )


def topics(context: click.Context, parameter: click.Parameter, incomplete: str) -> "list[CompletionItem]":
    """The topics of `dpplan help`."""
    from dpplan.render.help import TOPICS

    return items({name: topic.summary for name, topic in TOPICS.items()}, incomplete)


def items(found: Mapping[str, str], *beginnings: str) -> "list[CompletionItem]":
    """Those that begin with one of these."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(name, help=about) for name, about in found.items() if name.startswith(beginnings)]
