"""Enter runs of this project's own benchmarks into leaderboards/submissions: handed in, verified, without large files.

    python benchmark/enter.py RUNS [RUNS ...] [--data-root PATH] [--checks checks]

Each finished run becomes a submission as `vemrecon submit` writes it, is verified up to its reconstruction, made
again from its weights, and is kept if nothing speaks against that. Reconstructions and weights stay in the runs.
`vemrecon check` looks at each method once; its reports are kept in the folder `checks`. Unlike `submit` it takes fewer
seeds than others need, which tables say, and runs of earlier code, whose commit they name, as long as the code of today
makes the same of their weights. Afterwards: vemrecon leaderboard build.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from vemrecon.bench.result import Status
from vemrecon.bench.store import RunFolder, run_folders
from vemrecon.cli import main as vemrecon
from vemrecon.errors import VemreconError
from vemrecon.files import slug
from vemrecon.submissions.hand_in import Authors, passed_check, sums, unfit, write_submission
from vemrecon.submissions.submission import RECONSTRUCTION, VERIFICATION, WEIGHTS, Submission
from vemrecon.submissions.verify import Verifier

SUBMISSIONS = Path("leaderboards/submissions")
AUTHORS = Authors(authors="The vemrecon developers", note="made with the command in leaderboards/README.md")
PICTURED = 8.0
"""The scale at which pictures of kernels are kept; of other methods they always are."""


def check_of(folder: RunFolder, checks: Path) -> Path:
    """Report of a check of the run's method, made if none fits."""
    path = checks / f"{folder.spec.method.entry}.json"
    try:
        passed_check(path, folder)
    except VemreconError:
        checks.mkdir(parents=True, exist_ok=True)
        if vemrecon(["check", folder.spec.method.entry, "--out", str(path)]) != 0:
            raise
    return path


def enter(folder: RunFolder, out: Path, checks: Path, data_root: Path | None) -> str:
    """Enter one run.

    Returns:
        What became of it, in a line.
    """
    result, spec = folder.result(), folder.spec
    place = out / spec.task.slug / f"{slug(spec.method.name)}-{spec.run_id}"
    if result is None or result.status != Status.DONE:
        return "is not finished"
    if (place / VERIFICATION).exists():
        return "was entered before"
    if reason := unfit(spec):
        return f"left out: {reason}"
    with tempfile.TemporaryDirectory(prefix="vemrecon-enter-") as scratch:
        made = Path(scratch) / place.name
        write_submission(folder, result, made, check_of(folder, checks), AUTHORS)
        if result.card and result.card.kernel and spec.task.scale != PICTURED:
            (made / "sections.npz").unlink(missing_ok=True)
        for path in made.glob("*.json"):  # spaces are a third of them
            path.write_text(json.dumps(json.loads(path.read_text()), separators=(",", ":")) + "\n")
        replace(Submission.read(made), files=sums(made)).write(made)
        found = Verifier(made, data_root).verify("reconstructed")
        found.write(made)
        for name in (RECONSTRUCTION, WEIGHTS):
            (made / name).unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)  # of the same run, but never verified
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(made, place)
    return found.level


def main() -> int:
    """Enter the runs of folders; a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=SUBMISSIONS)
    parser.add_argument("--checks", type=Path, default=Path("checks"))
    parser.add_argument("--data-root", type=Path)
    given = parser.parse_args()
    wrong = 0
    for runs in given.runs:
        for folder in run_folders(runs):
            try:
                said = enter(folder, given.out, given.checks, given.data_root)
            except VemreconError as error:
                said, wrong = f"refused: {error}", wrong + 1
            print(f"{folder.path.parent.name}  {folder.path.name}  {said}", flush=True)
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
