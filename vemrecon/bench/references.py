"""Reference rows of a task: volumes that no method has made, scored once as if one had.

`SMOOTHED`, the truth after a Gaussian low-pass, against the truth itself: how much of a score is detail of that scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vemrecon.bench.job import Job
from vemrecon.bench.scoring import gathered
from vemrecon.bench.store import RunFolder
from vemrecon.bench.task_volumes import TaskVolumes, task_degradation
from vemrecon.files import from_plain, make_folder
from vemrecon.kept import read_mark, set_aside, write_mark
from vemrecon.locks import exclusive
from vemrecon.metrics.catalogue import expanded, versions_of
from vemrecon.metrics.catalogue import known as known_metrics
from vemrecon.metrics.evaluate import judge
from vemrecon.metrics.score import Need, Score
from vemrecon.metrics.windows import CUT
from vemrecon.progress import Progress
from vemrecon.volume import Region, Volume

SMOOTHED = "truth, smoothed"
"""Name of the row."""
SIGMA = 1.0
"""Standard deviation of its low-pass, in voxels of the truth."""
VERSION = 1
"""Of the row; to be raised when its voxels change."""
PATIENCE = 24 * 3600
"""Seconds to wait for another run that scores the same rows."""


def reference_scores(
    folder: RunFolder, job: Job, volumes: TaskVolumes, progress: Progress
) -> dict[str, tuple[Score, ...]]:
    """Scores of the reference rows of a run's task, by name; none in tasks without a truth.

    They are computed once for all runs of a task, by whichever asks first, and kept in its folder. Metrics that are
    slow, or need more than two volumes, are left out.
    """
    spec = folder.spec
    if volumes.truth is None:
        return {}
    names = [m.name for m in expanded(spec.metrics) if m.needs == {Need.TRUTH} and not m.slow]
    place = make_folder(folder.path.parent / f"references-{spec.task_id}")
    mark = place / "scores.json"
    with exclusive(place / "lock", f"{place}", patience=PATIENCE):
        known = read_mark(mark)
        if mark.exists() and not known:
            set_aside(mark)
        made_of = {"version": VERSION, "defects": list(job.defects)}
        if any(known.get(name) != value for name, value in made_of.items()):
            known = {}
        if not _fit(known.get("metrics", {}), names):
            every = list(dict.fromkeys([*known_metrics(known.get("metrics", ())), *names]))
            evidence = gathered(
                spec.task.kind, volumes, task_degradation(folder), smoothed(volumes.truth, spec.task.kind), job.defects,
                tell=lambda phase, share, note="": progress("score the smoothed truth", share, note),
            )  # fmt: skip
            evidence.blocks = {}
            found = judge(evidence, every).scores
            known = {**made_of, "metrics": versions_of(every), SMOOTHED: [s.as_dict() for s in found]}
            write_mark(mark, known)
    asked = {column.kind for m in expanded(names) for column in m.columns(spec.task.kind, spec.task.axis)}
    scores = from_plain(list[Score], known[SMOOTHED])
    return {SMOOTHED: tuple(score for score in scores if score.kind in asked)}


def _fit(known: Mapping[str, int], names: Sequence[str]) -> bool:
    return all(known.get(name) == version for name, version in versions_of(names).items())


def smoothed(truth: Volume, kind: str) -> Volume:
    """The truth after the low-pass, read on demand: along all axes, in lateral tasks (`kind`) within sections.

    It is mirrored at the borders of the volume. As a reconstruction, it is rounded to 8 bits when it is scored.
    """
    sigma = (0.0 if kind == "lateral" else SIGMA, SIGMA, SIGMA)
    return replace(
        truth, array=SmoothedArray(truth, sigma), name=f"{truth.name}, smoothed", intensity_range=(0.0, 1.0),
        stated=True, start=(0, 0, 0), extent=None,
    )  # fmt: skip


class SmoothedArray:
    """A volume after a Gaussian low-pass, shape (z, y, x), float32 in [0, 1], the same however it is cut.

    Args:
        volume: What is smoothed.
        sigma: Standard deviations along z, y and x, in voxels; 0 leaves an axis as it is.
    """

    def __init__(self, volume: Volume, sigma: tuple[float, float, float]) -> None:
        self.inner, self.sigma = volume, sigma
        self.shape, self.dtype = volume.shape, np.dtype(np.float32)

    def __getitem__(self, index: tuple[slice, slice, slice]) -> NDArray[Any]:
        from scipy.ndimage import gaussian_filter

        wanted = Region.of([part.indices(n)[:2] for part, n in zip(index, self.shape, strict=True)])
        around = wanted.expanded([int(CUT * s + 0.5) for s in self.sigma], self.inner.whole)
        found = gaussian_filter(self.inner.read(around), self.sigma, truncate=CUT, mode="reflect")
        return np.asarray(found[wanted.relative_to(around.start).slices])
