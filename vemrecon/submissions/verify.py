"""`verify`: whether a submission is what it says, and how far anybody has seen that."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vemrecon import protocol
from vemrecon.bench.job import Job
from vemrecon.bench.levels import Level
from vemrecon.bench.result import RunResult, Status
from vemrecon.bench.spec import RunSpec
from vemrecon.bench.store import RunFolder
from vemrecon.bench.task_volumes import TaskVolumes, observe
from vemrecon.check.verdict import CheckReport
from vemrecon.check.watch import PICKLES
from vemrecon.data.remote.recognise import voxels_sha256
from vemrecon.environment import environment
from vemrecon.errors import DataError, VemreconError
from vemrecon.files import sha256_of
from vemrecon.metrics.score import Reference, Score
from vemrecon.progress import silent
from vemrecon.submissions.submission import (
    CHECK,
    RECONSTRUCTION,
    RESULT,
    SPEC,
    VERIFICATION,
    WEIGHTS,
    LargeFile,
    Submission,
    Verification,
    agrees,
    summary,
)
from vemrecon.volume import Volume

if TYPE_CHECKING:
    from vemrecon.bench.plan import PlannedRun
    from vemrecon.methods.base import Method

CLOSE = 1e-3
"""Largest difference of a score that is computed again."""
COPY = 0.999
"""Share of voxels of a section that are those of the truth, from which on it is taken for a copy."""
CEILING = 6.0
"""dB above the truth, smoothed by a voxel, from which on nobody would believe a PSNR."""
VOXELS = 1e-3
"""Share of voxels that may differ by more than a grey level when a reconstruction is made again."""
RETRAINED = 0.1
"""dB of PSNR that a training on another machine may be away."""
Say = Callable[[str], None]


class RefusedError(VemreconError):
    """Why a submission is refused, in one line."""


@dataclass(frozen=True)
class Again:
    """What was made of a submission's weights."""

    method: Method
    volume: Volume


