"""Where a byte lies, a token ends or a text may be, for those who look for it in messages. A block
is compared at once, what comes of it is a number with a bit for each byte, and the lowest says
where: a line of text takes two steps.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.extending import intrinsic, overload

from procwire.compiled.jit import fused

BLOCK = 32
_BIT_5 = 0x20  # tells small letters from capitals
TOKEN = (
    (33, 33),
    (35, 39),
    (42, 43),
    (45, 46),
    (48, 57),
    (65, 90),
    (94, 122),
    (124, 124),
    (126, 126),
)
"""From which byte to which those of a token are: its letters, digits and !#$%&'*+-.^_`|~."""

_ir: Any = ir
_types: Any = numba.types
_intrinsic: Any = intrinsic
_overload: Any = overload


@fused
def first_of(data: Any, start: int, end: int, value: int) -> int:
    """Index of the first byte `value` in data[start:end], or `end`. All of these bytes exist."""
    at = start
    while at + BLOCK <= end:
        place = _in_block(data, at, 0, value)
        if place < BLOCK:
            return at + place
        at += BLOCK
    if at < end and end >= BLOCK:
        # The last block lies partly over what has been looked at.
        last = end - BLOCK
        return last + _in_block(data, last, at - last, value)
    while at < end and data[at] != value:
        at += 1
    return at


@fused
def may_hold(data: Any, start: int, end: int, text: bytes) -> bool:
    """Whether `text` may lie in data[start:end], in small letters or capitals: true where its
    first, middle and last byte lie as far apart as there, but for bit 5 of each. All of these bytes
    exist."""
    middle, last = len(text) // 2, len(text) - 1
    at, behind = start, end - last
    while at < behind and behind - start >= BLOCK:
        # The last block lies partly over what has been looked at.
        at = min(at, behind - BLOCK)
        begun = _alike(data, at, text[0]) & _alike(data, at + middle, text[middle])
        if begun & _alike(data, at + last, text[last]) != 0:
            return True
        at += BLOCK
    while at < behind:
        begins = data[at] | _BIT_5 == text[0] | _BIT_5
        begins &= data[at + middle] | _BIT_5 == text[middle] | _BIT_5
        if begins and data[at + last] | _BIT_5 == text[last] | _BIT_5:
            return True
        at += 1
    return False


def _alike(data: Any, start: int, value: int) -> int:
    """A bit for each byte of a block, lowest first: set where it is `value`, but for bit 5."""
    wanted = int(value) | _BIT_5
    return sum(1 << at for at in range(BLOCK) if int(data[start + at]) | _BIT_5 == wanted)


def _in_block(data: Any, start: int, skip: int, value: int) -> int:
    """How far behind `start` the first byte `value` lies that is no nearer than `skip`; the size of
    a block, all of which exists, where none does."""
    for place in range(skip, BLOCK):
        if data[start + place] == value:
            return place
    return BLOCK


def token_in_block(data: Any, start: int) -> int:
    """How many bytes of a token data[start:] begins with, BLOCK at most, all of which exist."""
    for place in range(BLOCK):
        if not any(low <= data[start + place] <= high for low, high in TOKEN):
            return place
    return BLOCK


def _generated(typing: Any, data: Any, start: Any, skip: Any, value: Any) -> Any:
    """Compares all bytes, makes a number of the results, a bit each, and counts its low zeros."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        held, start, skip, value = arguments
        read = _read(context, builder, signature.args[0], held, start)
        bits = _ir.IntType(BLOCK)
        wanted = _everywhere(builder, value, read.type)
        same = builder.bitcast(builder.icmp_unsigned("==", read, wanted), bits)
        passed = builder.trunc(skip, bits)
        return _low_zeros(builder, builder.shl(builder.lshr(same, passed), passed))

    return _types.int64(data, _types.int64, _types.int64, _types.int64), generate


def _generated_token(typing: Any, data: Any, start: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        read = _read(context, builder, signature.args[0], *arguments)
        outside = None
        for low, high in TOKEN:
            above = builder.sub(read, _ir.Constant(read.type, [low] * BLOCK))
            beyond = builder.icmp_unsigned(
                ">", above, _ir.Constant(read.type, [high - low] * BLOCK)
            )
            outside = beyond if outside is None else builder.and_(outside, beyond)
        return _low_zeros(builder, builder.bitcast(outside, _ir.IntType(BLOCK)))

    return _types.int64(data, _types.int64), generate


def _generated_alike(typing: Any, data: Any, start: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        held, start, value = arguments
        read = _read(context, builder, signature.args[0], held, start)
        either = _ir.Constant(read.type, [_BIT_5] * BLOCK)
        wanted = builder.or_(_everywhere(builder, value, read.type), either)
        alike = builder.icmp_unsigned("==", builder.or_(read, either), wanted)
        return builder.zext(builder.bitcast(alike, _ir.IntType(BLOCK)), _ir.IntType(64))

    return _types.int64(data, _types.int64, _types.int64), generate


def _everywhere(builder: Any, value: Any, block: Any) -> Any:
    """A block whose bytes are all `value`."""
    unset = _ir.Constant(block, _ir.Undefined)
    one = builder.insert_element(unset, builder.trunc(value, block.element), _ir.IntType(32)(0))
    first = _ir.Constant(_ir.VectorType(_ir.IntType(32), BLOCK), [0] * BLOCK)
    return builder.shuffle_vector(one, unset, first)


def _read(context: Any, builder: Any, kind: Any, held: Any, start: Any) -> Any:
    """The block of the array `held` that begins at `start`."""
    data, byte = context.make_array(kind)(context, builder, held).data, _ir.IntType(8)
    at = builder.gep(builder.bitcast(data, byte.as_pointer()), [start])
    block = _ir.VectorType(byte, BLOCK)
    return builder.load(builder.bitcast(at, block.as_pointer()), align=1)


def _low_zeros(builder: Any, bits: Any) -> Any:
    flag = _ir.IntType(1)
    shape = _ir.FunctionType(bits.type, [bits.type, flag])
    zeros = builder.module.declare_intrinsic("llvm.cttz", [bits.type], shape)
    return builder.zext(builder.call(zeros, [bits, flag(0)]), _ir.IntType(64))


_place, _token = _intrinsic(_generated), _intrinsic(_generated_token)
_bits = _intrinsic(_generated_alike)


def _compiled(data: Any, start: Any, skip: Any, value: Any) -> Any:
    return lambda data, start, skip, value: _place(data, start, skip, value)


_overload(_in_block, jit_options={"forceinline": True, "_nrt": False}, strict=False)(_compiled)


def _compiled_token(data: Any, start: Any) -> Any:
    return lambda data, start: _token(data, start)


_overload(token_in_block, jit_options={"forceinline": True, "_nrt": False}, strict=False)(
    _compiled_token
)


def _compiled_alike(data: Any, start: Any, value: Any) -> Any:
    return lambda data, start, value: _bits(data, start, value)


_overload(_alike, jit_options={"forceinline": True, "_nrt": False}, strict=False)(_compiled_alike)
