"""A user's own Python, named in a recipe as module:function."""

import importlib
import sys
import traceback
from pathlib import Path
from typing import Any

from dpplan.errors import DpplanError, RecipeError


def call_named(name: str, key: str, *arguments: Any) -> Any:
    """What the function called `name` returns. The module is looked for where dpplan was started, then as usual.

    Raises RecipeError, naming the recipe's `key`, when there is no such function, and with what it raised and where
    when it fails.
    """
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name == module_name.partition(".")[0] or error.name == module_name:
            raise RecipeError(f"{key}={name}: there is no module '{module_name}' in {here} or installed.") from None
        raise RecipeError(f"{key}={name}: {failure(error)}") from error
    except DpplanError:
        raise
    except (Exception, SystemExit) as error:
        raise RecipeError(f"{key}={name}: {failure(error)}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise RecipeError(f"{key}={name}: module '{module_name}' has no function '{function_name}'.")
    try:
        return function(*arguments)
    except DpplanError:
        raise
    except (Exception, SystemExit) as error:
        raise RecipeError(f"{key}={name}: {failure(error)}") from error


def failure(error: BaseException) -> str:
    """What a user's code raised, and where in it."""
    if isinstance(error, SyntaxError):
        return f"is not Python at {error.filename}:{error.lineno}: {error.msg}."
    *_, last = traceback.extract_tb(error.__traceback__)
    place = f"{last.filename}:{last.lineno}"
    if isinstance(error, SystemExit):
        return f"ends the process at {place}. Let it return or raise instead."
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return f"failed at {place}: {said}"
