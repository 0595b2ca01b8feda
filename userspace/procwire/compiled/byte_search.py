"""Where a byte lies, for the words that look for one. A block is compared at once, what comes of it
is a number with a bit for each byte, and the lowest says where: a line of text takes two steps.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.extending import intrinsic, overload

from procwire.compiled.jit import fused

_BLOCK = 32

_ir: Any = ir
_types: Any = numba.types
_intrinsic: Any = intrinsic
_overload: Any = overload


@fused
def first_of(data: Any, start: int, end: int, value: int) -> int:
    """Index of the first byte `value` in data[start:end], or `end`. All of these bytes exist."""
    at = start
    while at + _BLOCK <= end:
        place = _in_block(data, at, 0, value)
        if place < _BLOCK:
            return at + place
        at += _BLOCK
    if at < end and end >= _BLOCK:
        # The last block lies partly over what has been looked at.
        last = end - _BLOCK
        return last + _in_block(data, last, at - last, value)
    while at < end and data[at] != value:
        at += 1
    return at


def _in_block(data: Any, start: int, skip: int, value: int) -> int:
    """How far behind `start` the first byte `value` lies that is no nearer than `skip`; the size of
    a block, all of which exists, where none does."""
    for place in range(skip, _BLOCK):
        if data[start + place] == value:
            return place
    return _BLOCK


def _generated(typing: Any, data: Any, start: Any, skip: Any, value: Any) -> Any:
    """Compares all bytes, makes a number of the results, a bit each, and counts its low zeros."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        held, start, skip, value = arguments
        described = context.make_array(signature.args[0])(context, builder, held)
        byte, bits, flag = _ir.IntType(8), _ir.IntType(_BLOCK), _ir.IntType(1)
        block = _ir.VectorType(byte, _BLOCK)
        at = builder.gep(builder.bitcast(described.data, byte.as_pointer()), [start])
        read = builder.load(builder.bitcast(at, block.as_pointer()), align=1)
        unset = _ir.Constant(block, _ir.Undefined)
        one = builder.insert_element(unset, builder.trunc(value, byte), _ir.IntType(32)(0))
        first = _ir.Constant(_ir.VectorType(_ir.IntType(32), _BLOCK), [0] * _BLOCK)
        wanted = builder.shuffle_vector(one, unset, first)
        same = builder.bitcast(builder.icmp_unsigned("==", read, wanted), bits)
        passed = builder.trunc(skip, bits)
        left = builder.shl(builder.lshr(same, passed), passed)
        shape = _ir.FunctionType(bits, [bits, flag])
        zeros = builder.module.declare_intrinsic("llvm.cttz", [bits], shape)
        return builder.zext(builder.call(zeros, [left, flag(0)]), _ir.IntType(64))

    return _types.int64(data, _types.int64, _types.int64, _types.int64), generate


_place = _intrinsic(_generated)


def _compiled(data: Any, start: Any, skip: Any, value: Any) -> Any:
    return lambda data, start, skip, value: _place(data, start, skip, value)


_overload(_in_block, jit_options={"forceinline": True, "_nrt": False}, strict=False)(_compiled)
