"""What docstrings, comments and CONTRIBUTING.md name is there: files, modules, whatever is written like a name."""

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest
from test_layers import ROOT, modules, tracked

DOCUMENTS = [ROOT / "CONTRIBUTING.md"]
# What an example makes up, a name of a library that benchmarks compare with, and a symbol of a paper.
MADE_UP = {"my_recipe", "trace_autograd_ops", "eta_C"}


@cache
def sources() -> dict[Path, str]:
    files = [path for path in tracked() if path.suffix == ".py" and path.parts[0] in {"dpplan", "tests"}]
    return {path: (ROOT / path).read_text(encoding="utf-8") for path in files}


def definitions(body: Sequence[ast.stmt]) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    """Classes and functions among these statements, at any depth."""
    for statement in body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            yield statement
        for part in ("body", "orelse", "handlers", "finalbody"):
            yield from definitions(getattr(statement, part, ()))


@cache
def docstrings(path: Path) -> list[tuple[int, ast.Constant]]:
    found, module = [], ast.parse(sources()[path])
    for node in (module, *definitions(module.body)):
        first = node.body[0] if node.body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            found.append((first.lineno, first.value))
    return found


@cache
def prose() -> list[tuple[str, str]]:
    """Where, and what is said there: every docstring and comment, and the documents but for examples in Python."""
    documents = {document.name: document.read_text(encoding="utf-8") for document in DOCUMENTS}
    found = [(name, re.sub("```python.*?```", "", text, flags=re.DOTALL)) for name, text in documents.items()]
    for path, text in sources().items():
        found += [(f"{path}:{line}", str(constant.value)) for line, constant in docstrings(path)]
        comments = [(number, line.partition("# ")[2]) for number, line in enumerate(text.splitlines(), start=1)]
        found += [(f"{path}:{number}", comment) for number, comment in comments if comment]
    return found


@cache
def names() -> set[str]:
    """Every word of the code and of its strings, but not of docstrings and comments, and every part of a path."""
    found = {part for path in tracked() for part in (path.stem, *path.parts)}
    for path, text in sources().items():
        lines = [line.partition("# ")[0] for line in text.split("\n")]
        for first, constant in docstrings(path):
            lines[first - 1 : constant.end_lineno] = [""] * ((constant.end_lineno or first) - first + 1)
        found.update(re.findall(r"\w+", "\n".join(lines)))
    return found


def test_files_that_are_named_exist() -> None:
    ends = {"/".join(path.parts[start:]) for path in tracked() for start in range(len(path.parts))}
    wrong = [
        f"{place}: {name}"
        for place, said in prose()
        for name in re.findall(r"[\w/]*\w\.py\b", said)
        if name not in names() and name not in ends
    ]
    assert wrong == []


def test_modules_that_are_named_exist() -> None:
    """A dotted path from the package leads to a module, or to something in one."""
    wrong = [
        f"{place}: {name}"
        for place, said in prose()
        for name in re.findall(r"\bdpplan(?:\.[A-Za-z_]\w*)+", said)
        if name not in modules()
        and (name.rpartition(".")[0] not in modules() or name.rpartition(".")[2] not in names())
    ]
    assert wrong == []


def test_what_is_written_like_a_name_is_one() -> None:
    """With an underscore, or in backquotes: somewhere in the code. x_i and iu_k are indices of a formula."""
    wrong = []
    for place, said in prose():
        marked = {part for name in re.findall(r"`([A-Za-z_][\w.]*)(?:\([^`]*\))?`", said) for part in name.split(".")}
        snake = {word for word in re.findall(r"\b[a-z]\w*_\w+\b", said) if not re.fullmatch(r"[a-z]_.*|.*_[a-z]", word)}
        wrong += [f"{place}: {name}" for name in sorted((marked | snake) - names() - MADE_UP)]
    assert wrong == []


FOLDERS = [name for name, file in modules().items() if file.name == "__init__.py"]


@pytest.mark.parametrize("package", FOLDERS)
def test_a_table_of_a_folder_lists_what_is_in_it(package: str) -> None:
    """Rows of `name   what it is`, three or more, in the docstring of a folder."""
    table = re.findall(r"^    ([a-z][\w/]*) {2,}\S", ast.get_docstring(tree_of(package)) or "", re.MULTILINE)
    if len(table) >= 3:
        assert [name for name in table if f"{package}.{name.rstrip('/').replace('/', '.')}" not in modules()] == []


def tree_of(package: str) -> ast.Module:
    return ast.parse(modules()[package].read_text(encoding="utf-8"))
