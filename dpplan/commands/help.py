"""dpplan help: topics that belong to no single command."""

from typing import Any

import click

from dpplan.checks import did_you_mean
from dpplan.commands.shared import completion, output
from dpplan.commands.shared.lazy_group import LazyGroup
from dpplan.errors import UsageError

HELP = """What belongs to no single command: TOPIC at length; without one, the list of topics. The
help of a command, where TOPIC is one.

\b
  dpplan help
  dpplan help certificate
  dpplan help exit-codes --json

Exit status: 0 done; 2 there is no such topic.
"""


@click.command("help", help=HELP)
@click.argument("topic", metavar="[TOPIC]", required=False, shell_complete=completion.topics)
@output.json_option
@click.pass_context
def command(context: click.Context, topic: str | None, as_json: bool) -> None:
    from dpplan.render import help as topics

    if topic is None:
        content: dict[str, Any] = {"topics": {name: each.summary for name, each in topics.TOPICS.items()}}
        lines = topics.listed()
    else:
        name = topic.lower().replace("_", "-")
        name = topics.ALIASES.get(name, name)
        group = None if context.parent is None else context.parent.command
        if name not in topics.TOPICS and not as_json and isinstance(group, LazyGroup) and name in group.summaries:
            assert context.parent is not None
            asked = group.load(name)
            output.say([asked.get_help(click.Context(asked, info_name=name, parent=context.parent))])
            return
        if name not in topics.TOPICS:
            raise UsageError(_unknown(context, topic, (*topics.TOPICS, *topics.ALIASES)))
        content, lines = {"topic": name, **topics.TOPICS[name].content()}, topics.TOPICS[name].lines()
    if as_json:
        output.as_json({"schema": "dpplan.help/1", **content})
    else:
        output.say(lines)


def _unknown(context: click.Context, topic: str, known: tuple[str, ...]) -> str:
    group = None if context.parent is None else context.parent.command
    if isinstance(group, LazyGroup) and topic in group.summaries:
        return f"'{topic}' is a command: see dpplan {topic} --help."
    return f"'{topic}' is not a topic: {', '.join(known)}.{did_you_mean(topic, known)}"
