"""Sums of many bytes. A block of them is added at once, as the processor has it, and the last one
lies partly over what has been added, which is masked out: no loop over what is left.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic, overload

from procwire.compiled.jit import fused

_BLOCK = 32
_LANES = _BLOCK // 8
_HALF, _LOWER_HALF = 32, 0xFFFFFFFF

_ir: Any = ir
_types: Any = numba.types
_intrinsic: Any = intrinsic
_overload: Any = overload
_cgutils: Any = cgutils


@fused
def sum_of(data: Any, start: int, size: int) -> np.uint64:
    """The sum of `size` bytes from `start` on as 16-bit numbers, least significant byte first, or
    what leaves the same remainder modulo 65535. All bytes of data[:start + size] exist."""
    end = start + size
    if end >= _BLOCK:
        rest = size % _BLOCK
        total = _blocks(data, start, size // _BLOCK)
        last = _block(data, end - _BLOCK, _BLOCK - rest)
        # Behind an odd number of bytes the block begins in the middle of a number.
        return np.uint64(total + (last << np.uint64(8 * (size & 1))))
    few = np.uint64(0)
    for i in range(size):
        few += np.uint64(data[start + i]) << np.uint64(8 * (i & 1))
    return few


def _blocks(data: Any, start: int, count: int) -> np.uint64:
    """The sum of `count` blocks from `start` on."""
    return _words(data, start, start + count * _BLOCK)


def _block(data: Any, start: int, skip: int) -> np.uint64:
    """The sum of the block at `start` as if its first `skip` bytes were 0."""
    odd = np.uint64(int(data[start + skip]) << 8 if skip % 2 else 0)
    return odd + _words(data, start + skip + skip % 2, start + _BLOCK)


def _words(data: Any, start: int, end: int) -> np.uint64:
    words = (int(data[at]) | int(data[at + 1]) << 8 for at in range(start, end, 2))
    return np.uint64(sum(words))


def _blocks_generated(typing: Any, data: Any, start: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        held, start, count = arguments
        first = _place(context, builder, signature.args[0], held, start)
        whole, upper = (_cgutils.alloca_once_value(builder, _all(0)) for _ in range(2))
        with _cgutils.for_range(builder, count) as loop:
            at = builder.gep(first, [builder.mul(loop.index, loop.index.type(_BLOCK))])
            read = builder.load(builder.bitcast(at, _vector().as_pointer()), align=1)
            builder.store(builder.add(builder.load(whole), read), whole)
            half = builder.lshr(read, _all(_HALF))
            builder.store(builder.add(builder.load(upper), half), upper)
        # Less the upper halves a lane is the sum of the lower ones, which alone do not overflow it.
        halves = builder.load(upper)
        lower = builder.sub(builder.load(whole), builder.shl(halves, _all(_HALF)))
        return _across(builder, builder.add(lower, halves))

    return _types.uint64(data, _types.int64, _types.int64), generate


def _block_generated(typing: Any, data: Any, start: Any, skip: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        held, start, skip = arguments
        at = _place(context, builder, signature.args[0], held, start)
        byte = _ir.IntType(8)
        block = _ir.VectorType(byte, _BLOCK)
        read = builder.load(builder.bitcast(at, block.as_pointer()), align=1)
        unset = _ir.Constant(block, _ir.Undefined)
        one = builder.insert_element(unset, builder.trunc(skip, byte), _ir.IntType(32)(0))
        everywhere = _ir.Constant(_ir.VectorType(_ir.IntType(32), _BLOCK), [0] * _BLOCK)
        skipped = builder.shuffle_vector(one, unset, everywhere)
        places = _ir.Constant(block, list(range(_BLOCK)))
        counts = builder.icmp_unsigned(">=", places, skipped)
        kept = builder.select(counts, read, _ir.Constant(block, [0] * _BLOCK))
        return _across(builder, _halves(builder, builder.bitcast(kept, _vector())))

    return _types.uint64(data, _types.int64, _types.int64), generate


def _place(context: Any, builder: Any, kind: Any, held: Any, start: Any) -> Any:
    described = context.make_array(kind)(context, builder, held)
    return builder.gep(builder.bitcast(described.data, _ir.IntType(8).as_pointer()), [start])


def _vector() -> Any:
    return _ir.VectorType(_ir.IntType(64), _LANES)


def _all(value: int) -> Any:
    return _ir.Constant(_vector(), [value] * _LANES)


def _halves(builder: Any, read: Any) -> Any:
    """Both 32-bit halves of each lane, added: no sum of them leaves its lane."""
    return builder.add(builder.and_(read, _all(_LOWER_HALF)), builder.lshr(read, _all(_HALF)))


def _across(builder: Any, lanes: Any) -> Any:
    whole = _ir.IntType(64)
    shape = _ir.FunctionType(whole, [_vector()])
    name = f"llvm.vector.reduce.add.v{_LANES}i64"
    return builder.call(builder.module.declare_intrinsic(name, (), shape), [lanes])


_all_blocks = _intrinsic(_blocks_generated)
_last_block = _intrinsic(_block_generated)


def _blocks_compiled(data: Any, start: Any, count: Any) -> Any:
    return lambda data, start, count: _all_blocks(data, start, count)


def _block_compiled(data: Any, start: Any, skip: Any) -> Any:
    return lambda data, start, skip: _last_block(data, start, skip)


_fuse: Any = {"jit_options": {"forceinline": True, "_nrt": False}, "strict": False}
_overload(_blocks, **_fuse)(_blocks_compiled)
_overload(_block, **_fuse)(_block_compiled)
