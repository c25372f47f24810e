"""Ways past the wall of vmap: what a model may call inside it that sees more than one example.

Watched: operations with a rule of their own for vmap; modes of torch's dispatcher, which run below vmap and see the
whole batch; and what unwraps or prints a tensor inside vmap. Code that reaches below torch.func on purpose in any other
way (through names of torch._C that it fetched before, or by memory addresses) is not found.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._functorch import autograd_function, eager_transforms
from torch.autograd import Function
from torch.utils import _python_dispatch

_BELOW: Any = vars(torch._C)["_functorch"]
_UNWRAPPING = (
    "get_unwrapped",
    "unwrap_if_dead",
    "_unwrap_batched",
    "_unwrap_for_grad",
    "_remove_batch_dim",
    "dump_tensor",
)
_INTERPRETERS = ("pop_dynamic_layer_stack", "pop_dynamic_layer_stack_and_undo_to_depth", "_vmap_decrement_nesting")


class CustomRules:
    """used: what a model has called while it was watched that may let its examples meet, and why each may."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def __str__(self) -> str:
        return ", ".join(sorted(self.used))

    @contextmanager
    def watched(self) -> Iterator[None]:
        with self._rules(), self._below():
            yield

    @contextmanager
    def _below(self) -> Iterator[None]:
        """Inside, what reaches below vmap is noted. torch's own callers and this package's are left alone."""
        push, show = vars(_python_dispatch)["_push_mode"], vars(Tensor)["__repr__"]
        tensors: Any = Tensor

        def pushed(mode: Any, *args: Any) -> Any:
            if type(mode).__module__.partition(".")[0] not in ("torch", "dpplan"):
                self.used.add(f"TorchDispatchMode {type(mode).__name__} runs below vmap, where examples may meet")
            return push(mode, *args)

        def shown(tensor: Tensor, *args: Any, **kwargs: Any) -> str:
            if _BELOW.is_functorch_wrapped_tensor(tensor):
                self.used.add("repr() or print() of a tensor shows all examples inside vmap")
            text: str = show(tensor, *args, **kwargs)
            return text

        def noted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
            def reaching(*args: Any, **kwargs: Any) -> Any:
                caller = sys._getframe(1).f_globals.get("__name__", "")
                if caller.partition(".")[0] != "torch":
                    self.used.add(f"{name} reaches below vmap, where examples may meet")
                return call(*args, **kwargs)

            return reaching

        with ExitStack() as stack:
            for name in (*_UNWRAPPING, *_INTERPRETERS):
                if (call := getattr(_BELOW, name, None)) is not None:
                    stack.callback(setattr, _BELOW, name, call)
                    setattr(_BELOW, name, noted(name, call))
            if (peel := getattr(eager_transforms, "get_unwrapped", None)) is not None:  # by its own name in there

                def unwrapped(tensor: Tensor) -> Any:
                    self.used.add("debug_unwrap reaches below vmap, where examples may meet")
                    return peel(tensor)

                stack.callback(setattr, eager_transforms, "get_unwrapped", peel)
                setattr(eager_transforms, "get_unwrapped", unwrapped)  # noqa: B010  (typed as what it is not)
            stack.callback(setattr, _python_dispatch, "_push_mode", push)
            stack.callback(setattr, tensors, "__repr__", show)
            vars(_python_dispatch)["_push_mode"], tensors.__repr__ = pushed, shown
            yield

    @contextmanager
    def _rules(self) -> Iterator[None]:
        """Inside, every call of an autograd.Function or of a custom operator is looked at."""
        functions: Any = Function  # typed as what cannot be changed
        operators: Any = vars(torch.library)["CustomOpDef"]
        apply, call = vars(functions)["apply"], vars(operators)["__call__"]
        rules: Any = autograd_function
        about = rules.VmapInfo  # made for every rule that is called, also for operators called by torch.ops

        def applied(kind: Any, *args: Any, **kwargs: Any) -> Any:
            if kind.vmap is not functions.vmap:
                self._rule(f"autograd.Function {kind.__name__}")
            return apply.__get__(None, kind)(*args, **kwargs)

        def called(operator: Any, *args: Any, **kwargs: Any) -> Any:
            if vars(operator).get("_vmap_fn") is not None:
                self._rule(f"operator {vars(operator).get('_qualname')}")
            return call(operator, *args, **kwargs)

        def informed(*args: Any, **kwargs: Any) -> Any:
            operator = sys._getframe(1).f_locals.get("op")
            if not isinstance(operator, type):  # a Function, which `applied` has met
                self._rule(f"operator {operator}")
            return about(*args, **kwargs)

        functions.apply, operators.__call__, rules.VmapInfo = classmethod(applied), called, informed
        try:
            yield
        finally:
            functions.apply, operators.__call__, rules.VmapInfo = apply, call, about

    def _rule(self, name: str) -> None:
        self.used.add(f"{name} has a vmap rule of its own, which may let examples meet")
