"""Other runs on the same examples that lie beside one, and what all of them spend: as dpplan check has it (DP010)."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpplan import lint
from dpplan.checks import show
from dpplan.plan import Plan
from dpplan.recipe.schema import MADE
from dpplan.rounding import up

MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class OtherRuns:
    """names: of their folders, with the path where a name alone would be mistaken. seeded: of those whose noise can be
    drawn again. together: an upper bound of ε of all of them and of this one, at its `delta`; None where they do not
    add up, or nothing is proven. unaccounted: of those of which no ε is known."""

    names: tuple[str, ...] = ()
    seeded: tuple[str, ...] = ()
    together: float | None = None
    unaccounted: tuple[str, ...] = ()
    delta: float | None = None

    @property
    def words(self) -> str:
        """What they are and spend, "" where there are none."""
        if not self.names:
            return ""
        named = ", ".join(self.names[:MOST_NAMED]) + (", …" if len(self.names) > MOST_NAMED else "")
        many = "another run" if len(self.names) == 1 else f"{len(self.names)} other runs"
        said = f"{many} on the same data ({named}), not counted in this ε"
        if self.unaccounted:
            said += (
                f"; {', '.join(self.unaccounted[:MOST_NAMED])}: trained with --unaccounted, so that no ε is known of "
                "it, nor of all that is spent on these data"
            )
        if self.seeded:
            return f"{said}; {', '.join(self.seeded[:MOST_NAMED])} had a seed: whoever knows it can subtract the noise"
        if self.unaccounted:
            return said
        if self.together is None:
            return f"{said}; what all of them spend together is not known here"
        at = "" if self.delta is None else f" at δ = {show(self.delta)}"
        return f"{said}; with this one they spend ε ≤ {up(self.together, 4)} together{at}"


def beside(plan: Plan, delta: float, own: Path | None, content: Mapping[str, Any]) -> OtherRuns:
    """Those that lie beside the folder of this run, and where its recipe has runs made. own: None of a plan that has
    not run. content: the blocks of the recipe. An unchanged copy of this run, or of one that is named, is none."""
    data, runtime = (content.get(block) for block in ("data", "runtime"))
    source = data.get("source") if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping) or not isinstance(source, str) or source in MADE:
        return OtherRuns()
    path, folder = data.get("path"), runtime.get("folder") if isinstance(runtime, Mapping) else None
    places = {} if own is None else {own.resolve().parent: ""}
    if isinstance(folder, str):
        places.setdefault(Path(folder).resolve(), folder)
    seen, taken = [] if own is None else [own.resolve()], {"" if own is None else own.resolve().name}
    others: list[lint.PriorRun] = []
    for place, written in places.items():
        for run in lint.runs_in(place, source, path if isinstance(path, str) else None):
            if place / run.name in seen or any(lint.unchanged_copy(place / run.name, each) for each in seen):
                continue
            seen.append(place / run.name)
            name = os.path.join(written, run.name) if run.name in taken else run.name
            others.append(dataclasses.replace(run, name=name))
            taken.add(run.name)
    if not others:
        return OtherRuns()
    bound = lint.together(plan, others, delta)
    return OtherRuns(
        tuple(run.name for run in others),
        tuple(run.name for run in others if run.seeded),
        None if bound is None else bound.value,
        tuple(run.name for run in others if run.unaccounted),
        delta,
    )
