"""Two processes that share a batch do what one does with all of it."""

import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import distributed, nn

from vemrecon.methods.vemamba.encoder import MomentumContrast
from vemrecon.methods.vemamba.losses import contrast_loss
from vemrecon.nets.shared_batch import SharedBatchNorm2d, whole_batch

BATCH, STEPS = 8, 3


def learned(rank=0, world=1):
    """Weights, queue and running values after a few steps of contrast, of a batch that `world` processes share."""
    torch.manual_seed(0)
    contrast = MomentumContrast(queue=16, momentum=0.9).train()
    optimizer = torch.optim.SGD(contrast.query.parameters(), lr=0.1)
    draw = torch.Generator().manual_seed(1)
    for _ in range(STEPS):
        views = torch.rand(2, BATCH, 8, 12, 12, generator=draw)[:, rank::world]
        loss = contrast_loss(contrast.contrast(*views)[0])
        optimizer.zero_grad()
        loss.backward()
        for parameter in contrast.query.parameters():
            if world > 1:
                distributed.all_reduce(parameter.grad)
                parameter.grad /= world
        optimizer.step()
    return contrast.state_dict()


def test_alone_it_is_the_batch_norm_of_pytorch():
    x = torch.randn(4, 3, 5, 6)
    ours, theirs = SharedBatchNorm2d(3), nn.BatchNorm2d(3)
    for _ in range(2):
        torch.testing.assert_close(ours(x), theirs(x), atol=0, rtol=0)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), atol=0, rtol=0)


def test_momentum_contrast_of_two_processes_is_that_of_one(tmp_path):
    """Keys of both are in both queues, in the order of the batch; norms see all of it."""
    words = [sys.executable, __file__, str(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [subprocess.Popen([*words, str(rank)], env=environment) for rank in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    alone = learned()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        torch.testing.assert_close(found["state"], alone, atol=1e-5, rtol=1e-4)
        assert found["order"].tolist() == list(range(6))


if __name__ == "__main__":
    place, number = Path(sys.argv[1]), int(sys.argv[2])
    distributed.init_process_group("gloo", f"file://{place / 'meeting'}", rank=number, world_size=2)
    torch.save(
        {"state": learned(number, 2), "order": whole_batch(torch.arange(6.0)[number::2])}, place / f"{number}.pt"
    )
    distributed.destroy_process_group()
