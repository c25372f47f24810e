"""An accountant describes itself once: a toy one, from outside the package, is seen by all that lists accountants."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dpplan import accounting
from dpplan.accounting import ACCOUNTANTS
from dpplan.accounting.accountant_description import AccountantOption, description_of
from dpplan.checks import Problems

ROOT = Path(__file__).parents[2]
CALL = ["--sigma", "4", "--q", "1", "--steps", "10", "--delta", "1e-5"]
TOY = '''
"""A bound that is true of nothing, with everything an accountant has."""

from dpplan.accounting.bound import Bound, Guarantee
from dpplan.accounting.accountant_description import AccountantOption, Description

DESCRIPTION = Description(
    name="toy",
    caption="multiplies the steps",
    guarantee="upper",
    use="in tests",
    source="nobody",
    supports="every plan",
    colour="#123456",
    note="{toy_factor} times the steps",
    options=(AccountantOption("toy_factor", "What {takers} multiplies the steps by.", remedy="2 is common."),),
    published=2030,
)


def epsilon(plan, delta, *, toy_factor=2):
    return _bound("epsilon", toy_factor * plan.steps, plan, toy_factor)


def delta(plan, epsilon, *, toy_factor=2):
    return _bound("delta", 1.0, plan, toy_factor)


def _bound(quantity, upper, plan, toy_factor):
    details = {"toy_factor": toy_factor}
    return Bound(quantity, None, upper, Guarantee.UPPER, "toy", plan.assumptions, "a product", details=details)
'''
# One line in ACCOUNTANTS, and then the command line as it is.
WITH_TOY = """
import sys
from dpplan import accounting
accounting.ACCOUNTANTS["toy"] = "toy_accountant"
from dpplan.__main__ import run
sys.exit(run(sys.argv[1:]))
"""


def python(script: str, *arguments: str, path: Path, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", script, *arguments],
        cwd=path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": f"{path}{os.pathsep}{ROOT}"},
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
        encoding="utf-8",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("toy")
    (path / "toy_accountant.py").write_text(TOY, encoding="utf-8")
    return path


def test_a_toy_accountant_is_asked_by_name_with_its_own_option(folder: Path) -> None:
    done = python(WITH_TOY, "epsilon", *CALL, "--accountant", "toy", "--toy-factor", "3", path=folder)
    assert done.stdout.startswith("ε ≤ 30 at δ = 1e-05"), done.stderr
    wrong = python(WITH_TOY, "epsilon", *CALL, "--accountant", "toy", "--toy-factor", "0.5", path=folder)
    assert (wrong.returncode, wrong.stderr) == (
        2,
        "error: toy_factor=0.5 is not a whole number of at least 1. 2 is common.\n",
    )
    other = python(WITH_TOY, "epsilon", *CALL, "--toy-factor", "3", path=folder)
    assert other.stderr.startswith("error: --toy-factor is for toy, and the accountant is exact.")


def test_help_names_a_toy_accountant_and_what_it_takes(folder: Path) -> None:
    shown = " ".join(python(WITH_TOY, "epsilon", "--help", path=folder).stdout.split())
    assert "basic|toy|all]" in shown
    assert "--toy-factor COUNT What toy multiplies the steps by." in shown
    listed = python(WITH_TOY, "help", "accountants", path=folder).stdout
    assert "toy  multiplies the steps" in listed


@pytest.mark.slow
def test_a_toy_accountant_is_compared_and_drawn_in_its_colour(folder: Path) -> None:
    pytest.importorskip("matplotlib")
    done = python(WITH_TOY, "compare", "accountants", *CALL, "--plot", "toy.svg", path=folder)
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("toy ")]
    assert (row.split()[1], row.rstrip().endswith("2 times the steps")) == ("20", True)
    assert "#123456" in (folder / "toy.svg").read_text(encoding="utf-8")


def test_a_toy_theorem_stands_where_it_was_published(folder: Path) -> None:
    done = python(WITH_TOY, "compare", "theorems", *CALL, path=folder)
    assert done.stdout.splitlines()[1].split()[:8] == [
        "steps", "basic", "advanced", "optimal", "moments", "rdp", "toy", "exact",
    ]  # fmt: skip


@pytest.mark.sweep(every=4)
@pytest.mark.parametrize("name", ACCOUNTANTS)
def test_a_description_read_from_source_is_that_of_the_module(name: str) -> None:
    script = (
        "from dpplan.accounting.accountant_description import description_of\n"
        f"print(repr(description_of({ACCOUNTANTS[name]!r})))\n"
    )
    loaded = accounting.accountant(name).DESCRIPTION
    assert python(script, path=ROOT).stdout == f"{loaded!r}\n"
    assert accounting.describe(name) == description_of(ACCOUNTANTS[name]) == loaded
    assert loaded.name == name


@pytest.mark.parametrize("name", ACCOUNTANTS)
def test_the_options_that_are_described_are_those_that_are_taken(name: str) -> None:
    module = accounting.accountant(name)
    for function in (module.epsilon, module.delta):
        parameters = inspect.signature(function).parameters
        taken = [each for each in parameters if parameters[each].kind is inspect.Parameter.KEYWORD_ONLY]
        assert taken == [option.name for option in module.DESCRIPTION.options]


def test_an_option_that_several_take_is_described_alike_by_all() -> None:
    options: dict[str, set[AccountantOption]] = {}
    for name in ACCOUNTANTS:
        for option in accounting.describe(name).options:
            options.setdefault(option.name, set()).add(option)
    assert {name: len(found) for name, found in options.items()} == {"accuracy": 1, "conversion": 1, "max_lambda": 1}


def test_colours_tell_accountants_apart() -> None:
    colours = {accounting.describe(name).colour for name in ACCOUNTANTS}
    assert len(colours) == len(ACCOUNTANTS)
    assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour in colours)


def test_help_imports_no_accountant() -> None:
    script = "import sys\nfrom dpplan.__main__ import run\nrun(sys.argv[1:])\nprint(*sys.modules)"
    modules = set(python(script, "epsilon", "--help", path=ROOT).stdout.split())
    assert "dpplan.commands.epsilon" in modules
    assert modules & {*ACCOUNTANTS.values()} == set()


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        (AccountantOption("conversion", "", ("cks", "classic")), "cks", []),
        (
            AccountantOption("conversion", "", ("cks", "classic")),
            "new",
            ["conversion=new is not one of: cks, classic."],
        ),
        (AccountantOption("most", ""), 3, []),
        (AccountantOption("most", "", remedy="Try 32."), 0, ["most=0 is not a whole number of at least 1. Try 32."]),
        (AccountantOption("most", ""), "many", ["most=many is not a whole number of at least 1."]),
    ],
)
def test_a_value_is_checked_by_the_option(option: AccountantOption, value: object, told: list[str]) -> None:
    problems = Problems()
    option.check(problems, value)
    assert problems.found == told


def test_the_example_of_contributing_is_the_toy_accountant() -> None:
    (example,) = re.findall(
        r"```python\n(DESCRIPTION = .*?)\n```", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert example in TOY
