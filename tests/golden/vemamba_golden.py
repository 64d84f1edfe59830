"""Reading the golden files of VEMamba: sections, tensors and tolerances by the names that the files give them."""

import pytest
import torch
import torch.nn.functional as F
from golden_files import cases

from vemrecon.methods.vemamba import alcssm
from vemrecon.methods.vemamba.released import import_encoder
from vemrecon.nets.selective_scan import selective_scan

DOUBLE_AND_SINGLE = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
KINDS = {  # of sections, whatever they are called, by a key that they have
    "moco": "key_encoder",
    "selective_scan": "cases",
    "scan_orders": "rows",
    "degradation": "kernel_iso",
    "inference": "stitch_alone",
    "metrics": "loss_total",
    "lr_multiplier": "warmup_steps",
    "model": "feed_forward",
}


def names_of(golden, kind):
    """Sections of a kind."""
    found = {}
    for name, part in golden.facts.items():
        if isinstance(part, dict):
            found.setdefault(next((kind for kind, key in KINDS.items() if key in part), None), []).append(name)
    return found.get(kind, [])


def sections(kind):
    """One case for every golden file and every section of a kind in it."""
    return cases("vemamba", lambda golden: names_of(golden, kind))


def under(golden, prefix, dtype=None):
    """Tensors to start from whose names begin with a prefix, without it."""
    return {
        name: value.to(dtype) if dtype and value.is_floating_point() else value
        for name, value in golden.below(prefix).items()
    }


def expected(golden, prefix, dtype=None):
    """Tensors to compare with whose names begin with a prefix, without it; there may be none."""
    names = [name for name in golden.tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): golden.expected(name).to(dtype or golden.tensors[name].dtype) for name in names}


def given(golden, name, dtype):
    return golden.given(name).to(dtype)


def suggested(golden, what):
    """Relative tolerance that the file suggests for model outputs, the scan outputs or gradients."""
    return golden.numbers(rf"([\d.e+-]+) for {what}", "about", "suggested_tolerance")[0]


def first_number(golden, *path):
    return golden.numbers(r"(\d[\d.]*(?:e[+-]?\d+)?)", *path)[0]


def assert_close(ours, wanted, tolerance, what):
    """Largest difference relative to the largest reference."""
    assert tuple(ours.shape) == tuple(wanted.shape), what
    ours, wanted = ours.detach().double(), wanted.double()
    error = (ours - wanted).abs().max().item()
    assert error <= tolerance * max(wanted.abs().max().item(), 1e-12), (what, error)


def check(golden, name, ours, tolerance):
    """Compare with a tensor of the file, if it is there, relative to its largest value and in its shape."""
    if name in golden:
        wanted = golden.expected(name)
        assert_close(ours.reshape(wanted.shape), wanted, tolerance, name)
    else:
        golden.missing.append(name)


def contrast_of(golden, section, dtype):
    """The golden contrastive model; its key encoder is a multiple of the query encoder."""
    prefix, config = golden.facts[section]["prefix"], golden.fact(section, "config")
    state = under(golden, prefix + "state.")
    factor = first_number(golden, section, "key_encoder")
    for name, value in under(golden, prefix + "state.encoder_q.").items():
        buffer = name.endswith(("running_mean", "running_var", "num_batches_tracked"))
        state[f"encoder_k.{name}"] = value if buffer else value * torch.tensor(factor, dtype=value.dtype)
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
        scan.register_forward_hook(keep(f"block0.restored_s{i}", lambda y: y.permute(0, 2, 3, 1)))
        fusion.register_forward_hook(keep(f"block0.fused_s{i}", lambda y: y.transpose(1, 2)))
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
