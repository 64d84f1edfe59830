"""LPIPS: the real package against the definition term by term, properties, rows of `evaluate`, and what is missing.

The package runs above a stand-in for torchvision with weights by a formula; no value here is an LPIPS score.
"""

from __future__ import annotations

import sys
from pathlib import Path

import lpips_stand_in as stand_in
import numpy as np
import pytest
import torch
from metrics.metric_volumes import GreyVolume, noisy, textured
from torch import Tensor
from torch.nn import functional as F

from vemrecon import perceptual
from vemrecon.cli import main
from vemrecon.errors import DataError
from vemrecon.metrics import lpips
from vemrecon.metrics.evaluate import evaluate
from vemrecon.metrics.lpips import PerceptualSimilarity
from vemrecon.perceptual import NETWORKS, PerceptualError, obstacle, perceptual_distance
from vemrecon.volume.region import Region

COMPARED = {"alex": (1, 4, 7, 9, 11), "vgg": (3, 8, 15, 22, 29)}
"""Layers of the two networks, as torchvision counts them, whose results are compared."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lpips")


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    stand_in.with_stand_in(monkeypatch)
    stand_in.put_weights(monkeypatch, cache, "alex", "vgg")


def grey(rows: int, columns: int, number: int = 1, seed: int = 0) -> Tensor:
    return torch.from_numpy(textured((number, rows, columns), seed))


def metric_of(network: str, rows: int = 64, columns: int = 64, number: int = 1) -> PerceptualSimilarity:
    return PerceptualSimilarity([Region((0, 0, 0), (number, rows, columns))], network)


def defined_distance(network: str, a: np.ndarray, b: np.ndarray) -> float:
    """Equation 1 of the paper, layer by layer, in double precision."""
    import lpips as package

    file = Path(str(package.__file__)).parent / "weights" / "v0.1" / f"{network}.pth"
    heads = torch.load(file, map_location="cpu", weights_only=True)
    weights = stand_in.formula_weights(network)
    mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # of ImageNet
    images = [torch.from_numpy((image / 255 - mean[:, None, None]) / spread[:, None, None])[None] for image in (a, b)]
    total, seen = 0.0, 0
    for index, layer in enumerate(stand_in.MODELS[network]().features):
        if isinstance(layer, torch.nn.Conv2d):
            kernel = weights[f"features.{index}.weight"].double()
            images = [F.conv2d(image, kernel, stride=layer.stride, padding=layer.padding) for image in images]
        else:
            images = [layer(image) for image in images]
        if index in COMPARED[network]:
            head = heads[f"lin{seen}.model.1.weight"].double()
            p, q = (image / (image.square().sum(dim=1, keepdim=True).sqrt() + 1e-10) for image in images)
            total += float((head * (p - q) ** 2).sum(dim=1).mean())
            seen += 1
    assert seen == 5
    return total


@pytest.mark.parametrize("network", ["alex", "vgg"])
def test_lpips_equals_the_definition(package: None, network: str) -> None:
    a, b = grey(75, 66), grey(75, 66, seed=3)
    found = metric_of(network).compare(a, b)
    expected = defined_distance(network, a[0].double().numpy(), b[0].double().numpy())
    assert (found.shape, found.dtype) == ((1,), torch.float64)
    assert found.item() == pytest.approx(expected, rel=1e-3)  # constants of the colours have three digits
    assert found.item() > 1e-3


@pytest.mark.parametrize("network", ["alex", "vgg"])
def test_lpips_is_zero_for_equal_sections_symmetric_and_grows_with_noise(package: None, network: str) -> None:
    a = grey(64, 64)
    compare = metric_of(network).compare
    little, much = (torch.from_numpy(noisy(a.numpy(), sigma)) for sigma in (4, 30))
    assert compare(a, a).item() == 0
    assert compare(a, little).item() == pytest.approx(compare(little, a).item(), rel=1e-6)
    assert 0 < compare(a, little).item() < compare(a, much).item()


def test_lpips_does_not_depend_on_the_batch_or_on_chunks(package: None, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = grey(40, 50, 7), grey(40, 50, 7, seed=2)
    compare = metric_of("alex").compare
    together = compare(a, b).tolist()
    monkeypatch.setattr(lpips, "CHUNK_PIXELS", 3 * 40 * 50)
    assert compare(a, b).tolist() == pytest.approx(together, rel=1e-5)
    assert [compare(p[None], q[None]).item() for p, q in zip(a, b, strict=True)] == pytest.approx(together, rel=1e-5)


@pytest.mark.parametrize("network", ["alex", "vgg"])
def test_the_smallest_section_reaches_the_last_layer(package: None, network: str) -> None:
    side = NETWORKS[network].shortest
    a, b = grey(side, side), grey(side, side, seed=1)
    assert metric_of(network, side, side).compare(a, b).item() > 0
    with pytest.raises(RuntimeError):
        metric_of(network).compare(a[:, 1:], b[:, 1:])


def test_rows_are_means_over_the_sections_of_each_plane(package: None) -> None:
    a = textured((34, 40, 33))
    b = noisy(a)
    kept = [0, 8, 16, 24, 32]
    b[kept] = a[kept]
    whole, span = Region.whole(a.shape), Region((0, 0, 0), (33, 40, 33))
    shares: list[float] = []
    found = evaluate(
        GreyVolume(a), GreyVolume(b), metrics=("lpips_alex",), ranges={"all": whole, "span": span}, kept_sections=kept,
        blocks={"0-0-0": Region((0, 0, 0), (34, 40, 31))}, progress=shares.append,
    )  # fmt: skip
    assert shares == sorted(shares) and shares[-1] == pytest.approx(1)
    rows = {(row.range, row.plane): row for row in found.scores}
    assert {(row.metric, row.variant, row.block, row.unit) for row in found.scores} == {("lpips", "alex", "all", "")}
    assert {plane for _, plane in rows} == {"xy", "xz", "yz", "mean"}, "there is no form for volumes"
    compare = metric_of("alex").compare
    for name, sections in (("all", 34), ("span", 33)):
        p, q = torch.from_numpy(a[:sections]), torch.from_numpy(b[:sections])
        for plane, normal in (("xy", 0), ("xz", 1), ("yz", 2)):
            values = compare(p.movedim(normal, 0), q.movedim(normal, 0))
            counted = [k for k in range(len(values)) if normal or k not in kept]
            row = rows[name, plane]
            assert row.value == pytest.approx(values[counted].mean().item(), rel=1e-5)
            assert row.std == pytest.approx(values[counted].std(correction=0).item(), rel=1e-4)
            assert row.count == len(counted)
        planes = [rows[name, plane].value for plane in ("xy", "xz", "yz")]
        assert rows[name, "mean"].value == pytest.approx(np.mean([v for v in planes if v is not None]))
    assert rows["all", "xy"].note == "5 kept sections left out"


def test_lpips_asks_for_both_networks_and_each_has_a_name_of_its_own(package: None) -> None:
    a = textured((2, 33, 35))
    for name, networks in {"lpips": ("vgg", "alex"), "lpips_vgg": ("vgg",), "lpips_alex": ("alex",)}.items():
        found = evaluate(
            GreyVolume(a), GreyVolume(noisy(a)), metrics=(name,), planes=("xy",), ranges={"all": Region.whole(a.shape)}
        )
        assert [row.variant for row in found.scores] == list(networks)
        assert all(row.value is not None and row.value > 0 for row in found.scores)


def test_short_sides_give_a_note(package: None) -> None:
    a = textured((20, 33, 35))
    found = evaluate(GreyVolume(a), GreyVolume(a), metrics=("lpips",), ranges={"all": Region.whole(a.shape)})
    rows = {(row.variant, row.plane): row for row in found.scores}
    assert rows["alex", "xz"].note == "not defined: a side is shorter than 31"
    assert (rows["alex", "xy"].value, rows["vgg", "xz"].value, rows["alex", "mean"].value) == (0, 0, None)


def test_batches_are_compared_one_by_one_by_all_threads(package: None, monkeypatch: pytest.MonkeyPatch) -> None:
    a = textured((4, 33, 35))
    before, seen = torch.get_num_threads(), []
    compare = PerceptualSimilarity.compare

    def counted(self: PerceptualSimilarity, p: Tensor, q: Tensor) -> Tensor:
        seen.append((len(p), torch.get_num_threads()))
        return compare(self, p, q)

    monkeypatch.setattr(PerceptualSimilarity, "compare", counted)
    try:
        torch.set_num_threads(2)
        options = {"planes": ("xy",), "ranges": {"all": Region.whole(a.shape)}}
        evaluate(GreyVolume(a), GreyVolume(noisy(a)), metrics=("lpips_alex",), **options)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [(4, 2)]


def test_sections_must_be_added_once(package: None) -> None:
    metric = metric_of("alex", number=2)
    metric.update(0, "xy", 0, torch.ones(1, dtype=torch.float64))
    with pytest.raises(DataError, match="exactly once"):
        metric.means(0, "xy")


def test_making_the_network_draws_no_random_numbers_and_gives_no_warning(
    package: None, recwarn: pytest.WarningsRecorder
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = perceptual_distance("alex"), perceptual_distance("alex")
    assert torch.equal(torch.rand(3), expected)
    a, b = grey(64, 64)[:, None] / 255, grey(64, 64, seed=1)[:, None] / 255
    assert torch.equal(first(a, b), second(a, b)), "no weight is random"
    assert not recwarn.list


def scored(a: np.ndarray) -> list[tuple[float | None, str]]:
    ranges = {"all": Region.whole(a.shape)}
    found = evaluate(GreyVolume(a), GreyVolume(noisy(a)), metrics=("psnr", "lpips"), ranges=ranges)
    assert all(row.value is not None for row in found.scores if row.metric == "psnr"), "other scores do not suffer"
    rows = [row for row in found.scores if row.metric == "lpips"]
    assert {row.variant for row in rows} == {"vgg", "alex"}
    return [(row.value, row.note) for row in rows if row.plane != "mean"]


def test_without_the_package_the_cell_is_blank_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    for value, note in scored(textured((33, 34, 35))):
        assert value is None
        assert note.startswith("LPIPS is not available: its package cannot be imported (")
        assert "`vemrecon fetch lpips`" in note and "\n" not in note


def test_without_torchvision_the_cell_is_blank_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tqdm", reason="a requirement of lpips and of lightning")
    stand_in.without_torchvision(monkeypatch)
    for value, note in scored(textured((33, 34, 35))):
        assert value is None and note.startswith("LPIPS is not available: its package cannot be imported (")


def test_without_weights_nothing_is_downloaded_and_the_cell_is_blank(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in.with_stand_in(monkeypatch)
    stand_in.empty_cache(monkeypatch, tmp_path)
    for value, note in scored(textured((33, 34, 35))):
        assert value is None
        assert "are not in torch's cache; `vemrecon fetch lpips`" in note
    assert not list(tmp_path.iterdir())


def test_a_file_of_weights_that_is_another_one_is_never_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in.with_stand_in(monkeypatch)
    stand_in.put_weights(monkeypatch, tmp_path, "alex")
    assert obstacle("alex") == ""
    with NETWORKS["alex"].path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(PerceptualError, match="is damaged or another file; remove it, and `vemrecon fetch lpips`"):
        perceptual_distance("alex")


def test_evaluate_on_the_command_line_shows_lpips_or_the_reason(
    package: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a = textured((33, 34, 35))
    np.save(tmp_path / "a.npy", a)
    np.save(tmp_path / "b.npy", noisy(a))
    words = ["evaluate", str(tmp_path / "a.npy"), str(tmp_path / "b.npy"), "--voxel-size", "8", "8", "8"]
    assert main([*words, "--metrics", "lpips_vgg"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("lpips vgg"))
    assert float(line.split()[4]) > 0
    monkeypatch.setattr(perceptual, "missing_package", lambda: "No module named 'lpips'")
    assert main([*words, "--metrics", "lpips_vgg"]) == 0
    assert "No module named 'lpips'" in " ".join(capsys.readouterr().out.split())
