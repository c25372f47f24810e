"""Numbers and text, and what is made of nothing else: compared as a whole, bit for bit.

`0.0 == -0.0 == False` and two kinds of NaN are alike to most, and yet a memory for who asks for the difference.
"""

import copyreg
import enum
import marshal
import types
from typing import Any

import numpy as np
import torch
from torch import Tensor

VALUES = (int, float, complex, str, bytes, type(None), np.generic)
_NUMBERS_AND_TEXT = frozenset({int, float, complex, bool, str, bytes, type(None)})
_BRANCHES = frozenset({list, tuple, dict})
_FORMAT = 2  # of marshal: the last one in which how often something is pointed to plays no part
_MOST = 1_000_000  # numbers and texts that are taken for one
_BITS = {
    torch.float64: torch.int64,
    torch.float32: torch.int32,
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
    **{kind: kind for kind in (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)},
}

# What a sparse tensor is made of, as it is: neither sorted nor added up, which would hide what could be told apart.
_SPARSE = {
    torch.sparse_coo: ("_indices", "_values"),
    **dict.fromkeys((torch.sparse_csr, torch.sparse_bsr), ("crow_indices", "col_indices", "values")),
    **dict.fromkeys((torch.sparse_csc, torch.sparse_bsc), ("ccol_indices", "row_indices", "values")),
}


def plain(value: Any) -> bool:
    """Whether this is a number or text, or a list or dictionary of nothing else."""
    if type(value) is dict:
        return all(isinstance(part, VALUES) for part in value.values())
    if type(value) in (list, tuple, set, frozenset):
        return all(isinstance(part, VALUES) for part in value)
    return isinstance(value, VALUES) and not isinstance(value, enum.Enum)


def tree(value: Any) -> bytes | None:
    """All of a list, tuple or dictionary, at any depth, where it is made of numbers and text; None where it is not.

    One that holds the same list twice, or that is very large, is None too.
    """
    if type(value) not in _BRANCHES:
        return None
    todo, met, count = [value], set[int](), 0
    while todo:
        branch = todo.pop()
        count += len(branch)
        if type(branch) is not tuple:
            if id(branch) in met:
                return None
            met.add(id(branch))
        if count > _MOST:
            return None
        for parts in (branch, branch.values()) if type(branch) is dict else (branch,):
            kinds = set(map(type, parts))
            if not kinds <= _NUMBERS_AND_TEXT:
                if not kinds <= _NUMBERS_AND_TEXT | _BRANCHES:
                    return None
                todo += [part for part in parts if type(part) in _BRANCHES]
    try:
        return marshal.dumps(value, _FORMAT)
    except ValueError:  # too deep
        return None


def noted_by_pickle(kind: type, key: str, value: Any) -> bool:
    """Whether this attribute of a class is the list of its slots that pickle and copy note there when they first meet
    one of its objects, and nothing else."""
    if key != "__slotnames__" or type(value) is not list:
        return False
    unnoted = types.SimpleNamespace(__mro__=kind.__mro__, __slots__=())
    return bool(_bits(value) == _bits(vars(copyreg)["_slotnames"](unnoted)))


def same_bits(was: Any, now: Any) -> bool:
    """Whether two plain values are the same to the last bit, of the same kinds and in the same order."""
    if isinstance(was, dict) and not (isinstance(now, dict) and list(was) == list(now)):
        return False  # a cache changes its order at every look
    return bool(_bits(was) == _bits(now))


def same_tensors(was: Tensor, now: Tensor) -> bool:
    """Whether two tensors have the same numbers, shape, type and device. Raises RuntimeError where nobody can say."""
    if was.is_nested and now.is_nested:
        return len(was.unbind()) == len(now.unbind()) and all(map(same_tensors, was.unbind(), now.unbind()))
    if (was.shape, was.dtype, was.device, was.layout) != (now.shape, now.dtype, now.device, now.layout):
        return False
    if type(was) is Tensor is type(now) and was.layout is torch.strided and was.dtype in _BITS:
        return torch.equal(was.view(_BITS[was.dtype]), now.view(_BITS[was.dtype]))
    if was.layout in _SPARSE:
        if was.is_sparse and was.is_coalesced() != now.is_coalesced():
            return False
        return all(same_tensors(getattr(was, part)(), getattr(now, part)()) for part in _SPARSE[was.layout])
    return bool(((was == now) | ((was != was) & (now != now))).all())  # NaN is NaN here


def _bits(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return type(value), sorted(map(repr, map(_bits, value)))  # a copy has them in another order
    try:
        return marshal.dumps(value, _FORMAT)
    except ValueError:
        if isinstance(value, dict | list | tuple):
            return type(value), [_bits(part) for part in (value.values() if isinstance(value, dict) else value)]
        return type(value), repr(value)
