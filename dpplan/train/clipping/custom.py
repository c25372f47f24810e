"""Operations that bring their own rule for vmap, behind which the examples of a batch may meet."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.autograd import Function


class CustomRules:
    """used: names of the operations with a rule of their own that a model has called while it was watched."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, every call of an autograd.Function or of a custom operator is looked at."""
        functions: Any = Function  # typed as what cannot be changed
        operators: Any = vars(torch.library)["CustomOpDef"]
        apply, call = vars(functions)["apply"], vars(operators)["__call__"]

        def applied(kind: Any, *args: Any, **kwargs: Any) -> Any:
            if kind.vmap is not functions.vmap:
                self.used.add(f"autograd.Function {kind.__name__}")
            return apply.__get__(None, kind)(*args, **kwargs)

        def called(operator: Any, *args: Any, **kwargs: Any) -> Any:
            if vars(operator).get("_vmap_fn") is not None:
                self.used.add(f"operator {vars(operator).get('_qualname')}")
            return call(operator, *args, **kwargs)

        functions.apply, operators.__call__ = classmethod(applied), called
        try:
            yield
        finally:
            functions.apply, operators.__call__ = apply, call
