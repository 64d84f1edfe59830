"""Cards of remote volumes, each tried on miniatures in the layout that it states."""

from dataclasses import replace

import numpy as np
import pytest
from data_room.small_remotes import running, write_levels, write_precomputed
from data_room.split_check import split_faults
from small_volumes import textured

from vemrecon.data import Locator, dataset_card
from vemrecon.data.catalogue import dataset_names
from vemrecon.judges.labelled import LabelsAt
from vemrecon.volume import Region, VoxelSize

pytest.importorskip("tensorstore")
REMOTE = [name for name in dataset_names() if any(file.box for file in dataset_card(name).files.values())]
ISOTROPIC = [name for name in REMOTE if dataset_card(name).tasks[0] == "reference"]
SHAPE = (24, 40, 48)
PART = Region((4, 6, 8), (20, 38, 44))


def test_every_remote_card_says_what_nobody_here_has_seen():
    assert set(REMOTE) == {
        "fanc",
        "fib25-whole",
        "hemibrain",
        "manc",
        "malecns",
        "minnie65",
        "h01",
        "j0251",
        "mus-liver",
        "obese-liver",
    }
    for name in set(REMOTE) - {"fanc"}:
        card = dataset_card(name)
        assert card.note.startswith("Never read here") and "content was not inspected" in card.note
        assert len({file.box.url for file in card.files.values()}) == 1
        assert "sha256" not in card.note and not any(file.sha256 for file in card.files.values())
        if "jpeg" in next(iter(card.files.values())).box.url:
            assert "JPEG" in card.note


@pytest.mark.parametrize("name", REMOTE)
def test_boxes_lie_inside_of_the_volume_where_its_size_is_stated(name):
    for file in dataset_card(name).files.values():
        assert file.box.whole is None or Region.whole(file.box.whole).contains(file.box.region)


@pytest.mark.parametrize("name", ISOTROPIC)
def test_splits_of_isotropic_volumes_are_a_micrometre_apart(name):
    assert split_faults(dataset_card(name), 1000) == []
    assert split_faults(dataset_card(name), 1100) != []


def test_no_box_of_hemibrain_comes_near_the_seams_of_its_slabs():
    """Along x, by the ingestion notes of its publisher."""
    for file in dataset_card("hemibrain").files.values():
        assert file.box.region.start[2] - 15895 >= 50 and 18489 - file.box.region.stop[2] >= 50, "400 nm"


def serve(server, box, voxels, size, where, *, labels):
    """Write a miniature in the format of a box, and give the box of it that holds `PART`."""
    if box.format == "precomputed":
        kind = "segmentation" if labels else "image"
        write_precomputed(server.folder / where, voxels, size, kind=kind)
        for mip in range(box.mip):  # scales before the one that is meant
            assert mip == 0
            _add_finer_scale(server.folder / where)
    else:
        write_levels(server.folder / where, voxels, size, kind=box.format)
    inside = {} if box.format == "precomputed" else {"dataset": "em/s0"}
    return replace(box, url=f"{server.address}/{where}", region=PART, whole=None, **inside)


def _add_finer_scale(folder):
    import json

    info = json.loads((folder / "info").read_text())
    scale = info["scales"][0]
    x, y, z = scale["resolution"]
    finer = {**scale, "key": "finer", "resolution": [x / 2, y / 2, z]}
    (folder / "info").write_text(json.dumps({**info, "scales": [finer, scale]}))


@pytest.mark.parametrize("name", REMOTE)
def test_every_remote_card_reads_grey_levels_and_labels_of_a_volume_in_its_layout(name, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("VEMRECON_OFFLINE", raising=False)
    (tmp_path / "served").mkdir()
    card, grey = dataset_card(name), np.maximum(textured(SHAPE), 1)
    with running(tmp_path / "served") as server:
        server.folder = tmp_path / "served"
        key = "test"
        file = card.files[key]
        box = serve(server, file.box, grey, tuple(card.voxel_size), "em", labels=False)
        labels, wanted = {}, {}
        for kind, one in file.labels.items():
            size = one.box.voxel_size or VoxelSize(16, 16, 16)
            factors = [round(a / b) for a, b in zip(size, card.voxel_size, strict=True)]
            ids = (textured(tuple(n // f for n, f in zip(SHAPE, factors, strict=True)), seed=7) // 64).astype(np.uint64)
            place = serve(server, one.box, ids, tuple(size), kind, labels=True)
            if one.box.format != "precomputed":  # its first voxel begins where that of the grey levels does
                centre = [(a - b) / 2 for a, b in zip(size, card.voxel_size, strict=True)]
                write_levels(server.folder / f"{kind}.moved", ids, tuple(size), centre, one.box.format)
                place = replace(place, url=f"{server.address}/{kind}.moved")
            labels[kind] = replace(one, box=place, labelled=box)
            fine = ids.repeat(factors[0], 0).repeat(factors[1], 1).repeat(factors[2], 2)[PART.slices]
            wanted[kind] = np.isin(fine, one.values) if one.values else fine
        small = replace(file, box=box, shape=PART.shape, labels=labels)
        card = replace(card, files={key: small})
        locator = Locator(tmp_path / "scratch", tmp_path / "data")
        volume = locator.raw(card, key).open()
        np.testing.assert_array_equal(volume.read_raw(volume.whole), grey[PART.slices])
        assert volume.voxel_size == card.voxel_size
        for kind, expected in wanted.items():
            found = LabelsAt.of(locator.labels(card, key, kind)).read(Region.whole(PART.shape))
            np.testing.assert_array_equal(found, expected.astype(np.int64), err_msg=kind)
