"""A user's own Python, named in a recipe as module:function."""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dpplan.errors import DpplanError, InputOutputFailed, RecipeError, out_of_memory

OWN = Path(__file__).parents[1]
_INSTALLED = {"site-packages", "dist-packages"}  # perhaps within the folder of a user's own
# Where the modules are that were called by name: their folders, whose neighbours they may import; of what is installed,
# whose neighbours are anybody's, the package or the file.
_CALLED: set[Path] = set()
PARTS = ("_parameters", "_modules", "_buffers")  # what torch.nn.Module.__init__ gives a module


def call_named(name: str, key: str, **arguments: Any) -> Any:
    """What the function called `name` returns of these, which it is given by place: their names are for a message. The
    module is looked for where dpplan was started, then as usual.

    Raises RecipeError, naming the recipe's `key`, when there is no such function or it does not take so many, and with
    what it raised and where when it fails; InputOutputFailed when memory ran out in it.
    """
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    file = _file_of(module_name)
    _remember(module_name, file)
    try:
        with theirs(f"{key}={name}", file):
            module = importlib.import_module(module_name)
    except RecipeError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and cause.name in {module_name, module_name.partition(".")[0]}:
            raise RecipeError(f"{key}={name}: there is no module '{module_name}' in {here} or installed.") from None
        raise
    with theirs(f"{key}={name}"):  # a module may have a __getattr__ of its own
        _remember(module_name, getattr(module, "__file__", None) or "")
        function = getattr(module, function_name, None)
    if not callable(function):
        raise RecipeError(f"{key}={name}: module '{module_name}' has no function '{function_name}'.")
    with theirs(f"{key}={name}"):  # a callable may tell its signature by code of its own
        if unfit := _unfit(function, function_name, arguments):
            raise RecipeError(f"{key}={name}: {unfit}")
        return function(*arguments.values())


def _unfit(function: Callable[..., Any], name: str, arguments: Mapping[str, Any]) -> str:
    """What is wrong where a function does not take these arguments; "" where it does, or does not tell."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of what is built in
        return ""
    try:
        signature.bind(*arguments.values())
    except TypeError:
        return f"is called as {name}({', '.join(arguments)}), and is written as {name}{signature}."
    return ""


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
    the place, which itself may be in what that file calls.
    """
    if isinstance(error, DpplanError | KeyboardInterrupt) or out_of_memory(error):
        return False
    theirs_now = False
    for frame in traceback.extract_tb(error.__traceback__):
        if OWN in Path(frame.filename).resolve().parents:
            theirs_now = False
        theirs_now |= _is_theirs(frame.filename)
    return theirs_now


def _is_theirs(filename: str) -> bool:
    """Whether it is a file of a module that was called by name, or one beside or below it that is not installed."""
    if filename.startswith("<"):  # made at run time, by whoever: it lies nowhere
        return False
    path = Path(filename).resolve()
    if OWN in path.parents:
        return False
    folders = _CALLED.intersection((path, *path.parents))
    return any(_INSTALLED.isdisjoint(path.relative_to(folder).parts) for folder in folders)


def _at(error: BaseException) -> str:
    """Where it was raised: the last line of theirs that ran, and else the last of all."""
    frames = traceback.extract_tb(error.__traceback__)
    known = [frame for frame in frames if _is_theirs(frame.filename)] or frames
    return f" at {known[-1].filename}:{known[-1].lineno}" if known else ""


def _remember(module_name: str, file: str) -> None:
    """That this module, in this file if that is known, is a user's."""
    if not file:
        return
    path = Path(file).resolve()
    if _INSTALLED.isdisjoint(path.parts):
        _CALLED.add(path.parent)
        return
    depth = module_name.count(".") + (path.stem == "__init__")
    _CALLED.add(path if depth == 0 else path.parents[depth - 1])


def _file_of(module_name: str) -> str:
    """Where a module is, "" where that cannot be told: a package that it is in may raise anything, and will again."""
    try:
        found = importlib.util.find_spec(module_name)
    except BaseException as error:
        let_through(error)
        return ""
    return found.origin or "" if found else ""
