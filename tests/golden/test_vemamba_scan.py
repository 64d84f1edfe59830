"""Selective scans and visiting orders of VEMamba against tensors of the original parts."""

import re

import pytest
import torch
from golden_files import cases
from vemamba_golden import DOUBLE_AND_SINGLE, check, expected, names_of, sections, suggested, under

from vemrecon.methods.vemamba import alcssm
from vemrecon.nets.scan_orders import scan_maps, visited
from vemrecon.nets.selective_scan import selective_scan, selective_scan_reference


def chunked(**arguments):
    return selective_scan(**arguments, kernel="chunked")


def small_blocks(**arguments):
    """The chunked scan in blocks of 13 steps."""
    batch, channels = arguments["u"].shape[:2]
    elements = 13 * batch * channels * arguments["a"].shape[1]
    return selective_scan(**arguments, kernel="chunked", block_elements=elements)


SCAN_NAMES = {"A": "a", "B": "b", "C": "c", "D": "skip", "z": "gate"}


def scans(golden):
    """Every case of a scan, as a path in the JSON."""
    paths = [
        (name, "cases", i)
        for name in names_of(golden, "selective_scan")
        for i in range(len(golden.facts[name]["cases"]))
    ]
    return {f"{path[0]}-{golden.facts[path[0]]['cases'][path[2]]['note']}": path for path in paths}


@DOUBLE_AND_SINGLE
@pytest.mark.parametrize(
    "scan",
    [selective_scan_reference, selective_scan, chunked, small_blocks],
    ids=["reference", "default", "chunked", "small-blocks"],
)
@cases("vemamba", scans)
def test_selective_scan_reproduces_every_case(golden, case, scan, dtype):
    facts = golden.fact(*case)
    prefix = golden.facts[case[0]]["prefix"].replace("<index>", str(facts["index"]))
    inputs = {name: value.clone() for name, value in under(golden, f"{prefix}input.", dtype).items()}
    weight = inputs.pop("grad_weight", None)
    sides = {"D": facts["has_D"], "z": facts["has_z"], "delta_bias": facts["has_delta_bias"]}
    assert {name: name in inputs for name in sides} == sides
    arguments = {SCAN_NAMES.get(name, name): x.requires_grad_() for name, x in inputs.items()}

    y, last = scan(**arguments, softplus=facts["delta_softplus"])

    tolerance = suggested(golden, "the scan outputs")
    check(golden, f"{prefix}output.y", y, tolerance)
    check(golden, f"{prefix}output.last_state", last, tolerance)
    if facts["has_gradients"]:
        (y * weight).sum().backward()
        for name in inputs:
            gradient = arguments[SCAN_NAMES.get(name, name)].grad
            check(golden, f"{prefix}grad.{name}", gradient, suggested(golden, "gradients"))


def rows_of(golden, case):
    return [re.sub("H", "h", row.split()[0]) + ("-" if "reversed" in row else "") for row in golden.fact(case, "rows")]


@sections("scan_orders")
def test_visiting_orders(golden, case):
    rows = rows_of(golden, case)
    for name, wanted in expected(golden, golden.facts[case]["tensor"].split(".")[0] + ".").items():
        grid = tuple(map(int, name.split("x")))
        steps, places = scan_maps(grid, tuple(rows), torch.device("cpu"))
        assert torch.equal(steps, wanted), name
        assert torch.equal(torch.gather(steps, 1, places)[0], torch.arange(len(wanted[0]))), name
        assert torch.equal(visited(grid, rows[0]), wanted[0])


@sections("scan_orders")
def test_chunks_of_channels_are_scanned_in_the_listed_orders(golden, case):
    rows = rows_of(golden, case)
    for chunk, orders in (("chunk_1", alcssm.AXIAL_TO_LATERAL), ("chunk_2", alcssm.LATERAL_TO_AXIAL)):
        listed = re.findall(r"\d+", golden.expected_fact(case, chunk).split("rows")[1])
        assert orders == tuple(rows[int(i)] for i in listed)
