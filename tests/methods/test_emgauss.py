"""EMGauss beyond its golden files: renderers, deformation, schedule, density, fits of tiles, presets."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from preset_arguments import preset_arguments
from small_volumes import textured

from vemrecon.bench.plan import plan
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.errors import ConfigError
from vemrecon.infer.reconstruct import reconstruct_volume
from vemrecon.methods.base import Tile, reconstruct_tile
from vemrecon.methods.build import build_method
from vemrecon.methods.emgauss import density
from vemrecon.methods.emgauss.bundle import Bundle
from vemrecon.methods.emgauss.canonical import Canonical, Deltas, canonical_grid
from vemrecon.methods.emgauss.deformation import DeformationNetwork, KeyFrames
from vemrecon.methods.emgauss.dense import render_dense
from vemrecon.methods.emgauss.fit import Fit, Movie, Quality
from vemrecon.methods.emgauss.losses import photometric_loss
from vemrecon.methods.emgauss.method import EMGauss
from vemrecon.methods.emgauss.renderer import Renderer
from vemrecon.methods.emgauss.schedule import Schedule
from vemrecon.methods.emgauss.splats import MODES, Splats
from vemrecon.methods.emgauss.tiled import render_tiled
from vemrecon.methods.interpolation import interpolation_matrix
from vemrecon.methods.registry import method_entry
from vemrecon.nets.losses import structural_similarity
from vemrecon.volume import SectionGrid, Volume, open_volume

SMALL = {"steps": [3, 3, 6], "per_pixel": 0.1, "depth": 3, "width": 8, "learning_rate": 2e-3}
SMALL |= {"tile": [8, 16, 16], "halo": [1, 4, 4]}


def small(seed=0, **more):
    return build_method(EMGauss, "emgauss", SMALL | more, grid=SectionGrid.kept_every(4.0), seed=seed).eval()


def random_splats(n=60, size=(40, 50), seed=0, dtype=torch.float32, scales=(0.7, 4.0), channels=1):
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.rand(*shape, generator=rng, dtype=torch.float64)

    means = draw(n, 2) * torch.tensor(size[::-1], dtype=torch.float64) * 1.2 - 4
    spread = scales[0] + (scales[1] - scales[0]) * draw(n, 2)
    parts = (means, spread, 6 * draw(n), 0.1 + 0.85 * draw(n), draw(n, channels))
    return Splats(*(x.to(dtype) for x in parts))


def moved(splats, order):
    return Splats(*(getattr(splats, name)[order] for name in ("means", "scales", "rotations", "opacities", "greys")))


GREY = torch.tensor([0.4])


# renderers


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1, 1), (17, 33), (8, 8)])
def test_no_gaussians_show_the_background(mode, size):
    nothing = moved(random_splats(), [])
    for render in (render_dense, render_tiled):
        section, opacity = render(nothing, GREY, size, mode=mode)
        assert section.shape == (1, *size) and opacity.shape == size
        assert (section == GREY).all() and (opacity == 0).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_gaussian_far_outside_has_no_gradient(mode):
    splats = random_splats(5)
    far = splats.means.clone()
    far[2] = torch.tensor([500.0, -300.0])
    far.requires_grad_()
    section, _ = render_tiled(Splats(far, *list(vars(splats).values())[1:]), GREY, (40, 50), mode=mode)
    section.square().sum().backward()
    assert (far.grad[2] == 0).all()
    assert (far.grad[[0, 1, 3, 4]].abs().sum(dim=1) > 0).any()


def test_index_order_matters_front_to_back_and_not_in_sums():
    splats = random_splats(dtype=torch.float64)
    order = torch.randperm(len(splats), generator=torch.Generator().manual_seed(1))
    for mode in MODES:
        one, two = (
            render_tiled(s, GREY.double(), (40, 50), mode=mode, cut=1e-9)[0] for s in (splats, moved(splats, order))
        )
        assert torch.allclose(one, two, atol=1e-9) == (mode == "additive")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mode", MODES)
def test_tiles_chunks_and_threads_change_nothing(mode, dtype):
    splats, tolerance = random_splats(300, (70, 61), dtype=dtype), {torch.float32: 5e-5, torch.float64: 1e-11}[dtype]
    before = torch.get_num_threads()
    found = []
    for tile, chunk, threads in ((8, None, 1), (16, None, 1), (5, 1, 1), (8, 5000, 1), (32, 10**7, 2)):
        leaves = [x.clone().requires_grad_() for x in vars(splats).values()]
        torch.set_num_threads(threads)
        section, opacity = render_tiled(Splats(*leaves), GREY.to(dtype), (70, 61), mode=mode, tile=tile, chunk=chunk)
        section.sum().backward()
        found.append([section.detach(), opacity.detach(), *(x.grad / x.grad.abs().max() for x in leaves)])
    torch.set_num_threads(before)
    for other in found[1:]:
        for number, (ours, wanted) in enumerate(zip(other, found[0], strict=True)):
            # gradients add up all pixels, in another order: some processors round that by 1.3e-4 of the largest one
            most = 5e-4 if number > 1 and dtype == torch.float32 else tolerance
            torch.testing.assert_close(ours, wanted, atol=most, rtol=0)
    for chunked in zip(found[3][:2], found[0][:2], strict=True):
        torch.testing.assert_close(*chunked, atol=1e-6, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_the_cut_skips_the_same_samples_in_both_renderers(mode):
    splats = random_splats(200, dtype=torch.float64)
    for cut in (1 / 255, 0.05):
        wanted = render_dense(splats, GREY.double(), (40, 50), mode=mode, cut=cut, eps2d=0.02)
        found = render_tiled(splats, GREY.double(), (40, 50), mode=mode, cut=cut, eps2d=0.02)
        torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_are_those_of_finite_differences(mode):
    splats = random_splats(6, (9, 11), dtype=torch.float64, scales=(1.0, 2.0), channels=2)
    leaves = tuple(x.clone().requires_grad_() for x in vars(splats).values())
    background = torch.tensor([0.3, 0.6], dtype=torch.float64, requires_grad=True)

    def render(background, *parts):
        return render_tiled(Splats(*parts), background, (9, 11), mode=mode, cut=1e-12)

    assert torch.autograd.gradcheck(render, (background, *leaves))


@pytest.mark.parametrize("mode", MODES)
def test_a_section_of_twice_the_size_is_the_same_section(mode):
    splats = random_splats(dtype=torch.float64, scales=(1.5, 4.0))
    renderer = Renderer(mode, eps2d=0.02, cut=1e-6)
    one = renderer(splats, GREY.double(), (40, 50))
    two = renderer.zoomed(2)(splats.zoomed(2), GREY.double(), (80, 100))
    means = F.avg_pool2d(two[None, None], 2)[0, 0]
    assert (means - one).abs().max() < 0.03
    assert (means - one).abs().mean() < 0.005


def test_numbers_that_are_not_finite_spoil_the_section_instead_of_vanishing():
    for spoiled in ("means", "scales", "opacities"):
        splats = random_splats(5)
        getattr(splats, spoiled)[3] = math.nan
        assert not torch.isfinite(render_tiled(splats, GREY, (40, 50))[0]).all()


# Gaussians and their deformation


def test_gaussians_start_on_a_grid_that_looks_like_the_mean_section():
    sections = torch.from_numpy(textured((5, 48, 60)) / 255).float()
    background = float(sections.mean())
    for mode in MODES:
        canonical = canonical_grid(sections, 0.25, mode, background, np.random.default_rng(0))
        assert len(canonical) == 24 * 30
        section = Renderer(mode)(canonical.splats(Deltas()), torch.tensor([background]), (48, 60)).detach()
        mean = sections.mean(dim=0)
        assert (section - mean).square().mean() < 0.5 * (mean - background).square().mean()


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_new_deformation_changes_nothing_and_learns_no_positions(depth):
    canonical = canonical_grid(torch.rand(3, 9, 12), 0.25, "alpha", 0.5, np.random.default_rng(0))
    net = DeformationNetwork(depth, 16, 10, 4, ("position", "scale", "opacity", "rotation"), 8.0)
    moved, still = canonical.splats(net(canonical, 0.3)), canonical.splats(Deltas())
    for ours, wanted in zip(vars(moved).values(), vars(still).values(), strict=True):
        assert torch.equal(ours, wanted)
    torch.nn.init.normal_(net.heads.weight)
    deltas = net(canonical, 0.3)
    assert deltas.means.shape == (len(canonical), 2) and deltas.opacities.shape == (len(canonical),)
    sum(x.sum() for x in vars(deltas).values()).backward()
    assert canonical.means.grad is None
    assert not torch.allclose(deltas.opacities, net(canonical, 0.5).opacities)


def test_the_network_of_the_paper_has_eight_layers_and_sees_its_input_twice():
    net = DeformationNetwork(8, 256, 10, 4, ("position", "scale", "opacity"), 8.0)
    inputs = 42 + 9
    assert [layer.in_features for layer in net.layers] == [inputs, 256, 256, 256, 256, 256 + inputs, 256, 256]
    assert net.heads.out_features == 5


def test_only_the_deltas_that_are_asked_for_are_there():
    canonical = canonical_grid(torch.rand(3, 9, 12), 0.25, "alpha", 0.5, np.random.default_rng(0))
    deltas = DeformationNetwork(3, 8, 2, 2, ("position", "scale"), 8.0)(canonical, 0.0)
    assert deltas.opacities == deltas.rotations == 0.0


def test_scales_keep_a_floor_and_a_cap():
    canonical = Canonical(torch.rand(3, 2) * 20, 1.0, 0.5, torch.rand(3, 1), 20)
    with torch.no_grad():
        canonical.scales.copy_(torch.tensor([[-40.0, 0.0], [0.0, 40.0], [0.0, 0.0]]))
    scales = canonical.splats(Deltas()).scales.detach()
    assert scales.min() == pytest.approx(0.1) and scales.max() == pytest.approx(5.0)
    canonical.clamp_scales()
    assert canonical.scales.detach().min() == pytest.approx(math.log(0.1))


def test_key_frames_are_met_and_joined_by_lines():
    canonical = Canonical(torch.rand(4, 2), 1.0, 0.5, torch.rand(4, 1), 9, frames=3)
    torch.nn.init.normal_(canonical.frames)
    at = KeyFrames(SectionGrid.kept_every(4.0))
    for number, time in enumerate((0.0, 0.5, 1.0)):
        torch.testing.assert_close(at(canonical, time).opacities, canonical.frames[:, number])
    torch.testing.assert_close(at(canonical, 0.75).opacities, canonical.frames[:, 1:].mean(dim=1))
    torch.testing.assert_close(at(canonical, 1.3).opacities, canonical.frames[:, 2])
    slabs, bundle = KeyFrames(SectionGrid.slabs(4.0)), Bundle(torch.rand(3, 4, 4), SectionGrid.slabs(4.0))
    for number in range(3):
        torch.testing.assert_close(slabs(canonical, bundle.time(number)).opacities, canonical.frames[:, number])
    torch.testing.assert_close(slabs(canonical, 0.1).opacities, canonical.frames[:, 0])


def test_the_loss_is_that_of_the_definition():
    one, two = torch.rand(2, 20, 25, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    padded = [np.pad(x.numpy(), 5) for x in (one, two)]
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets**2) / 4.5)
    window /= window.sum()
    values = []
    for row in range(20):
        for column in range(25):
            a, b = (p[row : row + 11, column : column + 11] for p in padded)
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * a * a).sum() - ma**2, (window * b * b).sum() - mb**2
            cov = (window * a * b).sum() - ma * mb
            values.append((2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4)))
    wanted = 0.8 * (one - two).abs().mean() + 0.2 * (1 - np.mean(values))
    assert float(photometric_loss(one, two)) == pytest.approx(float(wanted), abs=1e-9)
    assert float(photometric_loss(one, one)) == pytest.approx(0, abs=1e-9)


# bundles and schedule


@pytest.mark.parametrize(("grid", "scale"), [("aligned", 6.0), ("aligned", 2.5), ("centred", 6.0), ("centred", 2.5)])
def test_sections_lie_where_linear_interpolation_has_them(grid, scale):
    sections = torch.rand(7, 3, 4)
    bundle = Bundle(sections, SectionGrid.of_kind(grid, scale))
    weights = torch.from_numpy(interpolation_matrix("linear", 7, SectionGrid.of_kind(grid, scale))).float()
    made = torch.stack([bundle.interpolated(position) for position in bundle.positions()])
    torch.testing.assert_close(made, torch.tensordot(weights, sections, dims=1), atol=1e-5, rtol=0)
    times = [bundle.time(position) for position in bundle.positions()]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= 1
    for z, k in bundle.kept().items():
        assert grid == "aligned" and z == pytest.approx(k * scale)
    assert len(bundle.kept()) == {("aligned", 6.0): 7, ("aligned", 2.5): 4}.get((grid, scale), 0)


def test_slab_means_are_seen_over_all_of_their_slab():
    bundle, rng = Bundle(torch.rand(4, 3, 3), SectionGrid.slabs(6.0)), np.random.default_rng(0)
    times = np.array([bundle.observed_times(2, 3, rng) for _ in range(200)])
    assert times.shape == (200, 3)
    assert ((np.floor(times * 12) - 6) == np.arange(3)).all()  # a third of the slab from 2/4 to 3/4 each
    assert Bundle(torch.rand(4, 3, 3), SectionGrid.kept_every(6.0)).observed_times(2, 3, rng) == [2 / 3]


@pytest.mark.parametrize(("grid", "scale"), [("aligned", 6.0), ("aligned", 2.5), ("centred", 6.0)])
def test_labels_spread_from_the_middle_of_each_gap(grid, scale):
    bundle, rng = Bundle(torch.rand(5, 3, 3), SectionGrid.of_kind(grid, scale)), np.random.default_rng(0)
    for reach in (0.0, 0.25, 0.5):
        drawn = np.array([bundle.between(reach, rng) for _ in range(400)])
        assert drawn.min() > 0 and drawn.max() < 4
        from_middle = np.abs(drawn % 1 - 0.5)
        assert from_middle.max() <= reach + 1e-9 and from_middle.max() >= 0.6 * reach
        assert set(np.floor(drawn)) == {0, 1, 2, 3}
        if (grid, scale) == ("aligned", 6.0):
            assert len(set(np.round(6 * drawn % 6))) == {0.0: 1, 0.25: 3, 0.5: 5}[reach]


def test_the_schedule_is_that_of_the_paper():
    paper = Schedule(2000, 1000, 15000)
    assert paper.total == 18000 and paper.taught_from == 3000
    assert [paper.label_weight(step) for step in (3000, 10000, 17999)] == pytest.approx([0.1, 1.0, 1.0])
    grown = [paper.label_weight(step) for step in range(3000, 10001, 500)]
    assert np.allclose(np.diff(grown), np.diff(grown)[0])
    exponential = Schedule(2000, 1000, 15000, ramp="exponential")
    assert exponential.label_weight(6500) == pytest.approx(math.sqrt(0.1))
    assert [paper.label_share(step) for step in (3000, 18000)] == pytest.approx([0.2, 0.5])
    assert [paper.label_reach(step) for step in (3000, 5999, 6000, 9000, 17000)] == [0, 0, 0.25, 0.5, 0.5]
    assert paper.smoothing(0, 9) == pytest.approx(0.1 / 9) and paper.smoothing(16200, 9) == 0
    rates = paper.position_rate(18000, 0.05), paper.network_rate(18000, 8e-4), paper.other_rate(18000, 5e-3)
    assert rates == pytest.approx((0.0005, 4e-5, 5e-4))
    assert paper.other_rate(9000, 5e-3) == 5e-3


def test_a_teacher_that_waits_starts_when_the_gain_has_become_small():
    quality = Quality(1, 10)
    section = torch.rand(4, 4)
    waited = []
    for step in range(60):
        quality.add(0, section + 0.5 * math.exp(-step / 10) + 0.1, section)
        waited.append(quality.rises())
    assert all(waited[:30]) and not any(waited[50:])
    assert sum(a != b for a, b in pairwise(waited)) == 1
    later = Schedule(5, 5, 90).postponed(40)
    assert (later.taught_from, later.total, later.warm_up) == (40, 100, 5)


@pytest.mark.parametrize(("teacher", "waits"), [("ema", False), ("ema", True), ("linear", False), ("none", False)])
def test_stages_train_what_they_should(teacher, waits):
    recipe = small(teacher=teacher, waits=waits, steps=[4, 4, 30], share=[1.0, 1.0]).recipe
    fit = Fit(Bundle(torch.rand(4, 10, 12), SectionGrid.kept_every(4.0)), recipe, 0, (0, 0, 0))
    kinds = []
    fit._observed_step = lambda step: kinds.append((step, "observed"))
    fit._labelled_step = lambda step: kinds.append((step, "labelled"))
    fit.run()
    labelled = [step for step, kind in kinds if kind == "labelled"]
    assert len(kinds) == 38
    # nothing is ever observed here, so that a teacher that waits for it never starts
    assert labelled == ([] if teacher == "none" or waits else list(range(8, 38)))
    assert (fit.teacher is not None) == (teacher == "ema" and not waits)


def test_labelled_steps_leave_the_gaussians_alone_and_warm_up_the_network():
    fit = Fit(Bundle(torch.rand(4, 10, 12), SectionGrid.kept_every(4.0)), small(teacher="linear").recipe, 0, (0, 0, 0))

    def state():
        parts = (fit.canonical, fit.deformation)
        return [torch.cat([p.detach().flatten() for p in part.parameters()]) for part in parts]

    before = state()
    fit._observed_step(0)  # warm-up
    warm = state()
    assert not torch.equal(warm[0], before[0]) and torch.equal(warm[1], before[1])
    fit._labelled_step(6)
    taught = state()
    assert torch.equal(taught[0], warm[0]) and not torch.equal(taught[1], warm[1])
    fit._observed_step(7)
    both = state()
    assert not torch.equal(both[0], taught[0]) and not torch.equal(both[1], taught[1])


def test_the_ema_teacher_follows_slowly_and_renders_the_result():
    fit = Fit(Bundle(torch.rand(4, 10, 12), SectionGrid.kept_every(4.0)), small(decay=0.9).recipe, 0, (0, 0, 0))
    movie = fit.run()
    assert movie.deformation is fit.teacher
    student, teacher = fit.deformation.heads.weight, fit.teacher.heads.weight
    assert not torch.equal(student, teacher) and not teacher.requires_grad


# density


def densified(cap, brightest=None, pull=1.0):
    canonical = Canonical(torch.arange(10.0).repeat(2, 1).T.clone(), 0.3, 0.5, torch.arange(10.0)[:, None] / 10, 40)
    with torch.no_grad():
        canonical.scales[5:] = math.log(3.0)
    optimizer = torch.optim.Adam([{"params": [p], "name": name} for name, p in canonical.named_parameters()])
    sum(p.square().sum() for p in canonical.parameters()).backward()
    optimizer.step()
    gradients = density.Gradients.of(canonical)
    gradients.total += pull * torch.arange(10)
    gradients.seen += 1
    shown = torch.full((10,), 0.5) if brightest is None else brightest
    density.densify(canonical, optimizer, gradients, shown, cap, torch.Generator().manual_seed(0))
    return canonical, optimizer


def test_the_largest_gradients_are_densified_first_below_the_cap():
    canonical, _ = densified(13)
    assert len(canonical) == 13
    copied = (canonical.greys[10:, 0] * 10).round().tolist()
    assert copied == [7, 8, 9]
    assert len(densified(10)[0]) == len(densified(4)[0]) == 10
    assert len(densified(100)[0]) == 19  # the first one is not pulled at all
    assert len(densified(100, pull=1e-5)[0]) == 10


def test_small_gaussians_are_copied_and_large_ones_split():
    canonical, _ = densified(100)
    small_ones, large = canonical.scales[:5].exp(), canonical.scales[5:10].exp()
    assert torch.allclose(small_ones, torch.full((5, 2), 0.3), rtol=1e-2)  # below 1 % of 40 pixels
    assert torch.allclose(large, torch.full((5, 2), 3.0 / 1.6), rtol=1e-2)
    assert torch.equal(canonical.greys[10:, 0], canonical.greys[1:10, 0])
    assert not torch.allclose(canonical.means[14:], canonical.means[5:10])


def test_only_gaussians_that_no_section_shows_are_removed_and_the_optimizer_goes_along():
    brightest = torch.full((10,), 0.5)
    brightest[[2, 7]] = 0.001
    canonical, optimizer = densified(100, brightest)
    assert len(canonical) == 8 + 7
    assert (canonical.greys[:8, 0] * 10).round().tolist() == [0, 1, 3, 4, 5, 6, 8, 9]
    for name, parameter in canonical.named_parameters():
        assert [p for group in optimizer.param_groups for p in group["params"] if p is parameter], name
        moments = optimizer.state[parameter]["exp_avg_sq"]
        assert moments.shape == parameter.shape
        assert (moments[8:] == 0).all()
    sum(p.square().sum() for p in canonical.parameters()).backward()
    optimizer.step()
    assert (optimizer.state[canonical.greys]["exp_avg_sq"][8:, 0] > 0).any()


def test_a_densified_fit_stays_below_its_cap(monkeypatch):
    monkeypatch.setattr(density, "FIRST", 4)
    monkeypatch.setattr(density, "EVERY", 4)
    monkeypatch.setattr(density, "THRESHOLD", 0.0)
    bundle = Bundle(torch.rand(4, 20, 20), SectionGrid.kept_every(4.0))
    fit = Fit(bundle, small(densify=True, cap=0.13, steps=[6, 6, 20]).recipe, 0, (0, 0, 0))
    before = len(fit.canonical)
    fit.run()
    assert before < len(fit.canonical) <= 0.13 * 400


# fits of tiles


def observed(shape=(5, 20, 24), seed=0):
    return torch.from_numpy(textured(shape, seed) / 255).float()[None, None]


@pytest.mark.parametrize("grid", ["aligned", "centred"])
@pytest.mark.parametrize("scale", [4.0, 2.5])
@pytest.mark.parametrize("shape", [(5, 20, 24), (1, 3, 1), (2, 1, 9)])
def test_a_reconstruction_has_the_promised_shape_on_both_grids(grid, scale, shape):
    sections = observed((5, 20, 24))[:, :, : shape[0], : shape[1], : shape[2]]
    method = small(deltas=["position", "scale", "opacity", "rotation"])
    made = reconstruct_tile(method, Tile(sections, SectionGrid.of_kind(grid, scale)))[0]
    assert made.shape == (1, 1, round(shape[0] * scale), *shape[1:])


def test_observed_sections_are_passed_through_unless_they_are_to_be_rendered():
    tile = Tile(observed(), SectionGrid.kept_every(4.0))
    kept, rendered = (reconstruct_tile(small(keep_observed=keep), tile)[0] for keep in (True, False))
    assert torch.equal(kept[:, :, ::4], tile.observed)
    assert not torch.equal(rendered[:, :, ::4], tile.observed)
    withheld = [z for z in range(20) if z % 4]
    assert torch.equal(kept[:, :, withheld], rendered[:, :, withheld])


def test_a_fit_belongs_to_its_seed_and_its_place_and_to_nothing_else():
    sections = observed()
    tile = Tile(sections, SectionGrid.kept_every(4.0), (8, 16, 0))
    before = torch.get_rng_state()
    one = reconstruct_tile(small(), tile)[0]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    torch.rand(7)
    assert torch.equal(reconstruct_tile(small(), tile)[0], one)
    assert torch.equal(tile.observed, observed())
    elsewhere = reconstruct_tile(small(), Tile(sections, SectionGrid.kept_every(4.0), (8, 0, 16)))[0]
    assert not torch.equal(elsewhere, one)
    assert not torch.equal(reconstruct_tile(small(seed=1), tile)[0], one)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_fit_does_not_depend_on_the_number_of_threads(threads):
    before = torch.get_num_threads()
    wanted = reconstruct_tile(small(), Tile(observed(), SectionGrid.kept_every(4.0)))[0]
    torch.set_num_threads(threads)
    found = reconstruct_tile(small(), Tile(observed(), SectionGrid.kept_every(4.0)))[0]
    assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert torch.equal(found, wanted)


def test_tiles_give_the_same_in_any_order_and_after_a_restart(tmp_path):
    volume = replace(Volume(textured((17, 20, 18)), None, "x"), grid=SectionGrid.kept_every(4))
    reconstruct_volume(small(steps=[1, 1, 2]), volume, tmp_path / "made.zarr", like=volume, most=1)
    made = open_volume(tmp_path / "made.zarr")
    whole = made.read_raw(made.whole)
    assert whole.shape == (68, 20, 18)
    assert np.array_equal(whole[::4], volume.read_raw(volume.whole))

    files = [file for file in sorted((tmp_path / "made.zarr" / "0" / "c").rglob("*")) if file.is_file()]
    assert len(files) == 3 * 2 * 2  # two bundles of 8 sections and one of the last, 2 x 2 tiles each
    for file in files[1::2]:
        file.unlink()
    reconstruct_volume(small(steps=[1, 1, 2]), volume, tmp_path / "made.zarr", like=volume, most=1)
    assert np.array_equal(made.read_raw(made.whole), whole)


def test_tiles_join_without_a_seam(tmp_path):
    volume = replace(Volume(textured((5, 24, 64)), None, "x"), grid=SectionGrid.kept_every(4))
    method = small(steps=[50, 200, 0], per_pixel=0.25, width=32, teacher="none", tile=[8, 32, 32], halo=[1, 8, 8])
    reconstruct_volume(method, volume, tmp_path / "made.zarr", like=volume)
    made = open_volume(tmp_path / "made.zarr")
    between = made.read(made.whole)[[z for z in range(17) if z % 4]]
    steps = np.abs(np.diff(between, axis=2)).mean(axis=(0, 1))  # from column to column
    truth = np.abs(np.diff(volume.read(volume.whole), axis=2)).mean(axis=(0, 1))
    assert steps[31] / truth[31] < 1.3 * np.median(steps / truth)


def test_sections_can_be_rendered_at_any_time_and_size():
    movie, bundle = small().fitted(Tile(observed(), SectionGrid.kept_every(4.0)))
    assert isinstance(movie, Movie) and bundle.size == (20, 24)
    assert movie.section(0.123).shape == (20, 24)
    assert movie.section(0.5, zoom=1.5).shape == (30, 36)
    means = F.avg_pool2d(movie.section(0.5, zoom=2.0)[None, None], 2)[0, 0]
    assert (means - movie.section(0.5)).abs().mean() < 0.02


def test_a_loss_that_is_not_finite_names_the_step_and_the_tile():
    sections = observed()
    sections[..., 3, 4, 5] = math.nan
    with pytest.raises(FloatingPointError, match=r"step 0 of 12 of the tile at \(8, 16, 0\)"):
        reconstruct_tile(small(background=0.5), Tile(sections, SectionGrid.kept_every(4.0), (8, 16, 0)))
    fit = Fit(Bundle(torch.rand(4, 10, 12), SectionGrid.kept_every(4.0)), small().recipe, 0, (0, 0, 0))
    with torch.no_grad():
        fit.canonical.means[1] = math.nan
    with pytest.raises(FloatingPointError, match="step 5"):
        fit._observed_step(5)


def test_more_steps_come_closer_to_the_observed_sections():
    tile = Tile(observed((4, 24, 24)), SectionGrid.kept_every(4.0))
    errors = []
    for steps in ([1, 0, 0], [30, 10, 0], [30, 150, 0]):
        movie, bundle = small(steps=steps, per_pixel=0.25, width=32, teacher="none").fitted(tile)
        made = torch.stack([movie.section(bundle.time(k)) for k in range(4)])
        errors.append(float((made - bundle.sections).square().mean()))
    assert errors[1] < 0.9 * errors[0] and errors[2] < 0.7 * errors[1]


@pytest.mark.parametrize("mode", MODES)
def test_key_frames_fit_without_a_network(mode):
    tile = Tile(observed((4, 24, 24)), SectionGrid.kept_every(4.0))
    options = {"deformation": "keyframes", "teacher": "none", "mode": mode, "per_pixel": 0.25}
    movie, bundle = small(steps=[30, 270, 0], **options).fitted(tile)
    made = torch.stack([movie.section(bundle.time(k)) for k in range(4)])
    mean = bundle.sections.mean(dim=0)
    assert (made - bundle.sections).square().mean() < 0.5 * (mean - bundle.sections).square().mean()


# slow motion: what the deformation is for


def blobs(rows=14, drift=40.0, side=64, depth=49):
    """Soft ellipses that drift along straight lines, shape (depth, side, side); see the study of the method."""
    parameters = np.random.RandomState(0).random_sample((rows, 8))
    y, x = np.mgrid[:side, :side] + 0.5
    volume = np.full((depth, side, side), 0.3)
    for z in range(depth):
        for p in parameters:
            dy, dx = (axis - side * p[i] - drift * (p[i + 2] - 0.5) * z / (depth - 1) for i, axis in enumerate((y, x)))
            c, s = np.cos(3.14 * p[6]), np.sin(3.14 * p[6])
            radius = np.hypot((dx * c + dy * s) / (2.5 + 3 * p[4]), (dy * c - dx * s) / (2.5 + 3 * p[5]))
            volume[z] += (0.25 + 0.2 * p[7]) / (1 + np.exp(9 * (radius - 1)))
    return torch.from_numpy(volume.clip(0, 1)).float()


def withheld_psnr(made, truth):
    errors = [(made[z] - truth[z]).square().mean() for z in range(len(truth)) if z % 6]
    return float((-10 * torch.log10(torch.stack(errors))).mean())


def slow_motion(**options):
    """PSNR of the withheld sections of the phantom, above that of linear interpolation."""
    truth = blobs()
    tile = Tile(truth[None, None, ::6], SectionGrid.kept_every(6.0))
    weights = torch.from_numpy(interpolation_matrix("linear", 9, SectionGrid.kept_every(6.0))).float()
    linear = torch.tensordot(weights, truth[::6], dims=1)[:49]
    assert withheld_psnr(linear, truth) == pytest.approx(39.64, abs=0.01)
    method = build_method(EMGauss, "emgauss", {"teacher": "none"} | options, grid=SectionGrid.kept_every(6.0), seed=0)
    made = reconstruct_tile(method, tile)[0][0, 0, :49]
    return withheld_psnr(made, truth) - withheld_psnr(linear, truth)


@pytest.mark.slow
def test_slow_motion_is_followed_better_than_by_linear_interpolation():
    options = {"steps": [100, 100, 1600], "depth": 4, "width": 128, "learning_rate": 2e-3}
    gain = slow_motion(**options)
    assert gain > 1.0
    assert slow_motion(**options, time_frequencies=6) < gain - 1


# settings


@pytest.mark.parametrize("preset", ["smoke", "cpu", "gpu10", "paper"])
@pytest.mark.parametrize("name", ["emgauss", "emgauss-keyframes"])
def test_presets_are_accepted(name, preset):
    entry = method_entry(name)
    assert entry.card.at_test and entry.card.regime == "self"
    method = build_method(entry.load(), name, preset_arguments(name, preset), grid=SectionGrid.kept_every(8.0), seed=3)
    assert method.supports(8.0, SectionGrid.slabs(8.0)) is None and method.stages() == () and method.seed == 3
    assert method.recipe.frames == (name == "emgauss-keyframes")
    assert method.recipe.teacher != "linear" and (name == "emgauss" or "not EMGauss" in entry.card.title)
    if (name, preset) == ("emgauss", "paper"):
        schedule = method.recipe.schedule
        assert (schedule.warm_up, schedule.joint, schedule.bootstrapped) == (2000, 1000, 15000)
        assert (method.recipe.teacher, method.recipe.decay) == ("ema", 0.995)
        network = sum(p.numel() for p in method.new_deformation(10, SectionGrid.kept_every(8)).parameters())
        assert method.parameter_count() == network + 7 * round(544 * 544 / 4)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"mode": "alfa"}, "did you mean 'alpha'"),
        ({"teacher": "emma"}, "did you mean 'ema'"),
        ({"deformation": "keyframe"}, "did you mean 'keyframes'"),
        ({"deltas": ["position", "opacty"]}, "did you mean 'opacity'"),
        ({"ramp": "linaer"}, "did you mean 'linear'"),
        ({"kernel": "cuda"}, "kernel"),
        ({"kernel": "gsplat", "mode": "additive"}, "mode alpha"),
        ({"deformation": "keyframes"}, "teacher: none"),
        ({"steps": [0, 0, 0]}, "no fit"),
        ({"steps": [1, 2]}, "not accept"),
        ({"per_pixel": 0}, "positive"),
        ({"cut": 0.0}, "above 0"),
        ({"share": [0.2, 1.5]}, "share"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong, words):
    with pytest.raises(ConfigError, match=words):
        small(**wrong)


def test_gsplat_without_its_package_or_cuda_is_refused():
    with pytest.raises(ConfigError, match="gsplat"):
        reconstruct_tile(small(kernel="gsplat"), Tile(observed(), SectionGrid.kept_every(4.0)))


def test_runs_need_no_training_split_and_are_named_transductive(tmp_path):
    request = Request(("phantom",), scale=(4,), methods=("linear", "emgauss"), seeds=(0, 1))
    runs = plan(resolve([request], Setup(tmp_path), fetch=False))
    found = [(run.folder.spec.method.name, run.folder.spec.seed, run.folder.spec.training) for run in runs]
    learned = {"mode": "transductive"}
    assert found == [("linear", 0, None), ("emgauss", 0, learned), ("emgauss", 1, learned)]


def test_similarity_of_the_loss_is_not_that_of_windows_that_fit():
    one, two = torch.rand(2, 20, 25, generator=torch.Generator().manual_seed(0))
    padded = photometric_loss(one, two)
    fitting = 0.8 * (one - two).abs().mean() + 0.2 * (1 - structural_similarity(one, two))
    assert abs(padded - fitting) > 1e-4
