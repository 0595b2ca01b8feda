"""Asking the processor for memory before it is looked at: a look into a table that no cache holds
costs more than a detector's whole work on a connection, and several at a time cost as much as one.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

CACHE_LINE = 64
AHEAD = 6
"""Rows that a kernel looks ahead: enough to wait for memory, and no more than are under way."""

Whole: TypeAlias = int | np.int64

_ir: Any = ir
_types: Any = numba.types
_intrinsic: Any = intrinsic
_overload: Any = overload


def lines_of(size: int) -> int:
    """How many lines `size` bytes lie in, if they begin with one."""
    return -(-size // CACHE_LINE)


def prefetch(array: NDArray[Any], row: Whole, first: Whole, lines: int) -> None:
    """Ask for `lines` lines, of 64 bytes, of array[row] from its line `first` on, in a kernel that
    will look at them some rows later: it goes on meanwhile. Plain Python does nothing."""


def _generated(typing: Any, array: Any, row: Any, line: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        held, row, line = arguments
        described = context.make_array(signature.args[0])(context, builder, held)
        stride = builder.extract_value(described.strides, 0)
        offset = builder.add(builder.mul(row, stride), builder.mul(line, line.type(CACHE_LINE)))
        bytes_, whole = _ir.IntType(8).as_pointer(), _ir.IntType(32)
        shape = _ir.FunctionType(_ir.VoidType(), [bytes_, whole, whole, whole])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [bytes_], shape)
        at = builder.gep(builder.bitcast(described.data, bytes_), [offset])
        # It is data, will be read and written, and belongs into all caches.
        builder.call(fetch, [at, whole(1), whole(3), whole(1)])
        return context.get_dummy_value()

    return _types.none(array, _types.int64, _types.int64), generate


_line = _intrinsic(_generated)


def _compiled(array: Any, row: Any, first: Any, lines: Any) -> Any:
    def every_line(array: Any, row: Any, first: Any, lines: Any) -> None:
        for line in range(first, first + lines):
            _line(array, row, line)

    return every_line


_overload(prefetch, jit_options={"forceinline": True, "_nrt": False}, strict=False)(_compiled)
