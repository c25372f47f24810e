"""Work in several processes is the same work, and is done here where there are none."""

import os
import signal
import subprocess
import sys
import time

import pytest

from dpplan import curve, processes
from dpplan.plan import Settings

NUMBERS = (1.0, 2.0, 3.0, 4.0, 5.0)
SETTINGS = Settings(noise_multiplier=1.0, steps=100)
RATES = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05)


def _where(number: float) -> tuple[float, int]:
    return 2 * number, os.getpid()


def test_every_task_is_done_once_and_elsewhere():
    found = dict(processes.spread(_where, iter(NUMBERS), 2))
    assert {task: result for task, (result, _) in found.items()} == {number: 2 * number for number in NUMBERS}
    assert os.getpid() not in {pid for _, pid in found.values()}


def test_this_process_may_be_one_of_them():
    found = dict(processes.spread(_where, iter(NUMBERS), 2, here=True))
    assert {task: result for task, (result, _) in found.items()} == {number: 2 * number for number in NUMBERS}
    assert os.getpid() in {pid for _, pid in found.values()}
    assert len({pid for _, pid in found.values()}) == 2


def test_tasks_are_drawn_as_processes_are_free():
    drawn = []

    def tasks():
        for number in NUMBERS:
            drawn.append(number)
            yield number

    results = processes.spread(_where, tasks(), 2)
    next(results)
    assert len(drawn) <= 3
    assert len(list(results)) == len(NUMBERS) - 1


@pytest.mark.parametrize("failure", [ImportError, NotImplementedError, OSError])
def test_without_processes_all_is_done_here(monkeypatch, failure):
    def none(*_, **__):
        raise failure("no semaphores here")

    monkeypatch.setattr(processes, "ProcessPoolExecutor", none)
    assert {pid for _, (_, pid) in processes.spread(_where, iter(NUMBERS), 2)} == {os.getpid()}


def _ends_others(parent: int) -> int:
    if os.getpid() != parent:
        os._exit(1)
    return parent


def test_processes_that_end_leave_their_tasks_to_this_one():
    own = os.getpid()
    assert [result for _, result in processes.spread(_ends_others, iter([own] * 4), 2)] == [own] * 4


def test_a_curve_is_the_same_in_several_processes(monkeypatch):
    alone = curve.against(SETTINGS, "q", RATES, 1e-5)
    monkeypatch.setattr(curve, "PATIENCE", 0.0)
    with processes.allow(2):
        spread = curve.against(SETTINGS, "q", RATES, 1e-5)
    assert spread.x == alone.x
    for one, other in zip(alone.series["exact"], spread.series["exact"], strict=True):
        assert (one.lower, one.upper, one.why, dict(one.details)) == (
            other.lower,
            other.upper,
            other.why,
            dict(other.details),
        )


def _running() -> dict[int, int]:
    """Process -> its parent."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return {int(pid): int(parent) for pid, parent, state in rows if not state.startswith("Z")}


def test_an_interrupt_leaves_no_processes():
    axis = ["--over", "q", "--from", "1e-6", "--to", "4e-5", "--points", "600"]
    call = [sys.executable, "-m", "dpplan", "curve", *axis, "--sigma", "1", "--steps", "1000", "--delta", "1e-5"]
    run = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children: set[int] = set()
    begun = time.monotonic()
    while len(children) < 2 and time.monotonic() - begun < 60:
        time.sleep(0.2)
        children = {pid for pid, parent in _running().items() if parent == run.pid}
    assert len(children) >= 2
    while run.poll() is None and time.monotonic() - begun < 100:  # who sees nothing happen presses Ctrl-C again
        run.send_signal(signal.SIGINT)
        time.sleep(2.0)
    assert run.wait(20) != 0
    while children & set(_running()) and time.monotonic() - begun < 120:
        time.sleep(0.1)
    assert not children & set(_running())
