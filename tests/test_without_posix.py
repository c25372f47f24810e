"""Planning where the system is not POSIX: no fcntl, no os.fork, no resource, nothing of os that Windows lacks.

One process without them runs the planning commands.
"""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Modules that Windows does not have, and functions and flags of os and signal that it lacks.
MODULES = ("fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty")
FUNCTIONS = (
    "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "chown", "fchmod", "fchown", "fork", "forkpty", "getegid",
    "geteuid", "getgid", "getgroups", "getloadavg", "getpgid", "getuid", "killpg", "mkfifo", "openpty", "posix_spawn",
    "pread", "pwrite", "sched_getaffinity", "sendfile", "setsid", "statvfs", "sysconf", "uname", "wait3",
)  # fmt: skip
SIGNALS = (
    "SIGALRM",
    "SIGHUP",
    "SIGKILL",
    "SIGPIPE",
    "SIGQUIT",
    "SIGTSTP",
    "SIGUSR1",
    "SIGWINCH",
    "alarm",
    "pthread_kill",
)
# Put in front of what a process runs. Python's own modules are loaded first: they know both kinds of system.
WITHOUT = f"""
import click, concurrent.futures, concurrent.futures.process, ctypes, inspect, multiprocessing, os, platform, pathlib, \
    random, signal, socket, subprocess, sys, tempfile, threading, uuid
import numpy, yaml
import rich.console, rich.progress, rich.table
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {MODULES!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
for name in {MODULES!r}: sys.modules.pop(name, None)
sys.meta_path.insert(0, Absent())
for name in {FUNCTIONS!r}:
    if hasattr(os, name): delattr(os, name)
for name in {SIGNALS!r}:
    if hasattr(signal, name): delattr(signal, name)
"""
RUN = f"""{WITHOUT}
import json
from dpplan import __main__ as program
lines = json.loads(sys.argv[1])
for line in lines:
    print("$ dpplan", line, flush=True)
    print("status", program.run(line.split()), flush=True)
"""
PLAN = "--sigma 1.1 --n 60000 --batch 256 --epochs 60"
# What is typed -> what has to be printed. The order matters: a file that one writes, another reads.
LINES = {
    f"epsilon {PLAN}": "ε = 2.69677 at δ = 1e-06",
    f"epsilon {PLAN} --spent sigma=2,q=0.01,steps=50": "spent before",
    "compare accountants --sigma 4 --q 0.01 --steps 100 --delta 1e-5": "under-reports",
    "frontier --target-eps 3 --n 60000 --batch 256,512 --epochs 5 --csv cells.csv": "noise-batch ratio",
    "curve --over steps --to 100 --points 3 --sigma 4 --q 0.01 --delta 1e-5": "certified",
    f"check {PLAN.replace('256', '250')} --adjacency zero-out": "rules find nothing",
    "recipes copy digits": "written",
    "verify claim.json": "1 claim, 1 stands",
    "help limits": "One example is protected",
}


def test_planning_needs_nothing_of_posix(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    (tmp_path / "digits.yaml").write_bytes((ROOT / "recipes/digits.yaml").read_bytes())
    claim = subprocess.run(
        [sys.executable, "-m", "dpplan", *f"epsilon {PLAN} --json".split()],
        capture_output=True, check=True, timeout=120, env=environment,
    )  # fmt: skip
    (tmp_path / "claim.json").write_bytes(claim.stdout)
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(list(LINES))],
        cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=False, timeout=300, env=environment,
    )  # fmt: skip
    answers = done.stdout.split("$ dpplan ")[1:]
    assert [answer.partition("\n")[0] for answer in answers] == list(LINES), done.stderr
    for answer, expected in zip(answers, LINES.values(), strict=True):
        assert expected in answer, answer + done.stderr
        assert answer.endswith("status 0\n"), answer + done.stderr


def test_without_them_is_really_without_them(tmp_path: Path) -> None:
    """So that the tests above show something: an import of fcntl fails there, and so does os.fork."""
    script = f"{WITHOUT}\ntry:\n    import fcntl\nexcept ImportError:\n    print(hasattr(os, 'fork'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_nothing_outside_train_imports_them_unguarded() -> None:
    """An import at the top of a module of the planning path would end every command on Windows."""
    wrong = []
    for file in (ROOT / "dpplan").rglob("*.py"):
        if "train" in file.relative_to(ROOT / "dpplan").parts[:-1]:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong += [f"{file.name}:{node.lineno} {name}" for name in names if name.split(".")[0] in MODULES]  # type: ignore[attr-defined]
    assert [each for each in wrong if not each.startswith("durable_files.py")] == []  # there in a `suppress`
    assert len(wrong) == 1
