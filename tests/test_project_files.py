"""The files around the package agree with it: workflows, hooks, what is built, how it is cited."""

import ast
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import package
import pytest
import yaml
from test_without_posix import MODULES as POSIX

from dpplan import __version__

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
# What Python's own and GitHub's labels are called that the checks run on.
RUNNERS = {"ubuntu-24.04", "ubuntu-24.04-arm", "macos-15", "windows-2025"}


def read(file: Path) -> dict[Any, Any]:
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert isinstance(content, dict), file
    return content


def workflow(name: str) -> dict[Any, Any]:
    return read(ROOT / ".github/workflows" / f"{name}.yml")


def steps(content: dict[Any, Any]) -> list[dict[str, Any]]:
    return [step for job in content["jobs"].values() for step in job["steps"]]


(WINDOWS_RUN,) = [
    step["run"] for step in workflow("check")["jobs"]["windows"]["steps"] if "-m pytest" in step.get("run", "")
]


@cache
def windows_tests() -> dict[Path, ast.Module]:
    """The files of tests that run on Windows."""
    paths = [ROOT / path for path in re.findall(r"tests/[\w/.]+", WINDOWS_RUN)]
    files = [file for path in paths for file in ([path] if path.suffix else sorted(path.rglob("test_*.py")))]
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """The modules that these import, and what is taken from packages, by their full names."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def supported() -> list[str]:
    """The versions of Python that the package says it works with."""
    return [each.rpartition(" ")[2] for each in PROJECT["classifiers"] if re.search(r"Python :: 3\.\d+$", each)]


def test_the_lowest_python_is_the_same_everywhere() -> None:
    (lowest, *_) = supported()
    assert PROJECT["requires-python"] == f">={lowest}"
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert settings["ruff"]["target-version"] == f"py{lowest.replace('.', '')}"
    assert f"Python {lowest} or newer" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"({lowest.replace('.', ', ')})" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_every_python_and_every_system_is_tested() -> None:
    jobs = workflow("check")["jobs"]
    matrix = jobs["all"]["strategy"]["matrix"]
    assert matrix["python"] == supported()
    systems = {*matrix["os"], *(each["os"] for each in matrix["include"]), jobs["windows"]["runs-on"]}
    assert systems == RUNNERS
    assert set(jobs["windows"]["strategy"]["matrix"]["python"]) == {supported()[0], supported()[-1]}


def test_the_lowest_versions_are_those_that_are_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    declared = [
        *PROJECT["dependencies"],
        *(name for extra in ("files", "plot", "prove", "report", "train") for name in extras[extra]),
    ]
    job = workflow("check")["jobs"]["lowest"]
    assert sorted(job["env"]["LOWEST"].split()) == sorted(package.lowest(declared))
    told = dict(each.split("==") for each in package.lowest(declared))
    assert f"numpy {told['numpy']}" in job["name"]
    assert f"torch {told['torch']}" in job["name"]


def test_a_requirement_without_a_lowest_version_is_refused() -> None:
    assert package.lowest(["numpy>=1.26", "scikit-learn >= 1.4"]) == ["numpy==1.26", "scikit-learn==1.4"]
    with pytest.raises(ValueError, match="no lowest version is given: scipy"):
        package.lowest(["numpy>=1.26", "scipy"])


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_a_workflow_is_pinned_and_may_do_no_more_than_it_needs(file: Path) -> None:
    text, content = file.read_text(encoding="utf-8"), read(file)
    assert content["permissions"] == {"contents": "read"}
    assert "secrets." not in text
    for job in content["jobs"].values():
        assert "timeout-minutes" in job
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
    for used in re.findall(r"uses: (.*)", text):
        # The one that publishes is to be taken from its authors' branch of releases, as they ask.
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+|pypa/gh-action-pypi-publish@release/v1", used), (
            used
        )


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_what_a_workflow_runs_is_there(file: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for step in steps(read(file)):
        line = step.get("run", "")
        if line.startswith("make "):
            assert set(line.split()[1:]) <= targets, line
        for path in re.findall(r"(?<![\w/.])tests/[\w/.]+", line):
            assert (ROOT / path).exists(), path
        for extras in re.findall(r"\.\[([\w,]+)\]", line):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"]), line


def test_the_tests_that_run_on_windows_can_be_loaded_there() -> None:
    """No module that Windows lacks is imported at the top of one; what one test needs, it imports itself."""
    for file, tree in windows_tests().items():
        assert imported(tree.body) & {*POSIX, "forked"} == set(), file


def test_a_test_that_windows_cannot_run_says_so() -> None:
    """By itself or through a function of its file it loads what Windows lacks, and is marked."""
    marked = 0
    for file, tree in windows_tests().items():
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        lacking = {each.name for each in functions if imported(ast.walk(each)) & {*POSIX, "forked"}}
        for each in functions:
            called = {node.func.id for node in ast.walk(each) if isinstance(node, ast.Call)
                      and isinstance(node.func, ast.Name)}  # fmt: skip
            if each.name.startswith("test_") and {each.name, *called} & lacking:
                assert any(ast.unparse(mark) == "pytest.mark.posix" for mark in each.decorator_list), (file, each.name)
                marked += 1
    assert marked >= 4
    assert "not posix" in WINDOWS_RUN


def test_windows_has_what_its_tests_load() -> None:
    """Of the extras; and dpplan's own proofs load flint."""
    (line,) = [step["run"] for step in workflow("check")["jobs"]["windows"]["steps"] if "pip install" in str(step)]
    extras = set(re.findall(r"\.\[([\w,]+)\]", line)[0].split(","))
    of = {"flint": "prove", "matplotlib": "plot", "jinja2": "report", "torch": "train", "sklearn": "train"}
    for file, tree in windows_tests().items():
        loaded = imported(tree.body)
        needed = {of[name] for name in loaded & set(of)}
        needed |= {"prove"} if any(name.startswith("dpplan.accounting.exact.prove") for name in loaded) else set()
        assert needed <= extras, file


