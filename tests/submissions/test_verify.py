"""What was handed in is verified; what was changed is refused, in one line each, however carefully it was changed."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from vemrecon.bench.result import RunResult
from vemrecon.bench.store import run_folders
from vemrecon.cli import main
from vemrecon.data.phantom import make_phantom
from vemrecon.files import sha256_of, write_json
from vemrecon.submissions.hand_in import Authors, sums, write_submission
from vemrecon.submissions.submission import LargeFile, Submission, Verification, summary
from vemrecon.volume import open_volume
from vemrecon.volume.write import write_volume


def verified(folder, capsys, *words, code=0):
    assert main(["verify", str(folder), *words]) == code
    return capsys.readouterr().out


def made_consistent(folder, result=None):
    """What somebody does who changes things and wants nobody to see it."""
    if result is not None:
        result.write(folder / "result.json")
        write_json(folder / "spec.json", result.spec.as_dict())
    submission, found = Submission.read(folder), RunResult.read(folder / "result.json")
    files = {name: sha256_of(folder / name) for name in submission.files}
    large = LargeFile("reconstruction.tif", sha256_of(folder / "reconstruction.tif"))
    replace(submission, run=summary(found), files=files, reconstruction=large).write(folder)


def rewrite(folder, change):
    path = folder / "reconstruction.tif"
    volume = open_volume(path, voxel_size=open_volume(path).voxel_size)
    voxels = change(np.asarray(volume.read_raw(volume.whole)).copy())
    path.unlink()
    write_volume(path, volume.with_voxels(voxels.astype(np.float32) / 255), volume.dtype)


def test_it_is_rescored_and_reconstructed_and_keeps_that(handed_in, capsys):
    said = verified(handed_in, capsys, "--write")
    assert "rescored: scores computed again" in said and "psnr, ssim are the same" in said
    found = Verification.read(handed_in)
    assert found.level == "rescored" and found.of == Submission.read(handed_in).digest
    assert "made again from its weights" in verified(handed_in, capsys, "--reconstruct", "--write")
    assert Verification.read(handed_in).level == "reconstructed"


def test_it_is_run_again(handed_in, capsys):
    assert "trained again: PSNR" in verified(handed_in, capsys, "--retrain")


def test_a_row_is_run_from_scratch_without_its_weights(benched, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    task = ["--dataset", "phantom", "--split", "smoke", "--scale", "4", "--degradation", "subsample"]
    words = ["--methods", "lateral-cnn", "--preset", "smoke", "--kernels", "asked", "--metrics", "psnr", "--jobs", "1"]
    assert main(["bench", *task, *words]) == 0
    (run,) = run_folders(tmp_path / "runs")
    place = tmp_path / "board" / "row"
    write_submission(run, run.result(), place, benched / "check.json", Authors())
    for name in ("check.json", "weights.safetensors", "reconstruction.tif"):
        (place / name).unlink()
    replace(Submission.read(place), files=sums(place)).write(place)
    again = ["reproduce", run.spec.task.slug, "--method", "lateral-cnn", "--submissions", "board"]
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)  # it is run on as many as the row was
    try:
        assert main(again) == 0
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    assert "scores are the same" in capsys.readouterr().out
    result = run.result()
    nudged = [replace(one, value=one.value + 0.05) if one.metric == "psnr" else one for one in result.scores]
    changed = replace(result, scores=tuple(nudged))
    changed.write(place / "result.json")
    replace(Submission.read(place), run=summary(changed), files=sums(place)).write(place)
    assert main(again) == 1  # near enough for another machine, not for this one
    assert "on the same processor" in capsys.readouterr().out
    assert main([*again[:2], "--method", "linear", "--submissions", "board"]) == 2
    assert main([*again, "--seed", "3"]) == 2


def test_without_its_reconstruction_it_is_reported(handed_in, capsys):
    (handed_in / "reconstruction.tif").unlink()
    said = verified(handed_in, capsys)
    assert "neither here nor at an address" in said and "  reported: as it was handed in" in said
    said = verified(handed_in, capsys, "--reconstruct")  # nothing of it was learned, so that it can be made again
    assert "with nothing here to compare it with but its scores" in said and "  reconstructed: " in said


def edited_score(folder):
    data = json.loads((folder / "result.json").read_text())
    data["scores"][0]["value"] = 99.0
    (folder / "result.json").write_text(json.dumps(data))


def score(folder):
    result = RunResult.read(folder / "result.json")
    scores = tuple(replace(s, value=99.0) if s.metric == "psnr" and s.whole else s for s in result.scores)
    made_consistent(folder, replace(result, scores=scores))


def twice(folder):
    result = RunResult.read(folder / "result.json")
    first = next(s for s in result.scores if s.metric == "psnr" and s.whole)
    made_consistent(folder, replace(result, scores=(replace(first, value=99.0), *result.scores)))


def reference(folder):
    result = RunResult.read(folder / "result.json")
    changed = {
        name: tuple(replace(score, value=(score.value or 0) + 1) for score in scores)
        for name, scores in result.references.items()
    }
    assert changed
    made_consistent(folder, replace(result, references=changed))


def dropped(folder):
    result = RunResult.read(folder / "result.json")
    made_consistent(folder, replace(result, scores=result.scores[1:]))


def reconstruction(folder):
    rewrite(folder, lambda voxels: np.clip(voxels.astype(int) + 3, 0, 255))


def reconstruction_too(folder):
    reconstruction(folder)
    made_consistent(folder)


def specification(folder):
    result = RunResult.read(folder / "result.json")
    method = replace(result.spec.method, arguments={"amount": 0.9})
    made_consistent(folder, replace(result, spec=replace(result.spec, method=method)))


def other_specification(folder):
    data = json.loads((folder / "spec.json").read_text())
    data["method"]["arguments"] = {"amount": 0.9}
    (folder / "spec.json").write_text(json.dumps(data))
    made_consistent(folder)


def digest(folder):
    result = RunResult.read(folder / "result.json")
    spec = replace(result.spec, task=replace(result.spec.task, dataset_digest="0" * 12))
    made_consistent(folder, replace(result, spec=spec, run_id=spec.run_id))


def split(folder):
    result = RunResult.read(folder / "result.json")
    spec = replace(result.spec, task=replace(result.spec.task, split_digest="0" * 12))
    made_consistent(folder, replace(result, spec=spec, run_id=spec.run_id))


def observed(folder):
    replace(Submission.read(folder), observed="0" * 64).write(folder)


def copy(folder):
    truth = make_phantom((40, 48, 48), seed=3).grey

    def put(voxels):
        voxels[5] = truth[5]
        return voxels

    rewrite(folder, put)
    made_consistent(folder)


def pickled(folder):
    (folder / "weights.pkl").write_bytes(b"x")
    submission = Submission.read(folder)
    replace(submission, files={**submission.files, "weights.pkl": sha256_of(folder / "weights.pkl")}).write(folder)


def unchecked(folder):
    data = json.loads((folder / "check.json").read_text())
    data["verdicts"][0]["outcome"] = "failed"
    (folder / "check.json").write_text(json.dumps(data))
    made_consistent(folder)


def authors(folder):
    data = json.loads((folder / "submission.json").read_text())
    data["run"]["preset"] = "paper"
    (folder / "submission.json").write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (edited_score, "result.json: is not the file that was handed in"),
        (score, "is 99, but"),
        (twice, "a score stands in it twice"),
        (reference, "of 'truth, smoothed' is"),
        (dropped, "is missing"),
        (reconstruction, "reconstruction.tif: is not the file that was handed in"),
        (reconstruction_too, "when it is computed again from the reconstruction"),
        (specification, "its specification was changed"),
        (other_specification, "spec.json: is not the specification of result.json"),
        (digest, "its data are not those of phantom"),
        (split, "its split 'smoke' are not those of phantom"),
        (observed, "its observed volume is not the one"),
        (copy, "section 5 along z is a copy of the truth"),
        (pickled, "is a pickle"),
        (unchecked, "check.json: damaged, or changed by hand"),
        (authors, "its preset is not that of result.json"),
    ],
)
def test_what_was_changed_is_refused(handed_in, capsys, tamper, words):
    tamper(handed_in)
    said = verified(handed_in, capsys, code=1)
    refused = [line for line in said.splitlines() if "refused" in line]
    assert len(refused) == 1 and words in refused[0], said
    assert "rescored:" not in said


def test_scores_that_nobody_could_reach_are_refused(handed_in, capsys, monkeypatch):
    monkeypatch.setattr("vemrecon.submissions.verify.CEILING", -50.0)
    assert "no reconstruction could reach" in verified(handed_in, capsys, code=1)


def test_a_place_without_submissions_is_one_line(tmp_path, capsys):
    assert main(["verify", str(tmp_path)]) == 2
    assert "holds no submission" in capsys.readouterr().err
    assert main(["verify", str(tmp_path / "nowhere")]) == 2


def test_a_native_reconstruction_is_scored_again_by_the_method_itself(benched, tissues, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(benched)
    for name in ("mixed_method.py", "check.json"):
        shutil.copy(benched / name, tmp_path)
    data = ["--data-root", str(tissues)]
    task = ["--dataset", "cremis", "--split", "axial", "--task", "native", "--scale", "10", "--degradation", "average"]
    assert main(["bench", *task, *data, "--methods", "mixed_method.Mixed", "--kernels", "asked", "--jobs", "1"]) == 0
    assert main(["submit", "runs", "--method", "Mixed", "--out", "sub", "--authors", "A. Author"]) == 0
    (folder,) = (tmp_path / "sub").iterdir()
    said = verified(folder, capsys, *data)
    assert "not computed again: holdout" in said and "  reported: as it was handed in" in said
    assert "scores: holdout, isotropy" in verified(folder, capsys, *data, "--reconstruct")
    assert "trained again: PSNR" in verified(folder, capsys, *data, "--retrain")
    result = RunResult.read(folder / "result.json")
    better = [replace(one, value=one.value + 1) if one.metric == "holdout" else one for one in result.scores]
    made_consistent(folder, replace(result, scores=tuple(better)))
    assert "when it is computed again" in verified(folder, capsys, *data, "--reconstruct", code=1)
