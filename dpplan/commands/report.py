"""dpplan report: a page to publish and to sign."""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dpplan.checks import Problems, show
from dpplan.commands.shared import output, overwriting, page_verdict, plan_arguments, plan_files, waiting
from dpplan.commands.shared.accountant_option import EXACT
from dpplan.commands.shared.parameter_types import CHANCE, FileName, Name
from dpplan.commands.shared.plan_arguments import PlanArguments
from dpplan.commands.shared.request import Request, requested
from dpplan.durable_files import write_named
from dpplan.errors import PlanError, ReportError, UsageError
from dpplan.plan import Settings, resolve_delta

if TYPE_CHECKING:
    from dpplan.report import Page

MOST_NAMED = 5  # fields that are not stated
FORMATS = ("html", "md", "json", "registry")
FORM_ON_SCREEN = "md"
BY_ENDING = {
    ".html": "html",
    ".htm": "html",
    ".md": "md",
    ".markdown": "md",
    ".json": "json",
    ".yaml": "registry",
    ".yml": "registry",
}
HELP = """A page about SOURCE to publish and to sign: what was claimed, on what it rests, what it means, who states it.

SOURCE is the folder of a run, its report.json, the JSON of dpplan epsilon, a recipe or a plan file; a plan of one phase
may be given by options in its place. With a recipe, --n is the number of its training examples, and its data is not
read. ε is accounted anew. The page is one file, without script or anything to load; --format md is for a model card or
a paper, json for programs, and registry drafts an entry of the public registry of DP deployments (registry.opendp.org).

\b
  dpplan report runs/digits-001 -o report.html
  dpplan report recipes/digits.yaml --n 1437 -o plan.html
  dpplan report recipes/plans/cohorts.yaml -o cohorts.html
  dpplan report --sigma 1.1 --n 60000 --batch 256 --epochs 60 -o plan.html
  dpplan report runs/digits-001 --statement statement.yaml --format registry
  dpplan report --fields

What no tool can know is asked for: in the recipe's statement block, in a file of the same keys (--statement), or with
--state KEY=TEXT. What is absent is shown as not stated, never invented; what the files say is on record: held-out
examples, what check was told to pass, the search that settings come from, and other runs on the same data that lie
beside this one, with what they spend together. What was computed from examples without noise (accuracy, losses,
clipping) is left out; --private shows it and marks the page, which then has no place to sign. What dpplan audit found
by canaries is told, each audit that lies in the run's folder or in the file of --audit; what it found by members or by
losses of a model, and a memorisation watch, with --private.

The format is that of the file's name (.html, .md, .json; .yaml is a draft for that registry); a name without an ending
gets HTML. A file that is there is left alone, unless --overwrite is given. For a PDF, print the HTML from a browser.
All claims of a run are judged as by dpplan verify: where one does not stand, or an audit of its recipe found a
violation, the page says so in place of a figure. A recipe is named by the sha256 of its file and by that of its
canonical form, which is equal for recipes that run the same; one in the run's folder that is not the one that ran is
told, and not printed. A file with figures of several plans is refused.

Exit status: 0 done; 1 a claim is refuted, or an audit found a violation; 2 the call makes no sense as put, or SOURCE is
no report, or a file would go where no folder is; 3 nothing could be certified, or a claim can neither be certified nor
refuted; 5 a file that is there cannot be read, or the page cannot be written.
"""