def test_a_release_is_checked_attested_and_published_without_a_secret() -> None:
    content = workflow("release")
    assert content[True] == {"push": {"tags": ["v[0-9]*"]}}  # YAML takes `on` for true
    build, publish = content["jobs"]["build"], content["jobs"]["publish"]
    runs = [step["run"] for step in build["steps"] if "run" in step]
    assert any("GITHUB_REF_NAME#v" in line and "dpplan/__init__.py" in line for line in runs)
    assert "make check" in runs
    assert any("attest-build-provenance" in step.get("uses", "") for step in build["steps"])
    assert build["permissions"] == {"contents": "read", "id-token": "write", "attestations": "write"}
    assert publish["permissions"] == {"id-token": "write"}
    assert (publish["needs"], publish["environment"]["name"]) == ("build", "pypi")


def test_the_tag_is_held_against_the_version_as_sed_reads_it() -> None:
    (command,) = [step["run"] for step in steps(workflow("release")) if "GITHUB_REF_NAME" in step.get("run", "")]
    pattern = re.search(r"s/\^(.*?)\\\(", command)
    assert pattern
    assert f'{pattern[1]}{__version__}"' in (ROOT / "dpplan/__init__.py").read_text(encoding="utf-8").splitlines()


def test_hooks_run_what_is_there() -> None:
    content = read(ROOT / ".pre-commit-config.yaml")
    hooks = [hook for repository in content["repos"] for hook in repository["hooks"]]
    development = " ".join(PROJECT["optional-dependencies"]["dev"])
    for hook in hooks:
        tool = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert tool == "python" or tool in development, tool
        for path in re.findall(r"tests/\w+\.py", hook["entry"]):
            assert (ROOT / path).exists(), path
    assert {hook["id"] for hook in hooks} == {"ruff-format", "ruff-check", "mypy", "documents"}


def test_it_is_cited_as_what_it_is() -> None:
    citation = read(ROOT / "CITATION.cff")
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type"} <= set(citation)
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    assert set(citation["keywords"]) == set(PROJECT["keywords"])


def test_what_whoever_installs_it_tries_first_is_what_the_readme_shows() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for command, expected in package.COMMANDS[:2]:
        assert f"$ dpplan {command}\n{expected}" in text


def test_the_security_policy_tells_what_to_send() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for word in ("false certificate", "Privately", "--json", "--prove", "dpplan verify", "within a week"):
        assert word in text, word


def test_the_demo_shows_an_epsilon_before_torch_is_installed() -> None:
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    demo = rules[rules.index("\ndemo:") : rules.index("\ntest:")]
    assert demo.startswith("\ndemo: $(VENV)/.plan\n\t$(BIN)/dpplan epsilon")
    assert demo.index("dpplan epsilon") < demo.index("$(VENV)/.train") < demo.index("dpplan train")
    plan = rules[rules.index("\n$(VENV)/.plan:") : rules.index("\n$(VENV)/.train:")]
    assert " -e .\n" in plan
    assert "torch" not in plan.lower()
