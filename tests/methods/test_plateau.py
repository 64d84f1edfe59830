"""The learning rate that is halved on plateaus."""

import math

import numpy as np
import pytest
import torch
from small_volumes import textured

from vemrecon.data.source import Source
from vemrecon.degradations import degrade, make_degradation
from vemrecon.fit.stages import train
from vemrecon.methods.build import initialise
from vemrecon.methods.plateau import Plateau
from vemrecon.methods.srunet.method import SRUNet
from vemrecon.volume import SectionGrid, Volume, VoxelSize


def shares(losses, **options):
    plateau = Plateau(**options)
    found = [plateau.next_epoch()]
    for loss in losses:
        plateau.add(torch.tensor(loss))
        found.append(plateau.next_epoch())
    return found


def test_shares_equal_those_of_the_scheduler_of_torch():
    rng = np.random.default_rng(0)
    losses = [1 / (1 + i) + 0.3 * rng.random() for i in range(60)]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=5)
    wanted = [1.0]
    for loss in losses:
        scheduler.step(loss)
        wanted.append(optimizer.param_groups[0]["lr"])
    assert shares(losses) == wanted
    assert wanted[-1] < 0.2


def test_the_mean_loss_of_an_epoch_counts_and_an_empty_epoch_does_not():
    plateau = Plateau(patience=0)
    for loss in (1.0, 3.0):
        plateau.add(torch.tensor(loss))
    assert [plateau.next_epoch() for _ in range(3)] == [1, 1, 1]
    assert plateau.best == 2
    plateau.add(torch.tensor(2.5))
    assert plateau.next_epoch(lambda loss: loss - 1) == 1  # the mean over devices decides
    plateau.add(torch.tensor(2.5))
    assert plateau.next_epoch() == 0.5
    assert math.isclose(float(plateau.best), 1.5)


class InterruptedTrainingError(Exception):
    pass


class Stopping(SRUNet):
    """Is killed within an epoch."""

    def training_step(self, batch, index):
        if self.trainer.current_epoch == 5 and index == self.stage.batches_per_epoch - 1:
            raise InterruptedTrainingError
        return super().training_step(batch, index)


@pytest.mark.parametrize("cosine", [False, True])
def test_a_killed_training_ends_with_the_same_weights_and_rate(cosine, tmp_path, monkeypatch):
    monkeypatch.setattr("vemrecon.methods.srunet.method.EPOCHS", 10)
    degradation = make_degradation("subsample", 2)
    truth = Volume(textured((16, 16, 16)), VoxelSize(8, 8, 8), "truth")
    source = Source.of([degrade(truth, degradation)], degradation, "isotropic", truth=[truth])
    settings = {"widths": (2, 2, 2), "sections": 2, "crop": 8, "batch": 1, "budget": 20, "learning_rate": 1e-3}

    def build(kind):
        method = initialise(lambda: kind(2.0, SectionGrid.kept_every(2), cosine=cosine, **settings), 0)
        method.plateau.patience = 0
        return method

    whole = build(SRUNet)
    train(whole, source, tmp_path / "whole", identity="x", seed=0)
    with pytest.raises(InterruptedTrainingError):
        train(build(Stopping), source, tmp_path / "cut", identity="x", seed=0)
    resumed = build(SRUNet)
    train(resumed, source, tmp_path / "cut", identity="x", seed=0)
    assert cosine or float(whole.plateau.share) < 1
    assert all(torch.equal(value, resumed.state_dict()[name]) for name, value in whole.state_dict().items())
