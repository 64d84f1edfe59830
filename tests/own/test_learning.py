"""What is learned from on a volume of one's own."""

import numpy as np
import pytest
from small_volumes import textured

from vemrecon.cli import main
from vemrecon.data.damage import examined
from vemrecon.data.patches import LateralPairs, LateralSections, PatchStream
from vemrecon.data.unpaired import UnpairedSections
from vemrecon.errors import DataError
from vemrecon.methods.emdiffuse.gaps import Gaps
from vemrecon.methods.lateral_diffusion.noisy_crops import NoisyCrops
from vemrecon.own.learning import SOUND, Faults, learning_source
from vemrecon.own.steps import make_ready
from vemrecon.own.wish import Wish
from vemrecon.progress import silent
from vemrecon.volume import SectionGrid, Volume

UNFIT = {0, 5, 6, 13}
FAULTS = Faults(frozenset(UNFIT))
EVERYTHING = [
    LateralSections(24, 24),
    LateralPairs((4, 24, 24)),
    UnpairedSections(24, 24),
    Gaps(12, (1, 2)),
    NoisyCrops(),
]


def volume(voxels, scale=4.0):
    return Volume(voxels, None, "v", SectionGrid.slabs(scale))


def marked(shape=(20, 256, 96), held=24):
    """Grey levels that tell where a voxel is: 0.2 and 0.4 in sound sections, the latter where rows are held out."""
    voxels = np.full(shape, 0.2, np.float32)
    voxels[:, -held:] = 0.4
    voxels[sorted(UNFIT)] = 0.9
    return volume(voxels)


@pytest.mark.parametrize("patches", EVERYTHING, ids=str)
@pytest.mark.parametrize("memory", [None, 1000])
def test_nothing_is_learned_from_unfit_sections_or_held_out_rows(patches, memory):
    stream = PatchStream(learning_source(marked(), FAULTS, "self", memory), patches, 0, "fit", 60)
    shapes = set()
    for example in [stream[index] for index in range(60)]:
        images = {name: value.numpy() for name, value in example.items() if value.ndim > 1 and name != "noise"}
        for image in images.values():
            np.testing.assert_allclose(image, 0.2, atol=1e-6)
        shapes.add(tuple(image.shape for image in images.values()))
    assert len(shapes) == 1, "patches of a batch are alike, however long the runs of sound sections are"
    for index in range(20):
        seen = patches.draw(stream.source, np.random.default_rng(index), validation=True)["target"].numpy()
        np.testing.assert_allclose(seen, 0.4, atol=1e-6)


def test_every_sound_section_is_drawn():
    voxels = np.zeros((20, 64, 64), np.float32) + np.arange(20, dtype=np.float32)[:, None, None] / 20
    stream = PatchStream(learning_source(volume(voxels), FAULTS, "self"), LateralSections(24, 24), 0, "fit", 600)
    drawn = {round(float(stream[index]["target"].mean()) * 20) for index in range(600)}
    assert drawn == set(range(20)) - UNFIT


@pytest.mark.parametrize(
    ("shape", "scale", "held"),
    [((8, 1024, 512), 4, 64), ((8, 256, 256), 4, 24), ((8, 256, 256), 20, 0), ((8, 48, 48), 4, 0)],
)
def test_a_sixteenth_of_the_rows_is_held_out_but_not_of_small_volumes(shape, scale, held):
    made = learning_source(volume(np.zeros(shape, np.uint8), float(scale)), SOUND, "self")
    assert [v.shape for v in made.observed] == [(shape[0], shape[1] - held, shape[2])]
    assert [v.shape for v in made.validation] == ([(shape[0], held, shape[2])] if held else [])


def test_a_volume_that_is_mostly_unfit_is_refused_with_what_to_do():
    with pytest.raises(DataError, match=r"11 of 20 sections are .*repair them, or give --weights"):
        learning_source(marked(), Faults(frozenset(range(11))), "self")
    assert learning_source(marked(), Faults(frozenset(range(10))), "self")


def test_what_is_unfit_is_what_stands_out():
    voxels = np.maximum(textured((24, 96, 96)), 1)
    voxels[4] = 0
    voxels[9] = np.minimum(voxels[9].astype(int) + 90, 255)
    voxels[15] = np.roll(voxels[15], 6, 1)
    found = examined(volume(voxels), silent)[1]
    assert found.unfit == {4, 9} and set(found.displaced) == {15, 16}, "15 is displaced, and 16 against it"


def test_no_block_reaches_across_a_displacement_but_both_sides_are_learned_from():
    voxels = np.zeros((12, 64, 64), np.float32) + np.repeat([0.2, 0.4], 6).astype(np.float32)[:, None, None]
    made = learning_source(volume(voxels), Faults(displaced=frozenset({6})), "self")
    blocks = [LateralPairs((5, 24, 24)).draw(made, np.random.default_rng(n))["target"] for n in range(40)]
    assert {(round(float(block.min()), 3), round(float(block.max()), 3)) for block in blocks} == {
        (0.2, 0.2),
        (0.4, 0.4),
    }


def test_a_training_says_what_it_minds():
    assert SOUND.text(9) == ""
    assert Faults(frozenset({3})).text(9) == "the training leaves out section 3 (1 of 9)"
    both = Faults(frozenset({3, 4}), frozenset({4, 7}))
    assert both.text(9) == (
        "the training leaves out sections 3-4 (2 of 9) and takes no block across the displacement at section 7"
    )


SMALL = {"width": 8, "blocks": 1, "patch": 32, "batch": 4, "budget": 20}


def test_a_training_says_what_it_leaves_out_and_shows_the_psnr_of_held_out_pairs(tmp_path):
    voxels = np.maximum(textured((12, 256, 64)), 1)
    voxels[4] = 0
    said, told = [], []
    wish = Wish(method="lateral-cnn", train="smoke", settings=SMALL)
    make_ready(wish, volume(voxels), tmp_path, lambda *words: told.append(words), said.append)
    assert said[-1] == "the training leaves out section 4 (1 of 12)"
    notes = [note for phase, _, note in (words for words in told if len(words) == 3) if phase == "fit"]
    assert "held-out lateral pairs" in notes[-1] and notes[-1].endswith(" dB")


def test_only_what_learns_before_says_what_it_leaves_out(tmp_path, capsys):
    voxels = np.maximum(textured((12, 64, 64)), 1)
    voxels[4] = 0
    np.save(tmp_path / "v.npy", voxels)
    assert main(["reconstruct", str(tmp_path / "v.npy"), str(tmp_path / "out.zarr"), "--scale", "4"]) == 0
    said = capsys.readouterr().err
    assert "section 4: black" in said and "leaves out" not in said
