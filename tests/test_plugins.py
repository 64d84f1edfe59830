"""What other packages announce: each kind is found, used and refused in one line; nothing built in is lost."""

import json
import sys

import numpy as np
import pytest
from small_volumes import textured

from vemrecon.bench.changes import state_of
from vemrecon.bench.store import run_folders
from vemrecon.cli import main
from vemrecon.data.catalogue import dataset_card
from vemrecon.degradations import degradations, make_degradation
from vemrecon.errors import PluginError
from vemrecon.files import sha256_of
from vemrecon.methods.registry import method_entry
from vemrecon.metrics import catalogue
from vemrecon.plugins import code_digest

METRIC = """
from vemrecon.metrics.column import Better, Column
from vemrecon.metrics.score import Score
from vemrecon.metrics.spec import MetricSpec


def columns(kind, axis):
    return (Column(NAME, "volume", "Bias", "volume", Better.ZERO, "4", "", default=True),)


def evaluate(evidence):
    import numpy as np

    made, truth = (v.read(v.whole).astype(float).mean() for v in (evidence.reconstruction, evidence.truth))
    yield Score(NAME, "", "volume", "all", "all", float(made - truth))


NAME = "bias"
BIAS = MetricSpec(NAME, "mean difference", columns, evaluate)
PSNR = MetricSpec("psnr", "not the built-in one", columns, evaluate)
OTHER = MetricSpec("other", "columns of another one", columns, evaluate)
"""
DEGRADATION = """
from dataclasses import dataclass

from vemrecon.degradations import Subsample


@dataclass(frozen=True)
class Dimmed(Subsample):
    \"\"\"Kept sections; only its name is another one.\"\"\"

    name = "dimmed"


@dataclass(frozen=True)
class Average(Dimmed):
    \"\"\"Has the name of a built-in one.\"\"\"

    name = "average"
"""
DATASET = """
from pathlib import Path

CARD = Path(__file__).with_name("tissue.yaml")
"""
CARD = """
title: Tissue of a package
licence: none
citation: none
voxel_size: [8, 8, 8]
files: {grey: {path: tissue/grey.npy}}
default_split: test
splits: {test: {file: grey, region: [[0, 16], [0, 32], [0, 32]]}}
"""
METHOD = """
from pathlib import Path

from vemrecon.methods import Method

class Repeat(Method):
    card = Path(__file__).with_name("card.yaml")
    presets = Path(__file__).with_name("presets.yaml")

    def __init__(self, factor: float = 1.0):
        super().__init__()
        self.factor = factor

    def reconstruct(self, tile):
        return tile.observed.repeat_interleave(int(tile.scale), dim=2) * self.factor
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Function that installs a package of one module, with entry points by kind; runs find it, too."""
    monkeypatch.chdir(tmp_path)  # runs are processes of their own, which see this folder
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def put(package, source, **points):
        (tmp_path / f"{package}.py").write_text(source)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [
            f"[vemrecon.{kind}]\n" + "\n".join(f"{n} = {package}:{v}" for n, v in some) for kind, some in points.items()
        ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        sys.modules.pop(package, None)
        for known in (catalogue.metrics, degradations):
            known.cache_clear()

    yield put
    for known in (catalogue.metrics, degradations):
        known.cache_clear()


@pytest.fixture
def bench(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "v.npy", textured((16, 32, 32)))

    def run(*words):
        base = ["--dataset", "local:v.npy", "--scale", "4", "--voxel-size", "8", "8", "8", "--jobs", "1"]
        code = main(["bench", *base, "--metrics", "psnr", *words])
        said = capsys.readouterr()
        return code, " ".join(said.out.split()), said.err

    run.folders = lambda: {f.spec.method.name: f for f in run_folders(tmp_path / "runs")}
    return run


def test_a_metric_of_another_package_is_listed_scored_and_shown(install, bench, tmp_path, capsys):
    install("biaspkg", METRIC, metrics=[("bias", "BIAS")])
    assert bench("--methods", "linear", "--metrics", "psnr", "bias")[0] == 0
    (score,) = [s for s in bench.folders()["linear"].result().scores if s.metric == "bias"]
    assert abs(score.value) < 0.1
    assert "Bias volume" in (tmp_path / "runs" / "report" / "README.md").read_text()
    assert main(["metrics"]) == 0 and "mean difference" in capsys.readouterr().out
    assert main(["metrics", "biaspkg:bias"]) == 0 and "Bias volume" in capsys.readouterr().out
    np.save("made.npy", textured((16, 32, 32)))
    assert main(["evaluate", "v.npy", "made.npy", "--metrics", "biaspkg:bias", "--voxel-size", "8", "8", "8"]) == 0
    (tmp_path / "biaspkg-1.0.dist-info" / "entry_points.txt").unlink()  # without it, what it has scored is still shown
    catalogue.metrics.cache_clear()
    assert main(["report", "--runs", "runs"]) == 0
    assert "bias" in (tmp_path / "runs" / "report" / "leaderboard.csv").read_text()


@pytest.mark.parametrize(
    ("name", "place", "reason"),
    [
        ("psnr", "PSNR", "a built-in metric has this name"),
        ("bias", "NAME", "must be a MetricSpec of the name 'bias'"),
        ("other", "OTHER", "its columns must be those of 'other', not of bias"),
        ("bias", "MISSING", "has no attribute 'MISSING'"),
    ],
)
def test_a_metric_that_cannot_be_used_is_one_line_and_costs_nothing_else(install, bench, capsys, name, place, reason):
    install("wrongpkg", METRIC, metrics=[(name, place)])
    asked = f"wrongpkg:{name}"
    code, _, error = bench("--methods", "linear", "--metrics", asked)
    assert code == 2 and reason in error and error.count("\n") == 1
    assert bench("--methods", "linear")[0] == 0
    assert main(["metrics"]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert reason in listed and "psnr lateral" in listed
    assert main(["datasets", "phantom"]) == 0


def test_a_degradation_of_another_package_makes_tasks(install, bench, capsys):
    install("dimpkg", DEGRADATION, degradations=[("dimmed", "Dimmed"), ("average", "Average")])
    assert bench("--methods", "linear", "--degradation", "dimmed")[0] == 0
    (dimmed,) = bench.folders().values()
    assert dimmed.spec.task.degradation.name == "dimmed" and dimmed.spec.task.slug.endswith("dimmed-x4")
    code, said, _ = bench("--methods", "linear")
    assert (
        code == 0 and "degradation 'average' is the built-in one; that of the package dimpkg is dimpkg:average" in said
    )
    code, said, _ = bench("--methods", "linear", "--degradation", "builtin:average")
    assert code == 0 and "1 of them finished before" in said
    assert bench("--methods", "linear", "--degradation", "dimpkg:average")[0] == 0
    assert make_degradation("dimpkg:average", 4).grid.thin and not make_degradation("average", 4).grid.thin
    assert main(["degradations"]) == 0
    assert "dimpkg:average" in capsys.readouterr().out


def test_a_dataset_of_another_package_is_its_card(install, tmp_path, capsys):
    install("tissuepkg", DATASET, datasets=[("tissue", "CARD"), ("fib25", "CARD"), ("bare", "Path")])
    (tmp_path / "tissue.yaml").write_text(CARD)
    (tmp_path / "tissue").mkdir()
    np.save(tmp_path / "tissue" / "grey.npy", textured((16, 32, 32)))
    words = ["--dataset", "tissue", "--data-root", ".", "--scale", "4", "--methods", "linear", "--metrics", "psnr"]
    assert main(["bench", *words, "--jobs", "1"]) == 0
    (folder,) = run_folders(tmp_path / "runs")
    assert folder.spec.task.dataset == "tissue"
    assert dataset_card("tissuepkg:fib25").title == "Tissue of a package"
    assert dataset_card("fib25").title != "Tissue of a package"
    with pytest.raises(PluginError, match="must be the Path of a card"):
        dataset_card("bare")
    capsys.readouterr()
    assert main(["datasets"]) == 0
    assert "tissuepkg:fib25" in capsys.readouterr().out
    assert main(["cite", "tissue"]) == 0


def test_a_method_has_its_card_and_presets_in_files_and_its_name_beside_a_built_in_one(
    install, bench, tmp_path, capsys
):
    install("repeatpkg", METHOD, methods=[("repeat", "Repeat"), ("linear", "Repeat")])
    (tmp_path / "card.yaml").write_text("{title: Repeat, regime: none}")
    (tmp_path / "presets.yaml").write_text("default: {factor: 0.5}")
    code, said, _ = bench("--methods", "repeat", "linear", "repeatpkg:linear", "nearest")
    assert code == 0, said
    assert "that of the package repeatpkg is repeatpkg:linear" in said
    folders = bench.folders()
    assert set(folders) == {"repeat", "linear", "repeatpkg:linear", "nearest"}
    assert folders["repeat"].spec.method.arguments == {"factor": 0.5}
    assert folders["linear"].spec.method.class_path.startswith("vemrecon.")
    assert folders["repeat"].spec.method.found().class_path == "repeatpkg.Repeat"
    assert bench("--methods", "builtin:linear", "repeatpkg:repeat")[1].count("2 of them finished before") == 1
    assert main(["methods"]) == 0
    listed = capsys.readouterr().out
    assert "repeatpkg:linear" in listed
    assert method_entry("builtin:linear").asked == "linear"


def test_a_run_keeps_where_its_method_comes_from_and_is_stale_when_any_file_of_that_changes(install, bench, tmp_path):
    place = tmp_path / "ownpkg"
    place.mkdir()
    (place / "__init__.py").write_text("")
    (place / "card.yaml").write_text("{title: Repeat, regime: none}")
    (place / "presets.yaml").write_text("default: {factor: 0.5}")
    (place / "method.py").write_text(METHOD)
    install("ownpkg", "", methods=[("own", "x")])
    (tmp_path / "ownpkg.py").unlink()
    (tmp_path / "ownpkg-1.0.dist-info" / "entry_points.txt").write_text(
        "[vemrecon.methods]\nown = ownpkg.method:Repeat\n"
    )
    assert bench("--methods", "own", "linear")[0] == 0
    folder = bench.folders()["own"]
    origin = folder.result().spec.method.origin
    assert (origin.distribution, origin.version) == ("ownpkg", "1.0") and len(origin.source) == 64
    assert bench.folders()["linear"].spec.method.origin is None
    code_digest.cache_clear()
    assert bench("--methods", "own")[1].count("1 of them finished before") == 1
    (place / "presets.yaml").write_text("default: {factor: 0.5} # a comment")
    code_digest.cache_clear()
    assert state_of(folder) == "stale"
    assert bench("--methods", "own", "--retry", "stale")[0] == 0
    again = bench.folders()["own"]
    assert again.path == folder.path and again.result().spec.method.origin.source != origin.source


def test_weights_of_a_method_are_fetched_where_it_finds_them(install, tmp_path, capsys, monkeypatch):
    install("weightpkg", METHOD, methods=[("weighty", "Repeat")])
    file = tmp_path / "w.npy"
    np.save(file, np.zeros(2))
    weights = [{"file": "w.npy", "sha256": sha256_of(file), "address": "http://127.0.0.1:9/w.npy"}]
    (tmp_path / "presets.yaml").write_text("default: {}")
    (tmp_path / "card.yaml").write_text(json.dumps({"title": "t", "regime": "external", "weights": weights}))
    (tmp_path / "data" / "weights").mkdir(parents=True)
    file.rename(tmp_path / "data" / "weights" / "w.npy")
    assert main(["fetch", "weighty", "--data-root", str(tmp_path / "data")]) == 0
    assert "1 file of weighty" in capsys.readouterr().out
    (tmp_path / "card.yaml").write_text("{title: t, regime: none}")
    assert main(["fetch", "weighty"]) == 2
    assert "nothing to fetch" in capsys.readouterr().err


def test_a_name_that_two_packages_have_is_told_apart_by_the_package(install):
    for package in ("onepkg", "twopkg"):
        install(package, METHOD, methods=[("repeat", "Repeat")])
    with pytest.raises(PluginError, match="provided by onepkg and twopkg; say onepkg:repeat or twopkg:repeat"):
        method_entry("repeat")
    assert method_entry("twopkg:repeat").class_path == "twopkg.Repeat"


def test_a_preset_may_be_a_file(bench, tmp_path, capsys):
    (tmp_path / "tiny.yaml").write_text(
        "lateral-cnn: {parts: [{arguments: {width: 8, budget: 2, patch: 16}}], like: cpu}"
    )
    words = ("--methods", "linear", "lateral-cnn", "--mode", "transductive", "--preset", "tiny.yaml")
    code, _, error = bench(*words)
    assert code == 0, error
    spec = bench.folders()["lateral-cnn"].spec
    assert spec.preset == "tiny" and spec.method.arguments == {"width": 8, "budget": 2, "patch": 16}
    for text, reason in [
        ("isovem: {}", "has no preset for lateral-cnn (has isovem)"),
        ("lateral-cnn: 3", "must hold named arguments"),
        ("lateral-cnn: {wdth: 3}", "wdth"),
    ]:
        (tmp_path / "tiny.yaml").write_text(text)
        code, _, error = bench(*words)
        assert code == 2 and reason in error and error.count("\n") == 1
    (tmp_path / "paper.yaml").write_text("lateral-cnn: {}")
    code, _, error = bench(*words[:-1], "paper.yaml")
    assert code == 2 and "is built in; give the file another name" in error


def test_a_segmenter_may_have_a_name(install, tmp_path):
    from vemrecon.bench.request import read_segmenter

    install("segpkg", "class Network: ...", segmenters=[("membranes", "Network")])
    assert read_segmenter("membranes") == read_segmenter("segpkg:membranes") == "segpkg.Network"
