"""Splits of every card, and the rules that keep training and test apart."""

from dataclasses import replace

import pytest
from data_room.split_check import scored_splits, split_faults
from hypothesis import given
from hypothesis import strategies as st

from vemrecon import protocol
from vemrecon.bench.plan import plan
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.data.card import Box, DatasetCard, DatasetFile
from vemrecon.data.catalogue import dataset_card, dataset_names
from vemrecon.data.split import Split, check_mode, gaps_between, guard_voxels, require_apart
from vemrecon.errors import ConfigError
from vemrecon.volume import Region, VoxelSize

GUARD_NM = protocol.protocol()["guard_nm"]
NOT_EVERY_SCALE = {("fib25s", "val"), ("phantom", "smoke")}  # 90 and 40 voxels: cut to the scale of each task
SMALL = {"hemibrains", "cremis"}  # all of 128 sections, and rows of small crops: likewise


def split(name, *ranges, file="v", **facts):
    return Split(name, file, Region.of(ranges) if ranges else None, **facts)


@pytest.mark.parametrize("name", dataset_names())
def test_splits_of_every_card_lie_in_their_files_and_are_apart_by_the_guard(name):
    assert split_faults(dataset_card(name), GUARD_NM) == []


@pytest.mark.parametrize("name", dataset_names())
def test_lengths_along_the_degraded_axis_divide_by_every_scale_of_the_protocol(name):
    card = dataset_card(name)
    axis = 0 if card.tasks[0] == "reference" else 1
    tests = [s for s in scored_splits(card) if not s.inside and not s.paper]  # papers have sizes of their own
    for used in {role for s in tests for role in (s.name, s.train, s.val)}:
        if (name, used) not in NOT_EVERY_SCALE:
            length = card.splits[used].region.shape[axis]
            assert length % (8 if name in SMALL else 120) == 0, (used, length)  # 120 divides by 4, 6, 8 and 10


@pytest.mark.parametrize("name", dataset_names())
def test_every_card_can_be_scored_by_its_default_split_in_inductive_mode(name):
    card = dataset_card(name)
    for one in card.members(None):
        check_mode(one, "inductive")
        require_apart(card.split(one.train), one)


def test_every_lateral_dataset_has_splits_for_its_native_task():
    for card in map(dataset_card, dataset_names()):
        if "native" in card.tasks:
            for one in card.members("axial"):
                assert one.inside  # without truth: what is learned there counts as transductive
                assert card.files[one.file].shape


def test_published_splits_are_named_with_their_paper():
    epfl, cremi = dataset_card("epfl"), dataset_card("cremi")
    assert epfl.split("isovem").paper == "IsoVEM" and epfl.split("isovem").region is None
    assert epfl.split("isovem-train").region == Region((0, 0, 0), (1065, 1075, 2048))  # 70 % of 1536 rows
    assert epfl.split("vemamba-train").region == Region((0, 0, 0), (1065, 1228, 2048))  # 80 %
    scored = cremi.members("vemamba")
    assert [one.file for one in scored] == ["a-padded", "b-padded", "c-padded"]
    assert {one.region for one in scored} == {Region((38, 911, 911), (163, 2161, 2161))}
    for card in (epfl, cremi):
        for one in card.splits.values():
            if one.inside and one.paper and one.name in {s.name for s in scored_splits(card)}:
                if not one.contaminated:
                    with pytest.raises(ConfigError, match="--mode transductive"):
                        check_mode(one, "inductive")
                check_mode(one, "transductive")
    assert {one.name for card in (epfl, cremi) for one in card.splits.values() if one.contaminated} == {
        "a-vemamba",
        "b-vemamba",
        "c-vemamba",
    }


def test_boxes_of_fanc_are_checked_in_the_frame_of_the_whole_volume():
    card = dataset_card("fanc")
    assert "too near" in split_faults(card, 390)[0]  # the gaps are 387 nm
    near = Box(card.files["train"].box.url, Region((2640, 114719, 48240), (2760, 114959, 49440)))
    moved = replace(card, files={**card.files, "test": replace(card.files["test"], box=near)})
    assert "overlaps" in split_faults(moved, 0)[0]


def test_faults_of_a_card_are_told():
    files = {"v": DatasetFile(shape=(100, 50, 50))}
    train, val = split("train", (0, 40), (0, 50), (0, 50)), split("val", (50, 60), (0, 50), (0, 50))

    def faults(*more):
        splits = {s.name: s for s in (train, val, *more)}
        return " | ".join(split_faults(DatasetCard("toy", "", files, splits, VoxelSize(10, 10, 10)), 100))

    assert faults(split("test", (70, 100), (0, 50), (0, 50))) == ""
    assert "lies outside the shape" in faults(split("test", (70, 101), (0, 50), (0, 50)))
    assert "no file 'w'" in faults(split("test", (70, 100), (0, 50), (0, 50), file="w"))
    assert "names the split 'trains'" in faults(split("test", (70, 100), (0, 50), (0, 50), train="trains"))
    assert "names the split 'a'" in faults(Split("test", group=("a",)))
    assert "too near to the training split 'val'" in faults(split("test", (65, 100), (0, 50), (0, 50)))
    assert "overlaps the training split 'train'" in faults(split("test"))
    assert faults(split("test", inside=True)) == ""


