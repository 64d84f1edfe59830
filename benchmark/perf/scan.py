"""Time and memory of the selective scan, forward and backward, against two plain ways to write it.

    python benchmark/perf/scan.py [--lengths 4096 16384 65536] [--channels 48] [--groups 1] [--state 16] [--batch 1]
                                  [--threads 2] [--device cpu] [--kinds chunked steps textbook compiled]

`chunked` is what this package does in plain torch; `steps` is the definition, one step after the other; `textbook`
makes the decays, the additions and the states of all steps as tensors of batch x channels x length x state; `compiled`
is our kernel in C, or that of mamba-ssm on CUDA. Every measurement runs in a fresh process. Memory is the growth of the
peak during the first forward and backward pass, with results and gradients, without inputs.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

KINDS = ("chunked", "steps", "textbook", "compiled")


def textbook(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, skip: Tensor, bias: Tensor) -> Tensor:
    """The recurrence with tensors (b, d, l, n) of decays, additions and states."""
    import torch
    import torch.nn.functional as F

    dt = F.softplus(delta + bias[:, None])
    b, c = (x.repeat_interleave(u.shape[1] // x.shape[1], dim=1).transpose(2, 3) for x in (b, c))  # (b, d, l, n)
    decay = torch.exp(dt[..., None] * a[:, None])
    added = (dt * u)[..., None] * b
    h, states = torch.zeros_like(added[:, :, 0]), []
    for factor, term in zip(decay.unbind(2), added.unbind(2), strict=True):
        h = factor * h + term
        states.append(h)
    return (torch.stack(states, dim=2) * c).sum(-1) + skip[:, None] * u


def scan_function(kind: str) -> Callable[..., Tensor]:
    """The way to scan, with arguments u, delta, a, b, c, skip, bias."""
    from vemrecon.nets.selective_scan import selective_scan, selective_scan_reference

    def ours(u: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, skip: Tensor, bias: Tensor) -> Tensor:
        if kind == "steps":
            return selective_scan_reference(u, delta, a, b, c, skip, None, bias, softplus=True)[0]
        return selective_scan(u, delta, a, b, c, skip, None, bias, softplus=True, kernel=kind)[0]

    return textbook if kind == "textbook" else ours


def inputs(batch: int, channels: int, groups: int, state: int, length: int, device: str) -> list[Tensor]:
    """Random inputs with steps of 0.001 to 0.1, as a network starts with."""
    import torch

    source = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=source)

    rates = -torch.arange(1.0, state + 1).repeat(channels, 1)
    bias = torch.empty(channels).uniform_(-6.9, -2.3, generator=source)
    sequences = [draw(batch, channels, length), draw(batch, channels, length) / 2]
    weights = [draw(batch, groups, state, length) for _ in range(2)]
    tensors = [*sequences, rates, *weights, torch.ones(channels), bias]
    return [x.to(device).requires_grad_() for x in tensors]


def measure(kind: str, length: int, options: argparse.Namespace) -> dict[str, float]:
    """Best time of a few passes in seconds, and peak memory of the first in MiB."""
    import torch

    torch.set_num_threads(options.threads)
    scan, cuda = scan_function(kind), options.device != "cpu"
    sizes = (options.batch, options.channels, options.groups, options.state)

    def once(tensors: list[Tensor], weight: Tensor) -> float:
        for x in tensors:
            x.grad = None
        begin = time.perf_counter()
        (scan(*tensors) * weight).sum().backward()
        if cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    warm = inputs(*sizes, 64, options.device)
    once(warm, torch.ones_like(warm[0]))
    tensors = inputs(*sizes, length, options.device)
    weight = torch.ones_like(tensors[0])
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    seconds = [once(tensors, weight)]
    peak = torch.cuda.max_memory_allocated() if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    while len(seconds) < 5 and sum(seconds) < 20:
        seconds.append(once(tensors, weight))
    return {"seconds": min(seconds), "mebibytes": (peak - before) / 2**20}


def in_fresh_process(kind: str, length: int, arguments: list[str]) -> dict[str, float] | None:
    """Measure in a process of its own; None if that failed, for example for want of memory."""
    command = [sys.executable, __file__, *arguments, "--measure", kind, str(length)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        print(f"{kind:9} {length:7}  failed: {(answer.stderr.strip().splitlines() or ['killed'])[-1]}", flush=True)
        return None
    result: dict[str, float] = json.loads(answer.stdout)
    return result


def main() -> None:
    """Measure all lengths and print times, memory and ratios to the chunked scan."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--lengths", type=int, nargs="+", default=[4096, 16384, 65536])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS[:3]))
    for name, default in (("batch", 1), ("channels", 48), ("groups", 1), ("state", 16), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--measure", nargs=2, metavar=("KIND", "LENGTH"), help="one measurement, as JSON")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure[0], int(options.measure[1]), options)))
        return
    print(f"{'kind':9} {'length':>7} {'seconds':>9} {'MiB':>8} {'time ratio':>11} {'memory ratio':>13}")
    for length in options.lengths:
        base = None
        for kind in options.kinds:
            result = in_fresh_process(kind, length, sys.argv[1:])
            if result is None:
                continue
            base = base or result
            ratios = [result[name] / max(base[name], 1e-9) for name in ("seconds", "mebibytes")]
            line = f"{kind:9} {length:7} {result['seconds']:9.3f} {result['mebibytes']:8.0f}"
            print(f"{line} {ratios[0]:11.1f} {ratios[1]:13.1f}", flush=True)


if __name__ == "__main__":
    main()
