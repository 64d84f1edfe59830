"""A small file can claim any size: it is refused in one line, and neither read for years nor held in memory."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from vemrecon.cli import main

N = 100_000
GREY = np.random.default_rng(0).integers(0, 255, (4, 16, 16)).astype(np.uint8)


def npy(path: Path, shape: tuple[int, ...]) -> None:
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + bytes(1000))


def hdf5(path: Path, chunks: tuple[int, ...]) -> None:
    with h5py.File(path, "w") as file:
        raw = file.create_dataset("raw", (N, N, N), "u1", chunks=chunks)
        if max(chunks) < N:
            raw[:4, :16, :16] = GREY


def virtual(path: Path, whole: bool) -> None:
    hdf5(path.with_name("source.h5"), (64, 64, 64))
    layout = h5py.VirtualLayout(shape=(N, N, N), dtype="u1")
    source = h5py.VirtualSource("source.h5", "raw", shape=(N, N, N))
    if whole:
        layout[...] = source
    else:
        layout[:8, :8, :8] = source[:8, :8, :8]
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("raw", layout)


def chunked(path: Path, version: int, **how: object) -> None:
    array = zarr.create_array(path, shape=(96_000,) * 3, dtype="u1", zarr_format=version, **how)  # type: ignore[arg-type]
    if "shards" not in how:
        array[:4, :16, :16] = GREY


def pages(path: Path) -> None:
    tifffile.imwrite(path, GREY, photometric="minisblack", metadata=None)
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        places = [
            page.tags[name].offset for page in file.pages for name in ("ImageWidth", "ImageLength", "RowsPerStrip")
        ]
    for place in places:
        struct.pack_into("<H", data, place + 2, 4)  # of 32 bits
        struct.pack_into("<I", data, place + 8, 10**7)
    path.write_bytes(data)


def described(path: Path, text: str) -> None:
    tifffile.imwrite(path, GREY, description=text, metadata=None, photometric="minisblack")


OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels '
    'ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="100000" SizeY="100000" SizeZ="100000" SizeC="1" '
    'SizeT="1"><TiffData/></Pixels></Image></OME>'
)
CLAIMS = {
    "a.npy": lambda path: npy(path, (N, N, N)),
    "beyond.npy": lambda path: npy(path, (2**40, 2**40, 2**40)),
    "negative.npy": lambda path: npy(path, (-4, 8, 8)),
    "chunks.h5": lambda path: hdf5(path, (64, 64, 64)),
    "rows.h5": lambda path: hdf5(path, (1, 1, N)),
    "virtual.h5": lambda path: virtual(path, False),
    "nested.h5": lambda path: virtual(path, True),
    "two.zarr": lambda path: chunked(path, 2, chunks=(64, 64, 64)),
    "three.zarr": lambda path: chunked(path, 3, chunks=(64, 64, 64)),
    "shards.zarr": lambda path: chunked(path, 3, chunks=(64, 64, 64), shards=(96_000,) * 3),
    "pages.tif": pages,
    "shaped.tif": lambda path: described(path, '{"shape": [100000, 100000, 100000]}'),
    "imagej.tif": lambda path: described(path, "ImageJ=1.11a\nimages=1000000000\nslices=1000000000\n"),
    "told.ome.tif": lambda path: described(path, OME),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_a_small_file_that_claims_a_thousand_million_million_voxels_is_one_line(tmp_path, capsys, monkeypatch, name):
    monkeypatch.setattr("vemrecon.volume.volume.memory_bytes", lambda: 2.0**30)
    path = tmp_path / name
    CLAIMS[name](path)
    size = ["--voxel-size", "8", "8", "8"]
    small = str(tmp_path / "small.npy")
    np.save(small, GREY)
    for words in (
        ["info", str(path)],
        ["degrade", str(path), str(tmp_path / "out.tif"), "--scale", "4"],
        ["degrade", str(path), str(tmp_path / "out.tif"), "--scale", "4", "--missing", "fill"],
        ["evaluate", small, str(path), "--missing", "fill"],
        [
            "bench",
            "--dataset",
            f"local:{path}",
            "--methods",
            "linear",
            "--missing",
            "fill",
            "--runs",
            str(tmp_path / "r"),
        ],
    ):
        begun = time.monotonic()
        if main([*words, *size]) == 0:  # tifffile takes the pages for what they are, and not the text
            assert name.endswith(".tif")
            (tmp_path / "out.tif").unlink(missing_ok=True)
            continue
        error = capsys.readouterr().err
        lines = [line for line in error.splitlines() if "taken for the fill value" not in line]
        assert len(lines) == 1 and "error: " in lines[0] and "Traceback" not in error, error
        assert time.monotonic() - begun < 20
        assert not (tmp_path / "out.tif").exists()


def test_memory_that_runs_out_is_one_line(tmp_path, capsys, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise MemoryError("Unable to allocate 37.3 GiB")

    monkeypatch.setattr("vemrecon.commands.info.facts_of", full)
    assert main(["info", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "too little memory for this (Unable to allocate 37.3 GiB)" in error
