"""Work spread over processes, or done in this one where that cannot be.

A task is drawn when a process is free, so that it may rest on what is known by then. Where this process is known to
have one thread, others are forks of it, with all that it has loaded. A fork of a process with threads, such as one that
draws a progress bar, may hang: there they are fresh interpreters, which take a third of a second to load and import the
script that started them, so that it needs the usual `if __name__ == "__main__"`. Without that, and where a system has
no processes or no shared semaphores to give, everything is done here.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain, islice
from multiprocessing import get_context
from queue import SimpleQueue
from types import FrameType
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


_ALLOWED = ContextVar("allowed", default=1)


def allowed() -> int:
    """How many processes may be used here: one, unless within `allow`."""
    return _ALLOWED.get()


@contextmanager
def allow(count: int) -> Iterator[None]:
    """Lets what is called within use so many processes."""
    token = _ALLOWED.set(count)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def available() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def quick() -> bool:
    """Whether other processes are forks of this one, and up at once: on Linux, and with one thread, of any library's.

    Elsewhere threads are not told, or the system's own libraries may not be used in a fork (macOS).
    """
    try:
        return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def spread(
    function: Callable[[Task], Result], tasks: Iterator[Task], workers: int, here: bool = False, ahead: int = 1
) -> Iterator[tuple[Task, Result]]:
    """(task, function(task)) for every task, as they are done; function, tasks and results have to be picklable.

    here: this process is one of the workers: for tasks of about one size, since it looks at what others have done
    between two of its own. ahead: how many tasks another process is given before it has done the first, so that it has
    something to do until it is looked at. An interrupt ends the processes: they finish what they are at, and no more.
    """
    left: list[Task] = []
    others = workers - here
    pool = _pool(others) if workers > 1 else None
    if pool is not None:
        running: dict[Future[Result], Task] = {}
        finished: SimpleQueue[Future[Result]] = SimpleQueue()
        try:
            while True:
                for task in islice(tasks, ahead * others - len(running)):
                    left.append(task)
                    with _uninterrupted():
                        future = pool.submit(function, task)
                        running[future] = task
                        future.add_done_callback(finished.put)
                own = list(islice(tasks, int(here)))
                for task in own:
                    yield task, function(task)
                if not running and not own:
                    return
                for future in _finished(finished, wait=not own):
                    task = running.pop(future)
                    with _uninterrupted():
                        result = future.result()
                    left.remove(task)
                    yield task, result
        except BrokenProcessPool:
            pass
        finally:
            with _uninterrupted():
                pool.shutdown(cancel_futures=True)
                running.clear()
                del pool
    for task in chain(left, tasks):
        yield task, function(task)


def _finished(finished: "SimpleQueue[Future[Result]]", wait: bool) -> Iterator["Future[Result]"]:
    """What is done by now; wait: at least one. The queue holds no lock that an interrupt could leave taken."""
    if wait:
        yield finished.get()
    while not finished.empty():
        yield finished.get()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """An interrupt that comes within is heard at the end, by whoever listens there.

    Raised in the middle of a pool it would be lost: a process that has started and is not yet on the pool's list is
    never told to end, a lock that is not yet in its `with` is never given back, and what a destructor raises is only
    printed. Processes that start within have the signal blocked from their first moment: Ctrl-C in a terminal goes to
    them too, and while they load they do not yet ignore it.
    """
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is None:
        yield  # no other thread is ever interrupted; and what other than Python listens with is not to be replaced
        return
    pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed = True

    before = signal.signal(signal.SIGINT, note)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if hasattr(signal, "pthread_sigmask") else None
    try:
        yield
    finally:
        if blocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)  # what was held back comes now, to `note`
        signal.signal(signal.SIGINT, before)
        if pressed:
            signal.raise_signal(signal.SIGINT)


def _pool(workers: int) -> ProcessPoolExecutor | None:
    # An interrupt is for the parent, which ends the others.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    try:
        with _uninterrupted():
            context = get_context("fork" if quick() else "spawn")
            return ProcessPoolExecutor(workers, context, initializer=signal.signal, initargs=ignore)
    except (ImportError, NotImplementedError, OSError):
        return None
