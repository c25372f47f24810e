"""The recipe beside the report of a run: whether it is the one that the report records."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dpplan import recipe, verify
from dpplan.checks import show
from dpplan.errors import DpplanError

FILE = "recipe.yaml"
HASHED = ("privacy", "data", "model", "training")  # what of a recipe is run, and stands in its hash
CHOSEN_IN_THE_CALL = {("training", "compare_nonprivate")}  # by --twin, whatever the recipe says
_MOST = 4  # differences that are named


def checked(document: verify.Document) -> verify.Document:
    """The same claims, doubted where the recipe beside the report is another than the report records."""
    doubt = _doubt(document)
    if not doubt:
        return document
    return dataclasses.replace(doubted(document, (doubt,), (doubt,)), unsure=(doubt,), recipe_ran=False)


def doubted(document: verify.Document, doubts: Sequence[str], warnings: Sequence[str]) -> verify.Document:
    """The same claims, each with these doubts, and the warnings of the file."""
    claims = tuple(dataclasses.replace(each, doubts=(*each.doubts, *doubts)) for each in document.claims)
    return dataclasses.replace(document, claims=claims, warnings=(*document.warnings, *warnings))


def _doubt(document: verify.Document) -> str:
    """Why the recipe in the folder of the run is not the one that ran; "" where it is, or where there is none."""
    file = None if document.folder is None else document.folder / FILE
    if file is None or not document.recipe or not file.exists():
        return ""
    try:
        found = recipe.load(file)
    except DpplanError as error:
        return f"{file} is not the recipe that ran, or was damaged: {str(error).splitlines()[0]}"
    differing = list(_differences(found.content, document.recipe))
    if differing:
        more = f", and {len(differing) - _MOST} more" if len(differing) > _MOST else ""
        return f"{file} is not the recipe that the report records: {', '.join(differing[:_MOST])}{more}."
    either = {found.with_twin(wanted).sha256 for wanted in (True, False)}
    said = str(document.recipe.get("sha256"))
    if said in either or not _same_keys(found.content, document.recipe):
        return ""
    return (
        f"{file} is not the recipe that the report records: its hash is {found.sha256[:12]}, recorded is {said[:12]}."
    )


def _differences(found: Mapping[str, Any], recorded: Mapping[str, Any]) -> Iterator[str]:
    for title in HASHED:
        block = recorded.get(title)
        if not isinstance(block, Mapping):
            continue
        for key, value in found[title].items():
            # A key that an older version did not write is nothing that was changed.
            if key in block and _plain(block[key]) != _plain(value) and (title, key) not in CHOSEN_IN_THE_CALL:
                yield _differs(f"{title}.{key}", value, block[key])


def _differs(name: str, found: Any, recorded: Any) -> str:
    """In what; of a block within a block, in which of its keys first."""
    if isinstance(found, Mapping) and isinstance(recorded, Mapping):
        for key, value in found.items():
            if key in recorded and _plain(recorded[key]) != _plain(value):
                return _differs(f"{name}.{key}", value, recorded[key])
    return f"{name} is {_shown(found)} in the file and {_shown(recorded)} in the report"


def _same_keys(found: Mapping[str, Any], recorded: Mapping[str, Any]) -> bool:
    """Whether the report was written with all keys that are known now and hold something."""
    blocks = {title: recorded.get(title) for title in HASHED}
    return all(
        isinstance(block, Mapping) and all(key in block or value is None for key, value in found[title].items())
        for title, block in blocks.items()
    )


def _plain(value: Any) -> Any:
    """As JSON holds it: tuples are lists."""
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _shown(value: Any) -> str:
    if value is None:
        return "not given"
    text = show(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
