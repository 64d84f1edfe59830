"""The grey range that decides a number travels with it: cards, plans, results and leaderboards."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_volumes import textured

from vemrecon.bench.plan import plan
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.bench.worker import recorded
from vemrecon.cli import main, parser
from vemrecon.commands.benchmark import BenchOptions
from vemrecon.data.catalogue import dataset_card
from vemrecon.progress import silent
from vemrecon.report import read_board, write_report

GREY = textured((16, 32, 32))
TWELVE = GREY.astype(np.uint16) * 16  # of which 4080 is white: the same grey levels, exactly
SIZE = ["--voxel-size", "8", "8", "8"]
TASK = ["--scale", "4", "--degradation", "average", "--methods", "linear", "--metrics", "psnr"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.save(tmp_path / "eight.npy", GREY)
    np.save(tmp_path / "twelve.npy", TWELVE)
    return tmp_path


def card_of(folder: Path, name: str, file: str, **facts: object) -> str:
    card = {"title": name, "voxel_size": [8, 8, 8], "files": {"v": {"path": file}}, "splits": {"test": {"file": "v"}}}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({**card, **facts}))
    return str(folder / f"{name}.yaml")


def benched(folder: Path, name: str, *words: str) -> Path:
    """What `bench` does, in this process."""
    runs = folder / name
    given = vars(parser("bench").parse_args(["bench", *words, *TASK, "--runs", str(runs)], defaults=False).bench)
    options = BenchOptions.of({key: value for key, value in given.items() if value is not None})
    for run in plan(resolve(options.requests, options.setup, fetch=True, say=print)):
        run.folder.create()
        run.job.write(run.folder.path / "job.json")
        assert recorded(run.folder, silent) == 0
    write_report(runs, runs / "report")
    return runs


def rows(runs: Path) -> list[dict[str, str]]:
    with (runs / "report" / "leaderboard.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def psnr(runs: Path) -> float:
    asked = {"method": "linear", "metric": "psnr", "variant": "", "plane": "volume", "block": "all"}
    (value,) = {row["value"] for row in rows(runs) if asked.items() <= row.items()}
    return float(value)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main([*words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    return error


def test_twelve_bits_have_the_leaderboard_of_eight_once_their_range_is_said(folder: Path, capsys):
    eight = benched(folder, "r8", "--dataset", f"local:{folder / 'eight.npy'}", *SIZE)
    local = ["--dataset", f"local:{folder / 'twelve.npy'}", *SIZE]
    assert "--intensity-range 0 4095 is likely" in refused(capsys, "bench", *local, *TASK, "--runs", str(folder / "r"))
    said = benched(folder, "r12", *local, "--intensity-range", "0", "4080")
    card = benched(folder, "rc", "--dataset", card_of(folder, "own", "twelve.npy", intensity_range=[0, 4080]))
    assert psnr(said) == psnr(card) == pytest.approx(psnr(eight), abs=0.02)
    for runs, black, white, by in ((eight, 0, 255, "type"), (said, 0, 4080, "user"), (card, 0, 4080, "card")):
        (path,) = runs.glob("*/*/result.json")
        found = {"black": black, "white": white, "stated_by": by}
        assert json.loads(path.read_text())["intensity_range"] == found
        (table,) = json.loads((runs / "report" / "leaderboard.json").read_text())["tasks"]
        assert table["intensity_range"] == table["rows"][0]["runs"][0]["intensity_range"] == found
        assert {(row["black"], row["white"], row["range_stated_by"]) for row in rows(runs)} == {
            (f"{float(black)}", f"{float(white)}", by)
        }
        assert f"grey values {black} to {white} (" in (runs / "report" / "README.md").read_text().replace("\\", "")
        assert f"<dd>{black} to {white} (" in (runs / "report" / "index.html").read_text()
        again = write_report(runs, folder / f"again-{by}", read_board(runs / "report" / "leaderboard.json"))
        assert again.board.tables[0].intensity_range.span == (black, white)


def ids(folder: Path, dataset: str, *, fetch: bool = True, **setup: object) -> list[str]:
    request = Request((dataset,), scale=(4,), methods=("linear",))
    runs = plan(resolve([request], Setup(folder / "runs", **setup), fetch=fetch))
    return [run.folder.spec.run_id for run in runs]


def test_a_range_is_part_of_the_run_id_where_it_is_not_that_of_the_type(folder: Path):
    plain = ids(folder, card_of(folder, "plain", "eight.npy"))
    (folder / "plain.yaml").rename(folder / "kept.yaml")
    assert ids(folder, card_of(folder, "plain", "eight.npy", intensity_range=[0, 255])) == plain
    assert ids(folder, card_of(folder, "plain", "eight.npy", intensity_range=[0, 200])) != plain
    file = {"v": {"path": "eight.npy", "intensity_range": [0, 200]}}
    per_file = ids(folder, card_of(folder, "plain", "eight.npy", files=file, intensity_range=[0, 99]))
    assert per_file == ids(folder, card_of(folder, "plain", "eight.npy", intensity_range=[0, 200])), "a file's own wins"
    stated = card_of(folder, "plain", "twelve.npy", intensity_range=[0, 4080])
    assert ids(folder, stated) == ids(folder, stated, fetch=False) == ids(folder, stated, intensity_range=(0, 4080))


def test_an_option_that_contradicts_the_card_is_refused_and_fills_in_what_it_does_not_say(folder: Path, capsys):
    stated = card_of(folder, "stated", "twelve.npy", intensity_range=[0, 4080])
    silent = card_of(folder, "silent", "twelve.npy")
    eight = card_of(folder, "eight", "eight.npy")
    here = [*TASK, "--runs", str(folder / "r")]
    for command in ("bench", "plan"):
        for card, known in ((stated, "0 to 4080 (card)"), (eight, "0 to 255 (type"), ("phantom", "0 to 255 (type")):
            words = [command, "--dataset", card, *here, "--intensity-range", "0", "4095"]
            assert known in refused(capsys, *words)
    assert "state intensity_range in the card of silent" in refused(capsys, "bench", "--dataset", silent, *here)
    runs = benched(folder, "rs", "--dataset", silent, "--intensity-range", "0", "4080")
    assert {row["range_stated_by"] for row in rows(runs)} == {"user"}
    assert psnr(runs) == psnr(benched(folder, "rc", "--dataset", stated, "--intensity-range", "0", "4080"))


def test_what_a_card_states_holds_and_what_is_clipped_is_said(folder: Path, capsys):
    card = card_of(folder, "low", "twelve.npy", intensity_range=[0, 2000])
    benched(folder, "r", "--dataset", card)
    share = np.mean(TWELVE > 2000)
    assert f"{share:.2g} of the voxels lie outside of 0 2000 and are clipped" in " ".join(
        capsys.readouterr().out.split()
    )
    assert main(["datasets", card]) == 0
    assert "grey range:    0 to 2000 become black and white" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"intensity_range": [5]}, "must be [BLACK, WHITE]"),
        ({"intensity_range": "auto"}, "must be [BLACK, WHITE]"),
        ({"intensity_range": [9, 9]}, "must be [BLACK, WHITE]"),
        ({"intensity_range": [0, float("inf")]}, "must be [BLACK, WHITE]"),
        ({"intensity_range": [0, True]}, "must be [BLACK, WHITE]"),
        ({"intensity_range": [0, 4095], "dtype": "uint8"}, "reaches beyond uint8"),
        ({"dtype": "unit8"}, "did you mean 'uint8'"),
        ({"files": {"v": {"path": "twelve.npy", "labels": {"neurons": {"intensity_range": [0, 9]}}}}}, "unexpected"),
    ],
)
def test_a_range_that_is_none_is_refused_in_one_line(folder: Path, capsys, facts: dict, message: str):
    card = card_of(folder, "bad", "twelve.npy", **facts)
    error = refused(capsys, "plan", "--dataset", card, "--methods", "linear", "--runs", str(folder / "r"))
    assert message in error and "dataset card 'bad'" in error


def test_a_training_volume_in_another_range_than_the_scored_one_is_refused(folder: Path, capsys):
    other = textured((16, 32, 32), 1)
    np.save(folder / "train.npy", other.astype(np.uint16) * 16)
    files = {"v": {"path": "eight.npy"}, "w": {"path": "train.npy"}}
    card = card_of(folder, "two", "eight.npy", files=files, splits={"test": {"file": "v"}, "train": {"file": "w"}})
    words = ["--methods", "lateral-cnn", "--preset", "smoke", "--scale", "4", "--runs", str(folder / "r")]
    error = refused(capsys, "bench", "--dataset", card, *words)
    assert "train.npy train: values from 0 to 4080" in error and "state intensity_range in the card" in error
    assert dataset_card(card).range_of("w") is None
