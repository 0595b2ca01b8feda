"""Bytes of our own shown as captured ones are, which nobody may write: kernels are compiled
anew for each kind of array that they are given.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from procwire.words import Span

_types: Any = numba.types
_intrinsic: Any = intrinsic
_overload: Any = overload


def read_only(memory: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same bytes (n,), as an array that cannot be written."""
    view = memory.view()
    view.flags.writeable = False
    return view


def own_span(memory: NDArray[np.uint8], start: int, captured: int, length: int) -> Span:
    """A span of uint8 (n,), in kernels as of captured bytes."""
    return Span(read_only(memory), start, captured, length)


def _generated(typing: Any, memory: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        held = context.make_array(signature.args[0])(context, builder, arguments[0])
        made = context.make_array(signature.return_type)(context, builder)
        for field in ("meminfo", "parent", "nitems", "itemsize", "data", "shape", "strides"):
            setattr(made, field, getattr(held, field))
        return made._getvalue()

    return _types.Array(_types.uint8, 1, "C", readonly=True)(memory), generate


_shown = _intrinsic(_generated)


def _compiled(memory: Any, start: Any, captured: Any, length: Any) -> Any:
    return lambda memory, start, captured, length: Span(_shown(memory), start, captured, length)


_overload(own_span, jit_options={"forceinline": True, "_nrt": False}, strict=False)(_compiled)
