"""What the card of a dataset tells of the scores that it can have, against what runs give."""

from dataclasses import replace

import pytest

from vemrecon.bench.plan import plan
from vemrecon.bench.request import Request, Setup
from vemrecon.bench.resolve import resolve
from vemrecon.bench.scorable import scorable
from vemrecon.cli import main
from vemrecon.data import dataset_card
from vemrecon.data.catalogue import dataset_names
from vemrecon.judges.labelled import NO_LABELS, NO_LABELS_HERE
from vemrecon.metrics.catalogue import names_for


@pytest.mark.parametrize("name", dataset_names())
def test_every_metric_of_a_kind_of_task_is_given_or_has_a_reason(name):
    card = dataset_card(name)
    for kind in card.tasks:
        found = scorable(card, kind)
        assert {*found.given, *found.lacking} == set(names_for(kind)) - {"lpips"}, "lpips stands for two"
        assert not set(found.given) & set(found.lacking)
        assert ("segmentation" in found.given) == (bool(card.segmentation) and kind != "native")


def test_small_cubes_without_labels_have_no_segmentation_and_no_scores_of_long_sides():
    found = scorable(dataset_card("hemibrains"), "reference")
    assert found.splits == ("a-test", "b-test")
    assert {name for name, reason in found.lacking.items() if reason == NO_LABELS} == {"segmentation", "sam2"}
    assert found.lacking["ms_ssim"] == "sections have sides of 128 voxels, and it needs 176"
    assert "ms_ssim_p11" in found.lacking and {"psnr", "ssim", "ms_ssim_p5", "fsc"} <= set(found.given)
    lateral = scorable(dataset_card("cremis"), "lateral")
    assert "ms_ssim" in lateral.given and "frc" in lateral.given and "fsc" not in {*lateral.given, *lateral.lacking}
    assert scorable(dataset_card("cremis"), "native").splits == ("axial",)


def test_labels_elsewhere_do_not_help():
    card = dataset_card("fib25s")
    moved = replace(card.segmentation["membranes"], score={"training_sample1": card.splits["train"].region})
    assert "segmentation" in scorable(card, "reference").given
    found = scorable(replace(card, segmentation={"membranes": moved}), "reference")
    assert found.lacking["segmentation"] == NO_LABELS_HERE


def test_splits_are_those_that_a_plan_takes(tmp_path):
    for name, kind in (("cremi", "native"), ("cremi", "lateral"), ("hemibrains", "reference"), ("vnc", "native")):
        asked = Request(dataset=(name,), task=kind, scale=(4,), methods=("linear",))
        setup = Setup(tmp_path / "runs", data_root=tmp_path / "data")
        planned = [run.folder.spec.task.split for run in plan(resolve([asked], setup, fetch=False))]
        assert tuple(dict.fromkeys(planned)) == scorable(dataset_card(name), kind).splits


def test_datasets_shows_what_can_be_scored(capsys):
    assert main(["datasets", "hemibrains"]) == 0
    out = capsys.readouterr().out
    assert "scores of reference tasks (a-test, b-test):" in out
    assert "  without:   segmentation sam2: the dataset has no labels to segment by" in out
    assert main(["datasets", "vnc"]) == 0
    out = capsys.readouterr().out
    assert "scores of lateral tasks (test):" in out and "scores of native tasks (axial):" in out
    assert "no labels" not in out
