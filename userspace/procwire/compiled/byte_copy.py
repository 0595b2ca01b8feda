"""Copies of bytes between arrays. A loop is widened to blocks, goes through what is left of a block
in steps, and guesses wrong where each of them ends; C's memcpy moves the last block over the one
before.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

_ir: Any = ir
_config: Any = numba.config
_types: Any = numba.types
_intrinsic: Any = intrinsic
_overload: Any = overload


def copy_bytes(
    data: NDArray[np.uint8], start: int, into: NDArray[np.uint8], at: int, count: int
) -> None:
    """Copy the `count` bytes from data[start] on to into[at]. All of these exist in both, and none
    is the same in both."""
    into[at : at + count] = data[start : start + count]


def _generated(typing: Any, data: Any, start: Any, into: Any, at: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        held, start, room, at, count = arguments
        bytes_ = _ir.IntType(8).as_pointer()
        kinds = signature.args
        source = context.make_array(kinds[0])(context, builder, held).data
        target = context.make_array(kinds[2])(context, builder, room).data
        copy = builder.module.declare_intrinsic("llvm.memcpy", [bytes_, bytes_, count.type])
        moved = builder.gep(target, [at]), builder.gep(source, [start]), count
        builder.call(copy, [*moved, _ir.Constant(_ir.IntType(1), 0)])
        return context.get_dummy_value()

    whole = _types.int64
    return _types.none(data, whole, into, whole, whole), generate


_moved = _intrinsic(_generated)


def _compiled(data: Any, start: Any, into: Any, at: Any, count: Any) -> Any:
    def byte_by_byte(data: Any, start: Any, into: Any, at: Any, count: Any) -> None:
        for place in range(count):
            into[at + place] = data[start + place]

    def in_one_move(data: Any, start: Any, into: Any, at: Any, count: Any) -> None:
        _moved(data, start, into, at, count)

    # Where each access is to be checked, memcpy cannot be.
    return byte_by_byte if _config.BOUNDSCHECK else in_one_move


_overload(copy_bytes, jit_options={"forceinline": True, "_nrt": False}, strict=False)(_compiled)
