"""A test once for each that loads the sensor's programs."""

from __future__ import annotations

import pytest
from procwire.sensor import bcc_compiler
from procwire.sensor.programs import Loader

WITHOUT_BCC = pytest.mark.skipif(
    bcc_compiler.version() is None, reason=f"bcc is not installed ({bcc_compiler.REMEDY})"
)
EITHER_LOADER = pytest.mark.parametrize(
    "loader", [Loader.LIBBPF, pytest.param(Loader.BCC, marks=WITHOUT_BCC)]
)
