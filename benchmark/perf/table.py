"""One table of how fast our code is, as ratios against named baselines.

    python benchmark/perf/table.py [--rows NAME ...] [--threads 1] [--write] [--list]

Every row is measured in a process of its own, ours and the baseline in turns. `times` says how many times faster than
the baseline our code is (below 1: slower). `--write` puts the table into `README.md` beside this file. Rows are
functions of the files `rows_*.py`; see `ratios.py` for how to add one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ratios import ROWS, Ratio, Row

HERE = Path(__file__).parent
TIMEOUT = 180  # seconds of a row
PACKAGES = ("torch", "numpy", "scipy", "zarr", "scikit-image", "torchmetrics", "pytorch-msssim", "piq", "monai")
COMMAND = "python benchmark/perf/table.py"
HEAD = """# Speed

Ratios against named baselines, measured in turns on one machine; `times` says how many times faster our code is than
the baseline. `make perf` measures all of them and prints this table, `{command} --write` writes it here, and the
command of one row is `{command} --rows NAME`. Other scripts of this folder measure more sizes (`scan.py`, `gauss.py`,
`tile.py`, `engine.py`, `metrics.py`, `sweep.py`) and what is no ratio (`endless.py`, `prepare.py`, `sampling.py`).

{machine}

"""


def load() -> None:
    """Import the files that have rows."""
    for file in sorted(HERE.glob("rows_*.py")):
        import_module(file.stem)


def machine(threads: int) -> str:
    """Processor and versions."""
    from vemrecon.environment import commit, cores, cpu_name

    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"no {name}")
    cpu = f"{cpu_name()}, {cores()} cores, {threads} thread{'s' * (threads > 1)}"
    return f"{cpu}; {platform.system()}, Python {platform.python_version()}; {', '.join(found)}; commit {commit()}."


def measured(row: Row, threads: int) -> Ratio | str:
    """A row, in a process of its own; or why there is no value."""
    if row.obstacle:
        return row.obstacle
    words = [sys.executable, str(HERE / "table.py"), "--one", row.name, "--threads", str(threads)]
    environ = os.environ | {"OMP_NUM_THREADS": str(threads)}
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT, env=environ, check=False)
    except subprocess.TimeoutExpired:
        return f"took more than {TIMEOUT} s"
    if done.returncode:
        return f"failed: {(done.stderr.strip().splitlines() or ['no message'])[-1][:80]}"
    return Ratio(**json.loads(done.stdout.splitlines()[-1]))


def line(row: Row, found: Ratio | str) -> str:
    """Of the Markdown table."""
    if isinstance(found, str):
        cells = ["", "", "", found]
    else:
        cells = [f"{found.ours:.3g}", f"{found.baseline:.3g}", f"**{found.value:.2f}**", found.difference]
    return f"| `{row.name}` | {row.what} | {row.baseline} | {' | '.join(cells)} |"


def table(found: Mapping[str, Ratio | str]) -> str:
    """In Markdown."""
    head = ["| row | ours | baseline | s | s of baseline | times | difference |", "|---|---|---|---:|---:|---:|---|"]
    return "\n".join([*head, *(line(ROWS[name], value) for name, value in found.items())]) + "\n"


def one(name: str, threads: int) -> None:
    """Measure a row in this process, and print it as JSON."""
    import torch

    torch.set_num_threads(threads)
    print(json.dumps(asdict(ROWS[name].measure())))


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    load()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), metavar="NAME")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write README.md")
    parser.add_argument("--list", action="store_true", help="list the rows, and stop")
    parser.add_argument("--one", choices=list(ROWS), help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.one:
        one(asked.one, asked.threads)
        return
    if asked.list:
        for row in ROWS.values():
            print(f"{row.name:20} {row.what}, against {row.baseline}")
        return
    clock, found = time.perf_counter(), {}
    for name in asked.rows or ROWS:
        found[name] = measured(ROWS[name], asked.threads)
        print(line(ROWS[name], found[name]), flush=True)
    print(f"{time.perf_counter() - clock:.0f} s; {machine(asked.threads)}")
    if asked.write:
        head = HEAD.format(command=COMMAND, machine=machine(asked.threads))
        (HERE / "README.md").write_text(head + table(found), encoding="utf-8")


if __name__ == "__main__":
    main()
