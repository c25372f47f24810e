"""The command line as a whole: what it loads, how it fails, and that its own examples run."""

import inspect
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import forked
import pytest
from unwrap import unwrapped

from dpplan import __main__ as program
from dpplan import __version__, accounting, commands
from dpplan.commands.shared import accountant_option
from dpplan.commands.shared.lazy_group import LazyGroup

ROOT = Path(__file__).parents[1]
TOP = [name for name in commands.COMMANDS if " " not in name]
EPSILON = ["epsilon", "--sigma", "4", "--q", "0.01", "--steps", "10000", "--delta", "1e-5"]
HEAVY = {"torch", "yaml", "rich", "scipy", "matplotlib", "sklearn"}


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return forked.dpplan(*arguments, cwd=ROOT, **env)


def loaded(*arguments: str) -> set[str]:
    """The top-level modules that a Python process imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True, check=True, text=True, timeout=60, encoding="utf-8",
    )  # fmt: skip
    names = re.findall(r"^import time:[^|]*\|[^|]*\| +(\S+)$", done.stderr, re.MULTILINE)
    return {name.split(".")[0] for name in names}


def below(group: LazyGroup, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, group
    for name in group.summaries:
        command = group.load(name)
        if isinstance(command, LazyGroup):
            yield from below(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(below(program.group, "dpplan"))


def examples() -> Iterator[str]:
    """Every example of every help text, once; training ones as dry runs, and without what they are piped to."""
    for command in COMMANDS.values():
        whole = re.sub(r"\\\n +", "", command.help or "")  # an example that goes on in the next line
        for line in re.findall(r"^  (dpplan .*)$", whole, re.MULTILINE):
            example = line.split("|")[0].strip()
            if "--resume" in example:
                continue  # goes on with a killed run; tests/commands/test_train.py kills one and resumes it
            if "--attack" in example:
                continue  # trains nine models; tests/commands/test_membership_audit.py attacks a small recipe
            trains = example.startswith(("dpplan train", "dpplan tune"))
            dry = " --dry-run" if trains and "--dry-run" not in example else ""
            yield example + dry


EXAMPLES = sorted(set(examples()))
# Seconds each, and run with what is slow: the file that is named runs the command with less. That they can be read is
# tested here.
LONG = {
    "dpplan audit recipes/audit-digits.yaml": "test_audit_command.py",
    "dpplan compare accountants --sigma 4 --q .01 --n 1e4 --epochs 9 --plot a.svg": (
        "test_compare_accountants_command.py"
    ),
    "dpplan compare samplers --sigma 1 --n 10000 --batch 100 --epochs 3": "test_compare_samplers_command.py",
    "dpplan compare samplers --sigma 1 --n 10000 --batch 100 --epochs 3 --cap 150 --groups 4 --without-noise "
    "--plot samplers.svg": "test_compare_samplers_command.py",
    "dpplan compare theorems --sigma 1.1 --n 60000 --batch 256 --epochs 60": "test_compare_theorems_command.py",
    "dpplan frontier --n 6e4 --target-eps 3 --batch 256:4096 --epochs 10,50 --sampling fixed-size": (
        "test_frontier_command.py"
    ),
    "dpplan frontier --n 6e4 --target-eps 3 --batch 256:4096 --epochs 10,50 --adjacency replace-one": (
        "test_frontier_command.py"
    ),
}
# The first of each command runs in a fresh interpreter, where nothing is loaded but by the command itself.
FRESH = {
    next((e for e in EXAMPLES if e.startswith(f"dpplan {name} ") and e not in LONG), None) for name in commands.COMMANDS
}


@pytest.mark.sweep(every=8)
@pytest.mark.parametrize(
    "example", [pytest.param(each, marks=pytest.mark.slow) if each in LONG else each for each in EXAMPLES]
)
def test_every_example_in_the_help_runs(example: str, tmp_path: Path) -> None:
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    if example.startswith("dpplan tune"):  # what the trials cost together takes long to find where one has many steps
        (tmp_path / "recipes").unlink()
        (tmp_path / "recipes").mkdir()
        text = (ROOT / "recipes" / "digits.yaml").read_text(encoding="utf-8")
        short = re.sub(r"(?m)^  epochs: 30 ", "  steps: 1 ", text)
        assert short != text
        (tmp_path / "recipes" / "digits.yaml").write_text(short, encoding="utf-8")
    (tmp_path / "ratings.csv").write_text("user,item\na,1\na,2\nb,3\n", encoding="utf-8")
    (tmp_path / "statement.yaml").write_text("publication_date: 2026-11-28\n", encoding="utf-8")
    run_folder = tmp_path / "runs" / "digits-001"
    run_folder.mkdir(parents=True)
    (run_folder / "report.json").write_bytes((ROOT / "tests" / "data" / "run-report.json").read_bytes())
    _, *arguments = shlex.split(example)
    done = (forked.fresh_dpplan if example in FRESH else forked.dpplan)(*arguments, cwd=tmp_path)
    noted = {
        "train": "note: DP010",  # of the run beside it
        "tune": "note: DP010",
        "report": "note: ",
    }  # of the recipe
    notes = done.stderr.startswith(noted.get(arguments[0], "\0"))
    assert done.returncode == 0 and (notes or not done.stderr)
    if "--json" in arguments:
        assert json.loads(done.stdout)["schema"].startswith(f"dpplan.{arguments[0]}/")
    if "--plot" in arguments:
        assert (tmp_path / arguments[arguments.index("--plot") + 1]).stat().st_size > 0


@pytest.mark.parametrize("example", LONG)
def test_examples_that_run_with_what_is_slow_can_be_read(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert example in EXAMPLES and (ROOT / "tests" / "commands" / LONG[example]).exists()
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    monkeypatch.chdir(tmp_path)
    path = max((path for path in COMMANDS if example.startswith(f"{path} ")), key=len)
    # A command keeps the names of its help option from the first context that it is given.
    COMMANDS[path].make_context(path, shlex.split(example.removeprefix(path)), help_option_names=["-h", "--help"])


def test_every_command_shows_an_example_and_its_exit_statuses() -> None:
    for path, command in COMMANDS.items():
        if path != "dpplan compare":
            assert f"  {path} " in (command.help or ""), path
            assert "Exit status: 0 " in (command.help or ""), path


def test_no_help_is_wider_than_80_columns() -> None:
    for path in COMMANDS:
        shown = run(*path.split()[1:], "--help", COLUMNS="200").stdout
        assert max(map(len, shown.splitlines())) <= 80, path


def test_epsilon_loads_numpy_and_click_and_nothing_heavier() -> None:
    modules = loaded("-m", "dpplan", *EPSILON)
    assert modules & HEAVY == set()
    assert {"numpy", "click", "dpplan"} <= modules


@pytest.mark.parametrize(
    "arguments",
    [
        EPSILON,
        pytest.param(
            ["solve", "--target-eps", "1", "--n", "60000", "--batch", "256", "--epochs", "2"], marks=pytest.mark.slow
        ),
        ["check", "--sigma", "1.1", "--n", "60000", "--batch", "256", "--epochs", "2", "--delta", "1e-6"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_no_figure_waits_for_statistics_or_a_trainer(arguments: list[str]) -> None:
    assert loaded("-m", "dpplan", *arguments) & {"scipy", "torch", "sklearn", "matplotlib"} == set()


def test_the_package_and_the_help_load_next_to_nothing() -> None:
    assert loaded("-c", "import dpplan") & (HEAVY | {"numpy", "click"}) == set()
    assert loaded("-m", "dpplan", "--help") & (HEAVY | {"numpy"}) == set()


@pytest.mark.parametrize("module", ["shutil", "click", "dpplan.commands", "dpplan.lint", "yaml"])
def test_ctrl_c_while_modules_are_loaded_is_one_line(module: str) -> None:
    """Before the command is found, and when it loads what it needs."""
    script = (
        "import runpy, sys\n"
        "class Pressed:\n"
        "    def find_spec(self, name, *_):\n"
        f"        if name == {module!r}: raise KeyboardInterrupt\n"
        f"sys.modules.pop({module!r}, None)\n"
        "sys.meta_path.insert(0, Pressed())\n"
        "sys.argv = ['dpplan', 'check', 'recipes/digits.yaml', '--n', '1437']\n"
        "runpy.run_module('dpplan', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
        encoding="utf-8",
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted.\n")


def test_the_table_of_commands_says_what_the_commands_say() -> None:
    assert {path.removeprefix("dpplan").strip() for path in COMMANDS} - {""} == set(commands.COMMANDS)
    for path, command in COMMANDS.items():
        if path != "dpplan":
            assert (command.name, command.short_help) == (
                path.split()[-1],
                commands.COMMANDS[path.removeprefix("dpplan ")],
            )


def test_every_module_of_commands_is_a_command_and_the_reverse() -> None:
    files = {file.stem for file in Path(commands.__file__).parent.glob("*.py") if file.stem != "__init__"}
    groups = {name for name in commands.COMMANDS if any(other.startswith(f"{name} ") for other in commands.COMMANDS)}
    assert files == {name.replace(" ", "_") for name in commands.COMMANDS if name not in groups}


def test_help_lists_the_commands_in_order() -> None:
    lines = run("--help").stdout.split("Commands:\n")[1].splitlines()
    assert [line.split()[0] for line in lines] == list(TOP)
    assert run().stdout == run("--help").stdout


def test_the_version_is_that_of_the_package() -> None:
    assert run("--version").stdout == f"dpplan {__version__}\n"


def test_accountant_options_are_those_the_accountants_take() -> None:
    takes = {
        option: tuple(
            name
            for name in accounting.ACCOUNTANTS
            if option in inspect.signature(accounting.accountant(name).epsilon).parameters
        )
        for option in accountant_option.TAKERS
    }
    assert {option: set(names) for option, names in takes.items()} == {
        option: set(names) for option, names in accountant_option.TAKERS.items()
    }


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (["epsilonn"], f"'epsilonn' is not a command of dpplan: {', '.join(TOP)}. "
                       "Did you mean 'epsilon'?"),
        (["version"], f"'version' is not a command of dpplan: {', '.join(TOP)}. dpplan --version tells the version."),
        (["compare", "acountants"], "'acountants' is not a command of dpplan compare: accountants, theorems, samplers, "
                                    "units, tuning, plans. "
                                    "Did you mean 'accountants'?"),
        (["epsilon", "--sgma", "3"], "--sgma is not an option of dpplan epsilon. Did you mean '--sigma'?"),
        (["epsilon", "--zzz"], "--zzz is not an option of dpplan epsilon. See dpplan epsilon --help."),
        (["train"], "RECIPE is missing: name a recipe file, or a run to go on with (--resume RUN_FOLDER)."),
        (["train", "x.yaml", "--device", "tpu"], "--device: 'tpu' is not one of 'auto', 'cpu', 'cuda', 'mps'."),
        (["train", "x.yaml", "--device", "gpu"], "--device: 'gpu' is not one of auto, cpu, cuda, mps. Did you mean "
                                                 "'cuda'?"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_told_in_one_line(call: list[str], message: str) -> None:
    done = run(*call)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


def test_what_nobody_foresaw_is_one_line_and_status_4(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("far away")

    monkeypatch.setattr(accounting, "epsilon", fail)
    monkeypatch.delenv("DPPLAN_TRACEBACK", raising=False)
    assert program.run(EPSILON) == 4
    err = unwrapped(capsys.readouterr().err)
    assert err.startswith("internal error: ZeroDivisionError: far away.")
    assert len(err.splitlines()) == 1
    monkeypatch.setenv("DPPLAN_TRACEBACK", "1")
    assert program.run(EPSILON) == 4
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_status_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(accounting, "epsilon", interrupt)
    assert program.run(EPSILON) == 130
    assert capsys.readouterr().err == "error: interrupted.\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "dpplan", *EPSILON], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 128 + signal.SIGPIPE


def test_a_screen_without_greek_letters_still_gets_the_answer() -> None:
    done = forked.fresh_dpplan(*EPSILON, cwd=ROOT, PYTHONIOENCODING="latin-1")
    assert done.returncode == 0
    assert done.stdout.startswith("eps = 0.946867 at delta = 1e-05 ")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("dpplan ", set(TOP)),
        ("dpplan compare ", {"accountants", "theorems", "samplers", "units", "tuning", "plans"}),
        ("dpplan epsilon --accountant ", {*accounting.ACCOUNTANTS, "all"}),
        ("dpplan epsilon --noise", {"--noise-multiplier"}),
    ],
)
def test_the_shell_completes(words: str, offered: set[str]) -> None:
    count = str(len(words.split(" ")) - 1)
    done = run(_DPPLAN_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=count)
    assert {line.split(",")[1] for line in done.stdout.splitlines()} == offered


@pytest.mark.parametrize(("env", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_on_a_terminal_the_guarantee_is_coloured_unless_asked_not_to(env: dict[str, str], coloured: bool) -> None:
    import pty

    parent, child = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    done = subprocess.run(
        [sys.executable, "-m", "dpplan", *EPSILON, "--accountant", "all"],
        stdout=child, check=True, cwd=ROOT, timeout=60, env={**clean, "TERM": "xterm-256color", **env},
    )  # fmt: skip
    os.close(child)
    shown = os.read(parent, 65536).decode()
    os.close(parent)
    assert done.returncode == 0
    assert ("\x1b[32mcertified" in shown, "\x1b[31munder-reports" in shown) == (coloured, coloured)


def test_nothing_is_looked_for_to_be_freed_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """With torch loaded that took seconds, in which a call that was done or interrupted did not end."""
    frozen: list[bool] = []
    monkeypatch.setattr(program.gc, "freeze", lambda: frozen.append(True))
    monkeypatch.setattr(program, "_main", lambda: 3)
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert frozen == [True] and ended.value.code == 3
