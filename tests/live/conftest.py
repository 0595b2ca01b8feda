"""The sensor of this machine's kernel and a namespace to run commands in, one for each file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from procwire.errors import Unavailable
from procwire.sensor.loader import Sensor
from sensing import SETTINGS, Sensing, namespace


@pytest.fixture(scope="module")
def live(request: pytest.FixtureRequest) -> Iterator[Sensing]:
    """Skips where the sensor cannot start, with what it says is missing."""
    if shutil.which("ip") is None:
        pytest.skip("ip is not installed (apt-get install iproute2)")
    name = f"{request.module.__name__.replace('_', '-')}-{os.getpid()}"
    with namespace(name):
        try:
            sensor = Sensor(SETTINGS)
        except Unavailable as error:
            pytest.skip(str(error))
        with sensor:
            yield Sensing(sensor, name)
