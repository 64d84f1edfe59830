"""Fake runs: everything a worker would leave behind, without a worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from vemrecon.bench.result import Costs, PresetFacts, RunResult, Status
from vemrecon.bench.spec import DegradationVariant, MethodVariant, RunSpec, Task
from vemrecon.files import digest_of, write_json
from vemrecon.methods import MethodCard
from vemrecon.methods.weight_choice import ChosenWeights
from vemrecon.metrics import Limit, Score
from vemrecon.volume import SectionGrid

MakeRun = Callable[..., Path]
SUBSAMPLE = {"name": "subsample", "arguments": {}}
METRICS = ("psnr", "ssim", "ssim_uniform7", "lpips", "fsc")
TASK = {"dataset": "fib25s", "split": "test", "kind": "reference", "axis": "z", "scale": 4.0, "degradation": SUBSAMPLE}
CARD = {"paper": "10.1000/example", "citation": "A. Author", "licence": "MIT"}
COSTS = {
    "train_seconds": 0.0,
    "reconstruct_seconds": 2.5,
    "score_seconds": 1.0,
    "peak_memory_bytes": 2**30,
    "parameters": 0,
    "output_voxels": 1000,
}
ENVIRONMENT = {
    "vemrecon": "0.1.0",
    "commit": "0123abcd4567",
    "python": "3.12.1",
    "torch": "2.6.0",
    "platform": "Linux",
    "cpu": "Processor 9000",
    "device": "cpu",
    "threads": 4,
}


def score(metric: str, variant: str, plane: str, value: float | None, **more: Any) -> Score:
    unit = {"psnr": "dB", "fsc": "" if plane == "ratio" else "nm"}.get(metric, "")
    row = Score(metric, variant, plane, "all", "all", value, unit)
    return replace(row, **more)


def scores(psnr: float = 24.5, axial: float = 70.0, axial_limit: Limit | None = None) -> list[Score]:
    rows = [score("psnr", "", plane, psnr + n / 10) for n, plane in enumerate(("volume", "xy", "xz", "yz", "mean"))]
    rows += [
        score("ssim", "gaussian11", p, psnr / 40 + n / 100) for n, p in enumerate(("xy", "xz", "yz", "mean", "volume"))
    ]
    rows += [score("fsc", "hann", "z", axial, limit=axial_limit), score("fsc", "hann", "lateral", 20.0)]
    rows += [score("fsc", "hann", "ratio", axial / 20, limit=axial_limit)]
    rows += [score("psnr", "", "volume", psnr + 0.2, range="span")]
    rows += [score("psnr", "", "volume", psnr - 0.3, block="b0"), score("ssim", "uniform7", "xy", psnr / 41)]
    return [*rows, score("lpips", "vgg", "xy", None, note="weights are not available")]


def sections(seed: int = 0, side: int = 40, scale: int = 4) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    volume = rng.random((side, side, side))
    for axis in range(3):
        for _ in range(4):
            volume = (volume + np.roll(volume, 1, axis) + np.roll(volume, -1, axis)) / 3
    volume = (volume - volume.min()) / np.ptp(volume) * 255
    result = np.repeat(volume[::scale], scale, axis=0)
    middle = side // 2
    views = {"xy": np.s_[middle], "xz": np.s_[:, middle], "yz": np.s_[:, :, middle]}
    found = {}
    for plane, cut in views.items():
        found[f"truth_{plane}"] = volume[cut]
        found[f"observed_{plane}"] = volume[middle] if plane == "xy" else volume[::scale][cut]
        found[f"reconstruction_{plane}"] = result[cut]
    found = {name: np.rint(section).astype(np.uint8) for name, section in found.items()}
    return {**found, "position": np.full(3, middle), "voxel_size": np.full(3, 10.0)}


def curves(strength: float = 20.0) -> dict[str, Any]:
    frequency = [0.0025 * n for n in range(1, 21)]
    falling = {d: [float(np.exp(-((f * s) ** 2))) for f in frequency] for d, s in zip("zyx", (3, 1, 1), strict=True)}
    found = {
        d: {"frequency": frequency, "value": [None, *[v ** (strength / 2) for v in vs[1:]]]}
        for d, vs in falling.items()
    }
    return {"fsc": {"all": found}, "something_else": 1}


def grid_of(task: Mapping[str, Any]) -> SectionGrid:
    kind = "aligned" if task["degradation"]["name"] == "subsample" else "centred"
    return SectionGrid.of_kind(kind, task["scale"])


def result_of(
    method: str = "bicubic",
    *,
    task: Mapping[str, Any] = TASK,
    regime: str = "none",
    preset: str = "default",
    seed: int = 0,
    arguments: Mapping[str, Any] | None = None,
    status: str = "done",
    reason: str = "",
    rows: list[Score] | None = None,
    costs: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] = ENVIRONMENT,
    spec: Mapping[str, Any] | None = None,
    split_digest: str = "e" * 64,
    metrics: tuple[str, ...] = METRICS,
    grid: SectionGrid | None = None,
    card: Mapping[str, Any] | None = None,
    artifacts: Mapping[str, str] | None = None,
    references: Mapping[str, tuple[Score, ...]] | None = None,
    chosen: Mapping[str, ChosenWeights] | None = None,
    preset_facts: PresetFacts | None = None,
) -> RunResult:
    """What a run says of itself."""
    run_id = digest_of(repr((method, preset, seed, arguments, task, status, spec, split_digest)))[:12]
    found = scores() if rows is None else rows
    return RunResult(
        run_id=run_id,
        spec=RunSpec(
            Task(
                **{**task, "degradation": DegradationVariant(**task["degradation"])},
                dataset_digest="d" * 64,
                split_digest=split_digest,
            ),
            MethodVariant(method, method, "m.M", "1", dict(arguments or {})),
            preset,
            seed,
            **{"protocol": 1, "metrics": metrics, **(spec or {})},
        ),
        status=Status(status),
        reason=reason,
        card=MethodCard(**(card or {**CARD, "title": method.title(), "regime": regime})),
        scores=tuple(found) if status == "done" else (),
        references=references or {},
        preset_facts=preset_facts or PresetFacts(),
        grid=grid or grid_of(task),
        costs=Costs(**(costs if costs is not None else (COSTS if status == "done" else {}))),
        environment=environment,
        artifacts=artifacts or {},
        chosen=chosen or {},
    )


def maker(runs: Path) -> MakeRun:
    """A function that writes one run folder below `runs` and returns the folder; it takes what `result_of` takes."""

    def make(method: str = "bicubic", *, pictures: bool = True, **facts: Any) -> Path:
        made = result_of(method, **facts)
        task = made.spec.task
        name = f"{task.dataset}-{task.kind}-{task.axis}-x{task.scale:g}"
        folder = runs / name / f"{method.replace('/', '-').replace('<', '-')}-{made.run_id}"
        folder.mkdir(parents=True, exist_ok=True)
        if made.status == Status.DONE and pictures:
            np.savez(folder / "sections.npz", **sections())
            (folder / "curves.json").write_text(json.dumps(curves()))
            made = replace(made, artifacts={"sections": "sections.npz", "curves": "curves.json"})
        write_json(folder / "result.json", made.as_dict())  # without a checksum, so that tests can change it
        return folder

    return make
