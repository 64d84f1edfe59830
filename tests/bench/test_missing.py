"""Tasks that remove sections of the observed volume: nobody sees them, methods fill them, and are scored on it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from skimage.metrics import peak_signal_noise_ratio
from small_volumes import textured

from vemrecon.bench.missing import Missing, read_missing
from vemrecon.bench.spec import DegradationVariant, MethodVariant, RunSpec, Task
from vemrecon.cli import main
from vemrecon.errors import ConfigError
from vemrecon.volume import open_volume

SMALL = ["crop=[2,16,16]", "tile=[4,24,24]", "halo=1", "window=[2,1,2]", "batch=1", "budget=4", "rotations=[0,5]"]
PLUS = ["--methods", "isovem-plus", "--kernels", "asked", "--preset", "smoke", "--set"]
PLUS += [f"isovem-plus.{word}" for word in SMALL]
REMOVED = (5, 9)
SHAPE = (64, 64, 48)


def dataset(folder, voxels):
    np.save(folder / "volume.npy", voxels)
    facts = {
        "voxel_size": [8.0, 8.0, 8.0],
        "title": "a volume",
        "tasks": ["reference"],
        "files": {"volume": {"path": "volume.npy"}},
        "splits": {"test": {"file": "volume"}},
    }
    (folder / "card.yaml").write_text(yaml.safe_dump(facts))
    return folder / "card.yaml"


def bench(folder, *words, scale=4, missing="5,9"):
    words = ["--scale", scale, "--metrics", "psnr", "inpainting", *words, "--missing-sections", missing]
    return main(["bench", "--runs", str(folder / "runs"), "--dataset", str(folder / "card.yaml"), *map(str, words)])


def runs(folder):
    found = {}
    for path in (folder / "runs").glob("*/*/result.json"):
        result = json.loads(path.read_text())
        found[result["spec"]["method"]["entry"]] = (path.parent, result)
    return found


def voxels_of(path):
    volume = open_volume(path)
    return volume.read(volume.whole)


def scores(result, metric):
    return {s["variant"] or s["plane"]: s for s in result["scores"] if s["metric"] == metric and s["block"] == "all"}


rules = st.one_of(
    st.lists(st.integers(0, 60), min_size=1, max_size=9, unique=True).map(lambda n: Missing(tuple(sorted(n)))),
    st.integers(1, 50).map(lambda percent: Missing(share=percent / 100)),
    st.integers(1, 40).map(lambda many: Missing(random=many)),
)


@given(rules, st.integers(1, 120), st.integers(0, 3))
def test_what_is_removed_is_at_most_half_and_lies_in_the_volume(rule, count, seed):
    try:
        removed = rule.numbers(count, seed)
    except ConfigError as error:
        assert "\n" not in str(error)
        return
    assert 0 < len(removed) <= count // 2 and list(removed) == sorted(set(removed)) and removed[-1] < count
    assert rule.numbers(count, seed) == removed
    if rule.sections:
        assert removed == rule.sections
    else:
        assert removed[0] > 0 and removed[-1] < count - 1, "drawn sections lie between others"
        assert len(removed) == (rule.random or max(1, round(rule.share * count)))
        assert set(Missing(random=1).numbers(count, seed)) <= set(removed)


@given(rules)
def test_a_rule_is_written_as_it_is_read(rule):
    assert read_missing(str(rule)) == rule
    assert RunSpec.from_dict(json.loads(json.dumps(spec(rule).as_dict()))) == spec(rule)


@pytest.mark.parametrize("word", ["", "a", "3,x", "-1", "0%", "60%", "random=0", "random=x", "1.5"])
def test_words_that_remove_nothing_are_refused(word):
    with pytest.raises(ConfigError, match="must read 11,40"):
        read_missing(word)


def spec(missing):
    task = Task("any", "test", 4.0, DegradationVariant("average"), "", "", missing=missing)
    return RunSpec(task, MethodVariant("any", "any", "any.Any", "1"), "smoke", 0, 1)


def test_a_task_that_removes_nothing_is_what_it_was():
    whole = spec(None)
    assert "missing" not in whole.as_dict()["task"] and "missing" not in whole.task.slug
    told = [spec(Missing(random=3)), spec(Missing(random=4)), whole]
    for name in ("run_id", "task_id", "learning_id"):
        assert len({getattr(one, name) for one in told}) == 3
    assert (whole.run_id, whole.task_id) == ("b300c8d1c838", "ce43ff7d5926"), "as earlier versions name it"


def test_kernels_fill_what_is_removed_and_are_scored_on_it(tmp_path):
    truth = textured(SHAPE)
    dataset(tmp_path, truth)
    words = ["--methods", "linear", "nearest", "emgauss", "--degradation", "subsample", "--preset", "smoke"]
    assert bench(tmp_path, *words) == 0
    found = runs(tmp_path)
    assert found["emgauss"][1]["status"] == "declined" and "missing" in found["emgauss"][1]["reason"]
    folder, result = found["linear"]
    assert folder.parent.name.endswith("subsample-x4-missing-5-9")
    (observed,) = map(voxels_of, folder.parent.glob("observed-*.zarr"))
    assert not observed[list(REMOVED)].any() and observed[4].any()
    filled = voxels_of(folder / "repaired.zarr")
    assert np.allclose(filled[5], (truth[16] / 255 + truth[24] / 255) / 2, atol=1e-6)
    expected = [
        peak_signal_noise_ratio(truth[4 * z], np.rint(filled[z] * 255).astype(np.uint8), data_range=255)
        for z in REMOVED
    ]
    score = scores(result, "inpainting")["psnr"]
    assert score["value"] == pytest.approx(np.mean(expected), abs=1e-6) and score["count"] == 2
    assert score["std"] == pytest.approx(np.std(expected), abs=1e-6)
    assert scores(result, "inpainting")["psnr_gain"]["value"] == pytest.approx(0, abs=1e-6)
    assert scores(found["nearest"][1], "inpainting")["psnr_gain"]["value"] < 0
    xy = next(s for s in result["scores"] if (s["metric"], s["plane"], s["range"]) == ("psnr", "xy", "all"))
    assert xy["note"] == "14 kept sections left out" and xy["count"] == 50, "copies of removed sections are scored"
    page = (tmp_path / "runs/report/README.md").read_text()
    assert "sections 5, 9 missing" in page and "emgauss" in page


def test_nobody_but_the_scores_sees_what_is_removed(tmp_path):
    voxels = textured(SHAPE)
    other = voxels.copy()
    for z in REMOVED:
        other[4 * z : 4 * z + 4] = 255 - other[4 * z : 4 * z + 4]
    made = []
    for name, truth in (("one", voxels), ("other", other)):
        (folder := tmp_path / name).mkdir()
        dataset(folder, truth)
        assert bench(folder, *PLUS, "--mode", "transductive") == 0
        path, result = runs(folder)["isovem-plus"]
        assert result["status"] == "done", result["reason"]
        made.append((path, result))
    (first, a), (second, b) = made
    weights, same = (load_file(path / "weights.safetensors") for path in (first, second))
    assert all((weights[key] == same[key]).all() for key in weights)
    for name in ("repaired.zarr", "reconstruction.zarr", "uncertainty.zarr"):
        if (first / name).exists():
            assert (voxels_of(first / name) == voxels_of(second / name)).all(), name
    assert scores(a, "inpainting")["psnr"]["value"] != scores(b, "inpainting")["psnr"]["value"]


def test_a_damaged_filling_is_made_again(tmp_path, caplog):
    dataset(tmp_path, textured(SHAPE))
    assert bench(tmp_path, *PLUS, "--mode", "transductive") == 0
    path, before = runs(tmp_path)["isovem-plus"]
    filled = voxels_of(path / "repaired.zarr")
    chunk = max((path / "repaired.zarr").rglob("*"), key=lambda file: file.stat().st_size if file.is_file() else 0)
    chunk.write_bytes(chunk.read_bytes()[:-9])
    for name in ("result.json", "reconstruction.json"):
        (path / name).unlink()
    assert bench(tmp_path, *PLUS, "--mode", "transductive") == 0
    _, after = runs(tmp_path)["isovem-plus"]
    assert (path / "repaired.zarr.damaged-1").exists() and (voxels_of(path / "repaired.zarr") == filled).all()
    assert after["scores"] == before["scores"]


def test_what_cannot_be_removed_is_refused(tmp_path, capsys):
    dataset(tmp_path, textured(SHAPE))

    def refused(*words, **more):
        assert bench(tmp_path, "--methods", "linear", *words, **more) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "has sections 0 to 15 only" in refused(missing="16")
    assert "removes 9 of the 16" in refused(missing="random=9")
    assert "must read 11,40" in refused(missing="many")
    facts = yaml.safe_load((tmp_path / "card.yaml").read_text())
    thick = {**facts, "voxel_size": [32.0, 8.0, 8.0], "tasks": ["lateral", "native"]}
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(thick))
    assert "is a lateral task" in refused()


def test_a_split_that_learns_from_what_it_scores_learns_from_none_of_what_is_removed(tmp_path):
    from vemrecon.bench.learning import check_removable, learning_of
    from vemrecon.data.catalogue import dataset_card
    from vemrecon.volume import Region

    card = dataset_card("epfl", None, None)
    split = card.split("isovem")
    learning = learning_of(card, split, "reference", "transductive")
    check_removable(card, "reference", split, learning)
    moved = replace(split, region=Region((8, 0, 0), (1065, 1536, 2048)))
    with pytest.raises(ConfigError, match="would learn from sections that are removed"):
        check_removable(card, "reference", moved, learning)
