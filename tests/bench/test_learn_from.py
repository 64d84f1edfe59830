"""Methods that learn from another dataset than the one that is scored."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file
from small_volumes import textured

from vemrecon.bench.learn_from import LearnFrom, read_learn_from
from vemrecon.bench.plan import plan as planned
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.bench.spec import RunSpec
from vemrecon.cli import main
from vemrecon.errors import ConfigError
from vemrecon.fit.learned import Learned

LEARNER = ("--methods", "lateral-cnn", "--kernels", "asked", "--preset", "smoke", "--metrics", "psnr")
SMALL = ["isovem.tile=[4,24,24]", "isovem.halo=1", "isovem.crop=[2,16,16]", "isovem.window=[2,1,2]", "isovem.batch=1"]


def card(folder, name, seed, size=8.0, shape=(64, 100, 48)):
    """A dataset of one volume: its first rows are for learning, and the last ones are scored."""
    np.save(folder / f"{name}.npy", textured(shape, seed))
    facts = {
        "voxel_size": [size, 8.0, 8.0],
        "title": f"volume {name}",
        "tasks": ["reference"] if size == 8 else ["lateral", "native"],
        "files": {"volume": {"path": f"{name}.npy"}},
        "splits": {
            "train": {"file": "volume", "region": [[0, shape[0]], [0, 30], [0, shape[2]]]},
            "test": {"file": "volume", "region": [[0, shape[0]], [70, shape[1]], [0, shape[2]]]},
            "all": {"file": "volume"},
        },
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(facts))
    return path


def bench(folder, *words):
    folder.mkdir(exist_ok=True)
    return main(["bench", "--runs", str(folder / "runs"), "--scale", "4", *map(str, words)])


def runs(folder):
    """What has finished, by task and method."""
    found = {}
    for path in (folder / "runs").glob("*/*/result.json"):
        result = json.loads(path.read_text())
        spec = result["spec"]
        found[spec["task"]["dataset"], spec["method"]["entry"], json.dumps(spec["training"])] = (path.parent, result)
    return list(found.values())


@pytest.mark.parametrize("word", ["fib25s", "fib25s:train", "fib25s@4", "my/card.yaml:all@2.5", "local:a:b.tif@8"])
def test_what_is_learned_from_is_written_as_it_is_read(word):
    assert str(read_learn_from(word)) == word
    assert read_learn_from(str(read_learn_from(word))) == read_learn_from(word)


@pytest.mark.parametrize(("word", "message"), [(":train", "must read"), ("fib25s:", "must read"), ("a@x", "scale 'x'")])
def test_words_that_name_nothing_are_refused(word, message):
    with pytest.raises(ConfigError, match=message):
        read_learn_from(word)


def test_what_was_learned_elsewhere_is_what_is_learned_there(tmp_path):
    one, other = (card(tmp_path, name, seed) for name, seed in (("one", 1), ("other", 2)))
    assert bench(tmp_path, "--dataset", one, *LEARNER) == 0
    assert bench(tmp_path, "--dataset", other, "--learn-from", one, *LEARNER) == 0
    (here, _), (moved, result) = sorted(runs(tmp_path), key=lambda run: run[1]["spec"]["training"]["mode"])
    first, second = (load_file(path / "weights.safetensors") for path in (here, moved))
    assert first.keys() == second.keys() and all((first[name] == second[name]).all() for name in first)
    training = result["spec"]["training"]
    assert training["mode"] == "transfer" and [part["split"] for part in training["from"]] == ["train"]
    assert result["spec"]["task"]["dataset"] == "other"


def test_several_datasets_teach_one_model(tmp_path):
    cards = [card(tmp_path, name, seed) for seed, name in enumerate(("one", "two", "three"))]
    assert bench(tmp_path, "--dataset", cards[0], "--learn-from", f"{cards[1]}:all", cards[2], *LEARNER) == 0
    ((folder, result),) = runs(tmp_path)
    assert [part["split"] for part in result["spec"]["training"]["from"]] == ["all", "train"]
    assert len(json.loads((folder / "job.json").read_text())["training"]) == 2


def test_a_model_of_one_scale_is_used_at_another_if_it_can(tmp_path):
    one, other = (card(tmp_path, name, seed) for name, seed in (("one", 1), ("other", 2)))
    words = ["--dataset", other, "--learn-from", f"{one}@8", *LEARNER[2:], "--methods", "isovem", "lateral-cnn"]
    assert bench(tmp_path, *words, "--set", *SMALL) == 0
    found = {result["spec"]["method"]["entry"]: (path, result) for path, result in runs(tmp_path)}
    assert found["lateral-cnn"][1]["status"] == "declined"
    assert "at a scale of 8, and its network serves no other" in found["lateral-cnn"][1]["reason"]
    assert found["isovem"][1]["status"] == "done"
    learned = Learned.read(found["isovem"][0] / "weights.safetensors")
    assert learned.grid is not None and learned.grid.scale == 8
    assert found["isovem"][1]["spec"]["task"]["scale"] == 4


def test_sections_of_an_anisotropic_dataset_teach_an_isotropic_one(tmp_path):
    thick, fine = card(tmp_path, "thick", 1, size=32.0, shape=(8, 100, 48)), card(tmp_path, "fine", 2)
    words = ["--dataset", fine, "--learn-from", thick, *LEARNER[2:], "--methods", "lateral-cnn", "sup-aenet"]
    assert bench(tmp_path, *words) == 0
    found = {result["spec"]["method"]["entry"]: result for _, result in runs(tmp_path)}
    assert found["lateral-cnn"]["status"] == "done"
    assert found["sup-aenet"]["status"] == "declined" and "isotropic truth" in found["sup-aenet"]["reason"]


def refused(tmp_path, capsys, *words):
    assert bench(tmp_path, *LEARNER, *words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_learning_from_what_is_scored_is_refused_wherever_it_lies(tmp_path, capsys):
    one = card(tmp_path, "one", 1)
    assert "overlaps" in refused(tmp_path, capsys, "--dataset", one, "--learn-from", f"{one}:all")
    copy = card(tmp_path, "copy", 1)
    assert "holds voxels of the training split" in refused(
        tmp_path, capsys, "--dataset", copy, "--learn-from", f"{one}:all"
    )


def test_what_cannot_be_learned_from_is_refused(tmp_path, capsys):
    one, thick = card(tmp_path, "one", 1), card(tmp_path, "thick", 2, size=32.0, shape=(8, 100, 48))
    other = ["--dataset", one, "--learn-from"]
    assert "cannot be learned from together" in refused(tmp_path, capsys, *other, thick, card(tmp_path, "two", 3))
    assert "at one scale, not at several" in refused(tmp_path, capsys, *other, "fib25s@8", "hemibrains@4")
    assert "not both" in refused(tmp_path, capsys, *other, "fib25s", "--mode", "transductive")
    assert "unknown dataset" in refused(tmp_path, capsys, *other, "fib26s")
    assert "unknown split" in refused(tmp_path, capsys, *other, f"{thick}:trian")


def test_a_request_that_learns_elsewhere_is_another_run_and_says_so(tmp_path):
    request = Request(("hemibrains",), scale=(8,), methods=("lateral-cnn", "linear"), preset="smoke")
    asked = [
        request,
        replace(request, learn_from=(LearnFrom("fib25s"),)),
        replace(request, learn_from=(LearnFrom("fib25s", scale=4.0),)),
    ]
    each = [planned(resolve([one], Setup(tmp_path), fetch=False)) for one in asked]
    learners = [{run.folder.spec.run_id for run in runs if run.learns} for runs in each]
    kernels = [{run.folder.spec.run_id for run in runs if not run.learns} for runs in each]
    assert len(set.union(*learners)) == 6 and len(set.union(*kernels)) == 2
    said = [{run.folder.spec.learned_from for run in runs if run.learns} for runs in each]
    assert said == [{""}, {"fib25s train"}, {"fib25s train x4"}]


def trained(tmp_path, name, *words):
    """Weights of a run on a dataset of this name."""
    path = card(tmp_path, name, 1)
    assert bench(tmp_path / name, "--dataset", path, *LEARNER, *words) == 0
    ((folder, _),) = runs(tmp_path / name)
    return path, folder / "weights.safetensors"


def test_weights_are_used_as_they_are_or_gone_on_from(tmp_path):
    (_, weights), other = trained(tmp_path, "one"), card(tmp_path, "other", 2)
    words = ["--dataset", other, "--weights", weights, *LEARNER]
    assert bench(tmp_path, *words) == 0
    assert bench(tmp_path, *words, "--fine-tune") == 0
    found = {result["spec"]["training"]["mode"]: (path, result) for path, result in runs(tmp_path)}
    given, gone_on = found["weights"], found["inductive"]
    assert not (given[0] / "train").exists() and given[1]["spec"]["preset"] == "weights"
    assert RunSpec.from_dict(given[1]["spec"]).learned_from == "one train"
    assert RunSpec.from_dict(gone_on[1]["spec"]).learned_from == "one train, then here"
    assert [str(region) for region in Learned.read(gone_on[0] / "weights.safetensors").regions] == [
        "one train",
        "other train",
    ]
    before, after = load_file(weights), load_file(gone_on[0] / "weights.safetensors")
    assert before.keys() == after.keys() and any((before[name] != after[name]).any() for name in before)


def test_weights_that_have_seen_what_is_scored_are_refused(tmp_path, capsys):
    path, weights = trained(tmp_path, "one", "--mode", "transductive")
    assert "was learned from one test" in refused(tmp_path, capsys, "--dataset", path, "--weights", weights)


def test_weights_that_were_learned_or_chosen_near_what_is_scored_are_refused(tmp_path, capsys):
    path = card(tmp_path, "one", 1, shape=(64, 220, 48))
    facts = yaml.safe_load(path.read_text())
    for name, rows in (("test", [70, 100]), ("val", [150, 182]), ("near", [50, 90]), ("chosen", [200, 220])):
        facts["splits"][name] = {"file": "volume", "region": [[0, 64], rows, [0, 48]]}
    path.write_text(yaml.safe_dump(facts))
    assert bench(tmp_path / "first", "--dataset", path, *LEARNER, "--set", "lateral-cnn.choice=best") == 0
    ((folder, _),) = runs(tmp_path / "first")
    weights = folder / "weights.safetensors"
    learned = Learned.read(weights)
    assert [(str(region), region.watched) for region in learned.regions] == [("one train", False), ("val", True)]
    assert learned.source == "one train"
    for name, said in (("near", "learned from one train"), ("chosen", "chosen by val")):
        message = refused(tmp_path, capsys, "--dataset", path, "--split", name, "--weights", weights)
        assert said in message and "too near" in message


def test_cards_of_one_name_are_told_apart_by_their_volumes(tmp_path, capsys):
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
    one, other = card(tmp_path / "a", "one", 1), card(tmp_path / "b", "one", 1)
    np.save(tmp_path / "b" / "one.npy", np.ascontiguousarray(np.load(tmp_path / "a" / "one.npy")[:, 60:]))
    facts = yaml.safe_load(other.read_text())
    facts["splits"]["test"] = facts["splits"]["train"]
    other.write_text(yaml.safe_dump(facts))
    said = refused(tmp_path, capsys, "--dataset", one, "--learn-from", other)
    assert "holds voxels of the training split" in said


def test_weights_of_others_are_refused(tmp_path, capsys):
    path, weights = trained(tmp_path, "one")
    other = ["--dataset", card(tmp_path, "other", 2), "--weights", weights]
    assert "of method 'lateral-cnn'" in refused(tmp_path, capsys, *other, "--methods", "isovem")
    assert "learned on centred sections" in refused(tmp_path, capsys, *other, "--degradation", "subsample")
    assert "add it, or leave one out" in refused(tmp_path, capsys, *other, "--learn-from", path)
    assert "give the --weights" in refused(tmp_path, capsys, *other[:2], "--fine-tune")


def test_weights_that_changed_after_planning_make_nothing(tmp_path):
    (_, weights), other = trained(tmp_path, "one"), card(tmp_path, "other", 2)
    assert bench(tmp_path, "--dataset", other, "--weights", weights, *LEARNER, "--prepare") == 0
    (folder,) = (path.parent for path in (tmp_path / "runs").glob("*/*/spec.json"))
    weights.write_bytes(weights.read_bytes() + b" ")
    assert main(["run", str(folder)]) == 1
    assert "not the weights" in json.loads((folder / "result.json").read_text())["reason"]
