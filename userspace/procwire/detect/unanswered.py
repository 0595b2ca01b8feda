"""What share of attempts came to nothing, for windows of the kernel, of packets and of records.

Free of compiled code; kernels compile these functions as they are.
"""

from __future__ import annotations

from procwire.event import Origin
from procwire.record import Attempt

# Kernels, and NumPy, know plain numbers only.
_CONNECT, _RAW, _IMPORT = int(Attempt.CONNECT), int(Origin.RAW), int(Origin.IMPORT)


def unanswered(attempts: int, established: int, failures: int, kind: int, origin: int) -> float:
    """Share of attempts that came to nothing; counts as in event.FANOUT_EVENT, but attempts are
    those for which there was a way.

    While fewer have ended than are pending, a connection pending counts as one of them: a silent
    target never says more. The other kinds are asked in bulk before the first reply can come, and
    nothing is known of them till then. Where failures are those of attempts that only another
    window has counted, nothing was tried. A raw socket is not how one asks whoever answers: what it
    sends has come to nothing. Imported records say what has failed, and what they do not tell has
    not."""
    ended = established + failures
    if origin == _RAW:
        return 1.0
    if attempts == 0:
        return 0.0
    if origin == _IMPORT:
        return failures / max(attempts, 1)
    if ended > 0 and 2 * ended >= attempts:
        return failures / ended
    return max(1 - established / max(attempts, 1), 0.0) if kind == _CONNECT else 0.0


def is_untold(attempts: int, established: int, failures: int, origin: int) -> bool:
    """Whether of most attempts no record says how they ended; counts as of unanswered()."""
    return origin == _IMPORT and 2 * (established + failures) < attempts
