"""Puts this folder on the import path, so that every test can `import oracle`. No test writes into a real home."""

import gc
import itertools
import os
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

# For processes that are forked from a server which was started before any test.
_SESSION = tempfile.TemporaryDirectory(prefix="dpplan-tests-state-")
_NUMBERS = itertools.count()
os.environ["XDG_STATE_HOME"] = _SESSION.name
# As the command has it, and before numpy is loaded: the last digits of an interval depend on how many threads a product
# is spread over, whatever OMP_NUM_THREADS allows torch.
os.environ["OPENBLAS_NUM_THREADS"] = "1"


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is slow
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of a test marked sweep(every=k), every k-th case runs by default, and the others with what is slow; of one marked
    sweep(slow=(a, b)), all but the cases whose names in brackets begin with a or b."""
    cases: Counter[str] = Counter()
    for item in items:
        mark = item.get_closest_marker("sweep")
        if mark is not None:
            name, _, case = item.nodeid.partition("[")
            if cases[name] % mark.kwargs.get("every", 1) or case.startswith(mark.kwargs.get("slow", ())):
                item.add_marker(pytest.mark.slow)
            cases[name] += 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collecting leaves next to no garbage, and the more is loaded the longer Python looks for some."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """What was loaded and collected stays to the end: no collection of garbage needs to look through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def state_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where this test's runs are recorded."""
    folder = Path(_SESSION.name) / f"test-{next(_NUMBERS)}"  # pytest's own would look through all earlier ones first
    folder.mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    yield folder
