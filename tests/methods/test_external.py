"""Programs of others as methods: called, trained, kept, scored and told what they did wrong in one line."""

import json

import numpy as np
import pytest
import torch
import yaml

from vemrecon.bench.changes import state_of
from vemrecon.bench.store import run_folders
from vemrecon.cli import main
from vemrecon.errors import ConfigError, VemreconError
from vemrecon.methods.base import Tile, reconstruct_tile
from vemrecon.methods.external import External, filled
from vemrecon.methods.recipe import Environment, Recipe
from vemrecon.methods.registry import external_recipes, method_entry
from vemrecon.volume import SectionGrid

RESTORE = """
import sys, json, pathlib, tifffile, numpy as np
observed, out, scale, model = sys.argv[1:5]
gain = json.loads((pathlib.Path(model) / "gain.json").read_text())
voxels = tifffile.imread(observed)
made = np.repeat(voxels, int(scale), axis=0)[: (len(voxels) - 1) * int(scale) + 1]
tifffile.imwrite(out, made)
print("made", made.shape, "by", gain)
"""
TRAIN = """
import sys, json, pathlib, tifffile
pathlib.Path(sys.argv[2], "gain.json").write_text(json.dumps(float(tifffile.imread(sys.argv[1]).mean())))
"""
RECIPE = {
    "title": "a program of somebody",
    "regime": "self",
    "random": False,
    "licence": "MIT",
    "folder": "tool",
    "files": ["restore.py", "train.py"],
    "repeat_last": True,
    "train": ["{python}", "train.py", "{training}", "{model}"],
    "command": ["{python}", "restore.py", "{observed}", "{reconstruction}", "{scale}", "{model}"],
}


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Function that writes a recipe beside its program, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "restore.py").write_text(RESTORE)
    (tmp_path / "tool" / "train.py").write_text(TRAIN)
    (tmp_path / "tool" / "narrow.py").write_text(
        RESTORE.replace("imwrite(out, made)", "imwrite(out, made.astype('u1'))")
    )

    def write(**changed):
        facts = {key: value for key, value in {**RECIPE, **changed}.items() if value is not None}
        (tmp_path / "tool.yaml").write_text(yaml.safe_dump(facts))

    write()
    return write


def bench(*words):
    base = ["--dataset", "phantom", "--split", "smoke", "--scale", "4", "--degradation", "subsample", "--jobs", "1"]
    return main(["bench", *base, "--metrics", "psnr", "--methods", "nearest", "tool.yaml", *words])


