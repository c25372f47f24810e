"""--max-advantage, --max-tpr and --max-posterior: limits on what attackers reach, in place of a target ε."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from dpplan import number_spelling
from dpplan.checks import Problems
from dpplan.commands.shared.plan_arguments import Command, in_order
from dpplan.errors import PlanError

if TYPE_CHECKING:
    from dpplan.solve.risk_target import RiskTarget

NAMES = ("max_advantage", "max_tpr", "max_posterior")
_SHAPES = {
    "max_advantage": "a number in (0, 1), such as 0.1",
    "max_tpr": "TPR@FPR, such as 0.05@0.01",
    "max_posterior": "P@prior=...,fpr=..., such as 0.2@prior=0.01,fpr=0.001",
}


def options(command: Command) -> Command:
    """The command receives each as text, or None."""
    helps = {
        "max_advantage": "Instead of a target ε: the most that TPR - FPR of any attacker may be.",
        "max_tpr": "The most true positives at a false-positive rate: 0.05@0.01.",
        "max_posterior": "How sure an attacker may be of whom he accuses: 0.2@prior=0.01,fpr=0.001.",
    }
    made = [click.option(f"--{name.replace('_', '-')}", name, help=helps[name]) for name in NAMES]
    return in_order(made)(command)


def read(given: Mapping[str, Any]) -> "tuple[RiskTarget | None, list[str]]":
    """The limit that was set, None without one; or what is wrong with it."""
    said = {name: given[name] for name in NAMES if given[name] is not None}
    if not said:
        return None, []
    if len(said) > 1:
        return None, [f"{' and '.join(said)} are given: one limit decides. Leave out all but one."]
    ((name, text),) = said.items()
    parts = _parts(name, str(text))
    if parts is None:
        return None, [f"{name}={text} is not {_SHAPES[name]}.{_meant(name, str(text))}"]
    problems = Problems()
    for part, value in parts.items():
        problems.probability(part, value, closed_right=False, try_=f"--{name.replace('_', '-')} is {_SHAPES[name]}.")
    if problems.found:
        return None, problems.found
    return _target(name, list(parts.values()))


def _target(name: str, values: list[float]) -> "tuple[RiskTarget | None, list[str]]":
    from dpplan.solve import risk_target

    limit, *others = values
    try:
        if name == "max_advantage":
            return risk_target.advantage(limit), []
        if name == "max_tpr":
            return risk_target.true_positives(limit, *others), []
        prior, rate = others
        return risk_target.posterior(limit, prior, rate), []
    except PlanError as error:
        return None, list(error.problems)


def _meant(name: str, text: str) -> str:
    """What to write where only the spelling of the numbers is another: 5%@1%. "" where nobody can tell."""
    plain = re.sub(r"\s", "", text)
    written = re.sub(r"[^@=,]*\d(?:,\d|[^@=,])*", lambda found: _number(found[0]), plain)
    read_so = _parts(name, written) if written != text else None
    if not read_so or not all(0.0 < value < 1.0 for value in read_so.values()):
        return ""
    return f" Write --{name.replace('_', '-')} {written}."


def _number(text: str) -> str:
    """A number that is written in other ways, as it is typed here."""
    found = re.fullmatch(r"Write ([\d.eE+-]+?)(?:\.|, the fraction\.)", number_spelling.how_to_write(text))
    return found[1] if found else text


def _parts(name: str, text: str) -> dict[str, float] | None:
    """The numbers in the text by what each is; None where the text is not of the shape."""
    first, at, rest = text.replace(" ", "").partition("@")
    try:
        if name == "max_advantage":
            return None if at else {name: float(first)}
        if name == "max_tpr":
            return {name: float(first), "fpr": float(rest)}
        pairs = dict(part.split("=", 1) for part in rest.split(","))
        if set(pairs) != {"prior", "fpr"} or rest.count("=") != 2:
            return None
        return {name: float(first), "prior": float(pairs["prior"]), "fpr": float(pairs["fpr"])}
    except ValueError:
        return None
