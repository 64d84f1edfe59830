"""One of several processes that share the training of a run.

`python -m vemrecon.bench.executors.training_process FOLDER PARENT`, begun by `learn_together`. Every process builds the
same method from the same seed; each takes its share of every batch.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from vemrecon.bench.executors.messages import Teller
from vemrecon.processes import end_with_input, end_with_parent, join_group


def main(path: Path, parent: int) -> int:
    """Train the stages that are not finished."""
    end_with_parent(parent)
    end_with_input()
    tell = Teller()
    os.dup2(2, 1)  # what else is printed belongs to the log
    from vemrecon.bench.job import Job
    from vemrecon.bench.store import RunFolder
    from vemrecon.bench.trainings import learn

    try:
        folder, job = RunFolder.open(path), Job.read(path / "job.json")
        join_group(job.devices)
        _, card, _ = folder.spec.method.found().resolved()
        learn(folder, job, card.regime, tell)
    except Exception as error:
        traceback.print_exc()
        tell.error(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