@click.command("report", help=HELP)
@click.argument("source", type=FileName(path_type=Path), metavar="[SOURCE]", required=False)
@click.option("-o", "--output", "file", type=FileName(path_type=Path, dir_okay=False), help="Where to write it.")
@click.option(
    "--format", "form", type=Name(FORMATS), help="html, md, json or registry (of DP deployments); else by the name."
)
@click.option("--statement", type=FileName(path_type=Path), help="A YAML file of what is stated.")
@click.option("--state", multiple=True, metavar="KEY=TEXT", help="One thing that is stated; repeatable.")
@plan_arguments.plan
@plan_arguments.scheme
@click.option(
    "--delta",
    type=CHANCE,
    help="Another δ than the file's own; of a plan by options, than the largest power of ten ≤ 1 / (10 n).",
)
@click.option("--audit", type=FileName(path_type=Path), help="What dpplan audit kept (--record) or printed as JSON.")
@click.option("--private", is_flag=True, help="Also what was computed without noise; not to be published.")
@click.option("--fields", is_flag=True, help="List what can be stated, and stop.")
@overwriting.overwrite_option
def command(
    source: Path | None,
    file: Path | None,
    form: str | None,
    statement: Path | None,
    state: tuple[str, ...],
    settings: Settings,
    delta: Any,
    audit: Path | None,
    private: bool,
    fields: bool,
) -> None:
    if fields:
        from dpplan.render import report as render

        output.say(render.fields())
        return
    _one_of_two(source, settings.examples)
    form = _form(form, file)
    if file is not None and (wrong := overwriting.problems("output", file)):
        raise UsageError(wrong)
    stated = _stated(statement, state, delta, form)
    about = requested(PlanArguments(settings), (delta,), EXACT) if source is None else source
    with waiting.status("accounting") as told:
        page = _page(about, stated, None if delta is None else float(delta), settings.examples, told)
        if source is None:
            page = replace(page, call=_call(form))
        if audit is not None:
            page = _with_audits(page, audit)
        text = _written(page, form, private)
    if file is None:
        click.echo(text, nl=False)
    else:
        write_named(f"{file}:", file, text.encode())
        output.say([f"written to {file}" + ("" if file.suffix else f", as {form}")])
        output.note(_not_stated(page))
    if isinstance(about, Request):
        output.warn(about.warnings)
    else:
        output.warn(page_verdict.warnings(page, about))
        page_verdict.finish(page)


def _call(form: str) -> str:
    """The options that this page comes from, as they are typed into a shell, but for where it is written; and its
    format, which the name of the file may have said."""
    context = click.get_current_context()
    typed = [part for pair in plan_arguments.typed_of_plan(but=()).items() for part in pair]
    given = context.params
    typed += [] if given["delta"] is None else ["--delta", show(given["delta"])]
    typed += [] if given["statement"] is None else ["--statement", str(given["statement"])]
    typed += [part for each in given["state"] for part in ("--state", each)]
    typed += [] if given["audit"] is None else ["--audit", str(given["audit"])]
    typed += ["--private"] if given["private"] else []
    typed += ["--format", form] if given["form"] is not None or form != FORM_ON_SCREEN else []
    return shlex.join(typed)


def _one_of_two(source: Path | None, examples: Any) -> None:
    """Raises PlanError where neither a file nor options say what the page is about, or both do."""
    typed = plan_arguments.typed_of_plan()
    if source is None and not typed and examples is None:
        raise PlanError(
            "SOURCE is missing: name the folder of a run, a report.json, a recipe or a plan file; or give the options "
            "of a plan, --sigma 1.1 --n 60000 --batch 256 --epochs 60."
        )
    if source is not None and typed:
        raise PlanError(plan_arguments.one_of(["SOURCE", *plan_arguments.as_one()], "what plan the page is about"))


def _not_stated(page: "Page") -> Iterator[str]:
    """How many fields of the statement nobody filled in, the first of them by name."""
    from dpplan.deployment_statement import FIELDS

    missing = [each.key for each in FIELDS if each.key in page.missing]
    if not missing or not page.holds:
        return
    more = f" and {len(missing) - MOST_NAMED} more" if len(missing) > MOST_NAMED else ""
    are = "field of the statement is" if len(missing) == 1 else "fields of the statement are"
    yield (
        f"{len(missing)} {are} not stated: {', '.join(missing[:MOST_NAMED])}{more}. Give them in the recipe's "
        "statement block, by --statement FILE or by --state KEY=TEXT; --fields lists them."
    )


