"""Golden values of the metrics: every entry of `metrics.json` and `metrics_*.json` in the golden folder.

The folder is `VEMRECON_GOLDEN`, or `golden` in `VEMRECON_SHARED`. Values, shapes and tolerances come from the files.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lpips_stand_in as stand_in
import metrics_recipes as recipes
import numpy as np
import pytest
import torch
from torch import nn
from vemrecon.metrics.names import METRICS

from vemrecon.methods.base import Method, Tile
from vemrecon.methods.eightfold import eightfold
from vemrecon.methods.flops import Parameters, count_flops
from vemrecon.metrics.evaluate import Evaluation, evaluate
from vemrecon.metrics.score import Score
from vemrecon.metrics.uncertainty import uncertainty_scores
from vemrecon.volume import SectionGrid, Volume
from vemrecon.volume.region import Region
from vemrecon.volume.voxels import VoxelSize

PLANES = {"volume": "volume", "3d": "volume", "XY": "xy", "XZ": "xz", "YZ": "yz"}
SSIM = {
    "gaussian11": "gaussian11",
    "uniform7": "uniform7",
    "torchmetrics_default": "torchmetrics",
    "pytorch_msssim_win11": "gaussian11",
}
MS_SSIM = {"torchmetrics_gaussian11": "", "pytorch_msssim_win11": "p11", "pytorch_msssim_win5": "p5"}
FSC_CURVES = {"hann": "fsc", "none": "fsc_none"}
PAIR_METRICS = ("mse", "mae", "psnr", "ssim", "ms_ssim", "fsc", "power_anisotropy_log10", "axial", "fsim_xy_subset")
LPIPS_FORMULA = "lpips_alex_formula_backbone_xy_subset"


def golden_folder() -> Path | None:
    if "VEMRECON_GOLDEN" in os.environ:
        return Path(os.environ["VEMRECON_GOLDEN"])
    if "VEMRECON_SHARED" in os.environ:
        return Path(os.environ["VEMRECON_SHARED"]) / "golden"
    return None


@functools.cache
def golden_files() -> dict[str, dict[str, Any]]:
    folder = golden_folder()
    if folder is None or not folder.is_dir():
        return {}
    paths = [*folder.glob("metrics.json"), *sorted(folder.glob("metrics_*.json"))]
    return {path.name: json.loads(path.read_text()) for path in paths}


def entries(section: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, content in golden_files().items():
        for entry in content.get(section, []):
            yield name, entry


def cases(section: str) -> list[Any]:
    """One parameter set per entry and metric of a section; the second and later baselines of a kind are slow."""
    found, kinds = [], set()
    for file, entry in entries(section):
        kind = (file, entry["id"].split("_")[0])
        marks = [pytest.mark.slow] if section == "baselines" and kind in kinds else []
        kinds.add(kind)
        for metric in entry["metrics"]:
            name = f"{Path(file).stem}-{entry['id']}-{metric}"
            found.append(pytest.param(file, entry, metric, id=name, marks=marks))
    return found or [pytest.param("", {}, "", id="none", marks=pytest.mark.skip(reason=missing_reason(section)))]


def missing_reason(section: str) -> str:
    if golden_folder() is None:
        return "set VEMRECON_GOLDEN to the golden folder, or VEMRECON_SHARED to the folder that holds it"
    return f"no metrics*.json with '{section}' in {golden_folder()}"


class GreyVolume:
    def __init__(self, grey: np.ndarray, voxel_size: VoxelSize) -> None:
        self.grey, self.voxel_size = grey, voxel_size

    @property
    def shape(self) -> tuple[int, int, int]:
        return Region.whole(self.grey.shape).shape

    def read(self, region: Region) -> np.ndarray:
        return self.grey[region.slices].astype(np.float32) / np.float32(255)


def data_file(relative: str) -> Path:
    folder = golden_folder()
    root = (
        Path(os.environ["VEMRECON_SHARED"]) if "VEMRECON_SHARED" in os.environ else folder.parent if folder else Path()
    )
    path = root / relative
    if not path.exists():
        pytest.skip(f"{relative} is not in the folder beside the golden files")
    return path


@functools.lru_cache(maxsize=2)
def _scored(key: str) -> Evaluation:
    section, file, entry_id = json.loads(key)
    entry = next(e for name, e in entries(section) if name == file and e["id"] == entry_id)
    return {"pairs": score_pair, "protocols": score_protocol, "baselines": score_baseline}[section](entry)


def scored(section: str, file: str, entry: Mapping[str, Any]) -> Evaluation:
    return _scored(json.dumps([section, file, entry["id"]]))


def pair(entry: Mapping[str, Any]) -> tuple[recipes.Grey, recipes.Grey]:
    recipe = entry["reference"]
    if isinstance(recipe, str):
        reference = recipes.run_recipe(recipe, {})
    else:
        crop = recipe["crop_zyx_half_open"]
        reference = recipes.read_crop(data_file(recipe["file"]), recipe["dataset"], crop)
    test = recipes.run_recipe(entry["test"], {"reference": reference})
    assert list(reference.shape) == entry["shape_zyx"]
    assert recipes.sha256(reference) == entry["sha256_reference"], "the input is wrong, not the metric"
    assert recipes.sha256(test) == entry["sha256_test"], "the input is wrong, not the metric"
    return reference, test


def score_pair(entry: Mapping[str, Any]) -> Evaluation:
    reference, test = pair(entry)
    voxel_size = VoxelSize(*entry["voxel_nm_zyx"])
    wanted = [name for name in METRICS if name.split("_")[0] in ("psnr", "ssim")]
    wanted += [name for name in METRICS if name.startswith("ms_ssim") and "ms_ssim" in entry["metrics"]]
    wanted += [name for name in METRICS if name in FSC_CURVES.values() and "fsc" in entry["metrics"]]
    return evaluate(
        GreyVolume(reference, voxel_size),
        GreyVolume(test, voxel_size),
        metrics=[*wanted, "axial"],
        ranges={"all": Region.whole(reference.shape)},
        scale=entry["scale"],
    )


def fsim_of_sections(entry: Mapping[str, Any], sections: Sequence[int]) -> float | None:
    truth, other = (GreyVolume(grey[list(sections)], VoxelSize(1, 1, 1)) for grey in pair(entry))
    found = evaluate(truth, other, metrics=("fsim",), planes=("xy",), ranges={"all": Region.whole(truth.shape)})
    return row(found, "fsim", "", "xy").value


def lpips_of_sections(entry: Mapping[str, Any], sections: Sequence[int]) -> float | None:
    truth, other = (GreyVolume(grey[list(sections)], VoxelSize(1, 1, 1)) for grey in pair(entry))
    found = evaluate(truth, other, metrics=("lpips_alex",), planes=("xy",), ranges={"all": Region.whole(truth.shape)})
    return row(found, "lpips", "alex", "xy").value


def score_protocol(entry: Mapping[str, Any]) -> Evaluation:
    path, crop = recipes.crop_in_text(entry["recipe"])
    source = recipes.read_crop(data_file(path), "raw", crop)
    call = re.search(r"test=([a-z_]+\([^)]*\))", entry["recipe"])
    if call is not None:
        reference, test = source, recipes.run_recipe(call[1], {"reference": source})
    elif "rounded mean of the two neighbours" in entry["recipe"]:
        reference = source[1 : 2 * entry["metrics"]["sections"] : 2]
        test = recipes.rounded((source[:-2:2].astype(float) + source[2::2]) / 2)[: len(reference)]
    else:
        pytest.skip(f"recipe not understood: {entry['recipe']}")
    assert recipes.sha256(test) == entry["sha256_test"], "the input is wrong, not the metric"
    voxel_size = VoxelSize(1, 1, 1)  # no metric of the protocols has a length
    wanted = [name for name in METRICS if name.split("_")[0] in ("psnr", "ssim")]
    ranges = {"all": Region.whole(test.shape)}
    return evaluate(GreyVolume(reference, voxel_size), GreyVolume(test, voxel_size), metrics=wanted, ranges=ranges)


def score_baseline(entry: Mapping[str, Any]) -> Evaluation:
    kind, kernel, factor = entry["id"].split("_")
    s = int(factor.removeprefix("x"))
    truth = recipes.read_crop(data_file(f"data/fib25/{entry['sample']}/raw.h5"), "raw", entry["crop_zyx"])
    z = np.arange(len(truth))
    average = kind == "average"
    sections = recipes.block_mean(truth, s) if average else truth[::s].astype(np.float64)
    at = (z + 0.5) / s - 0.5 if average else z / s
    test = recipes.rounded({"linear": recipes.linear, "cubic": recipes.cubic}[kernel](sections, at))
    start, stop = entry["scored_z"]
    voxel_size = VoxelSize(10, 10, 10)  # FIB-25
    return evaluate(
        GreyVolume(truth, voxel_size),
        GreyVolume(test, voxel_size),
        metrics=("psnr", "ssim", "fsc", "axial"),
        ranges={"all": Region((start, 0, 0), (stop, *truth.shape[1:]))},
        kept_sections=() if average else range(0, len(truth), s),
        scale=s,
    )


def row(found: Evaluation, metric: str, variant: str, plane: str) -> Score:
    rows = [s for s in found.scores if (s.metric, s.variant, s.plane) == (metric, variant, plane)]
    assert len(rows) == 1, f"{len(rows)} rows of {metric} {variant} {plane}"
    return rows[0]


def agree(value: float | None, expected: float | None, tolerance: float) -> None:
    if expected is None:
        assert value is None
    else:
        assert value is not None
        assert value == pytest.approx(expected, abs=tolerance, rel=0)


def check_plane_statistics(score: Score, expected: Any, tolerance: float) -> None:
    if not isinstance(expected, dict):
        return agree(score.value, expected, tolerance)
    agree(score.value, expected["mean"], tolerance)
    agree(score.std, expected["std"], tolerance)
    assert score.count == expected["slices"]
    identical = re.search(r"(\d+) identical", score.note)
    assert int(identical[1] if identical else 0) == expected["identical_slices_excluded"]
    return None


def check_fsc(found: Evaluation, expected: Mapping[str, Any], tolerance: Mapping[str, float]) -> None:
    for taper, directions in expected.items():
        for direction, values in directions.items():
            if direction == "axial_to_lateral_ratio":
                agree(row(found, "fsc", taper, "ratio").value, values, tolerance["power_anisotropy_log10"])
                continue
            score = row(found, "fsc", taper, direction)
            assert (score.note or "crossing") == values["flag"]
            agree(score.value, values["resolution_nm"], tolerance["fsc_resolution_nm"])
            curve = found.curves[FSC_CURVES[taper]]["all"][direction]["value"]
            assert len(curve) == values["shells"]
            first = next(points for name, points in values.items() if name.startswith("curve"))
            for value, point in zip(curve, first, strict=False):
                agree(value, point, tolerance["power_anisotropy_log10"])


def check_axial(found: Evaluation, expected: Mapping[str, Any], tolerance: float) -> None:
    along = "z"
    error, mae = row(found, "axial", "slice_error", along), row(found, "axial", "slice_mae", along)
    agree(error.value, expected["signed_slice_error"]["mean_abs"], tolerance)
    agree(error.std, expected["signed_slice_error"]["std"], tolerance)
    largest = row(found, "axial", "slice_error_max", along)
    agree(largest.value, expected["signed_slice_error"]["max_abs"], tolerance)
    agree(mae.value, expected["slice_mae"]["mean"], tolerance)
    agree(mae.std, expected["slice_mae"]["std"], tolerance)
    contrast = row(found, "axial", "layer_contrast", along)
    truth = row(found, "axial", "layer_contrast_truth", along)
    agree(contrast.value, expected["layer_contrast"]["difference"], tolerance)
    agree(truth.value, expected["layer_contrast"]["reference"], tolerance)
    agree(row(found, "axial", "periodic_error", along).value, expected["periodic_error_fraction"], tolerance)
    for axis, ratio in expected["continuity_ratio"].items():
        agree(row(found, "axial", "continuity", axis).value, ratio, tolerance)


@pytest.mark.parametrize(("file", "entry", "metric"), cases("pairs"))
def test_golden_pairs_agree(
    file: str, entry: dict[str, Any], metric: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if metric not in (*PAIR_METRICS, LPIPS_FORMULA):
        pytest.skip(f"vemrecon does not implement '{metric}' yet")
    tolerance = golden_files()[file]["absolute_tolerance"]
    expected = entry["metrics"][metric]
    if metric == LPIPS_FORMULA:
        stand_in.with_stand_in(monkeypatch)
        stand_in.put_weights(monkeypatch, tmp_path, "alex")
        return agree(lpips_of_sections(entry, expected["slices"]), expected["value"], tolerance["lpips"])
    if metric == "fsim_xy_subset":
        return agree(fsim_of_sections(entry, expected["slices"]), expected["value"], tolerance["fsim"])
    found = scored("pairs", file, entry)
    if metric == "mse":
        decibels = 10 * np.log10(255**2 / expected)
        agree(row(found, "psnr", "", "volume").value, decibels, tolerance["psnr"])
    elif metric == "mae":
        agree(row(found, "axial", "slice_mae", "z").value, expected, tolerance["axial"])
    elif metric == "psnr":
        for plane, values in expected.items():
            check_plane_statistics(row(found, "psnr", "", PLANES[plane]), values, tolerance["psnr"])
    elif metric in ("ssim", "ms_ssim"):
        variants = SSIM if metric == "ssim" else MS_SSIM
        for variant, planes in expected.items():
            for plane, value in planes.items():
                check_plane_statistics(row(found, metric, variants[variant], PLANES[plane]), value, tolerance[metric])
    elif metric == "fsc":
        check_fsc(found, expected, tolerance)
    elif metric == "power_anisotropy_log10":
        truth = row(found, "axial", "power_anisotropy_truth", "volume").value
        difference = row(found, "axial", "power_anisotropy", "volume").value
        agree(truth, expected["reference"], tolerance[metric])
        agree(difference, expected["difference"], tolerance[metric])
    else:
        check_axial(found, expected, tolerance["axial"])
    return None


@pytest.mark.parametrize(("file", "entry", "metric"), cases("protocols"))
def test_golden_protocols_agree(file: str, entry: dict[str, Any], metric: str) -> None:
    tolerance = golden_files()[file]["absolute_tolerance"]
    expected = entry["metrics"][metric]
    found = scored("protocols", file, entry)
    name, _, plane = metric.partition("_")
    if metric == "sections":
        assert row(found, "psnr", "", "xy").count == expected
    elif name == "psnr":
        check_plane_statistics(row(found, "psnr", "", PLANES[plane]), expected, tolerance["psnr"])
    elif name == "ssim":
        for variant, value in expected.items():
            check_plane_statistics(row(found, "ssim", SSIM[variant], PLANES[plane]), value, tolerance["ssim"])
    else:
        pytest.skip(f"vemrecon does not implement '{metric}' yet")


@pytest.mark.parametrize(("file", "entry", "metric"), cases("baselines"))
def test_golden_baselines_agree(file: str, entry: dict[str, Any], metric: str) -> None:
    tolerance = golden_files()[file]["absolute_tolerance"]
    expected = entry["metrics"][metric]
    found = scored("baselines", file, entry)
    if metric == "psnr_volume":
        agree(row(found, "psnr", "", "volume").value, expected, tolerance["psnr"])
    elif metric in PLANES:
        for name, variant in (("psnr", ""), ("ssim", "gaussian11")):
            score = row(found, name, variant, PLANES[metric])
            agree(score.value, expected[f"{name}_mean"], tolerance[name])
            agree(score.std, expected[f"{name}_std"], tolerance[name])
            assert score.count == expected["slices"]
    elif metric == "fsc_hann_nm":
        for direction in ("z", "all"):
            score = row(found, "fsc", "hann", direction)
            agree(score.value, expected[direction], tolerance["fsc_resolution_nm"])
            assert (score.note or "crossing") == expected[f"{direction}_flag"]
    elif metric == "layer_contrast_difference":
        agree(row(found, "axial", "layer_contrast", "z").value, expected, tolerance["axial"])
    else:
        pytest.skip(f"vemrecon does not implement '{metric}' yet")


@pytest.mark.parametrize(("file", "entry", "metric"), cases("uncertainty"))
def test_golden_uncertainty_agrees(file: str, entry: dict[str, Any], metric: str) -> None:
    if entry["id"] != "U1":
        pytest.skip(f"recipe not understood: {entry['recipe']}")
    observed = torch.from_numpy(recipes.volume(7, (6, 16, 16)).astype(np.float64))
    mean, spread = eightfold(rippled, observed, SectionGrid.slabs(4))
    values = Volume((spread / 255).numpy().astype(np.float32), None, "uncertainty")
    rows = {row.variant: row.value for row in uncertainty_scores(values)}
    found = {
        "std_mean": rows["mean"],
        "std_p99": rows["p99"],
        "std_max": spread.max().item(),
        "ensemble_mean": mean.mean().item(),
        "ensemble_minus_plain_rms": (mean - rippled(observed)).square().mean().sqrt().item(),
    }
    agree(found[metric], entry["metrics"][metric], golden_files()[file]["absolute_tolerance"]["uncertainty"])


def rippled(stack: torch.Tensor) -> torch.Tensor:
    """The model of the recipe: repeated sections and a ripple that does not turn with the volume."""
    made = stack.repeat_interleave(4, dim=0)
    turn_z, turn_x = (2 * np.pi * torch.arange(1, n + 1, dtype=torch.float64) / n for n in made.shape[::2])
    return made + 6 * turn_x.sin() * turn_z.cos()[:, None, None]


COSTED: dict[str, Callable[[], nn.Module]] = {
    "Conv3d(1, 8, kernel_size=(3, 3, 3), stride=(1, 1, 1), padding=(1, 1, 1))": lambda: nn.Conv3d(1, 8, 3, padding=1),
    "ConvTranspose3d(8, 4, kernel_size=(4, 1, 1), stride=(4, 1, 1))": lambda: nn.ConvTranspose3d(
        8, 4, (4, 1, 1), stride=(4, 1, 1)
    ),
    "Sequential( (0): Conv2d(1, 16, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)) (1): ReLU() "
    "(2): Conv2d(16, 1, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)) )": lambda: nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 1, 3, padding=1)
    ),
    "Linear(in_features=96, out_features=64, bias=True)": lambda: nn.Linear(96, 64),
}
"""Modules of the cost entries, by what they print."""


class OneModule(Method):
    """A module as a method."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def reconstruct(self, tile: Tile) -> torch.Tensor:
        return self.module(tile.observed)


def cost_cases() -> list[Any]:
    found = [pytest.param(entry, id=f"{Path(file).stem}-{entry['id']}") for file, entry in entries("cost")]
    return found or [pytest.param({}, id="none", marks=pytest.mark.skip(reason=missing_reason("cost")))]


@pytest.mark.parametrize("entry", cost_cases())
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_golden_costs_agree(entry: dict[str, Any], device: str) -> None:
    text = " ".join(entry["module"].split())
    if text not in COSTED:
        pytest.skip(f"module not understood: {text}")
    module = COSTED[text]()
    assert " ".join(str(module).split()) == text
    method = OneModule(module).to(device)
    flops = count_flops(method, Tile(torch.zeros(entry["input_shape"], device=device), SectionGrid.slabs(1)))
    assert flops.total == entry["flops"]
    assert Parameters.of(method).total == entry["parameters"]
