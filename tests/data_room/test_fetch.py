"""Files of datasets: fetched once, recognised ever after, and described where they are missing."""

import hashlib
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
import tifffile
from data_room.faulty_server import digest, noise
from small_volumes import textured

from vemrecon.data import Locator, dataset_card
from vemrecon.data.card import Box, DatasetCard, DatasetFile, LabelFile
from vemrecon.data.remote.connection import Patience
from vemrecon.data.remote.fetch import fetch_file, fetch_files, files_of, spoken
from vemrecon.data.remote.missing import MissingFilesError
from vemrecon.errors import ConfigError, DataError, OutputError
from vemrecon.volume import Region, Volume, VoxelSize
from vemrecon.volume.ome_zarr import copy_to_zarr

BODY = noise(50_000)
QUICK = Patience(connect_seconds=1, read_seconds=0.3, attempts=2, pause_seconds=0.01)


def card_of(*files):
    return DatasetCard("brain", "A brain", {file.path: file for file in files}, voxel_size=VoxelSize(8, 8, 8))


def fetch(file, root, card=None, **more):
    return fetch_file(card or card_of(file), file, root, patience=QUICK, **more)


@pytest.fixture
def file(server):
    """A file that the server has and whose sha256 is known."""
    return DatasetFile("brain/raw.h5", url=server.serve("raw.h5", BODY), sha256=digest(BODY), bytes=len(BODY))


def test_a_file_is_downloaded_once_and_verified_ever_after(server, file, tmp_path):
    first, second = fetch(file, tmp_path), fetch(file, tmp_path)
    assert first.downloaded and not second.downloaded
    assert first.path == tmp_path / "brain" / "raw.h5" and first.path.read_bytes() == BODY
    assert first.sha256 == second.sha256 == digest(BODY)
    assert len(server.seen) == 1
    assert not (tmp_path / "brain" / "raw.h5.sha256").exists()
    first.path.write_bytes(b"something else")
    with pytest.raises(DataError, match=r"sha256 is .* but the card of 'brain' says .* fetch it again"):
        fetch(file, tmp_path)


def test_without_a_sha256_that_of_the_first_download_is_recorded_and_binding(server, file, tmp_path):
    file = replace(file, sha256="", bytes=None)
    first = fetch(file, tmp_path)
    path, known = first.path, f"no checksum is published, recorded sha256 {digest(BODY)}"
    assert known in str(first) and "verified" not in str(first)
    assert str(fetch(file, tmp_path)).startswith("here already, as when it was first seen: ")
    record = path.with_name("raw.h5.sha256")
    assert record.read_text() == f"{digest(BODY)}  raw.h5\n"
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match=r"raw.h5.sha256 beside it, written when it was first seen, says"):
        fetch(file, tmp_path)
    path.unlink()
    server.serve("raw.h5", noise(50_000, seed=2))
    with pytest.raises(MissingFilesError, match="wrong file, sha256"):
        fetch(file, tmp_path)
    assert not path.exists()
    record.unlink()
    assert fetch(file, tmp_path).sha256 == digest(noise(50_000, seed=2))
    record.write_text("nonsense")
    with pytest.raises(DataError, match="holds no sha256"):
        fetch(file, tmp_path)


def test_a_checksum_that_can_be_recorded_nowhere_is_not_said_to_be(server, file, tmp_path, monkeypatch):
    def read_only(path, mode="w"):
        raise OutputError(f"{path}: cannot be written")

    monkeypatch.setattr("vemrecon.data.remote.recognise.atomic_write", read_only)
    found = str(fetch(replace(file, sha256=""), tmp_path))
    assert f"no checksum is published, and none is recorded; sha256 {digest(BODY)}" in found
    assert str(fetch(file, tmp_path)).startswith("here already, verified: ")


def test_a_file_that_was_put_there_by_hand_is_verified_recorded_and_used(server, file, tmp_path, monkeypatch):
    monkeypatch.setenv("VEMRECON_OFFLINE", "1")
    path = tmp_path / "brain" / "raw.h5"
    path.parent.mkdir()
    path.write_bytes(BODY)
    assert not fetch(file, tmp_path).downloaded
    unknown = replace(file, sha256="")
    assert fetch(unknown, tmp_path).sha256 == digest(BODY)
    assert path.with_name("raw.h5.sha256").exists()
    path.with_name("raw.h5.sha256").unlink()
    path.write_bytes(BODY[:-1])
    with pytest.raises(DataError, match="49,999 bytes, but the card of 'brain' says 50,000"):
        fetch(unknown, tmp_path)
    assert server.seen == []


