"""No command replaces a file that is there, unless --overwrite is given: one rule for pages, pictures and tables.

What is in the way is told before anything is computed. Devices and pipes, such as /dev/stdout, are written to.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

# Of a run, beside its pages.
RECORDS = ("report.json", "recipe.yaml", "metrics.jsonl", "model.pt", "run.json", "steps", "checkpoint.pt")
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
    if wrong := no_folder(name, file):
        return wrong
    if file.is_file() and not overwrites():
        return (f"{name}={file} is there, and was left alone. Name another file, or replace it with --overwrite.",)
    return tuple(f"{name}={file} is {each}, which this call reads. Name another file." for each in _read(name, file))


def no_folder(name: str, file: Path) -> tuple[str, ...]:
    """The same of a file that is added to, where it is there."""
    if file.parent.is_dir():
        return ()
    there = next((each for each in file.parents if os.path.lexists(each)), file.parent)
    if os.path.lexists(there) and not there.is_dir():
        what = "a file" if there.exists() else "a link that leads nowhere"
        return (f"{name}={file}: {there} is {what}, and no folder. Name another place.",)
    return (f"{name}={file}: the folder {file.parent} does not exist. Make it first.",)


def _read(name: str, file: Path) -> Iterator[str]:
    """What is read is not written to, whatever may be replaced: arguments and options that name this file, and what
    the folder of a run holds of it."""
    context = click.get_current_context(silent=True)
    if context is None or not file.is_file():
        return
    options = [each for each in context.command.params if f"--{name}" not in each.opts and each.name is not None]
    for value in (context.params.get(str(each.name)) for each in options):
        for each in value if isinstance(value, tuple) else (value,):
            if isinstance(each, str | Path) and os.path.exists(each):
                run = Path(each) if os.path.isdir(each) else Path(each).parent
                kept = [run / record for record in RECORDS] if (run / RECORDS[0]).is_file() else []
                yield from (str(there) for there in dict.fromkeys((Path(each), *kept))
                            if there.exists() and file.samefile(there))  # fmt: skip