@dataclass
class Verifier:
    """Verifies the submission in a folder.

    Args:
        folder: That holds it.
        data_root: Where files of datasets are.
        say: Told what was found to be right, line by line.
    """

    folder: Path
    data_root: Path | None = None
    say: Say = lambda line: None
    notes: list[str] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)

    def verify(self, level: Level = "rescored") -> Verification:
        """Verify up to a level, as far as what it needs is here.

        Raises:
            RefusedError: With what is wrong.
        """
        submission = self._whole()
        result = self._result(submission)
        self._checked(result)
        self._no_pickles()
        reached: Level = "reported"
        with tempfile.TemporaryDirectory(prefix="vemrecon-verify-") as scratch:
            found = self._task(submission, result.spec, Path(scratch))
            if found is not None:
                folder, job = found
                volumes = self._observed(submission, folder, job)
                again = level in ("reconstructed", "retrained")
                made = self._reconstruction(submission, folder, volumes)
                anew = self._made_again(submission, folder, job, made) if again else None
                seen = made if made is not None else anew.volume if anew else None
                if seen is not None:
                    self._no_copies(volumes, seen)
                    compared = self._scores(result, folder, job, volumes, seen, anew)
                    self._plausible(result)
                    reached = "reconstructed" if anew else "rescored" if compared else "reported"
                if level == "retrained" and self._trained_again(result, folder):
                    reached = "retrained"
        return Verification(reached, submission.digest, tuple(self.notes), self.facts, environment())

    def note(self, words: str) -> None:
        """Something to know."""
        self.notes.append(words)
        self.say(words)

    def _whole(self) -> Submission:
        try:
            submission = Submission.read(self.folder)
        except DataError as error:
            raise RefusedError(str(error)) from error
        here = {one.name for one in self.folder.iterdir()} - {VERIFICATION}
        for name, known in submission.files.items():
            if name not in here:
                raise RefusedError(f"{name}: is missing")
            if sha256_of(self.folder / name) != known:
                raise RefusedError(f"{name}: is not the file that was handed in (other sha256)")
        for large in (submission.reconstruction, submission.weights):
            if large and large.file in here and sha256_of(self.folder / large.file) != large.sha256:
                raise RefusedError(f"{large.file}: is not the file that was handed in (other sha256)")
        known_names = {*submission.files, "submission.json", RECONSTRUCTION, WEIGHTS}
        if strange := sorted(here - known_names):
            raise RefusedError(f"{strange[0]}: is no file of the submission; remove it")
        self.say("files: as they were handed in")
        return submission

    def _result(self, submission: Submission) -> RunResult:
        try:
            result = RunResult.read(self.folder / RESULT)
        except VemreconError as error:
            raise RefusedError(str(error).replace(f"{self.folder}/", "")) from error
        if result.status != Status.DONE:
            raise RefusedError(f"{RESULT}: the run is {result.status.value}")
        if result.spec.run_id != result.run_id:
            now = result.spec.run_id
            raise RefusedError(f"{RESULT}: its specification was changed: it is that of run {now}, not {result.run_id}")
        if (self.folder / SPEC).is_file() and RunSpec.read(self.folder / SPEC).run_id != result.run_id:
            raise RefusedError(f"{SPEC}: is not the specification of {RESULT}: it was changed")
        if fact := agrees(submission.run, summary(result)):
            raise RefusedError(f"submission.json: its {fact} is not that of {RESULT}")
        now = protocol.protocol()["version"]
        if result.spec.protocol != now:
            raise RefusedError(f"{RESULT}: follows version {result.spec.protocol} of the protocol, which is {now} now")
        self.say(f"run {result.run_id}: its identity follows from its specification")
        return result

    def _checked(self, result: RunResult) -> None:
        if not (self.folder / CHECK).is_file():
            self.note(f"no {CHECK}: nobody has checked the method")
            return
        try:
            report = CheckReport.read(self.folder / CHECK)
        except DataError as error:
            raise RefusedError(str(error).replace(f"{self.folder}/", "")) from error
        method = result.spec.method
        source = (report.origin.source if report.origin else "", method.origin.source if method.origin else "")
        if report.class_path != method.class_path or source[0] != source[1]:
            raise RefusedError(f"{CHECK}: is of other code than the run")
        if not report.passed:
            raise RefusedError(f"{CHECK}: not all checks have passed")
        self.say(f"{CHECK}: {len(report.verdicts)} checks, none failed")

    def _no_pickles(self) -> None:
        for file in self.folder.iterdir():
            if file.suffix.lower() in PICKLES:
                raise RefusedError(f"{file.name}: is a pickle, which can run any code: use safetensors")
            if file.suffix == ".npz":
                try:
                    with np.load(file, allow_pickle=False) as arrays:
                        _ = [arrays[name].shape for name in arrays.files]
                except (ValueError, OSError) as error:
                    raise RefusedError(f"{file.name}: cannot be read without running code ({error})") from error

    def _task(self, submission: Submission, spec: RunSpec, scratch: Path) -> tuple[RunFolder, Job] | None:
        """The folder and the job of a run of the same task with the data that are here; None if they are not."""
        task = spec.task
        try:
            planned = self._planned(spec, scratch, "linear")
        except VemreconError as error:
            self.note(f"not rescored: {error}")
            return None
        here = planned.folder.spec.task
        for name in ("dataset_digest", "split_digest"):
            if getattr(here, name) != getattr(task, name):
                what = "data" if name == "dataset_digest" else f"split '{task.split}'"
                raise RefusedError(f"{RESULT}: its {what} are not those of {task.dataset} ({name} differs)")
        if here != task:
            raise RefusedError(f"{RESULT}: its task is none of this version of the benchmark")
        self.say(f"task {task.slug}: data and split are those of the dataset")
        folder = RunFolder.of(spec, scratch)
        folder.create()
        planned.job.write(folder.path / "job.json")
        return folder, planned.job

    def _planned(self, spec: RunSpec, runs: Path, method: str, **more: Any) -> PlannedRun:
        """A run of a method on the task of a specification, with the data that are here."""
        from vemrecon.bench.plan import plan
        from vemrecon.bench.request import Request, Setup
        from vemrecon.bench.resolve import resolve

        task = spec.task
        arguments = dict(task.degradation.arguments)
        request = Request(
            dataset=(task.dataset,),
            split=task.split,
            task=task.kind,
            scale=(task.scale,),
            degradation=(task.degradation.name,),
            missing_sections=task.missing,
            methods=(method,),
            metrics=tuple(spec.metrics),
            set={task.degradation.name: arguments} if arguments else {},
            **more,
        )
        resolved = resolve([request], Setup(runs=runs, data_root=self.data_root), fetch=True, say=self.say)
        return plan(resolved)[0]

    def _observed(self, submission: Submission, folder: RunFolder, job: Job) -> TaskVolumes:
        volumes = observe(folder, job)
        if not submission.observed:
            self.note("the voxels of its observed volume were not recorded")
            return volumes
        if voxels_sha256(volumes.observed) != submission.observed:
            raise RefusedError("submission.json: its observed volume is not the one that the task gives here")
        if volumes.truth is not None and voxels_sha256(volumes.truth) != submission.truth:
            raise RefusedError("submission.json: its truth is not that of the dataset")
        self.say("observed volume and truth: the same here")
        return volumes

    def _reconstruction(self, submission: Submission, folder: RunFolder, volumes: TaskVolumes) -> Volume | None:
        path = self._large(submission.reconstruction)
        if path is None:
            self.note("its reconstruction is neither here nor at an address")
            return None
        from vemrecon.bench.phases import reconstruction

        made = reconstruction(folder, volumes, path)
        if volumes.truth is not None and made.shape != volumes.truth.shape:
            raise RefusedError(f"{path.name}: has shape {made.shape}, where the task has {volumes.truth.shape}")
        return made

    def _large(self, large: LargeFile | None) -> Path | None:
        """A large file, here or from its address."""
        if large is None:
            return None
        path = self.folder / large.file
        if path.is_file():
            return path
        if not large.address:
            return None
        from vemrecon.data.card import DatasetCard, DatasetFile
        from vemrecon.data.remote.fetch import fetch_files

        file = DatasetFile(path=large.file, url=large.address, sha256=large.sha256)
        card = DatasetCard("submission", f"{large.file} of a submission", {large.file: file})
        try:
            fetch_files([(card, file)], self.folder, begin=lambda one: lambda done, total: None, say=self.say)
        except VemreconError as error:
            self.note(f"{large.file} cannot be had: {error}")
            return None
        return path

    def _scores(
        self,
        result: RunResult,
        folder: RunFolder,
        job: Job,
        volumes: TaskVolumes,
        made: Volume,
        anew: Again | None,
    ) -> bool:
        """Compute scores again; whether there were any that compare with something, as those of native tasks do not."""
        from vemrecon.bench import phases
        from vemrecon.bench.references import reference_scores
        from vemrecon.bench.scoring import gathered, scored
        from vemrecon.bench.task_volumes import task_degradation
        from vemrecon.metrics.catalogue import expanded
        from vemrecon.metrics.evaluate import judge
        from vemrecon.metrics.score import Need

        spec = result.spec
        here = {Need.TRUTH, Need.METHOD, Need.SPREAD} if anew else {Need.TRUTH}
        simple = [one.name for one in expanded(spec.metrics) if one.needs <= here and not one.slow]
        others = [one.name for one in expanded(spec.metrics) if one.name not in simple]
        if anew:
            spread = phases.uncertainty(folder)
            found = scored(folder, job, anew.method, volumes, made, spread, silent, simple)
        else:
            found = judge(gathered(spec.task.kind, volumes, task_degradation(folder), made, job.defects), simple)
        known = {_place(score): score for score in result.scores}
        if len(known) < len(result.scores):  # which of them a table would show nobody knows
            raise RefusedError(f"{RESULT}: a score stands in it twice")
        with_blocks = {(score.kind, score.range) for score in result.scores if not score.whole}
        worst, where, unkept = 0.0, "", False
        for score in found.scores:
            stored = known.get(_place(score))
            if stored is None and not score.whole and (score.kind, score.range) not in with_blocks:
                unkept = True  # of any block: an earlier version has not kept them
                continue
            if stored is None:
                raise RefusedError(f"{RESULT}: the score {_words(score)} is missing")
            if (score.value is None) != (stored.value is None):
                raise RefusedError(
                    f"{RESULT}: {_words(score)} is {stored.value}, and {score.value} when computed again"
                )
            if score.value is not None and stored.value is not None:
                between = abs(score.value - stored.value)
                if math.isnan(between) or between > CLOSE:
                    raise RefusedError(
                        f"{RESULT}: {_words(score)} is {stored.value:.6g}, but {score.value:.6g} when it is computed "
                        "again from the reconstruction"
                    )
                if between > worst:
                    worst, where = between, _words(score)
        self._references(result, reference_scores(folder, job, volumes, silent))
        self.facts["scores"] = worst
        said = f" (largest difference {worst:.1e}, {where})" if worst else ""
        self.say(f"scores: {', '.join(simple)} are the same when they are computed again{said}")
        if unkept:
            self.note("of some metrics no scores of evaluation blocks were kept")
        if others:
            self.note(f"not computed again: {', '.join(others)}")
        return any(score.reference != Reference.NONE for score in found.scores)

    def _references(self, result: RunResult, here: Mapping[str, Sequence[Score]]) -> None:
        """Refuse reference rows, such as the smoothed truth, that are not those of the task."""
        known = {(name, *_place(score)): score.value for name, scores in here.items() for score in scores}
        for name, scores in result.references.items():
            for score in scores:
                value = known.get((name, *_place(score)), score.value)
                if (value is None) != (score.value is None) or abs((value or 0.0) - (score.value or 0.0)) > CLOSE:
                    raise RefusedError(
                        f"{RESULT}: {_words(score)} of '{name}' is {score.value}, and {value} when it is computed again"
                    )

    def _no_copies(self, volumes: TaskVolumes, made: Volume) -> None:
        """Refuse sections that are those of the truth, where the method could not see these."""
        if volumes.truth is None:
            return
        truth, axis = volumes.truth, volumes.axis
        positions = volumes.observed.require_grid().kept(volumes.observed.shape[axis])
        seen = [] if positions is None else [int(z) for z in positions if z < truth.shape[axis]]
        same, low, high = (
            np.zeros(truth.shape[axis]),
            np.full(truth.shape[axis], np.inf),
            np.full(truth.shape[axis], 0.0),
        )
        others = tuple(n for n in range(3) if n != axis)
        for slab in truth.slabs():
            one, other = made.read_raw(slab), truth.read_raw(slab)
            part = slice(slab.start[axis], slab.stop[axis])
            same[part] += (one == other).sum(others)
            low[part], high[part] = np.minimum(low[part], other.min(others)), np.maximum(high[part], other.max(others))
        share = same * truth.shape[axis] / truth.whole.voxels
        share[seen] = 0  # were observed
        share[low == high] = 0  # there is nothing to see
        place = int(share.argmax())
        if share[place] > COPY:
            raise RefusedError(
                f"{RECONSTRUCTION}: section {place} along {'zyx'[axis]} is a copy of the truth, which no method sees "
                f"({100 * share[place]:.1f} % of its voxels are the same)"
            )
        self.say("no section is a copy of the truth")

    def _plausible(self, result: RunResult) -> None:
        """Between what a grey volume scores and what hardly any reconstruction could."""
        score = next((s for s in result.scores if s.metric == "psnr" and s.whole and s.value is not None), None)
        known = [s for scores in result.references.values() for s in scores if s.metric == "psnr" and s.whole]
        if score is None or score.value is None or not known or known[0].value is None:
            return
        if (above := score.value - known[0].value) > CEILING:
            raise RefusedError(
                f"{RESULT}: PSNR {score.value:.2f} dB is {above:.1f} dB above the truth smoothed by a voxel, which no "
                "reconstruction could reach"
            )

    def _made_again(self, submission: Submission, folder: RunFolder, job: Job, made: Volume | None) -> Again | None:
        """What its weights make, compared with what was handed in, if that is here; None if the weights are not."""
        from vemrecon.bench import phases
        from vemrecon.bench.trainings import method_of
        from vemrecon.fit.stages import load_weights, trained_parts

        method = method_of(folder)
        if parts := trained_parts(method):
            weights = self._large(submission.weights)
            if weights is None:
                self.note("not reconstructed: its weights are neither here nor at an address")
                return None
            load_weights(method, weights, parts)
        volumes = observe(folder, job)
        method = method.eval().to(job.device)
        phases.reconstruct(folder, job, method, volumes, silent)
        again = phases.reconstruction(folder, volumes)
        if made is None:
            self.say("reconstruction: made again, with nothing here to compare it with but its scores")
            return Again(method, again)
        share = _differing(again, made)
        self.facts["voxels"] = share
        if share > VOXELS:
            raise RefusedError(
                f"{RECONSTRUCTION}: {100 * share:.2g} % of its voxels differ by more than a grey level from what its "
                "weights make"
            )
        self.say(f"reconstruction: made again from its weights ({100 * share:.2g} % of voxels differ)")
        return Again(method, again)

    def _trained_again(self, result: RunResult, folder: RunFolder) -> bool:
        """Train and score again; whether that could be done."""
        from vemrecon.bench.learn_from import read_learn_from
        from vemrecon.bench.worker import run

        spec = result.spec
        if "weights" in (spec.training or {}):
            self.note("not trained again: it begins with weights of another run")
            return False
        other = RunFolder.of(spec, folder.path.parent.parent / "again")
        more: dict[str, Any]
        other.create()
        named = [f"{part['dataset']}:{part['split']}" for part in (spec.training or {}).get("from", ())]
        more = {"learn_from": tuple(map(read_learn_from, named))} if named else {}
        if spec.mode == "transductive":
            more["mode"] = "transductive"
        alike = self._planned(spec, other.path.parent.parent, spec.method.entry, preset=spec.preset, **more)
        alike.job.write(other.path / "job.json")  # only what it learns from is taken from there
        with as_many_threads(result):
            run(other, lambda *told: None, lambda part: None)
        found = other.result()
        if found is None or found.status != Status.DONE:
            raise RefusedError(f"a training of the same run ended as {found.status.value if found else 'nothing'}")
        self._alike(result, found)
        return True

    def _alike(self, before: RunResult, after: RunResult) -> None:
        """Refuse a result whose scores are not those of a training of today."""
        now = {_place(score): score.value for score in after.scores}
        pairs = [(one, now.get(_place(one))) for one in before.scores if one.whole and one.value is not None]
        equal = all(one.value == value for one, value in pairs)
        main = ("psnr", "holdout")  # the latter of native tasks
        first = next(((one, value) for one, value in pairs if one.metric in main and one.variant in ("", "psnr")), None)
        stored, again = (first[0].value, first[1]) if first else (None, None)
        if stored is None or again is None:
            raise RefusedError("trained again, it has no PSNR to compare")
        self.facts["psnr"] = abs(again - stored)
        here = _machine(before) == _machine(after)
        if self.facts["psnr"] > RETRAINED or (here and not equal):
            same = ", on the same processor, with the same versions, threads and commit" if here else ""
            raise RefusedError(f"trained again, it scores a PSNR of {again:.6g} dB, not {stored:.6g}{same}")
        count = f"all {len(pairs)} scores are the same" if equal else f"handed in {stored:.2f}"
        self.say(f"trained again: PSNR {again:.2f} dB, {count}")


@contextmanager
def as_many_threads(result: RunResult) -> Iterator[None]:
    """Compute on as many threads as a run did: sums are rounded by how they are shared."""
    import torch

    before, threads = torch.get_num_threads(), result.environment.get("threads")
    torch.set_num_threads(int(threads) if threads else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _machine(result: RunResult) -> tuple[object, ...]:
    """What decides the last bits of a training."""
    names = ("cpu", "device", "threads", "torch", "numpy", "commit")
    return tuple(result.environment.get(name) for name in names)


def _place(score: Score) -> tuple[object, ...]:
    return (*score.kind, score.range, score.block)


def _words(score: Score) -> str:
    parts = (score.metric, score.variant, score.plane, score.range, "" if score.block == "all" else score.block)
    return " ".join(filter(None, parts))


def _differing(one: Volume, other: Volume) -> float:
    """Share of voxels that differ by more than a grey level of 8 bits."""
    count = 0
    for slab in one.slabs():
        count += int((np.abs(one.read(slab) - other.read(slab)) > 1.5 / 255).sum())
    return count / one.whole.voxels
