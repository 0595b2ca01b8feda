"""The one way this project compiles: numba, cached beside the source, without the GIL."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba.extending import register_jitable

from procwire.compiled.indexing import index_from_front
from procwire.compiled.kernel_cache import cached

Function = TypeVar("Function", bound=Callable[..., Any])

# numba's annotations do not know _nrt.
_njit: Any = numba.njit
_register: Any = register_jitable
_config: Any = numba.config


def kernel(function: Function, **options: Any) -> Function:
    """Compile `function` with numba: nopython, cached, GIL released, without reference counts.

    Counting references to the arrays that functions pass on costs more than their work. The price:
    a kernel cannot make an array or a slice, numba refuses it; it writes into its caller's arrays.
    No index may be below 0: see indexing.py.
    """
    if _config.DISABLE_JIT:
        return _interpreted(function)
    compile_: Any = functools.partial(_njit, nogil=True, _nrt=False, **options)
    try:
        compiled = cached(compile_(), function)
    except RuntimeError:
        # A user without a home, such as nobody, where nothing was compiled beside the sources.
        compiled = compile_()(function)
    else:
        # What lies there was compiled without the checks that may be asked for.
        if not _config.BOUNDSCHECK:
            _take_over(Path(function.__code__.co_filename).parent, compiled.stats.cache_path)
    ready: Function = compiled
    return ready


@functools.cache
def _take_over(folder: Path, cache: str) -> None:
    """Copies what was compiled beside the sources in `folder` to where this user's cache is: numba
    reads nothing from a folder that it may not write."""
    # What cannot be copied is compiled.
    with contextlib.suppress(OSError):
        for compiled in (folder / "__pycache__").glob("*.nb[ic]"):
            copy = Path(cache, compiled.name)
            if copy.exists() and copy.stat().st_mtime_ns >= compiled.stat().st_mtime_ns:
                continue
            Path(cache).mkdir(parents=True, exist_ok=True)
            # Whole at once, for whoever starts at the same time.
            partial = copy.with_name(f"{copy.name}.{os.getpid()}")
            shutil.copy2(compiled, partial)
            partial.replace(copy)


def called(function: Function) -> Function:
    """A kernel that stays a call in the kernels that call it.

    numba compiles what a fused function calls as fused, too, unless told otherwise. A chain of
    large ones is then repeated for each of their calls, and takes minutes to compile.
    """
    return kernel(function, forceinline=False)


def _interpreted(function: Function) -> Function:
    """The function as plain Python, which finds an index outside an array. There the fields of a
    record are attributes only in a record array, and wrapping is not announced."""

    @functools.wraps(function)
    def interpreted(*arguments: Any) -> Any:
        with np.errstate(over="ignore"):
            return function(*map(_with_attributes, arguments))

    return interpreted  # type: ignore[return-value]


def _with_attributes(value: Any) -> Any:
    if isinstance(value, tuple) and hasattr(value, "_make"):
        return type(value)._make(map(_with_attributes, value))
    if isinstance(value, np.ndarray) and value.dtype.names:
        return value.view(np.recarray)
    return value


def fused(function: Function) -> Function:
    """Compiled into the body of each kernel that calls it; called from Python it stays plain
    Python, which makes it its own oracle."""
    part_of_kernels: Function = _register(forceinline=True, _nrt=False)(function)
    return part_of_kernels


index_from_front()