def _form(form: str | None, file: Path | None) -> str:
    """What is written: as the option says, else as the name of the file ends, else HTML into a file.

    Raises PlanError where the two contradict each other, or the ending is of nothing that is written here.
    """
    ending = "" if file is None else file.suffix.lower()
    named = BY_ENDING.get(ending)
    if form is not None and form not in FORMATS:
        return form  # told with whatever else is wrong
    if file is None or (not ending and form is None):
        return form or (FORM_ON_SCREEN if file is None else "html")
    if ending == ".pdf":
        raise PlanError(
            f"output={file}: no PDF is written. Write {file.with_suffix('.html')} and print it from a browser."
        )
    if form is None and named is None:
        known = ", ".join(BY_ENDING)
        raise PlanError(f"output={file}: {ending} is not one of: {known}. Name one of these, or say --format.")
    if form is not None and named is not None and named != form:
        raise PlanError(f"output={file} ends as {named}, and format={form}. Change one, or leave --format out.")
    return form or str(named)


def _stated(statement: Path | None, state: tuple[str, ...], delta: Any, form: str) -> dict[str, str]:
    """What was stated in a file and by options. Raises UsageError with all that is wrong."""
    from dpplan.recipe import read_statement

    problems = Problems(UsageError)
    problems.require(form in FORMATS, f"format={form} is not one of: {', '.join(FORMATS)}.")
    if delta is not None:
        problems.probability("delta", delta, closed_right=False, try_="Values below 1/n are meaningful.")
    stated = {} if statement is None else read_statement(statement)
    for each in state:
        key, equals, text = each.partition("=")
        problems.require(bool(equals and text), f"state={each} is not KEY=TEXT.")
        stated[key.strip().replace("-", "_")] = text.strip()
    if problems.found:
        raise UsageError(problems.found)
    return stated


def _page(
    source: Path | Request, stated: dict[str, str], delta: float | None, examples: Any, told: Callable[[str], None]
) -> "Page":
    from dpplan import report

    if isinstance(source, Request):
        return report.of_plan("plan", source.plan, stated, source.deltas[0].value, told=told)
    if plan_files.is_whole_plan(source):
        if examples is not None:
            raise PlanError("n is for a recipe: a plan file names its own. Leave --n out.")
        return _page_of_plan(source, stated, delta, told)
    if source.suffix.lower() in {".yaml", ".yml"}:
        from dpplan import recipe
        from dpplan.commands.shared import recipe_data

        read = recipe.load(source)
        n = recipe_data.training_examples(read, examples)
        return report.of_recipe(read, n, stated, delta, told, typed=recipe_data.as_typed(read, examples))
    if examples is not None:
        raise PlanError("n is for a recipe: SOURCE names its own. Leave --n out.")
    return report.gather(source, stated, delta, told)


def _page_of_plan(source: Path, stated: dict[str, str], delta: float | None, told: Callable[[str], None]) -> "Page":
    from dpplan import report

    said = plan_files.parse(PlanArguments(Settings(), files=(str(source),)))
    if said.plan is None:
        raise PlanError(said.problems)
    at = resolve_delta(delta, said.plan.examples).value
    return report.of_plan(source.stem, said.plan, stated, at, said.names, told)


def _with_audits(page: "Page", file: Path) -> "Page":
    """With those of a file as well. Raises ReportError where none of them is of this page's recipe."""
    from dpplan.audit import on_file

    found = on_file.kept(file) if file.exists() else []
    if not found:
        raise ReportError(f"audit={file}: holds no audit. dpplan audit RECIPE --record {file} makes one.")
    if not any(each["recipe"]["sha256"] == page.sha256 for each in found):
        raise ReportError(f"audit={file}: is of a recipe that runs something else. Audit the one that is reported on.")
    return replace(page, audits=(*page.audits, *found))


def _written(page: "Page", form: str, private: bool) -> str:
    from dpplan import report

    if form == "html":
        return report.html(page, private)
    if form == "md":
        return report.markdown(page, private)
    if form == "registry":
        return page_verdict.registry_entry(page)
    from dpplan.render import to_json

    return to_json.dumps(report.document(page, private), indent=2) + "\n"
