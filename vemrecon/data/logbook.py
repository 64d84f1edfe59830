"""`Logbook`: which parts of a long piece of work are finished, so that a kill costs no more than one of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vemrecon.errors import DataError
from vemrecon.files import read_json, write_json


class Logbook:
    """Parts of one piece of work, by number, with what was found in each; kept in the folder of the work.

    Attributes:
        finished: What was found in the parts that earlier attempts at the same plan have finished, and in those since.
        goes_on: Whether there was such an attempt; if not, what lies in the folder belongs to another plan.
    """

    def __init__(self, folder: Path, plan: Mapping[str, Any]) -> None:
        self.folder, self.plan = folder, dict(plan)
        self.log = folder / "parts.log"
        self.goes_on = _known(folder / "plan.json") == self.plan
        self.finished: dict[int, Any] = self._read() if self.goes_on else {}

    def forget(self) -> None:
        """Before what lies in the folder is removed: an attempt that is killed then has nothing to go on with."""
        for path in (self.folder / "plan.json", self.log):
            path.unlink(missing_ok=True)
        self.finished = {}

    def begin(self) -> None:
        """Once there is something to go on with."""
        write_json(self.folder / "plan.json", self.plan)

    def add(self, number: int, found: Any) -> None:
        """Write down that a part is complete; it must be on the disk by then.

        Raises:
            OSError: If it cannot be written.
        """
        with self.log.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"part": number, "found": found}) + "\n")
            log.flush()
            os.fsync(log.fileno())
        self.finished[number] = found

    def _read(self) -> dict[int, Any]:
        """Finished parts; a last line cut off by a kill does not count."""
        text = self.log.read_text(encoding="utf-8") if self.log.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self.log.write_text(whole, encoding="utf-8")
        lines = [json.loads(line) for line in whole.splitlines()]
        return {line["part"]: line["found"] for line in lines}


def _known(path: Path) -> Any:
    try:
        return read_json(path)
    except DataError:
        return None
