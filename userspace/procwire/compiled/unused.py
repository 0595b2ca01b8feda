"""What numba would load at its start and no kernel needs."""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from typing import Any

_modules: dict[str, Any] = sys.modules


def leave_out_cffi() -> None:
    """Have numba do without cffi, until the first kernel is called: it would make a parser of C for
    functions that kernels might call, and takes a thirtieth of a start for that."""
    known = _modules.get("cffi")
    # An import of it fails, as where it is not installed.
    _modules["cffi"] = None
    try:
        # A numba that has it elsewhere loads what it wants to.
        with suppress(ModuleNotFoundError):
            importlib.import_module("numba.core.typing.cffi_utils")
    finally:
        if known is None:
            del _modules["cffi"]
        else:
            _modules["cffi"] = known
