"""How procwire's commands end, for tests that run them."""

from __future__ import annotations

import json

ENDS = {"nothing": 0, "findings": 1, "usage": 2, "damage": 3, "missing": 4}


class Ran:
    """How a command ended: exit code, results, talk."""

    def __init__(self, code: int, out: str, talk: str) -> None:
        self.code, self.out, self.talk = code, out, talk
        self.records = [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    def of_type(self, kind: str) -> list[dict]:
        return [record for record in self.records if record["event_type"] == kind]
