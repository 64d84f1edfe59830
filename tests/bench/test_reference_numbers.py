"""The interpolation baselines of the specification, computed outside this project, on real FIB-25 data."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vemrecon.bench.scoring import scored_ranges
from vemrecon.degradations import degrade, make_degradation, trimmed
from vemrecon.infer.reconstruct import reconstruct_volume
from vemrecon.methods.interpolation import Interpolation, interpolation_matrix
from vemrecon.metrics.evaluate import evaluate
from vemrecon.volume import Region, open_volume

METHODS = {"cubic_a-0.75": "bicubic", "cubic_a-0.5": "bicubic-keys"}
DECIBEL, SIMILARITY = 0.01, 0.0005  # the tolerance that the specification states
COLUMN = re.compile(r"(PSNR|SSIM)_(vol|XY|XZ|YZ)")


@pytest.fixture(scope="module")
def reference():
    """{(degradation, range, scale, kernel): {(metric, plane): value}} read from the tables of section 8."""
    page = Path(os.environ.get("VEMRECON_SHARED", "")) / "specs" / "baselines.md"
    if "VEMRECON_SHARED" not in os.environ or not page.exists():
        pytest.skip("the tables of reference numbers: set VEMRECON_SHARED to the folder with specs/baselines.md")
    found = {}
    for part in re.split(r"\n### ", page.read_text())[1:]:
        heading = re.match(r"8\.[123] `(\w+)`, (all|span)", part)
        if not heading:
            continue
        lines = [[c.strip() for c in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]
        columns = [COLUMN.fullmatch(name) for name in lines[0]]
        for line in lines[2:]:
            key = (heading[1], heading[2], int(line[0]), line[1])
            found[key] = {
                (c[1].lower(), c[2].lower().replace("vol", "volume")): float(text)
                for c, text in zip(columns, line, strict=True)
                if c
            }
    assert len(found) == 3 * 4 * 6
    return found


def compare(found, wanted, where):
    for (metric, plane), value in wanted.items():
        tolerance = DECIBEL if metric == "psnr" else SIMILARITY
        assert found[metric, plane] == pytest.approx(value, abs=tolerance), (*where, metric, plane)


@pytest.mark.parametrize(
    "case", [("subsample", 10, "lanczos3"), ("average", 6, "bspline3"), ("subsample", 8, "nearest")]
)
def test_reference_numbers_of_some_baselines(reference, fib25, tmp_path, case):
    kind, scale, kernel = case
    degradation = make_degradation(kind, scale)
    truth = trimmed(open_volume(fib25), scale)
    observed = degrade(truth, degradation)
    assert observed.grid.extent(observed.shape[0]) == truth.shape[0]
    reconstruct_volume(Interpolation(kernel).eval(), observed, tmp_path / "r.zarr", like=truth)
    ranges, kept = scored_ranges(truth, degradation, observed.shape[0])
    result = evaluate(
        truth, open_volume(tmp_path / "r.zarr"), metrics=("psnr", "ssim_uniform7"), ranges=ranges, kept_sections=kept
    )
    for span in ranges:
        found = {(s.metric, s.plane): s.value for s in result.scores if s.range == span and s.block == "all"}
        compare(found, reference[kind, span, scale, kernel], case)


@pytest.mark.slow
def test_the_bench_command_reproduces_every_reference_number(reference, fib25, tmp_path):
    words = ["--dataset", f"local:{fib25}", "--split", "whole", "--scale", "4", "6", "8", "10"]
    words += ["--degradation", "subsample", "average", "--metrics", "psnr", "ssim_uniform7", "--runs", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "vemrecon.cli", "bench", *words], check=True)
    check_csv(tmp_path / "report" / "leaderboard.csv", reference)


def check_csv(path, reference):
    """Compare a leaderboard.csv of these runs with every number."""
    found = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["block"] == "all" and (row["metric"], row["variant"]) in (("psnr", ""), ("ssim", "uniform7")):
                key = (row["degradation"], row["range"], int(float(row["scale"])), row["method"])
                if row["value"]:
                    found.setdefault(key, {})[row["metric"], row["plane"]] = float(row["value"])
    for (kind, span, scale, kernel), wanted in reference.items():
        compare(found[kind, span, scale, METHODS.get(kernel, kernel)], wanted, (kind, span, scale, kernel))


@pytest.mark.parametrize("kind", ["subsample", "average"])
def test_shifting_a_reconstruction_of_real_data_by_one_section_lowers_its_psnr(fib25, kind):
    truth = trimmed(open_volume(fib25), 8).crop(Region((0, 0, 0), (160, 128, 128)))
    observed = degrade(truth, make_degradation(kind, 8))
    weights = interpolation_matrix("linear", observed.shape[0], observed.grid)
    result = np.tensordot(weights, observed.read(observed.whole), axes=1)
    wanted = truth.read(truth.whole)[1:-1]
    errors = [((wanted - result[1 + d : len(result) - 1 + d]) ** 2).mean() for d in (-1, 0, 1)]
    assert errors[1] < min(errors[0], errors[2])
