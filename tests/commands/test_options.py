"""Options, files of options and suites are one thing: whatever says it, the same is asked for."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import vemrecon
from vemrecon.bench.learn_from import LearnFrom
from vemrecon.bench.missing import Missing
from vemrecon.bench.plan import plan
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.bench.track import Track
from vemrecon.cli import COMMANDS, main, parser
from vemrecon.commands.benchmark import BenchOptions
from vemrecon.errors import ConfigError
from vemrecon.options import choices_of, options_of

PLUGIN = """
from vemrecon.methods import Method, MethodCard


class Repeat(Method):
    card = MethodCard(title="Repeat each section", regime="none")
    presets = {"default": {"times": "many"}}

    def __init__(self, times: int = 1) -> None:
        super().__init__()

    def reconstruct(self, tile):
        return tile.observed.repeat_interleave(int(tile.scale), dim=2)


class Plain(Repeat):
    presets = {}
"""


def asked(*words):
    """What `bench` would get from the words of a command line."""
    text = [str(word) for word in words]
    given = vars(parser("bench").parse_args(["bench", *text], defaults=False).bench)
    return BenchOptions.of({name: value for name, value in given.items() if value is not None})


def refused(capsys, *words):
    """Exit code 2 and one line on standard error; gives the line."""
    assert main([str(word) for word in words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "Traceback" not in error, error
    return error


def run_ids(options):
    found = plan(resolve(options.requests, options.setup, fetch=False))
    return [run.folder.spec.run_id for run in found]


WORDS = ["--dataset", "phantom", "--scale", "4", "8", "--degradation", "average"]
WORDS += ["--methods", "linear", "lateral-cnn", "--seeds", "0", "1"]
FORMS = {
    "lists": {"scale": [4, 8], "methods": ["linear", "lateral-cnn"], "seeds": [0, 1], "dataset": ["phantom"]},
    "words": {"scale": "4 8", "methods": "linear,lateral-cnn", "seeds": "0 1", "dataset": "phantom"},
    "class paths": {
        "scale": [4.0, "8"],
        "methods": [{"class_path": "linear"}, {"class_path": "lateral-cnn", "init_args": {}}],
        "seeds": [0, 1],
        "dataset": "phantom",
        "split": None,
    },
    "tasks": {
        "tasks": [{"dataset": "phantom", "scale": 4}, {"dataset": "phantom", "scale": 8}],
        "methods": ["linear", "lateral-cnn"],
        "seeds": [0, 1],
    },
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("option", ["--config", "--suite"])
def test_every_natural_form_of_a_file_asks_for_the_same_as_the_words(tmp_path, form, option):
    (tmp_path / "asked.yaml").write_text(yaml.safe_dump({**FORMS[form], "runs": str(tmp_path)}))
    here = ["--runs", tmp_path]
    expected = run_ids(asked(*WORDS, *here))
    assert len(expected) == 6
    assert run_ids(asked(option, tmp_path / "asked.yaml")) == expected
    assert run_ids(asked("--dataset", "phantom", "--scale", "4,8", *WORDS[5:], *here)) == expected
    assert run_ids(asked("--dataset", "phantom", "--scale", "4 8", *WORDS[5:], *here)) == expected


@pytest.mark.parametrize(
    "words",
    [
        [],
        [*WORDS, "--preset", "smoke", "--mode", "transductive", "--metrics", "psnr", "--set", "lateral-cnn.width=4"],
        ["--devices", "2", "--jobs", "3", "--processes", "2", "--log", "wandb", "--retry", "failed"],
        ["--voxel-size", "8", "8", "8", "--intensity-range", "0", "99.5", "--data-root", "data", "--runs", "elsewhere"],
        ["--methods", "linear", "--set", "linear.kernel=linear", "--set", "subsample.offset=2"],
        ["--suite", "TWO"],
    ],
)
def test_what_is_printed_asks_for_the_same(tmp_path, capsys, words):
    two = {"methods": "linear", "tasks": [{"dataset": "phantom"}, {"dataset": "cremi", "task": "native", "scale": 10}]}
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(two))
    words = [str(tmp_path / "two.yaml") if word == "TWO" else word for word in words]
    for flag in ("--print_config", "--print-config"):
        assert main(["bench", *words, flag]) == 0
        (tmp_path / "printed.yaml").write_text(capsys.readouterr().out)
    first = asked(*words)
    for option in ("--config", "--suite"):
        again = asked(option, tmp_path / "printed.yaml")
        assert (again.requests, again.setup) == (first.requests, first.setup)
        assert main(["plan", option, str(tmp_path / "printed.yaml"), "--print_config"]) == 0
        assert capsys.readouterr().out == (tmp_path / "printed.yaml").read_text()


def test_options_take_the_place_of_a_file_and_a_file_of_the_suite(tmp_path):
    (tmp_path / "suite.yaml").write_text("dataset: fib25s\nsplit: test\nscale: 4\npreset: paper\nmethods: [linear]\n")
    (tmp_path / "file.yaml").write_text("preset: smoke\nseeds: 3\nsuite: ignored\n")
    files = ["--suite", tmp_path / "suite.yaml", "--config", tmp_path / "file.yaml"]
    (request,) = asked(*files, "--seeds", 5).requests
    assert (request.dataset, request.scale, request.preset, request.seeds) == (
        ("fib25s",),
        (4.0,),
        "smoke",
        (0, 1, 2, 3, 4),
    )
    (other,) = asked(*files, "--dataset", "cremi").requests
    assert other.seeds == (0, 1, 2)
    assert (other.split, other.scale, other.methods) == (None, (8.0,), ("linear",)), "a dataset brings its own task"


@pytest.mark.parametrize(
    ("words", "text", "seeds"),
    [
        (["3"], "3", (0, 1, 2)),
        (["1"], "1", (0,)),
        (["0"], "0", (0,)),
        (["4", "2"], "[4, 2]", (4, 2)),
        (["0,5"], "[0, 5]", (0, 5)),
        (["[7]"], "[7]", (7,)),
    ],
)
def test_one_number_says_how_many_seeds_and_several_say_which(tmp_path, words, text, seeds):
    (tmp_path / "file.yaml").write_text(f"methods: linear\nseeds: {text}\n")
    assert asked("--methods", "linear", "--seeds", *words).requests[0].seeds == seeds
    assert asked("--config", tmp_path / "file.yaml").requests[0].seeds == seeds


def test_a_seed_that_somebody_likes_is_not_taken_for_a_number_of_runs(capsys):
    assert main(["plan", "--methods", "linear", "--seeds", "20240101"]) == 2
    assert "for this one alone write [20240101]" in capsys.readouterr().err


BAD_FILES = {
    "methds: [linear]": "did you mean 'methods'",
    "scale: [4, x]": "scale 'x'",
    "seeds: [0.5]": "--seeds 0.5: must be a whole number",
    "seeds: [0, -1]": "--seeds -1: must be at least 0",
    "": "is empty; it must hold named settings",
    "# methods: linear": "is empty; it must hold named settings",
    "mode: tranductive": "did you mean 'transductive'",
    "dry_run: 3": "--dry-run 3: must be true or false",
    "jobs: [1]": "--jobs 1: must be a whole number",
    "voxel_size: 8": "--voxel-size 8: must be 3 values, not 1",
    "methods: {class_pth: linear}": "did you mean 'class_path'",
    "methods: [[linear]]": "must be a name",
    "tasks: phantom": "tasks must be a list",
    "tasks: [{dataset: phantom, scales: [4]}]": "did you mean 'scale'",
    "set: {bicubik: {kernel: linear}}": "did you mean 'bicubic'",
    "set: {bicubic: linear}": "must hold named arguments",
    "set: 3": "must read METHOD.ARGUMENT=VALUE",
    "- linear": "must hold named settings",
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(tmp_path, capsys, text):
    (tmp_path / "bad.yaml").write_text(text)
    assert BAD_FILES[text] in refused(capsys, "plan", "--config", tmp_path / "bad.yaml", "--runs", tmp_path)


def test_numbers_that_yaml_takes_for_words_are_numbers():
    request = Request("phantom", methods="lateral-cnn", set={"lateral-cnn": {"learning_rate": "1e-3"}})
    assert request.set == {"lateral-cnn": {"learning_rate": 0.001}}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lateral-cnn.widht=4"], "unknown argument of lateral-cnn 'widht': did you mean 'width'"),
        (["lateral-cnn.width=wide"], "width=wide does not fit, it must be int"),
        (["lateral-cnn.width=4.5"], "width=4.5 does not fit, it must be int"),
        (["bicubic.kernel=cubic"], "unknown kernel of bicubic 'cubic': did you mean"),
        (["d2r-aenet.diffusion=4"], "diffusion=4 does not fit, it must be Mapping"),
        (
            ["d2r-aenet.diffusion.width=wide"],
            "argument of d2r-aenet.diffusion: width=wide does not fit, it must be int",
        ),
        (["d2r-aenet.distil={budgett: 4}"], "unknown argument of d2r-aenet.distil 'budgett': did you mean 'budget'"),
        (["d2r-aenet.diffusion.widht=4"], "unknown argument of d2r-aenet.diffusion 'widht': did you mean 'width'"),
        (["average.ofset=2"], "unknown argument of average 'ofset'"),
        (["subsample.offset=far"], "offset=far does not fit, it must be int"),
        (["subsample.ofset=2"], "did you mean 'offset'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_by_plan(tmp_path, capsys, words, message):
    methods = ["--methods", "bicubic", "lateral-cnn", "d2r-aenet", "--preset", "smoke"]
    assert message in refused(capsys, "plan", *methods, "--set", *words, "--runs", tmp_path)


def test_arguments_of_a_suite_and_of_presets_of_others_are_checked_too(tmp_path, capsys, monkeypatch):
    (tmp_path / "checked_plugin.py").write_text(PLUGIN)
    (tmp_path / "suite.yaml").write_text("dataset: phantom\nmethods: [{class_path: linear, init_args: {kernal: 1}}]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert "did you mean 'kernel'" in refused(capsys, "plan", "--suite", "suite.yaml")
    assert "times=many does not fit" in refused(capsys, "plan", "--methods", "checked_plugin.Repeat")
    assert main(["plan", "--methods", "checked_plugin.Plain", "--set", "checked_plugin.Plain.times=2"]) == 0
    words = ["plan", "--methods", "checked_plugin.Plain", "--set", "checked_plugin.Plain.tims=2"]
    assert "did you mean 'times'" in refused(capsys, *words)


def test_an_argument_of_a_degradation_makes_another_task(tmp_path):
    plain, moved = (
        asked("--methods", "linear", "--runs", tmp_path, *more) for more in ((), ("--set", "subsample.offset=2"))
    )
    a, b = run_ids(plain), run_ids(moved)
    assert a[0] == b[0] and a[1] != b[1]


@pytest.fixture
def console(tmp_path):
    """Runs `vemrecon` as its console script does: without the current folder on the path."""
    (tmp_path / "mymodule.py").write_text(PLUGIN.replace("many", "1").replace('"1"', "1"))

    def run(*words, module=False):
        code = "import sys; sys.path.remove(''); from vemrecon.cli import main; sys.exit(main())"
        start = ["-m", "vemrecon"] if module else ["-c", code]
        return subprocess.run(
            [sys.executable, *start, *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


def test_the_console_command_finds_a_method_of_the_current_folder(console, tmp_path):
    task = ["--dataset", "phantom", "--split", "smoke", "--scale", "4", "--metrics", "psnr"]
    done = console("bench", "--methods", "mymodule.Repeat", "nearest", *task)
    assert done.returncode == 0, done.stderr + done.stdout
    results = [json.loads(path.read_text()) for path in tmp_path.glob("runs/*/*/result.json")]
    values = {s["value"] for result in results for s in result["scores"] if s["plane"] == "volume"}
    assert len(results) == 2 and len(values) == 1, "the plugin repeats sections, as `nearest` does"


def test_a_module_that_is_missing_is_said_in_one_line(console, tmp_path):
    done = console("plan", "--methods", "mymodul.Repeat")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert f"no module 'mymodul' is installed, nor in the current folder {tmp_path}" in done.stderr
    (tmp_path / "needy.py").write_text("import surely_not_there\n")
    assert "No module named 'surely_not_there'" in console("plan", "--methods", "needy.Repeat").stderr


def test_python_dash_m_is_the_command(console):
    done = console("--help", module=True)
    assert done.returncode == 0 and "usage: vemrecon" in done.stdout
    assert all(name in done.stdout for name in COMMANDS)


def test_a_command_that_does_not_exist_is_refused_with_the_closest_one(capsys):
    assert "did you mean 'bench'" in refused(capsys, "benhc")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_choices_and_defaults_as_the_dataclass_has_them(capsys, command):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    text = "".join(capsys.readouterr().out.split())  # lines also break at hyphens
    for part in COMMANDS[command].load().parts():
        for name, facts in options_of(part).items():
            known = choices_of(part, name)
            for said in (
                facts.help,
                known and f"(one of: {', '.join(known)}",
                facts.unset and f"default: {facts.unset})",
            ):
                assert not said or "".join(said.split()) in text, name


def bench_options():
    """Those with a name; the suite has one that `make` takes, too."""
    return [name for part in BenchOptions.parts() for name, one in options_of(part).items() if not one.positional]


def test_make_has_a_variable_for_every_option_of_bench():
    text = (Path(vemrecon.__file__).parents[1] / "Makefile").read_text().replace("\\\n", "")
    named = " ".join(re.findall(r"^(?:OPTIONS|SWITCHES) := (.*)$", text, re.MULTILINE)).split()
    assert sorted(named) == sorted(name.upper() for name in bench_options())


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("target", ["bench", "plan"])
def test_make_passes_every_variable_and_args(tmp_path, target):
    given = {
        "DATASET": "phantom", "SPLIT": "smoke", "TASK": "reference", "SCALE": "4 8", "DEGRADATION": "average subsample",
        "METHODS": "linear lateral-cnn", "SEEDS": "0 1", "PRESET": "smoke", "MODE": "inductive",
        "LEARN_FROM": "fib25s:train", "WEIGHTS": "w.safetensors", "FINE_TUNE": "1", "MISSING_SECTIONS": "11,40",
        "METRICS": "psnr segmentation", "SEGMENTER": "package.Network",
        "SET": "lateral-cnn.width=4 lateral-cnn.blocks=1", "DATA_ROOT": "data",
        "TRACK": "minutes=2", "KERNELS": "asked", "PRECISION": "bf16",
        "VOXEL_SIZE": "z=8 y=4", "SQUARE_PIXELS": "1", "INTENSITY_RANGE": "0 99",
        "RUNS": "elsewhere", "DEVICES": "cuda:0 cuda:1", "JOBS": "2",
        "CHANNEL": "1", "TIME": "0", "AXES": "czyx", "MISSING": "fill",
        "DEVICES_PER_RUN": "2", "TIMEOUT": "2h train=1h", "MEMORY": "8GiB", "DASK": "local:2",
        "LOG": "wandb tensorboard", "RETRY": "failed", "SUITE": "default", "CONFIG": "",
        "PICTURES": "3", "DRY_RUN": "1", "REHEARSE": "1", "PREPARE": "1", "PRINT_CONFIG": "1",
    }  # fmt: skip
    assert sorted(given) == sorted(name.upper() for name in bench_options())
    given["CONFIG"] = str(tmp_path / "empty.yaml")
    (tmp_path / "empty.yaml").write_text("{}")
    folder = Path(vemrecon.__file__).parents[1]
    words = ["make", "-n", "-o", ".venv/.installed", target, *(f"{name}={value}" for name, value in given.items())]
    words += ["ARGS=--set linear.a=3", "--no-print-directory"]
    # The tests may themselves run under `make`, whose flags and depth would come along.
    outside = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    done = subprocess.run(words, cwd=folder, env=outside, capture_output=True, text=True, check=True)
    program, command, *passed = shlex.split(done.stdout.strip().splitlines()[-1])
    assert program.endswith("vemrecon") and command == target
    options = asked(*passed)
    assert options.dry_run and options.print_config and options.prepare and options.rehearse
    assert options.setup == Setup(
        Path("elsewhere"), ("cuda:0", "cuda:1"), 2, 2, ("2h", "train=1h"), "local:2", "8GiB",
        ("wandb", "tensorboard"), "failed", data_root=Path("data"),
        voxel_size=("z=8", "y=4"), square_pixels=True, intensity_range=(0, 99),
        channel=1, time=0, axes="czyx", missing="fill",
    )  # fmt: skip
    assert options.requests == (
        Request(
            dataset="phantom", split="smoke", task="reference", scale=(4, 8), degradation=("average", "subsample"),
            missing_sections=Missing((11, 40)), methods=("linear", "lateral-cnn"), seeds=(0, 1), preset="smoke",
            precision="bf16", track=Track(2.0), mode="inductive", learn_from=(LearnFrom("fib25s", "train"),),
            weights=Path("w.safetensors"), fine_tune=True, metrics=("psnr", "segmentation"),
            segmenter="package.Network", kernels="asked",
            set={"lateral-cnn": {"width": 4, "blocks": 1}, "linear": {"a": 3}},
        ),
    )  # fmt: skip


def test_a_request_checks_itself_however_it_is_made():
    for wrong in ({"preset": "papr"}, {"scale": 1}, {"metrics": "psnrr"}, {"methods": ()}, {"dataset": ()}):
        with pytest.raises(ConfigError):
            Request(**{"dataset": "phantom", "methods": "linear", **wrong})


def test_settings_for_all_tasks_reach_those_that_they_belong_to(tmp_path, capsys):
    tasks = [{"dataset": "phantom", "degradation": ["average", "subsample"]}, {"dataset": "cremi", "scale": 10}]
    suite = {"tasks": tasks, "methods": "linear", "set": ["subsample.offset=2", "linear.kernel=linear"]}
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump(suite))
    first, second = asked("--suite", tmp_path / "suite.yaml").requests
    assert first.set == {"subsample": {"offset": 2}, "linear": {"kernel": "linear"}}
    assert second.set == {"linear": {"kernel": "linear"}}
    (tmp_path / "suite.yaml").write_text(yaml.safe_dump({**suite, "set": ["realistic.offset=2"]}))
    assert "in --set 'realistic'" in refused(capsys, "plan", "--suite", tmp_path / "suite.yaml")


def test_the_suite_of_the_readme_can_be_planned(tmp_path, capsys):
    text = (Path(vemrecon.__file__).parents[1] / "README.md").read_text()
    (tmp_path / "suite.yaml").write_text(re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)[0])
    assert main(["plan", "--suite", str(tmp_path / "suite.yaml"), "--runs", str(tmp_path)]) == 0
    assert "21 runs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["degrade", "v.npy", "o.tif"], "give --scale (anisotropy factor)"),
        (["degrade", "v.npy"], "and --scale (anisotropy factor)"),
        (["evaluate", "truth.npy"], "give reconstruction (volume of the same shape"),
        (["cite"], "give names (datasets and methods)"),
        (["figure", "--methods", "linear", "a.png"], "be edited), before --methods: that takes all words behind it"),
        (["plan", "--config", "."], "cannot be read"),
        (["plan", "--config", ""], "cannot be read"),
    ],
)
def test_what_is_missing_is_called_by_its_option(tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, *words)
