"""--csv FILE: the figures as comma-separated values, in a file, or with "-" on standard output and alone there."""

import sys
from pathlib import Path

import click

from dpplan.commands.shared import overwriting
from dpplan.commands.shared.parameter_types import FileName
from dpplan.commands.shared.plan_arguments import Decorator
from dpplan.durable_files import write_named

STDOUT = Path("-")


def csv_option(what: str) -> Decorator:
    """--csv, which the command receives as `csv`. what: what is written, for its help."""
    said = f"Also write {what}, as CSV; - prints that and nothing else."
    option = click.option("--csv", type=FileName(path_type=Path, dir_okay=False, allow_dash=True), help=said)
    return lambda command: option(overwriting.overwrite_option(command))


def problems(csv: Path | None, as_json: bool) -> tuple[str, ...]:
    """What can be known to be wrong before anything is computed."""
    if csv == STDOUT and as_json:
        return ("--json and --csv - are two formats of one answer on standard output. Give one, or --csv a file.",)
    return () if csv is None or csv == STDOUT else overwriting.problems("csv", csv)


def write(csv: Path, text: str) -> None:
    if csv == STDOUT:
        click.echo(text, nl=False, file=sys.stdout)
        return
    write_named(f"--csv={csv}", csv, text.encode())