def test_offline_one_line_says_what_is_missing_and_where_to_put_it(server, file, tmp_path, monkeypatch):
    monkeypatch.setenv("VEMRECON_OFFLINE", "1")
    with pytest.raises(MissingFilesError) as error:
        fetch(file, tmp_path)
    text = str(error.value)
    assert "\n" not in text
    for fact in ("brain/raw.h5", "50.0 kB", digest(BODY), file.url, str(tmp_path / "brain" / "raw.h5"), "--data-root"):
        assert fact in text
    assert "VEMRECON_OFFLINE is set" in text
    assert server.seen == [] and list(tmp_path.iterdir()) == []


def test_several_missing_files_are_one_error_with_a_line_for_each(server, file, tmp_path):
    nowhere = replace(file, path="brain/none.h5", url="")
    dead = replace(file, path="brain/dead.h5", url="http://127.0.0.1:9/dead.h5", mirrors=("http://127.0.0.1:9/m",))
    dead_too = replace(dead, path="brain/dead2.h5")
    damaged = replace(file, path="brain/damaged.h5")
    (tmp_path / "brain").mkdir()
    (tmp_path / "brain" / "damaged.h5").write_bytes(b"x")
    card = replace(card_of(file), source="the cellar")
    started = time.monotonic()
    wanted = [(card, one) for one in (nowhere, dead, file, damaged, dead_too)]
    with pytest.raises(MissingFilesError) as error:
        fetch_files(wanted, tmp_path, patience=QUICK)
    assert time.monotonic() - started < 5
    head, *lines = error.value.lines
    assert "4 files are missing" in head and "--data-root" in head
    assert [line.count("\n") for line in lines] == [0] * 4
    assert "make it from the cellar" in lines[0] and "127.0.0.1:9: no connection" in lines[1]
    assert f"{dead.url} or http://127.0.0.1:9/m" in lines[1] and "sha256 is" in lines[2]
    assert (tmp_path / "brain" / "raw.h5").read_bytes() == BODY, "what can be had is fetched all the same"


def test_an_unverified_server_needs_a_known_sha256(server, file, tmp_path):
    file = replace(file, verify_tls=False)
    with pytest.raises(MissingFilesError, match="its sha256 is not known"):
        fetch(replace(file, sha256=""), tmp_path)
    assert server.seen == []
    assert fetch(file, tmp_path).downloaded


def test_volumes_and_labels_in_one_file_are_fetched_once():
    shared = LabelFile("cremi/a.hdf", dataset="labels")
    card = card_of(
        DatasetFile("cremi/a.hdf", dataset="raw", labels={"neurons": shared, "clefts": shared}),
        DatasetFile("cremi/b.hdf", labels={"neurons": LabelFile("cremi/b-labels.hdf")}),
        DatasetFile(generator={"seed": 1}),
    )
    assert [file.path for file in files_of(card)] == ["cremi/a.hdf", "cremi/b.hdf", "cremi/b-labels.hdf"]
    assert [file.path for file in files_of(card, labels=False)] == ["cremi/a.hdf", "cremi/b.hdf"]
    assert [file.path for file in files_of(card, ["cremi/a.hdf"])] == ["cremi/a.hdf"]
    with pytest.raises(ConfigError, match=r"did you mean 'cremi/a.hdf'"):
        files_of(card, ["cremi/a.hd"])


def test_a_box_of_a_remote_volume_is_fetched_and_its_digest_recorded(tmp_path, monkeypatch):
    monkeypatch.delenv("VEMRECON_OFFLINE", raising=False)
    calls, told, voxels = [], [], textured((10, 20, 30))

    def fetch_box(card, file, path, progress):
        calls.append(card.voxel_size)
        if len(calls) == 1:
            raise DataError("no connection")
        copy_to_zarr(path, Volume(voxels, card.voxel_size, "box"), "uint8")
        progress(0.5)

    monkeypatch.setattr("vemrecon.data.remote.boxes.fetch_box", fetch_box)
    box = Box("https://example.org/em", Region((0, 0, 0), (10, 20, 30)))
    file = DatasetFile("brain/box.zarr", box=box)
    with pytest.raises(MissingFilesError, match=r"no connection.*box z\[0,10\) .* of https://example.org/em"):
        fetch(file, tmp_path)
    assert not (tmp_path / "brain" / "box.zarr").exists()
    fetched = fetch(file, tmp_path, progress=lambda done, total: told.append((done, total)))
    assert fetched.sha256 == hashlib.sha256(voxels.tobytes()).hexdigest() and told == [(3000, 6000)]
    assert (tmp_path / "brain" / "box.zarr.sha256").read_text().startswith(fetched.sha256)
    assert not fetch(file, tmp_path).downloaded and len(calls) == 2


