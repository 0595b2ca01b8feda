"""The one way this project compiles: numba, cached beside the source, without the GIL.

numba's cache looks only at the file of the function it compiles, not at the functions that one
calls. So a module's cached kernels are dropped when it, or a module that it imports from, changed
since they were compiled.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba.extending import register_jitable

from procwire.indexing import index_from_front

Function = TypeVar("Function", bound=Callable[..., Any])

# numba's annotations do not know _nrt.
_njit: Any = numba.njit
_register: Any = register_jitable
_config: Any = numba.config
_PACKAGE = Path(__file__).parent
_IMPORT = re.compile(r"^from (procwire[\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)


def _closures() -> dict[str, str]:
    """Module -> digest of its source and of those of all modules of this package it imports."""
    texts = {
        ".".join(path.relative_to(_PACKAGE.parent).with_suffix("").parts): path.read_text()
        for path in _PACKAGE.rglob("*.py")
    }
    imports = {
        module: {
            name
            for base, names in _IMPORT.findall(text)
            for name in (base, *(f"{base}.{word}" for word in re.findall(r"\w+", names)))
            # What checks and prints rules takes no part in their compilation.
            if name in texts and not name.startswith("procwire.compiler")
        }
        for module, text in texts.items()
    }
    digests = {}
    for module in texts:
        reached, waiting = {module}, [module]
        while waiting:
            found = imports[waiting.pop()] - reached
            reached |= found
            waiting += found
        digest = hashlib.sha256(numba.__version__.encode())
        for name in sorted(reached):
            digest.update(texts[name].encode())
        digests[module] = digest.hexdigest()
    return digests


def _drop_stale_cache() -> None:
    stamp = _PACKAGE / "__pycache__" / "kernels.json"
    now = _closures()
    try:
        cached = json.loads(stamp.read_text())
    except (OSError, ValueError):
        cached = {}
    stale = [module for module, digest in now.items() if cached.get(module) != digest]
    if not stale:
        return
    try:
        for module in stale:
            source = _PACKAGE.parent.joinpath(*module.split("."))
            for compiled in (source.parent / "__pycache__").glob(f"{source.name}.*.nb[ic]"):
                compiled.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(json.dumps(now))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        # An installed package that this user may not write: its installer made the cache, from
        # these sources.
        return


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
        compiled = compile_(cache=True)(function)
    except RuntimeError:
        # A user without a home, such as nobody, has nowhere to keep a cache.
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


_drop_stale_cache()
index_from_front()
