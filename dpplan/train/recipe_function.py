"""A user's own Python, named in a recipe as module:function."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dpplan.errors import DpplanError, InputOutputFailed, RecipeError, out_of_memory

OWN = Path(__file__).parents[1]
_INSTALLED = {"site-packages", "dist-packages"}  # perhaps within the folder of a user's own
_CALLED: set[Path] = set()  # folders of the modules that were called by name, whose neighbours they may import
PARTS = ("_parameters", "_modules", "_buffers")  # what torch.nn.Module.__init__ gives a module


def call_named(name: str, key: str, *arguments: Any) -> Any:
    """What the function called `name` returns. The module is looked for where dpplan was started, then as usual.

    Raises RecipeError, naming the recipe's `key`, when there is no such function, and with what it raised and where
    when it fails; InputOutputFailed when memory ran out in it.
    """
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        with theirs(f"{key}={name}", _file_of(module_name)):
            module = importlib.import_module(module_name)
    except RecipeError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and cause.name in {module_name, module_name.partition(".")[0]}:
            raise RecipeError(f"{key}={name}: there is no module '{module_name}' in {here} or installed.") from None
        raise
    if file := getattr(module, "__file__", None):
        _CALLED.add(Path(file).resolve().parent)
    function = getattr(module, function_name, None)
    if not callable(function):
        raise RecipeError(f"{key}={name}: module '{module_name}' has no function '{function_name}'.")
    with theirs(f"{key}={name}"):
        return function(*arguments)


@contextmanager
def theirs(named: str, file: str = "") -> Iterator[None]:
    """Inside runs a user's code: what it raises is told as theirs, whatever it is. file: where it is, if known.

    Raises RecipeError, InputOutputFailed when memory ran out, and what says what is wrong by itself or is Ctrl-C as it
    is.
    """
    try:
        yield
    except DpplanError:
        raise
    except BaseException as error:
        let_through(error)
        if out_of_memory(error):
            raise InputOutputFailed(f"{named}: memory ran out{_at(error)}. Try a machine with more.") from error
        raise RecipeError(f"{named}: {failure(error, file)}") from error


def let_through(error: BaseException) -> None:
    """Raises it again where it is no failure but an end that was asked for: Ctrl-C."""
    if isinstance(error, KeyboardInterrupt):
        raise error


def failure(error: BaseException, file: str = "") -> str:
    """What a user's code raised, and where in it. file: where it is, for an error that does not know."""
    if isinstance(error, SyntaxError):
        if error.filename is None or error.lineno is None:
            return f"is not Python at {file or error.filename}: {error.msg}."
        return f"is not Python at {error.filename}:{error.lineno}: {error.msg}."
    if isinstance(error, SystemExit):
        return f"ends the process{_at(error)}. Let it return or raise instead."
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, AttributeError) and any(f"no attribute '{part}'" in said for part in PARTS):
        said += ". Let __init__ of each module call super().__init__() before anything else."
    return f"failed{_at(error)}: {said}"


def raised_by_theirs(error: BaseException) -> bool:
    """Whether it was raised in a user's code that was called from dpplan, and does not say by itself what is wrong.

    It is theirs when a file beside or below a module that was called by name is on the way from dpplan's last line to
    the place.
    """
    if isinstance(error, DpplanError | KeyboardInterrupt) or out_of_memory(error):
        return False
    theirs_now = False
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename).resolve()
        if OWN in path.parents:
            theirs_now = False
        elif not (_CALLED.isdisjoint(path.parents) or _INSTALLED & {*path.parts}):
            theirs_now = True
    return theirs_now


def _at(error: BaseException) -> str:
    """Where it was raised: the last line that ran."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""


def _file_of(module_name: str) -> str:
    with suppress(ImportError, AttributeError, ValueError):
        found = importlib.util.find_spec(module_name)
        return found.origin or "" if found else ""
    return ""
