"""Masks of damage: masked voxels are filled, and nothing else is touched."""

import numpy as np
import pytest
from small_volumes import textured

import vemrecon
from vemrecon.cli import main
from vemrecon.volume import open_volume


@pytest.fixture
def torn(tmp_path):
    """A stack with a black hole in section 4 and its mask."""
    whole = np.maximum(textured((10, 48, 48)), 1)
    mask = np.zeros(whole.shape, np.uint8)
    mask[4, 10:30, 5:25] = 255
    np.save(tmp_path / "torn.npy", np.where(mask, 0, whole).astype(np.uint8))
    np.save(tmp_path / "mask.npy", mask)
    return whole, mask, tmp_path


def run(folder, *words, method="linear"):
    words = ["--scale", "4", "--grid", "aligned", "--method", method, *words]
    return main(["reconstruct", *map(str, [folder / "torn.npy", folder / "out.zarr", *words])])


def made(folder):
    volume = open_volume(folder / "out.zarr")
    return volume.read(volume.whole)


def test_masked_voxels_alone_are_replaced(torn, capsys):
    whole, mask, folder = torn
    assert run(folder, "--damage", folder / "mask.npy", "--missing-sections", "7") == 0
    said = capsys.readouterr().out
    assert "section 4: 400 damaged voxels filled" in said and "section 7 filled" in said
    found, damaged = made(folder)[16] * 255, mask[4] > 0
    assert np.abs(found - whole[4])[~damaged].max() < 1e-3
    between = (whole[3].astype(float) + whole[5]) / 2
    assert np.abs(found - between)[damaged].max() <= 0.51


def test_python_takes_the_mask_too(torn):
    _, _, folder = torn
    found = vemrecon.reconstruct(
        str(folder / "torn.npy"), scale=4, grid="aligned", method="linear", damage=folder / "mask.npy", progress=False
    )
    assert run(folder, "--damage", folder / "mask.npy") == 0
    assert (found == np.rint(made(folder) * 255)).all()


def test_no_patch_shows_a_damaged_section(torn, monkeypatch):
    from vemrecon.own import steps

    seen, calm = [], steps.prepare_method
    monkeypatch.setattr(
        steps, "prepare_method", lambda *words, **more: seen.append(more["faults"]) or calm(*words, **more)
    )
    _, _, folder = torn
    assert run(folder, "--damage", folder / "mask.npy", "--missing-sections", "7") == 0
    assert {4, 7} <= seen[0].unfit


def test_masks_that_do_not_fit_are_said_in_one_line(torn, capsys):
    _, mask, folder = torn
    masks = {"other": mask[1:], "every": np.ones_like(mask), "none": np.zeros_like(mask)}
    for name, one in masks.items():
        np.save(folder / f"{name}.npy", one)
    for name, message, method in (
        ("other", "has 9 x 48 x 48 voxels (z, y, x), the volume 10 x 48 x 48", "linear"),
        ("every", "10 of 10 are too many to fill", "linear"),
        ("lost", "no such file", "linear"),
        ("mask", "method 'emgauss' cannot fill missing sections", "emgauss"),
    ):
        assert run(folder, "--damage", folder / f"{name}.npy", method=method) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1, error
    assert run(folder, "--damage", folder / "none.npy") == 0
    assert "mask of damage is empty" in capsys.readouterr().err
