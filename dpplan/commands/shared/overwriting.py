"""No command replaces a file that is there, unless --overwrite is given: one rule for pages, pictures and tables.

What is in the way is told before anything is computed. Devices and pipes, such as /dev/stdout, are written to.
"""

from pathlib import Path
from typing import Any

import click

_KEY = "dpplan.overwrite"  # of click's context; no command receives the option itself


def overwrite_option(command: Any) -> Any:
    """--overwrite, once for a command, whatever it writes."""
    if any(each.name == "overwrite" for each in getattr(command, "__click_params__", ())):
        return command

    def noted(context: click.Context, _: click.Parameter, value: bool) -> None:
        context.meta[_KEY] = value

    said = "Replace a file that is there."
    return click.option("--overwrite", is_flag=True, expose_value=False, callback=noted, help=said)(command)


def overwrites() -> bool:
    """Whether --overwrite is given in this call."""
    context = click.get_current_context(silent=True)
    return context is not None and bool(context.meta.get(_KEY))


def problems(name: str, file: Path) -> tuple[str, ...]:
    """What can be known to be wrong with the place of a file that is to be written. name: of the option."""
    if not file.parent.is_dir():
        return (f"{name}={file}: the folder {file.parent} does not exist. Make it first.",)
    if file.is_file() and not overwrites():
        return (f"{name}={file} is there, and was left alone. Name another file, or replace it with --overwrite.",)
    return ()
