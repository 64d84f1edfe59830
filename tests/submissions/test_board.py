"""A board is built from submissions alone, byte for byte; nothing is written over what others have written."""

import json
import shutil

from vemrecon.cli import main


def build(out, source="sub"):
    return main(["leaderboard", "build", "--submissions", str(source), "--out", str(out)])


def files(place):
    return {file.name: file.read_bytes() for file in sorted(place.iterdir())}


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
    assert ">level</button>" in (tmp_path / "one" / "index.html").read_text()


def test_what_was_changed_after_it_was_verified_counts_as_reported(handed_in, tmp_path, capsys):
    assert main(["verify", "sub", "--write"]) == 0
    data = json.loads((handed_in / "submission.json").read_text())
    data["authors"] = "B. Other"
    (handed_in / "submission.json").write_text(json.dumps(data))
    assert build("board") == 0
    board = json.loads((tmp_path / "board" / "leaderboard.json").read_text())
    assert board["tasks"][0]["rows"][0]["level"] == "reported"
    assert "was changed after it was verified" in board["warnings"][0]


def test_a_report_is_never_written_over_another(here, capsys):
    assert main(["report", "--runs", "runs", "--out", "mine"]) == 0
    assert main(["report", "--runs", "runs", "--out", "mine"]) == 0  # its own
    (here / "mine" / "README.md").write_text("by hand")
    assert main(["report", "--runs", "runs", "--out", "mine"]) == 2
    assert "was not written by this report" in capsys.readouterr().err
    assert (here / "mine" / "README.md").read_text() == "by hand"
    shutil.copytree("runs", "others")
    assert main(["report", "--runs", "others", "--out", "theirs"]) == 0
    assert main(["report", "--runs", "runs", "--out", "theirs"]) == 2
    assert "is of runs" in capsys.readouterr().err
    board = here / "board"
    board.mkdir()
    (board / "leaderboard.json").write_text("{}")  # a board without a mark, as older ones are
    assert main(["report", "--runs", "runs", "--out", "board"]) == 2
    assert (board / "leaderboard.json").read_text() == "{}"
