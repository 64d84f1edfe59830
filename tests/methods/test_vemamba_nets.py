import itertools
import math

import pytest
import torch
from released_states import export_state
from torch import nn

from vemrecon.errors import ConfigError, DataError, VemreconError
from vemrecon.methods.vemamba.encoder import MomentumContrast
from vemrecon.methods.vemamba.losses import reconstruction_loss
from vemrecon.methods.vemamba.network import PAPER, RELEASED, VEMambaNet, prime_factors
from vemrecon.methods.vemamba.released import import_encoder, import_network, network_options

SMALL = {"width": 16, "depths": (1,), "state": 4, "embedding": 128}
LAYOUTS = {
    "paper": (PAPER, {2: 919_537, 4: 938_033, 8: 956_529, 10: 965_777}),
    "linear feed-forward": (
        {**PAPER, "feed_forward": "linear"},
        {2: 890_433, 4: 908_929, 8: 927_425, 10: 936_673},
    ),
    "expansion 2": ({**PAPER, "expansion": 2.0}, {2: 1_124_337, 4: 1_142_833, 8: 1_161_329, 10: 1_170_577}),
    "released": (RELEASED, {2: 1_095_233, 4: 1_113_729, 8: 1_132_225, 10: 1_141_473}),
    "released, plain norms": (
        {**RELEASED, "embedding": None},
        {2: 833_089, 4: 851_585, 8: 870_081, 10: 879_329},
    ),
}
"""Parameters of the released modules, counted when assembled to each layout, by scale."""


def size(module):
    """Numbers of a module; the released count includes unit impulses, which are buffers here."""
    return sum(p.numel() for p in itertools.chain(module.parameters(), module.buffers()))


def small_net(scale=2, seed=0, **options):
    torch.manual_seed(seed)
    return VEMambaNet(scale, **(SMALL | options))


def small_input(grid=(8, 3, 5), seed=0, batch=1):
    source = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 1, *grid, generator=source), torch.randn(batch, 128, generator=source)


@pytest.mark.parametrize(("layout", "scale"), [(name, s) for name, (_, sizes) in LAYOUTS.items() for s in sizes])
def test_parameter_counts_are_those_of_the_released_modules(layout, scale):
    options, sizes = LAYOUTS[layout]

    assert size(VEMambaNet(scale, **options)) == sizes[scale]


def test_unit_impulses_of_the_feed_forward_branch_are_not_trained():
    net = VEMambaNet(4)

    assert size(net) - sum(p.numel() for p in net.parameters()) == 432
    assert all(p.requires_grad for p in net.parameters())


def test_ablations_remove_the_parameters_of_what_they_leave_out():
    width, blocks, state, rank, inner = 32, 16, 16, 2, 48
    half = inner // 2
    full = size(VEMambaNet(4))
    fusion = 2 * ((4 * half * 2 * half + 2 * half) + (2 * half * 4 + 4))

    def scan(channels):
        return channels * ((rank + 2 * state) + rank + 1 + state + 1)

    assert full - size(VEMambaNet(4, dwam=False)) == blocks * fusion
    assert full - size(VEMambaNet(4, embedding=None)) == blocks * 2 * (128 * 2 * width)
    assert full - size(VEMambaNet(4, alcssm=False)) == blocks * (fusion + 8 * scan(half) - scan(inner))


@pytest.mark.parametrize("ablation", [{"dwam": False}, {"alcssm": False}, {"embedding": None}])
def test_ablations_change_the_output(ablation):
    net, other = small_net().eval().double(), small_net(**ablation).eval().double()
    x, d = (value.double() for value in small_input())
    shapes = {name: value.shape for name, value in other.state_dict().items()}
    shared = {name: value for name, value in net.state_dict().items() if shapes.get(name) == value.shape}
    other.load_state_dict(other.state_dict() | shared)

    changed = other(x, None if other.embedding is None else d)

    assert changed.shape == net(x, d).shape
    assert (changed - net(x, d)).abs().max() > 1e-7  # a new fusion weighs all directions nearly alike


def test_the_embedding_changes_the_output_of_its_own_volume_only():
    net = small_net().eval()
    x, d = small_input(batch=2)
    before = net(x, d)
    d[1] += 1

    after = net(x, d)

    torch.testing.assert_close(after[0], before[0])
    assert not torch.allclose(after[1], before[1], atol=1e-5)


@pytest.mark.parametrize(("scale", "grid"), [(2, (1, 1, 1)), (3, (2, 5, 7)), (5, (9, 2, 3)), (6, (3, 4, 1))])
def test_network_takes_any_grid_and_enlarges_the_middle_axis(scale, grid):
    x, d = small_input(grid)

    assert small_net(scale).eval()(x, d).shape == (1, 1, grid[0], scale * grid[1], grid[2])


