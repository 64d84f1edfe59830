"""The training of one run in several processes: `torchrun -m vemrecon.bench.training_process RUN_FOLDER`.

Every process builds the same method from the same seed; each takes its share of every batch.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vemrecon.bench import phases
from vemrecon.bench.job import Job
from vemrecon.bench.store import RunFolder
from vemrecon.methods.registry import method_entry
from vemrecon.progress import silent


def main(path: Path) -> None:
    """Train the stages that are not finished."""
    folder = RunFolder.open(path)
    job = Job.read(path / "job.json")
    _, card, _ = method_entry(folder.spec.method.entry).resolved()
    phases.learn(folder, job, phases.method_of(folder), card.regime, silent)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
