"""Where what outlasts a run lies: the context, and the history of flows."""

from __future__ import annotations

import os
from pathlib import Path

from procwire.errors import Unavailable

_OF_THE_SYSTEM = Path("/var/lib/procwire")


def state_folder() -> Path:
    """$STATE_DIRECTORY as systemd sets it, /var/lib/procwire for root, or the user's own state
    directory (XDG). Raises Unavailable where the user has none."""
    given = os.environ.get("STATE_DIRECTORY")
    if given:
        # systemd separates several by colons; the first is the service's own.
        return Path(given.partition(":")[0])
    if os.geteuid() == 0:
        return _OF_THE_SYSTEM
    state = os.environ.get("XDG_STATE_HOME")
    try:
        folder = Path(state) if state else Path.home() / ".local" / "state"
    except RuntimeError:
        raise Unavailable(f"user {os.geteuid()} has no home directory", "set HOME") from None
    return folder / "procwire"