@pytest.mark.parametrize("scale", range(2, 40))
def test_factors_of_the_upsampler_multiply_to_the_scale(scale):
    factors = prime_factors(scale)

    assert math.prod(factors) == scale and factors == sorted(factors, reverse=True)


def test_recomputing_blocks_changes_no_gradient():
    x, d = small_input()
    gradients = []
    for recompute in (False, True):
        net = small_net(recompute=recompute, depths=(2,))
        net(x, d).square().mean().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in net.parameters()]))

    torch.testing.assert_close(*gradients)


def test_training_works_after_inference_mode():
    net, (x, d) = small_net(), small_input((7, 2, 3))
    with torch.inference_mode():
        net(x, d)

    net(x, d).sum().backward()

    assert all(p.grad is not None for p in net.parameters())


def test_short_floats_stay_close_to_float32():
    net, (x, d) = small_net().eval(), small_input()
    wanted = net(x, d)

    with torch.autocast("cpu", torch.bfloat16):
        ours = net(x, d)

    assert (ours - wanted).abs().max() < 0.05 * wanted.abs().max()


def test_a_few_steps_of_training_reduce_the_loss():
    net, (truth, d) = small_net(), small_input((8, 8, 12))
    observed = nn.functional.avg_pool3d(truth, (1, 2, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        losses.append(reconstruction_loss(net(observed, d), truth))
        losses[-1].backward()
        optimizer.step()

    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize(
    "options", [{"scale": 1}, {"scale": 2.5}, {"expansion": 1.2}, {"feed_forward": "cnov"}], ids=str
)
def test_impossible_layouts_are_refused(options):
    with pytest.raises(ConfigError):
        VEMambaNet(**({"scale": 2} | SMALL | options))


def test_missing_and_superfluous_embeddings_are_refused():
    x, d = small_input()

    with pytest.raises(ConfigError, match="expected an embedding of shape"):
        small_net()(x)
    with pytest.raises(ConfigError, match="expected an embedding of shape None"):
        small_net(embedding=None)(x, d)


def test_perfect_reconstructions_have_no_loss():
    truth, _ = small_input((12, 13, 14))

    assert reconstruction_loss(truth, truth).abs() < 1e-6


LAYOUT_CASES = list(itertools.product(["conv", "linear"], [128, None], [2, 6, 8]))


@pytest.mark.parametrize(("feed_forward", "embedding", "scale"), LAYOUT_CASES)
def test_networks_survive_export_and_import(feed_forward, embedding, scale):
    net = small_net(scale, feed_forward=feed_forward, embedding=embedding, depths=(2, 1)).eval()
    x, d = small_input()
    d = None if embedding is None else d

    state = export_state(net)

    assert network_options(state)["depths"] == (2, 1)
    assert torch.equal(import_network(state).eval()(x, d), net(x, d))
    assert "body.1.blocks.0.mamba3d.dt_projs_bias_s2" in state and "first_conv.0.weight" in state


def test_checkpoints_that_do_not_fit_are_refused_with_the_first_problems():
    state = export_state(small_net())
    key = "body.0.blocks.0.mamba3d.Ds_s1"
    without = {name: value for name, value in state.items() if name != key}

    with pytest.raises(DataError, match=r"mamba\.scans\.0\.skip is missing"):
        import_network(without)
    with pytest.raises(DataError, match="extra is left over"):
        import_network(state | {"extra": torch.zeros(1)})
    with pytest.raises(DataError, match=r"has shape \(3,\)"):
        import_network(state | {key: torch.zeros(3)})
    with pytest.raises(DataError, match="and 1 more"):
        import_network(state | {f"extra{i}": torch.zeros(1) for i in range(6)})
    with pytest.raises(DataError, match="same as another key"):
        import_network(state | {"first_conv.weight": state["first_conv.0.weight"]})


@pytest.mark.parametrize("lost", ["first_conv.", "body.", "upsample."])
def test_foreign_checkpoints_are_refused(lost):
    state = {name: value for name, value in export_state(small_net()).items() if not name.startswith(lost)}

    with pytest.raises(VemreconError):
        import_network(state)


def test_encoders_survive_export_and_import():
    contrast = MomentumContrast(queue=8).eval()
    sections = torch.rand(2, 8, 9, 10)

    copy = import_encoder(export_state(contrast)).eval()

    assert torch.equal(copy(sections), contrast(sections)) and torch.equal(copy.queue, contrast.queue)
    assert {"encoder_q.E.0.weight", "encoder_k.mlp.2.bias", "queue", "queue_ptr"} <= set(export_state(contrast))
    with pytest.raises(DataError, match="queue"):
        import_encoder({"encoder_q.E.0.weight": torch.zeros(1)})
