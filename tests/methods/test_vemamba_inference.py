import itertools

import pytest
import torch
from vemamba_inference import ROTATIONS, enlarge, released_volume, rotate, stitch, tile_starts

from vemrecon.errors import ConfigError, DataError
from vemrecon.methods.vemamba.encoder import MomentumContrast, embedding_input
from vemrecon.methods.vemamba.losses import contrast_loss
from vemrecon.methods.vemamba.network import VEMambaNet


def test_encoder_has_the_size_of_the_released_one_and_takes_any_plane():
    contrast = MomentumContrast(queue=4).eval()

    assert sum(p.numel() for p in contrast.query.parameters()) == 322_368
    assert all(contrast(torch.rand(2, 8, y, x)).shape == (2, 128) for y, x in ((1, 1), (5, 33), (16, 128)))


def test_keys_fill_the_queue_in_turn_and_get_no_gradient():
    torch.manual_seed(0)
    contrast = MomentumContrast(queue=6)
    start = contrast.queue.clone()
    weights = [p.clone() for p in contrast.key.parameters()]
    for _ in range(2):
        query, key = torch.rand(2, 16, 8, 9).chunk(2, dim=1)
        logits, embedding = contrast.contrast(query, key)
        contrast_loss(logits).backward()

    assert logits.shape == (2, 7) and embedding.shape == (2, 128)
    assert int(contrast.pointer) == 4
    assert torch.equal(contrast.queue[:, 4:], start[:, 4:])
    assert not torch.isclose(contrast.queue[:, :4], start[:, :4]).all(0).any()
    torch.testing.assert_close(contrast.queue.norm(dim=0), torch.ones(6))
    assert all(p.grad is None for p in contrast.key.parameters())
    assert all(torch.allclose(p, q, atol=1e-6) for p, q in zip(contrast.key.parameters(), weights, strict=True))
    contrast.contrast(query, key)
    assert int(contrast.pointer) == 0


def test_batches_that_do_not_divide_the_queue_are_refused():
    with pytest.raises(ConfigError, match="no multiple"):
        MomentumContrast(queue=8).contrast(torch.rand(3, 8, 8, 8), torch.rand(3, 8, 8, 8))


def test_embedding_sees_the_first_eight_sections_and_mirrors_shorter_volumes():
    volume = torch.arange(20.0).view(1, 1, 20, 1, 1)

    assert embedding_input(volume).flatten().tolist() == list(range(8))
    assert embedding_input(volume, 8).flatten().tolist() == list(range(8, 16))
    assert embedding_input(volume[:, :, :3]).flatten().tolist() == [0, 1, 2, 1, 0, 1, 2, 1]
    assert embedding_input(volume[:, :, :1]).flatten().tolist() == [0] * 8
    with pytest.raises(ConfigError, match="sections 8 to 15"):
        embedding_input(volume[:, :, :8], 8)


def repeat_sections(x, d):
    """Stands in for a network: every coarse section three times."""
    return x.repeat_interleave(3, dim=3)


def test_rotations_average_to_the_same_for_a_network_without_direction():
    observed = torch.rand(1, 1, 3, 5, 7)
    plain = enlarge(repeat_sections, None, observed)

    assert torch.equal(plain, observed.repeat_interleave(3, dim=2))
    torch.testing.assert_close(enlarge(repeat_sections, None, observed, ROTATIONS), plain)
    assert len({tuple(rotate(observed[..., :5, :5], r).flatten().tolist()) for r in ROTATIONS}) == 8
    with pytest.raises(DataError, match="no rotations"):
        enlarge(repeat_sections, None, observed, ())


@pytest.mark.parametrize(("axis", "wanted"), [("F", (8, 4, 6)), ("Z", (8, 9, 6))])
def test_embedding_axis_decides_which_sections_the_encoder_sees(axis, wanted):
    seen = []

    def encoder(sections):
        seen.append(tuple(sections.shape[1:]))
        return torch.zeros(1, 128)

    enlarge(repeat_sections, encoder, torch.rand(1, 1, 4, 9, 6), embedding_axis=axis)

    assert seen == [wanted]


def test_unknown_embedding_axis_is_refused():
    with pytest.raises(ConfigError, match="axis of the embedding"):
        enlarge(repeat_sections, None, torch.rand(1, 1, 2, 2, 2), embedding_axis="Y")


def test_blending_tiles_of_a_volume_gives_the_volume():
    volume = torch.rand(9 * 2, 11, 10)
    shape, tile, overlap = (9, 11, 10), (4, 6, 6), 2
    starts = itertools.product(*(tile_starts(n, t, overlap) for n, t in zip(shape, tile, strict=True)))
    tiles = [volume[2 * z : 2 * z + 8, y : y + 6, x : x + 6] for z, y, x in starts]

    torch.testing.assert_close(stitch(tiles, shape, tile, overlap, 2), volume)


def test_tiles_larger_than_the_volume_are_refused():
    with pytest.raises(DataError, match="do not fit"):
        tile_starts(7, 8, 2)


@torch.no_grad()
def test_volumes_smaller_than_a_tile_keep_their_shape():
    net = VEMambaNet(2, width=16, depths=(1,), state=4).eval()
    encoder = MomentumContrast(queue=4).eval()
    volume = torch.randint(0, 256, (3, 9, 5), dtype=torch.uint8)

    result = released_volume(net, encoder, volume, (4, 8, 8), 2, rotations=ROTATIONS[:2])

    assert result.shape == (6, 9, 5) and result.dtype == torch.uint8
