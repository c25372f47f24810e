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
@click.argument("words", metavar="[TOPIC]", nargs=-1, shell_complete=completion.topics)
@output.json_option
@click.pass_context
def command(context: click.Context, words: tuple[str, ...], as_json: bool) -> None:
    from dpplan.render import help as topics

    topic = " ".join(words)
    if not topic:
        content: dict[str, Any] = {"topics": {name: each.summary for name, each in topics.TOPICS.items()}}
        lines = topics.listed()
    else:
        name = topic.lower().replace("_", "-")
        name = topics.ALIASES.get(name, name)
        if name not in topics.TOPICS and not as_json and (asked := _of_command(context, name)):
            output.say([asked])
            return
        if name not in topics.TOPICS:
            raise UsageError(_unknown(context, topic, (*topics.TOPICS, *topics.ALIASES)))
        content, lines = {"topic": name, **topics.TOPICS[name].content()}, topics.TOPICS[name].lines()
    if as_json:
        output.as_json({"schema": "dpplan.help/1", **content})
    else:
        output.say(lines)


def _of_command(context: click.Context, name: str) -> str:
    """The help of a command, or of one within a command, as in `compare accountants`; "" where there is none."""
    inner = context.parent
    for word in name.split():
        if inner is None or not isinstance(inner.command, LazyGroup) or word not in inner.command.summaries:
            return ""
        asked = inner.command.load(word)
        inner = asked.context_class(asked, info_name=word, parent=inner)
    return inner.get_help() if inner is not None else ""


def _unknown(context: click.Context, topic: str, known: tuple[str, ...]) -> str:
    group = None if context.parent is None else context.parent.command
    if isinstance(group, LazyGroup) and topic in group.summaries:
        return f"'{topic}' is a command: see dpplan {topic} --help."
    return f"'{topic}' is not a topic: {', '.join(known)}.{did_you_mean(topic, known)}"
