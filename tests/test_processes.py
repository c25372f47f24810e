"""Work in several processes is the same work, and is done here where there are none."""

import contextlib
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

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


def test_a_process_may_be_given_tasks_ahead():
    drawn = []

    def tasks():
        for number in NUMBERS:
            drawn.append(number)
            yield number

    results = processes.spread(_where, tasks(), 2, here=True, ahead=3)
    next(results)
    assert drawn[:4] == [1.0, 2.0, 3.0, 4.0]  # three elsewhere, and one here
    assert len(list(results)) == len(NUMBERS) - 1


def _loaded(_: float) -> bool:
    return "of this process alone" in sys.modules


@pytest.mark.parametrize("alone", [True, False])
def test_other_processes_are_forks_where_this_one_has_no_other_thread(monkeypatch, alone):
    monkeypatch.setitem(sys.modules, "of this process alone", sys)
    monkeypatch.setattr(processes, "quick", lambda: alone)  # whatever threads the tests have: these only wait
    assert [found for _, found in processes.spread(_loaded, iter(NUMBERS), 2)] == [alone] * len(NUMBERS)


def test_a_thread_of_any_kind_keeps_a_process_from_being_forked():
    ask = "import sys, threading; from dpplan import processes; print(processes.quick(), end=' ');"
    ask += "event = threading.Event(); thread = threading.Thread(target=event.wait); thread.start();"
    ask += "print(processes.quick()); event.set(); thread.join()"
    told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
    assert told.stdout.split() == [str(sys.platform == "linux"), "False"]


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


class _Interrupts:
    """A profile that presses Ctrl-C once, at the first or the numbered moment that it is to watch for.

    handler: who hears it; Python's own, also where the tests were started in the background and ignore it.
    """

    def __init__(
        self, watched: Callable[[FrameType, str], bool], number: int = 1, handler: Any = signal.default_int_handler
    ) -> None:
        self.watched, self.number, self.handler, self.seen = watched, number, handler, 0

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        if self.watched(frame, event):
            self.seen += 1
            if self.seen == self.number:
                os.kill(os.getpid(), signal.SIGINT)


def _interrupted(interrupts: _Interrupts) -> bool:
    """Whether an interrupt ends work in two processes, of which this is one, and leaves no other behind."""
    before = set(multiprocessing.active_children())
    handler = signal.signal(signal.SIGINT, interrupts.handler)
    sys.setprofile(interrupts)
    try:
        list(processes.spread(math.sqrt, iter(NUMBERS), 2, here=True))
    except KeyboardInterrupt:
        heard = True
    else:
        heard = False
    finally:
        sys.setprofile(None)
        signal.signal(signal.SIGINT, handler)
        begun = time.monotonic()
        while (left := set(multiprocessing.active_children()) - before) and time.monotonic() - begun < 20:
            time.sleep(0.02)
        for process in left:
            process.kill()  # else the one that ran this test would wait for it at its end
    assert not left
    return heard


MOMENTS = {
    "the pool is made": ("concurrent/futures/process.py", "__init__", "return"),
    "a process is about to start": (("popen_spawn_posix.py", "popen_fork.py"), "_launch", "call"),
    "a process has started and is not on the list": ("multiprocessing/process.py", "start", "return"),
    "the thread that manages them starts": ("threading.py", "start", "call"),
    "a lock is taken": ("threading.py", "__enter__", "c_return"),
    "the pool is shut": ("concurrent/futures/process.py", "shutdown", "call"),
}


@pytest.mark.parametrize("forked", [True, False])
@pytest.mark.parametrize("moment", MOMENTS)
def test_an_interrupt_is_heard_whatever_the_pool_is_at(moment, forked, monkeypatch, capfd):
    monkeypatch.setattr(processes, "quick", lambda: forked)
    file, function, event = MOMENTS[moment]

    def watched(frame, now):
        code = frame.f_code
        return now == event and code.co_name == function and code.co_filename.endswith(file)

    assert _interrupted(_Interrupts(watched))
    assert capfd.readouterr().err == ""  # nor does a process that nobody waits for print what became of it


@pytest.mark.slow
@pytest.mark.parametrize("forked", [True, False])
def test_an_interrupt_is_heard_at_every_moment(forked, monkeypatch):
    monkeypatch.setattr(processes, "quick", lambda: forked)

    def watched(frame, now):
        return any(part in frame.f_code.co_filename for part in ("concurrent/futures", "multiprocessing", "threading"))

    counting = _Interrupts(watched, 0)
    assert not _interrupted(counting)
    for number in range(1, counting.seen, 3):
        interrupts = _Interrupts(watched, number)
        # Which moments there are differs a little from run to run; an interrupt that never came was not to be heard.
        assert _interrupted(interrupts) or interrupts.seen < number, number


def test_who_ignores_interrupts_goes_on_ignoring_them():
    heard = []

    def watched(frame, now):
        return frame.f_code.co_name == "_launch"

    assert not _interrupted(_Interrupts(watched, handler=signal.SIG_IGN))
    assert not _interrupted(_Interrupts(watched, handler=lambda *_: heard.append(True)))
    assert heard == [True]


@contextlib.contextmanager
def _listening() -> Iterator[None]:
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def test_one_interrupt_ends_the_command_and_its_processes(tmp_path):
    axis = ["--over", "q", "--from", "1e-6", "--to", "4e-5", "--points", "600"]
    call = [sys.executable, "-m", "dpplan", "curve", *axis, "--sigma", "1", "--steps", "1000", "--delta", "1e-5"]
    told = tmp_path / "told"
    with told.open("wb") as stderr, _listening():  # which is inherited
        run = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True)
    children: set[int] = set()
    begun = time.monotonic()
    while not children and time.monotonic() - begun < 60:
        time.sleep(0.02)
        children = {pid for pid, parent in _running().items() if parent == run.pid}
    assert children
    time.sleep(0.2)
    os.killpg(run.pid, signal.SIGINT)  # to all of them, as a terminal does it, while some are still loading
    assert run.wait(60) == 130
    assert told.read_text() == "error: interrupted.\n"
    while children & set(_running()) and time.monotonic() - begun < 120:
        time.sleep(0.1)
    assert not children & set(_running())
