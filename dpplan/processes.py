"""Work spread over processes, or done in this one where that cannot be.

A task is drawn when a process is free, so that it may rest on what is known by then. Processes are fresh interpreters:
a fork of a process with threads, such as one that draws a progress bar, may hang. They import the script that started
them, which needs the usual `if __name__ == "__main__"`; without it, and where a system has no processes or no shared
semaphores to give, everything is done here.
"""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import chain, islice
from multiprocessing import get_context
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


def spread(
    function: Callable[[Task], Result], tasks: Iterator[Task], workers: int, here: bool = False
) -> Iterator[tuple[Task, Result]]:
    """(task, function(task)) for every task, as they are done; function, tasks and results have to be picklable.

    here: this process is one of the workers: for tasks of about one size, since it looks at what others have done
    between two of its own. An interrupt ends the processes: they finish what they are at, and no more.
    """
    left: list[Task] = []
    others = workers - here
    pool = _pool(others) if workers > 1 else None
    if pool is not None:
        running: dict[Future[Result], Task] = {}
        with pool:
            try:
                while True:
                    for task in islice(tasks, others - len(running)):
                        left.append(task)
                        running[pool.submit(function, task)] = task
                    own = list(islice(tasks, int(here)))
                    for task in own:
                        yield task, function(task)
                    if not running and not own:
                        return
                    for done in wait(running, 0.0 if own else None, FIRST_COMPLETED).done:
                        task, result = running[done], done.result()
                        del running[done]
                        left.remove(task)
                        yield task, result
            except BrokenProcessPool:
                pass
            finally:
                pool.shutdown(cancel_futures=True)
    for task in chain(left, tasks):
        yield task, function(task)


def _pool(workers: int) -> ProcessPoolExecutor | None:
    # An interrupt is for the parent, which ends the others.
    ignore = (signal.SIGINT, signal.SIG_IGN)
    try:
        return ProcessPoolExecutor(workers, get_context("spawn"), initializer=signal.signal, initargs=ignore)
    except (ImportError, NotImplementedError, OSError):
        return None
