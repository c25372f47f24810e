"""dpplan recipes: the recipes that come with it, listed and copied."""

from pathlib import Path

import click

from dpplan.commands.shared import completion, output, overwriting
from dpplan.commands.shared.parameter_types import FileName
from dpplan.errors import UsageError, file_error

HELP = """The recipes and plan files that come with dpplan: without arguments, what there is.

`copy` writes them by name, or all recipes, as recipes/NAME.yaml or where --to says: a folder, or for a single recipe
a file ending in .yaml. scores.csv is for dpplan audit. A file that is there and differs is left alone, unless
--overwrite is given.

\b
  dpplan recipes
  dpplan recipes copy digits
  dpplan recipes copy digits digits-cnn --to my-runs
  dpplan recipes copy digits --to mine.yaml
  dpplan recipes copy plans/cohorts scores.csv
  dpplan recipes copy all

Exit status: 0 done; 2 there is no such recipe, or another file is in its place; 5 it cannot be written, or what is in
its place cannot be read.
"""
COPY, ALL, LIST = "copy", "all", "list"
ENDINGS = {".yaml", ".yml"}


@click.command("recipes", help=HELP)
@click.argument("words", metavar="[copy NAME...]", nargs=-1, shell_complete=completion.recipes)
@click.option("--to", type=FileName(path_type=Path), help="Where to write: a folder, or a file ending in .yaml.")
@overwriting.overwrite_option
@output.json_option
def command(words: tuple[str, ...], to: Path | None, as_json: bool) -> None:
    from dpplan.recipe import bundled
    from dpplan.render import recipes as render

    if not words or words == (LIST,):
        if to is not None:
            raise UsageError("--to is where a recipe is written: dpplan recipes copy NAME --to PATH.")
        if as_json:
            output.as_json(render.document())
        else:
            output.say(render.listed())
        return
    first, *names = words
    if first != COPY or not names:
        raise UsageError(f"dpplan recipes {' '.join(words)}: write dpplan recipes copy NAME, or no word to list them.")
    wanted = bundled.names() if names == [ALL] else tuple(dict.fromkeys(name.removesuffix(".yaml") for name in names))
    texts = {file: bundled.text(name) for file, name in zip(_files(wanted, to), wanted, strict=True)}
    written = _write(texts)
    if as_json:
        output.as_json({"schema": "dpplan.recipes/1", "copied": [{"file": str(f), "written": w} for f, w in written]})
    else:
        output.say(render.copied(written))


def _files(names: tuple[str, ...], to: Path | None) -> list[Path]:
    """Where each is to lie."""
    from dpplan.recipe import bundled

    endings = {".csv"} if names == (bundled.SCORES,) else ENDINGS
    if to is None or to.suffix not in endings or to.is_dir():
        return [(to or Path("recipes")) / bundled.file_of(name) for name in names]
    if len(names) > 1:
        raise UsageError(f"--to {to} is one file, and {len(names)} recipes are to be written. Name a folder.")
    return [to]


def _write(texts: dict[Path, str]) -> list[tuple[Path, bool]]:
    """Writes those that are not there yet; for files that differ raises UsageError before any is written, unless they
    may be replaced."""
    from dpplan.durable_files import write_whole

    there: dict[Path, bool] = {}  # and the same
    differing: list[str] = []
    for file, text in texts.items():
        try:
            there[file] = file.exists() and file.read_text(encoding="utf-8", errors="replace") == text
            if file.exists() and not there[file]:
                differing.append(
                    f"{file} is there and differs, and was left alone. Give another place with --to, or replace it "
                    "with --overwrite."
                )
        except OSError as error:
            raise file_error(f"{file}: cannot be read", error) from None
    if differing and not overwriting.overwrites():
        raise UsageError(differing)
    for file, text in texts.items():
        if not there[file]:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise file_error(f"{file.parent}: cannot be made", error) from None
            content = text.encode()
            write_whole(file, lambda stream, content=content: stream.write(content))  # type: ignore[misc]
    return [(file, not present) for file, present in there.items()]
