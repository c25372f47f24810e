"""A page that says what was trained, what it costs, and what that means: for whoever has to sign it.

    page = gather(source, {"curator": "..."})      # what is known, what was stated, and what is not stated
    html(page); markdown(page); entry(page)

In reading order: audits (what they found), other_runs (on the same examples, beside this one), on_record (what files
say of things that a statement is asked for), checked_run (what a file claims, held against all that lies beside it),
page (what is known of a plan or a run), svg_charts (pictures as SVG), registry (an entry of the deployments registry),
page_standing (whether it may be published), page_templates (what goes into them is text), page_formats (the page). What
no tool can know stands in dpplan.deployment_statement. Nothing is invented: a field that nobody filled in is shown as
not stated.
"""

from dpplan import called_modules
from dpplan.report.page import Page, gather, of_plan, of_recipe
from dpplan.report.page_formats import document, html, markdown
from dpplan.report.page_standing import outcome
from dpplan.report.registry import as_yaml, checked_entry, entry, violations

__all__ = [
    "Page",
    "as_yaml",
    "checked_entry",
    "document",
    "entry",
    "gather",
    "html",
    "markdown",
    "of_plan",
    "of_recipe",
    "outcome",
    "violations",
]

called_modules.when_called(
    __name__,
    "The page of a plan is\n\n"
    "    run = dpplan.plan.Plan.from_training(1.1, 60000, 256, 60)\n"
    "    dpplan.report.markdown(dpplan.report.of_plan('plan', run, {}, 1e-6))\n\n",
)
