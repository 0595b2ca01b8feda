"""Arrays in kernels are indexed from their front, and only from there.

For every access by a signed index numba would compile a test whether it counts from the end. None
of ours does, and without these tests LLVM reads the neighbouring bytes of a number at once.
"""

from __future__ import annotations

import operator
from typing import Any

import numba
from numba.core.typing.templates import signature as typed
from numba.extending import lower_builtin

_types: Any = numba.types
_signature: Any = typed
_lower: Any = lower_builtin


def _get(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return _from_front(operator.getitem, context, builder, signature, arguments)


def _set(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return _from_front(operator.setitem, context, builder, signature, arguments)


def _from_front(access: Any, context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """numba's own way for an index that is unsigned, or a tuple of such."""
    array, kind, *value = signature.args
    front = _types.uintp
    if isinstance(kind, _types.UniTuple):
        front = _types.UniTuple(front, kind.count)
    unsigned = _signature(signature.return_type, array, front, *value)
    index = context.cast(builder, arguments[1], kind, front)
    return context.get_function(access, unsigned)(builder, (arguments[0], index, *arguments[2:]))


def index_from_front() -> None:
    """Have all that numba compiles from now on index so."""
    signed = (_types.int8, _types.int16, _types.int32, _types.int64)
    for kind in (*signed, _types.UniTuple(_types.int64, 2), _types.UniTuple(_types.int64, 3)):
        _lower(operator.getitem, _types.Array, kind)(_get)
        _lower(operator.setitem, _types.Array, kind, _types.Any)(_set)
