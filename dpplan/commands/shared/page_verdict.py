"""What report and export say of a page that may not be published, and the exit status they end with."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dpplan.errors import EXIT_EXCEEDED, EXIT_NOT_CERTIFIED

if TYPE_CHECKING:
    from dpplan.report import Page


def registry_entry(page: "Page") -> str:
    """The draft of an entry as YAML; of a page that may not be published, a comment that says why there is none.

    Raises EntryError with all that the registry would refuse.
    """
    from dpplan import report

    if not page.holds:
        return f"# No entry: {report.outcome(page)}\n"
    return report.as_yaml(report.checked_entry(page))


def warnings(page: "Page", source: Path) -> Iterator[str]:
    """That a run went over its budget, and why no figure of it may be published."""
    from dpplan.report import outcome
    from dpplan.verify import Standing

    if page.over_budget:
        yield f"{source}: {page.over_budget}"
    if not page.holds:
        more = "" if page.standing in (None, Standing.STANDS) else f" dpplan verify {source} shows each."
        yield f"{source}: {outcome(page)}{more}"


def finish(page: "Page") -> None:
    """Ends with the exit status of dpplan verify where the claims of the file do not all stand, and with that of dpplan
    audit where one found a violation."""
    from dpplan.verify import Standing

    if page.holds:
        return
    refuted = page.standing is Standing.REFUTED or page.violations
    click.get_current_context().exit(EXIT_EXCEEDED if refuted else EXIT_NOT_CERTIFIED)
