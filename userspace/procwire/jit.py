"""The one way this project compiles: numba, cached beside the source, without the GIL.

numba's cache looks only at the file of the function it compiles, not at the functions that one
calls. So every cached kernel is dropped when a source that takes part in compilation changed since
the cache was written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.extending import register_jitable

Function = TypeVar("Function", bound=Callable[..., Any])

_PACKAGE = Path(__file__).parent


def _drop_stale_cache() -> None:
    digest = hashlib.sha256(numba.__version__.encode())
    for source in sorted(_PACKAGE.rglob("*.py")):
        text = source.read_bytes()
        if b"procwire.jit" in text or b"procwire.words" in text:
            digest.update(text)
    stamp = _PACKAGE / "__pycache__" / "kernels.stamp"
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return
    try:
        for kind in ("*.nbi", "*.nbc"):
            for stale in _PACKAGE.rglob(f"__pycache__/{kind}"):
                stale.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(digest.hexdigest())
    except PermissionError:
        # An installed package that this user may not write: its cache was made by the installer,
        # with these sources.
        return


def kernel(function: Function) -> Function:
    """Compile `function` with numba (nopython, cached, GIL released). Private kernels write into
    caller's arrays.
    """
    compiled: Function = numba.njit(cache=True, nogil=True)(function)
    return compiled


def inlined(function: Function) -> Function:
    """Let kernels call `function`; called from Python it stays plain Python, which makes it its own
    oracle.
    """
    callable_from_kernels: Function = register_jitable(function)
    return callable_from_kernels


_drop_stale_cache()
