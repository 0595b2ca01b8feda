"""numba's cache of compiled functions, beside their sources: never stale, and quickly read.

numba looks only at the file of the function it compiles, not at the functions that one calls. So
kernels are kept with a digest of their module and of all modules that it imports from, and are
compiled anew when it is another, wherever they lie.

Beside the machine code of a function numba keeps its intermediate code, for functions that call it
and are compiled later, and reads it at once. That takes a fifth of the start of a command, in which
nothing is compiled, and much memory. Here it is read when it is asked for.
"""

from __future__ import annotations

import contextlib
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
_config: Any = numba.config
_PACKAGE = Path(__file__).parent.parent
_IMPORT = re.compile(r"^from (procwire[\w.]*) import (\([^)]*\)|.*)$", re.MULTILINE)


class _BesideTheSources:
    """Where a kernel of this package was compiled by whoever may write there, for a user who may
    write nowhere."""

    def __init__(self, function: Callable[..., Any], folder: Path) -> None:
        self._line, self._folder = function.__code__.co_firstlineno, folder

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> _BesideTheSources | None:
        folder = Path(file).parent / "__pycache__"
        # What lies there was compiled without the checks that may be asked for.
        usable = function.__module__ in digests() and folder.is_dir() and not _config.BOUNDSCHECK
        return cls(function, folder) if usable else None

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_disambiguator(self) -> str:
        return str(self._line)

    def ensure_cache_path(self) -> None:
        raise PermissionError(f"{self._folder} is only read")


class _Compiled(_numbas_cache):  # type: ignore[misc]
    _locator_classes = (*_numbas_cache._locator_classes, _BesideTheSources)

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        digest = digests().get(function.__module__)
        if digest is not None:
            self._locator.get_source_stamp = lambda: digest

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
    """What numba.njit(cache=True) would use. Raises RuntimeError where there is no folder."""

    _impl_class = _Compiled

    def save_overload(self, signature: Any, result: Any) -> None:
        """As numba does; what finds no place is compiled again the next time."""
        with contextlib.suppress(OSError):
            super().save_overload(signature, result)


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


def _made() -> dict[str, str]:
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


@cache
def digests() -> dict[str, str]:
    """Module of this package -> digest of its source and of those of all modules that it imports
    from. Removes what was compiled beside the sources from others."""
    stamp = _PACKAGE / "__pycache__" / "kernels.json"
    noted: dict[str, str] = {}
    files = _files()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        written = json.loads(stamp.read_text())
        noted = written["modules"]
        # To look into all of them takes longer than to import some.
        if written["files"] == files:
            return noted
    made = _made()
    stale = [module for module, digest in made.items() if noted.get(module) != digest]
    # Who may not write there, or has no room, looks again the next time.
    with contextlib.suppress(OSError):
        for module in stale:
            source = _PACKAGE.parent.joinpath(*module.split("."))
            for compiled in (source.parent / "__pycache__").glob(f"{source.name}.*.nb[ic]"):
                compiled.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(json.dumps({"files": files, "modules": made}))
    return made
