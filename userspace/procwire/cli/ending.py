"""How commands end that go on until they are told to."""

from __future__ import annotations

import signal
from types import FrameType


class Ending:
    """From now on Ctrl-C, what stops a service, and a terminal that closes end nothing at once:
    whoever runs asks here, and leaves nothing behind. A hangup that is ignored stays so (nohup)."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        signal.signal(signal.SIGINT, self._note)
        signal.signal(signal.SIGTERM, self._note)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._note)

    @property
    def is_due(self) -> bool:
        """Whether the command is to end."""
        return bool(self._numbers)

    @property
    def is_interrupt(self) -> bool:
        """Whether Ctrl-C ends it."""
        return signal.SIGINT in self._numbers

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._numbers.append(number)
