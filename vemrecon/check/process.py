"""The process in which checks are made: `python -m vemrecon.check.process FOLDER`, begun by `vemrecon.check.run`.

It reads names of checks from standard input, and writes what each has found to standard output as a line of JSON;
whatever else is printed goes to the log.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vemrecon.check.catalogue import checks_of, subject_of
from vemrecon.check.findings import Check, FailedError, Found, words_of
from vemrecon.check.verdict import Outcome, Verdict
from vemrecon.files import read_json


def main(folder: Path) -> int:
    """Answer until nothing more is asked."""
    said = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)
    order = read_json(folder / "order.json")
    checks = {check.name: check for check in checks_of(order["kind"])}
    said.write(json.dumps([[check.name, check.needed] for check in checks.values()]) + "\n")
    subject = subject_of(order["kind"], folder, order)
    for line in sys.stdin:
        said.write(json.dumps(asdict(answer(checks[line.strip()], subject))) + "\n")
    return 0


def answer(check: Check[Any], subject: Any) -> Verdict:
    """What a check finds."""
    clock = time.perf_counter()
    try:
        found = check.ask(subject)
    except FailedError as error:
        found = Found(" ".join(str(error).split()), Outcome.FAILED, error.facts)
    except Exception as error:  # code of others may raise anything
        traceback.print_exc()
        found = Found(words_of(error), Outcome.FAILED)
    return Verdict(check.name, found.outcome, found.words, round(time.perf_counter() - clock, 2), dict(found.facts))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
