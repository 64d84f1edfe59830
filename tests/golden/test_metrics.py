"""Golden values of the metrics: every entry of `metrics.json`. Values, shapes and tolerances come from the file."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lpips_stand_in as stand_in
import metrics_recipes as recipes
import numpy as np
import pytest
import torch
from golden_files import Golden, cases, golden_folder
from torch import nn

from vemrecon.methods.base import Method, Tile
from vemrecon.methods.eightfold import eightfold
from vemrecon.methods.flops import Parameters, count_flops
from vemrecon.metrics.catalogue import metrics
from vemrecon.metrics.evaluate import evaluate
from vemrecon.metrics.evaluation import Evaluation
from vemrecon.metrics.score import Limit, Score
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
FLAGS = {Limit.AT_MOST: "no_crossing", Limit.AT_LEAST: "below_at_first_shell"}
PAIR_METRICS = ("mse", "mae", "psnr", "ssim", "ms_ssim", "fsc", "power_anisotropy_log10", "axial", "fsim_xy_subset")
LPIPS_FORMULA = "lpips_alex_formula_backbone_xy_subset"


Entry = tuple[str, int]
"""Section and number of an entry."""
MADE_FROM = r"id|reference|test|recipe|shape_zyx|voxel_nm_zyx|scale|sha256_\w+|module|input_shape|sample"


def metrics_of(section: str) -> Any:
    """A test for every entry and metric of a section; the second and later baselines of a kind are slow."""
    kinds: dict[Any, Any] = {}

    def expand(golden: Golden) -> dict[str, Any]:
        entries = enumerate(golden.listed(section))
        return {
            f"{entry['id']}-{metric}": (section, i, "metrics", metric)
            for i, entry in entries
            for metric in entry["metrics"]
        }

    def slow(golden: Golden, case: Any) -> bool:
        kind = golden.facts[section][case[1]]["id"].split("_")[0]
        return section == "baselines" and kinds.setdefault((golden, kind), case[1]) != case[1]

    return cases("metrics", expand, slow)


def read_entry(golden: Golden, section: str, number: int) -> Any:
    """An entry, of which everything is noted as used that its input is made from."""
    entry = golden.facts[section][number]
    for key in (key for key in entry if re.fullmatch(MADE_FROM, key)):
        golden.fact(section, number, key)
    return entry


def understood(make: Any, *arguments: Any) -> Any:
    """What a recipe makes; the test is skipped where it is put in other words."""
    try:
        return make(*arguments)
    except recipes.RecipeError as error:
        pytest.skip(f"recipe not understood: {error}")


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
def scored(golden: Golden, section: str, number: int) -> Evaluation:
    score = {"pairs": score_pair, "protocols": score_protocol, "baselines": score_baseline}[section]
    return score(read_entry(golden, section, number))


def pair(entry: Mapping[str, Any]) -> tuple[recipes.Grey, recipes.Grey]:
    recipe = entry["reference"]
    if isinstance(recipe, str):
        reference = understood(recipes.run_recipe, recipe, {})
    else:
        crop = recipe["crop_zyx_half_open"]
        reference = recipes.read_crop(data_file(recipe["file"]), recipe["dataset"], crop)
    test = understood(recipes.run_recipe, entry["test"], {"reference": reference})
    assert list(reference.shape) == entry["shape_zyx"]
    assert recipes.sha256(reference) == entry["sha256_reference"], "the input is wrong, not the metric"
    assert recipes.sha256(test) == entry["sha256_test"], "the input is wrong, not the metric"
    return reference, test


def score_pair(entry: Mapping[str, Any]) -> Evaluation:
    reference, test = pair(entry)
    voxel_size = VoxelSize(*entry["voxel_nm_zyx"])
    wanted = [name for name in metrics() if name.split("_")[0] in ("psnr", "ssim")]
    wanted += [name for name in metrics() if name.startswith("ms_ssim") and "ms_ssim" in entry["metrics"]]
    wanted += [name for name in metrics() if name in FSC_CURVES.values() and "fsc" in entry["metrics"]]
    return evaluate(
        GreyVolume(reference, voxel_size),
        GreyVolume(test, voxel_size),
        metrics=[*wanted, "axial"],
        ranges={"all": Region.whole(reference.shape)},
        grid=SectionGrid.slabs(entry["scale"]),
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
    path, crop = understood(recipes.crop_in_text, entry["recipe"])
    source = recipes.read_crop(data_file(path), "raw", crop)
    call = re.search(r"test=([a-z_]+\([^)]*\))", entry["recipe"])
    if call is not None:
        reference, test = source, understood(recipes.run_recipe, call[1], {"reference": source})
    elif "rounded mean of the two neighbours" in entry["recipe"]:
        reference = source[1 : 2 * ((len(source) - 1) // 2) : 2]  # those that have a right neighbour
        test = recipes.rounded((source[:-2:2].astype(float) + source[2::2]) / 2)[: len(reference)]
    else:
        pytest.skip(f"recipe not understood: {entry['recipe']}")
    assert recipes.sha256(test) == entry["sha256_test"], "the input is wrong, not the metric"
    voxel_size = VoxelSize(1, 1, 1)  # no metric of the protocols has a length
    wanted = [name for name in metrics() if name.split("_")[0] in ("psnr", "ssim")]
    ranges = {"all": Region.whole(test.shape)}
    return evaluate(GreyVolume(reference, voxel_size), GreyVolume(test, voxel_size), metrics=wanted, ranges=ranges)


def score_baseline(entry: Mapping[str, Any]) -> Evaluation:
    named = re.search(r"(average|subsample)_(linear|cubic)_x(\d+)", entry["id"])
    if named is None:
        pytest.skip(f"baseline not understood: {entry['id']}")
    kind, kernel, s = named[1], named[2], int(named[3])
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
        grid=SectionGrid.slabs(s),
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


def flag_of(score: Score) -> str:
    """The word that the file has for what limits a resolution."""
    return "no_shell" if score.value is None else FLAGS.get(score.limit, "crossing")


def check_fsc(found: Evaluation, expected: Mapping[str, Any], tolerance: Mapping[str, float]) -> None:
    for taper, directions in expected.items():
        for direction, values in directions.items():
            if direction == "axial_to_lateral_ratio":
                agree(row(found, "fsc", taper, "ratio").value, values, tolerance["power_anisotropy_log10"])
                continue
            score = row(found, "fsc", taper, direction)
            assert flag_of(score) == values["flag"]
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


def tolerance_of(golden: Golden, name: str) -> float:
    return float(golden.fact("absolute_tolerance", name))


def check_named(golden: Golden, found: Evaluation, path: Any, rows: Mapping[str, Any], tolerance: float) -> None:
    """Values by names that we know; what has another name stays unchecked."""
    for name in (name for name in golden.listed(*path) if name in rows):
        check_plane_statistics(row(found, *rows[name]), golden.expected_fact(*path, name), tolerance)


@metrics_of("pairs")
def test_golden_pairs_agree(golden: Golden, case: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    *place, _, metric = case
    if metric not in (*PAIR_METRICS, LPIPS_FORMULA):
        pytest.skip(f"vemrecon does not implement '{metric}'")
    tolerance = {name: tolerance_of(golden, name) for name in golden.listed("absolute_tolerance")}
    entry = read_entry(golden, *place)
    expected = entry["metrics"][metric]
    if metric in ("ssim", "ms_ssim"):
        found, variants = scored(golden, *place), SSIM if metric == "ssim" else MS_SSIM
        for variant in (variant for variant in expected if variant in variants):
            planes = {plane: (metric, variants[variant], ours) for plane, ours in PLANES.items()}
            check_named(golden, found, (*case, variant), planes, tolerance[metric])
    elif metric == "psnr":
        planes = {plane: (metric, "", ours) for plane, ours in PLANES.items()}
        check_named(golden, scored(golden, *place), case, planes, tolerance[metric])
    elif metric == "fsc":
        known = {taper: golden.expected_fact(*case, taper) for taper in expected if taper in FSC_CURVES}
        check_fsc(scored(golden, *place), known, tolerance)
    else:
        golden.expected_fact(*case)
    if metric == LPIPS_FORMULA:
        stand_in.with_stand_in(monkeypatch)
        stand_in.put_weights(monkeypatch, tmp_path, "alex")
        agree(lpips_of_sections(entry, expected["slices"]), expected["value"], tolerance["lpips"])
    elif metric == "fsim_xy_subset":
        agree(fsim_of_sections(entry, expected["slices"]), expected["value"], tolerance["fsim"])
    elif metric == "mse":
        decibels = 10 * np.log10(255**2 / expected)
        agree(row(scored(golden, *place), "psnr", "", "volume").value, decibels, tolerance["psnr"])
    elif metric == "mae":
        agree(row(scored(golden, *place), "axial", "slice_mae", "z").value, expected, tolerance["axial"])
    elif metric == "power_anisotropy_log10":
        truth = row(scored(golden, *place), "axial", "power_anisotropy_truth", "volume").value
        difference = row(scored(golden, *place), "axial", "power_anisotropy", "volume").value
        agree(truth, expected["reference"], tolerance[metric])
        agree(difference, expected["difference"], tolerance[metric])
    elif metric == "axial":
        check_axial(scored(golden, *place), expected, tolerance["axial"])


@metrics_of("protocols")
def test_golden_protocols_agree(golden: Golden, case: Any) -> None:
    *place, _, metric = case
    name, _, plane = metric.partition("_")
    if metric != "sections" and (name not in ("psnr", "ssim") or plane not in PLANES):
        pytest.skip(f"vemrecon does not implement '{metric}'")
    found = scored(golden, *place)
    if metric == "sections":
        golden.agree(case, row(found, "psnr", "", "xy").count)
    elif name == "psnr":
        expected = golden.expected_fact(*case)
        check_plane_statistics(row(found, "psnr", "", PLANES[plane]), expected, tolerance_of(golden, "psnr"))
    else:
        variants = {variant: ("ssim", ours, PLANES[plane]) for variant, ours in SSIM.items()}
        check_named(golden, found, case, variants, tolerance_of(golden, "ssim"))


@metrics_of("baselines")
def test_golden_baselines_agree(golden: Golden, case: Any) -> None:
    *place, _, metric = case
    if metric not in ("psnr_volume", *PLANES, "fsc_hann_nm", "layer_contrast_difference"):
        pytest.skip(f"vemrecon does not implement '{metric}'")
    found, expected = scored(golden, *place), golden.expected_fact(*case)
    if metric == "psnr_volume":
        agree(row(found, "psnr", "", "volume").value, expected, tolerance_of(golden, "psnr"))
    elif metric in PLANES:
        for name, variant in (("psnr", ""), ("ssim", "gaussian11")):
            score = row(found, name, variant, PLANES[metric])
            agree(score.value, expected[f"{name}_mean"], tolerance_of(golden, name))
            agree(score.std, expected[f"{name}_std"], tolerance_of(golden, name))
            assert score.count == expected["slices"]
    elif metric == "fsc_hann_nm":
        for direction in ("z", "all"):
            score = row(found, "fsc", "hann", direction)
            agree(score.value, expected[direction], tolerance_of(golden, "fsc_resolution_nm"))
            assert flag_of(score) == expected[f"{direction}_flag"]
    else:
        agree(row(found, "axial", "layer_contrast", "z").value, expected, tolerance_of(golden, "axial"))


def entries_of(section: str) -> Any:
    """A test for every entry of a section."""
    return cases(
        "metrics", lambda golden: {entry["id"]: (section, i) for i, entry in enumerate(golden.listed(section))}
    )


RIPPLED = r"v=volume\((\d+), \((\d+), (\d+), (\d+)\)\); .*np\.repeat\(float64\(q\),(\d+),axis=0\)\+(\d+)\*sin\("


@entries_of("uncertainty")
def test_golden_uncertainty_agrees(golden: Golden, case: Entry) -> None:
    read_entry(golden, *case)
    seed, *shape, scale, height = map(int, golden.numbers(RIPPLED, *case, "recipe"))
    observed = torch.from_numpy(recipes.volume(seed, tuple(shape)).astype(np.float64))

    def model(stack: torch.Tensor) -> torch.Tensor:
        """Repeated sections and a ripple that does not turn with the volume."""
        made = stack.repeat_interleave(scale, dim=0)
        turn_z, turn_x = (2 * np.pi * torch.arange(1, n + 1, dtype=torch.float64) / n for n in made.shape[::2])
        return made + height * turn_x.sin() * turn_z.cos()[:, None, None]

    mean, spread = eightfold(model, observed, SectionGrid.slabs(scale))
    values = Volume((spread / 255).numpy().astype(np.float32), None, "uncertainty")
    rows = {row.variant: row.value for row in uncertainty_scores(values)}
    found = {
        "std_mean": rows["mean"],
        "std_p99": rows["p99"],
        "std_max": spread.max().item(),
        "ensemble_mean": mean.mean().item(),
        "ensemble_minus_plain_rms": (mean - model(observed)).square().mean().sqrt().item(),
    }
    for name, value in found.items():
        golden.agree((*case, "metrics", name), value, abs=tolerance_of(golden, "uncertainty"))


class OneModule(Method):
    """A module as a method."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def reconstruct(self, tile: Tile) -> torch.Tensor:
        return self.module(tile.observed)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@entries_of("cost")
def test_golden_costs_agree(golden: Golden, case: Entry, device: str) -> None:
    entry = read_entry(golden, *case)
    module = understood(recipes.make_module, entry["module"])
    assert " ".join(str(module).split()) == " ".join(entry["module"].split())
    method = OneModule(module).to(device)
    flops = count_flops(method, Tile(torch.zeros(entry["input_shape"], device=device), SectionGrid.slabs(1)))
    golden.agree((*case, "flops"), flops.total, abs=tolerance_of(golden, "flops"))
    golden.agree((*case, "parameters"), Parameters.of(method).total, abs=tolerance_of(golden, "parameters"))
