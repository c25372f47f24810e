"""Ways past the wall of vmap: what a model may call inside it that sees more than one example.

Watched: operations with a rule of their own for vmap; operators of the user's in Python, which vmap runs on one example
after another, each of them bare; modes of torch's dispatcher, which run below vmap and see the
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
from torch._library import custom_ops
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


# Whose operators are torch's or installed with it.
_TORCHS = frozenset(
    {
        *("aten", "prims", "prim", "rngprims", "debugprims", "debug_mode_ops", "export", "_native", "streams", "fsdp"),
        *("c10d", "c10d_functional", "_c10d_functional", "_c10d_functional_autograd", "_dtensor", "symm_mem"),
        *("mkl", "mkldnn", "onednn", "quantized", "quantized_decomposed", "inductor", "_inductor_test", "flex_lib"),
        *("onnx", "onnx_symbolic", "higher_order", "torchvision", "torchaudio", "torchao"),
    }
)


def own_operators() -> dict[str, dict[str, Any] | None]:
    """Operators that somebody has written in Python: name -> the functions of it, None where those cannot be found."""
    written = (key.rpartition("/")[0].replace("/", "::", 1) for key in vars(torch.library)["_impls"])
    names = {name.partition(".")[0] for name in written if name.partition("::")[0] not in _TORCHS}
    made = {name: custom_ops.OPDEFS.get(name) for name in sorted(names)}
    return {
        name: None if of is None else {key: part for key, part in vars(of).items() if key.endswith(("_fn", "_fns"))}
        for name, of in made.items()
    }


class CustomRules:
    """used: what a model has called while it was watched that may let its examples meet, and why each may.

    unseen: the operators among it whose code is not to be found, so that nobody can say what it keeps.
    """

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.unseen: set[str] = set()

    def __str__(self) -> str:
        return ", ".join(sorted(self.used))

    @contextmanager
    def watched(self) -> Iterator[None]:
        with self._rules(), self._below(), self._operators():
            yield

    @contextmanager
    def _operators(self) -> Iterator[None]:
        """Inside, every call of an operator that is not torch's is looked at."""
        kinds: tuple[Any, ...] = (torch._ops.OpOverload, torch._ops.OpOverloadPacket)

        def noting(call: Callable[..., Any]) -> Callable[..., Any]:
            def called(operator: Any, /, *args: Any, **kwargs: Any) -> Any:
                full = vars(operator).get("_qualified_op_name") or operator.name()
                name = full.partition(".")[0]
                if name.partition("::")[0] not in _TORCHS and name in (own := own_operators()):
                    self.used.add(f"operator {name} is Python that vmap runs on one example after another")
                    self.unseen |= {f"operator {name}"} if own[name] is None else set()
                return call(operator, *args, **kwargs)

            return called

        with ExitStack() as stack:
            for kind in kinds:
                stack.callback(setattr, kind, "__call__", kind.__call__)
                kind.__call__ = noting(kind.__call__)
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
