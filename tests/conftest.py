"""Fixtures that several tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

CORPUS = Path(__file__).parent.parent.parent / "shared" / "corpus"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of recordings beside the checkout, which is not part of it."""
    if not CORPUS.is_dir():
        pytest.skip(f"no recordings at {CORPUS}")
    return CORPUS
