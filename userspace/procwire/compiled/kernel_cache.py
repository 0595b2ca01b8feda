"""numba's cache of compiled functions, beside their sources: never stale, and quickly read.

numba looks only at the file of the function it compiles, not at the functions that one calls. So a
module's cached kernels are dropped when it, or a module that it imports from, changed since they
were compiled.

Beside the machine code of a function numba keeps its intermediate code, for functions that call it
and are compiled later, and reads it at once. That takes a fifth of the start of a command, in which
nothing is compiled, and much memory. Here it is read when it is asked for.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numba
from llvmlite import binding
from numba.core.caching import CompileResultCacheImpl, FunctionCache

_binding: Any = binding
_numbas_cache: Any = CompileResultCacheImpl
_functions: Any = FunctionCache
_PACKAGE = Path(__file__).parent.parent
_IMPORT = re.compile(r"^from (procwire[\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)


class _Compiled(_numbas_cache):  # type: ignore[misc]
    def reduce(self, result: Any) -> Any:
        """What a file of the cache holds of a compiled function; names: what its code defines."""
        intermediate = result.library._get_module_for_linking()
        kinds = intermediate.functions, intermediate.global_variables
        names = {one.name for kind in kinds for one in kind if not one.is_declaration}
        return names, *super().reduce(result)

    def rebuild(self, target_context: Any, held: Any) -> Any:
        """The compiled function of which a file holds that."""
        names, (name, kind, (machine_code, intermediate)), *others = held
        target_context.codegen()._engine._defined_symbols |= names
        shown = name, kind, (machine_code, _empty_module())
        result = super().rebuild(target_context, (shown, *others))
        result.library._get_module_for_linking = partial(_read, result.library, intermediate)
        return result


class KernelCache(_functions):  # type: ignore[misc]
    """What numba.njit(cache=True) would use. Raises RuntimeError where no folder can be written."""

    _impl_class = _Compiled


@cache
def _empty_module() -> bytes:
    empty: bytes = _binding.parse_assembly("").as_bitcode()
    return empty


def _read(library: Any, intermediate: bytes) -> Any:
    del library._get_module_for_linking
    library._shared_module = _binding.parse_bitcode(intermediate)
    return library._shared_module


def cached(compile_: Callable[[Callable[..., Any]], Any], function: Callable[..., Any]) -> Any:
    """`function` as compile_ makes a dispatcher of it, with a KernelCache."""
    dispatcher = compile_(function)
    dispatcher._cache = KernelCache(function)
    return dispatcher


def _files() -> dict[str, list[int]]:
    """Source, numba's among them -> when it was changed, and its size."""
    sources = (*_PACKAGE.rglob("*.py"), Path(numba.__file__))
    found = ((path, path.stat()) for path in sources)
    return {str(path): [stat.st_mtime_ns, stat.st_size] for path, stat in found}


def _digests() -> dict[str, str]:
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


def drop_stale() -> None:
    """Remove what was compiled from other sources than those that are here now."""
    stamp = _PACKAGE / "__pycache__" / "kernels.json"
    try:
        noted = json.loads(stamp.read_text())
        files, digests = noted["files"], noted["modules"]
    except (OSError, ValueError, KeyError, TypeError):
        files, digests = {}, {}
    # To look into all of them takes longer than to import some.
    if files == (files_now := _files()):
        return
    digests_now = _digests()
    stale = [module for module, digest in digests_now.items() if digests.get(module) != digest]
    try:
        for module in stale:
            source = _PACKAGE.parent.joinpath(*module.split("."))
            for compiled in (source.parent / "__pycache__").glob(f"{source.name}.*.nb[ic]"):
                compiled.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(json.dumps({"files": files_now, "modules": digests_now}))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        # An installed package that this user may not write: its installer made the cache, from
        # these sources.
        return
