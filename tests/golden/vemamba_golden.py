"""Reading the golden files of VEMamba: sections, tensors and tolerances by the names that the files give them."""

import json
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest_golden import golden_cases, load_golden

from vemrecon.methods.vemamba import alcssm
from vemrecon.methods.vemamba.released import import_encoder
from vemrecon.nets.selective_scan import selective_scan

DOUBLE_AND_SINGLE = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
CHECKED = r"about|model_\w+|moco|selective_scan|scan_orders|degradation|inference|metrics|lr_multiplier|tensors"


def sections(pattern):
    """One case for every golden file and every section of it whose name matches."""
    found = []
    for case in golden_cases("vemamba"):
        (file,) = case.values
        if file is None:
            found.append(pytest.param(None, None, marks=case.marks, id=case.id))
            continue
        names = [name for name in json.loads(file.read_text()) if re.fullmatch(pattern, name)]
        found += [pytest.param(file, name, id=f"{file.stem}-{name}") for name in names]
    return pytest.mark.parametrize(("file", "section"), found)


def read(file, section):
    """The whole file's facts, those of the section, and all tensors as torch tensors."""
    facts, tensors = load_golden(file)
    return facts, facts[section], {name: torch.from_numpy(np.asarray(value)) for name, value in tensors.items()}


def under(tensors, prefix, dtype=None):
    """Tensors whose names begin with a prefix, without it."""
    found = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    return {name: value.to(dtype) if dtype and value.is_floating_point() else value for name, value in found.items()}


def suggested(facts, what):
    """Relative tolerance that the file suggests for model outputs, the scan outputs or gradients."""
    return float(re.search(rf"([\d.e+-]+) for {what}", facts["about"]["suggested_tolerance"])[1])


def first_number(text):
    return float(re.search(r"\d[\d.]*(e[+-]?\d+)?", text)[0])


def assert_close(ours, wanted, tolerance, what):
    """Largest difference relative to the largest reference."""
    assert tuple(ours.shape) == tuple(wanted.shape), what
    ours, wanted = ours.detach().double(), wanted.double()
    error = (ours - wanted).abs().max().item()
    assert error <= tolerance * max(wanted.abs().max().item(), 1e-12), (what, error)


def contrast_of(moco, tensors, dtype):
    """The golden contrastive model; its key encoder is a multiple of the query encoder."""
    state = under(tensors, moco["prefix"] + "state.")
    factor = first_number(moco["key_encoder"])
    for name, value in list(under(state, "encoder_q.").items()):
        buffer = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        state[f"encoder_k.{name}"] = value if buffer else value * torch.tensor(factor, dtype=value.dtype)
    config = moco["config"]
    return import_encoder(state, momentum=config["m"], temperature=config["T"]).to(dtype)


def record(net, monkeypatch):
    """Intermediate values by their golden names, filled while the network runs."""
    seen = {}
    block, body = net.body[0].blocks[0], net.body
    last = {
        "ln_1": block.norm_1,
        "ln_2": block.norm_2,
        "out_norm": block.mamba.norm,
        "mamba": block.mamba,
        "ffn": block.ffn,
        "out": block,
    }

    def keep(name, change):
        return lambda module, inputs, output: seen.__setitem__(name, change(output))

    for name, module in last.items():
        module.register_forward_hook(keep(f"block0.{name}", lambda y: y.movedim(-1, 1)))
    block.mamba.conv.register_forward_hook(keep("block0.dwconv_silu", F.silu))
    for i, (scan, fusion) in enumerate(zip(block.mamba.scans, block.mamba.fusions, strict=True), start=1):
        scan.register_forward_hook(keep(f"block0.restored_s{i}", lambda y: y))
        fusion.register_forward_hook(keep(f"block0.fused_s{i}", lambda y: y))
        weights = keep(f"block0.fusion_weights_s{i}", lambda y: y.softmax(-1).transpose(1, 2))
        fusion.mlp.register_forward_hook(weights)
    for i, group in enumerate(body):
        group.register_forward_hook(keep(f"group{i}.out", lambda y: y))
    net.first_conv.register_forward_hook(keep("shallow", lambda y: y))
    net.upsample.register_forward_hook(keep("upsampled", lambda y: y))
    calls = []

    def watched(u, delta, a, b, c, *rest, **options):
        y, state = selective_scan(u, delta, a, b, c, *rest, **options)
        calls.append(None)
        if len(calls) <= 2:  # chunks 1 and 2 of the first block
            values = {"u": u, "delta": delta, "B": b, "C": c, "y": y}
            seen.update({f"block0.scan_s{len(calls)}.{name}": value for name, value in values.items()})
        return y, state

    monkeypatch.setattr(alcssm, "selective_scan", watched)
    return seen