PROCESS = """
import sys
from pathlib import Path
from vemrecon.data.card import DatasetCard, DatasetFile
from vemrecon.data.remote.fetch import fetch_file
file = DatasetFile("brain/raw.h5", url=sys.argv[1], sha256=sys.argv[2])
say = lambda text: print(text, flush=True)
print(fetch_file(DatasetCard("brain", "", {"raw": file}), file, Path(sys.argv[3]), say=say).downloaded, flush=True)
"""


def test_of_two_processes_one_downloads_and_the_other_waits(server, tmp_path):
    url = server.serve("raw.h5", BODY, faults=[{"stall": 20_000}])
    words = [sys.executable, "-c", PROCESS, url, digest(BODY), str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    first = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    pause = threading.Event()
    while not server.seen and first.poll() is None:
        pause.wait(0.01)
    second = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
    assert second.stdout is not None
    assert "another process is fetching it" in second.stdout.readline()
    server.go_on.set()
    assert first.communicate(timeout=60)[0] == "True\n"
    assert second.communicate(timeout=60)[0] == "False\n"
    assert len(server.seen) == 1


def test_locate_downloads_verifies_and_plans_with_what_is_known(server, file, tmp_path):
    unknown = replace(file, sha256="")
    card, said = card_of(unknown), []
    there = {"data_root": tmp_path / "data", "scratch": tmp_path / "scratch"}
    assert Locator(**there, fetch=False).volume(card, file.path).digest == ""
    located = Locator(**there, say=said.append).volume(card, file.path)
    assert located.digest == digest(BODY) and located.path.read_bytes() == BODY
    assert "fetching raw.h5: 0 bytes of 50.0 kB" in said
    located.path.unlink()
    assert Locator(**there, fetch=False).volume(card, file.path).digest == digest(BODY), (
        "as recorded at the first download"
    )


def test_what_several_locates_need_is_fetched_first_and_missed_in_one_error(server, file, tmp_path):
    gone = replace(file, path="brain/gone.h5", url=server.url("gone.h5"))
    dead = replace(file, path="brain/nowhere.h5", url="")
    card = card_of(file, gone, dead)
    locator = Locator(tmp_path / "scratch", tmp_path)
    with pytest.raises(MissingFilesError, match="2 files are missing"):
        locator.fetch_all((card, key) for key in (gone.path, file.path, dead.path, gone.path))
    asked = len(server.seen)
    locator.fetch_all([(card, file.path), (dataset_card("phantom"), "test")])
    assert len(server.seen) == asked == 2


def test_progress_without_a_bar_is_a_line_now_and_then():
    said = []
    progress = spoken(said.append, "raw.h5", seconds=60)
    for done in range(0, 2_000_000, 1000):
        progress(done, 2_000_000)
    assert said == ["fetching raw.h5: 0 bytes of 2.0 MB"]


def test_the_same_voxels_packed_in_another_way_are_recognised_and_stand_for_the_same_data(tmp_path):
    voxels = textured((4, 20, 20))
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for root, compression in ((ours, "zlib"), (theirs, None)):
        (root / "brain").mkdir(parents=True)
        tifffile.imwrite(root / "brain/raw.tif", voxels, compression=compression, photometric="minisblack")
    sha256 = hashlib.sha256((ours / "brain/raw.tif").read_bytes()).hexdigest()
    file = DatasetFile("brain/raw.tif", sha256=sha256, voxels_sha256=hashlib.sha256(voxels.tobytes()).hexdigest())
    card = card_of(file)
    digests = [
        Locator(tmp_path / root.name / "scratch", root).volume(card, file.path).digest for root in (ours, theirs)
    ]
    assert digests == [sha256, sha256]
    tifffile.imwrite(theirs / "brain/raw.tif", voxels[::-1], photometric="minisblack")
    with pytest.raises(DataError, match="damaged or another release"):
        Locator(tmp_path / "scratch", theirs).volume(card, file.path)
    (theirs / "brain/raw.tif").write_bytes(b"no volume")
    with pytest.raises(DataError, match="damaged or another release"):
        Locator(tmp_path / "scratch", theirs).volume(card, file.path)
