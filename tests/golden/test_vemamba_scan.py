"""Selective scans and visiting orders of VEMamba against tensors of the original parts."""

import re

import pytest
import torch
from vemamba_golden import DOUBLE_AND_SINGLE, assert_close, read, sections, suggested, under

from vemrecon.methods.vemamba import alcssm
from vemrecon.nets.scan_orders import scan_maps, visited
from vemrecon.nets.selective_scan import selective_scan, selective_scan_reference


def small_blocks(**arguments):
    """The chunked scan in blocks of 13 steps."""
    batch, channels = arguments["u"].shape[:2]
    return selective_scan(**arguments, block_elements=13 * batch * channels * arguments["a"].shape[1])


SCAN_NAMES = {"A": "a", "B": "b", "C": "c", "D": "skip", "z": "gate"}


@DOUBLE_AND_SINGLE
@pytest.mark.parametrize(
    "scan", [selective_scan_reference, selective_scan, small_blocks], ids=["reference", "chunked", "small-blocks"]
)
@sections("selective_scan")
def test_selective_scan_reproduces_every_case(file, section, scan, dtype):
    facts, part, tensors = read(file, section)
    for case in part["cases"]:
        values = under(tensors, part["prefix"].replace("<index>", str(case["index"])), dtype)
        inputs = under(values, "input.")
        weight = inputs.pop("grad_weight", None)
        arguments = {SCAN_NAMES.get(name, name): x.requires_grad_() for name, x in inputs.items()}

        y, last = scan(**arguments, softplus=case["delta_softplus"])

        tolerance = suggested(facts, "the scan outputs")
        assert_close(y, values["output.y"], tolerance, case["note"])
        assert_close(last, values["output.last_state"], tolerance, case["note"])
        gradients = under(values, "grad.")
        assert bool(gradients) == case["has_gradients"]
        if gradients:
            (y * weight).sum().backward()
        for name, wanted in gradients.items():
            got = arguments[SCAN_NAMES.get(name, name)].grad
            assert_close(got, wanted, suggested(facts, "gradients"), f"{case['note']}: gradient of {name}")


@sections("scan_orders")
def test_visiting_orders(file, section):
    _, part, tensors = read(file, section)
    rows = [re.sub("H", "h", row.split()[0]) + ("-" if "reversed" in row else "") for row in part["rows"]]
    for name, wanted in under(tensors, part["tensor"].split(".")[0] + ".").items():
        grid = tuple(map(int, name.split("x")))
        steps, places = scan_maps(grid, tuple(rows), torch.device("cpu"))
        assert torch.equal(steps, wanted), name
        assert torch.equal(torch.gather(steps, 1, places)[0], torch.arange(len(wanted[0]))), name
        assert torch.equal(visited(grid, rows[0]), wanted[0])
    for chunk, orders in (("chunk_1", alcssm.AXIAL_TO_LATERAL), ("chunk_2", alcssm.LATERAL_TO_AXIAL)):
        listed = re.findall(r"\d+", part[chunk].split("rows")[1])
        assert orders == tuple(rows[int(i)] for i in listed)
