"""What is handed in says what was run; what nobody could verify is refused in one line."""

import json

import pytest

from vemrecon.bench.result import RunResult
from vemrecon.bench.store import run_folders
from vemrecon.check.verdict import CheckReport
from vemrecon.cli import main
from vemrecon.files import sha256_of
from vemrecon.kept import write_mark
from vemrecon.plugins import code_digest
from vemrecon.submissions.hand_in import refusal
from vemrecon.submissions.submission import Submission


def submit(*words):
    return main(["submit", "runs", "--method", "Mixed", "--out", "sub", *words])


def test_a_folder_holds_all_that_somebody_else_needs(handed_in):
    found, result = Submission.read(handed_in), RunResult.read(handed_in / "result.json")
    assert {one.name for one in handed_in.iterdir()} == {
        "submission.json", "spec.json", "result.json", "curves.json", "sections.npz", "check.json",
        "reconstruction.tif",
    }  # fmt: skip
    assert found.run["run_id"] == result.run_id and found.run["method"] == "Mixed"
    assert found.run["source_sha256"] == result.spec.method.origin.source != ""
    assert (found.authors, found.licence) == ("A. Author", "MIT")
    assert found.reconstruction.sha256 == sha256_of(handed_in / "reconstruction.tif")
    assert found.weights is None and len(found.observed) == len(found.truth) == 64


def test_an_address_stands_before_the_names_of_folders(here):
    assert submit("--address", "https://example.org/files/") == 0
    (folder,) = (here / "sub").iterdir()
    assert Submission.read(folder).reconstruction.address == (
        f"https://example.org/files/{folder.name}/reconstruction.tif"
    )


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda place: (place / "check.json").unlink(), "run `vemrecon check mixed_method.Mixed`"),
        (lambda place: spoil_check(place, outcome="failed"), "the check 'load' failed"),
        (lambda place: spoil_check(place, class_path="other.Method"), "is of other.Method"),
        (lambda place: spoil_check(place, version="9"), "is of other code than the runs"),
        (lambda place: edit(place), "the code of mixed_method.Mixed has changed since"),
        (lambda place: unfinished(place), "not finished"),
    ],
)
def test_what_nobody_could_verify_is_refused(here, capsys, spoil, words):
    spoil(here)
    assert submit() == 2
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1
    assert not (here / "sub").exists()


def spoil_check(place, **facts):
    report = json.loads((place / "check.json").read_text())
    report.pop("crc32_of_this")
    if "outcome" in facts:
        report["verdicts"][0] |= facts
    else:
        report |= facts
    write_mark(place / "check.json", report)
    assert CheckReport.read(place / "check.json")


def edit(place):
    with (place / "mixed_method.py").open("a") as file:
        file.write("# changed\n")
    code_digest.cache_clear()


def unfinished(place):
    next((place / "runs").glob("*/Mixed-*/result.json")).unlink()


def test_quick_presets_local_files_and_few_seeds_are_refused(here, capsys):
    (place,) = (folder for folder in run_folders(here / "runs") if folder.spec.method.name == "Mixed")
    from dataclasses import replace

    smoke = replace(place, spec=replace(place.spec, preset="smoke"))
    assert "only shows that a method runs" in refusal(smoke)
    local = replace(place, spec=replace(place.spec, task=replace(place.spec.task, dataset="local:v.npy")))
    assert "nobody else could verify it" in refusal(local)
    data = json.loads((place.path / "result.json").read_text())
    data.pop("crc32_of_this")
    data["card"]["random"] = True
    write_mark(place.path / "result.json", data)
    assert submit() == 2
    assert "--seeds 0 1 2" in capsys.readouterr().err
    assert main(["submit", "runs", "--method", "Mixde", "--out", "sub"]) == 2
    assert "did you mean 'Mixed'" in capsys.readouterr().err


def test_nothing_is_written_over(here, capsys):
    assert submit() == 0
    assert submit() == 2
    assert "is there already" in capsys.readouterr().err
