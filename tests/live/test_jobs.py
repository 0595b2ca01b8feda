"""A scan by processes that each end too soon is their session's, or their container's."""

from __future__ import annotations

import os

import pytest
from jobs import JOBS
from sensing import Sensing

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to load eBPF programs"),
]


@pytest.mark.parametrize("name", JOBS)
def test_the_job_is_told_of_and_no_process_of_it(live: Sensing, name: str) -> None:
    JOBS[name](live)
