"""The command that checks whether a method, metric, degradation or dataset keeps to what all of its kind promise."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vemrecon.check.catalogue import CheckedKind
from vemrecon.check.run import check as ask
from vemrecon.check.run import report_of
from vemrecon.check.verdict import Outcome, Verdict
from vemrecon.errors import ConfigError
from vemrecon.file_options import RootOptions
from vemrecon.options import option

COLOURS = {Outcome.PASSED: "green", Outcome.FAILED: "red", Outcome.NOTED: "yellow", Outcome.LEFT_OUT: "dim"}


@dataclass(frozen=True, kw_only=True)
class CheckOptions(RootOptions):
    """Options of `check`."""

    name: str = option(
        "of a method (or what --kind says), or its class path such as mypackage.module.Class", positional=True
    )
    kind: CheckedKind = option("what is checked", "method", noun="kind")
    preset: str = option("preset that a method runs with", "", unset="the smallest that it has")
    only: tuple[str, ...] = option("some of the checks, by name", (), whole=True)
    limit: float = option("most seconds of a check", 120.0)
    memory: float = option("most GiB of memory of a check", 8.0)
    out: Path = option("file that keeps what was found; `submit` asks for it", Path("check.json"))
    log: Path | None = option("file for what the code prints", None, unset="nowhere")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("limit", "memory"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"--{name} {getattr(self, name):g}: must be more than 0")


def check(options: CheckOptions) -> int:
    """Ask all questions, a line for each; give 1 if one failed."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)

    def tell(verdict: Verdict) -> None:
        line = Text(f"{verdict.check:<14} ")
        line.append(f"{verdict.outcome.value:<9}", COLOURS[verdict.outcome])
        console.print(line.append(f" {verdict.seconds:6.1f} s  {verdict.words}"), soft_wrap=True)

    verdicts = ask(
        options.kind,
        options.name,
        preset=options.preset,
        data_root=options.data_root and options.data_root.absolute(),
        only=options.only,
        limit=options.limit,
        memory=round(options.memory * 2**30),
        tell=tell,
        log=options.log,
    )
    if not options.only:  # half of a report is none
        report_of(options.kind, options.name, verdicts, options.preset).write(options.out)
    failed = sum(verdict.outcome is Outcome.FAILED for verdict in verdicts)
    said = f"{failed} of {len(verdicts)} checks failed" if failed else f"{options.name} passes"
    written = "" if options.only else f", written to {options.out}"
    console.print(f"{said}; {sum(v.seconds for v in verdicts):.0f} s{written}", soft_wrap=True)
    return 1 if failed else 0