def test_a_gap_along_any_one_axis_is_enough():
    train = split("train", (0, 10), (0, 10), (0, 10))
    halo = (2, 5, 5)
    require_apart(train, split("test", (12, 20), (0, 10), (0, 10)), halo)
    require_apart(train, split("test", (0, 10), (0, 10), (15, 20)), halo)
    require_apart(split("test", (30, 40), (0, 10), (0, 10)), train, halo)
    for ranges in (((11, 20), (0, 10), (0, 10)), ((10, 20), (10, 20), (14, 20))):
        with pytest.raises(ConfigError, match="too near"):
            require_apart(train, split("test", *ranges), halo)
        require_apart(train, split("test", *ranges))  # no guard: not a voxel in common
        require_apart(train, split("test", *ranges, file="w"), halo)


def test_whole_files_and_common_voxels_are_refused():
    train = split("train", (0, 10), (0, 10), (0, 10))
    for test in (split("whole"), split("test", (9, 20), (9, 20), (9, 20))):
        with pytest.raises(ConfigError, match="overlaps the training split"):
            require_apart(train, test)


@given(
    starts=st.lists(st.integers(0, 30), min_size=6, max_size=6),
    sizes=st.lists(st.integers(1, 9), min_size=6, max_size=6),
    halo=st.tuples(*[st.integers(0, 9)] * 3),
)
def test_apart_means_that_the_grown_region_has_no_voxel_in_common(starts, sizes, halo):
    a, b = ((tuple(starts[i : i + 3]), sizes[i : i + 3]) for i in (0, 3))
    one, other = (Region(s, tuple(p + n for p, n in zip(s, size, strict=True))) for s, size in (a, b))
    grown = one.shifted((9, 9, 9)).expanded(halo, Region.whole((99, 99, 99)))
    touching = grown.overlaps(other.shifted((9, 9, 9))) or one.overlaps(other)
    assert gaps_between(one, other) == gaps_between(other, one)
    try:
        require_apart(Split("train", "v", one), Split("test", "v", other), halo)
    except ConfigError:
        assert touching
    else:
        assert not touching


def test_the_guard_is_rounded_up_to_voxels_of_each_axis():
    assert guard_voxels(VoxelSize(40, 4, 4), 300) == (8, 75, 75)
    assert guard_voxels(VoxelSize(10, 10, 10), 300) == (30, 30, 30)
    assert guard_voxels(VoxelSize(0.1, 0.3, 7), 300) == (3000, 1000, 43)
    assert guard_voxels(None, 300) == (0, 0, 0)


def test_a_name_of_a_group_stands_for_its_members():
    assert [one.name for one in dataset_card("cremi").members(None)] == ["a-test", "b-test", "c-test"]
    for one in dataset_card("cremi").members("test"):
        assert one.train == f"{one.file}-train" and one.val == f"{one.file}-val"


def test_splits_of_papers_say_whether_their_place_is_published():
    published = {("epfl", "isovem"), *(("cremi", f"{sample}-vemamba") for sample in "abc")}
    found = {(name, s.name): s for name in dataset_names() for s in scored_splits(dataset_card(name)) if s.paper}
    assert {key for key, one in found.items() if not one.chosen_here} == published
    wanted = {"epfl": {"IsoVEM", "VEMamba", "EMGauss", "D2R-AENet", "D2R-DGEAN"}, "fanc": {"EMGauss"}}
    wanted |= {name: {"EMGauss", "D2R-AENet", "D2R-DGEAN"} for name in ("fib25", "fib25-whole")}
    wanted["cremi"] = {"IsoVEM", "VEMamba"}
    papers = {name: {one.paper for (of, _), one in found.items() if of == name} for name, _ in found}
    assert papers == wanted


@pytest.mark.parametrize("name", ["epfl", "fib25", "fib25-whole"])
def test_splits_of_papers_have_the_sizes_that_these_state(name):
    card = dataset_card(name)
    assert card.split("emgauss").region.shape == (500, 500, 500)

    def voxels(paper):
        test = card.split(paper)
        return [card.split(one).region.voxels for one in (test.train, test.val, test.name)]

    parts = voxels("d2r-aenet")
    assert [100 * part / sum(parts) for part in parts] == pytest.approx([70, 15, 15], abs=1.1)
    parts = voxels("d2r-dgean")
    if name == "epfl":
        assert [100 * part / sum(parts) for part in parts] == pytest.approx([80, 10, 10], abs=1.1)
    else:
        assert 100 * parts[0] / sum(parts[:2]) == pytest.approx(80, abs=1.1)
        assert card.split("d2r-dgean").region.shape == (512, 512, 512)


@pytest.mark.parametrize(
    ("name", "scale"), [("epfl", 8), ("fib25", 8), ("fib25-whole", 8), ("fanc", 10), ("cremi", 10)]
)
def test_every_split_of_a_paper_can_be_planned_without_data(tmp_path, name, scale):
    card = dataset_card(name)
    for one in scored_splits(card):
        if one.paper:
            task = "native" if name == "fanc" or (one.name == "isovem" and name == "cremi") else None
            mode = "transductive" if one.inside and not (one.contaminated or task) else "inductive"
            request = Request((name,), split=one.name, task=task, mode=mode, scale=(scale,), methods=("isovem",))
            (run,) = plan(resolve([request], Setup(tmp_path / "runs", data_root=tmp_path), fetch=False))
            assert run.folder.spec.mode == (
                "contaminated" if one.contaminated else "transductive" if one.inside else mode
            )
