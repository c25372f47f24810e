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
        apply, call = vars(Function)["apply"], torch.library.CustomOpDef.__call__  # type: ignore[attr-defined]

        def applied(kind: type[Function], *args: Any, **kwargs: Any) -> Any:
            if kind.vmap is not Function.vmap:
                self.used.add(f"autograd.Function {kind.__name__}")
            return apply.__get__(None, kind)(*args, **kwargs)

        def called(operator: Any, *args: Any, **kwargs: Any) -> Any:
            if vars(operator).get("_vmap_fn") is not None:
                self.used.add(f"operator {vars(operator).get('_qualname')}")
            return call(operator, *args, **kwargs)

        Function.apply = classmethod(applied)  # type: ignore[method-assign, assignment]
        torch.library.CustomOpDef.__call__ = called  # type: ignore[attr-defined]
        try:
            yield
        finally:
            Function.apply = apply  # type: ignore[method-assign]
            torch.library.CustomOpDef.__call__ = call  # type: ignore[attr-defined]
