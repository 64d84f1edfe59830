from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from report.segmentation_fakes import judged, keep_masks

from vemrecon.errors import DataError
from vemrecon.report import write_report
from vemrecon.report.overlay import (
    CLASSES,
    NEURONS,
    STRENGTH,
    borders,
    instance_colours,
    instances_png,
    load_masks,
    neuron_colours,
    overlay_png,
)

AGREE, MISSED, FALSE = CLASSES.values()


def pixels(png: bytes) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def tinted(grey: int, colour: tuple[int, int, int]) -> np.ndarray:
    return (1 - STRENGTH) * grey + STRENGTH * np.array(colour)


def pictures(page: str) -> dict[str, np.ndarray]:
    """Pictures of the segmentation section, by their text."""
    html = page.split('<section class="segmentation"')[1].split("</section>")[0]
    found = re.findall(r'<img src="data:image/png;base64,([^"]*)" alt="([^"]*)">', html)
    return {text: pixels(base64.b64decode(data)) for data, text in found}


def page_of(tmp_path: Path) -> str:
    write_report(tmp_path / "runs", tmp_path / "report")
    return (tmp_path / "report" / "index.html").read_text()


def test_voxels_are_coloured_by_whether_found_and_labels_agree():
    found, labels = np.array([[True, True, False, False]]), np.array([[True, False, True, False]])
    grey = np.array([[40, 80, 120, 200]], np.uint8)

    made = pixels(overlay_png(found, labels, grey))[0]

    expected = [tinted(40, AGREE), tinted(80, FALSE), tinted(120, MISSED), [200, 200, 200]]
    assert np.abs(made - expected).max() <= 3, "64 grey levels of each class are 4 apart"


def test_the_classes_differ_in_lightness_or_in_blue_and_yellow():
    """What is left to those who do not tell red from green: lightness, and blue against yellow."""
    seen = [(0.3 * r + 0.6 * g + 0.1 * b, b - (r + g) / 2) for r, g, b in CLASSES.values()]

    for n, a in enumerate(seen):
        for b in seen[:n]:
            assert max(abs(a[0] - b[0]), abs(a[1] - b[1])) > 60


def test_neurons_have_their_colour_and_grey_borders():
    neurons = np.array([[7, 7, 7, 9, 9, 0]])

    made = pixels(instances_png(neurons, {7: 0, 9: 1 + len(NEURONS)}, np.full(neurons.shape, 118, np.uint8)))[0]

    flat = [118] * 3
    expected = [tinted(118, NEURONS[0])] * 2 + [flat, tinted(118, NEURONS[1]), flat, flat]
    assert np.abs(made - expected).max() <= 9, "16 grey levels of each neuron are 17 apart"
    assert borders(neurons)[0].tolist() == [False, False, True, False, True, False]


def test_an_instance_has_the_colour_of_the_neuron_that_it_covers_best():
    neurons = {"xy": np.array([[5] * 6 + [9] * 4]), "xz": np.array([[5, 9]])}
    cut = {"xy": np.array([[1] * 2 + [2] * 4 + [3] * 4]), "xz": np.array([[2, 3]])}
    grown = {"xy": np.array([[4] * 10]), "xz": np.array([[4, 0]])}
    known = neuron_colours(neurons)

    assert known == {5: 0, 9: 1}
    assert instance_colours(cut, neurons, known) == {2: 0, 3: 1, 1: 2}, "the smaller part has a colour of its own"
    assert instance_colours(grown, neurons, known) == {4: 0}


def test_the_page_shows_the_ceiling_and_each_method_in_two_planes(make_run, tmp_path: Path):
    judged(make_run, "linear", 0.4)
    judged(make_run, "nearest", 0.3)

    found = pictures(page_of(tmp_path))

    words = ["membranes found in the truth", "labelled neurons"]
    words += [f"{what} found in {label}" for label in ("linear", "nearest") for what in ("membranes", "neurons")]
    assert list(found) == [f"{text}, {at}" for text in words for at in ("xy, z = 10", "xz, y = 8")]
    row = found["membranes found in linear, xz, y = 8"][3]
    assert np.abs(row[9] - tinted(100, MISSED)).max() <= 3
    assert np.abs(row[11] - tinted(100, AGREE)).max() <= 3
    assert np.abs(row[12] - tinted(100, FALSE)).max() <= 3
    assert np.abs(row[13] - 100).max() <= 3
    truth = found["membranes found in the truth, xz, y = 8"][3]
    assert np.abs(truth[10] - tinted(120, AGREE)).max() <= 3
    neurons = found["neurons found in linear, xy, z = 10"][3]
    assert np.abs(neurons[6] - tinted(100, NEURONS[0])).max() <= 9
    assert np.abs(neurons[1] - tinted(100, NEURONS[2])).max() <= 9, "the part that was cut off"


def test_large_sections_are_cut_to_their_middle(make_run, tmp_path: Path):
    folder = judged(make_run, "linear", 0.4, what="mitochondria")
    large = {name: np.zeros((300, 400), bool) for name in ("found", "truth", "labels")}
    large["grey"] = large["truth_grey"] = np.zeros((300, 400), np.uint8)
    large["labels"][150, 200] = True
    arrays = {f"{name}_{plane}": values for name, values in large.items() for plane in ("xy", "xz", "yz")}
    keep_masks(folder, "mitochondria", **arrays)

    page = page_of(tmp_path)
    found = pictures(page)["mitochondria found in linear, xy, z = 10"]

    assert found.shape == (256, 256, 3)
    assert np.abs(found[128, 128] - tinted(0, MISSED)).max() <= 3
    assert "The middle 256 voxels" in page


def test_runs_without_pictures_are_named(make_run, tmp_path: Path):
    judged(make_run, "linear", 0.4)
    (judged(make_run, "nearest", 0.3) / "segmentation-membranes.npz").unlink()

    page = page_of(tmp_path)

    assert "membranes found in nearest" not in page
    assert "No sections were kept by: nearest." in page


def test_pictures_of_other_labels_are_a_warning(make_run, tmp_path: Path):
    judged(make_run, "linear", 0.4)
    keep_masks(judged(make_run, "nearest", 0.3), origin=np.array([0, 0, 0]))

    report = write_report(tmp_path / "runs", tmp_path / "report")

    assert len(report.warnings) == 1
    assert "nearest: segmentation-membranes.npz shows another place or other labels" in report.warnings[0]


@pytest.mark.parametrize("changed", [{"origin": np.zeros(2)}, {"found_xy": np.zeros((2, 2), bool)},
                                     {"grey_xz": np.zeros((12, 20))}, {"labels_yz": np.zeros(3, bool)}])  # fmt: skip
def test_damaged_pictures_are_a_warning(make_run, tmp_path: Path, changed):
    folder = judged(make_run, "linear", 0.4)
    keep_masks(folder, **changed)

    with pytest.raises(DataError, match=r"segmentation-membranes\.npz: "):
        load_masks(folder / "segmentation-membranes.npz")
    report = write_report(tmp_path / "runs", tmp_path / "report")
    assert len(report.warnings) == 1
    assert "linear" in report.warnings[0]


def test_half_a_file_is_a_warning(make_run, tmp_path: Path):
    path = judged(make_run, "linear", 0.4) / "segmentation-membranes.npz"
    path.write_bytes(path.read_bytes()[:300])

    assert len(write_report(tmp_path / "runs", tmp_path / "report").warnings) == 1
