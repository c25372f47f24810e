"""What an accountant says of itself, once: options, help, tables, plots and the README read it here.

Every module in ACCOUNTANTS has a DESCRIPTION. To list options or names none of them has to be imported: what is not
loaded yet is read from its source, where a DESCRIPTION is written out in literals.
"""

import ast
import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from dpplan.checks import Problems, is_number, show
from dpplan.quick_dataclass import dataclass

_PACKAGES = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class AccountantOption:
    """A keyword that an accountant takes besides the plan and where it is asked.

    help: of the option on the command line; {takers} stands for all accountants that take it. choices: the names it may
    be; between: the least and the largest number; without either it is a whole number of at least 1. remedy: what to
    try where it is not.
    """

    name: str
    help: str
    choices: tuple[str, ...] = ()
    between: tuple[float, float] | None = None
    remedy: str = ""

    @property
    def flag(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    def check(self, problems: Problems, value: object) -> None:
        if self.choices:
            problems.require(value in self.choices, f"{self.name}={value} is not one of: {', '.join(self.choices)}.")
        elif self.between is not None:
            low, high = self.between
            rule = f"{self.name}={show(value)} is not between {low:g} and {high:g}. {self.remedy}"
            problems.require(is_number(value) and low <= value <= high, rule)
        else:
            problems.whole(self.name, value, try_=self.remedy)  # type: ignore[arg-type]  # what is no number is told


@dataclass(frozen=True, slots=True)
class Description:
    """caption: what it does, in a line. guarantee: what its figures promise. use, source: when to take it, whose it is.

    supports: the plans that it has a theorem for, in words. colour: of its line in plots. note: what a table says of a
    figure, with the names of `Bound.details` in braces. published: the year of the composition theorem that it applies,
    None where it is none of those that are set side by side as steps grow. cost: a warning, where it can take long.
    """

    name: str
    caption: str
    guarantee: str
    use: str
    source: str
    supports: str
    colour: str
    note: str = ""
    options: tuple[AccountantOption, ...] = ()
    published: int | None = None
    cost: str = ""


def description_of(module: str) -> Description:
    """The DESCRIPTION of a module."""
    if module not in sys.modules and (source := _source(module)) is not None:
        for statement in ast.parse(source).body:
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "DESCRIPTION":
                found = _evaluated(statement.value)
                assert isinstance(found, Description)
                return found
    loaded: Description = importlib.import_module(module).DESCRIPTION
    return loaded


def _source(module: str) -> str | None:
    """Up to the end of its DESCRIPTION; None where there is no such file."""
    place = _PACKAGES.joinpath(*module.split("."))
    for file in (place / "__init__.py", place.with_suffix(".py")):
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            start = text.find("\nDESCRIPTION = ")
            return None if start < 0 else text[start : text.index("\n)", start) + 2]
    return None


_KINDS: Mapping[str, Callable[..., object]] = MappingProxyType(
    {kind.__name__: kind for kind in (Description, AccountantOption)}
)


def _evaluated(node: ast.expr) -> object:
    """The value of an expression of literals, tuples and the two classes above."""
    if isinstance(node, ast.Call):
        kind = _KINDS[ast.unparse(node.func)]
        named = {str(each.arg): _evaluated(each.value) for each in node.keywords}
        return kind(*map(_evaluated, node.args), **named)
    if isinstance(node, ast.Tuple):
        return tuple(map(_evaluated, node.elts))
    return ast.literal_eval(node)
