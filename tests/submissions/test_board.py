"""A board is built from submissions alone, byte for byte; nothing is written over what others have written."""

import json
import shutil
import zipfile

from vemrecon.cli import main
from vemrecon.files import sha256_of


def build(out, source="sub"):
    return main(["leaderboard", "build", "--submissions", str(source), "--out", str(out)])


def files(place):
    return {
        file.relative_to(place).as_posix(): file.read_bytes() for file in sorted(place.rglob("*")) if file.is_file()
    }


def test_the_same_submissions_give_the_same_bytes_anywhere(handed_in, tmp_path, capsys):
    assert main(["verify", "sub", "--write"]) == 0
    assert build("one") == 0
    other = tmp_path / "elsewhere"
    shutil.copytree("sub", other / "sub")
    assert build(other / "two", other / "sub") == 0
    assert files(tmp_path / "one") == files(other / "two")
    (table,) = json.loads((tmp_path / "one" / "leaderboard.json").read_text())["tasks"]
    (row,) = table["rows"]
    assert (row["label"], row["level"]) == ("Mixed", "rescored")
    text = (tmp_path / "one" / "README.md").read_text()
    assert "| seeds | level |" in text and "rescored: scores computed again" in text
    (page,) = (tmp_path / "one" / "tables").iterdir()
    assert ">level</button>" in page.read_text()


def test_what_was_changed_after_it_was_verified_counts_as_reported(handed_in, tmp_path, capsys):
    assert main(["verify", "sub", "--write"]) == 0
    data = json.loads((handed_in / "submission.json").read_text())
    data["authors"] = "B. Other"
    (handed_in / "submission.json").write_text(json.dumps(data))
    assert build("board") == 0
    board = json.loads((tmp_path / "board" / "leaderboard.json").read_text())
    assert board["tasks"][0]["rows"][0]["level"] == "reported"
    assert "was changed after it was verified" in board["warnings"][0]


def test_an_archive_holds_all_that_builds_the_board_again(handed_in, tmp_path, capsys):
    words = ["leaderboard", "build", "--submissions", "sub"]
    assert main([*words, "--out", "one", "--archive", "one.zip", "--croissant", "described"]) == 0
    assert main([*words, "--out", "two", "--archive", "two.zip"]) == 0
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile("one.zip") as archive:
        archive.extractall("again")
        assert not [name for name in archive.namelist() if name.endswith(".tif")]
    facts = json.loads((tmp_path / "again" / ".zenodo.json").read_text())
    assert facts["creators"] == [{"name": "A. Author"}] and "1 runs of 1 methods (Mixed)" in facts["description"]
    assert build("rebuilt", "again/submissions") == 0
    rebuilt, archived = files(tmp_path / "rebuilt"), files(tmp_path / "again" / "board")
    assert {name: rebuilt[name] for name in archived} == archived
    assert main([*words, "--out", "one", "--archive", "one.zip"]) == 2
    results = json.loads((tmp_path / "described" / "results.json").read_text())
    (table,) = results["distribution"]
    assert table["sha256"] == sha256_of(tmp_path / "one" / "leaderboard.csv")
    columns = (tmp_path / "one" / "leaderboard.csv").read_text().partition("\n")[0].split(",")
    assert [field["name"] for field in results["recordSet"][0]["field"]] == columns
    phantom = json.loads((tmp_path / "described" / "phantom.json").read_text())
    assert phantom["license"] == "CC0-1.0" and phantom["conformsTo"].endswith("croissant/1.0")


def test_a_report_is_never_written_over_another(here, capsys):
    assert main(["report", "--runs", "runs", "--out", "mine"]) == 0
    assert main(["report", "--runs", "runs", "--out", "mine"]) == 0  # its own
    (here / "mine" / "README.md").write_text("by hand")
    assert main(["report", "--runs", "runs", "--out", "mine"]) == 2
    assert "was not written by this report" in capsys.readouterr().err
    assert (here / "mine" / "README.md").read_text() == "by hand"
    assert main(["report", "--runs", "runs"]) == 0
    shutil.copytree("runs", "others")
    assert main(["report", "--runs", "others"]) == 0  # moved with its report
    assert main(["report", "--runs", "others", "--out", "theirs"]) == 0
    assert main(["report", "--runs", "runs", "--out", "theirs"]) == 2
    assert "is of runs" in capsys.readouterr().err
    board = here / "board"
    board.mkdir()
    (board / "leaderboard.json").write_text("{}")  # a board without a mark, as older ones are
    assert main(["report", "--runs", "runs", "--out", "board"]) == 2
    assert (board / "leaderboard.json").read_text() == "{}"
