"""Files of other libraries among what was named: plans that they wrote, and what their accountants remember."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dpplan.checks import show
from dpplan.errors import MissingExtra, PlanError
from dpplan.interop import dp_event, jax_plan, opacus_state
from dpplan.mechanism import kind_of
from dpplan.plan import Plan, Settings
from dpplan.recipe.phases import Written
from dpplan.recipe.plan_file import PlanFile
from dpplan.sampling import Poisson
from dpplan.units import UNITS_CONVERTED

MOST_BYTES = 20_000_000
TORCH_ENDINGS = (".pt", ".pth", ".ckpt", ".tar")


def _json(path: Path) -> Any:
    """What a JSON file holds; None where it is none, which whoever reads it says."""
    if path.suffix.lower() != ".json":
        return None
    try:
        return json.loads(path.read_bytes()) if path.stat().st_size <= MOST_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None


def _given_once(path: Path) -> Any:
    """What a JSON file holds that was seen to be one. Raises PlanError for a key that is given twice: which of the two
    was meant, nobody can tell."""

    def whole(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict[str, Any]()
        for key, value in pairs:
            if key in found:
                raise PlanError(f"{path}: the key {show(key)} is given twice. Leave one out.")
            found[key] = value
        return found

    try:
        return None if _json(path) is None else json.loads(path.read_bytes(), object_pairs_hook=whole)
    except RecursionError:
        raise PlanError(f"{path}: is nested too deeply to be read.") from None


def _reader(content: object) -> Callable[[Mapping[str, Any]], Plan] | None:
    return dp_event.read if dp_event.is_event(content) else jax_plan.read if jax_plan.is_config(content) else None


def is_plan(path: Path) -> bool:
    """Whether it is a DpEvent or a configuration of JAX Privacy, as JSON."""
    return _reader(_json(path)) is not None


def read_plan(path: Path) -> PlanFile:
    """The plan of such a file. Raises PlanError with all that is wrong."""
    content = _given_once(path)
    reader = _reader(content)
    assert reader is not None  # is_plan was asked
    try:
        plan = reader(content)
    except PlanError as error:
        raise PlanError([f"{path}: {problem}" for problem in error.problems]) from None
    names = tuple(f"{kind_of(phase.mechanism)} {number}" for number, phase in enumerate(plan.phases, 1))
    none = (None,) * len(names)
    return PlanFile(plan, names, (), none, none)


def is_state(path: Path) -> bool:
    """Whether it may be the state of an Opacus accountant, or hold one: by its ending, or as JSON by its key."""
    if path.suffix.lower() in (*opacus_state.ENDINGS, *TORCH_ENDINGS):
        return True
    content = _json(path)
    return isinstance(content, dict) and any(key in content for key in opacus_state.HOLDERS)


def is_foreign(path: Path) -> bool:
    """Whether another library wrote it, as a plan or as what its accountant remembers."""
    return is_plan(path) or is_state(path)


def phases(path: Path) -> Iterator[Written]:
    """What the accountant remembers, written as it would be typed: batches by Poisson sampling, which it counts,
    whatever is said of another run. Raises PlanError where it is no such state.

    A row is how the examples were drawn, and noise over their clip norm, and so one mechanism, which has a figure under
    every relation between neighbours: a plan for replace-one takes it with the sensitivity that it has there.
    """
    for number, row in enumerate(_state(path)["history"], 1):
        values = zip(("sigma", "q", "steps"), map(show, row), strict=True)
        yield Written(f"{path}, phase {number}", (*values, ("sampling", Poisson.kind)))


def drawn_otherwise(files: Iterable[str], sampling: str) -> list[str]:
    """What is wrong with these files where the whole run is said to be drawn by this scheme."""
    if sampling == Poisson.kind:
        return []
    return [
        f"{file} is what an accountant of Opacus remembers, which counts batches by Poisson sampling, and --sampling "
        f"{sampling} says otherwise. Leave --sampling out, or type what ran: --phase sigma=1.1,q=0.01,steps=1000."
        for file in files
        if "=" not in file and file.strip() and (is_state(Path(file)) or _is_history(_json(Path(file))))
    ]


def of_examples(path: Path, shared: Settings) -> None:
    """Raises PlanError for such a state, or its rows, in a plan for users that are drawn and clipped whole: Opacus
    draws and clips examples. Users' examples drawn one by one (max_per_user) are what it did."""
    if shared.unit == "user" and shared.max_per_user is None and (is_state(path) or _is_history(_json(path))):
        raise PlanError(
            f"{path}: is what an accountant of Opacus remembers, which draws and clips examples, and the plan is for "
            f"users, drawn and clipped whole: {UNITS_CONVERTED}. Where each of its examples was all of one user, type "
            "what ran: --spent sigma=1.1,q=0.01,steps=1000."
        )


def _is_history(content: object) -> bool:
    """Whether it is a history without the state around it, as rows or under its key."""
    rows = content.get("history") if isinstance(content, dict) else content
    return isinstance(rows, list) and any(isinstance(row, list) and len(row) == 3 for row in rows)


def _state(path: Path) -> dict[str, Any]:
    if path.suffix.lower() in opacus_state.ENDINGS:
        return opacus_state.read_pickle(path)
    if path.suffix.lower() in TORCH_ENDINGS:
        try:
            from dpplan.train import foreign_accountant_state
        except ModuleNotFoundError as missing:
            if (missing.name or "").partition(".")[0] == "dpplan":
                raise
            raise MissingExtra(f"{path}: a checkpoint of torch", "train") from None
        return opacus_state.state_in(foreign_accountant_state.content(path), path)
    return opacus_state.state_in(_given_once(path), path)
