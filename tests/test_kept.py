"""What a later attempt relies on is compared with its checksum, whatever it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from damages import DAMAGES
from hypothesis import given
from hypothesis import strategies as st

from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.fit.shared_stages import SharedStages
from vemrecon.kept import intact_or_aside, read_mark, remember, whole, write_mark
from vemrecon.methods.stage import Stage

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text().filter(lambda key: key != "crc32_of_this"), VALUES, max_size=4))
def test_a_mark_says_what_was_written(tmp_path_factory, facts):
    path = tmp_path_factory.mktemp("marks") / "mark.json"
    write_mark(path, facts)
    assert read_mark(path) == facts


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "flipped"])
def test_a_damaged_mark_says_nothing(tmp_path, damage):
    write_mark(tmp_path / "mark.json", {"key": "a" * 20, "seconds": 3.25})
    (tmp_path / "mark.json").write_bytes(DAMAGES[damage]((tmp_path / "mark.json").read_bytes()))
    assert read_mark(tmp_path / "mark.json") == {}


def test_any_flipped_bit_of_a_mark_is_noticed_or_changes_nothing(tmp_path):
    path, facts = tmp_path / "mark.json", {"key": "abc", "seconds": 3.25, "batches": 12}
    write_mark(path, facts)
    content = path.read_bytes()
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        found = read_mark(path)
        unnamed = {key: value for key, value in found.items() if key in facts}  # a checksum under another name is none
        assert found == {} or unnamed == facts


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_of_a_folder_is_noticed_and_moved_aside(tmp_path, damage, caplog):
    folder = tmp_path / "volume.zarr"
    (folder / "0" / "c").mkdir(parents=True)
    (folder / "0" / "c" / "0").write_bytes(bytes(range(100)))
    remember(folder)
    assert whole(folder)
    content = (folder / "0" / "c" / "0").read_bytes()
    (folder / "0" / "c" / "0").write_bytes(DAMAGES[damage](content))
    assert not intact_or_aside(folder)
    assert not folder.exists() and (tmp_path / "volume.zarr.damaged-1").exists()
    assert "volume.zarr: damaged, moved to volume.zarr.damaged-1" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["volume.zarr.damaged-1"]


def test_a_file_that_is_missing_from_a_folder_is_noticed(tmp_path):
    (tmp_path / "v").mkdir()
    for name in "ab":
        (tmp_path / "v" / name).write_text(name)
    remember(tmp_path / "v")
    (tmp_path / "v" / "a").unlink()
    assert not whole(tmp_path / "v")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("which", ["stage.json", "stage.safetensors"])
def test_a_damaged_shared_stage_is_not_taken(tmp_path, which, damage):
    import zlib

    stage = Stage("diffusion", trains=("net",), patches=None, budget=1, batch=1, recipe={"net": "a"})
    place = tmp_path / "run" / "train" / "diffusion"
    place.mkdir(parents=True)
    weights = np.random.default_rng(0).bytes(200)
    (place / "stage.safetensors").write_bytes(weights)
    (place / "loss.csv").write_text("batch,name,value\n")
    write_mark(place / "stage.json", {"seconds": 1.0, "crc32": zlib.crc32(weights)})
    shared = SharedStages(tmp_path / "shared-stages", "data")
    shared.put(stage, 0, place)
    assert shared.take(stage, 0, tmp_path / "other")["seconds"] == 1.0

    kept = shared.place(stage, 0) / which
    kept.write_bytes(DAMAGES[damage](kept.read_bytes()))

    assert shared.take(stage, 0, tmp_path / "third") is None
    shared.put(stage, 0, place)
    assert shared.take(stage, 0, tmp_path / "third")["seconds"] == 1.0


def test_a_damaged_volume_that_is_made_on_demand_is_made_again(tmp_path):
    def made() -> Path:
        request = Request(("phantom",), methods=("linear",), scale=(4,))
        (found,) = resolve([request], Setup(tmp_path), fetch=True).requests[0].splits
        return Path(found.truth.path)

    path = made()
    chunk = next(file for file in path.rglob("*") if file.is_file() and file.name != "zarr.json")
    content = chunk.read_bytes()
    chunk.write_bytes(content[: len(content) // 2])
    for file in (tmp_path / "data" / "inspections").iterdir():
        file.write_bytes(file.read_bytes()[:30])

    assert made() == path and chunk.read_bytes() == content
    for file in (tmp_path / "data" / "inspections").iterdir():
        json.loads(file.read_text())
