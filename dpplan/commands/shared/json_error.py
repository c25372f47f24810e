"""With --json a call that fails answers in JSON too: the schema of its command, and an `error` with the exit code.

    {"schema": "dpplan.epsilon/1", "error": {"code": 2, "kind": "PlanError", "message": "...", "problems": ["..."]}}

A command that has printed its object, and then exits with another status than 0, has said it all there.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import click

from dpplan.commands import COMMANDS

_PRINTED = ContextVar("printed", default=False)
# The one command whose schema is not its name with hyphens.
_SCHEMAS = {"compare accountants": "compare"}


@contextmanager
def one_call() -> Iterator[None]:
    """Within it nothing is printed yet."""
    token = _PRINTED.set(False)
    try:
        yield
    finally:
        _PRINTED.reset(token)


def printed() -> None:
    """The command has printed its object."""
    _PRINTED.set(True)


def wanted(arguments: Sequence[str]) -> bool:
    """Whether these arguments ask for JSON, and nothing is printed yet."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return ("--json" in options or _report_in_json(options)) and not _PRINTED.get()


def _report_in_json(options: Sequence[str]) -> bool:
    """Whether a report is asked for as JSON and on standard output, by the one command whose --json is a format."""
    if options[:1] != ["report"] or any(each.startswith(("-o", "--output")) for each in options):
        return False
    words = " ".join(options).lower().replace("--format=", "--format ").split()
    return any(pair == ("--format", "json") for pair in itertools.pairwise(words))


def document(arguments: Sequence[str], code: int, message: str, error: BaseException) -> str:
    """The object, as text. Text that no stream may be able to write is escaped."""
    problems = getattr(error, "problems", None) or (message,)
    content: dict[str, Any] = {
        "schema": f"dpplan.{_command(arguments)}/1",
        "error": {"code": code, "kind": _kind(error), "message": message, "problems": list(problems)},
    }
    return json.dumps(content, indent=2)


def _kind(error: BaseException) -> str:
    """The name of one of our errors, or of Python's own."""
    return "UsageError" if isinstance(error, click.ClickException) else type(error).__name__


def _command(arguments: Sequence[str]) -> str:
    """What the schema of the command is called; "error" where none was named."""
    words = [word for word in arguments[:2] if not word.startswith("-")]
    typed = next((name for name in (" ".join(words), *words[:1]) if name in COMMANDS), "error")
    return _SCHEMAS.get(typed, typed.replace(" ", "-"))
