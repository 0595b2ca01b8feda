"""For tests that run procwire as nobody: whether that user may come to where it lies."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

PYTHON = Path(sys.executable)
CLOSED = [folder for folder in reversed(PYTHON.parents) if not folder.stat().st_mode & stat.S_IXOTH]
needs_open_folders = pytest.mark.skipif(
    bool(CLOSED),
    reason=f"nobody may not enter {CLOSED[0] if CLOSED else ''}, where procwire lies"
    " (clone it elsewhere, or chmod o+x)",
)
