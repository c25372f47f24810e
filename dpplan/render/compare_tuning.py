"""A search over settings under several laws of the number of trials: as a table, and as JSON."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dpplan.accounting.best_of_trials import count, most
from dpplan.accounting.bound import Bound
from dpplan.checks import show
from dpplan.plan import Delta
from dpplan.render import bound_text, plan_rows, to_json
from dpplan.render.plan_rows import sentence
from dpplan.render.table import Column, Table, TableCell

if TYPE_CHECKING:
    from dpplan.compare.tuning import TuningComparison
    from dpplan.mechanism.trials import Trials

COVERED = (
    "covers the winner alone: the number of trials, its seed, the losing runs and their times stay private, and no "
    "trial means 'none', never another draw. The score is public, or part of what each trial releases."
)

OWN = (
    "Yours: of {whole} settings tried one after the other, or of any number that was fixed or is known, the last row, "
    "whether all are published or the best. A row between is yours only if a program drew the number of trials by that "
    "law before they began."
)


def _law(trials: "Trials") -> str:
    extra = {"negative-binomial": f", η = {trials.eta:g}", "binomial": f" of {count(trials)}"}
    return f"{trials.law}{extra.get(trials.law, '')}"


def _cell(bound: Bound | None) -> TableCell:
    return TableCell("-") if bound is None else TableCell(bound_text.figure(bound), bound_text.meaning(bound))


def table(found: "TuningComparison") -> Table:
    """A row for each law, and for one trial and all of them."""
    columns = (Column("trials"), Column("mean", True), Column("ε by profile", True), Column("ε by Rényi", True))
    rows = [(TableCell("no search"), TableCell("1"), _cell(found.single), TableCell(""))]
    for row in found.rows:
        mean = TableCell(f"{most(row.trials):.6g}")
        rows.append((TableCell(_law(row.trials)), mean, _cell(row.profile), _cell(row.renyi)))
    whole = math.ceil(found.mean)
    rows.append((TableCell(f"a grid of {whole}"), TableCell(f"{whole}"), _cell(found.together), TableCell("")))
    refused: dict[str, list[str]] = {}
    for row in found.rows:
        if row.refusal:
            refused.setdefault(row.refusal, []).append(row.trials.law)
    notes = tuple(f"{', '.join(laws)}: {why}" for why, laws in refused.items())
    return Table(columns, tuple(rows), (OWN.format(whole=whole), *notes))


def rows(found: "TuningComparison", deltas: Sequence[Delta]) -> Iterator[str]:
    """What a trial is, and what the figures cover."""
    given = [each if each.reason else Delta(each.value, "given") for each in deltas]
    yield from plan_rows.plan_rows(found.plan, given)
    yield from sentence("a search", COVERED)


def document(found: "TuningComparison", warnings: Sequence[str]) -> to_json.Object:
    results = [
        {
            "trials": row.trials.law,
            "mean": most(row.trials),
            "delta": found.delta,
            "profile": None if row.profile is None else to_json.figure(row.profile),
            "renyi": None if row.renyi is None else to_json.figure(row.renyi),
            "refusal": row.refusal or None,
        }
        for row in found.rows
    ]
    single = to_json.figure(found.single)
    together = None if found.together is None else to_json.figure(found.together)
    told = {"single": single, "all_released": together, "covers": COVERED}
    return to_json.document("compare-tuning", found.plan, results, warnings, mean=show(found.mean), **told)
