"""What click finds wrong with a call, in one sentence: name, rule, and what to try, by what was meant."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from dpplan.checks import did_you_mean
from dpplan.commands.shared.lazy_group import LazyGroup
from dpplan.commands.shared.other_names import ALSO, INSTEAD, NOTHING, SAME, SAYS
from dpplan.commands.shared.parameter_types import option_without_hyphens
from dpplan.number_spelling import DASHES, shortened

LISTS = ("frontier",)  # commands whose options take lists of numbers
EACH_NUMBER = "Each number follows the option that says what it is: --sigma 1.1 --n 60000 --batch 256 --epochs 60."
_VALUES = {  # of options that are often given alone
    "--csv": " Name a file, or - for standard output.",
    "--resume": " Name the folder of the run: --resume runs/digits-001.",
}
OF_ONE_PLAN = ("dpplan epsilon", "dpplan delta")  # commands that take one file or folder, and others as --spent
_CLOSE = 0.7  # of letters in common; below that a likeness is chance, as that of --eps and --steps


def sentence(error: click.ClickException, arguments: Sequence[str]) -> str:
    """arguments: the whole call, as it was typed."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = context.command_path if context else "dpplan"
    if isinstance(error, click.NoSuchOption) and context:
        return _no_such_option(error.option_name, context, arguments)
    if isinstance(error, click.MissingParameter) and error.param:
        return f"{error.param.human_readable_name} is missing. See {command} --help."
    if isinstance(error, click.BadParameter) and error.param:
        return f"{error.param.opts[-1]}: {error.message}"
    if isinstance(error, click.BadOptionUsage):
        return f"{error.option_name} needs a value.{_VALUES.get(error.option_name, '')}"
    extra = re.fullmatch(r"Got unexpected extra arguments? \((.*)\)", error.message, re.DOTALL)
    return _left_over(extra[1], command, arguments, context) if extra else error.format_message()


def _no_such_option(option: str, context: click.Context, arguments: Sequence[str]) -> str:
    path = context.command_path
    if len(option) == 2:  # of -sigma click knows -s
        option = next((word.split("=")[0] for word in arguments if word.startswith(option)), option)
    told = f"{shortened(option)} is not an option of {path}."
    name = option.lstrip("-").lower().replace("_", "-")
    own = [typed for parameter in context.command.get_params(context) for typed in parameter.opts]
    meant = SAME.get(name, name)
    here = INSTEAD.get(path.removeprefix("dpplan "), {})
    likely = f"Did you mean '--{meant}'? {SAYS.get(meant, '') if meant != name else ''}".rstrip()
    instead = here.get(name) or (likely if f"--{meant}" in own else here.get(meant))
    if instead or name in NOTHING:
        return f"{told} {instead or NOTHING[name]}"
    elsewhere = list(_commands_with(f"--{meant}", context.find_root()))  # the same name is nearer than a like one
    if elsewhere and path == "dpplan":
        return f"{told} Options follow their command: dpplan {elsewhere[0]} {option}."
    if elsewhere:
        here_instead, says = ALSO.get(meant, ("", ""))
        also = f" {says}" if here_instead in own else ""
        return f"{told} These have it: {', '.join(elsewhere)}.{also}"
    return f"{told}{did_you_mean(f'--{name}', own, _CLOSE) or f' See {path} --help.'}"


def _commands_with(option: str, root: click.Context) -> Iterator[str]:
    """The commands that have this option. Their modules are imported, which only a mistake has to wait for."""
    group = root.command
    if not isinstance(group, LazyGroup):
        return
    for name in group.summaries:
        command = group.load(name)
        inner = (
            [(f"{name} {each}", command.load(each)) for each in command.summaries]
            if isinstance(command, LazyGroup)
            else [(name, command)]
        )
        yield from (path for path, each in inner if any(option in one.opts for one in each.params))


def _left_over(words: str, command: str, arguments: Sequence[str], context: click.Context | None) -> str:
    """Words that no option takes. arguments: the whole call."""
    first = words.split(maxsplit=1)[0] if words.split() else words
    if first[0:1] in DASHES:
        meant = f"--{first.lstrip(f'-{DASHES}')}"
        return f"{shortened(first)} begins with a dash that is not the hyphen of a keyboard. Write {meant}."
    before = arguments[arguments.index(first) - 1] if first in arguments[1:] else ""
    named = (option_without_hyphens(word, context) for word in (first, before))
    if meant := next((told for told in named if told), ""):
        return meant
    if re.fullmatch(r"\d{3}", first) and re.fullmatch(r"\d{1,3}", before):
        return f"'{first}' is left over: a number has no spaces. Write 10000 for 10 000."
    if said := re.fullmatch(r"([A-Za-z][\w-]*)=(\S+)", first):
        return f"'{first}' is left over: an option begins with two hyphens. Write --{said[1]} {said[2]}."
    if command in OF_ONE_PLAN and Path(first).exists():
        told = f"'{shortened(first)}' is left over: one file or folder is named, and what else ran on the same data is"
        return f"{told} --spent {shlex.quote(first)}; the answer is for all together."
    if re.fullmatch(r"[\d.,:eE+-]+", first):
        told = f"'{shortened(words)}' is left over: it belongs to no option."
        listed = command.endswith(LISTS) or before.endswith((",", ";", ":")) or first[0] in ",:"
        return f"{told} A list has no spaces: write 15,60." if listed else f"{told} {EACH_NUMBER}"
    return f"'{shortened(words)}' is left over: it belongs to no option. See {command} --help."
