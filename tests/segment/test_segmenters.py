"""The segmenters: targets, networks that do not mind tiles, trainings that go on, instances."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from vemrecon.errors import ConfigError, DataError
from vemrecon.metrics.segmentation import overlap
from vemrecon.segment import network, train
from vemrecon.segment.instances import instances
from vemrecon.segment.network import make_network, multiple, predict, reach, set_weights, weights_of
from vemrecon.segment.recipe import level_kernels, level_strides, patch_shape, recipe, recipe_from
from vemrecon.segment.target import membranes, target
from vemrecon.segment.train import Example, _resumed
from vemrecon.volume import VoxelSize

ISOTROPIC, FLAT = VoxelSize(8, 8, 8), VoxelSize(45, 4.6, 4.6)
SMALL = recipe_from(
    {"filters": [2, 2, 2], "voxels": 512, "batch": 1, "learning_rate": 1e-2, "falling": True, "budget": 6}
)


def rooms(shape=(20, 24, 24), edge=10):
    """Neuron ids of a grid of boxes that touch."""
    z, y, x = np.indices(shape) // edge
    return (1 + z * 100 + y * 10 + x).astype(np.int64)


def example(shape=(16, 20, 20)):
    ids = rooms(shape, 8)
    mask = membranes(ids, ISOTROPIC)
    noise = np.random.default_rng(0).normal(0, 0.05, shape)
    return Example(np.clip(np.where(mask, 0.3, 0.7) + noise, 0, 1).astype(np.float32), mask)


def test_membranes_lie_on_both_sides_of_a_border_and_where_no_neuron_is():
    ids = np.ones((4, 6, 6), dtype=np.int64)
    ids[:, 3:] = 2
    ids[0, 0, 0] = 0
    found = membranes(ids, ISOTROPIC)
    assert found[:, 2:4].all() and found[0, 0, 0]
    assert found[0, 1, 0] and found[1, 0, 0]
    assert not found[2, 0].any() and not found[:, 5].any()
    stacked = np.repeat(np.array([1, 2]), 2)[:, None, None] * np.ones((4, 6, 6), dtype=np.int64)
    assert membranes(stacked, ISOTROPIC)[1:3].all()
    assert not membranes(stacked, FLAT).any(), "a step between thick sections is no membrane in the section"
    assert (target(np.array([[[0, 3]]]), "mitochondria", FLAT) == [[[False, True]]]).all()


def test_thick_sections_are_neither_pooled_nor_convolved_until_voxels_are_as_wide():
    assert level_strides(3, ISOTROPIC) == [(1, 1, 1), (2, 2, 2), (2, 2, 2)]
    assert level_kernels(3, ISOTROPIC) == [(3, 3, 3)] * 3
    assert level_strides(5, FLAT) == [(1, 1, 1), (1, 2, 2), (1, 2, 2), (1, 2, 2), (2, 2, 2)]
    assert level_kernels(3, FLAT) == [(1, 3, 3), (1, 3, 3), (3, 3, 3)]
    assert level_kernels(5, FLAT) == [(1, 3, 3)] * 3 + [(3, 3, 3)] * 2
    assert patch_shape(4096, (4, 4, 4), ISOTROPIC, (100, 100, 100)) == (16, 16, 16)
    z, y, x = patch_shape(100_000, (1, 4, 4), FLAT, (20, 480, 1024))
    assert (z * 45) / (y * 4.6) == pytest.approx(0.25, abs=0.03) and y == x
    assert z * y * x == pytest.approx(100_000, rel=0.1)
    assert patch_shape(100_000, (4, 4, 4), ISOTROPIC, (10, 100, 9)) == (8, 48, 8)


@pytest.mark.parametrize("size", [ISOTROPIC, FLAT], ids=["isotropic", "flat"])
def test_a_prediction_does_not_depend_on_its_tiles(size, monkeypatch):
    torch.manual_seed(0)
    net = make_network(SMALL, size)
    for module in net.modules():  # statistics of a trained one
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    grey = np.random.default_rng(1).random((26, 50, 44), dtype=np.float32)

    def found(edge):
        monkeypatch.setattr(network, "TILE_VOXELS", edge**3)
        return predict(net, SMALL, size, lambda region: grey[region.slices], grey.shape).astype(np.float32)

    whole, tiled = found(96), found(20)
    np.testing.assert_allclose(tiled, whole, atol=1e-3)
    assert whole.std() > 1e-3
    assert all(n % m == 0 for n, m in zip(reach(SMALL, size), multiple(SMALL, size), strict=True))


def test_a_voxel_sees_no_farther_than_said():
    torch.manual_seed(0)
    net = make_network(SMALL, ISOTROPIC).eval()
    grey = torch.rand(1, 1, 72, 72, 72)
    far = reach(SMALL, ISOTROPIC)[0]
    other = grey.clone()
    other[:, :, 36] += 1
    with torch.inference_mode():
        changed = (net(grey) - net(other)).abs().amax(dim=(0, 1, 3, 4)) > 1e-6
    seen = changed.nonzero().flatten()
    assert 36 - seen.min() <= far and seen.max() - 36 <= far


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(train, "SAVE_EVERY", 2)
    whole = train.train([example()], SMALL, ISOTROPIC, tmp_path / "a.ckpt")

    class KilledError(Exception):
        pass

    def kill(share):
        if share > 0.6:
            raise KilledError

    with pytest.raises(KilledError):
        train.train([example()], SMALL, ISOTROPIC, tmp_path / "b.ckpt", progress=kill)
    again = train.train([example()], SMALL, ISOTROPIC, tmp_path / "b.ckpt")
    a, b = weights_of(whole.net), weights_of(again.net)
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    assert again.loss == whole.loss and again.batches == 6


def test_weights_go_round_and_those_of_another_network_are_refused():
    net, other = make_network(SMALL, ISOTROPIC), make_network(SMALL, ISOTROPIC)
    set_weights(other, weights_of(net))
    grey = torch.rand(1, 1, 8, 8, 8)
    with torch.inference_mode():
        assert torch.equal(net.eval()(grey), other.eval()(grey))
    with pytest.raises(DataError, match="another network"):
        set_weights(make_network(SMALL, FLAT), weights_of(net))


def test_nothing_to_learn_is_said():
    empty = Example(np.zeros((16, 16, 16), np.float32), np.zeros((16, 16, 16), bool))
    with pytest.raises(DataError, match="nothing is labelled"):
        train.train([empty], SMALL, ISOTROPIC, None)
    small = Example(np.zeros((2, 16, 16), np.float32), np.eye(16, dtype=bool)[None].repeat(2, axis=0))
    with pytest.raises(DataError, match="too small"):
        train.train([small], SMALL, ISOTROPIC, None)


def test_presets_have_recipes_and_others_take_that_of_cpu():
    assert {recipe(name)[0] for name in ("smoke", "cpu", "gpu10", "paper", "default")} == {
        "smoke",
        "cpu",
        "gpu10",
        "paper",
    }
    paper = recipe("paper")[1]
    assert (paper.learning_rate, paper.epochs, paper.falling) == (1e-4, 200, False)
    assert paper.batches(262144 * 4) == 200
    with pytest.raises(ConfigError, match="recipe"):
        recipe_from({"filters": [2], "widths": 3})


def test_closed_membranes_give_the_rooms_back_and_a_door_joins_two():
    ids = rooms((40, 40, 40), 20)
    wall = membranes(ids, ISOTROPIC).astype(np.float32)
    found = instances(wall, VoxelSize(10, 10, 10))
    assert found.min() > 0 and len(np.unique(found)) == 8
    pairs = np.unique(np.stack([ids.ravel(), found.ravel()]), axis=1)
    counts = ndimage.sum_labels(np.ones(ids.size), ids.ravel() * 100 + found.ravel(), pairs[0] * 100 + pairs[1])
    assert sorted(counts)[-8:] == pytest.approx([8000] * 8, rel=0.1)
    wall[:, 18:22, :] = 0
    assert len(np.unique(instances(wall, VoxelSize(10, 10, 10)))) == 4


def test_training_starts_from_the_share_of_voxels_that_belong_to_the_target():
    torch.manual_seed(0)
    grey = torch.randn(2, 1, 8, 32, 32)
    for share in (0.02, 0.3):
        net = make_network(recipe("smoke")[1], ISOTROPIC, share)
        with torch.no_grad():
            assert float(net(grey).median().sigmoid()) == pytest.approx(share, rel=0.3)


def test_a_trained_network_is_sure_of_a_rare_target(tmp_path):
    """From a start at one half, this seed finds nothing."""
    rng = np.random.default_rng(2)
    mask = np.zeros((16, 96, 96), dtype=bool)
    mask[2:12, 20:36, 50:66] = True
    grey = np.where(mask, 0.35, 0.6) + rng.normal(0, 0.08, mask.shape)
    lesson = Example(grey.clip(0, 1).astype(np.float32), mask)
    how = {"filters": [4, 8, 8], "voxels": 6000, "batch": 2, "learning_rate": 1e-2, "falling": True, "budget": 200}
    done = train.train([lesson], recipe_from(how), FLAT, tmp_path / "a.ckpt", seed=2)
    found = predict(done.net, recipe_from(how), FLAT, lambda region: lesson.grey[region.slices], mask.shape) >= 0.5
    assert mask.mean() < 0.02
    assert overlap(mask, found).iou > 0.9


def test_a_trained_network_finds_what_it_was_taught(tmp_path):
    ids = rooms((16, 48, 48), 12)
    mask = membranes(ids, FLAT)
    rng = np.random.default_rng(3)
    light = rng.uniform(0.3, 0.7, (16, 1, 1))  # of each section
    grey = light + np.where(mask, -0.15, 0.15) + rng.normal(0, 0.03, mask.shape)
    how = {"filters": [4, 8, 8], "voxels": 6000, "batch": 2, "learning_rate": 1e-2, "falling": True, "budget": 80}
    lesson = Example(np.clip(grey, 0, 1).astype(np.float32), mask)
    done = train.train([lesson], recipe_from(how), FLAT, tmp_path / "a.ckpt")
    found = predict(done.net, recipe_from(how), FLAT, lambda region: lesson.grey[region.slices], mask.shape) >= 0.5
    assert overlap(mask, found).iou > 0.7


class _Hostile:
    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place,)


def test_a_checkpoint_that_is_damaged_or_would_run_code_is_moved_aside(tmp_path):
    trap = tmp_path / "executed"
    torch.save({"done": 3, "note": _Hostile(trap)}, tmp_path / "last.ckpt")
    assert _resumed(tmp_path / "last.ckpt", {}, "cpu") == (0, 0.0, [])
    torch.save({"done": 3, "seconds": 1.0, "losses": [1.0]}, tmp_path / "last.ckpt")
    assert _resumed(tmp_path / "last.ckpt", {}, "cpu") == (3, 1.0, [1.0])
    whole = (tmp_path / "last.ckpt").read_bytes()
    for harm in (lambda data: data[: len(data) // 2], lambda data: b"", lambda data: bytes(len(data))):
        (tmp_path / "last.ckpt").write_bytes(harm(whole))
        assert _resumed(tmp_path / "last.ckpt", {}, "cpu") == (0, 0.0, [])
        assert not (tmp_path / "last.ckpt").exists()
    assert not trap.exists()
