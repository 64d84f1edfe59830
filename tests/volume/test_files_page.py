"""The page about files names every format that is read, and every one that is written."""

from pathlib import Path

from vemrecon.volume.catalogue import FORMATS

PAGE = Path(__file__).parents[2] / "docs" / "files.md"
WORDS = {"sections": "folders of PNG", "precomputed": "neuroglancer precomputed", "npy": "`.npy`", "npz": "`.npz`"}


def test_the_page_has_every_format():
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    for one in FORMATS:
        for word in one.name.replace(",", " ").split():
            row = next(line for line in lines if WORDS.get(word, word) in line.split("|")[1])
            assert one.extra in row or one.writer, (word, row)
            assert not one.writer or word == "zarr" or row.split("|")[3].strip(), (word, row)