def test_a_program_is_trained_run_ranked_handed_in_and_reconstructed_by_others(tool, tmp_path, capsys):
    assert bench() == 0
    folders = {folder.spec.method.name: folder for folder in run_folders(tmp_path / "runs")}
    folder = folders["external:tool"]
    result = folder.result()
    assert result.spec.method.origin.distribution == "tool.yaml" and result.card.licence == "MIT"
    assert (folder.path / "weights.safetensors").exists()
    assert "made (" in (folder.path / "log.txt").read_text()
    (score,) = [s for s in result.scores if s.metric == "psnr" and s.plane == "volume" and s.range == "all"]
    assert 20 < score.value < 30

    assert main(["check", "tool.yaml"]) == 0, capsys.readouterr().out
    assert main(["submit", "runs", "--method", "external:tool", "--out", "sub"]) == 0
    assert main(["verify", "sub", "--reconstruct"]) == 0
    assert "made again from its weights" in capsys.readouterr().out

    (tmp_path / "tool" / "restore.py").write_text(RESTORE + "# changed\n")
    assert state_of(folder) == "stale"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"command": ["{python}", "-c", "raise SystemExit('no such option')"]}, "ended with code 1 (no such option)"),
        ({"command": ["{python}", "-c", "print('done')"]}, "wrote no tif"),
        ({"command": ["no-such-program"]}, "cannot be run in"),
        ({"repeat_last": None}, "returned shape"),
        (
            {"dtype": "uint16", "command": [*RECIPE["command"][:1], "narrow.py", *RECIPE["command"][2:]]},
            "wrote uint8, but",
        ),
        ({"train": ["{python}", "-c", "import sys; sys.exit(3)"]}, "ended with code 3 (it said nothing)"),
    ],
)
def test_what_a_program_does_wrong_is_one_line_of_the_table(tool, tmp_path, changed, words):
    tool(**changed)
    assert bench() == 1
    (failed,) = [f.result() for f in run_folders(tmp_path / "runs") if f.spec.method.name == "external:tool"]
    assert failed.status == "failed" and words in failed.reason


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"commnad": ["x"]}, "did you mean 'command'"),
        ({"command": None}, "command"),
        ({"observed": "doc"}, "unknown kind of file of a recipe 'doc'"),
        ({"title": None}, "title"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_refused(tool, capsys, changed, words):
    tool(**changed)
    assert bench() == 2
    assert words in capsys.readouterr().err


def test_what_a_program_cannot_do_is_declined(tool):
    method = External(2.5, SectionGrid.slabs(2.5), {"command": ["x"], "scales": [2, 8], "grids": ["aligned"]})
    assert "whole scales" in method.supports(2.5, SectionGrid.slabs(2.5))
    assert "from 2 to 8" in method.supports(16, SectionGrid.slabs(16))
    assert "aligned sections" in method.supports(4, SectionGrid.slabs(4))
    assert method.supports(4, SectionGrid.kept_every(4)) is None
    assert method.stages() == ()


def test_sections_as_single_files_and_names_that_a_program_has_chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p.py").write_text(
        "import sys, pathlib, json, numpy as np, tifffile\n"
        "facts = json.loads((pathlib.Path(sys.argv[1]) / 'facts.json').read_text())\n"
        "sections = [tifffile.imread(pathlib.Path(facts['in'], f'{z}.tif')) for z in range(3)]\n"
        "(pathlib.Path(sys.argv[1]) / 'out').mkdir()\n"
        "tifffile.imwrite(pathlib.Path(sys.argv[1]) / 'out' / 'any.tif', np.repeat(np.stack(sections), 2, 0))\n"
    )
    recipe = {
        "command": ["{python}", "p.py", "{place}"],
        "observed": "sections",
        "reconstruction": "out/*.tif",
        "write": {"facts.json": '{"in": "{observed}"}'},
    }
    observed = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 8, 9)) / np.float32(255))[None, None]
    (made,) = reconstruct_tile(
        External(2, SectionGrid.kept_every(2), recipe).eval(), Tile(observed.float(), SectionGrid.kept_every(2))
    )
    assert torch.allclose(made, observed.float().repeat_interleave(2, dim=2), atol=1e-6)


def test_commands_are_wrapped_in_their_environment(tmp_path):
    command, places = ["python", "x.py"], [tmp_path, tmp_path / "b"]
    assert Environment().wrapped(command, places) == command
    assert Environment(conda="isovem").wrapped(command, places)[:4] == ["conda", "run", "--name", "isovem"]
    assert Environment(conda="/envs/a").wrapped(command, places)[2:4] == ["--prefix", "/envs/a"]
    docker = Environment(container="image:1", runtime="docker").wrapped(command, places)
    assert docker[:3] == ["docker", "run", "--rm"] and docker[-3:] == ["image:1", *command]
    assert Environment(container="image.sif").wrapped(command, places)[:3] == ["apptainer", "exec", "--bind"]


def test_the_recipes_of_published_repositories_can_be_read():
    assert external_recipes() == [f"external:{name}" for name in ("emdiffuse", "isorecon", "isovem", "vemamba")]
    for name in external_recipes():
        entry = method_entry(name)
        recipe = Recipe.of(entry.presets["default"]["recipe"])
        assert recipe.command and recipe.note and "Never run here" in recipe.note
        texts = [filled(text, {"scale": "8", "place": "/p", "model": "/m", "training": "/t", "observed": "/o"})
                 for text in recipe.write.values()]  # fmt: skip
        assert all(json.loads(text) for text in texts)
    with pytest.raises(ConfigError, match="did you mean 'isovem'"):
        method_entry("external:isovme")
    assert issubclass(ConfigError, VemreconError)
