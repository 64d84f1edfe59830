"""The command line. Parses, then calls one function per command; heavy imports happen inside the commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from jsonargparse import ActionYesNo, ArgumentParser, DefaultHelpFormatter, Namespace

from vemrecon import __version__
from vemrecon.errors import VemreconError

ABOUT = """Fair benchmarks of isotropic reconstruction for volume electron microscopy.

Volumes are (z, y, x); voxel sizes are in nm in the same order; the scale is the anisotropy factor."""


class HelpFormatter(DefaultHelpFormatter):
    """Help without `(default: null)`: options that default to nothing say in words what that means."""

    def _get_help_string(self, action: Any) -> str:
        quiet = action.help and action.default in (None, [], False)
        return action.help if quiet else super()._get_help_string(action)


def parser() -> ArgumentParser:
    """The parser with all subcommands."""
    top = ArgumentParser(
        prog="vemrecon", description=ABOUT, version=__version__, exit_on_error=False, formatter_class=HelpFormatter
    )
    commands = top.add_subcommands(dest="command", required=True, title="commands")
    for name, (_, add, text) in COMMANDS.items():
        sub = ArgumentParser(description=text, exit_on_error=False, formatter_class=HelpFormatter)
        add(sub)
        commands.add_subcommand(name, sub, help=text.partition("\n")[0])
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; give 0, or 1 if a run failed, 2 for bad input, 130 after Ctrl-C."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        config = parser().parse_args(words)
        room = import_module(f"vemrecon.commands.{COMMANDS[config.command][0]}")
        function: Callable[[Namespace], int] = getattr(room, config.command.replace("-", "_"))
        return function(config[config.command])
    except VemreconError as error:
        return _refuse(words, *getattr(error, "lines", [str(error)]))
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


def _bench_options(sub: Any) -> None:
    sub.add_argument("--config", action="config", help="YAML file with any of these options")
    sub.add_argument("--suite", default="default", help="named suite or YAML file that fills in what is not given here")
    sub.add_argument("--dataset", nargs="+", help="dataset, CARD.yaml, or local:PATH[:DATASET] for a file of your own")
    sub.add_argument("--split", help="named region of the dataset (default: that of its card; 'whole' for local files)")
    sub.add_argument(
        "--task", help="reference, lateral (degrade y) or native (the real z); default: what suits the dataset"
    )
    sub.add_argument("--scale", nargs="+", help="anisotropy factors, such as 4 8 10")
    sub.add_argument("--degradation", nargs="+", help="average, subsample, realistic or realistic_released")
    sub.add_argument("--methods", nargs="+", help="names (see `vemrecon methods`) or class paths")
    sub.add_argument("--seeds", nargs="+", help="seeds for methods that learn; training-free ones run once")
    sub.add_argument("--preset", help="smoke (seconds), cpu (minutes), gpu10 or paper, for methods that learn")
    sub.add_argument("--mode", help="inductive: learn on the training split; transductive: on the observed test volume")
    sub.add_argument("--metrics", nargs="+", help="metrics to score (default: those of the protocol)")
    sub.add_argument("--set", nargs="+", default=[], help="METHOD.ARGUMENT=VALUE makes a variant with its own row")
    sub.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs and the report")
    _data_options(sub)
    sub.add_argument("--data-root", type=Path, help="folder of dataset files (default: $VEMRECON_DATA, then a cache)")


def _data_options(sub: Any) -> None:
    sub.add_argument("--voxel-size", nargs=3, metavar=("Z", "Y", "X"), help="nm, where a file does not say it")
    sub.add_argument(
        "--intensity-range", nargs=2, metavar=("LOW", "HIGH"), help="grey values that mean black and white"
    )


def _bench(sub: Any) -> None:
    _bench_options(sub)
    sub.add_argument(
        "--jobs", help="runs at once (default: one per GPU; on a CPU one per core, but trainings one by one)"
    )
    sub.add_argument("--devices", nargs="+", default=["cpu"], help="cpu, cuda, cuda:1, ... or a number of GPUs")
    sub.add_argument("--processes", default="1", help="processes (GPUs) that share the training of one run")
    sub.add_argument(
        "--log", nargs="+", help="logs of training beside loss.csv: wandb (WANDB_MODE=offline works), tensorboard"
    )
    sub.add_argument("--retry", choices=["failed"], help="repeat runs that failed before")
    sub.add_argument("--dry-run", action="store_true", help="show the plan and stop")


def _run(sub: Any) -> None:
    sub.add_argument("folder", type=Path, help="run folder, as `vemrecon status` lists it")


def _runs(sub: Any) -> None:
    sub.add_argument("--runs", type=Path, default=Path("runs"), help="folder of runs")


def _report(sub: Any) -> None:
    _runs(sub)
    sub.add_argument("--out", type=Path, help="folder of the report (default: RUNS/report)")


def _figure(sub: Any) -> None:
    sub.add_argument("output", type=Path, help="figure to write: .png, or .pdf with text that can be edited")
    _runs(sub)
    sub.add_argument("--task", help="task to show, where RUNS holds several: a folder of RUNS")
    sub.add_argument("--methods", nargs="+", help="methods to show, in this order (default: all that have finished)")
    sub.add_argument("--volumes", nargs="+", type=Path, help="show these reconstructions, in any format, not runs")
    sub.add_argument("--truth", type=Path, help="with --volumes: isotropic truth")
    sub.add_argument("--observed", type=Path, help="with --volumes: the anisotropic volume that they were made from")
    sub.add_argument("--grid", help="of --observed: centred (thick sections) or aligned (kept thin ones)")
    sub.add_argument("--labels", nargs="+", help="names of the reconstructions (default: of methods or files)")
    sub.add_argument("--planes", nargs="+", help="xy, xz, yz (default: all; in lateral tasks xy, which is scored)")
    sub.add_argument(
        "--at",
        nargs=3,
        metavar=("Z", "Y", "X"),
        help="voxel of the truth that all planes go through (default: the middle, in a section that was not recorded)",
    )
    sub.add_argument("--size", help="side of the crop in voxels along x (default: 128); z and y show as many nm")
    sub.add_argument("--errors", action="store_true", help="also show reconstruction minus truth")
    sub.add_argument("--segmentation", help="outline what runs found, e.g. membranes; the place is then that of masks")
    sub.add_argument("--columns", default="planes", help="planes, or methods with the planes below each other")
    sub.add_argument("--scale-bar", help="length in nm (default: round, at most a third of a picture)")
    sub.add_argument("--width", help="of the figure in mm (default: 180, but no picture wider than 60)")
    sub.add_argument("--dpi", default="300", help="pixels per inch")
    _data_options(sub)


def _name(sub: Any) -> None:
    sub.add_argument("name", nargs="?", help="show everything about this one")


def _methods(sub: Any) -> None:
    _name(sub)
    sub.add_argument("--cost", action="store_true", help="show parameters and floating point operations instead")
    sub.add_argument("--preset", default="paper", help="with --cost: smoke, cpu, gpu10 or paper")
    sub.add_argument("--scale", default="8", help="with --cost: anisotropy factor")


def _datasets(sub: Any) -> None:
    _name(sub)
    sub.add_argument("--data-root", type=Path, help="folder of dataset files (default: $VEMRECON_DATA, then a cache)")


def _fetch(sub: Any) -> None:
    sub.add_argument(
        "name", help="dataset, as `vemrecon datasets` lists it; or lpips or sam2, for the weights of a metric"
    )
    sub.add_argument("files", nargs="*", help="some of its files (default: all)")
    sub.add_argument("--labels", action=ActionYesNo(no_prefix="no-"), default=True, help="label files too")
    sub.add_argument("--data-root", type=Path, help="folder of dataset files (default: $VEMRECON_DATA, then a cache)")


def _published(sub: Any) -> None:
    sub.add_argument("--dataset", help="epfl, fib25, cremi or a name that papers use")
    sub.add_argument("--scale", help="anisotropy factor, such as 8")
    sub.add_argument("--metric", help="such as psnr, ssim, fsc, iou")
    sub.add_argument("--method", help="such as isovem; brings its variants")


def _cite(sub: Any) -> None:
    sub.add_argument("names", nargs="+", help="datasets and methods")


def _degrade(sub: Any) -> None:
    sub.add_argument(
        "input", type=Path, help="isotropic volume: OME-Zarr, zarr, HDF5, TIFF, .npy or a folder of sections"
    )
    sub.add_argument("output", type=Path, help="anisotropic volume to write: .zarr or .tif")
    sub.add_argument("--scale", required=True, help="anisotropy factor")
    sub.add_argument("--degradation", default="average", help="average, subsample, realistic or realistic_released")
    sub.add_argument("--axis", default="z", help="axis to degrade: z, y or x")
    sub.add_argument("--seed", default="0", help="seed of the noise of realistic degradations")
    sub.add_argument("--set", nargs="+", default=[], help="ARGUMENT=VALUE of the degradation, such as offset=2")
    sub.add_argument("--dtype", help="uint8, uint16, int16 or float32 (default: that of the input)")
    sub.add_argument("--dataset", help="name inside an HDF5 file or zarr group")
    _data_options(sub)


def _reconstruct(sub: Any) -> None:
    sub.add_argument("input", type=Path, help="anisotropic volume, any readable format")
    sub.add_argument("output", type=Path, help="isotropic volume to write: .zarr or .tif")
    sub.add_argument("--method", default="bicubic", help="name (see `vemrecon methods`) or class path")
    sub.add_argument("--scale", help="sections to make of one (default: the anisotropy of the voxels)")
    sub.add_argument("--weights", type=Path, help="weights.safetensors of a run, or of `vemrecon import-weights`")
    sub.add_argument("--train", help="train on this volume first, with this preset: smoke, cpu, gpu10 or paper")
    sub.add_argument("--grid", help="centred (thick sections) or aligned (kept thin ones); default: as the file says")
    sub.add_argument("--missing-sections", help="numbers of sections to fill first, such as 11,40 (isovem-plus)")
    sub.add_argument("--uncertainty", type=Path, help="also write the spread over rotations or samples: .zarr or .tif")
    sub.add_argument("--seed", default="0", help="seed of the training")
    sub.add_argument("--set", nargs="+", default=[], help="ARGUMENT=VALUE of the method")
    sub.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    sub.add_argument("--dataset", help="name inside an HDF5 file or zarr group")
    _data_options(sub)


def _import_weights(sub: Any) -> None:
    sub.add_argument("method", help="vemamba, isovem, cyclegan-ir, irsde, emdiffuse-i or emdiffuse-a")
    sub.add_argument("file", type=Path, help="the authors' state dict: a torch or safetensors file")
    sub.add_argument("output", type=Path, help="weights.safetensors to write, for `reconstruct --weights`")
    sub.add_argument("--encoder", type=Path, help="state dict of VEMamba's degradation encoder")


def _evaluate(sub: Any) -> None:
    sub.add_argument("truth", type=Path, help="isotropic truth, any readable format")
    sub.add_argument("reconstruction", type=Path, help="volume of the same shape (or shorter in z, with --trim)")
    sub.add_argument("--metrics", nargs="+", help="metrics to score (default: those of the protocol)")
    sub.add_argument("--scale", help="anisotropy factor of the input, for layering measures and the scored ranges")
    sub.add_argument("--degradation", help="subsample: leave kept sections out of xy means, and score the span too")
    sub.add_argument(
        "--trim", action="store_true", help="score the first sections only when the reconstruction is shorter"
    )
    sub.add_argument("--truth-dataset", help="name inside an HDF5 file or zarr group")
    sub.add_argument("--reconstruction-dataset", help="name inside an HDF5 file or zarr group")
    sub.add_argument("--json", type=Path, help="also write all scores and curves to this file")
    _data_options(sub)


def _prepare(sub: Any) -> None:
    sub.add_argument("name", help="dataset, or the path of a file in any readable format")
    sub.add_argument("more", nargs="*", help="files of the dataset (default: all); for a path the .zarr to write")
    sub.add_argument("--memory", default="1GiB", help="most that the process may take, such as 512MB or 1GiB")
    sub.add_argument("--data-root", type=Path, help="folder of dataset files (default: $VEMRECON_DATA, then a cache)")
    sub.add_argument("--dataset", help="for a path: name inside an HDF5 file or zarr group")
    sub.add_argument("--voxel-size", nargs=3, metavar=("Z", "Y", "X"), help="for a path: nm, where it does not say it")


COMMANDS: dict[str, tuple[str, Callable[[Any], None], str]] = {
    "bench": (
        "benchmark",
        _bench,
        "Run methods on datasets and write the leaderboard.\n\nFinished runs are never repeated.",
    ),
    "plan": ("benchmark", _bench_options, "Show the runs that `bench` would do, and stop."),
    "run": ("benchmark", _run, "Do one planned run again or go on with it, in this process."),
    "status": ("benchmark", _runs, "Show every run and where it stands."),
    "report": (
        "benchmark",
        _report,
        "Write leaderboard.csv, leaderboard.json, README.md and index.html from finished runs.",
    ),
    "figure": (
        "figure",
        _figure,
        "Write a figure for a paper: the same place of truth, observed volume and reconstructions.\n\n"
        "Shows the finished runs of a task with their PSNR and SSIM, or with --volumes any files.",
    ),
    "methods": ("lists", _methods, "List the methods, built in and installed, show one, or count what they cost."),
    "datasets": ("lists", _datasets, "List the datasets and their splits, or show one."),
    "published": ("lists", _published, "List numbers that papers have published."),
    "cite": ("lists", _cite, "Print citation and licence of datasets and methods."),
    "fetch": (
        "fetch",
        _fetch,
        "Download the files of a dataset, or the weights of LPIPS or SAM 2, and verify them.\n\n"
        "An interrupted download goes on where it stopped.",
    ),
    "reconstruct": ("volumes", _reconstruct, "Make an anisotropic volume isotropic."),
    "import-weights": ("volumes", _import_weights, "Convert weights that the authors of a method have released."),
    "degrade": ("volumes", _degrade, "Make an anisotropic volume from an isotropic one."),
    "prepare": (
        "prepare",
        _prepare,
        "Check the raw files of a dataset, or one of your own, and write them as OME-Zarr.",
    ),
    "evaluate": ("volumes", _evaluate, "Score any reconstruction file against any truth file."),
}


if __name__ == "__main__":
    sys.exit(main())
