"""The command line. Parses, then calls one function per command; heavy imports happen inside the commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

from jsonargparse import ArgumentParser

from vemrecon import __version__
from vemrecon.commands.options import HelpFormatter, add_options, joined
from vemrecon.errors import VemreconError, unknown
from vemrecon.options import Options, options_of
from vemrecon.processes import prefer_huge_pages

ABOUT = """Fair benchmarks of isotropic reconstruction for volume electron microscopy.

Volumes are (z, y, x); voxel sizes are in nm in the same order; the scale is the anisotropy factor."""


class Command(NamedTuple):
    """A subcommand: a function of its name in `vemrecon.commands.ROOM`, and the dataclass of its options."""

    room: str
    options: str
    text: str

    def load(self) -> type[Options]:
        """The dataclass, which is in the room, or in ROOM_options where the room is slow to import."""
        room, _, name = self.options.rpartition(".")
        found: type[Options] = getattr(import_module(f"vemrecon.commands.{room or self.room}"), name)
        return found


def parser(command: str | None = None) -> ArgumentParser:
    """The parser with all subcommands, of which only the one that is asked for has its options."""
    top = ArgumentParser(
        prog="vemrecon",
        description=ABOUT,
        version=__version__,
        exit_on_error=False,
        formatter_class=HelpFormatter,
        print_config=None,
    )
    commands = top.add_subcommands(dest="command", required=True, title="commands")
    for name, one in COMMANDS.items():
        sub = ArgumentParser(
            description=one.text, exit_on_error=False, formatter_class=HelpFormatter, print_config=None
        )
        for part in one.load().parts() if name == command else ():
            add_options(sub, part)
        commands.add_subcommand(name, sub, help=one.text.partition("\n")[0])
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; give 0, or 1 if a run failed, 2 for bad input, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    prefer_huge_pages()
    try:
        name = words[0] if words and not words[0].startswith("-") else None
        if name is not None and name not in COMMANDS:
            raise unknown("command", name, COMMANDS)
        config = parser(name).parse_args(joined(words), defaults=False)
        command = COMMANDS[config.command]
        kind = command.load()
        bare = {key for part in kind.parts() for key, one in options_of(part).items() if one.bare}
        found = vars(config[config.command]).items()
        given = {key: value for key, value in found if value is not None and (value != [] or key in bare)}
        options = kind.of(given)
        room = import_module(f"vemrecon.commands.{command.room}")
        function: Callable[[Any], int] = getattr(room, config.command.replace("-", "_"))
        return function(options)
    except VemreconError as error:
        return _refuse(words, *getattr(error, "lines", [str(error)]))
    except MemoryError as error:
        return _refuse(words, f"there is too little memory for this ({error}); cut out a part of the volume")
    except KeyboardInterrupt:
        print("stopped; the same command goes on where this one ended", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `vemrecon methods | head`
        sys.stderr.close()
        return 0
    except Exception as error:
        if type(error).__name__ != "ArgumentError":
            raise
        return _refuse(words, str(error))


def _refuse(words: Sequence[str], text: str, *more: str) -> int:
    """One line on standard error, and further ones where several files are missing."""
    command = next((word for word in words if word in COMMANDS), "")
    print(f"vemrecon{' ' + command if command else ''}: error: {' '.join(text.split())}", file=sys.stderr)
    for line in more:
        print(f"  {' '.join(line.split())}", file=sys.stderr)
    return 2


COMMANDS: dict[str, Command] = {
    "bench": Command(
        "benchmark",
        "BenchOptions",
        "Run methods on datasets and write the leaderboard.\n\nFinished runs are never repeated.",
    ),
    "plan": Command("benchmark", "BenchOptions", "Show the runs that `bench` would do, and stop."),
    "run": Command("benchmark", "RunOptions", "Do one planned run again or go on with it, in this process."),
    "status": Command("status", "StatusOptions", "Show every run and where it stands."),
    "report": Command(
        "benchmark",
        "ReportOptions",
        "Write leaderboard.csv, leaderboard.json, README.md and index.html from finished runs.",
    ),
    "compare": Command(
        "compare",
        "CompareOptions",
        "Compare two methods on the same blocks: difference, interval and paired test.",
    ),
    "figure": Command(
        "figure",
        "figure_options.FigureOptions",
        "Write a figure for a paper: the same place of truth, observed volume and reconstructions.\n\n"
        "Shows the finished runs of a task with their PSNR and SSIM, or with --volumes any files.",
    ),
    "methods": Command(
        "lists", "MethodsOptions", "List the methods, built in and installed, show one, or count what they cost."
    ),
    "datasets": Command("lists", "DatasetsOptions", "List the datasets and their splits, or show one."),
    "suites": Command("lists", "SuitesOptions", "List the suites: what can be compared under one name."),
    "metrics": Command("lists", "MetricsOptions", "List the metrics, or show what one gives."),
    "degradations": Command("lists", "DegradationsOptions", "List the degradations, or show one with its arguments."),
    "formats": Command("formats", "FormatsOptions", "List the formats of volumes that are read and written."),
    "published": Command("lists", "PublishedOptions", "List numbers that papers have published."),
    "cite": Command("lists", "CiteOptions", "Print citation and licence of datasets and methods."),
    "fetch": Command(
        "fetch",
        "FetchOptions",
        "Download the files of a dataset, or the weights of LPIPS or SAM 2, and verify them.\n\n"
        "An interrupted download goes on where it stopped.",
    ),
    "info": Command(
        "info",
        "InfoOptions",
        "Say what a file holds, where each fact comes from, and what the other commands do with it.",
    ),
    "reconstruct": Command("reconstruct", "ReconstructOptions", "Make an anisotropic volume isotropic."),
    "weights": Command("weights", "WeightsOptions", "List the weights that come with the package, or show a card."),
    "import-weights": Command(
        "volumes", "ImportOptions", "Convert weights that the authors of a method have released."
    ),
    "degrade": Command("volumes", "DegradeOptions", "Make an anisotropic volume from an isotropic one."),
    "prepare": Command(
        "prepare",
        "PrepareOptions",
        "Check the raw files of a dataset, or one of your own, and write them as OME-Zarr.",
    ),
    "clean": Command(
        "clean",
        "CleanOptions",
        "List what killed commands have left behind, and remove it.\n\nFinished work is never listed.",
    ),
    "new": Command(
        "new",
        "NewOptions",
        "Begin a package with a method, metric, degradation or dataset of your own.\n\n"
        "It has a test, a card, presets, a citation and a README, and passes `check` at once.",
    ),
    "check": Command(
        "check",
        "CheckOptions",
        "Check that a method, metric, degradation or dataset keeps to what all of its kind promise.\n\n"
        "Takes about a minute on a small phantom; what fails says what to do.",
    ),
    "submit": Command(
        "submissions",
        "SubmitOptions",
        "Hand in the finished runs of a method: one folder each, which anybody can verify.\n\n"
        "Refuses what could not be: quick presets, too few seeds, code that has changed, or was not checked.",
    ),
    "verify": Command(
        "submissions",
        "VerifyOptions",
        "Verify what was handed in: identity, data, files, and scores computed again from the reconstruction.",
    ),
    "reproduce": Command(
        "submissions",
        "ReproduceOptions",
        "Run one row of the leaderboards from scratch, and compare it with what stands there.",
    ),
    "leaderboard": Command("submissions", "LeaderboardOptions", "Build tables, JSON and page from submissions alone."),
    "evaluate": Command("volumes", "EvaluateOptions", "Score any reconstruction file against any truth file."),
}


if __name__ == "__main__":
    sys.exit(main())
