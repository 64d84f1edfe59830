"""Patches with isotropic truth: a function of their number, registered, and only where the truth may be seen."""

import numpy as np
import pytest
import torch
from small_volumes import textured

from vemrecon.data.patches import PatchStream
from vemrecon.data.source import Source
from vemrecon.data.supervised import IsotropicBlocks, SectionWindows, with_known_validation
from vemrecon.degradations import degrade, make_degradation
from vemrecon.errors import DataError, LeakError
from vemrecon.methods.d2r.sections import places
from vemrecon.seeding import derive
from vemrecon.volume import Volume, VoxelSize

KINDS = ("average", "subsample", "realistic")


def of_arrays(arrays, kind="subsample", scale=4, regime="isotropic", watched=()):
    degradation = make_degradation(kind, scale)
    truth, held = (
        [Volume(array, VoxelSize(8, 8, 8), "truth") for array in some] for some in (arrays, watched)
    )  # one volume for training, one for validation
    return Source.of(
        [degrade(v, degradation) for v in truth],
        degradation,
        regime,
        truth=truth,
        validation=[degrade(v, degradation) for v in held],
        validation_truth=held,
    )


def source(kind="subsample", **more):
    return of_arrays([textured((40, 33, 29))], kind, **more)


def ramp(shape=(48, 32, 32)):
    """Grey levels rise along z alone: section k has k / 255."""
    return np.broadcast_to(np.arange(shape[0], dtype=np.uint8)[:, None, None], shape).copy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("patches", [IsotropicBlocks(4, 24), SectionWindows(24), SectionWindows(24, (0, 1, 2))])
def test_supervised_patches_are_a_function_of_their_number(kind, patches):
    streams = [PatchStream(source(kind), patches, 7, "fit", 10) for _ in range(2)]
    for index in (0, 3, 9):
        one, two = streams[0][index], streams[1][index]
        assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(streams[0][0]["target"], streams[0][1]["target"])


@pytest.mark.parametrize(("kind", "scale"), [("average", 4), ("average", 2.5), ("subsample", 4), ("realistic", 3)])
def test_patches_have_the_promised_shapes(kind, scale):
    made = source(kind, scale=scale)
    block = IsotropicBlocks(4, 24).draw(made, derive(0, "a"))
    assert block["observed"].shape == (1, 4, 24, 24) and block["target"].shape == (1, 4 * scale, 24, 24)
    window = SectionWindows(64).draw(made, derive(0, "a"))
    assert window["observed"].shape == (1, 4, 29, 29) and window["target"].shape == (1, 29, 29)
    assert window["depth"].shape == () and window["depth"].dtype == torch.float32


@pytest.mark.parametrize(("kind", "scale"), [("average", 4), ("average", 2.5), ("subsample", 4), ("average", 3)])
def test_the_depth_says_where_the_target_lies(kind, scale):
    made = of_arrays([ramp()], kind, scale)
    depths = set()
    for number in range(60):
        patch = SectionWindows(16).draw(made, derive(0, number))
        second, third = patch["observed"][0, 1:3].mean(dim=(1, 2))
        depth = patch["depth"]
        torch.testing.assert_close(
            patch["target"].mean(), torch.lerp(second, third, depth), atol=3e-4, rtol=0
        )  # 0.08 sections
        depths.add(round(float(depth), 4))
    assert min(depths) >= (1 / scale if kind == "subsample" else 0)
    assert max(depths) <= (1 - 1 / scale if kind == "subsample" else 1)
    wanted = {place.depth for place in places(12, made.degradation.grid) if not place.copied}
    assert {round(depth, 4) for depth in wanted} <= depths  # all that a reconstruction asks for


def test_windows_along_the_lateral_axes_are_only_drawn_where_asked_for():
    made = of_arrays([ramp((64, 64, 64))])
    steps = {axes: set() for axes in ((0,), (1, 2))}
    for axes, found in steps.items():
        for number in range(20):
            observed = SectionWindows(24, axes).draw(made, derive(0, number))["observed"][0]
            found.add(round(float((observed[1] - observed[0]).mean() * 255)))
    assert steps == {(0,): {-4, 4}, (1, 2): {0}}


def test_blocks_start_at_any_section_and_are_degraded_by_themselves():
    made = of_arrays([ramp()], "average")
    first = set()
    for number in range(60):
        patch = IsotropicBlocks(4, 16).draw(made, derive(0, number))
        target = patch["target"][0].mean(dim=(1, 2))
        torch.testing.assert_close(patch["observed"][0].mean(dim=(1, 2)), target.reshape(4, 4).mean(1))
        first.add(round(float(target[0] * 255)))
    assert len({start % 4 for start in first}) == 4


def test_all_eight_orientations_of_the_plane_occur():
    array = np.zeros((48, 16, 16), np.uint8)
    array[:, 2, 5] = 255
    made = of_arrays([array])
    found = {
        tuple(np.argwhere(IsotropicBlocks(4, 16).draw(made, derive(0, n))["target"][0, 0].numpy())[0])
        for n in range(100)
    }
    assert len(found) == 8


@pytest.mark.parametrize("patches", [IsotropicBlocks(4, 16), SectionWindows(16)])
def test_validation_patches_come_from_the_truth_of_the_validation_region(patches):
    bright, dark = np.full((32, 16, 16), 255, np.uint8), np.zeros((32, 16, 16), np.uint8)
    made = of_arrays([bright], watched=[dark])
    assert patches.draw(made, derive(0, "a"))["target"].min() == 1
    assert patches.draw(made, derive(0, "a"), validation=True)["target"].max() == 0


@pytest.mark.parametrize("regime", ["none", "self"])
@pytest.mark.parametrize("patches", [IsotropicBlocks(4, 16), SectionWindows(16)])
def test_truth_of_training_and_validation_is_refused_to_other_regimes(regime, patches):
    made = source(regime=regime, watched=[textured((40, 33, 29), 1)])
    for validation in (False, True):
        with pytest.raises(LeakError, match="forbids"):
            patches.draw(made, derive(0, "a"), validation=validation)


def test_validation_volumes_without_truth_are_not_watched():
    known = source(watched=[textured((40, 33, 29), 1)])
    assert with_known_validation(known) is known
    unknown = Source.of(known.observed, known.degradation, "isotropic", truth=known.truth, validation=known.validation)
    assert with_known_validation(unknown).validation == ()
    assert with_known_validation(unknown).truth == known.truth


def test_volumes_that_are_too_thin_are_one_clear_line():
    with pytest.raises(DataError, match=r"12 sections are too thin.*windows need 13"):
        SectionWindows(16).draw(of_arrays([textured((12, 32, 32))]), derive(0, "a"))
    with pytest.raises(DataError, match="too small to learn from at scale 4"):
        IsotropicBlocks(4, 16).draw(of_arrays([textured((7, 32, 32))]), derive(0, "a"))
