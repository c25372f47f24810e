"""A user's own Python, named in a recipe as module:function."""

import importlib
import sys
from pathlib import Path
from typing import Any

from dpplan.errors import RecipeError


def call_named(name: str, key: str, *arguments: Any) -> Any:
    """What the function called `name` returns. The module is looked for where dpplan was started, then as usual.

    Raises RecipeError, naming the recipe's `key`, when there is no such function. What the function itself raises
    is its author's to read and goes through.
    """
    module_name, _, function_name = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name.partition(".")[0] and error.name != module_name:
            raise
        raise RecipeError(f"{key}={name}: there is no module '{module_name}' in {here} or installed.") from None
    function = getattr(module, function_name, None)
    if not callable(function):
        raise RecipeError(f"{key}={name}: module '{module_name}' has no function '{function_name}'.")
    return function(*arguments)
